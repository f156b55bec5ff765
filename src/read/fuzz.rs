//! Readers of this module on any bytes, for [`crate::fuzzing`].

use std::path::Path;

use super::tiff::Reader;
use super::{Raster, Scratch, Shapes};

/// Most samples that are compared.
const MOST_SAMPLES: usize = 1 << 18;

/// Simple TIFFs: pixels are those of GDAL, or an error.
pub fn tiff(folder: &Path, data: &[u8]) -> bool {
    // Other formats are GDAL's alone.
    if !data.starts_with(b"II") && !data.starts_with(b"MM") {
        return false;
    }
    let path = folder.join("a.tif");
    assert!(std::fs::write(&path, data).is_ok());
    let Ok(raster) = Raster::open(&path) else { return false };
    let (window, bands) = (raster.window(), raster.bands());
    let samples = window.pixels().saturating_mul(bands);
    if raster.simple.is_none() || samples == 0 || samples > MOST_SAMPLES {
        return false;
    }
    let all: Vec<usize> = (0..bands).collect();
    let mut ours = vec![0.0; samples];
    if raster.read_together(&all, window, &mut Scratch::default(), &mut ours).is_err() {
        return false;
    }
    // Damaged ZSTD streams give other bytes in other versions of its library: GDAL's is not ours.
    if raster.simple.as_ref().is_some_and(Reader::is_zstd) {
        return false;
    }
    let mut plane = vec![0.0; window.pixels()];
    for band in all {
        let theirs = raster.read_decimated(band, window, (window.rows, window.cols), &mut plane);
        assert!(theirs.is_ok(), "GDAL cannot read band {band}: {theirs:?}");
        let ours = ours.iter().skip(band).step_by(bands);
        let differs = ours.clone().zip(&plane).position(|(a, b)| a.to_bits() != b.to_bits());
        assert!(
            differs.is_none(),
            "band {band} differs at {differs:?}: {:?}",
            differs.map(|k| (ours.clone().nth(k), plane[k]))
        );
    }
    true
}

/// Shapes, as GeoJSON: every coordinate is a number.
pub fn shapes(folder: &Path, data: &[u8]) -> bool {
    let path = folder.join("a.geojson");
    assert!(std::fs::write(&path, data).is_ok());
    let Ok(shapes) = Shapes::open(&path) else { return false };
    assert!(!shapes.layers().is_empty() && shapes.layers().iter().all(|(_, list)| !list.is_empty()));
    true
}
