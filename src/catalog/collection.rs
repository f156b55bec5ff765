//! Collections.
//!
//! Invariant: extents, summaries and asset definitions are computed from the Items alone, in an order that does not depend
//! on that of the Items. Items come from storage and may be anybody's: what is missing or of the wrong kind is passed over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::item::{link, provider};
use super::outline::cover;
use super::record::{CollectionRecord, Link, media_type};
use super::{Object, STAC_VERSION, extensions, number};

/// Properties summarised as the set of their values.
const SETS: [&str; 5] = ["platform", "instruments", "constellation", "processing:level", "proj:code"];

/// Properties summarised as their range.
const RANGES: [&str; 7] = [
    "gsd",
    "eo:cloud_cover",
    "view:off_nadir",
    "view:incidence_angle",
    "view:azimuth",
    "view:sun_azimuth",
    "view:sun_elevation",
];

/// What a Collection says of its Items, gathered one by one: an Item is forgotten once it was added, so a Collection of a
/// million Items takes no more memory than their references.
#[derive(Debug, Default)]
pub struct Gathered {
    hrefs: BTreeSet<String>,
    boxes: Vec<[f64; 4]>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    sets: [BTreeSet<String>; SETS.len()],
    ranges: [Option<(f64, f64)>; RANGES.len()],
    /// What is true of an asset in every Item that has it.
    assets: BTreeMap<String, Map<String, Value>>,
    /// The first Items are known from a Collection alone.
    resumed: bool,
}

impl Gathered {
    /// What a Collection that was made of Items says of them, so that more can be added; `None` if it does not say enough.
    pub fn resumed(collection: &Value) -> Option<Self> {
        let at = |pointer: &str| collection.pointer(pointer);
        let bbox = match at("/extent/spatial/bbox")?.as_array()?.as_slice() {
            [one] => bbox_of(one)?,
            _ => return None,
        };
        let time =
            |k: usize| -> Option<Timestamp> { at(&format!("/extent/temporal/interval/0/{k}"))?.as_str()?.parse().ok() };
        let summary = |key: &str| at("/summaries")?.get(key);
        let set = |key: &str| summary(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let range = |key: &str| {
            let end = |of: &str| summary(key)?.get(of)?.as_f64();
            Some((end("minimum")?, end("maximum")?))
        };
        let assets = at("/item_assets").and_then(Value::as_object).into_iter().flatten();
        let links = at("/links")?.as_array()?.iter().filter(|l| l.get("rel").is_some_and(|rel| rel == "item"));
        let gathered = Self {
            hrefs: links.filter_map(|l| Some(l.get("href")?.as_str()?.to_owned())).collect(),
            boxes: vec![bbox],
            start: time(0),
            end: time(1),
            sets: SETS.map(|key| set(key).map(str::to_owned).collect()),
            ranges: RANGES.map(range),
            assets: assets.filter_map(|(key, asset)| Some((key.clone(), asset.as_object()?.clone()))).collect(),
            resumed: true,
        };
        // What is said of Items of which none tells where it lies.
        let anywhere = bbox == [-180.0, -90.0, 180.0, 90.0];
        (!gathered.hrefs.is_empty() && !anywhere && !crosses(&bbox)).then_some(gathered)
    }

    /// True when the first Items are known from a Collection alone.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// True when an Item can be added. To what was resumed it cannot if more would have to be known of the other Items: where
    /// they lie, if one crosses the antimeridian; and in what they agree about an asset that the Collection does not define.
    pub fn takes(&self, item: &Value) -> bool {
        let assets = || item.get("assets").and_then(Value::as_object).into_iter().flatten();
        !self.resumed
            || !bbox(item).is_some_and(|b| crosses(&b)) && assets().all(|(key, _)| self.assets.contains_key(key))
    }

    /// Adds an Item, `href` its reference relative to the Collection's document.
    pub fn add(&mut self, href: String, item: &Value) {
        self.hrefs.insert(href);
        self.boxes.extend(bbox(item));
        let property = |key: &str| item.get("properties")?.get(key);
        let time = |keys: [&str; 2]| keys.iter().find_map(|key| property(key)?.as_str()?.parse::<Timestamp>().ok());
        self.start = self.start.into_iter().chain(time(["start_datetime", "datetime"])).min();
        self.end = self.end.into_iter().chain(time(["end_datetime", "datetime"])).max();
        for (key, set) in SETS.iter().zip(&mut self.sets) {
            let values = property(key).into_iter();
            let values = values.flat_map(|v| v.as_array().map_or(std::slice::from_ref(v), Vec::as_slice));
            set.extend(values.filter_map(Value::as_str).map(str::to_owned));
        }
        for (key, range) in RANGES.iter().zip(&mut self.ranges) {
            if let Some(v) = property(key).and_then(Value::as_f64) {
                *range = Some(range.map_or((v, v), |(min, max)| (min.min(v), max.max(v))));
            }
        }
        for (key, asset) in item.get("assets").and_then(Value::as_object).into_iter().flatten() {
            let Some(asset) = asset.as_object() else { continue };
            let asset = definition(asset);
            match self.assets.get_mut(key) {
                Some(common) => common.retain(|field, value| asset.get(field) == Some(value)),
                None => _ = self.assets.insert(key.clone(), asset),
            }
        }
    }

    /// How many Items were added.
    pub fn count(&self) -> usize {
        self.hrefs.len()
    }

    /// The STAC Collection of the Items.
    ///
    /// # Reference
    /// STAC specification 1.1.0, collection-spec.
    pub fn collection(&self, record: &CollectionRecord) -> Value {
        let mut c = Object::default();
        c.put("type", "Collection");
        c.put("stac_version", STAC_VERSION);
        c.put("stac_extensions", Value::Null);
        c.put("id", record.id.as_str());
        c.put_some("title", record.title.as_deref());
        c.put("description", record.description.as_str());
        c.put_list("keywords", record.keywords.iter().map(String::as_str));
        c.put("license", record.license.as_str());
        c.put_list("providers", record.providers.iter().map(provider));
        let times = [self.start, self.end].map(|t| t.map(|t| t.to_string()));
        c.put("extent", json!({ "spatial": spatial(&self.boxes), "temporal": { "interval": [times] } }));
        let mut summaries = Object::default();
        for (key, set) in SETS.iter().zip(&self.sets) {
            summaries.put_list(key, set.iter().map(String::as_str));
        }
        for (key, range) in RANGES.iter().zip(&self.ranges) {
            summaries.put_some(key, range.map(|(min, max)| json!({ "minimum": number(min), "maximum": number(max) })));
        }
        if !summaries.0.is_empty() {
            c.put("summaries", summaries.0);
        }
        // A definition of fewer than two fields is not allowed.
        let assets = self.assets.iter().filter(|(_, d)| d.len() >= 2);
        let assets: Map<String, Value> = assets.map(|(key, d)| (key.clone(), sorted(d.clone()).into())).collect();
        if !assets.is_empty() {
            c.put("item_assets", assets);
        }
        c.0.extend(record.extras.clone());
        c.put("links", links(record, &self.hrefs));
        let extensions = extensions(&c.0);
        c.put("stac_extensions", extensions);
        c.into()
    }
}

fn spatial(boxes: &[[f64; 4]]) -> Value {
    let spans: Vec<_> = boxes.iter().map(|b| (b[0], b[2])).collect();
    // An empty Collection could hold anything.
    let (west, east) = cover(&spans).unwrap_or((-180.0, 180.0));
    let south = boxes.iter().map(|b| b[1]).reduce(f64::min).unwrap_or(-90.0);
    let north = boxes.iter().map(|b| b[3]).reduce(f64::max).unwrap_or(90.0);
    json!({ "bbox": [Value::from([west, south, east, north].map(number).to_vec())] })
}

fn bbox(item: &Value) -> Option<[f64; 4]> {
    bbox_of(item.get("bbox")?)
}

/// West, south, east, north.
fn bbox_of(numbers: &Value) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = numbers.as_array()?.iter().filter_map(Value::as_f64).collect();
    match *numbers.as_slice() {
        [west, south, east, north] | [west, south, _, east, north, _] => Some([west, south, east, north]),
        _ => None,
    }
}

/// True for a box across the antimeridian.
fn crosses([west, _, east, _]: &[f64; 4]) -> bool {
    east < west || *east > 180.0
}

/// An asset without what belongs to one file alone.
fn definition(asset: &Map<String, Value>) -> Map<String, Value> {
    let of_one_file = |key: &str| {
        ["href", "statistics", "fieldglow:footprint", "proj:shape", "proj:transform", "proj:bbox"].contains(&key)
            || key.starts_with("file:")
    };
    let mut definition: Map<String, Value> =
        asset.iter().filter(|(key, _)| !of_one_file(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(Value::Array(bands)) = definition.get_mut("bands") {
        for band in bands.iter_mut().filter_map(Value::as_object_mut) {
            band.shift_remove("statistics");
        }
    }
    definition
}

/// The fields in an order that does not depend on which Item came first.
fn sorted(mut definition: Map<String, Value>) -> Map<String, Value> {
    const FIRST: [&str; 4] = ["title", "description", "type", "roles"];
    let mut sorted: Map<String, Value> =
        FIRST.iter().filter_map(|key| Some(((*key).to_owned(), definition.shift_remove(*key)?))).collect();
    definition.sort_keys();
    sorted.extend(definition);
    sorted
}

fn links(record: &CollectionRecord, hrefs: &BTreeSet<String>) -> Vec<Value> {
    let own = |rel: &str, href: &str, media_type: &str| Link {
        rel: rel.into(),
        href: href.into(),
        media_type: Some(media_type.into()),
        title: None,
    };
    std::iter::once(own("root", "./collection.json", media_type::JSON))
        .chain(record.links.iter().cloned())
        .chain(hrefs.iter().map(|href| own("item", href, media_type::GEOJSON)))
        .map(|l| link(&l))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::item::tests::day_scene;
    use super::super::{Provider, item, to_bytes, validate};
    use super::*;
    use geo::polygon;
    use proptest::prelude::*;

    fn collection(record: &CollectionRecord, items: &[(String, Value)]) -> Value {
        let mut gathered = Gathered::default();
        items.iter().for_each(|(href, item)| gathered.add(href.clone(), item));
        gathered.collection(record)
    }

    fn record() -> CollectionRecord {
        CollectionRecord {
            id: "agriculture".into(),
            title: Some("Fields".into()),
            description: "Reflectance and indices".into(),
            keywords: vec!["agriculture".into()],
            license: "proprietary".into(),
            providers: vec![Provider { name: "Example".into(), roles: vec!["host".into()], ..Provider::default() }],
            ..CollectionRecord::default()
        }
    }

    fn two_items() -> Vec<(String, Value)> {
        let first = day_scene();
        let mut second = day_scene();
        second.id = "second".into();
        // Later than the first although its text sorts before it.
        second.datetime = "2024-05-01T02:31:20.5Z".parse().unwrap();
        second.interval = None;
        second.cloud_percent = Some(40.0);
        second.outline = polygon![(x: 124.0, y: 40.0), (x: 124.5, y: 40.0), (x: 124.5, y: 41.0)].into();
        let ndvi = &mut second.assets[1];
        ndvi.title = "another title".into();
        ndvi.size = 1;
        ndvi.raster.as_mut().unwrap().bands[0].statistics = None;
        second.assets.remove(0);
        vec![("./b/item.json".into(), item(&first)), ("./a/item.json".into(), item(&second))]
    }

    #[test]
    fn a_collection_of_items_conforms() {
        let collection = collection(&record(), &two_items());
        assert_eq!(validate(&collection), []);
        assert!(!collection["stac_extensions"].to_string().contains("/grid/"), "grid is for Items alone");
        assert_eq!(collection["extent"]["spatial"]["bbox"], json!([[123, 40, 124.5, 43.96]]));
        let interval = json!([["2024-05-01T02:31:09Z", "2024-05-01T02:31:20.5Z"]]);
        assert_eq!(collection["extent"]["temporal"]["interval"], interval);
        assert_eq!(collection["summaries"]["eo:cloud_cover"], json!({ "minimum": 3.25, "maximum": 40 }));
        assert_eq!(collection["summaries"]["instruments"], json!(["pms06"]));
    }

    #[test]
    fn asset_definitions_hold_what_all_items_agree_on() {
        let collection = collection(&record(), &two_items());
        let names: Vec<_> = collection["item_assets"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["ndvi", "qa", "reflectance", "thumbnail"]);
        let ndvi = &collection["item_assets"]["ndvi"];
        assert!(ndvi.get("title").is_none() && ndvi.get("file:size").is_none() && ndvi.get("href").is_none(), "{ndvi}");
        assert_eq!(ndvi["bands"], json!([{ "name": "NDVI" }]));
        assert_eq!(ndvi["nodata"], "nan");
    }

    #[test]
    fn the_order_of_the_items_does_not_matter() {
        let mut items = two_items();
        let forward = to_bytes(&collection(&record(), &items));
        items.reverse();
        assert_eq!(to_bytes(&collection(&record(), &items)), forward);
    }

    #[test]
    fn an_empty_collection_conforms() {
        let collection = collection(&record(), &[]);
        assert_eq!(validate(&collection), []);
        assert_eq!(collection["extent"]["temporal"]["interval"], json!([[null, null]]));
    }

    #[test]
    fn items_that_are_nonsense_are_passed_over() {
        let nonsense = [json!(null), json!({ "bbox": "x", "properties": 3, "assets": [1] }), json!({ "bbox": [1, 2] })];
        let mut items = two_items();
        let sound = collection(&record(), &items);
        items.extend(nonsense.into_iter().map(|item| ("./a/item.json".to_owned(), item)));
        assert_eq!(collection(&record(), &items), sound);
    }

    /// An Item of few fields, each of few values.
    fn any_item() -> impl Strategy<Value = Value> {
        let degrees = || -1790..1790;
        let text = |values: &'static [&'static str]| prop::sample::select(values);
        let assets =
            prop::collection::btree_map(text(&["ndvi", "qa", "reflectance"]), (0..2, 0..3_usize, 0.0..1.0), 0..=3);
        let place = (degrees(), 0..20, -90..89, prop::bool::weighted(0.02), prop::bool::weighted(0.05));
        let of_properties = (0..50_i64, 0..50_i64, text(&["JL1-A", "JL1-B"]), 0.0..100.0, 0..9);
        (assets, place, of_properties).prop_map(|(assets, (west, width, south, across, nowhere), properties)| {
            let (start, length, platform, cloud, gsd) = properties;
            let time = |s: i64| Timestamp::from_second(1_750_000_000 + s).unwrap().to_string();
            let east = if across { west - 1 } else { west + width };
            let bbox = [west, south, east, south + 1].map(|tenth| f64::from(tenth) / 10.0);
            let assets = assets.into_iter().map(|(key, (title, fields, size))| {
                let all =
                    json!({ "title": format!("{key} {title}"), "type": "image/tiff", "gsd": size, "file:size": 1 });
                let kept = all.as_object().unwrap().iter().take(1 + fields).map(|(k, v)| (k.clone(), v.clone()));
                (key.to_owned(), Value::Object(kept.collect()))
            });
            json!({
                "bbox": if nowhere { Value::Null } else { json!(bbox) },
                "properties": {
                    "start_datetime": time(start), "end_datetime": time(start + length), "platform": platform,
                    "instruments": [platform, "pms"], "eo:cloud_cover": cloud, "gsd": gsd,
                },
                "assets": assets.collect::<Map<_, _>>(),
            })
        })
    }

    proptest! {
        /// A Collection that goes on from an earlier one is that of all Items, or says that it cannot be.
        #[test]
        fn going_on_from_a_collection_is_beginning_anew(
            items in prop::collection::vec(any_item(), 1..12),
            first in 1..12_usize,
        ) {
            let named = |k: usize| format!("./{k:02}/item.json");
            let items: Vec<_> = items.into_iter().enumerate().map(|(k, item)| (named(k), item)).collect();
            let (old, new) = items.split_at(first.min(items.len()));
            let written = to_bytes(&collection(&record(), old));
            if let Some(mut gathered) = Gathered::resumed(&serde_json::from_slice(&written).unwrap()) {
                for (href, item) in new {
                    if !gathered.takes(item) {
                        return Ok(());
                    }
                    gathered.add(href.clone(), item);
                }
                prop_assert_eq!(to_bytes(&gathered.collection(&record())), to_bytes(&collection(&record(), &items)));
            }
        }
    }

    #[test]
    fn a_collection_of_usual_items_can_be_gone_on_from() {
        let items = two_items();
        let gathered = Gathered::resumed(&collection(&record(), &items[1..])).unwrap();
        assert!(!gathered.takes(&items[0].1), "it has an asset of which nothing is known");
        let gathered = Gathered::resumed(&collection(&record(), &items)).unwrap();
        assert!(gathered.takes(&items[0].1));
        let mut across = day_scene();
        across.outline = polygon![(x: 179.9, y: 0.0), (x: 180.1, y: 0.0), (x: 180.1, y: 1.0)].into();
        assert!(!gathered.takes(&item(&across)));
        assert!(Gathered::resumed(&collection(&record(), &[("./c/item.json".into(), item(&across))])).is_none());
        let nowhere = collection(&record(), &[("./n/item.json".into(), json!({ "bbox": null }))]);
        for nothing in [json!(null), json!({}), json!([1]), collection(&record(), &[]), nowhere] {
            assert!(Gathered::resumed(&nothing).is_none());
        }
    }

    #[test]
    fn an_extent_across_the_antimeridian_crosses_it() {
        let mut items = two_items();
        let mut across = day_scene();
        across.outline = polygon![(x: 179.9, y: 0.0), (x: 180.1, y: 0.0), (x: 180.1, y: 1.0)].into();
        items.push(("./c/item.json".into(), item(&across)));
        assert_eq!(collection(&record(), &items)["extent"]["spatial"]["bbox"], json!([[123, 0, -179.9, 43.96]]));
    }
}
