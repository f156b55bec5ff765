//! From a finished cell to its documents: what the catalog is told, and what stands in a file's own metadata.

use std::collections::{BTreeMap, BTreeSet};

use fieldglow_kernels::lights::Lights;
use geo::{LineString, MultiPolygon, Polygon};
use serde_json::{Map, Value, json};

use super::cell::OpenCell;
use super::plan::{Input, Layer, Placement, ScenePlan, Terrain};
use super::{locate, look, night};
use crate::calibrate::Level;
use crate::catalog::{
    self, Angles, AssetRecord, BandRecord, BitField, ClassRecord, Expression, ItemRecord, Link, Parent, Processing,
    Projection, Provider, RasterRecord, Statistics, media_type,
};
use crate::cog::{BandSpec, BandStatistics, BigTiff, Color, Compression, Predictor, SampleType, Spec};
use crate::config::{Codec, Mode, Pipeline, Resampling};
use crate::error::{Error, Result};
use crate::grid::cell::Lattice;
use crate::grid::{Crs, nearest_turn};
use crate::product::{Encoding, Product, Program, qa};
use crate::scene::{Processed, Role};
use crate::store::{Store, Stored};
use crate::units::SunElevation;

/// Edge of a COG tile, pixels.
pub const TILE: usize = 512;

/// A file of a cell that stands in storage.
pub struct FileRecord {
    /// Its layer.
    pub layer: usize,
    /// Its product in the layer.
    pub product: usize,
    /// Statistics, band by band.
    pub stats: Vec<Option<BandStatistics>>,
    /// Sums of lights, band by band; none for products that show no lights.
    pub lights: Vec<Lights>,
    /// Its picture.
    pub picture: Option<Stored>,
    /// Size and digest.
    pub stored: Stored,
    /// Bytes before the first tile.
    pub header_size: u64,
    /// Outline of its valid pixels, longitude and latitude.
    pub outline: Vec<(f64, f64)>,
}

/// Positions of the layer of a file of a cell, and of its product there.
pub fn product_of(plan: &ScenePlan, file: usize) -> (usize, usize) {
    let mut left = file;
    for (l, layer) in plan.layers.iter().enumerate() {
        if left < layer.products.len() {
            return (l, left);
        }
        left -= layer.products.len();
    }
    // Files are numbered from the layers themselves.
    (0, 0)
}

/// How tiles are compressed.
pub fn compression(pipeline: &Pipeline) -> Compression {
    let level = pipeline.output.effort();
    match pipeline.output.compression {
        Codec::Zstd => Compression::Zstd { level },
        Codec::Deflate => Compression::Deflate { level },
    }
}

/// What a file of a product is to be.
pub fn spec(plan: &ScenePlan, layer: &Layer, product: &Product, lattice: &Lattice) -> Spec {
    let mut metadata = vec![
        ("FIELDGLOW_SCENE".to_owned(), plan.scene.id.clone()),
        ("FIELDGLOW_DATETIME".to_owned(), plan.scene.time.center.to_string()),
        ("FIELDGLOW_PRODUCT".to_owned(), product.name.clone()),
        ("FIELDGLOW_KEY".to_owned(), plan.key.clone()),
    ];
    for role in product.roles() {
        if let Some(band) = calibration(layer, role) {
            metadata.push((format!("FIELDGLOW_CALIBRATION_{role}"), band.to_string()));
        }
    }
    Spec {
        rows: lattice.rows,
        cols: lattice.cols,
        tile: TILE,
        sample: sample_type(product.encoding),
        bands: bands(plan, product),
        nodata: Some(product.encoding.nodata()),
        compression: compression(&plan.pipeline),
        predictor: match product.encoding {
            Encoding::ScaledI16 | Encoding::Shown => Predictor::Horizontal,
            Encoding::F32 => Predictor::Float,
            Encoding::Bits => Predictor::None,
        },
        bigtiff: BigTiff::Auto,
        transform: lattice.transform,
        geo_keys: plan.geo_keys.clone(),
        metadata,
    }
}

fn sample_type(encoding: Encoding) -> SampleType {
    match encoding {
        Encoding::ScaledI16 => SampleType::I16,
        Encoding::F32 => SampleType::F32,
        Encoding::Bits => SampleType::U16,
        Encoding::Shown => SampleType::U8,
    }
}

fn bands(plan: &ScenePlan, product: &Product) -> Vec<BandSpec> {
    let scale = product.encoding.scale();
    let band = |description: &str, unit: Option<&str>, color| BandSpec {
        description: description.to_owned(),
        unit: unit.map(str::to_owned),
        scale,
        offset: 0.0,
        color,
    };
    match &product.program {
        Program::Bands(roles) => {
            roles.iter().map(|r| band(r.code(), unit(plan.pipeline.radiometry.level), color(*r))).collect()
        }
        Program::Night(bands) => {
            bands.iter().map(|b| band(b.role.code(), unit(Level::Radiance), color(b.role))).collect()
        }
        // What they show, not what they are: viewers draw the three as red, green and blue.
        Program::Preview(bands) => {
            let colors = if bands.len() == 3 { [Color::Red, Color::Green, Color::Blue] } else { [Color::Gray; 3] };
            bands.iter().zip(colors).map(|(b, c)| band(b.role.code(), None, c)).collect()
        }
        Program::Pansharpen(s) => {
            let unit = unit(plan.pipeline.radiometry.level);
            s.bands.iter().map(|b| band(b.role.code(), unit, color(b.role))).collect()
        }
        Program::Index(row) => vec![band(&row.key, Some("1"), Color::Gray)],
        Program::Qa => vec![band("qa", Some("1"), Color::Gray)],
    }
}

fn unit(level: Level) -> Option<&'static str> {
    match level {
        Level::Dn => None,
        Level::Radiance => Some("W.m-2.sr-1.um-1"),
        Level::Toa => Some("1"),
    }
}

fn color(role: Role) -> Color {
    match role {
        Role::Pan => Color::Gray,
        Role::B => Color::Blue,
        Role::G => Color::Green,
        Role::R => Color::Red,
        Role::N => Color::Nir,
        _ => Color::Undefined,
    }
}

fn input_band(layer: &Layer, role: Role) -> Option<(&Input, usize)> {
    let plane = layer.roles.iter().position(|r| *r == role)?;
    layer
        .inputs
        .iter()
        .find(|i| (i.first_plane..i.first_plane + i.bands.len()).contains(&plane))
        .map(|i| (i, plane - i.first_plane))
}

/// Where the values of a band come from.
fn calibration(layer: &Layer, role: Role) -> Option<Value> {
    let (input, k) = input_band(layer, role)?;
    let band = &input.bands[k];
    let mut value = serde_json::to_value(&band.provenance).ok()?;
    let object = value.as_object_mut()?;
    object.insert("gain".into(), json!(band.linear.gain));
    object.insert("bias".into(), json!(band.linear.bias));
    object.insert("saturation_dn".into(), json!(input.saturation));
    Some(value)
}

/// Counts longitudes from the first one on, so that none jumps at the antimeridian.
pub fn unwrap(points: &mut [(f64, f64)]) {
    let about = points.first().map_or(0.0, |p| p.0);
    points.iter_mut().for_each(|p| p.0 = nearest_turn(p.0, about));
}

/// Map coordinates as longitude and latitude.
pub fn geographic(crs: &Crs, points: &[(f64, f64)]) -> Result<Vec<(f64, f64)>> {
    let transform = locate::transform(crs, &Crs::wgs84())?;
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    transform.apply(&mut x, &mut y)?;
    Ok(x.into_iter().zip(y).collect())
}

/// Convex hull of points.
pub fn hull_of(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    super::unit::hull(points.to_vec()).into_iter().map(|c| (c.x, c.y)).collect()
}

fn polygon(outline: &[(f64, f64)]) -> MultiPolygon<f64> {
    let ring: LineString<f64> = outline.to_vec().into();
    Polygon::new(ring, Vec::new()).into()
}

/// The Item of a cell, checked against the published schemas.
pub fn cell_item(cell: &OpenCell, files: &[FileRecord], outline: &[(f64, f64)]) -> Result<Vec<u8>> {
    let plan = &cell.plan;
    let name = &cell.cell().name;
    let data = files.iter().map(|f| {
        let layer = &plan.layers[f.layer];
        asset(plan, layer, &layer.products[f.product], &cell.cell().lattices[f.layer], f)
    });
    let shown = files.iter().filter_map(|f| Some((&plan.layers[f.layer].products[f.product], f.picture.as_ref()?)));
    let assets =
        data.chain(shown.enumerate().map(|(k, (product, stored))| picture_asset(plan, product, stored, k == 0)));
    let assets = assets.collect();
    let mut extras = extras(plan);
    if let Some(lights) = night::of_cell(cell, files) {
        extras.insert(night::PROPERTY.into(), lights);
    }
    let scene_item = format!("../../scenes/{}/item.json", plan.acquisition);
    let record = ItemRecord {
        id: format!("{}_{name}", plan.acquisition),
        title: Some(format!("{} in {name}", plan.acquisition)),
        grid_code: Some(name.clone()),
        projection: Some(Projection::of(&plan.crs)?),
        outline: polygon(outline),
        extras,
        assets,
        links: vec![Link {
            rel: "derived_from".into(),
            href: catalog::href_from_path(&scene_item),
            media_type: Some(media_type::GEOJSON.into()),
            title: Some("the scene".into()),
        }],
        ..common(plan)
    };
    checked(&catalog::item(&record))
}

/// The Item of a whole scene, but for what was made of it.
pub fn scene_item(plan: &ScenePlan) -> Value {
    let mut extras = extras(plan);
    extras.insert("fieldglow:warnings".into(), json!(plan.warnings));
    let output = &plan.pipeline.output;
    extras.insert(
        "fieldglow:collection".into(),
        json!({
            "id": collection_id(&plan.pipeline),
            "description": plan.pipeline.description,
            "license": output.license,
            "providers": output.providers,
        }),
    );
    catalog::item(&ItemRecord {
        id: plan.acquisition.clone(),
        title: Some(plan.acquisition.clone()),
        grid_code: None,
        projection: None,
        outline: polygon(&plan.outline),
        extras,
        assets: plan.survey.iter().map(survey_asset).collect(),
        links: Vec::new(),
        ..common(plan)
    })
}

/// Stores the picture of a product.
pub fn picture(store: &dyn Store, cell: &OpenCell, product: &Product, bytes: &[u8]) -> Result<Stored> {
    let file = format!("{}/{}.png", cell.plan.key8(), product.name);
    store.put(&cell.plan.object(&cell.cell().name, &file), bytes)?;
    Ok(Stored::of(bytes))
}

/// The asset of a picture; the first of an Item is what catalogues show of it.
fn picture_asset(plan: &ScenePlan, product: &Product, stored: &Stored, first: bool) -> AssetRecord {
    let (key, roles) = if first {
        ("thumbnail".to_owned(), vec!["thumbnail".to_owned(), "overview".to_owned()])
    } else {
        (format!("{}-picture", product.name), vec!["overview".to_owned()])
    };
    AssetRecord {
        key,
        href: catalog::href_from_path(&format!("./{}/{}.png", plan.key8(), product.name)),
        title: format!("picture of {}", product.name),
        media_type: media_type::PNG.into(),
        roles,
        size: stored.size,
        sha256_hex: stored.sha256.clone(),
        ..AssetRecord::default()
    }
}

fn survey_asset(survey: &look::Document) -> AssetRecord {
    let stored = Stored::of(&look::to_bytes(survey));
    AssetRecord {
        key: "survey".into(),
        href: "./survey.json".into(),
        title: "scene-wide numbers the products were made with".into(),
        media_type: media_type::JSON.into(),
        roles: vec!["metadata".into()],
        size: stored.size,
        sha256_hex: stored.sha256,
        ..AssetRecord::default()
    }
}

/// A document as bytes, if it conforms.
pub fn checked(document: &Value) -> Result<Vec<u8>> {
    let problems = catalog::validate(document);
    if problems.is_empty() {
        return Ok(catalog::to_bytes(document));
    }
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(Error::bug(format!("a STAC document does not conform: {}", text.join("; "))))
}

/// What the Items of a scene have in common.
fn common(plan: &ScenePlan) -> ItemRecord {
    let scene = &plan.scene;
    let light = plan.illumination.as_ref();
    let view = scene.view;
    let software =
        [("fieldglow", env!("CARGO_PKG_VERSION").to_owned()), ("gdal", gdal::version::VersionInfo::release_name())];
    let gsd = scene.parts.iter().filter_map(|p| p.gsd_m).map(|(a, b)| a.min(b)).fold(f64::INFINITY, f64::min);
    ItemRecord {
        id: String::new(),
        title: None,
        collection: Some(Parent { id: collection_id(&plan.pipeline).to_owned(), href: "../../collection.json".into() }),
        grid_code: None,
        datetime: scene.time.center,
        interval: scene.time.interval,
        projection: None,
        outline: MultiPolygon::new(Vec::new()),
        platform: scene.platform.clone(),
        instruments: scene.instrument.iter().cloned().collect(),
        constellation: scene.constellation.clone(),
        gsd_m: gsd.is_finite().then_some(gsd),
        angles: Angles {
            sun_azimuth_deg: light.and_then(|l| l.azimuth_deg),
            sun_elevation: light.map(|l| SunElevation::from(l.zenith)),
            azimuth_deg: view.and_then(|v| v.azimuth_deg),
            incidence_deg: view.and_then(|v| v.zenith_deg),
            off_nadir_deg: view.and_then(|v| v.off_nadir_deg),
        },
        cloud_percent: scene.cloud_percent,
        license: Some(plan.pipeline.output.license.clone()),
        providers: providers(&plan.pipeline),
        processing: Processing {
            level: Some("L1".into()),
            lineage: Some(lineage(plan)),
            software: software.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        },
        extras: Map::new(),
        assets: Vec::new(),
        links: Vec::new(),
    }
}

fn collection_id(pipeline: &Pipeline) -> &str {
    pipeline.output.collection.as_deref().unwrap_or(&pipeline.name)
}

fn providers(pipeline: &Pipeline) -> Vec<Provider> {
    pipeline.output.providers.iter().map(provider).collect()
}

/// A provider as the catalog has it.
pub fn provider(p: &crate::config::Provider) -> Provider {
    Provider { name: p.name.clone(), description: None, roles: p.roles.clone(), url: p.url.clone() }
}

/// The steps in words.
fn lineage(plan: &ScenePlan) -> String {
    let level = match plan.pipeline.radiometry.level {
        Level::Dn => "digital numbers as delivered",
        Level::Radiance => "at-sensor radiance (gain · DN + bias)",
        Level::Toa => "top-of-atmosphere reflectance (π L d² / (ESUN cos θs))",
    };
    let place = match (plan.pipeline.geometry.mode, &plan.terrain) {
        (Mode::Ortho, Terrain::Dem { .. }) => "orthorectified with RPC and a DEM, ",
        (Mode::Ortho, _) => "orthorectified with RPC at a constant height, ",
        (Mode::Grid, _) => "resampled to the grid, ",
        (Mode::Native, _) => "in the pixels of the delivery",
    };
    let kernel = match (plan.pipeline.geometry.mode, plan.pipeline.geometry.resampling) {
        (Mode::Native, _) => "",
        (_, Resampling::Bilinear) => "bilinear",
        (_, Resampling::Cubic) => "cubic convolution",
        (_, Resampling::Lanczos) => "Lanczos",
        (_, Resampling::Average) => "average over footprints",
    };
    let registration = plan.survey.as_ref().and_then(|d| d.survey.coregistration.as_ref());
    let laid = match registration {
        Some(r) if r.to_reference.is_some() => "; co-registered to a reference",
        Some(r) if r.between_parts.iter().any(|l| l.found.is_some()) => "; its parts co-registered",
        _ => "",
    };
    format!("{level}; {place}{kernel}{laid}; overviews by average over valid pixels")
}

fn extras(plan: &ScenePlan) -> Map<String, Value> {
    let mut bands = Map::new();
    for layer in &plan.layers {
        for role in &layer.roles {
            if let Some(c) = calibration(layer, *role) {
                bands.insert(role.code().to_owned(), c);
            }
        }
    }
    let name = |path: &std::path::Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let height = plan.pipeline.geometry.height.as_ref();
    let terrain = match &plan.terrain {
        Terrain::None => Value::Null,
        Terrain::Constant(h) => json!({
            "ellipsoidal_height_m": h,
            "constant_m": height.and_then(|h| h.constant),
            "geoid": height.and_then(|h| h.geoid.as_deref()).map(name),
            "datum": height.map(|h| h.datum),
        }),
        Terrain::Dem { heights, found, geoid, .. } => json!({
            "dem": match &*heights.names() {
                [one] => json!(one),
                tiles => json!(tiles),
            },
            "geoid": geoid.as_ref().map(|g| g.grid.names().concat()),
            "datum": height.map(|h| h.datum),
            "range_m": [round_m(found.0), round_m(found.1)],
        }),
    };
    let mut geometry = json!({
        "mode": plan.pipeline.geometry.mode,
        "resampling": plan.pipeline.geometry.resampling,
        "height": terrain,
    });
    if let (Some(geometry), true) = (geometry.as_object_mut(), plan.pipeline.geometry.snap) {
        geometry.insert("snap".into(), snapped(plan));
    }
    let mut map = Map::new();
    for (key, value) in [
        ("fieldglow:key", json!(plan.key)),
        ("fieldglow:pipeline", json!(plan.pipeline.name)),
        ("fieldglow:input", input(plan)),
        ("fieldglow:radiometry", json!({ "level": plan.pipeline.radiometry.level, "bands": bands })),
        ("fieldglow:geometry", geometry),
    ] {
        map.insert(key.to_owned(), value);
    }
    if let Some(r) = plan.survey.as_ref().and_then(|d| d.survey.coregistration.as_ref()) {
        map.insert("fieldglow:coregistration".into(), json!(r.summary()));
    }
    let qualities = plan.qualities();
    if !qualities.is_empty() {
        map.insert("fieldglow:pansharpening".to_owned(), json!(qualities));
    }
    map
}

/// How far the pixels of each part were moved, east and north, in the unit of the grid.
fn snapped(plan: &ScenePlan) -> Value {
    let mut parts = Map::new();
    for input in plan.layers.iter().flat_map(|l| &l.inputs) {
        if let Placement::Map { snapped: Some(shift), .. } = input.placement {
            parts.insert(plan.scene.parts[input.part].name.clone(), json!(shift));
        }
    }
    parts.into()
}

/// Metres to the centimetre, as people read them.
fn round_m(height: f64) -> f64 {
    (height * 100.0).round() / 100.0
}

/// What came in, what had been done to it, and what of that was accepted to make physical values of it.
fn input(plan: &ScenePlan) -> Value {
    let scene = &plan.scene;
    let mut input = json!({
        "sha256": plan.identity,
        "level": scene.level,
        "original_time": scene.time.original,
        "original_offset": scene.time.original_offset,
    });
    let used: BTreeSet<usize> = plan.layers.iter().flat_map(|l| &l.inputs).map(|i| i.part).collect();
    let parts = || used.iter().filter_map(|k| scene.parts.get(*k)).filter(|p| !p.processed.is_empty());
    let processed: Map<String, Value> = parts().map(|p| (p.name.clone(), json!(p.processed))).collect();
    if !processed.is_empty() {
        input["processed"] = processed.into();
        if plan.pipeline.radiometry.level != Level::Dn {
            let accepted: BTreeSet<Processed> = parts().flat_map(|p| &p.processed).map(|p| p.what).collect();
            input["accept_processed"] = json!(accepted);
        }
    }
    input
}

fn asset(plan: &ScenePlan, layer: &Layer, product: &Product, lattice: &Lattice, file: &FileRecord) -> AssetRecord {
    let level = plan.pipeline.radiometry.level;
    let what = match level {
        Level::Dn => "digital numbers",
        Level::Radiance => "at-sensor radiance",
        Level::Toa => "top-of-atmosphere reflectance",
    };
    let (title, roles, expression) = match &product.program {
        Program::Bands(_) => {
            (what.to_owned(), vec!["data", if level == Level::Toa { "reflectance" } else { "radiance" }], None)
        }
        Program::Pansharpen(_) => (
            format!("pansharpened {what}"),
            vec!["data", if level == Level::Toa { "reflectance" } else { "radiance" }],
            None,
        ),
        Program::Index(row) => (
            row.name.clone(),
            vec!["data"],
            Some(Expression { format: "awesome-spectral-indices".into(), expression: row.formula.clone() }),
        ),
        Program::Night(_) => ("radiance above the dark level".to_owned(), vec!["data", "radiance"], None),
        Program::Preview(_) => ("preview".to_owned(), vec!["visual"], None),
        Program::Qa => ("pixel states".to_owned(), vec!["metadata", "saturation"], None),
    };
    let roles = roles.into_iter().filter(|r| level != Level::Dn || *r != "radiance").map(str::to_owned).collect();
    let specs = bands(plan, product);
    let records = specs
        .into_iter()
        .enumerate()
        .map(|(k, spec)| {
            let source = match &product.program {
                Program::Bands(_) | Program::Night(_) | Program::Preview(_) | Program::Pansharpen(_) => {
                    product.roles().get(k).copied()
                }
                _ => None,
            };
            let known = source.and_then(|r| plan.scene.find(r).map(|(_, b)| (r, b)));
            let range = known.and_then(|(_, b)| b.range_nm);
            let esun = source.and_then(|r| input_band(layer, r)).and_then(|(i, n)| i.bands[n].provenance.esun);
            BandRecord {
                name: spec.description,
                description: known.map(|(_, b)| b.name.clone()).filter(|n| Some(n.as_str()) != source.map(Role::code)),
                common_name: source.and_then(Role::common_name),
                center_um: range.map(|r| r.center() / 1000.0),
                fwhm_um: range.map(|r| r.width() / 1000.0),
                solar_illumination: esun,
                unit: spec.unit,
                scale: spec.scale,
                offset: spec.offset,
                statistics: file.stats.get(k).copied().flatten().map(|s| Statistics {
                    minimum: s.min,
                    maximum: s.max,
                    mean: s.mean,
                    stddev: s.stddev,
                    valid_percent: s.valid_percent,
                    count: None,
                }),
            }
        })
        .collect();
    let bitfields =
        if product.encoding == Encoding::Bits { qa::BITS.iter().map(bit_field).collect() } else { Vec::new() };
    AssetRecord {
        key: product.name.clone(),
        href: catalog::href_from_path(&format!("./{}/{}.tif", plan.key8(), product.name)),
        title,
        media_type: media_type::COG.into(),
        roles,
        size: file.stored.size,
        sha256_hex: file.stored.sha256.clone(),
        header_size: Some(file.header_size),
        expression,
        raster: Some(RasterRecord {
            data_type: sample_type(product.encoding).name(),
            nodata: Some(product.encoding.nodata()),
            bands: records,
            rows: lattice.rows,
            cols: lattice.cols,
            transform: lattice.transform,
            spatial_resolution_m: layer.pixel_m,
            gsd_m: None,
            footprint: (!file.outline.is_empty()).then(|| polygon(&file.outline)),
            bitfields,
            classes: Vec::new(),
        }),
        ..AssetRecord::default()
    }
}

fn bit_field(bit: &qa::Bit) -> BitField {
    let class = |value, name: &str, description: &str| ClassRecord {
        value,
        name: name.to_owned(),
        description: description.to_owned(),
        color: None,
    };
    BitField {
        offset: u32::from(bit.offset),
        length: 1,
        name: bit.name.into(),
        description: bit.description.into(),
        classes: vec![class(0, "no", "not so"), class(1, bit.name, bit.description)],
    }
}

#[cfg(test)]
mod tests {
    use crate::cog::SEARCHED_LEVEL;
    use crate::config::Output;

    #[test]
    fn matches_are_searched_where_no_level_is_named() {
        assert_eq!(Output::default().effort(), SEARCHED_LEVEL);
    }
}
