//! Decoded blocks, shared by all threads and files.
//!
//! Invariant: what is kept never exceeds the capacity; the lock is held for look-ups alone, never while a block is read or
//! decoded. What a block holds does not depend on who decoded it, so nothing here can change a pixel.
//!
//! Nobody waits for a block that another thread is decoding. The reader is told so ([`Look::Begun`]), goes on with other
//! blocks, and asks again at the end: threads that need the same blocks at the same time share the work. Only what is still
//! not there by then is decoded twice.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is kept of a block of a file: number of the file, number of the block, its columns from the first to one behind the last.
pub type Key = (u64, usize, (usize, usize));

/// What the maps take for a block, bytes, about.
const ENTRY_BYTES: u64 = 128;

/// Blocks used lately.
#[derive(Debug)]
pub struct BlockCache {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    capacity: u64,
    bytes: u64,
    clock: u64,
    slots: HashMap<Key, Slot>,
    /// Blocks by the time of their last use.
    by_use: BTreeMap<u64, Key>,
}

#[derive(Debug)]
enum Slot {
    Begun,
    Kept { block: Arc<Vec<u8>>, used: u64 },
}

/// What there is of a block.
#[derive(Debug)]
pub enum Look<'a> {
    /// All of it.
    Kept(Arc<Vec<u8>>),
    /// Another thread is decoding it.
    Begun,
    /// Nothing: whoever asked is to decode it.
    Missing(Claim<'a>),
}

/// Says that a block is being decoded, until it is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    cache: &'a BlockCache,
    key: Key,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // After a fault, so that others try too. Should the mark be another thread's by now, the block may be decoded twice.
        let mut state = self.cache.lock();
        if matches!(state.slots.get(&self.key), Some(Slot::Begun)) {
            state.slots.remove(&self.key);
        }
    }
}

impl BlockCache {
    /// A cache of so many bytes.
    pub fn new(capacity: u64) -> Self {
        let (slots, by_use) = (HashMap::new(), BTreeMap::new());
        Self { state: Mutex::new(State { capacity, bytes: 0, clock: 0, slots, by_use }) }
    }

    /// Changes what it may take.
    pub fn set_capacity(&self, capacity: u64) {
        let mut state = self.lock();
        state.capacity = capacity;
        state.shrink();
    }

    /// What it may take, bytes.
    pub fn capacity(&self) -> u64 {
        self.lock().capacity
    }

    /// Looks for a block.
    pub fn look(&self, key: Key) -> Look<'_> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        match state.slots.get_mut(&key) {
            Some(Slot::Kept { block, used }) => {
                let block = Arc::clone(block);
                let before = mem::replace(used, now);
                state.by_use.remove(&before);
                state.by_use.insert(now, key);
                Look::Kept(block)
            }
            Some(Slot::Begun) => Look::Begun,
            None => {
                state.slots.insert(key, Slot::Begun);
                Look::Missing(Claim { cache: self, key })
            }
        }
    }

    /// Keeps a decoded block, unless it is there already or larger than the cache; `spare` becomes the memory of a block
    /// that had to go for it, for the next one to be decoded into.
    pub fn keep(&self, key: Key, block: Vec<u8>, spare: &mut Vec<u8>) -> Arc<Vec<u8>> {
        let mut state = self.lock();
        if let Some(Slot::Kept { block: kept, .. }) = state.slots.get(&key) {
            *spare = block;
            return Arc::clone(kept);
        }
        let block = Arc::new(block);
        let bytes = weight(&block);
        if bytes <= state.capacity {
            state.clock += 1;
            let now = state.clock;
            state.bytes += bytes;
            state.slots.insert(key, Slot::Kept { block: Arc::clone(&block), used: now });
            state.by_use.insert(now, key);
            if let Some(free) = state.shrink() {
                *spare = free;
            }
        }
        block
    }

    /// Lets go of all blocks of a file.
    pub fn forget(&self, file: u64) {
        let state = &mut *self.lock();
        state.slots.retain(|key, slot| {
            if let (true, Slot::Kept { block, used }) = (key.0 == file, &*slot) {
                state.bytes -= weight(block);
                state.by_use.remove(used);
            }
            key.0 != file
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets go of the blocks used longest ago until the rest fits; the memory of one of them if nobody reads it.
    fn shrink(&mut self) -> Option<Vec<u8>> {
        let mut spare = None;
        while self.bytes > self.capacity {
            let Some((_, key)) = self.by_use.pop_first() else { break };
            if let Some(Slot::Kept { block, .. }) = self.slots.remove(&key) {
                self.bytes -= weight(&block);
                spare = Arc::into_inner(block).or(spare);
            }
        }
        spare
    }
}

fn weight(block: &Vec<u8>) -> u64 {
    block.capacity() as u64 + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: (usize, usize) = (0, 1);

    fn is_kept(cache: &BlockCache, key: Key) -> bool {
        matches!(cache.look(key), Look::Kept(_))
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_its_memory_is_given_back() {
        let cache = BlockCache::new(3 * (100 + ENTRY_BYTES));
        let mut spare = Vec::new();
        for k in 0..3 {
            cache.keep((0, k, ALL), vec![k as u8; 100], &mut spare);
        }
        assert!(spare.is_empty() && is_kept(&cache, (0, 0, ALL)));
        cache.keep((0, 3, ALL), vec![3; 100], &mut spare);
        assert_eq!(spare, vec![1; 100]);
        assert!(!is_kept(&cache, (0, 1, ALL)));
        assert!([0, 2, 3].into_iter().all(|k| is_kept(&cache, (0, k, ALL))));
    }

    #[test]
    fn a_block_being_decoded_is_told_of_until_it_is_there_or_given_up() {
        let cache = BlockCache::new(1000);
        let Look::Missing(claim) = cache.look((1, 1, ALL)) else { panic!("nothing was kept") };
        assert!(matches!(cache.look((1, 1, ALL)), Look::Begun));
        drop(claim);
        let Look::Missing(claim) = cache.look((1, 1, ALL)) else { panic!("given up") };
        cache.keep((1, 1, ALL), vec![7; 10], &mut Vec::new());
        drop(claim);
        let Look::Kept(block) = cache.look((1, 1, ALL)) else { panic!("kept") };
        assert_eq!(*block, vec![7; 10]);
    }

    #[test]
    fn of_two_that_decoded_the_same_the_first_is_kept() {
        let cache = BlockCache::new(1000);
        let mut spare = Vec::new();
        let first = cache.keep((1, 1, ALL), vec![7; 10], &mut spare);
        let second = cache.keep((1, 1, ALL), vec![7; 10], &mut spare);
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(spare.len(), 10);
    }

    #[test]
    fn what_is_larger_than_the_cache_passes_through() {
        let cache = BlockCache::new(100);
        let Look::Missing(claim) = cache.look((1, 1, ALL)) else { panic!("nothing was kept") };
        assert_eq!(cache.keep((1, 1, ALL), vec![7; 1000], &mut Vec::new()).len(), 1000);
        drop(claim);
        assert!(matches!(cache.look((1, 1, ALL)), Look::Missing(_)));
    }

    proptest! {
        #[test]
        fn the_capacity_holds_and_files_are_forgotten(
            steps in prop::collection::vec((0u64..3, 0usize..20, 0usize..400), 1..200), capacity in 0u64..3000
        ) {
            let cache = BlockCache::new(capacity);
            let mut spare = Vec::new();
            for (file, block, size) in steps {
                if let Look::Missing(_claim) = cache.look((file, block, ALL)) {
                    cache.keep((file, block, ALL), vec![file as u8; size], &mut spare);
                }
                let state = cache.lock();
                let kept = |slot: &Slot| if let Slot::Kept { block, .. } = slot { weight(block) } else { 0 };
                prop_assert_eq!(state.slots.values().map(kept).sum::<u64>(), state.bytes);
                prop_assert_eq!(state.slots.len(), state.by_use.len());
                prop_assert!(state.bytes <= capacity);
            }
            cache.forget(0);
            prop_assert!(cache.lock().slots.keys().all(|k| k.0 != 0));
            cache.set_capacity(0);
            let state = cache.lock();
            prop_assert_eq!((state.bytes, state.slots.len(), state.by_use.len()), (0, 0, 0));
        }
    }
}
