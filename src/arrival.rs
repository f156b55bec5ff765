//! Files whose bytes are still on their way: images in object storage or on web servers.
//!
//! Such an image is a file of the right length from the beginning, a hole but for its header. Whoever needs bytes of it
//! waits for them ([`Arrival::wait`]), and what is waited for is fetched before all else, in pieces of [`PIECE`] bytes, a few
//! at a time; then what is announced ([`Arrival::want`]), then the rest if all of it is wanted. So the first pixels are made
//! while the last are on their way, and what nobody asks for is never fetched.
//!
//! Invariant: a piece is fetched once, and nobody is told that it is there before it stands in the file.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};

/// Bytes that are fetched at once: few requests, and the first pixels soon.
pub const PIECE: u64 = 4 << 20;

/// Pieces of one file on their way together: while one waits for its answer, others fill the line.
const AT_ONCE: usize = 8;

/// The same of all files of a scene, bytes: more only share the same network.
pub const MOST_ON_THE_WAY: u64 = 16 * PIECE;

/// Short ranges that are fetched at once, for digests.
const PROBES_AT_ONCE: usize = 8;

/// Where the bytes of a file come from.
pub trait Origin: Send + Sync {
    /// These bytes, all of them.
    ///
    /// # Errors
    /// When they cannot be had.
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>>;

    /// What it means that the file cannot be written to.
    fn unwritten(&self, source: io::Error) -> Error;
}

/// A file that is being fetched.
pub struct Arrival {
    file: File,
    size: u64,
    origin: Box<dyn Origin>,
    state: Mutex<State>,
    /// Something is wanted, or nothing any more.
    work: Condvar,
    /// A piece came, or none will.
    news: Condvar,
    /// All of it is there.
    is_whole: AtomicBool,
    fetched: AtomicU64,
    waited: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Missing,
    Begun,
    Here,
}

#[derive(Debug)]
struct State {
    pieces: Vec<Piece>,
    /// Pieces that somebody waits for, the first asked for first.
    wanted: VecDeque<usize>,
    /// All of it is wanted, from here on and then from the start.
    all_from: Option<usize>,
    /// Threads that fetch.
    fetchers: usize,
    has_ended: bool,
    fault: Option<Error>,
}

impl State {
    /// Notes why nothing more will come.
    fn fail(&mut self, error: Error) {
        self.fault.get_or_insert(error);
        self.has_ended = true;
    }

    /// What to fetch next.
    fn next(&mut self) -> Option<usize> {
        while let Some(k) = self.wanted.pop_front() {
            if self.pieces[k] == Piece::Missing {
                return Some(k);
            }
        }
        let from = self.all_from?.min(self.pieces.len());
        let is_missing = |k: &usize| self.pieces[*k] == Piece::Missing;
        let next = (from..self.pieces.len()).find(is_missing).or_else(|| (0..from).find(is_missing));
        self.all_from = next;
        next
    }
}

impl Arrival {
    /// A file of so many bytes, open for writing, of which nothing is there. Nothing is fetched until it is wanted.
    pub fn new(file: File, size: u64, origin: Box<dyn Origin>) -> Arc<Self> {
        let state = State {
            pieces: vec![Piece::Missing; size.div_ceil(PIECE) as usize],
            wanted: VecDeque::new(),
            all_from: None,
            fetchers: 0,
            has_ended: false,
            fault: None,
        };
        Arc::new(Self {
            file,
            size,
            origin,
            state: Mutex::new(state),
            work: Condvar::new(),
            news: Condvar::new(),
            is_whole: AtomicBool::new(size == 0),
            fetched: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        })
    }

    /// Bytes that are on their way together, at most.
    pub fn most_at_once(&self) -> u64 {
        self.size.min(AT_ONCE as u64 * PIECE)
    }

    /// Bytes that were fetched so far.
    pub fn bytes(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Nanoseconds that threads waited here, together.
    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Has these bytes fetched before all that nobody asked for.
    pub fn want(self: &Arc<Self>, range: Range<u64>) {
        if !self.is_whole.load(Ordering::Acquire) {
            self.want_pieces(&mut self.lock(), pieces(&range), false);
        }
    }

    /// True if these bytes stand in the file.
    pub fn has(&self, range: &Range<u64>) -> bool {
        let pieces = pieces(range);
        self.is_whole.load(Ordering::Acquire) || self.lock().pieces.get(pieces).is_some_and(are_here)
    }

    /// Has all of it fetched, in the order of the file but for what is waited for.
    pub fn want_all(self: &Arc<Self>) {
        let mut state = self.lock();
        state.all_from.get_or_insert(0);
        self.engage(&mut state);
    }

    /// Asks for what is missing of some pieces, `now` where somebody waits for them.
    fn want_pieces(self: &Arc<Self>, state: &mut State, pieces: Range<usize>, now: bool) {
        let end = pieces.end;
        let missing: Vec<usize> = pieces.filter(|k| state.pieces.get(*k) == Some(&Piece::Missing)).collect();
        if missing.is_empty() {
            return;
        }
        if now {
            state.wanted.retain(|k| !missing.contains(k));
            missing.into_iter().rev().for_each(|k| state.wanted.push_front(k));
        } else {
            let new: Vec<usize> = missing.into_iter().filter(|k| !state.wanted.contains(k)).collect();
            state.wanted.extend(new);
        }
        // What is read next is, as a rule, what stands behind it.
        if let Some(from) = &mut state.all_from {
            *from = end;
        }
        self.engage(state);
    }

    /// Sees to it that there is somebody to fetch. Where no thread can be had, those who wait do it.
    fn engage(self: &Arc<Self>, state: &mut State) {
        self.work.notify_all();
        while state.fetchers < AT_ONCE.min(state.pieces.len()) && !state.has_ended {
            let own = Arc::clone(self);
            if std::thread::Builder::new().name("fetch".into()).spawn(move || own.fetch_on()).is_err() {
                break;
            }
            state.fetchers += 1;
        }
    }

    /// Fetches what is wanted until all is there, or nothing is wanted any more.
    fn fetch_on(&self) {
        let mut state = self.lock();
        while !state.has_ended && !self.is_whole.load(Ordering::Acquire) {
            state = match state.next() {
                Some(k) => self.fetch(state, k),
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Fetches a piece.
    fn fetch<'a>(&'a self, mut state: MutexGuard<'a, State>, k: usize) -> MutexGuard<'a, State> {
        state.pieces[k] = Piece::Begun;
        drop(state);
        let range = k as u64 * PIECE..((k as u64 + 1) * PIECE).min(self.size);
        let start = range.start;
        let write = |bytes: Vec<u8>| self.file.write_all_at(&bytes, start).map_err(|e| self.origin.unwritten(e));
        // Whoever waits must be told, whatever happens.
        let came = catch_unwind(AssertUnwindSafe(|| self.ask(range).and_then(write)));
        let came = came.unwrap_or_else(|_| Err(Error::bug("a panic while bytes were fetched")));
        let mut state = self.lock();
        match came {
            Ok(()) => {
                state.pieces[k] = Piece::Here;
                let is_whole = state.pieces.iter().all(|p| *p == Piece::Here);
                self.is_whole.store(is_whole, Ordering::Release);
            }
            Err(error) => state.fail(error),
        }
        if state.has_ended || self.is_whole.load(Ordering::Acquire) {
            self.work.notify_all();
        }
        self.news.notify_all();
        state
    }

    fn ask(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let bytes = self.origin.read(range.clone())?;
        self.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        match bytes.len() as u64 == range.end - range.start {
            true => Ok(bytes),
            false => Err(Error::bug("other bytes were fetched than were asked for")),
        }
    }

    /// Waits until these bytes stand in the file.
    ///
    /// # Errors
    /// When they will not: [`Arrival::fault`] says why.
    pub fn wait(self: &Arc<Self>, range: Range<u64>) -> io::Result<()> {
        if self.is_whole.load(Ordering::Acquire) {
            return Ok(());
        }
        let wanted = pieces(&(range.start.min(self.size)..range.end.min(self.size)));
        let mut state = self.lock();
        let is_here = |state: &State| state.pieces.get(wanted.clone()).is_some_and(are_here);
        if is_here(&state) {
            return Ok(());
        }
        let started = Instant::now();
        self.want_pieces(&mut state, wanted.clone(), true);
        while !is_here(&state) && !state.has_ended {
            let alone = if state.fetchers == 0 { state.next() } else { None };
            state = match alone {
                Some(k) => self.fetch(state, k),
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        self.waited.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        if is_here(&state) { Ok(()) } else { Err(Missing.into()) }
    }

    /// Waits until all of it is there.
    ///
    /// # Errors
    /// As [`Arrival::wait`].
    pub fn wait_for_all(self: &Arc<Self>) -> io::Result<()> {
        self.wait(0..self.size)
    }

    /// Some short ranges, in their order, fetched by themselves: to look at a file that may not be wanted at all.
    ///
    /// # Errors
    /// As [`Arrival::wait`].
    pub fn probe(&self, ranges: &[Range<u64>]) -> io::Result<Vec<Vec<u8>>> {
        let found: Vec<Mutex<Vec<u8>>> = ranges.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some((range, place)) = {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    ranges.get(k).zip(found.get(k)).filter(|_| !self.lock().has_ended)
                } {
                    match self.ask(range.clone()) {
                        Ok(bytes) => *place.lock().unwrap_or_else(PoisonError::into_inner) = bytes,
                        Err(error) => self.lock().fail(error),
                    }
                }
            };
            // The calling thread is one of them.
            for _ in 1..PROBES_AT_ONCE.min(ranges.len()) {
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        if self.lock().has_ended {
            return Err(Missing.into());
        }
        Ok(found.into_iter().map(|bytes| bytes.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
    }

    /// Why bytes did not come, if one was asked for and did not; told once.
    pub fn fault(&self) -> Option<Error> {
        self.lock().fault.take()
    }

    /// Nothing more is fetched; who still waits is told so.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.work.notify_all();
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that were waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("its bytes did not come")]
struct Missing;

impl From<Missing> for io::Error {
    fn from(missing: Missing) -> Self {
        Self::other(missing)
    }
}

/// True if an error is that bytes did not come, or comes from that.
pub fn is_missing(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_it = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Missing>())
    };
    is_it(error) || error.source().is_some_and(is_missing)
}

fn are_here(pieces: &[Piece]) -> bool {
    pieces.iter().all(|piece| *piece == Piece::Here)
}

/// The pieces that some bytes are in.
fn pieces(range: &Range<u64>) -> Range<usize> {
    let end = if range.is_empty() { range.start / PIECE } else { range.end.div_ceil(PIECE) };
    (range.start / PIECE) as usize..end as usize
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("size", &self.size).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The files of a scene that are on their way. How its bytes come does not make it another scene.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(BTreeMap<PathBuf, Arc<Arrival>>);

impl Arrivals {
    /// The one that becomes a file; `None` for those that are there.
    pub fn of(&self, path: &Path) -> Option<&Arc<Arrival>> {
        self.0.get(path)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Arrival>> {
        self.0.values()
    }
}

impl PartialEq for Arrivals {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl FromIterator<(PathBuf, Arc<Arrival>)> for Arrivals {
    fn from_iter<T: IntoIterator<Item = (PathBuf, Arc<Arrival>)>>(files: T) -> Self {
        Self(files.into_iter().collect())
    }
}

impl Arrivals {
    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn byte(at: u64) -> u8 {
        ((at >> 9) ^ at.wrapping_mul(31)) as u8
    }

    /// Bytes that say where they stand; each request goes to `asked`, and waits for `go` if there is one.
    struct Told {
        asked: Arc<Mutex<Vec<Range<u64>>>>,
        go: Option<Mutex<Receiver<()>>>,
        bad: Option<u64>,
    }

    impl Origin for Told {
        fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
            if let Some(go) = &self.go {
                go.lock().unwrap().recv().unwrap();
            }
            self.asked.lock().unwrap().push(range.clone());
            match self.bad.filter(|at| range.contains(at)) {
                Some(_) => Err(Error::bug("no answer")),
                None => Ok(range.map(byte).collect()),
            }
        }

        fn unwritten(&self, _: io::Error) -> Error {
            Error::bug("not written")
        }
    }

    type Asked = Arc<Mutex<Vec<Range<u64>>>>;

    fn arrival(size: u64, go: Option<Receiver<()>>, bad: Option<u64>) -> (Arc<Arrival>, File, Asked) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        let asked = Asked::default();
        let told = Told { asked: Arc::clone(&asked), go: go.map(Mutex::new), bad };
        (Arrival::new(file.try_clone().unwrap(), size, Box::new(told)), file, asked)
    }

    fn stands(file: &File, range: Range<u64>) -> bool {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, range.start).unwrap();
        range.zip(bytes).step_by(997).all(|(at, b)| byte(at) == b)
    }

    #[test]
    fn nothing_comes_unasked_and_all_of_it_comes_once() {
        let size = 9 * PIECE + 17;
        let (arrival, file, asked) = arrival(size, None, None);
        assert!(asked.lock().unwrap().is_empty());
        arrival.wait(5 * PIECE - 1..5 * PIECE + 1).unwrap();
        assert!(stands(&file, 4 * PIECE..6 * PIECE));
        assert_eq!(arrival.bytes(), 2 * PIECE);
        arrival.want_all();
        arrival.wait_for_all().unwrap();
        assert!(stands(&file, 0..size) && arrival.is_whole.load(Ordering::Relaxed));
        let mut asked = asked.lock().unwrap().clone();
        asked.sort_by_key(|r| r.start);
        assert!(asked.windows(2).all(|two| two[0].end == two[1].start), "{asked:?}");
        assert_eq!((asked[0].start, asked.last().unwrap().end, arrival.bytes()), (0, size, size));
        // Beyond the end there is nothing to wait for.
        arrival.wait(size..size + 10).unwrap();
        assert!(self::arrival(0, None, None).0.wait_for_all().is_ok());
    }

    #[test]
    fn what_is_waited_for_comes_before_the_rest_and_then_what_stands_behind_it() {
        let (go, gone) = channel();
        let (arrival, _, asked) = arrival(40 * PIECE, Some(gone), None);
        arrival.want_all();
        arrival.want(30 * PIECE..31 * PIECE);
        // Announced, so before the rest; waited for, so before what is announced.
        arrival.want(35 * PIECE..39 * PIECE);
        arrival.want_pieces(&mut arrival.lock(), 20..21, true);
        for _ in 0..40 {
            go.send(()).unwrap();
        }
        while !arrival.is_whole.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let order: Vec<u64> = asked.lock().unwrap().iter().map(|r| r.start / PIECE).collect();
        let place = |k: u64| order.iter().position(|o| *o == k).unwrap();
        // Some were on their way by then, at most as many as go at once.
        let first = |k: u64, before: usize| place(k) <= AT_ONCE + before;
        assert!(first(20, 0) && first(30, 1) && (35..39).all(|k| first(k, 5)), "{order:?}");
        assert!((21..30).all(|k| place(k) < place(19)), "{order:?}");
    }

    #[test]
    fn who_waits_is_told_when_nothing_will_come() {
        let (arrival, file, _) = arrival(8 * PIECE, None, Some(3 * PIECE));
        arrival.wait(0..PIECE).unwrap();
        arrival.want_all();
        let error = arrival.wait_for_all().unwrap_err();
        assert!(is_missing(&error) && !is_missing(&io::Error::other("its bytes did not come")));
        assert!(arrival.wait(3 * PIECE..4 * PIECE).is_err() && !arrival.has(&(0..8 * PIECE)));
        assert!(arrival.fault().unwrap().to_string().contains("no answer") && arrival.fault().is_none());
        assert!(arrival.wait(0..PIECE).is_ok() && stands(&file, 0..PIECE));

        let (_go, gone) = channel();
        let (arrival, ..) = self::arrival(8 * PIECE, Some(gone), None);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| arrival.wait_for_all().is_err());
            std::thread::sleep(Duration::from_millis(20));
            arrival.end();
            assert!(waits.join().unwrap());
        });
        assert!(arrival.fault().is_none() && arrival.waited() > 0);
    }

    #[test]
    fn short_ranges_are_looked_at_and_nothing_else_comes() {
        let (arrival, _, asked) = arrival(64 * PIECE, None, None);
        let ranges: Vec<_> = (0..16).map(|k| k * 3 * PIECE..k * 3 * PIECE + 100).collect();
        let found = arrival.probe(&ranges).unwrap();
        assert!(ranges.iter().zip(&found).all(|(r, bytes)| r.clone().map(byte).eq(bytes.iter().copied())));
        assert_eq!((asked.lock().unwrap().len(), arrival.bytes()), (16, 1600));
        let (arrival, ..) = self::arrival(64 * PIECE, None, Some(6 * PIECE));
        assert!(arrival.probe(&ranges).is_err() && arrival.fault().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn whoever_waits_finds_the_bytes(
            size in 1..12 * PIECE, reads in prop::collection::vec((0.0..1.0f64, 1..3 * PIECE), 1..12), all in any::<bool>()
        ) {
            let (arrival, file, asked) = arrival(size, None, None);
            if all {
                arrival.want_all();
            }
            let reads: Vec<Range<u64>> = reads
                .into_iter()
                .map(|(at, length)| ((at * size as f64) as u64, length))
                .map(|(start, length)| start..(start + length).min(size))
                .collect();
            let read = |range: Range<u64>| arrival.wait(range.clone()).is_ok() && stands(&file, range);
            let (read, reads) = (&read, &reads);
            let right = std::thread::scope(|scope| {
                let all: Vec<_> = reads.iter().map(|range| scope.spawn(move || read(range.clone()))).collect();
                all.into_iter().filter_map(|thread| thread.join().ok()).filter(|is_right| *is_right).count()
            });
            prop_assert_eq!(right, reads.len());
            let asked = asked.lock().unwrap();
            let mut starts: Vec<u64> = asked.iter().map(|r| r.start).collect();
            starts.sort_unstable();
            starts.dedup();
            prop_assert_eq!(starts.len(), asked.len());
        }
    }
}
