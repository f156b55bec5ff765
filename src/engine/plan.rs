//! What will be done with a scene, before anything is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fieldglow_kernels::resample::Kernel;

use super::publish::TILE;
use super::sharpen::LowPass;
use crate::calibrate::{Illumination, Linear, Provenance};
use crate::cog;
use crate::config::Pipeline;
use crate::geometry;
use crate::grid::cell::{GridCell, Lattice};
use crate::grid::{Crs, GeoTransform, METERS_PER_DEGREE, Window};
use crate::product::together::Together;
use crate::product::{Product, Program};
use crate::pyramid::{UNIT_COLS, UNIT_ROWS};
use crate::raster::Block;
use crate::read::{HeightWindow, Heights, Raster};
use crate::scene::{Role, Scene, Warning};
use crate::survey::Request;
use crate::survey::sharpen::Quality;

/// A scene resolved against a pipeline.
pub struct ScenePlan {
    /// The scene.
    pub scene: Scene,
    /// Its name in storage.
    pub acquisition: String,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Digest of everything that can change the pixels, 64 hexadecimal digits.
    pub key: String,
    /// What has to be known of the scene before its pixels are made.
    pub request: Request,
    /// What it is laid upon.
    pub register: Option<super::register::Register>,
    /// What the first look at it found; `None` until it was taken.
    pub survey: Option<super::look::Document>,
    /// Digest of the input.
    pub identity: String,
    /// Reference system of the products.
    pub crs: Crs,
    /// GeoTIFF keys of that system.
    pub geo_keys: cog::GeoKeys,
    /// The sun it is calibrated with.
    pub illumination: Option<Illumination>,
    /// One entry per pixel size.
    pub layers: Vec<Layer>,
    /// Cells the scene may touch, northern row first.
    pub cells: Vec<Cell>,
    /// Terrain.
    pub terrain: Terrain,
    /// What was left out or is odd.
    pub warnings: Vec<Warning>,
    /// Outline of the scene, longitude and latitude, degrees.
    pub outline: Vec<(f64, f64)>,
}

/// Products of one pixel size: they share pixels, so they share all work up to the values.
pub struct Layer {
    /// Pixel size, units of the grid.
    pub pixel: f64,
    /// Pixel size on the ground, metres; on grids in metres, and in mode `native`, that of the map.
    pub pixel_m: f64,
    /// Bands computed, plane by plane.
    pub roles: Vec<Role>,
    /// Where the planes come from.
    pub inputs: Vec<Input>,
    /// What is made of them.
    pub products: Vec<Product>,
    /// The indices among them, as they are computed.
    pub together: Together,
    /// How its panchromatic band is low-passed; `None` where nothing is sharpened.
    pub low_pass: Option<LowPass>,
}

impl Layer {
    /// Whether a product stores the states of pixels.
    pub fn tells_states(&self) -> bool {
        self.products.iter().any(|p| matches!(p.program, Program::Qa))
    }

    /// What the samples of each plane mean.
    pub fn linear(&self) -> Vec<Linear> {
        self.inputs.iter().flat_map(|i| &i.bands).map(|b| b.linear).collect()
    }
}

/// Some bands of one part, which lie on each other.
#[derive(Clone)]
pub struct Input {
    /// What is moved under this name is all of it: the part, or the one band.
    pub name: String,
    /// Position of the part in the scene.
    pub part: usize,
    /// First plane of the layer that it fills; the others follow.
    pub first_plane: usize,
    /// Its bands in the order of planes.
    pub bands: Vec<InputBand>,
    /// DN that marks "no measurement".
    pub fill: Option<f32>,
    /// DN from which on a sample is saturated.
    pub saturation: Option<f32>,
    /// Where the part's pixels are.
    pub placement: Placement,
    /// Ground that one of its pixels covers, square metres.
    pub pixel_area_m2: f64,
}

impl Input {
    /// The DN that marks "no measurement", and that from which on a sample is saturated; NaN where there is none.
    pub fn bounds(&self) -> (f32, f32) {
        (self.fill.unwrap_or(f32::NAN), self.saturation.unwrap_or(f32::NAN))
    }
}

/// One band to read.
#[derive(Clone)]
pub struct InputBand {
    /// The file.
    pub raster: Arc<Raster>,
    /// Position in the file, from 0.
    pub index: usize,
    /// From DN to values.
    pub linear: Linear,
    /// Where these numbers come from.
    pub provenance: Provenance,
}

/// Where a part's pixels are.
#[derive(Debug, Clone, PartialEq)]
pub enum Placement {
    /// Through its sensor model.
    Sensor(Box<geometry::Sensor>),
    /// On a map, another lattice than the product's.
    Map {
        /// Its system.
        crs: Crs,
        /// Its pixels.
        transform: GeoTransform,
        /// How far they were moved to be pixels of the product, east and north, units of the grid; `None` where they are
        /// interpolated.
        snapped: Option<(f64, f64)>,
    },
    /// Pixel on pixel with the product; the part's first pixel is the lattice's first of the whole scene.
    Same,
}

/// Terrain heights.
pub enum Terrain {
    /// Not needed.
    None,
    /// One height above the ellipsoid for the whole scene, metres.
    Constant(f64),
    /// A DEM.
    Dem {
        /// Heights.
        heights: Arc<Heights>,
        /// Lowest and highest under the scene, above the DEM's datum, metres, as a look at it found.
        found: (f64, f64),
        /// The same with a margin: bounds of what may be found.
        range: (f64, f64),
        /// Pixels of the DEM under the scene.
        under: Window,
        /// What has to be known to tell the ground that terrain hides; `None` where none is, or nobody asks.
        hides: Option<Hides>,
        /// Geoid undulations under the scene and the raster they are from; `None` for ellipsoidal heights.
        geoid: Option<Geoid>,
    },
}

/// What has to be known to tell ground that terrain hides from the sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hides {
    /// From the lowest to the highest height under the scene: what a line of sight may rise by.
    pub metres: f64,
    /// Pixels of the DEM that lines of sight may run over, around one they start from.
    pub reach: Window,
}

/// Geoid undulations around a scene.
pub struct Geoid {
    /// The raster.
    pub grid: Arc<Heights>,
    /// The part of it that was read.
    pub window: HeightWindow,
}

/// One cell of the plan.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its name.
    pub name: String,
    /// Its place.
    pub place: CellPlace,
    /// Its pixels, one lattice per layer.
    pub lattices: Vec<Lattice>,
}

/// Where a cell is.
#[derive(Debug, Clone, PartialEq)]
pub enum CellPlace {
    /// A square of the grid.
    Square(GridCell),
    /// For each layer, a window of its part.
    Native(Vec<Window>),
}

impl Cell {
    /// The units of a layer, row by row.
    pub fn units(&self, layer: usize) -> Vec<Window> {
        let Some(lattice) = self.lattices.get(layer) else { return Vec::new() };
        (0..lattice.rows)
            .step_by(UNIT_ROWS)
            .flat_map(|r| (0..lattice.cols).step_by(UNIT_COLS).map(move |c| (r, c)))
            .map(|(r, c)| {
                Window::new(r as i64, c as i64, UNIT_ROWS.min(lattice.rows - r), UNIT_COLS.min(lattice.cols - c))
            })
            .collect()
    }
}

/// Pixels a source window can have more than the unit it serves, at most: turned by 45° and as fine as the product.
/// Checked against the real window when it is known; a window that is larger is read and only the estimate was low.
pub const TURN: f64 = 2.0;

impl Layer {
    /// Bytes of all products of one pixel.
    pub fn stored_bytes_per_pixel(&self) -> u64 {
        self.products.iter().map(|p| (p.bands() * p.encoding.sample_bytes()) as u64).sum()
    }

    /// Bytes a unit uses while it is computed, whose sources have `source_pixels` each.
    pub fn unit_bytes(&self, unit: Window, source_pixels: &[usize]) -> (u64, u64) {
        let pixels = unit.pixels();
        let low = self.low_pass.as_ref().filter(|low| low.in_pass > 0);
        let low_planes = low.map_or(0, |low| low.in_pass);
        let sharpened = low.map_or(0, |low| low.bytes(self, unit, source_pixels, low_planes));
        let sources: u64 = self.inputs.iter().zip(source_pixels).map(|(i, n)| Block::bytes(*n, i.bands.len())).sum();
        let strip = Block::bytes(geometry::STRIP_ROWS * UNIT_COLS, self.roles.len() + low_planes);
        let of_pixel = self.stored_bytes_per_pixel();
        let stored = of_pixel * pixels as u64;
        // A strip, the row of tiles it is in, coarser levels (a third), and one assembled tile per product.
        let rows = |n: usize| stored.min(of_pixel * (n * UNIT_COLS) as u64);
        let raw = rows(geometry::STRIP_ROWS) + rows(TILE) + stored / 3 + of_pixel * (TILE * TILE) as u64;
        // Compressed tiles, at worst as large as the raw ones.
        let output = stored + stored / 3;
        (sources + sharpened + strip + raw, output)
    }

    /// Pixels the source windows of a unit may have, from the ground that pixels cover and the neighbours that a kernel asks
    /// for.
    pub fn source_pixels(&self, scene: &Scene, unit: Window, kernel: Kernel) -> Vec<usize> {
        let low = self.low_pass.as_ref().filter(|low| low.in_pass > 0);
        self.inputs
            .iter()
            .enumerate()
            .map(|(k, i)| {
                // PAN is read with what its filter reaches.
                let unit = low.filter(|low| low.pan.0 == k).map_or(unit, |low| low.located(unit));
                let part = &scene.parts[i.part];
                let under = match &i.placement {
                    // Read strip by strip.
                    Placement::Same => unit.pixels().min(geometry::STRIP_ROWS * UNIT_COLS),
                    Placement::Map { .. } | Placement::Sensor(_) => {
                        let ratio = self.pixel_m / i.pixel_area_m2.max(1e-30).sqrt();
                        let halo = 2.0 * geometry::margin(kernel.reach(ratio)) as f64;
                        let side = |n: usize| n as f64 * ratio * TURN.sqrt() + halo;
                        (side(unit.rows) * side(unit.cols)) as usize
                    }
                };
                under.min(part.rows * part.cols).max(1)
            })
            .collect()
    }
}

/// Bytes of a picture: 512 × 512 pixels of four samples.
const PICTURE_BYTES: u64 = 512 * 512 * 4;

/// Pixels of a DEM around a unit beyond its edge, on each side.
const DEM_MARGIN: f64 = 4.0;

impl ScenePlan {
    /// Bytes that a cell keeps while it is open: compressed overviews, the tiles of a row of units that wait for their
    /// turn, and a part per file.
    pub fn open_cell_bytes(&self, cell: &Cell) -> u64 {
        self.layers
            .iter()
            .zip(&cell.lattices)
            .map(|(layer, lattice)| {
                let stored = layer.stored_bytes_per_pixel();
                let all = stored * (lattice.rows * lattice.cols) as u64;
                let row = stored * (UNIT_ROWS.min(lattice.rows) * lattice.cols) as u64;
                // One with the writer, and the first with the store, where it waits for the beginning.
                let parts = 2 * layer.products.len() as u64 * (cog::writer::DEFAULT_PART_SIZE as u64).min(all);
                // What people are shown of each product, at worst as large as its raw pixels.
                let pictures =
                    if self.pipeline.output.pictures { layer.products.len() as u64 * PICTURE_BYTES } else { 0 };
                all / 3 + row + row / 4 + parts + pictures
            })
            .sum()
    }

    /// Bytes of the files of a cell with their overviews, compressed, at worst as large as the raw pixels.
    pub fn stored_bytes(&self, cell: &Cell) -> u64 {
        let of_layer = |(layer, lattice): (&Layer, &Lattice)| {
            let pixels = layer.stored_bytes_per_pixel() * (lattice.rows * lattice.cols) as u64;
            pixels + pixels / 3
        };
        self.layers.iter().zip(&cell.lattices).map(of_layer).sum()
    }

    /// Length of a product's pixel along the meridian, metres: squares of degrees are longer than they are wide.
    pub fn pixel_down_m(&self, layer: &Layer) -> f64 {
        if self.crs.is_geographic() { layer.pixel * METERS_PER_DEGREE } else { layer.pixel_m }
    }

    /// Bytes of a unit of a cell: while it is computed, and of its results.
    pub fn unit_bytes(&self, cell: &Cell, layer: usize, unit: Window) -> (u64, u64) {
        let Lattice { rows, cols, .. } = cell.lattices[layer];
        let layer = &self.layers[layer];
        let kernel = self.pipeline.geometry.resampling.kernel();
        let (working, output) = layer.unit_bytes(unit, &layer.source_pixels(&self.scene, unit, kernel));
        let tile = |p: &Product| p.bands() * p.encoding.sample_bytes() * TILE * TILE;
        let tiles: BTreeSet<usize> = layer.products.iter().map(tile).collect();
        let codec = super::publish::compression(&self.pipeline).context_bytes(tiles.last().copied().unwrap_or(0));
        // Of the file that is being closed, one tile of each coarser level, in buffers for tiles of its size. The first is
        // counted with the unit.
        let closing = cog::Layout::new(rows, cols, TILE).levels.len().saturating_sub(2) * tiles.iter().sum::<usize>();
        let unit = layer.low_pass.as_ref().filter(|low| low.in_pass > 0).map_or(unit, |low| low.located(unit));
        let heights = match &self.terrain {
            Terrain::Dem { heights, hides, .. } => {
                let side = |n: usize| n as f64 * layer.pixel_m / heights.pixel_m() * TURN.sqrt() + 2.0 * DEM_MARGIN;
                let all = heights.window();
                let (rows, cols) = (side(unit.rows), side(unit.cols));
                let pixels = |rows: f64, cols: f64| (rows.min(all.rows as f64) * cols.min(all.cols as f64)) as u64;
                // Where terrain hides ground: heights of a wider window, and as many numbers as heights.
                let sights = hides
                    .filter(|_| layer.tells_states())
                    .map_or(0, |h| pixels(rows + h.reach.rows as f64, cols + h.reach.cols as f64) + pixels(rows, cols));
                (pixels(rows, cols) + sights) * size_of::<f32>() as u64
            }
            _ => 0,
        };
        (working + codec + closing as u64 + heights, output)
    }

    /// The smallest budget the scene can be made with.
    pub fn smallest_budget(&self) -> u64 {
        let of_cell = |cell: &Cell| self.open_cell_bytes(cell) + self.largest_unit_bytes_of(cell);
        self.cells.iter().map(of_cell).max().unwrap_or(0).max(self.survey_bytes()) + self.arriving_bytes()
    }

    /// Bytes of a budget that may be lent, where `more` than the smallest is needed: with the rest, cells and units find
    /// their place whatever was lent.
    pub fn lendable_bytes(&self, budget: u64, more: u64) -> u64 {
        budget.saturating_sub(self.smallest_budget() + more) / 2
    }

    /// Bytes of the largest unit and its results.
    pub fn largest_unit_bytes(&self) -> u64 {
        self.cells.iter().map(|c| self.largest_unit_bytes_of(c)).max().unwrap_or(0)
    }

    fn largest_unit_bytes_of(&self, cell: &Cell) -> u64 {
        let units = (0..self.layers.len()).flat_map(|l| cell.units(l).into_iter().map(move |u| (l, u)));
        units.map(|(l, u)| self.unit_bytes(cell, l, u)).map(|(a, b)| a + b).max().unwrap_or(0)
    }

    /// Bytes of the first look.
    pub fn survey_bytes(&self) -> u64 {
        super::look::bytes(self)
    }

    /// Output pixels of a cell, all layers.
    pub fn cell_pixels(&self, cell: &Cell) -> u64 {
        cell.lattices.iter().map(|l| (l.rows * l.cols) as u64).sum()
    }

    /// Name of an object of this acquisition in a cell.
    pub fn object(&self, cell: &str, file: &str) -> String {
        format!("{}/{cell}/{}/{file}", self.pipeline.name, self.acquisition)
    }

    /// Name of an object of this acquisition's scene folder.
    pub fn scene_object(&self, file: &str) -> String {
        format!("{}/scenes/{}/{file}", self.pipeline.name, self.acquisition)
    }

    /// The folder of this configuration: the first digits of the key.
    pub fn key8(&self) -> &str {
        &self.key[..8]
    }

    /// How good the pansharpened products are, by name.
    pub fn qualities(&self) -> BTreeMap<String, Quality> {
        let found = self.survey.iter().flat_map(|d| &d.survey.sharpen);
        found.filter_map(|(name, s)| Some((name.clone(), s.quality?))).collect()
    }

    /// What a file of a product is to be.
    pub fn spec(&self, layer: &Layer, product: &Product, lattice: &Lattice) -> cog::Spec {
        super::publish::spec(self, layer, product, lattice)
    }
}
