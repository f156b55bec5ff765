//! What was done to the samples of a block before it was compressed, undone: byte order and predictors.
//!
//! TIFF 6.0, section 14 (predictor 2), and Technical Note 3 of Adobe Photoshop TIFF (predictor 3). Rows are always those of the
//! whole block, also where it reaches beyond the image.

use super::layout::{Layout, Predictor};

/// Makes samples, low byte first, of the decompressed bytes of a block. `scratch` is for a row.
pub fn undo(layout: &Layout, raw: &mut [u8], scratch: &mut Vec<u8>) {
    let (size, stride) = (layout.sample.bytes(), layout.pixel_samples());
    if layout.predictor == Predictor::Float {
        // Its bytes are sorted by significance in files of both byte orders.
        raw.chunks_exact_mut(layout.row_bytes()).for_each(|row| sum_floats(row, stride, scratch));
        return;
    }
    if layout.is_big_endian {
        swap(raw, size);
    }
    if layout.predictor == Predictor::Horizontal {
        for row in raw.chunks_exact_mut(layout.row_bytes()) {
            match size {
                1 => sum(row, stride, u8::from_le_bytes, u8::wrapping_add, u8::to_le_bytes),
                2 => sum(row, stride, u16::from_le_bytes, u16::wrapping_add, u16::to_le_bytes),
                _ => sum(row, stride, u32::from_le_bytes, u32::wrapping_add, u32::to_le_bytes),
            }
        }
    }
}

/// Turns the bytes of each sample round.
pub fn swap(raw: &mut [u8], size: usize) {
    match size {
        2 => raw.as_chunks_mut::<2>().0.iter_mut().for_each(|b| b.reverse()),
        4 => raw.as_chunks_mut::<4>().0.iter_mut().for_each(|b| b.reverse()),
        _ => {}
    }
}

/// Adds to each sample that of the same band in the pixel at the left.
#[inline(always)]
fn sum<const N: usize, T: Copy + Default>(
    row: &mut [u8],
    stride: usize,
    from: impl Fn([u8; N]) -> T + Copy,
    add: impl Fn(T, T) -> T + Copy,
    to: impl Fn(T) -> [u8; N] + Copy,
) {
    let samples = row.as_chunks_mut::<N>().0;
    match stride {
        1 => sum_pixels::<N, 1, T>(samples, from, add, to),
        2 => sum_pixels::<N, 2, T>(samples, from, add, to),
        3 => sum_pixels::<N, 3, T>(samples, from, add, to),
        4 => sum_pixels::<N, 4, T>(samples, from, add, to),
        _ => {
            for k in stride..samples.len() {
                samples[k] = to(add(from(samples[k - stride]), from(samples[k])));
            }
        }
    }
}

/// The same for a number of bands known beforehand: the sums stay in registers.
#[inline(always)]
fn sum_pixels<const N: usize, const BANDS: usize, T: Copy + Default>(
    samples: &mut [[u8; N]],
    from: impl Fn([u8; N]) -> T,
    add: impl Fn(T, T) -> T,
    to: impl Fn(T) -> [u8; N],
) {
    let mut sums = [T::default(); BANDS];
    for pixel in samples.as_chunks_mut::<BANDS>().0 {
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum = add(*sum, from(*sample));
            *sample = to(*sum);
        }
    }
}

/// A row of floats: first all their highest bytes, then all second ones, and so on; each a difference to the byte `stride`
/// places before.
fn sum_floats(row: &mut [u8], stride: usize, scratch: &mut Vec<u8>) {
    sum(row, stride, u8::from_le_bytes, u8::wrapping_add, u8::to_le_bytes);
    scratch.clear();
    scratch.extend_from_slice(row);
    let count = row.len() / 4;
    let (a, rest) = scratch.split_at(count);
    let (b, rest) = rest.split_at(count);
    let (c, d) = rest.split_at(count);
    for ((((to, a), b), c), d) in row.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *to = [*d, *c, *b, *a];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_bands_is_summed_alike() {
        for stride in 1..7 {
            let mut row: Vec<u8> = (0..stride * 11 * 2).map(|i| (i * 37 % 251) as u8).collect();
            let value = |row: &[u8], k: usize| u16::from_le_bytes([row[2 * k], row[2 * k + 1]]);
            let mut expected: Vec<u16> = (0..stride * 11).map(|k| value(&row, k)).collect();
            for k in stride..expected.len() {
                expected[k] = expected[k].wrapping_add(expected[k - stride]);
            }
            sum(&mut row, stride, u16::from_le_bytes, u16::wrapping_add, u16::to_le_bytes);
            let found: Vec<u16> = (0..stride * 11).map(|k| value(&row, k)).collect();
            assert_eq!(found, expected, "{stride}");
        }
    }
}
