//! The Collection of a pipeline: of the scenes that have an Item, and of the cells that these name.
//!
//! Invariant: it is what all these Items make of it, byte for byte, in whatever order and by however many runs they were taken
//! in. A run reads its own scenes and those that came meanwhile, not the thousands that the Collection holds already.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::EngineError;
use super::documents::{TOGETHER, finish};
use super::publish::{checked, provider};
use crate::catalog::{self, CollectionRecord, Gathered};
use crate::error::{Result, ResultExt};
use crate::store::Store;

/// Rebuilds the Items of all scenes of a pipeline, and its Collection from all of them; writes what changed. Returns the
/// Collection's name and how many Items it holds.
///
/// # Errors
/// Storage faults, documents that are no JSON, and a folder without Items.
pub fn collect(store: &dyn Store, pipeline: &str) -> Result<(String, usize)> {
    for announced in store.list(&format!("{pipeline}/scenes"), "/plan.json")? {
        let Some(acquisition) = announced.rsplit('/').nth(1) else { continue };
        finish(store, pipeline, acquisition).within(|c| c.scene = Some(acquisition.to_owned()))?;
    }
    let (name, items) = Collecting::new(store, pipeline).update(None)?;
    if items == 0 {
        return Err(EngineError::NothingToCollect { folder: format!("{}/{pipeline}", store.url()) }.into());
    }
    Ok((name, items))
}

/// Takes what scenes were finished into the Collection of their pipeline; writes it only when it changed. Scenes that it holds
/// are not read again, unless one that this run made `again` is among them: what it says may have changed.
///
/// # Errors
/// Storage faults, and Items that are no JSON.
pub fn collect_own(store: &dyn Store, pipeline: &str, again: &BTreeSet<String>) -> Result<()> {
    Collecting::new(store, pipeline).update(Some(again)).map(|_| ())
}

/// How often a Collection is made because other runs were busy with theirs meanwhile. Where more come, they take in what is
/// missing.
const ROUNDS: usize = 16;

/// A Collection in the making: of the scenes that have an Item, and of the cells that these name.
struct Collecting<'a> {
    store: &'a dyn Store,
    pipeline: &'a str,
    known: Known,
}

/// What is known of scenes.
#[derive(Default)]
struct Known {
    gathered: Gathered,
    /// Acquisitions.
    scenes: BTreeSet<String>,
    /// What the latest of them says of the Collection: every scene says it.
    told: (String, Value),
}

impl<'a> Collecting<'a> {
    fn new(store: &'a dyn Store, pipeline: &'a str) -> Self {
        Self { store, pipeline, known: Known::default() }
    }

    /// Writes the Collection. Goes on from that which stands if it holds none of the scenes made `again`; reads all Items
    /// otherwise.
    ///
    /// Other runs may do the same at the same time, and who writes last may not know of the scene of who wrote before. So what
    /// stands is looked at right before the writing, and scenes are listed once more behind it: whoever writes last finds
    /// those that were finished before, and writes again.
    fn update(mut self, again: Option<&BTreeSet<String>>) -> Result<(String, usize)> {
        let object = format!("{}/collection.json", self.pipeline);
        let mut stands = self.store.get(&object)?;
        let resumed = |stands: &Option<Vec<u8>>| {
            let known = Known::resumed(stands.as_deref()?)?;
            again.is_some_and(|again| again.is_disjoint(&known.scenes)).then_some(known)
        };
        let mut upon = resumed(&stands).map(|known| self.known = known).is_some();
        let mut scenes = self.list()?;
        for _ in 0..ROUNDS {
            if !self.take(&scenes)? {
                (self.known, upon) = (Known::default(), false);
                self.take(&scenes)?;
            }
            if self.known.gathered.count() == 0 {
                break;
            }
            let made = checked(&self.document())?;
            let now = self.store.get(&object)?;
            if now.as_ref() != Some(&made) {
                if upon && now != stands {
                    (self.known, stands) = (resumed(&now).unwrap_or_default(), now);
                    scenes = self.list()?;
                    continue;
                }
                self.store.put(&object, &made)?;
            }
            stands = Some(made);
            let now = self.list()?;
            if now == scenes {
                break;
            }
            scenes = now;
        }
        Ok((object, self.known.gathered.count()))
    }

    /// Scenes that have an Item.
    fn list(&self) -> Result<BTreeSet<String>> {
        let items = self.store.list(&format!("{}/scenes", self.pipeline), "/item.json")?;
        Ok(items.iter().filter_map(|name| name.rsplit('/').nth(1)).map(str::to_owned).collect())
    }

    /// Takes in what is not known of these scenes. False if that cannot be told without reading all of them: then nothing that
    /// is known holds.
    fn take(&mut self, scenes: &BTreeSet<String>) -> Result<bool> {
        if !self.known.scenes.is_subset(scenes) {
            return Ok(false);
        }
        let new: Vec<String> = scenes.difference(&self.known.scenes).cloned().collect();
        for acquisitions in new.chunks(TOGETHER) {
            let mut cells = Vec::new();
            let takes =
                self.take_items(acquisitions.iter().map(|a| ("scenes", a.as_str())), |known, acquisition, item| {
                    let made = item.pointer("/properties/fieldglow:cells").and_then(Value::as_array);
                    let made = made.into_iter().flatten().filter_map(Value::as_str);
                    cells.extend(made.map(|cell| (cell.to_owned(), acquisition.to_owned())));
                    if let Some(says) = item.pointer("/properties/fieldglow:collection")
                        && *acquisition >= *known.told.0
                    {
                        known.told = (acquisition.to_owned(), says.clone());
                    }
                })?;
            let cells = cells.iter().map(|(cell, acquisition)| (cell.as_str(), acquisition.as_str()));
            if !takes || !self.take_items(cells, |_, _, _| {})? {
                return Ok(false);
            }
        }
        self.known.scenes.extend(new);
        Ok(true)
    }

    /// Takes in the Items of acquisitions in folders of the pipeline, and shows each to `then`. False as for scenes.
    fn take_items<'i>(
        &mut self,
        items: impl Iterator<Item = (&'i str, &'i str)>,
        mut then: impl FnMut(&mut Known, &str, &Value),
    ) -> Result<bool> {
        // Items are not ours alone: what names no folder is passed over.
        let is_folder = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        let items: Vec<_> = items.filter(|(folder, _)| is_folder(folder)).collect();
        for items in items.chunks(TOGETHER) {
            let path = |(folder, acquisition): &(&str, &str)| format!("{folder}/{acquisition}/item.json");
            let names: Vec<String> = items.iter().map(|item| format!("{}/{}", self.pipeline, path(item))).collect();
            for ((name, at), bytes) in names.iter().zip(items).zip(self.store.get_all(&names)?) {
                let Some(bytes) = bytes else { continue };
                let no_item = |source| EngineError::NoItem { name: name.clone(), source };
                let item: Value = serde_json::from_slice(&bytes).map_err(no_item)?;
                if !self.known.gathered.takes(&item) {
                    return Ok(false);
                }
                self.known.gathered.add(catalog::href_from_path(&format!("./{}", path(at))), &item);
                then(&mut self.known, at.1, &item);
            }
        }
        Ok(true)
    }

    fn document(&self) -> Value {
        let (pipeline, told) = (self.pipeline, &self.known.told.1);
        let text = |key: &str, default: &str| {
            told.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).unwrap_or(default).to_owned()
        };
        let providers: Vec<crate::config::Provider> =
            told.get("providers").cloned().and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
        self.known.gathered.collection(&CollectionRecord {
            id: text("id", pipeline),
            title: Some(pipeline.to_owned()),
            description: text("description", &format!("products of the pipeline {pipeline}")),
            keywords: Vec::new(),
            license: text("license", "other"),
            providers: providers.iter().map(provider).collect(),
            extras: Map::new(),
            links: Vec::new(),
        })
    }
}

impl Known {
    /// What a Collection says of its scenes; `None` if it does not say enough to go on from.
    fn resumed(collection: &[u8]) -> Option<Self> {
        let says: Value = serde_json::from_slice(collection).ok()?;
        let gathered = Gathered::resumed(&says)?;
        let of_scene =
            |href: &str| catalog::path_from_href(href.strip_prefix("./scenes/")?.strip_suffix("/item.json")?);
        let scenes: BTreeSet<String> = gathered.hrefs().filter_map(of_scene).collect();
        let latest = scenes.last()?.clone();
        Some(Self { gathered, scenes, told: (latest, says) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::store::{ConditionalCreate, Found, PartSink, StoreError};

    type Deed = Box<dyn FnOnce(&Shelf) + Send>;

    /// Objects in memory. What was read is noted, and others do something whenever a Collection was read or stored.
    #[derive(Default)]
    struct Shelf {
        objects: Mutex<BTreeMap<String, Vec<u8>>>,
        read: Mutex<Vec<String>>,
        when_read: Mutex<VecDeque<Deed>>,
        when_stored: Mutex<VecDeque<Deed>>,
    }

    fn others(shelf: &Shelf, deeds: &Mutex<VecDeque<Deed>>) {
        let next = deeds.lock().unwrap().pop_front();
        next.into_iter().for_each(|deed| deed(shelf));
    }

    impl Store for Shelf {
        fn url(&self) -> String {
            "shelf".into()
        }
        fn probe(&self) -> std::result::Result<Found, StoreError> {
            Ok(Found { conditional_create: ConditionalCreate::Ignored })
        }
        fn get(&self, name: &str) -> std::result::Result<Option<Vec<u8>>, StoreError> {
            self.read.lock().unwrap().push(name.into());
            let found = self.objects.lock().unwrap().get(name).cloned();
            if name.ends_with("collection.json") {
                others(self, &self.when_read);
            }
            Ok(found)
        }
        fn put(&self, name: &str, bytes: &[u8]) -> std::result::Result<(), StoreError> {
            self.objects.lock().unwrap().insert(name.into(), bytes.into());
            if name.ends_with("collection.json") {
                others(self, &self.when_stored);
            }
            Ok(())
        }
        fn start(&self, _: &str) -> std::result::Result<Box<dyn PartSink>, StoreError> {
            unreachable!("documents are put whole")
        }
        fn list(&self, folder: &str, suffix: &str) -> std::result::Result<Vec<String>, StoreError> {
            let below = |name: &&String| name.starts_with(&format!("{folder}/")) && name.ends_with(suffix);
            Ok(self.objects.lock().unwrap().keys().filter(below).cloned().collect())
        }
    }

    impl Shelf {
        /// A scene of two cells; its Items say a number.
        fn add(&self, acquisition: &str, gsd: u32) {
            let cells = ["A", "B"];
            let item = |properties: Value| {
                json!({
                    "id": acquisition,
                    "bbox": [120 + gsd, 40, 121 + gsd, 41],
                    "properties": properties,
                    "assets": { "ndvi": { "title": "NDVI", "type": "image/tiff" } },
                })
            };
            let put = |folder: &str, item: Value| {
                let name = format!("farm/{folder}/{acquisition}/item.json");
                self.objects.lock().unwrap().insert(name, catalog::to_bytes(&item));
            };
            let time = "2026-07-15T02:30:00Z";
            cells.iter().for_each(|cell| put(cell, item(json!({ "datetime": time, "gsd": gsd }))));
            let says = json!({ "id": "farm", "description": format!("as of {acquisition}"), "license": "other" });
            let scene = json!({ "datetime": time, "gsd": gsd, "fieldglow:cells": cells, "fieldglow:collection": says });
            put("scenes", item(scene));
        }

        fn collection(&self) -> Value {
            serde_json::from_slice(&self.objects.lock().unwrap()["farm/collection.json"]).unwrap()
        }

        /// What `collect` makes of all that stands.
        fn anew(&self) -> Value {
            let copy = Self { objects: Mutex::new(self.objects.lock().unwrap().clone()), ..Self::default() };
            collect(&copy, "farm").unwrap();
            copy.collection()
        }

        fn items_read(&self) -> usize {
            let read = std::mem::take(&mut *self.read.lock().unwrap());
            read.iter().filter(|name| name.ends_with("/item.json")).count()
        }
    }

    /// As at the end of a run that made some scenes again.
    fn taken_in(shelf: &Shelf, again: &[&str]) {
        collect_own(shelf, "farm", &again.iter().map(ToString::to_string).collect()).unwrap();
    }

    #[test]
    fn a_scene_is_added_without_reading_the_others() {
        let shelf = Shelf::default();
        for (k, acquisition) in ["3", "1", "4", "2"].into_iter().enumerate() {
            shelf.add(acquisition, k as u32);
            taken_in(&shelf, &[]);
            assert_eq!(shelf.items_read(), 3, "its own three");
            assert_eq!(shelf.collection(), shelf.anew());
        }
        assert_eq!(shelf.collection()["description"], "as of 4");
        assert_eq!(shelf.collection()["summaries"]["gsd"], json!({ "minimum": 0, "maximum": 3 }));
    }

    #[test]
    fn a_scene_made_again_or_removed_is_what_it_is_now() {
        let shelf = Shelf::default();
        for (acquisition, gsd) in [("1", 1), ("2", 9)] {
            shelf.add(acquisition, gsd);
            taken_in(&shelf, &[]);
        }
        shelf.add("2", 2);
        taken_in(&shelf, &["2"]);
        assert_eq!(shelf.collection()["summaries"]["gsd"], json!({ "minimum": 1, "maximum": 2 }));
        assert_eq!(shelf.collection(), shelf.anew());
        shelf.objects.lock().unwrap().retain(|name, _| !name.contains("/1/"));
        shelf.add("3", 3);
        taken_in(&shelf, &[]);
        assert_eq!(shelf.collection()["summaries"]["gsd"], json!({ "minimum": 2, "maximum": 3 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    #[test]
    fn runs_at_the_same_time_lose_no_scene() {
        let shelf = Shelf::default();
        shelf.add("1", 1);
        taken_in(&shelf, &[]);
        let alone = shelf.collection();
        shelf.items_read();
        // Others finish their scenes after we looked, and write the Collection before we do.
        for k in 2..6 {
            shelf.when_stored.lock().unwrap().push_back(Box::new(move |shelf| shelf.add(&k.to_string(), k)));
        }
        shelf.add("9", 9);
        taken_in(&shelf, &[]);
        assert_eq!(shelf.collection(), shelf.anew());
        assert_eq!(shelf.items_read(), 3 * 5);
        // One that saw less than we did wrote after us, and died before it looked again: whoever comes next takes in what is
        // missing.
        shelf.objects.lock().unwrap().insert("farm/collection.json".into(), catalog::to_bytes(&alone));
        shelf.add("6", 6);
        taken_in(&shelf, &[]);
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// Between our reading of the Collection and our writing, another run makes an old scene again and takes that in.
    #[test]
    fn what_another_run_wrote_meanwhile_is_gone_on_from() {
        let shelf = Shelf::default();
        for (acquisition, gsd) in [("1", 9), ("2", 2)] {
            shelf.add(acquisition, gsd);
            taken_in(&shelf, &[]);
        }
        shelf.add("3", 3);
        shelf.when_read.lock().unwrap().push_back(Box::new(|shelf| {
            shelf.add("1", 1);
            shelf.add("4", 4);
            taken_in(shelf, &["1"]);
        }));
        shelf.items_read();
        taken_in(&shelf, &[]);
        assert_eq!(shelf.items_read(), 3 * 4 + 3 * 2, "they read all, we read what was missing");
        assert_eq!(shelf.collection()["summaries"]["gsd"], json!({ "minimum": 1, "maximum": 4 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    #[test]
    fn where_no_scene_is_whole_nothing_is_written() {
        let shelf = Shelf::default();
        shelf.add("1", 1);
        shelf.objects.lock().unwrap().remove("farm/scenes/1/item.json");
        taken_in(&shelf, &[]);
        assert!(!shelf.objects.lock().unwrap().contains_key("farm/collection.json"));
        let error = collect(&shelf, "farm").unwrap_err();
        assert!(error.to_string().contains("shelf/farm"), "{error}");
    }

    #[test]
    fn cells_that_are_no_names_are_passed_over() {
        let shelf = Shelf::default();
        shelf.add("1", 1);
        let expected = shelf.anew();
        let name = "farm/scenes/1/item.json";
        let mut item: Value = serde_json::from_slice(&shelf.objects.lock().unwrap()[name]).unwrap();
        item["properties"]["fieldglow:cells"] = json!(["A", "B", "..", "", "A/../../other", 7, null]);
        shelf.objects.lock().unwrap().insert(name.into(), catalog::to_bytes(&item));
        taken_in(&shelf, &[]);
        assert_eq!(shelf.collection(), expected);
        assert_eq!(shelf.items_read(), 3);
    }
}
