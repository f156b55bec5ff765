//! The sun's spectrum above the atmosphere, as data, and its mean over a band.
//!
//! The spectrum's name goes into every product made with it: another spectrum moves green reflectance by 2.5 %.

use std::sync::LazyLock;

use crate::units::RangeNm;

/// Name of the spectrum, as written to metadata.
pub const SPECTRUM: &str = "ASTM G173-03 extraterrestrial";

static TABLE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| parse(include_str!("astm_g173_etr.csv")));

/// Samples (nm, W·m⁻²·nm⁻¹) of the table; what is not a pair of numbers is a heading.
fn parse(text: &str) -> Vec<(f64, f64)> {
    let pair = |line: &str| {
        let (nm, irradiance) = line.split_once(',')?;
        Some((nm.parse().ok()?, irradiance.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// First and last wavelength of the spectrum, nanometres.
pub fn covered() -> RangeNm {
    let edge = |sample: Option<&(f64, f64)>| sample.map_or(f64::NAN, |s| s.0);
    RangeNm { min: edge(TABLE.first()), max: edge(TABLE.last()) }
}

/// Mean irradiance over `range` at 1 AU, every wavelength counting the same; `None` outside the spectrum.
///
/// # Units
/// W·m⁻²·µm⁻¹.
///
/// # Reference
/// Trapezoid rule on the table's own samples, with the two edges interpolated.
pub fn band_irradiance(range: RangeNm) -> Option<f64> {
    let covered = covered();
    let inside = range.min >= covered.min && range.max <= covered.max && range.min < range.max;
    if !inside {
        return None;
    }
    let mut area = 0.0;
    for (&(x0, y0), &(x1, y1)) in TABLE.iter().zip(TABLE.iter().skip(1)) {
        let (a, b) = (x0.max(range.min), x1.min(range.max));
        if a < b {
            let at = |x: f64| y0 + (y1 - y0) * (x - x0) / (x1 - x0);
            area += 0.5 * (at(a) + at(b)) * (b - a);
        }
    }
    Some(area / range.width() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_means_lie_within_the_spread_of_published_spectra() {
        // Lowest and highest mean of Thuillier 2003, TSIS-1 HSRS, TSIS-1 v2, Gueymard 2018 and Kurucz 1992.
        let spread = [
            (450.0, 520.0, 1979.01, 2000.43),
            (520.0, 600.0, 1816.76, 1864.20),
            (630.0, 690.0, 1536.02, 1555.44),
            (770.0, 890.0, 1048.11, 1054.48),
            (500.0, 800.0, 1556.39, 1577.05),
            (450.0, 800.0, 1623.86, 1642.90),
            (450.0, 700.0, 1765.41, 1792.57),
        ];
        for (min, max, low, high) in spread {
            let e0 = band_irradiance(RangeNm { min, max }).unwrap();
            assert!(e0 > low * (1.0 - 0.026) && e0 < high * (1.0 + 0.026), "{min}-{max}: {e0}");
        }
    }

    #[test]
    fn the_whole_table_was_read_and_ascends() {
        assert_eq!((covered().min, covered().max), (350.0, 2500.0));
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0 && w[1].1 > 0.0));
    }

    #[test]
    fn edges_between_samples_are_interpolated() {
        let whole = band_irradiance(RangeNm { min: 600.0, max: 602.0 }).unwrap();
        let left = band_irradiance(RangeNm { min: 600.0, max: 600.7 }).unwrap();
        let right = band_irradiance(RangeNm { min: 600.7, max: 602.0 }).unwrap();
        assert!((whole - (0.35 * left + 0.65 * right)).abs() < 1e-9);
    }

    #[test]
    fn a_band_outside_the_spectrum_has_no_mean() {
        assert_eq!(band_irradiance(RangeNm { min: 300.0, max: 400.0 }), None);
        assert_eq!(band_irradiance(RangeNm { min: 2400.0, max: 2600.0 }), None);
        assert_eq!(band_irradiance(RangeNm { min: 500.0, max: 500.0 }), None);
        assert_eq!(band_irradiance(RangeNm { min: f64::NAN, max: 500.0 }), None);
    }
}
