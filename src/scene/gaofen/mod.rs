//! A Gaofen delivery (GF-1, GF-1B/C/D, GF-2, GF-6), from the files of its parts to a [`Scene`].

mod cameras;
pub(super) mod name;
mod part;
#[cfg(test)]
mod tests;
mod zone;

use std::path::{Path, PathBuf};

use self::name::{Name, PartToken};
use super::assemble::{self, Times};
use super::naming::Found;
use super::{Code, Scene, SceneError, Warning, level};

/// Reads the scene that `images`, all of one product, make up.
pub(super) fn open(id: &str, images: &[(&Found, &Name)]) -> Result<Scene, SceneError> {
    let mut read = Vec::new();
    for (found, name) in images {
        read.push(part::read(found, name)?);
    }
    assemble::order(&mut read)?;
    let (Some(first), Some((_, name))) = (read.first(), images.first()) else {
        return Err(SceneError::NotADelivery {
            path: PathBuf::from(id),
            found: "no image".into(),
            expected: "a PAN, MSS or MUX image, or a tile".into(),
        });
    };
    let image = first.image.clone();
    let mut warnings = assemble::disagreements(&read);
    let corners = assemble::first(&read, |m| m.corners);
    let sun = assemble::first(&read, |m| m.sun);
    let times = zone::settle(Times::of(&read), corners, sun, &mut warnings);
    let time = times.scene_time(None, false, &mut warnings).ok_or_else(|| no_time(&image))?;
    let day = time.center.to_zoned(jiff::tz::TimeZone::UTC).date();
    // Names carry the day in Beijing or in UTC, whichever it is: one of both has to fit.
    if (day.duration_until(name.date).as_hours()).abs() > 24 {
        let message =
            format!("the metadata's time is {}, the name's day {}; the metadata's is used", time.center, name.date);
        warnings.push(Warning { code: Code::TimeMismatch, message });
    }
    for r in &mut read {
        part::calibrate(r, name, time.center.to_zoned(jiff::tz::TimeZone::UTC).year())?;
    }
    let camera = part::camera(name, first_metadata(&read));
    let is_tile = matches!(name.part, Some(PartToken::Tile(_)));
    Ok(Scene {
        id: id.into(),
        constellation: Some("gaofen".into()),
        platform: Some(camera.satellite.to_ascii_lowercase()),
        instrument: Some(camera.sensor.to_ascii_lowercase()),
        level: assemble::first(&read, |m| m.level.as_deref().map(level::plain)).or_else(|| Some(name.level.clone())),
        time,
        sun,
        view: assemble::first(&read, |m| m.view),
        cloud_percent: assemble::first(&read, |m| m.cloud_percent),
        // Those of the metadata are of all tiles together.
        corners: corners.filter(|_| !is_tile),
        warnings: read.iter().flat_map(|r| r.warnings.iter().cloned()).chain(warnings).collect(),
        metadata_files: read.iter().flat_map(|r| r.metadata_files.iter().cloned()).collect(),
        arrivals: super::Arrivals::default(),
        parts: read.into_iter().map(|r| r.part).collect(),
    })
}

fn first_metadata(read: &[assemble::ReadPart]) -> Option<&super::metadata::Metadata> {
    read.iter().find_map(|r| r.metadata.as_ref())
}

fn no_time(image: &Path) -> SceneError {
    SceneError::Field {
        path: image.into(),
        field: "CenterTime".into(),
        expected: "the time in the `.xml` beside the image, as the name says the day alone".into(),
        found: "none".into(),
        remedy: "put the vendor's `.xml` beside the image, or describe it in a `scene.toml`".into(),
    }
}
