//! Jilin-1: every family, every form of a name.
//!
//! Plugins of GISdeveloper2017/imetadata lie in `imetadata/business/metadata/base/plugins/industry/sat`, its tests in
//! `test/metadata/inbound/plugins`; util.py is Jason001028/sr_agent_platform @ b2ba3d6, `SR_code/util.py`. Which
//! satellites there are: miaodashi/SRSProcessSystem @ cb122b7, `monitor_folder.py`, lines 31–41. The parts of a name:
//! Jason001028/sr_agent_platform @ 064b94d, `docs/sr_code/production-scene-naming.md`, lines 40–52. Names keep the form
//! of real ones, with the time and place of a fixture. Where a real name is said to have no repository, it was read in
//! a public source file whose repository is not known.

use std::path::PathBuf;

use super::files::*;
use super::{Expected, Shape};
use crate::harness::Desk;

/// A `_meta.xml` of one raster. Elements and their places: GISdeveloper2017/imetadata @ 32a971a,
/// `c_satFilePlugins_jinlin1_pms.py`, lines 109–127, `parser_metadata_time_list`, and 147–260,
/// `get_metadata_bus_configuration_list` (identity, times, centre, corners, sizes, roll, cloud); util.py, lines
/// 486–519, `add_product_info` (bits, centre time, size of columns), 522–547, `updat_processinfo` (the lists of
/// coefficients), 585–600, `check_and_add_mtfc_node` (MTF), and 615 (`Bands`). The four angles of sun and satellite
/// stand in none of them.
pub struct Meta {
    pub satellite: &'static str,
    pub sensor: &'static str,
    pub level: &'static str,
    pub moment: Moment,
    pub tiff: Tiff,
    pub gains: &'static str,
    pub biases: &'static str,
}

pub const GAINS: &str = "0.0925,0.087,0.0733,0.0502";
pub const BIASES: &str = "1.35,0.84,-0.57,0.38";

impl Meta {
    pub fn new(satellite: &'static str, sensor: &'static str, moment: Moment, tiff: Tiff) -> Self {
        let (gains, biases) = match tiff.bands {
            1 => ("0.081", "-0.5"),
            3 => ("0.0925,0.087,0.0733", "1.35,0.84,-0.57"),
            _ => (GAINS, BIASES),
        };
        Self { satellite, sensor, level: "L1", moment, tiff, gains, biases }
    }

    pub fn level(self, level: &'static str) -> Self {
        Self { level, ..self }
    }

    pub fn xml(&self) -> String {
        let m = &self.moment;
        let mut corners = String::new();
        for (name, (lon, lat)) in
            ["UpperLeft", "UpperRight", "LowerRight", "LowerLeft"].iter().zip(m.corners(&self.tiff))
        {
            corners +=
                &format!("<{name}Latitude>{lat:.9}</{name}Latitude><{name}Longitude>{lon:.9}</{name}Longitude>\n");
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MetaData>\n<ProductInfo>\n<SatelliteID>{}</SatelliteID>\n\
             <Sensor>{}</Sensor>\n<ProductLevel>{}</ProductLevel>\n<OrbitID>004321</OrbitID>\n<SceneID>1</SceneID>\n\
             <StartTime>{t}</StartTime>\n<EndTime>{t}</EndTime>\n<CenterTime>{t}</CenterTime>\n\
             <CenterLatitude>{}</CenterLatitude>\n<CenterLongitude>{}</CenterLongitude>\n{corners}\
             <ImageRowGSD>{gsd}</ImageRowGSD>\n<ImageColumnGSD>{gsd}</ImageColumnGSD>\n\
             <RollSatelliteAngle>-5.5</RollSatelliteAngle>\n<SolarAzimuth>{}</SolarAzimuth>\n\
             <SolarElevation>{:.6}</SolarElevation>\n<SatelliteAzimuth>280</SatelliteAzimuth>\n\
             <SatelliteElevation>84</SatelliteElevation>\n<CloudPercent>3</CloudPercent>\n<Bands>{}</Bands>\n\
             <DataBits>{}</DataBits>\n</ProductInfo>\n<ProcessInfo>\n<AbsCalibrationGain>{}</AbsCalibrationGain>\n\
             <AbsCalibrationBias>{}</AbsCalibrationBias>\n<MtfCompensation>YES</MtfCompensation>\n</ProcessInfo>\n\
             </MetaData>\n",
            self.satellite,
            self.sensor,
            self.level,
            m.lat,
            m.lon,
            m.azimuth,
            90.0 - m.zenith,
            self.tiff.bands,
            if self.tiff.bits8 { 8 } else { 12 },
            self.gains,
            self.biases,
            t = m.beijing,
            gsd = self.tiff.gsd,
        )
    }

    /// Image, metadata and model under one stem.
    pub fn write(&self, desk: &Desk, stem: &str) -> PathBuf {
        tiff(desk, &format!("{stem}.tif"), &self.tiff, &self.moment);
        write(desk, &format!("{stem}_meta.xml"), self.xml());
        if !self.tiff.mapped {
            write(desk, &format!("{stem}_rpc.txt"), rpc_txt(&self.tiff, &self.moment));
        }
        desk.path(stem).parent().unwrap().to_owned()
    }
}

/// `a/b` → `a/b/b`: a folder and the stem in it.
fn in_own(folder: &str) -> String {
    format!("{folder}/{}", folder.rsplit('/').next().unwrap())
}

const FOUR: &[&str] = &["B", "G", "R", "N"];
pub const FOUR_LINES: &[Option<(f64, f64)>] =
    &[Some((0.0925, 1.35)), Some((0.087, 0.84)), Some((0.0733, -0.57)), Some((0.0502, 0.38))];
const THREE_LINES: &[Option<(f64, f64)>] = &[Some((0.0925, 1.35)), Some((0.087, 0.84)), Some((0.0733, -0.57))];
const PAN_LINE: &[Option<(f64, f64)>] = &[Some((0.081, -0.5))];
const NONE4: &[Option<(f64, f64)>] = &[None, None, None, None];
const ASSUMED: &[&str] = &["band-range-assumed"];
const RGB: Tiff = Tiff { bands: 3, ..MSS };
const PSH: Tiff = Tiff { bands: 4, mapped: true, ..PAN };

const SUN_2020: Option<(f64, f64)> = Some((25.832701, 135.749201));
const SUN_2022: Option<(f64, f64)> = Some((32.349999, 144.384730));

fn pair(desk: &Desk, satellite: &'static str, sensor: &'static str, moment: Moment, pan: &str, mss: &str) -> PathBuf {
    Meta::new(satellite, sensor, moment, PAN).write(desk, pan);
    Meta::new(satellite, sensor, moment, MSS).write(desk, mss);
    desk.path("d")
}

/// Metadata of a hyperspectral scene: a block for each band, lists from B0 on. util.py, lines 603–616, `process_tag`
/// (times and sizes of `BAND_B3`), 442–455, `delete_20_bands` (the blocks, B0 to B19, in `ProductInfo`), and 522–547,
/// `updat_processinfo` (items 3 to 6 of the lists for B3 to B6).
fn gp_xml(satellite: &'static str, moment: Moment, tiff: Tiff) -> String {
    let list = |from: f64| (0..20).map(|k| format!("{}", from + 0.001 * f64::from(k))).collect::<Vec<_>>().join(",");
    let block = |k: u32| {
        let gsd = if k < 7 {
            5.0
        } else if k < 13 {
            10.0
        } else {
            20.0
        };
        format!(
            "<BAND_B{k}><StartTime>{t}</StartTime><EndTime>{t}</EndTime><CenterTime>{t}</CenterTime>\
             <ImageRowGSD>{gsd}</ImageRowGSD><ImageColumnGSD>{gsd}</ImageColumnGSD></BAND_B{k}>\n",
            t = moment.beijing
        )
    };
    let blocks: String = (0..20).map(block).collect();
    let mut xml = Meta::new(satellite, "PMS", moment, tiff).xml();
    for name in ["StartTime", "EndTime", "CenterTime", "ImageRowGSD", "ImageColumnGSD"] {
        let (before, rest) = xml.split_once(&format!("<{name}>")).unwrap();
        let (_, after) = rest.split_once(&format!("</{name}>\n")).unwrap();
        xml = format!("{before}{after}");
    }
    xml.replace("</ProductInfo>", &format!("{blocks}</ProductInfo>"))
        .replace(GAINS, &list(0.05))
        .replace(BIASES, &list(-0.2))
}

pub const SHAPES: &[Shape] = &[
    // A name without a level: GISdeveloper2017/imetadata @ 2900ec1, `test_plugins_4012_jinlin1_pms_dir.py`, line 22.
    // `…_PAN.tif`, `…_PAN_meta.xml` and `…_MSS_meta.xml` beside each other: @ 32a971a,
    // `c_satFilePlugins_jinlin1_pms.py`, lines 18–30 and 32–51.
    (
        "optical A, no level in the name, three bands",
        |desk| {
            let stem = "d/JL101A_PMS_20200704103000_000020767_102_0001_003";
            Meta::new("JL101A", "PMS", JULY_2020, PAN).write(desk, &format!("{stem}_PAN"));
            Meta::new("JL101A", "PMS", JULY_2020, RGB).write(desk, &format!("{stem}_MSS"))
        },
        &[Expected {
            id: "JL101A_PMS_20200704103000_000020767_102_0001_003",
            platform: "jl101a",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[("PAN", &["PAN"], PAN_LINE), ("MSS", &["B", "G", "R"], THREE_LINES)],
            odd: &[],
        }],
    ),
    // From a description: `Jilin-1.html` of the GDB help on catalyst.earth names `…_LX_MSS_meta.xml`; no reader has it.
    (
        "optical A, level LX",
        |desk| {
            let stem = "d/JL101A_PMS_20200704103000_000020767_102_0001_003_LX_MSS";
            Meta::new("JL101A", "PMS", JULY_2020, RGB).level("LX").write(desk, stem)
        },
        &[Expected {
            id: "JL101A_PMS_20200704103000_000020767_102_0001_003_LX",
            platform: "jl101a",
            instrument: Some("pms"),
            level: Some("LX"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[("MSS", &["B", "G", "R"], THREE_LINES)],
            odd: &["level-unknown"],
        }],
    ),
    // `JL101K_PMS06_20200311100859_200022947_101_0002_001_L1_MSS`, a folder with a file of its name; no repository.
    (
        "KF01A under its early prefix, one part",
        |desk| {
            Meta::new("JL101K", "PMS06", JULY_2020, MSS)
                .write(desk, "d/JL101K_PMS06_20200704103000_200022947_101_0002_001_L1_MSS")
        },
        &[Expected {
            id: "JL101K_PMS06_20200704103000_200022947_101_0002_001_L1",
            platform: "jl101k",
            instrument: Some("pms06"),
            level: Some("L1"),
            utc: "2020-07-04T02:30:00Z",
            sun: SUN_2020,
            parts: &[("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // Production archive: a folder for each part, `<folder>.tif` and `<folder>_meta.xml` in it.
    // Jason001028/sr_agent_platform @ 064b94d, `docs/sr_code/production-scene-naming.md`, lines 19–21 and 28–34.
    (
        "KF01A, pan and multispectral in sibling folders",
        |desk| {
            let stem = "d/JL1KF01A_PMS06_20220516095811_200183754_101_0009_001_L1";
            let (pan, mss) = (format!("{stem}_PAN"), format!("{stem}_MSS"));
            pair(desk, "JL1KF01A", "PMS06", MAY_2022, &in_own(&pan), &in_own(&mss))
        },
        &[Expected {
            id: "JL1KF01A_PMS06_20220516095811_200183754_101_0009_001_L1",
            platform: "jl1kf01a",
            instrument: Some("pms06"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE), ("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // `…_L1_MSS_978899.tif` and `…_L1_MSS_978899_meta.xml`: tpet93/data_catalog @ 948c906, `produtils.py`, lines 46 and
    // 117; the corners of the latter in `MetaData`, `ProductInfo`: lines 192–194.
    (
        "KF01C, order suffix on all files, left camera bank",
        |desk| {
            let stem = "d/JL1KF01C_PMSL3_20220516095811_200339713_101_0039_001_L1";
            pair(desk, "JL1KF01C", "PMSL3", MAY_2022, &format!("{stem}_PAN_978899"), &format!("{stem}_MSS_978899"))
        },
        &[Expected {
            id: "JL1KF01C_PMSL3_20220516095811_200339713_101_0039_001_L1",
            platform: "jl1kf01c",
            instrument: Some("pmsl3"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE), ("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // Made up after the one before: no reader has it.
    (
        "KF01C, order suffix on the image alone",
        |desk| {
            let stem = "d/JL1KF01C_PMSL3_20220516095811_200339713_101_0039_001_L1_MSS";
            let folder = Meta::new("JL1KF01C", "PMSL3", MAY_2022, MSS).write(desk, stem);
            std::fs::rename(desk.path(format!("{stem}.tif")), desk.path(format!("{stem}_978899.tif"))).unwrap();
            folder
        },
        &[Expected {
            id: "JL1KF01C_PMSL3_20220516095811_200339713_101_0039_001_L1",
            platform: "jl1kf01c",
            instrument: Some("pmsl3"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // Name: Jason001028/sr_agent_platform @ b2ba3d6, the file
    // `SR_code/JL1KF02B03_PMS05_20260722125045_200524168_102_0034_001_L1_PAN_mask.txt`, and
    // `SR_code/sfsr_confgig_test_espan2_cuda1.xml`, line 3 (`JL1KF02B04_PMS06_…_L1_PAN`). Any case of `.tif`:
    // GISdeveloper2017/imetadata @ 32a971a, `c_satFilePlugins_jinlin1_pms.py`, lines 27–30.
    (
        "KF02B, pan alone, upper-case extension",
        |desk| {
            let stem = "d/JL1KF02B03_PMS05_20220516095811_200524168_102_0034_001_L1_PAN";
            let folder = Meta::new("JL1KF02B03", "PMS05", MAY_2022, PAN).write(desk, stem);
            std::fs::rename(desk.path(format!("{stem}.tif")), desk.path(format!("{stem}.TIF"))).unwrap();
            folder
        },
        &[Expected {
            id: "JL1KF02B03_PMS05_20220516095811_200524168_102_0034_001_L1",
            platform: "jl1kf02b03",
            instrument: Some("pms05"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE)],
            odd: ASSUMED,
        }],
    ),
    // Shop products come without metadata: scripts open
    // `JL1KF01B_PMSR4_20220623104620_200089965_101_0018_001_L3C_PSH.tif`, on a map, 4 bands of uint16; no repository.
    (
        "KF01B, pansharpened ortho without metadata",
        |desk| {
            tiff(desk, "d/JL1KF01B_PMSR4_20220516095811_200089965_101_0018_001_L3C_PSH.tif", &PSH, &MAY_2022);
            desk.path("d")
        },
        &[Expected {
            id: "JL1KF01B_PMSR4_20220516095811_200089965_101_0018_001_L3C_PSH",
            platform: "jl1kf01b",
            instrument: Some("pmsr4"),
            level: Some("L3C"),
            utc: "2022-05-16T01:58:11Z",
            sun: None,
            parts: &[("PSH", FOUR, NONE4)],
            odd: &["band-range-assumed", "metadata-missing", "sun-computed", "time-from-name"],
        }],
    ),
    // `DP07_PMS_20230810145244_200185191_104_0011_001_L3C_PSH.tif`; no repository. The satellite:
    // miaodashi/SRSProcessSystem @ cb122b7, `monitor_folder.py`, line 31. That it has metadata and a suffix is made up.
    (
        "Dongpo, pansharpened ortho, order suffix",
        |desk| {
            let stem = "d/DP07_PMS_20220516095811_200185191_104_0011_001_L3C_PSH_123456";
            Meta::new("DP07", "PMS", MAY_2022, PSH).level("L3C").write(desk, stem)
        },
        &[Expected {
            id: "DP07_PMS_20220516095811_200185191_104_0011_001_L3C_PSH",
            platform: "dp07",
            instrument: Some("pms"),
            level: Some("L3C"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PSH", FOUR, FOUR_LINES)],
            odd: &["band-range-assumed", "footprint-mismatch"],
        }],
    ),
    // `JL1GF02A_PMS1_20211120110401_200067242_102_0013_001_L1`; no repository. The satellite:
    // miaodashi/SRSProcessSystem @ cb122b7, `monitor_folder.py`, lines 35–36; `…_PAN.tif` and `…_MSS.tif` in one
    // folder: `pansharpen3.py`, lines 56–57.
    (
        "GF02A, both parts in one folder",
        |desk| {
            let stem = "d/JL1GF02A_PMS1_20220516095811_200067242_102_0013_001_L1";
            pair(desk, "JL1GF02A", "PMS1", MAY_2022, &format!("{stem}_PAN"), &format!("{stem}_MSS"))
        },
        &[Expected {
            id: "JL1GF02A_PMS1_20220516095811_200067242_102_0013_001_L1",
            platform: "jl1gf02a",
            instrument: Some("pms1"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE), ("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // From a description: `JL1GF03.html` of the GDB help on catalyst.earth: `*_meta.xml`, `*.tif` with all bands,
    // `*_rpc.txt`, beside browse pictures and a footprint. Name: miaodashi/SRSProcessSystem @ cb122b7,
    // `pansharpen3.py`, lines 56–57 (there in parts). What else there is: GISdeveloper2017/imetadata @ 32a971a,
    // `c_satFilePlugins_jinlin1_pms.py`, lines 66–106 (footprint) and 129–145 (pictures); util.py, lines 391–413.
    (
        "GF03B02, all bands in one file without a part, with what else a delivery holds",
        |desk| {
            let stem = "d/JL1GF03B02_PMS_20220516095811_200084559_101_0008_001_L1";
            let folder = Meta::new("JL1GF03B02", "PMS", MAY_2022, MSS).write(desk, stem);
            for more in ["_thumb.jpg", ".jpg", ".shp", ".shx", ".dbf", ".prj", "_GCP.txt", "_MatchPts.txt", "_qual.xml"]
            {
                write(desk, &format!("{stem}{more}"), "x");
            }
            // Cloud masks of production: Jason001028/sr_agent_platform @ cc274c9,
            // `CloudReview_Update_20260904_ratio_queue_excel_v1_6_15/cloud_review/core.py`, lines 37–55.
            for mask in ["_MSS_Cloud.tif", "_cloud.TIF", "_MSS_RDC_Cloud.tif", "_Combined_Cloud.tif"] {
                tiff(desk, &format!("{stem}{mask}"), &Tiff { bands: 1, bits8: true, ..MSS }, &MAY_2022);
            }
            folder
        },
        &[Expected {
            id: "JL1GF03B02_PMS_20220516095811_200084559_101_0008_001_L1",
            platform: "jl1gf03b02",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // `JL1GF03D13_PMS_20220706111526_200091752_102_0044_001_L1`; no repository. All satellites of `JL1GF`:
    // miaodashi/SRSProcessSystem @ cb122b7, `monitor_folder.py`, line 36.
    (
        "GF03D13",
        |desk| {
            Meta::new("JL1GF03D13", "PMS", MAY_2022, MSS)
                .write(desk, "d/JL1GF03D13_PMS_20220516095811_200091752_102_0044_001_L1_MSS")
        },
        &[Expected {
            id: "JL1GF03D13_PMS_20220516095811_200091752_102_0044_001_L1",
            platform: "jl1gf03d13",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // From a description: `Jilin-1-03B.html` of the GDB help on catalyst.earth: L1A is a single frame.
    // `JL103B_MSS_20170408221619_100001114_101_0013_001_L1A_MSS`; no repository. 8 bits are made up.
    (
        "video satellite 03B, a frame of 8 bits by day",
        |desk| {
            let frame = Tiff { bits8: true, ..RGB };
            let meta = Meta {
                gains: "1.2,1.1,1.0",
                biases: "0,0,0",
                ..Meta::new("JL103B", "MSS", MAY_2022, frame).level("L1A")
            };
            meta.write(desk, "d/JL103B_MSS_20220516095811_100001114_101_0013_001_L1A_MSS")
        },
        &[Expected {
            id: "JL103B_MSS_20220516095811_100001114_101_0013_001_L1A",
            platform: "jl103b",
            instrument: Some("mss"),
            level: Some("L1A"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("MSS", &["R", "G", "B"], &[Some((1.2, 0.0)), Some((1.1, 0.0)), Some((1.0, 0.0))])],
            odd: ASSUMED,
        }],
    ),
    // `JL1GF03C03_MSS_20211231050211_200070556_101_0014_001_L1A_MSS` and
    // `JL107B_MSS1_20210918051525_200061466_101_0025_001_L1A` stand in Earth Engine scripts of A. Sánchez de Miguel
    // (bands R, G, B); no repository.
    (
        "GF03C, night, red first",
        |desk| {
            let meta = Meta::new("JL1GF03C03", "MSS", NIGHT, RGB).level("L1A");
            meta.write(desk, "d/JL1GF03C03_MSS_20210923032103_200070556_101_0014_001_L1A_MSS")
        },
        &[Expected {
            id: "JL1GF03C03_MSS_20210923032103_200070556_101_0014_001_L1A",
            platform: "jl1gf03c03",
            instrument: Some("mss"),
            level: Some("L1A"),
            utc: "2021-09-22T19:21:03Z",
            sun: Some((95.525840, 93.721715)),
            parts: &[("MSS", &["R", "G", "B"], THREE_LINES)],
            odd: ASSUMED,
        }],
    ),
    // As the one before.
    (
        "JL107B, night camera, no part in the name",
        |desk| {
            let meta = Meta::new("JL107B", "MSS1", NIGHT, RGB).level("L1A");
            meta.write(desk, "d/JL107B_MSS1_20210923032103_200061466_101_0025_001_L1A")
        },
        &[Expected {
            id: "JL107B_MSS1_20210923032103_200061466_101_0025_001_L1A",
            platform: "jl107b",
            instrument: Some("mss1"),
            level: Some("L1A"),
            utc: "2021-09-22T19:21:03Z",
            sun: Some((95.525840, 93.721715)),
            parts: &[("MSS", &["R", "G", "B"], THREE_LINES)],
            odd: ASSUMED,
        }],
    ),
    // From a description: `Jilin-1-07B.html` of the GDB help on catalyst.earth names `JL107B_PMS1_…_L1_MSS_meta.xml`.
    // The satellite: miaodashi/SRSProcessSystem @ cb122b7, `monitor_folder.py`, line 33.
    (
        "JL107B by day",
        |desk| {
            let stem = "d/JL107B_PMS1_20220516095811_200061466_101_0025_001_L1";
            pair(desk, "JL107B", "PMS1", MAY_2022, &format!("{stem}_PAN"), &format!("{stem}_MSS"))
        },
        &[Expected {
            id: "JL107B_PMS1_20220516095811_200061466_101_0025_001_L1",
            platform: "jl107b",
            instrument: Some("pms1"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE), ("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
    // Jason001028/sr_agent_platform @ b2ba3d6, `SR_code/sfsr_confgig_test_espan2_cuda1.xml`, line 5: a folder
    // `JXGF07A03_PMS_20260522152409_200508939_107_0004_001_L1_PAN`.
    (
        "GF07 under its own prefix",
        |desk| {
            let stem = "d/JXGF07A03_PMS_20220516095811_200366490_101_0012_001_L1_PAN";
            Meta::new("JXGF07A03", "PMS", MAY_2022, Tiff { gsd: 0.31, ..PAN }).write(desk, stem)
        },
        &[Expected {
            id: "JXGF07A03_PMS_20220516095811_200366490_101_0012_001_L1",
            platform: "jxgf07a03",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("PAN", &["PAN"], PAN_LINE)],
            odd: ASSUMED,
        }],
    ),
    // Files: util.py, lines 285–298, `get_gp_tif_list` (`…_L1_B3.tif`), 335–341, `renameB3rpc` (`…_L1_B3_rpc.txt`),
    // 356–365, `rename_meta` (`…_L1_meta.xml`), and 396 (`cloud.TIF`); an `_rpc.txt` for each `.tif`:
    // miaodashi/SRSProcessSystem @ cb122b7, `ortho/ortho_JL1GP.py`, lines 111–126. Bands by their descriptions, sizes
    // of 5, 10 and 20 m, some missing: go-bananas-wwj/xuannv_embedding @ 046f6cb, `docs/data-preparation-v5.md`, lines
    // 39–40.
    (
        "GP01, a file per band, some missing",
        |desk| {
            let stem = "d/JL1GP01_PMS_20220516095811_200185191_104_0011_001_L1";
            let bands: [(u8, Tiff); 5] = [
                (0, Tiff { gsd: 5.0, names: &["B0(650)"], ..PAN }),
                (3, Tiff { gsd: 5.0, names: &["B3(490)"], ..PAN }),
                (5, Tiff { gsd: 5.0, names: &["B5(665)"], ..PAN }),
                (9, Tiff { gsd: 10.0, rows: 40, cols: 48, names: &["B9(740)"], ..PAN }),
                (13, Tiff { gsd: 20.0, rows: 20, cols: 24, ..PAN }),
            ];
            write(desk, &format!("{stem}_meta.xml"), gp_xml("JL1GP01", MAY_2022, Tiff { gsd: 5.0, bands: 4, ..PAN }));
            for (number, band) in bands {
                tiff(desk, &format!("{stem}_B{number}.tif"), &band, &MAY_2022);
                write(desk, &format!("{stem}_B{number}_rpc.txt"), rpc_txt(&band, &MAY_2022));
            }
            tiff(desk, &format!("{stem}_cloud.TIF"), &Tiff { bits8: true, ..PAN }, &MAY_2022);
            desk.path("d")
        },
        &[Expected {
            id: "JL1GP01_PMS_20220516095811_200185191_104_0011_001_L1",
            platform: "jl1gp01",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[
                ("B0", &["PAN"], &[Some((0.05, -0.2))]),
                ("B3", &["B"], &[Some((0.053, -0.197))]),
                ("B5", &["R"], &[Some((0.055, -0.195))]),
                ("B9", &["B9"], &[Some((0.059, -0.191))]),
                ("B13", &["B13"], &[Some((0.063, -0.187))]),
            ],
            odd: ASSUMED,
        }],
    ),
    // The vendor's own fusion: util.py, lines 373–389, `merge_3456channel` (B3 to B6 in this order), 335–341,
    // `renameB3rpc`, 356–365, `rename_meta` (names), and 488–493 (`FUSMethod`, bits). Lists of all 20 bands, as before
    // the cut of lines 531–534.
    (
        "GP02, fused product of four bands with the lists of all",
        |desk| {
            let stem = "d/JL1GP02_PMS_20220516095811_200185191_104_0011_001_L1C";
            let fused = Tiff { gsd: 3.0, ..MSS };
            let xml =
                gp_xml("JL1GP02", MAY_2022, fused).replace("<DataBits>", "<FUSMethod>B-G-R-NIR</FUSMethod><DataBits>");
            tiff(desk, &format!("{stem}.tif"), &fused, &MAY_2022);
            write(desk, &format!("{stem}_meta.xml"), xml.replace(">L1<", ">L1C<"));
            write(desk, &format!("{stem}_rpc.txt"), rpc_txt(&fused, &MAY_2022));
            desk.path("d")
        },
        &[Expected {
            id: "JL1GP02_PMS_20220516095811_200185191_104_0011_001_L1C",
            platform: "jl1gp02",
            instrument: Some("pms"),
            level: Some("L1C"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[(
                "MSS",
                FOUR,
                &[Some((0.053, -0.197)), Some((0.054, -0.196)), Some((0.055, -0.195)), Some((0.056, -0.194))],
            )],
            odd: ASSUMED,
        }],
    ),
    // Bands by their descriptions: go-bananas-wwj/xuannv_embedding @ 046f6cb, `docs/data-preparation-v5.md`, lines
    // 39–40. One file of them beside a `_meta.xml` is made up.
    (
        "GP01, stacked, bands known by what they are called",
        |desk| {
            let stem = "d/JL1GP01_PMS_20220516095811_200185191_104_0011_001_L1";
            let stack = Tiff { bands: 3, gsd: 5.0, names: &["B6(830)", "B12(865)", "B4(560)"], ..MSS };
            tiff(desk, &format!("{stem}.tif"), &stack, &MAY_2022);
            write(desk, &format!("{stem}_meta.xml"), gp_xml("JL1GP01", MAY_2022, Tiff { bands: 4, ..stack }));
            write(desk, &format!("{stem}_rpc.txt"), rpc_txt(&stack, &MAY_2022));
            desk.path("d")
        },
        &[Expected {
            id: "JL1GP01_PMS_20220516095811_200185191_104_0011_001_L1",
            platform: "jl1gp01",
            instrument: Some("pms"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[(
                "MSS",
                &["N", "B12", "G"],
                &[Some((0.056, -0.194)), Some((0.062, -0.188)), Some((0.054, -0.196))],
            )],
            odd: ASSUMED,
        }],
    ),
    // `JL1KF01C_200101850_001_L5D_PSH.tif`, in a folder of this name and an order suffix, 4 bands of uint16; no
    // repository. Its metadata are made up.
    (
        "mosaic without camera and time in its name, a period in its metadata",
        |desk| {
            let meta = Meta::new("JL1KF01C", "PMSL3", MAY_2022, PSH).level("L5D");
            let stem = "d/JL1KF01C_200101850_001_L5D_PSH";
            let folder = meta.write(desk, stem);
            let xml = meta.xml().replace("<StartTime>2022-05-16 09:58:11", "<StartTime>2022-05-01 00:00:00");
            let xml = xml.replace("<CenterTime>2022-05-16 09:58:11</CenterTime>\n", "");
            write(
                desk,
                &format!("{stem}_meta.xml"),
                xml.replace("<EndTime>2022-05-16 09:58:11", "<EndTime>2022-05-31 00:00:00"),
            );
            folder
        },
        &[Expected {
            id: "JL1KF01C_200101850_001_L5D_PSH",
            platform: "jl1kf01c",
            instrument: Some("pmsl3"),
            level: Some("L5D"),
            utc: "2022-05-15T16:00:00Z",
            sun: SUN_2022,
            parts: &[("PSH", FOUR, FOUR_LINES)],
            odd: &["band-range-assumed", "calibrate/no-time", "footprint-mismatch"],
        }],
    ),
    // `JL1KF01A_20201012092659_200032303_102_001_L5_5m_PAN.tif`; no repository.
    (
        "mosaic with a time and a pixel size in its name",
        |desk| {
            let stem = "d/JL1KF01A_20220516095811_200032303_102_001_L5_5m_PAN";
            tiff(desk, &format!("{stem}.tif"), &Tiff { mapped: true, gsd: 5.0, ..PAN }, &MAY_2022);
            desk.path("d")
        },
        &[Expected {
            id: "JL1KF01A_20220516095811_200032303_102_001_L5_5m",
            platform: "jl1kf01a",
            instrument: None,
            level: Some("L5"),
            utc: "2022-05-16T01:58:11Z",
            sun: None,
            parts: &[("PAN", &["PAN"], &[None])],
            odd: &["band-range-assumed", "calibrate/no-time", "metadata-missing", "time-from-name"],
        }],
    ),
    // Made up: no reader has it.
    (
        "folders with Chinese names, metadata in GBK with the satellite's Chinese name",
        |desk| {
            let stem = "交付/吉林一号/JL1KF01A_PMS06_20220516095811_200183754_101_0009_001_L1_MSS";
            let folder = Meta::new("JL1KF01A", "PMS06", MAY_2022, MSS).write(desk, stem);
            let xml = Meta::new("@", "PMS06", MAY_2022, MSS).xml().replace("UTF-8", "GBK");
            // 吉林一号 in GBK.
            let (before, after) = xml.split_once('@').unwrap();
            let gbk = [before.as_bytes(), &[0xbc, 0xaa, 0xc1, 0xd6, 0xd2, 0xbb, 0xba, 0xc5], after.as_bytes()].concat();
            write(desk, &format!("{stem}_meta.xml"), gbk);
            folder
        },
        &[Expected {
            id: "JL1KF01A_PMS06_20220516095811_200183754_101_0009_001_L1",
            platform: "jl1kf01a",
            instrument: Some("pms06"),
            level: Some("L1"),
            utc: "2022-05-16T01:58:11Z",
            sun: SUN_2022,
            parts: &[("MSS", FOUR, FOUR_LINES)],
            odd: ASSUMED,
        }],
    ),
];
