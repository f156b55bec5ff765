//! The published schemas, embedded. Invariant: a file's path below `schemas/` is its URL without the scheme, and the files
//! are the published ones, byte for byte.

use serde_json::Value;

macro_rules! embedded {
    ($($path:literal,)*) => {
        &[$((concat!("https://", $path), include_str!(concat!("schemas/", $path))),)*]
    };
}

/// URL and text of every embedded schema. The JSON Schema drafts themselves come with the validator.
const EMBEDDED: &[(&str, &str)] = embedded![
    "geojson.org/schema/Feature.json",
    "geojson.org/schema/Geometry.json",
    "proj.org/schemas/v0.7/projjson.schema.json",
    "schemas.stacspec.org/v1.1.0/catalog-spec/json-schema/catalog.json",
    "schemas.stacspec.org/v1.1.0/collection-spec/json-schema/collection.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/bands.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/basics.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/common.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/data-values.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/datetime.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/instrument.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/licensing.json",
    "schemas.stacspec.org/v1.1.0/item-spec/json-schema/provider.json",
    "stac-extensions.github.io/classification/v1.1.0/schema.json",
    "stac-extensions.github.io/eo/v2.0.0/schema.json",
    "stac-extensions.github.io/file/v2.1.0/schema.json",
    "stac-extensions.github.io/grid/v1.1.0/schema.json",
    "stac-extensions.github.io/processing/v1.2.0/schema.json",
    "stac-extensions.github.io/projection/v2.0.0/schema.json",
    "stac-extensions.github.io/raster/v2.0.0/schema.json",
    "stac-extensions.github.io/view/v1.1.0/schema.json",
];

/// A schema that documents are checked against as a whole (the others are parts of these).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    /// Its URL, for an extension as it stands in `stac_extensions`.
    pub url: &'static str,
    /// Name and version, as written in messages.
    pub label: &'static str,
    /// What the names of its fields begin with; empty for the core.
    pub prefix: &'static str,
    /// True if it may be listed by a Collection, false if it is for Items alone.
    pub in_collections: bool,
}

const fn core(url: &'static str, label: &'static str) -> Root {
    Root { url, label, prefix: "", in_collections: true }
}

const fn extension(url: &'static str, label: &'static str, prefix: &'static str) -> Root {
    Root { url, label, prefix, in_collections: true }
}

/// The Item.
pub(super) const ITEM: Root =
    core("https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json", "STAC Item 1.1.0");
/// The Collection.
pub(super) const COLLECTION: Root =
    core("https://schemas.stacspec.org/v1.1.0/collection-spec/json-schema/collection.json", "STAC Collection 1.1.0");
/// The Catalog.
pub(super) const CATALOG: Root =
    core("https://schemas.stacspec.org/v1.1.0/catalog-spec/json-schema/catalog.json", "STAC Catalog 1.1.0");

/// The extensions that can be checked, in the order they are listed in documents.
pub(super) const EXTENSIONS: &[Root] = &[
    extension("https://stac-extensions.github.io/eo/v2.0.0/schema.json", "eo 2.0.0", "eo:"),
    extension("https://stac-extensions.github.io/projection/v2.0.0/schema.json", "projection 2.0.0", "proj:"),
    extension("https://stac-extensions.github.io/raster/v2.0.0/schema.json", "raster 2.0.0", "raster:"),
    extension("https://stac-extensions.github.io/view/v1.1.0/schema.json", "view 1.1.0", "view:"),
    extension("https://stac-extensions.github.io/processing/v1.2.0/schema.json", "processing 1.2.0", "processing:"),
    extension("https://stac-extensions.github.io/file/v2.1.0/schema.json", "file 2.1.0", "file:"),
    extension(
        "https://stac-extensions.github.io/classification/v1.1.0/schema.json",
        "classification 1.1.0",
        "classification:",
    ),
    Root {
        in_collections: false,
        ..extension("https://stac-extensions.github.io/grid/v1.1.0/schema.json", "grid 1.1.0", "grid:")
    },
];

/// The text of the schema at `url` (a trailing `#` is ignored), if it is embedded.
fn text(url: &str) -> Option<&'static str> {
    let url = url.trim_end_matches('#');
    EMBEDDED.iter().find(|(u, _)| *u == url).map(|(_, text)| *text)
}

/// Serves the embedded schemas and nothing else, so that checking never touches a network.
struct Offline;

impl jsonschema::Retrieve for Offline {
    fn retrieve(&self, uri: &jsonschema::Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let text = text(uri.as_str()).ok_or_else(|| format!("`{uri}` is not embedded"))?;
        Ok(serde_json::from_str(text)?)
    }
}

/// The validator of a root schema, formats included.
pub(super) fn compile(root: Root) -> Result<jsonschema::Validator, String> {
    let text = text(root.url).ok_or_else(|| format!("`{}` is not embedded", root.url))?;
    let schema: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .with_retriever(Offline)
        .should_validate_formats(true)
        .build(&schema)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_names_the_url_it_is_served_under() {
        for (url, text) in EMBEDDED {
            let schema: Value = serde_json::from_str(text).unwrap();
            let id = schema["$id"].as_str().unwrap().trim_end_matches('#');
            // The published common.json misspells its own name; nothing refers to it by that id.
            let id = id.replace("/commonjson", "/common.json");
            assert_eq!(id, *url);
        }
    }

    #[test]
    fn every_root_compiles_without_a_network() {
        for root in EXTENSIONS.iter().copied().chain([ITEM, COLLECTION, CATALOG]) {
            compile(root).unwrap_or_else(|e| panic!("{}: {e}", root.url));
        }
    }

    #[test]
    fn nothing_outside_is_served() {
        assert!(text("https://stac-extensions.github.io/eo/v1.0.0/schema.json").is_none());
    }
}
