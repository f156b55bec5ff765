//! What a band is.

use std::fmt;
use std::str::FromStr;

macro_rules! roles {
    ($($variant:ident $code:literal $common:literal $what:literal;)*) => {
        /// What a band *is*, whatever its position in a file. Codes are those of the awesome-spectral-indices catalogue,
        /// plus `PAN`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Role { $(#[doc = $what] $variant,)* }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Role] = &[$(Role::$variant,)*];

            /// The code written in pipeline files.
            pub fn code(self) -> &'static str {
                match self { $(Role::$variant => $code,)* }
            }

            /// The `eo:common_name` of STAC's eo extension 2.0.
            pub fn common_name(self) -> &'static str {
                match self { $(Role::$variant => $common,)* }
            }
        }
    };
}

roles! {
    Pan "PAN" "pan" "Panchromatic.";
    A "A" "coastal" "Coastal aerosol.";
    B "B" "blue" "Blue.";
    G1 "G1" "green05" "Green, short-wave half.";
    G "G" "green" "Green.";
    Y "Y" "yellow" "Yellow.";
    R "R" "red" "Red.";
    Re1 "RE1" "rededge071" "First red edge, about 705 nm.";
    Re2 "RE2" "rededge075" "Second red edge, about 740 nm.";
    Re3 "RE3" "rededge078" "Third red edge, about 780 nm.";
    N "N" "nir" "Near infrared.";
    N2 "N2" "nir08" "Narrow near infrared.";
    S1 "S1" "swir16" "Short-wave infrared, about 1.6 µm.";
    S2 "S2" "swir22" "Short-wave infrared, about 2.2 µm.";
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
