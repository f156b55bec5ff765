//! From what the ground sends to digital numbers: the simulator's own, not the pipeline's.

use super::random::{hash, hash_cell, normal};

/// Bits the instrument uses of each sample.
pub(super) const DATA_BITS: u32 = 12;
/// Largest digital number of those bits.
pub(super) const MAX_DN: f64 = 4095.0;

/// How one band answers to light.
#[derive(Debug, Clone, Copy)]
pub(super) struct Response {
    /// Radiance per digital number, W·m⁻²·sr⁻¹·µm⁻¹.
    pub gain: f64,
    /// Radiance of digital number 0, as the metadata tell it.
    pub bias: f64,
    /// Radiance of the scenery's value 1: that of white ground for reflectance, 1 for radiance.
    pub radiance_of_one: f64,
    /// Offset in digital numbers that the metadata do not tell.
    pub dark_dn: f64,
}

/// Turns what the ground sends into digital numbers.
#[derive(Debug, Clone)]
pub(super) struct Detector {
    responses: Vec<Response>,
    /// Number of the first band among all of the instrument: no two bands share their noise.
    first_band: usize,
    noise_dn: f64,
    seed: u64,
}

impl Detector {
    /// A detector with noise of this standard deviation in digital numbers.
    pub(super) fn new(responses: Vec<Response>, first_band: usize, noise_dn: f64, seed: u64) -> Self {
        Self { responses, first_band, noise_dn, seed: hash(seed, 0xD0) }
    }

    /// Digital number of a value of the scenery at a pixel: at least 1, because 0 means no measurement.
    #[inline]
    pub(super) fn dn(&self, band: usize, value: f32, row: usize, col: usize) -> u16 {
        let r = &self.responses[band];
        let mut dn = (f64::from(value) * r.radiance_of_one - r.bias) / r.gain + r.dark_dn;
        if self.noise_dn > 0.0 {
            let stream = self.seed ^ (((self.first_band + band) as u64) << 56);
            dn += self.noise_dn * normal(hash_cell(stream, row as i64, col as i64));
        }
        dn.round().clamp(1.0, MAX_DN) as u16
    }
}

/// True where a multispectral pixel was measured: the edges of a sensor-corrected image are slanted.
pub(super) fn is_imaged(row: usize, col: usize, rows: usize, cols: usize) -> bool {
    let (r, c) = (row as f64, col as f64);
    let (right, below) = (cols as f64 - 1.0 - c, rows as f64 - 1.0 - r);
    c >= 2.0 + 0.012 * r && right >= 3.0 + 0.012 * below && r >= 1.0 + 0.004 * right && below >= 1.0 + 0.004 * c
}

/// True where the pixel at a line and sample was measured.
pub(super) fn is_imaged_at((line, sample): (f64, f64), rows: usize, cols: usize) -> bool {
    let within = |v: f64, n: usize| v >= 0.0 && v <= n as f64 - 1.0;
    within(line, rows) && within(sample, cols) && is_imaged(line as usize, sample as usize, rows, cols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dark_offset_is_added_in_digital_numbers() {
        let response = Response { gain: 0.5, bias: -1.0, radiance_of_one: 2.0, dark_dn: 40.0 };
        let detector = Detector::new(vec![response], 0, 0.0, 1);
        assert_eq!(detector.dn(0, 3.0, 0, 0), 54);
    }

    #[test]
    fn border_is_slanted_and_leaves_most_of_the_image() {
        assert!(!is_imaged(0, 50, 80, 96) && is_imaged(40, 50, 80, 96));
        let first = |row| (0..2000).find(|&c| is_imaged(row, c, 2000, 2000));
        assert!(first(1900) > first(100));
    }
}
