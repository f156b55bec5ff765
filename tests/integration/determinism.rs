//! The same bytes, however the work is cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use fieldglow::engine::{self, Given, Options, Silent, Stop};
use fieldglow::scene::Finder;
use fieldglow::{config, store};
use sha2::{Digest, Sha256};

use crate::delivery::{Delivery, Tiny, UNIT_N, UNIT_R, farm, finished, native};
use crate::harness::{Desk, tree};

fn digests(objects: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    objects.into_iter().map(|(name, bytes)| (name, Sha256::digest(bytes).to_vec())).collect()
}

#[test]
fn threads_and_budget_change_no_byte_of_any_object() {
    let expected = digests(tree(finished()));
    let smallest = Desk::new().plan(&farm(), &Delivery::L1.folder(), &[])["smallest_memory_bytes"].to_string();
    for threads in ["1", "2", "3", "8"] {
        for memory in [smallest.as_str(), "2GiB"] {
            let desk = Desk::new();
            let more = ["--threads", threads, "--memory", memory];
            desk.run(&farm(), &[&Delivery::L1.folder()], &more).ends_with(0);
            assert_eq!(digests(tree(&desk.path("out"))), expected, "{more:?}");
        }
    }
}

/// Units of a cell come in any order, from one thread or many, and are cut at odd edges: the objects are the same.
#[test]
fn the_order_of_units_changes_no_byte_of_any_object() {
    const TEXT: &str = "[[product]]\nname = \"reflectance\"\nkind = \"bands\"\nbands = [\"R\", \"N\"]\n\
                        [[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\ntype = \"float32\"\n\
                        [[product]]\nname = \"qa\"\nkind = \"qa\"\n";
    let desk = Desk::new();
    let (rows, cols) = (2_300, 3_077);
    let plane = |k: usize| (0..rows * cols).map(|i| ((i / 7) * (k + 3) % 9_001) as u16).collect::<Vec<_>>();
    let tiny = Tiny::new(&desk, (rows, cols), &[plane(1), plane(2)], "fill = 0", &[UNIT_R, UNIT_N]);
    let file = desk.write("pipeline.toml", native("toa", TEXT));
    let pipeline = Arc::new(config::load(&file, &[]).unwrap());
    let run = |name: &str, threads: usize, shuffle: Option<u64>| {
        let mut finder = Finder::default();
        finder.add(&tiny.folder).unwrap();
        let scenes = finder.finish().into_iter().map(Given::Delivery).collect();
        let store = store::open(desk.path(name).to_str().unwrap()).unwrap();
        let options = Options {
            threads,
            memory: 2 << 30,
            force: false,
            fail_fast: false,
            cells: Vec::new(),
            area: None,
            shard: None,
            shuffle,
            stop: Stop::default(),
        };
        let report = engine::run(&pipeline, scenes, &*store, &options, &Silent).unwrap();
        assert_eq!((report.exit_code, report.totals.cells_written), (0, 1));
        digests(tree(&desk.path(name)))
    };
    let expected = run("row_by_row", 1, None);
    for (threads, seed) in [(1, 1), (2, 2), (3, 3), (8, 4), (2, 5)] {
        assert_eq!(run(&format!("shuffled_{seed}"), threads, Some(seed)), expected, "{threads} threads, seed {seed}");
    }
}

#[test]
fn where_delivery_and_output_stand_changes_no_byte() {
    let desk = Desk::new();
    let delivery = Delivery::L1.copy_to(&desk, "somewhere/else");
    desk.run_to("deep/down", &farm(), &[&delivery.folder], &[]).ends_with(0);
    assert_eq!(digests(tree(&desk.path("deep/down"))), digests(tree(finished())));
}
