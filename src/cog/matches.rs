//! Where the bytes of a tile of 16-bit differences stood before: the search for matches, made for such tiles.
//!
//! What the horizontal predictor leaves of an image is noise: low bytes of almost any value, high bytes that are mostly 0
//! or 255. Little-endian, the high byte of a sample stands at odd places, and a match worth its offset is a short one that
//! holds as many high bytes as can be: high, low, high, low, high. So only odd places are searched and remembered; a search
//! of every place finds hardly another match, takes twice the time, and forgets twice as fast. Odd places are looked up by
//! the chunk, those inside of matches as well, without a branch; then the matches are taken from left to right, each with the
//! byte before it where that is equal too. A chunk inside of a match is left out. What this saves stands in docs/codecs.md.
//!
//! Invariants: the matches depend on the bytes alone; their lengths and those of the literals add up to no more than the
//! tile; each is [`SHORTEST`] or longer, and stands [`FARTHEST`] or less behind what equals it.

use fieldglow_kernels::simd::vectorized;

use super::sequences::{LONGEST, Sequence};

/// Bytes of the shortest match.
pub(super) const SHORTEST: usize = 5;

/// Bytes to the farthest match: the window of level 3.
pub(super) const FARTHEST: usize = 1 << 21;

/// Odd places that are looked up before their matches are taken.
const CHUNK: usize = 256;

/// Places that are looked up before the first of them is remembered, so that none waits for another.
const GROUP: usize = 8;

/// Equal bytes that are told from what was looked up; for more the tile is read again.
const SEEN: usize = 7;

/// An odd number near 2^64 over the golden ratio: its products with numbers near each other lie far apart.
///
/// # Reference
/// Knuth, *The Art of Computer Programming* 3, 6.4: multiplicative hashing.
const HASH: u64 = 0x9e37_79b1_85eb_ca87;

/// Logarithms of the numbers of places remembered, least and most: 512 KiB of them.
const TABLE: (u32, u32) = (15, 17);

/// How many samples are looked at to tell noise, and how many of them stand side by side: no more than fill a cache line, of
/// which two may have to be fetched for them.
const PROBED: usize = 1024;
const RUN: usize = 16;

/// Noise has equal low bytes in fewer than one of so many pairs of samples (a collision entropy of 4.5 bits).
const DIFFERENT: u64 = 23;

/// Whether this search suits a tile: most of what is not 0 there is noise. Smooth images have long matches, which a table of
/// short ones does not lead to: below the entropy of [`DIFFERENT`] libzstd's two tables make smaller frames, in no more time.
pub(super) fn suits(tile: &[u8]) -> bool {
    if tile.len() > LONGEST {
        return false;
    }
    let (samples, _) = tile.as_chunks::<2>();
    let mut counts = [0_u64; 256];
    let (mut seen, mut different) = (0, 0);
    for (k, stretch) in samples.chunks((samples.len() / (PROBED / RUN)).max(RUN)).enumerate() {
        // Somewhere else in each, as stretches of a tile of 512 begin in the same column.
        let most = stretch.len().saturating_sub(RUN) as u64;
        let begin = (((k as u64).wrapping_mul(HASH) >> 32) * (most + 1)) >> 32;
        for [low, high] in stretch[begin as usize..].iter().take(RUN) {
            seen += 1;
            if low | high != 0 {
                different += 1;
                counts[usize::from(*low)] += 1;
            }
        }
    }
    let pairs = |count: u64| count * count.saturating_sub(1);
    4 * different >= seen && DIFFERENT * counts.into_iter().map(pairs).sum::<u64>() < pairs(different)
}

/// Bytes of a search's memory for tiles of `tile_bytes`.
pub(super) const fn memory(tile_bytes: usize) -> usize {
    (size_of::<u32>() << TABLE.1) + size_of::<Found>() + tile_bytes / SHORTEST * size_of::<Sequence>()
}

/// The search, with the memory it uses again.
#[derive(Debug)]
pub(super) struct Search {
    /// By hash, where such bytes stood last: one byte before them.
    table: Box<[u32; 1 << TABLE.1]>,
    found: Box<Found>,
    sequences: Vec<Sequence>,
}

/// What was found for the places of a chunk.
#[derive(Debug)]
struct Found {
    hashes: [u32; CHUNK],
    /// Where bytes of the same hash stood: one byte before them.
    earlier: [u32; CHUNK],
    /// The eight bytes from there on, exclusive or those from one byte before the place on.
    differ: [u64; CHUNK],
    /// A bit for each place: whether at least [`SHORTEST`] bytes are equal.
    matches: [u64; CHUNK / 64],
}

impl Default for Search {
    fn default() -> Self {
        let found = Found { hashes: [0; CHUNK], earlier: [0; CHUNK], differ: [0; CHUNK], matches: [0; CHUNK / 64] };
        Self { table: Box::new([0; 1 << TABLE.1]), found: Box::new(found), sequences: Vec::new() }
    }
}

impl Search {
    /// The matches of a tile, from left to right, each with the literals before it. What follows the last is literals.
    pub fn run(&mut self, tile: &[u8]) -> &[Sequence] {
        self.sequences.clear();
        self.sequences.reserve_exact(tile.len() / SHORTEST);
        // Four odd places for each that is remembered: smaller tiles have less to clear.
        let log = (tile.len() / 8).next_power_of_two().ilog2().clamp(TABLE.0, TABLE.1);
        self.table[..1 << log].fill(0);
        vectorized(
            #[inline(always)]
            || self.search(tile, log),
        );
        &self.sequences
    }

    /// Bytes of its memory.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        size_of_val(&*self.table) + size_of_val(&*self.found) + self.sequences.capacity() * size_of::<Sequence>()
    }

    #[inline(always)]
    fn search(&mut self, tile: &[u8], log: u32) {
        let Self { table, found, sequences } = self;
        // Places are counted: number n is byte 2 n + 1. Number 0 has nothing before it, and would find itself.
        let (mut next, mut taken) = (1, 0);
        // A place is looked up with the byte before it and six more behind.
        let all = tile.len().saturating_sub(8) / (2 * GROUP) * GROUP;
        for first in (0..all).step_by(CHUNK) {
            let places = CHUNK.min(all - first);
            if next >= first + places {
                continue;
            }
            found.look(table, 64 - log, tile, first, places);
            for word in 0..CHUNK / 64 {
                let begin = first + 64 * word;
                let mut matches = from_bit(found.matches[word], next.saturating_sub(begin));
                while matches != 0 {
                    let bit = matches.trailing_zeros() as usize;
                    let n = 64 * word + bit;
                    let at = 2 * (first + n) + 1;
                    let (earlier, differ) = (found.earlier[n] as usize + 1, found.differ[n]);
                    if at - earlier > FARTHEST {
                        matches &= matches - 1;
                        continue;
                    }
                    let before = usize::from(differ & 0xff == 0 && at > taken);
                    let literals = at - before - taken;
                    let mut length = (differ >> 8 | 1 << 56).trailing_zeros() as usize / 8;
                    if length == SEEN {
                        length += equal_bytes(&tile[earlier + SEEN..], &tile[at + SEEN..]);
                        next = (at + length) / 2;
                        matches = from_bit(matches, next - begin);
                    } else {
                        // Five or six bytes: two more places. Which of both is not waited for.
                        next = first + n + 3;
                        matches &= !(0b111 << bit);
                    }
                    taken = at + length;
                    sequences.push(Sequence::new(literals, length + before, at - earlier));
                }
            }
        }
    }
}

impl Found {
    /// Looks `places` up from number `first` on, and remembers them.
    #[inline(always)]
    fn look(&mut self, table: &mut [u32; 1 << TABLE.1], shift: u32, tile: &[u8], first: usize, places: usize) {
        const INSIDE: usize = (1 << TABLE.1) - 1;
        // From one byte before the first place on.
        let bytes = &tile[2 * first..][..2 * places + 6];
        let (samples, _) = bytes.as_chunks();
        let sample = |n: usize| u64::from(u16::from_le_bytes(samples[n]));
        for (n, hash) in self.hashes[..places].iter_mut().enumerate() {
            let bytes = sample(n) >> 8 | sample(n + 1) << 8 | sample(n + 2) << 24;
            *hash = (bytes.wrapping_mul(HASH << 24) >> shift) as u32;
        }
        let hashes = self.hashes[..places].chunks_exact(GROUP);
        let found = self.earlier.chunks_exact_mut(GROUP).zip(self.differ.chunks_exact_mut(GROUP));
        for (group, (hashes, (earlier, differ))) in hashes.zip(found).enumerate() {
            let from = 2 * group * GROUP;
            let here = &bytes[from..][..2 * GROUP + 6];
            for (earlier, hash) in earlier.iter_mut().zip(hashes) {
                *earlier = table[*hash as usize & INSIDE];
            }
            for (n, hash) in hashes.iter().enumerate() {
                table[*hash as usize & INSIDE] = (2 * first + from + 2 * n) as u32;
            }
            for (n, (differ, earlier)) in differ.iter_mut().zip(earlier).enumerate() {
                *differ = word(&tile[*earlier as usize..]) ^ word(&here[2 * n..]);
            }
        }
        self.differ[places..].fill(!0);
        for (matches, differ) in self.matches.iter_mut().zip(self.differ.chunks_exact(64)) {
            let equal = differ.iter().map(|differ| u64::from(differ << 16 >> 24 == 0));
            *matches = equal.enumerate().fold(0, |all, (n, equal)| all | equal << n);
        }
    }
}

/// `bits` but for the first `from`.
#[inline(always)]
fn from_bit(bits: u64, from: usize) -> u64 {
    if from < 64 { bits >> from << from } else { 0 }
}

/// The first eight bytes.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// How many bytes of `late` are those of `early`.
#[inline(always)]
fn equal_bytes(early: &[u8], late: &[u8]) -> usize {
    let mut length = 0;
    while let (Some(a), Some(b)) = (early[length..].first_chunk(), late[length..].first_chunk()) {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return length + differ.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + late[length..].iter().zip(&early[length..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::sequences::Compressor;
    use crate::cog::synthetic::random;
    use proptest::prelude::*;

    /// The matches of a tile, as literals, length and offset; the tile that they make is the same.
    fn matches(search: &mut Search, tile: &[u8]) -> Vec<(usize, usize, usize)> {
        let sequences = search.run(tile);
        let parts: Vec<_> = sequences.iter().map(|s| s.parts()).collect();
        let mut made: Vec<u8> = Vec::new();
        for &(literals, length, offset) in &parts {
            assert!(length >= SHORTEST && (1..=FARTHEST).contains(&offset), "{length} bytes, {offset} before");
            made.extend_from_slice(&tile[made.len()..][..literals]);
            let from = made.len().checked_sub(offset).expect("not before the tile");
            (from..from + length).for_each(|n| made.push(made[n]));
        }
        made.extend_from_slice(&tile[made.len()..]);
        assert!(made == tile);
        let mut frame = Vec::new();
        Compressor::new(3, SHORTEST).unwrap().compress(tile, sequences, &mut frame).unwrap();
        // With a window as the frame says it: what is farther back is gone.
        assert!(zstd::decode_all(&frame[..]).unwrap() == tile);
        parts
    }

    /// Differences as an image with noise leaves them: sums of four numbers of up to `spread`.
    fn noise(samples: usize, spread: u64, mut seed: u64) -> Vec<u8> {
        let mut sample = || {
            let parts = random(&mut seed);
            let sum: u64 = (0..4).map(|n| (((parts >> (16 * n)) & 0xffff) * spread) >> 16).sum();
            (sum as i16).wrapping_sub(2 * spread as i16).to_le_bytes()
        };
        (0..samples).flat_map(|_| sample()).collect()
    }

    proptest! {
        #[test]
        fn matches_make_the_tile_they_were_found_in(
            parts in prop::collection::vec((0usize..3000, 0u64..6, any::<u64>(), any::<bool>()), 1..12),
            odd in any::<bool>(),
        ) {
            let mut tile = Vec::new();
            for (size, bits, seed, again) in parts {
                // Bytes of few values match by chance, at any place; parts that come again do so as a whole.
                let from = seed as usize % (tile.len() + 1);
                let size = if again { size.min(tile.len() - from) } else { size };
                let mut state = seed;
                let fresh: Vec<u8> = (0..size).map(|_| (random(&mut state) & ((1 << bits) - 1)) as u8).collect();
                let part = if again { tile[from..][..size].to_vec() } else { fresh };
                tile.extend(part);
            }
            tile.truncate(tile.len() / 2 * 2 + usize::from(odd));
            let mut search = Search::default();
            let first = matches(&mut search, &tile);
            matches(&mut search, &noise(3000, 100, 1));
            prop_assert!(first == matches(&mut search, &tile), "what was searched before matters");
        }
    }

    #[test]
    fn what_stands_again_is_found_wherever_it_stands() {
        let mut search = Search::default();
        for shift in 0..2 {
            let mut tile = noise(600, 16_000, 7);
            let again = tile[100..400].to_vec();
            tile.splice(700 + shift..1000 + shift, again);
            let found = matches(&mut search, &tile);
            let length = found.iter().map(|(_, length, _)| length).max();
            // At most the bytes beside an odd place are missed; a shift by one byte makes odd places even.
            assert_eq!(length, if shift == 0 { Some(&300) } else { None }, "{found:?}");
        }
        assert_eq!(matches(&mut search, &[]), []);
        assert_eq!(matches(&mut search, &[0; 23]), []);
        // Of what is all the same, only what stands before the second place is literals.
        let same = matches(&mut search, &[9; 400_000]);
        assert_eq!(same, [(2, 399_998, 2)]);
    }

    #[test]
    fn no_match_is_farther_than_the_window() {
        for (distance, found) in [(FARTHEST, true), (FARTHEST + 2, false)] {
            // Little of it is alike by chance, so that what stands at the beginning is remembered.
            let mut tile = noise(4000, 16_000, 3);
            tile.resize(distance + 8000, 0);
            tile.copy_within(0..8000, distance);
            let far = matches(&mut Search::default(), &tile).into_iter().filter(|(_, _, offset)| *offset == distance);
            assert_eq!(far.map(|(_, length, _)| length).sum::<usize>() > 4000, found, "{distance}");
        }
    }

    /// With 0.2 % for what cannot be compressed, where the search finds nothing and libzstd splits its blocks.
    #[test]
    fn what_suits_is_stored_in_no_more_than_libzstd_makes_of_it() {
        let mut compressor = Compressor::new(3, SHORTEST).unwrap();
        let mut search = Search::default();
        for (spread, suited) in [(1, false), (4, false), (8, false), (12, true), (16, true), (40, true), (300, true)] {
            let mut tile = noise(1 << 18, spread, spread);
            assert_eq!(suits(&tile), suited, "±{spread}");
            // What is not covered by the image is 0: it does not matter, unless there is hardly anything else.
            tile[..1 << 17].fill(0);
            assert_eq!(suits(&tile), suited, "±{spread}");
            if suited {
                let mut frame = Vec::new();
                compressor.compress(&tile, search.run(&tile), &mut frame).unwrap();
                assert!(zstd::decode_all(&frame[..]).unwrap() == tile);
                let theirs = zstd::bulk::compress(&tile, 3).unwrap().len();
                assert!(frame.len() <= theirs + theirs / 500, "±{spread}: {} bytes, {theirs}", frame.len());
            }
            tile[1 << 17..450_000].fill(0);
            assert!(!suits(&tile), "±{spread}");
        }
        assert!(!suits(&[]) && !suits(&[1]) && !suits(&[0; 100]));
    }
}
