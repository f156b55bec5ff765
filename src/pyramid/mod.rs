//! Overviews, folded from stored pixels while they are hot.
//!
//! Invariant: an overview pixel depends on the stored pixels under it alone. Units start at multiples of
//! [`UNIT_ROWS`] and [`UNIT_COLS`] pixels, powers of two, so a unit folds its share of every level without its neighbours,
//! and the order in which units arrive does not matter.

mod assembly;

pub use assembly::{Assembly, Placed, Share, Spare};

use fieldglow_kernels::pyramid::{self as kernel, Shape};

use crate::product::{NODATA_I16, NODATA_U8, OverviewRule};
use crate::raster::{RawTile, Samples};
use fieldglow_kernels::state;

/// Rows of a unit, pixels: what one task computes. Few, so that the first part of a file leaves early and no worker is left
/// alone for long at the end.
pub const UNIT_ROWS: usize = 512;
/// Columns of a unit, pixels.
pub const UNIT_COLS: usize = 1024;

/// The next coarser level of a rectangle that starts at even coordinates; sizes are halved with ceil.
pub fn halve(tile: &RawTile, rule: OverviewRule) -> RawTile {
    let mut half = RawTile::default();
    half.reshape(tile, tile.rows.div_ceil(2), tile.cols.div_ceil(2));
    halve_into(tile, rule, &mut half, 0);
    half
}

/// The same, into the rows of `half` from `first_row` on. `half` has the type and half the columns of `tile`.
pub fn halve_into(tile: &RawTile, rule: OverviewRule, half: &mut RawTile, first_row: usize) {
    let shape = Shape { rows: tile.rows, cols: tile.cols, stride: tile.bands };
    let start = first_row * half.cols * half.bands;
    let to = start..start + shape.halved().samples();
    match (&tile.samples, &mut half.samples, rule) {
        (Samples::U8(v), Samples::U8(h), _) => kernel::average_u8(v, shape, NODATA_U8, &mut h[to]),
        (Samples::I16(v), Samples::I16(h), _) => kernel::average_i16(v, shape, NODATA_I16, &mut h[to]),
        (Samples::F32(v), Samples::F32(h), _) => kernel::average_f32(v, shape, &mut h[to]),
        (Samples::U16(v), Samples::U16(h), OverviewRule::Bits) => {
            kernel::bits_u16(v, shape, state::NODATA, &mut h[to]);
        }
        (Samples::U16(v), Samples::U16(h), OverviewRule::Average) => {
            kernel::average_u16(v, shape, u16::MAX, &mut h[to]);
        }
        // The types were made equal with the shapes.
        _ => {}
    }
}
