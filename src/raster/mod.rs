//! Pixels in memory: blocks on their way through the stages, and raw tiles ready to be stored.
//!
//! Invariants:
//!
//! - An invalid sample of a [`Block`] is NaN and nothing else; the state plane says why. Sentinels exist only in files: they
//!   are removed when read and put in when quantised.
//! - A plane holds DN; its [`Linear`] says what they mean. Whoever reads the plane applies it, in `f64`.

use ndarray::{Array2, Array3};

use crate::grid::Window;
use crate::scene::Role;

pub use fieldglow_kernels::linear::Linear;
pub use fieldglow_kernels::state;

/// Pixels of a window in flight.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it stands on its lattice.
    pub window: Window,
    /// What each plane is.
    pub roles: Vec<Role>,
    /// What the samples of each plane mean.
    pub linear: Vec<Linear>,
    /// Samples, axes (band, row, col); NaN = invalid.
    pub planes: Array3<f32>,
    /// Why a pixel is invalid or what is wrong with it, axes (row, col); bits of [`state`].
    pub state: Array2<u16>,
}

impl Block {
    /// A block without a single valid pixel.
    pub fn invalid(window: Window, roles: Vec<Role>, linear: Vec<Linear>) -> Self {
        let shape = (window.rows, window.cols);
        Self {
            window,
            planes: Array3::from_elem((roles.len(), shape.0, shape.1), f32::NAN),
            state: Array2::from_elem(shape, state::NODATA),
            roles,
            linear,
        }
    }

    /// Bytes a block of this many pixels and bands takes.
    pub fn bytes(pixels: usize, bands: usize) -> u64 {
        (pixels * (bands * size_of::<f32>() + size_of::<u16>())) as u64
    }

    /// The samples of one plane, row by row.
    pub fn plane(&self, band: usize) -> &[f32] {
        let pixels = self.window.pixels();
        self.planes.as_slice().map_or(&[], |all| &all[band * pixels..(band + 1) * pixels])
    }

    /// All planes one after another, and the states.
    pub fn parts_mut(&mut self) -> (&mut [f32], &mut [u16]) {
        // Both arrays are only ever made in standard layout, so they are contiguous.
        (self.planes.as_slice_mut().unwrap_or_default(), self.state.as_slice_mut().unwrap_or_default())
    }

    /// All planes one after another, and the states.
    pub fn parts(&self) -> (&[f32], &[u16]) {
        (self.planes.as_slice().unwrap_or_default(), self.state.as_slice().unwrap_or_default())
    }
}

/// Stored samples of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// Unsigned, 8 bits.
    U8(Vec<u8>),
    /// Signed, 16 bits.
    I16(Vec<i16>),
    /// Unsigned, 16 bits.
    U16(Vec<u16>),
    /// Single precision.
    F32(Vec<f32>),
}

impl Samples {
    /// Bytes of a sample.
    pub fn size(&self) -> usize {
        match self {
            Self::U8(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::F32(_) => 4,
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Stored pixels of a rectangle, samples interleaved by pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTile {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Samples per pixel.
    pub bands: usize,
    /// Row by row, pixel by pixel, band by band.
    pub samples: Samples,
}
