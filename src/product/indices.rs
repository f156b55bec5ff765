//! The index catalogue: data, not code.
//!
//! Rows stand in `indices.json`: keys and formulas of awesome-spectral-indices 0.12 (MIT) that need no other bands than B,
//! G, R and N. Two things differ on purpose, as they will in that catalogue's next version: ARVI and SARVI have the sign of
//! their paper (Kaufman and Tanré 1992: R − γ(B − R)), and the soil constant L of SAVI, GSAVI, MNLI and SARVI is the usual
//! 0.5 (Huete 1988) instead of 1.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fieldglow_kernels::expression::Operand;

use super::formula::Formula;
use crate::scene::Role;

/// One spectral index.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Row {
    /// Key written in pipeline files.
    pub key: String,
    /// Full name.
    pub name: String,
    /// The formula: bands by role, constants by name.
    pub formula: String,
    /// Bands it reads.
    pub bands: Vec<Role>,
    /// Its constants.
    pub constants: BTreeMap<String, f64>,
    /// What it is for.
    pub domain: String,
    /// True when every sensible value lies within ±3.2767, so it is stored as int16 of scale 0.0001.
    pub scaled: bool,
    /// True when it means something only for reflectance from 0 to 1; the others are the same for any common scale.
    pub needs_reflectance: bool,
    /// Paper.
    pub reference: String,
    #[serde(skip)]
    program: Option<Formula>,
}

impl Row {
    /// The formula as steps over the planes of [`Row::bands`], in that order.
    pub fn program(&self) -> Option<&Formula> {
        self.program.as_ref()
    }
}

/// The catalogue, by key.
pub fn catalog() -> &'static [Row] {
    static CATALOG: OnceLock<Vec<Row>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        // The file is part of the program; a test makes sure that all of it is read.
        let mut rows: Vec<Row> = serde_json::from_str(include_str!("indices.json")).unwrap_or_default();
        for row in &mut rows {
            let resolve = |name: &str| {
                let band = row.bands.iter().position(|b| b.code() == name).map(Operand::Input);
                band.or_else(|| row.constants.get(name).copied().map(Operand::Constant))
            };
            row.program = Formula::parse(&row.formula, &resolve).ok();
        }
        rows
    })
}

/// The row of a key, upper or lower case.
pub fn find(key: &str) -> Option<&'static Row> {
    let exact = catalog().iter().find(|row| row.key == key);
    exact.or_else(|| catalog().iter().find(|row| row.key.eq_ignore_ascii_case(key)))
}

/// All keys.
pub fn keys() -> Vec<&'static str> {
    catalog().iter().map(|row| row.key.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use fieldglow_kernels::expression::{Input, Out, Scratch, evaluate};
    use fieldglow_kernels::linear::Linear;

    use super::*;

    /// An index of bands with these values.
    fn value(row: &Row, at: impl Fn(Role) -> f64) -> f64 {
        let scaled = |r: &Role| Input { samples: &[1.0], linear: Linear { gain: at(*r), bias: 0.0 } };
        let inputs: Vec<Input<'_>> = row.bands.iter().map(scaled).collect();
        let program = row.program().unwrap();
        let mut out = [0.0];
        let outs = &mut [Out::Doubles(&mut out)];
        evaluate((&program.steps, &[program.outcome()]), &inputs, &mut Scratch::default(), outs, &mut [0]);
        out[0]
    }

    #[test]
    fn every_row_is_read_and_runs() {
        let lines = include_str!("indices.json").lines().filter(|l| l.contains("\"key\"")).count();
        assert_eq!(catalog().len(), lines);
        assert!(lines > 90);
        for row in catalog() {
            assert!(row.program().is_some(), "{}: {}", row.key, row.formula);
            assert!(row.reference.starts_with("http"), "{}", row.key);
        }
        let mut sorted = keys();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), lines, "keys are unique");
    }

    /// The catalogue's own implementation, index by index and pixel by pixel. What differs on purpose is named.
    #[test]
    fn every_index_agrees_with_spyndex() {
        const OURS: [&str; 6] = ["ARVI", "SARVI", "SAVI", "GSAVI", "MNLI", "CSIwoSWIR"];
        let (mut compared, mut invalid) = (0, 0);
        for line in include_str!("../../testdata/indices/spyndex.csv").lines().skip(2) {
            let f: Vec<&str> = line.split(',').collect();
            let number = |k: usize| f[k].parse::<f64>().unwrap();
            let Some(row) = catalog().iter().find(|r| r.key == f[5]).filter(|r| !OURS.contains(&r.key.as_str())) else {
                continue;
            };
            let ours = value(row, |r| match r {
                Role::B => number(1),
                Role::G => number(2),
                Role::R => number(3),
                _ => number(4),
            });
            let expected = if f[6].is_empty() { f64::NAN } else { number(6) };
            if expected.is_finite() {
                let close = (ours - expected).abs() <= 1e-9 * expected.abs().max(1.0);
                assert!(close, "{} of {:?}: {ours} instead of {expected}", row.key, &f[1..5]);
                compared += 1;
            } else {
                assert!(ours.is_nan(), "{} of {:?}: {ours} instead of invalid", row.key, &f[1..5]);
                invalid += 1;
            }
        }
        assert_eq!((compared, invalid), (917, 3), "values compared, values that must be invalid");
    }

    #[test]
    fn the_usual_ones_have_their_usual_values() {
        // B, G, R, N of a maize field.
        let value = |key: &str| {
            value(find(key).unwrap(), |r| match r {
                Role::B => 0.05,
                Role::G => 0.08,
                Role::R => 0.06,
                _ => 0.45,
            })
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(value("NDVI"), 0.39 / 0.51);
        close(value("EVI"), 2.5 * 0.39 / (0.45 + 0.36 - 0.375 + 1.0));
        close(value("SAVI"), 1.5 * 0.39 / (0.51 + 0.5));
        close(value("NDWI"), -0.37 / 0.53);
        close(value("GNDVI"), 0.37 / 0.53);
        close(value("VARI"), 0.02 / (0.08 + 0.06 - 0.05));
        close(value("MSAVI"), 0.5 * (1.9 - (1.9f64.powi(2) - 8.0 * 0.39).sqrt()));
    }
}
