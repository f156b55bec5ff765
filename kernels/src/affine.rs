//! Linear scaling: DN to radiance or reflectance.

use pulp::Arch;

/// Replaces each sample by `gain · sample + bias`.
///
/// The product is formed in `f64`, so the only rounding is the one to `f32`: half a unit in the last place, also where
/// gain and bias nearly cancel.
///
/// # Invalid pixels
/// NaN stays NaN.
pub fn affine(samples: &mut [f32], gain: f64, bias: f64) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for v in samples {
                *v = (gain * f64::from(*v) + bias) as f32;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_f64_to_half_an_ulp_at_every_length() {
        for n in [0, 1, 3, 4, 7, 8, 9, 31, 257] {
            let dn: Vec<f32> = (0..n).map(|i| (i * 37 % 4096) as f32).collect();
            let mut out = dn.clone();
            affine(&mut out, 2.345_678e-4, -0.012_345);
            for (o, d) in out.iter().zip(&dn) {
                let exact = 2.345_678e-4 * f64::from(*d) - 0.012_345;
                assert!((f64::from(*o) - exact).abs() <= f64::from(f32::EPSILON) * 0.5 * exact.abs(), "{o} {exact}");
            }
        }
    }

    #[test]
    fn invalid_stays_invalid() {
        let mut v = [f32::NAN, 1.0];
        affine(&mut v, 2.0, 1.0);
        assert!(v[0].is_nan());
        assert_eq!(v[1], 3.0);
    }
}
