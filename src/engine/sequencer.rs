//! The one thread that owns the files of open cells: it puts tiles in order, hands parts to the store, and publishes a
//! cell when its last unit has come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use fieldglow_kernels::lights::Lights;
use geo::Coord;

use super::budget::Reservation;
use super::cell::OpenCell;
use super::documents;
use super::publish::{self, FileRecord};
use super::report::{Progress, Reads, StageSeconds};
use super::unit::{Output, Stats};
use crate::cog::{BandStatistics, Part, Writer};
use crate::error::{Error, Result, ResultExt};
use crate::grid::Window;
use crate::store::{PartSink, Store};

/// What the sequencer is told.
pub enum Message {
    /// A cell starts; what it reserved is given back when it ends.
    Open(Arc<OpenCell>, Reservation),
    /// A unit was computed, or failed.
    Unit(Box<UnitDone>),
    /// The scene's cells are no longer wanted: forget those that are open.
    Forget,
    /// Answer when everything before this was dealt with.
    Flush(std::sync::mpsc::Sender<Published>),
}

/// A unit's result.
pub struct UnitDone {
    /// Its cell.
    pub serial: u64,
    /// Its position in the cell.
    pub unit: usize,
    /// Its window.
    pub window: Window,
    /// What came of it; nothing when the scene was cancelled before its turn.
    pub result: Option<Result<Output>>,
    /// Memory of the results, given back once they are with the writers.
    pub reservation: Reservation,
}

/// What came of the cells since the last answer.
#[derive(Debug, Default)]
pub struct Published {
    /// Cells written.
    pub written: Vec<String>,
    /// Cells without a valid pixel.
    pub empty: Vec<String>,
    /// Outlines of the written cells' valid pixels, longitude and latitude, in the order of cells.
    pub outlines: Vec<Vec<(f64, f64)>>,
    /// Bytes stored.
    pub bytes: u64,
    /// What was read.
    pub reads: Reads,
    /// Values clipped.
    pub clipped: u64,
    /// Core time.
    pub seconds: StageSeconds,
    /// The first error.
    pub error: Option<Error>,
}

struct Open {
    cell: Arc<OpenCell>,
    files: Vec<Option<(Writer, Box<dyn PartSink>)>>,
    units: Vec<Option<UnitFacts>>,
    /// Pictures by file.
    pictures: BTreeMap<usize, Vec<u8>>,
    missing: usize,
    _reservation: Reservation,
}

/// What is kept of a unit until its cell is published.
struct UnitFacts {
    stats: Vec<Vec<Stats>>,
    lights: Vec<Vec<Lights>>,
    hull: Vec<Coord<f64>>,
    valid: u64,
}

/// Runs until the channel is closed. Sets `cancelled` when a cell cannot be finished, so that nothing more is admitted.
pub fn run(messages: &Receiver<Message>, store: &dyn Store, progress: &dyn Progress, cancelled: &AtomicBool) {
    let mut open: BTreeMap<u64, Open> = BTreeMap::new();
    let mut published = Published::default();
    let mut announced = String::new();
    let fail = |published: &mut Published, e: Error| {
        cancelled.store(true, Ordering::Relaxed);
        published.error = published.error.take().or(Some(e));
    };
    for message in messages {
        match message {
            Message::Open(cell, reservation) => {
                let serial = cell.serial;
                match start(cell, reservation, store) {
                    Ok(o) => {
                        open.insert(serial, o);
                    }
                    Err(e) => fail(&mut published, e),
                }
            }
            Message::Unit(done) => {
                progress.pixels_done(done.window.pixels() as u64);
                let serial = done.serial;
                let Some(o) = open.get_mut(&serial) else { continue };
                let name = o.cell.cell().name.clone();
                match accept(o, *done, &mut published) {
                    Ok(State::Incomplete) => {}
                    Ok(State::Cancelled) => abort(open.remove(&serial)),
                    Ok(State::Complete) => {
                        let started = Instant::now();
                        match open.remove(&serial).map(|o| publish(o, store, &mut announced, &mut published)) {
                            Some(Err(e)) => {
                                fail(&mut published, e.within(|c| (c.stage, c.cell) = (Some("store"), Some(name))));
                            }
                            _ => progress.cell_done(&name),
                        }
                        published.seconds.store += started.elapsed().as_secs_f64();
                    }
                    Err(e) => {
                        fail(&mut published, e.within(|c| c.cell = Some(name)));
                        abort(open.remove(&serial));
                    }
                }
            }
            Message::Forget => {
                while let Some((_, o)) = open.pop_first() {
                    abort(Some(o));
                }
            }
            Message::Flush(answer) => {
                // Nobody is left to be told when the dispatcher is gone.
                let _ = answer.send(std::mem::take(&mut published));
            }
        }
    }
    while let Some((_, o)) = open.pop_first() {
        abort(Some(o));
    }
}

fn abort(open: Option<Open>) {
    for (_, sink) in open.into_iter().flat_map(|o| o.files).flatten() {
        sink.abort();
    }
}

fn start(cell: Arc<OpenCell>, reservation: Reservation, store: &dyn Store) -> Result<Open> {
    let files = (0..cell.files())
        .map(|f| {
            let (layer, product) = publish::product_of(&cell.plan, f);
            let name = cell
                .plan
                .object(&cell.cell().name, &format!("{}/{}.tif", cell.plan.key8(), layer.products[product].name));
            Ok(Some((Writer::new(cell.spec(f).clone())?, store.start(&name)?)))
        })
        .collect::<Result<Vec<_>>>()?;
    let missing = cell.units.len();
    let units = cell.units.iter().map(|_| None).collect();
    Ok(Open { units, cell, files, pictures: BTreeMap::new(), missing, _reservation: reservation })
}

/// Where a cell is after a unit came.
enum State {
    Incomplete,
    Complete,
    Cancelled,
}

fn accept(open: &mut Open, done: UnitDone, published: &mut Published) -> Result<State> {
    let Some(result) = done.result else { return Ok(State::Cancelled) };
    let output = result?;
    published.reads.add(&output.reads);
    published.clipped += output.clipped;
    published.seconds.add(&output.seconds);
    let started = Instant::now();
    for (file, tile) in output.tiles {
        let Some((writer, sink)) = open.files[file].as_mut() else { continue };
        if let Some(part) = writer.push(tile)? {
            sink.put(&part.bytes).within(|c| c.stage = Some("store"))?;
        }
    }
    published.seconds.store += started.elapsed().as_secs_f64();
    open.pictures.extend(output.pictures);
    let (stats, lights) = (output.stats, output.lights);
    open.units[done.unit] = Some(UnitFacts { stats, lights, hull: output.hull, valid: output.valid });
    open.missing -= 1;
    drop(done.reservation);
    Ok(if open.missing == 0 { State::Complete } else { State::Incomplete })
}

fn publish(mut open: Open, store: &dyn Store, announced: &mut String, published: &mut Published) -> Result<()> {
    let cell = Arc::clone(&open.cell);
    let name = cell.cell().name.clone();
    let mut announce = || -> Result<u64> {
        if *announced == cell.plan.acquisition {
            return Ok(0);
        }
        announced.clone_from(&cell.plan.acquisition);
        documents::announce(store, &cell.plan)
    };
    let facts: Vec<&UnitFacts> = open.units.iter().flatten().collect();
    if facts.iter().all(|u| u.valid == 0) {
        abort(Some(open));
        published.bytes += announce()? + documents::note_empty(store, &cell.plan, &name)?;
        published.empty.push(name);
        return Ok(());
    }
    let mut records = Vec::new();
    let mut outlines = Vec::new();
    for (l, layer) in cell.plan.layers.iter().enumerate() {
        let lattice = &cell.cell().lattices[l];
        let units: Vec<&UnitFacts> =
            cell.units.iter().zip(&facts).filter(|((ul, _), _)| *ul == l).map(|(_, u)| *u).collect();
        let hull = super::unit::hull(units.iter().flat_map(|u| u.hull.iter().map(|c| (c.x, c.y))).collect());
        let map: Vec<(f64, f64)> = hull.iter().map(|c| lattice.transform.world_from_pixel(c.x, c.y)).collect();
        let outline = super::publish::geographic(&cell.plan.crs, &map)?;
        for (k, product) in layer.products.iter().enumerate() {
            let file = cell.first_file(l) + k;
            let stats = merge(product.bands(), units.iter().map(|u| &u.stats[k]), (lattice.rows * lattice.cols) as u64);
            let Some((writer, mut sink)) = open.files[file].take() else { continue };
            let finished = writer.finish(&stats)?;
            if let Some(Part { bytes, .. }) = &finished.rest {
                sink.put(bytes)?;
            }
            let stored = sink.complete(&finished.prefix)?;
            published.bytes += stored.size;
            let picture = match open.pictures.remove(&file) {
                Some(bytes) => Some(publish::picture(store, &cell, product, &bytes)?),
                None => None,
            };
            published.bytes += picture.as_ref().map_or(0, |p| p.size);
            records.push(FileRecord {
                layer: l,
                product: k,
                stats,
                lights: merge_lights(units.iter().map(|u| &u.lights[k])),
                picture,
                stored,
                header_size: finished.header_size,
                outline: outline.clone(),
            });
        }
        outlines.extend(outline);
    }
    let outline = publish::hull_of(&outlines);
    let item = publish::cell_item(&cell, &records, &outline)?;
    let object = cell.plan.object(&name, "item.json");
    published.bytes += announce()?;
    store.put(&object, &item)?;
    published.bytes += item.len() as u64;
    published.written.push(name);
    published.outlines.push(outline);
    Ok(())
}

/// Lights of a file from those of its units, in the order of units.
fn merge_lights<'a>(units: impl Iterator<Item = &'a Vec<Lights>>) -> Vec<Lights> {
    let mut all: Vec<Lights> = Vec::new();
    for unit in units {
        all.resize(unit.len().max(all.len()), Lights::default());
        all.iter_mut().zip(unit).for_each(|(sum, one)| sum.merge(one));
    }
    all
}

/// Statistics of a file from those of its units, in the order of units.
fn merge<'a>(bands: usize, units: impl Iterator<Item = &'a Vec<Stats>>, pixels: u64) -> Vec<Option<BandStatistics>> {
    let mut all: Vec<Option<Stats>> = vec![None; bands];
    for unit in units {
        for (sum, one) in all.iter_mut().zip(unit) {
            match (sum.as_mut(), one) {
                (Some(Stats::Integer(a)), Stats::Integer(b)) => a.merge(b),
                (Some(Stats::Float(a)), Stats::Float(b)) => a.merge(b),
                _ => *sum = Some(*one),
            }
        }
    }
    all.into_iter()
        .map(|s| {
            let (count, min, max, moments) = match s? {
                Stats::Integer(s) => (s.count, s.min as f64, s.max as f64, s.mean_stddev()?),
                Stats::Float(s) => (s.count, s.min, s.max, s.mean_stddev()?),
            };
            let valid_percent = 100.0 * count as f64 / pixels as f64;
            Some(BandStatistics { min, max, mean: moments.0, stddev: moments.1, valid_percent })
        })
        .collect()
}
