//! Names of members: made text, checked, and each there once.

use std::collections::HashSet;
use std::path::Path;

use super::{ArchiveError, limits};

/// The names met so far in an archive, or below a folder.
#[derive(Debug)]
pub struct Names {
    most: u64,
    count: u64,
    files: HashSet<String>,
    folders: HashSet<String>,
}

/// A name for messages, whatever its bytes.
pub fn shown(raw: &[u8]) -> String {
    let text = decode(raw).unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned());
    // Control characters have no business in a terminal.
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// UTF-8, and what is not as GB 18030, which holds GBK: what Chinese versions of Windows write, without saying so.
fn decode(raw: &[u8]) -> Option<String> {
    match std::str::from_utf8(raw) {
        Ok(text) => Some(text.into()),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(raw).map(Into::into),
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::with_most(limits::MEMBERS)
    }
}

impl Names {
    /// At most so many.
    pub fn with_most(most: u64) -> Self {
        Self { most, count: 0, files: HashSet::new(), folders: HashSet::new() }
    }

    /// Path of a member below the archive's root, its parts joined by `/`; `None` for the root itself.
    pub fn add(&mut self, archive: &Path, raw: &[u8], is_folder: bool) -> Result<Option<String>, ArchiveError> {
        let refused = |problem: &str| ArchiveError::ArchiveUnsafe {
            archive: archive.into(),
            member: shown(raw),
            problem: problem.into(),
        };
        let over = |what, found, limit| ArchiveError::ArchiveLimit {
            archive: archive.into(),
            member: shown(raw),
            what,
            found,
            limit,
        };
        self.count += 1;
        if self.count > self.most {
            return Err(over("members", self.count, self.most));
        }
        if raw.len() > limits::PATH {
            return Err(over("bytes of name", raw.len() as u64, limits::PATH as u64));
        }
        let text = decode(raw).ok_or_else(|| refused("a name that is neither UTF-8 nor GBK"))?;
        let mut letters = text.chars();
        if letters.next().is_some_and(|c| c.is_ascii_alphabetic()) && letters.next() == Some(':') {
            return Err(refused("a path with a drive letter"));
        }
        if text.starts_with('/') {
            return Err(refused("an absolute path"));
        }
        if text.contains('\\') {
            return Err(refused("a path with a backslash"));
        }
        if text.chars().any(char::is_control) {
            return Err(refused("a name with a control character"));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(refused("a path that leads out by `..`"));
        }
        if let Some(long) = parts.iter().map(|part| part.len()).find(|length| *length > limits::NAME) {
            return Err(over("bytes of name", long as u64, limits::NAME as u64));
        }
        if parts.len() > limits::DEPTH {
            return Err(over("folders in each other", parts.len() as u64, limits::DEPTH as u64));
        }
        let path = parts.join("/");
        if path.is_empty() {
            return if is_folder { Ok(None) } else { Err(refused("a file without a name")) };
        }
        for end in (1..parts.len()).chain(is_folder.then_some(parts.len())) {
            self.folders.insert(parts.get(..end).unwrap_or_default().join("/"));
        }
        let twice = if is_folder { self.files.contains(&path) } else { !self.files.insert(path.clone()) };
        let under_file =
            (1..parts.len()).any(|end| self.files.contains(&parts.get(..end).unwrap_or_default().join("/")));
        if twice || under_file || (!is_folder && self.folders.contains(&path)) {
            return Err(refused("a name that is there twice"));
        }
        Ok(Some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(names: &mut Names, raw: &[u8]) -> Result<Option<String>, String> {
        names.add(Path::new("a.zip"), raw, raw.ends_with(b"/")).map_err(|e| e.to_string())
    }

    #[test]
    fn names_are_utf_8_or_gbk_and_lead_nowhere_else() {
        let mut names = Names::default();
        let mut good = |raw: &[u8]| add(&mut names, raw).unwrap();
        assert_eq!(good(b"./"), None);
        assert_eq!(good(b"./top//a.tif").as_deref(), Some("top/a.tif"));
        assert_eq!(good("影像.tif".as_bytes()).as_deref(), Some("影像.tif"));
        assert_eq!(good(b"\xbc\xaa\xc1\xd6.tif").as_deref(), Some("吉林.tif"));
        // The second byte of this character is a backslash.
        let backslash = encoding_rs::GBK.decode(b"\x95\x5c.tif").0;
        assert_eq!(good(b"\x95\x5c.tif").as_deref(), Some(&*backslash));
        for raw in [
            &b"../a"[..],
            b"a/../../b",
            b"/etc/passwd",
            b"C:\\a",
            b"c:a",
            b"a\\b",
            b"a\0b",
            b"a\nb",
            b"\xff\xff",
            b"",
            b"top/a.tif",
            b"top",
            b"top/a.tif/b",
            b"top/a.tif/",
        ] {
            let message = add(&mut names, raw).unwrap_err();
            assert!(message.contains("a.zip") && !message.contains(char::is_control), "{raw:?}: {message}");
        }
    }

    #[test]
    fn long_deep_and_many_names_are_refused() {
        let mut names = Names::default();
        for raw in [vec![b'a'; 256], vec![b'a'; 1025], b"a/".repeat(17)] {
            assert!(add(&mut names, &raw).unwrap_err().contains("limit"));
        }
        let mut names = Names::default();
        for k in 0..limits::MEMBERS {
            add(&mut names, k.to_string().as_bytes()).unwrap();
        }
        assert!(add(&mut names, b"one more").unwrap_err().contains("10001 members"));
    }
}
