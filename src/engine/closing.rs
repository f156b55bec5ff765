//! The end of a unit, which is most of its work: its files are folded to their coarsest levels, the largest file first, as it
//! takes longest from then on, and their tiles are compressed.
//!
//! At the end of a scene the last units would keep a few workers busy and leave the others without any: those help with them,
//! tile by tile, as soon as they have nothing else to do.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::flight::Flight;
use super::fold::{Fold, Place, Tools};
use super::report::StageSeconds;
use super::unit::{Deliver, Made};
use crate::cog::Draft;
use crate::error::{Error, Result};

/// The files of a unit on their way to their last tiles.
pub struct Closing<'a, P> {
    place: P,
    /// Valid pixels of the unit.
    valid: u64,
    deliver: Deliver<'a>,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    /// Files that nobody began to close, and their numbers in the layer.
    files: VecDeque<(usize, &'a mut Fold)>,
    /// Threads that close a file, which may bring tiles.
    closing: usize,
    /// Tiles that nobody began to compress, by the number of their file.
    drafts: VecDeque<(usize, Draft)>,
    /// What was made of files that lack so many tiles.
    made: BTreeMap<usize, (Made, usize)>,
    /// It failed: nothing more is to be begun.
    failed: bool,
}

impl State<'_> {
    fn has_job(&self) -> bool {
        !(self.failed || self.files.is_empty() && self.drafts.is_empty())
    }

    /// True when no job is left and none comes.
    fn is_over(&self) -> bool {
        !self.has_job() && (self.failed || self.closing == 0)
    }
}

/// What is to be done however a scope is left.
struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

enum Job<'a> {
    Close(usize, &'a mut Fold),
    Compress(usize, Draft),
}

impl<'a, 'p, P: Fn(usize) -> Place<'p> + Sync> Closing<'a, P> {
    /// For the files of a unit, all strips of which have come.
    pub fn new(folds: &'a mut [Fold], place: P, valid: u64, deliver: Deliver<'a>) -> Self {
        let mut files: Vec<_> = folds.iter_mut().enumerate().collect();
        files.sort_by_key(|(_, fold)| Reverse(fold.pixel_bytes()));
        let (drafts, made) = (VecDeque::new(), BTreeMap::new());
        let state = State { files: files.into(), closing: 0, drafts, made, failed: false };
        Self { place, valid, deliver, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Does all of it, with those who have nothing else to do.
    ///
    /// # Errors
    /// Those of the encoder, and of pictures.
    pub fn run(&self, tools: &mut Tools, flight: &Flight, seconds: &mut StageSeconds) -> Result<()> {
        std::thread::scope(|scope| {
            let usher = || {
                let mut helpers = Vec::new();
                while let Some(seat) = flight.seat(|| self.wish()) {
                    let help = move || -> Result<StageSeconds> {
                        let _seat = seat;
                        let (mut tools, mut seconds) = (Tools::default(), StageSeconds::default());
                        // Should it fail, nothing more of the unit is begun.
                        let succeeded = Cell::new(false);
                        let _ended = Finally(|| {
                            self.state().failed |= !succeeded.get();
                            self.changed.notify_all();
                            flight.wake();
                        });
                        while let Some(job) = self.next_now() {
                            self.work(job, flight, &mut tools, &mut seconds)?;
                        }
                        succeeded.set(true);
                        Ok(seconds)
                    };
                    match std::thread::Builder::new().name("helper".into()).spawn_scoped(scope, help) {
                        Ok(helper) => helpers.push(helper),
                        // Where no thread can be had, the worker does it.
                        Err(_) => break,
                    }
                }
                helpers
            };
            let mut ushers = Vec::new();
            {
                // However it ends, nobody waits for a seat any more: all of it was begun, or it failed.
                let _over = Finally(|| {
                    let mut state = self.state();
                    state.failed |= !state.is_over();
                    drop(state);
                    flight.wake();
                });
                loop {
                    if ushers.is_empty() && flight.ends() {
                        ushers.extend(std::thread::Builder::new().name("usher".into()).spawn_scoped(scope, usher));
                    }
                    let Some(job) = self.next() else { break };
                    self.work(job, flight, tools, seconds)?;
                }
            }
            for helper in ushers.into_iter().flat_map(|usher| usher.join().unwrap_or_else(|panic| resume_unwind(panic)))
            {
                seconds.add(&helper.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(())
        })
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What those who look for a seat are to know: whether there is something to do, and nothing when it is over.
    fn wish(&self) -> Option<bool> {
        let state = self.state();
        (!state.is_over()).then(|| state.has_job())
    }

    /// Takes what is to be done next. A file's tiles come before the next file, so that the tiles of one file per thread wait at
    /// most.
    fn begin(state: &mut State<'a>) -> Option<Job<'a>> {
        if !state.has_job() {
            return None;
        }
        if let Some((file, draft)) = state.drafts.pop_front() {
            return Some(Job::Compress(file, draft));
        }
        let (file, fold) = state.files.pop_front()?;
        state.closing += 1;
        Some(Job::Close(file, fold))
    }

    /// What is to be done next, if there is something now.
    fn next_now(&self) -> Option<Job<'a>> {
        Self::begin(&mut self.state())
    }

    /// The same; waits while others may bring something.
    fn next(&self) -> Option<Job<'a>> {
        let waits = |s: &mut State<'a>| !s.has_job() && !s.is_over();
        Self::begin(&mut self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner))
    }

    fn work(&self, job: Job<'a>, flight: &Flight, tools: &mut Tools, seconds: &mut StageSeconds) -> Result<()> {
        match job {
            Job::Close(file, fold) => {
                // However it ends, nobody waits for its tiles any more.
                let _closed = Finally(|| {
                    self.state().closing -= 1;
                    self.changed.notify_all();
                    if flight.ends() {
                        flight.wake();
                    }
                });
                self.close(file, fold, tools, seconds)
            }
            Job::Compress(file, draft) => {
                let started = Instant::now();
                let at = (self.place)(file);
                let tile = tools.compress(at.cell.encoder(at.file), draft)?;
                seconds.encode += started.elapsed().as_secs_f64();
                let mut state = self.state();
                let Some((made, missing)) = state.made.get_mut(&file) else {
                    return Err(Error::bug("a tile of a file that has all of its tiles"));
                };
                made.tiles.push(tile);
                *missing -= 1;
                let whole = if *missing == 0 { state.made.remove(&file) } else { None };
                drop(state);
                whole.into_iter().for_each(|(made, _)| (self.deliver)(made));
                Ok(())
            }
        }
    }

    fn close(&self, file: usize, fold: &mut Fold, tools: &mut Tools, seconds: &mut StageSeconds) -> Result<()> {
        let (made, drafts) = fold.close(&(self.place)(file), self.valid, tools, seconds)?;
        if drafts.is_empty() {
            (self.deliver)(made);
            return Ok(());
        }
        let mut state = self.state();
        state.made.insert(file, (made, drafts.len()));
        state.drafts.extend(drafts.into_iter().map(|draft| (file, draft)));
        Ok(())
    }
}
