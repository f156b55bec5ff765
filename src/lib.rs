//! Very-high-resolution satellite scenes to cloud-optimised, analysis-ready tiles with STAC metadata, in one pass.
//!
//! Modules stand in the order data meets them:
//! [`scene`] → [`read`] → [`survey`] → [`calibrate`] → [`geometry`] → [`product`] → [`pyramid`] → [`cog`] →
//! [`store`] → [`catalog`], joined only by [`engine`]; [`picture`] shows the coarsest overviews to people. Below them are
//! [`config`], [`grid`], [`raster`], [`arrival`], [`sun`], [`units`], [`warning`] and [`error`];
//! [`describe`] writes the `scene.toml` of other vendors' products; [`examine`] says what is odd about a delivery, before any of it;
//! [`simulate`] stands beside them and shares no physics with them; the command line, in the binary, is above.

pub mod arrival;
pub mod calibrate;
pub mod catalog;
pub mod cog;
pub mod config;
pub mod describe;
pub mod engine;
pub mod error;
pub mod examine;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod geometry;
pub mod grid;
pub mod picture;
pub mod product;
pub mod pyramid;
pub mod raster;
pub mod read;
pub mod scene;
pub mod simulate;
pub mod store;
pub mod sun;
pub mod survey;
pub mod units;
pub mod warning;
