//! A reader of this module on any bytes, for [`crate::fuzzing`].

use std::path::Path;

use super::uploads;

/// The list of uploads that S3 answers: ids come from the document.
pub fn uploads(_: &Path, data: &[u8]) -> bool {
    let document = String::from_utf8_lossy(data);
    let Ok(ids) = uploads::ids(&document, "a/x.tif") else { return false };
    assert!(ids.iter().all(|id| id.len() <= document.len()), "{ids:?}");
    !ids.is_empty()
}
