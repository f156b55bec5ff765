//! The XML metadata of a raster: Jilin-1's `_meta.xml`, Gaofen's `.xml`.
//!
//! Both name what they have in common almost alike, so one reader serves them. Elements are found by local name at any depth, because nesting differs between processors; what stands in the band
//! blocks of a GP scene (`BAND_B3`) is not mistaken for the scene's. Only the element's name says what a number means:
//! an elevation is never taken for a zenith because it would fit better. A field that the work can do without is
//! dropped with a warning when it is no sensible value; the calibration lists are not such fields.

mod fields;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use super::time::Stated;
use super::{Fields, SceneError, Sun, View, Warning, files};

/// Largest metadata file that is read, bytes.
const SIZE_LIMIT: u64 = 16 << 20;

/// Most nodes of a metadata file.
const NODE_LIMIT: u32 = 1_000_000;

/// Most fields that are kept for `inspect`, and most characters of each.
const FIELD_LIMIT: usize = 2000;
const FIELD_CHARS: usize = 500;

/// What a metadata file says.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub satellite: Option<String>,
    pub sensor: Option<String>,
    pub level: Option<String>,
    /// Times without a zone of their own are read as Beijing time.
    pub center: Option<Stated>,
    pub start: Option<Stated>,
    pub end: Option<Stated>,
    pub sun: Option<Sun>,
    pub view: Option<View>,
    pub cloud_percent: Option<f64>,
    pub corners: Option<[(f64, f64); 4]>,
    /// From one column to the next and from one row to the next, metres.
    pub gsd_m: Option<(f64, f64)>,
    pub data_bits: Option<u32>,
    pub mtf_compensated: Option<bool>,
    /// Radiance per DN, item by item as listed.
    pub gains: Option<Vec<Listed>>,
    /// Radiance of DN 0, item by item as listed.
    pub biases: Option<Vec<Listed>>,
    /// Radiance per DN as Gaofen products of recent years list it, item by item, without biases.
    pub plain_gains: Option<(&'static str, Vec<f64>)>,
    /// What the blocks of a GP scene say of their bands, by number.
    pub bands: BTreeMap<u8, BandBlock>,
    pub fields: Fields,
    pub warnings: Vec<Warning>,
}

/// An item of a list: its number, or the text that is none.
pub(super) type Listed = Result<f64, String>;

/// What the block of a band (`BAND_B3`) says.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct BandBlock {
    pub center: Option<Stated>,
    pub start: Option<Stated>,
    pub end: Option<Stated>,
    pub gsd_m: Option<(f64, f64)>,
}

/// Reads a metadata file.
pub(super) fn read(path: &Path) -> Result<Metadata, SceneError> {
    let text = files::read_text(path, SIZE_LIMIT)?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Metadata, SceneError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODE_LIMIT, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|problem| SceneError::Syntax {
        path: path.into(),
        problem: format!("{problem}; expected an XML file without DTD, in UTF-8 or GBK: fetch the delivery again"),
    })?;
    Ok(Reader { path: path.into(), texts: index(document.root_element()), warnings: Vec::new() }.metadata())
}

/// Texts of the leaves, by name, by `parent/name`, and with the band block before it where there is one. The first that
/// is not empty counts.
fn index<'a>(root: Node<'a, 'a>) -> BTreeMap<String, &'a str> {
    let mut texts = BTreeMap::new();
    let mut stack = vec![(root, "", None::<&str>)];
    while let Some((node, parent, band)) = stack.pop() {
        let name = node.tag_name().name();
        let band = if name.starts_with("BAND_B") { Some(name) } else { band };
        let text = node.text().map_or("", str::trim);
        if !text.is_empty() {
            let mut keep = |key: String| {
                texts.entry(key).or_insert(text);
            };
            match band {
                Some(band) => keep(format!("{band}/{name}")),
                None => {
                    keep(format!("{parent}/{name}"));
                    keep(name.to_string());
                }
            }
        }
        stack.extend(node.children().rev().filter(Node::is_element).map(|child| (child, name, band)));
    }
    texts
}

struct Reader<'a> {
    path: PathBuf,
    texts: BTreeMap<String, &'a str>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    fn metadata(mut self) -> Metadata {
        let mut m = Metadata {
            satellite: self.text(&["SatelliteID"]).map(|(_, t)| clip(t)),
            sensor: self.text(&["Sensor", "SensorID"]).map(|(_, t)| clip(t)),
            level: self.text(&["ProductLevel"]).map(|(_, t)| clip(t)),
            center: self.time("CenterTime"),
            start: self.time("StartTime"),
            end: self.time("EndTime"),
            sun: self.sun(),
            view: self.view(),
            cloud_percent: self.cloud_percent(),
            corners: self.corners(),
            gsd_m: self.gsd(""),
            data_bits: self.number(&["DataBits"], 1.0, 32.0).filter(|b| b.fract() == 0.0).map(|b| b as u32),
            mtf_compensated: self.mtf_compensated(),
            gains: self.list("AbsCalibrationGain", true),
            biases: self.list("AbsCalibrationBias", false),
            plain_gains: self.plain_gains(),
            bands: self.bands(),
            ..Metadata::default()
        };
        // `parent/name` repeats what `name` says, except in band blocks.
        let kept = self.texts.iter().filter(|(key, _)| !key.contains('/') || key.starts_with("BAND_B"));
        m.fields =
            kept.take(FIELD_LIMIT).map(|(key, text)| (key.clone(), text.chars().take(FIELD_CHARS).collect())).collect();
        m.warnings = self.warnings;
        m
    }
}

/// Start of a text, for messages and documents.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::meta_xml;
    use super::*;
    use crate::units::SunZenith;

    fn read_xml(xml: &str) -> Metadata {
        parse(Path::new("a_meta.xml"), xml).unwrap()
    }

    fn with(from: &str, to: &str) -> Metadata {
        let xml = meta_xml("MSS");
        assert!(xml.contains(from), "{from}");
        read_xml(&xml.replace(from, to))
    }

    fn codes(m: &Metadata) -> Vec<&'static str> {
        m.warnings.iter().map(|w| w.code.text()).collect()
    }

    #[test]
    fn an_ordinary_file_is_read_without_a_warning() {
        let m = read_xml(&meta_xml("MSS"));
        assert_eq!(m.warnings, []);
        assert_eq!(m.center.unwrap().utc.to_string(), "2026-07-15T02:30:00Z");
        assert_eq!(m.start.unwrap().utc.to_string(), "2026-07-15T02:29:59Z");
        assert_eq!(m.end.unwrap().utc.to_string(), "2026-07-15T02:30:01Z");
        let sun = m.sun.unwrap();
        assert!((sun.zenith.0 - 27.5).abs() < 1e-12 && sun.azimuth_deg == Some(137.0));
        let view = m.view.unwrap();
        assert_eq!((view.zenith_deg, view.azimuth_deg, view.off_nadir_deg), (Some(6.0), Some(280.0), Some(5.5)));
        assert_eq!((m.cloud_percent, m.data_bits, m.mtf_compensated), (Some(3.0), Some(12), Some(true)));
        assert_eq!(m.gsd_m, Some((3.1, 3.0)));
        assert_eq!(m.gains.unwrap(), [0.11, 0.12, 0.13, 0.14].map(Ok));
        assert_eq!(m.biases.unwrap(), [-1.0, 0.0, 1.0, 2.5].map(Ok));
        assert_eq!(m.corners.unwrap()[2], (125.4, 43.8));
        assert_eq!(m.fields["SatelliteID"], "JL1KF01A");
        assert_eq!(m.level.as_deref(), Some("L1"));
    }

    #[test]
    fn a_cloud_percentage_that_is_no_number_is_a_warning() {
        let m = with(">3<", ">θ<");
        assert_eq!((m.cloud_percent, codes(&m)), (None, vec!["cloud-percent"]));
        assert!(m.warnings[0].message.contains("a_meta.xml") && m.warnings[0].message.contains("θ"));
        assert_eq!(with(">3<", ">12.5%<").cloud_percent, Some(12.5));
        assert_eq!(with(">3<", ">300<").cloud_percent, None);
    }

    #[test]
    fn the_name_alone_tells_zenith_from_elevation() {
        let zenith = with("<SolarElevation>62.5</SolarElevation>", "<SolarZenith>62.5</SolarZenith>");
        assert_eq!(zenith.sun.unwrap().zenith, SunZenith(62.5));
        let both = with("<SolarElevation>", "<SolarZenith>27.5</SolarZenith><SolarElevation>");
        assert_eq!(both.sun.unwrap().zenith, SunZenith(27.5));
        assert_eq!(both.warnings, []);
        let contradiction = with("<SolarElevation>", "<SolarZenith>62.5</SolarZenith><SolarElevation>");
        assert_eq!((contradiction.sun, codes(&contradiction)), (None, vec!["sun-contradiction"]));
        let placeholder = with(">62.5<", ">-9999<");
        assert_eq!((placeholder.sun, codes(&placeholder)), (None, vec!["field-ignored"]));
    }

    #[test]
    fn an_empty_azimuth_is_unknown_and_a_negative_one_is_turned() {
        let empty = with("<SolarAzimuth>137</SolarAzimuth>", "<SolarAzimuth></SolarAzimuth>");
        assert_eq!(empty.sun.unwrap().azimuth_deg, None);
        assert_eq!(empty.warnings, []);
        assert_eq!(with(">137<", ">-10<").sun.unwrap().azimuth_deg, Some(350.0));
    }

    #[test]
    fn corners_are_found_under_all_their_names() {
        let plain = read_xml(&meta_xml("MSS")).corners;
        let aliases = meta_xml("MSS").replace("Upper", "Top").replace("Lower", "Bottom");
        assert_eq!(read_xml(&aliases.replace("Longitude", "Longtitude")).corners, plain);
        let nested =
            |c: &str, lon: f64, lat: f64| format!("<{c}><Latitude>{lat}</Latitude><Longitude>{lon}</Longitude></{c}>");
        let points: String = [
            ("UpperLeft", 185.0, 1.0),
            ("UpperRightPoint", 186.0, 1.0),
            ("LowerRight", 186.0, 0.5),
            ("BottomLeft", 185.0, 0.5),
        ]
        .map(|(c, lon, lat)| nested(c, lon, lat))
        .concat();
        let m = read_xml(&format!("<MetaData>{points}</MetaData>"));
        assert_eq!(m.corners, Some([(-175.0, 1.0), (-174.0, 1.0), (-174.0, 0.5), (-175.0, 0.5)]));
        assert_eq!(with("<UpperLeftLatitude>44</UpperLeftLatitude>", "").corners, None);
        assert_eq!(codes(&with(">44<", ">440<")), ["field-ignored"]);
    }

    #[test]
    fn mtf_not_stated_is_not_no() {
        assert_eq!(with("<MtfCompensation>YES</MtfCompensation>", "").mtf_compensated, None);
        assert_eq!(with(">YES<", ">NO<").mtf_compensated, Some(false));
    }

    #[test]
    fn calibration_lists_are_taken_item_by_item() {
        let gains = |to: &str| with("0.11,0.12,0.13,0.14", to).gains;
        assert_eq!(gains(" 0.1 ， 0.2 ,"), Some(vec![Ok(0.1), Ok(0.2)]));
        assert_eq!(gains(""), None);
        for item in ["0", "-0.11", "nan", "1e999", "", "x"] {
            assert_eq!(gains(&format!("0.1,{item},0.2")), Some(vec![Ok(0.1), Err(item.into()), Ok(0.2)]), "{item}");
        }
        assert_eq!(with("-1,0,", "-1,inf,").biases.unwrap()[..2], [Ok(-1.0), Err("inf".into())]);
    }

    #[test]
    fn band_blocks_of_gp_scenes_are_not_the_scene() {
        let block = "<BAND_B3><CenterTime>2001-01-01 00:00:00</CenterTime><ImageRowGSD>5</ImageRowGSD></BAND_B3>";
        let m = with("<ProductInfo>", &format!("<ProductInfo>{block}"));
        assert_eq!(m.center.unwrap().utc.to_string(), "2026-07-15T02:30:00Z");
        assert_eq!(m.gsd_m, Some((3.1, 3.0)));
        assert_eq!(m.fields["BAND_B3/ImageRowGSD"], "5");
        assert_eq!(m.bands[&3].center.as_ref().unwrap().utc.to_string(), "2000-12-31T16:00:00Z");
        assert_eq!((m.bands.len(), m.bands[&3].gsd_m), (1, None));
    }

    #[test]
    fn gains_of_gaofen_are_a_list_or_not_there() {
        let gains = |text: &str| {
            let m = read_xml(&format!("<ProductMetaData><AbsCeof>{text}</AbsCeof></ProductMetaData>"));
            (m.plain_gains.map(|(_, list)| list), m.warnings.len())
        };
        assert_eq!(gains("0.1374,0.1784,0.1723,0.1894"), (Some(vec![0.1374, 0.1784, 0.1723, 0.1894]), 0));
        assert_eq!(gains(""), (None, 0));
        // What programs write that know none.
        assert_eq!(gains("NULL,NULL,NULL,NULL"), (None, 0));
        assert_eq!(gains("0.1,NULL"), (None, 1));
        assert_eq!(gains("0.1,-2"), (None, 1));
        let again = read_xml("<a><AGain>0.05</AGain></a>").plain_gains;
        assert_eq!(again, Some(("AGain", vec![0.05])));
    }

    #[test]
    fn depth_and_namespaces_do_not_matter_and_the_first_full_element_counts() {
        let m = read_xml(
            "<x:a xmlns:x='u'><DataBits/><x:b><x:c><x:DataBits> 10 </x:DataBits></x:c></x:b><DataBits>12</DataBits></x:a>",
        );
        assert_eq!(m.data_bits, Some(10));
    }

    #[test]
    fn broken_xml_and_dtds_are_refused_by_name() {
        for text in ["", "<a>", "<a></b>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "\u{0}"] {
            let error = parse(Path::new("a_meta.xml"), text).unwrap_err();
            assert!(matches!(&error, SceneError::Syntax { .. }) && error.to_string().contains("a_meta.xml"), "{text}");
        }
    }

    #[test]
    fn deep_nesting_and_foreign_encodings_do_no_harm() {
        let deep = 50_000;
        let text = format!("{}<DataBits>12</DataBits>{}", "<a>".repeat(deep), "</a>".repeat(deep));
        let _ = parse(Path::new("a_meta.xml"), &text);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a_meta.xml");
        let mut bytes = b"\xef\xbb\xbf".to_vec();
        bytes.extend(meta_xml("MSS").replace("JL1KF01A", "@@").into_bytes());
        // 吉林 in GBK.
        let at = bytes.windows(2).position(|w| w == b"@@").unwrap();
        bytes.splice(at..at + 2, [0xbc, 0xaa, 0xc1, 0xd6]);
        std::fs::write(&path, bytes).unwrap();
        let m = read(&path).unwrap();
        assert_eq!((m.data_bits, m.satellite.as_deref()), (Some(12), Some("吉林")));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(Path::new("a"), &String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_damage_to_a_good_file_breaks_it(at in 0usize..2500, cut in 0usize..30, with in "\\PC{0,12}") {
            let mut damaged: Vec<char> = meta_xml("MSS").chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = parse(Path::new("a"), &damaged.into_iter().collect::<String>());
        }
    }
}
