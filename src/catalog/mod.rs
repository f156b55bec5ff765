//! STAC 1.1.0 documents: Items and Collections, and whether such documents are right.
//!
//! Invariant: a document is a function of its records alone. No clock, no environment, no order of arrival reaches it, so
//! the same work gives the same bytes. An extension is listed if and only if one of its fields is used.
//!
//! Writing never fails: a number that JSON cannot hold becomes `null`, which [`validate`] refuses. Whoever publishes a
//! document checks it first.

mod collection;
mod conform;
mod href;
mod item;
mod outline;
mod record;
mod schemas;
mod validate;

use serde_json::{Map, Number, Value};

pub use collection::Gathered;
pub use conform::{conform_item, conform_item_in};
pub use href::{href_from_path, path_from_href};
pub use item::{add_asset, item};
pub use outline::{Located, locate};
pub use record::{
    Angles, AssetRecord, BandRecord, BitField, ClassRecord, CollectionRecord, Expression, ItemRecord, Link, Parent,
    Processing, Projection, Provider, RasterRecord, Statistics, media_type,
};
pub use validate::{Problem, validate};

use crate::error::{Class, Classify};
use crate::grid::CrsError;

/// The STAC version of every document written here.
pub const STAC_VERSION: &str = "1.1.0";

/// Why a reference system cannot be written into a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// GDAL does not take its own definition back.
    #[error("describing the reference system {crs} for a STAC document")]
    Crs {
        /// The system.
        crs: String,
        /// What is wrong with it.
        #[source]
        source: Box<CrsError>,
    },
    /// It has no EPSG code and cannot be written as PROJJSON either.
    #[error("writing the reference system {crs}, which has no EPSG code, as PROJJSON; choose one with a code")]
    Projjson {
        /// The system.
        crs: String,
        /// What GDAL says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// The PROJJSON is no JSON.
    #[error("reading the PROJJSON of the reference system {crs} back")]
    Json {
        /// The system.
        crs: String,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl Classify for CatalogError {
    fn class(&self) -> Class {
        match self {
            Self::Crs { source, .. } => source.class(),
            Self::Projjson { .. } => Class::Unsupported,
            Self::Json { .. } => Class::Bug,
        }
    }
}

/// The bytes of a document: indented JSON and a line feed.
pub fn to_bytes(document: &Value) -> Vec<u8> {
    let mut text = format!("{document:#}");
    text.push('\n');
    text.into_bytes()
}

/// A number without a superfluous `.0`; `null` when it is not finite.
fn number(value: f64) -> Value {
    /// Above this not every integer is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// A JSON object under construction: keys stay in the order they were put in.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Nothing if there is no value: STAC fields are left out rather than null.
    fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn put_number(&mut self, key: &str, value: Option<f64>) {
        self.put_some(key, value.map(number));
    }

    /// Nothing if the list is empty.
    fn put_list(&mut self, key: &str, values: impl IntoIterator<Item = impl Into<Value>>) {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            self.put(key, values);
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

/// URLs of the extensions whose fields stand in `document`, in a fixed order.
fn extensions(document: &Map<String, Value>) -> Vec<Value> {
    fn holds(value: &Value, prefix: &str) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(key, value)| key.starts_with(prefix) || holds(value, prefix)),
            Value::Array(list) => list.iter().any(|value| holds(value, prefix)),
            _ => false,
        }
    }
    let is_item = document.get("type").is_some_and(|t| t == "Feature");
    let fields = ["properties", "assets", "summaries", "item_assets", "providers"];
    schemas::EXTENSIONS
        .iter()
        .filter(|e| is_item || e.in_collections)
        .filter(|e| fields.iter().filter_map(|f| document.get(*f)).any(|value| holds(value, e.prefix)))
        .map(|e| e.url.into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_ornament() {
        assert_eq!(number(-32768.0).to_string(), "-32768");
        assert_eq!(number(0.0001).to_string(), "0.0001");
        assert_eq!(number(-0.0).to_string(), "0");
        assert_eq!(number(f64::NAN), Value::Null);
        assert_eq!(number(1e300), serde_json::json!(1e300));
    }

    #[test]
    fn bytes_are_stable_and_end_with_a_line_feed() {
        let document = serde_json::json!({"b": 1, "a": [1.5]});
        assert_eq!(to_bytes(&document), b"{\n  \"b\": 1,\n  \"a\": [\n    1.5\n  ]\n}\n");
    }
}
