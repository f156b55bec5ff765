//! From places to deliveries.
//!
//! A list may name ten thousand images of one folder, so a folder is listed once and a scene is found by its id, not by
//! looking through all others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{self, Archive, Container, Object, Objects, Scratch, Stores, Unpacked};
use super::files::{self, Folder};
use super::jilin1::name;
use super::naming::{Found, Naming};
use super::open::{Delivery, Kind};
use super::{SceneError, sidecar, stac};
use crate::error;

/// Name of the sidecar in a folder.
pub(super) const SIDECAR: &str = "scene.toml";

/// Finds deliveries, one for each scene, in the order they are first met. A path is a folder with a delivery, a folder of
/// such folders, an archive of either, an image, its metadata, a sidecar, or a STAC Item that names such files; PAN and MSS
/// are paired wherever they came from, also with the sibling folder or archive that no path names. What a scene is found
/// to be made of, and its id, do not depend on the order of the paths.
#[derive(Debug, Default)]
pub struct Finder {
    found: Deliveries,
    /// Folders that were looked at.
    folders: HashMap<PathBuf, Deliveries>,
    /// Archives that were looked into, by path or URL.
    archives: HashMap<PathBuf, Arc<Container>>,
    /// Buckets and servers, by URL, and what makes clients for them.
    pub(super) mirrors: HashMap<String, Arc<Container>>,
    pub(super) stores: Option<Arc<dyn Stores>>,
    /// Where they are unpacked.
    pub(super) scratch: Scratch,
    /// Files that were asked for by themselves.
    pub(super) fetched: Vec<Unpacked>,
}

/// Deliveries in the order they were met, and where each scene stands among them.
#[derive(Debug, Default)]
struct Deliveries {
    all: Vec<Delivery>,
    by_id: HashMap<String, Vec<usize>>,
}

impl Finder {
    /// One that unpacks archives in `scratch`.
    pub fn with_scratch(scratch: Scratch) -> Self {
        Self { scratch, ..Self::default() }
    }

    /// Adds the deliveries at a place; none of them when it fails.
    ///
    /// # Errors
    /// A [`SceneError`]: the path cannot be read or holds no delivery. An [`super::ArchiveError`]: the archive is refused.
    pub fn add(&mut self, path: &Path) -> error::Result<()> {
        let read = |source| SceneError::Read { path: path.into(), source };
        let absolute = std::path::absolute(path).map_err(read)?;
        let kind = std::fs::metadata(&absolute).map_err(read)?;
        let met = match () {
            () if kind.is_dir() => self.at_folder(&absolute)?,
            () if container::stem(&files::file_name(&absolute)).is_some() => self.at_archive(&absolute)?,
            () => self.at_file(&absolute)?,
        };
        self.take(met);
        Ok(())
    }

    pub(super) fn take(&mut self, met: Vec<Delivery>) {
        met.into_iter().for_each(|delivery| self.found.add(delivery));
    }

    /// What was found.
    pub fn finish(self) -> Vec<Delivery> {
        self.found.all
    }

    /// Deliveries in a folder, or if it has none, in the folders in it.
    fn at_folder(&mut self, folder: &Path) -> Result<Vec<Delivery>, SceneError> {
        let mut met = self.in_folder(folder)?.all.clone();
        if met.is_empty() {
            let listing = files::list(folder)?;
            for child in &listing.folders {
                met.extend(self.in_folder(child)?.all.iter().cloned());
            }
            if met.is_empty() {
                return Err(no_delivery(folder, &listing));
            }
        }
        Ok(met)
    }

    /// Deliveries in an archive, and what the archive of the other part has of their scenes.
    fn at_archive(&mut self, path: &Path) -> error::Result<Vec<Delivery>> {
        let archive = self.archive(path)?;
        self.with_other_archive(path, &archive, |finder, file| {
            let other = path.with_file_name(file);
            other.is_file().then(|| finder.archive(&other)).transpose()
        })
    }

    /// The same, wherever the other archive, of this file name, may be.
    pub(super) fn with_other_archive(
        &mut self,
        path: &Path,
        archive: &Arc<Container>,
        other: impl FnOnce(&mut Self, String) -> error::Result<Option<Arc<Container>>>,
    ) -> error::Result<Vec<Delivery>> {
        let mut met = self.in_archive(archive)?;
        if met.is_empty() {
            let (count, image) = archive.summary();
            let found = match image {
                Some((images, first)) => format!(
                    "an archive of {count} files, {images} of them TIFF files without a vendor's name, `{first}` the first"
                ),
                None => format!("an archive of {count} files, no image; archives in archives are not opened"),
            };
            return Err(SceneError::NotADelivery { path: path.into(), found, expected: expected() }.into());
        }
        let file = files::file_name(path);
        let stem = container::stem(&file).unwrap_or_default();
        if let Some(name) = name::of_other_part(stem) {
            let name = format!("{name}{}", file.get(stem.len()..).unwrap_or_default());
            if let Some(other) = other(self, name)? {
                let more = self.in_archive(&other)?;
                let of_met = |d: &Delivery| met.iter().any(|m| m.id.eq_ignore_ascii_case(&d.id));
                let more: Vec<_> = more.into_iter().filter(of_met).collect();
                met.extend(more);
            }
        }
        Ok(met)
    }

    /// An archive, looked into once.
    fn archive(&mut self, path: &Path) -> error::Result<Arc<Container>> {
        let path = path.canonicalize().map_err(|source| SceneError::Read { path: path.into(), source })?;
        if let Some(archive) = self.archives.get(&path) {
            return Ok(Arc::clone(archive));
        }
        let archive = Arc::new(Container::Archive(Archive::open(&path, &self.scratch)?));
        self.archives.insert(path, Arc::clone(&archive));
        Ok(archive)
    }

    /// An archive that stands elsewhere, looked into once.
    pub(super) fn remote_archive(
        &mut self,
        objects: &Arc<dyn Objects>,
        object: Object,
    ) -> error::Result<Arc<Container>> {
        let url = PathBuf::from(format!("{}/{}", objects.url(), object.name));
        if let Some(archive) = self.archives.get(&url) {
            return Ok(Arc::clone(archive));
        }
        let archive = Arc::new(Container::Archive(Archive::fetch(Arc::clone(objects), object, &self.scratch)?));
        self.archives.insert(url, Arc::clone(&archive));
        Ok(archive)
    }

    fn in_archive(&mut self, archive: &Arc<Container>) -> Result<Vec<Delivery>, SceneError> {
        match archive.root() {
            Some(root) => self.in_container(archive, root),
            None => Ok(Vec::new()),
        }
    }

    /// Deliveries in a folder of a container, or if it has none, in the folders in it, however deep.
    pub(super) fn in_container(
        &mut self,
        container: &Arc<Container>,
        folder: &Path,
    ) -> Result<Vec<Delivery>, SceneError> {
        let mut met = self.in_folder(folder)?.all.clone();
        if met.is_empty() {
            for child in &files::list(folder)?.folders {
                met.extend(self.in_container(container, child)?);
            }
        }
        met.iter_mut().for_each(|delivery| delivery.containers = vec![Arc::clone(container)]);
        Ok(met)
    }

    /// Looks at a folder again, as it has new files.
    pub(super) fn forget(&mut self, folder: &Path) {
        self.folders.remove(folder);
    }

    fn in_folder(&mut self, folder: &Path) -> Result<&Deliveries, SceneError> {
        if !self.folders.contains_key(folder) {
            let found = look(&files::list(folder)?)?;
            self.folders.insert(folder.into(), found);
        }
        // It stands there now; an empty one would only be looked at again.
        Ok(self.folders.entry(folder.into()).or_default())
    }

    /// The deliveries a file belongs to: an image, a `_meta.xml`, a sidecar or a STAC Item. A sidecar beside an image
    /// speaks for it, as it does when the folder is named.
    pub(super) fn at_file(&mut self, path: &Path) -> Result<Vec<Delivery>, SceneError> {
        let file = files::file_name(path);
        if files::strip_suffix(&file, ".toml").is_some() {
            return Ok(vec![of_sidecar(path)]);
        }
        if [".json", ".geojson"].iter().any(|suffix| files::strip_suffix(&file, suffix).is_some()) {
            return self.at_item(path);
        }
        let is_image = files::tiff_stem(&file).is_some();
        let wanted = if is_image { Naming::of_image(&file) } else { Naming::of_metadata(&file) };
        if is_image || files::strip_suffix(&file, ".xml").is_some() {
            let there = self.in_folder(path.parent().unwrap_or(Path::new(".")))?;
            if let [Delivery { kind: Kind::Sidecar(_), .. }] = there.all.as_slice() {
                return Ok(there.all.clone());
            }
            if let Some(wanted) = &wanted {
                let id = wanted.scene_id();
                let tiles = there.all.iter().filter(|d| !is_image && wanted.is_of_tiles(&d.id));
                let met: Vec<_> = there.of(&id).chain(tiles).cloned().collect();
                if !met.is_empty() {
                    return Ok(met);
                }
            }
        }
        Err(SceneError::NotADelivery {
            path: path.into(),
            found: match wanted {
                Some(_) => "no image of that scene beside it".into(),
                None => odd_name(&file).unwrap_or_else(|| "a name that is neither Jilin-1's nor Gaofen's".into()),
            },
            expected: format!(
                "an image or its metadata with the Jilin-1 or Gaofen name it came with, or a `{SIDECAR}` that describes the image"
            ),
        })
    }

    /// The deliveries whose files a STAC Item names. What lies beside an image belongs to it as ever; what the Item names
    /// elsewhere belongs to it too.
    fn at_item(&mut self, path: &Path) -> Result<Vec<Delivery>, SceneError> {
        let item = stac::read(path)?;
        let mut met = Deliveries::default();
        for file in &item.data {
            for delivery in self.at_file(file).map_err(|e| stac::behind(path, file, e))? {
                met.add(delivery);
            }
        }
        for delivery in &mut met.all {
            if let Kind::Named(images) = &mut delivery.kind {
                for image in images {
                    let elsewhere = |f: &&PathBuf| f.parent() != image.image.parent();
                    image.beside.extend(item.metadata.iter().filter(elsewhere).cloned());
                    image.beside.sort_unstable();
                    image.beside.dedup();
                }
            }
        }
        Ok(met.all)
    }
}

impl Deliveries {
    /// The deliveries of a scene.
    fn of(&self, id: &str) -> impl Iterator<Item = &Delivery> {
        self.by_id.get(&id.to_ascii_lowercase()).into_iter().flatten().filter_map(|k| self.all.get(*k))
    }

    /// Adds a delivery, or what is new in it to the one of the same scene.
    fn add(&mut self, new: Delivery) {
        let same = self.by_id.entry(new.id.to_ascii_lowercase()).or_default();
        for k in same.iter() {
            let Some(known) = self.all.get_mut(*k) else { continue };
            match (&mut known.kind, &new.kind) {
                (Kind::Named(images), Kind::Named(more)) => {
                    for container in &new.containers {
                        if !known.containers.iter().any(|known| Arc::ptr_eq(known, container)) {
                            known.containers.push(Arc::clone(container));
                        }
                    }
                    more.iter().for_each(|found| add_image(images, found));
                    // Names that differ in case alone are one scene, whichever of them came first.
                    known.id = new.id.min(std::mem::take(&mut known.id));
                    return;
                }
                (Kind::Sidecar(a), Kind::Sidecar(b)) if same_file(a, b) => return,
                _ => {}
            }
        }
        same.push(self.all.len());
        self.all.push(new);
    }
}

/// Adds an image, or what is new beside it, in the order of parts and places.
fn add_image(images: &mut Vec<Found>, found: &Found) {
    match images.iter_mut().find(|i| same_file(&i.image, &found.image)) {
        Some(known) => {
            known.beside.extend(found.beside.iter().cloned());
            known.beside.sort_unstable();
            known.beside.dedup();
        }
        None => {
            images.push(found.clone());
            images.sort_by(|a, b| (a.name.order(), &a.image).cmp(&(b.name.order(), &b.image)));
        }
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// The deliveries of a folder itself.
fn look(listing: &Folder) -> Result<Deliveries, SceneError> {
    let mut found = Deliveries::default();
    if let Some(path) = listing.files.iter().find(|path| files::file_name(path) == SIDECAR) {
        found.add(of_sidecar(path));
        return Ok(found);
    }
    for image in Found::in_folder(listing) {
        let mut both = Vec::new();
        with_sibling(image)?.iter().for_each(|image| add_image(&mut both, image));
        if let Some(first) = both.first() {
            found.add(Delivery { id: first.name.scene_id(), kind: Kind::Named(both), containers: Vec::new() });
        }
    }
    Ok(found)
}

fn of_sidecar(path: &Path) -> Delivery {
    Delivery { id: sidecar::id(path), kind: Kind::Sidecar(path.into()), containers: Vec::new() }
}

/// An image, and the image of the other part in the sibling folder `…_PAN` or `…_MSS`, if there is one.
fn with_sibling(found: Found) -> Result<Vec<Found>, SceneError> {
    let sibling = || {
        let folder = found.image.parent()?;
        let other = folder.with_file_name(name::of_other_part(&files::file_name(folder))?);
        other.is_dir().then_some(other)
    };
    let mut both = Vec::new();
    if let Some(folder) = sibling() {
        let of_scene = |f: &Found| f.name.same_scene(&found.name);
        both = Found::in_folder(&files::list(&folder)?).into_iter().filter(of_scene).collect();
    }
    both.insert(0, found);
    Ok(both)
}

/// What a name that is no scene's says all the same.
fn odd_name(file: &str) -> Option<String> {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let video = [".avi", ".mp4"].iter().any(|suffix| files::strip_suffix(file, suffix).is_some());
    let level = name::parse(stem).filter(|_| video)?.level?;
    Some(format!("`{file}`, a video by its level `{level}`, which has no single frame (those are images of level L1A)"))
}

fn no_delivery(folder: &Path, listing: &Folder) -> SceneError {
    let names: Vec<_> = listing.files.iter().map(|p| files::file_name(p)).collect();
    let images: Vec<_> = names.iter().filter(|n| files::tiff_stem(n).is_some()).collect();
    let archives = names.iter().filter(|n| container::stem(n).is_some()).count();
    let found = match (names.iter().find_map(|n| odd_name(n)), images.first()) {
        (Some(odd), _) => odd,
        (None, None) if archives > 0 => {
            format!(
                "{archives} archives, which are opened when they are named themselves, as by `\"{}/*\"`",
                folder.display()
            )
        }
        (None, Some(first)) => format!("{} TIFF files without a vendor's name, `{first}` the first", images.len()),
        (None, None) => format!("{} files and {} folders, no image", listing.files.len(), listing.folders.len()),
    };
    SceneError::NotADelivery { path: folder.into(), found, expected: expected() }
}

pub(super) fn expected() -> String {
    format!(
        "images named as `JL1KF01A_PMS06_20200618084356_200026919_101_0003_001_L1_PAN.tif` or \
         `GF2_PMS2_E102.1_N31.7_20201109_L1A0005176265-MSS2.tiff`, or a `{SIDECAR}`"
    )
}
