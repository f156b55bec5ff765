//! Memory of compressed tiles, used again. Tiles are large and many: fresh memory for each would be mapped, cleared and
//! unmapped by the system page by page.
//!
//! Invariant: buffers in use and those that wait to be used take no more than those that were in use together at some time
//! since none was; when none is, none waits: what one scene needed is not kept from the next.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers of all threads.
static POOL: Pool = Pool::new();

#[derive(Debug)]
struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Buffers that wait, by size.
    free: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Bytes of them.
    waiting: usize,
    /// Bytes of those in use, and the most there ever were.
    used: usize,
    peak: usize,
}

/// A buffer, of which the first bytes count. It goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<u8>,
    /// Bytes that count.
    pub len: usize,
    pool: &'static Pool,
}

impl Buffer {
    /// A buffer of `bytes` bytes, whatever they hold, none of which counts yet.
    pub fn of(bytes: usize) -> Self {
        POOL.take(bytes)
    }

    /// All of it.
    pub fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.memory));
    }
}

impl Pool {
    const fn new() -> Self {
        Self { state: Mutex::new(State::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&'static self, bytes: usize) -> Buffer {
        let mut dropped = Vec::new();
        let found = {
            let mut state = self.lock();
            state.used += bytes;
            state.peak = state.peak.max(state.used);
            let found = state.free.get_mut(&bytes).and_then(Vec::pop);
            match found {
                Some(_) => state.waiting -= bytes,
                None => state.shrink(&mut dropped),
            }
            found
        };
        // The system is asked for memory, and given some, while nobody waits for the lock.
        drop(dropped);
        Buffer { memory: found.unwrap_or_else(|| vec![0; bytes]), len: 0, pool: self }
    }

    fn give(&self, memory: Vec<u8>) {
        let mut state = self.lock();
        state.used -= memory.len();
        state.waiting += memory.len();
        state.free.entry(memory.len()).or_default().push(memory);
        if state.used == 0 {
            let all = std::mem::replace(&mut *state, State::new());
            drop(state);
            drop(all);
        }
    }
}

impl State {
    const fn new() -> Self {
        Self { free: BTreeMap::new(), waiting: 0, used: 0, peak: 0 }
    }

    /// Lets go of buffers until those that wait have room beside those in use.
    fn shrink(&mut self, dropped: &mut Vec<Vec<u8>>) {
        while self.used + self.waiting > self.peak {
            let Some(mut size) = self.free.last_entry() else { break };
            match size.get_mut().pop() {
                Some(memory) => {
                    self.waiting -= memory.len();
                    dropped.push(memory);
                }
                None => drop(size.remove()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waiting_buffers_never_take_more_than_was_in_use(steps in prop::collection::vec((1usize..5, any::<bool>()), 1..200)) {
            let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
            let (mut held, mut peak) = (Vec::new(), 0);
            for (step, (size, takes)) in steps.into_iter().enumerate() {
                if takes {
                    let mut buffer = pool.take(100 * size);
                    buffer.memory().fill(step as u8);
                    buffer.len = size;
                    held.push((step as u8, buffer));
                } else if !held.is_empty() {
                    held.swap_remove(step % held.len());
                }
                let used: usize = held.iter().map(|(_, b)| b.memory.len()).sum();
                peak = if used > 0 { peak.max(used) } else { 0 };
                let state = pool.lock();
                let waiting: usize = state.free.values().flatten().map(Vec::len).sum();
                prop_assert_eq!((state.used, state.waiting, state.peak), (used, waiting, peak));
                prop_assert!(used + waiting <= peak);
            }
            // Nobody writes to what another has.
            prop_assert!(held.iter().all(|(fill, b)| b.memory.iter().all(|x| x == fill)));
        }
    }

    #[test]
    fn a_buffer_of_the_same_size_is_used_again() {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
        let (first, second) = (pool.take(64), pool.take(64));
        let address = first.memory.as_ptr();
        drop(first);
        let again = pool.take(64);
        assert_eq!((again.memory.as_ptr(), again.as_ref().len()), (address, 0));
        drop((second, again));
        assert_eq!(pool.lock().waiting, 0);
    }
}
