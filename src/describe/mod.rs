//! A `scene.toml` from the metadata of other vendors: Landsat 8 and 9 (`MTL.txt`), Sentinel-2
//! (`MTD_MSIL1C.xml`), Pléiades and SPOT (`DIM_….XML`).
//!
//! What is written is a proposal in the open: everything Fieldglow will use stands in it, with a comment where a rule
//! turned one number into another, and its owner may change it. Nothing is guessed; what the metadata do not say is left
//! out.

mod dimap;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod landsat;
mod sentinel2;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Class, Classify};
use crate::scene::Role;

/// Largest metadata file that is read, bytes.
const SIZE_LIMIT: u64 = 16 << 20;

/// Why no description can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// A file or folder cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The place holds no metadata that are known, or several.
    #[error(
        "`{path}`: expected one `…_MTL.txt` (Landsat 8, 9), `MTD_MSIL1C.xml` (Sentinel-2) or `DIM_….XML` (Pléiades, SPOT 6, 7), found {found}; name the file itself"
    )]
    NoMetadata {
        /// The place.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// The metadata cannot be parsed.
    #[error("parsing `{path}`: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        problem: String,
    },
    /// A field is missing or has an impossible value.
    #[error("`{path}`, field `{field}`: expected {expected}, found {found}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field by its name in the file.
        field: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A product of which no scene can be made.
    #[error("`{path}`: {what} is not supported; {remedy}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do instead.
        remedy: String,
    },
}

impl Classify for DescribeError {
    fn class(&self) -> Class {
        match self {
            Self::Unsupported { .. } => Class::Unsupported,
            _ => Class::Input,
        }
    }
}

/// The `scene.toml` for the product at `path`: its metadata file, or the folder it lies in. It belongs beside that file.
///
/// # Errors
/// A [`DescribeError`] that names file and field.
pub fn scene_toml(path: &Path) -> Result<String, DescribeError> {
    let file = metadata_file(path)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
    let text = read(&file)?;
    let draft = match () {
        () if name.ends_with("_MTL.TXT") => landsat::draft(&file, &text)?,
        () if is_sentinel2(&name) => sentinel2::draft(&file, &text)?,
        () => dimap::draft(&file, &text)?,
    };
    Ok(draft.toml())
}

/// Metadata of a product; level 2A only to say what to take instead.
fn is_sentinel2(upper: &str) -> bool {
    matches!(upper, "MTD_MSIL1C.XML" | "MTD_MSIL2A.XML")
}

fn is_known(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.ends_with("_MTL.TXT") || is_sentinel2(&upper) || (upper.starts_with("DIM_") && upper.ends_with(".XML"))
}

fn metadata_file(path: &Path) -> Result<PathBuf, DescribeError> {
    let failed = |source| DescribeError::Read { path: path.into(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return match is_known(&name) {
            true => Ok(path.into()),
            false => Err(DescribeError::NoMetadata { path: path.into(), found: "a file of another name".into() }),
        };
    }
    let mut known = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)?.take(100_000) {
        let entry = entry.map_err(failed)?;
        if is_known(&entry.file_name().to_string_lossy()) {
            known.push(entry.path());
        }
    }
    known.sort_unstable();
    match known.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(DescribeError::NoMetadata { path: path.into(), found: "none".into() }),
        many => Err(DescribeError::NoMetadata { path: path.into(), found: format!("{} of them", many.len()) }),
    }
}

fn read(path: &Path) -> Result<String, DescribeError> {
    let failed = |source| DescribeError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let limit = SIZE_LIMIT + 1;
    std::fs::File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 == limit {
        let problem = format!("more than {SIZE_LIMIT} bytes, which no metadata file has");
        return Err(DescribeError::Syntax { path: path.into(), problem });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a description says.
#[derive(Debug)]
struct Draft {
    /// Where it was read from, for the first line.
    source: String,
    id: String,
    /// RFC 3339.
    time: String,
    level: Option<String>,
    constellation: &'static str,
    platform: String,
    instrument: String,
    cloud_percent: Option<f64>,
    /// Elevation and azimuth, degrees.
    sun: (f64, Option<f64>),
    /// Angle off nadir and azimuth of the view, degrees.
    view: Option<(f64, Option<f64>)>,
    parts: Vec<PartDraft>,
}

#[derive(Debug)]
struct PartDraft {
    name: &'static str,
    /// The image of all bands, if they stand in one.
    image: Option<String>,
    fill: f64,
    data_bits: Option<u32>,
    bands: Vec<BandDraft>,
}

#[derive(Debug)]
struct BandDraft {
    role: Role,
    name: String,
    /// The image of the band, if it has its own.
    image: Option<String>,
    /// From 1.
    index: usize,
    range_nm: (f64, f64),
    /// A comment and the line that turns DN into values.
    calibration: (String, String),
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

impl Draft {
    fn toml(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let mut line = |text: String| {
            let _ = writeln!(out, "{text}");
        };
        line(format!("# From {}", self.source));
        line("schema = 1".into());
        line(format!("id = {}", quoted(&self.id)));
        line(format!("time = {}", self.time));
        if let Some(level) = &self.level {
            line(format!("level = {}", quoted(level)));
        }
        line(format!("constellation = {}", quoted(self.constellation)));
        line(format!("platform = {}", quoted(&self.platform)));
        line(format!("instrument = {}", quoted(&self.instrument)));
        if let Some(percent) = self.cloud_percent {
            line(format!("cloud_percent = {percent:?}"));
        }
        line(format!("\n[sun]\nelevation = {:?}", self.sun.0));
        if let Some(azimuth) = self.sun.1 {
            line(format!("azimuth = {azimuth:?}"));
        }
        if let Some((off_nadir, azimuth)) = self.view {
            line(format!("\n[view]\noff_nadir = {off_nadir:?}"));
            if let Some(azimuth) = azimuth {
                line(format!("azimuth = {azimuth:?}"));
            }
        }
        for part in &self.parts {
            line(format!("\n[[part]]\nname = {}", quoted(part.name)));
            if let Some(image) = &part.image {
                line(format!("image = {}", quoted(image)));
            }
            line(format!("fill = {}", part.fill));
            if let Some(bits) = part.data_bits {
                line(format!("data_bits = {bits}"));
            }
            for band in &part.bands {
                line(format!("\n[[part.band]]\nrole = {}\nname = {}", quoted(band.role.code()), quoted(&band.name)));
                if let Some(image) = &band.image {
                    line(format!("image = {}", quoted(image)));
                }
                line(format!("index = {}", band.index));
                line(format!("range_nm = [{}, {}]", band.range_nm.0, band.range_nm.1));
                line(format!("# {}", band.calibration.0));
                line(band.calibration.1.clone());
            }
        }
        out
    }
}

/// A time as it stands if TOML takes it so, else in its full form; `None` if it is no time.
fn time(text: &str) -> Option<String> {
    let time = text.parse::<jiff::Timestamp>().ok()?.to_string();
    [text.to_string(), time].into_iter().find(|t| t.parse::<toml::value::Datetime>().is_ok_and(|t| t.offset.is_some()))
}

/// An azimuth from 0 to 360.
fn azimuth(degrees: f64) -> f64 {
    degrees.rem_euclid(360.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_toml_takes_them() {
        assert_eq!(time("2022-05-19T05:55:43.122330Z").as_deref(), Some("2022-05-19T05:55:43.122330Z"));
        assert_eq!(time("2017-08-13T2320Z").as_deref(), Some("2017-08-13T23:20:00Z"));
        for text in ["2017-08-13", "-000001-01-01T00:00:00Z", "today"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_folder_must_hold_one_known_file() {
        let dir = tempfile::tempdir().unwrap();
        let message = || scene_toml(dir.path()).unwrap_err().to_string();
        assert!(message().contains("found none"));
        for name in ["LC08_A_MTL.txt", "DIM_A.XML"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(message().contains("2 of them"));
        std::fs::write(dir.path().join("a.txt"), "").unwrap();
        assert!(scene_toml(&dir.path().join("a.txt")).unwrap_err().to_string().contains("another name"));
        assert!(matches!(scene_toml(&dir.path().join("none")), Err(DescribeError::Read { .. })));
    }
}
