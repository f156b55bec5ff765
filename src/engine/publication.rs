//! From whole files to a cell that can be found: files are completed one by one, several at once, while the cell's other files
//! are still being compressed; its Item is written after all of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use fieldglow_kernels::lights::Lights;

use super::budget::Reservation;
use super::cell::OpenCell;
use super::plan::ScenePlan;
use super::publish::{self, FileRecord};
use super::unit::Stats;
use super::{EngineError, documents};
use crate::cog::{BandStatistics, Writer};
use crate::error::{Error, Result};
use crate::store::{Lease, PartSink, Payload, Store, Stored};

/// Files that are completed at once: most of it is waiting, for a disk or a network.
const FINISHERS: usize = 24;

/// What units told of a file, by their positions in the cell.
#[derive(Default)]
pub struct FileFacts {
    stats: BTreeMap<usize, Vec<Stats>>,
    lights: BTreeMap<usize, Vec<Lights>>,
    picture: Option<Vec<u8>>,
}

impl FileFacts {
    /// Adds what a unit told: statistics and lights, band by band, and a picture of the whole file from the last one.
    pub fn add(&mut self, unit: usize, stats: Vec<Stats>, lights: Vec<Lights>, picture: Option<Vec<u8>>) {
        self.stats.insert(unit, stats);
        self.lights.insert(unit, lights);
        self.picture = picture.or(self.picture.take());
    }
}

/// What is known of a cell when the last of it was made.
pub struct CellFacts {
    /// Some pixel is valid.
    pub has_valid: bool,
    /// Outlines of the valid pixels of each layer, longitude and latitude.
    pub outlines: Vec<Vec<(f64, f64)>>,
}

/// A file all tiles of which have come.
pub struct Whole {
    /// Its number in the cell.
    pub number: usize,
    /// Its tiles.
    pub writer: Writer,
    /// Where it goes, and its parts went.
    pub sink: Box<dyn PartSink>,
    /// What is known of it.
    pub facts: FileFacts,
}

/// A file that stands in storage.
struct Completed {
    number: usize,
    stats: Vec<Option<BandStatistics>>,
    lights: Vec<Lights>,
    picture: Option<Stored>,
    stored: Stored,
    header_size: u64,
}

/// What came of a cell.
pub struct Ended {
    /// Bytes stored.
    pub bytes: u64,
    /// When something of it was stored.
    pub times: Vec<(Instant, Instant)>,
    /// Its Item; none without a valid pixel.
    pub item: Option<Vec<u8>>,
}

/// A cell whose files are being completed.
pub struct Publication<'scope> {
    cell: Arc<OpenCell>,
    /// The cell paid for what is left of its files.
    lease: Lease,
    jobs: Sender<Job>,
    finished: Sender<Finished>,
    facts: Sender<CellFacts>,
    failed: Arc<AtomicBool>,
    ending: Ending<'scope>,
}

/// A cell that needs nothing more to be published, or was given up.
pub struct Ending<'scope> {
    name: String,
    thread: ScopedJoinHandle<'scope, Result<Option<Ended>>>,
}

impl<'scope> Publication<'scope> {
    /// Has a file completed.
    pub fn take(&self, file: Whole) {
        let (cell, lease, finished) = (Arc::clone(&self.cell), Arc::clone(&self.lease), self.finished.clone());
        // There are finishers as long as there are publications.
        let _ = self.jobs.send(Job { file, cell, lease, finished, failed: Arc::clone(&self.failed) });
    }

    /// No more files come.
    pub fn end(self, facts: CellFacts) -> Ending<'scope> {
        // Should its thread have failed, that is said when it is waited for.
        let _ = self.facts.send(facts);
        self.ending
    }

    /// The cell is not to be published: what is not being completed yet leaves nothing, and nothing points to what was completed
    /// before.
    pub fn give_up(self) -> Ending<'scope> {
        self.failed.store(true, Ordering::Relaxed);
        self.ending
    }
}

impl Ending<'_> {
    /// Waits: the name of the cell, and what came of it; nothing if it was given up.
    pub fn wait(self) -> (String, Result<Option<Ended>>) {
        (self.name, self.thread.join().unwrap_or_else(|_| Err(Error::bug("publishing a cell failed"))))
    }
}

/// A file to be completed, and who is to know.
struct Job {
    file: Whole,
    cell: Arc<OpenCell>,
    lease: Lease,
    finished: Sender<Finished>,
    /// Its cell is not to be published.
    failed: Arc<AtomicBool>,
}

/// What came of a file, and when it was worked on.
struct Finished {
    number: usize,
    file: Result<Completed>,
    time: (Instant, Instant),
}

/// The threads that complete files, of all cells in the order in which they became whole.
pub struct Finishers<'scope, 'env> {
    publisher: &'scope Publisher<'env>,
    scope: &'scope Scope<'scope, 'env>,
    cancelled: Arc<AtomicBool>,
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    threads: usize,
}

impl<'scope, 'env> Finishers<'scope, 'env> {
    /// For one run; `cancelled` is set as soon as a file cannot be completed.
    pub fn new(
        publisher: &'scope Publisher<'env>,
        scope: &'scope Scope<'scope, 'env>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let (jobs, queue) = channel();
        Self { publisher, scope, cancelled, jobs, queue: Arc::new(Mutex::new(queue)), threads: 0 }
    }

    /// Begins with a cell, which has reserved the memory that its files take.
    ///
    /// # Errors
    /// [`EngineError::Threads`].
    pub fn begin(
        &mut self,
        cell: &Arc<OpenCell>,
        reservation: &Arc<Reservation>,
    ) -> Result<Publication<'scope>, EngineError> {
        let no_thread = |source| EngineError::Threads { what: "the publisher", source };
        for _ in 0..cell.files().min(FINISHERS - self.threads) {
            let (queue, store, cancelled) =
                (Arc::clone(&self.queue), self.publisher.store, Arc::clone(&self.cancelled));
            let thread = std::thread::Builder::new().name("finisher".into());
            match thread.spawn_scoped(self.scope, move || finish_all(&queue, store, &cancelled)) {
                Ok(_) => self.threads += 1,
                // Those that there are do all of it.
                Err(_) if self.threads > 0 => break,
                Err(source) => return Err(no_thread(source)),
            }
        }
        let ((finished, files), (facts, known)) = (channel(), channel());
        let (publisher, name, of) = (self.publisher, cell.cell().name.clone(), Arc::clone(cell));
        let thread = std::thread::Builder::new()
            .name("publisher".into())
            .spawn_scoped(self.scope, move || publisher.publish(&of, &files, &known))
            .map_err(no_thread)?;
        let (cell, lease, jobs) = (Arc::clone(cell), Arc::clone(reservation) as Lease, self.jobs.clone());
        let failed = Arc::default();
        Ok(Publication { cell, lease, jobs, finished, facts, failed, ending: Ending { name, thread } })
    }
}

/// Completes files until no more can come, but for those of cells that failed.
fn finish_all(queue: &Mutex<Receiver<Job>>, store: &dyn Store, cancelled: &AtomicBool) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { file, cell, lease, finished, failed }) = next else { break };
        if failed.load(Ordering::Relaxed) {
            file.sink.abort();
            continue;
        }
        let (number, started) = (file.number, Instant::now());
        let complete = AssertUnwindSafe(|| complete(file, &cell, &lease, store));
        let file = catch_unwind(complete).unwrap_or_else(|_| Err(Error::bug("completing a file failed")));
        if file.is_err() {
            failed.store(true, Ordering::Relaxed);
            cancelled.store(true, Ordering::Relaxed);
        }
        // Nobody is left to be told when publishing the cell failed.
        let _ = finished.send(Finished { number, file, time: (started, Instant::now()) });
    }
}

/// Completes a file and stores its picture. What cannot be completed leaves nothing.
fn complete(file: Whole, cell: &OpenCell, lease: &Lease, store: &dyn Store) -> Result<Completed> {
    let Whole { number, writer, mut sink, facts } = file;
    let (layer, product) = publish::product_of(&cell.plan, number);
    let product = &cell.plan.layers[layer].products[product];
    let lattice = &cell.cell().lattices[layer];
    let stats = merge(product.bands(), facts.stats.values(), (lattice.rows * lattice.cols) as u64);
    let finished = writer.finish(&stats)?;
    let paid = |chunks| Payload { chunks, lease: Some(Arc::clone(lease)) };
    if let Some(rest) = finished.rest {
        sink.put(paid(rest.chunks))?;
    }
    let stored = sink.complete(paid(finished.prefix))?;
    let picture = facts.picture.map(|p| publish::picture(store, cell, product, &p)).transpose()?;
    let (lights, header_size) = (merge_lights(facts.lights.values()), finished.header_size);
    Ok(Completed { number, stats, lights, picture, stored, header_size })
}

/// Makes the objects of cells visible.
pub struct Publisher<'a> {
    store: &'a dyn Store,
    /// The acquisition whose documents were announced last.
    announced: Mutex<String>,
}

impl<'env> Publisher<'env> {
    /// For one run.
    pub fn new(store: &'env dyn Store) -> Self {
        Self { store, announced: Mutex::default() }
    }

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

    /// Waits for all files of a cell, and writes, unless it was given up, what makes the cell known.
    fn publish(
        &self,
        cell: &OpenCell,
        files: &Receiver<Finished>,
        facts: &Receiver<CellFacts>,
    ) -> Result<Option<Ended>> {
        let mut files: Vec<Finished> = files.iter().collect();
        files.sort_by_key(|f| f.number);
        let mut times: Vec<_> = files.iter().map(|f| f.time).collect();
        let files = files.into_iter().map(|f| f.file).collect::<Result<Vec<_>>>()?;
        let Ok(CellFacts { has_valid, outlines }) = facts.recv() else { return Ok(None) };
        let started = Instant::now();
        let name = &cell.cell().name;
        if !has_valid {
            let bytes = self.announce(&cell.plan)? + documents::note_empty(self.store, &cell.plan, name)?;
            times.push((started, Instant::now()));
            return Ok(Some(Ended { bytes, times, item: None }));
        }
        let mut bytes = 0;
        let records = files.into_iter().map(|file| {
            let (layer, product) = publish::product_of(&cell.plan, file.number);
            let Completed { stats, lights, picture, stored, header_size, .. } = file;
            bytes += stored.size + picture.as_ref().map_or(0, |p| p.size);
            let outline = outlines[layer].clone();
            FileRecord { layer, product, stats, lights, picture, stored, header_size, outline }
        });
        let records: Vec<FileRecord> = records.collect();
        // A hull of longitudes that jump at the antimeridian would go round the earth.
        let mut all = records.iter().flat_map(|r| r.outline.iter().copied()).collect::<Vec<_>>();
        publish::unwrap(&mut all);
        let item = publish::cell_item(cell, &records, &publish::hull_of(&all))?;
        bytes += self.announce(&cell.plan)?;
        self.store.put(&cell.plan.object(name, "item.json"), &item)?;
        bytes += item.len() as u64;
        times.push((started, Instant::now()));
        Ok(Some(Ended { bytes, times, item: Some(item) }))
    }
}

/// How long at least one of these lasted.
pub fn covered(mut times: Vec<(Instant, Instant)>) -> Duration {
    times.sort();
    let mut until: Option<Instant> = None;
    let mut sum = Duration::ZERO;
    for (from, to) in times {
        sum += to.saturating_duration_since(until.map_or(from, |u| u.max(from)));
        until = until.max(Some(to));
    }
    sum
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once_however_many_files_took_it() {
        let zero = Instant::now();
        let spans = |all: &[(u64, u64)]| {
            let at = |s: u64| zero + Duration::from_secs(s);
            covered(all.iter().map(|(from, to)| (at(*from), at(*to))).collect()).as_secs()
        };
        assert_eq!(spans(&[]), 0);
        assert_eq!(spans(&[(3, 5)]), 2);
        // Beside each other, one in another, one after a gap, one that begins where the last ends.
        assert_eq!(spans(&[(0, 4), (2, 6)]), 6);
        assert_eq!(spans(&[(0, 9), (2, 6), (8, 10)]), 10);
        assert_eq!(spans(&[(7, 9), (0, 2), (2, 3)]), 5);
    }
}
