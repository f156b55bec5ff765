//! The WGS 84 ellipsoid, and the plane the scene is painted on.
//!
//! Longitudes and latitudes are degrees, heights metres above the ellipsoid. The plane is *linear* in longitude and
//! latitude, so a position on it needs no projection; nothing here may call the code the pipeline uses for the same.

use super::vector::{Vec3, dot};

/// Semi-major axis, metres.
///
/// # Reference
/// NIMA TR8350.2, WGS 84.
pub(super) const A: f64 = 6_378_137.0;
/// Flattening.
pub(super) const F: f64 = 1.0 / 298.257_223_563;
/// First eccentricity squared.
pub(super) const E2: f64 = F * (2.0 - F);

/// A point by longitude, latitude and ellipsoidal height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geodetic {
    pub lon_deg: f64,
    pub lat_deg: f64,
    pub height_m: f64,
}

impl Geodetic {
    /// Earth-centred coordinates, metres.
    pub(super) fn to_ecef(self) -> Vec3 {
        let (sin_lat, cos_lat) = self.lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.lon_deg.to_radians().sin_cos();
        let n = A / (1.0 - E2 * sin_lat * sin_lat).sqrt();
        let p = (n + self.height_m) * cos_lat;
        [p * cos_lon, p * sin_lon, (n * (1.0 - E2) + self.height_m) * sin_lat]
    }

    /// The point with these Earth-centred coordinates, for points near the surface.
    ///
    /// # Reference
    /// Bowring, "Transformation from spatial to geographical coordinates", Survey Review 23 (1976); two rounds leave
    /// less than a nanometre below 10 km.
    pub(super) fn from_ecef(p: Vec3) -> Self {
        let radial = p[0].hypot(p[1]);
        let b = A * (1.0 - F);
        let second = E2 / (1.0 - E2);
        let mut reduced_tan = p[2] / ((1.0 - F) * radial);
        let mut tan_lat = 0.0;
        for _ in 0..2 {
            let cos = 1.0 / (1.0 + reduced_tan * reduced_tan).sqrt();
            let sin = reduced_tan * cos;
            tan_lat = (p[2] + second * b * sin.powi(3)) / (radial - E2 * A * cos.powi(3));
            reduced_tan = (1.0 - F) * tan_lat;
        }
        let cos_lat = 1.0 / (1.0 + tan_lat * tan_lat).sqrt();
        let sin_lat = tan_lat * cos_lat;
        let height_m = radial * cos_lat + p[2] * sin_lat - A * (1.0 - E2 * sin_lat * sin_lat).sqrt();
        Self { lon_deg: p[1].atan2(p[0]).to_degrees(), lat_deg: tan_lat.atan().to_degrees(), height_m }
    }

    /// Unit vectors to the east, the north and the zenith.
    pub(super) fn east_north_up(self) -> [Vec3; 3] {
        let (sin_lat, cos_lat) = self.lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.lon_deg.to_radians().sin_cos();
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    }

    /// Elevation and azimuth (clockwise from north) of a direction seen from here, degrees.
    pub(super) fn look_angles(self, direction: Vec3) -> (f64, f64) {
        let [east, north, up] = self.east_north_up().map(|axis| dot(axis, direction));
        (up.atan2(east.hypot(north)).to_degrees(), east.atan2(north).to_degrees().rem_euclid(360.0))
    }
}

/// The scene plane: metres east and north of the scene centre along its parallel and meridian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub lon_deg: f64,
    pub lat_deg: f64,
    pub m_per_lon_deg: f64,
    pub m_per_lat_deg: f64,
}

impl Plane {
    /// The plane whose origin is at this longitude and latitude.
    pub(super) fn at(lon_deg: f64, lat_deg: f64) -> Self {
        let (sin, cos) = lat_deg.to_radians().sin_cos();
        let w2 = 1.0 - E2 * sin * sin;
        let prime_vertical = A / w2.sqrt();
        let meridian = A * (1.0 - E2) / (w2 * w2.sqrt());
        Self {
            lon_deg,
            lat_deg,
            m_per_lon_deg: (prime_vertical * cos).to_radians(),
            m_per_lat_deg: meridian.to_radians(),
        }
    }

    /// Position on the plane of a longitude and latitude.
    pub(super) fn xy(&self, lon_deg: f64, lat_deg: f64) -> (f64, f64) {
        ((lon_deg - self.lon_deg) * self.m_per_lon_deg, (lat_deg - self.lat_deg) * self.m_per_lat_deg)
    }

    /// Longitude and latitude of a position on the plane.
    pub(super) fn lon_lat(&self, x: f64, y: f64) -> (f64, f64) {
        (self.lon_deg + x / self.m_per_lon_deg, self.lat_deg + y / self.m_per_lat_deg)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vector::{norm, sub};
    use super::*;

    #[test]
    fn earth_centred_coordinates_of_known_points() {
        let equator = Geodetic { lon_deg: 90.0, lat_deg: 0.0, height_m: 100.0 }.to_ecef();
        assert!((equator[1] - 6_378_237.0).abs() < 1e-9 && equator[0].abs() < 1e-9, "{equator:?}");
        // pyproj 3.7, EPSG:4979 to EPSG:4978.
        let p = Geodetic { lon_deg: 125.35, lat_deg: 43.88, height_m: 220.0 }.to_ecef();
        let expected = [-2_664_247.708_487_0, 3_755_897.804_456_2, 4_398_643.219_450_4];
        assert!(norm(sub(p, expected)) < 1e-3, "{p:?}");
    }

    proptest::proptest! {
        #[test]
        fn ecef_round_trip(lon in -180.0..180.0f64, lat in -85.0..85.0f64, h in -500.0..9000.0f64) {
            let p = Geodetic { lon_deg: lon, lat_deg: lat, height_m: h }.to_ecef();
            let back = Geodetic::from_ecef(p);
            proptest::prop_assert!(norm(sub(back.to_ecef(), p)) < 1e-8);
            proptest::prop_assert!((back.height_m - h).abs() < 1e-8);
        }
    }

    #[test]
    fn plane_metres_are_metres_near_the_centre() {
        let plane = Plane::at(125.35, 43.88);
        let origin = Geodetic { lon_deg: 125.35, lat_deg: 43.88, height_m: 0.0 }.to_ecef();
        for (x, y) in [(100.0, 0.0), (0.0, 100.0), (60.0, -80.0)] {
            let (lon_deg, lat_deg) = plane.lon_lat(x, y);
            let p = Geodetic { lon_deg, lat_deg, height_m: 0.0 }.to_ecef();
            assert!((norm(sub(p, origin)) - 100.0).abs() < 1e-2);
            let back = plane.xy(lon_deg, lat_deg);
            assert!((back.0 - x).abs() < 1e-7 && (back.1 - y).abs() < 1e-7);
        }
    }

    #[test]
    fn look_angles_of_the_axes() {
        let here = Geodetic { lon_deg: 12.0, lat_deg: -34.0, height_m: 5.0 };
        let [east, north, up] = here.east_north_up();
        assert!((here.look_angles(up).0 - 90.0).abs() < 1e-6);
        assert!((here.look_angles(east).1 - 90.0).abs() < 1e-9);
        assert!(here.look_angles(north).1.min(360.0 - here.look_angles(north).1) < 1e-9);
    }
}
