//! The cells a scene touches.

use super::super::EngineError;
use super::super::plan::{Cell, CellPlace, Layer};
use super::super::publish::hull_of;
use super::{bounds, unplaced};
use crate::config::{Mode, Pipeline};
use crate::error::Result;
use crate::geometry::ortho;
use crate::grid::cell::{Grid, Lattice, NATIVE_SIDE};
use crate::grid::{Crs, GeoTransform, METERS_PER_DEGREE, Window};
use crate::scene::{Part, Scene, SensorModel};

/// Most cells of one scene, as a bounding box: 1000 × 1000 of them are 7680 km a side.
const MAX_CELLS: f64 = 1e6;

/// The cells of the grid that the outline of a scene touches, or would touch if it were moved by up to `margin_m`, northern
/// row first.
pub fn of_scene(
    scene: &Scene,
    pipeline: &Pipeline,
    layers: &[Layer],
    crs: &Crs,
    outline: &[(f64, f64)],
    margin_m: f64,
) -> Result<Vec<Cell>> {
    if pipeline.geometry.mode == Mode::Native {
        return native_cells(scene, layers, crs);
    }
    // Of all products, also those this scene cannot make: a grid must not depend on a scene.
    let grid = Grid::new(crs.clone(), pipeline.geometry.tiling(), pipeline.finest());
    let mut ring = ortho::to_crs(outline, crs)?;
    grid.run_on(&mut ring)?;
    let hull = hull_of(&ring);
    let b = bounds(&hull);
    let margin = margin_m * map_units_per_metre(crs, outline);
    let b = [b[0] - margin, b[1] - margin, b[2] + margin, b[3] + margin];
    let count = ((b[2] - b[0]) / grid.edge + 1.0) * ((b[3] - b[1]) / grid.edge + 1.0);
    if count.is_nan() || count > MAX_CELLS {
        return Err(EngineError::TooManyCells { cells: count, limit: MAX_CELLS }.into());
    }
    let mut cells = Vec::new();
    for square in grid.cells_in(b) {
        let [x0, y0, x1, y1] = grid.extent(square);
        if !touches(&hull, [x0 - margin, y0 - margin, x1 + margin, y1 + margin]) {
            continue;
        }
        let square = grid.home(square);
        let lattices: Option<Vec<Lattice>> = layers.iter().map(|l| grid.lattice(square, l.pixel)).collect();
        // Checked with the configuration.
        let Some(lattices) = lattices else { continue };
        cells.push(Cell { name: grid.name(square), place: CellPlace::Square(square), lattices });
    }
    Ok(cells)
}

/// How much longer a metre is on the map, about: in Mercator's projection much. `outline` in longitude and latitude.
fn map_units_per_metre(crs: &Crs, outline: &[(f64, f64)]) -> f64 {
    let steepest = outline.iter().map(|p| p.1.abs()).fold(0.0, f64::max).min(85.0);
    match crs.epsg() {
        Some(3857) => 1.0 / steepest.to_radians().cos(),
        _ if crs.is_geographic() => 1.01 / (METERS_PER_DEGREE * steepest.to_radians().cos()),
        _ => 1.01,
    }
}

/// True when a convex polygon and a rectangle have points in common: no edge of either separates them.
fn touches(hull: &[(f64, f64)], [x0, y0, x1, y1]: [f64; 4]) -> bool {
    let corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)];
    let n = hull.len();
    (0..n).all(|k| {
        let ((ax, ay), (bx, by)) = (hull[k], hull[(k + 1) % n]);
        // Counter-clockwise: outside is to the right of every edge.
        corners.iter().any(|(x, y)| (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0.0)
    })
}

/// Cells of `native`: windows of the parts, the same ground for all.
fn native_cells(scene: &Scene, layers: &[Layer], crs: &Crs) -> Result<Vec<Cell>> {
    let geo: Vec<(&Part, &Crs, GeoTransform)> = layers
        .iter()
        .flat_map(|l| l.inputs.first())
        .map(|i| &scene.parts[i.part])
        .map(|p| match &p.sensor_model {
            SensorModel::Projected { crs, transform } => Ok((p, crs, *transform)),
            _ => Err(unplaced(p, Mode::Native)),
        })
        .collect::<Result<_, _>>()?;
    let Some((finest, _, base)) = geo.iter().min_by(|a, b| a.2.determinant().abs().total_cmp(&b.2.determinant().abs()))
    else {
        return Ok(Vec::new());
    };
    // Ratio of pixel sizes to the finest part, which must be whole, from one common corner.
    let ratios = geo
        .iter()
        .map(|(part, part_crs, t)| {
            let ratio = (t.determinant() / base.determinant()).abs().sqrt();
            let whole = ratio.round();
            let (dx, dy) = base.pixel_from_world(t.x0, t.y0);
            let pairs = [(t.dx_col, base.dx_col), (t.dx_row, base.dx_row), (t.dy_col, base.dy_col), (t.dy_row, base.dy_row)];
            let edge = base.determinant().abs().sqrt();
            let parallel = pairs.iter().all(|(a, b)| (a - whole * b).abs() < 1e-6 * whole * edge);
            let fits = **part_crs == *crs && parallel && dx.abs() < 0.01 && dy.abs() < 0.01;
            if fits {
                Ok(whole as usize)
            } else {
                Err(EngineError::Placement {
                    part: part.name.clone(),
                    reason: format!(
                        "its pixels do not fit those of {} ({ratio:.4} times as large, shifted by {dx:.2}, {dy:.2}, or turned)",
                        finest.name
                    ),
                    remedy: "set `geometry.mode` to `grid`".into(),
                })
            }
        })
        .collect::<Result<Vec<usize>, _>>()?;
    let coarsest = ratios.iter().copied().max().unwrap_or(1);
    // The side stays a whole number of pixels of every part.
    let side = NATIVE_SIDE / coarsest.min(NATIVE_SIDE) * coarsest;
    // A coarser part may end a little beyond the finest.
    let extent = |n: fn(&Part) -> usize| geo.iter().zip(&ratios).map(|((p, ..), r)| n(p) * r).max().unwrap_or(0);
    let (rows, cols) = (extent(|p| p.rows), extent(|p| p.cols));
    let mut cells = Vec::new();
    for (r, row) in (0..rows).step_by(side).enumerate() {
        for (c, col) in (0..cols).step_by(side).enumerate() {
            let mut windows = Vec::new();
            let mut lattices = Vec::new();
            for ((part, _, t), ratio) in geo.iter().zip(&ratios) {
                let wanted = Window::new((row / ratio) as i64, (col / ratio) as i64, side / ratio, side / ratio);
                let window = wanted.intersect(Window::new(0, 0, part.rows, part.cols));
                lattices.push(Lattice {
                    transform: t.shifted(window.col as f64, window.row as f64),
                    rows: window.rows,
                    cols: window.cols,
                });
                windows.push(window);
            }
            if windows.iter().any(|w| w.is_empty()) {
                continue;
            }
            let name = format!("NATIVE-{}-{side}-R{r:04}-C{c:04}", crs.short_name());
            cells.push(Cell { name, place: CellPlace::Native(windows), lattices });
        }
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_touches_a_hull_or_an_edge_separates_them() {
        let hull = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)];
        assert!(touches(&hull, [8.0, 1.0, 20.0, 2.0]));
        assert!(touches(&hull, [-5.0, -5.0, 20.0, 20.0]));
        assert!(!touches(&hull, [0.0, 6.0, 4.0, 9.0]));
        assert!(touches(&hull, [0.0, 2.0, 4.0, 9.0]));
        assert!(!touches(&hull, [11.0, 0.0, 12.0, 1.0]));
    }
}
