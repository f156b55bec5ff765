//! Where archives are unpacked to: a folder of this process alone, gone with it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::{Builder, TempDir};

use super::ArchiveError;

/// How the folders begin, and the file in each that its process holds locked.
const PREFIX: &str = "fieldglow-scratch-";
const LOCK: &str = "lock";

/// A place for what is unpacked. Its folder is made when it is needed, and removed with the last archive in it; those that
/// processes left which were killed are removed when the next one is made.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    parent: Option<PathBuf>,
    stop: Arc<AtomicBool>,
    made: Arc<Mutex<Option<Arc<Held>>>>,
}

/// A folder and the lock on it.
#[derive(Debug)]
pub(super) struct Held {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// In `parent`, or the system's folder for temporary files. Reading archives ends when `stop` is set.
    pub fn new(parent: Option<PathBuf>, stop: Arc<AtomicBool>) -> Self {
        Self { parent, stop, made: Arc::default() }
    }

    /// Set when the end was asked for.
    pub(super) fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// The folder that it is in.
    fn parent(&self) -> PathBuf {
        self.parent.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// A fresh folder, and what keeps it there.
    pub(super) fn folder(&self) -> Result<(TempDir, Arc<Held>), ArchiveError> {
        let parent = self.parent();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = |source| ArchiveError::ScratchWrite { path: parent.clone(), source };
        let held = match &*made {
            Some(held) => Arc::clone(held),
            None => {
                // Messages and GDAL want a path that holds whatever the working directory is.
                let parent = std::path::absolute(&parent).map_err(wrong)?;
                sweep(&parent);
                Arc::clone(made.insert(Arc::new(Held::new(&parent).map_err(wrong)?)))
            }
        };
        let folder = Builder::new().prefix("").rand_bytes(6).tempdir_in(held.folder.path()).map_err(wrong)?;
        Ok((folder, held))
    }

    /// Fails unless so many bytes are free.
    pub(super) fn room(&self, archive: &Path, needed: u64) -> Result<(), ArchiveError> {
        let folder = self.parent();
        let stat = rustix::fs::statvfs(&folder)
            .map_err(|e| ArchiveError::ScratchWrite { path: folder.clone(), source: e.into() })?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if needed > free {
            return Err(ArchiveError::ScratchRoom { archive: archive.into(), folder, needed, free });
        }
        Ok(())
    }
}

impl Held {
    fn new(parent: &Path) -> io::Result<Self> {
        loop {
            let folder = Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
            let path = folder.path().join(LOCK);
            let lock = File::create(&path)?;
            lock.lock()?;
            // Another process may have taken it for one that was left, before it was locked.
            if path.exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }
}

/// Removes what killed processes left. What cannot be removed is another's.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours
            && let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_late_and_removed_and_so_are_those_that_were_left() {
        let parent = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(parent.path()).unwrap().count();
        let left = parent.path().join(format!("{PREFIX}left"));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        let scratch = Scratch::new(Some(parent.path().into()), Arc::default());
        assert_eq!(count(), 1);
        let (folder, held) = scratch.folder().unwrap();
        assert!(!left.exists() && folder.path().is_dir());
        // Another process would leave it alone.
        sweep(parent.path());
        assert!(folder.path().is_dir());
        drop((folder, held));
        drop(scratch);
        assert_eq!(count(), 0);
    }

    #[test]
    fn room_is_asked_for() {
        let scratch = Scratch::default();
        assert!(scratch.room(Path::new("a.zip"), 1).is_ok());
        let message = scratch.room(Path::new("a.zip"), u64::MAX).unwrap_err().to_string();
        assert!(message.contains("a.zip") && message.contains("--scratch"), "{message}");
    }
}
