//! Whether a document is what it says it is.
//!
//! Invariant: nothing is fetched. A document is right only if its core schema and the schema of every extension it lists
//! were applied and found nothing; what could not be applied is a problem.

use std::fmt;
use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::schemas::{self, CATALOG, COLLECTION, EXTENSIONS, ITEM, Root};

/// Longest piece of a document quoted in a message, characters.
const QUOTE: usize = 80;

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// JSON pointer to the place; empty for the whole document.
    pub path: String,
    /// What was expected there and what was found.
    pub message: String,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "document" } else { &self.path };
        write!(f, "{path}: {}", self.message)
    }
}

/// Everything wrong with an Item, Collection or Catalog of STAC 1.1.0, in order of place; empty if it is right.
///
/// Applies the core schema and the schema of every extension the document lists, formats included, without a network.
pub fn validate(document: &Value) -> Vec<Problem> {
    let core = match document.get("type").and_then(Value::as_str) {
        Some("Feature") => ITEM,
        Some("Collection") => COLLECTION,
        Some("Catalog") => CATALOG,
        _ => {
            let found = document.get("type").map_or("none".into(), quote);
            let message = format!("expected `Feature`, `Collection` or `Catalog`, found {found}");
            return vec![Problem::new("/type", message)];
        }
    };
    let mut problems = Vec::new();
    apply(core, document, &mut problems);
    let listed = document.get("stac_extensions").and_then(Value::as_array);
    for (i, url) in listed.into_iter().flatten().enumerate() {
        // What is no text at all is the core schema's concern.
        let Some(url) = url.as_str() else { continue };
        match EXTENSIONS.iter().find(|e| e.url == url) {
            Some(root) => apply(*root, document, &mut problems),
            None => {
                let message = format!("{} cannot be checked: its schema is not built in", quote(&url.into()));
                problems.push(Problem::new(format!("/stac_extensions/{i}"), message));
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

fn apply(root: Root, document: &Value, problems: &mut Vec<Problem>) {
    // Compiling takes far longer than applying, and Collections bring thousands of Items.
    static VALIDATORS: LazyLock<Vec<(Root, Validator)>> = LazyLock::new(|| {
        let roots = [ITEM, COLLECTION, CATALOG].into_iter().chain(EXTENSIONS.iter().copied());
        roots.filter_map(|root| Some((root, schemas::compile(root).ok()?))).collect()
    });
    match VALIDATORS.iter().find(|(r, _)| *r == root) {
        Some((_, validator)) => {
            for error in validator.iter_errors(document) {
                explain(root, &error, problems);
            }
        }
        None => problems.push(Problem::new("", format!("{}: the embedded schema cannot be used", root.label))),
    }
}

/// Adds what `error` comes down to: of alternatives, the errors of the one that was most likely meant.
fn explain(root: Root, error: &ValidationError<'_>, problems: &mut Vec<Problem>) {
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind() {
        let depth = depth(error);
        if let Some(meant) =
            context.iter().filter(|a| !a.is_empty()).min_by_key(|alternative| unlikeliness(alternative, depth))
        {
            for error in meant {
                explain(root, error, problems);
            }
            return;
        }
    }
    let text = match error.kind() {
        Kind::Not { .. } => "a value or field that is not allowed here, or none of the fields needed".to_owned(),
        Kind::Constant { expected_value } => {
            format!("expected {}, found {}", quote(expected_value), quote(error.instance()))
        }
        Kind::Pattern { pattern } => format!("{} does not match {pattern}", quote(error.instance())),
        Kind::FalseSchema => "not allowed here".to_owned(),
        _ => error.masked_with(quote(error.instance())).to_string(),
    };
    problems.push(Problem::new(error.instance_path().as_str(), format!("{}: {text}", root.label)));
}

/// How unlikely an alternative was meant: those refused for the kind of thing they are come last; then the deeper the
/// first mistake and the fewer there are, the likelier.
fn unlikeliness(alternative: &[ValidationError<'_>], at: usize) -> (bool, std::cmp::Reverse<usize>, usize) {
    let is_other_kind = |e: &ValidationError<'_>| {
        let by_kind = matches!(e.kind(), Kind::Constant { .. } | Kind::Enum { .. } | Kind::Type { .. });
        by_kind && depth(e) <= at + 1
    };
    let shallowest = alternative.iter().map(depth).min().unwrap_or_default();
    (alternative.iter().any(is_other_kind), std::cmp::Reverse(shallowest), alternative.len())
}

fn depth(error: &ValidationError<'_>) -> usize {
    error.instance_path().as_str().matches('/').count()
}

/// A piece of a document, short enough for a message.
fn quote(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= QUOTE {
        return format!("`{text}`");
    }
    format!("`{}…`", text.chars().take(QUOTE).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::item;
    use super::super::item::tests::day_scene;
    use super::*;
    use serde_json::json;

    /// The problems of a sound Item after `change`.
    fn changed(change: impl FnOnce(&mut Value)) -> Vec<Problem> {
        let mut document = item(&day_scene());
        change(&mut document);
        validate(&document)
    }

    /// One problem at `path`, said in words that include `words`.
    #[track_caller]
    fn assert_found(problems: &[Problem], path: &str, words: &str) {
        assert!(problems.iter().any(|p| p.path == path && p.message.contains(words)), "{problems:#?}");
    }

    #[test]
    fn every_broken_field_is_found_and_named() {
        // Object, key, value put there (null: removed), where below the object it is found, words in the message.
        let (qa, bit, band) = ("/assets/qa", "/assets/qa/classification:bitfields/0", "/assets/reflectance/bands/1");
        let cases = [
            ("/properties", "datetime", Value::Null, "", "\"datetime\" is a required property"),
            ("/properties", "datetime", json!("2024-05-01"), "/datetime", "date-time"),
            ("/properties", "datetime", json!("2024-02-30T00:00:00Z"), "/datetime", "date-time"),
            ("/properties", "datetime", json!("2024-05-01T10:00:00+08:00"), "/datetime", "does not match"),
            ("/properties", "start_datetime", Value::Null, "", "start_datetime"),
            ("/properties", "gsd", json!(0), "/gsd", "0"),
            ("/properties", "license", json!("all rights reserved"), "/license", "does not match"),
            ("/properties", "eo:cloud_cover", json!(101), "/eo:cloud_cover", "maximum of 100"),
            ("/properties", "eo:cloudcover", json!(1), "", "eo:cloudcover"),
            ("/properties", "view:sun_elevation", json!(91), "/view:sun_elevation", "view 1.1.0"),
            ("/properties", "proj:code", json!(32651), "/proj:code", "32651"),
            ("/properties", "proj:epsg", json!(32651), "", "proj:epsg"),
            ("/properties", "grid:code", json!("utm 51"), "/grid:code", "grid 1.1.0"),
            ("/properties", "processing:software", json!(["gdal"]), "/processing:software", "gdal"),
            (qa, "roles", json!("data"), "/roles", "\"data\""),
            (qa, "href", json!("./a b.tif"), "/href", "iri-reference"),
            (qa, "href", Value::Null, "", "href"),
            (qa, "data_type", json!("Int16"), "/data_type", "Int16"),
            (qa, "nodata", json!("NaN"), "/nodata", "NaN"),
            (qa, "raster:sampling", json!("centre"), "/raster:sampling", "raster 2.0.0"),
            (qa, "file:checksum", json!("1220ABCD"), "/file:checksum", "file 2.1.0"),
            (qa, "file:size", json!(-1), "/file:size", "-1"),
            (qa, "proj:shape", json!([1]), "/proj:shape", "projection 2.0.0"),
            (qa, "proj:transform", json!([1, 2]), "/proj:transform", "projection 2.0.0"),
            (bit, "length", json!(0), "/length", "0"),
            (bit, "classes", Value::Null, "", "classes"),
            (band, "eo:common_name", json!("grün"), "/eo:common_name", "eo 2.0.0"),
            (band, "raster:scale", json!("x"), "/raster:scale", "raster 2.0.0"),
            ("/geometry", "type", json!("Polygone"), "/type", "Polygone"),
            ("/geometry", "coordinates", json!([[[1, 2], [3, 4]]]), "/coordinates/0", "4"),
            ("/links/0", "rel", Value::Null, "", "rel"),
            ("", "bbox", Value::Null, "", "bbox"),
            ("", "collection", Value::Null, "", "collection"),
            ("", "stac_version", json!("1.0.0"), "/stac_version", "1.1.0"),
            ("", "id", json!(""), "/id", "STAC Item 1.1.0"),
        ];
        for (object, key, value, below, words) in cases {
            let problems = changed(|document| {
                let object = document.pointer_mut(object).and_then(Value::as_object_mut).unwrap();
                if value.is_null() {
                    object.remove(key).unwrap();
                } else {
                    object.insert(key.to_owned(), value);
                }
            });
            let path = format!("{object}{below}");
            assert_found(&problems, &path, words);
            assert!(problems.iter().all(|p| p.path.starts_with(&path)), "{key}: more than was broken: {problems:#?}");
        }
    }

    #[test]
    fn an_extension_without_a_schema_here_cannot_be_checked() {
        let url = "https://stac-extensions.github.io/eo/v1.1.0/schema.json";
        let problems = changed(|document| document["stac_extensions"][0] = url.into());
        assert_found(&problems, "/stac_extensions/0", "cannot be checked");
        assert_found(&problems, "/stac_extensions/0", url);
    }

    #[test]
    fn what_is_no_stac_document_is_said_to_be_none() {
        for document in [json!(null), json!([]), json!({ "type": "FeatureCollection" })] {
            assert_found(&validate(&document), "/type", "expected `Feature`");
        }
        let long = json!({ "type": "x".repeat(5000) });
        assert!(validate(&long)[0].message.len() < 200);
    }

    #[test]
    fn a_published_example_passes_and_its_broken_twin_does_not() {
        let good = include_str!("../../testdata/stac/simple-item.json");
        assert_eq!(validate(&serde_json::from_str(good).unwrap()), []);
        let bad = include_str!("../../testdata/stac/invalid-item.json");
        assert_found(&validate(&serde_json::from_str(bad).unwrap()), "/id", "");
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        assert_eq!(Problem::new("/id", "no").to_string(), "/id: no");
        assert_eq!(Problem::new("", "no").to_string(), "document: no");
    }
}
