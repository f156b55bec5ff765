//! Orthorectification: grid to ground to image, through terrain and the sensor model.

use fieldglow_kernels::height::{self, Surface};
use fieldglow_kernels::resample::Kernel;

use super::nodes::{self, Evaluate, Nodes};
use super::{Footprints, GeometryError, Sensor, bounds, into_window, window_around};
use crate::grid::cell::Lattice;
use crate::grid::{Crs, CrsError, METERS_PER_DEGREE, PointTransform, Window, nearest_turn};

/// Heights a unit of output needs, as the caller read them.
#[derive(Debug, Clone)]
pub enum UnitHeights {
    /// One height everywhere, metres above the ellipsoid.
    Constant(f64),
    /// A window of a DEM.
    Dem {
        /// Where it stands in the DEM.
        window: Window,
        /// Heights above the DEM's datum, metres; NaN = none.
        heights: Vec<f32>,
        /// Lowest and highest of them.
        range: Option<(f64, f64)>,
        /// Metres by which terrain stands above the lines of sight from them; `None` where it hides nothing.
        excess: Option<Vec<f32>>,
    },
}

/// Position (col, row) in a DEM of map coordinates in its system.
pub type Position<'a> = dyn Fn(f64, f64) -> (f64, f64) + Sync + 'a;

/// From map coordinates to what the terrain and the sensor model want: longitude, latitude, position in the DEM, and geoid
/// undulation.
pub struct Ground<'a> {
    /// Grid to longitude and latitude.
    pub to_geographic: &'a PointTransform,
    /// Grid to the DEM's system, and that to positions in it; `None` for a constant height.
    pub dem: Option<(&'a PointTransform, &'a Position<'a>)>,
    /// Undulation at longitude and latitude, metres; `None` for heights above the ellipsoid.
    pub undulation: Option<&'a (dyn Fn(f64, f64) -> f64 + Sync)>,
    /// Longitude the scene lies around: others are counted from there, so that none jumps within a cell.
    pub middle_lon: f64,
    /// The smaller of an output and a source pixel, metres: what positions are judged by.
    pub pixel_m: f64,
}

const LON: usize = 0;
const LAT: usize = 1;
const UNDULATION: usize = 2;
const DEM_COL: usize = 3;
const DEM_ROW: usize = 4;

impl Evaluate for Ground<'_> {
    fn evaluate(&self, x: &mut [f64], y: &mut [f64]) -> Result<Vec<Vec<f64>>, CrsError> {
        let (mut lon, mut lat) = (x.to_vec(), y.to_vec());
        self.to_geographic.apply(&mut lon, &mut lat)?;
        lon.iter_mut().for_each(|v| *v = nearest_turn(*v, self.middle_lon));
        let undulation = match self.undulation {
            Some(f) => lon.iter().zip(&lat).map(|(a, b)| f(*a, *b)).collect(),
            None => vec![0.0; lon.len()],
        };
        let mut channels = vec![lon, lat, undulation];
        if let Some((transform, position)) = self.dem {
            transform.apply(x, y)?;
            let (col, row) = x.iter().zip(y.iter()).map(|(x, y)| position(*x, *y)).unzip();
            channels.push(col);
            channels.push(row);
        }
        Ok(channels)
    }

    fn distance_px(&self, a: &[f64], b: &[f64]) -> f64 {
        let scale = METERS_PER_DEGREE / self.pixel_m;
        let east = (a[LON] - b[LON]) * scale * a[LAT].to_radians().cos();
        east.hypot((a[LAT] - b[LAT]) * scale)
    }
}

/// Ortho geometry of one part over one cell.
#[derive(Debug, Clone)]
pub struct Ortho {
    sensor: Sensor,
    /// Rows and columns of the image.
    image: (usize, usize),
    lattice: Lattice,
    step: usize,
    kernel: Kernel,
}

/// Ortho geometry of one unit: tabulated ground positions, and its heights.
#[derive(Debug)]
pub struct OrthoUnit<'a> {
    ortho: &'a Ortho,
    nodes: Nodes,
    cols: usize,
    footprints: Footprints,
}

/// Buffers of one row.
#[derive(Debug, Default)]
pub struct RowScratch {
    lon: Vec<f64>,
    lat: Vec<f64>,
    height: Vec<f64>,
    dem_col: Vec<f64>,
    dem_row: Vec<f64>,
    excess: Vec<f64>,
}

impl RowScratch {
    /// Metres by which terrain stands above the line of sight of each pixel of the row that was located last; none where
    /// nothing is hidden.
    pub fn excess(&self) -> &[f64] {
        &self.excess
    }

    /// Forgets what is hidden.
    pub fn forget(&mut self) {
        self.excess.clear();
    }
}

impl Ortho {
    /// Geometry of a part of `image` (rows, cols) over the lattice of a cell, for resampling by a kernel.
    ///
    /// # Errors
    /// When a point of the cell has no longitude and latitude.
    pub fn new(
        sensor: Sensor,
        image: (usize, usize),
        lattice: Lattice,
        kernel: Kernel,
        ground: &Ground<'_>,
    ) -> Result<Self, GeometryError> {
        let step = nodes::choose_step(&lattice, ground)?;
        Ok(Self { sensor, image, lattice, step, kernel })
    }

    /// The geometry of a window of the lattice.
    ///
    /// # Errors
    /// When a point of it has no longitude and latitude.
    pub fn unit(&self, window: Window, ground: &Ground<'_>) -> Result<OrthoUnit<'_>, GeometryError> {
        let nodes = Nodes::new(&self.lattice, window, self.step, ground)?;
        let footprints = Footprints::new(self.kernel, &self.lattice, window, self.step, &|x, y| {
            let ground = ground.evaluate(x, y)?;
            let height = vec![self.sensor.middle_height_m(); x.len()];
            self.sensor.image_from_ground(&ground[LON], &ground[LAT], &height, x, y);
            Ok(())
        })?;
        Ok(OrthoUnit { ortho: self, nodes, cols: window.cols, footprints })
    }
}

impl OrthoUnit<'_> {
    /// The sensor model.
    pub fn sensor(&self) -> &Sensor {
        &self.ortho.sensor
    }

    /// The sizes of its pixels.
    pub fn footprints(&self) -> &Footprints {
        &self.footprints
    }

    /// Bounding box of the unit in DEM positions: (min col, min row), (max col, max row).
    pub fn dem_bounds(&self) -> ((f64, f64), (f64, f64)) {
        let (c0, c1) = bounds(self.nodes.channel(DEM_COL));
        let (r0, r1) = bounds(self.nodes.channel(DEM_ROW));
        ((c0, r0), (c1, r1))
    }

    /// The source pixels the unit needs when heights above the DEM's datum lie between `low` and `high`: every position
    /// lies between those at the lowest and at the highest height. `None` when there are none.
    pub fn source_window(&self, (low, high): (f64, f64)) -> Option<Window> {
        let (lon, lat) = (self.nodes.channel(LON), self.nodes.channel(LAT));
        let n = lon.len();
        let (mut col, mut row) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        for (k, height) in [low, high].into_iter().enumerate() {
            let height: Vec<f64> = self.nodes.channel(UNDULATION).iter().map(|u| u + height).collect();
            let at = k * n..(k + 1) * n;
            self.ortho.sensor.image_from_ground(lon, lat, &height, &mut col[at.clone()], &mut row[at]);
        }
        let ((c0, c1), (r0, r1)) = (bounds(&col), bounds(&row));
        window_around((c0, r0), (c1, r1), self.ortho.image, self.footprints.reach())
    }

    /// Writes the positions of a row of the unit within the source window that was read; NaN where there is no height.
    ///
    /// # Errors
    /// [`GeometryError::OutsideWindow`].
    pub fn locate(
        &self,
        row: usize,
        heights: &UnitHeights,
        source: Window,
        scratch: &mut RowScratch,
        col_out: &mut [f64],
        row_out: &mut [f64],
    ) -> Result<(), GeometryError> {
        let n = self.cols;
        for v in [&mut scratch.lon, &mut scratch.lat, &mut scratch.height, &mut scratch.dem_col, &mut scratch.dem_row] {
            v.resize(n, 0.0);
        }
        scratch.forget();
        self.nodes.row(LON, row, &mut scratch.lon);
        self.nodes.row(LAT, row, &mut scratch.lat);
        match heights {
            UnitHeights::Constant(h) => scratch.height.fill(*h),
            UnitHeights::Dem { window, heights, excess, .. } => {
                self.nodes.row(DEM_COL, row, &mut scratch.dem_col);
                self.nodes.row(DEM_ROW, row, &mut scratch.dem_row);
                scratch.dem_col.iter_mut().for_each(|c| *c -= window.col as f64);
                scratch.dem_row.iter_mut().for_each(|r| *r -= window.row as f64);
                let surface = Surface { heights, rows: window.rows, cols: window.cols };
                height::sample(surface, &scratch.dem_col, &scratch.dem_row, &mut scratch.height);
                if let Some(excess) = excess {
                    scratch.excess.resize(n, 0.0);
                    let surface = Surface { heights: excess, ..surface };
                    height::sample(surface, &scratch.dem_col, &scratch.dem_row, &mut scratch.excess);
                }
            }
        }
        // The columns of the DEM are no longer needed: they hold the undulation now.
        self.nodes.row(UNDULATION, row, &mut scratch.dem_col);
        scratch.height.iter_mut().zip(&scratch.dem_col).for_each(|(h, u)| *h += u);
        self.ortho.sensor.image_from_ground(&scratch.lon, &scratch.lat, &scratch.height, col_out, row_out);
        into_window(col_out, row_out, source, self.ortho.image, self.footprints.reach())
    }
}

/// Longitudes and latitudes of points along the border of an image at one height: its outline on the ground, clockwise
/// from the upper left corner.
///
/// # Units
/// Degrees; metres above the ellipsoid.
///
/// # Errors
/// [`GeometryError::NoGround`].
pub fn outline(sensor: &Sensor, image: (usize, usize), height: f64) -> Result<Vec<(f64, f64)>, GeometryError> {
    const PER_SIDE: usize = 16;
    let (right, bottom) = (image.1 as f64 - 0.5, image.0 as f64 - 0.5);
    let corners = [(-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom)];
    let mut points = Vec::with_capacity(4 * PER_SIDE);
    for k in 0..4 {
        let ((c0, r0), (c1, r1)) = (corners[k], corners[(k + 1) % 4]);
        for i in 0..PER_SIDE {
            let t = i as f64 / PER_SIDE as f64;
            points.push(sensor.ground_from_image(c0 + (c1 - c0) * t, r0 + (r1 - r0) * t, height)?);
        }
    }
    Ok(points)
}

/// Transforms longitudes and latitudes to a reference system.
///
/// # Errors
/// When a point has no place in it.
pub fn to_crs(points: &[(f64, f64)], crs: &Crs) -> Result<Vec<(f64, f64)>, GeometryError> {
    let transform = PointTransform::new(&Crs::wgs84(), crs).map_err(GeometryError::Transform)?;
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    transform.apply(&mut x, &mut y).map_err(GeometryError::Transform)?;
    Ok(x.into_iter().zip(y).collect())
}
