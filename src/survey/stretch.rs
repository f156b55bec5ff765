//! The range of a band that is worth showing.

use serde::{Deserialize, Serialize};

/// What becomes black and what becomes white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// DN of black.
    pub low: f64,
    /// DN of white, above `low`.
    pub high: f64,
    /// DN of white where little is bright and that is what matters, as at night; not below `high`.
    pub highlight: f64,
}

/// Shares of the valid samples below black, below white, and below the highlights: the stretch most viewers offer first,
/// and one sample in a thousand.
const SHARES: (f64, f64, f64) = (0.02, 0.98, 0.999);

/// Measures the range in windows of DN. Without a valid sample it is 0 to 1.
pub fn measure(windows: &[Vec<f32>]) -> Range {
    let mut valid: Vec<f32> = windows.iter().flatten().copied().filter(|v| !v.is_nan()).collect();
    if valid.is_empty() {
        return Range { low: 0.0, high: 1.0, highlight: 1.0 };
    }
    let mut at = |share: f64| {
        let k = ((valid.len() - 1) as f64 * share).round() as usize;
        f64::from(*valid.select_nth_unstable_by(k, f32::total_cmp).1)
    };
    let (low, high) = (at(SHARES.0), at(SHARES.1));
    let high = if high > low { high } else { low + 1.0 };
    Range { low, high, highlight: at(SHARES.2).max(high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_cut_off() {
        let windows: Vec<Vec<f32>> = (0..10)
            .map(|w| (0..101).map(|k| if k == 100 { f32::NAN } else { (w * 100 + k) as f32 }).collect())
            .collect();
        assert_eq!(measure(&windows), Range { low: 20.0, high: 979.0, highlight: 998.0 });
        assert_eq!(measure(&[vec![5.0; 9]]), Range { low: 5.0, high: 6.0, highlight: 6.0 });
        assert_eq!(measure(&[vec![f32::NAN; 9]]), Range { low: 0.0, high: 1.0, highlight: 1.0 });
    }
}
