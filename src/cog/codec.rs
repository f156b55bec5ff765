//! Pixels to compressed tiles: padding, predictor, codec.
//!
//! Invariant: the bytes of a tile depend on its covered pixels, the specification and the codec's version alone; what
//! buffers and contexts held before never reaches the file.

use std::collections::BTreeMap;
use std::io::Cursor;

use bytes::Bytes;
use zstd::bulk::Compressor;

use super::matches::{self, Search};
use super::pool::Buffer;
use super::predictor::{put_differences, put_plain, put_planes};
use super::sequences;
use super::{CogError, Compression, Layout, Predictor, SampleType, Spec, TileIndex};

mod sealed {
    pub trait Sealed {}
}

/// A type of samples a file can hold.
pub trait Sample: sealed::Sealed + Copy + PartialEq + Default + Send + Sync + 'static {
    /// Its [`SampleType`].
    const TYPE: SampleType;
    /// Its bytes.
    type Bytes: AsRef<[u8]>;
    /// Little-endian bytes.
    fn to_le(self) -> Self::Bytes;
    /// This minus `previous`, wrapping; for floats that of their bits.
    fn wrapping_difference(self, previous: Self) -> Self;
    /// The value, saturated to what the type can hold.
    fn from_f64(value: f64) -> Self;
}

macro_rules! integer_sample {
    ($type:ty, $name:ident) => {
        impl sealed::Sealed for $type {}
        impl Sample for $type {
            const TYPE: SampleType = SampleType::$name;
            type Bytes = [u8; size_of::<$type>()];
            #[inline(always)]
            fn to_le(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            #[inline(always)]
            fn wrapping_difference(self, previous: Self) -> Self {
                self.wrapping_sub(previous)
            }
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        }
    };
}
integer_sample!(u8, U8);
integer_sample!(u16, U16);
integer_sample!(i16, I16);
integer_sample!(u32, U32);

impl sealed::Sealed for f32 {}
impl Sample for f32 {
    const TYPE: SampleType = SampleType::F32;
    type Bytes = [u8; 4];
    #[inline(always)]
    fn to_le(self) -> Self::Bytes {
        self.to_le_bytes()
    }
    #[inline(always)]
    fn wrapping_difference(self, previous: Self) -> Self {
        Self::from_bits(self.to_bits().wrapping_sub(previous.to_bits()))
    }
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

/// A compressed tile, with the leader and the trailer that stand around it in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedTile {
    /// Where it belongs.
    pub index: TileIndex,
    framed: Bytes,
}

/// Bytes of the leader (the size of the tile) and of the trailer (its last bytes once more).
pub(super) const FRAME: usize = 4;

/// Times its size that a tile may hold while it waits; of what would hold more a copy waits. Buffers are touched only as far
/// as some tile of theirs reached, so most hold hardly more than their size.
const MOST_HELD: usize = 3;

impl EncodedTile {
    /// A tile of these compressed bytes.
    #[cfg(test)]
    pub(super) fn new(index: TileIndex, bytes: &[u8]) -> Result<Self, CogError> {
        let mut buffer = Buffer::of(bytes.len() + 2 * FRAME);
        buffer.bytes.resize(FRAME, 0);
        buffer.bytes.extend_from_slice(bytes);
        Self::of(index, buffer)
    }

    /// A tile of the bytes behind the place of its leader; leader and trailer are written around them.
    ///
    /// # Errors
    /// [`CogError::TileSize`] if no leader and trailer can be made for them.
    fn of(index: TileIndex, mut buffer: Buffer) -> Result<Self, CogError> {
        let size = buffer.bytes.len().saturating_sub(FRAME);
        let leader = u32::try_from(size).ok().filter(|n| *n as usize >= FRAME);
        let leader = leader.ok_or(CogError::TileSize { index, found: size })?;
        buffer.bytes[..FRAME].copy_from_slice(&leader.to_le_bytes());
        buffer.bytes.extend_from_within(size..);
        let fills = MOST_HELD * buffer.bytes.len() >= buffer.room();
        let framed = if fills { Bytes::from_owner(buffer) } else { Bytes::copy_from_slice(buffer.as_ref()) };
        Ok(Self { index, framed })
    }

    /// Its compressed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.framed[FRAME..self.framed.len() - FRAME]
    }

    /// Number of its compressed bytes.
    pub fn size(&self) -> u32 {
        // Checked when it was made.
        (self.framed.len() - 2 * FRAME) as u32
    }

    /// Leader, compressed bytes and trailer, as they stand in the file.
    pub fn into_framed(self) -> Bytes {
        self.framed
    }
}

/// Rows of samples somewhere in a larger image.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    /// Samples, interleaved by pixel, from the first one of the first row on.
    pub samples: &'a [T],
    /// Samples from the beginning of a row to that of the next.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
}

/// A tile on its way to the codec: rows come from above, and each leaves its samples behind as the bytes to compress.
#[derive(Debug)]
pub struct Draft {
    index: TileIndex,
    /// Rows and columns inside the image.
    covered: (usize, usize),
    /// Rows that came.
    rows: usize,
    bytes: Vec<u8>,
}

impl Draft {
    /// The tile.
    pub fn index(&self) -> TileIndex {
        self.index
    }

    /// Rows that have not come yet.
    pub fn missing(&self) -> usize {
        self.covered.0 - self.rows
    }

    /// Columns of the tile that lie inside the image.
    pub fn cols(&self) -> usize {
        self.covered.1
    }
}

/// Compression contexts and buffers of one thread. They are large, so all files share them: what is compressed with one
/// leaves no trace in what follows.
#[derive(Default)]
pub struct Codecs {
    zstd: BTreeMap<i32, Compressor<'static>>,
    differences: Option<(Search, sequences::Compressor)>,
    deflate: BTreeMap<i32, libdeflater::Compressor>,
    planes: Vec<u8>,
}

impl Codecs {
    /// The tile of what its predictor has left.
    ///
    /// # Errors
    /// [`CogError::CodecSetup`] if the codec refuses its level, [`CogError::Codec`].
    pub fn compress(
        &mut self,
        compression: Compression,
        index: TileIndex,
        predicted: Predicted<'_>,
    ) -> Result<EncodedTile, CogError> {
        let raw = predicted.bytes;
        let set_up = |source| CogError::CodecSetup { compression, source };
        let failed = |source| CogError::Codec { index, source };
        let (codec, bound) = match compression {
            Compression::Zstd { level: SEARCHED_LEVEL } if predicted.is_searched() => {
                let made = match self.differences.take() {
                    Some(made) => made,
                    None => {
                        let compressor = sequences::Compressor::new(SEARCHED_LEVEL, matches::SHORTEST);
                        (Search::default(), compressor.map_err(|e| set_up(std::io::Error::other(e)))?)
                    }
                };
                let (search, compressor) = self.differences.insert(made);
                (Codec::Differences(search, compressor), zstd::zstd_safe::compress_bound(raw.len()))
            }
            Compression::Zstd { level } => (
                Codec::Zstd(kept(&mut self.zstd, level, || Compressor::new(level).map_err(set_up))?),
                zstd::zstd_safe::compress_bound(raw.len()),
            ),
            Compression::Deflate { level } => {
                let new = || {
                    let level = libdeflater::CompressionLvl::new(level)
                        .map_err(|_| set_up(std::io::Error::other("libdeflate has no such level")))?;
                    Ok(libdeflater::Compressor::new(level))
                };
                let compressor = kept(&mut self.deflate, level, new)?;
                let bound = compressor.zlib_compress_bound(raw.len());
                (Codec::Deflate(compressor), bound)
            }
        };
        let mut buffer = Buffer::of(bound + 2 * FRAME);
        match codec {
            Codec::Differences(search, compressor) => {
                buffer.bytes.resize(FRAME, 0);
                compressor.compress(raw, search.run(raw), &mut buffer.bytes).map_err(|e| failed(e.into()))?;
            }
            Codec::Zstd(c) => {
                // Writes where nothing was written yet as well, and says how far.
                buffer.bytes.resize(FRAME, 0);
                let mut to = Cursor::new(&mut buffer.bytes);
                to.set_position(FRAME as u64);
                c.compress_to_buffer(raw, &mut to).map_err(|e| failed(e.into()))?;
            }
            Codec::Deflate(c) => {
                buffer.bytes.resize(FRAME + bound, 0);
                let size = c.zlib_compress(raw, &mut buffer.bytes[FRAME..]).map_err(|e| failed(e.into()))?;
                buffer.bytes.truncate(FRAME + size);
            }
        }
        EncodedTile::of(index, buffer)
    }
}

/// The level of Zstandard at which [`Codecs`] finds the matches of noisy 16-bit differences itself.
pub const SEARCHED_LEVEL: i32 = 3;

/// Bytes of a tile as its predictor has left them.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// Which predictor.
    pub predictor: Predictor,
    /// What it was given.
    pub sample: SampleType,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Predicted<'_> {
    /// True for 16-bit differences that [`Search`] suits.
    fn is_searched(&self) -> bool {
        self.predictor == Predictor::Horizontal && self.sample.size() == 2 && matches::suits(self.bytes)
    }
}

/// Logarithms of the table sizes of Zstandard 1.5.7 by level from 1 on: of the chain or tree, and of the hashes
/// (`ZSTD_defaultCParameters`, "for any srcSize > 256 KB", of clevels.h).
const ZSTD_TABLES: [(u32, u32); 22] = [
    (13, 14),
    (15, 16),
    (16, 17),
    (18, 18),
    (18, 19),
    (18, 19),
    (19, 20),
    (19, 20),
    (20, 21),
    (21, 22),
    (21, 22),
    (22, 23),
    (22, 22),
    (22, 23),
    (23, 23),
    (22, 22),
    (23, 22),
    (23, 22),
    (24, 22),
    (25, 23),
    (26, 24),
    (27, 25),
];

/// Bytes of a context of Zstandard beside its tables: of literals, sequences and entropy for a block of 128 KiB, and for the
/// search of optimal ones.
const ZSTD_OTHER: u64 = 3 << 19;

/// Bytes of a compressor of libdeflate: of the near-optimal parser (level 10 and on: 1.5 million matches and 300,000 nodes of
/// four and eight bytes), and of the others.
const DEFLATE_OPTIMAL: u64 = 10 << 20;
const DEFLATE_OTHER: u64 = 1 << 20;

impl Compression {
    /// Bytes that compressing tiles of `tile_bytes` takes in each thread, at most: the context, which grows with the level and
    /// the tile, and the worst case of the compressed tile.
    pub fn context_bytes(self, tile_bytes: usize) -> u64 {
        let (context, bound) = match self {
            Self::Zstd { level } => {
                let last = ZSTD_TABLES.len() - 1;
                let (chain, hash) = ZSTD_TABLES[usize::try_from(level - 1).map_or(0, |k| k.min(last))];
                // No table is larger than what the source can fill.
                let most = tile_bytes.max(1 << 18).next_power_of_two().ilog2() + 1;
                let (chain, hash) = (1_u64 << chain.min(most), 1 << hash.min(most));
                let tables = match level {
                    // Rows of hashes are searched, with a byte beside each; there is no chain, unless the source is small.
                    5..=12 if tile_bytes > 1 << 18 => 4 * hash + hash,
                    _ => 4 * (hash + chain),
                };
                let context = tables + ZSTD_OTHER;
                // Some tiles of a file may suit the search, and others not.
                let both = if level == SEARCHED_LEVEL { context + matches::memory(tile_bytes) as u64 } else { 0 };
                (context + both, zstd::zstd_safe::compress_bound(tile_bytes))
            }
            Self::Deflate { level } => {
                (if level >= 10 { DEFLATE_OPTIMAL } else { DEFLATE_OTHER }, tile_bytes + tile_bytes / 1000 + 1024)
            }
        };
        context + bound as u64
    }
}

enum Codec<'a> {
    Differences(&'a mut Search, &'a mut sequences::Compressor),
    Zstd(&'a mut Compressor<'static>),
    Deflate(&'a mut libdeflater::Compressor),
}

fn kept<T>(
    all: &mut BTreeMap<i32, T>,
    level: i32,
    new: impl FnOnce() -> Result<T, CogError>,
) -> Result<&mut T, CogError> {
    use std::collections::btree_map::Entry;
    Ok(match all.entry(level) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(new()?),
    })
}

/// Turns the pixels of a file into its compressed tiles.
#[derive(Debug, Clone)]
pub struct Encoder {
    layout: Layout,
    sample: SampleType,
    bands: usize,
    predictor: Predictor,
    fill: f64,
    compression: Compression,
    tile_bytes: usize,
}

impl Encoder {
    /// The encoder of the tiles of a file.
    ///
    /// # Errors
    /// [`CogError::Spec`] if no file can be made from `spec`.
    pub fn new(spec: &Spec) -> Result<Self, CogError> {
        spec.check()?;
        Ok(Self {
            layout: spec.layout(),
            sample: spec.sample,
            bands: spec.bands.len(),
            predictor: spec.predictor,
            fill: spec.nodata.unwrap_or(0.0),
            compression: spec.compression,
            tile_bytes: spec.tile_bytes(),
        })
    }

    /// Edge of a tile, pixels.
    pub fn tile(&self) -> usize {
        self.layout.tile
    }

    /// Bytes of a tile before it is compressed.
    pub fn tile_bytes(&self) -> usize {
        self.tile_bytes
    }

    /// Starts a tile in `buffer`, whatever that holds; best if it has the size of a tile.
    ///
    /// # Errors
    /// [`CogError::NoSuchTile`].
    pub fn start(&self, index: TileIndex, mut buffer: Vec<u8>) -> Result<Draft, CogError> {
        let covered = self.layout.covered(index);
        let covered = covered.ok_or(CogError::NoSuchTile { index, levels: self.layout.levels.len() })?;
        buffer.resize(self.tile_bytes, 0);
        Ok(Draft { index, covered, rows: 0, bytes: buffer })
    }

    /// Takes the next rows of a tile.
    ///
    /// # Shape
    /// Each row has the columns of the tile that lie inside the image. What lies beyond is stored as nodata, or 0 without it.
    ///
    /// # Errors
    /// [`CogError::Pixels`] if they have the wrong type, or are too many or too short.
    pub fn fill<T: Sample>(&self, draft: &mut Draft, rows: Rows<'_, T>, codecs: &mut Codecs) -> Result<(), CogError> {
        let inside = draft.covered.1 * self.bands;
        let needed = rows.rows.saturating_sub(1) * rows.stride + inside;
        if self.sample != T::TYPE || rows.rows > draft.missing() || rows.rows > 0 && rows.samples.len() < needed {
            let say = |sample: SampleType, rows: usize, samples: usize| {
                format!("{rows} rows in {samples} samples of {}", sample.name())
            };
            return Err(CogError::Pixels {
                index: draft.index,
                expected: say(self.sample, draft.missing(), needed),
                found: say(T::TYPE, rows.rows, rows.samples.len()),
            });
        }
        let to = &mut draft.bytes[draft.rows * self.row_bytes()..][..rows.rows * self.row_bytes()];
        for (number, to) in to.chunks_exact_mut(self.row_bytes()).enumerate() {
            self.put(&rows.samples[number * rows.stride..][..inside], to, codecs);
        }
        draft.rows += rows.rows;
        Ok(())
    }

    /// Compresses a tile; gives its buffer back, too.
    ///
    /// # Errors
    /// [`CogError::Pixels`] if rows are missing, [`CogError::CodecSetup`] if the codec refuses its level,
    /// [`CogError::Codec`].
    pub fn finish(&self, mut draft: Draft, codecs: &mut Codecs) -> Result<(EncodedTile, Vec<u8>), CogError> {
        if draft.missing() > 0 {
            let say = |rows| format!("{rows} rows");
            let (expected, found) = (say(draft.covered.0), say(draft.rows));
            return Err(CogError::Pixels { index: draft.index, expected, found });
        }
        for to in draft.bytes[draft.rows * self.row_bytes()..].chunks_exact_mut(self.row_bytes()) {
            match self.sample {
                SampleType::U8 => self.put::<u8>(&[], to, codecs),
                SampleType::U16 => self.put::<u16>(&[], to, codecs),
                SampleType::I16 => self.put::<i16>(&[], to, codecs),
                SampleType::U32 => self.put::<u32>(&[], to, codecs),
                SampleType::F32 => self.put::<f32>(&[], to, codecs),
            }
        }
        let predicted = Predicted { predictor: self.predictor, sample: self.sample, bytes: &draft.bytes };
        let tile = codecs.compress(self.compression, draft.index, predicted)?;
        Ok((tile, draft.bytes))
    }

    /// A tile whose pixels are all there.
    ///
    /// # Errors
    /// Those of [`Self::start`], [`Self::fill`] and [`Self::finish`].
    pub fn encode<T: Sample>(
        &self,
        index: TileIndex,
        rows: Rows<'_, T>,
        buffer: &mut Vec<u8>,
        codecs: &mut Codecs,
    ) -> Result<EncodedTile, CogError> {
        let mut draft = self.start(index, std::mem::take(buffer))?;
        self.fill(&mut draft, rows, codecs)?;
        let (tile, bytes) = self.finish(draft, codecs)?;
        *buffer = bytes;
        Ok(tile)
    }

    fn row_bytes(&self) -> usize {
        self.layout.tile * self.bands * self.sample.size()
    }

    /// One row, continued with the fill value to the edge of the tile.
    fn put<T: Sample>(&self, row: &[T], to: &mut [u8], codecs: &mut Codecs) {
        let fill = T::from_f64(self.fill);
        match self.predictor {
            Predictor::None => put_plain(row, fill, to),
            Predictor::Horizontal => put_differences(row, fill, self.bands, to),
            Predictor::Float => put_planes(row, fill, self.bands, &mut codecs.planes, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::synthetic;

    /// Against what the library itself says its context takes after a tile of this size; beside it, at one level, a search of
    /// matches has a context of its own.
    #[test]
    fn a_context_takes_what_is_said_and_not_much_less() {
        use zstd::zstd_safe::{CCtx, CParameter, compress_bound};
        let mut search = Search::default();
        for tile_bytes in [1 << 18, 512 * 512 * 2, 512 * 512 * 6, 512 * 512 * 8] {
            let raw = vec![0_u8; tile_bytes];
            let mut out = vec![0_u8; compress_bound(tile_bytes)];
            for level in 1..=22 {
                let mut context = CCtx::create();
                context.set_parameter(CParameter::CompressionLevel(level)).unwrap();
                context.compress2(out.as_mut_slice(), &raw).unwrap();
                let mut takes = (context.sizeof() + out.len()) as u64;
                if level == SEARCHED_LEVEL {
                    let mut compressor = sequences::Compressor::new(level, matches::SHORTEST).unwrap();
                    compressor.compress(&raw, search.run(&raw), &mut Vec::new()).unwrap();
                    takes += (search.size() + compressor.size()) as u64;
                }
                let said = Compression::Zstd { level }.context_bytes(tile_bytes);
                assert!(takes <= said, "level {level}, {tile_bytes} bytes: {takes} of {said}");
                // For small tiles some levels take smaller tables.
                assert!(said <= takes + takes / 2 + (3 << 20), "level {level}, {tile_bytes} bytes: {takes} of {said}");
            }
        }
    }

    fn encode<T: Sample>(
        encoder: &Encoder,
        index: TileIndex,
        pixels: &[T],
        codecs: &mut Codecs,
    ) -> Result<EncodedTile, CogError> {
        let stride = encoder.layout.tile * encoder.bands;
        let rows = encoder.layout.covered(index).map_or(1, |(rows, _)| rows);
        encoder.encode(index, Rows { samples: pixels, stride, rows }, &mut vec![7; 3], codecs)
    }

    #[test]
    fn what_lies_beyond_the_edge_is_fill_whatever_stood_there() {
        let spec = synthetic::spec(100, 70, 64, SampleType::U16, 3);
        let index = TileIndex { level: 0, row: 1, col: 1 };
        let clean = vec![9u16; spec.tile_samples()];
        let mut dirty = clean.clone();
        for (i, v) in dirty.iter_mut().enumerate() {
            let (row, col) = (i / (64 * 3), i / 3 % 64);
            if row >= 36 || col >= 6 {
                *v = i as u16;
            }
        }
        let (encoder, mut codecs) = (Encoder::new(&spec).unwrap(), Codecs::default());
        let a = encode(&encoder, index, &clean, &mut codecs).unwrap();
        assert_eq!(a, encode(&encoder, index, &dirty, &mut codecs).unwrap());
        let raw = zstd::bulk::decompress(a.bytes(), spec.tile_bytes()).unwrap();
        let undone = |row: usize| {
            let mut line: Vec<u16> =
                raw[row * 384..(row + 1) * 384].chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            (3..192).for_each(|i| line[i] = line[i].wrapping_add(line[i - 3]));
            line
        };
        assert_eq!((&undone(0)[..18], &undone(35)[18..]), (&[9u16; 18][..], &[0u16; 174][..]));
        assert_eq!(undone(36), vec![0u16; 192]);
        assert_eq!(a.size() as usize, a.bytes().len());
    }

    #[test]
    fn rows_that_come_bit_by_bit_make_the_same_tile() {
        let spec = synthetic::spec(64, 60, 64, SampleType::U16, 2);
        let (encoder, mut codecs) = (Encoder::new(&spec).unwrap(), Codecs::default());
        let index = TileIndex { level: 0, row: 0, col: 0 };
        let pixels: Vec<u16> = synthetic::tile(&spec, 3);
        let whole = encode(&encoder, index, &pixels, &mut codecs).unwrap();
        let mut draft = encoder.start(index, vec![1; 5]).unwrap();
        for (start, rows) in [(0, 1), (1, 20), (21, 43)] {
            let rows = Rows { samples: &pixels[start * 128..], stride: 128, rows };
            encoder.fill(&mut draft, rows, &mut codecs).unwrap();
        }
        assert_eq!((draft.missing(), draft.cols(), draft.index()), (0, 60, index));
        assert_eq!(encoder.finish(draft, &mut codecs).unwrap().0, whole);
    }

    #[test]
    fn what_the_codec_did_before_does_not_matter() {
        for compression in [Compression::Zstd { level: 3 }, Compression::Deflate { level: 6 }] {
            let spec = Spec { compression, ..synthetic::spec(640, 64, 64, SampleType::U16, 2) };
            let tiles: Vec<Vec<u16>> = (0..10).map(|t| synthetic::tile(&spec, t)).collect();
            let (encoder, mut used) = (Encoder::new(&spec).unwrap(), Codecs::default());
            for (row, tile) in tiles.iter().enumerate() {
                let index = TileIndex { level: 0, row, col: 0 };
                let fresh = encode(&encoder, index, tile, &mut Codecs::default()).unwrap();
                assert_eq!(encode(&encoder, index, tile, &mut used).unwrap(), fresh);
            }
        }
    }

    /// Which compressor a tile has: noisy differences at the default level the search, all else libzstd alone.
    #[test]
    fn noise_of_16_bits_is_searched_and_nothing_else() {
        let mut state = 1;
        let pixels: Vec<u16> = (0..1 << 16).map(|_| (synthetic::random(&mut state) % 100) as u16).collect();
        let smooth: Vec<u16> = (0..1 << 16).map(|n| (n / 3) as u16).collect();
        let all_of = |pixels: &[u16], predictor, level| {
            let compression = Compression::Zstd { level };
            let spec = Spec { compression, predictor, ..synthetic::spec(256, 256, 256, SampleType::U16, 1) };
            let (encoder, mut codecs) = (Encoder::new(&spec).unwrap(), Codecs::default());
            let tile = encode(&encoder, TileIndex { level: 0, row: 0, col: 0 }, pixels, &mut codecs).unwrap();
            let raw = zstd::bulk::decompress(tile.bytes(), spec.tile_bytes()).unwrap();
            let (alone, mut searched) = (zstd::bulk::compress(&raw, level).unwrap(), Vec::new());
            let mut compressor = sequences::Compressor::new(level, matches::SHORTEST).unwrap();
            compressor.compress(&raw, Search::default().run(&raw), &mut searched).unwrap();
            assert_ne!(alone, searched);
            (tile.bytes() == alone, tile.bytes() == searched)
        };
        assert_eq!(all_of(&pixels, Predictor::Horizontal, SEARCHED_LEVEL), (false, true));
        assert_eq!(all_of(&pixels, Predictor::Horizontal, SEARCHED_LEVEL + 1), (true, false));
        assert_eq!(all_of(&pixels, Predictor::None, SEARCHED_LEVEL), (true, false));
        assert_eq!(all_of(&smooth, Predictor::Horizontal, SEARCHED_LEVEL), (true, false));
    }

    #[test]
    fn codecs_and_writers_may_move_between_threads() {
        fn moves<T: Send>() {}
        moves::<Codecs>();
        moves::<crate::cog::Writer>();
    }

    #[test]
    fn pixels_of_the_wrong_type_or_number_are_refused() {
        let spec = synthetic::spec(16, 16, 16, SampleType::U16, 1);
        let (encoder, mut codecs) = (Encoder::new(&spec).unwrap(), Codecs::default());
        let index = TileIndex { level: 0, row: 0, col: 0 };
        assert!(encode(&encoder, index, &[0u8; 256], &mut codecs).unwrap_err().to_string().contains("uint8"));
        assert!(matches!(encode(&encoder, index, &[0u16; 255], &mut codecs), Err(CogError::Pixels { .. })));
        let outside = TileIndex { col: 1, ..index };
        assert!(matches!(encode(&encoder, outside, &[0u16; 256], &mut codecs), Err(CogError::NoSuchTile { .. })));
        let mut draft = encoder.start(index, Vec::new()).unwrap();
        let rows = |rows| Rows { samples: &[0u16; 512], stride: 16, rows };
        assert!(matches!(encoder.fill(&mut draft, rows(17), &mut codecs), Err(CogError::Pixels { .. })));
        encoder.fill(&mut draft, rows(15), &mut codecs).unwrap();
        assert!(matches!(encoder.finish(draft, &mut codecs), Err(CogError::Pixels { .. })));
        assert!(matches!(EncodedTile::new(index, &[0; 3]), Err(CogError::TileSize { found: 3, .. })));
    }
}
