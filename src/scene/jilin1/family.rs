//! What is known of the Jilin-1 cameras that their files do not say: band order and spectral limits.
//!
//! A limit that no vendor document states is marked as assumed, and the reader warns of it.

use crate::scene::Role;
use crate::units::RangeNm;

/// A camera of a satellite, by the vendor's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Camera {
    /// `JL1KF01A`.
    pub satellite: String,
    /// `PMS06`; empty when not known, as of mosaics.
    pub sensor: String,
}

/// Band limits of a camera: role, lower and upper edge in nanometres, and whether they are assumed.
type Limits = [(Role, f64, f64, bool)];

/// Satellite as its family is known: without the constellation's prefix, `GF03B`, `KF01A`, `01A`.
fn family(satellite: &str) -> String {
    let upper = satellite.to_ascii_uppercase();
    ["JL1", "JX"].iter().find_map(|p| upper.strip_prefix(p)).unwrap_or(&upper).to_string()
}

/// Roles of a multispectral file of `count` bands; `None` when the order is not known.
///
/// # Reference
/// CATALYST GDB help pages Jilin-1, Jilin-1-03B, JL1GF03 (RGB of 03B and GF03C; B, G, R of 01A); published radiometric
/// scripts for JL105B, JL107B and JL1GF03C night images (R, G, B).
pub(super) fn multispectral_roles(camera: &Camera, count: usize) -> Option<&'static [Role]> {
    match count {
        4 => Some(&[Role::B, Role::G, Role::R, Role::N]),
        3 if family(&camera.satellite) == "01A" => Some(&[Role::B, Role::G, Role::R]),
        3 if is_color_camera(camera) => Some(&[Role::R, Role::G, Role::B]),
        _ => None,
    }
}

/// True for the cameras of three colours that take night images and video.
fn is_color_camera(camera: &Camera) -> bool {
    let family = family(&camera.satellite);
    let night_camera = camera.sensor.to_ascii_uppercase().starts_with("MSS");
    family == "03B" || family.starts_with("GF03C") || (night_camera && (family == "05B" || family == "07B"))
}

/// True for the hyperspectral satellites, whose bands stand in a file each.
pub(super) fn is_hyperspectral(satellite: &str) -> bool {
    family(satellite).starts_with("GP")
}

/// Number of bands of a hyperspectral scene; the lists of its metadata have as many items, from B0 on.
pub(super) const GP_BANDS: usize = 20;

/// Role of band `number` of a hyperspectral scene. What five of them are is known; the others are what they are called.
///
/// # Reference
/// go-bananas-wwj/xuannv_embedding, docs/data-preparation-v5.md (B0 panchromatic, B3 to B6 blue, green, red, near
/// infrared).
pub(super) fn gp_role(number: u8) -> Option<Role> {
    Some(match number {
        0 => Role::Pan,
        3 => Role::B,
        4 => Role::G,
        5 => Role::R,
        6 => Role::N,
        _ => Role::ALL.iter().copied().find(|r| r.common_name().is_none() && r.code() == format!("B{number}"))?,
    })
}

/// What a band of a hyperspectral scene calls itself, `B7(705)` or `B7(705.5nm)`: its number, and its wavelength if it
/// says one. Wavelengths differ from satellite to satellite, so they are taken from there and from nowhere else.
///
/// # Units
/// Nanometres.
pub(super) fn gp_description(text: &str) -> Option<(u8, Option<f64>)> {
    let text = text.trim();
    let rest = text.strip_prefix(['B', 'b'])?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(digits);
    let number = number.parse::<u8>().ok().filter(|n| usize::from(*n) < GP_BANDS)?;
    let rest = rest.trim();
    if rest.is_empty() {
        return Some((number, None));
    }
    let inner = rest.strip_prefix('(').or_else(|| rest.strip_prefix('（'))?;
    let inner = inner.strip_suffix(')').or_else(|| inner.strip_suffix('）'))?.trim();
    let wavelength = inner.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim().parse::<f64>().ok();
    Some((number, wavelength.filter(|w| (100.0..=20_000.0).contains(w))))
}

/// Spectral range of a band and whether it is assumed.
///
/// # Units
/// Nanometres.
///
/// # Reference
/// CATALYST GDB help pages Jilin-1 (01A) and JL1GF03 (GF03B, GF03D). Colour cameras: those quoted for JL1-3B in Zheng et
/// al., Remote Sensing of Environment 215 (2018), which no vendor document repeats.
pub(super) fn range(camera: &Camera, role: Role) -> Option<(RangeNm, bool)> {
    const JL101A: &Limits = &[
        (Role::Pan, 500.0, 800.0, false),
        (Role::B, 450.0, 520.0, false),
        (Role::G, 520.0, 600.0, false),
        (Role::R, 630.0, 690.0, false),
    ];
    const GF03B: &Limits =
        &[(Role::Pan, 450.0, 700.0, false), (Role::B, 450.0, 510.0, false), (Role::G, 510.0, 580.0, true)];
    const GF03D: &Limits = &[(Role::Pan, 450.0, 700.0, false), (Role::B, 430.0, 520.0, false)];
    const COLOR: &Limits =
        &[(Role::B, 430.0, 512.0, true), (Role::G, 489.0, 585.0, true), (Role::R, 580.0, 720.0, true)];
    const GENERIC: &Limits = &[
        (Role::Pan, 450.0, 800.0, true),
        (Role::B, 450.0, 520.0, true),
        (Role::G, 520.0, 600.0, true),
        (Role::R, 630.0, 690.0, true),
        (Role::N, 770.0, 890.0, true),
    ];
    let own = match family(&camera.satellite).as_str() {
        "01A" => JL101A,
        f if f.starts_with("GF03B") => GF03B,
        f if f.starts_with("GF03D") => GF03D,
        _ if is_color_camera(camera) => COLOR,
        _ => &[],
    };
    let (_, min, max, assumed) = own.iter().chain(GENERIC).find(|(r, ..)| *r == role)?;
    Some((RangeNm { min: *min, max: *max }, *assumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(satellite: &str, sensor: &str) -> Camera {
        Camera { satellite: satellite.into(), sensor: sensor.into() }
    }

    #[test]
    fn bands_of_gp_scenes_are_known_by_name() {
        assert_eq!((0..20).filter_map(gp_role).collect::<std::collections::BTreeSet<_>>().len(), 20);
        assert_eq!((gp_role(5), gp_role(7).map(Role::code), gp_role(20)), (Some(Role::R), Some("B7"), None));
        assert_eq!(gp_description("B7(705)"), Some((7, Some(705.0))));
        assert_eq!(gp_description(" b13 （1610.5 nm）"), Some((13, Some(1610.5))));
        assert_eq!(gp_description("B3"), Some((3, None)));
        assert_eq!(gp_description("B3(blue)"), Some((3, None)));
        for text in ["", "B", "B20(1)", "Band 3", "7", "B3 705", "B7(705"] {
            assert_eq!(gp_description(text), None, "{text}");
        }
    }

    #[test]
    fn band_order_depends_on_the_family() {
        use Role::{B, G, N, R};
        assert_eq!(multispectral_roles(&name("JL1KF01A", "PMS06"), 4), Some(&[B, G, R, N][..]));
        assert_eq!(multispectral_roles(&name("JL101A", "PMS"), 3), Some(&[B, G, R][..]));
        assert_eq!(multispectral_roles(&name("JL1GF03C01", "MSS"), 3), Some(&[R, G, B][..]));
        assert_eq!(multispectral_roles(&name("JL107B", "MSS2"), 3), Some(&[R, G, B][..]));
        assert_eq!(multispectral_roles(&name("JL107B", "PMS1"), 3), None);
        assert_eq!(multispectral_roles(&name("JL1KF01A", "PMS06"), 3), None);
        assert_eq!(multispectral_roles(&name("JL1KF01A", "PMS06"), 5), None);
    }

    #[test]
    fn stated_limits_beat_assumed_ones() {
        let limits = |sat: &str, role| range(&name(sat, "PMS"), role).map(|(r, a)| (r.min, r.max, a));
        assert_eq!(limits("JL101A", Role::Pan), Some((500.0, 800.0, false)));
        assert_eq!(limits("JL1GF03B02", Role::B), Some((450.0, 510.0, false)));
        assert_eq!(limits("JL1GF03B02", Role::G), Some((510.0, 580.0, true)));
        assert_eq!(limits("JL1GF03D13", Role::B), Some((430.0, 520.0, false)));
        assert_eq!(limits("JL1GF03D13", Role::N), Some((770.0, 890.0, true)));
        assert_eq!(limits("DP07", Role::Pan), Some((450.0, 800.0, true)));
        assert_eq!(limits("DP07", Role::S1), None);
        let night = range(&name("JL107B", "MSS1"), Role::R).map(|(r, a)| (r.min, r.max, a));
        assert_eq!(night, Some((580.0, 720.0, true)));
        assert_eq!(limits("JL1GF03C01", Role::B), Some((430.0, 512.0, true)));
        assert_eq!(limits("JL107B", Role::R), Some((630.0, 690.0, true)));
    }
}
