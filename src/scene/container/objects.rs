//! Object storage and web servers, as this module sees them: names, sizes, and ranges of bytes.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use url::Url;

use super::ArchiveError;
use crate::error;

/// An object as it was found. Its name is the path below the bucket, container or server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Which version of it: a text that whoever found it understands.
    pub version: String,
}

/// A bucket, container or web server. All of it may be called from several threads at once.
pub trait Objects: Debug + Send + Sync {
    /// Where it is, for people: no credentials, no query, no `/` at its end.
    fn url(&self) -> String;

    /// The objects below a folder, and below the folders in it if `deep`, at most so many, sorted by name; `None` where
    /// nothing can be listed.
    ///
    /// # Errors
    /// What the store says.
    fn list(&self, folder: &str, deep: bool, most: usize) -> error::Result<Option<Vec<Object>>>;

    /// An object by its name; `None` when there is none.
    ///
    /// # Errors
    /// What the store says.
    fn find(&self, name: &str) -> error::Result<Option<Object>>;

    /// A whole small object by its name; `None` when there is none.
    ///
    /// # Errors
    /// What the store says; an object of more than `most` bytes.
    fn get(&self, name: &str, most: u64) -> error::Result<Option<Vec<u8>>>;

    /// Bytes of an object, as many as are asked for, of the version that was found.
    ///
    /// # Errors
    /// What the store says; the object is another one now.
    fn read(&self, object: &Object, range: Range<u64>) -> error::Result<Vec<u8>>;
}

/// Makes clients.
pub trait Stores: Debug + Send + Sync {
    /// The bucket, container or server that a URL leads to, whatever it names there.
    ///
    /// # Errors
    /// When no client can be made.
    fn open(&self, url: &Url) -> error::Result<Arc<dyn Objects>>;
}

/// What a failed request says of an object.
pub fn failed(source: error::Error) -> ArchiveError {
    ArchiveError::RemoteRead { source: Box::new(source) }
}

/// A name in a folder.
pub fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) => name.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}
