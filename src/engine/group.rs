//! Which cells are made together, so that what one of them decodes serves the others.
//!
//! A compressed strip is as wide as the image, and is decoded whole for whatever is wanted of it. Units in a row need the
//! same strips: if memory holds a row's worth of them, each is decoded once for all units beside each other, of one cell or
//! of as many as are open together. Where memory does not allow it, they are decoded again.

use std::sync::Arc;

use super::plan::{Cell, CellPlace, Placement, ScenePlan};
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
        let needed = self.strip_row_bytes();
        if needed == 0 {
            return alone;
        }
        let open = self.cells.iter().map(|c| self.open_cell_bytes(c)).max().unwrap_or(0);
        let units = threads as u64 * self.largest_unit_bytes();
        let fits = |cells: &usize| *cells as u64 * open + units + needed.saturating_sub(strip_bytes) <= budget;
        match (1..=row).rev().find(fits) {
            Some(cells) => Grouping { cells, strip_bytes: needed, decodes: row.div_ceil(cells) },
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

    /// Bytes of the decoded strips under a row of units.
    fn strip_row_bytes(&self) -> u64 {
        let of_layer = |layer: &super::plan::Layer| -> u64 {
            let of_input = |input: &super::plan::Input| -> u64 {
                let rows = match input.placement {
                    Placement::Same => UNIT_ROWS as f64,
                    Placement::Map { .. } | Placement::Sensor(_) => {
                        UNIT_ROWS as f64 * self.pixel_down_m(layer) / input.pixel_area_m2.max(1e-30).sqrt()
                    }
                };
                // While a worker ends a row of units, others are well into the next: half of its strips are there as well.
                let strips = |s: Strips| (1.5 * rows.ceil()) as u64 * s.row_bytes + 2 * s.rows as u64 * s.row_bytes;
                distinct(input.bands.iter().map(|b| &b.raster)).filter_map(|r| r.strips()).map(strips).sum()
            };
            layer.inputs.iter().map(of_input).sum()
        };
        // Layers are made one after another.
        self.layers.iter().map(of_layer).max().unwrap_or(0)
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

fn distinct<'a>(rasters: impl Iterator<Item = &'a Arc<Raster>>) -> impl Iterator<Item = &'a Arc<Raster>> {
    let mut seen: Vec<*const Raster> = Vec::new();
    rasters.filter(move |r| {
        let place = Arc::as_ptr(r);
        let is_new = !seen.contains(&place);
        seen.push(place);
        is_new
    })
}
