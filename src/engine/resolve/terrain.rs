//! The heights a scene needs, and whether they are there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::super::locate::undulation;
use super::super::plan::{Geoid, Terrain};
use super::super::publish::unwrap;
use super::{bounds, domain, heights, parts_of, unplaced};
use crate::config::{Datum, Dem, Mode, Pipeline};
use crate::error::Result;
use crate::geometry::{Sensor, ortho};
use crate::grid::Crs;
use crate::read::{Heights, ReadError, Sheet};
use crate::scene::{Code, Part, Role, Scene, SensorModel, Warning};

/// Metres beyond the DEM's extremes that heights are still expected in, for bounds: a decimated look can miss a peak.
const RANGE_MARGIN_M: f64 = 50.0;

/// Pixels around the scene within which a tile counts as needed: the neighbours of interpolation.
const TILE_MARGIN_PX: f64 = 4.0;

fn sensor(part: &Part, mode: Mode) -> Result<Sensor> {
    match &part.sensor_model {
        SensorModel::Rpc(rpc) => Ok(Sensor::from(&**rpc)),
        _ => Err(unplaced(part, mode).into()),
    }
}

/// Opens the terrain and makes sure that it covers every part that is needed, and is what it is said to be.
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
    let parts: Vec<&Part> = parts_of(scene, roles).into_iter().map(|(_, p)| p).collect();
    let sensors = parts.iter().map(|p| sensor(p, geometry.mode)).collect::<Result<Vec<_>>>()?;
    let check = |low: f64, high: f64, warnings: &mut Vec<Warning>| -> Result<()> {
        heights::against_models(&parts, &sensors, (low, high), warnings)?;
        for (part, sensor) in parts.iter().zip(&sensors) {
            warnings.extend(domain::check(&part.name, sensor, (part.rows, part.cols), (low, high))?);
        }
        Ok(())
    };
    let ground = |height: f64| -> Result<Points> {
        let mut points = Vec::new();
        for (sensor, part) in sensors.iter().zip(&parts) {
            points.extend(ortho::outline(sensor, (part.rows, part.cols), height)?);
        }
        unwrap(&mut points);
        Ok(points)
    };
    let middle = sensors.first().map_or(0.0, Sensor::middle_height_m);
    let around = bounds(&ground(middle)?);
    let geoid = match (&height.geoid, height.datum) {
        (Some(path), Some(Datum::Egm96 | Datum::Egm2008)) => Some(geoid(path, around)?),
        _ => None,
    };
    let lift =
        geoid.as_ref().map_or(0.0, |g| undulation(g, 0.5 * (around[0] + around[2]), 0.5 * (around[1] + around[3])));
    let mut files = match (&height.dem, height.constant) {
        (Some(dem), _) => Files::open(dem)?,
        (None, constant) => {
            let ellipsoidal = constant.unwrap_or(0.0) + lift;
            check(ellipsoidal, ellipsoidal, warnings)?;
            return Ok(Terrain::Constant(ellipsoidal));
        }
    };
    let between = |(low, high): (f64, f64)| -> Result<Points> {
        let mut points = ground(low + lift)?;
        points.extend(ground(high + lift)?);
        Ok(points)
    };
    let mut found = (middle - lift, middle - lift);
    let mut void_share = 0.0;
    // Twice: the heights decide where the scene lies, and where it lies decides the heights.
    for _ in 0..2 {
        let points = between(found)?;
        let dem = files.that_meet(&points)?;
        let (low, high) = dem_positions(&dem, &points)?;
        let (range, voids) = dem.look(dem.window_for(low, high))?;
        found = range.ok_or_else(|| not_covered(&dem, &points))?;
        void_share = voids;
    }
    let margin = RANGE_MARGIN_M + 0.1 * (found.1 - found.0);
    let range = (found.0 - margin, found.1 + margin);
    let dem = files.that_meet(&between(range)?)?;
    let points = between(found)?;
    let (low, high) = dem_positions(&dem, &points)?;
    if !dem.covers(low, high) {
        return Err(not_covered(&dem, &points).into());
    }
    heights::against_files(&dem, height.datum, warnings)?;
    check(found.0 + lift, found.1 + lift, warnings)?;
    if void_share > 0.0 {
        let message = format!(
            "{} on about {:.2} % of the ground under the scene; pixels there are nodata; fill the voids to have them",
            told(&dem.names(), "has no heights", "have no heights"),
            100.0 * void_share
        );
        warnings.push(Warning { code: Code::DemVoids, message });
    }
    let (low, high) = dem_positions(&dem, &between(range)?)?;
    Ok(Terrain::Dem { under: dem.window_for(low, high), hides: None, heights: dem, found, range, geoid })
}

/// Coordinates of points.
type Points = Vec<(f64, f64)>;

/// The files of a DEM: one, which is open, or tiles, which are opened where a scene meets them.
enum Files {
    One(Arc<Heights>),
    Tiles { sheets: Vec<Sheet>, open: Option<(Vec<usize>, Arc<Heights>)> },
}

impl Files {
    fn open(dem: &Dem) -> Result<Self> {
        match dem.files() {
            [one] => Ok(Self::One(Arc::new(Heights::open(one, &[])?))),
            many => {
                let sheets = many.iter().map(|f| Sheet::open(f)).collect::<Result<_, _>>()?;
                Ok(Self::Tiles { sheets, open: None })
            }
        }
    }

    /// Heights of the tiles that some points, longitude and latitude, meet by their bounding box.
    fn that_meet(&mut self, points: &[(f64, f64)]) -> Result<Arc<Heights>> {
        let (sheets, open) = match self {
            Self::One(heights) => return Ok(Arc::clone(heights)),
            Self::Tiles { sheets, open } => (sheets, open),
        };
        // Tiles of a product have one system, or a few.
        let mut in_crs: Vec<(Crs, Option<Points>)> = Vec::new();
        let mut met = Vec::new();
        for (k, sheet) in sheets.iter().enumerate() {
            if !in_crs.iter().any(|(crs, _)| *crs == sheet.crs) {
                // Far from a map, points have no place on it: they do not meet its tiles.
                in_crs.push((sheet.crs.clone(), ortho::to_crs(points, &sheet.crs).ok()));
            }
            let points = in_crs.iter().find(|(crs, _)| *crs == sheet.crs).and_then(|(_, p)| p.as_ref());
            if points.is_some_and(|p| sheet.meets(p, TILE_MARGIN_PX)) {
                met.push(k);
            }
        }
        if let Some((_, heights)) = open.as_ref().filter(|(which, _)| *which == met) {
            return Ok(Arc::clone(heights));
        }
        let paths: Vec<&Path> = met.iter().filter_map(|k| sheets.get(*k)).map(|s| &*s.path).collect();
        let Some((first, more)) = paths.split_first() else {
            return Err(ReadError::DoesNotCover {
                files: format!("the {} files of `geometry.height.dem`", sheets.len()),
                covers: "lie elsewhere".into(),
                needed: scene_lies(points),
            }
            .into());
        };
        let heights = Arc::new(Heights::open(first, more)?);
        *open = Some((met, Arc::clone(&heights)));
        Ok(heights)
    }
}

/// Makes sure that terrain covers images whose sensors were corrected after it was opened.
///
/// # Errors
/// [`ReadError::DoesNotCover`], and sensors that see no ground.
pub fn still_covers(terrain: &Terrain, sensors: &[(Sensor, (usize, usize))]) -> Result<()> {
    let Terrain::Dem { heights, .. } = terrain else { return Ok(()) };
    let mut points = Vec::new();
    for (sensor, image) in sensors {
        for height in super::heights_of(terrain) {
            points.extend(ortho::outline(sensor, *image, height)?);
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    unwrap(&mut points);
    let (low, high) = dem_positions(heights, &points)?;
    if !heights.covers(low, high) {
        return Err(not_covered(heights, &points).into());
    }
    Ok(())
}

fn geoid(path: &Path, around: [f64; 4]) -> Result<Geoid> {
    let grid = Arc::new(Heights::open(path, &[])?);
    let corners = [(around[0], around[1]), (around[2], around[3]), (around[0], around[3]), (around[2], around[1])];
    let positions: Vec<(f64, f64)> = corners.iter().map(|(lon, lat)| grid.position(*lon, *lat)).collect();
    let b = bounds(&positions);
    if !b.iter().all(|v| v.is_finite()) || !grid.covers((b[0], b[1]), (b[2], b[3])) {
        return Err(not_covered(&grid, &corners).into());
    }
    let needed = grid.window_for((b[0], b[1]), (b[2], b[3]));
    heights::undulations(&grid.read(needed)?, path)?;
    let window = grid.read(needed.grow(4).intersect(grid.window()))?;
    Ok(Geoid { grid, window })
}

fn dem_positions(dem: &Heights, points: &[(f64, f64)]) -> Result<((f64, f64), (f64, f64))> {
    let map = ortho::to_crs(points, dem.crs())?;
    let b = bounds(&map.iter().map(|(x, y)| dem.position(*x, *y)).collect::<Vec<_>>());
    Ok(((b[0], b[1]), (b[2], b[3])))
}

fn not_covered(heights: &Heights, points: &[(f64, f64)]) -> ReadError {
    let e = heights.extent();
    let paths: Vec<String> = heights.sheets().iter().map(|s| s.path.display().to_string()).collect();
    let gaps = if paths.len() > 1 { ", not all of it" } else { "" };
    ReadError::DoesNotCover {
        files: told(&paths, "covers", "cover"),
        covers: format!("x {:.4} to {:.4}, y {:.4} to {:.4} in {}{gaps}", e[0], e[2], e[1], e[3], heights.crs()),
        needed: scene_lies(points),
    }
}

fn scene_lies(points: &[(f64, f64)]) -> String {
    let b = bounds(points);
    format!("the scene lies at longitude {:.4} to {:.4}, latitude {:.4} to {:.4}", b[0], b[2], b[1], b[3])
}

/// "`a.tif` covers", "`a.tif` and 3 more cover".
fn told(names: &[String], one: &str, many: &str) -> String {
    match names {
        [name] => format!("`{name}` {one}"),
        [name, more @ ..] => format!("`{name}` and {} more {many}", more.len()),
        [] => format!("nothing {one}"),
    }
}
