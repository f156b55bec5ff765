//! Rows of samples to the bytes a codec is fed: TIFF's predictors.
//!
//! Every row is continued to the edge of the tile with a fill value.

use fieldglow_kernels::simd::vectorized;

use super::codec::Sample;

/// Predictor 1: as they are.
pub(super) fn put_plain<T: Sample>(row: &[T], fill: T, to: &mut [u8]) {
    let (inside, beyond) = to.split_at_mut(size_of_val(row));
    for (value, bytes) in row.iter().zip(inside.chunks_exact_mut(size_of::<T>())) {
        bytes.copy_from_slice(value.to_le().as_ref());
    }
    for bytes in beyond.chunks_exact_mut(size_of::<T>()) {
        bytes.copy_from_slice(fill.to_le().as_ref());
    }
}

/// Predictor 2: the first pixel as it is, then differences between samples of the same band.
pub(super) fn put_differences<T: Sample>(row: &[T], fill: T, bands: usize, to: &mut [u8]) {
    let size = size_of::<T>();
    let (inside, beyond) = to.split_at_mut(size_of_val(row));
    let Some(last) = row.len().checked_sub(bands) else {
        // A row of nothing but fill.
        let (first, rest) = beyond.split_at_mut(bands * size);
        put_plain(&[], fill, first);
        rest.fill(0);
        return;
    };
    let (first, rest) = inside.split_at_mut(bands * size);
    put_plain(&row[..bands], fill, first);
    vectorized(
        #[inline(always)]
        || {
            for ((value, left), bytes) in row[bands..].iter().zip(row).zip(rest.chunks_exact_mut(size)) {
                bytes.copy_from_slice(value.wrapping_difference(*left).to_le().as_ref());
            }
        },
    );
    if !beyond.is_empty() {
        let (edge, rest) = beyond.split_at_mut(bands * size);
        for (left, bytes) in row[last..].iter().zip(edge.chunks_exact_mut(size)) {
            bytes.copy_from_slice(fill.wrapping_difference(*left).to_le().as_ref());
        }
        rest.fill(0);
    }
}

/// Predictor 3: all most significant bytes of the row, then all second ones, and so on; then byte differences over the
/// whole row, at the distance of the number of bands.
///
/// # Reference
/// TIFF Technical Note 3, "Floating point predictor"; the distance over plane borders is libtiff's `fpDiff`.
pub(super) fn put_planes<T: Sample>(row: &[T], fill: T, bands: usize, planes: &mut Vec<u8>, to: &mut [u8]) {
    planes.resize(to.len(), 0);
    let samples = to.len() / size_of::<T>();
    for (significance, plane) in planes.chunks_exact_mut(samples).enumerate() {
        let byte = size_of::<T>() - 1 - significance;
        let (inside, beyond) = plane.split_at_mut(row.len());
        for (value, to) in row.iter().zip(inside) {
            *to = value.to_le().as_ref()[byte];
        }
        beyond.fill(fill.to_le().as_ref()[byte]);
    }
    to[..bands].copy_from_slice(&planes[..bands]);
    vectorized(
        #[inline(always)]
        || {
            for ((value, left), to) in planes[bands..].iter().zip(&*planes).zip(&mut to[bands..]) {
                *to = value.wrapping_sub(*left);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn undo_differences(bytes: &[u8], bands: usize) -> Vec<u16> {
        let mut row: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        for i in bands..row.len() {
            row[i] = row[i].wrapping_add(row[i - bands]);
        }
        row
    }

    /// libtiff's `fpAcc`.
    fn undo_planes(bytes: &[u8], bands: usize) -> Vec<f32> {
        let mut b = bytes.to_vec();
        for i in bands..b.len() {
            b[i] = b[i].wrapping_add(b[i - bands]);
        }
        let n = b.len() / 4;
        (0..n).map(|i| f32::from_be_bytes([b[i], b[n + i], b[2 * n + i], b[3 * n + i]])).collect()
    }

    proptest! {
        #[test]
        fn predictors_invert_and_continue_with_the_fill_value(
            pixels in prop::collection::vec(any::<[u32; 4]>(), 0..40),
            bands in 1usize..=4,
            beyond in 0usize..4,
            fill in any::<u32>(),
        ) {
            let beyond = beyond.max(usize::from(pixels.is_empty()));
            let row: Vec<u16> = pixels.iter().flat_map(|p| p.iter().take(bands).map(|v| *v as u16)).collect();
            let mut whole = row.clone();
            whole.resize(row.len() + beyond * bands, fill as u16);
            let mut bytes = vec![9; whole.len() * 2];
            put_differences(&row, fill as u16, bands, &mut bytes);
            prop_assert_eq!(undo_differences(&bytes, bands), &whole[..]);
            put_plain(&row, fill as u16, &mut bytes);
            prop_assert_eq!(bytes, whole.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());

            let row: Vec<f32> = pixels.iter().flat_map(|p| p.iter().take(bands).map(|v| f32::from_bits(*v))).collect();
            let mut whole = row.clone();
            whole.resize(row.len() + beyond * bands, f32::from_bits(fill));
            let mut bytes = vec![9; whole.len() * 4];
            put_planes(&row, f32::from_bits(fill), bands, &mut Vec::new(), &mut bytes);
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&undo_planes(&bytes, bands)), bits(&whole));
        }
    }
}
