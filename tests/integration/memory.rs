//! The memory that is given is enough, or more is asked for by number.

use crate::delivery::{Delivery, farm};
use crate::harness::{Desk, tree};

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
fn no_memory_at_all_is_refused_like_too_little() {
    let desk = Desk::new();
    desk.run(&farm(), &[&Delivery::L1.folder()], &["--memory", "0"]).ends_with(3).says(&["set --memory to "]);
}
