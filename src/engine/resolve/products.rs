//! Which products a scene can make, and what they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::EngineError;
use super::super::plan::{Input, InputBand, Layer, Placement};
use super::snap::snap;
use super::{has, options, parts_of, unplaced};
use crate::calibrate::{self, Illumination, Level, conversion};
use crate::config::{Kind, Mode, Pipeline, Resampling, Sample};
use crate::engine::sharpen;
use crate::error::{Result, ResultExt};
use crate::geometry::{Sensor, ortho};
use crate::grid::cell::Tiling;
use crate::grid::{Crs, GeoTransform, ground_area_m2, pixel_area_m2};
use crate::product::together::Together;
use crate::product::{Encoding, NightBand, Product, Program, ShownBand, indices};
use crate::read::Raster;
use crate::scene::{Band, Code, Part, Role, Scene, SensorModel, Warning};

/// Source pixels along a product's pixel from which on interpolation leaves some of them out.
const COARSE: f64 = 1.5;

/// A product with the pixel size it is wanted at (0 for `native`) and the roles it reads.
pub type Wanted = (f64, Product, Vec<Role>);

/// The products this scene can make; `qa` without bands of its own gets those of its neighbours.
pub fn wanted(scene: &Scene, pipeline: &Pipeline, warnings: &mut Vec<Warning>) -> Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let available = scene.roles();
    let tiling = pipeline.geometry.tiling();
    let default_pixel = pipeline.geometry.pixel(tiling).unwrap_or(0.0);
    for p in &pipeline.product {
        let (program, roles) = match p.kind {
            Kind::Bands => (Program::Bands(p.bands.clone()), p.bands.clone()),
            Kind::Qa => (Program::Qa, p.bands.clone()),
            Kind::Night => {
                let band = |role: &Role| NightBand { role: *role, dark_dn: f64::NAN, lit: f64::NAN };
                (Program::Night(p.bands.iter().map(band).collect()), p.bands.clone())
            }
            Kind::Preview => {
                let band = |role: &Role| ShownBand { role: *role, range_dn: (f64::NAN, f64::NAN) };
                (Program::Preview(p.bands.iter().map(band).collect()), p.bands.clone())
            }
            Kind::Pansharpen => (sharpen::program(p), p.bands.iter().copied().chain([Role::Pan]).collect()),
            Kind::Index => match p.index.as_deref().and_then(indices::find) {
                Some(row) => (Program::Index(row), row.bands.clone()),
                None => continue,
            },
        };
        if let Some(role) = roles.iter().find(|r| !available.contains(r)) {
            let missing = EngineError::MissingRole { product: p.name.clone(), role: *role, has: has(scene) };
            if p.required {
                return Err(missing.into());
            }
            let message =
                format!("product `{}` is left out: the scene has no band {role} (it has {})", p.name, has(scene));
            warnings.push(Warning { code: Code::ProductLeftOut, message });
            continue;
        }
        let toa = pipeline.radiometry.level == Level::Toa;
        let scaled = match &program {
            Program::Bands(_) | Program::Pansharpen(_) => toa,
            Program::Index(row) => row.scaled,
            Program::Night(_) | Program::Preview(_) | Program::Qa => false,
        };
        let encoding = match (&program, p.sample) {
            (Program::Qa, _) => Encoding::Bits,
            (Program::Preview(_), _) => Encoding::Shown,
            (_, Some(Sample::Float32)) => Encoding::F32,
            (_, Some(Sample::Int16)) => Encoding::ScaledI16,
            (_, None) if scaled => Encoding::ScaledI16,
            (_, None) => Encoding::F32,
        };
        wanted.push((
            p.pixel(tiling).unwrap_or(default_pixel),
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

/// The grid, and how large its pixels are on the ground.
pub struct Ground {
    /// Metres of ground along the edge of a pixel that is one unit of the grid wide, at the scene's centre; `None` on grids in
    /// metres, where the map is taken at its word.
    m_per_unit: Option<f64>,
    /// The grid's system.
    crs: Crs,
}

impl Ground {
    /// For the grid of a pipeline and a scene with this centre, longitude and latitude.
    pub fn new(pipeline: &Pipeline, crs: &Crs, center: Option<(f64, f64)>) -> Result<Self> {
        if pipeline.geometry.tiling() == Tiling::Metric {
            return Ok(Self { m_per_unit: None, crs: crs.clone() });
        }
        let center = ortho::to_crs(&center.map_or_else(Vec::new, |c| vec![c]), crs)?;
        let y = center.first().map_or(0.0, |p| p.1);
        let m_per_unit = ground_area_m2(crs, GeoTransform::north_up(0.0, 0.0, 1.0), y).sqrt();
        Ok(Self { m_per_unit: Some(m_per_unit), crs: crs.clone() })
    }

    /// Edge on the ground of a product's pixel.
    fn product_m(&self, pixel: f64) -> f64 {
        self.m_per_unit.map_or(pixel, |m| m * pixel)
    }

    /// Ground that a pixel in the middle of a part covers, square metres.
    fn part_m2(&self, part: &Part) -> Result<f64> {
        Ok(match &part.sensor_model {
            SensorModel::Rpc(rpc) => {
                Sensor::from(&**rpc).pixel_area_m2((part.rows, part.cols)).within(|c| c.stage = Some("geometry"))?
            }
            SensorModel::Projected { crs, transform } => {
                let y = transform.world_from_pixel(part.cols as f64 / 2.0, part.rows as f64 / 2.0).1;
                match self.m_per_unit {
                    Some(_) => ground_area_m2(crs, *transform, y),
                    None => pixel_area_m2(crs, *transform, y),
                }
            }
            SensorModel::Unknown { .. } => 0.0,
        })
    }
}

/// The products by pixel size, with the bands they are made of and how their DN become values.
pub fn layers(
    scene: &Scene,
    pipeline: &Pipeline,
    wanted: Vec<Wanted>,
    ground: &Ground,
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
    let mut layers = Vec::new();
    for (pixel, _, members) in groups {
        let roles: BTreeSet<Role> = members.iter().flat_map(|(_, _, r)| r.iter().copied()).collect();
        let mut inputs = Vec::new();
        let mut planes = Vec::new();
        for set in band_sets(scene, pipeline).iter().filter(|s| s.bands.iter().any(|b| roles.contains(&b.role))) {
            let first_plane = planes.len();
            let mut bands = Vec::new();
            for band in set.bands.iter().filter(|b| roles.contains(&b.role)) {
                let conversion = conversion(band, pipeline.radiometry.level, light, &options(pipeline))
                    .within(|c| (c.stage, c.band) = (Some("calibrate"), Some(band.role.to_string())))?;
                let raster = match rasters.get(&band.file) {
                    Some(r) => Arc::clone(r),
                    None => {
                        let r = Arc::new(Raster::open_arriving(&band.file, scene.arrivals.of(&band.file))?);
                        rasters.insert(band.file.clone(), Arc::clone(&r));
                        r
                    }
                };
                planes.push(band.role);
                bands.push(InputBand {
                    raster,
                    index: band.index,
                    linear: conversion.linear,
                    provenance: conversion.provenance,
                });
            }
            inputs.push(Input { first_plane, bands, ..placed(set, pipeline, ground, pixel)? });
        }
        let interpolated = !native && pipeline.geometry.resampling != Resampling::Average;
        let mut told = BTreeSet::new();
        for input in inputs.iter().filter(|i| interpolated && told.insert(i.part)) {
            let pixel_m = ground.product_m(pixel);
            let ratio = pixel_m / input.pixel_area_m2.sqrt();
            if ratio > COARSE {
                let part = &scene.parts[input.part].name;
                let pixel_m = if pixel_m == pixel { format!("{pixel_m}") } else { format!("{pixel_m:.2}") };
                let message = format!(
                    "products of {pixel_m} m are interpolated from pixels of {part} {ratio:.1} times as fine: some of those are left out, and fine detail is aliased"
                );
                warnings.push(Warning { code: Code::CoarseResampling, message });
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
        let pixel_m = match native {
            true => inputs.first().map_or(1.0, |i| i.pixel_area_m2.sqrt()),
            false => ground.product_m(pixel),
        };
        let mut products: Vec<Product> = members.into_iter().map(|(_, p, _)| p).collect();
        let low_pass = sharpen::low_pass(pixel_m, &planes, &inputs, &mut products)?;
        let together = Together::of(&products);
        layers.push(Layer { pixel, pixel_m, roles: planes, inputs, products, together, low_pass });
    }
    Ok(layers)
}

/// Bands that are moved together.
pub struct BandSet<'a> {
    /// What is moved: the name of a part, with that of the band where it is moved alone.
    pub name: String,
    /// The bands, in the order of the file.
    pub bands: Vec<&'a Band>,
    /// Their part, and its position in the scene.
    part: (usize, &'a Part),
}

impl BandSet<'_> {
    /// What its bands are.
    pub fn roles(&self) -> Vec<Role> {
        self.bands.iter().map(|b| b.role).collect()
    }
}

/// The bands of a scene, as they are moved: part by part; each by itself where the scene has a single part and the pipeline
/// asks that bands be laid on each other.
pub fn band_sets<'a>(scene: &'a Scene, pipeline: &Pipeline) -> Vec<BandSet<'a>> {
    let asked = pipeline.coregistration.as_ref().is_some_and(|c| c.band_to_band == Some(true));
    if let ([part], true) = (scene.parts.as_slice(), asked) {
        let alone =
            |b: &'a Band| BandSet { name: format!("{} {}", part.name, b.role), bands: vec![b], part: (0, part) };
        return part.bands.iter().map(alone).collect();
    }
    let whole =
        |part: (usize, &'a Part)| BandSet { name: part.1.name.clone(), bands: part.1.bands.iter().collect(), part };
    scene.parts.iter().enumerate().map(whole).collect()
}

/// The place of some bands, without any, for products of this pixel size.
fn placed(set: &BandSet, pipeline: &Pipeline, ground: &Ground, pixel: f64) -> Result<Input> {
    let (k, part) = set.part;
    Ok(Input {
        name: set.name.clone(),
        part: k,
        first_plane: 0,
        bands: Vec::new(),
        fill: part.fill.map(|f| f as f32),
        saturation: calibrate::saturation_dn(part).map(|v| v as f32),
        placement: placement(part, pipeline, ground, pixel)?,
        pixel_area_m2: ground.part_m2(part)?,
    })
}

/// One band of a scene that has it, in DN: what is compared and not made.
pub fn input(
    scene: &Scene,
    pipeline: &Pipeline,
    role: Role,
    ground: &Ground,
    light: Option<&Illumination>,
) -> Result<Input> {
    let missing = || EngineError::NotCompared { role, has: has(scene) };
    let sets = band_sets(scene, pipeline);
    let found = sets.iter().find_map(|set| Some((set, set.bands.iter().find(|b| b.role == role)?)));
    let (set, band) = found.ok_or_else(missing)?;
    let conversion = conversion(band, Level::Dn, light, &options(pipeline))?;
    let bands = vec![InputBand {
        raster: Arc::new(Raster::open_arriving(&band.file, scene.arrivals.of(&band.file))?),
        index: band.index,
        linear: conversion.linear,
        provenance: conversion.provenance,
    }];
    Ok(Input { bands, ..placed(set, pipeline, ground, pipeline.finest())? })
}

fn placement(part: &Part, pipeline: &Pipeline, ground: &Ground, pixel: f64) -> Result<Placement> {
    let mode = pipeline.geometry.mode;
    match (&part.sensor_model, mode) {
        (SensorModel::Rpc(rpc), Mode::Ortho) => Ok(Placement::Sensor(Box::new(Sensor::from(&**rpc)))),
        (SensorModel::Projected { .. }, Mode::Native) => Ok(Placement::Same),
        (SensorModel::Projected { crs, transform }, Mode::Grid) if pipeline.geometry.snap => {
            let s = snap(part, (crs, *transform), (&ground.crs, pipeline.geometry.tiling()), pixel)?;
            Ok(Placement::Map { crs: ground.crs.clone(), transform: s.transform, snapped: Some(s.shift) })
        }
        (SensorModel::Projected { crs, transform }, Mode::Grid) => {
            Ok(Placement::Map { crs: crs.clone(), transform: *transform, snapped: None })
        }
        _ => Err(unplaced(part, mode).into()),
    }
}
