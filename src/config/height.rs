//! Heights of the ground, and what they are counted from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mistake, geoid, place};

/// Terrain heights for `ortho`: either `dem` or `constant`; see docs/heights.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Height {
    /// A raster of heights in metres, any reference system, or a list of tiles on one lattice, that cover the scene: GeoTIFF,
    /// SRTM `.hgt`, DTED, Arc/Info ASCII grid, GTX or USGS DEM; others are refused, as they can name further files. Of tiles
    /// that overlap the first with a height counts. Paths are relative to the pipeline file; URLs (`s3://`, `gs://`, `az://`,
    /// `https://`) are fetched before the first scene.
    #[serde(default)]
    pub dem: Option<Dem>,
    /// One height for the whole scene, metres.
    #[serde(default)]
    pub constant: Option<f64>,
    /// What the heights are counted from: `ellipsoid` (WGS 84), `egm96` or `egm2008`. No default: RPC want ellipsoidal
    /// heights, DEMs mostly are not, and the difference moves the image.
    #[schemars(required)]
    pub datum: Option<Datum>,
    /// Raster of geoid undulations in metres (GTX, GeoTIFF and the others that `dem` takes), for `egm96` and `egm2008`, a path
    /// or a URL as there. Default: the grid of that name among PROJ's files.
    #[serde(default)]
    pub geoid: Option<PathBuf>,
}

/// One file, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a file or a list of files")]
pub enum Dem {
    /// One file.
    One(PathBuf),
    /// Tiles.
    Tiles(Vec<PathBuf>),
}

impl Dem {
    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::One(file) => std::slice::from_ref(file),
            Self::Tiles(files) => files,
        }
    }

    /// The files.
    pub(super) fn files_mut(&mut self) -> &mut [PathBuf] {
        match self {
            Self::One(file) => std::slice::from_mut(file),
            Self::Tiles(files) => files,
        }
    }
}

/// What heights are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Datum {
    /// WGS 84 ellipsoid.
    Ellipsoid,
    /// EGM96 geoid.
    Egm96,
    /// EGM2008 geoid.
    Egm2008,
}

impl Height {
    pub(super) fn check(&self, found: &mut Vec<Mistake>) {
        if self.dem.is_some() == self.constant.is_some() {
            found.push(Mistake::new("geometry.height", "write either `dem` or `constant`"));
        }
        if self.constant.is_some_and(|c| !(-1000.0..10_000.0).contains(&c)) {
            found.push(Mistake::new("geometry.height.constant", "no place on land has this height; metres are wanted"));
        }
        match (self.datum, &self.geoid) {
            (None, _) => found.push(Mistake::new(
                "geometry.height.datum",
                "missing; say what the heights are counted from: `ellipsoid`, `egm96` or `egm2008`",
            )),
            (Some(Datum::Ellipsoid), Some(_)) => {
                found.push(Mistake::new(
                    "geometry.height.geoid",
                    "heights above the ellipsoid need no geoid; remove it or change `datum`",
                ));
            }
            (Some(datum), Some(geoid)) => {
                if let Some(other) = geoid::named(geoid).filter(|named| *named != datum) {
                    found.push(Mistake::new(
                        "geometry.height.geoid",
                        format!(
                            "`{}` is by its name a grid of {other}, and `datum` is {datum}; name the grid of {datum}, or correct `datum`",
                            geoid.display()
                        ),
                    ));
                }
            }
            _ => {}
        }
        if matches!(&self.dem, Some(Dem::Tiles(files)) if files.is_empty()) {
            found.push(Mistake::new("geometry.height.dem", "an empty list; name at least one file"));
        }
        let dem = self.dem.iter().flat_map(Dem::files).map(|f| ("dem", f));
        for (key, file) in dem.chain(self.geoid.iter().map(|f| ("geoid", f))) {
            found.extend(place::problem(file).map(|p| Mistake::new(format!("geometry.height.{key}"), p)));
        }
    }

    /// Names the geoid among PROJ's files where none is named and one is needed.
    pub(super) fn find_geoid(&mut self, found: &mut Vec<Mistake>) {
        let (Some(datum @ (Datum::Egm96 | Datum::Egm2008)), None) = (self.datum, &self.geoid) else { return };
        match geoid::find(datum, &geoid::folders(|name| std::env::var_os(name))) {
            Ok(file) => self.geoid = Some(file),
            Err(problem) => found.push(Mistake::new("geometry.height.geoid", problem)),
        }
    }
}

impl std::fmt::Display for Datum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ellipsoid => "`ellipsoid`",
            Self::Egm96 => "`egm96`",
            Self::Egm2008 => "`egm2008`",
        })
    }
}
