//! Pixels from files. GDAL's handles live here and nowhere else in the pixel path.
//!
//! Simple TIFFs, which is most of what comes, are read without it (`tiff`).
//!
//! Invariant: a handle is used by one thread at a time (GDAL's datasets are not shareable), and never waited for: a pool
//! that is empty opens another one. GDAL's 1-based bands and its (columns, rows) order do not leave this folder.

mod account;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod reference;
mod shapes;
mod terrain;
mod tiff;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};

use fieldglow_kernels::resample;
use gdal::raster::GdalDataType;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use tiff::{BlockCache, Fault, Reader, Sample};

pub use account::Account;
pub use reference::Reference;
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
    /// Bytes of a simple TIFF cannot be read or decoded.
    #[error(
        "reading {bands}, window {window}, of `{path}`; the file is damaged or incomplete, compare its size and checksum with the vendor's"
    )]
    Bytes {
        /// The file.
        path: PathBuf,
        /// Bands, from 1 as people count them: `band 1`, `bands 1, 2, 3`.
        bands: String,
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
    /// A raster cannot serve for what it is given.
    #[error("`{path}` {reason}")]
    Unfit {
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

/// Decoded blocks of all files. Without [`prepare_gdal`] it takes as much as a run with 512 MiB gives it.
static BLOCKS: LazyLock<Arc<BlockCache>> = LazyLock::new(|| Arc::new(BlockCache::new(48 << 20)));

/// GDAL's share of the memory for decoded blocks, and the least it gets, bytes.
///
/// What is large comes from simple TIFFs, whose blocks are in our own cache; a block there serves all threads. GDAL is left
/// with heights, a window at a time, and with files of rare kinds, which need a row of blocks at least.
const GDAL_SHARE: u64 = 4;
const GDAL_LEAST: u64 = 8 << 20;

/// Prepares GDAL once per process: no sidecar files, and its messages returned with errors instead of printed. All decoded
/// blocks, GDAL's and those of simple TIFFs, take `cache_bytes` together; the caller charges them to the memory budget.
pub fn prepare_gdal(cache_bytes: u64) {
    GDAL.call_once(|| {
        let block_bytes = block_bytes(cache_bytes);
        BLOCKS.set_capacity(block_bytes);
        let megabytes = ((cache_bytes - block_bytes) >> 20).max(1).to_string();
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

/// Bytes of memory for the decoded blocks of simple TIFFs, of those that [`prepare_gdal`] was given.
pub fn block_bytes(cache_bytes: u64) -> u64 {
    cache_bytes - (cache_bytes / GDAL_SHARE).max(GDAL_LEAST).min(cache_bytes)
}

/// Sets how much decoded blocks of simple TIFFs may take; the caller charges it to the memory budget.
pub fn set_block_bytes(bytes: u64) {
    BLOCKS.set_capacity(bytes);
}

/// Compressed strips, or tiles about as wide as the image: decoded whole, whatever is wanted of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strips {
    /// Rows of one.
    pub rows: usize,
    /// Bytes of a row of the image in them, all bands, decoded.
    pub row_bytes: u64,
}

/// A raster file and its idle handles.
#[derive(Debug)]
pub struct Raster {
    path: PathBuf,
    rows: usize,
    cols: usize,
    bands: usize,
    /// How to read it without GDAL, if that is possible.
    simple: Option<Reader>,
    idle: Mutex<Vec<Dataset>>,
    idle_scratch: Mutex<Vec<Scratch>>,
}

/// Buffers and codecs reused from read to read.
#[derive(Debug, Default)]
pub struct Scratch {
    simple: tiff::Scratch,
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
        // What GDAL reads as another format or type than it seems to be is not simple.
        let simple = Some(Arc::clone(&BLOCKS))
            .filter(|_| matches!(dataset.driver().short_name().as_str(), "GTiff" | "LIBERTIFF"))
            .and_then(|cache| Reader::open(path, (rows, cols), bands, cache))
            .filter(|simple| {
                (1..=bands).all(|k| dataset.rasterband(k).is_ok_and(|b| b.band_type() == type_of(simple)))
            });
        let idle = Mutex::new(vec![dataset]);
        Ok(Self { path: path.to_owned(), rows, cols, bands, simple, idle, idle_scratch: Mutex::default() })
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

    /// What was decoded so far without GDAL; nothing for files that are left to it.
    pub fn account(&self) -> Account {
        self.simple.as_ref().map(Reader::account).unwrap_or_default()
    }

    /// Its strips, if they are compressed, wider than what is read of them at a time, and decoded here.
    pub fn strips(&self) -> Option<Strips> {
        self.simple.as_ref().and_then(Reader::strips)
    }

    /// Bytes of all its blocks, decoded, if they are compressed and decoded here; else 0.
    pub fn packed_bytes(&self) -> u64 {
        self.simple.as_ref().map_or(0, Reader::packed_bytes)
    }

    /// Reads a window of one band, `band` counted from 0, into `out`, row by row. The window must lie inside the raster.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Pixels`], [`ReadError::Bytes`].
    pub fn read(&self, band: usize, window: Window, out: &mut [f32]) -> Result<(), ReadError> {
        if self.simple.is_none() {
            return self.read_decimated(band, window, (window.rows, window.cols), out);
        }
        let idle = self.idle_scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = idle.unwrap_or_default();
        let result = self.read_together(&[band], window, &mut scratch, out);
        self.idle_scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        result
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
        if let Some(simple) = &self.simple {
            let failed = |fault| self.failed(fault, bands, window);
            return simple.read(bands, window, &mut scratch.simple, out).map_err(failed);
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

    fn failed(&self, fault: Fault, bands: &[usize], window: Window) -> ReadError {
        let names: Vec<String> =
            fault.band.as_ref().map_or(bands, std::slice::from_ref).iter().map(|b| (b + 1).to_string()).collect();
        let bands = format!("band{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "));
        ReadError::Bytes { path: self.path.clone(), bands, window, source: fault.source }
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

/// GDAL's name of the type of samples.
fn type_of(simple: &Reader) -> GdalDataType {
    match simple.sample() {
        Sample::U8 => GdalDataType::UInt8,
        Sample::U16 => GdalDataType::UInt16,
        Sample::I16 => GdalDataType::Int16,
        Sample::U32 => GdalDataType::UInt32,
        Sample::I32 => GdalDataType::Int32,
        Sample::F32 => GdalDataType::Float32,
    }
}

fn handle(path: &Path) -> Result<Dataset, ReadError> {
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_RASTER,
        ..DatasetOptions::default()
    };
    Dataset::open_ex(path, options).map_err(|e| ReadError::Open { path: path.to_owned(), source: Box::new(e) })
}
