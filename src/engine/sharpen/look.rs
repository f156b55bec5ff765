//! What the survey finds out for pansharpened products: windows of the product's own lattice, spread over the scene, are
//! made as units are, from PAN and the bands through their sensor models.

use std::collections::BTreeMap;

use fieldglow_kernels::fusion::{Errors, quality_index};
use fieldglow_kernels::sharpen::Sums as LowSums;
use fieldglow_kernels::state;
use rayon::prelude::*;

use super::super::locate::Located;
use super::super::plan::{Input, Layer, ScenePlan};
use super::super::unit::{self, Bench, Output};
use super::{LowPass, Site};
use crate::error::{Result, ResultExt};
use crate::geometry::ortho;
use crate::grid::cell::Lattice;
use crate::grid::{GeoTransform, Window};
use crate::product::sharpen::{Scratch, Sharpening};
use crate::product::{Product, Program};
use crate::raster::Block;
use crate::survey::sharpen as survey;

/// Edge of a window, pixels of the product: 32 pixels of the bands at a ratio of 4, the usual block of quality indices.
const SIDE: usize = 128;
/// Most windows along each axis.
const MOST: usize = 12;
/// Windows that are made at a time.
const TOGETHER: usize = 16;

/// The lattices of the windows: evenly spread over the scene's bounding box, on whole pixels of the grid.
fn windows(plan: &ScenePlan, layer: &Layer) -> Result<Vec<Lattice>> {
    let ring = ortho::to_crs(&plan.outline, &plan.crs)?;
    let pixel = layer.pixel_m;
    let axis = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let (low, high) =
            ring.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let count = (((high - low) / pixel) as usize / SIDE).clamp(1, MOST);
        let middle = |k: usize| low + (high - low) * (2 * k + 1) as f64 / (2 * count) as f64;
        (0..count).map(|k| ((middle(k) / pixel).round() - (SIDE / 2) as f64) * pixel).collect()
    };
    let (lefts, bottoms) = (axis(|p| p.0), axis(|p| p.1));
    let at = |x0: f64, y0: f64| Lattice {
        transform: GeoTransform::north_up(x0, y0 + SIDE as f64 * pixel, pixel),
        rows: SIDE,
        cols: SIDE,
    };
    Ok(bottoms.iter().rev().flat_map(|y| lefts.iter().map(move |x| at(*x, *y))).collect())
}

/// Bytes of the windows that are made at a time.
pub fn window_bytes(plan: &ScenePlan) -> u64 {
    let unit = Window::new(0, 0, SIDE, SIDE);
    let of = |layer: &Layer| {
        let Some(low) = &layer.low_pass else { return 0 };
        let mut looked = low.clone();
        looked.in_pass = low.planes.len();
        let wide = looked.located(unit).pixels();
        let sources: u64 = layer
            .source_pixels(&plan.scene, looked.located(unit), plan.pipeline.geometry.resampling.kernel())
            .iter()
            .zip(&layer.inputs)
            .map(|(n, i)| Block::bytes(*n, i.bands.len()) + low.planes.len() as u64 * LowSums::bytes(*n))
            .sum();
        let values = (SIDE * SIDE * 2 * (layer.roles.len() + low.planes.len()) * size_of::<f64>()) as u64;
        sources + Block::bytes(wide, layer.roles.len()) + values
    };
    TOGETHER as u64 * plan.layers.iter().map(of).max().unwrap_or(0)
}

/// One window of a layer, made as a unit is.
struct Look<'a> {
    plan: &'a ScenePlan,
    layer: &'a Layer,
    low: &'a LowPass,
    lattice: Lattice,
}

/// What is looked at of a product.
struct Of<'a> {
    sharpening: &'a Sharpening,
    /// The input of its bands.
    input: usize,
    /// Its bands there.
    bands: Vec<usize>,
}

impl<'a> Of<'a> {
    fn new(layer: &Layer, sharpening: &'a Sharpening) -> Option<Self> {
        let low = layer.low_pass.as_ref()?;
        let input = low.planes.get(sharpening.bands.first()?.low)?.input;
        let first = layer.inputs[input].first_plane;
        let place = |role| layer.roles.iter().position(|r| *r == role).and_then(|p| p.checked_sub(first));
        let bands = sharpening.bands.iter().map(|b| place(b.role)).collect::<Option<Vec<_>>>()?;
        Some(Self { sharpening, input, bands })
    }
}

fn window() -> Window {
    Window::new(0, 0, SIDE, SIDE)
}

impl Look<'_> {
    fn located(&self) -> Result<Vec<Located>> {
        let of = |i: &Input| Located::new(self.plan, &self.plan.crs, i, self.layer.pixel_m, &self.lattice, None);
        self.layer.inputs.iter().map(of).collect()
    }

    fn site<'b>(&'b self, located: &'b [Located]) -> Site<'b> {
        Site { plan: self.plan, layer: self.layer, located, planes: self.low.planes.len() }
    }

    /// Sums over the pixels of the bands that lie in the window.
    fn sums(&self, of: &Of<'_>, bench: &mut Bench) -> Result<survey::Sums> {
        let mut sums = survey::Sums::new(of.bands.len());
        let located = self.located()?;
        let sources = unit::sources(self.site(&located), window(), bench, &mut Output::default())?;
        let Some(from) = bench.pixels_of(&sources[of.input]) else { return Ok(sums) };
        let bands = self.layer.inputs[of.input].bands.len();
        let mut inside = vec![false; from.window.pixels()];
        let (mut col, mut row) = (vec![0.0; SIDE], vec![0.0; SIDE]);
        for r in 0..SIDE {
            sources[of.input].locate(r, from.window, &mut col, &mut row)?;
            for (c, r) in col.iter().zip(&row).map(|(c, r)| (c.round(), r.round())) {
                if c >= 0.0 && r >= 0.0 && c < from.window.cols as f64 && r < from.window.rows as f64 {
                    inside[r as usize * from.window.cols + c as usize] = true;
                }
            }
        }
        for p in (0..inside.len()).filter(|p| inside[*p] && from.state[*p] == 0) {
            let low = || of.sharpening.bands.iter().map(|b| bench.sharpener.coarse[b.low].at(p));
            if low().all(|(_, state)| state == 0) {
                sums.add(of.bands.iter().map(|b| from.samples[p * bands + b]), low().map(|(v, _)| v));
            }
        }
        Ok(sums)
    }
}

/// All windows of a layer in their order, some at a time.
fn every<T: Send>(
    plan: &ScenePlan,
    layer: &Layer,
    low: &LowPass,
    f: impl Fn(&Look<'_>, &mut Bench) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for some in windows(plan, layer)?.chunks(TOGETHER) {
        let one = |bench: &mut Bench, lattice: &Lattice| f(&Look { plan, layer, low, lattice: *lattice }, bench);
        let made: Vec<Result<T>> = some.par_iter().map_init(Bench::default, one).collect();
        // In their order, so that of several errors the same is told every time.
        for one in made {
            found.push(one?);
        }
    }
    Ok(found)
}

/// The pansharpened products of a plan.
fn products(plan: &ScenePlan) -> impl Iterator<Item = (&Layer, &LowPass, &Product, &Sharpening)> {
    plan.layers.iter().flat_map(|layer| {
        layer.products.iter().filter_map(move |p| match &p.program {
            Program::Pansharpen(s) => Some((layer, layer.low_pass.as_ref()?, p, &**s)),
            _ => None,
        })
    })
}

/// How PAN and the bands belong together, by product. Uses the current rayon pool.
///
/// # Errors
/// Reading faults, and what the survey says.
pub fn fit(plan: &ScenePlan) -> Result<BTreeMap<String, survey::Sharpening>> {
    let mut all = BTreeMap::new();
    for (layer, low, product, sharpening) in products(plan) {
        let Some(of) = Of::new(layer, sharpening) else { continue };
        let mut sums = survey::Sums::new(of.bands.len());
        for one in every(plan, layer, low, |look, bench| look.sums(&of, bench))? {
            sums.merge(&one);
        }
        let roles: Vec<_> = sharpening.bands.iter().map(|b| b.role).collect();
        let weigh = sharpening.method == crate::product::sharpen::Method::Brovey;
        let found = sums.solve(&product.name, &roles, weigh).within(|c| c.stage = Some("survey"))?;
        all.insert(product.name.clone(), found);
    }
    Ok(all)
}

/// What one window says of the quality of a product.
struct Judged {
    /// Quality index of each pair of bands and of each band with PAN: of the product, and of what it was made of.
    indices: Option<Vec<(f64, f64)>>,
    errors: Errors,
}

impl Look<'_> {
    fn judge(&self, of: &Of<'_>, bench: &mut Bench) -> Result<Judged> {
        let n = of.bands.len();
        let mut judged = Judged { indices: None, errors: Errors::default() };
        let located = self.located()?;
        let out = &mut Output::default();
        let site = self.site(&located);
        let sources = unit::sources(site, window(), bench, out)?;
        unit::resample_rows(site, &sources, (0, SIDE), window(), bench, out)?;
        if bench.pixels_of(&sources[of.input]).is_none() {
            return Ok(judged);
        }
        let block = bench.block();
        let first = self.layer.inputs[of.input].first_plane;
        let planes: Vec<usize> = of.bands.iter().map(|b| first + b).collect();
        let pan = self.layer.inputs[self.low.pan.0].first_plane + self.low.pan.1;
        let (fused, bands, pan_values, low_values) = values(block, of.sharpening, &planes, pan);
        let whole = fused.iter().all(|f| 2 * f.iter().filter(|v| !v.is_nan()).count() >= f.len());
        if whole {
            let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
            let between =
                pairs.map(|(a, b)| quality_index(&fused[a], &fused[b]).zip(quality_index(&bands[a], &bands[b])));
            let with_pan =
                (0..n).map(|b| quality_index(&fused[b], &pan_values).zip(quality_index(&bands[b], &low_values[b])));
            judged.indices = between.chain(with_pan).collect();
        }
        judged.errors = self.degraded(of, &fused, &sources, bench)?;
        Ok(judged)
    }

    /// The product, low-passed to the pixels of the bands, against the bands: where all that is seen lies in the window.
    fn degraded(
        &self,
        of: &Of<'_>,
        fused: &[Vec<f64>],
        sources: &[unit::UnitSource<'_>],
        bench: &mut Bench,
    ) -> Result<Errors> {
        let Some(from) = bench.pixels_of(&sources[of.input]) else { return Ok(Errors::default()) };
        let (window, input) = (from.window, &self.layer.inputs[of.input]);
        let mut sums: Vec<LowSums> = fused.iter().map(|_| LowSums::default()).collect();
        sums.iter_mut().for_each(|s| s.reset(window.rows, window.cols));
        let (mut col, mut row) = (vec![0.0; SIDE], vec![0.0; SIDE]);
        for r in 0..SIDE {
            sources[of.input].locate(r, window, &mut col, &mut row)?;
            for ((sum, values), band) in sums.iter_mut().zip(fused).zip(&of.sharpening.bands) {
                let line: Vec<f32> = values[r * SIDE..(r + 1) * SIDE].iter().map(|v| *v as f32).collect();
                sum.add(&self.low.planes[band.low].filter, &line, &col, &row);
            }
        }
        let (mut reference, mut degraded) = (Vec::new(), Vec::new());
        for ((sum, band), at) in sums.iter().zip(&of.sharpening.bands).zip(&of.bands) {
            let (mut low, mut states) = (vec![0.0; window.pixels()], vec![0; window.pixels()]);
            sum.finish(&from.state, (0, 1), &mut low, &mut states);
            // The unit's own low-pass has seen all around the window: a pixel with less weight here lies at its edge.
            let seen = sum.weights().zip(bench.sharpener.coarse[band.low].sums.weights());
            let is_whole = seen.map(|(here, all)| here > all * (1.0 - 1e-9));
            let values = low.iter().zip(&states).zip(is_whole);
            degraded.push(
                values
                    .map(|((v, s), whole)| if whole && *s == 0 { f64::from(*v) } else { f64::NAN })
                    .collect::<Vec<_>>(),
            );
            let linear = input.bands[*at].linear;
            let own = (0..window.pixels()).map(|p| {
                let is_good = from.state[p] & (state::NODATA | state::SATURATED) == 0;
                let sample = f64::from(from.samples[p * input.bands.len() + at]);
                if is_good { linear.apply(sample) } else { f64::NAN }
            });
            reference.push(own.collect::<Vec<_>>());
        }
        Ok(Errors::of(&by_band(&reference), &by_band(&degraded)))
    }
}

fn by_band(planes: &[Vec<f64>]) -> Vec<&[f64]> {
    planes.iter().map(Vec::as_slice).collect()
}

/// The product, its bands as interpolated, PAN, and PAN as each band sees it: values.
type Values = (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>, Vec<Vec<f64>>);

fn values(block: &Block, sharpening: &Sharpening, planes: &[usize], pan: usize) -> Values {
    let pixels = block.window.pixels();
    let physical = |samples: &[f32], plane: usize| -> Vec<f64> {
        samples.iter().map(|v| block.linear[plane].apply(f64::from(*v))).collect()
    };
    let mut scratch = Scratch::default();
    sharpening.prepare(block, planes, &mut scratch);
    let fused = planes.iter().enumerate().map(|(b, plane)| {
        let mut out = vec![f64::NAN; pixels];
        sharpening.values(block, (b, *plane, pan), &scratch, &mut out);
        out
    });
    (
        fused.collect(),
        planes.iter().map(|p| physical(block.plane(*p), *p)).collect(),
        physical(block.plane(pan), pan),
        sharpening.bands.iter().map(|b| physical(block.low(b.low), pan)).collect(),
    )
}

/// How good the products of a plan are, whose numbers are known. Uses the current rayon pool.
///
/// # Errors
/// Reading faults.
pub fn qualities(plan: &ScenePlan) -> Result<BTreeMap<String, survey::Quality>> {
    let mut all = BTreeMap::new();
    for (layer, low, product, sharpening) in products(plan) {
        let Some(of) = Of::new(layer, sharpening) else { continue };
        let judged = every(plan, layer, low, |look, bench| look.judge(&of, bench))?;
        let n = of.bands.len();
        let mut errors = Errors::default();
        judged.iter().filter(|j| j.errors.count > 0).for_each(|j| errors.merge(&j.errors));
        let blocks: Vec<&Vec<(f64, f64)>> = judged.iter().filter_map(|j| j.indices.as_ref()).collect();
        if blocks.is_empty() || errors.count == 0 {
            continue;
        }
        let count = blocks.len() as f64;
        let change = |k: usize| {
            let (a, b) = blocks.iter().fold((0.0, 0.0), |(a, b), q| (a + q[k].0, b + q[k].1));
            ((a - b) / count).abs()
        };
        let pairs = n * (n - 1) / 2;
        let mean = |at: std::ops::Range<usize>| match at.len() {
            0 => 0.0,
            of => at.map(change).sum::<f64>() / of as f64,
        };
        let (d_lambda, d_s) = (mean(0..pairs), mean(pairs..pairs + n));
        let ratio = layer.pixel_m / layer.inputs[of.input].pixel_area_m2.sqrt();
        all.insert(
            product.name.clone(),
            survey::Quality {
                windows: blocks.len() as u64,
                d_lambda,
                d_s,
                qnr: (1.0 - d_lambda) * (1.0 - d_s),
                ergas: errors.ergas(ratio),
                sam_deg: errors.sam_deg(),
            },
        );
    }
    Ok(all)
}
