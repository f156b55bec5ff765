//! Pixels from files. GDAL's handles live here and nowhere else in the pixel path.
//!
//! Invariant: a handle is used by one thread at a time (GDAL's datasets are not shareable), and never waited for: a pool
//! that is empty opens another one. GDAL's 1-based bands and its (columns, rows) order do not leave this folder.

mod plain;
mod shapes;
mod terrain;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use fieldglow_kernels::resample;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use plain::Plain;

pub use shapes::Shapes;
pub use terrain::{HeightWindow, Heights};

use crate::error::{Class, Classify};
use crate::grid::Window;

/// Reading failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A raster or vector file cannot be opened.
    #[error("opening `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// What GDAL says.
        #[source]
        source: Box<gdal::errors::GdalError>,
    },
    /// Pixels cannot be read: truncated file, broken compression, I/O.
    #[error(
        "reading band {band}, window {window}, of `{path}`; the file is damaged or incomplete, compare its size and checksum with the vendor's"
    )]
    Pixels {
        /// The file.
        path: PathBuf,
        /// Band, from 1 as people count them.
        band: usize,
        /// Pixels asked for.
        window: Window,
        /// What GDAL says.
        #[source]
        source: Box<gdal::errors::GdalError>,
    },
    /// Bytes of an uncompressed file cannot be read.
    #[error(
        "reading window {window} of `{path}`; the file is damaged or incomplete, compare its size and checksum with the vendor's"
    )]
    Bytes {
        /// The file.
        path: PathBuf,
        /// Pixels asked for.
        window: Window,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A vector file cannot be used.
    #[error("`{path}` {reason}")]
    Shapes {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A raster lacks what is needed of it.
    #[error("the raster `{path}` has no {what}; {remedy}")]
    Lacks {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A raster does not cover the ground it is needed for.
    #[error("`{path}` covers {covers}, but {needed}; give one that covers it all")]
    DoesNotCover {
        /// The file.
        path: PathBuf,
        /// Its extent.
        covers: String,
        /// What is asked of it.
        needed: String,
    },
    /// A raster made of other files.
    #[error(
        "`{path}` is a {driver}: its pixels stand in other files, which nothing here would notice to change; copy it to one GeoTIFF with gdal_translate"
    )]
    Virtual {
        /// The file.
        path: PathBuf,
        /// GDAL's name of the format.
        driver: String,
    },
    /// A reference system cannot be used.
    #[error("the reference system of `{path}`")]
    Crs {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<crate::grid::CrsError>,
    },
}

impl Classify for ReadError {
    fn class(&self) -> Class {
        Class::Input
    }
}

static GDAL: Once = Once::new();

/// Prepares GDAL once per process: its block cache in bytes (charged to the memory budget by the caller), no sidecar
/// files, and its messages returned with errors instead of printed.
pub fn prepare_gdal(cache_bytes: u64) {
    GDAL.call_once(|| {
        let megabytes = (cache_bytes >> 20).max(1).to_string();
        for (key, value) in [
            ("GDAL_CACHEMAX", megabytes.as_str()),
            ("GDAL_PAM_ENABLED", "NO"),
            ("GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"),
            ("GTIFF_IGNORE_READ_ERRORS", "NO"),
        ] {
            // A GDAL without one of these options works too, only slower.
            let _ = gdal::config::set_config_option(key, value);
        }
        gdal::config::set_error_handler(|_, _, _| {});
    });
}

/// A raster file and its idle handles.
#[derive(Debug)]
pub struct Raster {
    path: PathBuf,
    rows: usize,
    cols: usize,
    bands: usize,
    /// How to read it without GDAL, if that is possible.
    plain: Option<Plain>,
    idle: Mutex<Vec<Dataset>>,
}

/// Buffers reused from read to read.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    planes: Vec<f32>,
}

impl Raster {
    /// Opens a raster.
    ///
    /// # Errors
    /// [`ReadError::Open`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let dataset = handle(path)?;
        let (cols, rows) = dataset.raster_size();
        let bands = dataset.raster_count();
        let plain = Plain::open(path, (rows, cols), bands);
        Ok(Self { path: path.to_owned(), rows, cols, bands, plain, idle: Mutex::new(vec![dataset]) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All its pixels.
    pub fn window(&self) -> Window {
        Window::new(0, 0, self.rows, self.cols)
    }

    /// Number of bands.
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// Reads a window of one band, `band` counted from 0, into `out`, row by row. The window must lie inside the raster.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Pixels`].
    pub fn read(&self, band: usize, window: Window, out: &mut [f32]) -> Result<(), ReadError> {
        self.read_decimated(band, window, (window.rows, window.cols), out)
    }

    /// Reads a window of several bands, counted from 0, into `out`, samples side by side, (row, col, band). The window must lie
    /// inside the raster.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Pixels`], [`ReadError::Bytes`].
    pub fn read_together(
        &self,
        bands: &[usize],
        window: Window,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        if let Some(plain) = &self.plain {
            let failed = |source| ReadError::Bytes { path: self.path.clone(), window, source };
            return plain.read(bands, window, &mut scratch.bytes, out).map_err(failed);
        }
        scratch.planes.resize(out.len(), 0.0);
        for (band, plane) in bands.iter().zip(scratch.planes.chunks_exact_mut(window.pixels().max(1))) {
            self.read(*band, window, plane)?;
        }
        resample::interleave(&scratch.planes, bands.len(), out);
        Ok(())
    }

    /// Reads a window at fewer pixels, `shape` (rows, cols), each the nearest source pixel.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Pixels`].
    pub fn read_decimated(
        &self,
        band: usize,
        window: Window,
        shape: (usize, usize),
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        let dataset = self.take()?;
        let result = dataset.rasterband(band + 1).and_then(|b| {
            let origin = (window.col as isize, window.row as isize);
            b.read_into_slice(origin, (window.cols, window.rows), (shape.1, shape.0), out, None)
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(dataset);
        result.map_err(|e| ReadError::Pixels { path: self.path.clone(), band: band + 1, window, source: Box::new(e) })
    }

    /// Calls `f` with a handle.
    fn with<T>(&self, f: impl FnOnce(&Dataset) -> T) -> Result<T, ReadError> {
        let dataset = self.take()?;
        let value = f(&dataset);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(dataset);
        Ok(value)
    }

    fn take(&self) -> Result<Dataset, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| handle(&self.path), Ok)
    }
}

fn handle(path: &Path) -> Result<Dataset, ReadError> {
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_RASTER,
        ..DatasetOptions::default()
    };
    Dataset::open_ex(path, options).map_err(|e| ReadError::Open { path: path.to_owned(), source: Box::new(e) })
}
