//! Scenes whose sensor model is wrong, laid upon what was made of another date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::delivery::product;
use crate::harness::{Desk, Said, assert_same_objects, tree};
use crate::image::{self, Image};

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

/// A band of a product on the pixels of a raster that shares its lattice; NaN where there is none.
fn laid_out(out: &Path, file: &str, band: usize, on: &Image) -> Vec<f64> {
    let (rows, cols) = (on.rows, on.cols);
    let mut made = vec![f64::NAN; rows * cols];
    for name in tree(out).keys().filter(|n| n.ends_with(file)) {
        let cell = image::read(&out.join(name));
        let (row0, col0) = image::offset(&cell, on);
        for (k, v) in cell.bands[band].iter().enumerate().filter(|(_, v)| **v != NODATA) {
            let (r, c) = (row0 + (k / cell.cols) as i64, col0 + (k % cell.cols) as i64);
            if (0..rows as i64).contains(&r) && (0..cols as i64).contains(&c) {
                made[r as usize * cols + c as usize] = *v;
            }
        }
    }
    made
}

/// How far one image lies from another in squares of 64 pixels, rows and columns, by the change of brightness along the
/// slopes of that (Lucas and Kanade 1981): an estimator that shares nothing with the pipeline's. Squares without slopes in
/// two directions, or with a hundredth of those of the best, tell nothing.
fn apart(made: &[f64], truth: &[f64], (rows, cols): (usize, usize)) -> Vec<(f64, f64)> {
    // What the truth is blurred by, the product is interpolated by: both are even, so neither moves anything.
    let mut found = Vec::new();
    for (top, left) in (32..rows - 96).step_by(64).flat_map(|r| (32..cols - 96).step_by(64).map(move |c| (r, c))) {
        let (mut xx, mut xy, mut yy, mut xd, mut yd, mut n) = (0.0, 0.0, 0.0, 0.0, 0.0, 0);
        for (r, c) in (top..top + 64).flat_map(|r| (left..left + 64).map(move |c| (r, c))) {
            let t = |r: usize, c: usize| truth[r * cols + c];
            let d = made[r * cols + c] - t(r, c);
            if d.is_nan() {
                continue;
            }
            let (gx, gy) = ((t(r, c + 1) - t(r, c - 1)) / 2.0, (t(r + 1, c) - t(r - 1, c)) / 2.0);
            (xx, xy, yy, xd, yd, n) = (xx + gx * gx, xy + gx * gy, yy + gy * gy, xd + gx * d, yd + gy * d, n + 1);
        }
        let determinant = xx * yy - xy * xy;
        if n == 64 * 64 && determinant > 0.1 * (xx + yy).powi(2) / 4.0 {
            let (row, col) = (-(yd * xx - xd * xy) / determinant, -(xd * yy - yd * xy) / determinant);
            found.push((xx + yy, (row, col)));
        }
    }
    let most = found.iter().map(|(slopes, _)| *slopes).fold(0.0, f64::max);
    found.into_iter().filter(|(slopes, _)| *slopes > 0.01 * most).map(|(_, at)| at).collect()
}

/// How far near infrared reflectance lies from the truth.
fn misfits(out: &Path, delivery: &Path) -> Vec<(f64, f64)> {
    let truth = image::read(&delivery.join("truth/truth_mss.tif"));
    let made: Vec<f64> = laid_out(out, "/reflectance.tif", 3, &truth).iter().map(|v| v * 1e-4).collect();
    apart(&made, &truth.bands[3], (truth.rows, truth.cols))
}

/// An image in the unit of another one, by the line through both.
fn in_unit_of(truth: &[f64], made: &[f64]) -> Vec<f64> {
    let pairs = || made.iter().zip(truth).filter(|(m, t)| m.is_finite() && t.is_finite());
    let n = pairs().count() as f64;
    let (m, t) = pairs().fold((0.0, 0.0), |(a, b), (m, t)| (a + m / n, b + t / n));
    let (mt, tt) = pairs().fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - m) * (y - t), b + (y - t) * (y - t)));
    made.iter().map(|v| t + (v - m) * tt / mt).collect()
}

/// RPC text whose image positions are wrong by some lines and samples.
fn wrong_rpc(text: &str, lines: f64, samples: f64) -> String {
    let moved = |line: &str| {
        let (key, rest) = line.split_once(": ").unwrap();
        let (number, unit) = rest.split_once(' ').unwrap_or((rest, ""));
        match key {
            "LINE_OFF" => format!("{key}: {} {unit}\n", number.parse::<f64>().unwrap() + lines),
            "SAMP_OFF" => format!("{key}: {} {unit}\n", number.parse::<f64>().unwrap() + samples),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(moved).collect()
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
    let plan = |more: &[&str]| desk.fieldglow([&["plan", "pipeline.toml", "second"], more].concat());
    plan(&["--output", "both"]).ends_with(0);
    plan(&["--output", "none"]).ends_with(3).says(&["has 0, not one"]);
    plan(&[]).ends_with(1).says(&["no output"]);
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
    // Its RPC alone are wrong.
    let path = tree(&first).into_keys().find(|n| n.ends_with("_MSS_rpc.txt")).unwrap();
    let text = wrong_rpc(&fs::read_to_string(first.join(&path)).unwrap(), 1.3, -2.4);
    fs::write(first.join(&path), text).unwrap();
    let pan = product("pan", "kind = \"bands\"\nbands = [\"PAN\"]\nresolution = 3.0");
    let text = |more: &str| pipeline("two", &format!("{pan}\n{more}"));
    desk.run_to("one", &text(""), &[&first], &[]).ends_with(0);
    let section = "[coregistration]\nband_to_band = true\nwindow_px = 64\n";
    let (said, report) = report(&desk, "two", &text(section), &first, &[]);
    said.ends_with(0);
    let misfits = misfits(&desk.path("two"), &first);
    // A quarter of a panchromatic pixel, from the truth and from the panchromatic product.
    assert!(misfits.len() >= 8 && rmse(&misfits) < 0.0625, "{} px: {misfits:?}", rmse(&misfits));
    let (before, after) = (from_pan(&desk.path("one"), &first), from_pan(&desk.path("two"), &first));
    assert!(rmse(&before) > 0.5, "{} px: {before:?}", rmse(&before));
    assert!(after.len() >= 8 && rmse(&after) < 0.0625, "{} px: {after:?}", rmse(&after));
    let laid = &report["scenes"][0]["coregistration"]["between_parts"];
    assert!(laid.as_array().unwrap().len() == 1 && laid[0]["part"] == "MSS" && laid[0]["on"] == "PAN", "{laid}");
    let found = &laid[0]["found"]["shift_px"];
    assert!(
        (found[0].as_f64().unwrap() - 2.4).abs() < 0.06 && (found[1].as_f64().unwrap() + 1.3).abs() < 0.06,
        "{found}"
    );
}

/// How far the bands that PAN sees lie from it, its product of a quarter of their pixel averaged, in their pixels.
fn from_pan(out: &Path, delivery: &Path) -> Vec<(f64, f64)> {
    let truth = image::read(&delivery.join("truth/truth_mss.tif"));
    let (rows, cols) = (truth.rows, truth.cols);
    let [x0, dx, _, y0, _, dy] = truth.transform;
    let fine = Image {
        rows: 4 * rows,
        cols: 4 * cols,
        transform: [x0, dx / 4.0, 0.0, y0, 0.0, dy / 4.0],
        bands: Vec::new(),
        nodata: None,
    };
    let pan = laid_out(out, "/pan.tif", 0, &fine);
    let of_16 = |k: usize| (0..16).map(|i| pan[(k / cols * 4 + i / 4) * 4 * cols + k % cols * 4 + i % 4]).sum::<f64>();
    let pan: Vec<f64> = (0..rows * cols).map(|k| of_16(k) / 16.0).collect();
    let document: Value = serde_json::from_slice(&fs::read(delivery.join("truth/truth.json")).unwrap()).unwrap();
    let mut seen = vec![0.0; rows * cols];
    for (band, role) in ["B", "G", "R", "N"].into_iter().enumerate() {
        let share = document["radiometry"]["pan_mix"][role].as_f64().unwrap();
        let plane = laid_out(out, "/reflectance.tif", band, &truth);
        seen.iter_mut().zip(&plane).for_each(|(sum, v)| *sum += share * v);
    }
    apart(&in_unit_of(&pan, &seen), &pan, (rows, cols))
}

const GP: &str = "JL1GP01_PMS_20260715103000_200185191_101_0001_001_L1";

/// The multispectral image of a delivery as a scene with a file per band, the RPC of each wrong by some lines and samples.
fn file_per_band(desk: &Desk, delivery: &Path, name: &str, wrong: [(f64, f64); 4]) -> PathBuf {
    let folder = desk.path(name);
    fs::create_dir_all(&folder).unwrap();
    let file = |ending: &str| delivery.join(tree(delivery).into_keys().find(|n| n.ends_with(ending)).unwrap());
    let image = image::read(&file("_MSS.tif"));
    let rpc = fs::read_to_string(file("_MSS_rpc.txt")).unwrap();
    for (k, (lines, samples)) in wrong.into_iter().enumerate() {
        let stem = format!("{GP}_B{}", k + 3);
        let plane: Vec<u16> = image.bands[k].iter().map(|v| *v as u16).collect();
        image::write(&folder.join(format!("{stem}.tif")), (image.rows, image.cols), &[plane], None);
        fs::write(folder.join(format!("{stem}_rpc.txt")), wrong_rpc(&rpc, lines, samples)).unwrap();
    }
    folder
}

/// Digital numbers of the bands of a scene, which need no metadata.
fn numbers(section: &str) -> String {
    pipeline("p", section).replace("[geometry]", "[radiometry]\nlevel = \"dn\"\n[geometry]")
}

/// How far each band of [`numbers`] lies from the truth.
fn by_band(out: &Path, delivery: &Path) -> [Vec<(f64, f64)>; 4] {
    let truth = image::read(&delivery.join("truth/truth_mss.tif"));
    [0, 1, 2, 3].map(|band| {
        let made = laid_out(out, "/reflectance.tif", band, &truth);
        apart(&in_unit_of(&truth.bands[band], &made), &truth.bands[band], (truth.rows, truth.cols))
    })
}

#[test]
fn parts_of_a_band_each_are_laid_on_one_of_them_and_all_on_the_reference() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    // Blue, green, red, near infrared: lines and samples.
    let wrong = [(2.5, -1.25), (-1.75, 3.0), (0.0, 0.0), (3.25, 2.5)];
    let scene = file_per_band(&desk, &first, "gp", wrong);
    desk.run_to("raw", &numbers(""), &[&scene], &[]).ends_with(0);
    for (band, misfits) in by_band(&desk.path("raw"), &first).iter().enumerate().filter(|(k, _)| *k != 2) {
        assert!(rmse(misfits) > 0.5, "band {band}: {} px", rmse(misfits));
    }

    let text = numbers("[coregistration]\nband_to_band = true\nwindow_px = 64\n");
    let (said, told) = report(&desk, "laid", &text, &scene, &[]);
    said.ends_with(0);
    for (band, misfits) in by_band(&desk.path("laid"), &first).iter().enumerate() {
        assert!(misfits.len() >= 8 && rmse(misfits) < 0.1, "band {band}: {} px: {misfits:?}", rmse(misfits));
    }
    let found = |told: &Value| {
        let laid = told["scenes"][0]["coregistration"]["between_parts"].as_array().unwrap();
        assert_eq!(laid.iter().map(|l| l["part"].as_str().unwrap()).collect::<Vec<_>>(), ["B3", "B4", "B6"]);
        for (l, (lines, samples)) in laid.iter().zip([wrong[0], wrong[1], wrong[3]]) {
            assert_eq!(l["on"], "R");
            let (shift, used) = (&l["found"]["shift_px"], l["found"]["used"].as_u64().unwrap());
            let off = (shift[0].as_f64().unwrap() + samples).hypot(shift[1].as_f64().unwrap() + lines);
            assert!(off < 0.1 && used >= 8, "{l}");
        }
    };
    found(&told);
    let degrees = text.replace("resolution = 12.0", "crs = \"EPSG:4326\"\nzoom = 13");
    let (said, told) = report(&desk, "degrees", &degrees, &scene, &[]);
    said.ends_with(0);
    found(&told);
    desk.fieldglow(["validate", "laid"]).ends_with(0);
    desk.run_to("again", &text, &[&scene], &["--threads", "1", "--memory", "256MiB"]).ends_with(0);
    assert_same_objects(&tree(&desk.path("laid")), &tree(&desk.path("again")));

    // All wrong together besides: the red band is laid on the reference, and the others on it.
    let scene = file_per_band(&desk, &first, "off", wrong.map(|(l, s)| (l + 12.0, s - 9.5)));
    let reference = "reference = \"first/truth/truth_mss.tif\"\nband = \"R\"\nreference_band = 3";
    let section = format!("[coregistration]\n{reference}\nband_to_band = true\nwindow_px = 64\n");
    desk.run_to("both", &numbers(&section), &[&scene], &[]).ends_with(0);
    for (band, misfits) in by_band(&desk.path("both"), &first).iter().enumerate() {
        assert!(misfits.len() >= 8 && rmse(misfits) < 0.1, "band {band}: {} px: {misfits:?}", rmse(misfits));
    }
}

#[test]
fn a_band_that_shows_nothing_is_refused_by_name_or_stays() {
    let desk = Desk::new();
    let first = date(&desk, "first", &["--no-pan"]);
    let scene = file_per_band(&desk, &first, "gp", [(1.5, -1.5), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]);
    let flat = desk.path(format!("gp/{GP}_B4.tif"));
    rewrite(&flat, |_, plane| vec![700.0; plane.len()]);
    let section = "[coregistration]\nband_to_band = true\nwindow_px = 64\n";
    let said = desk.run_to("out", &numbers(section), &[&scene], &[]).ends_with(3);
    said.says(&["band G cannot be laid on band R", "show the same everywhere", "on_weak"]);

    // The others are moved all the same.
    let text = numbers(&format!("{section}on_weak = \"skip\"\n"));
    let (said, told) = report(&desk, "skipped", &text, &scene, &[]);
    said.ends_with(0).says(&["band G cannot be laid on band R"]);
    let laid = &told["scenes"][0]["coregistration"]["between_parts"];
    assert!(laid[0]["found"].is_object() && laid[1]["skipped"].is_string() && laid[2]["found"].is_object(), "{laid}");
    assert!(told["scenes"][0]["coregistration"]["corrections"]["B4"].is_null());
    let blue = &by_band(&desk.path("skipped"), &first)[0];
    assert!(rmse(blue) < 0.1, "{} px", rmse(blue));
}

/// An image moved down and to the right, by cubic convolution (Keys 1981).
fn moved(plane: &[f64], (rows, cols): (usize, usize), (down, right): (f64, f64)) -> Vec<f64> {
    let kernel = |x: f64| match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    };
    let at = |r: i64, c: i64| plane[r.clamp(0, rows as i64 - 1) as usize * cols + c.clamp(0, cols as i64 - 1) as usize];
    let value = |k: usize| {
        let (r, c) = ((k / cols) as f64 - down, (k % cols) as f64 - right);
        let (r0, c0) = (r.floor() as i64, c.floor() as i64);
        let taps = (-1..3).flat_map(|i| (-1..3).map(move |j| (r0 + i, c0 + j)));
        taps.map(|(i, j)| kernel(r - i as f64) * kernel(c - j as f64) * at(i, j)).sum()
    };
    (0..rows * cols).map(value).collect()
}

/// Lights of a night, 4 m a pixel, and their pipeline.
fn night(desk: &Desk, section: &str) -> (PathBuf, String) {
    desk.fieldglow(["simulate", "night", "--night", "--gsd", "4", "--size", "400", "--seed", "11"]).ends_with(0);
    let text = format!(
        "schema = 1\nname = \"night\"\n[radiometry]\nlevel = \"radiance\"\n[geometry]\nmode = \"ortho\"\nresolution = 4.0\n\
         height = {{ dem = \"night/dem.tif\", datum = \"ellipsoid\" }}\n{}\n{section}\n",
        product("radiance", "kind = \"bands\"\nbands = [\"R\", \"G\", \"B\"]"),
    );
    (desk.path("night"), text)
}

/// Puts other digital numbers into the bands of an image.
fn rewrite(path: &Path, change: impl Fn(usize, &[f64]) -> Vec<f64>) {
    let image = image::read(path);
    let options = gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..Default::default() };
    let d = gdal::Dataset::open_ex(path, options).unwrap();
    for (k, plane) in image.bands.iter().enumerate() {
        let numbers = change(k, plane).iter().map(|v| v.round().clamp(1.0, 1023.0) as u16).collect();
        let mut all = gdal::raster::Buffer::new((image.cols, image.rows), numbers);
        d.rasterband(k + 1).unwrap().write((0, 0), (image.cols, image.rows), &mut all).unwrap();
    }
}

#[test]
fn bands_of_a_night_image_are_laid_on_each_other_where_that_is_asked_for() {
    let desk = Desk::new();
    let section = "[coregistration]\nband_to_band = true\nwindow_px = 64\n";
    let (night, text) = night(&desk, section);
    let path = night.join(tree(&night).into_keys().find(|n| n.ends_with("_MSS.tif")).unwrap());
    let off = [(0.0, 0.0), (-1.6, 2.3), (2.75, -1.2)];
    rewrite(&path, |band, plane| moved(plane, (400, 400), off[band]));
    // Lamps that saturate are as bright as the brightest that do not.
    let limit = 0.3;
    let of_truth = image::read(&night.join("truth/truth_lamps.tif"));
    let offsets: Value = serde_json::from_slice(&fs::read(night.join("truth/truth.json")).unwrap()).unwrap();
    let by_band = |out: &str| {
        [0, 1, 2].map(|band| {
            let dark = offsets["radiometry"]["bands"][band]["dark_radiance"].as_f64().unwrap();
            let made = laid_out(&desk.path(out), "/radiance.tif", band, &of_truth);
            let made: Vec<f64> = made.iter().map(|v| if v.is_nan() { *v } else { (v - dark).min(limit) }).collect();
            let truth: Vec<f64> = of_truth.bands[band].iter().map(|v| v.min(limit)).collect();
            apart(&made, &truth, (of_truth.rows, of_truth.cols))
        })
    };
    desk.run_to("raw", &text.replace(section, ""), &[&night], &[]).ends_with(0);
    let raw = by_band("raw");
    assert!(rmse(&raw[0]) < 0.1 && rmse(&raw[1]) > 0.5 && rmse(&raw[2]) > 0.5, "{:?}", raw.map(|m| rmse(&m)));

    let (said, told) = report(&desk, "laid", &text, &night, &[]);
    said.ends_with(0);
    for (band, misfits) in by_band("laid").iter().enumerate() {
        assert!(misfits.len() >= 8 && rmse(misfits) < 0.1, "band {band}: {} px: {misfits:?}", rmse(misfits));
    }
    let told = &told["scenes"][0]["coregistration"];
    for (laid, (band, (down, right))) in
        told["between_parts"].as_array().unwrap().iter().zip([("G", off[1]), ("B", off[2])])
    {
        assert!(laid["band"] == band && laid["part"] == format!("MSS {band}") && laid["on"] == "R", "{laid}");
        let shift = &laid["found"]["shift_px"];
        assert!((shift[0].as_f64().unwrap() - right).hypot(shift[1].as_f64().unwrap() - down) < 0.1, "{laid}");
    }
    assert_eq!(told["corrections"].as_object().unwrap().keys().collect::<Vec<_>>(), ["MSS B", "MSS G"]);
    desk.fieldglow(["validate", "laid"]).ends_with(0);
    desk.run_to("again", &text, &[&night], &["--threads", "1", "--memory", "256MiB"]).ends_with(0);
    assert_same_objects(&tree(&desk.path("laid")), &tree(&desk.path("again")));

    // No light but its noise.
    let dark = |k: usize| 40.0 + (k.wrapping_mul(2_654_435_761) >> 16 & 7) as f64;
    rewrite(&path, |band, plane| if band == 1 { (0..plane.len()).map(dark).collect() } else { plane.to_vec() });
    let said = desk.run_to("dark", &text, &[&night], &[]).ends_with(3);
    said.says(&["band G cannot be laid on band R", "have no clear one"]);
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
