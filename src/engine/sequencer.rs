//! The one thread that owns the files of open cells: it puts tiles in order and hands parts to the store. When the last tile
//! of a file has come, and all pixels of its cell are made, it is completed beside the work on other files and cells.
//! Nothing is sent before it is known that the output can be written to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use geo::Coord;

use super::EngineError;
use super::budget::{Budget, Reservation};
use super::cell::OpenCell;
use super::publication::{CellFacts, Ended, Ending, FileFacts, Finishers, Publication, Publisher, Whole, covered};
use super::publish;
use super::report::{Progress, Reads, StageSeconds};
use super::unit::{Made, Output, hull};
use crate::cog::Writer;
use crate::error::{Error, Result, ResultExt};
use crate::grid::Window;
use crate::store::{Found, Lease, PartSink, Payload, Store, StoreError};

/// What the sequencer is told.
pub enum Message {
    /// A cell starts; what it reserved is given back when it ends.
    Open(Arc<OpenCell>, Reservation),
    /// A unit's share of a file was made.
    File(Box<FileMade>),
    /// A unit was computed, after all its shares of files, or failed.
    Unit(Box<UnitDone>),
    /// The scene's cells are no longer wanted: forget those that are open.
    Forget,
    /// Answer when everything before this was dealt with.
    Flush(std::sync::mpsc::Sender<Published>),
}

/// A unit's share of a file.
pub struct FileMade {
    /// Its cell.
    pub serial: u64,
    /// The unit's position in the cell.
    pub unit: usize,
    /// The share.
    pub made: Made,
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
    /// What took how long.
    pub seconds: StageSeconds,
    /// When cells were being published.
    times: Vec<(Instant, Instant)>,
    /// The first error.
    pub error: Option<Error>,
}

struct Open<'scope> {
    cell: Arc<OpenCell>,
    /// Its files that are not being completed.
    files: Vec<Option<OpenFile>>,
    /// Units whose pixels are made.
    made: BTreeSet<usize>,
    /// Pixels among them that are valid in at least one band of their layer.
    valid: u64,
    /// Units that were not told to have ended.
    missing: usize,
    /// Outlines of the valid pixels of units, in pixels of the cell (col, row), convex.
    hulls: Vec<Vec<Coord<f64>>>,
    publication: Option<Publication<'scope>>,
    reservation: Arc<Reservation>,
}

struct OpenFile {
    writer: Writer,
    sink: Box<dyn PartSink>,
    facts: FileFacts,
    /// Units that have not given their share.
    missing: usize,
}

impl Open<'_> {
    /// True when the cell is to have files, and nothing but compressing and storing them can fail any more.
    fn is_certain(&self) -> bool {
        self.made.len() == self.hulls.len() && self.valid > 0
    }

    /// What is known of the cell, all units of which have ended.
    fn facts(&self) -> Result<CellFacts> {
        let cell = &self.cell;
        let outline = |layer: usize| {
            let hulls = cell.units.iter().zip(&self.hulls).filter(|((l, _), _)| *l == layer);
            let ring = hull(hulls.flat_map(|(_, hull)| hull.iter().map(|c| (c.x, c.y))).collect());
            let transform = cell.cell().lattices[layer].transform;
            let map: Vec<(f64, f64)> = ring.iter().map(|c| transform.world_from_pixel(c.x, c.y)).collect();
            // With the transform of this thread, which lives as long as the run.
            publish::geographic(&cell.plan.crs, &map)
        };
        let outlines = (0..cell.plan.layers.len()).map(outline).collect::<Result<_>>()?;
        Ok(CellFacts { has_valid: self.valid > 0, outlines })
    }
}

/// Cells, nothing of which is still to be made, that are being published at once. One waits for answers while the beginnings of
/// the next one's files leave.
pub const PUBLISHERS: usize = 3;

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

/// Takes messages until the channel is closed. Memory for parts that wait is taken from `budget`; `cancelled` is set when a
/// cell cannot be finished, so that nothing more is admitted.
pub fn run(
    probe: &Probe<'_>,
    budget: Budget,
    progress: &dyn Progress,
    cancelled: Arc<AtomicBool>,
    messages: &Receiver<Message>,
) {
    let publisher = &Publisher::new(probe.store);
    std::thread::scope(|scope| {
        let (open, publishing, published) = (BTreeMap::new(), VecDeque::new(), Published::default());
        let finishers = Finishers::new(publisher, scope, Arc::clone(&cancelled));
        let mut sequencer = Sequencer { probe, budget, progress, cancelled, finishers, open, publishing, published };
        messages.iter().for_each(|message| sequencer.take(message));
        sequencer.abort_all();
        sequencer.settle_all();
    });
}

/// Owns the files of open cells.
struct Sequencer<'scope, 'env> {
    probe: &'env Probe<'env>,
    budget: Budget,
    progress: &'env dyn Progress,
    cancelled: Arc<AtomicBool>,
    finishers: Finishers<'scope, 'env>,
    open: BTreeMap<u64, Open<'scope>>,
    /// Cells that need nothing more from here, while the next ones go on.
    publishing: VecDeque<Ending<'scope>>,
    published: Published,
}

impl<'scope> Sequencer<'scope, '_> {
    fn take(&mut self, message: Message) {
        match message {
            Message::Open(cell, reservation) => self.start(&cell, reservation),
            Message::File(share) => {
                let FileMade { serial, unit, made } = *share;
                self.with_open(serial, |this, open| this.share(open, unit, made));
            }
            Message::Unit(done) => {
                self.progress.pixels_done(done.window.pixels() as u64);
                let UnitDone { serial, unit, result, reservation, .. } = *done;
                let output = match result {
                    Some(Ok(output)) => Some(output),
                    None => None,
                    // It counts also when another unit, which was not begun because of it, ended its cell before.
                    Some(Err(e)) => {
                        self.fail(e);
                        None
                    }
                };
                self.with_open(serial, |this, open| this.unit(open, (unit, output, reservation)));
            }
            Message::Forget => self.abort_all(),
            Message::Flush(answer) => {
                self.settle_all();
                self.published.seconds.publish = covered(std::mem::take(&mut self.published.times)).as_secs_f64();
                // Nobody is left to be told when the dispatcher is gone.
                let _ = answer.send(std::mem::take(&mut self.published));
            }
        }
    }

    fn fail(&mut self, e: Error) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.published.error = self.published.error.take().or(Some(e));
    }

    /// Does something with a cell, unless it was given up; gives it up should that fail.
    fn with_open(&mut self, serial: u64, work: impl FnOnce(&mut Self, &mut Open<'scope>) -> Result<State>) {
        let Some(mut open) = self.open.remove(&serial) else { return };
        let started = Instant::now();
        let state = work(self, &mut open);
        self.published.seconds.store += started.elapsed().as_secs_f64();
        match state {
            Ok(State::Incomplete) => drop(self.open.insert(serial, open)),
            Ok(State::Complete(facts)) => self.end(open, Some(facts)),
            Ok(State::Cancelled) => self.end(open, None),
            Err(e) => {
                self.fail(e.within(|c| c.cell = Some(open.cell.cell().name.clone())));
                self.end(open, None);
            }
        }
        while self.publishing.len() > PUBLISHERS
            && let Some(oldest) = self.publishing.pop_front()
        {
            self.settle(oldest);
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
            Err(e) => self.fail(e.within(|c| c.cell = Some(cell.cell().name.clone()))),
        }
    }

    /// Takes a unit's share of a file.
    fn share(&mut self, open: &mut Open<'scope>, unit: usize, made: Made) -> Result<State> {
        let Some(file) = open.files.get_mut(made.file).and_then(Option::as_mut) else { return Ok(State::Incomplete) };
        for tile in made.tiles {
            if let Some(part) = file.writer.push(tile)? {
                let mut payload = Payload { chunks: part.chunks, lease: None };
                // The cell paid for the first part.
                if part.number > 0 {
                    payload.lease = self.budget.lend(payload.size()).map(|r| Arc::new(r) as Lease);
                }
                file.sink.put(payload).within(|c| c.stage = Some("store"))?;
            }
        }
        if file.writer.expects_parts() {
            file.sink.prepare();
        }
        file.facts.add(unit, made.stats, made.lights, made.picture);
        file.missing -= 1;
        if open.made.insert(unit) {
            open.valid += made.valid;
        }
        if open.is_certain() {
            self.complete_whole(open)?;
        }
        Ok(State::Incomplete)
    }

    /// Hands files that are whole to the publication of their cell.
    fn complete_whole(&mut self, open: &mut Open<'scope>) -> Result<()> {
        for (number, slot) in open.files.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|file| file.missing == 0) {
                let publication = match &open.publication {
                    Some(publication) => publication,
                    None => open.publication.insert(self.finishers.begin(&open.cell, &open.reservation)?),
                };
                if let Some(OpenFile { writer, sink, facts, .. }) = slot.take() {
                    publication.take(Whole { number, writer, sink, facts });
                }
            }
        }
        Ok(())
    }

    /// Takes what else is known of a unit; nothing, and the cell is not wanted any more.
    fn unit(
        &mut self,
        open: &mut Open<'scope>,
        (unit, output, reservation): (usize, Option<Output>, Reservation),
    ) -> Result<State> {
        let Some(output) = output else { return Ok(State::Cancelled) };
        let all = &mut self.published;
        all.reads.add(&output.reads);
        all.clipped += output.clipped;
        all.held += output.held;
        all.seconds.add(&output.seconds);
        open.hulls[unit] = output.hull;
        open.missing -= 1;
        drop(reservation);
        if open.missing > 0 {
            return Ok(State::Incomplete);
        }
        // A cell without a valid pixel has no files, and is told of as well.
        if open.publication.is_none() {
            open.publication = Some(self.finishers.begin(&open.cell, &open.reservation)?);
        }
        Ok(State::Complete(open.facts().within(|c| c.stage = Some("store"))?))
    }

    /// Ends a cell: what is known of a whole one; nothing, and it is given up.
    fn end(&mut self, open: Open<'scope>, facts: Option<CellFacts>) {
        open.files.into_iter().flatten().for_each(|file| file.sink.abort());
        let Some(publication) = open.publication else { return };
        self.publishing.push_back(match facts {
            Some(facts) => publication.end(facts),
            None => publication.give_up(),
        });
    }

    fn abort_all(&mut self) {
        std::mem::take(&mut self.open).into_values().for_each(|open| self.end(open, None));
    }

    fn settle_all(&mut self) {
        std::mem::take(&mut self.publishing).into_iter().for_each(|cell| self.settle(cell));
    }

    /// Waits for a cell that is being published.
    fn settle(&mut self, cell: Ending<'scope>) {
        let (name, ended) = cell.wait();
        let all = &mut self.published;
        match ended {
            Ok(Some(Ended { bytes, times, item })) => {
                all.bytes += bytes;
                all.times.extend(times);
                self.progress.cell_done(&name);
                match item {
                    Some(item) => drop(all.written.insert(name, item)),
                    None => drop(all.empty.insert(name)),
                }
            }
            Ok(None) => {}
            Err(e) => self.fail(e.within(|c| (c.stage, c.cell) = (Some("store"), Some(name)))),
        }
    }
}

/// Where a cell is after something came.
enum State {
    Incomplete,
    Complete(CellFacts),
    Cancelled,
}

fn start<'scope>(cell: &Arc<OpenCell>, reservation: Reservation, store: &dyn Store) -> Result<Open<'scope>> {
    let files = (0..cell.files())
        .map(|f| {
            let (layer, product) = publish::product_of(&cell.plan, f);
            let file = &cell.plan.layers[layer].products[product].name;
            let name = cell.plan.object(&cell.cell().name, &format!("{}/{file}.tif", cell.plan.key8()));
            let missing = cell.units.iter().filter(|(l, _)| *l == layer).count();
            let (writer, sink) = (Writer::new(cell.spec(f).clone())?, store.start(&name)?);
            Ok(Some(OpenFile { writer, sink, facts: FileFacts::default(), missing }))
        })
        .collect::<Result<Vec<_>>>()?;
    let missing = cell.units.len();
    let (made, hulls) = (BTreeSet::new(), vec![Vec::new(); missing]);
    let (cell, reservation) = (Arc::clone(cell), Arc::new(reservation));
    Ok(Open { cell, files, made, valid: 0, missing, hulls, publication: None, reservation })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::engine::report::Silent;
    use crate::store::Local;

    /// A unit fails, and another that was not begun because of it ends their cell before the error comes.
    #[test]
    fn the_error_of_a_unit_counts_also_when_its_cell_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::new(folder.path());
        let (budget, cancelled) = (Budget::new(1), Arc::<AtomicBool>::default());
        let (send, messages) = channel();
        let (answer, published) = channel();
        let result = Some(Err(Error::bug("of the unit")));
        let done = UnitDone { serial: 7, unit: 0, window: Window::default(), result, reservation: budget.reserve(0) };
        send.send(Message::Unit(Box::new(done))).unwrap();
        send.send(Message::Flush(answer)).unwrap();
        drop(send);
        run(&Probe::new(&store).unwrap(), budget, &Silent, Arc::clone(&cancelled), &messages);
        let error = published.recv().unwrap().error.expect("the error");
        assert!(error.to_string().contains("of the unit"), "{error}");
        assert!(cancelled.load(Ordering::Relaxed));
    }
}
