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
}

impl Gathered {
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
    pub fn collection(self, record: &CollectionRecord) -> Value {
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
        for (key, set) in SETS.iter().zip(self.sets) {
            summaries.put_list(key, set);
        }
        for (key, range) in RANGES.iter().zip(self.ranges) {
            summaries.put_some(key, range.map(|(min, max)| json!({ "minimum": number(min), "maximum": number(max) })));
        }
        if !summaries.0.is_empty() {
            c.put("summaries", summaries.0);
        }
        // A definition of fewer than two fields is not allowed.
        let assets = self.assets.into_iter().filter(|(_, d)| d.len() >= 2);
        let assets: Map<String, Value> = assets.map(|(key, d)| (key, sorted(d).into())).collect();
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
    let numbers: Vec<f64> = item.get("bbox")?.as_array()?.iter().filter_map(Value::as_f64).collect();
    match *numbers.as_slice() {
        [west, south, east, north] | [west, south, _, east, north, _] => Some([west, south, east, north]),
        _ => None,
    }
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

    #[test]
    fn an_extent_across_the_antimeridian_crosses_it() {
        let mut items = two_items();
        let mut across = day_scene();
        across.outline = polygon![(x: 179.9, y: 0.0), (x: 180.1, y: 0.0), (x: 180.1, y: 1.0)].into();
        items.push(("./c/item.json".into(), item(&across)));
        assert_eq!(collection(&record(), &items)["extent"]["spatial"]["bbox"], json!([[123, 0, -179.9, 43.96]]));
    }
}
