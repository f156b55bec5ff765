//! Deliveries of every shape that is read, and what `inspect --json` says of each.
//!
//! No delivery of either vendor is published. Each fixture has the structure that public readers of real ones rely on; its
//! comment names them. Suns were computed by pvlib (NREL SPA), not by the program.

mod described;
mod files;
mod gaofen;
mod jilin1;
mod odd;
mod run;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Desk;

/// Name of a part, roles, and gain and bias of each band, `None` for none.
type ExpectedPart = (&'static str, &'static [&'static str], &'static [Option<(f64, f64)>]);

/// What is expected of a scene.
struct Expected {
    id: &'static str,
    platform: &'static str,
    instrument: Option<&'static str>,
    level: Option<&'static str>,
    /// Centre time, UTC.
    utc: &'static str,
    /// Zenith and azimuth of the sun; `None` where the metadata have none.
    sun: Option<(f64, f64)>,
    parts: &'static [ExpectedPart],
    /// Codes of all warnings, sorted.
    odd: &'static [&'static str],
}

/// A delivery: the folder or file that is named, and its scenes.
type Shape = (&'static str, fn(&Desk) -> PathBuf, &'static [Expected]);

fn close(a: &Value, b: f64) -> bool {
    a.as_f64().is_some_and(|a| (a - b).abs() <= 1e-9 * b.abs().max(1.0))
}

#[track_caller]
fn check(name: &str, shown: &Value, expected: &Expected) {
    let texts = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|v| v[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(shown["id"], expected.id, "{name}");
    assert_eq!(shown["platform"], expected.platform, "{name}");
    assert_eq!(shown["instrument"], json!(expected.instrument), "{name}");
    assert_eq!(shown["level"], json!(expected.level), "{name}");
    assert_eq!(shown["time"], expected.utc, "{name}");
    match expected.sun {
        Some((zenith, azimuth)) => {
            assert!(close(&shown["sun_zenith_deg"], zenith), "{name}: {}", shown["sun_zenith_deg"]);
            assert!(close(&shown["sun_azimuth_deg"], azimuth), "{name}: {}", shown["sun_azimuth_deg"]);
        }
        None => assert_eq!(shown["sun_zenith_deg"], Value::Null, "{name}"),
    }
    let parts = shown["parts"].as_array().unwrap();
    let names: Vec<_> = parts.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, expected.parts.iter().map(|p| p.0).collect::<Vec<_>>(), "{name}");
    for (part, (part_name, roles, coefficients)) in parts.iter().zip(expected.parts) {
        assert_eq!(texts(&part["bands"], "role"), *roles, "{name}, {part_name}");
        for (band, expected) in part["bands"].as_array().unwrap().iter().zip(*coefficients) {
            let shown = &band["calibration"];
            match expected {
                Some((gain, bias)) => {
                    let both = close(&shown["radiance"]["gain"], *gain) && close(&shown["radiance"]["bias"], *bias);
                    assert!(both && shown["radiance"]["source"].is_string(), "{name}, {part_name}: {shown}");
                }
                None => assert!(shown["missing"].is_string(), "{name}, {part_name}: {shown}"),
            }
        }
        assert_eq!(roles.len(), coefficients.len(), "{name}: the table itself");
    }
    let mut odd = texts(&shown["warnings"], "code");
    odd.sort_unstable();
    assert_eq!(odd, expected.odd, "{name}: {:#}", shown["warnings"]);
    for w in shown["warnings"].as_array().unwrap() {
        let severity = w["severity"].as_str().unwrap();
        assert!(["note", "warning", "error"].contains(&severity), "{name}: {w}");
        assert!(w["remedy"].as_str().unwrap().len() > 10 && w["message"].as_str().unwrap().len() > 10, "{name}: {w}");
    }
}

fn check_all(shapes: &[Shape]) {
    for (name, make, expected) in shapes {
        let desk = Desk::new();
        let place = make(&desk);
        let said = desk.fieldglow(["inspect", "--json", place.to_str().unwrap()]).ends_with(0);
        let shown = said.json();
        let shown = shown.as_array().unwrap();
        assert_eq!(shown.len(), expected.len(), "{name}: {:?}", shown.iter().map(|s| &s["id"]).collect::<Vec<_>>());
        for (shown, expected) in shown.iter().zip(*expected) {
            check(name, shown, expected);
        }
        // What people read says the same, if in other words.
        let text = desk.fieldglow(["inspect", place.to_str().unwrap()]).ends_with(0).stdout;
        for expected in *expected {
            assert!(text.contains(expected.id), "{name}: {text}");
            assert!(expected.odd.iter().all(|code| text.contains(&format!("[{code}]"))), "{name}: {text}");
        }
    }
}

#[test]
fn there_are_shapes_enough() {
    assert!(jilin1::SHAPES.len() + gaofen::SHAPES.len() >= 30);
}

#[test]
fn jilin1_deliveries_of_every_family_open() {
    check_all(jilin1::SHAPES);
}

#[test]
fn gaofen_deliveries_of_every_camera_open() {
    check_all(gaofen::SHAPES);
}

#[test]
fn every_oddity_is_found_in_an_otherwise_ordinary_delivery() {
    odd::check();
}

#[test]
fn traps_that_other_readers_fell_into_are_none() {
    odd::traps();
}
