//! The same bytes, however the work is cut.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fieldglow::engine::{Options, Progress, RunReport, Silent};
use fieldglow::store;
use sha2::{Digest, Sha256};

use crate::delivery::{Delivery, Tiny, UNIT_N, UNIT_R, farm, finished, native};
use crate::harness::{Desk, files, options, run_in_process, tree};

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

/// Runs a pipeline in this process.
fn run_here(
    pipeline: &Path,
    scene: &Path,
    output: &Path,
    (threads, shuffle): (usize, Option<u64>),
    progress: &dyn Progress,
) -> RunReport {
    let store = store::open(output.to_str().unwrap()).unwrap();
    run_in_process((pipeline, scene), &*store, Options { threads, shuffle, ..options() }, progress)
}

/// Each file is completed when its own last tile has come: it waits neither for the other files of its cell nor for what else
/// is told of the last unit. The Item waits for all of it.
#[test]
fn files_stand_before_their_cell_is_whole() {
    /// Holds up the news that the last pixels were made until files stand, and tells what stood then.
    struct HoldsUp {
        output: PathBuf,
        left: AtomicU64,
        stood: Mutex<Vec<String>>,
    }

    impl Progress for HoldsUp {
        fn scene_started(&self, _: &str, _: usize, pixels: u64) {
            self.left.store(pixels, Ordering::Relaxed);
        }

        fn pixels_done(&self, pixels: u64) {
            if self.left.fetch_sub(pixels, Ordering::Relaxed) > pixels {
                return;
            }
            let started = Instant::now();
            loop {
                let stands: Vec<String> = files(&self.output).into_keys().filter(|n| !n.contains("/.")).collect();
                if stands.len() == 4 || started.elapsed() > Duration::from_secs(30) {
                    *self.stood.lock().unwrap() = stands;
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    const TEXT: &str = "[[product]]\nname = \"reflectance\"\nkind = \"bands\"\nbands = [\"R\", \"N\"]\n\
                        [[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\n";
    let desk = Desk::new();
    let plane = |k: usize| (0..1_100 * 600).map(|i| ((i / 7) * (k + 3) % 9_001) as u16).collect::<Vec<_>>();
    let tiny = Tiny::new(&desk, (1_100, 600), &[plane(1), plane(2)], "fill = 0", &[UNIT_R, UNIT_N]);
    let pipeline = desk.write("pipeline.toml", native("toa", TEXT));
    for threads in [1, 2] {
        let output = desk.path(format!("out_{threads}"));
        let holds_up = HoldsUp { output: output.clone(), left: AtomicU64::new(0), stood: Mutex::default() };
        let report = run_here(&pipeline, &tiny.folder, &output, (threads, None), &holds_up);
        assert_eq!((report.exit_code, report.totals.cells_written), (0, 1));
        let stood = holds_up.stood.lock().unwrap();
        let names: Vec<&str> = stood.iter().filter_map(|name| name.rsplit('/').next()).collect();
        assert_eq!(
            names,
            ["ndvi.png", "ndvi.tif", "reflectance.png", "reflectance.tif"],
            "{threads} threads: {stood:?}"
        );
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
    let run = |name: &str, threads: usize, shuffle: Option<u64>| {
        let report = run_here(&file, &tiny.folder, &desk.path(name), (threads, shuffle), &Silent);
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
