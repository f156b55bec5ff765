//! Halving of stored values for overviews. Each output pixel stands for the up to four input pixels at twice its position;
//! at an odd edge it stands for two or one, so no edge pixel is lost (sizes are halved with ceil).

use crate::simd::vectorized;

/// A plane of pixels in which samples of one band stand `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows of the input.
    pub rows: usize,
    /// Columns of the input.
    pub cols: usize,
    /// Samples per pixel (pixel-interleaved).
    pub stride: usize,
}

impl Shape {
    /// Shape of the halved plane.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { rows: self.rows.div_ceil(2), cols: self.cols.div_ceil(2), stride: self.stride }
    }

    /// Number of samples.
    pub fn samples(self) -> usize {
        self.rows * self.cols * self.stride
    }
}

/// Calls `fold` with the up to four samples (absent ones as `None`) under each output sample.
#[inline(always)]
fn halve<T: Copy>(src: &[T], shape: Shape, dst: &mut [T], fold: impl Fn(T, Option<T>, Option<T>, Option<T>) -> T) {
    let half = shape.halved();
    assert!(src.len() == shape.samples() && dst.len() == half.samples(), "sizes agree");
    let (line, stride) = (shape.cols * shape.stride, shape.stride);
    for (r, out) in dst.chunks_exact_mut((half.cols * stride).max(1)).enumerate() {
        let upper = &src[2 * r * line..(2 * r + 1) * line];
        let lower = (2 * r + 1 < shape.rows).then(|| &src[(2 * r + 1) * line..(2 * r + 2) * line]);
        let whole = shape.cols / 2;
        match lower {
            Some(lower) => {
                for c in 0..whole {
                    for b in 0..stride {
                        let (i, j) = (2 * c * stride + b, (2 * c + 1) * stride + b);
                        out[c * stride + b] = fold(upper[i], Some(upper[j]), Some(lower[i]), Some(lower[j]));
                    }
                }
            }
            None => {
                for c in 0..whole {
                    for b in 0..stride {
                        let (i, j) = (2 * c * stride + b, (2 * c + 1) * stride + b);
                        out[c * stride + b] = fold(upper[i], Some(upper[j]), None, None);
                    }
                }
            }
        }
        if whole < half.cols {
            for b in 0..stride {
                let i = 2 * whole * stride + b;
                out[whole * stride + b] = fold(upper[i], None, lower.map(|l| l[i]), None);
            }
        }
    }
}

/// Samples of a piece of a row: sums and counts of one fit into the first-level cache.
const PIECE: usize = 768;

/// The quotient of `sum` by `count` (0 to 4), rounded half to even, without a division of integers.
#[inline(always)]
fn rounded(sum: i32, count: i32) -> i32 {
    // Adding one to odd quotients before the last bits are cut off sends ties to the even neighbour.
    let four = (sum + 1 + ((sum >> 2) & 1)) >> 2;
    let two = (sum + ((sum >> 1) & 1)) >> 1;
    // Thirds have no ties; a sum of three samples of 16 bits is exact in `f32`, and no quotient is near the next integer.
    let three = ((sum + 1) as f32 / 3.0).floor() as i32;
    match count {
        4 => four,
        3 => three,
        2 => two,
        _ => sum,
    }
}

macro_rules! average_integer {
    ($name:ident, $t:ty) => {
        /// Average of the valid samples, rounded half to even.
        ///
        /// # Invalid pixels
        /// Samples equal to `nodata` do not count; without a valid sample the result is `nodata`.
        pub fn $name(src: &[$t], shape: Shape, nodata: $t, dst: &mut [$t]) {
            /// Sums and counts of the valid samples of two rows, sample by sample.
            #[inline(always)]
            fn columns(upper: &[$t], lower: Option<&[$t]>, nodata: $t, sums: &mut [i32], counts: &mut [i32]) {
                for ((s, c), u) in sums.iter_mut().zip(counts.iter_mut()).zip(upper) {
                    let valid = *u != nodata;
                    (*s, *c) = (if valid { i32::from(*u) } else { 0 }, i32::from(valid));
                }
                for ((s, c), l) in sums.iter_mut().zip(counts.iter_mut()).zip(lower.unwrap_or_default()) {
                    let valid = *l != nodata;
                    *s += if valid { i32::from(*l) } else { 0 };
                    *c += i32::from(valid);
                }
            }
            /// Pixels of `stride` samples above two rows of valid ones.
            #[inline(always)]
            fn fours(upper: &[$t], lower: &[$t], stride: usize, sums: &mut [i32], out: &mut [$t]) {
                for ((s, u), l) in sums.iter_mut().zip(upper).zip(lower) {
                    *s = i32::from(*u) + i32::from(*l);
                }
                for (o, s) in out.chunks_exact_mut(stride).zip(sums.chunks_exact(2 * stride)) {
                    for b in 0..stride {
                        o[b] = rounded(s[b] + s[stride + b], 4) as $t;
                    }
                }
            }
            /// Pixels of `stride` samples above pairs of sums.
            #[inline(always)]
            fn pairs(sums: &[i32], counts: &[i32], stride: usize, nodata: $t, out: &mut [$t]) {
                let (sums, counts) = (sums.chunks_exact(2 * stride), counts.chunks_exact(2 * stride));
                for ((o, s), c) in out.chunks_exact_mut(stride).zip(sums).zip(counts) {
                    for b in 0..stride {
                        let count = c[b] + c[stride + b];
                        let mean = rounded(s[b] + s[stride + b], count) as $t;
                        o[b] = if count == 0 { nodata } else { mean };
                    }
                }
            }
            let half = shape.halved();
            assert!(src.len() == shape.samples() && dst.len() == half.samples(), "sizes agree");
            let (line, stride) = (shape.cols * shape.stride, shape.stride);
            if src.is_empty() {
                return;
            }
            // Whole pairs of pixels to a piece, and at least one.
            let piece = (PIECE / (2 * stride)).max(1) * 2 * stride;
            let (mut sums, mut counts) = (vec![0; piece], vec![0; piece]);
            vectorized(
                #[inline(always)]
                || {
                    for (rows, out) in src.chunks(2 * line).zip(dst.chunks_exact_mut(half.cols * stride)) {
                        let (upper, lower) = rows.split_at(line);
                        for start in (0..line).step_by(piece) {
                            let end = (start + piece).min(line);
                            let inside = end - start;
                            let n = inside.div_ceil(2 * stride) * 2 * stride;
                            let out = &mut out[start / 2..start / 2 + n / 2];
                            let upper = &upper[start..end];
                            let lower = (!lower.is_empty()).then(|| &lower[start..end]);
                            // Most pieces have no gap. A stride that is known when this is compiled makes vectors of it.
                            let gapless = lower.filter(|lower| {
                                n == inside
                                    && upper
                                        .iter()
                                        .zip(*lower)
                                        .fold(true, |all, (u, l)| all & (*u != nodata) & (*l != nodata))
                            });
                            if let Some(lower) = gapless {
                                let sums = &mut sums[..n];
                                match stride {
                                    1 => fours(upper, lower, 1, sums, out),
                                    3 => fours(upper, lower, 3, sums, out),
                                    4 => fours(upper, lower, 4, sums, out),
                                    _ => fours(upper, lower, stride, sums, out),
                                }
                                continue;
                            }
                            // Beyond an odd edge there is nothing to count.
                            counts[..n].fill(0);
                            sums[..n].fill(0);
                            columns(upper, lower, nodata, &mut sums[..inside], &mut counts[..inside]);
                            let (sums, counts) = (&sums[..n], &counts[..n]);
                            match stride {
                                1 => pairs(sums, counts, 1, nodata, out),
                                3 => pairs(sums, counts, 3, nodata, out),
                                4 => pairs(sums, counts, 4, nodata, out),
                                _ => pairs(sums, counts, stride, nodata, out),
                            }
                        }
                    }
                },
            );
        }
    };
}

average_integer!(average_i16, i16);
average_integer!(average_u16, u16);
average_integer!(average_u8, u8);

/// Average of the valid samples.
///
/// # Invalid pixels
/// NaN samples do not count; without a valid sample the result is NaN.
pub fn average_f32(src: &[f32], shape: Shape, dst: &mut [f32]) {
    halve(src, shape, dst, |a, b, c, d| {
        let (mut sum, mut count) = (0.0f64, 0u32);
        for v in [Some(a), b, c, d].into_iter().flatten() {
            if !v.is_nan() {
                sum += f64::from(v);
                count += 1;
            }
        }
        if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
    });
}

/// The bits of a pixel above four.
#[inline(always)]
fn bits(under: [u16; 4], nodata: u16) -> u16 {
    let any = under.into_iter().fold(0, |x, y| x | y);
    let all = under.into_iter().fold(nodata, |x, y| x & y);
    if all == nodata { nodata } else { any & !nodata }
}

/// Bits: `nodata` only where every pixel has it, any other bit where some pixel has it.
pub fn bits_u16(src: &[u16], shape: Shape, nodata: u16, dst: &mut [u16]) {
    #[inline(always)]
    fn pairs(upper: &[u16], lower: &[u16], stride: usize, nodata: u16, out: &mut [u16]) {
        let under = upper.chunks_exact(2 * stride).zip(lower.chunks_exact(2 * stride));
        for (o, (u, l)) in out.chunks_exact_mut(stride).zip(under) {
            for b in 0..stride {
                o[b] = bits([u[b], u[stride + b], l[b], l[stride + b]], nodata);
            }
        }
    }
    let half = shape.halved();
    assert!(src.len() == shape.samples() && dst.len() == half.samples(), "sizes agree");
    let (line, stride) = (shape.cols * shape.stride, shape.stride);
    if src.is_empty() {
        return;
    }
    vectorized(
        #[inline(always)]
        || {
            for (rows, out) in src.chunks(2 * line).zip(dst.chunks_exact_mut(half.cols * stride)) {
                // Bits that are counted twice are the same bits: beyond an odd edge stands the last pixel again.
                let (upper, lower) = rows.split_at(line);
                let lower = if lower.is_empty() { upper } else { lower };
                match stride {
                    1 => pairs(upper, lower, 1, nodata, out),
                    _ => pairs(upper, lower, stride, nodata, out),
                }
                if shape.cols % 2 == 1 {
                    let last = line - stride..line;
                    let under = upper[last.clone()].iter().zip(&lower[last]);
                    for (o, (u, l)) in out[(half.cols - 1) * stride..].iter_mut().zip(under) {
                        *o = bits([*u, *u, *l, *l], nodata);
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_edges_keep_their_pixels() {
        let src: [i16; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 100];
        let shape = Shape { rows: 3, cols: 3, stride: 1 };
        let mut dst = [0i16; 4];
        average_i16(&src, shape, -32768, &mut dst);
        // (1+2+4+5)/4 = 3, (3+6)/2 = 4.5 → 4, (7+8)/2 = 7.5 → 8, 100
        assert_eq!(dst, [3, 4, 8, 100]);
    }

    #[test]
    fn nodata_does_not_count_and_ties_go_to_even_below_zero_too() {
        let n = -32768;
        let shape = Shape { rows: 2, cols: 2, stride: 1 };
        for (src, want) in [
            ([n, n, n, n], n),
            ([n, 7, n, n], 7),
            ([-1, -2, n, n], -2),
            ([-3, -4, n, n], -4),
            ([-1, -1, -1, -2], -1),
            ([32767, 32767, 32767, 32767], 32767),
            ([-32767, -32767, -32767, -32767], -32767),
        ] {
            let mut dst = [0i16];
            average_i16(&src, shape, n, &mut dst);
            assert_eq!(dst[0], want, "{src:?}");
        }
    }

    #[test]
    fn quotients_are_those_of_exact_arithmetic() {
        for count in 1..=4 {
            let sums = (-131_072..=131_072).step_by(if count == 4 { 1 } else { 7 }).chain(-300..300);
            for sum in sums.filter(|s: &i32| s.abs() <= count * 32_768) {
                let exact = (f64::from(sum) / f64::from(count)).round_ties_even();
                assert_eq!(f64::from(rounded(sum, count)), exact, "{sum} / {count}");
            }
        }
    }

    /// The plain definition, sample by sample.
    #[test]
    fn every_size_and_number_of_bands_is_the_plain_average() {
        let n = -32_768i16;
        for (rows, cols, stride) in
            [(1, 1, 1), (2, 3, 1), (5, 1, 4), (7, 401, 4), (4, 1537, 1), (3, 514, 3), (6, 130, 2), (2, 90, 11)]
        {
            let shape = Shape { rows, cols, stride };
            let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 13;
            // With gaps everywhere, without any, and with one at the end.
            for gap in
                [&|i: usize| hash(i) % 5 < 2, &|_| false, &|i| i + 1 == shape.samples()] as [&dyn Fn(usize) -> bool; 3]
            {
                let value = |i: usize| (hash(i + 9) as i16).max(n + 1);
                let src: Vec<i16> = (0..shape.samples()).map(|i| if gap(i) { n } else { value(i) }).collect();
                let half = shape.halved();
                let mut dst = vec![0i16; half.samples()];
                average_i16(&src, shape, n, &mut dst);
                for (i, found) in dst.iter().enumerate() {
                    let (r, c, b) = (i / stride / half.cols, i / stride % half.cols, i % stride);
                    let under = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| (2 * r + y, 2 * c + x));
                    let inside = under.into_iter().filter(|(r, c)| *r < rows && *c < cols);
                    let sample = |(r, c)| src[(r * cols + c) * stride + b];
                    let valid: Vec<f64> = inside.map(sample).filter(|v| *v != n).map(f64::from).collect();
                    let mean = (valid.iter().sum::<f64>() / valid.len() as f64).round_ties_even();
                    assert_eq!(*found, if valid.is_empty() { n } else { mean as i16 }, "{shape:?} {i}");
                }
            }
        }
    }

    #[test]
    fn every_size_and_number_of_bands_keeps_bits() {
        for (rows, cols, stride) in [(1, 1, 1), (2, 3, 1), (5, 1, 2), (7, 401, 1), (4, 130, 1), (3, 51, 3)] {
            let shape = Shape { rows, cols, stride };
            let src: Vec<u16> = (0..shape.samples()).map(|i| [1, 1, 0x100, 0, 0x200][i * 7919 % 5]).collect();
            let half = shape.halved();
            let mut dst = vec![9u16; half.samples()];
            bits_u16(&src, shape, 1, &mut dst);
            for (i, found) in dst.iter().enumerate() {
                let (r, c, b) = (i / stride / half.cols, i / stride % half.cols, i % stride);
                let under = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| (2 * r + y, 2 * c + x));
                let inside = under.into_iter().filter(|(r, c)| *r < rows && *c < cols);
                let states: Vec<u16> = inside.map(|(r, c)| src[(r * cols + c) * stride + b]).collect();
                let any = states.iter().fold(0, |x, y| x | y);
                assert_eq!(*found, if states.iter().all(|s| s & 1 == 1) { 1 } else { any & !1 }, "{shape:?} {i}");
            }
        }
    }

    #[test]
    fn bands_do_not_mix() {
        let shape = Shape { rows: 2, cols: 2, stride: 2 };
        let mut dst = [0u16; 2];
        average_u16(&[10, 100, 20, 200, 30, 300, 40, 400], shape, 65535, &mut dst);
        assert_eq!(dst, [25, 250]);
    }

    #[test]
    fn floats_skip_nan() {
        let shape = Shape { rows: 2, cols: 2, stride: 1 };
        let mut dst = [0f32];
        average_f32(&[f32::NAN, 1.0, 2.0, f32::NAN], shape, &mut dst);
        assert_eq!(dst[0], 1.5);
        average_f32(&[f32::NAN; 4], shape, &mut dst);
        assert!(dst[0].is_nan());
    }

    #[test]
    fn nodata_bit_is_and_defects_are_or() {
        let shape = Shape { rows: 2, cols: 2, stride: 1 };
        let mut dst = [0u16];
        bits_u16(&[1, 1, 1, 0x100], shape, 1, &mut dst);
        assert_eq!(dst[0], 0x100);
        bits_u16(&[1, 1, 1, 1], shape, 1, &mut dst);
        assert_eq!(dst[0], 1);
        bits_u16(&[0x200, 0x100, 0, 0], shape, 1, &mut dst);
        assert_eq!(dst[0], 0x300);
    }
}
