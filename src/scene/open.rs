//! From paths to deliveries to scenes.
//!
//! Parts are paired before anything else is decided about a scene (sharding, skipping, reading): whichever of its
//! folders or files a path names, a scene is the same scene with the same id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{Container, Unpacked};
pub use super::find::Finder;
use super::naming::{Found, Naming};
use super::{ArchiveError, Scene, SceneError, gaofen, jilin1, sidecar};
use crate::error;

/// Files that make up one scene, found but not yet read.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// What some of them come out of; their folders are there as long as this is.
    pub(super) containers: Vec<Arc<Container>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Images with names of a vendor's.
    Named(Vec<Found>),
    /// A sidecar that describes its images.
    Sidecar(PathBuf),
}

impl Delivery {
    /// Id of the scene, the same whichever of its paths was given.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The images, or the sidecar: what to name in messages and to read first.
    pub fn paths(&self) -> Vec<&Path> {
        match &self.kind {
            Kind::Named(images) => images.iter().map(|found| found.image.as_path()).collect(),
            Kind::Sidecar(path) => vec![path],
        }
    }

    /// What it is made of, as far as its names say: images, what was named beside them, the sidecar and what that names.
    fn files(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::Named(images) => {
                images.iter().flat_map(|i| std::iter::once(&i.image).chain(&i.beside)).cloned().collect()
            }
            Kind::Sidecar(path) => {
                let root = path.parent().unwrap_or(Path::new("."));
                std::iter::once(path.clone()).chain(sidecar::names(path).iter().map(|name| root.join(name))).collect()
            }
        }
    }

    /// Where a file of the scene stands, for people: in its archive or its bucket, if it comes out of one.
    pub fn origin(&self, file: &Path) -> PathBuf {
        self.containers.iter().find_map(|container| container.origin(file)).unwrap_or_else(|| file.into())
    }

    /// Unpacks the images that stand in archives, and has those that stand elsewhere come as they are read; they are there
    /// until what this returns is dropped. To be called before the scene is opened, if anything of an image but its header
    /// is to be read: otherwise its pixels are zeros. Of a delivery in a folder, nothing.
    ///
    /// # Errors
    /// A [`super::ArchiveError`] with the scene's id.
    pub fn unpack(&self) -> error::Result<Unpacked> {
        let mut unpacked = Unpacked::default();
        self.with_containers(|container, files| {
            unpacked.add(container.unpack(files)?);
            Ok(())
        })?;
        Ok(unpacked)
    }

    /// Reads the scene: metadata and image headers, no pixels.
    ///
    /// # Errors
    /// A [`SceneError`], or when its files stand elsewhere a [`super::ArchiveError`], with the scene's id.
    pub fn open(&self) -> error::Result<Scene> {
        self.with_containers(Container::prepare)?;
        let scene = match &self.kind {
            Kind::Named(images) => open_named(&self.id, images),
            Kind::Sidecar(path) => sidecar::open(path),
        };
        let mut scene = self.placed(scene)?;
        self.with_containers(|container, files| {
            scene.arrivals.extend(container.arrivals(files));
            Ok(())
        })?;
        Ok(scene)
    }

    fn with_containers(
        &self,
        mut work: impl FnMut(&Container, &[&Path]) -> Result<(), ArchiveError>,
    ) -> error::Result<()> {
        if self.containers.is_empty() {
            return Ok(());
        }
        let files = self.files();
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        self.placed(self.containers.iter().try_for_each(|container| work(container, &files)))
    }

    fn placed<T, E: Into<error::Error>>(&self, done: Result<T, E>) -> error::Result<T> {
        done.map_err(|e| {
            e.into().within(|context| {
                context.scene = Some(self.id.clone());
                context.stage = Some("scene");
            })
        })
    }
}

/// Images of one scene have names of one vendor: ids of two never agree.
fn open_named(id: &str, images: &[Found]) -> Result<Scene, SceneError> {
    let (mut of_jilin1, mut of_gaofen) = (Vec::new(), Vec::new());
    for found in images {
        match &found.name {
            Naming::Jilin1(name) => of_jilin1.push((found, name)),
            Naming::Gaofen(name) => of_gaofen.push((found, name)),
        }
    }
    if of_gaofen.is_empty() { jilin1::open(id, &of_jilin1) } else { gaofen::open(id, &of_gaofen) }
}

/// Reads the one scene that `path` names, which is no archive: the files of one go with its [`Delivery`].
///
/// # Errors
/// A [`SceneError`]: nothing or more than one scene there, or the scene cannot be read.
pub fn open(path: &Path) -> error::Result<Scene> {
    let deliveries = group(std::slice::from_ref(&path.to_path_buf()))?;
    match deliveries.as_slice() {
        [one] if !one.containers.is_empty() => Err(SceneError::Unsupported {
            path: path.into(),
            what: "an archive here".into(),
            remedy: "use `Finder`, and `Delivery::unpack` before pixels are read".into(),
        }
        .into()),
        [one] => one.open(),
        many => {
            let ids: Vec<_> = many.iter().take(5).map(|d| format!("`{}`", d.id)).collect();
            let more = if many.len() > 5 { ", …" } else { "" };
            let candidates = format!("{}{more}", ids.join(", "));
            Err(SceneError::Ambiguous { path: path.into(), what: "scene", candidates }.into())
        }
    }
}

/// Finds the deliveries that `paths` name, one for each scene, in the order they are first met; see [`Finder`].
///
/// # Errors
/// A [`SceneError`]: a path that cannot be read or holds no delivery.
pub fn group(paths: &[PathBuf]) -> error::Result<Vec<Delivery>> {
    let mut finder = Finder::default();
    for path in paths {
        finder.add(path)?;
    }
    Ok(finder.finish())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{STEM, write_delivery, write_part, write_tiff};
    use super::*;
    use crate::error::{Class, chain};
    use crate::scene::{Calibration, Role, SensorModel};

    fn ids(paths: &[&Path]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|p| p.to_path_buf()).collect();
        group(&paths).unwrap().iter().map(|d| format!("{}:{}", d.id(), d.paths().len())).collect()
    }

    #[test]
    fn pan_and_mss_are_paired_whatever_path_names_the_scene() {
        let dir = tempfile::tempdir().unwrap();
        write_delivery(dir.path());
        let mss = dir.path().join(format!("{STEM}_MSS"));
        let expected = [format!("{STEM}:2")];
        let image = mss.join(format!("{STEM}_MSS.tif"));
        let meta = mss.join(format!("{STEM}_MSS_meta.xml"));
        for path in [dir.path(), &mss, &image, &meta] {
            assert_eq!(ids(&[path]), expected, "{path:?}");
        }
        let pan = dir.path().join(format!("{STEM}_PAN"));
        assert_eq!(ids(&[&pan, &mss, dir.path(), &image]), expected);
        let scene = open(dir.path()).unwrap();
        assert_eq!(scene.roles(), [Role::Pan, Role::B, Role::G, Role::R, Role::N]);
        assert_eq!(open(&meta).unwrap(), open(&mss).unwrap());
    }

    #[test]
    fn parts_given_from_different_places_are_paired() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stem = |part: &str| format!("{STEM}_{part}_978899");
        write_part(a.path(), &stem("PAN"), "PAN");
        write_part(b.path(), &stem("MSS"), "MSS");
        assert_eq!(ids(&[a.path(), b.path()]), [format!("{STEM}:2")]);
    }

    #[test]
    fn scenes_levels_and_pansharpened_products_stay_apart() {
        let dir = tempfile::tempdir().unwrap();
        write_delivery(dir.path());
        let other = STEM.replace("_0002_", "_0003_");
        for stem in [format!("{other}_MSS"), format!("{STEM}_PSH"), format!("{}_MSS", STEM.replace("L1", "L3C"))] {
            write_part(&dir.path().join("more"), &stem, "MSS");
        }
        let mut found = ids(&[dir.path()]);
        found.sort();
        let l3 = STEM.replace("L1", "L3C");
        let mut expected = [format!("{STEM}:2"), format!("{other}:1"), format!("{STEM}_PSH:1"), format!("{l3}:1")];
        expected.sort();
        assert_eq!(found, expected);
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("expected one scene") && error.contains(&other), "{error}");
    }

    #[test]
    fn the_same_part_twice_is_refused_when_it_is_opened() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&a, &b] {
            write_part(dir.path(), &format!("{STEM}_MSS"), "MSS");
        }
        let deliveries = group(&[a.path().into(), b.path().into()]).unwrap();
        assert_eq!(deliveries.len(), 1);
        let error = deliveries[0].open().unwrap_err();
        assert!(error.to_string().contains("several") && error.context().scene.as_deref() == Some(STEM));
    }

    #[test]
    fn a_place_without_a_delivery_says_what_is_there_and_what_was_expected() {
        let dir = tempfile::tempdir().unwrap();
        let message = |path: &Path| chain(&open(path).unwrap_err());
        assert!(message(dir.path()).contains("0 files"));
        let odd = dir.path().join("holiday.tif");
        write_tiff(&odd, 2, 2, 1);
        for path in [dir.path(), &odd] {
            let m = message(path);
            assert!(m.contains("holiday.tif") && m.contains("scene.toml"), "{m}");
        }
        let error = open(&dir.path().join("absent")).unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert!(chain(&error).contains("absent"));
        let meta = dir.path().join(format!("{STEM}_MSS_meta.xml"));
        std::fs::write(&meta, "").unwrap();
        assert!(message(&meta).contains("no image of that scene"));
    }

    #[test]
    fn extension_case_and_one_folder_for_all_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["PAN", "MSS"] {
            let image = write_part(dir.path(), &format!("{STEM}_{part}"), part);
            std::fs::rename(&image, image.with_extension("TIF")).unwrap();
        }
        let scene = open(dir.path()).unwrap();
        assert_eq!(scene.parts.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["PAN", "MSS"]);
        assert!(scene.parts.iter().all(|p| matches!(p.sensor_model, SensorModel::Rpc(_))));
        assert!(
            scene.parts.iter().flat_map(|p| &p.bands).all(|b| matches!(b.calibration, Calibration::Radiance { .. }))
        );
    }
}
