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
        drop(self.changed.wait_while(state, |s| s.units > 0).unwrap_or_else(PoisonError::into_inner));
    }

    /// The seat of a worker that gets no unit any more. Before the last unit there is none: then memory is what is missing.
    pub fn seat(&self) -> Option<Seat<'_>> {
        let mut state = self.state();
        if !state.ends || state.units + state.helpers >= self.workers {
            return None;
        }
        state.helpers += 1;
        Some(Seat(self))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.state().helpers -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_those_of_workers_without_a_unit_once_all_units_fly() {
        let flight = Flight::new(3, Stop::default());
        (0..2).for_each(|_| flight.take_off(9));
        assert!(flight.seat().is_none());
        std::thread::scope(|scope| {
            scope.spawn(|| flight.wait_for_all());
            while !flight.state().ends {
                std::thread::yield_now();
            }
            let seat = flight.seat();
            assert!(seat.is_some() && flight.seat().is_none());
            drop(seat);
            flight.land();
            let seats = (flight.seat(), flight.seat());
            assert!(seats.0.is_some() && seats.1.is_some() && flight.seat().is_none());
            flight.land();
        });
        flight.take_off(9);
        assert!(flight.seat().is_none());
    }
}
