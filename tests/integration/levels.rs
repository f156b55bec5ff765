//! The table of docs/levels.md, row by row: a delivery of each kind, and what may be made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::delivery::{Changeable, Delivery, Tiny, UNIT_R, native, ortho, product};
use crate::harness::{Desk, tree};
use crate::image;

/// What a cell of the table says.
#[derive(Debug, Clone, PartialEq)]
enum May {
    Yes,
    IfAccepted(Vec<String>),
    No(String),
}

impl May {
    fn read(cell: &str) -> Self {
        let words = || cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        match cell {
            "yes" => Self::Yes,
            no if no.starts_with("no: ") => Self::No(words().remove(0)),
            _ => Self::IfAccepted(words()),
        }
    }

    /// The same as `inspect --json` says it.
    fn shown(outlook: &Value) -> Self {
        let words = |list: &Value| list.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect();
        match (&outlook["possible"], &outlook["accept_processed"], &outlook["code"]) {
            (Value::Bool(true), ..) => Self::Yes,
            (_, list @ Value::Array(_), _) => Self::IfAccepted(words(list)),
            (.., code) => Self::No(code.as_str().unwrap().to_owned()),
        }
    }
}

/// The rows of the table: product, and what its cells say.
fn table() -> BTreeMap<String, [May; 3]> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/levels.md")).unwrap();
    let (_, table) = text.split_once("| product | `dn` | `radiance` | `toa` |\n| --- | --- | --- | --- |\n").unwrap();
    let rows = table.lines().take_while(|l| l.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [product, dn, radiance, toa] = cells[..] else { panic!("{row}") };
        (product.to_owned(), [May::read(dn), May::read(radiance), May::read(toa)])
    })
    .collect()
}

/// A copy of a simulated delivery under other names: `_L1_MSS` becomes `tail`.
fn named(desk: &Desk, delivery: Delivery, tail: &str) -> Changeable {
    let copy = delivery.copy_to(desk, "scene");
    let folder = desk.path("renamed");
    for (name, bytes) in tree(&copy.folder) {
        if let Some((_, file)) = name.split_once("_L1_MSS/") {
            let stem = file.split("_L1_MSS").next().unwrap();
            desk.write(&format!("renamed/{stem}{tail}{}", &file[stem.len() + "_L1_MSS".len()..]), bytes);
        }
    }
    Changeable { folder }
}

/// Replaces the image by one of 8 bits.
fn make_8_bit(scene: &Changeable) {
    let path = scene.file(".tif");
    let old = image::open(&path);
    let (cols, rows) = old.raster_size();
    let band = |number| old.rasterband(number).unwrap().read_band_as::<f64>().unwrap();
    let planes: Vec<Vec<u8>> = (1..=old.raster_count())
        .map(|number| band(number).data().iter().map(|v| (v / 16.0).clamp(1.0, 254.0) as u8).collect())
        .collect();
    drop(old);
    fs::remove_file(&path).unwrap();
    image::write(&path, (rows, cols), &planes, None);
}

fn metadata(scene: &Changeable, from: &str, to: &str) {
    let path = scene.file("_meta.xml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn sidecar(desk: &Desk, part: &str, band: &str, time: Option<&str>) -> PathBuf {
    let tiny = Tiny::new(desk, (3, 5), &[(1..=15).map(|k| 100 * k as u16).collect()], part, &[band]);
    let path = tiny.folder.join("scene.toml");
    let text = fs::read_to_string(&path).unwrap();
    if let Some(time) = time {
        fs::write(&path, text.replace("time = 2026-07-15T02:30:00Z", time)).unwrap();
    }
    tiny.folder
}

const PERIOD: &str = "period = [2026-01-01T00:00:00+08:00, 2026-12-31T00:00:00+08:00]";
const RADIANCE_R: &str = "role = \"R\"\nrange_nm = [630, 690]\nradiance = { gain = 0.07, bias = 0.0 }";

/// A delivery of the kind that a row is about.
fn deliver(desk: &Desk, row: &str) -> PathBuf {
    let small = |tail: &str| named(desk, Delivery::Small, tail);
    let changed = |tail: &str, change: &dyn Fn(&Changeable)| {
        let scene = small(tail);
        change(&scene);
        scene.folder
    };
    match row {
        "`L1`, PAN and MSS" => Delivery::L1.copy_to(desk, "scene").folder,
        "no level in the name" => small("_MSS").folder,
        "`L1`, no coefficients in the metadata" => {
            changed("_L1_MSS", &|s| metadata(s, "AbsCalibrationGain", "SomethingElse"))
        }
        "`L1`, no metadata file" => changed("_L1_MSS", &|s| s.remove("_meta.xml")),
        "`L1A`, a frame by day" => small("_L1A_MSS").folder,
        "`L1A`, a frame by day, 8-bit" => changed("_L1A_MSS", &make_8_bit),
        "`L1A`, a frame at night" => changed("_L1A_MSS", &|s| {
            metadata(s, "Solar", "NotSolar");
            metadata(s, " 10:", " 23:");
        }),
        "`L1B`, a TIFF of that name" => small("_L1B_MSS").folder,
        "`L1C`, fused bands of a GP scene" => small("_L1C").folder,
        "`L1`, `FUSMethod` in the metadata of MSS" => {
            changed("_L1_MSS", &|s| metadata(s, "<DataBits>", "<FUSMethod>B-G-R-NIR</FUSMethod><DataBits>"))
        }
        "`L3C`, PAN and MSS" => Delivery::L3.copy_to(desk, "scene").folder,
        "`L3D`, MSS, 8-bit" => changed("_L3D_MSS", &make_8_bit),
        "`L3D`, PSH" => small("_L3D_PSH").folder,
        "`L3D`, PSH, 8-bit" => changed("_L3D_PSH", &make_8_bit),
        "`L5`, under the name of a scene" => small("_L5_MSS").folder,
        "`L2`, or any other level" => small("_L2_MSS").folder,
        "`scene.toml` with `processed = [\"stretched\"]`" => {
            sidecar(desk, "fill = 0\nprocessed = [\"stretched\"]", RADIANCE_R, None)
        }
        "`scene.toml` with a `period`" => sidecar(desk, "fill = 0", RADIANCE_R, Some(PERIOD)),
        "`scene.toml` with a `period`, reflectance coefficients" => sidecar(desk, "fill = 0", UNIT_R, Some(PERIOD)),
        other => panic!("no delivery for the row `{other}`"),
    }
}

/// Runs a scene and returns the report of it, and how the run ended.
fn run(desk: &Desk, row: &str, scene: &Path, level: &str, more: &[&str]) -> (i32, Value) {
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    let text = match (row.starts_with("`scene.toml`"), row.starts_with("`L3C`")) {
        (false, false) => ortho(&products),
        _ => native("toa", &products),
    };
    let text = text.replace("level = \"toa\"", &format!("level = \"{level}\""));
    let mut arguments = vec!["--json"];
    arguments.extend(more);
    let said = desk.run(&text, &[scene], &arguments);
    (said.code, said.json()["scenes"][0].clone())
}

#[test]
fn every_row_of_the_table_is_what_happens() {
    let table = table();
    assert!(table.len() > 15);
    for (row, cells) in &table {
        let desk = Desk::new();
        let scene = deliver(&desk, row);
        let shown = desk.fieldglow(["inspect", scene.to_str().unwrap(), "--json"]).ends_with(0).json();
        for (level, may) in ["dn", "radiance", "toa"].into_iter().zip(cells) {
            assert_eq!(May::shown(&shown[0]["becomes"][level]), *may, "inspect: {row}, {level}");
            let _ = fs::remove_dir_all(desk.path("out"));
            let (code, report) = run(&desk, row, &scene, level, &[]);
            match may {
                May::Yes => assert_eq!(code, 0, "{row}, {level}: {report}"),
                May::No(expected) => {
                    assert_eq!((code, &report["error"]["code"]), (3, &json!(expected)), "{row}, {level}")
                }
                May::IfAccepted(done) => accepted(&desk, row, &scene, level, done, code, &report),
            }
        }
    }
}

/// A level that was refused, is refused when only something else is accepted, and is made and recorded when all is.
fn accepted(desk: &Desk, row: &str, scene: &Path, level: &str, done: &[String], code: i32, refused: &Value) {
    let message = refused["error"]["message"].as_str().unwrap();
    assert_eq!((code, &refused["error"]["code"]), (3, &json!("calibrate/processed")), "{row}, {level}");
    for part in [format!("level `{level}`"), "radiometry.accept_processed".into(), "level `dn`".into()] {
        assert!(message.contains(&part), "{row}: {message}");
    }
    assert!(tree(&desk.path("out")).is_empty(), "{row}");
    let set = |list: &[&str]| format!("radiometry.accept_processed={}", json!(list));
    for missing in done {
        let others: Vec<_> = ["fused", "stretched", "mosaicked"].into_iter().filter(|p| p != missing).collect();
        let (code, report) = run(desk, row, scene, level, &["--set", &set(&others)]);
        assert_eq!((code, &report["error"]["code"]), (3, &json!("calibrate/processed")), "{row}, {level}");
    }
    let all: Vec<_> = done.iter().map(String::as_str).collect();
    let (code, report) = run(desk, row, scene, level, &["--set", &set(&all)]);
    assert_eq!(code, 0, "{row}, {level}: {report}");
    let warned = report["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == "processed-accepted").count();
    assert_eq!(warned, 1, "{row}, {level}: {report}");
    let items = tree(&desk.path("out")).into_iter().filter(|(n, _)| n.ends_with("/item.json"));
    for (name, bytes) in items {
        let item: Value = serde_json::from_slice(&bytes).unwrap();
        let input = &item["properties"]["fieldglow:input"];
        assert_eq!(input["accept_processed"], json!(done), "{name}");
        let parts = input["processed"].as_object().unwrap();
        let whats: Vec<_> = parts.values().flat_map(|p| p.as_array().unwrap()).map(|p| p["what"].clone()).collect();
        assert_eq!(json!(whats), json!(done), "{name}");
    }
}

#[test]
fn what_is_accepted_is_in_the_key() {
    let desk = Desk::new();
    let scene = deliver(&desk, "`L3D`, PSH");
    let key = |level: &str, list: &str| {
        let set = format!("radiometry.accept_processed={list}");
        run(&desk, "", &scene, level, &["--set", &set]).1["key"].clone()
    };
    let keys = [key("toa", "[\"fused\"]"), key("toa", "[\"fused\", \"stretched\"]"), key("dn", "[]")];
    assert!(keys.iter().all(Value::is_string) && keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");
    assert_eq!(key("toa", "[\"stretched\", \"fused\", \"fused\"]"), keys[1], "the order says nothing");
}

#[test]
fn a_mosaic_over_a_period_is_stored_by_its_middle() {
    let desk = Desk::new();
    let scene = deliver(&desk, "`scene.toml` with a `period`");
    let (code, report) = run(&desk, "`scene.toml`", &scene, "dn", &[]);
    assert_eq!((code, &report["acquisition"]), (0, &json!("20260701T160000Z_tiny")));
    let said = desk.fieldglow(["validate", "out"]).ends_with(0);
    assert!(!said.stdout.contains("problem"), "{}", said.stdout);
    let items = tree(&desk.path("out")).into_iter().filter(|(n, _)| n.ends_with("/item.json"));
    for (_, bytes) in items {
        let item: Value = serde_json::from_slice(&bytes).unwrap();
        let p = &item["properties"];
        assert_eq!(p["datetime"], "2026-07-01T16:00:00Z");
        assert_eq!(
            (&p["start_datetime"], &p["end_datetime"]),
            (&json!("2025-12-31T16:00:00Z"), &json!("2026-12-30T16:00:00Z"))
        );
        assert_eq!(p["fieldglow:input"]["processed"]["MSS"][0]["said_by"], "`scene.toml`, field `period`");
        assert!(p.get("view:sun_elevation").is_none());
    }
}

#[test]
fn mosaics_and_videos_are_refused_with_what_they_are() {
    let desk = Desk::new();
    let small = Delivery::Small.file("_MSS.tif");
    for (name, says) in [
        ("JL1KF01C_200101850_001_L5D_PSH.tif", ["a mosaic, and neither says when", "`period`"]),
        ("JL103B_MSS_20180907120918_200004770_101_001_L1B_MSS.avi", ["a video by its level `L1B`", "level L1A"]),
    ] {
        let path = desk.write(&format!("{name}.d/{name}"), fs::read(&small).unwrap());
        for given in [&path, path.parent().unwrap()] {
            desk.fieldglow(["inspect", given.to_str().unwrap()]).ends_with(3).says(&says).says(&["scene.toml"]);
        }
    }
}

#[test]
fn a_sidecar_says_time_or_period() {
    for (time, says) in [
        ("", "neither"),
        ("time = 2026-07-15T02:30:00Z\nperiod = [2026-01-01T00:00:00Z, 2026-12-31T00:00:00Z]", "both"),
        ("period = [2026-12-31T00:00:00Z, 2026-01-01T00:00:00Z]", "a start before its end"),
        ("period = [2026-01-01, 2026-12-31]", "offset from UTC"),
    ] {
        let desk = Desk::new();
        let scene = sidecar(&desk, "fill = 0", RADIANCE_R, Some(time));
        desk.fieldglow(["inspect", scene.to_str().unwrap()]).ends_with(3).says(&["scene.toml", says]);
    }
    let desk = Desk::new();
    let scene = sidecar(&desk, "fill = 0\nprocessed = [\"sharpened\"]", RADIANCE_R, None);
    desk.fieldglow(["inspect", scene.to_str().unwrap()]).ends_with(3).says(&["scene.toml", "sharpened", "fused"]);
}
