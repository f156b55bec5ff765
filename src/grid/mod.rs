//! Where pixels are: windows, affines, reference systems, and the cells that tile a grid.

pub mod cell;
pub mod crs;
pub mod transform;
pub mod window;

pub use crs::{Crs, CrsError, PointTransform};
pub use transform::GeoTransform;
pub use window::Window;
