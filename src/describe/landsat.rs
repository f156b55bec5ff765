//! Landsat 8 and 9, level 1: `MTL.txt`.
//!
//! # Reference
//! USGS, Landsat 8-9 Calibration and Validation Algorithm Description Document, LSDS-1747, and Landsat 8 Data Users
//! Handbook, LSDS-1574, section 5: ρ' = M · DN + A, which is still to be divided by the sine of the sun's elevation; the
//! same for Landsat 9. Band limits: LSDS-1574, table 2-1 (full width at half maximum).

use std::collections::BTreeMap;
use std::path::Path;

use super::{BandDraft, DescribeError, Draft, PartDraft, azimuth};
use crate::scene::Role;

/// Number, role and limits of the reflective bands that have a role; the cirrus band has none.
const BANDS: [(u32, Role, f64, f64); 8] = [
    (1, Role::A, 435.0, 451.0),
    (2, Role::B, 452.0, 512.0),
    (3, Role::G, 533.0, 590.0),
    (4, Role::R, 636.0, 673.0),
    (5, Role::N, 851.0, 879.0),
    (6, Role::S1, 1566.0, 1651.0),
    (7, Role::S2, 2107.0, 2294.0),
    (8, Role::Pan, 503.0, 676.0),
];

struct Fields<'a> {
    path: &'a Path,
    texts: BTreeMap<&'a str, &'a str>,
}

impl Fields<'_> {
    fn wrong(&self, field: &str, expected: &str) -> DescribeError {
        let found =
            self.texts.get(field).map_or("nothing".into(), |t| format!("`{}`", t.chars().take(40).collect::<String>()));
        DescribeError::Field { path: self.path.into(), field: field.into(), expected: expected.into(), found }
    }

    fn text(&self, field: &str) -> Result<&str, DescribeError> {
        self.texts.get(field).copied().filter(|t| !t.is_empty()).ok_or_else(|| self.wrong(field, "a text"))
    }

    fn number(&self, field: &str, low: f64, high: f64) -> Result<f64, DescribeError> {
        let number = self.texts.get(field).and_then(|t| t.parse::<f64>().ok()).filter(|v| (low..=high).contains(v));
        number.ok_or_else(|| self.wrong(field, &format!("a number from {low} to {high}")))
    }
}

/// The description of a product.
pub(super) fn draft(path: &Path, text: &str) -> Result<Draft, DescribeError> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .filter(|(key, _)| !key.contains("GROUP"));
    let mut texts = BTreeMap::new();
    for (key, value) in pairs {
        // Collection 2 repeats the names of level 1 files and numbers behind those of level 2.
        texts.entry(key).or_insert(value);
    }
    let fields = Fields { path, texts };
    let spacecraft = fields.text("SPACECRAFT_ID")?;
    let unsupported =
        |what: String, remedy: &str| DescribeError::Unsupported { path: path.into(), what, remedy: remedy.into() };
    if !matches!(spacecraft, "LANDSAT_8" | "LANDSAT_9") {
        return Err(unsupported(format!("`{spacecraft}`"), "write a `scene.toml` by hand"));
    }
    let level = fields.text("DATA_TYPE").or_else(|_| fields.text("PROCESSING_LEVEL"))?.to_string();
    if !level.starts_with("L1") {
        return Err(unsupported(
            format!("level `{level}`"),
            "take the level 1 product: its reflectance is at the top of the atmosphere",
        ));
    }
    let id = fields.text("LANDSAT_PRODUCT_ID")?.to_string();
    let time = format!("{}T{}", fields.text("DATE_ACQUIRED")?, fields.text("SCENE_CENTER_TIME")?);
    let time =
        super::time(&time).ok_or_else(|| fields.wrong("SCENE_CENTER_TIME", "a time in UTC, as `15:54:15.7884640Z`"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let (mut pan, mut colors) = (Vec::new(), Vec::new());
    for (number, role, min, max) in BANDS {
        let image = fields.text(&format!("FILE_NAME_BAND_{number}"))?.to_string();
        if !folder.join(&image).is_file() {
            continue;
        }
        let gain = fields.number(&format!("REFLECTANCE_MULT_BAND_{number}"), f64::MIN_POSITIVE, 1.0)?;
        let bias = fields.number(&format!("REFLECTANCE_ADD_BAND_{number}"), -10.0, 10.0)?;
        let band = BandDraft {
            role,
            name: format!("B{number}"),
            image: Some(image),
            index: 1,
            range_nm: (min, max),
            calibration: (
                format!(
                    "REFLECTANCE_MULT_BAND_{number} and REFLECTANCE_ADD_BAND_{number}; not yet divided by the sine of the sun's elevation"
                ),
                format!("reflectance = {{ gain = {gain:?}, bias = {bias:?}, sun_corrected = false }}"),
            ),
        };
        if role == Role::Pan { pan.push(band) } else { colors.push(band) }
    }
    // DN 0 is outside the image in every band.
    let part = |name, bands: Vec<BandDraft>| PartDraft { name, image: None, fill: 0.0, data_bits: None, bands };
    let parts: Vec<_> = [part("PAN", pan), part("MSS", colors)].into_iter().filter(|p| !p.bands.is_empty()).collect();
    if parts.is_empty() {
        return Err(unsupported(
            "a product without its images beside it".into(),
            "put the band files of the product into its folder",
        ));
    }
    Ok(Draft {
        source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        id,
        time,
        level: Some(level),
        constellation: "landsat",
        platform: spacecraft.to_ascii_lowercase().replace('_', "-"),
        instrument: "oli".into(),
        cloud_percent: fields.number("CLOUD_COVER", 0.0, 100.0).ok(),
        sun: (
            fields.number("SUN_ELEVATION", -90.0, 90.0)?,
            fields.number("SUN_AZIMUTH", -360.0, 360.0).ok().map(azimuth),
        ),
        view: None,
        parts,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines of a real product, LC08_L1TP_016037_20170813_20170814_01_RT (USGS, public domain).
    const REAL: &str = "GROUP = L1_METADATA_FILE\n    LANDSAT_PRODUCT_ID = \"LC08_L1TP_016037_20170813_20170814_01_RT\"\n    \
        DATA_TYPE = \"L1TP\"\n    SPACECRAFT_ID = \"LANDSAT_8\"\n    DATE_ACQUIRED = 2017-08-13\n    \
        SCENE_CENTER_TIME = \"15:54:15.7884640Z\"\n    CLOUD_COVER = 26.70\n    SUN_AZIMUTH = 126.81463739\n    \
        SUN_ELEVATION = 62.17310472\nEND_GROUP = L1_METADATA_FILE\n";

    fn mtl() -> String {
        let band = |n: u32| {
            format!(
                "FILE_NAME_BAND_{n} = \"x_B{n}.TIF\"\nREFLECTANCE_MULT_BAND_{n} = 2.0000E-05\nREFLECTANCE_ADD_BAND_{n} = -0.100000\n"
            )
        };
        REAL.to_string() + &(1..=9).map(band).collect::<String>()
    }

    fn described(text: &str) -> Result<Draft, DescribeError> {
        let dir = tempfile::tempdir().unwrap();
        for band in [2, 4, 8, 9] {
            std::fs::write(dir.path().join(format!("x_B{band}.TIF")), "").unwrap();
        }
        draft(&dir.path().join("x_MTL.txt"), text)
    }

    #[test]
    fn bands_that_are_there_are_described() {
        let d = described(&mtl()).unwrap();
        assert_eq!(d.parts.iter().map(|p| p.name).collect::<Vec<_>>(), ["PAN", "MSS"]);
        assert_eq!(d.parts[1].bands.iter().map(|b| b.role.code()).collect::<Vec<_>>(), ["B", "R"]);
        assert_eq!((d.time.as_str(), d.sun), ("2017-08-13T15:54:15.7884640Z", (62.17310472, Some(126.81463739))));
        assert_eq!((d.platform.as_str(), d.cloud_percent), ("landsat-8", Some(26.7)));
        let text = d.toml();
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
        assert!(text.contains("reflectance = { gain = 2e-5, bias = -0.1, sun_corrected = false }"), "{text}");
    }

    #[test]
    fn what_cannot_be_described_says_why() {
        for (from, to, part) in [
            ("LANDSAT_8", "LANDSAT_5", "LANDSAT_5"),
            ("\"L1TP\"", "\"L2SP\"", "level 1 product"),
            ("SUN_ELEVATION = 62.17310472", "SUN_ELEVATION = x", "SUN_ELEVATION"),
            ("15:54:15.7884640Z", "noon", "SCENE_CENTER_TIME"),
            ("REFLECTANCE_MULT_BAND_4 = 2.0000E-05", "", "REFLECTANCE_MULT_BAND_4"),
            ("x_B", "y_B", "without its images"),
        ] {
            let message = described(&mtl().replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("x_MTL.txt"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(\\PC|\n){0,300}") {
            let _ = draft(Path::new("x_MTL.txt"), &text);
        }
    }
}
