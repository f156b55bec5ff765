//! Linear scaling: DN to radiance or reflectance.
//!
//! It is not a pass of its own. Interpolation weights add up to one, so DN can be resampled as they are, and whoever
//! reads a plane applies its function in `f64`: the physical value is never rounded before it is stored.

/// `value = gain · sample + bias`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Value per sample unit.
    pub gain: f64,
    /// Value of sample 0.
    pub bias: f64,
}

impl Linear {
    /// The function that changes nothing.
    pub const IDENTITY: Self = Self { gain: 1.0, bias: 0.0 };

    /// The value of a sample. NaN stays NaN.
    #[inline(always)]
    pub fn apply(self, sample: f64) -> f64 {
        self.gain * sample + self.bias
    }

    /// This function with its value multiplied by `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { gain: self.gain * factor, bias: self.bias * factor }
    }
}
