//! What terrain hides: ground whose line of sight to the sensor runs below the surface.
//!
//! Seen from a place on the ground, the line of sight rises by a metre while it moves by a fraction of a pixel of the DEM
//! towards the sensor. Terrain between is above the line or not: followed pixel by pixel, up to the highest terrain, that is
//! known at the DEM's own nodes, and between them bilinear as the heights are.

use crate::height::Surface;

/// How far a line of sight moves over a DEM while it rises by a metre, towards the sensor.
///
/// # Units
/// Pixels per metre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// Along rows.
    pub col: f64,
    /// Along columns.
    pub row: f64,
}

/// Steps of the line of sight, a pixel of the DEM each, by whose rise a place may be clear of all terrain and still be told
/// by how much. More is not told: it depends on terrain far away.
const CLEAR_STEPS: f64 = 2.0;

/// Pixels that a line of sight goes on for that is told to be clear.
pub const CLEAR_PX: f64 = CLEAR_STEPS + 1.0;

/// Metres by which terrain stands above the lines of sight of the nodes of a part of a surface: rows `first.0` and columns
/// `first.1` on, `rows` of `out.len() / rows` nodes. Negative where it stays below, but never less than two steps of the line:
/// so much depends on what is near alone.
///
/// `highest` is not below any height of the surface; `sight` gives the line of a node (row, col).
///
/// # Invalid pixels
/// A node without height gets NaN, one whose line stands straight up or is no number −∞. Terrain without heights, and beyond the surface, hides nothing.
pub fn excess(
    surface: Surface<'_>,
    highest: f64,
    first: (usize, usize),
    rows: usize,
    sight: impl Fn(usize, usize) -> Sight,
    out: &mut [f32],
) {
    assert_eq!(surface.heights.len(), surface.rows * surface.cols, "a whole window");
    let cols = out.len() / rows.max(1);
    let ceiling = Ceiling::of(surface);
    for (k, out) in out.iter_mut().enumerate() {
        let (row, col) = (first.0 + k / cols, first.1 + k % cols);
        *out = of_node(surface, &ceiling, highest, (row, col), sight(row, col)) as f32;
    }
}

/// Side of the squares of pixels whose terrain is known to stay below a line at once.
const SQUARE: usize = 16;

/// The highest terrain in and around squares of a surface: of each and its eight neighbours, as a line that enters a square may
/// drift into the next one before it has crossed it.
struct Ceiling {
    cols: usize,
    heights: Vec<f32>,
}

impl Ceiling {
    fn of(surface: Surface<'_>) -> Self {
        let (rows, cols) = (surface.rows.div_ceil(SQUARE), surface.cols.div_ceil(SQUARE));
        let mut own = vec![f32::NEG_INFINITY; rows * cols];
        for (r, row) in surface.heights.chunks_exact(surface.cols.max(1)).enumerate() {
            for (square, piece) in own[r / SQUARE * cols..].iter_mut().zip(row.chunks(SQUARE)) {
                // `max` leaves out a height that is none.
                *square = piece.iter().fold(*square, |a, h| a.max(*h));
            }
        }
        let around = |k: usize| {
            let (r, c) = (k / cols, k % cols);
            let rows = r.saturating_sub(1)..(r + 2).min(rows);
            let squares = rows.flat_map(|r| &own[r * cols + c.saturating_sub(1)..r * cols + (c + 2).min(cols)]);
            squares.fold(f32::NEG_INFINITY, |a, h| a.max(*h))
        };
        let heights = (0..own.len()).map(around).collect();
        Self { cols, heights }
    }

    fn over(&self, row: usize, col: usize) -> f64 {
        f64::from(self.heights[row / SQUARE * self.cols + col / SQUARE])
    }
}

fn of_node(surface: Surface<'_>, ceiling: &Ceiling, highest: f64, (row, col): (usize, usize), sight: Sight) -> f64 {
    let Some(&from) = surface.heights.get(row * surface.cols + col).filter(|_| col < surface.cols) else {
        return f64::NAN;
    };
    let from = f64::from(from);
    let along_rows = sight.col.abs() >= sight.row.abs();
    let (main, side) = if along_rows { (sight.col, sight.row) } else { (sight.row, sight.col) };
    if from.is_nan() {
        return f64::NAN;
    }
    // Straight up, or no direction at all.
    if main == 0.0 || !(main.is_finite() && side.is_finite()) {
        return f64::NEG_INFINITY;
    }
    // One pixel along the main direction, so that only heights of two nodes meet at a step.
    let (rise, drift, sign) = (1.0 / main.abs(), side / main.abs(), main.signum() as isize);
    let (stride, across, at, main_last, side_at, side_last) = if along_rows {
        (1, surface.cols, col, surface.cols, row, surface.rows)
    } else {
        (surface.cols, 1, row, surface.rows, col, surface.cols)
    };
    let mut found = -CLEAR_STEPS * rise;
    let steps = ((highest - from) / rise + CLEAR_STEPS).max(1.0) as isize;
    let room = if sign > 0 { main_last - 1 - at } else { at } as isize;
    let last = steps.min(room);
    let (mut k, mut crossed) = (1, 1);
    while k <= last {
        // From the node, not from the window: the same in every window.
        let away = drift * k as f64;
        let (whole, part) = (away.floor(), away - away.floor());
        let s = side_at as isize + whole as isize;
        if s < 0 || s + isize::from(part > 0.0) >= side_last as isize {
            break;
        }
        let (main_at, s) = ((at as isize + sign * k) as usize, s as usize);
        if k == crossed {
            // A square later, or beyond it if all that stands there is below what was found.
            let inside = main_at % SQUARE;
            crossed += if sign > 0 { SQUARE - inside } else { inside + 1 } as isize;
            let square = if along_rows { ceiling.over(s, main_at) } else { ceiling.over(main_at, s) };
            if square - from - rise * k as f64 <= found {
                k = crossed;
                continue;
            }
        }
        let p = main_at * stride + s * across;
        let near = f64::from(surface.heights[p]);
        let height = if part > 0.0 { near + (f64::from(surface.heights[p + across]) - near) * part } else { near };
        // `max` leaves out a height that is none.
        found = found.max(height - from - rise * k as f64);
        k += 1;
    }
    found
}

/// The largest differences between neighbours of a surface that is looked at row by row, and its extremes. Across voids the
/// heights on both sides count as neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// Between neighbours in a row, metres.
    pub col: f64,
    /// Between neighbours in a column, metres.
    pub row: f64,
    /// The lowest height, metres; +∞ without any.
    pub lowest: f64,
    /// The highest height, metres; −∞ without any.
    pub highest: f64,
    above: Vec<f32>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { col: 0.0, row: 0.0, lowest: f64::INFINITY, highest: f64::NEG_INFINITY, above: Vec::new() }
    }
}

impl Steps {
    /// The largest that there can be between heights that lie within so many metres.
    pub fn within(metres: f64) -> Self {
        Self { col: metres, row: metres, ..Self::default() }
    }

    /// Those of a whole surface.
    pub fn of(surface: Surface<'_>) -> Self {
        let mut steps = Self::default();
        surface.heights.chunks_exact(surface.cols.max(1)).for_each(|row| steps.add(row));
        steps
    }

    /// Takes the next row; all have one length.
    pub fn add(&mut self, row: &[f32]) {
        self.above.resize(row.len(), f32::NAN);
        let mut before = f32::NAN;
        let (mut col_step, mut row_step) = (0f32, 0f32);
        for (h, above) in row.iter().zip(&mut self.above) {
            if h.is_nan() {
                continue;
            }
            // `max` leaves out what is no number.
            col_step = col_step.max((h - before).abs());
            row_step = row_step.max((h - *above).abs());
            (before, *above) = (*h, *h);
            self.lowest = self.lowest.min(f64::from(*h));
            self.highest = self.highest.max(f64::from(*h));
        }
        self.col = self.col.max(f64::from(col_step));
        self.row = self.row.max(f64::from(row_step));
    }

    /// Whether terrain of such steps can rise faster than a line of sight.
    pub fn may_hide(&self, sight: Sight) -> bool {
        sight.col.abs() * self.col + sight.row.abs() * self.row > 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall of 100 m at column 20, 4 columns thick, with vertical faces between nodes; flat ground elsewhere.
    fn wall(rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|k| if (20..24).contains(&(k % cols)) { 100.0 } else { 0.0 }).collect()
    }

    fn whole(heights: &[f32], cols: usize, sight: Sight) -> Vec<f32> {
        let surface = Surface { heights, rows: heights.len() / cols, cols };
        let mut out = vec![0.0; heights.len()];
        excess(surface, Steps::of(surface).highest, (0, 0), surface.rows, |_, _| sight, &mut out);
        out
    }

    #[test]
    fn a_wall_hides_what_lies_in_its_shadow() {
        let (rows, cols) = (5, 60);
        // The sensor is to the left; the line rises 10 m per pixel: the shadow of the wall's far edge ends 10 pixels beyond.
        let out = whole(&wall(rows, cols), cols, Sight { col: -0.1, row: 0.0 });
        for r in 0..rows {
            for c in 0..cols {
                let e = f64::from(out[r * cols + c]);
                let expected = match c {
                    24..60 => (100.0 - 10.0 * (c as f64 - 23.0)).max(-10.0),
                    // Nothing is before them, or the ground falls away.
                    0 | 20 => -20.0,
                    _ => -10.0,
                };
                assert!((e - expected).abs() < 1e-4, "{r} {c}: {e} for {expected}");
            }
        }
        // From above nothing is hidden.
        assert!(whole(&wall(rows, cols), cols, Sight { col: 0.0, row: 0.0 }).iter().all(|e| *e < -1e9));
    }

    /// The same by small steps along the line over the bilinear surface.
    fn by_small_steps(heights: &[f32], (rows, cols): (usize, usize), node: (usize, usize), sight: Sight) -> f64 {
        let from = f64::from(heights[node.0 * cols + node.1]);
        let surface = Surface { heights, rows, cols };
        let mut worst = f64::NEG_INFINITY;
        for k in 1..6000 {
            let up = 0.05 * f64::from(k);
            let mut h = [0.0];
            crate::height::sample(
                surface,
                &[node.1 as f64 + sight.col * up],
                &[node.0 as f64 + sight.row * up],
                &mut h,
            );
            if h[0].is_nan() {
                break;
            }
            worst = worst.max(h[0] - from - up);
        }
        worst
    }

    /// The same step by step, without squares.
    fn by_all_steps(surface: Surface<'_>, (row, col): (usize, usize), sight: Sight) -> f64 {
        let from = f64::from(surface.heights[row * surface.cols + col]);
        let rise = 1.0 / sight.col.abs().max(sight.row.abs());
        let (mut k, mut worst) = (1.0, -CLEAR_STEPS * rise);
        loop {
            let (c, r) = (col as f64 + sight.col * rise * k, row as f64 + sight.row * rise * k);
            let mut h = [0.0];
            // What is whole is so but for the last bit.
            let whole = |v: f64| if (v - v.round()).abs() < 1e-9 { v.round() } else { v };
            crate::height::sample(surface, &[whole(c)], &[whole(r)], &mut h);
            if h[0].is_nan() {
                return worst;
            }
            worst = worst.max(h[0] - from - rise * k);
            k += 1.0;
        }
    }

    #[test]
    fn squares_that_are_passed_over_change_nothing() {
        let (rows, cols) = (75, 90);
        // Rough ground with towers here and there.
        let height = |k: usize| ((k * 7919) % 23) as f32 + if (k * 104_729).is_multiple_of(311) { 90.0 } else { 0.0 };
        let heights: Vec<f32> = (0..rows * cols).map(height).collect();
        let surface = Surface { heights: &heights, rows, cols };
        for angle in (0..24).map(|k| 0.11 + f64::from(k) * 0.27) {
            for per_m in [0.05, 0.4, 3.0] {
                let sight = Sight { col: per_m * angle.cos(), row: per_m * angle.sin() };
                let out = whole(&heights, cols, sight);
                for k in (0..rows * cols).step_by(37) {
                    let expected = by_all_steps(surface, (k / cols, k % cols), sight);
                    assert!((f64::from(out[k]) - expected).abs() < 1e-3, "{k} at {angle}: {} for {expected}", out[k]);
                }
            }
        }
    }

    #[test]
    fn hills_hide_what_a_finer_march_finds_hidden_in_every_direction_and_window() {
        let (rows, cols) = (70, 80);
        let height = |r: f64, c: f64| 60.0 * (0.35 * c + 0.1 * r).sin() + 60.0 * (0.3 * r - 0.2 * c).cos() + 150.0;
        let heights: Vec<f32> = (0..rows * cols).map(|k| height((k / cols) as f64, (k % cols) as f64) as f32).collect();
        let surface = Surface { heights: &heights, rows, cols };
        let steps = Steps::of(surface);
        let (mut hidden, mut clear) = (0, 0);
        for (k, angle) in (0..16).map(|k| (k, f64::from(k) * 0.41)) {
            let per_m = [0.08, 0.11][k as usize % 2];
            let sight = Sight { col: per_m * angle.cos(), row: per_m * angle.sin() };
            assert!(steps.may_hide(sight));
            let out = whole(&heights, cols, sight);
            // A window in the middle, from a surface that reaches as far as needed and no further.
            let (first, shape) = ((30, 35), (9, 11));
            let reach = (per_m * (steps.highest - steps.lowest) + CLEAR_PX).ceil() as usize;
            let (top, left) = (first.0 - reach.min(first.0), first.1 - reach.min(first.1));
            let (bottom, right) = ((first.0 + shape.0 + reach).min(rows), (first.1 + shape.1 + reach).min(cols));
            let cut: Vec<f32> =
                (top..bottom).flat_map(|r| heights[r * cols + left..r * cols + right].to_vec()).collect();
            let part = Surface { heights: &cut, rows: bottom - top, cols: right - left };
            let mut own = vec![0.0; shape.0 * shape.1];
            let from = (first.0 - top, first.1 - left);
            excess(part, Steps::of(part).highest, from, shape.0, |_, _| sight, &mut own);
            for (i, e) in own.iter().enumerate() {
                let node = (first.0 + i / shape.1, first.1 + i % shape.1);
                assert_eq!(e.to_bits(), out[node.0 * cols + node.1].to_bits(), "{node:?} depends on the window");
                let fine = by_small_steps(&heights, (rows, cols), node, sight);
                // Between steps the surface bends by a metre or two.
                if fine > 3.0 {
                    assert!(*e > 1.0, "{node:?} at {angle}: {e}, finer {fine}");
                    hidden += 1;
                } else if fine <= 0.0 {
                    assert!(*e < 0.1, "{node:?} at {angle}: {e}, finer {fine}");
                    clear += 1;
                }
            }
        }
        assert!(hidden > 150 && clear > 150, "{hidden} {clear}");
    }

    #[test]
    fn where_steps_stay_below_the_line_nothing_is_hidden() {
        let cols = 40;
        // Slopes up to 9 m per pixel each way, in a pattern without order.
        let heights: Vec<f32> = (0..cols * cols).map(|k| ((k * 7919) % 10) as f32).collect();
        let surface = Surface { heights: &heights, rows: cols, cols };
        let steps = Steps::of(surface);
        assert_eq!((steps.lowest, steps.highest), (0.0, 9.0));
        for angle in (0..32).map(|k| f64::from(k) * 0.2) {
            let per_m = 0.999 / (angle.cos().abs() * steps.col + angle.sin().abs() * steps.row);
            let sight = Sight { col: per_m * angle.cos(), row: per_m * angle.sin() };
            assert!(!steps.may_hide(sight));
            assert!(whole(&heights, cols, sight).iter().all(|e| *e <= 0.0));
        }
    }

    #[test]
    fn voids_hide_nothing_and_steps_are_seen_across_them() {
        let mut heights = vec![0.0f32; 30];
        heights[10] = 50.0;
        heights[3] = f32::NAN;
        let out = whole(&heights, 30, Sight { col: 0.1, row: 0.0 });
        assert!(out[3].is_nan() && out[9] == 40.0 && out[6] == 10.0 && out[11] == -10.0);
        heights[9] = f32::NAN;
        let steps = Steps::of(Surface { heights: &heights, rows: 1, cols: 30 });
        assert_eq!((steps.col, steps.row), (50.0, 0.0));
        let column = Steps::of(Surface { heights: &[1.0, f32::NAN, 8.0], rows: 3, cols: 1 });
        assert_eq!((column.col, column.row), (0.0, 7.0));
    }
}
