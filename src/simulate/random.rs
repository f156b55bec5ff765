//! Numbers that look random but depend on nothing but their arguments: the same at any order and thread count.

/// Mixes a seed and an index into 64 well-spread bits.
///
/// # Reference
/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: the finalizer of SplitMix64.
#[inline]
pub(super) fn hash(seed: u64, index: u64) -> u64 {
    let mut z = seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Mixes a seed and a cell of a plane lattice.
#[inline]
pub(super) fn hash_cell(seed: u64, i: i64, j: i64) -> u64 {
    hash(hash(seed, i as u64), j as u64)
}

/// A number from 0 up to but without 1 from a hash.
#[inline]
pub(super) fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A nearly normal number of mean 0 and variance 1 from a hash: the sum of four uniform ones, so never beyond ±3.47.
#[inline]
pub(super) fn normal(hash: u64) -> f64 {
    const MASK: u64 = 0xFFFF;
    let sum = (hash & MASK) + ((hash >> 16) & MASK) + ((hash >> 32) & MASK) + (hash >> 48);
    (sum as f64 / 65_536.0 - 2.0 + 2.0 / 65_536.0) * 3f64.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|i| normal(hash(7, i))).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn neighbors_are_unrelated() {
        let pairs = 20_000;
        let product: f64 =
            (0..pairs).map(|i| (fraction(hash_cell(1, i, 5)) - 0.5) * (fraction(hash_cell(1, i + 1, 5)) - 0.5)).sum();
        assert!((product / pairs as f64).abs() < 0.003, "{product}");
    }
}
