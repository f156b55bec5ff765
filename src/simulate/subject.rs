//! What a simulation takes a picture of, and with which instrument: all that day and night differ in.

use std::path::Path;

use serde_json::{Map, Value};

use super::radiometry::Detector;
use super::render::{Ground, MapGrid, Scenery};
use super::{Kind, Options, SimulateError};

/// One band of an instrument, as the metadata tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BandSpec {
    pub role: &'static str,
    /// Nanometres.
    pub range_nm: (f64, f64),
    /// Radiance per digital number, W·m⁻²·sr⁻¹·µm⁻¹.
    pub gain: f64,
    /// Radiance of digital number 0.
    pub bias: f64,
}

/// One raster of the delivery: its name and how it relates to the multispectral grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartSpec {
    pub name: &'static str,
    /// Pixels per multispectral pixel along each axis.
    pub ratio: usize,
    /// Number of its first band among all of the instrument.
    pub first_band: usize,
    /// Its bands in file order.
    pub bands: &'static [BandSpec],
}

/// A quantity of the truth that can be had as a raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Top-of-atmosphere reflectance by day: blue, green, red, near infrared.
    Reflectance,
    /// Radiance of the lamps by night: red, green, blue, W·m⁻²·sr⁻¹·µm⁻¹; exactly 0 where no lamp shines.
    Lamps,
    /// Radiance of the sky glow by night: red, green, blue, W·m⁻²·sr⁻¹·µm⁻¹.
    Glow,
}

impl Layer {
    /// Name of its raster in a delivery's truth.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Reflectance => "truth_mss.tif",
            Self::Lamps => "truth_lamps.tif",
            Self::Glow => "truth_glow.tif",
        }
    }
}

/// What a raster of the truth adds up to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerSums {
    pub layer: Layer,
    pub pixels: usize,
    /// Pixels that are 0 in every band.
    pub dark_pixels: usize,
    /// Sum over all pixels, per band.
    pub sums: Vec<f64>,
}

/// Where a picture was taken and what of its truth is written already.
pub(super) struct Place<'a> {
    pub options: &'a Options,
    pub ground: &'a dyn Ground,
    /// The map projection of the truth.
    pub map: MapGrid,
    pub truth_folder: &'a Path,
    pub layers: &'a [LayerSums],
}

/// What a subject adds to `truth.json`.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub document: Map<String, Value>,
    pub patches: usize,
    pub lamps: usize,
}

/// Sentences of `README.txt` that depend on the subject.
pub(super) struct Words {
    pub title: &'static str,
    pub bands: &'static str,
    pub truth: &'static str,
}

/// A subject under one set of options.
pub(super) trait Subject: Sync {
    /// The rasters to make, pan first.
    fn parts(&self) -> &'static [PartSpec];

    /// Product level as the vendor writes it.
    fn level(&self, kind: Kind) -> &'static str;

    /// What the ground sends to the bands of a part.
    fn scenery(&self, part: &PartSpec) -> Box<dyn Scenery + '_>;

    /// What makes digital numbers of it.
    fn detector(&self, part: &PartSpec) -> Detector;

    /// Rasters of the truth that are written beside the delivery.
    fn layers(&self) -> &'static [Layer];

    /// A quantity of the truth, if this subject has it.
    fn layer(&self, layer: Layer) -> Option<Box<dyn Scenery + '_>>;

    /// Writes what else there is to the truth and says what to put in `truth.json`.
    fn sections(&self, place: &Place) -> Result<Sections, SimulateError>;

    /// What `README.txt` says of it.
    fn words(&self) -> Words;
}
