//! Gaofen: every camera that is read.
//!
//! Plugins of GISdeveloper2017/imetadata lie in `imetadata/business/metadata/base/plugins/industry/sat`, its tests in
//! `test/metadata/inbound/plugins`. Names keep the form of real ones, with the time and place of a fixture.

use std::path::PathBuf;

use super::files::*;
use super::{Expected, Shape};
use crate::harness::Desk;

/// The flat XML of one raster. Elements: acolite/acolite @ bb3557c, `acolite/gf/metadata.py`, lines 22–31 (identity,
/// times, angles, size, corners); GISdeveloper2017/imetadata @ 08c1342, `c_satFilePlugins_gf1_B_C_D.py`, lines 96–312,
/// `init_qa_metadata_bus_xml_list` (root, orbit, type, level, time of production, pixel size, roll, cloud).
/// `ReceiveTime` and the encoding stand in neither. No coefficients unless `more` has them.
pub fn xml(satellite: &str, sensor: &str, moment: &Moment, tiff: &Tiff, more: &str) -> String {
    let mut corners = String::new();
    for (name, (lon, lat)) in ["TopLeft", "TopRight", "BottomRight", "BottomLeft"].iter().zip(moment.corners(tiff)) {
        corners += &format!("<{name}Latitude>{lat:.9}</{name}Latitude><{name}Longitude>{lon:.9}</{name}Longitude>\n");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"GB2312\"?>\n<ProductMetaData>\n<SatelliteID>{satellite}</SatelliteID>\n\
         <SensorID>{sensor}</SensorID>\n<ReceiveTime>2001-01-01 00:00:00</ReceiveTime>\n<OrbitID>7960</OrbitID>\n\
         <ProduceType>STANDARD</ProduceType>\n<ProductLevel>LEVEL1A</ProductLevel>\n\
         <ProduceTime>2001-01-01 00:00:00</ProduceTime>\n<Bands>1</Bands>\n<StartTime>{t}</StartTime>\n\
         <EndTime>{t}</EndTime>\n<CenterTime>{t}</CenterTime>\n<ImageGSD>{}</ImageGSD>\n\
         <WidthInPixels>{}</WidthInPixels>\n<HeightInPixels>{}</HeightInPixels>\n<CloudPercent>2</CloudPercent>\n\
         <RollViewingAngle>0.5</RollViewingAngle>\n<SolarAzimuth>{}</SolarAzimuth>\n<SolarZenith>{}</SolarZenith>\n\
         <SatelliteAzimuth>100</SatelliteAzimuth>\n<SatelliteZenith>4</SatelliteZenith>\n{corners}{more}\
         </ProductMetaData>\n",
        tiff.gsd,
        tiff.cols,
        tiff.rows,
        moment.azimuth,
        moment.zenith,
        t = moment.beijing,
    )
}

struct Product {
    satellite: &'static str,
    sensor: &'static str,
    moment: Moment,
    more: &'static str,
}

impl Product {
    fn new(satellite: &'static str, sensor: &'static str, moment: Moment) -> Self {
        Self { satellite, sensor, moment, more: "" }
    }

    fn write(&self, desk: &Desk, stem: &str, image: &Tiff) -> PathBuf {
        tiff(desk, &format!("{stem}.tiff"), image, &self.moment);
        write(desk, &format!("{stem}.xml"), xml(self.satellite, self.sensor, &self.moment, image, self.more));
        write(desk, &format!("{stem}.rpb"), rpb(image, &self.moment));
        // What else a product holds, none of it a scene's: acolite/acolite @ bb3557c, `acolite/gf/bundle_test.py`,
        // lines 14–15.
        write(desk, &format!("{stem}_thumb.jpg"), "x");
        write(desk, "d/order.xml", "<order/>");
        desk.path("d")
    }
}

/// 2 and 8 m.
const PAN_2: Tiff = Tiff { gsd: 2.0, ..PAN };
const MSS_8: Tiff = Tiff { gsd: 8.0, ..MSS };
const WIDE: Tiff = Tiff { gsd: 16.0, ..MSS };
const FOUR: &[&str] = &["B", "G", "R", "N"];
const SUN_2018: Option<(f64, f64)> = Some((23.914975, 143.852599));
const SUN_2019: Option<(f64, f64)> = Some((69.001173, 172.005436));
const SUN_2020: Option<(f64, f64)> = Some((25.832701, 135.749201));
const SUN_2022: Option<(f64, f64)> = Some((31.665131, 161.077892));
const SUN_2023: Option<(f64, f64)> = Some((35.523945, 200.225690));

/// A tile of GF-6's wide-field camera.
const fn tile(id: &'static str) -> Expected {
    Expected {
        id,
        platform: "gf6",
        instrument: Some("wfv"),
        level: Some("L1A"),
        utc: "2019-01-03T03:05:12Z",
        sun: SUN_2019,
        parts: &[(
            "MSS",
            &["B", "G", "R", "N", "RE1", "RE2", "A", "Y"],
            &[
                Some((0.0705, 0.0)),
                Some((0.0567, 0.0)),
                Some((0.0516, 0.0)),
                Some((0.0322, 0.0)),
                Some((0.0532, 0.0)),
                Some((0.0453, 0.0)),
                Some((0.0786, 0.0)),
                Some((0.0585, 0.0)),
            ],
        )],
        odd: &[],
    }
}

pub const SHAPES: &[Shape] = &[
    // Name: GISdeveloper2017/imetadata @ 27da9a9, `test_file_plugins_4004_gf1_pms1.py`, line 22; `-PAN1.tiff`,
    // `-MSS1.tiff`, `-PAN1.xml`: @ 9095bac, `c_satFilePlugins_gf1_pms.py`, lines 58–64 and 97. `.tiff`, `.xml` and
    // `.rpb` of each, `-MSS2` and `-PAN2` of the second camera (GF-2): SANHUA25225/gf-preprocess @ e9f4c1a,
    // `GF2_PROCESSING_GUIDE.md`, lines 53–64.
    (
        "GF-1 PMS1 of a year in the table",
        |desk| {
            let product = Product::new("GF1", "PMS1", JUNE_2018);
            let stem = "d/GF1_PMS1_E125.3_N43.9_20180621_L1A0000090284";
            product.write(desk, &format!("{stem}-PAN1"), &PAN_2);
            product.write(desk, &format!("{stem}-MSS1"), &MSS_8)
        },
        &[Expected {
            id: "GF1_PMS1_E125.3_N43.9_20180621_L1A0000090284",
            platform: "gf1",
            instrument: Some("pms1"),
            level: Some("L1A"),
            utc: "2018-06-21T02:40:00Z",
            sun: SUN_2018,
            parts: &[
                ("PAN", &["PAN"], &[Some((0.1428, 0.0))]),
                ("MSS", FOUR, &[Some((0.1530, 0.0)), Some((0.1356, 0.0)), Some((0.1366, 0.0)), Some((0.1272, 0.0))]),
            ],
            odd: &[],
        }],
    ),
    // As the one before.
    (
        "GF-1 PMS2 of a year whose numbers are not to be trusted",
        |desk| {
            Product::new("GF1", "PMS2", JANUARY_2019).write(
                desk,
                "d/GF1_PMS2_E126.7_N45.8_20190103_L1A0000090285-MSS2",
                &MSS_8,
            )
        },
        &[Expected {
            id: "GF1_PMS2_E126.7_N45.8_20190103_L1A0000090285",
            platform: "gf1",
            instrument: Some("pms2"),
            level: Some("L1A"),
            utc: "2019-01-03T03:05:12Z",
            sun: SUN_2019,
            parts: &[("MSS", FOUR, &[None, None, None, None])],
            odd: &[],
        }],
    ),
    // Name, without a part: GISdeveloper2017/imetadata @ f6f911e, `test_plugins_4004_gf1_wfv_dir.py`, line 22; `.tiff`
    // and `.xml` of a product: acolite/acolite @ bb3557c, `acolite/gf/bundle_test.py`, lines 19–27.
    (
        "GF-1 WFV1, a number that sources dispute",
        |desk| {
            Product::new("GF1", "WFV1", JANUARY_2019).write(
                desk,
                "d/GF1_WFV1_E126.7_N45.8_20190103_L1A0000095560",
                &WIDE,
            )
        },
        &[Expected {
            id: "GF1_WFV1_E126.7_N45.8_20190103_L1A0000095560",
            platform: "gf1",
            instrument: Some("wfv1"),
            level: Some("L1A"),
            utc: "2019-01-03T03:05:12Z",
            sun: SUN_2019,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.2144, 0.0)), Some((0.1647, 0.0)), Some((0.1228, 0.0)), Some((0.1213, 0.0))],
            )],
            odd: &["coefficients-doubtful"],
        }],
    ),
    // As the one before; that it has no angles is made up.
    (
        "GF-1 WFV4 of 2013, inverse convention, no angles",
        |desk| {
            let product = Product::new("GF1", "WFV4", Moment { beijing: "2013-10-08 11:00:00", ..JUNE_2018 });
            let folder = product.write(desk, "d/GF1_WFV4_E125.3_N43.9_20131008_L1A0000095560", &WIDE);
            let stem = desk.path("d/GF1_WFV4_E125.3_N43.9_20131008_L1A0000095560.xml");
            let text = std::fs::read_to_string(&stem).unwrap();
            std::fs::write(&stem, text.replace("Solar", "Other")).unwrap();
            folder
        },
        &[Expected {
            id: "GF1_WFV4_E125.3_N43.9_20131008_L1A0000095560",
            platform: "gf1",
            instrument: Some("wfv4"),
            level: Some("L1A"),
            utc: "2013-10-08T03:00:00Z",
            sun: None,
            parts: &[(
                "MSS",
                FOUR,
                &[
                    Some((1.0 / 5.35, -0.0369 / 5.35)),
                    Some((1.0 / 6.235, -0.0235 / 6.235)),
                    Some((1.0 / 6.992, -0.0217 / 6.992)),
                    Some((1.0 / 7.462, -0.005 / 7.462)),
                ],
            )],
            odd: &["coefficients-doubtful", "sun-computed", "time-zone"],
        }],
    ),
    // `GF1B_PMS_…_L1A…-PAN.tiff` and `-PAN.xml`: GISdeveloper2017/imetadata @ 08c1342, `c_satFilePlugins_gf1_B_C_D.py`,
    // lines 34–37, 65 and 88; `PAN.` and `MUX.`: desertstsung/Snowy-Dove @ 54e9e24, `src/sdGetPANMS.pro`, lines 18–21.
    (
        "GF-1B",
        |desk| {
            let product = Product::new("GF1B", "PMS", JANUARY_2019);
            let stem = "d/GF1B_PMS_E126.7_N45.8_20190103_L1A1227579261";
            product.write(desk, &format!("{stem}-PAN"), &PAN_2);
            product.write(desk, &format!("{stem}-MUX"), &MSS_8)
        },
        &[Expected {
            id: "GF1B_PMS_E126.7_N45.8_20190103_L1A1227579261",
            platform: "gf1b",
            instrument: Some("pms"),
            level: Some("L1A"),
            utc: "2019-01-03T03:05:12Z",
            sun: SUN_2019,
            parts: &[
                ("PAN", &["PAN"], &[Some((0.0399, 0.0))]),
                ("MSS", FOUR, &[Some((0.0292, 0.0)), Some((0.0362, 0.0)), Some((0.0400, 0.0)), Some((0.0354, 0.0))]),
            ],
            odd: &[],
        }],
    ),
    // As the one before; `ImageGSDLine`: GISdeveloper2017/imetadata @ ab1049a, `c_satFilePlugins_gf6_wfv.py`, lines
    // 196–198 (of GF-6).
    (
        "GF-1D, pixel size under another name",
        |desk| {
            let product = Product::new("GF1D", "PMS", JULY_2020);
            let stem = "d/GF1D_PMS_E124.4_N43.2_20200704_L1A1227579262-MUX";
            let folder = product.write(desk, stem, &MSS_8);
            let text = xml("GF1D", "PMS", &JULY_2020, &MSS_8, "").replace("ImageGSD>", "ImageGSDLine>");
            write(desk, &format!("{stem}.xml"), text);
            folder
        },
        &[Expected {
            id: "GF1D_PMS_E124.4_N43.2_20200704_L1A1227579262",
            platform: "gf1d",
            instrument: Some("pms"),
            level: Some("L1A"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.0738, 0.0)), Some((0.0656, 0.0)), Some((0.0590, 0.0)), Some((0.0585, 0.0))],
            )],
            odd: &[],
        }],
    ),
    // Names of all of GF-2: SANHUA25225/gf-preprocess @ e9f4c1a, `GF2_PROCESSING_GUIDE.md`, lines 38–41 and 53–64.
    (
        "GF-2 PMS1 of a year in the table",
        |desk| {
            Product::new("GF2", "PMS1", JULY_2020).write(
                desk,
                "d/GF2_PMS1_E124.4_N43.2_20200704_L1A0005176264-MSS1",
                &MSS_8,
            )
        },
        &[Expected {
            id: "GF2_PMS1_E124.4_N43.2_20200704_L1A0005176264",
            platform: "gf2",
            instrument: Some("pms1"),
            level: Some("L1A"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.1378, 0.0)), Some((0.1778, 0.0)), Some((0.1700, 0.0)), Some((0.1858, 0.0))],
            )],
            odd: &[],
        }],
    ),
    // `AbsCeof` of the `.xml` beside the image, a gain with offset 0: SANHUA25225/gf-preprocess @ e9f4c1a,
    // `scripts/gf2_batch.py`, lines 58–66 and 212–217; the numbers, of a scene of 2025: `GF2_PROCESSING_GUIDE.md`,
    // lines 143 and 149.
    (
        "GF-2 PMS1 with coefficients in its metadata",
        |desk| {
            let product = Product {
                more: "<AbsCeof>0.1374,0.1784,0.1723,0.1894</AbsCeof>\n",
                ..Product::new("GF2", "PMS1", OCTOBER_2023)
            };
            product.write(desk, "d/GF2_PMS1_E104.1_N30.7_20231001_L1A0007547899-MSS1", &MSS_8)
        },
        &[Expected {
            id: "GF2_PMS1_E104.1_N30.7_20231001_L1A0007547899",
            platform: "gf2",
            instrument: Some("pms1"),
            level: Some("L1A"),
            utc: "2023-10-01T05:40:00Z",
            sun: SUN_2023,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.1374, 0.0)), Some((0.1784, 0.0)), Some((0.1723, 0.0)), Some((0.1894, 0.0))],
            )],
            odd: &[],
        }],
    ),
    (
        "GF-2 of a year that nothing is known of, stated by the user for all scenes below a folder",
        |desk| {
            let user = "schema = 1\n[[camera]]\nsatellite = \"GF2\"\nsensor = \"PMS2\"\nyear = 2022\n\
                        bands = [\"B\", \"G\", \"R\", \"N\"]\ngain = [0.18, 0.19, 0.18, 0.2]\nsource = \"operator's list\"\n";
            write(desk, "coefficients.toml", user);
            Product::new("GF2", "PMS2", AUGUST_2022).write(
                desk,
                "d/GF2_PMS2_E122.9_N44.6_20220815_L1A0005176265-MSS2",
                &MSS_8,
            )
        },
        &[Expected {
            id: "GF2_PMS2_E122.9_N44.6_20220815_L1A0005176265",
            platform: "gf2",
            instrument: Some("pms2"),
            level: Some("L1A"),
            utc: "2022-08-15T03:12:45Z",
            sun: SUN_2022,
            parts: &[("MSS", FOUR, &[Some((0.18, 0.0)), Some((0.19, 0.0)), Some((0.18, 0.0)), Some((0.2, 0.0))])],
            odd: &[],
        }],
    ),
    (
        "GF-2 of a year that nothing is known of",
        |desk| {
            Product::new("GF2", "PMS2", AUGUST_2022).write(
                desk,
                "d/GF2_PMS2_E122.9_N44.6_20220815_L1A0005176265-PAN2",
                &PAN_2,
            )
        },
        &[Expected {
            id: "GF2_PMS2_E122.9_N44.6_20220815_L1A0005176265",
            platform: "gf2",
            instrument: Some("pms2"),
            level: Some("L1A"),
            utc: "2022-08-15T03:12:45Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], &[None])],
            odd: &[],
        }],
    ),
    (
        "GF-2 whose times are in UTC",
        |desk| {
            let product = Product::new("GF2", "PMS1", Moment { beijing: "2020-07-04 02:30:00", ..JULY_2020 });
            product.write(desk, "d/GF2_PMS1_E124.4_N43.2_20200704_L1A0005176266-PAN1", &PAN_2)
        },
        &[Expected {
            id: "GF2_PMS1_E124.4_N43.2_20200704_L1A0005176266",
            platform: "gf2",
            instrument: Some("pms1"),
            level: Some("L1A"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[("PAN", &["PAN"], &[Some((0.1817, 0.0))])],
            odd: &["time-zone"],
        }],
    ),
    // Coefficients in `AGain`, `NULL` where there are none, `-MUX` and `-PAN`: SANHUA25225/gf-preprocess @ 316db75,
    // `scripts/gf6_batch.py`, lines 34–42, 88–90 and 98.
    (
        "GF-6 PMS, its list of coefficients full of NULL",
        |desk| {
            let product =
                Product { more: "<AGain>NULL,NULL,NULL,NULL</AGain>\n", ..Product::new("GF6", "PMS", JULY_2020) };
            product.write(desk, "d/GF6_PMS_E124.4_N43.2_20200704_L1A1119836058-MUX", &MSS_8)
        },
        &[Expected {
            id: "GF6_PMS_E124.4_N43.2_20200704_L1A1119836058",
            platform: "gf6",
            instrument: Some("pms"),
            level: Some("L1A"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.0820, 0.0)), Some((0.0645, 0.0)), Some((0.0489, 0.0)), Some((0.0286, 0.0))],
            )],
            odd: &[],
        }],
    ),
    // Tiles `-1`, `-2`, `-3` with one `.xml`: GISdeveloper2017/imetadata @ ab1049a, `c_satFilePlugins_gf6_wfv.py`,
    // lines 30–34 and 41–45; acolite/acolite @ bb3557c, `acolite/gf/bundle_test.py`, lines 19–27.
    (
        "GF-6 WFV, three tiles",
        |desk| {
            let stem = "d/GF6_WFV_E126.7_N45.8_20190103_L1A1119836057";
            let wide = Tiff { bands: 8, ..WIDE };
            for number in 1..=3 {
                tiff(desk, &format!("{stem}-{number}.tiff"), &wide, &JANUARY_2019);
                write(desk, &format!("{stem}-{number}.rpb"), rpb(&wide, &JANUARY_2019));
            }
            write(desk, &format!("{stem}.xml"), xml("GF6", "WFV", &JANUARY_2019, &wide, ""));
            desk.path(format!("{stem}.xml"))
        },
        &[
            tile("GF6_WFV_E126.7_N45.8_20190103_L1A1119836057-1"),
            tile("GF6_WFV_E126.7_N45.8_20190103_L1A1119836057-2"),
            tile("GF6_WFV_E126.7_N45.8_20190103_L1A1119836057-3"),
        ],
    ),
];
