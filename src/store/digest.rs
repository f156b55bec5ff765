//! SHA-256 of what is being stored.
//!
//! Each round of SHA-256 waits for the one before it, so one digest leaves half of the processor's SHA unit idle. Two of
//! them, a few blocks of each in turn, fill it: while one thread makes a digest, the next that wants one leaves its bytes to
//! that thread and waits. What is wanted later can be left before: who makes a digest meanwhile makes that as well.
//!
//! The bytes come from memory that was written a while ago. Rounds wait for each other, so no load of theirs begins before its
//! time: bytes are looked at some way ahead of them, and their cache lines come meanwhile.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

/// Bytes of a block of SHA-256 (FIPS 180-4, 5.2.1).
const BLOCK: usize = 64;

/// Bytes of each of two digests in turn: few enough for the processor to begin with the next while it is not done with the
/// last.
const TURN: usize = 2 * BLOCK;

/// How far before they are digested bytes are brought into the first-level cache.
const AHEAD: usize = 1 << 12;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes after which a thread looks for another digest.
const LOOK: usize = 1 << 16;

type Sum = [u8; 32];

/// SHA-256 of these chunks, one after another.
pub fn sha256(chunks: Vec<Bytes>) -> Sum {
    ordered(chunks).collect()
}

/// The same, not before it is collected, unless it can be made beside another.
pub fn ordered(chunks: Vec<Bytes>) -> Order {
    static DESK: Desk = Desk::new();
    DESK.order(chunks)
}

/// A digest that somebody will want.
pub struct Order {
    desk: &'static Desk,
    number: u64,
}

impl Order {
    /// The digest; makes it if nobody did, waits if somebody does.
    pub fn collect(self) -> Sum {
        self.desk.collect(self.number)
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.desk.forget(self.number);
    }
}

/// Where threads that want digests meet.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// Invariant: of the digests that somebody waits for, no more wait than there are threads that will take one, unless those
/// who wait are about to look.
#[derive(Default)]
struct State {
    /// Threads that make one digest and take another as soon as it is there.
    alone: usize,
    /// Digests that wait for such a thread, by the number of the caller.
    waiting: BTreeMap<u64, Job>,
    /// What was ordered, and the digests that other threads made of it.
    orders: BTreeMap<u64, Option<Sum>>,
    /// Number of the next caller.
    next: u64,
}

impl Desk {
    const fn new() -> Self {
        let state = State { alone: 0, waiting: BTreeMap::new(), orders: BTreeMap::new(), next: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&'static self, chunks: Vec<Bytes>) -> Order {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, Job::new(chunks));
        state.orders.insert(number, None);
        Order { desk: self, number }
    }

    fn forget(&self, number: u64) {
        let mut state = self.state();
        state.waiting.remove(&number);
        state.orders.remove(&number);
    }

    fn collect(&self, number: u64) -> Sum {
        let mut state = self.state();
        loop {
            if let Some(Some(sum)) = state.orders.get(&number) {
                return *sum;
            }
            if state.waiting.len() > state.alone
                && let Some(job) = state.waiting.remove(&number)
            {
                state.alone += 1;
                drop(state);
                return self.make(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Makes a digest, and others beside it, which go back to wait if they take longer.
    fn make(&self, mut job: Job) -> Sum {
        let mut other: Option<(u64, Job)> = None;
        while job.is_ready() {
            if let Some((_, other)) = &mut other
                && other.is_ready()
            {
                Job::take_both(&mut job, other);
                continue;
            }
            other = self.another(other.map(|(number, job)| (number, job.sum())));
            if other.is_none() {
                job.take();
            }
        }
        let mut state = self.state();
        match other {
            Some((number, job)) if state.orders.contains_key(&number) => _ = state.waiting.insert(number, job),
            // Nobody wants it any more, and its bytes are not to be kept.
            Some(_) => {}
            None => state.alone -= 1,
        }
        self.changed.notify_all();
        drop(state);
        job.sum()
    }

    /// The next digest that waits, for a thread that has `done` the last one it took.
    fn another(&self, done: Option<(u64, Sum)>) -> Option<(u64, Job)> {
        let mut state = self.state();
        if let Some((number, sum)) = done {
            // Nobody may want it any more.
            if let Some(made) = state.orders.get_mut(&number) {
                *made = Some(sum);
            }
            state.alone += 1;
            self.changed.notify_all();
        }
        let other = state.waiting.pop_first();
        state.alone -= usize::from(other.is_some());
        other
    }
}

/// A digest in the making.
struct Job {
    digest: Sha256,
    /// Bytes it has taken.
    taken: usize,
    chunk: Bytes,
    /// What comes after the chunk.
    rest: std::vec::IntoIter<Bytes>,
}

impl Job {
    fn new(chunks: Vec<Bytes>) -> Self {
        Self { digest: Sha256::new(), taken: 0, chunk: Bytes::new(), rest: chunks.into_iter() }
    }

    /// Goes on to where a block begins; false at the end.
    fn is_ready(&mut self) -> bool {
        loop {
            self.update(self.taken.next_multiple_of(BLOCK) - self.taken);
            if !self.chunk.is_empty() {
                return true;
            }
            let Some(chunk) = self.rest.next() else { return false };
            self.chunk = chunk;
            fetch(&self.chunk, 0, AHEAD);
        }
    }

    fn take(&mut self) {
        self.update(LOOK);
    }

    /// Takes at most `bytes` of the chunk.
    fn update(&mut self, bytes: usize) {
        let bytes = bytes.min(self.chunk.len());
        for (turn, piece) in self.chunk[..bytes].chunks(TURN).enumerate() {
            fetch(&self.chunk, turn * TURN + AHEAD, TURN);
            self.digest.update(piece);
        }
        self.pass(bytes);
    }

    /// As many bytes of the one as of the other.
    fn take_both(a: &mut Self, b: &mut Self) {
        let bytes = LOOK.min(a.chunk.len()).min(b.chunk.len());
        for (turn, (a_bytes, b_bytes)) in a.chunk[..bytes].chunks(TURN).zip(b.chunk[..bytes].chunks(TURN)).enumerate() {
            fetch(&a.chunk, turn * TURN + AHEAD, TURN);
            fetch(&b.chunk, turn * TURN + AHEAD, TURN);
            a.digest.update(a_bytes);
            b.digest.update(b_bytes);
        }
        a.pass(bytes);
        b.pass(bytes);
    }

    fn pass(&mut self, bytes: usize) {
        self.taken += bytes;
        self.chunk.advance(bytes);
    }

    fn sum(self) -> Sum {
        self.digest.finalize().into()
    }
}

/// Brings some bytes into the cache.
#[inline(always)]
fn fetch(bytes: &[u8], from: usize, count: usize) {
    let to = bytes.len().min(from + count);
    black_box(bytes.get(from..to).unwrap_or_default().iter().step_by(LINE).fold(0, |all, byte| all ^ byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks of all kinds of sizes, different for each `seed`.
    fn chunks(seed: usize) -> Vec<Bytes> {
        let bytes: Vec<u8> = (0..seed * 12_345 % 400_000).map(|i| (((i + seed) * 2_654_435) >> 7) as u8).collect();
        let mut rest = Bytes::from(bytes);
        let mut chunks = vec![Bytes::new()];
        while !rest.is_empty() {
            let size = [1, 63, 64, 65, 128, 1_000, 70_000][(seed + chunks.len()) % 7].min(rest.len());
            chunks.push(rest.split_to(size));
        }
        chunks
    }

    #[test]
    fn digests_made_beside_each_other_are_those_made_alone() {
        for threads in [1, 2, 3, 8] {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    scope.spawn(move || {
                        for seed in (thread..160).step_by(threads) {
                            let chunks = chunks(seed);
                            let expected: Sum = Sha256::digest(chunks.concat()).into();
                            assert_eq!(sha256(chunks), expected, "{seed} in {threads} threads");
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn what_was_ordered_is_made_beside_others_or_when_it_is_collected() {
        let desk: &'static Desk = Box::leak(Box::new(Desk::new()));
        let expected = |seed| Sum::from(Sha256::digest(chunks(seed).concat()));
        // The last one is long, most others are short.
        let seeds = [30, 33, 34, 35, 31, 32];
        let mut orders: Vec<_> = seeds.map(|seed| desk.order(chunks(seed))).into_iter().collect();
        drop(orders.remove(0));
        let of = |state: MutexGuard<'_, State>| {
            (state.alone, state.waiting.len(), state.orders.len(), state.orders.values().flatten().count())
        };
        assert_eq!(of(desk.state()), (0, 5, 5, 0));
        let last = orders.pop().unwrap();
        assert_eq!(last.collect(), expected(32));
        // Another was made beside it.
        let (alone, waiting, ordered, made) = of(desk.state());
        assert!((alone, waiting + made, ordered) == (0, 4, 4) && made > 0);
        for (order, seed) in orders.into_iter().zip(&seeds[1..]) {
            assert_eq!(order.collect(), expected(*seed), "{seed}");
        }
        assert_eq!(of(desk.state()), (0, 0, 0, 0));
    }

    #[test]
    fn what_is_left_of_another_digest_is_made_by_who_wanted_it() {
        let desk: &'static Desk = Box::leak(Box::new(Desk::new()));
        let long = vec![Bytes::from(vec![7; 1 << 22])];
        let short = vec![Bytes::from(vec![9; 1 << 17])];
        std::thread::scope(|scope| {
            let made: Vec<_> = [&short, &long, &short, &long, &long]
                .map(|chunks| {
                    scope.spawn(|| desk.order(chunks.clone()).collect() == Sum::from(Sha256::digest(chunks.concat())))
                })
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect();
            assert_eq!(made, [true; 5]);
        });
        let state = desk.state();
        assert_eq!((state.alone, state.waiting.len(), state.orders.len()), (0, 0, 0));
    }
}
