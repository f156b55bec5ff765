//! How samples stand in memory: planes, or side by side.

use super::Row;
use crate::simd::vectorized;
use crate::state::{measured, state_of};

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

/// Takes a row of pixels as they are: samples that stand side by side, (pixel, band), to planes. What is no measurement
/// becomes NaN, and states are found out, as by [`mark_pixels`](crate::state::mark_pixels).
///
/// # Invalid pixels
/// Those of [`mark_pixels`](crate::state::mark_pixels).
pub fn take_row(samples: &[f32], bands: usize, (fill, ceiling): (f32, f32), to: &mut Row<'_>) {
    /// Pixels that stay in the nearest cache until their states are known.
    const PIECE: usize = 512;
    let pixels = to.state.len();
    assert!(bands > 0 && samples.len() == bands * pixels, "whole pixels");
    #[inline(always)]
    fn take<const B: usize>(samples: &[f32], band: usize, out: &mut [f32]) {
        for (o, pixel) in out.iter_mut().zip(samples.chunks_exact(B)) {
            *o = pixel[band];
        }
    }
    let (mut invalid, mut saturated) = ([0u16; PIECE], [0u16; PIECE]);
    vectorized(
        #[inline(always)]
        || {
            for (piece, states) in to.state.chunks_mut(PIECE).enumerate() {
                let first = piece * PIECE;
                let samples = &samples[bands * first..][..bands * states.len()];
                let (invalid, saturated) = (&mut invalid[..states.len()], &mut saturated[..states.len()]);
                invalid.fill(0);
                saturated.fill(0);
                for (band, plane) in to.planes.chunks_mut(to.plane_len).take(bands).enumerate() {
                    let plane = &mut plane[to.offset + first..][..states.len()];
                    match bands {
                        1 => plane.copy_from_slice(samples),
                        3 => take::<3>(samples, band, plane),
                        4 => take::<4>(samples, band, plane),
                        _ => plane.iter_mut().zip(samples.iter().skip(band).step_by(bands)).for_each(|(o, v)| *o = *v),
                    }
                    for ((v, n), s) in plane.iter_mut().zip(&mut *invalid).zip(&mut *saturated) {
                        let (kept, is_invalid, is_saturated) = measured(*v, fill, ceiling);
                        *v = kept;
                        *n += is_invalid;
                        *s |= is_saturated;
                    }
                }
                for ((state, n), s) in states.iter_mut().zip(&*invalid).zip(&*saturated) {
                    *state = state_of(*n, *s, bands as u16);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::mark_pixels;

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
        }
    }

    #[test]
    fn a_row_taken_is_what_was_marked_band_by_band() {
        let value = |i: usize| match (i * 7919) % 11 {
            0..=2 => 0.0,
            3 => f32::NAN,
            4 => f32::NEG_INFINITY,
            5 => 4095.0,
            v => v as f32,
        };
        for bands in 1..=6 {
            for (fill, ceiling) in [(0.0, 4095.0), (f32::NAN, 4095.0), (4095.0, 6.0), (0.0, f32::NAN)] {
                let (pixels, plane_len, offset) = (1097, 1110, 5);
                let samples: Vec<f32> = (0..bands * pixels).map(value).collect();
                let (mut marked, mut expected) = (samples.clone(), vec![0; pixels]);
                mark_pixels(&mut marked, bands, fill, ceiling, &mut expected);
                let (mut planes, mut state) = (vec![-1.0; bands * plane_len], vec![9; pixels]);
                let mut to = Row { planes: &mut planes, plane_len, offset, state: &mut state };
                take_row(&samples, bands, (fill, ceiling), &mut to);
                assert_eq!(state, expected, "{bands} {fill} {ceiling}");
                for (b, plane) in planes.chunks_exact(plane_len).enumerate() {
                    let of_band = marked.iter().skip(b).step_by(bands);
                    let rest = |_: &usize| (-1.0_f32).to_bits();
                    let before = (0..offset).map(|i| rest(&i));
                    let after = (offset + pixels..plane_len).map(|i| rest(&i));
                    let expected: Vec<u32> = before.chain(of_band.map(|v| v.to_bits())).chain(after).collect();
                    assert_eq!(plane.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), expected);
                }
            }
        }
    }
}
