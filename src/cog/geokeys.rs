//! The three GeoTIFF tags that name a reference system, as GDAL writes them.
//!
//! Invariant: pixels are areas; a file whose keys say otherwise is shifted by half a pixel in every reader.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gdal::DriverManager;
use gdal::vsi::{get_vsi_mem_file_bytes_owned, unlink_mem_file};

use super::CogError;
use super::directory::tag;
use super::tiff_reader::{Limits, Tiff};
use crate::grid::Crs;

/// The GeoTIFF keys of a reference system.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GeoKeys {
    /// GeoKeyDirectoryTag (34735).
    pub directory: Vec<u16>,
    /// GeoDoubleParamsTag (34736).
    pub doubles: Vec<f64>,
    /// GeoAsciiParamsTag (34737), without the closing zero byte.
    pub ascii: String,
}

/// Files in GDAL's memory are shared by all threads of the process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl GeoKeys {
    /// The keys of any reference system GDAL can write.
    ///
    /// # Cost
    /// Some milliseconds: GDAL writes a file of one pixel in memory.
    ///
    /// # Errors
    /// [`CogError::Crs`], [`CogError::GeoKeys`].
    pub fn for_crs(crs: &Crs) -> Result<Self, CogError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/vsimem/fieldglow-geokeys-{number}.tif"));
        let written = write_one_pixel(crs, &path);
        // A reference system that GeoTIFF cannot express fully gets a sidecar.
        let _ = unlink_mem_file(path.with_extension("tif.aux.xml"));
        Self::read(&path, written?)
    }

    fn read(path: &Path, bytes: Vec<u8>) -> Result<Self, CogError> {
        let mut tiff = Tiff::open(path, Cursor::new(bytes), Limits::default())?;
        let missing = |tiff: &Tiff<_>| tiff.malformed("tag 34735", "GeoTIFF keys", "none");
        let Some(main) = tiff.directories()?.into_iter().next() else { return Err(missing(&tiff)) };
        let Some(keys) = tiff.integers(&main, tag::GEO_KEY_DIRECTORY)? else { return Err(missing(&tiff)) };
        Ok(Self {
            // The type of the tag is SHORT, so nothing is cut.
            directory: keys.into_iter().map(|key| key as u16).collect(),
            doubles: tiff.doubles(&main, tag::GEO_DOUBLE_PARAMS)?.unwrap_or_default(),
            ascii: tiff.text(&main, tag::GEO_ASCII_PARAMS)?.unwrap_or_default(),
        })
    }
}

fn write_one_pixel(crs: &Crs, path: &Path) -> Result<Vec<u8>, CogError> {
    let srs = crs.spatial_ref().map_err(CogError::Crs)?;
    let write = || {
        let mut dataset = DriverManager::get_driver_by_name("GTiff")?.create(path, 1, 1, 1)?;
        dataset.set_spatial_ref(&srs)?;
        // Without a place GDAL leaves the keys out.
        dataset.set_geo_transform(&[0.0, 1.0, 0.0, 0.0, 0.0, -1.0])?;
        dataset.close()?;
        get_vsi_mem_file_bytes_owned(path)
    };
    write().map_err(|source| CogError::GeoKeys { crs: crs.to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value of a key that stands in the directory itself.
    fn key(keys: &GeoKeys, id: u16) -> Option<u16> {
        keys.directory.chunks_exact(4).skip(1).find(|k| k[0] == id).map(|k| k[3])
    }

    #[test]
    fn a_coded_system_is_named_by_its_code_and_pixels_are_areas() {
        let keys = GeoKeys::for_crs(&Crs::from_epsg(32651).unwrap()).unwrap();
        assert_eq!((key(&keys, 1024), key(&keys, 1025), key(&keys, 3072)), (Some(1), Some(1), Some(32651)));
        let keys = GeoKeys::for_crs(&Crs::wgs84()).unwrap();
        assert_eq!((key(&keys, 1024), key(&keys, 1025), key(&keys, 2048)), (Some(2), Some(1), Some(4326)));
    }

    #[test]
    fn a_system_without_a_code_has_its_numbers_written_out() {
        let crs = Crs::from_definition("+proj=tmerc +lon_0=125.4 +k=0.9999 +x_0=500000 +ellps=GRS80").unwrap();
        let keys = GeoKeys::for_crs(&crs).unwrap();
        assert_eq!(key(&keys, 3072), Some(32767));
        assert!(keys.doubles.contains(&125.4) && keys.doubles.contains(&0.9999), "{keys:?}");
    }

    #[test]
    fn threads_do_not_disturb_each_other() {
        let crs: Vec<_> = (0..8).map(|zone| Crs::from_epsg(32641 + zone).unwrap()).collect();
        std::thread::scope(|scope| {
            for (zone, crs) in crs.iter().enumerate() {
                scope.spawn(move || {
                    let keys = GeoKeys::for_crs(crs).unwrap();
                    assert_eq!(key(&keys, 3072), Some(32641 + zone as u16));
                });
            }
        });
    }
}
