//! The program as its users meet it: the built binary, its files, its messages, its exit codes.
//!
//! What is expected is computed here, from the inputs and published formulas; nothing is taken from the library.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a failed expectation says what it found")]

mod archives;
mod bad_input;
mod commands;
mod coregistration;
mod delivery;
mod determinism;
mod documents;
mod ended_early;
mod geometry;
mod grids;
mod harness;
mod heights;
mod image;
mod inputs;
mod levels;
mod lights;
mod main_way;
mod many;
mod markdown;
mod memory;
mod night;
mod report;
mod resampling;
mod shapes;
mod sharpen;
mod values;
