//! Scenes as comma-separated values, a line for each band (RFC 4180, but lines end as on Unix).

use std::borrow::Cow;

use fieldglow::scene::{Calibration, Scene};

/// Names of the columns.
pub const HEAD: &str = "scene,time,platform,instrument,level,sun_zenith_deg,sun_azimuth_deg,view_zenith_deg,view_azimuth_deg,\
off_nadir_deg,cloud_percent,part,rows,cols,type,gsd_x_m,gsd_y_m,place,role,band,file,index,range_min_nm,range_max_nm,\
calibration,gain,bias,source,warnings\n";

/// Adds the bands of a scene. `place` tells where a part is, `warnings` are codes.
pub fn add(out: &mut String, scene: &Scene, places: &[String], warnings: &[&str]) {
    let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
    let text = |v: &Option<String>| v.clone().unwrap_or_default();
    let of_scene = [
        scene.id.clone(),
        scene.time.center.to_string(),
        text(&scene.platform),
        text(&scene.instrument),
        text(&scene.level),
        number(scene.sun.map(|s| s.zenith.0)),
        number(scene.sun.and_then(|s| s.azimuth_deg)),
        number(scene.view.and_then(|v| v.zenith_deg)),
        number(scene.view.and_then(|v| v.azimuth_deg)),
        number(scene.view.and_then(|v| v.off_nadir_deg)),
        number(scene.cloud_percent),
    ];
    for (part, place) in scene.parts.iter().zip(places) {
        let of_part = [
            part.name.clone(),
            part.rows.to_string(),
            part.cols.to_string(),
            part.sample.to_string(),
            number(part.gsd_m.map(|(x, _)| x)),
            number(part.gsd_m.map(|(_, y)| y)),
            place.clone(),
        ];
        for band in &part.bands {
            let (kind, line) = match &band.calibration {
                Calibration::Radiance { gain, bias, source } => ("radiance", Some((gain, bias, source))),
                Calibration::Reflectance { gain, bias, source, .. } => ("reflectance", Some((gain, bias, source))),
                Calibration::Missing { .. } => ("missing", None),
            };
            let of_band = [
                band.role.code().to_owned(),
                band.name.clone(),
                band.file.display().to_string(),
                (band.index + 1).to_string(),
                number(band.range_nm.map(|r| r.min)),
                number(band.range_nm.map(|r| r.max)),
                kind.to_owned(),
                number(line.map(|(gain, ..)| *gain)),
                number(line.map(|(_, bias, _)| *bias)),
                line.map(|(.., source)| source.clone()).unwrap_or_default(),
                warnings.join(" "),
            ];
            let fields: Vec<Cow<'_, str>> =
                of_scene.iter().chain(&of_part).chain(&of_band).map(|f| quoted(f)).collect();
            out.push_str(&fields.join(","));
            out.push('\n');
        }
    }
}

/// A field as it stands in a line.
fn quoted(field: &str) -> Cow<'_, str> {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")).into(),
        false => field.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_quoted() {
        assert_eq!(quoted("a b"), "a b");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("a \"b\"\nc"), "\"a \"\"b\"\"\nc\"");
    }
}
