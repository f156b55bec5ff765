//! Two images of the same ground on one lattice, cut into windows.

use fieldglow_kernels::resample::{self, Kernel, Places, Source, Taps};
use fieldglow_kernels::state;

use super::super::locate::Located;
use super::super::plan::{Input, ScenePlan};
use super::{RegisterInput, ToReference};
use crate::error::{Error, Result};
use crate::geometry::ortho::RowScratch;
use crate::geometry::sensor::Correction;
use crate::grid::cell::Lattice;
use crate::grid::{Crs, GeoTransform, METERS_PER_DEGREE, Window};
use crate::read::Reference;
use crate::survey::coregister::View;

/// Edge of what is located at once, pixels; a multiple of the nodes' largest step.
pub(super) const PIECE: usize = 512;

/// The image a scene is laid upon.
pub(super) enum Below<'a> {
    Raster(&'a Reference),
    Part(&'a Input),
}

/// Two images on one lattice.
pub(super) struct Pair<'a> {
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
    let ground = super::super::publish::geographic(crs, &corners)?;
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
    pub(super) fn on_reference(plan: &'a ScenePlan, to: &'a ToReference) -> Result<Self> {
        let reference = &to.reference;
        let [x, y] = size_m(reference.crs(), reference.transform(), &to.scene.outline)?;
        let base = (to.scene.input.pixel_area_m2.sqrt() / (x * y).sqrt()).round().max(1.0) as usize;
        let below = Below::Raster(reference);
        Self::new(plan, below, &to.scene, reference.crs(), reference.transform(), base, Some(reference.window()))
    }

    /// A part on another one, on a lattice of the products' system whose pixels are on the ground like those of the coarser of
    /// them.
    pub(super) fn on_part(plan: &'a ScenePlan, below: &'a Input, above: &'a RegisterInput) -> Result<Self> {
        let pixel = above.input.pixel_area_m2.max(below.pixel_area_m2).sqrt();
        let ring = crate::geometry::ortho::to_crs(&above.outline, &plan.crs)?;
        let corner = |f: fn(&(f64, f64)) -> f64| ring.iter().map(f).fold(f64::INFINITY, f64::min).floor();
        let corner = GeoTransform::north_up(corner(|p| p.0), corner(|p| p.1), 1.0);
        let [across, down] = size_m(&plan.crs, corner, &above.outline)?;
        let fine = GeoTransform { dx_col: pixel / across, dy_row: -pixel / down, ..corner };
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
            let (unit, source) = located.unit(self.plan, self.crs, input, pixel_m, false, piece)?;
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
                let places = Places { col: &col, row: &row, width: &[], height: &[] };
                resample::row(Kernel::Bilinear, from, places, &mut taps, &mut out);
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

    /// How steep an image is in a window of the lattice, by central differences. What is bright in one band may be dark in
    /// another: crops in near infrared and red. Their edges are the same.
    ///
    /// # Reference
    /// Irani and Anandan 1998, robust multi-sensor image alignment, for comparing what does not know the sign of a contrast.
    fn steepness(&self, input: &Input, window: Window, step: usize) -> Result<Vec<f32>> {
        let around = window.grow(1);
        let image = self.render(input, around, step)?;
        let at = |k: usize| {
            let middle = (k / window.cols + 1) * around.cols + k % window.cols + 1;
            let across = image[middle + 1] - image[middle - 1];
            across.hypot(image[middle + around.cols] - image[middle - around.cols])
        };
        Ok((0..window.pixels()).map(at).collect())
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
        let input = &self.above.input;
        let input = Input { placement: input.placement.corrected(correction), ..input.clone() };
        match self.below {
            Below::Raster(reference) => {
                Ok((reference.mean(window, step * self.base)?, self.render(&input, window, step)?))
            }
            Below::Part(below) => Ok((self.steepness(below, window, step)?, self.steepness(&input, window, step)?)),
        }
    }

    fn image(&self, col: f64, row: f64) -> Result<Option<(f64, f64)>> {
        let input = &self.above.input;
        let lattice = Lattice { transform: self.transform.shifted(col - 0.5, row - 0.5), rows: 1, cols: 1 };
        let located = Located::new(self.plan, self.crs, input, self.pixel_m(), &lattice, None)?;
        let point = Window::new(0, 0, 1, 1);
        let (unit, source) = located.unit(self.plan, self.crs, input, self.pixel_m(), false, point)?;
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
