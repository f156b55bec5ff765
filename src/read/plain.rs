//! Uncompressed TIFFs, read without GDAL: bytes of a window as they stand, turned into samples in one pass.
//!
//! GDAL reads such files band by band through its block cache and copies every sample several times. What is not plain
//! (compressed, sparse, packed bits, other sample types) is left to it.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tiff::decoder::Decoder;
use tiff::tags::Tag;

use crate::grid::Window;

/// Where the samples of a plain file stand.
#[derive(Debug)]
pub struct Plain {
    file: File,
    cols: usize,
    bands: usize,
    sample: Sample,
    /// Rows of a block, and its columns.
    block: (usize, usize),
    /// Blocks beside each other.
    across: usize,
    /// Where each block begins, row by row.
    offsets: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sample {
    U8,
    U16 { big_endian: bool },
}

impl Sample {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 { .. } => 2,
        }
    }
}

/// Largest number of blocks whose offsets are kept.
const MAX_BLOCKS: usize = 1 << 22;

impl Plain {
    /// The layout of a file with these rows, columns and bands, if it is plain: no compression, pixel-interleaved (or one
    /// band), unsigned samples of 8 or 16 bits, every block there and inside the file.
    pub fn open(path: &Path, (rows, cols): (usize, usize), bands: usize) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut tags = Decoder::new(BufReader::new(file.try_clone().ok()?)).ok()?;
        let mut number = |tag: Tag, default: u64| match tags.find_tag_unsigned::<u64>(tag) {
            Ok(found) => Some(found.unwrap_or(default)),
            Err(_) => None,
        };
        let same = number(Tag::ImageWidth, 0)? == cols as u64
            && number(Tag::ImageLength, 0)? == rows as u64
            && number(Tag::SamplesPerPixel, 1)? == bands as u64;
        let plain = number(Tag::Compression, 1)? == 1
            && (bands == 1 || number(Tag::PlanarConfiguration, 1)? == 1)
            && number(Tag::FillOrder, 1)? == 1;
        let (tile_cols, tile_rows) = (number(Tag::TileWidth, 0)? as usize, number(Tag::TileLength, 0)? as usize);
        let strip_rows = number(Tag::RowsPerStrip, u64::from(u32::MAX))?.min(rows as u64) as usize;
        if !(same && plain) || rows == 0 || cols == 0 || bands == 0 {
            return None;
        }
        let all = |found: Option<Vec<u64>>, value: u64, default: u64| {
            found.map_or(value == default, |v| v.len() == bands && v.iter().all(|n| *n == value))
        };
        let bits = tags.find_tag_unsigned_vec::<u64>(Tag::BitsPerSample).ok()?;
        let unsigned = all(tags.find_tag_unsigned_vec::<u64>(Tag::SampleFormat).ok()?, 1, 1);
        let sample = if all(bits.clone(), 8, 1) {
            Sample::U8
        } else if all(bits, 16, 1) {
            Sample::U16 { big_endian: is_big_endian(&file)? }
        } else {
            return None;
        };
        let is_tiled = tile_cols > 0 && tile_rows > 0;
        let block = if is_tiled { (tile_rows, tile_cols) } else { (strip_rows.max(1), cols) };
        let (offsets, counts) =
            if is_tiled { (Tag::TileOffsets, Tag::TileByteCounts) } else { (Tag::StripOffsets, Tag::StripByteCounts) };
        let offsets = tags.find_tag_unsigned_vec::<u64>(offsets).ok()??;
        let counts = tags.find_tag_unsigned_vec::<u64>(counts).ok()??;
        let across = cols.div_ceil(block.1);
        let blocks = rows.div_ceil(block.0).checked_mul(across).filter(|n| *n <= MAX_BLOCKS)?;
        let row_bytes = block.1.checked_mul(bands)?.checked_mul(sample.bytes())?;
        let whole = offsets.iter().zip(&counts).enumerate().all(|(k, (offset, count))| {
            // The last strip may be cut off below the image; tiles never are.
            let rows = if is_tiled { block.0 } else { block.0.min(rows - (k * block.0).min(rows)) };
            let needed = (rows as u64).saturating_mul(row_bytes as u64);
            *offset > 0 && *count >= needed && offset.checked_add(needed).is_some_and(|end| end <= length)
        });
        let fits = unsigned && offsets.len() == blocks && counts.len() == blocks && whole;
        fits.then_some(Self { file, cols, bands, sample, block, across, offsets })
    }

    /// Reads a window of some bands, counted from 0, samples side by side, (row, col, band). `bytes` is scratch.
    ///
    /// # Errors
    /// When the file ends too soon or cannot be read.
    pub fn read(&self, bands: &[usize], window: Window, bytes: &mut Vec<u8>, out: &mut [f32]) -> std::io::Result<()> {
        let pixel = self.bands * self.sample.bytes();
        let (left, top) = (window.col.max(0) as usize, window.row.max(0) as usize);
        let right = (left + window.cols).min(self.cols);
        let every = bands.len() == self.bands && bands.iter().enumerate().all(|(k, b)| k == *b);
        for (r, line) in out.chunks_exact_mut((window.cols * bands.len()).max(1)).enumerate().take(window.rows) {
            let row = top + r;
            let mut col = left;
            while col < right {
                // One block holds a run of the line.
                let (block_row, block_col) = (row / self.block.0, col / self.block.1);
                let end = right.min((block_col + 1) * self.block.1);
                let inside = (row % self.block.0) * self.block.1 + col % self.block.1;
                let Some(start) = self.offsets.get(block_row * self.across + block_col) else {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                };
                bytes.resize((end - col) * pixel, 0);
                self.file.read_exact_at(bytes, start + (inside * pixel) as u64)?;
                let to = &mut line[(col - left) * bands.len()..(end - left) * bands.len()];
                self.convert(bytes, every, bands, to);
                col = end;
            }
        }
        Ok(())
    }

    fn convert(&self, bytes: &[u8], every: bool, bands: &[usize], to: &mut [f32]) {
        match self.sample {
            Sample::U8 if every => to.iter_mut().zip(bytes).for_each(|(t, b)| *t = f32::from(*b)),
            Sample::U8 => pick(bytes, self.bands, bands, to, |[b]| f32::from(b)),
            Sample::U16 { big_endian: false } if every => {
                let (pairs, _) = bytes.as_chunks::<2>();
                to.iter_mut().zip(pairs).for_each(|(t, b)| *t = f32::from(u16::from_le_bytes(*b)));
            }
            Sample::U16 { big_endian: true } if every => {
                let (pairs, _) = bytes.as_chunks::<2>();
                to.iter_mut().zip(pairs).for_each(|(t, b)| *t = f32::from(u16::from_be_bytes(*b)));
            }
            Sample::U16 { big_endian: false } => {
                pick(bytes, self.bands, bands, to, |b| f32::from(u16::from_le_bytes(b)));
            }
            Sample::U16 { big_endian: true } => {
                pick(bytes, self.bands, bands, to, |b| f32::from(u16::from_be_bytes(b)));
            }
        }
    }
}

/// Takes some of `all` bands of each pixel.
fn pick<const N: usize>(bytes: &[u8], all: usize, bands: &[usize], to: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let (samples, _) = bytes.as_chunks::<N>();
    for (to, pixel) in to.chunks_exact_mut(bands.len().max(1)).zip(samples.chunks_exact(all)) {
        for (t, b) in to.iter_mut().zip(bands) {
            *t = pixel.get(*b).map_or(f32::NAN, |s| value(*s));
        }
    }
}

fn is_big_endian(file: &File) -> Option<bool> {
    let mut mark = [0; 2];
    file.read_exact_at(&mut mark, 0).ok()?;
    match &mark {
        b"II" => Some(false),
        b"MM" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use gdal::DriverManager;
    use gdal::raster::{Buffer, RasterCreationOptions};

    use super::*;
    use crate::read::Raster;

    fn write(path: &Path, (rows, cols): (usize, usize), bands: usize, options: &[&str]) {
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let options = RasterCreationOptions::from_iter(options.iter().copied());
        let d = driver.create_with_band_type_with_options::<u16, _>(path, cols, rows, bands, &options).unwrap();
        for b in 0..bands {
            let plane = (0..rows * cols).map(|i| ((i * 7919 + b * 104_729) % 65_536) as u16).collect();
            d.rasterband(b + 1).unwrap().write((0, 0), (cols, rows), &mut Buffer::new((cols, rows), plane)).unwrap();
        }
        d.close().unwrap();
    }

    #[test]
    fn every_plain_layout_gives_what_gdal_gives() {
        let dir = tempfile::tempdir().unwrap();
        for (k, options) in [
            &["INTERLEAVE=PIXEL"][..],
            &["INTERLEAVE=PIXEL", "BLOCKYSIZE=7"],
            &["INTERLEAVE=PIXEL", "ENDIANNESS=BIG"],
            &["INTERLEAVE=PIXEL", "TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=32"],
            &["INTERLEAVE=PIXEL", "BIGTIFF=YES", "BLOCKYSIZE=1"],
        ]
        .into_iter()
        .enumerate()
        {
            for bands in [1, 3, 4] {
                let path = dir.path().join(format!("{k}_{bands}.tif"));
                write(&path, (45, 53), bands, options);
                let plain = Plain::open(&path, (45, 53), bands).unwrap_or_else(|| panic!("{options:?}"));
                let raster = Raster::open(&path).unwrap();
                for window in [Window::new(0, 0, 45, 53), Window::new(3, 14, 40, 39), Window::new(44, 52, 1, 1)] {
                    for chosen in [(0..bands).collect::<Vec<_>>(), vec![bands - 1], (0..bands).rev().collect()] {
                        let mut found = vec![0.0; window.pixels() * chosen.len()];
                        plain.read(&chosen, window, &mut Vec::new(), &mut found).unwrap();
                        for (at, band) in chosen.iter().enumerate() {
                            let mut expected = vec![0.0; window.pixels()];
                            raster.read(*band, window, &mut expected).unwrap();
                            let found = found.iter().skip(at).step_by(chosen.len());
                            assert!(found.eq(&expected), "{options:?} {window} {chosen:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_gdal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        for options in [
            &["COMPRESS=DEFLATE"][..],
            &["INTERLEAVE=BAND"],
            &["NBITS=12", "INTERLEAVE=PIXEL"],
            &["SPARSE_OK=TRUE", "TILED=YES", "COMPRESS=LZW"],
        ] {
            write(&path, (40, 50), 3, options);
            assert!(Plain::open(&path, (40, 50), 3).is_none(), "{options:?}");
        }
        write(&path, (40, 50), 3, &["INTERLEAVE=PIXEL"]);
        assert!(Plain::open(&path, (40, 50), 3).is_some());
        assert!(Plain::open(&path, (40, 51), 3).is_none());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
        assert!(Plain::open(&path, (40, 50), 3).is_none(), "its last strip is cut off");
        std::fs::write(&path, "no tiff").unwrap();
        assert!(Plain::open(&path, (40, 50), 3).is_none());
    }
}
