//! The day: sunlight on the land, seen by a panchromatic and a multispectral camera.

use std::f64::consts::PI;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::land::{BANDS, Land, PAN_MIX};
use super::patches;
use super::radiometry::{DATA_BITS, Detector, Response};
use super::random::hash;
use super::render::{Sampler, Scenery};
use super::subject::{BandSpec, Layer, PartSpec, Place, Sections, Subject, Words};
use super::sun::SunPosition;
use super::{Kind, Options, SimulateError};

/// Bands in the order of the land's reflectance. Gains are such that reflectance 0.6 under a sun 30° from the zenith is
/// near 3500.
pub(super) const SPECS: &[BandSpec; BANDS] = &[
    BandSpec { role: "PAN", range_nm: (450.0, 800.0), gain: 0.0770, bias: 0.62 },
    BandSpec { role: "B", range_nm: (450.0, 520.0), gain: 0.0925, bias: 1.35 },
    BandSpec { role: "G", range_nm: (520.0, 600.0), gain: 0.0870, bias: 0.84 },
    BandSpec { role: "R", range_nm: (630.0, 690.0), gain: 0.0733, bias: -0.57 },
    BandSpec { role: "N", range_nm: (770.0, 890.0), gain: 0.0502, bias: 0.38 },
];

/// Mean solar irradiance over the ranges of [`SPECS`] at 1 au, W·m⁻²·µm⁻¹.
///
/// # Reference
/// ASTM G173-03, extraterrestrial column, trapezoid mean over a box band.
const E0: [f64; BANDS] = [1630.142857, 1957.907143, 1840.483750, 1550.831667, 1061.827586];

const PAN: PartSpec = PartSpec { name: "PAN", ratio: 4, first_band: 0, bands: SPECS.split_at(1).0 };
pub(super) const MSS: PartSpec = PartSpec { name: "MSS", ratio: 1, first_band: 1, bands: SPECS.split_at(1).1 };

/// The land under one sun.
pub(super) struct Day {
    land: Land,
    sun: SunPosition,
    pan: bool,
    noise_dn: f64,
    seed: u64,
}

impl Day {
    /// The day of these options, with the panchromatic image or without.
    pub(super) fn new(options: &Options, pan: bool) -> Self {
        let noise_dn = options.noise_dn;
        let seed = if options.season == 0 { options.seed } else { hash(options.seed, options.season) };
        let area_m2 = options.gsd_m.powi(2) * (options.mss_rows * options.mss_cols) as f64;
        let land = Land::new(options.seed).at_season(options.season).under_cloud(options.cloud * area_m2);
        Self { land, sun: options.sun(), pan, noise_dn, seed }
    }

    fn reflectance(&self, bands: Range<usize>) -> Reflection<'_> {
        Reflection { land: &self.land, bands }
    }
}

impl Subject for Day {
    fn parts(&self) -> &'static [PartSpec] {
        if self.pan { &[PAN, MSS] } else { &[MSS] }
    }

    fn level(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::L1 => "L1",
            Kind::L3 => "L3C",
        }
    }

    fn scenery(&self, part: &PartSpec) -> Box<dyn Scenery + '_> {
        Box::new(self.reflectance(part.first_band..part.first_band + part.bands.len()))
    }

    fn detector(&self, part: &PartSpec) -> Detector {
        let per_irradiance =
            self.sun.zenith_deg.to_radians().cos() / (PI * self.sun.distance_au * self.sun.distance_au);
        let response = |(spec, e0): (&BandSpec, &f64)| Response {
            gain: spec.gain,
            bias: spec.bias,
            radiance_of_one: e0 * per_irradiance,
            dark_dn: 0.0,
        };
        let responses = part.bands.iter().zip(&E0[part.first_band..]).map(response).collect();
        Detector::new(responses, part.first_band, self.noise_dn, self.seed)
    }

    fn layers(&self) -> &'static [Layer] {
        &[Layer::Reflectance]
    }

    fn layer(&self, layer: Layer) -> Option<Box<dyn Scenery + '_>> {
        (layer == Layer::Reflectance).then(|| self.scenery(&MSS))
    }

    fn sections(&self, place: &Place) -> Result<Sections, SimulateError> {
        let patches = patches::patches(place.options, &self.land, place.ground);
        let mut document = Map::new();
        document.insert("radiometry".into(), radiometry_json());
        document.insert("patches".into(), patches::json(&patches, &place.map));
        Ok(Sections { document, patches: patches.len(), lamps: 0 })
    }

    fn words(&self) -> Words {
        Words {
            title: "A simulated satellite delivery. No part of it was measured.",
            bands: "bands of MSS are blue, green, red,\nnear infrared",
            truth: "truth/truth.json\n\
                    - everything that was put in: options, sun, irradiance, gains, and uniform patches with their true\n\
                    top-of-atmosphere reflectance\n\n\
                    truth/truth_mss.tif\n\
                    - true top-of-atmosphere reflectance of the central part in blue, green, red, near infrared, UTM",
        }
    }
}

fn radiometry_json() -> Value {
    let band = |(s, e0): (&BandSpec, &f64)| {
        json!({
            "role": s.role,
            "range_nm": [s.range_nm.0, s.range_nm.1],
            "e0_w_m2_um": e0,
            "gain": s.gain,
            "bias": s.bias,
        })
    };
    json!({
        "radiance": "gain * dn + bias, W m-2 sr-1 um-1",
        "reflectance": "pi * radiance * distance^2 / (e0 * cos(zenith)), top of atmosphere",
        "irradiance": "ASTM G173-03 extraterrestrial, trapezoid mean over range_nm",
        "data_bits": DATA_BITS,
        "pan_mix": { "B": PAN_MIX[0], "G": PAN_MIX[1], "R": PAN_MIX[2], "N": PAN_MIX[3] },
        "bands": SPECS.iter().zip(&E0).map(band).collect::<Vec<_>>(),
    })
}

/// Reflectance of the land in some of its bands.
pub(super) struct Reflection<'a> {
    pub land: &'a Land,
    pub bands: Range<usize>,
}

impl Scenery for Reflection<'_> {
    fn bands(&self) -> usize {
        self.bands.len()
    }

    fn sampler(&self) -> Sampler<'_> {
        Box::new(|x, y, out| out.copy_from_slice(&self.land.at(x, y).1[self.bands.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dn_is_the_formula_and_stays_in_twelve_bits() {
        let sun = SunPosition { zenith_deg: 30.0, azimuth_deg: 0.0, distance_au: 1.0 };
        let day = Day { land: Land::new(1), sun, pan: true, noise_dn: 0.0, seed: 1 };
        for part in day.parts() {
            let detector = day.detector(part);
            for (band, spec) in part.bands.iter().enumerate() {
                let dn = f64::from(detector.dn(band, 0.6, 0, 0));
                assert!((3300.0..3600.0).contains(&dn), "{} {dn}", spec.role);
                let radiance = spec.gain * dn + spec.bias;
                let e0 = E0[part.first_band + band];
                let reflectance = PI * radiance / (e0 * 30f64.to_radians().cos());
                assert!((reflectance - 0.6).abs() < 1e-4);
                assert_eq!(detector.dn(band, 0.0, 0, 0).max(20), 20);
                assert!(detector.dn(band, -1.0, 0, 0) == 1 && detector.dn(band, 9.0, 0, 0) == 4095);
            }
        }
    }
}
