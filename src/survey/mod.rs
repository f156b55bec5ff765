//! Scene-wide numbers that a pass needs beforehand, made once per scene from a first look at it.
//!
//! Invariants:
//!
//! - The look is a fixed set of windows that depends on the size of the image alone ([`windows`]), so the survey is the
//!   same whoever makes it, with any number of threads, for one cell or for all.
//! - Levels and ranges are in DN: what they mean as radiance or reflectance is the calibration's business.

pub mod coregister;
mod dark;
pub mod sharpen;
mod stretch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use dark::Dark;
pub use stretch::Range;

use crate::error::{Class, Classify};
use crate::grid::Window;
use crate::scene::Role;

/// Edge of a window, pixels.
const SIDE: usize = 64;

/// Most windows along each axis: 16 × 16 of 64 × 64 pixels are a million samples, whose mean is known to a thousandth
/// of their spread.
const MOST: usize = 16;

/// What is asked of a survey, by band.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Bands whose dark level is wanted.
    pub dark: BTreeSet<Role>,
    /// Bands whose range for display is wanted.
    pub stretch: BTreeSet<Role>,
    /// Products that are pansharpened.
    pub sharpen: BTreeSet<String>,
}

impl Request {
    /// True when nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.dark.is_empty() && self.stretch.is_empty() && self.sharpen.is_empty()
    }

    /// All bands that have to be looked at one by one.
    pub fn bands(&self) -> BTreeSet<Role> {
        &self.dark | &self.stretch
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Dark level by band.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dark: BTreeMap<Role, Dark>,
    /// Range for display by band.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stretch: BTreeMap<Role, Range>,
    /// How its parts lie on a reference and on each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coregistration: Option<coregister::Registration>,
    /// PAN and the bands together, by pansharpened product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sharpen: BTreeMap<String, sharpen::Sharpening>,
}

impl Survey {
    /// Adds what was asked of one band, from the samples of its windows.
    ///
    /// # Units
    /// DN.
    ///
    /// # Invalid pixels
    /// NaN.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub fn add(&mut self, request: &Request, role: Role, samples: &[Vec<f32>]) -> Result<(), SurveyError> {
        if request.dark.contains(&role) {
            self.dark.insert(role, dark::measure(role, samples)?);
        }
        if request.stretch.contains(&role) {
            self.stretch.insert(role, stretch::measure(samples));
        }
        Ok(())
    }

    /// Adds what another survey found.
    pub fn merge(&mut self, other: Self) {
        self.dark.extend(other.dark);
        self.stretch.extend(other.stretch);
        self.coregistration = self.coregistration.take().or(other.coregistration);
        self.sharpen.extend(other.sharpen);
    }
}

/// What windows show whose evidence is too weak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Windows {
    /// Edge of a pixel of the last comparison, metres.
    pub pixel_m: f64,
    /// Windows that were compared.
    pub tried: usize,
    /// Windows that agree.
    pub agree: usize,
    /// Windows with a clear peak that do not.
    pub disagree: usize,
    /// The fewest that must agree.
    pub needed: usize,
    /// Windows with too few valid pixels.
    pub invalid: usize,
    /// Windows without features.
    pub featureless: usize,
    /// Windows without a clear peak.
    pub unclear: usize,
    /// Windows whose shift is too large to tell.
    pub far: usize,
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pixel_m, tried, agree, disagree, needed, invalid, featureless, unclear, far } = self;
        write!(
            f,
            "on pixels of {pixel_m:.2} m, {agree} of {tried} windows agree on one correction and {needed} are needed, with a third of those that have a clear peak; {disagree} have another one, {unclear} have no clear one, {featureless} show the same everywhere, {invalid} have too few valid pixels, {far} lie too far apart"
        )
    }
}

/// A survey is not possible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SurveyError {
    /// Too few windows without light.
    #[error(
        "the dark level of band {role} cannot be measured: {found} of {looked_at} windows show unlit ground, {needed} are needed; state it: `dark_dn` and `lit_threshold` in the `[night]` section"
    )]
    NoDarkGround {
        /// The band.
        role: Role,
        /// Windows without light.
        found: usize,
        /// Windows that were looked at.
        looked_at: usize,
        /// The fewest that will do.
        needed: usize,
    },
    /// Too few windows, or too few that agree, show how the scene lies against its reference.
    #[error(
        "the scene cannot be co-registered: {windows}; give a reference of the same ground, cloud-free and in a like season, raise `max_shift_m`, take `model = \"affine\"` if many have another one, or set `on_weak = \"skip\"`"
    )]
    Unregistered {
        /// What they show.
        windows: Windows,
    },
    /// Too few windows, or too few that agree, show how a band lies on another one, or it lies too far off.
    #[error(
        "band {band} cannot be laid on band {on}: {reason}; leave it out of the products, set `band_to_band = false`, or set `on_weak = \"skip\"`"
    )]
    Unlaid {
        /// The band.
        band: Role,
        /// The band that it was compared with.
        on: Role,
        /// What was found.
        reason: String,
    },
    /// The scene lies further from its reference than was allowed.
    #[error(
        "the scene lies {found_m:.1} m from its reference, more than `max_shift_m` = {limit_m} allows; raise it if that is right, else check that reference and scene show the same ground"
    )]
    ShiftTooLarge {
        /// Distance, metres.
        found_m: f64,
        /// The limit, metres.
        limit_m: f64,
    },
    /// PAN and the bands of a product show no ground together.
    #[error(
        "product `{product}` cannot be sharpened: PAN and its bands are both valid on {found} pixels of the windows looked at, {needed} are needed; check that both parts are of one acquisition, or leave the product out"
    )]
    NothingInCommon {
        /// The product.
        product: String,
        /// Pixels that both show.
        found: u64,
        /// The fewest that will do.
        needed: u64,
    },
}

impl SurveyError {
    /// What was found of a scene on a reference, said of a band on another one.
    pub fn between(self, band: Role, on: Role) -> Self {
        let reason = match self {
            Self::Unregistered { windows } => windows.to_string(),
            Self::ShiftTooLarge { found_m, limit_m } => format!("it lies {found_m:.1} m off, more than {limit_m:.1} m"),
            other => return other,
        };
        Self::Unlaid { band, on, reason }
    }
}

impl Classify for SurveyError {
    fn class(&self) -> Class {
        Class::Input
    }
}

/// The windows of the first look at an image, row by row: up to 16 × 16 of 64 × 64 pixels, evenly spread.
pub fn windows(rows: usize, cols: usize) -> Vec<Window> {
    let starts = |n: usize| -> Vec<usize> {
        let count = (n / SIDE).clamp(1, MOST);
        (0..count).map(|k| ((2 * k + 1) * n / (2 * count)).saturating_sub(SIDE / 2)).collect()
    };
    let (tall, wide) = (SIDE.min(rows), SIDE.min(cols));
    let lefts = starts(cols);
    starts(rows)
        .into_iter()
        .flat_map(|r| lefts.iter().map(move |c| (r, *c)))
        .map(|(r, c)| Window::new(r as i64, c as i64, tall, wide))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_inside_apart_and_evenly() {
        for (rows, cols) in [(1, 1), (64, 63), (65, 200), (1000, 4096), (40_000, 17)] {
            let all = windows(rows, cols);
            assert!(!all.is_empty() && all.len() <= MOST * MOST);
            let mut seen = BTreeSet::new();
            for w in &all {
                assert!(w.row >= 0 && w.col >= 0, "{rows} {cols} {w}");
                assert!(w.row as usize + w.rows <= rows && w.col as usize + w.cols <= cols, "{rows} {cols} {w}");
                assert!(seen.insert((w.row, w.col)));
            }
            let lefts: BTreeSet<i64> = all.iter().map(|w| w.col).collect();
            let lefts: Vec<i64> = lefts.into_iter().collect();
            assert!(lefts.windows(2).all(|p| p[1] - p[0] >= SIDE as i64), "{lefts:?}");
        }
    }

    #[test]
    fn a_band_too_far_off_another_is_named_with_it() {
        let scene = SurveyError::ShiftTooLarge { found_m: 50.0, limit_m: 24.0 };
        let band = scene.between(Role::G, Role::R).to_string();
        assert!(band.starts_with("band G cannot be laid on band R: it lies 50.0 m off, more than 24.0 m;"), "{band}");
    }

    #[test]
    fn numbers_survive_their_document() {
        let mut s = Survey::default();
        s.dark.insert(Role::R, Dark { level: 0.1 + 0.2, sigma: 1.0 / 3.0, standard_error: 1e-17, windows: 7 });
        s.stretch.insert(Role::B, Range { low: -1.5, high: 4095.0, highlight: 4096.0 });
        let text = serde_json::to_string_pretty(&s).unwrap();
        let back: Survey = serde_json::from_str(&text).unwrap();
        assert_eq!(back, s);
    }
}
