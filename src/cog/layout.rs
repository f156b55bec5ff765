//! The pyramid of a file as pure data: how many levels, how large, cut into which tiles.
//!
//! Invariant: each level is the one before halved and rounded up, so no edge pixel is ever dropped, and the last one fits
//! one tile.

use std::fmt;

/// One level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Rows of pixels.
    pub rows: usize,
    /// Columns of pixels.
    pub cols: usize,
    /// Rows of tiles.
    pub tile_rows: usize,
    /// Columns of tiles.
    pub tile_cols: usize,
}

impl Level {
    fn new(rows: usize, cols: usize, tile: usize) -> Self {
        Self { rows, cols, tile_rows: rows.div_ceil(tile), tile_cols: cols.div_ceil(tile) }
    }

    /// Number of tiles.
    pub fn tile_count(self) -> u64 {
        self.tile_rows as u64 * self.tile_cols as u64
    }
}

/// Where a tile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileIndex {
    /// Level, 0 for full resolution.
    pub level: usize,
    /// Row of tiles.
    pub row: usize,
    /// Column of tiles.
    pub col: usize,
}

impl fmt::Display for TileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile (row {}, column {}) of level {}", self.row, self.col, self.level)
    }
}

/// The pyramid of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Edge of a tile in pixels.
    pub tile: usize,
    /// Levels, level 0 is full resolution.
    pub levels: Vec<Level>,
}

impl Layout {
    /// The pyramid of an image of `rows` × `cols` pixels in tiles of edge `tile`.
    ///
    /// # Panics
    /// If `tile` is 0; a checked [`Spec`](super::Spec) never has that.
    pub fn new(rows: usize, cols: usize, tile: usize) -> Self {
        let mut levels = vec![Level::new(rows, cols, tile)];
        let (mut rows, mut cols) = (rows, cols);
        while rows > tile || cols > tile {
            (rows, cols) = (rows.div_ceil(2), cols.div_ceil(2));
            levels.push(Level::new(rows, cols, tile));
        }
        Self { tile, levels }
    }

    /// Number of tiles of all levels.
    pub fn tile_count(&self) -> u64 {
        self.levels.iter().map(|l| l.tile_count()).sum()
    }

    /// Position of a tile among those of its level, row-major; `None` if there is no such tile.
    pub fn position(&self, index: TileIndex) -> Option<usize> {
        let level = self.levels.get(index.level)?;
        (index.row < level.tile_rows && index.col < level.tile_cols).then(|| index.row * level.tile_cols + index.col)
    }

    /// The tile at a position among those of its level; `None` if there is none.
    pub fn index(&self, level: usize, position: usize) -> Option<TileIndex> {
        let width = self.levels.get(level)?.tile_cols;
        let index = TileIndex { level, row: position.checked_div(width)?, col: position % width };
        self.position(index).map(|_| index)
    }

    /// Rows and columns of a tile that lie inside the image; `None` if there is no such tile.
    pub fn covered(&self, index: TileIndex) -> Option<(usize, usize)> {
        self.position(index)?;
        let level = self.levels.get(index.level)?;
        let rest = |size: usize, tile: usize| (size - tile * self.tile).min(self.tile);
        Some((rest(level.rows, index.row), rest(level.cols, index.col)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_image_of_one_tile_has_no_overviews() {
        assert_eq!(Layout::new(512, 512, 512).levels.len(), 1);
        assert_eq!(Layout::new(1, 1, 512).levels.len(), 1);
    }

    #[test]
    fn odd_sizes_round_up_and_no_edge_is_lost() {
        let sizes: Vec<_> = Layout::new(513, 1025, 512).levels.iter().map(|l| (l.rows, l.cols)).collect();
        assert_eq!(sizes, [(513, 1025), (257, 513), (129, 257)]);
        let layout = Layout::new(1, 4097, 512);
        assert_eq!(layout.levels.last().map(|l| (l.rows, l.cols)), Some((1, 257)));
        assert_eq!(layout.covered(TileIndex { level: 0, row: 0, col: 8 }), Some((1, 1)));
        assert_eq!(layout.covered(TileIndex { level: 0, row: 1, col: 0 }), None);
        assert_eq!(layout.covered(TileIndex { level: 5, row: 0, col: 0 }), None);
    }

    proptest! {
        #[test]
        fn tiles_cover_each_pixel_once_and_positions_invert(rows in 1usize..3000, cols in 1usize..3000, tile in 1usize..20) {
            let layout = Layout::new(rows, cols, tile * 16);
            for (level, l) in layout.levels.iter().enumerate() {
                let mut pixels = 0;
                for position in 0..l.tile_count() as usize {
                    let index = layout.index(level, position).unwrap();
                    prop_assert_eq!(layout.position(index), Some(position));
                    let (r, c) = layout.covered(index).unwrap();
                    prop_assert!(r >= 1 && c >= 1);
                    pixels += r * c;
                }
                prop_assert_eq!(pixels, l.rows * l.cols);
                prop_assert_eq!(layout.index(level, l.tile_count() as usize), None);
            }
            let last = layout.levels.last().unwrap();
            prop_assert!(last.rows <= layout.tile && last.cols <= layout.tile);
        }
    }
}
