//! Where pixels are: windows, affines, reference systems, and the cells that tile a grid.

pub mod cell;
pub mod crs;
pub mod transform;
pub mod window;

pub use crs::{Crs, CrsError, PointTransform};
pub use transform::GeoTransform;
pub use window::Window;

/// Metres per degree of a great circle.
pub const METERS_PER_DEGREE: f64 = 111_320.0;

/// The longitude that names the same meridian as `lon` and is nearest to `about`, degrees; it may lie beyond ±180.
pub fn nearest_turn(lon: f64, about: f64) -> f64 {
    lon + 360.0 * ((about - lon) / 360.0).round_ties_even()
}

/// Area of a pixel on the ground near map coordinate `y`, square metres; good enough to plan with.
pub fn pixel_area_m2(crs: &Crs, transform: GeoTransform, y: f64) -> f64 {
    let area = transform.determinant().abs();
    if crs.is_geographic() { area * METERS_PER_DEGREE.powi(2) * y.to_radians().cos().abs() } else { area }
}
