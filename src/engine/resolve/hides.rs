//! Whether terrain can hide ground of a scene from its sensor.

use fieldglow_kernels::occlusion::Steps;

use super::super::locate::transform;
use super::super::plan::{Hides, Layer, Placement, Terrain};
use crate::error::Result;
use crate::geometry::sight::Sights;
use crate::grid::{Crs, Window};
use crate::read::Heights;

/// Pixels of a DEM that are looked at together.
const PIECE: usize = 1 << 20;

/// What has to be known to tell hidden ground, where a product tells of it and it is possible: the relief under the scene
/// is steeper somewhere than the lines of sight. A view from nearly above, or a plain, costs nothing but this look, and most
/// not even that.
pub fn hides(layers: &[Layer], terrain: &Terrain) -> Result<Option<Hides>> {
    let Terrain::Dem { heights, range, under, .. } = terrain else { return Ok(None) };
    let inputs = layers.iter().filter(|l| l.tells_states()).flat_map(|l| &l.inputs);
    let mut all: Vec<Sights> = Vec::new();
    let to_geographic = transform(heights.crs(), &Crs::wgs84())?;
    for input in inputs {
        if let Placement::Sensor(sensor) = &input.placement {
            all.push(Sights::new(sensor, *under, &|c, r| heights.world(c, r), &to_geographic)?);
        }
    }
    // No step between neighbours is higher than the whole relief.
    let relief = Steps::within(range.1 - range.0);
    if !all.iter().any(|s| s.may_hide(&relief)) {
        return Ok(None);
    }
    let steps = steps(heights, *under)?;
    if !all.iter().any(|s| s.may_hide(&steps)) {
        return Ok(None);
    }
    let metres = steps.highest - steps.lowest;
    let nowhere = Window::new(0, 0, 0, 0);
    let reach = all.iter().map(|s| s.reach(nowhere, metres)).reduce(Window::around).unwrap_or(nowhere);
    Ok(Some(Hides { metres, reach }))
}

/// Steps and extremes of the heights of a window.
fn steps(heights: &Heights, window: Window) -> Result<Steps> {
    let mut steps = Steps::default();
    let piece = (PIECE / window.cols.max(1)).max(1);
    for top in (0..window.rows).step_by(piece) {
        let rows = Window::new(window.row + top as i64, window.col, piece.min(window.rows - top), window.cols);
        let read = heights.read(rows)?;
        read.heights.chunks_exact(window.cols.max(1)).for_each(|row| steps.add(row));
    }
    Ok(steps)
}
