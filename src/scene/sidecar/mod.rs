//! `scene.toml`: what a generic GeoTIFF does not say, said by its owner.
//!
//! ```toml
//! schema = 1
//! id = "ventoux-20130805"              # the folder's name if left out
//! time = 2013-08-05T10:42:19.4Z        # centre of the acquisition; the offset is mandatory
//! # period = [2020-01-01T00:00:00Z, 2020-12-31T23:59:59Z]   # of a mosaic, in place of `time`
//! level = "SEN"                        # constellation, platform, instrument, cloud_percent: free
//! [sun]                                # left out: computed from time and place
//! zenith = 28.4                        # or elevation
//! azimuth = 149.0
//! [view]
//! zenith = 8.6                         # or elevation; off_nadir, azimuth
//! [[part]]
//! name = "PAN"
//! image = "left_image.tif"             # or one `image` per band
//! fill = 0                             # "none", or left out for the file's own nodata value
//! data_bits = 12
//! processed = []                       # "fused", "stretched", "mosaicked": what calibration does not undo
//! rpc = "auto"                         # beside the image or in its tags; or a file; or "none"
//! # crs = "EPSG:32631"                 # with transform = [x0, dx_col, dx_row, y0, dy_col, dy_row], GDAL's order
//! [part.rpc_correction]                # of the image positions that the RPC give: a0 + a1 · col + a2 · row
//! col = [1.25, 1.0, 0.0]
//! row = [-0.5, 0.0, 1.0]
//! [[part.band]]
//! role = "PAN"
//! index = 1
//! range_nm = [480, 820]
//! radiance = { gain = 0.083, bias = 0.0 }
//! # or reflectance = { gain = 2e-5, bias = -0.1, sun_corrected = false }
//! ```
//!
//! Unknown keys are refused. Paths stay below the sidecar's folder: a sidecar may come with data from anywhere.

mod part;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Part, Processed, Processing, Role, Scene, SceneError, SceneTime, Sun, View, Warning, files, time};
use crate::units::{SunElevation, SunZenith};

/// Largest sidecar that is read, bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// Most parts of a scene and bands of a part.
const PART_LIMIT: usize = 16;
const BAND_LIMIT: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    id: Option<String>,
    time: Option<toml::Value>,
    period: Option<[toml::Value; 2]>,
    level: Option<String>,
    constellation: Option<String>,
    platform: Option<String>,
    instrument: Option<String>,
    cloud_percent: Option<f64>,
    sun: Option<SunTable>,
    view: Option<ViewTable>,
    part: Vec<PartTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SunTable {
    zenith: Option<f64>,
    elevation: Option<f64>,
    azimuth: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewTable {
    zenith: Option<f64>,
    elevation: Option<f64>,
    azimuth: Option<f64>,
    off_nadir: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartTable {
    name: String,
    image: Option<String>,
    fill: Option<toml::Value>,
    data_bits: Option<u32>,
    #[serde(default)]
    processed: Vec<Processed>,
    gsd_m: Option<[f64; 2]>,
    rpc: Option<String>,
    rpc_correction: Option<CorrectionTable>,
    crs: Option<String>,
    transform: Option<[f64; 6]>,
    band: Vec<BandTable>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct CorrectionTable {
    col: Option<[f64; 3]>,
    row: Option<[f64; 3]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BandTable {
    role: Role,
    name: Option<String>,
    image: Option<String>,
    index: Option<usize>,
    range_nm: Option<[f64; 2]>,
    radiance: Option<RadianceTable>,
    reflectance: Option<ReflectanceTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RadianceTable {
    gain: f64,
    bias: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReflectanceTable {
    gain: f64,
    bias: f64,
    sun_corrected: bool,
}

/// Id of the scene a sidecar describes, as far as it can be told before the sidecar is checked: the folder's name when
/// the file cannot be read or says nothing.
pub(super) fn id(path: &Path) -> String {
    let stated = files::read_text(path, SIZE_LIMIT).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let stated = stated.as_ref().and_then(|table| table.get("id")?.as_str()).filter(|id| is_id(id));
    stated.map_or_else(|| default_id(path), ToString::to_string)
}

/// Names of files that a sidecar names, as far as it can be read: of images and of their RPC.
pub(super) fn names(path: &Path) -> Vec<String> {
    let table = files::read_text(path, SIZE_LIMIT).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let list =
        |table: &toml::Table, key: &str| table.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let mut names = Vec::new();
    for part in table.iter().flat_map(|table| list(table, "part")) {
        let Some(part) = part.as_table() else { continue };
        let bands = list(part, "band");
        for table in std::iter::once(part).chain(bands.iter().filter_map(toml::Value::as_table)) {
            names.extend(["image", "rpc"].iter().filter_map(|key| table.get(*key)?.as_str()).map(str::to_owned));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The folder's name, or the file's when it is not called `scene.toml`, with what an id cannot hold replaced.
fn default_id(path: &Path) -> String {
    let own = if files::file_name(path) == super::find::SIDECAR { path.parent() } else { None };
    let name =
        own.map_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), files::file_name);
    let id: String = name.chars().take(128).map(|c| if is_id_char(c) { c } else { '-' }).collect();
    if is_id(&id) { id } else { "scene".into() }
}

fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// An id becomes a folder name and a part of a URL.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.chars().all(is_id_char) && !id.starts_with('.')
}

/// Reads the scene a sidecar describes.
pub(super) fn open(path: &Path) -> Result<Scene, SceneError> {
    let text = files::read_text(path, SIZE_LIMIT)?;
    let file = parse(path, &text)?;
    let root = path.parent().unwrap_or(Path::new("."));
    Reader { path, root, metadata_files: vec![path.into()], warnings: Vec::new() }.scene(file)
}

fn parse(path: &Path, text: &str) -> Result<File, SceneError> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        let hint = nearest_key(error.message()).map_or(String::new(), |key| format!("; did you mean `{key}`?"));
        SceneError::Syntax { path: path.into(), problem: format!("line {line}: {}{hint}", error.message()) }
    })
}

/// The known key nearest to the unknown one that serde's message names first.
fn nearest_key(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let likeness = |key: &str| strsim::jaro_winkler(unknown, key);
    quoted.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|key| likeness(key) > 0.7)
}

/// True for a text that is a sidecar by its form.
#[cfg(any(test, fuzzing))]
pub(super) fn is_sidecar(text: &str) -> bool {
    parse(Path::new("scene.toml"), text).is_ok()
}

struct Reader<'a> {
    path: &'a Path,
    root: &'a Path,
    metadata_files: Vec<PathBuf>,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn wrong(&self, field: impl Into<String>, expected: &str, found: impl Into<String>, remedy: &str) -> SceneError {
        SceneError::Field {
            path: self.path.into(),
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn scene(mut self, file: File) -> Result<Scene, SceneError> {
        if file.schema != 1 {
            let remedy = "write `schema = 1`, or use a version that knows this one";
            return Err(self.wrong("schema", "1", file.schema.to_string(), remedy));
        }
        let id = file.id.unwrap_or_else(|| default_id(self.path));
        if !is_id(&id) {
            let expected = "1 to 128 of A-Z, a-z, 0-9, `_`, `-`, `.`, the first no dot";
            return Err(self.wrong(
                "id",
                expected,
                format!("`{id}`"),
                "the id becomes a folder name: shorten or respell it",
            ));
        }
        let time = self.time(file.time.as_ref(), file.period.as_ref())?;
        let sun = file.sun.map(|sun| self.sun(&sun)).transpose()?;
        let view = file.view.map(|view| self.view(&view)).transpose()?;
        let cloud_percent = self.within("cloud_percent", file.cloud_percent, 0.0, 100.0)?;
        if !(1..=PART_LIMIT).contains(&file.part.len()) {
            let remedy = "write one `[[part]]` for each raster of one pixel size";
            return Err(self.wrong("part", &format!("1 to {PART_LIMIT} parts"), file.part.len().to_string(), remedy));
        }
        let mut parts: Vec<Part> = Vec::new();
        for (at, table) in file.part.into_iter().enumerate() {
            let mut part = self.part(at, table)?;
            if time.is_period && part.processed.iter().all(|p| p.what != Processed::Mosaicked) {
                let said_by = format!("`{}`, field `period`", files::file_name(self.path));
                part.processed.push(Processing { what: Processed::Mosaicked, said_by });
            }
            if parts.iter().any(|p| p.name == part.name) {
                let remedy = "give each part a name of its own";
                return Err(self.wrong(
                    format!("part[{at}].name"),
                    "a new name",
                    format!("`{}` again", part.name),
                    remedy,
                ));
            }
            let mut before = parts.iter().chain([&part]).flat_map(|p| &p.bands).map(|b| b.role).collect::<Vec<_>>();
            before.sort_unstable();
            if let Some(twice) = before.windows(2).find(|w| w[0] == w[1]) {
                let remedy = "a role names one band of the scene: remove or rename the other";
                return Err(self.wrong(
                    format!("part[{at}].band"),
                    "roles that differ",
                    format!("`{}` twice", twice[0]),
                    remedy,
                ));
            }
            parts.push(part);
        }
        Ok(Scene {
            id,
            constellation: file.constellation,
            platform: file.platform,
            instrument: file.instrument,
            level: file.level,
            time,
            sun,
            view,
            cloud_percent,
            corners: None,
            parts,
            warnings: self.warnings,
            metadata_files: self.metadata_files,
            arrivals: super::Arrivals::default(),
        })
    }

    fn time(&self, time: Option<&toml::Value>, period: Option<&[toml::Value; 2]>) -> Result<SceneTime, SceneError> {
        let (start, end) = match (time, period) {
            (Some(time), None) => {
                let at = self.instant("time", time)?;
                return Ok(SceneTime {
                    center: at.utc,
                    interval: None,
                    is_period: false,
                    original: at.text,
                    original_offset: at.offset,
                });
            }
            (None, Some([start, end])) => (self.instant("period", start)?, self.instant("period", end)?),
            (both, _) => {
                let found = if both.is_some() { "both" } else { "neither" };
                let expected = "either `time`, or `period` for a mosaic of several acquisitions";
                return Err(self.wrong("time", expected, found, "write when the image was taken"));
            }
        };
        if start.utc >= end.utc {
            let found = format!("`{}` to `{}`", start.text, end.text);
            return Err(self.wrong("period", "a start before its end", found, "write the earlier time first"));
        }
        let middle = start.utc.as_nanosecond() / 2 + end.utc.as_nanosecond() / 2;
        Ok(SceneTime {
            center: jiff::Timestamp::from_nanosecond(middle).unwrap_or(start.utc),
            interval: Some((start.utc, end.utc)),
            is_period: true,
            original: format!("{}/{}", start.text, end.text),
            original_offset: start.offset,
        })
    }

    /// A time with its offset from UTC.
    fn instant(&self, field: &str, value: &toml::Value) -> Result<time::Stated, SceneError> {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        time::read(&text, None).ok_or_else(|| {
            let text: String = text.chars().take(60).collect();
            let remedy = "write the zone, as in `2026-07-15T10:30:00+08:00`";
            self.wrong(field, "date, time and offset from UTC (RFC 3339)", format!("`{text}`"), remedy)
        })
    }

    /// A number from `low` to `high`, if there is one.
    fn within(&self, field: &str, value: Option<f64>, low: f64, high: f64) -> Result<Option<f64>, SceneError> {
        match value {
            Some(v) if !(low..=high).contains(&v) => {
                let expected = format!("a number from {low} to {high}");
                Err(self.wrong(field, &expected, v.to_string(), "correct the number or leave it out"))
            }
            v => Ok(v),
        }
    }

    fn sun(&self, table: &SunTable) -> Result<Sun, SceneError> {
        let zenith = self.within("sun.zenith", table.zenith, 0.0, 180.0)?.map(SunZenith);
        let elevation = self.within("sun.elevation", table.elevation, -90.0, 90.0)?.map(SunElevation);
        let azimuth_deg = self.within("sun.azimuth", table.azimuth, 0.0, 360.0)?;
        match (zenith, elevation) {
            (Some(zenith), None) => Ok(Sun { zenith, azimuth_deg }),
            (None, Some(elevation)) => Ok(Sun { zenith: elevation.into(), azimuth_deg }),
            (zenith, _) => {
                let found = if zenith.is_some() { "both" } else { "neither" };
                let remedy = "keep one; without `[sun]` the sun is computed from time and place";
                Err(self.wrong("sun", "either `zenith` or `elevation`", found, remedy))
            }
        }
    }

    fn view(&self, table: &ViewTable) -> Result<View, SceneError> {
        let zenith = self.within("view.zenith", table.zenith, 0.0, 90.0)?;
        let elevation = self.within("view.elevation", table.elevation, 0.0, 90.0)?;
        if zenith.is_some() && elevation.is_some() {
            return Err(self.wrong("view", "`zenith` or `elevation`", "both", "keep one"));
        }
        Ok(View {
            zenith_deg: zenith.or(elevation.map(|e| 90.0 - e)),
            azimuth_deg: self.within("view.azimuth", table.azimuth, 0.0, 360.0)?,
            off_nadir_deg: self.within("view.off_nadir", table.off_nadir, 0.0, 90.0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::chain;
    use crate::grid::Crs;
    use crate::scene::rpc::Correction;
    use crate::scene::testing::{rpb_text, rpc_text, write_tiff, write_tiff_with, write_tiff_with_rpc_tag};
    use crate::scene::{Calibration, SensorModel};

    const GOOD: &str = r#"
schema = 1
id = "field-1"
time = 2026-07-15T10:30:00+08:00
level = "SEN"
cloud_percent = 4
[sun]
elevation = 62.5
azimuth = 137.0
[view]
elevation = 84
off_nadir = 5.5
[[part]]
name = "MSS"
image = "mss.tif"
fill = 0
data_bits = 12
[[part.band]]
role = "R"
index = 3
range_nm = [630, 690]
radiance = { gain = 0.1, bias = -1 }
[[part.band]]
role = "NIR"
index = 4
name = "B4"
reflectance = { gain = 2e-5, bias = -0.1, sun_corrected = false }
[[part.band]]
role = "G"
index = 2
"#;

    /// A folder with `mss.tif` (4 bands) and `text` as its sidecar.
    fn folder(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_tiff(&dir.path().join("mss.tif"), 8, 10, 4);
        std::fs::write(dir.path().join("scene.toml"), text).unwrap();
        dir
    }

    fn open_text(text: &str) -> Result<Scene, SceneError> {
        let dir = folder(text);
        open(&dir.path().join("scene.toml"))
    }

    fn changed(from: &str, to: &str) -> Result<Scene, SceneError> {
        assert!(GOOD.contains(from), "{from}");
        open_text(&GOOD.replacen(from, to, 1))
    }

    #[test]
    fn everything_stated_is_read() {
        let dir = folder(GOOD);
        std::fs::write(dir.path().join("mss_rpc.txt"), rpc_text()).unwrap();
        let scene = open(&dir.path().join("scene.toml")).unwrap();
        assert_eq!(
            (scene.id.as_str(), scene.level.as_deref(), scene.cloud_percent),
            ("field-1", Some("SEN"), Some(4.0))
        );
        assert_eq!(scene.time.center.to_string(), "2026-07-15T02:30:00Z");
        assert_eq!(scene.time.original_offset, "+08:00");
        assert_eq!(scene.sun, Some(Sun { zenith: SunZenith(27.5), azimuth_deg: Some(137.0) }));
        assert_eq!(scene.view.unwrap().zenith_deg, Some(6.0));
        let part = &scene.parts[0];
        assert_eq!((part.rows, part.cols, part.data_bits, part.fill), (8, 10, Some(12), Some(0.0)));
        let bands: Vec<_> = part.bands.iter().map(|b| (b.role, b.index, b.name.as_str())).collect();
        assert_eq!(bands, [(Role::R, 2, "R"), (Role::N, 3, "B4"), (Role::G, 1, "G")]);
        assert!(matches!(&part.bands[0].calibration, Calibration::Radiance { gain: 0.1, source, .. }
            if source == "scene.toml: part[0].band[0].radiance"));
        assert!(matches!(part.bands[1].calibration, Calibration::Reflectance { sun_corrected: false, .. }));
        assert!(matches!(part.bands[2].calibration, Calibration::Missing { .. }));
        assert!(matches!(part.sensor_model, SensorModel::Rpc(_)));
        assert_eq!(scene.metadata_files.len(), 2);
        assert_eq!(scene.warnings, []);
    }

    #[test]
    fn an_unknown_key_names_line_and_nearest_known() {
        for (from, to, key) in [
            ("azimuth = 137.0", "azimut = 137.0", "azimuth"),
            ("data_bits", "databits", "data_bits"),
            ("range_nm", "range", "range_nm"),
            ("bias = -1 }", "bais = -1 }", "bias"),
        ] {
            let m = changed(from, to).unwrap_err().to_string();
            assert!(
                m.contains("scene.toml") && m.contains("line ") && m.contains(&format!("did you mean `{key}`")),
                "{m}"
            );
        }
        let m = changed("cloud_percent", "wholly_other_thing").unwrap_err().to_string();
        assert!(m.contains("wholly_other_thing") && !m.contains("did you mean"), "{m}");
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        for (from, to, part) in [
            ("schema = 1", "schema = 2", "`schema`"),
            ("+08:00", "", "zone"),
            ("2026-07-15T10:30:00+08:00", "2026-07-15", "RFC 3339"),
            ("2026-07-15T10:30:00+08:00", "12", "RFC 3339"),
            ("id = \"field-1\"", "id = \"../x\"", "`id`"),
            ("elevation = 62.5", "elevation = 62.5\nzenith = 27.5", "both"),
            ("elevation = 62.5", "", "neither"),
            ("elevation = 62.5", "elevation = 162.5", "sun.elevation"),
            ("elevation = 84", "elevation = 84\nzenith = 6", "`view`"),
            ("cloud_percent = 4", "cloud_percent = nan", "cloud_percent"),
            ("name = \"MSS\"", "name = \"M S\"", "part[0].name"),
            ("image = \"mss.tif\"", "", "part[0].band[0].image"),
            ("mss.tif", "/etc/passwd", "part[0].band[0].image"),
            ("mss.tif", "../mss.tif", "part[0].band[0].image"),
            ("mss.tif", "none.tif", "none.tif"),
            ("fill = 0", "fill = \"zero\"", "part[0].fill"),
            ("fill = 0", "fill = inf", "part[0].fill"),
            ("data_bits = 12", "data_bits = 17", "uint16"),
            ("data_bits = 12", "data_bits = 0", "data_bits"),
            ("role = \"R\"", "role = \"red\"", "known roles"),
            ("role = \"R\"", "role = \"G\"", "`G` twice"),
            ("index = 3", "index = 5", "1 to 4"),
            ("index = 3", "index = 0", "1 to 4"),
            ("index = 3", "", "found nothing"),
            ("index = 3", "index = 4", "band 4 of `mss.tif` twice"),
            ("[630, 690]", "[690, 630]", "range_nm"),
            ("[630, 690]", "[0.63, 0.69]", "nanometres"),
            ("gain = 0.1", "gain = 0", "gain above 0"),
            ("gain = 0.1", "gain = -0.1", "gain above 0"),
            ("bias = -1 }", "bias = nan }", "finite bias"),
            ("sun_corrected = false", "", "sun_corrected"),
            ("reflectance =", "radiance = { gain = 1, bias = 0 }\nreflectance =", "both"),
            ("data_bits = 12", "crs = \"EPSG:32651\"", "together"),
            ("data_bits = 12", "transform = [0, 1, 0, 0, 0, -1]", "together"),
            ("data_bits = 12", "crs = \"EPSG:32651\"\ntransform = [0, 0, 0, 0, 0, -1]", "area"),
            ("data_bits = 12", "crs = \"EPSG:999999\"\ntransform = [0, 1, 0, 0, 0, -1]", "part[0].crs"),
            ("data_bits = 12", "rpc = \"none.rpb\"", "none.rpb"),
            ("data_bits = 12", "gsd_m = [0, 1]", "gsd_m"),
        ] {
            let m = chain(&changed(from, to).unwrap_err());
            assert!(m.contains(part), "{from} -> {to}: expected `{part}` in: {m}");
        }
        assert!(open_text("").unwrap_err().to_string().contains("missing field"));
        assert!(
            open_text("schema = 1\ntime = 2026-07-15T10:30:00Z\npart = []")
                .unwrap_err()
                .to_string()
                .contains("1 to 16")
        );
    }

    #[test]
    fn bands_may_stand_in_files_of_their_own_if_their_pixels_are_the_same() {
        let text = "schema = 1\ntime = \"2026-07-15T02:30:00Z\"\n[[part]]\nname = \"MS\"\n\
            [[part.band]]\nrole = \"R\"\nimage = \"r.tif\"\n[[part.band]]\nrole = \"N\"\nimage = \"n.tif\"\n";
        let dir = folder(text);
        write_tiff(&dir.path().join("r.tif"), 5, 6, 1);
        write_tiff(&dir.path().join("n.tif"), 5, 6, 1);
        let scene = open(&dir.path().join("scene.toml")).unwrap();
        let files: Vec<_> = scene.parts[0].files().iter().map(|f| files::file_name(f)).collect();
        assert_eq!(files, ["r.tif", "n.tif"]);
        assert_eq!(scene.id, default_id(&dir.path().join("scene.toml")));
        write_tiff_with(&dir.path().join("n.tif"), 5, 6, 1, |ds| {
            ds.rasterband(1).unwrap().set_no_data_value(Some(9.0)).unwrap();
        });
        let m = open(&dir.path().join("scene.toml")).unwrap_err().to_string();
        assert!(m.contains("part[0].fill") && m.contains("9"), "{m}");
        write_tiff(&dir.path().join("n.tif"), 5, 7, 1);
        let m = open(&dir.path().join("scene.toml")).unwrap_err().to_string();
        assert!(m.contains("6×5") && m.contains("7×5") && m.contains("n.tif"), "{m}");
    }

    #[test]
    fn fill_and_place_come_from_the_file_unless_they_are_stated() {
        let model = |insert: &str| {
            let dir = folder(&GOOD.replace("fill = 0\n", insert));
            write_tiff_with(&dir.path().join("mss.tif"), 8, 10, 4, |ds| {
                ds.rasterband(1).unwrap().set_no_data_value(Some(7.0)).unwrap();
                ds.set_geo_transform(&[10.0, 2.0, 0.0, 20.0, 0.0, -2.0]).unwrap();
                ds.set_spatial_ref(&Crs::from_epsg(32652).unwrap().spatial_ref().unwrap()).unwrap();
            });
            std::fs::write(dir.path().join("mss.rpb"), rpb_text()).unwrap();
            let mut scene = open(&dir.path().join("scene.toml")).unwrap();
            let part = scene.parts.remove(0);
            (part.fill, part.sensor_model)
        };
        let (fill, place) = model("");
        assert_eq!(fill, Some(7.0));
        assert!(matches!(place, SensorModel::Projected { crs, .. } if crs.epsg() == Some(32652)));
        let (fill, place) = model("fill = \"none\"\nrpc = \"mss.rpb\"\n");
        assert_eq!(fill, None);
        assert!(matches!(place, SensorModel::Rpc(_)));
        let (_, place) = model("crs = \"EPSG:32651\"\ntransform = [1, 1, 0, 1, 0, -1]\n");
        assert!(
            matches!(place, SensorModel::Projected { crs, transform } if crs.epsg() == Some(32651) && transform.x0 == 1.0)
        );
    }

    #[test]
    fn auto_takes_the_file_beside_then_the_tags_and_none_takes_nothing() {
        let text = |rpc: &str| {
            format!(
                "schema = 1\ntime = \"2026-07-15T02:30:00Z\"\n[[part]]\nname = \"P\"\nimage = \"p.tif\"\n{rpc}\n[[part.band]]\nrole = \"PAN\"\n"
            )
        };
        let dir = folder(&text(""));
        let path = dir.path().join("scene.toml");
        write_tiff_with_rpc_tag(&dir.path().join("p.tif"));
        let scene = open(&path).unwrap();
        assert!(matches!(scene.parts[0].sensor_model, SensorModel::Rpc(_)));
        assert_eq!(scene.metadata_files.len(), 1);
        std::fs::write(dir.path().join("p_RPC.TXT"), rpc_text().replace("+000003.50", "+000003.25")).unwrap();
        let scene = open(&path).unwrap();
        assert!(matches!(&scene.parts[0].sensor_model, SensorModel::Rpc(rpc) if rpc.row_off == 3.25));
        assert_eq!(scene.metadata_files.len(), 2);
        std::fs::write(&path, text("rpc = \"none\"")).unwrap();
        assert!(matches!(open(&path).unwrap().parts[0].sensor_model, SensorModel::Unknown { .. }));
        std::fs::write(&path, text("rpc = \"../p_RPC.TXT\"")).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("part[0].rpc"));
    }

    #[test]
    fn a_correction_is_read_for_parts_with_rpc_alone() {
        let text = |keys: &str| {
            format!(
                "schema = 1\ntime = \"2026-07-15T02:30:00Z\"\n[[part]]\nname = \"P\"\nimage = \"p.tif\"\n{keys}\n[[part.band]]\nrole = \"PAN\"\n"
            )
        };
        let dir = folder(&text("[part.rpc_correction]\ncol = [1.5, 1, 0]\nrow = [-2, 0.001, 0.999]"));
        let path = dir.path().join("scene.toml");
        write_tiff_with_rpc_tag(&dir.path().join("p.tif"));
        let correction = |path: &Path| match &open(path).unwrap().parts[0].sensor_model {
            SensorModel::Rpc(rpc) => rpc.correction,
            other => panic!("{other:?}"),
        };
        assert_eq!(correction(&path), Correction { col: [1.5, 1.0, 0.0], row: [-2.0, 0.001, 0.999] });
        std::fs::write(&path, text("[part.rpc_correction]\nrow = [0.25, 0, 1]")).unwrap();
        assert_eq!(correction(&path), Correction::shift(0.0, 0.25));
        std::fs::write(&path, text("")).unwrap();
        assert_eq!(correction(&path), Correction::IDENTITY);
        let map = "crs = \"EPSG:32631\"\ntransform = [0, 1, 0, 0, 0, -1]\n";
        for (keys, found) in [
            (format!("{map}[part.rpc_correction]\ncol = [1, 1, 0]"), "a map projection"),
            ("rpc = \"none\"\n[part.rpc_correction]\ncol = [1, 1, 0]".into(), "no map projection"),
            ("[part.rpc_correction]\ncol = [0, 0, 0]".into(), "col [0.0, 0.0, 0.0]"),
            ("[part.rpc_correction]\nrow = [nan, 0, 1]".into(), "NaN"),
            ("[part.rpc_correction]\nrows = [0, 0, 1]".into(), "did you mean `row`"),
        ] {
            std::fs::write(&path, text(&keys)).unwrap();
            let message = open(&path).unwrap_err().to_string();
            assert!(message.contains("scene.toml") && message.contains(found), "{keys}: {message}");
        }
    }

    #[test]
    fn the_id_is_known_before_the_sidecar_is_right() {
        let dir = folder("id = \"abc\"\nnonsense = 1");
        let path = dir.path().join("scene.toml");
        assert_eq!(id(&path), "abc");
        std::fs::write(&path, "id = ").unwrap();
        assert_eq!(id(&path), default_id(&path));
        assert_eq!(default_id(Path::new("/data/My field/scene.toml")), "My-field");
        assert_eq!(default_id(Path::new("/data/x/ventoux.toml")), "ventoux");
        assert_eq!(default_id(Path::new("scene.toml")), "scene");
    }

    proptest! {
        #[test]
        fn no_damage_to_a_good_file_breaks_it(at in 0usize..700, cut in 0usize..30, with in "\\PC{0,12}") {
            let mut damaged: Vec<char> = GOOD.chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = parse(Path::new("scene.toml"), &damaged.into_iter().collect::<String>());
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(Path::new("scene.toml"), &String::from_utf8_lossy(&bytes));
        }
    }
}
