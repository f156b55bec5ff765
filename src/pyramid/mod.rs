//! Overviews, folded from stored pixels while they are hot.
//!
//! Invariant: an overview pixel depends on the stored pixels under it alone. Units start at multiples of
//! [`UNIT_SIDE`] pixels, a power of two, so a unit folds its share of every level without its neighbours, and the order in
//! which units arrive does not matter.

mod assembly;

pub use assembly::{Assembly, Share};

use fieldglow_kernels::pyramid::{self as kernel, Shape};

use crate::product::{NODATA_I16, NODATA_U8, OverviewRule};
use crate::raster::{RawTile, Samples};
use fieldglow_kernels::state;

/// Side of a unit, pixels: what one task computes.
pub const UNIT_SIDE: usize = 1024;

/// The next coarser level of a rectangle that starts at even coordinates; sizes are halved with ceil.
pub fn halve(tile: &RawTile, rule: OverviewRule) -> RawTile {
    let shape = Shape { rows: tile.rows, cols: tile.cols, stride: tile.bands };
    let half = shape.halved();
    let n = half.samples();
    let samples = match (&tile.samples, rule) {
        (Samples::U8(v), _) => {
            let mut out = vec![0; n];
            kernel::average_u8(v, shape, NODATA_U8, &mut out);
            Samples::U8(out)
        }
        (Samples::I16(v), _) => {
            let mut out = vec![0; n];
            kernel::average_i16(v, shape, NODATA_I16, &mut out);
            Samples::I16(out)
        }
        (Samples::F32(v), _) => {
            let mut out = vec![0.0; n];
            kernel::average_f32(v, shape, &mut out);
            Samples::F32(out)
        }
        (Samples::U16(v), OverviewRule::Bits) => {
            let mut out = vec![0; n];
            kernel::bits_u16(v, shape, state::NODATA, &mut out);
            Samples::U16(out)
        }
        (Samples::U16(v), OverviewRule::Average) => {
            let mut out = vec![0; n];
            kernel::average_u16(v, shape, u16::MAX, &mut out);
            Samples::U16(out)
        }
    };
    RawTile { rows: half.rows, cols: half.cols, bands: tile.bands, samples }
}
