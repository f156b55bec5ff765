//! A Jilin-1 delivery, from the files of its parts to a [`Scene`].

mod calibration;
mod family;
pub(super) mod name;
mod part;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use self::family::Camera;
use self::name::Name;
use super::assemble::{self, ReadPart, Times};
use super::naming::Found;
use super::time::{self, Stated};
use super::{Code, Role, Scene, SceneError, SceneTime, Warning, level};

/// The band whose block stands for a hyperspectral scene, as in the vendor's own fused product.
///
/// # Reference
/// Jason001028/sr_agent_platform, `SR_code/util.py`, `process_tag`.
const REFERENCE_BAND: u8 = 3;

/// Reads the scene that `images`, all of one acquisition and level, make up.
pub(super) fn open(id: &str, images: &[(&Found, &Name)]) -> Result<Scene, SceneError> {
    let mut read = images.iter().map(|(found, name)| part::read(found, name)).collect::<Result<Vec<_>, _>>()?;
    assemble::order(&mut read)?;
    let (Some(first), Some((_, name))) = (read.first(), images.first()) else {
        return Err(SceneError::NotADelivery {
            path: PathBuf::from(id),
            found: "no image".into(),
            expected: "a PAN or MSS image".into(),
        });
    };
    let mut warnings = assemble::disagreements(&read);
    let camera =
        camera(name, assemble::first(&read, |m| m.satellite.clone()), assemble::first(&read, |m| m.sensor.clone()));
    let roles = read.iter().flat_map(|r| &r.part.bands).map(|b| b.role);
    warnings.extend(assumed_ranges(&camera, roles));
    let level = assemble::first(&read, |m| m.level.clone()).or_else(|| name.level.clone());
    warnings.extend(level.as_deref().and_then(unknown_level));
    let time = scene_time(&read, name, &first.image, &mut warnings)?;
    let satellite = camera.satellite.to_ascii_lowercase();
    Ok(Scene {
        id: id.into(),
        constellation: satellite.starts_with("jl").then(|| "jilin-1".into()),
        platform: Some(satellite),
        instrument: Some(camera.sensor.to_ascii_lowercase()).filter(|s| !s.is_empty()),
        level,
        time,
        sun: assemble::first(&read, |m| m.sun),
        view: assemble::first(&read, |m| m.view),
        cloud_percent: assemble::first(&read, |m| m.cloud_percent),
        corners: assemble::first(&read, |m| m.corners),
        warnings: read.iter().flat_map(|r| r.warnings.iter().cloned()).chain(warnings).collect(),
        metadata_files: read.iter().flat_map(|r| r.metadata_files.iter().cloned()).collect(),
        arrivals: super::Arrivals::default(),
        parts: read.into_iter().map(|r| r.part).collect(),
    })
}

/// A text without what writers put between its parts.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect()
}

/// The camera as the metadata say, where that is a token of the vendor's, else as the name says.
fn camera(name: &Name, satellite: Option<String>, sensor: Option<String>) -> Camera {
    let named = name.sensor.clone().unwrap_or_default();
    let sensor = sensor.map(|s| plain(&s)).filter(|s| name::is_sensor(s));
    Camera {
        satellite: satellite
            .map(|s| plain(&s))
            .filter(|s| name::is_satellite(s))
            .unwrap_or_else(|| name.satellite.clone()),
        // `PMS` in the metadata of `PMS06` is no other camera, only fewer words.
        sensor: match sensor {
            Some(sensor) if !starts_with(&named, &sensor) => sensor,
            _ => named,
        },
    }
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|t| t.eq_ignore_ascii_case(start))
}

fn unknown_level(token: &str) -> Option<Warning> {
    level::known(token).is_none().then(|| {
        let message = format!("nothing is published about level `{token}`; the scene is taken as what its files say");
        Warning { code: Code::LevelUnknown, message }
    })
}

fn assumed_ranges(camera: &Camera, roles: impl Iterator<Item = Role>) -> Option<Warning> {
    let assumed = |role: &Role| family::range(camera, *role).is_some_and(|(_, assumed)| assumed);
    let codes: Vec<_> = roles.filter(assumed).map(|role| role.code()).collect();
    (!codes.is_empty()).then(|| Warning {
        code: Code::BandRangeAssumed,
        message: format!(
            "the spectral limits of {} of {} are not published, usual ones are assumed; reflectance follows from them \
             through `radiometry.esun`, which can be stated",
            codes.join(", "),
            camera.satellite,
        ),
    })
}

/// When the scene was taken, from metadata or name.
fn scene_time(
    read: &[ReadPart],
    name: &Name,
    image: &std::path::Path,
    warnings: &mut Vec<Warning>,
) -> Result<SceneTime, SceneError> {
    let named: Option<Stated> = name.time.and_then(|t| time::stated(t, time::beijing(), &t.to_string()));
    let is_mosaic = name.sensor.is_none();
    let mut times = Times::of(read);
    if times.center.is_none() && times.start.is_none() {
        times = of_bands(read).unwrap_or(times);
    }
    times.scene_time(named, is_mosaic, warnings).ok_or_else(|| SceneError::Field {
        path: image.into(),
        field: "time".into(),
        expected: "a time in the `_meta.xml` or in the name".into(),
        found: "a mosaic, and neither says when its pixels were taken".into(),
        remedy: "describe it in a `scene.toml` beside it, with a `period` in place of `time`".into(),
    })
}

/// Times of a hyperspectral scene whose metadata state them band by band: the span of all bands, and the centre of one.
fn of_bands(read: &[ReadPart]) -> Option<Times> {
    let blocks = assemble::first(read, |m| Some(m.bands.clone()).filter(|b| !b.is_empty()))?;
    let reference = blocks.get(&REFERENCE_BAND).filter(|b| b.center.is_some());
    let center = reference.or_else(|| blocks.values().find(|b| b.center.is_some()))?.center.clone();
    Some(Times {
        center,
        start: blocks.values().filter_map(|b| b.start.clone()).min_by_key(|t| t.utc),
        end: blocks.values().filter_map(|b| b.end.clone()).max_by_key(|t| t.utc),
    })
}
