use std::path::{Path, PathBuf};

use gdal::DriverManager;
use gdal::raster::Buffer;
use gdal::spatial_ref::SpatialRef;
use proptest::prelude::*;

use super::*;

const VOID: f32 = -9999.0;

/// Writes a raster of heights; `place` is EPSG code, x and y of the first corner, and the pixel.
fn write(path: &Path, (rows, cols): (usize, usize), heights: &[f32], (epsg, x0, y0, pixel): (u32, f64, f64, f64)) {
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut d = driver.create_with_band_type::<f32, _>(path, cols, rows, 1).unwrap();
    d.set_spatial_ref(&SpatialRef::from_epsg(epsg).unwrap()).unwrap();
    d.set_geo_transform(&[x0, pixel, 0.0, y0, 0.0, -pixel]).unwrap();
    let mut band = d.rasterband(1).unwrap();
    band.set_no_data_value(Some(f64::from(VOID))).unwrap();
    band.write((0, 0), (cols, rows), &mut Buffer::new((cols, rows), heights.to_vec())).unwrap();
    d.close().unwrap();
}

const PLACE: (u32, f64, f64, f64) = (32651, 300_000.0, 4_900_000.0, 30.0);
const SHAPE: (usize, usize) = (23, 31);

fn height(row: i64, col: i64) -> f32 {
    ((row * 7919 + col * 104_729) % 1500) as f32 + 0.25
}

/// A window of the plane of [`height`], with voids where `void` says so.
fn write_window(path: &Path, w: Window, void: impl Fn(i64, i64) -> bool) {
    let places = (w.row..w.row + w.rows as i64).flat_map(|r| (w.col..w.col + w.cols as i64).map(move |c| (r, c)));
    let heights: Vec<f32> = places.map(|(r, c)| if void(r, c) { VOID } else { height(r, c) }).collect();
    let (epsg, x0, y0, pixel) = PLACE;
    let corner = (x0 + pixel * w.col as f64, y0 - pixel * w.row as f64);
    write(path, (w.rows, w.cols), &heights, (epsg, corner.0, corner.1, pixel));
}

fn open(paths: &[PathBuf]) -> Result<Heights, ReadError> {
    let more: Vec<&Path> = paths[1..].iter().map(|p| &**p).collect();
    Heights::open(&paths[0], &more)
}

/// Four tiles around (`row`, `col`), with `overlap` more rows and columns, in this order; void at odd places of odd tiles.
fn tiles(folder: &Path, (row, col): (usize, usize), overlap: usize, order: [usize; 4]) -> Vec<PathBuf> {
    let (rows, cols) = SHAPE;
    let part = |start: usize, end: usize, all: usize| (start, (end + overlap).min(all) - start);
    order
        .into_iter()
        .map(|k| {
            let (r, n_rows) = if k < 2 { part(0, row, rows) } else { part(row, rows, rows) };
            let (c, n_cols) = if k % 2 == 0 { part(0, col, cols) } else { part(col, cols, cols) };
            let path = folder.join(format!("{k}.tif"));
            write_window(&path, Window::new(r as i64, c as i64, n_rows, n_cols), |_, _| false);
            path
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Tiles give the heights of the raster they were cut from, also across their seams, whatever overlaps and in whatever
    /// order they are named.
    #[test]
    fn tiles_are_the_raster_they_were_cut_from(
        row in 1usize..22, col in 1usize..30, overlap in 0usize..3, turn in 0usize..4,
        top in -2i64..23, left in -2i64..31, rows in 1usize..23, cols in 1usize..31,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole.tif");
        write_window(&whole, Window::new(0, 0, SHAPE.0, SHAPE.1), |_, _| false);
        let whole = open(&[whole]).unwrap();
        let mut order = [0, 1, 2, 3];
        order.rotate_left(turn);
        let tiles = open(&tiles(dir.path(), (row, col), overlap, order)).unwrap();
        let window = Window::new(top, left, rows, cols).intersect(whole.window());
        // Where the first tile begins.
        let (x, y) = whole.world(0.0, 0.0);
        let (dc, dr) = tiles.position(x, y);
        let moved = Window::new(window.row + dr.round() as i64, window.col + dc.round() as i64, window.rows, window.cols);
        prop_assert_eq!(&tiles.read(moved).unwrap().heights, &whole.read(window).unwrap().heights);
        prop_assert_eq!(tiles.look(moved).unwrap(), whole.look(window).unwrap());
        prop_assert_eq!(tiles.extent(), whole.extent());
        let (low, high) = ((moved.col as f64, moved.row as f64), ((moved.col + moved.cols as i64 - 1) as f64, (moved.row + moved.rows as i64 - 1) as f64));
        prop_assert!(window.is_empty() || tiles.covers(low, high));
    }
}

#[test]
fn the_first_tile_with_a_height_counts_and_voids_are_filled_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.tif", "b.tif", "c.tif"].map(|n| dir.path().join(n));
    let (epsg, x0, y0, pixel) = PLACE;
    write(&paths[0], (1, 3), &[1.0, VOID, VOID], PLACE);
    write(&paths[1], (1, 3), &[20.0, 21.0, VOID], (epsg, x0 + pixel, y0, pixel));
    // −32768 is a void, declared or not.
    write(&paths[2], (1, 4), &[30.0, 31.0, 32.0, -32768.0], PLACE);
    let of = |order: [usize; 3]| {
        let heights = open(&order.map(|k| paths[k].clone())).unwrap();
        let read = heights.read(heights.window()).unwrap();
        let text = |h: &f32| if h.is_nan() { "-".into() } else { h.to_string() };
        read.heights.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of([0, 1, 2]), "1 20 21 -");
    assert_eq!(of([1, 0, 2]), "1 20 21 -");
    assert_eq!(of([2, 0, 1]), "30 31 32 -");
    assert_eq!(of([0, 2, 1]), "1 31 32 -");
    let heights = open(&paths).unwrap();
    let (range, voids) = heights.look(heights.window()).unwrap();
    assert_eq!((range, voids), (Some((1.0, 21.0)), 0.25));
}

#[test]
fn a_gap_between_tiles_is_not_covered_and_has_no_heights() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.tif", "b.tif"].map(|n| dir.path().join(n));
    write_window(&paths[0], Window::new(0, 0, 4, 4), |_, _| false);
    write_window(&paths[1], Window::new(0, 6, 4, 4), |_, _| false);
    let heights = open(&paths).unwrap();
    assert_eq!(heights.window(), Window::new(0, 0, 4, 10));
    assert!(heights.covers((0.0, 0.0), (3.0, 3.0)) && heights.covers((6.0, 0.5), (9.0, 3.0)));
    assert!(!heights.covers((2.0, 0.0), (7.0, 3.0)) && !heights.covers((3.5, 0.0), (3.6, 1.0)));
    assert!(!heights.covers((-0.1, 0.0), (3.0, 3.0)) && !heights.covers((0.0, 0.0), (3.0, 3.1)));
    let read = heights.read(Window::new(1, 3, 1, 4)).unwrap().heights;
    assert_eq!((read[0], read[3]), (height(1, 3), height(1, 6)));
    assert!(read[1].is_nan() && read[2].is_nan());
}

#[test]
fn tiles_on_other_lattices_are_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.tif", "b.tif"].map(|n| dir.path().join(n));
    write_window(&paths[0], Window::new(0, 0, 4, 4), |_, _| false);
    let (epsg, x0, y0, pixel) = PLACE;
    for (place, why) in [
        ((epsg, x0 + 4.5 * pixel, y0, pixel), "not a whole number"),
        ((epsg, x0 + 4.0 * pixel, y0, 2.0 * pixel), "pixels of"),
        ((32652, x0, y0, pixel), "EPSG:32651 and EPSG:32652"),
    ] {
        write(&paths[1], (4, 4), &[5.0; 16], place);
        let said = open(&paths).unwrap_err().to_string();
        for part in ["a.tif", "b.tif", why, "gdalwarp"] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[test]
fn a_grid_around_the_earth_has_no_edge_in_longitude() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("geoid.tif");
    let heights: Vec<f32> = (0..3 * 8).map(|k| (k % 8) as f32).collect();
    // Pixel centres at −180, −135 … 135.
    write(&path, (3, 8), &heights, (4326, -202.5, 67.5, 45.0));
    let grid = open(&[path]).unwrap();
    for (lon, lower, upper) in [(179.0, 7.0, 0.0), (-181.0, 7.0, 0.0), (-179.0, 0.0, 1.0), (10.0, 4.0, 5.0)] {
        let (col, row) = grid.position(lon, 0.0);
        assert!(grid.covers((col, row), (col, row)), "{lon}");
        let w = Window::new(row as i64, col.floor() as i64, 1, 2);
        assert_eq!(grid.read(w).unwrap().heights, [lower, upper], "{lon}");
    }
    let [west, _, east, _] = grid.extent();
    assert_eq!((west, east), (-180.0, 135.0));
}

#[test]
fn what_a_file_states_of_its_datum_is_read_and_its_map_is_the_horizontal_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut d = driver.create_with_band_type::<f32, _>(&path, 2, 2, 1).unwrap();
    d.set_spatial_ref(&SpatialRef::from_definition("EPSG:4326+3855").unwrap()).unwrap();
    d.set_geo_transform(&[125.0, 0.1, 0.0, 44.0, 0.0, -0.1]).unwrap();
    d.close().unwrap();
    let sheet = Sheet::open(&path).unwrap();
    assert_eq!(sheet.vertical, Some(crate::read::Vertical::Egm2008));
    assert_eq!(sheet.crs.epsg(), Some(4326));
}
