//! From `f32` planes to stored integers.

use pulp::Arch;

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

macro_rules! quantize {
    ($name:ident, $t:ty) => {
        /// Rounds each sample to the nearest stored step, half to even, and says in `clipped` (set to 1, else 0) where a
        /// valid value had to be clipped to fit. Returns how many were.
        ///
        /// # Invalid pixels
        /// NaN gives `scale.nodata`; no valid value ever does.
        pub fn $name(samples: &[f32], scale: Scale, out: &mut [$t], clipped: &mut [u8]) -> u64 {
            assert!(samples.len() == out.len() && samples.len() == clipped.len(), "one output per sample");
            assert!(scale.nodata < scale.min || scale.nodata > scale.max, "nodata is no valid value");
            let (min, max) = (f64::from(scale.min), f64::from(scale.max));
            let per_step = 1.0 / scale.step;
            let (nodata, low) = (scale.nodata as $t, scale.min);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for ((o, c), v) in out.iter_mut().zip(clipped.iter_mut()).zip(samples) {
                        let valid = !v.is_nan();
                        let steps = (f64::from(*v) * per_step).round_ties_even();
                        let bounded = steps.max(min).min(max);
                        *c = u8::from(valid & (bounded != steps));
                        let stored = if valid { bounded } else { f64::from(low) };
                        *o = if valid { stored as i32 as $t } else { nodata };
                    }
                },
            );
            clipped.iter().map(|c| u64::from(*c)).sum()
        }
    };
}

quantize!(quantize_i16, i16);
quantize!(quantize_u16, u16);

#[cfg(test)]
mod tests {
    use super::*;

    const REFLECTANCE: Scale = Scale { step: 1e-4, min: -32767, max: 32767, nodata: -32768 };

    #[test]
    fn rounds_half_to_even_clips_and_keeps_nodata_apart() {
        let samples = [0.0, 0.123_45, f32::NAN, 5.0, -5.0, f32::INFINITY, f32::NEG_INFINITY, -3.2768, 3.2767];
        let mut out = [0i16; 9];
        let mut clipped = [9u8; 9];
        let n = quantize_i16(&samples, REFLECTANCE, &mut out, &mut clipped);
        assert_eq!(out, [0, 1235, -32768, 32767, -32767, 32767, -32767, -32767, 32767]);
        assert_eq!(clipped, [0, 0, 0, 1, 1, 1, 1, 1, 0]);
        assert_eq!(n, 5);
        let halves = Scale { step: 0.5, ..REFLECTANCE };
        let mut out = [0i16; 4];
        quantize_i16(&[0.25, 0.75, 1.25, -0.75], halves, &mut out, &mut [0; 4]);
        assert_eq!(out, [0, 2, 2, -2]);
    }

    #[test]
    fn every_stored_value_survives_a_round_trip() {
        for stored in -32767..=32767i32 {
            let physical = (f64::from(stored) * 1e-4) as f32;
            let mut out = [0i16];
            quantize_i16(&[physical], REFLECTANCE, &mut out, &mut [0]);
            assert_eq!(i32::from(out[0]), stored);
        }
    }
}
