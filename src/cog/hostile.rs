//! Files made to make the checks themselves fail: numbers at their limits, and a few bytes that claim a lot.

use std::path::Path;
use std::time::{Duration, Instant};

use super::directory::tag;
use super::{Depth, Report, validate_bytes};

/// A BigTIFF of directories with one value per tag, all of 64 bits but texts.
fn bigtiff(directories: &[&[(u16, u64)]]) -> Vec<u8> {
    let mut bytes = [&b"II"[..], &43u16.to_le_bytes(), &8u16.to_le_bytes(), &[0; 2], &16u64.to_le_bytes()].concat();
    for (number, tags) in directories.iter().enumerate() {
        bytes.extend((tags.len() as u64).to_le_bytes());
        for (tag, value) in *tags {
            bytes.extend([&tag.to_le_bytes()[..], &16u16.to_le_bytes(), &1u64.to_le_bytes()].concat());
            bytes.extend(value.to_le_bytes());
        }
        let next = if number + 1 < directories.len() { bytes.len() as u64 + 8 } else { 0 };
        bytes.extend(next.to_le_bytes());
    }
    bytes
}

/// One tile of 16 × 16 samples.
fn image(subfile: u64, samples: u64, offset: u64, count: u64) -> [(u16, u64); 11] {
    [
        (tag::NEW_SUBFILE_TYPE, subfile),
        (tag::IMAGE_WIDTH, 16),
        (tag::IMAGE_LENGTH, 16),
        (tag::BITS_PER_SAMPLE, 8),
        (tag::COMPRESSION, 1),
        (tag::PHOTOMETRIC, 1),
        (tag::SAMPLES_PER_PIXEL, samples),
        (tag::TILE_WIDTH, 16),
        (tag::TILE_LENGTH, 16),
        (tag::TILE_OFFSETS, offset),
        (tag::TILE_BYTE_COUNTS, count),
    ]
}

fn looked_at(bytes: Vec<u8>) -> Report {
    validate_bytes(Path::new("a.tif"), bytes, Depth::Full).unwrap()
}

fn rules(report: &Report) -> Vec<&'static str> {
    report.errors.iter().map(|f| f.check).collect()
}

#[test]
fn blocks_at_the_end_of_all_numbers_are_outside_of_the_file() {
    for (offset, count) in [(u64::MAX, 1), (u64::MAX - 8, 8), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        let report = looked_at(bigtiff(&[&image(0, 1, offset, count), &image(4, 1, 3, 1)]));
        let found = rules(&report);
        assert!(found.contains(&"C1") && found.contains(&"C15"), "{report:?}");
    }
}

#[test]
fn more_samples_than_a_tiff_can_have_are_refused() {
    for samples in [65_536, 1 << 40, u64::MAX] {
        assert_eq!(rules(&looked_at(bigtiff(&[&image(0, samples, 16, 256)]))), ["C1"], "{samples}");
    }
}

#[test]
fn pixels_that_are_not_there_are_not_counted() {
    // A hundred thousand million pixels in one missing block, and in one that is shorter than it claims.
    for (offset, count) in [(0, 0), (16, 1 << 50)] {
        let mut tags = image(0, 1, offset, count);
        for (tag, value) in &mut tags {
            match *tag {
                tag::IMAGE_WIDTH | tag::IMAGE_LENGTH => *value = 320_000,
                tag::TILE_WIDTH | tag::TILE_LENGTH => *value = 320_000,
                _ => {}
            }
        }
        let start = Instant::now();
        let report = looked_at(bigtiff(&[&tags]));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let warned = report.warnings.iter().any(|w| w.check == "C18" && w.message.contains("not counted"));
        assert!(!report.is_valid() && warned, "{report:?}");
    }
}

#[test]
fn a_block_that_would_not_fit_into_memory_is_not_decoded() {
    // 16 × 16 pixels in one tile of 16 × 2^31, which a few compressed bytes may claim to be.
    let mut tags = image(0, 1, 16, 256);
    for (tag, value) in &mut tags {
        match *tag {
            tag::TILE_LENGTH => *value = 1 << 31,
            tag::COMPRESSION => *value = 50_000,
            _ => {}
        }
    }
    let report = looked_at(bigtiff(&[&tags]));
    assert!(report.errors.iter().any(|e| e.check == "C1" && e.message.contains("256 MiB")), "{report:?}");
}

#[test]
fn samples_of_impossible_bits_are_refused() {
    for bits in [0, 129, u64::MAX] {
        let mut tags = image(0, 1, 16, 256);
        tags.iter_mut().filter(|(tag, _)| *tag == tag::BITS_PER_SAMPLE).for_each(|(_, value)| *value = bits);
        let report = looked_at(bigtiff(&[&tags]));
        assert!(report.errors.iter().any(|e| e.message.contains("bits of samples")), "{report:?}");
    }
}
