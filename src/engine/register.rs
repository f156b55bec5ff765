//! Co-registration as the engine makes it: windows of two images on one lattice, through the same geometry and interpolation
//! as products, and what is found put into the placements of all parts.

use fieldglow_kernels::resample::{self, Source, Taps};
use fieldglow_kernels::state;

use super::locate::Located;
use super::plan::{Input, Placement, ScenePlan, Terrain};
use super::resolve::still_covers;
use crate::error::{Error, Result, ResultExt};
use crate::geometry::ortho::RowScratch;
use crate::geometry::sensor::Correction;
use crate::grid::cell::Lattice;
use crate::grid::{Crs, GeoTransform, METERS_PER_DEGREE, Window};
use crate::read::Reference;
use crate::scene::{Code, Role, Warning};
use crate::survey::coregister::{self, Failure, Found, LANES, Options, Registration, View};
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

/// Edge of what is located at once, pixels; a multiple of the nodes' largest step.
const PIECE: usize = 512;

/// A lattice a little coarser than the pixels of its image needs this much more of them.
const COARSER: f64 = 1.5;

/// Pixels of the multispectral part by which it may lie off the panchromatic one.
const BETWEEN_PX: f64 = 16.0;

/// The image a scene is laid upon.
enum Below<'a> {
    Raster(&'a Reference),
    Part(&'a Input),
}

/// Two images on one lattice.
struct Pair<'a> {
    plan: &'a ScenePlan,
    below: Below<'a>,
    above: &'a RegisterInput,
    crs: &'a Crs,
    /// Pixels of the lattice.
    transform: GeoTransform,
    /// Their edges on the ground, along columns and rows, metres.
    size_m: [f64; 2],
    /// Pixels of the reference along a pixel of the lattice.
    base: usize,
    ground: Window,
    /// Outline of the common ground, pixels of the lattice, convex, counter-clockwise on a map.
    outline: Vec<(f64, f64)>,
}

/// Edges of a pixel on the ground, along columns and rows, in the middle of an outline, metres: maps stretch.
fn size_m(crs: &Crs, transform: GeoTransform, outline: &[(f64, f64)]) -> Result<[f64; 2]> {
    let n = outline.len().max(1) as f64;
    let middle = outline.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
    let at = crate::geometry::ortho::to_crs(&[middle], crs)?;
    let (x, y) = at.first().copied().unwrap_or((f64::NAN, f64::NAN));
    let (col, row) = transform.pixel_from_world(x, y);
    let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)].map(|(c, r)| transform.world_from_pixel(col + c, row + r));
    let ground = super::publish::geographic(crs, &corners)?;
    let metres = |k: usize| {
        let ((a, b), (c, d)) = (ground[0], ground[k]);
        ((c - a) * b.to_radians().cos()).hypot(d - b) * METERS_PER_DEGREE
    };
    Ok([metres(1), metres(2)])
}

/// A lattice whose pixels are `factor` times as large, from the same corner.
fn scaled(t: GeoTransform, factor: f64) -> GeoTransform {
    GeoTransform {
        dx_col: t.dx_col * factor,
        dx_row: t.dx_row * factor,
        dy_col: t.dy_col * factor,
        dy_row: t.dy_row * factor,
        ..t
    }
}

impl<'a> Pair<'a> {
    fn new(
        plan: &'a ScenePlan,
        below: Below<'a>,
        above: &'a RegisterInput,
        crs: &'a Crs,
        fine: GeoTransform,
        base: usize,
        within: Option<Window>,
    ) -> Result<Self> {
        let transform = scaled(fine, base as f64);
        let size_m = size_m(crs, transform, &above.outline)?;
        let ring = crate::geometry::ortho::to_crs(&above.outline, crs)?;
        let outline: Vec<(f64, f64)> = ring.iter().map(|(x, y)| transform.pixel_from_world(*x, *y)).collect();
        let range = |f: fn(&(f64, f64)) -> f64| {
            outline.iter().map(f).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
        };
        let ((c0, c1), (r0, r1)) = (range(|p| p.0), range(|p| p.1));
        // Far outside a reference there is nothing to compare, and numbers stay small.
        let far = 1e7;
        let (c0, r0) = (c0.clamp(-far, far).floor() as i64, r0.clamp(-far, far).floor() as i64);
        let (c1, r1) = (c1.clamp(-far, far).ceil() as i64, r1.clamp(-far, far).ceil() as i64);
        let mut ground = Window::new(r0, c0, (r1 - r0).max(0) as usize, (c1 - c0).max(0) as usize);
        if let Some(w) = within {
            let cut = |v: i64| v.div_euclid(base as i64);
            let (row, col) = (cut(w.row), cut(w.col));
            let (bottom, right) = (cut(w.row + w.rows as i64), cut(w.col + w.cols as i64));
            ground = ground.intersect(Window::new(row, col, (bottom - row) as usize, (right - col) as usize));
        }
        Ok(Self { plan, below, above, crs, transform, size_m, base, ground, outline })
    }

    /// A scene on its reference: pixels of the reference, taken together until they are no finer than the scene's.
    fn on_reference(plan: &'a ScenePlan, to: &'a ToReference) -> Result<Self> {
        let reference = &to.reference;
        let [x, y] = size_m(reference.crs(), reference.transform(), &to.scene.outline)?;
        let base = (to.scene.input.pixel_area_m2.sqrt() / (x * y).sqrt()).round().max(1.0) as usize;
        let below = Below::Raster(reference);
        Self::new(plan, below, &to.scene, reference.crs(), reference.transform(), base, Some(reference.window()))
    }

    /// A part on another one, on a lattice of the products' system with pixels like the coarser of them.
    fn on_part(plan: &'a ScenePlan, below: &'a Input, above: &'a RegisterInput) -> Result<Self> {
        let pixel = above.input.pixel_area_m2.max(below.pixel_area_m2).sqrt();
        let ring = crate::geometry::ortho::to_crs(&above.outline, &plan.crs)?;
        let corner = |f: fn(&(f64, f64)) -> f64| ring.iter().map(f).fold(f64::INFINITY, f64::min).floor();
        let fine = GeoTransform::north_up(corner(|p| p.0), corner(|p| p.1), pixel);
        Self::new(plan, Below::Part(below), above, &plan.crs, fine, 1, None)
    }

    /// A window of an image on the lattice, its pixels `step` × `step` taken together: interpolated as finely as the image is,
    /// and averaged.
    fn render(&self, input: &Input, window: Window, step: usize) -> Result<Vec<f32>> {
        let pixel_m = self.pixel_m() * step as f64;
        let finer = (pixel_m / input.pixel_area_m2.sqrt()).round().max(1.0) as usize;
        let coarse = scaled(self.transform, step as f64).shifted(window.col as f64, window.row as f64);
        let lattice = Lattice {
            transform: scaled(coarse, 1.0 / finer as f64),
            rows: window.rows * finer,
            cols: window.cols * finer,
        };
        let pixel_m = pixel_m / finer as f64;
        let located = Located::new(self.plan, self.crs, input, pixel_m, &lattice, None)?;
        let (mut sums, mut counts) = (vec![0.0f64; window.pixels()], vec![0u32; window.pixels()]);
        let (mut col, mut row, mut plane, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut taps, mut scratch) = (Taps::with_capacity(PIECE), RowScratch::default());
        let starts = |n: usize| (0..n).step_by(PIECE);
        for (top, left) in starts(lattice.rows).flat_map(|r| starts(lattice.cols).map(move |c| (r, c))) {
            let (rows, cols) = (PIECE.min(lattice.rows - top), PIECE.min(lattice.cols - left));
            let piece = Window::new(top as i64, left as i64, rows, cols);
            let (unit, source) = located.unit(self.plan, self.crs, input, pixel_m, piece)?;
            let (Some(source), Some(band)) = (source, input.bands.first()) else { continue };
            let mut samples = vec![0.0; source.pixels()];
            band.raster.read(band.index, source, &mut samples)?;
            let mut state = vec![0; source.pixels()];
            state::mark_pixels(&mut samples, 1, input.fill.unwrap_or(f32::NAN), f32::NAN, &mut state);
            let clean = state.iter().all(|s| *s == 0);
            let from =
                Source { samples: &samples, bands: 1, state: &state, clean, rows: source.rows, cols: source.cols };
            col.resize(cols, 0.0);
            row.resize(cols, 0.0);
            plane.resize(cols, f32::NAN);
            states.resize(cols, 0);
            for r in 0..rows {
                unit.locate(r, source, &mut scratch, &mut col, &mut row)?;
                let mut out = resample::Row { planes: &mut plane, plane_len: cols, offset: 0, state: &mut states };
                resample::bilinear(from, &col, &row, &mut taps, &mut out);
                let line = (top + r) / finer * window.cols;
                for (c, v) in plane.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    let at = line + (left + c) / finer;
                    sums[at] += f64::from(*v);
                    counts[at] += 1;
                }
            }
        }
        let enough = (finer * finer).div_ceil(2) as u32;
        let mean = |(s, n): (&f64, &u32)| if *n >= enough { (s / f64::from(*n)) as f32 } else { f32::NAN };
        Ok(sums.iter().zip(&counts).map(mean).collect())
    }
}

impl View for Pair<'_> {
    type Error = Error;

    fn ground(&self) -> Window {
        self.ground
    }

    fn covers(&self, col: f64, row: f64) -> bool {
        let n = self.outline.len();
        let side = |k: usize| {
            let ((ax, ay), (bx, by)) = (self.outline[k], self.outline[(k + 1) % n]);
            (bx - ax) * (row - ay) - (by - ay) * (col - ax)
        };
        // Rows run down: counter-clockwise on the map is clockwise here.
        n >= 3 && (0..n).all(|k| side(k) <= 0.0)
    }

    fn size_m(&self) -> [f64; 2] {
        self.size_m
    }

    fn image_pixel_m(&self) -> f64 {
        self.above.input.pixel_area_m2.sqrt()
    }

    fn cut(&self, window: Window, step: usize, correction: Correction) -> Result<(Vec<f32>, Vec<f32>)> {
        let below = match self.below {
            Below::Raster(reference) => reference.mean(window, step * self.base)?,
            Below::Part(input) => self.render(input, window, step)?,
        };
        let input = &self.above.input;
        let input = Input { placement: input.placement.corrected(correction), ..input.clone() };
        Ok((below, self.render(&input, window, step)?))
    }

    fn image(&self, col: f64, row: f64) -> Result<Option<(f64, f64)>> {
        let input = &self.above.input;
        let lattice = Lattice { transform: self.transform.shifted(col - 0.5, row - 0.5), rows: 1, cols: 1 };
        let located = Located::new(self.plan, self.crs, input, self.pixel_m(), &lattice, None)?;
        let point = Window::new(0, 0, 1, 1);
        let (unit, source) = located.unit(self.plan, self.crs, input, self.pixel_m(), point)?;
        if source.is_none() {
            return Ok(None);
        }
        let part = &self.plan.scene.parts[input.part];
        let whole = Window::new(0, 0, part.rows, part.cols);
        let (mut c, mut r) = ([f64::NAN], [f64::NAN]);
        unit.locate(0, whole, &mut RowScratch::default(), &mut c, &mut r)?;
        Ok((c[0].is_finite() && r[0].is_finite()).then_some((c[0], r[0])))
    }
}

impl Placement {
    /// The placement with image positions changed by a correction.
    pub fn corrected(&self, correction: Correction) -> Self {
        match self {
            Self::Sensor(sensor) => Self::Sensor(Box::new((**sensor).clone().with_correction(correction))),
            Self::Map { crs, transform } => {
                // What the correction moves a position to is where the map must have had it.
                let before = |col: f64, row: f64| {
                    let (c, r) = correction.undo(col - 0.5, row - 0.5);
                    transform.world_from_pixel(c + 0.5, r + 0.5)
                };
                let ((x0, y0), (xc, yc), (xr, yr)) = (before(0.0, 0.0), before(1.0, 0.0), before(0.0, 1.0));
                let (dx_col, dy_col, dx_row, dy_row) = (xc - x0, yc - y0, xr - x0, yr - y0);
                let transform = GeoTransform { x0, dx_col, dx_row, y0, dy_col, dy_row };
                Self::Map { crs: crs.clone(), transform }
            }
            // Refused with the configuration.
            Self::Same => Self::Same,
        }
    }
}

/// Bytes of a co-registration.
pub fn bytes(plan: &ScenePlan) -> u64 {
    let Some(register) = &plan.register else { return 0 };
    let side = register.options.side as u64;
    let source = (PIECE * PIECE) as f64 * 2.0 * COARSER * COARSER * (size_of::<f32>() + size_of::<u16>()) as f64;
    let heights = match &plan.terrain {
        Terrain::Dem { heights, .. } => {
            let pixel_m = register.inputs().map(|i| i.input.pixel_area_m2.sqrt()).fold(0.0, f64::max);
            let side = PIECE as f64 * pixel_m * COARSER * std::f64::consts::SQRT_2 / heights.pixel_m() + 8.0;
            let last = heights.last();
            side.min(last.0 + 1.0) * side.min(last.1 + 1.0) * size_of::<f32>() as f64
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

/// Positions along each axis of an image between which a correction is carried from one part to another.
const CARRIED: usize = 5;

/// The correction of part `k` that does to the ground what `correction` of the part of `from` does: both look from one
/// satellite, whose position and attitude were wrong. `None` for parts without a place.
fn carried(
    plan: &ScenePlan,
    register: &Register,
    from: &Input,
    correction: Correction,
    k: usize,
) -> Result<Option<Correction>> {
    if k == from.part {
        return Ok(Some(correction));
    }
    let input = plan.layers.iter().flat_map(|l| &l.inputs).chain(register.inputs().map(|i| &i.input));
    let Some(to) = input.into_iter().find(|i: &&Input| i.part == k) else { return Ok(None) };
    let (part, height) = (&plan.scene.parts[k], plan.middle_height_m());
    let mut ties = Vec::new();
    for step in 0..CARRIED * CARRIED {
        let share = |n: usize, k: usize| (n as f64 - 1.0) * k as f64 / (CARRIED - 1) as f64;
        let own = (share(part.cols, step % CARRIED), share(part.rows, step / CARRIED));
        // The ground under it; where the other part's model has that, and where it really is there; the ground that the model
        // has under that; and where this part's model has that ground: there it really is.
        let ground = to.placement.ground(own, height)?;
        let (c, r) = from.placement.image(ground, height)?;
        let meant = from.placement.ground(correction.apply(c, r), height)?;
        ties.push((own, to.placement.image(meant, height)?));
    }
    let whole_shift = correction.col[1..] == [1.0, 0.0] && correction.row[1..] == [0.0, 1.0];
    Ok(coregister::between(&ties, if whole_shift { coregister::Model::Shift } else { coregister::Model::Affine }))
}

impl Placement {
    /// Longitude and latitude of an image position at a height.
    fn ground(&self, (col, row): (f64, f64), height: f64) -> Result<(f64, f64)> {
        match self {
            Self::Sensor(sensor) => Ok(sensor.ground_from_image(col, row, height)?),
            Self::Map { crs, transform } => {
                let at = transform.world_from_pixel(col + 0.5, row + 0.5);
                Ok(super::publish::geographic(crs, &[at])?.first().copied().unwrap_or((f64::NAN, f64::NAN)))
            }
            Self::Same => Err(Error::bug("co-registration of pixels that stay where they are")),
        }
    }

    /// Image position of a ground point.
    fn image(&self, (lon, lat): (f64, f64), height: f64) -> Result<(f64, f64)> {
        match self {
            Self::Sensor(sensor) => {
                let (mut c, mut r) = ([f64::NAN], [f64::NAN]);
                sensor.image_from_ground(&[lon], &[lat], &[height], &mut c, &mut r);
                Ok((c[0], r[0]))
            }
            Self::Map { crs, transform } => {
                let (x, y) = crate::geometry::ortho::to_crs(&[(lon, lat)], crs)?[0];
                let (c, r) = transform.pixel_from_world(x, y);
                Ok((c - 0.5, r - 0.5))
            }
            Self::Same => Err(Error::bug("co-registration of pixels that stay where they are")),
        }
    }
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
