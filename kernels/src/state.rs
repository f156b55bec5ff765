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

/// Sets [`SATURATED`] where a sample is at or above `ceiling`.
pub fn mark_saturated(samples: &[f32], ceiling: f32, state: &mut [u16]) {
    assert_eq!(samples.len(), state.len(), "one state per sample");
    vectorized(
        #[inline(always)]
        || {
            for (s, v) in state.iter_mut().zip(samples) {
                *s |= if *v >= ceiling { SATURATED } else { 0 };
            }
        },
    );
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
        let mut state = [0u16; 4];
        fill_to_nan(&mut planes, 0.0);
        mark_saturated(&planes[..4], 4095.0, &mut state);
        mark_invalid(&planes, &mut state);
        assert_eq!(state, [NODATA, PARTIAL, 0, SATURATED]);
        let mut odd = [f32::INFINITY, f32::NEG_INFINITY, 65535.0, 1.0];
        fill_to_nan(&mut odd, 65535.0);
        assert!(odd[..3].iter().all(|v| v.is_nan()) && odd[3] == 1.0);
    }
}
