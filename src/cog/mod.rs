//! Cloud-optimized GeoTIFFs, written byte by byte and checked.
//!
//! Invariant: the bytes of a file depend on its [`Spec`], its encoded tiles and its statistics alone, never on the order
//! in which tiles arrive; and every file [`Writer`] finishes passes [`validate()`]. Nothing here knows scenes, products
//! or the engine. The writer does no I/O: it turns tiles into parts, and what becomes of the parts is the caller's
//! business.
//!
//! A file is: header, ghost area, main directory with its small values, overview directories large to small, all offset
//! and byte-count arrays, then tile data, smallest overview first and full resolution last, each tile between a leader
//! (its byte count) and a trailer (its last four bytes repeated). Full resolution stands last so that it can leave while
//! it is being made; everything before it is the [`Finished::prefix`].

pub mod codec;
mod directory;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod geokeys;
pub mod ghost;
#[cfg(test)]
mod hostile;
mod image;
pub mod layout;
mod matches;
pub mod metadata;
mod pool;
mod predictor;
mod recount;
mod sequences;
pub mod spec;
pub mod tiff_reader;
pub mod validate;
pub mod writer;

#[cfg(test)]
mod read_back;
#[cfg(test)]
mod rules;
#[cfg(test)]
pub(crate) mod synthetic;

use std::path::PathBuf;

pub use codec::{Codecs, Draft, EncodedTile, Encoder, Predicted, Rows, SEARCHED_LEVEL, Sample};
pub use geokeys::GeoKeys;
pub use layout::{Layout, Level, TileIndex};
pub use metadata::BandStatistics;
pub use spec::{BandSpec, BigTiff, Color, Compression, Predictor, SampleType, Spec};
pub use validate::{Depth, Finding, Report, validate, validate_bytes};
pub use writer::{Finished, Part, Writer};

use crate::error::{Class, Classify};
use crate::grid::CrsError;

/// What is wrong with a specification, a tile, or a TIFF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CogError {
    /// A specification no file can be made from.
    #[error("COG specification, field `{field}`: expected {expected}, found {found}")]
    Spec {
        /// The field of [`Spec`].
        field: &'static str,
        /// What would do.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Pixels that do not fit the specification.
    #[error("encoding {index}: expected {expected}, found {found}")]
    Pixels {
        /// The tile.
        index: TileIndex,
        /// What would do.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The codec failed.
    #[error("compressing {index}")]
    Codec {
        /// The tile.
        index: TileIndex,
        /// What the codec says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The codec cannot be set up.
    #[error("setting up the compressor for {compression:?}")]
    CodecSetup {
        /// What was asked for.
        compression: Compression,
        /// What the codec says.
        #[source]
        source: std::io::Error,
    },
    /// A tile the layout does not have.
    #[error("{index} is outside the layout of {levels} levels")]
    NoSuchTile {
        /// The tile.
        index: TileIndex,
        /// Levels of the layout.
        levels: usize,
    },
    /// A tile came twice.
    #[error("{index} came twice")]
    DuplicateTile {
        /// The tile.
        index: TileIndex,
    },
    /// A tile of a size no block leader and trailer can describe.
    #[error("{index} has {found} bytes encoded, expected 4 to 4294967295")]
    TileSize {
        /// The tile.
        index: TileIndex,
        /// Its encoded size.
        found: usize,
    },
    /// A file was finished before all its tiles came.
    #[error("{missing} tiles are missing, the first is {first}")]
    MissingTiles {
        /// How many.
        missing: u64,
        /// The first one in the order of the layout.
        first: TileIndex,
    },
    /// Statistics of another number of bands than the file has.
    #[error("expected statistics of {expected} bands, found {found}")]
    StatisticsCount {
        /// Bands of the file.
        expected: usize,
        /// Statistics given.
        found: usize,
    },
    /// A classic TIFF grew beyond 4 GiB.
    #[error("the file has {found} bytes, more than the 4294967295 of classic TIFF; set `bigtiff` to `Always`")]
    TooLarge {
        /// Size of the file.
        found: u64,
    },
    /// A reference system cannot be used.
    #[error("preparing GeoTIFF keys")]
    Crs(#[source] CrsError),
    /// A reference system cannot be written as GeoTIFF keys.
    #[error("writing {crs} as GeoTIFF keys")]
    GeoKeys {
        /// The reference system.
        crs: String,
        /// What GDAL says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// A file cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is no well-formed TIFF.
    #[error("`{path}` is no well-formed TIFF: {field}: expected {expected}, found {found}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Tag or part of the file.
        field: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A TIFF exceeds a limit.
    #[error("`{path}` has {found} {what}, more than the limit of {limit}")]
    Limit {
        /// The file.
        path: PathBuf,
        /// What was counted.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
}

impl Classify for CogError {
    fn class(&self) -> Class {
        match self {
            Self::Spec { .. } | Self::Crs(_) | Self::GeoKeys { .. } => Class::Config,
            Self::Pixels { .. }
            | Self::NoSuchTile { .. }
            | Self::DuplicateTile { .. }
            | Self::TileSize { .. }
            | Self::MissingTiles { .. }
            | Self::StatisticsCount { .. }
            | Self::Codec { .. }
            | Self::CodecSetup { .. } => Class::Bug,
            Self::TooLarge { .. } | Self::Limit { .. } => Class::Limit,
            Self::Read { .. } => Class::Storage,
            Self::Malformed { .. } => Class::Input,
        }
    }
}
