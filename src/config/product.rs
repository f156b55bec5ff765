//! The `[[product]]` section.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sections::{check_size, pixel_of};
use super::{Geometry, Mistake, Mode, Radiometry, bad_name};
use crate::calibrate::Level;
use crate::grid::cell::Tiling;
use crate::product::indices;
use crate::product::sharpen::{Fit, Method};
use crate::scene::Role;

/// One thing to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Name of the file and the asset; a to z, 0 to 9, `-`, `_`.
    pub name: String,
    /// `bands` (values at the level of `[radiometry]`), `index` (a spectral index), `night` (radiance above the dark level, at
    /// level `radiance`), `preview` (one or three bands stretched to 8 bits for the eye), `pansharpen` (bands with the detail of
    /// PAN, at the level of `[radiometry]`) or `qa` (why pixels are invalid, and what is wrong with valid ones).
    pub kind: Kind,
    /// Roles of the bands, in the order they are stored (`bands`, `night`, `preview`, `pansharpen`), or whose states count (`qa`; default:
    /// those of the other products of its resolution).
    #[serde(default)]
    pub bands: Vec<Role>,
    /// Key of the index catalogue, such as `NDVI` (`index`).
    #[serde(default)]
    pub index: Option<String>,
    /// Pixel size, in the unit of the grid. Default: that of `[geometry]`.
    #[serde(default)]
    pub resolution: Option<f64>,
    /// Zoom level in place of `resolution`, in degrees and web mercator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoom: Option<u8>,
    /// Stored type: `int16` (scale 0.0001, nodata −32768; reflectance and bounded indices) or `float32` (nodata NaN).
    /// Default: `int16` where allowed, else `float32`. `night` is always float32, `preview` uint8, `qa` uint16.
    #[serde(default, rename = "type")]
    pub sample: Option<Sample>,
    /// How bands are sharpened (`pansharpen`): `mtf-glp-hpm` (default: modulation by PAN over its low-pass, which is matched
    /// to the detector of the bands) or `brovey` (PAN over a weighted sum of the bands: faster, and rougher).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How PAN is fitted to each band (`mtf-glp-hpm`): `regression` (default: by the slope of the band over PAN, so that bands
    /// that PAN says little about get little detail) or `moments` (by mean and standard deviation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Modulation of the detector at its Nyquist frequency by band, 0.05 to 0.9, such as `{ B = 0.34, N = 0.22 }`
    /// (`pansharpen`). Default: 0.3. `PAN` may be named too, up to 1: its blur is then taken out of the low-pass; default
    /// 1, none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mtf_gain: BTreeMap<Role, f64>,
    /// Weight of each band in what PAN sees, at the level of `[radiometry]` (`brovey`). Default: fitted to the scene.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<Role, f64>,
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
    /// Net radiance of lights.
    Night,
    /// Bands for the eye.
    Preview,
    /// Bands with the detail of PAN.
    Pansharpen,
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
            Kind::Bands | Kind::Night | Kind::Pansharpen if self.bands.is_empty() => {
                found.push(Mistake::new(
                    at("bands"),
                    "missing; write the roles in the order they are to be stored, such as [\"B\", \"G\", \"R\", \"N\"]",
                ));
            }
            Kind::Index if !self.bands.is_empty() => {
                found.push(Mistake::new(at("bands"), "an index knows its bands; remove it"))
            }
            Kind::Preview if !matches!(self.bands.len(), 1 | 3) => {
                found.push(Mistake::new(
                    at("bands"),
                    "write one role, or three for red, green and blue, such as [\"R\", \"G\", \"B\"]",
                ));
            }
            _ => {}
        }
        let mut seen = BTreeSet::new();
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
            (Kind::Bands | Kind::Night | Kind::Preview | Kind::Pansharpen | Kind::Qa, Some(_)) => {
                found.push(Mistake::new(at("index"), "only products of kind `index` have one; remove it"))
            }
            _ => {}
        }
        let level = radiometry.map_or(Level::Toa, |r| r.level);
        if self.kind == Kind::Index && level != Level::Toa {
            found.push(Mistake::new(at("kind"), "indices are made of reflectance; set `radiometry.level` to `toa`"));
        }
        if self.kind == Kind::Night && level != Level::Radiance {
            found.push(Mistake::new(
                at("kind"),
                "lights are measured as radiance; set `radiometry.level` to `radiance`",
            ));
        }
        let fixed = match self.kind {
            Kind::Bands | Kind::Index | Kind::Pansharpen => None,
            Kind::Night => Some("`night` is always float32"),
            Kind::Preview => Some("`preview` is always uint8"),
            Kind::Qa => Some("`qa` is always uint16"),
        };
        if let Some(fixed) = fixed.filter(|_| self.sample.is_some()) {
            found.push(Mistake::new(at("type"), format!("{fixed}; remove it")));
        }
        if self.sample == Some(Sample::Int16)
            && matches!(self.kind, Kind::Bands | Kind::Pansharpen)
            && level != Level::Toa
        {
            found.push(Mistake::new(
                at("type"),
                "int16 with scale 0.0001 holds −3.2767 to 3.2767: reflectance, not radiance or DN; take float32",
            ));
        }
        self.check_sharpening(geometry.map(|g| g.mode), found);
        let unscaled = self.index.as_deref().and_then(indices::find).is_some_and(|row| !row.scaled);
        if self.sample == Some(Sample::Int16) && unscaled {
            found.push(Mistake::new(at("type"), "this index is not bounded by ±3.2767; take float32"));
        }
        let tiling = geometry.map_or(Tiling::Metric, Geometry::tiling);
        match (geometry.map(|g| g.mode), self.resolution, self.zoom) {
            (Some(Mode::Native), Some(_), _) | (Some(Mode::Native), _, Some(_)) => found.push(Mistake::new(
                at(if self.resolution.is_some() { "resolution" } else { "zoom" }),
                "`native` keeps the input's pixels; remove it, or take mode `grid`",
            )),
            // That of `[geometry]`, which was checked on its own, has to fit a finer product's cells as well.
            (_, None, None) => match geometry.and_then(|g| g.pixel(tiling)) {
                Some(r) if finest < r => {
                    check_size(&format!("product.{}", self.name), tiling, (Some(r), None), finest, found);
                }
                _ => {}
            },
            (_, resolution, zoom) => {
                check_size(&format!("product.{}", self.name), tiling, (resolution, zoom), finest, found);
            }
        }
    }

    /// Its own pixel size, if it has one.
    ///
    /// # Units
    /// Those of the grid.
    pub fn pixel(&self, tiling: Tiling) -> Option<f64> {
        pixel_of(tiling, self.resolution, self.zoom)
    }
}
