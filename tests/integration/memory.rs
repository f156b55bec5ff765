//! The memory that is given is enough, or more is asked for by number.

use gdal::DriverManager;
use gdal::raster::RasterCreationOptions;

use crate::delivery::{Delivery, Tiny, UNIT_N, UNIT_R, farm, native, product};
use crate::harness::{Desk, assert_same_objects, tree};
use crate::image;

#[test]
fn too_little_memory_fails_the_scene_and_what_the_message_asks_for_is_enough() {
    let desk = Desk::new();
    let said = desk.run(&farm(), &[&Delivery::L1.folder()], &["--memory", "20MiB"]).ends_with(3);
    assert!(tree(&desk.path("out")).is_empty());
    let (_, asked) = said.stderr.split_once("set --memory to ").unwrap();
    let (asked, _) = asked.split_once(' ').unwrap();
    assert!(asked.ends_with("MiB"), "{asked}");
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--memory", asked]).ends_with(0);
}

#[test]
fn the_plan_names_the_smallest_memory_to_the_byte() {
    let desk = Desk::new();
    let smallest = desk.plan(&farm(), &Delivery::L1.folder(), &[])["smallest_memory_bytes"].as_u64().unwrap();
    let fits =
        |memory: u64| desk.plan(&farm(), &Delivery::L1.folder(), &["--memory", &memory.to_string()])["fits"].take();
    assert_eq!((fits(smallest), fits(smallest - 1)), (true.into(), false.into()));
    let run = |memory: u64| desk.run(&farm(), &[&Delivery::L1.folder()], &["--memory", &memory.to_string(), "--json"]);
    let report = run(smallest - 1).ends_with(3).json();
    assert!(report["scenes"][0]["error"]["message"].as_str().unwrap().contains("too small"), "{report}");
    let report = run(smallest).ends_with(0).json();
    assert!(report["peak_reserved_bytes"].as_u64().unwrap() <= smallest, "{report}");
}

#[test]
fn the_plan_says_how_much_is_reserved_at_most() {
    let desk = Desk::new();
    let plan = |more: &[&str]| desk.plan(&farm(), &Delivery::L1.folder(), more);
    let smallest = plan(&[])["smallest_memory_bytes"].as_u64().unwrap();
    for memory in [smallest, 2 * smallest, 2 << 30] {
        for threads in ["1", "4"] {
            let more = ["--memory", &memory.to_string(), "--threads", threads];
            let most = plan(&more)["peak_reserved_bytes"].as_u64().unwrap();
            let more = [&more[..], &["--json", "--force"]].concat();
            let report = desk.run(&farm(), &[&Delivery::L1.folder()], &more).ends_with(0).json();
            let reserved = report["peak_reserved_bytes"].as_u64().unwrap();
            assert!(reserved <= most && most <= memory, "{threads}: {reserved}, {most}, {memory}");
            // A small scene does not need all of a large memory.
            assert!(memory < 2 << 30 || most < memory / 2, "{most}");
        }
    }
}

#[test]
fn the_account_of_a_run_adds_up() {
    let desk = Desk::new();
    let report = desk.run(&farm(), &[&Delivery::L1.folder()], &["--json", "--threads", "2"]).ends_with(0).json();
    let stages = &report["scenes"][0]["stage_seconds"];
    let of = |stage: &str| stages[stage].as_f64().unwrap();
    let sum: f64 = ["locate", "fetch", "read", "decode", "compute", "fold", "encode", "idle"].map(of).iter().sum();
    assert!((sum - of("workers")).abs() < 1e-6 * sum || of("idle") == 0.0, "{stages}");
    let seconds = report["scenes"][0]["seconds"].as_f64().unwrap();
    assert!(
        of("workers") <= 2.0 * seconds && of("publish") <= seconds && of("store") <= seconds,
        "{stages}, {seconds}"
    );
    assert_eq!(report["totals"]["stage_seconds"], *stages);
}

#[test]
fn no_memory_at_all_is_refused_like_too_little() {
    let desk = Desk::new();
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--memory", "0"]).ends_with(3).says(&["set --memory to "]);
}

/// A compressed strip is as wide as the image: with memory for it, the cells beside each other are made together and it is
/// decoded once; without, they are made one by one. The objects are the same.
#[test]
fn strips_are_decoded_once_where_memory_allows_it() {
    let desk = Desk::new();
    let (rows, cols) = (40, 8_300);
    let plane = |k: usize| (0..rows * cols).map(|i| (i * (k + 3) % 9_001) as u16).collect::<Vec<_>>();
    let tiny = Tiny::new(&desk, (rows, cols), &[plane(1), plane(2)], "fill = 0", &[UNIT_R, UNIT_N]);
    let (plain, packed) = (tiny.folder.join("a.tif"), tiny.folder.join("b.tif"));
    let options = RasterCreationOptions::from_iter(["COMPRESS=DEFLATE", "PREDICTOR=2", "INTERLEAVE=PIXEL"]);
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    image::open(&plain).create_copy(&driver, &packed, &options).unwrap().close().unwrap();
    std::fs::rename(&packed, &plain).unwrap();
    let text = native("toa", &product("ndvi", "kind = \"index\"\nindex = \"NDVI\""));
    let plan = desk.plan(&text, &tiny.folder, &["--memory", "2GiB"]);
    assert_eq!((&plan["cells_together"], &plan["decodes"]), (&3.into(), &1.into()), "{plan}");
    let smallest = plan["smallest_memory_bytes"].to_string();
    let tight = desk.plan(&text, &tiny.folder, &["--memory", &smallest]);
    assert_eq!((&tight["cells_together"], &tight["decodes"]), (&1.into(), &9.into()), "{tight}");
    let mut made = Vec::new();
    for (out, memory) in [("roomy", "2GiB"), ("tight", smallest.as_str())] {
        // One thread: of two that need a strip at the same moment, both may decode it.
        let more = ["--memory", memory, "--threads", "1", "--json"];
        let said = desk.run_to(out, &text, &[&tiny.folder], &more).ends_with(0).json();
        let scene = &said["scenes"][0];
        assert_eq!(scene["cells_written"].as_array().unwrap().len(), 3);
        assert!(scene["stage_seconds"]["decode"].as_f64().unwrap() > 0.0, "{scene}");
        if out == "roomy" {
            assert_eq!(scene["decode_amplification"], 1.0, "{scene}");
        }
        made.push(tree(&desk.path(out)));
    }
    assert_same_objects(&made[0], &made[1]);
}
