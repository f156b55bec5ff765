//! The mean over the footprint of an output pixel.
//!
//! The footprint is a box along the axes of the source, around the position, as wide and as high as the output pixel is in
//! source pixels. Sums are kept in `f64`: footprints may hold many pixels.

use super::{HALF, Places, Row, Source, Span, Taps, is_near, renormalise};
use crate::simd::vectorized;
use crate::state::{NODATA, PARTIAL};

/// Width of a footprint in source pixels: at least one.
pub(super) fn size(size: f64) -> f64 {
    if size > 1.0 && size.is_finite() { size } else { 1.0 }
}

pub(super) fn row(src: Source<'_>, places: Places<'_>, taps: &mut Taps, out: &mut Row<'_>) {
    let Taps { x, y, .. } = taps;
    vectorized(
        #[inline(always)]
        || {
            for i in 0..places.col.len() {
                pixel(src, places, i, (x, y), out);
            }
        },
    );
}

#[inline(always)]
fn pixel(src: Source<'_>, places: Places<'_>, i: usize, (x, y): (&mut Vec<f64>, &mut Vec<f64>), out: &mut Row<'_>) {
    let (col, row) = (places.col[i], places.row[i]);
    out.state[i] = NODATA;
    (0..src.bands).for_each(|b| out.planes[b * out.plane_len + out.offset + i] = f32::NAN);
    if !is_near(src, col, row) {
        return;
    }
    let first_col = overlaps(col, size(places.width[i]), src.cols, x);
    let first_row = overlaps(row, size(places.height[i]), src.rows, y);
    let inside = |first: i64, len: usize, n: usize| first >= 0 && first as usize + len <= n;
    let whole = inside(first_col, x.len(), src.cols) && inside(first_row, y.len(), src.rows);
    let base = if whole { first_row as usize * src.cols + first_col as usize } else { 0 };
    let bits = if src.clean || !whole { 0 } else { states(src, base, x.len(), y.len()) };
    if whole && bits & (NODATA | PARTIAL) == 0 {
        out.state[i] = bits;
        match src.bands {
            3 => mean::<3>(src, base, 0, (x, y), i, out),
            4 => mean::<4>(src, base, 0, (x, y), i, out),
            bands => (0..bands).for_each(|b| mean::<1>(src, base, b, (x, y), i, out)),
        }
    } else {
        let rows = Span { first: first_row, weights: y };
        let cols = Span { first: first_col, weights: x };
        renormalise(src, rows, cols, HALF, i, out);
    }
}

/// Writes the shares of a footprint `size` wide around `centre` that lie on pixels 0 to `n`; returns the first of these
/// pixels. What lies outside counts as one pixel before, and one behind.
#[inline(always)]
fn overlaps(centre: f64, size: f64, n: usize, shares: &mut Vec<f64>) -> i64 {
    let (left, right) = (centre - size / 2.0, centre + size / 2.0);
    let (first, last) = ((left + 0.5).floor().max(-1.0), (right - 0.5).ceil().min(n as f64));
    let per_size = 1.0 / size;
    shares.clear();
    let mut pixel = first;
    while pixel <= last {
        let from = if pixel < 0.0 { left } else { left.max(pixel - 0.5) };
        let to = if pixel >= n as f64 { right } else { right.min(pixel + 0.5) };
        shares.push((to - from) * per_size);
        pixel += 1.0;
    }
    first as i64
}

/// The bits of all pixels of a footprint.
#[inline(always)]
fn states(src: Source<'_>, base: usize, cols: usize, rows: usize) -> u16 {
    let lines = (0..rows).map(|r| &src.state[base + r * src.cols..][..cols]);
    lines.flatten().fold(0, |a, s| a | s)
}

/// The mean of valid pixels, bands `first..first + B`.
#[inline(always)]
fn mean<const B: usize>(
    src: Source<'_>,
    base: usize,
    first: usize,
    (x, y): (&[f64], &[f64]),
    i: usize,
    out: &mut Row<'_>,
) {
    let mut sum = [0.0; B];
    for (r, wy) in y.iter().enumerate() {
        let start = (base + r * src.cols) * src.bands;
        let line = &src.samples[start..start + x.len() * src.bands];
        let mut of_line = [0.0; B];
        for (pixel, wx) in line.chunks_exact(src.bands).zip(x) {
            let pixel = &pixel[first..first + B];
            for b in 0..B {
                of_line[b] += f64::from(pixel[b]) * wx;
            }
        }
        for b in 0..B {
            sum[b] += of_line[b] * wy;
        }
    }
    for (b, v) in sum.iter().enumerate() {
        out.planes[(first + b) * out.plane_len + out.offset + i] = *v as f32;
    }
}
