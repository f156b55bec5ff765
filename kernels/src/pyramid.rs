//! Halving of stored values for overviews. Each output pixel stands for the up to four input pixels at twice its position;
//! at an odd edge it stands for two or one, so no edge pixel is lost (sizes are halved with ceil).

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

macro_rules! average_integer {
    ($name:ident, $t:ty) => {
        /// Average of the valid samples, rounded half to even.
        ///
        /// # Invalid pixels
        /// Samples equal to `nodata` do not count; without a valid sample the result is `nodata`.
        pub fn $name(src: &[$t], shape: Shape, nodata: $t, dst: &mut [$t]) {
            #[inline(always)]
            fn rounded(sum: i32, count: i32) -> i32 {
                // Dividing 2·sum by 2·count: ties are exact, so half-to-even needs no floating point.
                let (quotient, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
                quotient + i32::from(2 * rest > count || (2 * rest == count && quotient & 1 == 1))
            }
            halve(src, shape, dst, |a, b, c, d| {
                let (mut sum, mut count) = (0i32, 0i32);
                for v in [Some(a), b, c, d] {
                    let v = v.unwrap_or(nodata);
                    let valid = v != nodata;
                    sum += if valid { i32::from(v) } else { 0 };
                    count += i32::from(valid);
                }
                match count {
                    0 => nodata,
                    4 => rounded(sum, 4) as $t,
                    _ => rounded(sum, count) as $t,
                }
            });
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

/// Bits: `nodata` only where every pixel has it, any other bit where some pixel has it.
pub fn bits_u16(src: &[u16], shape: Shape, nodata: u16, dst: &mut [u16]) {
    halve(src, shape, dst, |a, b, c, d| {
        let (mut any, mut all) = (0u16, nodata);
        for v in [Some(a), b, c, d].into_iter().flatten() {
            any |= v;
            all &= v;
        }
        if all == nodata { nodata } else { any & !nodata }
    });
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
