//! What can be wrong with a delivery. Every message names the file, what was expected, what was found and the remedy:
//! the reader of it has the delivery at hand and not this source.

use std::path::PathBuf;

use crate::error::{Class, Classify};
use crate::grid::CrsError;

/// What is wrong with a delivery or its sidecar.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A file or folder cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The raster cannot be opened or described.
    #[error("opening the image `{path}`; check that the delivery is complete (size, checksum) and is a TIFF")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// The raster ends before its pixels do.
    #[error(
        "the image `{path}` is cut off: expected at least {needed} bytes, found {found}; \
         fetch it again and compare size or checksum with the vendor's"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes its own directory asks for.
        needed: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Nothing at the place is a delivery.
    #[error("`{path}` is no delivery: found {found}; expected {expected}")]
    NotADelivery {
        /// The place.
        path: PathBuf,
        /// What stands there.
        found: String,
        /// What was looked for.
        expected: String,
    },
    /// More than one file could be meant.
    #[error("`{path}`: expected one {what}, found several: {candidates}; keep the right one or name it alone")]
    Ambiguous {
        /// The place.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What could be meant.
        candidates: String,
    },
    /// A metadata file is not well-formed.
    #[error("parsing `{path}`: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: String,
    },
    /// A field is missing or has an impossible value.
    #[error("`{path}`, field `{field}`: expected {expected}, found {found}; {remedy}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field by its name in the file.
        field: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The sidecar names a reference system PROJ does not know.
    #[error("`{path}`, field `{field}`")]
    Crs {
        /// The file.
        path: PathBuf,
        /// The field by its name in the file.
        field: String,
        /// What is wrong with it.
        #[source]
        source: Box<CrsError>,
    },
    /// Legal, but not read by this version.
    #[error("`{path}`: {what} is not supported; {remedy}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// A finite limit was exceeded.
    #[error("`{path}` has {found} {what}, more than the limit of {limit}; check that it is the file that was meant")]
    Limit {
        /// The file.
        path: PathBuf,
        /// What was counted.
        what: &'static str,
        /// How much there is, at least.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
}

impl Classify for SceneError {
    fn class(&self) -> Class {
        match self {
            Self::Limit { .. } => Class::Limit,
            Self::Unsupported { .. } => Class::Unsupported,
            _ => Class::Input,
        }
    }
}
