//! Scenes whose sensor model is wrong, laid upon what was made of another date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::delivery::product;
use crate::harness::{Desk, Said, assert_same_objects, tree};
use crate::image;

const NODATA: f64 = -32768.0;

/// The land of a date: 4.8 km of fields, 12 m a pixel, over relief.
fn date(desk: &Desk, name: &str, more: &[&str]) -> PathBuf {
    let folder = desk.path(name);
    let mut args = vec![
        "simulate",
        name,
        "--size",
        "400",
        "--gsd",
        "12",
        "--seed",
        "11",
        "--relief",
        "60",
        "--dem-spacing",
        "100",
    ];
    args.extend(more);
    desk.fieldglow(args).ends_with(0);
    folder
}

fn pipeline(name: &str, section: &str) -> String {
    format!(
        "schema = 1\nname = \"{name}\"\n[geometry]\nmode = \"ortho\"\nresolution = 12.0\n\
         height = {{ dem = \"first/dem.tif\", datum = \"ellipsoid\" }}\n{}\n{section}\n",
        product("reflectance", "kind = \"bands\"\nbands = [\"B\", \"G\", \"R\", \"N\"]"),
    )
}

/// The Item of the one scene of a pipeline.
fn scene_item(desk: &Desk, out: &str) -> PathBuf {
    let found: Vec<_> =
        tree(&desk.path(out)).into_keys().filter(|n| n.contains("/scenes/") && n.ends_with("item.json")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    desk.path(out).join(&found[0])
}

fn section(reference: &Path, more: &str) -> String {
    format!(
        "[coregistration]\nreference = \"{}\"\nasset = \"reflectance\"\nmax_shift_m = 500.0\nwindow_px = 64\n{more}",
        reference.display()
    )
}

/// How far products lie from the truth in squares of 64 pixels, rows and columns, by the change of brightness along its
/// slopes (Lucas and Kanade 1981): an estimator that shares nothing with the pipeline's.
fn misfits(out: &Path, delivery: &Path) -> Vec<(f64, f64)> {
    let truth = image::read(&delivery.join("truth/truth_mss.tif"));
    let (rows, cols) = (truth.rows, truth.cols);
    let mut made = vec![f64::NAN; rows * cols];
    for name in tree(out).keys().filter(|n| n.ends_with("/reflectance.tif")) {
        let cell = image::read(&out.join(name));
        let (row0, col0) = image::offset(&cell, &truth);
        for (k, v) in cell.bands[3].iter().enumerate().filter(|(_, v)| **v != NODATA) {
            let (r, c) = (row0 + (k / cell.cols) as i64, col0 + (k % cell.cols) as i64);
            if (0..rows as i64).contains(&r) && (0..cols as i64).contains(&c) {
                made[r as usize * cols + c as usize] = v * 1e-4;
            }
        }
    }
    let t = |r: usize, c: usize| truth.bands[3][r * cols + c];
    // What the truth is blurred by, the product is interpolated by: both are even, so neither moves anything.
    let mut found = Vec::new();
    for (top, left) in (32..rows - 96).step_by(64).flat_map(|r| (32..cols - 96).step_by(64).map(move |c| (r, c))) {
        let (mut xx, mut xy, mut yy, mut xd, mut yd, mut n) = (0.0, 0.0, 0.0, 0.0, 0.0, 0);
        for (r, c) in (top..top + 64).flat_map(|r| (left..left + 64).map(move |c| (r, c))) {
            let d = made[r * cols + c] - t(r, c);
            if d.is_nan() {
                continue;
            }
            let (gx, gy) = ((t(r, c + 1) - t(r, c - 1)) / 2.0, (t(r + 1, c) - t(r - 1, c)) / 2.0);
            (xx, xy, yy, xd, yd, n) = (xx + gx * gx, xy + gx * gy, yy + gy * gy, xd + gx * d, yd + gy * d, n + 1);
        }
        let determinant = xx * yy - xy * xy;
        if n == 64 * 64 && determinant > 0.1 * (xx + yy).powi(2) / 4.0 {
            found.push((-(yd * xx - xd * xy) / determinant, -(xd * yy - yd * xy) / determinant));
        }
    }
    found
}

fn rmse(misfits: &[(f64, f64)]) -> f64 {
    (misfits.iter().map(|(r, c)| r * r + c * c).sum::<f64>() / misfits.len() as f64).sqrt()
}

fn report(desk: &Desk, out: &str, pipeline: &str, scene: &Path, more: &[&str]) -> (Said, Value) {
    let args = [&["--report", "report.json"], more].concat();
    let said = desk.run_to(out, pipeline, &[scene], &args);
    let report = serde_json::from_slice(&fs::read(desk.path("report.json")).unwrap()).unwrap();
    (said, report)
}

#[test]
fn another_date_thirty_pixels_off_lies_on_the_first_whatever_grew_in_between() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    desk.run_to("one", &pipeline("one", ""), &[&first], &[]).ends_with(0);
    let reference = scene_item(&desk, "one");
    let more = ["--no-pan", "--season", "5", "--cloud", "0.1", "--roll", "-6", "--rpc-shift", "21", "-22"];
    let second = date(&desk, "second", &more);

    let text = pipeline("two", &section(&reference, ""));
    let (said, report) = report(&desk, "two", &text, &second, &[]);
    said.ends_with(0);
    let misfits = misfits(&desk.path("two"), &second);
    assert!(misfits.len() >= 8, "{}", misfits.len());
    assert!(rmse(&misfits) < 0.1, "{} px: {misfits:?}", rmse(&misfits));

    let told = &report["scenes"][0]["coregistration"];
    let shift = told["to_reference"]["shift_px"].as_array().unwrap();
    assert!(
        (shift[0].as_f64().unwrap() - 22.0).abs() < 0.3 && (shift[1].as_f64().unwrap() + 21.0).abs() < 0.3,
        "{told}"
    );
    assert!(told["to_reference"]["used"].as_u64().unwrap() >= 8, "{told}");
    let item: Value = serde_json::from_slice(&fs::read(scene_item(&desk, "two")).unwrap()).unwrap();
    assert_eq!(item["properties"]["fieldglow:coregistration"], *told);
    let survey = item["assets"]["survey"]["href"].as_str().unwrap();
    let survey = scene_item(&desk, "two").parent().unwrap().join(survey);
    let survey: Value = serde_json::from_slice(&fs::read(survey).unwrap()).unwrap();
    let windows = survey["coregistration"]["to_reference"]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), told["to_reference"]["tried"].as_u64().unwrap() as usize);
    desk.fieldglow(["validate", "two"]).ends_with(0);

    // Threads and memory change nothing, and a second run finds all of it there.
    for (out, more) in
        [("three", ["--threads", "1", "--memory", "256MiB"]), ("four", ["--threads", "3", "--memory", "1GiB"])]
    {
        desk.run_to(out, &text, &[&second], &more).ends_with(0);
        assert_same_objects(&tree(&desk.path("two")), &tree(&desk.path(out)));
    }
    let (said, again) = self::report(&desk, "two", &text, &second, &[]);
    said.ends_with(0);
    assert_eq!(again["scenes"][0]["cells_written"].as_array().unwrap().len(), 0);
    assert!(again["scenes"][0]["coregistration"].is_null());
}

#[test]
fn scenes_of_a_run_are_laid_on_one_of_them() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    let more = ["--no-pan", "--season", "2", "--rpc-shift", "5", "-7", "--time", "2026-08-20T02:30:00Z"];
    let second = date(&desk, "second", &more);
    let id = "JL1KF01A_PMS06_20260715103000_200814097_101_0001_001_L1";
    let laid = format!("reference_scene = \"{id}\"\nasset = \"reflectance\"\nmax_shift_m = 500.0\nwindow_px = 64\n");
    let laid = pipeline("p", &format!("[coregistration]\n{laid}"));

    // As it is made first, it need not be named first; and what is laid on it is what a run of its own makes.
    desk.run_to("both", &laid, &[&second, &first], &[]).ends_with(0);
    let item = desk.path("both").join("p/scenes").join(format!("20260715T023000Z_{id}/item.json"));
    desk.run_to("two", &pipeline("p", &section(&item, "")), &[&second], &[]).ends_with(0);
    let of = |out: &str| -> BTreeMap<String, Vec<u8>> {
        tree(&desk.path(out)).into_iter().filter(|(name, _)| name.contains("20260820T")).collect()
    };
    assert_same_objects(&of("two"), &of("both"));
    assert!(of("both").keys().any(|name| name.ends_with("survey.json")));
    let (said, again) = report(&desk, "both", &laid, &second, &[]);
    said.ends_with(0);
    assert_eq!(again["totals"]["cells_written"], 0);

    // Without it there is nothing to be laid upon.
    let (said, report) = report(&desk, "none", &laid, &second, &[]);
    said.ends_with(3).says(&["coregistration.reference_scene", id, "has 0, not one"]);
    assert_eq!(report["scenes"][0]["error"]["code"], "engine/upon-missing");
}

#[test]
fn all_parts_follow_the_one_that_was_compared() {
    let desk = Desk::new();
    let first = date(&desk, "first", &[]);
    desk.run_to("one", &pipeline("one", ""), &[&first], &[]).ends_with(0);
    let second = date(&desk, "second", &["--season", "3", "--rpc-shift", "-9.5", "14.25"]);
    // The panchromatic image is compared, with the red of the reference; the multispectral one is what is made.
    let bands = "band = \"PAN\"\nreference_band = \"R\"";
    let section = section(&scene_item(&desk, "one"), bands);
    let (said, report) = report(&desk, "two", &pipeline("two", &section), &second, &[]);
    said.ends_with(0);
    let misfits = misfits(&desk.path("two"), &second);
    assert!(misfits.len() >= 8 && rmse(&misfits) < 0.1, "{} px: {misfits:?}", rmse(&misfits));
    let corrections = &report["scenes"][0]["coregistration"]["corrections"];
    let constant = |part: &str, axis: &str| corrections[part][axis][0].as_f64().unwrap();
    for (axis, expected) in [("col", -14.25), ("row", 9.5)] {
        assert!((constant("MSS", axis) - expected).abs() < 0.15, "{corrections}");
        assert!((constant("PAN", axis) - 4.0 * expected).abs() < 0.6, "{corrections}");
    }
}

#[test]
fn a_multispectral_part_is_laid_on_the_panchromatic_one() {
    let desk = Desk::new();
    let first = date(&desk, "first", &[]);
    // Its RPC alone are wrong: 1.3 lines and −2.4 samples.
    let path = tree(&first).into_keys().find(|n| n.ends_with("_MSS_rpc.txt")).unwrap();
    let text = fs::read_to_string(first.join(&path)).unwrap();
    let moved: Vec<String> = text
        .lines()
        .map(|line| {
            let (key, rest) = line.split_once(": ").unwrap();
            let (number, unit) = rest.split_once(' ').unwrap_or((rest, ""));
            match key {
                "LINE_OFF" => format!("{key}: {} {unit}", number.parse::<f64>().unwrap() + 1.3),
                "SAMP_OFF" => format!("{key}: {} {unit}", number.parse::<f64>().unwrap() - 2.4),
                _ => line.to_owned(),
            }
        })
        .collect();
    fs::write(first.join(&path), moved.join("\n") + "\n").unwrap();
    let more = "[coregistration]\nband_to_band = true\nwindow_px = 64\n";
    let (said, report) = report(&desk, "two", &pipeline("two", more), &first, &[]);
    said.ends_with(0);
    let misfits = misfits(&desk.path("two"), &first);
    // A quarter of a panchromatic pixel.
    assert!(misfits.len() >= 8 && rmse(&misfits) < 0.0625, "{} px: {misfits:?}", rmse(&misfits));
    let found = &report["scenes"][0]["coregistration"]["between_parts"]["shift_px"];
    assert!(
        (found[0].as_f64().unwrap() - 2.4).abs() < 0.06 && (found[1].as_f64().unwrap() + 1.3).abs() < 0.06,
        "{found}"
    );
}

#[test]
fn without_evidence_a_scene_is_refused_or_made_where_it_lies() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    desk.run_to("one", &pipeline("one", ""), &[&first], &[]).ends_with(0);
    let clouded = date(&desk, "clouded", &["--no-pan", "--cloud", "1", "--season", "2"]);
    // Nothing but cloud, the same everywhere.
    let image = tree(&clouded).into_keys().find(|n| n.ends_with("_MSS.tif")).unwrap();
    {
        let options = gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() };
        let d = gdal::Dataset::open_ex(clouded.join(&image), options).unwrap();
        for band in 1..=4 {
            let mut all = gdal::raster::Buffer::new((400, 400), vec![2500u16; 160_000]);
            d.rasterband(band).unwrap().write((0, 0), (400, 400), &mut all).unwrap();
        }
    }
    let reference = scene_item(&desk, "one");
    let text = pipeline("two", &section(&reference, ""));
    let said = desk.run_to("two", &text, &[&clouded], &[]).ends_with(3);
    said.says(&["cannot be co-registered", "show the same everywhere", "on_weak"]);
    let text = pipeline("two", &section(&reference, "on_weak = \"skip\""));
    let (said, report) = report(&desk, "two", &text, &clouded, &[]);
    said.ends_with(0).says(&["cannot be co-registered"]);
    let scene = &report["scenes"][0];
    assert!(scene["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "coregistration-skipped"), "{scene}");
    assert!(scene["coregistration"]["skipped"].is_string() && scene["coregistration"]["corrections"].is_null());
}

#[test]
fn a_reference_that_cannot_serve_is_said_to_be_why() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    let truth = desk.path("first/truth/truth_mss.tif");
    let file = |more: &str| format!("[coregistration]\nreference = \"{}\"\n{more}", truth.display());
    for (more, says) in [
        ("reference_band = 9", "has 4 bands"),
        ("reference_band = \"X\"", "has no band `X`"),
        ("band = \"PAN\"", "no band PAN"),
    ] {
        let said = desk.run_to("out", &pipeline("p", &file(more)), &[&first], &[]).ends_with(3);
        said.says(&[says]);
    }
    // Elsewhere: nothing in common.
    let far = date(&desk, "far", &["--no-pan", "--center", "125.6", "43.88"]);
    let text = pipeline("p", &file("reference_band = 3")).replace("first/dem.tif", "far/dem.tif");
    desk.run_to("out", &text, &[&far], &[]).ends_with(3).says(&["cannot be co-registered", "0 of 0 windows"]);
}

#[test]
fn a_projected_scene_is_moved_on_its_map() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan", "--level", "l3"]);
    let truth = image::read(&first.join("truth/truth_mss.tif"));
    let path = tree(&first).into_keys().find(|n| n.ends_with("_MSS.tif")).unwrap();
    {
        let options = gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() };
        let mut d = gdal::Dataset::open_ex(first.join(&path), options).unwrap();
        let mut place = d.geo_transform().unwrap();
        (place[0], place[3]) = (place[0] + 127.0, place[3] - 71.5);
        d.set_geo_transform(&place).unwrap();
    }
    let section = "[coregistration]\nreference = \"first/truth/truth_mss.tif\"\nband = \"R\"\nreference_band = 3\n\
                   max_shift_m = 300.0\nwindow_px = 64\n";
    let text = pipeline("p", section)
        .replace("\"ortho\"", "\"grid\"")
        .replace("height = { dem = \"first/dem.tif\", datum = \"ellipsoid\" }\n", "");
    desk.run_to("out", &text, &[&first], &[]).ends_with(0);
    let misfits = misfits(&desk.path("out"), &first);
    assert!(truth.rows > 300 && misfits.len() >= 8 && rmse(&misfits) < 0.1, "{} px: {misfits:?}", rmse(&misfits));
}
