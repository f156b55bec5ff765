//! Projected inputs on another grid: grid to the input's map system to its pixels.

use fieldglow_kernels::resample::Kernel;

use super::nodes::{self, Evaluate, Nodes};
use super::{Footprints, GeometryError, bounds, into_window, window_around};
use crate::grid::cell::Lattice;
use crate::grid::{CrsError, GeoTransform, PointTransform, Window, nearest_period};

/// From the grid's map coordinates to pixels of the input.
pub struct ToPixels<'a> {
    /// Grid to the input's system.
    pub transform: &'a PointTransform,
    /// The input's affine.
    pub source: GeoTransform,
    /// For an input on a map that goes round the earth, the x of its centre, from which others are counted, and what x grows
    /// by once round.
    pub turn: Option<(f64, f64)>,
    /// True where pixels of the grid are pixels of the input: positions are whole, and what arithmetic adds is taken off.
    pub whole: bool,
}

impl Evaluate for ToPixels<'_> {
    fn evaluate(&self, x: &mut [f64], y: &mut [f64]) -> Result<Vec<Vec<f64>>, CrsError> {
        self.transform.apply(x, y)?;
        if let Some((middle, period)) = self.turn {
            x.iter_mut().for_each(|v| *v = nearest_period(*v, middle, period));
        }
        let (col, row) = x
            .iter()
            .zip(y.iter())
            .map(|(x, y)| self.source.pixel_from_world(*x, *y))
            .map(|(c, r)| if self.whole { (c.round(), r.round()) } else { (c, r) })
            .map(|(c, r)| (c - 0.5, r - 0.5))
            .unzip();
        Ok(vec![col, row])
    }

    fn distance_px(&self, a: &[f64], b: &[f64]) -> f64 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }
}

/// Geometry of one projected part over one cell.
#[derive(Debug, Clone)]
pub struct Projected {
    image: (usize, usize),
    lattice: Lattice,
    step: usize,
    kernel: Kernel,
}

/// Geometry of one unit.
#[derive(Debug)]
pub struct ProjectedUnit<'a> {
    projected: &'a Projected,
    nodes: Nodes,
    footprints: Footprints,
}

impl Projected {
    /// Geometry of a part of `image` (rows, cols) over the lattice of a cell, for resampling by a kernel.
    ///
    /// # Errors
    /// When a point of the cell has no place in the input's system.
    pub fn new(
        image: (usize, usize),
        lattice: Lattice,
        kernel: Kernel,
        to_pixels: &ToPixels<'_>,
    ) -> Result<Self, GeometryError> {
        let step = nodes::choose_step(&lattice, to_pixels)?;
        Ok(Self { image, lattice, step, kernel })
    }

    /// The geometry of a window of the lattice.
    ///
    /// # Errors
    /// When a point of it has no place in the input's system.
    pub fn unit(&self, window: Window, to_pixels: &ToPixels<'_>) -> Result<ProjectedUnit<'_>, GeometryError> {
        let nodes = Nodes::new(&self.lattice, window, self.step, to_pixels)?;
        let footprints = Footprints::new(self.kernel, &self.lattice, window, self.step, &|x, y| {
            let found = to_pixels.evaluate(x, y)?;
            x.copy_from_slice(&found[0]);
            y.copy_from_slice(&found[1]);
            Ok(())
        })?;
        Ok(ProjectedUnit { projected: self, nodes, footprints })
    }
}

impl ProjectedUnit<'_> {
    /// The sizes of its pixels.
    pub fn footprints(&self) -> &Footprints {
        &self.footprints
    }

    /// The source pixels the unit needs; `None` when there are none.
    pub fn source_window(&self) -> Option<Window> {
        let ((c0, c1), (r0, r1)) = (bounds(self.nodes.channel(0)), bounds(self.nodes.channel(1)));
        window_around((c0, r0), (c1, r1), self.projected.image, self.footprints.reach())
    }

    /// Writes the positions of a row of the unit within the source window that was read.
    ///
    /// # Errors
    /// [`GeometryError::OutsideWindow`].
    pub fn locate(
        &self,
        row: usize,
        source: Window,
        col_out: &mut [f64],
        row_out: &mut [f64],
    ) -> Result<(), GeometryError> {
        self.nodes.row(0, row, col_out);
        self.nodes.row(1, row, row_out);
        into_window(col_out, row_out, source, self.projected.image, self.footprints.reach())
    }
}
