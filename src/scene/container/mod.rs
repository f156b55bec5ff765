//! Deliveries in archives, `.zip`, `.tar`, `.tar.gz` and `.tgz`, and in object storage or on web servers.
//!
//! An archive becomes a folder like any other, so that everything behind this module knows folders alone, and no byte of
//! a product depends on how the delivery came. When it is met, what is small is written there: metadata whole, and of each
//! image its header, in a file of the right length whose pixels are a hole. That is enough to find, pair, open and check a
//! scene. Before pixels are read, [`Archive::unpack`] puts the whole images in their places, and takes them away again
//! when the scene is done.
//!
//! A bucket or server becomes a folder in the same way ([`mirror`]), only that its images come while they are read, and an archive in one is read where it stands
//! ([`blocks`]).
//!
//! None of them is trusted: everything is bounded ([`limits`]), names lead nowhere else, links and devices are refused,
//! archives in archives are not opened, and one bad name refuses the whole.

mod blocks;
mod error;
mod header;
mod limits;
mod meter;
mod mirror;
mod names;
mod objects;
mod scratch;
mod tar;
mod zip;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use self::blocks::Blocks;
pub use self::error::ArchiveError;
use self::meter::{Content, Fault, Input};
pub use self::mirror::Mirror;
pub use self::objects::{Object, Objects, Stores};
pub(super) use self::objects::{failed, join};
pub use self::scratch::Scratch;
use super::files;
use crate::arrival::{Arrivals, is_missing};
use crate::error::Result as AnyResult;

/// A file in an archive.
#[derive(Debug, Clone)]
struct Member {
    /// Below the archive's root, its parts joined by `/`.
    path: String,
    /// Bytes once unpacked.
    size: u64,
}

impl Member {
    fn purpose(&self) -> Use {
        Use::of(&self.path, self.size)
    }
}

/// What to do on the way through an archive.
struct Walk<'a> {
    /// Members that are to be taken.
    wants: &'a dyn Fn(&Member) -> bool,
    /// Those of them that may be read where they stand in the archive, without a checksum, if they stand there unpacked.
    in_place: &'a dyn Fn(&Member) -> bool,
    /// Takes one.
    take: &'a mut dyn FnMut(&Member, &mut Content<'_>) -> Result<(), ArchiveError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Zip,
    Tar,
    TarGz,
}

impl Format {
    /// By the name of a file, and what of the name is before its ending.
    fn of(name: &str) -> Option<(Self, &str)> {
        [(".zip", Self::Zip), (".tar.gz", Self::TarGz), (".tgz", Self::TarGz), (".tar", Self::Tar)]
            .into_iter()
            .find_map(|(ending, format)| Some((format, files::strip_suffix(name, ending)?)))
            .filter(|(_, stem)| !stem.is_empty())
    }
}

/// What a member is to a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// An image.
    Image,
    /// Read when the archive is met.
    Small,
    /// Unpacked with the image it belongs to.
    Large,
    /// Pictures, documents, videos, archives, and what macOS adds.
    None,
}

/// Endings of what no scene is read from.
const UNUSED: [&str; 24] = [
    ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".jp2", ".pdf", ".doc", ".docx", ".htm", ".html", ".kml", ".kmz", ".avi",
    ".mp4", ".mov", ".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz",
];

impl Use {
    fn of(path: &str, size: u64) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_unused = path.starts_with("__MACOSX/")
            || name.starts_with("._")
            || UNUSED.iter().any(|ending| files::strip_suffix(name, ending).is_some());
        match () {
            () if is_unused => Self::None,
            () if files::tiff_stem(name).is_some() => Self::Image,
            () if size <= limits::SMALL => Self::Small,
            () => Self::Large,
        }
    }
}

/// Name of an archive without its ending, if it is one by its name.
pub(super) fn stem(name: &str) -> Option<&str> {
    Format::of(name).map(|(_, stem)| stem)
}

/// What files of a delivery come out of, other than a folder of the machine.
#[derive(Debug)]
pub(super) enum Container {
    /// An archive.
    Archive(Archive),
    /// Object storage or a web server.
    Mirror(Mirror),
}

impl Container {
    /// The folder that stands for an archive.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Self::Archive(archive) => Some(&archive.root),
            Self::Mirror(_) => None,
        }
    }

    /// The bucket or server.
    pub fn mirror(&self) -> Option<&Mirror> {
        match self {
            Self::Archive(_) => None,
            Self::Mirror(mirror) => Some(mirror),
        }
    }

    /// Number of files in an archive, and of the images among them with the first.
    pub fn summary(&self) -> (usize, Option<(usize, &str)>) {
        match self {
            Self::Archive(archive) => archive.summary(),
            Self::Mirror(_) => (0, None),
        }
    }

    /// Where a file stands that it made, for messages.
    pub fn origin(&self, file: &Path) -> Option<PathBuf> {
        match self {
            Self::Archive(archive) => archive.origin(file),
            Self::Mirror(mirror) => mirror.origin(file),
        }
    }

    /// Makes what opening a scene of these files asks for.
    pub fn prepare(&self, of: &[&Path]) -> Result<(), ArchiveError> {
        match self {
            Self::Archive(_) => Ok(()),
            Self::Mirror(mirror) => mirror.prepare(of),
        }
    }

    /// Those of these files that are on their way.
    pub fn arrivals(&self, of: &[&Path]) -> Arrivals {
        match self {
            Self::Archive(_) => Arrivals::default(),
            Self::Mirror(mirror) => mirror.arrivals(of),
        }
    }

    /// Makes the images among these files, or all of those in a folder of an archive if its sidecar is among them: whole, or
    /// such that their bytes come when they are waited for.
    pub fn unpack(&self, of: &[&Path]) -> Result<Unpacked, ArchiveError> {
        match self {
            Self::Archive(archive) => archive.unpack(of),
            Self::Mirror(mirror) => mirror.unpack(of),
        }
    }
}

/// Where an archive stands.
#[derive(Debug)]
enum Standing {
    File,
    Remote(Blocks),
}

/// An archive with its small members in a folder; the folder goes with it.
#[derive(Debug)]
pub(super) struct Archive {
    /// Its path, or its URL.
    path: PathBuf,
    standing: Standing,
    format: Format,
    members: Vec<Member>,
    root: PathBuf,
    scratch: Scratch,
    // Dropped in this order: the folder of this archive, then that of the process if it was the last.
    _folder: TempDir,
    _held: Arc<scratch::Held>,
}

/// Images that take room until they are dropped; whole, or on their way.
#[derive(Debug, Default)]
pub struct Unpacked {
    files: Vec<PathBuf>,
    bytes: u64,
    arrivals: Arrivals,
}

impl Unpacked {
    /// Files that are removed with it.
    fn of(files: Vec<PathBuf>) -> Self {
        Self { files, bytes: 0, arrivals: Arrivals::default() }
    }

    /// Bytes they take so far.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.arrivals.all().map(|arrival| arrival.bytes()).sum::<u64>()
    }

    /// What became of work with these images: where their bytes did not come, why not.
    ///
    /// # Errors
    /// That of the work, or why it could not be done.
    pub fn settle<T>(&self, result: AnyResult<T>) -> AnyResult<T> {
        let fault = || self.arrivals.all().find_map(|arrival| arrival.fault());
        result.map_err(|e| match is_missing(&e).then(fault).flatten() {
            Some(fault) => fault.within(|context| context.stage = Some("scene")),
            None => e,
        })
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.bytes += std::mem::take(&mut other.bytes);
        self.arrivals.extend(std::mem::take(&mut other.arrivals));
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        self.arrivals.all().for_each(|arrival| arrival.end());
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Archive {
    /// Reads what is small of an archive.
    pub fn open(path: &Path, scratch: &Scratch) -> Result<Self, ArchiveError> {
        Self::new(path, Standing::File, scratch)
    }

    /// The same of one in object storage or on a web server.
    pub fn fetch(objects: Arc<dyn Objects>, object: Object, scratch: &Scratch) -> Result<Self, ArchiveError> {
        let url = format!("{}/{}", objects.url(), object.name);
        Self::new(Path::new(&url), Standing::Remote(Blocks::new(objects, object)), scratch)
    }

    fn new(path: &Path, standing: Standing, scratch: &Scratch) -> Result<Self, ArchiveError> {
        let name = files::file_name(path);
        let (format, stem) = Format::of(&name).unwrap_or((Format::Zip, &name));
        let (folder, held) = scratch.folder()?;
        // Ids may come from the name of a folder, which would be the archive's; messages name both.
        let root = folder.path().join(&name).join(stem);
        make(&root)?;
        let mut archive = Self {
            path: path.into(),
            standing,
            format,
            members: Vec::new(),
            root,
            scratch: scratch.clone(),
            _folder: folder,
            _held: held,
        };
        archive.members = archive.look()?;
        Ok(archive)
    }

    /// Where a file of its folder stands in the archive, for messages.
    pub fn origin(&self, file: &Path) -> Option<PathBuf> {
        Some(self.path.join(file.strip_prefix(&self.root).ok()?))
    }

    /// Number of files, and of the images among them with the first.
    fn summary(&self) -> (usize, Option<(usize, &str)>) {
        let images: Vec<_> = self.members.iter().filter(|m| m.purpose() == Use::Image).collect();
        (self.members.len(), images.first().map(|first| (images.len(), first.path.as_str())))
    }

    fn walk(&self, walk: &mut Walk<'_>) -> Result<Vec<Member>, ArchiveError> {
        let blocks = match &self.standing {
            Standing::Remote(blocks) => blocks,
            Standing::File => {
                let read = |source| ArchiveError::ArchiveRead { archive: self.path.clone(), source };
                let file = File::open(&self.path).map_err(read)?;
                let length = file.metadata().map_err(read)?.len();
                return self.walk_in(&Input::new(&file, length), walk);
            }
        };
        let done = self.walk_in(&Input::new(blocks, blocks.size()), walk);
        // What decoders say of bytes that did not come is of no use.
        blocks.finish().map_or(done, |fault| Err(failed(fault)))
    }

    fn walk_in(&self, input: &Input<'_>, walk: &mut Walk<'_>) -> Result<Vec<Member>, ArchiveError> {
        let stop = self.scratch.stop();
        match self.format {
            Format::Zip => zip::walk(&self.path, input, stop, walk),
            Format::Tar => tar::walk(&self.path, input, false, stop, walk),
            Format::TarGz => tar::walk(&self.path, input, true, stop, walk),
        }
    }

    /// Writes what is small and the headers of images.
    fn look(&self) -> Result<Vec<Member>, ArchiveError> {
        let (mut kept, mut scattered) = (0u64, BTreeSet::new());
        let wants = |member: &Member| matches!(member.purpose(), Use::Image | Use::Small);
        let mut take = |member: &Member, content: &mut Content<'_>| {
            kept += match member.purpose() {
                Use::Image => match self.write(member, |file| header::copy(content, member.size, file))? {
                    Some(bytes) => bytes,
                    None => {
                        scattered.insert(member.path.clone());
                        0
                    }
                },
                _ => self.write(member, |file| content.copy(member.size, file))?,
            };
            if kept > limits::KEPT {
                return Err(zip::over(
                    &self.path,
                    &member.path,
                    "bytes of metadata and image headers",
                    kept,
                    limits::KEPT,
                ));
            }
            Ok(())
        };
        let members = self.walk(&mut Walk {
            wants: &wants,
            in_place: &|member| member.purpose() == Use::Image,
            take: &mut take,
        })?;
        if !scattered.is_empty() {
            self.copy(&members, &scattered)?;
        }
        Ok(members)
    }

    /// Writes whole members over what stands for them; bytes that were written.
    fn copy(&self, members: &[Member], wanted: &BTreeSet<String>) -> Result<u64, ArchiveError> {
        let needed =
            members.iter().filter(|m| wanted.contains(&m.path)).fold(0u64, |sum, m| sum.saturating_add(m.size));
        self.scratch.room(&self.path, needed)?;
        let mut written = BTreeSet::new();
        let mut take = |member: &Member, content: &mut Content<'_>| {
            self.write(member, |file| content.copy(member.size, file))?;
            written.insert(member.path.clone());
            Ok(())
        };
        self.walk(&mut Walk { wants: &|member| wanted.contains(&member.path), in_place: &|_| false, take: &mut take })?;
        match wanted.difference(&written).next() {
            None => Ok(needed),
            Some(lost) => {
                let problem = format!("`{lost}` was there and is no more; did it change while it was read?");
                Err(ArchiveError::ArchiveDamaged { archive: self.path.clone(), problem })
            }
        }
    }

    /// Unpacks the images `of` a scene, files of this archive's folder, with what lies beside them under their names; all
    /// of those in a folder if `of` names the sidecar in it.
    pub fn unpack(&self, of: &[&Path]) -> Result<Unpacked, ArchiveError> {
        let mut wanted = BTreeSet::new();
        for file in of.iter().filter_map(|file| file.strip_prefix(&self.root).ok()) {
            let folder = file.parent().unwrap_or(Path::new(""));
            let name = files::file_name(file);
            let stem = files::tiff_stem(&name);
            let belongs = |member: &&Member| {
                let path = Path::new(&member.path);
                matches!(member.purpose(), Use::Image | Use::Large)
                    && match stem {
                        None => path.starts_with(folder),
                        Some(stem) => {
                            path.parent() == Some(folder)
                                && files::file_name(path).strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))
                        }
                    }
            };
            wanted.extend(self.members.iter().filter(belongs).map(|m| m.path.clone()));
        }
        // What was written is removed also when the rest fails.
        let mut unpacked = Unpacked::of(wanted.iter().map(|path| self.root.join(path)).collect());
        if !wanted.is_empty() {
            unpacked.bytes = self.copy(&self.members, &wanted)?;
        }
        Ok(unpacked)
    }

    /// Writes the file of a member anew.
    fn write<T>(&self, member: &Member, fill: impl FnOnce(&File) -> Result<T, Fault>) -> Result<T, ArchiveError> {
        let path = self.root.join(&member.path);
        make(path.parent().unwrap_or(&self.root))?;
        let wrong = |source| ArchiveError::ScratchWrite { path: path.clone(), source };
        let file = File::create(&path).map_err(wrong)?;
        fill(&file).map_err(|fault| match fault {
            Fault::Read(_) if self.scratch.stop().load(Ordering::Relaxed) => {
                ArchiveError::ArchiveInterrupted { archive: self.path.clone() }
            }
            Fault::Read(source) => meter::fault(&self.path, &member.path, source),
            Fault::Write(source) => wrong(source),
        })
    }
}

fn make(folder: &Path) -> Result<(), ArchiveError> {
    std::fs::create_dir_all(folder).map_err(|source| ArchiveError::ScratchWrite { path: folder.into(), source })
}
