//! Exact statistics of stored values. Integers are summed exactly, so any order of merging gives the same numbers.

/// Count, extremes and power sums of integer samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegerStats {
    /// Valid samples.
    pub count: u64,
    /// Smallest valid sample; `i64::MAX` while there is none.
    pub min: i64,
    /// Largest valid sample; `i64::MIN` while there is none.
    pub max: i64,
    /// Exact sum.
    pub sum: i64,
    /// Exact sum of squares.
    pub sum_squares: u128,
}

impl Default for IntegerStats {
    fn default() -> Self {
        Self { count: 0, min: i64::MAX, max: i64::MIN, sum: 0, sum_squares: 0 }
    }
}

impl IntegerStats {
    /// Adds the samples that `valid` accepts.
    pub fn add<T: Copy + Into<i64>>(&mut self, samples: impl Iterator<Item = T>, valid: impl Fn(i64) -> bool) {
        let (mut sum, mut squares) = (0i64, 0u64);
        for v in samples {
            let v: i64 = v.into();
            if valid(v) {
                self.count += 1;
                self.min = self.min.min(v);
                self.max = self.max.max(v);
                sum += v;
                squares += (v * v) as u64;
            }
        }
        self.sum += sum;
        self.sum_squares += u128::from(squares);
    }

    /// Adds the samples of another set.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.sum_squares += other.sum_squares;
    }

    /// Mean and population standard deviation; `None` without samples. Exact up to the final division and root.
    pub fn mean_stddev(&self) -> Option<(f64, f64)> {
        if self.count == 0 {
            return None;
        }
        let n = u128::from(self.count);
        let square_of_sum = u128::from(self.sum.unsigned_abs()).pow(2);
        let numerator = (n * self.sum_squares).saturating_sub(square_of_sum);
        let mean = self.sum as f64 / self.count as f64;
        Some((mean, (numerator as f64).sqrt() / self.count as f64))
    }
}

/// Count, extremes and power sums of floating-point samples about `pivot`, so that a large mean does not swallow the
/// variance. Merging order matters in the last digits: merge in a fixed order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloatStats {
    /// Valid samples.
    pub count: u64,
    /// Smallest valid sample.
    pub min: f64,
    /// Largest valid sample.
    pub max: f64,
    /// Mean of the valid samples; 0 without.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
}

impl Default for FloatStats {
    fn default() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, m2: 0.0 }
    }
}

impl FloatStats {
    /// Statistics of the samples that are not NaN, in two passes.
    pub fn of(samples: impl Iterator<Item = f32> + Clone) -> Self {
        let mut s = Self::default();
        let mut sum = 0.0;
        for v in samples.clone().filter(|v| !v.is_nan()).map(f64::from) {
            s.count += 1;
            s.min = s.min.min(v);
            s.max = s.max.max(v);
            sum += v;
        }
        if s.count > 0 {
            s.mean = sum / s.count as f64;
            s.m2 = samples.filter(|v| !v.is_nan()).map(|v| (f64::from(v) - s.mean).powi(2)).sum();
        }
        s
    }

    /// Adds the samples of another set.
    ///
    /// # Reference
    /// Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, equation 2.1.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (na, nb) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * nb / (na + nb);
        self.m2 += other.m2 + delta * delta * na * nb / (na + nb);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Mean and population standard deviation; `None` without samples.
    pub fn mean_stddev(&self) -> Option<(f64, f64)> {
        (self.count > 0).then(|| (self.mean, (self.m2 / self.count as f64).sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_in_any_order() {
        let all: Vec<i16> = (-500..1500).map(|i| ((i * 7919) % 30000) as i16).chain([-32768]).collect();
        let valid = |v: i64| v != -32768;
        let mut whole = IntegerStats::default();
        whole.add(all.iter().copied(), valid);
        let mut parts = IntegerStats::default();
        for chunk in all.rchunks(137) {
            let mut p = IntegerStats::default();
            p.add(chunk.iter().copied(), valid);
            parts.merge(&p);
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.count, 2000);
        let n = 2000.0;
        let mean = all[..2000].iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let var = all[..2000].iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let (m, s) = whole.mean_stddev().unwrap();
        assert!((m - mean).abs() < 1e-9 && (s - var.sqrt()).abs() < 1e-9);
        assert_eq!(IntegerStats::default().mean_stddev(), None);
    }

    #[test]
    fn floats_merge_to_the_whole() {
        let all: Vec<f32> = (0..1000).map(|i| 1e4 + (i as f32 * 0.7).sin()).chain([f32::NAN]).collect();
        let whole = FloatStats::of(all.iter().copied());
        let mut parts = FloatStats::default();
        for chunk in all.chunks(97) {
            parts.merge(&FloatStats::of(chunk.iter().copied()));
        }
        assert_eq!(whole.count, 1000);
        assert!((whole.mean - parts.mean).abs() < 1e-9 && (whole.m2 - parts.m2).abs() < 1e-6);
        parts.merge(&FloatStats::default());
        assert_eq!(parts.count, 1000);
    }
}
