//! An object that is being made in object storage.
//!
//! Parts leave while it is being made; its beginning, whose size is known last, is sent last. The first part waits for
//! it, so that no part but the last is smaller than stores allow. Nothing is visible before the upload is completed; what
//! is not completed is aborted, also when the sink is simply dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::{checksum, checksum_combine};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fault::Fault;
use super::pull::{CHECKSUM, Digests, pull};
use super::remote::Inner;
use super::{PartSink, Payload, StoreError, Stored, hex};

/// Parts of one object on their way at once. More only take memory: the network is shared by all.
const PARTS_IN_FLIGHT: usize = 4;

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
    /// The upload, once there is a second part.
    upload: Option<String>,
    /// The store may have begun another upload than the one it told us of.
    unsure: bool,
    /// Parts 1 and on.
    parts: Vec<Part>,
    /// Their bytes, as long as memory was set aside for all of them.
    kept: Option<Vec<Payload>>,
}

struct Part {
    sent: Sent,
    sum: Sum,
}

enum Sent {
    Going(JoinHandle<Result<PartId, Fault>>),
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
        Self { inner, uploads, path, name, first: None, upload: None, unsure: false, parts: Vec::new(), kept }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(Fault) -> StoreError {
        let object = self.name.clone();
        move |source| StoreError::Remote { action, object, source }
    }

    fn begin(&mut self) -> Result<String, StoreError> {
        if let Some(id) = &self.upload {
            return Ok(id.clone());
        }
        let inner = Arc::clone(&self.inner);
        let what = format!("starting the upload of `{}`", self.name);
        let (uploads, path, unsure) = (&self.uploads, &self.path, &mut self.unsure);
        let id = inner.block_on(inner.patience.until(&what, async || {
            let id = uploads.create_multipart(path).await;
            *unsure |= id.as_ref().is_err_and(|e| Fault::of(e).is_ambiguous());
            id
        }));
        let id = id.map_err(self.failed("starting the upload of"))?;
        self.upload = Some(id.clone());
        Ok(id)
    }

    /// Sends a part; the memory that was set aside for it is given back when the store has it.
    fn send(&self, id: &str, number: usize, part: Payload) -> JoinHandle<Result<PartId, Fault>> {
        let (inner, uploads) = (Arc::clone(&self.inner), Arc::clone(&self.uploads));
        let (path, id) = (self.path.clone(), id.to_owned());
        let what = format!("writing part {number} of `{}`", self.name);
        let Payload { chunks, lease } = part;
        let payload: PutPayload = chunks.into_iter().collect();
        self.inner.spawn(async move {
            let _lease = lease;
            let mut failures = inner.patience.failures(&what);
            loop {
                match uploads.put_part(&path, &id, number, payload.clone()).await {
                    Ok(id) => return Ok(inner.patience.succeeded(id)),
                    Err(error) => failures.another(&error).await?,
                }
            }
        })
    }

    /// Waits until at most `most` parts are on their way.
    fn settle(&mut self, most: usize) -> Result<(), StoreError> {
        let mut going = self.parts.iter().filter(|p| matches!(p.sent, Sent::Going(_))).count();
        for k in 0..self.parts.len() {
            if going <= most {
                break;
            }
            let Some(Part { sent: Sent::Going(task), .. }) = self.parts.get_mut(k) else { continue };
            let done = self.inner.block_on(task);
            let done = done.unwrap_or_else(|e| Err(Fault::Senseless(format!("a task of the upload ended: {e}"))));
            match done {
                Ok(id) => self.parts[k].sent = Sent::Gone(id),
                Err(fault) => {
                    // Nobody waits for a task that has ended.
                    self.parts.remove(k);
                    return Err(self.failed("writing")(fault));
                }
            }
            going -= 1;
        }
        Ok(())
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
        if std::mem::take(&mut self.unsure)
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
        if upload.is_none() && !self.unsure {
            return;
        }
        let unsure = std::mem::take(&mut self.unsure);
        let (uploads, path, name) = (&*self.uploads, &self.path, &self.name);
        let end = async {
            // A part that arrives after the end of its upload would stay for ever.
            futures::future::join_all(tasks).await;
            if let Some(id) = upload {
                let what = format!("ending the upload of `{name}`");
                let done = inner.patience.until(&what, async || uploads.abort_multipart(path, &id).await).await;
                done.or_else(|fault| if fault.is_upload_gone() { Ok(()) } else { Err(fault) })?;
            }
            if unsure { sweep(&inner, uploads, path).await } else { Ok(()) }
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
    fn put(&mut self, part: Payload) -> Result<(), StoreError> {
        if self.first.is_none() {
            self.first = Some(part);
            return Ok(());
        }
        let id = self.begin()?;
        self.settle(PARTS_IN_FLIGHT - 1)?;
        let number = self.parts.len() + 1;
        let is_paid = part.lease.is_some();
        self.kept = self.kept.take().filter(|_| is_paid);
        if let Some(kept) = &mut self.kept {
            kept.push(part.clone());
        }
        let sum = Sum::of(&part);
        let sent = Sent::Going(self.send(&id, number, part));
        self.parts.push(Part { sent, sum });
        // Without memory set aside for it, it has to be gone before there is another.
        if is_paid { Ok(()) } else { self.settle(0) }
    }

    fn complete(mut self: Box<Self>, prefix: Payload) -> Result<Stored, StoreError> {
        let mut beginning = prefix;
        let first = self.first.take().unwrap_or_default();
        beginning.chunks.extend(first.chunks);
        let inner = Arc::clone(&self.inner);
        let Some(id) = self.upload.clone() else {
            let mut digest = Sha256::new();
            beginning.chunks.iter().for_each(|chunk| digest.update(chunk));
            let stored = Stored { size: beginning.size(), sha256: hex(&digest.finalize()) };
            let what = format!("writing `{}`", self.name);
            let payload: PutPayload = beginning.chunks.into_iter().collect();
            let attempt = async || inner.objects.put(&self.path, payload.clone()).await;
            let done = inner.block_on(inner.patience.until(&what, attempt));
            return done.map(|_| stored).map_err(self.failed("writing"));
        };
        let sent = self.parts.iter().fold(Sum::of(&beginning), |sum, part| sum.then(part.sum));
        // While the network is busy with it.
        let kept = self.kept.take().map(|kept| std::iter::once(beginning.clone()).chain(kept).collect::<Vec<_>>());
        let first = self.send(&id, 0, beginning);
        let digest = kept.map(|kept| {
            let mut digest = Sha256::new();
            kept.iter().flat_map(|part| &part.chunks).for_each(|chunk| digest.update(chunk));
            hex(&digest.finalize())
        });
        let first = inner.block_on(first);
        let first = first.unwrap_or_else(|e| Err(Fault::Senseless(format!("a task of the upload ended: {e}"))));
        let first = first.map_err(self.failed("writing"))?;
        self.settle(0)?;
        let is_there = self.finish(&id, first)?;
        self.upload = None;
        if let Some(digest) = digest.filter(|_| is_there) {
            self.end_unknown();
            return Ok(Stored { size: sent.size, sha256: digest });
        }
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
