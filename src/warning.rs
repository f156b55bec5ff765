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

/// How much something odd matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; no value is less right for it.
    Note,
    /// Some values may be less right than they look.
    Warning,
    /// Values are wrong, or are refused, unless something is done.
    Error,
}

impl Severity {
    /// The word in documents.
    pub fn text(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Declares [`Code`]: name, text, severity, remedy and meaning of each, once.
macro_rules! codes {
    ($($(#[doc = $about:literal])+ $name:ident = $text:literal, $severity:ident, $remedy:literal;)+) => {
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

            /// How much it matters.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)+
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
    BandRangeAssumed = "band-range-assumed", Note,
        "State the vendor's irradiance in `radiometry.esun` if it is known.";
    /// The vendor's cloud cover is no number from 0 to 100; it counts as unknown.
    CloudPercent = "cloud-percent", Note,
        "None is needed.";
    /// Products are coarser than the input, and interpolation leaves some input pixels out.
    CoarseResampling = "coarse-resampling", Warning,
        "Set `geometry.resampling` to `average`, or choose `geometry.resolution` nearer to the pixels of the input.";
    /// The calibration coefficients come from a table whose sources disagree or do not say how they are meant.
    CoefficientsDoubtful = "coefficients-doubtful", Warning,
        "Compare with the vendor's own list, and state what is right in a `coefficients.toml`.";
    /// With these coefficients the full range of the camera is a reflectance that no camera is built for.
    CoefficientsImplausible = "coefficients-implausible", Error,
        "Check gain and bias, their unit and their direction (radiance per DN, not DN per radiance), the number of bits and the sun.";
    /// The evidence of how a scene lies on its reference, or a band on another, is too weak, and the pipeline goes on without.
    CoregistrationSkipped = "coregistration-skipped", Warning,
        "Do not overlay what the message names with other dates, or other bands; see what it says of the windows.";
    /// The number of bits stated does not fit the type of the samples; it is ignored.
    DataBits = "data-bits", Note,
        "State `data_bits` in a `scene.toml` if saturated pixels are to be found.";
    /// The DEM has no heights on part of the ground under the scene; pixels there are nodata.
    DemVoids = "dem-voids", Warning,
        "Use a DEM that covers the scene, with its voids filled.";
    /// Samples are greater than the bits stated can hold.
    DnAboveBits = "dn-above-bits", Warning,
        "Check `DataBits`: pixels above its limit count as saturated.";
    /// A field of the metadata has no sensible value; it counts as not stated.
    FieldIgnored = "field-ignored", Note,
        "Correct the field if it is needed.";
    /// The corners in the metadata and the place that the sensor model or map projection gives lie apart.
    FootprintMismatch = "footprint-mismatch", Warning,
        "Check that metadata and RPC belong to the image; products lie where the RPC or the projection says.";
    /// The corners in the metadata are in an odd order or make no area.
    FootprintOdd = "footprint-odd", Warning,
        "None is needed for products; their outlines come from the sensor model or the projection.";
    /// The pixel size stated is not the one that follows from corners, sensor model or map projection.
    GsdMismatch = "gsd-mismatch", Warning,
        "Check that the metadata belong to the image; the pixel size of products is `geometry.resolution`.";
    /// The DEM is of a product whose heights are counted from another datum than the one declared, or states a height system
    /// of a country; heights are used as declared.
    HeightDatum = "height-datum", Warning,
        "Set `geometry.height.datum` to what the heights are counted from; nothing needs to be done where they were converted.";
    /// The heights under the scene leave those its RPC were made for.
    HeightRange = "height-range", Warning,
        "Check `geometry.height`: its `datum`, that the DEM is of this place, and that its heights are in metres.";
    /// Nothing is published about this product level; the scene is taken as what its files say.
    LevelUnknown = "level-unknown", Note,
        "Ask the vendor what was done to the pixels; `processed` in a `scene.toml` says it.";
    /// There is no metadata file; calibration and angles are unknown, and the time is that in the name.
    MetadataMissing = "metadata-missing", Warning,
        "Put the vendor's metadata file beside the image.";
    /// The name of a file and its metadata say different things; the metadata's are used.
    NameMismatch = "name-mismatch", Warning,
        "Check that the metadata belong to the image; restore the vendor's file names.";
    /// Panchromatic and multispectral image hardly cover the same ground.
    PartsApart = "parts-apart", Error,
        "Check that both belong to one acquisition and each has its own RPC.";
    /// The parts of one scene state different suns or times; those of the first part are used.
    PartsDisagree = "parts-disagree", Warning,
        "Check that both belong to one acquisition.";
    /// The pixel sizes of panchromatic and multispectral image do not go with their numbers of pixels, or make no usual ratio.
    PartsRatio = "parts-ratio", Warning,
        "Check the pixel sizes stated, and that neither image is a crop of the other's ground.";
    /// Values are made from pixels that are no measurements any more, because `radiometry.accept_processed` allows it.
    ProcessedAccepted = "processed-accepted", Warning,
        "Take the images this one was made from.";
    /// A product that is not required is left out, as the scene lacks a band it needs.
    ProductLeftOut = "product-left-out", Note,
        "Set `required = true` where a scene without the product is to fail.";
    /// Many of the pixels looked at have a reflectance below 0 or above 1.2.
    ReflectanceRange = "reflectance-range", Error,
        "Check coefficients, sun and time; clouds and snow alone stay below 1.2.";
    /// The image, the ground under it or its heights lie out of the range that its RPC was made for; positions there are
    /// extrapolated.
    RpcDomain = "rpc-domain", Warning,
        "Check the heights and their datum, and that the RPC belongs to the image.";
    /// The image is much larger than the range its RPC was made for; it may belong to another image.
    RpcMisfit = "rpc-misfit", Warning,
        "Check that the RPC belongs to the image.";
    /// The metadata state no usable sun angle; it is computed from time and place.
    SunComputed = "sun-computed", Note,
        "None is needed if time and place are right.";
    /// The sun that is used differs from the one at the scene's time and place.
    SunConflict = "sun-conflict", Error,
        "Correct the metadata, set `radiometry.sun_zenith`, or accept it with `radiometry.accept_sun_conflict`.";
    /// Zenith and elevation of the sun in the metadata contradict each other; neither is used.
    SunContradiction = "sun-contradiction", Warning,
        "Correct the metadata if the computed sun is not good enough.";
    /// The sun stands so low that reflectance is unreliable.
    SunLow = "sun-low", Warning,
        "Use the scene with care; radiance is not affected.";
    /// The metadata state no time; the one in the name is used.
    TimeFromName = "time-from-name", Note,
        "None is needed if the name is the vendor's.";
    /// The time in the metadata and the one in the name are far apart; the metadata's is used.
    TimeMismatch = "time-mismatch", Warning,
        "Find out which is right: eight hours are Beijing time taken for UTC or the reverse.";
    /// The acquisition starts after it ends; both times are ignored.
    TimeOrder = "time-order", Note,
        "None is needed if the centre time is right.";
    /// The zone of the times is not stated; it was found from the sun, or taken as Beijing time.
    TimeZone = "time-zone", Note,
        "Compare the time in UTC with the catalogue of the vendor.";
    /// The sun is so little below the horizon that the night sky is not dark.
    Twilight = "twilight", Warning,
        "Use a scene of a darker hour where faint lights matter.";
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
            assert!(code.remedy().len() > 10 && code.remedy().ends_with('.'), "{code}");
            assert!(code.about().len() > 20 && code.about().ends_with('.') && !code.about().contains("  "), "{code}");
        }
    }
}
