//! From planes to stored numbers.

use crate::simd::vectorized;

use crate::linear::Linear;
use crate::state::CLIPPED;

/// Samples of a piece.
const PIECE: usize = 256;

/// How stored values and physical values belong together: `physical = stored · scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Physical value of one stored step.
    pub step: f64,
    /// Lowest stored value that may be used for valid pixels.
    pub min: i32,
    /// Highest stored value that may be used for valid pixels.
    pub max: i32,
    /// Stored value of invalid pixels, outside `min..=max`.
    pub nodata: i32,
}

/// Added to a number, it rounds it and leaves the integer in the last bits of the sum: 1.5 · 2⁵².
const LAST_BITS: f64 = 6_755_399_441_055_744.0;

/// A [`Scale`], ready to be computed with.
#[derive(Debug, Clone, Copy)]
pub struct Rounding {
    per_step: f64,
    /// Stored values, as [`Self::round`] gives them.
    lowest: f64,
    highest: f64,
    nodata: i16,
}

impl Rounding {
    /// # Panics
    /// If a stored value is no 16-bit integer, or nodata is a valid one.
    pub const fn new(scale: Scale) -> Self {
        let Scale { step, min, max, nodata } = scale;
        assert!(nodata < min || nodata > max, "nodata is no valid value");
        let low = if nodata < min { nodata } else { min };
        let high = if nodata > max { nodata } else { max };
        assert!(low >= i16::MIN as i32 && high <= i16::MAX as i32, "steps fit");
        let (lowest, highest) = (min as f64 + LAST_BITS, max as f64 + LAST_BITS);
        Self { per_step: 1.0 / step, lowest, highest, nodata: nodata as i16 }
    }

    /// A value in steps, rounded; the integer stands in the last bits.
    #[inline(always)]
    pub(crate) fn round(self, value: f64) -> f64 {
        value * self.per_step + LAST_BITS
    }

    /// Writes rounded values down, as [`quantize_i16`] says.
    #[inline(always)]
    pub(crate) fn put(self, rounded: &[f64], out: &mut [i16], states: &mut [u16]) -> u64 {
        let Self { lowest, highest, nodata, .. } = self;
        // False for NaN.
        if rounded.iter().fold(true, |all, s| all & (*s >= lowest) & (*s <= highest)) {
            for (o, s) in out.iter_mut().zip(rounded) {
                *o = s.to_bits() as i16;
            }
            return 0;
        }
        let mut count = 0;
        for ((o, state), s) in out.iter_mut().zip(states).zip(rounded) {
            let stored = s.clamp(lowest, highest);
            let clipped = s.is_finite() & (stored != *s);
            *o = if s.is_finite() { stored.to_bits() as i16 } else { nodata };
            *state |= if clipped { CLIPPED } else { 0 };
            count += u64::from(clipped);
        }
        count
    }
}

/// Rounds the value of each sample (`linear` of it, in `f64`) to the nearest stored step, half to even. Returns how many
/// valid values had to be clipped to fit; those get [`CLIPPED`] in `states`.
///
/// # Invalid pixels
/// What is not finite gives nodata; no valid value ever does.
pub fn quantize_i16<S>(samples: &[S], linear: Linear, rounding: Rounding, out: &mut [i16], states: &mut [u16]) -> u64
where
    S: Copy + Into<f64>,
{
    assert!(samples.len() == out.len() && samples.len() == states.len(), "one output per sample");
    let mut count = 0;
    vectorized(
        #[inline(always)]
        || {
            // One thing at a time over a piece in the first-level cache, so that each loop is of one width.
            let mut rounded = [0.0f64; PIECE];
            let pieces = out.chunks_mut(PIECE).zip(states.chunks_mut(PIECE)).zip(samples.chunks(PIECE));
            for ((out, states), samples) in pieces {
                let rounded = &mut rounded[..samples.len()];
                for (s, v) in rounded.iter_mut().zip(samples) {
                    *s = rounding.round(linear.apply((*v).into()));
                }
                count += rounding.put(rounded, out, states);
            }
        },
    );
    count
}

/// Samples for display: `low` and all below become 1, `high` and all above 255, and what is between follows the power
/// `gamma` of its share of the range.
///
/// # Invalid pixels
/// NaN gives 0; no valid value ever does. A range without width shows everything at its lower end as 1, the rest as 255.
pub fn display(samples: &[f32], linear: Linear, (low, high): (f64, f64), gamma: f64, out: &mut [u8]) {
    assert!(samples.len() == out.len(), "one output per sample");
    let width = (high - low).max(f64::MIN_POSITIVE);
    for (o, v) in out.iter_mut().zip(samples) {
        let share = ((linear.apply(f64::from(*v)) - low) / width).clamp(0.0, 1.0);
        *o = if share.is_nan() { 0 } else { (1.0 + 254.0 * share.powf(gamma)).round_ties_even() as u8 };
    }
}

/// A value as `f32`; NaN if that is not finite.
#[inline(always)]
pub(crate) fn single(value: f64) -> f32 {
    let value = value as f32;
    if value.is_finite() { value } else { f32::NAN }
}

/// The values of samples as `f32`, rounded once.
///
/// # Invalid pixels
/// NaN stays NaN; a value too large for `f32` becomes NaN, as no reader takes infinity for a measurement.
pub fn float<S: Copy + Into<f64>>(samples: &[S], linear: Linear, out: &mut [f32]) {
    assert!(samples.len() == out.len(), "one output per sample");
    vectorized(
        #[inline(always)]
        || {
            for (o, v) in out.iter_mut().zip(samples) {
                *o = single(linear.apply((*v).into()));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { step: 1e-4, min: -32767, max: 32767, nodata: -32768 };
    const REFLECTANCE: Rounding = Rounding::new(SCALE);

    #[test]
    fn rounds_half_to_even_clips_and_keeps_nodata_apart() {
        let samples = [0.0, 0.123_46, f32::NAN, 5.0, -5.0, f32::INFINITY, f32::NEG_INFINITY, -3.2768, 3.2767];
        let mut out = [0i16; 9];
        let mut states = [1u16; 9];
        let n = quantize_i16(&samples, Linear::IDENTITY, REFLECTANCE, &mut out, &mut states);
        assert_eq!(out, [0, 1235, -32768, 32767, -32767, -32768, -32768, -32767, 32767]);
        assert_eq!(states.map(|s| s & !CLIPPED), [1; 9]);
        assert_eq!(states.map(|s| s & CLIPPED > 0), [false, false, false, true, true, false, false, true, false]);
        assert_eq!(n, 3);
        let halves = Rounding::new(Scale { step: 0.5, ..SCALE });
        let mut out = [0i16; 4];
        quantize_i16(&[0.25f32, 0.75, 1.25, -0.75], Linear::IDENTITY, halves, &mut out, &mut [0; 4]);
        assert_eq!(out, [0, 2, 2, -2]);
    }

    #[test]
    fn display_keeps_zero_for_what_is_invalid() {
        let samples = [f32::NAN, -5.0, 0.0, 0.25, 1.0, 7.0, f32::INFINITY];
        let mut out = [9u8; 7];
        display(&samples, Linear::IDENTITY, (0.0, 1.0), 1.0, &mut out);
        assert_eq!(out, [0, 1, 1, 64, 255, 255, 255]);
        display(&samples, Linear::IDENTITY, (0.0, 1.0), 0.5, &mut out);
        assert_eq!(out, [0, 1, 1, 128, 255, 255, 255]);
        display(&samples, Linear { gain: 2.0, bias: 1.0 }, (1.0, 1.0), 1.0, &mut out);
        assert_eq!(out, [0, 1, 1, 255, 255, 255, 255]);
    }

    #[test]
    fn every_stored_value_survives_a_round_trip() {
        for stored in -32767..=32767i32 {
            let physical = (f64::from(stored) * 1e-4) as f32;
            let mut out = [0i16];
            quantize_i16(&[physical], Linear::IDENTITY, REFLECTANCE, &mut out, &mut [0]);
            assert_eq!(i32::from(out[0]), stored);
        }
    }

    #[test]
    fn the_value_is_rounded_once() {
        let linear = Linear { gain: 2.345_678_9e-5, bias: -0.012_345 };
        for n in [0, 1, 3, 4, 7, 8, 9, 31, 257, 65_536] {
            let dn: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let (mut stored, mut clipped, mut floats) = (vec![0i16; n], vec![0; n], vec![0.0; n]);
            quantize_i16(&dn, linear, REFLECTANCE, &mut stored, &mut clipped);
            float(&dn, linear, &mut floats);
            for ((dn, s), f) in dn.iter().zip(stored).zip(floats) {
                let exact = 2.345_678_9e-5 * f64::from(*dn) - 0.012_345;
                assert_eq!(f64::from(s), (exact * 1e4).round_ties_even(), "{dn}");
                assert_eq!(f, exact as f32, "{dn}");
            }
        }
        let mut out = [0.0; 2];
        float(&[f32::NAN, 1e30], Linear { gain: 1e30, bias: 0.0 }, &mut out);
        assert!(out.iter().all(|v| v.is_nan()));
    }
}
