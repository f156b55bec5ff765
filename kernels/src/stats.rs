//! Exact statistics of stored values. Integers are summed exactly, so any order of merging gives the same numbers.

use crate::simd::vectorized;

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
    /// Of one sample.
    fn one(value: i32) -> Self {
        let value = i64::from(value);
        Self { count: 1, min: value, max: value, sum: value, sum_squares: (value * value) as u128 }
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

/// Samples that are summed in 32 bits before they are carried over: 2¹⁵ of 16 bits fit into each lane.
const PIECE: usize = 1 << 14;

/// Adds pixel-interleaved samples to the statistics of their bands, of which there are `stats.len()`.
///
/// # Invalid pixels
/// Samples equal to `nodata` do not count.
pub fn add_interleaved<T>(stats: &mut [IntegerStats], samples: &[T], nodata: i32)
where
    T: Copy + Ord + Into<i32> + TryFrom<i32>,
{
    let bands = stats.len();
    if bands == 0 {
        return;
    }
    let nodata = T::try_from(nodata).ok();
    vectorized(
        #[inline(always)]
        || {
            for piece in samples.chunks(PIECE * bands) {
                match bands {
                    1 | 2 | 4 | 8 | 16 => add::<T, 16>(stats, piece, nodata),
                    3 | 6 | 12 | 24 => add::<T, 24>(stats, piece, nodata),
                    _ => {
                        for (b, s) in stats.iter_mut().enumerate() {
                            let s = std::slice::from_mut(s);
                            piece.chunks_exact(bands).for_each(|pixel| add::<T, 1>(s, &pixel[b..=b], nodata));
                        }
                    }
                }
            }
        },
    );
}

/// Adds a piece in `L` lanes, a whole number of pixels: sample `i` goes to lane `i % L`.
#[inline(always)]
fn add<T, const L: usize>(stats: &mut [IntegerStats], samples: &[T], nodata: Option<T>)
where
    T: Copy + Ord + Into<i32>,
{
    // Most pieces have no gap.
    if let Some(nodata) = nodata
        && samples.iter().fold(false, |any, v| any | (*v == nodata))
    {
        return add_valid::<T, L>(stats, samples, nodata);
    }
    let bands = stats.len();
    let (whole, rest) = samples.as_chunks::<L>();
    if let Some(first) = whole.first() {
        let (mut min, mut max) = (*first, *first);
        // Of squares, the upper and the lower half are summed.
        let (mut sums, mut upper, mut lower) = ([0i32; L], [0u32; L], [0u32; L]);
        for chunk in whole {
            for (j, v) in chunk.iter().enumerate() {
                min[j] = min[j].min(*v);
                max[j] = max[j].max(*v);
                let v: i32 = (*v).into();
                let square = v.wrapping_mul(v) as u32;
                sums[j] += v;
                upper[j] += square >> 16;
                lower[j] += square & 0xffff;
            }
        }
        for j in 0..L {
            stats[j % bands].merge(&IntegerStats {
                count: whole.len() as u64,
                min: min[j].into().into(),
                max: max[j].into().into(),
                sum: sums[j].into(),
                sum_squares: (u128::from(upper[j]) << 16) + u128::from(lower[j]),
            });
        }
    }
    for (j, v) in rest.iter().enumerate() {
        stats[j % bands].merge(&IntegerStats::one((*v).into()));
    }
}

/// The same, where some samples are `nodata`.
#[inline(always)]
fn add_valid<T, const L: usize>(stats: &mut [IntegerStats], samples: &[T], nodata: T)
where
    T: Copy + Ord + Into<i32>,
{
    let (mut counts, mut sums, mut squares) = ([0i32; L], [0i32; L], [0i64; L]);
    let (mut min, mut max) = ([i32::MAX; L], [i32::MIN; L]);
    let mut one = |j: usize, v: T| {
        let valid = v != nodata;
        let v: i32 = v.into();
        let counted = if valid { v } else { 0 };
        counts[j] += i32::from(valid);
        sums[j] += counted;
        squares[j] += i64::from(counted) * i64::from(counted);
        let (low, high) = if valid { (v, v) } else { (i32::MAX, i32::MIN) };
        min[j] = if low < min[j] { low } else { min[j] };
        max[j] = if high > max[j] { high } else { max[j] };
    };
    let whole = samples.chunks_exact(L);
    let rest = whole.remainder();
    for chunk in whole {
        chunk.iter().enumerate().for_each(|(j, v)| one(j, *v));
    }
    rest.iter().enumerate().for_each(|(j, v)| one(j, *v));
    let bands = stats.len();
    for j in (0..L).filter(|j| counts[*j] > 0) {
        stats[j % bands].merge(&IntegerStats {
            count: counts[j] as u64,
            min: min[j].into(),
            max: max[j].into(),
            sum: sums[j].into(),
            sum_squares: squares[j] as u128,
        });
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
        for bands in [1, 2, 3, 4, 7, 12, 16, 24, 32, 48] {
            let pixels = 9001;
            let at = |p: usize, b: usize| ((p * 7919 + b * 104_729) % 65_536) as u16 as i16;
            let all: Vec<i16> = (0..pixels).flat_map(|p| (0..bands).map(move |b| at(p, b))).collect();
            let nodata = at(17, 0);
            let mut whole = vec![IntegerStats::default(); bands];
            add_interleaved(&mut whole, &all, i32::from(nodata));
            let mut parts = vec![IntegerStats::default(); bands];
            for chunk in all.rchunks(137 * bands) {
                add_interleaved(&mut parts, chunk, i32::from(nodata));
            }
            assert_eq!(whole, parts);
            for (b, s) in whole.iter().enumerate() {
                let valid: Vec<i64> = (0..pixels).map(|p| at(p, b)).filter(|v| *v != nodata).map(i64::from).collect();
                let expected = IntegerStats {
                    count: valid.len() as u64,
                    min: *valid.iter().min().unwrap(),
                    max: *valid.iter().max().unwrap(),
                    sum: valid.iter().sum(),
                    sum_squares: valid.iter().map(|v| (v * v) as u128).sum(),
                };
                assert_eq!(*s, expected, "{b} of {bands}");
                let n = valid.len() as f64;
                let mean = valid.iter().sum::<i64>() as f64 / n;
                let var = valid.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>() / n;
                let (m, sd) = s.mean_stddev().unwrap();
                assert!((m - mean).abs() < 1e-9 && (sd - var.sqrt()).abs() < 1e-8 * sd);
            }
        }
        let mut none = [IntegerStats::default()];
        add_interleaved(&mut none, &[5u8; 9], 5);
        assert_eq!((none[0], none[0].mean_stddev()), (IntegerStats::default(), None));
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
