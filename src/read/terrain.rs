//! Heights from a raster: a DEM or a grid of geoid undulations.

use std::path::Path;

use super::{Raster, ReadError};
use crate::grid::{Crs, GeoTransform, Window};

/// Heights of land, metres: from below the Dead Sea to above Mount Everest. What lies outside is a void that the file
/// forgot to declare (−9999, −32768).
const LAND_M: std::ops::RangeInclusive<f32> = -500.0..=9_500.0;

/// A raster of heights.
#[derive(Debug)]
pub struct Heights {
    raster: Raster,
    crs: Crs,
    transform: GeoTransform,
    middle_x: f64,
    void: Option<f64>,
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
    /// Opens a raster of heights; its first band counts.
    ///
    /// # Errors
    /// [`ReadError`], also when it has no reference system or transform.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let raster = Raster::open_heights(path)?;
        let (srs, transform, void) = raster.with(|d| {
            let void = d.rasterband(1).ok().and_then(|b| b.no_data_value());
            (d.spatial_ref().ok(), d.geo_transform().ok(), void)
        })?;
        let lacks = |what, remedy| ReadError::Lacks { path: path.to_owned(), what, remedy };
        let srs =
            srs.ok_or_else(|| lacks("reference system", "set it, for example with `gdal_edit.py -a_srs EPSG:4326`"))?;
        let crs =
            Crs::from_spatial_ref(&srs).map_err(|e| ReadError::Open { path: path.to_owned(), source: Box::new(e) })?;
        let transform = transform
            .map(GeoTransform::from_gdal)
            .filter(|t| t.is_usable())
            .ok_or_else(|| lacks("usable geotransform", "set it, for example with `gdal_edit.py -a_ullr`"))?;
        let middle = raster.window();
        let middle_x = transform.world_from_pixel(middle.cols as f64 / 2.0, middle.rows as f64 / 2.0).0;
        Ok(Self { raster, crs, transform, middle_x, void })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.raster.path()
    }

    /// Reference system of its horizontal coordinates.
    pub fn crs(&self) -> &Crs {
        &self.crs
    }

    /// Position of map coordinates, (col, row), (0, 0) being the **centre** of the first pixel.
    pub fn position(&self, x: f64, y: f64) -> (f64, f64) {
        let x = if self.crs.is_geographic() { crate::grid::nearest_turn(x, self.middle_x) } else { x };
        let (col, row) = self.transform.pixel_from_world(x, y);
        (col - 0.5, row - 0.5)
    }

    /// Last column and row that can be interpolated at.
    pub fn last(&self) -> (f64, f64) {
        let w = self.raster.window();
        (w.cols as f64 - 1.0, w.rows as f64 - 1.0)
    }

    /// Edge of a pixel, metres.
    pub fn pixel_m(&self) -> f64 {
        let w = self.raster.window();
        let y = self.transform.world_from_pixel(w.cols as f64 / 2.0, w.rows as f64 / 2.0).1;
        crate::grid::pixel_area_m2(&self.crs, self.transform, y).sqrt()
    }

    /// Map coordinates of the outermost pixel centres: min x, min y, max x, max y.
    pub fn extent(&self) -> [f64; 4] {
        let w = self.raster.window();
        let (ax, ay) = self.transform.world_from_pixel(0.5, 0.5);
        let (bx, by) = self.transform.world_from_pixel(w.cols as f64 - 0.5, w.rows as f64 - 0.5);
        [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)]
    }

    /// The window that interpolation at these positions (col, row; min and max) needs, inside the raster.
    pub fn window_for(&self, min: (f64, f64), max: (f64, f64)) -> Window {
        let (c0, r0) = (min.0.floor() as i64 - 1, min.1.floor() as i64 - 1);
        let (c1, r1) = (max.0.ceil() as i64 + 2, max.1.ceil() as i64 + 2);
        let wanted = Window::new(r0, c0, (r1 - r0).max(0) as usize, (c1 - c0).max(0) as usize);
        wanted.intersect(self.raster.window())
    }

    /// Reads a window.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, window: Window) -> Result<HeightWindow, ReadError> {
        let mut heights = vec![f32::NAN; window.pixels()];
        if !window.is_empty() {
            self.raster.read(0, window, &mut heights)?;
        }
        self.remove_voids(&mut heights);
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
        let shape = (window.rows.min(1024), window.cols.min(1024));
        let mut heights = vec![f32::NAN; shape.0 * shape.1];
        self.raster.read_decimated(0, window, shape, &mut heights)?;
        self.remove_voids(&mut heights);
        let voids = heights.iter().filter(|h| h.is_nan()).count();
        Ok((range(&heights), voids as f64 / heights.len() as f64))
    }

    fn remove_voids(&self, heights: &mut [f32]) {
        // Written as f32 by some tools and compared as f64 by others: compare as it stands in the file.
        let void = self.void.map(|v| v as f32);
        for h in heights {
            if Some(*h) == void || !LAND_M.contains(h) {
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

fn range(heights: &[f32]) -> Option<(f64, f64)> {
    let valid = heights.iter().copied().filter(|h| !h.is_nan());
    let (low, high) = valid.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), h| (a.min(h), b.max(h)));
    (low <= high).then(|| (f64::from(low), f64::from(high)))
}
