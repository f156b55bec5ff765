//! Items.
//!
//! Invariant: everything comes from the record; a field that is not known is left out, never guessed and never null
//! (`proj:code`, where null means "has no code", is the one exception).

use serde_json::{Map, Value, json};

use super::outline::locate;
use super::record::{
    AssetRecord, BandRecord, BitField, ClassRecord, ItemRecord, Link, Projection, Provider, RasterRecord, Statistics,
    media_type,
};
use super::{Object, STAC_VERSION, extensions, number};

/// The STAC Item of a record.
///
/// Check it with [`validate`](super::validate) before publishing it: numbers that are not finite stand in it as `null`.
///
/// # Reference
/// STAC specification 1.1.0, item-spec; extensions eo 2.0.0, projection 2.0.0, raster 2.0.0, view 1.1.0, processing 1.2.0,
/// file 2.1.0, classification 1.1.0, grid 1.1.0.
pub fn item(record: &ItemRecord) -> Value {
    let located = locate(&record.outline);
    let mut item = Object::default();
    item.put("type", "Feature");
    item.put("stac_version", STAC_VERSION);
    item.put("stac_extensions", Value::Null);
    item.put("id", record.id.as_str());
    item.put("geometry", located.geometry);
    item.put_some("bbox", located.bbox.map(|bbox| bbox.map(number).to_vec()));
    item.put("properties", properties(record));
    item.put("links", links(record));
    item.put("assets", assets(record));
    item.put_some("collection", record.collection.as_ref().map(|parent| parent.id.as_str()));
    let extensions = extensions(&item.0);
    item.put("stac_extensions", extensions);
    item.into()
}

/// Adds an asset to an Item that was made before, and declares what it needs.
pub fn add_asset(item: &mut Value, record: &AssetRecord) {
    let Some(object) = item.as_object_mut() else { return };
    let has_projection = object.get("properties").is_some_and(|p| p.get("proj:code").is_some());
    let asset = asset(record, has_projection && is_bare_picture(record));
    let assets = object.entry("assets").or_insert_with(|| Value::Object(Map::new()));
    if let Some(assets) = assets.as_object_mut() {
        assets.insert(record.key.clone(), asset.into());
    }
    let extensions = extensions(object);
    object.insert("stac_extensions".into(), extensions.into());
}

/// A picture without georeference must not inherit the Item's reference system.
fn is_bare_picture(asset: &AssetRecord) -> bool {
    asset.raster.is_none() && asset.media_type.starts_with("image/")
}

fn properties(record: &ItemRecord) -> Object {
    let mut p = Object::default();
    p.put_some("title", record.title.as_deref());
    p.put("datetime", record.datetime.to_string());
    if let Some((start, end)) = record.interval {
        p.put("start_datetime", start.to_string());
        p.put("end_datetime", end.to_string());
    }
    p.put_some("platform", record.platform.as_deref());
    p.put_list("instruments", record.instruments.iter().map(String::as_str));
    p.put_some("constellation", record.constellation.as_deref());
    p.put_number("gsd", record.gsd_m);
    p.put_some("license", record.license.as_deref());
    p.put_list("providers", record.providers.iter().map(provider));
    p.put_number("eo:cloud_cover", record.cloud_percent);
    p.put_number("view:off_nadir", record.angles.off_nadir_deg);
    p.put_number("view:incidence_angle", record.angles.incidence_deg);
    p.put_number("view:azimuth", record.angles.azimuth_deg);
    p.put_number("view:sun_azimuth", record.angles.sun_azimuth_deg);
    p.put_number("view:sun_elevation", record.angles.sun_elevation.map(|e| e.0));
    p.put_some("grid:code", record.grid_code.as_deref());
    if let Some(Projection { code, projjson }) = &record.projection {
        p.put("proj:code", code.as_deref());
        p.put_some("proj:projjson", projjson.clone());
    }
    p.put_some("processing:level", record.processing.level.as_deref());
    p.put_some("processing:lineage", record.processing.lineage.as_deref());
    if !record.processing.software.is_empty() {
        p.put("processing:software", json!(record.processing.software));
    }
    p.0.extend(record.extras.clone());
    p
}

pub(super) fn provider(provider: &Provider) -> Value {
    let mut p = Object::default();
    p.put("name", provider.name.as_str());
    p.put_some("description", provider.description.as_deref());
    p.put_list("roles", provider.roles.iter().map(String::as_str));
    p.put_some("url", provider.url.as_deref());
    p.into()
}

fn links(record: &ItemRecord) -> Vec<Value> {
    let parent = record.collection.iter().flat_map(|parent| {
        ["root", "parent", "collection"].map(|rel| Link {
            rel: rel.into(),
            href: parent.href.clone(),
            media_type: Some(media_type::JSON.into()),
            title: None,
        })
    });
    parent.chain(record.links.iter().cloned()).map(|l| link(&l)).collect()
}

pub(super) fn link(link: &Link) -> Value {
    let mut l = Object::default();
    l.put("rel", link.rel.as_str());
    l.put("href", link.href.as_str());
    l.put_some("type", link.media_type.as_deref());
    l.put_some("title", link.title.as_deref());
    l.into()
}

fn assets(record: &ItemRecord) -> Map<String, Value> {
    let has_projection = record.projection.is_some();
    record.assets.iter().map(|a| (a.key.clone(), asset(a, has_projection && is_bare_picture(a)).into())).collect()
}

fn asset(record: &AssetRecord, denies_projection: bool) -> Object {
    let mut a = Object::default();
    a.put("href", record.href.as_str());
    a.put("title", record.title.as_str());
    a.put_some("description", record.description.as_deref());
    a.put("type", record.media_type.as_str());
    a.put_list("roles", record.roles.iter().map(String::as_str));
    if let Some(raster) = &record.raster {
        put_raster(&mut a, raster);
    }
    if denies_projection {
        a.put("proj:code", Value::Null);
    }
    a.put_some("processing:level", record.processing_level.as_deref());
    if let Some(e) = &record.expression {
        a.put("processing:expression", json!({ "format": e.format, "expression": e.expression }));
    }
    a.put("file:size", record.size);
    a.put_some("file:header_size", record.header_size);
    a.put("file:checksum", format!("{}{}", super::conform::SHA2_256, record.sha256_hex));
    a
}

fn put_raster(a: &mut Object, raster: &RasterRecord) {
    a.put_number("gsd", raster.gsd_m);
    a.put("data_type", raster.data_type);
    a.put_some("nodata", raster.nodata.map(nodata));
    let mut bands: Vec<Object> = raster.bands.iter().map(band).collect();
    // STAC 1.1: what all bands share stands once, with the asset.
    for key in ["unit", "raster:scale", "raster:offset"] {
        hoist(a, &mut bands, key);
    }
    a.put_list("bands", bands);
    a.put("raster:sampling", "area");
    a.put("raster:spatial_resolution", number(raster.spatial_resolution_m));
    a.put("proj:shape", vec![raster.rows, raster.cols]);
    a.put("proj:transform", raster.transform.to_affine().map(number).to_vec());
    a.put("proj:bbox", map_bbox(raster).map(number).to_vec());
    a.put_list("classification:bitfields", raster.bitfields.iter().map(bitfield));
    a.put_list("classification:classes", raster.classes.iter().map(class));
    a.put_some("fieldglow:footprint", raster.footprint.as_ref().map(|f| locate(f).geometry));
}

fn hoist(asset: &mut Object, bands: &mut [Object], key: &str) {
    let Some(shared) = bands.first().and_then(|b| b.0.get(key)).cloned() else { return };
    if bands.iter().all(|b| b.0.get(key) == Some(&shared)) {
        for band in bands {
            band.0.shift_remove(key);
        }
        asset.put(key, shared);
    }
}

fn nodata(value: f64) -> Value {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    number(value)
}

/// Extent of the pixels in the reference system: smallest and largest x and y of the corners.
fn map_bbox(raster: &RasterRecord) -> [f64; 4] {
    let (rows, cols) = (raster.rows as f64, raster.cols as f64);
    let nothing = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    [(0.0, 0.0), (cols, 0.0), (0.0, rows), (cols, rows)]
        .map(|(col, row)| raster.transform.world_from_pixel(col, row))
        .iter()
        .fold(nothing, |[west, south, east, north], &(x, y)| [west.min(x), south.min(y), east.max(x), north.max(y)])
}

fn band(record: &BandRecord) -> Object {
    let mut b = Object::default();
    b.put("name", record.name.as_str());
    b.put_some("description", record.description.as_deref());
    b.put_some("eo:common_name", record.common_name);
    b.put_number("eo:center_wavelength", record.center_um);
    b.put_number("eo:full_width_half_max", record.fwhm_um);
    b.put_number("eo:solar_illumination", record.solar_illumination);
    b.put_some("unit", record.unit.as_deref());
    b.put("raster:scale", number(record.scale));
    b.put("raster:offset", number(record.offset));
    b.put_some("statistics", record.statistics.as_ref().map(statistics));
    b
}

fn statistics(s: &Statistics) -> Object {
    let mut o = Object::default();
    let values = [
        ("minimum", s.minimum),
        ("maximum", s.maximum),
        ("mean", s.mean),
        ("stddev", s.stddev),
        ("valid_percent", s.valid_percent),
    ];
    for (key, value) in values {
        o.put_number(key, value.is_finite().then_some(value));
    }
    o.put_some("count", s.count);
    o
}

fn bitfield(field: &BitField) -> Object {
    let mut f = Object::default();
    f.put("offset", field.offset);
    f.put("length", field.length);
    f.put("name", field.name.as_str());
    f.put("description", field.description.as_str());
    f.put_list("classes", field.classes.iter().map(class));
    f
}

fn class(class: &ClassRecord) -> Object {
    let mut c = Object::default();
    c.put("value", class.value);
    c.put("name", class.name.as_str());
    c.put("description", class.description.as_str());
    c.put_some("color_hint", class.color.map(|[r, g, b]| format!("{r:02X}{g:02X}{b:02X}")));
    c
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use geo::polygon;

    use super::super::record::{Angles, Expression, Parent, Processing};
    use super::super::{to_bytes, validate};
    use super::*;
    use crate::grid::{Crs, GeoTransform};
    use crate::units::SunElevation;

    fn reflectance_band(name: &str, common_name: &'static str, center_um: f64) -> BandRecord {
        BandRecord {
            name: name.into(),
            description: Some(format!("surface reflectance, {common_name}")),
            common_name: Some(common_name),
            center_um: Some(center_um),
            fwhm_um: Some(0.07),
            solar_illumination: Some(1956.2),
            unit: None,
            scale: 0.0001,
            offset: 0.0,
            statistics: Some(Statistics {
                minimum: 12.0,
                maximum: 9876.0,
                mean: 1234.5,
                stddev: 321.25,
                valid_percent: 97.5,
                count: Some(14_745_600),
            }),
        }
    }

    fn raster(data_type: &'static str, nodata: f64, bands: Vec<BandRecord>) -> RasterRecord {
        RasterRecord {
            data_type,
            nodata: Some(nodata),
            bands,
            rows: 3840,
            cols: 3840,
            transform: GeoTransform::north_up(499_200.0, 4_868_160.0, 1.0),
            spatial_resolution_m: 1.0,
            gsd_m: None,
            footprint: None,
            bitfields: vec![],
            classes: vec![],
        }
    }

    fn file(key: &str, raster: Option<RasterRecord>) -> AssetRecord {
        AssetRecord {
            key: key.into(),
            href: format!("./0123abcd/{key}.tif"),
            title: key.to_uppercase(),
            media_type: media_type::COG.into(),
            roles: vec!["data".into()],
            size: 123_456,
            sha256_hex: "ab".repeat(32),
            header_size: Some(4096),
            raster,
            ..AssetRecord::default()
        }
    }

    fn class_named(name: &str) -> ClassRecord {
        ClassRecord { name: name.into(), description: name.into(), ..ClassRecord::default() }
    }

    /// A Jilin-1 like day scene from sensor geometry, in one cell.
    pub(in super::super) fn day_scene() -> ItemRecord {
        let reflectance = raster(
            "int16",
            -32768.0,
            vec![
                reflectance_band("B", "blue", 0.485),
                reflectance_band("G", "green", 0.555),
                reflectance_band("R", "red", 0.66),
                reflectance_band("N", "nir", 0.83),
            ],
        );
        let index = BandRecord {
            common_name: None,
            center_um: None,
            fwhm_um: None,
            solar_illumination: None,
            description: None,
            ..reflectance_band("NDVI", "red", 0.66)
        };
        let mut ndvi =
            file("ndvi", Some(raster("float32", f64::NAN, vec![BandRecord { scale: 1.0, ..index.clone() }])));
        ndvi.expression = Some(Expression { format: "formula".into(), expression: "(N - R) / (N + R)".into() });
        let flag = |offset, name: &str| BitField {
            offset,
            length: 1,
            name: name.into(),
            description: name.into(),
            classes: vec![ClassRecord { value: 1, color: Some([255, 0, 128]), ..class_named(name) }],
        };
        let mut qa = raster("uint16", 1.0, vec![BandRecord { scale: 1.0, name: "QA".into(), ..index }]);
        qa.bitfields = vec![flag(0, "nodata"), flag(1, "saturated")];
        let mut qa = file("qa", Some(qa));
        qa.roles = vec!["cloud".into(), "saturation".into()];
        let thumbnail = AssetRecord { media_type: media_type::PNG.into(), ..file("thumbnail", None) };
        ItemRecord {
            id: "20240501T023110Z_JL1KF01A_PMS06_UTM51N-130-1267".into(),
            title: None,
            collection: Some(Parent { id: "agriculture".into(), href: "../../collection.json".into() }),
            grid_code: Some("UTM51N-130-1267".into()),
            datetime: "2024-05-01T02:31:10.25Z".parse().unwrap(),
            interval: Some(("2024-05-01T02:31:09Z".parse().unwrap(), "2024-05-01T02:31:11.5Z".parse().unwrap())),
            projection: Some(Projection::of(&Crs::from_epsg(32651).unwrap()).unwrap()),
            outline: polygon![(x: 123.0, y: 43.95), (x: 123.04, y: 43.96), (x: 123.04, y: 43.93), (x: 123.0, y: 43.93)]
                .into(),
            platform: Some("jl1kf01a".into()),
            instruments: vec!["pms06".into()],
            constellation: Some("jilin-1".into()),
            gsd_m: Some(0.75),
            angles: Angles {
                sun_azimuth_deg: Some(151.25),
                sun_elevation: Some(SunElevation(57.5)),
                azimuth_deg: Some(98.0),
                incidence_deg: None,
                off_nadir_deg: Some(4.5),
            },
            cloud_percent: Some(3.25),
            license: Some("proprietary".into()),
            providers: vec![Provider {
                name: "Example".into(),
                roles: vec!["processor".into()],
                url: Some("https://example.com".into()),
                description: None,
            }],
            processing: Processing {
                level: Some("L2".into()),
                lineage: Some("radiance, surface reflectance, orthorectified".into()),
                software: BTreeMap::from([("gdal".into(), "3.6.2".into()), ("fieldglow".into(), "0.1.0".into())]),
            },
            extras: Map::from_iter([("fieldglow:key".into(), "0123abcd".into())]),
            assets: vec![file("reflectance", Some(reflectance)), ndvi, qa, thumbnail],
            links: vec![Link {
                rel: "derived_from".into(),
                href: "https://example.com/scene".into(),
                ..Link::default()
            }],
        }
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn a_day_scene_conforms() {
        let item = item(&day_scene());
        assert_eq!(validate(&item), []);
        let listed = item["stac_extensions"].as_array().unwrap();
        assert_eq!(listed.len(), 8, "{listed:?}");
        let order = keys(&item).join(" ");
        assert_eq!(order, "type stac_version stac_extensions id geometry bbox properties links assets collection");
    }

    #[test]
    fn the_same_record_gives_the_same_bytes() {
        assert_eq!(to_bytes(&item(&day_scene())), to_bytes(&item(&day_scene())));
    }

    #[test]
    fn what_bands_share_stands_with_the_asset() {
        let mut record = day_scene();
        let first = item(&record);
        let reflectance = &first["assets"]["reflectance"];
        assert_eq!(reflectance["raster:scale"], json!(0.0001));
        assert_eq!(reflectance["nodata"], json!(-32768));
        assert_eq!(keys(&reflectance["bands"][0]).last(), Some(&"statistics"));
        assert!(reflectance["bands"][0].get("raster:scale").is_none());
        record.assets[0].raster.as_mut().unwrap().bands[2].scale = 0.001;
        let second = item(&record);
        assert!(second["assets"]["reflectance"].get("raster:scale").is_none());
        assert_eq!(second["assets"]["reflectance"]["bands"][2]["raster:scale"], json!(0.001));
        assert_eq!(validate(&second), []);
    }

    #[test]
    fn pixels_are_placed_rows_first_and_transform_in_affine_order() {
        let mut record = day_scene();
        record.assets[0].raster.as_mut().unwrap().rows = 1920;
        let item = item(&record);
        let reflectance = &item["assets"]["reflectance"];
        assert_eq!(reflectance["proj:shape"], json!([1920, 3840]));
        assert_eq!(reflectance["proj:transform"], json!([1, 0, 499_200, 0, -1, 4_868_160]));
        assert_eq!(reflectance["proj:bbox"], json!([499_200, 4_866_240, 503_040, 4_868_160]));
        assert_eq!(item["properties"]["proj:code"], "EPSG:32651");
        assert_eq!(item["assets"]["thumbnail"]["proj:code"], Value::Null);
        assert!(item["assets"]["reflectance"].get("proj:code").is_none());
    }

    #[test]
    fn not_a_number_is_a_legal_nodata_but_no_statistic() {
        let mut record = day_scene();
        let raster = record.assets[1].raster.as_mut().unwrap();
        raster.bands[0].statistics = Some(Statistics {
            minimum: f64::NAN,
            maximum: f64::NAN,
            mean: f64::NAN,
            stddev: f64::NAN,
            valid_percent: 0.0,
            count: Some(0),
        });
        let item = item(&record);
        assert_eq!(item["assets"]["ndvi"]["nodata"], "nan");
        assert_eq!(item["assets"]["ndvi"]["bands"][0]["statistics"], json!({ "valid_percent": 0, "count": 0 }));
        assert_eq!(validate(&item), []);
        assert_eq!((nodata(f64::INFINITY), nodata(f64::NEG_INFINITY)), ("inf".into(), "-inf".into()));
    }

    #[test]
    fn a_reference_system_without_a_code_is_written_out() {
        let mut record = day_scene();
        let crs = Crs::from_definition("+proj=tmerc +lon_0=125.4 +k=1 +x_0=500000 +ellps=GRS80").unwrap();
        record.projection = Some(Projection::of(&crs).unwrap());
        let item = item(&record);
        assert_eq!(item["properties"]["proj:code"], Value::Null);
        assert_eq!(item["properties"]["proj:projjson"]["type"], "ProjectedCRS");
        assert_eq!(validate(&item), []);
    }

    #[test]
    fn a_scene_without_cells_or_collection_lists_only_what_it_uses() {
        let record = ItemRecord {
            collection: None,
            grid_code: None,
            projection: None,
            angles: Angles::default(),
            cloud_percent: None,
            assets: vec![AssetRecord { media_type: media_type::CSV.into(), ..file("fields", None) }],
            links: vec![],
            ..day_scene()
        };
        let item = item(&record);
        let listed = item["stac_extensions"].to_string();
        assert!(listed.contains("/processing/") && listed.contains("/file/"), "{listed}");
        assert_eq!(item["stac_extensions"].as_array().unwrap().len(), 2, "{listed}");
        assert_eq!(validate(&item), []);
    }

    #[test]
    fn an_item_across_the_antimeridian_conforms() {
        let mut record = day_scene();
        record.outline =
            polygon![(x: 179.99, y: 10.0), (x: -179.99, y: 10.0), (x: -179.99, y: 10.1), (x: 179.99, y: 10.1)].into();
        let item = item(&record);
        assert_eq!(item["bbox"], json!([179.99, 10, -179.99, 10.1]));
        assert_eq!(validate(&item), []);
    }

    #[test]
    fn a_value_that_is_no_number_is_found_before_it_is_published() {
        let mut record = day_scene();
        record.angles.off_nadir_deg = Some(f64::NAN);
        let problems = validate(&item(&record));
        assert!(problems.iter().any(|p| p.path == "/properties/view:off_nadir"), "{problems:?}");
    }
}
