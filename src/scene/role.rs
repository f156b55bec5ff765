//! What a band is.

use std::fmt;
use std::str::FromStr;

macro_rules! roles {
    ($($variant:ident $code:literal $common:expr, $what:literal;)*) => {
        /// What a band *is*, whatever its position in a file. Codes are those of the awesome-spectral-indices catalogue,
        /// plus `PAN` and the bands of hyperspectral scenes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Role { $(#[doc = $what] $variant,)* }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Role] = &[$(Role::$variant,)*];

            /// The code written in pipeline files.
            pub fn code(self) -> &'static str {
                match self { $(Role::$variant => $code,)* }
            }

            /// The `eo:common_name` of STAC's eo extension 2.0; none of a band that is known by its name alone.
            pub fn common_name(self) -> Option<&'static str> {
                match self { $(Role::$variant => $common,)* }
            }
        }
    };
}

roles! {
    Pan "PAN" Some("pan"), "Panchromatic.";
    A "A" Some("coastal"), "Coastal aerosol.";
    B "B" Some("blue"), "Blue.";
    G1 "G1" Some("green05"), "Green, short-wave half.";
    G "G" Some("green"), "Green.";
    Y "Y" Some("yellow"), "Yellow.";
    R "R" Some("red"), "Red.";
    Re1 "RE1" Some("rededge071"), "First red edge, about 705 nm.";
    Re2 "RE2" Some("rededge075"), "Second red edge, about 740 nm.";
    Re3 "RE3" Some("rededge078"), "Third red edge, about 780 nm.";
    N "N" Some("nir"), "Near infrared.";
    N2 "N2" Some("nir08"), "Narrow near infrared.";
    S1 "S1" Some("swir16"), "Short-wave infrared, about 1.6 µm.";
    S2 "S2" Some("swir22"), "Short-wave infrared, about 2.2 µm.";
    Gp1 "B1" None, "Band B1 of a hyperspectral Jilin-1 GP scene.";
    Gp2 "B2" None, "Band B2 of a hyperspectral Jilin-1 GP scene.";
    Gp7 "B7" None, "Band B7 of a hyperspectral Jilin-1 GP scene.";
    Gp8 "B8" None, "Band B8 of a hyperspectral Jilin-1 GP scene.";
    Gp9 "B9" None, "Band B9 of a hyperspectral Jilin-1 GP scene.";
    Gp10 "B10" None, "Band B10 of a hyperspectral Jilin-1 GP scene.";
    Gp11 "B11" None, "Band B11 of a hyperspectral Jilin-1 GP scene.";
    Gp12 "B12" None, "Band B12 of a hyperspectral Jilin-1 GP scene.";
    Gp13 "B13" None, "Band B13 of a hyperspectral Jilin-1 GP scene.";
    Gp14 "B14" None, "Band B14 of a hyperspectral Jilin-1 GP scene.";
    Gp15 "B15" None, "Band B15 of a hyperspectral Jilin-1 GP scene.";
    Gp16 "B16" None, "Band B16 of a hyperspectral Jilin-1 GP scene.";
    Gp17 "B17" None, "Band B17 of a hyperspectral Jilin-1 GP scene.";
    Gp18 "B18" None, "Band B18 of a hyperspectral Jilin-1 GP scene.";
    Gp19 "B19" None, "Band B19 of a hyperspectral Jilin-1 GP scene.";
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.trim().to_ascii_uppercase();
        let code = if upper == "NIR" { "N" } else { &upper };
        Self::ALL.iter().copied().find(|r| r.code() == code).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|r| r.code()).collect();
            format!("`{text}` is no band role; known roles: {}", known.join(", "))
        })
    }
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Role {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Role".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<_> = Self::ALL.iter().map(|r| r.code()).collect();
        schemars::json_schema!({ "type": "string", "enum": codes })
    }
}
