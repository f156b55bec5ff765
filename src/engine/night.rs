//! Sums of lights: of a cell in its Item, of a scene in a table made from those.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fieldglow_kernels::lights::Lights;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::OpenCell;
use super::publish::FileRecord;
use crate::product::Program;

/// Name of the property in Items.
pub const PROPERTY: &str = "fieldglow:night";

/// Sums of a night product, in one cell or many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Product {
    /// Ground that a pixel covers on the map, square metres.
    pixel_area_m2: f64,
    /// By name of the band.
    bands: BTreeMap<String, Band>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Band {
    dark_dn: f64,
    lit_threshold: f64,
    valid_pixels: u64,
    lit_pixels: u64,
    net_sum: f64,
    lit_sum: f64,
    lit_max: f64,
}

type Products = BTreeMap<String, Product>;

/// The lights of a cell, for its Item; `None` when no product shows any.
pub fn of_cell(cell: &OpenCell, files: &[FileRecord]) -> Option<Value> {
    let mut products = Products::new();
    for file in files.iter().filter(|f| !f.lights.is_empty()) {
        let layer = &cell.plan.layers[file.layer];
        let product = &layer.products[file.product];
        let Program::Night(bands) = &product.program else { continue };
        let band = |(b, s): (&crate::product::NightBand, &Lights)| {
            let band = Band {
                dark_dn: b.dark_dn,
                lit_threshold: b.lit,
                valid_pixels: s.valid,
                lit_pixels: s.lit,
                net_sum: s.sum,
                lit_sum: s.lit_sum,
                lit_max: s.lit_max,
            };
            (b.role.code().to_owned(), band)
        };
        let pixel_area_m2 = cell.cell().lattices[file.layer].transform.determinant().abs();
        let bands = bands.iter().zip(&file.lights).map(band).collect();
        products.insert(product.name.clone(), Product { pixel_area_m2, bands });
    }
    (!products.is_empty()).then(|| serde_json::to_value(products).unwrap_or_default())
}

const HEAD: &str = "product,band,dark_dn,lit_threshold,pixel_area_m2,valid_pixels,lit_pixels,lit_share,tnl,mean,mean_lit,max,net_sum,radiant_intensity";

/// The table of a scene as CSV, from the Items of its cells in their order; `None` when no product shows lights.
///
/// Radiance in W·m⁻²·sr⁻¹·µm⁻¹. `tnl` is the sum over lit pixels (TNL, also SOL; Elvidge et al. 1997), `lit_share` lit over
/// valid pixels (LAP; Zhuo et al. 2003), `mean` the sum over all valid and `mean_lit` over lit pixels only (both go by MNL),
/// `net_sum` the signed sum over all valid pixels, and `radiant_intensity` is `tnl` times the area of a pixel,
/// W·sr⁻¹·µm⁻¹, which does not depend on the pixel size.
pub fn table(items: &[Value]) -> Option<String> {
    let mut scene = Products::new();
    for item in items {
        let found = item.get("properties").and_then(|p| p.get(PROPERTY)).cloned();
        let found: Products = found.and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
        for (name, product) in found {
            let sum = scene.entry(name).or_insert_with(|| Product { bands: BTreeMap::new(), ..product.clone() });
            for (name, band) in product.bands {
                let empty =
                    Band { valid_pixels: 0, lit_pixels: 0, net_sum: 0.0, lit_sum: 0.0, lit_max: 0.0, ..band.clone() };
                let sum = sum.bands.entry(name).or_insert(empty);
                sum.valid_pixels += band.valid_pixels;
                sum.lit_pixels += band.lit_pixels;
                sum.net_sum += band.net_sum;
                sum.lit_sum += band.lit_sum;
                sum.lit_max = sum.lit_max.max(band.lit_max);
            }
        }
    }
    if scene.is_empty() {
        return None;
    }
    let mut text = format!("{HEAD}\n");
    for (name, product) in &scene {
        for (band, s) in &product.bands {
            let per = |sum: f64, n: u64| if n == 0 { 0.0 } else { sum / n as f64 };
            let numbers = [
                s.dark_dn,
                s.lit_threshold,
                product.pixel_area_m2,
                s.valid_pixels as f64,
                s.lit_pixels as f64,
                per(s.lit_pixels as f64, s.valid_pixels),
                s.lit_sum,
                per(s.lit_sum, s.valid_pixels),
                per(s.lit_sum, s.lit_pixels),
                s.lit_max,
                s.net_sum,
                s.lit_sum * product.pixel_area_m2,
            ];
            let _ = write!(text, "{name},{band}");
            for number in numbers {
                let _ = write!(text, ",{number}");
            }
            text.push('\n');
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scene_is_the_sum_of_its_cells() {
        let cell = |valid: u64, lit: u64, sum: f64, max: f64| {
            let band = json!({ "dark_dn": 20.5, "lit_threshold": 0.25, "valid_pixels": valid, "lit_pixels": lit, "net_sum": sum + 0.5, "lit_sum": sum, "lit_max": max });
            json!({ "properties": { PROPERTY: { "lights": { "pixel_area_m2": 4.0, "bands": { "R": band } } } } })
        };
        let text = table(&[cell(100, 10, 30.0, 9.0), json!({ "properties": {} }), cell(100, 30, 50.0, 4.0)]).unwrap();
        assert_eq!(text, format!("{HEAD}\nlights,R,20.5,0.25,4,200,40,0.2,80,0.4,2,9,81,320\n"));
        assert_eq!(table(&[json!({ "properties": {} })]), None);
    }
}
