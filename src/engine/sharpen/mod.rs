//! Low-passed PAN under a unit: what the detectors of coarser bands see of it.
//!
//! PAN is put on the lattice of the product with a halo around the unit, low-passed to the pixels of the coarser image
//! (their positions are those the bands are interpolated at), and from there interpolated like the bands.
//!
//! Invariant: a low-passed sample is the sum of the same lattice pixels in the same order, whatever the unit: they are
//! added row by row, and the halo holds all that its filter reaches.

mod look;
mod resolve;

use std::time::Instant;

use fieldglow_kernels::resample::{self, Kernel, Places, Source, Taps};
use fieldglow_kernels::sharpen::{Gaussian, Sums};
use fieldglow_kernels::state;

use super::locate::Located;
use super::plan::{Layer, ScenePlan};
use super::unit::{Output, Pixels};
use crate::error::{Result, ResultExt};
use crate::geometry::ortho::RowScratch;
use crate::geometry::{HIDDEN_M, NODE_STEP};
use crate::grid::Window;
use crate::raster::Block;

pub use look::{fit, qualities, window_bytes};
pub use resolve::{low_pass, program, settle};

/// How the panchromatic band of a layer is low-passed.
#[derive(Debug, Clone, PartialEq)]
pub struct LowPass {
    /// The input that has it, and its place there.
    pub pan: (usize, usize),
    /// The planes; those that the pass needs come first.
    pub planes: Vec<LowPlane>,
    /// How many the pass needs; the others are for the first look.
    pub in_pass: usize,
    /// Pixels around a unit that count for it.
    pub halo: usize,
}

/// A low-passed plane.
#[derive(Debug, Clone, PartialEq)]
pub struct LowPlane {
    /// The input at whose pixels it is taken.
    pub input: usize,
    /// The filter.
    pub filter: Gaussian,
}

impl LowPass {
    /// Pixels that positions are tabulated for around a unit: the halo, up to the next node.
    fn pad(&self) -> usize {
        self.halo.next_multiple_of(NODE_STEP)
    }

    /// The pixels that are located for a window.
    pub fn located(&self, window: Window) -> Window {
        window.grow(self.pad())
    }

    /// Bytes for a unit beside its source pixels, whose inputs have `source_pixels` each.
    pub fn bytes(&self, layer: &Layer, unit: Window, source_pixels: &[usize], planes: usize) -> u64 {
        let pan = Block::bytes(unit.grow(self.halo).pixels(), layer.inputs[self.pan.0].bands.len());
        let of = |plane: &LowPlane| {
            let pixels = source_pixels.get(plane.input).copied().unwrap_or(0);
            Sums::bytes(pixels) + Block::bytes(pixels, 1)
        };
        pan + self.planes.iter().take(planes).map(of).sum::<u64>()
    }
}

/// The low-passed plane at the pixels of its input.
#[derive(Default)]
struct Coarse {
    samples: Vec<f32>,
    state: Vec<u16>,
    clean: bool,
    rows: usize,
    cols: usize,
    sums: Sums,
}

impl Coarse {
    /// Sample and state of a pixel.
    fn at(&self, pixel: usize) -> (f32, u16) {
        (self.samples[pixel], self.state[pixel])
    }
}

/// Low-passed PAN of a unit, with buffers that serve one unit after the other.
#[derive(Default)]
pub struct Sharpener {
    /// Pixels that PAN is known for.
    area: Window,
    /// Bands of the input of PAN, one after another.
    pan: Vec<f32>,
    state: Vec<u16>,
    coarse: Vec<Coarse>,
    pixels: Pixels,
    col: Vec<f64>,
    row: Vec<f64>,
    /// Sizes of pixels in source pixels, where the kernel asks for them.
    width: Vec<f64>,
    height: Vec<f64>,
    taps: Taps,
    rows: RowScratch,
    spare_state: Vec<u16>,
}

/// Where something is worked out: a layer, and the geometry of its inputs over some lattice.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The scene.
    pub plan: &'a ScenePlan,
    /// The layer.
    pub layer: &'a Layer,
    /// Geometry of each input.
    pub located: &'a [Located],
    /// Planes of low-passed PAN that are wanted.
    pub planes: usize,
}

impl Sharpener {
    /// Reads PAN under `window` and its halo, and puts it on the lattice.
    ///
    /// # Errors
    /// Those of reading and of the geometry.
    pub fn take_pan(&mut self, at: Site<'_>, low: &LowPass, window: Window, out: &mut Output) -> Result<()> {
        let started = Instant::now();
        let read_before = out.seconds.read;
        let kernel = at.plan.pipeline.geometry.resampling.kernel();
        let input = &at.layer.inputs[low.pan.0];
        let (pad, wide) = (low.pad() - low.halo, low.located(window));
        self.area = window.grow(low.halo);
        let (pixels, bands) = (self.area.pixels(), input.bands.len());
        self.pan.clear();
        self.pan.resize(pixels * bands, f32::NAN);
        self.state.clear();
        self.state.resize(pixels, state::NODATA);
        let (located, source) = at.located[low.pan.0]
            .unit(at.plan, &at.plan.crs, input, at.layer.pixel_m, at.layer.tells_states(), wide)
            .within(|c| c.stage = Some("geometry"))?;
        if let Some(source) = source {
            self.pixels.read(at.plan, input, source, out)?;
            let from = self.pixels.source(bands);
            self.col.resize(wide.cols, 0.0);
            self.row.resize(wide.cols, 0.0);
            for r in 0..self.area.rows {
                located.locate(pad + r, source, &mut self.rows, &mut self.col, &mut self.row)?;
                let line = pad..pad + self.area.cols;
                let offset = r * self.area.cols;
                let state = &mut self.state[offset..offset + self.area.cols];
                let mut to = resample::Row { planes: &mut self.pan, plane_len: pixels, offset, state };
                if let Some(footprints) = located.footprints() {
                    footprints.row(pad + r, wide.cols, &mut self.width, &mut self.height);
                }
                let places = Places {
                    col: &self.col[line.clone()],
                    row: &self.row[line.clone()],
                    // Of kernels that do not ask for sizes there are none.
                    width: self.width.get(line.clone()).unwrap_or_default(),
                    height: self.height.get(line.clone()).unwrap_or_default(),
                };
                resample::row(kernel, from, places, &mut self.taps, &mut to);
                // Nothing where nothing is hidden.
                state::mark_occluded(self.rows.excess().get(line).unwrap_or_default(), HIDDEN_M, to.state);
            }
        }
        out.seconds.compute += started.elapsed().as_secs_f64() - (out.seconds.read - read_before);
        Ok(())
    }

    /// Low-passes PAN to the pixels of input `k`, which were read for `window`.
    ///
    /// # Errors
    /// Those of the geometry.
    pub fn low_pass(
        &mut self,
        at: Site<'_>,
        low: &LowPass,
        k: usize,
        window: Window,
        pixels: &Pixels,
        out: &mut Output,
    ) -> Result<()> {
        let started = Instant::now();
        let wanted = || low.planes.iter().enumerate().take(at.planes).filter(|(_, p)| p.input == k);
        self.coarse.resize_with(self.coarse.len().max(at.planes), Coarse::default);
        let to = pixels.window;
        wanted().for_each(|(n, _)| self.coarse[n].sums.reset(to.rows, to.cols));
        let (pad, wide) = (low.pad() - low.halo, low.located(window));
        let (located, source) = at.located[k]
            .unit(at.plan, &at.plan.crs, &at.layer.inputs[k], at.layer.pixel_m, false, wide)
            .within(|c| c.stage = Some("geometry"))?;
        if let Some(source) = source {
            self.col.resize(wide.cols, 0.0);
            self.row.resize(wide.cols, 0.0);
            let first = low.pan.1 * self.area.pixels();
            // Whole numbers: what is moved by them keeps its last bit.
            let (right, down) = ((source.col - to.col) as f64, (source.row - to.row) as f64);
            for r in 0..self.area.rows {
                located.locate(pad + r, source, &mut self.rows, &mut self.col, &mut self.row)?;
                let line = pad..pad + self.area.cols;
                self.col[line.clone()].iter_mut().for_each(|c| *c += right);
                self.row[line.clone()].iter_mut().for_each(|c| *c += down);
                let samples = &self.pan[first + r * self.area.cols..][..self.area.cols];
                for (n, plane) in wanted() {
                    self.coarse[n].sums.add(&plane.filter, samples, &self.col[line.clone()], &self.row[line.clone()]);
                }
            }
        }
        for (n, _) in wanted() {
            let coarse = &mut self.coarse[n];
            (coarse.rows, coarse.cols) = (to.rows, to.cols);
            coarse.samples.resize(to.pixels(), f32::NAN);
            coarse.state.clear();
            coarse.state.resize(to.pixels(), 0);
            coarse.sums.finish(&pixels.state, (0, 1), &mut coarse.samples, &mut coarse.state);
            coarse.clean = coarse.state.iter().all(|s| *s == 0);
        }
        out.seconds.compute += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Copies rows `place` of PAN, a part of the window it was taken for, to the planes of its input in a block.
    pub fn give_pan(&self, place: Window, planes: &mut [f32], states: &mut [u16]) {
        let at = |r: usize| {
            let row = (place.row - self.area.row) as usize + r;
            row * self.area.cols + (place.col - self.area.col) as usize
        };
        let (cols, all) = (place.cols, self.area.pixels());
        for r in 0..place.rows {
            states[r * cols..(r + 1) * cols].copy_from_slice(&self.state[at(r)..at(r) + cols]);
            for (b, plane) in planes.chunks_exact_mut(place.pixels().max(1)).enumerate() {
                let from = b * all + at(r);
                plane[r * cols..(r + 1) * cols].copy_from_slice(&self.pan[from..from + cols]);
            }
        }
    }

    /// Interpolates the low-passed planes of input `k` at positions in its source window, as row `r` of the planes `low`
    /// of a block of `pixels`, and marks in `states` where samples of PAN were missing.
    pub fn give_low(
        &mut self,
        pass: &LowPass,
        (k, planes): (usize, usize),
        (kernel, places): (Kernel, Places<'_>),
        (r, pixels): (usize, usize),
        low: &mut [f32],
        states: &mut [u16],
    ) {
        let cols = places.col.len();
        for (n, _) in pass.planes.iter().enumerate().take(planes).filter(|(_, p)| p.input == k) {
            let coarse = &self.coarse[n];
            let from = Source {
                samples: &coarse.samples,
                bands: 1,
                state: &coarse.state,
                clean: coarse.clean,
                rows: coarse.rows,
                cols: coarse.cols,
            };
            self.spare_state.resize(cols, 0);
            let plane = &mut low[n * pixels..(n + 1) * pixels];
            let mut out =
                resample::Row { planes: plane, plane_len: pixels, offset: r * cols, state: &mut self.spare_state };
            resample::row(kernel, from, places, &mut self.taps, &mut out);
            for (s, found) in states.iter_mut().zip(&self.spare_state) {
                // Where the band itself is invalid nothing is said of it.
                *s |= if *s & state::NODATA == 0 { found & state::EDGE } else { 0 };
            }
        }
    }
}
