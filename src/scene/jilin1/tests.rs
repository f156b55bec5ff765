//! Deliveries of one and two parts, and what can be wrong with them.

use std::path::Path;

use gdal::Metadata;

use super::*;
use crate::grid::Crs;
use crate::scene::naming::Naming;
use crate::scene::testing::{STEM, meta_xml, rpb_text, rpc_text, write_part, write_tiff, write_tiff_with};
use crate::scene::{Band, Calibration, SensorModel};

/// The images of one scene.
fn open_all(images: &[&Path]) -> Result<Scene, SceneError> {
    let found: Vec<_> = images.iter().map(|image| Found::of(image).unwrap()).collect();
    let named: Vec<_> = found
        .iter()
        .map(|found| match &found.name {
            Naming::Jilin1(name) => (found, name),
            other => panic!("{other:?}"),
        })
        .collect();
    open(&found[0].name.scene_id(), &named)
}

/// A folder with one part, its stem given, and what `change` does to it.
fn opened(stem: &str, part: &str, change: impl FnOnce(&Path)) -> Result<Scene, SceneError> {
    let dir = tempfile::tempdir().unwrap();
    let image = write_part(dir.path(), stem, part);
    change(dir.path());
    open_all(&[&image])
}

fn mss() -> String {
    format!("{STEM}_MSS")
}

fn set_meta(dir: &Path, from: &str, to: &str) {
    let path = dir.join(format!("{}_meta.xml", mss()));
    let text = meta_xml("MSS");
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn codes(scene: &Scene) -> Vec<&'static str> {
    scene.warnings.iter().map(|w| w.code.text()).collect()
}

fn gains(scene: &Scene) -> Vec<f64> {
    let gain = |b: &Band| match b.calibration {
        Calibration::Radiance { gain, .. } => gain,
        _ => f64::NAN,
    };
    scene.parts.iter().flat_map(|p| p.bands.iter().map(gain)).collect()
}

#[test]
fn an_ordinary_part_is_read_whole() {
    let scene = opened(&mss(), "MSS", |_| {}).unwrap();
    assert_eq!((scene.id.as_str(), scene.level.as_deref()), (STEM, Some("L1")));
    assert_eq!(scene.constellation.as_deref(), Some("jilin-1"));
    assert_eq!((scene.platform.as_deref(), scene.instrument.as_deref()), (Some("jl1kf01a"), Some("pms06")));
    assert_eq!(scene.acquisition(), format!("20260715T023000Z_{STEM}"));
    assert_eq!(scene.time.interval.unwrap().1.to_string(), "2026-07-15T02:30:01Z");
    assert_eq!((scene.time.original.as_str(), scene.time.original_offset.as_str()), ("2026-07-15 10:30:00", "+08:00"));
    let part = &scene.parts[0];
    assert_eq!((part.name.as_str(), part.rows, part.cols, part.data_bits), ("MSS", 8, 10, Some(12)));
    assert_eq!((part.fill, part.gsd_m, part.mtf_compensated), (Some(0.0), Some((3.1, 3.0)), Some(true)));
    assert_eq!(scene.roles(), [Role::B, Role::G, Role::R, Role::N]);
    assert_eq!(gains(&scene), [0.11, 0.12, 0.13, 0.14]);
    assert!(matches!(&part.bands[3].calibration, Calibration::Radiance { bias: 2.5, source, .. }
        if source == &format!("{}_meta.xml: AbsCalibrationGain and AbsCalibrationBias, item 4", mss())));
    assert!(matches!(&part.sensor_model, SensorModel::Rpc(rpc) if rpc.row_off == 3.5 && rpc.col_off == 4.5));
    assert_eq!(codes(&scene), ["band-range-assumed"]);
    assert_eq!(scene.metadata_files.len(), 2);
    assert_eq!(scene.center().map(|(lon, lat)| (lon.round(), lat.round())), Some((125.0, 44.0)));
}

#[test]
fn a_list_that_does_not_match_the_bands_is_refused_by_file_and_field() {
    for (from, to, field) in [
        ("0.11,0.12,0.13,0.14", "0.11,0.12,0.13", "AbsCalibrationGain"),
        ("0.11,0.12,0.13,0.14", "0.1,0.11,0.12,0.13,0.14", "AbsCalibrationGain"),
        ("-1,0,1,2.5", "0", "AbsCalibrationBias"),
    ] {
        let m = opened(&mss(), "MSS", |dir| set_meta(dir, from, to)).unwrap_err().to_string();
        assert!(m.contains("_MSS_meta.xml") && m.contains(field) && m.contains("expected 4 numbers"), "{m}");
    }
}

#[test]
fn the_fused_image_of_a_gp_scene_starts_at_item_three() {
    let stem = STEM.replace("JL1KF01A", "JL1GP01").replace("L1", "L1C").replace("JL1CGP", "JL1GP");
    let list = |from: u32| (from..from + 20).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let scene = opened(&stem, "MSS", |dir| {
        let xml = meta_xml("MSS").replace("JL1KF01A", "JL1GP01");
        let xml = xml.replace("0.11,0.12,0.13,0.14", &list(1)).replace("-1,0,1,2.5", &list(100));
        std::fs::write(dir.join(format!("{stem}_meta.xml")), xml).unwrap();
    });
    assert_eq!(gains(&scene.unwrap()), [4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn missing_coefficients_leave_dn() {
    let scene = opened(&mss(), "MSS", |dir| set_meta(dir, "-1,0,1,2.5", "")).unwrap();
    assert!(matches!(&scene.parts[0].bands[0].calibration, Calibration::Missing { reason }
        if reason.contains("_MSS_meta.xml") && reason.contains("AbsCalibrationBias")));
    let scene = opened(&mss(), "MSS", |dir| std::fs::remove_file(dir.join(format!("{}_meta.xml", mss()))).unwrap());
    let scene = scene.unwrap();
    assert!(matches!(scene.parts[0].bands[0].calibration, Calibration::Missing { .. }));
    assert_eq!(scene.time.center.to_string(), "2026-07-15T02:30:00Z");
    assert_eq!(codes(&scene), ["metadata-missing", "band-range-assumed", "time-from-name"]);
    assert_eq!(scene.sun, None);
}

#[test]
fn times_are_cross_checked() {
    let utc =
        opened(&mss(), "MSS", |dir| set_meta(dir, "<CenterTime>2026-07-15 10", "<CenterTime>2026-07-15 02")).unwrap();
    assert!(codes(&utc).contains(&"time-mismatch"));
    assert!(utc.warnings.last().unwrap().message.contains("-8.0 hours"));
    let middle = opened(&mss(), "MSS", |dir| set_meta(dir, "<CenterTime>2026-07-15 10:30:00", "<CenterTime>")).unwrap();
    assert_eq!(middle.time.center.to_string(), "2026-07-15T02:30:00Z");
    let turned = opened(&mss(), "MSS", |dir| set_meta(dir, "10:29:59", "10:31:59")).unwrap();
    assert_eq!(turned.time.interval, None);
    assert!(codes(&turned).contains(&"time-order"));
}

#[test]
fn rpc_is_found_by_stem_then_by_part_and_never_of_the_other_part() {
    let rpc_of = |change: fn(&Path)| {
        let scene = opened(&format!("{}_978899", mss()), "MSS", |dir| {
            std::fs::remove_file(dir.join(format!("{}_978899_rpc.txt", mss()))).unwrap();
            change(dir);
        });
        scene.map(|mut s| s.parts.remove(0).sensor_model)
    };
    let rpb = rpc_of(|dir| std::fs::write(dir.join(format!("{}_978899.RPB", mss())), rpb_text()).unwrap());
    assert!(matches!(rpb, Ok(SensorModel::Rpc(_))));
    let loose = rpc_of(|dir| std::fs::write(dir.join(format!("{}_RPC.txt", mss())), rpc_text()).unwrap());
    assert!(matches!(loose, Ok(SensorModel::Rpc(_))));
    let pan = rpc_of(|dir| std::fs::write(dir.join(format!("{STEM}_PAN_rpc.txt")), rpc_text()).unwrap());
    assert!(matches!(&pan, Ok(SensorModel::Unknown { reason }) if reason.contains("_978899_rpc.txt")), "{pan:?}");
    let two = rpc_of(|dir| {
        for order in ["111111", "222222"] {
            std::fs::write(dir.join(format!("{}_{order}_rpc.txt", mss())), rpc_text()).unwrap();
        }
    });
    assert!(matches!(two, Err(SceneError::Ambiguous { .. })));
    let bad = rpc_of(|dir| std::fs::write(dir.join(format!("{}_978899_rpc.txt", mss())), "LINE_OFF: x").unwrap());
    assert!(bad.unwrap_err().to_string().contains("_rpc.txt"));
}

#[test]
fn a_map_projection_wins_over_a_leftover_rpc_and_the_rpc_over_a_crop_origin() {
    let model = |epsg: Option<u32>| {
        let stem = mss().replace("L1", "L3C").replace("JL3C", "JL1");
        let scene = opened(&stem, "MSS", |dir| {
            write_tiff_with(&dir.join(format!("{stem}.tif")), 8, 10, 4, |ds| {
                ds.set_geo_transform(&[5e5, 3.0, 0.0, 4.86e6, 0.0, -3.0]).unwrap();
                if let Some(code) = epsg {
                    ds.set_spatial_ref(&Crs::from_epsg(code).unwrap().spatial_ref().unwrap()).unwrap();
                }
            });
            // GDAL deletes the RPC file along with the image it replaces.
            std::fs::write(dir.join(format!("{stem}_rpc.txt")), rpc_text()).unwrap();
        });
        let scene = scene.unwrap();
        (scene.level.clone(), scene.metadata_files.len(), scene.parts[0].sensor_model.clone())
    };
    let (level, files, projected) = model(Some(32651));
    assert_eq!((level.as_deref(), files), (Some("L1"), 1), "the level is the metadata's");
    assert!(matches!(projected, SensorModel::Projected { crs, .. } if crs.epsg() == Some(32651)));
    let crop = model(None).2;
    assert!(matches!(crop, SensorModel::Rpc(_)), "{crop:?}");
}

#[test]
fn an_rpc_far_from_its_image_is_remarked_on() {
    let scene = opened(&mss(), "MSS", |dir| {
        let rpc = rpc_text().replace("+000004.00 pixels", "+000001.00 pixels");
        std::fs::write(dir.join(format!("{}_rpc.txt", mss())), rpc).unwrap();
    });
    assert!(codes(&scene.unwrap()).contains(&"rpc-misfit"));
}

#[test]
fn band_counts_without_a_known_order_are_refused() {
    let with_bands = |stem: &str, bands: usize| {
        opened(stem, "MSS", |dir| {
            write_tiff(&dir.join(format!("{stem}.tif")), 8, 10, bands);
            let numbers = vec!["1"; bands].join(",");
            let xml = meta_xml("MSS").replace("JL1KF01A", stem.split('_').next().unwrap());
            let xml = xml.replace("0.11,0.12,0.13,0.14", &numbers).replace("-1,0,1,2.5", &numbers);
            std::fs::write(dir.join(format!("{stem}_meta.xml")), xml).unwrap();
        })
    };
    for (stem, bands) in [(mss(), 3), (mss(), 5), (mss(), 1), (format!("{STEM}_PAN"), 4), (format!("{STEM}_B3"), 1)] {
        let error = with_bands(&stem, bands).unwrap_err();
        assert!(
            matches!(&error, SceneError::Unsupported { .. }) && error.to_string().contains("scene.toml"),
            "{error}"
        );
    }
    let family = |from: &str| mss().replace("JL1KF01A_PMS06", from);
    assert_eq!(with_bands(&family("JL101A_PMS"), 3).unwrap().roles(), [Role::B, Role::G, Role::R]);
    assert_eq!(with_bands(&family("JL1GF03C01_MSS"), 3).unwrap().roles(), [Role::R, Role::G, Role::B]);
    let plain = with_bands(STEM, 1).unwrap();
    assert_eq!((plain.parts[0].name.as_str(), plain.roles()), ("PAN", vec![Role::Pan]));
}

#[test]
fn impossible_bits_are_dropped_with_a_warning() {
    let scene = opened(&mss(), "MSS", |dir| set_meta(dir, ">12<", ">24<")).unwrap();
    assert_eq!(scene.parts[0].data_bits, None);
    assert!(codes(&scene).contains(&"data-bits"));
}

#[test]
fn parts_that_contradict_each_other_are_remarked_on() {
    let dir = tempfile::tempdir().unwrap();
    let [pan, mss] = ["PAN", "MSS"].map(|part| write_part(dir.path(), &format!("{STEM}_{part}"), part));
    assert_eq!(codes(&open_all(&[&pan, &mss]).unwrap()), ["band-range-assumed"]);
    set_meta(dir.path(), ">62.5<", ">27.5<");
    let scene = open_all(&[&pan, &mss]).unwrap();
    assert!(codes(&scene).contains(&"parts-disagree"));
    assert_eq!(scene.sun.unwrap().zenith.0, 27.5);
}

const GP: &str = "JL1GP01_PMS_20190810145244_200185191_104_0011_001_L1";

/// Metadata of a hyperspectral scene: times and sizes in the blocks of the bands, lists from B0 on.
fn gp_xml() -> String {
    let block = |n: usize| {
        let gsd = [5.0, 10.0, 20.0][usize::from(n > 6) + usize::from(n > 12)];
        format!(
            "<BAND_B{n}><StartTime>2019-08-10 14:52:{n:02}</StartTime><EndTime>2019-08-10 14:53:{n:02}</EndTime>\
             <CenterTime>2019-08-10 14:52:{:02}</CenterTime><ImageRowGSD>{gsd}</ImageRowGSD>\
             <ImageColumnGSD>{gsd}</ImageColumnGSD></BAND_B{n}>",
            n + 30
        )
    };
    let list = |from: usize| (from..from + 20).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    format!(
        "<MetaData><ProductInfo><SatelliteID>JL1GP01</SatelliteID><ProductLevel>L1</ProductLevel>\
         <SolarElevation>50</SolarElevation><DataBits>12</DataBits>{}</ProductInfo><ProcessInfo>\
         <AbsCalibrationGain>{}</AbsCalibrationGain><AbsCalibrationBias>{}</AbsCalibrationBias></ProcessInfo></MetaData>",
        (0..20).map(block).collect::<String>(),
        list(1),
        list(100),
    )
}

/// Bands of a hyperspectral scene in a file each, described as `describe` says.
fn write_gp(dir: &Path, bands: &[u8], describe: impl Fn(u8) -> String) -> Vec<PathBuf> {
    std::fs::write(dir.join(format!("{GP}_meta.xml")), gp_xml()).unwrap();
    let write = |number: &u8| {
        let image = dir.join(format!("{GP}_B{number}.tif"));
        write_tiff_with(&image, 8, 10, 1, |ds| {
            ds.rasterband(1).unwrap().set_description(&describe(*number)).unwrap();
        });
        std::fs::write(dir.join(format!("{GP}_B{number}_rpc.txt")), rpc_text()).unwrap();
        image
    };
    bands.iter().map(write).collect()
}

#[test]
fn a_file_per_band_is_a_part_per_band_and_some_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    write_gp(dir.path(), &[0, 3, 5, 6, 7, 13], |n| format!("B{n}({})", 400 + 50 * u32::from(n)));
    let scene = crate::scene::open(dir.path()).unwrap();
    assert_eq!(scene.id, GP);
    let roles: Vec<_> = scene.roles().iter().map(|r| r.code()).collect();
    assert_eq!(roles, ["PAN", "B", "R", "N", "B7", "B13"]);
    assert_eq!(gains(&scene), [1.0, 4.0, 6.0, 7.0, 8.0, 14.0]);
    assert_eq!(scene.parts.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["B0", "B3", "B5", "B6", "B7", "B13"]);
    assert_eq!(scene.parts.iter().map(|p| p.gsd_m.unwrap().0).collect::<Vec<_>>(), [5.0, 5.0, 5.0, 5.0, 10.0, 20.0]);
    assert!(scene.parts.iter().all(|p| matches!(p.sensor_model, SensorModel::Rpc(_)) && p.data_bits == Some(12)));
    let band = &scene.parts[4].bands[0];
    assert_eq!((band.name.as_str(), band.range_nm), ("B7 (750 nm)", None));
    // Of B3, as in the vendor's own fused product; start and end of all bands.
    assert_eq!(scene.time.center.to_string(), "2019-08-10T06:52:33Z");
    let (start, end) = scene.time.interval.unwrap();
    assert_eq!((start.to_string(), end.to_string()), ("2019-08-10T06:52:00Z".into(), "2019-08-10T06:53:19Z".into()));
    assert!(codes(&scene).contains(&"band-range-assumed") && !codes(&scene).contains(&"name-mismatch"));
}

#[test]
fn bands_of_a_stacked_file_are_known_by_their_descriptions_not_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let stacked = |names: &[&str]| {
        let image = dir.path().join(format!("{GP}.tif"));
        write_tiff_with(&image, 8, 10, names.len(), |ds| {
            for (at, name) in names.iter().enumerate() {
                ds.rasterband(at + 1).unwrap().set_description(name).unwrap();
            }
        });
        std::fs::write(dir.path().join(format!("{GP}_meta.xml")), gp_xml()).unwrap();
        open_all(&[&image])
    };
    let scene = stacked(&["B6(830)", "B1(443)", "B4(560)"]).unwrap();
    assert_eq!(scene.roles().iter().map(|r| r.code()).collect::<Vec<_>>(), ["N", "B1", "G"]);
    assert_eq!((gains(&scene), scene.parts[0].bands[0].name.as_str()), (vec![7.0, 2.0, 5.0], "B6 (830 nm)"));
    assert!(stacked(&["B6(830)", "", "B4(560)"]).unwrap_err().to_string().contains("scene.toml"));
}

#[test]
fn a_band_whose_file_calls_it_otherwise_is_remarked_on() {
    let dir = tempfile::tempdir().unwrap();
    write_gp(dir.path(), &[3, 4], |n| if n == 3 { "B4(560)".into() } else { String::new() });
    let scene = crate::scene::open(dir.path()).unwrap();
    assert_eq!(codes(&scene).iter().filter(|c| **c == "name-mismatch").count(), 1);
    assert_eq!((scene.parts[0].bands[0].name.as_str(), gains(&scene)), ("B3", vec![4.0, 5.0]));
}

#[test]
fn an_item_of_a_band_that_is_not_there_may_be_nonsense() {
    let dir = tempfile::tempdir().unwrap();
    let images = write_gp(dir.path(), &[3, 4], |_| String::new());
    let meta = dir.path().join(format!("{GP}_meta.xml"));
    std::fs::write(&meta, gp_xml().replace(",7,8,9,", ",7,,0,")).unwrap();
    assert_eq!(gains(&open_all(&[&images[0]]).unwrap()), [4.0]);
    std::fs::write(&meta, gp_xml().replace(",3,4,5,", ",3,0,5,")).unwrap();
    let message = open_all(&[&images[0]]).unwrap_err().to_string();
    assert!(message.contains("AbsCalibrationGain") && message.contains("`0` as item 4"), "{message}");
    std::fs::write(&meta, gp_xml().replace("19,20<", "19<")).unwrap();
    let message = open_all(&[&images[0]]).unwrap_err().to_string();
    assert!(message.contains("expected 20 numbers") && message.contains("found 19"), "{message}");
}

#[test]
fn items_that_are_no_gains_are_named() {
    for (from, to) in [("0.11,", "0,"), ("0.11,", "-0.11,"), ("0.11,", "nan,"), ("0.12,", "1e999,"), ("0.12,", ",")] {
        let m = opened(&mss(), "MSS", |dir| set_meta(dir, from, to)).unwrap_err().to_string();
        assert!(m.contains("_MSS_meta.xml") && m.contains("AbsCalibrationGain") && m.contains("level `dn`"), "{m}");
    }
}

#[test]
fn name_and_metadata_that_disagree_are_remarked_on_and_the_metadata_used() {
    let scene = opened(&mss(), "MSS", |dir| set_meta(dir, ">JL1KF01A<", ">JL1KF01B<")).unwrap();
    assert_eq!((codes(&scene)[0], scene.platform.as_deref()), ("name-mismatch", Some("jl1kf01b")));
    let scene = opened(&mss(), "MSS", |dir| set_meta(dir, "<ProductLevel>L1<", "<ProductLevel>L3D<")).unwrap();
    assert_eq!((codes(&scene)[0], scene.level.as_deref()), ("name-mismatch", Some("L3D")));
    let scene =
        opened(&mss(), "MSS", |dir| set_meta(dir, "<ProductLevel>", "<Sensor>PMSL3</Sensor><ProductLevel>")).unwrap();
    assert_eq!((codes(&scene)[0], scene.instrument.as_deref()), ("name-mismatch", Some("pmsl3")));
    // Fewer words, or words that are no token, contradict nothing.
    for (from, to) in [
        (">JL1KF01A<", ">JL1-KF01A<"),
        (">JL1KF01A<", ">吉林一号<"),
        ("<ProductLevel>", "<Sensor>PMS</Sensor><ProductLevel>"),
    ] {
        let scene = opened(&mss(), "MSS", |dir| set_meta(dir, from, to)).unwrap();
        assert_eq!((codes(&scene), scene.platform.as_deref()), (vec!["band-range-assumed"], Some("jl1kf01a")), "{to}");
        assert_eq!(scene.instrument.as_deref(), Some("pms06"));
    }
}

#[test]
fn beijing_digits_with_the_z_of_utc_are_noticed() {
    let scene = opened(&mss(), "MSS", |dir| {
        set_meta(dir, "<CenterTime>2026-07-15 10:30:00", "<CenterTime>2026-07-15T10:30:00Z")
    });
    let scene = scene.unwrap();
    assert!(codes(&scene).contains(&"time-mismatch") && scene.warnings.last().unwrap().message.contains("8.0 hours"));
}

#[test]
fn a_mosaic_opens_when_something_says_when() {
    let stem = "JL1KF01C_200101850_001_L5D_PSH";
    let metadata = |center: &str| meta_xml("MSS").replace("<CenterTime>2026-07-15 10:30:00</CenterTime>", center);
    let scene = opened(stem, "MSS", |dir| {
        let xml = metadata("").replace("2026-07-15 10:29:59", "2026-05-01 00:00:00").replace(">L1<", ">L5D<");
        std::fs::write(dir.join(format!("{stem}_meta.xml")), xml).unwrap();
    });
    let scene = scene.unwrap();
    assert_eq!((scene.id.as_str(), scene.level.as_deref(), scene.instrument.as_deref()), (stem, Some("L5D"), None));
    assert!(scene.time.is_period && scene.time.interval.is_some());
    let done: Vec<_> = scene.parts[0].processed.iter().map(|p| p.what.code()).collect();
    assert_eq!((scene.parts[0].name.as_str(), done), ("PSH", vec!["fused", "mosaicked"]));

    let bare =
        |stem: &str| opened(stem, "PAN", |dir| std::fs::remove_file(dir.join(format!("{stem}_meta.xml"))).unwrap());
    let dated = bare("JL1KF01A_20201012092659_200032303_102_001_L5_5m_PAN").unwrap();
    assert_eq!((dated.time.center.to_string(), dated.time.is_period), ("2020-10-12T01:26:59Z".into(), true));
    let message = bare("JL1KF01A_200101850_001_L5D_PAN").unwrap_err().to_string();
    assert!(message.contains("scene.toml") && message.contains("period"), "{message}");
}

#[test]
fn coefficients_of_the_user_beat_those_of_the_metadata() {
    let user = "schema = 1\n[[camera]]\nsatellite = \"JL1KF01A\"\nbands = [\"R\"]\ngain = [0.5]\nsource = \"letter\"\n";
    let scene = opened(&mss(), "MSS", |dir| std::fs::write(dir.join("coefficients.toml"), user).unwrap()).unwrap();
    assert_eq!((gains(&scene), scene.metadata_files.len()), (vec![0.11, 0.12, 0.5, 0.14], 3));
}

#[test]
fn corners_come_from_the_footprint_beside_when_the_metadata_have_none() {
    let ring = "POLYGON((125.39 43.8,125.3 43.82,125.31 44,125.4 43.98,125.39 43.8))";
    let footprint = |dir: &Path| crate::scene::footprint::tests::write(&dir.join(format!("{}.shp", mss())), 4326, ring);
    let stated = opened(&mss(), "MSS", footprint).unwrap();
    assert_eq!((stated.corners.unwrap()[0], stated.metadata_files.len()), ((125.3, 44.0), 2));
    let scene = opened(&mss(), "MSS", |dir| {
        footprint(dir);
        set_meta(dir, "UpperLeftLatitude", "SomethingElse");
    });
    let scene = scene.unwrap();
    assert_eq!((scene.corners.unwrap()[0], scene.metadata_files.len()), ((125.31, 44.0), 3));
}
