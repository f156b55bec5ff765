//! Names of Gaofen products: `GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-PAN1`, of wide-field cameras without a part, of
//! GF-6's wide-field camera with the number of a tile in its place.
//!
//! # Reference
//! GISdeveloper2017/imetadata, `c_satFilePlugins_gf1_pms1.py`, `c_satFilePlugins_gf1_B_C_D.py:38-41`,
//! `c_satFilePlugins_gf6_wfv.py:30-34`; acolite/acolite, `acolite/gf/l1_convert.py:150-157` (tile after the hyphen).

use jiff::civil::Date;

/// Which raster of a product a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scene) enum PartToken {
    /// Panchromatic: `PAN`, `PAN1`, `PAN2`.
    Pan,
    /// Multispectral: `MSS`, `MSS1`, `MSS2`, `MUX`.
    Mss,
    /// One of the tiles that make up a wide-field image.
    Tile(u8),
}

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scene) struct Name {
    /// Satellite, `GF1B`.
    pub satellite: String,
    /// Camera, `PMS1`, `WFV3`.
    pub sensor: String,
    /// Day of the acquisition.
    pub date: Date,
    /// Level, `L1A`.
    pub level: String,
    /// Everything before the hyphen.
    pub stem: String,
    /// Part, if there is one.
    pub part: Option<PartToken>,
}

impl Name {
    /// Id of the scene the file belongs to. A tile is a scene of its own: each has its own sensor model and its own place
    /// under the flight path.
    pub fn scene_id(&self) -> String {
        match self.part {
            Some(PartToken::Tile(number)) => format!("{}-{number}", self.stem),
            _ => self.stem.clone(),
        }
    }
}

/// True for the id of a tile of the product `stem`.
pub(in crate::scene) fn is_tile_of(id: &str, stem: &str) -> bool {
    let own = id.get(..stem.len()).is_some_and(|start| start.eq_ignore_ascii_case(stem));
    let tile = id.get(stem.len()..).and_then(|rest| rest.strip_prefix('-'));
    own && tile.is_some_and(|t| matches!(read_part(t), Some(PartToken::Tile(_))))
}

/// Takes a name without extension apart; `None` if it is no name of an optical Gaofen product that is read here.
pub(in crate::scene) fn parse(name: &str) -> Option<Name> {
    let (stem, part) = match name.split_once('-') {
        Some((stem, part)) => (stem, Some(read_part(part)?)),
        None => (name, None),
    };
    let mut tokens = stem.split('_');
    let mut next = || tokens.next();
    let satellite = next().filter(|t| is_satellite(t))?;
    let sensor = next().filter(|t| is_sensor(t))?;
    next().filter(|t| is_degrees(t, ['E', 'W']))?;
    next().filter(|t| is_degrees(t, ['N', 'S']))?;
    let date = read_date(next()?)?;
    let product = next()?;
    let level = product.get(..3).filter(|l| is_level(l))?;
    let number = product.get(3..)?;
    let whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if !whole || tokens.next().is_some() {
        return None;
    }
    Some(Name {
        satellite: satellite.to_ascii_uppercase(),
        sensor: sensor.to_ascii_uppercase(),
        date,
        level: level.to_ascii_uppercase(),
        stem: stem.into(),
        part,
    })
}

/// GF-1, its B, C and D, GF-2 and GF-6. The others of the name are radar, geostationary, hyperspectral or stereo.
pub(in crate::scene) fn is_satellite(token: &str) -> bool {
    ["GF1", "GF1B", "GF1C", "GF1D", "GF2", "GF6"].iter().any(|known| token.eq_ignore_ascii_case(known))
}

pub(in crate::scene) fn is_sensor(token: &str) -> bool {
    let upper = token.to_ascii_uppercase();
    let number = upper.strip_prefix("PMS").or_else(|| upper.strip_prefix("WFV"));
    number.is_some_and(|n| n.is_empty() || (n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit())))
}

/// `E65.2`, `N26.6`.
fn is_degrees(token: &str, sides: [char; 2]) -> bool {
    let number = token.strip_prefix(|c: char| sides.contains(&c.to_ascii_uppercase()));
    number.is_some_and(|n| n.parse::<f64>().is_ok_and(|v| (0.0..=180.0).contains(&v)))
}

fn is_level(token: &str) -> bool {
    matches!(token.as_bytes(), [l, d, a] if l.eq_ignore_ascii_case(&b'L') && d.is_ascii_digit() && a.is_ascii_alphabetic())
}

fn read_part(token: &str) -> Option<PartToken> {
    let upper = token.to_ascii_uppercase();
    let camera = |n: &str| n.is_empty() || n == "1" || n == "2";
    if upper.strip_prefix("PAN").is_some_and(camera) {
        Some(PartToken::Pan)
    } else if ["MSS", "MUX"].iter().any(|p| upper.strip_prefix(p).is_some_and(camera)) {
        Some(PartToken::Mss)
    } else {
        let number = upper.parse::<u8>().ok().filter(|n| (1..=9).contains(n) && upper.len() == 1)?;
        Some(PartToken::Tile(number))
    }
}

fn read_date(token: &str) -> Option<Date> {
    if token.len() != 8 || !token.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |at: usize, len: usize| token.get(at..at + len)?.parse::<i16>().ok();
    Date::new(number(0, 4)?, i8::try_from(number(4, 2)?).ok()?, i8::try_from(number(6, 2)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_names_are_taken_apart() {
        use PartToken::{Mss, Pan, Tile};
        for (text, satellite, sensor, part) in [
            ("GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-PAN1", "GF1", "PMS1", Some(Pan)),
            ("GF2_PMS2_E102.1_N31.7_20201109_L1A0005176265-MSS2", "GF2", "PMS2", Some(Mss)),
            ("GF1_WFV1_E73.2_N39.7_20131008_L1A0000095560", "GF1", "WFV1", None),
            ("GF1B_PMS_E117.1_N30.2_20190121_L1A1227579261-MUX", "GF1B", "PMS", Some(Mss)),
            ("GF6_WFV_E120.4_N31.6_20190412_L1A1119836057-3", "GF6", "WFV", Some(Tile(3))),
            ("GF1_PMS1_E65.2_S26.6_20130927_L1A0000090284-MSS", "GF1", "PMS1", Some(Mss)),
        ] {
            let name = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((name.satellite.as_str(), name.sensor.as_str(), name.part), (satellite, sensor, part), "{text}");
            assert_eq!(name.level, "L1A");
        }
        let tile = parse("GF6_WFV_E120.4_N31.6_20190412_L1A1119836057-3").unwrap();
        assert_eq!((tile.scene_id(), tile.date.to_string()), (format!("{}-3", tile.stem), "2019-04-12".into()));
        assert!(is_tile_of(&tile.scene_id(), &tile.stem) && !is_tile_of(&tile.stem, &tile.stem));
    }

    #[test]
    fn other_satellites_thumbnails_and_nonsense_are_no_scenes() {
        for text in [
            "GF3_KAS_WSC_001122_E121.0_N31.0_20170101_L1A_VV_L10002004240",
            "GF7_DLC_E120.4_N31.6_20200412_L1A0000119836-BWDMUX",
            "GF1_PMS1_E65.2_N26.6_20130927_L1A0000090284-PAN1_thumb",
            "GF1_PMS1_E65.2_N26.6_20131327_L1A0000090284-PAN1",
            "GF1_PMS1_E65.2_N26.6_20130927_L1A",
            "GF1_PMS1_E65.2_20130927_L1A0000090284",
            "order",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[A-Za-z0-9_.é-]{0,60}") {
            let _ = parse(&text);
            let _ = is_tile_of(&text, "GF6é");
        }
    }
}
