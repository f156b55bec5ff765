//! What is odd about a delivery, found before any work: where its own statements contradict each other, or time, place
//! and optics.
//!
//! Everything here is a [`Warning`], never a refusal: a check may be wrong about a sensor it does not know. What would
//! make values wrong for sure is refused where the values are made.

mod parts;
mod place;
mod sample;
mod values;

use crate::calibrate::{self, Illumination};
use crate::error;
use crate::scene::{Scene, Warning};

pub use sample::{BLOCK_LIMIT, WINDOWS};

/// What metadata, names and image headers show. Reads no pixels.
pub fn metadata(scene: &Scene) -> Vec<Warning> {
    let mut found = place::check(scene);
    found.extend(parts::check(scene));
    found.extend(values::full_scale(scene, light(scene).as_ref()));
    found
}

/// What a few windows of every band show.
///
/// # Cost
/// At most [`WINDOWS`] blocks of each band; none of a band whose blocks hold more than [`BLOCK_LIMIT`] bytes.
///
/// # Errors
/// An image that cannot be read.
pub fn pixels(scene: &Scene) -> error::Result<Vec<Warning>> {
    sample::check(scene, light(scene).as_ref())
}

/// The sun by day, whatever is odd about it: that is said elsewhere.
fn light(scene: &Scene) -> Option<Illumination> {
    let options = calibrate::Options { accept_sun_conflict: true, ..calibrate::Options::default() };
    let light = calibrate::illumination(scene, None, &options).ok()?;
    // Low suns make reflectance so uncertain that no limit holds.
    (light.zenith.0 < values::MAX_ZENITH_DEG).then_some(light)
}
