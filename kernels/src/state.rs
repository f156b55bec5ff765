//! The state of a pixel: why it is invalid, or what is wrong with it though it is valid. One `u16` a pixel, stored as the
//! `qa` product bit for bit.
//!
//! Bits 0 to 7 keep the meaning and position they have in Landsat Collection 2 QA_PIXEL (USGS LSDS-1619), so existing
//! readers work unchanged; of them only bit 0 is set so far. Where bit 0 is set no other bit is.

use crate::simd::vectorized;

/// No measurement in any band.
pub const NODATA: u16 = 1 << 0;
/// At least one band reached the ceiling of its digitisation, or was interpolated from such a sample.
pub const SATURATED: u16 = 1 << 8;
/// At least one band is invalid while another is valid.
pub const PARTIAL: u16 = 1 << 9;
/// At least one product value was clipped to fit its stored type.
pub const CLIPPED: u16 = 1 << 10;
/// Interpolated next to invalid samples: weights renormalised over the valid ones.
pub const EDGE: u16 = 1 << 11;
/// Terrain stands between the ground and the sensor: the value is that of the terrain in front.
pub const OCCLUDED: u16 = 1 << 12;

/// Makes samples that are no measurement invalid (NaN): those equal to `fill`, and those that are not finite.
///
/// # Invalid pixels
/// NaN stays NaN; a NaN `fill` marks none.
pub fn fill_to_nan(samples: &mut [f32], fill: f32) {
    vectorized(
        #[inline(always)]
        || {
            for v in &mut *samples {
                *v = if *v == fill || !v.is_finite() { f32::NAN } else { *v };
            }
        },
    );
}

/// Finds out the states of pixels whose samples stand side by side, (pixel, band), and makes samples that are no
/// measurement NaN: those equal to `fill`, and those that are not finite. [`SATURATED`] where a sample is at or above
/// `ceiling`, [`NODATA`] (and nothing else) where no band is valid, [`PARTIAL`] where only some are.
///
/// # Invalid pixels
/// NaN stays NaN; a NaN `fill` marks none, nor does a NaN `ceiling`.
pub fn mark_pixels(samples: &mut [f32], bands: usize, fill: f32, ceiling: f32, state: &mut [u16]) {
    #[inline(always)]
    fn mark<const B: usize>(samples: &mut [f32], fill: f32, ceiling: f32, state: &mut [u16]) {
        for (pixel, s) in samples.chunks_exact_mut(B).zip(state) {
            let (mut invalid, mut saturated) = (0, 0);
            for v in pixel {
                let (kept, is_invalid, is_saturated) = measured(*v, fill, ceiling);
                (invalid, saturated) = (invalid + is_invalid, saturated | is_saturated);
                *v = kept;
            }
            *s = state_of(invalid, saturated, B as u16);
        }
    }
    assert_eq!(samples.len(), bands * state.len(), "whole pixels");
    vectorized(
        #[inline(always)]
        || match bands {
            1 => mark::<1>(samples, fill, ceiling, state),
            3 => mark::<3>(samples, fill, ceiling, state),
            4 => mark::<4>(samples, fill, ceiling, state),
            _ => {
                for (pixel, s) in samples.chunks_exact_mut(bands.max(1)).zip(&mut *state) {
                    let (mut invalid, mut saturated) = (0, 0);
                    for v in pixel {
                        let mut one = [0];
                        mark::<1>(std::slice::from_mut(v), fill, ceiling, &mut one);
                        invalid += one[0] & NODATA;
                        saturated |= u16::from(one[0] & SATURATED != 0);
                    }
                    *s = state_of(invalid, saturated, bands as u16);
                }
            }
        },
    );
}

/// A sample, NaN if it is no measurement; 1 if it is none; 1 if it is one at or above `ceiling`.
#[inline(always)]
pub(crate) fn measured(v: f32, fill: f32, ceiling: f32) -> (f32, u16, u16) {
    let is_invalid = (v == fill) | !v.is_finite();
    // Fill first: a fill value above the ceiling is no saturated measurement.
    let is_saturated = (v >= ceiling) & !is_invalid;
    (if is_invalid { f32::NAN } else { v }, u16::from(is_invalid), u16::from(is_saturated))
}

/// The state of a pixel of so many bands, so many of them invalid, and of some (1) or none (0) saturated.
#[inline(always)]
pub(crate) fn state_of(invalid: u16, saturated: u16, bands: u16) -> u16 {
    let defects = saturated * SATURATED + u16::from(invalid > 0) * PARTIAL;
    if invalid == bands { NODATA } else { defects }
}

/// Sets [`OCCLUDED`] where terrain stands more than `tolerance` metres above the line of sight.
///
/// # Invalid pixels
/// [`NODATA`] stays alone; a NaN `excess` sets nothing.
pub fn mark_occluded(excess: &[f64], tolerance: f64, state: &mut [u16]) {
    for (s, e) in state.iter_mut().zip(excess) {
        *s |= if *e > tolerance && *s & NODATA == 0 { OCCLUDED } else { 0 };
    }
}

/// Sets [`NODATA`] where all of the band planes are NaN (clearing every other bit there) and [`PARTIAL`] where only some
/// are. `planes` holds the bands one after another, each as long as `state`.
pub fn mark_invalid(planes: &[f32], state: &mut [u16]) {
    /// Pixels whose invalid bands are counted before their states are set.
    const PIECE: usize = 1024;
    let pixels = state.len();
    if pixels == 0 {
        return;
    }
    assert_eq!(planes.len() % pixels, 0, "whole planes");
    let bands = (planes.len() / pixels) as u16;
    let mut invalid = [0u16; PIECE];
    vectorized(
        #[inline(always)]
        || {
            for (piece, states) in state.chunks_mut(PIECE).enumerate() {
                let invalid = &mut invalid[..states.len()];
                invalid.fill(0);
                for plane in planes.chunks_exact(pixels) {
                    for (n, v) in invalid.iter_mut().zip(&plane[piece * PIECE..]) {
                        *n += u16::from(v.is_nan());
                    }
                }
                for (s, n) in states.iter_mut().zip(&*invalid) {
                    let partial = *s | if *n > 0 { PARTIAL } else { 0 };
                    *s = if *n == bands { NODATA } else { partial };
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodata_needs_every_band_and_silences_other_bits() {
        let mut planes = [0.0, 0.0, 5.0, 4095.0, 0.0, 7.0, 6.0, 8.0];
        let mut state = [SATURATED, 0, 0, SATURATED];
        fill_to_nan(&mut planes, 0.0);
        mark_invalid(&planes, &mut state);
        assert_eq!(state, [NODATA, PARTIAL, 0, SATURATED]);
        let mut odd = [f32::INFINITY, f32::NEG_INFINITY, 65535.0, 1.0];
        fill_to_nan(&mut odd, 65535.0);
        assert!(odd[..3].iter().all(|v| v.is_nan()) && odd[3] == 1.0);
    }

    #[test]
    fn what_is_hidden_is_marked_unless_there_is_no_measurement() {
        let mut state = [0, SATURATED, NODATA, 0, 0];
        mark_occluded(&[1.5, 30.0, 30.0, 1.0, f64::NAN], 1.0, &mut state);
        assert_eq!(state, [OCCLUDED, SATURATED | OCCLUDED, NODATA, 0, 0]);
    }

    #[test]
    fn pixels_side_by_side_have_the_states_of_planes() {
        let value = |i: usize| match (i * 7919) % 11 {
            0..=2 => 0.0,
            3 => f32::NAN,
            4 => f32::INFINITY,
            5 => 4095.0,
            v => v as f32,
        };
        for bands in [1, 2, 3, 4, 5] {
            for (fill, ceiling) in [(0.0, 4095.0), (f32::NAN, 4095.0), (4095.0, 6.0), (0.0, f32::NAN)] {
                let pixels = 97;
                let mut planes: Vec<f32> = (0..bands * pixels).map(value).collect();
                let mut together: Vec<f32> =
                    (0..pixels).flat_map(|p| (0..bands).map(move |b| value(b * pixels + p))).collect();
                let (mut expected, mut found) = (vec![0; pixels], vec![9; pixels]);
                for plane in planes.chunks_exact_mut(pixels) {
                    fill_to_nan(plane, fill);
                    let saturated = plane.iter().map(|v| if *v >= ceiling { SATURATED } else { 0 });
                    expected.iter_mut().zip(saturated).for_each(|(s, bit)| *s |= bit);
                }
                mark_invalid(&planes, &mut expected);
                mark_pixels(&mut together, bands, fill, ceiling, &mut found);
                assert_eq!(found, expected, "{bands} {fill} {ceiling}");
                for p in 0..pixels {
                    for b in 0..bands {
                        assert_eq!(together[p * bands + b].is_nan(), planes[b * pixels + p].is_nan());
                    }
                }
            }
        }
    }
}
