//! Shapes from vector files.

use std::path::{Path, PathBuf};

use gdal::vector::LayerAccess;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};
use geo::{CoordsIter, Geometry};

use super::ReadError;
use crate::grid::Crs;

/// Most corners of the shapes of one file.
const MAX_CORNERS: usize = 1_000_000;

/// GDAL's drivers for shapes: formats that fields and borders are given away in, and nothing that names other files.
const VECTORS: &[&str] = &["GeoJSON", "GPKG", "ESRI Shapefile", "FlatGeobuf", "LIBKML", "KML", "GML"];

/// The geometries of a vector file: GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML or GML.
#[derive(Debug)]
pub struct Shapes {
    path: PathBuf,
    layers: Vec<(Crs, Vec<Geometry<f64>>)>,
}

impl Shapes {
    /// Reads all shapes of all layers.
    ///
    /// # Errors
    /// [`ReadError::Open`], and [`ReadError::Shapes`] for a file without shapes, with too many, or without a reference
    /// system.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Open { path: path.to_owned(), source: Box::new(source) };
        let refused = |reason: &str| ReadError::Shapes { path: path.to_owned(), reason: reason.to_owned() };
        let options = DatasetOptions {
            open_flags: GdalOpenFlags::GDAL_OF_READONLY | GdalOpenFlags::GDAL_OF_VECTOR,
            allowed_drivers: Some(VECTORS),
            ..DatasetOptions::default()
        };
        let dataset = Dataset::open_ex(path, options).map_err(failed)?;
        let mut layers = Vec::new();
        let mut corners = 0;
        for mut layer in dataset.layers() {
            let mut shapes = Vec::new();
            for feature in layer.features() {
                let Some(shape) = feature.geometry() else { continue };
                let shape = shape.to_geo().map_err(failed)?;
                corners += shape.coords_count();
                if corners > MAX_CORNERS {
                    return Err(refused("has more than a million corners; simplify it"));
                }
                if !shape.coords_iter().all(|c| c.x.is_finite() && c.y.is_finite()) {
                    return Err(refused("has coordinates that are no numbers"));
                }
                if shape.coords_count() > 0 {
                    shapes.push(shape);
                }
            }
            if shapes.is_empty() {
                continue;
            }
            let srs =
                layer.spatial_ref().ok_or_else(|| refused("has no reference system; add one, or write GeoJSON"))?;
            layers.push((Crs::from_spatial_ref(&srs).map_err(failed)?, shapes));
        }
        if layers.is_empty() {
            return Err(refused("has no shape"));
        }
        Ok(Self { path: path.to_owned(), layers })
    }

    /// The shapes of each layer, in its own reference system.
    pub fn layers(&self) -> &[(Crs, Vec<Geometry<f64>>)] {
        &self.layers
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use geo::BoundingRect;

    use super::*;

    fn geojson(text: &str) -> Result<Shapes, ReadError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("area.geojson");
        std::fs::write(&path, text).unwrap();
        Shapes::open(&path)
    }

    #[test]
    fn shapes_come_with_their_reference_system() {
        let square = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":
            {"type":"Polygon","coordinates":[[[125.0,43.0],[127.0,43.0],[127.0,44.0],[125.0,44.0],[125.0,43.0]]]}}]}"#;
        let shapes = geojson(square).unwrap();
        let [(crs, geometries)] = shapes.layers() else { panic!("one layer") };
        assert!(crs.is_geographic());
        assert_eq!(geometries[0].bounding_rect().unwrap().min(), geo::coord! { x: 125.0, y: 43.0 });
    }

    #[test]
    fn what_names_other_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let point = r#"{"type":"Point","coordinates":[125.0,43.0]}"#;
        std::fs::write(at("a.geojson"), point).unwrap();
        assert!(Shapes::open(&at("a.geojson")).is_ok());
        let source = format!("<SrcDataSource>{}</SrcDataSource>", at("a.geojson").display());
        let layer = format!("<OGRVRTDataSource><OGRVRTLayer name=\"a\">{source}</OGRVRTLayer></OGRVRTDataSource>");
        for name in ["a.vrt", "b.geojson"] {
            std::fs::write(at(name), &layer).unwrap();
            assert!(matches!(Shapes::open(&at(name)), Err(ReadError::Open { .. })), "{name}");
        }
    }

    #[test]
    fn what_has_no_shape_is_refused() {
        for text in ["", "{}", r#"{"type":"FeatureCollection","features":[]}"#, "<xml/>"] {
            let e = geojson(text).unwrap_err();
            assert!(matches!(e, ReadError::Open { .. } | ReadError::Shapes { .. }), "{text}: {e}");
        }
    }
}
