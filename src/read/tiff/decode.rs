//! Compressed blocks to samples, low byte first, as they were before predictor and codec.

use std::fmt;
use std::io::{Error, ErrorKind, Result};

use weezl::{BitOrder, LzwStatus};

use super::layout::{Layout, Packing};
use super::predictor;

/// Codecs and memory, one per thread.
#[derive(Default)]
pub struct Decoder {
    deflate: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    lzw: Option<weezl::decode::Decoder>,
    row: Vec<u8>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// Decodes block `index` into `raw`, which takes on its size: all rows of the block that the image has. A block of no
    /// bytes is not there: zeros.
    ///
    /// # Errors
    /// When the block holds fewer or more bytes, or cannot be decompressed.
    pub fn decode(&mut self, layout: &Layout, index: usize, packed: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        let needed = layout.block_rows(index) * layout.row_bytes();
        let whole = layout.block.0 * layout.row_bytes();
        // What is kept is charged by its capacity: no large memory for a small block.
        if raw.capacity() < needed || raw.capacity() / 2 > needed {
            *raw = Vec::with_capacity(needed);
        }
        raw.resize(needed, 0);
        if packed.is_empty() {
            raw.fill(0);
            return Ok(());
        }
        if let Err(error) = self.unpack(layout.packing, packed, raw) {
            // Some writers fill up the last strip with rows beyond the image.
            raw.resize(whole, 0);
            if whole == needed || self.unpack(layout.packing, packed, raw).is_err() {
                return Err(error);
            }
            raw.truncate(needed);
        }
        predictor::undo(layout, raw, &mut self.row);
        Ok(())
    }

    /// Fills `raw` exactly.
    fn unpack(&mut self, packing: Packing, packed: &[u8], raw: &mut [u8]) -> Result<()> {
        let found = match packing {
            Packing::Plain => return Err(Error::new(ErrorKind::Unsupported, "the block is not compressed")),
            Packing::Deflate => {
                let codec = self.deflate.get_or_insert_with(libdeflater::Decompressor::new);
                codec.zlib_decompress(packed, raw).map_err(|e| invalid(format!("DEFLATE: {e}")))?
            }
            Packing::Zstd => {
                let codec = match &mut self.zstd {
                    Some(codec) => codec,
                    none => none.insert(zstd::bulk::Decompressor::new()?),
                };
                codec.decompress_to_buffer(packed, raw).map_err(|e| invalid(format!("ZSTD: {e}")))?
            }
            Packing::Lzw => self.unpack_lzw(packed, raw)?,
        };
        if found == raw.len() {
            return Ok(());
        }
        Err(invalid(format!("it holds {found} bytes, expected {}", raw.len())))
    }

    fn unpack_lzw(&mut self, mut packed: &[u8], raw: &mut [u8]) -> Result<usize> {
        // TIFF 6.0, section 13: every block begins with a clear code, 9 bits. Without one the bytes are damaged, and might be
        // decoded to something all the same.
        if !matches!(packed, [0x80, second, ..] if *second < 0x80) {
            return Err(invalid("LZW: it does not begin with a clear code".into()));
        }
        let codec = self.lzw.get_or_insert_with(|| {
            // Some writers leave out the end code, so a full buffer ends a block as well.
            weezl::decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
                .with_yield_on_full_buffer(true)
                .build()
        });
        codec.reset();
        let mut filled = 0;
        while filled < raw.len() {
            let step = codec.decode_bytes(packed, &mut raw[filled..]);
            packed = &packed[step.consumed_in..];
            filled += step.consumed_out;
            match step.status.map_err(|e| invalid(format!("LZW: {e}")))? {
                LzwStatus::Ok if step.consumed_in + step.consumed_out > 0 => {}
                _ => return Ok(filled),
            }
        }
        // Zeros after the last code, to an even size, may look like one more code, of one byte.
        let mut more = [0; 2];
        let beyond = codec.decode_bytes(packed, &mut more).consumed_out;
        Ok(if beyond < more.len() { filled } else { filled + beyond })
    }
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_never_panics(
            tail in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..4, size in 0usize..5000
        ) {
            // What streams begin with, so that some of it is decoded.
            let head: &[u8] = [&[0x80][..], &[0x80, 0], &[0x78, 0x9C], &[0x28, 0xB5, 0x2F, 0xFD]][start];
            let packed = [head, &tail].concat();
            let mut decoder = Decoder::default();
            for packing in [Packing::Lzw, Packing::Deflate, Packing::Zstd] {
                let _ = decoder.unpack(packing, &packed, &mut vec![0; size]);
            }
        }
    }

    #[test]
    fn lzw_may_end_without_its_end_code_but_not_hold_more() {
        let data: Vec<u8> = (0..5000u32).map(|i| (i * i / 7) as u8).collect();
        let packed = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&data).unwrap();
        let mut decoder = Decoder::default();
        for cut in [0, 1] {
            let mut raw = vec![0; data.len()];
            decoder.unpack(Packing::Lzw, &packed[..packed.len() - cut], &mut raw).unwrap();
            assert_eq!(raw, data);
        }
        for wrong in [data.len() + 1, data.len() - 3] {
            assert!(decoder.unpack(Packing::Lzw, &packed, &mut vec![0; wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_sizes_than_expected_are_errors() {
        let data = vec![9; 1000];
        let mut deflate = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(1).unwrap());
        let mut packed = vec![0; 2000];
        let size = deflate.zlib_compress(&data, &mut packed).unwrap();
        let zstd = zstd::bulk::compress(&data, 1).unwrap();
        for (packing, packed) in [(Packing::Deflate, &packed[..size]), (Packing::Zstd, &zstd)] {
            let mut decoder = Decoder::default();
            decoder.unpack(packing, packed, &mut [0; 1000]).unwrap();
            for wrong in [999, 1001] {
                assert!(decoder.unpack(packing, packed, &mut vec![0; wrong]).is_err(), "{packing:?} {wrong}");
            }
            assert!(decoder.unpack(packing, &packed[..packed.len() - 1], &mut [0; 1000]).is_err(), "{packing:?}");
        }
    }

    #[test]
    fn lzw_without_its_clear_code_is_damaged() {
        let packed = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(b"aaaabbbbcccc").unwrap();
        let mut raw = [0; 12];
        assert_eq!(Decoder::default().unpack_lzw(&packed, &mut raw).unwrap(), 12);
        assert_eq!(&raw, b"aaaabbbbcccc");
        for first in [0x00, 0x41, 0xC0] {
            let damaged: Vec<u8> = std::iter::once(first).chain(packed[1..].iter().copied()).collect();
            let said = Decoder::default().unpack_lzw(&damaged, &mut raw).unwrap_err().to_string();
            assert!(said.contains("clear code"), "{said}");
        }
        assert!(Decoder::default().unpack_lzw(&[], &mut raw).is_err());
    }
}
