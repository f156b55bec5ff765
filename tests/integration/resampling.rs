//! How values are made of the source pixels: `geometry.resampling`.

use crate::delivery::{Delivery, PANCHROMATIC, Tiny, UNIT_R, farm, native, ortho, pipeline, product};
use crate::harness::{Desk, tree};
use crate::image::{self, Image};

const ALL: [&str; 4] = ["bilinear", "cubic", "lanczos", "average"];

#[test]
fn threads_and_budget_change_no_byte_and_every_resampling_has_its_own_key_and_says_its_name() {
    let mut keys = Vec::new();
    let mut values = Vec::new();
    for (resampling, words) in
        ALL.into_iter().zip(["bilinear", "cubic convolution", "Lanczos", "average over footprints"])
    {
        let set = format!("geometry.resampling={resampling}");
        let desk = Desk::new();
        let smallest =
            desk.plan(&farm(), &Delivery::L1.folder(), &["--set", &set])["smallest_memory_bytes"].to_string();
        desk.run_to("one", &farm(), &[&Delivery::L1.folder()], &["--set", &set, "--threads", "1"]).ends_with(0);
        let more = ["--set", &set, "--threads", "4", "--memory", &smallest];
        desk.run_to("out", &farm(), &[&Delivery::L1.folder()], &more).ends_with(0);
        assert!(tree(&desk.path("one")) == tree(&desk.path("out")), "{resampling}");
        desk.fieldglow(["validate", "out"]).ends_with(0);
        let name = tree(&desk.path("out")).into_keys().find(|n| n.ends_with("/item.json") && !n.contains("/scenes/"));
        let item: serde_json::Value =
            serde_json::from_slice(&std::fs::read(desk.path("out").join(name.unwrap())).unwrap()).unwrap();
        let properties = &item["properties"];
        assert_eq!(properties["fieldglow:geometry"]["resampling"], resampling);
        assert!(properties["processing:lineage"].as_str().unwrap().contains(&format!("a DEM, {words};")));
        keys.push(properties["fieldglow:key"].clone());
        values.push(tree(&desk.path("out")).into_iter().find(|(n, _)| n.ends_with("/reflectance.tif")).unwrap().1);
    }
    for k in 1..4 {
        assert!(!keys[..k].contains(&keys[k]) && !values[..k].contains(&values[k]), "{}", ALL[k]);
    }
}

#[test]
fn coarse_products_are_warned_of_unless_they_are_averages() {
    let coarse = ortho(&PANCHROMATIC.replace("resolution = 6.0", "resolution = 24.0"));
    for resampling in ALL {
        let desk = Desk::new();
        let set = format!("geometry.resampling={resampling}");
        let plan = desk.plan(&coarse, &Delivery::L1.folder(), &["--set", &set]);
        let warned = plan.to_string().contains("coarse-resampling");
        assert_eq!(warned, resampling != "average", "{resampling}: {plan}");
    }
}

#[test]
fn native_refuses_a_resampling_that_it_would_not_do() {
    let desk = Desk::new();
    let text = native("dn", &product("r", "kind = \"bands\"\nbands = [\"R\"]"));
    let file = desk.write("pipeline.toml", text);
    let file = file.to_str().unwrap();
    let said = desk.fieldglow(["check", file, "--set", "geometry.resampling=cubic"]);
    said.ends_with(1).says(&["geometry.resampling", "`native` keeps the input's pixels"]);
}

/// One band at level `dn` on a grid of `pixel` metres, with the image's upper left corner at `x`, `y`, which is moved by
/// (`east`, `south`) metres; and its states.
fn resampled(
    resampling: &str,
    (rows, cols): (usize, usize),
    plane: &[u16],
    pixel: f64,
    (east, south): (f64, f64),
) -> (Image, Image) {
    let desk = Desk::new();
    let scene = Tiny::new(&desk, (rows, cols), &[plane.to_vec()], "fill = 0", &[UNIT_R]);
    let sidecar = scene.folder.join("scene.toml");
    let text = std::fs::read_to_string(&sidecar).unwrap();
    let (x, y) = (691_200.0 + east, 4_860_000.0 - south);
    let place = format!("crs = \"EPSG:32651\"\ntransform = [{x:?}, 10.0, 0.0, {y:?}, 0.0, -10.0]");
    std::fs::write(&sidecar, text.replace("fill = 0", &format!("fill = 0\n{place}"))).unwrap();
    let products =
        product("r", "kind = \"bands\"\nbands = [\"R\"]\ntype = \"float32\"") + &product("qa", "kind = \"qa\"");
    let geometry = format!("mode = \"grid\"\nresolution = {pixel:?}\nresampling = \"{resampling}\"");
    desk.run(&pipeline("dn", &geometry, &products), &[&scene.folder], &[]).ends_with(0);
    (image::read(&desk.object("/r.tif")), image::read(&desk.object("/qa.tif")))
}

/// Values around the image's upper left corner.
fn corner(image: &Image, (rows, cols): (usize, usize)) -> Vec<Vec<f64>> {
    let pixel = image.transform[1];
    let (col, row) =
        (((691_200.0 - image.transform[0]) / pixel) as usize, ((image.transform[3] - 4_860_000.0) / pixel) as usize);
    (0..rows).map(|r| image.bands[0][(row + r) * image.cols + col..][..cols].to_vec()).collect()
}

#[test]
fn images_smaller_than_the_kernel_keep_their_pixels() {
    for resampling in ALL {
        for (rows, cols) in [(1, 1), (2, 3), (3, 1)] {
            let plane: Vec<u16> = (0..rows * cols).map(|k| 1000 + 17 * k as u16).collect();
            let (r, qa) = resampled(resampling, (rows, cols), &plane, 10.0, (0.0, 0.0));
            let expected: Vec<Vec<f64>> =
                plane.chunks(cols).map(|line| line.iter().map(|v| f64::from(*v)).collect()).collect();
            assert_eq!(corner(&r, (rows, cols)), expected, "{resampling}");
            let valid = qa.bands[0].iter().filter(|s| **s != 1.0).count();
            assert_eq!(valid, rows * cols, "{resampling}");
        }
    }
}

#[test]
fn cubic_between_pixels_is_the_formula_and_weights_are_renormalised_beside_nodata() {
    // Moved by half a pixel to the east: weights −1, 9, 9, −1 sixteenths.
    let plane: Vec<u16> = vec![100, 200, 400, 300, 600, 0];
    let (r, qa) = resampled("cubic", (1, 6), &plane, 10.0, (5.0, 0.0));
    let keys = |v: &[f64]| -> f64 {
        let weighted = v.iter().zip([-1.0, 9.0, 9.0, -1.0]).filter(|(v, _)| **v > 0.0);
        let (sum, weight) = weighted.fold((0.0, 0.0), |(s, w), (v, k)| (s + v * k, w + k));
        sum / weight
    };
    let found = corner(&r, (1, 7)).remove(0);
    let expected = [
        keys(&[0.0, 0.0, 100.0, 200.0]),
        keys(&[0.0, 100.0, 200.0, 400.0]),
        keys(&[100.0, 200.0, 400.0, 300.0]),
        keys(&[200.0, 400.0, 300.0, 600.0]),
        keys(&[400.0, 300.0, 600.0, 0.0]),
        keys(&[300.0, 600.0, 0.0, 0.0]),
    ];
    for (k, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-3, "{k}: {found:?}, {expected:?}");
    }
    assert!(found[6].is_nan());
    let edge = 2048.0;
    assert_eq!(corner(&qa, (1, 7)).remove(0), [edge, edge, 0.0, 0.0, edge, edge, 1.0]);
}

#[test]
fn the_average_on_pixels_of_three_times_the_size_is_the_mean_of_nine() {
    let (rows, cols) = (30, 33);
    let plane: Vec<u16> = (0..rows * cols).map(|k| (k * 7919 % 4000) as u16 + 1).collect();
    let (r, qa) = resampled("average", (rows, cols), &plane, 30.0, (0.0, 0.0));
    let found = corner(&r, (rows / 3, cols / 3));
    for (i, line) in found.iter().enumerate() {
        for (j, value) in line.iter().enumerate() {
            let nine = (0..9).map(|k| f64::from(plane[(3 * i + k / 3) * cols + 3 * j + k % 3]));
            assert!((value - nine.sum::<f64>() / 9.0).abs() < 0.01, "{i} {j}");
        }
    }
    assert_eq!(qa.bands[0].iter().filter(|s| **s != 1.0).count(), rows * cols / 9);
}
