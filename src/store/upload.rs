//! An object that is being made in object storage.
//!
//! Parts leave while it is being made; its beginning, whose size is known last, is sent last. The first part waits for
//! it, so that no part but the last is smaller than stores allow. Nothing is visible before the upload is completed; what
//! is not completed is aborted, also when the sink is simply dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crc_fast::{checksum, checksum_combine};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use sha2::Digest;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::digest::{ordered, sha256};
use super::fault::Fault;
use super::pull::{CHECKSUM, Digests, pull};
use super::remote::{Inner, OnItsWay};
use super::signature::Known;
use super::{PartSink, Payload, StoreError, Stored, hex};

/// Longest that ending an upload may take: by then the run has failed, and the store may be the reason.
const ABORT: Duration = Duration::from_secs(30);

/// The sink of one object.
pub struct RemoteSink {
    inner: Arc<Inner>,
    uploads: Arc<dyn MultipartStore>,
    path: Path,
    name: String,
    /// The first part, which waits for the beginning.
    first: Option<Payload>,
    /// The upload, once it is begun: nobody waits for that but its parts.
    upload: Option<Begun>,
    /// The store may have begun another upload than the one it told us of.
    unsure: Arc<AtomicBool>,
    /// Parts 1 and on.
    parts: Vec<Part>,
    /// Their bytes, as long as memory was set aside for all of them.
    kept: Option<Vec<Payload>>,
}

/// Id of an upload, for all that need it.
type Begun = Shared<BoxFuture<'static, Result<String, Fault>>>;

/// A fault, and what was being done.
type Failed = (&'static str, Fault);

struct Part {
    sent: Sent,
    /// Of parts that are not kept.
    sum: Option<Sum>,
}

enum Sent {
    Going(JoinHandle<Result<PartId, Failed>>),
    Gone(PartId),
}

/// Size and checksum of bytes, so that those of a whole follow from those of its parts.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum {
    size: u64,
    checksum: u64,
}

impl Sum {
    fn of(payload: &Payload) -> Self {
        let of = |bytes: &Bytes| Self { size: bytes.len() as u64, checksum: checksum(CHECKSUM, bytes) };
        payload.chunks.iter().map(of).reduce(Self::then).unwrap_or_else(|| of(&Bytes::new()))
    }

    fn then(self, next: Self) -> Self {
        let checksum = checksum_combine(CHECKSUM, self.checksum, next.checksum, next.size);
        Self { size: self.size + next.size, checksum }
    }
}

impl RemoteSink {
    /// The sink of the object `path`, which errors call `name`.
    pub fn new(inner: Arc<Inner>, uploads: Arc<dyn MultipartStore>, path: Path, name: String) -> Self {
        let kept = inner.checks_parts.then(Vec::new);
        let unsure = Arc::default();
        Self { inner, uploads, path, name, first: None, upload: None, unsure, parts: Vec::new(), kept }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(Fault) -> StoreError {
        let object = self.name.clone();
        move |source| StoreError::Remote { action, object, source }
    }

    fn begin(&mut self) -> Begun {
        let upload = self.upload.get_or_insert_with(|| {
            let (inner, uploads) = (Arc::clone(&self.inner), Arc::clone(&self.uploads));
            let (path, unsure) = (self.path.clone(), Arc::clone(&self.unsure));
            let what = format!("starting the upload of `{}`", self.name);
            let begin = async move {
                let mut failures = inner.patience.failures(&what);
                loop {
                    match uploads.create_multipart(&path).await {
                        Ok(id) => return Ok(inner.patience.succeeded(id)),
                        Err(error) => {
                            if Fault::of(&error).is_ambiguous() {
                                unsure.store(true, Ordering::Relaxed);
                            }
                            failures.another(&error).await?;
                        }
                    }
                }
            };
            begin.boxed().shared()
        });
        upload.clone()
    }

    /// Sends a part; the memory that was set aside for it is given back when the store has it.
    fn send(&self, upload: Begun, number: usize, part: Payload) -> JoinHandle<Result<PartId, Failed>> {
        let (inner, uploads) = (Arc::clone(&self.inner), Arc::clone(&self.uploads));
        let path = self.path.clone();
        let what = format!("writing part {number} of `{}`", self.name);
        let Payload { chunks, lease } = part;
        let payload: PutPayload = chunks.iter().cloned().collect();
        let order = inner.checks_parts.then(|| ordered(chunks.clone()));
        let way = OnItsWay::new(Arc::clone(&inner));
        self.inner.spawn(async move {
            let (_lease, _way) = (lease, way);
            let id = upload.await.map_err(|fault| ("starting the upload of", fault))?;
            let _permit = inner.permits.acquire().await;
            let known = order.map(|order| Known::new(chunks, order.collect()));
            let mut failures = inner.patience.failures(&what);
            loop {
                let request = uploads.put_part(&path, &id, number, payload.clone());
                let done = match &known {
                    Some(known) => known.during(request).await,
                    None => request.await,
                };
                match done {
                    Ok(id) => return Ok(inner.patience.succeeded(id)),
                    Err(error) => failures.another(&error).await.map_err(|fault| ("writing", fault))?,
                }
            }
        })
    }

    /// Waits for a part that was sent.
    fn sent(
        &self,
        task: impl Future<Output = Result<Result<PartId, Failed>, JoinError>>,
    ) -> Result<PartId, StoreError> {
        let done = self.inner.block_on(task);
        let ended = |e| Err(("writing", Fault::Senseless(format!("a task of the upload ended: {e}"))));
        done.unwrap_or_else(ended).map_err(|(action, fault)| self.failed(action)(fault))
    }

    /// Waits until no part is on its way.
    fn settle(&mut self) -> Result<(), StoreError> {
        for k in 0..self.parts.len() {
            let place = self.parts.get_mut(k).map(|part| &mut part.sent);
            let Some(place) = place.filter(|sent| matches!(sent, Sent::Going(_))) else { continue };
            // Should it have failed, nobody waits for it again.
            if let Sent::Going(task) = std::mem::replace(place, Sent::Gone(PartId { content_id: String::new() })) {
                let id = self.sent(task)?;
                self.parts[k].sent = Sent::Gone(id);
            }
        }
        Ok(())
    }

    /// Ends keeping parts: from here on only their checksums are kept.
    fn let_go(&mut self) {
        for (part, payload) in self.parts.iter_mut().zip(self.kept.take().into_iter().flatten()) {
            part.sum = Some(Sum::of(&payload));
        }
    }

    /// Completes the upload. True when the store said that it is there; false when it says that there is no such upload
    /// after a try whose outcome nobody knows: then the object has to say.
    fn finish(&mut self, id: &str, first: PartId) -> Result<bool, StoreError> {
        let ids = self.parts.iter_mut().filter_map(|p| match &mut p.sent {
            Sent::Gone(id) => Some(std::mem::take(&mut id.content_id)),
            Sent::Going(_) => None,
        });
        let ids: Vec<String> = std::iter::once(first.content_id).chain(ids).collect();
        let inner = &self.inner;
        let what = format!("completing the upload of `{}`", self.name);
        let mut unsure = false;
        let done = inner.block_on(inner.patience.until(&what, async || {
            let ids = ids.iter().map(|id| PartId { content_id: id.clone() }).collect();
            let done = self.uploads.complete_multipart(&self.path, &id.to_owned(), ids).await;
            unsure |= done.as_ref().is_err_and(|e| Fault::of(e).is_ambiguous());
            done
        }));
        match done {
            Ok(_) => Ok(true),
            Err(fault) if unsure && fault.is_upload_gone() => Ok(false),
            Err(fault) => Err(self.failed("completing the upload of")(fault)),
        }
    }

    /// Ends what the store began and did not tell of, once the object stands.
    fn end_unknown(&mut self) {
        if self.unsure.swap(false, Ordering::Relaxed)
            && let Err(fault) = self.inner.block_on(sweep(&self.inner, &*self.uploads, &self.path))
        {
            tracing::warn!("an unfinished upload of `{}` may remain: {fault}", self.name);
        }
    }

    fn cancel(&mut self) {
        let inner = Arc::clone(&self.inner);
        let tasks = self.parts.drain(..).filter_map(|part| match part.sent {
            Sent::Going(task) => Some(task),
            Sent::Gone(_) => None,
        });
        let tasks: Vec<_> = tasks.inspect(JoinHandle::abort).collect();
        let upload = self.upload.take();
        if upload.is_none() && !self.unsure.load(Ordering::Relaxed) {
            return;
        }
        let unsure = &self.unsure;
        let (uploads, path, name) = (&*self.uploads, &self.path, &self.name);
        let end = async {
            // A part that arrives after the end of its upload would stay for ever.
            futures::future::join_all(tasks).await;
            let id = match upload {
                Some(upload) => upload.await.ok(),
                None => None,
            };
            if let Some(id) = id {
                let what = format!("ending the upload of `{name}`");
                let done = inner.patience.until(&what, async || uploads.abort_multipart(path, &id).await).await;
                done.or_else(|fault| if fault.is_upload_gone() { Ok(()) } else { Err(fault) })?;
            }
            let is_unsure = unsure.swap(false, Ordering::Relaxed);
            if is_unsure { sweep(&inner, uploads, path).await } else { Ok(()) }
        };
        let ended = inner.block_on(async { timeout(ABORT, end).await });
        // A store that fails even this keeps an unfinished upload, which is never visible.
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!("an unfinished upload of `{name}` may remain: {fault}"),
            Err(_) => {
                tracing::warn!("an unfinished upload of `{name}` may remain: the store did not end it in {ABORT:?}")
            }
        }
    }
}

/// Ends the uploads of an object that the store began and nobody was told of.
async fn sweep(inner: &Inner, uploads: &dyn MultipartStore, path: &Path) -> Result<(), Fault> {
    let Some(unknown) = &inner.unknown else { return Ok(()) };
    let ids = inner.patience.until("looking for unfinished uploads", async || unknown.of(path).await).await?;
    for id in ids {
        let done = inner.patience.until("ending an upload", async || uploads.abort_multipart(path, &id).await).await;
        done.or_else(|fault| if fault.is_upload_gone() { Ok(()) } else { Err(fault) })?;
    }
    Ok(())
}

impl PartSink for RemoteSink {
    /// Begins the upload, so that its id is there when the first part is.
    fn prepare(&mut self) {
        if self.upload.is_none() {
            let upload = self.begin();
            self.inner.spawn(upload);
        }
    }

    fn put(&mut self, part: Payload) -> Result<(), StoreError> {
        if self.first.is_none() {
            self.first = Some(part);
            self.prepare();
            return Ok(());
        }
        let upload = self.begin();
        let number = self.parts.len() + 1;
        let is_paid = part.lease.is_some();
        if !is_paid {
            self.let_go();
        }
        let sum = match &mut self.kept {
            Some(kept) => {
                kept.push(part.clone());
                None
            }
            None => Some(Sum::of(&part)),
        };
        let sent = Sent::Going(self.send(upload, number, part));
        self.parts.push(Part { sent, sum });
        // Without memory set aside for it, it has to be gone before there is another.
        if is_paid { Ok(()) } else { self.settle() }
    }

    fn complete(mut self: Box<Self>, prefix: Payload) -> Result<Stored, StoreError> {
        let mut beginning = prefix;
        let first = self.first.take().unwrap_or_default();
        beginning.chunks.extend(first.chunks);
        let inner = Arc::clone(&self.inner);
        let Some(upload) = self.upload.clone() else {
            let stored = Stored { size: beginning.size(), sha256: hex(&sha256(beginning.chunks.clone())) };
            let what = format!("writing `{}`", self.name);
            let payload: PutPayload = beginning.chunks.into_iter().collect();
            let attempt = async || inner.objects.put(&self.path, payload.clone()).await;
            let done = inner.block_on(inner.patience.until(&what, attempt));
            return done.map(|_| stored).map_err(self.failed("writing"));
        };
        let going = self.send(upload.clone(), 0, beginning.clone());
        // While the network is busy with it.
        let digest = self.kept.as_ref().map(|kept| {
            let parts = || std::iter::once(&beginning).chain(kept);
            let sha256 = sha256(parts().flat_map(|part| &part.chunks).cloned().collect());
            Stored { size: parts().map(Payload::size).sum(), sha256: hex(&sha256) }
        });
        let first = self.sent(going)?;
        self.settle()?;
        let id = inner.block_on(upload).map_err(self.failed("starting the upload of"))?;
        let is_there = self.finish(&id, first)?;
        self.upload = None;
        if let Some(stored) = digest.filter(|_| is_there) {
            self.end_unknown();
            return Ok(stored);
        }
        self.let_go();
        let sums = self.parts.iter().filter_map(|part| part.sum);
        let sent = sums.fold(Sum::of(&beginning), Sum::then);
        // The bytes left out of order and are gone, or nobody knows what the store took: their digest is that of what stands
        // there now, which proves it, too.
        let mut found = Digests::new();
        let size = inner.block_on(pull(&inner.patience, &*inner.objects, &self.path, u64::MAX, &mut found));
        let size = match size {
            Err(Fault::Missing) if !is_there => {
                let gone = Fault::Answer { status: 404, code: Some("NoSuchUpload".into()), wait: None };
                return Err(self.failed("completing the upload of")(gone));
            }
            other => other.map_err(self.failed("reading back"))?,
        };
        let stands = Sum { size, checksum: found.checksum.finalize() };
        if stands != sent {
            return Err(StoreError::Differs { object: self.name.clone(), sent: sent.size, found: size });
        }
        self.end_unknown();
        Ok(Stored { size, sha256: hex(&found.sha256.finalize()) })
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
    use super::*;

    #[test]
    fn sums_of_parts_make_the_sum_of_the_whole() {
        let bytes: Bytes = (0..100_000_u32).map(|i| (i * 31 % 251) as u8).collect();
        let of = |bytes: Bytes| Sum::of(&bytes.into());
        for cuts in [[0, 0], [1, 99_999], [5_000, 70_001], [50_000, 50_000]] {
            let parts = [bytes.slice(..cuts[0]), bytes.slice(cuts[0]..cuts[1]), bytes.slice(cuts[1]..)];
            let sum = parts.iter().fold(Sum::of(&Payload::default()), |sum, part| sum.then(of(part.clone())));
            assert!(sum == of(bytes.clone()), "{cuts:?}");
            assert!(sum == Sum::of(&Payload { chunks: parts.to_vec(), lease: None }), "{cuts:?}");
        }
        assert_ne!(of(bytes.clone()).checksum, of(bytes.slice(1..)).checksum);
    }
}
