//! Smooth functions of pixel position, known on a lattice of pixel corners and interpolated bilinearly between.

use crate::simd::vectorized;

/// Writes the values at the centres of pixels `first_col..first_col + out.len()` of one pixel row.
///
/// `upper` and `lower` are the lattice rows above and below the pixel row, nodes `step` pixels apart, the first at column
/// 0; `weight` is how far down between them the pixel centres lie, from 0 to 1.
pub fn interpolate_row(upper: &[f64], lower: &[f64], weight: f64, step: usize, first_col: usize, out: &mut [f64]) {
    assert!(upper.len() == lower.len() && step > 0, "two rows of one lattice");
    let per_step = 1.0 / step as f64;
    let node = |k: usize| upper[k] + (lower[k] - upper[k]) * weight;
    let mut done = 0;
    while done < out.len() {
        let col = first_col + done;
        let k = col / step;
        let start = col - k * step;
        let run = (step - start).min(out.len() - done);
        let (a, b) = (node(k), node(k + 1));
        let slope = (b - a) * per_step;
        vectorized(
            #[inline(always)]
            || {
                for (i, o) in out[done..done + run].iter_mut().enumerate() {
                    *o = a + slope * ((start + i) as f64 + 0.5);
                }
            },
        );
        done += run;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bilinear_functions_are_exact_whatever_the_start() {
        let f = |col: f64, row: f64| 120.0 + 3e-5 * col - 2e-5 * row + 1e-9 * col * row;
        let step = 16;
        let nodes = |row: f64| (0..6).map(|k| f((k * step) as f64, row)).collect::<Vec<_>>();
        let (upper, lower) = (nodes(32.0), nodes(48.0));
        for first in [0, 5, 16, 40] {
            let mut out = vec![0.0; 39];
            interpolate_row(&upper, &lower, (37.5 - 32.0) / 16.0, step, first, &mut out);
            for (i, o) in out.iter().enumerate() {
                assert!((o - f((first + i) as f64 + 0.5, 37.5)).abs() < 1e-12);
            }
        }
    }
}
