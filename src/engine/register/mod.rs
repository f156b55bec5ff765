//! Co-registration as the engine makes it: windows of two images on one lattice, through the same geometry and interpolation
//! as products, and what is found put into the placements of all parts.

mod carry;
mod pair;

use carry::carried;
use pair::{PIECE, Pair};

use super::plan::{Input, Placement, ScenePlan, Terrain};
use super::resolve::still_covers;
use crate::config::OnWeak;
use crate::error::{Error, Result, ResultExt};
use crate::geometry::sensor::Correction;
use crate::read::Reference;
use crate::scene::{Code, Role, Warning};
use crate::survey::coregister::{self, Failure, Found, LANES, Laid, Options, Registration, View as _};
use crate::survey::{Survey, SurveyError};

/// What a scene is to be laid upon.
pub struct Register {
    /// The reference and the band of the scene that is compared with it.
    pub to: Option<ToReference>,
    /// What is to be laid on what, within the scene.
    pub between: Option<Between>,
    /// How to compare.
    pub options: Options,
}

/// Parts, or bands, that are laid on one of them: the bands that are compared.
pub struct Between {
    /// What stays.
    pub fixed: RegisterInput,
    /// What is moved, each by itself.
    pub moved: Vec<RegisterInput>,
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

/// Pixels by which parts and bands may lie off each other, those of the coarser one.
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
    // Sums and counts of a window, and its image where its slopes are taken, a pixel wider on each side.
    let averages = (side + 2).pow(2) * (size_of::<f64>() + size_of::<u32>() + size_of::<f32>()) as u64;
    coregister::bytes(side as usize) + LANES as u64 * ((source + heights + raw) as u64 + averages)
}

impl RegisterInput {
    /// The same where a correction puts it.
    fn corrected(&self, correction: Correction) -> Self {
        let input = Input { placement: self.input.placement.corrected(correction), ..self.input.clone() };
        Self { input, role: self.role, outline: self.outline.clone() }
    }
}

impl Register {
    fn inputs(&self) -> impl Iterator<Item = &RegisterInput> {
        let between = self.between.iter().flat_map(|b| std::iter::once(&b.fixed).chain(&b.moved));
        self.to.iter().map(|t| &t.scene).chain(between)
    }
}

/// Finds the corrections of a scene's parts and bands, and says in warnings which of them stay where they are, if the
/// pipeline allows that. Uses the current rayon pool.
///
/// # Errors
/// Reading faults, and [`SurveyError`] when the evidence is weak and must not be.
pub fn measure(plan: &ScenePlan) -> Result<(Option<Registration>, Vec<Warning>)> {
    let Some(register) = &plan.register else { return Ok((None, Vec::new())) };
    let skip = plan.pipeline.coregistration.as_ref().is_some_and(|c| c.on_weak == OnWeak::Skip);
    let mut warnings = Vec::new();
    let mut allow = |e: Error, consequence: &str| -> Result<String> {
        if !skip || e.detail::<SurveyError>().is_none() {
            return Err(e);
        }
        let reason = crate::error::chain(&e);
        let message = format!("{reason}; {consequence}");
        warnings.push(Warning { code: Code::CoregistrationSkipped, message });
        Ok(reason)
    };
    let mut registration = Registration::default();
    if let Some(to) = &register.to {
        match run(&Pair::on_reference(plan, to)?, &register.options, to.scene.role, None) {
            Ok(found) => on_reference(plan, register, to, found, &mut registration)?,
            Err(e) => registration.skipped = Some(allow(e, "its products lie where its sensor model puts them")?),
        }
    }
    for (below, above) in register.between.iter().flat_map(|b| b.moved.iter().map(|m| (&b.fixed, m))) {
        let so_far = registration.correction(&above.input.name);
        let fixed = below.corrected(registration.correction(&below.input.name));
        let moved = above.corrected(so_far);
        let pair = Pair::on_part(plan, &fixed.input, &moved)?;
        let options = Options { max_shift_m: BETWEEN_PX * pair.pixel_m(), ..register.options };
        let mut laid =
            Laid { part: above.input.name.clone(), band: above.role, on: below.role, found: None, skipped: None };
        match run(&pair, &options, above.role, Some(below.role)) {
            Ok(found) => {
                registration.corrections.insert(laid.part.clone(), so_far.then(found.correction));
                laid.found = Some(found);
            }
            Err(e) => laid.skipped = Some(allow(e, "it is left where it lies")?),
        }
        registration.between_parts.push(laid);
    }
    Ok((Some(registration), warnings))
}

/// Notes what was found of a scene on its reference, with the corrections of all that follows.
fn on_reference(
    plan: &ScenePlan,
    register: &Register,
    to: &ToReference,
    found: Found,
    registration: &mut Registration,
) -> Result<()> {
    for input in plan.layers.iter().flat_map(|l| &l.inputs).chain(register.inputs().map(|i| &i.input)) {
        if !registration.corrections.contains_key(&input.name)
            && let Some(correction) = carried(plan, &to.scene.input, found.correction, input)?
        {
            registration.corrections.insert(input.name.clone(), correction);
        }
    }
    registration.reference_sha256 = Some(to.digest.clone());
    registration.reference_band = Some(to.band.clone());
    registration.band = Some(to.scene.role);
    registration.part = Some(to.scene.input.name.clone());
    registration.to_reference = Some(found);
    Ok(())
}

/// Compares a band with the reference, or with another band, `on`.
fn run(pair: &Pair<'_>, options: &Options, band: Role, on: Option<Role>) -> Result<Found> {
    let found = coregister::measure(pair, options).map_err(|failure| match failure {
        Failure::View(e) => e,
        Failure::Weak(e) => match on {
            Some(on) => e.between(band, on).into(),
            None => e.into(),
        },
    });
    found.within(|c| (c.stage, c.band) = (Some("survey"), Some(band.to_string())))
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
    for input in plan.layers.iter_mut().flat_map(|l| &mut l.inputs) {
        if let Some(correction) = registration.corrections.get(&input.name) {
            input.placement = input.placement.corrected(*correction);
            if let Placement::Sensor(sensor) = &input.placement {
                let part = &plan.scene.parts[input.part];
                sensors.push(((**sensor).clone(), (part.rows, part.cols)));
            }
        }
    }
    still_covers(&plan.terrain, &sensors).within(|c| c.stage = Some("geometry"))
}

/// The outline of the scene, moved by what the middle of the first that is corrected is moved by.
fn moved_outline(plan: &ScenePlan, registration: &Registration) -> Result<Option<Vec<(f64, f64)>>> {
    let height = plan.middle_height_m();
    for input in plan.layers.iter().flat_map(|l| &l.inputs) {
        let part = &plan.scene.parts[input.part];
        let Some(correction) = registration.corrections.get(&input.name) else { continue };
        let middle = (part.cols as f64 / 2.0, part.rows as f64 / 2.0);
        let before = input.placement.ground(middle, height)?;
        let after = input.placement.corrected(*correction).ground(middle, height)?;
        let (dx, dy) = (after.0 - before.0, after.1 - before.1);
        return Ok(Some(plan.outline.iter().map(|(x, y)| (x + dx, y + dy)).collect()));
    }
    Ok(None)
}
