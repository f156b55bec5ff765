//! Names, metadata and text files of a delivery, in the vendor's form.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::radiometry::DATA_BITS;
use super::random::hash;
use super::subject::{BandSpec, PartSpec, Words};
use super::{Kind, Options};

fn beijing(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::fixed(Offset::constant(8))).strftime(format).to_string()
}

/// Name shared by all parts, without level.
pub(super) fn stem(options: &Options) -> String {
    let mission = 200_000_000 + hash(options.seed, 0x4E4F) % 1_000_000;
    let time = beijing(options.time, "%Y%m%d%H%M%S");
    format!("{}_{}_{time}_{mission}_101_0001_001", options.satellite, options.sensor)
}

/// What the metadata of a part says besides the options.
pub(super) struct Facts<'a> {
    pub stem: &'a str,
    /// Product level as the vendor writes it.
    pub level: &'a str,
    pub part: PartSpec,
    /// Longitude and latitude of the first and last pixels: upper left, upper right, lower right, lower left, degrees.
    pub corners: [(f64, f64); 4],
    /// Seconds from the first to the last line.
    pub duration_s: f64,
    pub sun_elevation_deg: f64,
    pub sun_azimuth_deg: f64,
    pub view_elevation_deg: f64,
    pub view_azimuth_deg: f64,
}

/// The text of a `_meta.xml` file.
pub(super) fn metadata_xml(options: &Options, facts: &Facts) -> String {
    let half = jiff::SignedDuration::from_millis((facts.duration_s * 500.0).round() as i64);
    let date = |time: Timestamp| beijing(time, "%Y-%m-%d %H:%M:%S");
    let gsd = options.gsd_m / facts.part.ratio as f64;
    let list =
        |pick: fn(&BandSpec) -> f64| facts.part.bands.iter().map(|b| pick(b).to_string()).collect::<Vec<_>>().join(",");
    let product = format!("{}_{}_{}", facts.stem, facts.level, facts.part.name);

    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MetaData>\n  <ProductInfo>\n");
    // Writing to a string cannot fail, and no value holds a character that XML would have escaped.
    let mut put = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(xml, "    <{name}>{value}</{name}>");
    };
    put("SatelliteID", &options.satellite);
    put("Sensor", &options.sensor);
    put("ProductID", &product);
    put("ProductLevel", &facts.level);
    put("OrbitID", &format_args!("{:06}", hash(options.seed, 0x0B) % 100_000));
    put("SceneID", &1);
    put("StartTime", &date(options.time.saturating_sub(half).unwrap_or(options.time)));
    put("EndTime", &date(options.time.saturating_add(half).unwrap_or(options.time)));
    put("CenterTime", &date(options.time));
    put("CenterLatitude", &format_args!("{:.8}", options.center_lat_deg));
    put("CenterLongitude", &format_args!("{:.8}", options.center_lon_deg));
    for (name, (lon, lat)) in ["UpperLeft", "UpperRight", "LowerRight", "LowerLeft"].iter().zip(facts.corners) {
        put(&format!("{name}Latitude"), &format_args!("{lat:.8}"));
        put(&format!("{name}Longitude"), &format_args!("{lon:.8}"));
    }
    put("ImageRowGSD", &gsd);
    put("ImageColumnGSD", &gsd);
    put("RollSatelliteAngle", &format_args!("{:.4}", options.roll_deg));
    put("SolarAzimuth", &format_args!("{:.6}", facts.sun_azimuth_deg));
    put("SolarElevation", &format_args!("{:.6}", facts.sun_elevation_deg));
    put("SatelliteAzimuth", &format_args!("{:.6}", facts.view_azimuth_deg));
    put("SatelliteElevation", &format_args!("{:.6}", facts.view_elevation_deg));
    put("CloudPercent", &0);
    put("Bands", &facts.part.bands.len());
    put("DataBits", &DATA_BITS);
    xml.push_str("  </ProductInfo>\n  <ProcessInfo>\n");
    let mut put = |name: &str, value: &str| {
        let _ = writeln!(xml, "    <{name}>{value}</{name}>");
    };
    put("AbsCalibrationGain", &list(|b| b.gain));
    put("AbsCalibrationBias", &list(|b| b.bias));
    put("MtfCompensation", "NO");
    xml.push_str("  </ProcessInfo>\n</MetaData>\n");
    xml
}

/// The text of the `README.txt` beside the delivery.
pub(super) fn readme(kind: Kind, stem: &str, level: &str, words: &Words) -> String {
    let Words { title, bands, truth } = words;
    let geometry = match kind {
        Kind::L1 => {
            "Sensor geometry: no map coordinates in the TIFF; <name>_rpc.txt holds the rational polynomial model (heights\n\
             above the WGS 84 ellipsoid, (0, 0) = centre of the first pixel)."
        }
        Kind::L3 => "Map geometry: UTM on WGS 84, already orthorectified.",
    };
    format!(
        "{title}\n\n\
         {stem}_{level}_*/\n\
         - the delivery: image (uint16, 12 bits used, 0 = not imaged) and metadata; {bands}; times are Beijing time\n\n\
         dem.tif\n\
         - heights above the WGS 84 ellipsoid, metres\n\n\
         {truth}\n\n\
         {geometry}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_times_are_beijing_time() {
        let options = Options::new("unused");
        let stem = stem(&options);
        assert!(stem.starts_with("JL1KF01A_PMS06_20260715103000_200"), "{stem}");
        assert_eq!(stem.split('_').map(str::len).collect::<Vec<_>>(), [8, 5, 14, 9, 3, 4, 3]);
        let facts = Facts {
            stem: &stem,
            level: "L1",
            part: super::super::day::MSS,
            corners: [(1.0, 2.0); 4],
            duration_s: 4.0,
            sun_elevation_deg: 60.0,
            sun_azimuth_deg: 120.0,
            view_elevation_deg: 80.0,
            view_azimuth_deg: 270.0,
        };
        let xml = metadata_xml(&options, &facts);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let text = |name| document.descendants().find(|n| n.has_tag_name(name)).and_then(|n| n.text()).unwrap();
        assert_eq!(text("StartTime"), "2026-07-15 10:29:58");
        assert_eq!(text("EndTime"), "2026-07-15 10:30:02");
        assert_eq!(text("AbsCalibrationGain"), "0.0925,0.087,0.0733,0.0502");
        assert_eq!(text("Bands"), "4");
    }
}
