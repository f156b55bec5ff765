//! Simulated deliveries with known truth.
//!
//! Shares no calibration, sensor model, sun or map projection code with the rest of the project: a simulator that made
//! the pipeline's mistakes would prove them right. Everything is a function of the options alone, so two runs give the
//! same bytes whatever the number of threads.

mod camera;
mod day;
mod delivery;
mod ellipsoid;
mod land;
mod night;
mod options;
mod patches;
mod radiometry;
mod random;
mod relief;
mod render;
mod rpc_fit;
mod subject;
mod sun;
mod tiff;
mod truth;
mod utm;
mod vector;

use std::path::{Path, PathBuf};

use camera::Camera;
pub use options::{Compression, Kind, NightOptions, Options, Scene};
use render::{Canvas, Ground, MapGrid};
pub use rpc_fit::RpcResidual;
use rpc_fit::{RpcModel, View};
pub use subject::Layer;
use subject::{LayerSums, PartSpec, Place, Subject};

use crate::error::{Class, Classify};
use crate::grid::{Crs, CrsError, GeoTransform};

/// Most rows and columns of an elevation model.
const MAX_DEM_SIDE: f64 = 20_000.0;
/// Edge of the truth raster, pixels, for larger scenes.
const MAX_TRUTH_SIDE: usize = 2048;
/// Room around the scene in heights the sensor model is fitted for, metres.
const HEIGHT_MARGIN_M: f64 = 200.0;

/// What was written.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Images of the delivery, pan first, each in a folder of its own.
    pub images: Vec<PathBuf>,
    /// Elevation model, heights above the ellipsoid.
    pub dem: PathBuf,
    /// Everything that was put in, as JSON.
    pub truth: PathBuf,
    /// True values of the central part: reflectance by day, radiance of lamps and of glow by night.
    pub truth_rasters: Vec<PathBuf>,
    /// Part and distance of its sensor model from the camera; empty for level L3.
    pub rpc: Vec<(&'static str, RpcResidual)>,
    /// Number of uniform patches in the truth; none by night.
    pub patches: usize,
    /// Number of lamps in the image; none by day.
    pub lamps: usize,
    /// Geometric zenith angle of the sun at the scene centre, degrees.
    pub sun_zenith_deg: f64,
}

/// What is wrong with a simulation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// An option is out of its range.
    #[error("simulation option `{option}`: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file or folder cannot be written.
    #[error("writing `{path}`; check that the folder can be written to and has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A raster cannot be written.
    #[error("writing the raster `{path}`; check that the folder can be written to and has room")]
    Raster {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        #[source]
        source: gdal::errors::GdalError,
    },
    /// The map projection of a raster is not known to PROJ.
    #[error("writing the map projection of `{path}`; check the installation of PROJ")]
    Projection {
        /// The file.
        path: PathBuf,
        /// What PROJ says.
        #[source]
        source: Box<CrsError>,
    },
}

impl Classify for SimulateError {
    fn class(&self) -> Class {
        match self {
            Self::Option { .. } => Class::Config,
            Self::Write { .. } | Self::Raster { .. } => Class::Storage,
            Self::Projection { .. } => Class::Input,
        }
    }
}

/// Writes a simulated delivery with its elevation model and its truth, and says what was written. `progress` is told
/// pixels done and pixels in all, on the calling thread; computing uses the current rayon pool.
///
/// # Errors
/// [`SimulateError`]: an option out of range, or a file that cannot be written.
///
/// # Cost
/// About 1 µs of processor time per pixel of either image, and under 100 MiB for scenes 8192 pixels wide.
pub fn simulate(options: &Options, progress: &dyn Fn(u64, u64)) -> Result<Summary, SimulateError> {
    options.check()?;
    let subject = options.subject();
    let camera = Camera::new(options);
    let map = options.centered_map(options.mss_rows, options.mss_cols);
    let ground: &dyn Ground = match options.kind {
        Kind::L1 => &camera,
        Kind::L3 => &map,
    };
    let sun = options.sun();
    let stem = delivery::stem(options);
    let level = subject.level(options.kind);
    let truth_folder = options.out.join("truth");
    create_folder(&truth_folder)?;

    let dem = options.out.join("dem.tif");
    write_dem(options, ground, &camera, &dem)?;

    let total: usize = subject.parts().iter().map(|p| options.mss_rows * options.mss_cols * p.ratio * p.ratio).sum();
    let mut done = 0;
    let mut images = Vec::new();
    let mut rpc = Vec::new();
    for part in subject.parts() {
        let name = format!("{stem}_{level}_{}", part.name);
        let folder = options.out.join(&name);
        create_folder(&folder)?;
        let xml = metadata(options, (&stem, level), *part, ground, &camera);
        write_text(&folder.join(format!("{name}_meta.xml")), &xml)?;
        let mut place = None;
        match options.kind {
            Kind::L1 => {
                let (model, residual) = fit_rpc(options, &camera, *part);
                write_text(&folder.join(format!("{name}_rpc.txt")), &model.text())?;
                rpc.push((part.name, residual));
            }
            Kind::L3 => {
                let pixel = options.gsd_m / part.ratio as f64;
                place = Some(GeoTransform::north_up(map.transform.x0, map.transform.y0, pixel));
            }
        }
        let image = folder.join(format!("{name}.tif"));
        let crs = utm_crs(&map, &image)?;
        let scenery = subject.scenery(part);
        let canvas = options.canvas(ground, scenery.as_ref(), *part);
        tiff::write_image(
            &image,
            &canvas,
            &subject.detector(part),
            options.compression,
            place.map(|transform| (&crs, transform)),
            |rows| {
                done += rows * canvas.cols;
                progress(done as u64, total as u64);
            },
        )?;
        images.push(image);
    }

    let pixel = options.truth_m.unwrap_or(options.gsd_m);
    let side = |pixels: usize| ((pixels as f64 * options.gsd_m / pixel).round() as usize).clamp(1, MAX_TRUTH_SIDE);
    let (rows, cols) = (side(options.mss_rows), side(options.mss_cols));
    let transform = options.centered_map_of(rows, cols, pixel).transform;
    let (mut truth_rasters, mut layers) = (Vec::new(), Vec::new());
    for &layer in subject.layers() {
        let path = truth_folder.join(layer.file());
        layers.push(write_layer(options, subject.as_ref(), layer, &path, transform, (rows, cols))?);
        truth_rasters.push(path);
    }
    let place = Place { options, ground, map, truth_folder: &truth_folder, layers: &layers };
    let sections = subject.sections(&place)?;
    let document = truth::document(
        options,
        truth::Facts {
            stem: &stem,
            level,
            sun,
            view: camera.view(),
            line_time_s: camera.line_time_s,
            detector_tan: camera.detector_tan,
            height_range_m: camera.relief.range(),
            rpc: &rpc,
            sections: sections.document,
        },
    );
    let truth = truth_folder.join("truth.json");
    write_text(&truth, &format!("{document:#}\n"))?;
    write_text(&options.out.join("README.txt"), &delivery::readme(options.kind, &stem, level, &subject.words()))?;
    Ok(Summary {
        images,
        dem,
        truth,
        truth_rasters,
        rpc,
        patches: sections.patches,
        lamps: sections.lamps,
        sun_zenith_deg: sun.zenith_deg,
    })
}

/// Writes a layer of the truth of the scene of `options` (float32) on a grid in the UTM zone of its centre, with a point
/// spread as wide as the pixels of that grid.
///
/// # Units
/// The transform in metres; values as [`Layer`] says.
///
/// # Errors
/// [`SimulateError`]: an option out of range, a layer that the scene does not have, a grid that has no pixels or no pixel
/// size, or a file that cannot be written.
pub fn truth_raster(
    options: &Options,
    layer: Layer,
    path: &Path,
    transform: GeoTransform,
    rows: usize,
    cols: usize,
) -> Result<(), SimulateError> {
    options.check()?;
    if !transform.is_usable() || rows == 0 || cols == 0 {
        return Err(SimulateError::Option {
            option: "transform",
            expected: "at least one pixel with an area".into(),
            found: format!("{rows} rows and {cols} columns with {transform:?}"),
        });
    }
    write_layer(options, options.subject().as_ref(), layer, path, transform, (rows, cols)).map(|_| ())
}

fn write_layer(
    options: &Options,
    subject: &dyn Subject,
    layer: Layer,
    path: &Path,
    transform: GeoTransform,
    (rows, cols): (usize, usize),
) -> Result<LayerSums, SimulateError> {
    let Some(scenery) = subject.layer(layer) else {
        return Err(SimulateError::Option {
            option: "layer",
            expected: format!("a layer of this scene: {:?}", subject.layers()),
            found: format!("{layer:?}"),
        });
    };
    let map = options.map(transform);
    let gsd_m = transform.determinant().abs().sqrt();
    let canvas = Canvas { ground: &map, scenery: scenery.as_ref(), rows, cols, ratio: 1, gsd_m, psf: options.psf };
    let crs = utm_crs(&map, path)?;
    tiff::write_layer(path, &canvas, layer, (&crs, transform))
}

fn utm_crs(map: &MapGrid, path: &Path) -> Result<Crs, SimulateError> {
    Crs::from_epsg(map.utm.epsg())
        .map_err(|source| SimulateError::Projection { path: path.into(), source: source.into() })
}

/// The sensor model of a part, and how far it is from the camera before any pointing error is put in.
fn fit_rpc(options: &Options, camera: &Camera, part: PartSpec) -> (RpcModel, RpcResidual) {
    let ratio = part.ratio as f64;
    let coarse = |at: f64| (at - 0.5 * (ratio - 1.0)) / ratio;
    let fine = |at: f64| at * ratio + 0.5 * (ratio - 1.0);
    let (low, high) = camera.relief.range();
    let view = View {
        rows: options.mss_rows * part.ratio,
        cols: options.mss_cols * part.ratio,
        height_range_m: (low - HEIGHT_MARGIN_M, high + HEIGHT_MARGIN_M),
        ground: &|line, sample, height| camera.ground_at_height(coarse(line), coarse(sample), height),
        image: &|place| {
            let (line, sample) = camera.image(place);
            (fine(line), fine(sample))
        },
    };
    let model = RpcModel::fit(&view);
    let residual = model.residual(&view, options.seed);
    let (lines, samples) = options.rpc_shift_px;
    (model.shifted(lines * ratio, samples * ratio), residual)
}

fn metadata(
    options: &Options,
    (stem, level): (&str, &str),
    part: PartSpec,
    ground: &dyn Ground,
    camera: &Camera,
) -> String {
    let (rows, cols) = (options.mss_rows as f64, options.mss_cols as f64);
    let half = 0.5 / part.ratio as f64;
    // Centres of the corner pixels of this part, in multispectral pixels.
    let (top, left, bottom, right) = (half - 0.5, half - 0.5, rows - 0.5 - half, cols - 0.5 - half);
    let corner = |line, sample| {
        let (x, y) = ground.plane_xy(line, sample);
        camera.plane.lon_lat(x, y)
    };
    let sun = options.sun();
    let (view_elevation_deg, view_azimuth_deg) = camera.view();
    delivery::metadata_xml(
        options,
        &delivery::Facts {
            stem,
            level,
            part,
            corners: [corner(top, left), corner(top, right), corner(bottom, right), corner(bottom, left)],
            duration_s: camera.time_of_line(bottom) - camera.time_of_line(top),
            sun_elevation_deg: 90.0 - sun.zenith_deg,
            sun_azimuth_deg: sun.azimuth_deg,
            view_elevation_deg,
            view_azimuth_deg,
        },
    )
}

/// Writes the elevation model of the ground around a scene.
fn write_dem(options: &Options, ground: &dyn Ground, camera: &Camera, path: &Path) -> Result<(), SimulateError> {
    let (low, high) = options.plane_bounds(ground);
    let margin = 300f64.max(4.0 * options.dem_spacing_m);
    let side = |axis: usize| ((high[axis] - low[axis] + 2.0 * margin) / options.dem_spacing_m).ceil();
    let (cols, rows) = (side(0), side(1));
    if cols.max(rows) > MAX_DEM_SIDE {
        return Err(SimulateError::Option {
            option: "dem_spacing_m",
            expected: format!("a spacing that gives at most {MAX_DEM_SIDE} rows and columns"),
            found: format!("{} m, which gives {rows} rows and {cols} columns", options.dem_spacing_m),
        });
    }
    let plane = &camera.plane;
    let (lon, lat) = plane.lon_lat(low[0] - margin, high[1] + margin);
    let transform = GeoTransform {
        x0: lon,
        dx_col: options.dem_spacing_m / plane.m_per_lon_deg,
        dx_row: 0.0,
        y0: lat,
        dy_col: 0.0,
        dy_row: -options.dem_spacing_m / plane.m_per_lat_deg,
    };
    tiff::write_dem(path, &camera.relief, plane, transform, (rows as usize, cols as usize))
}

fn create_folder(path: &Path) -> Result<(), SimulateError> {
    std::fs::create_dir_all(path).map_err(|source| SimulateError::Write { path: path.into(), source })
}

fn write_text(path: &Path, text: &str) -> Result<(), SimulateError> {
    std::fs::write(path, text).map_err(|source| SimulateError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests;
