//! The heights a scene needs, and whether they are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::locate::undulation;
use super::super::plan::{Geoid, Terrain};
use super::{bounds, parts_of, unplaced, unwrap};
use crate::config::{Datum, Mode, Pipeline};
use crate::error::Result;
use crate::geometry::{Sensor, ortho};
use crate::read::{Heights, ReadError};
use crate::scene::{Code, Part, Role, Scene, SensorModel, Warning};

/// Metres beyond the DEM's extremes that heights are still expected in, for bounds: a decimated look can miss a peak.
const RANGE_MARGIN_M: f64 = 50.0;

fn sensor(part: &Part, mode: Mode) -> Result<Sensor> {
    match &part.sensor_model {
        SensorModel::Rpc(rpc) => Ok(Sensor::from(&**rpc)),
        _ => Err(unplaced(part, mode).into()),
    }
}

/// Opens the terrain and makes sure that it covers every part that is needed.
pub fn open(
    scene: &Scene,
    pipeline: &Pipeline,
    roles: &BTreeSet<Role>,
    warnings: &mut Vec<Warning>,
) -> Result<Terrain> {
    let geometry = &pipeline.geometry;
    let Some(height) = geometry.height.as_ref().filter(|_| geometry.mode == Mode::Ortho) else {
        return Ok(Terrain::None);
    };
    let sensors = parts_of(scene, roles)
        .into_iter()
        .map(|(_, p)| Ok((sensor(p, geometry.mode)?, (p.rows, p.cols))))
        .collect::<Result<Vec<_>>>()?;
    let ground = |height: f64| -> Result<Vec<(f64, f64)>> {
        let mut points = Vec::new();
        for (sensor, image) in &sensors {
            points.extend(ortho::outline(sensor, *image, height)?);
        }
        unwrap(&mut points);
        Ok(points)
    };
    let middle = sensors.first().map_or(0.0, |(s, _)| s.middle_height_m());
    let around = bounds(&ground(middle)?);
    let geoid = match (&height.geoid, height.datum) {
        (Some(path), Some(Datum::Egm96 | Datum::Egm2008)) => Some(geoid(path, around)?),
        _ => None,
    };
    let lift =
        geoid.as_ref().map_or(0.0, |g| undulation(g, 0.5 * (around[0] + around[2]), 0.5 * (around[1] + around[3])));
    let dem = match (&height.dem, height.constant) {
        (Some(path), _) => Arc::new(Heights::open(path)?),
        (None, constant) => return Ok(Terrain::Constant(constant.unwrap_or(0.0) + lift)),
    };
    let mut range = (middle - lift, middle - lift);
    let mut void_share = 0.0;
    // Twice: the heights decide where the scene lies, and where it lies decides the heights.
    for _ in 0..2 {
        let mut points = ground(range.0 + lift)?;
        points.extend(ground(range.1 + lift)?);
        let (low, high) = dem_positions(&dem, &points)?;
        let window = dem.window_for(low, high);
        let (found, voids) = dem.look(window)?;
        range = found.ok_or_else(|| not_covered(&dem, &points))?;
        void_share = voids;
    }
    let mut points = ground(range.0 + lift)?;
    points.extend(ground(range.1 + lift)?);
    let (low, high) = dem_positions(&dem, &points)?;
    let last = dem.last();
    if low.0 < 0.0 || low.1 < 0.0 || high.0 > last.0 || high.1 > last.1 {
        return Err(not_covered(&dem, &points).into());
    }
    if void_share > 0.0 {
        let share = 100.0 * void_share;
        let file = dem.path().file_name().unwrap_or_default().to_string_lossy();
        let message = format!(
            "`{file}` has no heights on about {share:.2} % of the ground under the scene; pixels there are nodata; fill the voids to have them"
        );
        warnings.push(Warning { code: Code::DemVoids, message });
    }
    let margin = RANGE_MARGIN_M + 0.1 * (range.1 - range.0);
    Ok(Terrain::Dem { heights: dem, range: (range.0 - margin, range.1 + margin), geoid })
}

/// Makes sure that terrain covers images whose sensors were corrected after it was opened.
///
/// # Errors
/// [`ReadError::DoesNotCover`], and sensors that see no ground.
pub fn still_covers(terrain: &Terrain, sensors: &[(Sensor, (usize, usize))]) -> Result<()> {
    let Terrain::Dem { heights, .. } = terrain else { return Ok(()) };
    let mut points = Vec::new();
    for (sensor, image) in sensors {
        for height in super::heights(terrain) {
            points.extend(ortho::outline(sensor, *image, height)?);
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    unwrap(&mut points);
    let ((low, high), last) = (dem_positions(heights, &points)?, heights.last());
    if low.0 < 0.0 || low.1 < 0.0 || high.0 > last.0 || high.1 > last.1 {
        return Err(not_covered(heights, &points).into());
    }
    Ok(())
}

fn geoid(path: &Path, around: [f64; 4]) -> Result<Geoid> {
    let grid = Arc::new(Heights::open(path)?);
    let last = grid.last();
    let corners = [(around[0], around[1]), (around[2], around[3]), (around[0], around[3]), (around[2], around[1])];
    let positions: Vec<(f64, f64)> = corners.iter().map(|(lon, lat)| grid.position(*lon, *lat)).collect();
    let b = bounds(&positions);
    if !b.iter().all(|v| v.is_finite()) || b[0] < 0.0 || b[2] > last.0 || b[1] < 0.0 || b[3] > last.1 {
        return Err(not_covered(&grid, &corners).into());
    }
    let window =
        grid.read(grid.window_for((b[0], b[1]), (b[2], b[3])).grow(4).intersect(grid.window_for((0.0, 0.0), last)))?;
    Ok(Geoid { grid, window })
}

fn dem_positions(dem: &Heights, points: &[(f64, f64)]) -> Result<((f64, f64), (f64, f64))> {
    let map = ortho::to_crs(points, dem.crs())?;
    let b = bounds(&map.iter().map(|(x, y)| dem.position(*x, *y)).collect::<Vec<_>>());
    Ok(((b[0], b[1]), (b[2], b[3])))
}

fn not_covered(heights: &Heights, points: &[(f64, f64)]) -> ReadError {
    let b = bounds(points);
    let e = heights.extent();
    ReadError::DoesNotCover {
        path: heights.path().to_owned(),
        covers: format!("x {:.4} to {:.4}, y {:.4} to {:.4} in {}", e[0], e[2], e[1], e[3], heights.crs()),
        needed: format!("the scene lies at longitude {:.4} to {:.4}, latitude {:.4} to {:.4}", b[0], b[2], b[1], b[3]),
    }
}
