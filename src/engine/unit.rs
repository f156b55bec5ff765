//! What one task computes: from source pixels to compressed tiles, on one core while every core has such a task.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use fieldglow_kernels::lights::Lights;
use fieldglow_kernels::resample::{self, Places, Source, Taps};
use fieldglow_kernels::state;
use fieldglow_kernels::stats::{FloatStats, IntegerStats};
use geo::{ConvexHull, Coord, LineString, MultiPoint, Point};

use super::cell::OpenCell;
use super::closing::Closing;
use super::flight::Flight;
use super::fold::{Fold, Place, Tools};
use super::locate::{Located, UnitLocated};
use super::plan::{Input, ScenePlan};
use super::report::{Reads, StageSeconds};
use super::sharpen::{Sharpener, Site};
use crate::cog::EncodedTile;
use crate::error::{Result, ResultExt};
use crate::geometry::ortho::RowScratch;
use crate::geometry::{HIDDEN_M, STRIP_ROWS};
use crate::grid::Window;
use crate::product::{self, Scratch};
use crate::raster::Block;
use crate::read;

/// Statistics of one band of one unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stats {
    /// Of integers, exact.
    Integer(IntegerStats),
    /// Of floats.
    Float(FloatStats),
}

/// What a unit made of one file.
#[derive(Debug)]
pub struct Made {
    /// Number of the file in its cell.
    pub file: usize,
    /// Compressed tiles.
    pub tiles: Vec<EncodedTile>,
    /// Statistics, band by band.
    pub stats: Vec<Stats>,
    /// Sums of lights, band by band; none for products that show no lights.
    pub lights: Vec<Lights>,
    /// What shows the whole file, if this was the last of it.
    pub picture: Option<Vec<u8>>,
    /// Pixels of the unit that are valid in at least one band of the layer.
    pub valid: u64,
}

/// What else is known of a unit.
#[derive(Debug, Default)]
pub struct Output {
    /// Outline of the valid pixels, in pixels of the cell (col, row), convex.
    pub hull: Vec<Coord<f64>>,
    /// Values clipped to fit.
    pub clipped: u64,
    /// Values sharpened less than their ratio asks for.
    pub held: u64,
    /// What was read.
    pub reads: Reads,
    /// Where the time went.
    pub seconds: StageSeconds,
}

thread_local! {
    /// What a thread works with. It grows with the first units and is used for all that follow: nothing is allocated per
    /// strip or tile but the bytes that leave.
    static BENCH: RefCell<(Bench, Vec<Fold>, Tools)> = RefCell::default();
}

/// What pixels are brought together with, from unit to unit.
#[derive(Default)]
pub struct Bench {
    strip: Strip,
    pixels: Vec<Pixels>,
    /// Low-passed PAN.
    pub sharpener: Sharpener,
}

impl Bench {
    /// The pixels that were read for an input; `None` where they come otherwise.
    pub fn pixels_of(&self, source: &UnitSource<'_>) -> Option<&Pixels> {
        match source.from {
            From::Memory(k) => self.pixels.get(k),
            From::Nowhere | From::File(_) | From::Lattice => None,
        }
    }

    /// The rows that were made last.
    pub fn block(&self) -> &Block {
        &self.strip.block
    }
}

/// Rows of a unit on their way, and the buffers they need.
struct Strip {
    block: Block,
    /// Source pixels of the strip, where they are taken as they are.
    taken: Pixels,
    col: Vec<f64>,
    row: Vec<f64>,
    /// Sizes of the pixels in source pixels, where the kernel asks for them.
    width: Vec<f64>,
    height: Vec<f64>,
    taps: Taps,
    rows: RowScratch,
    product: Scratch,
    state: Vec<u16>,
}

impl Default for Strip {
    fn default() -> Self {
        Self {
            block: Block::invalid(Window::default(), Vec::new(), Vec::new()),
            taken: Pixels::default(),
            col: Vec::new(),
            row: Vec::new(),
            width: Vec::new(),
            height: Vec::new(),
            taps: Taps::with_capacity(0),
            rows: RowScratch::default(),
            product: Scratch::default(),
            state: Vec::new(),
        }
    }
}

/// Takes what was made of a file, from whichever thread made it.
pub type Deliver<'a> = &'a (dyn Fn(Made) + Sync);

/// Computes unit `window` of layer `layer` of a cell; workers that have no unit help. Each file is delivered as soon as the
/// unit's share of it is done.
pub fn compute(
    cell: &OpenCell,
    (layer, window): (usize, Window),
    flight: &Flight,
    deliver: Deliver<'_>,
) -> Result<Output> {
    BENCH.with_borrow_mut(|bench| compute_with(bench, cell, (layer, window), flight, deliver))
}

fn compute_with(
    (bench, folds, tools): &mut (Bench, Vec<Fold>, Tools),
    cell: &OpenCell,
    (layer, window): (usize, Window),
    flight: &Flight,
    deliver: Deliver<'_>,
) -> Result<Output> {
    let mut out = Output::default();
    let l = &cell.plan.layers[layer];
    let planes = l.low_pass.as_ref().map_or(0, |low| low.in_pass);
    let site = Site { plan: &cell.plan, layer: l, located: cell.located(layer), planes };
    let sources = sources(site, window, bench, &mut out)?;
    let place = |k: usize| Place { cell, file: cell.first_file(layer) + k, product: &l.products[k], unit: window };
    folds.truncate(l.products.len());
    folds.extend(l.products.iter().skip(folds.len()).map(Fold::new));
    folds.iter_mut().enumerate().for_each(|(k, fold)| fold.begin(&place(k)));
    let (mut points, mut valid) = (Vec::new(), 0);
    for top in (0..window.rows).step_by(STRIP_ROWS) {
        let rows = STRIP_ROWS.min(window.rows - top);
        let read_before = out.seconds.read;
        let started = Instant::now();
        resample_rows(site, &sources, (top, rows), window, bench, &mut out)?;
        let strip = &mut bench.strip;
        let strips = folds.iter_mut().map(|fold| {
            fold.strip.set_rows(rows);
            &mut fold.strip
        });
        let counts = product::evaluate(&l.products, &l.together, &mut strip.block, strips, &mut strip.product);
        out.clipped += counts.clipped;
        out.held += counts.held;
        valid += outline(&strip.block, &mut points);
        out.seconds.compute += started.elapsed().as_secs_f64() - (out.seconds.read - read_before);
        for (k, fold) in folds.iter_mut().enumerate() {
            fold.take_strip(&place(k), top, tools, &mut out.seconds)?;
        }
    }
    out.hull = hull(points);
    Closing::new(folds, place, valid, deliver).run(tools, flight, &mut out.seconds)?;
    Ok(out)
}

/// One input of a unit: its geometry, and how its pixels come.
pub struct UnitSource<'a> {
    input: &'a Input,
    located: UnitLocated<'a>,
    from: From,
}

impl UnitSource<'_> {
    /// The pixels of some rows of the unit, `rows.1` from row `rows.0` on, where they are read strip by strip and there are
    /// any.
    fn strip(&self, (top, rows): (usize, usize)) -> Option<Window> {
        let From::File(window) = self.from else { return None };
        let part = Window::new(window.row + top as i64, window.col, rows, window.cols).intersect(window);
        (!part.is_empty()).then_some(part)
    }

    /// Writes the positions of a row of the unit within the source window that was read.
    ///
    /// # Errors
    /// Those of the geometry.
    pub fn locate(&self, row: usize, source: Window, cols: &mut [f64], rows: &mut [f64]) -> Result<()> {
        self.located.locate(row, source, &mut RowScratch::default(), cols, rows)
    }
}

/// How source pixels come.
#[derive(Clone, Copy)]
enum From {
    /// The unit lies beside the image.
    Nowhere,
    /// All were read before the first strip, as the input of this number.
    Memory(usize),
    /// Each strip reads those that are its own.
    File(Window),
    /// They stand on the lattice already.
    Lattice,
}

/// Source pixels of a window.
#[derive(Default)]
pub struct Pixels {
    /// Where they stand in the image.
    pub window: Window,
    /// Samples side by side, (row, col, band); NaN = invalid.
    pub samples: Vec<f32>,
    /// Why pixels are invalid.
    pub state: Vec<u16>,
    /// No state has any bit.
    clean: bool,
    scratch: read::Scratch,
    planes: Vec<f32>,
}

/// The inputs of a unit; reads what does not come strip by strip.
pub fn sources<'a>(at: Site<'a>, window: Window, bench: &mut Bench, out: &mut Output) -> Result<Vec<UnitSource<'a>>> {
    let l = at.layer;
    let Bench { pixels, sharpener, .. } = bench;
    pixels.resize_with(pixels.len().max(l.inputs.len()), Pixels::default);
    let low = l.low_pass.as_ref().filter(|_| at.planes > 0);
    if let Some(low) = low {
        sharpener.take_pan(at, low, window, out)?;
    }
    let source = |(k, (input, located)): (usize, (&'a Input, &'a Located))| {
        let started = Instant::now();
        let unit = located.unit(at.plan, &at.plan.crs, input, l.pixel_m, l.tells_states(), window);
        let (located, source) = unit.within(|c| c.stage = Some("geometry"))?;
        out.seconds.locate += started.elapsed().as_secs_f64();
        let from = match (source, &located) {
            _ if low.is_some_and(|low| low.pan.0 == k) => From::Lattice,
            (None, _) => From::Nowhere,
            (Some(source), UnitLocated::Same) => From::File(source),
            (Some(source), _) => {
                pixels[k].read(at.plan, input, source, out)?;
                if let Some(low) = low {
                    sharpener.low_pass(at, low, k, window, &pixels[k], out)?;
                }
                From::Memory(k)
            }
        };
        Ok(UnitSource { input, located, from })
    };
    l.inputs.iter().zip(at.located).enumerate().map(source).collect()
}

/// Rows that are read together: they stay in the cache of a core until their states are known.
const READ_ROWS: usize = 64;

impl Pixels {
    /// Them as a source of `bands` bands.
    pub fn source(&self, bands: usize) -> Source<'_> {
        Source {
            samples: &self.samples,
            bands,
            state: &self.state,
            clean: self.clean,
            rows: self.window.rows,
            cols: self.window.cols,
        }
    }

    /// Reads a window of all bands of an input.
    pub fn read(&mut self, plan: &ScenePlan, input: &Input, window: Window, out: &mut Output) -> Result<()> {
        let started = Instant::now();
        self.state.resize(window.pixels(), 0);
        let (fill, ceiling) = input.bounds();
        let bands = input.bands.len();
        let states = &mut self.state;
        let mark = |samples: &mut [f32], at| state::mark_pixels(samples, bands, fill, ceiling, &mut states[at]);
        fetch((&mut self.samples, &mut self.scratch, &mut self.planes), plan, input, window, out, mark)?;
        self.window = window;
        self.clean = self.state.iter().fold(0, |all, s| all | s) == 0;
        out.seconds.read += started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Reads a window of all bands of an input as it stands in its files.
    fn read_raw(&mut self, plan: &ScenePlan, input: &Input, window: Window, out: &mut Output) -> Result<()> {
        let started = Instant::now();
        fetch((&mut self.samples, &mut self.scratch, &mut self.planes), plan, input, window, out, |_, _| {})?;
        self.window = window;
        out.seconds.read += started.elapsed().as_secs_f64();
        Ok(())
    }
}

/// Reads a window of all bands of an input, some rows at a time, and shows each of them to `then`.
fn fetch(
    (samples, scratch, planes): (&mut Vec<f32>, &mut read::Scratch, &mut Vec<f32>),
    plan: &ScenePlan,
    input: &Input,
    window: Window,
    out: &mut Output,
    mut then: impl FnMut(&mut [f32], Range<usize>),
) -> Result<()> {
    let part = &plan.scene.parts[input.part];
    let bands = input.bands.len();
    samples.resize(bands * window.pixels(), 0.0);
    for top in (0..window.rows).step_by(READ_ROWS) {
        let rows = READ_ROWS.min(window.rows - top);
        let rows_window = Window::new(window.row + top as i64, window.col, rows, window.cols);
        let at = top * window.cols..(top + rows) * window.cols;
        let samples = &mut samples[bands * at.start..bands * at.end];
        read_part(input, rows_window, scratch, planes, samples, out).within(|c| {
            c.stage = Some("read");
            c.band = c.band.take().or(Some(part.name.clone()));
        })?;
        then(samples, at);
    }
    out.reads.samples += samples.len() as u64;
    out.reads.bytes += samples.len() as u64 * u64::from(part.sample.bits() / 8);
    Ok(())
}

/// Reads some rows: from one file at once, or band by band where each has its own.
fn read_part(
    input: &Input,
    window: Window,
    scratch: &mut read::Scratch,
    planes: &mut Vec<f32>,
    samples: &mut [f32],
    out: &mut Output,
) -> Result<()> {
    let Some(first) = input.bands.first() else { return Ok(()) };
    if input.bands.iter().all(|b| Arc::ptr_eq(&b.raster, &first.raster)) {
        out.reads.requests += 1;
        let bands: Vec<usize> = input.bands.iter().map(|b| b.index).collect();
        return Ok(first.raster.read_together(&bands, window, scratch, samples)?);
    }
    planes.resize(samples.len(), 0.0);
    for (band, plane) in input.bands.iter().zip(planes.chunks_exact_mut(window.pixels())) {
        out.reads.requests += 1;
        band.raster.read(band.index, window, plane)?;
    }
    resample::interleave(planes, input.bands.len(), samples);
    Ok(())
}

/// Makes the block of some rows of a unit: `rows.1` from row `rows.0` on, all bands of the layer.
pub fn resample_rows(
    at: Site<'_>,
    sources: &[UnitSource<'_>],
    (top, rows): (usize, usize),
    unit: Window,
    bench: &mut Bench,
    out: &mut Output,
) -> Result<()> {
    let layer = at.layer;
    let cols = unit.cols;
    let place = Window::new(unit.row + top as i64, unit.col, rows, cols);
    let Bench { strip, pixels: memory, sharpener } = bench;
    let Strip { block, taken, col, row, width, height, taps, rows: row_scratch, state: all_states, .. } = strip;
    // What is taken from the file as it stands there fills whole rows; otherwise gaps stay invalid.
    let fills =
        |source: &UnitSource| source.strip((top, rows)).is_some_and(|part| (part.rows, part.cols) == (rows, cols));
    if !sources.is_empty() && sources.iter().all(fills) {
        block.reshape(place, &layer.roles, &layer.linear());
    } else {
        block.reset(place, &layer.roles, &layer.linear());
    }
    let pixels = place.pixels();
    let mut low = std::mem::take(&mut block.low);
    low.clear();
    low.resize(at.planes * pixels, f32::NAN);
    let (planes, states) = block.parts_mut();
    let kernel = at.plan.pipeline.geometry.resampling.kernel();
    let several = sources.len() > 1;
    all_states.clear();
    all_states.resize(if several { pixels } else { 0 }, 0);
    for source in sources {
        let bands = source.input.bands.len();
        let first = source.input.first_plane * pixels;
        let target = &mut planes[first..first + bands * pixels];
        match source.from {
            From::Nowhere => continue,
            From::Lattice => sharpener.give_pan(place, target, states),
            From::File(_) => {
                let Some(part) = source.strip((top, rows)) else { continue };
                taken.read_raw(at.plan, source.input, part, out)?;
                let line = bands * part.cols.max(1);
                for (r, line) in taken.samples.chunks_exact(line).enumerate() {
                    let state = &mut states[r * cols..][..part.cols];
                    let mut to = resample::Row { planes: target, plane_len: pixels, offset: r * cols, state };
                    resample::take_row(line, bands, source.input.bounds(), &mut to);
                }
            }
            From::Memory(k) => {
                let from = &memory[k];
                let pixel_source = from.source(bands);
                col.resize(cols, 0.0);
                row.resize(cols, 0.0);
                for r in 0..rows {
                    if let Some(footprints) = source.located.footprints() {
                        footprints.row(top + r, cols, width, height);
                    }
                    source.located.locate(top + r, from.window, row_scratch, col, row)?;
                    let places = Places { col, row, width, height };
                    let state = &mut states[r * cols..(r + 1) * cols];
                    let mut to = resample::Row { planes: target, plane_len: pixels, offset: r * cols, state };
                    resample::row(kernel, pixel_source, places, taps, &mut to);
                    state::mark_occluded(row_scratch.excess(), HIDDEN_M, to.state);
                    if let Some(pass) = &layer.low_pass {
                        let state = &mut states[r * cols..(r + 1) * cols];
                        sharpener.give_low(pass, (k, at.planes), (kernel, places), (r, pixels), &mut low, state);
                    }
                }
            }
        }
        if several {
            for (all, one) in all_states.iter_mut().zip(&*states) {
                *all |= one & !(state::NODATA | state::PARTIAL);
            }
        }
    }
    if several {
        states.copy_from_slice(all_states);
        state::mark_invalid(planes, states);
    }
    block.low = low;
    Ok(())
}

/// Adds the outer corners of the first and last valid pixel of each row to `points`; returns how many pixels are valid.
fn outline(block: &Block, points: &mut Vec<(f64, f64)>) -> u64 {
    let cols = block.window.cols;
    let mut valid = 0;
    for (r, row) in block.parts().1.chunks_exact(cols.max(1)).enumerate() {
        let is_valid = |s: &u16| s & state::NODATA == 0;
        let Some(first) = row.iter().position(is_valid) else { continue };
        let last = row.iter().rposition(is_valid).unwrap_or(first);
        valid += row.iter().filter(|s| is_valid(s)).count() as u64;
        let y = (block.window.row + r as i64) as f64;
        let x = block.window.col as f64;
        for (c, y) in [(first, y), (first, y + 1.0), (last + 1, y), (last + 1, y + 1.0)] {
            points.push((x + c as f64, y));
        }
    }
    valid
}

/// Convex hull of points, counter-clockwise from a fixed start, open.
pub fn hull(mut points: Vec<(f64, f64)>) -> Vec<Coord<f64>> {
    // The same points give the same ring, in whatever order they came.
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup();
    if points.is_empty() {
        return Vec::new();
    }
    let points: MultiPoint<f64> = points.into_iter().map(Point::from).collect();
    let mut ring: LineString<f64> = points.convex_hull().exterior().clone();
    ring.0.pop();
    ring.0
}
