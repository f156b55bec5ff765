//! Stored values, recomputed here in f64 from digital numbers and metadata.

use std::f64::consts::PI;
use std::fs;

use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_N, UNIT_R, native, product};
use crate::harness::Desk;
use crate::image::{self, Image};

const NODATA_I16: f64 = -32768.0;
const STEP: f64 = 1e-4;

/// Bits of `qa`.
const NODATA: f64 = 1.0;
const SATURATED: f64 = 256.0;
const PARTIAL: f64 = 512.0;
const CLIPPED: f64 = 1024.0;

/// Earth–Sun distance in AU at 2026-07-15T02:30Z: The Astronomical Almanac, page C5.
fn distance_au() -> f64 {
    // 9692 days from noon of 2000-01-01 to noon of 2026-07-15, and from there back to 02:30.
    let days = 9692.0 - 9.5 / 24.0;
    let g = (357.529_f64 + 0.985_600_28 * days).to_radians();
    1.000_14 - 0.016_71 * g.cos() - 0.000_14 * (2.0 * g).cos()
}

fn truth() -> Value {
    let file = Delivery::L3.folder().join("truth/truth.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Solar irradiance that the simulator took for the bands of MSS: the mean of ASTM G173-03 over their limits.
fn irradiance() -> Vec<f64> {
    let truth = truth();
    let bands = truth["radiometry"]["bands"].as_array().unwrap();
    ["B", "G", "R", "N"]
        .map(|role| bands.iter().find(|b| b["role"] == role).unwrap()["e0_w_m2_um"].as_f64().unwrap())
        .to_vec()
}

/// Reflectance of the L3 delivery's multispectral bands, from their DN; NaN where the DN is 0. The zenith is in degrees.
fn reflectance(zenith: f64, irradiance: &[f64]) -> Vec<Vec<f64>> {
    let (gains, biases) =
        (Delivery::L3.numbers("MSS", "AbsCalibrationGain"), Delivery::L3.numbers("MSS", "AbsCalibrationBias"));
    let dn = image::read(&Delivery::L3.file("_MSS.tif"));
    let factor = PI * distance_au().powi(2) / zenith.to_radians().cos();
    let band = |k: usize| {
        let value = |dn: &f64| factor * (gains[k] * dn + biases[k]) / irradiance[k];
        dn.bands[k].iter().map(|d| if *d == 0.0 { f64::NAN } else { value(d) }).collect()
    };
    (0..4).map(band).collect()
}

fn zenith() -> f64 {
    90.0 - Delivery::L3.numbers("MSS", "SolarElevation")[0]
}

/// Fails unless each stored value is the nearest step to the expected one; `scale` is what its relative error counts by.
#[track_caller]
fn assert_nearest_steps(stored: &[f64], expected: &[f64], scale: impl Fn(usize) -> f64) {
    assert_eq!(stored.len(), expected.len());
    let mut valid = 0;
    for (k, (s, e)) in stored.iter().zip(expected).enumerate() {
        if e.is_nan() {
            assert_eq!(*s, NODATA_I16, "pixel {k}");
        } else {
            let off = (s * STEP - e).abs();
            assert!(off <= 0.5 * STEP + 1e-6 * scale(k), "pixel {k}: stored {s}, expected {e}, off by {off}");
            valid += 1;
        }
    }
    assert!(valid > 0);
}

fn run_native(desk: &Desk, products: &str, more: &[&str]) {
    let folder = Delivery::L3.folder();
    desk.run(&native("toa", products), &[&folder], more).ends_with(0);
}

#[test]
fn reflectance_is_the_formula_to_half_a_step() {
    let desk = Desk::new();
    run_native(&desk, MULTISPECTRAL, &[]);
    let stored = image::read(&desk.object("/reflectance.tif"));
    assert_eq!(stored.nodata, Some(NODATA_I16));
    for (stored, expected) in stored.bands.iter().zip(reflectance(zenith(), &irradiance())) {
        assert_nearest_steps(stored, &expected, |k| expected[k].abs());
    }
}

#[test]
fn the_distance_to_the_sun_is_the_one_the_simulator_has_from_another_series() {
    assert!((distance_au() - truth()["sun"]["distance_au"].as_f64().unwrap()).abs() < 1e-4);
}

#[test]
fn ndvi_is_made_of_exact_reflectance_to_half_a_step() {
    let desk = Desk::new();
    run_native(&desk, MULTISPECTRAL, &[]);
    let bands = reflectance(zenith(), &irradiance());
    let (red, nir) = (&bands[2], &bands[3]);
    let expected: Vec<f64> = red.iter().zip(nir).map(|(r, n)| (n - r) / (n + r)).collect();
    // Relative errors of the bands count as far as they are larger than their sum.
    let scale = |k: usize| expected[k].abs().max((red[k].abs() + nir[k].abs()) / (red[k] + nir[k]).abs());
    assert_nearest_steps(&image::read(&desk.object("/ndvi.tif")).bands[0], &expected, scale);
}

#[test]
fn the_pipelines_sun_and_irradiance_replace_the_deliverys() {
    let desk = Desk::new();
    let more =
        ["--set", "radiometry.sun_zenith=40", "--set", "radiometry.esun={ B = 1000, G = 1100, R = 1200, N = 900 }"];
    run_native(&desk, MULTISPECTRAL, &more);
    let stored = image::read(&desk.object("/reflectance.tif"));
    for (stored, expected) in stored.bands.iter().zip(reflectance(40.0, &[1000.0, 1100.0, 1200.0, 900.0])) {
        assert_nearest_steps(stored, &expected, |k| expected[k].abs());
    }
}

#[test]
fn a_float_product_holds_reflectance_to_a_millionth() {
    let desk = Desk::new();
    run_native(&desk, MULTISPECTRAL, &["--set", "product.reflectance.type=float32"]);
    let stored = image::read(&desk.object("/reflectance.tif"));
    assert!(stored.nodata.unwrap().is_nan());
    for (stored, expected) in stored.bands.iter().zip(reflectance(zenith(), &irradiance())) {
        for (s, e) in stored.iter().zip(expected) {
            assert!((s.is_nan() && e.is_nan()) || (s / e - 1.0).abs() <= 1e-6, "{s} {e}");
        }
    }
}

#[test]
fn radiance_is_gain_times_dn_plus_bias() {
    let desk = Desk::new();
    let products = product("radiance", "kind = \"bands\"\nbands = [\"N\", \"B\"]");
    desk.run(&native("radiance", &products), &[&Delivery::L3.folder()], &[]).ends_with(0);
    let (gains, biases) =
        (Delivery::L3.numbers("MSS", "AbsCalibrationGain"), Delivery::L3.numbers("MSS", "AbsCalibrationBias"));
    let dn = image::read(&Delivery::L3.file("_MSS.tif"));
    let stored = image::read(&desk.object("/radiance.tif"));
    for (stored, k) in stored.bands.iter().zip([3, 0]) {
        for (s, d) in stored.iter().zip(&dn.bands[k]) {
            let expected = f64::from((gains[k] * d + biases[k]) as f32);
            assert!(*s == expected || (*d == 0.0 && s.is_nan()), "{d}: {s} {expected}");
        }
    }
}

#[test]
fn dn_are_stored_as_delivered_and_need_no_coefficients() {
    let desk = Desk::new();
    let dn: Vec<u16> = vec![0, 1, 255, 256, 4095, 65535];
    let scene = Tiny::new(&desk, (2, 3), std::slice::from_ref(&dn), "fill = 0", &["role = \"PAN\""]);
    let products = product("dn", "kind = \"bands\"\nbands = [\"PAN\"]");
    desk.run(&native("dn", &products), &[&scene.folder], &[]).ends_with(0);
    let stored = image::read(&desk.object("/dn.tif"));
    assert!(stored.bands[0][0].is_nan());
    let expected: Vec<f64> = dn.iter().map(|d| f64::from(*d)).collect();
    assert_eq!(stored.bands[0][1..], expected[1..]);
}

#[test]
fn reflectance_coefficients_without_the_sun_are_divided_by_its_cosine() {
    let desk = Desk::new();
    let band = "role = \"R\"\nreflectance = { gain = 2e-5, bias = -0.1, sun_corrected = false }";
    let scene = Tiny::new(&desk, (1, 4), &[vec![6000u16, 7500, 20000, 30001]], "fill = \"none\"", &[band]);
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    desk.run(&native("toa", &products), &[&scene.folder], &["--set", "radiometry.sun_zenith=60"]).ends_with(0);
    let expected = [6000.0, 7500.0, 20000.0, 30001.0].map(|dn: f64| (2e-5 * dn - 0.1) / 60f64.to_radians().cos());
    assert_nearest_steps(&image::read(&desk.object("/r.tif")).bands[0], &expected, |k| expected[k].abs());
}

/// Reflectance and NDVI of red and near infrared, and their states.
fn two_bands() -> String {
    product("r", "kind = \"bands\"\nbands = [\"R\", \"N\"]")
        + &product("ndvi", "kind = \"index\"\nindex = \"NDVI\"")
        + &product("qa", "kind = \"qa\"")
}

#[test]
fn qa_tells_nodata_partial_and_saturated_pixels_apart() {
    let desk = Desk::new();
    let red: Vec<u16> = vec![0, 0, 4095, 4096, 0, 5, 4094];
    let nir: Vec<u16> = vec![0, 5, 5, 5, 4095, 5, 7];
    let scene = Tiny::new(&desk, (1, 7), &[red, nir], "fill = 0\ndata_bits = 12", &[UNIT_R, UNIT_N]);
    desk.run(&native("toa", &two_bands()), &[&scene.folder], &[]).ends_with(0);
    let qa = image::read(&desk.object("/qa.tif"));
    assert_eq!(qa.nodata, Some(NODATA));
    assert_eq!(qa.bands[0], [NODATA, PARTIAL, SATURATED, SATURATED, SATURATED + PARTIAL, 0.0, 0.0]);
    let r = image::read(&desk.object("/r.tif"));
    assert_eq!(r.bands[0], [NODATA_I16, NODATA_I16, 4095.0, 4096.0, NODATA_I16, 5.0, 4094.0]);
    assert_eq!(r.bands[1], [NODATA_I16, 5.0, 5.0, 5.0, 4095.0, 5.0, 7.0]);
    let ndvi = image::read(&desk.object("/ndvi.tif"));
    let valid: Vec<bool> = ndvi.bands[0].iter().map(|v| *v != NODATA_I16).collect();
    assert_eq!(valid, [false, false, true, true, false, true, true]);
}

#[test]
fn values_that_do_not_fit_are_clipped_marked_and_counted() {
    let desk = Desk::new();
    let band =
        |role: &str| format!("role = \"{role}\"\nreflectance = {{ gain = 1.0, bias = -4.0, sun_corrected = true }}");
    // Reflectance -4 to 3.
    let red: Vec<u8> = vec![0, 1, 4, 8, 7, 7];
    let nir: Vec<u8> = vec![4, 5, 0, 8, 6, 7];
    let scene = Tiny::new(&desk, (1, 6), &[red, nir], "fill = \"none\"", &[&band("R"), &band("N")]);
    let report = desk.run(&native("toa", &two_bands()), &[&scene.folder], &["--json"]).ends_with(0).json();
    let r = image::read(&desk.object("/r.tif"));
    assert_eq!(r.bands[0], [-32767.0, -30000.0, 0.0, 32767.0, 30000.0, 30000.0]);
    assert_eq!(r.bands[1], [0.0, 10000.0, -32767.0, 32767.0, 20000.0, 30000.0]);
    // (N - R) / (N + R) = -1, -2, 1, 0, -0.2, 0: it fits.
    assert_eq!(image::read(&desk.object("/ndvi.tif")).bands[0], [-10000.0, -20000.0, 10000.0, 0.0, -2000.0, 0.0]);
    assert_eq!(image::read(&desk.object("/qa.tif")).bands[0], [CLIPPED, 0.0, CLIPPED, CLIPPED, 0.0, 0.0]);
    assert_eq!(report["scenes"][0]["values_clipped"], 4);
}

#[test]
fn a_zero_denominator_is_no_data() {
    let desk = Desk::new();
    let band =
        |role: &str| format!("role = \"{role}\"\nreflectance = {{ gain = 0.5, bias = -1.0, sun_corrected = true }}");
    // N + R = 0, then 1.
    let scene = Tiny::new(&desk, (1, 2), &[vec![1u8, 2], vec![3u8, 4]], "fill = \"none\"", &[&band("R"), &band("N")]);
    desk.run(&native("toa", &two_bands()), &[&scene.folder], &[]).ends_with(0);
    assert_eq!(image::read(&desk.object("/ndvi.tif")).bands[0], [NODATA_I16, 10000.0]);
}

#[test]
fn fill_is_what_the_sidecar_says_else_the_files_own_nodata_value_else_none() {
    let planes = [vec![0u16, 7, 9]];
    for (fill, expected) in [
        ("fill = 0", [NODATA_I16, 7.0, 9.0]),
        ("fill = 9", [0.0, 7.0, NODATA_I16]),
        ("fill = \"none\"", [0.0, 7.0, 9.0]),
        ("", [0.0, NODATA_I16, 9.0]),
    ] {
        let desk = Desk::new();
        let scene = Tiny::new(&desk, (1, 3), &planes, fill, &[UNIT_R]);
        let dataset = gdal::Dataset::open_ex(
            scene.folder.join("a.tif"),
            gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() },
        );
        dataset.unwrap().rasterband(1).unwrap().set_no_data_value(Some(7.0)).unwrap();
        let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
        desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(0);
        assert_eq!(image::read(&desk.object("/r.tif")).bands[0], expected, "{fill}");
    }
}

#[test]
fn statistics_in_the_item_are_those_of_the_valid_pixels() {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, 5), &[vec![0u16, 10, 20, 30, 60]], "fill = 0", &[UNIT_R]);
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(0);
    let item = desk.document("R0000-C0000/20260715T023000Z_tiny/item.json");
    let asset = &item["assets"]["r"];
    let statistics = asset.pointer("/statistics").or_else(|| asset.pointer("/bands/0/statistics")).unwrap();
    let number = |key: &str| statistics[key].as_f64().unwrap();
    assert_eq!((number("minimum"), number("maximum"), number("mean")), (10.0, 60.0, 30.0));
    assert!((number("stddev") - 350f64.sqrt()).abs() < 1e-9);
    assert_eq!(number("valid_percent"), 80.0);
}

/// A pseudo-random number below `below` for each pixel.
fn noise(count: usize, seed: u64, below: u64) -> Vec<u64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..count).map(|_| next()).collect()
}

/// Halves a level: `fold` gets the one, two or four finer pixels under each pixel.
fn halve(rows: usize, cols: usize, plane: &[f64], fold: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut out = Vec::new();
    for r in (0..rows).step_by(2) {
        for c in (0..cols).step_by(2) {
            let below = [(r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)];
            let inside = below.iter().filter(|(r, c)| *r < rows && *c < cols);
            out.push(fold(&inside.map(|(r, c)| plane[r * cols + c]).collect::<Vec<_>>()));
        }
    }
    out
}

#[track_caller]
fn assert_overviews(levels: &[Image], fold: impl Fn(&[f64]) -> f64) {
    let sizes: Vec<_> = levels.iter().map(|l| (l.rows, l.cols)).collect();
    assert_eq!(sizes, [(1031, 1101), (516, 551), (258, 276)]);
    for pair in levels.windows(2) {
        for (fine, coarse) in pair[0].bands.iter().zip(&pair[1].bands) {
            let expected = halve(pair[0].rows, pair[0].cols, fine, &fold);
            let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
            assert!(expected.iter().zip(coarse).all(same), "level of {} × {}", pair[1].rows, pair[1].cols);
        }
    }
}

/// Two bands of DN with scattered fill and saturation, over the border of units in both directions.
fn overview_run() -> Desk {
    let desk = Desk::new();
    let size = (1031, 1101);
    let plane = |seed| -> Vec<u16> {
        let dn = noise(size.0 * size.1, seed, 6000);
        dn.into_iter().map(|v| if v < 1500 { 0 } else { v as u16 }).collect()
    };
    let scene = Tiny::new(&desk, size, &[plane(1), plane(2)], "fill = 0\ndata_bits = 12", &[UNIT_R, UNIT_N]);
    let products = two_bands() + &product("float", "kind = \"bands\"\nbands = [\"N\", \"R\"]\ntype = \"float32\"");
    desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(0);
    desk
}

#[test]
fn overviews_follow_from_the_level_below_by_their_products_rule() {
    let desk = overview_run();
    let average = |valid: &dyn Fn(f64) -> bool, values: &[f64]| {
        let (sum, count) = values.iter().filter(|v| valid(**v)).fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
        (count > 0.0).then(|| sum / count)
    };
    for name in ["/r.tif", "/ndvi.tif"] {
        assert_overviews(&image::levels(&desk.object(name)), |values| {
            average(&|v| v != NODATA_I16, values).map_or(NODATA_I16, f64::round_ties_even)
        });
    }
    assert_overviews(&image::levels(&desk.object("/float.tif")), |values| {
        average(&|v| !v.is_nan(), values).map_or(f64::NAN, |v| f64::from(v as f32))
    });
    assert_overviews(&image::levels(&desk.object("/qa.tif")), |values| {
        let bits = values.iter().map(|v| *v as u16);
        let nodata = bits.clone().all(|b| b & 1 == 1);
        if nodata { NODATA } else { f64::from(bits.fold(0, |a, b| a | b) & !1) }
    });
}
