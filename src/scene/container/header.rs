//! The header of a TIFF without its pixels: enough to open it, in a file of the same length whose pixels are a hole.
//!
//! # Reference
//! TIFF 6.0, section 2; BigTIFF as in libtiff's documentation.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::limits;
use super::meter::{Content, Fault};

/// Bytes of the front that are read at first; most directories end there.
const FRONT: u64 = 64 << 10;

/// Bytes before a directory that are read with it: some writers put what belongs to it there.
const BEFORE: u64 = 1 << 20;

/// Most directories of a file, and most entries of one.
const DIRECTORIES: usize = 256;
const ENTRIES: u64 = 4096;

/// Tag that names further directories.
const SUB_DIRECTORIES: u16 = 330;

/// Writes to `to` what opening the image asks for; bytes that were written, or `None` when it asks for more than its front
/// and its end. What is no TIFF is as good as its front.
pub fn copy(content: &mut Content<'_>, size: u64, to: &File) -> Result<Option<u64>, Fault> {
    let mut front = Vec::new();
    let mut most = FRONT.min(size);
    let missing = loop {
        let more = most - front.len() as u64;
        read(content, more, &mut front).map_err(Fault::Read)?;
        match reach(&[(0, &front)]) {
            Reach::All => break None,
            Reach::Odd => return Ok(None),
            Reach::Missing { end, .. } if end > size => return Ok(None),
            Reach::Missing { start, .. } if start > limits::HEADER => break Some(start),
            Reach::Missing { end, .. } if end > limits::HEADER => return Ok(None),
            // It lies far away if it does not follow what is there.
            Reach::Missing { start, .. } if start > 4 * most && size - start < start => break Some(start),
            Reach::Missing { end, .. } => most = end.max(2 * most).min(size),
        }
    };
    let mut back = (0, Vec::new());
    if let Some(start) = missing {
        let from = start.saturating_sub(BEFORE).max(front.len() as u64);
        if size - from > limits::HEADER {
            return Ok(None);
        }
        content.skip(from - front.len() as u64).map_err(Fault::Read)?;
        back.0 = from;
        read(content, size - from, &mut back.1).map_err(Fault::Read)?;
        if !matches!(reach(&[(0, &front), (from, &back.1)]), Reach::All) {
            return Ok(None);
        }
    }
    let write = || {
        to.set_len(size)?;
        to.write_all_at(&front, 0)?;
        to.write_all_at(&back.1, back.0)
    };
    write().map_err(Fault::Write)?;
    Ok(Some((front.len() + back.1.len()) as u64))
}

fn read(content: &mut Content<'_>, count: u64, into: &mut Vec<u8>) -> io::Result<()> {
    match content.take(count).read_to_end(into)? as u64 == count {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// How far the directories of a file lie within parts of it.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// All of them.
    All,
    /// Not these bytes.
    Missing { start: u64, end: u64 },
    /// It cannot be told.
    Odd,
}

/// Parts of a file, and how its numbers are written.
struct View<'a> {
    parts: &'a [(u64, &'a [u8])],
    is_big_endian: bool,
}

impl View<'_> {
    fn bytes(&self, start: u64, length: u64) -> Result<&[u8], Reach> {
        let end = start.checked_add(length).ok_or(Reach::Odd)?;
        let within = |(from, part): &(u64, &'_ [u8])| {
            let offset = usize::try_from(start.checked_sub(*from)?).ok()?;
            Some((offset, usize::try_from(length).ok()?))
                .filter(|(o, n)| o.checked_add(*n).is_some_and(|e| e <= part.len()))
        };
        for part in self.parts {
            if let Some((offset, length)) = within(part) {
                return part.1.get(offset..offset + length).ok_or(Reach::Odd);
            }
        }
        Err(Reach::Missing { start, end })
    }

    fn number(&self, start: u64, length: u64) -> Result<u64, Reach> {
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        let bytes = self.bytes(start, length)?;
        Ok(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

fn reach(parts: &[(u64, &[u8])]) -> Reach {
    match directories(parts) {
        Ok(()) => Reach::All,
        Err(reach) => reach,
    }
}

fn directories(parts: &[(u64, &[u8])]) -> Result<(), Reach> {
    let mut view = View { parts, is_big_endian: false };
    match view.bytes(0, 2) {
        Ok(b"II") => {}
        Ok(b"MM") => view.is_big_endian = true,
        // No TIFF, or nothing at all: GDAL says so.
        _ => return Ok(()),
    }
    let Ok(version) = view.number(2, 2) else { return Ok(()) };
    // Where the first directory is named; bytes of an offset, of a count of entries, and of an entry.
    let (first, offset, count, entry) = match version {
        42 => (4, 4, 2, 12),
        43 => (8, 8, 8, 20),
        _ => return Ok(()),
    };
    let mut next = view.number(first, offset)?;
    for _ in 0..DIRECTORIES {
        if next == 0 {
            return Ok(());
        }
        let entries = view.number(next, count)?;
        if entries > ENTRIES {
            return Err(Reach::Odd);
        }
        let start = next + count;
        view.bytes(start, entries * entry + offset)?;
        for k in 0..entries {
            let at = start + k * entry;
            if view.number(at, 2)? == u64::from(SUB_DIRECTORIES) {
                return Err(Reach::Odd);
            }
            let width: u64 = match view.number(at + 2, 2)? {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16 | 17 | 18 => 8,
                _ => return Err(Reach::Odd),
            };
            let length = view.number(at + 4, offset)?.checked_mul(width).ok_or(Reach::Odd)?;
            if length > offset {
                view.bytes(view.number(at + 4 + offset, offset)?, length)?;
            }
        }
        next = view.number(start + entries * entry, offset)?;
    }
    Err(Reach::Odd)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gdal::raster::{Buffer, RasterCreationOptions};
    use gdal::{Dataset, DatasetOptions, DriverManager, GdalOpenFlags, Metadata};
    use proptest::prelude::*;

    use super::super::super::image::facts;
    use super::*;

    /// An image of noise, which no method packs small.
    fn write(path: &Path, (cols, rows, bands): (usize, usize, usize), options: &[&str]) {
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let options = RasterCreationOptions::from_iter(options.iter().copied());
        let mut dataset =
            driver.create_with_band_type_with_options::<u16, _>(path, cols, rows, bands, &options).unwrap();
        dataset.set_geo_transform(&[5000.0, 1.0, 0.0, 5000.0, 0.0, -1.0]).unwrap();
        dataset.set_spatial_ref(&crate::grid::Crs::from_epsg(32651).unwrap().spatial_ref().unwrap()).unwrap();
        for band in 1..=bands {
            let dn = (0..(rows * cols) as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u16).collect();
            dataset.rasterband(band).unwrap().write((0, 0), (cols, rows), &mut Buffer::new((cols, rows), dn)).unwrap();
        }
        dataset.close().unwrap();
    }

    /// Makes GDAL write the directory anew, behind the pixels.
    fn move_directory(path: &Path) {
        let options = DatasetOptions { open_flags: GdalOpenFlags::GDAL_OF_UPDATE, ..DatasetOptions::default() };
        let mut dataset = Dataset::open_ex(path, options).unwrap();
        dataset.set_metadata_item("NOTE", &"long ".repeat(2000), "").unwrap();
        dataset.close().unwrap();
    }

    fn copied(path: &Path, to: &Path, in_place: bool) -> Option<u64> {
        let (size, mut file) = (path.metadata().unwrap().len(), File::open(path).unwrap());
        let beside = File::open(path).unwrap();
        let mut content = if in_place { Content::InPlace(&beside, 0) } else { Content::Stream(&mut file) };
        copy(&mut content, size, &File::create(to).unwrap()).unwrap()
    }

    #[test]
    fn gdal_sees_in_the_header_what_it_sees_in_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let (image, short) = (dir.path().join("a.tif"), dir.path().join("b.tif"));
        for options in [
            &[][..],
            &["TILED=YES", "COMPRESS=DEFLATE"],
            &["BIGTIFF=YES", "INTERLEAVE=BAND"],
            &["ENDIANNESS=BIG", "BLOCKYSIZE=1"],
            &["BIGTIFF=YES", "ENDIANNESS=BIG", "TILED=YES"],
        ] {
            write(&image, (700, 900, 4), options);
            for moved in [false, true] {
                if moved {
                    move_directory(&image);
                }
                for in_place in [false, true] {
                    let kept = copied(&image, &short, in_place).unwrap();
                    assert!(kept < 2 << 20, "{options:?} {moved}: {kept}");
                    let name = |path: &Path| format!("{:?}", facts(path).unwrap()).replace("b.tif", "a.tif");
                    assert_eq!(name(&image), name(&short), "{options:?} {moved}");
                    assert!(std::fs::read(&image).unwrap() != std::fs::read(&short).unwrap(), "the pixels are a hole");
                }
            }
        }
    }

    #[test]
    fn what_ends_early_or_is_no_tiff_is_left_to_gdal() {
        let dir = tempfile::tempdir().unwrap();
        let (image, short) = (dir.path().join("a.tif"), dir.path().join("b.tif"));
        write(&image, (700, 900, 1), &[]);
        move_directory(&image);
        let whole = std::fs::read(&image).unwrap();
        std::fs::write(&image, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(copied(&image, &short, true), None, "its directory lies behind its end");
        for text in ["", "II", "no image", "<html>"] {
            std::fs::write(&image, text).unwrap();
            assert_eq!(copied(&image, &short, false), Some(text.len() as u64));
            assert_eq!(std::fs::read_to_string(&short).unwrap(), text);
        }
        // A directory that is its own successor.
        std::fs::write(&image, b"II*\0\x08\0\0\0\0\0\x08\0\0\0").unwrap();
        assert_eq!(copied(&image, &short, false), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), big: bool, version in 42u8..44) {
            if let Some(start) = bytes.get_mut(..4) {
                start.copy_from_slice(&if big { [b'M', b'M', 0, version] } else { [b'I', b'I', version, 0] });
            }
            let file = tempfile::tempfile().unwrap();
            let size = bytes.len() as u64;
            let mut stream = &bytes[..];
            let kept = copy(&mut Content::Stream(&mut stream), size, &file).unwrap();
            prop_assert!(kept.is_none_or(|kept| kept <= size));
        }
    }
}
