//! Cells: the squares of a grid that are stored, resumed and handed out one by one.
//!
//! A cell's name and extent depend on the grid alone, never on a scene, so two scenes of one place share their cells and
//! their products stack pixel on pixel.

use super::{Crs, GeoTransform};

/// Largest side of a cell in pixels of the finest product.
pub const MAX_SIDE: usize = 8192;

/// Side of a cell of a `native` grid, in pixels of the finest part.
pub const NATIVE_SIDE: usize = 4096;

/// A grid whose cells are squares with corners at whole multiples of their edge in a projected, metric system.
#[derive(Debug, Clone, PartialEq)]
pub struct SquareGrid {
    /// Reference system.
    pub crs: Crs,
    /// Edge of a cell, metres.
    pub edge_m: f64,
}

/// The pixels of one resolution over one cell.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Lattice {
    /// Map coordinates of the cell's pixels.
    pub transform: GeoTransform,
    /// Rows of the cell.
    pub rows: usize,
    /// Columns of the cell.
    pub cols: usize,
}

/// One cell of a [`SquareGrid`].
#[derive(Debug, Clone, PartialEq)]
pub struct SquareCell {
    /// Whole multiples of the edge: column of the cell, counted east from x = 0.
    pub i: i64,
    /// Row of the cell, counted north from y = 0.
    pub j: i64,
}

/// Edge of a cell for products whose finest pixel is `finest_m`: 7680 m from 1 m, 3840 m from 0.5 m, halved further below.
///
/// # Units
/// Metres.
pub fn edge_m(finest_m: f64) -> f64 {
    let (mut edge, mut limit) = (7680.0, 1.0);
    while finest_m < limit && edge > 1.0 {
        edge /= 2.0;
        limit /= 2.0;
    }
    edge
}

/// Pixels of size `pixel_m` along a cell of edge `edge_m`, if that is a whole number.
pub fn pixels_per_edge(edge_m: f64, pixel_m: f64) -> Option<usize> {
    let n = edge_m / pixel_m;
    let whole = n.round();
    (n.is_finite() && whole >= 1.0 && (n - whole).abs() < 1e-9 * whole).then_some(whole as usize)
}

/// Pixel sizes near `pixel_m` that divide the edge of a cell, the next smaller and the next larger: what a message
/// proposes in place of one that does not.
///
/// # Units
/// Metres.
pub fn nearest_pixels(pixel_m: f64, edge_m: f64) -> (f64, f64) {
    let n = edge_m / pixel_m;
    (edge_m / n.ceil(), edge_m / n.floor().max(1.0))
}

impl SquareGrid {
    /// The grid for products whose finest pixel is `finest_m`.
    pub fn new(crs: Crs, finest_m: f64) -> Self {
        Self { crs, edge_m: edge_m(finest_m) }
    }

    /// `UTM51N-3840-E0083-N1251`: system, edge, column and row.
    pub fn name(&self, cell: &SquareCell) -> String {
        let signed =
            |v: i64, plus: char, minus: char| format!("{}{:04}", if v < 0 { minus } else { plus }, v.unsigned_abs());
        let edge = self.edge_m;
        format!("{}-{edge}-{}-{}", self.crs.short_name(), signed(cell.i, 'E', 'W'), signed(cell.j, 'N', 'S'))
    }

    /// The pixels of one resolution over a cell; `None` when the edge is no whole number of them.
    pub fn lattice(&self, cell: &SquareCell, pixel_m: f64) -> Option<Lattice> {
        let n = pixels_per_edge(self.edge_m, pixel_m)?;
        let transform = GeoTransform::north_up(
            cell.i as f64 * self.edge_m,
            (cell.j + 1) as f64 * self.edge_m,
            self.edge_m / n as f64,
        );
        Some(Lattice { transform, rows: n, cols: n })
    }

    /// The cells that touch a rectangle of map coordinates, northern row first, west to east.
    pub fn cells_in(&self, [min_x, min_y, max_x, max_y]: [f64; 4]) -> Vec<SquareCell> {
        let index = |v: f64| (v / self.edge_m).floor() as i64;
        let (i0, i1, j0, j1) = (index(min_x), index(max_x), index(min_y), index(max_y));
        (j0..=j1).rev().flat_map(|j| (i0..=i1).map(move |i| SquareCell { i, j })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_follow_the_finest_pixel_and_never_exceed_the_largest_side() {
        for (finest, edge) in
            [(10.0, 7680.0), (1.0, 7680.0), (0.75, 3840.0), (0.5, 3840.0), (0.3, 1920.0), (0.25, 1920.0), (0.2, 960.0)]
        {
            assert_eq!(edge_m(finest), edge, "{finest}");
            assert!(edge / finest <= MAX_SIDE as f64);
        }
    }

    #[test]
    fn only_whole_numbers_of_pixels_make_a_cell() {
        assert_eq!(pixels_per_edge(3840.0, 0.75), Some(5120));
        assert_eq!(pixels_per_edge(1920.0, 0.3), Some(6400));
        assert_eq!(pixels_per_edge(7680.0, 2.88), None);
        assert_eq!(pixels_per_edge(7680.0, 0.0), None);
        assert_eq!(pixels_per_edge(7680.0, 1e9), None);
        let (finer, coarser) = nearest_pixels(2.88, edge_m(2.88));
        assert!(finer < 2.88 && coarser > 2.88);
        assert!(pixels_per_edge(edge_m(finer), finer).is_some() && pixels_per_edge(edge_m(coarser), coarser).is_some());
    }

    #[test]
    fn cells_tile_the_plane_and_are_named_by_their_place() {
        let grid = SquareGrid::new(Crs::from_epsg(32651).unwrap(), 0.75);
        let cells = grid.cells_in([318_720.0, 4_862_000.0, 325_000.0, 4_866_000.0]);
        assert_eq!(cells.len(), 4);
        assert_eq!(grid.name(&cells[0]), "UTM51N-3840-E0083-N1267");
        let fine = grid.lattice(&cells[0], 0.75).unwrap();
        let coarse = grid.lattice(&cells[0], 3.0).unwrap();
        assert_eq!((fine.rows, coarse.rows), (5120, 1280));
        assert_eq!((fine.transform.x0, fine.transform.y0), (coarse.transform.x0, coarse.transform.y0));
        assert_eq!(fine.transform.x0, 318_720.0);
        assert_eq!(grid.name(&SquareCell { i: -1, j: -20 }), "UTM51N-3840-W0001-S0020");
    }
}
