//! The pipeline file: what to make of a scene.
//!
//! Two steps, never mixed: [`parse`] turns text into a [`Pipeline`] or **every** mistake in it at once; the engine then
//! resolves it against a scene. Nothing here opens a scene, so `check` needs none.

pub mod coregistration;
mod geoid;
mod height;
mod mistakes;
mod overrides;
pub mod place;
mod product;
mod sections;
mod sharpen;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use coregistration::{Coregistration, OnWeak, ReferenceBand};
pub use height::{Datum, Dem, Height};
pub use mistakes::Mistake;
pub use overrides::apply as apply_override;
pub use product::{Kind, Product, Sample};
pub use sections::*;

use crate::error::{Class, Classify};
use crate::grid::cell::Tiling;

/// A checked pipeline.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Pipeline {
    /// First folder of everything it writes.
    pub name: String,
    /// What people read in the Collection.
    pub description: String,
    /// `[input]`
    pub input: Input,
    /// `[radiometry]`
    pub radiometry: Radiometry,
    /// `[geometry]`
    pub geometry: Geometry,
    /// `[coregistration]`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coregistration: Option<Coregistration>,
    /// `[night]`
    pub night: Night,
    /// `[[product]]`
    pub product: Vec<Product>,
    /// `[output]`
    pub output: Output,
}

impl Pipeline {
    /// The finest pixel of any product: it decides the cells, whether or not a scene can make that product. Infinite in
    /// mode `native`.
    ///
    /// # Units
    /// Those of the grid.
    pub fn finest(&self) -> f64 {
        finest(&self.product, Some(&self.geometry))
    }
}

fn finest(products: &[Product], geometry: Option<&Geometry>) -> f64 {
    let tiling = geometry.map_or(Tiling::Metric, Geometry::tiling);
    let default = geometry.and_then(|g| g.pixel(tiling));
    products.iter().filter_map(|p| p.pixel(tiling).or(default)).fold(f64::INFINITY, f64::min)
}

/// What is wrong with a pipeline file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The pipeline file cannot be read.
    #[error("reading the pipeline file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The pipeline file is no TOML.
    #[error("the pipeline file `{path}` is no TOML: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
    /// An override cannot be applied.
    #[error("--set {what}: {problem}")]
    Override {
        /// The override as given.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// The pipeline file has mistakes.
    #[error("the pipeline file `{path}` has {} mistake{}:{}", mistakes.len(), if mistakes.len() == 1 { "" } else { "s" }, list(mistakes))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them.
        mistakes: Vec<Mistake>,
    },
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().fold(String::new(), |text, m| text + "\n  " + &m.to_string())
}

impl Classify for ConfigError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// Largest pipeline file that is read, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a pipeline file and applies `--set` overrides.
///
/// Paths in the file are relative to the file, paths in overrides to the working folder.
///
/// # Errors
/// [`ConfigError`], with all mistakes at once.
pub fn load(path: &Path, sets: &[String]) -> Result<Pipeline, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(read)?.len();
    if size > MAX_FILE_BYTES {
        return Err(read(std::io::Error::other(format!(
            "it has {size} bytes, more than the limit of {MAX_FILE_BYTES}"
        ))));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parse(&text, path, base, sets)
}

/// Checks the text of a pipeline file. `path` is for messages, `base` the folder its relative paths start from.
///
/// # Errors
/// [`ConfigError`], with all mistakes at once.
pub fn parse(text: &str, path: &Path, base: &Path, sets: &[String]) -> Result<Pipeline, ConfigError> {
    let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        problem: e.to_string().trim_end().replace('\n', "\n  "),
    })?;
    sections::anchor_paths(&mut table, base);
    coregistration::anchor(&mut table, base);
    for set in sets {
        overrides::apply(&mut table, set)?;
    }
    check(table).map_err(|mistakes| ConfigError::Mistakes { path: path.to_owned(), mistakes })
}

/// The JSON Schema of the pipeline file, generated from the types and their documentation.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

fn check(mut table: toml::Table) -> Result<Pipeline, Vec<Mistake>> {
    // Unknown keys are said and taken out, so that they do not hide what else is wrong.
    let mut found = mistakes::take_unknown_keys(&mut table, &schema());
    match table.get("schema").map(|v| v.as_integer()) {
        None => found.push(Mistake::new("schema", "missing; write `schema = 1` as the first line")),
        Some(Some(1)) => {}
        Some(_) => found.push(Mistake::new("schema", "this version reads schema 1 only; write `schema = 1`")),
    }
    let name: Option<String> = section(&table, "name", None, &mut found);
    if let Some(problem) = name.as_deref().and_then(bad_name) {
        found.push(Mistake::new("name", problem));
    }
    let description = section(&table, "description", Some(String::new()), &mut found);
    let input: Option<Input> = section(&table, "input", Some(Input::default()), &mut found);
    let radiometry: Option<Radiometry> = section(&table, "radiometry", Some(Radiometry::default()), &mut found);
    let mut geometry: Option<Geometry> = section(&table, "geometry", None, &mut found);
    let coregistration: Option<Option<Coregistration>> = match table.get("coregistration") {
        Some(v) => value(v.clone(), "coregistration", &mut found).map(Some),
        None => Some(None),
    };
    let night: Option<Night> = section(&table, "night", Some(Night::default()), &mut found);
    let output: Option<Output> = section(&table, "output", Some(Output::default()), &mut found);
    let mut products = Vec::new();
    match table.get("product") {
        Some(toml::Value::Array(items)) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                let product: Option<Product> = value(item.clone(), &product_path(item, i), &mut found);
                products.extend(product);
            }
        }
        _ => found.push(Mistake::new("product", "there is none; ask for at least one with a `[[product]]` section")),
    }
    if let Some(g) = &mut geometry {
        g.check(&mut found);
        g.complete(&mut found);
    }
    if let Some(Some(c)) = &coregistration {
        c.check(geometry.as_ref(), &mut found);
    }
    if let Some(r) = &radiometry {
        r.check(&mut found);
    }
    if let Some(n) = &night {
        n.check(&products, &mut found);
    }
    if let Some(o) = &output {
        o.check(&mut found);
    }
    let finest = finest(&products, geometry.as_ref());
    let mut names = BTreeSet::new();
    for (i, p) in products.iter().enumerate() {
        p.check(i, geometry.as_ref(), radiometry.as_ref(), finest, &mut found);
        if !names.insert(&p.name) {
            found.push(Mistake::new(format!("product.{}", p.name), "two products have this name; give each its own"));
        }
    }
    match (name, description, input, radiometry, geometry, coregistration, night, output) {
        (
            Some(name),
            Some(description),
            Some(input),
            Some(radiometry),
            Some(geometry),
            Some(coregistration),
            Some(night),
            Some(output),
        ) if found.is_empty() => Ok(Pipeline {
            name,
            description,
            input,
            radiometry,
            geometry,
            coregistration,
            night,
            product: products,
            output,
        }),
        _ => {
            found.sort_by(|a, b| a.path.cmp(&b.path));
            found.dedup();
            Err(found)
        }
    }
}

/// Why a text cannot be a folder or file name of the output, if it cannot.
pub(crate) fn bad_name(name: &str) -> Option<String> {
    let fine = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!fine).then(|| format!("`{name}` cannot be part of a path everywhere; use a to z, 0 to 9, `-` and `_`, at most 64, a letter or digit first"))
}

/// `product.ndvi` where it has a name, else `product[3]`.
fn product_path(item: &toml::Value, i: usize) -> String {
    match item.get("name").and_then(|n| n.as_str()) {
        Some(name) => format!("product.{name}"),
        None => format!("product[{i}]"),
    }
}

fn section<T: DeserializeOwned>(
    table: &toml::Table,
    key: &str,
    default: Option<T>,
    found: &mut Vec<Mistake>,
) -> Option<T> {
    match table.get(key) {
        Some(v) => value(v.clone(), key, found),
        None if default.is_some() => default,
        None => {
            found.push(Mistake::new(key, "missing; it has no default"));
            None
        }
    }
}

fn value<T: DeserializeOwned>(value: toml::Value, path: &str, found: &mut Vec<Mistake>) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(v) => Some(v),
        Err(e) => {
            let inner = e.path().to_string();
            let text = e.into_inner().to_string();
            let path = if inner == "." { path.to_owned() } else { format!("{path}.{inner}") };
            found.push(Mistake::new(path, text.trim_end().replace('\n', " ")));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
schema = 1
name = "agriculture"

[radiometry]
level = "toa"

[geometry]
mode = "ortho"
crs = "utm"
resolution = 3.0
height = { dem = "Cargo.toml", datum = "ellipsoid" }

[[product]]
name = "reflectance"
kind = "bands"
bands = ["B", "G", "R", "N"]

[[product]]
name = "ndvi"
kind = "index"
index = "NDVI"

[[product]]
name = "qa"
kind = "qa"
"#;

    fn parsed(text: &str) -> Result<Pipeline, ConfigError> {
        parse(text, Path::new("p.toml"), Path::new(env!("CARGO_MANIFEST_DIR")), &[])
    }

    fn mistakes(text: &str) -> Vec<String> {
        match parsed(text) {
            Err(ConfigError::Mistakes { mistakes, .. }) => mistakes.iter().map(ToString::to_string).collect(),
            other => vec![format!("no mistakes: {other:?}")],
        }
    }

    #[test]
    fn a_good_file_is_read_and_its_paths_start_at_the_file() {
        let p = parsed(GOOD).unwrap();
        assert_eq!(p.product.len(), 3);
        let height = p.geometry.height.unwrap();
        assert!(height.dem.unwrap().files()[0].ends_with("Cargo.toml"));
    }

    #[test]
    fn every_mistake_is_said_at_once_with_the_nearest_key() {
        let text = GOOD
            .replace("schema = 1", "schema = 7")
            .replace("level = \"toa\"", "levle = \"toa\"")
            .replace("resolution = 3.0", "resolution = 2.88")
            .replace("index = \"NDVI\"", "index = \"NDVY\"")
            .replace(", datum = \"ellipsoid\"", "");
        let m = mistakes(&text).join("\n");
        for part in
            ["schema: ", "radiometry.levle: unknown key; did you mean `level`?", "geometry.resolution", "NDVY", "datum"]
        {
            assert!(m.contains(part), "{part} not in:\n{m}");
        }
    }

    #[test]
    fn an_unknown_key_hides_nothing_else_in_its_section() {
        let text = GOOD.replace("resolution = 3.0", "resolutoin = 3.0").replace("height = {", "hight = {");
        let m = mistakes(&text).join("\n");
        for part in [
            "did you mean `resolution`?",
            "did you mean `height`?",
            "geometry.resolution: missing",
            "geometry.height: missing",
        ] {
            assert!(m.contains(part), "{part} not in:\n{m}");
        }
    }

    #[test]
    fn products_of_one_grid_fit_its_cells() {
        // 600 m divides 7680 m cells only in part; 480 m does, but not the 3840 m cells a 0.75 m product asks for.
        let text = GOOD
            .replace("name = \"qa\"\n", "name = \"qa\"\nresolution = 0.75\n")
            .replace("resolution = 3.0", "resolution = 512.0");
        let m = mistakes(&text).join("\n");
        assert!(m.contains("product.ndvi.resolution") && m.contains("3840"), "{m}");
        let p = parsed(&GOOD.replace("name = \"qa\"\n", "name = \"qa\"\nresolution = 0.75\n")).unwrap();
        assert_eq!(p.finest(), 0.75);
    }

    #[test]
    fn heights_need_their_datum() {
        let m = mistakes(&GOOD.replace(", datum = \"ellipsoid\"", "")).join("\n");
        assert!(m.contains("geometry.height") && m.contains("datum") && m.contains("`ellipsoid`, `egm96`"), "{m}");
    }

    #[test]
    fn files_may_be_urls_of_what_can_be_read() {
        let with = |dem: &str| GOOD.replace("\"Cargo.toml\"", dem);
        let urls = r#"["s3://b/a.tif", "https://h/b.tif?sig=x", "Cargo.toml", "file:///nowhere/c.tif"]"#;
        let m = mistakes(&with(urls));
        assert_eq!(m, ["geometry.height.dem: there is no file `/nowhere/c.tif`"]);
        let mut p = parsed(&with(&urls.replace(", \"file:///nowhere/c.tif\"", ""))).unwrap();
        let named: Vec<_> = p.files_mut().map(|(key, file)| (key, file.to_string_lossy().into_owned())).collect();
        let local = format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(named.iter().map(|n| &*n.1).collect::<Vec<_>>(), ["s3://b/a.tif", "https://h/b.tif?sig=x", &local]);
        assert!(named.iter().all(|n| n.0 == "geometry.height.dem"));
        for wrong in ["ftp://h/a.tif", "s3:///a.tif", "s3://b/dems/", "https://"] {
            let m = mistakes(&with(&format!("\"{wrong}\""))).join("\n");
            assert!(m.starts_with("geometry.height.dem: ") && m.contains("URL") | m.contains("names no file"), "{m}");
        }
    }

    #[test]
    fn overrides_reach_products_by_name_and_are_checked_too() {
        let sets = |s: &[&str]| s.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let at = |s: &[&str]| parse(GOOD, Path::new("p.toml"), Path::new(env!("CARGO_MANIFEST_DIR")), &sets(s));
        let p = at(&["product.ndvi.resolution=6", "geometry.height.dem=Cargo.lock", "output.url=s3://b/p"]).unwrap();
        assert_eq!(p.product[1].resolution, Some(6.0));
        assert_eq!(p.geometry.height.unwrap().dem.unwrap().files(), [Path::new("Cargo.lock")]);
        assert!(at(&["product.nope.resolution=6"]).unwrap_err().to_string().contains("nope"));
        assert!(at(&["nonsense"]).is_err());
        assert!(at(&["radiometry.levels=toa"]).unwrap_err().to_string().contains("level"));
    }

    #[test]
    fn projected_modes_and_sensor_mode_ask_for_what_they_need() {
        let native = GOOD.replace("mode = \"ortho\"", "mode = \"native\"");
        let m = mistakes(&native).join("\n");
        assert!(
            m.contains("geometry.resolution") && m.contains("geometry.height") && m.contains("geometry.crs"),
            "{m}"
        );
        let none = GOOD.replace("resolution = 3.0\n", "");
        assert!(mistakes(&none).join("\n").contains("geometry.resolution"));
    }

    #[test]
    fn sharpening_is_said_in_full_or_refused() {
        let of = |keys: &str| {
            GOOD.replace("kind = \"qa\"", &format!("kind = \"pansharpen\"\nbands = [\"G\", \"R\"]\n{keys}"))
        };
        for fine in [
            "",
            "method = \"mtf-glp-hpm\"\nfit = \"regression\"\nmtf_gain = { G = 0.35, PAN = 0.2 }",
            "method = \"brovey\"\nweights = { G = 0.5, R = 0.4 }",
        ] {
            assert!(parsed(&of(fine)).is_ok(), "{fine}: {:?}", mistakes(&of(fine)));
        }
        for (keys, at) in [
            ("method = \"brovey\"\nfit = \"moments\"", "product.qa.fit"),
            ("weights = { G = 0.5, R = 0.4 }", "product.qa.weights"),
            ("method = \"brovey\"\nweights = { G = 0.5 }", "R is missing"),
            ("method = \"brovey\"\nweights = { G = 0.0, R = 0.0 }", "sum is 0"),
            ("method = \"brovey\"\nweights = { G = -1.0, R = 2.0 }", "product.qa.weights.G"),
            ("mtf_gain = { N = 0.3 }", "product.qa.mtf_gain.N"),
            ("mtf_gain = { G = 0.95 }", "0.05 to 0.9"),
            ("mtf_gain = { PAN = 0.01 }", "product.qa.mtf_gain.PAN"),
        ] {
            let m = mistakes(&of(keys)).join("\n");
            assert!(m.contains(at), "{keys}: {m}");
        }
        let m = mistakes(&of("").replace("[\"G\", \"R\"]", "[\"PAN\"]")).join("\n");
        assert!(m.contains("name the bands to sharpen"), "{m}");
        let m = mistakes(&GOOD.replace("kind = \"qa\"", "kind = \"qa\"\nmethod = \"brovey\"")).join("\n");
        assert!(m.contains("product.qa.method"), "{m}");
        // Products of other kinds are written as before: the key of what stands in storage holds on to them.
        let text = serde_json::to_string(&parsed(GOOD).unwrap()).unwrap();
        assert!(["method", "fit", "mtf_gain", "weights"].iter().all(|k| !text.contains(&format!("\"{k}\""))), "{text}");
    }

    #[test]
    fn the_schema_documents_every_key() {
        let schema = schema();
        let text = schema.to_string();
        for key in ["schema", "resolution", "datum", "esun", "compression"] {
            assert!(text.contains(&format!("\"{key}\"")), "{key}");
        }
        fn undocumented(path: &str, v: &serde_json::Value, found: &mut Vec<String>) {
            if let Some(props) = v.get("properties").and_then(|p| p.as_object()) {
                for (k, p) in props {
                    // A map: its keys are the roles.
                    if ["/esun", "/dark_dn", "/lit_threshold", "/mtf_gain", "/weights"]
                        .iter()
                        .any(|map| path.ends_with(map))
                    {
                        continue;
                    }
                    if p.get("description").is_none() {
                        found.push(format!("{path}.{k}"));
                    }
                }
            }
            match v {
                serde_json::Value::Object(o) => {
                    o.iter().for_each(|(k, v)| undocumented(&format!("{path}/{k}"), v, found))
                }
                serde_json::Value::Array(a) => a.iter().for_each(|v| undocumented(path, v, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        undocumented("", &schema, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}
