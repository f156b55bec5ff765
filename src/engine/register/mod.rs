//! Co-registration as the engine makes it: windows of two images on one lattice, through the same geometry and interpolation
//! as products, and what is found put into the placements of all parts.

mod carry;
mod pair;

use carry::carried;
use pair::{PIECE, Pair};

use super::plan::{Input, Placement, ScenePlan, Terrain};
use super::resolve::still_covers;
use crate::error::{Error, Result, ResultExt};
use crate::read::Reference;
use crate::scene::{Code, Role, Warning};
use crate::survey::coregister::{self, Failure, Found, LANES, Options, Registration, View as _};
use crate::survey::{Survey, SurveyError};

/// What a scene is to be laid upon.
pub struct Register {
    /// The reference and the band of the scene that is compared with it.
    pub to: Option<ToReference>,
    /// The part that is to be laid on the other one: the bands that are compared.
    pub between: Option<(RegisterInput, RegisterInput)>,
    /// How to compare.
    pub options: Options,
}

/// A reference, and what is compared with it.
pub struct ToReference {
    /// The raster.
    pub reference: Reference,
    /// Digest of its files and of the band.
    pub digest: String,
    /// Name or number of the band.
    pub band: String,
    /// The scene's side.
    pub scene: RegisterInput,
}

/// One band of one part.
pub struct RegisterInput {
    /// The band, as an input of its own.
    pub input: Input,
    /// What it is.
    pub role: Role,
    /// Outline of the part, longitude and latitude, convex.
    pub outline: Vec<(f64, f64)>,
}

/// A lattice a little coarser than the pixels of its image needs this much more of them.
const COARSER: f64 = 1.5;

/// Pixels of the multispectral part by which it may lie off the panchromatic one.
const BETWEEN_PX: f64 = 16.0;

/// Bytes of a co-registration.
pub fn bytes(plan: &ScenePlan) -> u64 {
    let Some(register) = &plan.register else { return 0 };
    let side = register.options.side as u64;
    let source = (PIECE * PIECE) as f64 * 2.0 * COARSER * COARSER * (size_of::<f32>() + size_of::<u16>()) as f64;
    let heights = match &plan.terrain {
        Terrain::Dem { heights, .. } => {
            let pixel_m = register.inputs().map(|i| i.input.pixel_area_m2.sqrt()).fold(0.0, f64::max);
            let side = PIECE as f64 * pixel_m * COARSER * std::f64::consts::SQRT_2 / heights.pixel_m() + 8.0;
            let all = heights.window();
            side.min(all.cols as f64) * side.min(all.rows as f64) * size_of::<f32>() as f64
        }
        _ => 0.0,
    };
    // Rows of a reference before they are averaged: no more than the largest shift is coarser.
    let raw = match &register.to {
        Some(to) => {
            let step = register.options.max_shift_m / to.reference.pixel_m() / (side as f64 / 4.0 - 1.0);
            let base = to.scene.input.pixel_area_m2.sqrt() / to.reference.pixel_m();
            let step = step.ceil().max(1.0) + base.ceil();
            2.0 * side as f64 * step * step.max(64.0) * size_of::<f32>() as f64
        }
        None => 0.0,
    };
    let averages = side * side * (size_of::<f64>() + size_of::<u32>()) as u64;
    coregister::bytes(side as usize) + LANES as u64 * ((source + heights + raw) as u64 + averages)
}

impl Register {
    fn inputs(&self) -> impl Iterator<Item = &RegisterInput> {
        let between = self.between.iter().flat_map(|(a, b)| [a, b]);
        self.to.iter().map(|t| &t.scene).chain(between)
    }
}

/// Finds the corrections of a scene's parts. Uses the current rayon pool.
///
/// # Errors
/// Reading faults, and [`SurveyError`] when the evidence is weak.
pub fn measure(plan: &ScenePlan) -> Result<Option<Registration>> {
    let Some(register) = &plan.register else { return Ok(None) };
    let mut registration = Registration::default();
    let name = |input: &Input| plan.scene.parts[input.part].name.clone();
    if let Some(to) = &register.to {
        let pair = Pair::on_reference(plan, to)?;
        let found = run(&pair, &register.options, to.scene.role)?;
        for (k, part) in plan.scene.parts.iter().enumerate() {
            if let Some(correction) = carried(plan, register, &to.scene.input, found.correction, k)? {
                registration.corrections.insert(part.name.clone(), correction);
            }
        }
        registration.reference_sha256 = Some(to.digest.clone());
        registration.reference_band = Some(to.band.clone());
        registration.band = Some(to.scene.role);
        registration.part = Some(name(&to.scene.input));
        registration.to_reference = Some(found);
    }
    if let Some((below, above)) = &register.between {
        let so_far = |input: &Input| registration.correction(&name(input));
        let fixed = Input { placement: below.input.placement.corrected(so_far(&below.input)), ..below.input.clone() };
        let moved = RegisterInput {
            input: Input { placement: above.input.placement.corrected(so_far(&above.input)), ..above.input.clone() },
            role: above.role,
            outline: above.outline.clone(),
        };
        let pair = Pair::on_part(plan, &fixed, &moved)?;
        let pixel = pair.pixel_m();
        let options = Options { max_shift_m: BETWEEN_PX * pixel, ..register.options };
        let found = run(&pair, &options, above.role)?;
        let all = so_far(&above.input).then(found.correction);
        registration.corrections.insert(name(&above.input), all);
        registration.between_bands = Some([below.role, above.role]);
        registration.between_parts = Some(found);
    }
    Ok(Some(registration))
}

fn run(pair: &Pair<'_>, options: &Options, role: Role) -> Result<Found> {
    let within = |e: Error| e.within(|c| (c.stage, c.band) = (Some("survey"), Some(role.to_string())));
    coregister::measure(pair, options).map_err(|failure| match failure {
        Failure::View(e) => within(e),
        Failure::Weak(e) => within(e.into()),
    })
}

impl ScenePlan {
    /// Height in the middle of the terrain under the scene, metres above the ellipsoid; 0 where none is needed.
    fn middle_height_m(&self) -> f64 {
        match &self.terrain {
            Terrain::None => 0.0,
            Terrain::Constant(h) => *h,
            Terrain::Dem { range, geoid, .. } => {
                let around = geoid.as_ref().and_then(|g| g.window.range()).unwrap_or((0.0, 0.0));
                0.5 * (range.0 + range.1) + 0.5 * (around.0 + around.1)
            }
        }
    }
}

/// Measures, or says in a warning why the scene stays where it is, if the pipeline allows that.
///
/// # Errors
/// Those of [`measure`].
pub fn measure_or_skip(plan: &ScenePlan) -> Result<(Option<Registration>, Option<Warning>)> {
    let skip = plan.pipeline.coregistration.as_ref().is_some_and(|c| c.on_weak == crate::config::OnWeak::Skip);
    match measure(plan) {
        Err(e) if skip && e.detail::<SurveyError>().is_some() => {
            let reason = crate::error::chain(&e);
            let message = format!("{reason}; its products lie where its sensor model puts them");
            let left = Registration { skipped: Some(reason), ..Registration::default() };
            Ok((Some(left), Some(Warning { code: Code::CoregistrationSkipped, message })))
        }
        other => other.map(|found| (found, None)),
    }
}

/// Puts corrections into the placements of a plan, and moves its outline.
///
/// # Errors
/// When the terrain does not cover the scene where it was found to lie.
pub fn settle(plan: &mut ScenePlan, survey: &Survey) -> Result<()> {
    let Some(registration) = &survey.coregistration else { return Ok(()) };
    let moved = moved_outline(plan, registration)?;
    if let Some(outline) = moved {
        plan.outline = outline;
    }
    let mut sensors = Vec::new();
    let names: Vec<String> = plan.scene.parts.iter().map(|p| p.name.clone()).collect();
    for input in plan.layers.iter_mut().flat_map(|l| &mut l.inputs) {
        if let Some(correction) = names.get(input.part).and_then(|n| registration.corrections.get(n)) {
            input.placement = input.placement.corrected(*correction);
            if let Placement::Sensor(sensor) = &input.placement {
                let part = &plan.scene.parts[input.part];
                sensors.push(((**sensor).clone(), (part.rows, part.cols)));
            }
        }
    }
    still_covers(&plan.terrain, &sensors).within(|c| c.stage = Some("geometry"))
}

/// The outline of the scene, moved by what the middle of its first corrected part is moved by.
fn moved_outline(plan: &ScenePlan, registration: &Registration) -> Result<Option<Vec<(f64, f64)>>> {
    let height = plan.middle_height_m();
    for input in plan.layers.iter().flat_map(|l| &l.inputs) {
        let part = &plan.scene.parts[input.part];
        let Some(correction) = registration.corrections.get(&part.name) else { continue };
        let middle = (part.cols as f64 / 2.0, part.rows as f64 / 2.0);
        let before = input.placement.ground(middle, height)?;
        let after = input.placement.corrected(*correction).ground(middle, height)?;
        let (dx, dy) = (after.0 - before.0, after.1 - before.1);
        return Ok(Some(plan.outline.iter().map(|(x, y)| (x + dx, y + dy)).collect()));
    }
    Ok(None)
}
