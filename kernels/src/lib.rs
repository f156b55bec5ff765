//! Pixel arithmetic of Fieldglow: pure functions on slices. No I/O, no threads, no allocation.
//!
//! Invariants every kernel keeps:
//!
//! - An invalid sample is NaN in `f32` planes; invalid in gives invalid out, and a zero denominator gives invalid.
//! - Slices of one call have one length (asserted at entry); rows are contiguous.
//! - Element-wise kernels give the same bits at every SIMD level: loops are written once and compiled per level, and
//!   nothing is fused or reassociated.
//!
//! Each family stands in one file with a plain `f64` reference in its tests.
#![forbid(unsafe_code)]

pub mod correlate;
pub mod expression;
pub mod fusion;
pub mod height;
pub mod lattice;
pub mod lights;
pub mod linear;
pub mod occlusion;
pub mod pyramid;
pub mod quantize;
pub mod resample;
pub mod rpc;
pub mod sharpen;
pub mod simd;
pub mod state;
pub mod stats;
