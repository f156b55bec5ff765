//! What was put in, written down.

use serde_json::{Map, Value, json};

use super::rpc_fit::RpcResidual;
use super::sun::SunPosition;
use super::{Kind, Options, Scene};

/// What `truth.json` is made of.
pub(super) struct Facts<'a> {
    pub stem: &'a str,
    pub level: &'a str,
    pub sun: SunPosition,
    pub view: (f64, f64),
    pub line_time_s: f64,
    pub detector_tan: f64,
    pub height_range_m: (f64, f64),
    pub rpc: &'a [(&'static str, RpcResidual)],
    /// What the subject adds.
    pub sections: Map<String, Value>,
}

/// Everything that was put in, as JSON.
pub(super) fn document(options: &Options, facts: Facts) -> Value {
    let rpc: Map<String, Value> =
        facts.rpc.iter().map(|(part, r)| ((*part).into(), json!({ "max_px": r.max_px, "rms_px": r.rms_px }))).collect();
    let mut document = Map::new();
    document.insert("stem".into(), json!(facts.stem));
    document.insert("options".into(), options_json(options, facts.level));
    document.insert(
        "geometry".into(),
        json!({
            "view_elevation_deg": facts.view.0,
            "view_azimuth_deg": facts.view.1,
            "line_time_s": facts.line_time_s,
            "detector_tan": facts.detector_tan,
            "height_range_m": [facts.height_range_m.0, facts.height_range_m.1],
            "rpc_residual": rpc,
        }),
    );
    document.insert(
        "sun".into(),
        json!({
            "zenith_deg": facts.sun.zenith_deg,
            "azimuth_deg": facts.sun.azimuth_deg,
            "distance_au": facts.sun.distance_au,
        }),
    );
    document.extend(facts.sections);
    Value::Object(document)
}

fn options_json(options: &Options, level: &str) -> Value {
    let mut json = json!({
        "seed": options.seed,
        "season": options.season,
        "cloud": options.cloud,
        "level": level,
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
    });
    if let Some(pixel) = options.truth_m {
        json["truth_m"] = json!(pixel);
    }
    match options.scene {
        Scene::Day { pan } => json["pan"] = json!(pan),
        Scene::Night(night) => json["night"] = json!({ "dark_dn": night.dark_dn, "glow": night.glow }),
    }
    json
}
