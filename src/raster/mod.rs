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
    /// PAN as detectors of coarser bands see it, DN, plane by plane; empty where nothing is sharpened.
    pub low: Vec<f32>,
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
            low: Vec::new(),
        }
    }

    /// Makes it such a block again, with what memory it has.
    pub fn reset(&mut self, window: Window, roles: &[Role], linear: &[Linear]) {
        self.reshape(window, roles, linear);
        self.planes.fill(f32::NAN);
        self.state.fill(state::NODATA);
    }

    /// Makes it a block of another window, with what memory it has; its samples and states are of no particular value.
    pub fn reshape(&mut self, window: Window, roles: &[Role], linear: &[Linear]) {
        let (Window { rows, cols, .. }, bands) = (window, roles.len());
        if self.planes.dim() != (bands, rows, cols) {
            let mut planes = std::mem::take(&mut self.planes).into_raw_vec_and_offset().0;
            let mut state = std::mem::take(&mut self.state).into_raw_vec_and_offset().0;
            planes.resize(bands * rows * cols, f32::NAN);
            state.resize(rows * cols, state::NODATA);
            self.planes = Array3::from_shape_vec((bands, rows, cols), planes).unwrap_or_default();
            self.state = Array2::from_shape_vec((rows, cols), state).unwrap_or_default();
        }
        self.window = window;
        self.roles.clear();
        self.roles.extend_from_slice(roles);
        self.linear.clear();
        self.linear.extend_from_slice(linear);
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

    /// The samples of one plane of low-passed PAN, row by row.
    pub fn low(&self, k: usize) -> &[f32] {
        let pixels = self.window.pixels();
        self.low.get(k * pixels..(k + 1) * pixels).unwrap_or_default()
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

    /// Gives all samples the value of the first one of `value`, which is of the same type.
    pub fn fill(&mut self, value: &Self) {
        match (self, value) {
            (Self::U8(v), Self::U8(x)) => v.fill(x[0]),
            (Self::I16(v), Self::I16(x)) => v.fill(x[0]),
            (Self::U16(v), Self::U16(x)) => v.fill(x[0]),
            (Self::F32(v), Self::F32(x)) => v.fill(x[0]),
            _ => {}
        }
    }

    /// As many samples of the same type, of no particular value.
    fn resize(&mut self, n: usize) {
        match self {
            Self::U8(v) => v.resize(n, 0),
            Self::I16(v) => v.resize(n, 0),
            Self::U16(v) => v.resize(n, 0),
            Self::F32(v) => v.resize(n, 0.0),
        }
    }

    fn of_type_of(other: &Self) -> Self {
        match other {
            Self::U8(_) => Self::U8(Vec::new()),
            Self::I16(_) => Self::I16(Vec::new()),
            Self::U16(_) => Self::U16(Vec::new()),
            Self::F32(_) => Self::F32(Vec::new()),
        }
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

impl Default for RawTile {
    fn default() -> Self {
        Self::empty(1, Samples::U8(Vec::new()))
    }
}

impl RawTile {
    /// An empty tile of this type and number of bands.
    pub fn empty(bands: usize, samples: Samples) -> Self {
        Self { rows: 0, cols: 0, bands, samples }
    }

    /// True for samples of the same type, as many of them per pixel.
    pub fn is_like(&self, other: &Self) -> bool {
        self.bands == other.bands && std::mem::discriminant(&self.samples) == std::mem::discriminant(&other.samples)
    }

    /// Gives it another size and the type and bands of `like`, with what memory it has; its samples are of no particular
    /// value then.
    pub fn reshape(&mut self, like: &Self, rows: usize, cols: usize) {
        if std::mem::discriminant(&self.samples) != std::mem::discriminant(&like.samples) {
            self.samples = Samples::of_type_of(&like.samples);
        }
        (self.rows, self.cols, self.bands) = (rows, cols, like.bands);
        self.samples.resize(rows * cols * like.bands);
    }

    /// Gives it another number of rows; those that it gains are of no particular value.
    pub fn set_rows(&mut self, rows: usize) {
        self.rows = rows;
        self.samples.resize(rows * self.cols * self.bands);
    }

    /// Copies a rectangle of `from` that starts at row and column `at.0` to where `at.1` says.
    pub fn copy(&mut self, from: &Self, at: ((usize, usize), (usize, usize)), (rows, cols): (usize, usize)) {
        fn copy<T: Copy>(from: (&[T], usize), to: (&mut [T], usize), (rows, n): (usize, usize)) {
            for r in 0..rows {
                to.0[r * to.1..][..n].copy_from_slice(&from.0[r * from.1..][..n]);
            }
        }
        let bands = self.bands;
        let start = |(row, col): (usize, usize), cols: usize| (row * cols + col) * bands;
        let (a, b) = (start(at.0, from.cols), start(at.1, self.cols));
        let (from_stride, to_stride, size) = (from.cols * bands, self.cols * bands, (rows, cols * bands));
        match (&from.samples, &mut self.samples) {
            (Samples::U8(f), Samples::U8(t)) => copy((&f[a..], from_stride), (&mut t[b..], to_stride), size),
            (Samples::I16(f), Samples::I16(t)) => copy((&f[a..], from_stride), (&mut t[b..], to_stride), size),
            (Samples::U16(f), Samples::U16(t)) => copy((&f[a..], from_stride), (&mut t[b..], to_stride), size),
            (Samples::F32(f), Samples::F32(t)) => copy((&f[a..], from_stride), (&mut t[b..], to_stride), size),
            _ => {}
        }
    }
}
