//! Calibration coefficients that stand in no metadata file: a table that is part of the program, and the user's
//! `coefficients.toml` beside a delivery, which is asked first.
//!
//! Both have one form: a table for each camera and year. What neither holds is missing, with what was looked for; nothing
//! is carried over from another year or another camera.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

use super::files::{self, Surroundings};
use super::{Calibration, Role, SceneError};

/// Name of the user's file, in the folder of an image or the one above.
pub(super) const FILE: &str = "coefficients.toml";

/// Largest file that is read, bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// The table of the Gaofen cameras.
static GAOFEN: LazyLock<Vec<Camera>> = LazyLock::new(|| {
    // Whether it can be read is settled by a test; the program cannot change it.
    toml::from_str::<File>(include_str!("gaofen.toml")).map(|file| file.camera).unwrap_or_default()
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    camera: Vec<Camera>,
}

/// Coefficients of a camera in a year.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Camera {
    satellite: String,
    /// Any camera of the satellite if left out.
    sensor: Option<String>,
    /// Year of the acquisition, UTC; any if left out.
    year: Option<i16>,
    bands: Vec<Role>,
    #[serde(default)]
    convention: Convention,
    gain: Option<Vec<f64>>,
    bias: Option<Vec<f64>>,
    source: String,
    disputed: Option<std::collections::BTreeMap<Role, f64>>,
    doubt: Option<String>,
    refused: Option<String>,
}

/// How radiance follows from a DN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Convention {
    /// gain · DN + bias.
    #[default]
    Gain,
    /// (DN − bias) / gain.
    Inverse,
}

impl Camera {
    fn is_for(&self, satellite: &str, sensor: &str) -> bool {
        self.satellite.eq_ignore_ascii_case(satellite)
            && self.sensor.as_ref().is_none_or(|s| s.eq_ignore_ascii_case(sensor))
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let count = self.bands.len();
        let lists = [("gain", &self.gain), ("bias", &self.bias)];
        for (field, list) in lists {
            if let Some(list) = list.as_ref().filter(|list| list.len() != count) {
                return Some((field, format!("{} numbers for {count} bands", list.len())));
            }
        }
        if self.gain.is_none() && self.refused.is_none() {
            return Some(("gain", "none".into()));
        }
        let bad = |v: &&f64, positive: bool| !v.is_finite() || (positive && **v <= 0.0);
        for ((field, list), positive) in lists.into_iter().zip([true, false]) {
            if let Some(value) = list.iter().flatten().find(|v| bad(v, positive)) {
                return Some((field, value.to_string()));
            }
        }
        None
    }

    /// Gain and bias of a band, brought to `gain · DN + bias`.
    fn linear(&self, role: Role) -> Option<(f64, f64)> {
        let at = self.bands.iter().position(|r| *r == role)?;
        let gain = *self.gain.as_ref()?.get(at)?;
        let bias = self.bias.as_ref().and_then(|b| b.get(at)).copied().unwrap_or(0.0);
        Some(match self.convention {
            Convention::Gain => (gain, bias),
            Convention::Inverse => (1.0 / gain, -bias / gain),
        })
    }
}

/// The user's file, if there is one.
#[derive(Debug, Default)]
pub(super) struct User {
    path: Option<PathBuf>,
    cameras: Vec<Camera>,
}

impl User {
    /// Reads the file in the folder of `image`, else the one in the folder above.
    pub fn beside(image: &Path) -> Result<Self, SceneError> {
        let here = Surroundings::of(image, &[]);
        let above = image.parent().and_then(Path::parent).map(|folder| folder.join(FILE)).filter(|path| path.is_file());
        match here.exactly(FILE).or(above) {
            None => Ok(Self::default()),
            Some(path) => {
                let text = files::read_text(&path, SIZE_LIMIT)?;
                let cameras = parse(&path, &text)?;
                Ok(Self { path: Some(path), cameras })
            }
        }
    }

    /// The file when it has coefficients for this camera: then it is part of what the scene is made of.
    pub fn file_for(&self, satellite: &str, sensor: &str, year: i16) -> Option<&Path> {
        let used = self.cameras.iter().any(|c| c.is_for(satellite, sensor) && c.year.is_none_or(|y| y == year));
        self.path.as_deref().filter(|_| used)
    }

    /// Coefficients of a band, if the file has them.
    pub fn calibration(&self, satellite: &str, sensor: &str, year: i16, role: Role) -> Option<Calibration> {
        let fits = |c: &&Camera| c.is_for(satellite, sensor) && c.year.is_none_or(|y| y == year);
        // The most special table counts: one for the year before one for all.
        let mut tables: Vec<&Camera> = self.cameras.iter().filter(fits).collect();
        tables.sort_by_key(|c| (c.year.is_none(), c.sensor.is_none()));
        let (camera, (gain, bias)) = tables.into_iter().find_map(|c| Some((c, c.linear(role)?)))?;
        Some(Calibration::Radiance {
            gain,
            bias,
            source: format!("{FILE}: {}, {role}: {}", camera.name(), camera.source),
        })
    }
}

impl Camera {
    fn name(&self) -> String {
        let sensor = self.sensor.as_ref().map_or(String::new(), |s| format!(" {s}"));
        let year = self.year.map_or(String::new(), |y| format!(" {y}"));
        format!("{}{sensor}{year}", self.satellite)
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Camera>, SceneError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        SceneError::Syntax { path: path.into(), problem: format!("line {line}: {}", error.message()) }
    })?;
    let wrong = |field: String, expected: &str, found: String| SceneError::Field {
        path: path.into(),
        field,
        expected: expected.into(),
        found,
        remedy: "see docs/gaofen.md for the form of this file".into(),
    };
    if file.schema != 1 {
        return Err(wrong("schema".into(), "1", file.schema.to_string()));
    }
    for (at, camera) in file.camera.iter().enumerate() {
        if let Some((field, found)) = camera.problem() {
            let expected = "finite numbers, one for each band, gains above 0";
            return Err(wrong(format!("camera[{at}].{field}"), expected, found));
        }
    }
    Ok(file.camera)
}

/// What the table of the program says of a band.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    /// The coefficients, or why there are none.
    pub calibration: Calibration,
    /// What is not certain about them.
    pub doubt: Option<String>,
}

/// Coefficients of a Gaofen camera by the year of the acquisition.
///
/// # Units
/// W·m⁻²·sr⁻¹·µm⁻¹.
///
/// # Reference
/// The sources in `gaofen.toml`, row by row.
pub(super) fn gaofen(satellite: &str, sensor: &str, year: i16, role: Role) -> Known {
    let missing = |reason: String| Known { calibration: Calibration::Missing { reason }, doubt: None };
    let name = format!("{satellite} {sensor}");
    let Some(camera) = GAOFEN.iter().find(|c| c.is_for(satellite, sensor) && c.year == Some(year)) else {
        let mut years: Vec<i16> = GAOFEN
            .iter()
            .filter(|c| c.is_for(satellite, sensor) && c.refused.is_none())
            .filter_map(|c| c.year)
            .collect();
        years.sort_unstable();
        let known = match (years.first(), years.last()) {
            (Some(first), Some(last)) => format!("it has {first} to {last}, and no year stands for another"),
            _ => "it has none of this camera".into(),
        };
        return missing(format!(
            "the metadata state none, and the table has none for {name} in {year} ({known}); write them to a `{FILE}` beside \
             the delivery"
        ));
    };
    if let Some(why) = &camera.refused {
        return missing(format!(
            "the metadata state none, and those that {} has for {name} in {year} are not taken: {why}; write the right ones to \
             a `{FILE}` beside the delivery",
            camera.source
        ));
    }
    let Some((gain, bias)) = camera.linear(role) else {
        return missing(format!("the table of coefficients has none for band {role} of {name}"));
    };
    let other = camera.disputed.as_ref().and_then(|d| d.get(&role));
    let doubt = match (other, &camera.disputed, &camera.doubt) {
        (Some(other), _, Some(doubt)) => Some(format!("{doubt}: {other}")),
        (None, None, Some(doubt)) => Some(doubt.clone()),
        _ => None,
    };
    let source = format!("table of coefficients: {name} {year}, {role}: {}", camera.source);
    Known { calibration: Calibration::Radiance { gain, bias, source }, doubt }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn linear(known: &Calibration) -> (f64, f64) {
        match known {
            Calibration::Radiance { gain, bias, .. } => (*gain, *bias),
            other => panic!("{other:?}"),
        }
    }

    fn of(satellite: &str, sensor: &str, year: i16, role: Role) -> (f64, f64) {
        linear(&gaofen(satellite, sensor, year, role).calibration)
    }

    #[test]
    fn the_table_is_read_whole_and_every_row_is_sound() {
        let text = include_str!("gaofen.toml");
        let cameras = parse(Path::new("gaofen.toml"), text).unwrap();
        assert_eq!(cameras.len(), text.matches("[[camera]]").count());
        assert_eq!(cameras, *GAOFEN);
        for (at, c) in cameras.iter().enumerate() {
            assert!(c.sensor.is_some() && c.year.is_some() && c.source.len() > 20, "{}", c.name());
            let twice = cameras.iter().take(at).any(|b| b.name() == c.name());
            assert!(!twice, "{} twice", c.name());
            let disputed = c.disputed.iter().flatten().all(|(role, v)| c.bands.contains(role) && *v > 0.0);
            assert!(disputed && (c.disputed.is_none() || c.doubt.is_some()), "{}", c.name());
        }
    }

    /// Numbers copied from the sources, not from the table.
    #[test]
    fn spot_checks_against_the_sources() {
        assert_eq!(of("GF1", "PMS1", 2013, Role::Pan), (0.1886, -13.1270));
        assert_eq!(of("GF1", "PMS2", 2017, Role::N), (0.1255, 0.0));
        assert_eq!(of("GF2", "PMS2", 2014, Role::Pan), (0.1823, 0.1654));
        assert_eq!(of("GF2", "PMS1", 2020, Role::B), (0.1378, 0.0));
        assert_eq!(of("GF1C", "PMS", 2019, Role::R), (0.0421, 0.0));
        assert_eq!(of("gf6", "wfv", 2020, Role::Re1), (0.0519, 0.0));
        assert_eq!(of("GF6", "WFV", 2019, Role::A), (0.0786, 0.0));
        assert_eq!(of("GF6", "PMS", 2018, Role::N), (0.0298, 0.0));
    }

    #[test]
    fn the_inverse_convention_of_2013_is_turned_round_and_remarked_on() {
        let known = gaofen("GF1", "WFV1", 2013, Role::B);
        let (gain, bias) = linear(&known.calibration);
        // A DN of 500 is a radiance of about 85, as in the years after; taken as a gain it would be 2925.
        let radiance = gain * 500.0 + bias;
        assert!((radiance - (500.0 - 0.0039) / 5.851).abs() < 1e-9, "{radiance}");
        assert!(known.doubt.is_some_and(|d| d.contains("convention")));
        assert_eq!(gaofen("GF1", "WFV1", 2014, Role::B).doubt, None);
    }

    #[test]
    fn disputed_cells_say_what_the_other_list_has() {
        let known = gaofen("GF1", "WFV3", 2014, Role::B);
        assert_eq!(linear(&known.calibration).0, 0.1391);
        assert!(known.doubt.is_some_and(|d| d.contains("0.1745")));
        assert_eq!(gaofen("GF1", "WFV3", 2014, Role::G).doubt, None);
        assert!(gaofen("GF1", "WFV1", 2019, Role::G).doubt.is_some_and(|d| d.contains("0.1657")));
    }

    #[test]
    fn what_is_missing_or_refused_is_not_made_up() {
        for (satellite, sensor, year, role, part) in [
            ("GF2", "PMS1", 2021, Role::B, "2014 to 2020"),
            ("GF2", "PMS1", 2013, Role::B, "no year stands for another"),
            ("GF1", "PMS2", 2019, Role::B, "repeats the numbers of PMS1"),
            ("GF1", "PMS1", 2020, Role::Pan, "copy of those for 2019"),
            ("GF1", "PMS1", 2018, Role::Re1, "none for band RE1"),
            ("GF7", "DLC", 2020, Role::B, "none of this camera"),
        ] {
            let known = gaofen(satellite, sensor, year, role);
            assert!(
                matches!(&known.calibration, Calibration::Missing { reason } if reason.contains(part)),
                "{satellite} {sensor} {year}: {known:?}"
            );
        }
    }

    const USER: &str = "schema = 1\n[[camera]]\nsatellite = \"GF2\"\nsensor = \"PMS1\"\nyear = 2022\nbands = [\"B\", \"G\"]\n\
                        gain = [0.1, 0.2]\nsource = \"letter\"\n[[camera]]\nsatellite = \"gf2\"\nbands = [\"B\", \"R\"]\n\
                        gain = [2.0, 4.0]\nbias = [1.0, 0.0]\nconvention = \"inverse\"\nsource = \"mine\"\n";

    #[test]
    fn the_users_file_is_found_beside_or_above_and_the_special_beats_the_general() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("scene/a.tif");
        std::fs::create_dir(dir.path().join("scene")).unwrap();
        assert!(User::beside(&image).unwrap().calibration("GF2", "PMS1", 2022, Role::B).is_none());
        std::fs::write(dir.path().join(FILE), USER).unwrap();
        let user = User::beside(&image).unwrap();
        let of = |sensor, year, role| user.calibration("GF2", sensor, year, role).map(|c| linear(&c));
        assert_eq!(of("PMS1", 2022, Role::B), Some((0.1, 0.0)));
        assert_eq!(of("PMS1", 2023, Role::B), Some((0.5, -0.5)));
        assert_eq!(of("PMS1", 2022, Role::R), Some((0.25, 0.0)));
        assert_eq!((of("PMS1", 2022, Role::N), user.calibration("GF1", "PMS1", 2022, Role::B)), (None, None));
        assert!(user.file_for("GF2", "PMS2", 2000).is_some() && user.file_for("GF6", "PMS", 2022).is_none());
        std::fs::write(dir.path().join("scene").join(FILE), USER.replace("0.1,", "0.3,")).unwrap();
        let nearer = User::beside(&image).unwrap();
        assert_eq!(nearer.calibration("GF2", "PMS1", 2022, Role::B).map(|c| linear(&c)), Some((0.3, 0.0)));
    }

    #[test]
    fn mistakes_in_the_users_file_are_named() {
        for (from, to, part) in [
            ("gain = [0.1, 0.2]", "gain = [0.1]", "camera[0].gain"),
            ("gain = [0.1, 0.2]", "gain = [0.1, -0.2]", "camera[0].gain"),
            ("bias = [1.0, 0.0]", "bias = [1.0, inf]", "camera[1].bias"),
            ("schema = 1", "schema = 2", "schema"),
            ("\"B\", \"G\"", "\"B\", \"XX\"", "line 6"),
            ("year = 2022", "yaer = 2022", "yaer"),
            ("gain = [0.1, 0.2]", "", "camera[0].gain"),
        ] {
            let message = parse(Path::new(FILE), &USER.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(FILE) && message.contains(part), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_to_a_good_file_breaks_it(at in 0usize..400, cut in 0usize..40, with in "\\PC{0,12}") {
            let mut damaged: Vec<char> = USER.chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = parse(Path::new(FILE), &damaged.into_iter().collect::<String>());
        }
    }
}
