//! Heights from rasters: a DEM, of one file or of tiles on one lattice, or a grid of geoid undulations.

use std::path::Path;
use std::sync::Arc;

use super::sheet::Sheet;
use super::{Raster, ReadError};
use crate::grid::{Crs, GeoTransform, Window};

/// Heights of land, metres: from below the Dead Sea to above Mount Everest. What lies outside is a void that the file
/// forgot to declare (−9999, −32768).
const LAND_M: std::ops::RangeInclusive<f32> = -500.0..=9_500.0;

/// Pixels a side that are looked at to know the range of heights.
const LOOK_SIDE: usize = 1024;

/// Heights on one lattice: of one raster, or of tiles of which, at each pixel, the first with a height counts.
#[derive(Debug)]
pub struct Heights {
    tiles: Vec<Tile>,
    /// What the files say, one for each.
    sheets: Vec<Sheet>,
    crs: Crs,
    /// Of the first file.
    transform: GeoTransform,
    /// All tiles, in pixels of the first.
    window: Window,
    middle_x: f64,
}

#[derive(Debug)]
struct Tile {
    raster: Arc<Raster>,
    void: Option<f32>,
    /// Where it stands among the others, in pixels of the first.
    window: Window,
}

/// A window of heights.
#[derive(Debug, Clone)]
pub struct HeightWindow {
    /// Where it stands in the raster.
    pub window: Window,
    /// Heights, metres; NaN where there is none.
    pub heights: Vec<f32>,
}

impl Heights {
    /// Opens rasters of heights on one lattice; their first bands count, and where several have a height that of the first. A grid around the whole Earth has no
    /// edge in longitude.
    ///
    /// # Errors
    /// [`ReadError`], also when one has no reference system or transform, and [`ReadError::Lattices`].
    pub fn open(first: &Path, more: &[&Path]) -> Result<Self, ReadError> {
        let raster = Raster::open_heights(first)?;
        let base = Sheet::of(&raster)?;
        let window = raster.window();
        let mut tiles = vec![Tile { raster: Arc::new(raster), void: base.void, window }];
        let mut sheets = vec![base.clone()];
        for path in more {
            let raster = Raster::open_heights(path)?;
            let sheet = Sheet::of(&raster)?;
            let (row, col) = base.offset(&sheet).map_err(|differ| ReadError::Lattices {
                first: base.path.clone(),
                second: sheet.path.clone(),
                differ,
            })?;
            let window = Window::new(row, col, sheet.rows, sheet.cols);
            tiles.push(Tile { raster: Arc::new(raster), void: sheet.void, window });
            sheets.push(sheet);
        }
        let window = tiles.iter().map(|t| t.window).fold(window, Window::around);
        let middle = (window.col as f64 + window.cols as f64 / 2.0, window.row as f64 + window.rows as f64 / 2.0);
        let middle_x = base.transform.world_from_pixel(middle.0, middle.1).0;
        let mut heights = Self { tiles, sheets, crs: base.crs, transform: base.transform, window, middle_x };
        heights.close_the_circle();
        Ok(heights)
    }

    /// Repeats a raster that goes around the Earth to its east and west.
    fn close_the_circle(&mut self) {
        let [sheet] = &*self.sheets else { return };
        let turns = sheet.transform.dx_col * sheet.cols as f64 / 360.0;
        if !(sheet.crs.is_geographic() && sheet.transform.is_axis_aligned() && (turns.abs() - 1.0).abs() < 1e-6) {
            return;
        }
        let Some(own) = self.tiles.first() else { return };
        let copies = [-1, 1].map(|k| Tile {
            raster: Arc::clone(&own.raster),
            void: own.void,
            window: Window::new(0, k * sheet.cols as i64, sheet.rows, sheet.cols),
        });
        self.tiles.extend(copies);
        self.window = self.tiles.iter().map(|t| t.window).fold(self.window, Window::around);
    }

    /// What the files say.
    pub fn sheets(&self) -> &[Sheet] {
        &self.sheets
    }

    /// Names of its files.
    pub fn names(&self) -> Vec<String> {
        let name = |s: &Sheet| s.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.sheets.iter().map(name).collect()
    }

    /// Reference system of its horizontal coordinates.
    pub fn crs(&self) -> &Crs {
        &self.crs
    }

    /// Position of map coordinates, (col, row), (0, 0) being the **centre** of the first pixel of the first file.
    pub fn position(&self, x: f64, y: f64) -> (f64, f64) {
        let x = if self.crs.is_geographic() { crate::grid::nearest_turn(x, self.middle_x) } else { x };
        let (col, row) = self.transform.pixel_from_world(x, y);
        (col - 0.5, row - 0.5)
    }

    /// Map coordinates of a position (col, row).
    pub fn world(&self, col: f64, row: f64) -> (f64, f64) {
        self.transform.world_from_pixel(col + 0.5, row + 0.5)
    }

    /// All its pixels, in those of the first file.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Edge of a pixel, metres.
    pub fn pixel_m(&self) -> f64 {
        let Window { row, col, rows, cols } = self.window;
        let middle = (col as f64 + cols as f64 / 2.0, row as f64 + rows as f64 / 2.0);
        let y = self.transform.world_from_pixel(middle.0, middle.1).1;
        crate::grid::pixel_area_m2(&self.crs, self.transform, y).sqrt()
    }

    /// Map coordinates of the outermost pixel centres: min x, min y, max x, max y.
    pub fn extent(&self) -> [f64; 4] {
        let all = self.tiles.iter().take(self.sheets.len()).map(|t| t.window);
        let w = all.reduce(Window::around).unwrap_or(self.window);
        let (ax, ay) = self.world(w.col as f64, w.row as f64);
        let (bx, by) = self.world((w.col + w.cols as i64 - 1) as f64, (w.row + w.rows as i64 - 1) as f64);
        [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)]
    }

    /// The window that interpolation at these positions (col, row; min and max) needs, inside the raster.
    pub fn window_for(&self, min: (f64, f64), max: (f64, f64)) -> Window {
        let (c0, r0) = (min.0.floor() as i64 - 1, min.1.floor() as i64 - 1);
        let (c1, r1) = (max.0.ceil() as i64 + 2, max.1.ceil() as i64 + 2);
        let wanted = Window::new(r0, c0, (r1 - r0).max(0) as usize, (c1 - c0).max(0) as usize);
        wanted.intersect(self.window)
    }

    /// Whether there is a pixel, with a height or without, at every position (col, row) between `min` and `max`, and the
    /// neighbours that interpolation there needs.
    pub fn covers(&self, min: (f64, f64), max: (f64, f64)) -> bool {
        let w = self.window;
        let last = ((w.col + w.cols as i64 - 1) as f64, (w.row + w.rows as i64 - 1) as f64);
        let inside = min.0 >= w.col as f64 && min.1 >= w.row as f64 && max.0 <= last.0 && max.1 <= last.1;
        if !inside {
            return false;
        }
        let (c0, r0) = (min.0.floor() as i64, min.1.floor() as i64);
        let (c1, r1) = (max.0.ceil() as i64 + 1, max.1.ceil() as i64 + 1);
        let wanted = Window::new(r0, c0, (r1 - r0) as usize, (c1 - c0) as usize);
        self.tiles
            .iter()
            .fold(vec![wanted], |left, t| left.into_iter().flat_map(|w| without(w, t.window)).collect())
            .is_empty()
    }

    /// Reads a window.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, window: Window) -> Result<HeightWindow, ReadError> {
        let mut heights = vec![f32::NAN; window.pixels()];
        let mut piece = Vec::new();
        for tile in &self.tiles {
            let part = window.intersect(tile.window);
            if part.is_empty() {
                continue;
            }
            let own = tile.own(part);
            if part == window && heights.iter().all(|h| h.is_nan()) {
                tile.raster.read(0, own, &mut heights)?;
                tile.remove_voids(&mut heights);
                continue;
            }
            let rows = |heights: &mut [f32], f: &mut dyn FnMut(usize, &mut [f32])| {
                let (top, left) = ((part.row - window.row) as usize, (part.col - window.col) as usize);
                for r in 0..part.rows {
                    let at = (top + r) * window.cols + left;
                    f(r, &mut heights[at..at + part.cols]);
                }
            };
            let mut missing = false;
            rows(&mut heights, &mut |_, row| missing |= row.iter().any(|h| h.is_nan()));
            if !missing {
                continue;
            }
            piece.resize(part.pixels(), f32::NAN);
            tile.raster.read(0, own, &mut piece)?;
            tile.remove_voids(&mut piece);
            rows(&mut heights, &mut |r, row| fill(row, &piece[r * part.cols..(r + 1) * part.cols]));
        }
        Ok(HeightWindow { window, heights })
    }

    /// Lowest and highest height of a window and the share of voids in it, looked at on at most 1024 × 1024 pixels; no
    /// heights at all are a share of 1.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn look(&self, window: Window) -> Result<(Option<(f64, f64)>, f64), ReadError> {
        if window.is_empty() {
            return Ok((None, 1.0));
        }
        let shape = (window.rows.min(LOOK_SIDE), window.cols.min(LOOK_SIDE));
        let mut heights = vec![f32::NAN; shape.0 * shape.1];
        let mut piece = Vec::new();
        for tile in &self.tiles {
            let part = window.intersect(tile.window);
            if part.is_empty() {
                continue;
            }
            if part == window && heights.iter().all(|h| h.is_nan()) {
                tile.raster.read_decimated(0, tile.own(part), shape, &mut heights)?;
                tile.remove_voids(&mut heights);
                continue;
            }
            // Looked at as densely as the whole, and taken at the nearest of its pixels.
            let dense = |n: usize, of: usize, whole: usize| (n * of).div_ceil(whole).clamp(1, n);
            let own = (dense(part.rows, shape.0, window.rows), dense(part.cols, shape.1, window.cols));
            piece.resize(own.0 * own.1, f32::NAN);
            tile.raster.read_decimated(0, tile.own(part), own, &mut piece)?;
            tile.remove_voids(&mut piece);
            let nearest = |k: usize, of: usize, whole: usize, start: i64, n: usize, own: usize| {
                let at = (k as f64 + 0.5) * whole as f64 / of as f64 - start as f64;
                (at >= 0.0 && at < n as f64).then(|| ((at / n as f64 * own as f64) as usize).min(own - 1))
            };
            for i in 0..shape.0 {
                let Some(r) = nearest(i, shape.0, window.rows, part.row - window.row, part.rows, own.0) else {
                    continue;
                };
                for j in 0..shape.1 {
                    let Some(c) = nearest(j, shape.1, window.cols, part.col - window.col, part.cols, own.1) else {
                        continue;
                    };
                    fill(&mut heights[i * shape.1 + j..][..1], &piece[r * own.1 + c..][..1]);
                }
            }
        }
        let voids = heights.iter().filter(|h| h.is_nan()).count();
        Ok((range(&heights), voids as f64 / heights.len() as f64))
    }
}

impl Tile {
    /// A window in pixels of this tile.
    fn own(&self, window: Window) -> Window {
        Window::new(window.row - self.window.row, window.col - self.window.col, window.rows, window.cols)
    }

    fn remove_voids(&self, heights: &mut [f32]) {
        for h in heights {
            if Some(*h) == self.void || !LAND_M.contains(h) {
                *h = f32::NAN;
            }
        }
    }
}

impl HeightWindow {
    /// Lowest and highest height; `None` without any.
    pub fn range(&self) -> Option<(f64, f64)> {
        range(&self.heights)
    }
}

/// Takes heights where there are none.
fn fill(heights: &mut [f32], from: &[f32]) {
    for (h, f) in heights.iter_mut().zip(from).filter(|(h, _)| h.is_nan()) {
        *h = *f;
    }
}

/// What is left of a window without what it has in common with another: up to four windows.
fn without(w: Window, other: Window) -> Vec<Window> {
    let common = w.intersect(other);
    if common.is_empty() {
        return vec![w];
    }
    let above = (common.row - w.row) as usize;
    let below = w.rows - above - common.rows;
    let left = (common.col - w.col) as usize;
    let right = w.cols - left - common.cols;
    let parts = [
        Window::new(w.row, w.col, above, w.cols),
        Window::new(common.row + common.rows as i64, w.col, below, w.cols),
        Window::new(common.row, w.col, common.rows, left),
        Window::new(common.row, common.col + common.cols as i64, common.rows, right),
    ];
    parts.into_iter().filter(|p| !p.is_empty()).collect()
}

fn range(heights: &[f32]) -> Option<(f64, f64)> {
    let valid = heights.iter().copied().filter(|h| !h.is_nan());
    let (low, high) = valid.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), h| (a.min(h), b.max(h)));
    (low <= high).then(|| (f64::from(low), f64::from(high)))
}

#[cfg(test)]
mod tests;
