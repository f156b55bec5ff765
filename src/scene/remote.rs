//! From URLs to deliveries.
//!
//! A bucket becomes a folder of the machine, see [`super::container`], and is looked at as one. A web server cannot be
//! listed: there the files that may belong to what was named are looked for by their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::container::{self, Container, Mirror, Scratch, Stores, failed, join};
use super::files;
use super::find::{Finder, SIDECAR, expected};
use super::gaofen::name as gaofen;
use super::jilin1::name as jilin1;
use super::naming::Naming;
use super::open::Delivery;
use super::{ArchiveError, SceneError, coefficients, sidecar};
use crate::catalog::path_from_href;
use crate::error;

/// What may be named as an image but for its ending, of vendors and for GDAL.
const COMPANIONS: [&str; 20] = [
    "_meta.xml",
    ".xml",
    "_rpc.txt",
    "_RPC.TXT",
    ".rpb",
    ".RPB",
    "_rpb.txt",
    ".rpc",
    ".RPC",
    ".shp",
    ".shx",
    ".dbf",
    ".prj",
    ".tfw",
    ".TFW",
    ".imd",
    ".IMD",
    ".aux.xml",
    ".tif.aux.xml",
    ".tiff.aux.xml",
];

/// The same for the metadata of a whole scene.
const OF_SCENES: [&str; 3] = ["_meta.xml", ".xml", "_rpc.txt"];

/// Endings of files that are named by themselves; anything else but an archive is a folder.
const FILES: [&str; 4] = [".tif", ".tiff", ".xml", ".toml"];

/// Endings of documents that name files elsewhere.
const ITEMS: [&str; 2] = [".json", ".geojson"];

impl Finder {
    /// One that also reads what URLs name.
    pub fn with_stores(scratch: Scratch, stores: Arc<dyn Stores>) -> Self {
        let mut finder = Self::with_scratch(scratch);
        finder.stores = Some(stores);
        finder
    }

    /// Adds the deliveries that a URL names, as [`Finder::add`] does those at a path; none of them when it fails.
    ///
    /// # Errors
    /// An [`ArchiveError`]: it cannot be read, or nothing is there. A [`SceneError`]: there is no delivery.
    pub fn add_url(&mut self, url: &Url) -> error::Result<()> {
        let container = self.mirror_of(url)?;
        let Some(mirror) = container.mirror() else { return Ok(()) };
        let name = name_in(mirror, url)?;
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
        let has_ending = |endings: &[&str]| endings.iter().any(|ending| files::strip_suffix(file, ending).is_some());
        let met = match () {
            () if url.path().ends_with('/') => self.at_prefix(&container, mirror, name.trim_end_matches('/'))?,
            () if container::stem(file).is_some() => self.at_remote_archive(mirror, &name)?,
            () if has_ending(&ITEMS) => {
                return Err(SceneError::Unsupported {
                    path: mirror.url(&name).into(),
                    what: "a STAC Item by its URL".into(),
                    remedy: "name the folder or the images of the delivery, or a copy of the Item".into(),
                }
                .into());
            }
            () if has_ending(&FILES) => self.at_object(&container, mirror, folder, file)?,
            () => self.at_prefix(&container, mirror, &name)?,
        };
        self.take(met);
        Ok(())
    }

    /// A copy of the file that a URL names; it is there as long as the finder.
    ///
    /// # Errors
    /// An [`ArchiveError`]: it cannot be read, or nothing is there.
    pub fn fetch(&mut self, url: &Url) -> error::Result<PathBuf> {
        let container = self.mirror_of(url)?;
        let Some(mirror) = container.mirror() else {
            return Err(error::Error::bug("a URL that stands for no bucket or server"));
        };
        let name = name_in(mirror, url)?;
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let problem = "a name with an empty part, `.` or `..`".into();
            return Err(ArchiveError::RemoteUnsafe { url: mirror.url(""), object: name, problem }.into());
        }
        let path = mirror.path(&name);
        if !path.is_file() {
            self.fetched.push(mirror.file(&name)?);
        }
        Ok(path)
    }

    /// The bucket, container or server of a URL, opened once.
    fn mirror_of(&mut self, url: &Url) -> error::Result<Arc<Container>> {
        let Some(stores) = &self.stores else {
            return Err(SceneError::Unsupported {
                path: "URLs".into(),
                what: "reading from object storage here".into(),
                remedy: "use `Finder::with_stores`".into(),
            }
            .into());
        };
        let mut root = url.clone();
        root.set_path("");
        root.set_fragment(None);
        if let Some(known) = self.mirrors.get(root.as_str()) {
            return Ok(Arc::clone(known));
        }
        let mirror = Mirror::new(stores.open(&root)?, &self.scratch)?;
        let container = Arc::new(Container::Mirror(mirror));
        self.mirrors.insert(root.into(), Arc::clone(&container));
        Ok(container)
    }

    /// Deliveries below a folder.
    fn at_prefix(&mut self, container: &Arc<Container>, mirror: &Mirror, folder: &str) -> error::Result<Vec<Delivery>> {
        let url = || format!("{}/", mirror.url(folder).trim_end_matches('/'));
        if !mirror.list(folder, true)? {
            let instead = "the scene's images, its `scene.toml` or its archive";
            return Err(ArchiveError::RemoteFolder { url: url(), instead }.into());
        }
        let (count, image) = mirror.summary(folder);
        if count == 0 {
            return Err(ArchiveError::RemoteAbsent { url: url() }.into());
        }
        self.beside(mirror, folder)?;
        let met = self.in_container(container, &mirror.path(folder))?;
        if met.is_empty() {
            let found = match image {
                Some(first) => {
                    format!("{count} files, TIFF files without a vendor's name among them, `{first}` the first")
                }
                None => format!("{count} files, no image; archives are opened when they are named themselves"),
            };
            return Err(SceneError::NotADelivery { path: url().into(), found, expected: expected() }.into());
        }
        Ok(met)
    }

    /// Makes what lies around a folder and may belong to what is in it: the folder of the other part, and coefficients.
    fn beside(&mut self, mirror: &Mirror, folder: &str) -> Result<(), ArchiveError> {
        if folder.is_empty() {
            return Ok(());
        }
        let (above, own) = folder.rsplit_once('/').unwrap_or(("", folder));
        if let Some(other) = jilin1::of_other_part(own) {
            mirror.list(&join(above, &other), false)?;
        }
        mirror.ask(&[join(above, coefficients::FILE)])
    }

    fn at_remote_archive(&mut self, mirror: &Mirror, name: &str) -> error::Result<Vec<Delivery>> {
        let (objects, url) = (mirror.objects(), mirror.url(name));
        let Some(object) = objects.find(name).map_err(failed)? else {
            return Err(ArchiveError::RemoteAbsent { url }.into());
        };
        let archive = self.remote_archive(objects, object)?;
        self.with_other_archive(Path::new(&url), &archive, |finder, file| {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let other = objects.find(&join(folder, &file)).map_err(failed)?;
            other.map(|object| finder.remote_archive(objects, object)).transpose()
        })
    }

    /// Deliveries that a file belongs to.
    fn at_object(
        &mut self,
        container: &Arc<Container>,
        mirror: &Mirror,
        folder: &str,
        file: &str,
    ) -> error::Result<Vec<Delivery>> {
        let name = join(folder, file);
        let is_sidecar = files::strip_suffix(file, ".toml").is_some();
        let is_listed = mirror.list(folder, is_sidecar)?;
        if is_listed && !is_sidecar && mirror.has(&join(folder, SIDECAR)) {
            mirror.list(folder, true)?;
        }
        if !is_listed {
            self.look_around(mirror, folder, file)?;
        }
        if !mirror.has(&name) {
            // It may be there and not for us.
            mirror.objects().find(&name).map_err(failed)?;
            return Err(ArchiveError::RemoteAbsent { url: mirror.url(&name) }.into());
        }
        if is_listed {
            self.beside(mirror, folder)?;
        }
        if is_sidecar {
            mirror.small(&name)?;
        }
        let mut met = self.at_file(&mirror.path(&name)).map_err(|e| match e {
            SceneError::NotADelivery { found, expected, .. } => {
                SceneError::NotADelivery { path: mirror.url(&name).into(), found, expected }
            }
            other => other,
        })?;
        met.iter_mut().for_each(|delivery| delivery.containers = vec![Arc::clone(container)]);
        Ok(met)
    }

    /// Looks for the files that may belong to one, by their names.
    fn look_around(&mut self, mirror: &Mirror, folder: &str, file: &str) -> Result<(), ArchiveError> {
        let (above, own) = folder.rsplit_once('/').unwrap_or(("", folder));
        let mut names = vec![join(folder, file), join(folder, coefficients::FILE)];
        if !folder.is_empty() {
            names.push(join(above, coefficients::FILE));
        }
        let is_sidecar = files::strip_suffix(file, ".toml").is_some();
        let mut folders = vec![folder.to_owned()];
        if !is_sidecar {
            names.push(join(folder, SIDECAR));
            let stem =
                ["_meta.xml", ".xml", ".tif", ".tiff"].iter().find_map(|ending| files::strip_suffix(file, ending));
            let stem = stem.unwrap_or(file);
            let other = other_part(stem);
            folders.extend(jilin1::of_other_part(own).map(|other| join(above, &other)));
            for (folder, stem) in folders.iter().flat_map(|f| [Some(stem), other.as_deref()].map(|s| (f, s))) {
                let endings = [".tif", ".tiff", ".TIF", ".TIFF"].iter();
                names.extend(endings.filter_map(|ending| Some(join(folder, &format!("{}{ending}", stem?)))));
            }
        }
        mirror.ask(&names)?;
        let sidecar = join(folder, if is_sidecar { file } else { SIDECAR });
        if mirror.has(&sidecar) {
            let named = sidecar::names(&mirror.path(&sidecar));
            // What leads elsewhere is refused when the sidecar is read.
            let is_below = |name: &&String| name.split('/').all(|part| !matches!(part, "" | "." | ".."));
            names = named.iter().filter(is_below).map(|name| join(folder, name)).collect();
            mirror.ask(&names)?;
        }
        let images = names.iter().filter(|name| mirror.has(name));
        let companions: Vec<String> = images.filter_map(|name| companions(name)).flatten().collect();
        mirror.ask(&companions)?;
        folders.iter().for_each(|folder| self.forget(&mirror.path(folder)));
        Ok(())
    }
}

/// The name of what a URL leads to, in its bucket or on its server.
fn name_in(mirror: &Mirror, url: &Url) -> error::Result<String> {
    // A dot in front, because a reference cannot begin with a name that has a colon.
    let name = path_from_href(&format!(".{}", url.path())).ok_or_else(|| SceneError::Unsupported {
        path: mirror.url("").into(),
        what: "a path whose encoded bytes are not UTF-8".into(),
        remedy: "write the URL in UTF-8".into(),
    })?;
    Ok(name.trim_start_matches('.').trim_start_matches('/').to_owned())
}

/// Names of files that may belong to an image.
fn companions(image: &str) -> Option<Vec<String>> {
    let (folder, file) = image.rsplit_once('/').unwrap_or(("", image));
    let stem = files::tiff_stem(file)?;
    let mut names: Vec<String> = COMPANIONS.iter().map(|ending| join(folder, &format!("{stem}{ending}"))).collect();
    if let Some(naming) = Naming::of_image(file) {
        names.extend(OF_SCENES.iter().map(|ending| join(folder, &format!("{}{ending}", naming.stem()))));
    }
    Some(names)
}

/// The name of the image of the other part, if it differs in nothing else.
fn other_part(stem: &str) -> Option<String> {
    let of_gaofen = || {
        let name = gaofen::parse(stem)?;
        let (this, other) = match name.part? {
            gaofen::PartToken::Pan => ("-PAN", "-MSS"),
            gaofen::PartToken::Mss => ("-MSS", "-PAN"),
            gaofen::PartToken::Tile(_) => return None,
        };
        Some(stem.replace(this, other)).filter(|other| other != stem)
    };
    jilin1::of_other_part(stem).or_else(of_gaofen)
}
