//! What a raster of heights says its heights are counted from: the vertical part of its reference system.

use gdal::spatial_ref::SpatialRef;

/// What heights are counted from, as a file states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vertical {
    /// The ellipsoid.
    Ellipsoid,
    /// The EGM96 geoid.
    Egm96,
    /// The EGM2008 geoid.
    Egm2008,
    /// Another surface, by its name.
    Other(String),
}

impl std::fmt::Display for Vertical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ellipsoid => "the ellipsoid",
            Self::Egm96 => "EGM96",
            Self::Egm2008 => "EGM2008",
            Self::Other(name) => name,
        })
    }
}

/// The horizontal part of a reference system, and what its heights are counted from, if it says so.
pub(super) fn split(srs: SpatialRef) -> gdal::errors::Result<(SpatialRef, Option<Vertical>)> {
    if !srs.is_compound() {
        // Longitude, latitude and height of one geographic system: the height is that above its ellipsoid.
        let vertical = (srs.is_geographic() && srs.axes_count() == 3).then_some(Vertical::Ellipsoid);
        return Ok((srs, vertical));
    }
    let wkt = srs.to_wkt()?;
    let mut parts = nodes(&wkt);
    let (horizontal, vertical) = (parts.next(), parts.next());
    match horizontal {
        Some(horizontal) => Ok((SpatialRef::from_wkt(horizontal)?, vertical.and_then(stated))),
        None => Ok((srs, None)),
    }
}

/// The nodes directly below the outermost one of a WKT, other than its name: `A["a",B["b"],C["c",1]]` has two.
fn nodes(wkt: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted, mut start) = (0usize, false, 0);
    let mut found = Vec::new();
    for (at, c) in wkt.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' | '(' => depth += 1,
            ',' | ']' | ')' => {
                if depth == 1 {
                    found.push(wkt[start..at].trim());
                }
                depth = depth.saturating_sub(usize::from(c != ','));
            }
            _ => {}
        }
        if depth == 1 && !quoted && matches!(c, '[' | '(' | ',') {
            start = at + 1;
        }
    }
    found.into_iter().filter(|n| n.ends_with([']', ')']))
}

/// What a vertical reference system in WKT is counted from. EPSG:5773 is EGM96, EPSG:3855 is EGM2008.
fn stated(wkt: &str) -> Option<Vertical> {
    let name = wkt.split('"').nth(1).unwrap_or_default().trim();
    let text = wkt.to_uppercase();
    let is = |words: &[&str]| words.iter().any(|w| text.contains(w));
    match () {
        () if is(&["EGM2008", "EGM 2008", "EGM08", "\"3855\"", "\"EPSG\",3855"]) => Some(Vertical::Egm2008),
        () if is(&["EGM96", "EGM 96", "EGM1996", "\"5773\"", "\"EPSG\",5773"]) => Some(Vertical::Egm96),
        () if is(&["ELLIPSOID"]) => Some(Vertical::Ellipsoid),
        () if name.is_empty() || is(&["\"UNKNOWN", "\"UNNAMED", "\"UNDEFINED", "\"NOT_SPECIFIED"]) => None,
        () => Some(Vertical::Other(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(definition: &str) -> (String, Option<Vertical>) {
        let (horizontal, vertical) = split(SpatialRef::from_definition(definition).unwrap()).unwrap();
        (horizontal.name().unwrap(), vertical)
    }

    #[test]
    fn compound_systems_state_their_datum_and_leave_the_horizontal_one() {
        assert_eq!(of("EPSG:4326+3855"), ("WGS 84".into(), Some(Vertical::Egm2008)));
        assert_eq!(of("EPSG:4326+5773"), ("WGS 84".into(), Some(Vertical::Egm96)));
        assert_eq!(of("EPSG:32651+5773"), ("WGS 84 / UTM zone 51N".into(), Some(Vertical::Egm96)));
        assert_eq!(of("EPSG:4326+5703").1, Some(Vertical::Other("NAVD88 height".into())));
        assert_eq!(of("EPSG:4979").1, Some(Vertical::Ellipsoid));
        assert_eq!(of("EPSG:4326"), ("WGS 84".into(), None));
        assert_eq!(of("EPSG:32651").1, None);
    }

    #[test]
    fn nodes_are_found_whatever_stands_in_quotes() {
        let wkt = "C[\"a, [b]\",X[\"x\",Y[1,2]],V[\"v]\",3],4]";
        assert_eq!(nodes(wkt).collect::<Vec<_>>(), ["X[\"x\",Y[1,2]]", "V[\"v]\",3]"]);
        assert_eq!(nodes("").count(), 0);
    }

    #[test]
    fn a_datum_without_a_name_says_nothing() {
        assert_eq!(stated("VERT_CS[\"unknown\",VERT_DATUM[\"unknown\",2005],UNIT[\"metre\",1]]"), None);
    }
}
