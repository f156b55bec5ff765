//! Which images a pansharpened product is made of, with which filters, and how the survey's numbers settle it.

use std::collections::BTreeMap;

use fieldglow_kernels::sharpen::{Gaussian, variance_of_gain};

use super::super::EngineError;
use super::super::plan::Input;
use super::{LowPass, LowPlane};
use crate::config;
use crate::product::sharpen::{Intensity, MTF_GAIN, Method, Seen, SharpBand, Sharpening, modulation, ratio_modulation};
use crate::product::{Product, Program};
use crate::raster::Linear;
use crate::scene::Role;
use crate::survey;

/// Coarse pixels beyond a filter's reach that a pixel of the product may be interpolated from, on each side: more than any
/// interpolation asks for.
const NEIGHBOURS: f64 = 3.0;
/// How much longer than its mean edge a coarse pixel may be on the ground, and how much further its diagonal reaches.
const STRETCH: f64 = 1.3 * std::f64::consts::SQRT_2;
/// Product pixels along a coarse pixel from which on there is something to sharpen.
const LEAST_RATIO: f64 = 1.2;

/// What a product section asks for, nothing being known of the scene.
pub fn program(product: &config::Product) -> Program {
    let gain = |role: &Role| product.mtf_gain.get(role).copied();
    let band = |role: &Role| SharpBand::new(*role, gain(role).unwrap_or(MTF_GAIN));
    Program::Pansharpen(Box::new(Sharpening {
        method: product.method.unwrap_or_default(),
        fit: product.fit.unwrap_or_default(),
        bands: product.bands.iter().map(band).collect(),
        intensity: None,
        pan_gain: gain(&Role::Pan).unwrap_or(1.0),
    }))
}

/// How PAN is low-passed for the products of a layer, and which plane is whose; `None` where nothing is sharpened.
///
/// # Errors
/// [`EngineError::CannotSharpen`].
pub fn low_pass(
    pixel_m: f64,
    roles: &[Role],
    inputs: &[Input],
    products: &mut [Product],
) -> Result<Option<LowPass>, EngineError> {
    let input_of = |role: Role| {
        let plane = roles.iter().position(|r| *r == role)?;
        let k = inputs.iter().position(|i| (i.first_plane..i.first_plane + i.bands.len()).contains(&plane))?;
        Some((k, plane - inputs[k].first_plane))
    };
    let mut sharpened: Vec<(&str, &mut Sharpening)> = products
        .iter_mut()
        .filter_map(|p| match &mut p.program {
            Program::Pansharpen(s) => Some((p.name.as_str(), &mut **s)),
            _ => None,
        })
        .collect();
    // Those that the pass needs first.
    sharpened.sort_by_key(|(_, s)| s.method == Method::Brovey);
    let Some(pan) = input_of(Role::Pan).filter(|_| !sharpened.is_empty()) else { return Ok(None) };
    let mut low = LowPass { pan, planes: Vec::new(), in_pass: 0, halo: 0 };
    for (name, sharpening) in sharpened {
        let cannot = |reason: String, remedy| EngineError::CannotSharpen { product: name.to_owned(), reason, remedy };
        let places: Vec<usize> = sharpening.bands.iter().filter_map(|b| Some(input_of(b.role)?.0)).collect();
        let Some(&k) = places.first() else { continue };
        if places.iter().any(|p| *p != k) {
            let reason = "its bands are of several images, whose pixels differ".into();
            return Err(cannot(reason, "make a product of its own for the bands of each"));
        }
        if k == pan.0 {
            let reason = "PAN and its bands stand in one image, with pixels of one size".into();
            return Err(cannot(reason, "leave the product out: there is nothing to sharpen with"));
        }
        let coarse_m = inputs[k].pixel_area_m2.sqrt();
        let ratio = coarse_m / pixel_m;
        if ratio < LEAST_RATIO {
            let reason = format!("its pixels of {pixel_m} m are hardly finer than those of its bands, {coarse_m:.2} m");
            return Err(cannot(reason, "give it the `resolution` of PAN"));
        }
        // Of PAN's blur, in pixels of the bands.
        let pan_pixel = inputs[pan.0].pixel_area_m2.sqrt() / coarse_m;
        let pan_variance = variance_of_gain(sharpening.pan_gain) * pan_pixel * pan_pixel;
        let variances: Vec<f64> = match sharpening.method {
            Method::MtfGlpHpm => sharpening.bands.iter().map(|b| variance_of_gain(b.gain)).collect(),
            // One intensity is compared with all bands: it is seen as they are on average.
            Method::Brovey => {
                let all: f64 = sharpening.bands.iter().map(|b| variance_of_gain(b.gain)).sum();
                vec![all / sharpening.bands.len() as f64; sharpening.bands.len()]
            }
        };
        for (band, variance) in sharpening.bands.iter_mut().zip(variances) {
            let Some(filter) = Gaussian::new((variance - pan_variance).max(0.0).sqrt()) else {
                let reason = format!("the `mtf_gain` of PAN blurs it as much as that of {} blurs the band", band.role);
                return Err(cannot(reason, "correct `mtf_gain`"));
            };
            let reach = STRETCH * (filter.reach() as f64 + NEIGHBOURS) * ratio;
            low.halo = low.halo.max(reach.ceil() as usize + 1);
            let same = |p: &LowPlane| p.input == k && p.filter.sigma() == filter.sigma();
            band.low = low.planes.iter().position(same).unwrap_or_else(|| {
                low.planes.push(LowPlane { input: k, filter });
                low.planes.len() - 1
            });
        }
        if sharpening.method == Method::MtfGlpHpm {
            low.in_pass = low.planes.len();
        }
    }
    Ok(Some(low))
}

/// Puts what was found out about PAN and the bands into a product. `given` are the weights of bands in PAN, of values, as
/// the product section has them; `roles` and `linear` are those of the layer.
pub fn settle(
    sharpening: &mut Sharpening,
    found: &survey::sharpen::Sharpening,
    given: Option<&BTreeMap<Role, f64>>,
    roles: &[Role],
    linear: &[Linear],
) {
    let linear_of = |role: Role| roles.iter().position(|r| *r == role).and_then(|p| linear.get(p)).copied();
    let Some(of_pan) = linear_of(Role::Pan) else { return };
    let mut weights = Vec::new();
    let mut constant = found.intensity.as_ref().map_or(0.0, |i| i.constant);
    let given = given.filter(|g| !g.is_empty());
    if given.is_some() {
        constant = -of_pan.bias / of_pan.gain;
    }
    for band in &mut sharpening.bands {
        let (Some(own), Some(of_band)) = (linear_of(band.role), found.bands.get(&band.role)) else { return };
        let survey::sharpen::Band { mean, sd, pan_mean, pan_sd, correlation } = *of_band;
        let seen = Seen { mean, sd, pan_mean, pan_sd, correlation };
        band.modulation = match sharpening.method {
            Method::MtfGlpHpm => modulation(sharpening.fit, &seen, own),
            Method::Brovey => ratio_modulation(pan_mean, of_pan),
        };
        // A sum of values, as DN of PAN.
        match given.and_then(|g| g.get(&band.role)) {
            Some(weight) => {
                weights.push(weight * own.gain / of_pan.gain);
                constant += weight * own.bias / of_pan.gain;
            }
            None => weights.extend(found.intensity.as_ref().and_then(|i| i.weights.get(&band.role))),
        }
    }
    if sharpening.method == Method::Brovey {
        sharpening.intensity = Some(Intensity { weights, constant });
    }
}
