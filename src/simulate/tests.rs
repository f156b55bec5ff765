//! Whole deliveries, read back with GDAL; formulas are written out here, not borrowed.

use std::cell::RefCell;
use std::f64::consts::PI;
use std::path::Path;

use gdal::{Dataset, Metadata};
use serde_json::Value;

use super::*;

mod night;

fn small(folder: &Path, rows: usize, cols: usize) -> Options {
    let mut options = Options::new(folder);
    (options.mss_rows, options.mss_cols) = (rows, cols);
    options
}

fn run(options: &Options) -> Summary {
    simulate(options, &|_, _| ()).unwrap()
}

fn band(dataset: &Dataset, band: usize) -> Vec<f64> {
    dataset.rasterband(band).unwrap().read_band_as::<f64>().unwrap().data().to_vec()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Every file below a folder with its bytes, by name.
fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Mean reflectance of a square of pixels around (`line`, `sample`), by the formulas of the truth file.
fn mean_reflectance(dn: &[f64], cols: usize, (line, sample): (f64, f64), half: i64, band: &Value, sun: &Value) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for dr in -half..=half {
        for dc in -half..=half {
            let (r, c) = (line.round() as i64 + dr, sample.round() as i64 + dc);
            sum += dn[r as usize * cols + c as usize];
            count += 1.0;
        }
    }
    let radiance = number(&band["gain"]) * sum / count + number(&band["bias"]);
    let irradiance = number(&band["e0_w_m2_um"]) * number(&sun["zenith_deg"]).to_radians().cos();
    PI * radiance * number(&sun["distance_au"]).powi(2) / irradiance
}

#[test]
fn gdal_reads_images_and_sensor_models() {
    let folder = tempfile::tempdir().unwrap();
    let options = small(folder.path(), 80, 97);
    let steps = RefCell::new(Vec::new());
    let summary = simulate(&options, &|done, total| steps.borrow_mut().push((done, total))).unwrap();
    assert_eq!(summary.images.len(), 2);
    for ((image, ratio), bands) in summary.images.iter().zip([4, 1]).zip([1, 4]) {
        let dataset = Dataset::open(image).unwrap();
        assert_eq!(dataset.raster_size(), (97 * ratio, 80 * ratio));
        assert_eq!(dataset.raster_count(), bands);
        assert!(dataset.geo_transform().is_err() && dataset.projection().is_empty());
        let rpc = |key| -> f64 {
            let text = dataset.metadata_item(key, "RPC").unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        };
        assert_eq!(rpc("LINE_OFF"), (80.0 * ratio as f64 - 1.0) / 2.0);
        assert_eq!(rpc("SAMP_OFF"), 48.5 * ratio as f64 - 0.5);
        assert!((rpc("LONG_OFF") - 125.35).abs() < 1e-3 && (rpc("LAT_OFF") - 43.88).abs() < 1e-3);
        assert_eq!(dataset.metadata_item("LINE_DEN_COEFF", "RPC").unwrap().split_whitespace().count(), 20);
    }
    for (part, residual) in &summary.rpc {
        assert!(residual.max_px <= 0.01, "{part} {residual:?}");
    }
    let steps = steps.into_inner();
    assert!(steps.windows(2).all(|w| w[0].0 < w[1].0));
    assert_eq!(steps.last(), Some(&(80 * 97 * 17, 80 * 97 * 17)));
    assert_eq!(Dataset::open(&summary.truth_rasters[0]).unwrap().raster_size(), (97, 80));
}

#[test]
fn patches_come_back_as_the_reflectance_that_was_put_in() {
    for kind in [Kind::L1, Kind::L3] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = small(folder.path(), 301, 280);
        (options.kind, options.scene, options.roll_deg) = (kind, Scene::Day { pan: false }, 14.0);
        let summary = run(&options);
        let truth = json(&summary.truth);
        let dataset = Dataset::open(&summary.images[0]).unwrap();
        let patches = truth["patches"]["list"].as_array().unwrap();
        assert!(patches.len() >= 3, "{}", patches.len());
        for (i, role) in (1..).zip(["B", "G", "R", "N"]) {
            let dn = band(&dataset, i);
            let spec = truth["radiometry"]["bands"].as_array().unwrap().iter().find(|b| b["role"] == role).unwrap();
            for patch in patches {
                let at = (number(&patch["mss_line"]), number(&patch["mss_sample"]));
                let half = (number(&patch["half_m"]) / 3.0 / 1.3) as i64;
                let found = mean_reflectance(&dn, 280, at, half, spec, &truth["sun"]);
                let expected = number(&patch["reflectance"][role]);
                // One digital number is at most 0.00018 of reflectance; noise of 3 of them, averaged, times 4.
                let bound = 0.00018 * (4.0 * 3.0 / (2.0 * half as f64 + 1.0) + 0.1);
                assert!((found - expected).abs() < bound, "{kind:?} {role} {found} for {expected}, half {half}");
            }
        }
    }
}

#[test]
fn orthorectified_delivery_is_the_truth_on_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = small(folder.path(), 64, 75);
    (options.kind, options.noise_dn) = (Kind::L3, 0.0);
    let summary = run(&options);
    let (pan, mss) = (Dataset::open(&summary.images[0]).unwrap(), Dataset::open(&summary.images[1]).unwrap());
    let reference = Dataset::open(&summary.truth_rasters[0]).unwrap();
    let transform = mss.geo_transform().unwrap();
    assert_eq!(transform, reference.geo_transform().unwrap());
    assert_eq!(pan.geo_transform().unwrap()[0], transform[0]);
    assert_eq!(pan.geo_transform().unwrap()[1], 0.75);
    assert_eq!(mss.spatial_ref().unwrap().auth_code().unwrap(), 32651);
    assert!(summary.rpc.is_empty() && mss.metadata_item("LINE_OFF", "RPC").is_none());
    let truth = json(&summary.truth);
    let spec = &truth["radiometry"]["bands"][4];
    let (dn, reflectance) = (band(&mss, 4), band(&reference, 4));
    let mut valid = 0;
    for (i, dn_value) in dn.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        let at = ((i / 75) as f64, (i % 75) as f64);
        let found = mean_reflectance(&dn, 75, at, 0, spec, &truth["sun"]);
        assert!((found - reflectance[i]).abs() < 0.0001, "{i} {dn_value} {found} {}", reflectance[i]);
        valid += 1;
    }
    assert!(valid > 64 * 75 * 8 / 10);
}

#[test]
fn borders_are_black_and_the_same_in_both_parts() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&small(folder.path(), 45, 61));
    let pan = band(&Dataset::open(&summary.images[0]).unwrap(), 1);
    let mss = band(&Dataset::open(&summary.images[1]).unwrap(), 3);
    assert!(mss.contains(&0.0) && mss.iter().filter(|v| **v > 0.0).count() > 45 * 61 * 3 / 4);
    for (i, v) in pan.iter().enumerate() {
        let (row, col) = (i / 244, i % 244);
        assert_eq!(*v > 0.0, mss[row / 4 * 61 + col / 4] > 0.0, "{row} {col}");
    }
}

#[test]
fn bytes_depend_on_options_alone() {
    let make = |threads: usize, seed: u64| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = small(folder.path(), 33, 150);
        (options.seed, options.compression, options.scene) =
            (seed, Compression::Deflate, Scene::Day { pan: seed == 1 });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // GDAL's handles stay on the calling thread; `install` moves the whole run to one of the pool's.
        pool.install(|| run(&options));
        files(folder.path())
    };
    let one = make(1, 1);
    assert_eq!(one.len(), 10, "{:?}", one.keys());
    assert!(one == make(3, 1));
    let (mine, other) = (&one["dem.tif"], &make(2, 2)["dem.tif"]);
    assert_ne!(mine, other);
}

#[test]
fn elevation_model_holds_the_relief_around_the_scene() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = small(folder.path(), 40, 40);
    (options.scene, options.relief_m) = (Scene::Day { pan: false }, 100.0);
    let summary = run(&options);
    let dataset = Dataset::open(&summary.dem).unwrap();
    let transform = GeoTransform::from_gdal(dataset.geo_transform().unwrap());
    let (cols, rows) = dataset.raster_size();
    let heights = band(&dataset, 1);
    let camera = Camera::new(&options);
    for (line, sample) in [(0.0, 0.0), (39.0, 0.0), (0.0, 39.0), (39.0, 39.0), (19.5, 19.5)] {
        let place = camera.ground(line, sample);
        let (col, row) = transform.pixel_from_world(place.lon_deg, place.lat_deg);
        assert!(col > 8.0 && row > 8.0 && col < cols as f64 - 8.0 && row < rows as f64 - 8.0, "{col} {row}");
        // Bilinear between pixel centres.
        let (c, r) = ((col - 0.5).floor(), (row - 0.5).floor());
        let (s, t) = (col - 0.5 - c, row - 0.5 - r);
        let at = |dr: usize, dc: usize| heights[(r as usize + dr) * cols + c as usize + dc];
        let height = (at(0, 0) * (1.0 - s) + at(0, 1) * s) * (1.0 - t) + (at(1, 0) * (1.0 - s) + at(1, 1) * s) * t;
        assert!((height - place.height_m).abs() < 0.1, "{height} for {}", place.height_m);
    }
}

#[test]
fn pointing_error_moves_the_written_model_alone() {
    let read = |shift| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = small(folder.path(), 16, 16);
        options.rpc_shift_px = shift;
        let summary = run(&options);
        let pan = Dataset::open(&summary.images[0]).unwrap();
        let offset =
            |key| -> f64 { pan.metadata_item(key, "RPC").unwrap().split_whitespace().next().unwrap().parse().unwrap() };
        (offset("LINE_OFF"), offset("SAMP_OFF"), band(&pan, 1), summary.rpc)
    };
    let (still, moved) = (read((0.0, 0.0)), read((2.5, -1.25)));
    assert_eq!((moved.0 - still.0, moved.1 - still.1), (10.0, -5.0));
    assert_eq!((still.2, still.3), (moved.2, moved.3));
}

#[test]
fn a_folder_that_cannot_be_made_is_a_storage_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = simulate(&small(&file, 16, 16), &|_, _| ()).unwrap_err();
    assert_eq!(error.class(), Class::Storage);
    assert!(error.to_string().contains("file"));
}

#[test]
fn truth_is_to_be_had_on_any_grid() {
    let folder = tempfile::tempdir().unwrap();
    let options = small(folder.path(), 16, 16);
    let path = folder.path().join("truth.tif");
    let transform = GeoTransform::north_up(688_700.0, 4_861_300.0, 2.0);
    truth_raster(&options, Layer::Reflectance, &path, transform, 21, 33).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!((dataset.raster_size(), dataset.raster_count()), ((33, 21), 4));
    assert!(band(&dataset, 4).iter().all(|v| (0.01..0.6).contains(v)));
    let error = truth_raster(&options, Layer::Reflectance, &path, transform, 0, 33).unwrap_err();
    assert_eq!(error.class(), Class::Config);
}
