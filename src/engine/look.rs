//! The first look at a scene: what its survey is asked, how it is made, and what its answers change in the plan.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::plan::{Input, InputBand, Layer, ScenePlan};
use super::{register, sharpen, show};
use crate::catalog;
use crate::config::Pipeline;
use crate::error::{Result, ResultExt};
use crate::product::{Program, above};
use crate::scene::{Role, Warning};
use crate::survey::{self, Request, Survey};

/// A survey as it stands in the scene's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Version of this format.
    pub schema: u32,
    /// Key of the scene and the configuration it is of.
    pub key: String,
    /// Unit of all numbers that have one and do not say otherwise.
    pub unit: String,
    /// What was found.
    #[serde(flatten)]
    pub survey: Survey,
}

/// The bytes of a survey's document.
pub fn to_bytes(document: &Document) -> Vec<u8> {
    catalog::to_bytes(&serde_json::to_value(document).unwrap_or_default())
}

/// What the products and pictures of a scene need to know beforehand.
pub fn request(pipeline: &Pipeline, layers: &[Layer]) -> Request {
    let mut request = Request::default();
    for product in layers.iter().flat_map(|l| &l.products) {
        match &product.program {
            Program::Night(bands) => {
                request.dark.extend(bands.iter().map(|b| b.role).filter(|r| {
                    !(pipeline.night.dark_dn.contains_key(r) && pipeline.night.lit_threshold.contains_key(r))
                }))
            }
            Program::Preview(bands) => request.stretch.extend(bands.iter().map(|b| b.role)),
            Program::Pansharpen(_) => {
                request.sharpen.insert(product.name.clone());
            }
            _ => {}
        }
        if pipeline.output.pictures {
            request.stretch.extend(show::stretched(product));
        }
    }
    request
}

/// Bytes of the samples of all bands; of co-registration, which comes after them; and of pansharpening, which comes last.
pub fn bytes(plan: &ScenePlan) -> u64 {
    // One after the other.
    samples_bytes(plan).max(register::bytes(plan)).max(sharpen::window_bytes(plan))
}

fn samples_bytes(plan: &ScenePlan) -> u64 {
    plan.request.bands().into_iter().filter_map(|role| input_of(plan, role)).map(|(i, _)| i).fold(0, |sum, input| {
        let part = &plan.scene.parts[input.part];
        let pixels: usize = survey::windows(part.rows, part.cols).iter().map(|w| w.pixels()).sum();
        // The samples, and a sorted copy.
        sum + (2 * pixels * size_of::<f32>()) as u64
    })
}

/// The survey of a scene, and what is odd about it. Uses the current rayon pool.
///
/// # Errors
/// Reading faults, and what the survey says.
pub fn survey(plan: &ScenePlan) -> Result<(Survey, Vec<Warning>)> {
    let bands: Vec<Role> = plan.request.bands().into_iter().collect();
    let look = |role: &Role| band(plan, *role).within(|c| (c.stage, c.band) = (Some("survey"), Some(role.to_string())));
    let found: Vec<Result<Survey>> = bands.par_iter().map(look).collect();
    let mut all = Survey::default();
    // In the order of bands, so that of several errors the same is told every time.
    for one in found {
        all.merge(one?);
    }
    let (registration, warnings) = register::measure(plan)?;
    all.coregistration = registration;
    Ok((all, warnings))
}

fn band(plan: &ScenePlan, role: Role) -> Result<Survey> {
    let mut survey = Survey::default();
    let Some((input, band)) = input_of(plan, role) else { return Ok(survey) };
    let part = &plan.scene.parts[input.part];
    let samples: Vec<Vec<f32>> = survey::windows(part.rows, part.cols)
        .into_iter()
        .map(|window| {
            let mut samples = vec![0.0; window.pixels()];
            band.raster.read(band.index, window, &mut samples)?;
            fieldglow_kernels::state::fill_to_nan(&mut samples, input.fill.unwrap_or(f32::NAN));
            Ok(samples)
        })
        .collect::<Result<_>>()?;
    survey.add(&plan.request, role, &samples)?;
    Ok(survey)
}

fn input_of(plan: &ScenePlan, role: Role) -> Option<(&Input, &InputBand)> {
    plan.layers.iter().find_map(|layer| {
        let plane = layer.roles.iter().position(|r| *r == role)?;
        layer.inputs.iter().find_map(|i| {
            let band = plane.checked_sub(i.first_plane).and_then(|k| i.bands.get(k))?;
            Some((i, band))
        })
    })
}

/// Adds to the survey of a settled plan how good its pansharpened products are.
fn judge(plan: &mut ScenePlan) -> Result<()> {
    let mut qualities = sharpen::qualities(plan)?;
    for (product, found) in plan.survey.iter_mut().flat_map(|d| &mut d.survey.sharpen) {
        found.quality = qualities.remove(product);
    }
    Ok(())
}

/// Puts the answers of a survey into the plan, and finds those that rest on others. Uses the current rayon pool.
///
/// # Errors
/// When a corrected sensor model has no ground any more; reading faults, and what the survey says of pansharpening.
pub fn settle(plan: &mut ScenePlan, mut survey: Survey) -> Result<()> {
    register::settle(plan, &survey)?;
    // PAN and the bands are compared where they were laid.
    survey.sharpen = sharpen::fit(plan)?;
    let pipeline = Arc::clone(&plan.pipeline);
    let night = &pipeline.night;
    for layer in &mut plan.layers {
        let (roles, linear) = (layer.roles.clone(), layer.linear());
        for product in &mut layer.products {
            match &mut product.program {
                Program::Night(bands) => {
                    for band in bands {
                        let measured = survey.dark.get(&band.role);
                        let given = night.dark_dn.get(&band.role).copied();
                        band.dark_dn = given.or(measured.map(|d| d.level)).unwrap_or(f64::NAN);
                        let plane = roles.iter().position(|r| *r == band.role);
                        let gain = plane.map_or(f64::NAN, |p| above(0.0, linear[p]).gain.abs());
                        let sigma = measured.map_or(f64::NAN, |d| d.sigma);
                        let threshold = night.lit_threshold.get(&band.role).copied();
                        band.lit = threshold.unwrap_or(night.lit_sigma * sigma * gain);
                    }
                }
                Program::Preview(bands) => {
                    for band in bands {
                        if let Some(range) = survey.stretch.get(&band.role) {
                            band.range_dn = (range.low, range.high);
                        }
                    }
                }
                Program::Pansharpen(sharpening) => {
                    if let Some(found) = survey.sharpen.get(&product.name) {
                        let given = pipeline.product.iter().find(|p| p.name == product.name);
                        sharpen::settle(sharpening, found, given.map(|p| &p.weights), &roles, &linear);
                    }
                }
                _ => {}
            }
        }
    }
    let document = || Document { schema: 1, key: plan.key.clone(), unit: "DN".into(), survey };
    plan.survey = (!plan.request.is_empty() || plan.register.is_some()).then(document);
    judge(plan)
}
