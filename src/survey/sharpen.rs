//! How PAN and the bands of a scene belong together: what pansharpening needs to know of all of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SurveyError;
use crate::scene::Role;

/// What was found for a pansharpened product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sharpening {
    /// Pixels of the bands that it is from.
    pub pixels: u64,
    /// Windows they lie in.
    pub windows: u64,
    /// By band.
    pub bands: BTreeMap<Role, Band>,
    /// PAN as a sum of the bands, where the product needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intensity: Option<Intensity>,
    /// How good the product is; `None` when no window was whole.
    pub quality: Option<Quality>,
}

/// A band, and PAN low-passed to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Mean, DN.
    pub mean: f64,
    /// Standard deviation, DN.
    pub sd: f64,
    /// Mean of low-passed PAN, DN.
    pub pan_mean: f64,
    /// Standard deviation of low-passed PAN, DN.
    pub pan_sd: f64,
    /// Correlation of the two; 0 where one is constant.
    pub correlation: f64,
}

/// PAN as a sum of bands, by least squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intensity {
    /// Weight of each band, DN of PAN per DN.
    pub weights: BTreeMap<Role, f64>,
    /// What is added, DN.
    pub constant: f64,
    /// Share of the variance of PAN that the sum explains.
    pub explained: f64,
}

/// How good a pansharpened product is, from windows spread over the scene.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quality {
    /// Windows, one block of the quality index each.
    pub windows: u64,
    /// Spectral distortion D_λ: mean change of the quality index between bands; 0 is best.
    pub d_lambda: f64,
    /// Spatial distortion D_s: mean change of the quality index between each band and PAN; 0 is best.
    pub d_s: f64,
    /// Quality with no reference, (1 − D_λ) (1 − D_s) (Alparone et al. 2008); 1 is best.
    pub qnr: f64,
    /// ERGAS of the product, low-passed to the pixels of the bands, against the bands; 0 is best.
    pub ergas: f64,
    /// Mean spectral angle between the two, degrees; 0 is best.
    pub sam_deg: f64,
}

/// Sums over pixels of bands and of low-passed PAN; merging order matters in the last digits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// Pixels.
    pub pixels: u64,
    /// Windows with any.
    pub windows: u64,
    /// Of the bands, then of PAN as each sees it.
    first: Vec<f64>,
    /// Of products, row by row; the upper triangle.
    second: Vec<f64>,
}

impl Sums {
    /// Of no pixels, for this many bands.
    pub fn new(bands: usize) -> Self {
        let n = 2 * bands;
        Self { pixels: 0, windows: 0, first: vec![0.0; n], second: vec![0.0; n * n] }
    }

    /// Adds a pixel: its bands, and PAN as each of them sees it, DN.
    pub fn add(&mut self, bands: impl Iterator<Item = f32>, pan: impl Iterator<Item = f32>) {
        let n = self.first.len();
        let mut values = [0.0; 2 * Role::ALL.len()];
        values.iter_mut().zip(bands.chain(pan)).for_each(|(v, s)| *v = f64::from(s));
        self.pixels += 1;
        for i in 0..n {
            self.first[i] += values[i];
            for j in i..n {
                self.second[i * n + j] += values[i] * values[j];
            }
        }
    }

    /// Adds those of another window.
    pub fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        self.windows += u64::from(other.pixels > 0);
        self.first.iter_mut().zip(&other.first).for_each(|(a, b)| *a += b);
        self.second.iter_mut().zip(&other.second).for_each(|(a, b)| *a += b);
    }

    fn mean(&self, i: usize) -> f64 {
        self.first[i] / self.pixels as f64
    }

    fn covariance(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        self.second[i * self.first.len() + j] / self.pixels as f64 - self.mean(i) * self.mean(j)
    }

    /// What they say of a product with these bands; `weigh` where PAN is wanted as a sum of them.
    ///
    /// # Errors
    /// [`SurveyError::NothingInCommon`].
    pub fn solve(&self, product: &str, roles: &[Role], weigh: bool) -> Result<Sharpening, SurveyError> {
        let n = roles.len();
        if self.pixels < FEWEST {
            return Err(SurveyError::NothingInCommon {
                product: product.to_owned(),
                found: self.pixels,
                needed: FEWEST,
            });
        }
        let band = |b: usize| {
            let (variance, pan_variance) = (self.covariance(b, b).max(0.0), self.covariance(n + b, n + b).max(0.0));
            let (sd, pan_sd) = (variance.sqrt(), pan_variance.sqrt());
            let spread = sd * pan_sd;
            let correlation = if spread > 0.0 { self.covariance(b, n + b) / spread } else { 0.0 };
            Band { mean: self.mean(b), sd, pan_mean: self.mean(n + b), pan_sd, correlation }
        };
        Ok(Sharpening {
            pixels: self.pixels,
            windows: self.windows,
            bands: roles.iter().enumerate().map(|(b, r)| (*r, band(b))).collect(),
            intensity: weigh.then(|| self.intensity(roles)),
            quality: None,
        })
    }

    /// Least squares of PAN (as the first band sees it; all see the same) on the bands.
    fn intensity(&self, roles: &[Role]) -> Intensity {
        let n = roles.len();
        let mut system: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).chain([n]).map(|j| self.covariance(i, j)).collect()).collect();
        // A trace of the variance on the diagonal: bands that repeat others share their weight, constant ones have none.
        let trace: f64 = (0..n).map(|i| system[i][i]).sum();
        (0..n).for_each(|i| system[i][i] += RIDGE * trace + f64::MIN_POSITIVE);
        let weights = solve(system);
        let constant = self.mean(n) - (0..n).map(|b| weights[b] * self.mean(b)).sum::<f64>();
        let along: f64 = (0..n).map(|b| weights[b] * self.covariance(b, n)).sum();
        let pan = self.covariance(n, n);
        Intensity {
            weights: roles.iter().copied().zip(weights).collect(),
            constant,
            explained: if pan > 0.0 { along / pan } else { 0.0 },
        }
    }
}

/// Fewest pixels that say anything of a scene.
const FEWEST: u64 = 64;
/// Added to the diagonal of the normal equations, share of the trace.
const RIDGE: f64 = 1e-9;

/// Solves linear equations, the right side last in each row, by elimination with pivots.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let n = rows.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|a, b| rows[*a][k].abs().total_cmp(&rows[*b][k].abs())).unwrap_or(k);
        rows.swap(k, pivot);
        let (upper, lower) = rows.split_at_mut(k + 1);
        let pivot = &upper[k];
        for row in lower {
            let factor = row[k] / pivot[k];
            row.iter_mut().zip(pivot).skip(k).for_each(|(a, b)| *a -= factor * b);
        }
    }
    let mut found = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * found[j]).sum();
        found[k] = (rows[k][n] - known) / rows[k][k];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(f: impl Fn(usize) -> ([f32; 3], f32)) -> Sums {
        let mut all = Sums::new(3);
        for window in 0..4 {
            let mut one = Sums::new(3);
            for k in 0..200 {
                let (bands, pan) = f(window * 200 + k);
                one.add(bands.into_iter(), [pan; 3].into_iter());
            }
            all.merge(&one);
        }
        all.merge(&Sums::new(3));
        all
    }

    fn bands(k: usize) -> [f32; 3] {
        let wave = |step: usize| ((k * step) % 211) as f32;
        [400.0 + wave(17), 600.0 + 2.0 * wave(29), 900.0 + wave(101)]
    }

    #[test]
    fn weights_that_were_put_in_are_found() {
        let s = sums(|k| (bands(k), 30.0 + 0.2 * bands(k)[0] + 0.5 * bands(k)[1] + 0.1 * bands(k)[2]));
        let found = s.solve("p", &[Role::B, Role::G, Role::R], true).unwrap();
        assert_eq!((found.pixels, found.windows), (800, 4));
        let intensity = found.intensity.unwrap();
        for (role, weight) in [(Role::B, 0.2), (Role::G, 0.5), (Role::R, 0.1)] {
            assert!((intensity.weights[&role] - weight).abs() < 1e-5, "{intensity:?}");
        }
        assert!((intensity.constant - 30.0).abs() < 0.02 && (intensity.explained - 1.0).abs() < 1e-6, "{intensity:?}");
    }

    #[test]
    fn moments_are_those_of_the_plain_formulas() {
        let pan = |k: usize| 500.0 + ((k * 53) % 97) as f32 + 0.5 * bands(k)[2];
        let s = sums(|k| (bands(k), pan(k)));
        let found = s.solve("p", &[Role::B, Role::G, Role::R], false).unwrap();
        assert!(found.intensity.is_none());
        let x: Vec<f64> = (0..800).map(|k| f64::from(bands(k)[2])).collect();
        let y: Vec<f64> = (0..800).map(|k| f64::from(pan(k))).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / 800.0;
        let (mx, my) = (mean(&x), mean(&y));
        let co = |a: &[f64], ma: f64, b: &[f64], mb: f64| {
            a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>() / 800.0
        };
        let (sx, sy) = (co(&x, mx, &x, mx).sqrt(), co(&y, my, &y, my).sqrt());
        let r = &found.bands[&Role::R];
        for (found, expected) in
            [(r.mean, mx), (r.sd, sx), (r.pan_mean, my), (r.pan_sd, sy), (r.correlation, co(&x, mx, &y, my) / sx / sy)]
        {
            assert!((found - expected).abs() < 1e-7 * expected.abs(), "{found} {expected}");
        }
    }

    #[test]
    fn bands_that_say_nothing_have_no_weight_and_no_ground_is_said() {
        let s = sums(|k| ([bands(k)[0], 7.0, bands(k)[0]], 2.0 * bands(k)[0]));
        let found = s.solve("p", &[Role::B, Role::G, Role::R], true).unwrap();
        let intensity = found.intensity.unwrap();
        let weight = |r: Role| intensity.weights[&r];
        assert!(weight(Role::G).abs() < 1e-6, "{intensity:?}");
        assert!((weight(Role::B) - 1.0).abs() < 1e-3 && (weight(Role::R) - 1.0).abs() < 1e-3, "{intensity:?}");
        assert_eq!(found.bands[&Role::G].correlation, 0.0);
        let error = Sums::new(3).solve("sharp", &[Role::B, Role::G, Role::R], true).unwrap_err();
        assert!(error.to_string().contains("sharp"), "{error}");
    }
}
