//! Where a scene says it is, against where its sensor model or map projection puts it.

use crate::geometry::ortho;
use crate::geometry::sensor::Sensor;
use crate::grid::{Crs, METERS_PER_DEGREE, PointTransform, nearest_turn};
use crate::scene::{Code, Part, Scene, SensorModel, Warning};

/// Most a stated pixel size may be off, as a factor: nominal sizes are a tenth off the true ones, and slanted views make
/// pixels longer one way.
const GSD_FACTOR: f64 = 1.3;

/// Most the stated centre may be off the modelled one, metres, and as a share of the scene's diagonal: sensor models
/// without control are off by hundreds of metres, and corners by a margin.
const CENTER_M: f64 = 2000.0;
const CENTER_SHARE: f64 = 0.25;

/// Points in metres east and north of a common origin.
pub(super) type Local = Vec<(f64, f64)>;

/// Points of longitude and latitude in metres about `origin`.
pub(super) fn local(points: &[(f64, f64)], origin: (f64, f64)) -> Local {
    let narrow = origin.1.to_radians().cos();
    let meters = |&(lon, lat): &(f64, f64)| {
        let east = nearest_turn(lon, origin.0) - origin.0;
        (east * narrow * METERS_PER_DEGREE, (lat - origin.1) * METERS_PER_DEGREE)
    };
    points.iter().map(meters).collect()
}

/// Outline of a part on the ground, longitude and latitude, clockwise in the image from its upper left corner, as many
/// points to each side; `None` without a model.
pub(super) fn outline(part: &Part) -> Option<Vec<(f64, f64)>> {
    match &part.sensor_model {
        SensorModel::Rpc(rpc) => {
            let sensor = Sensor::from(rpc.as_ref());
            ortho::outline(&sensor, (part.rows, part.cols), sensor.middle_height_m()).ok()
        }
        SensorModel::Projected { crs, transform } => {
            let (rows, cols) = (part.rows as f64, part.cols as f64);
            let corners = [(0.0, 0.0), (cols, 0.0), (cols, rows), (0.0, rows)];
            let (mut x, mut y): (Vec<f64>, Vec<f64>) =
                corners.iter().map(|(c, r)| transform.world_from_pixel(*c, *r)).unzip();
            PointTransform::new(crs, &Crs::wgs84()).ok()?.apply(&mut x, &mut y).ok()?;
            Some(x.into_iter().zip(y).collect())
        }
        SensorModel::Unknown { .. } => None,
    }
}

/// Size of a pixel along columns and along rows as the outline has it, metres.
pub(super) fn gsd(part: &Part, outline: &[(f64, f64)]) -> Option<(f64, f64)> {
    let side = outline.len() / 4;
    let corner = |k: usize| outline.get(k * side).copied();
    let [a, b, c, d] = [corner(0)?, corner(1)?, corner(2)?, corner(3)?];
    let points = local(&[a, b, c, d], a);
    let length = |i: usize, k: usize| {
        let (&(x0, y0), &(x1, y1)) = (points.get(i)?, points.get(k)?);
        Some((x1 - x0).hypot(y1 - y0))
    };
    let across = 0.5 * (length(0, 1)? + length(3, 2)?) / part.cols as f64;
    let along = 0.5 * (length(1, 2)? + length(0, 3)?) / part.rows as f64;
    (across > 0.0 && along > 0.0).then_some((across, along))
}

pub(super) fn check(scene: &Scene) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(corners) = &scene.corners
        && !is_convex(&local(corners, corners[0]))
    {
        let list: Vec<_> = corners.iter().map(|(lon, lat)| format!("{lon:.4} {lat:.4}")).collect();
        let message = format!(
            "the corners in the metadata, upper left, upper right, lower right, lower left, are no quadrilateral: {}",
            list.join(", ")
        );
        found.push(Warning { code: Code::FootprintOdd, message });
    }
    let outlines: Vec<_> = scene.parts.iter().map(|part| (part, outline(part))).collect();
    for (part, outline) in &outlines {
        // Of the corners only when they are those of this image: a scene of one part without a model.
        let (measured, by) = match (outline, &scene.corners) {
            (Some(outline), _) => (gsd(part, outline), "its sensor model or map projection"),
            (None, Some(corners)) if scene.parts.len() == 1 => (gsd(part, corners), "the corners in the metadata"),
            _ => (None, ""),
        };
        found.extend(part.gsd_m.zip(measured).and_then(|(stated, measured)| gsd_mismatch(part, stated, measured, by)));
    }
    let modelled = outlines.iter().find_map(|(part, outline)| Some((*part, outline.as_ref()?)));
    if let (Some(corners), Some((part, outline))) = (&scene.corners, modelled) {
        found.extend(footprint_mismatch(part, corners, outline));
    }
    found
}

fn gsd_mismatch(part: &Part, stated: (f64, f64), measured: (f64, f64), by: &str) -> Option<Warning> {
    let off = |a: f64, b: f64| (a / b).max(b / a) > GSD_FACTOR;
    (off(stated.0, measured.0) || off(stated.1, measured.1)).then(|| Warning {
        code: Code::GsdMismatch,
        message: format!(
            "part {}: the pixel size stated is {} × {} m; by {by} it is {:.3} × {:.3} m",
            part.name, stated.0, stated.1, measured.0, measured.1
        ),
    })
}

fn footprint_mismatch(part: &Part, corners: &[(f64, f64); 4], outline: &[(f64, f64)]) -> Option<Warning> {
    let origin = *outline.first()?;
    let (stated, modelled) = (local(corners, origin), local(outline, origin));
    let (a, b) = (mean(&stated)?, mean(&modelled)?);
    let apart = (a.0 - b.0).hypot(a.1 - b.1);
    let diagonal = modelled.iter().map(|p| (p.0 - b.0).hypot(p.1 - b.1)).fold(0.0, f64::max) * 2.0;
    (apart > CENTER_M.max(CENTER_SHARE * diagonal)).then(|| Warning {
        code: Code::FootprintMismatch,
        message: format!(
            "the centre of the corners in the metadata lies {:.1} km from where the sensor model or map projection of part {} \
             puts the image",
            apart / 1000.0,
            part.name
        ),
    })
}

fn mean(points: &Local) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
    (n > 0.0).then_some((sum.0 / n, sum.1 / n))
}

/// True when the border turns one way at every corner.
fn is_convex(points: &Local) -> bool {
    let n = points.len();
    let turn = |k: usize| {
        let (a, b, c) = (points[k], points[(k + 1) % n], points[(k + 2) % n]);
        (b.0 - a.0) * (c.1 - b.1) - (b.1 - a.1) * (c.0 - b.0)
    };
    let turns: Vec<f64> = (0..n).map(turn).collect();
    turns.iter().all(|t| *t > 0.0) || turns.iter().all(|t| *t < 0.0)
}

#[cfg(test)]
mod tests {
    use super::super::parts::tests::{mapped, scene_of};
    use super::*;

    fn codes(scene: &Scene) -> Vec<&'static str> {
        check(scene).iter().map(|w| w.code.text()).collect()
    }

    #[test]
    fn a_scene_that_is_where_it_says_is_not_remarked_on() {
        let mut scene = scene_of(vec![mapped("MSS", 3.0, 0.0)]);
        let corners = outline(&scene.parts[0]).unwrap();
        scene.corners = corners.try_into().ok();
        scene.parts[0].gsd_m = Some((3.3, 2.8));
        assert_eq!(codes(&scene), Vec::<&str>::new());
    }

    #[test]
    fn pixel_sizes_are_compared_with_the_projection_or_else_the_corners() {
        let mut scene = scene_of(vec![mapped("MSS", 3.0, 0.0)]);
        scene.parts[0].gsd_m = Some((12.0, 12.0));
        assert_eq!(codes(&scene), ["gsd-mismatch"]);
        let corners: [(f64, f64); 4] = outline(&scene.parts[0]).unwrap().try_into().unwrap();
        scene.parts[0].sensor_model = SensorModel::Unknown { reason: String::new() };
        assert_eq!(codes(&scene), Vec::<&str>::new(), "nothing to compare with");
        scene.corners = Some(corners);
        let found = check(&scene);
        assert!(
            found[0].message.contains("by the corners") && found[0].message.contains("3.0"),
            "{}",
            found[0].message
        );
    }

    #[test]
    fn corners_far_away_or_out_of_order_are_remarked_on() {
        let mut scene = scene_of(vec![mapped("MSS", 3.0, 0.0)]);
        let mut corners: [(f64, f64); 4] = outline(&scene.parts[0]).unwrap().try_into().unwrap();
        scene.corners = Some(corners.map(|(lon, lat)| (lon + 0.1, lat)));
        assert_eq!(codes(&scene), ["footprint-mismatch"]);
        corners.swap(0, 1);
        scene.corners = Some(corners);
        assert_eq!(codes(&scene), ["footprint-odd"]);
        scene.corners = Some([corners[0]; 4]);
        assert_eq!(codes(&scene), ["footprint-odd"]);
    }

    #[test]
    fn distances_do_not_jump_at_the_antimeridian() {
        let points = local(&[(179.9, 0.0), (-179.9, 0.0)], (179.9, 0.0));
        assert!((points[1].0 - 0.2 * METERS_PER_DEGREE).abs() < 1e-6);
    }
}
