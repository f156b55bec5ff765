//! Where products stand.
//!
//! Invariant: an object is visible whole or not at all. A file that is being written has a name nobody reads, and takes
//! its own only after its bytes are on the disk; what is aborted leaves nothing behind.

mod client;
mod cloud;
mod digest;
mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod local;
mod patience;
mod pull;
mod remote;
mod settings;
mod signature;
mod source;
mod upload;
mod uploads;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
pub use cloud::SCHEMES;
pub use fault::Fault;
pub use local::Local;
pub use remote::{Remote, Threads};
pub use settings::{Environment, Settings};
pub use source::{Object, Source, SourceError};

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
    /// An object store cannot be used as it is set up, or not now.
    #[error("the store `{url}` cannot be used; check the bucket, the credentials and the endpoint in the environment")]
    Setup {
        /// The store, without credentials.
        url: String,
        /// What it says.
        #[source]
        source: Fault,
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
        source: Fault,
    },
    /// What stands in the store is not what was sent to it.
    #[error(
        "`{object}` was stored wrong: {sent} bytes were sent, {found} stand there, and their checksums differ; make it again, and see to the store"
    )]
    Differs {
        /// The object.
        object: String,
        /// Bytes sent.
        sent: u64,
        /// Bytes that stand there.
        found: u64,
    },
    /// A web server, as the place to write to.
    #[error(
        "`{url}` can only be read: nothing is stored through a web server; give a folder, or `s3://`, `gs://`, `az://` with a bucket"
    )]
    ReadOnly {
        /// The server.
        url: String,
    },
    /// A web server, as the place to look for objects.
    #[error("`{url}` cannot be listed, as it is a web server; name its objects one by one, or a Collection or Item")]
    NoListing {
        /// The server.
        url: String,
    },
    /// A variable that sets how requests are made.
    #[error("{name}=`{value}`: expected a number of seconds, such as 30 or 0.5")]
    Setting {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
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
            Self::Scheme { .. }
            | Self::NotWritable { .. }
            | Self::ReadOnly { .. }
            | Self::NoListing { .. }
            | Self::Setting { .. } => Class::Config,
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::Interrupted | std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
                    Class::Transient
                }
                _ => Class::Storage,
            },
            Self::Setup { source, .. } if source.passes() => Class::Transient,
            Self::Setup { .. } => Class::Config,
            Self::Remote { source, .. } if source.passes() => Class::Transient,
            Self::Remote { .. } | Self::Differs { .. } => Class::Storage,
            Self::Name { .. } => Class::Bug,
        }
    }
}

/// What a store does with the condition that an object must not be there yet (`If-None-Match: *`). Several stores answer
/// that they kept it and did not; nothing here rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionalCreate {
    /// The second one is refused.
    Honoured,
    /// The second one replaces the first.
    Ignored,
    /// Such a request is refused as such.
    Unsupported,
}

/// What was found out about a store before any work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Found {
    /// Whether objects can be created once only.
    pub conditional_create: ConditionalCreate,
}

/// What a store was asked so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Account {
    /// Requests sent over the network.
    pub requests: u64,
    /// Requests, or groups of them, made again because the first did not succeed.
    pub repeated: u64,
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

/// Memory that was set aside for bytes, given back with the last clone.
pub type Lease = Arc<dyn Any + Send + Sync>;

/// Bytes for a store, in chunks that stand one after another.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The bytes.
    pub chunks: Vec<Bytes>,
    /// The memory they take, if it was set aside for as long as the store needs them: then the store may keep them until
    /// the object is done. Without it, it keeps them no longer than it must.
    pub lease: Option<Lease>,
}

impl Payload {
    /// Number of bytes.
    pub fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }
}

impl<B: Into<Bytes>> From<B> for Payload {
    fn from(bytes: B) -> Self {
        Self { chunks: vec![bytes.into()], lease: None }
    }
}

/// Takes the parts of one object that is still being made: bytes from somewhere in the middle to its end, in order, and
/// last of all its beginning.
pub trait PartSink: Send {
    /// Several parts are likely to come: what takes time before the first can leave may begin.
    fn prepare(&mut self) {}

    /// Appends to the tail.
    ///
    /// # Errors
    /// Storage faults; the object stays invisible.
    fn put(&mut self, part: Payload) -> Result<(), StoreError>;

    /// Makes the object visible: `prefix`, then the tail.
    ///
    /// # Errors
    /// Storage faults; the object stays invisible, unless only what is done behind that fails: to make sure of its name on the
    /// disk, or to read it back. Then it stands whole, or is said to differ.
    fn complete(self: Box<Self>, prefix: Payload) -> Result<Stored, StoreError>;

    /// Forgets everything.
    fn abort(self: Box<Self>);
}

/// A place for objects, by names with `/` between folders.
pub trait Store: Send + Sync {
    /// Where it is, as people write it.
    fn url(&self) -> String;

    /// True where every answer takes a while: then others are worth waiting for at the same time.
    fn is_remote(&self) -> bool {
        false
    }

    /// True while as much of what was handed over is on its way as ever is at once: more of it would only wait.
    fn is_behind(&self) -> bool {
        false
    }

    /// Makes sure that it can be written to, before anything is sent to it, and says what else was found out. Leaves nothing.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`], [`StoreError::Setup`], [`StoreError::ReadOnly`].
    fn probe(&self) -> Result<Found, StoreError>;

    /// What it was asked so far; nothing where there is no network.
    fn account(&self) -> Account {
        Account::default()
    }

    /// The bytes of an object; `None` when there is none.
    ///
    /// # Errors
    /// Storage faults.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The bytes of several small objects, in the order of their names; over a network they are asked for together.
    ///
    /// # Errors
    /// Storage faults.
    fn get_all(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        names.iter().map(|name| self.get(name)).collect()
    }

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

    /// Names of all objects below a folder that end with `suffix`, sorted; below no folder (an empty name), all.
    ///
    /// # Errors
    /// Storage faults.
    fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError>;
}

/// The store of a folder or a URL: `file://`, `s3://`, `gs://`, `az://`, and `http(s)://` for reading.
///
/// # Errors
/// [`StoreError::Scheme`] for everything else that looks like a URL: a folder named `s3:` is nobody's wish.
pub fn open(url: &str) -> Result<Box<dyn Store>, StoreError> {
    open_with(url, &Environment::of_process())
}

/// The same, with credentials, endpoints and settings from these variables.
///
/// # Errors
/// Those of [`open`].
pub fn open_with(url: &str, environment: &Environment) -> Result<Box<dyn Store>, StoreError> {
    let refused = || StoreError::Scheme { url: fault::without_urls(url) };
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
        Some(scheme) if cloud::SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => {
            let url = url::Url::parse(url).map_err(|_| refused())?;
            return if url.has_host() { Ok(Box::new(Remote::open(&url, environment)?)) } else { Err(refused()) };
        }
        Some(_) => return Err(refused()),
    };
    Ok(Box::new(Local::new(path)))
}

/// A path or URL as it may be shown: a URL without user, password, query and fragment.
pub fn shown(url: &str) -> String {
    fault::without_urls(url)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut s, b| {
        s.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
        s.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        s
    })
}
