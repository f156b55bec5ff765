//! Lights, dark ground, previews and pictures, recomputed here from digital numbers.

use std::fs;

use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, native, ortho, pipeline, product};
use crate::harness::{Desk, tree};
use crate::image;

const SIDE: usize = 320;
const GAINS: [f64; 3] = [2.96e-4, 3.19e-4, 4.73e-4];
const BIASES: [f64; 3] = [0.014_166, 0.013_368, 0.009_222];
/// What unlit ground shows on average, DN.
const DARK: [f64; 3] = [41.3, 52.75, 30.5];

/// Noise of four DN to both sides about each dark level, lamps of 6 × 6 pixels, a frame without measurement.
fn dn() -> Vec<Vec<u16>> {
    let mut random = 9u64;
    let mut draw = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 40) as f64 / (1u64 << 24) as f64
    };
    let mut plane = |level: f64, lamp: f64| -> Vec<u16> {
        (0..SIDE * SIDE)
            .map(|i| {
                let (r, c) = (i / SIDE, i % SIDE);
                if r < 5 || c >= SIDE - 3 {
                    return 0;
                }
                let near = (r / 6) % 16 == 3 && (c / 6) % 9 == 2 && r > 60;
                (level + 8.0 * (draw() - 0.5) + if near { lamp } else { 0.0 }).round() as u16
            })
            .collect()
    };
    vec![plane(DARK[0], 900.0), plane(DARK[1], 500.0), plane(DARK[2], 5000.0)]
}

fn night(desk: &Desk, dn: &[Vec<u16>]) -> Tiny {
    let bands: Vec<String> = ["R", "G", "B"]
        .iter()
        .zip(GAINS.iter().zip(BIASES))
        .map(|(role, (gain, bias))| format!("role = \"{role}\"\nradiance = {{ gain = {gain:e}, bias = {bias:e} }}"))
        .collect();
    let bands: Vec<&str> = bands.iter().map(String::as_str).collect();
    let tiny = Tiny::new(desk, (SIDE, SIDE), dn, "fill = 0\ndata_bits = 12", &bands);
    // Half past ten in the evening, local time.
    set_time(&tiny, "T02:30:00Z", "T14:30:00Z");
    tiny
}

fn set_time(tiny: &Tiny, from: &str, to: &str) {
    let file = tiny.folder.join("scene.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from));
    fs::write(&file, text.replace(from, to)).unwrap();
}

fn lights() -> String {
    native("radiance", &product("lights", "kind = \"night\"\nbands = [\"R\", \"G\", \"B\"]"))
}

/// The scene's table: name of the column to value, band by band.
fn table(desk: &Desk) -> Vec<(String, Vec<(String, f64)>)> {
    let text = fs::read_to_string(desk.object("night.csv")).unwrap();
    let mut lines = text.lines().map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
    let head = lines.next().unwrap();
    assert_eq!(head[..2], ["product", "band"]);
    lines
        .map(|line| {
            let numbers = head.iter().cloned().zip(line.iter().map(|v| v.parse().unwrap_or(f64::NAN))).skip(2);
            (line[1].clone(), numbers.collect())
        })
        .collect()
}

fn column(row: &[(String, f64)], name: &str) -> f64 {
    row.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no column `{name}`")).1
}

#[test]
fn lights_are_radiance_above_the_measured_dark_level() {
    let desk = Desk::new();
    let dn = dn();
    let tiny = night(&desk, &dn);
    desk.run(&lights(), &[&tiny.folder], &[]).ends_with(0);
    let survey = desk.document("survey.json");
    let stored = image::read(&desk.object("lights.tif"));
    let rows = table(&desk);
    for (k, band) in ["R", "G", "B"].iter().enumerate() {
        let dark = &survey["dark"][band];
        let (level, sigma) = (dark["level"].as_f64().unwrap(), dark["sigma"].as_f64().unwrap());
        let unlit: Vec<f64> =
            (dn[k].iter().map(|v| f64::from(*v))).filter(|v| *v > 0.0 && *v < DARK[k] + 20.0).collect();
        let mean = unlit.iter().sum::<f64>() / unlit.len() as f64;
        // Uniform noise of 8 DN has a deviation of 2.31; the windows hold a third of the ground and more.
        assert!((level - mean).abs() < 3.0 * 2.31 / (0.3 * unlit.len() as f64).sqrt(), "{band}: {level}, {mean}");
        assert!((sigma - 2.33).abs() < 0.05, "{band}: {sigma}");
        let (mut sum, mut lit, mut valid, mut all) = (0.0, 0, 0, 0.0);
        let threshold = 5.0 * sigma * GAINS[k];
        for (s, d) in stored.bands[k].iter().zip(&dn[k]) {
            assert_eq!(s.is_nan(), *d == 0);
            if *d == 0 {
                continue;
            }
            let net = GAINS[k] * (f64::from(*d) - level);
            assert!((s - net).abs() <= 1e-6 * net.abs().max(GAINS[k]), "{band}: stored {s}, expected {net}");
            (valid, all) = (valid + 1, all + s);
            (sum, lit) = if *s >= threshold { (sum + s, lit + 1) } else { (sum, lit) };
        }
        let (name, row) = &rows.iter().find(|(name, _)| name == band).unwrap();
        assert_eq!(name, band);
        let near = |column_name: &str, expected: f64| {
            let found = column(row, column_name);
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{band} {column_name}: {found}, {expected}");
        };
        near("dark_dn", level);
        near("lit_threshold", threshold);
        near("valid_pixels", f64::from(valid));
        near("lit_pixels", f64::from(lit));
        near("lit_share", f64::from(lit) / f64::from(valid));
        near("tnl", sum);
        near("mean", sum / f64::from(valid));
        near("mean_lit", sum / f64::from(lit));
        near("net_sum", all);
        near("pixel_area_m2", 100.0);
        near("radiant_intensity", 100.0 * sum);
    }
    assert_eq!(rows.len(), 3);
    desk.fieldglow(["validate", "out"]).ends_with(0);
}

#[test]
fn stated_levels_and_thresholds_are_taken_instead() {
    let desk = Desk::new();
    let dn = dn();
    let tiny = night(&desk, &dn);
    let stated = "[night]\ndark_dn = { R = 40.0, G = 50.0, B = 30.0 }\nlit_threshold = { R = 0.1, G = 0.1, B = 2.0 }\n[[product]]";
    let text = lights().replacen("[[product]]", stated, 1);
    desk.run(&text, &[&tiny.folder], &["--set", "output.pictures=false"]).ends_with(0);
    let stored = image::read(&desk.object("lights.tif"));
    let expected = GAINS[0] * (f64::from(dn[0][100 * SIDE + 100]) - 40.0);
    assert!((stored.bands[0][100 * SIDE + 100] - expected).abs() < 1e-9);
    let rows = table(&desk);
    assert_eq!(column(&rows.iter().find(|(n, _)| n == "B").unwrap().1, "lit_threshold"), 2.0);
    let names: Vec<String> = tree(&desk.path("out")).into_keys().collect();
    assert!(!names.iter().any(|n| n.ends_with(".png")), "{names:?}");
    assert!(!names.iter().any(|n| n.ends_with("survey.json")), "nothing was asked of it: {names:?}");
}

#[test]
fn a_scene_without_dark_ground_fails_and_says_what_to_state() {
    let desk = Desk::new();
    let lit: Vec<u16> = (0..SIDE * SIDE).map(|i| if (i * 7919) % 13 < 5 { 3000 } else { 90 }).collect();
    let tiny = night(&desk, &[lit.clone(), lit.clone(), lit]);
    let said = desk.run(&lights(), &[&tiny.folder], &[]).ends_with(3);
    said.says(&["stage survey", "band B", "dark level", "`dark_dn` and `lit_threshold`"]);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn a_scene_by_day_shows_no_lights_and_one_at_dusk_is_remarked_on() {
    let desk = Desk::new();
    let tiny = night(&desk, &dn());
    set_time(&tiny, "T14:30:00Z", "T02:30:00Z");
    let said = desk.run(&lights(), &[&tiny.folder], &[]).ends_with(3);
    said.says(&["product `lights` is for nights", "62.9 degrees above the horizon"]);
    // The sun sets at about 11:15 UTC there.
    set_time(&tiny, "T02:30:00Z", "T12:00:00Z");
    desk.run(&lights(), &[&tiny.folder], &[]).ends_with(0).says(&["[twilight]", "below the horizon"]);
}

#[test]
fn night_asks_for_radiance_and_its_section_for_a_night_product() {
    let desk = Desk::new();
    let folder = Delivery::Small.folder();
    let toa = native("toa", &product("lights", "kind = \"night\"\nbands = [\"R\"]"));
    desk.run(&toa, &[&folder], &[]).ends_with(1).says(&["product.lights.kind", "`radiometry.level` to `radiance`"]);
    let alone = ortho(MULTISPECTRAL).replacen("[[product]]", "[night]\nlit_sigma = 3.0\n[[product]]", 1);
    desk.run(&alone, &[&folder], &[]).ends_with(1).says(&["night: no product is of kind `night`"]);
    let wrong = lights().replacen("[[product]]", "[night]\nlit_sigma = 0.0\ndark_dn = { R = -1.0 }\n[[product]]", 1);
    desk.run(&wrong, &[&folder], &[]).ends_with(1).says(&["night.lit_sigma", "night.dark_dn.R"]);
}

#[test]
fn previews_are_stretched_over_what_the_survey_found() {
    let desk = Desk::new();
    let products = product("look", "kind = \"preview\"\nbands = [\"N\", \"R\", \"G\"]");
    let folder = Delivery::L3.folder();
    desk.run(&native("dn", &products), &[&folder], &[]).ends_with(0);
    let survey = desk.document("survey.json");
    let dn = image::read(&Delivery::L3.file("_MSS.tif"));
    let shown = image::read(&desk.object("look.tif"));
    assert_eq!(shown.nodata, Some(0.0));
    for (k, (role, band)) in [("N", 3), ("R", 2), ("G", 1)].into_iter().enumerate() {
        let range = |key: &str| survey["stretch"][role][key].as_f64().unwrap();
        let (low, high) = (range("low"), range("high"));
        let mut valid: Vec<f64> = dn.bands[band].iter().copied().filter(|v| *v > 0.0).collect();
        valid.sort_by(f64::total_cmp);
        let share = |v: f64| valid.partition_point(|x| *x < v) as f64 / valid.len() as f64;
        assert!((share(low) - 0.02).abs() < 0.02 && (share(high) - 0.98).abs() < 0.02, "{role}: {low} {high}");
        for (s, d) in shown.bands[k].iter().zip(&dn.bands[band]) {
            let expected = 1.0 + 254.0 * ((d - low) / (high - low)).clamp(0.0, 1.0);
            let expected = if *d == 0.0 { 0.0 } else { expected };
            assert!((s - expected).abs() <= 0.5 + 1e-9, "{role}: DN {d} is shown as {s}");
        }
    }
    desk.fieldglow(["validate", "out"]).ends_with(0);
}

#[test]
fn every_product_has_a_picture_and_the_scene_one_of_all_cells() {
    let out = crate::delivery::finished();
    let objects = tree(out);
    let pictures: Vec<&String> = objects.keys().filter(|n| n.ends_with(".png")).collect();
    assert_eq!(pictures.len(), 11, "five products in two cells, and the scene: {pictures:?}");
    for name in pictures {
        let picture = image::open(&out.join(name));
        assert_eq!(picture.raster_count(), 4, "{name}");
        let (cols, rows) = picture.raster_size();
        let opaque =
            |k: usize| -> Vec<u8> { picture.rasterband(k).unwrap().read_band_as::<u8>().unwrap().data().to_vec() };
        let alpha = opaque(4);
        assert!(alpha.contains(&255) && alpha.contains(&0), "{name}");
        if name.contains("/scenes/") {
            assert!(cols.max(rows) <= 1024, "{name}: {cols} × {rows}");
            continue;
        }
        // What is opaque is what the coarsest overview has.
        let level = image::levels(&out.join(name.replace(".png", ".tif"))).pop().unwrap();
        assert_eq!((rows, cols), (level.rows, level.cols), "{name}");
        let nodata = level.nodata.unwrap();
        let is_valid = |i: usize| level.bands.iter().all(|b| b[i] != nodata);
        assert!((0..rows * cols).all(|i| (alpha[i] == 255) == is_valid(i)), "{name}");
    }
    let item = objects.keys().find(|n| n.contains("/scenes/") && n.ends_with("item.json")).unwrap();
    let item: Value = serde_json::from_slice(&objects[item]).unwrap();
    assert_eq!(item["assets"]["thumbnail"]["roles"][0], "thumbnail");
}

/// The lights of a scene are those of its ground, on whatever map: area and sums differ, their product does not.
#[test]
fn radiant_intensity_is_the_same_on_every_grid() {
    let desk = Desk::new();
    let scene = night(&desk, &vec![vec![1000; SIDE * SIDE]; 3]);
    let text = |lines: &str| {
        let stated = "[night]\ndark_dn = { R = 0, G = 0, B = 0 }\nlit_threshold = { R = 0.01, G = 0.01, B = 0.01 }\n";
        let products = product("lights", "kind = \"night\"\nbands = [\"R\", \"G\", \"B\"]");
        pipeline("radiance", &format!("mode = \"grid\"\n{lines}"), &format!("{stated}{products}"))
    };
    // 1000 DN above the dark level over 320 × 320 pixels of 100 m².
    let expected = 1000.0 * GAINS[0] * (SIDE * SIDE) as f64 * 100.0;
    for (k, lines) in [
        "crs = \"utm\"\nresolution = 10.0",
        "crs = \"cgcs2000-gk6\"\nresolution = 10.0",
        "crs = \"EPSG:4490\"\nzoom = 14",
        "crs = \"web-mercator\"\nzoom = 15",
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("out{k}");
        desk.run_to(&out, &text(lines), &[&scene.folder], &[]).ends_with(0);
        let name = tree(&desk.path(&out)).into_keys().find(|n| n.ends_with("/night.csv")).unwrap();
        let table = fs::read_to_string(desk.path(&out).join(name)).unwrap();
        let red: Vec<&str> = table.lines().find(|l| l.starts_with("lights,R,")).unwrap().split(',').collect();
        let number = |k: usize| red[k].parse::<f64>().unwrap();
        let (area, tnl, intensity) = (number(4), number(8), number(13));
        // A row or column of pixels more or less is 0.3 %, the scale of a map 0.1 %.
        assert!((intensity / expected - 1.0).abs() < 8e-3, "{lines}: {intensity}, not {expected}");
        assert!((tnl * area / intensity - 1.0).abs() < 1e-6, "{lines}");
        let pixel = [100.0, 100.0, 0.0, 0.0][k];
        assert!(if pixel > 0.0 { area == pixel } else { area > 5.0 && area < 30.0 }, "{lines}: {area}");
    }
}
