//! Names of Jilin-1 products: `SAT_SENSOR_yyyymmddhhmmss_number…[_LEVEL][_PART][_ORDER]`.
//!
//! Read token by token: units, cameras and suffixes multiply with every satellite, and one pattern for all of them
//! has never lasted. What does not fit is no Jilin-1 name, not a half-understood one.

use jiff::civil::DateTime;

/// Which raster of a scene a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scene) enum PartToken {
    /// Panchromatic.
    Pan,
    /// Multispectral.
    Mss,
    /// Pansharpened.
    Psh,
    /// One band of a hyperspectral (GP) scene.
    Band(u8),
}

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::scene) struct Name {
    /// Satellite, `JL1KF01A`.
    pub satellite: String,
    /// Camera, `PMS06`; names of mosaics have none.
    pub sensor: Option<String>,
    /// Time in the name: Beijing time. Names of mosaics mostly have none.
    pub time: Option<DateTime>,
    /// Everything up to and with the level: what PAN and MSS share.
    pub stem: String,
    /// Level, `L1`, if there is one.
    pub level: Option<String>,
    /// Part, if there is one.
    pub part: Option<PartToken>,
}

impl Name {
    /// Id of the scene the file belongs to. Pansharpened products are a scene of their own: they carry the same roles
    /// as the MSS part they were made from.
    pub fn scene_id(&self) -> String {
        match self.part {
            Some(PartToken::Psh) => format!("{}_PSH", self.stem),
            _ => self.stem.clone(),
        }
    }

    /// True if both name the same raster of the same scene, whatever the order suffix.
    pub fn same_part(&self, other: &Self) -> bool {
        self.same_scene(other) && self.part == other.part
    }

    /// True if both belong to one scene.
    pub fn same_scene(&self, other: &Self) -> bool {
        self.scene_id().eq_ignore_ascii_case(&other.scene_id())
    }
}

/// Takes a name without extension apart; `None` if it is no Jilin-1 name. Only the name of a mosaic may lack camera and
/// time.
pub(in crate::scene) fn parse(name: &str) -> Option<Name> {
    let tokens: Vec<&str> = name.split('_').collect();
    let mut rest = tokens.iter().copied().enumerate().peekable();
    let (mut last, satellite) = rest.next_if(|(_, t)| is_satellite(t))?;
    let sensor = rest.next_if(|(_, t)| is_sensor(t)).map(|(_, t)| t.to_string());
    let time = rest.peek().and_then(|(_, t)| read_time(t));
    if time.is_some() {
        rest.next();
    }
    let mut numbers = 0;
    while let Some((at, _)) = rest.next_if(|(_, t)| is_number(t)) {
        (last, numbers) = (at, numbers + 1);
    }
    if numbers == 0 {
        return None;
    }
    let level = rest.next_if(|(_, t)| is_level(t));
    if let Some((at, _)) = level {
        last = at;
    }
    let level = level.map(|(_, t)| t.to_string());
    let mosaic = level.as_deref().is_some_and(is_mosaic_level);
    if !mosaic && (sensor.is_none() || time.is_none()) {
        return None;
    }
    // Mosaics say their pixel size, `5m`, before the part.
    if mosaic && let Some((at, _)) = rest.next_if(|(_, t)| is_pixel_size(t)) {
        last = at;
    }
    let part = rest.peek().and_then(|(_, t)| read_part(t));
    if part.is_some() {
        rest.next();
    }
    // The shop appends the number of the order, six digits.
    rest.next_if(|(_, t)| t.len() == 6 && is_number(t));
    if rest.next().is_some() {
        return None;
    }
    Some(Name { satellite: satellite.into(), sensor, time, stem: tokens.get(..=last)?.join("_"), level, part })
}

fn is_mosaic_level(level: &str) -> bool {
    level.as_bytes().get(1) == Some(&b'5')
}

/// `5m`, `0.5m`.
fn is_pixel_size(token: &str) -> bool {
    token.strip_suffix(['m', 'M']).is_some_and(|n| n.parse::<f64>().is_ok_and(|v| v > 0.0 && v.is_finite()))
}

fn is_number(token: &str) -> bool {
    !token.is_empty() && token.len() <= 12 && token.bytes().all(|b| b.is_ascii_digit())
}

/// A satellite by the vendor's token: `JL1KF01A`, `JL101A`, `JXGF07A03`, `DP07`.
pub(in crate::scene) fn is_satellite(token: &str) -> bool {
    let known = ["JL", "JX", "DP"].iter().any(|p| token.get(..2).is_some_and(|t| t.eq_ignore_ascii_case(p)));
    known && (4..=16).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A camera by the vendor's token: `PMS06`, `PMSL3`, `MSS1`.
pub(in crate::scene) fn is_sensor(token: &str) -> bool {
    let known = ["PMS", "MSS", "MMS"].iter().any(|p| token.get(..3).is_some_and(|t| t.eq_ignore_ascii_case(p)));
    known && token.len() <= 8 && token.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `L1`, `L1A`, `L3C`, `LX`: the letter, a digit or X, at most one letter.
fn is_level(token: &str) -> bool {
    match token.as_bytes() {
        [l, d, rest @ ..] => {
            l.eq_ignore_ascii_case(&b'L')
                && (d.is_ascii_digit() || d.eq_ignore_ascii_case(&b'X'))
                && rest.len() <= 1
                && rest.iter().all(u8::is_ascii_alphabetic)
        }
        _ => false,
    }
}

fn read_part(token: &str) -> Option<PartToken> {
    match token.to_ascii_uppercase().as_str() {
        "PAN" => Some(PartToken::Pan),
        "MSS" => Some(PartToken::Mss),
        "PSH" => Some(PartToken::Psh),
        other => {
            let number = other.strip_prefix('B').filter(|n| is_number(n))?;
            Some(PartToken::Band(number.parse().ok()?))
        }
    }
}

fn read_time(token: &str) -> Option<DateTime> {
    if token.len() != 14 || !is_digits(token) {
        return None;
    }
    let number = |at: usize, len: usize| token.get(at..at + len)?.parse::<i16>().ok();
    let small = |at: usize| i8::try_from(number(at, 2)?).ok();
    DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()
}

fn is_digits(token: &str) -> bool {
    token.bytes().all(|b| b.is_ascii_digit())
}

/// Name of a folder or archive with the multispectral part of what the one of this name has the panchromatic part of, or
/// the other way round.
pub(in crate::scene) fn of_other_part(name: &str) -> Option<String> {
    let own = parse(name)?;
    let (this, other) = match own.part? {
        PartToken::Pan => ("PAN", "MSS"),
        PartToken::Mss => ("MSS", "PAN"),
        PartToken::Psh | PartToken::Band(_) => return None,
    };
    // The part stands behind the stem, so the camera `MSS` in front of it is left alone.
    let (stem, tail) = name.split_at_checked(own.stem.len())?;
    Some(format!("{stem}{}", tail.to_ascii_uppercase().replace(this, other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_names_are_taken_apart() {
        use PartToken::{Band, Mss, Pan, Psh};
        let cases = [
            ("JL101A_PMS_20171030113628_000020767_102_0001_003", None, None),
            ("JL101A_PMS_20171030113628_000020767_102_0001_003_LX_PAN", Some("LX"), Some(Pan)),
            ("JL101K_PMS06_20200311100859_200022947_101_0002_001_L1_MSS", Some("L1"), Some(Mss)),
            ("JL103B_MSS_20170408221619_100001114_101_0013_001_L1A_MSS", Some("L1A"), Some(Mss)),
            ("JL103B_MSS_20180907120918_200004770_101_001_L1B_MSS", Some("L1B"), Some(Mss)),
            ("JL1GF02B_PMS2_20220711092631_200092286_102_0016_001_L3D_PSH", Some("L3D"), Some(Psh)),
            ("JL1GF03B02_PMS_20220516095811_200084559_101_0008_001_L1_PAN", Some("L1"), Some(Pan)),
            ("JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L1_MSS_978899", Some("L1"), Some(Mss)),
            ("JL1KF02B05_PMS02_20250402113627_200366490_101_0012_001_L3C_PSH", Some("L3C"), Some(Psh)),
            ("DP07_PMS_20230810145244_200185191_104_0011_001_L3C_PSH", Some("L3C"), Some(Psh)),
            ("JL1GP01_PMS_20190810145244_200185191_104_0011_001_L1_B13", Some("L1"), Some(Band(13))),
            ("JL1GF02F_PMS2_20230802123403_200182244_101_0001_001_L1_PAN", Some("L1"), Some(Pan)),
            ("JL1KF01B_PMSR4_20220623104620_200089965_101_0018_001_L3C_PSH", Some("L3C"), Some(Psh)),
            ("JL1GF03D13_PMS_20220706111526_200091752_102_0044_001_L1", Some("L1"), None),
            ("JXGF07A03_PMS_20250402113627_200366490_101_0012_001_L1_PAN", Some("L1"), Some(Pan)),
            ("JL107B_MSS1_20210918051525_200061466_101_0025_001_L1A", Some("L1A"), None),
        ];
        for (text, level, part) in cases {
            let name = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((name.level.as_deref(), name.part), (level, part), "{text}");
        }
    }

    #[test]
    fn order_suffix_and_part_do_not_change_the_scene() {
        let pan = parse("JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L1_PAN").unwrap();
        let mss = parse("JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L1_MSS_978899").unwrap();
        let psh = parse("JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L1_PSH").unwrap();
        let l3 = parse("JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L3C_MSS").unwrap();
        assert!(pan.same_scene(&mss) && !pan.same_part(&mss));
        assert!(!pan.same_scene(&psh) && !mss.same_scene(&l3));
        assert_eq!(mss.scene_id(), "JL1KF01C_PMSL3_20250112084005_200339713_101_0039_001_L1");
        assert_eq!(mss.time.unwrap().to_string(), "2025-01-12T08:40:05");
    }

    #[test]
    fn a_mosaic_may_lack_camera_and_time_and_nothing_else_may() {
        use PartToken::{Pan, Psh};
        for (text, stem, time, part) in [
            ("JL1KF01C_200101850_001_L5D_PSH", "JL1KF01C_200101850_001_L5D", None, Psh),
            ("JL1KF02B02_200383366_001_L5D_PSH", "JL1KF02B02_200383366_001_L5D", None, Psh),
            (
                "JL1KF01A_20201012092659_200032303_102_001_L5_5m_PAN",
                "JL1KF01A_20201012092659_200032303_102_001_L5_5m",
                Some("2020-10-12T09:26:59"),
                Pan,
            ),
        ] {
            let name = parse(text).unwrap();
            assert_eq!((name.stem.as_str(), name.sensor, name.part), (stem, None, Some(part)), "{text}");
            assert_eq!(name.time.map(|t| t.to_string()).as_deref(), time, "{text}");
        }
        for text in ["GTC_200101850_001_L5D", "JL1KF01C_200101850_001_L3D_PSH", "JL1KF01C_L5D", "JL1KF01C", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn cloud_masks_and_others_are_no_scene_images() {
        for text in [
            "JL1KF01A_PMS06_20200618084356_200026919_101_0003_001_L1_MSS_Cloud",
            "JL1KF01A_PMS06_20200618084356_200026919_101_0003_001_L1_MSS_RDC_Cloud",
            "JL1GP01_PMS_20190810145244_200185191_104_0011_001_L1_cloud",
            "GTC_JL101A_PMS_20161122151023_000016007_202_0011_001_0XX",
            "JL1KF01A_PMS06_20201318084356_200026919_101_0003_001_L1_MSS",
            "JL1KF01A_PMS06_20200618084356",
            "dem",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[A-Za-z0-9_é]{0,60}") {
            let _ = parse(&text);
        }
    }
}
