//! The commands around `run`, and readers that are not ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tiff::decoder::{Decoder, DecodingResult};

use crate::delivery::{Delivery, MULTISPECTRAL, farm, finished, native, ortho};
use crate::harness::{Desk, assert_same_objects, copy, tree};
use crate::image;

#[test]
fn the_schema_is_json_and_knows_the_sections() {
    let schema = Desk::new().fieldglow(["check", "--schema"]).ends_with(0).json();
    for section in ["schema", "name", "input", "radiometry", "geometry", "product", "output"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn check_prints_the_resolved_pipeline() {
    let desk = Desk::new();
    desk.write("p.toml", farm());
    let resolved = desk.fieldglow(["check", "p.toml", "--set", "output.compression=deflate"]).ends_with(0).json();
    assert_eq!(resolved["output"]["compression"], "deflate");
    assert_eq!(resolved["product"].as_array().unwrap().len(), 5);
    assert_eq!(resolved["product"][3]["resolution"], 6.0);
}

/// The pipelines that come with the program.
fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_shipped_pipeline_is_right_and_can_be_planned() {
    let desk = Desk::new();
    let dem = format!("geometry.height.dem={}", Delivery::L1.folder().join("dem.tif").display());
    let night = desk.path("night");
    let simulate = ["simulate".as_ref(), night.as_os_str(), "--night".as_ref(), "--size".as_ref(), "64".as_ref()];
    desk.fieldglow(simulate).ends_with(0);
    let before = tree(&desk.path("."));
    for file in shipped() {
        let path = file.to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let scene = if text.contains("kind = \"night\"") { night.clone() } else { Delivery::L1.folder() };
        let asks = text.contains("dem = ");
        let set = if asks { vec!["--set", dem.as_str()] } else { Vec::new() };
        let with = |args: &[&'static str]| -> Vec<String> {
            let scene = if args[0] == "plan" { scene.to_str() } else { None };
            let all = [args[0], path].into_iter().chain(scene).chain(args[1..].iter().copied());
            all.chain(set.iter().copied()).map(str::to_owned).collect()
        };
        let resolved = desk.fieldglow(with(&["check"])).ends_with(0).json();
        let plan = desk.fieldglow(with(&["plan", "--json"])).ends_with(0).json();
        let plan = &plan[0];
        let names =
            |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|p| p["name"].clone()).collect() };
        let (mut asked, mut planned) = (names(&resolved["product"]), names(&plan["products"]));
        asked.sort_by_key(Value::to_string);
        planned.sort_by_key(Value::to_string);
        assert_eq!(asked, planned, "{path}");
        assert_eq!((&plan["crs"], &plan["fits"]), (&"EPSG:32651".into(), &true.into()), "{path}");
        assert!(!plan["cells"].as_array().unwrap().is_empty(), "{path}");
        assert_same_objects(&before, &tree(&desk.path(".")));
    }
}

#[test]
fn plan_counts_pixels_and_bytes_of_all_products() {
    let plan = Desk::new().plan(&farm(), &Delivery::L1.folder(), &[]);
    // 320² pixels of 6 samples and 1280² of 2, 2 bytes each, in two cells.
    assert_eq!(plan["cells"][0]["pixels"], 320 * 320 + 1280 * 1280);
    assert_eq!(plan["uncompressed_bytes"], 2 * (320 * 320 * 6 + 1280 * 1280 * 2) * 2);
}

#[test]
fn inspect_shows_roles_time_and_coefficients() {
    let folder = Delivery::L1.folder();
    let shown = Desk::new().fieldglow(["inspect", folder.to_str().unwrap(), "--json"]).ends_with(0).json();
    let scene = &shown[0];
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!(scene["id"], Delivery::L1.id());
    assert_eq!(scene["time"], "2026-07-15T02:30:00Z");
    assert_eq!(
        (&scene["time_original"], &scene["time_original_offset"]),
        (&"2026-07-15 10:30:00".into(), &"+08:00".into())
    );
    assert_eq!((&scene["platform"], &scene["level"]), (&"jl1kf01a".into(), &"L1".into()));
    let zenith = 90.0 - Delivery::L1.numbers("MSS", "SolarElevation")[0];
    assert!((scene["sun_zenith_deg"].as_f64().unwrap() - zenith).abs() < 1e-9);
    for (part, name, roles, size) in
        [(0, "PAN", vec!["PAN"], (524, 640)), (1, "MSS", vec!["B", "G", "R", "N"], (131, 160))]
    {
        let shown = &scene["parts"][part];
        assert_eq!((&shown["name"], &shown["rows"], &shown["cols"]), (&name.into(), &size.0.into(), &size.1.into()));
        assert_eq!((&shown["place"], &shown["data_bits"], &shown["fill"]), (&"rpc".into(), &12.into(), &0.0.into()));
        let (gains, biases) =
            (Delivery::L1.numbers(name, "AbsCalibrationGain"), Delivery::L1.numbers(name, "AbsCalibrationBias"));
        for (k, role) in roles.iter().enumerate() {
            let band = &shown["bands"][k];
            let radiance = &band["calibration"]["radiance"];
            assert_eq!((&band["role"], &band["index"]), (&(*role).into(), &(k + 1).into()));
            assert_eq!((&radiance["gain"], &radiance["bias"]), (&gains[k].into(), &biases[k].into()));
        }
    }
}

#[test]
fn inspect_lists_bands_as_comma_separated_values() {
    let folder = Delivery::L1.folder();
    let said = Desk::new().fieldglow(["inspect", folder.to_str().unwrap(), "--csv"]).ends_with(0);
    let lines: Vec<Vec<&str>> = said.stdout.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 5);
    let of = |line: usize, name: &str| lines[line][lines[0].iter().position(|head| *head == name).unwrap()];
    for (line, (part, role)) in
        [("PAN", "PAN"), ("MSS", "B"), ("MSS", "G"), ("MSS", "R"), ("MSS", "N")].into_iter().enumerate()
    {
        let line = line + 1;
        assert_eq!((of(line, "scene"), of(line, "part"), of(line, "role")), (&*Delivery::L1.id(), part, role));
        assert_eq!((of(line, "time"), of(line, "place")), ("2026-07-15T02:30:00Z", "rpc"));
    }
    let gains = Delivery::L1.numbers("MSS", "AbsCalibrationGain");
    assert_eq!((of(3, "calibration"), of(3, "gain").parse::<f64>().unwrap()), ("radiance", gains[1]));
    Desk::new().fieldglow(["inspect", folder.to_str().unwrap(), "--csv", "--json"]).ends_with(1);
}

#[test]
fn inspect_goes_on_behind_a_delivery_it_cannot_read() {
    let desk = Desk::new();
    let good = Delivery::L1.folder();
    let said = desk.fieldglow(["inspect", "nowhere", good.to_str().unwrap(), "--json"]).ends_with(2).says(&["nowhere"]);
    assert_eq!(said.json().as_array().unwrap().len(), 1);
    desk.fieldglow(["inspect", "nowhere"]).ends_with(3);
}

#[test]
fn the_report_agrees_with_the_files() {
    let desk = Desk::new();
    let said = desk.run(&farm(), &[&Delivery::L1.folder()], &["--json", "--report", "report.json"]).ends_with(0);
    let report = said.json();
    let filed: Value = serde_json::from_slice(&fs::read(desk.path("report.json")).unwrap()).unwrap();
    assert_eq!(report, filed);
    let scene = &report["scenes"][0];
    let objects = tree(&desk.path("out"));
    let bytes: usize = objects.iter().filter(|(n, _)| !n.ends_with("collection.json")).map(|(_, b)| b.len()).sum();
    assert_eq!(scene["bytes_written"], bytes);
    let cells = scene["cells_written"].as_array().unwrap();
    let items = objects.keys().filter(|n| n.ends_with("item.json") && !n.contains("/scenes/"));
    assert_eq!(cells.len(), items.clone().count());
    assert!(items.into_iter().all(|n| cells.contains(&n.split('/').nth(1).unwrap().into())));
    assert_eq!((&scene["outcome"], &scene["error"], &report["error"]), (&"done".into(), &Value::Null, &Value::Null));
    assert!(objects.keys().any(|n| n.contains(&scene["key"].as_str().unwrap()[..8])));
}

#[test]
fn the_report_names_the_scene_that_failed_and_why() {
    let desk = Desk::new();
    let scenes = [&*Delivery::Far.folder(), &Delivery::Other.folder()];
    let report = desk.run(&ortho(MULTISPECTRAL), &scenes, &["--json"]).ends_with(2).json();
    let (bad, good) = (&report["scenes"][0], &report["scenes"][1]);
    assert_eq!((&bad["scene"], &bad["outcome"]), (&Delivery::Far.id().into(), &"failed".into()));
    assert_eq!(bad["error"]["class"], "input");
    assert!(bad["error"]["message"].as_str().unwrap().contains("dem.tif"));
    assert_eq!(good["outcome"], "done");
}

#[test]
fn progress_as_json_is_an_object_per_line_and_off_is_silent() {
    let desk = Desk::new();
    let folder = Delivery::Small.folder();
    let said = desk.run(&ortho(MULTISPECTRAL), &[&folder], &["--progress", "json", "--json"]).ends_with(0);
    said.json();
    let lines: Vec<Value> = said.stderr.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|e| **e == "cell-done").count(), 2, "{events:?}");
    assert_eq!(events.last(), Some(&"scene-done"));
    let said = desk.run(&ortho(MULTISPECTRAL), &[&folder], &["--progress", "off", "--json"]).ends_with(0);
    assert_eq!(said.stderr, "");
}

#[test]
fn help_and_version_go_to_standard_output_and_succeed() {
    let desk = Desk::new();
    assert!(desk.fieldglow(["--help"]).ends_with(0).stdout.contains("Exit codes"));
    assert!(desk.fieldglow(["--version"]).ends_with(0).stdout.contains(env!("CARGO_PKG_VERSION")));
    assert!(desk.fieldglow(["run", "--help"]).ends_with(0).stdout.contains("--memory"));
}

/// A copy of the finished outputs and its larger panchromatic product.
fn copied() -> (Desk, PathBuf) {
    let desk = Desk::new();
    copy(finished(), &desk.path("out"));
    let name = tree(finished()).into_keys().find(|n| n.ends_with("/pan.tif")).unwrap();
    let path = desk.path("out").join(name);
    (desk, path)
}

/// What `validate --json` says of everything below `out` that is not valid.
fn invalid(desk: &Desk) -> Vec<(String, String)> {
    let verdicts = desk.fieldglow(["validate", "out", "--json"]).ends_with(2).json();
    let bad = verdicts.as_array().unwrap().iter().filter(|v| v["valid"] == json!(false));
    bad.map(|v| (v["path"].as_str().unwrap().to_owned(), v["errors"].to_string())).collect()
}

#[test]
fn validate_finds_flipped_pixels_by_the_items_checksum() {
    let (desk, path) = copied();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&path, bytes).unwrap();
    let bad = invalid(&desk);
    assert!(
        bad.iter().any(|(p, e)| p.ends_with("item.json") && e.contains("file:checksum") && e.contains("pan.tif")),
        "{bad:?}"
    );
}

#[test]
fn validate_finds_a_broken_directory() {
    let (desk, path) = copied();
    let mut bytes = fs::read(&path).unwrap();
    // TileWidth, tag 322, of the first directory: a LONG of 512 becomes one of 500.
    let entry = [&322u16.to_le_bytes()[..], &4u16.to_le_bytes(), &1u32.to_le_bytes(), &512u32.to_le_bytes()].concat();
    let at = bytes.windows(entry.len()).position(|w| w == entry).unwrap();
    bytes[at + 8..at + 10].copy_from_slice(&500u16.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let bad = invalid(&desk);
    assert!(
        bad.iter().any(|(p, e)| p.ends_with("pan.tif") && e.contains("C3: ") && e.contains("500 × 512")),
        "{bad:?}"
    );
}

#[test]
fn validate_finds_missing_files_and_altered_documents() {
    let (desk, path) = copied();
    fs::remove_file(&path).unwrap();
    let collection = desk.path("out/farm/collection.json");
    let text = fs::read_to_string(&collection).unwrap();
    fs::write(&collection, text.replace("\"license\"", "\"lisence\"")).unwrap();
    let bad = invalid(&desk);
    assert!(bad.iter().any(|(p, e)| p.ends_with("item.json") && e.contains("pan.tif")), "{bad:?}");
    assert!(bad.iter().any(|(p, e)| p.ends_with("collection.json") && e.contains("license")), "{bad:?}");
    assert_eq!(bad.len(), 2, "{bad:?}");
}

/// Checks that the `tiff` crate reads every level as GDAL does; `values` are its samples in f64.
fn assert_read_alike(path: &Path, values: impl Fn(DecodingResult) -> Vec<f64>) {
    let mut decoder = Decoder::new(fs::File::open(path).unwrap()).unwrap();
    for (k, level) in image::levels(path).iter().enumerate() {
        decoder.seek_to_image(k).unwrap();
        assert_eq!(decoder.dimensions().unwrap(), (level.cols as u32, level.rows as u32));
        let bands = level.bands.len();
        let found = values(decoder.read_image().unwrap());
        assert_eq!(found.len(), bands * level.rows * level.cols);
        let same = |(i, v): (usize, &f64)| v.to_bits() == level.bands[i % bands][i / bands].to_bits();
        assert!(found.iter().enumerate().all(same), "level {k} of {}", path.display());
    }
}

#[test]
fn an_independent_reader_decodes_deflate_products_as_gdal_does() {
    let desk = Desk::new();
    let more = ["--set", "output.compression=deflate", "--set", "product.ndvi.type=float32"];
    desk.run(&native("toa", MULTISPECTRAL), &[&Delivery::L3.folder()], &more).ends_with(0);
    let pan = Desk::new();
    let scene = [&*Delivery::L1.folder()];
    pan.run(&farm(), &scene, &["--set", "output.compression=deflate", "--cells", "UTM51N-7680-E0089-N0632"])
        .ends_with(0);
    let i16s = |r| match r {
        DecodingResult::I16(v) => v.into_iter().map(f64::from).collect(),
        other => panic!("{other:?}"),
    };
    let u16s = |r| match r {
        DecodingResult::U16(v) => v.into_iter().map(f64::from).collect(),
        other => panic!("{other:?}"),
    };
    let f32s = |r| match r {
        DecodingResult::F32(v) => v.into_iter().map(f64::from).collect(),
        other => panic!("{other:?}"),
    };
    assert_read_alike(&desk.object("/reflectance.tif"), i16s);
    assert_read_alike(&pan.object("/pan.tif"), i16s);
    assert_read_alike(&pan.object("/pan-qa.tif"), u16s);
    assert_read_alike(&desk.object("/ndvi.tif"), f32s);
}
