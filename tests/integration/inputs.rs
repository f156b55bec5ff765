//! How scenes are named: STAC Items, and lists of every kind.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_N, UNIT_R, farm, finished, native, ortho};
use crate::harness::{Desk, Said, assert_same_objects, tree};

/// An Item as a vendor writes it: images with role `data`, metadata, a thumbnail that is somewhere else.
fn item(version: &str, assets: Value) -> Value {
    json!({
        "type": "Feature", "stac_version": version, "stac_extensions": [], "id": "vendor-1",
        "geometry": { "type": "Point", "coordinates": [125.35, 43.88] }, "bbox": [125.35, 43.88, 125.35, 43.88],
        "properties": { "datetime": "2026-07-15T02:30:00Z" }, "links": [], "assets": assets,
    })
}

/// The assets of a part of a delivery that stands in `root`: hrefs relative to it, or absolute.
fn assets(root: &Path, part: &str, absolute: bool) -> Value {
    let files = tree(root);
    let of = |ending: &str| {
        let name = files.keys().find(|n| n.ends_with(&format!("_{part}{ending}"))).unwrap();
        if absolute { root.join(name).display().to_string() } else { format!("./{name}") }
    };
    json!({
        format!("{part}-image"): { "href": of(".tif"), "type": "image/tiff; application=geotiff", "roles": ["data"] },
        format!("{part}-metadata"): { "href": of("_meta.xml"), "type": "application/xml", "roles": ["metadata"] },
        format!("{part}-rpc"): { "href": of("_rpc.txt"), "type": "text/plain", "roles": ["metadata"] },
        format!("{part}-thumbnail"): { "href": "https://example.com/thumb.tif", "type": "image/tiff", "roles": ["thumbnail"] },
    })
}

fn both(a: Value, b: Value) -> Value {
    let (Value::Object(mut a), Value::Object(b)) = (a, b) else { panic!("assets are objects") };
    a.extend(b);
    a.into()
}

/// A copy of the L1 delivery with this Item in its folder.
fn with_item(desk: &Desk, name: &str, item: &Value) -> PathBuf {
    let scene = Delivery::L1.copy_to(desk, "delivery");
    fs::write(scene.folder.join(name), item.to_string()).unwrap();
    scene.folder.join(name)
}

#[track_caller]
fn refused(item: &Value, says: &[&str]) {
    let desk = Desk::new();
    let path = with_item(&desk, "item.json", item);
    desk.fieldglow(["inspect", path.to_str().unwrap()]).ends_with(3).says(&["item.json"]).says(says);
}

#[test]
fn an_item_makes_what_its_delivery_makes() {
    let root = Delivery::L1.folder();
    for (version, absolute, name) in [("1.0.0", false, "item.json"), ("1.1.0", true, "scene.geojson")] {
        let desk = Desk::new();
        let item = item(version, both(assets(&root, "PAN", absolute), assets(&root, "MSS", absolute)));
        let path = with_item(&desk, name, &item);
        desk.run(&farm(), &[&path], &[]).ends_with(0);
        assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
    }
}

#[test]
fn pan_and_mss_as_two_items_are_one_scene_of_one_shard() {
    let desk = Desk::new();
    let root = Delivery::L1.folder();
    // In folders of their own, away from the files, so that only the Items bring the parts together.
    let (pan, mss) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (part, folder) in [("PAN", &pan), ("MSS", &mss)] {
        for (name, bytes) in tree(&root) {
            if name.contains(&format!("_{part}/")) {
                fs::write(folder.path().join(name.rsplit('/').next().unwrap()), bytes).unwrap();
            }
        }
    }
    let one = desk.write("pan.json", item("1.1.0", assets(pan.path(), "PAN", true)).to_string());
    let other = desk.write("mss.json", item("1.1.0", assets(mss.path(), "MSS", true)).to_string());
    for k in [2, 1, 3] {
        let list = if k == 1 { [&one, &other] } else { [&other, &one] };
        desk.run(&farm(), &list.map(PathBuf::as_path), &["--shard", &format!("{k}/3")]).ends_with(0);
    }
    desk.fieldglow(["collect", "out/farm"]).ends_with(0);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

/// Metadata that an Item names in another folder than the image belong to the image.
#[test]
fn metadata_elsewhere_belong_to_the_image() {
    let desk = Desk::new();
    for (name, bytes) in tree(&Delivery::Small.folder()) {
        let file = name.rsplit('/').next().unwrap();
        if name.contains("_MSS/") {
            let folder = if file.ends_with(".tif") { "apart/images" } else { "apart/metadata" };
            desk.write(&format!("{folder}/{file}"), bytes);
        }
    }
    let path = desk.write("apart/item.json", item("1.1.0", assets(&desk.path("apart"), "MSS", false)).to_string());
    desk.run(&ortho(MULTISPECTRAL), &[&path], &[]).ends_with(0);
    desk.run_to("of-folder", &ortho(MULTISPECTRAL), &[&Delivery::Small.folder()], &[]).ends_with(0);
    assert_same_objects(&tree(&desk.path("of-folder")), &tree(&desk.path("out")));
}

#[test]
fn a_sidecar_or_metadata_alone_name_a_scene_too() {
    let desk = Desk::new();
    let tiny = Tiny::new(&desk, (3, 5), &[vec![100u16; 15]], "fill = 0", &[UNIT_R]);
    let sidecar = json!({ "scene": { "href": "scene.toml" }, "image": { "href": "a.tif", "roles": ["data"] } });
    for assets in [sidecar, json!({ "image": { "href": "a.tif", "type": "image/tiff" } })] {
        fs::write(tiny.folder.join("item.json"), item("1.1.0", assets).to_string()).unwrap();
        let shown = desk.fieldglow(["inspect", "tiny/item.json", "--json"]).ends_with(0).json();
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]["id"]), (1, &json!("tiny")));
    }
    let meta = assets(&Delivery::L1.folder(), "MSS", false)["MSS-metadata"].clone();
    let path = with_item(&desk, "item.json", &item("1.0.0", json!({ "meta": meta })));
    let shown = desk.fieldglow(["inspect", path.to_str().unwrap(), "--json"]).ends_with(0).json();
    assert_eq!(shown[0]["id"], Delivery::L1.id());
    assert_eq!(shown[0]["parts"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_usable_item_says_what_it_is() {
    let image = |href: &str| json!({ "image": { "href": href, "type": "image/tiff", "roles": ["data"] } });
    refused(&item("1.1.0", image("./absent_L1_MSS.tif")), &["assets.image.href", "absent_L1_MSS.tif", "No such file"]);
    refused(&item("1.1.0", image("/nowhere/x_L1_MSS.tif")), &["assets.image.href", "`/nowhere/x_L1_MSS.tif`"]);
    refused(&item("1.1.0", image("../x.tif")), &["assets.image.href", "`../x.tif`", "without `..`"]);
    refused(
        &item("1.1.0", image("https://h/b/x.tif?sig=secret")),
        &["assets.image.href", "`https://h/b/x.tif`", "by their URLs"],
    );
    refused(&item("1.1.0", image("s3://b/x.tif")), &["`s3://b/x.tif`", "by their URLs"]);
    refused(&item("1.1.0", json!({})), &["assets", "found none"]);
    refused(&item("1.1.0", json!({ "t": { "href": "t.png", "roles": ["thumbnail"] } })), &["found `t`", "role `data`"]);
    refused(&item("1.1.0", json!({ "image": { "roles": ["data"], "type": "image/tiff" } })), &["assets.image.href"]);
    refused(&item("0.9.0", image("a.tif")), &["STAC version `0.9.0`", "migrate"]);
    refused(
        &json!({ "type": "FeatureCollection", "features": [{}, {}] }),
        &["FeatureCollection (2 Items)", "a file of its own"],
    );
    let collection =
        json!({ "type": "Collection", "stac_version": "1.1.0", "links": [{ "rel": "item", "href": "a.json" }] });
    refused(&collection, &["STAC Collection", "links to 1 Items", "name its Items"]);
    refused(&json!({ "type": "Feature", "assets": {} }), &["stac_version", "no STAC Item"]);
    refused(&json!([1]), &["`type`", "STAC Item"]);
    let desk = Desk::new();
    let said = desk.fieldglow(["inspect", desk.write("a.json", "{").to_str().unwrap()]).ends_with(3);
    said.says(&["a.json", "line 1", "STAC Item"]);
    // A link out of the Item's folder is out of it, and an image without a known name needs a sidecar.
    let tiny = Tiny::new(&desk, (1, 1), &[vec![1u16]], "fill = 0", &[UNIT_R]);
    fs::remove_file(tiny.folder.join("scene.toml")).unwrap();
    fs::write(tiny.folder.join("item.json"), item("1.1.0", image("a.tif")).to_string()).unwrap();
    desk.fieldglow(["inspect", "tiny/item.json"]).ends_with(3).says(&["item.json", "a.tif", "scene.toml"]);
    std::os::unix::fs::symlink(Delivery::Small.file("_MSS.tif"), tiny.folder.join("link.tif")).unwrap();
    fs::write(tiny.folder.join("item.json"), item("1.1.0", image("link.tif")).to_string()).unwrap();
    desk.fieldglow(["inspect", "tiny/item.json"]).ends_with(3).says(&["item.json", "a link to"]);
}

/// One image for each of this many scenes, all in one folder, with a sidecar-free Jilin-1 name; the images are links to one.
fn flat(desk: &Desk, count: usize) -> Vec<String> {
    let small = Delivery::Small.file("_MSS.tif");
    fs::create_dir_all(desk.path("flat")).unwrap();
    let name = |k: usize| format!("flat/JL1KF01A_PMS06_20260715103000_{:09}_101_0001_001_L1_MSS.tif", 200_000_000 + k);
    (0..count)
        .map(|k| {
            fs::hard_link(&small, desk.path(name(k))).unwrap();
            name(k)
        })
        .collect()
}

fn inspect(desk: &Desk, list: &[u8], arguments: &[&str]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
        .arg("inspect")
        .args(arguments)
        .arg("--json")
        .current_dir(desk.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(list).unwrap();
    let said = child.wait_with_output().unwrap();
    Said {
        code: said.status.code().unwrap(),
        stdout: String::from_utf8(said.stdout).unwrap(),
        stderr: String::from_utf8(said.stderr).unwrap(),
    }
}

fn ids(said: &Said) -> Vec<String> {
    said.json().as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_may_have_marks_comments_blanks_and_repetitions() {
    let desk = Desk::new();
    let names = flat(&desk, 3);
    let [a, b, c] = [&names[0], &names[1], &names[2]];
    let list = format!(
        "\u{feff}# all of them\r\n\r\n  {a}\t\r\n{b}\r\n  # and again\r\n./{a}\n{}\n{c}",
        desk.path(b).display()
    );
    let said = inspect(&desk, list.as_bytes(), &["-"]).ends_with(0);
    let ids = ids(&said);
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.windows(2).all(|w| w[0] < w[1]), "in the order they were met: {ids:?}");
    // A place that is named twice fails once.
    let said = inspect(&desk, b"nowhere\nnowhere\n", &["-"]).ends_with(3);
    assert_eq!(said.stderr.matches("failed:").count(), 1, "{}", said.stderr);
    let said = inspect(&desk, b"flat\nb\xff\n", &["-"]).ends_with(1);
    said.says(&["standard input", "line 2"]);
    assert_eq!(inspect(&desk, b"", &["-"]).ends_with(0).json(), json!([]));
}

/// PAN and MSS on lines far apart, in any order and spelling, are one scene of one shard; all shards agree.
#[test]
fn shards_of_a_list_in_any_order_take_each_scene_once() {
    let desk = Desk::new();
    let mss = flat(&desk, 40);
    let mut lines: Vec<String> = mss.clone();
    for name in &mss {
        // Parts in a folder of their own; half of the names in small letters.
        let pan = name.replace("flat/", "pan/").replace("_MSS.tif", "_PAN.tif");
        let pan = if lines.len().is_multiple_of(2) { pan.replace("JL1KF01A", "jl1kf01a") } else { pan };
        desk.write(&pan, fs::read(Delivery::L1.file("_PAN.tif")).unwrap());
        lines.push(pan);
    }
    let pipeline = desk.write("p.toml", ortho(MULTISPECTRAL));
    let mut seen = Vec::new();
    for k in 1..=3 {
        if k == 2 {
            lines.reverse();
        }
        desk.write("list.txt", lines.join("\n"));
        let plan = desk.fieldglow([
            "run",
            pipeline.to_str().unwrap(),
            "@list.txt",
            "--output",
            "out",
            "--json",
            "--shard",
            &format!("{k}/3"),
        ]);
        let report = plan.json();
        seen.extend(report["scenes"].as_array().unwrap().iter().map(|s| s["scene"].as_str().unwrap().to_owned()));
    }
    seen.sort_unstable();
    let mut expected = seen.clone();
    expected.dedup();
    assert_eq!((seen.len(), &seen), (40, &expected));
}

/// Ten thousand lines, all images of one folder, are told apart in seconds: the folder is looked at once.
#[test]
fn ten_thousand_lines_are_found_quickly() {
    let desk = Desk::new();
    let names = flat(&desk, 10_000);
    desk.write("list.txt", names.join("\n"));
    let pipeline = desk.write("p.toml", native("dn", "[[product]]\nname = \"r\"\nkind = \"bands\"\nbands = [\"R\"]\n"));
    let started = Instant::now();
    // A shard that takes almost none of them: what is measured is how they are found.
    let report = desk
        .fieldglow(["run", pipeline.to_str().unwrap(), "@list.txt", "--output", "out", "--json", "--shard", "1/5000"])
        .json();
    let seconds = started.elapsed().as_secs_f64();
    let taken = report["scenes"].as_array().unwrap().len();
    assert!((1..20).contains(&taken), "{taken}");
    assert!(seconds < 20.0, "{seconds} s");
}

#[test]
fn a_tiny_scene_named_in_every_way_is_one_scene() {
    let desk = Desk::new();
    let planes = [vec![100u16; 15], vec![200u16; 15]];
    let tiny = Tiny::new(&desk, (3, 5), &planes, "fill = 0", &[UNIT_R, UNIT_N]);
    let url = format!("file://{}", tiny.folder.display());
    desk.write("list.txt", "tiny\n");
    let ways = ["tiny", "tiny/scene.toml", "tiny/a.tif", "./tiny", "ti?y", "tiny/*.toml", &url, "@list.txt"];
    let arguments: Vec<&str> = ["inspect", "--json"].into_iter().chain(ways).collect();
    let shown = desk.fieldglow(arguments).ends_with(0).json();
    assert_eq!(shown.as_array().unwrap().len(), 1);
}
