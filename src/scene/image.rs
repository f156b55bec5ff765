//! Facts about an image file through GDAL: its shape, type and georeference, never its pixels.
//!
//! Only TIFF is opened: other formats GDAL knows (VRT, for one) can name further files and would lead out of the
//! delivery. That the file is as long as its own directory says is checked here, so that a broken download fails before
//! the first pixel is computed.

use std::path::Path;

use gdal::raster::{GdalDataType, RasterBand};
use gdal::{Dataset, DatasetOptions, Metadata};

use super::rpc_file;
use super::{Rpc, SampleType, SceneError};
use crate::grid::{Crs, GeoTransform};

/// Longest side of an image, pixels.
const SIDE_LIMIT: usize = 1 << 20;

/// Most bands of an image.
const BAND_LIMIT: usize = 1024;

/// Most blocks of a band whose place in the file is checked; of more, an evenly spaced choice that ends with the last.
const BLOCK_CHECKS: usize = 1024;

/// What is known of an image file.
#[derive(Debug)]
pub(super) struct Facts {
    pub rows: usize,
    pub cols: usize,
    pub bands: usize,
    pub sample: SampleType,
    /// What the file calls its bands; empty texts where it says nothing.
    pub descriptions: Vec<String>,
    /// The file's own "no data" value; NaN counts as none, it needs no marking.
    pub nodata: Option<f64>,
    /// Map projection, if the file has a reference system and a transform.
    pub projected: Option<(Crs, GeoTransform)>,
    /// RPC in tags, or in files that GDAL finds by itself; an error if they are there and unusable.
    pub rpc: Option<Result<Rpc, SceneError>>,
}

/// Describes an image.
pub(super) fn facts(path: &Path) -> Result<Facts, SceneError> {
    let size = std::fs::metadata(path).map_err(|source| SceneError::Read { path: path.into(), source })?.len();
    // A TIFF header has 8 bytes; GDAL's message for less does not say "empty".
    if size < 8 {
        return Err(SceneError::Truncated { path: path.into(), needed: 8, found: size });
    }
    // GDAL takes names as UTF-8 alone.
    if path.to_str().is_none() {
        return Err(SceneError::Unsupported {
            path: path.into(),
            what: "a path that is not UTF-8".into(),
            remedy: "rename it, for GBK names with `convmv -f gbk -t utf8 -r --notest FOLDER`".into(),
        });
    }
    let failed = |source| SceneError::Image { path: path.into(), source };
    let options = DatasetOptions { allowed_drivers: Some(&["GTiff"]), ..DatasetOptions::default() };
    let dataset = Dataset::open_ex(path, options).map_err(failed)?;
    let (cols, rows) = dataset.raster_size();
    let bands = dataset.raster_count();
    for (what, found, limit) in
        [("columns", cols, SIDE_LIMIT), ("rows", rows, SIDE_LIMIT), ("bands", bands, BAND_LIMIT)]
    {
        if found > limit {
            return Err(SceneError::Limit { path: path.into(), what, found: found as u64, limit: limit as u64 });
        }
    }
    let row_bytes = plain_row_bytes(&dataset);
    for number in 1..=bands {
        check_length(path, size, row_bytes, &dataset.rasterband(number).map_err(failed)?)?;
    }
    let first = dataset.rasterband(1).map_err(failed)?;
    let mut descriptions = Vec::with_capacity(bands);
    for number in 1..=bands {
        descriptions.push(dataset.rasterband(number).and_then(|band| band.description()).map_err(failed)?);
    }
    Ok(Facts {
        rows,
        cols,
        bands,
        sample: sample_type(path, &first)?,
        descriptions,
        nodata: first.no_data_value().filter(|v| !v.is_nan()),
        projected: projected(&dataset).map_err(failed)?,
        rpc: rpc_file::from_domain(path, |key| dataset.metadata_item(key, "RPC")),
    })
}

fn sample_type(path: &Path, band: &RasterBand) -> Result<SampleType, SceneError> {
    // GDAL before 3.7 has no type for them, and hands them out without their sign.
    let is_signed_byte = band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").as_deref() == Some("SIGNEDBYTE");
    let what = match band.band_type() {
        GdalDataType::UInt8 if is_signed_byte => "an image of type Int8".into(),
        GdalDataType::UInt8 => return Ok(SampleType::U8),
        GdalDataType::UInt16 => return Ok(SampleType::U16),
        GdalDataType::Int16 => return Ok(SampleType::I16),
        GdalDataType::UInt32 => return Ok(SampleType::U32),
        GdalDataType::Int32 => return Ok(SampleType::I32),
        GdalDataType::Float32 => return Ok(SampleType::F32),
        GdalDataType::Float64 => return Ok(SampleType::F64),
        GdalDataType::Unknown => "an image of complex numbers, or of an unknown type,".into(),
        other => format!("an image of type {}", other.name()),
    };
    let remedy =
        "convert it to 8 (unsigned), 16 or 32 bits or floating point, for example with `gdal_translate -ot Int16`";
    Err(SceneError::Unsupported { path: path.into(), what, remedy: remedy.into() })
}

fn projected(dataset: &Dataset) -> gdal::errors::Result<Option<(Crs, GeoTransform)>> {
    let (Ok(srs), Ok(numbers)) = (dataset.spatial_ref(), dataset.geo_transform()) else { return Ok(None) };
    let transform = GeoTransform::from_gdal(numbers);
    // A local system ("unnamed engineering datum") has no place on the Earth.
    if !(srs.is_projected() || srs.is_geographic()) || !transform.is_usable() {
        return Ok(None);
    }
    Ok(Some((Crs::from_spatial_ref(&srs)?, transform)))
}

/// Bytes of a row in a strip, if the image is not compressed and its samples are whole bytes.
fn plain_row_bytes(dataset: &Dataset) -> Option<u64> {
    let structure = |key: &str| dataset.metadata_item(key, "IMAGE_STRUCTURE");
    let first = dataset.rasterband(1).ok()?;
    if structure("COMPRESSION").is_some() || first.metadata_item("NBITS", "IMAGE_STRUCTURE").is_some() {
        return None;
    }
    let together = if structure("INTERLEAVE").as_deref() == Some("PIXEL") { dataset.raster_count() } else { 1 };
    Some((dataset.raster_size().0 * together) as u64 * u64::from(first.band_type().bits()) / 8)
}

/// Fails when a block of `band` ends behind the end of the file.
fn check_length(path: &Path, size: u64, row_bytes: Option<u64>, band: &RasterBand) -> Result<(), SceneError> {
    let (block_cols, block_rows) = band.block_size();
    let (cols, rows) = band.size();
    let across = cols.div_ceil(block_cols.max(1));
    let blocks = across * rows.div_ceil(block_rows.max(1));
    let checks = blocks.min(BLOCK_CHECKS);
    for check in 1..=checks {
        // The last check is the last block: writers go in order, so it is the first to be cut off.
        let block = blocks * check / checks - 1;
        let (i, j) = (block % across, block / across);
        let number = |key: &str| band.metadata_item(&format!("{key}_{i}_{j}"), "TIFF")?.parse::<u64>().ok();
        // Sparse blocks have no place in the file.
        let (Some(offset), Some(stated)) = (number("BLOCK_OFFSET"), number("BLOCK_SIZE")) else { continue };
        // Some writers state a whole strip where the image ends before it does.
        let held = (rows - j * block_rows).min(block_rows) as u64;
        let length = row_bytes.filter(|_| block_cols == cols).map_or(stated, |row| stated.min(held * row));
        let needed = offset.saturating_add(length);
        if needed > size {
            return Err(SceneError::Truncated { path: path.into(), needed, found: size });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{write_tiff, write_tiff_with};
    use super::*;
    use crate::error::chain;

    #[test]
    fn shape_type_and_nodata_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        write_tiff_with(&path, 7, 5, 4, |ds| {
            ds.rasterband(1).unwrap().set_no_data_value(Some(9.0)).unwrap();
        });
        let f = facts(&path).unwrap();
        assert_eq!((f.rows, f.cols, f.bands, f.sample, f.nodata), (7, 5, 4, SampleType::U16, Some(9.0)));
        assert!(f.projected.is_none() && f.rpc.is_none());
    }

    /// An uncompressed image of one column and three rows in strips of two rows and one, every bit set; the directory says that
    /// the last strip has `last` bytes.
    fn write_strips(path: &Path, bits: u16, format: u16, last: u16) {
        let sample = bits / 8;
        // Tag and values, all SHORT, which is type 3.
        let entries: [(u16, &[u16]); 11] = [
            (256, &[1]),
            (257, &[3]),
            (258, &[bits]),
            (259, &[1]),
            (262, &[1]),
            (273, &[8, 8 + 2 * sample]),
            (277, &[1]),
            (278, &[2]),
            (279, &[2 * sample, last]),
            (284, &[1]),
            (339, &[format]),
        ];
        let mut tiff = b"II*\0\x20\0\0\0".to_vec();
        tiff.extend([0xFF; 24]);
        tiff.extend((entries.len() as u16).to_le_bytes());
        for (tag, values) in entries {
            let value = |k: usize| values.get(k).copied().unwrap_or(0);
            [tag, 3, values.len() as u16, 0, value(0), value(1)]
                .iter()
                .for_each(|word| tiff.extend(word.to_le_bytes()));
        }
        tiff.extend([0; 4]);
        std::fs::write(path, tiff).unwrap();
    }

    #[test]
    fn a_plain_strip_is_no_longer_than_its_rows_whatever_is_stated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        write_strips(&path, 16, 1, 60_000);
        let dataset = Dataset::open(&path).unwrap();
        let band = dataset.rasterband(1).unwrap();
        assert_eq!(band.metadata_item("BLOCK_SIZE_0_1", "TIFF").as_deref(), Some("60000"), "what the directory says");
        assert_eq!(band.read_as::<u16>((0, 0), (1, 3), (1, 3), None).unwrap().data(), [u16::MAX; 3]);
        assert_eq!(facts(&path).unwrap().sample, SampleType::U16);
        // Beyond the end with what it does hold.
        let whole = std::fs::read(&path).unwrap();
        let mut cut = whole.clone();
        cut[0x20 + 2 + 12 * 5 + 10..0x20 + 2 + 12 * 6].copy_from_slice(&(whole.len() as u16 - 1).to_le_bytes());
        std::fs::write(&path, cut).unwrap();
        assert!(matches!(facts(&path), Err(SceneError::Truncated { .. })));
    }

    #[test]
    fn types_that_would_lose_their_sign_or_their_digits_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        for (bits, format, name) in [(8, 2, "Int8"), (64, 1, "UInt64"), (64, 2, "Int64"), (64, 6, "complex")] {
            write_strips(&path, bits, format, bits / 8);
            let message = facts(&path).unwrap_err().to_string();
            assert!(message.contains("a.tif") && message.contains(name) && message.contains("convert it"), "{message}");
        }
        write_strips(&path, 8, 1, 1);
        assert_eq!(facts(&path).unwrap().sample, SampleType::U8);
    }

    #[test]
    fn chinese_paths_are_opened_and_those_in_gbk_say_what_to_do() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("吉林一号");
        std::fs::create_dir(&folder).unwrap();
        write_tiff(&folder.join("影像.tif"), 2, 3, 1);
        assert_eq!(facts(&folder.join("影像.tif")).unwrap().cols, 3);
        let gbk = folder.join(std::ffi::OsStr::from_bytes(b"\xbc\xaa.tif"));
        std::fs::copy(folder.join("影像.tif"), &gbk).unwrap();
        assert!(facts(&gbk).unwrap_err().to_string().contains("convmv"));
    }

    #[test]
    fn a_crs_less_transform_is_no_projection() {
        let dir = tempfile::tempdir().unwrap();
        let (crop, map) = (dir.path().join("crop.tif"), dir.path().join("map.tif"));
        let numbers = [5000.0, 1.0, 0.0, 5000.0, 0.0, -1.0];
        write_tiff_with(&crop, 4, 4, 1, |ds| ds.set_geo_transform(&numbers).unwrap());
        write_tiff_with(&map, 4, 4, 1, |ds| {
            ds.set_geo_transform(&numbers).unwrap();
            ds.set_spatial_ref(&Crs::from_epsg(32651).unwrap().spatial_ref().unwrap()).unwrap();
        });
        assert!(facts(&crop).unwrap().projected.is_none());
        let (crs, transform) = facts(&map).unwrap().projected.unwrap();
        assert_eq!((crs.epsg(), transform.x0), (Some(32651), 5000.0));
    }

    #[test]
    fn an_rpc_tag_is_found_through_gdal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        super::super::testing::write_tiff_with_rpc_tag(&path);
        let rpc = facts(&path).unwrap().rpc.unwrap().unwrap();
        assert_eq!((rpc.row_off, rpc.col_off, rpc.row_num[2]), (3.5, 4.5, -1.0));
    }

    #[test]
    fn pixels_of_dimap_are_counted_from_0_as_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("IMG_a_R1C1.tif");
        write_tiff(&path, 8, 10, 1);
        std::fs::write(dir.path().join("RPC_a.XML"), super::super::testing::dimap_text()).unwrap();
        let rpc = facts(&path).unwrap().rpc.unwrap().unwrap();
        let text = dir.path().join("a_rpc.txt");
        std::fs::write(&text, super::super::testing::rpc_text()).unwrap();
        assert_eq!(rpc, rpc_file::read(&text).unwrap());
    }

    #[test]
    fn empty_short_and_foreign_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        for bytes in [&b""[..], b"II*\0"] {
            std::fs::write(&path, bytes).unwrap();
            let message = facts(&path).unwrap_err().to_string();
            assert!(message.contains("a.tif") && message.contains("cut off") && message.contains("fetch it again"));
        }
        std::fs::write(&path, b"<VRTDataset rasterXSize=\"1\" rasterYSize=\"1\"/>").unwrap();
        let error = facts(&path).unwrap_err();
        assert!(matches!(error, SceneError::Image { .. }), "{}", chain(&error));
        assert!(matches!(facts(&dir.path().join("b.tif")), Err(SceneError::Read { .. })));
    }

    #[test]
    fn a_download_cut_off_in_the_pixels_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        write_tiff(&path, 300, 200, 1);
        let whole = std::fs::read(&path).unwrap();
        assert!(facts(&path).is_ok());
        std::fs::write(&path, &whole[..whole.len() - 1000]).unwrap();
        let error = facts(&path).unwrap_err();
        assert!(matches!(error, SceneError::Truncated { .. }), "{}", chain(&error));
    }
}
