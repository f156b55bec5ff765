//! The sections of a pipeline file. Their documentation is the reference people read: meaning, unit, default, range, and
//! why the default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mistake, bad_name};
use crate::calibrate::Level;
use crate::grid::cell;
use crate::product::indices;
use crate::scene::{Processed, Role};

/// A Fieldglow pipeline: what to make of every scene.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the file as a whole for the schema; the sections are read one by one so that all mistakes are found"
)]
pub(super) struct File {
    /// Version of this format: 1.
    schema: u32,
    /// First folder of everything the pipeline writes; a to z, 0 to 9, `-`, `_`.
    name: String,
    /// What people read in the Collection. Default: empty.
    #[serde(default)]
    description: String,
    /// What comes in.
    #[serde(default)]
    input: Input,
    /// From digital numbers to physical values.
    #[serde(default)]
    radiometry: Radiometry,
    /// Where the pixels of the products are.
    geometry: Geometry,
    /// What to make; one section each.
    product: Vec<Product>,
    /// Where and how it is stored.
    #[serde(default)]
    output: Output,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// How a scene is recognised when it comes again: `sampled` (default) digests all metadata and a fixed set of ranges of
    /// each raster, `full` digests every byte.
    pub identity: IdentityMode,
}

/// How a scene is recognised when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityMode {
    /// All metadata, sizes, and sixteen ranges of each raster.
    #[default]
    Sampled,
    /// Every byte.
    Full,
}

/// From digital numbers to physical values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Radiometry {
    /// `dn` (as delivered), `radiance` (W·m⁻²·sr⁻¹·µm⁻¹) or `toa` (top-of-atmosphere reflectance, default).
    pub level: Level,
    /// Solar irradiance per band role, W·m⁻²·µm⁻¹ at 1 AU, where the vendor's own value must be used. Default: the mean of
    /// the shipped solar spectrum over the band.
    pub esun: BTreeMap<Role, f64>,
    /// Sun zenith angle in degrees, 0 to 90, used instead of the delivery's. Default: none.
    pub sun_zenith: Option<f64>,
    /// Go on, with a warning, when the delivery's sun angles contradict its time and place. Default: false, because the
    /// usual causes (zenith taken for elevation, local time for UTC) make every reflectance wrong.
    pub accept_sun_conflict: bool,
    /// Make radiance and reflectance, with a warning, of pixels that are no measurements any more: any of `fused`
    /// (pansharpened), `stretched` (to 8 bits), `mosaicked`. Default: none, as the values are not what the instrument
    /// measured; see docs/levels.md.
    pub accept_processed: Vec<Processed>,
}

/// Where the pixels of the products are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// `ortho` (sensor geometry with RPC), `grid` (resample a projected input) or `native` (keep the pixels of a projected
    /// input; cells are windows of it).
    pub mode: Mode,
    /// Reference system of the grid: `utm` (the zone of the scene centre, default), `EPSG:nnnn` or WKT; projected and in
    /// metres. Not with `native`.
    #[serde(default)]
    pub crs: Option<String>,
    /// Pixel size in metres of every product that does not say its own; must divide the edge of the cell (7680 m if the
    /// finest pixel is 1 m or more, 3840 m from 0.5 m, halved further below). Needed unless `native`.
    #[serde(default)]
    pub resolution: Option<f64>,
    /// How values between source pixels are found. Default: `bilinear`.
    #[serde(default)]
    pub resampling: Resampling,
    /// Terrain heights; needed for `ortho`, and only there.
    #[serde(default)]
    pub height: Option<Height>,
}

/// How the products' pixels come from the input's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Orthorectify: RPC and terrain.
    Ortho,
    /// Resample a projected input to the grid.
    Grid,
    /// Keep the pixels of a projected input.
    Native,
}

/// How values between source pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// Between the four nearest pixel centres.
    #[default]
    Bilinear,
}

/// Terrain heights for `ortho`: either `dem` or `constant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Height {
    /// A raster of heights in metres, any reference system, that covers the scene. Relative to the pipeline file.
    #[serde(default)]
    pub dem: Option<PathBuf>,
    /// One height for the whole scene, metres.
    #[serde(default)]
    pub constant: Option<f64>,
    /// What the heights are counted from: `ellipsoid` (WGS 84), `egm96` or `egm2008`. No default: RPC want ellipsoidal
    /// heights, DEMs mostly are not, and the difference moves the image.
    #[schemars(required)]
    pub datum: Option<Datum>,
    /// Raster of geoid undulations in metres (GTX, GeoTIFF), needed with `egm96` and `egm2008`.
    #[serde(default)]
    pub geoid: Option<PathBuf>,
}

/// What heights are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Datum {
    /// WGS 84 ellipsoid.
    Ellipsoid,
    /// EGM96 geoid.
    Egm96,
    /// EGM2008 geoid.
    Egm2008,
}

/// One thing to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Name of the file and the asset; a to z, 0 to 9, `-`, `_`.
    pub name: String,
    /// `bands` (values at the level of `[radiometry]`), `index` (a spectral index) or `qa` (why pixels are invalid, and
    /// what is wrong with valid ones).
    pub kind: Kind,
    /// Roles of the bands, in the order they are stored (`bands`), or whose states count (`qa`; default: those of the other
    /// products of its resolution).
    #[serde(default)]
    pub bands: Vec<Role>,
    /// Key of the index catalogue, such as `NDVI` (`index`).
    #[serde(default)]
    pub index: Option<String>,
    /// Pixel size in metres. Default: that of `[geometry]`.
    #[serde(default)]
    pub resolution: Option<f64>,
    /// Stored type: `int16` (scale 0.0001, nodata −32768; reflectance and bounded indices) or `float32` (nodata NaN).
    /// Default: `int16` where allowed, else `float32`. `qa` is always uint16.
    #[serde(default, rename = "type")]
    pub sample: Option<Sample>,
    /// What happens when a scene lacks a band it needs: `true` (default) fails the scene, `false` leaves the product out
    /// with a warning.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// What a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Band values.
    Bands,
    /// A spectral index.
    Index,
    /// Pixel states.
    Qa,
}

/// Stored type of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// Scaled by 0.0001.
    Int16,
    /// As it is.
    Float32,
}

/// Where and how products are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Folder or URL everything goes below. Default: none; then `--output` must say it.
    pub url: Option<String>,
    /// `zstd` (default: smaller and faster; GDAL 2.3 and newer) or `deflate` (every TIFF reader).
    pub compression: Codec,
    /// Effort of the compression: 1 to 22 for `zstd`, 1 to 12 for `deflate`. Default: 3 and 6.
    pub level: Option<u8>,
    /// Id of the STAC Collection. Default: the pipeline's name.
    pub collection: Option<String>,
    /// Licence of the products, an SPDX id or `other`. Default: `other`.
    pub license: String,
    /// Who made and who owns the data, as in STAC.
    pub providers: Vec<Provider>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            url: None,
            compression: Codec::Zstd,
            level: None,
            collection: None,
            license: "other".into(),
            providers: Vec::new(),
        }
    }
}

/// Compression of COG tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// Zstandard.
    Zstd,
    /// Deflate.
    Deflate,
}

/// A provider as in STAC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name.
    pub name: String,
    /// Any of `licensor`, `producer`, `processor`, `host`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Home page.
    #[serde(default)]
    pub url: Option<String>,
}

impl Output {
    /// Effort of the compression, resolved.
    pub fn effort(&self) -> i32 {
        i32::from(self.level.unwrap_or(match self.compression {
            Codec::Zstd => 3,
            Codec::Deflate => 6,
        }))
    }

    pub(super) fn check(&self, found: &mut Vec<Mistake>) {
        let most = match self.compression {
            Codec::Zstd => 22,
            Codec::Deflate => 12,
        };
        if self.level.is_some_and(|l| l == 0 || l > most) {
            found.push(Mistake::new("output.level", format!("must be from 1 to {most} for this compression")));
        }
        if let Some(problem) = self.collection.as_deref().and_then(bad_name) {
            found.push(Mistake::new("output.collection", problem));
        }
        const ROLES: [&str; 4] = ["licensor", "producer", "processor", "host"];
        for p in &self.providers {
            if let Some(role) = p.roles.iter().find(|r| !ROLES.contains(&r.as_str())) {
                found.push(Mistake::new(
                    format!("output.providers.{}.roles", p.name),
                    format!("`{role}` is no provider role of STAC; known: {}", ROLES.join(", ")),
                ));
            }
        }
    }
}

impl Radiometry {
    pub(super) fn check(&self, found: &mut Vec<Mistake>) {
        for (role, esun) in &self.esun {
            if !(esun.is_finite() && *esun > 0.0) {
                found.push(Mistake::new(format!("radiometry.esun.{role}"), "must be above 0, in W·m⁻²·µm⁻¹"));
            }
        }
        if self.sun_zenith.is_some_and(|z| !(0.0..90.0).contains(&z)) {
            found.push(Mistake::new(
                "radiometry.sun_zenith",
                "must be from 0 up to, not including, 90 degrees: at 90 the sun sets",
            ));
        }
    }
}

impl Geometry {
    pub(super) fn check(&self, found: &mut Vec<Mistake>) {
        let native = self.mode == Mode::Native;
        if native && self.crs.is_some() {
            found.push(Mistake::new(
                "geometry.crs",
                "`native` keeps the input's reference system; remove it, or take mode `grid`",
            ));
        }
        if let Some(crs) = self.crs.as_deref().filter(|c| *c != "utm" && !native) {
            match crate::grid::Crs::from_definition(crs) {
                Err(e) => found.push(Mistake::new("geometry.crs", crate::error::chain(&e))),
                Ok(c) if !c.is_metric() => found
                    .push(Mistake::new("geometry.crs", format!("{c} is not projected in metres; cells need metres"))),
                Ok(_) => {}
            }
        }
        match (native, self.resolution) {
            (true, Some(_)) => found.push(Mistake::new(
                "geometry.resolution",
                "`native` keeps the input's pixels; remove it, or take mode `grid`",
            )),
            (false, None) => found.push(Mistake::new(
                "geometry.resolution",
                "missing; write the pixel size of the products in metres, such as 3.0",
            )),
            (false, Some(r)) => check_resolution("geometry.resolution", r, r, found),
            (true, None) => {}
        }
        match (self.mode, &self.height) {
            (Mode::Ortho, None) => found.push(Mistake::new(
                "geometry.height",
                "missing; write `height = { dem = \"FILE\", datum = \"ellipsoid\" }`, or `constant` metres in place of `dem`",
            )),
            (Mode::Ortho, Some(h)) => h.check(found),
            (_, Some(_)) => found.push(Mistake::new("geometry.height", "heights are used by mode `ortho` alone; remove it")),
            _ => {}
        }
    }
}

impl Height {
    fn check(&self, found: &mut Vec<Mistake>) {
        if self.dem.is_some() == self.constant.is_some() {
            found.push(Mistake::new("geometry.height", "write either `dem` or `constant`"));
        }
        if self.constant.is_some_and(|c| !(-1000.0..10_000.0).contains(&c)) {
            found.push(Mistake::new("geometry.height.constant", "no place on land has this height; metres are wanted"));
        }
        match (self.datum, &self.geoid) {
            (None, _) => found.push(Mistake::new(
                "geometry.height.datum",
                "missing; say what the heights are counted from: `ellipsoid`, `egm96` or `egm2008`",
            )),
            (Some(Datum::Ellipsoid), Some(_)) => {
                found.push(Mistake::new(
                    "geometry.height.geoid",
                    "heights above the ellipsoid need no geoid; remove it or change `datum`",
                ));
            }
            (Some(Datum::Egm96 | Datum::Egm2008), None) => found.push(Mistake::new(
                "geometry.height.geoid",
                "missing; heights above a geoid need its undulations, such as PROJ's egm96_15.gtx",
            )),
            _ => {}
        }
        for (key, file) in [("dem", &self.dem), ("geoid", &self.geoid)] {
            if let Some(file) = file.as_ref().filter(|f| !f.is_file()) {
                found.push(Mistake::new(
                    format!("geometry.height.{key}"),
                    format!("there is no file `{}`", file.display()),
                ));
            }
        }
    }
}

impl Product {
    pub(super) fn check(
        &self,
        i: usize,
        geometry: Option<&Geometry>,
        radiometry: Option<&Radiometry>,
        finest: f64,
        found: &mut Vec<Mistake>,
    ) {
        let at = |key: &str| format!("product.{}.{key}", self.name);
        if let Some(problem) = bad_name(&self.name) {
            found.push(Mistake::new(format!("product[{i}].name"), problem));
        }
        match self.kind {
            Kind::Bands if self.bands.is_empty() => {
                found.push(Mistake::new(
                    at("bands"),
                    "missing; write the roles in the order they are to be stored, such as [\"B\", \"G\", \"R\", \"N\"]",
                ));
            }
            Kind::Index if !self.bands.is_empty() => {
                found.push(Mistake::new(at("bands"), "an index knows its bands; remove it"))
            }
            _ => {}
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = self.bands.iter().find(|b| !seen.insert(**b)) {
            found.push(Mistake::new(at("bands"), format!("{twice} stands there twice")));
        }
        match (self.kind, &self.index) {
            (Kind::Index, None) => {
                found.push(Mistake::new(at("index"), format!("missing; known: {}", indices::keys().join(", "))))
            }
            (Kind::Index, Some(key)) if indices::find(key).is_none() => {
                found.push(Mistake::new(
                    at("index"),
                    format!("`{key}` is not in the catalogue; known: {}", indices::keys().join(", ")),
                ));
            }
            (Kind::Bands | Kind::Qa, Some(_)) => {
                found.push(Mistake::new(at("index"), "only products of kind `index` have one; remove it"))
            }
            _ => {}
        }
        let level = radiometry.map_or(Level::Toa, |r| r.level);
        if self.kind == Kind::Index && level != Level::Toa {
            found.push(Mistake::new(at("kind"), "indices are made of reflectance; set `radiometry.level` to `toa`"));
        }
        if self.kind == Kind::Qa && self.sample.is_some() {
            found.push(Mistake::new(at("type"), "`qa` is always uint16; remove it"));
        }
        if self.sample == Some(Sample::Int16) && self.kind == Kind::Bands && level != Level::Toa {
            found.push(Mistake::new(
                at("type"),
                "int16 with scale 0.0001 holds −3.2767 to 3.2767: reflectance, not radiance or DN; take float32",
            ));
        }
        let unscaled = self.index.as_deref().and_then(indices::find).is_some_and(|row| !row.scaled);
        if self.sample == Some(Sample::Int16) && unscaled {
            found.push(Mistake::new(at("type"), "this index is not bounded by ±3.2767; take float32"));
        }
        match (geometry.map(|g| g.mode), self.resolution) {
            (Some(Mode::Native), Some(_)) => found.push(Mistake::new(
                at("resolution"),
                "`native` keeps the input's pixels; remove it, or take mode `grid`",
            )),
            (_, Some(r)) => check_resolution(&at("resolution"), r, finest, found),
            // That of `[geometry]`, which was checked on its own, has to fit a finer product's cells as well.
            (_, None) => match geometry.and_then(|g| g.resolution) {
                Some(r) if finest < r => check_resolution(&at("resolution"), r, finest, found),
                _ => {}
            },
        }
    }
}

/// A pixel size must divide the edge of the cells that the finest product asks for.
fn check_resolution(path: &str, resolution: f64, finest: f64, found: &mut Vec<Mistake>) {
    let edge = cell::edge_m(finest.min(resolution));
    if !(resolution.is_finite() && (0.05..=1000.0).contains(&resolution)) {
        found.push(Mistake::new(path, "must be from 0.05 to 1000 metres"));
    } else if cell::pixels_per_edge(edge, resolution).is_none() {
        let (finer, coarser) = cell::nearest_pixels(resolution, edge);
        found.push(Mistake::new(
            path,
            format!("{resolution} m does not divide the cells of {edge} m into whole pixels; the nearest that do are {finer} m and {coarser} m"),
        ));
    }
}

/// Makes relative paths of a file start at the file's folder.
pub(super) fn anchor_paths(table: &mut toml::Table, base: &Path) {
    let Some(height) = table.get_mut("geometry").and_then(|g| g.get_mut("height")).and_then(|h| h.as_table_mut())
    else {
        return;
    };
    for key in ["dem", "geoid"] {
        if let Some(toml::Value::String(path)) = height.get_mut(key) {
            *path = base.join(&*path).to_string_lossy().into_owned();
        }
    }
}
