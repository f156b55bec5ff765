//! Object storage as a store: S3 and what speaks its protocol, Google Cloud Storage, Azure.
//!
//! Parts leave while the object is being made; its beginning, whose size is known last, is sent last. The first part
//! waits for it, so that no part but the last is smaller than stores allow. Nothing is visible before the upload is
//! completed; what is not completed is aborted, also when the sink is simply dropped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use url::Url;

use super::{PartSink, Store, StoreError, Stored, hex};

/// A bucket or container, and a folder in it.
pub struct Remote {
    url: String,
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
    folder: Path,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A request that gets no answer for so long has failed. Scaled to the largest request: a beginning with all overviews,
/// some 100 MiB, over 1 MB/s.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Parts of one object on their way at once. More only take memory: the network is shared by all.
const PARTS_IN_FLIGHT: usize = 4;

/// The text a URL is called by: without credentials, which may stand in it.
fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

impl Remote {
    /// The store of an `s3://`, `gs://` or `az://` URL. Credentials, region, endpoint and the like come from the
    /// environment, by the names each vendor's own tools use.
    ///
    /// # Errors
    /// [`StoreError::Setup`].
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        let name = without_credentials(url);
        let setup = |source: object_store::Error| StoreError::Setup { url: name.clone(), source: Box::new(source) };
        // Another part of the program may have chosen already; one choice is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientOptions::new().with_timeout(TIMEOUT).with_allow_http(is_plain_http());
        let text = url.as_str();
        match url.scheme() {
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::from_env().with_url(text).with_client_options(client);
                let store = Arc::new(builder.build().map_err(setup)?);
                Self::new(name, store.clone(), store, folder_of(url.path()))
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(text).with_client_options(client);
                let store = Arc::new(builder.build().map_err(setup)?);
                Self::new(name, store.clone(), store, folder_of(url.path()))
            }
            _ => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(text).with_client_options(client);
                let store = Arc::new(builder.build().map_err(setup)?);
                Self::new(name, store.clone(), store, folder_of(url.path()))
            }
        }
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
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store").enable_all().build().map_err(
            |source| StoreError::Io { action: "starting the threads for", path: url.clone().into(), source },
        )?;
        Ok(Self { url, inner: Arc::new(Inner { runtime, objects, uploads, folder }) })
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
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

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> StoreError {
        failed(action, format!("{}/{name}", self.url.trim_end_matches('/')))
    }
}

/// True when an endpoint without TLS was named, as only a server of one's own is.
fn is_plain_http() -> bool {
    [
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT",
        "AZURE_ENDPOINT",
        "AZURE_STORAGE_ENDPOINT",
        "GOOGLE_BASE_URL",
    ]
    .iter()
    .any(|name| std::env::var(name).is_ok_and(|v| v.starts_with("http://")))
}

fn folder_of(path: &str) -> Path {
    Path::from_url_path(path.trim_matches('/')).unwrap_or_default()
}

fn failed(action: &'static str, object: String) -> impl FnOnce(object_store::Error) -> StoreError {
    move |source| StoreError::Remote { action, object, source: Box::new(source) }
}

impl Store for Remote {
    fn url(&self) -> String {
        self.url.trim_end_matches('/').to_owned()
    }

    fn probe(&self) -> Result<(), StoreError> {
        let name = format!(".fieldglow-probe-{}", std::process::id());
        let path = self.path(&name)?;
        let store = &self.inner.objects;
        self.inner
            .runtime
            .block_on(async {
                store.put(&path, PutPayload::from_static(b"probe")).await?;
                store.delete(&path).await
            })
            .map_err(|source| StoreError::Setup { url: self.url(), source: Box::new(source) })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        let bytes = self.inner.runtime.block_on(async { self.inner.objects.get(&path).await?.bytes().await });
        match bytes {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("reading", name)(e)),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let payload = PutPayload::from(bytes.to_vec());
        let done = self.inner.runtime.block_on(self.inner.objects.put(&path, payload));
        done.map(|_| ()).map_err(self.failed("writing", name))
    }

    fn start(&self, name: &str) -> Result<Box<dyn PartSink>, StoreError> {
        let path = self.path(name)?;
        let name = format!("{}/{name}", self.url.trim_end_matches('/'));
        Ok(Box::new(RemoteSink {
            inner: Arc::clone(&self.inner),
            path,
            name,
            first: None,
            upload: None,
            parts: Vec::new(),
        }))
    }

    fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(folder.trim_matches('/'))?;
        let depth = self.inner.folder.parts().count();
        let names = self.inner.runtime.block_on(async {
            self.inner.objects.list(Some(&path)).map_ok(|object| object.location).try_collect::<Vec<Path>>().await
        });
        let mut names: Vec<String> = names
            .map_err(self.failed("listing", folder))?
            .iter()
            .map(|path| path.parts().skip(depth).map(|p| p.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
            .filter(|name| name.ends_with(suffix) && !name.rsplit('/').next().unwrap_or_default().starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }
}

/// An object that is being made.
struct RemoteSink {
    inner: Arc<Inner>,
    path: Path,
    name: String,
    /// The first part, which waits for the beginning.
    first: Option<Vec<u8>>,
    /// The upload, once there is a second part.
    upload: Option<String>,
    /// Parts 1 and on.
    parts: Vec<Sent>,
}

enum Sent {
    Going(JoinHandle<object_store::Result<PartId>>),
    Gone(PartId),
}

impl RemoteSink {
    fn failed(&self, action: &'static str) -> impl FnOnce(object_store::Error) -> StoreError {
        failed(action, self.name.clone())
    }

    /// Waits until at most `most` parts are on their way.
    fn settle(&mut self, most: usize) -> Result<(), StoreError> {
        let mut going = self.parts.iter().filter(|p| matches!(p, Sent::Going(_))).count();
        for k in 0..self.parts.len() {
            if going <= most {
                break;
            }
            if let Some(Sent::Going(task)) = self.parts.get_mut(k) {
                let done = self.inner.runtime.block_on(task);
                let done =
                    done.unwrap_or_else(|e| Err(object_store::Error::Generic { store: "upload", source: Box::new(e) }));
                let id = done.map_err(self.failed("writing"))?;
                self.parts[k] = Sent::Gone(id);
                going -= 1;
            }
        }
        Ok(())
    }

    fn cancel(&mut self) {
        for part in self.parts.drain(..) {
            if let Sent::Going(task) = part {
                task.abort();
            }
        }
        if let Some(id) = self.upload.take() {
            // Best effort: a store that fails even this keeps an unfinished upload, which is never visible.
            let _ = self.inner.runtime.block_on(self.inner.uploads.abort_multipart(&self.path, &id));
        }
    }
}

impl PartSink for RemoteSink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.first.is_none() {
            self.first = Some(bytes.to_vec());
            return Ok(());
        }
        let id = match &self.upload {
            Some(id) => id.clone(),
            None => {
                let id = self.inner.runtime.block_on(self.inner.uploads.create_multipart(&self.path));
                self.upload.insert(id.map_err(self.failed("starting the upload of"))?).clone()
            }
        };
        self.settle(PARTS_IN_FLIGHT - 1)?;
        let (uploads, path, payload) =
            (Arc::clone(&self.inner.uploads), self.path.clone(), PutPayload::from(bytes.to_vec()));
        let number = self.parts.len() + 1;
        let task = async move { uploads.put_part(&path, &id, number, payload).await };
        self.parts.push(Sent::Going(self.inner.runtime.spawn(task)));
        Ok(())
    }

    fn complete(mut self: Box<Self>, prefix: &[u8]) -> Result<Stored, StoreError> {
        let mut beginning = prefix.to_vec();
        beginning.extend(self.first.take().unwrap_or_default());
        let inner = Arc::clone(&self.inner);
        let Some(id) = self.upload.clone() else {
            let stored = Stored { size: beginning.len() as u64, sha256: hex(&Sha256::digest(&beginning)) };
            let done = inner.runtime.block_on(inner.objects.put(&self.path, PutPayload::from(beginning)));
            return done.map(|_| stored).map_err(self.failed("writing"));
        };
        let first = inner.runtime.block_on(inner.uploads.put_part(&self.path, &id, 0, PutPayload::from(beginning)));
        let first = first.map_err(self.failed("writing"))?;
        self.settle(0)?;
        let mut ids = vec![first];
        ids.extend(self.parts.iter_mut().filter_map(|p| match p {
            Sent::Gone(id) => Some(PartId { content_id: std::mem::take(&mut id.content_id) }),
            Sent::Going(_) => None,
        }));
        let done = inner.runtime.block_on(inner.uploads.complete_multipart(&self.path, &id, ids));
        done.map_err(self.failed("completing the upload of"))?;
        self.upload = None;
        // The bytes left out of order, so their digest can only be taken of what stands there now: which proves it, too.
        let digest = inner.runtime.block_on(async {
            let mut stream = inner.objects.get(&self.path).await?.into_stream();
            let (mut digest, mut size) = (Sha256::new(), 0);
            while let Some(bytes) = stream.next().await {
                let bytes = bytes?;
                size += bytes.len() as u64;
                digest.update(&bytes);
            }
            Ok((digest, size))
        });
        let (digest, size) = digest.map_err(self.failed("reading back"))?;
        Ok(Stored { size, sha256: hex(&digest.finalize()) })
    }

    fn abort(self: Box<Self>) {}
}

impl Drop for RemoteSink {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::contract;
    use super::*;

    fn memory() -> (Remote, Arc<InMemory>) {
        let store = Arc::new(InMemory::new());
        let remote = Remote::new("memory://test/folder".into(), store.clone(), store.clone(), Path::from("folder"));
        (remote.unwrap(), store)
    }

    #[test]
    fn it_keeps_the_contract_of_a_store() {
        contract::all(&memory().0);
    }

    #[test]
    fn everything_stands_below_the_folder() {
        let (remote, store) = memory();
        remote.put("a/b.json", b"x").unwrap();
        let found = remote.inner.runtime.block_on(store.list(None).try_collect::<Vec<_>>()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].location.as_ref(), "folder/a/b.json");
    }

    #[test]
    fn credentials_do_not_leave_the_url() {
        let url = Url::parse("s3://key:secret@bucket/x?token=1").unwrap();
        assert_eq!(without_credentials(&url), "s3://bucket/x");
    }
}
