//! Files that a pipeline names beside its scenes: paths, or the URLs of files elsewhere.

use std::path::{Path, PathBuf};

use url::Url;

use super::{Dem, Pipeline};
use crate::store::{self, SCHEMES};

/// The URL that stands in place of a path, if one does.
///
/// # Errors
/// Why nothing can be read from it.
pub fn url(path: &Path) -> Option<Result<Url, String>> {
    let text = path.to_str().filter(|text| text.contains("://"))?;
    let shown = store::shown(text);
    Some(match Url::parse(text) {
        Err(e) => Err(format!("`{shown}` is no URL: {e}")),
        Ok(url) if SCHEMES.contains(&url.scheme()) && url.has_host() && !url.path().ends_with('/') => Ok(url),
        Ok(_) => Err(format!(
            "`{shown}` names no file; files are read from local paths, `http(s)://`, and `s3://`, `gs://`, `az://` with a bucket"
        )),
    })
}

/// Why a file cannot be read, as far as can be said without looking at other machines.
pub(super) fn problem(path: &Path) -> Option<String> {
    match url(path) {
        Some(url) => url.err(),
        None if path.is_file() => None,
        None => Some(format!("there is no file `{}`", path.display())),
    }
}

/// Makes a relative path of the file start at the file's folder.
pub(super) fn anchor(value: &mut toml::Value, base: &Path) {
    if let toml::Value::String(path) = value {
        *path = match path.strip_prefix("file://") {
            Some(local) => local.to_owned(),
            None if path.contains("://") => return,
            None => base.join(&*path).to_string_lossy().into_owned(),
        };
    }
}

impl Pipeline {
    /// The files that it names, by the key that does.
    pub fn files_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let (dem, geoid) = match &mut self.geometry.height {
            Some(height) => (height.dem.as_mut(), height.geoid.as_mut()),
            None => (None, None),
        };
        let reference = self.coregistration.as_mut().and_then(|c| c.reference.as_mut());
        dem.into_iter()
            .flat_map(Dem::files_mut)
            .map(|file| ("geometry.height.dem", file))
            .chain(geoid.map(|file| ("geometry.height.geoid", file)))
            .chain(reference.map(|file| ("coregistration.reference", file)))
    }
}
