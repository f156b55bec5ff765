//! DN → at-sensor radiance → top-of-atmosphere reflectance.
//!
//! Every conversion is one linear function per band, made here once in f64 and carried with its [`Provenance`]: where
//! the coefficients, the solar irradiance and the sun angle came from. Coefficients are the delivery's or the user's;
//! none is ever guessed, and a level that cannot be made is refused with what is missing.

mod outlook;
pub mod solar;
pub mod sun_check;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use fieldglow_kernels::linear::Linear;
pub use outlook::{Outlook, admit, outlook};
pub use sun_check::{Illumination, SunSource, check_sun, illumination};

use crate::error::{Class, Classify};
use crate::scene::{Band, Calibration, Part, Processed, Role, Scene};
use crate::units::RangeNm;

/// What DN are turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Digital numbers as they stand in the file.
    Dn,
    /// At-sensor spectral radiance, W·m⁻²·sr⁻¹·µm⁻¹.
    Radiance,
    /// Top-of-atmosphere reflectance.
    #[default]
    Toa,
}

impl Level {
    /// All of them, each made of the one before.
    pub const ALL: [Self; 3] = [Self::Dn, Self::Radiance, Self::Toa];

    /// The word in pipeline files.
    pub fn code(self) -> &'static str {
        match self {
            Self::Dn => "dn",
            Self::Radiance => "radiance",
            Self::Toa => "toa",
        }
    }
}

/// What the user says in place of the delivery.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Band solar irradiance at 1 AU, W·m⁻²·µm⁻¹.
    pub esun: BTreeMap<Role, f64>,
    /// Sun zenith angle, degrees.
    pub sun_zenith_deg: Option<f64>,
    /// Go on with the delivery's sun although it contradicts time and place.
    pub accept_sun_conflict: bool,
    /// Make physical values of pixels to which this was done.
    pub accept_processed: Vec<Processed>,
}

impl Options {
    /// Checks the numbers, so that a mistake in them ends the run and not one scene after the other.
    ///
    /// # Errors
    /// [`CalibrateError::BadOption`] for the first impossible number.
    pub fn check(&self) -> Result<(), CalibrateError> {
        for (role, esun) in &self.esun {
            if !(esun.is_finite() && *esun > 0.0) {
                let field = format!("esun.{role}");
                return Err(CalibrateError::BadOption {
                    field,
                    expected: "a number above 0, W m-2 um-1",
                    found: *esun,
                });
            }
        }
        match self.sun_zenith_deg {
            Some(zenith) if !(0.0..90.0).contains(&zenith) => {
                let expected = "degrees from 0 to below 90";
                Err(CalibrateError::BadOption { field: "sun_zenith".into(), expected, found: zenith })
            }
            _ => Ok(()),
        }
    }
}

/// Where the numbers of a conversion came from; only what entered it is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Provenance {
    /// What was made.
    pub level: Level,
    /// File and field of gain and bias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coefficients: Option<String>,
    /// Band solar irradiance at 1 AU, W·m⁻²·µm⁻¹.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esun: Option<f64>,
    /// The spectrum and the limits it was averaged over, or the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esun_source: Option<String>,
    /// Distance to the sun, AU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earth_sun_distance_au: Option<f64>,
    /// Sun zenith angle that was divided by, degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sun_zenith_deg: Option<f64>,
    /// Where that angle came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sun_source: Option<SunSource>,
}

/// The conversion of one band.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// From DN to the level's value.
    pub linear: Linear,
    /// Where its numbers came from.
    pub provenance: Provenance,
}

/// Why a level cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// The pipeline file states an impossible number.
    #[error("`radiometry.{field}`: expected {expected}, found {found}; correct the pipeline file")]
    BadOption {
        /// Key in the pipeline file.
        field: String,
        /// What is possible.
        expected: &'static str,
        /// What stands there.
        found: f64,
    },
    /// A band has no calibration coefficients.
    #[error(
        "level `{}` of band {band} needs calibration coefficients: {reason}; \
         ask the vendor for them, describe the scene in a `scene.toml` with them, or run with level `dn`", level.code()
    )]
    NoCoefficients {
        /// The band.
        band: Role,
        /// What was asked for.
        level: Level,
        /// What is missing.
        reason: String,
    },
    /// Radiance from coefficients that lead to reflectance.
    #[error(
        "level `radiance` of band {band} needs radiance coefficients, but {coefficients} leads to reflectance; \
         run with level `toa`, or state `radiance` in the sidecar"
    )]
    ReflectanceOnly {
        /// The band.
        band: Role,
        /// The coefficients there are.
        coefficients: String,
    },
    /// The solar irradiance of a band is not known.
    #[error(
        "level `toa` of band {band} needs its solar irradiance: {reason}; set `radiometry.esun.{band}` (W m-2 um-1 at 1 AU)"
    )]
    NoIrradiance {
        /// The band.
        band: Role,
        /// Why there is none.
        reason: String,
    },
    /// The pixels are no measurements any more: fused, stretched or mosaicked.
    #[error(
        "level `{}` of part {part}: its pixels are {}, as {said_by} says, so calibration coefficients do not make measured \
         values of them; run with level `dn`, take the images this one was made from, or allow it with \
         `radiometry.accept_processed = [\"{}\"]`", level.code(), what.words(), what.code()
    )]
    Processed {
        /// The part.
        part: String,
        /// What was asked for.
        level: Level,
        /// What was done to its pixels.
        what: Processed,
        /// Who says so.
        said_by: String,
    },
    /// Reflectance of a mosaic over a period, which has no sun.
    #[error(
        "level `toa` needs the time of acquisition, but the scene states a period only ({period}), and no sun fits it all; \
         run with level `dn` or `radiance`, or take the acquisitions the mosaic was made from"
    )]
    NoTime {
        /// The period as it stands in the file.
        period: String,
    },
    /// Nothing to tell the sun from.
    #[error(
        "the sun is unknown: the metadata state no sun angle, and no corner, map projection or RPC says where the scene is; \
         set `radiometry.sun_zenith`, add `[sun]` to a `scene.toml`, or run with level `dn` or `radiance`"
    )]
    NoSun,
    /// The sun does not shine on the scene.
    #[error(
        "the sun stands {zenith:.2} degrees from the zenith ({}), at or below the horizon, so there is no reflectance; \
         check the acquisition time, or run with level `radiance`", source_of_angle.words()
    )]
    SunBelowHorizon {
        /// Zenith angle, degrees.
        zenith: f64,
        /// Where the angle came from.
        source_of_angle: SunSource,
    },
    /// Metadata, time and place contradict each other.
    #[error(
        "{conflict}; correct the metadata, set `radiometry.sun_zenith`, or set `radiometry.accept_sun_conflict = true`"
    )]
    SunConflict {
        /// What contradicts what, and the suspect.
        conflict: String,
    },
}

impl Classify for CalibrateError {
    fn class(&self) -> Class {
        match self {
            Self::BadOption { .. } => Class::Config,
            _ => Class::Input,
        }
    }
}

/// The conversion of `band` to `level`. `light` is needed for [`Level::Toa`] only.
///
/// # Units
/// DN in; out 1 for DN and reflectance, W·m⁻²·sr⁻¹·µm⁻¹ for radiance.
///
/// # Errors
/// A [`CalibrateError`] that says what is missing and what to do.
///
/// # Reference
/// ρ = π · L · d² / (E₀ · cos θ): Chander, Markham and Helder, Remote Sensing of Environment 113 (2009), equation 2.
pub fn conversion(
    band: &Band,
    level: Level,
    light: Option<&Illumination>,
    options: &Options,
) -> Result<Conversion, CalibrateError> {
    let mut provenance = Provenance {
        level,
        coefficients: None,
        esun: None,
        esun_source: None,
        earth_sun_distance_au: None,
        sun_zenith_deg: None,
        sun_source: None,
    };
    if level == Level::Dn {
        return Ok(Conversion { linear: Linear::IDENTITY, provenance });
    }
    let (stated, is_radiance, sun_corrected) = match &band.calibration {
        Calibration::Missing { reason } => {
            return Err(CalibrateError::NoCoefficients { band: band.role, level, reason: reason.clone() });
        }
        Calibration::Radiance { gain, bias, source } => {
            provenance.coefficients = Some(source.clone());
            (Linear { gain: *gain, bias: *bias }, true, false)
        }
        Calibration::Reflectance { gain, bias, sun_corrected, source } => {
            provenance.coefficients = Some(source.clone());
            (Linear { gain: *gain, bias: *bias }, false, *sun_corrected)
        }
    };
    let linear = match (level, is_radiance) {
        (Level::Radiance, false) => {
            let coefficients = provenance.coefficients.unwrap_or_default();
            return Err(CalibrateError::ReflectanceOnly { band: band.role, coefficients });
        }
        (Level::Toa, false) if sun_corrected => stated,
        (Level::Toa, _) => {
            let light = light.ok_or(CalibrateError::NoSun)?;
            let mut factor = 1.0 / light.cos_zenith()?;
            provenance.sun_zenith_deg = Some(light.zenith.0);
            provenance.sun_source = Some(light.source);
            if is_radiance {
                let (esun, source) = irradiance(band, options)?;
                factor *= std::f64::consts::PI * light.distance_au.powi(2) / esun;
                provenance.esun = Some(esun);
                provenance.esun_source = Some(source);
                provenance.earth_sun_distance_au = Some(light.distance_au);
            }
            stated.scaled(factor)
        }
        (Level::Radiance | Level::Dn, _) => stated,
    };
    Ok(Conversion { linear, provenance })
}

/// True when reflectance of the scene needs a sun: not when all of its coefficients have it in them.
pub fn needs_sun(scene: &Scene) -> bool {
    let mut bands = scene.parts.iter().flat_map(|p| &p.bands);
    bands.any(|b| !matches!(b.calibration, Calibration::Reflectance { sun_corrected: true, .. }))
}

/// Solar irradiance of a band and where it comes from: the user's, or the mean of the spectrum over the band's limits.
fn irradiance(band: &Band, options: &Options) -> Result<(f64, String), CalibrateError> {
    if let Some(&esun) = options.esun.get(&band.role) {
        options.check()?;
        return Ok((esun, "pipeline file".into()));
    }
    let missing = |reason: String| CalibrateError::NoIrradiance { band: band.role, reason };
    let range = band.range_nm.ok_or_else(|| missing("its spectral range is not stated".into()))?;
    let esun = solar::band_irradiance(range).ok_or_else(|| {
        let RangeNm { min, max } = solar::covered();
        missing(format!("{}–{} nm is not within the {min}–{max} nm of {}", range.min, range.max, solar::SPECTRUM))
    })?;
    Ok((esun, format!("{}, mean over {}–{} nm", solar::SPECTRUM, range.min, range.max)))
}

/// DN from which on a sample is saturated: the greatest that the stated bits can hold, else the greatest of the type;
/// `None` for floating point of unknown depth.
pub fn saturation_dn(part: &Part) -> Option<f64> {
    match part.data_bits {
        Some(bits @ 1..=53) => Some((1u64 << bits) as f64 - 1.0),
        _ => part.sample.max_integer(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Fields, SampleType, SensorModel};
    use crate::units::SunZenith;

    fn band(calibration: Calibration) -> Band {
        Band {
            role: Role::G,
            file: "a.tif".into(),
            index: 0,
            name: "G".into(),
            range_nm: Some(RangeNm { min: 520.0, max: 600.0 }),
            calibration,
        }
    }

    fn radiance() -> Calibration {
        Calibration::Radiance { gain: 0.12, bias: -1.5, source: "m.xml: AbsCalibrationGain".into() }
    }

    fn reflectance(sun_corrected: bool) -> Calibration {
        Calibration::Reflectance { gain: 2e-5, bias: -0.1, sun_corrected, source: "scene.toml".into() }
    }

    fn light(zenith: f64) -> Illumination {
        Illumination {
            zenith: SunZenith(zenith),
            azimuth_deg: Some(150.0),
            source: SunSource::Metadata,
            distance_au: 1.0167,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn reflectance_is_the_formula() {
        let options = Options { esun: [(Role::G, 1850.0)].into(), ..Options::default() };
        let c = conversion(&band(radiance()), Level::Toa, Some(&light(40.0)), &options).unwrap();
        for dn in [1.0, 700.0, 4095.0] {
            let exact =
                std::f64::consts::PI * (0.12 * dn - 1.5) * 1.0167f64.powi(2) / (1850.0 * 40f64.to_radians().cos());
            assert!((c.linear.apply(dn) / exact - 1.0).abs() < 1e-12, "{dn}");
        }
        let p = c.provenance;
        assert_eq!((p.esun, p.esun_source.as_deref()), (Some(1850.0), Some("pipeline file")));
        assert_eq!((p.sun_zenith_deg, p.sun_source), (Some(40.0), Some(SunSource::Metadata)));
        assert_eq!(p.earth_sun_distance_au, Some(1.0167));
    }

    #[test]
    fn irradiance_comes_from_the_spectrum_unless_it_is_given() {
        let c = conversion(&band(radiance()), Level::Toa, Some(&light(40.0)), &Options::default()).unwrap();
        let range = RangeNm { min: 520.0, max: 600.0 };
        assert_eq!(c.provenance.esun, solar::band_irradiance(range));
        assert_eq!(c.provenance.esun_source.as_deref(), Some("ASTM G173-03 extraterrestrial, mean over 520–600 nm"));
    }

    #[test]
    fn dn_and_radiance_need_no_sun() {
        let dn = conversion(&band(Calibration::Missing { reason: "x".into() }), Level::Dn, None, &Options::default());
        assert_eq!(dn.unwrap().linear, Linear::IDENTITY);
        let l = conversion(&band(radiance()), Level::Radiance, None, &Options::default()).unwrap();
        assert_eq!(l.linear, Linear { gain: 0.12, bias: -1.5 });
        assert_eq!((l.provenance.esun, l.provenance.sun_zenith_deg), (None, None));
    }

    #[test]
    fn reflectance_coefficients_are_divided_by_the_cosine_only_if_they_were_not() {
        let toa = |sun_corrected, light: Option<&Illumination>| {
            conversion(&band(reflectance(sun_corrected)), Level::Toa, light, &Options::default())
        };
        assert_eq!(toa(true, None).unwrap().linear, Linear { gain: 2e-5, bias: -0.1 });
        let c = toa(false, Some(&light(60.0))).unwrap();
        assert!((c.linear.gain - 4e-5).abs() < 1e-18 && (c.linear.bias + 0.2).abs() < 1e-12);
        assert_eq!(c.provenance.esun, None);
        assert!(matches!(toa(false, None), Err(CalibrateError::NoSun)));
    }

    #[test]
    fn what_cannot_be_made_says_why_and_what_to_do() {
        let options = Options::default();
        let message = |b: &Band, level, light: Option<&Illumination>| {
            conversion(b, level, light, &options).unwrap_err().to_string()
        };
        let missing = band(Calibration::Missing { reason: "`m.xml` has no `AbsCalibrationGain`".into() });
        let m = message(&missing, Level::Toa, Some(&light(40.0)));
        assert!(m.contains("`toa`") && m.contains("AbsCalibrationGain") && m.contains("level `dn`"), "{m}");
        let m = message(&band(reflectance(true)), Level::Radiance, None);
        assert!(m.contains("scene.toml") && m.contains("level `toa`"), "{m}");
        let mut unknown = band(radiance());
        unknown.range_nm = None;
        let m = message(&unknown, Level::Toa, Some(&light(40.0)));
        assert!(m.contains("not stated") && m.contains("radiometry.esun.G"), "{m}");
        unknown.range_nm = Some(RangeNm { min: 10_000.0, max: 12_000.0 });
        assert!(message(&unknown, Level::Toa, Some(&light(40.0))).contains("350–2500"));
        for zenith in [90.0, 120.0, f64::NAN] {
            let m = message(&band(radiance()), Level::Toa, Some(&light(zenith)));
            assert!(m.contains("horizon") && m.contains("level `radiance`"), "{m}");
        }
    }

    #[test]
    fn options_are_checked_as_configuration() {
        for options in [
            Options { esun: [(Role::B, 0.0)].into(), ..Options::default() },
            Options { esun: [(Role::B, f64::NAN)].into(), ..Options::default() },
            Options { sun_zenith_deg: Some(90.0), ..Options::default() },
            Options { sun_zenith_deg: Some(-1.0), ..Options::default() },
        ] {
            assert_eq!(options.check().unwrap_err().class(), Class::Config);
        }
        assert!(
            Options { esun: [(Role::B, 1950.0)].into(), sun_zenith_deg: Some(0.0), ..Options::default() }
                .check()
                .is_ok()
        );
    }

    #[test]
    fn saturation_follows_the_stated_bits_before_the_type() {
        let mut part = Part {
            name: "MSS".into(),
            rows: 1,
            cols: 1,
            sample: SampleType::U16,
            bands: Vec::new(),
            gsd_m: None,
            data_bits: Some(12),
            fill: None,
            mtf_compensated: None,
            processed: Vec::new(),
            sensor_model: SensorModel::Unknown { reason: String::new() },
            fields: Fields::new(),
        };
        assert_eq!(saturation_dn(&part), Some(4095.0));
        part.data_bits = None;
        assert_eq!(saturation_dn(&part), Some(65535.0));
        part.sample = SampleType::F32;
        assert_eq!(saturation_dn(&part), None);
        part.data_bits = Some(12);
        assert_eq!(saturation_dn(&part), Some(4095.0));
    }
}
