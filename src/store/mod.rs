//! Where products stand.
//!
//! Invariant: an object is visible whole or not at all. A file that is being written has a name nobody reads, and takes
//! its own only after its bytes are on the disk; what is aborted leaves nothing behind.

#[cfg(test)]
mod contract;
mod local;
mod remote;

use std::path::PathBuf;

pub use local::Local;
pub use remote::Remote;

use sha2::{Digest, Sha256};

use crate::error::{Class, Classify};

/// A storage fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A URL of a kind this version cannot write to.
    #[error(
        "cannot store to `{url}`: expected a folder, `file:///` and an absolute path, or `s3://`, `gs://`, `az://` with a bucket"
    )]
    Scheme {
        /// What was given.
        url: String,
    },
    /// The output cannot be written to.
    #[error("the output `{path}` cannot be written to; choose another with --output, or change its permissions")]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("{action} `{path}`")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// An object store cannot be used as it is set up.
    #[error(
        "the store `{url}` cannot be written to; check the bucket, the credentials and the endpoint in the environment"
    )]
    Setup {
        /// The store, without credentials.
        url: String,
        /// What it says.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A request to an object store failed, also when it was repeated.
    #[error("{action} `{object}`")]
    Remote {
        /// What was being done.
        action: &'static str,
        /// The object.
        object: String,
        /// What the store says.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A name that would leave the output folder.
    #[error("`{name}` is no name of an object below the output")]
    Name {
        /// The name.
        name: String,
    },
}

impl Classify for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Scheme { .. } | Self::NotWritable { .. } => Class::Config,
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::Interrupted | std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
                    Class::Transient
                }
                _ => Class::Storage,
            },
            Self::Setup { .. } => Class::Config,
            Self::Remote { source, .. } => match **source {
                // Refusals are repeated for ever; everything else passed or was repeated until the patience ended.
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
                | object_store::Error::NotFound { .. }
                | object_store::Error::NotSupported { .. }
                | object_store::Error::NotImplemented { .. } => Class::Storage,
                _ => Class::Transient,
            },
            Self::Name { .. } => Class::Bug,
        }
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all of them, lower-case hexadecimal.
    pub sha256: String,
}

impl Stored {
    /// Size and digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }
}

/// Takes the parts of one object that is still being made: bytes from somewhere in the middle to its end, in order, and
/// last of all its beginning.
pub trait PartSink: Send {
    /// Appends to the tail.
    ///
    /// # Errors
    /// Storage faults; the object stays invisible.
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes the object visible: `prefix`, then the tail.
    ///
    /// # Errors
    /// Storage faults; the object stays invisible.
    fn complete(self: Box<Self>, prefix: &[u8]) -> Result<Stored, StoreError>;

    /// Forgets everything.
    fn abort(self: Box<Self>);
}

/// A place for objects, by names with `/` between folders.
pub trait Store: Send + Sync {
    /// Where it is, as people write it.
    fn url(&self) -> String;

    /// Makes sure that it can be written to, before any work is done.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`].
    fn probe(&self) -> Result<(), StoreError>;

    /// The bytes of an object; `None` when there is none.
    ///
    /// # Errors
    /// Storage faults.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a small object, replacing what stood there.
    ///
    /// # Errors
    /// Storage faults.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Starts an object that comes in parts.
    ///
    /// # Errors
    /// Storage faults.
    fn start(&self, name: &str) -> Result<Box<dyn PartSink>, StoreError>;

    /// Names of all objects below a folder that end with `suffix`, sorted.
    ///
    /// # Errors
    /// Storage faults.
    fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError>;
}

/// The store of a folder or a URL: `file://`, `s3://`, `gs://`, `az://`.
///
/// # Errors
/// [`StoreError::Scheme`] for everything else that looks like a URL: a folder named `s3:` is nobody's wish.
pub fn open(url: &str) -> Result<Box<dyn Store>, StoreError> {
    let refused = || StoreError::Scheme { url: url.to_owned() };
    let scheme_end = url.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    // One letter before a colon is a drive, not a scheme.
    let scheme = scheme_end.filter(|end| *end > 1 && url[*end..].starts_with(':')).map(|end| &url[..end]);
    let path = match scheme {
        None if url.is_empty() || url.starts_with("~/") => return Err(refused()),
        None => PathBuf::from(url),
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => {
            let rest = url[scheme.len() + 1..].strip_prefix("//").ok_or_else(refused)?;
            let path = rest.strip_prefix("localhost").filter(|p| p.starts_with('/')).unwrap_or(rest);
            let relative = path.strip_prefix('/').and_then(crate::catalog::path_from_href).ok_or_else(refused)?;
            PathBuf::from(format!("/{relative}"))
        }
        Some(scheme) if ["s3", "s3a", "gs", "az", "abfs", "abfss"].contains(&scheme) => {
            let url = url::Url::parse(url).map_err(|_| refused())?;
            return if url.has_host() { Ok(Box::new(Remote::open(&url)?)) } else { Err(refused()) };
        }
        Some(_) => return Err(refused()),
    };
    Ok(Box::new(Local::new(path)))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut s, b| {
        s.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
        s.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        s
    })
}
