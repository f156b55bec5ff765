//! Universal Transverse Mercator on WGS 84, on its own series, so that the truth owes nothing to PROJ.

use super::ellipsoid::{A, E2, F};

/// Third flattening.
const N: f64 = F / (2.0 - F);
const SCALE: f64 = 0.9996;
const FALSE_EASTING: f64 = 500_000.0;
/// Rectifying radius times scale, metres.
const RADIUS: f64 = SCALE * A / (1.0 + N) * (1.0 + N * N / 4.0 + N * N * N * N / 64.0);
const ALPHA: [f64; 4] = [
    N / 2.0 - 2.0 / 3.0 * N * N + 5.0 / 16.0 * N * N * N + 41.0 / 180.0 * N * N * N * N,
    13.0 / 48.0 * N * N - 3.0 / 5.0 * N * N * N + 557.0 / 1440.0 * N * N * N * N,
    61.0 / 240.0 * N * N * N - 103.0 / 140.0 * N * N * N * N,
    49561.0 / 161_280.0 * N * N * N * N,
];
const BETA: [f64; 4] = [
    N / 2.0 - 2.0 / 3.0 * N * N + 37.0 / 96.0 * N * N * N - 1.0 / 360.0 * N * N * N * N,
    1.0 / 48.0 * N * N + 1.0 / 15.0 * N * N * N - 437.0 / 1440.0 * N * N * N * N,
    17.0 / 480.0 * N * N * N - 37.0 / 840.0 * N * N * N * N,
    4397.0 / 161_280.0 * N * N * N * N,
];

/// One zone.
///
/// # Reference
/// Krüger's series to the fourth order in the third flattening, as in Karney, "Transverse Mercator with an accuracy of a
/// few nanometers", J. Geodesy 85 (2011), equations 7 to 12 and 35 to 36; better than a micrometre within a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Utm {
    zone: u32,
    south: bool,
}

impl Utm {
    /// The zone of a longitude and latitude.
    pub(super) fn of(lon_deg: f64, lat_deg: f64) -> Self {
        let wrapped = (lon_deg + 180.0).rem_euclid(360.0);
        Self { zone: ((wrapped / 6.0) as u32).min(59) + 1, south: lat_deg < 0.0 }
    }

    /// EPSG code.
    pub(super) fn epsg(&self) -> u32 {
        self.zone + if self.south { 32700 } else { 32600 }
    }

    fn central_meridian_deg(&self) -> f64 {
        f64::from(self.zone) * 6.0 - 183.0
    }

    fn false_northing(&self) -> f64 {
        if self.south { 10_000_000.0 } else { 0.0 }
    }

    /// Easting and northing, metres, of a longitude and latitude in degrees.
    pub(super) fn forward(&self, lon_deg: f64, lat_deg: f64) -> (f64, f64) {
        let (sin_lon, cos_lon) = (lon_deg - self.central_meridian_deg()).to_radians().sin_cos();
        let sin_lat = lat_deg.to_radians().sin();
        let e = E2.sqrt();
        let t = (sin_lat.atanh() - e * (e * sin_lat).atanh()).sinh();
        let xi0 = t.atan2(cos_lon);
        let eta0 = (sin_lon / t.hypot(cos_lon)).asinh();
        let (mut xi, mut eta) = (xi0, eta0);
        for (j, a) in (1..).zip(ALPHA) {
            let k = 2.0 * f64::from(j);
            xi += a * (k * xi0).sin() * (k * eta0).cosh();
            eta += a * (k * xi0).cos() * (k * eta0).sinh();
        }
        (FALSE_EASTING + RADIUS * eta, self.false_northing() + RADIUS * xi)
    }

    /// Longitude and latitude, degrees, of an easting and northing in metres.
    pub(super) fn inverse(&self, easting: f64, northing: f64) -> (f64, f64) {
        let xi0 = (northing - self.false_northing()) / RADIUS;
        let eta0 = (easting - FALSE_EASTING) / RADIUS;
        let (mut xi, mut eta) = (xi0, eta0);
        for (j, b) in (1..).zip(BETA) {
            let k = 2.0 * f64::from(j);
            xi -= b * (k * xi0).sin() * (k * eta0).cosh();
            eta -= b * (k * xi0).cos() * (k * eta0).sinh();
        }
        let conformal_tan = xi.sin() / eta.sinh().hypot(xi.cos());
        let lon = eta.sinh().atan2(xi.cos());
        (self.central_meridian_deg() + lon.to_degrees(), latitude_from_conformal(conformal_tan).to_degrees())
    }
}

/// Latitude, radians, whose conformal latitude has this tangent: Newton's method, Karney's equations 19 to 21.
fn latitude_from_conformal(target: f64) -> f64 {
    let e = E2.sqrt();
    let mut tau = target / (1.0 - E2);
    for _ in 0..4 {
        let hyp = tau.hypot(1.0);
        let sigma = (e * (e * tau / hyp).atanh()).sinh();
        let conformal = tau * sigma.hypot(1.0) - sigma * hyp;
        let slope = (1.0 - E2) * conformal.hypot(1.0) * hyp / (1.0 + (1.0 - E2) * tau * tau);
        tau += (target - conformal) / slope;
    }
    tau.atan()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Crs, PointTransform};

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_proj_and_round_trips(lon in -179.9..179.9f64, lat in -80.0..80.0f64) {
            let utm = Utm::of(lon, lat);
            let (x, y) = utm.forward(lon, lat);
            let crs = Crs::from_epsg(utm.epsg()).unwrap();
            let transform = PointTransform::new(&Crs::wgs84(), &crs).unwrap();
            let (mut px, mut py) = ([lon], [lat]);
            transform.apply(&mut px, &mut py).unwrap();
            proptest::prop_assert!((x - px[0]).abs() < 1e-5 && (y - py[0]).abs() < 1e-5, "{x} {y} {px:?} {py:?}");
            let (lon2, lat2) = utm.inverse(x, y);
            proptest::prop_assert!((lon2 - lon).abs() < 1e-10 && (lat2 - lat).abs() < 1e-10);
        }
    }

    #[test]
    fn zones_at_their_edges() {
        assert_eq!(Utm::of(-180.0, 10.0).epsg(), 32601);
        assert_eq!(Utm::of(180.0, -10.0).epsg(), 32701);
        assert_eq!(Utm::of(126.0, 0.0).epsg(), 32652);
    }
}
