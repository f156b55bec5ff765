//! Tiny deliveries for the tests of this module.

use std::path::{Path, PathBuf};

use gdal::raster::Buffer;
use gdal::{Dataset, DriverManager};

/// Stem of the delivery that [`write_delivery`] writes.
pub(super) const STEM: &str = "JL1KF01A_PMS06_20260715103000_200022947_101_0002_001_L1";

/// A uint16 image of `rows` × `cols` whose DN differ from pixel to pixel.
pub(super) fn write_tiff(path: &Path, rows: usize, cols: usize, bands: usize) {
    write_tiff_with(path, rows, cols, bands, |_| {});
}

/// The same, with `change` applied before it is written.
pub(super) fn write_tiff_with(path: &Path, rows: usize, cols: usize, bands: usize, change: impl FnOnce(&mut Dataset)) {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut dataset = driver.create_with_band_type::<u16, _>(path, cols, rows, bands).unwrap();
    change(&mut dataset);
    for band in 1..=bands {
        let dn = (0..rows * cols).map(|i| (1 + i % 4000) as u16).collect();
        let mut buffer = Buffer::new((cols, rows), dn);
        dataset.rasterband(band).unwrap().write((0, 0), (cols, rows), &mut buffer).unwrap();
    }
    dataset.close().unwrap();
}

/// An image with the model of [`rpc_text`] in its RPCCoefficientTag and no file beside it.
pub(super) fn write_tiff_with_rpc_tag(path: &Path) {
    use gdal::Metadata;
    let lines: Vec<(String, String)> = rpc_text()
        .lines()
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_string(), v.split_whitespace().next().unwrap_or_default().to_string()))
        .collect();
    write_tiff_with(path, 8, 10, 1, |ds| {
        for (key, value) in lines.iter().filter(|(k, _)| !k.contains("COEFF")) {
            ds.set_metadata_item(key, value, "RPC").unwrap();
        }
        for key in ["LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF"] {
            let values: Vec<_> = lines.iter().filter(|(k, _)| k.starts_with(key)).map(|(_, v)| v.as_str()).collect();
            ds.set_metadata_item(key, &values.join(" "), "RPC").unwrap();
        }
    });
}

fn polynomials() -> [(&'static str, &'static str, [f64; 20]); 4] {
    let (mut row_num, mut col_num, mut den) = ([0.0; 20], [0.0; 20], [0.0; 20]);
    (row_num[2], col_num[1], den[0], den[19]) = (-1.0, 1.0, 1.0, 1e-9);
    [
        ("LINE_NUM_COEFF", "lineNumCoef", row_num),
        ("LINE_DEN_COEFF", "lineDenCoef", den),
        ("SAMP_NUM_COEFF", "sampNumCoef", col_num),
        ("SAMP_DEN_COEFF", "sampDenCoef", den),
    ]
}

const SCALARS: [(&str, &str, &str); 10] = [
    ("LINE_OFF", "lineOffset", "+000003.50 pixels"),
    ("SAMP_OFF", "sampOffset", "+000004.50 pixels"),
    ("LAT_OFF", "latOffset", "+43.88000000 degrees"),
    ("LONG_OFF", "longOffset", "+125.35000000 degrees"),
    ("HEIGHT_OFF", "heightOffset", "+0220.000 meters"),
    ("LINE_SCALE", "lineScale", "+000004.00 pixels"),
    ("SAMP_SCALE", "sampScale", "+000005.00 pixels"),
    ("LAT_SCALE", "latScale", "-00.02000000 degrees"),
    ("LONG_SCALE", "longScale", "+000.03000000 degrees"),
    ("HEIGHT_SCALE", "heightScale", "+0500.000 meters"),
];

/// A model as `_rpc.txt`.
pub(super) fn rpc_text() -> String {
    let mut text: String = SCALARS.iter().map(|(key, _, value)| format!("{key}: {value}\n")).collect();
    for (key, _, list) in polynomials() {
        for (n, c) in (1..).zip(list) {
            text += &format!("{key}_{n}: {c}\n");
        }
    }
    text
}

/// The same model as `.rpb`.
pub(super) fn rpb_text() -> String {
    let mut text = String::from("satId = \"X\";\nbandId = \"P\";\nSpecId = \"RPC00B\";\nBEGIN_GROUP = IMAGE\n");
    for (_, key, value) in SCALARS {
        text += &format!("\t{key} = {};\n", value.split_whitespace().next().unwrap_or_default());
    }
    for (_, key, list) in polynomials() {
        let list: Vec<_> = list.iter().map(|c| format!("\t\t\t{c:E}")).collect();
        text += &format!("\t{key} = (\n{});\n", list.join(",\n"));
    }
    text + "END_GROUP = IMAGE\nEND;\n"
}

/// The same model as DIMAP's `RPC_….XML`, which counts pixels from 1.
pub(super) fn dimap_text() -> String {
    let element = |key: &str, value: f64| format!("<{key}>{value}</{key}>");
    let mut offsets = String::new();
    for (key, _, value) in SCALARS {
        let number: f64 = value.split_whitespace().next().unwrap_or_default().parse().unwrap();
        offsets += &element(key, if matches!(key, "LINE_OFF" | "SAMP_OFF") { number + 1.0 } else { number });
    }
    let lists = polynomials()
        .map(|(key, _, list)| (1..).zip(list).map(|(n, c)| element(&format!("{key}_{n}"), c)).collect::<String>());
    format!(
        "<Dimap_Document><Rational_Function_Model><Global_RFM><Inverse_Model>{}</Inverse_Model>\
         <RFM_Validity>{offsets}</RFM_Validity></Global_RFM></Rational_Function_Model></Dimap_Document>",
        lists.concat()
    )
}

/// A `_meta.xml` for part `PAN` or `MSS`.
pub(super) fn meta_xml(part: &str) -> String {
    let (gains, biases) = if part == "PAN" { ("0.21", "-0.5") } else { ("0.11,0.12,0.13,0.14", "-1,0,1,2.5") };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<MetaData>
  <ProductInfo>
    <SatelliteID>JL1KF01A</SatelliteID><ProductLevel>L1</ProductLevel>
    <StartTime>2026-07-15 10:29:59</StartTime><EndTime>2026-07-15 10:30:01</EndTime>
    <CenterTime>2026-07-15 10:30:00</CenterTime>
    <UpperLeftLatitude>44</UpperLeftLatitude><UpperLeftLongitude>125.3</UpperLeftLongitude>
    <UpperRightLatitude>44</UpperRightLatitude><UpperRightLongitude>125.4</UpperRightLongitude>
    <LowerRightLatitude>43.8</LowerRightLatitude><LowerRightLongitude>125.4</LowerRightLongitude>
    <LowerLeftLatitude>43.8</LowerLeftLatitude><LowerLeftLongitude>125.3</LowerLeftLongitude>
    <ImageRowGSD>3.0</ImageRowGSD><ImageColumnGSD>3.1</ImageColumnGSD>
    <RollSatelliteAngle>-5.5</RollSatelliteAngle>
    <SolarAzimuth>137</SolarAzimuth><SolarElevation>62.5</SolarElevation>
    <SatelliteAzimuth>280</SatelliteAzimuth><SatelliteElevation>84</SatelliteElevation>
    <CloudPercent>3</CloudPercent><DataBits>12</DataBits>
  </ProductInfo>
  <ProcessInfo>
    <AbsCalibrationGain>{gains}</AbsCalibrationGain><AbsCalibrationBias>{biases}</AbsCalibrationBias>
    <MtfCompensation>YES</MtfCompensation>
  </ProcessInfo>
</MetaData>
"
    )
}

/// Writes one part of a delivery into `folder`, made if need be: image, metadata and RPC under `stem`.
pub(super) fn write_part(folder: &Path, stem: &str, part: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let image = folder.join(format!("{stem}.tif"));
    write_tiff(&image, 8, 10, if part == "PAN" { 1 } else { 4 });
    std::fs::write(folder.join(format!("{stem}_meta.xml")), meta_xml(part)).unwrap();
    std::fs::write(folder.join(format!("{stem}_rpc.txt")), rpc_text()).unwrap();
    image
}

/// Writes PAN and MSS into one folder each under `parent`.
pub(super) fn write_delivery(parent: &Path) {
    for part in ["PAN", "MSS"] {
        let stem = format!("{STEM}_{part}");
        write_part(&parent.join(&stem), &stem, part);
    }
}
