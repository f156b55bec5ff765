//! Resampling of a source window at arbitrary positions.
//!
//! One rule for invalid neighbours: weights are renormalised over the valid ones, and the result is valid where these
//! carry at least half of the weight. So outlines neither grow nor shrink by more than half a pixel, nothing invalid ever
//! leaks into a value, and such pixels carry the [`EDGE`] bit.

use crate::simd::vectorized;

use crate::state::{EDGE, NODATA, PARTIAL};

/// A window of source pixels, their samples side by side: the bands of a neighbour come with one load.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Samples, (row, col, band); NaN = invalid.
    pub samples: &'a [f32],
    /// Samples per pixel.
    pub bands: usize,
    /// One state per pixel.
    pub state: &'a [u16],
    /// True when no state has any bit: then none is looked up.
    pub clean: bool,
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
    let (pixels, bands) = (src.rows * src.cols, src.bands);
    assert!(row.len() == n && out.state.len() == n, "one result per position");
    assert!(src.state.len() == pixels && src.samples.len() == bands * pixels, "whole pixels");
    assert_eq!(out.planes.len(), bands * out.plane_len, "a plane per band");
    vectorized(
        #[inline(always)]
        || {
            find_neighbours(src, col, row, taps, out.state);
            match bands {
                1 => interpolate::<1>(src, taps, out),
                3 => interpolate::<3>(src, taps, out),
                4 => interpolate::<4>(src, taps, out),
                _ => (0..bands).for_each(|b| interpolate_band(src, taps, out, b)),
            }
        },
    );
    for k in 0..taps.hard.len() {
        let i = taps.hard[k] as usize;
        hard_pixel(src, col[i], row[i], i, out);
    }
}

/// Positions first, for all bands at once: the four neighbours and their states are looked up once per pixel.
#[inline(always)]
fn find_neighbours(src: Source<'_>, col: &[f64], row: &[f64], taps: &mut Taps, state: &mut [u16]) {
    taps.base.clear();
    taps.fx.clear();
    taps.fy.clear();
    taps.hard.clear();
    let n = col.len();
    taps.base.resize(n, NONE);
    taps.fx.resize(n, 0.0);
    taps.fy.resize(n, 0.0);
    let (cols, rows) = (src.cols as f64, src.rows as f64);
    let places = taps.base.iter_mut().zip(&mut taps.fx).zip(&mut taps.fy);
    for (((base, fx), fy), (c, r)) in places.zip(col.iter().zip(row)) {
        let (c0, r0) = (c.floor(), r.floor());
        let whole = (c0 >= 0.0) & (r0 >= 0.0) & (c0 < cols - 1.0) & (r0 < rows - 1.0);
        (*fx, *fy) = ((c - c0) as f32, (r - r0) as f32);
        *base = if whole { last_bits(r0 * cols + c0) } else { NONE };
    }
    for i in 0..n {
        state[i] = NODATA;
        let base = taps.base[i];
        if base == NONE {
            let (c0, r0) = (col[i].floor(), row[i].floor());
            if c0 >= -1.0 && r0 >= -1.0 && c0 < cols && r0 < rows {
                taps.hard.push(i as u32);
            }
        } else if src.clean {
            state[i] = 0;
        } else {
            let p = base as usize;
            let q = p + src.cols;
            let s = [src.state[p], src.state[p + 1], src.state[q], src.state[q + 1]];
            if (s[0] | s[1] | s[2] | s[3]) & (NODATA | PARTIAL) == 0 {
                // A neighbour without weight says nothing about the pixel.
                let right = if taps.fx[i] > 0.0 { u16::MAX } else { 0 };
                let below = if taps.fy[i] > 0.0 { u16::MAX } else { 0 };
                state[i] = s[0] | (s[1] & right) | (s[2] & below) | (s[3] & right & below);
            } else {
                taps.base[i] = NONE;
                if s.iter().any(|s| s & NODATA == 0) {
                    taps.hard.push(i as u32);
                }
            }
        }
    }
}

/// A whole number of at most 32 bits as an integer, without the care that casts take for others: added to 1.5 · 2⁵², it
/// stands in the last bits of the sum.
#[inline(always)]
pub(crate) fn last_bits(whole: f64) -> u32 {
    (whole + 6_755_399_441_055_744.0).to_bits() as u32
}

/// Puts the samples of planes side by side: `out` is (pixel, band).
pub fn interleave<T: Copy>(planes: &[T], bands: usize, out: &mut [T]) {
    assert!(planes.len() == out.len() && bands > 0 && out.len().is_multiple_of(bands), "whole planes");
    let pixels = out.len() / bands;
    vectorized(
        #[inline(always)]
        || match bands {
            1 => out.copy_from_slice(planes),
            3 => {
                let (first, rest) = planes.split_at(pixels);
                let (second, third) = rest.split_at(pixels);
                for (((to, a), b), c) in out.chunks_exact_mut(3).zip(first).zip(second).zip(third) {
                    (to[0], to[1], to[2]) = (*a, *b, *c);
                }
            }
            4 => {
                let (front, back) = planes.split_at(2 * pixels);
                let ((first, second), (third, fourth)) = (front.split_at(pixels), back.split_at(pixels));
                for ((((to, a), b), c), d) in out.chunks_exact_mut(4).zip(first).zip(second).zip(third).zip(fourth) {
                    (to[0], to[1], to[2], to[3]) = (*a, *b, *c, *d);
                }
            }
            _ => {
                for (b, plane) in planes.chunks_exact(pixels.max(1)).enumerate() {
                    out.iter_mut().skip(b).step_by(bands).zip(plane).for_each(|(to, v)| *to = *v);
                }
            }
        },
    );
}

/// Takes one band out of samples that stand side by side.
pub fn take_band(samples: &[f32], bands: usize, band: usize, out: &mut [f32]) {
    assert!(samples.len() == bands * out.len() && band < bands, "whole pixels");
    #[inline(always)]
    fn take<const B: usize>(samples: &[f32], band: usize, out: &mut [f32]) {
        for (o, pixel) in out.iter_mut().zip(samples.chunks_exact(B)) {
            *o = pixel[band];
        }
    }
    vectorized(
        #[inline(always)]
        || match bands {
            1 => out.copy_from_slice(samples),
            3 => take::<3>(samples, band, out),
            4 => take::<4>(samples, band, out),
            _ => out.iter_mut().zip(samples.iter().skip(band).step_by(bands)).for_each(|(o, v)| *o = *v),
        },
    );
}

/// The value between four neighbours.
#[inline(always)]
fn between(top: [f32; 2], bottom: [f32; 2], fx: f32, fy: f32) -> f32 {
    let upper = top[0] + (top[1] - top[0]) * fx;
    let lower = bottom[0] + (bottom[1] - bottom[0]) * fx;
    upper + (lower - upper) * fy
}

/// All `B` bands of a row.
#[inline(always)]
fn interpolate<const B: usize>(src: Source<'_>, taps: &Taps, out: &mut Row<'_>) {
    /// Pixels of a piece, which are put apart into planes while they are in the first-level cache.
    const PIECE: usize = 128;
    let n = taps.base.len();
    let mut together = [[f32::NAN; B]; PIECE];
    for start in (0..n).step_by(PIECE) {
        let end = (start + PIECE).min(n);
        let places = taps.base[start..end].iter().zip(&taps.fx[start..end]).zip(&taps.fy[start..end]);
        for (values, ((base, fx), fy)) in together.iter_mut().zip(places) {
            *values = [f32::NAN; B];
            if *base != NONE {
                let p = *base as usize * B;
                let q = p + src.cols * B;
                let (top, bottom) = (&src.samples[p..p + 2 * B], &src.samples[q..q + 2 * B]);
                let ((a, b), (c, d)) = (top.split_at(B), bottom.split_at(B));
                for k in 0..B {
                    values[k] = between([a[k], b[k]], [c[k], d[k]], *fx, *fy);
                }
            }
        }
        for k in 0..B {
            let at = k * out.plane_len + out.offset;
            let target = &mut out.planes[at + start..at + end];
            target.iter_mut().zip(&together).for_each(|(t, v)| *t = v[k]);
        }
    }
}

/// One band of a row, for numbers of bands that are not compiled on their own.
#[inline(always)]
fn interpolate_band(src: Source<'_>, taps: &Taps, out: &mut Row<'_>, b: usize) {
    let start = b * out.plane_len + out.offset;
    let target = &mut out.planes[start..start + taps.base.len()];
    for (((o, base), fx), fy) in target.iter_mut().zip(&taps.base).zip(&taps.fx).zip(&taps.fy) {
        *o = if *base == NONE {
            f32::NAN
        } else {
            let at = |pixel: usize| src.samples[pixel * src.bands + b];
            let p = *base as usize;
            let q = p + src.cols;
            between([at(p), at(p + 1)], [at(q), at(q + 1)], *fx, *fy)
        };
    }
}

/// One pixel with neighbours that are outside or invalid, band by band.
fn hard_pixel(src: Source<'_>, col: f64, row: f64, i: usize, out: &mut Row<'_>) {
    let bands = src.bands;
    let (c0, r0) = (col.floor(), row.floor());
    let (fx, fy) = (col - c0, row - r0);
    let mut state = 0u16;
    let mut valid_bands = 0;
    for b in 0..bands {
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
                let sample = src.samples[p * bands + b];
                if sample.is_nan() {
                    missing = true;
                } else {
                    sum += w * f64::from(sample);
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
        let pixels = rows * cols;
        let bands = planes.len() / pixels;
        let expected: Vec<f32> = (0..pixels).flat_map(|p| (0..bands).map(move |b| planes[b * pixels + p])).collect();
        let mut samples = vec![0.0; planes.len()];
        interleave(planes, bands, &mut samples);
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same(&samples, &expected));
        for (band, plane) in planes.chunks_exact(pixels).enumerate() {
            let mut taken = vec![0.0; pixels];
            take_band(&samples, bands, band, &mut taken);
            assert!(same(&taken, plane));
        }
        let (col, row): (Vec<f64>, Vec<f64>) = at.iter().copied().unzip();
        let mut values = vec![0.0; bands * at.len()];
        let mut out_state = vec![0; at.len()];
        let mut out = Row { planes: &mut values, plane_len: at.len(), offset: 0, state: &mut out_state };
        let clean = state.iter().all(|s| *s == 0);
        bilinear(
            Source { samples: &samples, bands, state, clean, rows, cols },
            &col,
            &row,
            &mut Taps::default(),
            &mut out,
        );
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
    fn any_number_of_bands_is_the_same_band_by_band() {
        let (rows, cols) = (5, 6);
        let plane = |b: usize| (0..rows * cols).map(move |i| ((i * 37 + b * 101) % 59) as f32 * 1.7);
        let at: Vec<(f64, f64)> = (0..40).map(|k| (f64::from(k) * 0.131, f64::from(k) * 0.097)).collect();
        for bands in 1..=6 {
            let all: Vec<f32> = (0..bands).flat_map(plane).collect();
            let (together, _) = run(&all, &[0; 30], rows, cols, &at);
            for b in 0..bands {
                let (alone, _) = run(&plane(b).collect::<Vec<_>>(), &[0; 30], rows, cols, &at);
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
                assert!(together[b * 40..(b + 1) * 40].iter().zip(&alone).all(same), "band {b} of {bands}");
            }
        }
    }

    #[test]
    fn an_empty_source_gives_no_data() {
        let mut values = [0.0; 2];
        let mut state = [0; 2];
        let mut out = Row { planes: &mut values, plane_len: 2, offset: 0, state: &mut state };
        let src = Source { samples: &[], bands: 1, state: &[], clean: false, rows: 0, cols: 0 };
        bilinear(src, &[0.0, 1.0], &[0.0, 1.0], &mut Taps::default(), &mut out);
        assert!(values.iter().all(|v| v.is_nan()));
        assert_eq!(state, [NODATA; 2]);
    }
}
