//! Pléiades, SPOT 6 and SPOT 7: DIMAP version 2, `DIM_….XML`, images as GeoTIFF in one tile.
//!
//! # Reference
//! Airbus, Pléiades Imagery User Guide, appendix on DIMAP v2; structure and the rule L = DN / GAIN + BIAS as in OSGeo/gdal,
//! `autotest/gdrivers/data/dimap2/single_component/DIM_foo.XML` (`Band_Radiance`, `MEASURE_DESC`). Bands of a file stand in
//! the order of `Band_Display_Order`, red first: OSGeo/gdal, `frmts/dimap/dimapdataset.cpp`.

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use super::{BandDraft, DescribeError, Draft, PartDraft, azimuth};
use crate::scene::Role;

/// Most nodes of a document.
const NODE_LIMIT: u32 = 1_000_000;

/// Band by its name in the document.
const ROLES: [(&str, Role); 6] =
    [("P", Role::Pan), ("PAN", Role::Pan), ("B0", Role::B), ("B1", Role::G), ("B2", Role::R), ("B3", Role::N)];

struct Reader<'a> {
    path: &'a Path,
    root: Node<'a, 'a>,
}

/// First element of a name below a node.
fn find<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.descendants().find(|n| n.has_tag_name(name))
}

fn text_of<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    find(node, name)?.text().map(str::trim).filter(|t| !t.is_empty())
}

impl<'a> Reader<'a> {
    fn wrong(&self, field: &str, expected: &str, found: Option<&str>) -> DescribeError {
        let found = found.map_or("nothing".into(), |t| format!("`{}`", t.chars().take(40).collect::<String>()));
        DescribeError::Field { path: self.path.into(), field: field.into(), expected: expected.into(), found }
    }

    fn text(&self, node: Node<'a, 'a>, name: &str) -> Result<&'a str, DescribeError> {
        text_of(node, name).ok_or_else(|| self.wrong(name, "a text", None))
    }

    fn number(&self, node: Node<'a, 'a>, name: &str, low: f64, high: f64) -> Result<f64, DescribeError> {
        let text = text_of(node, name);
        let number = text.and_then(|t| t.parse::<f64>().ok()).filter(|v| (low..=high).contains(v));
        number.ok_or_else(|| self.wrong(name, &format!("a number from {low} to {high}"), text))
    }

    fn unsupported(&self, what: String, remedy: &str) -> DescribeError {
        DescribeError::Unsupported { path: self.path.into(), what, remedy: remedy.into() }
    }

    /// The element of a kind (`Band_Radiance`) that is about a band.
    fn of_band(&self, kind: &str, band: &str) -> Option<Node<'a, 'a>> {
        let about = |n: &Node<'a, 'a>| n.has_tag_name(kind) && text_of(*n, "BAND_ID") == Some(band);
        self.root.descendants().find(about)
    }

    fn draft(&self) -> Result<Draft, DescribeError> {
        let files: Vec<_> = self.root.descendants().filter(|n| n.has_tag_name("DATA_FILE_PATH")).collect();
        let image = match files.as_slice() {
            [one] => one.attribute("href").unwrap_or_default().to_string(),
            many => {
                let what = format!("an image of {} tiles", many.len());
                return Err(self.unsupported(
                    what,
                    "put them together into one TIFF (gdal_translate DIM_….XML image.tif) and describe that by hand",
                ));
            }
        };
        let upper = image.to_ascii_uppercase();
        if !upper.ends_with(".TIF") && !upper.ends_with(".TIFF") {
            let what = format!("the image `{image}`");
            return Err(self.unsupported(what, "convert it to GeoTIFF, and name that in a `scene.toml`"));
        }
        let bands = self.band_names()?;
        let is_pan = bands.len() == 1;
        let bands = bands.iter().zip(1..).map(|(band, index)| self.band(band, index)).collect::<Result<Vec<_>, _>>()?;
        let center = self
            .root
            .descendants()
            .find(|n| n.has_tag_name("Located_Geometric_Values") && text_of(*n, "LOCATION_TYPE") == Some("Center"));
        let center = center.ok_or_else(|| self.wrong("Located_Geometric_Values", "values of the centre", None))?;
        let time = self.text(center, "TIME")?;
        let time = super::time(time)
            .ok_or_else(|| self.wrong("TIME", "a time in UTC, as `2022-05-19T05:55:43.122330Z`", Some(time)))?;
        let mission = text_of(self.root, "MISSION").unwrap_or("pleiades");
        let index = text_of(self.root, "MISSION_INDEX").unwrap_or_default();
        let fill = self.special("NODATA")?.unwrap_or(0.0);
        Ok(Draft {
            source: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            id: self.id(),
            time,
            level: text_of(self.root, "PROCESSING_LEVEL").map(ToString::to_string),
            constellation: if mission.to_ascii_uppercase().starts_with("SPOT") { "spot" } else { "pleiades" },
            platform: format!("{mission}{index}").to_ascii_lowercase().replace(' ', "-"),
            instrument: text_of(self.root, "INSTRUMENT").unwrap_or("hiri").to_ascii_lowercase(),
            cloud_percent: self.number(self.root, "CLOUD_COVERAGE", 0.0, 100.0).ok(),
            sun: (
                self.number(center, "SUN_ELEVATION", -90.0, 90.0)?,
                self.number(center, "SUN_AZIMUTH", -360.0, 360.0).ok().map(azimuth),
            ),
            view: self.number(center, "VIEWING_ANGLE", -90.0, 90.0).ok().map(|angle| (angle.abs(), None)),
            parts: vec![PartDraft {
                name: if is_pan { "PAN" } else { "MSS" },
                image: Some(image),
                fill,
                data_bits: self.number(self.root, "NBITS", 1.0, 16.0).ok().map(|bits| bits as u32),
                bands,
            }],
        })
    }

    /// Name of the data set with what an id cannot hold replaced.
    fn id(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = text_of(self.root, "DATASET_NAME").map_or(stem, ToString::to_string);
        name.chars().take(128).map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' }).collect()
    }

    /// Names of the bands in file order.
    fn band_names(&self) -> Result<Vec<&'a str>, DescribeError> {
        let count = self.number(self.root, "NBANDS", 1.0, 16.0)? as usize;
        let channels = ["RED_CHANNEL", "GREEN_CHANNEL", "BLUE_CHANNEL", "ALPHA_CHANNEL"];
        let order = find(self.root, "Band_Display_Order");
        let names: Vec<&str> = match (count, order) {
            (1, _) => text_of(self.root, "BAND_ID").into_iter().collect(),
            (3 | 4, Some(order)) => channels.iter().take(count).filter_map(|c| text_of(order, c)).collect(),
            _ => Vec::new(),
        };
        let known = names.iter().all(|name| ROLES.iter().any(|(n, _)| n == name));
        if names.len() != count || !known {
            let what = format!("an image of {count} bands ({})", names.join(", "));
            return Err(self.unsupported(what, "write a `scene.toml` by hand"));
        }
        Ok(names)
    }

    fn band(&self, name: &str, index: usize) -> Result<BandDraft, DescribeError> {
        let role = ROLES.iter().find(|(n, _)| *n == name).map_or(Role::Pan, |(_, role)| *role);
        let missing = |kind: &str| self.wrong(kind, &format!("an element about band {name}"), None);
        let range = self.of_band("Band_Spectral_Range", name).ok_or_else(|| missing("Band_Spectral_Range"))?;
        // Micrometres in most products, nanometres in some; the unit is written beside the numbers.
        let unit = self.text(range, "MEASURE_UNIT")?;
        let to_nm = match unit.to_ascii_lowercase().as_str() {
            "micrometers" | "micrometer" | "micron" | "microns" => 1000.0,
            "nanometers" | "nanometer" => 1.0,
            _ => return Err(self.wrong("MEASURE_UNIT", "micrometers or nanometers", Some(unit))),
        };
        let limit =
            |which| Ok::<f64, DescribeError>((self.number(range, which, 0.1, 1e5)? * to_nm * 1e3).round() / 1e3);
        let range_nm = (limit("MIN")?, limit("MAX")?);
        let radiance = self.of_band("Band_Radiance", name).ok_or_else(|| missing("Band_Radiance"))?;
        let gain = self.number(radiance, "GAIN", f64::MIN_POSITIVE, 1e9)?;
        let bias = self.number(radiance, "BIAS", -1e6, 1e6)?;
        Ok(BandDraft {
            role,
            name: name.into(),
            image: None,
            index,
            range_nm,
            calibration: (
                format!("L = DN / {gain} + {bias}: GAIN is DN per radiance"),
                format!("radiance = {{ gain = {:?}, bias = {bias:?} }}", 1.0 / gain),
            ),
        })
    }

    /// A special DN by its name.
    fn special(&self, name: &str) -> Result<Option<f64>, DescribeError> {
        let about =
            |n: &Node<'a, 'a>| n.has_tag_name("Special_Value") && text_of(*n, "SPECIAL_VALUE_TEXT") == Some(name);
        let Some(node) = self.root.descendants().find(about) else { return Ok(None) };
        self.number(node, "SPECIAL_VALUE_COUNT", 0.0, 65_535.0).map(Some)
    }
}

/// The description of a product.
pub(super) fn draft(path: &Path, text: &str) -> Result<Draft, DescribeError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODE_LIMIT, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|problem| DescribeError::Syntax { path: path.into(), problem: problem.to_string() })?;
    let reader = Reader { path, root: document.root_element() };
    if !reader.root.has_tag_name("Dimap_Document") {
        let what = format!("a document `{}`", reader.root.tag_name().name());
        return Err(reader.unsupported(what, "take the `DIM_….XML` of a DIMAP 2 product"));
    }
    reader.draft()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In structure the file of GDAL's own tests (see the head of this file), with numbers in place of its words.
    fn dim() -> String {
        let bands =
            [("B0", 0.43, 0.55, 9.5), ("B1", 0.49, 0.61, 9.4), ("B2", 0.6, 0.72, 10.2), ("B3", 0.75, 0.95, 15.6)];
        let measurements: String = bands
            .map(|(id, min, max, gain)| {
                format!(
                    "<Band_Spectral_Range><BAND_ID>{id}</BAND_ID><MEASURE_UNIT>micrometers</MEASURE_UNIT><MIN>{min}</MIN>\
                     <MAX>{max}</MAX></Band_Spectral_Range><Band_Radiance><BAND_ID>{id}</BAND_ID>\
                     <MEASURE_DESC>L=DN/GAIN+BIAS</MEASURE_DESC><GAIN>{gain}</GAIN><BIAS>0</BIAS></Band_Radiance>"
                )
            })
            .concat();
        format!(
            "<Dimap_Document><Dataset_Identification><DATASET_NAME>DS PHR1A</DATASET_NAME></Dataset_Identification>\
             <PROCESSING_LEVEL>SENSOR</PROCESSING_LEVEL><DATA_FILE_PATH href=\"IMG_foo_R1C1.TIF\"/><NBANDS>4</NBANDS>\
             <NBITS>12</NBITS><Band_Display_Order><RED_CHANNEL>B2</RED_CHANNEL><GREEN_CHANNEL>B1</GREEN_CHANNEL>\
             <BLUE_CHANNEL>B0</BLUE_CHANNEL><ALPHA_CHANNEL>B3</ALPHA_CHANNEL></Band_Display_Order><Special_Value>\
             <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_COUNT>0</SPECIAL_VALUE_COUNT></Special_Value>\
             {measurements}<Located_Geometric_Values><LOCATION_TYPE>TopCenter</LOCATION_TYPE><TIME>x</TIME>\
             </Located_Geometric_Values><Located_Geometric_Values><LOCATION_TYPE>Center</LOCATION_TYPE>\
             <TIME>2022-05-19T05:55:43.122330Z</TIME><VIEWING_ANGLE>-8.5</VIEWING_ANGLE><SUN_AZIMUTH>134.2</SUN_AZIMUTH>\
             <SUN_ELEVATION>67.5</SUN_ELEVATION></Located_Geometric_Values></Dimap_Document>"
        )
    }

    fn described(text: &str) -> Result<Draft, DescribeError> {
        draft(Path::new("DIM_foo.XML"), text)
    }

    #[test]
    fn a_product_is_described_red_first_and_gains_are_turned_round() {
        let d = described(&dim()).unwrap();
        let bands = &d.parts[0].bands;
        assert_eq!(bands.iter().map(|b| b.role.code()).collect::<Vec<_>>(), ["R", "G", "B", "N"]);
        assert_eq!((bands[2].range_nm, bands[2].index), ((430.0, 550.0), 3));
        assert_eq!(bands[2].calibration.1, format!("radiance = {{ gain = {:?}, bias = 0.0 }}", 1.0 / 9.5));
        assert_eq!((d.id.as_str(), d.sun, d.view), ("DS-PHR1A", (67.5, Some(134.2)), Some((8.5, None))));
        assert_eq!((d.parts[0].data_bits, d.time.as_str()), (Some(12), "2022-05-19T05:55:43.122330Z"));
        assert!(d.toml().parse::<toml::Table>().is_ok());
    }

    #[test]
    fn what_cannot_be_described_says_why() {
        for (from, to, part) in [
            ("IMG_foo_R1C1.TIF", "IMG_foo_R1C1.JP2", "GeoTIFF"),
            ("<NBITS>", "<DATA_FILE_PATH href=\"b.tif\"/><NBITS>", "2 tiles"),
            ("<NBANDS>4", "<NBANDS>6", "6 bands"),
            (">B2</RED", ">B9</RED", "B9"),
            ("micrometers", "furlongs", "furlongs"),
            ("<GAIN>9.5", "<GAIN>0", "GAIN"),
            ("<SUN_ELEVATION>67.5", "<SUN_ELEVATION>", "SUN_ELEVATION"),
            ("2022-05-19T", "today", "TIME"),
            (">Center<", ">Other<", "Located_Geometric_Values"),
            ("Dimap_Document>", "PHR_Dimap_Document>", "DIMAP 2"),
            ("</Dimap_Document>", "", "parsing"),
        ] {
            let message = described(&dim().replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("DIM_foo.XML"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_to_a_good_file_breaks_it(at in 0usize..2500, cut in 0usize..30, with in "\\PC{0,12}") {
            let mut damaged: Vec<char> = dim().chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = described(&damaged.into_iter().collect::<String>());
        }
    }
}
