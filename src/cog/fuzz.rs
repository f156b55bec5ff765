//! What compresses tiles here on any bytes, for [`crate::fuzzing`].

use std::path::Path;

use super::matches::{self, SHORTEST, Search};
use super::sequences::Compressor;

/// Bytes that a tile is repeated to: more than two blocks of Zstandard.
const LONG: usize = 300_000;

/// Frames of the matches that are found: libzstd makes the same bytes of them again, of the tile alone and of many in a row.
/// True if the tile is one that is searched.
pub fn tiles(_: &Path, data: &[u8]) -> bool {
    let compressor = Compressor::new(3, SHORTEST);
    assert!(compressor.is_ok(), "{compressor:?}");
    let Ok(mut compressor) = compressor else { return false };
    let mut search = Search::default();
    for tile in [data.to_vec(), data.repeat(LONG / (data.len() + 1) + 1)] {
        let mut frame = Vec::new();
        let made = compressor.compress(&tile, search.run(&tile), &mut frame);
        assert!(made.is_ok(), "{made:?}");
        let back = zstd::bulk::decompress(&frame, tile.len());
        assert!(back.is_ok_and(|back| back == tile));
    }
    matches::suits(data)
}
