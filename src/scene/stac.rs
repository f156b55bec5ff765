//! A STAC Item as the name of a delivery: which files it is made of, and nothing else.
//!
//! The Item is a pointer. What is known of the scene comes from the delivery behind it, so the same delivery gives the
//! same products whether its folder or its Item was named.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::naming::Naming;
use super::{SceneError, files};
use crate::catalog::path_from_href;

/// Largest Item that is read, bytes.
const SIZE_LIMIT: u64 = 16 << 20;

/// Most assets of an Item.
const ASSET_LIMIT: usize = 1000;

/// The files of a delivery that an Item names; all of them are there.
#[derive(Debug, Default)]
pub(super) struct Item {
    /// Images and sidecars.
    pub data: Vec<PathBuf>,
    /// Metadata and RPC files.
    pub metadata: Vec<PathBuf>,
}

/// Reads an Item.
///
/// # Reference
/// STAC 1.0.0 and 1.1.0, item-spec; asset roles `data`, `metadata`, `visual`, `overview`, `thumbnail`.
pub(super) fn read(path: &Path) -> Result<Item, SceneError> {
    parse(path, &files::read_text(path, SIZE_LIMIT)?)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Item, SceneError> {
    let document: Value = serde_json::from_str(text)
        .map_err(|e| SceneError::Syntax { path: path.into(), problem: format!("{e}; expected a STAC Item, JSON") })?;
    check_kind(path, &document)?;
    let assets = document.get("assets").and_then(Value::as_object);
    let assets = assets.filter(|a| !a.is_empty()).ok_or_else(|| wrong(path, "assets", "assets", "none"))?;
    if assets.len() > ASSET_LIMIT {
        let found = assets.len() as u64;
        return Err(SceneError::Limit { path: path.into(), what: "assets", found, limit: ASSET_LIMIT as u64 });
    }
    let some_data = assets.values().any(|a| Kind::of(a, true) == Kind::Data);
    let mut item = Item::default();
    for (key, asset) in assets {
        let list = match Kind::of(asset, some_data) {
            Kind::Data => &mut item.data,
            Kind::Metadata => &mut item.metadata,
            Kind::Other => continue,
        };
        list.push(local(path, key, asset)?);
    }
    // A `_meta.xml` finds its image as well.
    if item.data.is_empty() {
        item.data = item.metadata.iter().filter(|m| is_meta_xml(&files::file_name(m))).cloned().collect();
    }
    if item.data.is_empty() {
        let keys: Vec<_> = assets.keys().take(8).map(|k| format!("`{k}`")).collect();
        let expected = "an asset that is an image (GeoTIFF, role `data`), its `_meta.xml` or a `scene.toml`";
        return Err(wrong(path, "assets", expected, &keys.join(", ")));
    }
    Ok(item)
}

/// An error of a file behind an Item, with the Item's name where the file's alone would not be understood.
pub(super) fn behind(item: &Path, file: &Path, error: SceneError) -> SceneError {
    match error {
        SceneError::NotADelivery { found, expected, .. } => SceneError::NotADelivery {
            path: item.into(),
            found: format!("an asset `{}`: {found}", file.display()),
            expected,
        },
        other => other,
    }
}

/// What an asset is to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Metadata,
    Other,
}

impl Kind {
    /// By role, media type and name. Where some assets have the role `data`, images without it are others.
    fn of(asset: &Value, needs_role: bool) -> Self {
        let text = |key: &str| asset.get(key).and_then(Value::as_str).unwrap_or_default();
        let has_role = |role: &str| {
            asset.get("roles").and_then(Value::as_array).is_some_and(|roles| roles.iter().any(|r| r == role))
        };
        let file = text("href").split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let is_tiff = files::tiff_stem(file).is_some() || text("type").starts_with("image/tiff");
        let small = ["thumbnail", "overview", "visual"].iter().any(|role| has_role(role)) && !has_role("data");
        let metadata =
            is_meta_xml(file) || ["_rpc.txt", ".rpb", ".rpc"].iter().any(|s| files::strip_suffix(file, s).is_some());
        if files::strip_suffix(file, ".toml").is_some() || (is_tiff && !small && (has_role("data") || !needs_role)) {
            Self::Data
        } else if metadata {
            Self::Metadata
        } else {
            Self::Other
        }
    }
}

fn is_meta_xml(file: &str) -> bool {
    files::strip_suffix(file, "_meta.xml").is_some() || Naming::of_metadata(file).is_some()
}

fn wrong(path: &Path, field: &str, expected: &str, found: &str) -> SceneError {
    SceneError::Field {
        path: path.into(),
        field: field.into(),
        expected: expected.into(),
        found: found.into(),
        remedy: "correct the Item, or name the delivery's folder".into(),
    }
}

/// Refuses what is no Item, saying what it is.
fn check_kind(path: &Path, document: &Value) -> Result<(), SceneError> {
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let unsupported =
        |what: String, remedy: &str| Err(SceneError::Unsupported { path: path.into(), what, remedy: remedy.into() });
    match text("type") {
        Some("Feature") => {}
        Some("FeatureCollection") => {
            let count = document.get("features").and_then(Value::as_array).map_or(0, Vec::len);
            return unsupported(
                format!("a FeatureCollection ({count} Items) as a scene"),
                "write each Item to a file of its own and name those, in a list if they are many",
            );
        }
        Some(kind @ ("Collection" | "Catalog")) => {
            let items = document.get("links").and_then(Value::as_array);
            let items = items.map_or(0, |links| links.iter().filter(|l| l["rel"] == "item").count());
            return unsupported(
                format!("a STAC {kind} (with links to {items} Items) as a scene"),
                "name its Items, in a list if they are many",
            );
        }
        other => {
            let found = other.map_or("none".into(), |t| format!("`{}`", t.chars().take(40).collect::<String>()));
            return Err(wrong(path, "type", "`Feature`, as a STAC Item has", &found));
        }
    }
    match text("stac_version") {
        Some(version) if version.starts_with("1.") => Ok(()),
        Some(version) => unsupported(
            format!("STAC version `{}`", version.chars().take(20).collect::<String>()),
            "migrate the Item to STAC 1.0 or 1.1, or name the delivery's folder",
        ),
        None => Err(wrong(path, "stac_version", "1.0.0 or 1.1.0", "none, so it is no STAC Item")),
    }
}

/// The local file an asset names, which must be there: a relative reference stays below the Item's folder, an absolute
/// path or a `file://` URL goes where it says.
fn local(path: &Path, key: &str, asset: &Value) -> Result<PathBuf, SceneError> {
    let field = format!("assets.{key}.href");
    let href = asset.get("href").and_then(Value::as_str);
    let href = href.ok_or_else(|| wrong(path, &field, "a reference to a file", "none"))?;
    let absent = |file: &Path, source: std::io::Error| {
        let found = format!("`{}`: {source}", file.display());
        wrong(path, &field, "a reference to a file that is there", &found)
    };
    if let Some(relative) = path_from_href(href) {
        return match files::inside(path.parent().unwrap_or(Path::new(".")), &relative, path, &field) {
            Err(SceneError::Read { path: file, source }) => Err(absent(&file, source)),
            inside => inside,
        };
    }
    let absolute = if href.starts_with('/') && !href.starts_with("//") {
        Some(PathBuf::from(href))
    } else {
        url::Url::parse(href).ok().filter(|u| u.scheme() == "file").and_then(|u| u.to_file_path().ok())
    };
    let Some(absolute) = absolute else {
        return Err(SceneError::Unsupported {
            path: path.into(),
            what: format!("`{field}`: reading `{}`", without_query(href)),
            remedy: "an Item names local files: name the delivery's folder, archive or images by their URLs".into(),
        });
    };
    match std::fs::metadata(&absolute) {
        Ok(_) => Ok(absolute),
        Err(source) => Err(absent(&absolute, source)),
    }
}

/// A reference for messages: signatures stand in queries.
fn without_query(href: &str) -> String {
    href.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"type":"Feature","stac_version":"1.1.0","assets":{
        "mss":{"href":"./a_MSS.tif","type":"image/tiff; application=geotiff","roles":["data"]},
        "meta":{"href":"a%5FMSS_meta.xml?v=1","roles":["metadata"]},
        "mask":{"href":"cloud.tif","roles":["cloud"]},
        "look":{"href":"https://example.com/a.jpg","roles":["thumbnail"]}}}"#;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a_MSS.tif", "a_MSS_meta.xml", "cloud.tif"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        dir
    }

    #[test]
    fn roles_media_types_and_names_tell_what_an_asset_is() {
        let dir = folder();
        let of = |text: &str| {
            let item = parse(&dir.path().join("item.json"), text).unwrap();
            let names = |list: &[PathBuf]| list.iter().map(|p| files::file_name(p)).collect::<Vec<_>>();
            (names(&item.data), names(&item.metadata))
        };
        let metadata = vec!["a_MSS_meta.xml".to_string()];
        assert_eq!(of(GOOD), (vec!["a_MSS.tif".into()], metadata.clone()));
        // Without the role `data` anywhere, every GeoTIFF that is no picture is meant.
        let without = GOOD.replace(",\"roles\":[\"data\"]", "");
        assert_eq!(of(&without), (vec!["a_MSS.tif".into(), "cloud.tif".into()], metadata.clone()));
        let gaofen = GOOD.replace("a_MSS.tif", "GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-MSS1.tiff");
        let gaofen = gaofen.replace("a%5FMSS_meta.xml?v=1", "GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-MSS1.xml");
        let stem = "GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-MSS1";
        for ending in [".tiff", ".xml"] {
            std::fs::write(dir.path().join(format!("{stem}{ending}")), "").unwrap();
        }
        assert_eq!(of(&gaofen), (vec![format!("{stem}.tiff")], vec![format!("{stem}.xml")]));
        let alone = GOOD.replace("image/tiff", "x").replace("a_MSS.tif", "a").replace("cloud.tif", "b");
        assert_eq!(of(&alone), (metadata.clone(), metadata));
    }

    proptest! {
        #[test]
        fn no_damage_to_a_good_item_breaks_it(at in 0usize..600, cut in 0usize..40, with in "\\PC{0,12}") {
            let dir = folder();
            let mut damaged: Vec<char> = GOOD.chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = parse(&dir.path().join("item.json"), &damaged.into_iter().collect::<String>());
        }
    }
}
