//! Spectral indices on reflectance.

use pulp::Arch;

/// Writes `(a − b) / (a + b)`.
///
/// # Invalid pixels
/// NaN in either input, or a sum of 0, gives NaN.
///
/// # Reference
/// Rouse et al. 1974 (NDVI) and every other normalised difference of the awesome-spectral-indices catalogue.
pub fn normalized_difference(a: &[f32], b: &[f32], out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len(), "one output per pair");
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                let sum = a + b;
                let value = (a - b) / sum;
                *o = if sum == 0.0 { f32::NAN } else { value };
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_f64_and_handles_invalid() {
        let a: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * 0.3 + 0.4).collect();
        let b: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.11).cos() * 0.2 + 0.25).collect();
        let mut out = vec![0.0; 1000];
        normalized_difference(&a, &b, &mut out);
        for i in 0..1000 {
            let (x, y) = (f64::from(a[i]), f64::from(b[i]));
            assert!((f64::from(out[i]) - (x - y) / (x + y)).abs() < 3e-7);
        }
        normalized_difference(&[0.0, f32::NAN, 0.2], &[0.0, 0.1, -0.2], &mut out[..3]);
        assert!(out[..3].iter().all(|v| v.is_nan()), "{:?}", &out[..3]);
    }
}
