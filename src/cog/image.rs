//! One directory of a file as an image cut into blocks.
//!
//! Invariant: in an [`Image`] the offset and byte-count arrays have exactly one entry per block, so rules may walk them
//! together.

use std::io::{Read, Seek};

use super::CogError;
use super::directory::tag;
use super::tiff_reader::{Directory, Tiff};

/// An image: full resolution, overview or mask.
#[derive(Debug)]
pub(super) struct Image {
    /// Where its directory begins.
    pub directory: u64,
    /// Where its directory ends.
    pub directory_end: u64,
    pub reduced: bool,
    pub mask: bool,
    pub rows: u64,
    pub cols: u64,
    /// False for strips.
    pub tiled: bool,
    pub block_rows: u64,
    pub block_cols: u64,
    pub samples: u64,
    /// Bits of a sample.
    pub bits: u64,
    /// Bands that carry transparency.
    pub alphas: u64,
    /// True when samples are integers.
    pub integer: bool,
    /// True when each band has its own blocks.
    pub separate: bool,
    pub photometric: u64,
    pub offsets: Vec<u64>,
    pub byte_counts: Vec<u64>,
}

/// Most samples of a pixel: their number has 16 bits.
///
/// # Reference
/// TIFF 6.0, SamplesPerPixel.
const MOST_SAMPLES: u64 = u16::MAX as u64;

/// Most bits of a sample: a complex number of two doubles.
const MOST_BITS: u64 = 128;

impl Image {
    /// Reads what a directory says of its image.
    pub fn read<R: Read + Seek>(tiff: &mut Tiff<R>, directory: &Directory) -> Result<Self, CogError> {
        let mut or = |tag, default| Ok::<_, CogError>(tiff.integer(directory, tag)?.unwrap_or(default));
        let subfile = or(tag::NEW_SUBFILE_TYPE, 0)?;
        let (rows, cols) = (or(tag::IMAGE_LENGTH, 0)?, or(tag::IMAGE_WIDTH, 0)?);
        let samples = or(tag::SAMPLES_PER_PIXEL, 1)?;
        let separate = or(tag::PLANAR_CONFIGURATION, 1)? == 2;
        let integer = or(tag::SAMPLE_FORMAT, 1)? <= 2;
        let photometric = or(tag::PHOTOMETRIC, 1)?;
        let tiled = directory.find(tag::TILE_WIDTH).is_some();
        let (block_rows, block_cols) = if tiled {
            (or(tag::TILE_LENGTH, 0)?, or(tag::TILE_WIDTH, 0)?)
        } else {
            (or(tag::ROWS_PER_STRIP, u64::MAX)?.min(rows), cols)
        };
        let all_bits = tiff.integers(directory, tag::BITS_PER_SAMPLE)?.unwrap_or_default();
        let extra = tiff.integers(directory, tag::EXTRA_SAMPLES)?.unwrap_or_default();
        let (offset_tag, count_tag) = if tiled {
            (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
        } else {
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let offsets = tiff.integers(directory, offset_tag)?.unwrap_or_default();
        let byte_counts = tiff.integers(directory, count_tag)?.unwrap_or_default();

        let at = |what: &str| format!("{what} of the directory at offset {}", directory.offset);
        let sizes = [rows, cols, samples, block_rows, block_cols];
        if sizes.contains(&0) {
            let found = format!("{rows}, {cols}, {samples}, {block_rows}, {block_cols}");
            let field = at("rows, columns, samples, rows and columns of a block");
            return Err(tiff.malformed(&field, "all above 0", found));
        }
        if samples > MOST_SAMPLES {
            return Err(tiff.malformed(&at("samples"), &format!("at most {MOST_SAMPLES}"), samples));
        }
        let bits = all_bits.first().copied().unwrap_or(1);
        if !(1..=MOST_BITS).contains(&bits) || all_bits.iter().any(|b| *b != bits) {
            let expected = format!("the same of all samples, 1 to {MOST_BITS}");
            return Err(tiff.malformed(&at("bits of samples"), &expected, format!("{all_bits:?}")));
        }
        let planes = if separate { samples } else { 1 };
        let blocks =
            rows.div_ceil(block_rows).checked_mul(cols.div_ceil(block_cols)).and_then(|n| n.checked_mul(planes));
        if blocks != Some(offsets.len() as u64) || offsets.len() != byte_counts.len() {
            let expected = blocks.map_or_else(|| "fewer blocks".to_owned(), |n| format!("{n} of each"));
            let found = format!("{} and {}", offsets.len(), byte_counts.len());
            return Err(tiff.malformed(&at("offsets and byte counts"), &expected, found));
        }
        Ok(Self {
            directory: directory.offset,
            directory_end: directory.end,
            reduced: subfile & 1 != 0,
            mask: subfile & 4 != 0,
            rows,
            cols,
            tiled,
            block_rows,
            block_cols,
            samples,
            bits,
            alphas: extra.iter().filter(|kind| matches!(kind, 1 | 2)).count() as u64,
            integer,
            separate,
            photometric,
            offsets,
            byte_counts,
        })
    }

    /// Bytes of a block, decoded, however few it has in the file.
    pub fn block_bytes(&self) -> u64 {
        let samples = if self.separate { 1 } else { self.samples };
        let factors = [self.block_rows, self.block_cols, samples, self.bits.div_ceil(8)];
        factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor))
    }

    /// Offsets and byte counts in array order.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, u64)> {
        self.offsets.iter().copied().zip(self.byte_counts.iter().copied())
    }

    /// Offsets in the order the blocks should stand in the file: array order, or band after band for each tile.
    pub fn offsets_in_file_order(&self, bands_together: bool) -> impl Iterator<Item = u64> {
        let planes = if self.separate && bands_together { self.samples as usize } else { 1 };
        let per_plane = self.offsets.len() / planes;
        (0..per_plane).flat_map(move |block| {
            (0..planes).filter_map(move |plane| self.offsets.get(plane * per_plane + block).copied())
        })
    }

    /// Size for messages.
    pub fn size(&self) -> String {
        format!("{} × {} pixels", self.cols, self.rows)
    }
}
