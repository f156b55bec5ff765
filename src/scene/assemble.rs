//! From the rasters of one acquisition to its scene: what all vendors' parts have in common.

use std::path::{Path, PathBuf};

use super::metadata::Metadata;
use super::time::Stated;
use super::{Code, Part, SceneError, SceneTime, Warning, files};

/// Most the time in the metadata may be away from the one in the name before it is remarked on, seconds. Names carry
/// the start of the strip, so a few minutes are ordinary.
const NAME_TIME_TOLERANCE_S: i64 = 1800;

/// A part with what is needed until all parts are known.
#[derive(Debug)]
pub(super) struct ReadPart {
    pub image: PathBuf,
    pub part: Part,
    pub metadata: Option<Metadata>,
    pub metadata_files: Vec<PathBuf>,
    pub warnings: Vec<Warning>,
}

/// Orders parts by their first band and refuses two of one name.
pub(super) fn order(read: &mut [ReadPart]) -> Result<(), SceneError> {
    read.sort_by_key(|r| r.part.bands.first().map(|b| b.role));
    for pair in read.windows(2) {
        if let [a, b] = pair
            && a.part.name == b.part.name
        {
            return Err(SceneError::Ambiguous {
                path: a.image.clone(),
                what: "image of this part of the scene",
                candidates: format!("`{}`, `{}`", a.image.display(), b.image.display()),
            });
        }
    }
    Ok(())
}

/// What the first part that states it says, pan before multispectral.
pub(super) fn first<T>(read: &[ReadPart], pick: impl Fn(&Metadata) -> Option<T>) -> Option<T> {
    read.iter().filter_map(|r| r.metadata.as_ref()).find_map(pick)
}

/// Warnings where the parts of one scene say different things.
pub(super) fn disagreements(read: &[ReadPart]) -> Vec<Warning> {
    let stated: Vec<_> = read.iter().filter_map(|r| Some((&r.part.name, r.metadata.as_ref()?))).collect();
    let mut warnings = Vec::new();
    for pair in stated.windows(2) {
        let [(a, first), (b, second)] = pair else { continue };
        let mut warn = |what: &str, by: String| {
            let message = format!("{what} of {a} and {b} differ by {by}; the value of {a} is used");
            warnings.push(Warning { code: Code::PartsDisagree, message });
        };
        if let (Some(s), Some(t)) = (first.sun, second.sun)
            && (s.zenith.0 - t.zenith.0).abs() > 1.0
        {
            warn("the sun zeniths", format!("{:.1} degrees", (s.zenith.0 - t.zenith.0).abs()));
        }
        if let (Some(s), Some(t)) = (&first.center, &second.center)
            && (s.utc.as_second() - t.utc.as_second()).abs() > 60
        {
            warn("the centre times", format!("{} seconds", (s.utc.as_second() - t.utc.as_second()).abs()));
        }
    }
    warnings
}

/// A warning when a name and a metadata file say different things; what the metadata say is used.
pub(super) fn conflict(image: &Path, field: &str, named: &str, stated: &str) -> Warning {
    let message = format!(
        "the name of `{}` says `{named}`, its metadata say `{stated}` in `{field}`; the metadata's is used",
        files::file_name(image)
    );
    Warning { code: Code::NameMismatch, message }
}

/// Times of a scene as its metadata state them.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub center: Option<Stated>,
    pub start: Option<Stated>,
    pub end: Option<Stated>,
}

impl Times {
    /// Of the first part that states each.
    pub fn of(read: &[ReadPart]) -> Self {
        Self {
            center: first(read, |m| m.center.clone()),
            start: first(read, |m| m.start.clone()),
            end: first(read, |m| m.end.clone()),
        }
    }

    /// Centre, start and end of the acquisition: as the metadata state them, else as the name says; `None` if neither
    /// says anything. A mosaic has no time of its own: what is stated of it is a period.
    pub fn scene_time(self, named: Option<Stated>, is_mosaic: bool, warnings: &mut Vec<Warning>) -> Option<SceneTime> {
        let mut interval = self.start.as_ref().map(|t| t.utc).zip(self.end.as_ref().map(|t| t.utc));
        if let Some((a, b)) = interval
            && a > b
        {
            let message = format!("`StartTime` ({a}) is after `EndTime` ({b}); both are ignored");
            warnings.push(Warning { code: Code::TimeOrder, message });
            interval = None;
        }
        let center = match (self.center, interval, self.start) {
            (Some(center), ..) => center,
            (None, Some((a, b)), Some(start)) => {
                let middle = a.as_nanosecond() / 2 + b.as_nanosecond() / 2;
                Stated { utc: jiff::Timestamp::from_nanosecond(middle).unwrap_or(a), ..start }
            }
            _ => {
                let named = named.clone()?;
                let message =
                    format!("the metadata state no time; the name's, {} ({}), is used", named.text, named.offset);
                warnings.push(Warning { code: Code::TimeFromName, message });
                named
            }
        };
        if let Some(named) = named.filter(|_| !is_mosaic) {
            let apart = center.utc.as_second() - named.utc.as_second();
            if apart.abs() > NAME_TIME_TOLERANCE_S {
                let message = format!(
                    "the metadata's centre time `{}` ({}) and the name's {} ({}) are {:.1} hours apart; the metadata's is used",
                    center.text,
                    center.offset,
                    named.text,
                    named.offset,
                    apart as f64 / 3600.0
                );
                warnings.push(Warning { code: Code::TimeMismatch, message });
            }
        }
        Some(SceneTime {
            center: center.utc,
            interval,
            is_period: is_mosaic,
            original: center.text,
            original_offset: center.offset,
        })
    }
}
