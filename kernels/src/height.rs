//! Terrain height at a point: bilinear between the centres of the DEM's pixels.

use crate::simd::vectorized;

use crate::resample::last_bits;

/// Points of a piece.
const PIECE: usize = 256;

/// A window of a DEM, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Surface<'a> {
    /// Heights, metres; NaN where there is none.
    pub heights: &'a [f32],
    /// Rows of the window.
    pub rows: usize,
    /// Columns of the window.
    pub cols: usize,
}

/// Writes the height at each (col, row), in pixels of the window with (0, 0) at the **centre** of its first pixel.
///
/// # Invalid pixels
/// Outside the outermost pixel centres, and where a neighbour that counts has no height, the result is NaN.
pub fn sample(surface: Surface<'_>, col: &[f64], row: &[f64], out: &mut [f64]) {
    assert!(col.len() == out.len() && row.len() == out.len(), "one height per point");
    assert_eq!(surface.heights.len(), surface.rows * surface.cols, "a whole window");
    let (cols, rows) = (surface.cols, surface.rows);
    let (last_col, last_row) = (cols.saturating_sub(1) as f64, rows.saturating_sub(1) as f64);
    vectorized(
        #[inline(always)]
        || {
            // Places first, which is arithmetic of one width, then the four heights around each.
            let (mut base, mut fc, mut fr) = ([0u32; PIECE], [0.0f64; PIECE], [0.0f64; PIECE]);
            for ((out, col), row) in out.chunks_mut(PIECE).zip(col.chunks(PIECE)).zip(row.chunks(PIECE)) {
                for (i, (c, r)) in col.iter().zip(row).enumerate() {
                    let (c0, r0) = (c.floor(), r.floor());
                    (fc[i], fr[i]) = (c - c0, r - r0);
                    let inside = (*c >= 0.0) & (*r >= 0.0) & (*c <= last_col) & (*r <= last_row);
                    base[i] = if inside { last_bits(r0 * cols as f64 + c0) } else { u32::MAX };
                }
                for (i, o) in out.iter_mut().enumerate() {
                    let p = base[i] as usize;
                    // On the last row or column the second neighbour has weight 0: take the first instead of reading outside.
                    let right = usize::from(fc[i] > 0.0);
                    let below = if fr[i] > 0.0 { cols } else { 0 };
                    let at = |k: usize| surface.heights.get(p + k).map_or(f64::NAN, |h| f64::from(*h));
                    *o = if base[i] == u32::MAX {
                        f64::NAN
                    } else {
                        let upper = at(0) + (at(right) - at(0)) * fc[i];
                        let lower = at(below) + (at(below + right) - at(below)) * fc[i];
                        upper + (lower - upper) * fr[i]
                    };
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_exact_and_the_outside_is_invalid() {
        let heights: Vec<f32> = (0..12).map(|i| (100 + 10 * (i / 4) + (i % 4)) as f32).collect();
        let s = Surface { heights: &heights, rows: 3, cols: 4 };
        let mut out = [0.0; 6];
        sample(s, &[0.0, 1.5, 3.0, 3.001, -0.001, 1.0], &[0.0, 0.25, 2.0, 1.0, 1.0, f64::NAN], &mut out);
        assert_eq!(&out[..3], &[100.0, 104.0, 123.0]);
        assert!(out[3..].iter().all(|v| v.is_nan()));
    }

    #[test]
    fn a_void_spoils_only_what_it_touches() {
        let heights = [1.0, f32::NAN, 3.0, 4.0];
        let s = Surface { heights: &heights, rows: 2, cols: 2 };
        let mut out = [0.0; 2];
        sample(s, &[0.0, 0.5], &[0.5, 0.0], &mut out);
        assert_eq!(out[0], 2.0);
        assert!(out[1].is_nan());
    }
}
