//! What a scene's input is, as a digest: the same for the same delivery wherever it stands, different when anything in
//! it that can change a pixel does.
//!
//! Metadata files are digested whole; of a raster, its size and sixteen ranges spread over it, unless everything is
//! asked for. Absolute paths, times of files and the order of folders never enter.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::rpc::Correction;
use super::{Scene, SceneError, SensorModel, files};
use crate::arrival::Arrival;
use crate::error;

/// Length of a sampled range, bytes.
const RANGE: u64 = 64 << 10;

/// Number of sampled ranges: the first, the last, and fourteen evenly spaced between.
const RANGES: u64 = 16;

/// Digest of a scene's input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// SHA-256, hexadecimal.
    pub digest: String,
    /// Bytes of all files of the scene.
    pub bytes: u64,
}

/// Digests what `scene` was read from; with `full`, every byte of the rasters too.
///
/// # Cost
/// 1 MiB of each raster, or all of it; of those that are on their way no more is fetched for it.
///
/// # Errors
/// A [`SceneError`] when a file can no longer be read.
pub fn identity(scene: &Scene, full: bool) -> error::Result<Identity> {
    let mut outer = Sha256::new();
    let mut bytes = 0;
    field(&mut outer, if full { b"identity 1 full" } else { b"identity 1 sampled" });
    for (at, path) in scene.metadata_files.iter().enumerate() {
        // One metadata file may serve several parts.
        if !scene.metadata_files.iter().take(at).any(|before| before == path) {
            bytes += file(&mut outer, &files::file_name(path), path, true, None)?;
        }
    }
    for part in &scene.parts {
        field(&mut outer, part.name.as_bytes());
        for path in part.files() {
            bytes += file(&mut outer, &files::file_name(path), path, full, scene.arrivals.of(path))?;
        }
        // What tags and files beside the image say of it, which no digest above covers for sure.
        match part.fill {
            Some(fill) => field(&mut outer, &fill.to_le_bytes()),
            None => field(&mut outer, b"none"),
        }
        for bytes in place(&part.sensor_model) {
            field(&mut outer, &bytes);
        }
    }
    let digest = outer.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(Identity { digest, bytes })
}

/// Digests one side file, such as a DEM, in the same way: size, and its sampled ranges or, with `full`, all of it. Its
/// name does not count: the same heights under another name are the same heights.
///
/// # Errors
/// A [`SceneError`] when it cannot be read.
pub fn of_file(path: &Path, full: bool) -> error::Result<Identity> {
    let mut outer = Sha256::new();
    let bytes = file(&mut outer, "", path, full, None)?;
    let digest = outer.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(Identity { digest, bytes })
}

/// Digests side files that are used together, such as tiles of a DEM, in their order. One alone has the digest of
/// [`of_file`].
///
/// # Errors
/// A [`SceneError`] when one cannot be read.
pub fn of_files<'a>(paths: impl IntoIterator<Item = &'a Path>, full: bool) -> error::Result<String> {
    let all = paths.into_iter().map(|p| Ok(of_file(p, full)?.digest)).collect::<error::Result<Vec<_>>>()?;
    if let [one] = &*all {
        return Ok(one.clone());
    }
    let mut outer = Sha256::new();
    all.iter().for_each(|digest| field(&mut outer, digest.as_bytes()));
    Ok(outer.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// Length before content, so that no two lists of fields read the same.
fn field(outer: &mut Sha256, content: &[u8]) {
    outer.update((content.len() as u64).to_le_bytes());
    outer.update(content);
}

fn place(model: &SensorModel) -> Vec<Vec<u8>> {
    let numbers = |values: &mut dyn Iterator<Item = f64>| values.flat_map(f64::to_le_bytes).collect();
    match model {
        SensorModel::Rpc(rpc) => {
            let mut fields = vec![numbers(&mut rpc.numbers())];
            let Correction { col, row } = rpc.correction;
            if rpc.correction != Correction::IDENTITY {
                fields.push(numbers(&mut col.into_iter().chain(row)));
            }
            fields
        }
        SensorModel::Projected { crs, transform } => {
            let definition = crs.epsg().map_or_else(|| crs.wkt().to_string(), |code| format!("EPSG:{code}"));
            vec![definition.into_bytes(), numbers(&mut transform.to_gdal().into_iter())]
        }
        SensorModel::Unknown { .. } => Vec::new(),
    }
}

/// Digests one file: name, size, and all of it or the sampled ranges.
fn file(
    outer: &mut Sha256,
    name: &str,
    path: &Path,
    full: bool,
    arrival: Option<&Arc<Arrival>>,
) -> Result<u64, SceneError> {
    let failed = |source| SceneError::Read { path: PathBuf::from(path), source };
    let mut input = File::open(path).map_err(failed)?;
    let size = input.metadata().map_err(failed)?.len();
    let mut inner = Sha256::new();
    let mut ranges = ranges(size, full);
    if let Some(arrival) = arrival {
        if let [_] = *ranges {
            arrival.wait_for_all().map_err(failed)?;
        } else {
            let short: Vec<_> = ranges.drain(..).map(|(start, length)| start..start + length).collect();
            arrival.probe(&short).map_err(failed)?.iter().for_each(|bytes| inner.update(bytes));
        }
    }
    for (start, length) in ranges {
        input.seek(SeekFrom::Start(start)).map_err(failed)?;
        let read = std::io::copy(&mut input.by_ref().take(length), &mut HashWriter(&mut inner)).map_err(failed)?;
        if read != length {
            return Err(SceneError::Truncated { path: path.into(), needed: start + length, found: start + read });
        }
    }
    field(outer, name.as_bytes());
    outer.update(size.to_le_bytes());
    outer.update(inner.finalize());
    Ok(size)
}

/// Start and length of what is digested of a file.
fn ranges(size: u64, full: bool) -> Vec<(u64, u64)> {
    if full || size <= RANGE * RANGES {
        return vec![(0, size)];
    }
    // 128 bits, because the product of a size and a count need not fit 64.
    let start = |i: u64| (u128::from(size - RANGE) * u128::from(i) / u128::from(RANGES - 1)) as u64;
    (0..RANGES).map(|i| (start(i), RANGE)).collect()
}

/// Lets `io::copy` feed a digest.
struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::open;
    use super::super::testing::{STEM, write_delivery};
    use super::*;

    fn of(dir: &Path) -> Identity {
        identity(&open(dir).unwrap(), false).unwrap()
    }

    #[test]
    fn the_place_does_not_matter_but_every_file_does() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_delivery(a.path());
        write_delivery(b.path());
        let first = of(a.path());
        assert_eq!(first, of(b.path()));
        assert_eq!(first.digest.len(), 64);
        assert_ne!(first.digest, identity(&open(a.path()).unwrap(), true).unwrap().digest);
        let mss = b.path().join(format!("{STEM}_MSS"));
        for name in ["_MSS_meta.xml", "_MSS_rpc.txt", "_MSS.tif"] {
            let path = mss.join(format!("{STEM}{name}"));
            let whole = std::fs::read(&path).unwrap();
            let mut changed = whole.clone();
            changed.extend(b"\n");
            std::fs::write(&path, changed).unwrap();
            assert_ne!(first.digest, of(b.path()).digest, "{name}");
            std::fs::write(&path, whole).unwrap();
        }
        assert_eq!(first, of(b.path()));
    }

    #[test]
    fn a_correction_of_positions_counts() {
        let dir = tempfile::tempdir().unwrap();
        write_delivery(dir.path());
        let mut scene = open(dir.path()).unwrap();
        let plain = identity(&scene, false).unwrap();
        for correction in [Correction::shift(0.5, 0.0), Correction::shift(0.0, 0.5)] {
            let SensorModel::Rpc(rpc) = &mut scene.parts[0].sensor_model else { panic!("no RPC") };
            rpc.correction = correction;
            assert_ne!(identity(&scene, false).unwrap(), plain);
        }
        let SensorModel::Rpc(rpc) = &mut scene.parts[0].sensor_model else { panic!("no RPC") };
        rpc.correction = Correction::IDENTITY;
        assert_eq!(identity(&scene, false).unwrap(), plain);
    }

    #[test]
    fn the_bytes_of_a_scene_are_all_its_files() {
        let dir = tempfile::tempdir().unwrap();
        write_delivery(dir.path());
        let mut total = 0;
        for folder in std::fs::read_dir(dir.path()).unwrap() {
            for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                total += entry.unwrap().metadata().unwrap().len();
            }
        }
        assert_eq!(of(dir.path()).bytes, total);
    }

    #[test]
    fn a_change_in_a_sampled_range_of_a_big_raster_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let digest = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mut outer = Sha256::new();
            file(&mut outer, "big", &path, false, None).unwrap();
            outer.finalize()
        };
        let mut bytes = vec![7; 3 << 20];
        let before = digest(&bytes);
        for at in [0, 3 << 20].map(|end: usize| end.saturating_sub(1)) {
            bytes[at] = 8;
            assert_ne!(before, digest(&bytes));
            bytes[at] = 7;
        }
        assert_eq!(before, digest(&bytes));
    }

    proptest! {
        #[test]
        fn ranges_stay_in_the_file_and_reach_both_ends(size in 0u64..u64::MAX / 2, full: bool) {
            let list = ranges(size, full);
            prop_assert_eq!(list.first().map(|r| r.0), Some(0));
            prop_assert_eq!(list.last().map(|r| r.0 + r.1), Some(size));
            prop_assert!(list.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
        }
    }
}
