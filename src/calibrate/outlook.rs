//! What a scene may become: the levels that can be made of it, and what stands against the others.

use super::{CalibrateError, Level, Options, conversion, illumination, needs_sun};
use crate::scene::{Code, Part, Processed, Scene, Warning};

/// Whether a level can be made of a scene.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// It can.
    Possible,
    /// It can once the pipeline file accepts what was done to the pixels.
    IfAccepted(Vec<Processed>),
    /// It cannot, and why.
    Impossible(CalibrateError),
}

/// The outlook of each level, with the delivery's own numbers: `radiometry.esun` and the like may make more possible.
pub fn outlook(scene: &Scene) -> Vec<(Level, Outlook)> {
    Level::ALL.into_iter().map(|level| (level, of_level(scene, level))).collect()
}

fn of_level(scene: &Scene, level: Level) -> Outlook {
    let options = Options { accept_processed: Processed::ALL.to_vec(), ..Options::default() };
    let light = illumination(scene, None, &options);
    let conversions = || -> Result<(), CalibrateError> {
        if level == Level::Toa && needs_sun(scene) {
            light.as_ref().map_err(Clone::clone)?.cos_zenith()?;
        }
        for band in scene.parts.iter().flat_map(|p| &p.bands) {
            conversion(band, level, light.as_ref().ok(), &options)?;
        }
        Ok(())
    };
    if let Err(e) = conversions() {
        return Outlook::Impossible(e);
    }
    let mut done: Vec<Processed> = scene.parts.iter().flat_map(|p| &p.processed).map(|p| p.what).collect();
    done.sort_unstable();
    done.dedup();
    if level == Level::Dn || done.is_empty() { Outlook::Possible } else { Outlook::IfAccepted(done) }
}

/// Whether `level` may be made of the pixels of `part`: digital numbers always, physical values of measurements, or of
/// processed pixels when the options accept what was done to them; that is a warning.
///
/// # Errors
/// [`CalibrateError::Processed`] names what was done, who says so, and what to set.
pub fn admit(part: &Part, level: Level, options: &Options) -> Result<Option<Warning>, CalibrateError> {
    if level == Level::Dn || part.processed.is_empty() {
        return Ok(None);
    }
    if let Some(p) = part.processed.iter().find(|p| !options.accept_processed.contains(&p.what)) {
        return Err(CalibrateError::Processed {
            part: part.name.clone(),
            level,
            what: p.what,
            said_by: p.said_by.clone(),
        });
    }
    let done: Vec<_> = part.processed.iter().map(|p| format!("{}, as {} says", p.what.words(), p.said_by)).collect();
    let message = format!(
        "level `{}` is made of part {} although its pixels are {}: `radiometry.accept_processed` allows it; they are not what the instrument measured",
        level.code(),
        part.name,
        done.join(" and ")
    );
    Ok(Some(Warning { code: Code::ProcessedAccepted, message }))
}
