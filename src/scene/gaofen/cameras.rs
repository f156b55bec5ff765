//! The cameras of GF-1, GF-1B/C/D, GF-2 and GF-6: band order and spectral limits.

use crate::scene::Role;
use crate::units::RangeNm;

/// Role and limits of a band, nanometres.
type Bands = &'static [(Role, f64, f64)];

const PAN: Bands = &[(Role::Pan, 450.0, 900.0)];

/// Multispectral camera with pan, and the wide-field cameras of GF-1.
const FOUR: Bands =
    &[(Role::B, 450.0, 520.0), (Role::G, 520.0, 590.0), (Role::R, 630.0, 690.0), (Role::N, 770.0, 890.0)];

/// Wide-field camera of GF-6, in file order.
const EIGHT: Bands = &[
    (Role::B, 450.0, 520.0),
    (Role::G, 520.0, 590.0),
    (Role::R, 630.0, 690.0),
    (Role::N, 770.0, 890.0),
    (Role::Re1, 690.0, 730.0),
    (Role::Re2, 730.0, 770.0),
    (Role::A, 400.0, 450.0),
    (Role::Y, 590.0, 630.0),
];

/// Bands of an image of `count` bands in file order; `None` when the camera has no such image.
///
/// # Units
/// Nanometres.
///
/// # Reference
/// Peng and Zhang, Remote Sensing for Land and Resources 31(4), 2019, table 1 (GF-1); WMO OSCAR and eoPortal as compiled at
/// eo-atlas.org/products/sensor/wfv (GF-1 and GF-6 wide-field cameras). GF-1B/C/D, GF-2 and GF-6 PMS have the limits of
/// GF-1's; order of GF-6's eight bands: desertstsung/Snowy-Dove, `src/sd_wavelength.pro`.
pub(super) fn bands(satellite: &str, sensor: &str, count: usize) -> Option<impl Iterator<Item = (Role, RangeNm)>> {
    let wide = sensor.starts_with("WFV");
    let bands = match (wide, count) {
        (false, 1) => PAN,
        (false, 4) => FOUR,
        (true, 4) if satellite == "GF1" => FOUR,
        (true, 8) if satellite == "GF6" => EIGHT,
        _ => return None,
    };
    Some(bands.iter().map(|(role, min, max)| (*role, RangeNm { min: *min, max: *max })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(satellite: &str, sensor: &str, count: usize) -> Option<Vec<&'static str>> {
        bands(satellite, sensor, count).map(|b| b.map(|(role, _)| role.code()).collect())
    }

    #[test]
    fn order_depends_on_the_camera() {
        assert_eq!(roles("GF2", "PMS1", 4), Some(vec!["B", "G", "R", "N"]));
        assert_eq!(roles("GF1", "PMS1", 1), Some(vec!["PAN"]));
        assert_eq!(roles("GF6", "WFV", 8), Some(vec!["B", "G", "R", "N", "RE1", "RE2", "A", "Y"]));
        for (satellite, sensor, count) in
            [("GF6", "WFV", 4), ("GF1", "WFV1", 1), ("GF1", "WFV1", 8), ("GF1", "PMS1", 3)]
        {
            assert_eq!(roles(satellite, sensor, count), None, "{satellite} {sensor} {count}");
        }
    }

    /// Centre wavelengths of the measured responses (Snowy-Dove, `sd_wavelength.pro`) lie in the limits.
    #[test]
    fn limits_hold_the_measured_centres() {
        let centres = |satellite, sensor, list: &[f64]| {
            for ((role, range), nm) in bands(satellite, sensor, list.len()).unwrap().zip(list) {
                assert!((range.min..=range.max).contains(nm), "{satellite} {sensor} {role}: {nm} in {range:?}");
            }
        };
        centres("GF1", "WFV1", &[483.0, 554.0, 657.0, 824.0]);
        centres("GF1", "PMS1", &[495.0, 554.0, 665.0, 823.0]);
        centres("GF2", "PMS1", &[492.0, 555.0, 665.0, 821.0]);
        centres("GF6", "PMS", &[491.0, 565.0, 659.0, 820.0]);
        centres("GF6", "WFV", &[488.0, 558.0, 659.0, 826.0, 701.0, 749.0, 432.0, 609.0]);
    }
}
