//! Between the four nearest pixels.

use super::{NONE, PIECE, Places, Row, Source, Span, Taps, find_neighbours, put_apart, renormalise};
use crate::simd::vectorized;

pub(super) fn row(src: Source<'_>, places: Places<'_>, taps: &mut Taps, out: &mut Row<'_>) {
    vectorized(
        #[inline(always)]
        || {
            find_neighbours::<2>(src, places, taps, out.state);
            match src.bands {
                1 => interpolate::<1>(src, taps, out),
                3 => interpolate::<3>(src, taps, out),
                4 => interpolate::<4>(src, taps, out),
                bands => (0..bands).for_each(|b| interpolate_band(src, taps, out, b)),
            }
        },
    );
    for i in taps.hard.iter().map(|i| *i as usize) {
        let (col, row) = (places.col[i], places.row[i]);
        let (c0, r0) = (col.floor(), row.floor());
        let (fx, fy) = (col - c0, row - r0);
        let rows = Span { first: r0 as i64, weights: &[1.0 - fy, fy] };
        let cols = Span { first: c0 as i64, weights: &[1.0 - fx, fx] };
        renormalise(src, rows, cols, 0.5, i, out);
    }
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
        put_apart(&together, start, end, out);
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
