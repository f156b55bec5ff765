//! What a document is made from: plain values, filled in by whoever did the work.

use std::collections::BTreeMap;

use geo::MultiPolygon;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CatalogError;
use crate::grid::{Crs, GeoTransform};
use crate::units::SunElevation;

/// Media types of the assets and links written here.
pub mod media_type {
    /// Cloud-optimised GeoTIFF.
    pub const COG: &str = "image/tiff; application=geotiff; profile=cloud-optimized";
    /// JSON.
    pub const JSON: &str = "application/json";
    /// GeoJSON, and so STAC Items.
    pub const GEOJSON: &str = "application/geo+json";
    /// Comma-separated table.
    pub const CSV: &str = "text/csv";
    /// PNG picture.
    pub const PNG: &str = "image/png";
}

/// One acquisition in one cell, or one whole scene.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRecord {
    /// Unique within the Collection.
    pub id: String,
    /// Title for people.
    pub title: Option<String>,
    /// The Collection it belongs to: its parent and root.
    pub collection: Option<Parent>,
    /// `grid:code` of its cell, such as `UTM51N-123-456`; none for a whole scene.
    pub grid_code: Option<String>,
    /// Centre of the acquisition.
    pub datetime: Timestamp,
    /// First and last line, if known.
    pub interval: Option<(Timestamp, Timestamp)>,
    /// Reference system of the assets; none if they have none or several.
    pub projection: Option<Projection>,
    /// Outline of the valid data, longitude and latitude in degrees.
    pub outline: MultiPolygon<f64>,
    /// Satellite.
    pub platform: Option<String>,
    /// Cameras.
    pub instruments: Vec<String>,
    /// Constellation.
    pub constellation: Option<String>,
    /// Ground sampling distance of the sensor, metres; the finest if there are several.
    pub gsd_m: Option<f64>,
    /// Directions to sun and satellite at the centre of the scene.
    pub angles: Angles,
    /// Cloudy share of the valid area, percent.
    pub cloud_percent: Option<f64>,
    /// SPDX identifier, `proprietary` or `other`.
    pub license: Option<String>,
    /// Who made, processes and hosts it.
    pub providers: Vec<Provider>,
    /// What was done to it.
    pub processing: Processing,
    /// Further properties, each with the prefix of its namespace (`fieldglow:key`), in the order they shall stand.
    pub extras: Map<String, Value>,
    /// The files, in the order they shall stand.
    pub assets: Vec<AssetRecord>,
    /// Links besides those to the Collection (`derived_from` and the like).
    pub links: Vec<Link>,
}

/// The Collection an Item belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub id: String,
    /// Reference to its document, relative to the Item's.
    pub href: String,
}

/// A link to another document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// How the two are related.
    pub rel: String,
    /// Reference, relative to the document it stands in, or a URL.
    pub href: String,
    /// Media type of the target.
    pub media_type: Option<String>,
    /// Title for people.
    pub title: Option<String>,
}

/// An organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// What it did, for people.
    pub description: Option<String>,
    /// Any of `producer`, `licensor`, `processor`, `host`.
    pub roles: Vec<String>,
    /// Its home page.
    pub url: Option<String>,
}

/// What was done to the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processing {
    /// `L1` … `L4`.
    pub level: Option<String>,
    /// The steps in order, for people.
    pub lineage: Option<String>,
    /// Versions by name of the software.
    pub software: BTreeMap<String, String>,
}

/// Directions to sun and satellite, each if known.
///
/// # Units
/// Degrees; azimuths clockwise from north, 0 to 360.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Angles {
    /// Azimuth of the sun.
    pub sun_azimuth_deg: Option<f64>,
    /// Elevation of the sun.
    pub sun_elevation: Option<SunElevation>,
    /// Azimuth of the satellite seen from the target.
    pub azimuth_deg: Option<f64>,
    /// Zenith angle of the satellite at the target.
    pub incidence_deg: Option<f64>,
    /// Angle at the satellite between nadir and the line of sight.
    pub off_nadir_deg: Option<f64>,
}

/// A reference system as documents carry it: its EPSG code, or its PROJJSON when it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    pub(super) code: Option<String>,
    pub(super) projjson: Option<Value>,
}

impl Projection {
    /// How documents carry `crs`.
    ///
    /// # Errors
    /// [`CatalogError`] when it has no EPSG code and cannot be written as PROJJSON.
    pub fn of(crs: &Crs) -> Result<Self, CatalogError> {
        if let Some(code) = crs.epsg() {
            return Ok(Self { code: Some(format!("EPSG:{code}")), projjson: None });
        }
        let name = || crs.to_string();
        let srs = crs.spatial_ref().map_err(|source| CatalogError::Crs { crs: name(), source: Box::new(source) })?;
        let text = srs.to_projjson().map_err(|source| CatalogError::Projjson { crs: name(), source })?;
        let projjson = serde_json::from_str(&text).map_err(|source| CatalogError::Json { crs: name(), source })?;
        Ok(Self { code: None, projjson: Some(projjson) })
    }
}

/// One file of one product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssetRecord {
    /// Name of the product.
    pub key: String,
    /// Reference relative to the Item; see [`href_from_path`](super::href_from_path).
    pub href: String,
    /// Title for people.
    pub title: String,
    /// More for people.
    pub description: Option<String>,
    /// Media type, one of [`media_type`].
    pub media_type: String,
    /// What it is for: `data`, `visual`, `metadata`, `cloud` …
    pub roles: Vec<String>,
    /// Size, bytes.
    pub size: u64,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256_hex: String,
    /// Bytes from the start that hold everything but pixels.
    pub header_size: Option<u64>,
    /// Level of this asset where it differs from the Item's.
    pub processing_level: Option<String>,
    /// How its values were computed.
    pub expression: Option<Expression>,
    /// Pixels; none for tables and documents.
    pub raster: Option<RasterRecord>,
}

/// A formula.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expression {
    /// Language it is written in.
    pub format: String,
    /// Its text.
    pub expression: String,
}

/// The pixels of an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct RasterRecord {
    /// STAC's name of the sample type: `int16`, `uint16`, `uint8`, `float32` …
    pub data_type: &'static str,
    /// Stored value that means "no data"; NaN is one.
    pub nodata: Option<f64>,
    /// Bands in the order of the file.
    pub bands: Vec<BandRecord>,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Map coordinates of its pixels.
    pub transform: GeoTransform,
    /// Edge of a pixel on the ground, metres.
    pub spatial_resolution_m: f64,
    /// Ground sampling distance of the sensor where it differs from the Item's, metres.
    pub gsd_m: Option<f64>,
    /// Outline of its own valid data where it differs from the Item's, longitude and latitude in degrees.
    pub footprint: Option<MultiPolygon<f64>>,
    /// What its bits mean.
    pub bitfields: Vec<BitField>,
    /// What its values mean.
    pub classes: Vec<ClassRecord>,
}

/// A band of an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct BandRecord {
    /// Name, as in the file.
    pub name: String,
    /// More for people.
    pub description: Option<String>,
    /// `eo:common_name`.
    pub common_name: Option<&'static str>,
    /// Middle of the spectral range, micrometres.
    pub center_um: Option<f64>,
    /// Width of the spectral range at half maximum, micrometres.
    pub fwhm_um: Option<f64>,
    /// Exoatmospheric solar irradiance at the mean Earth–Sun distance, W·m⁻²·µm⁻¹.
    pub solar_illumination: Option<f64>,
    /// Unit of the values after scaling; none for plain numbers.
    pub unit: Option<String>,
    /// Value per stored step.
    pub scale: f64,
    /// Value of a stored 0.
    pub offset: f64,
    /// Statistics of the stored values, as in the file.
    pub statistics: Option<Statistics>,
}

/// Statistics of the valid pixels of a band. What is not finite, as all is without a valid pixel, is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Smallest value.
    pub minimum: f64,
    /// Largest value.
    pub maximum: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub stddev: f64,
    /// Valid share, percent.
    pub valid_percent: f64,
    /// Number of pixels the statistics are of.
    pub count: Option<u64>,
}

/// A run of bits of a bit-packed band.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BitField {
    /// First bit, 0 the least significant.
    pub offset: u32,
    /// Number of bits.
    pub length: u32,
    /// Short name.
    pub name: String,
    /// For people.
    pub description: String,
    /// What its values mean.
    pub classes: Vec<ClassRecord>,
}

/// A value with a meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassRecord {
    /// The stored value.
    pub value: i64,
    /// Short name: letters, digits, `-` and `_`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Suggested colour: red, green, blue.
    pub color: Option<[u8; 3]>,
}

/// What a Collection says beyond what its Items say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CollectionRecord {
    /// Its id.
    pub id: String,
    /// Title for people.
    pub title: Option<String>,
    /// What it holds.
    pub description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// SPDX identifier, `proprietary` or `other`.
    pub license: String,
    /// Who made, processes and hosts it.
    pub providers: Vec<Provider>,
    /// Further fields, each with the prefix of its namespace, in the order they shall stand.
    pub extras: Map<String, Value>,
    /// Links besides those to itself as root and to its Items (`license` and the like).
    pub links: Vec<Link>,
}
