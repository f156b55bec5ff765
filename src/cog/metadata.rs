//! The tag GDAL_METADATA: statistics, names, units and scales as GDAL reads them.
//!
//! Invariant: item names and roles are GDAL's; a reader that finds them here never writes a sidecar file.

use std::fmt::Write;

use super::{BandSpec, CogError, Spec};

/// Statistics of the valid pixels of a band, in stored units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandStatistics {
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the population.
    pub stddev: f64,
    /// Share of pixels that are valid, percent.
    pub valid_percent: f64,
}

/// A number as the shortest text that reads back as the same number.
pub(super) fn number(value: f64) -> String {
    // Adding 0 turns -0 into 0, the same number with a stranger look.
    let value = value + 0.0;
    let size = value.abs();
    if value.is_nan() {
        "nan".into()
    } else if size != 0.0 && !(1e-5..1e17).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// The XML of GDAL_METADATA; `None` for a band without a valid pixel.
pub(super) fn gdal_metadata(spec: &Spec, statistics: &[Option<BandStatistics>]) -> Result<String, CogError> {
    if statistics.len() != spec.bands.len() {
        return Err(CogError::StatisticsCount { expected: spec.bands.len(), found: statistics.len() });
    }
    let mut xml = String::from("<GDALMetadata>\n");
    for (name, text) in &spec.metadata {
        item(&mut xml, name, "", text);
    }
    for (sample, (band, statistics)) in spec.bands.iter().zip(statistics).enumerate() {
        band_items(&mut xml, sample, band, *statistics);
    }
    xml.push_str("</GDALMetadata>\n");
    Ok(xml)
}

fn band_items(xml: &mut String, sample: usize, band: &BandSpec, statistics: Option<BandStatistics>) {
    let place = format!(" sample=\"{sample}\"");
    if let Some(s) = statistics {
        item(xml, "STATISTICS_MAXIMUM", &place, &number(s.max));
        item(xml, "STATISTICS_MEAN", &place, &number(s.mean));
        item(xml, "STATISTICS_MINIMUM", &place, &number(s.min));
        item(xml, "STATISTICS_STDDEV", &place, &number(s.stddev));
    }
    item(xml, "STATISTICS_VALID_PERCENT", &place, &number(statistics.map_or(0.0, |s| s.valid_percent)));
    let mut role = |name: &str, role: &str, text: &str| item(xml, name, &format!("{place} role=\"{role}\""), text);
    role("OFFSET", "offset", &number(band.offset));
    role("SCALE", "scale", &number(band.scale));
    if let Some(unit) = &band.unit {
        role("UNITTYPE", "unittype", unit);
    }
    role("DESCRIPTION", "description", &band.description);
    role("COLORINTERP", "colorinterp", band.color.name());
}

fn item(xml: &mut String, name: &str, attributes: &str, text: &str) {
    // GDAL escapes the text once as a value and once as XML, and undoes both when reading.
    let text = escape(&escape(text));
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "  <Item name=\"{}\"{attributes}>{text}</Item>", escape(name));
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cog::{SampleType, synthetic};

    #[test]
    fn numbers_are_short_and_read_back() {
        assert_eq!(number(0.0001), "0.0001");
        assert_eq!(number(-9999.0), "-9999");
        assert_eq!(number(-0.0), "0");
        assert_eq!(number(f64::NAN), "nan");
        assert_eq!(number(1e-30), "1e-30");
        for value in [f64::from(f32::MIN), 0.1 + 0.2, 1.5e300, 1e17, 4_294_967_295.0] {
            assert_eq!(number(value).parse(), Ok(value));
        }
    }

    #[test]
    fn a_band_without_a_valid_pixel_says_only_that() {
        let spec = synthetic::spec(16, 16, 16, SampleType::U16, 1);
        let xml = gdal_metadata(&spec, &[None]).unwrap();
        assert!(xml.contains("<Item name=\"STATISTICS_VALID_PERCENT\" sample=\"0\">0</Item>"), "{xml}");
        assert_eq!(xml.matches("STATISTICS").count(), 1);
        assert!(gdal_metadata(&spec, &[]).is_err());
    }

    #[test]
    fn text_is_escaped_as_gdal_does_it() {
        let mut spec = synthetic::spec(16, 16, 16, SampleType::U16, 1);
        spec.metadata = vec![("A\"<".into(), "x &lt; <y>".into())];
        let xml = gdal_metadata(&spec, &[None]).unwrap();
        let parsed = roxmltree::Document::parse(&xml).unwrap();
        let item = parsed.descendants().find(|n| n.has_tag_name("Item")).unwrap();
        assert_eq!(item.attribute("name"), Some("A\"<"));
        assert_eq!(item.text(), Some("x &amp;lt; &lt;y&gt;"));
    }
}
