//! Sums of lights: of a cell in its Item, of a scene in a table made from those.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fieldglow_kernels::lights::Lights;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::OpenCell;
use super::plan::ScenePlan;
use super::publish::FileRecord;
use crate::grid::cell::{Lattice, Tiling};
use crate::grid::ground_area_m2;
use crate::product::Program;

/// Name of the property in Items.
pub const PROPERTY: &str = "fieldglow:night";

/// Sums of a night product, in one cell or many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Product {
    /// Ground that a pixel covers on the map, square metres; in degrees and web mercator that in the middle of the cell.
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
        let pixel_area_m2 = pixel_area_m2(&cell.plan, &cell.cell().lattices[file.layer]);
        let bands = bands.iter().zip(&file.lights).map(band).collect();
        products.insert(product.name.clone(), Product { pixel_area_m2, bands });
    }
    (!products.is_empty()).then(|| serde_json::to_value(products).unwrap_or_default())
}

/// Ground that a pixel of a cell covers.
fn pixel_area_m2(plan: &ScenePlan, lattice: &Lattice) -> f64 {
    if plan.crs.is_geographic() || plan.pipeline.geometry.tiling() != Tiling::Metric {
        let middle = lattice.transform.world_from_pixel(lattice.cols as f64 / 2.0, lattice.rows as f64 / 2.0);
        return ground_area_m2(&plan.crs, lattice.transform, middle.1);
    }
    lattice.transform.determinant().abs()
}

const HEAD: &str = "product,band,dark_dn,lit_threshold,pixel_area_m2,valid_pixels,lit_pixels,lit_share,tnl,mean,mean_lit,max,net_sum,radiant_intensity";

/// The table of a scene as CSV, from the Items of its cells in their order; `None` when no product shows lights.
///
/// Radiance in W·m⁻²·sr⁻¹·µm⁻¹. `tnl` is the sum over lit pixels (TNL, also SOL; Elvidge et al. 1997), `lit_share` lit over
/// valid pixels (LAP; Zhuo et al. 2003), `mean` the sum over all valid and `mean_lit` over lit pixels only (both go by MNL),
/// `net_sum` the signed sum over all valid pixels, and `radiant_intensity` is `tnl` times the area of a pixel (cell by cell
/// where it differs), W·sr⁻¹·µm⁻¹, which does not depend on the pixel size.
pub fn table(items: &[Value]) -> Option<String> {
    let mut scene: BTreeMap<(String, String), Total> = BTreeMap::new();
    for item in items {
        let found = item.get("properties").and_then(|p| p.get(PROPERTY)).cloned();
        let found: Products = found.and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
        for (name, product) in found {
            for (band_name, band) in product.bands {
                let total = scene.entry((name.clone(), band_name));
                total.or_insert_with(|| Total::nothing(&band, product.pixel_area_m2)).add(&band, product.pixel_area_m2);
            }
        }
    }
    if scene.is_empty() {
        return None;
    }
    let mut text = format!("{HEAD}\n");
    for ((name, band), total) in &scene {
        let s = &total.band;
        let per = |sum: f64, n: u64| if n == 0 { 0.0 } else { sum / n as f64 };
        let numbers = [
            s.dark_dn,
            s.lit_threshold,
            total.pixel_area_m2(),
            s.valid_pixels as f64,
            s.lit_pixels as f64,
            per(s.lit_pixels as f64, s.valid_pixels),
            s.lit_sum,
            per(s.lit_sum, s.valid_pixels),
            per(s.lit_sum, s.lit_pixels),
            s.lit_max,
            s.net_sum,
            total.radiant_intensity(),
        ];
        let _ = write!(text, "{name},{band}");
        for number in numbers {
            let _ = write!(text, ",{number}");
        }
        text.push('\n');
    }
    Some(text)
}

/// Sums of a band over the cells of a scene, whose pixels may differ in area.
struct Total {
    band: Band,
    /// Area of a pixel in the first cell, and whether it is that of all.
    first_m2: f64,
    is_same: bool,
    /// Area of all valid pixels.
    valid_m2: f64,
    /// Sum of light times area.
    lit_m2: f64,
}

impl Total {
    fn nothing(like: &Band, first_m2: f64) -> Self {
        let band = Band { valid_pixels: 0, lit_pixels: 0, net_sum: 0.0, lit_sum: 0.0, lit_max: 0.0, ..like.clone() };
        Self { band, first_m2, is_same: true, valid_m2: 0.0, lit_m2: 0.0 }
    }

    fn add(&mut self, band: &Band, pixel_m2: f64) {
        let sum = &mut self.band;
        sum.valid_pixels += band.valid_pixels;
        sum.lit_pixels += band.lit_pixels;
        sum.net_sum += band.net_sum;
        sum.lit_sum += band.lit_sum;
        sum.lit_max = sum.lit_max.max(band.lit_max);
        self.is_same &= pixel_m2 == self.first_m2;
        self.valid_m2 += pixel_m2 * band.valid_pixels as f64;
        self.lit_m2 += pixel_m2 * band.lit_sum;
    }

    /// Area of a pixel, the mean over valid pixels.
    fn pixel_area_m2(&self) -> f64 {
        let is_mean = !self.is_same && self.band.valid_pixels > 0;
        if is_mean { self.valid_m2 / self.band.valid_pixels as f64 } else { self.first_m2 }
    }

    fn radiant_intensity(&self) -> f64 {
        if self.is_same { self.band.lit_sum * self.first_m2 } else { self.lit_m2 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scene_is_the_sum_of_its_cells() {
        let cell_of = |area: f64, valid: u64, lit: u64, sum: f64, max: f64| {
            let band = json!({ "dark_dn": 20.5, "lit_threshold": 0.25, "valid_pixels": valid, "lit_pixels": lit, "net_sum": sum + 0.5, "lit_sum": sum, "lit_max": max });
            json!({ "properties": { PROPERTY: { "lights": { "pixel_area_m2": area, "bands": { "R": band } } } } })
        };
        let cell = |valid, lit, sum, max| cell_of(4.0, valid, lit, sum, max);
        let text = table(&[cell(100, 10, 30.0, 9.0), json!({ "properties": {} }), cell(100, 30, 50.0, 4.0)]).unwrap();
        assert_eq!(text, format!("{HEAD}\nlights,R,20.5,0.25,4,200,40,0.2,80,0.4,2,9,81,320\n"));
        // Pixels of two areas: the mean, and each light on its own.
        let text = table(&[cell(300, 10, 30.0, 9.0), cell_of(2.0, 100, 30, 50.0, 4.0)]).unwrap();
        assert_eq!(text, format!("{HEAD}\nlights,R,20.5,0.25,3.5,400,40,0.1,80,0.2,2,9,81,220\n"));
        assert_eq!(table(&[json!({ "properties": {} })]), None);
    }
}
