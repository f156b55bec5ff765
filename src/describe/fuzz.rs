//! Readers of this module on any bytes, for [`crate::fuzzing`]. What they write is a sidecar.

use std::path::Path;

use super::{DescribeError, Draft, dimap, landsat};
use crate::scene;

/// DIMAP.
pub fn dimap(_: &Path, data: &[u8]) -> bool {
    check(dimap::draft(Path::new("DIM_A.XML"), &String::from_utf8_lossy(data)))
}

/// Landsat's `_MTL.txt`.
pub fn mtl(folder: &Path, data: &[u8]) -> bool {
    for band in [2, 3, 4, 8] {
        let path = folder.join(format!("x_B{band}.TIF"));
        assert!(path.exists() || std::fs::write(path, "").is_ok());
    }
    check(landsat::draft(&folder.join("x_MTL.txt"), &String::from_utf8_lossy(data)))
}

fn check(draft: Result<Draft, DescribeError>) -> bool {
    let Ok(draft) = draft else { return false };
    let text = draft.toml();
    assert!(scene::fuzz::is_sidecar(&text), "{text}");
    true
}
