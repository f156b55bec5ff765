//! The dark level of a night scene: what a band shows where no light is.
//!
//! The bias in the metadata is worth tens of DN and drifts, and the sky glows: what is left of both after calibration
//! would otherwise be summed over millions of unlit pixels and drown the lights.

use serde::{Deserialize, Serialize};

use super::SurveyError;
use crate::scene::Role;

/// What unlit ground shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dark {
    /// Mean, DN.
    pub level: f64,
    /// Standard deviation of a pixel about it, DN: noise, and how the glow varies over the scene.
    pub sigma: f64,
    /// Standard error of the mean, DN, from how windows differ.
    pub standard_error: f64,
    /// Windows it was measured in.
    pub windows: usize,
}

/// Fewest windows that make a level.
const NEEDED: usize = 8;
/// Share of the windows that is taken to be dark, to learn the noise from the quietest.
const QUIET_SHARE: f64 = 0.1;
/// A window noisier than the quiet ones by this factor has light in it.
const QUIET_FACTOR: f64 = 1.5;
/// A pixel further above its window's mean than this many standard deviations is light: among 10⁶ pixels of Gaussian noise
/// none is.
const LIGHT_SIGMA: f64 = 6.0;
/// A window whose mean is further above its median than this many standard deviations and half a DN of rounding is skewed
/// by light; that of noise is not.
const SKEW_SIGMA: f64 = 0.1;
/// A window whose mean is further from the median of all dark ones than this many robust deviations is no ground: a lit roof.
const OUTLIER: f64 = 5.0;
/// Standard deviation of a Gaussian over its median absolute deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Standard deviation of the rounding to whole DN, 1/√12: no window is quieter.
const ROUNDING: f64 = 0.288_675_134_594_812_9;

struct Tile {
    n: f64,
    mean: f64,
    median: f64,
    sd: f64,
    max: f64,
}

impl Tile {
    /// True when nothing in it tells of light, if the noise has this standard deviation.
    fn is_calm(&self, noise: f64) -> bool {
        self.sd <= QUIET_FACTOR * noise
            && self.max - self.mean <= LIGHT_SIGMA * noise
            && self.mean - self.median <= 0.5 + SKEW_SIGMA * self.sd
    }
}

/// Measures the dark level in windows of DN, NaN for invalid. Windows that show light anywhere do not count, nor do
/// those that are mostly invalid.
///
/// # Reference
/// Robust background of dark ground by median and 1.4826 · MAD, as Li et al. 2019 (10.3390/s19173708) and others do, over
/// windows instead of pixels, so that whole DN do not round it.
pub fn measure(role: Role, windows: &[Vec<f32>]) -> Result<Dark, SurveyError> {
    let tiles: Vec<Tile> = windows.iter().filter_map(|w| tile(w)).collect();
    let too_few = |found| SurveyError::NoDarkGround { role, found, looked_at: tiles.len(), needed: NEEDED };
    let mut spreads: Vec<f64> = tiles.iter().map(|t| t.sd).collect();
    spreads.sort_by(f64::total_cmp);
    let Some(quiet) = spreads.get((spreads.len() as f64 * QUIET_SHARE) as usize) else { return Err(too_few(0)) };
    let noise = quiet.max(ROUNDING);
    let calm: Vec<&Tile> = tiles.iter().filter(|t| t.is_calm(noise)).collect();
    if calm.len() < NEEDED {
        return Err(too_few(calm.len()));
    }
    let middle = median(calm.iter().map(|t| t.mean).collect());
    let deviation = MAD_TO_SIGMA * median(calm.iter().map(|t| (t.mean - middle).abs()).collect());
    let fewest = calm.iter().map(|t| t.n).fold(f64::INFINITY, f64::min);
    // Windows of equal means to the last digit are not all outliers.
    let reach = OUTLIER * deviation.max(noise / fewest.sqrt());
    let dark: Vec<&Tile> = calm.into_iter().filter(|t| (t.mean - middle).abs() <= reach).collect();
    if dark.len() < NEEDED {
        return Err(too_few(dark.len()));
    }
    let n: f64 = dark.iter().map(|t| t.n).sum();
    let level = dark.iter().map(|t| t.n * t.mean).sum::<f64>() / n;
    let within = dark.iter().map(|t| t.n * t.sd * t.sd).sum::<f64>() / n;
    let between = dark.iter().map(|t| t.n * (t.mean - level).powi(2)).sum::<f64>() / n;
    let count = dark.len() as f64;
    let means = dark.iter().map(|t| (t.mean - level).powi(2)).sum::<f64>() / (count - 1.0);
    Ok(Dark { level, sigma: (within + between).sqrt(), standard_error: (means / count).sqrt(), windows: dark.len() })
}

fn tile(window: &[f32]) -> Option<Tile> {
    let valid = || window.iter().filter(|v| !v.is_nan()).map(|v| f64::from(*v));
    let n = valid().count();
    if n == 0 || 2 * n < window.len() {
        return None;
    }
    let mean = valid().sum::<f64>() / n as f64;
    let variance = valid().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
    let (median, max) = (median(valid().collect()), valid().fold(f64::NEG_INFINITY, f64::max));
    Some(Tile { n: n as f64, mean, median, sd: variance.sqrt(), max })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => values[n / 2],
        _ => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gaussian noise, rounded, from a fixed sequence.
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }

        fn window(&mut self, level: f64, sigma: f64) -> Vec<f32> {
            let mut draw = || {
                let (u, v) = (self.uniform().max(1e-300), self.uniform());
                (level + sigma * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).round() as f32
            };
            (0..64 * 64).map(|_| draw()).collect()
        }
    }

    #[test]
    fn the_level_is_known_to_a_fraction_of_a_dn_though_most_windows_are_lit() {
        let mut noise = Noise(7);
        let mut windows: Vec<Vec<f32>> = (0..60).map(|_| noise.window(37.3, 2.5)).collect();
        for k in 0..180 {
            let mut lit = noise.window(37.3, 2.5);
            for (i, v) in lit.iter_mut().enumerate().filter(|(i, _)| i % (20 + k) < 8) {
                *v += 30.0 + (i % 97) as f32 * 10.0;
            }
            windows.push(lit);
        }
        let dark = measure(Role::R, &windows).unwrap();
        assert!((dark.level - 37.3).abs() < 4.0 * dark.standard_error.max(0.003), "{dark:?}");
        assert!((dark.sigma - 2.5f64.hypot(ROUNDING)).abs() < 0.05, "{dark:?}");
        assert_eq!(dark.windows, 60);
    }

    #[test]
    fn a_glow_that_varies_is_averaged_and_told() {
        let mut noise = Noise(3);
        let windows: Vec<Vec<f32>> = (0..200).map(|k| noise.window(20.0 + 0.02 * f64::from(k), 1.0)).collect();
        let dark = measure(Role::G, &windows).unwrap();
        assert_eq!(dark.windows, 200);
        assert!((dark.level - 21.99).abs() < 0.01, "{dark:?}");
        assert!(dark.standard_error > 0.05, "{dark:?}");
    }

    #[test]
    fn without_dark_ground_it_says_so() {
        let mut noise = Noise(1);
        let lit: Vec<Vec<f32>> = (0..40)
            .map(|k| {
                noise
                    .window(50.0, 1.0)
                    .into_iter()
                    .enumerate()
                    .map(|(i, v)| if i % (3 + k) == 0 { 900.0 } else { v })
                    .collect()
            })
            .collect();
        let error = measure(Role::B, &lit).unwrap_err();
        assert!(error.to_string().contains("dark_dn"), "{error}");
        assert!(measure(Role::B, &[]).is_err());
        assert!(measure(Role::B, &vec![vec![f32::NAN; 4096]; 20]).is_err());
    }

    #[test]
    fn a_noiseless_scene_has_a_level_too() {
        let dark = measure(Role::B, &vec![vec![12.0; 4096]; 9]).unwrap();
        assert_eq!((dark.level, dark.sigma, dark.standard_error), (12.0, 0.0, 0.0));
    }
}
