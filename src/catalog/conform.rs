//! Whether the files of an Item are the ones it describes.
//!
//! Invariant: a file is read only if its size is the one stated, so no document makes this read more than it says.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::href::path_from_href;
use super::validate::Problem;

/// What a multihash of SHA-256 begins with: the code of the function, and 32, the number of bytes.
///
/// # Reference
/// Multihash, table of codes: `sha2-256` is 0x12.
pub(super) const SHA2_256: &str = "1220";

/// Everything that differs between the assets of an Item and the files they name, in the order of the assets.
///
/// `base_dir` is the folder of the Item. Assets that state neither size nor checksum are passed over.
///
/// # Cost
/// Reads every file once, in pieces.
pub fn conform_item(document: &Value, base_dir: &Path) -> Vec<Problem> {
    conform_item_in(document, |name| {
        let path = base_dir.join(name);
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        Ok((metadata.len(), File::open(path)?))
    })
}

/// The same for files that stand anywhere: `open` gives size and content of one, by its path relative to the Item's folder.
pub fn conform_item_in<R: Read>(document: &Value, open: impl Fn(&str) -> io::Result<(u64, R)>) -> Vec<Problem> {
    let assets = document.get("assets").and_then(Value::as_object);
    assets.into_iter().flatten().filter_map(|(key, asset)| conform_asset(key, asset, &open).err()).collect()
}

fn conform_asset<R: Read>(
    key: &str,
    asset: &Value,
    open: &impl Fn(&str) -> io::Result<(u64, R)>,
) -> Result<(), Problem> {
    let (size, checksum) = (asset.get("file:size"), asset.get("file:checksum"));
    if size.is_none() && checksum.is_none() {
        return Ok(());
    }
    let problem = |field: &str, message: String| {
        let key = key.replace('~', "~0").replace('/', "~1");
        Problem::new(format!("/assets/{key}/{field}"), message)
    };
    let href = asset.get("href").and_then(Value::as_str).unwrap_or_default();
    let Some(path) = path_from_href(href).filter(|path| !path.is_empty()) else {
        return Err(problem("href", format!("`{href}` is no relative path, so its file cannot be checked here")));
    };
    let unreadable = |e: io::Error| problem("href", format!("`{path}` cannot be read: {e}"));
    let (found, file) = open(&path).map_err(unreadable)?;
    let stated = size.map(|size| size.as_u64().ok_or(size)).transpose();
    let stated = stated.map_err(|size| problem("file:size", format!("expected a number of bytes, found {size}")))?;
    if let Some(stated) = stated.filter(|stated| *stated != found) {
        let message = format!("expected {stated} bytes, found {found} in `{path}`");
        return Err(problem("file:size", message));
    }
    let Some(checksum) = checksum else { return Ok(()) };
    let expected = checksum.as_str().and_then(|text| text.strip_prefix(SHA2_256)).filter(|digest| digest.len() == 64);
    let Some(expected) = expected else {
        let message = format!("expected `{SHA2_256}` and 64 digits (SHA-256), found {checksum}");
        return Err(problem("file:checksum", message));
    };
    let digest = sha256(file.take(found)).map_err(unreadable)?;
    if digest != expected {
        let message = format!("expected SHA-256 {expected}, found {digest} in `{path}`");
        return Err(problem("file:checksum", message));
    }
    Ok(())
}

/// The SHA-256 of everything that comes, lower-case hexadecimal.
fn sha256(mut from: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// SHA-256 of `abc`, FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn problems(asset: Value) -> Vec<Problem> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("k 1")).unwrap();
        std::fs::write(dir.path().join("k 1/a.tif"), "abc").unwrap();
        conform_item(&json!({ "assets": { "a/b": asset } }), dir.path())
    }

    fn sound() -> Value {
        json!({ "href": "./k%201/a.tif", "file:size": 3, "file:checksum": format!("1220{ABC}") })
    }

    #[test]
    fn files_as_described_conform() {
        assert_eq!(problems(sound()), []);
        assert_eq!(problems(json!({ "href": "./missing.tif" })), [], "nothing is stated of it");
        assert_eq!(conform_item(&json!(3), Path::new("/")), []);
    }

    #[test]
    fn every_difference_is_found() {
        let other = format!("1220{}", ABC.replace('b', "c"));
        let cases = [
            ("href", json!("./missing.tif"), "cannot be read"),
            ("href", json!("./k%201"), "no file"),
            ("href", json!("https://example.com/a.tif"), "no relative path"),
            ("href", json!(null), "no relative path"),
            ("file:size", json!(4), "expected 4 bytes, found 3"),
            ("file:size", json!("3"), "expected a number"),
            ("file:checksum", json!(other), "expected SHA-256 ca78"),
            ("file:checksum", json!(format!("1114{ABC}")), "expected `1220`"),
            ("file:checksum", json!("1220ab"), "64 digits"),
        ];
        for (field, value, words) in cases {
            let mut asset = sound();
            asset[field] = value;
            let found = problems(asset);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].path, format!("/assets/a~1b/{field}"));
            assert!(found[0].message.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_long_stream_is_hashed_whole() {
        // One million times `a`: FIPS 180-2, appendix B.3.
        let digest = sha256(io::repeat(b'a').take(1_000_000)).unwrap();
        assert_eq!(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
