//! Putting the shares of units together into whole tiles.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::raster::{RawTile, Samples};

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

/// Tiles of a file that wait for more of their pixels. Shared by all units of a cell; the lock is held only while pixels
/// are copied.
#[derive(Debug)]
pub struct Assembly {
    tile: usize,
    /// Rows and columns of every level.
    levels: Vec<(usize, usize)>,
    waiting: Mutex<BTreeMap<(usize, usize, usize), Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    pixels: RawTile,
    missing: usize,
}

impl Assembly {
    /// For a file of tiles of edge `tile` with these levels, (rows, cols).
    pub fn new(tile: usize, levels: Vec<(usize, usize)>) -> Self {
        Self { tile, levels, waiting: Mutex::default() }
    }

    /// Adds a unit's pixels of one level and calls `emit` with each tile (level, row, col) that they completed: always of
    /// full size; at the right and lower edge of the level what lies beyond it is unspecified.
    ///
    /// # Errors
    /// What `emit` says.
    pub fn add<E>(
        &self,
        share: &Share<'_>,
        mut emit: impl FnMut((usize, usize, usize), &RawTile) -> Result<(), E>,
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
                let part = Part {
                    to: (r0 - top, c0 - left),
                    from: (r0 - share.row, c0 - share.col),
                    rows: r1 - r0,
                    cols: c1 - c0,
                };
                let at = (share.level, tile_row, tile_col);
                let covered = part.rows * part.cols;
                let mut whole = if covered == inside.0 * inside.1 {
                    blank(p, t)
                } else {
                    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    let entry = waiting
                        .entry(at)
                        .or_insert_with(|| Waiting { pixels: blank(p, t), missing: inside.0 * inside.1 });
                    part.copy(p, &mut entry.pixels);
                    entry.missing = entry.missing.saturating_sub(covered);
                    if entry.missing > 0 {
                        continue;
                    }
                    match waiting.remove(&at) {
                        Some(done) => done.pixels,
                        None => continue,
                    }
                };
                if covered == inside.0 * inside.1 {
                    part.copy(p, &mut whole);
                }
                emit(at, &whole)?;
            }
        }
        Ok(())
    }

    /// True when no tile waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// A rectangle to copy.
struct Part {
    to: (usize, usize),
    from: (usize, usize),
    rows: usize,
    cols: usize,
}

impl Part {
    fn copy(&self, from: &RawTile, to: &mut RawTile) {
        match (&from.samples, &mut to.samples) {
            (Samples::U8(a), Samples::U8(b)) => self.copy_samples(a, from, b, to.cols),
            (Samples::I16(a), Samples::I16(b)) => self.copy_samples(a, from, b, to.cols),
            (Samples::U16(a), Samples::U16(b)) => self.copy_samples(a, from, b, to.cols),
            (Samples::F32(a), Samples::F32(b)) => self.copy_samples(a, from, b, to.cols),
            _ => {}
        }
    }

    fn copy_samples<T: Copy>(&self, a: &[T], from: &RawTile, b: &mut [T], to_cols: usize) {
        let n = self.cols * from.bands;
        for r in 0..self.rows {
            let source = ((self.from.0 + r) * from.cols + self.from.1) * from.bands;
            let target = ((self.to.0 + r) * to_cols + self.to.1) * from.bands;
            b[target..target + n].copy_from_slice(&a[source..source + n]);
        }
    }
}

fn blank(like: &RawTile, side: usize) -> RawTile {
    let n = side * side * like.bands;
    let samples = match &like.samples {
        Samples::U8(_) => Samples::U8(vec![0; n]),
        Samples::I16(_) => Samples::I16(vec![0; n]),
        Samples::U16(_) => Samples::U16(vec![0; n]),
        Samples::F32(_) => Samples::F32(vec![0.0; n]),
    };
    RawTile { rows: side, cols: side, bands: like.bands, samples }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::OverviewRule;
    use crate::pyramid::halve;

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
            let assembly = Assembly::new(tile, pyramid.iter().map(|l| (l.rows, l.cols)).collect());
            let mut units: Vec<(usize, usize)> = (0..rows.div_ceil(unit))
                .flat_map(|r| (0..cols.div_ceil(unit)).map(move |c| (r * unit, c * unit)))
                .collect();
            units.sort_by_key(|(r, c)| (r * 7919 + c * 104_729) % 31);
            let mut tiles = BTreeMap::new();
            for (r, c) in units {
                let mut part = crop(&whole, r, c, unit.min(rows - r), unit.min(cols - c));
                for level in 0..pyramid.len() {
                    let share = Share { level, row: r >> level, col: c >> level, pixels: &part };
                    let emit = |at, t: &RawTile| -> Result<(), ()> {
                        assert!(tiles.insert(at, t.clone()).is_none(), "{at:?} twice");
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
                assert_eq!(crop(&t, 0, 0, n, m), crop(l, tr * tile, tc * tile, n, m), "{level} {tr} {tc}");
            }
        }
    }
}
