//! The memory budget: bytes are reserved before they are allocated.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes that may be in use at once.
#[derive(Debug, Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: u64,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    peak: u64,
}

/// Bytes in use, given back when dropped. It travels with what it pays for.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Inner>,
    bytes: u64,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: u64) -> Self {
        Self { inner: Arc::new(Inner { total, state: Mutex::default(), freed: Condvar::new() }) }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.inner.total
    }

    /// The most that was ever reserved at once.
    pub fn peak(&self) -> u64 {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner).peak
    }

    /// Waits until `bytes` are free and takes them. Only the dispatcher calls this: a worker that waited here could wait
    /// for itself. More than the total is never free; plans are checked for that before.
    pub fn reserve(&self, bytes: u64) -> Reservation {
        let bytes = bytes.min(self.inner.total);
        let state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .inner
            .freed
            .wait_while(state, |s| s.used + bytes > self.inner.total)
            .unwrap_or_else(PoisonError::into_inner);
        state.used += bytes;
        state.peak = state.peak.max(state.used);
        Reservation { budget: Arc::clone(&self.inner), bytes }
    }
}

impl Reservation {
    /// Splits `bytes` off (all, if there are fewer).
    #[must_use]
    pub fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_waiting_ends() {
        let budget = Budget::new(100);
        let mut first = budget.reserve(80);
        let rest = first.split(30);
        drop(first);
        let waiting = std::thread::spawn({
            let budget = budget.clone();
            move || budget.reserve(90).bytes
        });
        drop(rest);
        assert_eq!(waiting.join().unwrap(), 90);
        assert_eq!(budget.peak(), 90);
    }
}
