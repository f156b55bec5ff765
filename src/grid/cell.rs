//! Cells: the squares of a grid that are stored, resumed and handed out one by one.
//!
//! A cell's name and extent depend on the grid alone, never on a scene, so two scenes of one place share their cells and
//! their products stack pixel on pixel.

use super::matrix::TileMatrixSet;
use super::{Crs, GeoTransform, GridError, nearest_period};

/// Largest side of a cell in pixels of the finest product.
pub const MAX_SIDE: usize = 8192;

/// Side of a cell of a `native` grid, in pixels of the finest part.
pub const NATIVE_SIDE: usize = 4096;

/// What the cells of a grid are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tiling {
    /// Squares of a projected system in metres, their corners at whole multiples of their edge.
    Metric,
    /// Tiles of a tile matrix set, some levels above those of the finest product.
    Tiles(&'static TileMatrixSet),
}

/// A reference system and the square cells that tile it.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Reference system.
    pub crs: Crs,
    /// What the cells are.
    pub tiling: Tiling,
    /// Edge of a cell, units of the system.
    pub edge: f64,
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

/// One cell of a [`Grid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridCell {
    /// Whole multiples of the edge: column of the cell, counted east from the origin.
    pub i: i64,
    /// Row of the cell, counted north from the origin.
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

impl Tiling {
    /// Edge of a cell for products whose finest pixel is `finest`.
    ///
    /// # Units
    /// Those of the system, both.
    pub fn edge(self, finest: f64) -> f64 {
        match self {
            Self::Metric => edge_m(finest),
            // Sizes that are no level's are refused before there is a grid.
            Self::Tiles(set) => set.tile_edge(set.cell_level(set.level(finest).unwrap_or(0))),
        }
    }

    /// A corner of cells and of pixels, units of the system.
    pub fn origin(self) -> (f64, f64) {
        match self {
            Self::Metric => (0.0, 0.0),
            Self::Tiles(set) => set.origin,
        }
    }
}

impl Grid {
    /// The grid for products whose finest pixel is `finest`, in units of the system.
    pub fn new(crs: Crs, tiling: Tiling, finest: f64) -> Self {
        Self { crs, tiling, edge: tiling.edge(finest) }
    }

    /// Name of a cell: unique among all grids, the same for every scene.
    ///
    /// `UTM51N-3840-E0083-N1251`: system, edge, column and row. `EPSG3857-Z13-X6948-Y2982`: system, and level, column and
    /// row of the tile that the cell is.
    pub fn name(&self, cell: GridCell) -> String {
        let signed =
            |v: i64, plus: char, minus: char| format!("{}{:04}", if v < 0 { minus } else { plus }, v.unsigned_abs());
        let system = self.crs.short_name();
        match self.tiling {
            Tiling::Metric => {
                let edge = self.edge;
                format!("{system}-{edge}-{}-{}", signed(cell.i, 'E', 'W'), signed(cell.j, 'N', 'S'))
            }
            Tiling::Tiles(set) => {
                let level = (set.edge / self.edge).log2().round();
                format!("{system}-Z{level:02}-X{:04}-Y{:04}", cell.i, -1 - cell.j)
            }
        }
    }

    /// Extent of a cell: min x, min y, max x, max y.
    pub fn extent(&self, cell: GridCell) -> [f64; 4] {
        let ((x, y), e) = (self.tiling.origin(), self.edge);
        let (x0, y0) = (x + cell.i as f64 * e, y + cell.j as f64 * e);
        [x0, y0, x0 + e, y0 + e]
    }

    /// The pixels of one resolution over a cell; `None` when the edge is no whole number of them.
    pub fn lattice(&self, cell: GridCell, pixel: f64) -> Option<Lattice> {
        let n = pixels_per_edge(self.edge, pixel)?;
        let (x, y) = self.tiling.origin();
        let transform = GeoTransform::north_up(
            x + cell.i as f64 * self.edge,
            y + (cell.j + 1) as f64 * self.edge,
            self.edge / n as f64,
        );
        Some(Lattice { transform, rows: n, cols: n })
    }

    /// The cells that touch a rectangle of map coordinates, northern row first, west to east. Where the map goes round the
    /// earth the rectangle may reach beyond its seam, and so do its cells: see [`home`](Self::home).
    pub fn cells_in(&self, [min_x, min_y, max_x, max_y]: [f64; 4]) -> Vec<GridCell> {
        let (x, y) = self.tiling.origin();
        let index = |v: f64| (v / self.edge).floor() as i64;
        let (i0, i1, j0, j1) = (index(min_x - x), index(max_x - x), index(min_y - y), index(max_y - y));
        (j0..=j1).rev().flat_map(|j| (i0..=i1).map(move |i| GridCell { i, j })).collect()
    }

    /// The cell on the map that a cell beyond its seam stands for.
    pub fn home(&self, cell: GridCell) -> GridCell {
        match self.tiling {
            Tiling::Metric => cell,
            Tiling::Tiles(set) => {
                let around = (set.wide as f64 * set.edge / self.edge).round() as i64;
                GridCell { i: cell.i.rem_euclid(around.max(1)), ..cell }
            }
        }
    }

    /// Makes the x of points run on without a jump where the map goes round the earth, so that a scene across the seam has
    /// an extent of its own size; refuses points north or south of a map that ends there.
    ///
    /// # Errors
    /// [`GridError::BeyondMap`].
    pub fn run_on(&self, points: &mut [(f64, f64)]) -> Result<(), GridError> {
        let Tiling::Tiles(set) = self.tiling else { return Ok(()) };
        let about = points.first().map_or(0.0, |p| p.0);
        let around = set.wide as f64 * set.edge;
        points.iter_mut().for_each(|p| p.0 = nearest_period(p.0, about, around));
        let (top, bottom) = (set.origin.1, set.origin.1 - set.edge);
        match points.iter().map(|p| p.1).find(|y| !(bottom..=top).contains(y)) {
            Some(y) => Err(GridError::BeyondMap { y, grid: set.name, edge: if y > top { top } else { bottom } }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::{WEB_MERCATOR_QUAD, WORLD_CRS84_QUAD};
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
        let grid = Grid::new(Crs::from_epsg(32651).unwrap(), Tiling::Metric, 0.75);
        let cells = grid.cells_in([318_720.0, 4_862_000.0, 325_000.0, 4_866_000.0]);
        assert_eq!(cells.len(), 4);
        assert_eq!(grid.name(cells[0]), "UTM51N-3840-E0083-N1267");
        let fine = grid.lattice(cells[0], 0.75).unwrap();
        let coarse = grid.lattice(cells[0], 3.0).unwrap();
        assert_eq!((fine.rows, coarse.rows), (5120, 1280));
        assert_eq!((fine.transform.x0, fine.transform.y0), (coarse.transform.x0, coarse.transform.y0));
        assert_eq!(fine.transform.x0, 318_720.0);
        assert_eq!(grid.name(GridCell { i: -1, j: -20 }), "UTM51N-3840-W0001-S0020");
    }

    fn web() -> Grid {
        let tiling = Tiling::Tiles(&WEB_MERCATOR_QUAD);
        Grid::new(Crs::from_epsg(3857).unwrap(), tiling, WEB_MERCATOR_QUAD.pixel(17))
    }

    fn degrees(code: u32, level: u8) -> Grid {
        let tiling = Tiling::Tiles(&WORLD_CRS84_QUAD);
        Grid::new(Crs::from_epsg(code).unwrap(), tiling, WORLD_CRS84_QUAD.pixel(level))
    }

    /// Tile of a longitude and latitude by the formula that every web map knows.
    #[test]
    fn cells_of_web_mercator_are_its_tiles() {
        let (grid, n) = (web(), f64::from(1 << 13));
        let (lon, lat) = (125.35f64, 43.88f64);
        let x = ((lon + 180.0) / 360.0 * n).floor();
        let y = ((1.0 - lat.to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * n).floor();
        let to_map = crate::grid::PointTransform::new(&Crs::wgs84(), &grid.crs).unwrap();
        let (mut mx, mut my) = ([lon], [lat]);
        to_map.apply(&mut mx, &mut my).unwrap();
        let cells = grid.cells_in([mx[0], my[0], mx[0], my[0]]);
        assert_eq!(cells.iter().map(|c| grid.name(*c)).collect::<Vec<_>>(), [format!("EPSG3857-Z13-X{x}-Y{y}")]);
        let (fine, coarse) = (WEB_MERCATOR_QUAD.pixel(17), WEB_MERCATOR_QUAD.pixel(15));
        let (fine, coarse) = (grid.lattice(cells[0], fine).unwrap(), grid.lattice(cells[0], coarse).unwrap());
        assert_eq!((fine.rows, coarse.rows), (4096, 1024));
        assert_eq!(fine.transform.dx_col, WEB_MERCATOR_QUAD.pixel(17));
        assert_eq!((fine.transform.x0, fine.transform.y0), (coarse.transform.x0, coarse.transform.y0));
    }

    #[test]
    fn cells_of_degrees_start_at_the_north_west_and_are_named_by_system_level_and_place() {
        let grid = degrees(4490, 17);
        let edge = 180.0 / 8192.0;
        let cells = grid.cells_in([125.35, 43.88, 125.35, 43.88]);
        let (x, y) = ((125.35f64 + 180.0) / edge, (90.0f64 - 43.88) / edge);
        assert_eq!(grid.name(cells[0]), format!("EPSG4490-Z13-X{:05}-Y{:04}", x.floor(), y.floor()));
        assert!(degrees(4326, 17).name(cells[0]).starts_with("EPSG4326-Z13-"));
        let lattice = grid.lattice(cells[0], WORLD_CRS84_QUAD.pixel(17)).unwrap();
        assert_eq!((lattice.transform.x0, lattice.rows), (-180.0 + x.floor() * edge, 4096));
    }

    #[test]
    fn a_scene_across_the_seam_has_cells_on_both_sides_and_none_between() {
        for (grid, half) in [(degrees(4326, 17), 180.0), (web(), WEB_MERCATOR_QUAD.edge / 2.0)] {
            let e = grid.edge;
            let mut points = [(half - 0.5 * e, 0.0), (-half + 0.5 * e, 0.25 * e), (-half + 0.5 * e, 0.0)];
            grid.run_on(&mut points).unwrap();
            assert_eq!(points[1].0, half + 0.5 * e);
            let cells = grid.cells_in([points[0].0, 0.1 * e, points[1].0, 0.2 * e]);
            let names: Vec<String> = cells.iter().map(|c| grid.name(grid.home(*c))).collect();
            let last = (2.0 * half / e).round() as i64 - 1;
            assert_eq!(names.len(), 2);
            assert!(names[0].contains(&format!("X{last:04}-")) && names[1].contains("-X0000-"), "{names:?}");
            assert_eq!(grid.extent(grid.home(cells[1]))[0], -half);
        }
    }

    #[test]
    fn what_lies_beyond_the_edge_of_the_map_is_refused() {
        let mut points = [(0.0, 2e7), (0.0, 2.1e7)];
        let refused = web().run_on(&mut points).unwrap_err().to_string();
        assert!(refused.contains("WebMercatorQuad") && refused.contains("85.06"), "{refused}");
        assert!(web().run_on(&mut [(0.0, -20_037_509.0)]).is_err());
        assert!(degrees(4490, 17).run_on(&mut [(0.0, 90.0), (0.0, -90.0)]).is_ok());
    }
}
