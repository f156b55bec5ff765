//! Heights: tiles, geoids, datums, voids, and what is said of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use gdal::DriverManager;
use gdal::raster::Buffer;
use gdal::spatial_ref::SpatialRef;
use serde_json::{Value, json};

use crate::delivery::{Delivery, MULTISPECTRAL, pipeline};
use crate::harness::{Desk, Said, tree};
use crate::image::{self, Image};

const VOID: f64 = -9999.0;

/// Rows and columns of a raster: first row, first column, number of rows and columns.
type Cut = (usize, usize, usize, usize);

/// The DEM of the L1 delivery.
fn dem() -> Image {
    image::read(&Delivery::L1.folder().join("dem.tif"))
}

fn whole() -> Cut {
    let dem = dem();
    (0, 0, dem.rows, dem.cols)
}

/// Writes a part of the L1 delivery's DEM, `f` of (row, col, height), with [`VOID`] declared.
fn write(desk: &Desk, name: &str, cut: Cut, srs: &str, f: impl Fn(usize, usize, f64) -> f64) -> PathBuf {
    write_part(&dem(), desk, name, cut, srs, f)
}

fn write_part(
    dem: &Image,
    desk: &Desk,
    name: &str,
    (row, col, rows, cols): Cut,
    srs: &str,
    f: impl Fn(usize, usize, f64) -> f64,
) -> PathBuf {
    let at = |r: usize, c: usize| f(r, c, dem.bands[0][r * dem.cols + c]) as f32;
    let heights = (row..row + rows).flat_map(|r| (col..col + cols).map(move |c| (r, c))).map(|(r, c)| at(r, c));
    let mut transform = dem.transform;
    transform[0] += transform[1] * col as f64;
    transform[3] += transform[5] * row as f64;
    let path = desk.write(name, "");
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut d = driver.create_with_band_type::<f32, _>(&path, cols, rows, 1).unwrap();
    d.set_spatial_ref(&SpatialRef::from_definition(srs).unwrap()).unwrap();
    d.set_geo_transform(&transform).unwrap();
    let mut band = d.rasterband(1).unwrap();
    band.set_no_data_value(Some(VOID)).unwrap();
    band.write((0, 0), (cols, rows), &mut Buffer::new((cols, rows), heights.collect())).unwrap();
    d.close().unwrap();
    path
}

/// Mode `ortho` with these heights.
fn ortho(height: &str) -> String {
    let geometry = format!("mode = \"ortho\"\nresolution = 24.0\nheight = {{ {height} }}");
    pipeline("toa", &geometry, MULTISPECTRAL)
}

fn with_dem(path: &Path) -> String {
    ortho(&format!("dem = '{}', datum = \"ellipsoid\"", path.display()))
}

fn with_tiles(paths: &[PathBuf]) -> String {
    let list: Vec<_> = paths.iter().map(|p| format!("'{}'", p.display())).collect();
    ortho(&format!("dem = [{}], datum = \"ellipsoid\"", list.join(", ")))
}

/// Files of the products below an output folder, by cell and product, without the key that stands in them.
fn products(out: &Path) -> BTreeMap<(String, String), Vec<u8>> {
    let named = |(name, mut bytes): (String, Vec<u8>)| {
        let parts: Vec<&str> = name.split('/').collect();
        let file = parts.last().filter(|f| f.ends_with(".tif"))?;
        let key = bytes.windows(8).position(|w| w == parts[3].as_bytes()).unwrap();
        bytes[key..key + 64].fill(b'.');
        Some(((parts[1].to_owned(), (*file).to_owned()), bytes))
    };
    tree(out).into_iter().filter_map(named).collect()
}

fn codes(plan: &Value) -> Vec<&str> {
    plan["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect()
}

fn says(plan: &Value, code: &str, parts: &[&str]) {
    let warnings = plan["warnings"].as_array().unwrap();
    let found: Vec<_> = warnings.iter().filter(|w| w["code"] == code).collect();
    assert!(!found.is_empty(), "no {code} in {warnings:?}");
    for part in parts {
        assert!(found.iter().any(|w| w["message"].as_str().unwrap().contains(part)), "`{part}` is not in {found:?}");
    }
}

/// Heights as the Item of a cell tells them.
fn told(out: &Path) -> Value {
    let items = tree(out).into_iter().filter(|(n, _)| n.ends_with("/item.json") && !n.contains("/scenes/"));
    let mut told: Vec<Value> = items
        .map(|(_, bytes)| {
            let item: Value = serde_json::from_slice(&bytes).unwrap();
            item["properties"]["fieldglow:geometry"]["height"].clone()
        })
        .collect();
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

#[test]
fn tiles_make_the_products_of_the_raster_they_were_cut_from_to_the_byte() {
    let (one, four) = (Desk::new(), Desk::new());
    let scene = Delivery::L1.folder();
    let keep = |_: usize, _: usize, h: f64| h;
    one.run(&with_dem(&scene.join("dem.tif")), &[&scene], &[]).ends_with(0);

    // As SRTM: with one row and column in common. The first is void where they meet.
    let (_, _, rows, cols) = whole();
    let (r, c) = (rows / 2, cols / 2);
    let void = |row: usize, col: usize, h: f64| if row == r || col == c { VOID } else { h };
    let mut tiles = vec![
        write(&four, "nw.tif", (0, 0, r + 1, c + 1), "EPSG:4326", void),
        write(&four, "ne.tif", (0, c, r + 1, cols - c), "EPSG:4326", keep),
        write(&four, "sw.tif", (r, 0, rows - r, c + 1), "EPSG:4326", keep),
        write(&four, "se.tif", (r, c, rows - r, cols - c), "EPSG:4326", keep),
    ];
    four.run(&with_tiles(&tiles), &[&scene], &[]).ends_with(0);
    let (expected, found) = (products(&one.path("out")), products(&four.path("out")));
    assert!(expected.len() >= 6 && expected.keys().eq(found.keys()));
    assert!(expected == found, "tiles change bytes");
    let mut expected = told(&one.path("out"));
    expected["dem"] = json!(["nw.tif", "ne.tif", "sw.tif", "se.tif"]);
    assert_eq!(told(&four.path("out")), expected);

    // Tiles elsewhere change nothing, nor does a lattice that is not needed.
    let key = four.plan(&with_tiles(&tiles), &scene, &[])["key"].take();
    let far = four.path("far.tif");
    image::write(&far, (4, 4), &[vec![5.0f32; 16]], Some((32650, [300_000.0, 90.0, 0.0, 4_000_000.0, 0.0, -90.0])));
    tiles.insert(0, far);
    assert_eq!(four.plan(&with_tiles(&tiles), &scene, &[])["key"], key);
    // What is in a tile that is needed does.
    write(&four, "se.tif", (r, c, rows - r, cols - c), "EPSG:4326", |_, _, h| h + 1.0);
    assert_ne!(four.plan(&with_tiles(&tiles), &scene, &[])["key"], key);
}

#[test]
fn one_tile_that_is_needed_counts_as_if_it_were_named_alone() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let own = scene.join("dem.tif");
    let far = desk.path("far.tif");
    image::write(&far, (4, 4), &[vec![5.0f32; 16]], Some((4326, [10.0, 0.001, 0.0, 50.0, 0.0, -0.001])));
    let alone = desk.plan(&with_dem(&own), &scene, &[]);
    let listed = desk.plan(&with_tiles(&[far, own]), &scene, &[]);
    assert_eq!(alone["key"], listed["key"]);
}

#[test]
fn tiles_with_a_gap_under_the_scene_or_on_two_lattices_are_refused() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let (_, _, rows, cols) = whole();
    let keep = |_: usize, _: usize, h: f64| h;
    let west = write(&desk, "west.tif", (0, 0, rows, cols / 2), "EPSG:4326", keep);
    let east = write(&desk, "east.tif", (0, cols / 2 + 3, rows, cols - cols / 2 - 3), "EPSG:4326", keep);
    let said = desk.run(&with_tiles(&[west.clone(), east]), &[&scene], &[]).ends_with(3);
    said.says(&["west.tif` and 1 more cover", "not all of it", "the scene lies at longitude 125."]);
    let moved = write(&desk, "moved.tif", (0, cols / 2, rows, cols - cols / 2), "EPSG:4490", keep);
    let said = desk.run(&with_tiles(&[west, moved]), &[&scene], &[]).ends_with(3);
    said.says(&["west.tif` and `", "moved.tif` are not on one lattice", "EPSG:4326 and EPSG:4490", "gdalwarp"]);
    let far = desk.path("far.tif");
    image::write(&far, (4, 4), &[vec![5.0f32; 16]], Some((4326, [10.0, 0.001, 0.0, 50.0, 0.0, -0.001])));
    let said = desk.run(&with_tiles(&[far.clone(), far]), &[&scene], &[]).ends_with(3);
    said.says(&["the 2 files of `geometry.height.dem` lie elsewhere", "longitude 125."]);
}

#[test]
fn a_list_of_files_is_checked_like_one() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let set = |value: &str| {
        let value = format!("geometry.height.dem={value}");
        desk.run(&with_dem(&scene.join("dem.tif")), &[&scene], &["--set", &value]).ends_with(1)
    };
    set("[\"nowhere.tif\", \"neither.tif\"]").says(&["geometry.height.dem", "`nowhere.tif`", "`neither.tif`"]);
    set("[]").says(&["geometry.height.dem", "an empty list"]);
    set("7").says(&["geometry.height.dem", "a file or a list of files"]);
}

#[test]
fn voids_of_the_dem_are_nodata_and_nothing_else_is() {
    let (full, holed) = (Desk::new(), Desk::new());
    let scene = Delivery::L1.folder();
    let (_, _, rows, cols) = whole();
    let (r, c) = (rows / 2, cols / 2);
    let void = move |row: usize, col: usize| (r..r + 12).contains(&row) && (c..c + 20).contains(&col);
    let dem = write(&holed, "dem.tif", whole(), "EPSG:4326", |row, col, h| if void(row, col) { VOID } else { h });
    full.run(&with_dem(&scene.join("dem.tif")), &[&scene], &[]).ends_with(0);
    holed.run(&with_dem(&dem), &[&scene], &[]).ends_with(0);
    says(&holed.plan(&with_dem(&dem), &scene, &[]), "dem-voids", &["`dem.tif` has no heights on about", "nodata"]);

    let to_dem = gdal::spatial_ref::CoordTransform::new(&utm(), &wgs84()).unwrap();
    let place = self::dem().transform;
    let (mut inside, mut outside) = (0, 0);
    for name in tree(&full.path("out")).keys().filter(|n| n.ends_with("/qa.tif")) {
        let cell = name.split('/').nth(1).unwrap();
        let expected = image::read(&full.path("out").join(name));
        let found = image::read(&holed.object(&format!("{cell}/{}", tail(&holed, cell))));
        for (k, (a, b)) in expected.bands[0].iter().zip(&found.bands[0]).enumerate() {
            let t = expected.transform;
            let (mut x, mut y) = (
                [t[0] + ((k % expected.cols) as f64 + 0.5) * t[1]],
                [t[3] + ((k / expected.cols) as f64 + 0.5) * t[5]],
            );
            to_dem.transform_coords(&mut x, &mut y, &mut []).unwrap();
            // Between the centres of pixels, as interpolation sees them.
            let (row, col) = ((y[0] - place[3]) / place[5] - 0.5, (x[0] - place[0]) / place[1] - 0.5);
            let touched = [(0, 0), (0, 1), (1, 0), (1, 1)]
                .iter()
                .any(|(i, j)| void(row.floor() as usize + i, col.floor() as usize + j));
            // The tables of positions are exact to a hundredth of a pixel; leave out what lies on the border.
            let near = |v: f64| (v - v.round()).abs() < 1e-3;
            if near(row) || near(col) {
                continue;
            }
            if touched {
                assert_eq!(*b, 1.0, "a void at {row}, {col}");
                inside += usize::from(*a != 1.0);
            } else {
                assert_eq!(a, b, "no void at {row}, {col}");
                outside += usize::from(*a != 1.0);
            }
        }
    }
    assert!(inside > 100 && outside > 10_000, "{inside} {outside}");
}

/// The rest of the name of the one `qa` of a cell.
fn tail(desk: &Desk, cell: &str) -> String {
    let names = tree(&desk.path("out")).into_keys();
    let name = names.filter(|n| n.contains(cell)).find(|n| n.ends_with("/qa.tif")).unwrap();
    name.split_once(&format!("{cell}/")).unwrap().1.to_owned()
}

fn axes_xy(code: u32) -> SpatialRef {
    let mut srs = SpatialRef::from_epsg(code).unwrap();
    srs.set_axis_mapping_strategy(gdal::spatial_ref::AxisMappingStrategy::TraditionalGisOrder);
    srs
}

fn utm() -> SpatialRef {
    axes_xy(32651)
}

fn wgs84() -> SpatialRef {
    axes_xy(4326)
}

/// Runs a command of the program with this user folder of PROJ's, where it looks first.
fn with_user_folder(desk: &Desk, args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_fieldglow"))
        .args(args)
        .current_dir(desk.path(""))
        .env("PROJ_USER_WRITABLE_DIRECTORY", desk.path("proj"))
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_geoid_is_found_among_the_files_of_proj_and_does_what_its_undulations_say() {
    let (ellipsoid, geoid) = (Desk::new(), Desk::new());
    let scene = Delivery::L1.folder();
    // A geoid 25 m above the ellipsoid everywhere.
    geoid.write("proj/us_nga_egm08_25.tif", "");
    let grid = geoid.path("proj/us_nga_egm08_25.tif");
    let around = [-180.5, 1.0, 0.0, 90.5, 0.0, -1.0];
    image::write(&grid, (181, 360), &[vec![25.0f32; 181 * 360]], Some((4326, around)));
    let lower = write(&geoid, "dem.tif", whole(), "EPSG:4326", |_, _, h| h - 25.0);
    let text = with_dem(&lower).replace("\"ellipsoid\"", "\"egm2008\"");
    let file = geoid.write("pipeline.toml", &text);
    let args = [file.to_str().unwrap(), scene.to_str().unwrap()];
    with_user_folder(&geoid, &["run", args[0], args[1], "--output", "out"]).ends_with(0);
    let told = told(&geoid.path("out"));
    assert_eq!((&told["geoid"], &told["datum"]), (&json!("us_nga_egm08_25.tif"), &json!("egm2008")));
    let range: Vec<f64> = told["range_m"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();

    ellipsoid.run(&with_dem(&scene.join("dem.tif")), &[&scene], &[]).ends_with(0);
    let above = self::told(&ellipsoid.path("out"));
    for (k, low) in range.iter().enumerate() {
        assert!((above["range_m"][k].as_f64().unwrap() - low - 25.0).abs() < 0.02, "{above} {told}");
    }
    // Heights in float32 lose a few micrometres when 25 m are taken off: no stored value but a rare tie may see it.
    let read = |desk: &Desk| -> Vec<f64> {
        let names = tree(&desk.path("out")).into_keys().filter(|n| n.ends_with("/reflectance.tif"));
        names.flat_map(|n| image::read(&desk.path("out").join(n)).bands.concat()).collect()
    };
    let (a, b) = (read(&ellipsoid), read(&geoid));
    assert!(a.len() == b.len() && a.iter().filter(|v| **v != -32768.0).count() > 30_000);
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1.0));
    assert!(a.iter().zip(&b).filter(|(a, b)| a != b).count() < a.len() / 1000);

    // Found or named, it is the same grid.
    let plan = |more: &[&str]| {
        let all = [&["plan", args[0], args[1], "--json"], more].concat();
        with_user_folder(&geoid, &all).ends_with(0).json()[0]["key"].take()
    };
    let found = plan(&[]);
    assert_eq!(plan(&["--set", &format!("geometry.height.geoid={}", grid.display())]), found);
    image::write(&grid, (181, 360), &[vec![26.0f32; 181 * 360]], Some((4326, around)));
    assert_ne!(plan(&[]), found);
}

#[test]
fn what_is_no_grid_of_undulations_is_refused() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let dem = scene.join("dem.tif");
    let with =
        |geoid: &Path| ortho(&format!("dem = '{}', datum = \"egm96\", geoid = '{}'", dem.display(), geoid.display()));
    // The DEM itself, a few hundred metres high.
    let said = desk.run(&with(&dem), &[&scene], &[]).ends_with(3);
    said.says(&["dem.tif` cannot serve as `geometry.height.geoid`", "undulations lie between -120 and 120 m"]);
    let elsewhere = desk.path("elsewhere.tif");
    image::write(&elsewhere, (4, 4), &[vec![5.0f32; 16]], Some((4326, [10.0, 1.0, 0.0, 50.0, 0.0, -1.0])));
    desk.run(&with(&elsewhere), &[&scene], &[]).ends_with(3).says(&["elsewhere.tif` covers", "give one that covers"]);
    let other = desk.write("egm2008-5.tif", "");
    desk.run(&with(&other), &[&scene], &[]).ends_with(1).says(&["egm2008-5.tif` is by its name a grid of `egm2008`"]);
}

#[test]
fn a_datum_that_the_dem_contradicts_is_refused_and_one_it_states_is_taken() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let keep = |_: usize, _: usize, h: f64| h;
    let states = |srs: &str| write(&desk, "dem.tif", whole(), srs, keep);
    let said = desk.run(&with_dem(&states("EPSG:4326+3855")), &[&scene], &[]).ends_with(3);
    said.says(&["dem.tif` states heights above EGM2008", "`geometry.height.datum` is `ellipsoid`", "set `datum`"]);
    let said = desk.run(&with_dem(&states("EPSG:4326+5737")), &[&scene], &[]).ends_with(3);
    said.says(&["Yellow Sea"]);
    // Ellipsoidal heights, stated: the same products as without a statement.
    let plain = desk.plan(&with_dem(&scene.join("dem.tif")), &scene, &[]);
    let stated = desk.plan(&with_dem(&states("EPSG:4979")), &scene, &[]);
    assert_eq!((codes(&plain), &plain["cells"]), (codes(&stated), &stated["cells"]));
}

#[test]
fn a_well_known_product_with_another_datum_is_a_warning() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let name = "Copernicus_DSM_COG_10_N43_00_E125_00_DEM.tif";
    let dem = write(&desk, name, whole(), "EPSG:4326", |_, _, h| h);
    says(&desk.plan(&with_dem(&dem), &scene, &[]), "height-datum", &["the Copernicus DEM", "EGM2008", "`ellipsoid`"]);
    assert!(!codes(&desk.plan(&with_dem(&scene.join("dem.tif")), &scene, &[])).contains(&"height-datum"));
}

#[test]
fn heights_far_from_those_of_the_sensor_model_are_a_warning_and_absurd_ones_an_error() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    let constant = |h: f64| ortho(&format!("constant = {h}, datum = \"ellipsoid\""));
    assert!(!codes(&desk.plan(&constant(220.0), &scene, &[])).contains(&"height-range"));
    let plan = desk.plan(&constant(720.0), &scene, &[]);
    says(&plan, "height-range", &["part MSS lies between 720 and 720 m", "its RPC were made for", "wrong `datum`"]);
    let feet = write(&desk, "feet.tif", whole(), "EPSG:4326", |_, _, h| h / 0.3048);
    says(&desk.plan(&with_dem(&feet), &scene, &[]), "height-range", &["heights in feet"]);
    let said = desk.run(&constant(5000.0), &[&scene], &[]).ends_with(3);
    said.says(&["lies between 5000 and 5000 m", "its RPC were made for", "metres"]);
}

/// Bit of `qa`.
const OCCLUDED: u16 = 4096;

#[test]
fn a_wall_hides_the_ground_behind_it_as_far_as_its_height_and_the_view_say() {
    let desk = Desk::new();
    let options = ["simulate", "oblique", "--no-pan", "--gsd", "6", "--size", "128", "--roll", "30", "--relief", "0"];
    desk.fieldglow(options).ends_with(0);
    let scene = desk.path("oblique");
    let truth: Value = serde_json::from_slice(&std::fs::read(scene.join("truth/truth.json")).unwrap()).unwrap();
    let angle = |key: &str| truth["geometry"][key].as_f64().unwrap().to_radians();
    let (tangent, azimuth) = (1.0 / angle("view_elevation_deg").tan(), angle("view_azimuth_deg"));
    assert!(azimuth.sin() < -0.9 && tangent > 0.6, "seen from the west, obliquely");

    // A wall from north to south, 200 m high, on a plain.
    let plain = image::read(&scene.join("dem.tif"));
    let crest = plain.cols / 2;
    let whole = (0, 0, plain.rows, plain.cols);
    let wall = |_: usize, col: usize, h: f64| if col == crest || col == crest - 1 { h + 200.0 } else { h };
    let dem = write_part(&plain, &desk, "wall.tif", whole, "EPSG:4326", wall);
    let run = |out: &str, dem: &Path| {
        let text = with_dem(dem).replace("24.0", "6.0");
        desk.run_to(out, &text, &[&scene], &[]).ends_with(0);
        let names = tree(&desk.path(out)).into_keys().filter(|n| n.ends_with("/qa.tif"));
        names.map(|n| image::read(&desk.path(out).join(n))).collect::<Vec<_>>()
    };
    let bit = |v: &f64| *v as u16 & OCCLUDED != 0;
    assert!(run("plain", &scene.join("dem.tif")).iter().all(|qa| !qa.bands[0].iter().any(bit)));

    let lon = plain.transform[0] + (crest as f64 + 0.5) * plain.transform[1];
    let metres_per_degree = 111_320.0 * plain.transform[3].to_radians().cos();
    let to_dem = gdal::spatial_ref::CoordTransform::new(&utm(), &wgs84()).unwrap();
    let end = 200.0 * tangent * -azimuth.sin();
    let mut rows = 0;
    for qa in run("wall", &dem) {
        let t = qa.transform;
        for (r, row) in qa.bands[0].chunks(qa.cols).enumerate() {
            let hidden: Vec<usize> = (0..qa.cols).filter(|c| bit(&row[*c])).collect();
            // The shadow is in the image where pixels on both sides are.
            let (Some(first), Some(last)) = (hidden.first(), hidden.last()) else { continue };
            if *first == 0 || row[first - 1] == 1.0 || row.get(last + 1).is_none_or(|v| *v == 1.0) {
                continue;
            }
            assert_eq!(hidden.len(), last - first + 1, "one shadow");
            // How far east of the crest, metres.
            let east = |c: f64| {
                let (mut x, mut y) = ([t[0] + c * t[1]], [t[3] + (r as f64 + 0.5) * t[5]]);
                to_dem.transform_coords(&mut x, &mut y, &mut []).unwrap();
                (x[0] - lon) * metres_per_degree
            };
            let (from, to) = (east(*first as f64), east(*last as f64 + 1.0));
            // The face of the wall is one pixel of the DEM, 30 m; within it the edge may lie anywhere.
            assert!((-6.0..30.0).contains(&from), "row {r}: from {from}");
            assert!((to - end).abs() < 6.0, "row {r}: to {to}, expected {end}");
            rows += 1;
        }
    }
    assert!(rows > 60, "{rows}");
    desk.fieldglow(["validate", "wall"]).ends_with(0);
}

#[test]
fn a_constant_height_is_told_as_it_was_given_and_as_it_was_used() {
    let desk = Desk::new();
    let scene = Delivery::L1.folder();
    desk.run(&ortho("constant = 220.0, datum = \"ellipsoid\""), &[&scene], &[]).ends_with(0);
    let expected = json!({ "ellipsoidal_height_m": 220.0, "constant_m": 220.0, "geoid": null, "datum": "ellipsoid" });
    assert_eq!(told(&desk.path("out")), expected);
}
