//! Terrain height at a point: bilinear between the centres of the DEM's pixels.

use pulp::Arch;

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
    let at = |r: usize, c: usize| f64::from(surface.heights[r * surface.cols + c]);
    // Compiled per level so that rounding is an instruction and no call.
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((o, c), r) in out.iter_mut().zip(col).zip(row) {
                let (c0, r0) = (c.floor(), r.floor());
                let inside =
                    c0 >= 0.0 && r0 >= 0.0 && *c <= (surface.cols - 1) as f64 && *r <= (surface.rows - 1) as f64;
                *o = if inside {
                    let (fc, fr) = (c - c0, r - r0);
                    let (c0, r0) = (c0 as usize, r0 as usize);
                    // On the last row or column the second neighbour has weight 0: take the first instead of reading outside.
                    let (c1, r1) = (c0 + usize::from(fc > 0.0), r0 + usize::from(fr > 0.0));
                    let upper = at(r0, c0) + (at(r0, c1) - at(r0, c0)) * fc;
                    let lower = at(r1, c0) + (at(r1, c1) - at(r1, c0)) * fc;
                    upper + (lower - upper) * fr
                } else {
                    f64::NAN
                };
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
