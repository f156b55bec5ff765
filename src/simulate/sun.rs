//! Where the sun is and how far: the simulator's own, so that it can contradict the pipeline's.

use super::ellipsoid::Geodetic;
use super::vector::{Vec3, dot};

/// Sun as seen from a point of the ground.
#[derive(Debug, Clone, Copy)]
pub(super) struct SunPosition {
    /// Geometric zenith angle, degrees.
    pub zenith_deg: f64,
    /// Degrees clockwise from north.
    pub azimuth_deg: f64,
    /// Astronomical units.
    pub distance_au: f64,
}

/// Sun position at a time.
///
/// # Units
/// `unix_s`: seconds since 1970-01-01 UTC.
///
/// # Reference
/// Meeus, Astronomical Algorithms, 2nd edition: chapter 25 (low accuracy, with the apparent place), 12 (sidereal time),
/// 22 (obliquity), 40 (parallax).
pub(super) fn sun_position(unix_s: f64, place: Geodetic) -> SunPosition {
    /// Terrestrial time minus universal time, seconds, about right for the 2020s; one second moves the sun by 0.00001°.
    const DELTA_T_S: f64 = 72.0;
    let days = unix_s / 86_400.0 - 10_957.5;
    let t = (days + DELTA_T_S / 86_400.0) / 36_525.0;

    let mean_longitude = 280.46646 + t * (36_000.769_83 + t * 0.000_303_2);
    let anomaly_deg = 357.529_11 + t * (35_999.050_29 - t * 0.000_153_7);
    let anomaly = anomaly_deg.to_radians();
    let eccentricity = 0.016_708_634 - t * (0.000_042_037 + t * 0.000_000_126_7);
    let center = (1.914_602 - t * (0.004_817 + t * 0.000_014)) * anomaly.sin()
        + (0.019_993 - 0.000_101 * t) * (2.0 * anomaly).sin()
        + 0.000_289 * (3.0 * anomaly).sin();
    let true_anomaly = (anomaly_deg + center).to_radians();
    let distance_au = 1.000_001_018 * (1.0 - eccentricity * eccentricity) / (1.0 + eccentricity * true_anomaly.cos());

    let node = (125.04 - 1_934.136 * t).to_radians();
    let nutation_deg = -0.004_78 * node.sin();
    let longitude = (mean_longitude + center - 0.005_69 + nutation_deg).to_radians();
    let obliquity = (23.439_291 - 0.013_004_2 * t + 0.002_56 * node.cos()).to_radians();
    let sidereal_deg =
        280.460_618_37 + 360.985_647_366_29 * days + 0.000_387_933 * t * t + nutation_deg * obliquity.cos();

    let right_ascension = (obliquity.cos() * longitude.sin()).atan2(longitude.cos());
    let declination = (obliquity.sin() * longitude.sin()).asin();
    let greenwich_hour = sidereal_deg.rem_euclid(360.0).to_radians() - right_ascension;
    let direction: Vec3 =
        [declination.cos() * greenwich_hour.cos(), -declination.cos() * greenwich_hour.sin(), declination.sin()];

    let [east, north, up] = place.east_north_up().map(|axis| dot(axis, direction));
    let geocentric_zenith = east.hypot(north).atan2(up);
    /// Horizontal parallax of the sun at 1 au: 8.794 arc seconds.
    const PARALLAX_DEG: f64 = 8.794 / 3600.0;
    SunPosition {
        zenith_deg: geocentric_zenith.to_degrees() + PARALLAX_DEG / distance_au * geocentric_zenith.sin(),
        azimuth_deg: east.atan2(north).to_degrees().rem_euclid(360.0),
        distance_au,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NREL SPA as implemented in pvlib 0.16.1: time, latitude, longitude, zenith, azimuth, distance.
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
        for (time, lat_deg, lon_deg, zenith, azimuth, distance) in SPA {
            let time: jiff::Timestamp = time.parse().unwrap();
            let sun = sun_position(time.as_second() as f64, Geodetic { lon_deg, lat_deg, height_m: 0.0 });
            assert!((sun.zenith_deg - zenith).abs() < 0.01, "{time}: {} for {zenith}", sun.zenith_deg);
            let turn = (sun.azimuth_deg - azimuth) * zenith.to_radians().sin();
            assert!(turn.abs() < 0.01, "{time}: {} for {azimuth}", sun.azimuth_deg);
            assert!((sun.distance_au - distance).abs() < 1e-4, "{time}: {} for {distance}", sun.distance_au);
        }
    }
}
