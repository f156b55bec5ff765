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

/// The STAC Collection of Items, each with its reference relative to the Collection's document.
///
/// # Reference
/// STAC specification 1.1.0, collection-spec.
pub fn collection(record: &CollectionRecord, items: &[(String, Value)]) -> Value {
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
    c.put("extent", json!({ "spatial": spatial(items), "temporal": temporal(items) }));
    let summaries = summaries(items);
    if !summaries.is_empty() {
        c.put("summaries", summaries);
    }
    let item_assets = item_assets(items);
    if !item_assets.is_empty() {
        c.put("item_assets", item_assets);
    }
    c.0.extend(record.extras.clone());
    c.put("links", links(record, items));
    let extensions = extensions(&c.0);
    c.put("stac_extensions", extensions);
    c.into()
}

fn spatial(items: &[(String, Value)]) -> Value {
    let boxes: Vec<[f64; 4]> = items.iter().filter_map(|(_, item)| bbox(item)).collect();
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

fn temporal(items: &[(String, Value)]) -> Value {
    let time = |item: &Value, keys: [&str; 2]| {
        let properties = item.get("properties")?;
        keys.iter().find_map(|key| properties.get(key)?.as_str()?.parse::<Timestamp>().ok())
    };
    let start = items.iter().filter_map(|(_, item)| time(item, ["start_datetime", "datetime"])).min();
    let end = items.iter().filter_map(|(_, item)| time(item, ["end_datetime", "datetime"])).max();
    json!({ "interval": [[start.map(|t| t.to_string()), end.map(|t| t.to_string())]] })
}

fn summaries(items: &[(String, Value)]) -> Map<String, Value> {
    let values = |key: &'static str| items.iter().filter_map(move |(_, item)| item.get("properties")?.get(key));
    let mut summaries = Object::default();
    for key in SETS {
        let set: BTreeSet<&str> = values(key)
            .flat_map(|v| v.as_array().map_or(std::slice::from_ref(v), Vec::as_slice))
            .filter_map(Value::as_str)
            .collect();
        summaries.put_list(key, set);
    }
    for key in RANGES {
        let range = values(key).filter_map(Value::as_f64).map(|v| (v, v)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        summaries.put_some(key, range.map(|(min, max)| json!({ "minimum": number(min), "maximum": number(max) })));
    }
    summaries.0
}

/// What is true of an asset in every Item that has it.
fn item_assets(items: &[(String, Value)]) -> Map<String, Value> {
    let mut definitions: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let assets = items.iter().filter_map(|(_, item)| item.get("assets")?.as_object()).flatten();
    for (key, asset) in assets {
        let Some(asset) = asset.as_object() else { continue };
        let asset = definition(asset);
        match definitions.get_mut(key.as_str()) {
            Some(common) => common.retain(|field, value| asset.get(field) == Some(value)),
            None => _ = definitions.insert(key, asset),
        }
    }
    // A definition of fewer than two fields is not allowed.
    definitions.into_iter().filter(|(_, d)| d.len() >= 2).map(|(key, d)| (key.to_owned(), sorted(d).into())).collect()
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

fn links(record: &CollectionRecord, items: &[(String, Value)]) -> Vec<Value> {
    let own = |rel: &str, href: &str, media_type: &str| Link {
        rel: rel.into(),
        href: href.into(),
        media_type: Some(media_type.into()),
        title: None,
    };
    let hrefs: BTreeSet<&str> = items.iter().map(|(href, _)| href.as_str()).collect();
    std::iter::once(own("root", "./collection.json", media_type::JSON))
        .chain(record.links.iter().cloned())
        .chain(hrefs.into_iter().map(|href| own("item", href, media_type::GEOJSON)))
        .map(|l| link(&l))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::item::tests::day_scene;
    use super::super::{Provider, item, to_bytes, validate};
    use super::*;
    use geo::polygon;

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
