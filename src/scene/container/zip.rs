//! ZIP files: the directory at their end, then the members that are wanted, in the order they stand in the file.

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::zip::result::ZipError;
use ::zip::{CompressionMethod, ZipArchive};

use super::meter::{Content, Input, Meter, Metered};
use super::names::{Names, shown};
use super::{ArchiveError, Member, Walk, limits};

/// Type of a file in its Unix mode: all bits, those of a folder, those of a plain file.
const TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// Bytes of a member's header in front of its content, without name and extra fields.
const LOCAL_HEADER: u64 = 30;

/// Where a member stands.
struct Place {
    index: usize,
    /// Position of its header, and the least one where it can end.
    start: u64,
    end: u64,
    is_stored: bool,
    member: Member,
}

pub fn walk(
    archive: &Path,
    input: &Input<'_>,
    stop: &Arc<AtomicBool>,
    walk: &mut Walk<'_>,
) -> Result<Vec<Member>, ArchiveError> {
    let length = input.length;
    // The directory is held in memory; what precedes it is not read for it.
    let meter = Meter::new(stop, limits::ZIP_DIRECTORY);
    let failed = |e: ZipError| match e {
        ZipError::Io(_) if meter.is_exceeded() => {
            over(archive, "", "bytes of directory", limits::ZIP_DIRECTORY + 1, limits::ZIP_DIRECTORY)
        }
        ZipError::Io(source) => meter.fault(archive, source),
        other => ArchiveError::ArchiveDamaged { archive: archive.into(), problem: other.to_string() },
    };
    let mut zip = ZipArchive::new(Metered { inner: BufReader::new(input.clone()), meter: &meter }).map_err(failed)?;
    if zip.has_duplicate_names() {
        return Err(ArchiveError::ArchiveUnsafe {
            archive: archive.into(),
            member: "…".into(),
            problem: "a name that is there twice".into(),
        });
    }
    let mut places = list(archive, length, &zip)?;
    places.sort_by_key(|place| (place.start, place.end));
    for pair in places.windows(2) {
        if let [a, b] = pair
            && a.end > b.start
        {
            return Err(ArchiveError::ArchiveUnsafe {
                archive: archive.into(),
                member: b.member.path.clone(),
                problem: format!("which shares bytes with `{}`", a.member.path),
            });
        }
    }
    if let Some(last) = places.last().filter(|last| last.end > length) {
        let problem = format!("`{}` ends at byte {} of {length}", last.member.path, last.end);
        return Err(ArchiveError::ArchiveDamaged { archive: archive.into(), problem });
    }
    for place in places.iter().filter(|place| (walk.wants)(&place.member)) {
        let member = &place.member;
        // Headers, and nothing of the content but at the front; then what it says it has and a byte that it must not.
        meter.allow(place.end - place.start + (1 << 20));
        let mut packed = zip.by_index(place.index).map_err(&failed)?;
        if let Some(at) = packed.data_start().filter(|_| place.is_stored && (walk.in_place)(member)) {
            (walk.take)(member, &mut Content::InPlace(input.bytes, at))?;
            continue;
        }
        let mut counted = Counted { inner: &mut packed, left: member.size };
        (walk.take)(member, &mut Content::Stream(&mut counted))?;
    }
    Ok(places.into_iter().map(|place| place.member).collect())
}

/// All members, checked.
fn list(
    archive: &Path,
    length: u64,
    zip: &ZipArchive<Metered<'_, BufReader<Input<'_>>>>,
) -> Result<Vec<Place>, ArchiveError> {
    let (mut names, mut places, mut total) = (Names::default(), Vec::new(), 0u64);
    for index in 0..zip.len() {
        let entry = zip
            .by_index_data(index)
            .map_err(|e| ArchiveError::ArchiveDamaged { archive: archive.into(), problem: e.to_string() })?;
        let raw = entry.name_raw();
        let kind = entry.unix_mode().map_or(0, |mode| mode & TYPE);
        let is_folder = raw.ends_with(b"/") || kind == FOLDER;
        if !matches!(kind, 0 | FOLDER | FILE) {
            return Err(ArchiveError::ArchiveUnsafe {
                archive: archive.into(),
                member: shown(raw),
                problem: if entry.is_symlink() { "a link" } else { "neither a file nor a folder" }.into(),
            });
        }
        let unsupported =
            |what: String| ArchiveError::ArchiveUnsupported { archive: archive.into(), member: shown(raw), what };
        if entry.encrypted() {
            return Err(unsupported("encrypted".into()));
        }
        let Some(path) = names.add(archive, raw, is_folder)? else { continue };
        if is_folder {
            continue;
        }
        let is_stored = match entry.compression() {
            CompressionMethod::Stored => true,
            CompressionMethod::Deflated => false,
            other => return Err(unsupported(format!("packed by the method {other}"))),
        };
        let (size, packed) = (entry.size(), entry.compressed_size());
        if is_stored && size != packed {
            let problem = format!("`{path}` is stored as it is, with {packed} bytes for {size}");
            return Err(ArchiveError::ArchiveDamaged { archive: archive.into(), problem });
        }
        total = total.saturating_add(size);
        let most = limits::unpacked(packed);
        if size > most {
            return Err(over(archive, &path, "bytes unpacked", size, most));
        }
        let most = limits::unpacked(length);
        if total > most {
            return Err(over(archive, &path, "bytes unpacked", total, most));
        }
        let start = entry.header_start();
        let end = start.saturating_add(LOCAL_HEADER + raw.len() as u64).saturating_add(packed);
        places.push(Place { index, start, end, is_stored, member: Member { path, size } });
    }
    Ok(places)
}

pub fn over(archive: &Path, member: &str, what: &'static str, found: u64, limit: u64) -> ArchiveError {
    ArchiveError::ArchiveLimit { archive: archive.into(), member: member.into(), what, found, limit }
}

/// Fails when a member has other bytes than it declares.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let wrong = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| wrong("a member is longer than it declares"))?;
        if read == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(wrong("a member is shorter than it declares"));
        }
        Ok(read)
    }
}
