//! Lines of sight over a DEM, and the ground that terrain hides from the sensor.

use fieldglow_kernels::height::Surface;
use fieldglow_kernels::occlusion::{self, CLEAR_PX, Sight, Steps};

use super::{GeometryError, Sensor, bounds};
use crate::grid::{PointTransform, Window, nearest_turn};

/// Pixels of a DEM between the nodes that lines of sight are computed at. They are fixed to the DEM, so that a place has one
/// line whatever window it is looked at in; between them a view from hundreds of kilometres away is linear.
const STEP: i64 = 64;

/// Pixels that a line of sight is followed for at the most, where a model sees anything.
const MOST_PX: f64 = 1e6;

/// Metres that a line is followed upwards to know its direction.
const RISE_M: f64 = 100.0;

/// Lines of sight over a window of a DEM.
#[derive(Debug, Clone)]
pub struct Sights {
    /// First node, in steps.
    row: i64,
    col: i64,
    cols: usize,
    /// Pixels per metre along rows, and along columns.
    along_row: Vec<f64>,
    along_col: Vec<f64>,
}

impl Sights {
    /// Lines from a window of a DEM to a sensor. `world` gives the map coordinates of a position (col, row) in the DEM,
    /// `to_geographic` takes them to longitude and latitude.
    ///
    /// The line follows from the sensor model: what shifts on the ground while the height rises and the image position
    /// stays.
    ///
    /// # Errors
    /// When a place has no longitude and latitude.
    pub fn new(
        sensor: &Sensor,
        window: Window,
        world: &dyn Fn(f64, f64) -> (f64, f64),
        to_geographic: &PointTransform,
    ) -> Result<Self, GeometryError> {
        let (row, col) = (window.row.div_euclid(STEP), window.col.div_euclid(STEP));
        let nodes = |first: i64, start: i64, n: usize| ((start + n as i64).div_euclid(STEP) - first + 2) as usize;
        let (rows, cols) = (nodes(row, window.row, window.rows), nodes(col, window.col, window.cols));
        // Of each node itself, its neighbour along the row, and that along the column.
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (dc, dr) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)] {
            for k in 0..rows * cols {
                let at = ((col + (k % cols) as i64) * STEP, (row + (k / cols) as i64) * STEP);
                let (px, py) = world(at.0 as f64 + dc, at.1 as f64 + dr);
                x.push(px);
                y.push(py);
            }
        }
        to_geographic.apply(&mut x, &mut y).map_err(GeometryError::Transform)?;
        x.iter_mut().for_each(|lon| *lon = nearest_turn(*lon, sensor.middle_lon()));
        let n = rows * cols;
        // And of each node above itself.
        x.extend_from_within(..n);
        y.extend_from_within(..n);
        let base = sensor.middle_height_m();
        let height: Vec<f64> = (0..4 * n).map(|k| if k < 3 * n { base } else { base + RISE_M }).collect();
        let (mut c, mut r) = (vec![0.0; 4 * n], vec![0.0; 4 * n]);
        sensor.image_from_ground(&x, &y, &height, &mut c, &mut r);
        let (mut along_row, mut along_col) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for k in 0..n {
            let to = |j: usize| (c[k + j * n] - c[k], r[k + j * n] - r[k]);
            let (right, down, up) = (to(1), to(2), to(3));
            let det = right.0 * down.1 - right.1 * down.0;
            let sight =
                ((down.0 * up.1 - down.1 * up.0) / det / RISE_M, (right.1 * up.0 - right.0 * up.1) / det / RISE_M);
            // Far outside of its image a model may have none: a line that is no number hides nothing.
            along_row.push(sight.0);
            along_col.push(sight.1);
        }
        Ok(Self { row, col, cols, along_row, along_col })
    }

    /// The line at a pixel (row, col) of the DEM, inside the window.
    fn at(&self, row: i64, col: i64) -> Sight {
        let (r, c) = (row.div_euclid(STEP), col.div_euclid(STEP));
        let (fr, fc) = ((row - r * STEP) as f64 / STEP as f64, (col - c * STEP) as f64 / STEP as f64);
        let k = (r - self.row) as usize * self.cols + (c - self.col) as usize;
        let between = |table: &[f64]| {
            let upper = table[k] + (table[k + 1] - table[k]) * fc;
            let lower = table[k + self.cols] + (table[k + self.cols + 1] - table[k + self.cols]) * fc;
            upper + (lower - upper) * fr
        };
        Sight { col: between(&self.along_row), row: between(&self.along_col) }
    }

    /// Whether terrain of such steps can hide anything from any place.
    pub fn may_hide(&self, steps: &Steps) -> bool {
        self.along_row.iter().zip(&self.along_col).any(|(c, r)| steps.may_hide(Sight { col: *c, row: *r }))
    }

    /// The pixels that lines of sight from a window may run over while they rise by `metres`, and those that tell how clear
    /// they are.
    pub fn reach(&self, window: Window, metres: f64) -> Window {
        let side = |table: &[f64]| {
            let (low, high) = bounds(table);
            let more = |v: f64| (v.max(0.0) * metres.max(0.0) + CLEAR_PX).ceil().min(MOST_PX) as i64 + 1;
            (more(-low), more(high))
        };
        let ((left, right), (up, down)) = (side(&self.along_row), side(&self.along_col));
        let (rows, cols) = (window.rows + (up + down) as usize, window.cols + (left + right) as usize);
        Window::new(window.row - up, window.col - left, rows, cols)
    }

    /// Metres by which terrain stands above the lines of sight of the pixels of `window`, from heights of a window around
    /// it; `None` where nothing is hidden.
    pub fn excess(&self, heights: &[f32], around: Window, window: Window) -> Option<Vec<f32>> {
        let surface = Surface { heights, rows: around.rows, cols: around.cols };
        let steps = Steps::of(surface);
        if window.is_empty() || !self.may_hide(&steps) {
            return None;
        }
        let first = ((window.row - around.row) as usize, (window.col - around.col) as usize);
        let mut excess = vec![f32::NAN; window.pixels()];
        let sight = |r: usize, c: usize| self.at(around.row + r as i64, around.col + c as i64);
        occlusion::excess(surface, steps.highest, first, window.rows, sight, &mut excess);
        excess.iter().any(|e| f64::from(*e) > super::HIDDEN_M).then_some(excess)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::sensor::tests::rpc;
    use crate::grid::{Crs, GeoTransform};

    #[test]
    fn a_line_of_sight_is_where_one_image_position_lies_at_other_heights() {
        let sensor = Sensor::from(&rpc());
        let dem = GeoTransform::north_up(125.1, 44.05, 1.0 / 3600.0);
        let world = |c: f64, r: f64| dem.world_from_pixel(c + 0.5, r + 0.5);
        let same = PointTransform::new(&Crs::wgs84(), &Crs::wgs84()).unwrap();
        let window = Window::new(130, 200, 300, 500);
        let sights = Sights::new(&sensor, window, &world, &same).unwrap();
        for (row, col) in [(130, 200), (429, 699), (300, 333)] {
            let sight = sights.at(row, col);
            let (lon, lat) = world(col as f64, row as f64);
            let (mut c, mut r) = ([0.0], [0.0]);
            sensor.image_from_ground(&[lon], &[lat], &[100.0], &mut c, &mut r);
            let (lon, lat) = sensor.ground_from_image(c[0], r[0], 500.0).unwrap();
            let (x, y) = dem.pixel_from_world(lon, lat);
            let moved = (x - 0.5 - col as f64, y - 0.5 - row as f64);
            let apart = (moved.0 - 400.0 * sight.col).hypot(moved.1 - 400.0 * sight.row);
            assert!(apart < 0.01 * moved.0.hypot(moved.1), "{moved:?} {sight:?}");
            // A place has the same line in another window.
            let other = Sights::new(&sensor, Window::new(row - 3, col - 70, 9, 80), &world, &same).unwrap();
            assert_eq!(other.at(row, col), sight);
        }
    }
}
