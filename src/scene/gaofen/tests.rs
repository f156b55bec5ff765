//! Deliveries of each satellite, and where their coefficients come from.

use std::path::Path;

use super::*;
use crate::scene::naming::Naming;
use crate::scene::testing::{rpb_text, write_tiff};
use crate::scene::{Calibration, SensorModel};
use crate::sun::sun_position;

const PMS: &str = "GF1_PMS1_E125.3_N43.9_20180715_L1A0000090284";

/// The flat XML of these products, by the elements that public readers ask for: acolite/acolite, `acolite/gf/metadata.py`
/// lines 23 to 37; GISdeveloper2017/imetadata, `c_satFilePlugins_gf1_B_C_D.py` lines 110 to 250.
fn xml(satellite: &str, sensor: &str, center: &str, utc: &str, more: &str) -> String {
    let sun = sun_position(utc.parse().unwrap(), 43.9, 125.35);
    let corner = |name: &str, lon: f64, lat: f64| {
        format!("<{name}Latitude>{lat}</{name}Latitude><{name}Longitude>{lon}</{name}Longitude>")
    };
    let corners = [
        corner("TopLeft", 125.3, 43.95),
        corner("TopRight", 125.4, 43.95),
        corner("BottomRight", 125.4, 43.85),
        corner("BottomLeft", 125.3, 43.85),
    ]
    .concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"GB2312\"?>\n<ProductMetaData><SatelliteID>{satellite}</SatelliteID>\
         <SensorID>{sensor}</SensorID><ProductLevel>LEVEL1A</ProductLevel><CenterTime>{center}</CenterTime>\
         <ImageGSD>8</ImageGSD><CloudPercent>4</CloudPercent><SolarAzimuth>{:.3}</SolarAzimuth>\
         <SolarZenith>{:.3}</SolarZenith><SatelliteZenith>6</SatelliteZenith><RollViewingAngle>-3</RollViewingAngle>\
         {corners}{more}</ProductMetaData>",
        sun.azimuth_deg, sun.zenith_deg
    )
}

fn write(folder: &Path, stem: &str, bands: usize, xml: &str) -> PathBuf {
    let image = folder.join(format!("{stem}.tiff"));
    write_tiff(&image, 8, 10, bands);
    std::fs::write(folder.join(format!("{stem}.xml")), xml).unwrap();
    std::fs::write(folder.join(format!("{stem}.rpb")), rpb_text()).unwrap();
    image
}

fn open_all(images: &[PathBuf]) -> Result<Scene, SceneError> {
    let found: Vec<_> = images.iter().map(|image| Found::of(image).unwrap()).collect();
    let named: Vec<_> = found
        .iter()
        .map(|found| match &found.name {
            Naming::Gaofen(name) => (found, name),
            other => panic!("{other:?}"),
        })
        .collect();
    open(&found[0].name.scene_id(), &named)
}

fn gains(scene: &Scene) -> Vec<Option<f64>> {
    let gain = |c: &Calibration| match c {
        Calibration::Radiance { gain, .. } => Some(*gain),
        _ => None,
    };
    scene.parts.iter().flat_map(|p| p.bands.iter().map(|b| gain(&b.calibration))).collect()
}

fn codes(scene: &Scene) -> Vec<&'static str> {
    scene.warnings.iter().map(|w| w.code.text()).collect()
}

fn ordinary(more: &str) -> String {
    xml("GF1", "PMS1", "2018-07-15 11:00:00", "2018-07-15T03:00:00Z", more)
}

#[test]
fn pan_and_multispectral_of_a_year_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let images =
        [("MSS1", 4), ("PAN1", 1)].map(|(part, n)| write(dir.path(), &format!("{PMS}-{part}"), n, &ordinary("")));
    let scene = open_all(&images).unwrap();
    assert_eq!((scene.id.as_str(), scene.level.as_deref()), (PMS, Some("L1A")));
    assert_eq!(scene.parts.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["PAN", "MSS"]);
    assert_eq!(gains(&scene), [0.1428, 0.1530, 0.1356, 0.1366, 0.1272].map(Some));
    assert!(matches!(&scene.parts[1].bands[0].calibration, Calibration::Radiance { source, .. }
        if source.contains("GF1 PMS1 2018") && source.contains("sd_radcalcoeff_2018.pro")));
    assert!(matches!(scene.parts[0].sensor_model, SensorModel::Rpc(_)));
    assert_eq!(
        (scene.time.center.to_string(), scene.time.original_offset.as_str()),
        ("2018-07-15T03:00:00Z".into(), "+08:00")
    );
    assert_eq!((scene.platform.as_deref(), scene.instrument.as_deref()), (Some("gf1"), Some("pms1")));
    assert_eq!((scene.view.unwrap().zenith_deg, scene.view.unwrap().off_nadir_deg), (Some(6.0), Some(3.0)));
    assert_eq!((scene.parts[0].gsd_m, scene.parts[0].fill, codes(&scene)), (Some((8.0, 8.0)), Some(0.0), vec![]));
    assert_eq!(scene.metadata_files.len(), 4);
}

#[test]
fn the_metadata_beat_the_table_and_the_user_beats_both() {
    let dir = tempfile::tempdir().unwrap();
    let stem = format!("{PMS}-MSS1");
    let image = write(dir.path(), &stem, 4, &ordinary("<AbsCeof>0.1458,0.1213,0.123,0.1185</AbsCeof>"));
    let scene = open_all(std::slice::from_ref(&image)).unwrap();
    assert_eq!(gains(&scene), [0.1458, 0.1213, 0.123, 0.1185].map(Some));
    assert!(matches!(&scene.parts[0].bands[1].calibration, Calibration::Radiance { source, .. }
        if source == &format!("{stem}.xml: AbsCeof, item 2")));
    let user = "schema = 1\n[[camera]]\nsatellite = \"GF1\"\nsensor = \"PMS1\"\nyear = 2018\nbands = [\"G\"]\ngain = [0.5]\n\
                bias = [1.5]\nsource = \"letter of 2019-01-08\"\n";
    std::fs::write(dir.path().join("coefficients.toml"), user).unwrap();
    let scene = open_all(std::slice::from_ref(&image)).unwrap();
    assert_eq!(gains(&scene), [0.1458, 0.5, 0.123, 0.1185].map(Some));
    assert_eq!(scene.metadata_files.len(), 3, "the file is part of the scene's identity");
    // A list that fits no band is not replaced by the table behind the user's back.
    std::fs::remove_file(dir.path().join("coefficients.toml")).unwrap();
    write(dir.path(), &stem, 4, &ordinary("<AbsCeof>0.1458,0.1213</AbsCeof>"));
    let scene = open_all(&[image]).unwrap();
    assert!(
        matches!(&scene.parts[0].bands[0].calibration, Calibration::Missing { reason } if reason.contains("2 numbers for 4 bands"))
    );
}

#[test]
fn a_year_that_is_not_in_the_table_has_no_coefficients() {
    let dir = tempfile::tempdir().unwrap();
    let stem = PMS.replace("20180715", "20230715") + "-MSS1";
    let xml = xml("GF1", "PMS1", "2023-07-15 11:00:00", "2023-07-15T03:00:00Z", "<AbsCeof></AbsCeof>");
    let scene = open_all(&[write(dir.path(), &stem, 4, &xml)]).unwrap();
    assert!(matches!(&scene.parts[0].bands[0].calibration, Calibration::Missing { reason }
        if reason.contains("in 2023") && reason.contains("2013 to 2019") && reason.contains("coefficients.toml")));
}

#[test]
fn doubtful_coefficients_are_remarked_on_once() {
    let dir = tempfile::tempdir().unwrap();
    let stem = "GF1_WFV1_E125.3_N43.9_20130715_L1A0000090284";
    let xml = xml("GF1", "WFV1", "2013-07-15 11:00:00", "2013-07-15T03:00:00Z", "");
    let scene = open_all(&[write(dir.path(), stem, 4, &xml)]).unwrap();
    assert_eq!(codes(&scene), ["coefficients-doubtful"]);
    assert!(scene.warnings[0].message.contains("B, G, R, N of GF1 WFV1 in 2013"), "{}", scene.warnings[0].message);
    assert_eq!(scene.parts[0].name, "MSS");
}

#[test]
fn tiles_are_scenes_that_share_their_metadata_but_not_the_corners() {
    let dir = tempfile::tempdir().unwrap();
    let stem = "GF6_WFV_E125.3_N43.9_20190715_L1A1119836057";
    for tile in 1..=3 {
        let image = dir.path().join(format!("{stem}-{tile}.tiff"));
        write_tiff(&image, 8, 10, 8);
        std::fs::write(dir.path().join(format!("{stem}-{tile}.rpb")), rpb_text()).unwrap();
    }
    let whole = dir.path().join(format!("{stem}.xml"));
    std::fs::write(&whole, xml("GF6", "WFV", "2019-07-15 11:00:00", "2019-07-15T03:00:00Z", "")).unwrap();
    let found = crate::scene::group(&[dir.path().into()]).unwrap();
    let ids: Vec<_> = found.iter().map(|d| d.id().to_string()).collect();
    assert_eq!(ids, [1, 2, 3].map(|tile| format!("{stem}-{tile}")));
    assert_eq!(crate::scene::group(&[whole]).unwrap().len(), 3);
    let scene = found[2].open().unwrap();
    assert_eq!((scene.corners, scene.sun.is_some(), scene.metadata_files.len()), (None, true, 2));
    assert_eq!(
        scene.roles().iter().map(|r| r.code()).collect::<Vec<_>>(),
        ["B", "G", "R", "N", "RE1", "RE2", "A", "Y"]
    );
    assert_eq!(gains(&scene)[4..], [0.0532, 0.0453, 0.0786, 0.0585].map(Some));
    assert!(scene.center().is_some());
}

#[test]
fn name_and_metadata_that_disagree_are_remarked_on_and_the_metadata_used() {
    let dir = tempfile::tempdir().unwrap();
    let image = |xml: &str| write(dir.path(), &format!("{PMS}-MSS1"), 4, xml);
    let scene = open_all(&[image(&ordinary("").replace(">PMS1<", ">PMS2<").replace("LEVEL1A", "LEVEL2A"))]).unwrap();
    assert_eq!(codes(&scene), ["name-mismatch", "name-mismatch"]);
    assert_eq!((scene.instrument.as_deref(), scene.level.as_deref()), (Some("pms2"), Some("L2A")));
    assert_eq!(gains(&scene)[0], Some(0.1523));
    let less = open_all(&[image(&ordinary("").replace(">PMS1<", ">PMS<"))]).unwrap();
    assert_eq!((codes(&less), less.instrument.as_deref()), (vec![], Some("pms1")));
    let late = xml("GF1", "PMS1", "2018-07-18 11:00:00", "2018-07-18T03:00:00Z", "");
    assert_eq!(codes(&open_all(&[image(&late)]).unwrap()), ["time-mismatch"]);
}

#[test]
fn without_a_time_there_is_no_scene() {
    let dir = tempfile::tempdir().unwrap();
    let image = write(dir.path(), &format!("{PMS}-MSS1"), 4, "<ProductMetaData/>");
    let message = open_all(std::slice::from_ref(&image)).unwrap_err().to_string();
    assert!(message.contains("CenterTime") && message.contains("-MSS1.tiff"), "{message}");
    let odd = write(dir.path(), &format!("{PMS}-PAN1"), 3, &ordinary(""));
    assert!(open_all(&[odd]).unwrap_err().to_string().contains("3 bands"));
}
