//! From the metadata of another vendor to a scene.

use std::fs;

use serde_json::json;

use super::files::*;
use crate::harness::Desk;

/// Lines of a real `MTL.txt`, USGS, public domain: cogeotiff/rio-tiler-pds @ f8b93f3, in
/// `tests/fixtures/landsat-pds/c1/L8/016/037/LC08_L1TP_016037_20170813_20170814_01_RT` the file
/// `LC08_L1TP_016037_20170813_20170814_01_RT_MTL.txt`, lines 1–2, 6, 11–13, 17, 24–25 (identity, time), 48–55 (files,
/// here with shorter names), 66–68, 76–77, 96 (cloud, sun), 165, 191–192, 195, 200–201, 204, 206 (reflectance) and
/// 224–225.
const MTL: &str = "GROUP = L1_METADATA_FILE
  GROUP = METADATA_FILE_INFO
    LANDSAT_PRODUCT_ID = \"LC08_L1TP_016037_20170813_20170814_01_RT\"
  END_GROUP = METADATA_FILE_INFO
  GROUP = PRODUCT_METADATA
    DATA_TYPE = \"L1TP\"
    SPACECRAFT_ID = \"LANDSAT_8\"
    DATE_ACQUIRED = 2017-08-13
    SCENE_CENTER_TIME = \"15:54:15.7884640Z\"
    FILE_NAME_BAND_1 = \"LC08_B1.TIF\"
    FILE_NAME_BAND_2 = \"LC08_B2.TIF\"
    FILE_NAME_BAND_3 = \"LC08_B3.TIF\"
    FILE_NAME_BAND_4 = \"LC08_B4.TIF\"
    FILE_NAME_BAND_5 = \"LC08_B5.TIF\"
    FILE_NAME_BAND_6 = \"LC08_B6.TIF\"
    FILE_NAME_BAND_7 = \"LC08_B7.TIF\"
    FILE_NAME_BAND_8 = \"LC08_B8.TIF\"
  END_GROUP = PRODUCT_METADATA
  GROUP = IMAGE_ATTRIBUTES
    CLOUD_COVER = 26.70
    SUN_AZIMUTH = 126.81463739
    SUN_ELEVATION = 62.17310472
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_4 = 2.0000E-05
    REFLECTANCE_MULT_BAND_5 = 2.0000E-05
    REFLECTANCE_MULT_BAND_8 = 2.0000E-05
    REFLECTANCE_ADD_BAND_4 = -0.100000
    REFLECTANCE_ADD_BAND_5 = -0.100000
    REFLECTANCE_ADD_BAND_8 = -0.100000
  END_GROUP = RADIOMETRIC_RESCALING
END_GROUP = L1_METADATA_FILE
END
";

#[test]
fn a_landsat_product_becomes_a_scene() {
    let desk = Desk::new();
    let place = Moment { beijing: "", lat: 33.2, lon: -80.1, zenith: 0.0, azimuth: 0.0 };
    let band = Tiff { bands: 1, mapped: true, gsd: 30.0, ..MSS };
    for name in ["LC08_B4.TIF", "LC08_B5.TIF"] {
        tiff(&desk, &format!("d/{name}"), &band, &place);
    }
    tiff(&desk, "d/LC08_B8.TIF", &Tiff { gsd: 15.0, rows: 40, cols: 48, ..band }, &place);
    write(&desk, "d/LC08_MTL.txt", MTL);
    let folder = desk.path("d");
    let text = desk.fieldglow(["describe", folder.to_str().unwrap()]).ends_with(0).stdout;
    let same = desk.fieldglow(["describe", folder.join("LC08_MTL.txt").to_str().unwrap()]).ends_with(0).stdout;
    assert_eq!(text, same);
    fs::write(folder.join("scene.toml"), text).unwrap();
    let shown = desk.fieldglow(["inspect", "--json", folder.to_str().unwrap()]).ends_with(0).json();
    let scene = &shown[0];
    assert_eq!(scene["id"], "LC08_L1TP_016037_20170813_20170814_01_RT");
    assert_eq!((&scene["time"], &scene["cloud_percent"]), (&json!("2017-08-13T15:54:15.788464Z"), &json!(26.7)));
    assert!((scene["sun_zenith_deg"].as_f64().unwrap() - (90.0 - 62.17310472)).abs() < 1e-9);
    let parts = scene["parts"].as_array().unwrap();
    let roles: Vec<Vec<&str>> = parts
        .iter()
        .map(|p| p["bands"].as_array().unwrap().iter().map(|b| b["role"].as_str().unwrap()).collect())
        .collect();
    assert_eq!(roles, [vec!["PAN"], vec!["R", "N"]]);
    let reflectance = &parts[1]["bands"][0]["calibration"]["reflectance"];
    assert_eq!((&reflectance["gain"], &reflectance["bias"]), (&json!(2e-5), &json!(-0.1)));
    assert_eq!(reflectance["sun_corrected"], false);
    assert_eq!(scene["becomes"]["toa"]["possible"], true);
    // Time, place and sun of a real product agree.
    assert!(scene["warnings"].as_array().unwrap().is_empty(), "{:#}", scene["warnings"]);
    desk.fieldglow(["describe", desk.path(".").to_str().unwrap()]).ends_with(3).says(&["_MTL.txt", "DIM_"]);
}
