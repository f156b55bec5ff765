//! Where a raster of heights lies; its pixels stay unread.

use std::path::{Path, PathBuf};

use super::vertical::{self, Vertical};
use super::{Raster, ReadError};
use crate::grid::{Crs, GeoTransform, Window, nearest_turn};

/// Where a raster of heights lies, and what it says of them.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The file.
    pub path: PathBuf,
    /// Reference system of its horizontal coordinates.
    pub crs: Crs,
    /// Its pixels.
    pub transform: GeoTransform,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// What it says its heights are counted from.
    pub vertical: Option<Vertical>,
    /// Value that marks voids.
    pub(super) void: Option<f32>,
}

/// GDAL says what a GeoTIFF of version 1.0 states of heights only when asked to.
const VERTICAL_OPTION: &str = "GTIFF_REPORT_COMPD_CS";

impl Sheet {
    /// Reads the header of a raster of heights.
    ///
    /// # Errors
    /// [`ReadError`], also when it has no reference system or transform, or is made of other files.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::of(&Raster::open_heights(path)?)
    }

    pub(super) fn of(raster: &Raster) -> Result<Self, ReadError> {
        let path = raster.path();
        // A GDAL without the option works too, and tells less.
        let _ = gdal::config::set_thread_local_config_option(VERTICAL_OPTION, "YES");
        let read = raster.with(|d| {
            let void = d.rasterband(1).ok().and_then(|b| b.no_data_value());
            (d.spatial_ref().ok(), d.geo_transform().ok(), void)
        });
        let _ = gdal::config::clear_thread_local_config_option(VERTICAL_OPTION);
        let (srs, transform, void) = read?;
        let lacks = |what, remedy| ReadError::Lacks { path: path.to_owned(), what, remedy };
        let srs =
            srs.ok_or_else(|| lacks("reference system", "set it, for example with `gdal_edit.py -a_srs EPSG:4326`"))?;
        let failed = |e| ReadError::Open { path: path.to_owned(), source: Box::new(e) };
        let (horizontal, vertical) = vertical::split(srs).map_err(failed)?;
        let crs = Crs::from_spatial_ref(&horizontal).map_err(failed)?;
        let transform = transform
            .map(GeoTransform::from_gdal)
            .filter(|t| t.is_usable())
            .ok_or_else(|| lacks("usable geotransform", "set it, for example with `gdal_edit.py -a_ullr`"))?;
        let Window { rows, cols, .. } = raster.window();
        // Written as f32 by some tools and compared as f64 by others: compare as it stands in the file.
        let void = void.map(|v| v as f32);
        Ok(Self { path: path.to_owned(), crs, transform, rows, cols, vertical, void })
    }

    /// Whether map points in its system, by their bounding box, come within `margin` pixels of it.
    pub fn meets(&self, points: &[(f64, f64)], margin: f64) -> bool {
        let middle = self.transform.world_from_pixel(self.cols as f64 / 2.0, self.rows as f64 / 2.0).0;
        let turn = |x: f64| if self.crs.is_geographic() { nearest_turn(x, middle) } else { x };
        let pixels = points.iter().map(|(x, y)| self.transform.pixel_from_world(turn(*x), *y));
        let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let b = pixels.fold(nothing, |b, (c, r)| [b[0].min(c), b[1].min(r), b[2].max(c), b[3].max(r)]);
        b[2] >= -margin && b[3] >= -margin && b[0] <= self.cols as f64 + margin && b[1] <= self.rows as f64 + margin
    }

    /// Place of another sheet's first pixel in the pixels of this one, (row, col), if both have one lattice.
    pub(super) fn offset(&self, other: &Self) -> Result<(i64, i64), String> {
        /// Share of a pixel that lattices may be apart anywhere on a tile, from how origins and sizes are written down.
        const APART_PX: f64 = 0.01;
        if self.crs != other.crs && (self.crs.epsg().is_none() || self.crs.epsg() != other.crs.epsg()) {
            return Err(format!("{} and {}", self.crs, other.crs));
        }
        let (a, b) = (self.transform, other.transform);
        let (ax, bx) = (a.dx_col.hypot(a.dy_col), b.dx_col.hypot(b.dy_col));
        let (ay, by) = (a.dx_row.hypot(a.dy_row), b.dx_row.hypot(b.dy_row));
        let side = self.cols.max(self.rows).max(other.cols).max(other.rows) as f64;
        let pairs = [(a.dx_col, b.dx_col), (a.dy_col, b.dy_col), (a.dx_row, b.dx_row), (a.dy_row, b.dy_row)];
        if pairs.iter().any(|(p, q)| (p - q).abs() * side > APART_PX * ax.min(ay)) {
            return Err(format!("pixels of {ax} × {ay} and of {bx} × {by}"));
        }
        let x0 = if self.crs.is_geographic() { nearest_turn(b.x0, a.x0) } else { b.x0 };
        let (col, row) = a.pixel_from_world(x0, b.y0);
        let (dc, dr) = (col - col.round(), row - row.round());
        if !(dc.abs() < APART_PX && dr.abs() < APART_PX) {
            return Err(format!("origins {col:.3} columns and {row:.3} rows apart, not a whole number of pixels"));
        }
        Ok((row.round() as i64, col.round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(x0: f64, y0: f64, pixel: f64) -> Sheet {
        Sheet {
            path: "a.tif".into(),
            crs: Crs::wgs84(),
            transform: GeoTransform::north_up(x0, y0, pixel),
            rows: 3600,
            cols: 3600,
            vertical: None,
            void: None,
        }
    }

    #[test]
    fn tiles_of_a_product_lie_on_one_lattice_and_others_are_told_apart() {
        let p = 1.0 / 3600.0;
        let first = sheet(125.0 - p / 2.0, 44.0 + p / 2.0, p);
        assert_eq!(first.offset(&sheet(126.0 - p / 2.0, 44.0 + p / 2.0, p)), Ok((0, 3600)));
        assert_eq!(first.offset(&sheet(125.0 - p / 2.0, 43.0 + p / 2.0, p)), Ok((3600, 0)));
        // Across the antimeridian.
        assert_eq!(sheet(179.0, 44.0, p).offset(&sheet(-180.0, 44.0, p)), Ok((0, 3600)));
        assert!(first.offset(&sheet(126.0, 44.0, p)).unwrap_err().contains("not a whole number"));
        assert!(first.offset(&sheet(126.0, 44.0, 1.5 * p)).unwrap_err().contains("pixels of"));
        let mut other = first.clone();
        other.crs = Crs::from_epsg(32651).unwrap();
        assert!(first.offset(&other).unwrap_err().contains("EPSG:4326 and EPSG:32651"));
    }

    #[test]
    fn a_sheet_meets_what_comes_near_it_on_any_turn() {
        let s = sheet(179.0, 44.0, 1.0 / 3600.0);
        assert!(s.meets(&[(-181.5, 43.2), (-180.5, 43.4)], 0.0));
        assert!(!s.meets(&[(178.0, 43.2), (178.9, 43.4)], 0.0));
        assert!(s.meets(&[(178.0, 43.2), (178.999, 43.4)], 4.0));
        // Around it on all sides.
        assert!(s.meets(&[(178.0, 42.0), (180.5, 45.0)], 0.0));
    }
}
