//! Tiny images, sensor models and metadata that agree with each other.

use std::fs;
use std::path::Path;

use gdal::Metadata;
use gdal::raster::{Buffer, GdalType};
use gdal::spatial_ref::SpatialRef;

use crate::harness::Desk;
use crate::image;

/// A time and a place, with the sun over it.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// `YYYY-MM-DD HH:MM:SS`, Beijing time.
    pub beijing: &'static str,
    pub lat: f64,
    pub lon: f64,
    /// True zenith and azimuth by pvlib's SPA, degrees.
    pub zenith: f64,
    pub azimuth: f64,
}

/// 2018-06-21T02:40:00Z.
pub const JUNE_2018: Moment =
    Moment { beijing: "2018-06-21 10:40:00", lat: 43.88, lon: 125.32, zenith: 23.914975, azimuth: 143.852599 };
/// 2019-01-03T03:05:12Z.
pub const JANUARY_2019: Moment =
    Moment { beijing: "2019-01-03 11:05:12", lat: 45.75, lon: 126.65, zenith: 69.001173, azimuth: 172.005436 };
/// 2020-07-04T02:30:00Z.
pub const JULY_2020: Moment =
    Moment { beijing: "2020-07-04 10:30:00", lat: 43.17, lon: 124.35, zenith: 25.832701, azimuth: 135.749201 };
/// 2021-09-22T19:21:03Z, before sunrise.
pub const NIGHT: Moment =
    Moment { beijing: "2021-09-23 03:21:03", lat: -33.87, lon: 151.21, zenith: 95.525840, azimuth: 93.721715 };
/// 2022-05-16T01:58:11Z.
pub const MAY_2022: Moment =
    Moment { beijing: "2022-05-16 09:58:11", lat: 47.35, lon: 130.3, zenith: 32.349999, azimuth: 144.384730 };
/// 2022-08-15T03:12:45Z.
pub const AUGUST_2022: Moment =
    Moment { beijing: "2022-08-15 11:12:45", lat: 44.55, lon: 122.85, zenith: 31.665131, azimuth: 161.077892 };
/// 2023-10-01T05:40:00Z.
pub const OCTOBER_2023: Moment =
    Moment { beijing: "2023-10-01 13:40:00", lat: 30.66, lon: 104.06, zenith: 35.523945, azimuth: 200.225690 };
/// 2025-11-11T02:47:35Z.
pub const NOVEMBER_2025: Moment =
    Moment { beijing: "2025-11-11 10:47:35", lat: 43.9, lon: 126.57, zenith: 61.747899, azimuth: 171.836995 };

/// An image: its size, bands and what they are called.
#[derive(Debug, Clone, Copy)]
pub struct Tiff {
    pub rows: usize,
    pub cols: usize,
    pub bands: usize,
    /// Size of a pixel, metres.
    pub gsd: f64,
    pub names: &'static [&'static str],
    /// On a map.
    pub mapped: bool,
    pub bits8: bool,
}

pub const PAN: Tiff = Tiff { rows: 80, cols: 96, bands: 1, gsd: 0.75, names: &[], mapped: false, bits8: false };
pub const MSS: Tiff = Tiff { rows: 20, cols: 24, bands: 4, gsd: 3.0, names: &[], mapped: false, bits8: false };

const METERS_PER_DEGREE: f64 = 111_320.0;

impl Moment {
    /// Half the extent of an image in degrees: longitude, latitude.
    pub fn half(&self, tiff: &Tiff) -> (f64, f64) {
        let degrees = |pixels: usize| 0.5 * pixels as f64 * tiff.gsd / METERS_PER_DEGREE;
        (degrees(tiff.cols) / self.lat.to_radians().cos(), degrees(tiff.rows))
    }

    /// Corners: upper left, upper right, lower right, lower left; longitude, latitude.
    pub fn corners(&self, tiff: &Tiff) -> [(f64, f64); 4] {
        let (lon, lat) = self.half(tiff);
        [(-lon, lat), (lon, lat), (lon, -lat), (-lon, -lat)].map(|(x, y)| (self.lon + x, self.lat + y))
    }
}

fn fill<T: GdalType + Copy>(path: &Path, tiff: &Tiff, moment: &Moment, value: impl Fn(usize) -> T) {
    let planes: Vec<Vec<T>> =
        (0..tiff.bands).map(|k| (0..tiff.rows * tiff.cols).map(|i| value(i + 97 * k)).collect()).collect();
    let driver = gdal::DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut dataset = driver.create_with_band_type::<T, _>(path, tiff.cols, tiff.rows, tiff.bands).unwrap();
    if tiff.mapped {
        // Any zone's own middle: the place on the map does not matter, the size of a pixel does.
        let zone = ((moment.lon + 180.0) / 6.0).floor() as u32 + 1;
        let epsg = if moment.lat < 0.0 { 32700 } else { 32600 } + zone;
        dataset.set_spatial_ref(&SpatialRef::from_epsg(epsg).unwrap()).unwrap();
        let north = if moment.lat < 0.0 { 1e7 } else { 0.0 } + moment.lat * METERS_PER_DEGREE;
        dataset.set_geo_transform(&[5e5, tiff.gsd, 0.0, north, 0.0, -tiff.gsd]).unwrap();
    }
    for (k, plane) in planes.into_iter().enumerate() {
        let mut band = dataset.rasterband(k + 1).unwrap();
        if let Some(name) = tiff.names.get(k) {
            band.set_description(name).unwrap();
        }
        band.write((0, 0), (tiff.cols, tiff.rows), &mut Buffer::new((tiff.cols, tiff.rows), plane)).unwrap();
    }
    dataset.close().unwrap();
}

/// Writes an image of ordinary ground.
pub fn tiff(desk: &Desk, name: &str, tiff: &Tiff, moment: &Moment) {
    image::prepare();
    let path = desk.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match tiff.bits8 {
        true => fill(&path, tiff, moment, |i| (20 + i % 200) as u8),
        false => fill(&path, tiff, moment, |i| (300 + i % 900) as u16),
    }
}

/// Writes any other file.
pub fn write(desk: &Desk, name: &str, content: impl AsRef<[u8]>) {
    desk.write(name, content);
}

/// The ten numbers of a model that puts an image straight on the ground: rows, columns, latitude, longitude, height,
/// each an offset; then their scales.
fn model(tiff: &Tiff, moment: &Moment) -> [f64; 10] {
    let (lon, lat) = moment.half(tiff);
    let (rows, cols) = (tiff.rows as f64, tiff.cols as f64);
    [(rows - 1.0) / 2.0, (cols - 1.0) / 2.0, moment.lat, moment.lon, 200.0, rows / 2.0, cols / 2.0, lat, lon, 500.0]
}

/// A model as `_rpc.txt`, `KEY: value unit` lines, the form of GeoEye. Lines with a colon, coefficients numbered at the
/// end of their keys: miaodashi/SRSProcessSystem @ cb122b7, `ortho/ortho_JL1GP.py`, lines 38–56, `read_rpc`; name: line
/// 126 there, and OSGeo/gdal @ 0e9e907, `gcore/mdreader/reader_geo_eye.cpp`, lines 82–100.
pub fn rpc_txt(tiff: &Tiff, moment: &Moment) -> String {
    let keys = ["LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF"];
    let scales = ["LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE"];
    let units = ["pixels", "pixels", "degrees", "degrees", "meters"];
    let numbers = model(tiff, moment);
    let mut text = String::new();
    for (k, key) in keys.iter().chain(&scales).enumerate() {
        text += &format!("{key}: {:+.12} {}\n", numbers[k], units[k % 5]);
    }
    for (key, at, value) in [
        ("LINE_NUM_COEFF", 3, -1.0),
        ("LINE_DEN_COEFF", 1, 1.0),
        ("SAMP_NUM_COEFF", 2, 1.0),
        ("SAMP_DEN_COEFF", 1, 1.0),
    ] {
        for n in 1..=20 {
            text += &format!("{key}_{n}: {:+.15E}\n", if n == at { value } else { 0.0 });
        }
    }
    text
}

/// The same as `.rpb`: six lines, ten numbers, four lists of twenty (desertstsung/Snowy-Dove @ 54e9e24,
/// `src/sdRPCRedefine.pro`, lines 15–29).
pub fn rpb(tiff: &Tiff, moment: &Moment) -> String {
    let keys = [
        "lineOffset",
        "sampOffset",
        "latOffset",
        "longOffset",
        "heightOffset",
        "lineScale",
        "sampScale",
        "latScale",
        "longScale",
        "heightScale",
    ];
    let mut text = String::from(
        "satId = \"GF\";\nbandId = \"PAN\";\nSpecId = \"RPC00B\";\nBEGIN_GROUP = IMAGE\n\terrBias = 1.0;\n\terrRand = 0.0;\n",
    );
    for (key, number) in keys.iter().zip(model(tiff, moment)) {
        text += &format!("\t{key} = {number:.12};\n");
    }
    for (key, at, value) in
        [("lineNumCoef", 3, -1.0), ("lineDenCoef", 1, 1.0), ("sampNumCoef", 2, 1.0), ("sampDenCoef", 1, 1.0)]
    {
        let list: Vec<_> = (1..=20).map(|n| format!("\t\t\t{:E}", if n == at { value } else { 0.0 })).collect();
        text += &format!("\t{key} = (\n{});\n", list.join(",\n"));
    }
    text + "END_GROUP = IMAGE\nEND;\n"
}
