//! What happened, for people while it does, and for machines afterwards.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Class, Context, Error, chain};
use crate::scene::Warning;
use crate::store;
use crate::survey::coregister::Registration;
use crate::survey::sharpen::Quality;

/// Listens to a run. Called from several threads; must not block.
pub trait Progress: Sync {
    /// The run starts, over this many scenes.
    fn run_started(&self, _scenes: usize) {}
    /// A scene starts, with this many output pixels still to make.
    fn scene_started(&self, _scene: &str, _cells: usize, _pixels: u64) {}
    /// Some output pixels were made.
    fn pixels_done(&self, _pixels: u64) {}
    /// A cell was published.
    fn cell_done(&self, _cell: &str) {}
    /// Something is odd.
    fn warning(&self, _scene: &str, _warning: &Warning) {}
    /// A scene ended.
    fn scene_done(&self, _scene: &SceneOutcome) {}
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// Seconds by what they were spent on. `locate` to `idle` are the workers' core time, and add up to `workers`; the others go on
/// before it or beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct StageSeconds {
    /// The first look at the scene (wall time).
    pub survey: f64,
    /// Tabulating positions and reading heights.
    pub locate: f64,
    /// Waiting for bytes of images on their way from object storage or a web server.
    pub fetch: f64,
    /// Reading source pixels, finding out their states. What GDAL decodes is here as well.
    pub read: f64,
    /// Decoding compressed strips and tiles.
    pub decode: f64,
    /// Resampling, indices, quantising.
    pub compute: f64,
    /// Statistics and overviews.
    pub fold: f64,
    /// Predictor and compression.
    pub encode: f64,
    /// Time of the workers that none of the above took: they waited for work, for memory, or for a core.
    pub idle: f64,
    /// Core time of all workers, from the first unit to the last cell: their number times the wall time.
    pub workers: f64,
    /// Putting tiles in order and handing them to the store, with the waiting for it (one thread).
    pub store: f64,
    /// Completing files and writing the documents of cells, most of it waiting for a disk or a network (wall time in which at least
    /// one cell did so).
    pub publish: f64,
}

impl StageSeconds {
    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.survey += other.survey;
        self.locate += other.locate;
        self.fetch += other.fetch;
        self.read += other.read;
        self.decode += other.decode;
        self.compute += other.compute;
        self.fold += other.fold;
        self.encode += other.encode;
        self.idle += other.idle;
        self.workers += other.workers;
        self.store += other.store;
        self.publish += other.publish;
    }

    /// What the workers were busy with, or waited for while they had work.
    pub fn busy(&self) -> f64 {
        self.locate + self.fetch + self.read + self.decode + self.compute + self.fold + self.encode
    }
}

/// What was read of the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reads {
    /// Windows that were asked of the readers, all bands of a file at once where they stand in one.
    pub requests: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of those samples, decoded. What crossed the disk is less when the source is compressed or was cached.
    pub bytes: u64,
    /// Bytes of compressed strips and tiles that were decoded for them, not counting what GDAL decoded.
    pub decoded_bytes: u64,
}

impl Reads {
    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.samples += other.samples;
        self.bytes += other.bytes;
        self.decoded_bytes += other.decoded_bytes;
    }
}

/// How a scene ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was made, or stood there already.
    Done,
    /// It failed.
    Failed,
}

/// An error in a report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// Whose fault.
    pub class: Class,
    /// Which error it is: module and variant, such as `scene/truncated`.
    pub code: String,
    /// The whole chain of messages.
    pub message: String,
    /// Where.
    pub context: Context,
}

impl From<&Error> for Failure {
    fn from(e: &Error) -> Self {
        Self { class: e.class(), code: e.code().to_owned(), message: chain(e), context: e.context().clone() }
    }
}

/// What became of one scene.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SceneOutcome {
    /// Its id, or the path that was given when it could not be opened.
    pub scene: String,
    /// Its name in storage.
    pub acquisition: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The key of its products.
    pub key: Option<String>,
    /// Cells published by this run.
    pub cells_written: Vec<String>,
    /// Cells that stood there already.
    pub cells_unchanged: usize,
    /// Cells without a valid pixel.
    pub cells_empty: usize,
    /// Cells that were not asked for (`--cells`, `--aoi`).
    pub cells_left_out: usize,
    /// How it was laid upon its reference; none where that was not asked for, or was not needed as its cells stood already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coregistration: Option<Registration>,
    /// Bytes stored.
    pub bytes_written: u64,
    /// Bytes of images unpacked from archives or fetched from URLs for it, gone when it ended.
    pub unpacked_bytes: u64,
    /// What was read of its images, without headers and heights.
    pub reads: Reads,
    /// Samples read over samples there are in the bands that were needed; below 1 when not all cells were made.
    pub read_amplification: f64,
    /// Bytes of compressed strips and tiles that were decoded over bytes there are; 0 where none are compressed.
    pub decode_amplification: f64,
    /// Values clipped to fit their stored type.
    pub values_clipped: u64,
    /// Pansharpened values that got less detail than their ratio asks for, because PAN is too dark there to divide by.
    pub values_held: u64,
    /// How good its pansharpened products are, by name; empty when nothing was left to make.
    pub pansharpening: BTreeMap<String, Quality>,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Core time by stage, seconds.
    pub stage_seconds: StageSeconds,
    /// What is odd.
    pub warnings: Vec<Warning>,
}

impl SceneOutcome {
    /// Nothing done yet.
    pub fn new(scene: String) -> Self {
        Self {
            scene,
            acquisition: None,
            outcome: Outcome::Done,
            error: None,
            key: None,
            cells_written: Vec::new(),
            cells_unchanged: 0,
            cells_empty: 0,
            cells_left_out: 0,
            coregistration: None,
            bytes_written: 0,
            unpacked_bytes: 0,
            reads: Reads::default(),
            read_amplification: 0.0,
            decode_amplification: 0.0,
            values_clipped: 0,
            values_held: 0,
            pansharpening: BTreeMap::new(),
            seconds: 0.0,
            stage_seconds: StageSeconds::default(),
            warnings: Vec::new(),
        }
    }

    /// A scene that failed before anything was known of it.
    pub fn failed(scene: String, error: &Error) -> Self {
        let mut outcome = Self::new(scene);
        outcome.fail(error);
        outcome
    }

    /// Marks the scene as failed.
    pub fn fail(&mut self, error: &Error) {
        self.outcome = Outcome::Failed;
        self.error = Some(Failure::from(error));
    }
}

/// The store of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct StoreReport {
    /// What was found out about it at the start.
    #[serde(flatten)]
    pub found: store::Found,
    /// What it was asked.
    #[serde(flatten)]
    pub account: store::Account,
}

/// Sums over the scenes of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub struct Totals {
    /// Scenes that were tried.
    pub scenes: usize,
    /// Scenes that are done.
    pub done: usize,
    /// Scenes that failed.
    pub failed: usize,
    /// Scenes that were not tried, because the run ended before their turn.
    pub not_tried: usize,
    /// Cells published by this run.
    pub cells_written: usize,
    /// Cells that stood there already.
    pub cells_unchanged: usize,
    /// Cells without a valid pixel.
    pub cells_empty: usize,
    /// Cells that were not asked for.
    pub cells_left_out: usize,
    /// Bytes stored.
    pub bytes_written: u64,
    /// Bytes of images unpacked from archives or fetched from URLs for it, gone when it ended.
    pub unpacked_bytes: u64,
    /// What was read.
    pub reads: Reads,
    /// Values clipped to fit their stored type.
    pub values_clipped: u64,
    /// Pansharpened values that got less detail than their ratio asks for.
    pub values_held: u64,
    /// Warnings.
    pub warnings: usize,
    /// Core time by stage, seconds.
    pub stage_seconds: StageSeconds,
}

/// What became of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunReport {
    /// Version of this format: 1.
    pub schema: u32,
    /// Version of the program.
    pub version: &'static str,
    /// The pipeline.
    pub pipeline: String,
    /// Where everything stands.
    pub output: String,
    /// What the store keeps to, and what it was asked.
    pub store: StoreReport,
    /// What the program ends with.
    pub exit_code: u8,
    /// Workers.
    pub threads: usize,
    /// Memory the engine may reserve, with GDAL's block cache, bytes.
    pub memory_bytes: u64,
    /// Most memory it had reserved at once, with that cache, bytes.
    pub peak_reserved_bytes: u64,
    /// Most memory the whole process had in use at once, bytes, where the system tells.
    pub peak_resident_bytes: Option<u64>,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Sums over the scenes.
    pub totals: Totals,
    /// Scene by scene, in the order they were tried.
    pub scenes: Vec<SceneOutcome>,
    /// True when the run was asked to end.
    pub interrupted: bool,
    /// Why the run ended early, or why its Collection was not written.
    pub error: Option<Failure>,
}

/// What the program ends with, and when; the first that applies.
pub const EXIT_CODES: [(u8, &str); 8] = [
    (130, "interrupted (SIGINT); what stands is whole, and a new run goes on from there"),
    (143, "terminated (SIGTERM); the same"),
    (70, "an internal fault; please report it"),
    (1, "usage or configuration: the command line, the pipeline file, the output; ends the run before the next scene"),
    (75, "some scene failed, and every failure was a passing storage fault: trying again is right"),
    (3, "no scene succeeded, or the Collection could not be written"),
    (2, "some scenes did not succeed, others did"),
    (0, "all done, also when nothing was left to do"),
];

/// The JSON Schema of the run report, generated from the types and their documentation.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RunReport).to_value()
}

impl RunReport {
    /// Fills in the sums and the exit code from the scenes.
    pub fn sum_up(&mut self) {
        let not_tried = self.totals.not_tried;
        let mut t = Totals { scenes: self.scenes.len(), not_tried, ..Totals::default() };
        for s in &self.scenes {
            match s.outcome {
                Outcome::Done => t.done += 1,
                Outcome::Failed => t.failed += 1,
            }
            t.cells_written += s.cells_written.len();
            t.cells_unchanged += s.cells_unchanged;
            t.cells_empty += s.cells_empty;
            t.cells_left_out += s.cells_left_out;
            t.bytes_written += s.bytes_written;
            t.unpacked_bytes += s.unpacked_bytes;
            t.reads.add(&s.reads);
            t.values_clipped += s.values_clipped;
            t.values_held += s.values_held;
            t.warnings += s.warnings.len();
            t.stage_seconds.add(&s.stage_seconds);
        }
        self.totals = t;
        self.exit_code = self.code();
    }

    /// The exit code: the first that applies of [`EXIT_CODES`]. Which signal interrupted the run is not known here.
    fn code(&self) -> u8 {
        let classes: Vec<Class> =
            self.scenes.iter().filter_map(|s| s.error.as_ref()).chain(&self.error).map(|e| e.class).collect();
        let failed = self.scenes.iter().filter(|s| s.outcome == Outcome::Failed).count();
        if self.interrupted {
            130
        } else if classes.contains(&Class::Bug) {
            70
        } else if classes.contains(&Class::Config) {
            1
        } else if !classes.is_empty() && classes.iter().all(|c| *c == Class::Transient) {
            75
        } else if failed > 0 && failed == self.scenes.len() {
            3
        } else if failed > 0 {
            2
        } else {
            u8::from(!classes.is_empty()) * 3
        }
    }
}

/// Most memory this process had in use at once, bytes.
///
/// # Reference
/// proc(5), `/proc/pid/status`, `VmHWM`.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(classes: &[Option<Class>]) -> RunReport {
        let scenes = classes
            .iter()
            .map(|class| {
                let mut s = SceneOutcome::new("s".into());
                s.error = class.map(|class| Failure {
                    class,
                    code: String::new(),
                    message: String::new(),
                    context: Context::default(),
                });
                s.outcome = if class.is_some() { Outcome::Failed } else { Outcome::Done };
                s
            })
            .collect();
        RunReport {
            schema: 1,
            version: "",
            pipeline: String::new(),
            output: String::new(),
            store: StoreReport {
                found: store::Found { conditional_create: store::ConditionalCreate::Honoured },
                account: store::Account::default(),
            },
            exit_code: 0,
            threads: 1,
            memory_bytes: 0,
            peak_reserved_bytes: 0,
            peak_resident_bytes: None,
            seconds: 0.0,
            totals: Totals { not_tried: 7, ..Totals::default() },
            scenes,
            interrupted: false,
            error: None,
        }
    }

    #[test]
    fn the_first_exit_code_that_applies() {
        use Class::{Bug, Config, Input, Transient};
        for (classes, code) in [
            (&[][..], 0),
            (&[None, None], 0),
            (&[None, Some(Input)], 2),
            (&[Some(Input), Some(Transient)], 3),
            (&[None, Some(Transient)], 75),
            (&[Some(Transient), Some(Config)], 1),
            (&[Some(Bug), Some(Config)], 70),
        ] {
            let mut report = report(classes);
            report.sum_up();
            assert_eq!(report.exit_code, code, "{classes:?}");
            let failed = classes.iter().flatten().count();
            let t = report.totals;
            assert_eq!((t.scenes, t.failed, t.done, t.not_tried), (classes.len(), failed, classes.len() - failed, 7));
            assert!(EXIT_CODES.iter().any(|(known, _)| *known == code));
        }
    }
}
