//! How far a scene lies from a reference, and the correction of its sensor model that takes this away.
//!
//! From coarse to fine: windows, evenly spread over the ground common to both, are compared by phase correlation on pixels so
//! coarse that the largest shift stays within them, then on finer ones, where the scene is cut anew through the sensor model as
//! corrected so far. So the last comparison finds next to nothing, and what it finds is free of the pull towards zero that a
//! taper has.
//!
//! Nothing here knows what a sensor is: a [`View`] cuts windows and projects points.
//!
//! # Reference
//! Scheffler et al. 2017, AROSICS, 10.3390/rs9070676, for the course of the work: windows, phase correlation, reliability,
//! RANSAC.

mod fit;
mod found;
mod phase;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::fit::Tie;
pub use self::found::{Compared, Found, Laid, Registration, Verdict};
pub use self::phase::Correlator;
use super::{SurveyError, Windows};
use crate::grid::Window;
use crate::scene::rpc::Correction;

/// Height of a peak over the next one below which a window tells nothing. Of windows of noise one in ten is above, each
/// with another shift.
pub(super) const MIN_RATIO: f64 = 1.3;

/// Windows that are compared at once, at the most: what memory is charged for.
pub const LANES: usize = 4;

/// Share of a window's pixels that must be valid in both images: where the shift is still unknown, and where it is not.
const VALID: (f64, f64) = (0.5, 0.9);

/// Pixels within which windows agree: while searching, and at last.
const TOLERANCE: (f64, f64) = (2.0, 1.0);

/// Fewest windows that must agree while searching.
const SEARCH: usize = 2;

/// Share of the windows with a clear peak that must agree at last. Those over ground that changed have peaks of their own,
/// each another one.
const SHARE: f64 = 1.0 / 3.0;

/// How much finer each round is than the one before, at the most: less than a quarter of the smallest window.
const ZOOM: usize = 8;

/// What kind of correction is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// The same number of columns and rows everywhere.
    #[default]
    Shift,
    /// A shift that changes evenly over the image.
    Affine,
}

impl Model {
    /// Windows that determine it.
    pub fn least(self) -> usize {
        match self {
            Self::Shift => 1,
            Self::Affine => 3,
        }
    }
}

/// What is asked of a co-registration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Kind of correction.
    pub model: Model,
    /// Largest shift, metres on the ground.
    pub max_shift_m: f64,
    /// Windows to compare, at the most.
    pub windows: usize,
    /// Edge of a window, pixels.
    pub side: usize,
    /// Fewest windows that must agree.
    pub min_windows: usize,
}

/// Two images of the same ground, as windows on a common lattice: that of the reference, its pixels taken together until
/// they are no finer than those of the scene.
pub trait View: Sync {
    /// Cutting or projecting failed.
    type Error: Send;

    /// Pixels of the lattice that both images may have something on.
    fn ground(&self) -> Window;

    /// True where both may have something; a position in pixels of the lattice, from the outer corner of its first pixel.
    fn covers(&self, col: f64, row: f64) -> bool;

    /// Edges of a pixel of the lattice, along columns and rows, metres on the ground.
    fn size_m(&self) -> [f64; 2];

    /// Edge of a square of the same area.
    fn pixel_m(&self) -> f64 {
        let [x, y] = self.size_m();
        (x * y).sqrt()
    }

    /// Edge of a pixel of the image, metres on the ground.
    fn image_pixel_m(&self) -> f64;

    /// Reference and scene in a window of the lattice whose pixels are `step` × `step` taken together, the scene through its
    /// sensor model with `correction` after it. NaN where there is none.
    ///
    /// # Errors
    /// Reading faults.
    fn cut(&self, window: Window, step: usize, correction: Correction) -> Result<(Vec<f32>, Vec<f32>), Self::Error>;

    /// Where the uncorrected sensor model has a position of the lattice in the image, (col, row); `None` where it cannot tell.
    ///
    /// # Errors
    /// Reading faults.
    fn image(&self, col: f64, row: f64) -> Result<Option<(f64, f64)>, Self::Error>;
}

/// An image position, (col, row), and where it is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Where the sensor model has it.
    pub from: (f64, f64),
    /// Where it is.
    pub to: (f64, f64),
}

/// The correction that moves image positions to others, by least squares; `None` where they do not determine it.
pub fn between(moves: &[Move], model: Model) -> Option<Correction> {
    let ties: Vec<Tie> = moves.iter().map(|m| Tie { model: m.from, image: m.to }).collect();
    fit::least_squares(&ties, model)
}

/// A co-registration failed.
#[derive(Debug)]
pub enum Failure<E> {
    /// The view did.
    View(E),
    /// The evidence is too weak.
    Weak(SurveyError),
}

impl<E> From<SurveyError> for Failure<E> {
    fn from(e: SurveyError) -> Self {
        Self::Weak(e)
    }
}

/// A window with what it tells.
struct Evidence {
    compared: Compared,
    tie: Option<Tie>,
    /// Pixels of the lattice per pixel of the image, as a matrix by rows: how what is left becomes ground.
    ground: [[f64; 2]; 2],
}

/// Bytes that comparing takes in all lanes, without what the view does.
pub fn bytes(side: usize) -> u64 {
    LANES as u64 * (Correlator::bytes(side) + (2 * side * side * size_of::<f32>()) as u64)
}

/// Finds the correction that lays a scene on its reference. Uses the current rayon pool.
///
/// # Errors
/// What the view says, and [`SurveyError::Unregistered`] when the evidence is weak.
pub fn measure<V: View>(view: &V, options: &Options) -> Result<Found, Failure<V::Error>> {
    let correlator = Correlator::new(options.side);
    let mut correction = Correction::IDENTITY;
    let steps = steps(view, options);
    let image_px = view.pixel_m() / view.image_pixel_m();
    for step in &steps {
        let all = look(view, options, &correlator, *step, VALID.0, correction)?;
        let ties: Vec<Tie> = all.iter().filter_map(|e| e.tie).collect();
        let model = if *step > 1 { Model::Shift } else { options.model };
        let found = fit::consensus(&ties, model, TOLERANCE.0 * *step as f64 * image_px);
        let agree = |inliers: &[bool]| inliers.iter().filter(|i| **i).count();
        match found {
            Some((fit, inliers)) if agree(&inliers) >= SEARCH.max(model.least() + 1) => correction = fit,
            other => {
                let used = other.map_or(0, |(_, inliers)| agree(&inliers));
                return Err(weak(&all, used, options, *step as f64 * view.pixel_m()).into());
            }
        }
    }
    let mut all = look(view, options, &correlator, 1, VALID.1, correction)?;
    let ties: Vec<Tie> = all.iter().filter_map(|e| e.tie).collect();
    let found = fit::consensus(&ties, options.model, TOLERANCE.1 * image_px);
    let Some((fit, inliers)) = found else { return Err(weak(&all, 0, options, view.pixel_m()).into()) };
    let used = inliers.iter().filter(|i| **i).count();
    let agreed: Vec<Tie> = fit::chosen(&ties, &inliers).copied().collect();
    let fit = fit::least_absolute(&agreed, options.model, fit);
    if used < options.min_windows.max(options.model.least() + 1) || (used as f64) < SHARE * ties.len() as f64 {
        return Err(weak(&all, used, options, view.pixel_m()).into());
    }
    let mut inliers = inliers.iter();
    for e in all.iter_mut() {
        if let Some(tie) = e.tie {
            let (c, r) = tie.residual(&fit);
            e.compared.residual_px = Some([c, r]);
            if inliers.next() != Some(&true) {
                e.compared.verdict = Verdict::Inconsistent;
            }
        }
    }
    let found = summary(view, options, &all, fit);
    let far = found.shift_m[0].hypot(found.shift_m[1]);
    if far > options.max_shift_m {
        return Err(SurveyError::ShiftTooLarge { found_m: far, limit_m: options.max_shift_m }.into());
    }
    Ok(found)
}

/// Pixels taken together in each round of the search: first so many that the largest shift is a quarter of a window.
fn steps<V: View>(view: &V, options: &Options) -> Vec<usize> {
    let reach = (options.side / 4 - 1) as f64;
    let mut step = (options.max_shift_m / view.pixel_m() / reach).ceil().max(1.0) as usize;
    let mut steps = vec![step];
    while step > 1 {
        step = step.div_ceil(ZOOM);
        steps.push(step);
    }
    steps
}

/// Compares all windows of one round.
fn look<V: View>(
    view: &V,
    options: &Options,
    correlator: &Correlator,
    step: usize,
    valid: f64,
    correction: Correction,
) -> Result<Vec<Evidence>, Failure<V::Error>> {
    let places = places(view, options, step);
    let one = |place: &Window| compare(view, correlator, *place, step, options.side, valid, correction);
    let lane = places.len().div_ceil(LANES).max(1);
    let found: Vec<Vec<Result<Evidence, V::Error>>> =
        places.par_chunks(lane).map(|some| some.iter().map(one).collect()).collect();
    // In the order of places, so that of several errors the same is told every time.
    found.into_iter().flatten().collect::<Result<_, _>>().map_err(Failure::View)
}

/// Windows evenly spread over the common ground and inside it, if it is large enough for that, row by row; half a window apart
/// or more, while searching a quarter.
fn places<V: View>(view: &V, options: &Options, step: usize) -> Vec<Window> {
    let ground = view.ground();
    let side = options.side;
    let most = (options.windows as f64).sqrt().round().max(1.0) as usize;
    let apart = if step > 1 { side / 4 } else { side / 2 };
    let along = |first: i64, length: usize| {
        let length = length as f64 / step as f64;
        // From the middle of the first window to that of the last.
        let inner = if length > 1.5 * side as f64 { length - side as f64 } else { length / 2.0 };
        let count = ((inner / apart as f64) as usize + 1).clamp(2, most.max(2));
        let start = first as f64 / step as f64 + (length - inner) / 2.0;
        (0..count).map(move |k| start + inner * k as f64 / (count - 1) as f64)
    };
    let centres = along(ground.row, ground.rows).flat_map(|r| along(ground.col, ground.cols).map(move |c| (c, r)));
    let corner = |middle: f64| (middle - side as f64 / 2.0).round() as i64;
    centres
        .filter(|(c, r)| view.covers(c * step as f64, r * step as f64))
        .map(|(c, r)| Window::new(corner(r), corner(c), side, side))
        .collect()
}

fn compare<V: View>(
    view: &V,
    correlator: &Correlator,
    place: Window,
    step: usize,
    side: usize,
    valid: f64,
    correction: Correction,
) -> Result<Evidence, V::Error> {
    let scale = step as f64;
    let middle = side as f64 / 2.0;
    let (col, row) = ((place.col as f64 + middle) * scale, (place.row as f64 + middle) * scale);
    let nothing = |verdict| Evidence {
        compared: Compared { col, row, verdict, residual_px: None, peak_ratio: None, correlation: None },
        tie: None,
        ground: [[0.0; 2]; 2],
    };
    let (reference, scene) = view.cut(place, step, correction)?;
    if fieldglow_kernels::correlate::valid_share(&reference, &scene) < valid {
        return Ok(nothing(Verdict::Invalid));
    }
    let Some(shift) = correlator.shift(&reference, &scene) else { return Ok(nothing(Verdict::Featureless)) };
    let told = |verdict| {
        let mut e = nothing(verdict);
        e.compared.peak_ratio = Some(shift.ratio);
        e.compared.correlation = shift.correlation.is_finite().then_some(shift.correlation);
        e
    };
    if shift.ratio < MIN_RATIO {
        return Ok(told(Verdict::Unclear));
    }
    if shift.col.abs().max(shift.row.abs()) > side as f64 / 4.0 {
        return Ok(told(Verdict::Far));
    }
    // The ground in the middle of the window, and where the scene as corrected so far shows it.
    let at = |dc: f64, dr: f64| view.image(col + dc, row + dr);
    let shown = at(shift.col * scale, shift.row * scale)?;
    let (Some(model), Some(shown), Some(right), Some(below)) = (at(0.0, 0.0)?, shown, at(1.0, 0.0)?, at(0.0, 1.0)?)
    else {
        return Ok(told(Verdict::Invalid));
    };
    let (a, b, c, d) = (right.0 - model.0, below.0 - model.0, right.1 - model.1, below.1 - model.1);
    let determinant = a * d - b * c;
    let mut e = told(Verdict::Used);
    e.tie = Some(Tie { model, image: correction.apply(shown.0, shown.1) });
    e.ground = [[d / determinant, -b / determinant], [-c / determinant, a / determinant]];
    Ok(e)
}

fn count(all: &[Evidence], verdict: Verdict) -> usize {
    all.iter().filter(|e| e.compared.verdict == verdict).count()
}

fn weak(all: &[Evidence], used: usize, options: &Options, pixel_m: f64) -> SurveyError {
    let clear = all.iter().filter(|e| e.tie.is_some()).count();
    let windows = Windows {
        pixel_m,
        tried: all.len(),
        agree: used,
        disagree: clear - used,
        needed: options.min_windows,
        invalid: count(all, Verdict::Invalid),
        featureless: count(all, Verdict::Featureless),
        unclear: count(all, Verdict::Unclear),
        far: count(all, Verdict::Far),
    };
    SurveyError::Unregistered { windows }
}

fn summary<V: View>(view: &V, options: &Options, all: &[Evidence], correction: Correction) -> Found {
    let used = || all.iter().filter(|e| e.compared.verdict == Verdict::Used).filter_map(|e| Some((e, e.tie?)));
    let n = used().count() as f64;
    let mean = |f: &dyn Fn(&Evidence, &Tie) -> f64| used().map(|(e, t)| f(e, &t)).sum::<f64>() / n;
    let moved = |t: &Tie| {
        let (c, r) = correction.apply(t.model.0, t.model.1);
        [c - t.model.0, r - t.model.1]
    };
    let left = |t: &Tie| {
        let (c, r) = t.residual(&correction);
        [c, r]
    };
    let [across, down] = view.size_m();
    // Rows run down, north is up.
    let size = [across, -down];
    let on_ground =
        |e: &Evidence, v: [f64; 2], axis: usize| (e.ground[axis][0] * v[0] + e.ground[axis][1] * v[1]) * size[axis];
    let square = |v: [f64; 2]| v[0] * v[0] + v[1] * v[1];
    let ground = |e: &Evidence, t: &Tie| [0, 1].map(|axis| on_ground(e, left(t), axis));
    let stddev = |axis: usize| {
        let middle = mean(&|e, t| ground(e, t)[axis]);
        mean(&|e, t| (ground(e, t)[axis] - middle).powi(2)).sqrt()
    };
    Found {
        model: options.model,
        correction,
        shift_px: [0, 1].map(|axis| mean(&|_, t| moved(t)[axis])),
        shift_m: [0, 1].map(|axis| mean(&|e, t| on_ground(e, moved(t), axis))),
        rmse_px: mean(&|_, t| square(left(t))).sqrt(),
        rmse_m: mean(&|e, t| square(ground(e, t))).sqrt(),
        stddev_m: [stddev(0), stddev(1)],
        pixel_m: view.pixel_m(),
        tried: all.len(),
        used: n as usize,
        invalid: count(all, Verdict::Invalid),
        featureless: count(all, Verdict::Featureless),
        unclear: count(all, Verdict::Unclear),
        far: count(all, Verdict::Far),
        inconsistent: count(all, Verdict::Inconsistent),
        windows: all.iter().map(|e| e.compared).collect(),
    }
}

#[cfg(test)]
mod tests;
