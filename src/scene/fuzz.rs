//! Readers of this module on any bytes, for [`crate::fuzzing`].

use std::path::{Path, PathBuf};

use super::gaofen::name as gaofen;
use super::jilin1::name as jilin1;
use super::naming::Naming;
use super::rpc_file::SCALARS;
use super::{
    Calibration, Role, Rpc, Scene, SensorModel, coefficients, files, footprint, metadata, rpc_file, sidecar, stac,
};

/// Names of images and metadata. The id of a scene is a name too, that of the same scene.
pub fn names(_: &Path, data: &[u8]) -> bool {
    let name = String::from_utf8_lossy(data);
    if let Some(found) = jilin1::parse(&name) {
        let id = found.scene_id();
        let again = jilin1::parse(&id);
        assert!(again.as_ref().is_some_and(|a| a.same_scene(&found)), "{name}: {id}: {again:?}");
        let parts = |n: &jilin1::Name| (n.satellite.clone(), n.sensor.clone(), n.time, n.level.clone());
        assert_eq!(again.as_ref().map(parts), Some(parts(&found)), "{name}");
    }
    if let Some(found) = gaofen::parse(&name) {
        let id = found.scene_id();
        let again = gaofen::parse(&id);
        let parts = |n: &gaofen::Name| (n.scene_id(), n.satellite.clone(), n.sensor.clone(), n.date, n.level.clone());
        assert_eq!(again.as_ref().map(parts), Some(parts(&found)), "{name}");
        let is_tile = matches!(found.part, Some(gaofen::PartToken::Tile(_)));
        assert_eq!(gaofen::is_tile_of(&id, &found.stem), is_tile, "{name}");
    }
    let mut is_name = false;
    for file in [format!("{name}.tif"), name.to_string()] {
        if let Some(naming) = Naming::of_image(&file) {
            is_name = true;
            check_id(&naming.scene_id());
            assert!(naming.same_scene(&naming) && naming.order() < 300, "{name}");
        }
    }
    for file in [format!("{name}_meta.xml"), format!("{name}.xml"), name.to_string()] {
        if let Some(naming) = Naming::of_metadata(&file) {
            is_name = true;
            check_id(&naming.scene_id());
        }
    }
    is_name
}

/// Ids become names of folders and keys.
fn check_id(id: &str) {
    assert!(!id.is_empty() && !id.contains(['/', '\\']) && !id.chars().any(char::is_control), "{id:?}");
}

/// Metadata of all vendors: what is found is within its limits.
pub fn metadata(_: &Path, data: &[u8]) -> bool {
    let Ok(found) = metadata::parse(Path::new("a_meta.xml"), &files::decode(data)) else { return false };
    if let Some(sun) = found.sun {
        assert!((0.0..=180.0).contains(&sun.zenith.0), "{sun:?}");
        assert!(sun.azimuth_deg.is_none_or(|a| (0.0..=360.0).contains(&a)), "{sun:?}");
    }
    if let Some(corners) = found.corners {
        assert!(corners.iter().all(on_earth), "{corners:?}");
    }
    let gsd = found.bands.values().filter_map(|band| band.gsd_m).chain(found.gsd_m);
    gsd.for_each(|(a, b)| assert!(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite(), "{a} {b}"));
    for gain in found.gains.iter().flatten().flatten().chain(found.plain_gains.iter().flat_map(|(_, list)| list)) {
        assert!(*gain > 0.0 && gain.is_finite(), "{gain}");
    }
    assert!(found.biases.iter().flatten().flatten().all(|bias| bias.is_finite()));
    assert!(found.cloud_percent.is_none_or(|p| (0.0..=100.0).contains(&p)), "{:?}", found.cloud_percent);
    true
}

fn on_earth((lon, lat): &(f64, f64)) -> bool {
    (-180.0..=180.0).contains(lon) && (-90.0..=90.0).contains(lat)
}

/// RPC files: a model written again, in both forms, is the same model.
pub fn rpc(_: &Path, data: &[u8]) -> bool {
    let path = Path::new("a_rpc.txt");
    let Ok(rpc) = rpc_file::parse(path, &files::decode(data)) else { return false };
    check_rpc(&rpc);
    for text in [rpc_txt(&rpc), rpb(&rpc)] {
        let again = rpc_file::parse(path, &text);
        assert!(again.as_ref().is_ok_and(|again| *again == rpc), "{rpc:?}\n{text}\n{again:?}");
    }
    true
}

fn check_rpc(rpc: &Rpc) {
    assert!(rpc.numbers().all(f64::is_finite) && on_earth(&(rpc.lon_off, rpc.lat_off)), "{rpc:?}");
    let scales = [rpc.row_scale, rpc.col_scale, rpc.lat_scale, rpc.lon_scale, rpc.height_scale];
    assert!(scales.iter().all(|s| *s != 0.0), "{rpc:?}");
}

fn polynomials(rpc: &Rpc) -> [(&str, &str, &[f64; 20]); 4] {
    [
        ("LINE_NUM_COEFF", "lineNumCoef", &rpc.row_num),
        ("LINE_DEN_COEFF", "lineDenCoef", &rpc.row_den),
        ("SAMP_NUM_COEFF", "sampNumCoef", &rpc.col_num),
        ("SAMP_DEN_COEFF", "sampDenCoef", &rpc.col_den),
    ]
}

/// `numbers` begins with row, column, latitude, longitude and height: offsets, then scales.
fn scalars(rpc: &Rpc) -> impl Iterator<Item = (&'static str, &'static str, f64)> {
    SCALARS.into_iter().zip(rpc.numbers()).map(|((txt, rpb), value)| (txt, rpb, value))
}

fn rpc_txt(rpc: &Rpc) -> String {
    let mut text: String = scalars(rpc).map(|(key, _, value)| format!("{key}: {value:?} units\n")).collect();
    for (key, _, list) in polynomials(rpc) {
        text.extend((1..).zip(list).map(|(n, c)| format!("{key}_{n}: {c:?}\n")));
    }
    text
}

fn rpb(rpc: &Rpc) -> String {
    let mut text: String = scalars(rpc).map(|(_, key, value)| format!("{key} = {value:?};\n")).collect();
    for (_, key, list) in polynomials(rpc) {
        let list: Vec<_> = list.iter().map(|c| format!("{c:?}")).collect();
        text += &format!("{key} = (\n{});\n", list.join(",\n"));
    }
    text
}

/// `scene.toml` beside an image: the scene names no file elsewhere, and its numbers are sane.
pub fn sidecar(folder: &Path, data: &[u8]) -> bool {
    let image = folder.join("image.tif");
    if !image.exists() {
        assert!(std::fs::write(&image, include_bytes!("../../fuzz/seeds/tiff/plain.tif")).is_ok());
    }
    let path = folder.join("scene.toml");
    assert!(std::fs::write(&path, data).is_ok());
    check_id(&sidecar::id(&path));
    let Ok(scene) = sidecar::open(&path) else { return false };
    check_scene(folder, &scene);
    true
}

fn check_scene(folder: &Path, scene: &Scene) {
    check_id(&scene.id);
    check_id(&scene.acquisition());
    assert!(!scene.parts.is_empty() && scene.center().is_none_or(|c| on_earth(&c)), "{:?}", scene.center());
    for part in &scene.parts {
        assert!(part.files().iter().all(|file| file.starts_with(folder)), "{:?}", part.files());
        if let SensorModel::Rpc(rpc) = &part.sensor_model {
            check_rpc(rpc);
        }
        part.bands.iter().for_each(|band| check_calibration(&band.calibration));
    }
}

/// True for a text that is a sidecar by its form.
pub fn is_sidecar(text: &str) -> bool {
    sidecar::is_sidecar(text)
}

/// `coefficients.toml`: coefficients are numbers that can be used.
pub fn coefficients(folder: &Path, data: &[u8]) -> bool {
    assert!(std::fs::write(folder.join(coefficients::FILE), data).is_ok());
    let Ok(user) = coefficients::User::beside(&folder.join("a.tif")) else { return false };
    for (satellite, sensor, role) in [("GF2", "PMS1", Role::B), ("GF1", "PMS2", Role::Pan), ("GF6", "WFV", Role::N)] {
        if let Some(calibration) = user.calibration(satellite, sensor, 2021, role) {
            check_calibration(&calibration);
            assert!(user.file_for(satellite, sensor, 2021).is_some());
        }
    }
    true
}

fn check_calibration(calibration: &Calibration) {
    if let Calibration::Radiance { gain, bias, .. } | Calibration::Reflectance { gain, bias, .. } = calibration {
        assert!(*gain > 0.0 && gain.is_finite() && bias.is_finite(), "{calibration:?}");
    }
}

/// STAC Items as scenes: relative references stay below the folder.
pub fn stac_scene(folder: &Path, data: &[u8]) -> bool {
    let text = files::decode(data);
    for file in ["a.tif", "a_meta.xml", "a_rpc.txt"].map(|name| folder.join(name)) {
        assert!(file.exists() || std::fs::write(&file, "").is_ok());
    }
    let Ok(item) = stac::parse(&folder.join("item.json"), &text) else { return false };
    assert!(!item.data.is_empty());
    let is_elsewhere = |path: &&PathBuf| !path.starts_with(folder);
    // An absolute reference goes where it says.
    for path in item.data.iter().chain(&item.metadata).filter(is_elsewhere) {
        assert!(path.is_absolute(), "{path:?}");
    }
    true
}

/// A footprint `.shp`; its index and table are those of one polygon.
pub fn footprint(folder: &Path, data: &[u8]) -> bool {
    const SEED: [(&str, &[u8]); 2] = [
        ("a.shx", include_bytes!("../../fuzz/seeds/polygon.shx")),
        ("a.dbf", include_bytes!("../../fuzz/seeds/polygon.dbf")),
    ];
    for (name, bytes) in SEED {
        let path = folder.join(name);
        assert!(path.exists() || std::fs::write(&path, bytes).is_ok());
    }
    let path = folder.join("a.shp");
    assert!(std::fs::write(&path, data).is_ok());
    let Some(corners) = footprint::corners(&path) else { return false };
    assert!(corners.iter().all(on_earth), "{corners:?}");
    true
}
