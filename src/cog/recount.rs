//! Statistics of a file counted again from its pixels, through GDAL.
//!
//! Invariant: shares nothing with the writer, so that agreement means something.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gdal::errors::Result;
use gdal::raster::RasterBand;
use gdal::vsi::create_mem_file_from_ref;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use super::BandStatistics;

/// Pixels read at once, at most.
const WINDOW_PIXELS: usize = 1 << 22;

/// The same of a file in memory.
pub(super) fn recount_bytes(bytes: &mut [u8]) -> Result<Vec<Option<BandStatistics>>> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = format!("/vsimem/fieldglow/{}.tif", SERIAL.fetch_add(1, Ordering::Relaxed));
    let file = create_mem_file_from_ref(&name, bytes)?;
    let counted = recount(Path::new(&name));
    drop(file);
    counted
}

/// Statistics of all bands at full resolution, `None` for those without a valid pixel.
pub(super) fn recount(path: &Path) -> Result<Vec<Option<BandStatistics>>> {
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_RASTER | GdalOpenFlags::GDAL_OF_READONLY,
        allowed_drivers: Some(&["GTiff"]),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(path, options)?;
    let (cols, rows) = dataset.raster_size();
    let bands = dataset.rasterbands().collect::<Result<Vec<_>>>()?;
    let (block_cols, block_rows) = bands.first().map_or((1, 1), RasterBand::block_size);
    let step_cols = block_cols.clamp(1, WINDOW_PIXELS);
    let step_rows = block_rows.clamp(1, (WINDOW_PIXELS / step_cols).max(1));

    let mut moments = vec![Moments::default(); bands.len()];
    for row in (0..rows).step_by(step_rows) {
        for col in (0..cols).step_by(step_cols) {
            let size = (step_cols.min(cols - col), step_rows.min(rows - row));
            // Bands inside, so that a block with all bands is decoded once.
            for (band, moments) in bands.iter().zip(&mut moments) {
                moments.add(&valid_pixels(band, (col as isize, row as isize), size)?);
            }
        }
    }
    let total = rows as f64 * cols as f64;
    Ok(moments.into_iter().map(|m| m.statistics(total)).collect())
}

fn valid_pixels(band: &RasterBand, start: (isize, isize), size: (usize, usize)) -> Result<Vec<f64>> {
    let (_, mut values) = band.read_as::<f64>(start, size, size, None)?.into_shape_and_vec();
    if !band.mask_flags()?.is_all_valid() {
        let mask = band.open_mask_band()?.read_as::<u8>(start, size, size, None)?;
        let mut mask = mask.data().iter();
        values.retain(|_| mask.next().is_some_and(|m| *m != 0));
    }
    values.retain(|v| !v.is_nan());
    Ok(values)
}

/// Count, mean and sum of squared deviations, merged window by window so that nothing cancels.
///
/// # Reference
/// Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0.0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    fn add(&mut self, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let together = self.count + count;
        let apart = mean - self.mean;
        self.squares += squares + apart * apart * self.count * count / together;
        self.mean += apart * count / together;
        self.count = together;
        self.min = values.iter().copied().fold(self.min, f64::min);
        self.max = values.iter().copied().fold(self.max, f64::max);
    }

    fn statistics(self, total: f64) -> Option<BandStatistics> {
        (self.count > 0.0).then(|| BandStatistics {
            min: self.min,
            max: self.max,
            mean: self.mean,
            stddev: (self.squares / self.count).sqrt(),
            valid_percent: 100.0 * self.count / total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_moments_equal_those_of_all_values_at_once() {
        let values: Vec<f64> = (0..1000).map(|i| 1e6 + f64::from(i % 37)).collect();
        let mut once = Moments::default();
        once.add(&values);
        let mut merged = Moments::default();
        for window in values.chunks(77) {
            merged.add(window);
        }
        merged.add(&[]);
        let (a, b) = (once.statistics(2000.0).unwrap(), merged.statistics(2000.0).unwrap());
        assert!((a.mean - b.mean).abs() < 1e-6 && (a.stddev - b.stddev).abs() < 1e-9, "{a:?} {b:?}");
        assert_eq!((b.min, b.max, b.valid_percent), (1e6, 1e6 + 36.0, 50.0));
        assert_eq!(Moments::default().statistics(1.0), None);
    }
}
