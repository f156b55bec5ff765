//! From a pipeline and a scene to a plan: products that can be made, where their pixels are, what they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::{Cell, CellPlace, Geoid, Input, InputBand, Layer, Placement, ScenePlan, Terrain};
use super::{EngineError, key};
use crate::calibrate::{self, Illumination, Level, conversion};
use crate::cog::GeoKeys;
use crate::config::{Datum, IdentityMode, Kind, Mode, Pipeline, Sample};
use crate::error::{Result, ResultExt};
use crate::geometry::{Sensor, ortho};
use crate::grid::cell::{self, Lattice, NATIVE_SIDE, SquareGrid};
use crate::grid::{Crs, GeoTransform, Window, nearest_turn, pixel_area_m2};
use crate::product::{Encoding, Product, Program, indices};
use crate::read::{Heights, Raster, ReadError};
use crate::scene::{Part, Role, Scene, SensorModel, Warning, identity};

/// Metres beyond the DEM's extremes that heights are still expected in, for bounds: a decimated look can miss a peak.
const RANGE_MARGIN_M: f64 = 50.0;

/// Most cells of one scene, as a bounding box: 1000 × 1000 of them are 7680 km a side.
const MAX_CELLS: f64 = 1e6;

/// Source pixels along a product's pixel from which on bilinear interpolation leaves some of them out.
const COARSE: f64 = 1.5;

/// A product with the pixel size it is wanted at (0 for `native`) and the roles it reads.
type Wanted = (f64, Product, Vec<Role>);

/// Resolves a pipeline against a scene. Reads headers, digests and the DEM's extremes, no pixels of the scene.
///
/// # Errors
/// Everything that makes the scene impossible to make with this pipeline.
pub fn resolve(scene: Scene, pipeline: &Arc<Pipeline>) -> Result<ScenePlan> {
    let id = scene.id.clone();
    resolve_scene(scene, pipeline).within(|c| c.scene = Some(id))
}

fn resolve_scene(scene: Scene, pipeline: &Arc<Pipeline>) -> Result<ScenePlan> {
    let mut warnings = scene.warnings.clone();
    let full = pipeline.input.identity == IdentityMode::Full;
    let identity = identity::identity(&scene, full)?.digest;
    let wanted = wanted_products(&scene, pipeline, &mut warnings)?;
    let roles: BTreeSet<Role> = wanted.iter().flat_map(|(_, _, roles)| roles.iter().copied()).collect();

    let terrain = terrain(&scene, pipeline, &roles, &mut warnings).within(|c| c.stage = Some("geometry"))?;
    let center = center(&scene, &roles)?;
    let illumination = illumination(&scene, pipeline, center).within(|c| c.stage = Some("calibrate"))?;
    warnings.extend(illumination.iter().flat_map(|i| i.warnings.iter().cloned()));

    let crs = crs(&scene, pipeline, &roles, center)?;
    let layers = layers(&scene, pipeline, wanted, &crs, illumination.as_ref(), &mut warnings)?;
    let outline = outline(&scene, &layers, &terrain)?;
    let cells = cells(&scene, pipeline, &layers, &crs, &outline)?;
    // Every height file that was named, also where only one number was taken from it.
    let height = pipeline.geometry.height.as_ref();
    let digest = |path: Option<&PathBuf>| path.map(|p| identity::of_file(p, full).map(|i| i.digest)).transpose();
    let (dem, geoid) = (digest(height.and_then(|h| h.dem.as_ref()))?, digest(height.and_then(|h| h.geoid.as_ref()))?);
    let geo_keys = GeoKeys::for_crs(&crs).within(|c| c.stage = Some("cog"))?;
    Ok(ScenePlan {
        acquisition: scene.acquisition(),
        key: key::key(pipeline, &identity, dem.as_deref(), geoid.as_deref()),
        identity,
        pipeline: Arc::clone(pipeline),
        geo_keys,
        crs,
        illumination,
        layers,
        cells,
        terrain,
        warnings,
        outline: outline.geographic,
        scene,
    })
}

fn has(scene: &Scene) -> String {
    let roles: Vec<_> = scene.roles().iter().map(|r| r.code()).collect();
    roles.join(", ")
}

/// The products this scene can make; `qa` without bands of its own gets those of its neighbours.
fn wanted_products(scene: &Scene, pipeline: &Pipeline, warnings: &mut Vec<Warning>) -> Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let available = scene.roles();
    let default_pixel = pipeline.geometry.resolution.unwrap_or(0.0);
    for p in &pipeline.product {
        let (program, roles) = match p.kind {
            Kind::Bands => (Program::Bands(p.bands.clone()), p.bands.clone()),
            Kind::Qa => (Program::Qa, p.bands.clone()),
            Kind::Index => match p.index.as_deref().and_then(indices::find) {
                Some(row) => (Program::Index(row), row.program.bands()),
                None => continue,
            },
        };
        if let Some(role) = roles.iter().find(|r| !available.contains(r)) {
            let missing = EngineError::MissingRole { product: p.name.clone(), role: *role, has: has(scene) };
            if p.required {
                return Err(missing.into());
            }
            warnings.push(Warning { code: "product-left-out", message: missing.to_string() });
            continue;
        }
        let toa = pipeline.radiometry.level == Level::Toa;
        let scaled = match &program {
            Program::Bands(_) => toa,
            Program::Index(row) => row.scaled,
            Program::Qa => false,
        };
        let encoding = match (&program, p.sample) {
            (Program::Qa, _) => Encoding::Bits,
            (_, Some(Sample::Float32)) => Encoding::F32,
            (_, Some(Sample::Int16)) => Encoding::ScaledI16,
            (_, None) if scaled => Encoding::ScaledI16,
            (_, None) => Encoding::F32,
        };
        wanted.push((
            p.resolution.unwrap_or(default_pixel),
            Product { name: p.name.clone(), program, encoding },
            roles,
        ));
    }
    let of_others = |pixel: f64, wanted: &[Wanted]| -> Vec<Role> {
        let others = wanted.iter().filter(|(p, product, _)| *p == pixel && product.program != Program::Qa);
        let roles: BTreeSet<Role> = others.flat_map(|(_, _, r)| r.iter().copied()).collect();
        roles.into_iter().collect()
    };
    for k in 0..wanted.len() {
        if wanted[k].1.program == Program::Qa && wanted[k].2.is_empty() {
            let roles = of_others(wanted[k].0, &wanted);
            // Alone on its pixels, it tells the state of the part with the most bands.
            wanted[k].2 = if roles.is_empty() {
                let part = scene.parts.iter().max_by_key(|p| p.bands.len());
                part.map(|p| p.bands.iter().map(|b| b.role).collect()).unwrap_or_default()
            } else {
                roles
            };
        }
    }
    if wanted.is_empty() {
        return Err(EngineError::NothingToMake { has: has(scene) }.into());
    }
    Ok(wanted)
}

/// The parts that carry some of these roles, in the order of the scene.
fn parts_of<'a>(scene: &'a Scene, roles: &BTreeSet<Role>) -> Vec<(usize, &'a Part)> {
    let carries = |p: &Part| p.bands.iter().any(|b| roles.contains(&b.role));
    scene.parts.iter().enumerate().filter(|(_, p)| carries(p)).collect()
}

fn unplaced(part: &Part, mode: Mode) -> EngineError {
    let (reason, remedy) = match (&part.sensor_model, mode) {
        (SensorModel::Unknown { reason }, _) => {
            (reason.clone(), "add the missing RPC file or georeference, or describe it in a `scene.toml`")
        }
        (SensorModel::Rpc(_), _) => {
            ("it has RPC, so its pixels are in sensor geometry".into(), "set `geometry.mode` to `ortho`, with heights")
        }
        (SensorModel::Projected { .. }, _) => {
            ("it is projected already".into(), "set `geometry.mode` to `grid` or `native`")
        }
    };
    EngineError::Placement { part: part.name.clone(), reason, remedy: remedy.into() }
}

fn sensor(part: &Part, mode: Mode) -> Result<Sensor> {
    match &part.sensor_model {
        SensorModel::Rpc(rpc) => Ok(Sensor::from(&**rpc)),
        _ => Err(unplaced(part, mode).into()),
    }
}

/// Opens the terrain and makes sure that it covers every part that is needed.
fn terrain(scene: &Scene, pipeline: &Pipeline, roles: &BTreeSet<Role>, warnings: &mut Vec<Warning>) -> Result<Terrain> {
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
    let undulation = geoid
        .as_ref()
        .map_or(0.0, |g| super::locate::undulation(g, 0.5 * (around[0] + around[2]), 0.5 * (around[1] + around[3])));
    let dem = match (&height.dem, height.constant) {
        (Some(path), _) => Arc::new(Heights::open(path)?),
        (None, constant) => return Ok(Terrain::Constant(constant.unwrap_or(0.0) + undulation)),
    };
    let mut range = (middle - undulation, middle - undulation);
    let mut void_share = 0.0;
    // Twice: the heights decide where the scene lies, and where it lies decides the heights.
    for _ in 0..2 {
        let mut points = ground(range.0 + undulation)?;
        points.extend(ground(range.1 + undulation)?);
        let (low, high) = dem_positions(&dem, &points)?;
        let window = dem.window_for(low, high);
        let (found, voids) = dem.look(window)?;
        range = found.ok_or_else(|| not_covered(&dem, &points))?;
        void_share = voids;
    }
    let mut points = ground(range.0 + undulation)?;
    points.extend(ground(range.1 + undulation)?);
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
        warnings.push(Warning { code: "dem-voids", message });
    }
    let margin = RANGE_MARGIN_M + 0.1 * (range.1 - range.0);
    Ok(Terrain::Dem { heights: dem, range: (range.0 - margin, range.1 + margin), geoid })
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

/// Counts longitudes from the first one on, so that none jumps at the antimeridian.
fn unwrap(points: &mut [(f64, f64)]) {
    let about = points.first().map_or(0.0, |p| p.0);
    points.iter_mut().for_each(|p| p.0 = nearest_turn(p.0, about));
}

/// min x, min y, max x, max y.
fn bounds(points: &[(f64, f64)]) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    points.iter().fold(start, |b, (x, y)| [b[0].min(*x), b[1].min(*y), b[2].max(*x), b[3].max(*y)])
}

/// Longitude and latitude of the centre of the first part that is needed.
fn center(scene: &Scene, roles: &BTreeSet<Role>) -> Result<Option<(f64, f64)>> {
    let Some((_, part)) = parts_of(scene, roles).into_iter().next() else { return Ok(scene.center()) };
    let (col, row) = (part.cols as f64 / 2.0, part.rows as f64 / 2.0);
    Ok(match &part.sensor_model {
        SensorModel::Rpc(rpc) => {
            let sensor = Sensor::from(&**rpc);
            Some(
                sensor
                    .ground_from_image(col - 0.5, row - 0.5, sensor.middle_height_m())
                    .within(|c| c.stage = Some("geometry"))?,
            )
        }
        SensorModel::Projected { crs, transform } => {
            let center = transform.world_from_pixel(col, row);
            super::publish::geographic(crs, &[center])?.first().copied()
        }
        SensorModel::Unknown { .. } => scene.center(),
    })
}

fn illumination(scene: &Scene, pipeline: &Pipeline, center: Option<(f64, f64)>) -> Result<Option<Illumination>> {
    let options = options(pipeline);
    match (pipeline.radiometry.level, calibrate::illumination(scene, center, &options)) {
        (_, Ok(light)) => Ok(Some(light)),
        // Without a sun there is no reflectance; anything else can do without.
        (Level::Toa, Err(e @ calibrate::CalibrateError::NoSun)) if needs_sun(scene) => Err(e.into()),
        (Level::Toa, Err(e)) if !matches!(e, calibrate::CalibrateError::NoSun) => Err(e.into()),
        (_, Err(_)) => Ok(None),
    }
}

fn needs_sun(scene: &Scene) -> bool {
    use crate::scene::Calibration;
    let bands = scene.parts.iter().flat_map(|p| &p.bands);
    bands.into_iter().any(|b| !matches!(b.calibration, Calibration::Reflectance { sun_corrected: true, .. }))
}

fn options(pipeline: &Pipeline) -> calibrate::Options {
    let r = &pipeline.radiometry;
    calibrate::Options {
        esun: r.esun.clone(),
        sun_zenith_deg: r.sun_zenith,
        accept_sun_conflict: r.accept_sun_conflict,
    }
}

fn crs(scene: &Scene, pipeline: &Pipeline, roles: &BTreeSet<Role>, center: Option<(f64, f64)>) -> Result<Crs> {
    let parts = parts_of(scene, roles);
    if let (Mode::Native, Some((_, part))) = (pipeline.geometry.mode, parts.first()) {
        return match &part.sensor_model {
            SensorModel::Projected { crs, .. } => Ok(crs.clone()),
            _ => Err(unplaced(part, Mode::Native).into()),
        };
    }
    match (pipeline.geometry.crs.as_deref().unwrap_or("utm"), center) {
        ("utm", Some((lon, lat))) => Ok(Crs::utm(lon, lat)?),
        ("utm", None) => match parts.first() {
            Some((_, part)) => Err(unplaced(part, pipeline.geometry.mode).into()),
            None => Err(EngineError::NothingToMake { has: has(scene) }.into()),
        },
        (definition, _) => Ok(Crs::from_definition(definition)?),
    }
}

fn layers(
    scene: &Scene,
    pipeline: &Pipeline,
    wanted: Vec<Wanted>,
    crs: &Crs,
    light: Option<&Illumination>,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Layer>> {
    let mut rasters: BTreeMap<PathBuf, Arc<Raster>> = BTreeMap::new();
    let native = pipeline.geometry.mode == Mode::Native;
    // Products of one pixel size share a layer; native products share one with those of the same parts. The states of a
    // layer are those of all its bands, so a `qa` of other bands has a layer of its own.
    let mut groups: Vec<(f64, Vec<usize>, Vec<Wanted>)> = Vec::new();
    let (states, values): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|(_, p, _)| p.program == Program::Qa);
    for w in values.into_iter().chain(states) {
        let roles: BTreeSet<Role> = w.2.iter().copied().collect();
        let parts: Vec<usize> =
            if native { parts_of(scene, &roles).into_iter().map(|(k, _)| k).collect() } else { Vec::new() };
        let union =
            |members: &[Wanted]| members.iter().flat_map(|(_, _, r)| r.iter().copied()).collect::<BTreeSet<Role>>();
        let is_state = w.1.program == Program::Qa;
        match groups.iter_mut().find(|(pixel, p, m)| *pixel == w.0 && *p == parts && (!is_state || union(m) == roles)) {
            Some((_, _, members)) => members.push(w),
            None => groups.push((w.0, parts, vec![w])),
        }
    }
    let finest = groups.iter().map(|(p, _, _)| *p).fold(f64::INFINITY, f64::min);
    let mut layers = Vec::new();
    for (pixel, _, members) in groups {
        if !native {
            let edge = cell::edge_m(finest);
            if cell::pixels_per_edge(edge, pixel).is_none() {
                let n = edge / pixel;
                let product = members.first().map(|(_, p, _)| p.name.clone()).unwrap_or_default();
                let (finer, coarser) = (edge / n.ceil(), edge / n.floor().max(1.0));
                return Err(EngineError::Resolution { product, resolution: pixel, edge, finest, finer, coarser }.into());
            }
        }
        let roles: BTreeSet<Role> = members.iter().flat_map(|(_, _, r)| r.iter().copied()).collect();
        let mut inputs = Vec::new();
        let mut planes = Vec::new();
        for (k, part) in parts_of(scene, &roles) {
            let first_plane = planes.len();
            let mut bands = Vec::new();
            for band in part.bands.iter().filter(|b| roles.contains(&b.role)) {
                let conversion = conversion(band, pipeline.radiometry.level, light, &options(pipeline))
                    .within(|c| (c.stage, c.band) = (Some("calibrate"), Some(band.role.to_string())))?;
                let raster = match rasters.get(&band.file) {
                    Some(r) => Arc::clone(r),
                    None => {
                        let r = Arc::new(Raster::open(&band.file)?);
                        rasters.insert(band.file.clone(), Arc::clone(&r));
                        r
                    }
                };
                planes.push(band.role);
                bands.push(InputBand {
                    raster,
                    index: band.index,
                    gain: conversion.linear.gain,
                    bias: conversion.linear.bias,
                    provenance: conversion.provenance,
                });
            }
            let placement = placement(part, pipeline.geometry.mode)?;
            let saturation = calibrate::saturation_dn(part).map(|v| v as f32);
            let pixel_area_m2 = match &part.sensor_model {
                SensorModel::Rpc(rpc) => {
                    Sensor::from(&**rpc).pixel_area_m2((part.rows, part.cols)).within(|c| c.stage = Some("geometry"))?
                }
                SensorModel::Projected { crs, transform } => {
                    let y = transform.world_from_pixel(part.cols as f64 / 2.0, part.rows as f64 / 2.0).1;
                    pixel_area_m2(crs, *transform, y)
                }
                SensorModel::Unknown { .. } => 0.0,
            };
            inputs.push(Input {
                part: k,
                first_plane,
                bands,
                fill: part.fill.map(|f| f as f32),
                saturation,
                placement,
                pixel_area_m2,
            });
        }
        for input in inputs.iter().filter(|_| !native) {
            let ratio = pixel / input.pixel_area_m2.sqrt();
            if ratio > COARSE {
                let part = &scene.parts[input.part].name;
                let message = format!(
                    "products of {pixel} m are interpolated from pixels of {part} {ratio:.1} times as fine: some of those are left out, and fine detail is aliased"
                );
                warnings.push(Warning { code: "coarse-resampling", message });
            }
        }
        if native && inputs.len() > 1 {
            let names: Vec<_> = inputs.iter().map(|i| scene.parts[i.part].name.clone()).collect();
            let products: Vec<_> = members.iter().map(|(_, p, _)| p.name.as_str()).collect();
            return Err(EngineError::Placement {
                part: names.join(" and "),
                reason: format!(
                    "product {} needs both, and in mode `native` they have pixels of their own",
                    products.join(", ")
                ),
                remedy: "give `qa` its `bands`, or set `geometry.mode` to `grid`".into(),
            }
            .into());
        }
        let pixel_m = if native { native_pixel_m(scene, &inputs, crs) } else { pixel };
        layers.push(Layer {
            pixel_m,
            roles: planes,
            inputs,
            products: members.into_iter().map(|(_, p, _)| p).collect(),
        });
    }
    Ok(layers)
}

fn placement(part: &Part, mode: Mode) -> Result<Placement> {
    match (&part.sensor_model, mode) {
        (SensorModel::Rpc(rpc), Mode::Ortho) => Ok(Placement::Sensor(Box::new(Sensor::from(&**rpc)))),
        (SensorModel::Projected { .. }, Mode::Native) => Ok(Placement::Same),
        (SensorModel::Projected { crs, transform }, Mode::Grid) => {
            Ok(Placement::Map { crs: crs.clone(), transform: *transform })
        }
        _ => Err(unplaced(part, mode).into()),
    }
}

/// Edge of a native pixel, metres, near enough for a catalogue.
fn native_pixel_m(scene: &Scene, inputs: &[Input], crs: &Crs) -> f64 {
    let Some(SensorModel::Projected { transform, .. }) = inputs.first().map(|i| &scene.parts[i.part].sensor_model)
    else {
        return 1.0;
    };
    let edge = transform.determinant().abs().sqrt();
    if crs.is_geographic() { edge * 111_320.0 } else { edge }
}

/// Outlines of the parts that are needed.
struct Outline {
    /// Longitude and latitude.
    geographic: Vec<(f64, f64)>,
}

fn outline(scene: &Scene, layers: &[Layer], terrain: &Terrain) -> Result<Outline> {
    let heights = match terrain {
        Terrain::None => vec![0.0],
        Terrain::Constant(h) => vec![*h],
        Terrain::Dem { range, geoid, .. } => {
            let u = geoid.as_ref().map_or(0.0, |g| {
                let range = g.window.range().unwrap_or((0.0, 0.0));
                0.5 * (range.0 + range.1)
            });
            vec![range.0 + u, range.1 + u]
        }
    };
    let mut points = Vec::new();
    let mut seen = BTreeSet::new();
    for input in layers.iter().flat_map(|l| &l.inputs).filter(|i| seen.insert(i.part)) {
        let part = &scene.parts[input.part];
        match &part.sensor_model {
            SensorModel::Rpc(rpc) => {
                let sensor = Sensor::from(&**rpc);
                for h in &heights {
                    points.extend(
                        ortho::outline(&sensor, (part.rows, part.cols), *h).within(|c| c.stage = Some("geometry"))?,
                    );
                }
            }
            SensorModel::Projected { crs, transform } => {
                let (w, h) = (part.cols as f64, part.rows as f64);
                let border: Vec<(f64, f64)> = (0..16)
                    .map(|i| f64::from(i) / 16.0)
                    .flat_map(|t| [(t * w, 0.0), (w, t * h), (w - t * w, h), (0.0, h - t * h)])
                    .map(|(c, r)| transform.world_from_pixel(c, r))
                    .collect();
                points.extend(super::publish::geographic(crs, &border)?);
            }
            SensorModel::Unknown { .. } => return Err(unplaced(part, Mode::Ortho).into()),
        }
    }
    unwrap(&mut points);
    Ok(Outline { geographic: super::publish::hull_of(&points) })
}

fn cells(scene: &Scene, pipeline: &Pipeline, layers: &[Layer], crs: &Crs, outline: &Outline) -> Result<Vec<Cell>> {
    if pipeline.geometry.mode == Mode::Native {
        return native_cells(scene, layers, crs);
    }
    let finest = layers.iter().map(|l| l.pixel_m).fold(f64::INFINITY, f64::min);
    let grid = SquareGrid::new(crs.clone(), finest);
    let ring = ortho::to_crs(&outline.geographic, crs)?;
    let hull = super::publish::hull_of(&ring);
    let b = bounds(&hull);
    let count = ((b[2] - b[0]) / grid.edge_m + 1.0) * ((b[3] - b[1]) / grid.edge_m + 1.0);
    if count.is_nan() || count > MAX_CELLS {
        return Err(EngineError::TooManyCells { cells: count, limit: MAX_CELLS }.into());
    }
    let mut cells = Vec::new();
    for square in grid.cells_in(b) {
        let e = grid.edge_m;
        let (x0, y0) = (square.i as f64 * e, square.j as f64 * e);
        if !touches(&hull, [x0, y0, x0 + e, y0 + e]) {
            continue;
        }
        let lattices: Option<Vec<Lattice>> = layers.iter().map(|l| grid.lattice(&square, l.pixel_m)).collect();
        // Checked when the layers were made.
        let Some(lattices) = lattices else { continue };
        cells.push(Cell { name: grid.name(&square), place: CellPlace::Square(grid.clone(), square), lattices });
    }
    Ok(cells)
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
