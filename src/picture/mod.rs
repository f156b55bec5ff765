//! Small pictures of products, for people: one beside every file, made from its coarsest overview while that is at hand.
//!
//! A picture is for looking, not for measuring: 8 bits, no georeference, transparent where nothing was measured.

mod mosaic;
mod ramp;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

pub use mosaic::{Mosaic, Placed};
pub use ramp::Ramp;

use crate::error::{Class, Classify};
use crate::product::{NODATA_I16, NODATA_U8};
use crate::raster::{RawTile, Samples, state};

/// How a product is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Style {
    /// One band in gray, or three in red, green and blue.
    Bands {
        /// Positions of the bands in the file, and the stored values that become black and white.
        shown: Vec<(usize, (f64, f64))>,
        /// Power of the share of the range: below 1 the dark is lifted.
        gamma: f64,
    },
    /// One band in colours.
    Ramp {
        /// The colours.
        ramp: Ramp,
        /// Stored values at both ends; the picture's own 2nd and 98th percentile where they are not known beforehand.
        range: Option<(f64, f64)>,
    },
    /// Pixel states: the worst that is wrong with a pixel.
    States,
}

/// A picture cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The encoder refuses.
    #[error("encoding a picture")]
    Encode(#[source] image::ImageError),
    /// What stands in storage is no picture of ours.
    #[error("the picture `{name}`; make the scene again with --force")]
    Decode {
        /// The object.
        name: String,
        /// What is wrong with it.
        #[source]
        source: image::ImageError,
    },
}

impl Classify for PictureError {
    fn class(&self) -> Class {
        match self {
            Self::Encode(_) => Class::Bug,
            Self::Decode { .. } => Class::Storage,
        }
    }
}

/// The picture of the first `rows` rows and `cols` columns of a tile, as PNG.
///
/// # Invalid pixels
/// Transparent.
///
/// # Errors
/// [`PictureError::Encode`].
pub fn png(tile: &RawTile, (rows, cols): (usize, usize), style: &Style) -> Result<Vec<u8>, PictureError> {
    let at = |row: usize, col: usize, band: usize| (row * tile.cols + col) * tile.bands + band;
    let pixels = || (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c)));
    let mut rgba = vec![0u8; rows * cols * 4];
    let out = rgba.chunks_exact_mut(4).zip(pixels());
    match style {
        Style::Bands { shown, gamma } => {
            for (to, (r, c)) in out {
                let value = |k: usize| {
                    let (band, (low, high)) = shown[k.min(shown.len() - 1)];
                    let v = stored(&tile.samples, at(r, c, band))?;
                    Some((255.0 * ((v - low) / (high - low)).clamp(0.0, 1.0).powf(*gamma)).round() as u8)
                };
                if let (Some(red), Some(green), Some(blue)) = (value(0), value(1), value(2)) {
                    to.copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
        Style::Ramp { ramp, range } => {
            let own = || percentiles(pixels().filter_map(|(r, c)| stored(&tile.samples, at(r, c, 0))).collect());
            let (low, high) = range.unwrap_or_else(own);
            for (to, (r, c)) in out {
                if let Some(v) = stored(&tile.samples, at(r, c, 0)) {
                    let [red, green, blue] = ramp.color((v - low) / (high - low));
                    to.copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
        Style::States => {
            for (to, (r, c)) in out {
                if let Some(v) = stored(&tile.samples, at(r, c, 0)) {
                    let [red, green, blue] = state_color(v as u16);
                    to.copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
    }
    encode(&rgba, (rows, cols))
}

fn encode(rgba: &[u8], (rows, cols): (usize, usize)) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(rgba, cols as u32, rows as u32, ExtendedColorType::Rgba8)
        .map_err(PictureError::Encode)?;
    Ok(bytes)
}

/// A stored sample, unless it is invalid.
fn stored(samples: &Samples, at: usize) -> Option<f64> {
    match samples {
        Samples::U8(v) => (v[at] != NODATA_U8).then(|| f64::from(v[at])),
        Samples::I16(v) => (v[at] != NODATA_I16).then(|| f64::from(v[at])),
        Samples::U16(v) => (v[at] & state::NODATA == 0).then(|| f64::from(v[at])),
        Samples::F32(v) => (!v[at].is_nan()).then(|| f64::from(v[at])),
    }
}

/// 2nd and 98th percentile; 0 and 1 without values or range.
fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len().saturating_sub(1) as f64 * share).round() as usize).copied();
    match (at(0.02), at(0.98)) {
        (Some(low), Some(high)) if high > low => (low, high),
        (Some(low), _) => (low, low + 1.0),
        _ => (0.0, 1.0),
    }
}

/// Gray where nothing is wrong; else the colour of the gravest.
fn state_color(bits: u16) -> [u8; 3] {
    const COLORS: [(u16, [u8; 3]); 5] = [
        (state::SATURATED, [220, 50, 47]),
        (state::CLIPPED, [211, 54, 130]),
        (state::PARTIAL, [203, 130, 22]),
        (state::OCCLUDED, [108, 113, 196]),
        (state::EDGE, [38, 139, 210]),
    ];
    COLORS.iter().find(|(bit, _)| bits & bit != 0).map_or([205, 205, 200], |(_, color)| *color)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(png: &[u8]) -> image::RgbaImage {
        image::load_from_memory_with_format(png, image::ImageFormat::Png).unwrap().to_rgba8()
    }

    #[test]
    fn bands_become_colours_and_nodata_transparent() {
        let n = NODATA_I16;
        let samples = Samples::I16(vec![0, 500, 1000, n, n, n, 2000, -5, 250, 9, 9, 9]);
        let tile = RawTile { rows: 2, cols: 2, bands: 3, samples };
        let range = (0.0, 1000.0);
        let style = Style::Bands { shown: vec![(2, range), (1, range), (0, range)], gamma: 1.0 };
        let picture = decoded(&png(&tile, (2, 1), &style).unwrap());
        assert_eq!(picture.dimensions(), (1, 2));
        assert_eq!(picture.get_pixel(0, 0).0, [255, 128, 0, 255]);
        assert_eq!(picture.get_pixel(0, 1).0, [64, 0, 255, 255]);
        let wide = decoded(&png(&tile, (1, 2), &style).unwrap());
        assert_eq!(wide.get_pixel(1, 0).0, [0, 0, 0, 0]);
        let gray = Style::Bands { shown: vec![(1, range)], gamma: 0.5 };
        assert_eq!(decoded(&png(&tile, (1, 1), &gray).unwrap()).get_pixel(0, 0).0, [180, 180, 180, 255]);
    }

    #[test]
    fn ramps_run_from_end_to_end_also_over_their_own_range() {
        let values: Vec<f32> = (0..100).map(|v| v as f32).collect();
        let tile = RawTile { rows: 10, cols: 10, bands: 1, samples: Samples::F32(values) };
        let ends = [Ramp::Vegetation.color(0.0), Ramp::Vegetation.color(1.0)];
        for range in [None, Some((2.0, 97.0))] {
            let picture = decoded(&png(&tile, (10, 10), &Style::Ramp { ramp: Ramp::Vegetation, range }).unwrap());
            assert_eq!(picture.get_pixel(0, 0).0[..3], ends[0]);
            assert_eq!(picture.get_pixel(9, 9).0[..3], ends[1]);
        }
    }

    #[test]
    fn states_show_the_gravest() {
        let samples = Samples::U16(vec![0, state::NODATA, state::EDGE | state::SATURATED, state::EDGE]);
        let tile = RawTile { rows: 1, cols: 4, bands: 1, samples };
        let picture = decoded(&png(&tile, (1, 4), &Style::States).unwrap());
        let all: Vec<[u8; 4]> = picture.pixels().map(|p| p.0).collect();
        assert_eq!(all, [[205, 205, 200, 255], [0, 0, 0, 0], [220, 50, 47, 255], [38, 139, 210, 255]]);
    }
}
