//! What one task computes: from source pixels to compressed tiles, on one core, without waiting for anyone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use fieldglow_kernels::lights::Lights;
use fieldglow_kernels::resample::{self, Source, Taps};
use fieldglow_kernels::state;
use fieldglow_kernels::stats::{FloatStats, IntegerStats, add_interleaved};
use geo::{ConvexHull, Coord, LineString, MultiPoint, Point};

use super::cell::OpenCell;
use super::plan::{Input, Layer};
use super::report::{Reads, StageSeconds};
use crate::cog::{EncodedTile, Encoder, TileIndex};
use crate::error::{Result, ResultExt};
use crate::geometry::STRIP_ROWS;
use crate::geometry::ortho::RowScratch;
use crate::grid::Window;
use crate::picture;
use crate::product::{Encoding, NightBand, Product, Program, Scratch};
use crate::pyramid::{self, Share};
use crate::raster::{Block, RawTile, Samples};

/// Statistics of one band of one unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stats {
    /// Of integers, exact.
    Integer(IntegerStats),
    /// Of floats.
    Float(FloatStats),
}

/// What a unit made.
#[derive(Debug, Default)]
pub struct Output {
    /// Compressed tiles and the files they belong to.
    pub tiles: Vec<(usize, EncodedTile)>,
    /// Statistics by product of the layer, band by band.
    pub stats: Vec<Vec<Stats>>,
    /// Sums of lights by product of the layer, band by band; none for products that show no lights.
    pub lights: Vec<Vec<Lights>>,
    /// Pictures and the files they show.
    pub pictures: Vec<(usize, Vec<u8>)>,
    /// Outline of the valid pixels, in pixels of the cell (col, row), convex.
    pub hull: Vec<Coord<f64>>,
    /// Pixels valid in at least one band.
    pub valid: u64,
    /// Values clipped to fit.
    pub clipped: u64,
    /// What was read.
    pub reads: Reads,
    /// Where the time went.
    pub seconds: StageSeconds,
}

thread_local! {
    /// Compression contexts are large; a thread keeps those of the files it works on.
    static ENCODERS: RefCell<BTreeMap<(u64, usize), Encoder>> = const { RefCell::new(BTreeMap::new()) };
}

/// Most compression contexts a thread keeps.
const KEPT_ENCODERS: usize = 16;

/// Computes unit `window` of layer `layer` of a cell.
pub fn compute(cell: &OpenCell, layer: usize, window: Window) -> Result<Output> {
    let mut out = Output::default();
    let plan = &cell.plan;
    let l = &plan.layers[layer];
    let mut raw: Vec<RawTile> = l.products.iter().map(|p| p.raw_tile(window.rows, window.cols)).collect();
    let sources = sources(cell, layer, window, &mut out)?;
    if sources.iter().any(|s| s.pixels.is_some()) {
        let started = Instant::now();
        let mut scratch = StripScratch::new(window.cols);
        let mut points = Vec::new();
        for top in (0..window.rows).step_by(STRIP_ROWS) {
            let rows = STRIP_ROWS.min(window.rows - top);
            let mut block = resample_strip(l, &sources, window, top, rows, &mut scratch)?;
            for (product, raw) in l.products.iter().zip(&mut raw) {
                out.clipped += product.evaluate(&mut block, top, raw, &mut scratch.product);
            }
            out.valid += outline(&block, &mut points);
        }
        out.hull = hull(points);
        out.seconds.compute += started.elapsed().as_secs_f64();
    }
    drop(sources);
    let started = Instant::now();
    for (k, (product, raw)) in l.products.iter().zip(raw).enumerate() {
        out.stats.push(statistics(&raw, product.encoding));
        out.lights.push(lights(&raw, product));
        fold(cell, cell.first_file(layer) + k, window, raw, product.encoding, &mut out)?;
    }
    out.seconds.encode += started.elapsed().as_secs_f64();
    Ok(out)
}

/// One input of a unit: its geometry and its pixels (`None` when the unit lies beside the image).
struct UnitSource<'a> {
    input: &'a Input,
    located: super::locate::UnitLocated<'a>,
    pixels: Option<Pixels>,
}

/// Source pixels of a window, invalid samples as NaN.
struct Pixels {
    window: Window,
    /// Samples side by side, (row, col, band), where they are interpolated; planes, (band, row, col), where they are taken
    /// as they are.
    samples: Vec<f32>,
    state: Vec<u16>,
    /// No state has any bit.
    clean: bool,
}

fn sources<'a>(cell: &'a OpenCell, layer: usize, window: Window, out: &mut Output) -> Result<Vec<UnitSource<'a>>> {
    let plan = &cell.plan;
    let l = &plan.layers[layer];
    l.inputs
        .iter()
        .zip(cell.located(layer))
        .map(|(input, located)| {
            let started = Instant::now();
            let part = &plan.scene.parts[input.part];
            let (located, source) =
                located.unit(plan, input, l.pixel_m, window).within(|c| c.stage = Some("geometry"))?;
            out.seconds.locate += started.elapsed().as_secs_f64();
            let started = Instant::now();
            let as_planes = matches!(located, super::locate::UnitLocated::Same);
            let pixels = source
                .map(|w| {
                    read(input, w, as_planes, part.sample.bits(), out)
                        .within(|c| c.band = c.band.take().or(Some(part.name.clone())))
                })
                .transpose()?;
            out.seconds.read += started.elapsed().as_secs_f64();
            Ok(UnitSource { input, located, pixels })
        })
        .collect()
}

/// Rows that are read together: their planes stay in the cache of a core until they are put side by side.
const READ_ROWS: usize = 64;

/// Reads a window of all bands of an input. `sample_bits` are those of a sample in the file.
fn read(input: &Input, window: Window, as_planes: bool, sample_bits: u32, out: &mut Output) -> Result<Pixels> {
    let bands = input.bands.len();
    let (samples, state) = (vec![0.0; bands * window.pixels()], vec![0; window.pixels()]);
    let mut pixels = Pixels { window, samples, state, clean: false };
    if as_planes {
        read_planes(input, window, &mut pixels.samples, &mut pixels.state, sample_bits, out)?;
        return Ok(pixels);
    }
    let mut planes = vec![0.0; bands * READ_ROWS.min(window.rows) * window.cols];
    for top in (0..window.rows).step_by(READ_ROWS) {
        let rows = READ_ROWS.min(window.rows - top);
        let part = Window::new(window.row + top as i64, window.col, rows, window.cols);
        let at = top * window.cols..(top + rows) * window.cols;
        let planes = &mut planes[..bands * part.pixels()];
        read_planes(input, part, planes, &mut pixels.state[at.clone()], sample_bits, out)?;
        resample::interleave(planes, bands, &mut pixels.samples[bands * at.start..bands * at.end]);
    }
    pixels.clean = pixels.state.iter().all(|s| *s == 0);
    Ok(pixels)
}

/// Reads a window of all bands of an input, plane by plane, and its states.
fn read_planes(
    input: &Input,
    window: Window,
    planes: &mut [f32],
    states: &mut [u16],
    sample_bits: u32,
    out: &mut Output,
) -> Result<()> {
    let pixels = window.pixels();
    for (band, plane) in input.bands.iter().zip(planes.chunks_exact_mut(pixels)) {
        band.raster.read(band.index, window, plane).within(|c| c.stage = Some("read"))?;
        out.reads.requests += 1;
        out.reads.samples += pixels as u64;
        out.reads.bytes += pixels as u64 * u64::from(sample_bits / 8);
        // Fill first: a fill value above the ceiling is no saturated measurement.
        state::fill_to_nan(plane, input.fill.unwrap_or(f32::NAN));
        if let Some(ceiling) = input.saturation {
            state::mark_saturated(plane, ceiling, states);
        }
    }
    state::mark_invalid(planes, states);
    Ok(())
}

/// Buffers reused from strip to strip.
struct StripScratch {
    col: Vec<f64>,
    row: Vec<f64>,
    taps: Taps,
    rows: RowScratch,
    product: Scratch,
    state: Vec<u16>,
}

impl StripScratch {
    fn new(cols: usize) -> Self {
        Self {
            col: vec![0.0; cols],
            row: vec![0.0; cols],
            taps: Taps::with_capacity(cols),
            rows: RowScratch::default(),
            product: Scratch::default(),
            state: Vec::new(),
        }
    }
}

/// Rows `top..top + rows` of a unit, all bands of the layer.
fn resample_strip(
    layer: &Layer,
    sources: &[UnitSource<'_>],
    unit: Window,
    top: usize,
    rows: usize,
    scratch: &mut StripScratch,
) -> Result<Block> {
    let mut block = Block::invalid(
        Window::new(unit.row + top as i64, unit.col, rows, unit.cols),
        layer.roles.clone(),
        layer.linear(),
    );
    let cols = unit.cols;
    let pixels = rows * cols;
    let (planes, states) = block.parts_mut();
    let several = sources.len() > 1;
    scratch.state.clear();
    scratch.state.resize(if several { pixels } else { 0 }, 0);
    for source in sources {
        let Some(from) = &source.pixels else { continue };
        let bands = source.input.bands.len();
        let first = source.input.first_plane * pixels;
        let target = &mut planes[first..first + bands * pixels];
        if matches!(source.located, super::locate::UnitLocated::Same) {
            take(from, top, bands, (rows, cols), target, states);
        } else {
            let pixel_source = Source {
                samples: &from.samples,
                bands,
                state: &from.state,
                clean: from.clean,
                rows: from.window.rows,
                cols: from.window.cols,
            };
            for r in 0..rows {
                source.located.locate(top + r, from.window, &mut scratch.rows, &mut scratch.col, &mut scratch.row)?;
                let state = &mut states[r * cols..(r + 1) * cols];
                let mut row = resample::Row { planes: target, plane_len: pixels, offset: r * cols, state };
                resample::bilinear(pixel_source, &scratch.col, &scratch.row, &mut scratch.taps, &mut row);
            }
        }
        if several {
            for (all, one) in scratch.state.iter_mut().zip(&*states) {
                *all |= one & !(state::NODATA | state::PARTIAL);
            }
        }
    }
    if several {
        states.copy_from_slice(&scratch.state);
        state::mark_invalid(planes, states);
    }
    Ok(block)
}

/// Takes rows `top..` of a source as they are; what it does not have stays invalid.
fn take(from: &Pixels, top: usize, bands: usize, (rows, cols): (usize, usize), planes: &mut [f32], states: &mut [u16]) {
    let (width, height) = (cols.min(from.window.cols), rows.min(from.window.rows.saturating_sub(top)));
    for r in 0..height {
        let (to, at) = (r * cols..r * cols + width, (top + r) * from.window.cols);
        states[to.clone()].copy_from_slice(&from.state[at..at + width]);
        for b in 0..bands {
            let at = b * from.window.pixels() + at;
            planes[b * rows * cols..][to.clone()].copy_from_slice(&from.samples[at..at + width]);
        }
    }
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

/// Statistics of every band of stored pixels.
fn statistics(raw: &RawTile, encoding: Encoding) -> Vec<Stats> {
    let mut exact = vec![IntegerStats::default(); raw.bands];
    let nodata = encoding.nodata() as i32;
    match &raw.samples {
        Samples::U8(v) => add_interleaved(&mut exact, v, nodata),
        Samples::I16(v) => add_interleaved(&mut exact, v, nodata),
        Samples::U16(v) => add_interleaved(&mut exact, v, nodata),
        Samples::F32(v) => {
            let band = |b: usize| Stats::Float(FloatStats::of(v[b..].iter().copied().step_by(raw.bands)));
            return (0..raw.bands).map(band).collect();
        }
    }
    exact.into_iter().map(Stats::Integer).collect()
}

/// Sums of the lights of a product, from its stored values.
fn lights(raw: &RawTile, product: &Product) -> Vec<Lights> {
    let (Program::Night(bands), Samples::F32(v)) = (&product.program, &raw.samples) else { return Vec::new() };
    let of = |(b, band): (usize, &NightBand)| Lights::of(v[b..].iter().copied().step_by(raw.bands), band.lit);
    bands.iter().enumerate().map(of).collect()
}

/// Encodes the tiles of a unit and of its share of every overview, as far as they are complete.
fn fold(
    cell: &OpenCell,
    file: usize,
    window: Window,
    raw: RawTile,
    encoding: Encoding,
    out: &mut Output,
) -> Result<()> {
    let levels = cell.levels(file);
    let mut pixels = raw;
    ENCODERS.with_borrow_mut(|encoders| {
        let key = (cell.serial, file);
        if !encoders.contains_key(&key) {
            while encoders.len() >= KEPT_ENCODERS {
                encoders.pop_first();
            }
            encoders.insert(key, Encoder::new(cell.spec(file))?);
        }
        let Some(encoder) = encoders.get_mut(&key) else { return Ok(()) };
        for level in 0..levels {
            let share =
                Share { level, row: window.row as usize >> level, col: window.col as usize >> level, pixels: &pixels };
            cell.assembly(file).add(&share, |(level, row, col), tile| -> Result<()> {
                let index = TileIndex { level, row, col };
                let encoded = match &tile.samples {
                    Samples::U8(v) => encoder.encode(index, v)?,
                    Samples::I16(v) => encoder.encode(index, v)?,
                    Samples::U16(v) => encoder.encode(index, v)?,
                    Samples::F32(v) => encoder.encode(index, v)?,
                };
                out.tiles.push((file, encoded));
                // The coarsest level is a single tile: small enough to be looked at.
                if let Some((shape, style)) = cell.picture(file).filter(|_| level + 1 == levels) {
                    out.pictures.push((file, picture::png(tile, shape, style)?));
                }
                Ok(())
            })?;
            if level + 1 < levels {
                pixels = pyramid::halve(&pixels, encoding.overview_rule());
            }
        }
        Ok(())
    })
}
