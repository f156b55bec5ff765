//! Reading objects that others wrote: a list, and ranges of bytes.
//!
//! Invariant: the bytes given out for an [`Object`] are those of the version it was found in, and as many as were asked
//! for. Every answer is compared with its size and its ETag, so bytes of two versions never come together.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};
use tokio::time::{sleep, timeout};
use url::Url;

use super::fault::Fault;
use super::patience::Patience;
use super::{Environment, Remote, Store, StoreError, Threads};
use crate::error::{Class, Classify};

/// An object as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name below the source.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Which version it is: its ETag, or where the server has none, `@` and the second it was last changed.
    pub version: String,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A URL that no client can be made for.
    #[error("no client can be made for `{url}`; check the URL, and endpoint and credentials in the environment")]
    SourceSetup {
        /// The source, without credentials.
        url: String,
        /// What is wrong.
        #[source]
        source: StoreError,
    },
    /// A request failed for good.
    #[error(
        "reading `{url}`; check its name, and endpoint, credentials and permissions (`docs/storage.md`), or copy it and name \
         the copy"
    )]
    SourceRead {
        /// The object, or the folder that was listed.
        url: String,
        /// What the store says.
        #[source]
        source: Fault,
    },
    /// A request failed in a way that passes, also when it was repeated.
    #[error("reading `{url}` failed, also when it was tried again; run again later")]
    SourceBusy {
        /// The object, or the folder that was listed.
        url: String,
        /// What the store says.
        #[source]
        source: Fault,
    },
    /// There is another object now.
    #[error("`{url}` changed while it was read: {what}; run again when nobody writes to it")]
    SourceChanged {
        /// The object.
        url: String,
        /// What is different.
        what: String,
    },
    /// The server gives files whole or not at all.
    #[error(
        "the server of `{url}` gives no parts of a file (HTTP range requests), as reading it in place needs; download it and \
         name the copy, or use a server that does"
    )]
    NoRanges {
        /// The object.
        url: String,
    },
    /// There are more objects than are looked at.
    #[error("`{url}` has more than {limit} objects; name a folder further down, or the scene's own")]
    SourceLimit {
        /// The folder.
        url: String,
        /// Most objects.
        limit: usize,
    },
    /// The end was asked for.
    #[error("interrupted while reading `{url}`")]
    SourceInterrupted {
        /// The object, or the folder that was listed.
        url: String,
    },
}

impl Classify for SourceError {
    fn class(&self) -> Class {
        match self {
            Self::SourceSetup { source, .. } => match source {
                StoreError::Setting { .. } => Class::Config,
                StoreError::Setup { source, .. } if source.passes() => Class::Transient,
                _ => Class::Input,
            },
            // Whoever writes to it will be done some time.
            Self::SourceBusy { .. } | Self::SourceChanged { .. } => Class::Transient,
            Self::SourceRead { .. } => Class::Input,
            Self::NoRanges { .. } => Class::Unsupported,
            Self::SourceLimit { .. } => Class::Limit,
            Self::SourceInterrupted { .. } => Class::Interrupted,
        }
    }
}

/// A bucket, container or web server to read from.
#[derive(Debug)]
pub struct Source {
    remote: Remote,
    stop: Arc<AtomicBool>,
}

/// Bytes that are asked for at once, and how many such ranges of one object are on their way together.
const RANGE_BYTES: u64 = 4 << 20;
const RANGES_AT_ONCE: usize = 4;

/// How often it is asked whether to go on.
const LOOK: Duration = Duration::from_millis(100);

impl Source {
    /// The whole bucket, container or server that a URL leads to, whatever object it names. Requests end when `stop` is set.
    ///
    /// # Errors
    /// [`SourceError::SourceSetup`].
    pub fn open(
        threads: &Threads,
        url: &Url,
        environment: &Environment,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, SourceError> {
        let mut root = url.clone();
        root.set_path("");
        let remote = Remote::open_on(threads, &root, environment)
            .map_err(|source| SourceError::SourceSetup { url: super::shown(root.as_str()), source })?;
        Ok(Self { remote, stop })
    }

    /// Where it is, without credentials.
    pub fn url(&self) -> String {
        self.remote.url()
    }

    /// The objects below a folder, and below the folders in it if `deep`, sorted by name, at most so many; `None` where
    /// nothing can be listed, on a web server.
    ///
    /// # Errors
    /// A [`SourceError`].
    pub fn list(&self, folder: &str, deep: bool, most: usize) -> Result<Option<Vec<Object>>, SourceError> {
        if !self.remote.can_list() {
            return Ok(None);
        }
        let path = (!folder.is_empty()).then(|| self.path(folder)).transpose()?;
        let objects = self.remote.objects();
        let found = self.wait(folder, async |patience| {
            let attempt = async || {
                if !deep {
                    return Ok(objects.list_with_delimiter(path.as_ref()).await?.objects);
                }
                objects.list(path.as_ref()).take(most.saturating_add(1)).try_collect().await
            };
            patience.until(&format!("listing `{}`", self.shown(folder)), attempt).await
        })?;
        if found.len() > most {
            return Err(SourceError::SourceLimit { url: self.shown(folder), limit: most });
        }
        let mut found: Vec<Object> = found.iter().map(Object::of).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(found))
    }

    /// An object by its name; `None` when there is none.
    ///
    /// # Errors
    /// A [`SourceError`]; [`SourceError::NoRanges`] when the server gives no parts of it.
    pub fn find(&self, name: &str) -> Result<Option<Object>, SourceError> {
        // The first byte says as much as a HEAD request, also where a signature in the URL is good for GET alone, and
        // whether there are ranges at all.
        let first = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        let path = self.path(name)?;
        let objects = self.remote.objects();
        let found = self.ask(name, async |patience| {
            let attempt = async || objects.get_opts(&path, first.clone()).await;
            patience.until(&format!("looking for `{}`", self.shown(name)), attempt).await
        })?;
        Ok(match found {
            Ok(found) => Some(Object::of(&found.meta)),
            Err(Fault::Missing) => None,
            // It has no first byte.
            Err(Fault::Answer { status: 416, .. }) => {
                Some(Object { name: name.to_owned(), size: 0, version: String::new() })
            }
            Err(fault) => return Err(self.failed(name, fault)),
        })
    }

    /// A whole object of at most `most` bytes by its name; `None` when there is none, or when a store says that it may not
    /// be seen: so it says of what is not there to those who may not list.
    ///
    /// # Errors
    /// A [`SourceError`].
    pub fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let path = self.path(name)?;
        let objects = self.remote.objects();
        let got = self.ask(name, async |patience| {
            let mut bytes = Vec::new();
            super::pull::pull(patience, objects, &path, most, &mut bytes).await.map(|_| bytes)
        })?;
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Fault::Missing) => Ok(None),
            Err(Fault::Answer { status: 403, code: Some(code), .. }) if code == "AccessDenied" => Ok(None),
            Err(fault) => Err(self.failed(name, fault)),
        }
    }

    /// Bytes of an object: several ranges at once if they are many.
    ///
    /// # Errors
    /// A [`SourceError`]; [`SourceError::SourceChanged`] when it is not the one that was found.
    pub fn read(&self, object: &Object, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let path = self.path(&object.name)?;
        let starts = (range.start..range.end).step_by(RANGE_BYTES as usize);
        let pieces = self.ask(&object.name, async |patience| {
            let piece = |start: u64| self.range(patience, &path, object, start..(start + RANGE_BYTES).min(range.end));
            stream::iter(starts).map(piece).buffered(RANGES_AT_ONCE).try_collect::<Vec<Bytes>>().await
        })?;
        match pieces {
            Ok(mut pieces) if pieces.len() == 1 => Ok(pieces.pop().map(Vec::from).unwrap_or_default()),
            Ok(pieces) => Ok(pieces.concat()),
            Err(fault) => Err(self.failed(&object.name, fault)),
        }
    }

    async fn range(
        &self,
        patience: &Patience,
        path: &Path,
        object: &Object,
        range: Range<u64>,
    ) -> Result<Bytes, Fault> {
        let objects: &dyn ObjectStore = self.remote.objects();
        // Permits are never closed.
        let _permit = self.remote.permit().await;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let attempt = async || {
            let found = objects.get_opts(path, options.clone()).await?;
            if let Some(what) = object.difference(&found.meta) {
                return Err(super::pull::failed(Fault::Changed(what)));
            }
            body(found, range.end - range.start, patience.settings().timeout).await
        };
        patience.until(&format!("reading `{path}` from byte {}", range.start), attempt).await
    }

    fn path(&self, name: &str) -> Result<Path, SourceError> {
        let odd = || Fault::Senseless("the name has empty parts, `.`, `..` or control characters".into());
        self.remote.path(name).map_err(|_| SourceError::SourceRead { url: self.shown(name), source: odd() })
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.url())
    }

    fn failed(&self, name: &str, source: Fault) -> SourceError {
        let url = self.shown(name);
        match source {
            Fault::Changed(what) => SourceError::SourceChanged { url, what },
            Fault::Unsupported => SourceError::NoRanges { url },
            source if source.passes() => SourceError::SourceBusy { url, source },
            source => SourceError::SourceRead { url, source },
        }
    }

    fn wait<T>(&self, name: &str, work: impl AsyncFnOnce(&Patience) -> Result<T, Fault>) -> Result<T, SourceError> {
        self.ask(name, work)?.map_err(|fault| self.failed(name, fault))
    }

    /// Waits for the network, but no longer than the program is to go on.
    fn ask<T>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(&Patience) -> Result<T, Fault>,
    ) -> Result<Result<T, Fault>, SourceError> {
        let stopped = async {
            while !self.stop.load(Ordering::Relaxed) {
                sleep(LOOK).await;
            }
        };
        self.remote.block_on(async {
            match select(pin!(work(self.remote.patience())), pin!(stopped)).await {
                Either::Left((done, _)) => Ok(done),
                Either::Right(_) => Err(SourceError::SourceInterrupted { url: self.shown(name) }),
            }
        })
    }
}

impl Object {
    fn of(meta: &ObjectMeta) -> Self {
        Self { name: meta.location.to_string(), size: meta.size, version: version(meta) }
    }

    /// What is different about the object that answered.
    fn difference(&self, meta: &ObjectMeta) -> Option<String> {
        let modified = self.version.strip_prefix('@');
        let now = if modified.is_some() { modified_at(meta) } else { version(meta) };
        match () {
            () if meta.size != self.size => Some(format!("{} bytes where {} were", meta.size, self.size)),
            () if now != self.version => Some("another version of the same size".into()),
            () => None,
        }
    }
}

/// Lists and answers write ETags with and without quotes.
fn version(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => tag.trim_matches('"').to_owned(),
        None => modified_at(meta),
    }
}

fn modified_at(meta: &ObjectMeta) -> String {
    format!("@{}", meta.last_modified.timestamp())
}

/// The body of an answer, which must have so many bytes.
async fn body(found: GetResult, length: u64, stall: Duration) -> object_store::Result<Bytes> {
    let failed = super::pull::failed;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(RANGE_BYTES)).unwrap_or_default());
    let mut stream = found.into_stream();
    loop {
        let piece = match timeout(stall, stream.next()).await {
            Err(_) => return Err(failed(Fault::Silent(stall))),
            Ok(piece) => piece.transpose()?,
        };
        let Some(piece) = piece else { break };
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > length {
            return Err(failed(Fault::Interrupted));
        }
    }
    if bytes.len() as u64 == length { Ok(bytes.into()) } else { Err(failed(Fault::Interrupted)) }
}
