//! What two windows of pixels have to go through before, and what is told of them after, their spectra are compared.
//!
//! Windows are square, row by row; NaN marks an invalid pixel. A pixel counts where it is valid in both.

/// Writes a raised cosine: 0 outside, 1 in the middle.
///
/// # Reference
/// Hann window, w(k) = ½ − ½ cos(2π (k + ½) / n); Harris 1978, 10.1109/PROC.1978.10837, eq. 27, moved by half a sample so
/// that it is symmetric.
pub fn hann(out: &mut [f64]) {
    let n = out.len() as f64;
    for (k, w) in out.iter_mut().enumerate() {
        *w = 0.5 - 0.5 * (std::f64::consts::TAU * (k as f64 + 0.5) / n).cos();
    }
}

/// Share of the pixels that are valid in both windows, 0 to 1; 0 without pixels.
pub fn valid_share(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "windows of one size");
    let both = a.iter().zip(b).filter(|(a, b)| !a.is_nan() && !b.is_nan()).count();
    both as f64 / a.len().max(1) as f64
}

/// Writes a window with its weighted mean taken out, times the product of a taper along rows and columns; returns the
/// standard deviation of its pixels. What is invalid in it or in `other` becomes 0, the mean.
pub fn tapered(window: &[f32], other: &[f32], taper: &[f64], out: &mut [f64]) -> f64 {
    let side = taper.len();
    assert!(window.len() == side * side && other.len() == window.len() && out.len() == window.len(), "square windows");
    let (mut weight, mut weighted) = (0.0, 0.0);
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    // Differences from one of the values: squares of large numbers would drown their spread.
    let base = window.iter().zip(other).find(|(v, o)| !v.is_nan() && !o.is_nan()).map_or(0.0, |(v, _)| f64::from(*v));
    for (r, (row, others)) in window.chunks_exact(side.max(1)).zip(other.chunks_exact(side.max(1))).enumerate() {
        for ((v, o), t) in row.iter().zip(others).zip(taper) {
            if !v.is_nan() && !o.is_nan() {
                let (v, w) = (f64::from(*v) - base, taper[r] * t);
                weight += w;
                weighted += w * v;
                count += 1.0;
                sum += v;
                squares += v * v;
            }
        }
    }
    let mean = if weight > 0.0 { weighted / weight } else { 0.0 };
    for (r, row) in out.chunks_exact_mut(side.max(1)).enumerate() {
        for (c, to) in row.iter_mut().enumerate() {
            let (v, o) = (window[r * side + c], other[r * side + c]);
            *to = if v.is_nan() || o.is_nan() { 0.0 } else { (f64::from(v) - base - mean) * taper[r] * taper[c] };
        }
    }
    if count > 0.0 { (squares / count - (sum / count).powi(2)).max(0.0).sqrt() } else { 0.0 }
}

/// Pearson's correlation of two windows of edge `side`, the second moved back by whole pixels (cols, rows), over what is
/// valid in both; NaN where either has no spread.
pub fn correlation(a: &[f32], b: &[f32], side: usize, (cols, rows): (i64, i64)) -> f64 {
    assert!(a.len() == side * side && b.len() == a.len(), "square windows");
    let (mut n, mut sa, mut sb, mut saa, mut sbb, mut sab) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for r in 0..side as i64 {
        for c in 0..side as i64 {
            let (br, bc) = (r + rows, c + cols);
            if br < 0 || bc < 0 || br >= side as i64 || bc >= side as i64 {
                continue;
            }
            let (x, y) = (a[r as usize * side + c as usize], b[br as usize * side + bc as usize]);
            if !x.is_nan() && !y.is_nan() {
                let (x, y) = (f64::from(x), f64::from(y));
                n += 1.0;
                sa += x;
                sb += y;
                saa += x * x;
                sbb += y * y;
                sab += x * y;
            }
        }
    }
    let (va, vb) = (n * saa - sa * sa, n * sbb - sb * sb);
    if va > 0.0 && vb > 0.0 { (n * sab - sa * sb) / (va * vb).sqrt() } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taper_is_symmetric_and_its_halves_add_up_to_one() {
        let mut w = [0.0; 16];
        hann(&mut w);
        for k in 0..8 {
            assert!((w[k] - w[15 - k]).abs() < 1e-15);
            assert!((w[k] + w[k + 8] - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn a_tapered_window_has_no_mean_and_nothing_where_either_is_invalid() {
        let side = 8;
        let mut taper = vec![0.0; side];
        hann(&mut taper);
        let mut a: Vec<f32> = (0..64).map(|k| 1e4 + (k * k % 17) as f32).collect();
        let mut b = a.clone();
        (a[5], b[40]) = (f32::NAN, f32::NAN);
        let mut out = vec![f64::NAN; 64];
        let spread = tapered(&a, &b, &taper, &mut out);
        assert_eq!((out[5], out[40]), (0.0, 0.0));
        assert!(out.iter().sum::<f64>().abs() < 1e-9);
        let valid: Vec<f64> = (0..64).filter(|k| *k != 5 && *k != 40).map(|k| f64::from(a[k])).collect();
        let mean = valid.iter().sum::<f64>() / 62.0;
        let expected = (valid.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 62.0).sqrt();
        assert!((spread - expected).abs() < 1e-9, "{spread} {expected}");
        assert_eq!(tapered(&[7.0; 64], &b, &taper, &mut out), 0.0);
        assert_eq!(valid_share(&a, &b), 62.0 / 64.0);
    }

    #[test]
    fn correlation_of_moved_windows_is_that_of_what_they_share() {
        let side = 12;
        let a: Vec<f32> = (0..144).map(|k| (k * 7919 % 101) as f32).collect();
        let mut b = vec![f32::NAN; 144];
        for r in 0..10 {
            for c in 3..12 {
                b[(r + 2) * side + c - 3] = 5.0 - 2.0 * a[r * side + c];
            }
        }
        assert!((correlation(&a, &b, side, (-3, 2)) + 1.0).abs() < 1e-12);
        assert!(correlation(&a, &b, side, (0, 0)).abs() < 0.5);
        assert!(correlation(&a, &[1.0; 144], side, (0, 0)).is_nan());
    }
}
