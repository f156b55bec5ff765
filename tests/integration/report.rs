//! The run report: its schema, its sums, and the codes in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::delivery::{Changeable, Delivery, MULTISPECTRAL, ortho};
use crate::harness::{Desk, tree};

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Fails unless a report is what its published schema says.
#[track_caller]
fn conforms(report: &Value) {
    let schema: Value = serde_json::from_str(&document("docs/report.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<_> = validator.iter_errors(report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

/// Fails unless every code in a report is in docs/codes.md.
#[track_caller]
fn codes_are_documented(report: &Value) {
    let known = document("docs/codes.md");
    let scenes = report["scenes"].as_array().unwrap();
    let warnings = scenes.iter().flat_map(|s| s["warnings"].as_array().unwrap()).map(|w| &w["code"]);
    let errors = scenes.iter().chain([report]).map(|s| &s["error"]).filter(|e| !e.is_null());
    for code in warnings.chain(errors.flat_map(|e| [&e["code"], &e["class"]])) {
        assert!(known.contains(&format!("| `{}` |", code.as_str().unwrap())), "{code} is not in docs/codes.md");
    }
}

/// The multispectral part of a delivery under another mission number, in a folder of its own.
fn copy_as(desk: &Desk, delivery: Delivery, number: usize) -> Changeable {
    let folder = desk.path(format!("many/{number:02}"));
    for (name, bytes) in tree(&delivery.folder()) {
        let Some((_, file)) = name.split_once("_MSS/") else { continue };
        let mut tokens: Vec<String> = file.split('_').map(str::to_owned).collect();
        tokens[3] = format!("{:09}", 300_000_000 + number);
        desk.write(&format!("many/{number:02}/{}", tokens.join("_")), bytes);
    }
    Changeable { folder }
}

fn set(scene: &Changeable, field: &str, value: &str) {
    scene.set("MSS", field, value);
}

/// What breaks a scene, and the class and code of the error it fails with.
type Break = (fn(&Changeable), &'static str, &'static str);

const BREAKS: [Break; 9] = [
    (|s| set(s, "AbsCalibrationGain", "0.1,0.1,0.1"), "input", "scene/field"),
    (|s| set(s, "AbsCalibrationGain", "0.1,0.1,-0.1,0.1"), "input", "scene/field"),
    (
        |s| {
            s.edit("MSS", "Solar", "NotSolar");
            s.edit("MSS", " 10:", " 23:");
        },
        "input",
        "calibrate/sun-below-horizon",
    ),
    (|s| fs::write(s.file("_MSS.tif"), b"").unwrap(), "input", "scene/truncated"),
    (
        |s| {
            let bytes = fs::read(s.file("_MSS.tif")).unwrap();
            fs::write(s.file("_MSS.tif"), &bytes[..bytes.len() / 2]).unwrap();
        },
        "input",
        "scene/truncated",
    ),
    (|s| s.remove("_rpc.txt"), "input", "engine/placement"),
    (|s| s.remove("_meta.xml"), "input", "calibrate/no-coefficients"),
    (|s| fs::write(s.file("_meta.xml"), "<MetaData>").unwrap(), "input", "scene/syntax"),
    (
        |s| {
            for file in tree(&s.folder).into_keys() {
                fs::remove_file(s.folder.join(file)).unwrap();
            }
        },
        "input",
        "scene/not-a-delivery",
    ),
];

/// Twenty scenes, ten broken in ten ways: exit code 2, ten whole scenes, and a report that says which and why.
#[test]
fn a_real_report_conforms_and_names_every_broken_scene() {
    let desk = Desk::new();
    let mut scenes: Vec<PathBuf> = Vec::new();
    let mut expected = Vec::new();
    for (k, (damage, class, code)) in BREAKS.into_iter().enumerate() {
        let bad = copy_as(&desk, Delivery::Small, 2 * k + 1);
        damage(&bad);
        expected.push((format!("{:09}", 300_000_001 + 2 * k), bad.folder.clone(), class, code));
        scenes.extend([copy_as(&desk, Delivery::Small, 2 * k).folder, bad.folder]);
    }
    let far = copy_as(&desk, Delivery::Far, 97).folder;
    expected.push(("300000097".into(), far.clone(), "input", "read/does-not-cover"));
    scenes.extend([far, copy_as(&desk, Delivery::Small, 98).folder]);
    let paths: Vec<&Path> = scenes.iter().map(PathBuf::as_path).collect();
    let arguments = ["--report", "r.json", "--threads", "2", "--memory", "512MiB"];
    desk.run(&ortho(MULTISPECTRAL), &paths, &arguments).ends_with(2);
    let report: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
    conforms(&report);
    codes_are_documented(&report);

    let scenes = report["scenes"].as_array().unwrap();
    for (id, folder, class, code) in expected {
        let named = |s: &&Value| {
            let name = s["scene"].as_str().unwrap();
            name.contains(&id) || Path::new(name) == folder
        };
        let error = &scenes.iter().find(named).unwrap_or_else(|| panic!("{id}"))["error"];
        assert_eq!((&error["class"], &error["code"]), (&json!(class), &json!(code)), "{error}");
    }
    let totals = &report["totals"];
    let sum = |pointer: &str| -> f64 { scenes.iter().map(|s| s.pointer(pointer).unwrap().as_f64().unwrap()).sum() };
    let counts = ["scenes", "done", "failed", "not_tried"].map(|key| totals[key].as_u64().unwrap());
    assert_eq!(counts, [20, 10, 10, 0]);
    assert_eq!(
        (&report["exit_code"], &report["threads"], &report["memory_bytes"]),
        (&2.into(), &2.into(), &(512 << 20).into())
    );
    for field in ["bytes_written", "cells_unchanged", "cells_empty", "reads/requests", "reads/samples", "reads/bytes"] {
        let pointer = format!("/{field}");
        assert_eq!(totals.pointer(&pointer).unwrap().as_f64().unwrap(), sum(&pointer), "{field}");
    }
    // 480 pixels of four bands of two bytes, in a few windows, each read at least once.
    for scene in scenes.iter().filter(|s| s["outcome"] == "done") {
        let reads = &scene["reads"];
        let samples = reads["samples"].as_u64().unwrap();
        assert!(samples >= 4 * 480 && reads["bytes"] == json!(2 * samples), "{reads}");
        assert_eq!(reads["requests"].as_u64().unwrap() % 4, 0);
        assert_eq!(scene["read_amplification"].as_f64().unwrap(), samples as f64 / (4.0 * 480.0));
    }
    let peak = report["peak_resident_bytes"].as_u64().unwrap();
    assert!((1 << 20..2 << 30).contains(&peak), "{peak}");
    // What is odd about a scene is said also when it fails.
    let odd = scenes.iter().find(|s| s["error"]["code"] == "calibrate/no-coefficients").unwrap();
    let warnings: Vec<_> = odd["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(warnings.contains(&&json!("metadata-missing")), "{warnings:?}");
    let stands = tree(&desk.path("out")).into_keys().filter(|n| n.contains("/scenes/") && n.ends_with("/item.json"));
    assert_eq!(stands.count(), 10);
}

#[test]
fn the_schema_that_is_printed_is_the_published_one_and_means_something() {
    let desk = Desk::new();
    let printed = desk.fieldglow(["check", "--schema=report"]).ends_with(0).json();
    assert_eq!(printed, serde_json::from_str::<Value>(&document("docs/report.schema.json")).unwrap());
    let report = desk.run(&ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &["--json"]).ends_with(0).json();
    conforms(&report);
    let validator = jsonschema::validator_for(&printed).unwrap();
    for (pointer, wrong) in [
        ("/exit_code", json!("0")),
        ("/scenes/0/outcome", json!("fine")),
        ("/scenes/0/warnings/0/code", json!("no-such-code")),
        ("/totals", json!(null)),
        ("/scenes/0/reads", json!({})),
    ] {
        let mut broken = report.clone();
        *broken.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&broken), "{pointer}");
    }
}

#[test]
fn a_run_that_has_nothing_to_do_or_cannot_go_on_has_a_report_too() {
    let desk = Desk::new();
    let text = ortho(MULTISPECTRAL);
    let small = Delivery::Small.folder();
    desk.run(&text, &[&small], &[]).ends_with(0);
    let report = desk.run(&text, &[&small], &["--json"]).ends_with(0).json();
    conforms(&report);
    assert_eq!((&report["totals"]["cells_written"], &report["totals"]["reads"]["requests"]), (&0.into(), &0.into()));
    assert!(report["totals"]["cells_unchanged"].as_u64().unwrap() > 0);
    let report = desk.run(&text, &[&desk.path("nowhere")], &["--json", "--fail-fast"]).ends_with(3).json();
    conforms(&report);
    codes_are_documented(&report);
    assert_eq!((&report["exit_code"], &report["scenes"][0]["error"]["code"]), (&3.into(), &json!("scene/read")));
    let report = desk.run(&text, &[&small], &["--json", "--cells", "NOWHERE"]).ends_with(3).json();
    conforms(&report);
    assert_eq!(report["error"]["code"], "engine/no-such-cell");
}
