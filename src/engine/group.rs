//! Which cells are made together, so that what one of them decodes serves the others.
//!
//! A compressed strip is as wide as the image, and is decoded whole for whatever is wanted of it. Units in a row need the
//! same strips: if memory holds what a row of them needs, each is decoded once for all units beside each other, of one cell
//! or of as many as are open together. Where memory does not allow it, they are decoded again.
//!
//! Of images on their way, each row comes whole as well: cells beside each other that are open together are done when its last
//! rows came, and what is left to be made then is little.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cell::OpenCell;
use super::plan::{Cell, CellPlace, InputBand, Placement, ScenePlan, TURN};
use crate::arrival::MOST_ON_THE_WAY;
use crate::error::Result;
use crate::geometry;
use crate::grid::Window;
use crate::pyramid::{UNIT_COLS, UNIT_ROWS};
use crate::read::{Raster, Strips};

/// How cells are made together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grouping {
    /// Cells beside each other that are open together.
    pub cells: usize,
    /// Memory for decoded strips, bytes; 0 where nothing is gained by it.
    pub strip_bytes: u64,
    /// How often a strip is decoded, at most; 1 where there are none.
    pub decodes: usize,
}

impl ScenePlan {
    /// How cells are made within a budget, with so many workers. `strip_bytes` there are for decoded strips in any case.
    pub fn grouping(&self, budget: u64, strip_bytes: u64, threads: usize) -> Grouping {
        let row = self.cells.chunk_by(same_row).map(<[Cell]>::len).max().unwrap_or(1);
        let alone = Grouping { cells: 1, strip_bytes: 0, decodes: 1 };
        let is_arriving = self.rasters().any(|r| r.is_arriving());
        let has_strips = self.strip_bytes(1) > 0;
        if !has_strips && !is_arriving {
            return alone;
        }
        let open = self.cells.iter().map(|c| self.open_cell_bytes(c)).max().unwrap_or(0);
        let units = threads as u64 * self.largest_unit_bytes();
        let fits = |cells: &usize| {
            let strips = self.strip_bytes(*cells).saturating_sub(strip_bytes);
            *cells as u64 * open + units + strips + self.arriving_bytes() <= budget
        };
        match (1..=row).rev().find(fits) {
            Some(cells) if has_strips => {
                Grouping { cells, strip_bytes: self.strip_bytes(cells), decodes: row.div_ceil(cells) }
            }
            Some(cells) => Grouping { cells, ..alone },
            None if !has_strips => alone,
            None => {
                let across = |c: &Cell| c.lattices.iter().map(|l| l.cols.div_ceil(UNIT_COLS)).max().unwrap_or(1);
                let units = self.cells.chunk_by(same_row).map(|cells| cells.iter().map(across).sum()).max();
                Grouping { decodes: units.unwrap_or(1), ..alone }
            }
        }
    }

    /// Bytes of a budget that a group takes beyond one open cell: its other cells, and what they decode.
    pub fn group_bytes(&self, grouping: Grouping, strip_bytes: u64) -> u64 {
        let open = self.cells.iter().map(|c| self.open_cell_bytes(c)).max().unwrap_or(0);
        (grouping.cells as u64 - 1) * open + grouping.strip_bytes.saturating_sub(strip_bytes)
    }

    /// Bytes of what so many cells beside each other keep of the decoded strips under a row of their units.
    fn strip_bytes(&self, cells: usize) -> u64 {
        let of_layer = |(l, layer): (usize, &super::plan::Layer)| -> u64 {
            let widest = self.cells.iter().filter_map(|c| c.lattices.get(l)).map(|l| l.cols).max().unwrap_or(0);
            let of_input = |input: &super::plan::Input| -> u64 {
                let rows = match input.placement {
                    Placement::Same => UNIT_ROWS as f64,
                    Placement::Map { .. } | Placement::Sensor(_) => {
                        UNIT_ROWS as f64 * self.pixel_down_m(layer) / input.pixel_area_m2.max(1e-30).sqrt()
                    }
                };
                let share = self.share(layer, input, cells * widest);
                // While a worker ends a row of units, others are well into the next: half of its strips are there as well.
                let strips = |s: Strips| {
                    let rows = (1.5 * rows.ceil()) as u64 + 2 * s.rows as u64;
                    (rows as f64 * s.row_bytes as f64 * share) as u64
                };
                distinct(input.bands.iter().map(|b| &b.raster)).filter_map(|r| r.strips()).map(strips).sum()
            };
            layer.inputs.iter().map(of_input).sum()
        };
        // Layers are made one after another.
        self.layers.iter().enumerate().map(of_layer).max().unwrap_or(0)
    }

    /// Columns of an input that are kept for so many of the layer, over those it has; about, where it may be turned.
    fn share(&self, layer: &super::plan::Layer, input: &super::plan::Input, cols: usize) -> f64 {
        let part = &self.scene.parts[input.part];
        let pixels = match input.placement {
            Placement::Same => cols as f64,
            Placement::Map { .. } | Placement::Sensor(_) => {
                let ratio = layer.pixel_m / input.pixel_area_m2.max(1e-30).sqrt();
                let kernel = self.pipeline.geometry.resampling.kernel();
                let halo = 2.0 * geometry::margin(kernel.reach(ratio)) as f64;
                TURN.sqrt() * cols as f64 * ratio + halo
            }
        };
        // Of more than half, all are.
        Some(pixels / part.cols as f64).filter(|share| *share <= 0.5).unwrap_or(1.0)
    }

    /// Bytes of images that are on their way at once.
    pub fn arriving_bytes(&self) -> u64 {
        self.rasters().map(|r| r.arriving_bytes()).sum::<u64>().min(MOST_ON_THE_WAY)
    }

    /// All files that are read.
    pub fn rasters(&self) -> impl Iterator<Item = &Arc<Raster>> {
        let bands = self.layers.iter().flat_map(|l| &l.inputs).flat_map(|i| &i.bands);
        distinct(bands.map(|b| &b.raster).collect::<Vec<_>>().into_iter())
    }
}

/// True for cells beside each other.
fn same_row(a: &Cell, b: &Cell) -> bool {
    match (&a.place, &b.place) {
        (CellPlace::Square(a), CellPlace::Square(b)) => a.j == b.j,
        (CellPlace::Native(a), CellPlace::Native(b)) => a.first().map(|w| w.row) == b.first().map(|w| w.row),
        _ => false,
    }
}

/// Cuts cells of a plan, given by their positions, into those that are made together.
pub fn groups<'a>(plan: &ScenePlan, cells: &'a [usize], size: usize) -> impl Iterator<Item = &'a [usize]> {
    cells.chunk_by(|a, b| same_row(&plan.cells[*a], &plan.cells[*b])).flat_map(move |row| row.chunks(size.max(1)))
}

/// Tells the readers what cells that are made together will ask for: bytes on their way are fetched, and of wide strips these
/// columns are kept.
///
/// # Errors
/// When the cells cannot be located.
pub fn announce(plan: &ScenePlan, cells: &[Arc<OpenCell>]) -> Result<()> {
    let rasters: Vec<_> = plan.rasters().filter(|r| r.is_arriving() || r.strips().is_some()).collect();
    let mut asked: Vec<(BTreeSet<usize>, Option<Window>)> = vec![Default::default(); rasters.len()];
    for (l, layer) in plan.layers.iter().enumerate() {
        for (k, input) in layer.inputs.iter().enumerate() {
            let place = |b: &InputBand| rasters.iter().position(|r| Arc::ptr_eq(r, &b.raster));
            let bands: Vec<_> = input.bands.iter().filter_map(|b| Some((place(b)?, b.index))).collect();
            if bands.is_empty() {
                continue;
            }
            let reach = cells.iter().map(|cell| cell.reach(l, k)).collect::<Result<Vec<_>>>()?;
            let reach = reach.into_iter().flatten().reduce(Window::around);
            for (raster, band) in bands {
                let (bands, window) = &mut asked[raster];
                bands.insert(band);
                *window = reach.into_iter().chain(*window).reduce(Window::around);
            }
        }
    }
    for (raster, (bands, window)) in rasters.into_iter().zip(asked) {
        if let Some(window) = window {
            raster.keep(window.col as usize..window.col as usize + window.cols);
            raster.announce(&bands.into_iter().collect::<Vec<_>>(), window);
        }
    }
    Ok(())
}

fn distinct<'a>(rasters: impl Iterator<Item = &'a Arc<Raster>>) -> impl Iterator<Item = &'a Arc<Raster>> {
    let mut seen: Vec<*const Raster> = Vec::new();
    rasters.filter(move |r| {
        let place = Arc::as_ptr(r);
        let is_new = !seen.contains(&place);
        seen.push(place);
        is_new
    })
}
