//! Object storage as a store: S3 and what speaks its protocol, Google Cloud Storage, Azure; and web servers, which can
//! only be read.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::client::{Connector, Metadata, Traffic};
use super::cloud::{self, bare};
use super::fault::Fault;
use super::patience::Patience;
use super::pull::pull;
use super::settings::{Environment, Settings};
use super::upload::RemoteSink;
use super::uploads::Uploads;
use super::{Account, ConditionalCreate, Found, PartSink, Store, StoreError};

/// A bucket or container, and a folder in it.
pub struct Remote {
    url: String,
    inner: Arc<Inner>,
}

/// What a store and the objects being made in it share.
pub(super) struct Inner {
    runtime: Arc<Runtime>,
    pub(super) objects: Arc<dyn ObjectStore>,
    /// For objects in parts; none for a web server, which cannot be listed, nor written to.
    uploads: Option<Arc<dyn MultipartStore>>,
    /// Where uploads that nobody knows of can be found and ended.
    pub(super) unknown: Option<Uploads>,
    /// The store compares every part with the SHA-256 in the signature of its request.
    pub(super) checks_parts: bool,
    pub(super) patience: Patience,
    /// Parts on their way at once, of all objects: more only share the same network.
    pub(super) permits: Semaphore,
    /// Parts that were handed over and are not there yet.
    handed_over: AtomicUsize,
    folder: Path,
}

/// A part that is handed over and not there yet, until it is dropped.
pub(super) struct OnItsWay(Arc<Inner>);

impl OnItsWay {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        inner.handed_over.fetch_add(1, Ordering::Relaxed);
        Self(inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.handed_over.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// Waits for the network, on the calling thread.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(super) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(future)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Parts on their way at once.
const PARTS_IN_FLIGHT: usize = 16;

/// Documents that are asked for at once.
const READS_AT_ONCE: usize = 16;

/// Largest object that is taken into memory whole, bytes: documents are far smaller, and so is a file of one cell.
const MOST_BYTES: u64 = 2 << 30;

impl Remote {
    /// The store of an `s3://`, `gs://`, `az://` or `http(s)://` URL. Credentials, region, endpoint and the like come from
    /// the environment, by the names each vendor's own tools use.
    ///
    /// # Errors
    /// [`StoreError::Setup`], [`StoreError::Setting`].
    pub fn open(url: &Url, environment: &Environment) -> Result<Self, StoreError> {
        Self::open_on(&Threads::start()?, url, environment)
    }

    /// The same on threads that others use as well.
    ///
    /// # Errors
    /// Those of [`Remote::open`].
    pub fn open_on(threads: &Threads, url: &Url, environment: &Environment) -> Result<Self, StoreError> {
        let name = bare(url).to_string();
        let settings = Settings::from(environment)?;
        let traffic = Arc::new(Traffic::default());
        let metadata = Metadata {
            disabled: environment.says_yes("AWS_EC2_METADATA_DISABLED"),
            older_too: environment.says_yes("AWS_IMDSV1_FALLBACK"),
        };
        let connector = Connector::new(settings.clone(), Arc::clone(&traffic), metadata);
        let client = cloud::client(url, environment, &connector)
            .map_err(|e| StoreError::Setup { url: name.clone(), source: Fault::of(&e) })?;
        let unknown = client.s3.as_ref().map(|s3| Uploads::new(Arc::clone(s3), &connector)).transpose();
        let unknown = unknown.map_err(|e| StoreError::Setup { url: name.clone(), source: Fault::of(&e) })?;
        let patience = Patience::new(settings, traffic);
        let cloud::Client { objects, uploads, folder, .. } = client;
        let unsigned = ["AWS_SKIP_SIGNATURE", "AWS_UNSIGNED_PAYLOAD"].iter().any(|name| environment.says_yes(name));
        let checks_parts = unknown.is_some() && !unsigned;
        let permits = Semaphore::new(PARTS_IN_FLIGHT);
        let runtime = Arc::clone(&threads.0);
        let handed_over = AtomicUsize::new(0);
        let inner = Inner { runtime, objects, uploads, unknown, checks_parts, patience, permits, handed_over, folder };
        Ok(Self { url: name, inner: Arc::new(inner) })
    }

    /// A store over any implementation: the same object as store of objects and of uploads, and a folder in it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when no runtime can be had.
    pub fn new(
        url: String,
        objects: Arc<dyn ObjectStore>,
        uploads: Arc<dyn MultipartStore>,
        folder: Path,
    ) -> Result<Self, StoreError> {
        let patience = Patience::new(Settings::default(), Arc::default());
        let uploads = Some(uploads);
        let (unknown, checks_parts, permits) = (None, false, Semaphore::new(PARTS_IN_FLIGHT));
        let runtime = Threads::start()?.0;
        let handed_over = AtomicUsize::new(0);
        let inner = Inner { runtime, objects, uploads, unknown, checks_parts, patience, permits, handed_over, folder };
        Ok(Self { url, inner: Arc::new(inner) })
    }

    /// The client for whole objects.
    pub(super) fn objects(&self) -> &dyn ObjectStore {
        &*self.inner.objects
    }

    /// True where objects can be listed: nowhere on a web server.
    pub(super) fn can_list(&self) -> bool {
        self.inner.uploads.is_some()
    }

    /// How it is asked again.
    pub(super) fn patience(&self) -> &Patience {
        &self.inner.patience
    }

    /// Waits for the network, on the calling thread.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.block_on(future)
    }

    /// Leave to have one more request on its way; given back when dropped.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.permits.acquire().await.ok()
    }

    pub(super) fn path(&self, name: &str) -> Result<Path, StoreError> {
        let inside = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !inside {
            return Err(StoreError::Name { name: name.to_owned() });
        }
        // Names stand as they are, in any script; what a request has to encode is the client's business.
        let whole = if self.inner.folder.as_ref().is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.inner.folder)
        };
        Path::parse(whole).map_err(|_| StoreError::Name { name: name.to_owned() })
    }

    /// Makes a request until it succeeds or is not worth another try.
    fn tried<T>(
        &self,
        action: &'static str,
        name: &str,
        attempt: impl AsyncFnMut() -> object_store::Result<T>,
    ) -> Result<T, StoreError> {
        let object = self.object(name);
        let done = self.inner.block_on(self.inner.patience.until(&format!("{action} `{object}`"), attempt));
        done.map_err(|source| StoreError::Remote { action, object, source })
    }

    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.url.trim_end_matches('/'))
    }

    fn uploads(&self) -> Result<&Arc<dyn MultipartStore>, StoreError> {
        self.inner.uploads.as_ref().ok_or_else(|| StoreError::ReadOnly { url: self.url.clone() })
    }

    /// The bytes of an object.
    async fn pulled(&self, path: &Path) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = Vec::new();
        match pull(&self.inner.patience, &*self.inner.objects, path, MOST_BYTES, &mut bytes).await {
            Ok(_) => Ok(Some(bytes)),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Two requests that write the probe, the second of which is to fail.
    async fn try_to_write(&self, probe: &Path) -> Result<ConditionalCreate, Fault> {
        let Inner { objects, patience, .. } = &*self.inner;
        let payload = || PutPayload::from_static(b"probe");
        patience.until("writing the probe", async || objects.put(probe, payload()).await).await?;
        let create = patience.until("creating the probe again", async || {
            objects.put_opts(probe, payload(), PutMode::Create.into()).await
        });
        match create.await {
            Ok(_) => Ok(ConditionalCreate::Ignored),
            Err(Fault::Condition) => Ok(ConditionalCreate::Honoured),
            Err(fault) if fault.passes() => Err(fault),
            Err(_) => Ok(ConditionalCreate::Unsupported),
        }
    }
}

/// Threads for what goes over the network.
#[derive(Debug, Clone)]
pub struct Threads(Arc<Runtime>);

impl Threads {
    /// Two of them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be had.
    pub fn start() -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build();
        let failed = |source| StoreError::Io { action: "starting the threads for", path: "the network".into(), source };
        Ok(Self(Arc::new(runtime.map_err(failed)?)))
    }
}

impl Store for Remote {
    fn url(&self) -> String {
        self.url.trim_end_matches('/').to_owned()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn is_behind(&self) -> bool {
        self.inner.handed_over.load(Ordering::Relaxed) >= PARTS_IN_FLIGHT
    }

    fn probe(&self) -> Result<Found, StoreError> {
        self.uploads()?;
        // A name of its own, as others may be at the same.
        let probe =
            self.path(&format!(".fieldglow-probe-{}-{:016x}", std::process::id(), RandomState::new().hash_one(0)))?;
        let found = self.inner.block_on(async {
            let found = self.try_to_write(&probe).await;
            if found.as_ref().is_err_and(|fault| !fault.passes()) {
                // It was refused, so there is nothing to remove.
                return found;
            }
            let Inner { objects, patience, .. } = &*self.inner;
            let gone = patience.until("removing the probe", async || objects.delete(&probe).await).await;
            match gone {
                Err(fault) if found.is_ok() && fault.passes() => return Err(fault),
                // Those who may write and not delete can make products all the same.
                Err(fault) if fault != Fault::Missing => {
                    tracing::warn!("the probe `{probe}` may remain, as it cannot be removed: {fault}");
                }
                _ => {}
            }
            found
        });
        let conditional_create = found.map_err(|source| StoreError::Setup { url: self.url(), source })?;
        Ok(Found { conditional_create })
    }

    fn account(&self) -> Account {
        let (requests, repeated) = self.inner.patience.account();
        Account { requests, repeated }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        let found = self.inner.block_on(self.pulled(&path));
        found.map_err(|source| StoreError::Remote { action: "reading", object: self.object(name), source })
    }

    fn get_all(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let paths = names.iter().map(|name| self.path(name)).collect::<Result<Vec<_>, _>>()?;
        let pulled = stream::iter(&paths).map(|path| self.pulled(path)).buffered(READS_AT_ONCE);
        let found: Vec<_> = self.inner.block_on(pulled.collect());
        let failed =
            |name: &String, source| StoreError::Remote { action: "reading", object: self.object(name), source };
        names.iter().zip(found).map(|(name, found)| found.map_err(|source| failed(name, source))).collect()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.uploads()?;
        let path = self.path(name)?;
        let payload = PutPayload::from(bytes.to_vec());
        self.tried("writing", name, async || self.inner.objects.put(&path, payload.clone()).await).map(|_| ())
    }

    fn start(&self, name: &str) -> Result<Box<dyn PartSink>, StoreError> {
        let uploads = Arc::clone(self.uploads()?);
        Ok(Box::new(RemoteSink::new(Arc::clone(&self.inner), uploads, self.path(name)?, self.object(name))))
    }

    fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError> {
        if self.inner.uploads.is_none() {
            return Err(StoreError::NoListing { url: self.url.clone() });
        }
        let folder = folder.trim_matches('/');
        let path = if folder.is_empty() { self.inner.folder.clone() } else { self.path(folder)? };
        let depth = self.inner.folder.parts().count();
        let objects = &self.inner.objects;
        let names = self.tried("listing", folder, async || {
            objects.list(Some(&path)).map_ok(|object| object.location).try_collect::<Vec<Path>>().await
        })?;
        let mut names: Vec<String> = names
            .iter()
            .map(|path| path.parts().skip(depth).map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
            .filter(|name| name.ends_with(suffix) && !name.rsplit('/').next().unwrap_or_default().starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }
}
