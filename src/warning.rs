//! What is odd but does not stop the work. Every code stands here, with what it means.

use std::fmt;

/// Something odd that did not stop the work.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Warning {
    /// Short stable name, for machines.
    pub code: Code,
    /// What was found, in which file and field, and what was done about it.
    pub message: String,
}

/// Declares [`Code`]: name, text and meaning of each, once.
macro_rules! codes {
    ($($(#[doc = $about:literal])+ $name:ident = $text:literal,)+) => {
        /// Short stable name of a kind of warning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $about])+ $name,)+
        }

        impl Code {
            /// All of them, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The text in reports and documents, kebab-case.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it means.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($about,)+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// The spectral limits of a band are not published; usual ones are assumed, and solar irradiance follows from them.
    BandRangeAssumed = "band-range-assumed",
    /// The vendor's cloud cover is no number from 0 to 100; it counts as unknown.
    CloudPercent = "cloud-percent",
    /// Products are coarser than the input, and bilinear interpolation leaves some input pixels out.
    CoarseResampling = "coarse-resampling",
    /// The number of bits stated does not fit the type of the samples; it is ignored.
    DataBits = "data-bits",
    /// The DEM has no heights on part of the ground under the scene; pixels there are nodata.
    DemVoids = "dem-voids",
    /// A field of the metadata has no sensible value; it counts as not stated.
    FieldIgnored = "field-ignored",
    /// Nothing is published about this product level; the scene is taken as what its files say.
    LevelUnknown = "level-unknown",
    /// There is no metadata file; calibration and angles are unknown, and the time is that in the name.
    MetadataMissing = "metadata-missing",
    /// The parts of one scene state different suns or times; those of the first part are used.
    PartsDisagree = "parts-disagree",
    /// Values are made from pixels that are no measurements any more, because `radiometry.accept_processed` allows it.
    ProcessedAccepted = "processed-accepted",
    /// A product that is not required is left out, as the scene lacks a band it needs.
    ProductLeftOut = "product-left-out",
    /// The image is much larger than the range its RPC was made for; it may belong to another image.
    RpcMisfit = "rpc-misfit",
    /// The metadata state no usable sun angle; it is computed from time and place.
    SunComputed = "sun-computed",
    /// The sun that is used differs from the one at the scene's time and place.
    SunConflict = "sun-conflict",
    /// Zenith and elevation of the sun in the metadata contradict each other; neither is used.
    SunContradiction = "sun-contradiction",
    /// The sun stands so low that reflectance is unreliable.
    SunLow = "sun-low",
    /// The metadata state no time; the one in the name is used.
    TimeFromName = "time-from-name",
    /// The time in the metadata and the one in the name are far apart; the metadata's is used.
    TimeMismatch = "time-mismatch",
    /// The acquisition starts after it ends; both times are ignored.
    TimeOrder = "time-order",
    /// The sun is so little below the horizon that the night sky is not dark.
    Twilight = "twilight",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.text())
    }
}

impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WarningCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<_> = Self::ALL.iter().map(|c| c.text()).collect();
        schemars::json_schema!({ "description": "Short stable name of a kind of warning.", "type": "string", "enum": codes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_unique_in_order_and_explained() {
        let texts: Vec<_> = Code::ALL.iter().map(|c| c.text()).collect();
        assert!(texts.windows(2).all(|w| w[0] < w[1]), "{texts:?}");
        for code in Code::ALL {
            assert!(code.text().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            assert!(code.about().len() > 20 && code.about().ends_with('.') && !code.about().contains("  "), "{code}");
        }
    }
}
