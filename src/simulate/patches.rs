//! Uniform patches: ground whose reflectance is known for every pixel that sees it.

use serde_json::{Map, Value, json};

use super::Options;
use super::day::SPECS;
use super::land::{BANDS, Cover, Land, Reflectance};
use super::radiometry::is_imaged_at;
use super::render::{Ground, MapGrid};

/// Most patches written.
const MOST_PATCHES: usize = 400;
/// Distance of a patch from anything else, multispectral pixels.
const MARGIN_PX: f64 = 8.0;
/// Distance of the points a patch is checked on, metres: less than the width of anything but a track, and tracks are
/// the edges of parcels.
const CHECK_SPACING_M: f64 = 4.0;

/// A square, its sides along the map axes, of one reflectance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patch {
    pub x: f64,
    pub y: f64,
    pub half_m: f64,
    pub kind: usize,
    pub reflectance: Reflectance,
    pub line: f64,
    pub sample: f64,
}

/// Uniform patches inside the image, in a fixed order.
pub(super) fn patches(options: &Options, land: &Land, ground: &dyn Ground) -> Vec<Patch> {
    let half_scene = 0.5 * options.gsd_m * options.mss_cols.max(options.mss_rows) as f64;
    let margin = MARGIN_PX * options.gsd_m;
    let candidates = land.parcels(half_scene, 3 * MOST_PATCHES);
    let found = candidates.iter().filter_map(|parcel| {
        // The square must fit whatever way the field lies; a little less for the stretch of the plane far out.
        let half_m = 0.97 * (parcel.half_width_m - margin) / std::f64::consts::SQRT_2;
        let (cover, reflectance) = land.at(parcel.x, parcel.y);
        let Cover::Field { kind, .. } = cover else { return None };
        let reach = half_m + margin;
        let inside = [(-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach)].iter().all(|(dx, dy)| {
            let pixel = ground.pixel(parcel.x + dx, parcel.y + dy);
            is_imaged_at(pixel, options.mss_rows, options.mss_cols)
        });
        let fits = half_m >= 2.0 * options.gsd_m
            && inside
            && is_uniform(land, (parcel.x, parcel.y), half_m * std::f64::consts::SQRT_2 + margin, cover);
        let (line, sample) = ground.pixel(parcel.x, parcel.y);
        fits.then_some(Patch { x: parcel.x, y: parcel.y, half_m, kind, reflectance, line, sample })
    });
    found.take(MOST_PATCHES).collect()
}

fn is_uniform(land: &Land, (x, y): (f64, f64), radius: f64, cover: Cover) -> bool {
    let n = (radius / CHECK_SPACING_M).ceil() as i32;
    let step = radius / f64::from(n.max(1));
    (-n..=n).all(|i| {
        (-n..=n).all(|j| {
            let (dx, dy) = (f64::from(i) * step, f64::from(j) * step);
            dx.hypot(dy) > radius || land.at(x + dx, y + dy).0 == cover
        })
    })
}

/// Patches as JSON, with their places on the map.
pub(super) fn json(patches: &[Patch], map: &MapGrid) -> Value {
    json!({
        "crs": format!("EPSG:{}", map.utm.epsg()),
        "margin_px": MARGIN_PX,
        "list": patches.iter().map(|p| patch_json(p, map)).collect::<Vec<_>>(),
    })
}

fn patch_json(patch: &Patch, map: &MapGrid) -> Value {
    let (lon, lat) = map.plane.lon_lat(patch.x, patch.y);
    let (easting, northing) = map.utm.forward(lon, lat);
    let reflectance: Map<String, Value> =
        (0..BANDS).map(|b| (SPECS[b].role.into(), json!(f64::from(patch.reflectance[b])))).collect();
    json!({
        "kind": Land::kind_name(patch.kind),
        "lon_deg": lon,
        "lat_deg": lat,
        "x": easting,
        "y": northing,
        "half_m": patch.half_m,
        "mss_line": patch.line,
        "mss_sample": patch.sample,
        "reflectance": reflectance,
    })
}

#[cfg(test)]
mod tests {
    use super::super::camera::Camera;
    use super::*;

    #[test]
    fn patches_are_uniform_with_their_margin_and_inside_the_image() {
        let options = Options::new("unused");
        let camera = Camera::new(&options);
        let land = Land::new(options.seed);
        let patches = patches(&options, &land, &camera);
        assert!(patches.len() >= 10, "{}", patches.len());
        for p in &patches {
            let reach = p.half_m + MARGIN_PX * options.gsd_m * 0.7;
            for k in 0..400 {
                let (i, j) = (f64::from(k % 20) / 19.0 * 2.0 - 1.0, f64::from(k / 20) / 19.0 * 2.0 - 1.0);
                assert_eq!(land.at(p.x + i * reach, p.y + j * reach).1, p.reflectance);
            }
            let x = camera.plane_xy(p.line, p.sample);
            assert!((x.0 - p.x).hypot(x.1 - p.y) < 1e-3, "{x:?} {p:?}");
        }
    }
}
