//! A raster that others are laid upon: one file, or several that lie on one lattice, as the cells of a scene do.

use std::path::{Path, PathBuf};

use gdal::Metadata;

use super::{Raster, ReadError};
use crate::grid::{Crs, GeoTransform, Window};

/// Fraction of a pixel by which files of one reference may miss their common lattice.
const LATTICE_TOLERANCE: f64 = 0.01;

/// Rows of the files that are read at once, about.
const ROWS: usize = 64;

/// A raster with a place on a map.
#[derive(Debug)]
pub struct Reference {
    tiles: Vec<Tile>,
    crs: Crs,
    transform: GeoTransform,
    window: Window,
    bands: Vec<String>,
    voids: Vec<Option<f64>>,
    band: usize,
}

/// One file, and where its first pixel lies on the lattice of the first file.
#[derive(Debug)]
struct Tile {
    raster: Raster,
    row: i64,
    col: i64,
}

impl Tile {
    fn window(&self) -> Window {
        let w = self.raster.window();
        Window::new(self.row, self.col, w.rows, w.cols)
    }
}

impl Reference {
    /// Opens files of one lattice, all with the same bands. The first band is chosen.
    ///
    /// # Errors
    /// [`ReadError`], also when one has no place on a map, is turned, or does not fit the first.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ReadError> {
        let mut all: Option<Self> = None;
        for path in paths {
            let next = Self::open_one(path)?;
            match &mut all {
                None => all = Some(next),
                Some(all) => all.add(next)?,
            }
        }
        all.ok_or_else(|| ReadError::Unfit { path: PathBuf::new(), reason: "is no file: a reference needs one".into() })
    }

    fn open_one(path: &Path) -> Result<Self, ReadError> {
        let raster = Raster::open(path)?;
        let count = raster.bands();
        let (srs, transform, bands, voids) = raster.with(|d| {
            let band = |k: usize| d.rasterband(k).ok();
            let names: Vec<String> =
                (1..=count).map(|k| band(k).and_then(|b| b.description().ok()).unwrap_or_default()).collect();
            let voids: Vec<Option<f64>> = (1..=count).map(|k| band(k).and_then(|b| b.no_data_value())).collect();
            (d.spatial_ref().ok(), d.geo_transform().ok(), names, voids)
        })?;
        let lacks = |what, remedy| ReadError::Lacks { path: path.to_owned(), what, remedy };
        let srs =
            srs.ok_or_else(|| lacks("reference system", "set it, for example with `gdal_edit.py -a_srs EPSG:32651`"))?;
        let crs =
            Crs::from_spatial_ref(&srs).map_err(|e| ReadError::Open { path: path.to_owned(), source: Box::new(e) })?;
        let transform = transform
            .map(GeoTransform::from_gdal)
            .filter(|t| t.is_usable())
            .ok_or_else(|| lacks("usable geotransform", "set it, for example with `gdal_edit.py -a_ullr`"))?;
        if !(transform.is_axis_aligned() && transform.dx_col > 0.0 && transform.dy_row < 0.0) {
            let reason = "is not north up; warp it with gdalwarp".into();
            return Err(ReadError::Unfit { path: path.to_owned(), reason });
        }
        let window = raster.window();
        let tiles = vec![Tile { raster, row: 0, col: 0 }];
        Ok(Self { tiles, crs, transform, window, bands, voids, band: 0 })
    }

    fn add(&mut self, other: Self) -> Result<(), ReadError> {
        let (t, o) = (self.transform, other.transform);
        let (col, row) = t.pixel_from_world(o.x0, o.y0);
        let width = other.window.cols as f64;
        let height = other.window.rows as f64;
        let grows = ((o.dx_col / t.dx_col - 1.0) * width).abs().max(((o.dy_row / t.dy_row - 1.0) * height).abs());
        let off = (col - col.round()).abs().max((row - row.round()).abs());
        let unfit = |reason: &str| {
            let path = other.tiles.first().map(|t| t.raster.path().to_owned()).unwrap_or_default();
            Err(ReadError::Unfit { path, reason: format!("{reason}; give one file, or the cells of one scene") })
        };
        if other.crs != self.crs || grows.max(off) > LATTICE_TOLERANCE {
            return unfit("does not lie on the lattice of the reference's first file");
        }
        if other.bands != self.bands {
            return unfit("has other bands than the reference's first file");
        }
        for tile in other.tiles {
            let tile = Tile { row: row.round() as i64, col: col.round() as i64, ..tile };
            let (a, b) = (self.window, tile.window());
            let (top, left) = (a.row.min(b.row), a.col.min(b.col));
            let bottom = (a.row + a.rows as i64).max(b.row + b.rows as i64);
            let right = (a.col + a.cols as i64).max(b.col + b.cols as i64);
            self.window = Window::new(top, left, (bottom - top) as usize, (right - left) as usize);
            self.tiles.push(tile);
        }
        Ok(())
    }

    /// Names of the bands; empty where one has none.
    pub fn bands(&self) -> &[String] {
        &self.bands
    }

    /// Takes another band than the first, counted from 0.
    #[must_use]
    pub fn with_band(self, band: usize) -> Self {
        Self { band: band.min(self.bands.len().saturating_sub(1)), ..self }
    }

    /// The band that is read, from 0.
    pub fn band(&self) -> usize {
        self.band
    }

    /// Its reference system.
    pub fn crs(&self) -> &Crs {
        &self.crs
    }

    /// Its pixels: those of the first file, which others continue.
    pub fn transform(&self) -> GeoTransform {
        self.transform
    }

    /// The pixels there may be, around all files.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Edge of a pixel, metres.
    pub fn pixel_m(&self) -> f64 {
        let middle = self.window.row as f64 + self.window.rows as f64 / 2.0;
        let y = self.transform.world_from_pixel(0.0, middle).1;
        crate::grid::pixel_area_m2(&self.crs, self.transform, y).sqrt()
    }

    /// Means over squares of `step` pixels, `window` counted in those. NaN where fewer than half of the pixels are valid.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn mean(&self, window: Window, step: usize) -> Result<Vec<f32>, ReadError> {
        let mut out = vec![f32::NAN; window.pixels()];
        let at_once = (ROWS / step).clamp(1, window.rows.max(1));
        let (mut sums, mut counts) = (vec![0.0f64; window.cols], vec![0usize; window.cols]);
        let mut samples = Vec::new();
        for top in (0..window.rows).step_by(at_once) {
            let rows = at_once.min(window.rows - top);
            let (row, col) = ((window.row + top as i64) * step as i64, window.col * step as i64);
            self.read(Window::new(row, col, rows * step, window.cols * step), &mut samples)?;
            let lines = samples.chunks_exact((window.cols * step).max(1));
            for (r, lines) in lines.collect::<Vec<_>>().chunks(step).enumerate() {
                sums.fill(0.0);
                counts.fill(0);
                for line in lines {
                    for (c, pixels) in line.chunks_exact(step).enumerate() {
                        for v in pixels.iter().filter(|v| !v.is_nan()) {
                            sums[c] += f64::from(*v);
                            counts[c] += 1;
                        }
                    }
                }
                let means = sums
                    .iter()
                    .zip(&counts)
                    .map(|(s, n)| if 2 * n >= step * step { (s / *n as f64) as f32 } else { f32::NAN });
                let line = &mut out[(top + r) * window.cols..][..window.cols];
                line.iter_mut().zip(means).for_each(|(to, v)| *to = v);
            }
        }
        Ok(out)
    }

    /// Reads a window of all files; what none has is NaN, and so is what is not finite or the file's nodata value.
    fn read(&self, window: Window, out: &mut Vec<f32>) -> Result<(), ReadError> {
        out.clear();
        out.resize(window.pixels(), f32::NAN);
        let void = self.voids.get(self.band).copied().flatten().map(|v| v as f32);
        for tile in &self.tiles {
            let part = window.intersect(tile.window());
            if part.is_empty() {
                continue;
            }
            let mut samples = vec![f32::NAN; part.pixels()];
            let local = Window::new(part.row - tile.row, part.col - tile.col, part.rows, part.cols);
            tile.raster.read(self.band, local, &mut samples)?;
            for (r, line) in samples.chunks_exact(part.cols).enumerate() {
                let at = (part.row - window.row) as usize + r;
                let to = &mut out[at * window.cols + (part.col - window.col) as usize..][..part.cols];
                for (to, v) in to.iter_mut().zip(line) {
                    if Some(*v) != void && v.is_finite() {
                        *to = *v;
                    }
                }
            }
        }
        Ok(())
    }
}
