//! TAR files, plain or as one GZIP stream: from the first member to the last.
//!
//! The end mark is asked for: without it, a file cut off between two members would look whole.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::tar::{Archive, Entries, EntryType};
use flate2::read::MultiGzDecoder;

use super::meter::{Content, Input, Meter, Metered, ReadAt};
use super::names::{Names, shown};
use super::zip::over;
use super::{ArchiveError, Member, Walk, limits};

/// What the way through an archive needs to know of it.
struct Way<'a> {
    archive: &'a Path,
    meter: &'a Meter,
    /// Its bytes and their number, if members stand in it as they are.
    plain: Option<(&'a dyn ReadAt, u64)>,
    /// Most bytes of all members together.
    most: u64,
}

pub fn walk(
    archive: &Path,
    input: &Input<'_>,
    is_packed: bool,
    stop: &Arc<AtomicBool>,
    walk: &mut Walk<'_>,
) -> Result<Vec<Member>, ArchiveError> {
    let length = input.length;
    let meter = Meter::new(stop, 0);
    if is_packed {
        let most = limits::unpacked(length);
        let way = Way { archive, meter: &meter, plain: None, most };
        let unpacked = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, input.clone()));
        let mut tar = Archive::new(Metered { inner: unpacked, meter: &meter });
        let members = way.members(tar.entries().map_err(|e| meter.fault(archive, e))?, walk)?;
        // The checksum of the stream stands behind its last byte.
        meter.allow(limits::TAR_FILL);
        let mut rest = tar.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(|e| match meter.is_exceeded() {
            true => over(archive, "", "bytes behind its end", limits::TAR_FILL + 1, limits::TAR_FILL),
            false => meter.fault(archive, e),
        })?;
        return Ok(members);
    }
    let way = Way { archive, meter: &meter, plain: Some((input.bytes, length)), most: limits::UNPACKED };
    let mut tar = Archive::new(Metered { inner: input.clone(), meter: &meter });
    way.members(tar.entries_with_seek().map_err(|e| meter.fault(archive, e))?, walk)
}

impl Way<'_> {
    fn members<R: Read>(&self, mut entries: Entries<'_, R>, walk: &mut Walk<'_>) -> Result<Vec<Member>, ArchiveError> {
        let (mut names, mut members, mut total) = (Names::default(), Vec::new(), 0u64);
        let damaged = |problem: String| ArchiveError::ArchiveDamaged { archive: self.archive.into(), problem };
        loop {
            // Long names and extended headers are held in memory.
            self.meter.allow(limits::TAR_HEADERS);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|e| match self.meter.is_exceeded() {
                true => over(self.archive, "", "bytes of headers", limits::TAR_HEADERS + 1, limits::TAR_HEADERS),
                false => self.meter.fault(self.archive, e),
            })?;
            let raw = entry.path_bytes().into_owned();
            let refused = |problem: &str| ArchiveError::ArchiveUnsafe {
                archive: self.archive.into(),
                member: shown(&raw),
                problem: problem.into(),
            };
            let unsupported = |what: &str| ArchiveError::ArchiveUnsupported {
                archive: self.archive.into(),
                member: shown(&raw),
                what: what.into(),
            };
            let is_folder = match entry.header().entry_type() {
                EntryType::Directory => true,
                // Old writers mark a folder by the end of its name alone.
                EntryType::Regular | EntryType::Continuous => raw.ends_with(b"/"),
                EntryType::XGlobalHeader => continue,
                EntryType::Symlink | EntryType::Link => return Err(refused("a link")),
                EntryType::GNUSparse => return Err(unsupported("a sparse file")),
                _ => return Err(refused("neither a file nor a folder")),
            };
            // Another way to write sparse files, as plain ones with a map in front.
            let says_sparse = |key: &str| key.starts_with("GNU.sparse.");
            if let Some(extensions) = entry.pax_extensions().map_err(|e| self.meter.fault(self.archive, e))?
                && extensions.flatten().any(|e| e.key().is_ok_and(says_sparse))
            {
                return Err(unsupported("a sparse file"));
            }
            let path = names.add(self.archive, &raw, is_folder)?;
            let (size, at) = (entry.size(), entry.raw_file_position());
            total = total.saturating_add(size);
            if total > self.most {
                return Err(over(self.archive, &shown(&raw), "bytes unpacked", total, self.most));
            }
            if let Some((_, length)) = self.plain
                && at.saturating_add(size) > length
            {
                return Err(damaged(format!("`{}` ends at byte {} of {length}", shown(&raw), at.saturating_add(size))));
            }
            self.meter.allow(size);
            if let Some(path) = path.filter(|_| !is_folder) {
                let member = Member { path, size };
                if (walk.wants)(&member) {
                    match self.plain.filter(|_| (walk.in_place)(&member)) {
                        Some((bytes, _)) => (walk.take)(&member, &mut Content::InPlace(bytes, at))?,
                        None => (walk.take)(&member, &mut Content::Stream(&mut entry))?,
                    }
                }
                members.push(member);
            }
            if self.plain.is_none() {
                io::copy(&mut entry, &mut io::sink()).map_err(|e| self.meter.fault(self.archive, e))?;
                if self.meter.has_ended() {
                    return Err(damaged(format!("it ends within `{}`", shown(&raw))));
                }
            }
        }
        if self.meter.has_ended() {
            return Err(damaged("it ends without an end mark".into()));
        }
        Ok(members)
    }
}
