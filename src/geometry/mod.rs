//! Where output pixels are found in the source.
//!
//! Invariant: the position of an output pixel depends on its place in the grid and on the sensor model alone, not on how
//! the work is cut: smooth transforms are tabulated on nodes fixed to the cell, heights and sensor model are evaluated
//! exactly at every pixel.
//!
//! Pixel convention, everywhere in this folder: (0, 0) is the **centre** of the first pixel of a source.

#[cfg(test)]
mod cuts;
pub mod footprint;
pub mod nodes;
pub mod ortho;
pub mod projected;
pub mod sensor;
pub mod sight;

pub use footprint::Footprints;
pub use nodes::{LARGEST_STEP as NODE_STEP, Nodes};
pub use ortho::{Ortho, OrthoUnit};
pub use projected::{Projected, ProjectedUnit};
pub use sensor::Sensor;

use crate::error::{Class, Classify};
use crate::grid::{CrsError, Window};

/// Rows that are located and resampled together: a strip of all bands stays in the cache of a core.
pub const STRIP_ROWS: usize = 16;

/// Pixels a window is read wider than the positions' bounding box: the neighbours of a kernel of this reach, and two for the
/// curvature between the nodes the box was taken from.
pub fn margin(reach: usize) -> usize {
    reach + 2
}

/// Metres that terrain has to stand above a line of sight to count as in front of the ground: less is within the errors of
/// any DEM, and hides a strip of ground that is narrower than a pixel or two.
pub const HIDDEN_M: f64 = 1.0;

/// Geometry failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A transform between reference systems failed.
    #[error("locating output pixels")]
    Transform(#[source] CrsError),
    /// An image position has no ground position.
    #[error(
        "the sensor model has no ground position for image position ({col:.1}, {row:.1}) at height {height:.1} m; its coefficients are damaged or belong to another image"
    )]
    NoGround {
        /// Column.
        col: f64,
        /// Row.
        row: f64,
        /// Height above the ellipsoid, metres.
        height: f64,
    },
    /// A pixel was needed that was not read.
    #[error(
        "internal fault: image position ({col:.2}, {row:.2}) lies outside the window {window} that was read for it; please report it with the scene"
    )]
    OutsideWindow {
        /// Column.
        col: f64,
        /// Row.
        row: f64,
        /// What was read.
        window: Window,
    },
}

impl Classify for GeometryError {
    fn class(&self) -> Class {
        match self {
            Self::OutsideWindow { .. } => Class::Bug,
            _ => Class::Input,
        }
    }
}

/// Moves image positions into a window that was read, and makes sure that every position inside the image is in it, with
/// its neighbours up to `reach`.
///
/// # Errors
/// [`GeometryError::OutsideWindow`]: dropping such a pixel would be a silent hole.
fn into_window(
    col: &mut [f64],
    row: &mut [f64],
    window: Window,
    image: (usize, usize),
    reach: usize,
) -> Result<(), GeometryError> {
    let (left, top) = (window.col as f64, window.row as f64);
    let (width, height) = (window.cols as f64, window.rows as f64);
    let (image_rows, image_cols) = (image.0 as f64, image.1 as f64);
    let (before, behind) = (reach as f64 - 1.0, reach as f64);
    let mut missed = None;
    for (c, r) in col.iter_mut().zip(row.iter_mut()) {
        let inside_image = *c > -1.0 && *r > -1.0 && *c < image_cols && *r < image_rows;
        let (wc, wr) = (*c - left, *r - top);
        // At the edge of the image a neighbour is missing anyway; elsewhere all must have been read.
        let low = (wc >= before || window.col == 0) && (wr >= before || window.row == 0);
        let high = (wc <= width - behind || left + width >= image_cols)
            && (wr <= height - behind || top + height >= image_rows);
        if inside_image && !(low && high) {
            missed = Some((*c, *r));
        }
        (*c, *r) = (wc, wr);
    }
    match missed {
        Some((col, row)) => Err(GeometryError::OutsideWindow { col, row, window }),
        None => Ok(()),
    }
}

/// The window around a bounding box of positions and their neighbours up to `reach`, inside the image; `None` when they do
/// not meet.
fn window_around(min: (f64, f64), max: (f64, f64), image: (usize, usize), reach: usize) -> Option<Window> {
    if !(min.0.is_finite() && min.1.is_finite() && max.0.is_finite() && max.1.is_finite()) {
        return None;
    }
    // No more than the image is wide is needed of any reach.
    let margin = margin(reach.min(image.0.max(image.1))) as i64;
    let low = |v: f64| v.floor().clamp(-1e12, 1e12) as i64 - margin;
    let high = |v: f64| v.ceil().clamp(-1e12, 1e12) as i64 + margin + 1;
    let (c0, r0, c1, r1) = (low(min.0), low(min.1), high(max.0), high(max.1));
    let window =
        Window::new(r0, c0, (r1 - r0) as usize, (c1 - c0) as usize).intersect(Window::new(0, 0, image.0, image.1));
    (!window.is_empty()).then_some(window)
}

/// Smallest and largest of the finite values.
fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
}
