//! Panchromatic against multispectral: whether one can be laid over the other.

use super::place::{self, Local};
use crate::scene::{Code, Part, Role, Scene, Warning};

/// Least share of the smaller outline that both cover.
const LEAST_OVERLAP: f64 = 0.8;

/// Most the ratio of pixel sizes may be off a whole number or off the ratio of pixel counts.
const RATIO_TOLERANCE: f64 = 0.1;

/// Points to each side of the lattice that areas are counted on.
const LATTICE: usize = 64;

pub(super) fn check(scene: &Scene) -> Vec<Warning> {
    let pan = scene.parts.iter().find(|p| p.bands.len() == 1 && p.bands.iter().all(|b| b.role == Role::Pan));
    // Bands in a part each are laid over each other one by one, each at its own size.
    let colors = scene.parts.iter().find(|p| p.bands.len() > 2);
    let Some((pan, colors)) = pan.zip(colors) else { return Vec::new() };
    let outlines = place::outline(pan).zip(place::outline(colors));
    let mut found = Vec::new();
    if let Some((a, b)) = &outlines
        && let Some(overlap) = overlap(a, b).filter(|share| *share < LEAST_OVERLAP)
    {
        let message =
            format!("{} and {} share {:.0} % of the ground of the smaller one", pan.name, colors.name, overlap * 100.0);
        found.push(Warning { code: Code::PartsApart, message });
    }
    let measured = |part: &Part, outline: Option<&Vec<(f64, f64)>>| {
        outline.and_then(|o| place::gsd(part, o)).or(part.gsd_m).map(|(a, b)| (a * b).sqrt())
    };
    let (a, b) = outlines.as_ref().map_or((None, None), |(a, b)| (Some(a), Some(b)));
    if let (Some(fine), Some(coarse)) = (measured(pan, a), measured(colors, b)) {
        found.extend(ratio(pan, colors, coarse / fine));
    }
    found
}

fn ratio(pan: &Part, colors: &Part, sizes: f64) -> Option<Warning> {
    let counts = ((pan.rows as f64 / colors.rows as f64) * (pan.cols as f64 / colors.cols as f64)).sqrt();
    let off = |a: f64, b: f64| (a / b - 1.0).abs() > RATIO_TOLERANCE;
    let whole = sizes.round().clamp(2.0, 8.0);
    (off(sizes, whole) || off(sizes, counts)).then(|| Warning {
        code: Code::PartsRatio,
        message: format!(
            "pixels of {} are {sizes:.2} times those of {}, which has {counts:.2} times as many to each side",
            colors.name, pan.name
        ),
    })
}

/// Share of the smaller outline that both cover; `None` when it has no area.
fn overlap(a: &[(f64, f64)], b: &[(f64, f64)]) -> Option<f64> {
    let origin = *a.first()?;
    let (a, b) = (place::local(a, origin), place::local(b, origin));
    let (small, large) = if area(&a) <= area(&b) { (a, b) } else { (b, a) };
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        small.iter().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (bounds(|p| p.0), bounds(|p| p.1));
    let step = |from: f64, to: f64, k: usize| from + (to - from) * (k as f64 + 0.5) / LATTICE as f64;
    let lattice = (0..LATTICE).flat_map(|i| (0..LATTICE).map(move |k| (i, k)));
    let (mut inside, mut both) = (0u32, 0u32);
    for point in lattice.map(|(i, k)| (step(x0, x1, i), step(y0, y1, k))).filter(|p| contains(&small, *p)) {
        inside += 1;
        both += u32::from(contains(&large, point));
    }
    (inside > 0).then(|| f64::from(both) / f64::from(inside))
}

/// Area of a polygon, square metres.
fn area(polygon: &Local) -> f64 {
    let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
    0.5 * edges.map(|((x0, y0), (x1, y1))| x0 * y1 - x1 * y0).sum::<f64>().abs()
}

/// Whether a point lies in a polygon: even-odd rule.
fn contains(polygon: &Local, (x, y): (f64, f64)) -> bool {
    let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
    let crossings =
        edges.filter(|((x0, y0), (x1, y1))| (*y0 > y) != (*y1 > y) && x < (x1 - x0) * (y - y0) / (y1 - y0) + x0);
    crossings.count() % 2 == 1
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::grid::{Crs, GeoTransform};
    use crate::scene::{Band, Calibration, Fields, SampleType, SceneTime, SensorModel};

    /// A part on a map, 600 m square, moved `east` metres.
    pub fn mapped(name: &str, gsd: f64, east: f64) -> Part {
        let roles: &[Role] = if name == "PAN" { &[Role::Pan] } else { &[Role::B, Role::G, Role::R, Role::N] };
        let band = |(index, role): (usize, &Role)| Band {
            role: *role,
            file: format!("{name}.tif").into(),
            index,
            name: role.code().into(),
            range_nm: None,
            calibration: Calibration::Missing { reason: String::new() },
        };
        Part {
            name: name.into(),
            rows: (600.0 / gsd) as usize,
            cols: (600.0 / gsd) as usize,
            sample: SampleType::U16,
            bands: roles.iter().enumerate().map(band).collect(),
            gsd_m: Some((gsd, gsd)),
            data_bits: Some(12),
            fill: Some(0.0),
            mtf_compensated: None,
            processed: Vec::new(),
            sensor_model: SensorModel::Projected {
                crs: Crs::from_epsg(32651).unwrap(),
                transform: GeoTransform::north_up(5e5 + east, 4.86e6, gsd),
            },
            fields: Fields::new(),
        }
    }

    pub fn scene_of(parts: Vec<Part>) -> Scene {
        Scene {
            id: "a".into(),
            constellation: None,
            platform: None,
            instrument: None,
            level: None,
            time: SceneTime {
                center: "2026-07-15T02:30:00Z".parse().unwrap(),
                interval: None,
                is_period: false,
                original: String::new(),
                original_offset: String::new(),
            },
            sun: None,
            view: None,
            cloud_percent: None,
            corners: None,
            parts,
            warnings: Vec::new(),
            metadata_files: Vec::new(),
            arrivals: crate::arrival::Arrivals::default(),
        }
    }

    fn codes(parts: Vec<Part>) -> Vec<&'static str> {
        check(&scene_of(parts)).iter().map(|w| w.code.text()).collect()
    }

    #[test]
    fn a_pair_that_fits_is_not_remarked_on() {
        assert_eq!(codes(vec![mapped("PAN", 0.75, 0.0), mapped("MSS", 3.0, 2.0)]), Vec::<&str>::new());
        assert_eq!(codes(vec![mapped("PAN", 0.75, 0.0)]), Vec::<&str>::new());
    }

    #[test]
    fn a_pair_on_different_ground_is() {
        let found = check(&scene_of(vec![mapped("PAN", 0.75, 0.0), mapped("MSS", 3.0, 300.0)]));
        assert_eq!(found[0].code, Code::PartsApart);
        assert!(["49 %", "50 %", "51 %"].iter().any(|p| found[0].message.contains(p)), "{}", found[0].message);
        assert_eq!(codes(vec![mapped("PAN", 0.75, 0.0), mapped("MSS", 3.0, 9000.0)]), ["parts-apart"]);
    }

    #[test]
    fn a_ratio_that_is_no_ratio_is() {
        assert_eq!(codes(vec![mapped("PAN", 2.0, 0.0), mapped("MSS", 3.0, 0.0)]), ["parts-ratio"]);
        assert_eq!(codes(vec![mapped("PAN", 3.0, 0.0), mapped("MSS", 3.0, 0.0)]), ["parts-ratio"]);
        // A crop of half the columns.
        let mut pan = mapped("PAN", 0.75, 0.0);
        pan.cols /= 2;
        assert_eq!(codes(vec![pan, mapped("MSS", 3.0, 0.0)]), ["parts-ratio"]);
    }

    #[test]
    fn overlap_is_the_share_of_the_smaller() {
        let square = |x: f64, side: f64| vec![(x, 0.0), (x + side, 0.0), (x + side, side), (x, side)];
        let share = |a: Vec<_>, b: Vec<_>| overlap(&a, &b).unwrap();
        assert!((share(square(0.0, 0.1), square(0.025, 0.05)) - 1.0).abs() < 1e-9);
        assert!((share(square(0.0, 0.1), square(0.05, 0.1)) - 0.5).abs() < 0.03);
        assert_eq!(share(square(0.0, 0.1), square(5.0, 0.1)), 0.0);
    }
}
