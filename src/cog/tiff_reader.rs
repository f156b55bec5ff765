//! TIFF directories as they stand in a file: classic and BigTIFF, both byte orders.
//!
//! Invariant: no file, whatever its bytes, makes this panic, loop, or take more memory than [`Limits`] allows; counts and
//! offsets are checked against the length of the file before anything is allocated.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::CogError;
use super::ghost::{FIRST_LINE, Ghost};

/// What a file may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Directories of a file.
    pub directories: usize,
    /// Tags of all directories.
    pub tags: u64,
    /// Bytes the values of tags take in memory, all together.
    pub value_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { directories: 1024, tags: 65_536, value_bytes: 512 << 20 }
    }
}

/// One tag of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number of the tag.
    pub tag: u16,
    /// Code of the type of its values.
    pub kind: u16,
    /// Number of values.
    pub count: u64,
    /// The value field: the values themselves if they fit, else their offset.
    field: [u8; 8],
}

/// One directory.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Where it begins.
    pub offset: u64,
    /// Where its fixed part, up to the offset of the next directory, ends.
    pub end: u64,
    /// Its tags, in file order.
    pub entries: Vec<Entry>,
}

impl Directory {
    /// The first entry of a tag.
    pub fn find(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|e| e.tag == tag)
    }
}

/// A TIFF file open for reading.
pub struct Tiff<R> {
    path: PathBuf,
    source: R,
    length: u64,
    big_endian: bool,
    bigtiff: bool,
    first: u64,
    limits: Limits,
}

impl<R: Read + Seek> Tiff<R> {
    /// Opens a TIFF; `path` is for messages.
    ///
    /// # Errors
    /// [`CogError::Malformed`] if it is none, [`CogError::Read`].
    pub fn open(path: &Path, mut source: R, limits: Limits) -> Result<Self, CogError> {
        let failed = |e| CogError::Read { path: path.to_owned(), source: e };
        let length = source.seek(SeekFrom::End(0)).map_err(failed)?;
        let path = path.to_owned();
        let mut tiff = Self { path, source, length, big_endian: false, bigtiff: false, first: 0, limits };
        if length < 8 {
            return Err(tiff.malformed("header", "at least 8 bytes", length));
        }
        let head = tiff.bytes(0, 8)?;
        tiff.big_endian = match head.get(..2) {
            Some(b"II") => false,
            Some(b"MM") => true,
            other => {
                let found = other.unwrap_or_default().escape_ascii();
                return Err(tiff.malformed("byte order", "`II` or `MM`", format!("`{found}`")));
            }
        };
        let version = tiff.number(head.get(2..4));
        tiff.bigtiff = match version {
            42 => false,
            43 => true,
            other => return Err(tiff.malformed("version", "42 or 43", other)),
        };
        tiff.first = if tiff.bigtiff {
            let (size, zero) = (tiff.number(head.get(4..6)), tiff.number(head.get(6..8)));
            if (size, zero) != (8, 0) {
                return Err(tiff.malformed("offset size", "8, then 0", format!("{size}, then {zero}")));
            }
            let first = tiff.bytes(8, 8)?;
            tiff.number(Some(&first))
        } else {
            tiff.number(head.get(4..8))
        };
        Ok(tiff)
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// True for BigTIFF.
    pub fn is_bigtiff(&self) -> bool {
        self.bigtiff
    }

    /// True if its numbers stand high byte first.
    pub fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Bytes of the header.
    pub fn header_size(&self) -> u64 {
        if self.bigtiff { 16 } else { 8 }
    }

    /// GDAL's ghost area, if the file has one.
    ///
    /// # Errors
    /// [`CogError::Read`], [`CogError::Malformed`] if the file ends inside it.
    pub fn ghost(&mut self) -> Result<Option<Ghost>, CogError> {
        let start = self.header_size();
        if self.length < start + FIRST_LINE as u64 {
            return Ok(None);
        }
        let Some(rest) = Ghost::rest_of(&self.bytes(start, FIRST_LINE as u64)?) else { return Ok(None) };
        Ok(Some(Ghost::from_rest(&self.bytes(start + FIRST_LINE as u64, rest as u64)?)))
    }

    /// All directories, in the order they are chained.
    ///
    /// # Errors
    /// [`CogError::Malformed`] for a chain that leads back or out of the file, [`CogError::Limit`], [`CogError::Read`].
    pub fn directories(&mut self) -> Result<Vec<Directory>, CogError> {
        let mut directories: Vec<Directory> = Vec::new();
        let mut next = self.first;
        let mut tags = 0;
        while next != 0 {
            if directories.iter().any(|d| d.offset == next) {
                return Err(self.malformed("next directory", "one not seen yet", format!("offset {next} again")));
            }
            if directories.len() >= self.limits.directories {
                return Err(self.exceeded("directories", directories.len() as u64 + 1, self.limits.directories as u64));
            }
            let (directory, following) = self.directory(next, &mut tags)?;
            directories.push(directory);
            next = following;
        }
        if directories.is_empty() {
            return Err(self.malformed("first directory", "an offset", 0));
        }
        Ok(directories)
    }

    fn directory(&mut self, offset: u64, tags: &mut u64) -> Result<(Directory, u64), CogError> {
        let (count_size, entry_size, offset_size) = if self.bigtiff { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.bytes(offset, count_size)?;
        let count = self.number(Some(&count));
        *tags = tags.saturating_add(count);
        if *tags > self.limits.tags {
            return Err(self.exceeded("tags", *tags, self.limits.tags));
        }
        // `bytes` has seen that the count lies within the file, and refuses a table that does not.
        let table = count.saturating_mul(entry_size);
        let bytes = self.bytes(offset + count_size, table.saturating_add(offset_size))?;
        let (entries, next) = bytes.split_at(table as usize);
        let entries = entries
            .chunks_exact(entry_size as usize)
            .map(|entry| {
                let (count, value) = if self.bigtiff { (4..12, 12..) } else { (4..8, 8..) };
                let mut field = [0; 8];
                for (to, from) in field.iter_mut().zip(entry.get(value).unwrap_or_default()) {
                    *to = *from;
                }
                let [tag, kind] = [0..2, 2..4].map(|part| self.number(entry.get(part)) as u16);
                Entry { tag, kind, count: self.number(entry.get(count)), field }
            })
            .collect();
        let end = offset + count_size + bytes.len() as u64;
        Ok((Directory { offset, end, entries }, self.number(Some(next))))
    }

    /// The values of a tag of unsigned integers; `None` if the directory lacks the tag.
    ///
    /// # Errors
    /// [`CogError::Malformed`] for another type or values outside the file, [`CogError::Limit`], [`CogError::Read`].
    pub fn integers(&mut self, directory: &Directory, tag: u16) -> Result<Option<Vec<u64>>, CogError> {
        let Some(entry) = directory.find(tag) else { return Ok(None) };
        let size = match entry.kind {
            1 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            other => return Err(self.malformed(&format!("type of tag {tag}"), "unsigned integers", other)),
        };
        let bytes = self.value_bytes(entry, size)?;
        Ok(Some(bytes.chunks_exact(size as usize).map(|b| self.number(Some(b))).collect()))
    }

    /// The first value of a tag of unsigned integers; `None` if the directory lacks the tag.
    ///
    /// # Errors
    /// As [`Tiff::integers`], and [`CogError::Malformed`] if there is no value.
    pub fn integer(&mut self, directory: &Directory, tag: u16) -> Result<Option<u64>, CogError> {
        match self.integers(directory, tag)? {
            None => Ok(None),
            Some(values) => match values.first() {
                Some(value) => Ok(Some(*value)),
                None => Err(self.malformed(&format!("tag {tag}"), "a value", "none")),
            },
        }
    }

    /// The values of a tag of doubles; `None` if the directory lacks the tag.
    ///
    /// # Errors
    /// As [`Tiff::integers`].
    pub fn doubles(&mut self, directory: &Directory, tag: u16) -> Result<Option<Vec<f64>>, CogError> {
        let Some(entry) = directory.find(tag) else { return Ok(None) };
        if entry.kind != 12 {
            return Err(self.malformed(&format!("type of tag {tag}"), "doubles", entry.kind));
        }
        let bytes = self.value_bytes(entry, 8)?;
        Ok(Some(bytes.chunks_exact(8).map(|b| f64::from_bits(self.number(Some(b)))).collect()))
    }

    /// The text of a tag up to its first zero byte; `None` if the directory lacks the tag.
    ///
    /// # Errors
    /// As [`Tiff::integers`].
    pub fn text(&mut self, directory: &Directory, tag: u16) -> Result<Option<String>, CogError> {
        let Some(entry) = directory.find(tag) else { return Ok(None) };
        if !matches!(entry.kind, 1 | 2 | 7) {
            return Err(self.malformed(&format!("type of tag {tag}"), "text", entry.kind));
        }
        let bytes = self.value_bytes(entry, 1)?;
        let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    fn value_bytes(&mut self, entry: &Entry, size: u64) -> Result<Vec<u8>, CogError> {
        let outside = |tiff: &Self| {
            let found = format!("{} values of {size} bytes", entry.count);
            tiff.malformed(&format!("tag {}", entry.tag), &format!("values within {} bytes", tiff.length), found)
        };
        let bytes = entry.count.checked_mul(size).filter(|b| *b <= self.length).ok_or_else(|| outside(self))?;
        let room = if self.bigtiff { 8 } else { 4 };
        if bytes <= room {
            return Ok(entry.field.get(..bytes as usize).unwrap_or_default().to_vec());
        }
        // Many directories may point at one large array, so the sum is limited, not the single value; and a value of one
        // byte takes eight once it is a number.
        let cost = entry.count.saturating_mul(8);
        let left = self.limits.value_bytes.checked_sub(cost);
        self.limits.value_bytes =
            left.ok_or_else(|| self.exceeded("more bytes of tag values", cost, self.limits.value_bytes))?;
        let offset = self.number(entry.field.get(..room as usize));
        self.bytes(offset, bytes)
    }

    /// Bytes at a place in the file.
    ///
    /// # Errors
    /// [`CogError::Malformed`] if they are not within the file, [`CogError::Read`].
    pub fn bytes(&mut self, offset: u64, count: u64) -> Result<Vec<u8>, CogError> {
        let end = offset.checked_add(count).filter(|end| *end <= self.length);
        if end.is_none() {
            let field = format!("{count} bytes at offset {offset}");
            return Err(self.malformed(&field, "them within the file", format!("its end at {}", self.length)));
        }
        let mut bytes = vec![0; count as usize];
        let read = self.source.seek(SeekFrom::Start(offset)).and_then(|_| self.source.read_exact(&mut bytes));
        match read {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.malformed("length", &format!("{} bytes", self.length), "an earlier end"))
            }
            Err(source) => Err(CogError::Read { path: self.path.clone(), source }),
        }
    }

    /// Up to eight bytes as a number; 0 for none.
    fn number(&self, bytes: Option<&[u8]>) -> u64 {
        let bytes = bytes.unwrap_or_default();
        let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }

    /// The error for something in this file that is not as it must be.
    pub(super) fn malformed(&self, field: &str, expected: &str, found: impl std::fmt::Display) -> CogError {
        CogError::Malformed {
            path: self.path.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: found.to_string(),
        }
    }

    fn exceeded(&self, what: &'static str, found: u64, limit: u64) -> CogError {
        CogError::Limit { path: self.path.clone(), what, found, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn open(bytes: &[u8]) -> Result<Tiff<Cursor<&[u8]>>, CogError> {
        let limits = Limits { directories: 10, tags: 100, value_bytes: 1 << 16 };
        Tiff::open(Path::new("a.tif"), Cursor::new(bytes), limits)
    }

    /// A file of one directory with one tag.
    fn tiny(big_endian: bool, bigtiff: bool, tag: u16, kind: u16, count: u64, field: u64, next: u64) -> Vec<u8> {
        let mut out = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        let mut put = |value: u64, size: usize| {
            let bytes = value.to_le_bytes();
            let low = bytes.get(..size).unwrap();
            if big_endian { out.extend(low.iter().rev()) } else { out.extend(low) }
        };
        let wide = if bigtiff { 8 } else { 4 };
        put(if bigtiff { 43 } else { 42 }, 2);
        if bigtiff {
            put(8, 2);
            put(0, 2);
        }
        put(if bigtiff { 16 } else { 8 }, wide);
        put(1, if bigtiff { 8 } else { 2 });
        put(u64::from(tag), 2);
        put(u64::from(kind), 2);
        put(count, wide);
        put(field, wide);
        put(next, wide);
        out
    }

    #[test]
    fn all_four_kinds_of_file_are_read() {
        for big_endian in [false, true] {
            for bigtiff in [false, true] {
                let kind = if bigtiff { 16 } else { 4 };
                let file = tiny(big_endian, bigtiff, 256, kind, 1, 70_000, 0);
                let mut tiff = open(&file).unwrap();
                let directories = tiff.directories().unwrap();
                assert_eq!(directories.len(), 1);
                assert_eq!(directories[0].end, file.len() as u64);
                assert_eq!(tiff.integer(&directories[0], 256).unwrap(), Some(70_000));
                assert_eq!(tiff.integer(&directories[0], 257).unwrap(), None);
                assert!(tiff.text(&directories[0], 256).is_err());
            }
        }
    }

    #[test]
    fn a_cycle_ends() {
        let file = tiny(false, false, 256, 4, 1, 1, 8);
        let error = open(&file).unwrap().directories().unwrap_err();
        assert!(error.to_string().contains("offset 8 again"), "{error}");
    }

    #[test]
    fn absurd_counts_are_refused_before_memory_is_taken() {
        for (bigtiff, count) in [(false, u64::from(u32::MAX)), (true, u64::MAX), (true, 1 << 61)] {
            let file = tiny(false, bigtiff, 324, 4, count, 8, 0);
            let mut tiff = open(&file).unwrap();
            let directory = tiff.directories().unwrap().remove(0);
            assert!(matches!(tiff.integers(&directory, 324), Err(CogError::Malformed { .. })));
        }
        let mut file = tiny(false, true, 324, 4, 1, 8, 0);
        file[16..24].fill(0xff);
        assert!(matches!(open(&file).unwrap().directories(), Err(CogError::Limit { what: "tags", .. })));
    }

    #[test]
    fn the_sum_of_values_is_limited() {
        let mut file = tiny(false, false, 324, 1, 5000, 8, 0);
        file.resize(6000, 0);
        let mut tiff = open(&file).unwrap();
        let directory = tiff.directories().unwrap().remove(0);
        assert!(tiff.integers(&directory, 324).is_ok());
        assert!(matches!(tiff.integers(&directory, 324), Err(CogError::Limit { .. })));
    }

    #[test]
    fn no_tiff_is_no_tiff() {
        for bytes in [&b""[..], b"II", b"II*\0\0\0\0\0", b"PK\x03\x04aaaa", b"II+\0\x04\0\0\0", b"MM\0+\0\x08\0\0"] {
            assert!(open(bytes).and_then(|mut t| t.directories()).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut tail in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..4) {
            let mut bytes = [&b"II*\0\x08\0\0\0"[..], b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"][start].to_vec();
            bytes.append(&mut tail);
            if let Ok(mut tiff) = open(&bytes) {
                let _ = tiff.ghost();
                for directory in tiff.directories().unwrap_or_default() {
                    for entry in &directory.entries {
                        let _ = (tiff.integers(&directory, entry.tag), tiff.doubles(&directory, entry.tag), tiff.text(&directory, entry.tag));
                    }
                }
            }
        }
    }
}
