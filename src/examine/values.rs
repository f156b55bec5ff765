//! Whether calibration coefficients can be right: what a camera is built for bounds them.

use crate::calibrate::{self, Illumination, Level, Options};
use crate::scene::{Band, Code, Part, Scene, Warning};

/// Above this zenith angle reflectance is too uncertain to bound, degrees.
pub(super) const MAX_ZENITH_DEG: f64 = 75.0;

/// Reflectance of the greatest DN, under an overhead sun: below it is dark soil, above it more light than snow and any
/// glint a camera is made for. A gain taken the wrong way round lies far outside.
const FULL_SCALE: (f64, f64) = (0.08, 6.0);

/// Most the reflectance of DN 0 may be from 0, under an overhead sun.
const ZERO: f64 = 0.3;

/// Reflectance of a DN, `None` without coefficients or irradiance.
pub(super) fn reflectance(band: &Band, light: &Illumination) -> Option<impl Fn(f64) -> f64 + use<>> {
    let conversion = calibrate::conversion(band, Level::Toa, Some(light), &Options::default()).ok()?;
    Some(move |dn| conversion.linear.apply(dn))
}

/// Compares what the ends of the range stand for with what ground can be.
pub(super) fn full_scale(scene: &Scene, light: Option<&Illumination>) -> Vec<Warning> {
    let Some(light) = light else { return Vec::new() };
    let Ok(overhead) = light.cos_zenith() else { return Vec::new() };
    let mut found = Vec::new();
    for part in &scene.parts {
        // Without stated bits a 16-bit sample says nothing of the camera. Processed pixels are no measurements.
        let Some(top) = part.data_bits.and(calibrate::saturation_dn(part)).filter(|_| part.processed.is_empty()) else {
            continue;
        };
        for band in &part.bands {
            let Some(of) = reflectance(band, light) else { continue };
            let (low, high) = (of(0.0) * overhead, of(top) * overhead);
            if low.abs() > ZERO || !(FULL_SCALE.0..=FULL_SCALE.1).contains(&high) {
                found.push(implausible(part, band, top, (low, high)));
            }
        }
    }
    found
}

fn implausible(part: &Part, band: &Band, top: f64, (low, high): (f64, f64)) -> Warning {
    let message = format!(
        "part {}, band {}: DN 0 would be reflectance {low:.3} under an overhead sun and DN {top} {high:.3}; expected about 0, \
         and {} to {}",
        part.name, band.role, FULL_SCALE.0, FULL_SCALE.1
    );
    Warning { code: Code::CoefficientsImplausible, message }
}

#[cfg(test)]
mod tests {
    use super::super::parts::tests::{mapped, scene_of};
    use super::super::{light, metadata};
    use super::*;
    use crate::scene::Calibration;
    use crate::units::RangeNm;

    fn codes(gain: f64, bias: f64, bits: Option<u32>) -> Vec<&'static str> {
        let mut part = mapped("MSS", 3.0, 0.0);
        part.data_bits = bits;
        part.bands.truncate(1);
        part.bands[0].range_nm = Some(RangeNm { min: 450.0, max: 520.0 });
        part.bands[0].calibration = Calibration::Radiance { gain, bias, source: String::new() };
        let scene = scene_of(vec![part]);
        assert!(light(&scene).is_some());
        metadata(&scene).iter().map(|w| w.code.text()).collect()
    }

    #[test]
    fn coefficients_of_real_cameras_pass() {
        for (gain, bias, bits) in [(0.0925, 1.35, 12), (0.1428, 0.0, 10), (0.0505, 0.0, 12), (0.2082, 4.6186, 10)] {
            assert_eq!(codes(gain, bias, Some(bits)), Vec::<&str>::new(), "{gain}");
        }
        assert_eq!(codes(1e-9, 0.0, None), Vec::<&str>::new(), "nothing is known of the range");
    }

    #[test]
    fn inverse_gains_wrong_units_and_wild_biases_do_not() {
        for (gain, bias) in [(5.851, 0.0), (0.00925, 0.0), (9.25, 0.0), (0.0925, 400.0), (0.0925, -400.0)] {
            assert_eq!(codes(gain, bias, Some(12)), ["coefficients-implausible"], "{gain} {bias}");
        }
    }

    #[test]
    fn nights_and_low_suns_are_left_alone() {
        let mut scene = scene_of(vec![mapped("MSS", 3.0, 0.0)]);
        scene.time.center = "2026-07-15T16:30:00Z".parse().unwrap();
        assert!(light(&scene).is_none() && full_scale(&scene, None).is_empty());
    }
}
