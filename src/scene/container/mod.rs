//! Deliveries in archives: `.zip`, `.tar`, `.tar.gz` and `.tgz`.
//!
//! An archive becomes a folder like any other, so that everything behind this module knows folders alone, and no byte of
//! a product depends on how the delivery came. When it is met, what is small is written there: metadata whole, and of each
//! image its header, in a file of the right length whose pixels are a hole. That is enough to find, pair, open and check a
//! scene. Before pixels are read, [`Archive::unpack`] puts the whole images in their places, and takes them away again
//! when the scene is done.
//!
//! An archive is not trusted: everything is bounded ([`limits`]), names lead nowhere else, links and devices are refused,
//! archives in archives are not opened, and one bad member refuses the whole.

mod error;
mod header;
mod limits;
mod meter;
mod names;
mod scratch;
mod tar;
mod zip;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

pub use self::error::ArchiveError;
use self::meter::{Content, Fault};
pub use self::scratch::Scratch;
use super::files;

/// A file in an archive.
#[derive(Debug, Clone)]
struct Member {
    /// Below the archive's root, its parts joined by `/`.
    path: String,
    /// Bytes once unpacked.
    size: u64,
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
    fn of(member: &Member) -> Self {
        let name = member.path.rsplit('/').next().unwrap_or_default();
        let is_unused = member.path.starts_with("__MACOSX/")
            || name.starts_with("._")
            || UNUSED.iter().any(|ending| files::strip_suffix(name, ending).is_some());
        match () {
            () if is_unused => Self::None,
            () if files::tiff_stem(name).is_some() => Self::Image,
            () if member.size <= limits::SMALL => Self::Small,
            () => Self::Large,
        }
    }
}

/// Name of an archive without its ending, if it is one by its name.
pub(super) fn stem(name: &str) -> Option<&str> {
    Format::of(name).map(|(_, stem)| stem)
}

/// An archive with its small members in a folder; the folder goes with it.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    format: Format,
    members: Vec<Member>,
    root: PathBuf,
    scratch: Scratch,
    // Dropped in this order: the folder of this archive, then that of the process if it was the last.
    _folder: TempDir,
    _held: Arc<scratch::Held>,
}

/// Whole images that take room until they are dropped.
#[derive(Debug, Default)]
pub struct Unpacked {
    files: Vec<PathBuf>,
    bytes: u64,
}

impl Unpacked {
    /// Bytes they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Archive {
    /// Reads what is small of an archive.
    pub fn open(path: &Path, scratch: &Scratch) -> Result<Self, ArchiveError> {
        let name = files::file_name(path);
        let (format, stem) = Format::of(&name).unwrap_or((Format::Zip, &name));
        let (folder, held) = scratch.folder()?;
        // Ids may come from the name of a folder, which would be the archive's; messages name both.
        let root = folder.path().join(&name).join(stem);
        make(&root)?;
        let mut archive = Self {
            path: path.into(),
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

    /// The folder that stands for it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of its folder stands in the archive, for messages.
    pub fn origin(&self, file: &Path) -> Option<PathBuf> {
        Some(self.path.join(file.strip_prefix(&self.root).ok()?))
    }

    /// Number of files, and the images among them.
    pub fn summary(&self) -> (usize, Vec<&str>) {
        let images = self.members.iter().filter(|m| Use::of(m) == Use::Image).map(|m| m.path.as_str());
        (self.members.len(), images.collect())
    }

    fn walk(&self, walk: &mut Walk<'_>) -> Result<Vec<Member>, ArchiveError> {
        match self.format {
            Format::Zip => zip::walk(&self.path, self.scratch.stop(), walk),
            Format::Tar => tar::walk(&self.path, false, self.scratch.stop(), walk),
            Format::TarGz => tar::walk(&self.path, true, self.scratch.stop(), walk),
        }
    }

    /// Writes what is small and the headers of images.
    fn look(&self) -> Result<Vec<Member>, ArchiveError> {
        let (mut kept, mut scattered) = (0u64, BTreeSet::new());
        let wants = |member: &Member| matches!(Use::of(member), Use::Image | Use::Small);
        let mut take = |member: &Member, content: &mut Content<'_>| {
            kept += match Use::of(member) {
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
        let members =
            self.walk(&mut Walk { wants: &wants, in_place: &|member| Use::of(member) == Use::Image, take: &mut take })?;
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
                matches!(Use::of(member), Use::Image | Use::Large)
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
        let mut unpacked = Unpacked { files: wanted.iter().map(|path| self.root.join(path)).collect(), bytes: 0 };
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
