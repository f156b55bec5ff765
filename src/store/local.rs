//! A folder as a store.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::digest::sha256;
use super::{ConditionalCreate, Found, PartSink, Payload, Store, StoreError, Stored, hex};

/// A folder.
#[derive(Debug, Clone)]
pub struct Local {
    root: PathBuf,
}

/// Tells apart the unfinished files of one process; never part of a finished name.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// An unfinished file, removed when dropped.
struct Unfinished {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Unfinished {
    fn create(target: &Path) -> Result<Self, StoreError> {
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            action: "creating the folder",
            path: folder.to_owned(),
            source,
        })?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".{name}.{}-{serial}.unfinished", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file, finished: false }),
                // Left by a process that was killed and had the same number: in a container they start over.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(StoreError::Io { action: "creating", path, source }),
            }
        }
    }

    /// Sets room aside on the disk where file systems can: what is written then needs no room to be found for it, stands in
    /// one piece, and a full disk is known of before.
    fn set_aside(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Err(full @ (Errno::NOSPC | Errno::DQUOT)) => Err(full.into()),
            // Others cannot; what is wrong otherwise is said when bytes are written.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The file, opened for writing past the system's cache, where it can be.
    fn past_the_cache(&self) -> Option<File> {
        let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        File::options().write(true).custom_flags(flags).open(&self.path).ok()
    }

    /// Writes an aligned piece, past the system's cache as long as `direct` can do that.
    fn write_piece(&self, direct: &mut Option<File>, piece: &[u8], offset: u64) -> io::Result<()> {
        match direct.as_ref().map(|file| file.write_all_at(piece, offset)) {
            Some(Ok(())) => Ok(()),
            // Larger blocks than expected, or a file system that only opens such files.
            Some(Err(e)) if e.kind() == io::ErrorKind::InvalidInput => {
                *direct = None;
                self.file.write_all_at(piece, offset)
            }
            Some(Err(e)) => Err(e),
            None => self.file.write_all_at(piece, offset),
        }
    }

    /// Waits until its bytes are on the disk.
    fn flush_to_disk(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { action: "flushing", path: self.path.clone(), source };
        self.file.sync_data().map_err(failed)
    }

    /// Gives it its name. Its bytes have to be on the disk.
    fn publish(mut self, target: &Path) -> Result<(), StoreError> {
        fs::rename(&self.path, target).map_err(|source| StoreError::Io {
            action: "renaming to",
            path: target.to_owned(),
            source,
        })?;
        self.finished = true;
        // The new name is in the folder, so the folder has to reach the disk as well.
        let folder = target.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(|source| StoreError::Io {
            action: "flushing the folder",
            path: folder.to_owned(),
            source,
        })
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done here: the name says that it is unfinished.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Local {
    /// A folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let relative = Path::new(name);
        let inside = !name.is_empty()
            && !name.contains("//")
            && relative.components().all(|c| matches!(c, Component::Normal(_)));
        if inside { Ok(self.root.join(relative)) } else { Err(StoreError::Name { name: name.to_owned() }) }
    }
}

impl Store for Local {
    fn url(&self) -> String {
        self.root.display().to_string()
    }

    fn probe(&self) -> Result<Found, StoreError> {
        let not_writable = |source| StoreError::NotWritable { path: self.root.clone(), source };
        fs::create_dir_all(&self.root).map_err(not_writable)?;
        let probe = match Unfinished::create(&self.root.join("probe")) {
            Ok(probe) => probe,
            Err(StoreError::Io { source, .. }) => return Err(not_writable(source)),
            Err(e) => return Err(e),
        };
        let again = File::options().write(true).create_new(true).open(&probe.path);
        let conditional_create = match again {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => ConditionalCreate::Honoured,
            Err(e) => return Err(not_writable(e)),
            Ok(_) => ConditionalCreate::Ignored,
        };
        Ok(Found { conditional_create })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(StoreError::Io { action: "reading", path, source }),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let target = self.path(name)?;
        let mut unfinished = Unfinished::create(&target)?;
        unfinished.file.write_all(bytes).map_err(|source| StoreError::Io {
            action: "writing",
            path: target.clone(),
            source,
        })?;
        unfinished.flush_to_disk()?;
        unfinished.publish(&target)
    }

    fn start(&self, name: &str) -> Result<Box<dyn PartSink>, StoreError> {
        Ok(Box::new(LocalSink { target: self.path(name)?, kept: Vec::new(), spool: None, size: 0 }))
    }

    fn list(&self, folder: &str, suffix: &str) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut folders = vec![folder.trim_matches('/').to_owned()];
        while let Some(folder) = folders.pop() {
            let path = if folder.is_empty() { self.root.clone() } else { self.path(&folder)? };
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(StoreError::Io { action: "listing", path, source }),
            };
            for entry in entries {
                let failed = |source| StoreError::Io { action: "listing", path: path.clone(), source };
                let entry = entry.map_err(failed)?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.starts_with('.') {
                    continue;
                }
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.push(name);
                } else if name.ends_with(suffix) {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// An object in the making. What comes is kept in memory as far as memory was set aside for it, and written once, when the
/// beginning is known; what comes then goes to a file, which is copied behind the beginning.
struct LocalSink {
    target: PathBuf,
    /// Parts from the first one on.
    kept: Vec<Payload>,
    /// The parts behind them.
    spool: Option<BufWriter<Unfinished>>,
    /// Bytes of all parts.
    size: u64,
}

/// Bytes copied at a time, and up to which what is spooled is gathered.
const COPY_BYTES: usize = 1 << 18;

/// Bytes written at a time, and what memory, place and number of bytes that go past the system's cache are multiples of: the
/// largest block of disks in use.
const PIECE_BYTES: usize = 1 << 20;
const ALIGNMENT: usize = 4096;

/// Bytes from which on a thread of its own makes the digest.
const DIGESTED_ASIDE: u64 = 1 << 20;

impl LocalSink {
    fn failed(&self) -> impl Fn(io::Error) -> StoreError + use<> {
        let path = self.target.clone();
        move |source| StoreError::Io { action: "writing", path: path.clone(), source }
    }
}

impl PartSink for LocalSink {
    fn put(&mut self, part: Payload) -> Result<(), StoreError> {
        self.size += part.size();
        // The first part always waits: most objects have no other.
        if self.spool.is_none() && (self.kept.is_empty() || part.lease.is_some()) {
            self.kept.push(part);
            return Ok(());
        }
        let failed = self.failed();
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(BufWriter::with_capacity(COPY_BYTES, Unfinished::create(&self.target)?)),
        };
        part.chunks.iter().try_for_each(|chunk| spool.write_all(chunk)).map_err(failed)
    }

    fn complete(self: Box<Self>, prefix: Payload) -> Result<Stored, StoreError> {
        let failed = self.failed();
        let Self { target, kept, spool, size } = *self;
        let size = size + prefix.size();
        let mut whole = Unfinished::create(&target)?;
        whole.set_aside(size).map_err(&failed)?;
        let parts: Vec<Payload> = std::iter::once(prefix).chain(kept).collect();
        let sha256 = if let Some(spool) = spool {
            let mut digest = Sha256::new();
            chunks(&parts).for_each(|chunk| digest.update(chunk));
            write(parts, &mut whole).map_err(&failed)?;
            let spool = spool.into_inner().map_err(|e| failed(e.into_error()))?;
            append(spool, &mut whole, &mut digest).map_err(&failed)?;
            whole.flush_to_disk()?;
            digest.finalize().into()
        } else {
            digest_beside(parts.clone(), size, || {
                write(parts, &mut whole).map_err(&failed)?;
                whole.flush_to_disk()
            })?
        };
        whole.publish(&target)?;
        Ok(Stored { size, sha256: hex(&sha256) })
    }

    fn abort(self: Box<Self>) {}
}

fn chunks(parts: &[Payload]) -> impl Iterator<Item = &Bytes> {
    parts.iter().flat_map(|part| &part.chunks)
}

/// Writes parts to an empty file, and lets go of their memory. Whole pieces go past the system's cache where the file system
/// can: products are larger than what is read of them soon, and would take the place of images that are still to be read.
fn write(parts: Vec<Payload>, whole: &mut Unfinished) -> io::Result<()> {
    let mut memory = vec![0; PIECE_BYTES + ALIGNMENT];
    let aligned = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let piece = &mut memory[aligned..aligned + PIECE_BYTES];
    let mut direct = whole.past_the_cache();
    let (mut filled, mut offset) = (0, 0);
    for chunk in chunks(&parts) {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (next, others) = rest.split_at(rest.len().min(piece.len() - filled));
            piece[filled..filled + next.len()].copy_from_slice(next);
            (rest, filled) = (others, filled + next.len());
            if filled == piece.len() {
                whole.write_piece(&mut direct, piece, offset)?;
                (filled, offset) = (0, offset + filled as u64);
            }
        }
    }
    whole.file.write_all_at(&piece[..filled], offset)?;
    whole.file.seek(SeekFrom::Start(offset + filled as u64)).map(|_| ())
}

/// SHA-256 of parts of so many bytes in all, made while other `work` is done if a thread is worth it.
fn digest_beside(
    parts: Vec<Payload>,
    bytes: u64,
    work: impl FnOnce() -> Result<(), StoreError>,
) -> Result<[u8; 32], StoreError> {
    let parts = Mutex::new(parts);
    let digest = || {
        // Let go of as soon as they are in the digest.
        let parts = std::mem::take(&mut *parts.lock().unwrap_or_else(PoisonError::into_inner));
        sha256(chunks(&parts).cloned().collect())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("digest".into());
        let beside = (bytes >= DIGESTED_ASIDE).then(|| thread.spawn_scoped(scope, digest));
        let done = work();
        let digest = match beside {
            Some(Ok(thread)) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Some(Err(_)) | None => digest(),
        };
        done.map(|()| digest)
    })
}

/// Copies a file to the end of another, and takes it into the digest of that.
fn append(mut spool: Unfinished, whole: &mut Unfinished, digest: &mut Sha256) -> io::Result<()> {
    spool.file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match spool.file.read(&mut buffer)? {
            0 => return Ok(()),
            n => {
                digest.update(&buffer[..n]);
                whole.write_all(&buffer[..n])?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_larger_than_a_piece_is_written_whole_with_and_without_a_spool() {
        let folder = tempfile::tempdir().unwrap();
        let store = Local::new(folder.path());
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 4_321).map(|i| (i * 31 % 251) as u8).collect();
        for (size, leased) in
            [(bytes.len(), true), (bytes.len(), false), (2 * PIECE_BYTES, true), (PIECE_BYTES - 1, true)]
        {
            let whole = Bytes::copy_from_slice(&bytes[..size]);
            let mut sink = store.start("a/b.tif").unwrap();
            let mut rest = whole.slice(1_000..);
            for step in [1, 70_001, 1_200_000].into_iter().cycle() {
                let chunk = rest.split_to(step.min(rest.len()));
                let lease = leased.then(|| std::sync::Arc::new(()) as super::super::Lease);
                sink.put(Payload { chunks: vec![chunk], lease }).unwrap();
                if rest.is_empty() {
                    break;
                }
            }
            let stored = sink.complete(whole.slice(..1_000).into()).unwrap();
            assert_eq!(stored, Stored::of(&whole));
            assert!(fs::read(folder.path().join("a/b.tif")).unwrap() == whole, "{size} bytes, {leased}");
        }
    }

    #[test]
    fn objects_in_parts_become_visible_whole_with_their_digest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Local::new(dir.path());
        let lease = || Some(std::sync::Arc::new(()) as super::super::Lease);
        let text = b"begin middle and the end";
        // Whether parts are kept or go to a file, from any part on.
        for kept in 0..4 {
            let mut sink = store.start("a/b.tif").unwrap();
            for (number, bytes) in [&b"middle"[..], b" and", b" the", b" end"].into_iter().enumerate() {
                let lease = if number < kept { lease() } else { None };
                sink.put(Payload { lease, ..bytes.into() }).unwrap();
            }
            assert!(kept > 0 || store.get("a/b.tif").unwrap().is_none());
            let stored = sink.complete(b"begin "[..].into()).unwrap();
            assert_eq!(store.get("a/b.tif").unwrap().unwrap(), text);
            assert_eq!(stored, Stored { size: 24, sha256: hex(&Sha256::digest(text)) });
            assert_eq!(entries(&dir.path().join("a")), ["b.tif"]);
        }
        assert_eq!(store.list("a", ".tif").unwrap(), ["a/b.tif"]);
        assert!(store.list("nothing", "").unwrap().is_empty());
    }

    #[test]
    fn what_is_aborted_or_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Local::new(dir.path());
        let mut sink = store.start("b.tif").unwrap();
        sink.put(b"x"[..].into()).unwrap();
        sink.abort();
        let mut sink = store.start("c.tif").unwrap();
        sink.put(b"x"[..].into()).unwrap();
        drop(sink);
        store.probe().unwrap();
        assert!(entries(dir.path()).is_empty());
    }

    #[test]
    fn leftovers_of_a_killed_process_with_the_same_number_are_stepped_over() {
        let dir = tempfile::tempdir().unwrap();
        for serial in 0..SERIAL.load(Ordering::Relaxed) + 50 {
            fs::write(dir.path().join(format!(".a.tif.{}-{serial}.unfinished", std::process::id())), b"old").unwrap();
        }
        Local::new(dir.path()).put("a.tif", b"new").unwrap();
        assert_eq!(fs::read(dir.path().join("a.tif")).unwrap(), b"new");
    }

    #[test]
    fn names_stay_below_the_folder_and_bad_folders_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let store = Local::new(dir.path());
        for name in ["../x", "/x", "", "a/../../x"] {
            assert!(matches!(store.put(name, b""), Err(StoreError::Name { .. })), "{name}");
        }
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(matches!(Local::new(&file).probe(), Err(StoreError::NotWritable { .. })));
        for url in ["ftp://host/x", "s3:bucket", "file:/x", "file://host/x", "", "~/x"] {
            assert!(matches!(super::super::open(url), Err(StoreError::Scheme { .. })), "{url}");
        }
        for (url, path) in
            [("a b", "a b"), ("/x/中文", "/x/中文"), ("file:///x%20y", "/x y"), ("FILE://localhost/x", "/x")]
        {
            assert_eq!(super::super::open(url).unwrap().url(), path);
        }
    }
}
