//! Which grid a pipeline asks for: by the name of a family of zones, or by one reference system.
//!
//! Zones are half-open: one that begins at a meridian holds it. A zone follows from longitude and hemisphere alone, so
//! scenes of one place share their grid.

use std::str::FromStr;

use super::cell::Tiling;
use super::matrix::{TileMatrixSet, WEB_MERCATOR_QUAD};
use super::{Crs, CrsError};
use crate::error::{Class, Classify};

/// A grid as a pipeline asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// `utm`, `utm:51`, `utm:51N`.
    Utm {
        /// The zone; `None` for that of the scene's centre.
        zone: Option<u8>,
        /// North of the equator; `None` for the side of the scene's centre.
        north: Option<bool>,
    },
    /// `cgcs2000-gk`, `cgcs2000-gk3`, `cgcs2000-gk6`, with a zone, a central meridian or `cm` behind a colon.
    GaussKruger {
        /// How wide its zones are.
        width: ZoneWidth,
        /// Which of them.
        zone: GaussKrugerZone,
    },
    /// `web-mercator`.
    WebMercator,
    /// One reference system.
    Fixed(Crs),
}

/// Width of the zones of CGCS2000 / Gauss-Krüger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneWidth {
    /// 3 degrees: zones 25 to 45, central meridians 75° to 135°.
    Three,
    /// 6 degrees: zones 13 to 23, central meridians 75° to 135°.
    Six,
}

/// Zone of CGCS2000 / Gauss-Krüger, and whether its number stands before the eastings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaussKrugerZone {
    /// That of the scene's centre, its number before the eastings.
    OfScene,
    /// That of the scene's centre, without its number.
    OfSceneByMeridian,
    /// One zone, its number before the eastings.
    Number(u8),
    /// One central meridian in degrees, without the zone's number before the eastings.
    Meridian(u8),
}

/// What is wrong with the grid that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// A zone that there is not.
    #[error("`{text}` names no zone; {expected}")]
    NoSuchZone {
        /// What was given.
        text: String,
        /// What is known.
        expected: &'static str,
    },
    /// A reference system that cells are not defined for.
    #[error(
        "{crs} is not projected in metres, nor one of `EPSG:4326`, `EPSG:4490` and `web-mercator`; cells need one of these"
    )]
    NoCells {
        /// The system.
        crs: String,
    },
    /// PROJ does not know the reference system.
    #[error("the reference system of the grid")]
    Crs(#[source] CrsError),
    /// A scene where no zone is defined.
    #[error(
        "the scene's centre lies at longitude {lon:.4}, outside the zones of CGCS2000 / Gauss-Krüger ({from} to {to}); set `geometry.crs` to `utm`"
    )]
    OutsideZones {
        /// Longitude of the scene's centre, degrees.
        lon: f64,
        /// West of the first zone.
        from: f64,
        /// East of the last zone.
        to: f64,
    },
    /// A scene beyond the edge of a map.
    #[error(
        "the scene reaches y {y:.1} and the grid {grid} ends at {edge:.1} (latitude 85.06 in web mercator); set `geometry.crs` to a polar or UTM system"
    )]
    BeyondMap {
        /// The outermost y of the scene, units of the system.
        y: f64,
        /// Name of the grid.
        grid: &'static str,
        /// Where it ends.
        edge: f64,
    },
}

impl Classify for GridError {
    fn class(&self) -> Class {
        Class::Input
    }
}

const UTM: &str = "write `utm`, `utm:51` or `utm:51N`, zones 1 to 60, N or S";
const GAUSS_KRUGER_3: &str = "write `cgcs2000-gk3`, a zone from 25 to 45 (`cgcs2000-gk3:42`), a central meridian that is a multiple of 3 from 75 to 135 (`cgcs2000-gk3:126`), or `cgcs2000-gk3:cm`";
const GAUSS_KRUGER_6: &str = "write `cgcs2000-gk6`, a zone from 13 to 23 (`cgcs2000-gk6:21`), a central meridian from 75, 81, 87 to 135 (`cgcs2000-gk6:123`), or `cgcs2000-gk6:cm`";

impl FromStr for Choice {
    type Err = GridError;

    fn from_str(text: &str) -> Result<Self, GridError> {
        let (family, zone) = match text.split_once(':') {
            Some((family, zone)) => (family, Some(zone)),
            None => (text, None),
        };
        match family {
            "utm" => utm(zone).ok_or_else(|| GridError::NoSuchZone { text: text.into(), expected: UTM }),
            "cgcs2000-gk" | "cgcs2000-gk3" => gauss_kruger(text, ZoneWidth::Three, zone),
            "cgcs2000-gk6" => gauss_kruger(text, ZoneWidth::Six, zone),
            "web-mercator" if zone.is_none() => Ok(Self::WebMercator),
            _ => {
                let crs = Crs::from_definition(text).map_err(GridError::Crs)?;
                if crs.is_metric() || TileMatrixSet::of(&crs).is_some() {
                    Ok(Self::Fixed(crs))
                } else {
                    Err(GridError::NoCells { crs: crs.to_string() })
                }
            }
        }
    }
}

fn utm(zone: Option<&str>) -> Option<Choice> {
    let Some(zone) = zone else { return Some(Choice::Utm { zone: None, north: None }) };
    let (number, north) = match zone.strip_suffix(['N', 'n']) {
        Some(number) => (number, Some(true)),
        None => match zone.strip_suffix(['S', 's']) {
            Some(number) => (number, Some(false)),
            None => (zone, None),
        },
    };
    let zone = digits(number).filter(|z| (1..=60).contains(z))?;
    Some(Choice::Utm { zone: Some(zone), north })
}

fn gauss_kruger(text: &str, width: ZoneWidth, zone: Option<&str>) -> Result<Choice, GridError> {
    let zone = match zone {
        None => Some(GaussKrugerZone::OfScene),
        Some("cm") => Some(GaussKrugerZone::OfSceneByMeridian),
        // No zone has the number of a meridian.
        Some(number) => digits(number).and_then(|n| match n {
            n if width.numbers().contains(&n) => Some(GaussKrugerZone::Number(n)),
            n => width.numbers().any(|z| width.meridian(z) == n).then_some(GaussKrugerZone::Meridian(n)),
        }),
    };
    let expected = match width {
        ZoneWidth::Three => GAUSS_KRUGER_3,
        ZoneWidth::Six => GAUSS_KRUGER_6,
    };
    let zone = zone.ok_or_else(|| GridError::NoSuchZone { text: text.into(), expected })?;
    Ok(Choice::GaussKruger { width, zone })
}

/// A number of one to three digits and nothing else.
fn digits(text: &str) -> Option<u8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Choice {
    /// What its cells are. Does not depend on a scene.
    pub fn tiling(&self) -> Tiling {
        match self {
            Self::WebMercator => Tiling::Tiles(&WEB_MERCATOR_QUAD),
            Self::Fixed(crs) => TileMatrixSet::of(crs).map_or(Tiling::Metric, Tiling::Tiles),
            Self::Utm { .. } | Self::GaussKruger { .. } => Tiling::Metric,
        }
    }

    /// The reference system for a scene with this centre; `None` where that is needed and not known.
    ///
    /// # Units
    /// Longitude and latitude, degrees.
    ///
    /// # Errors
    /// [`GridError::OutsideZones`], and systems PROJ does not know.
    pub fn crs(&self, center: Option<(f64, f64)>) -> Result<Option<Crs>, GridError> {
        let of_code = |code: u32| Crs::from_epsg(code).map(Some).map_err(GridError::Crs);
        match (self, center) {
            (Self::Fixed(crs), _) => Ok(Some(crs.clone())),
            (Self::WebMercator, _) => of_code(3857),
            (Self::Utm { zone: Some(zone), north: Some(north) }, _) => of_code(utm_code(*zone, *north)),
            (Self::Utm { zone, north }, Some((lon, lat))) => {
                of_code(utm_code(zone.unwrap_or(utm_zone(lon)), north.unwrap_or(lat >= 0.0)))
            }
            (Self::GaussKruger { width, zone }, center) => {
                let code = match (zone, center) {
                    (GaussKrugerZone::Number(number), _) => width.code(*number),
                    (GaussKrugerZone::Meridian(meridian), _) => width.code_by_meridian(*meridian),
                    (GaussKrugerZone::OfScene, Some((lon, _))) => width.code(width.zone(lon)?),
                    (GaussKrugerZone::OfSceneByMeridian, Some((lon, _))) => {
                        width.code_by_meridian(width.meridian(width.zone(lon)?))
                    }
                    (_, None) => return Ok(None),
                };
                of_code(code)
            }
            (Self::Utm { .. }, None) => Ok(None),
        }
    }
}

/// UTM zone of a longitude, with the exceptions of Norway and Svalbard left out on purpose: a grid must depend on longitude
/// alone to stack.
fn utm_zone(lon_deg: f64) -> u8 {
    let wrapped = (lon_deg + 180.0).rem_euclid(360.0);
    (wrapped / 6.0).floor().clamp(0.0, 59.0) as u8 + 1
}

fn utm_code(zone: u8, north: bool) -> u32 {
    (if north { 32600 } else { 32700 }) + u32::from(zone)
}

impl ZoneWidth {
    /// Numbers of the zones EPSG knows.
    fn numbers(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Three => 25..=45,
            Self::Six => 13..=23,
        }
    }

    /// Central meridian of a zone, degrees east.
    fn meridian(self, number: u8) -> u8 {
        match self {
            Self::Three => 3 * number,
            Self::Six => 6 * number - 3,
        }
    }

    /// Half the width of a zone, degrees.
    fn half(self) -> f64 {
        match self {
            Self::Three => 1.5,
            Self::Six => 3.0,
        }
    }

    /// Number of the zone of a longitude.
    fn zone(self, lon_deg: f64) -> Result<u8, GridError> {
        let lon = lon_deg.rem_euclid(360.0);
        let holds = |n: &u8| {
            let west = f64::from(self.meridian(*n)) - self.half();
            (west..west + 2.0 * self.half()).contains(&lon)
        };
        let (first, last) = (*self.numbers().start(), *self.numbers().end());
        self.numbers().find(holds).ok_or_else(|| GridError::OutsideZones {
            lon: lon_deg,
            from: f64::from(self.meridian(first)) - self.half(),
            to: f64::from(self.meridian(last)) + self.half(),
        })
    }

    /// EPSG code of a zone with its number before the eastings (false easting 42,500,000 m in zone 42).
    fn code(self, number: u8) -> u32 {
        match self {
            Self::Three => 4513 + u32::from(number) - 25,
            Self::Six => 4491 + u32::from(number) - 13,
        }
    }

    /// EPSG code of a central meridian with eastings from 500,000 m.
    fn code_by_meridian(self, meridian: u8) -> u32 {
        match self {
            Self::Three => 4534 + (u32::from(meridian) - 75) / 3,
            Self::Six => 4502 + (u32::from(meridian) - 75) / 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str, center: Option<(f64, f64)>) -> Option<u32> {
        text.parse::<Choice>().unwrap().crs(center).unwrap().unwrap().epsg()
    }

    #[test]
    fn utm_zone_follows_longitude_and_hemisphere_or_is_fixed() {
        for (lon, lat, expected) in [
            (125.3, 43.9, 32651),
            (125.999_999, 43.9, 32651),
            (126.0, 43.9, 32652),
            (126.1, 43.9, 32652),
            (-180.0, -10.0, 32701),
            (180.0, 10.0, 32601),
            (180.1, 10.0, 32601),
            (179.9, 10.0, 32660),
            (100.0, 0.0, 32647),
        ] {
            assert_eq!(code("utm", Some((lon, lat))), Some(expected), "{lon} {lat}");
        }
        assert_eq!(code("utm:51", Some((126.1, 43.9))), Some(32651));
        assert_eq!(code("utm:51", Some((126.1, -43.9))), Some(32751));
        assert_eq!(code("utm:52N", None), Some(32652));
        assert_eq!(code("utm:7s", None), Some(32707));
        assert_eq!("utm".parse::<Choice>().unwrap().crs(None).unwrap(), None);
    }

    #[test]
    fn gauss_kruger_zones_begin_half_a_zone_west_of_their_meridian() {
        // 3 degrees: zone 42 is 124.5° to 127.5°; 6 degrees: zone 21 is 120° to 126°, zone 22 126° to 132°.
        for (text, lon, expected) in [
            ("cgcs2000-gk", 124.5, 4530),
            ("cgcs2000-gk3", 124.499_999_9, 4529),
            ("cgcs2000-gk3", 126.0, 4530),
            ("cgcs2000-gk3", 127.5, 4531),
            ("cgcs2000-gk3:cm", 126.0, 4551),
            ("cgcs2000-gk6", 120.0, 4499),
            ("cgcs2000-gk6", 125.999_999_9, 4499),
            ("cgcs2000-gk6", 126.0, 4500),
            ("cgcs2000-gk6:cm", 126.0, 4511),
            ("cgcs2000-gk3", 73.5, 4513),
            ("cgcs2000-gk3", 136.499, 4533),
            ("cgcs2000-gk6", 72.0, 4491),
            ("cgcs2000-gk6", 137.999, 4501),
        ] {
            assert_eq!(code(text, Some((lon, 40.0))), Some(expected), "{text} {lon}");
        }
        assert_eq!(code("cgcs2000-gk3:42", None), Some(4530));
        assert_eq!(code("cgcs2000-gk:126", None), Some(4551));
        assert_eq!(code("cgcs2000-gk6:21", None), Some(4499));
        assert_eq!(code("cgcs2000-gk6:123", None), Some(4510));
        for lon in [73.499, 136.5, -60.0] {
            let refused = "cgcs2000-gk3".parse::<Choice>().unwrap().crs(Some((lon, 40.0))).unwrap_err();
            assert!(refused.to_string().contains("73.5 to 136.5"), "{refused}");
        }
    }

    /// Every code against PROJ's own database.
    #[test]
    fn codes_are_those_of_the_zones() {
        for width in [ZoneWidth::Three, ZoneWidth::Six] {
            for number in width.numbers() {
                let meridian = width.meridian(number);
                for (code, easting) in
                    [(width.code(number), 1e6 * f64::from(number) + 5e5), (width.code_by_meridian(meridian), 5e5)]
                {
                    let srs = Crs::from_epsg(code).unwrap().spatial_ref().unwrap();
                    let wkt = srs.to_wkt().unwrap();
                    let value = |name: &str| {
                        let (_, rest) = wkt.split_once(&format!("PARAMETER[\"{name}\",")).unwrap();
                        rest.split(']').next().unwrap().parse::<f64>().unwrap()
                    };
                    assert_eq!(value("central_meridian"), f64::from(meridian), "EPSG:{code}");
                    assert_eq!(value("false_easting"), easting, "EPSG:{code}");
                    assert_eq!((value("scale_factor"), value("latitude_of_origin")), (1.0, 0.0), "EPSG:{code}");
                    assert!(wkt.contains("China_2000\",SPHEROID") || wkt.contains("China Geodetic"), "{wkt}");
                    let kind = if width == ZoneWidth::Three { "3-degree" } else { "Gauss-Kruger" };
                    assert!(wkt.contains(kind) && (width == ZoneWidth::Three || !wkt.contains("3-degree")), "{wkt}");
                }
            }
        }
    }

    #[test]
    fn grids_of_one_system_have_cells_and_others_are_refused() {
        let tiling = |text: &str| text.parse::<Choice>().unwrap().tiling();
        assert_eq!(tiling("EPSG:32651"), Tiling::Metric);
        // As it always was: squares of metres of the map.
        assert_eq!(tiling("EPSG:3857"), Tiling::Metric);
        assert!(matches!(tiling("web-mercator"), Tiling::Tiles(set) if set.name == "WebMercatorQuad"));
        for text in ["EPSG:4326", "EPSG:4490"] {
            assert!(matches!(tiling(text), Tiling::Tiles(set) if set.name == "WorldCRS84Quad"), "{text}");
        }
        for text in [
            "utm:0",
            "utm:61",
            "utm:N",
            "utm:",
            "utm:51X",
            "utm:-1",
            "utm:+1",
            "cgcs2000-gk3:24",
            "cgcs2000-gk3:46",
            "cgcs2000-gk3:125",
            "cgcs2000-gk6:126",
            "cgcs2000-gk6:25",
            "cgcs2000-gk:",
            "web-mercator:3",
            "EPSG:4214",
            "EPSG:2225",
            "mars",
        ] {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }
}
