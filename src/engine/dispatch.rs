//! The calling thread: takes scenes one by one, admits their units row by row, and waits for memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use super::budget::{Budget, Reservation};
use super::cell::OpenCell;
use super::collect::{self, Own};
use super::documents::{self, Cells};
use super::flight::Flight;
use super::group::{Grouping, announce, groups};
use super::plan::ScenePlan;
use super::report::{self, Failure, Outcome, Progress, RunReport, SceneOutcome, StoreReport, Totals};
use super::select::{Area, Shard};
use super::sequencer::{self, FileMade, Message, Probe, Published, UnitDone};
use super::stop::Stop;
use super::task::Task;
use super::upon::Upon;
use super::{EngineError, look, resolve};
use crate::config::Pipeline;
use crate::error::{Class, Error, Result, ResultExt};
use crate::read::{self, Account};
use crate::scene::{Delivery, Unpacked};
use crate::store::Store;
use crate::survey::coregister::Registration;

/// How to run; nothing here changes a pixel.
#[derive(Debug, Clone)]
pub struct Options {
    /// Workers.
    pub threads: usize,
    /// Bytes that pixels, tiles and GDAL's block cache may take together.
    pub memory: u64,
    /// Make cells again that stand there already.
    pub force: bool,
    /// End the run with the first scene that fails.
    pub fail_fast: bool,
    /// Make these cells only; empty for all. The scene's own documents are then left to `collect`, as other runs may be
    /// at work on its other cells.
    pub cells: Vec<String>,
    /// Make only cells that touch this area.
    pub area: Option<Arc<Area>>,
    /// Take only these scenes; the Collection is then left to `collect`.
    pub shard: Option<Shard>,
    /// Admit the units of a cell in an order drawn with this seed instead of row by row: for the proof that their order
    /// changes no byte. Tiles that come before their turn then take memory that no budget counts.
    pub shuffle: Option<u64>,
    /// Ends the run when it is asked to.
    pub stop: Stop,
}

/// A scene as it was given.
pub enum Given {
    /// Files that make up a scene.
    Delivery(Delivery),
    /// A place that holds no delivery or cannot be read: a scene that fails.
    Unreadable {
        /// The place.
        path: String,
        /// Why.
        error: Error,
    },
}

impl Given {
    /// Id of the scene, or the place where none was found.
    pub fn id(&self) -> &str {
        match self {
            Self::Delivery(delivery) => delivery.id(),
            Self::Unreadable { path, .. } => path,
        }
    }
}

/// How often a store that is behind is looked at: what it still has to do takes it far longer.
const BEHIND: Duration = Duration::from_millis(10);

/// Share of the budget that GDAL's block cache gets, and its bounds, bytes.
const CACHE_SHARE: u64 = 8;
const CACHE_BOUNDS: (u64, u64) = (16 << 20, 256 << 20);

/// Bytes of GDAL's block cache within a budget.
pub fn cache_bytes(memory: u64) -> u64 {
    (memory / CACHE_SHARE).clamp(CACHE_BOUNDS.0, CACHE_BOUNDS.1)
}

/// The smallest memory that leaves `needed` bytes beside GDAL's block cache.
pub fn smallest_memory(needed: u64) -> u64 {
    // Where the cache is a share, rounded down, it leaves ⌈7/8 of the memory⌉; its bounds bound the sum likewise.
    let shared = needed.saturating_sub(1).saturating_mul(CACHE_SHARE) / (CACHE_SHARE - 1) + 1;
    shared.clamp(needed.saturating_add(CACHE_BOUNDS.0), needed.saturating_add(CACHE_BOUNDS.1))
}

/// How the cells of a scene would be made with this memory and so many workers.
pub fn grouping(plan: &ScenePlan, memory: u64, threads: usize) -> Grouping {
    let cache = cache_bytes(memory);
    plan.grouping(memory.saturating_sub(cache), read::block_bytes(cache), threads)
}

/// The most that a run of this scene reserves of its memory at once, with so many workers: what it has on its way when nothing
/// has to wait.
pub fn most_reserved(plan: &ScenePlan, memory: u64, threads: usize) -> u64 {
    let cache = cache_bytes(memory);
    let budget = memory.saturating_sub(cache);
    let strip_bytes = read::block_bytes(cache);
    let grouping = plan.grouping(budget, strip_bytes, threads);
    // One more than fly waits to be taken off.
    let units = most_units(threads) + 1;
    // Each unit may be of another cell; one group is being opened, and others are being published.
    let cells = plan.cells.len().min(grouping.cells + units + sequencer::PUBLISHERS + 1);
    let open = plan.cells.iter().map(|c| plan.open_cell_bytes(c)).max().unwrap_or(0);
    let lent = plan.lendable_bytes(budget, plan.group_bytes(grouping, strip_bytes));
    let parts = plan.cells.iter().map(|c| plan.stored_bytes(c)).sum::<u64>();
    let strips = grouping.strip_bytes.saturating_sub(strip_bytes);
    let units = units as u64 * plan.largest_unit_bytes();
    let all = cells as u64 * open + units + strips + plan.arriving_bytes() + lent.min(parts);
    cache + all.max(plan.survey_bytes() + plan.arriving_bytes()).min(budget)
}

/// Units that may be on their way at once.
fn most_units(threads: usize) -> usize {
    2 * threads.max(1)
}

/// Runs a pipeline over scenes. Failures of scenes are in the report; the run ends early only on a configuration fault,
/// an internal fault, or with `fail_fast`.
///
/// # Errors
/// When the run cannot start: the output cannot be written to, threads cannot be had.
pub fn run(
    pipeline: &Arc<Pipeline>,
    mut scenes: Vec<Given>,
    store: &dyn Store,
    options: &Options,
    progress: &dyn Progress,
) -> Result<RunReport> {
    let started = Instant::now();
    if let Some(shard) = options.shard {
        scenes.retain(|given| shard.takes(given.id()));
    }
    let mut upon = Upon::of(pipeline, store)?;
    if let Some(upon) = &upon {
        upon.first(&mut scenes);
    }
    progress.run_started(scenes.len());
    let cache = cache_bytes(options.memory);
    read::prepare_gdal(cache);
    let budget = Budget::new(options.memory.saturating_sub(cache).max(1));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.max(1))
        .thread_name(|k| format!("worker-{k}"))
        .build()
        .map_err(|e| EngineError::Threads { what: "the workers", source: std::io::Error::other(e) })?;
    let mut tally = Tally::default();
    let probe = Probe::new(store)?;
    let given = scenes.len();
    let mut outcomes: Vec<SceneOutcome> = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let (to_sequencer, messages) = channel();
        let flight = Arc::new(Flight::new(options.threads.max(1), options.stop.clone()));
        let (cancelled, lender) = (Arc::clone(&flight.cancelled), budget.clone());
        // The first scene is opened and computed while the store answers; nothing is sent to it before.
        let probe = &probe;
        // Where no thread can be had for that, the sequencer asks.
        let _ = std::thread::Builder::new().name("probe".into()).spawn_scoped(scope, || probe.is_writable());
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn_scoped(scope, move || sequencer::run(probe, lender, progress, cancelled, &messages))
            .map_err(|source| EngineError::Threads { what: "the sequencer", source })?;
        let dispatcher = Dispatcher { store, options, progress, budget: &budget, pool: &pool, to_sequencer, flight };
        for given in scenes {
            if options.stop.is_asked() {
                break;
            }
            let outcome = match given {
                Given::Delivery(delivery) => {
                    let own = upon.as_mut().map_or_else(|| Ok(Arc::clone(pipeline)), |u| u.pipeline(delivery.id()));
                    dispatcher.scene(&delivery, own, &mut tally)
                }
                Given::Unreadable { path, error } => SceneOutcome::failed(path, &error),
            };
            // Then that is what the run ends with.
            if !probe.is_writable() {
                break;
            }
            progress.scene_done(&outcome);
            let class = outcome.error.as_ref().map(|e| e.class);
            outcomes.push(outcome);
            let fatal = matches!(class, Some(Class::Config | Class::Bug | Class::Interrupted));
            if fatal || (class.is_some() && options.fail_fast) {
                break;
            }
        }
        Ok(())
    })?;
    let not_tried = given - outcomes.len();
    let mut report = RunReport {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        pipeline: pipeline.name.clone(),
        output: store.url(),
        store: StoreReport { found: probe.found()?, account: store.account() },
        exit_code: 0,
        threads: options.threads.max(1),
        memory_bytes: options.memory,
        peak_reserved_bytes: 0,
        peak_resident_bytes: None,
        seconds: 0.0,
        totals: Totals { not_tried, ..Totals::default() },
        scenes: outcomes,
        interrupted: false,
        error: None,
    };
    let cut_short = |s: &SceneOutcome| s.error.as_ref().is_some_and(|e| matches!(e.class, Class::Interrupted));
    let strange = |cell: &&String| !tally.cells.contains(*cell);
    let all_open = report.totals.not_tried == 0 && report.scenes.iter().all(|s| s.acquisition.is_some());
    if let Some(cell) = options.cells.iter().find(strange).filter(|_| all_open) {
        report.error = Some(Failure::from(&EngineError::NoSuchCell { cell: cell.clone() }.into()));
    }
    report.interrupted =
        options.stop.is_asked() && (report.totals.not_tried > 0 || report.scenes.iter().any(cut_short));
    let alone = options.cells.is_empty() && options.shard.is_none() && !report.interrupted;
    let stands = |s: &SceneOutcome| {
        s.outcome == Outcome::Done && !s.cells_written.is_empty() || s.cells_unchanged + s.cells_empty > 0
    };
    if alone
        && report.scenes.iter().any(stands)
        && let Err(e) = collect::collect_own(store, &pipeline.name, &tally.own)
    {
        report.error = Some(Failure::from(&e));
    }
    report.store.account = store.account();
    report.seconds = started.elapsed().as_secs_f64();
    report.peak_reserved_bytes = budget.peak() + cache;
    report.peak_resident_bytes = report::peak_resident_bytes();
    report.sum_up();
    Ok(report)
}

/// What was met so far.
#[derive(Debug, Default)]
struct Tally {
    /// Number of the cell that was opened last.
    serial: u64,
    /// What it worked on.
    own: Own,
    /// Cells of those that were asked for by name.
    cells: BTreeSet<String>,
}

struct Dispatcher<'a> {
    store: &'a dyn Store,
    options: &'a Options,
    progress: &'a dyn Progress,
    budget: &'a Budget,
    pool: &'a rayon::ThreadPool,
    to_sequencer: Sender<Message>,
    flight: Arc<Flight>,
}

impl Dispatcher<'_> {
    fn scene(&self, delivery: &Delivery, pipeline: Result<Arc<Pipeline>>, tally: &mut Tally) -> SceneOutcome {
        let started = Instant::now();
        let mut outcome = SceneOutcome::new(delivery.id().to_owned());
        // What was unpacked stays until the scene is done.
        let mut unpacked = Unpacked::default();
        let opened = pipeline.and_then(|pipeline| {
            unpacked = delivery.unpack()?;
            Ok((delivery.open()?, pipeline))
        });
        // Should it fail from here on, what is odd about it may be why.
        outcome.warnings = opened.as_ref().map(|(scene, _)| scene.warnings.clone()).unwrap_or_default();
        let result = opened.and_then(|(scene, pipeline)| resolve(scene, &pipeline)).and_then(|plan| {
            if !tally.own.begin(&plan.acquisition) {
                return Err(EngineError::SameAcquisition { acquisition: plan.acquisition }.into());
            }
            self.planned(plan, tally, &mut outcome)
        });
        outcome.unpacked_bytes = unpacked.bytes();
        if let Err(e) = unpacked.settle(result) {
            let e = e.within(|c| c.scene = Some(delivery.id().to_owned()));
            outcome.fail(&e);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome
    }

    fn planned(&self, mut plan: ScenePlan, tally: &mut Tally, outcome: &mut SceneOutcome) -> Result<()> {
        outcome.scene = plan.scene.id.clone();
        outcome.acquisition = Some(plan.acquisition.clone());
        outcome.key = Some(plan.key.clone());
        outcome.warnings = plan.warnings.clone();
        for w in &plan.warnings {
            self.progress.warning(&plan.scene.id, w);
        }
        let needed = plan.smallest_budget();
        if needed > self.budget.total() {
            let needed = smallest_memory(needed);
            return Err(EngineError::Budget { budget: self.options.memory, needed }.into());
        }
        let strip_bytes = read::block_bytes(cache_bytes(self.options.memory));
        let grouping = grouping(&plan, self.options.memory, self.options.threads);
        let more = plan.group_bytes(grouping, strip_bytes);
        self.budget.set_lendable(plan.lendable_bytes(self.budget.total(), more));
        let wanted = self.wanted(&plan)?;
        tally
            .cells
            .extend(wanted.iter().map(|k| plan.cells[*k].name.clone()).filter(|n| self.options.cells.contains(n)));
        outcome.cells_left_out = plan.cells.len() - wanted.len();
        let standing = self.standing(&plan, &wanted)?;
        let missing: Vec<usize> =
            wanted.into_iter().filter(|k| standing.missing.contains(&plan.cells[*k].name)).collect();
        let _arriving = self.budget.reserve(plan.arriving_bytes());
        // Of a few cells, only what they need comes.
        if 2 * missing.len() > plan.cells.len() {
            plan.rasters().for_each(|r| r.fetch_ahead());
        }
        if !missing.is_empty() {
            let started = Instant::now();
            let memory = self.budget.reserve(plan.survey_bytes());
            let (survey, warnings) = self.pool.install(|| look::survey(&plan))?;
            for w in &warnings {
                self.progress.warning(&plan.scene.id, w);
            }
            outcome.warnings.extend(warnings.iter().cloned());
            plan.warnings.extend(warnings);
            outcome.coregistration = survey.coregistration.as_ref().map(Registration::summary);
            self.pool.install(|| look::settle(&mut plan, survey))?;
            drop(memory);
            outcome.stage_seconds.survey = started.elapsed().as_secs_f64();
        }
        let plan = Arc::new(plan);
        let pixels = missing.iter().map(|k| plan.cell_pixels(&plan.cells[*k])).sum();
        self.progress.scene_started(&plan.scene.id, missing.len(), pixels);
        let started = Instant::now();
        let done = |plan: &ScenePlan| {
            let mut all = Account::default();
            plan.rasters().for_each(|r| all += r.account());
            (all.decoded_bytes, all.decoding as f64 / 1e9, all.waiting as f64 / 1e9)
        };
        let before = done(&plan);
        let strips = self.budget.reserve(grouping.strip_bytes.saturating_sub(strip_bytes));
        read::set_block_bytes(strip_bytes.max(grouping.strip_bytes));
        let published = self.make(&plan, &missing, grouping.cells, &mut tally.serial);
        read::set_block_bytes(strip_bytes);
        drop(strips);
        let mut published = published?;
        let after = done(&plan);
        published.reads.decoded_bytes = after.0 - before.0;
        let seconds = &mut published.seconds;
        // Bytes are waited for and strips are decoded while pixels are read.
        seconds.fetch = (after.2 - before.2).min(seconds.read);
        seconds.read -= seconds.fetch;
        seconds.decode = (after.1 - before.1).min(seconds.read);
        seconds.read -= seconds.decode;
        seconds.workers = self.pool.current_num_threads() as f64 * started.elapsed().as_secs_f64();
        seconds.idle = (seconds.workers - seconds.busy()).max(0.0);
        let mut error = published.error;
        outcome.cells_unchanged = standing.made.len();
        outcome.cells_empty = published.empty.len() + standing.empty.len();
        outcome.bytes_written = published.bytes;
        outcome.reads = published.reads;
        outcome.values_clipped = published.clipped;
        outcome.values_held = published.held;
        outcome.pansharpening = plan.qualities();
        outcome.stage_seconds.add(&published.seconds);
        let samples: u64 = plan
            .layers
            .iter()
            .flat_map(|l| &l.inputs)
            .map(|i| (plan.scene.parts[i.part].rows * plan.scene.parts[i.part].cols * i.bands.len()) as u64)
            .sum();
        let packed: u64 = plan.rasters().map(|r| r.packed_bytes()).sum();
        outcome.decode_amplification = published.reads.decoded_bytes as f64 / packed.max(1) as f64;
        outcome.read_amplification = published.reads.samples as f64 / samples.max(1) as f64;
        outcome.cells_written =
            plan.cells.iter().map(|c| &c.name).filter(|n| published.written.contains_key(*n)).cloned().collect();
        // The scene's own documents say what was made of all of it: they wait until all of it was.
        if error.is_none() && self.options.cells.is_empty() {
            let finished = match published.written.is_empty() && published.empty.is_empty() {
                true => documents::finish(self.store, &plan.pipeline.name, &plan.acquisition),
                false => documents::finish_own(self.store, &plan, &published.written, &published.empty),
            };
            outcome.bytes_written += finished.within(|c| c.stage = Some("store"))?;
            // Where nothing was written, only the scene's Item will be looked at.
            let cells = standing.made.into_iter().filter(|_| !published.written.is_empty());
            tally.own.made(&plan.acquisition, cells.chain(published.written.keys().cloned()));
        }
        error.take().map_or(Ok(()), Err)
    }

    /// Positions of the cells that are asked for.
    fn wanted(&self, plan: &ScenePlan) -> Result<Vec<usize>> {
        let wanted = |name: &String| self.options.cells.is_empty() || self.options.cells.contains(name);
        let touched = match &self.options.area {
            Some(area) => area.touches(plan)?,
            None => vec![true; plan.cells.len()],
        };
        Ok((0..plan.cells.len()).filter(|k| touched[*k] && wanted(&plan.cells[*k].name)).collect())
    }

    /// What stands in storage of the cells that are asked for.
    fn standing(&self, plan: &ScenePlan, wanted: &[usize]) -> Result<Cells> {
        let names = wanted.iter().map(|k| &plan.cells[*k].name);
        if self.options.force || !documents::is_announced(self.store, plan)? {
            return Ok(Cells { missing: names.cloned().collect(), ..Cells::default() });
        }
        Ok(documents::standing(self.store, &plan.pipeline.name, &plan.acquisition, &plan.key, names)?.0)
    }

    /// Makes cells, in order, as many at once as the budget allows; `together` of a row share what they read. What was published
    /// is told whatever ended it.
    fn make(&self, plan: &Arc<ScenePlan>, cells: &[usize], together: usize, serial: &mut u64) -> Result<Published> {
        self.flight.cancelled.store(false, Ordering::Relaxed);
        let spare = Arc::default();
        let result = groups(plan, cells, together).try_for_each(|group| {
            if self.flight.is_cancelled() {
                return Ok(());
            }
            let open = |k: &usize| -> Result<Arc<OpenCell>> {
                *serial += 1;
                let cell = OpenCell::new(*serial, Arc::clone(plan), *k, &spare);
                let cell = Arc::new(cell.within(|c| c.cell = Some(plan.cells[*k].name.clone()))?);
                let reservation = self.budget.reserve(plan.open_cell_bytes(cell.cell()));
                self.send(Message::Open(Arc::clone(&cell), reservation))?;
                Ok(cell)
            };
            let group = group.iter().map(open).collect::<Result<Vec<_>>>()?;
            announce(plan, &group)?;
            self.admit(&group);
            Ok(())
        });
        self.flight.wait_for_all();
        if result.is_err() || self.flight.is_cancelled() {
            self.send(Message::Forget)?;
        }
        let (answer, published) = channel();
        self.send(Message::Flush(answer))?;
        let mut published = published.recv().map_err(|_| Error::bug("the sequencer ended before the run"))?;
        let ended = published.written.len() + published.empty.len();
        let interrupted = self.flight.stop.is_asked() && ended < cells.len();
        // What failed first is why a group could not be opened, or nothing more was begun.
        let error = published.error.take().or(result.err());
        published.error = error.or(interrupted.then(|| EngineError::Interrupted.into()));
        Ok(published)
    }

    /// Admits the units of cells beside each other, row by row through all of them.
    fn admit(&self, cells: &[Arc<OpenCell>]) {
        let most = most_units(self.options.threads);
        let mut tasks: Vec<Task> = cells.iter().flat_map(Task::of_cell).collect();
        // Stable: within a row, cell by cell.
        tasks.sort_by_key(|t| (t.layer, t.window.row));
        if let Some(seed) = self.options.shuffle {
            // A hash of its number, mixed with the seed, is as good as a draw.
            tasks.sort_by_key(|t| (t.unit as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        }
        for task in tasks {
            while self.store.is_behind() && !self.flight.is_cancelled() {
                std::thread::sleep(BEHIND);
            }
            if self.flight.is_cancelled() {
                break;
            }
            let (working, output) = task.cell.plan.unit_bytes(task.cell.cell(), task.layer, task.window);
            let mut working = self.budget.reserve(working + output);
            let output = working.split(output);
            self.flight.take_off(most);
            self.spawn(task, working, output);
        }
    }

    fn spawn(&self, task: Task, working: Reservation, output: Reservation) {
        let flight = Arc::clone(&self.flight);
        let to_sequencer = self.to_sequencer.clone();
        self.pool.spawn(move || {
            // The sequencer outlives all tasks; should it have failed, there is nobody to tell.
            let send = |message| drop(to_sequencer.send(message));
            let (serial, unit) = (task.cell.serial, task.unit);
            let deliver = |made| send(Message::File(Box::new(FileMade { serial, unit, made })));
            let result = (!flight.is_cancelled()).then(|| task.run(&flight, &deliver));
            drop(working);
            if matches!(result, Some(Err(_))) {
                flight.cancelled.store(true, Ordering::Relaxed);
            }
            let done = UnitDone { serial, unit, window: task.window, result, reservation: output };
            send(Message::Unit(Box::new(done)));
            drop(task);
            flight.land();
        });
    }

    fn send(&self, message: Message) -> Result<()> {
        self.to_sequencer.send(message).map_err(|_| Error::bug("the sequencer ended before the run"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_memory_leaves_what_is_needed_and_one_byte_less_does_not() {
        let left = |memory: u64| memory - cache_bytes(memory).min(memory);
        for needed in [1, 1 << 20, 112 << 20, (112 << 20) + 1, 200 << 20, 1_234_567_891, 1792 << 20, 5 << 30] {
            let memory = smallest_memory(needed);
            assert!(left(memory) >= needed && left(memory - 1) < needed, "{needed}: {memory}");
        }
    }
}
