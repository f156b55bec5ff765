//! An object that is read like a file.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::meter::ReadAt;
use super::objects::{Object, Objects};
use crate::error::Error;

/// Bytes that are fetched at first, and at most, where they are read one after another.
const FIRST: u64 = 64 << 10;
pub const MOST: u64 = 16 << 20;

/// Bytes that are kept. The directory of an archive is asked for again and again.
const KEPT: usize = 32 << 20;

/// An object in pieces. What is read on is fetched in longer and longer ones.
#[derive(Debug)]
pub struct Blocks {
    objects: Arc<dyn Objects>,
    object: Object,
    /// The piece that was used last is the last.
    kept: Mutex<Vec<Piece>>,
    fault: Mutex<Option<Error>>,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn holds(&self, at: u64) -> bool {
        (self.start..self.end()).contains(&at)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Blocks {
    pub fn new(objects: Arc<dyn Objects>, object: Object) -> Self {
        Self { objects, object, kept: Mutex::default(), fault: Mutex::default() }
    }

    pub fn size(&self) -> u64 {
        self.object.size
    }

    /// Why fetching failed, if it did: what reads through decoders loses it. Gives the memory back.
    pub fn finish(&self) -> Option<Error> {
        lock(&self.kept).clear();
        lock(&self.fault).take()
    }

    fn piece(&self, kept: &mut Vec<Piece>, at: u64) -> io::Result<Piece> {
        if let Some(k) = kept.iter().position(|piece| piece.holds(at)) {
            return Ok(kept.remove(k));
        }
        // A piece that ends here is being read on. Otherwise, near the end of the object, it is read from behind.
        let (start, length) = match kept.iter().position(|piece| piece.end() == at) {
            Some(k) => (at, (2 * kept.remove(k).bytes.len() as u64).min(MOST)),
            None => (at.min(self.object.size.saturating_sub(FIRST)), FIRST),
        };
        let end = start.saturating_add(length).min(self.object.size);
        match self.objects.read(&self.object, start..end) {
            Ok(bytes) => Ok(Piece { start, bytes }),
            Err(error) => {
                *lock(&self.fault) = Some(error);
                Err(io::Error::other("it cannot be fetched"))
            }
        }
    }
}

impl ReadAt for Blocks {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at >= self.object.size || buffer.is_empty() {
            return Ok(0);
        }
        let mut kept = lock(&self.kept);
        let piece = self.piece(&mut kept, at)?;
        let skip = usize::try_from(at - piece.start).unwrap_or(usize::MAX);
        let from = piece.bytes.get(skip..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        kept.push(piece);
        while kept.len() > 1 && kept.iter().map(|piece| piece.bytes.len()).sum::<usize>() > KEPT {
            kept.remove(0);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::error;

    /// An object of bytes that say where they stand, and what was asked of it.
    #[derive(Debug)]
    pub struct Counting {
        bytes: Vec<u8>,
        asked: Mutex<Vec<Range<u64>>>,
    }

    impl Objects for Arc<Counting> {
        fn url(&self) -> String {
            "s3://test".into()
        }
        fn list(&self, _: &str, _: bool, _: usize) -> error::Result<Option<Vec<Object>>> {
            Ok(None)
        }
        fn find(&self, _: &str) -> error::Result<Option<Object>> {
            Ok(None)
        }
        fn get(&self, _: &str, _: u64) -> error::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn read(&self, _: &Object, range: Range<u64>) -> error::Result<Vec<u8>> {
            lock(&self.asked).push(range.clone());
            Ok(self.bytes[range.start as usize..range.end as usize].to_vec())
        }
    }

    fn blocks(size: usize) -> (Arc<Counting>, Blocks) {
        let bytes = (0..size).map(|k| ((k * 31) >> 7) as u8).collect();
        let counting = Arc::new(Counting { bytes, asked: Mutex::default() });
        let object = Object { name: "a".into(), size: size as u64, version: String::new() };
        (Arc::clone(&counting), Blocks::new(Arc::new(Arc::clone(&counting)), object))
    }

    #[test]
    fn what_is_read_on_comes_in_longer_pieces_and_no_byte_twice() {
        let (counting, blocks) = blocks(10 << 20);
        let (mut got, mut buffer) = (Vec::<u8>::new(), [0; 10_000]);
        loop {
            let count = blocks.read_at(&mut buffer, got.len() as u64).unwrap();
            if count == 0 {
                break;
            }
            got.extend(&buffer[..count]);
        }
        assert!(got == counting.bytes);
        let asked = lock(&counting.asked);
        assert_eq!(asked.iter().map(|r| r.end - r.start).sum::<u64>(), 10 << 20);
        assert!(asked.len() < 10, "{asked:?}");
    }

    #[test]
    fn the_end_is_read_from_behind_in_one_piece() {
        let (counting, blocks) = blocks(10 << 20);
        for back in [22, 100, 1000, 60_000] {
            blocks.read_at(&mut [0; 22], (10 << 20) - back).unwrap();
        }
        assert_eq!(lock(&counting.asked).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_order_of_reading_gives_the_bytes(reads in prop::collection::vec((0u64..400_000, 1usize..70_000), 1..40)) {
            let (counting, blocks) = blocks(300_000);
            for (at, length) in reads {
                let mut buffer = vec![0; length];
                let count = blocks.read_at(&mut buffer, at).unwrap();
                let at = at as usize;
                prop_assert_eq!(count == 0, at >= 300_000);
                if count > 0 {
                    prop_assert!(buffer[..count] == counting.bytes[at..at + count]);
                }
            }
        }
    }
}
