//! Products of deliveries that are made of more than one raster of bands: what opens can also be run.

use std::path::Path;

use super::files::*;
use super::{gaofen, jilin1};
use crate::harness::{Desk, tree};
use crate::image;

fn pipeline(products: &str, resolution: f64) -> String {
    format!(
        "schema = 1\nname = \"shapes\"\n[geometry]\nmode = \"ortho\"\nresolution = {resolution:?}\n\
         height = {{ constant = 200.0, datum = \"ellipsoid\" }}\n[output]\npictures = false\n{products}"
    )
}

const NDVI: &str = "[[product]]\nname = \"ndvi\"\nkind = \"index\"\nindex = \"NDVI\"\ntype = \"float32\"\n";

/// Valid values of the one file that ends so.
fn values(desk: &Desk, ending: &str) -> Vec<f64> {
    let out = desk.path("out");
    let names: Vec<String> = tree(&out).into_keys().filter(|n| n.ends_with(ending)).collect();
    assert!(!names.is_empty(), "{ending}");
    let valid = |name: &String| image::read(&out.join(Path::new(name))).bands[0].clone();
    names.iter().flat_map(valid).filter(|v| v.is_finite()).collect()
}

#[test]
fn an_index_of_bands_in_a_file_each_is_made() {
    let desk = Desk::new();
    let (_, make, _) = jilin1::SHAPES.iter().find(|(name, ..)| name.starts_with("GP01, a file per band")).unwrap();
    let folder = make(&desk);
    // B5 is R; a copy of it as B6, with another gain in the list, is N.
    for file in [".tif", "_rpc.txt"] {
        let name =
            |band: &str| folder.join(format!("JL1GP01_PMS_20220516095811_200185191_104_0011_001_L1_{band}{file}"));
        std::fs::copy(name("B5"), name("B6")).unwrap();
    }
    // With one irradiance for both, reflectance is a multiple of radiance and the index the same.
    let more = ["--set", "radiometry.esun.R=1000", "--set", "radiometry.esun.N=1000"];
    desk.run(&pipeline(NDVI, 10.0), &[&folder], &more).ends_with(0);
    let ndvi = values(&desk, "/ndvi.tif");
    // The same DN in both: gains 0.055 and 0.056, biases −0.195 and −0.194; DN of 300 to 1296.
    let of = |dn: f64| (0.001 * dn + 0.001) / (0.111 * dn - 0.389);
    assert!(ndvi.len() > 50, "{}", ndvi.len());
    assert!(ndvi.iter().all(|v| (of(1296.0) - 1e-6..=of(300.0) + 1e-6).contains(v)), "{ndvi:?}");
}

#[test]
fn reflectance_of_a_gaofen_scene_is_the_formula() {
    let desk = Desk::new();
    let (_, make, _) = gaofen::SHAPES.iter().find(|(name, ..)| name.starts_with("GF-2 PMS1 of a year")).unwrap();
    let folder = make(&desk);
    let products = "[[product]]\nname = \"red\"\nkind = \"bands\"\nbands = [\"R\"]\ntype = \"float32\"\n";
    let more = ["--set", "radiometry.esun.R=1530"];
    desk.run(&pipeline(products, 10.0), &[&folder], &more).ends_with(0);
    let reflectance = values(&desk, "/red.tif");
    // d of 2020-07-04 is 1.01669394 AU by pvlib; gain 0.1700.
    let factor =
        std::f64::consts::PI * 0.1700 * 1.016_693_94f64.powi(2) / (1530.0 * JULY_2020.zenith.to_radians().cos());
    assert!(reflectance.len() > 50);
    let (low, high) = (factor * 300.0, factor * 1296.0);
    assert!(reflectance.iter().all(|v| (low * 0.9999..=high * 1.0001).contains(v)), "{low} {high} {reflectance:?}");

    // Of a year that is not in the table, with what to do about it.
    let desk = Desk::new();
    let (_, make, _) =
        gaofen::SHAPES.iter().find(|(name, ..)| *name == "GF-2 of a year that nothing is known of").unwrap();
    let folder = make(&desk);
    let products = products.replace("\"R\"", "\"PAN\"");
    desk.run(&pipeline(&products, 10.0), &[&folder], &[]).ends_with(3).says(&["in 2022", "coefficients.toml"]);
}
