//! Many scenes: how they are named, shared between runs, put together again, and left behind when a run is told to end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, Tiny, UNIT_N, UNIT_R, farm, finished, native, ortho};
use crate::harness::{Desk, assert_same_objects, copy, tree};

/// An index and the states of tiny scenes, in their own pixels.
const TINY: &str = r#"
[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"
[[product]]
name = "qa"
kind = "qa"
"#;

/// Folder with this many scenes of 3 × 5 pixels, `s000` and on, on the desk.
fn tiny_scenes(desk: &Desk, count: usize) -> PathBuf {
    let planes: Vec<Vec<u16>> = (0..2).map(|b| (0..15).map(|k| 1000 + 3000 * b + 7 * k).collect()).collect();
    let tiny = Tiny::new(desk, (3, 5), &planes, "fill = 0", &[UNIT_R, UNIT_N]);
    let sidecar = fs::read_to_string(tiny.folder.join("scene.toml")).unwrap();
    let folder = desk.path("many");
    for k in 0..count {
        let own = folder.join(format!("s{k:03}"));
        copy(&tiny.folder, &own);
        fs::write(own.join("scene.toml"), sidecar.replace("\"tiny\"", &format!("\"s{k:03}\""))).unwrap();
    }
    folder
}

fn report(desk: &Desk, name: &str) -> Value {
    serde_json::from_slice(&fs::read(desk.path(name)).unwrap()).unwrap()
}

#[test]
fn lists_patterns_and_urls_name_the_same_scenes() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 3);
    let text = native("toa", TINY);
    desk.run(&text, &[&folder], &[]).ends_with(0).says(&["3 of 3 scenes done"]);
    let all = tree(&desk.path("out"));
    let lines: String = (0..3).map(|k| format!("many/s00{k}\r\n")).collect();
    desk.write("list.txt", format!("# scenes\n\n{lines}"));
    desk.run_to("of-list", &text, &[Path::new("@list.txt")], &[]).ends_with(0);
    desk.run_to("of-pattern", &text, &[Path::new("many/s*/scene.toml")], &[]).ends_with(0);
    let url = format!("file://{}", folder.display());
    desk.run_to("of-url", &text, &[Path::new(&url)], &[]).ends_with(0);
    for out in ["of-list", "of-pattern", "of-url"] {
        assert_same_objects(&all, &tree(&desk.path(out)));
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
        .args(["inspect", "-", "--json"])
        .current_dir(desk.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"many/s001\nmany/s00[02]\n").unwrap();
    let said = child.wait_with_output().unwrap();
    let scenes: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap();
    let ids: Vec<_> = scenes.iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["s001", "s000", "s002"]);
}

#[test]
fn what_names_nothing_ends_the_run_with_the_line() {
    let desk = Desk::new();
    let text = native("toa", TINY);
    desk.write("list.txt", "\nnothing-*\n");
    desk.run(&text, &[Path::new("@list.txt")], &[]).ends_with(1).says(&["list.txt", "line 2", "nothing-*"]);
    desk.run(&text, &[Path::new("@absent.txt")], &[]).ends_with(1).says(&["absent.txt"]);
    desk.run(&text, &[Path::new("ftp://host/scene")], &[]).ends_with(1).says(&["ftp://host/scene", "local paths"]);
    for shard in ["0/2", "3/2", "x"] {
        desk.run(&text, &[Path::new("x")], &["--shard", shard]).ends_with(1).says(&["K/N"]);
    }
}

/// Twenty scenes in four runs, in any order, then `collect`: what one run makes, object by object.
#[test]
fn shards_and_collect_make_what_one_run_makes() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 20);
    let text = native("toa", TINY);
    desk.run(&text, &[&folder], &[]).ends_with(0);
    let mut tried = 0;
    for k in [3, 1, 4, 2] {
        let shard = format!("{k}/4");
        desk.run_to("shards", &text, &[&folder], &["--shard", &shard, "--report", "shard.json"]).ends_with(0);
        tried += report(&desk, "shard.json")["scenes"].as_array().unwrap().len();
        assert!(!desk.path("shards/farm/collection.json").exists(), "the Collection is left to `collect`");
    }
    assert_eq!(tried, 20);
    desk.fieldglow(["collect", "shards/farm"]).ends_with(0);
    assert_same_objects(&tree(&desk.path("out")), &tree(&desk.path("shards")));
}

/// As schedulers do it: one run for each scene, many at once; the Collection is that of one run over all.
#[test]
fn runs_of_one_scene_each_at_the_same_time_make_what_one_run_makes() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 12);
    let text = native("toa", TINY);
    desk.run(&text, &[&folder], &[]).ends_with(0);
    std::thread::scope(|scope| {
        for k in 0..12 {
            let args = ["run", "pipeline.toml", &format!("many/s{k:03}"), "--output", "each"].map(str::to_owned);
            scope.spawn(|| desk.fieldglow(args).ends_with(0));
        }
    });
    assert_same_objects(&tree(&desk.path("out")), &tree(&desk.path("each")));
}

/// The scene that said most of the Collection is made again, and says something else.
#[test]
fn a_scene_made_again_changes_the_collection() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 2);
    let (first, second) = (folder.join("s000"), folder.join("s001"));
    let text = native("toa", TINY);
    desk.run(&text, &[&first, &second], &[]).ends_with(0);
    let collection = desk.path("out/farm/collection.json");
    let before = fs::read(&collection).unwrap();
    let sidecar = second.join("scene.toml");
    let told = fs::read_to_string(&sidecar).unwrap();
    fs::write(&sidecar, format!("cloud_percent = 37.5\n{told}")).unwrap();
    desk.run(&text, &[&second], &[]).ends_with(0);
    let after = fs::read(&collection).unwrap();
    assert_ne!(before, after);
    let cover = &serde_json::from_slice::<Value>(&after).unwrap()["summaries"]["eo:cloud_cover"];
    assert_eq!(*cover, serde_json::json!({ "minimum": 37.5, "maximum": 37.5 }));
    fs::write(&sidecar, told).unwrap();
    desk.run(&text, &[&second], &[]).ends_with(0);
    assert_eq!(fs::read(&collection).unwrap(), before);
}

#[test]
fn parts_given_apart_are_one_scene_of_one_shard() {
    let desk = Desk::new();
    let (pan, mss) = (Delivery::L1.file("_PAN_meta.xml"), Delivery::L1.file("_MSS_meta.xml"));
    let arguments: [&Path; 2] = [pan.parent().unwrap(), mss.parent().unwrap()];
    for k in [2, 1, 3] {
        let shard = format!("{k}/3");
        desk.run(&farm(), &arguments, &["--shard", &shard]).ends_with(0);
    }
    desk.fieldglow(["collect", "out/farm"]).ends_with(0);
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

#[test]
fn cells_made_apart_and_collected_are_what_one_run_makes() {
    let desk = Desk::new();
    let cells = ["UTM51N-7680-E0089-N0632", "UTM51N-7680-E0089-N0633"];
    for (k, cell) in cells.iter().enumerate() {
        desk.run(&farm(), &[&Delivery::L1.folder()], &["--cells", cell]).ends_with(0);
        desk.fieldglow(["collect", "out/farm"]).ends_with(0);
        let item = scene_item(&tree(&desk.path("out")));
        assert_eq!(item["properties"]["fieldglow:cells"].as_array().unwrap().len(), k + 1);
        let missing = item["properties"].get("fieldglow:missing_cells");
        assert_eq!(missing.map(|m| m.as_array().unwrap().len()), (k == 0).then_some(1));
    }
    assert_same_objects(&tree(finished()), &tree(&desk.path("out")));
}

fn scene_item(objects: &BTreeMap<String, Vec<u8>>) -> Value {
    let item = objects.iter().find(|(n, _)| n.contains("/scenes/") && n.ends_with("/item.json")).unwrap();
    serde_json::from_slice(item.1).unwrap()
}

#[test]
fn a_cell_that_no_scene_has_is_named() {
    let desk = Desk::new();
    let said = desk.run(&farm(), &[&Delivery::L1.folder()], &["--cells", "UTM51N-7680-E0001-N0001"]);
    said.ends_with(3).says(&["UTM51N-7680-E0001-N0001", "fieldglow plan"]);
}

/// An area of interest makes whole cells, the same as without it, and leaves the others out.
#[test]
fn an_area_selects_cells() {
    let desk = Desk::new();
    let plan = desk.plan(&farm(), &Delivery::L1.folder(), &[]);
    let all = plan["cells"].as_array().unwrap().len();
    assert_eq!(all, 2);
    // Twenty metres around a point of the southern cell, in another system than the grid's.
    let square = |x: f64, y: f64| {
        format!(
            r#"{{"type":"FeatureCollection","crs":{{"type":"name","properties":{{"name":"urn:ogc:def:crs:EPSG::32651"}}}},
            "features":[{{"type":"Feature","properties":{{}},"geometry":{{"type":"Polygon","coordinates":[[[{x},{y}],[{},{y}],[{},{}],[{x},{}],[{x},{y}]]]}}}}]}}"#,
            x + 20.0,
            x + 20.0,
            y + 20.0,
            y + 20.0
        )
    };
    desk.write("area.geojson", square(89.0 * 7680.0 + 4000.0, 632.0 * 7680.0 + 7000.0));
    let plan = desk.plan(&farm(), &Delivery::L1.folder(), &["--aoi", "area.geojson"]);
    assert_eq!(plan["cells"].as_array().unwrap().len(), 1);
    let said = desk.run(&farm(), &[&Delivery::L1.folder()], &["--aoi", "area.geojson", "--report", "r.json"]);
    said.ends_with(0).says(&["1 cells written"]);
    assert_eq!(report(&desk, "r.json")["scenes"][0]["cells_left_out"], 1);
    let (whole, part) = (tree(finished()), tree(&desk.path("out")));
    let files = part.iter().filter(|(n, _)| n.contains("/UTM51N-7680-E0089-N0632/"));
    assert!(files.clone().count() > 4 && files.clone().all(|(n, bytes)| whole[n] == *bytes));
    assert!(part.keys().all(|n| !n.contains("N0633")));
    // The rest is made later, and then nothing tells the two ways apart.
    desk.run(&farm(), &[&Delivery::L1.folder()], &[]).ends_with(0).says(&["1 cells written", "1 already there"]);
    assert_same_objects(&whole, &tree(&desk.path("out")));
    // Beside the scene there is nothing to do, which is no failure.
    desk.write("beside.geojson", square(500_000.0, 4_000_000.0));
    let said = desk.run_to("beside", &farm(), &[&Delivery::L1.folder()], &["--aoi", "beside.geojson"]);
    said.ends_with(0).says(&["0 cells written"]);
    desk.write("no.geojson", "{}");
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--aoi", "no.geojson"]).ends_with(1).says(&["--aoi", "no.geojson"]);
}

/// Two hundred scenes, ten of them broken in different ways: those ten fail, by name and for their reasons.
#[test]
fn broken_scenes_fail_alone() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 200);
    type Break = (usize, fn(&Path), &'static str);
    fn sidecar(scene: &Path, from: &str, to: &str) {
        let path = scene.join("scene.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
    let breaks: [Break; 10] = [
        (3, |s| fs::remove_file(s.join("a.tif")).unwrap(), "a.tif"),
        (20, |s| fs::write(s.join("a.tif"), b"no TIFF").unwrap(), "a.tif"),
        (41, |s| fs::write(s.join("scene.toml"), b"schema = ").unwrap(), "scene.toml"),
        (62, |s| sidecar(s, "role = \"N\"", "role = \"G\""), "band N"),
        (83, |s| sidecar(s, "role = \"N\"", "role = \"X\""), "X"),
        (104, |s| sidecar(s, "index = 2", "index = 3"), "a.tif"),
        (125, |s| sidecar(s, "time = 2026", "time = 20x6"), "scene.toml"),
        (146, |s| sidecar(s, "gain = 1e-4", "gain = 0.0"), "gain"),
        (167, |s| sidecar(s, "image = \"a.tif\"", "image = \"../a.tif\""), "../a.tif"),
        (
            199,
            |s| {
                let bytes = fs::read(s.join("a.tif")).unwrap();
                fs::write(s.join("a.tif"), &bytes[..bytes.len() - 40]).unwrap();
            },
            "a.tif",
        ),
    ];
    for (k, damage, _) in breaks {
        damage(&folder.join(format!("s{k:03}")));
    }
    let said = desk.run(&native("toa", TINY), &[&folder], &["--report", "r.json"]).ends_with(2);
    let report = report(&desk, "r.json");
    let scenes = report["scenes"].as_array().unwrap();
    assert_eq!(scenes.len(), 200);
    let failed: Vec<&Value> = scenes.iter().filter(|s| s["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 10, "{}", said.stderr);
    for (k, _, word) in breaks {
        let name = format!("s{k:03}");
        let scene = failed.iter().find(|s| s["scene"].as_str().unwrap().contains(&name));
        let error = &scene.unwrap_or_else(|| panic!("{name}"))["error"];
        assert!(error["message"].as_str().unwrap().contains(word), "{name}: {error}");
        assert_eq!(error["class"], "input", "{name}: {error}");
    }
    let items = tree(&desk.path("out")).keys().filter(|n| n.contains("/scenes/") && n.ends_with("item.json")).count();
    assert_eq!(items, 190);
}

/// A run that is told to end takes back what is unfinished, keeps what stands, says so, and the next one goes on.
#[test]
fn a_terminated_run_leaves_nothing_half_done_and_the_next_goes_on() {
    let desk = Desk::new();
    let folder = tiny_scenes(&desk, 60);
    let text = native("toa", TINY);
    desk.run_to("whole", &text, &[&folder], &[]).ends_with(0);
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
            .args(["run", "pipeline.toml", "many", "--output", "out", "--progress", "plain", "--report", "r.json"])
            .current_dir(desk.path(""))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("done:") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0);
        }
        // The shell's own: a bare machine has no other.
        let kill = format!("kill {signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{rest}");
        let report = report(&desk, "r.json");
        assert_eq!(report["interrupted"], true);
        let (tried, left) =
            (report["scenes"].as_array().unwrap().len(), report["totals"]["not_tried"].as_u64().unwrap());
        assert!(left > 0 && tried as u64 + left == 60, "{tried} {left}");
        let whole = tree(&desk.path("whole"));
        let part = tree(&desk.path("out"));
        assert!(part.iter().all(|(n, bytes)| whole.get(n) == Some(bytes)), "{:?}", part.keys());
        if code == 130 {
            desk.run(&text, &[&folder], &[]).ends_with(0).says(&["already there"]);
            assert_same_objects(&whole, &tree(&desk.path("out")));
        }
    }
}

#[test]
fn the_log_is_text_or_json_and_replaces_progress() {
    let desk = Desk::new();
    let scenes = [Delivery::Small.folder(), desk.path("absent")];
    let scenes: Vec<&Path> = scenes.iter().map(PathBuf::as_path).collect();
    let text = ortho(MULTISPECTRAL);
    let said = desk.run(&text, &scenes, &["--log", "json", "--json"]).ends_with(2);
    let events: Vec<Value> =
        said.stderr.lines().filter(|l| l.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect();
    let messages: Vec<_> = events.iter().map(|e| e["message"].as_str().unwrap()).collect();
    for message in ["run started", "scene started", "cell done", "scene done"] {
        assert!(messages.contains(&message), "{messages:?}");
    }
    let error = events.iter().find(|e| e["level"] == "ERROR").unwrap();
    assert!(error["message"].as_str().unwrap().contains("absent"), "{error}");
    said.json();
    let said = desk.run(&text, &scenes, &["--log", "text", "--force"]).ends_with(2);
    assert!(said.stderr.contains(" INFO ") && said.stderr.contains("scene done") && !said.stderr.contains("\ndone:"));
}
