//! Night deliveries. Digital numbers are compared with the formulas of the truth file, written out here.

use std::path::Path;

use gdal::Dataset;
use serde_json::Value;

use super::super::*;
use super::{band, files, json, number, run};
use crate::scene::{Calibration, Role, SensorModel};

fn night(folder: &Path, rows: usize, cols: usize) -> Options {
    let mut options = Options::night(folder);
    (options.mss_rows, options.mss_cols) = (rows, cols);
    options
}

fn bands(path: &Path) -> Vec<Vec<f64>> {
    let dataset = Dataset::open(path).unwrap();
    (1..=dataset.raster_count()).map(|i| band(&dataset, i)).collect()
}

/// One lamp of `lamps.csv`.
struct Lamp {
    x: f64,
    y: f64,
    line: f64,
    sample: f64,
    radius: f64,
    peak: [f64; 3],
}

fn lamps(folder: &Path) -> Vec<Lamp> {
    let text = std::fs::read_to_string(folder.join("truth/lamps.csv")).unwrap();
    let read = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let n = |i: usize| -> f64 { fields[i].parse().unwrap() };
        let (x, y, line, sample) = (n(4), n(5), n(6), n(7));
        Lamp { x, y, line, sample, radius: n(8), peak: [n(9), n(10), n(11)] }
    };
    text.lines().skip(1).map(read).collect()
}

/// The middle digital number of a radiance, before noise.
fn dn(radiance: f64, spec: &Value) -> f64 {
    (radiance - number(&spec["bias"])) / number(&spec["gain"]) + number(&spec["dark_dn"])
}

#[test]
fn the_reader_finds_what_was_put_in() {
    let cases = [
        ("JL107B", "MSS1", [0.000574, 0.000644, 0.000895], [0.009202, 0.009854, 0.011851]),
        ("JL1GF03C01", "MSS", [0.000296, 0.000319, 0.000473], [0.014166, 0.013368, 0.009222]),
    ];
    for (satellite, sensor, gains, biases) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut options = night(folder.path(), 20, 24);
        (options.satellite, options.sensor) = (satellite.into(), sensor.into());
        run(&options);
        let scene = crate::scene::open(folder.path()).unwrap();
        assert!(scene.id.starts_with(&format!("{satellite}_{sensor}_20260715223000_")), "{}", scene.id);
        assert_eq!(scene.level.as_deref(), Some("L1A"));
        assert_eq!(scene.time.center.to_string(), "2026-07-15T14:30:00Z");
        let zenith = scene.sun.unwrap().zenith.0;
        assert!((108.0..120.0).contains(&zenith), "{zenith}");
        let [part] = scene.parts.as_slice() else { panic!("{:?}", scene.parts) };
        assert_eq!((part.rows, part.cols, part.data_bits, part.fill), (20, 24, Some(12), Some(0.0)));
        assert!(matches!(part.sensor_model, SensorModel::Rpc(_)));
        assert_eq!(scene.roles(), [Role::R, Role::G, Role::B]);
        for (k, band) in part.bands.iter().enumerate() {
            let Calibration::Radiance { gain, bias, .. } = band.calibration else { panic!("{band:?}") };
            assert_eq!((band.index, gain, bias), (k, gains[k], biases[k]));
        }
        let codes: Vec<_> = scene.warnings.iter().map(|w| w.code.text()).collect();
        assert_eq!(codes, ["band-range-assumed"]);
    }
}

#[test]
fn digital_numbers_are_lamps_and_glow_and_dark_level() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = night(folder.path(), 300, 330);
    (options.kind, options.noise_dn) = (Kind::L3, 0.0);
    let summary = run(&options);
    let truth = json(&summary.truth);
    let image = bands(&summary.images[0]);
    let [lamps, glow] = [0, 1].map(|i| bands(&summary.truth_rasters[i]));
    let (mut compared, mut saturated) = (0, 0);
    for (b, spec) in truth["radiometry"]["bands"].as_array().unwrap().iter().enumerate() {
        for (i, found) in image[b].iter().enumerate().filter(|(_, v)| **v > 0.0) {
            let expected = dn(lamps[b][i] + glow[b][i], spec);
            // f32 radiance, summed in another order: far below a digital number.
            assert!((found - expected.clamp(1.0, 4095.0)).abs() < 0.51, "{b} {i} {found} {expected}");
            let is_over = lamps[b][i] + glow[b][i] > number(&spec["saturation_radiance"]);
            assert!(!is_over || *found == 4095.0);
            saturated += usize::from(*found == 4095.0);
            compared += 1;
        }
    }
    assert!(compared > 3 * 300 * 330 * 9 / 10, "{compared}");
    assert!(saturated > 100 && saturated < compared / 50, "{saturated}");
}

#[test]
fn dark_ground_is_glow_and_dark_level_with_the_noise() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = night(folder.path(), 280, 300);
    options.kind = Kind::L3;
    let summary = run(&options);
    let truth = json(&summary.truth);
    let image = bands(&summary.images[0]);
    let [lamps, glow] = [0, 1].map(|i| bands(&summary.truth_rasters[i]));
    for (b, spec) in truth["radiometry"]["bands"].as_array().unwrap().iter().enumerate() {
        let dark = |i: &usize| image[b][*i] > 0.0 && lamps.iter().all(|l| l[*i] == 0.0);
        let residuals: Vec<f64> =
            (0..image[b].len()).filter(dark).map(|i| image[b][i] - dn(glow[b][i], spec)).collect();
        let n = residuals.len() as f64;
        let mean = residuals.iter().sum::<f64>() / n;
        let sigma = (residuals.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!(n > 40_000.0, "{n}");
        assert!(mean.abs() < 4.0 * 3.0 / n.sqrt(), "{b}: {mean}");
        // Rounding to whole numbers adds 1/12 to the variance.
        let expected = (9.0f64 + 1.0 / 12.0).sqrt();
        assert!((sigma / expected - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "{b}: {sigma} for {expected}");
    }
    let raster = &truth["truth_rasters"]["list"][0];
    let (count, pixels) = (number(&raster["dark_pixels"]) as usize, lamps[0].len());
    assert_eq!(count, (0..pixels).filter(|i| lamps.iter().all(|l| l[*i] == 0.0)).count());
    for (l, role) in lamps.iter().zip(["R", "G", "B"]) {
        let sum: f64 = l.iter().sum();
        assert!((number(&raster["sum"][role]) / sum - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_image_is_the_pools_of_the_list() {
    const SIDE: usize = 400;
    const RIM: usize = 45;
    let folder = tempfile::tempdir().unwrap();
    let mut options = night(folder.path(), SIDE, SIDE);
    (options.noise_dn, options.relief_m) = (0.0, 0.0);
    let summary = run(&options);
    let truth = json(&summary.truth);
    let list = lamps(folder.path());
    assert_eq!(list.len(), summary.lamps);
    assert_eq!(number(&truth["lamps"]["count"]) as usize, list.len());
    let spec = &truth["radiometry"]["bands"][1];
    let dark = dn(number(&truth["glow"]["center"]["G"]), spec);
    let image = bands(&summary.images[0]);
    let (mut light, mut miss) = (0.0, 0.0);
    for row in RIM..SIDE - RIM {
        for col in RIM..SIDE - RIM {
            let pool = |lamp: &Lamp| {
                let r = (lamp.line - row as f64).hypot(lamp.sample - col as f64) * 0.92 / lamp.radius;
                if r < 1.0 { lamp.peak[1] * (1.0 - r * r).powi(4) } else { 0.0 }
            };
            let expected = list.iter().map(pool).sum::<f64>();
            let found = (image[1][row * SIDE + col] - dark) * number(&spec["gain"]);
            if expected < 0.9 * number(&spec["saturation_radiance"]) {
                light += expected.powi(2);
                miss += (found - expected).powi(2);
            }
        }
    }
    // The point spread softens the pools a little; a quarter of a pixel to the side would make it 0.04.
    assert!(light > 100.0 && (miss / light).sqrt() < 0.01, "{light} {}", (miss / light).sqrt());
}

#[test]
fn a_pool_on_any_grid_adds_up_to_its_integral() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = night(folder.path(), 400, 400);
    (options.gsd_m, options.psf) = (12.0, false);
    run(&options);
    options.psf = true;
    let list = lamps(folder.path());
    let alone = |lamp: &&Lamp| {
        let near = |l: &&Lamp| (l.x - lamp.x).hypot(l.y - lamp.y) < l.radius + 1.5 * lamp.radius + 30.0;
        let inside = [lamp.line, lamp.sample].iter().all(|v| (20.0..380.0).contains(v));
        inside && list.iter().filter(near).count() == 1
    };
    let lamp = list.iter().find(alone).unwrap();
    for pixel in [0.31, 0.92, 2.4, 6.0] {
        let path = folder.path().join("pool.tif");
        let cells = (2.0 * lamp.radius / pixel).ceil() + 4.0;
        let half = 0.5 * cells * pixel;
        let transform = GeoTransform::north_up(lamp.x - half + 0.13, lamp.y + half, pixel);
        truth_raster(&options, Layer::Lamps, &path, transform, cells as usize, cells as usize).unwrap();
        for (b, plane) in bands(&path).iter().enumerate() {
            let found = plane.iter().sum::<f64>() * pixel * pixel;
            let integral = lamp.peak[b] * std::f64::consts::PI * lamp.radius.powi(2) / 5.0;
            assert!((found / integral - 1.0).abs() < 1e-3, "{pixel} m: {found} for {integral}");
        }
    }
}

#[test]
fn layers_of_another_scene_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.tif");
    let transform = GeoTransform::north_up(688_700.0, 4_861_300.0, 2.0);
    let day = Options::new(folder.path());
    for (options, layer) in
        [(&day, Layer::Lamps), (&day, Layer::Glow), (&Options::night(folder.path()), Layer::Reflectance)]
    {
        let error = truth_raster(options, layer, &path, transform, 4, 4).unwrap_err();
        assert!(error.class() == Class::Config && error.to_string().contains("layer"), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn bytes_of_a_night_depend_on_options_alone() {
    let make = |threads: usize, seed: u64, (rows, cols): (usize, usize)| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = night(folder.path(), rows, cols);
        options.seed = seed;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&options));
        files(folder.path())
    };
    let one = make(1, 1, (150, 90));
    assert_eq!(one.len(), 9, "{:?}", one.keys());
    assert!(one == make(3, 1, (150, 90)));
    assert!(one != make(2, 2, (150, 90)));
    assert_eq!(make(2, 1, (16, 17)).len(), 9);
}
