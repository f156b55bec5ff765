//! Readers that end when they have given what they may, or when the end was asked for.

use std::cell::Cell;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ArchiveError;

/// What a reader still may give, and what became of it.
#[derive(Debug)]
pub struct Meter {
    left: Cell<u64>,
    exceeded: Cell<bool>,
    ended: Cell<bool>,
    stop: Arc<AtomicBool>,
}

impl Meter {
    pub fn new(stop: &Arc<AtomicBool>, most: u64) -> Self {
        Self { left: Cell::new(most), exceeded: Cell::new(false), ended: Cell::new(false), stop: Arc::clone(stop) }
    }

    /// Lets it give so many bytes from here on.
    pub fn allow(&self, most: u64) {
        self.left.set(most);
    }

    /// True once more was asked for than it may give.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// True once it had nothing more to give.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// What a failed read says of the archive.
    pub fn fault(&self, archive: &Path, source: io::Error) -> ArchiveError {
        if self.stop.load(Ordering::Relaxed) {
            return ArchiveError::ArchiveInterrupted { archive: archive.into() };
        }
        fault(archive, "", source)
    }
}

/// What a failed read says of a member of an archive.
pub fn fault(archive: &Path, member: &str, source: io::Error) -> ArchiveError {
    let archive = archive.to_path_buf();
    // Errors of the decoders have no number of the system's.
    match source.raw_os_error() {
        Some(_) => ArchiveError::ArchiveRead { archive, source },
        None if member.is_empty() => ArchiveError::ArchiveDamaged { archive, problem: source.to_string() },
        None => ArchiveError::ArchiveDamaged { archive, problem: format!("`{member}`: {source}") },
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub enum Fault {
    Read(io::Error),
    Write(io::Error),
}

/// A reader with a meter.
#[derive(Debug)]
pub struct Metered<'m, R> {
    pub inner: R,
    pub meter: &'m Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.meter.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let left = self.meter.left.get();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            self.meter.exceeded.set(true);
            return Err(io::Error::other("more than the limit"));
        }
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.meter.left.set(left - read as u64);
        if read == 0 && most > 0 {
            self.meter.ended.set(true);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Bytes that may be read anywhere.
pub trait ReadAt: Debug {
    /// Reads some of those at a position; none behind the last.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

/// Such bytes as a file, from a position on.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    pub bytes: &'a dyn ReadAt,
    pub length: u64,
    at: u64,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a dyn ReadAt, length: u64) -> Self {
        Self { bytes, length, at: 0 }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Input<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The bytes of a member, once, from its first to its last.
pub enum Content<'a> {
    /// As they come.
    Stream(&'a mut dyn Read),
    /// As they stand, from this position on.
    InPlace(&'a dyn ReadAt, u64),
}

impl Content<'_> {
    /// Writes all of it, to its very end, where decoders compare checksums; fails unless it has `size` bytes.
    pub fn copy(&mut self, size: u64, mut to: &File) -> Result<u64, Fault> {
        let mut buffer = vec![0; 1 << 18];
        let mut copied = 0;
        loop {
            // What stands in the archive is followed by other members.
            let most = match self {
                Self::Stream(_) => buffer.len(),
                Self::InPlace(..) => usize::try_from(size - copied).unwrap_or(usize::MAX).min(buffer.len()),
            };
            let read = self.read(buffer.get_mut(..most).unwrap_or_default()).map_err(Fault::Read)?;
            if read == 0 {
                break;
            }
            to.write_all(buffer.get(..read).unwrap_or_default()).map_err(Fault::Write)?;
            copied += read as u64;
        }
        match copied == size {
            true => Ok(copied),
            false => Err(Fault::Read(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Passes over so many bytes.
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::InPlace(_, at) => *at += count,
            Self::Stream(from) => {
                if io::copy(&mut from.by_ref().take(count), &mut io::sink())? != count {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream(from) => from.read(buffer),
            Self::InPlace(bytes, at) => {
                let read = bytes.read_at(buffer, *at)?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}
