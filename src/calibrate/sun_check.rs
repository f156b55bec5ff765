//! Which sun a scene is calibrated with, and whether its metadata can be true.
//!
//! Zenith mistaken for elevation and Beijing time mistaken for UTC are the two classic ways to reflectance that is
//! wrong and looks right. Time and place give the sun independently of the angles in the metadata, so the three are
//! compared before anything is computed with them, and a gross conflict names its suspect.

use jiff::{SignedDuration, Timestamp};

use super::{CalibrateError, Options};
use crate::scene::{Code, Scene, Sun, Warning};
use crate::sun::{SunPosition, earth_sun_distance_au, sun_position};
use crate::units::SunZenith;

/// Zenith angles further apart than this contradict each other, degrees. Below it are rounded times, angles for a
/// corner instead of the centre, and refraction.
const ZENITH_TOLERANCE_DEG: f64 = 2.0;

/// The same for azimuths, degrees.
const AZIMUTH_TOLERANCE_DEG: f64 = 5.0;

/// Closer to the zenith than this, an azimuth says nothing, degrees.
const AZIMUTH_MIN_ZENITH_DEG: f64 = 10.0;

/// From here on the flat-Earth cosine is off by percents, degrees.
const LOW_SUN_DEG: f64 = 85.0;

/// Where a sun angle came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SunSource {
    /// The pipeline file.
    PipelineFile,
    /// The delivery's metadata or its sidecar.
    Metadata,
    /// Computed from time and place.
    Computed,
}

impl SunSource {
    /// Words for messages.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::PipelineFile => "from the pipeline file",
            Self::Metadata => "from the metadata",
            Self::Computed => "computed from time and place",
        }
    }
}

/// The sun that a scene is calibrated with.
#[derive(Debug, Clone, PartialEq)]
pub struct Illumination {
    /// Zenith angle.
    pub zenith: SunZenith,
    /// Degrees clockwise from north: the metadata's, else computed.
    pub azimuth_deg: Option<f64>,
    /// Where the zenith angle came from.
    pub source: SunSource,
    /// Distance to the sun, AU.
    pub distance_au: f64,
    /// What is odd about it but does not stop the work.
    pub warnings: Vec<Warning>,
}

impl Illumination {
    /// Cosine of the zenith angle, above 0.
    ///
    /// # Errors
    /// [`CalibrateError::SunBelowHorizon`].
    pub fn cos_zenith(&self) -> Result<f64, CalibrateError> {
        if (0.0..90.0).contains(&self.zenith.0) {
            Ok(self.zenith.0.to_radians().cos())
        } else {
            Err(CalibrateError::SunBelowHorizon { zenith: self.zenith.0, source_of_angle: self.source })
        }
    }
}

/// The sun of `scene`: the user's angle, else the metadata's once it is checked, else computed. `center` is the
/// longitude and latitude of the image centre, [`Scene::center`] if `None`.
///
/// # Units
/// Degrees, WGS 84, longitude first.
///
/// # Errors
/// [`CalibrateError::NoTime`] for a mosaic over a period, [`CalibrateError::NoSun`] without angle and place, [`CalibrateError::SunConflict`] from [`check_sun`],
/// [`CalibrateError::BadOption`].
pub fn illumination(
    scene: &Scene,
    center: Option<(f64, f64)>,
    options: &Options,
) -> Result<Illumination, CalibrateError> {
    options.check()?;
    if scene.time.is_period {
        return Err(CalibrateError::NoTime { period: scene.time.original.clone() });
    }
    let center = center.or_else(|| scene.center());
    let time = scene.time.center;
    let computed = center.map(|(lon, lat)| sun_position(time, lat, lon));
    let mut warnings = check_sun(scene, center, options)?;
    let (zenith, source) = match (options.sun_zenith_deg, scene.sun, computed) {
        (Some(zenith), ..) => (SunZenith(zenith), SunSource::PipelineFile),
        (None, Some(sun), _) => (sun.zenith, SunSource::Metadata),
        (None, None, Some(sun)) => {
            let message = format!(
                "the metadata state no usable sun angle; zenith {:.3} and azimuth {:.3} are computed from time and place",
                sun.zenith_deg, sun.azimuth_deg
            );
            warnings.push(Warning { code: Code::SunComputed, message });
            (SunZenith(sun.zenith_deg), SunSource::Computed)
        }
        (None, None, None) => return Err(CalibrateError::NoSun),
    };
    if (LOW_SUN_DEG..90.0).contains(&zenith.0) {
        let message = format!("the sun stands {:.2} degrees from the zenith: reflectance is unreliable", zenith.0);
        warnings.push(Warning { code: Code::SunLow, message });
    }
    let azimuth_deg = scene.sun.and_then(|sun| sun.azimuth_deg).or(computed.map(|sun| sun.azimuth_deg));
    Ok(Illumination { zenith, azimuth_deg, source, distance_au: earth_sun_distance_au(time), warnings })
}

/// Compares the sun in the metadata (or the user's zenith in its place) with the one at the scene's time and place;
/// `center` is longitude and latitude. Without angle, place or a time of acquisition there is nothing to compare.
///
/// # Units
/// Degrees, WGS 84, longitude first.
///
/// # Errors
/// [`CalibrateError::SunConflict`] when they contradict each other, unless the user accepts that: then it is a warning.
pub fn check_sun(scene: &Scene, center: Option<(f64, f64)>, options: &Options) -> Result<Vec<Warning>, CalibrateError> {
    let Some((lon, lat)) = center.filter(|_| !scene.time.is_period) else { return Ok(Vec::new()) };
    let time = scene.time.center;
    let computed = sun_position(time, lat, lon);
    if let Some(zenith) = options.sun_zenith_deg {
        let apart = (zenith - computed.zenith_deg).abs();
        let message = format!(
            "the pipeline file's `radiometry.sun_zenith` {zenith} is used, {apart:.1} degrees from the {:.2} computed from time and place",
            computed.zenith_deg
        );
        let far = apart > ZENITH_TOLERANCE_DEG;
        return Ok(if far { vec![Warning { code: Code::SunConflict, message }] } else { Vec::new() });
    }
    let Some(sun) = scene.sun else { return Ok(Vec::new()) };
    let place = Place { time, lat, lon };
    let Some(conflict) = place.conflict(scene, sun, computed) else { return Ok(Vec::new()) };
    if conflict.gross && !options.accept_sun_conflict {
        return Err(CalibrateError::SunConflict { conflict: conflict.text });
    }
    Ok(vec![Warning { code: Code::SunConflict, message: format!("{}; the metadata's angles are used", conflict.text) }])
}

/// Time and place of a scene.
struct Place {
    time: Timestamp,
    lat: f64,
    lon: f64,
}

/// What contradicts what.
struct Conflict {
    /// Reflectance would be wrong.
    gross: bool,
    text: String,
}

/// Angle between two directions on the horizon, degrees.
fn turn(a: f64, b: f64) -> f64 {
    ((a - b + 180.0).rem_euclid(360.0) - 180.0).abs()
}

fn zenith_fits(zenith: f64, at: SunPosition) -> bool {
    (zenith - at.zenith_deg).abs() <= ZENITH_TOLERANCE_DEG
}

/// True when the azimuth is unknown, or says nothing because the sun is overhead.
fn azimuth_fits(azimuth_deg: Option<f64>, at: SunPosition) -> bool {
    azimuth_deg
        .is_none_or(|a| at.zenith_deg < AZIMUTH_MIN_ZENITH_DEG || turn(a, at.azimuth_deg) <= AZIMUTH_TOLERANCE_DEG)
}

impl Place {
    fn conflict(&self, scene: &Scene, sun: Sun, computed: SunPosition) -> Option<Conflict> {
        let (zenith, azimuth) = (sun.zenith.0, sun.azimuth_deg);
        let zenith_wrong = !zenith_fits(zenith, computed);
        if !zenith_wrong && azimuth_fits(azimuth, computed) {
            return None;
        }
        let stated = azimuth.map_or(String::new(), |a| format!(", azimuth {a:.2}"));
        let facts = format!(
            "the metadata's sun (zenith {zenith:.2}, which is elevation {:.2}{stated}) contradicts time and place: at {} UTC, \
             latitude {:.3}, longitude {:.3}, it is zenith {:.2}, azimuth {:.2}",
            90.0 - zenith,
            self.time.strftime("%Y-%m-%d %H:%M:%S"),
            self.lat,
            self.lon,
            computed.zenith_deg,
            computed.azimuth_deg,
        );
        let shift = self.hour_shift(sun);
        let suspect = if zenith_wrong && zenith_fits(90.0 - zenith, computed) && azimuth_fits(azimuth, computed) {
            "an elevation was given as zenith, or a zenith as elevation".to_string()
        } else if let Some(hours) = shift {
            time_suspect(scene, hours)
        } else if !zenith_wrong
            && azimuth.is_some_and(|a| turn(a + 180.0, computed.azimuth_deg) <= AZIMUTH_TOLERANCE_DEG)
        {
            "the azimuth is the direction the light goes to, not the one it comes from".to_string()
        } else if zenith_wrong {
            "angle, time or place; no usual mistake explains it".to_string()
        } else {
            "the azimuth; no usual mistake explains it".to_string()
        };
        // An azimuth alone does not enter reflectance; a wrong hour that happens to keep the zenith does, by its date.
        Some(Conflict { gross: zenith_wrong || shift.is_some(), text: format!("{facts}; suspect: {suspect}") })
    }

    /// Whole hours that, added to the time, make the sun fit best, if any do. Without an azimuth morning and afternoon
    /// cannot be told apart, and many hours fit by chance: then only eight are tried, the confusion with Beijing time.
    fn hour_shift(&self, sun: Sun) -> Option<i64> {
        let candidates: Vec<i64> = match sun.azimuth_deg {
            Some(_) => (-14..=14).filter(|h| *h != 0).collect(),
            None => vec![-8, 8],
        };
        let misfit = |hours: i64| {
            let time = self.time.checked_add(SignedDuration::from_hours(hours)).ok()?;
            let at = sun_position(time, self.lat, self.lon);
            let fits = zenith_fits(sun.zenith.0, at) && azimuth_fits(sun.azimuth_deg, at);
            let azimuth_misfit = sun.azimuth_deg.map_or(0.0, |a| turn(a, at.azimuth_deg));
            fits.then(|| (sun.zenith.0 - at.zenith_deg).abs() + azimuth_misfit * sun.zenith.0.to_radians().sin())
        };
        candidates
            .into_iter()
            .filter_map(|hours| Some((hours, misfit(hours)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.abs().cmp(&b.0.abs())))
            .map(|(hours, _)| hours)
    }
}

/// Names the zone that the text of the time must be in when the instant is `hours` later than it was read.
fn time_suspect(scene: &Scene, hours: i64) -> String {
    let (text, offset) = (&scene.time.original, &scene.time.original_offset);
    let true_offset = offset_hours(offset).map(|read| read - hours as f64);
    let meaning = match true_offset {
        Some(0.0) => "it is UTC already".to_string(),
        Some(8.0) => "it is Beijing time".to_string(),
        Some(zone) => format!("it is {zone:+} hours from UTC"),
        None => "the zone is another".to_string(),
    };
    format!("the time: it fits {hours:+} hours away, as if `{text}`, read as {offset}, were misread and {meaning}")
}

/// `+08:00` in hours.
fn offset_hours(offset: &str) -> Option<f64> {
    let (sign, rest) = offset.strip_prefix('-').map_or((1.0, offset.trim_start_matches('+')), |rest| (-1.0, rest));
    let (hours, minutes) = rest.split_once(':')?;
    Some(sign * (hours.parse::<f64>().ok()? + minutes.parse::<f64>().ok()? / 60.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::SceneTime;

    const LON: f64 = 125.35;
    const LAT: f64 = 43.88;

    /// A scene near Changchun at 10:30 Beijing time, its time read as `utc`, with the true sun changed by `change`.
    fn scene(utc: &str, offset: &str, change: impl FnOnce(SunPosition) -> Option<(f64, Option<f64>)>) -> Scene {
        let truth = sun_position("2026-07-15T02:30:00Z".parse().unwrap(), LAT, LON);
        let sun = change(truth).map(|(zenith, azimuth_deg)| Sun { zenith: SunZenith(zenith), azimuth_deg });
        Scene {
            id: "s".into(),
            constellation: None,
            platform: None,
            instrument: None,
            level: None,
            time: SceneTime {
                center: utc.parse().unwrap(),
                interval: None,
                is_period: false,
                original: "2026-07-15 10:30:00".into(),
                original_offset: offset.into(),
            },
            sun,
            view: None,
            cloud_percent: None,
            corners: Some([(LON, LAT); 4]),
            parts: Vec::new(),
            warnings: Vec::new(),
            metadata_files: Vec::new(),
            arrivals: crate::arrival::Arrivals::default(),
        }
    }

    const UTC: &str = "2026-07-15T02:30:00Z";

    fn both(s: SunPosition) -> Option<(f64, Option<f64>)> {
        Some((s.zenith_deg, Some(s.azimuth_deg)))
    }

    fn conflict(scene: &Scene) -> String {
        let error = illumination(scene, None, &Options::default()).unwrap_err();
        assert!(matches!(error, CalibrateError::SunConflict { .. }));
        error.to_string()
    }

    #[test]
    fn a_true_sun_is_taken_from_the_metadata() {
        let light = illumination(&scene(UTC, "+08:00", both), None, &Options::default()).unwrap();
        assert_eq!((light.source, light.warnings.len()), (SunSource::Metadata, 0));
        assert!((light.distance_au - 1.0165).abs() < 3e-4 && light.azimuth_deg.is_some());
        // Rounding, refraction and a corner's angle are no conflict.
        let near = scene(UTC, "+08:00", |s| Some((s.zenith_deg + 1.5, Some(s.azimuth_deg - 4.0))));
        assert_eq!(illumination(&near, None, &Options::default()).unwrap().warnings, []);
    }

    #[test]
    fn elevation_given_as_zenith_is_named() {
        let m = conflict(&scene(UTC, "+08:00", |s| Some((90.0 - s.zenith_deg, Some(s.azimuth_deg)))));
        assert!(m.contains("an elevation was given as zenith") && m.contains("accept_sun_conflict"), "{m}");
        let m = conflict(&scene(UTC, "+08:00", |s| Some((90.0 - s.zenith_deg, None))));
        assert!(m.contains("an elevation was given as zenith"), "{m}");
    }

    #[test]
    fn time_zone_mistakes_are_named_both_ways() {
        // The text was UTC and eight hours were taken off it.
        let m = conflict(&scene("2026-07-14T18:30:00Z", "+08:00", both));
        assert!(m.contains("+8 hours away") && m.contains("UTC already"), "{m}");
        // Beijing time written as UTC.
        let m = conflict(&scene("2026-07-15T10:30:00Z", "+00:00", both));
        assert!(m.contains("-8 hours away") && m.contains("Beijing time"), "{m}");
        let m = conflict(&scene("2026-07-15T10:30:00Z", "+00:00", |s| Some((s.zenith_deg, None))));
        assert!(m.contains("-8 hours away"), "{m}");
        let m = conflict(&scene("2026-07-15T05:30:00Z", "+05:00", both));
        assert!(m.contains("-3 hours away") && m.contains("Beijing time"), "{m}");
        let m = conflict(&scene("2026-07-15T03:30:00Z", "+08:00", both));
        assert!(m.contains("-1 hours away") && m.contains("+9 hours from UTC"), "{m}");
    }

    #[test]
    fn an_azimuth_turned_around_is_a_warning_only() {
        let turned = scene(UTC, "+08:00", |s| Some((s.zenith_deg, Some((s.azimuth_deg + 180.0).rem_euclid(360.0)))));
        let light = illumination(&turned, None, &Options::default()).unwrap();
        assert_eq!(light.warnings.len(), 1);
        assert!(light.warnings[0].message.contains("direction the light goes to"));
        let off = scene(UTC, "+08:00", |s| Some((s.zenith_deg, Some(s.azimuth_deg + 20.0))));
        assert!(
            illumination(&off, None, &Options::default()).unwrap().warnings[0].message.contains("suspect: the azimuth")
        );
    }

    #[test]
    fn a_conflict_can_be_accepted_or_overridden() {
        let wrong = scene(UTC, "+08:00", |s| Some((s.zenith_deg + 30.0, None)));
        assert!(conflict(&wrong).contains("no usual mistake"));
        let accept = Options { accept_sun_conflict: true, ..Options::default() };
        let light = illumination(&wrong, None, &accept).unwrap();
        assert_eq!((light.source, light.warnings[0].code), (SunSource::Metadata, Code::SunConflict));
        let own = Options { sun_zenith_deg: Some(28.0), ..Options::default() };
        let light = illumination(&wrong, None, &own).unwrap();
        assert_eq!((light.zenith, light.source), (SunZenith(28.0), SunSource::PipelineFile));
    }

    #[test]
    fn without_metadata_the_sun_is_computed_and_without_place_unknown() {
        let mut bare = scene(UTC, "+08:00", |_| None);
        let light = illumination(&bare, None, &Options::default()).unwrap();
        assert_eq!((light.source, light.warnings[0].code), (SunSource::Computed, Code::SunComputed));
        bare.corners = None;
        assert!(matches!(illumination(&bare, None, &Options::default()), Err(CalibrateError::NoSun)));
        assert!(illumination(&bare, Some((LON, LAT)), &Options::default()).is_ok());
        let given = Options { sun_zenith_deg: Some(30.0), ..Options::default() };
        assert!(illumination(&bare, None, &given).is_ok());
    }

    #[test]
    fn night_is_no_conflict_but_has_no_cosine_and_a_low_sun_is_remarked_on() {
        let mut night = scene("2026-07-15T15:00:00Z", "+08:00", |_| None);
        let light = illumination(&night, None, &Options::default()).unwrap();
        assert!(light.cos_zenith().is_err());
        night.time.center = "2026-07-14T20:45:00Z".parse().unwrap();
        let low = illumination(&night, None, &Options::default()).unwrap();
        assert!(low.warnings.iter().any(|w| w.code == Code::SunLow), "{low:?}");
    }

    #[test]
    fn offsets_are_read_with_sign_and_minutes() {
        assert_eq!(offset_hours("-03:30"), Some(-3.5));
        assert_eq!(offset_hours("+08:00"), Some(8.0));
        assert_eq!(offset_hours("Z"), None);
    }
}
