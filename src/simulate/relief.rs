//! Height of the ground: a smooth function of the scene plane, known everywhere exactly.

use super::random::{fraction, hash};

/// Height of flat ground above the ellipsoid, metres.
pub(super) const BASE_HEIGHT_M: f64 = 220.0;

/// Wavelength in metres and share of the amplitude of each swell. At 100 m amplitude slopes reach about a quarter.
const SWELLS: [(f64, f64); 6] =
    [(5000.0, 0.45), (3100.0, 0.25), (1900.0, 0.15), (1150.0, 0.08), (700.0, 0.045), (500.0, 0.025)];

#[derive(Debug, Clone)]
struct Swell {
    amplitude_m: f64,
    phase: f64,
    per_x: f64,
    per_y: f64,
}

/// Sum of plane waves of fixed wavelengths in directions drawn from the seed.
#[derive(Debug, Clone)]
pub(super) struct Relief {
    swells: Vec<Swell>,
    amplitude_m: f64,
}

impl Relief {
    /// Relief between `BASE_HEIGHT_M` minus and plus the amplitude; amplitude 0 is flat.
    pub(super) fn new(seed: u64, amplitude_m: f64) -> Self {
        let swells = if amplitude_m == 0.0 { &[][..] } else { &SWELLS[..] };
        let swells = (0u64..).zip(swells).map(|(i, &(wavelength_m, share))| {
            let direction = std::f64::consts::TAU * fraction(hash(seed ^ 0x5E11, 2 * i));
            let wavenumber = std::f64::consts::TAU / wavelength_m;
            Swell {
                amplitude_m: amplitude_m * share,
                phase: std::f64::consts::TAU * fraction(hash(seed ^ 0x5E11, 2 * i + 1)),
                per_x: wavenumber * direction.cos(),
                per_y: wavenumber * direction.sin(),
            }
        });
        Self { swells: swells.collect(), amplitude_m }
    }

    /// Height above the ellipsoid at a position of the scene plane.
    ///
    /// # Units
    /// Metres.
    pub(super) fn height(&self, x: f64, y: f64) -> f64 {
        let wave = |s: &Swell| s.amplitude_m * (s.phase + s.per_x * x + s.per_y * y).sin();
        BASE_HEIGHT_M + self.swells.iter().map(wave).sum::<f64>()
    }

    /// Bounds of the height, metres.
    pub(super) fn range(&self) -> (f64, f64) {
        (BASE_HEIGHT_M - self.amplitude_m, BASE_HEIGHT_M + self.amplitude_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_stay_in_range_and_slopes_are_those_of_hills() {
        let relief = Relief::new(3, 100.0);
        let (low, high) = relief.range();
        let mut steepest: f64 = 0.0;
        for i in 0..20_000 {
            let (x, y) = (f64::from(i) * 7.3, f64::from(i % 131) * 41.0);
            let h = relief.height(x, y);
            assert!((low..=high).contains(&h));
            let slope = (relief.height(x + 0.5, y) - relief.height(x - 0.5, y))
                .hypot(relief.height(x, y + 0.5) - relief.height(x, y - 0.5));
            steepest = steepest.max(slope);
        }
        assert!((0.15..0.30).contains(&steepest), "{steepest}");
        assert_eq!(Relief::new(3, 0.0).height(123.0, 456.0), BASE_HEIGHT_M);
    }
}
