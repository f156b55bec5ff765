//! A few windows of pixels against what the metadata say of them.

use std::path::Path;

use gdal::{Dataset, DatasetOptions};

use super::values;
use crate::calibrate::{self, Illumination};
use crate::error::{self, ResultExt};
use crate::scene::{Band, Code, Part, Scene, SceneError, Warning};

/// Windows of a band that are looked at, spread evenly over the image.
pub const WINDOWS: usize = 9;

/// Most bytes of a block that is decoded for a window.
pub const BLOCK_LIMIT: usize = 64 << 20;

/// Longest side of a window, pixels.
const WINDOW_SIDE: usize = 64;

/// Reflectance of measured ground; snow, glint and noise reach a little beyond.
const RANGE: (f64, f64) = (-0.02, 1.2);

/// Most pixels that may lie outside.
const SHARE: f64 = 0.05;

pub(super) fn check(scene: &Scene, light: Option<&Illumination>) -> error::Result<Vec<Warning>> {
    let mut found = Vec::new();
    for part in &scene.parts {
        for band in &part.bands {
            if let Some(arrival) = scene.arrivals.of(&band.file) {
                arrival.wait_for_all().map_err(|source| SceneError::Read { path: band.file.clone(), source })?;
            }
            let values = windows(band).within(|c| c.scene = Some(scene.id.clone()))?;
            let measured: Vec<f64> = values.into_iter().filter(|v| v.is_finite() && Some(*v) != part.fill).collect();
            found.extend(above_bits(part, band, &measured));
            if let Some(light) = light.filter(|_| part.processed.is_empty()) {
                found.extend(out_of_range(part, band, &measured, light));
            }
        }
    }
    Ok(found)
}

fn above_bits(part: &Part, band: &Band, values: &[f64]) -> Option<Warning> {
    let limit = part.data_bits.and(calibrate::saturation_dn(part))?;
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (greatest > limit).then(|| Warning {
        code: Code::DnAboveBits,
        message: format!(
            "part {}, band {}: a DN of {greatest} is more than the {limit} that {} bits can hold",
            part.name,
            band.role,
            part.data_bits.unwrap_or_default()
        ),
    })
}

fn out_of_range(part: &Part, band: &Band, values: &[f64], light: &Illumination) -> Option<Warning> {
    let of = values::reflectance(band, light)?;
    let outside = values.iter().filter(|dn| !(RANGE.0..=RANGE.1).contains(&of(**dn))).count();
    let share = outside as f64 / values.len().max(1) as f64;
    (share > SHARE).then(|| Warning {
        code: Code::ReflectanceRange,
        message: format!(
            "part {}, band {}: {:.0} % of {} pixels looked at have a reflectance outside {} to {}",
            part.name,
            band.role,
            share * 100.0,
            values.len(),
            RANGE.0,
            RANGE.1
        ),
    })
}

/// Values of the windows of a band; none when its blocks are too large to decode a few of them on the side.
fn windows(band: &Band) -> Result<Vec<f64>, SceneError> {
    let failed = |source| SceneError::Image { path: band.file.clone(), source };
    let dataset = open(&band.file)?;
    let raster = dataset.rasterband(band.index + 1).map_err(failed)?;
    let ((cols, rows), (block_cols, block_rows)) = (raster.size(), raster.block_size());
    if block_cols.saturating_mul(block_rows).saturating_mul(raster.band_type().bits() as usize / 8) > BLOCK_LIMIT {
        return Ok(Vec::new());
    }
    let per_side = WINDOWS.isqrt();
    let mut values = Vec::new();
    for k in 0..WINDOWS {
        // The middle of each of nine fields, from the corner of the block it lies in.
        let start =
            |i: usize, all: usize, block: usize| (2 * i + 1) * all / (2 * per_side) / block.max(1) * block.max(1);
        let (col, row) = (start(k % per_side, cols, block_cols), start(k / per_side, rows, block_rows));
        let size = (WINDOW_SIDE.min(block_cols).min(cols - col), WINDOW_SIDE.min(block_rows).min(rows - row));
        let window = raster.read_as::<f64>((col as isize, row as isize), size, size, None).map_err(failed)?;
        values.extend_from_slice(window.data());
    }
    Ok(values)
}

fn open(path: &Path) -> Result<Dataset, SceneError> {
    let options = DatasetOptions { allowed_drivers: Some(&["GTiff"]), ..DatasetOptions::default() };
    Dataset::open_ex(path, options).map_err(|source| SceneError::Image { path: path.into(), source })
}
