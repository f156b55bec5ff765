//! Reading an object, also over connections that break.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::fault::Fault;
use super::patience::Patience;

/// Takes the bytes of an object, in order.
pub trait Take {
    /// The next bytes.
    fn take(&mut self, bytes: &[u8]);
    /// It begins anew.
    fn restart(&mut self);
}

impl Take for Vec<u8> {
    fn take(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn restart(&mut self) {
        self.clear();
    }
}

/// A checksum that can be put together from those of parts.
pub const CHECKSUM: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

/// Digest and checksum of what comes.
pub struct Digests {
    /// SHA-256.
    pub sha256: Sha256,
    /// [`CHECKSUM`].
    pub checksum: Crc,
}

impl Digests {
    /// Of nothing.
    pub fn new() -> Self {
        Self { sha256: Sha256::new(), checksum: Crc::new(CHECKSUM) }
    }
}

impl Take for Digests {
    fn take(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.checksum.update(bytes);
    }

    fn restart(&mut self) {
        *self = Self::new();
    }
}

/// Where a broken transfer stands.
struct Standing {
    have: u64,
    size: u64,
    etag: Option<String>,
}

/// Reads an object of at most `most` bytes and returns its size. A transfer that breaks goes on where it broke if the
/// object is still the same one, and begins anew if it is not. Bytes are counted: a short body is a broken transfer.
///
/// # Errors
/// The fault; [`Fault::Missing`] when there is no such object.
pub async fn pull(
    patience: &Patience,
    objects: &dyn ObjectStore,
    path: &Path,
    most: u64,
    into: &mut (impl Take + Send),
) -> Result<u64, Fault> {
    let stall = patience.settings().timeout;
    let mut standing: Option<Standing> = None;
    let attempt = async || {
        let resumed = standing.as_ref().filter(|s| s.have > 0 && s.have < s.size && s.etag.is_some());
        let options = GetOptions {
            range: resumed.map(|s| GetRange::Bounded(s.have..s.size)),
            // A store that holds another object now refuses, and the next try takes that one whole.
            if_match: resumed.and_then(|s| s.etag.clone()),
            ..GetOptions::default()
        };
        let found = match objects.get_opts(path, options).await {
            Ok(found) => found,
            Err(e) if resumed.is_some() && !Fault::of(&e).passes() => {
                standing = None;
                return Err(failed(Fault::Interrupted));
            }
            Err(e) => return Err(e),
        };
        if found.meta.size > most {
            let message =
                format!("the object has {} bytes, more than the {most} that are read at once", found.meta.size);
            return Err(failed(Fault::Senseless(message)));
        }
        let same = resumed.is_some_and(|s| s.etag == found.meta.e_tag && s.size == found.meta.size);
        let have = if same { found.range.start } else { 0 };
        if resumed.is_some() && !same {
            standing = None;
            return Err(failed(Fault::Interrupted));
        }
        if have == 0 {
            into.restart();
        }
        let now = standing.insert(Standing { have, size: found.meta.size, etag: found.meta.e_tag.clone() });
        let mut stream = found.into_stream();
        loop {
            let piece: Option<Bytes> = match timeout(stall, stream.next()).await {
                Err(_) => return Err(failed(Fault::Silent(stall))),
                Ok(piece) => piece.transpose()?,
            };
            let Some(piece) = piece else { break };
            into.take(&piece);
            now.have += piece.len() as u64;
        }
        if now.have == now.size { Ok(now.size) } else { Err(failed(Fault::Interrupted)) }
    };
    patience.until(&format!("reading `{path}`"), attempt).await
}

/// A fault as an error of the client.
pub(super) fn failed(fault: Fault) -> object_store::Error {
    object_store::Error::Generic { store: "store", source: Box::new(fault) }
}
