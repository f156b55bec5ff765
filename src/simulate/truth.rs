//! What was put in, written down: uniform patches and every number of the simulation.

use serde_json::{Value, json};

use super::delivery::level;
use super::land::{BANDS, Cover, Land, PAN_MIX, Reflectance};
use super::radiometry::{DATA_BITS, SPECS, is_imaged};
use super::render::{Ground, MapGrid};
use super::rpc_fit::RpcResidual;
use super::sun::SunPosition;
use super::{Kind, Options};

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
        let inside = [(-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach)]
            .iter()
            .all(|(dx, dy)| imaged(options, ground.pixel(parcel.x + dx, parcel.y + dy)));
        let fits = half_m >= 2.0 * options.gsd_m
            && inside
            && is_uniform(land, (parcel.x, parcel.y), half_m * std::f64::consts::SQRT_2 + margin, cover);
        let (line, sample) = ground.pixel(parcel.x, parcel.y);
        fits.then_some(Patch { x: parcel.x, y: parcel.y, half_m, kind, reflectance, line, sample })
    });
    found.take(MOST_PATCHES).collect()
}

fn imaged(options: &Options, (line, sample): (f64, f64)) -> bool {
    let within = |v: f64, n: usize| v >= 0.0 && v <= n as f64 - 1.0;
    within(line, options.mss_rows)
        && within(sample, options.mss_cols)
        && is_imaged(line as usize, sample as usize, options.mss_rows, options.mss_cols)
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

/// What `truth.json` is made of.
pub(super) struct Facts<'a> {
    pub stem: &'a str,
    pub sun: SunPosition,
    pub view: (f64, f64),
    pub line_time_s: f64,
    pub detector_tan: f64,
    pub height_range_m: (f64, f64),
    pub rpc: &'a [(&'static str, RpcResidual)],
    pub patches: &'a [Patch],
    /// The map projection patches are given in.
    pub map: MapGrid,
}

/// Everything that was put in, as JSON.
pub(super) fn document(options: &Options, facts: &Facts) -> Value {
    let bands: Vec<Value> = SPECS
        .iter()
        .map(|s| {
            json!({
                "role": s.role,
                "range_nm": [s.range_nm.0, s.range_nm.1],
                "e0_w_m2_um": s.e0,
                "gain": s.gain,
                "bias": s.bias,
            })
        })
        .collect();
    let rpc: serde_json::Map<String, Value> =
        facts.rpc.iter().map(|(part, r)| ((*part).into(), json!({ "max_px": r.max_px, "rms_px": r.rms_px }))).collect();
    let epsg = facts.map.utm.epsg();
    json!({
        "stem": facts.stem,
        "options": options_json(options),
        "geometry": {
            "view_elevation_deg": facts.view.0,
            "view_azimuth_deg": facts.view.1,
            "line_time_s": facts.line_time_s,
            "detector_tan": facts.detector_tan,
            "height_range_m": [facts.height_range_m.0, facts.height_range_m.1],
            "rpc_residual": rpc,
        },
        "sun": {
            "zenith_deg": facts.sun.zenith_deg,
            "azimuth_deg": facts.sun.azimuth_deg,
            "distance_au": facts.sun.distance_au,
        },
        "radiometry": {
            "radiance": "gain * dn + bias, W m-2 sr-1 um-1",
            "reflectance": "pi * radiance * distance^2 / (e0 * cos(zenith)), top of atmosphere",
            "irradiance": "ASTM G173-03 extraterrestrial, trapezoid mean over range_nm",
            "data_bits": DATA_BITS,
            "pan_mix": { "B": PAN_MIX[0], "G": PAN_MIX[1], "R": PAN_MIX[2], "N": PAN_MIX[3] },
            "bands": bands,
        },
        "patches": {
            "crs": format!("EPSG:{epsg}"),
            "margin_px": MARGIN_PX,
            "list": facts.patches.iter().map(|p| patch_json(p, &facts.map)).collect::<Vec<_>>(),
        },
    })
}

fn options_json(options: &Options) -> Value {
    json!({
        "seed": options.seed,
        "level": level(options.kind),
        "mss_rows": options.mss_rows,
        "mss_cols": options.mss_cols,
        "gsd_m": options.gsd_m,
        "center_lon_deg": options.center_lon_deg,
        "center_lat_deg": options.center_lat_deg,
        "time": options.time.to_string(),
        "roll_deg": options.roll_deg,
        "rpc_shift_px": match options.kind {
            Kind::L1 => json!([options.rpc_shift_px.0, options.rpc_shift_px.1]),
            Kind::L3 => Value::Null,
        },
        "relief_m": options.relief_m,
        "noise_dn": options.noise_dn,
        "psf": options.psf,
        "dem_spacing_m": options.dem_spacing_m,
        "satellite": options.satellite,
        "sensor": options.sensor,
        "pan": options.pan,
    })
}

fn patch_json(patch: &Patch, map: &MapGrid) -> Value {
    let (lon, lat) = map.plane.lon_lat(patch.x, patch.y);
    let (easting, northing) = map.utm.forward(lon, lat);
    let reflectance: serde_json::Map<String, Value> =
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
