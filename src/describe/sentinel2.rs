//! Sentinel-2, level 1C: `MTD_MSIL1C.xml`, bands converted to GeoTIFF beside their JPEG 2000 files.
//!
//! # Reference
//! ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD issue 14.9, sections on the product and granule metadata
//! of level 1C: ρ = (DN + `RADIO_ADD_OFFSET`) / `QUANTIFICATION_VALUE`, the offset there since processing baseline 04.00 and 0
//! before; the division by the cosine of the sun's zenith and by the distance to it is already done. DN 0 is outside of the image.

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use super::{BandDraft, DescribeError, Draft, PartDraft, azimuth};
use crate::scene::Role;

/// Most nodes of a document.
const NODE_LIMIT: u32 = 1_000_000;

/// Number in the metadata, name in the files, role. Bands 9 and 10 are for the atmosphere and have none.
const BANDS: [(u32, &str, Role); 11] = [
    (0, "B01", Role::A),
    (1, "B02", Role::B),
    (2, "B03", Role::G),
    (3, "B04", Role::R),
    (4, "B05", Role::Re1),
    (5, "B06", Role::Re2),
    (6, "B07", Role::Re3),
    (7, "B08", Role::N),
    (8, "B8A", Role::N2),
    (11, "B11", Role::S1),
    (12, "B12", Role::S2),
];

/// Pixel sizes, metres, and the parts they make.
const PARTS: [(f64, &str); 3] = [(10.0, "R10m"), (20.0, "R20m"), (60.0, "R60m")];

struct Reader<'a> {
    path: &'a Path,
    root: Node<'a, 'a>,
}

fn parse<'a>(path: &Path, text: &'a str) -> Result<Document<'a>, DescribeError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODE_LIMIT, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|problem| DescribeError::Syntax { path: path.into(), problem: problem.to_string() })
}

fn text_of<'a>(node: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    let found = node.descendants().find(|n| n.tag_name().name() == name)?;
    found.text().map(str::trim).filter(|t| !t.is_empty())
}

impl<'a> Reader<'a> {
    fn wrong(&self, field: &str, expected: &str, found: Option<&str>) -> DescribeError {
        let found = found.map_or("nothing".into(), |t| format!("`{}`", t.chars().take(40).collect::<String>()));
        DescribeError::Field { path: self.path.into(), field: field.into(), expected: expected.into(), found }
    }

    fn text(&self, name: &str) -> Result<&'a str, DescribeError> {
        text_of(self.root, name).ok_or_else(|| self.wrong(name, "a text", None))
    }

    fn number_in(&self, node: Node<'a, 'a>, name: &str, low: f64, high: f64) -> Result<f64, DescribeError> {
        let text = text_of(node, name);
        self.number(text, name, low, high)
    }

    fn number(&self, text: Option<&str>, name: &str, low: f64, high: f64) -> Result<f64, DescribeError> {
        let number = text.and_then(|t| t.parse::<f64>().ok()).filter(|v| (low..=high).contains(v));
        number.ok_or_else(|| self.wrong(name, &format!("a number from {low} to {high}"), text))
    }

    /// The element of a kind that is about a band.
    fn of_band(&self, kind: &str, attribute: &str, number: u32) -> Option<Node<'a, 'a>> {
        let number = number.to_string();
        self.root.descendants().find(|n| n.tag_name().name() == kind && n.attribute(attribute) == Some(&*number))
    }

    fn unsupported(&self, what: String, remedy: &str) -> DescribeError {
        DescribeError::Unsupported { path: self.path.into(), what, remedy: remedy.into() }
    }

    fn band(&self, (number, name, role): (u32, &str, Role), image: String) -> Result<(f64, BandDraft), DescribeError> {
        let kind = "Spectral_Information";
        let about = self.of_band(kind, "bandId", number);
        let about =
            about.ok_or_else(|| self.wrong(kind, &format!("an element with bandId {number} ({name})"), None))?;
        let pixel = self.number_in(about, "RESOLUTION", 1.0, 1000.0)?;
        let range_nm = (self.number_in(about, "MIN", 300.0, 3000.0)?, self.number_in(about, "MAX", 300.0, 3000.0)?);
        let scale = self.number(text_of(self.root, "QUANTIFICATION_VALUE"), "QUANTIFICATION_VALUE", 1.0, 1e6)?;
        // Not there before baseline 04.00.
        let offset = match self.of_band("RADIO_ADD_OFFSET", "band_id", number) {
            Some(node) => self.number(node.text().map(str::trim), "RADIO_ADD_OFFSET", -1e5, 1e5)?,
            None => 0.0,
        };
        let calibration = (
            format!("(DN + {offset}) / {scale}: RADIO_ADD_OFFSET and QUANTIFICATION_VALUE"),
            format!("reflectance = {{ gain = {:?}, bias = {:?}, sun_corrected = true }}", 1.0 / scale, offset / scale),
        );
        Ok((pixel, BandDraft { role, name: name.into(), image: Some(image), index: 1, range_nm, calibration }))
    }
}

/// The image of a band as GeoTIFF, its path below the folder of the metadata.
fn image(folder: &Path, files: &[&str], band: &str) -> Option<String> {
    let file = files.iter().find(|f| f.ends_with(&format!("_{band}")))?;
    let is_inside =
        !file.starts_with('/') && file.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let found = [".tif", ".TIF", ".tiff"].map(|ending| format!("{file}{ending}"));
    found.into_iter().find(|name| is_inside && folder.join(name).is_file())
}

/// The description of a product.
pub(super) fn draft(path: &Path, text: &str) -> Result<Draft, DescribeError> {
    let document = parse(path, text)?;
    let reader = Reader { path, root: document.root_element() };
    let level = reader.text("PROCESSING_LEVEL")?;
    if level != "Level-1C" {
        return Err(reader.unsupported(
            format!("`{level}`"),
            "take the level 1C product: its reflectance is at the top of the atmosphere",
        ));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let files: Vec<&str> =
        reader.root.descendants().filter(|n| n.has_tag_name("IMAGE_FILE")).filter_map(|n| n.text()).collect();
    let files: Vec<&str> = files.into_iter().map(str::trim).collect();
    let mut parts: Vec<PartDraft> = Vec::new();
    for band in BANDS {
        let Some(image) = image(folder, &files, band.1) else { continue };
        let (pixel, draft) = reader.band(band, image)?;
        let known = PARTS.iter().find(|(size, _)| *size == pixel).map(|(_, name)| *name);
        let name = known.ok_or_else(|| reader.wrong("RESOLUTION", "10, 20 or 60", Some(&pixel.to_string())))?;
        match parts.iter_mut().find(|p| p.name == name) {
            Some(part) => part.bands.push(draft),
            None => parts.push(PartDraft { name, image: None, fill: 0.0, data_bits: None, bands: vec![draft] }),
        }
    }
    parts.sort_by_key(|p| p.name);
    if parts.is_empty() {
        return Err(reader.unsupported(
            "a product without its bands as GeoTIFF".into(),
            "convert them beside their JPEG 2000 files: `for f in GRANULE/*/IMG_DATA/*.jp2; do gdal_translate $f ${f%.jp2}.tif; done`",
        ));
    }
    let uri = reader.text("PRODUCT_URI")?;
    let start = reader.text("PRODUCT_START_TIME")?;
    let time = super::time(start).ok_or_else(|| {
        reader.wrong("PRODUCT_START_TIME", "a time in UTC, as `2026-07-15T02:30:31.024Z`", Some(start))
    })?;
    let (tile_path, tile_text) = tile(folder, &files)?;
    let tile_document = parse(&tile_path, &tile_text)?;
    let tile = Reader { path: &tile_path, root: tile_document.root_element() };
    let sun = tile.root.descendants().find(|n| n.has_tag_name("Mean_Sun_Angle"));
    let sun = sun.ok_or_else(|| tile.wrong("Mean_Sun_Angle", "angles of the sun", None))?;
    let zenith = tile.number_in(sun, "ZENITH_ANGLE", 0.0, 180.0)?;
    Ok(Draft {
        source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        id: uri.trim_end_matches(".SAFE").to_owned(),
        time,
        level: Some("L1C".into()),
        constellation: "sentinel-2",
        platform: reader.text("SPACECRAFT_NAME")?.to_ascii_lowercase(),
        instrument: "msi".into(),
        cloud_percent: reader.number_in(reader.root, "Cloud_Coverage_Assessment", 0.0, 100.0).ok(),
        sun: (90.0 - zenith, tile.number_in(sun, "AZIMUTH_ANGLE", -360.0, 360.0).ok().map(azimuth)),
        view: None,
        parts,
    })
}

/// The metadata of the tile that the images are of: where they are, two folders up.
fn tile(folder: &Path, files: &[&str]) -> Result<(std::path::PathBuf, String), DescribeError> {
    let granule = files.first().and_then(|f| Path::new(f).parent()?.parent()).unwrap_or(Path::new(""));
    let is_inside = granule.components().all(|c| matches!(c, std::path::Component::Normal(_)));
    let path = folder.join(if is_inside { granule } else { Path::new("") }).join("MTD_TL.xml");
    let text = super::read(&path)?;
    Ok((path, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMAGES: &str = "GRANULE/L1C_T51TXJ_A000001_20260715T023031/IMG_DATA/T51TXJ_20260715T023031";

    /// In structure as the specification has it.
    fn mtd() -> String {
        let band = |(n, name, pixel, min, max): (u32, &str, u32, u32, u32)| {
            format!(
                "<Spectral_Information bandId=\"{n}\" physicalBand=\"{name}\"><RESOLUTION>{pixel}</RESOLUTION><Wavelength>\
                 <MIN unit=\"nm\">{min}</MIN><MAX unit=\"nm\">{max}</MAX></Wavelength></Spectral_Information>"
            )
        };
        let bands: String =
            [(1, "B2", 10, 440, 538), (3, "B4", 10, 646, 684), (8, "B8A", 20, 848, 881)].map(band).concat();
        let files: String = ["B02", "B04", "B8A"].map(|b| format!("<IMAGE_FILE>{IMAGES}_{b}</IMAGE_FILE>")).concat();
        format!(
            "<n1:Level-1C_User_Product xmlns:n1=\"x\"><Product_Info><PRODUCT_START_TIME>2026-07-15T02:30:31.024Z\
             </PRODUCT_START_TIME><PRODUCT_URI>S2A_MSIL1C_20260715T023031_N0511_R046_T51TXJ_20260715T050000.SAFE</PRODUCT_URI>\
             <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>{files}</Product_Info>\
             <QUANTIFICATION_VALUE unit=\"none\">10000</QUANTIFICATION_VALUE><RADIO_ADD_OFFSET band_id=\"1\">-1000\
             </RADIO_ADD_OFFSET>{bands}<Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment>\
             </n1:Level-1C_User_Product>"
        )
    }

    const TILE: &str = "<n1:Level-1C_Tile_ID xmlns:n1=\"x\"><Mean_Sun_Angle><ZENITH_ANGLE unit=\"deg\">25.5</ZENITH_ANGLE>\
                        <AZIMUTH_ANGLE unit=\"deg\">140.25</AZIMUTH_ANGLE></Mean_Sun_Angle></n1:Level-1C_Tile_ID>";

    fn described(text: &str, tile: &str) -> Result<Draft, DescribeError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(IMAGES).parent().unwrap()).unwrap();
        for band in ["B02", "B04", "B8A"] {
            std::fs::write(dir.path().join(format!("{IMAGES}_{band}.tif")), "").unwrap();
        }
        std::fs::write(dir.path().join(IMAGES).parent().unwrap().parent().unwrap().join("MTD_TL.xml"), tile).unwrap();
        draft(&dir.path().join("MTD_MSIL1C.xml"), text)
    }

    #[test]
    fn bands_are_parted_by_their_pixels_and_offsets_are_taken_where_they_are() {
        let d = described(&mtd(), TILE).unwrap();
        assert_eq!(d.parts.iter().map(|p| p.name).collect::<Vec<_>>(), ["R10m", "R20m"]);
        let bands = &d.parts[0].bands;
        assert_eq!(bands.iter().map(|b| b.role.code()).collect::<Vec<_>>(), ["B", "R"]);
        assert_eq!(bands[0].calibration.1, "reflectance = { gain = 0.0001, bias = -0.1, sun_corrected = true }");
        assert_eq!(bands[1].calibration.1, "reflectance = { gain = 0.0001, bias = 0.0, sun_corrected = true }");
        assert_eq!((bands[0].range_nm, d.parts[1].bands[0].role), ((440.0, 538.0), Role::N2));
        assert_eq!((d.sun, d.cloud_percent), ((64.5, Some(140.25)), Some(12.5)));
        assert_eq!(d.id, "S2A_MSIL1C_20260715T023031_N0511_R046_T51TXJ_20260715T050000");
        let text = d.toml();
        assert!(text.parse::<toml::Table>().is_ok() && text.contains(&format!("{IMAGES}_B8A.tif")), "{text}");
    }

    #[test]
    fn what_cannot_be_described_says_why() {
        for (from, to, part) in [
            ("Level-1C</PROCESSING", "Level-2A</PROCESSING", "level 1C product"),
            ("T51TXJ_2026", "T51TXK_2026", "gdal_translate"),
            ("IMG_DATA/T51", "../../../T51", "gdal_translate"),
            (">10000<", ">0<", "QUANTIFICATION_VALUE"),
            (">-1000", ">much", "RADIO_ADD_OFFSET"),
            ("bandId=\"3\"", "bandId=\"4\"", "bandId 3"),
            ("<RESOLUTION>20", "<RESOLUTION>15", "10, 20 or 60"),
            ("2026-07-15T02", "noon", "PRODUCT_START_TIME"),
            ("</n1:Level-1C_User_Product>", "", "parsing"),
        ] {
            let message = described(&mtd().replace(from, to), TILE).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("MTD_MSIL1C.xml"), "{message}");
        }
        let message = described(&mtd(), &TILE.replace("25.5", "x")).unwrap_err().to_string();
        assert!(message.contains("MTD_TL.xml") && message.contains("ZENITH_ANGLE"), "{message}");
    }

    proptest! {
        #[test]
        fn no_damage_to_a_good_file_breaks_it(at in 0usize..2500, cut in 0usize..30, with in "\\PC{0,12}") {
            let mut damaged: Vec<char> = mtd().chars().collect();
            let at = at.min(damaged.len());
            let end = (at + cut).min(damaged.len());
            damaged.splice(at..end, with.chars());
            let _ = described(&damaged.into_iter().collect::<String>(), TILE);
        }
    }
}
