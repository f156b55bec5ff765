//! The calling thread: takes scenes one by one, admits their units row by row, and waits for memory.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::budget::{Budget, Reservation};
use super::cell::OpenCell;
use super::plan::ScenePlan;
use super::report::{Failure, Outcome, Progress, RunReport, SceneOutcome};
use super::sequencer::{self, Message, Published, UnitDone};
use super::{EngineError, publish, resolve, unit};
use crate::config::Pipeline;
use crate::error::{Class, Error, Result, ResultExt};
use crate::grid::Window;
use crate::read;
use crate::scene::open::Delivery;
use crate::store::Store;

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
    /// Make these cells only; empty for all.
    pub cells: Vec<String>,
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

/// Runs a pipeline over scenes. Failures of scenes are in the report; the run ends early only on a configuration fault,
/// an internal fault, or with `fail_fast`.
///
/// # Errors
/// When the run cannot start: the output cannot be written to, threads cannot be had.
pub fn run(
    pipeline: &Arc<Pipeline>,
    scenes: Vec<Given>,
    store: &dyn Store,
    options: &Options,
    progress: &dyn Progress,
) -> Result<RunReport> {
    let started = Instant::now();
    store.probe()?;
    let cache = cache_bytes(options.memory);
    read::prepare_gdal(cache);
    let budget = Budget::new(options.memory.saturating_sub(cache).max(1));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.max(1))
        .thread_name(|k| format!("worker-{k}"))
        .build()
        .map_err(|e| EngineError::Threads { what: "the workers", source: std::io::Error::other(e) })?;
    let mut report = RunReport {
        schema: 1,
        version: env!("CARGO_PKG_VERSION"),
        pipeline: pipeline.name.clone(),
        output: store.url(),
        scenes: Vec::new(),
        seconds: 0.0,
        peak_reserved_bytes: 0,
        error: None,
    };
    std::thread::scope(|scope| -> Result<()> {
        let (to_sequencer, messages) = channel();
        let flight = Arc::new(Flight::default());
        let cancelled = Arc::clone(&flight.cancelled);
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn_scoped(scope, move || sequencer::run(&messages, store, progress, &cancelled))
            .map_err(|source| EngineError::Threads { what: "the sequencer", source })?;
        let dispatcher = Dispatcher { store, options, progress, budget: &budget, pool: &pool, to_sequencer, flight };
        let mut serial = 0;
        let mut seen = BTreeSet::new();
        for given in scenes {
            let outcome = match given {
                Given::Delivery(delivery) => dispatcher.scene(&delivery, pipeline, &mut serial, &mut seen),
                Given::Unreadable { path, error } => SceneOutcome::failed(path, &error),
            };
            progress.scene_done(&outcome);
            let class = outcome.error.as_ref().map(|e| e.class);
            report.scenes.push(outcome);
            let fatal = matches!(class, Some(Class::Config | Class::Bug));
            if fatal || (class.is_some() && options.fail_fast) {
                break;
            }
        }
        Ok(())
    })?;
    let whole = options.cells.is_empty() && report.scenes.iter().any(|s| s.outcome == Outcome::Done);
    if whole && let Err(e) = publish::collect(store, &pipeline.name) {
        report.error = Some(Failure::from(&e));
    }
    report.seconds = started.elapsed().as_secs_f64();
    report.peak_reserved_bytes = budget.peak() + cache;
    Ok(report)
}

/// Units between admission and result.
#[derive(Debug, Default)]
struct Flight {
    count: Mutex<usize>,
    changed: Condvar,
    cancelled: Arc<AtomicBool>,
}

impl Flight {
    /// Waits until fewer than `most` units fly, then adds one.
    fn take_off(&self, most: usize) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = self.changed.wait_while(count, |n| *n >= most).unwrap_or_else(PoisonError::into_inner);
        *count += 1;
    }

    fn land(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.changed.notify_all();
    }

    fn wait_for_all(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(count, |n| *n > 0).unwrap_or_else(PoisonError::into_inner));
    }
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
    fn scene(
        &self,
        delivery: &Delivery,
        pipeline: &Arc<Pipeline>,
        serial: &mut u64,
        seen: &mut BTreeSet<String>,
    ) -> SceneOutcome {
        let started = Instant::now();
        let mut outcome = SceneOutcome::new(delivery.id().to_owned());
        let result = delivery.open().and_then(|scene| resolve(scene, pipeline)).and_then(|plan| {
            if !seen.insert(plan.acquisition.clone()) {
                return Err(EngineError::SameAcquisition { acquisition: plan.acquisition }.into());
            }
            self.planned(Arc::new(plan), serial, &mut outcome)
        });
        if let Err(e) = result {
            let e = e.within(|c| c.scene = Some(delivery.id().to_owned()));
            outcome.fail(&e);
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        outcome
    }

    fn planned(&self, plan: Arc<ScenePlan>, serial: &mut u64, outcome: &mut SceneOutcome) -> Result<()> {
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
        let wanted = self.wanted(&plan)?;
        let state = Standing::look(self.store, &plan, &wanted, self.options.force)?;
        let pixels = state.missing.iter().map(|k| plan.cell_pixels(&plan.cells[*k])).sum();
        self.progress.scene_started(&plan.scene.id, state.missing.len(), pixels);
        let published = self.make(&plan, &state.missing, serial)?;
        let mut error = published.error;
        outcome.cells_unchanged = state.unchanged.len();
        outcome.cells_empty = published.empty.len() + state.empty.len();
        outcome.bytes_written = published.bytes;
        outcome.samples_read = published.samples_read;
        outcome.values_clipped = published.clipped;
        outcome.stage_seconds = published.seconds;
        let samples: u64 = plan
            .layers
            .iter()
            .flat_map(|l| &l.inputs)
            .map(|i| (plan.scene.parts[i.part].rows * plan.scene.parts[i.part].cols * i.bands.len()) as u64)
            .sum();
        outcome.read_amplification = published.samples_read as f64 / samples.max(1) as f64;
        let order = |names: BTreeSet<&String>| -> Vec<String> {
            plan.cells.iter().map(|c| &c.name).filter(|n| names.contains(n)).cloned().collect()
        };
        outcome.cells_written = order(published.written.iter().collect());
        // The scene's own documents say what was made of all of it: they wait until all of it was.
        if error.is_none() && self.options.cells.is_empty() {
            let cells = order(published.written.iter().chain(&state.unchanged).collect());
            let empty = order(published.empty.iter().chain(&state.empty).collect());
            let item = publish::scene_item(&plan, &cells, &empty)?;
            let object = plan.scene_object("item.json");
            let stored = self.store.get(&object)?;
            if stored.as_deref() != Some(&item) {
                self.store.put(&object, &item).within(|c| c.stage = Some("store"))?;
                outcome.bytes_written += item.len() as u64;
            }
        }
        error.take().map_or(Ok(()), Err)
    }

    /// Positions of the cells that are asked for.
    fn wanted(&self, plan: &ScenePlan) -> Result<Vec<usize>> {
        if let Some(cell) = self.options.cells.iter().find(|n| plan.cells.iter().all(|c| c.name != **n)) {
            return Err(EngineError::NoSuchCell { cell: cell.clone() }.into());
        }
        let wanted = |name: &String| self.options.cells.is_empty() || self.options.cells.contains(name);
        Ok((0..plan.cells.len()).filter(|k| wanted(&plan.cells[*k].name)).collect())
    }

    /// Makes cells, in order, as many at once as the budget allows.
    fn make(&self, plan: &Arc<ScenePlan>, cells: &[usize], serial: &mut u64) -> Result<Published> {
        self.flight.cancelled.store(false, Ordering::Relaxed);
        let result = cells.iter().try_for_each(|k| {
            if self.flight.cancelled.load(Ordering::Relaxed) {
                return Ok(());
            }
            *serial += 1;
            let cell = Arc::new(
                OpenCell::new(*serial, Arc::clone(plan), *k).within(|c| c.cell = Some(plan.cells[*k].name.clone()))?,
            );
            let reservation = self.budget.reserve(plan.open_cell_bytes(cell.cell()));
            self.send(Message::Open(Arc::clone(&cell), reservation))?;
            self.admit(&cell)
        });
        self.flight.wait_for_all();
        if result.is_err() || self.flight.cancelled.load(Ordering::Relaxed) {
            self.send(Message::Forget)?;
        }
        let (answer, published) = channel();
        self.send(Message::Flush(answer))?;
        let published = published.recv().map_err(|_| Error::bug("the sequencer ended before the run"))?;
        result.map(|()| published)
    }

    fn admit(&self, cell: &Arc<OpenCell>) -> Result<()> {
        let most = 2 * self.options.threads.max(1);
        for (k, (layer, window)) in cell.units.iter().copied().enumerate() {
            if self.flight.cancelled.load(Ordering::Relaxed) {
                break;
            }
            let (working, output) = cell.plan.unit_bytes(layer, window);
            let mut working = self.budget.reserve(working + output);
            let output = working.split(output);
            self.flight.take_off(most);
            self.spawn(Task { cell: Arc::clone(cell), unit: k, layer, window }, working, output);
        }
        Ok(())
    }

    fn spawn(&self, task: Task, working: Reservation, output: Reservation) {
        let flight = Arc::clone(&self.flight);
        let to_sequencer = self.to_sequencer.clone();
        self.pool.spawn(move || {
            let result = (!flight.cancelled.load(Ordering::Relaxed)).then(|| task.run());
            drop(working);
            if matches!(result, Some(Err(_))) {
                flight.cancelled.store(true, Ordering::Relaxed);
            }
            let done = UnitDone {
                serial: task.cell.serial,
                unit: task.unit,
                window: task.window,
                result,
                reservation: output,
            };
            // The sequencer outlives all tasks; should it have failed, there is nobody to tell.
            let _ = to_sequencer.send(Message::Unit(done));
            drop(task);
            flight.land();
        });
    }

    fn send(&self, message: Message) -> Result<()> {
        self.to_sequencer.send(message).map_err(|_| Error::bug("the sequencer ended before the run"))
    }
}

struct Task {
    cell: Arc<OpenCell>,
    unit: usize,
    layer: usize,
    window: Window,
}

impl Task {
    fn run(&self) -> Result<unit::Output> {
        let attempt = catch_unwind(AssertUnwindSafe(|| unit::compute(&self.cell, self.layer, self.window)));
        let result = attempt.unwrap_or_else(|panic| {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_else(|| "a panic without a message".into());
            Err(EngineError::Panic { what }.into())
        });
        result.within(|c| {
            c.scene = Some(self.cell.plan.scene.id.clone());
            c.cell = Some(self.cell.cell().name.clone());
            c.window = Some(self.window.to_string());
        })
    }
}

/// What of a scene stands in storage already.
struct Standing {
    unchanged: Vec<String>,
    empty: Vec<String>,
    missing: Vec<usize>,
}

impl Standing {
    fn look(store: &dyn Store, plan: &ScenePlan, wanted: &[usize], force: bool) -> Result<Self> {
        let mut state = Self { unchanged: Vec::new(), empty: Vec::new(), missing: Vec::new() };
        let same_key =
            |item: &Value| item.pointer("/properties/fieldglow:key").and_then(Value::as_str) == Some(plan.key.as_str());
        // Only the scene's Item tells an empty cell from one that was never made.
        let scene = publish::stored_item(store, &plan.scene_object("item.json"))?.filter(same_key);
        let empty: BTreeSet<String> = scene
            .as_ref()
            .and_then(|s| s.pointer("/properties/fieldglow:empty_cells")?.as_array())
            .map(|a| a.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        for k in wanted {
            let name = &plan.cells[*k].name;
            if force {
                state.missing.push(*k);
            } else if empty.contains(name) {
                state.empty.push(name.clone());
            } else if publish::stored_item(store, &plan.object(name, "item.json"))?.is_some_and(|i| same_key(&i)) {
                state.unchanged.push(name.clone());
            } else {
                state.missing.push(*k);
            }
        }
        Ok(state)
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
