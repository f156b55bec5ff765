//! The sections of a pipeline file. Their documentation is the reference people read: meaning, unit, default, range, and
//! why the default.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fieldglow_kernels::resample::Kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coregistration::Coregistration;
use super::height::Height;
use super::product::Product;
use super::{Mistake, bad_name, place};
use crate::calibrate::Level;
use crate::grid::cell::{self, Tiling};
use crate::grid::{Choice, GridError, matrix};
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
    /// What scenes are laid upon. Default: nothing; they lie where their sensor model puts them.
    #[serde(default)]
    coregistration: Option<Coregistration>,
    /// What is dark and what is lit, for products of kind `night`.
    #[serde(default)]
    night: Night,
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
    pub accept_processed: BTreeSet<Processed>,
}

/// Where the pixels of the products are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// `ortho` (sensor geometry with RPC), `grid` (resample a projected input) or `native` (keep the pixels of a projected
    /// input; cells are windows of it).
    pub mode: Mode,
    /// Grid of the products: `utm` (the zone of the scene centre, default; `utm:51N` for one zone), `cgcs2000-gk` (CGCS2000
    /// Gauss-Krüger, also `-gk3`, `-gk6`, `:42`, `:126`, `:cm`), `web-mercator`, `EPSG:4490` or `EPSG:4326` (degrees), or any
    /// other `EPSG:nnnn` or WKT that is projected in metres; see docs/grids.md. Not with `native`.
    #[serde(default)]
    pub crs: Option<String>,
    /// Pixel size, in the unit of the grid, of every product that does not say its own. On grids in metres it must divide
    /// the edge of the cell (7680 m if the finest pixel is 1 m or more, 3840 m from 0.5 m, halved further below); in degrees
    /// and web mercator it is that of a zoom level. Either this or `zoom` is needed unless `native`.
    #[serde(default)]
    pub resolution: Option<f64>,
    /// Zoom level in place of `resolution`, 6 to 22, in degrees and web mercator: 156543.034 m / 2^zoom in web mercator,
    /// 0.703125° / 2^zoom in degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoom: Option<u8>,
    /// How values are made of the source pixels: `bilinear` (of the nearest 4; default), `cubic` (of 16; sharper), `lanczos`
    /// (of 36; sharpest, rings at edges) or `average` (of all under the product's pixel; for products coarser than the
    /// input). See docs/resampling.md. Not with `native`.
    #[serde(default)]
    pub resampling: Resampling,
    /// In mode `grid`: take the input's pixels as they are, moved by half a pixel at the most onto those of the grid, and
    /// record the shift in the Item; an input in another system, of another pixel size or turned is refused. Default: false,
    /// because the pixels are then not quite where the input says.
    #[serde(default, skip_serializing_if = "is_off")]
    pub snap: bool,
    /// Terrain heights; needed for `ortho`, and only there.
    #[serde(default)]
    pub height: Option<Height>,
}

/// Left out of what is written down, so that keys of files that do not know the switch stay as they were.
fn is_off(switch: &bool) -> bool {
    !switch
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

/// How values are made of the source pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// Linear between the 2 × 2 nearest pixels.
    #[default]
    Bilinear,
    /// Cubic convolution of 4 × 4 pixels.
    Cubic,
    /// Windowed sinc function of 6 × 6 pixels.
    Lanczos,
    /// Mean over the product's pixel, by overlap.
    Average,
}

impl Resampling {
    /// The kernel that does it.
    pub fn kernel(self) -> Kernel {
        match self {
            Self::Bilinear => Kernel::Bilinear,
            Self::Cubic => Kernel::Cubic,
            Self::Lanczos => Kernel::Lanczos,
            Self::Average => Kernel::Average,
        }
    }
}

/// What is dark and what is lit, for products of kind `night`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Night {
    /// What unlit ground shows, DN by band role, used instead of what the survey measures. Default: measured in every scene,
    /// as the bias in the metadata is worth tens of DN and the sky glows.
    pub dark_dn: BTreeMap<Role, f64>,
    /// Standard deviations of the unlit ground above its level from which on a pixel is lit, above 0. Default: 5, where
    /// fewer than one unlit pixel in a million counts as lit.
    pub lit_sigma: f64,
    /// Net radiance from which on a pixel is lit, W·m⁻²·sr⁻¹·µm⁻¹ by band role, used instead of `lit_sigma`: the same for
    /// every scene, which is what changes over time are compared with.
    pub lit_threshold: BTreeMap<Role, f64>,
}

impl Default for Night {
    fn default() -> Self {
        Self { dark_dn: BTreeMap::new(), lit_sigma: 5.0, lit_threshold: BTreeMap::new() }
    }
}

impl Night {
    pub(super) fn check(&self, products: &[Product], found: &mut Vec<Mistake>) {
        for (role, dn) in &self.dark_dn {
            if !(dn.is_finite() && *dn >= 0.0) {
                found.push(Mistake::new(format!("night.dark_dn.{role}"), "must be 0 or more, in DN"));
            }
        }
        for (role, threshold) in &self.lit_threshold {
            if !threshold.is_finite() {
                found.push(Mistake::new(format!("night.lit_threshold.{role}"), "must be a number"));
            }
        }
        if !(self.lit_sigma.is_finite() && self.lit_sigma > 0.0) {
            found.push(Mistake::new("night.lit_sigma", "must be above 0; 3 to 5 are usual"));
        }
        if *self != Self::default() && !products.iter().any(|p| p.kind == super::Kind::Night) {
            found.push(Mistake::new("night", "no product is of kind `night`; remove the section"));
        }
    }
}

/// Where and how products are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Folder or URL everything goes below. Default: none; then `--output` must say it.
    pub url: Option<String>,
    /// `zstd` (default: smaller and faster; GDAL 2.3 and newer) or `deflate` (for readers that do not know it: old desktops,
    /// other TIFF libraries); see docs/codecs.md.
    pub compression: Codec,
    /// Effort of the compression: 1 to 22 for `zstd`, 1 to 12 for `deflate`. Default: 3 and 1.
    pub level: Option<u8>,
    /// Store a small picture (PNG, 512 pixels at most) beside every product of a cell, and one of every scene. Default: true.
    pub pictures: bool,
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
            pictures: true,
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
            // Smaller than level 6 for real images, in a third of the time: docs/codecs.md.
            Codec::Deflate => 1,
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
        if native && self.resampling != Resampling::default() {
            found.push(Mistake::new(
                "geometry.resampling",
                "`native` keeps the input's pixels; remove it, or take mode `grid`",
            ));
        }
        match (native, self.grid()) {
            (true, _) => {
                for (key, _) in
                    [("resolution", self.resolution.is_some()), ("zoom", self.zoom.is_some())].iter().filter(|k| k.1)
                {
                    found.push(Mistake::new(
                        format!("geometry.{key}"),
                        "`native` keeps the input's pixels; remove it, or take mode `grid`",
                    ));
                }
            }
            (false, Err(e)) => found.push(Mistake::new("geometry.crs", crate::error::chain(&e))),
            (false, Ok(grid)) => {
                let size = (self.resolution, self.zoom);
                check_size("geometry", grid.tiling(), size, f64::INFINITY, found);
            }
        }
        if self.snap && self.mode != Mode::Grid {
            found.push(Mistake::new("geometry.snap", "only mode `grid` has pixels to move; remove it"));
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

impl Geometry {
    /// Fills in what is left to be found.
    pub(super) fn complete(&mut self, found: &mut Vec<Mistake>) {
        if let (Mode::Ortho, Some(height)) = (self.mode, &mut self.height) {
            height.find_geoid(found);
        }
    }
}

impl Geometry {
    /// The grid that is asked for.
    ///
    /// # Errors
    /// What names none.
    pub fn grid(&self) -> Result<Choice, GridError> {
        self.crs.as_deref().unwrap_or("utm").parse()
    }

    /// What the cells of that grid are; squares of metres while `crs` names none.
    pub fn tiling(&self) -> Tiling {
        self.grid().map_or(Tiling::Metric, |g| g.tiling())
    }

    /// Pixel size of products that do not say their own.
    ///
    /// # Units
    /// Those of the grid.
    pub fn pixel(&self, tiling: Tiling) -> Option<f64> {
        pixel_of(tiling, self.resolution, self.zoom)
    }
}

/// A pixel size as it was written: exactly that of the level it means, where there are levels.
pub(super) fn pixel_of(tiling: Tiling, resolution: Option<f64>, zoom: Option<u8>) -> Option<f64> {
    match tiling {
        Tiling::Metric => resolution,
        Tiling::Tiles(set) => match (zoom, resolution) {
            (Some(zoom), _) => matrix::LEVELS.contains(&zoom).then(|| set.pixel(zoom)),
            (None, Some(r)) => Some(set.level(r).map_or(r, |level| set.pixel(level))),
            (None, None) => None,
        },
    }
}

/// Checks the pixel size of a section: one that the cells of the finest product hold a whole number of times, and a level
/// where there are levels.
pub(super) fn check_size(
    section: &str,
    tiling: Tiling,
    (resolution, zoom): (Option<f64>, Option<u8>),
    finest: f64,
    found: &mut Vec<Mistake>,
) {
    let mut wrong = |key: &str, problem: String| found.push(Mistake::new(format!("{section}.{key}"), problem));
    let set = match (tiling, resolution, zoom) {
        (_, Some(_), Some(_)) => return wrong("zoom", "write either `resolution` or `zoom`".into()),
        (Tiling::Metric, Some(r), None) => return check_metres(&format!("{section}.resolution"), r, finest, found),
        (Tiling::Metric, None, None) => {
            return wrong("resolution", "missing; write the pixel size of the products in metres, such as 3.0".into());
        }
        (Tiling::Metric, None, Some(_)) => {
            let grids = "`web-mercator`, `EPSG:4490` or `EPSG:4326`";
            let problem =
                format!("this grid has no levels; write `resolution` in metres, or set `geometry.crs` to {grids}");
            return wrong("zoom", problem);
        }
        (Tiling::Tiles(set), ..) => set,
    };
    let (first, last) = (*matrix::LEVELS.start(), *matrix::LEVELS.end());
    let key = if zoom.is_some() { "zoom" } else { "resolution" };
    match (zoom, resolution) {
        (None, None) => {
            wrong(key, format!("missing; write `zoom`, such as 17, or the pixel size of a level in {}", set.unit));
        }
        (Some(zoom), _) if !matrix::LEVELS.contains(&zoom) => wrong(key, format!("must be from {first} to {last}")),
        (None, Some(r)) if set.level(r).is_none() => {
            let distance = |z: u8| (set.pixel(z) / r).ln().abs();
            let near = matrix::LEVELS.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(first);
            let (pixel, unit) = (set.pixel(near), set.unit);
            let problem = format!("{r} {unit} is no level of {}; the nearest is {pixel} (`zoom = {near}`)", set.name);
            wrong(key, problem);
        }
        _ => {
            let pixel = pixel_of(tiling, resolution, zoom).unwrap_or(f64::NAN);
            if cell::pixels_per_edge(tiling.edge(finest.min(pixel)), pixel).is_none() {
                wrong(key, "is coarser than the cells that the finest product asks for; choose a finer one".into());
            }
        }
    }
}

/// A pixel size must divide the edge of the cells that the finest product asks for.
fn check_metres(path: &str, resolution: f64, finest: f64, found: &mut Vec<Mistake>) {
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
        match height.get_mut(key) {
            Some(toml::Value::Array(files)) => files.iter_mut().for_each(|file| place::anchor(file, base)),
            Some(file) => place::anchor(file, base),
            None => {}
        }
    }
}
