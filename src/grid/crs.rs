//! Coordinate reference systems: PROJ's, through GDAL, with axis order fixed to x (east or longitude) before y.

use std::fmt;

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};

use crate::error::{Class, Classify};

/// A coordinate reference system. Equal when their definitions (WKT) are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Crs {
    wkt: String,
    epsg: Option<u32>,
    geographic: bool,
    metric: bool,
}

/// What is wrong with a reference system or a transform between two.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrsError {
    /// PROJ does not know a reference system.
    #[error("`{definition}` is no coordinate reference system PROJ knows; write `EPSG:32651` or WKT")]
    Unknown {
        /// What was given.
        definition: String,
        /// What PROJ says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// No transform between two systems.
    #[error("no transform from {from} to {to}")]
    NoTransform {
        /// Source system.
        from: String,
        /// Target system.
        to: String,
        /// What PROJ says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// A point has no image in the target system.
    #[error("({x}, {y}) in {from} has no place in {to}")]
    OutOfDomain {
        /// Source system.
        from: String,
        /// Target system.
        to: String,
        /// First coordinate.
        x: f64,
        /// Second coordinate.
        y: f64,
    },
}

impl Classify for CrsError {
    fn class(&self) -> Class {
        Class::Input
    }
}

impl Crs {
    /// From `EPSG:nnnn`, WKT, PROJJSON or anything else GDAL reads from a text.
    ///
    /// # Errors
    /// [`CrsError::Unknown`].
    pub fn from_definition(definition: &str) -> Result<Self, CrsError> {
        let unknown = |source| CrsError::Unknown { definition: definition.chars().take(80).collect(), source };
        let srs = SpatialRef::from_definition(definition).map_err(unknown)?;
        Self::from_spatial_ref(&srs).map_err(unknown)
    }

    /// From an EPSG code.
    ///
    /// # Errors
    /// [`CrsError::Unknown`].
    pub fn from_epsg(code: u32) -> Result<Self, CrsError> {
        Self::from_definition(&format!("EPSG:{code}"))
    }

    /// From a dataset's reference system.
    ///
    /// # Errors
    /// What GDAL says when it cannot write the system as WKT.
    pub fn from_spatial_ref(srs: &SpatialRef) -> gdal::errors::Result<Self> {
        let mut identified = srs.clone();
        // Many files carry a full definition without its code; a code is shorter and stacks better.
        let epsg = match code(&identified) {
            Some(c) => Some(c),
            None => identified.auto_identify_epsg().ok().and_then(|()| code(&identified)),
        };
        Ok(Self {
            wkt: identified.to_wkt()?,
            epsg,
            geographic: srs.is_geographic(),
            metric: srs.is_projected() && (srs.linear_units() - 1.0).abs() < 1e-12,
        })
    }

    /// WGS 84 longitude and latitude.
    pub fn wgs84() -> Self {
        // The definition is part of PROJ itself; failing here means a broken installation, which every later call reports.
        Self::from_epsg(4326).unwrap_or_else(|_| Self {
            wkt: "EPSG:4326".into(),
            epsg: Some(4326),
            geographic: true,
            metric: false,
        })
    }

    /// WKT.
    pub fn wkt(&self) -> &str {
        &self.wkt
    }

    /// EPSG code, if it has one.
    pub fn epsg(&self) -> Option<u32> {
        self.epsg
    }

    /// True for longitude and latitude in degrees.
    pub fn is_geographic(&self) -> bool {
        self.geographic
    }

    /// True for a projection in metres.
    pub fn is_metric(&self) -> bool {
        self.metric
    }

    /// True for web mercator, the map of most web services: spherical, and far from true to scale away from the equator.
    pub fn is_web_mercator(&self) -> bool {
        self.epsg == Some(3857)
    }

    /// What x grows by once round the earth, where a map shows all of it side by side: 360° of longitude, or the width of
    /// the world in web mercator. `None` for maps that end somewhere.
    pub fn turn(&self) -> Option<f64> {
        if self.geographic {
            return Some(360.0);
        }
        self.is_web_mercator().then_some(2.0 * super::matrix::HALF_WORLD_M)
    }

    /// Short name for cells and messages: `UTM51N`, `EPSG4548`, or `CRS` and the first digits of a digest of the WKT.
    pub fn short_name(&self) -> String {
        match self.epsg {
            Some(code @ 32601..=32660) => format!("UTM{:02}N", code - 32600),
            Some(code @ 32701..=32760) => format!("UTM{:02}S", code - 32700),
            Some(code) => format!("EPSG{code}"),
            None => {
                use sha2::{Digest, Sha256};
                let digest = Sha256::digest(self.wkt.as_bytes());
                digest.iter().take(4).fold(String::from("CRS"), |s, b| s + &format!("{b:02X}"))
            }
        }
    }

    /// GDAL's object, axes in (x, y) order.
    ///
    /// # Errors
    /// [`CrsError::Unknown`] when GDAL no longer reads its own WKT.
    pub fn spatial_ref(&self) -> Result<SpatialRef, CrsError> {
        let text = self.epsg.map_or_else(|| self.wkt.clone(), |c| format!("EPSG:{c}"));
        let mut srs = SpatialRef::from_definition(&text)
            .map_err(|source| CrsError::Unknown { definition: self.to_string(), source })?;
        srs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        Ok(srs)
    }
}

fn code(srs: &SpatialRef) -> Option<u32> {
    (srs.auth_name()? == "EPSG").then(|| srs.auth_code().ok())?.and_then(|c| u32::try_from(c).ok())
}

impl fmt::Display for Crs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epsg {
            Some(code) => write!(f, "EPSG:{code}"),
            None => {
                let name = self.wkt.split('"').nth(1).unwrap_or("unnamed");
                write!(f, "\"{name}\"")
            }
        }
    }
}

/// A transform of points between two systems. Not shared between threads: PROJ's objects are not.
pub struct PointTransform {
    inner: Option<CoordTransform>,
    from: String,
    to: String,
}

impl PointTransform {
    /// The transform from one system to another; none is needed when they are equal.
    ///
    /// # Errors
    /// [`CrsError::NoTransform`].
    pub fn new(from: &Crs, to: &Crs) -> Result<Self, CrsError> {
        let same = from == to || (from.epsg.is_some() && from.epsg == to.epsg);
        let inner = if same {
            None
        } else {
            let transform = CoordTransform::new(&from.spatial_ref()?, &to.spatial_ref()?);
            Some(transform.map_err(|source| CrsError::NoTransform {
                from: from.to_string(),
                to: to.to_string(),
                source,
            })?)
        };
        Ok(Self { inner, from: from.to_string(), to: to.to_string() })
    }

    /// Transforms points in place.
    ///
    /// # Units
    /// Those of the two systems: degrees for geographic ones, x before y.
    ///
    /// # Errors
    /// [`CrsError::OutOfDomain`] names the first point that has no image.
    pub fn apply(&self, x: &mut [f64], y: &mut [f64]) -> Result<(), CrsError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let first = (x.first().copied().unwrap_or(f64::NAN), y.first().copied().unwrap_or(f64::NAN));
        let done = inner.transform_coords(x, y, &mut []);
        let bad = x.iter().zip(y.iter()).position(|(a, b)| !(a.is_finite() && b.is_finite()));
        if done.is_err() || bad.is_some() {
            let (x, y) = first;
            return Err(CrsError::OutOfDomain { from: self.from.clone(), to: self.to.clone(), x, y });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_known_only_by_wkt_finds_its_code() {
        let by_code = Crs::from_epsg(32651).unwrap();
        let by_wkt = Crs::from_definition(by_code.wkt()).unwrap();
        assert_eq!(by_wkt.epsg(), Some(32651));
        assert_eq!(by_wkt.short_name(), "UTM51N");
        let custom = Crs::from_definition("+proj=tmerc +lon_0=125.4 +k=1 +x_0=500000 +ellps=GRS80").unwrap();
        assert_eq!(custom.epsg(), None);
        assert!(custom.short_name().starts_with("CRS"));
    }

    #[test]
    fn transform_is_x_before_y() {
        let t = PointTransform::new(&Crs::wgs84(), &Crs::from_epsg(32651).unwrap()).unwrap();
        let (mut x, mut y) = ([123.0], [45.0]);
        t.apply(&mut x, &mut y).unwrap();
        assert!((x[0] - 500_000.0).abs() < 1e-6 && (y[0] - 4_982_950.4).abs() < 1.0, "{x:?} {y:?}");
    }

    #[test]
    fn nonsense_is_refused_with_what_was_given() {
        assert!(Crs::from_definition("EPSG:999999").unwrap_err().to_string().contains("EPSG:999999"));
    }
}
