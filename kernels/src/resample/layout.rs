//! How samples stand in memory: planes, or side by side.

use crate::simd::vectorized;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_side_by_side_are_the_planes_again() {
        for bands in 1..=6 {
            let pixels = 35;
            let planes: Vec<f32> = (0..bands * pixels).map(|i| (i * 37 % 59) as f32).collect();
            let expected: Vec<f32> = (0..pixels)
                .flat_map(|p| (0..bands).map(move |b| (b, p)))
                .map(|(b, p)| planes[b * pixels + p])
                .collect();
            let mut together = vec![0.0; planes.len()];
            interleave(&planes, bands, &mut together);
            assert_eq!(together, expected);
            for (band, plane) in planes.chunks_exact(pixels).enumerate() {
                let mut taken = vec![0.0; pixels];
                take_band(&together, bands, band, &mut taken);
                assert_eq!(taken, plane);
            }
        }
    }
}
