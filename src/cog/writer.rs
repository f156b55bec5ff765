//! Tiles to the bytes of a file, without I/O.
//!
//! Invariant: `prefix ++ parts in order ++ rest` is the file, and is the same for any order of arrival. Full-resolution
//! tiles leave in row-major order as soon as all before them came; everything in front of them waits for
//! [`Writer::finish`], because offsets are known only when all sizes are.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::codec::FRAME;
use super::directory::{self, TileTable};
use super::metadata::gdal_metadata;
use super::{BandStatistics, CogError, EncodedTile, Layout, Spec};

/// A piece of the file behind the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Position among the pieces, from 0.
    pub number: usize,
    /// Its bytes, in chunks that stand one after another.
    pub chunks: Vec<Bytes>,
}

/// What is left of a file when all tiles have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The file up to its full-resolution data, which comes first, in chunks that stand one after another.
    pub prefix: Vec<Bytes>,
    /// The last piece behind the prefix, if anything is left.
    pub rest: Option<Part>,
    /// Bytes up to the first tile: what a reader needs to know the whole file.
    pub header_size: u64,
    /// Bytes of the file.
    pub file_size: u64,
}

/// Bytes a part has at least, unless it is the last: what object stores ask for. The smaller, the earlier the first leaves.
pub const DEFAULT_PART_SIZE: usize = 5 << 20;

/// Makes the bytes of a file from its tiles.
pub struct Writer {
    spec: Spec,
    layout: Layout,
    part_size: usize,
    parts: usize,
    /// Byte counts of the full-resolution tiles that left; the next one to leave is at its length.
    left: Vec<u32>,
    ahead: BTreeMap<usize, EncodedTile>,
    tail: Vec<Bytes>,
    tail_bytes: usize,
    overviews: Vec<Vec<Option<EncodedTile>>>,
    waiting_bytes: usize,
}

impl Writer {
    /// A writer of the file `spec` describes.
    ///
    /// # Errors
    /// [`CogError::Spec`] if no file can be made from it.
    pub fn new(spec: Spec) -> Result<Self, CogError> {
        spec.check()?;
        let layout = spec.layout();
        Ok(Self::with_layout(spec, layout))
    }

    /// Separate from [`Writer::new`] so that tests can make pyramids that break a rule.
    pub(super) fn with_layout(spec: Spec, layout: Layout) -> Self {
        let overviews = layout.levels.iter().skip(1).map(|l| vec![None; l.tile_count() as usize]).collect();
        Self {
            spec,
            layout,
            part_size: DEFAULT_PART_SIZE,
            parts: 0,
            left: Vec::new(),
            ahead: BTreeMap::new(),
            tail: Vec::new(),
            tail_bytes: 0,
            overviews,
            waiting_bytes: 0,
        }
    }

    /// The writer with another least size of parts, in bytes.
    #[must_use]
    pub fn with_part_size(mut self, bytes: usize) -> Self {
        self.part_size = bytes.max(1);
        self
    }

    /// What the file is to be.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its pyramid.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes of tiles the writer holds: those ahead of their turn, overviews, and the part being filled.
    pub fn held_bytes(&self) -> usize {
        self.waiting_bytes + self.tail_bytes
    }

    /// True when the file is likely to have several parts, going by the tiles that came so far.
    pub fn expects_parts(&self) -> bool {
        let came = self.left.len() + self.ahead.len();
        let all = self.layout.levels.first().map_or(0, |l| l.tile_count() as usize);
        let bytes = self.held_bytes() + self.parts * self.part_size;
        came > 0 && bytes * all >= 2 * self.part_size * came
    }

    /// Takes a tile, in any order; returns a part when one is full.
    ///
    /// # Errors
    /// [`CogError::NoSuchTile`], [`CogError::DuplicateTile`].
    pub fn push(&mut self, tile: EncodedTile) -> Result<Option<Part>, CogError> {
        let index = tile.index;
        let outside = CogError::NoSuchTile { index, levels: self.layout.levels.len() };
        let Some(position) = self.layout.position(index) else { return Err(outside) };
        let size = tile.size() as usize;
        if index.level > 0 {
            let slot = self.overviews.get_mut(index.level - 1).and_then(|l| l.get_mut(position)).ok_or(outside)?;
            if slot.is_some() {
                return Err(CogError::DuplicateTile { index });
            }
            *slot = Some(tile);
            self.waiting_bytes += size;
            return Ok(None);
        }
        if position < self.left.len() || self.ahead.contains_key(&position) {
            return Err(CogError::DuplicateTile { index });
        }
        self.ahead.insert(position, tile);
        self.waiting_bytes += size;
        while let Some(tile) = self.ahead.remove(&self.left.len()) {
            self.waiting_bytes -= tile.size() as usize;
            self.left.push(tile.size());
            let framed = tile.into_framed();
            self.tail_bytes += framed.len();
            self.tail.push(framed);
        }
        Ok(if self.tail_bytes >= self.part_size { self.cut() } else { None })
    }

    fn cut(&mut self) -> Option<Part> {
        self.tail_bytes = 0;
        let chunks = std::mem::take(&mut self.tail);
        (!chunks.is_empty()).then(|| {
            self.parts += 1;
            Part { number: self.parts - 1, chunks }
        })
    }

    /// What stands before the full-resolution data, and the last part behind it.
    ///
    /// `statistics` holds those of each band, `None` for a band without a valid pixel.
    ///
    /// # Errors
    /// [`CogError::MissingTiles`] if tiles did not come, [`CogError::StatisticsCount`], and [`CogError::TooLarge`] if a
    /// classic TIFF turned out larger than 4 GiB.
    pub fn finish(mut self, statistics: &[Option<BandStatistics>]) -> Result<Finished, CogError> {
        let metadata = gdal_metadata(&self.spec, statistics)?;
        let overviews = self.take_overviews()?;
        let sizes = |tiles: &Vec<EncodedTile>| tiles.iter().map(EncodedTile::size).collect();
        let mut tables: Vec<TileTable> = std::iter::once(std::mem::take(&mut self.left))
            .chain(overviews.iter().map(sizes))
            .map(|byte_counts: Vec<u32>| TileTable { offsets: vec![0; byte_counts.len()], byte_counts })
            .collect();

        let bigtiff = self.spec.is_bigtiff();
        let encode = |tables: &[TileTable]| {
            directory::encode(bigtiff, &directory::directories(&self.spec, &self.layout, &metadata, tables)?)
        };
        let header_size = encode(&tables)?.len() as u64;
        let mut end = header_size;
        for table in tables.iter_mut().rev() {
            for (offset, count) in table.offsets.iter_mut().zip(&table.byte_counts) {
                *offset = end + FRAME as u64;
                end += u64::from(*count) + 2 * FRAME as u64;
            }
        }
        if !bigtiff && end > u64::from(u32::MAX) {
            return Err(CogError::TooLarge { found: end });
        }

        let mut prefix = vec![Bytes::from(encode(&tables)?)];
        prefix.extend(overviews.into_iter().rev().flatten().map(EncodedTile::into_framed));
        Ok(Finished { prefix, rest: self.cut(), header_size, file_size: end })
    }

    fn take_overviews(&mut self) -> Result<Vec<Vec<EncodedTile>>, CogError> {
        let total = self.layout.levels.first().map_or(0, |l| l.tile_count() as usize);
        // Tiles ahead of their turn came; the one at the turn is by definition missing, if any is.
        let mut missing = (total - self.left.len() - self.ahead.len()) as u64;
        let mut first = (missing > 0).then_some((0, self.left.len()));
        for (below, tiles) in self.overviews.iter().enumerate() {
            missing += tiles.iter().filter(|t| t.is_none()).count() as u64;
            first = first.or_else(|| tiles.iter().position(Option::is_none).map(|p| (below + 1, p)));
        }
        match first.and_then(|(level, position)| self.layout.index(level, position)) {
            Some(first) => Err(CogError::MissingTiles { missing, first }),
            None => {
                Ok(std::mem::take(&mut self.overviews).into_iter().map(|l| l.into_iter().flatten().collect()).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::{BigTiff, SampleType, TileIndex, synthetic};
    use proptest::prelude::*;

    fn all_tiles(layout: &Layout) -> Vec<EncodedTile> {
        let mut tiles = Vec::new();
        for (level, l) in layout.levels.iter().enumerate() {
            for position in 0..l.tile_count() as usize {
                let index = layout.index(level, position).unwrap();
                let length = 4 + (position * 7 + level) % 60;
                let bytes: Vec<u8> = (0..length).map(|b| (b + position) as u8).collect();
                tiles.push(EncodedTile::new(index, &bytes).unwrap());
            }
        }
        tiles
    }

    fn write(spec: &Spec, tiles: &[EncodedTile], part_size: usize) -> (Vec<u8>, Finished, usize) {
        let mut writer = Writer::new(spec.clone()).unwrap().with_part_size(part_size);
        let mut parts = Vec::new();
        for tile in tiles {
            parts.extend(writer.push(tile.clone()).unwrap());
        }
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(part.number, number);
            assert!(part.chunks.concat().len() >= part_size);
        }
        let count = parts.len();
        let finished = writer.finish(&vec![None; spec.bands.len()]).unwrap();
        let mut file = finished.prefix.concat();
        for part in parts.into_iter().chain(finished.rest.clone()) {
            file.extend(part.chunks.concat());
        }
        (file, finished, count)
    }

    #[test]
    fn parts_are_expected_going_by_the_tiles_that_came() {
        let spec = synthetic::spec(64, 64, 16, SampleType::U8, 1);
        let tiles = all_tiles(&spec.layout());
        // Sixteen tiles as large as the first make as many bytes; two parts are several.
        let all = 16 * tiles[0].size() as usize;
        for (part_size, expected) in [(all / 2, true), (all / 2 + 1, false)] {
            let mut writer = Writer::new(spec.clone()).unwrap().with_part_size(part_size);
            assert!(!writer.expects_parts());
            // Whatever its place.
            writer.push(EncodedTile::new(tiles[5].index, tiles[0].bytes()).unwrap()).unwrap();
            assert_eq!(writer.expects_parts(), expected, "{part_size}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn order_of_arrival_and_size_of_parts_do_not_matter(
            rows in 1usize..200,
            cols in 1usize..200,
            big in any::<bool>(),
            part_size in 1usize..2000,
            order in any::<u64>(),
        ) {
            let bigtiff = if big { BigTiff::Always } else { BigTiff::Auto };
            let spec = Spec { bigtiff, ..synthetic::spec(rows, cols, 16, SampleType::U8, 1) };
            let mut tiles = all_tiles(&spec.layout());
            let (straight, finished, _) = write(&spec, &tiles, usize::MAX);
            prop_assert_eq!(finished.file_size, straight.len() as u64);
            synthetic::shuffle(&mut tiles, order);
            let (shuffled, ..) = write(&spec, &tiles, part_size);
            prop_assert_eq!(shuffled, straight);
        }
    }

    #[test]
    fn offsets_point_at_tiles_and_nothing_overlaps() {
        let spec = synthetic::spec(100, 300, 16, SampleType::U8, 1);
        let tiles = all_tiles(&spec.layout());
        let (file, finished, parts) = write(&spec, &tiles, 500);
        assert!(parts > 3);
        let mut at = finished.header_size as usize;
        for level in (0..spec.layout().levels.len()).rev() {
            for tile in tiles.iter().filter(|t| t.index.level == level) {
                let (n, bytes) = (tile.size() as usize, tile.bytes());
                assert_eq!(file[at..at + 4], (n as u32).to_le_bytes());
                assert_eq!(&file[at + 4..at + 4 + n], bytes);
                assert_eq!(file[at + 4 + n..at + 8 + n], bytes[n - 4..]);
                at += n + 8;
            }
        }
        assert_eq!(at, file.len());
    }

    #[test]
    fn held_bytes_fall_when_the_missing_tile_comes() {
        let spec = synthetic::spec(16, 48, 16, SampleType::U8, 1);
        let mut writer = Writer::new(spec).unwrap().with_part_size(1);
        let tile = |level, col| EncodedTile::new(TileIndex { level, row: 0, col }, &[1; 10]).unwrap();
        assert_eq!(writer.push(tile(0, 2)).unwrap(), None);
        assert_eq!(writer.push(tile(1, 0)).unwrap(), None);
        assert_eq!(writer.push(tile(0, 1)).unwrap(), None);
        assert_eq!(writer.held_bytes(), 30);
        assert_eq!(writer.push(tile(0, 0)).unwrap().map(|p| p.chunks.concat().len()), Some(54));
        assert_eq!(writer.held_bytes(), 10);
    }

    #[test]
    fn missing_double_and_foreign_tiles_are_refused() {
        let spec = synthetic::spec(16, 48, 16, SampleType::U8, 1);
        let mut writer = Writer::new(spec).unwrap();
        let tile = |level, row, col, n| EncodedTile::new(TileIndex { level, row, col }, &vec![1; n]).unwrap();
        writer.push(tile(0, 0, 0, 9)).unwrap();
        writer.push(tile(0, 0, 2, 9)).unwrap();
        writer.push(tile(1, 0, 0, 9)).unwrap();
        assert!(matches!(writer.push(tile(0, 0, 0, 9)), Err(CogError::DuplicateTile { .. })));
        assert!(matches!(writer.push(tile(0, 0, 2, 9)), Err(CogError::DuplicateTile { .. })));
        assert!(matches!(writer.push(tile(1, 0, 0, 9)), Err(CogError::DuplicateTile { .. })));
        assert!(matches!(writer.push(tile(0, 1, 0, 9)), Err(CogError::NoSuchTile { .. })));
        assert!(matches!(writer.push(tile(9, 0, 0, 9)), Err(CogError::NoSuchTile { .. })));
        let Err(CogError::MissingTiles { missing, first }) = writer.finish(&[None]) else { panic!() };
        assert_eq!((missing, first), (3, TileIndex { level: 0, row: 0, col: 1 }));
    }
}
