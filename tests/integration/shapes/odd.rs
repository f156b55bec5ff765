//! What is odd, one thing at a time, in a delivery that is ordinary otherwise.

use std::fs;
use std::path::PathBuf;

use super::files::*;
use super::jilin1::{GAINS, Meta};
use crate::harness::Desk;

const STEM: &str = "JL1GF03D13_PMS_20251111104735_200091752_102_0044_001_L1";

/// Pan and multispectral of one acquisition: the structure is that of [`Meta`], what is odd in it is made up.
fn deliver(desk: &Desk) -> PathBuf {
    Meta::new("JL1GF03D13", "PMS", NOVEMBER_2025, PAN).write(desk, &format!("d/{STEM}_PAN"));
    Meta::new("JL1GF03D13", "PMS", NOVEMBER_2025, MSS).write(desk, &format!("d/{STEM}_MSS"))
}

fn edit(desk: &Desk, part: &str, from: &str, to: &str) {
    let path = desk.path(format!("d/{STEM}_{part}_meta.xml"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn both(desk: &Desk, from: &str, to: &str) {
    edit(desk, "PAN", from, to);
    edit(desk, "MSS", from, to);
}

/// Codes that come on top of what every such delivery has.
fn codes(desk: &Desk, more: &[&str]) -> Vec<(String, String)> {
    let folder = desk.path("d");
    let args = ["inspect", "--json", folder.to_str().unwrap()].into_iter().chain(more.iter().copied());
    let shown = desk.fieldglow(args).ends_with(0).json();
    assert_eq!(shown.as_array().unwrap().len(), 1);
    let mut codes: Vec<(String, String)> = shown[0]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (w["code"].as_str().unwrap().into(), w["severity"].as_str().unwrap().into()))
        .filter(|(code, _)| code != "band-range-assumed")
        .collect();
    codes.sort();
    codes.dedup();
    codes
}

/// What is odd, the change that makes it so, further arguments, and the codes with their severities.
type Row = (&'static str, fn(&Desk), &'static [&'static str], &'static [(&'static str, &'static str)]);

pub fn check() {
    let elevation = format!("{:.6}", 90.0 - NOVEMBER_2025.zenith);
    assert_eq!(elevation, "28.252101");
    let table: &[Row] = &[
        ("nothing", |_| {}, &["--pixels"], &[]),
        (
            "zenith taken for elevation",
            |d| both(d, "<SolarElevation>28.252101", "<SolarElevation>61.747899"),
            &[],
            &[("calibrate/sun-conflict", "error")],
        ),
        (
            "UTC taken for Beijing time",
            |d| both(d, "Time>2025-11-11 10:47:35", "Time>2025-11-11 02:47:35"),
            &[],
            &[("calibrate/sun-conflict", "error"), ("time-mismatch", "warning")],
        ),
        (
            "a pixel size of another camera",
            |d| edit(d, "MSS", "<ImageRowGSD>3<", "<ImageRowGSD>12<"),
            &[],
            &[("gsd-mismatch", "warning")],
        ),
        ("corners of another scene", |d| edit(d, "PAN", ">126.", ">127."), &[], &[("footprint-mismatch", "warning")]),
        (
            "corners in the order of a raster",
            |d| {
                edit(d, "PAN", "LowerLeft", "LowerX");
                edit(d, "PAN", "LowerRight", "LowerLeft");
                edit(d, "PAN", "LowerX", "LowerRight");
            },
            &[],
            &[("footprint-odd", "warning")],
        ),
        (
            "the RPC of another scene beside the pan image",
            |d| {
                let elsewhere = Moment { lon: NOVEMBER_2025.lon + 0.5, ..NOVEMBER_2025 };
                write(d, &format!("d/{STEM}_PAN_rpc.txt"), rpc_txt(&PAN, &elsewhere));
            },
            &[],
            &[("footprint-mismatch", "warning"), ("parts-apart", "error")],
        ),
        (
            "a pan image of half the columns, its RPC unchanged",
            |d| {
                let name = format!("d/{STEM}_PAN.tif");
                let rpc = fs::read(d.path(format!("d/{STEM}_PAN_rpc.txt"))).unwrap();
                fs::remove_file(d.path(&name)).unwrap();
                tiff(d, &name, &Tiff { cols: 48, ..PAN }, &NOVEMBER_2025);
                write(d, &format!("d/{STEM}_PAN_rpc.txt"), rpc);
            },
            &[],
            &[("parts-ratio", "warning")],
        ),
        (
            "DN per radiance in place of radiance per DN",
            |d| edit(d, "MSS", GAINS, "10.8,11.5,13.6,19.9"),
            &[],
            &[("coefficients-implausible", "error")],
        ),
        (
            "a gain ten times too great, seen in the pixels",
            |d| edit(d, "MSS", GAINS, "0.3,0.3,0.3,0.3"),
            &["--pixels"],
            &[("reflectance-range", "error")],
        ),
        (
            "samples beyond the stated bits",
            |d| both(d, "<DataBits>12", "<DataBits>10"),
            &["--pixels"],
            &[("dn-above-bits", "warning")],
        ),
        ("bits that no sample has", |d| both(d, "<DataBits>12", "<DataBits>24"), &[], &[("data-bits", "note")]),
        (
            "another camera in the metadata",
            |d| both(d, ">JL1GF03D13<", ">JL1GF03D14<"),
            &[],
            &[("name-mismatch", "warning")],
        ),
        (
            "another level in the metadata",
            |d| both(d, "<ProductLevel>L1<", "<ProductLevel>L4<"),
            &[],
            &[("level-unknown", "note"), ("name-mismatch", "warning")],
        ),
        (
            "parts of different hours",
            |d| edit(d, "MSS", "Time>2025-11-11 10:4", "Time>2025-11-11 10:3"),
            &[],
            &[("parts-disagree", "warning")],
        ),
        (
            "end before start",
            |d| both(d, "<StartTime>2025-11-11 10", "<StartTime>2025-11-11 12"),
            &[],
            &[("time-order", "note")],
        ),
        (
            "no metadata of one part",
            |d| fs::remove_file(d.path(format!("d/{STEM}_MSS_meta.xml"))).unwrap(),
            &[],
            &[("metadata-missing", "warning")],
        ),
    ];
    for (what, change, more, expected) in table {
        let desk = Desk::new();
        deliver(&desk);
        change(&desk);
        let found = codes(&desk, more);
        let found: Vec<_> = found.iter().map(|(c, s)| (c.as_str(), s.as_str())).collect();
        assert_eq!(found, *expected, "{what}");
    }
}

/// The first scene that is shown after a change to its multispectral metadata.
fn shown(change: impl FnOnce(String) -> String) -> serde_json::Value {
    let desk = Desk::new();
    let folder = Meta::new("JL1GF03D13", "PMS", NOVEMBER_2025, MSS).write(&desk, &format!("d/{STEM}_MSS"));
    let path = desk.path(format!("d/{STEM}_MSS_meta.xml"));
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed);
    fs::write(path, changed).unwrap();
    let mut list = desk.fieldglow(["inspect", "--json", folder.to_str().unwrap()]).ends_with(0).json();
    list[0].take()
}

/// Each was met by a public reader: in Jason001028/sr_agent_platform @ 2998d28, `SR_code/code_0817_prod.py`, lines
/// 156–158 (saturation from the bits, cloud cover as an integer); @ b2ba3d6, `SR_code/util.py`, lines 585–600 (MTF not
/// stated); @ 064b94d, `docs/sr_code/production-scene-naming.md`, line 46 (Beijing time). The others were read in files
/// whose repository, or the place in it, is not known.
pub fn traps() {
    let has =
        |scene: &serde_json::Value, code: &str| scene["warnings"].as_array().unwrap().iter().any(|w| w["code"] == code);
    // A cloud cover that is no number crashes an integer parse.
    let scene = shown(|t| t.replace("<CloudPercent>3<", "<CloudPercent>θ<"));
    assert!(scene["cloud_percent"].is_null() && has(&scene, "cloud-percent"));

    // Zenith or elevation, by the name of the element alone.
    let scene = shown(|t| {
        t.replace("SolarElevation>28.252101", "SolarZenith>61.747899").replace("/SolarElevation", "/SolarZenith")
    });
    assert_eq!((scene["sun_zenith_deg"].as_f64(), has(&scene, "sun-conflict")), (Some(61.747899), false));

    // No azimuth before sensor correction.
    let scene = shown(|t| t.replace("<SolarAzimuth>171.836995<", "<SolarAzimuth><"));
    assert!(scene["sun_azimuth_deg"].is_null() && scene["sun_zenith_deg"].is_f64());

    // Corners under other names, misspelt, as points, beyond 180.
    let plain = shown(|t| t.replace("<Bands>4", "<Bands>04"))["corners"].clone();
    assert_eq!(plain.as_array().unwrap().len(), 4);
    let aliases = |t: String| t.replace("Upper", "Top").replace("Lower", "Bottom").replace("Longitude", "Longtitude");
    assert_eq!(shown(aliases)["corners"], plain);
    let nested = |t: String| {
        let corners = ["UpperLeft", "UpperRight", "LowerRight", "LowerLeft"];
        corners.iter().fold(t, |t, c| {
            t.replace(&format!("<{c}Latitude>"), &format!("<{c}><Latitude>"))
                .replace(&format!("</{c}Latitude>"), "</Latitude>")
                .replace(&format!("<{c}Longitude>"), "<Longitude>")
                .replace(&format!("</{c}Longitude>"), &format!("</Longitude></{c}>"))
        })
    };
    assert_eq!(shown(nested)["corners"], plain);
    let east = |t: String| t.replace("Longitude>126.", "Longitude>186.");
    assert!(shown(east)["corners"][0][0].as_f64().unwrap() < -173.0);

    // Beijing time without a zone becomes UTC, its text is kept; the same digits with a Z are noticed.
    let scene = shown(|t| t.replace("<CenterTime>2025-11-11 10:47:35", "<CenterTime>2025-11-11T10:47:35Z"));
    assert!(scene["time"] == "2025-11-11T10:47:35Z" && has(&scene, "time-mismatch"));
    let scene = shown(|t| t.replace("<Bands>4", "<Bands>04"));
    assert_eq!(
        (&scene["time"], &scene["time_original"]),
        (&"2025-11-11T02:47:35Z".into(), &"2025-11-11 10:47:35".into())
    );
    assert_eq!(scene["time_original_offset"], "+08:00");

    // 12 bits in 16: saturation is theirs.
    assert_eq!(scene["parts"][0]["data_bits"], 12);

    // Not stated is not "no".
    let scene = shown(|t| t.replace("<MtfCompensation>YES</MtfCompensation>\n", ""));
    assert!(scene["parts"][0]["mtf_compensated"].is_null());
    let scene = shown(|t| t.replace(">YES<", ">NO<"));
    assert_eq!(scene["parts"][0]["mtf_compensated"], false);

    // Roll of video satellites has another name.
    let scene = shown(|t| t.replace("RollSatelliteAngle", "RollSatelliteAngleMajor"));
    assert_eq!(scene["off_nadir_deg"], 5.5);

    // The items of a hyperspectral list, its blocks' times and sizes: the shapes of GP01 and GP02.
}
