//! Putting the shares of units together into whole tiles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::raster::RawTile;

/// A unit's pixels of one level, and where they stand on it.
#[derive(Debug)]
pub struct Share<'a> {
    /// Level, 0 the full resolution.
    pub level: usize,
    /// First row on the level.
    pub row: usize,
    /// First column on the level.
    pub col: usize,
    /// The pixels.
    pub pixels: &'a RawTile,
}

/// The pixels of a tile inside the image: a rectangle of a larger one.
#[derive(Debug)]
pub struct Placed<'a> {
    /// Where they are.
    pub pixels: &'a RawTile,
    /// First row there.
    pub row: usize,
    /// First column there.
    pub col: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Tiles of a file that wait for more of their pixels. Shared by all units of a cell; the lock is held only while pixels
/// are copied.
#[derive(Debug)]
pub struct Assembly {
    tile: usize,
    /// Rows and columns of every level.
    levels: Vec<(usize, usize)>,
    waiting: Mutex<BTreeMap<(usize, usize, usize), Gathering>>,
    spare: Arc<Spare>,
}

/// Memory of tiles that left, for those that come: also in other files. It is never more than what tiles that waited at the
/// same time took.
#[derive(Debug, Default)]
pub struct Spare(Mutex<Vec<RawTile>>);

impl Spare {
    fn take(&self, like: &RawTile, rows: usize, cols: usize) -> RawTile {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spare.iter().rposition(|t| t.is_like(like)).map(|k| spare.swap_remove(k));
        drop(spare);
        let mut tile = found.unwrap_or_default();
        tile.reshape(like, rows, cols);
        tile
    }

    fn give(&self, tile: RawTile) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tile);
    }
}

#[derive(Debug)]
struct Gathering {
    pixels: RawTile,
    missing: usize,
}

impl Assembly {
    /// For a file of tiles of edge `tile` with these levels, (rows, cols).
    pub fn new(tile: usize, levels: Vec<(usize, usize)>, spare: Arc<Spare>) -> Self {
        Self { tile, levels, waiting: Mutex::default(), spare }
    }

    /// Adds a unit's pixels of one level and calls `emit` with each tile (level, row, col) that they completed.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn add<E>(
        &self,
        share: &Share<'_>,
        mut emit: impl FnMut((usize, usize, usize), Placed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(&(level_rows, level_cols)) = self.levels.get(share.level) else { return Ok(()) };
        let (t, p) = (self.tile, share.pixels);
        for tile_row in share.row / t..(share.row + p.rows).div_ceil(t) {
            for tile_col in share.col / t..(share.col + p.cols).div_ceil(t) {
                let (top, left) = (tile_row * t, tile_col * t);
                let inside = ((level_rows - top).min(t), (level_cols - left).min(t));
                // The share's part of this tile, in tile coordinates and in share coordinates.
                let (r0, r1) = (share.row.max(top), (share.row + p.rows).min(top + t));
                let (c0, c1) = (share.col.max(left), (share.col + p.cols).min(left + t));
                let (from, to) = ((r0 - share.row, c0 - share.col), (r0 - top, c0 - left));
                let part = (r1 - r0, c1 - c0);
                let at = (share.level, tile_row, tile_col);
                if part == inside {
                    emit(at, Placed { pixels: p, row: from.0, col: from.1, rows: inside.0, cols: inside.1 })?;
                    continue;
                }
                let whole = {
                    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    let gathering = waiting.entry(at).or_insert_with(|| Gathering {
                        pixels: self.spare.take(p, inside.0, inside.1),
                        missing: inside.0 * inside.1,
                    });
                    gathering.pixels.copy(p, (from, to), part);
                    gathering.missing = gathering.missing.saturating_sub(part.0 * part.1);
                    if gathering.missing > 0 { None } else { waiting.remove(&at) }
                };
                if let Some(Gathering { pixels, .. }) = whole {
                    emit(at, Placed { pixels: &pixels, row: 0, col: 0, rows: inside.0, cols: inside.1 })?;
                    self.spare.give(pixels);
                }
            }
        }
        Ok(())
    }

    /// True when no tile waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::OverviewRule;
    use crate::pyramid::{halve, halve_into};
    use crate::raster::Samples;

    fn image(rows: usize, cols: usize) -> RawTile {
        let samples = (0..rows * cols).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 20) as i16).collect();
        RawTile { rows, cols, bands: 1, samples: Samples::I16(samples) }
    }

    fn crop(t: &RawTile, row: usize, col: usize, rows: usize, cols: usize) -> RawTile {
        let Samples::I16(v) = &t.samples else { unreachable!() };
        let samples = (row..row + rows).flat_map(|r| v[r * t.cols + col..r * t.cols + col + cols].to_vec()).collect();
        RawTile { rows, cols, bands: 1, samples: Samples::I16(samples) }
    }

    /// Every tile of every level, whatever the order of units, equals that of the pyramid of the whole image.
    #[test]
    fn units_in_any_order_make_the_pyramid_of_the_whole() {
        let (tile, unit) = (16, 64);
        for (rows, cols) in [(1, 1), (64, 64), (65, 63), (100, 171), (129, 16)] {
            let whole = image(rows, cols);
            let mut pyramid = vec![whole.clone()];
            while pyramid[pyramid.len() - 1].rows.max(pyramid[pyramid.len() - 1].cols) > tile {
                pyramid.push(halve(&pyramid[pyramid.len() - 1], OverviewRule::Average));
            }
            let assembly = Assembly::new(tile, pyramid.iter().map(|l| (l.rows, l.cols)).collect(), Arc::default());
            let mut units: Vec<(usize, usize)> = (0..rows.div_ceil(unit))
                .flat_map(|r| (0..cols.div_ceil(unit)).map(move |c| (r * unit, c * unit)))
                .collect();
            units.sort_by_key(|(r, c)| (r * 7919 + c * 104_729) % 31);
            let mut tiles = BTreeMap::new();
            for (r, c) in units {
                let mut part = crop(&whole, r, c, unit.min(rows - r), unit.min(cols - c));
                for level in 0..pyramid.len() {
                    let share = Share { level, row: r >> level, col: c >> level, pixels: &part };
                    let emit = |at, p: Placed<'_>| -> Result<(), ()> {
                        let tile = crop(p.pixels, p.row, p.col, p.rows, p.cols);
                        assert!(tiles.insert(at, tile).is_none(), "{at:?} twice");
                        Ok(())
                    };
                    assembly.add(&share, emit).unwrap();
                    part = halve(&part, OverviewRule::Average);
                }
            }
            assert!(assembly.is_empty());
            let expected: usize = pyramid.iter().map(|l| l.rows.div_ceil(tile) * l.cols.div_ceil(tile)).sum();
            assert_eq!(tiles.len(), expected);
            for ((level, tr, tc), t) in tiles {
                let l = &pyramid[level];
                let (n, m) = ((l.rows - tr * tile).min(tile), (l.cols - tc * tile).min(tile));
                assert_eq!(t, crop(l, tr * tile, tc * tile, n, m), "{level} {tr} {tc}");
            }
        }
    }

    #[test]
    fn strips_of_even_rows_make_the_half_of_the_whole() {
        for (rows, cols) in [(1, 1), (5, 7), (64, 33), (50, 16)] {
            let whole = image(rows, cols);
            let expected = halve(&whole, OverviewRule::Average);
            let mut half = expected.clone();
            half.samples = Samples::I16(vec![0; expected.samples.len()]);
            for top in (0..rows).step_by(16) {
                let strip = crop(&whole, top, 0, 16.min(rows - top), cols);
                halve_into(&strip, OverviewRule::Average, &mut half, top / 2);
            }
            assert_eq!(half, expected);
        }
    }
}
