//! Pansharpened products against the published formulas, computed here in f64; seams, nodata, threads, refusals.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::delivery::{Delivery, SIDECAR, farm, ortho, pipeline, product};
use crate::harness::{Desk, tree};
use crate::image;

const RATIO: usize = 4;
const GAIN: f64 = 0.3;
/// Share of the scene's mean below which PAN is not divided by.
const FLOOR: f64 = 0.25;

/// A projected scene of two parts on one corner: PAN, and bands `B` and `N` with pixels four times as large. 0 is no data.
struct Pair {
    rows: usize,
    cols: usize,
    pan: Vec<u16>,
    bands: [Vec<u16>; 2],
}

impl Pair {
    fn new(rows: usize, cols: usize) -> Self {
        let pan = |i: usize| {
            let (r, c) = ((i / cols) as f64, (i % cols) as f64);
            let wave = 300.0 * (r / 3.1).sin() * (c / 4.7).cos() + 200.0 * (r / 23.0 + c / 31.0).sin();
            (1200.0 + wave + (i * 7919 % 61) as f64) as u16
        };
        let band = |b: usize| {
            let wide = cols / RATIO;
            (0..rows / RATIO * wide)
                .map(|i| {
                    let (r, c) = ((i / wide) as f64 + 0.5, (i % wide) as f64 + 0.5);
                    let wave = (RATIO as f64 * r / 23.0 + RATIO as f64 * c / 31.0).sin();
                    (700.0 + 400.0 * b as f64 + (120.0 + 60.0 * b as f64) * wave + (i * 31 % 47) as f64) as u16
                })
                .collect()
        };
        Self { rows, cols, pan: (0..rows * cols).map(pan).collect(), bands: [band(0), band(1)] }
    }

    fn write(&self, desk: &Desk, (x0, y0, pixel): (f64, f64, f64)) -> PathBuf {
        let folder = desk.path("pair");
        fs::create_dir_all(&folder).unwrap();
        let at = |p: f64| Some((32651, [x0, p, 0.0, y0, 0.0, -p]));
        image::write(&folder.join("pan.tif"), (self.rows, self.cols), std::slice::from_ref(&self.pan), at(pixel));
        let coarse = (self.rows / RATIO, self.cols / RATIO);
        image::write(&folder.join("ms.tif"), coarse, &self.bands, at(pixel * RATIO as f64));
        let part = |name: &str, file: &str| format!("[[part]]\nname = \"{name}\"\nimage = \"{file}\"\nfill = 0\n");
        let band = |role: &str, index: usize| format!("[[part.band]]\nrole = \"{role}\"\nindex = {index}\n");
        let text = format!(
            "{SIDECAR}{}{}{}{}{}",
            part("PAN", "pan.tif"),
            band("PAN", 1),
            part("MS", "ms.tif"),
            band("B", 1),
            band("N", 2)
        );
        fs::write(folder.join("scene.toml"), text).unwrap();
        folder
    }
}

fn sharpened(name: &str, more: &str) -> String {
    product(name, &format!("kind = \"pansharpen\"\nbands = [\"B\", \"N\"]\ntype = \"float32\"\n{more}"))
}

fn grid(pixel: f64, products: &str) -> String {
    pipeline("dn", &format!("mode = \"grid\"\ncrs = \"EPSG:32651\"\nresolution = {pixel}"), products)
}

/// The low-pass of PAN at the pixels of the bands, by the plain formula: NaN where a band has none.
fn low_pass(pair: &Pair, band: &[f64]) -> Vec<f64> {
    let sigma = (-2.0 * GAIN.ln()).sqrt() / std::f64::consts::PI;
    let reach = (3.5 * sigma).ceil();
    let wide = pair.cols / RATIO;
    let place = |fine: usize| (fine as f64 + 0.5) / RATIO as f64 - 0.5;
    (0..band.len())
        .map(|m| {
            let (mr, mc) = ((m / wide) as f64, (m % wide) as f64);
            let (mut sum, mut weight) = (0.0, 0.0);
            for r in 0..pair.rows {
                for c in 0..pair.cols {
                    let (dy, dx) = (place(r) - mr, place(c) - mc);
                    let pan = pair.pan[r * pair.cols + c];
                    if pan > 0 && dy.abs() < reach && dx.abs() < reach {
                        let w = (-(dx * dx + dy * dy) / (2.0 * sigma * sigma)).exp();
                        sum += w * f64::from(pan);
                        weight += w;
                    }
                }
            }
            if band[m].is_nan() { f64::NAN } else { sum / weight }
        })
        .collect()
}

/// Bilinear interpolation at the pixels of PAN, over the valid ones where they have half of the weight.
fn interpolate(pair: &Pair, coarse: &[f64]) -> Vec<f64> {
    let (high, wide) = (pair.rows / RATIO, pair.cols / RATIO);
    let place = |fine: usize| {
        let at = (fine as f64 + 0.5) / RATIO as f64 - 0.5;
        (at.floor() as i64, at - at.floor())
    };
    let mut out = Vec::new();
    for r in 0..pair.rows {
        for c in 0..pair.cols {
            let ((r0, fy), (c0, fx)) = (place(r), place(c));
            let (mut sum, mut weight) = (0.0, 0.0);
            for (dr, wy) in [(0, 1.0 - fy), (1, fy)] {
                for (dc, wx) in [(0, 1.0 - fx), (1, fx)] {
                    let (y, x) = (r0 + dr, c0 + dc);
                    if y < 0 || x < 0 || y >= high as i64 || x >= wide as i64 {
                        continue;
                    }
                    let value = coarse[y as usize * wide + x as usize];
                    if !value.is_nan() {
                        sum += wx * wy * value;
                        weight += wx * wy;
                    }
                }
            }
            out.push(if weight >= 0.5 { sum / weight } else { f64::NAN });
        }
    }
    out
}

/// The bands of a product over the pixels of PAN, whose first is at (x0, y0).
fn over_pan(path: &std::path::Path, pair: &Pair, (x0, y0): (f64, f64)) -> Vec<Vec<f64>> {
    let image = image::read(path);
    let t = image.transform;
    let (col, row) = (((x0 - t[0]) / t[1]) as usize, ((y0 - t[3]) / t[5]) as usize);
    let rows = |b: &Vec<f64>| -> Vec<f64> {
        (0..pair.rows).flat_map(|r| b[(row + r) * image.cols + col..][..pair.cols].to_vec()).collect()
    };
    image.bands.iter().map(rows).collect()
}

#[test]
fn every_pixel_is_the_published_formula_also_beside_what_is_missing() {
    let desk = Desk::new();
    let mut pair = Pair::new(128, 160);
    // A dead pixel, a dead column of PAN and a hole in the bands; one band alone lacks a pixel.
    pair.pan[30 * 160 + 41] = 0;
    (0..128).for_each(|r| pair.pan[r * 160 + 100] = 0);
    for k in [5 * 40 + 7, 5 * 40 + 8, 6 * 40 + 7] {
        pair.bands.iter_mut().for_each(|b| b[k] = 0);
    }
    pair.bands[1][20 * 40 + 20] = 0;
    let corner = (684_000.0, 4_860_000.0);
    let folder = pair.write(&desk, (corner.0, corner.1, 10.0));
    let products = format!(
        "{}{}{}{}",
        sharpened("moments", "fit = \"moments\""),
        sharpened("regression", ""),
        sharpened("brovey", "method = \"brovey\""),
        product("qa", "kind = \"qa\""),
    );
    desk.run(&grid(10.0, &products), &[&folder], &[]).ends_with(0);
    let survey = desk.document("survey.json");
    let values =
        |b: &Vec<u16>| -> Vec<f64> { b.iter().map(|v| if *v == 0 { f64::NAN } else { f64::from(*v) }).collect() };
    let bands: Vec<Vec<f64>> = pair.bands.iter().map(values).collect();
    // Where all bands are invalid the low-pass is; where one is, the other still has it.
    let any: Vec<f64> = (0..bands[0].len()).map(|k| bands[0][k].max(bands[1][k])).collect();
    let low = interpolate(&pair, &low_pass(&pair, &any));
    let up: Vec<Vec<f64>> = bands.iter().map(|b| interpolate(&pair, b)).collect();
    for name in ["moments", "regression", "brovey"] {
        let found = &survey["sharpen"][name];
        let got = over_pan(&desk.object(&format!("/{name}.tif")), &pair, corner);
        for (b, role) in ["B", "N"].iter().enumerate() {
            let of = |key: &str| found["bands"][role][key].as_f64().unwrap();
            let (mut valid, mut worst) = (0, 0.0f64);
            for p in 0..pair.pan.len() {
                let pan = if pair.pan[p] == 0 { f64::NAN } else { f64::from(pair.pan[p]) };
                let expected = if name == "brovey" {
                    let intensity = &found["intensity"];
                    let weight = |r: &str| intensity["weights"][r].as_f64().unwrap();
                    let sum = weight("B") * up[0][p] + weight("N") * up[1][p] + intensity["constant"].as_f64().unwrap();
                    up[b][p] * (1.0 + (pan - sum) / sum.max(FLOOR * of("pan_mean")))
                } else {
                    let slope = of("sd") / of("pan_sd") * if name == "regression" { of("correlation") } else { 1.0 };
                    let fitted = |v: f64| slope * (v - of("pan_mean")) + of("mean");
                    let below = fitted(low[p]).max(FLOOR * of("mean"));
                    up[b][p] * (1.0 + (fitted(pan) - fitted(low[p])) / below)
                };
                let needed = if name == "brovey" { up[0][p] + up[1][p] } else { up[b][p] };
                assert_eq!(got[b][p].is_nan(), pan.is_nan() || needed.is_nan(), "{name} {role} {p}");
                if !got[b][p].is_nan() {
                    valid += 1;
                    worst = worst.max((got[b][p] - expected).abs() / expected.abs());
                }
            }
            assert!(valid > 19_000 && worst < 3e-6, "{name} {role}: {valid} {worst}");
        }
    }
    // Bits: what was missing near PAN's dead pixel is told, far from it nothing is.
    let qa = &over_pan(&desk.object("/qa.tif"), &pair, corner)[0];
    let edge = f64::from(1 << 11);
    assert_eq!((qa[30 * 160 + 43], qa[60 * 160 + 60]), (edge, 0.0));
}

#[test]
fn what_the_survey_says_is_what_the_images_hold() {
    let desk = Desk::new();
    let pair = Pair::new(1024, 1024);
    let folder = pair.write(&desk, (690_000.0, 4_860_000.0, 10.0));
    let products = format!("{}{}", sharpened("sharp", ""), sharpened("brovey", "method = \"brovey\""));
    let report = desk.path("report.json");
    desk.run(&grid(10.0, &products), &[&folder], &["--report", report.to_str().unwrap()]).ends_with(0);
    let found = desk.document("survey.json");
    let bands = &found["sharpen"]["sharp"]["bands"];
    for (b, role) in ["B", "N"].iter().enumerate() {
        let v: Vec<f64> = pair.bands[b].iter().map(|v| f64::from(*v)).collect();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let sd = (v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        let of = |key: &str| bands[role][key].as_f64().unwrap();
        // All but the border, whose low-pass lacks what lies beyond.
        assert!((of("mean") / mean - 1.0).abs() < 0.01 && (of("sd") / sd - 1.0).abs() < 0.02, "{bands}");
    }
    assert!(found["sharpen"]["sharp"]["pixels"].as_u64().unwrap() > 60_000);
    assert!(found["sharpen"]["sharp"]["intensity"].is_null());
    let explained = found["sharpen"]["brovey"]["intensity"]["explained"].as_f64().unwrap();
    assert!((0.5..1.0).contains(&explained), "{explained}");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let items: Vec<Value> = tree(&desk.path("out"))
        .iter()
        .filter(|(name, _)| name.ends_with("item.json"))
        .map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
        .collect();
    for name in ["sharp", "brovey"] {
        let quality = &report["scenes"][0]["pansharpening"][name];
        let of = |key: &str| quality[key].as_f64().unwrap();
        assert!(of("windows") >= 36.0 && of("ergas") > 0.0 && of("sam_deg") > 0.0, "{quality}");
        assert!((of("qnr") - (1.0 - of("d_lambda")) * (1.0 - of("d_s"))).abs() < 1e-12);
        for item in &items {
            assert_eq!(&item["properties"]["fieldglow:pansharpening"][name], quality);
        }
    }
}

/// An image across the border of two cells, which lies in the middle of a unit of one where cells are larger.
#[test]
fn where_cells_and_units_end_makes_no_difference() {
    let mut pair = Pair::new(160, 512);
    pair.pan[80 * 512 + 250] = 0;
    pair.bands.iter_mut().for_each(|b| b[22 * 128 + 64] = 0);
    // 1920 m cells end at 365 of them, 3840 m cells do not; the image is 384 m wide.
    let corner = (365.0 * 1920.0 - 192.0, 4_860_000.0);
    let made = |finest: &str| {
        let desk = Desk::new();
        let folder = pair.write(&desk, (corner.0, corner.1, 0.75));
        let names = ["moments", "brovey", "qa"];
        let mut products = format!(
            "{}{}{}{finest}",
            sharpened("moments", "fit = \"moments\""),
            sharpened("brovey", "method = \"brovey\""),
            product("qa", "kind = \"qa\"\nbands = [\"PAN\", \"B\", \"N\"]"),
        );
        products = products.replace("resolution = R", "resolution = 0.375");
        desk.run(&grid(0.75, &products), &[&folder], &[]).ends_with(0);
        let files = tree(&desk.path("out"));
        let of = |name: &str| {
            let mut pixels = vec![vec![f64::NAN; 160 * 512]; 2];
            let paths = files.keys().filter(|n| n.ends_with(&format!("/{name}.tif"))).collect::<Vec<_>>();
            for path in &paths {
                let image = image::read(&desk.path("out").join(path));
                let t = image.transform;
                let (col, row) = (((t[0] - corner.0) / 0.75).round() as i64, ((corner.1 - t[3]) / 0.75).round() as i64);
                for (to, from) in pixels.iter_mut().zip(&image.bands) {
                    for (p, to) in to.iter_mut().enumerate() {
                        let (r, c) = ((p / 512) as i64 - row, (p % 512) as i64 - col);
                        if r >= 0 && c >= 0 && r < image.rows as i64 && c < image.cols as i64 {
                            *to = from[r as usize * image.cols + c as usize];
                        }
                    }
                }
            }
            (paths.len(), pixels)
        };
        names.map(of)
    };
    let (large, small) = (made(""), made(&product("fine", "kind = \"qa\"\nbands = [\"PAN\"]\nresolution = R")));
    for ((cells, a), (more_cells, b)) in large.iter().zip(&small) {
        assert_eq!((*cells, *more_cells), (1, 2));
        let bits = |v: &[Vec<f64>]| v.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(a[0].iter().filter(|v| !v.is_nan()).count() > 80_000);
        assert_eq!(bits(a), bits(b));
    }
}

const SHARP: &str = "[[product]]\nname = \"sharp\"\nkind = \"pansharpen\"\nbands = [\"B\", \"G\", \"R\", \"N\"]\nresolution = 6.0\n\
                     [[product]]\nname = \"brovey\"\nkind = \"pansharpen\"\nmethod = \"brovey\"\n\
                     bands = [\"R\", \"G\", \"B\"]\nresolution = 6.0\n";

#[test]
fn threads_and_budget_change_no_byte() {
    let text = ortho(SHARP);
    let desk = Desk::new();
    let smallest = desk.plan(&text, &Delivery::L1.folder(), &[])["smallest_memory_bytes"].to_string();
    desk.run_to("a", &text, &[&Delivery::L1.folder()], &["--threads", "1"]).ends_with(0);
    desk.run_to("b", &text, &[&Delivery::L1.folder()], &["--threads", "3", "--memory", &smallest]).ends_with(0);
    assert!(tree(&desk.path("a")) == tree(&desk.path("b")));
}

#[test]
fn other_products_keep_their_pixels() {
    let desk = Desk::new();
    desk.run(&format!("{}{SHARP}", farm()), &[&Delivery::L1.folder()], &[]).ends_with(0);
    let with = tree(&desk.path("out"));
    let mut compared = 0;
    for (name, _) in tree(crate::delivery::finished()).iter().filter(|(n, _)| n.ends_with(".tif")) {
        let (cell, file) = (name.split('/').nth(1).unwrap(), name.rsplit('/').next().unwrap());
        let same = with.keys().find(|n| n.contains(cell) && n.ends_with(&format!("/{file}"))).unwrap();
        let (a, b) = (image::read(&crate::delivery::finished().join(name)), image::read(&desk.path("out").join(same)));
        let bits = |v: &[Vec<f64>]| v.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&a.bands), bits(&b.bands), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 10);
}

#[test]
fn what_cannot_be_sharpened_is_refused() {
    let desk = Desk::new();
    let coarse = SHARP.replace("resolution = 6.0", "resolution = 24.0");
    desk.run(&ortho(&coarse), &[&Delivery::L1.folder()], &[]).ends_with(3).says(&["`sharp`", "resolution", "of PAN"]);
    desk.run(&ortho(SHARP), &[&Delivery::Small.folder()], &[]).ends_with(3).says(&["`sharp`", "PAN"]);
    // PAN and the bands lie side by side.
    let pair = Pair::new(128, 160);
    let folder = pair.write(&desk, (690_000.0, 4_860_000.0, 10.0));
    let away = [695_000.0, 40.0, 0.0, 4_860_000.0, 0.0, -40.0];
    image::write(&folder.join("ms.tif"), (32, 40), &pair.bands, Some((32651, away)));
    desk.run(&grid(10.0, &sharpened("sharp", "")), &[&folder], &[]).ends_with(3).says(&["`sharp`", "both valid on 0"]);
}
