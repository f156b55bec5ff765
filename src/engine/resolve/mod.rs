//! From a pipeline and a scene to a plan: products that can be made, where their pixels are, what they are made of.

mod cells;
mod domain;
mod heights;
mod hides;
mod products;
mod register;
mod snap;
mod terrain;

pub use terrain::still_covers;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Layer, ScenePlan, Terrain};
use super::{EngineError, key, look, publish};
use crate::calibrate::{self, CalibrateError, Illumination, Level};
use crate::cog::GeoKeys;
use crate::config::{IdentityMode, Mode, Pipeline};
use crate::error::{Result, ResultExt};
use crate::examine;
use crate::geometry::{Sensor, ortho};
use crate::grid::Crs;
use crate::product::Program;
use crate::scene::{Code, Part, Role, Scene, SensorModel, Warning, identity};
use crate::units::SunElevation;

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
    warnings.extend(examine::metadata(&scene));
    // Spectral limits matter to what is divided by the sun alone.
    warnings.retain(|w| pipeline.radiometry.level == Level::Toa || w.code != Code::BandRangeAssumed);
    let full = pipeline.input.identity == IdentityMode::Full;
    let identity = identity::identity(&scene, full)?.digest;
    let wanted = products::wanted(&scene, pipeline, &mut warnings)?;
    let roles: BTreeSet<Role> = wanted.iter().flat_map(|(_, _, roles)| roles.iter().copied()).collect();

    let compared = register::open(&scene, pipeline)?;
    let margin_m = compared.margin_m(pipeline);
    let on_ground: BTreeSet<Role> = &roles | &compared.roles();
    let mut terrain =
        terrain::open(&scene, pipeline, &on_ground, &mut warnings).within(|c| c.stage = Some("geometry"))?;
    let center = center(&scene, &roles)?;
    let illumination = illumination(&scene, pipeline, center).within(|c| c.stage = Some("calibrate"))?;
    warnings.extend(illumination.iter().flat_map(|i| i.warnings.iter().cloned()));

    let crs = crs(&scene, pipeline, &roles, center)?;
    let ground = products::Ground::new(pipeline, &crs, center)?;
    let layers = products::layers(&scene, pipeline, wanted, &ground, illumination.as_ref(), &mut warnings)?;
    night_sun(&layers, illumination.as_ref(), &mut warnings)?;
    // Last, so that what no override helps against is said first.
    for (_, part) in parts_of(&scene, &roles) {
        let accepted = calibrate::admit(part, pipeline.radiometry.level, &options(pipeline));
        warnings.extend(accepted.within(|c| c.stage = Some("calibrate"))?);
    }
    let hidden = hides::hides(&layers, &terrain).within(|c| c.stage = Some("geometry"))?;
    if let Terrain::Dem { hides, .. } = &mut terrain {
        *hides = hidden;
    }
    let outline = outline(&scene, &layers, &terrain)?;
    let cells = cells::of_scene(&scene, pipeline, &layers, &crs, &outline, margin_m)?;
    let reference = compared.digest().map(str::to_owned);
    let register = register::of_scene(&scene, pipeline, &layers, &terrain, &ground, illumination.as_ref(), compared)?;
    let dem = match &terrain {
        Terrain::Dem { heights, .. } => Some(identity::of_files(heights.sheets().iter().map(|s| &*s.path), full)?),
        _ => None,
    };
    // Also where only one number was taken from it.
    let geoid = pipeline.geometry.height.as_ref().and_then(|h| h.geoid.as_ref());
    let geoid = geoid.map(|path| identity::of_file(path, full).map(|i| i.digest)).transpose()?;
    let geo_keys = GeoKeys::for_crs(&crs).within(|c| c.stage = Some("cog"))?;
    Ok(ScenePlan {
        acquisition: scene.acquisition(),
        key: key::key(pipeline, &identity, dem.as_deref(), geoid.as_deref(), reference.as_deref(), hidden.is_some()),
        request: look::request(pipeline, &layers),
        register,
        survey: None,
        identity,
        pipeline: Arc::clone(pipeline),
        geo_keys,
        crs,
        illumination,
        layers,
        cells,
        terrain,
        warnings,
        outline,
        scene,
    })
}

fn has(scene: &Scene) -> String {
    let roles: Vec<_> = scene.roles().iter().map(|r| r.code()).collect();
    roles.join(", ")
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
            publish::geographic(crs, &[center])?.first().copied()
        }
        SensorModel::Unknown { .. } => scene.center(),
    })
}

fn illumination(scene: &Scene, pipeline: &Pipeline, center: Option<(f64, f64)>) -> Result<Option<Illumination>> {
    let options = options(pipeline);
    match (pipeline.radiometry.level, calibrate::illumination(scene, center, &options)) {
        (_, Ok(light)) => Ok(Some(light)),
        // Without a sun there is no reflectance; anything else can do without.
        (Level::Toa, Err(CalibrateError::NoSun | CalibrateError::NoTime { .. })) if !calibrate::needs_sun(scene) => {
            Ok(None)
        }
        (Level::Toa, Err(e)) => Err(e.into()),
        (_, Err(_)) => Ok(None),
    }
}

/// The sun's elevation below which the sky is dark: the end of astronomical twilight, degrees.
const DARK_SKY_DEG: f64 = -18.0;

/// Lights are only seen when the sun is away.
fn night_sun(layers: &[Layer], light: Option<&Illumination>, warnings: &mut Vec<Warning>) -> Result<()> {
    let mut products = layers.iter().flat_map(|l| &l.products);
    let night = products.find(|p| matches!(p.program, Program::Night(_)));
    let (Some(product), Some(light)) = (night, light) else { return Ok(()) };
    let elevation = SunElevation::from(light.zenith).0;
    if elevation > 0.0 {
        return Err(EngineError::SunIsUp { product: product.name.clone(), elevation }.into());
    }
    if elevation > DARK_SKY_DEG {
        let message = format!(
            "the sun stands only {:.1} degrees below the horizon: the sky is not dark, and what is measured as the dark level glows",
            -elevation
        );
        warnings.push(Warning { code: Code::Twilight, message });
    }
    Ok(())
}

fn options(pipeline: &Pipeline) -> calibrate::Options {
    let r = &pipeline.radiometry;
    calibrate::Options {
        esun: r.esun.clone(),
        sun_zenith_deg: r.sun_zenith,
        accept_sun_conflict: r.accept_sun_conflict,
        accept_processed: r.accept_processed.iter().copied().collect(),
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
    match (pipeline.geometry.grid()?.crs(center)?, parts.first()) {
        (Some(crs), _) => Ok(crs),
        (None, Some((_, part))) => Err(unplaced(part, pipeline.geometry.mode).into()),
        (None, None) => Err(EngineError::NothingToMake { has: has(scene) }.into()),
    }
}

/// Heights between which the ground lies, metres above the ellipsoid.
fn heights_of(terrain: &Terrain) -> Vec<f64> {
    match terrain {
        Terrain::None => vec![0.0],
        Terrain::Constant(h) => vec![*h],
        Terrain::Dem { range, geoid, .. } => {
            let u = geoid.as_ref().map_or(0.0, |g| {
                let range = g.window.range().unwrap_or((0.0, 0.0));
                0.5 * (range.0 + range.1)
            });
            vec![range.0 + u, range.1 + u]
        }
    }
}

/// Points around a part at some heights, longitude and latitude.
fn part_outline(part: &Part, heights: &[f64]) -> Result<Vec<(f64, f64)>> {
    match &part.sensor_model {
        SensorModel::Rpc(rpc) => {
            let sensor = Sensor::from(&**rpc);
            let mut points = Vec::new();
            for h in heights {
                points.extend(
                    ortho::outline(&sensor, (part.rows, part.cols), *h).within(|c| c.stage = Some("geometry"))?,
                );
            }
            Ok(points)
        }
        SensorModel::Projected { crs, transform } => {
            let (w, h) = (part.cols as f64, part.rows as f64);
            let border: Vec<(f64, f64)> = (0..16)
                .map(|i| f64::from(i) / 16.0)
                .flat_map(|t| [(t * w, 0.0), (w, t * h), (w - t * w, h), (0.0, h - t * h)])
                .map(|(c, r)| transform.world_from_pixel(c, r))
                .collect();
            publish::geographic(crs, &border)
        }
        SensorModel::Unknown { .. } => Err(unplaced(part, Mode::Ortho).into()),
    }
}

/// Convex outline of the parts that are needed, longitude and latitude.
fn outline(scene: &Scene, layers: &[Layer], terrain: &Terrain) -> Result<Vec<(f64, f64)>> {
    let heights = heights_of(terrain);
    let mut points = Vec::new();
    let mut seen = BTreeSet::new();
    for input in layers.iter().flat_map(|l| &l.inputs).filter(|i| seen.insert(i.part)) {
        points.extend(part_outline(&scene.parts[input.part], &heights)?);
    }
    publish::unwrap(&mut points);
    Ok(publish::hull_of(&points))
}
