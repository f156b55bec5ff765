//! Every kernel against its definition, written out in `f64` over all pixels of the source.

use std::f64::consts::PI;

use proptest::prelude::*;

use super::*;
use crate::state::SATURATED;

const ALL: [Kernel; 4] = [Kernel::Bilinear, Kernel::Cubic, Kernel::Lanczos, Kernel::Average];

/// Size of output pixels in source pixels, where the kernel asks for it.
const SIZE: (f64, f64) = (2.6, 1.7);

/// Weight of the pixel at distance `x` along one axis, from the kernel's definition, before division by the sum.
fn definition(kernel: Kernel, x: f64, size: f64) -> f64 {
    let x = x.abs();
    let sinc = |v: f64| if v == 0.0 { 1.0 } else { (PI * v).sin() / (PI * v) };
    match kernel {
        Kernel::Bilinear => (1.0 - x).max(0.0),
        Kernel::Cubic if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        Kernel::Cubic if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        // Whole distances have no weight; the sine of a rounded π says 1e-17.
        Kernel::Lanczos if x < 3.0 && (x == 0.0 || x.fract() != 0.0) => sinc(x) * sinc(x / 3.0),
        Kernel::Cubic | Kernel::Lanczos => 0.0,
        // The overlap of a pixel with a box of at least one.
        Kernel::Average => {
            let half = size.max(1.0) / 2.0;
            (half.min(x + 0.5) - (-half).max(x - 0.5)).max(0.0)
        }
    }
}

/// Value and state of one band at a position, by the module's rule.
fn reference(
    kernel: Kernel,
    plane: &[f32],
    state: &[u16],
    (rows, cols): (usize, usize),
    (col, row): (f64, f64),
) -> (f64, u16) {
    let line = |at: f64, size: f64, n: usize| -> Vec<f64> {
        let all: Vec<f64> = (-8..n as i64 + 8).map(|k| definition(kernel, at - k as f64, size)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| w / sum).collect()
    };
    let (x, y) = (line(col, SIZE.0, cols), line(row, SIZE.1, rows));
    let (mut sum, mut weight, mut bits, mut missing) = (0.0, 0.0, 0, false);
    for (r, wy) in (-8..).zip(&y) {
        for (c, wx) in (-8..).zip(&x) {
            let w = wx * wy;
            let inside = (0..rows as i64).contains(&r) && (0..cols as i64).contains(&c);
            let p = (r * cols as i64 + c) as usize;
            if w == 0.0 {
            } else if inside && !plane[p].is_nan() {
                (sum, weight) = (sum + w * f64::from(plane[p]), weight + w);
                bits |= state[p] & !(NODATA | PARTIAL);
            } else {
                missing = true;
            }
        }
    }
    let valid = weight >= 0.5 - 1e-9;
    let edge = if missing { EDGE } else { 0 };
    if valid { (sum / weight, bits | edge) } else { (f64::NAN, NODATA) }
}

/// A row of results: planes and states.
fn run(
    kernel: Kernel,
    planes: &[f32],
    state: &[u16],
    rows: usize,
    cols: usize,
    at: &[(f64, f64)],
) -> (Vec<f32>, Vec<u16>) {
    let pixels = rows * cols;
    let bands = planes.len() / pixels;
    let mut samples = vec![0.0; planes.len()];
    interleave(planes, bands, &mut samples);
    let (col, row): (Vec<f64>, Vec<f64>) = at.iter().copied().unzip();
    let (width, height) = (vec![SIZE.0; at.len()], vec![SIZE.1; at.len()]);
    let mut values = vec![0.0; bands * at.len()];
    let mut out_state = vec![0; at.len()];
    let mut out = Row { planes: &mut values, plane_len: at.len(), offset: 0, state: &mut out_state };
    let clean = state.iter().all(|s| *s == 0);
    let src = Source { samples: &samples, bands, state, clean, rows, cols };
    let places = Places { col: &col, row: &row, width: &width, height: &height };
    super::row(kernel, src, places, &mut Taps::default(), &mut out);
    (values, out_state)
}

/// Some samples of 12 bits.
fn samples(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 101) % 4096) as f32).collect()
}

/// Positions all over an image and beside it.
fn positions(rows: usize, cols: usize) -> Vec<(f64, f64)> {
    let along = |k: usize, n: usize, step: f64| (k as f64 * step) % (n as f64 + 3.0) - 2.0;
    (0..500).map(|k| (along(k, cols, 0.618_034), along(k, rows, 0.414_214))).collect()
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn interpolates_planes_exactly_and_samples_centres_unchanged() {
    let planes: Vec<f32> = (0..20).map(|i| (10 * (i / 5) + i % 5) as f32).collect();
    let (v, s) = run(Kernel::Bilinear, &planes, &[0; 20], 4, 5, &[(1.25, 2.5), (3.0, 2.0), (4.0, 3.0), (0.0, 0.0)]);
    assert_eq!(v, [26.25, 23.0, 34.0, 0.0]);
    assert_eq!(s, [0, 0, 0, 0]);
}

#[test]
fn half_the_weight_decides_and_nothing_invalid_leaks() {
    let planes = [1.0, f32::NAN, 1.0, f32::NAN];
    let state = [0, NODATA, 0, NODATA];
    let (v, s) =
        run(Kernel::Bilinear, &planes, &state, 2, 2, &[(0.5, 0.5), (0.51, 0.5), (-0.4, 0.0), (-0.6, 0.0), (9.0, 0.0)]);
    assert_eq!((v[0], s[0]), (1.0, EDGE));
    assert!(v[1].is_nan() && s[1] == NODATA);
    assert_eq!((v[2], s[2]), (1.0, EDGE));
    assert!(v[3].is_nan() && v[4].is_nan() && s[4] == NODATA);
}

#[test]
fn one_invalid_band_is_partial_and_saturation_spreads_only_with_weight() {
    let planes = [1.0, 1.0, 1.0, 1.0, f32::NAN, f32::NAN, f32::NAN, 5.0];
    let state = [PARTIAL, PARTIAL | SATURATED, PARTIAL, 0];
    let (v, s) = run(Kernel::Bilinear, &planes, &state, 2, 2, &[(0.0, 0.0), (0.5, 0.0), (0.9, 0.9)]);
    assert_eq!(&v[..3], &[1.0, 1.0, 1.0]);
    assert_eq!(s[0], PARTIAL, "the valid band is not interpolated next to the invalid one");
    assert_eq!(s[1], SATURATED | PARTIAL);
    assert_eq!(v[3 + 2], 5.0);
    assert_eq!(s[2] & (PARTIAL | EDGE), EDGE);
    let (_, s) = run(Kernel::Bilinear, &[1.0; 4], &[0, SATURATED, 0, 0], 2, 2, &[(0.0, 0.5), (0.5, 0.5)]);
    assert_eq!(s, [0, SATURATED]);
}

#[test]
fn every_kernel_is_what_its_definition_says_inside_at_edges_and_on_images_smaller_than_itself() {
    for (rows, cols) in [(1, 1), (2, 3), (1, 9), (9, 1), (3, 3), (12, 17)] {
        let plane = samples(rows * cols, 3);
        let state = vec![0; rows * cols];
        for kernel in ALL {
            let at = positions(rows, cols);
            let (values, states) = run(kernel, &plane, &state, rows, cols, &at);
            for (i, p) in at.iter().enumerate() {
                let (value, bits) = reference(kernel, &plane, &state, (rows, cols), *p);
                let near = (f64::from(values[i]) - value).abs() <= 1e-5 * 4096.0;
                assert!(near || (values[i].is_nan() && value.is_nan()), "{kernel:?} {p:?}: {} {value}", values[i]);
                assert_eq!(states[i], bits, "{kernel:?} {p:?}");
            }
        }
    }
}

proptest! {
    /// Invalid and saturated pixels anywhere, any position, any number of bands.
    #[test]
    fn any_mix_of_invalid_and_saturated_pixels_follows_the_rule(
        holes in proptest::collection::vec(0u8..12, 8 * 9),
        bands in 1usize..6,
        at in proptest::collection::vec((-1.5f64..9.5, -1.5f64..8.5), 40),
        whole in any::<bool>(),
    ) {
        let (rows, cols) = (8, 9);
        let pixels = rows * cols;
        // Whole positions are where the kernels are zero.
        let at: Vec<_> = at.into_iter().map(|(c, r)| if whole { (c.round(), r) } else { (c, r) }).collect();
        let mut planes: Vec<f32> = (0..bands).flat_map(|b| samples(pixels, b)).collect();
        let mut state = vec![0; pixels];
        for (p, hole) in holes.iter().enumerate() {
            let in_band = |k: usize| k * pixels + p;
            state[p] = match hole {
                0 => (0..bands).fold(NODATA, |s, b| { planes[in_band(b)] = f32::NAN; s }),
                1 if bands > 1 => { planes[in_band(bands - 1)] = f32::NAN; PARTIAL | SATURATED }
                2 => SATURATED,
                _ => 0,
            };
        }
        for kernel in ALL {
            let (values, states) = run(kernel, &planes, &state, rows, cols, &at);
            for (i, p) in at.iter().enumerate() {
                let each: Vec<_> = (0..bands)
                    .map(|b| reference(kernel, &planes[b * pixels..][..pixels], &state, (rows, cols), *p))
                    .collect();
                for (b, (value, _)) in each.iter().enumerate() {
                    let found = f64::from(values[b * at.len() + i]);
                    // Renormalised weights are at most twice as large.
                    prop_assert!((found - value).abs() <= 2e-5 * 4096.0 || (found.is_nan() && value.is_nan()),
                        "{:?} {:?} band {}: {} {}", kernel, p, b, found, value);
                }
                let valid = each.iter().filter(|(v, _)| !v.is_nan());
                let valid_bits = valid.clone().fold(0, |a, (_, s)| a | s);
                match valid.count() {
                    0 => prop_assert_eq!(states[i], NODATA),
                    n => {
                        prop_assert_eq!(states[i] & PARTIAL != 0, n < bands, "{:?} {:?}", kernel, p);
                        // What a band without a value saw counts as well, but edges.
                        prop_assert_eq!(states[i] & EDGE, valid_bits & EDGE, "{:?} {:?}", kernel, p);
                        prop_assert_eq!(valid_bits & !states[i], 0);
                    }
                }
            }
        }
    }

    /// The same bits, whatever window of the image was read, if it holds the neighbours.
    #[test]
    fn a_window_that_holds_the_neighbours_gives_the_same_bits(
        left in 0usize..6, top in 0usize..6, more in 0usize..4,
        at in proptest::collection::vec((0.0f64..3.0, 0.0f64..3.0), 20),
        hole in 0usize..400,
    ) {
        let (rows, cols) = (20, 20);
        let mut plane = samples(rows * cols, 1);
        let mut state = vec![0; rows * cols];
        (plane[hole], state[hole]) = (f32::NAN, NODATA);
        for kernel in ALL {
            let reach = kernel.reach(SIZE.0.max(SIZE.1));
            let side = 3 + 2 * reach + more;
            let cut = |all: &[f32]| -> Vec<f32> {
                (0..side).flat_map(|r| all[(top + r) * cols + left..][..side].to_vec()).collect()
            };
            let window = cut(&plane);
            let states: Vec<u16> = window.iter().map(|v| if v.is_nan() { NODATA } else { 0 }).collect();
            let inner = (reach - 1) as f64;
            let within: Vec<_> = at.iter().map(|(c, r)| (c + inner, r + inner)).collect();
            let outer: Vec<_> = within.iter().map(|(c, r)| (c + left as f64, r + top as f64)).collect();
            let (a, a_state) = run(kernel, &window, &states, side, side, &within);
            let (b, b_state) = run(kernel, &plane, &state, rows, cols, &outer);
            // Positions are the same but for their last bits.
            for (a, b) in a.iter().zip(&b) {
                prop_assert!((a - b).abs() < 1e-2 || (a.is_nan() && b.is_nan()), "{:?} {} {}", kernel, a, b);
            }
            prop_assert_eq!(a_state, b_state, "{:?}", kernel);
        }
    }
}

#[test]
fn constants_stay_what_they_are_and_polynomials_of_the_kernels_degree_are_exact() {
    let (rows, cols) = (14, 15);
    let at: Vec<(f64, f64)> =
        (0..300).map(|k| (3.0 + (f64::from(k) * 0.618) % 8.0, 3.0 + (f64::from(k) * 0.414) % 7.0)).collect();
    let of = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f32> {
        (0..rows * cols).map(|i| f((i % cols) as f64, (i / cols) as f64) as f32).collect()
    };
    let error = |kernel: Kernel, f: &dyn Fn(f64, f64) -> f64| -> f64 {
        let (values, states) = run(kernel, &of(f), &vec![0; rows * cols], rows, cols, &at);
        assert!(states.iter().all(|s| *s == 0));
        at.iter().zip(&values).map(|((c, r), v)| (f64::from(*v) - f(*c, *r)).abs()).fold(0.0, f64::max)
    };
    for kernel in ALL {
        assert!(error(kernel, &|_, _| 4095.0) < 1e-5 * 4095.0, "{kernel:?}");
    }
    let linear = |c: f64, r: f64| 100.0 + 20.0 * c - 7.0 * r + 3.0 * c * r;
    for kernel in [Kernel::Bilinear, Kernel::Cubic] {
        assert!(error(kernel, &linear) < 0.01, "{kernel:?}");
    }
    let quadratic = |c: f64, r: f64| 500.0 + 3.0 * c * c - 2.0 * r * r + c * r * r;
    assert!(error(Kernel::Cubic, &quadratic) < 0.02);
    assert!(error(Kernel::Bilinear, &quadratic) > 1.0 && error(Kernel::Lanczos, &linear) > 0.1, "nothing is tested");
}

#[test]
fn on_pixel_centres_the_interpolating_kernels_give_the_pixel_itself() {
    let plane = samples(12 * 12, 5);
    let at: Vec<(f64, f64)> = (0..144).map(|i| (f64::from(i % 12), f64::from(i / 12))).collect();
    for kernel in [Kernel::Bilinear, Kernel::Cubic, Kernel::Lanczos] {
        let (values, states) = run(kernel, &plane, &[0; 144], 12, 12, &at);
        assert!(same(&values, &plane), "{kernel:?}");
        assert_eq!(states, [0; 144], "{kernel:?}");
    }
}

#[test]
fn a_mirrored_image_gives_mirrored_values() {
    let (rows, cols) = (16, 16);
    let plane = samples(rows * cols, 2);
    let turned: Vec<f32> = plane.iter().rev().copied().collect();
    // Sixteenths: mirrored positions are exact.
    let at: Vec<(f64, f64)> =
        (0..200).map(|k| (f64::from((k * 37) % 240) / 16.0, f64::from((k * 91) % 240) / 16.0)).collect();
    let back: Vec<(f64, f64)> = at.iter().map(|(c, r)| (15.0 - c, 15.0 - r)).collect();
    for kernel in ALL {
        let (a, a_state) = run(kernel, &plane, &vec![0; rows * cols], rows, cols, &at);
        let (b, b_state) = run(kernel, &turned, &vec![0; rows * cols], rows, cols, &back);
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 0.005 || (a.is_nan() && b.is_nan())), "{kernel:?}");
        assert_eq!(a_state, b_state, "{kernel:?}");
    }
}

#[test]
fn outlines_move_by_half_a_pixel_with_every_kernel_and_no_weight_is_more_than_doubled() {
    let (rows, cols) = (12, 12);
    // Invalid left of column 4; the valid half alternates between the extremes.
    let value = |i: usize| if i % cols < 4 { f32::NAN } else { [0.0, 4095.0][(i % cols + i / cols) % 2] };
    let plane: Vec<f32> = (0..rows * cols).map(value).collect();
    let state: Vec<u16> = plane.iter().map(|v| if v.is_nan() { NODATA } else { 0 }).collect();
    for kernel in ALL {
        let at: Vec<(f64, f64)> = (0..=600).map(|k| (2.0 + f64::from(k) / 200.0, 5.37)).collect();
        let (values, states) = run(kernel, &plane, &state, rows, cols, &at);
        for (i, (c, _)) in at.iter().enumerate() {
            assert_eq!(states[i] & NODATA == 0, *c >= 3.5, "{kernel:?} at column {c}");
            assert_eq!(values[i].is_nan(), states[i] == NODATA);
            // Without sign the weights of Lanczos add up to 2.4 at most.
            assert!(values[i].is_nan() || (values[i] - 2047.5).abs() <= 2.0 * 2.4 * 2047.5);
        }
    }
}

#[test]
fn overshoot_next_to_a_saturated_pixel_is_noted() {
    let (rows, cols) = (7, 14);
    let plane: Vec<f32> = (0..rows * cols).map(|i| if i % cols < 7 { 100.0 } else { 4095.0 }).collect();
    let state: Vec<u16> = plane.iter().map(|v| if *v == 4095.0 { SATURATED } else { 0 }).collect();
    for (kernel, reach, overshoots) in
        [(Kernel::Bilinear, 1.0, false), (Kernel::Cubic, 2.0, true), (Kernel::Lanczos, 3.0, true)]
    {
        let at: Vec<(f64, f64)> = (0..=480).map(|k| (3.0 + f64::from(k) / 80.0, 3.0)).collect();
        let (values, states) = run(kernel, &plane, &state, rows, cols, &at);
        for ((c, _), (v, s)) in at.iter().zip(values.iter().zip(&states)) {
            assert_eq!(s & SATURATED != 0, *c > 7.0 - reach && (c.fract() != 0.0 || *c >= 7.0), "{kernel:?} {c}");
            assert!((99.99..=4095.01).contains(v) || s & SATURATED != 0, "{kernel:?} {c}: {v}");
        }
        assert_eq!(values.iter().any(|v| *v < 99.0), overshoots, "{kernel:?}");
    }
}

#[test]
fn the_average_counts_every_source_pixel_once_and_is_bilinear_where_it_cannot_average() {
    // 3 × 2 pixels make one: the means of blocks.
    let (rows, cols) = (8, 12);
    let plane = samples(rows * cols, 9);
    let mut values = vec![0.0; 16];
    let mut states = vec![0; 16];
    let at: Vec<(f64, f64)> = (0..16).map(|k| (1.0 + 3.0 * f64::from(k % 4), 0.5 + 2.0 * f64::from(k / 4))).collect();
    let (col, row): (Vec<f64>, Vec<f64>) = at.iter().copied().unzip();
    let src = Source { samples: &plane, bands: 1, state: &[0; 96], clean: true, rows, cols };
    let mut out = Row { planes: &mut values, plane_len: 16, offset: 0, state: &mut states };
    let places = Places { col: &col, row: &row, width: &[3.0; 16], height: &[2.0; 16] };
    super::row(Kernel::Average, src, places, &mut Taps::default(), &mut out);
    for (k, value) in values.iter().enumerate() {
        let block = |i: usize| plane[(k / 4 * 2 + i / 3) * cols + k % 4 * 3 + i % 3];
        assert!((value - (0..6).map(block).sum::<f32>() / 6.0).abs() < 1e-3);
    }
    assert_eq!(states, [0; 16]);
    // Footprints of less than a pixel.
    let fine: Vec<(f64, f64)> = positions(rows, cols);
    let (col, row): (Vec<f64>, Vec<f64>) = fine.iter().copied().unzip();
    let n = fine.len();
    let (mut values, mut states) = (vec![0.0; n], vec![0; n]);
    let mut out = Row { planes: &mut values, plane_len: n, offset: 0, state: &mut states };
    let places = Places { col: &col, row: &row, width: &vec![0.4; n], height: &vec![f64::NAN; n] };
    super::row(Kernel::Average, src, places, &mut Taps::default(), &mut out);
    let (bilinear, bilinear_states) = run(Kernel::Bilinear, &plane, &[0; 96], rows, cols, &fine);
    assert!(values.iter().zip(&bilinear).all(|(a, b)| (a - b).abs() < 0.01 || (a.is_nan() && b.is_nan())));
    assert_eq!(states, bilinear_states);
}

#[test]
fn footprints_of_any_size_end_at_the_image() {
    for size in [1e3, 1e300, f64::INFINITY] {
        let (mut values, mut states) = ([0.0; 2], [0; 2]);
        let mut out = Row { planes: &mut values, plane_len: 2, offset: 0, state: &mut states };
        let src = Source { samples: &[7.0; 6], bands: 1, state: &[0; 6], clean: true, rows: 2, cols: 3 };
        let places = Places { col: &[1.0, 5.0], row: &[0.5, 0.5], width: &[size; 2], height: &[1.0; 2] };
        super::row(Kernel::Average, src, places, &mut Taps::default(), &mut out);
        assert_eq!(states, if size.is_finite() { [NODATA; 2] } else { [0, NODATA] });
    }
}

#[test]
fn any_number_of_bands_is_the_same_band_by_band() {
    let (rows, cols) = (9, 11);
    let mut state = vec![0; rows * cols];
    state[40] = SATURATED;
    let at = positions(rows, cols);
    for kernel in ALL {
        for bands in 1..=6 {
            let all: Vec<f32> = (0..bands).flat_map(|b| samples(rows * cols, b)).collect();
            let (together, states) = run(kernel, &all, &state, rows, cols, &at);
            for b in 0..bands {
                let (alone, alone_states) = run(kernel, &samples(rows * cols, b), &state, rows, cols, &at);
                assert!(same(&together[b * at.len()..][..at.len()], &alone), "{kernel:?}: band {b} of {bands}");
                assert_eq!(states, alone_states);
            }
        }
    }
}

#[test]
fn an_empty_source_gives_no_data() {
    for kernel in ALL {
        let mut values = [0.0; 2];
        let mut state = [0; 2];
        let mut out = Row { planes: &mut values, plane_len: 2, offset: 0, state: &mut state };
        let src = Source { samples: &[], bands: 1, state: &[], clean: false, rows: 0, cols: 0 };
        let places = Places { col: &[0.0, 1.0], row: &[0.0, 1.0], width: &[3.0; 2], height: &[3.0; 2] };
        super::row(kernel, src, places, &mut Taps::default(), &mut out);
        assert!(values.iter().all(|v| v.is_nan()));
        assert_eq!(state, [NODATA; 2]);
    }
}

#[test]
fn positions_that_are_no_numbers_give_no_data() {
    for kernel in ALL {
        let at = [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 1.0), (1e300, -1e300)];
        let (values, states) = run(kernel, &samples(36, 0), &[0; 36], 6, 6, &at);
        assert!(values.iter().all(|v| v.is_nan()));
        assert_eq!(states, [NODATA; 4]);
    }
}
