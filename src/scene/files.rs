//! Bounded access to the files of a delivery: nothing here reads or lists without a limit, and listings are sorted,
//! because the order a file system happens to give must never reach an output.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::SceneError;

/// Most entries of a folder that are looked at.
const FOLDER_LIMIT: u64 = 100_000;

/// What a folder holds, links followed, each list sorted by name.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Plain files.
    pub files: Vec<PathBuf>,
    /// Folders.
    pub folders: Vec<PathBuf>,
}

/// The files around an image, looked up by name. The folder is listed only when a name is not there as it is written: a
/// folder may hold ten thousand scenes, each with all its files.
#[derive(Debug)]
pub(super) struct Surroundings {
    folder: PathBuf,
    more: Vec<PathBuf>,
    listed: OnceCell<Vec<PathBuf>>,
}

impl Surroundings {
    /// Those of `image`, with `more` as if they lay beside it.
    pub fn of(image: &Path, more: &[PathBuf]) -> Self {
        let folder = image.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: folder.into(), more: more.to_vec(), listed: OnceCell::new() }
    }

    /// The file of this name, else of one that differs in the case of letters alone.
    pub fn named(&self, name: &str) -> Result<Option<PathBuf>, SceneError> {
        if let Some(exact) = self.exactly(name) {
            return Ok(Some(exact));
        }
        let named = |path: &&PathBuf| file_name(path).eq_ignore_ascii_case(name);
        Ok(self.all()?.iter().find(named).cloned())
    }

    /// The file of exactly this name.
    pub fn exactly(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(name)).filter(|path| path.is_file())
    }

    /// All of them.
    pub fn all(&self) -> Result<&[PathBuf], SceneError> {
        if self.listed.get().is_none() {
            let mut files = list(&self.folder)?.files;
            files.extend(self.more.iter().cloned());
            // Nobody else can have filled it.
            let _ = self.listed.set(files);
        }
        Ok(self.listed.get().map(Vec::as_slice).unwrap_or_default())
    }
}

/// Lists a folder.
pub(super) fn list(folder: &Path) -> Result<Folder, SceneError> {
    list_bounded(folder, FOLDER_LIMIT)
}

fn list_bounded(folder: &Path, limit: u64) -> Result<Folder, SceneError> {
    let read = |source| SceneError::Read { path: folder.into(), source };
    let mut listing = Folder::default();
    for (count, entry) in (1u64..).zip(std::fs::read_dir(folder).map_err(read)?) {
        if count > limit {
            return Err(SceneError::Limit { path: folder.into(), what: "entries", found: count, limit });
        }
        let entry = entry.map_err(read)?;
        let path = entry.path();
        // Only a link has to be followed to know what it is. A dangling one is no file of the delivery.
        let kind = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => Ok(kind),
            _ => std::fs::metadata(&path).map(|m| m.file_type()),
        };
        match kind {
            Ok(kind) if kind.is_file() => listing.files.push(path),
            Ok(kind) if kind.is_dir() => listing.folders.push(path),
            _ => {}
        }
    }
    listing.files.sort_unstable();
    listing.folders.sort_unstable();
    Ok(listing)
}

/// Reads a whole small file.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SceneError> {
    let failed = |source| SceneError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(SceneError::Limit { path: path.into(), what: "bytes", found: limit + 1, limit });
    }
    Ok(bytes)
}

/// Reads a whole small file as text: UTF-8, UTF-16 with its mark, and what is neither as GB 18030, which holds GBK and
/// GB 2312, the encodings of older Chinese software. An encoding that the text declares is not asked: it is often wrong.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, SceneError> {
    Ok(decode(&read(path, limit)?))
}

pub(super) fn decode(bytes: &[u8]) -> String {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    if encoding != encoding_rs::UTF_8 {
        return encoding.decode(bytes).0.into_owned();
    }
    let bytes = bytes.get(mark..).unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// The file that `relative` names under `root`, refused when it leaves `root`, also by way of a link. `sidecar` and
/// `field` say where the name stands.
pub(super) fn inside(root: &Path, relative: &str, sidecar: &Path, field: &str) -> Result<PathBuf, SceneError> {
    let refused = |found: String| SceneError::Field {
        path: sidecar.into(),
        field: field.into(),
        expected: "a file at or below the sidecar's folder, as a relative path".into(),
        found,
        remedy: "put the file beside the sidecar and name it without `..`".into(),
    };
    let named = Path::new(relative);
    let plain = named.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !plain || named.file_name().is_none() {
        return Err(refused(format!("`{relative}`")));
    }
    let path = root.join(named);
    let real = |p: &Path| p.canonicalize().map_err(|source| SceneError::Read { path: p.into(), source });
    let target = real(&path)?;
    if !target.starts_with(real(root)?) {
        return Err(refused(format!("`{relative}`, a link to `{}`", target.display())));
    }
    Ok(path)
}

/// Name of a file as text, for matching and for messages that end up in outputs.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `name` without `suffix`, whatever the case of the suffix.
pub(super) fn strip_suffix<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(suffix.len())?;
    let tail = name.get(at..)?;
    tail.eq_ignore_ascii_case(suffix).then(|| &name[..at])
}

/// Name of an image without its extension, if it is a TIFF by its name.
pub(super) fn tiff_stem(name: &str) -> Option<&str> {
    strip_suffix(name, ".tif").or_else(|| strip_suffix(name, ".tiff"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn listing_and_reading_have_limits() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            std::fs::write(dir.path().join(name), "12345").unwrap();
        }
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let listing = list(dir.path()).unwrap();
        let names: Vec<_> = listing.files.iter().map(|p| file_name(p)).collect();
        assert_eq!((names, listing.folders.len()), (vec!["a".into(), "b".into(), "c".into()], 1));
        assert!(matches!(list_bounded(dir.path(), 3), Err(SceneError::Limit { limit: 3, .. })));
        assert!(matches!(read(&dir.path().join("a"), 4), Err(SceneError::Limit { .. })));
        assert_eq!(read(&dir.path().join("a"), 5).unwrap(), b"12345");
    }

    #[test]
    fn a_name_is_found_in_any_case_its_own_before_others() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["A_RPC.TXT", "b_rpc.txt", "B_RPC.TXT"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let elsewhere = PathBuf::from("/elsewhere/C_meta.xml");
        let around = Surroundings::of(&dir.path().join("a.tif"), std::slice::from_ref(&elsewhere));
        let named = |name: &str| around.named(name).unwrap().map(|p| file_name(&p));
        assert_eq!(named("b_rpc.txt").as_deref(), Some("b_rpc.txt"));
        assert!(around.listed.get().is_none(), "the folder need not be listed for that");
        assert_eq!(named("a_rpc.txt").as_deref(), Some("A_RPC.TXT"));
        assert_eq!(named("c_rpc.txt"), None);
        assert_eq!(around.named("c_meta.xml").unwrap(), Some(elsewhere));
        assert!(Surroundings::of(&dir.path().join("no/a.tif"), &[]).named("x").is_err());
    }

    #[test]
    fn a_sidecar_cannot_name_files_elsewhere() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("scene");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(outer.path().join("secret.tif"), "").unwrap();
        std::fs::write(root.join("in.tif"), "").unwrap();
        std::os::unix::fs::symlink("../secret.tif", root.join("link.tif")).unwrap();
        std::os::unix::fs::symlink("in.tif", root.join("good_link.tif")).unwrap();
        let sidecar = root.join("scene.toml");
        let open = |name: &str| inside(&root, name, &sidecar, "part[0].image");
        assert!(open("in.tif").is_ok() && open("./in.tif").is_ok() && open("good_link.tif").is_ok());
        for name in ["../secret.tif", "/etc/passwd", "link.tif", "", ".", "a/../in.tif"] {
            let message = open(name).unwrap_err().to_string();
            assert!(message.contains("scene.toml") && message.contains("part[0].image"), "{name}: {message}");
        }
        assert!(matches!(open("absent.tif"), Err(SceneError::Read { .. })));
    }

    #[test]
    fn chinese_and_marked_encodings_are_read() {
        assert_eq!(decode("吉林一号".as_bytes()), "吉林一号");
        assert_eq!(decode(b"\xef\xbb\xbfa"), "a");
        assert_eq!(decode(b"\xff\xfea\0\x09\x54"), "a吉");
        // 吉林一号 in GBK.
        assert_eq!(decode(&[0xbc, 0xaa, 0xc1, 0xd6, 0xd2, 0xbb, 0xba, 0xc5]), "吉林一号");
    }

    proptest! {
        #[test]
        fn any_bytes_become_some_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn suffixes_match_in_any_case() {
        assert_eq!(tiff_stem("A_PAN.TIF"), Some("A_PAN"));
        assert_eq!(tiff_stem("A.tiff"), Some("A"));
        assert_eq!(tiff_stem("A.tif.aux.xml"), None);
        assert_eq!(tiff_stem("é"), None);
        assert_eq!(strip_suffix("X_RPC.TXT", "_rpc.txt"), Some("X"));
    }
}
