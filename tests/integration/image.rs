//! Rasters in and out, by GDAL.

use std::path::Path;
use std::sync::Once;

use gdal::raster::{Buffer, GdalType};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager};

/// A raster, or one of its overviews.
pub struct Image {
    pub rows: usize,
    pub cols: usize,
    /// GDAL's six numbers; those of pixels where it knows none.
    pub transform: [f64; 6],
    /// Stored values, exact in f64.
    pub bands: Vec<Vec<f64>>,
    pub nodata: Option<f64>,
}

/// Statistics files beside the outputs would be found by tests that compare folders.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gdal::config::set_config_option("GDAL_PAM_ENABLED", "NO").unwrap());
}

pub fn open(path: &Path) -> Dataset {
    prepare();
    Dataset::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A raster at full resolution.
pub fn read(path: &Path) -> Image {
    level(&open(path), 0)
}

/// Position of an image's first pixel on the lattice of another, in pixels: (row, col).
#[track_caller]
pub fn offset(image: &Image, on: &Image) -> (i64, i64) {
    let (a, b) = (&image.transform, &on.transform);
    assert_eq!((a[1], a[5]), (b[1], b[5]));
    let (row, col) = ((a[3] - b[3]) / b[5], (a[0] - b[0]) / b[1]);
    assert_eq!((row.fract(), col.fract()), (0.0, 0.0));
    (row as i64, col as i64)
}

/// All levels of a raster, the full resolution first.
pub fn levels(path: &Path) -> Vec<Image> {
    let dataset = open(path);
    let count = dataset.rasterband(1).unwrap().overview_count().unwrap();
    (0..=count as usize).map(|k| level(&dataset, k)).collect()
}

fn level(dataset: &Dataset, level: usize) -> Image {
    let mut bands = Vec::new();
    let (mut rows, mut cols, mut nodata) = (0, 0, None);
    for number in 1..=dataset.raster_count() {
        let full = dataset.rasterband(number).unwrap();
        let band = if level == 0 { full } else { full.overview(level - 1).unwrap() };
        (cols, rows) = band.size();
        nodata = band.no_data_value();
        bands.push(band.read_band_as::<f64>().unwrap().data().to_vec());
    }
    let transform = dataset.geo_transform().unwrap_or([0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    Image { rows, cols, transform, bands, nodata }
}

/// Writes a GeoTIFF; `place` is an EPSG code and GDAL's six numbers.
pub fn write<T: GdalType + Copy>(
    path: &Path,
    (rows, cols): (usize, usize),
    planes: &[Vec<T>],
    place: Option<(u32, [f64; 6])>,
) {
    prepare();
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut dataset = driver.create_with_band_type::<T, _>(path, cols, rows, planes.len()).unwrap();
    if let Some((epsg, transform)) = place {
        dataset.set_spatial_ref(&SpatialRef::from_epsg(epsg).unwrap()).unwrap();
        dataset.set_geo_transform(&transform).unwrap();
    }
    for (k, plane) in planes.iter().enumerate() {
        let mut buffer = Buffer::new((cols, rows), plane.clone());
        dataset.rasterband(k + 1).unwrap().write((0, 0), (cols, rows), &mut buffer).unwrap();
    }
    dataset.close().unwrap();
}
