//! The reader beside GDAL, which wrote the files.

use std::fs;
use std::sync::Barrier;

use gdal::DriverManager;
use gdal::raster::{Buffer, GdalType, RasterCreationOptions};
use proptest::prelude::*;

use super::*;
use crate::read::Raster;

/// A little generator of numbers, always the same ones.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}

type Shape = (usize, usize);

fn create<T: GdalType + Copy>(path: &Path, (rows, cols): Shape, bands: usize, options: &[&str], value: fn(u64) -> T) {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let options = RasterCreationOptions::from_iter(options.iter().copied());
    let d = driver.create_with_band_type_with_options::<T, _>(path, cols, rows, bands, &options).unwrap();
    let mut numbers = Numbers((rows * cols + bands) as u64);
    let mut last = 0;
    for b in 0..bands {
        // Repeated, growing and random values: codes of all kinds.
        let plane = (0..rows * cols).map(|k| {
            last = match k / 16 % 3 {
                0 => last,
                1 => last + 257,
                _ => numbers.next(),
            };
            value(last)
        });
        let mut plane = Buffer::new((cols, rows), plane.collect());
        d.rasterband(b + 1).unwrap().write((0, 0), (cols, rows), &mut plane).unwrap();
    }
    d.close().unwrap();
}

fn write(path: &Path, sample: Sample, shape: Shape, bands: usize, options: &[&str]) {
    crate::read::prepare_gdal(64 << 20);
    match sample {
        Sample::U8 => create(path, shape, bands, options, |n| n as u8),
        Sample::U16 => create(path, shape, bands, options, |n| n as u16),
        Sample::I16 => create(path, shape, bands, options, |n| n as i16),
        Sample::U32 => create(path, shape, bands, options, |n| (n as u32).wrapping_mul(5)),
        Sample::I32 => create(path, shape, bands, options, |n| (n as i32).wrapping_mul(5)),
        Sample::F32 => create(path, shape, bands, options, |n| match n % 97 {
            0 => f32::NAN,
            1 => f32::NEG_INFINITY,
            2 => -0.0,
            _ => (n as f32).sin() * 1e3,
        }),
    }
}

fn open(path: &Path, shape: Shape, bands: usize, cache: u64) -> Option<Reader> {
    Reader::open(path, shape, bands, Arc::new(BlockCache::new(cache)), None)
}

/// Samples side by side, as GDAL reads them.
fn by_gdal(raster: &Raster, bands: &[usize], window: Window) -> Option<Vec<f32>> {
    let mut out = vec![0.0; window.pixels() * bands.len()];
    let mut plane = vec![0.0; window.pixels()];
    for (at, band) in bands.iter().enumerate() {
        raster.read_decimated(*band, window, (window.rows, window.cols), &mut plane).ok()?;
        out.iter_mut().skip(at).step_by(bands.len()).zip(&plane).for_each(|(to, from)| *to = *from);
    }
    Some(out)
}

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|s| s.to_bits()).collect()
}

fn windows((rows, cols): Shape) -> [Window; 4] {
    let (top, left) = (rows / 3, cols / 4);
    [
        Window::new(0, 0, rows, cols),
        Window::new(top as i64, left as i64, (rows / 2).max(1), (cols / 2).max(1)),
        Window::new(rows as i64 - 1, cols as i64 - 1, 1, 1),
        Window::new(top as i64, 0, 0, cols),
    ]
}

/// Compares all kinds of choices of bands and windows.
#[track_caller]
fn assert_as_gdal(path: &Path, shape: Shape, bands: usize, what: &str) {
    let raster = Raster::open(path).unwrap();
    let reader = open(path, shape, bands, 1 << 14).unwrap_or_else(|| panic!("left to GDAL: {what}"));
    let mut scratch = Scratch::default();
    for window in windows(shape) {
        for chosen in [(0..bands).collect::<Vec<_>>(), vec![bands - 1], (0..bands).rev().collect()] {
            let mut found = vec![f32::MAX; window.pixels() * chosen.len()];
            reader.read(&chosen, window, &mut scratch, &mut found).unwrap();
            let expected = by_gdal(&raster, &chosen, window).unwrap();
            assert!(bits(&found) == bits(&expected), "{what} {window} {chosen:?}");
        }
    }
}

const SAMPLES: [Sample; 6] = [Sample::U8, Sample::U16, Sample::I16, Sample::U32, Sample::I32, Sample::F32];

#[test]
fn every_simple_layout_gives_what_gdal_gives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let blocks: [&[&str]; 4] =
        [&["BLOCKYSIZE=1"], &["BLOCKYSIZE=7"], &["BLOCKYSIZE=1000"], &["TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16"]];
    let mut count = 0;
    for compress in ["NONE", "DEFLATE", "LZW", "ZSTD"] {
        for (predictor, sample) in (1..4).flat_map(|p| SAMPLES.map(|s| (p, s))) {
            if compress == "NONE" && predictor > 1 || predictor == 3 && sample != Sample::F32 {
                continue;
            }
            for (interleave, endianness) in [("PIXEL", "LITTLE"), ("PIXEL", "BIG"), ("BAND", "LITTLE"), ("BAND", "BIG")]
            {
                for block in blocks {
                    // Every other property takes its turn.
                    let bands = [1, 2, 3, 4, 5, 7][count % 6];
                    let shape = [(45, 53), (16, 64), (33, 129), (1, 31), (70, 1)][count % 5];
                    let all = [
                        format!("COMPRESS={compress}"),
                        format!("PREDICTOR={predictor}"),
                        format!("INTERLEAVE={interleave}"),
                        format!("ENDIANNESS={endianness}"),
                        format!("BIGTIFF={}", if count % 7 < 3 { "YES" } else { "NO" }),
                    ];
                    let used =
                        if compress == "NONE" { [0, 2, 3, 4].map(|k| &all[k]).to_vec() } else { all.iter().collect() };
                    let options: Vec<&str> =
                        used.into_iter().map(String::as_str).chain(block.iter().copied()).collect();
                    write(&path, sample, shape, bands, &options);
                    assert_as_gdal(&path, shape, bands, &format!("{sample:?} {shape:?} {bands} {options:?}"));
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, (6 + 3 * (6 + 6 + 1)) * 4 * 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_window_is_cut_from_the_whole(
        rows in 1usize..90, cols in 1usize..90, bands in 1usize..6, kind in 0usize..6, strip in 1usize..40, seed in any::<u64>()
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tif");
        let strip = format!("BLOCKYSIZE={strip}");
        let options: &[&str] = match kind {
            0 => &["COMPRESS=DEFLATE", "PREDICTOR=2", "INTERLEAVE=PIXEL", &strip],
            1 => &["COMPRESS=LZW", "INTERLEAVE=BAND", &strip],
            2 => &["COMPRESS=ZSTD", "TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=48", "INTERLEAVE=PIXEL"],
            3 => &["COMPRESS=DEFLATE", "TILED=YES", "BLOCKXSIZE=48", "BLOCKYSIZE=16", "INTERLEAVE=BAND"],
            4 => &["INTERLEAVE=BAND", &strip],
            _ => &["INTERLEAVE=PIXEL", "TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16"],
        };
        write(&path, Sample::U16, (rows, cols), bands, options);
        let all: Vec<usize> = (0..bands).collect();
        let whole = by_gdal(&Raster::open(&path).unwrap(), &all, Window::new(0, 0, rows, cols)).unwrap();
        let reader = open(&path, (rows, cols), bands, seed % 20_000).unwrap();
        let mut scratch = Scratch::default();
        let mut numbers = Numbers(seed);
        for _ in 0..20 {
            let (row, col) = (numbers.below(rows), numbers.below(cols));
            let window = Window::new(row as i64, col as i64, 1 + numbers.below(rows - row), 1 + numbers.below(cols - col));
            let chosen: Vec<usize> = (0..1 + numbers.below(4)).map(|_| numbers.below(bands)).collect();
            let mut found = vec![f32::MAX; window.pixels() * chosen.len()];
            reader.read(&chosen, window, &mut scratch, &mut found).unwrap();
            let expected = (0..found.len()).map(|k| {
                let (pixel, band) = (k / chosen.len(), chosen[k % chosen.len()]);
                whole[((row + pixel / window.cols) * cols + col + pixel % window.cols) * bands + band]
            });
            prop_assert!(found.iter().copied().eq(expected), "{options:?} {window} {chosen:?}");
        }
    }
}

/// Changes the beginning of a directory entry: tag, type, count (low, high), value.
fn change_entry<const N: usize>(path: &Path, from: [u16; N], to: [u16; N]) {
    let mut bytes = fs::read(path).unwrap();
    let [from, to] = [from, to].map(|numbers| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(&to);
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_old_number_of_deflate_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    write(&path, Sample::U16, (45, 53), 3, &["COMPRESS=DEFLATE", "INTERLEAVE=PIXEL"]);
    change_entry(&path, [259, 3, 1, 0, 8], [259, 3, 1, 0, 32946]);
    assert_as_gdal(&path, (45, 53), 3, "32946");
}

#[test]
fn a_last_strip_with_rows_beyond_the_image_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    for compress in ["COMPRESS=DEFLATE", "COMPRESS=LZW", "COMPRESS=ZSTD"] {
        write(&path, Sample::U16, (50, 53), 3, &[compress, "PREDICTOR=2", "INTERLEAVE=PIXEL", "BLOCKYSIZE=10"]);
        change_entry(&path, [257, 3, 1, 0, 50], [257, 3, 1, 0, 45]);
        assert_as_gdal(&path, (45, 53), 3, compress);
        change_entry(&path, [257, 3, 1, 0, 45], [257, 3, 1, 0, 41]);
        assert_as_gdal(&path, (41, 53), 3, compress);
    }
}

#[test]
fn blocks_that_are_not_there_hold_zeros_unless_a_tag_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let (shape, tiles) = ((70, 90), ["TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16", "SPARSE_OK=TRUE", "PREDICTOR=2"]);
    let update = || {
        let open_flags = gdal::GdalOpenFlags::GDAL_OF_UPDATE;
        gdal::Dataset::open_ex(&path, gdal::DatasetOptions { open_flags, ..Default::default() }).unwrap()
    };
    for compress in ["COMPRESS=DEFLATE", "COMPRESS=LZW", "COMPRESS=ZSTD"] {
        for interleave in ["INTERLEAVE=PIXEL", "INTERLEAVE=BAND"] {
            create(&path, shape, 3, &[&tiles[..], &[compress, interleave]].concat(), |_| 0u16);
            let file = update();
            let mut stripe = Buffer::new((20, 30), (1..=600u16).collect());
            file.rasterband(2).unwrap().write((40, 20), (20, 30), &mut stripe).unwrap();
            file.close().unwrap();
            assert_as_gdal(&path, shape, 3, &format!("{compress} {interleave}"));
        }
    }
    let file = update();
    file.rasterband(1).unwrap().set_no_data_value(Some(7.0)).unwrap();
    file.close().unwrap();
    assert!(open(&path, shape, 3, 0).is_none());
    create(&path, (40, 50), 1, &["SPARSE_OK=TRUE"], |_| 0u16);
    assert!(open(&path, (40, 50), 1, 0).is_none(), "plain");
}

/// libtiff leaves memory as it was where a stream of Deflate holds more than its block.
#[test]
fn numbers_of_colours_are_read_as_they_stand_and_damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    create(&path, (40, 50), 1, &["COMPRESS=DEFLATE"], |n| n as u8);
    change_entry(&path, [262, 3, 1, 0, 1], [262, 3, 1, 0, 3]);
    assert_as_gdal(&path, (40, 50), 1, "palette");
    change_entry(&path, [257, 3, 1, 0, 40], [257, 3, 1, 0, 37]);
    change_entry(&path, [278, 3, 1, 0, 40], [278, 3, 1, 0, 37]);
    let reader = open(&path, (37, 50), 1, 0).unwrap();
    let fault = reader.read(&[0], Window::new(0, 0, 37, 50), &mut Scratch::default(), &mut [0.0; 37 * 50]).unwrap_err();
    assert!(fault.source.to_string().contains("strip 0: DEFLATE"), "{}", fault.source);
}

#[test]
fn what_is_not_simple_is_left_to_gdal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    for options in [&["NBITS=12", "INTERLEAVE=PIXEL"][..], &["COMPRESS=PACKBITS"], &["COMPRESS=LZMA"]] {
        create(&path, (40, 50), 3, options, |n| n as u16);
        assert!(open(&path, (40, 50), 3, 0).is_none(), "{options:?}");
        let raster = Raster::open(&path).unwrap();
        let mut found = vec![1.0; 40 * 50 * 3];
        raster.read_together(&[0, 1, 2], raster.window(), &mut crate::read::Scratch::default(), &mut found).unwrap();
        assert_eq!(Some(found), by_gdal(&raster, &[0, 1, 2], raster.window()));
        assert_eq!(raster.account(), Account::default());
    }
    create::<u8>(&path, (40, 50), 3, &["COMPRESS=JPEG", "PHOTOMETRIC=YCBCR", "INTERLEAVE=PIXEL"], |n| n as u8);
    assert!(open(&path, (40, 50), 3, 0).is_none());
    create::<u8>(&path, (40, 50), 4, &["COMPRESS=LZW", "PHOTOMETRIC=CMYK", "INTERLEAVE=PIXEL"], |n| n as u8);
    assert!(open(&path, (40, 50), 4, 0).is_none());
    create::<f64>(&path, (40, 50), 1, &[], |n| n as f64);
    assert!(open(&path, (40, 50), 1, 0).is_none());
    write(&path, Sample::U16, (40, 50), 3, &["INTERLEAVE=PIXEL"]);
    assert!(open(&path, (40, 50), 3, 0).is_some());
    assert!(open(&path, (40, 51), 3, 0).is_none() && open(&path, (40, 50), 2, 0).is_none());
    change_entry(&path, [339, 3, 3, 0], [324, 3, 3, 0]);
    assert!(open(&path, (40, 50), 3, 0).is_none(), "strips and tiles");
    fs::write(&path, "no tiff").unwrap();
    assert!(open(&path, (40, 50), 3, 0).is_none());
}

/// Which columns of wide blocks are kept changes no sample, and what is kept serves again.
#[test]
fn whatever_columns_are_kept_the_samples_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let shape = (70, 2 * WIDE + 517);
    for options in [
        &["INTERLEAVE=PIXEL", "COMPRESS=DEFLATE", "PREDICTOR=2", "BLOCKYSIZE=8"][..],
        &["INTERLEAVE=BAND", "COMPRESS=LZW", "BLOCKYSIZE=9"],
        &["INTERLEAVE=PIXEL", "COMPRESS=ZSTD", "TILED=YES", "BLOCKXSIZE=1040", "BLOCKYSIZE=16"],
    ] {
        write(&path, Sample::U16, shape, 3, options);
        let raster = Raster::open(&path).unwrap();
        let reader = open(&path, shape, 3, 1 << 19).unwrap();
        let mut scratch = Scratch::default();
        for (k, keep) in [0..700, 650..1400, 1000..1100, 900..shape.1, 0..shape.1, 2500..2565].into_iter().enumerate() {
            reader.keep(keep.clone());
            let (left, width) = (keep.start as i64, keep.len());
            for window in [
                Window::new(3, left, 30, width),
                Window::new(0, left + width as i64 / 3, 70, width / 2),
                // Not within what is kept.
                Window::new(40, (left - 20).max(0), 9, 40),
                Window::new(5, 0, 20, shape.1),
            ] {
                let chosen = if k % 2 == 0 { vec![0, 1, 2] } else { vec![2, 0] };
                let mut found = vec![f32::MAX; window.pixels() * chosen.len()];
                reader.read(&chosen, window, &mut scratch, &mut found).unwrap();
                assert!(found == by_gdal(&raster, &chosen, window).unwrap(), "{options:?} {keep:?} {window}");
            }
        }
    }
    // A cache that holds an eighth of the strips holds the eighth of each that is kept.
    write(&path, Sample::U16, shape, 3, &["INTERLEAVE=PIXEL", "COMPRESS=DEFLATE", "BLOCKYSIZE=1"]);
    let reader = open(&path, shape, 3, (70 * shape.1 * 6 / 8 + 70 * 256) as u64).unwrap();
    reader.keep(0..shape.1 / 8);
    for _ in 0..3 {
        let window = Window::new(0, 10, 70, 300);
        reader.read(&[0, 1, 2], window, &mut Scratch::default(), &mut vec![0.0; window.pixels() * 3]).unwrap();
    }
    let account = reader.account();
    assert_eq!((account.decoded_blocks, account.reused_blocks), (70, 140));
}

#[test]
fn blocks_cut_off_are_errors_that_name_file_bands_and_window() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    for (options, bands, block) in [
        (&["INTERLEAVE=PIXEL"][..], "bands 1, 2, 3", "strip 1"),
        (&["INTERLEAVE=PIXEL", "COMPRESS=DEFLATE", "BLOCKYSIZE=9"], "bands 1, 2, 3", "strip 4"),
        (&["INTERLEAVE=BAND", "COMPRESS=LZW", "BLOCKYSIZE=9"], "band 3", "strip 14"),
        (&["INTERLEAVE=BAND", "COMPRESS=ZSTD", "TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=16"], "band 3", "tile 3"),
    ] {
        write(&path, Sample::U16, (40, 50), 3, options);
        let whole = Raster::open(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
        // One was opened before its end was lost, the other after.
        for raster in [whole, Raster::open(&path).unwrap()] {
            let mut out = vec![0.0; 40 * 50 * 3];
            let mut scratch = crate::read::Scratch::default();
            let error = raster.read_together(&[0, 1, 2], raster.window(), &mut scratch, &mut out).unwrap_err();
            let crate::read::ReadError::Bytes { source, .. } = &error else { panic!("{error:?}") };
            let said = format!("{error}: {source}");
            for part in [bands, "window 50×40+0+0", "a.tif", "damaged or incomplete", block] {
                assert!(said.contains(part), "{said} lacks {part}");
            }
        }
    }
}

#[test]
fn windows_that_do_not_fit_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    for options in [&["INTERLEAVE=PIXEL"][..], &["COMPRESS=LZW"]] {
        write(&path, Sample::U8, (20, 30), 2, options);
        let reader = open(&path, (20, 30), 2, 1000).unwrap();
        let read = |bands: &[usize], window, room| {
            reader.read(bands, window, &mut Scratch::default(), &mut vec![0.0; room]).is_ok()
        };
        assert!(read(&[0, 1], Window::new(0, 0, 20, 30), 1200));
        assert!(!read(&[0, 1], Window::new(0, 0, 20, 30), 1199));
        assert!(!read(&[2], Window::new(0, 0, 20, 30), 1200));
        assert!(!read(&[0], Window::new(0, 0, 21, 30), 1200));
        assert!(!read(&[0], Window::new(-1, 0, 2, 2), 1200));
        assert!(!read(&[0], Window::new(0, 29, 2, 2), 1200));
        assert!(read(&[], Window::new(0, 0, 20, 30), 0));
    }
}

#[test]
fn threads_share_the_work_and_get_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let (rows, cols) = (256, 400);
    write(
        &path,
        Sample::U16,
        (rows, cols),
        4,
        &["COMPRESS=DEFLATE", "PREDICTOR=2", "INTERLEAVE=PIXEL", "BLOCKYSIZE=4"],
    );
    let raster = Raster::open(&path).unwrap();
    for capacity in [0, 15_000, 40_000, 1 << 20] {
        let reader = open(&path, (rows, cols), 4, capacity).unwrap();
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for left in [0, 100, 200, 300] {
                let (reader, raster, start) = (&reader, &raster, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut scratch = Scratch::default();
                    for top in (0..rows).step_by(16) {
                        let window = Window::new(top as i64, left, 16, 100);
                        let mut found = vec![0.0; window.pixels() * 4];
                        reader.read(&[0, 1, 2, 3], window, &mut scratch, &mut found).unwrap();
                        assert_eq!(Some(found), by_gdal(raster, &[0, 1, 2, 3], window));
                    }
                });
            }
        });
        let account = reader.account();
        assert_eq!(account.decoded_blocks - account.decoded_ahead + account.reused_blocks, 4 * rows as u64 / 4);
        assert_eq!(account.decoded_bytes, account.decoded_blocks * 4 * cols as u64 * 8);
        if capacity == 1 << 20 {
            assert!(account.decoded_blocks - account.decoded_twice <= rows as u64 / 4, "{account:?}");
        }
    }
}

/// Changed files never make it panic or take much memory, and where both read something it is the same.
#[test]
fn changed_bytes_are_an_error_or_what_gdal_gives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let mut numbers = Numbers(5);
    // More of them by hand: FIELDGLOW_ROUNDS=5000 cargo test changed_bytes
    let rounds = std::env::var("FIELDGLOW_ROUNDS").map_or(60, |n| n.parse().unwrap());
    let (mut errors, mut same, mut alone) = (0, 0, 0);
    for options in [
        &["COMPRESS=DEFLATE", "PREDICTOR=2", "INTERLEAVE=PIXEL"][..],
        &["COMPRESS=LZW", "PREDICTOR=2", "INTERLEAVE=PIXEL"],
        &["COMPRESS=LZW", "INTERLEAVE=BAND", "TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16"],
        &["COMPRESS=ZSTD", "INTERLEAVE=PIXEL", "ENDIANNESS=BIG"],
        &["COMPRESS=ZSTD", "INTERLEAVE=BAND", "BIGTIFF=YES"],
        &["COMPRESS=LZW", "PREDICTOR=3", "INTERLEAVE=PIXEL", "BLOCKYSIZE=10"],
        &["INTERLEAVE=BAND"],
    ] {
        let sample = if options.contains(&"PREDICTOR=3") { Sample::F32 } else { Sample::U16 };
        write(&path, sample, (45, 53), 3, options);
        let good = fs::read(&path).unwrap();
        for round in 0..rounds {
            let mut bytes = good.clone();
            for _ in 0..1 + numbers.below(4) {
                // Half of them hit the beginning, where the directory stands.
                let end = if round % 2 == 0 { bytes.len() } else { 400 };
                let at = numbers.below(end);
                bytes[at] = numbers.next() as u8;
            }
            bytes.truncate(if round % 5 == 0 { numbers.below(bytes.len()) } else { bytes.len() });
            fs::write(&path, &bytes).unwrap();
            let Ok(raster) = Raster::open(&path) else { continue };
            let (window, bands) = (raster.window(), raster.bands());
            if window.pixels().saturating_mul(bands) > 1 << 20 {
                continue;
            }
            let all: Vec<usize> = (0..bands).collect();
            let mut found = vec![0.0; window.pixels() * bands];
            match raster.read_together(&all, window, &mut crate::read::Scratch::default(), &mut found) {
                Err(_) => errors += 1,
                Ok(()) => {
                    if let Some(expected) = by_gdal(&raster, &all, window) {
                        assert!(bits(&found) == bits(&expected), "{options:?} {round}");
                        same += 1;
                    } else {
                        println!("{options:?} {round}");
                        alone += 1;
                    }
                }
            }
        }
    }
    println!("{errors} errors, {same} the same, {alone} read here alone");
    assert!(errors > 50 && same > 50);
}

/// Prints what was read here and what was left to GDAL.
#[test]
#[ignore = "needs a folder of TIFFs, its path in FIELDGLOW_TIFFS"]
fn a_folder_of_tiffs_gives_what_gdal_gives() {
    crate::read::prepare_gdal(64 << 20);
    let mut folders = vec![std::path::PathBuf::from(std::env::var_os("FIELDGLOW_TIFFS").unwrap())];
    let mut counts = std::collections::BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let what = compare(&path);
            println!("{what}: {}", path.display());
            *counts.entry(what).or_insert(0) += 1;
        }
    }
    println!("{counts:?}");
    assert!(!counts.keys().any(|what| what.starts_with("WRONG")));
}

fn compare(path: &Path) -> &'static str {
    let Ok(raster) = Raster::open(path) else { return "not opened by GDAL" };
    if raster.simple.is_none() {
        return "left to GDAL";
    }
    let (window, bands) = (raster.window(), (0..raster.bands()).collect::<Vec<_>>());
    if window.pixels().saturating_mul(bands.len()) > 1 << 28 {
        return "simple, but too large to compare";
    }
    let mut found = vec![f32::MAX; window.pixels() * bands.len()];
    let result = raster.read_together(&bands, window, &mut crate::read::Scratch::default(), &mut found);
    match (result, by_gdal(&raster, &bands, window)) {
        (Ok(()), Some(expected)) if bits(&found) == bits(&expected) => "the same",
        (Ok(()), Some(_)) => "WRONG pixels",
        (Err(_), None) => "an error for both",
        (Err(e), Some(_)) => {
            println!("{e}: {:?}", std::error::Error::source(&e));
            "an error here alone"
        }
        (Ok(()), None) => "an error for GDAL alone",
    }
}
