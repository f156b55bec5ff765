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
    /// Part of what is used that was lent, and how much may be.
    lent: u64,
    lendable: u64,
}

/// Bytes in use, given back when dropped. It travels with what it pays for.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Inner>,
    bytes: u64,
    is_lent: bool,
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
        Reservation { budget: Arc::clone(&self.inner), bytes, is_lent: false }
    }

    /// Sets how many bytes may be lent: those that are not needed to go on.
    pub fn set_lendable(&self, bytes: u64) {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner).lendable = bytes;
    }

    /// Takes `bytes` if they are free and not needed elsewhere; never waits.
    pub fn lend(&self, bytes: u64) -> Option<Reservation> {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.lent + bytes > state.lendable || state.used + bytes > self.inner.total {
            return None;
        }
        state.lent += bytes;
        state.used += bytes;
        state.peak = state.peak.max(state.used);
        Some(Reservation { budget: Arc::clone(&self.inner), bytes, is_lent: true })
    }
}

impl Reservation {
    /// Splits `bytes` off (all, if there are fewer).
    #[must_use]
    pub fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes, is_lent: self.is_lent }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used -= self.bytes;
        if self.is_lent {
            state.lent -= self.bytes;
        }
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

    #[test]
    fn what_is_lent_leaves_what_is_needed() {
        let budget = Budget::new(100);
        assert!(budget.lend(1).is_none());
        budget.set_lendable(40);
        let first = budget.lend(30).unwrap();
        assert!(budget.lend(11).is_none());
        let rest = budget.reserve(65);
        assert!(budget.lend(6).is_none());
        let second = budget.lend(5).unwrap();
        drop((first, rest));
        assert!(budget.lend(36).is_none());
        drop(second);
        assert!(budget.lend(40).is_some());
    }
}
