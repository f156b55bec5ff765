//! Memory of compressed tiles, used again. Tiles are large and many: fresh memory for each would be mapped, cleared and
//! unmapped by the system page by page. What no tile ever reached is never touched, and takes no memory.
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
    /// Buffers that wait, by their room.
    free: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Bytes of them.
    waiting: usize,
    /// Bytes of those in use, and the most there ever were.
    used: usize,
    peak: usize,
}

/// A buffer. It goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    /// What it holds: of an earlier tile, at first. It is not to grow beyond [`Self::room`].
    pub bytes: Vec<u8>,
    /// Bytes it has room for.
    room: usize,
    pool: &'static Pool,
}

impl Buffer {
    /// A buffer for up to `room` bytes.
    pub fn of(room: usize) -> Self {
        POOL.take(room)
    }

    /// Bytes it has room for.
    pub fn room(&self) -> usize {
        self.room
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.bytes), self.room);
    }
}

impl Pool {
    const fn new() -> Self {
        Self { state: Mutex::new(State::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&'static self, room: usize) -> Buffer {
        let mut dropped = Vec::new();
        let found = {
            let mut state = self.lock();
            state.used += room;
            state.peak = state.peak.max(state.used);
            let found = state.free.get_mut(&room).and_then(Vec::pop);
            match found {
                Some(_) => state.waiting -= room,
                None => state.shrink(&mut dropped),
            }
            found
        };
        // The system is asked for memory, and given some, while nobody waits for the lock.
        drop(dropped);
        Buffer { bytes: found.unwrap_or_else(|| Vec::with_capacity(room)), room, pool: self }
    }

    fn give(&self, bytes: Vec<u8>, room: usize) {
        let mut state = self.lock();
        state.used -= room;
        state.waiting += room;
        state.free.entry(room).or_default().push(bytes);
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
            let Some(mut waiting) = self.free.last_entry() else { break };
            let room = *waiting.key();
            match waiting.get_mut().pop() {
                Some(bytes) => {
                    self.waiting -= room;
                    dropped.push(bytes);
                }
                None => drop(waiting.remove()),
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
                    buffer.bytes.clear();
                    buffer.bytes.resize(100 * size, step as u8);
                    held.push((step as u8, buffer));
                } else if !held.is_empty() {
                    held.swap_remove(step % held.len());
                }
                let used: usize = held.iter().map(|(_, b)| b.room()).sum();
                peak = if used > 0 { peak.max(used) } else { 0 };
                let state = pool.lock();
                let waiting: usize = state.free.iter().map(|(room, all)| room * all.len()).sum();
                prop_assert_eq!((state.used, state.waiting, state.peak), (used, waiting, peak));
                prop_assert!(used + waiting <= peak);
            }
            // Nobody writes to what another has.
            prop_assert!(held.iter().all(|(fill, b)| b.bytes.iter().all(|x| x == fill)));
        }
    }

    #[test]
    fn a_buffer_of_the_same_size_is_used_again() {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
        let (first, second) = (pool.take(64), pool.take(64));
        let address = first.bytes.as_ptr();
        drop(first);
        let again = pool.take(64);
        assert_eq!(again.bytes.as_ptr(), address);
        drop((second, again));
        assert_eq!(pool.lock().waiting, 0);
    }
}
