//! What a delivery says of itself: metadata only, no pixels.
//!
//! A [`Scene`] is one acquisition. Its [`Part`]s are its rasters (pan and multispectral of one acquisition are one scene,
//! whatever folders they came in). Bands are known by [`Role`], never by position. Everything here was read from the
//! delivery or a sidecar; nothing was guessed: what a file does not say is `None`, and the stage that needs it says so.

mod assemble;
mod coefficients;
mod companion;
mod container;
pub mod error;
mod files;
mod find;
mod footprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gaofen;
pub mod identity;
mod image;
mod jilin1;
pub mod level;
mod metadata;
mod naming;
pub mod open;
mod place;
mod remote;
pub mod role;
pub mod rpc;
mod rpc_file;
mod sidecar;
mod stac;
#[cfg(test)]
mod testing;
mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use container::{ArchiveError, Object, Objects, Scratch, Stores, Unpacked};
pub use error::SceneError;
pub use identity::{Identity, identity};
pub use level::{Processed, Processing};
pub use open::{Delivery, Finder, group, open};
pub use role::Role;
pub use rpc::Rpc;

pub use crate::arrival::Arrivals;
use crate::grid::{Crs, GeoTransform, PointTransform};
use crate::units::{RangeNm, SunZenith};
pub use crate::warning::{Code, Warning};

/// One acquisition.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Stable id: the name stem shared by all parts up to the level, without part and order suffix (pansharpened
    /// products, a scene of their own, keep their `_PSH`); from a sidecar, its `id`.
    pub id: String,
    /// Constellation, platform and instrument as STAC wants them, when known: (`jilin-1`, `jl1kf01a`, `pms06`).
    pub constellation: Option<String>,
    /// Satellite.
    pub platform: Option<String>,
    /// Camera.
    pub instrument: Option<String>,
    /// Product level as the vendor writes it (`L1`, `L3D`), an opaque token.
    pub level: Option<String>,
    /// When it was taken.
    pub time: SceneTime,
    /// Direction to the sun at the scene centre, if the delivery says so.
    pub sun: Option<Sun>,
    /// Direction from target to satellite, if the delivery says so.
    pub view: Option<View>,
    /// Cloud cover the vendor states, percent; absent when missing or not a number.
    pub cloud_percent: Option<f64>,
    /// Scene outline in longitude and latitude (degrees, WGS 84): upper left, upper right, lower right, lower left.
    pub corners: Option<[(f64, f64); 4]>,
    /// Rasters of the scene, at least one, pan before multispectral.
    pub parts: Vec<Part>,
    /// What is odd about the delivery but does not stop the work.
    pub warnings: Vec<Warning>,
    /// Metadata files the scene was read from (part of its identity).
    pub metadata_files: Vec<PathBuf>,
    /// Its images whose bytes have to be waited for.
    pub arrivals: Arrivals,
}

/// Acquisition time.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneTime {
    /// Centre of the acquisition, UTC; of a mosaic over a period, the middle of it.
    pub center: jiff::Timestamp,
    /// First and last line, UTC, if known; of a mosaic, its period.
    pub interval: Option<(jiff::Timestamp, jiff::Timestamp)>,
    /// True of mosaics: when a pixel was taken is not known, and no sun follows from the centre.
    pub is_period: bool,
    /// The text the time was read from, as it stands in the file.
    pub original: String,
    /// The zone that text is in, as `+08:00`.
    pub original_offset: String,
}

/// Direction to the sun at the scene centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sun {
    /// Geometric (not refracted) zenith angle.
    pub zenith: SunZenith,
    /// Degrees clockwise from north; `None` when the delivery leaves it empty.
    pub azimuth_deg: Option<f64>,
}

/// Direction from the target to the satellite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Zenith angle at the target, degrees.
    pub zenith_deg: Option<f64>,
    /// Degrees clockwise from north.
    pub azimuth_deg: Option<f64>,
    /// Angle at the satellite between nadir and the line of sight (the roll angle where only that is given), degrees.
    pub off_nadir_deg: Option<f64>,
}

/// One raster of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `PAN`, `MSS`, or the name given in the sidecar.
    pub name: String,
    /// Rows of the image.
    pub rows: usize,
    /// Columns of the image.
    pub cols: usize,
    /// Type of a sample in the file.
    pub sample: SampleType,
    /// Bands by role.
    pub bands: Vec<Band>,
    /// Ground distance from one column to the next and from one row to the next, metres, if stated.
    pub gsd_m: Option<(f64, f64)>,
    /// Bits the instrument uses of each sample; saturation is `2^bits − 1`.
    pub data_bits: Option<u32>,
    /// DN that marks "no measurement"; `None` when every DN is one.
    pub fill: Option<f64>,
    /// Whether the vendor sharpened the image for the optics' blur; `None` when not stated, which is not "no".
    pub mtf_compensated: Option<bool>,
    /// What was done to its pixels that calibration does not undo; empty when nothing is known of it.
    pub processed: Vec<Processing>,
    /// Where its pixels are on the ground.
    pub sensor_model: SensorModel,
    /// Everything its metadata file says, unread by the pipeline.
    pub fields: Fields,
}

/// Type of a sample as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleType {
    /// 8-bit unsigned.
    U8,
    /// 16-bit unsigned.
    U16,
    /// 16-bit signed.
    I16,
    /// 32-bit unsigned.
    U32,
    /// 32-bit signed.
    I32,
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
}

impl SampleType {
    /// Bits of a sample.
    pub fn bits(self) -> u32 {
        match self {
            Self::U8 => 8,
            Self::U16 | Self::I16 => 16,
            Self::U32 | Self::I32 | Self::F32 => 32,
            Self::F64 => 64,
        }
    }

    /// Greatest value of an integer type; none for floating point.
    pub fn max_integer(self) -> Option<f64> {
        match self {
            Self::U8 => Some(f64::from(u8::MAX)),
            Self::U16 => Some(f64::from(u16::MAX)),
            Self::I16 => Some(f64::from(i16::MAX)),
            Self::U32 => Some(f64::from(u32::MAX)),
            Self::I32 => Some(f64::from(i32::MAX)),
            Self::F32 | Self::F64 => None,
        }
    }
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::F32 => "float32",
            Self::F64 => "float64",
        })
    }
}

impl Part {
    /// The image files, each once, in the order of the bands.
    pub fn files(&self) -> Vec<&Path> {
        let mut files: Vec<&Path> = Vec::new();
        for band in &self.bands {
            if !files.contains(&band.file.as_path()) {
                files.push(&band.file);
            }
        }
        files
    }
}

/// Where the pixels of a part are on the ground.
#[derive(Debug, Clone, PartialEq)]
pub enum SensorModel {
    /// Sensor geometry, rational polynomial coefficients.
    Rpc(Box<Rpc>),
    /// A map projection.
    Projected {
        /// Its reference system.
        crs: Crs,
        /// Map coordinates of its pixels.
        transform: GeoTransform,
    },
    /// Nothing known: no geometry can be made.
    Unknown {
        /// What was looked for and not found.
        reason: String,
    },
}

/// One band of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// What the band is.
    pub role: Role,
    /// The image file; bands of one part may stand in files of their own, equal in size and place.
    pub file: PathBuf,
    /// Position in the file, from 0.
    pub index: usize,
    /// Name given in the delivery or sidecar, or the role.
    pub name: String,
    /// Spectral range, if known.
    pub range_nm: Option<RangeNm>,
    /// How its DN become physical values.
    pub calibration: Calibration,
}

/// How DN become physical values. Every variant is linear: `value = gain · DN + bias`.
#[derive(Debug, Clone, PartialEq)]
pub enum Calibration {
    /// To at-sensor spectral radiance, W·m⁻²·sr⁻¹·µm⁻¹.
    Radiance {
        /// Radiance per DN, above 0.
        gain: f64,
        /// Radiance of DN 0.
        bias: f64,
        /// Where the numbers come from: file and field.
        source: String,
    },
    /// Directly to reflectance.
    Reflectance {
        /// Reflectance per DN, above 0.
        gain: f64,
        /// Reflectance of DN 0.
        bias: f64,
        /// True when the numbers include the division by the cosine of the sun zenith; false (Landsat) when it is
        /// still to be done.
        sun_corrected: bool,
        /// Where the numbers come from: file and field.
        source: String,
    },
    /// No coefficients: only level `dn` can be made.
    Missing {
        /// What was looked for and not found.
        reason: String,
    },
}

impl Scene {
    /// The part and band that carry `role`, if any.
    pub fn find(&self, role: Role) -> Option<(&Part, &Band)> {
        self.parts.iter().find_map(|p| p.bands.iter().find(|b| b.role == role).map(|b| (p, b)))
    }

    /// The roles the scene has, part by part.
    pub fn roles(&self) -> Vec<Role> {
        self.parts.iter().flat_map(|p| p.bands.iter().map(|b| b.role)).collect()
    }

    /// Longitude and latitude near the scene's centre: of the stated corners, else of the first part with a map
    /// projection, else the origin of its RPC, which is the centre of the whole scene a crop was taken from.
    ///
    /// # Units
    /// Degrees, WGS 84.
    pub fn center(&self) -> Option<(f64, f64)> {
        if let Some(corners) = &self.corners {
            return Some(mean_lon_lat(corners));
        }
        self.parts.iter().find_map(|part| match &part.sensor_model {
            SensorModel::Rpc(rpc) => Some((rpc.lon_off, rpc.lat_off)),
            SensorModel::Projected { crs, transform } => {
                let (x, y) = transform.world_from_pixel(0.5 * part.cols as f64, 0.5 * part.rows as f64);
                let (mut x, mut y) = ([x], [y]);
                PointTransform::new(crs, &Crs::wgs84()).ok()?.apply(&mut x, &mut y).ok()?;
                Some((x[0], y[0]))
            }
            SensorModel::Unknown { .. } => None,
        })
    }

    /// True when the level is one of Jilin-1's, whose tokens [`level::known`] knows: other vendors mean other things by the
    /// same ones.
    pub fn has_jilin1_level(&self) -> bool {
        self.level.is_some() && self.platform.as_deref().is_some_and(jilin1::name::is_satellite)
    }

    /// `YYYYMMDDTHHMMSSZ_<id>`: the name of the acquisition in storage.
    pub fn acquisition(&self) -> String {
        format!("{}_{}", self.time.center.strftime("%Y%m%dT%H%M%SZ"), self.id)
    }
}

/// Mean of corner coordinates, also across the antimeridian.
fn mean_lon_lat(corners: &[(f64, f64); 4]) -> (f64, f64) {
    let first = corners[0].0;
    let turn = |lon: f64| (lon - first + 180.0).rem_euclid(360.0) - 180.0;
    let lon = first + corners.iter().map(|c| turn(c.0)).sum::<f64>() / 4.0;
    let lat = corners.iter().map(|c| c.1).sum::<f64>() / 4.0;
    ((lon + 180.0).rem_euclid(360.0) - 180.0, lat)
}

/// Metadata as `name → text`, kept for `inspect`.
pub type Fields = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_of_a_scene_across_the_antimeridian_is_not_in_greenwich() {
        let (lon, lat) = mean_lon_lat(&[(179.9, 1.0), (-179.7, 1.0), (-179.7, 0.0), (179.9, 0.0)]);
        assert!((lon + 179.9).abs() < 1e-9 && (lat - 0.5).abs() < 1e-9, "{lon} {lat}");
    }
}
