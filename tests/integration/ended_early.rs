//! Scenes that end before all of their cells are made: what stands is told, and nothing more is begun.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use fieldglow::engine::{Options, Progress, Silent, Stop};
use fieldglow::store::{self, Found, PartSink, Payload, Store, StoreError, Stored};

use crate::delivery::{Tiny, UNIT_N, UNIT_R, native};
use crate::harness::{Desk, options, run_in_process, tree};

const NDVI: &str = "[[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\n\
                    [[product]]\nname = \"qa\"\nkind = \"qa\"\n";

/// Pixels of a row of a cell in the scene's own pixels.
const CELL: usize = 4096;

/// A scene of one row of cells, and its pipeline.
fn row_of_cells(desk: &Desk, rows: usize, cells: usize) -> (PathBuf, PathBuf) {
    let plane = |k: usize| (0..rows * cells * CELL).map(|i| ((i / 7) * (k + 3) % 9_001) as u16).collect::<Vec<_>>();
    let tiny = Tiny::new(desk, (rows, cells * CELL), &[plane(1), plane(2)], "fill = 0", &[UNIT_R, UNIT_N]);
    (desk.write("pipeline.toml", native("toa", NDVI)), tiny.folder)
}

/// A scene that is told to end tells of the cells that stand by then, and the next run makes the others.
#[test]
fn an_interrupted_scene_tells_what_stands_of_it() {
    /// Asks for the end when the first cell stands.
    struct Ends(Stop);

    impl Progress for Ends {
        fn cell_done(&self, _: &str) {
            self.0.ask();
        }
    }

    const CELLS: usize = 12;
    let desk = Desk::new();
    let (pipeline, scene) = row_of_cells(&desk, 2, CELLS);
    let output = desk.path("out");
    let store = store::open(output.to_str().unwrap()).unwrap();
    let stop = Stop::default();
    let report = run_in_process((&pipeline, &scene), &*store, Options { stop: stop.clone(), ..options() }, &Ends(stop));
    let told = &report.scenes[0];
    let stands = tree(&output).keys().filter(|n| n.ends_with("/item.json") && !n.contains("/scenes/")).count();
    assert!((1..CELLS).contains(&stands), "{stands}");
    assert_eq!((told.cells_written.len(), told.error.as_ref().unwrap().code.as_str()), (stands, "engine/interrupted"));
    assert!(report.interrupted && told.bytes_written > 0);
    let report = run_in_process((&pipeline, &scene), &*store, options(), &Silent);
    assert_eq!((report.scenes[0].cells_written.len(), report.scenes[0].cells_unchanged), (CELLS - stands, stands));
}

/// A file of the first cell cannot be stored: the others are not made in vain, and what is made of the cell stays away.
#[test]
fn a_scene_that_cannot_be_stored_is_not_made_to_its_end() {
    struct Full(Box<dyn Store>);

    struct FullSink;

    impl PartSink for FullSink {
        fn put(&mut self, _: Payload) -> Result<(), StoreError> {
            Ok(())
        }
        fn complete(self: Box<Self>, _: Payload) -> Result<Stored, StoreError> {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            Err(StoreError::Io { action: "writing", path: "a file".into(), source })
        }
        fn abort(self: Box<Self>) {}
    }

    impl Store for Full {
        fn url(&self) -> String {
            self.0.url()
        }
        fn probe(&self) -> Result<Found, StoreError> {
            self.0.probe()
        }
        fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(name)
        }
        fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
            self.0.put(name, bytes)
        }
        fn start(&self, name: &str) -> Result<Box<dyn PartSink>, StoreError> {
            if name.contains("-C0000/") && name.ends_with("ndvi.tif") {
                Ok(Box::new(FullSink))
            } else {
                self.0.start(name)
            }
        }
        fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError> {
            self.0.list(folder, suffix)
        }
    }

    #[derive(Default)]
    struct Made(AtomicU64);

    impl Progress for Made {
        fn pixels_done(&self, pixels: u64) {
            self.0.fetch_add(pixels, Ordering::Relaxed);
        }
    }

    let (rows, cells) = (1_000, 4);
    let desk = Desk::new();
    let (pipeline, scene) = row_of_cells(&desk, rows, cells);
    let store = Full(store::open(desk.path("out").to_str().unwrap()).unwrap());
    let made = Made::default();
    let report = run_in_process((&pipeline, &scene), &store, options(), &made);
    let error = report.scenes[0].error.as_ref().unwrap();
    assert!(error.message.contains("writing `a file`"), "{}", error.message);
    assert_eq!(error.context.cell.as_deref().map(|c| c.ends_with("-C0000")), Some(true));
    let made = made.0.load(Ordering::Relaxed);
    assert!(made < (rows * cells * CELL) as u64, "all {made} pixels were made");
    assert!(!tree(&desk.path("out")).keys().any(|n| n.contains("-C0000/") && n.ends_with("item.json")));
}
