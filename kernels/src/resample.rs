//! Resampling of a source window at arbitrary positions.
//!
//! One rule for invalid neighbours: weights are renormalised over the valid ones, and the result is valid where these
//! carry at least half of the weight. So outlines neither grow nor shrink by more than half a pixel, nothing invalid ever
//! leaks into a value, and such pixels carry the [`EDGE`] bit.

use crate::state::{EDGE, NODATA, PARTIAL};

/// A window of source pixels: planes one after another, each `rows × cols`.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Band planes; NaN = invalid.
    pub planes: &'a [f32],
    /// One state per pixel.
    pub state: &'a [u16],
    /// Rows of the window.
    pub rows: usize,
    /// Columns of the window.
    pub cols: usize,
}

/// Where one row of results goes: planes `plane_len` apart, the row's first pixel at `offset` in each.
pub struct Row<'a> {
    /// All band planes.
    pub planes: &'a mut [f32],
    /// Samples per plane.
    pub plane_len: usize,
    /// First pixel of the row within a plane.
    pub offset: usize,
    /// States of the row.
    pub state: &'a mut [u16],
}

/// Scratch of one row, reused from row to row.
#[derive(Debug, Default)]
pub struct Taps {
    base: Vec<u32>,
    fx: Vec<f32>,
    fy: Vec<f32>,
    /// Pixels whose four neighbours are not all inside and valid.
    hard: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Taps {
    /// Room for rows of `cols` pixels.
    pub fn with_capacity(cols: usize) -> Self {
        Self {
            base: Vec::with_capacity(cols),
            fx: Vec::with_capacity(cols),
            fy: Vec::with_capacity(cols),
            hard: Vec::with_capacity(cols),
        }
    }
}

/// Writes one row of bilinearly interpolated pixels at source positions (`col`, `row`), (0, 0) being the **centre** of the
/// window's first pixel.
///
/// # Invalid pixels
/// See the module's rule; a NaN position gives no data.
pub fn bilinear(src: Source<'_>, col: &[f64], row: &[f64], taps: &mut Taps, out: &mut Row<'_>) {
    let n = col.len();
    let pixels = src.rows * src.cols;
    assert!(row.len() == n && out.state.len() == n, "one result per position");
    // A source without pixels has any number of bands: those of the output.
    let bands = src.planes.len().checked_div(pixels).unwrap_or(out.planes.len() / out.plane_len.max(1));
    assert!(src.state.len() == pixels && src.planes.len() == bands * pixels, "whole planes");
    assert_eq!(out.planes.len(), bands * out.plane_len, "a plane per band");
    taps.base.clear();
    taps.fx.clear();
    taps.fy.clear();
    taps.hard.clear();
    // Positions first, for all bands at once: the four neighbours and their states are looked up once per pixel.
    for (i, (c, r)) in col.iter().zip(row).enumerate() {
        let (c0, r0) = (c.floor(), r.floor());
        let whole = c0 >= 0.0 && r0 >= 0.0 && c0 < src.cols as f64 - 1.0 && r0 < src.rows as f64 - 1.0;
        let mut base = NONE;
        let (fx, fy) = ((c - c0) as f32, (r - r0) as f32);
        out.state[i] = NODATA;
        if whole {
            let p = r0 as usize * src.cols + c0 as usize;
            let q = p + src.cols;
            let s = [src.state[p], src.state[p + 1], src.state[q], src.state[q + 1]];
            if (s[0] | s[1] | s[2] | s[3]) & (NODATA | PARTIAL) == 0 {
                // A neighbour without weight says nothing about the pixel.
                let right = if fx > 0.0 { u16::MAX } else { 0 };
                let below = if fy > 0.0 { u16::MAX } else { 0 };
                out.state[i] = s[0] | (s[1] & right) | (s[2] & below) | (s[3] & right & below);
                base = p as u32;
            } else if s.iter().any(|s| s & NODATA == 0) {
                taps.hard.push(i as u32);
            }
        } else if c0 >= -1.0 && r0 >= -1.0 && c0 < src.cols as f64 && r0 < src.rows as f64 {
            taps.hard.push(i as u32);
        }
        taps.base.push(base);
        taps.fx.push(fx);
        taps.fy.push(fy);
    }
    for b in 0..bands {
        let plane = &src.planes[b * pixels..(b + 1) * pixels];
        let start = b * out.plane_len + out.offset;
        let target = &mut out.planes[start..start + n];
        for (((o, base), fx), fy) in target.iter_mut().zip(&taps.base).zip(&taps.fx).zip(&taps.fy) {
            *o = if *base == NONE {
                f32::NAN
            } else {
                let p = *base as usize;
                let (top, bottom) = (&plane[p..p + 2], &plane[p + src.cols..p + src.cols + 2]);
                let upper = top[0] + (top[1] - top[0]) * fx;
                let lower = bottom[0] + (bottom[1] - bottom[0]) * fx;
                upper + (lower - upper) * fy
            };
        }
    }
    for k in 0..taps.hard.len() {
        let i = taps.hard[k] as usize;
        hard_pixel(src, bands, col[i], row[i], i, out);
    }
}

/// One pixel with neighbours that are outside or invalid, band by band.
fn hard_pixel(src: Source<'_>, bands: usize, col: f64, row: f64, i: usize, out: &mut Row<'_>) {
    let pixels = src.rows * src.cols;
    let (c0, r0) = (col.floor(), row.floor());
    let (fx, fy) = (col - c0, row - r0);
    let mut state = 0u16;
    let mut valid_bands = 0;
    for b in 0..bands {
        let plane = &src.planes[b * pixels..(b + 1) * pixels];
        let (mut sum, mut weight) = (0.0f64, 0.0f64);
        let mut missing = false;
        for (dr, wy) in [(0i64, 1.0 - fy), (1, fy)] {
            for (dc, wx) in [(0i64, 1.0 - fx), (1, fx)] {
                let w = wx * wy;
                let (r, c) = (r0 as i64 + dr, c0 as i64 + dc);
                if w <= 0.0 {
                    continue;
                }
                if r < 0 || c < 0 || r >= src.rows as i64 || c >= src.cols as i64 {
                    missing = true;
                    continue;
                }
                let p = r as usize * src.cols + c as usize;
                if plane[p].is_nan() {
                    missing = true;
                } else {
                    sum += w * f64::from(plane[p]);
                    weight += w;
                    state |= src.state[p] & !(NODATA | PARTIAL);
                }
            }
        }
        let valid = weight >= 0.5;
        valid_bands += usize::from(valid);
        // A band without a value is no interpolated one.
        state |= if valid && missing { EDGE } else { 0 };
        out.planes[b * out.plane_len + out.offset + i] = if valid { (sum / weight) as f32 } else { f32::NAN };
    }
    out.state[i] = match valid_bands {
        0 => NODATA,
        v if v < bands => state | PARTIAL,
        _ => state,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SATURATED;

    fn run(planes: &[f32], state: &[u16], rows: usize, cols: usize, at: &[(f64, f64)]) -> (Vec<f32>, Vec<u16>) {
        let bands = planes.len() / (rows * cols);
        let (col, row): (Vec<f64>, Vec<f64>) = at.iter().copied().unzip();
        let mut values = vec![0.0; bands * at.len()];
        let mut out_state = vec![0; at.len()];
        let mut out = Row { planes: &mut values, plane_len: at.len(), offset: 0, state: &mut out_state };
        bilinear(Source { planes, state, rows, cols }, &col, &row, &mut Taps::default(), &mut out);
        (values, out_state)
    }

    #[test]
    fn interpolates_planes_exactly_and_samples_centres_unchanged() {
        let planes: Vec<f32> = (0..20).map(|i| (10 * (i / 5) + i % 5) as f32).collect();
        let (v, s) = run(&planes, &[0; 20], 4, 5, &[(1.25, 2.5), (3.0, 2.0), (4.0, 3.0), (0.0, 0.0)]);
        assert_eq!(v, [26.25, 23.0, 34.0, 0.0]);
        assert_eq!(s, [0, 0, 0, 0]);
    }

    #[test]
    fn half_the_weight_decides_and_nothing_invalid_leaks() {
        let planes = [1.0, f32::NAN, 1.0, f32::NAN];
        let state = [0, NODATA, 0, NODATA];
        let (v, s) = run(&planes, &state, 2, 2, &[(0.5, 0.5), (0.51, 0.5), (-0.4, 0.0), (-0.6, 0.0), (9.0, 0.0)]);
        assert_eq!((v[0], s[0]), (1.0, EDGE));
        assert!(v[1].is_nan() && s[1] == NODATA);
        assert_eq!((v[2], s[2]), (1.0, EDGE));
        assert!(v[3].is_nan() && v[4].is_nan() && s[4] == NODATA);
    }

    #[test]
    fn one_invalid_band_is_partial_and_saturation_spreads_only_with_weight() {
        let planes = [1.0, 1.0, 1.0, 1.0, f32::NAN, f32::NAN, f32::NAN, 5.0];
        let state = [PARTIAL, PARTIAL | SATURATED, PARTIAL, 0];
        let (v, s) = run(&planes, &state, 2, 2, &[(0.0, 0.0), (0.5, 0.0), (0.9, 0.9)]);
        assert_eq!(&v[..3], &[1.0, 1.0, 1.0]);
        assert_eq!(s[0], PARTIAL, "the valid band is not interpolated next to the invalid one");
        assert_eq!(s[1], SATURATED | PARTIAL);
        assert_eq!(v[3 + 2], 5.0);
        assert_eq!(s[2] & (PARTIAL | EDGE), EDGE);
        let (_, s) = run(&[1.0; 4], &[0, SATURATED, 0, 0], 2, 2, &[(0.0, 0.5), (0.5, 0.5)]);
        assert_eq!(s, [0, SATURATED]);
    }

    #[test]
    fn an_empty_source_gives_no_data() {
        let mut values = [0.0; 2];
        let mut state = [0; 2];
        let mut out = Row { planes: &mut values, plane_len: 2, offset: 0, state: &mut state };
        let src = Source { planes: &[], state: &[], rows: 0, cols: 0 };
        bilinear(src, &[0.0, 1.0], &[0.0, 1.0], &mut Taps::default(), &mut out);
        assert!(values.iter().all(|v| v.is_nan()));
        assert_eq!(state, [NODATA; 2]);
    }
}
