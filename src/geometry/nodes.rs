//! Smooth functions of position, tabulated on the corners of squares of pixels and interpolated bilinearly between.
//!
//! Transforming every pixel with PROJ would cost more than all the rest of the work. The squares are made as small as
//! needed: the interpolation error, measured where it is largest, stays a tenth of the limit of 0.02 pixel.

use fieldglow_kernels::lattice;

use super::GeometryError;
use crate::grid::cell::Lattice;
use crate::grid::{CrsError, Window};

/// Largest square, pixels. A power of two that divides the side of a unit, so nodes of neighbouring units coincide.
pub const LARGEST_STEP: usize = 64;

/// Largest interpolation error that is accepted where it is measured, output pixels.
const LIMIT_PX: f64 = 0.002;

/// Some functions of position over a window of a lattice.
#[derive(Debug, Clone)]
pub struct Nodes {
    step: usize,
    rows: usize,
    cols: usize,
    /// One table per function, row by row.
    channels: Vec<Vec<f64>>,
}

/// Evaluates functions of map coordinates at points: `(x, y) → one vector per function`.
pub trait Evaluate {
    /// Values at points; `x` and `y` may be used as scratch.
    ///
    /// # Errors
    /// When a point has no value.
    fn evaluate(&self, x: &mut [f64], y: &mut [f64]) -> Result<Vec<Vec<f64>>, CrsError>;

    /// Distance in output pixels between two results for one point.
    fn distance_px(&self, a: &[f64], b: &[f64]) -> f64;
}

/// The largest step whose interpolation error is small enough over the whole lattice of a cell. Depends on the cell
/// alone, so every unit of it takes the same.
///
/// The error of bilinear interpolation of a smooth function is largest near the middle of a square and varies slowly
/// across the cell: it is measured there, for 5 × 5 squares spread over the cell.
///
/// # Errors
/// When a point of the cell has no value.
pub fn choose_step(lattice: &Lattice, f: &dyn Evaluate) -> Result<usize, GeometryError> {
    let mut step = LARGEST_STEP;
    while step > 1 {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for i in 0..5 {
            for j in 0..5 {
                let row = (lattice.rows.saturating_sub(step) * i / 4) as f64;
                let col = (lattice.cols.saturating_sub(step) * j / 4) as f64;
                let s = step as f64;
                for (dc, dr) in [(0.0, 0.0), (s, 0.0), (0.0, s), (s, s), (s / 2.0, s / 2.0)] {
                    let (px, py) = lattice.transform.world_from_pixel(col + dc, row + dr);
                    x.push(px);
                    y.push(py);
                }
            }
        }
        let channels = f.evaluate(&mut x, &mut y).map_err(GeometryError::Transform)?;
        let worst = (0..25)
            .map(|k| {
                let (mean, exact): (Vec<f64>, Vec<f64>) =
                    channels.iter().map(|c| (c[5 * k..5 * k + 4].iter().sum::<f64>() / 4.0, c[5 * k + 4])).unzip();
                f.distance_px(&mean, &exact)
            })
            .fold(0.0, f64::max);
        if worst <= LIMIT_PX {
            break;
        }
        step /= 2;
    }
    Ok(step)
}

impl Nodes {
    /// Tabulates functions over a window of a lattice. `window` must start at a multiple of `step`.
    ///
    /// # Errors
    /// When a node has no value.
    pub fn new(lattice: &Lattice, window: Window, step: usize, f: &dyn Evaluate) -> Result<Self, GeometryError> {
        let (rows, cols) = (window.rows.div_ceil(step) + 1, window.cols.div_ceil(step) + 1);
        let (mut x, mut y) = (Vec::with_capacity(rows * cols), Vec::with_capacity(rows * cols));
        for r in 0..rows {
            for c in 0..cols {
                let (px, py) = lattice
                    .transform
                    .world_from_pixel((window.col + (c * step) as i64) as f64, (window.row + (r * step) as i64) as f64);
                x.push(px);
                y.push(py);
            }
        }
        let channels = f.evaluate(&mut x, &mut y).map_err(GeometryError::Transform)?;
        Ok(Self { step, rows, cols, channels })
    }

    /// The table of one function.
    pub fn channel(&self, k: usize) -> &[f64] {
        &self.channels[k]
    }

    /// Writes the values of one function at the pixel centres of a row of the window.
    pub fn row(&self, k: usize, row: usize, out: &mut [f64]) {
        let upper = (row / self.step).min(self.rows.saturating_sub(2));
        let weight = (row as f64 + 0.5) / self.step as f64 - upper as f64;
        let table = |r: usize| &self.channels[k][r * self.cols..(r + 1) * self.cols];
        lattice::interpolate_row(table(upper), table(upper + 1), weight, self.step, 0, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Crs, GeoTransform, PointTransform};

    struct ToGeographic(PointTransform, f64);

    impl Evaluate for ToGeographic {
        fn evaluate(&self, x: &mut [f64], y: &mut [f64]) -> Result<Vec<Vec<f64>>, CrsError> {
            self.0.apply(x, y)?;
            Ok(vec![x.to_vec(), y.to_vec()])
        }

        fn distance_px(&self, a: &[f64], b: &[f64]) -> f64 {
            let m = 111_320.0 / self.1;
            ((a[0] - b[0]) * m * a[1].to_radians().cos()).hypot((a[1] - b[1]) * m)
        }
    }

    /// The bound holds at every pixel, not only where it is measured, and results do not depend on the window.
    #[test]
    fn interpolation_keeps_the_limit_at_every_pixel_for_fine_and_coarse_grids() {
        for (pixel, rows) in [(0.5, 700), (3.0, 700), (30.0, 600), (300.0, 300)] {
            let f = ToGeographic(PointTransform::new(&Crs::from_epsg(32651).unwrap(), &Crs::wgs84()).unwrap(), pixel);
            let lattice =
                Lattice { transform: GeoTransform::north_up(300_000.0, 4_900_000.0, pixel), rows, cols: rows };
            let step = choose_step(&lattice, &f).unwrap();
            let window = Window::new(128, 64, 130, 200);
            let nodes = Nodes::new(&lattice, window, step, &f).unwrap();
            let whole = Nodes::new(&lattice, Window::new(0, 0, rows, rows), step, &f).unwrap();
            let (mut lon, mut lat) = (vec![0.0; 200], vec![0.0; 200]);
            let mut from_whole = vec![0.0; rows];
            for r in [0, 1, 63, 64, 129] {
                nodes.row(0, r, &mut lon);
                nodes.row(1, r, &mut lat);
                whole.row(0, r + 128, &mut from_whole);
                assert!(lon.iter().zip(&from_whole[64..]).all(|(a, b)| (a - b).abs() < 1e-13), "window dependent");
                for c in 0..200 {
                    let (x, y) = lattice.transform.world_from_pixel(64.5 + c as f64, 128.5 + r as f64);
                    let (mut x, mut y) = ([x], [y]);
                    f.0.apply(&mut x, &mut y).unwrap();
                    let error = f.distance_px(&[lon[c], lat[c]], &[x[0], y[0]]);
                    assert!(error < 1.5 * LIMIT_PX, "{error} px at {pixel} m, step {step}");
                }
            }
        }
    }
}
