//! Kernels with negative weights, separable: cubic convolution and Lanczos.

use std::f64::consts::FRAC_PI_3;

use super::{HALF, NONE, PIECE, Places, Row, Source, Span, Taps, find_neighbours, put_apart, renormalise};
use crate::simd::vectorized;

/// Half of √3: the sine of π/3.
const SIN_60: f64 = 0.866_025_403_784_438_6;

/// Cubic convolution.
pub(super) fn cubic_row(src: Source<'_>, places: Places<'_>, taps: &mut Taps, out: &mut Row<'_>) {
    vectorized(
        #[inline(always)]
        || {
            find_neighbours::<4>(src, places, taps, out.state);
            find_weights(places, taps, cubic);
            match src.bands {
                1 => convolve::<4, 1, 4>(src, taps, out),
                3 => convolve::<4, 3, 12>(src, taps, out),
                4 => convolve::<4, 4, 16>(src, taps, out),
                bands => (0..bands).for_each(|b| convolve_band::<4>(src, taps, out, b)),
            }
        },
    );
    hard_pixels(src, places, taps, cubic, out);
}

/// Lanczos, a = 3.
pub(super) fn lanczos_row(src: Source<'_>, places: Places<'_>, taps: &mut Taps, out: &mut Row<'_>) {
    vectorized(
        #[inline(always)]
        || {
            find_neighbours::<6>(src, places, taps, out.state);
            find_weights(places, taps, lanczos);
            match src.bands {
                1 => convolve::<6, 1, 6>(src, taps, out),
                3 => convolve::<6, 3, 18>(src, taps, out),
                4 => convolve::<6, 4, 24>(src, taps, out),
                bands => (0..bands).for_each(|b| convolve_band::<6>(src, taps, out, b)),
            }
        },
    );
    hard_pixels(src, places, taps, lanczos, out);
}

/// Weights of the pixels at −1, 0, 1 and 2 for a position `f` between 0 and 1 (Keys 1981, equation 15, with a = −1/2).
#[inline(always)]
fn cubic(f: f64) -> [f64; 4] {
    [
        ((-0.5 * f + 1.0) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1.0,
        ((-1.5 * f + 2.0) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    ]
}

/// Weights of the pixels from −2 to 3 for a position `f` between 0 and 1: sinc(x) sinc(x/3), divided by their sum.
///
/// Of a distance x = f − k the first sine is ± sin πf, the same for all, and falls out with the sum; the second follows from
/// sine and cosine of θ = πf/3. Written for f ≤ ½ and mirrored, and multiplied by f, so that nothing is divided by 0.
#[inline(always)]
fn lanczos(f: f64) -> [f64; 6] {
    let mirrored = f > 0.5;
    let g = if mirrored { 1.0 - f } else { f };
    let t = FRAC_PI_3 * g;
    let t2 = t * t;
    // Taylor's series; for θ ≤ π/6 what follows is below 1e-13.
    let sinc = 1.0 - t2 / 6.0 * (1.0 - t2 / 20.0 * (1.0 - t2 / 42.0 * (1.0 - t2 / 72.0 * (1.0 - t2 / 110.0))));
    let cos = 1.0
        - t2 / 2.0 * (1.0 - t2 / 12.0 * (1.0 - t2 / 30.0 * (1.0 - t2 / 56.0 * (1.0 - t2 / 90.0 * (1.0 - t2 / 132.0)))));
    let (near, far) = (0.5 * t * sinc, SIN_60 * cos);
    let over = |sine: f64, x: f64| g * sine / (x * x);
    let q = [
        over(far - near, g + 2.0),
        over(-near - far, g + 1.0),
        FRAC_PI_3 * sinc,
        over(far - near, g - 1.0),
        over(-near - far, g - 2.0),
        over(t * sinc, g - 3.0),
    ];
    let per_sum = 1.0 / (q[0] + q[1] + q[2] + q[3] + q[4] + q[5]);
    let w = q.map(|v| v * per_sum);
    if mirrored { [w[5], w[4], w[3], w[2], w[1], w[0]] } else { w }
}

/// Weights of the columns and rows of all pixels.
#[inline(always)]
fn find_weights<const N: usize>(places: Places<'_>, taps: &mut Taps, weights: impl Fn(f64) -> [f64; N] + Copy) {
    for (to, positions) in [(&mut taps.wx, places.col), (&mut taps.wy, places.row)] {
        to.resize(N * positions.len(), 0.0);
        for (w, p) in to.chunks_exact_mut(N).zip(positions) {
            let all = weights(p - p.floor());
            for k in 0..N {
                w[k] = all[k] as f32;
            }
        }
    }
}

/// All `B` bands of a row; `M` is `N` times `B`. The `N` rows are added up first, for all columns and bands at once, as they
/// stand side by side; then the `N` columns.
#[inline(always)]
fn convolve<const N: usize, const B: usize, const M: usize>(src: Source<'_>, taps: &Taps, out: &mut Row<'_>) {
    const { assert!(M == N * B, "the samples of N pixels") };
    let n = taps.base.len();
    let stride = src.cols * B;
    let ((all_wx, _), (all_wy, _)) = (taps.wx.as_chunks::<N>(), taps.wy.as_chunks::<N>());
    let mut together = [[f32::NAN; B]; PIECE];
    for start in (0..n).step_by(PIECE) {
        let end = (start + PIECE).min(n);
        let weights = all_wx[start..end].iter().zip(&all_wy[start..end]);
        for (values, (base, (wx, wy))) in together.iter_mut().zip(taps.base[start..end].iter().zip(weights)) {
            *values = [f32::NAN; B];
            if *base != NONE {
                let p = *base as usize * B;
                let mut column = [0f32; M];
                let line = &src.samples[p..p + M];
                for k in 0..M {
                    column[k] = line[k] * wy[0];
                }
                for (r, w) in wy.iter().enumerate().skip(1) {
                    let line = &src.samples[p + r * stride..p + r * stride + M];
                    for k in 0..M {
                        column[k] += line[k] * w;
                    }
                }
                for k in 0..B {
                    let mut sum = column[k] * wx[0];
                    for c in 1..N {
                        sum += column[c * B + k] * wx[c];
                    }
                    values[k] = sum;
                }
            }
        }
        put_apart(&together, start, end, out);
    }
}

/// One band of a row, for numbers of bands that are not compiled on their own; in the order of [`convolve`].
#[inline(always)]
fn convolve_band<const N: usize>(src: Source<'_>, taps: &Taps, out: &mut Row<'_>, b: usize) {
    let start = b * out.plane_len + out.offset;
    let target = &mut out.planes[start..start + taps.base.len()];
    let weights = taps.wx.chunks_exact(N).zip(taps.wy.chunks_exact(N));
    for ((o, base), (wx, wy)) in target.iter_mut().zip(&taps.base).zip(weights) {
        *o = f32::NAN;
        if *base != NONE {
            let at = |r: usize, c: usize| src.samples[(*base as usize + r * src.cols + c) * src.bands + b];
            let column = |c: usize| (1..N).fold(at(0, c) * wy[0], |sum, r| sum + at(r, c) * wy[r]);
            *o = (1..N).fold(column(0) * wx[0], |sum, c| sum + column(c) * wx[c]);
        }
    }
}

/// Pixels with neighbours that are outside or invalid.
fn hard_pixels<const N: usize>(
    src: Source<'_>,
    places: Places<'_>,
    taps: &Taps,
    weights: impl Fn(f64) -> [f64; N],
    out: &mut Row<'_>,
) {
    let first = |whole: f64| whole as i64 - (N / 2 - 1) as i64;
    for i in taps.hard.iter().map(|i| *i as usize) {
        let (col, row) = (places.col[i], places.row[i]);
        let (c0, r0) = (col.floor(), row.floor());
        let rows = Span { first: first(r0), weights: &weights(row - r0) };
        let cols = Span { first: first(c0), weights: &weights(col - c0) };
        renormalise(src, rows, cols, HALF, i, out);
    }
}
