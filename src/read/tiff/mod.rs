//! Simple TIFFs, read without GDAL: strips and tiles of whole samples, plain or compressed.
//!
//! Through GDAL every thread has a handle of its own, which decodes a block that others have decoded already, copies it
//! band by band into a cache and from there again. Here blocks are decoded once, kept for all threads ([`BlockCache`]), and
//! turned into the samples of a window in one pass; plain files are read straight from their bytes.
//!
//! A block is always decoded whole: libdeflate cannot stop early. What is kept of a wide one are the columns that are said to
//! be asked for next ([`Reader::keep`]).

mod cache;
mod convert;
mod decode;
mod layout;
mod predictor;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Result};
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use cache::BlockCache;
use cache::{Key, Look};
use convert::Spread;
use decode::Decoder;
pub use layout::Sample;
use layout::{Layout, Packing};

use super::{Account, Strips};
use crate::arrival::{Arrival, is_missing};
use crate::grid::Window;

/// A simple TIFF.
#[derive(Debug)]
pub struct Reader {
    file: File,
    length: u64,
    /// Where its bytes come from, if they are not all there.
    arrival: Option<Arc<Arrival>>,
    layout: Layout,
    /// Number of the file in the cache.
    number: u64,
    cache: Arc<BlockCache>,
    /// Columns that are kept of wide blocks: as was said last, and before, for windows on their way.
    keep: Mutex<[Range<usize>; 2]>,
    tally: Tally,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Tally {
    decoded_blocks: AtomicU64,
    decoded_bytes: AtomicU64,
    decoding: AtomicU64,
    decoded_twice: AtomicU64,
    decoded_ahead: AtomicU64,
    reused_blocks: AtomicU64,
}

/// Memory of one thread, reused from window to window.
#[derive(Debug, Default)]
pub struct Scratch {
    decoder: Decoder,
    /// Bytes as they stand in the file.
    bytes: Vec<u8>,
    /// For the next block to be decoded into.
    spare: Vec<u8>,
    /// A whole block of which a part is kept.
    whole: Vec<u8>,
    /// Blocks that another thread was decoding.
    later: Vec<Piece>,
}

/// A block that a window touches.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Its place in the file.
    index: usize,
    /// Its first row and column in the image.
    origin: (usize, usize),
    /// Place of its band among those asked for; 0 where blocks hold all bands.
    plane: usize,
}

/// A window as it was asked for.
#[derive(Debug, Clone)]
struct Request<'a> {
    bands: &'a [usize],
    rows: Range<usize>,
    cols: Range<usize>,
    /// Columns that are kept of blocks that it touches, at least its own.
    keep: Range<usize>,
    /// All bands, in file order.
    is_all: bool,
}

/// Why a window cannot be read.
#[derive(Debug)]
pub struct Fault {
    /// The band, counted from 0, if it is of one.
    pub band: Option<usize>,
    /// What happened.
    pub source: Error,
}

/// So many blocks at most are decoded ahead for one that another thread is decoding, and no more than this share of the cache.
const MOST_AHEAD: usize = 4;
const AHEAD_SHARE: u64 = 8;

/// Columns of a block from which on several windows beside each other lie in it.
const WIDE: usize = 1024;

static FILES: AtomicU64 = AtomicU64::new(0);

impl Reader {
    /// A reader of a file with these rows, columns and bands; `None` if it is not simple.
    pub fn open(
        path: &Path,
        shape: (usize, usize),
        bands: usize,
        cache: Arc<BlockCache>,
        arrival: Option<Arc<Arrival>>,
    ) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let layout = Layout::of(path, BufReader::new(&file), shape, bands, arrival.as_deref())?;
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let keep = Mutex::new([0..layout.cols, 0..layout.cols]);
        Some(Self { file, length, arrival, layout, number, cache, keep, tally: Tally::default() })
    }

    /// Of wide blocks, only these columns are kept from now on: windows beyond them decode blocks anew.
    pub fn keep(&self, cols: Range<usize>) {
        if self.strips().is_some() {
            let all = 0..self.layout.cols;
            // To cut a little off is not worth the copy, nor to decode what another row of cells finds here.
            let cols = if cols.len() > all.len() / 2 { all } else { cols };
            let mut keep = self.keep.lock().unwrap_or_else(PoisonError::into_inner);
            if keep[0] != cols {
                let before = mem::replace(&mut keep[0], cols);
                keep[1] = before;
            }
        }
    }

    /// Its strips, if there are any to be decoded, or tiles that are like strips.
    pub fn strips(&self) -> Option<Strips> {
        let Layout { cols, bands, sample, block: (rows, width), packing, .. } = &self.layout;
        let is_wide = *packing != Packing::Plain && *width > WIDE;
        is_wide.then(|| Strips { rows: *rows, row_bytes: (*(cols.max(width)) * bands * sample.bytes()) as u64 })
    }

    /// Bytes of all samples, if they are compressed; else 0.
    pub fn packed_bytes(&self) -> u64 {
        let Layout { rows, cols, bands, sample, packing, .. } = &self.layout;
        if *packing == Packing::Plain { 0 } else { (rows * cols * bands * sample.bytes()) as u64 }
    }

    /// True for ZSTD.
    #[cfg(any(test, fuzzing))]
    pub fn is_zstd(&self) -> bool {
        self.layout.packing == Packing::Zstd
    }

    /// Type of its samples.
    pub fn sample(&self) -> Sample {
        self.layout.sample
    }

    /// What was done so far.
    pub fn account(&self) -> Account {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Account {
            decoded_blocks: of(&self.tally.decoded_blocks),
            decoded_bytes: of(&self.tally.decoded_bytes),
            decoding: of(&self.tally.decoding),
            decoded_twice: of(&self.tally.decoded_twice),
            decoded_ahead: of(&self.tally.decoded_ahead),
            reused_blocks: of(&self.tally.reused_blocks),
            waiting: 0,
        }
    }

    /// Reads a window of some bands, counted from 0, samples side by side, (row, col, band).
    ///
    /// # Errors
    /// When the window or `out` do not fit, and for blocks that cannot be read or decoded. `out` may be written to in part
    /// then.
    pub fn read(
        &self,
        bands: &[usize],
        window: Window,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> std::result::Result<(), Fault> {
        let request = self.request(bands, window, out.len()).map_err(|source| Fault { band: None, source })?;
        // All at once, so that they come beside each other.
        self.want(&request);
        let mut later = mem::take(&mut scratch.later);
        later.clear();
        let mut result = self.pieces(&request, |piece| match self.layout.packing {
            Packing::Plain => self.copy_plain(piece, &request, &mut scratch.bytes, out),
            _ => match self.cache.look(self.key(piece, &request)) {
                Look::Kept(block) => {
                    self.tally.reused_blocks.fetch_add(1, Ordering::Relaxed);
                    self.copy(piece, &request, &block, out);
                    Ok(())
                }
                Look::Missing(_claim) => {
                    let block = self.decode(self.key(piece, &request), scratch)?;
                    self.copy(piece, &request, &block, out);
                    Ok(())
                }
                Look::Begun => {
                    later.push(piece);
                    Ok(())
                }
            },
        });
        for piece in later.drain(..) {
            if result.is_ok() {
                result =
                    self.finish(piece, &request, scratch, out).map_err(|source| self.fault(piece, &request, source));
            }
        }
        scratch.later = later;
        result
    }

    /// Has the bytes of a window come, if they are on their way.
    pub fn announce(&self, bands: &[usize], window: Window) {
        if let Ok(request) = self.request(bands, window, usize::MAX) {
            self.want(&request);
        }
    }

    fn want(&self, request: &Request<'_>) {
        if let Some(arrival) = &self.arrival {
            let want = |piece| {
                self.bytes_of(piece, request).into_iter().for_each(|range| arrival.want(range));
                Ok(())
            };
            // Nothing here can fail.
            let _ = self.pieces(request, want);
        }
    }

    /// A piece that another thread was decoding when it was asked for first.
    fn finish(&self, piece: Piece, request: &Request<'_>, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        let key = self.key(piece, request);
        let mut look = self.cache.look(key);
        // Decoding it too would be in vain as a rule; in the same time a block of the next windows is ready.
        for ahead in 0..self.most_ahead(key) {
            if !matches!(look, Look::Begun) || !self.decode_ahead(piece, ahead, request, scratch) {
                break;
            }
            look = self.cache.look(key);
        }
        let (count, block) = match &look {
            Look::Kept(block) => (&self.tally.reused_blocks, Arc::clone(block)),
            // Waiting could take as long, or for ever.
            Look::Begun | Look::Missing(_) => (&self.tally.decoded_twice, self.decode(key, scratch)?),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.copy(piece, request, &block, out);
        Ok(())
    }

    /// Columns that are kept of a block, counted from its first.
    fn kept(&self, piece: Piece, request: &Request<'_>) -> Range<usize> {
        let (left, cols) = (piece.origin.1, self.layout.block.1);
        request.keep.start.saturating_sub(left).min(cols)..request.keep.end.saturating_sub(left).min(cols)
    }

    fn key(&self, piece: Piece, request: &Request<'_>) -> Key {
        let cols = self.kept(piece, request);
        (self.number, piece.index, (cols.start, cols.end))
    }

    /// Blocks of which as much is kept as of this one that may be decoded ahead at once.
    fn most_ahead(&self, (.., (start, end)): Key) -> usize {
        let bytes = self.layout.block.0 * (end - start) * self.layout.pixel_bytes();
        MOST_AHEAD.min((self.cache.capacity() / AHEAD_SHARE) as usize / bytes.max(1))
    }

    /// Decodes a block under the window, where windows from top to bottom go next; false if there is none. A fault there is
    /// told of when it is asked for.
    fn decode_ahead(&self, piece: Piece, by: usize, request: &Request<'_>, scratch: &mut Scratch) -> bool {
        let layout = &self.layout;
        let down = request.rows.end.div_ceil(layout.block.0) + by;
        let index = piece.index + (down - piece.origin.0 / layout.block.0) * layout.across();
        if down >= layout.down() {
            return false;
        }
        let next = Piece { index, ..piece };
        // Nor is anything fetched that nobody asked for.
        let is_there = |arrival: &Arc<Arrival>| self.bytes_of(next, request).is_some_and(|range| arrival.has(&range));
        if self.arrival.as_ref().is_some_and(|arrival| !is_there(arrival)) {
            return false;
        }
        let key = self.key(next, request);
        if let Look::Missing(_claim) = self.cache.look(key)
            && self.decode(key, scratch).is_ok()
        {
            self.tally.decoded_ahead.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    fn fault(&self, piece: Piece, request: &Request<'_>, source: Error) -> Fault {
        let band = if self.layout.is_planar { request.bands.get(piece.plane).copied() } else { None };
        // That bytes did not come is no fault of the block.
        let source = match is_missing(&source) {
            true => source,
            false => Error::new(source.kind(), format!("{}: {source}", self.layout.name(piece.index))),
        };
        Fault { band, source }
    }

    fn request<'a>(&self, bands: &'a [usize], window: Window, room: usize) -> Result<Request<'a>> {
        let layout = &self.layout;
        let is_inside = window.intersect(Window::new(0, 0, layout.rows, layout.cols)) == window;
        let fits = window.pixels().checked_mul(bands.len()).is_some_and(|n| n <= room);
        if !is_inside || !fits || bands.iter().any(|b| *b >= layout.bands) {
            let (rows, cols, bands) = (layout.rows, layout.cols, layout.bands);
            let what = format!("the window is not within {cols}×{rows} pixels of {bands} bands, or has no room");
            return Err(Error::new(ErrorKind::InvalidInput, what));
        }
        let (top, left) = (window.row as usize, window.col as usize);
        let cols = left..left + window.cols;
        let holds = |keep: &&Range<usize>| keep.start <= cols.start && cols.end <= keep.end;
        let keep = self.keep.lock().unwrap_or_else(PoisonError::into_inner).iter().find(holds).cloned();
        Ok(Request {
            bands,
            rows: top..top + window.rows,
            // All of tiles that stick out, too.
            keep: keep.filter(|keep| *keep != (0..layout.cols)).unwrap_or(0..usize::MAX),
            cols,
            is_all: !layout.is_planar && bands.iter().copied().eq(0..layout.bands),
        })
    }

    /// Calls `each` with all blocks that the window touches, from top to bottom, until one fails.
    fn pieces(
        &self,
        request: &Request<'_>,
        mut each: impl FnMut(Piece) -> Result<()>,
    ) -> std::result::Result<(), Fault> {
        let layout = &self.layout;
        if request.rows.is_empty() || request.cols.is_empty() || request.bands.is_empty() {
            return Ok(());
        }
        let (rows, cols) = layout.block;
        let planes: &[usize] = if layout.is_planar { request.bands } else { &[0] };
        // All bands of some rows, then the next rows: the samples are still in the core's cache.
        for down in request.rows.start / rows..request.rows.end.div_ceil(rows) {
            for (plane, band) in planes.iter().enumerate() {
                for across in request.cols.start / cols..request.cols.end.div_ceil(cols) {
                    let index = (band * layout.down() + down) * layout.across() + across;
                    let piece = Piece { index, origin: (down * rows, across * cols), plane };
                    each(piece).map_err(|source| self.fault(piece, request, source))?;
                }
            }
        }
        Ok(())
    }

    /// Reads and decodes a block, and keeps what the key says of it.
    fn decode(&self, key: Key, scratch: &mut Scratch) -> Result<Arc<Vec<u8>>> {
        let (_, index, (first, end)) = key;
        let count = self.layout.counts.get(index).map_or(0, |n| *n as usize);
        scratch.bytes.resize(count, 0);
        if count > 0 {
            let start = self.start(index, 0, count)?;
            self.wait(start, count)?;
            self.file.read_exact_at(&mut scratch.bytes, start)?;
        }
        let is_whole = (first, end) == (0, self.layout.block.1);
        let mut raw = mem::take(if is_whole { &mut scratch.spare } else { &mut scratch.whole });
        let started = Instant::now();
        scratch.decoder.decode(&self.layout, index, &scratch.bytes, &mut raw)?;
        self.tally.decoding.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.tally.decoded_blocks.fetch_add(1, Ordering::Relaxed);
        self.tally.decoded_bytes.fetch_add(raw.len() as u64, Ordering::Relaxed);
        if !is_whole {
            let kept = self.layout.columns(first..end, &raw, mem::take(&mut scratch.spare));
            scratch.whole = mem::replace(&mut raw, kept);
        }
        Ok(self.cache.keep(key, raw, &mut scratch.spare))
    }

    /// Where some bytes of a block stand, if that is inside the file.
    fn start(&self, index: usize, at: usize, count: usize) -> Result<u64> {
        let begin = self.layout.offsets.get(index).copied().unwrap_or(u64::MAX);
        let start = begin.checked_add(at as u64);
        let ends = start.and_then(|s| s.checked_add(count as u64)).is_some_and(|end| end <= self.length);
        start.filter(|_| ends).ok_or_else(|| {
            let what = format!("{count} bytes from {begin} on would go beyond its end at {}", self.length);
            Error::new(ErrorKind::UnexpectedEof, what)
        })
    }

    /// Bytes of the file that are read for a block, if they are in it: all of a compressed one, of a plain one the rows of the
    /// window.
    fn bytes_of(&self, piece: Piece, request: &Request<'_>) -> Option<Range<u64>> {
        let bytes = match self.layout.packing {
            Packing::Plain => {
                let mut runs = self.runs(piece, request, 0..self.layout.block.1).map(|(from, _)| from);
                let first = runs.next()?;
                first.start..runs.last().map_or(first.end, |last| last.end)
            }
            _ => 0..*self.layout.counts.get(piece.index)? as usize,
        };
        let start = self.start(piece.index, bytes.start, bytes.len()).ok()?;
        Some(start..start + bytes.len() as u64)
    }

    /// Waits for bytes of the file, if they are on their way.
    fn wait(&self, start: u64, count: usize) -> Result<()> {
        self.arrival.as_ref().map_or(Ok(()), |arrival| arrival.wait(start..start + count as u64))
    }

    /// Copies what the window needs of a decoded block.
    fn copy(&self, piece: Piece, request: &Request<'_>, block: &[u8], out: &mut [f32]) {
        let spread = self.spread(piece, request);
        for (from, to) in self.runs(piece, request, self.kept(piece, request)) {
            spread.convert(self.layout.sample, &block[from], &mut out[to]);
        }
    }

    /// Reads what the window needs of a plain block.
    fn copy_plain(&self, piece: Piece, request: &Request<'_>, bytes: &mut Vec<u8>, out: &mut [f32]) -> Result<()> {
        if let Some(Range { start, end }) = self.bytes_of(piece, request) {
            self.wait(start, (end - start) as usize)?;
        }
        let spread = self.spread(piece, request);
        for (from, to) in self.runs(piece, request, 0..self.layout.block.1) {
            let start = self.start(piece.index, from.start, from.len())?;
            bytes.resize(from.len(), 0);
            self.file.read_exact_at(bytes, start)?;
            if self.layout.is_big_endian {
                predictor::swap(bytes, self.layout.sample.bytes());
            }
            spread.convert(self.layout.sample, bytes, &mut out[to]);
        }
        Ok(())
    }

    fn spread<'a>(&self, piece: Piece, request: &Request<'a>) -> Spread<'a> {
        if request.is_all {
            Spread::All
        } else if self.layout.is_planar {
            Spread::Plane { at: piece.plane, of: request.bands.len() }
        } else {
            Spread::Chosen { bands: request.bands, of: self.layout.bands }
        }
    }

    /// The rows that block and window share: bytes in these columns of the block, samples in the window.
    fn runs(
        &self,
        piece: Piece,
        request: &Request<'_>,
        kept: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (top, left) = piece.origin;
        let (rows, cols) = self.layout.block;
        let (pixel, bands) = (self.layout.pixel_bytes(), request.bands.len());
        let (first_row, width) = (request.rows.start, request.cols.len());
        let first = request.cols.start.max(left);
        let count = request.cols.end.min(left.saturating_add(cols)) - first;
        let inside = first - request.cols.start;
        (first_row.max(top)..request.rows.end.min(top.saturating_add(rows))).map(move |row| {
            let from = ((row - top) * kept.len() + first - left - kept.start) * pixel;
            let to = ((row - first_row) * width + inside) * bands;
            (from..from + count * pixel, to..to + count * bands)
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.cache.forget(self.number);
    }
}
