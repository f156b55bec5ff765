//! Corners of a scene from the footprint that lies beside its image as a shapefile: the last resort where the metadata
//! state none.

use std::path::{Path, PathBuf};

use gdal::vector::LayerAccess;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use super::SceneError;
use super::companion;
use super::files::Surroundings;
use crate::grid::{Crs, PointTransform};

/// Most vertices that are looked at.
const VERTEX_LIMIT: usize = 1000;

/// Corners: upper left, upper right, lower right, lower left; longitude and latitude.
pub(super) type Corners = [(f64, f64); 4];

/// The footprint named as the image, with the file; `None` when there is none, or none of four corners that can be told
/// apart. Something else than a footprint under that name is not the scene's fault, so nothing here is an error but a
/// folder that cannot be read.
pub(super) fn beside(around: &Surroundings, image: &Path) -> Result<Option<(Corners, PathBuf)>, SceneError> {
    let path = companion::exact(around, image, ".shp")?;
    Ok(path.and_then(|path| Some((corners(&path)?, path))))
}

pub(super) fn corners(path: &Path) -> Option<Corners> {
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_VECTOR,
        allowed_drivers: Some(&["ESRI Shapefile"]),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(path, options).ok()?;
    let mut layer = dataset.layer(0).ok()?;
    let crs = layer.spatial_ref().and_then(|srs| Crs::from_spatial_ref(&srs).ok());
    let feature = layer.features().next()?;
    let polygon = feature.geometry()?;
    if polygon.geometry_count() == 0 {
        return None;
    }
    let ring = polygon.get_geometry(0);
    if ring.point_count() > VERTEX_LIMIT {
        return None;
    }
    let mut vertices = Vec::new();
    ring.get_points(&mut vertices);
    let mut points: Vec<(f64, f64)> = vertices.into_iter().map(|(x, y, _)| (x, y)).collect();
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    let mut points: [(f64, f64); 4] = points.try_into().ok()?;
    if let Some(crs) = crs.filter(|crs| !crs.is_geographic()) {
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        PointTransform::new(&crs, &Crs::wgs84()).ok()?.apply(&mut x, &mut y).ok()?;
        for (point, moved) in points.iter_mut().zip(x.into_iter().zip(y)) {
            *point = moved;
        }
    }
    let on_earth = |(lon, lat): &(f64, f64)| (-180.0..=180.0).contains(lon) && (-90.0..=90.0).contains(lat);
    if !points.iter().all(on_earth) {
        return None;
    }
    // The ring may start anywhere and run either way.
    points.sort_by(|a, b| b.1.total_cmp(&a.1));
    let [a, b, c, d] = points;
    let by_lon = |a: (f64, f64), b: (f64, f64)| if a.0 <= b.0 { (a, b) } else { (b, a) };
    let ((ul, ur), (ll, lr)) = (by_lon(a, b), by_lon(c, d));
    Some([ul, ur, lr, ll])
}

#[cfg(test)]
pub(super) mod tests {
    use gdal::DriverManager;
    use gdal::vector::{Geometry, LayerOptions, OGRwkbGeometryType};

    use super::*;

    /// A shapefile of one polygon.
    pub fn write(path: &Path, epsg: u32, wkt: &str) {
        let driver = DriverManager::get_driver_by_name("ESRI Shapefile").unwrap();
        let mut dataset = driver.create_vector_only(path).unwrap();
        let srs = Crs::from_epsg(epsg).unwrap().spatial_ref().unwrap();
        let options =
            LayerOptions { name: "a", srs: Some(&srs), ty: OGRwkbGeometryType::wkbPolygon, ..Default::default() };
        let feature = Geometry::from_wkt(wkt).unwrap();
        dataset.create_layer(options).unwrap().create_feature(feature).unwrap();
        dataset.close().unwrap();
    }

    fn found(epsg: u32, wkt: &str) -> Option<Corners> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.shp");
        write(&path, epsg, wkt);
        let image = dir.path().join("a.tif");
        beside(&Surroundings::of(&image, &[]), &image).unwrap().map(|(corners, _)| corners)
    }

    #[test]
    fn four_corners_are_told_apart_wherever_the_ring_starts() {
        let expected = Some([(125.31, 44.0), (125.4, 43.98), (125.39, 43.8), (125.3, 43.82)]);
        assert_eq!(found(4326, "POLYGON((125.39 43.8,125.3 43.82,125.31 44,125.4 43.98,125.39 43.8))"), expected);
        assert_eq!(found(4326, "POLYGON((125.4 43.98,125.39 43.8,125.3 43.82,125.31 44,125.4 43.98))"), expected);
        assert_eq!(found(4326, "POLYGON((125.4 43.98,125.39 43.8,125.3 43.82,125.4 43.98))"), None);
        let (lon, lat) = found(32651, "POLYGON((5e5 4.8e6,5.1e5 4.8e6,5.1e5 4.81e6,5e5 4.81e6,5e5 4.8e6))").unwrap()[3];
        assert!((lon - 123.0).abs() < 1e-6 && (lat - 43.35).abs() < 0.01, "{lon} {lat}");
    }

    #[test]
    fn something_else_under_that_name_is_no_footprint() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("a.tif");
        let at = |image: &Path| beside(&Surroundings::of(image, &[]), image).unwrap();
        assert_eq!(at(&image), None);
        std::fs::write(dir.path().join("a.shp"), "x").unwrap();
        assert_eq!(at(&image), None);
    }
}
