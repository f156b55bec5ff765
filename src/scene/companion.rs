//! Files that belong to an image by their names.
//!
//! What belongs to an image is found by its name, never by being the only candidate of the wrong part: the RPC of the
//! pan image on the multispectral one gives a picture that looks right and lies in the wrong place.

use std::path::{Path, PathBuf};

use super::SceneError;
use super::files::{self, Surroundings};

/// `<stem of the image><suffix>`, for messages too.
pub(super) fn name(image: &Path, suffix: &str) -> String {
    let file = files::file_name(image);
    format!("{}{suffix}", files::tiff_stem(&file).unwrap_or(&file))
}

/// The file named as the image but for what comes after its stem.
pub(super) fn exact(around: &Surroundings, image: &Path, suffix: &str) -> Result<Option<PathBuf>, SceneError> {
    around.named(&name(image, suffix))
}

/// The first of such files that is there.
pub(super) fn first(around: &Surroundings, image: &Path, suffixes: &[&str]) -> Result<Option<PathBuf>, SceneError> {
    for suffix in suffixes {
        if let Some(path) = exact(around, image, suffix)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Files with `suffix` whose name before it `fits`.
pub(super) fn loose(
    around: &Surroundings,
    suffix: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, SceneError> {
    let named = |path: &&PathBuf| files::strip_suffix(&files::file_name(path), suffix).is_some_and(&fits);
    Ok(around.all()?.iter().filter(named).cloned().collect())
}

/// The one file of a list, none of an empty one.
pub(super) fn single(image: &Path, what: &'static str, mut found: Vec<PathBuf>) -> Result<Option<PathBuf>, SceneError> {
    if found.len() > 1 {
        let names: Vec<_> = found.iter().map(|p| format!("`{}`", files::file_name(p))).collect();
        return Err(SceneError::Ambiguous { path: image.into(), what, candidates: names.join(", ") });
    }
    Ok(found.pop())
}
