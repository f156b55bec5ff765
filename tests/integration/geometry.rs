//! Where stored pixels lie, and that each is the one it should be.

use gdal::raster::GdalType;

use crate::delivery::{
    Delivery, MULTISPECTRAL, SIDECAR, Tiny, UNIT_N, UNIT_R, UTM_10M, farm, finished, native, pipeline, product,
};
use crate::harness::{Desk, tree};
use crate::image::{self, Image};

const NODATA_I16: f64 = -32768.0;

/// All products of the L3 delivery, for pixels of the delivery's own size.
fn native_products() -> String {
    let pan = "kind = \"bands\"\nbands = [\"PAN\"]";
    format!("{MULTISPECTRAL}{}{}", product("pan", pan), product("pan-qa", "kind = \"qa\"\nbands = [\"PAN\"]"))
}

#[test]
fn grid_mode_on_the_deliverys_own_lattice_changes_no_value() {
    let (own, grid) = (Desk::new(), Desk::new());
    let folder = Delivery::L3.folder();
    own.run(&native("toa", MULTISPECTRAL), &[&folder], &[]).ends_with(0);
    let geometry = "mode = \"grid\"\nresolution = 24.0";
    grid.run(&pipeline("toa", geometry, MULTISPECTRAL), &[&folder], &[]).ends_with(0);
    for (name, nodata) in [("reflectance.tif", NODATA_I16), ("ndvi.tif", NODATA_I16), ("qa.tif", 1.0)] {
        let expected = image::read(&own.object(&format!("/{name}")));
        let mut seen = 0;
        let objects = tree(&grid.path("out"));
        for cell in objects.keys().filter(|n| n.ends_with(&format!("/{name}"))) {
            let cell = image::read(&grid.path("out").join(cell));
            let (row0, col0) = image::offset(&cell, &expected);
            for (band, plane) in cell.bands.iter().enumerate() {
                for (k, value) in plane.iter().enumerate() {
                    let (r, c) = (row0 + (k / cell.cols) as i64, col0 + (k % cell.cols) as i64);
                    let inside = (0..expected.rows as i64).contains(&r) && (0..expected.cols as i64).contains(&c);
                    let want = match inside {
                        true => expected.bands[band][r as usize * expected.cols + c as usize],
                        false => nodata,
                    };
                    assert_eq!(*value, want, "{name}, row {r}, col {c}");
                    seen += usize::from(inside);
                }
            }
        }
        assert_eq!(seen, expected.bands.len() * expected.rows * expected.cols, "{name}: every pixel lies in a cell");
    }
}

#[test]
fn products_of_two_pixel_sizes_stack() {
    let objects = tree(finished());
    let mut pairs = 0;
    for fine in objects.keys().filter(|n| n.ends_with("/pan.tif")) {
        let coarse = image::read(&finished().join(fine.replace("/pan.tif", "/ndvi.tif")));
        let fine = image::read(&finished().join(fine));
        assert_eq!((fine.transform[0], fine.transform[3]), (coarse.transform[0], coarse.transform[3]));
        assert_eq!((4.0 * fine.transform[1], 4.0 * fine.transform[5]), (coarse.transform[1], coarse.transform[5]));
        assert_eq!((fine.rows, fine.cols), (4 * coarse.rows, 4 * coarse.cols));
        pairs += 1;
    }
    assert_eq!(pairs, 2);
}

#[test]
fn cells_lie_where_their_names_say_and_touch_without_gap() {
    let objects = tree(finished());
    let cells: Vec<_> = objects.keys().filter(|n| n.ends_with("/ndvi.tif")).collect();
    for (name, north) in cells.into_iter().zip([633.0, 634.0]) {
        assert!(name.contains(&format!("N{:04}", north - 1.0)), "{name}");
        let image = image::read(&finished().join(name));
        assert_eq!(image.transform, [89.0 * 7680.0, 24.0, 0.0, north * 7680.0, 0.0, -24.0]);
        assert_eq!((image.rows, image.cols), (320, 320));
    }
}

/// Median of the absolute differences between orthorectified reflectance and the simulator's, and how many were compared.
fn misfit(out: &std::path::Path) -> (f64, usize) {
    let truth = image::read(&Delivery::L1.folder().join("truth/truth_mss.tif"));
    let mut differences = Vec::new();
    for name in tree(out).keys().filter(|n| n.ends_with("/reflectance.tif")) {
        let made = image::read(&out.join(name));
        let (row0, col0) = image::offset(&made, &truth);
        for (k, value) in made.bands[3].iter().enumerate() {
            let (r, c) = (row0 + (k / made.cols) as i64, col0 + (k % made.cols) as i64);
            let inside = (0..truth.rows as i64).contains(&r) && (0..truth.cols as i64).contains(&c);
            if inside && *value != NODATA_I16 {
                differences.push((value * 1e-4 - truth.bands[3][r as usize * truth.cols + c as usize]).abs());
            }
        }
    }
    differences.sort_by(f64::total_cmp);
    (differences[differences.len() / 2], differences.len())
}

#[test]
fn orthorectified_reflectance_lies_on_the_truth_and_at_a_wrong_height_beside_it() {
    let (median, count) = misfit(finished());
    assert!(count > 15_000, "{count}");
    let desk = Desk::new();
    // 24 m pixels seen 8.6° from the zenith: 1 km of height moves them by six.
    let text = pipeline(
        "toa",
        "mode = \"ortho\"\nresolution = 24.0\nheight = { constant = 1200.0, datum = \"ellipsoid\" }",
        MULTISPECTRAL,
    );
    desk.run(&text, &[&Delivery::L1.folder()], &[]).ends_with(0);
    let (beside, _) = misfit(&desk.path("out"));
    assert!(median < 0.02, "{median}");
    assert!(beside > 2.0 * median, "{beside} at the wrong height, {median} at the right one");
}

#[test]
fn native_keeps_the_lattice_of_each_part() {
    let desk = Desk::new();
    desk.run(&native("toa", &native_products()), &[&Delivery::L3.folder()], &[]).ends_with(0);
    for (product, part) in [
        ("/reflectance.tif", "_MSS.tif"),
        ("/qa.tif", "_MSS.tif"),
        ("/pan.tif", "_PAN.tif"),
        ("/pan-qa.tif", "_PAN.tif"),
    ] {
        let (made, source) = (image::read(&desk.object(product)), image::read(&Delivery::L3.file(part)));
        assert_eq!((made.rows, made.cols, made.transform), (source.rows, source.cols, source.transform), "{product}");
    }
    desk.fieldglow(["validate", "out"]).ends_with(0);
}

#[test]
fn native_refuses_a_product_of_two_lattices_and_says_what_to_do() {
    let desk = Desk::new();
    let products = product("all", "kind = \"bands\"\nbands = [\"PAN\", \"B\"]");
    desk.run(&native("toa", &products), &[&Delivery::L3.folder()], &[]).ends_with(3).says(&[
        "PAN and MSS",
        "all",
        "`geometry.mode` to `grid`",
    ]);
}

#[test]
fn a_delivery_in_the_wrong_geometry_is_told_which_mode_fits() {
    let desk = Desk::new();
    let said = desk.run(&native("toa", MULTISPECTRAL), &[&Delivery::L1.folder()], &[]).ends_with(3);
    said.says(&["part MSS", "RPC", "`geometry.mode` to `ortho`"]);
    let said = desk.run(&farm(), &[&Delivery::L3.folder()], &[]).ends_with(3);
    said.says(&["projected already", "`grid` or `native`"]);
}

/// DN of a pixel of an image of any size.
fn dn(k: usize) -> u16 {
    (k * 7919 % 30_000) as u16 + 1
}

/// Runs an image of one band through `native` and returns what was stored, level by level.
fn native_levels(desk: &Desk, (rows, cols): (usize, usize)) -> Vec<Image> {
    let plane: Vec<u16> = (0..rows * cols).map(dn).collect();
    let scene = Tiny::new(desk, (rows, cols), &[plane], "fill = 0", &[UNIT_R]);
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]") + &product("qa", "kind = \"qa\"");
    desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(0);
    desk.fieldglow(["validate", "out"]).ends_with(0);
    image::levels(&desk.object("/r.tif"))
}

#[test]
fn images_of_any_size_keep_every_pixel_and_get_overviews_down_to_one_tile() {
    for (size, overviews) in
        [((1, 1), 0), ((1, 7), 0), ((7, 1), 0), ((512, 512), 0), ((511, 513), 1), ((513, 1), 1), ((1024, 1025), 2)]
    {
        let desk = Desk::new();
        let levels = native_levels(&desk, size);
        assert_eq!((levels[0].rows, levels[0].cols), size);
        assert_eq!(levels.len(), overviews + 1, "{size:?}");
        assert!(levels[0].bands[0].iter().enumerate().all(|(k, v)| *v == f64::from(dn(k))), "{size:?}");
        let last = levels.last().unwrap();
        assert!(last.rows <= 512 && last.cols <= 512);
    }
}

#[test]
fn a_native_image_wider_than_a_cell_is_cut_without_loss() {
    let desk = Desk::new();
    let (rows, cols) = (2, 4100);
    let plane: Vec<u16> = (0..rows * cols).map(dn).collect();
    let scene = Tiny::new(&desk, (rows, cols), &[plane], "fill = 0", &[UNIT_R]);
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]");
    desk.run(&native("toa", &products), &[&scene.folder], &[]).ends_with(0);
    let names: Vec<_> = tree(&desk.path("out")).into_keys().filter(|n| n.ends_with("/r.tif")).collect();
    let cells: Vec<Image> = names.iter().map(|n| image::read(&desk.path("out").join(n))).collect();
    assert_eq!(cells.iter().map(|c| (c.rows, c.cols)).collect::<Vec<_>>(), [(2, 4096), (2, 4)]);
    assert_eq!(cells[1].transform[0], UTM_10M[0] + 4096.0 * 10.0);
    for r in 0..rows {
        let row: Vec<f64> = cells.iter().flat_map(|i| i.bands[0][r * i.cols..(r + 1) * i.cols].to_vec()).collect();
        assert!(row.iter().enumerate().all(|(c, v)| *v == f64::from(dn(r * cols + c))), "row {r}");
    }
}

#[test]
fn one_pixel_finds_its_place_on_the_grid() {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, 1), &[vec![1234u16]], "fill = 0", &[UNIT_R]);
    let text =
        pipeline("toa", "mode = \"grid\"\nresolution = 10.0", &product("r", "kind = \"bands\"\nbands = [\"R\"]"));
    desk.run(&text, &[&scene.folder], &[]).ends_with(0);
    let image = image::read(&desk.object("/r.tif"));
    let valid: Vec<usize> = (0..image.bands[0].len()).filter(|k| image.bands[0][*k] != NODATA_I16).collect();
    let col = ((UTM_10M[0] - image.transform[0]) / 10.0) as usize;
    let row = ((image.transform[3] - UTM_10M[3]) / 10.0) as usize;
    assert_eq!(valid, [row * image.cols + col]);
    assert_eq!(image.bands[0][valid[0]], 1234.0);
}

#[test]
fn between_pixels_values_are_bilinear_and_beside_invalid_ones_marked_as_edge() {
    let desk = Desk::new();
    let plane: Vec<u16> = vec![100, 200, 0, 400, 500, 600, 0, 800, 900];
    let scene = Tiny::new(&desk, (3, 3), &[plane], "fill = 0", &[UNIT_R]);
    // Moved by half a pixel to the east: each pixel of the grid lies between two of the image.
    let sidecar = scene.folder.join("scene.toml");
    let text = std::fs::read_to_string(&sidecar).unwrap();
    let place = "crs = \"EPSG:32651\"\ntransform = [690005.0, 10.0, 0.0, 4860000.0, 0.0, -10.0]";
    std::fs::write(&sidecar, text.replace("fill = 0", &format!("fill = 0\n{place}"))).unwrap();
    let products = product("r", "kind = \"bands\"\nbands = [\"R\"]") + &product("qa", "kind = \"qa\"");
    desk.run(&pipeline("toa", "mode = \"grid\"\nresolution = 10.0", &products), &[&scene.folder], &[]).ends_with(0);
    let (r, qa) = (image::read(&desk.object("/r.tif")), image::read(&desk.object("/qa.tif")));
    let col = ((UTM_10M[0] - r.transform[0]) / 10.0) as usize;
    let row = ((r.transform[3] - UTM_10M[3]) / 10.0) as usize;
    let around = |image: &Image| -> Vec<Vec<f64>> {
        (0..3).map(|k| image.bands[0][(row + k) * image.cols + col..][..4].to_vec()).collect()
    };
    let (n, edge) = (NODATA_I16, 2048.0);
    // Half of the weight is enough: outlines move by half a pixel at most.
    assert_eq!(around(&r), [[100.0, 150.0, 200.0, n], [400.0, 450.0, 550.0, 600.0], [n, 800.0, 850.0, 900.0]]);
    assert_eq!(around(&qa), [[edge, 0.0, edge, 1.0], [edge, 0.0, 0.0, edge], [1.0, edge, 0.0, edge]]);
}

/// Values of an image of this type at level `dn`.
fn dn_of<T: GdalType + Copy>(values: Vec<T>) -> Vec<f64> {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (1, values.len()), &[values], "fill = \"none\"", &["role = \"PAN\""]);
    let products = product("dn", "kind = \"bands\"\nbands = [\"PAN\"]") + &product("qa", "kind = \"qa\"");
    desk.run(&native("dn", &products), &[&scene.folder], &[]).ends_with(0);
    desk.fieldglow(["validate", "out"]).ends_with(0);
    let mut all = image::read(&desk.object("/dn.tif")).bands.remove(0);
    all.extend(&image::read(&desk.object("/qa.tif")).bands[0]);
    all
}

#[test]
fn every_type_of_sample_is_read_and_saturates_at_its_own_ceiling() {
    let saturated = 256.0;
    assert_eq!(dn_of(vec![0u8, 7, 255]), [0.0, 7.0, 255.0, 0.0, 0.0, saturated]);
    assert_eq!(dn_of(vec![0u16, 255, 65535]), [0.0, 255.0, 65535.0, 0.0, 0.0, saturated]);
    assert_eq!(dn_of(vec![-32768i16, 0, 32767]), [-32768.0, 0.0, 32767.0, 0.0, 0.0, saturated]);
    assert_eq!(dn_of(vec![-5i32, 70_000, 1 << 24]), [-5.0, 70_000.0, 16_777_216.0, 0.0, 0.0, 0.0]);
    assert_eq!(dn_of(vec![-0.25f32, 1e9, 65535.0]), [-0.25, 1e9, 65535.0, 0.0, 0.0, 0.0]);
}

#[test]
fn nan_in_a_float_image_is_no_data() {
    let values = dn_of(vec![1.5f32, f32::NAN]);
    assert!(values[0] == 1.5 && values[1].is_nan());
    assert_eq!(values[2..], [0.0, 1.0]);
}

#[test]
fn bands_may_stand_in_files_of_their_own_in_any_order() {
    let desk = Desk::new();
    for (name, value) in [("red.tif", 11u16), ("nir.tif", 22)] {
        desk.write(&format!("tiny/{name}"), "");
        image::write(&desk.path("tiny").join(name), (2, 2), &[vec![value; 4]], Some((32651, UTM_10M)));
    }
    let sidecar = format!(
        "{SIDECAR}[[part]]\nname = \"MSS\"\nfill = 0\n[[part.band]]\nimage = \"nir.tif\"\n{UNIT_N}\n[[part.band]]\nimage = \"red.tif\"\n{UNIT_R}\n"
    );
    desk.write("tiny/scene.toml", sidecar);
    let products = product("r", "kind = \"bands\"\nbands = [\"R\", \"N\"]");
    desk.run(&native("toa", &products), &[&desk.path("tiny")], &[]).ends_with(0);
    assert_eq!(image::read(&desk.object("/r.tif")).bands, [[11.0; 4], [22.0; 4]]);
}
