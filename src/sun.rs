//! Where the sun stands and how far it is.
//!
//! Angles are geometric (true, not refracted): reflectance and 6S both want the angle without refraction. Times are UTC;
//! the minute between UTC and dynamical time moves the sun by less than 0.001° and is left out. Good to 0.02° and
//! 1e-4 AU between 1950 and 2050.

use jiff::Timestamp;

/// Direction to the sun from a place on the ground.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct SunPosition {
    /// Geometric zenith angle, degrees; above 90 the sun is below the horizon.
    pub zenith_deg: f64,
    /// Degrees clockwise from north, 0 to 360.
    pub azimuth_deg: f64,
}

/// Noon of 2000-01-01 UTC in seconds since 1970.
const J2000_SECONDS: f64 = 946_728_000.0;

/// Parallax of the sun on the horizon, degrees.
const PARALLAX_DEG: f64 = 8.794 / 3600.0;

/// Days, with fraction, since noon of 2000-01-01.
fn days_since_j2000(time: Timestamp) -> f64 {
    let seconds = time.as_second() as f64 + f64::from(time.subsec_nanosecond()) * 1e-9;
    (seconds - J2000_SECONDS) / 86_400.0
}

/// Distance from the Earth to the sun at `time`.
///
/// # Units
/// Astronomical units.
///
/// # Reference
/// The Astronomical Almanac, page C5 (low precision formulas for the sun's coordinates).
pub fn earth_sun_distance_au(time: Timestamp) -> f64 {
    let g = (357.529 + 0.985_600_28 * days_since_j2000(time)).to_radians();
    1.000_14 - 0.016_71 * g.cos() - 0.000_14 * (2.0 * g).cos()
}

/// Direction to the sun from (`lat_deg`, `lon_deg`) at `time`.
///
/// # Units
/// Degrees; longitude positive to the east.
///
/// # Reference
/// J. J. Michalsky, The Astronomical Almanac's algorithm for approximate solar position (1950–2050), Solar Energy 40(3),
/// 1988, with the parallax added.
pub fn sun_position(time: Timestamp, lat_deg: f64, lon_deg: f64) -> SunPosition {
    let days = days_since_j2000(time);
    let mean_longitude = 280.460 + 0.985_647_4 * days;
    let g = (357.528 + 0.985_600_3 * days).to_radians();
    let ecliptic_longitude = (mean_longitude + 1.915 * g.sin() + 0.020 * (2.0 * g).sin()).to_radians();
    let obliquity = (23.439 - 0.000_000_4 * days).to_radians();
    let right_ascension = (obliquity.cos() * ecliptic_longitude.sin()).atan2(ecliptic_longitude.cos());
    let sin_declination = obliquity.sin() * ecliptic_longitude.sin();
    let cos_declination = (1.0 - sin_declination * sin_declination).sqrt();

    let hour_utc = (days + 0.5).rem_euclid(1.0) * 24.0;
    let sidereal_hours = 6.697_375 + 0.065_709_824_2 * days + hour_utc + lon_deg / 15.0;
    let hour_angle = (sidereal_hours * 15.0).to_radians() - right_ascension;

    let (sin_lat, cos_lat) = lat_deg.to_radians().sin_cos();
    let sin_elevation = sin_declination * sin_lat + cos_declination * cos_lat * hour_angle.cos();
    let zenith_deg = sin_elevation.clamp(-1.0, 1.0).acos().to_degrees();
    let east = -cos_declination * hour_angle.sin();
    let north = sin_declination * cos_lat - cos_declination * sin_lat * hour_angle.cos();
    SunPosition {
        zenith_deg: zenith_deg + PARALLAX_DEG * zenith_deg.to_radians().sin(),
        azimuth_deg: east.atan2(north).to_degrees().rem_euclid(360.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NREL SPA (Reda and Andreas 2004) as pvlib 0.16.1 computes it: UTC, latitude, longitude, true zenith, azimuth, AU.
    const SPA: [(&str, f64, f64, f64, f64, f64); 20] = [
        ("2018-06-21T02:40:00Z", 43.88, 125.32, 23.914975, 143.852599, 1.01621229),
        ("2019-01-03T03:05:12Z", 45.75, 126.65, 69.001173, 172.005436, 0.98330197),
        ("2020-02-29T02:55:30Z", 41.8, 123.43, 51.699540, 159.866135, 0.99063426),
        ("2020-07-04T02:30:00Z", 43.17, 124.35, 25.832701, 135.749201, 1.01669394),
        ("2021-03-20T09:37:27Z", 0.0, 0.0, 37.498682, 89.999866, 0.99590385),
        ("2021-09-22T19:21:03Z", -33.87, 151.21, 95.525840, 93.721715, 1.00354906),
        ("2022-05-16T01:58:11Z", 47.35, 130.3, 32.349999, 144.384730, 1.01093750),
        ("2022-08-15T03:12:45Z", 44.55, 122.85, 31.665131, 161.077892, 1.01286380),
        ("2023-10-01T05:40:00Z", 30.66, 104.06, 35.523945, 200.225690, 1.00132568),
        ("2023-12-22T03:27:00Z", 43.88, 125.32, 67.359511, 177.521140, 0.98372894),
        ("2024-02-29T12:00:00Z", 51.48, 0.0, 59.215006, 176.424738, 0.99070712),
        ("2024-04-08T18:18:00Z", 25.29, -104.14, 20.129140, 149.830640, 1.00150672),
        ("2024-07-05T05:06:00Z", 29.65, 91.13, 13.960326, 116.518381, 1.01672621),
        ("2025-01-04T13:28:00Z", 64.15, -21.94, 86.813254, 178.879351, 0.98332736),
        ("2025-06-21T10:42:00Z", 23.44, 113.2, 83.648516, 292.825979, 1.01622822),
        ("2025-11-11T02:47:35Z", 43.9, 126.57, 61.747899, 171.836995, 0.99011651),
        ("2026-03-08T01:45:00Z", 48.0, 134.2, 56.432482, 153.068880, 0.99248889),
        ("2026-08-12T17:46:00Z", 40.4, -3.7, 74.110391, 276.112931, 1.01329134),
        ("2027-05-02T06:20:10Z", 39.47, 75.99, 25.197634, 161.083882, 1.00770911),
        ("2030-09-23T02:10:00Z", 42.9, 129.5, 45.316399, 157.012687, 1.00361834),
    ];

    #[test]
    fn agrees_with_spa() {
        let mut worst = (0.0f64, 0.0f64, 0.0f64);
        for (utc, lat, lon, zenith, azimuth, au) in SPA {
            let time: Timestamp = utc.parse().unwrap();
            let sun = sun_position(time, lat, lon);
            let turn = (sun.azimuth_deg - azimuth + 180.0).rem_euclid(360.0) - 180.0;
            worst.0 = worst.0.max((sun.zenith_deg - zenith).abs());
            // An azimuth near the zenith says little: what matters is the arc on the sky.
            worst.1 = worst.1.max((turn * zenith.to_radians().sin()).abs());
            worst.2 = worst.2.max((earth_sun_distance_au(time) - au).abs());
        }
        assert!(worst.0 < 0.02 && worst.1 < 0.02 && worst.2 < 1e-4, "{worst:?}");
    }

    #[test]
    fn the_fraction_of_a_second_counts_and_old_dates_do_not_break() {
        let a = sun_position("2024-04-08T18:18:00Z".parse().unwrap(), 25.0, 100.0);
        let b = sun_position("2024-04-08T18:18:00.5Z".parse().unwrap(), 25.0, 100.0);
        assert_ne!(a, b);
        let old = sun_position("1951-01-01T00:00:00Z".parse().unwrap(), 43.88, 125.32);
        assert!((0.0..=180.0).contains(&old.zenith_deg) && (0.0..360.0).contains(&old.azimuth_deg));
    }
}
