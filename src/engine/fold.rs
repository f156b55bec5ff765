//! From strips of stored pixels to compressed tiles: what becomes of one file under one unit.
//!
//! A strip is counted, handed to the codec's buffers and halved while it is in the cache; the full-resolution pixels of a
//! unit are never all in memory. Coarser levels are a third of it, and are folded when the last strip has come.

use std::time::Instant;

use fieldglow_kernels::lights::Lights;
use fieldglow_kernels::stats::{FloatStats, IntegerStats, add_interleaved};

use super::cell::OpenCell;
use super::report::StageSeconds;
use super::unit::{Made, Stats};
use crate::cog::{Codecs, CogError, Draft, EncodedTile, Encoder, Rows, TileIndex};
use crate::error::Result;
use crate::grid::Window;
use crate::picture;
use crate::product::{Encoding, Product, Program};
use crate::pyramid::{Share, halve_into};
use crate::raster::{RawTile, Samples};

/// What all files a thread works on share: compression contexts and buffers that grow to what they need once.
#[derive(Default)]
pub struct Tools {
    codecs: Codecs,
    buffers: Buffers,
    /// Two coarser levels of a unit, one made from the other.
    levels: (RawTile, RawTile),
}

impl Tools {
    /// Compresses a tile.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn compress(&mut self, encoder: &Encoder, draft: Draft) -> Result<EncodedTile> {
        let (tile, buffer) = encoder.finish(draft, &mut self.codecs)?;
        self.buffers.give(buffer);
        Ok(tile)
    }
}

/// Buffers of tiles, of whatever sizes: no more than were in use at once, though some come from threads that helped.
#[derive(Default)]
struct Buffers {
    free: Vec<Vec<u8>>,
    used: usize,
    most: usize,
}

impl Buffers {
    /// One for tiles of this file: nothing is cleared that need not be.
    fn take(&mut self, encoder: &Encoder) -> Vec<u8> {
        self.used += 1;
        self.most = self.most.max(self.used);
        let fits = self.free.iter().rposition(|b| b.len() == encoder.tile_bytes());
        fits.map_or_else(Vec::new, |k| self.free.swap_remove(k))
    }

    fn give(&mut self, buffer: Vec<u8>) {
        self.used = self.used.saturating_sub(1);
        if self.free.len() + self.used < self.most {
            self.free.push(buffer);
        }
    }
}

/// One file under one unit.
pub struct Fold {
    /// The rows that are next, as stored.
    pub strip: RawTile,
    /// The finest level that is kept: the one above full resolution, or that, if the file has no other.
    kept: RawTile,
    /// Tiles of a row of tiles at full resolution.
    drafts: Vec<Draft>,
    /// Tiles of the rows before.
    tiles: Vec<EncodedTile>,
    integers: Vec<IntegerStats>,
    floats: Vec<FloatStats>,
    lights: Vec<Lights>,
}

/// The file, and the pixels of it that are being made.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Its cell.
    pub cell: &'a OpenCell,
    /// Its number there.
    pub file: usize,
    /// What it holds.
    pub product: &'a Product,
    /// The unit.
    pub unit: Window,
}

impl Fold {
    /// For a file; its buffers come with its first unit.
    pub fn new(product: &Product) -> Self {
        Self {
            strip: product.raw_tile(0, 0),
            kept: product.raw_tile(0, 0),
            drafts: Vec::new(),
            tiles: Vec::new(),
            integers: Vec::new(),
            floats: Vec::new(),
            lights: Vec::new(),
        }
    }

    /// Prepares for a unit, whatever was done before.
    pub fn begin(&mut self, at: &Place<'_>) {
        let like = at.product.raw_tile(0, 0);
        let Window { rows, cols, .. } = at.unit;
        self.strip.reshape(&like, 0, cols);
        match at.cell.levels(at.file) {
            1 => self.kept.reshape(&like, rows, cols),
            _ => self.kept.reshape(&like, rows.div_ceil(2), cols.div_ceil(2)),
        }
        self.drafts.clear();
        self.tiles.clear();
        self.integers.clear();
        self.floats.clear();
        match at.product.encoding {
            Encoding::F32 => self.floats.resize(like.bands, FloatStats::default()),
            Encoding::ScaledI16 | Encoding::Bits | Encoding::Shown => {
                self.integers.resize(like.bands, IntegerStats::default());
            }
        }
        self.lights.clear();
    }

    /// Bytes of a pixel of the file, before compression.
    pub fn pixel_bytes(&self) -> usize {
        self.strip.bands * self.strip.samples.size()
    }

    /// Takes the strip as rows `top..` of the unit. Strips start at even rows.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn take_strip(
        &mut self,
        at: &Place<'_>,
        top: usize,
        tools: &mut Tools,
        seconds: &mut StageSeconds,
    ) -> Result<()> {
        let started = Instant::now();
        self.count(at.product);
        if at.cell.levels(at.file) == 1 {
            self.kept.copy(&self.strip, ((0, 0), (top, 0)), (self.strip.rows, self.strip.cols));
            seconds.fold += started.elapsed().as_secs_f64();
            return Ok(());
        }
        halve_into(&self.strip, at.product.encoding.overview_rule(), &mut self.kept, top / 2);
        let folded = Instant::now();
        seconds.fold += (folded - started).as_secs_f64();
        let encoder = at.cell.encoder(at.file);
        let tile = encoder.tile();
        let (mut row, end) = (at.unit.row as usize + top, at.unit.row as usize + top + self.strip.rows);
        let mut done = 0;
        while row < end {
            self.compress(at, tools)?;
            let rows = (end - row).min(tile - row % tile);
            for (k, col) in (0..self.strip.cols).step_by(tile).enumerate() {
                if k == self.drafts.len() {
                    let index = TileIndex { level: 0, row: row / tile, col: (at.unit.col as usize + col) / tile };
                    self.drafts.push(encoder.start(index, tools.buffers.take(encoder))?);
                }
                fill(encoder, &mut self.drafts[k], &self.strip, (done, col), rows, &mut tools.codecs)?;
            }
            (row, done) = (row + rows, done + rows);
        }
        seconds.encode += folded.elapsed().as_secs_f64();
        Ok(())
    }

    /// Compresses the row of tiles whose rows have all come, if it is one.
    fn compress(&mut self, at: &Place<'_>, tools: &mut Tools) -> Result<()> {
        if self.drafts.first().is_some_and(|d| d.missing() == 0) {
            for draft in self.drafts.drain(..) {
                self.tiles.push(tools.compress(at.cell.encoder(at.file), draft)?);
            }
        }
        Ok(())
    }

    /// Takes the unit's share of every level that was kept, and gives what the unit made of the file, `valid` pixels of which
    /// are, with the tiles that are still to be compressed. What else is made of the unit does not matter here: another thread
    /// may do it.
    ///
    /// # Errors
    /// Those of the encoder, and of pictures.
    pub fn close(
        &mut self,
        at: &Place<'_>,
        valid: u64,
        tools: &mut Tools,
        seconds: &mut StageSeconds,
    ) -> Result<(Made, Vec<Draft>)> {
        let mut drafts = std::mem::take(&mut self.drafts);
        let mut picture = None;
        let levels = at.cell.levels(at.file);
        let first = usize::from(levels > 1);
        let Tools { codecs, buffers, levels: (finer, coarser) } = tools;
        let (mut finer, mut coarser) = (finer, coarser);
        for level in first..levels {
            let started = Instant::now();
            let mut encoding = 0.0;
            let pixels = if level == first { &self.kept } else { &*finer };
            let share = Share { level, row: at.unit.row as usize >> level, col: at.unit.col as usize >> level, pixels };
            at.cell.assembly(at.file).add(&share, |(level, row, col), tile| -> Result<()> {
                let started = Instant::now();
                let encoder = at.cell.encoder(at.file);
                let mut draft = encoder.start(TileIndex { level, row, col }, buffers.take(encoder))?;
                fill(encoder, &mut draft, tile.pixels, (tile.row, tile.col), tile.rows, codecs)?;
                drafts.push(draft);
                encoding += started.elapsed().as_secs_f64();
                // The coarsest level is a single tile: small enough to be looked at.
                if let Some((shape, style)) = at.cell.picture(at.file).filter(|_| level + 1 == levels) {
                    picture = Some(picture::png(tile.pixels, shape, style)?);
                }
                Ok(())
            })?;
            if level + 1 < levels {
                coarser.reshape(pixels, pixels.rows.div_ceil(2), pixels.cols.div_ceil(2));
                halve_into(pixels, at.product.encoding.overview_rule(), coarser, 0);
                std::mem::swap(&mut finer, &mut coarser);
            }
            seconds.fold += started.elapsed().as_secs_f64() - encoding;
            seconds.encode += encoding;
        }
        let integers = self.integers.iter().copied().map(Stats::Integer);
        let stats = integers.chain(self.floats.iter().copied().map(Stats::Float)).collect();
        let (tiles, lights) = (std::mem::take(&mut self.tiles), std::mem::take(&mut self.lights));
        Ok((Made { file: at.file, tiles, stats, lights, picture, valid }, drafts))
    }

    /// Adds the strip to the statistics.
    fn count(&mut self, product: &Product) {
        let nodata = product.encoding.nodata() as i32;
        match &self.strip.samples {
            Samples::U8(v) => add_interleaved(&mut self.integers, v, nodata),
            Samples::I16(v) => add_interleaved(&mut self.integers, v, nodata),
            Samples::U16(v) => add_interleaved(&mut self.integers, v, nodata),
            Samples::F32(v) => {
                let bands = self.strip.bands;
                let of_band = |b: usize| v[b..].iter().copied().step_by(bands);
                for (b, sum) in self.floats.iter_mut().enumerate() {
                    sum.merge(&FloatStats::of(of_band(b)));
                }
                if let Program::Night(night) = &product.program {
                    self.lights.resize(night.len(), Lights::default());
                    for (b, (sum, band)) in self.lights.iter_mut().zip(night).enumerate() {
                        sum.merge(&Lights::of(of_band(b), band.lit));
                    }
                }
            }
        }
    }
}

/// Gives a tile its next `rows` rows: those of `pixels` from row and column `at` on.
fn fill(
    encoder: &Encoder,
    draft: &mut Draft,
    pixels: &RawTile,
    at: (usize, usize),
    rows: usize,
    codecs: &mut Codecs,
) -> Result<(), CogError> {
    let stride = pixels.cols * pixels.bands;
    let start = at.0 * stride + at.1 * pixels.bands;
    match &pixels.samples {
        Samples::U8(v) => encoder.fill(draft, Rows { samples: &v[start..], stride, rows }, codecs),
        Samples::I16(v) => encoder.fill(draft, Rows { samples: &v[start..], stride, rows }, codecs),
        Samples::U16(v) => encoder.fill(draft, Rows { samples: &v[start..], stride, rows }, codecs),
        Samples::F32(v) => encoder.fill(draft, Rows { samples: &v[start..], stride, rows }, codecs),
    }
}
