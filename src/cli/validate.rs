//! `fieldglow validate`

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use fieldglow::catalog;
use fieldglow::cog::{self, CogError, Depth};
use fieldglow::error::{Class, Error, chain};
use fieldglow::store::{self, Store, StoreError};
use serde_json::{Value, json};

use super::{Failure, Outcome, print, print_json};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// TIFF files, STAC documents, or folders that hold them: paths or URLs (`s3://`, `gs://`, `az://`, `http(s)://`). A
    /// web server has no folders: name a document there, and what it links to below it is checked, too.
    #[arg(required = true, value_name = "URL")]
    paths: Vec<String>,
    /// Check structure only: TIFF directories and STAC documents. No tile is read, no checksum computed.
    #[arg(long)]
    quick: bool,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What was found in one object.
struct Verdict {
    path: String,
    errors: Vec<String>,
    warnings: Vec<String>,
    /// It could not be read, and may be later.
    passing: bool,
}

impl Verdict {
    fn new(path: String) -> Self {
        Self { path, errors: Vec::new(), warnings: Vec::new(), passing: false }
    }

    fn fail(&mut self, error: &Error) {
        self.passing = error.class() == Class::Transient;
        self.errors.push(chain(error));
    }
}

pub fn run(args: &Args) -> Outcome {
    fieldglow::read::prepare_gdal(64 << 20);
    let (urls, paths): (Vec<&String>, Vec<&String>) = args.paths.iter().partition(|p| p.contains("://"));
    let mut files = Vec::new();
    for path in paths {
        if let Err(e) = find(Path::new(path), &mut files) {
            eprintln!("failed: reading `{path}`: {e}");
            return Err(Failure::Code(3));
        }
    }
    files.sort();
    let mut verdicts: Vec<Verdict> = files.iter().map(|f| check_file(f, args.quick)).collect();
    for url in urls {
        verdicts.extend(check_url(url, args.quick)?);
    }
    if verdicts.is_empty() {
        let places: Vec<_> = args.paths.iter().map(|p| format!("`{}`", store::shown(p))).collect();
        eprintln!("error: no TIFF and no STAC document to check in {}", places.join(", "));
        return Err(Failure::Code(3));
    }
    let failed = verdicts.iter().filter(|v| !v.errors.is_empty()).count();
    let passing = verdicts.iter().filter(|v| v.passing).count();
    if args.json {
        let list: Vec<Value> = verdicts
            .iter()
            .map(
                |v| json!({ "path": v.path, "valid": v.errors.is_empty(), "errors": v.errors, "warnings": v.warnings }),
            )
            .collect();
        print_json(&list)?;
    } else {
        let mut out = String::new();
        for v in &verdicts {
            line!(out, "{} {}", if v.errors.is_empty() { "ok  " } else { "BAD " }, v.path);
            v.errors.iter().for_each(|e| line!(out, "     error: {e}"));
            v.warnings.iter().for_each(|w| line!(out, "     warning: {w}"));
        }
        print(&out)?;
        eprintln!("{} of {} objects conform", verdicts.len() - failed, verdicts.len());
    }
    match failed {
        0 => Ok(()),
        n if n == passing => Err(Failure::Code(75)),
        n if n == verdicts.len() => Err(Failure::Code(3)),
        _ => Err(Failure::Code(2)),
    }
}

/// Folders deeper than this are not searched: no output is, and links may run in circles.
const MAX_DEPTH: usize = 16;

fn find(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if depth < MAX_DEPTH {
                    walk(&path, depth + 1, files)?;
                }
            } else if wanted(&path.to_string_lossy()) {
                files.push(path);
            }
        }
        Ok(())
    }
    if std::fs::metadata(path)?.is_dir() {
        walk(path, 0, files)
    } else {
        files.push(path.to_owned());
        Ok(())
    }
}

/// COGs, and the documents that have a fixed name.
fn wanted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    is_tiff(&name) || ["item.json", "collection.json", "plan.json"].contains(&name.as_str())
}

fn is_tiff(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".tif") || name.ends_with(".tiff")
}

fn is_document(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".json")
}

fn depth(quick: bool) -> Depth {
    if quick { Depth::Structure } else { Depth::Full }
}

fn check_file(path: &Path, quick: bool) -> Verdict {
    let mut v = Verdict::new(path.display().to_string());
    if is_document(&v.path) {
        match std::fs::read(path).map_err(|e| e.to_string()).and_then(|b| document(&b)) {
            Err(e) => v.errors.push(e),
            Ok(document) => {
                check_document(&document, &mut v);
                if !quick {
                    let folder = path.parent().unwrap_or(Path::new("."));
                    v.errors.extend(catalog::conform_item(&document, folder).iter().map(ToString::to_string));
                }
            }
        }
        return v;
    }
    add_report(cog::validate(path, depth(quick)), &mut v);
    v
}

fn document(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

fn check_document(document: &Value, v: &mut Verdict) {
    // A plan holds the Item that the scene is to have.
    let is_plan = v.path.ends_with("/plan.json") || v.path == "plan.json";
    let stac = if is_plan { &document["item"] } else { document };
    v.errors.extend(catalog::validate(stac).iter().map(ToString::to_string));
}

fn add_report(found: Result<cog::Report, CogError>, v: &mut Verdict) {
    match found {
        Err(e) => v.errors.push(chain(&e)),
        Ok(report) => {
            v.errors.extend(report.errors.iter().map(|f| format!("{}: {}", f.check, f.message)));
            v.warnings.extend(report.warnings.iter().map(|f| format!("{}: {}", f.check, f.message)));
        }
    }
}

/// Checks one object, or all below a folder. Where nothing can be listed, what documents link to.
fn check_url(text: &str, quick: bool) -> Result<Vec<Verdict>, StoreError> {
    let text = text.trim_end_matches('/');
    let bare = text.split(['?', '#']).next().unwrap_or_default();
    let is_web = ["http://", "https://"].iter().any(|s| text.to_ascii_lowercase().starts_with(s));
    if !(is_tiff(bare) || is_document(bare)) {
        let store = store::open(text)?;
        let names = store.list("", "")?.into_iter().filter(|name| wanted(name));
        return Ok(names.map(|name| check_object(&*store, &name, quick).0).collect());
    }
    let (root, name) = bare.rsplit_once('/').unwrap_or(("", bare));
    let name = catalog::path_from_href(&format!("./{name}")).and_then(|n| n.strip_prefix("./").map(str::to_owned));
    let name = name.ok_or_else(|| StoreError::Name { name: bare.to_owned() })?;
    // What a server wants to see with every request, such as a signature, stands in the query.
    let store = store::open(&format!("{root}{}", &text[bare.len()..]))?;
    let mut verdicts = Vec::new();
    let (mut seen, mut next) = (BTreeSet::from([name.clone()]), vec![name]);
    while let Some(name) = next.pop() {
        let (verdict, links) = check_object(&*store, &name, quick);
        verdicts.push(verdict);
        if is_web {
            next.extend(links.into_iter().filter(|name| seen.insert(name.clone())));
        }
    }
    Ok(verdicts)
}

/// What is wrong with an object, and the names of those it links to.
fn check_object(store: &dyn Store, name: &str, quick: bool) -> (Verdict, Vec<String>) {
    let mut v = Verdict::new(format!("{}/{name}", store.url()));
    let bytes = match store.get(name) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            v.errors.push("there is no such object".into());
            return (v, Vec::new());
        }
        Err(e) => {
            v.fail(&e.into());
            return (v, Vec::new());
        }
    };
    if !is_document(name) {
        add_report(cog::validate_bytes(Path::new(&v.path), bytes, depth(quick)), &mut v);
        return (v, Vec::new());
    }
    let document = match document(&bytes) {
        Ok(document) => document,
        Err(e) => {
            v.errors.push(e);
            return (v, Vec::new());
        }
    };
    check_document(&document, &mut v);
    if !quick {
        let passing = Cell::new(false);
        let open = |relative: &str| -> io::Result<(u64, Cursor<Vec<u8>>)> {
            let name = beside(name, relative).ok_or_else(|| io::Error::other("it leaves the store"))?;
            let bytes = store.get(&name).map_err(|e| {
                let e = Error::from(e);
                passing.set(passing.get() || e.class() == Class::Transient);
                io::Error::other(chain(&e))
            })?;
            let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok((bytes.len() as u64, Cursor::new(bytes)))
        };
        v.errors.extend(catalog::conform_item_in(&document, open).iter().map(ToString::to_string));
        v.passing = passing.get();
    }
    (v, links(&document, name))
}

/// Names of the Items of a Collection and of the COGs of an Item.
fn links(document: &Value, name: &str) -> Vec<String> {
    let items = document["links"].as_array().into_iter().flatten().filter(|link| link["rel"] == "item");
    let assets = document["assets"].as_object().into_iter().flatten().map(|(_, asset)| asset);
    let hrefs = items.chain(assets).filter_map(|v| catalog::path_from_href(v["href"].as_str()?));
    let names = hrefs.filter_map(|path| beside(name, &path));
    names.filter(|name| wanted(name)).collect()
}

/// The name of what stands at a relative path from an object; nothing when it would leave the store.
fn beside(name: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_below_the_store() {
        assert_eq!(beside("a/item.json", "./k/x.tif").as_deref(), Some("a/k/x.tif"));
        assert_eq!(beside("a/b/item.json", "../../c.json").as_deref(), Some("c.json"));
        assert_eq!(beside("item.json", "../x.json"), None);
    }

    #[test]
    fn documents_link_to_items_and_files() {
        let document = json!({
            "links": [
                { "rel": "item", "href": "./c/item.json" },
                { "rel": "self", "href": "./collection.json" },
                { "rel": "item", "href": "https://elsewhere/item.json" },
            ],
            "assets": { "a": { "href": "./k/a.tif" }, "b": { "href": "./k/survey.json" } },
        });
        assert_eq!(links(&document, "p/collection.json"), ["p/c/item.json", "p/k/a.tif"]);
    }
}
