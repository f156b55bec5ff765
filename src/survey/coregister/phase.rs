//! How far two windows lie apart, by the phases of their spectra.

use std::sync::Arc;

use fieldglow_kernels::correlate;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Standard deviation of the Gaussian that frequencies are weighted with, cycles per pixel. The highest are mostly noise
/// and aliases: at Nyquist's 0.5 a twentieth of the weight is left.
const SPECTRAL_SIGMA: f64 = 0.2;

/// Pixels around the peak that belong to it: what stands further away is another peak.
const LOBE: i64 = 4;

/// Steps of the refinement, each over a little more than the step before: reach and step, pixels.
const ZOOMS: [(f64, f64); 4] = [(1.5, 0.25), (0.25, 0.05), (0.05, 0.01), (0.01, 0.001)];

/// Where a window lies against another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Columns.
    pub col: f64,
    /// Rows.
    pub row: f64,
    /// Height of the peak over that of the next one; 1 for noise.
    pub ratio: f64,
    /// Correlation of the two, the second moved back by whole pixels.
    pub correlation: f64,
}

/// Compares windows of one size.
pub struct Correlator {
    side: usize,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    taper: Vec<f64>,
    /// Frequency of each line of a spectrum, cycles per pixel.
    frequency: Vec<f64>,
    weight: Vec<f64>,
}

type Plane = Vec<Complex<f64>>;

impl Correlator {
    /// For windows of `side` × `side` pixels.
    pub fn new(side: usize) -> Self {
        let mut planner = FftPlanner::new();
        let mut taper = vec![0.0; side];
        correlate::hann(&mut taper);
        let n = side as f64;
        let frequency: Vec<f64> =
            (0..side).map(|k| if 2 * k < side { k as f64 / n } else { k as f64 / n - 1.0 }).collect();
        let weight = frequency.iter().map(|f| (-0.5 * (f / SPECTRAL_SIGMA).powi(2)).exp()).collect();
        Self {
            side,
            forward: planner.plan_fft_forward(side),
            inverse: planner.plan_fft_inverse(side),
            taper,
            frequency,
            weight,
        }
    }

    /// Bytes that one comparison takes.
    pub fn bytes(side: usize) -> u64 {
        (side * side * (3 * size_of::<Complex<f64>>() + 2 * size_of::<f64>())) as u64
    }

    /// How far `b` lies from `a`: `b`(x) = `a`(x − shift). `None` where one has no spread.
    ///
    /// The whole pixels are the peak of the phase correlation, its frequencies weighted by a Gaussian: brightness and contrast do
    /// not count. The fraction is the peak of the correlation of gradients, evaluated between pixels by its Fourier sum: there
    /// frequencies count by what they show, so noise does not pull. Both images have next to no power at the longest waves,
    /// which ground that changed is most in.
    ///
    /// # Invalid pixels
    /// NaN; what is invalid in either counts as the mean.
    ///
    /// # Reference
    /// Kuglin and Hines 1975, the phase correlation image alignment method; Argyriou and Vlachos 2003,
    /// 10.1109/ICIP.2003.1247149, for the correlation of gradients; Guizar-Sicairos et al. 2008, 10.1364/OL.33.000156, for the
    /// refinement by a matrix-multiplied discrete Fourier transform.
    pub fn shift(&self, a: &[f32], b: &[f32]) -> Option<Shift> {
        let (mut surface, gradients) = self.cross_power(a, b)?;
        self.transform(&*self.inverse, &mut surface);
        let peak = (0..surface.len()).max_by(|i, j| surface[*i].re.total_cmp(&surface[*j].re))?;
        let n = self.side as i64;
        let centred = |k: usize| if 2 * k < self.side { k as i64 } else { k as i64 - n };
        let (row, col) = (centred(peak / self.side), centred(peak % self.side));
        let around = |a: i64, b: i64| {
            let d = (a - b).rem_euclid(n);
            d.min(n - d) <= LOBE
        };
        let beside = |k: &usize| !(around(centred(k / self.side), row) && around(centred(k % self.side), col));
        let next = (0..surface.len()).filter(beside).map(|k| surface[k].re).fold(0.0, f64::max);
        let mut at = (col as f64, row as f64);
        for (reach, step) in ZOOMS {
            at = self.highest(&gradients, at, reach, step);
        }
        Some(Shift {
            col: at.0,
            row: at.1,
            ratio: surface[peak].re / next.max(f64::MIN_POSITIVE),
            correlation: correlate::correlation(a, b, self.side, (col, row)),
        })
    }

    /// The weighted cross-power spectrum, normalised, and that of the gradients; `None` where a window has no spread.
    fn cross_power(&self, a: &[f32], b: &[f32]) -> Option<(Plane, Plane)> {
        let mut real = vec![0.0; self.side * self.side];
        let mut spectrum = |window: &[f32], other: &[f32]| -> Option<Plane> {
            let spread = correlate::tapered(window, other, &self.taper, &mut real);
            let mut plane: Plane = real.iter().map(|v| Complex::new(*v, 0.0)).collect();
            self.transform(&*self.forward, &mut plane);
            (spread > 0.0).then_some(plane)
        };
        let (mut a, mut b) = (spectrum(a, b)?, spectrum(b, a)?);
        for (k, (b, a)) in b.iter_mut().zip(&mut a).enumerate() {
            let product = *b * a.conj();
            let power = product.norm();
            let (row, col) = (k / self.side, k % self.side);
            let weight = self.weight[row] * self.weight[col];
            *a = product * (weight * weight * (self.frequency[row].powi(2) + self.frequency[col].powi(2)));
            *b = if power > 0.0 { product * (weight / power) } else { Complex::new(0.0, 0.0) };
        }
        Some((b, a))
    }

    /// Both dimensions, one after the other.
    fn transform(&self, fft: &dyn Fft<f64>, plane: &mut Plane) {
        for _ in 0..2 {
            fft.process(plane);
            for r in 0..self.side {
                for c in r + 1..self.side {
                    plane.swap(r * self.side + c, c * self.side + r);
                }
            }
        }
    }

    /// The highest point of the surface of a spectrum around a place (col, row), on a lattice finer than pixels.
    fn highest(&self, spectrum: &Plane, (col, row): (f64, f64), reach: f64, step: f64) -> (f64, f64) {
        let n = self.side;
        let steps = (reach / step).round() as i64;
        let places = |middle: f64| (-steps..=steps).map(move |k| middle + k as f64 * step).collect::<Vec<_>>();
        let (cols, rows) = (places(col), places(row));
        let waves = |at: f64| -> Plane {
            self.frequency.iter().map(|f| Complex::from_polar(1.0, std::f64::consts::TAU * f * at)).collect()
        };
        let across: Vec<Plane> = cols.iter().map(|c| waves(*c)).collect();
        // Columns first, then rows: a product of matrices from either side.
        let folded: Vec<Plane> = across
            .iter()
            .map(|wave| spectrum.chunks_exact(n).map(|line| line.iter().zip(wave).map(|(s, w)| s * w).sum()).collect())
            .collect();
        let mut best = (f64::NEG_INFINITY, (col, row));
        for r in &rows {
            let wave = waves(*r);
            for (c, lines) in cols.iter().zip(&folded) {
                let height: f64 = lines.iter().zip(&wave).map(|(s, w)| (s * w).re).sum();
                if height > best.0 {
                    best = (height, (*c, *r));
                }
            }
        }
        best.1
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Uniform numbers from a fixed sequence.
    pub struct Draw(pub u64);

    impl Draw {
        pub fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Mean 0, standard deviation 1.
        pub fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }
    }

    /// Ground that is known everywhere: smooth noise of several mesh widths, stronger where wider, as land has it.
    pub struct Ground(u64);

    /// Mesh widths, pixels.
    const MESHES: [f64; 5] = [4.7, 9.1, 17.9, 37.3, 71.7];

    impl Ground {
        pub fn new(seed: u64) -> Self {
            Self(seed)
        }

        /// The value at a point, without what is lost where `step` pixels are taken together.
        pub fn at(&self, col: f64, row: f64, step: usize) -> f64 {
            let coarse = MESHES.iter().filter(|m| **m > 2.0 * step as f64);
            coarse.map(|mesh| mesh.powf(0.7) * self.smooth(col / mesh, row / mesh, *mesh as u64)).sum()
        }

        fn smooth(&self, u: f64, v: f64, salt: u64) -> f64 {
            let (i, j) = (u.floor(), v.floor());
            let ease = |t: f64| t * t * t * (t * (6.0 * t - 15.0) + 10.0);
            let (s, t) = (ease(u - i), ease(v - j));
            let corner = |di: i64, dj: i64| {
                let (i, j) = ((i as i64 + di) as u64, (j as i64 + dj) as u64);
                let key = i.wrapping_mul(0x9e37_79b9) ^ j.wrapping_mul(0x85eb_ca77_c2b2) ^ (salt << 40);
                Draw(self.0.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ key).uniform() - 0.5
            };
            let upper = corner(0, 0) * (1.0 - s) + corner(1, 0) * s;
            let lower = corner(0, 1) * (1.0 - s) + corner(1, 1) * s;
            upper * (1.0 - t) + lower * t
        }

        /// A window whose content lies `shift` further right and down.
        pub fn window(&self, side: usize, shift: (f64, f64), noise: f64, seed: u64) -> Vec<f32> {
            let mut draw = Draw(seed);
            (0..side * side)
                .map(|k| {
                    let (r, c) = ((k / side) as f64, (k % side) as f64);
                    (500.0 + self.at(c - shift.0, r - shift.1, 1) + noise * draw.normal()) as f32
                })
                .collect()
        }
    }

    #[test]
    fn shifts_of_fractions_are_found_to_a_fiftieth_of_a_pixel_through_noise_and_gain() {
        let correlator = Correlator::new(128);
        let shifts = [(0.0, 0.0), (0.5, -0.25), (0.31, 0.77), (-2.4, 3.15), (7.62, -5.21), (-19.87, 23.44)];
        for (k, shift) in shifts.into_iter().enumerate() {
            let ground = Ground::new(k as u64 + 3);
            // Noise of a hundredth of the contrast.
            let a = ground.window(128, (0.0, 0.0), 0.05, 77);
            // Another sun and another gain: brightness is no evidence. The second time it is cut where the first found it.
            let mut whole = (0.0, 0.0);
            for limit in [0.5, 0.02] {
                let left = (shift.0 - whole.0, shift.1 - whole.1);
                let b: Vec<f32> = ground.window(128, left, 0.05, 99).iter().map(|v| 3.0 * v - 800.0).collect();
                let found = correlator.shift(&a, &b).unwrap();
                let error = (found.col - left.0).hypot(found.row - left.1);
                assert!(error < limit, "{error} px: {found:?} for {left:?}");
                assert!(found.ratio > 2.0 && found.correlation > 0.7, "{found:?}");
                whole = (whole.0 + found.col.round(), whole.1 + found.row.round());
            }
        }
    }

    #[test]
    fn content_turned_bright_to_dark_in_part_still_lies_where_it_lies() {
        let correlator = Correlator::new(128);
        let (stable, changed, before) = (Ground::new(5), Ground::new(6), Ground::new(7));
        let shift = (4.3, -2.6);
        let mix = |other: &Ground, shift: (f64, f64), seed| -> Vec<f32> {
            let (s, o) = (stable.window(128, shift, 0.1, seed), other.window(128, shift, 0.1, seed + 1));
            s.iter().zip(&o).map(|(s, o)| s + 0.7 * o).collect()
        };
        let found = correlator.shift(&mix(&before, (0.0, 0.0), 1), &mix(&changed, shift, 9)).unwrap();
        assert!((found.col - shift.0).hypot(found.row - shift.1) < 0.2, "{found:?}");
    }

    #[test]
    fn noise_has_no_peak_and_a_flat_window_no_shift() {
        let correlator = Correlator::new(64);
        let mut strong = 0;
        for seed in 0..40 {
            let mut draw = Draw(seed);
            let mut noise = || (0..64 * 64).map(|_| draw.normal() as f32).collect::<Vec<_>>();
            let (a, b) = (noise(), noise());
            strong += usize::from(correlator.shift(&a, &b).unwrap().ratio > super::super::MIN_RATIO);
        }
        assert!(strong <= 10, "{strong} of 40 windows of noise have a peak");
        assert_eq!(correlator.shift(&[7.0; 64 * 64], &Ground::new(1).window(64, (0.0, 0.0), 0.0, 1)), None);
        assert_eq!(correlator.shift(&[f32::NAN; 64 * 64], &[f32::NAN; 64 * 64]), None);
    }
}
