//! Zstandard frames from matches that were found elsewhere.
//!
//! libzstd does the rest of the work: `ZSTD_compressSequences`, a function for callers that link it statically, which is how
//! its crate links the libzstd it brings. Its safe bindings leave the function out; so here, and only here, it is called
//! directly.
#![expect(unsafe_code, reason = "the search for matches is half of a run's time, and this way takes a third less")]

use std::ffi::CStr;
use std::fmt;
use std::ptr::NonNull;

use fieldglow_kernels::simd::vectorized;
use zstd::zstd_safe::compress_bound;
use zstd::zstd_safe::zstd_sys::{
    ZSTD_CCtx, ZSTD_CCtx_setParameter, ZSTD_Sequence, ZSTD_cParameter, ZSTD_compressSequences, ZSTD_createCCtx,
    ZSTD_freeCCtx, ZSTD_getErrorName, ZSTD_isError,
};

use super::matches::FARTHEST;

/// Bytes of the longest tile: libzstd adds lengths up in 32 bits.
pub(super) const LONGEST: usize = 1 << 30;

/// Literals, and the match behind them.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Sequence(ZSTD_Sequence);

impl Sequence {
    /// So many literals, then so many bytes that are equal to those `offset` bytes before; all inside a tile of up to
    /// [`LONGEST`].
    #[inline(always)]
    pub fn new(literals: usize, length: usize, offset: usize) -> Self {
        Self(ZSTD_Sequence { offset: offset as u32, litLength: literals as u32, matchLength: length as u32, rep: 0 })
    }

    /// What it was made of.
    #[cfg(test)]
    pub fn parts(self) -> (usize, usize, usize) {
        (self.0.litLength as usize, self.0.matchLength as usize, self.0.offset as usize)
    }
}

/// A compressor of sequences.
pub(super) struct Compressor(NonNull<ZSTD_CCtx>);

// SAFETY: a context belongs to no thread; it must not be used by two at a time, and is used through `&mut` alone.
unsafe impl Send for Compressor {}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: made by `ZSTD_createCCtx`, and not freed before.
        unsafe { ZSTD_freeCCtx(self.0.as_ptr()) };
    }
}

impl Compressor {
    /// A compressor at a level of Zstandard, for matches of `shortest` bytes or more.
    ///
    /// # Errors
    /// What libzstd says if it has no memory, or does not take the level.
    pub fn new(level: i32, shortest: usize) -> Result<Self, String> {
        // SAFETY: takes nothing; what comes back is null or a context.
        let context = unsafe { ZSTD_createCCtx() };
        let made = Self(NonNull::new(context).ok_or("libzstd has no memory for a context")?);
        for (parameter, value) in [
            (ZSTD_cParameter::ZSTD_c_compressionLevel, level),
            (ZSTD_cParameter::ZSTD_c_minMatch, shortest as i32),
            // ZSTD_c_validateSequences: matches that reach farther back than the window, or are too short for the memory
            // that is set aside for sequences, are an error.
            (ZSTD_cParameter::ZSTD_c_experimentalParam12, 1),
            // ZSTD_c_stableInBuffer, ZSTD_c_stableOutBuffer: nothing is copied, so that no buffers are needed.
            (ZSTD_cParameter::ZSTD_c_experimentalParam9, 1),
            (ZSTD_cParameter::ZSTD_c_experimentalParam10, 1),
        ] {
            // SAFETY: the context is alive; values out of bounds are answered with an error.
            said(unsafe { ZSTD_CCtx_setParameter(made.0.as_ptr(), parameter, value) })?;
        }
        Ok(made)
    }

    /// Bytes of its memory.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        // SAFETY: the context is alive.
        unsafe { zstd::zstd_safe::zstd_sys::ZSTD_sizeof_CCtx(self.0.as_ptr()) }
    }

    /// Appends a frame to `to`: `raw`, of which `sequences` tells the matches from left to right; what they leave at the end
    /// is literals.
    ///
    /// The frame is right if each match is of the length the compressor was made for, reaches back into `raw`, and equals
    /// what it says it does: that is for who found them. Whatever they are, nothing but `raw` is read.
    ///
    /// # Errors
    /// If `raw` is longer than [`LONGEST`], or the sequences are longer than it or reach farther than [`FARTHEST`]; what
    /// libzstd says of them.
    pub fn compress(&mut self, raw: &[u8], sequences: &[Sequence], to: &mut Vec<u8>) -> Result<(), String> {
        let (mut total, mut nearest, mut farthest) = (0, 1, 0);
        vectorized(
            #[inline(always)]
            || {
                for Sequence(sequence) in sequences {
                    total += u64::from(sequence.litLength) + u64::from(sequence.matchLength);
                    (nearest, farthest) = (nearest.min(sequence.offset), farthest.max(sequence.offset));
                }
            },
        );
        if raw.len() > LONGEST || total > raw.len() as u64 || nearest < 1 || farthest as usize > FARTHEST {
            let offsets = nearest..=farthest;
            return Err(format!("matches and literals of {total} bytes for {}, offsets {offsets:?}", raw.len()));
        }
        to.reserve(compress_bound(raw.len()));
        let room = to.spare_capacity_mut();
        // SAFETY: the context is alive, and nobody else uses it. Each pointer goes with its own length: bytes and sequences
        // that are only read (a `Sequence` is laid out as a `ZSTD_Sequence`), and room that is only written, of the size that
        // any frame of `raw` fits into. The sequences are no longer than `raw`, so that no sum of theirs overflows, and
        // their offsets are neither 0 nor so large that what is added to them does; too many for libzstd's memory, because
        // they are too short, are its error.
        let size = said(unsafe {
            ZSTD_compressSequences(
                self.0.as_ptr(),
                room.as_mut_ptr().cast(),
                room.len(),
                sequences.as_ptr().cast(),
                sequences.len(),
                raw.as_ptr().cast(),
                raw.len(),
            )
        })?;
        // SAFETY: no error, so that so many bytes of the room were written.
        unsafe { to.set_len(to.len() + size) };
        Ok(())
    }
}

/// A size that libzstd returned, or its error.
fn said(code: usize) -> Result<usize, String> {
    // SAFETY: both take a number; the name is a text that lives as long as the program.
    let error = unsafe { (ZSTD_isError(code) != 0).then(|| CStr::from_ptr(ZSTD_getErrorName(code))) };
    error.map_or(Ok(code), |name| Err(name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_do_not_fit_are_refused() {
        let raw = [7; 100];
        let mut compressor = Compressor::new(3, 5).unwrap();
        let mut compress = |sequences: &[Sequence]| {
            let mut to = vec![1, 2];
            compressor.compress(&raw, sequences, &mut to).map(|()| to)
        };
        let frame = compress(&[Sequence::new(1, 60, 1)]).unwrap();
        assert_eq!((&frame[..2], zstd::decode_all(&frame[2..]).unwrap()), (&[1, 2][..], raw.to_vec()));
        assert!(compress(&[Sequence::new(41, 60, 1)]).unwrap_err().contains("101 bytes for 100"));
        for offset in [0, FARTHEST + 1, u32::MAX as usize - 2, u32::MAX as usize] {
            assert!(compress(&[Sequence::new(10, 20, offset)]).unwrap_err().contains("offsets"), "{offset}");
        }
        assert!(compress(&[Sequence::new(10, 20, 11 + 20)]).is_err());
        assert!(compress(&[Sequence::new(10, 3, 1)]).is_err());
        assert!(compress(&[Sequence::new(u32::MAX as usize, 20, 1)]).is_err());
        // And the context is good for more.
        assert_eq!(compress(&[Sequence::new(1, 60, 1)]).unwrap(), frame);
        assert_eq!(zstd::decode_all(&compress(&[]).unwrap()[2..]).unwrap(), raw);
        assert!(Compressor::new(3, 500).is_err());
    }
}
