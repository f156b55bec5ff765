//! Where pixels are: windows, affines, reference systems, and the cells that tile a grid.

pub mod cell;
pub mod choice;
pub mod crs;
pub mod matrix;
pub mod transform;
pub mod window;

pub use choice::{Choice, GridError};
pub use crs::{Crs, CrsError, PointTransform};
pub use transform::GeoTransform;
pub use window::Window;

/// Metres per degree of a great circle.
pub const METERS_PER_DEGREE: f64 = 111_320.0;

/// Half the longer axis of WGS 84, metres; that of CGCS2000 is the same.
pub const EQUATOR_RADIUS_M: f64 = 6_378_137.0;

/// Square of the eccentricity of WGS 84; that of CGCS2000 differs in the ninth digit.
const ECCENTRICITY_SQUARED: f64 = 0.006_694_379_990_14;

/// The longitude that names the same meridian as `lon` and is nearest to `about`, degrees; it may lie beyond ±180.
pub fn nearest_turn(lon: f64, about: f64) -> f64 {
    nearest_period(lon, about, 360.0)
}

/// The x that names the same meridian as `x` and is nearest to `about`, where the map repeats itself after `period`.
pub fn nearest_period(x: f64, about: f64, period: f64) -> f64 {
    x + period * ((about - x) / period).round_ties_even()
}

/// Area of a pixel on the ground near map coordinate `y`, square metres; good enough to plan with.
pub fn pixel_area_m2(crs: &Crs, transform: GeoTransform, y: f64) -> f64 {
    let area = transform.determinant().abs();
    if crs.is_geographic() { area * METERS_PER_DEGREE.powi(2) * y.to_radians().cos().abs() } else { area }
}

/// Area of a pixel on the ground near map coordinate `y`, square metres, on the ellipsoid. Maps in metres but web mercator
/// are taken at their word: their scale differs from 1 by a thousandth or so.
///
/// # Reference
/// Snyder, Map Projections: A Working Manual (USGS 1395, 1987), equations 4-18 to 4-20 (radii of curvature) and 7-4
/// (spherical Mercator, which web mercator applies to ellipsoidal latitudes).
pub fn ground_area_m2(crs: &Crs, transform: GeoTransform, y: f64) -> f64 {
    let area = transform.determinant().abs();
    // Metres of ground along the meridian times those along the parallel, per square radian.
    let per_radian = |lat: f64| {
        let w = 1.0 - ECCENTRICITY_SQUARED * lat.sin().powi(2);
        EQUATOR_RADIUS_M.powi(2) * (1.0 - ECCENTRICITY_SQUARED) / w.powi(2) * lat.cos()
    };
    if crs.is_geographic() {
        area * per_radian(y.to_radians()) * 1f64.to_radians().powi(2)
    } else if crs.is_web_mercator() {
        let lat = (y / EQUATOR_RADIUS_M).sinh().atan();
        area * per_radian(lat) * lat.cos() / EQUATOR_RADIUS_M.powi(2)
    } else {
        area
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By small steps through a projection that keeps areas (EPSG:6933, EASE-Grid 2.0).
    #[test]
    fn areas_are_those_of_an_equal_area_projection() {
        let equal_area = Crs::from_epsg(6933).unwrap();
        for (code, size, ys) in [(4326, 1e-3, [0.0, 44.0, -70.0]), (4490, 1e-3, [1.0, 30.0, 53.0])]
            .into_iter()
            .chain([(3857, 100.0, [0.0, 5_465_442.0, -11_000_000.0])])
        {
            let crs = Crs::from_epsg(code).unwrap();
            let to_area = PointTransform::new(&crs, &equal_area).unwrap();
            for y in ys {
                let transform = GeoTransform::north_up(10.0, y + size / 2.0, size);
                let (mut x, mut y2) = ([10.0, 10.0 + size], [y - size / 2.0, y + size / 2.0]);
                to_area.apply(&mut x, &mut y2).unwrap();
                let expected = (x[1] - x[0]) * (y2[1] - y2[0]);
                let found = ground_area_m2(&crs, transform, y);
                assert!((found / expected - 1.0).abs() < 1e-6, "EPSG:{code} at {y}: {found}, {expected}");
            }
        }
        let utm = Crs::from_epsg(32651).unwrap();
        assert_eq!(ground_area_m2(&utm, GeoTransform::north_up(5e5, 5e6, 3.0), 5e6), 9.0);
    }

    #[test]
    fn turns_are_counted_from_the_nearest() {
        assert_eq!(nearest_turn(-179.9, 179.9), 180.1);
        assert_eq!(nearest_turn(125.3, 125.0), 125.3);
        let world = 2.0 * matrix::HALF_WORLD_M;
        assert_eq!(nearest_period(-matrix::HALF_WORLD_M, matrix::HALF_WORLD_M, world), matrix::HALF_WORLD_M);
    }
}
