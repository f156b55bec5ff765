//! Pansharpened bands: what modulates them, and with which numbers.

use fieldglow_kernels::sharpen::{self, Modulation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raster::{Block, Linear};
use crate::scene::Role;

/// How bands are sharpened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// High-pass modulation with a low-pass matched to the detector's modulation transfer function.
    #[default]
    MtfGlpHpm,
    /// Ratio of PAN to a weighted sum of the bands.
    Brovey,
}

/// How PAN is fitted to a band before the two are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The band is regressed on it.
    #[default]
    Regression,
    /// It gets the band's mean and standard deviation.
    Moments,
}

/// Modulation of a detector at its Nyquist frequency where nothing better is known.
///
/// # Reference
/// The value that the toolbox of Vivone et al. 2015 (10.1109/TGRS.2014.2361734) takes for sensors it does not know; those
/// it knows have 0.22 to 0.37.
pub const MTF_GAIN: f64 = 0.3;

/// Share of the scene's mean below which low-passed PAN, fitted to a band, is not divided by.
const FLOOR: f64 = 0.25;

/// A band of a pansharpened product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharpBand {
    /// The band.
    pub role: Role,
    /// Modulation of its detector at the Nyquist frequency.
    pub gain: f64,
    /// Which of the block's low-passed planes is its own.
    pub low: usize,
    /// How PAN modulates it, DN of PAN; not a number until it is known, and then nothing is valid.
    pub modulation: Modulation,
}

/// The panchromatic image as a sum of bands, DN.
#[derive(Debug, Clone, PartialEq)]
pub struct Intensity {
    /// Weight of each band of the product.
    pub weights: Vec<f64>,
    /// What is added.
    pub constant: f64,
}

/// How a product is sharpened.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharpening {
    /// The method.
    pub method: Method,
    /// How PAN is fitted ([`Method::MtfGlpHpm`]).
    pub fit: Fit,
    /// Its bands.
    pub bands: Vec<SharpBand>,
    /// What PAN is compared with ([`Method::Brovey`]); `None` until it is known, and then nothing is valid.
    pub intensity: Option<Intensity>,
    /// Modulation of the panchromatic detector at its own Nyquist frequency; 1 for a perfect one.
    pub pan_gain: f64,
}

/// A band at the pixels of the multispectral image, and PAN as that sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Mean of the band, DN.
    pub mean: f64,
    /// Standard deviation of the band, DN.
    pub sd: f64,
    /// Mean of low-passed PAN, DN.
    pub pan_mean: f64,
    /// Standard deviation of low-passed PAN, DN.
    pub pan_sd: f64,
    /// Their correlation.
    pub correlation: f64,
}

const UNKNOWN: Modulation = Modulation { offset: f64::NAN, floor: f64::NAN };

impl SharpBand {
    /// Of which nothing is known yet.
    pub fn new(role: Role, gain: f64) -> Self {
        Self { role, gain, low: 0, modulation: UNKNOWN }
    }
}

/// How PAN modulates a band that is seen like this.
///
/// PAN is fitted to the band as `a · P + b`, and modulates it by the ratio of that to its low-pass: an offset of `b / a` on
/// PAN. With [`Fit::Moments`], `a` is the ratio of standard deviations (histogram matching, Vivone et al. 2015), with
/// [`Fit::Regression`] the slope of the band over PAN (Vivone, Restaino and Chanussot 2018, 10.1109/TGRS.2017.2757508).
/// A band that does not rise with PAN is not modulated.
pub fn modulation(fit: Fit, seen: &Seen, linear: Linear) -> Modulation {
    let gain = match fit {
        Fit::Moments => 1.0,
        Fit::Regression => seen.correlation,
    };
    let (mean, sd) = (linear.apply(seen.mean), seen.sd * linear.gain.abs());
    // Of the fitted PAN: its mean is the band's, so this is the mean that PAN has with its offset.
    let base = mean * seen.pan_sd / (gain * sd);
    if base.is_finite() && base > 0.0 && gain > 0.0 {
        Modulation { offset: base - seen.pan_mean, floor: FLOOR * base }
    } else {
        Modulation { offset: f64::INFINITY, floor: 1.0 }
    }
}

/// How PAN modulates all bands by its ratio to an intensity; `linear` is PAN's, `pan_mean` its mean in DN.
pub fn ratio_modulation(pan_mean: f64, linear: Linear) -> Modulation {
    let offset = linear.bias / linear.gain;
    let base = pan_mean + offset;
    if base > 0.0 {
        Modulation { offset, floor: FLOOR * base }
    } else {
        Modulation { offset: f64::INFINITY, floor: 1.0 }
    }
}

/// Buffers reused from strip to strip.
#[derive(Debug, Default)]
pub struct Scratch {
    sum: Vec<f64>,
    intensity: Vec<f32>,
}

impl Sharpening {
    /// Works out what PAN is compared with, once for all bands of a block; `planes` are those of the bands.
    pub fn prepare(&self, block: &Block, planes: &[usize], scratch: &mut Scratch) {
        let Scratch { sum, intensity } = scratch;
        let pixels = block.window.pixels();
        if self.method == Method::Brovey {
            sum.clear();
            sum.resize(pixels, self.intensity.as_ref().map_or(f64::NAN, |i| i.constant));
            for (plane, weight) in planes.iter().zip(self.intensity.iter().flat_map(|i| &i.weights)) {
                sharpen::add_weighted(block.plane(*plane), *weight, sum);
            }
            intensity.clear();
            intensity.extend(sum.iter().map(|v| *v as f32));
        }
    }

    /// Writes the values of band `band`, which is plane `plane` of the block; `pan` is that of PAN. Returns how many had
    /// their modulation held back. [`Self::prepare`] comes first.
    ///
    /// # Invalid pixels
    /// NaN where the band or PAN is invalid.
    pub fn values(
        &self,
        block: &Block,
        (band, plane, pan): (usize, usize, usize),
        scratch: &Scratch,
        out: &mut [f64],
    ) -> u64 {
        let of = &self.bands[band];
        let low = match self.method {
            Method::MtfGlpHpm => block.low(of.low),
            Method::Brovey => &scratch.intensity,
        };
        sharpen::modulate(block.plane(plane), block.linear[plane], block.plane(pan), low, of.modulation, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_gives_pan_the_bands_contrast() {
        let seen = Seen { mean: 400.0, sd: 50.0, pan_mean: 600.0, pan_sd: 30.0, correlation: 0.5 };
        let linear = Linear { gain: 0.01, bias: 1.0 };
        // Mean 5, sd 0.5: PAN with its offset has mean 10 · sd.
        let m = modulation(Fit::Moments, &seen, linear);
        assert!((m.offset + 300.0).abs() < 1e-9 && (m.floor - 75.0).abs() < 1e-9, "{m:?}");
        let r = modulation(Fit::Regression, &seen, linear);
        assert!((r.offset - 0.0).abs() < 1e-9 && (r.floor - 150.0).abs() < 1e-9, "{r:?}");
        for odd in [
            Seen { sd: 0.0, ..seen },
            Seen { pan_sd: 0.0, ..seen },
            Seen { mean: -200.0, ..seen },
            Seen { sd: f64::NAN, ..seen },
        ] {
            assert_eq!(modulation(Fit::Moments, &odd, linear).offset, f64::INFINITY, "{odd:?}");
        }
        let against = Seen { correlation: -0.2, ..seen };
        assert_eq!(modulation(Fit::Regression, &against, linear).offset, f64::INFINITY);
        let b = ratio_modulation(600.0, Linear { gain: 0.02, bias: -2.0 });
        assert!((b.offset + 100.0).abs() < 1e-9 && (b.floor - 125.0).abs() < 1e-9);
    }
}
