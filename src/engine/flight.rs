//! How many units are on their way, and whether more are wanted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::stop::Stop;

/// Units between admission and result.
#[derive(Debug, Default)]
pub struct Flight {
    count: Mutex<usize>,
    changed: Condvar,
    /// The scene failed.
    pub cancelled: Arc<AtomicBool>,
    /// Somebody asked for the end.
    pub stop: Stop,
}

impl Flight {
    /// None yet; ends when `stop` says so.
    pub fn new(stop: Stop) -> Self {
        Self { stop, ..Self::default() }
    }

    /// Nothing more is to be begun.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.stop.is_asked()
    }

    /// Waits until fewer than `most` units fly, then adds one.
    pub fn take_off(&self, most: usize) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = self.changed.wait_while(count, |n| *n >= most).unwrap_or_else(PoisonError::into_inner);
        *count += 1;
    }

    /// One has landed.
    pub fn land(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.changed.notify_all();
    }

    /// Waits until none flies.
    pub fn wait_for_all(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(count, |n| *n > 0).unwrap_or_else(PoisonError::into_inner));
    }
}
