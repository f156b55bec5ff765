//! Writes rasters a block of rows at a time.
//!
//! Every block is flushed before the next is handed over, in row order: compressed strips then always stand in the same
//! place of the file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use gdal::raster::{Buffer, GdalType, RasterCreationOptions};
use gdal::{Dataset, DriverManager};
use rayon::prelude::*;

use super::ellipsoid::Plane;
use super::radiometry::{Detector, is_imaged};
use super::relief::Relief;
use super::render::Canvas;
use super::subject::{Layer, LayerSums};
use super::{Compression, SimulateError};
use crate::grid::{Crs, GeoTransform};

/// Rows of a block. Part of the order bytes are written in, so not tied to memory or threads.
const BLOCK_ROWS: usize = 64;

/// A raster being written, all bands of a row block at once.
struct Writer {
    path: PathBuf,
    dataset: Dataset,
    cols: usize,
    bands: usize,
}

impl Writer {
    fn create<T: GdalType>(
        path: &Path,
        (bands, rows, cols): (usize, usize, usize),
        options: &[&str],
        place: Option<(&Crs, GeoTransform)>,
    ) -> Result<Self, SimulateError> {
        let raster = |source| SimulateError::Raster { path: path.into(), source };
        let options = RasterCreationOptions::from_iter(options.iter().copied().chain(["BIGTIFF=IF_SAFER"]));
        let driver = DriverManager::get_driver_by_name("GTiff").map_err(raster)?;
        let mut dataset =
            driver.create_with_band_type_with_options::<T, _>(path, cols, rows, bands, &options).map_err(raster)?;
        if let Some((crs, transform)) = place {
            let srs = crs
                .spatial_ref()
                .map_err(|source| SimulateError::Projection { path: path.into(), source: source.into() })?;
            dataset.set_spatial_ref(&srs).map_err(raster)?;
            dataset.set_geo_transform(&transform.to_gdal()).map_err(raster)?;
        }
        Ok(Self { path: path.into(), dataset, cols, bands })
    }

    /// Writes a block of rows; `values` is (band, row, col).
    fn put<T: GdalType + Copy>(&mut self, rows: &Range<usize>, values: &[T]) -> Result<(), SimulateError> {
        let raster = |source| SimulateError::Raster { path: self.path.clone(), source };
        let shape = (self.cols, rows.len());
        for (band, plane) in (1..=self.bands).zip(values.chunks_exact(self.cols * rows.len())) {
            let mut buffer = Buffer::new(shape, plane.to_vec());
            let mut target = self.dataset.rasterband(band).map_err(raster)?;
            target.write((0, rows.start as isize), shape, &mut buffer).map_err(raster)?;
        }
        self.dataset.flush_cache().map_err(raster)
    }

    fn finish(self) -> Result<(), SimulateError> {
        self.dataset.close().map_err(|source| SimulateError::Raster { path: self.path, source })
    }
}

fn blocks(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(BLOCK_ROWS).map(|start| start..(start + BLOCK_ROWS).min(rows)).collect()
}

/// Computes blocks of rows in parallel and writes them in order, a few per thread in memory at a time. Calls `wrote` with
/// the rows and values of each block, in order.
fn write_blocks<T: GdalType + Copy + Send>(
    mut writer: Writer,
    rows: usize,
    block: impl Fn(Range<usize>) -> Vec<T> + Sync,
    mut wrote: impl FnMut(usize, &[T]),
) -> Result<(), SimulateError> {
    for group in blocks(rows).chunks(2 * rayon::current_num_threads()) {
        let values: Vec<_> = group.par_iter().map(|rows| block(rows.clone())).collect();
        for (rows, values) in group.iter().zip(values) {
            writer.put(rows, &values)?;
            wrote(rows.len(), &values);
        }
    }
    writer.finish()
}

/// Writes digital numbers of the bands of a canvas; 0 where nothing was imaged. Calls `wrote` with the rows done.
///
/// # Errors
/// [`SimulateError::Raster`].
pub(super) fn write_image(
    path: &Path,
    canvas: &Canvas,
    detector: &Detector,
    compression: Compression,
    place: Option<(&Crs, GeoTransform)>,
    mut wrote: impl FnMut(usize),
) -> Result<(), SimulateError> {
    let compress = match compression {
        Compression::None => "COMPRESS=NONE",
        Compression::Deflate => "COMPRESS=DEFLATE",
    };
    let options = ["PHOTOMETRIC=MINISBLACK", "INTERLEAVE=PIXEL", compress];
    let writer = Writer::create::<u16>(path, (canvas.scenery.bands(), canvas.rows, canvas.cols), &options, place)?;
    let (mss_rows, mss_cols) = (canvas.rows / canvas.ratio, canvas.cols / canvas.ratio);
    let block = |rows: Range<usize>| {
        let values = canvas.values(rows.clone());
        let mut dn = vec![0u16; values.len()];
        let lines = dn.chunks_exact_mut(canvas.cols).zip(values.chunks_exact(canvas.cols));
        for (i, (dn, values)) in lines.enumerate() {
            let (band, row) = (i / rows.len(), rows.start + i % rows.len());
            for (col, (dn, value)) in dn.iter_mut().zip(values).enumerate() {
                if is_imaged(row / canvas.ratio, col / canvas.ratio, mss_rows, mss_cols) {
                    *dn = detector.dn(band, *value, row, col);
                }
            }
        }
        dn
    };
    write_blocks(writer, canvas.rows, block, |rows, _| wrote(rows))
}

/// Writes the values of a canvas on a map grid, and adds them up.
///
/// # Errors
/// [`SimulateError::Raster`].
pub(super) fn write_layer(
    path: &Path,
    canvas: &Canvas,
    layer: Layer,
    place: (&Crs, GeoTransform),
) -> Result<LayerSums, SimulateError> {
    let options = ["PHOTOMETRIC=MINISBLACK", "INTERLEAVE=PIXEL", "COMPRESS=DEFLATE", "PREDICTOR=3"];
    let bands = canvas.scenery.bands();
    let writer = Writer::create::<f32>(path, (bands, canvas.rows, canvas.cols), &options, Some(place))?;
    let mut sums = LayerSums { layer, pixels: canvas.rows * canvas.cols, dark_pixels: 0, sums: vec![0.0; bands] };
    let add = |rows: usize, values: &[f32]| {
        let pixels = rows * canvas.cols;
        for (sum, plane) in sums.sums.iter_mut().zip(values.chunks_exact(pixels)) {
            *sum += plane.iter().map(|v| f64::from(*v)).sum::<f64>();
        }
        sums.dark_pixels += (0..pixels).filter(|i| values.iter().skip(*i).step_by(pixels).all(|v| *v == 0.0)).count();
    };
    write_blocks(writer, canvas.rows, |rows| canvas.values(rows), add)?;
    Ok(sums)
}

/// Writes heights above the ellipsoid on a grid of longitude and latitude, sampled at pixel centres.
///
/// # Errors
/// [`SimulateError::Raster`].
pub(super) fn write_dem(
    path: &Path,
    relief: &Relief,
    plane: &Plane,
    transform: GeoTransform,
    (rows, cols): (usize, usize),
) -> Result<(), SimulateError> {
    let options = ["COMPRESS=DEFLATE", "PREDICTOR=3"];
    let writer = Writer::create::<f32>(path, (1, rows, cols), &options, Some((&Crs::wgs84(), transform)))?;
    let block = |rows: Range<usize>| -> Vec<f32> {
        let height = |row: usize, col: usize| {
            let (lon, lat) = transform.world_from_pixel(col as f64 + 0.5, row as f64 + 0.5);
            let (x, y) = plane.xy(lon, lat);
            relief.height(x, y) as f32
        };
        rows.flat_map(|row| (0..cols).map(move |col| height(row, col))).collect()
    };
    write_blocks(writer, rows, block, |_, _| ())
}
