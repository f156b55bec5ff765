//! The documents of whole scenes.
//!
//! They are made from what stands in storage and from nothing else, so they come out the same whoever made the cells, in
//! how many processes and in which order; only the Items that a run wrote itself it does not read back. What a scene is to
//! become is announced before its first cell is published; what became of each cell stands there when it is done: its Item,
//! or a note that it has no valid pixel.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::plan::ScenePlan;
use super::publish::{checked, scene_item};
use super::{EngineError, look, night};
use crate::catalog::{self, AssetRecord, media_type};
use crate::error::{Error, Result};
use crate::grid::{Crs, nearest_period};
use crate::picture::{Mosaic, Placed};
use crate::store::{Store, Stored};

/// What a scene is to become: stands in its folder as `plan.json` before any of its cells do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Version of this format.
    pub schema: u32,
    /// Key of everything that is made.
    pub key: String,
    /// Cells the scene may touch, northern row first.
    pub cells: Vec<String>,
    /// The scene's Item, without what was made of it.
    pub item: Value,
}

/// What became of the cells of a scene.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cells {
    /// They stand in storage.
    pub made: Vec<String>,
    /// They have no valid pixel.
    pub empty: Vec<String>,
    /// Nothing is known of them.
    pub missing: Vec<String>,
}

fn scene_object(pipeline: &str, acquisition: &str, file: &str) -> String {
    format!("{pipeline}/scenes/{acquisition}/{file}")
}

fn empty_note(pipeline: &str, acquisition: &str, cell: &str) -> String {
    scene_object(pipeline, acquisition, &format!("empty/{cell}.json"))
}

/// Says in storage what a scene is to become, before its first cell is published. Returns the bytes written.
///
/// # Errors
/// Storage faults.
pub fn announce(store: &dyn Store, plan: &ScenePlan) -> Result<u64> {
    let announcement = Announcement {
        schema: 1,
        key: plan.key.clone(),
        cells: plan.cells.iter().map(|c| c.name.clone()).collect(),
        item: scene_item(plan),
    };
    let mut written = 0;
    if let Some(survey) = &plan.survey {
        written += put_if_changed(store, &plan.scene_object("survey.json"), &look::to_bytes(survey))?;
    }
    let bytes = to_bytes(&announcement)?;
    Ok(written + put_if_changed(store, &plan.scene_object("plan.json"), &bytes)?)
}

/// True when a scene was announced with this key: without that, nothing of this key stands.
///
/// # Errors
/// Storage faults.
pub fn is_announced(store: &dyn Store, plan: &ScenePlan) -> Result<bool> {
    let stored = store.get(&plan.scene_object("plan.json"))?;
    let announced = stored.and_then(|b| serde_json::from_slice::<Announcement>(&b).ok());
    Ok(announced.is_some_and(|a| a.key == plan.key))
}

/// Notes that a cell has no valid pixel. Returns the bytes written.
///
/// # Errors
/// Storage faults.
pub fn note_empty(store: &dyn Store, plan: &ScenePlan, cell: &str) -> Result<u64> {
    let note = to_bytes(&json!({ "schema": 1, "key": plan.key, "cell": cell }))?;
    put_if_changed(store, &empty_note(&plan.pipeline.name, &plan.acquisition, cell), &note)
}

/// What stands in storage of these cells of a scene, with the Items of those that were made.
///
/// # Errors
/// Storage faults.
pub fn standing<'a>(
    store: &dyn Store,
    pipeline: &str,
    acquisition: &str,
    key: &str,
    cells: impl IntoIterator<Item = &'a String>,
) -> Result<(Cells, Vec<Value>)> {
    let same = |pointer: &str, v: &Value| v.pointer(pointer).and_then(Value::as_str) == Some(key);
    let (mut found, mut made) = (Cells::default(), Vec::new());
    let cells: Vec<&String> = cells.into_iter().collect();
    for cells in cells.chunks(TOGETHER) {
        let items = stored(store, cells.iter().map(|cell| format!("{pipeline}/{cell}/{acquisition}/item.json")))?;
        let items: Vec<_> = items.into_iter().map(|i| i.filter(|i| same("/properties/fieldglow:key", i))).collect();
        let others = cells.iter().zip(&items).filter(|(_, item)| item.is_none());
        let notes = stored(store, others.map(|(cell, _)| empty_note(pipeline, acquisition, cell)))?;
        let mut notes = notes.into_iter();
        for (cell, item) in cells.iter().zip(items) {
            if let Some(item) = item {
                found.made.push((*cell).clone());
                made.push(item);
            } else if notes.next().flatten().is_some_and(|note| same("/key", &note)) {
                found.empty.push((*cell).clone());
            } else {
                found.missing.push((*cell).clone());
            }
        }
    }
    Ok((found, made))
}

/// Documents that are read together: what they take of memory is forgotten before the next ones come.
pub const TOGETHER: usize = 64;

/// Documents that stand in storage. What is no JSON is none: it will be replaced.
fn stored(store: &dyn Store, names: impl Iterator<Item = String>) -> Result<Vec<Option<Value>>> {
    let found = store.get_all(&names.collect::<Vec<_>>())?;
    Ok(found.into_iter().map(|bytes| serde_json::from_slice(&bytes?).ok()).collect())
}

/// Writes the Item of a scene from what stands of it; nothing when nothing does. Returns the bytes written.
///
/// # Errors
/// Storage faults, and an announcement that is no JSON.
pub fn finish(store: &dyn Store, pipeline: &str, acquisition: &str) -> Result<u64> {
    let object = scene_object(pipeline, acquisition, "plan.json");
    let Some(bytes) = store.get(&object)? else { return Ok(0) };
    let no_item = |source| EngineError::NoItem { name: object.clone(), source };
    let announced: Announcement = serde_json::from_slice(&bytes).map_err(no_item)?;
    let (cells, items) = standing(store, pipeline, acquisition, &announced.key, &announced.cells)?;
    let object = scene_object(pipeline, acquisition, "item.json");
    match finished(store, pipeline, acquisition, announced.item, &cells, &items)? {
        Some((item, written)) => Ok(written + put_if_changed(store, &object, &item)?),
        None => Ok(0),
    }
}

/// The same for a scene that this run announced and published cells of: what it wrote itself stands, and need not be read.
///
/// # Errors
/// Storage faults.
pub fn finish_own(
    store: &dyn Store,
    plan: &ScenePlan,
    written: &BTreeMap<String, Vec<u8>>,
    empty: &BTreeSet<String>,
) -> Result<u64> {
    let (pipeline, acquisition) = (&plan.pipeline.name, &plan.acquisition);
    let is_other = |name: &&String| !written.contains_key(*name) && !empty.contains(*name);
    let others = plan.cells.iter().map(|c| &c.name).filter(is_other);
    let (found, items) = standing(store, pipeline, acquisition, &plan.key, others)?;
    let mut others: BTreeMap<String, Value> = found.made.into_iter().zip(items).collect();
    let (mut cells, mut items) = (Cells::default(), Vec::new());
    for name in plan.cells.iter().map(|c| &c.name) {
        let own = written.get(name).and_then(|bytes| serde_json::from_slice(bytes).ok());
        if let Some(item) = own.or_else(|| others.remove(name)) {
            cells.made.push(name.clone());
            items.push(item);
        } else if empty.contains(name) || found.empty.contains(name) {
            cells.empty.push(name.clone());
        } else {
            cells.missing.push(name.clone());
        }
    }
    let Some((item, more)) = finished(store, pipeline, acquisition, scene_item(plan), &cells, &items)? else {
        return Ok(0);
    };
    store.put(&plan.scene_object("item.json"), &item)?;
    Ok(more + item.len() as u64)
}

/// The Item of a scene as its cells make it, and the bytes written for the files it names; `None` when there are none.
fn finished(
    store: &dyn Store,
    pipeline: &str,
    acquisition: &str,
    mut item: Value,
    cells: &Cells,
    items: &[Value],
) -> Result<Option<(Vec<u8>, u64)>> {
    if cells.made.is_empty() && cells.empty.is_empty() {
        return Ok(None);
    }
    if let Some(properties) = item.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("fieldglow:cells".into(), json!(cells.made));
        properties.insert("fieldglow:empty_cells".into(), json!(cells.empty));
        if !cells.missing.is_empty() {
            properties.insert("fieldglow:missing_cells".into(), json!(cells.missing));
        }
    }
    if let Some(links) = item.get_mut("links").and_then(Value::as_array_mut) {
        links.extend(cells.made.iter().map(|cell| {
            let href = catalog::href_from_path(&format!("../../{cell}/{acquisition}/item.json"));
            json!({ "rel": "related", "href": href, "type": media_type::GEOJSON, "title": cell })
        }));
    }
    let mut written = 0;
    let made = [night_table(items), thumbnail(store, pipeline, acquisition, &cells.made, items)?];
    for Made { file, bytes, mut record } in made.into_iter().flatten() {
        let stored = Stored::of(&bytes);
        (record.size, record.sha256_hex) = (stored.size, stored.sha256);
        record.href = format!("./{file}");
        written += put_if_changed(store, &scene_object(pipeline, acquisition, file), &bytes)?;
        catalog::add_asset(&mut item, &record);
    }
    Ok(Some((checked(&item)?, written)))
}

/// A file of a scene's folder.
struct Made {
    file: &'static str,
    bytes: Vec<u8>,
    record: AssetRecord,
}

/// The lights of all cells.
fn night_table(items: &[Value]) -> Option<Made> {
    let record = AssetRecord {
        key: "night".into(),
        title: "night lights of the scene".into(),
        media_type: media_type::CSV.into(),
        roles: vec!["data".into()],
        ..AssetRecord::default()
    };
    night::table(items).map(|text| Made { file: "night.csv", bytes: text.into_bytes(), record })
}

/// What x grows by once round the earth on the map of an Item.
fn turn_of(item: &Value) -> Option<f64> {
    let code = item.pointer("/properties/proj:code")?.as_str()?.strip_prefix("EPSG:")?.parse().ok()?;
    Crs::from_epsg(code).ok()?.turn()
}

/// The cells' thumbnails, side by side.
fn thumbnail(
    store: &dyn Store,
    pipeline: &str,
    acquisition: &str,
    cells: &[String],
    items: &[Value],
) -> Result<Option<Made>> {
    let mut pictures = Vec::new();
    for (cell, item) in cells.iter().zip(items) {
        let asset = |key: &str| item.get("assets").and_then(|a| a.get(key));
        let Some(href) = asset("thumbnail").and_then(|a| a.get("href")?.as_str()) else { continue };
        // The picture shows the file of the same name.
        let file = href.strip_suffix(".png").map(|stem| format!("{stem}.tif"));
        let shown = item.get("assets").and_then(Value::as_object).into_iter().flat_map(Map::values);
        let shown = shown.into_iter().find(|a| a.get("href").and_then(Value::as_str) == file.as_deref());
        let bounds = shown.and_then(|a| serde_json::from_value::<[f64; 4]>(a.get("proj:bbox")?.clone()).ok());
        let path = catalog::path_from_href(href.trim_start_matches("./"));
        if let (Some(mut bounds), Some(path)) = (bounds, path) {
            // Cells on either side of the antimeridian stand side by side where the map goes round the earth.
            let first = pictures.first().map_or(bounds[0], |(first, _): &([f64; 4], String)| first[0]);
            let shift = turn_of(item).map_or(0.0, |period| nearest_period(bounds[0], first, period) - bounds[0]);
            (bounds[0], bounds[2]) = (bounds[0] + shift, bounds[2] + shift);
            pictures.push((bounds, format!("{pipeline}/{cell}/{acquisition}/{path}")));
        }
    }
    let (bounds, names): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
    let mut parts = Vec::new();
    for (bounds, names) in bounds.chunks(TOGETHER).zip(names.chunks(TOGETHER)) {
        for ((bounds, name), bytes) in bounds.iter().zip(names).zip(store.get_all(names)?) {
            let Some(bytes) = bytes else { continue };
            parts.push((Placed::of(*bounds, &bytes, name)?, bytes, name));
        }
    }
    let Some(mut mosaic) = Mosaic::new(&parts.iter().map(|(part, ..)| *part).collect::<Vec<_>>()) else {
        return Ok(None);
    };
    for (part, bytes, name) in &parts {
        mosaic.add(part, bytes, name)?;
    }
    let record = AssetRecord {
        key: "thumbnail".into(),
        title: "picture of the scene".into(),
        media_type: media_type::PNG.into(),
        roles: vec!["thumbnail".into(), "overview".into()],
        ..AssetRecord::default()
    };
    Ok(Some(Made { file: "thumbnail.png", bytes: mosaic.png()?, record }))
}

fn to_bytes(document: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(document).map_err(|e| Error::bug(format!("writing JSON: {e}")))?;
    Ok(catalog::to_bytes(&value))
}

fn put_if_changed(store: &dyn Store, object: &str, bytes: &[u8]) -> Result<u64> {
    if store.get(object)?.as_deref() == Some(bytes) {
        return Ok(0);
    }
    store.put(object, bytes)?;
    Ok(bytes.len() as u64)
}
