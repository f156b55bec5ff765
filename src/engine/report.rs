//! What happened, for people while it does, and for machines afterwards.

use serde::Serialize;

use crate::error::{Class, Context, Error, chain};
use crate::scene::Warning;
use crate::store;

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

/// Seconds of core time by what they were spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StageSeconds {
    /// Tabulating positions and reading heights.
    pub locate: f64,
    /// Reading, decoding and calibrating source pixels.
    pub read: f64,
    /// Resampling, indices, quantising.
    pub compute: f64,
    /// Overviews, predictor, compression, statistics.
    pub encode: f64,
    /// Writing to the store.
    pub store: f64,
}

impl StageSeconds {
    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.locate += other.locate;
        self.read += other.read;
        self.compute += other.compute;
        self.encode += other.encode;
        self.store += other.store;
    }
}

/// How a scene ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was made, or stood there already.
    Done,
    /// It failed.
    Failed,
}

/// An error in a report.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Whose fault.
    pub class: Class,
    /// The whole chain of messages.
    pub message: String,
    /// Where.
    pub context: Context,
}

impl From<&Error> for Failure {
    fn from(e: &Error) -> Self {
        Self { class: e.class(), message: chain(e), context: e.context().clone() }
    }
}

/// What became of one scene.
#[derive(Debug, Clone, Serialize)]
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
    /// Bytes stored.
    pub bytes_written: u64,
    /// Source samples read.
    pub samples_read: u64,
    /// Source samples read over source samples there are.
    pub read_amplification: f64,
    /// Values clipped to fit their stored type.
    pub values_clipped: u64,
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
            bytes_written: 0,
            samples_read: 0,
            read_amplification: 0.0,
            values_clipped: 0,
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
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StoreReport {
    /// What was found out about it at the start.
    #[serde(flatten)]
    pub found: store::Found,
    /// What it was asked.
    #[serde(flatten)]
    pub account: store::Account,
}

/// What became of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// Version of this format.
    pub schema: u32,
    /// Version of the program.
    pub version: &'static str,
    /// The pipeline.
    pub pipeline: String,
    /// Where everything stands.
    pub output: String,
    /// What the store keeps to, and what it was asked.
    pub store: StoreReport,
    /// Scene by scene.
    pub scenes: Vec<SceneOutcome>,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Most memory the engine had reserved at once, bytes.
    pub peak_reserved_bytes: u64,
    /// Scenes that were not tried, because the run ended before their turn.
    pub scenes_not_tried: usize,
    /// True when the run was asked to end.
    pub interrupted: bool,
    /// Why the run ended early, or why its Collection was not written.
    pub error: Option<Failure>,
}

impl RunReport {
    /// The exit code: the first that applies of 130 interrupted, 70 internal fault, 1 configuration, 75 only passing storage faults, 3 no
    /// scene succeeded, 2 some did not, 0.
    pub fn exit_code(&self) -> u8 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(classes: &[Option<Class>]) -> RunReport {
        let scenes = classes
            .iter()
            .map(|class| {
                let mut s = SceneOutcome::new("s".into());
                s.error = class.map(|class| Failure { class, message: String::new(), context: Context::default() });
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
            scenes,
            seconds: 0.0,
            peak_reserved_bytes: 0,
            scenes_not_tried: 0,
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
            assert_eq!(report(classes).exit_code(), code, "{classes:?}");
        }
    }
}
