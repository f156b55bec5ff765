//! The one thread that owns the files of open cells: it puts tiles in order and hands parts to the store. When the last
//! unit of a cell has come, its files are completed beside the work on the next cells, and its Item after them. Nothing is
//! sent before it is known that the output can be written to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use fieldglow_kernels::lights::Lights;
use geo::Coord;

use super::budget::{Budget, Reservation};
use super::cell::OpenCell;
use super::plan::ScenePlan;
use super::publish::{self, FileRecord};
use super::report::{Progress, Reads, StageSeconds};
use super::unit::{Output, Stats};
use super::{EngineError, documents};
use crate::cog::{BandStatistics, Writer};
use crate::error::{Error, Result, ResultExt};
use crate::grid::Window;
use crate::store::{Found, Lease, PartSink, Payload, Store, StoreError, Stored};

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
    /// Cells written, and their Items.
    pub written: BTreeMap<String, Vec<u8>>,
    /// Cells without a valid pixel.
    pub empty: BTreeSet<String>,
    /// Bytes stored.
    pub bytes: u64,
    /// What was read.
    pub reads: Reads,
    /// Values clipped.
    pub clipped: u64,
    /// Values sharpened less than their ratio asks for.
    pub held: u64,
    /// Core time.
    pub seconds: StageSeconds,
    /// The first error.
    pub error: Option<Error>,
}

struct Open {
    cell: Arc<OpenCell>,
    files: Vec<(Writer, Box<dyn PartSink>)>,
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

/// Cells that are published at once. One waits for answers while the beginnings of the next one's files leave.
const PUBLISHERS: usize = 3;

/// Files of a cell that are finished at once: most of it is waiting, for a disk or a network.
const FINISHERS: usize = 8;

/// What is found out about the store, once.
pub struct Probe<'a> {
    store: &'a dyn Store,
    found: OnceLock<Result<Found, StoreError>>,
}

impl<'a> Probe<'a> {
    /// Asks a store that answers at once; nothing is known yet of one behind a network.
    ///
    /// # Errors
    /// Those of [`Store::probe`].
    pub fn new(store: &'a dyn Store) -> Result<Self, StoreError> {
        let found = if store.is_remote() { OnceLock::new() } else { OnceLock::from(Ok(store.probe()?)) };
        Ok(Self { store, found })
    }

    /// True when it can be written to; asks it, or waits while another thread does.
    pub fn is_writable(&self) -> bool {
        self.found.get_or_init(|| self.store.probe()).is_ok()
    }

    /// What was found.
    ///
    /// # Errors
    /// Those of [`Store::probe`].
    pub fn found(self) -> Result<Found, StoreError> {
        self.found.into_inner().unwrap_or_else(|| self.store.probe())
    }
}

/// Owns the files of open cells.
pub struct Sequencer<'a> {
    probe: &'a Probe<'a>,
    budget: Budget,
    progress: &'a dyn Progress,
    /// Set when a cell cannot be finished, so that nothing more is admitted.
    cancelled: Arc<AtomicBool>,
    open: BTreeMap<u64, Open>,
    published: Published,
}

/// Cells that are being published, while the next ones go on: their names, and what will have come of them.
type Publishing<'scope> = VecDeque<(String, ScopedJoinHandle<'scope, Result<Ended>>)>;

impl<'a> Sequencer<'a> {
    /// For one run. Memory for parts that wait is taken from `budget`.
    pub fn new(probe: &'a Probe<'a>, budget: Budget, progress: &'a dyn Progress, cancelled: Arc<AtomicBool>) -> Self {
        Self { probe, budget, progress, cancelled, open: BTreeMap::new(), published: Published::default() }
    }

    /// Runs until the channel is closed.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let publisher = &Publisher { store: self.probe.store, announced: Mutex::default() };
        std::thread::scope(|scope| {
            let mut publishing = Publishing::new();
            for message in messages {
                match message {
                    Message::Open(cell, reservation) => self.start(&cell, reservation),
                    Message::Unit(done) => {
                        self.progress.pixels_done(done.window.pixels() as u64);
                        let Some(open) = self.unit(*done) else { continue };
                        while publishing.len() >= PUBLISHERS
                            && let Some(oldest) = publishing.pop_front()
                        {
                            self.settle(oldest);
                        }
                        let name = open.cell.cell().name.clone();
                        let thread = std::thread::Builder::new().name("publisher".into());
                        match thread.spawn_scoped(scope, move || publisher.publish(open)) {
                            Ok(thread) => publishing.push_back((name, thread)),
                            Err(source) => self.fail(EngineError::Threads { what: "the publisher", source }.into()),
                        }
                    }
                    Message::Forget => self.abort_all(),
                    Message::Flush(answer) => {
                        publishing.drain(..).for_each(|cell| self.settle(cell));
                        // Nobody is left to be told when the dispatcher is gone.
                        let _ = answer.send(std::mem::take(&mut self.published));
                    }
                }
            }
            publishing.drain(..).for_each(|cell| self.settle(cell));
            self.abort_all();
        });
    }

    fn fail(&mut self, e: Error) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.published.error = self.published.error.take().or(Some(e));
    }

    fn abort_all(&mut self) {
        std::mem::take(&mut self.open).into_values().for_each(abort);
    }

    /// Takes a unit's result; gives the cell back when it was the last one.
    fn unit(&mut self, done: UnitDone) -> Option<Open> {
        let serial = done.serial;
        let open = self.open.get_mut(&serial)?;
        let started = Instant::now();
        let accepted = accept(open, done, &self.budget, &mut self.published);
        self.published.seconds.store += started.elapsed().as_secs_f64();
        match accepted {
            Ok(State::Incomplete) => None,
            Ok(State::Complete) => self.open.remove(&serial),
            Ok(State::Cancelled) => {
                self.open.remove(&serial).into_iter().for_each(abort);
                None
            }
            Err(e) => {
                let open = self.open.remove(&serial);
                let name = open.as_ref().map(|o| o.cell.cell().name.clone());
                self.fail(e.within(|c| c.cell = name));
                open.into_iter().for_each(abort);
                None
            }
        }
    }

    /// Begins the files of a cell.
    fn start(&mut self, cell: &Arc<OpenCell>, reservation: Reservation) {
        // Whoever asked whether the output can be written to is told why not.
        if !self.probe.is_writable() {
            return self.fail(EngineError::NoOutput.into());
        }
        match start(cell, reservation, self.probe.store) {
            Ok(open) => drop(self.open.insert(cell.serial, open)),
            Err(e) => self.fail(e),
        }
    }

    /// Waits for a cell that is being published.
    fn settle(&mut self, (name, thread): (String, ScopedJoinHandle<'_, Result<Ended>>)) {
        let Ok(ended) = thread.join() else {
            return self.fail(Error::bug("publishing a cell failed"));
        };
        let all = &mut self.published;
        match ended {
            Ok(Ended { bytes, seconds, item }) => {
                all.bytes += bytes;
                all.seconds.store += seconds;
                self.progress.cell_done(&name);
                match item {
                    Some(item) => drop(all.written.insert(name, item)),
                    None => drop(all.empty.insert(name)),
                }
            }
            Err(e) => self.fail(e.within(|c| (c.stage, c.cell) = (Some("store"), Some(name)))),
        }
    }
}

fn abort(open: Open) {
    for (_, sink) in open.files {
        sink.abort();
    }
}

fn start(cell: &Arc<OpenCell>, reservation: Reservation, store: &dyn Store) -> Result<Open> {
    let files = (0..cell.files())
        .map(|f| {
            let (layer, product) = publish::product_of(&cell.plan, f);
            let name = cell
                .plan
                .object(&cell.cell().name, &format!("{}/{}.tif", cell.plan.key8(), layer.products[product].name));
            Ok((Writer::new(cell.spec(f).clone())?, store.start(&name)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let missing = cell.units.len();
    let units = cell.units.iter().map(|_| None).collect();
    let cell = Arc::clone(cell);
    Ok(Open { units, cell, files, pictures: BTreeMap::new(), missing, _reservation: reservation })
}

/// Where a cell is after a unit came.
enum State {
    Incomplete,
    Complete,
    Cancelled,
}

fn accept(open: &mut Open, done: UnitDone, budget: &Budget, published: &mut Published) -> Result<State> {
    let Some(result) = done.result else { return Ok(State::Cancelled) };
    let output = result?;
    published.reads.add(&output.reads);
    published.clipped += output.clipped;
    published.held += output.held;
    published.seconds.add(&output.seconds);
    for (file, tile) in output.tiles {
        let Some((writer, sink)) = open.files.get_mut(file) else { continue };
        if let Some(part) = writer.push(tile)? {
            let mut payload = Payload { chunks: part.chunks, lease: None };
            // The cell paid for the first part.
            if part.number > 0 {
                payload.lease = budget.lend(payload.size()).map(|r| Arc::new(r) as Lease);
            }
            sink.put(payload).within(|c| c.stage = Some("store"))?;
        }
    }
    open.files.iter_mut().filter(|(writer, _)| writer.expects_parts()).for_each(|(_, sink)| sink.prepare());
    open.pictures.extend(output.pictures);
    let (stats, lights) = (output.stats, output.lights);
    open.units[done.unit] = Some(UnitFacts { stats, lights, hull: output.hull, valid: output.valid });
    open.missing -= 1;
    drop(done.reservation);
    Ok(if open.missing == 0 { State::Complete } else { State::Incomplete })
}

/// Makes the objects of finished cells visible.
struct Publisher<'a> {
    store: &'a dyn Store,
    /// The acquisition whose documents were announced last.
    announced: Mutex<String>,
}

/// What came of a cell.
struct Ended {
    /// Bytes stored.
    bytes: u64,
    /// Wall time.
    seconds: f64,
    /// Its Item; none without a valid pixel.
    item: Option<Vec<u8>>,
}

/// A file that only lacks its beginning.
struct Unfinished {
    sink: Box<dyn PartSink>,
    prefix: Payload,
    rest: Option<Payload>,
}

impl Unfinished {
    fn complete(mut self) -> Result<Stored, StoreError> {
        if let Some(rest) = self.rest {
            self.sink.put(rest)?;
        }
        self.sink.complete(self.prefix)
    }
}

impl Publisher<'_> {
    /// Announces the scene, once; others wait until that is done.
    fn announce(&self, plan: &ScenePlan) -> Result<u64> {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if *announced == plan.acquisition {
            return Ok(0);
        }
        let written = documents::announce(self.store, plan)?;
        announced.clone_from(&plan.acquisition);
        Ok(written)
    }

    fn publish(&self, open: Open) -> Result<Ended> {
        let started = Instant::now();
        let Open { cell, files, units, mut pictures, .. } = open;
        let name = &cell.cell().name;
        let facts: Vec<&UnitFacts> = units.iter().flatten().collect();
        if facts.iter().all(|u| u.valid == 0) {
            files.into_iter().for_each(|(_, sink)| sink.abort());
            let bytes = self.announce(&cell.plan)? + documents::note_empty(self.store, &cell.plan, name)?;
            return Ok(Ended { bytes, seconds: started.elapsed().as_secs_f64(), item: None });
        }
        let (mut made, mut outlines, mut unfinished) = (Vec::new(), Vec::new(), Vec::new());
        let mut files = files.into_iter();
        for (l, layer) in cell.plan.layers.iter().enumerate() {
            let lattice = &cell.cell().lattices[l];
            let units: Vec<&UnitFacts> =
                cell.units.iter().zip(&facts).filter(|((ul, _), _)| *ul == l).map(|(_, u)| *u).collect();
            let hull = super::unit::hull(units.iter().flat_map(|u| u.hull.iter().map(|c| (c.x, c.y))).collect());
            let map: Vec<(f64, f64)> = hull.iter().map(|c| lattice.transform.world_from_pixel(c.x, c.y)).collect();
            let outline = super::publish::geographic(&cell.plan.crs, &map)?;
            for (k, (product, (writer, sink))) in layer.products.iter().zip(&mut files).enumerate() {
                let all = (lattice.rows * lattice.cols) as u64;
                let stats = merge(product.bands(), units.iter().map(|u| &u.stats[k]), all);
                let lights = merge_lights(units.iter().map(|u| &u.lights[k]));
                let finished = writer.finish(&stats)?;
                // The cell paid for what is left of its files, and is open until they are stored.
                let paid = |chunks| Payload { chunks, lease: Some(Arc::new(())) };
                let rest = finished.rest.map(|part| paid(part.chunks));
                unfinished.push(Unfinished { sink, prefix: paid(finished.prefix), rest });
                made.push((l, k, stats, lights, finished.header_size, outline.clone()));
            }
            outlines.extend(outline);
        }
        let mut bytes = 0;
        let mut records = Vec::new();
        for (file, (stored, made)) in complete(unfinished).into_iter().zip(made).enumerate() {
            let (stored, (layer, product, stats, lights, header_size, outline)) = (stored?, made);
            let shows = &cell.plan.layers[layer].products[product];
            let picture = pictures.remove(&file);
            let picture = picture.map(|p| publish::picture(self.store, &cell, shows, &p)).transpose()?;
            bytes += stored.size + picture.as_ref().map_or(0, |p| p.size);
            records.push(FileRecord { layer, product, stats, lights, picture, stored, header_size, outline });
        }
        // A hull of longitudes that jump at the antimeridian would go round the earth.
        publish::unwrap(&mut outlines);
        let outline = publish::hull_of(&outlines);
        let item = publish::cell_item(&cell, &records, &outline)?;
        let object = cell.plan.object(name, "item.json");
        bytes += self.announce(&cell.plan)?;
        self.store.put(&object, &item)?;
        bytes += item.len() as u64;
        Ok(Ended { bytes, seconds: started.elapsed().as_secs_f64(), item: Some(item) })
    }
}

/// Completes files, several at once; the results are in their order. What cannot be completed leaves nothing.
fn complete(files: Vec<Unfinished>) -> Vec<Result<Stored, StoreError>> {
    let others = files.len().min(FINISHERS).saturating_sub(1);
    let done: Vec<Mutex<Option<Result<Stored, StoreError>>>> = files.iter().map(|_| Mutex::new(None)).collect();
    let queue = Mutex::new(files.into_iter().zip(&done));
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((file, done)) = next else { break };
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.complete());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..others {
            // Where no more threads can be had, those that there are do all of it.
            let _ = std::thread::Builder::new().name("finisher".into()).spawn_scoped(scope, work);
        }
        work();
    });
    drop(queue);
    done.into_iter().filter_map(|d| d.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
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
