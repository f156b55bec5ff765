//! The Collection of a pipeline: of the scenes that have an Item, and of the cells that these name.
//!
//! Invariant: it is what all these Items make of it, byte for byte, in whatever order and by however many runs they were taken
//! in. It names the Items of scenes it was made of, with their digests. So a run goes on from it: it reads its own scenes and
//! those that came meanwhile, not the thousands that are in it already.
//!
//! Behind a network each request takes a while, so what will be needed is asked for at once.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::EngineError;
use super::documents::{TOGETHER, finish};
use super::publish::{checked, provider};
use crate::catalog::{self, CollectionRecord, Gathered};
use crate::error::{Error, Result, ResultExt};
use crate::store::{Store, Stored};

/// Rebuilds the Items of all scenes of a pipeline, and its Collection from all of them; writes what changed. Returns the
/// Collection's name and how many Items it holds.
///
/// # Errors
/// Storage faults, documents that are no JSON, and a folder without Items.
pub fn collect(store: &dyn Store, pipeline: &str) -> Result<(String, usize)> {
    for announced in store.list(&format!("{pipeline}/scenes"), "/plan.json")? {
        let Some(acquisition) = announced.rsplit('/').nth(1) else { continue };
        // A run may finish the scene meanwhile, and know of more cells.
        while finish(store, pipeline, acquisition).within(|c| c.scene = Some(acquisition.to_owned()))? > 0 {}
    }
    let (name, items) = Collecting::new(store, pipeline).update(None)?;
    if items == 0 {
        return Err(EngineError::NothingToCollect { folder: format!("{}/{pipeline}", store.url()) }.into());
    }
    Ok((name, items))
}

/// Takes what scenes were finished into the Collection of their pipeline; writes it only when it changed.
///
/// # Errors
/// Storage faults, and Items that are no JSON.
pub fn collect_own(store: &dyn Store, pipeline: &str, own: &Own) -> Result<()> {
    Collecting::new(store, pipeline).update(Some(own)).map(|_| ())
}

/// What a run worked on.
#[derive(Debug, Default)]
pub struct Own {
    scenes: BTreeSet<String>,
    /// The latest scene and its cells.
    latest: Option<(String, Vec<String>)>,
}

impl Own {
    /// A scene that it begins with; false if it was there already.
    pub fn begin(&mut self, acquisition: &str) -> bool {
        self.scenes.insert(acquisition.to_owned())
    }

    /// The cells of a scene it made.
    pub fn made(&mut self, acquisition: &str, cells: impl Iterator<Item = String>) {
        self.latest = Some((acquisition.to_owned(), cells.collect()));
    }

    /// Folders and acquisitions of Items that will be needed.
    fn needed(&self) -> Vec<(&str, &str)> {
        let Some((acquisition, cells)) = &self.latest else { return Vec::new() };
        let folders = std::iter::once("scenes").chain(cells.iter().map(String::as_str));
        folders.take(TOGETHER).map(|folder| (folder, acquisition.as_str())).collect()
    }
}

/// What the Collection was made of. It is gone on from only where this says the same format.
const MADE_OF: &str = "fieldglow:made_of";
const FORMAT: u32 = 1;

/// Digits of the digest of an Item that tell whether it changed.
const DIGITS: usize = 16;

/// How often what another run writes meanwhile is taken in before it is written over, and how often a store is written to that
/// does not show what was written.
const TRIES: usize = 16;

/// Scenes and the digests of their Items.
type Scenes = BTreeMap<String, String>;

fn digest(item: &[u8]) -> String {
    let mut digits = Stored::of(item).sha256;
    digits.truncate(DIGITS);
    digits
}

/// A Collection in the making.
struct Collecting<'a> {
    store: &'a dyn Store,
    pipeline: &'a str,
    items: Items<'a>,
    known: Known,
}

/// The Items that stand.
struct Items<'a> {
    store: &'a dyn Store,
    /// Some that came with the last look.
    came: BTreeMap<String, Option<Vec<u8>>>,
    /// The store was asked for others since.
    asked: bool,
}

impl Items<'_> {
    fn get_all(&mut self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        let missing: Vec<String> = names.iter().filter(|name| !self.came.contains_key(*name)).cloned().collect();
        let mut found = Vec::new().into_iter();
        if !missing.is_empty() {
            self.asked = true;
            found = self.store.get_all(&missing)?.into_iter();
        }
        Ok(names.iter().map(|name| self.came.get(name).cloned().unwrap_or_else(|| found.next().flatten())).collect())
    }
}

/// What stands.
struct Look {
    collection: Option<Vec<u8>>,
    /// When it was read.
    read: Instant,
    /// Scenes that have an Item.
    scenes: BTreeSet<String>,
}

/// How old what was read of the Collection may be when that is written over: not much older than it is in any case, as the
/// writing itself takes a while.
const YOUNG: Duration = Duration::from_millis(100);

/// What is known of scenes.
#[derive(Default)]
struct Known {
    gathered: Gathered,
    scenes: Scenes,
    /// What the latest of them says of the Collection: every scene says it.
    told: (String, Value),
}

impl<'a> Collecting<'a> {
    fn new(store: &'a dyn Store, pipeline: &'a str) -> Self {
        let items = Items { store, came: BTreeMap::new(), asked: false };
        Self { store, pipeline, items, known: Known::default() }
    }

    /// Writes the Collection. Goes on from the one that stands, unless an Item of `own` changed since that was made, or there is
    /// none such; then it reads all Items.
    ///
    /// Other runs may do the same at the same time, and who writes last may not know what who wrote before did. So what stands
    /// is compared right before the writing, unless it was read right before; and whoever wrote last looks once more at what scenes
    /// there are, and writes again if that is not all of them.
    fn update(mut self, own: Option<&Own>) -> Result<(String, usize)> {
        let object = format!("{}/collection.json", self.pipeline);
        let mut anew = own.is_none();
        let mut look = Some(self.look(&object, &own.map(Own::needed).unwrap_or_default())?);
        let own = self.digests(own.into_iter().flat_map(|own| &own.scenes))?;
        let (mut before, mut written) = (BTreeSet::new(), None);
        let (mut repeated, mut conflicts) = (0, 0);
        loop {
            let Look { collection: stands, read, scenes } = match look.take() {
                Some(look) => look,
                None => self.look(&object, &[])?,
            };
            let theirs = MadeOf::of(stands.as_deref());
            if written.is_some() {
                // Who wrote after us, and knows what we know, looks for the rest.
                let is_last = stands == written;
                if is_last && scenes == before || !is_last && is_in(&self.known.scenes, &theirs) {
                    break;
                }
                repeated = if scenes == before { repeated + 1 } else { 0 };
            }
            if !self.known.scenes.is_empty() && !self.is_right_about(&theirs)? {
                self.known = Known::default();
            }
            if self.known.scenes.is_empty() && !anew {
                let is_own = |known: &Known| own.iter().all(|(a, d)| known.scenes.get(a).is_none_or(|k| k == d));
                self.known = stands.as_deref().and_then(Known::resumed).filter(is_own).unwrap_or_default();
            }
            let resumed = self.known.gathered.is_resumed();
            if !self.take(&scenes)? {
                (self.known, anew) = (Known::default(), true);
                continue;
            }
            if self.known.gathered.count() == 0 {
                break;
            }
            let made = match checked(&self.document()) {
                // What stood may have been anything.
                Err(_) if resumed => {
                    (self.known, anew) = (Known::default(), true);
                    continue;
                }
                made => made?,
            };
            let is_young = self.store.is_remote() && !self.items.asked && read.elapsed() < YOUNG;
            let now = if is_young { stands.clone() } else { self.store.get(&object)? };
            if now.as_ref() == Some(&made) || repeated > TRIES {
                break;
            }
            let is_news = || !is_in(&MadeOf::of(now.as_deref()), &self.known.scenes);
            if now != stands && conflicts < TRIES && is_news() {
                conflicts += 1;
                continue;
            }
            self.store.put(&object, &made)?;
            (before, written, conflicts) = (scenes, Some(made), 0);
        }
        Ok((object, self.known.gathered.count()))
    }

    /// Looks at what stands, also of some Items, by their folders and acquisitions. All of it is as it was at some time after the
    /// call, and the scenes as they were after the Collection, if that names one that is not among them.
    fn look(&mut self, object: &str, items: &[(&str, &str)]) -> Result<Look> {
        let names = items.iter().map(|(folder, acquisition)| self.item(folder, acquisition));
        let names: Vec<String> = std::iter::once(object.to_owned()).chain(names).collect();
        let (mut found, read, mut scenes) = if self.store.is_remote() {
            std::thread::scope(|scope| {
                let list = std::thread::Builder::new().name("list".into()).spawn_scoped(scope, || self.list());
                let (found, read) = (self.store.get_all(&names), Instant::now());
                let scenes = match list {
                    Ok(list) => list.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => self.list(),
                };
                Ok::<_, Error>((found?.into_iter(), read, scenes?))
            })?
        } else {
            let found = self.store.get_all(&names)?;
            (found.into_iter(), Instant::now(), self.list()?)
        };
        let collection = found.next().flatten();
        if self.store.is_remote() && !MadeOf::of(collection.as_deref()).keys().all(|named| scenes.contains(named)) {
            // It may have come after the list.
            scenes = self.list()?;
        }
        self.items.asked = false;
        self.items.came = names.into_iter().skip(1).zip(found).collect();
        Ok(Look { collection, read, scenes })
    }

    /// Name of an Item.
    fn item(&self, folder: &str, acquisition: &str) -> String {
        format!("{}/{folder}/{acquisition}/item.json", self.pipeline)
    }

    /// True when what is known of scenes is what stands, where a Collection of `theirs` says something else.
    fn is_right_about(&mut self, theirs: &Scenes) -> Result<bool> {
        let known = |(a, theirs): &(&String, &String)| self.known.scenes.get(*a).is_some_and(|ours| ours != *theirs);
        let disputed: Vec<&String> = theirs.iter().filter(known).map(|(a, _)| a).collect();
        Ok(is_in(&self.digests(disputed.into_iter())?, &self.known.scenes))
    }

    /// Digests of the Items of those of these scenes that have one.
    fn digests<'i>(&mut self, scenes: impl Iterator<Item = &'i String>) -> Result<Scenes> {
        let scenes: Vec<&String> = scenes.collect();
        let mut digests = Scenes::new();
        for scenes in scenes.chunks(TOGETHER) {
            let names: Vec<String> = scenes.iter().map(|scene| self.item("scenes", scene)).collect();
            let items = self.items.get_all(&names)?;
            let found = scenes.iter().zip(items).filter_map(|(scene, item)| Some(((*scene).clone(), digest(&item?))));
            digests.extend(found);
        }
        Ok(digests)
    }

    /// Scenes that have an Item.
    fn list(&self) -> Result<BTreeSet<String>> {
        let items = self.store.list(&format!("{}/scenes", self.pipeline), "/item.json")?;
        Ok(items.iter().filter_map(|name| name.rsplit('/').nth(1)).map(str::to_owned).collect())
    }

    /// Takes in what is not known of these scenes. False if that cannot be told without reading all of them: then nothing that
    /// is known holds.
    fn take(&mut self, scenes: &BTreeSet<String>) -> Result<bool> {
        if !self.known.scenes.keys().all(|known| scenes.contains(known)) {
            return Ok(false);
        }
        let new: Vec<&str> =
            scenes.iter().filter(|s| !self.known.scenes.contains_key(*s)).map(String::as_str).collect();
        for acquisitions in new.chunks(TOGETHER) {
            let mut cells = Vec::new();
            let takes =
                self.take_items(acquisitions.iter().map(|a| ("scenes", *a)), |known, acquisition, bytes, item| {
                    known.scenes.insert(acquisition.to_owned(), digest(bytes));
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
            if !takes || !self.take_items(cells, |_, _, _, _| {})? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes in the Items of acquisitions in folders of the pipeline, and shows each to `then`. False as for scenes.
    fn take_items<'i>(
        &mut self,
        items: impl Iterator<Item = (&'i str, &'i str)>,
        mut then: impl FnMut(&mut Known, &str, &[u8], &Value),
    ) -> Result<bool> {
        // Items are not ours alone: what names no folder is passed over.
        let items: Vec<_> = items.filter(|(folder, _)| is_folder(folder)).collect();
        for items in items.chunks(TOGETHER) {
            let names: Vec<String> = items.iter().map(|(folder, acquisition)| self.item(folder, acquisition)).collect();
            for ((name, at), bytes) in names.iter().zip(items).zip(self.items.get_all(&names)?) {
                let Some(bytes) = bytes else { continue };
                let no_item = |source| EngineError::NoItem { name: name.clone(), source };
                let item: Value = serde_json::from_slice(&bytes).map_err(no_item)?;
                if !self.known.gathered.takes(&item) {
                    return Ok(false);
                }
                let (folder, acquisition) = at;
                self.known.gathered.add(catalog::href_from_path(&format!("./{folder}/{acquisition}/item.json")), &item);
                then(&mut self.known, acquisition, &bytes, &item);
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
            extras: Map::from_iter([(MADE_OF.to_owned(), json!({ "format": FORMAT, "scenes": self.known.scenes }))]),
            links: Vec::new(),
        })
    }
}

/// True when others say the same of all these scenes.
fn is_in(scenes: &Scenes, others: &Scenes) -> bool {
    scenes.iter().all(|(acquisition, digest)| others.get(acquisition) == Some(digest))
}

/// True for what can be the name of a folder.
fn is_folder(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.starts_with('.') && !name.contains(|c: char| c == '/' || c.is_control())
}

/// What a Collection says of the scenes it was made of.
#[derive(Deserialize)]
struct MadeOf {
    format: u32,
    scenes: Scenes,
}

impl MadeOf {
    /// The scenes, if there is one that says them in our format; all else is passed over.
    fn of(collection: Option<&[u8]>) -> Scenes {
        #[derive(Deserialize)]
        struct Says {
            #[serde(rename = "fieldglow:made_of")]
            made_of: MadeOf,
        }
        let says = collection.and_then(|collection| serde_json::from_slice::<Says>(collection).ok());
        let scenes = says.filter(|s| s.made_of.format == FORMAT).map(|s| s.made_of.scenes);
        scenes.unwrap_or_default()
    }
}

impl Known {
    /// What a Collection says of its scenes; `None` if it does not say enough to go on from.
    fn resumed(collection: &[u8]) -> Option<Self> {
        let scenes = MadeOf::of(Some(collection));
        let latest = scenes.keys().next_back()?.clone();
        let says: Value = serde_json::from_slice(collection).ok()?;
        let gathered = Gathered::resumed(&says)?;
        let told = ["id", "description", "license", "providers"];
        let told = told.into_iter().filter_map(|key| Some((key.to_owned(), says.get(key)?.clone())));
        Some(Self { gathered, scenes, told: (latest, Value::Object(told.collect())) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::sync::Mutex;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::store::{ConditionalCreate, Found, PartSink, StoreError};

    type Deed = Box<dyn FnOnce(&Shelf) + Send>;

    /// Objects in memory. What was read is noted, and others do something whenever a Collection was read or stored.
    #[derive(Default)]
    struct Shelf {
        objects: Mutex<BTreeMap<String, Vec<u8>>>,
        read: Mutex<Vec<String>>,
        before_read: Mutex<VecDeque<Deed>>,
        when_read: Mutex<VecDeque<Deed>>,
        when_stored: Mutex<VecDeque<Deed>>,
        when_listed: Mutex<VecDeque<Deed>>,
        /// Everything takes a while, as behind a network.
        pause: bool,
    }

    fn others(shelf: &Shelf, deeds: &Mutex<VecDeque<Deed>>) {
        let next = deeds.lock().unwrap().pop_front();
        next.into_iter().for_each(|deed| deed(shelf));
        if shelf.pause {
            std::thread::sleep(Duration::from_micros(RandomState::new().build_hasher().finish() % 100));
        }
    }

    impl Store for Shelf {
        fn url(&self) -> String {
            "shelf".into()
        }
        fn is_remote(&self) -> bool {
            self.pause
        }
        fn probe(&self) -> std::result::Result<Found, StoreError> {
            Ok(Found { conditional_create: ConditionalCreate::Ignored })
        }
        fn get(&self, name: &str) -> std::result::Result<Option<Vec<u8>>, StoreError> {
            self.read.lock().unwrap().push(name.into());
            if name.ends_with("collection.json") {
                others(self, &self.before_read);
            }
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
            let found = self.objects.lock().unwrap().keys().filter(below).cloned().collect();
            others(self, &self.when_listed);
            Ok(found)
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

    fn own(acquisition: &str) -> Own {
        let mut own = Own::default();
        assert!(own.begin(acquisition) && !own.begin(acquisition));
        own.made(acquisition, ["A", "B"].map(str::to_owned).into_iter());
        own
    }

    /// What a run of one scene does at its end.
    fn run(shelf: &Shelf, acquisition: &str, gsd: u32) {
        shelf.add(acquisition, gsd);
        collect_own(shelf, "farm", &own(acquisition)).unwrap();
    }

    fn range(shelf: &Shelf) -> Value {
        shelf.collection()["summaries"]["gsd"].take()
    }

    #[test]
    fn a_scene_is_added_without_reading_the_others() {
        let shelf = Shelf::default();
        for (k, acquisition) in ["3", "1", "4", "2"].into_iter().enumerate() {
            run(&shelf, acquisition, k as u32);
            assert_eq!(shelf.items_read(), 3);
            assert_eq!(shelf.collection(), shelf.anew());
        }
        assert_eq!(shelf.collection()["description"], "as of 4");
        assert_eq!(range(&shelf), json!({ "minimum": 0, "maximum": 3 }));
        run(&shelf, "2", 3);
        assert_eq!(shelf.items_read(), 3, "it is what it was");
        // Of another scene than the latest, its own Item to see whether it changed, and all three.
        let mut own = own("2");
        own.begin("5");
        shelf.add("5", 5);
        collect_own(&shelf, "farm", &own).unwrap();
        assert_eq!(shelf.items_read(), 3 + 1 + 3);
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// Each request takes a while: what stands is looked at, and once more when the Collection is written.
    #[test]
    fn the_collection_takes_two_looks_behind_a_network() {
        let shelf = Shelf { pause: true, ..Shelf::default() };
        for acquisition in ["1", "2"] {
            run(&shelf, acquisition, 1);
            let read = std::mem::take(&mut *shelf.read.lock().unwrap());
            let items = ["scenes", "A", "B"].map(|folder| format!("farm/{folder}/{acquisition}/item.json"));
            let first = std::iter::once("farm/collection.json".to_owned()).chain(items);
            assert_eq!(read, first.chain(["farm/collection.json".to_owned()]).collect::<Vec<_>>());
            assert_eq!(shelf.collection(), shelf.anew());
        }
    }

    /// What stands is looked at again where reading it took long.
    #[test]
    fn what_was_read_long_ago_is_read_again_before_it_is_written_over() {
        let shelf = Shelf { pause: true, ..Shelf::default() };
        run(&shelf, "1", 9);
        run(&shelf, "2", 2);
        shelf.when_listed.lock().unwrap().push_back(Box::new(|shelf| {
            std::thread::sleep(2 * YOUNG);
            run(shelf, "1", 1);
        }));
        run(&shelf, "3", 3);
        assert_eq!(range(&shelf), json!({ "minimum": 1, "maximum": 3 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// The list is answered before another run takes a scene in, and the Collection after it.
    #[test]
    fn a_list_older_than_the_collection_is_made_again() {
        let shelf = Shelf { pause: true, ..Shelf::default() };
        run(&shelf, "1", 1);
        shelf.before_read.lock().unwrap().push_back(Box::new(|shelf| {
            // By then the list of the same look is there.
            std::thread::sleep(Duration::from_millis(50));
            run(shelf, "2", 2);
        }));
        shelf.items_read();
        run(&shelf, "3", 3);
        // Ours, and theirs by them and by us; not those of the first.
        assert_eq!(shelf.items_read(), 3 + 2 * 3);
        assert_eq!(shelf.collection(), shelf.anew());
    }

    #[test]
    fn a_scene_made_again_or_removed_is_what_it_is_now() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        run(&shelf, "2", 9);
        run(&shelf, "2", 2);
        assert_eq!(range(&shelf), json!({ "minimum": 1, "maximum": 2 }));
        assert_eq!(shelf.collection(), shelf.anew());
        shelf.objects.lock().unwrap().retain(|name, _| !name.contains("/1/"));
        run(&shelf, "3", 3);
        assert_eq!(range(&shelf), json!({ "minimum": 2, "maximum": 3 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    #[test]
    fn a_collection_of_another_format_is_made_anew() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        for spoil in [
            |c: &mut Value| c[MADE_OF]["format"] = json!(FORMAT + 1),
            |c: &mut Value| _ = c.as_object_mut().unwrap().shift_remove(MADE_OF),
            |c: &mut Value| c["item_assets"]["ndvi"] = json!({ "title": 1, "type": "a" }),
            |c: &mut Value| *c = json!("nonsense"),
        ] {
            let mut stands = shelf.collection();
            spoil(&mut stands);
            shelf.objects.lock().unwrap().insert("farm/collection.json".into(), catalog::to_bytes(&stands));
            run(&shelf, "1", 1);
            run(&shelf, "2", 2);
            assert_eq!(shelf.collection(), shelf.anew());
        }
    }

    /// Others finish their scenes and end, after we looked and before we write.
    #[test]
    fn scenes_that_come_while_it_is_written_are_taken_in() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        let alone = shelf.collection();
        shelf.items_read();
        for k in 2..40 {
            shelf.when_stored.lock().unwrap().push_back(Box::new(move |shelf| shelf.add(&k.to_string(), k)));
        }
        run(&shelf, "9", 9);
        assert_eq!(shelf.collection(), shelf.anew());
        // One that saw less than we did wrote after us, and died before it looked again: whoever comes next takes in what is
        // missing.
        shelf.objects.lock().unwrap().insert("farm/collection.json".into(), catalog::to_bytes(&alone));
        run(&shelf, "6", 6);
        assert_eq!(shelf.collection(), shelf.anew());
    }

    #[test]
    fn runs_at_the_same_time_lose_no_scene() {
        for round in 0..20 {
            let shelf = Shelf { pause: true, ..Shelf::default() };
            std::thread::scope(|scope| {
                for k in 0..8 {
                    let shelf = &shelf;
                    scope.spawn(move || run(shelf, &format!("{round}-{k}"), k));
                }
            });
            assert_eq!(shelf.collection(), shelf.anew());
        }
    }

    /// Between our reading of the Collection and our writing, another run makes an old scene again and takes that in.
    #[test]
    fn what_another_run_wrote_meanwhile_is_gone_on_from() {
        let shelf = Shelf::default();
        run(&shelf, "1", 9);
        run(&shelf, "2", 2);
        shelf.items_read();
        shelf.when_read.lock().unwrap().push_back(Box::new(|shelf| {
            run(shelf, "1", 1);
            run(shelf, "4", 4);
        }));
        run(&shelf, "3", 3);
        assert_eq!(range(&shelf), json!({ "minimum": 1, "maximum": 4 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// The same while we read everything: what we read of that scene is no longer so.
    #[test]
    fn what_is_read_is_not_written_over_what_is_newer() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        run(&shelf, "2", 9);
        // Behind our first look at the Collection and at what scenes there are, the other does its work, but we read its Items
        // as they were.
        shelf.when_listed.lock().unwrap().push_back(Box::new(|shelf| {
            let old = shelf.objects.lock().unwrap().clone();
            run(shelf, "2", 2);
            let new = std::mem::replace(&mut *shelf.objects.lock().unwrap(), old);
            shelf.before_read.lock().unwrap().push_back(Box::new(move |shelf| *shelf.objects.lock().unwrap() = new));
        }));
        run(&shelf, "1", 4);
        assert_eq!(range(&shelf), json!({ "minimum": 2, "maximum": 4 }));
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// Whenever we look at the Collection, another run has just taken in a scene of its own, while we have to read everything.
    #[test]
    fn a_run_gets_its_turn_however_many_others_there_are() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        run(&shelf, "2", 9);
        for k in 10..90 {
            let name = k.to_string();
            shelf.before_read.lock().unwrap().push_back(Box::new(move |shelf| {
                let others = std::mem::take(&mut *shelf.before_read.lock().unwrap());
                run(shelf, &name, k);
                *shelf.before_read.lock().unwrap() = others;
            }));
        }
        shelf.items_read();
        run(&shelf, "2", 2);
        let others = shelf.before_read.lock().unwrap().len();
        assert!(others > 30, "{others} were left");
        // Each of the others reads its own; we read what stood, and each of theirs once.
        assert!(shelf.items_read() <= 3 * 3 + (80 - others) * (3 + 3 + 1), "with {others} left");
        assert_eq!(shelf.collection(), shelf.anew());
    }

    /// One that read before we did writes after us: it knows all scenes, but not that ours was made again.
    #[test]
    fn what_was_made_again_is_written_until_it_stays() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        run(&shelf, "2", 9);
        let stale = shelf.objects.lock().unwrap()["farm/collection.json"].clone();
        shelf.when_stored.lock().unwrap().push_back(Box::new(move |shelf| {
            shelf.objects.lock().unwrap().insert("farm/collection.json".into(), stale);
        }));
        run(&shelf, "2", 2);
        assert_eq!(range(&shelf), json!({ "minimum": 1, "maximum": 2 }));
    }

    #[test]
    fn where_no_scene_is_whole_nothing_is_written() {
        let shelf = Shelf::default();
        shelf.add("1", 1);
        shelf.objects.lock().unwrap().remove("farm/scenes/1/item.json");
        collect_own(&shelf, "farm", &own("1")).unwrap();
        assert!(!shelf.objects.lock().unwrap().contains_key("farm/collection.json"));
        let error = collect(&shelf, "farm").unwrap_err();
        assert!(error.to_string().contains("shelf/farm"), "{error}");
    }

    #[test]
    fn cells_that_are_no_names_are_passed_over() {
        let shelf = Shelf::default();
        run(&shelf, "1", 1);
        let links = shelf.collection()["links"].clone();
        let name = "farm/scenes/1/item.json";
        let mut item: Value = serde_json::from_slice(&shelf.objects.lock().unwrap()[name]).unwrap();
        let long = "A".repeat(256);
        item["properties"]["fieldglow:cells"] = json!(["A", "B", "..", "", "A/../../other", "A\0", long, 7, null]);
        shelf.objects.lock().unwrap().insert(name.into(), catalog::to_bytes(&item));
        shelf.items_read();
        collect(&shelf, "farm").unwrap();
        assert_eq!(shelf.items_read(), 3);
        assert_eq!(shelf.collection()["links"], links);
    }
}
