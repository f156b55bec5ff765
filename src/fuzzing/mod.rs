//! Every reader of bytes from outside, and what compresses tiles, as functions of any bytes: what fuzzers call, and a short
//! test of it.
//!
//! Not part of the interface: compiled for tests, and for the `fuzz` package, which sets `cfg(fuzzing)`. A target returns for
//! whatever bytes it is given; it panics when a reader does, or when what was read breaks a promise of the reader's.

mod formula;
#[cfg(test)]
mod tests;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::catalog;
use crate::cog::{self, Depth};
use crate::config;
use crate::read::Raster;
use crate::{describe, read, scene, store};

/// A reader with its promises, on bytes, with a folder for its files. True if the bytes were what it reads.
pub type Target = fn(&Path, &[u8]) -> bool;

/// All targets by name; `fuzz/fuzz_targets` and `fuzz/seeds` have the same names.
pub const TARGETS: [(&str, Target); 18] = [
    ("names", scene::fuzz::names),
    ("metadata", scene::fuzz::metadata),
    ("rpc", scene::fuzz::rpc),
    ("sidecar", scene::fuzz::sidecar),
    ("coefficients", scene::fuzz::coefficients),
    ("stac_scene", scene::fuzz::stac_scene),
    ("footprint", scene::fuzz::footprint),
    ("dimap", describe::fuzz::dimap),
    ("mtl", describe::fuzz::mtl),
    ("pipeline", pipeline),
    ("overrides", overrides),
    ("formula", formula::formula),
    ("tiff", read::fuzz::tiff),
    ("shapes", read::fuzz::shapes),
    ("cog", cog),
    ("stac_document", stac_document),
    ("uploads", store::fuzz::uploads),
    ("tiles", cog::fuzz::tiles),
];

/// Runs the target of that name in a folder of this process; an unknown name does nothing.
pub fn run(name: &str, data: &[u8]) {
    read::prepare_gdal(64 << 20);
    let folder = std::env::temp_dir().join(format!("fieldglow-fuzz-{}", std::process::id()));
    assert!(std::fs::create_dir_all(&folder).is_ok(), "{folder:?}");
    TARGETS.iter().filter(|(known, _)| *known == name).for_each(|(_, target)| {
        target(&folder, data);
    });
}

/// A folder for pipeline files, with the DEMs that those of this repository name.
fn beside_dems(folder: &Path) -> PathBuf {
    let base = folder.join("pipelines");
    for dem in ["out/delivery/dem.tif", "out/night/dem.tif"].map(|name| folder.join(name)) {
        if !dem.exists() {
            let made = [&base, &dem.with_file_name("")].map(std::fs::create_dir_all);
            assert!(made.iter().all(Result::is_ok) && std::fs::write(&dem, "").is_ok());
        }
    }
    base
}

/// Pipeline files: a checked pipeline written as one is the same pipeline.
fn pipeline(folder: &Path, data: &[u8]) -> bool {
    let (path, base) = (Path::new("pipeline.toml"), &beside_dems(folder));
    let Ok(pipeline) = config::parse(&String::from_utf8_lossy(data), path, base, &[]) else { return false };
    let table = toml::Table::try_from(&pipeline);
    assert!(table.is_ok(), "{table:?}");
    let text = format!("schema = 1\n{}", table.unwrap_or_default());
    let again = config::parse(&text, path, base, &[]);
    assert!(again.as_ref().is_ok_and(|again| *again == pipeline), "{pipeline:?}\n{text}\n{again:?}");
    true
}

/// `--set`, on a pipeline file.
fn overrides(folder: &Path, data: &[u8]) -> bool {
    let text = include_str!("../../pipelines/agriculture.toml");
    let set = String::from_utf8_lossy(data).into_owned();
    config::parse(text, Path::new("pipeline.toml"), &beside_dems(folder), &[set]).is_ok()
}

/// Checks of finished files: what is valid is valid by its structure, and can be read.
fn cog(folder: &Path, data: &[u8]) -> bool {
    let name = Path::new("a.tif");
    let full = cog::validate_bytes(name, data.to_vec(), Depth::Full);
    let structure = cog::validate_bytes(name, data.to_vec(), Depth::Structure);
    let Ok(full) = full else { return false };
    assert!(structure.is_ok(), "{structure:?}");
    if !full.is_valid() {
        return false;
    }
    assert!(structure.is_ok_and(|s| s.is_valid()));
    let path = folder.join("cog.tif");
    assert!(std::fs::write(&path, data).is_ok());
    let raster = Raster::open(&path);
    assert!(raster.is_ok(), "{raster:?}");
    true
}

/// Checks of STAC documents, and of the files an Item names; a document is written as it was read.
fn stac_document(_: &Path, data: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(data) else { return false };
    let mut problems = catalog::validate(&document);
    problems.extend(catalog::conform_item_in(&document, |_| Ok((3, Cursor::new(b"abc")))));
    for problem in problems {
        assert!(!problem.to_string().is_empty());
    }
    let again = serde_json::from_slice::<serde_json::Value>(&catalog::to_bytes(&document));
    assert!(again.as_ref().is_ok_and(|again| *again == document), "{document}\n{again:?}");
    true
}
