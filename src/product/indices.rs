//! The index catalogue: data, not code. Keys and formulas are those of awesome-spectral-indices.

use crate::scene::Role;

/// One spectral index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Key written in pipeline files.
    pub key: &'static str,
    /// Full name.
    pub name: &'static str,
    /// How people write it, bands by role.
    pub formula: &'static str,
    /// How it is computed.
    pub program: Program,
    /// True when every sensible value lies within ±3.2767, so it is stored as int16 of scale 0.0001.
    pub scaled: bool,
    /// Paper.
    pub reference: &'static str,
}

/// How an index is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Program {
    /// `(a − b) / (a + b)`.
    NormalizedDifference {
        /// First band.
        a: Role,
        /// Second band.
        b: Role,
    },
}

impl Program {
    /// The bands it reads, in the order its kernel wants them.
    pub fn bands(self) -> Vec<Role> {
        match self {
            Self::NormalizedDifference { a, b } => vec![a, b],
        }
    }
}

/// The catalogue, by key.
pub const CATALOG: &[Row] = &[Row {
    key: "NDVI",
    name: "Normalized Difference Vegetation Index",
    formula: "(N - R)/(N + R)",
    program: Program::NormalizedDifference { a: Role::N, b: Role::R },
    scaled: true,
    reference: "https://ntrs.nasa.gov/citations/19740022614",
}];

/// The row of a key, upper or lower case.
pub fn find(key: &str) -> Option<&'static Row> {
    CATALOG.iter().find(|row| row.key.eq_ignore_ascii_case(key))
}

/// All keys.
pub fn keys() -> Vec<&'static str> {
    CATALOG.iter().map(|row| row.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_sorted_and_formulas_name_their_bands() {
        assert!(CATALOG.windows(2).all(|w| w[0].key < w[1].key));
        for row in CATALOG {
            for band in row.program.bands() {
                assert!(row.formula.contains(band.code()), "{}", row.key);
            }
        }
        assert_eq!(find("ndvi").map(|r| r.key), Some("NDVI"));
        assert!(find("NDVX").is_none());
    }
}
