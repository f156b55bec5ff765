//! A bucket, a container or a web server, of which what is needed stands in a folder under the same names.
//!
//! What was listed is there as a file: empty until it is asked for, so that nobody takes a hole for what it says. Metadata
//! come whole, images as their headers; the rest of an image comes when a scene is made, as far as somebody waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tempfile::TempDir;

use super::blocks::{self, Blocks};
use super::meter::{Content, Fault};
use super::names::{Names, shown};
use super::objects::{Object, Objects, failed, join};
use super::scratch::{Held, Scratch};
use super::{ArchiveError, Unpacked, Use, header, limits, make};
use crate::arrival::{Arrival, Arrivals, Origin};
use crate::error::{Class, Error, Result as AnyResult};
use crate::scene::find::SIDECAR;
use crate::scene::naming::Naming;
use crate::scene::{coefficients, files};

/// Objects that are fetched at once, small ones and headers.
const AT_ONCE: usize = 8;

/// What of an object stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Have {
    Nothing,
    /// The header of an image.
    Header,
    Whole,
}

/// A listed object; those no scene is read from are not kept.
#[derive(Debug, Clone)]
struct Entry {
    object: Object,
    purpose: Use,
    have: Have,
    /// Its bytes, while they come.
    arrival: Weak<Arrival>,
}

impl Entry {
    fn new(object: Object, purpose: Use, have: Have) -> Self {
        Self { object, purpose, have, arrival: Weak::new() }
    }
}

/// The bytes of an object on their way into its file.
struct Incoming {
    objects: Arc<dyn Objects>,
    object: Object,
    path: PathBuf,
}

impl Origin for Incoming {
    fn read(&self, range: Range<u64>) -> AnyResult<Vec<u8>> {
        Ok(self.objects.read(&self.object, range).map_err(failed)?)
    }

    fn unwritten(&self, source: std::io::Error) -> Error {
        ArchiveError::ScratchWrite { path: self.path.clone(), source }.into()
    }
}

/// What is known of the place so far.
#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<String, Entry>,
    /// Folders that were listed, and whether with all below.
    listed: HashMap<String, bool>,
    metadata: HashMap<String, Beside>,
    /// Names that were looked for one by one, on a web server.
    asked: BTreeSet<String>,
}

/// The metadata in a folder, by the scene whose name they begin with.
#[derive(Debug, Default)]
struct Beside {
    of_scenes: HashMap<String, Vec<String>>,
    of_none: Vec<String>,
}

/// The folder that stands for a bucket, container or server; it goes with it.
#[derive(Debug)]
pub struct Mirror {
    objects: Arc<dyn Objects>,
    base: PathBuf,
    known: Mutex<Known>,
    scratch: Scratch,
    // Dropped in this order, as those of archives.
    _folder: TempDir,
    _held: Arc<Held>,
}

impl Mirror {
    /// An empty one.
    pub fn new(objects: Arc<dyn Objects>, scratch: &Scratch) -> Result<Self, ArchiveError> {
        let (folder, held) = scratch.folder()?;
        // Ids may come from the name of a folder, which would be the bucket's.
        let url = objects.url();
        let base = folder.path().join(url.rsplit('/').next().unwrap_or_default());
        make(&base)?;
        Ok(Self { objects, base, known: Mutex::default(), scratch: scratch.clone(), _folder: folder, _held: held })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket, container or server itself.
    pub fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// A name as a URL, for people.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.objects.url())
    }

    /// The file or folder that stands for a name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// The name a file or folder stands for.
    fn name(&self, path: &Path) -> Option<String> {
        let parts = path.strip_prefix(&self.base).ok()?.components().map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// Where a file stands, for messages.
    pub fn origin(&self, file: &Path) -> Option<PathBuf> {
        Some(self.url(&self.name(file)?).into())
    }

    /// True if a name is that of a listed file.
    pub fn has(&self, name: &str) -> bool {
        self.known().entries.contains_key(name)
    }

    /// Number of files below a folder, and the first image among them.
    pub fn summary(&self, folder: &str) -> (usize, Option<String>) {
        let known = self.known();
        let below = known.below(folder).collect::<Vec<_>>();
        let image = below.iter().find(|(_, entry)| entry.purpose == Use::Image);
        (below.len(), image.map(|(name, _)| (*name).clone()))
    }

    /// Lists a folder, once; false where nothing can be listed.
    pub fn list(&self, folder: &str, is_deep: bool) -> Result<bool, ArchiveError> {
        if self.known().is_listed(folder, is_deep) {
            return Ok(true);
        }
        let Some(objects) = self.objects.list(folder, is_deep, limits::OBJECTS).map_err(failed)? else {
            return Ok(false);
        };
        let found = self.check(folder, objects)?;
        // What was fetched already stays.
        let new: Vec<Object> = found.into_iter().filter(|object| !self.has(&object.name)).collect();
        self.add(new)?;
        self.known().index(folder, is_deep);
        Ok(true)
    }

    /// The files of a list, all of whose names a file below the folder can have.
    fn check(&self, folder: &str, objects: Vec<Object>) -> Result<Vec<Object>, ArchiveError> {
        let prefix = join(folder, "") + if folder.is_empty() { "" } else { "/" };
        let url = self.url(&prefix);
        let mut names = Names::with_most(limits::OBJECTS as u64);
        let mut found = Vec::new();
        for (k, object) in objects.iter().enumerate() {
            // Some tools write an empty object in place of a folder; the list names it before what it holds.
            let Some(name) = object.name.strip_prefix(&prefix).filter(|name| !name.is_empty()) else { continue };
            let is_above = |other: &Object| other.name.strip_prefix(&object.name).is_some_and(|n| n.starts_with('/'));
            let begins = |other: &&Object| other.name.starts_with(&object.name);
            if object.size == 0 && objects.iter().skip(k + 1).take_while(begins).any(is_above) {
                continue;
            }
            let refused = |problem: String| ArchiveError::RemoteUnsafe {
                url: url.clone(),
                object: shown(name.as_bytes()),
                problem,
            };
            match names.add(Path::new(""), name.as_bytes(), false) {
                Ok(Some(path)) if path == name => found.push(object.clone()),
                Ok(_) => return Err(refused("a name with an empty part or `.`".into())),
                Err(ArchiveError::ArchiveUnsafe { problem, .. }) => return Err(refused(problem)),
                Err(ArchiveError::ArchiveLimit { what, found, limit, .. }) => {
                    return Err(refused(format!("{found} {what}, more than the limit of {limit}")));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// Makes empty files for what scenes are read from, and fetches the sidecars, which say what their scenes are called.
    fn add(&self, objects: Vec<Object>) -> Result<(), ArchiveError> {
        let mut sidecars = Vec::new();
        for object in objects {
            let purpose = Use::of(&object.name, object.size);
            if purpose == Use::None {
                continue;
            }
            let path = self.path(&object.name);
            make(path.parent().unwrap_or(&self.base))?;
            // What is large is there only with its image: readers look at what they find.
            if purpose != Use::Large {
                File::create(&path).map_err(|source| ArchiveError::ScratchWrite { path, source })?;
            }
            if purpose == Use::Small && object.name.rsplit('/').next() == Some(SIDECAR) {
                sidecars.push(object.name.clone());
            }
            self.known().entries.insert(object.name.clone(), Entry::new(object, purpose, Have::Nothing));
        }
        self.fetch(&sidecars, Have::Whole)
    }

    /// Looks for names one by one, where nothing can be listed: small files, and images.
    pub fn ask(&self, names: &[String]) -> Result<(), ArchiveError> {
        let new: Vec<&String> = names.iter().filter(|name| self.known().asked.insert((*name).clone())).collect();
        in_parallel(&new, |name| {
            if files::tiff_stem(name).is_some() {
                return match self.objects.find(name) {
                    Ok(Some(object)) => self.add(vec![object]),
                    Ok(None) => Ok(()),
                    // Some say of what is not there that it may not be seen.
                    Err(error) if error.class() == Class::Input => Ok(()),
                    Err(error) => Err(failed(error)),
                };
            }
            let Some(bytes) = self.objects.get(name, limits::SMALL).map_err(failed)? else { return Ok(()) };
            let object = Object { name: (*name).clone(), size: bytes.len() as u64, version: String::new() };
            let path = self.path(name);
            make(path.parent().unwrap_or(&self.base))?;
            std::fs::write(&path, bytes).map_err(|source| ArchiveError::ScratchWrite { path, source })?;
            let entry = Entry::new(object, Use::Small, Have::Whole);
            self.known().entries.insert((*name).clone(), entry);
            Ok(())
        })
    }

    /// Fetches an object whole, whatever it is.
    pub fn file(&self, name: &str) -> Result<Unpacked, ArchiveError> {
        let url = self.url(name);
        let Some(object) = self.objects.find(name).map_err(failed)? else {
            return Err(ArchiveError::RemoteAbsent { url });
        };
        self.scratch.room(Path::new(&url), object.size)?;
        let path = self.path(name);
        make(path.parent().unwrap_or(&self.base))?;
        let mut unpacked = Unpacked::of(vec![path]);
        unpacked.bytes = object.size;
        let entry = Entry::new(object, Use::Large, Have::Nothing);
        self.known().entries.insert(name.to_owned(), entry);
        self.fetch(&[name.to_owned()], Have::Whole)?;
        Ok(unpacked)
    }

    /// Makes of a small object a file that can be read.
    pub fn small(&self, name: &str) -> Result<(), ArchiveError> {
        self.fetch(&[name.to_owned()], Have::Whole)
    }

    /// Fetches what opening images asks for: their headers, and the metadata beside them. Whoever names other files gets
    /// those.
    pub fn prepare(&self, of: &[&Path]) -> Result<(), ArchiveError> {
        let (mut images, mut small) = (BTreeSet::new(), BTreeSet::new());
        {
            let known = self.known();
            for name in of.iter().filter_map(|path| self.name(path)) {
                if known.entries.get(&name).is_none_or(|entry| entry.purpose != Use::Image) {
                    small.insert(name);
                    continue;
                }
                let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
                let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
                small.insert(join(above, coefficients::FILE));
                if let Some(beside) = known.metadata.get(folder) {
                    small.extend(beside.of(file).map(|file| join(folder, file)));
                }
                images.insert(name);
            }
            small.retain(|name| known.entries.get(name).is_some_and(|entry| entry.purpose == Use::Small));
            let bytes: u64 =
                small.iter().filter_map(|name| known.entries.get(name)).map(|entry| entry.object.size).sum();
            if bytes > limits::KEPT {
                let name = of.first().and_then(|path| self.name(path)).unwrap_or_default();
                return Err(ArchiveError::RemoteUnsafe {
                    url: self.objects.url(),
                    object: name,
                    problem: format!("{bytes} bytes of metadata beside it, more than the limit of {}", limits::KEPT),
                });
            }
        }
        self.fetch(&small.into_iter().collect::<Vec<_>>(), Have::Whole)?;
        self.fetch(&images.into_iter().collect::<Vec<_>>(), Have::Header)
    }

    /// Has images come as they are waited for, and fetches what is large beside them under their names.
    pub fn unpack(&self, of: &[&Path]) -> Result<Unpacked, ArchiveError> {
        let mut wanted = BTreeMap::new();
        {
            let known = self.known();
            for name in of.iter().filter_map(|path| self.name(path)) {
                let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
                let Some(stem) = files::tiff_stem(file) else { continue };
                let start = join(folder, stem) + ".";
                let beside = known.entries.range(start.clone()..).take_while(|(name, _)| name.starts_with(&start));
                let is_wanted = |(_, entry): &(&String, &Entry)| matches!(entry.purpose, Use::Image | Use::Large);
                wanted.extend(beside.filter(is_wanted).map(|(name, entry)| (name.clone(), entry.clone())));
            }
        }
        let needed = wanted.values().fold(0u64, |sum, entry| sum.saturating_add(entry.object.size));
        if let Some((name, _)) = wanted.first_key_value() {
            let url = self.url(name);
            if needed > limits::UNPACKED {
                let problem = format!("{needed} bytes of images, more than the limit of {}", limits::UNPACKED);
                return Err(ArchiveError::RemoteUnsafe { url: self.objects.url(), object: name.clone(), problem });
            }
            self.scratch.room(Path::new(&url), needed)?;
        }
        // What was written is removed also when the rest fails.
        let files = wanted.keys().map(|name| self.path(name)).collect();
        let mut unpacked = Unpacked::of(files);
        for (name, Entry { object, purpose, .. }) in wanted {
            // GDAL looks at what lies beside an image, and waits for nothing.
            let most = if purpose == Use::Image { Have::Header } else { Have::Whole };
            self.fetch(std::slice::from_ref(&name), most)?;
            match self.coming(&name)? {
                Some(arrival) => unpacked.arrivals.extend([(self.path(&name), arrival)].into_iter().collect()),
                None => unpacked.bytes += object.size,
            }
        }
        Ok(unpacked)
    }

    /// The rest of an object of which the header stands in its file, from now on.
    fn coming(&self, name: &str) -> Result<Option<Arc<Arrival>>, ArchiveError> {
        let mut known = self.known();
        let Some(entry) = known.entries.get_mut(name).filter(|entry| entry.have == Have::Header) else {
            return Ok(None);
        };
        let path = self.path(name);
        let file = File::options()
            .write(true)
            .open(&path)
            .map_err(|source| ArchiveError::ScratchWrite { path: path.clone(), source })?;
        let (objects, object) = (Arc::clone(&self.objects), entry.object.clone());
        let arrival = Arrival::new(file, object.size, Box::new(Incoming { objects, object, path }));
        entry.arrival = Arc::downgrade(&arrival);
        Ok(Some(arrival))
    }

    /// Those of these files whose bytes are on their way.
    pub fn arrivals(&self, of: &[&Path]) -> Arrivals {
        let known = self.known();
        let arrival = |path: &Path| known.entries.get(&self.name(path)?)?.arrival.upgrade();
        of.iter().filter_map(|path| Some(((*path).to_owned(), arrival(path)?))).collect()
    }

    /// Fetches so much of each of these.
    fn fetch(&self, names: &[String], most: Have) -> Result<(), ArchiveError> {
        in_parallel(names, |name| {
            let entry = self.known().entries.get(name).cloned();
            let Some(Entry { object, have, .. }) = entry else { return Ok(()) };
            let path = self.path(name);
            if (have == Have::Whole || have == most) && path.exists() {
                return Ok(());
            }
            if object.size > limits::UNPACKED {
                let problem = format!("{} bytes, more than the limit of {}", object.size, limits::UNPACKED);
                return Err(ArchiveError::RemoteUnsafe { url: self.objects.url(), object: object.name, problem });
            }
            let wrong = |source| ArchiveError::ScratchWrite { path: path.clone(), source };
            let file = File::create(&path).map_err(wrong)?;
            let have = match most {
                Have::Header => self.header(&object, &file, &path)?,
                _ => self.whole(&object, &file, &path)?,
            };
            if let Some(entry) = self.known().entries.get_mut(name) {
                entry.have = have;
            }
            Ok(())
        })
    }

    fn whole(&self, object: &Object, file: &File, path: &Path) -> Result<Have, ArchiveError> {
        let wrong = |source| ArchiveError::ScratchWrite { path: path.into(), source };
        let mut at = 0;
        while at < object.size {
            let end = (at + blocks::MOST).min(object.size);
            let bytes = self.objects.read(object, at..end).map_err(failed)?;
            file.write_all_at(&bytes, at).map_err(wrong)?;
            at = end;
        }
        Ok(Have::Whole)
    }

    fn header(&self, object: &Object, file: &File, path: &Path) -> Result<Have, ArchiveError> {
        let blocks = Blocks::new(Arc::clone(&self.objects), object.clone());
        let copied = header::copy(&mut Content::InPlace(&blocks, 0), object.size, file);
        match (copied, blocks.finish()) {
            (_, Some(fault)) => Err(failed(fault)),
            (Ok(Some(_)), None) => Ok(Have::Header),
            (Ok(None), None) => {
                self.scratch.room(Path::new(&self.url(&object.name)), object.size)?;
                self.whole(object, file, path)
            }
            (Err(Fault::Read(source) | Fault::Write(source)), None) => {
                Err(ArchiveError::ScratchWrite { path: path.into(), source })
            }
        }
    }
}

impl Known {
    fn is_listed(&self, folder: &str, is_deep: bool) -> bool {
        let is = |name: &str, deep: bool| self.listed.get(name).is_some_and(|has| *has || !deep);
        let above = folder.match_indices('/').map(|(at, _)| folder.get(..at).unwrap_or_default());
        is(folder, is_deep) || above.chain([""]).any(|above| is(above, true))
    }

    /// Notes that a folder was listed, and which metadata are of which scene.
    fn index(&mut self, folder: &str, is_deep: bool) {
        self.listed.insert(folder.to_owned(), is_deep);
        let mut folders: HashMap<String, Vec<(String, Use)>> = HashMap::new();
        for (name, entry) in self.below(folder) {
            let (of, file) = name.rsplit_once('/').unwrap_or(("", name));
            folders.entry(of.to_owned()).or_default().push((file.to_owned(), entry.purpose));
        }
        self.metadata.extend(folders.into_iter().map(|(folder, files)| (folder, Beside::new(&files))));
    }

    /// What was listed below a folder.
    fn below(&self, folder: &str) -> impl Iterator<Item = (&String, &Entry)> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = start.clone();
        self.entries.range(from..).take_while(move |(name, _)| name.starts_with(&start))
    }
}

impl Beside {
    fn new(files: &[(String, Use)]) -> Self {
        let stems: BTreeSet<String> = files.iter().filter_map(|(file, _)| stem(file)).collect();
        let mut beside = Self::default();
        for (file, _) in files.iter().filter(|(_, purpose)| *purpose == Use::Small) {
            let lower = file.to_ascii_lowercase();
            let longest = lower.char_indices().rev().find_map(|(at, _)| stems.get(lower.get(..at)?));
            match longest {
                Some(stem) => beside.of_scenes.entry(stem.clone()).or_default().push(file.clone()),
                None => beside.of_none.push(file.clone()),
            }
        }
        beside
    }

    /// The metadata that may be of an image: all but those that begin as the name of another scene does.
    fn of(&self, image: &str) -> impl Iterator<Item = &String> {
        let own = stem(image);
        let is_of = move |scene: &String| own.as_ref().is_none_or(|own| own == scene);
        self.of_none.iter().chain(self.of_scenes.iter().filter(move |(scene, _)| is_of(scene)).flat_map(|(_, f)| f))
    }
}

/// What the names of all files of a scene begin with, in lower case.
fn stem(image: &str) -> Option<String> {
    Some(Naming::of_image(image)?.stem().to_ascii_lowercase())
}

/// Does some work for each, several at once; the error is that of the first that fails.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), ArchiveError> + Sync) -> Result<(), ArchiveError> {
    if let [one] = items {
        return work(one);
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let (next, failed, work) = (&next, &failed, &work);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(items.len()) {
            scope.spawn(move || {
                let another = || {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    Some((k, items.get(k)?))
                };
                while let Some((k, item)) = another() {
                    if let Err(error) = work(item) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).insert(k, error);
                        // Nothing further is begun.
                        next.store(items.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
    failed.pop_first().map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::error::{self, Classify};

    /// A bucket that says what it is told to, whose objects are of zeros.
    #[derive(Debug)]
    struct Bucket(Vec<(String, u64)>);

    impl Bucket {
        fn object(name: &str, size: u64) -> Object {
            Object { name: name.into(), size, version: String::new() }
        }
    }

    impl Objects for Bucket {
        fn url(&self) -> String {
            "s3://bucket".into()
        }
        fn list(&self, _: &str, _: bool, _: usize) -> error::Result<Option<Vec<Object>>> {
            Ok(Some(self.0.iter().map(|(name, size)| Self::object(name, *size)).collect()))
        }
        fn find(&self, _: &str) -> error::Result<Option<Object>> {
            Ok(None)
        }
        fn get(&self, _: &str, _: u64) -> error::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn read(&self, _: &Object, range: Range<u64>) -> error::Result<Vec<u8>> {
            Ok(vec![0; (range.end - range.start) as usize])
        }
    }

    /// A mirror in a scratch folder of its own, and that.
    fn mirror(objects: Vec<(String, u64)>) -> (Mirror, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(Some(folder.path().join("scratch")), Arc::default());
        std::fs::create_dir(folder.path().join("scratch")).unwrap();
        (Mirror::new(Arc::new(Bucket(objects)), &scratch).unwrap(), folder)
    }

    /// All files of a folder but those in the mirror's.
    fn outside(folder: &Path, mirror: &Mirror) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop().filter(|folder| *folder != mirror.base) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.retain(|path| !path.starts_with(&mirror.base) && !path.ends_with("lock"));
        found
    }

    #[test]
    fn names_that_no_file_can_have_are_refused_with_the_whole_folder() {
        for (name, says) in [
            ("f/../a.txt", "leads out"),
            ("f/a/../../b.txt", "leads out"),
            ("f//etc/passwd", "an absolute path"),
            ("f/a//b.txt", "an empty part"),
            ("f/./b.txt", "an empty part or `.`"),
            ("f/C:a.txt", "a drive letter"),
            ("f/a\\b.txt", "a backslash"),
            ("f/a\0b.txt", "a control character"),
            ("f/a\nb.txt", "a control character"),
            ("f/a.txt/b.txt", "there twice"),
        ] {
            let (mirror, folder) = mirror(vec![("f/a.txt".into(), 1), (name.into(), 1)]);
            let error = mirror.list("f", true).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("s3://bucket/f/") && message.contains(says), "{name:?}: {message}");
            assert!(!message.contains(char::is_control));
            assert_eq!(error.class(), Class::Input);
            assert_eq!(outside(folder.path(), &mirror), [""; 0].map(PathBuf::from));
            assert!(!mirror.has("f/a.txt"));
        }
        let long = format!("f/{}", "a".repeat(256));
        assert!(mirror(vec![(long, 1)]).0.list("f", true).unwrap_err().to_string().contains("256 bytes of name"));
        let deep = format!("f/{}b", "a/".repeat(16));
        assert!(mirror(vec![(deep, 1)]).0.list("f", true).unwrap_err().to_string().contains("17 folders"));
    }

    #[test]
    fn many_objects_are_looked_at_and_more_are_not() {
        let many = |count: usize| (0..count).map(|k| (format!("{k:06}.jpg"), 1)).collect::<Vec<_>>();
        let (mirror, _folder) = mirror(many(10_000));
        assert!(mirror.list("", true).unwrap());
        let more = self::mirror(many(limits::OBJECTS + 1)).0;
        assert!(more.list("", true).unwrap_err().to_string().contains("100001 members"));
    }

    #[test]
    fn absurd_sizes_are_refused_before_anything_is_fetched() {
        let (mirror, _folder) =
            mirror(vec![("f/a.tif".into(), u64::MAX), ("f/a.tif.ovr".into(), u64::MAX), ("f/b.tif".into(), 1 << 40)]);
        mirror.list("f", true).unwrap();
        for name in ["f/a.tif", "f/b.tif"] {
            let path = mirror.path(name);
            for done in [mirror.prepare(&[&path]), mirror.unpack(&[&path]).map(|_| ())] {
                let error = done.unwrap_err();
                assert!(error.to_string().contains("more than the limit of 274877906944"), "{error}");
            }
        }
    }

    #[test]
    fn a_scene_gets_its_own_metadata_and_what_is_nobodys() {
        let id = |k: u32| format!("JL1KF01A_PMS06_20200618084356_20002691{k}_101_0003_001_L1");
        let mut objects: Vec<(String, u64)> = vec![("f/notes.txt".into(), 10), ("f/coefficients.toml".into(), 10)];
        for k in 0..3 {
            let image = format!("f/{}_MSS", id(k));
            let whole = format!("f/{}", id(k));
            objects.push((format!("{image}.tif"), 200_000));
            objects.extend(["_meta.xml", "_RPC.TXT"].map(|ending| (format!("{image}{ending}"), 10)));
            objects.extend(["_meta.xml", "_PAN_rpc.txt"].map(|ending| (format!("{whole}{ending}"), 10)));
        }
        objects.sort();
        let (mirror, _folder) = mirror(objects);
        mirror.list("f", false).unwrap();
        let image = mirror.path(&format!("f/{}_MSS.tif", id(1)));
        mirror.prepare(&[&image]).unwrap();
        let length = |name: String| mirror.path(&name).metadata().unwrap().len();
        assert_eq!(image.metadata().unwrap().len(), 200_000);
        for ending in ["_MSS_meta.xml", "_MSS_RPC.TXT", "_meta.xml", "_PAN_rpc.txt"] {
            assert_eq!([0, 1, 2].map(|k| length(format!("f/{}{ending}", id(k)))), [0, 10, 0], "{ending}");
        }
        assert_eq!(length("f/notes.txt".into()), 10);
        assert_eq!(length("f/coefficients.toml".into()), 10);
        // Its bytes come when they are waited for, and are taken away again.
        let unpacked = mirror.unpack(&[&image]).unwrap();
        assert_eq!(unpacked.bytes(), 0);
        mirror.arrivals(&[&image]).of(&image).unwrap().wait_for_all().unwrap();
        assert_eq!(unpacked.bytes(), 200_000);
        mirror.prepare(&[&image]).unwrap();
        drop(unpacked);
        assert!(!image.exists());
    }

    #[test]
    fn empty_objects_that_stand_for_folders_are_no_files() {
        let names = [("f/", 0), ("f/a", 0), ("f/a-b", 3), ("f/a/b.tif", 9), ("f/c.txt", 0)];
        let (mirror, _folder) = mirror(names.map(|(name, size)| (name.to_owned(), size)).to_vec());
        mirror.list("f", true).unwrap();
        assert!(mirror.has("f/a/b.tif") && mirror.has("f/c.txt") && !mirror.has("f/a") && !mirror.has("f/"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_list_of_names_makes_a_file_elsewhere(
            names in prop::collection::btree_set("(f/)?([a.\\\\/:\u{0}-\u{7f}é]|\\.\\./){0,12}(\\.tif|\\.txt|scene\\.toml)?", 0..12),
            sizes in prop::collection::vec(prop_oneof![Just(0), 1u64..100_000, Just(u64::MAX)], 12),
        ) {
            let objects: Vec<_> = names.into_iter().zip(sizes).collect();
            let (mirror, folder) = mirror(objects.clone());
            for prefix in ["", "f"] {
                if mirror.list(prefix, true).is_ok() {
                    let paths: Vec<_> = objects.iter().map(|(name, _)| mirror.path(name)).collect();
                    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
                    let _ = mirror.prepare(&paths);
                    let _ = mirror.unpack(&paths);
                }
                prop_assert_eq!(outside(folder.path(), &mirror), Vec::<PathBuf>::new());
            }
        }
    }
}
