//! What a scene is laid upon, and which of its bands is compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::EngineError;
use super::super::plan::{Layer, Terrain};
use super::super::publish::unwrap;
use super::super::register::{Between, Register, RegisterInput, ToReference};
use super::products::Ground;
use super::{has, heights_of, part_outline, products};
use crate::calibrate::Illumination;
use crate::catalog::path_from_href;
use crate::config::coregistration::{Coregistration, ReferenceBand, is_item};
use crate::config::{Mode, Pipeline};
use crate::error::{Result, ResultExt};
use crate::read::{ReadError, Reference};
use crate::scene::{Role, Scene, identity};
use crate::store::hex;
use crate::survey::coregister::Options;

/// Bands that are compared, the best first: the finest and sharpest, then those in which land keeps its looks. Near infrared
/// is last: crops change most in it.
const PREFERRED: [Role; 5] = [Role::Pan, Role::R, Role::G, Role::B, Role::N];

/// Largest Item that is read, bytes, and most cells of a scene that are followed.
const ITEM_LIMIT: u64 = 16 << 20;
const CELL_LIMIT: usize = 1000;

/// What is compared, before it is known where it lies.
#[derive(Default)]
pub struct Compared {
    to: Option<(Reference, String, String, Role)>,
    /// The band that others are laid upon, if any are.
    fixed: Option<Role>,
    /// The pipeline asks that they be.
    asked: bool,
}

impl Compared {
    /// Bands of the scene that are compared.
    pub fn roles(&self) -> BTreeSet<Role> {
        // Unless it is asked for, parts are laid on each other where products need both, and then name them themselves.
        let fixed = self.fixed.filter(|_| self.asked);
        self.to.iter().map(|(.., role)| *role).chain(fixed).collect()
    }

    /// Digest of the reference.
    pub fn digest(&self) -> Option<&str> {
        self.to.as_ref().map(|(_, digest, ..)| digest.as_str())
    }

    /// Metres by which the scene may be moved.
    pub fn margin_m(&self, pipeline: &Pipeline) -> f64 {
        let limit = pipeline.coregistration.as_ref().map_or(0.0, |c| c.max_shift_m);
        if self.to.is_some() { limit } else { 0.0 }
    }
}

/// Opens the reference and chooses the bands.
pub fn open(scene: &Scene, pipeline: &Pipeline) -> Result<Compared> {
    let Some(section) = &pipeline.coregistration else { return Ok(Compared::default()) };
    let to = match &section.reference {
        Some(path) => Some(reference(scene, section, path, pipeline).within(|c| c.stage = Some("survey"))?),
        None => None,
    };
    // What was laid on the reference stays.
    let fixed = to.as_ref().map(|(.., role)| *role).or(preferred(&scene.roles()));
    let fixed = fixed.filter(|_| section.band_to_band != Some(false) && pipeline.geometry.mode != Mode::Native);
    Ok(Compared { to, fixed, asked: section.band_to_band == Some(true) })
}

/// The best band to compare among some.
fn preferred(roles: &[Role]) -> Option<Role> {
    PREFERRED.into_iter().chain(Role::ALL.iter().copied()).find(|r| roles.contains(r))
}

fn reference(
    scene: &Scene,
    section: &Coregistration,
    path: &Path,
    pipeline: &Pipeline,
) -> Result<(Reference, String, String, Role)> {
    let paths = files(path, section.asset.as_deref())?;
    let reference = Reference::open(&paths)?;
    let (role, band) = choose(scene, section, path, reference.bands())?;
    let full = pipeline.input.identity == crate::config::IdentityMode::Full;
    let mut digest = Sha256::new();
    for file in &paths {
        digest.update(identity::of_file(file, full)?.digest.as_bytes());
    }
    digest.update((band as u64).to_le_bytes());
    let name = match reference.bands().get(band) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => (band + 1).to_string(),
    };
    Ok((reference.with_band(band), hex(&digest.finalize()), name, role))
}

/// The band of the scene and that of the reference, from 0.
fn choose(scene: &Scene, section: &Coregistration, path: &Path, names: &[String]) -> Result<(Role, usize)> {
    let roles = scene.roles();
    let listed = names.iter().map(|n| if n.is_empty() { "unnamed" } else { n.as_str() }).collect::<Vec<_>>().join(", ");
    let unfit =
        |reason: String| -> Result<(Role, usize)> { Err(ReadError::Unfit { path: path.to_owned(), reason }.into()) };
    let named = |name: &str| names.iter().position(|n| n == name);
    let first = preferred(&roles);
    if let Some(role) = section.band.filter(|r| !roles.contains(r)) {
        return Err(EngineError::NotCompared { role, has: has(scene) }.into());
    }
    match (&section.reference_band, section.band) {
        (Some(ReferenceBand::Number(n)), band) => match (n.checked_sub(1).filter(|k| *k < names.len()), band.or(first))
        {
            (Some(k), Some(role)) => Ok((role, k)),
            _ => unfit(format!("has {} bands; correct `reference_band` = {n}", names.len())),
        },
        (Some(ReferenceBand::Name(name)), band) => {
            let same = name.parse::<Role>().ok().filter(|r| roles.contains(r));
            match (named(name), band.or(same).or(first)) {
                (Some(k), Some(role)) => Ok((role, k)),
                _ => unfit(format!("has no band `{name}` (it has {listed}); correct `reference_band`")),
            }
        }
        (None, Some(role)) => match named(role.code()) {
            Some(k) => Ok((role, k)),
            None if names.len() == 1 => Ok((role, 0)),
            None => unfit(format!("has no band named {role} (it has {listed}); say which it is with `reference_band`")),
        },
        (None, None) => {
            let common = PREFERRED.into_iter().filter(|r| roles.contains(r)).find_map(|r| Some((r, named(r.code())?)));
            match (common, first) {
                (Some(found), _) => Ok(found),
                (None, Some(role)) if names.len() == 1 => Ok((role, 0)),
                _ => unfit(format!(
                    "has none of the scene's bands by name (it has {listed}, the scene {}); say which to compare with `band` and `reference_band`",
                    has(scene)
                )),
            }
        }
    }
}

/// The files of a reference: itself, or those of an asset of an Item and, where it has none, of the Items it is related to.
fn files(path: &Path, asset: Option<&str>) -> Result<Vec<PathBuf>, ReadError> {
    if !is_item(path) {
        return Ok(vec![path.to_owned()]);
    }
    let file = if path.is_dir() { path.join("item.json") } else { path.to_owned() };
    let asset = asset.unwrap_or_default();
    let item = document(&file)?;
    if let Some(found) = asset_file(&file, &item, asset)? {
        return Ok(vec![found]);
    }
    let links = item.get("links").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for href in links.iter().filter(|l| l["rel"] == "related").filter_map(|l| l["href"].as_str()).take(CELL_LIMIT) {
        let cell = local(&file, href)?;
        found.extend(asset_file(&cell, &document(&cell)?, asset)?);
    }
    if found.is_empty() {
        let assets = item.get("assets").and_then(Value::as_object);
        let names: Vec<&str> = assets.into_iter().flat_map(|a| a.keys()).map(String::as_str).take(20).collect();
        let reason = format!("has no asset `{asset}`, nor have Items it is related to; it has {}", names.join(", "));
        return Err(ReadError::Unfit { path: file, reason });
    }
    Ok(found)
}

fn document(path: &Path) -> Result<Value, ReadError> {
    let unfit = |reason: String| ReadError::Unfit { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|e| unfit(format!("cannot be read: {e}")))?.len();
    if size > ITEM_LIMIT {
        return Err(unfit(format!("has {size} bytes, more than an Item may have here, {ITEM_LIMIT}")));
    }
    let text = std::fs::read(path).map_err(|e| unfit(format!("cannot be read: {e}")))?;
    let item: Value = serde_json::from_slice(&text).map_err(|e| unfit(format!("is no STAC Item: {e}")))?;
    if item["type"] != "Feature" {
        return Err(unfit("is no STAC Item; name the `item.json` of a cell or of a scene".into()));
    }
    Ok(item)
}

fn asset_file(path: &Path, item: &Value, asset: &str) -> Result<Option<PathBuf>, ReadError> {
    match item.get("assets").and_then(|a| a.get(asset)?.get("href")?.as_str()) {
        Some(href) => local(path, href).map(Some),
        None => Ok(None),
    }
}

fn local(path: &Path, href: &str) -> Result<PathBuf, ReadError> {
    let absolute = href.strip_prefix("file://").or_else(|| href.starts_with('/').then_some(href));
    if let Some(absolute) = absolute {
        return Ok(PathBuf::from(absolute));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    path_from_href(href).map(|relative| folder.join(relative)).ok_or_else(|| {
        let reason = format!("refers to `{href}`, which is no local file; copy the reference here");
        ReadError::Unfit { path: path.to_owned(), reason }
    })
}

/// All that the survey needs to compare.
pub fn of_scene(
    scene: &Scene,
    pipeline: &Pipeline,
    layers: &[Layer],
    terrain: &Terrain,
    ground: &Ground,
    light: Option<&Illumination>,
    compared: Compared,
) -> Result<Option<Register>> {
    let Some(section) = &pipeline.coregistration else { return Ok(None) };
    let side = |role: Role| -> Result<RegisterInput> {
        let input = products::input(scene, pipeline, role, ground, light)?;
        let mut outline = part_outline(&scene.parts[input.part], &heights_of(terrain))?;
        unwrap(&mut outline);
        Ok(RegisterInput { input, role, outline: super::super::publish::hull_of(&outline) })
    };
    let to = match compared.to {
        Some((reference, digest, band, role)) => Some(ToReference { reference, digest, band, scene: side(role)? }),
        None => None,
    };
    let needed = layers.iter().filter(|l| compared.asked || (l.inputs.len() > 1 && l.roles.contains(&Role::Pan)));
    let needed: BTreeSet<&str> = needed.flat_map(|l| &l.inputs).map(|i| i.name.as_str()).collect();
    let between = match compared.fixed {
        Some(fixed) => {
            let sets = products::band_sets(scene, pipeline).into_iter().filter(|s| needed.contains(s.name.as_str()));
            let moved = sets.map(|s| s.roles()).filter(|r| !r.contains(&fixed)).filter_map(|r| preferred(&r));
            let moved = moved.map(side).collect::<Result<Vec<_>>>()?;
            if moved.is_empty() { None } else { Some(Between { fixed: side(fixed)?, moved }) }
        }
        None => None,
    };
    let options = Options {
        model: section.model,
        max_shift_m: section.max_shift_m,
        windows: section.windows,
        side: section.window_px,
        min_windows: section.min_windows,
    };
    Ok((to.is_some() || between.is_some()).then_some(Register { to, between, options }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cells_item_names_its_file_and_a_scenes_item_those_of_its_cells() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let put = |name: &str, text: &str| {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), text).unwrap();
        };
        put("p/C1/a/item.json", r#"{"type":"Feature","assets":{"ndvi":{"href":"./k/ndvi.tif"}}}"#);
        put("p/C2/a/item.json", r#"{"type":"Feature","assets":{"ndvi":{"href":"./k/ndvi.tif"}}}"#);
        put(
            "p/scenes/a/item.json",
            r#"{"type":"Feature","assets":{"survey":{"href":"./s.json"}},"links":[
                {"rel":"self","href":"./item.json"},
                {"rel":"related","href":"../../C1/a/item.json"},{"rel":"related","href":"../../C2/a/item.json"}]}"#,
        );
        assert_eq!(files(&at("p/C1/a"), Some("ndvi")).unwrap(), [at("p/C1/a/./k/ndvi.tif")]);
        let both = files(&at("p/scenes/a/item.json"), Some("ndvi")).unwrap();
        assert_eq!(both, ["C1", "C2"].map(|c| at(&format!("p/scenes/a/../../{c}/a/./k/ndvi.tif"))));
        let none = files(&at("p/scenes/a"), Some("evi")).unwrap_err().to_string();
        assert!(none.contains("`evi`") && none.contains("survey"), "{none}");
        put("p/bad.json", r#"{"type":"Catalog"}"#);
        assert!(files(&at("p/bad.json"), Some("x")).unwrap_err().to_string().contains("no STAC Item"));
        put("p/far.json", r#"{"type":"Feature","assets":{"x":{"href":"https://a.b/x.tif"}}}"#);
        assert!(files(&at("p/far.json"), Some("x")).unwrap_err().to_string().contains("no local file"));
    }
}
