//! What was done to pixels before they were delivered, and what is known of product levels.
//!
//! Level names are tokens: vendors give the same token different meanings, and of some of Jilin-1's no definition is
//! published. So a level is never a number to compare. What counts is whether its pixels are still measurements that
//! calibration coefficients fit, and that is said by [`Processed`], each time with who says so.

use serde::{Deserialize, Serialize};

/// Something done to pixels that no gain and bias undoes: radiance and reflectance of them are not what the instrument
/// measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Processed {
    /// Detail of one image was mixed into another (pansharpening).
    Fused,
    /// Digital numbers were changed to look good (contrast stretch to 8 bits).
    Stretched,
    /// Several acquisitions were put together, their colours often balanced; one sun does not fit all pixels.
    Mosaicked,
}

impl Processed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fused, Self::Stretched, Self::Mosaicked];

    /// The word in pipeline files and sidecars.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Stretched => "stretched",
            Self::Mosaicked => "mosaicked",
        }
    }

    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fused => "fused (pansharpened)",
            Self::Stretched => "stretched to 8 bits",
            Self::Mosaicked => "mosaicked",
        }
    }
}

/// Something done to the pixels of a part, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Processing {
    /// What was done.
    pub what: Processed,
    /// File and field, or token of the name, that says so.
    pub said_by: String,
}

/// What is known of a level of Jilin-1 products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLevel {
    /// The token in names and in `ProductLevel`.
    pub token: &'static str,
    /// What its products are.
    pub about: &'static str,
    /// What it says was done to all of its images.
    pub processed: Option<Processed>,
}

/// The levels that something is known of. L2, L3A, L3B, L4 and LX occur or are spoken of, and nothing is published.
///
/// # Reference
/// CATALYST GDB help pages Jilin-1 and Jilin-1-03B (L1, L1A, L1B); names and headers of published products (L1C, L3C,
/// L3D, L5, L5D).
pub const LEVELS: [KnownLevel; 8] = [
    KnownLevel {
        token: "L1",
        about: "relative radiometric and sensor correction, sensor geometry with RPC; PAN and MSS",
        processed: None,
    },
    KnownLevel { token: "L1A", about: "single frame of a video or night camera, with RPC", processed: None },
    KnownLevel { token: "L1B", about: "staring video", processed: None },
    KnownLevel {
        token: "L1C",
        about: "four bands of a hyperspectral (GP) scene, fused to finer pixels",
        processed: Some(Processed::Fused),
    },
    KnownLevel { token: "L3C", about: "orthorectified, on a map projection", processed: None },
    KnownLevel { token: "L3D", about: "orthorectified, on a map projection", processed: None },
    KnownLevel { token: "L5", about: "mosaic", processed: Some(Processed::Mosaicked) },
    KnownLevel { token: "L5D", about: "mosaic", processed: Some(Processed::Mosaicked) },
];

/// What is known of a level, whatever the case of its letters.
pub fn known(token: &str) -> Option<&'static KnownLevel> {
    LEVELS.iter().find(|level| level.token.eq_ignore_ascii_case(token))
}

/// A level as names write it: `LEVEL1A` is `L1A`.
pub(super) fn plain(token: &str) -> String {
    let upper = token.trim().to_ascii_uppercase();
    upper.strip_prefix("LEVEL").map_or(upper.clone(), |rest| format!("L{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_files() {
        for p in Processed::ALL {
            assert_eq!(serde_json::to_value(p).unwrap(), p.code());
        }
    }

    #[test]
    fn a_level_is_known_by_its_whole_token() {
        assert_eq!(known("l3d").map(|l| l.token), Some("L3D"));
        assert_eq!(known("L1").map(|l| l.token), Some("L1"));
        assert_eq!(known("L2"), None);
        assert_eq!(known(""), None);
        assert_eq!((plain("LEVEL1A"), plain(" l3d ")), ("L1A".into(), "L3D".into()));
    }
}
