//! One pass over a scene: plan, admit, execute, publish.
//!
//! Invariants:
//!
//! - The **dispatcher** (the calling thread) admits units row by row and alone waits for memory. **Workers** never wait for
//!   another task, the network, or a lock held across I/O. One **sequencer** thread owns all files that lack tiles; files that
//!   have them all are completed by **finishers**, once all pixels of their cell are made: a cell whose pixels cannot be made
//!   leaves no file. Should compressing or storing fail after that, files that were complete may stand; nothing points to them.
//! - An item that stands in storage points to files that stand there whole: it is written after all of them, and nothing
//!   is decided by listing.
//! - Bytes do not depend on threads, budget or order.

pub mod budget;
mod cell;
mod closing;
mod collect;
mod dispatch;
mod documents;
mod flight;
mod fold;
mod group;
mod key;
mod locate;
mod look;
mod night;
pub mod plan;
mod publication;
mod publish;
pub mod register;
mod remote;
pub mod report;
mod resolve;
mod select;
mod sequencer;
mod sharpen;
mod show;
mod stop;
mod task;
mod unit;
mod upon;

pub use collect::collect;
pub use dispatch::{Given, Options, cache_bytes, grouping, most_reserved, run, smallest_memory};
pub use group::Grouping;
pub use plan::ScenePlan;
pub use remote::{Fetched, fetch, finder};
pub use report::{Progress, RunReport, SceneOutcome, Silent};
pub use resolve::resolve;
pub use select::{Area, Shard};
pub use stop::Stop;
pub use upon::Upon;

use std::path::PathBuf;

use crate::error::{Class, Classify, Error};
use crate::scene::Role;
use crate::units::Bytes;

/// A pipeline and a scene do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A product needs a band the scene does not have.
    #[error(
        "product `{product}` needs band {role}, which the scene does not have (it has {has}); leave the product out, or set `required = false` in its section"
    )]
    MissingRole {
        /// The product.
        product: String,
        /// The band.
        role: Role,
        /// What the scene has.
        has: String,
    },
    /// A product of lights, by day.
    #[error(
        "product `{product}` is for nights: the sun stands {elevation:.1} degrees above the horizon; leave the scene out, or correct its time and sun angles"
    )]
    SunIsUp {
        /// The product.
        product: String,
        /// Degrees above the horizon.
        elevation: f64,
    },
    /// The band that is to be compared with a reference is not there.
    #[error(
        "the scene has no band {role} to compare with its reference (it has {has}); choose another `band` in the `[coregistration]` section"
    )]
    NotCompared {
        /// The band.
        role: Role,
        /// What the scene has.
        has: String,
    },
    /// A product has nothing to be sharpened with.
    #[error("product `{product}` cannot be sharpened: {reason}; {remedy}")]
    CannotSharpen {
        /// The product.
        product: String,
        /// Why.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// No product is left.
    #[error("none of the products can be made from this scene (it has {has})")]
    NothingToMake {
        /// What the scene has.
        has: String,
    },
    /// The geometry mode does not fit the part.
    #[error("part {part} cannot be placed: {reason}; {remedy}")]
    Placement {
        /// The part.
        part: String,
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The memory budget is too small for the scene; known before any work.
    #[error("the memory budget of {} is too small; set --memory to {}MiB or more, or ask for fewer or coarser products", Bytes(*budget), needed.div_ceil(1 << 20))]
    Budget {
        /// What there is.
        budget: u64,
        /// The smallest that would do.
        needed: u64,
    },
    /// A cell that was asked for is not one of the scene's.
    #[error("--cells: `{cell}` is not a cell of this scene; `fieldglow plan` lists them")]
    NoSuchCell {
        /// The name.
        cell: String,
    },
    /// A DEM states another height datum than the pipeline file.
    #[error(
        "`{path}` states heights above {states}, and `geometry.height.datum` is {declared}; set `datum` to what the file states, or correct the file (`gdal_edit.py -a_srs`)"
    )]
    HeightDatum {
        /// The file.
        path: PathBuf,
        /// What it states.
        states: String,
        /// What the pipeline file says.
        declared: String,
    },
    /// A file is no grid of geoid undulations, or has none where they are needed.
    #[error("`{path}` cannot serve as `geometry.height.geoid`: {reason}; name a grid of undulations in metres")]
    NoGeoid {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file that the pipeline names by its URL cannot be had.
    #[error("fetching the file of `{key}`")]
    Fetch {
        /// The key of the pipeline file.
        key: &'static str,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The scene that others are laid upon stands in object storage.
    #[error(
        "`coregistration.reference_scene` is read back from the output, and `{url}` is no folder of this machine; write to a folder, or name a copy of the scene's Item as `reference`"
    )]
    UponRemote {
        /// The output.
        url: String,
    },
    /// The scene that others are laid upon was not made, or there are several of its id.
    #[error(
        "`coregistration.reference_scene` names scene `{id}`, of which `{folder}` has {found}, not one; make it in the same run or before, or correct the id (`fieldglow inspect`)"
    )]
    UponMissing {
        /// Its id.
        id: String,
        /// Where it was looked for.
        folder: String,
        /// How many there are.
        found: usize,
    },
    /// The ground and the heights a sensor model was made for lie kilometres apart.
    #[error(
        "the ground under part {part} lies between {:.0} and {:.0} m above the ellipsoid, its RPC were made for {:.0} to {:.0} m; check that DEM, `geometry.height` and RPC belong to the scene, and that all are in metres",
        ground.0, ground.1, model.0, model.1
    )]
    HeightsApart {
        /// The part.
        part: String,
        /// Lowest and highest height of the ground, metres.
        ground: (f64, f64),
        /// Lowest and highest height of the model, metres.
        model: (f64, f64),
    },
    /// A grid much too fine for the scene.
    #[error(
        "the scene would touch about {cells:.0} cells of the grid, more than the limit of {limit:.0}; choose a coarser resolution or the reference system of its region"
    )]
    TooManyCells {
        /// How many there would be.
        cells: f64,
        /// How many are allowed.
        limit: f64,
    },
    /// Two scenes of one run would write to the same place.
    #[error(
        "another scene of this run is stored as `{acquisition}` as well (same id and time); give each its own `id`, or store them in outputs of their own"
    )]
    SameAcquisition {
        /// Name in storage.
        acquisition: String,
    },
    /// An Item in storage is no JSON.
    #[error("`{name}` is no JSON; make the scene again with --force")]
    NoItem {
        /// The object.
        name: String,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A folder to collect holds no Items.
    #[error(
        "there are no Items below `{folder}`; give the output of a run and, where it holds several pipelines, the folder of one"
    )]
    NothingToCollect {
        /// The folder.
        folder: String,
    },
    /// The run was asked to end.
    #[error("interrupted; cells that were finished stand, and a new run goes on from there")]
    Interrupted,
    /// A task panicked.
    #[error("internal fault: a task failed: {what}; please report it with the command and the scene")]
    Panic {
        /// What it said.
        what: String,
    },
    /// The store was asked, and nothing can be written to it.
    #[error("the output cannot be written to")]
    NoOutput,
    /// A thread could not be started.
    #[error("starting {what}")]
    Threads {
        /// Which.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Classify for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::Budget { .. } | Self::TooManyCells { .. } => Class::Limit,
            Self::Interrupted => Class::Interrupted,
            Self::UponRemote { .. } | Self::NoOutput => Class::Config,
            Self::Fetch { source, .. } => match source.class() {
                Class::Input | Class::Unsupported => Class::Config,
                other => other,
            },
            Self::Panic { .. } | Self::Threads { .. } => Class::Bug,
            _ => Class::Input,
        }
    }
}
