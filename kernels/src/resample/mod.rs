//! Resampling of a source window at arbitrary positions.
//!
//! # Invalid pixels
//! One rule for all kernels. Where a neighbour that has weight is outside the window or invalid, weights are renormalised
//! over the valid ones, and the result is valid where these carry at least half of the weight. Such pixels carry the
//! [`EDGE`] bit; nothing invalid ever leaks into a value.
//!
//! Weights count with their sign, also the negative ones of [`Kernel::Cubic`] and [`Kernel::Lanczos`]. Of all weights the
//! sum is one, so dividing by a half or more at most doubles a weight: counted without sign, what is left could add up to
//! nothing. Kernels are symmetric, so at an outline exactly half of the weight lies at either side, and outlines neither grow
//! nor shrink by more than half a pixel. (Where the outline has a corner, the negative weights let it grow by up to 0.03
//! pixel more with `Cubic`, 0.05 with `Lanczos`.)
//!
//! # States
//! A result has the defects ([`SATURATED`](crate::state::SATURATED) and others) of every neighbour that has weight, be it
//! negative: next to a saturated pixel the kernels with negative weights overshoot, and the bit says that they may.

mod average;
mod bilinear;
mod convolution;
mod layout;
#[cfg(test)]
mod tests;

pub use layout::{interleave, take_row};

use crate::state::{EDGE, NODATA, PARTIAL};

/// How a value is made of the source pixels around a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Linear between the 2 × 2 nearest pixels.
    Bilinear,
    /// Cubic convolution of 4 × 4 pixels, a = −1/2 (Keys, IEEE Trans. ASSP 29, 1981): exact for quadratic functions.
    Cubic,
    /// The sinc function under a sinc window of 6 × 6 pixels (a = 3; Duchon, J. Appl. Meteor. 18, 1979), weights divided
    /// by their sum.
    Lanczos,
    /// The mean over the footprint of the output pixel, each pixel weighted by its overlap. Where the footprint is less
    /// than a pixel wide (or high) it counts as one, which is bilinear interpolation.
    Average,
}

impl Kernel {
    /// How many pixels on either side of a position have weight, where the output pixel is `size` source pixels wide: from
    /// `floor(position) + 1 - reach` to `floor(position) + reach`.
    pub fn reach(self, size: f64) -> usize {
        match self {
            Self::Bilinear => 1,
            Self::Cubic => 2,
            Self::Lanczos => 3,
            Self::Average => (average::size(size) / 2.0 + 0.5).ceil() as usize,
        }
    }
}

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

/// Where the output pixels of a row are in a source window, (0, 0) being the **centre** of its first pixel.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Columns of their centres; NaN: nowhere.
    pub col: &'a [f64],
    /// Rows of their centres; NaN: nowhere.
    pub row: &'a [f64],
    /// How many source columns each is wide; for [`Kernel::Average`] alone, else empty.
    pub width: &'a [f64],
    /// How many source rows each is high; for [`Kernel::Average`] alone, else empty.
    pub height: &'a [f64],
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
    /// First neighbour of each pixel, or [`NONE`].
    base: Vec<u32>,
    fx: Vec<f32>,
    fy: Vec<f32>,
    /// Weights of each pixel's columns and rows.
    wx: Vec<f32>,
    wy: Vec<f32>,
    /// Pixels whose neighbours are not all inside and valid.
    hard: Vec<u32>,
    /// Weights of one pixel's columns and rows.
    x: Vec<f64>,
    y: Vec<f64>,
}

const NONE: u32 = u32::MAX;

/// Half of the weight, less what rounding may take from a sum that is half.
const HALF: f64 = 0.5 - 1e-9;

impl Taps {
    /// Room for rows of `cols` pixels.
    pub fn with_capacity(cols: usize) -> Self {
        Self {
            base: Vec::with_capacity(cols),
            fx: Vec::with_capacity(cols),
            fy: Vec::with_capacity(cols),
            hard: Vec::with_capacity(cols),
            ..Self::default()
        }
    }
}

/// Writes one row of resampled pixels, all bands.
///
/// # Invalid pixels
/// See the module's rule; a NaN position gives no data.
pub fn row(kernel: Kernel, src: Source<'_>, places: Places<'_>, taps: &mut Taps, out: &mut Row<'_>) {
    let n = places.col.len();
    let (pixels, bands) = (src.rows * src.cols, src.bands);
    assert!(places.row.len() == n && out.state.len() == n, "one result per position");
    assert!(src.state.len() == pixels && src.samples.len() == bands * pixels, "whole pixels");
    assert_eq!(out.planes.len(), bands * out.plane_len, "a plane per band");
    match kernel {
        Kernel::Bilinear => bilinear::row(src, places, taps, out),
        Kernel::Cubic => convolution::cubic_row(src, places, taps, out),
        Kernel::Lanczos => convolution::lanczos_row(src, places, taps, out),
        Kernel::Average => {
            assert!(places.width.len() == n && places.height.len() == n, "one size per position");
            average::row(src, places, taps, out);
        }
    }
}

/// Positions first, for all bands at once: the `N` × `N` neighbours and their states are looked up once per pixel.
#[inline(always)]
fn find_neighbours<const N: usize>(src: Source<'_>, places: Places<'_>, taps: &mut Taps, state: &mut [u16]) {
    taps.base.clear();
    taps.fx.clear();
    taps.fy.clear();
    taps.hard.clear();
    let n = places.col.len();
    taps.base.resize(n, NONE);
    taps.fx.resize(n, 0.0);
    taps.fy.resize(n, 0.0);
    let (cols, rows) = (src.cols as f64, src.rows as f64);
    let (before, after) = ((N / 2 - 1) as f64, (N / 2) as f64);
    let found = taps.base.iter_mut().zip(&mut taps.fx).zip(&mut taps.fy);
    for (((base, fx), fy), (c, r)) in found.zip(places.col.iter().zip(places.row)) {
        let (c0, r0) = (c.floor(), r.floor());
        let whole = (c0 >= before) & (r0 >= before) & (c0 < cols - after) & (r0 < rows - after);
        (*fx, *fy) = ((c - c0) as f32, (r - r0) as f32);
        *base = if whole { last_bits((r0 - before) * cols + (c0 - before)) } else { NONE };
    }
    for (i, found) in state.iter_mut().enumerate() {
        *found = NODATA;
        let base = taps.base[i];
        if base == NONE {
            if is_near(src, places.col[i], places.row[i]) {
                taps.hard.push(i as u32);
            }
        } else if src.clean {
            *found = 0;
        } else {
            let lines: [[u16; N]; N] = std::array::from_fn(|r| {
                let start = base as usize + r * src.cols;
                let line = &src.state[start..start + N];
                std::array::from_fn(|c| line[c])
            });
            let any = lines.iter().flatten().fold(0, |a, s| a | s);
            if any & (NODATA | PARTIAL) == 0 {
                *found = if any == 0 { 0 } else { weighted(&lines, taps.fx[i] > 0.0, taps.fy[i] > 0.0) };
            } else {
                taps.base[i] = NONE;
                if lines.iter().flatten().any(|s| s & NODATA == 0) {
                    taps.hard.push(i as u32);
                }
            }
        }
    }
}

/// Whether a position is so near to the window that it can have a value.
#[inline(always)]
fn is_near(src: Source<'_>, col: f64, row: f64) -> bool {
    let (c0, r0) = (col.floor(), row.floor());
    c0 >= -1.0 && r0 >= -1.0 && c0 < src.cols as f64 && r0 < src.rows as f64
}

/// The bits of neighbours that have weight: one without says nothing about the pixel. On the centres of a column (or row)
/// of pixels no other column has any.
#[inline(always)]
fn weighted<const N: usize>(lines: &[[u16; N]; N], between_cols: bool, between_rows: bool) -> u16 {
    let at = N / 2 - 1;
    let mut bits = 0;
    for (r, line) in lines.iter().enumerate() {
        for (c, s) in line.iter().enumerate() {
            bits |= if (between_cols || c == at) && (between_rows || r == at) { *s } else { 0 };
        }
    }
    bits
}

/// A whole number of at most 32 bits as an integer, without the care that casts take for others: added to 1.5 · 2⁵², it
/// stands in the last bits of the sum.
#[inline(always)]
pub(crate) fn last_bits(whole: f64) -> u32 {
    (whole + 6_755_399_441_055_744.0).to_bits() as u32
}

/// Neighbouring rows or columns, and their weights.
struct Span<'a> {
    /// The first of them; may be outside the window.
    first: i64,
    /// Weights; their sum is one.
    weights: &'a [f64],
}

/// The module's rule for invalid pixels: pixel `i`, of whose neighbours some are outside or invalid, band by band. It is
/// valid where the weight is at least `enough`.
fn renormalise(src: Source<'_>, rows: Span<'_>, cols: Span<'_>, enough: f64, i: usize, out: &mut Row<'_>) {
    let bands = src.bands;
    let mut state = 0u16;
    let mut valid_bands = 0;
    for b in 0..bands {
        let (mut sum, mut weight) = (0.0f64, 0.0f64);
        let mut missing = false;
        for (r, wy) in (rows.first..).zip(rows.weights) {
            for (c, wx) in (cols.first..).zip(cols.weights) {
                let w = wx * wy;
                if w == 0.0 {
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
        let valid = weight >= enough;
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

/// Pixels of a piece, which are put apart into planes while they are in the first-level cache.
const PIECE: usize = 128;

/// Puts pixels `start..end` of a row apart into planes.
#[inline(always)]
fn put_apart<const B: usize>(together: &[[f32; B]], start: usize, end: usize, out: &mut Row<'_>) {
    for k in 0..B {
        let at = k * out.plane_len + out.offset;
        let target = &mut out.planes[at + start..at + end];
        target.iter_mut().zip(together).for_each(|(t, v)| *t = v[k]);
    }
}
