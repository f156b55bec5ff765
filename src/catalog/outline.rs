//! Outlines as GeoJSON wants them.
//!
//! Invariant: what leaves here is closed, outer rings run counter-clockwise and inner ones clockwise, no edge crosses the
//! antimeridian, every coordinate is a multiple of 1e-7°, and the bounding box is that of the coordinates as written.

use geo::orient::Direction;
use geo::{
    Area, BooleanOps, BoundingRect, Coord, CoordsIter, LineString, MapCoords, MultiPolygon, Orient, Polygon, Rect,
};
use serde_json::{Value, json};

use super::number;

/// Steps per degree: 1e-7° is about a centimetre, far below a pixel.
const STEPS: f64 = 1e7;

/// Square degrees a ring must exceed to count: ten squares of the lattice, above the rounding of an area.
const NO_AREA: f64 = 10.0 / (STEPS * STEPS);

/// An outline ready for a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// GeoJSON `Polygon` or `MultiPolygon`; `null` when the outline encloses nothing.
    pub geometry: Value,
    /// West, south, east, north; west is greater than east when it crosses the antimeridian. `None` without a geometry.
    pub bbox: Option<[f64; 4]>,
}

/// The GeoJSON geometry and bounding box of an outline.
///
/// Longitudes may run past ±180 or jump there; either way the outline is taken to go the short way round and is cut at the
/// antimeridian. An outline around a pole has no short way and is not supported. Coordinates that are not finite come out
/// as `null`.
///
/// # Units
/// Degrees of longitude and latitude, WGS 84.
///
/// # Reference
/// RFC 7946, sections 3.1.6 (ring order), 3.1.9 (cutting), 5.2 (bounding box).
pub fn locate(outline: &MultiPolygon<f64>) -> Located {
    if !outline.coords_iter().all(|c| c.x.is_finite() && c.y.is_finite()) {
        return Located { geometry: geometry(&outline.0), bbox: None };
    }
    let mut parts: Vec<Polygon<f64>> = Vec::new();
    let mut spans = Vec::new();
    let (mut south, mut north) = (f64::INFINITY, f64::NEG_INFINITY);
    for polygon in outline {
        let Some(polygon) = tidy(&unwrapped(polygon)) else { continue };
        let Some(rect) = polygon.bounding_rect() else { continue };
        spans.push((rect.min().x, rect.max().x));
        south = south.min(rect.min().y);
        north = north.max(rect.max().y);
        parts.extend(cut(polygon, rect));
    }
    let Some((west, east)) = cover(&spans) else {
        return Located { geometry: Value::Null, bbox: None };
    };
    Located { geometry: geometry(&parts), bbox: Some([west, south, east, north]) }
}

fn geometry(parts: &[Polygon<f64>]) -> Value {
    match parts {
        [part] => json!({ "type": "Polygon", "coordinates": rings(part) }),
        parts => json!({ "type": "MultiPolygon", "coordinates": parts.iter().map(rings).collect::<Vec<_>>() }),
    }
}

/// The shortest longitudes, west to east, that hold every span; west is greater than east across the antimeridian.
///
/// Spans that stay on one side are joined without crossing, even where crossing were shorter: most readers of bounding
/// boxes do not know of it. A span crosses when its east is above 180 or below its west.
pub(super) fn cover(spans: &[(f64, f64)]) -> Option<(f64, f64)> {
    let spans: Vec<_> = spans.iter().map(|&(w, e)| if e < w { (w, e + 360.0) } else { (w, e) }).collect();
    let (first, rest) = spans.split_first()?;
    let plain = rest.iter().fold(*first, |(w, e), s| (w.min(s.0), e.max(s.1)));
    if plain.1 <= 180.0 {
        return Some(plain);
    }
    // Going east from the westernmost, the widest gap between spans is what the cover leaves out.
    let mut sorted = spans;
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (start, end) = *sorted.first()?;
    // What crosses comes round again in front of the westernmost.
    let mut reached = end.max(plain.1 - 360.0);
    let (mut widest, mut west, mut east) = (0.0, start, reached);
    for &(w, e) in &sorted {
        if w - reached > widest {
            (widest, west, east) = (w - reached, w, reached);
        }
        reached = reached.max(e);
    }
    if start + 360.0 - reached > widest {
        (widest, west, east) = (start + 360.0 - reached, start, reached);
    }
    if widest <= 0.0 {
        return Some((-180.0, 180.0));
    }
    Some((west, if east > 180.0 { round(east - 360.0) } else { east }))
}

fn round(degrees: f64) -> f64 {
    // Adding 0 turns −0 into 0.
    (degrees * STEPS).round() / STEPS + 0.0
}

/// The polygon with longitudes that run on without a jump, its west in −180..180.
fn unwrapped(polygon: &Polygon<f64>) -> Polygon<f64> {
    let run_on = |ring: &LineString<f64>, near: Option<f64>| {
        let mut last = near;
        let coords = ring.coords().map(|c| {
            let x = last.map_or(c.x, |last: f64| c.x - 360.0 * ((c.x - last) / 360.0).round());
            last = Some(x);
            Coord { x, y: c.y }
        });
        LineString::new(coords.collect())
    };
    let exterior = run_on(polygon.exterior(), None);
    let near = exterior.coords().next().map(|c| c.x);
    let interiors = polygon.interiors().iter().map(|ring| run_on(ring, near)).collect();
    let polygon = Polygon::new(exterior, interiors);
    let west = polygon.bounding_rect().map_or(0.0, |r| r.min().x);
    let shift = 360.0 * ((round(west) + 180.0) / 360.0).floor();
    polygon.map_coords(|c| Coord { x: c.x - shift, y: c.y })
}

/// The polygon on the lattice of coordinates, without repeated points, rings in order; `None` if it has no area.
fn tidy(polygon: &Polygon<f64>) -> Option<Polygon<f64>> {
    let tidy_ring = |ring: &LineString<f64>| {
        let mut coords: Vec<Coord<f64>> = ring.coords().map(|c| Coord { x: round(c.x), y: round(c.y) }).collect();
        coords.dedup();
        let ring = LineString::new(coords);
        let area = Polygon::new(ring.clone(), vec![]).unsigned_area();
        (ring.0.len() >= 4 && area > NO_AREA).then_some(ring)
    };
    let exterior = tidy_ring(polygon.exterior())?;
    let interiors = polygon.interiors().iter().filter_map(tidy_ring).collect();
    Some(Polygon::new(exterior, interiors).orient(Direction::Default))
}

/// The parts of an unwrapped polygon on either side of the antimeridian, each within −180..180.
fn cut(polygon: Polygon<f64>, rect: Rect<f64>) -> Vec<Polygon<f64>> {
    if rect.max().x <= 180.0 {
        return vec![polygon];
    }
    // Boxes no larger than needed: clipping works on a lattice as fine as the extent of its operands allows.
    let side = |west: f64, east: f64| {
        let south = Coord { x: west, y: rect.min().y - 1.0 };
        let clip = Rect::new(south, Coord { x: east, y: rect.max().y + 1.0 }).to_polygon();
        polygon.intersection(&clip)
    };
    let left = side(rect.min().x - 1.0, 180.0);
    let right = side(180.0, rect.max().x + 1.0).map_coords(|c| Coord { x: c.x - 360.0, y: c.y });
    left.iter().chain(&right).filter_map(tidy).collect()
}

fn rings(polygon: &Polygon<f64>) -> Value {
    let ring = |ring: &LineString<f64>| ring.coords().map(|c| json!([number(c.x), number(c.y)])).collect::<Value>();
    std::iter::once(polygon.exterior()).chain(polygon.interiors()).map(ring).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::polygon;
    use proptest::prelude::*;

    fn one(polygon: Polygon<f64>) -> Located {
        locate(&polygon.into())
    }

    #[test]
    fn a_ring_is_closed_turned_and_rounded() {
        let clockwise =
            Polygon::new(vec![(125.0, 43.0), (125.0, 44.0), (126.000_000_04, 44.0), (126.0, 43.0)].into(), vec![]);
        let located = one(clockwise);
        let expected = json!([[[125, 43], [126, 43], [126, 44], [125, 44], [125, 43]]]);
        assert_eq!(located.geometry["type"], "Polygon");
        assert_eq!(located.geometry["coordinates"], expected);
        assert_eq!(located.bbox, Some([125.0, 43.0, 126.0, 44.0]));
    }

    #[test]
    fn an_inner_ring_runs_the_other_way() {
        let square = |w: f64, e: f64| LineString::from(vec![(w, w), (e, w), (e, e), (w, e)]);
        let located = one(Polygon::new(square(0.0, 10.0), vec![square(4.0, 5.0)]));
        assert_eq!(located.geometry["coordinates"][1], json!([[4, 4], [4, 5], [5, 5], [5, 4], [4, 4]]));
    }

    #[test]
    fn an_outline_across_the_antimeridian_is_cut_there_however_it_is_written() {
        let run_on = polygon![(x: 179.9, y: 10.0), (x: 180.2, y: 10.0), (x: 180.2, y: 11.0), (x: 179.9, y: 11.0)];
        let jumping = polygon![(x: 179.9, y: 10.0), (x: -179.8, y: 10.0), (x: -179.8, y: 11.0), (x: 179.9, y: 11.0)];
        let far = polygon![(x: -180.1, y: 10.0), (x: -179.8, y: 10.0), (x: -179.8, y: 11.0), (x: -180.1, y: 11.0)];
        let located = one(run_on);
        assert_eq!(located.bbox, Some([179.9, 10.0, -179.8, 11.0]));
        assert_eq!(located.geometry["type"], "MultiPolygon");
        let west = located.geometry["coordinates"][0][0].as_array().unwrap();
        assert!(west.iter().all(|p| (179.9..=180.0).contains(&p[0].as_f64().unwrap())), "{west:?}");
        let east = located.geometry["coordinates"][1][0].as_array().unwrap();
        assert!(east.iter().all(|p| (-180.0..=-179.8).contains(&p[0].as_f64().unwrap())), "{east:?}");
        assert_eq!((west.len(), east.len()), (5, 5));
        assert_eq!(one(jumping), located);
        assert_eq!(one(far), located);
    }

    #[test]
    fn touching_the_antimeridian_is_not_crossing_it() {
        let west = one(polygon![(x: 179.0, y: 0.0), (x: 180.0, y: 0.0), (x: 180.0, y: 1.0)]);
        assert_eq!((west.geometry["type"].as_str(), west.bbox), (Some("Polygon"), Some([179.0, 0.0, 180.0, 1.0])));
        let east = one(polygon![(x: 180.0, y: 0.0), (x: -179.0, y: 0.0), (x: -179.0, y: 1.0)]);
        assert_eq!((east.geometry["type"].as_str(), east.bbox), (Some("Polygon"), Some([-180.0, 0.0, -179.0, 1.0])));
    }

    #[test]
    fn what_encloses_nothing_is_no_geometry() {
        let line = polygon![(x: 171.1, y: 1.1), (x: 172.2, y: 2.2), (x: 173.3, y: 3.3)];
        let speck = polygon![(x: 1.0, y: 1.0), (x: 1.000_000_01, y: 1.0), (x: 1.0, y: 1.000_000_01)];
        for outline in [MultiPolygon::new(vec![]), line.into(), speck.into()] {
            assert_eq!(locate(&outline), Located { geometry: Value::Null, bbox: None });
        }
    }

    #[test]
    fn coordinates_that_are_no_numbers_are_not_hidden() {
        let broken = one(polygon![(x: 1.0, y: 1.0), (x: f64::NAN, y: 1.0), (x: 1.0, y: 2.0)]);
        assert!(broken.geometry.to_string().contains("null"), "{}", broken.geometry);
    }

    #[test]
    fn spans_are_joined_across_the_antimeridian_only_if_one_crosses_it() {
        assert_eq!(cover(&[]), None);
        assert_eq!(cover(&[(120.0, 121.0), (-100.0, -99.0)]), Some((-100.0, 121.0)));
        assert_eq!(cover(&[(179.0, -179.0), (170.0, 171.0), (-178.0, -177.0)]), Some((170.0, -177.0)));
        assert_eq!(cover(&[(179.0, -170.0), (-175.0, -174.0), (5.0, 120.0)]), Some((5.0, -170.0)));
        assert_eq!(cover(&[(-180.0, 180.0), (179.0, -179.0)]), Some((-180.0, 180.0)));
    }

    proptest! {
        #[test]
        fn cutting_keeps_the_area_and_stays_on_the_globe(
            lon in 176.0..184.0f64, lat in -80.0..80.0f64, radius in 0.01..3.0f64, turn in 0.0..1.0f64, corners in 3usize..9
        ) {
            let ring: Vec<(f64, f64)> = (0..corners)
                .map(|i| std::f64::consts::TAU * (i as f64 + turn) / corners as f64)
                .map(|a| (lon + radius * a.cos(), lat + radius * a.sin()))
                .collect();
            let whole = Polygon::new(ring.into(), vec![]);
            let area = whole.unsigned_area();
            let located = one(whole);
            let parts = match located.geometry["type"].as_str() {
                Some("Polygon") => vec![located.geometry["coordinates"].clone()],
                _ => located.geometry["coordinates"].as_array().unwrap().clone(),
            };
            let mut sum = 0.0;
            for part in &parts {
                let ring: Vec<(f64, f64)> = part[0].as_array().unwrap().iter()
                    .map(|p| (p[0].as_f64().unwrap(), p[1].as_f64().unwrap())).collect();
                prop_assert_eq!(ring.first(), ring.last());
                prop_assert!(ring.iter().all(|p| (-180.0..=180.0).contains(&p.0)));
                // Counter-clockwise rings have positive area.
                sum += Polygon::new(ring.into(), vec![]).signed_area();
            }
            prop_assert!((sum - area).abs() < 1e-5 * radius, "{} {}", sum, area);
        }
    }
}
