//! From a plan's placements to source positions, unit by unit. Transforms belong to a thread: PROJ's objects are not
//! shareable, and making one costs more than using it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fieldglow_kernels::height::{self, Surface};

use super::plan::{Geoid, Hides, Input, Placement, ScenePlan, Terrain};
use crate::error::Result;
use crate::geometry::ortho::{Ground, Ortho, Position, RowScratch, UnitHeights};
use crate::geometry::projected::{Projected, ToPixels};
use crate::geometry::sight::Sights;
use crate::geometry::{Footprints, GeometryError, OrthoUnit, ProjectedUnit};
use crate::grid::cell::Lattice;
use crate::grid::{Crs, CrsError, GeoTransform, PointTransform, Window};
use crate::read::Heights;

thread_local! {
    static TRANSFORMS: RefCell<HashMap<(Crs, Crs), Rc<PointTransform>>> = RefCell::default();
}

/// The thread's transform between two systems.
pub fn transform(from: &Crs, to: &Crs) -> Result<Rc<PointTransform>, CrsError> {
    TRANSFORMS.with_borrow_mut(|all| {
        if let Some(t) = all.get(&(from.clone(), to.clone())) {
            return Ok(Rc::clone(t));
        }
        let made = Rc::new(PointTransform::new(from, to)?);
        all.insert((from.clone(), to.clone()), Rc::clone(&made));
        Ok(made)
    })
}

/// Geometry of one input over one cell.
#[derive(Debug)]
pub enum Located {
    /// Through a sensor model.
    Ortho(Box<Ortho>),
    /// Between two maps.
    Map(Projected),
    /// The window of the part that the cell is.
    Same(Window),
}

/// Geometry of one input over one unit.
pub enum UnitLocated<'a> {
    /// Through a sensor model.
    Ortho(OrthoUnit<'a>, UnitHeights),
    /// Between two maps.
    Map(ProjectedUnit<'a>),
    /// Pixel on pixel.
    Same,
}

fn to_pixels<'a>(
    transform: &'a PointTransform,
    crs: &Crs,
    source: GeoTransform,
    snapped: bool,
    image: (usize, usize),
) -> ToPixels<'a> {
    let middle = source.world_from_pixel(image.1 as f64 / 2.0, image.0 as f64 / 2.0).0;
    ToPixels { transform, source, turn: crs.turn().map(|turn| (middle, turn)), whole: snapped }
}

/// Undulation of the geoid at longitude and latitude, metres; NaN outside its grid.
pub fn undulation(geoid: &Geoid, lon: f64, lat: f64) -> f64 {
    let (col, row) = geoid.grid.position(lon, lat);
    let w = geoid.window.window;
    let surface = Surface { heights: &geoid.window.heights, rows: w.rows, cols: w.cols };
    let mut out = [f64::NAN];
    height::sample(surface, &[col - w.col as f64], &[row - w.row as f64], &mut out);
    out[0]
}

/// Calls `f` with the way from a grid in `crs` to the ground, on this thread's transforms.
fn with_ground<T>(
    plan: &ScenePlan,
    crs: &Crs,
    input: &Input,
    pixel_m: f64,
    f: impl FnOnce(&Ground<'_>) -> Result<T, GeometryError>,
) -> Result<T> {
    let geographic = transform(crs, &Crs::wgs84())?;
    let (dem, geoid) = match &plan.terrain {
        Terrain::Dem { heights, geoid, .. } => (Some((transform(crs, heights.crs())?, heights)), geoid.as_ref()),
        _ => (None, None),
    };
    let position = dem.as_ref().map(|(_, heights)| move |x: f64, y: f64| heights.position(x, y));
    let undulation = geoid.map(|g| move |lon: f64, lat: f64| undulation(g, lon, lat));
    let ground = Ground {
        to_geographic: &geographic,
        dem: dem.as_ref().zip(position.as_ref()).map(|((t, _), p)| (&**t, p as &Position<'_>)),
        undulation: undulation.as_ref().map(|u| u as &(dyn Fn(f64, f64) -> f64 + Sync)),
        middle_lon: match &input.placement {
            Placement::Sensor(sensor) => sensor.middle_lon(),
            _ => 0.0,
        },
        pixel_m: pixel_m.min(input.pixel_area_m2.sqrt()),
    };
    Ok(f(&ground)?)
}

impl Located {
    /// Geometry of an input over a lattice in `crs`, such as that of a cell. `native` is the window of the part where the placement is
    /// [`Placement::Same`].
    pub fn new(
        plan: &ScenePlan,
        crs: &Crs,
        input: &Input,
        pixel_m: f64,
        lattice: &Lattice,
        native: Option<Window>,
    ) -> Result<Self> {
        let part = &plan.scene.parts[input.part];
        let image = (part.rows, part.cols);
        let kernel = plan.pipeline.geometry.resampling.kernel();
        match &input.placement {
            Placement::Sensor(sensor) => {
                with_ground(plan, crs, input, pixel_m, |g| Ortho::new((**sensor).clone(), image, *lattice, kernel, g))
                    .map(|o| Self::Ortho(Box::new(o)))
            }
            Placement::Map { crs: own, transform: affine, snapped } => {
                let t = transform(crs, own)?;
                let pixels = to_pixels(&t, own, *affine, snapped.is_some(), image);
                Ok(Self::Map(Projected::new(image, *lattice, kernel, &pixels)?))
            }
            Placement::Same => {
                let whole = Window::new(0, 0, part.rows, part.cols);
                Ok(Self::Same(native.unwrap_or(whole)))
            }
        }
    }

    /// Geometry of a unit, and the source pixels it needs (`None` when there are none). Reads the heights under it, and finds
    /// what they hide if that is to be told.
    pub fn unit(
        &self,
        plan: &ScenePlan,
        crs: &Crs,
        input: &Input,
        pixel_m: f64,
        tells_states: bool,
        window: Window,
    ) -> Result<(UnitLocated<'_>, Option<Window>)> {
        let part = &plan.scene.parts[input.part];
        let image = (part.rows, part.cols);
        match (self, &input.placement) {
            (Self::Ortho(ortho), _) => {
                let unit = with_ground(plan, crs, input, pixel_m, |g| ortho.unit(window, g))?;
                let heights = unit_heights(&plan.terrain, &unit, tells_states)?;
                let range = match &heights {
                    UnitHeights::Constant(h) => Some((*h, *h)),
                    UnitHeights::Dem { range, .. } => *range,
                };
                let source = range.and_then(|r| unit.source_window(r));
                Ok((UnitLocated::Ortho(unit, heights), source))
            }
            (Self::Map(projected), Placement::Map { crs: own, transform: affine, snapped }) => {
                let t = transform(crs, own)?;
                let unit = projected.unit(window, &to_pixels(&t, own, *affine, snapped.is_some(), image))?;
                let source = unit.source_window();
                Ok((UnitLocated::Map(unit), source))
            }
            (Self::Same(place), _) => {
                let source = Window::new(place.row + window.row, place.col + window.col, window.rows, window.cols);
                Ok((UnitLocated::Same, Some(source.intersect(*place)).filter(|w| !w.is_empty())))
            }
            (Self::Map(_), _) => Err(crate::error::Error::bug("a map geometry for a part that is on no map")),
        }
    }

    /// The source pixels that a window may need, whatever heights are found in it; `None` when there are none.
    pub fn reach(&self, plan: &ScenePlan, input: &Input, pixel_m: f64, window: Window) -> Result<Option<Window>> {
        let range = match &plan.terrain {
            Terrain::Constant(h) => (*h, *h),
            Terrain::Dem { range, .. } => *range,
            Terrain::None => (0.0, 0.0),
        };
        match self {
            Self::Ortho(ortho) => {
                let unit = with_ground(plan, &plan.crs, input, pixel_m, |g| ortho.unit(window, g))?;
                Ok(unit.source_window(range))
            }
            Self::Map(_) | Self::Same(_) => Ok(self.unit(plan, &plan.crs, input, pixel_m, false, window)?.1),
        }
    }
}

fn unit_heights(terrain: &Terrain, unit: &OrthoUnit<'_>, tells_states: bool) -> Result<UnitHeights> {
    match terrain {
        Terrain::Constant(h) => Ok(UnitHeights::Constant(*h)),
        Terrain::None => Err(crate::error::Error::bug("a sensor model without terrain")),
        Terrain::Dem { heights, hides, .. } => {
            let (min, max) = unit.dem_bounds();
            let read = heights.read(heights.window_for(min, max))?;
            let range = read.range();
            let excess = match hides.filter(|_| tells_states && !read.window.is_empty()) {
                Some(hides) => excess(heights, hides, unit, read.window)?,
                None => None,
            };
            Ok(UnitHeights::Dem { window: read.window, heights: read.heights, range, excess })
        }
    }
}

/// Metres by which terrain stands above the lines of sight from a window of the DEM, if it hides anything there.
fn excess(heights: &Heights, hides: Hides, unit: &OrthoUnit<'_>, window: Window) -> Result<Option<Vec<f32>>> {
    let to_geographic = transform(heights.crs(), &Crs::wgs84())?;
    let sights = Sights::new(unit.sensor(), window, &|c, r| heights.world(c, r), &to_geographic)?;
    let Window { row, col, rows, cols } = hides.reach;
    // Beside the image a model may see anything.
    let most = Window::new(window.row + row, window.col + col, window.rows + rows, window.cols + cols);
    let around = heights.read(sights.reach(window, hides.metres).intersect(most).intersect(heights.window()))?;
    Ok(sights.excess(&around.heights, around.window, window))
}

impl UnitLocated<'_> {
    /// The sizes of the unit's pixels in source pixels; `None` for pixels that are taken as they are.
    pub fn footprints(&self) -> Option<&Footprints> {
        match self {
            Self::Ortho(unit, _) => Some(unit.footprints()),
            Self::Map(unit) => Some(unit.footprints()),
            Self::Same => None,
        }
    }

    /// Writes the positions of a row of the unit within the source window that was read.
    pub fn locate(
        &self,
        row: usize,
        source: Window,
        scratch: &mut RowScratch,
        col: &mut [f64],
        rows: &mut [f64],
    ) -> Result<()> {
        match self {
            Self::Ortho(unit, heights) => unit.locate(row, heights, source, scratch, col, rows)?,
            Self::Map(unit) => {
                scratch.forget();
                unit.locate(row, source, col, rows)?;
            }
            // Nothing is between the pixels that are taken as they are.
            Self::Same => return Err(crate::error::Error::bug("positions of pixels that are not interpolated")),
        }
        Ok(())
    }
}
