//! `fieldglow validate`

use std::path::{Path, PathBuf};

use fieldglow::catalog;
use fieldglow::cog::{self, Depth};
use fieldglow::error::chain;
use serde_json::{Value, json};

use super::{Failure, Outcome, print, print_json};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// TIFF files, STAC documents, or folders that hold them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Check structure only: TIFF directories and STAC documents. No tile is read, no checksum computed.
    #[arg(long)]
    quick: bool,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What was found in one object.
struct Verdict {
    path: PathBuf,
    errors: Vec<String>,
    warnings: Vec<String>,
}

pub fn run(args: &Args) -> Outcome {
    fieldglow::read::prepare_gdal(64 << 20);
    let mut files = Vec::new();
    for path in &args.paths {
        if let Err(e) = find(path, &mut files) {
            eprintln!("failed: reading `{}`: {e}", path.display());
            return Err(Failure::Code(3));
        }
    }
    files.sort();
    if files.is_empty() {
        let places: Vec<_> = args.paths.iter().map(|p| format!("`{}`", p.display())).collect();
        eprintln!("error: no TIFF and no STAC document to check in {}", places.join(", "));
        return Err(Failure::Code(3));
    }
    let verdicts: Vec<Verdict> = files.iter().map(|f| check(f, args.quick)).collect();
    let failed = verdicts.iter().filter(|v| !v.errors.is_empty()).count();
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
            line!(out, "{} {}", if v.errors.is_empty() { "ok  " } else { "BAD " }, v.path.display());
            v.errors.iter().for_each(|e| line!(out, "     error: {e}"));
            v.warnings.iter().for_each(|w| line!(out, "     warning: {w}"));
        }
        print(&out)?;
        eprintln!("{} of {} objects conform", verdicts.len() - failed, verdicts.len());
    }
    match failed {
        0 => Ok(()),
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
            } else if wanted(&path) {
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
fn wanted(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.ends_with(".tif")
        || name.ends_with(".tiff")
        || ["item.json", "collection.json", "plan.json"].contains(&name.as_str())
}

fn check(path: &Path, quick: bool) -> Verdict {
    let mut v = Verdict { path: path.to_owned(), errors: Vec::new(), warnings: Vec::new() };
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        match std::fs::read(path)
            .map_err(|e| e.to_string())
            .and_then(|b| serde_json::from_slice::<Value>(&b).map_err(|e| e.to_string()))
        {
            Err(e) => v.errors.push(e),
            Ok(document) => {
                // A plan holds the Item that the scene is to have.
                let plan = path.file_name().is_some_and(|n| n == "plan.json");
                let stac = if plan { &document["item"] } else { &document };
                v.errors.extend(catalog::validate(stac).iter().map(ToString::to_string));
                if !quick {
                    let folder = path.parent().unwrap_or(Path::new("."));
                    v.errors.extend(catalog::conform_item(&document, folder).iter().map(ToString::to_string));
                }
            }
        }
        return v;
    }
    match cog::validate(path, if quick { Depth::Structure } else { Depth::Full }) {
        Err(e) => v.errors.push(chain(&e)),
        Ok(report) => {
            v.errors.extend(report.errors.iter().map(|f| format!("{}: {}", f.check, f.message)));
            v.warnings.extend(report.warnings.iter().map(|f| format!("{}: {}", f.check, f.message)));
        }
    }
    v
}
