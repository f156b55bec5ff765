//! How many units are on their way, and whether more are wanted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::stop::Stop;

/// Units between admission and result.
#[derive(Debug)]
pub struct Flight {
    workers: usize,
    state: Mutex<State>,
    changed: Condvar,
    /// The scene failed.
    pub cancelled: Arc<AtomicBool>,
    /// Somebody asked for the end.
    pub stop: Stop,
}

#[derive(Debug, Default)]
struct State {
    units: usize,
    /// Threads that help with one of them.
    helpers: usize,
    /// No more units come.
    ends: bool,
}

/// The right to work in place of a worker that has no unit, until it is dropped.
pub struct Seat<'a>(&'a Flight);

impl Flight {
    /// None yet, for so many workers; ends when `stop` says so.
    pub fn new(workers: usize, stop: Stop) -> Self {
        Self { workers, state: Mutex::default(), changed: Condvar::new(), cancelled: Arc::default(), stop }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is to be begun.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.stop.is_asked()
    }

    /// Waits until fewer than `most` units fly, then adds one.
    pub fn take_off(&self, most: usize) {
        let mut state =
            self.changed.wait_while(self.state(), |s| s.units >= most).unwrap_or_else(PoisonError::into_inner);
        state.units += 1;
        state.ends = false;
    }

    /// One has landed.
    pub fn land(&self) {
        self.state().units -= 1;
        self.changed.notify_all();
    }

    /// Waits until none flies.
    pub fn wait_for_all(&self) {
        let mut state = self.state();
        state.ends = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |s| s.units > 0).unwrap_or_else(PoisonError::into_inner));
    }

    /// True once no more units come. Before, workers without one lack memory, not work.
    pub fn ends(&self) -> bool {
        self.state().ends
    }

    /// Waits for the seat of a worker that gets no unit any more, as long as there is a `wish`: `Some(true)` when there is
    /// something to do on it, `Some(false)` when there may be, and none when that is over.
    pub fn seat(&self, wish: impl Fn() -> Option<bool>) -> Option<Seat<'_>> {
        let waits = |s: &mut State| {
            let is_taken = !s.ends || s.units + s.helpers >= self.workers;
            wish().is_some_and(|now| !now || is_taken)
        };
        let mut state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        wish()?;
        state.helpers += 1;
        Some(Seat(self))
    }

    /// Has those who wait for a seat look again what is wished.
    pub fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.state().helpers -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_those_of_workers_without_a_unit_once_all_units_fly() {
        let flight = Flight::new(3, Stop::default());
        let (over, has_job) = (AtomicBool::new(false), AtomicBool::new(false));
        let seat = || flight.seat(|| (!over.load(Ordering::Relaxed)).then(|| has_job.load(Ordering::Relaxed)));
        (0..2).for_each(|_| flight.take_off(9));
        assert!(!flight.ends());
        // What is found is looked at when no thread waits any more: a test that fails is to end, too.
        let (waited, seated) = std::thread::scope(|scope| {
            let waits = |thread: &std::thread::ScopedJoinHandle<'_, Option<Seat<'_>>>| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                !thread.is_finished()
            };
            let first = scope.spawn(seat);
            let mut waited = vec![waits(&first)];
            scope.spawn(|| flight.wait_for_all());
            // A seat is there, but nothing to do on it.
            waited.push(waits(&first));
            has_job.store(true, Ordering::Relaxed);
            flight.wake();
            let first = first.join().unwrap();
            // All three work: the next seat is that of whoever lands or stands up first.
            let second = scope.spawn(seat);
            waited.push(waits(&second));
            flight.land();
            let second = second.join().unwrap();
            let third = scope.spawn(seat);
            waited.push(waits(&third));
            drop(first);
            let third = third.join().unwrap();
            let none = scope.spawn(seat);
            waited.push(waits(&none));
            over.store(true, Ordering::Relaxed);
            flight.wake();
            let seated = [second.is_some(), third.is_some(), none.join().unwrap().is_some()];
            flight.land();
            (waited, seated)
        });
        assert_eq!((waited, seated), (vec![true; 5], [true, true, false]));
        assert!(flight.ends());
        flight.take_off(9);
        assert!(!flight.ends());
    }
}
