//! What the directory of a TIFF says: where its blocks stand, how they are packed, what their samples are.

use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use tiff::tags::Tag;

use crate::arrival::Arrival;
use crate::cog::tiff_reader::{Directory, Limits, Tiff};

/// Type of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Floating point, 32 bits.
    F32,
}

impl Sample {
    /// Its size.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
        }
    }

    /// The type of so many bits, of a SampleFormat.
    fn of(bits: u64, format: u64) -> Option<Self> {
        match (bits, format) {
            (8, 1) => Some(Self::U8),
            (16, 1) => Some(Self::U16),
            (16, 2) => Some(Self::I16),
            (32, 1) => Some(Self::U32),
            (32, 2) => Some(Self::I32),
            (32, 3) => Some(Self::F32),
            _ => None,
        }
    }
}

/// How a block is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// Zlib streams.
    Deflate,
    /// TIFF's LZW, high bits first.
    Lzw,
    /// Zstandard frames.
    Zstd,
}

/// What was done to the samples before they were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predictor {
    /// Nothing.
    None,
    /// Differences to the pixel at the left.
    Horizontal,
    /// Differences of the bytes of a row, sorted by significance.
    Float,
}

/// Where the samples of a file stand, and how.
#[derive(Debug)]
pub struct Layout {
    pub rows: usize,
    pub cols: usize,
    pub bands: usize,
    pub sample: Sample,
    pub is_big_endian: bool,
    /// Each band has blocks of its own.
    pub is_planar: bool,
    pub is_tiled: bool,
    /// Rows of a block, and its columns.
    pub block: (usize, usize),
    pub packing: Packing,
    pub predictor: Predictor,
    /// Where each block begins: by band if planar, then row by row.
    pub offsets: Vec<u64>,
    /// Bytes of each compressed block, 0 for those that are not there and so hold zeros; empty for plain files.
    pub counts: Vec<u32>,
}

/// Largest number of blocks: their places are kept.
const MAX_BLOCKS: usize = 1 << 22;

/// Largest decoded size of a compressed block. Every thread may hold one beside the cache.
const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// What compression may add to a block that cannot be compressed: LZW at most half of its size and its codes, all others
/// much less.
const fn most_packed(bytes: u64) -> u64 {
    2 * bytes + 4096
}

impl Layout {
    /// The layout of a file with these rows, columns and bands; `None` if it is not a simple one, or no TIFF, and so is left
    /// to GDAL. Simple are whole samples, grey, colour or numbers of colours as they stand, every block of a sane size, or not
    /// there where nothing says what it holds then.
    pub fn of<R: Read + Seek>(
        path: &Path,
        file: R,
        (rows, cols): (usize, usize),
        bands: usize,
        arrival: Option<&Arrival>,
    ) -> Option<Self> {
        let limits = Limits { value_bytes: 2 * 8 * MAX_BLOCKS as u64 + (1 << 20), ..Limits::default() };
        let mut tiff = Tiff::open(path, file, limits).ok()?;
        let directory = tiff.directories().ok()?.into_iter().next()?;
        let mut tags = Tags { tiff, directory };
        let size = (tags.number(Tag::ImageLength, 0)?, tags.number(Tag::ImageWidth, 0)?);
        let same = size == (rows as u64, cols as u64) && tags.number(Tag::SamplesPerPixel, 1)? == bands as u64;
        if !same || rows == 0 || cols == 0 || bands == 0 {
            return None;
        }
        // Other colours than grey, RGB and a palette may be converted by GDAL; other orders of bits and volumes are not for us.
        let simple = matches!(tags.number(Tag::PhotometricInterpretation, 1)?, 1..=3)
            && tags.number(Tag::FillOrder, 1)? == 1
            && tags.number(IMAGE_DEPTH, 1)? == 1
            && tags.number(TILE_DEPTH, 1)? == 1;
        let bits = tags.same(Tag::BitsPerSample, bands, 1)?;
        let sample = Sample::of(bits, tags.same(Tag::SampleFormat, bands, 1)?).filter(|_| simple)?;
        let packing = match tags.number(Tag::Compression, 1)? {
            1 => Packing::Plain,
            5 => Packing::Lzw,
            8 | 32946 => Packing::Deflate,
            50000 => Packing::Zstd,
            _ => return None,
        };
        let predictor = match (tags.number(Tag::Predictor, 1)?, packing) {
            (1, _) => Predictor::None,
            (_, Packing::Plain) => return None,
            (2, _) => Predictor::Horizontal,
            (3, _) if sample == Sample::F32 => Predictor::Float,
            _ => return None,
        };
        let is_planar = match tags.number(Tag::PlanarConfiguration, 1)? {
            1 => false,
            2 => bands > 1,
            _ => return None,
        };
        let tile = (tags.number(Tag::TileLength, 0)?, tags.number(Tag::TileWidth, 0)?);
        let is_tiled = tile != (0, 0);
        let strip = tags.number(Tag::RowsPerStrip, u64::from(u32::MAX))?.min(rows as u64);
        let (block_rows, block_cols) = if is_tiled { tile } else { (strip, cols as u64) };
        if block_rows == 0 || block_cols == 0 {
            return None;
        }
        let block = (usize::try_from(block_rows).ok()?, usize::try_from(block_cols).ok()?);
        let mut layout = Self {
            rows,
            cols,
            bands,
            sample,
            is_big_endian: tags.tiff.is_big_endian(),
            is_planar,
            is_tiled,
            block,
            packing,
            predictor,
            offsets: Vec::new(),
            counts: Vec::new(),
        };
        let (strips, tiles) = ([Tag::StripOffsets, Tag::StripByteCounts], [Tag::TileOffsets, Tag::TileByteCounts]);
        let ([offsets, counts], others) = if is_tiled { (tiles, strips) } else { (strips, tiles) };
        // libtiff takes strips for tiles and the other way round: of both, the last.
        if others.iter().any(|tag| tags.directory.find(tag.to_u16()).is_some()) {
            return None;
        }
        layout.offsets = tags.numbers(offsets)?;
        let counts = tags.numbers(counts)?;
        // GDAL fills blocks that are not there with its nodata value.
        let may_lack = packing != Packing::Plain && tags.directory.find(Tag::GdalNodata.to_u16()).is_none();
        layout.counts = layout.checked(&counts, may_lack)?;
        // Of a lone strip without a size but with a place, libtiff estimates the size (`ByteCountLooksBad`).
        if !is_tiled && *layout.counts == [0] && *layout.offsets != [0] {
            return None;
        }
        let first = layout.counts.iter().position(|count| *count > 0);
        let is_old = match first.and_then(|k| layout.offsets.get(k)) {
            Some(offset) if packing == Packing::Lzw => {
                let start = match arrival {
                    Some(arrival) => {
                        let two = *offset..offset.checked_add(2)?;
                        arrival.probe(std::slice::from_ref(&two)).ok()?.concat()
                    }
                    None => tags.tiff.bytes(*offset, 2).ok()?,
                };
                is_old_lzw(&start)
            }
            _ => false,
        };
        (!is_old).then_some(layout)
    }

    /// The byte counts if all places are sane, and there unless blocks may be lacking. Places beyond the end of the file pass:
    /// reading them is an error.
    fn checked(&self, counts: &[u64], may_lack: bool) -> Option<Vec<u32>> {
        let planes = if self.is_planar { self.bands } else { 1 };
        let blocks = self.down().checked_mul(self.across())?.checked_mul(planes).filter(|n| *n <= MAX_BLOCKS)?;
        let row = (self.block.1 as u64).checked_mul(self.pixel_bytes() as u64)?;
        let whole = (self.block.0 as u64).checked_mul(row)?;
        let is_packed = self.packing != Packing::Plain;
        if self.offsets.len() != blocks || counts.len() != blocks || is_packed && whole > MAX_BLOCK_BYTES {
            return None;
        }
        let sane = |(k, (offset, count)): (usize, (&u64, &u64))| {
            // A plain one may be longer than its samples, never shorter.
            let enough = is_packed || *count >= self.block_rows(k) as u64 * row;
            let is_there = *offset > 0 && *count > 0;
            // GDAL asks for the bytes alone whether it is there.
            let is_lacking = *count == 0 && may_lack;
            (is_there || is_lacking) && enough && (!is_packed || *count <= most_packed(whole))
        };
        if !self.offsets.iter().zip(counts).enumerate().all(sane) {
            return None;
        }
        Some(if is_packed { counts.iter().map(|n| *n as u32).collect() } else { Vec::new() })
    }

    /// Blocks beside each other.
    pub fn across(&self) -> usize {
        self.cols.div_ceil(self.block.1)
    }

    /// Blocks above each other.
    pub fn down(&self) -> usize {
        self.rows.div_ceil(self.block.0)
    }

    /// Samples of a pixel that stand in the same block.
    pub fn pixel_samples(&self) -> usize {
        if self.is_planar { 1 } else { self.bands }
    }

    /// Bytes of a pixel in a block.
    pub fn pixel_bytes(&self) -> usize {
        self.pixel_samples() * self.sample.bytes()
    }

    /// Bytes of a row of a block.
    pub fn row_bytes(&self) -> usize {
        self.block.1 * self.pixel_bytes()
    }

    /// Some columns of a decoded block, in memory that may serve for it.
    pub fn columns(&self, cols: Range<usize>, block: &[u8], memory: Vec<u8>) -> Vec<u8> {
        let pixel = self.pixel_bytes();
        let needed = block.len() / self.row_bytes().max(1) * cols.len() * pixel;
        // What is kept is charged by its capacity: no large memory for a small block.
        let fits = memory.capacity() >= needed && memory.capacity() / 2 <= needed;
        let mut kept = if fits { memory } else { Vec::with_capacity(needed) };
        kept.clear();
        for row in block.chunks_exact(self.row_bytes().max(1)) {
            kept.extend_from_slice(&row[cols.start * pixel..cols.end * pixel]);
        }
        kept
    }

    /// Rows that a block holds: the last strip ends with the image, tiles are always whole.
    pub fn block_rows(&self, index: usize) -> usize {
        let above = index / self.across() % self.down() * self.block.0;
        if self.is_tiled { self.block.0 } else { self.block.0.min(self.rows - above) }
    }

    /// A block, for messages.
    pub fn name(&self, index: usize) -> String {
        format!("{} {index}", if self.is_tiled { "tile" } else { "strip" })
    }
}

/// Old files have LZW with the low bits first. Their first code, to clear the table, gives them away: libtiff's
/// `LZWPreDecode` looks for the same two bytes.
fn is_old_lzw(start: &[u8]) -> bool {
    matches!(start, [0, second] if second & 1 == 1)
}

/// Tags of volumes, which the crate does not name.
const IMAGE_DEPTH: Tag = Tag::Unknown(32997);
const TILE_DEPTH: Tag = Tag::Unknown(32998);

struct Tags<R> {
    tiff: Tiff<R>,
    directory: Directory,
}

impl<R: Read + Seek> Tags<R> {
    fn number(&mut self, tag: Tag, default: u64) -> Option<u64> {
        self.tiff.integer(&self.directory, tag.to_u16()).ok().map(|found| found.unwrap_or(default))
    }

    fn numbers(&mut self, tag: Tag) -> Option<Vec<u64>> {
        self.tiff.integers(&self.directory, tag.to_u16()).ok()?
    }

    /// A value that all bands share.
    fn same(&mut self, tag: Tag, bands: usize, default: u64) -> Option<u64> {
        let found = self.tiff.integers(&self.directory, tag.to_u16()).ok()?;
        let Some(values) = found else { return Some(default) };
        let first = *values.first()?;
        (values.len() == bands && values.iter().all(|v| *v == first)).then_some(first)
    }
}
