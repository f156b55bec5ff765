//! From reflectance to digital numbers: the physics of the day, not the pipeline's.

use std::f64::consts::PI;

use super::land::BANDS;
use super::random::{hash, hash_cell, normal};
use super::sun::SunPosition;

/// Bits the instrument uses of each sample.
pub(super) const DATA_BITS: u32 = 12;
const MAX_DN: f64 = 4095.0;

/// One band of the instrument.
#[derive(Debug, Clone, Copy)]
pub(super) struct BandSpec {
    pub role: &'static str,
    /// Nanometres.
    pub range_nm: (f64, f64),
    /// Mean solar irradiance over the range at 1 au, W·m⁻²·µm⁻¹.
    pub e0: f64,
    /// Radiance per digital number, W·m⁻²·sr⁻¹·µm⁻¹; reflectance 0.6 under a sun 30° from the zenith is near 3500.
    pub gain: f64,
    /// Radiance of digital number 0.
    pub bias: f64,
}

/// Bands in the order of the land's reflectance.
///
/// # Reference
/// Irradiance: ASTM G173-03, extraterrestrial column, trapezoid mean over a box band.
pub(super) const SPECS: [BandSpec; BANDS] = [
    BandSpec { role: "PAN", range_nm: (450.0, 800.0), e0: 1630.142857, gain: 0.0770, bias: 0.62 },
    BandSpec { role: "B", range_nm: (450.0, 520.0), e0: 1957.907143, gain: 0.0925, bias: 1.35 },
    BandSpec { role: "G", range_nm: (520.0, 600.0), e0: 1840.483750, gain: 0.0870, bias: 0.84 },
    BandSpec { role: "R", range_nm: (630.0, 690.0), e0: 1550.831667, gain: 0.0733, bias: -0.57 },
    BandSpec { role: "N", range_nm: (770.0, 890.0), e0: 1061.827586, gain: 0.0502, bias: 0.38 },
];

/// Turns reflectance into digital numbers for one sun and one noise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detector {
    /// Radiance of reflectance 1, per band.
    white: [f64; BANDS],
    noise_dn: f64,
    seed: u64,
}

impl Detector {
    /// A detector under this sun, with noise of this standard deviation in digital numbers.
    pub(super) fn new(sun: SunPosition, noise_dn: f64, seed: u64) -> Self {
        let per_irradiance = sun.zenith_deg.to_radians().cos() / (PI * sun.distance_au * sun.distance_au);
        Self { white: SPECS.map(|s| s.e0 * per_irradiance), noise_dn, seed: hash(seed, 0xD0) }
    }

    /// Digital number of a reflectance at a pixel: at least 1, because 0 means no measurement.
    ///
    /// # Units
    /// Reflectance 0 to 1.
    #[inline]
    pub(super) fn dn(&self, band: usize, reflectance: f32, row: usize, col: usize) -> u16 {
        let spec = &SPECS[band];
        let mut dn = (f64::from(reflectance) * self.white[band] - spec.bias) / spec.gain;
        if self.noise_dn > 0.0 {
            dn += self.noise_dn * normal(hash_cell(self.seed ^ ((band as u64) << 56), row as i64, col as i64));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dn_is_the_formula_and_stays_in_twelve_bits() {
        let sun = SunPosition { zenith_deg: 30.0, azimuth_deg: 0.0, distance_au: 1.0 };
        let detector = Detector::new(sun, 0.0, 1);
        for (band, spec) in SPECS.iter().enumerate() {
            let dn = f64::from(detector.dn(band, 0.6, 0, 0));
            assert!((3300.0..3600.0).contains(&dn), "{} {dn}", spec.role);
            let radiance = spec.gain * dn + spec.bias;
            let reflectance = PI * radiance / (spec.e0 * 30f64.to_radians().cos());
            assert!((reflectance - 0.6).abs() < 1e-4);
            assert_eq!(detector.dn(band, 0.0, 0, 0).max(20), 20);
            assert!(detector.dn(band, -1.0, 0, 0) == 1 && detector.dn(band, 9.0, 0, 0) == 4095);
        }
    }

    #[test]
    fn border_is_slanted_and_leaves_most_of_the_image() {
        assert!(!is_imaged(0, 50, 80, 96) && is_imaged(40, 50, 80, 96));
        let first = |row| (0..2000).find(|&c| is_imaged(row, c, 2000, 2000));
        assert!(first(1900) > first(100));
    }
}
