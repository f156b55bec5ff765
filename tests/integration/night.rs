//! Night deliveries, from the simulator to radiance on the map.

use crate::delivery::{pipeline, product};
use crate::harness::{Desk, tree};
use crate::image;

#[test]
fn options_that_do_not_go_with_the_night_are_refused() {
    let desk = Desk::new();
    desk.fieldglow(["simulate", "dir", "--night", "--no-pan"]).ends_with(1).says(&["--no-pan", "--night"]);
    desk.fieldglow(["simulate", "dir", "--night", "--time", "2026-07-15T02:30:00Z"]).ends_with(1).says(&[
        "option `time`",
        "a time of night",
        "sun 62.8° high",
    ]);
    desk.fieldglow(["simulate", "dir", "--time", "2026-07-15T14:30:00Z"]).ends_with(1).says(&["option `time`"]);
    assert!(!desk.path("dir").exists());
}

#[test]
fn radiance_of_a_night_is_the_truth_and_the_dark_level() {
    let desk = Desk::new();
    let options = ["simulate", "night", "--night", "--gsd", "1", "--size", "260x220", "--noise", "0"];
    desk.fieldglow(options).ends_with(0);
    let night = desk.path("night");
    let products = product("radiance", "kind = \"bands\"\nbands = [\"R\", \"G\", \"B\"]");
    let height = format!("height = {{ dem = '{}', datum = \"ellipsoid\" }}", night.join("dem.tif").display());
    let text = pipeline("radiance", &format!("mode = \"ortho\"\nresolution = 1.0\n{height}"), &products);
    desk.run(&text, &[&night], &[]).ends_with(0);

    let made = image::read(&desk.object("/radiance.tif"));
    let [lamps, glow] = ["lamps", "glow"].map(|l| image::read(&night.join(format!("truth/truth_{l}.tif"))));
    let (row0, col0) = image::offset(&made, &lamps);
    let truth: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(night.join("truth/truth.json")).unwrap()).unwrap();
    for (b, spec) in truth["radiometry"]["bands"].as_array().unwrap().iter().enumerate() {
        let number = |key: &str| spec[key].as_f64().unwrap();
        let (mut dark, mut found, mut expected) = (Vec::new(), 0.0, 0.0);
        for (k, value) in made.bands[b].iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            let (r, c) = (row0 + (k / made.cols) as i64, col0 + (k % made.cols) as i64);
            let near = |d: i64| {
                (-d..=d).flat_map(move |dr| (-d..=d).map(move |dc| (r + dr, c + dc))).map(|(r, c)| {
                    let inside = (0..lamps.rows as i64).contains(&r) && (0..lamps.cols as i64).contains(&c);
                    if inside { lamps.bands[b][r as usize * lamps.cols + c as usize] } else { f64::NAN }
                })
            };
            let Some(sky) = near(0).next().filter(|v| !v.is_nan()) else { continue };
            let light = value - number("dark_radiance") - glow.bands[b][r as usize * lamps.cols + c as usize];
            if near(3).all(|v| v == 0.0) {
                dark.push(light);
            } else if near(3).all(|v| v < 0.8 * number("saturation_radiance")) {
                found += light;
                expected += sky;
            }
        }
        // Half a digital number of rounding.
        assert!(dark.len() > 10_000 && dark.iter().all(|v| v.abs() <= 0.51 * number("gain")), "{}", dark.len());
        assert!(expected > 10.0 && (found / expected - 1.0).abs() < 0.02, "band {b}: {found} for {expected}");
    }
    let item = tree(&desk.path("out")).into_iter().find(|(name, _)| name.ends_with("/item.json")).unwrap().1;
    let item: serde_json::Value = serde_json::from_slice(&item).unwrap();
    assert!(item["properties"]["view:sun_elevation"].as_f64().unwrap() < -18.0);
    desk.fieldglow(["validate", "out"]).ends_with(0);
}
