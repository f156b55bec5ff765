//! How many source pixels wide and high output pixels are, for the kernel that averages over them.
//!
//! An output pixel is taken as level, at the middle height of the sensor model: how it is tilted between the posts of a DEM
//! is not known well enough to say what it covers, and its size changes by 0.2 % per kilometre of height. A pixel that is
//! turned against the source is a parallelogram there; width and height are those of the box along the source's axes that
//! has the same spread (variance) along each of them, so that turning a square does not enlarge it.

use fieldglow_kernels::resample::Kernel;

use super::nodes::{Evaluate, Nodes};
use super::{GeometryError, bounds};
use crate::grid::cell::Lattice;
use crate::grid::{CrsError, Window};

/// Turns map coordinates (x, y) into source positions (col, row), in place.
pub type Locate<'a> = dyn Fn(&mut [f64], &mut [f64]) -> Result<(), CrsError> + 'a;

/// Sizes of the output pixels of a unit.
#[derive(Debug)]
pub struct Footprints {
    /// Width and height; none for kernels that do not ask for them.
    nodes: Option<Nodes>,
    reach: usize,
}

const WIDTH: usize = 0;
const HEIGHT: usize = 1;

impl Footprints {
    /// Tabulates the sizes over a window of a lattice, on the nodes of the positions.
    ///
    /// # Errors
    /// When a point has no place in the source.
    pub fn new(
        kernel: Kernel,
        lattice: &Lattice,
        window: Window,
        step: usize,
        locate: &Locate<'_>,
    ) -> Result<Self, GeometryError> {
        if kernel != Kernel::Average {
            return Ok(Self { nodes: None, reach: kernel.reach(1.0) });
        }
        let t = lattice.transform;
        let along = [(t.dx_col / 2.0, t.dy_col / 2.0), (t.dx_row / 2.0, t.dy_row / 2.0)];
        let nodes = Nodes::new(lattice, window, step, &Sizes { along, locate })?;
        let largest = |k: usize| bounds(nodes.channel(k)).1.max(1.0);
        let reach = kernel.reach(largest(WIDTH)).max(kernel.reach(largest(HEIGHT)));
        Ok(Self { nodes: Some(nodes), reach })
    }

    /// How far the neighbours reach that the kernel asks for.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// Writes the sizes of the `cols` pixels of a row of the window, source pixels; nothing where the kernel asks for none.
    pub fn row(&self, row: usize, cols: usize, width: &mut Vec<f64>, height: &mut Vec<f64>) {
        let Some(nodes) = &self.nodes else { return };
        width.resize(cols, 1.0);
        height.resize(cols, 1.0);
        nodes.row(WIDTH, row, width);
        nodes.row(HEIGHT, row, height);
    }
}

struct Sizes<'a> {
    /// Half a column and half a row of output pixels, map units (x, y).
    along: [(f64, f64); 2],
    locate: &'a Locate<'a>,
}

impl Evaluate for Sizes<'_> {
    fn evaluate(&self, x: &mut [f64], y: &mut [f64]) -> Result<Vec<Vec<f64>>, CrsError> {
        let mut sizes = vec![vec![0.0; x.len()], vec![0.0; x.len()]];
        for (dx, dy) in self.along {
            let mut ends = [1.0, -1.0].map(|side| -> (Vec<f64>, Vec<f64>) {
                x.iter().zip(y.iter()).map(|(x, y)| (x + side * dx, y + side * dy)).unzip()
            });
            for (x, y) in &mut ends {
                (self.locate)(x, y)?;
            }
            let [(col, row), (col_before, row_before)] = ends;
            for k in 0..x.len() {
                sizes[WIDTH][k] = f64::hypot(sizes[WIDTH][k], col[k] - col_before[k]);
                sizes[HEIGHT][k] = f64::hypot(sizes[HEIGHT][k], row[k] - row_before[k]);
            }
        }
        Ok(sizes)
    }

    fn distance_px(&self, a: &[f64], b: &[f64]) -> f64 {
        (a[WIDTH] - b[WIDTH]).hypot(a[HEIGHT] - b[HEIGHT])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::GeoTransform;

    /// Sizes of the pixels of a window, for a source whose pixels are turned and scaled against a lattice of 6 m.
    fn sizes(angle: f64, (col_m, row_m): (f64, f64), window: Window) -> (Vec<f64>, Vec<f64>, usize) {
        let lattice = Lattice { transform: GeoTransform::north_up(0.0, 0.0, 6.0), rows: 200, cols: 200 };
        let (sin, cos) = angle.to_radians().sin_cos();
        let locate = |x: &mut [f64], y: &mut [f64]| {
            for (x, y) in x.iter_mut().zip(y) {
                (*x, *y) = ((*x * cos + *y * sin) / col_m, (*x * sin - *y * cos) / row_m);
            }
            Ok(())
        };
        let made = Footprints::new(Kernel::Average, &lattice, window, 64, &locate).unwrap();
        let (mut width, mut height) = (Vec::new(), Vec::new());
        made.row(window.rows - 1, window.cols, &mut width, &mut height);
        (width, height, made.reach())
    }

    #[test]
    fn a_pixel_is_as_large_as_its_ratio_says_however_it_is_turned() {
        for angle in [0.0, 12.0, 45.0, 90.0, 197.0] {
            let (width, height, reach) = sizes(angle, (2.0, 1.5), Window::new(0, 0, 70, 70));
            assert_eq!((width.len(), height.len(), reach), (70, 70, 3));
            assert!(width.iter().all(|w| (w - 3.0).abs() < 1e-9) && height.iter().all(|h| (h - 4.0).abs() < 1e-9));
        }
    }

    #[test]
    fn other_kernels_ask_for_no_sizes() {
        let lattice = Lattice { transform: GeoTransform::north_up(0.0, 0.0, 6.0), rows: 9, cols: 9 };
        let never = |_: &mut [f64], _: &mut [f64]| -> Result<(), CrsError> { unreachable!("no position is asked for") };
        for (kernel, reach) in [(Kernel::Bilinear, 1), (Kernel::Cubic, 2), (Kernel::Lanczos, 3)] {
            let made = Footprints::new(kernel, &lattice, Window::new(0, 0, 9, 9), 1, &never).unwrap();
            let (mut width, mut height) = (Vec::new(), Vec::new());
            made.row(0, 9, &mut width, &mut height);
            assert_eq!((made.reach(), width.len(), height.len()), (reach, 0, 0));
        }
    }
}
