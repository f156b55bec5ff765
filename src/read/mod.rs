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
mod sheet;
mod terrain;
mod tiff;
mod vertical;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};

use fieldglow_kernels::resample;
use gdal::raster::GdalDataType;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use tiff::{BlockCache, Fault, Reader, Sample};

pub use account::Account;
pub use reference::Reference;
pub use shapes::Shapes;
pub use sheet::Sheet;
pub use terrain::{HeightWindow, Heights};
pub use vertical::Vertical;

use crate::arrival::Arrival;
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
    /// Rasters of heights do not cover the ground they are needed for.
    #[error("{files} {covers}, but {needed}; give one that covers it all")]
    DoesNotCover {
        /// The file, or how many there are.
        files: String,
        /// Their extent.
        covers: String,
        /// What is asked of it.
        needed: String,
    },
    /// Tiles of heights whose pixels do not go together.
    #[error(
        "`{first}` and `{second}` are not on one lattice ({differ}), so no height can be found between them; make one file of them, for example with `gdalwarp -r bilinear`, or name tiles of one product and zone alone"
    )]
    Lattices {
        /// One file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// In what they differ.
        differ: String,
    },
    /// A raster of a kind that is not opened.
    #[error("`{path}` is none of the rasters that are read here ({kinds}); copy it to one GeoTIFF with gdal_translate")]
    Kind {
        /// The file.
        path: PathBuf,
        /// Those that are.
        kinds: String,
        /// What GDAL says.
        #[source]
        source: Box<gdal::errors::GdalError>,
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

/// GDAL's drivers for images.
///
/// Whoever made a delivery also made what is in its files. Of the drivers only those are let at them that read the one file
/// they are given: others (VRT, WMS, …) take the names of further files and of servers from its text, whatever the file is
/// called.
const IMAGES: &[&str] = &["GTiff"];

/// GDAL's drivers for heights: GeoTIFF, the formats that DEMs and geoids are given away in, and nothing that names other
/// files, whose change no digest would notice. Of these, an ASCII grid alone has a file beside it, its reference system.
const HEIGHTS: &[&str] = &["GTiff", "SRTMHGT", "DTED", "AAIGrid", "GTX", "USGSDEM"];

/// A raster file and its idle handles.
#[derive(Debug)]
pub struct Raster {
    path: PathBuf,
    drivers: &'static [&'static str],
    rows: usize,
    cols: usize,
    bands: usize,
    /// Where its bytes come from, if they are not all there.
    arrival: Option<Arc<Arrival>>,
    /// How to read it without GDAL, if that is possible.
    simple: Option<Reader>,
    idle: Mutex<Vec<Dataset>>,
    /// Once the handles are those of a file that is there.
    renewed: Once,
    idle_scratch: Mutex<Vec<Scratch>>,
}

/// Buffers and codecs reused from read to read.
#[derive(Debug, Default)]
pub struct Scratch {
    simple: tiff::Scratch,
    planes: Vec<f32>,
}

impl Raster {
    /// Opens an image, a TIFF.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Kind`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::open_with(path, IMAGES, None)
    }

    /// The same of one whose pixels may have to be waited for.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Kind`].
    pub fn open_arriving(path: &Path, arrival: Option<&Arc<Arrival>>) -> Result<Self, ReadError> {
        Self::open_with(path, IMAGES, arrival.cloned())
    }

    /// Opens a raster of heights.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::Kind`].
    fn open_heights(path: &Path) -> Result<Self, ReadError> {
        Self::open_with(path, HEIGHTS, None)
    }

    fn open_with(
        path: &Path,
        drivers: &'static [&'static str],
        arrival: Option<Arc<Arrival>>,
    ) -> Result<Self, ReadError> {
        let dataset = handle(path, drivers)?;
        let (cols, rows) = dataset.raster_size();
        let bands = dataset.raster_count();
        // What GDAL reads as another format or type than it seems to be is not simple.
        let simple = Some(Arc::clone(&BLOCKS))
            .filter(|_| dataset.driver().short_name() == "GTiff")
            .and_then(|cache| Reader::open(path, (rows, cols), bands, cache, arrival.clone()))
            .filter(|simple| {
                (1..=bands).all(|k| dataset.rasterband(k).is_ok_and(|b| b.band_type() == type_of(simple)))
            });
        let idle = Mutex::new(vec![dataset]);
        let path = path.to_owned();
        let (renewed, idle_scratch) = (Once::new(), Mutex::default());
        Ok(Self { path, drivers, rows, cols, bands, arrival, simple, idle, renewed, idle_scratch })
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

    /// What was waited for so far, and what was decoded without GDAL; nothing of that for files that are left to it.
    pub fn account(&self) -> Account {
        let waiting = self.arrival.as_ref().map_or(0, |arrival| arrival.waited());
        Account { waiting, ..self.simple.as_ref().map(Reader::account).unwrap_or_default() }
    }

    /// Has all of it come, if it is on its way, before it is asked for.
    pub fn fetch_ahead(&self) {
        if let Some(arrival) = &self.arrival {
            arrival.want_all();
        }
    }

    /// Of decoded blocks as wide as several windows, only these columns are kept from now on.
    pub fn keep(&self, cols: Range<usize>) {
        if let Some(simple) = &self.simple {
            simple.keep(cols);
        }
    }

    /// Has the bytes of a window of some bands come, if they are on their way, before it is read.
    pub fn announce(&self, bands: &[usize], window: Window) {
        if let Some(simple) = &self.simple {
            simple.announce(bands, window);
        }
    }

    /// True where bytes may have to be waited for.
    pub fn is_arriving(&self) -> bool {
        self.arrival.is_some()
    }

    /// Bytes that are on their way together, at most.
    pub fn arriving_bytes(&self) -> u64 {
        self.arrival.as_ref().map_or(0, |arrival| arrival.most_at_once())
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
    /// [`ReadError::Open`], [`ReadError::Pixels`], [`ReadError::Bytes`].
    pub fn read_decimated(
        &self,
        band: usize,
        window: Window,
        shape: (usize, usize),
        out: &mut [f32],
    ) -> Result<(), ReadError> {
        if let Some(arrival) = &self.arrival {
            // Nobody knows which bytes GDAL will read.
            let failed = |source| self.failed(Fault { band: Some(band), source }, &[band], window);
            arrival.wait_for_all().map_err(failed)?;
            // Handles that are older may remember what was not there.
            self.renewed.call_once(|| self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear());
        }
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

    /// Calls `f` with a handle, whose pixels may not be there.
    fn with<T>(&self, f: impl FnOnce(&Dataset) -> T) -> Result<T, ReadError> {
        let dataset = self.take()?;
        let value = f(&dataset);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(dataset);
        Ok(value)
    }

    fn take(&self) -> Result<Dataset, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| handle(&self.path, self.drivers), Ok)
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

fn handle(path: &Path, drivers: &[&str]) -> Result<Dataset, ReadError> {
    let open = |allowed_drivers| {
        let open_flags = GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_RASTER;
        Dataset::open_ex(path, DatasetOptions { open_flags, allowed_drivers, ..DatasetOptions::default() })
    };
    open(Some(drivers)).map_err(|e| {
        let (path, source) = (path.to_owned(), Box::new(e));
        // A file that is there and that no driver knows, or that is not there, or is damaged.
        match path.is_file() {
            true => ReadError::Kind { path, kinds: drivers.join(", "), source },
            false => ReadError::Open { path, source },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    const GRID: &str = "ncols 3\nnrows 2\nxllcorner 125\nyllcorner 43\ncellsize 0.5\n200 210 220\n230 240 250\n";
    const SYSTEM: &str = "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563]],\
                          PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433]]";

    /// A folder with an ASCII grid, and a VRT of it that is called a TIFF.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("heights.asc");
        std::fs::write(&source, GRID).unwrap();
        std::fs::write(dir.path().join("heights.prj"), SYSTEM).unwrap();
        let vrt = format!(
            "<VRTDataset rasterXSize=\"3\" rasterYSize=\"2\"><SRS>EPSG:4326</SRS><GeoTransform>125,0.5,0,44,0,-0.5</GeoTransform>\
             <VRTRasterBand dataType=\"Float32\" band=\"1\"><SimpleSource><SourceFilename>{}</SourceFilename>\
             <SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
            source.display()
        );
        std::fs::write(dir.path().join("x.tif"), vrt).unwrap();
        dir
    }

    #[test]
    fn a_vrt_that_is_called_a_tiff_leads_nowhere() {
        let dir = folder();
        let path = dir.path().join("x.tif");
        // GDAL itself follows it.
        assert_eq!(Dataset::open(&path).unwrap().raster_size(), (3, 2));
        for error in [Raster::open(&path).map(drop).unwrap_err(), Heights::open(&path, &[]).map(drop).unwrap_err()] {
            let message = error.to_string();
            assert!(matches!(error, ReadError::Kind { .. }), "{}", chain(&error));
            assert!(
                message.contains("x.tif") && message.contains("gdal_translate") && message.contains("GTiff"),
                "{message}"
            );
        }
    }

    #[test]
    fn heights_may_be_other_grids_and_images_may_not() {
        let dir = folder();
        let path = dir.path().join("heights.asc");
        let heights = Heights::open(&path, &[]).unwrap();
        let window = heights.read(Window::new(0, 0, 2, 3)).unwrap();
        assert_eq!(
            (window.heights.as_slice(), window.range()),
            (&[200.0, 210.0, 220.0, 230.0, 240.0, 250.0][..], Some((200.0, 250.0)))
        );
        assert!(matches!(Raster::open(&path), Err(ReadError::Kind { .. })));
        assert!(matches!(Heights::open(&dir.path().join("none.tif"), &[]), Err(ReadError::Open { .. })));
    }
}
