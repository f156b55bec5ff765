//! How good a fused image is: the measures of the pansharpening literature, on planes of values.
//!
//! Pixels with NaN in any plane of a call are left out. All sums run over the pixels in their order, in `f64`.

/// Angle and squared errors of two images, summed up over pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errors {
    /// Pixels.
    pub count: u64,
    /// Sum of spectral angles, radians.
    pub angle: f64,
    /// Squared error of each band.
    pub squared: Vec<f64>,
    /// Sum of the reference of each band.
    pub reference: Vec<f64>,
}

impl Errors {
    /// Of an image against its reference: one slice per band.
    pub fn of(reference: &[&[f64]], fused: &[&[f64]]) -> Self {
        let bands = reference.len();
        assert!(fused.len() == bands, "the same bands");
        let mut e = Self { squared: vec![0.0; bands], reference: vec![0.0; bands], ..Self::default() };
        for p in 0..reference.first().map_or(0, |b| b.len()) {
            let pairs = || reference.iter().zip(fused).map(|(r, f)| (r[p], f[p]));
            if pairs().any(|(r, f)| r.is_nan() || f.is_nan()) {
                continue;
            }
            e.count += 1;
            let (mut product, mut rr, mut ff) = (0.0, 0.0, 0.0);
            for (b, (r, f)) in pairs().enumerate() {
                e.squared[b] += (r - f) * (r - f);
                e.reference[b] += r;
                product += r * f;
                rr += r * r;
                ff += f * f;
            }
            let norm = (rr * ff).sqrt();
            e.angle += if norm > 0.0 { (product / norm).clamp(-1.0, 1.0).acos() } else { 0.0 };
        }
        e
    }

    /// Adds those of other pixels.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.angle += other.angle;
        self.squared.resize(other.squared.len(), 0.0);
        self.reference.resize(other.reference.len(), 0.0);
        self.squared.iter_mut().zip(&other.squared).for_each(|(a, b)| *a += b);
        self.reference.iter_mut().zip(&other.reference).for_each(|(a, b)| *a += b);
    }

    /// Mean spectral angle (SAM), degrees; NaN without pixels.
    ///
    /// # Reference
    /// Yuhas, Goetz and Boardman 1992.
    pub fn sam_deg(&self) -> f64 {
        (self.angle / self.count as f64).to_degrees()
    }

    /// Relative dimensionless global error in synthesis (ERGAS), `100 · ratio · √(mean_b (RMSE_b² / mean_b²))`; `ratio` is
    /// the finer pixel over the coarser one, such as 1/4. NaN without pixels.
    ///
    /// # Reference
    /// Wald 2000.
    pub fn ergas(&self, ratio: f64) -> f64 {
        let n = self.count as f64;
        let relative = |(s, r): (&f64, &f64)| (s / n) / (r / n).powi(2);
        let sum: f64 = self.squared.iter().zip(&self.reference).map(relative).sum();
        100.0 * ratio * (sum / self.squared.len() as f64).sqrt()
    }
}

/// Universal image quality index Q of two images over one block, `4 σxy x̄ ȳ / ((σx² + σy²) (x̄² + ȳ²))`; `None` where it
/// is undefined: fewer than two pixels, or nothing but zeros or constants.
///
/// # Reference
/// Wang and Bovik 2002 (10.1109/97.995823).
pub fn quality_index(x: &[f64], y: &[f64]) -> Option<f64> {
    let both = || x.iter().zip(y).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let n = both().count() as f64;
    if n < 2.0 {
        return None;
    }
    let (sx, sy) = both().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mx, my) = (sx / n, sy / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in both() {
        let (a, b) = (a - mx, b - my);
        (xx, yy, xy) = (xx + a * a, yy + b * b, xy + a * b);
    }
    let below = (xx + yy) * (mx * mx + my * my);
    (below > 0.0).then(|| 4.0 * xy * mx * my / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values worked out by another implementation in double precision.
    const CASES: &str = include_str!("../tests/fusion_metrics.txt");

    #[test]
    fn measures_are_those_of_the_reference_values() {
        let mut lines = CASES.lines().filter(|l| !l.starts_with('#'));
        let numbers = |line: &str| -> Vec<f64> { line.split_whitespace().map(|v| v.parse().unwrap()).collect() };
        let mut cases = 0;
        while let Some(results) = lines.next() {
            let results = numbers(results);
            let mut planes = || (0..4).map(|_| numbers(lines.next().unwrap())).collect::<Vec<_>>();
            let (reference, fused) = (planes(), planes());
            let mut e = Errors::default();
            for at in [0..23, 23..64] {
                let piece = |v: &[Vec<f64>]| v.iter().map(|b| b[at.clone()].to_vec()).collect::<Vec<_>>();
                let (a, b) = (piece(&reference), piece(&fused));
                e.merge(&Errors::of(&by_slice(&a), &by_slice(&b)));
            }
            for (found, expected) in [e.sam_deg(), e.ergas(0.25)].iter().zip(&results) {
                assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
            }
            for b in 0..4 {
                let q = quality_index(&reference[b], &fused[b]).unwrap();
                assert!((q - results[2 + b]).abs() < 1e-9, "{q} {}", results[2 + b]);
            }
            cases += 1;
        }
        assert_eq!(cases, 3);
    }

    fn by_slice(planes: &[Vec<f64>]) -> Vec<&[f64]> {
        planes.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn the_same_is_perfect_and_nothing_is_undefined() {
        let x = [1.0, 2.0, f64::NAN, 4.0];
        assert!((quality_index(&x, &x).unwrap() - 1.0).abs() < 1e-15);
        assert_eq!(quality_index(&[0.0; 4], &[0.0; 4]), None);
        assert_eq!(quality_index(&[f64::NAN; 4], &x), None);
        let e = Errors::of(&[&x, &x], &[&x, &x]);
        assert_eq!((e.count, e.ergas(0.25)), (3, 0.0));
        assert!(e.sam_deg() < 1e-6);
    }
}
