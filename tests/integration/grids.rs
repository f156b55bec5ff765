//! Grids: zones, degrees and web mercator; the antimeridian; what is refused.

use std::f64::consts::PI;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::delivery::{Delivery, MULTISPECTRAL, SIDECAR, UNIT_R, pipeline, product};
use crate::harness::{Desk, tree};
use crate::image;

/// Half of the world in web mercator, metres.
const HALF: f64 = 20_037_508.342_789_244;

/// West, south, east and north of the tile a cell is named for: `EPSG3857-Z11-X1738-Y0747`.
fn tile(cell: &str) -> [f64; 4] {
    let parts: Vec<&str> = cell.split('-').collect();
    let number = |k: usize, letter: char| parts[k].strip_prefix(letter).unwrap().parse::<f64>().unwrap();
    let (z, x, y) = (number(1, 'Z'), number(2, 'X'), number(3, 'Y'));
    let (west, north, edge) = match parts[0] {
        "EPSG3857" => (-HALF, HALF, 2.0 * HALF / 2f64.powf(z)),
        _ => (-180.0, 90.0, 180.0 / 2f64.powf(z)),
    };
    [west + x * edge, north - (y + 1.0) * edge, west + (x + 1.0) * edge, north - y * edge]
}

/// Longitude and latitude of map coordinates in degrees or web mercator.
fn geographic(system: &str, x: f64, y: f64) -> (f64, f64) {
    match system {
        "EPSG3857" => (x / HALF * 180.0, (y / HALF * PI).sinh().atan().to_degrees()),
        _ => (x, y),
    }
}

/// Cells of a finished run, in the order of their names.
fn cells(desk: &Desk) -> Vec<String> {
    let names = tree(&desk.path("out/farm")).into_keys().filter(|n| n.ends_with("/item.json"));
    let cells = names.map(|n| n.split('/').next().unwrap().to_owned()).filter(|n| n != "scenes");
    cells.collect()
}

/// Files of a product below `out`, with the cells they belong to.
fn files(desk: &Desk, ending: &str) -> Vec<(String, PathBuf)> {
    let names = tree(&desk.path("out")).into_keys().filter(|n| n.ends_with(ending));
    names.map(|n| (n.split('/').nth(1).unwrap().to_owned(), desk.path("out").join(n))).collect()
}

/// The scene on the border of a zone and the size of products on each kind of grid: `geometry` lines, and how cells are named.
const KINDS: [(&str, &str); 8] = [
    ("crs = \"utm\"\nresolution = 24.0", "UTM51N-7680-"),
    ("crs = \"utm:52N\"\nresolution = 24.0", "UTM52N-7680-"),
    ("crs = \"cgcs2000-gk\"\nresolution = 24.0", "EPSG4530-7680-E55"),
    ("crs = \"cgcs2000-gk6:cm\"\nresolution = 24.0", "EPSG4510-7680-E00"),
    ("crs = \"EPSG:4490\"\nzoom = 12", "EPSG4490-Z11-X34"),
    ("crs = \"EPSG:4326\"\nresolution = 0.000171661376953125", "EPSG4326-Z11-X34"),
    ("crs = \"web-mercator\"\nzoom = 12", "EPSG3857-Z11-X17"),
    ("crs = \"web-mercator\"\nresolution = 38.21851414", "EPSG3857-Z11-X17"),
];

#[test]
fn every_kind_of_grid_takes_sensor_geometry_and_maps_and_what_stands_is_valid() {
    // Valid pixels in UTM: those of sensor geometry, and of the map.
    let mut in_utm = [0.0, 0.0];
    for (k, (lines, name)) in KINDS.into_iter().enumerate() {
        let dem = Delivery::L1.folder().join("dem.tif");
        let height = format!("height = {{ dem = '{}', datum = \"ellipsoid\" }}", dem.display());
        let modes = [(format!("mode = \"ortho\"\n{height}"), Delivery::L1), ("mode = \"grid\"".into(), Delivery::L3)];
        for (in_utm, (mode, delivery)) in in_utm.iter_mut().zip(modes) {
            let desk = Desk::new();
            let text = pipeline("toa", &format!("{mode}\n{lines}"), MULTISPECTRAL);
            desk.run(&text, &[&delivery.folder()], &[]).ends_with(0);
            desk.fieldglow(["validate", "out"]).ends_with(0);
            let cells = cells(&desk);
            assert!(!cells.is_empty() && cells.iter().all(|c| c.starts_with(name)), "{lines}: {cells:?}");
            let mut valid = 0u32;
            for (cell, file) in files(&desk, "/ndvi.tif") {
                let image = image::read(&file);
                if k >= 4 {
                    let [west, _, east, north] = tile(&cell);
                    let [x0, dx, _, y0, _, dy] = image.transform;
                    assert!((x0 - west).abs() < 1e-6 * dx && (y0 - north).abs() < 1e-6 * dx, "{cell}");
                    assert!((x0 + dx * image.cols as f64 - east).abs() < 1e-6 * dx && dx == -dy, "{cell}");
                    assert_eq!((image.rows, image.cols), (512, 512));
                }
                valid += image.bands[0].iter().filter(|v| **v != -32768.0).count() as u32;
            }
            if k == 0 {
                assert!(valid > 19_000, "{lines}: {valid}");
                *in_utm = f64::from(valid);
            }
            // Pixels of 24 m, of 19.1 m × 13.8 m, or of 27.5 m.
            let expected = *in_utm
                * if k < 4 {
                    1.0
                } else if k < 6 {
                    2.19
                } else {
                    0.7585
                };
            assert!((f64::from(valid) / expected - 1.0).abs() < 0.01, "{lines}: {valid} valid, not {expected}");
        }
    }
}

/// A scene of one band in longitude and latitude, `lon` and `lat` being its upper left corner; its numbers grow evenly, and
/// bilinear interpolation leaves such a plane as it is.
fn plane(desk: &Desk, (lon, lat): (f64, f64), pixel: f64, (rows, cols): (usize, usize)) -> PathBuf {
    let folder = desk.path("plane");
    fs::create_dir_all(&folder).unwrap();
    let dn = (0..rows * cols).map(|k| (1000 + 20 * (k % cols) + 10 * (k / cols)) as u16).collect();
    image::write::<u16>(&folder.join("a.tif"), (rows, cols), &[dn], Some((4326, [lon, pixel, 0.0, lat, 0.0, -pixel])));
    let part = "[[part]]\nname = \"MSS\"\nimage = \"a.tif\"\nfill = 0\n[[part.band]]\nindex = 1\n";
    fs::write(folder.join("scene.toml"), format!("{SIDECAR}{part}{UNIT_R}\n")).unwrap();
    folder
}

const RED: &str = "[[product]]\nname = \"r\"\nkind = \"bands\"\nbands = [\"R\"]\ntype = \"float32\"\n";

#[test]
fn a_scene_across_the_antimeridian_has_cells_on_both_sides_with_their_own_pixels() {
    // Into the east by degrees beyond 180, as such images are often written.
    let (west, north, pixel, size) = (179.99, 51.01, 1e-4, (160, 200));
    for (lines, system) in [
        ("crs = \"EPSG:4490\"\nzoom = 13", "EPSG4490"),
        ("crs = \"EPSG:4326\"\nzoom = 13", "EPSG4326"),
        ("crs = \"web-mercator\"\nzoom = 14", "EPSG3857"),
    ] {
        let desk = Desk::new();
        let scene = plane(&desk, (west, north), pixel, size);
        desk.run(&pipeline("toa", &format!("mode = \"grid\"\n{lines}"), RED), &[&scene], &[]).ends_with(0);
        desk.fieldglow(["validate", "out"]).ends_with(0);
        let (mut on_the_west, mut on_the_east) = (0, 0);
        for (cell, file) in files(&desk, "/r.tif") {
            let image = image::read(&file);
            for (k, value) in image.bands[0].iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let (col, row) = ((k % image.cols) as f64 + 0.5, (k / image.cols) as f64 + 0.5);
                let [x0, dx, _, y0, _, dy] = image.transform;
                let (lon, lat) = geographic(system, x0 + dx * col, y0 + dy * row);
                let turn = if lon < 0.0 { 360.0 } else { 0.0 };
                *(if lon < 0.0 { &mut on_the_east } else { &mut on_the_west }) += 1;
                let (c, r) = ((lon + turn - west) / pixel - 0.5, (north - lat) / pixel - 0.5);
                // Positions are interpolated to 0.002 pixel, which is 4e-6 here. At the rim the value of the last pixel goes on.
                let (c, r) = (c.clamp(0.0, size.1 as f64 - 1.0), r.clamp(0.0, size.0 as f64 - 1.0));
                let expected = 1e-4 * (1000.0 + 20.0 * c + 10.0 * r);
                assert!((value - expected).abs() < 6e-6, "{cell} {lon} {lat}: {value}, not {expected}");
            }
        }
        assert!(on_the_west > 1000 && on_the_east > 1000, "{lines}: {on_the_west} {on_the_east}");
        // 200 × 160 pixels of 1e-4 degrees.
        let pixel_deg =
            if system == "EPSG3857" { 360.0 / 2f64.powi(14) / 256.0 } else { 180.0 / 2f64.powi(13) / 256.0 };
        let stretch = if system == "EPSG3857" { 51f64.to_radians().cos() } else { 1.0 };
        let expected = 200.0 * 160.0 * 1e-8 / (pixel_deg * pixel_deg * stretch);
        let found = f64::from(on_the_west + on_the_east);
        assert!((found / expected - 1.0).abs() < 0.05, "{lines}: {found}, not {expected}");
        let cells = cells(&desk);
        assert!(
            cells.iter().any(|c| c.contains("-X0000-")) && cells.iter().any(|c| !c.contains("-X0000-")),
            "{cells:?}"
        );
        boxes_are_of_the_scenes_own_size(&desk);
    }
}

#[test]
fn zones_60_and_1_each_take_a_whole_scene_across_the_antimeridian() {
    for zone in ["60N", "1N"] {
        let desk = Desk::new();
        let scene = plane(&desk, (179.99, 51.01), 1e-4, (160, 200));
        let geometry = format!("mode = \"grid\"\ncrs = \"utm:{zone}\"\nresolution = 10.0");
        desk.run(&pipeline("toa", &geometry, RED), &[&scene], &[]).ends_with(0);
        desk.fieldglow(["validate", "out"]).ends_with(0);
        let valid: usize = files(&desk, "/r.tif")
            .iter()
            .map(|(_, f)| image::read(f).bands[0].iter().filter(|v| !v.is_nan()).count())
            .sum();
        // 0.02° by 0.016° at latitude 51.
        let expected = 0.02 * 111_320.0 * 51f64.to_radians().cos() * 0.016 * 111_250.0 / 100.0;
        assert!((valid as f64 / expected - 1.0).abs() < 0.03, "{zone}: {valid}, not {expected}");
        boxes_are_of_the_scenes_own_size(&desk);
    }
}

#[test]
fn an_area_beside_the_antimeridian_takes_the_cells_it_touches() {
    let desk = Desk::new();
    let scene = plane(&desk, (179.99, 51.01), 1e-4, (160, 200));
    let square = |west: f64, east: f64| {
        format!(
            "{{\"type\": \"Polygon\", \"coordinates\": [[[{west}, 51.0], [{east}, 51.0], [{east}, 51.005], [{west}, 51.005], [{west}, 51.0]]]}}"
        )
    };
    for lines in ["crs = \"EPSG:4490\"\nzoom = 13", "crs = \"web-mercator\"\nzoom = 14"] {
        let text = pipeline("toa", &format!("mode = \"grid\"\n{lines}"), RED);
        for (west, east, first_column, others) in
            [(-179.996, -179.994, true, false), (179.994, 179.996, false, true), (179.994, 180.006, true, true)]
        {
            desk.write("area.geojson", square(west, east));
            let plan = desk.plan(&text, &scene, &["--aoi", "area.geojson"]);
            let cells: Vec<String> = plan["cells"].as_array().unwrap().iter().map(Value::to_string).collect();
            let touches = |wanted: bool| cells.iter().any(|c| c.contains("-X0000-") == wanted);
            assert_eq!((touches(true), touches(false)), (first_column, others), "{lines} {west}: {cells:?}");
        }
    }
}

/// No Item goes round the earth, and the scene's own crosses the antimeridian as RFC 7946 has it.
fn boxes_are_of_the_scenes_own_size(desk: &Desk) {
    let items: Vec<(String, Value)> = tree(&desk.path("out"))
        .into_iter()
        .filter(|(n, _)| n.ends_with("/item.json"))
        .map(|(n, bytes)| (n, serde_json::from_slice(&bytes).unwrap()))
        .collect();
    for (name, item) in &items {
        let edge = |k: usize| item["bbox"][k].as_f64().unwrap();
        let width = (edge(2) - edge(0)).rem_euclid(360.0);
        assert!(width > 0.0 && width < 0.03, "{name}: {}", item["bbox"]);
    }
    let (_, scene) = items.iter().find(|(n, _)| n.contains("/scenes/")).unwrap();
    assert!(scene["bbox"][0].as_f64() > scene["bbox"][2].as_f64(), "{}", scene["bbox"]);
    assert_eq!(scene["geometry"]["type"], "MultiPolygon");
    // The picture of the scene is one of the scene, not of the world.
    let names = tree(&desk.path("out")).into_keys().filter(|n| n.contains("/scenes/") && n.ends_with("/thumbnail.png"));
    for name in names {
        let (cols, rows) = image::open(&desk.path("out").join(name)).raster_size();
        assert!(cols > 50 && rows > 50, "{rows} × {cols}");
    }
}

#[test]
fn what_no_grid_can_take_is_refused_with_what_to_do() {
    let desk = Desk::new();
    let scene = plane(&desk, (10.0, 85.1), 1e-3, (40, 40));
    let grid = |lines: &str| pipeline("toa", &format!("mode = \"grid\"\n{lines}"), RED);
    let said = desk.run(&grid("crs = \"web-mercator\"\nzoom = 11"), &[&scene], &[]).ends_with(3);
    said.says(&["WebMercatorQuad", "85.06", "UTM"]);
    let said = desk.run(&grid("crs = \"cgcs2000-gk\"\nresolution = 30.0"), &[&scene], &[]).ends_with(3);
    said.says(&["longitude 10.0", "73.5 to 136.5", "`utm`"]);
    for (lines, said) in [
        ("crs = \"utm\"\nzoom = 17", "no levels"),
        ("crs = \"EPSG:4490\"\nzoom = 30", "from 6 to 22"),
        ("crs = \"EPSG:4490\"", "write `zoom`"),
        ("crs = \"EPSG:4490\"\nresolution = 3.0", "`zoom = 6`"),
        ("crs = \"web-mercator\"\nresolution = 1.2", "1.194328566955879"),
        ("crs = \"web-mercator\"\nresolution = 1.194328567\nzoom = 17", "either"),
        ("crs = \"EPSG:4214\"\nresolution = 1e-5", "`EPSG:4490`"),
        ("crs = \"cgcs2000-gk3:125\"\nresolution = 3.0", "multiple of 3"),
        ("crs = \"utm:61\"\nresolution = 3.0", "zones 1 to 60"),
    ] {
        desk.run(&grid(lines), &[&scene], &[]).ends_with(1).says(&["geometry.", said]);
    }
    let coarse = format!("{RED}{}", product("qa", "kind = \"qa\"\nzoom = 6"));
    let text = pipeline("toa", "mode = \"grid\"\ncrs = \"web-mercator\"\nzoom = 22", &coarse);
    desk.run(&text, &[&scene], &[]).ends_with(1).says(&["product.qa.zoom", "coarser than the cells"]);
}

#[test]
fn a_plan_says_the_level_and_the_size_on_the_ground() {
    let desk = Desk::new();
    let scene = plane(&desk, (125.3, 44.0), 1e-4, (60, 60));
    let products = format!("{RED}{}", product("fine", "kind = \"qa\"\nbands = [\"R\"]\nzoom = 15"));
    let text = pipeline("toa", "mode = \"grid\"\ncrs = \"web-mercator\"\nzoom = 13", &products);
    let plan = desk.plan(&text, &scene, &[]);
    let product = |k: usize| &plan["products"][k];
    assert_eq!((&product(0)["zoom"], &product(1)["zoom"]), (&13.into(), &15.into()));
    let (map, ground) = (product(1)["pixel"].as_f64().unwrap(), product(1)["pixel_m"].as_f64().unwrap());
    assert!((map - 2.0 * HALF / 256.0 / 32768.0).abs() < 1e-9);
    // The scale of the ellipsoid differs from the sphere's by less than a third of a percent.
    assert!((ground / (map * 43.997f64.to_radians().cos()) - 1.0).abs() < 0.004, "{ground}");
    assert!(plan["cells"].to_string().contains("EPSG3857-Z12-"), "{plan}");
}

/// A scene of one band in some system, with the numbers 1, 2, 3 … and a hole.
fn counted(desk: &Desk, epsg: u32, transform: [f64; 6], (rows, cols): (usize, usize)) -> PathBuf {
    let folder = desk.path("counted");
    fs::create_dir_all(&folder).unwrap();
    let dn = (0..rows * cols).map(|k| if k == 2 * cols + 3 { 0 } else { k as u16 + 1 }).collect();
    image::write::<u16>(&folder.join("a.tif"), (rows, cols), &[dn], Some((epsg, transform)));
    let part = "[[part]]\nname = \"MSS\"\nimage = \"a.tif\"\nfill = 0\n[[part.band]]\nindex = 1\n";
    fs::write(folder.join("scene.toml"), format!("{SIDECAR}{part}{UNIT_R}\n")).unwrap();
    folder
}

const SNAPPED: &str =
    "[[product]]\nname = \"r\"\nkind = \"bands\"\nbands = [\"R\"]\n[[product]]\nname = \"qa\"\nkind = \"qa\"\n";

#[test]
fn snapped_pixels_are_the_inputs_own_and_the_shift_is_recorded() {
    let degrees = 180.0 / 2f64.powi(13) / 256.0;
    // Corners a little off those of the grid's pixels.
    for (epsg, lines, pixel, corner, shift) in [
        (32651, "crs = \"utm\"\nresolution = 10.0", 10.0, (690_003.0, 4_859_998.0), (-3.0, 2.0)),
        (
            4326,
            "crs = \"EPSG:4326\"\nzoom = 13",
            degrees,
            (-180.0 + 3_560_000.25 * degrees, 90.0 - 537_000.375 * degrees),
            (-0.25 * degrees, 0.375 * degrees),
        ),
    ] {
        let desk = Desk::new();
        let (rows, cols) = (60, 70);
        let scene = counted(&desk, epsg, [corner.0, pixel, 0.0, corner.1, 0.0, -pixel], (rows, cols));
        let text = pipeline("toa", &format!("mode = \"grid\"\n{lines}\nsnap = true"), SNAPPED);
        desk.run(&text, &[&scene], &[]).ends_with(0);
        desk.fieldglow(["validate", "out"]).ends_with(0);
        let mut seen = 0;
        for (cell, file) in files(&desk, "/r.tif") {
            let made = image::read(&file);
            let states = image::read(&file.with_file_name("qa.tif"));
            let at = |v: f64, from: f64, step: f64| ((v - from) / step).round() as i64;
            let col0 = at(made.transform[0], corner.0 + shift.0, pixel);
            let row0 = at(made.transform[3], corner.1 + shift.1, -pixel);
            for (k, value) in made.bands[0].iter().enumerate() {
                let (r, c) = (row0 + (k / made.cols) as i64, col0 + (k % made.cols) as i64);
                let inside = (0..rows as i64).contains(&r) && (0..cols as i64).contains(&c) && (r, c) != (2, 3);
                let own = if inside { (r * cols as i64 + c + 1) as f64 } else { -32768.0 };
                assert_eq!(*value, own, "{cell}, row {r}, col {c}");
                assert_eq!(states.bands[0][k], if inside { 0.0 } else { 1.0 }, "{cell}, row {r}, col {c}");
                seen += usize::from(inside);
            }
        }
        assert_eq!(seen, rows * cols - 1);
        for (_, bytes) in tree(&desk.path("out")).into_iter().filter(|(name, _)| name.ends_with("/item.json")) {
            let item: Value = serde_json::from_slice(&bytes).unwrap();
            let moved = &item["properties"]["fieldglow:geometry"]["snap"]["MSS"];
            let off = |k: usize, expected: f64| (moved[k].as_f64().unwrap() - expected).abs();
            assert!(off(0, shift.0) < 1e-6 * pixel && off(1, shift.1) < 1e-6 * pixel, "{moved}");
        }
    }
}

#[test]
fn pixels_that_are_not_the_grids_are_not_snapped() {
    let desk = Desk::new();
    let square = [690_003.0, 10.0, 0.0, 4_859_998.0, 0.0, -10.0];
    let text = |lines: &str| pipeline("toa", &format!("mode = \"grid\"\n{lines}\nsnap = true"), SNAPPED);
    let scene = counted(&desk, 32651, square, (60, 70));
    let said = desk.run(&text("resolution = 20.0"), &[&scene], &[]).ends_with(3);
    said.says(&["part MSS", "10 by 10", "the product 20", "`geometry.snap`"]);
    let said = desk.run(&text("crs = \"utm:52N\"\nresolution = 10.0"), &[&scene], &[]).ends_with(3);
    said.says(&["EPSG:32651", "EPSG:32652"]);
    let turned = counted(&desk, 32651, [690_003.0, 10.0, 0.5, 4_859_998.0, 0.5, -10.0], (60, 70));
    desk.run(&text("resolution = 10.0"), &[&turned], &[]).ends_with(3).says(&["turned"]);
    let native = pipeline("toa", "mode = \"native\"\nsnap = true", SNAPPED);
    desk.run(&native, &[&scene], &[]).ends_with(1).says(&["geometry.snap", "mode `grid`"]);
}
