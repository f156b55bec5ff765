//! The zone of the times in a Gaofen product, which no document and no file says.
//!
//! Public readers take the same element as UTC or as Beijing time. The product itself settles it: eight hours move the sun
//! by far more than its angles are wrong, so the zone is the one in which the stated sun stands over the scene. Where the
//! product does not settle it, Beijing time is taken, which is what the vendor's other times are in, and that is said.

use super::super::time::Stated;
use super::super::{Code, Sun, Warning, mean_lon_lat};
use crate::scene::assemble::Times;
use crate::sun::sun_position;

/// How far a stated sun may be from the computed one, degrees: rounded times and angles of another point of the scene are
/// below, another hour far above.
const ZENITH_TOLERANCE_DEG: f64 = 2.0;
const AZIMUTH_TOLERANCE_DEG: f64 = 8.0;

/// `times`, each read in the zone that fits the stated sun.
pub(super) fn settle(
    times: Times,
    corners: Option<[(f64, f64); 4]>,
    sun: Option<Sun>,
    warnings: &mut Vec<Warning>,
) -> Times {
    let Some(main) = times.center.as_ref().or(times.start.as_ref()).filter(|t| !t.zone_stated) else { return times };
    let Some(utc) = main.as_utc() else { return times };
    let fits = corners.zip(sun).map(|(corners, sun)| (fits(main, &corners, sun), fits(&utc, &corners, sun)));
    match fits {
        Some((true, false)) => times,
        Some((false, true)) => {
            let message = format!(
                "the sun in the metadata stands where it does at {} UTC: `{}` is read as UTC, not as Beijing time",
                utc.utc, main.text
            );
            warnings.push(Warning { code: Code::TimeZone, message });
            let turn = |t: Option<Stated>| t.and_then(|t| if t.zone_stated { Some(t) } else { t.as_utc() });
            Times { center: turn(times.center), start: turn(times.start), end: turn(times.end) }
        }
        _ => {
            let message = format!(
                "nothing settles the zone of `{}`: it is read as Beijing time, which is {} UTC",
                main.text, main.utc
            );
            warnings.push(Warning { code: Code::TimeZone, message });
            times
        }
    }
}

fn fits(time: &Stated, corners: &[(f64, f64); 4], sun: Sun) -> bool {
    let (lon, lat) = mean_lon_lat(corners);
    let at = sun_position(time.utc, lat, lon);
    let turn = |a: f64| ((a - at.azimuth_deg + 180.0).rem_euclid(360.0) - 180.0).abs();
    (sun.zenith.0 - at.zenith_deg).abs() <= ZENITH_TOLERANCE_DEG
        && sun.azimuth_deg.is_none_or(|a| turn(a) * at.zenith_deg.to_radians().sin() <= AZIMUTH_TOLERANCE_DEG)
}

#[cfg(test)]
mod tests {
    use super::super::super::time;
    use super::*;
    use crate::units::SunZenith;

    const CORNERS: [(f64, f64); 4] = [(107.9, 21.9), (108.2, 21.9), (108.2, 21.6), (107.9, 21.6)];

    fn times(text: &str) -> Times {
        Times { center: time::read(text, Some(time::beijing())), ..Times::default() }
    }

    /// The sun over the corners at a time in UTC.
    fn sun(utc: &str) -> Sun {
        let at = sun_position(utc.parse().unwrap(), 21.75, 108.05);
        Sun { zenith: SunZenith((at.zenith_deg * 10.0).round() / 10.0), azimuth_deg: Some(at.azimuth_deg.round()) }
    }

    fn settled(text: &str, sun: Option<Sun>) -> (String, usize) {
        let mut warnings = Vec::new();
        let times = settle(times(text), Some(CORNERS), sun, &mut warnings);
        (times.center.unwrap().utc.to_string(), warnings.len())
    }

    #[test]
    fn the_sun_settles_the_zone() {
        let morning = Some(sun("2025-04-02T03:30:00Z"));
        assert_eq!(settled("2025-04-02 11:30:00", morning), ("2025-04-02T03:30:00Z".into(), 0));
        assert_eq!(settled("2025-04-02 03:30:00", morning), ("2025-04-02T03:30:00Z".into(), 1));
        assert_eq!(settled("2025-04-02T03:30:00Z", morning), ("2025-04-02T03:30:00Z".into(), 0));
    }

    #[test]
    fn what_the_sun_does_not_settle_is_beijing_time_and_said() {
        assert_eq!(settled("2025-04-02 11:30:00", None), ("2025-04-02T03:30:00Z".into(), 1));
        let elsewhere = Some(Sun { zenith: SunZenith(60.0), azimuth_deg: Some(10.0) });
        assert_eq!(settled("2025-04-02 11:30:00", elsewhere), ("2025-04-02T03:30:00Z".into(), 1));
    }
}
