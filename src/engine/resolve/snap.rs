//! Taking the pixels of an input as they are, where they are those of the grid but for a shift.

use super::super::EngineError;
use crate::grid::cell::Tiling;
use crate::grid::{Crs, GeoTransform};
use crate::scene::Part;

/// Pixels that sizes may differ by, summed up over an image: less than what any position is accurate to.
const DRIFT_PX: f64 = 0.01;

/// Where a part's pixels lie on the grid, and how far they were moved for it: east and north, units of the grid, half a pixel
/// at the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapped {
    /// Its pixels, now pixels of the grid.
    pub transform: GeoTransform,
    /// East and north.
    pub shift: (f64, f64),
}

/// Moves the pixels of a part to those of a product of pixel size `pixel` on a grid.
///
/// # Errors
/// [`EngineError::Placement`] when they are in another system, of another size, or turned.
pub fn snap(
    part: &Part,
    (crs, transform): (&Crs, GeoTransform),
    (grid, tiling): (&Crs, Tiling),
    pixel: f64,
) -> Result<Snapped, EngineError> {
    let refused = |reason: String| EngineError::Placement {
        part: part.name.clone(),
        reason: format!("its pixels cannot be taken as they are: {reason}"),
        remedy: "remove `geometry.snap`, or make the grid that of the input".into(),
    };
    let same = crs == grid || (crs.epsg().is_some() && crs.epsg() == grid.epsg());
    if !same {
        return Err(refused(format!("it is in {crs}, the grid in {grid}")));
    }
    let t = transform;
    let drift = |unlike: f64, n: usize| unlike.abs() * n as f64 > DRIFT_PX * pixel;
    if drift(t.dx_row, part.rows) || drift(t.dy_col, part.cols) {
        return Err(refused("it is turned against the grid".into()));
    }
    if drift(t.dx_col - pixel, part.cols) || drift(t.dy_row + pixel, part.rows) {
        return Err(refused(format!("they are {} by {}, those of the product {pixel}", t.dx_col, -t.dy_row)));
    }
    let (x, y) = tiling.origin();
    let nearest = |v: f64, from: f64| from + ((v - from) / pixel).round() * pixel;
    let (x0, y0) = (nearest(t.x0, x), nearest(t.y0, y));
    Ok(Snapped { transform: GeoTransform::north_up(x0, y0, pixel), shift: (x0 - t.x0, y0 - t.y0) })
}
