//! Sums over lit pixels: what night-light indices are made of.

/// Sums of one band. Merging order matters in the last digits: merge in a fixed order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lights {
    /// Valid pixels.
    pub valid: u64,
    /// Valid pixels at or above the threshold.
    pub lit: u64,
    /// Sum over all valid pixels, signed: noise about zero cancels.
    pub sum: f64,
    /// Sum over lit pixels.
    pub lit_sum: f64,
    /// Largest value of a lit pixel; 0 while there is none.
    pub lit_max: f64,
}

impl Lights {
    /// Sums of these samples, in their order.
    ///
    /// # Invalid pixels
    /// NaN does not count.
    pub fn of(samples: impl Iterator<Item = f32>, threshold: f64) -> Self {
        let mut s = Self::default();
        for v in samples.map(f64::from).filter(|v| !v.is_nan()) {
            s.valid += 1;
            s.sum += v;
            if v >= threshold {
                s.lit += 1;
                s.lit_sum += v;
                s.lit_max = s.lit_max.max(v);
            }
        }
        s
    }

    /// Adds the sums of another set.
    pub fn merge(&mut self, other: &Self) {
        self.valid += other.valid;
        self.lit += other.lit;
        self.sum += other.sum;
        self.lit_sum += other.lit_sum;
        self.lit_max = self.lit_max.max(other.lit_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lit_pixels_are_those_at_the_threshold_or_above() {
        let samples = [0.5f32, f32::NAN, -0.25, 1.0, 0.5, 0.25];
        let all = Lights::of(samples.into_iter(), 0.5);
        assert_eq!(all, Lights { valid: 5, lit: 3, sum: 2.0, lit_sum: 2.0, lit_max: 1.0 });
        let mut parts = Lights::of(samples[..2].iter().copied(), 0.5);
        parts.merge(&Lights::of(samples[2..].iter().copied(), 0.5));
        assert_eq!(parts, all);
        assert_eq!(Lights::of(std::iter::empty(), 0.0), Lights::default());
    }
}
