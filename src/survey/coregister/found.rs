//! What a co-registration finds, as it stands in documents.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Model;
use crate::scene::Role;
use crate::scene::rpc::Correction;

/// What became of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The correction rests on it.
    Used,
    /// Too few of its pixels are valid in both images.
    Invalid,
    /// One of the images shows the same everywhere.
    Featureless,
    /// No peak stands out: noise, a cloud, a pattern that repeats, or ground that changed.
    Unclear,
    /// The shift is larger than can be told from a window.
    Far,
    /// It does not agree with the others.
    Inconsistent,
}

/// One window of the last comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Column of its centre on the lattice of comparison.
    pub col: f64,
    /// Row of its centre.
    pub row: f64,
    /// What became of it.
    pub verdict: Verdict,
    /// What the correction leaves, columns and rows of the image; none where nothing was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_px: Option<[f64; 2]>,
    /// Height of the peak over the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_ratio: Option<f64>,
    /// Correlation of the two images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<f64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Kind of correction.
    pub model: Model,
    /// What has to be done to the positions that the sensor model gives, pixels of the image that was compared.
    pub correction: Correction,
    /// Mean of what it does over the windows used, columns and rows, pixels of that image.
    pub shift_px: [f64; 2],
    /// How far the delivery lies from the reference by itself, metres along the reference's columns and against its rows: to
    /// the east and to the north where north is up.
    pub shift_m: [f64; 2],
    /// Root mean square length of what the correction leaves in the windows used, pixels of the image.
    pub rmse_px: f64,
    /// The same on the ground, metres.
    pub rmse_m: f64,
    /// Standard deviations of what it leaves, metres along the reference's columns and rows.
    pub stddev_m: [f64; 2],
    /// Edge of a pixel of the lattice of comparison, metres on the ground.
    pub pixel_m: f64,
    /// Windows that were tried.
    pub tried: usize,
    /// Windows the correction rests on.
    pub used: usize,
    /// Too few of their pixels are valid.
    pub invalid: usize,
    /// Without features.
    pub featureless: usize,
    /// Without a peak that stands out.
    pub unclear: usize,
    /// With a shift too large to tell.
    pub far: usize,
    /// Not agreeing with the others.
    pub inconsistent: usize,
    /// All of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Compared>,
}

/// How a part, or a single band, was laid on a band of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Laid {
    /// What was moved: the name of a part, or that of the only part and the band.
    pub part: String,
    /// The band of it that was compared.
    pub band: Role,
    /// The band it was compared with, which stayed.
    pub on: Role,
    /// How it lay on that, after both were laid on the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// Why it was not moved, where the evidence was too weak and the pipeline goes on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// All that was found of a scene, part by part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Registration {
    /// Digest of the reference: its files and the band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_sha256: Option<String>,
    /// Band of the reference that was compared, by name, else by number from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_band: Option<String>,
    /// Part of the scene that was compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Its band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Role>,
    /// How that lies on the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_reference: Option<Found>,
    /// How parts, or the bands of the only one, were laid on one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between_parts: Vec<Laid>,
    /// What is done to the image positions of each part, or band that was moved alone, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub corrections: BTreeMap<String, Correction>,
    /// Why the scene was not laid on the reference, where the evidence was too weak and the pipeline goes on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Registration {
    /// The correction of a part or band.
    pub fn correction(&self, part: &str) -> Correction {
        self.corrections.get(part).copied().unwrap_or(Correction::IDENTITY)
    }

    /// The same without the single windows.
    #[must_use]
    pub fn summary(&self) -> Self {
        let brief = |f: &Option<Found>| f.as_ref().map(|f| Found { windows: Vec::new(), ..f.clone() });
        let between_parts = self.between_parts.iter().map(|l| Laid { found: brief(&l.found), ..l.clone() }).collect();
        Self { to_reference: brief(&self.to_reference), between_parts, ..self.clone() }
    }
}
