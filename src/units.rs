//! Physical quantities whose confusion is a classic mistake, as types.

use std::fmt;

/// Sun zenith angle in degrees, 0 overhead. Made from an elevation only through [`SunElevation`], so the two cannot be
/// swapped by accident.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct SunZenith(pub f64);

/// Sun elevation above the horizon in degrees, 90 overhead.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct SunElevation(pub f64);

impl From<SunElevation> for SunZenith {
    fn from(e: SunElevation) -> Self {
        Self(90.0 - e.0)
    }
}

impl From<SunZenith> for SunElevation {
    fn from(z: SunZenith) -> Self {
        Self(90.0 - z.0)
    }
}

/// A wavelength interval.
///
/// # Units
/// Nanometres.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RangeNm {
    /// Lower edge.
    pub min: f64,
    /// Upper edge.
    pub max: f64,
}

impl RangeNm {
    /// Middle of the interval, nanometres.
    pub fn center(self) -> f64 {
        0.5 * (self.min + self.max)
    }

    /// Width of the interval, nanometres.
    pub fn width(self) -> f64 {
        self.max - self.min
    }
}

/// Bytes, printed the way people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 { write!(f, "{} B", self.0) } else { write!(f, "{value:.1} {}", UNITS[unit]) }
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    /// Reads `2GiB`, `512 MiB`, `1GB` (decimal), `1048576`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is no amount of memory: write a number and a unit, such as `2GiB` or `512MiB`");
        let text_trimmed = text.trim();
        let split = text_trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text_trimmed.len());
        let (number, unit) = text_trimmed.split_at(split);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kib" => 1024.0,
            "m" | "mib" => 1024.0 * 1024.0,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "t" | "tib" => 1024.0f64.powi(4),
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        if !bytes.is_finite() || bytes < 0.0 || bytes > u64::MAX as f64 {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_the_way_people_write_them() {
        assert_eq!("2GiB".parse(), Ok(Bytes(2 << 30)));
        assert_eq!("512 MiB".parse(), Ok(Bytes(512 << 20)));
        assert_eq!("1.5g".parse(), Ok(Bytes(3 << 29)));
        assert_eq!("1GB".parse(), Ok(Bytes(1_000_000_000)));
        assert!("much".parse::<Bytes>().is_err());
        assert!("-1GiB".parse::<Bytes>().is_err());
        assert_eq!(Bytes(3 << 29).to_string(), "1.5 GiB");
    }

    #[test]
    fn elevation_and_zenith_are_complements() {
        assert_eq!(SunZenith::from(SunElevation(30.0)), SunZenith(60.0));
    }
}
