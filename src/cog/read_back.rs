//! Files written here and read by others: GDAL and the `tiff` crate.

use std::path::Path;

use gdal::{Dataset, Metadata};

use super::synthetic::{self, Pixel};
use super::{BigTiff, Compression, Depth, Predictor, Sample, SampleType, Spec, validate};
use crate::grid::GeoTransform;

fn bits<T: Sample>(values: impl IntoIterator<Item = T>) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le().as_ref().to_vec()).collect()
}

fn assert_gdal_reads<T: Pixel>(spec: &Spec, path: &Path, levels: &[Vec<T>]) {
    let dataset = Dataset::open(path).unwrap();
    assert_eq!(dataset.raster_size(), (spec.cols, spec.rows));
    assert_eq!(dataset.raster_count(), spec.bands.len());
    for number in 0..spec.bands.len() {
        let band = dataset.rasterband(number + 1).unwrap();
        assert_eq!(band.overview_count().unwrap() as usize + 1, levels.len());
        for (level, pixels) in levels.iter().enumerate() {
            let read = match level {
                0 => band.read_band_as::<T>().unwrap(),
                _ => band.overview(level - 1).unwrap().read_band_as::<T>().unwrap(),
            };
            let expected = pixels.iter().copied().skip(number).step_by(spec.bands.len());
            assert!(bits(read.data().iter().copied()) == bits(expected), "band {number}, level {level}: {spec:?}");
        }
    }
}

/// The `tiff` crate has no ZSTD as we build it.
fn assert_tiff_reads<T: Pixel>(spec: &Spec, path: &Path, levels: &[Vec<T>]) {
    use tiff::decoder::{Decoder, DecodingResult};
    let mut decoder = Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
    for (level, pixels) in levels.iter().enumerate() {
        decoder.seek_to_image(level).unwrap();
        let read = match decoder.read_image().unwrap() {
            DecodingResult::U8(v) => bits(v),
            DecodingResult::U16(v) => bits(v),
            DecodingResult::I16(v) => bits(v),
            DecodingResult::U32(v) => bits(v),
            DecodingResult::F32(v) => bits(v),
            other => panic!("{other:?}"),
        };
        assert!(read == bits(pixels.iter().copied()), "level {level}: {spec:?}");
    }
}

fn round_trip<T: Pixel>(sizes: &[(usize, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let fitting = if T::TYPE == SampleType::F32 { Predictor::Float } else { Predictor::Horizontal };
    for &(rows, cols) in sizes {
        for bands in [1, 3, 4] {
            for compression in [Compression::Zstd { level: 3 }, Compression::Deflate { level: 6 }] {
                for predictor in [Predictor::None, fitting] {
                    for with_nodata in [true, false] {
                        let mut spec = synthetic::spec(rows, cols, 64, T::TYPE, bands);
                        (spec.compression, spec.predictor) = (compression, predictor);
                        if !with_nodata {
                            (spec.nodata, spec.bigtiff) = (None, BigTiff::Always);
                        }
                        let (bytes, levels) = synthetic::file::<T>(&spec, (rows + cols) as u64);
                        std::fs::write(&path, bytes).unwrap();
                        assert_gdal_reads(&spec, &path, &levels);
                        if matches!(compression, Compression::Deflate { .. }) {
                            assert_tiff_reads(&spec, &path, &levels);
                        }
                        let report = validate(&path, Depth::Full).unwrap();
                        let broken: Vec<_> = report.errors.iter().map(|f| f.check).collect();
                        // Without nodata all pixels are valid, which the rules ask to be said.
                        let expected: &[&str] = if with_nodata { &[] } else { &["C17"] };
                        assert_eq!(broken, expected, "{report:?} {spec:?}");
                        assert!(report.warnings.is_empty(), "{report:?}");
                    }
                }
            }
        }
    }
}

const SIZES: [(usize, usize); 4] = [(1, 1), (63, 65), (64, 64), (65, 129)];

#[test]
fn u8_files_are_read_back() {
    round_trip::<u8>(&SIZES);
}

#[test]
fn u16_files_are_read_back() {
    round_trip::<u16>(&SIZES);
    round_trip::<u16>(&[(250, 163)]);
}

#[test]
fn i16_files_are_read_back() {
    round_trip::<i16>(&SIZES);
}

#[test]
fn u32_files_are_read_back() {
    round_trip::<u32>(&SIZES);
}

#[test]
fn f32_files_are_read_back() {
    round_trip::<f32>(&SIZES);
}

#[test]
fn gdal_reads_the_metadata_and_writes_no_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let mut spec = synthetic::spec(70, 50, 64, SampleType::I16, 2);
    spec.metadata = vec![("NOTE".into(), "1 < 2 & \"3\"; &lt; stays".into())];
    let (bytes, levels) = synthetic::file::<i16>(&spec, 3);
    std::fs::write(&path, bytes).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.metadata_item("NOTE", "").as_deref(), Some("1 < 2 & \"3\"; &lt; stays"));
    assert_eq!(dataset.metadata_item("LAYOUT", "IMAGE_STRUCTURE").as_deref(), Some("COG"));
    assert_eq!(dataset.metadata_item("AREA_OR_POINT", "").as_deref(), Some("Area"));
    assert_eq!(dataset.geo_transform().unwrap(), spec.transform.to_gdal());
    assert_eq!(dataset.spatial_ref().unwrap().auth_code().unwrap(), 32651);
    let stated = synthetic::statistics(&spec, &levels[0]);
    for (number, (band, stated)) in spec.bands.iter().zip(stated).enumerate() {
        let read = dataset.rasterband(number + 1).unwrap();
        assert_eq!(gdal::Metadata::description(&read).unwrap(), band.description);
        assert_eq!(Some(read.unit()), band.unit);
        assert_eq!((read.scale(), read.offset()), (Some(band.scale), Some(band.offset)));
        assert_eq!(read.no_data_value(), spec.nodata);
        assert_eq!(read.color_interpretation().name(), band.color.name());
        let (read, stated) = (read.get_statistics(false, false).unwrap().unwrap(), stated.unwrap());
        assert_eq!((read.min, read.max), (stated.min, stated.max));
        assert_eq!((read.mean, read.std_dev), (stated.mean, stated.stddev));
    }
    drop(dataset);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_rotated_image_keeps_its_transform() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    for gdal in [[500_000.0, 0.6, 0.1, 4_860_000.0, 0.2, -0.7], [10.0, 0.5, 0.0, 20.0, 0.0, 0.5]] {
        let spec = Spec { transform: GeoTransform::from_gdal(gdal), ..synthetic::spec(20, 20, 16, SampleType::U8, 1) };
        std::fs::write(&path, synthetic::file::<u8>(&spec, 3).0).unwrap();
        assert_eq!(Dataset::open(&path).unwrap().geo_transform().unwrap(), gdal);
    }
}

#[test]
fn the_ghost_area_is_the_one_gdal_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, theirs) = (folder.path().join("a.tif"), folder.path().join("b.tif"));
    let (ours, _) = synthetic::file::<u16>(&synthetic::spec(600, 40, 512, SampleType::U16, 1), 3);
    std::fs::write(&path, &ours).unwrap();
    let driver = gdal::DriverManager::get_driver_by_name("COG").unwrap();
    Dataset::open(&path).unwrap().create_copy(&driver, &theirs, &Default::default()).unwrap().close().unwrap();
    let theirs = std::fs::read(theirs).unwrap();
    // Header, ghost area, padding, and the first bytes of the main directory up to its number of entries.
    assert_eq!(ours[..192], theirs[..192]);
}
