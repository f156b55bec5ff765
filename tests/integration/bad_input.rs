//! What is wrong is said with file, field and remedy, spoils nothing else, and leaves nothing half made.

use std::fs;
use std::path::Path;

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_R, farm, native, ortho, product};
use crate::harness::{self, Desk, Said, tree};
use crate::image;

/// Fails if anything of a scene can be seen, or anything unfinished.
#[track_caller]
fn assert_nothing_of(desk: &Desk, scene: &str) {
    let left: Vec<_> = tree(&desk.path("out"))
        .into_keys()
        .filter(|n| n.contains(scene) || n.ends_with(".unfinished") || n.contains("/."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Runs a bad scene, then a good one: the bad one alone fails, and all of the good one stands.
#[track_caller]
fn fails_alone(desk: &Desk, bad: &Path, id: &str, says: &[&str]) -> Said {
    fails_alone_with(desk, &ortho(MULTISPECTRAL), bad, id, says)
}

#[track_caller]
fn fails_alone_with(desk: &Desk, pipeline: &str, bad: &Path, id: &str, says: &[&str]) -> Said {
    let said = desk.run(pipeline, &[bad, &Delivery::Other.folder()], &[]).ends_with(2).says(says);
    assert!(said.stderr.contains(&format!("failed: scene {id}")), "{}", said.stderr);
    assert_nothing_of(desk, id);
    let objects = tree(&desk.path("out"));
    let good = objects.keys().filter(|n| n.contains(&Delivery::Other.id()));
    // Two cells with three files, their pictures and an Item; the scene's Item, plan, survey and picture.
    assert_eq!(good.count(), 18);
    assert!(objects.contains_key("farm/collection.json"));
    said
}

/// Damages the metadata of a scene and expects it to fail alone.
#[track_caller]
fn damaged(change: impl FnOnce(&crate::delivery::Changeable), says: &[&str]) {
    let desk = Desk::new();
    let bad = Delivery::Small.copy_to(&desk, "bad");
    change(&bad);
    fails_alone(&desk, &bad.folder, &Delivery::Small.id(), says);
}

/// Expects the run to end before the first scene.
#[track_caller]
fn refused(pipeline: &str, more: &[&str], says: &[&str]) {
    let desk = Desk::new();
    let said = desk.run(pipeline, &[&Delivery::Small.folder()], more).ends_with(1).says(says);
    assert!(!said.stderr.contains(&Delivery::Small.id()), "a scene was begun:\n{}", said.stderr);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn a_missing_band_fails_the_scene_that_lacks_it() {
    let desk = Desk::new();
    let says = ["product `pan` needs band PAN", "it has B, G, R, N", "`required = false`"];
    let said = desk.run(&farm(), &[&Delivery::Small.folder(), &Delivery::L1.folder()], &[]).ends_with(2).says(&says);
    assert_nothing_of(&desk, &Delivery::Small.id());
    assert!(said.stderr.contains("1 of 2 scenes done"), "{}", said.stderr);
}

#[test]
fn a_product_that_is_not_required_is_left_out_with_a_warning() {
    let desk = Desk::new();
    let sets = ["--set", "product.pan.required=false", "--set", "product.pan-qa.required=false"];
    let said = desk.run(&farm(), &[&Delivery::Small.folder()], &sets).ends_with(0);
    said.says(&["warning:", "product `pan` is left out: the scene has no band PAN", "[product-left-out]"]);
    assert!(tree(&desk.path("out")).keys().all(|n| !n.contains("pan")));
}

#[test]
fn a_short_list_of_gains_fails_the_scene() {
    damaged(
        |bad| bad.set("MSS", "AbsCalibrationGain", "0.0925,0.087,0.0733"),
        &["_MSS_meta.xml", "`AbsCalibrationGain`", "expected 4 numbers", "found 3", "ask the vendor"],
    );
}

#[test]
fn a_gain_of_zero_fails_the_scene() {
    damaged(
        |bad| bad.set("MSS", "AbsCalibrationGain", "0.0925,0,0.0733,0.05"),
        &["_MSS_meta.xml", "`AbsCalibrationGain`", "above 0", "found `0` as item 2", "ask the vendor"],
    );
}

#[test]
fn missing_gains_fail_the_scene_at_level_toa() {
    damaged(
        |bad| bad.edit("MSS", "AbsCalibrationGain", "SomethingElse"),
        &["band B", "_MSS_meta.xml", "no `AbsCalibrationGain`", "level `dn`"],
    );
}

#[test]
fn a_sun_below_the_horizon_fails_the_scene() {
    damaged(
        |bad| {
            bad.edit("MSS", "Solar", "NotSolar");
            bad.edit("MSS", " 10:", " 23:");
        },
        &["from the zenith", "below the horizon", "check the acquisition time"],
    );
}

#[test]
fn zenith_written_as_elevation_fails_the_scene_and_is_named() {
    damaged(
        |bad| bad.set("MSS", "SolarElevation", "27.163364"),
        &[
            "contradicts time and place",
            "suspect: an elevation was given as zenith",
            "`radiometry.accept_sun_conflict = true`",
        ],
    );
}

#[test]
fn utc_written_as_beijing_time_fails_the_scene_and_is_named() {
    damaged(
        |bad| bad.edit("MSS", " 10:", " 02:"),
        &["contradicts time and place", "suspect: the time", "8 hours", "it is UTC already", "`radiometry.sun_zenith`"],
    );
}

#[test]
fn a_conflict_of_the_sun_may_be_accepted_and_is_then_a_warning() {
    let desk = Desk::new();
    let bad = Delivery::Small.copy_to(&desk, "bad");
    bad.set("MSS", "SolarElevation", "27.163364");
    let more = ["--set", "radiometry.accept_sun_conflict=true"];
    let said = desk.run(&ortho(MULTISPECTRAL), &[&bad.folder], &more).ends_with(0);
    said.says(&["warning:", "the metadata's angles are used", "[sun-conflict]"]);
}

#[test]
fn an_empty_tiff_fails_the_scene() {
    damaged(|bad| fs::write(bad.file("_MSS.tif"), b"").unwrap(), &["_MSS.tif", "cut off", "found 0", "fetch it again"]);
}

#[test]
fn a_tiff_whose_strips_end_behind_the_file_fails_the_scene() {
    damaged(
        |bad| {
            let path = bad.file("_MSS.tif");
            let whole = fs::read(&path).unwrap();
            fs::write(path, &whole[..whole.len() - 500]).unwrap();
        },
        &["_MSS.tif", "cut off", "expected at least", "fetch it again"],
    );
}

#[test]
fn what_is_no_tiff_fails_the_scene() {
    damaged(
        |bad| fs::write(bad.file("_MSS.tif"), b"<html>404 not found</html>").unwrap(),
        &["_MSS.tif", "check that the delivery is complete"],
    );
}

#[test]
fn damaged_pixels_fail_the_scene_with_no_file_left() {
    let desk = Desk::new();
    let options = ["simulate", "bad", "--size", "24x20", "--gsd", "24", "--no-pan", "--seed", "4", "--deflate"];
    desk.fieldglow(options).ends_with(0);
    let folder = desk.path("bad");
    damage_strips(&folder, "_MSS.tif");
    fails_alone(&desk, &folder, &Delivery::Small.id(), &["reading band", "_MSS.tif", "damaged or incomplete"]);
}

/// A cell has files of two pixel sizes: whichever cannot be made, those of the other are not left alone. Without pictures no
/// pixel is looked at before the cell is made.
#[test]
fn damaged_pixels_of_one_layer_leave_no_file_of_the_other() {
    for image in ["_MSS.tif", "_PAN.tif"] {
        let desk = Desk::new();
        let options = ["simulate", "bad", "--size", "24x20", "--gsd", "24", "--seed", "4", "--deflate"];
        desk.fieldglow(options).ends_with(0);
        let folder = desk.path("bad");
        damage_strips(&folder, image);
        for threads in ["1", "2"] {
            let pipeline = farm() + "[output]\npictures = false\n";
            let said = desk.run(&pipeline, &[&folder], &["--threads", threads]).ends_with(3);
            said.says(&[image, "damaged or incomplete"]);
            let left: Vec<String> = tree(&desk.path("out")).into_keys().collect();
            assert!(left.is_empty(), "{image}: {left:?}");
        }
    }
}

/// Makes all pixels of the image whose name ends so unreadable.
fn damage_strips(folder: &Path, image: &str) {
    let image = folder.join(tree(folder).into_keys().find(|n| n.ends_with(image)).unwrap());
    let mut bytes = fs::read(&image).unwrap();
    for (offset, length) in strip_places(&image) {
        bytes[offset..offset + length].fill(0xFF);
    }
    fs::write(&image, bytes).unwrap();
}

/// Offsets and lengths of the strips of a TIFF.
fn strip_places(path: &Path) -> Vec<(usize, usize)> {
    let mut decoder = tiff::decoder::Decoder::new(fs::File::open(path).unwrap()).unwrap();
    let mut list = |tag| decoder.get_tag(tag).unwrap().into_u64_vec().unwrap();
    let (offsets, lengths) = (list(tiff::tags::Tag::StripOffsets), list(tiff::tags::Tag::StripByteCounts));
    offsets.into_iter().zip(lengths).map(|(o, l)| (o as usize, l as usize)).collect()
}

#[test]
fn a_missing_rpc_fails_the_scene() {
    damaged(|bad| bad.remove("_rpc.txt"), &["part MSS", "_MSS_rpc.txt", "add the missing RPC file"]);
}

#[test]
fn metadata_that_is_no_xml_fails_the_scene() {
    damaged(
        |bad| fs::write(bad.file("_MSS_meta.xml"), "<MetaData><ProductInfo>").unwrap(),
        &["_MSS_meta.xml", "fetch the delivery again"],
    );
}

#[test]
fn a_dem_that_does_not_cover_the_scene_fails_it() {
    let desk = Desk::new();
    let says = ["dem.tif", "covers x 125.", "longitude 125.99", "give one that covers it all"];
    fails_alone(&desk, &Delivery::Far.folder(), &Delivery::Far.id(), &says);
}

#[test]
fn two_scenes_of_one_name_and_time_do_not_overwrite_each_other() {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, 1), &[vec![1u16]], "fill = 0", &[UNIT_R]);
    let twin = desk.path("twin");
    harness::copy(&scene.folder, &twin);
    fs::rename(twin.join("scene.toml"), twin.join("again.toml")).unwrap();
    let text = fs::read_to_string(twin.join("again.toml")).unwrap();
    fs::write(twin.join("again.toml"), text.replace("gain = 1e-4", "gain = 2e-4")).unwrap();
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    let said = desk.run(&native("toa", &products), &[&scene.folder, &twin.join("again.toml")], &[]).ends_with(2);
    said.says(&["another scene of this run", "20260715T023000Z_tiny", "give each its own `id`"]);
    assert_eq!(image::read(&desk.object("/r.tif")).bands[0], [1.0], "the first one stands");
}

#[test]
fn a_mistake_in_a_sidecar_fails_its_scene() {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, 1), &[vec![1u16]], "fil = 0", &[UNIT_R]);
    let says = ["scene.toml", "line 7", "did you mean `fill`"];
    fails_alone_with(&desk, &ortho(MULTISPECTRAL), &scene.folder, "tiny", &says);
}

#[test]
fn a_sidecar_reaches_no_file_outside_its_folder() {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, 1), &[vec![1u16]], "fill = 0", &[UNIT_R]);
    let sidecar = scene.folder.join("scene.toml");
    let text = fs::read_to_string(&sidecar).unwrap();
    fs::copy(scene.folder.join("a.tif"), desk.path("a.tif")).unwrap();
    fs::write(&sidecar, text.replace("\"a.tif\"", "\"../a.tif\"")).unwrap();
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(3).says(&["scene.toml", "image", "../a.tif"]);
}

#[test]
fn without_a_scene_that_succeeds_the_exit_code_is_3_and_nothing_stands() {
    let desk = Desk::new();
    let bad = Delivery::Small.copy_to(&desk, "bad");
    bad.remove("_rpc.txt");
    let said = desk.run(&ortho(MULTISPECTRAL), &[&bad.folder, &Delivery::Far.folder()], &[]).ends_with(3);
    said.says(&["0 of 2 scenes done", &Delivery::Small.id(), &Delivery::Far.id()]);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn fail_fast_ends_the_run_with_the_first_scene_that_fails() {
    let desk = Desk::new();
    let scenes = [&*Delivery::Far.folder(), &Delivery::Other.folder()];
    let report = desk.run(&ortho(MULTISPECTRAL), &scenes, &["--fail-fast", "--json"]).ends_with(3).json();
    assert_eq!(report["scenes"].as_array().unwrap().len(), 1);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn a_dem_that_is_not_there_ends_the_run() {
    let more = ["--set", "geometry.height.dem=nowhere.tif"];
    refused(&ortho(MULTISPECTRAL), &more, &["pipeline.toml", "geometry.height.dem", "no file `nowhere.tif`"]);
}

#[test]
fn a_dem_without_datum_ends_the_run() {
    let text = ortho(MULTISPECTRAL).replace(", datum = \"ellipsoid\"", "");
    refused(&text, &[], &["pipeline.toml", "geometry.height.datum: missing", "`ellipsoid`, `egm96` or `egm2008`"]);
}

#[test]
fn unknown_keys_end_the_run_and_all_are_named_with_the_nearest_known_ones() {
    let text = ortho(MULTISPECTRAL).replace("resolution =", "resolutoin =").replace("level =", "levle =");
    refused(
        &text,
        &[],
        &[
            "pipeline.toml",
            "geometry.resolutoin",
            "did you mean `resolution`",
            "radiometry.levle",
            "did you mean `level`",
        ],
    );
}

#[test]
fn a_pixel_size_that_does_not_divide_a_cell_ends_the_run_and_others_are_proposed() {
    let text = ortho(MULTISPECTRAL).replace("24.0", "2.88");
    refused(&text, &[], &["geometry.resolution", "2.88 m does not divide", "the nearest that do are"]);
}

#[test]
fn a_bad_override_ends_the_run() {
    refused(&ortho(MULTISPECTRAL), &["--set", "nonsense"], &["--set nonsense", "`key=value`"]);
    refused(&ortho(MULTISPECTRAL), &["--set", "product.nope.type=int16"], &["--set product.nope.type", "named `nope`"]);
    refused(&ortho(MULTISPECTRAL), &["--set", "radiometry.level=toaa"], &["radiometry.level", "toaa"]);
}

#[test]
fn a_file_in_the_way_of_the_output_ends_the_run() {
    let desk = Desk::new();
    desk.write("out", "mine");
    let said = desk.run(&ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &[]).ends_with(1);
    let said = said.says(&["the output `out` cannot be written to", "--output"]);
    assert!(!said.stderr.contains(&Delivery::Small.id()));
    assert_eq!(fs::read(desk.path("out")).unwrap(), b"mine");
}

#[test]
fn a_file_in_the_way_of_a_cell_fails_the_scene_and_leaves_nothing() {
    let desk = Desk::new();
    desk.write("out/farm", "mine");
    let said = desk.run(&ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &[]).ends_with(3);
    said.says(&["stage store", "out/farm"]);
    assert_eq!(tree(&desk.path("out")).keys().collect::<Vec<_>>(), ["farm"]);
}

#[test]
fn a_file_that_cannot_be_published_leaves_the_cell_without_an_item() {
    let desk = Desk::new();
    let plan = desk.plan(&ortho(MULTISPECTRAL), &Delivery::Small.folder(), &[]);
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    let (cell, key) = (text(&plan["cells"][1]["name"]), text(&plan["key"]));
    // A folder where a product should be: it cannot be replaced by a file.
    let product = format!("out/farm/{cell}/{}/{}/qa.tif", text(&plan["acquisition"]), &key[..8]);
    fs::create_dir_all(desk.path(product)).unwrap();
    desk.run(&ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &[]).ends_with(3).says(&["stage store", "qa.tif"]);
    let objects = tree(&desk.path("out"));
    assert!(!objects.keys().any(|n| n.contains(&cell) && n.ends_with("item.json")), "{:?}", objects.keys());
    assert!(!objects.keys().any(|n| n.contains("/scenes/") && n.ends_with("item.json")), "{:?}", objects.keys());
    assert!(!objects.keys().any(|n| n.ends_with(".unfinished")), "{:?}", objects.keys());
}

#[test]
fn usage_errors_exit_with_1() {
    let desk = Desk::new();
    for args in [&["run"][..], &["nonsense"], &["run", "--memory", "plenty", "p", "s"], &[]] {
        let said = desk.fieldglow(args);
        assert_eq!(said.code, if args.is_empty() { said.code } else { 1 }, "{args:?}: {}", said.stderr);
        assert!(!said.stderr.is_empty() && said.stdout.is_empty(), "{args:?}");
        assert_ne!(said.code, 0);
    }
}

#[test]
fn a_run_without_an_output_or_with_a_store_that_cannot_be_used_is_refused() {
    let desk = Desk::new();
    let file = desk.write("pipeline.toml", ortho(MULTISPECTRAL));
    let scene = Delivery::Small.folder();
    let run = |more: &[&str]| {
        let mut args = vec!["run".as_ref(), file.as_os_str(), scene.as_os_str()];
        args.extend(more.iter().map(std::ffi::OsStr::new));
        desk.fieldglow(args).ends_with(1)
    };
    run(&[]).says(&["no output", "--output", "`[output]`"]);
    run(&["--output", "ftp://host/x"]).says(&["ftp://host/x", "expected a folder"]);
}

#[test]
fn a_cell_the_scene_does_not_have_fails_it() {
    let desk = Desk::new();
    let more = ["--cells", "nope"];
    let said = desk.run(&ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &more).ends_with(3);
    said.says(&["--cells", "`nope`", "`fieldglow plan` lists them"]);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn a_path_without_a_delivery_does_not_keep_the_others_from_being_made() {
    let desk = Desk::new();
    let scenes = [&*desk.path("nowhere"), &Delivery::Other.folder()];
    desk.run(&ortho(MULTISPECTRAL), &scenes, &[]).ends_with(2).says(&["nowhere", "No such file", "1 of 2 scenes done"]);
    assert!(tree(&desk.path("out")).contains_key("farm/collection.json"));
}

#[test]
fn a_path_without_a_delivery_is_named_with_what_was_expected() {
    let desk = Desk::new();
    desk.write("empty/readme.txt", "");
    let empty = desk.path("empty");
    desk.run(&ortho(MULTISPECTRAL), &[&empty], &[]).ends_with(3).says(&["empty", "is no delivery", "`scene.toml`"]);
    desk.run(&ortho(MULTISPECTRAL), &[&desk.path("nowhere")], &[]).ends_with(3).says(&["nowhere", "No such file"]);
}
