//! Pansharpening by the modulation transfer function (MTF): a panchromatic image is low-passed to what the detector of
//! the coarser bands would have seen of it, and what it has beyond that modulates them.
//!
//! The low-pass is taken at the pixels of the coarser image and interpolated back like its bands (a generalised Laplacian
//! pyramid): what their sampling and interpolation lost is then lost in both, and cancels.
//!
//! # Reference
//! Aiazzi et al. 2006, MTF-tailored multiscale fusion of high-resolution MS and Pan imagery, PE&RS 72(5) (filters matched
//! to the MTF); Vivone et al. 2015 (10.1109/TGRS.2014.2361734), MTF-GLP-HPM (high-pass modulation).

use std::f64::consts::PI;

use crate::linear::Linear;
use crate::state::{EDGE, NODATA};

/// Most coarse pixels on each side of a position that a filter reaches.
pub const MAX_REACH: usize = 3;
const TAPS: usize = 2 * MAX_REACH;
/// Positions between two coarse pixels that weights are tabulated for: rounding to them moves a sample by at most a
/// thousandth of a coarse pixel.
const PHASES: usize = 512;
/// Standard deviations a filter reaches at least; beyond, a Gaussian has 5e-4 of its weight.
const REACH_SIGMA: f64 = 3.5;

/// A Gaussian low-pass, in pixels of the coarser image.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    sigma: f64,
    reach: usize,
    weights: Vec<[f64; TAPS]>,
}

/// Variance, in squared pixels, of the Gaussian point spread whose modulation at the Nyquist frequency of those pixels is
/// `gain`: `−2 ln(gain) / π²`.
///
/// # Reference
/// The Fourier transform of a Gaussian, `exp(−2 π² σ² f²)`, at f = 1/2.
pub fn variance_of_gain(gain: f64) -> f64 {
    -2.0 * gain.ln() / (PI * PI)
}

impl Gaussian {
    /// A low-pass with this standard deviation, coarse pixels; `None` unless it is positive and within reach
    /// ([`MAX_REACH`]).
    pub fn new(sigma: f64) -> Option<Self> {
        let reach = (REACH_SIGMA * sigma).ceil();
        if !(sigma > 0.0 && reach <= MAX_REACH as f64) {
            return None;
        }
        let reach = reach as usize;
        let weight = |phase: usize, tap: usize| {
            let distance = tap as f64 - (reach as f64 - 1.0) - phase as f64 / PHASES as f64;
            if tap < 2 * reach { (-distance * distance / (2.0 * sigma * sigma)).exp() } else { 0.0 }
        };
        let weights = (0..=PHASES).map(|p| std::array::from_fn(|k| weight(p, k))).collect();
        Some(Self { sigma, reach, weights })
    }

    /// Standard deviation, coarse pixels.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Coarse pixels that a sample counts for on each side of its position.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// The first of the taps around a position along an axis, and their weights.
    #[inline(always)]
    fn taps(&self, at: f64) -> (f64, &[f64]) {
        let whole = at.floor();
        let phase = ((at - whole) * PHASES as f64).round() as usize;
        (whole - (self.reach as f64 - 1.0), &self.weights[phase.min(PHASES)][..2 * self.reach])
    }
}

/// What samples weigh at the pixels of a coarse window, summed up so far.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    rows: usize,
    cols: usize,
    /// Weighted sum, weight of the valid, and weight of the invalid samples of each pixel.
    all: Vec<[f64; 3]>,
}

impl Sums {
    /// Starts anew for a window of `rows` × `cols` coarse pixels.
    pub fn reset(&mut self, rows: usize, cols: usize) {
        (self.rows, self.cols) = (rows, cols);
        self.all.clear();
        self.all.resize(rows * cols, [0.0; 3]);
    }

    /// Bytes for a window of so many pixels.
    pub fn bytes(pixels: usize) -> u64 {
        (pixels * size_of::<[f64; 3]>()) as u64
    }

    /// Adds a row of fine samples at positions (`col`, `row`) of the coarse window, (0, 0) being the **centre** of its
    /// first pixel. The sum of a coarse pixel depends on the samples within its reach and their order alone: add rows from
    /// the first to the last, and it is the same to the last bit whatever else was added.
    ///
    /// # Invalid pixels
    /// NaN samples are counted as missing; a NaN position is nowhere.
    pub fn add(&mut self, filter: &Gaussian, samples: &[f32], col: &[f64], row: &[f64]) {
        assert!(samples.len() == col.len() && col.len() == row.len(), "one position per sample");
        let reach = filter.reach as f64;
        let (bottom, right) = (self.rows as f64 - 1.0 + reach, self.cols as f64 - 1.0 + reach);
        for ((sample, c), r) in samples.iter().zip(col).zip(row) {
            if !(*c > -reach && *r > -reach && *c < right && *r < bottom) {
                continue;
            }
            let ((left, across), (top, down)) = (filter.taps(*c), filter.taps(*r));
            let (left, top) = (left as isize, top as isize);
            let from = left.min(0).unsigned_abs();
            let to = across.len().min((self.cols as isize - left).max(0) as usize);
            for (k, wy) in down.iter().enumerate() {
                let line = top + k as isize;
                if line < 0 || line >= self.rows as isize || from >= to {
                    continue;
                }
                let start = line as usize * self.cols + (left + from as isize) as usize;
                let pixels = &mut self.all[start..start + to - from];
                if sample.is_nan() {
                    for (sum, wx) in pixels.iter_mut().zip(&across[from..to]) {
                        sum[2] += wx * wy;
                    }
                } else {
                    let value = f64::from(*sample);
                    for (sum, wx) in pixels.iter_mut().zip(&across[from..to]) {
                        let w = wx * wy;
                        sum[0] += w * value;
                        sum[1] += w;
                    }
                }
            }
        }
    }

    /// Weight of the valid samples of each pixel, row by row.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        self.all.iter().map(|s| s[1])
    }

    /// Writes the low-passed values as band `band` of `bands` that stand side by side. `coarse` are the states of the
    /// coarse image, whose invalid pixels stay so: the low-pass is then interpolated with the weights of its bands.
    ///
    /// # Invalid pixels
    /// Weights are renormalised over the valid samples. A pixel with a missing one gets [`EDGE`] in `state`; one without
    /// a valid sample, NaN and [`NODATA`]. `state` holds the sum over all bands: give 0 before the first.
    pub fn finish(&self, coarse: &[u16], (band, bands): (usize, usize), out: &mut [f32], state: &mut [u16]) {
        let n = self.all.len();
        assert!(coarse.len() == n && state.len() == n && out.len() == n * bands && band < bands, "whole pixels");
        let to = out.iter_mut().skip(band).step_by(bands).zip(state);
        for ((sum, of_bands), (value, state)) in self.all.iter().zip(coarse).zip(to) {
            let [weighted, weight, missing] = *sum;
            let is_valid = weight > 0.0 && of_bands & NODATA == 0;
            *value = if is_valid { (weighted / weight) as f32 } else { f32::NAN };
            *state |= match is_valid {
                true if missing > 0.0 => EDGE,
                true => 0,
                false => NODATA,
            };
        }
    }
}

/// How a panchromatic image modulates a band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modulation {
    /// Added to panchromatic samples before their ratio is taken; infinite for no modulation at all.
    pub offset: f64,
    /// The smallest low-passed sample, offset added, that is divided by; above 0.
    pub floor: f64,
}

/// Sharpens a band: `value · (1 + (pan − low) / max(low + offset, floor))`, which is `value · (pan + offset) / (low +
/// offset)` where nothing is below the floor. Returns how many valid pixels are.
///
/// The floor makes the ratio of dark pixels an addition of bounded size: nothing is ever divided by zero, and the result
/// has no jump.
///
/// # Units
/// `samples` in DN, values through `linear`; `pan`, `low` and the modulation in DN of the panchromatic band.
///
/// # Invalid pixels
/// NaN in any of the three gives NaN.
pub fn modulate(samples: &[f32], linear: Linear, pan: &[f32], low: &[f32], by: Modulation, out: &mut [f64]) -> u64 {
    let n = out.len();
    assert!(samples.len() == n && pan.len() == n && low.len() == n, "one length");
    let mut held = 0;
    for (((o, s), p), l) in out.iter_mut().zip(samples).zip(pan).zip(low) {
        let (pan, low) = (f64::from(*p), f64::from(*l));
        let base = low + by.offset;
        let divisor = if base > by.floor { base } else { by.floor };
        *o = linear.apply(f64::from(*s)) * (1.0 + (pan - low) / divisor);
        held += u64::from(base < by.floor && !o.is_nan());
    }
    held
}

/// Adds `weight` times a band to an intensity.
///
/// # Invalid pixels
/// NaN stays.
pub fn add_weighted(samples: &[f32], weight: f64, out: &mut [f64]) {
    assert_eq!(samples.len(), out.len(), "one length");
    out.iter_mut().zip(samples).for_each(|(o, s)| *o += weight * f64::from(*s));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fine samples of a turned lattice over a coarse window, row by row.
    fn lattice(n: usize, ratio: f64, turn: f64) -> Vec<(Vec<f64>, Vec<f64>)> {
        let (sin, cos) = turn.sin_cos();
        let at = |r: f64, c: f64| ((c * cos - r * sin) / ratio - 2.0, (c * sin + r * cos) / ratio - 2.0);
        (0..n).map(|r| (0..n).map(|c| at(r as f64, c as f64)).unzip()).collect()
    }

    fn sample(c: f64, r: f64) -> f32 {
        (500.0 + 90.0 * (1.1 * c).sin() * (0.7 * r).cos() + 10.0 * c) as f32
    }

    fn low_pass(filter: &Gaussian, rows: &[(Vec<f64>, Vec<f64>)], bad: &dyn Fn(usize, usize) -> bool) -> Sums {
        let mut sums = Sums::default();
        sums.reset(8, 9);
        for (r, (col, row)) in rows.iter().enumerate() {
            let line: Vec<f32> =
                (0..col.len()).map(|k| if bad(r, k) { f32::NAN } else { sample(col[k], row[k]) }).collect();
            sums.add(filter, &line, col, row);
        }
        sums
    }

    #[test]
    fn it_is_the_gaussian_mean_of_the_plain_formula() {
        for (gain, ratio, turn) in [(0.3, 4.0, 0.0), (0.25, 3.7, 0.3), (0.15, 2.0, -0.2)] {
            let sigma = variance_of_gain(gain).sqrt();
            let filter = Gaussian::new(sigma).unwrap();
            let rows = lattice(70, ratio, turn);
            let bad = |r: usize, c: usize| (r * 31 + c * 17).is_multiple_of(97);
            let sums = low_pass(&filter, &rows, &bad);
            let (mut out, mut state) = (vec![0.0; 72], vec![0; 72]);
            let mut coarse = vec![0; 72];
            coarse[40] = NODATA;
            sums.finish(&coarse, (0, 1), &mut out, &mut state);
            assert!(out[40].is_nan() && state[40] == NODATA);
            for k in (0..72).filter(|k| *k != 40) {
                let (mut sum, mut weight) = (0.0f64, 0.0);
                for (r, (col, row)) in rows.iter().enumerate() {
                    for c in (0..col.len()).filter(|c| !bad(r, *c)) {
                        let (dx, dy) = (col[c] - (k % 9) as f64, row[c] - (k / 9) as f64);
                        let w = (-(dx * dx + dy * dy) / (2.0 * sigma * sigma)).exp();
                        sum += w * f64::from(sample(col[c], row[c]));
                        weight += w;
                    }
                }
                let expected = sum / weight;
                assert!((f64::from(out[k]) - expected).abs() < 0.15, "{gain} {k}: {} {expected}", out[k]);
            }
        }
    }

    #[test]
    fn modulation_at_the_nyquist_frequency_is_the_gain() {
        for gain in [0.1, 0.3, 0.6] {
            let filter = Gaussian::new(variance_of_gain(gain).sqrt()).unwrap();
            let mut even = Sums::default();
            even.reset(1, 2);
            let fine = 64;
            for r in -4 * fine..4 * fine {
                let row = vec![f64::from(r) / f64::from(fine); 10 * fine as usize];
                let col: Vec<f64> = (-4 * fine..6 * fine).map(|c| f64::from(c) / f64::from(fine)).collect();
                let wave: Vec<f32> = col.iter().map(|c| 100.0 + (PI * c).cos() as f32).collect();
                even.add(&filter, &wave, &col, &row);
            }
            let (mut out, mut state) = ([0.0; 2], [0; 2]);
            even.finish(&[0, 0], (0, 1), &mut out, &mut state);
            assert!((f64::from(out[0]) - 100.0 - gain).abs() < 0.01, "{gain}: {out:?}");
            assert!((f64::from(out[1]) - 100.0 + gain).abs() < 0.01, "{gain}: {out:?}");
        }
    }

    #[test]
    fn sums_do_not_depend_on_what_else_is_added_nor_on_the_window() {
        let filter = Gaussian::new(0.5).unwrap();
        let rows = lattice(60, 4.0, 0.1);
        let whole = low_pass(&filter, &rows, &|r, c| r == 30 && c == 30);
        // Only what is near pixels (3..6, 3..6), in a window that starts at (2, 1).
        let mut part = Sums::default();
        part.reset(5, 7);
        for (r, (col, row)) in rows.iter().enumerate() {
            let near = |k: &usize| (0.9..7.1).contains(&col[*k]) && (0.9..7.1).contains(&row[*k]);
            let chosen: Vec<usize> = (0..col.len()).filter(near).collect();
            let values: Vec<f32> =
                chosen.iter().map(|k| if r == 30 && *k == 30 { f32::NAN } else { sample(col[*k], row[*k]) }).collect();
            let (c, w): (Vec<f64>, Vec<f64>) = chosen.iter().map(|k| (col[*k] - 1.0, row[*k] - 2.0)).unzip();
            part.add(&filter, &values, &c, &w);
        }
        for r in 3..6 {
            for c in 3..6 {
                assert_eq!(whole.all[r * 9 + c].map(f64::to_bits), part.all[(r - 2) * 7 + c - 1].map(f64::to_bits));
            }
        }
    }

    #[test]
    fn invalid_samples_lend_no_weight_and_leave_their_mark() {
        let filter = Gaussian::new(0.5).unwrap();
        let rows = lattice(60, 4.0, 0.0);
        let sums = low_pass(&filter, &rows, &|_, c| c >= 20);
        let (mut out, mut state) = (vec![0.0; 144], vec![0; 72]);
        sums.finish(&[0; 72], (1, 2), &mut out, &mut state);
        // Column 20 is at 3.0 of the coarse window: pixels up to 1 do not see it, 2 and 3 and 4 do, 5 sees nothing else.
        let of = |c: usize| state[3 * 9 + c];
        assert_eq!([of(0), of(1), of(2), of(3), of(4), of(5)], [0, 0, EDGE, EDGE, EDGE, NODATA]);
        assert!(out[2 * (3 * 9 + 5) + 1].is_nan() && out[2 * (3 * 9 + 4) + 1] > 0.0);
        assert!(out.iter().step_by(2).all(|v| *v == 0.0), "the other band is left alone");
    }

    #[test]
    fn filters_that_reach_too_far_or_nowhere_are_refused() {
        assert!(Gaussian::new(0.0).is_none() && Gaussian::new(f64::NAN).is_none() && Gaussian::new(0.9).is_none());
        assert_eq!(Gaussian::new(variance_of_gain(0.3).sqrt()).unwrap().reach(), 2);
    }

    #[test]
    fn modulation_is_the_ratio_and_dark_pixels_are_held() {
        let nan = f32::NAN;
        let (samples, pan) = ([100.0, 100.0, 100.0, nan, 100.0, 100.0], [60.0, 40.0, 3.0, 50.0, nan, 50.0]);
        let low = [50.0, 50.0, 1.0, 50.0, 50.0, nan];
        let mut out = [0.0; 6];
        let by = Modulation { offset: -10.0, floor: 8.0 };
        let held = modulate(&samples, Linear { gain: 0.01, bias: 0.5 }, &pan, &low, by, &mut out);
        assert_eq!(held, 1);
        let expected = [1.5 * 50.0 / 40.0, 1.5 * 30.0 / 40.0, 1.5 * (1.0 + 2.0 / 8.0)];
        assert!(out.iter().zip(expected).all(|(o, e)| (o - e).abs() < 1e-12), "{out:?}");
        assert!(out[3..].iter().all(|v| v.is_nan()));
        let by = Modulation { offset: f64::INFINITY, floor: 1.0 };
        assert_eq!(modulate(&samples[..3], Linear::IDENTITY, &pan[..3], &low[..3], by, &mut out[..3]), 0);
        assert_eq!(out[..3], [100.0; 3]);
        let mut intensity = [1.0; 2];
        add_weighted(&[2.0, nan], 0.5, &mut intensity);
        assert!(intensity[0] == 2.0 && intensity[1].is_nan());
    }
}
