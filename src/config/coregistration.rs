//! `[coregistration]`: what scenes are laid upon.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Geometry, Mistake, Mode, place};
use crate::scene::Role;
use crate::survey::coregister::Model;

/// What scenes are laid upon, so that dates overlay; see docs/coregistration.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coregistration {
    /// A GeoTIFF that is north up, in any reference system: a path relative to the pipeline file, or a URL (`s3://`, `gs://`,
    /// `az://`, `https://`), which is fetched before the first scene. Or the Item of a cell or a scene that Fieldglow made
    /// (`item.json`, or its folder), on this machine. Default: none, which is only possible with `band_to_band = true`.
    pub reference: Option<PathBuf>,
    /// In place of `reference`, the id of a scene (`fieldglow inspect`) of the same run, or made before into the same output
    /// folder: it is made first, as it is, and all others are laid on it. Default: none.
    pub reference_scene: Option<String>,
    /// Name of the asset that is taken of an Item. Default: none; needed with an Item or `reference_scene`, and only there.
    pub asset: Option<String>,
    /// Band of the scene that is compared. Default: the first of PAN, R, G, B, N that scene and reference both have; with a
    /// reference whose bands have no names, the first that the scene has.
    pub band: Option<Role>,
    /// Band of the reference that is compared: its number from 1, or its name. Default: the one named like `band`, or the
    /// only one there is.
    pub reference_band: Option<ReferenceBand>,
    /// `shift` (default: what the position of a satellite leaves, the same everywhere) or `affine` (a shift that changes
    /// evenly over the image: long scenes, whose attitude drifts).
    pub model: Model,
    /// Largest distance between scene and reference that is looked for, metres, above 0, at most 2000. Default: 300, as
    /// positions without control are off by 100 to 200 m.
    pub max_shift_m: f64,
    /// Windows that are compared, at the most, 4 to 1024: as many rows as columns of them, evenly spread,
    /// half overlapping at the most. Default: 256: where ground changed in between, the few windows that did not have to be
    /// among them.
    pub windows: usize,
    /// Edge of a window in pixels of the comparison, a multiple of 16 from 32 to 512. Default: 128, in which a shift is found
    /// to a few hundredths of a pixel.
    pub window_px: usize,
    /// Fewest windows that must agree, 3 or more. Default: 8.
    pub min_windows: usize,
    /// `true`: lay the parts that products need on one of them, each with a correction of its own (the multispectral part on
    /// the panchromatic one; bands with a file each), and of a scene with a single part its bands (night images of red, green
    /// and blue). `false`: none. Default: where a product needs bands of the panchromatic and of other parts, those.
    pub band_to_band: Option<bool>,
    /// What becomes of a scene whose evidence is too weak: `fail` (default: it is refused, with numbers) or `skip` (it is
    /// made where its sensor model puts it, with a warning).
    pub on_weak: OnWeak,
}

impl Default for Coregistration {
    fn default() -> Self {
        Self {
            reference: None,
            reference_scene: None,
            asset: None,
            band: None,
            reference_band: None,
            model: Model::Shift,
            max_shift_m: 300.0,
            windows: 256,
            window_px: 128,
            min_windows: 8,
            band_to_band: None,
            on_weak: OnWeak::Fail,
        }
    }
}

/// A band of a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReferenceBand {
    /// Its number, from 1.
    Number(usize),
    /// Its name.
    Name(String),
}

/// What becomes of a scene whose evidence is too weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnWeak {
    /// It is refused.
    #[default]
    Fail,
    /// It is made as it is.
    Skip,
}

impl Coregistration {
    pub(super) fn check(&self, geometry: Option<&Geometry>, found: &mut Vec<Mistake>) {
        let mut wrong = |key: &str, problem: String| found.push(Mistake::new(format!("coregistration{key}"), problem));
        if geometry.is_some_and(|g| g.mode == Mode::Native) {
            wrong("", "mode `native` keeps the pixels where they are; take mode `grid`, or remove the section".into());
        }
        if geometry.is_some_and(|g| g.snap) {
            wrong("", "`geometry.snap` copies the pixels where they are; remove it, or remove the section".into());
        }
        match &self.reference {
            None if self.reference_scene.is_none() && self.band_to_band != Some(true) => wrong(
                ".reference",
                "missing; name a GeoTIFF or the Item of something made before, set `reference_scene` to the id of a scene, or set `band_to_band = true`"
                    .into(),
            ),
            Some(_) if self.reference_scene.is_some() => {
                wrong(".reference_scene", "write either `reference` or `reference_scene`".into());
            }
            Some(path) if is_item(path) && place::url(path).is_some() => wrong(
                ".reference",
                "an Item by its URL is not followed to its assets; name the GeoTIFF of one of them, or copy the scene's folder"
                    .into(),
            ),
            Some(path) if !path.exists() => place::problem(path).into_iter().for_each(|p| wrong(".reference", p)),
            _ => {}
        }
        match (self.reference_scene.is_some() || self.reference.as_deref().is_some_and(is_item), &self.asset) {
            (true, None) => {
                wrong(".asset", "missing; say which asset of the Item is the reference, such as `reflectance`".into());
            }
            (false, Some(_)) => wrong(".asset", "only an Item has assets; remove it".into()),
            _ => {}
        }
        if matches!(self.reference_band, Some(ReferenceBand::Number(0))) {
            wrong(".reference_band", "bands are counted from 1".into());
        }
        if !(self.max_shift_m > 0.0 && self.max_shift_m <= 2000.0) {
            wrong(".max_shift_m", "must be above 0 and at most 2000 metres".into());
        }
        if !(4..=1024).contains(&self.windows) {
            wrong(".windows", "must be from 4 to 1024".into());
        }
        if !((32..=512).contains(&self.window_px) && self.window_px.is_multiple_of(16)) {
            wrong(".window_px", "must be a multiple of 16 from 32 to 512".into());
        }
        if !(3..=self.windows).contains(&self.min_windows) {
            wrong(".min_windows", format!("must be from 3 to the number of windows, {}", self.windows));
        }
    }
}

/// True for what is read as a STAC Item: JSON, or a folder with one.
pub fn is_item(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// Makes a relative path of the file start at the file's folder.
pub(super) fn anchor(table: &mut toml::Table, base: &Path) {
    let section = table.get_mut("coregistration").and_then(|c| c.as_table_mut());
    if let Some(path) = section.and_then(|c| c.get_mut("reference")) {
        place::anchor(path, base);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Pipeline, parse};
    use super::*;

    fn parsed(section: &str) -> Result<Pipeline, ConfigError> {
        let text = format!(
            "schema = 1\nname = \"p\"\n[geometry]\nmode = \"grid\"\nresolution = 3.0\n\
             [[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\n{section}"
        );
        parse(&text, Path::new("p.toml"), Path::new(env!("CARGO_MANIFEST_DIR")), &[])
    }

    #[test]
    fn a_section_is_read_with_its_path_and_its_defaults() {
        let p = parsed("[coregistration]\nreference = \"Cargo.toml\"\nreference_band = 2\nmodel = \"affine\"").unwrap();
        let c = p.coregistration.unwrap();
        assert!(c.reference.unwrap().is_absolute());
        assert_eq!((c.reference_band, c.model), (Some(ReferenceBand::Number(2)), Model::Affine));
        assert_eq!((c.max_shift_m, c.windows, c.min_windows), (300.0, 256, 8));
        assert_eq!(parsed("").unwrap().coregistration, None);
        assert!(parsed("[coregistration]\nband_to_band = true").is_ok());
    }

    #[test]
    fn every_mistake_is_said() {
        for (section, says) in [
            ("", "coregistration.reference: missing"),
            ("reference = \"s3://b/item.json\"", "an Item by its URL"),
            ("reference = \"ftp://b/r.tif\"", "names no file"),
            ("reference = \"s3://b/r/\"", "names no file"),
            ("reference = \"nowhere.tif\"", "there is no file"),
            ("reference = \"src\"", "coregistration.asset: missing"),
            ("reference_scene = \"s\"", "coregistration.asset: missing"),
            ("reference = \"Cargo.toml\"\nreference_scene = \"s\"\nasset = \"x\"", "write either"),
            ("reference = \"Cargo.toml\"\nasset = \"x\"", "only an Item has assets"),
            ("reference = \"Cargo.toml\"\nreference_band = 0", "counted from 1"),
            ("reference = \"Cargo.toml\"\nmax_shift_m = -1.0", "max_shift_m"),
            ("reference = \"Cargo.toml\"\nwindow_px = 100", "multiple of 16"),
            ("reference = \"Cargo.toml\"\nmin_windows = 999", "min_windows"),
            ("reference = \"Cargo.toml\"\nmax_shift = 9", "did you mean `max_shift_m`?"),
            ("reference = \"Cargo.toml\"\non_weak = \"hope\"", "on_weak"),
        ] {
            let said = parsed(&format!("[coregistration]\n{section}")).unwrap_err().to_string();
            assert!(said.contains(says), "{says} not in:\n{said}");
        }
    }
}
