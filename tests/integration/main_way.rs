//! From a delivery to products that stand: where they stand, when they are made again, and when not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, farm, finished, ortho};
use crate::harness::{Desk, assert_same_objects, copy, times, tree};

const PRODUCTS: [&str; 5] = ["reflectance", "ndvi", "qa", "pan", "pan-qa"];

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn run_makes_the_documented_objects_and_no_others() {
    let plan = Desk::new().plan(&farm(), &Delivery::L1.folder(), &[]);
    let acquisition = format!("20260715T023000Z_{}", Delivery::L1.id());
    assert_eq!(text(&plan["acquisition"]), acquisition);
    let key8 = &text(&plan["key"])[..8];
    let cells: Vec<String> = plan["cells"].as_array().unwrap().iter().map(|c| text(&c["name"])).collect();
    assert_eq!(cells, ["UTM51N-7680-E0089-N0633", "UTM51N-7680-E0089-N0632"]);
    let mut expected = BTreeSet::from(["farm/collection.json".to_owned()]);
    expected.extend(
        ["item.json", "plan.json", "survey.json", "thumbnail.png"].map(|f| format!("farm/scenes/{acquisition}/{f}")),
    );
    for cell in &cells {
        expected.insert(format!("farm/{cell}/{acquisition}/item.json"));
        expected.extend(PRODUCTS.map(|p| format!("farm/{cell}/{acquisition}/{key8}/{p}.tif")));
        expected.extend(PRODUCTS.map(|p| format!("farm/{cell}/{acquisition}/{key8}/{p}.png")));
    }
    let found: BTreeSet<String> = tree(finished()).into_keys().collect();
    assert_eq!(found, expected);
}

#[test]
fn every_object_passes_validate() {
    // Pictures and the survey are files of Items: what those say of them is checked with them.
    let count = tree(finished()).keys().filter(|n| !n.ends_with(".png") && !n.ends_with("survey.json")).count();
    let said = Desk::new().fieldglow(["validate".as_ref(), finished().as_os_str(), "--json".as_ref()]).ends_with(0);
    let verdicts = said.json();
    let verdicts = verdicts.as_array().unwrap();
    assert_eq!(verdicts.len(), count);
    for verdict in verdicts {
        assert_eq!((&verdict["valid"], &verdict["warnings"]), (&Value::Bool(true), &Value::Array(vec![])), "{verdict}");
    }
}

#[test]
fn the_item_is_written_after_its_files_and_the_collection_after_all() {
    let desk = Desk::new();
    desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0);
    let times = times(&desk.path("out"));
    let collection = times["farm/collection.json"];
    for (name, time) in &times {
        assert!(*time <= collection, "{name}");
        if let Some(folder) = name.strip_suffix("item.json") {
            let files = times.iter().filter(|(n, _)| n.starts_with(folder) && n.ends_with(".tif"));
            assert!(files.into_iter().all(|(_, t)| t <= time), "{name}");
        }
    }
}

#[test]
fn a_second_run_writes_nothing() {
    let desk = Desk::new();
    desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0);
    let (objects, written) = (tree(&desk.path("out")), times(&desk.path("out")));
    let report = desk.run(&farm(), &[&Delivery::L1.folder()], &["--json"]).ends_with(0);
    assert_same_objects(&objects, &tree(&desk.path("out")));
    assert_eq!(written, times(&desk.path("out")));
    let scene = &report.json()["scenes"][0];
    assert_eq!((&scene["cells_unchanged"], &scene["bytes_written"]), (&2.into(), &0.into()));
    assert_eq!(scene["reads"]["samples"], 0);
    report.says(&["0 cells written", "2 already there"]);
}

#[test]
fn force_makes_everything_again_with_the_same_bytes() {
    let desk = Desk::new();
    copy(finished(), &desk.path("out"));
    let before = times(&desk.path("out"));
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--force"]).ends_with(0).says(&["2 cells written"]);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
    let after = times(&desk.path("out"));
    assert!(before.iter().filter(|(n, _)| n.ends_with(".tif")).all(|(n, t)| after[n] > *t));
}

#[test]
fn another_configuration_makes_a_new_folder_and_the_item_moves_to_it() {
    let desk = Desk::new();
    copy(finished(), &desk.path("out"));
    let set = ["--set", "output.level=1"];
    let old = text(&desk.plan(&farm(), &Delivery::L1.folder(), &[])["key"]);
    let new = text(&desk.plan(&farm(), &Delivery::L1.folder(), &set)["key"]);
    assert_ne!(old[..8], new[..8]);
    desk.run(&farm(), &[&Delivery::L1.folder()], &set).ends_with(0);
    let after = tree(&desk.path("out"));
    for (name, bytes) in tree(finished()).iter().filter(|(n, _)| n.ends_with(".tif")) {
        assert_eq!(&after[name], bytes, "{name}");
        assert!(after.contains_key(&name.replace(&old[..8], &new[..8])), "{name}");
    }
    for (name, bytes) in after.iter().filter(|(n, _)| n.ends_with("item.json") && !n.contains("/scenes/")) {
        let item: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(item["properties"]["fieldglow:key"], new.as_str(), "{name}");
        for product in PRODUCTS {
            assert_eq!(item["assets"][product]["href"], format!("./{}/{product}.tif", &new[..8]), "{name}");
        }
    }
    desk.fieldglow(["validate", "out"]).ends_with(0);
}

#[test]
fn a_scene_that_changed_is_made_again_beside_what_it_was() {
    let desk = Desk::new();
    let delivery = Delivery::Small.copy_to(&desk, "in");
    let text = ortho(MULTISPECTRAL);
    desk.run(&text, &[&delivery.folder], &[]).ends_with(0);
    let before = tree(&desk.path("out"));
    delivery.set("MSS", "AbsCalibrationBias", "1.4,0.84,-0.57,0.38");
    let said = desk.run(&text, &[&delivery.folder], &[]).ends_with(0);
    said.says(&["2 cells written", "0 already there"]);
    let after = tree(&desk.path("out"));
    let files = |objects: &BTreeMap<String, Vec<u8>>| objects.keys().filter(|n| n.ends_with(".tif")).count();
    assert_eq!((files(&before), files(&after)), (6, 12));
    assert!(before.iter().filter(|(n, _)| n.ends_with(".tif")).all(|(n, bytes)| after[n] == *bytes));
    assert!(before.iter().filter(|(n, _)| n.ends_with("item.json")).all(|(n, bytes)| after[n] != *bytes));
}

#[test]
fn a_cell_whose_item_is_gone_is_made_again_and_the_other_is_not() {
    let desk = Desk::new();
    copy(finished(), &desk.path("out"));
    let gone = tree(finished()).into_keys().find(|n| n.contains("N0632") && n.ends_with("item.json")).unwrap();
    fs::remove_file(desk.path("out").join(gone)).unwrap();
    desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0).says(&["1 cells written", "1 already there"]);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

#[test]
fn collect_rebuilds_the_collection_and_then_leaves_it() {
    let desk = Desk::new();
    copy(finished(), &desk.path("out"));
    fs::remove_file(desk.path("out/farm/collection.json")).unwrap();
    desk.fieldglow(["collect", "out/farm"]).ends_with(0).says(&["3 items"]);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
    let written = times(&desk.path("out"));
    desk.fieldglow(["collect", "out/farm/"]).ends_with(0);
    assert_eq!(written, times(&desk.path("out")));
}

#[test]
fn collect_without_items_says_so_and_writes_nothing() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("out/farm")).unwrap();
    desk.fieldglow(["collect", "out/farm"]).ends_with(3).says(&["no Items", "out/farm"]);
    desk.fieldglow(["collect", "out/nothing"]).ends_with(3).says(&["out/nothing", "No such file"]);
    assert!(tree(&desk.path("out")).is_empty());
}

#[test]
fn cells_one_by_one_and_then_all_are_the_same_as_all_at_once() {
    let desk = Desk::new();
    let cell = "UTM51N-7680-E0089-N0632";
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--cells", cell])
        .ends_with(0)
        .says(&["fieldglow collect", "out/farm"]);
    let part = tree(&desk.path("out"));
    assert_eq!(part.len(), 2 * PRODUCTS.len() + 3);
    let own = |n: &String| {
        n.starts_with(&format!("farm/{cell}/")) || n.ends_with("/plan.json") || n.ends_with("/survey.json")
    };
    assert!(part.keys().all(own), "{:?}", part.keys());
    desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0).says(&["1 cells written", "1 already there"]);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

#[test]
fn scenes_of_one_run_share_one_collection() {
    let desk = Desk::new();
    let text = ortho(MULTISPECTRAL);
    desk.run(&text, &[&Delivery::Small.folder(), &Delivery::Other.folder()], &[]).ends_with(0);
    let together = tree(&desk.path("out"));
    let apart = Desk::new();
    apart.run(&text, &[&Delivery::Other.folder()], &[]).ends_with(0);
    apart.run(&text, &[&Delivery::Small.folder()], &[]).ends_with(0);
    assert_same_objects(&together, &tree(&apart.path("out")));
    let collection = desk.document("collection.json");
    let items = collection["links"].as_array().unwrap().iter().filter(|l| l["rel"] == "item").count();
    assert_eq!(items, together.keys().filter(|n| n.ends_with("item.json")).count());
}

#[test]
fn one_part_named_on_the_command_line_brings_the_other() {
    let desk = Desk::new();
    let mss = Delivery::L1.file("_MSS_meta.xml");
    desk.run(&farm(), &[&mss], &[]).ends_with(0);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}
