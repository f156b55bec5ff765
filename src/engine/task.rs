//! One unit's work, as a worker does it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::cell::OpenCell;
use super::flight::Flight;
use super::unit::Deliver;
use super::{EngineError, unit};
use crate::error::{Result, ResultExt};
use crate::grid::Window;

/// A unit to be computed.
pub struct Task {
    /// Its cell.
    pub cell: Arc<OpenCell>,
    /// Its position in the cell.
    pub unit: usize,
    /// Its layer.
    pub layer: usize,
    /// Its pixels.
    pub window: Window,
}

impl Task {
    /// All of a cell, in the order of its units.
    pub fn of_cell(cell: &Arc<OpenCell>) -> Vec<Self> {
        let task = |(unit, (layer, window)): (usize, &(usize, Window))| Self {
            cell: Arc::clone(cell),
            unit,
            layer: *layer,
            window: *window,
        };
        cell.units.iter().enumerate().map(task).collect()
    }

    /// Computes it; a panic becomes an error.
    pub fn run(&self, flight: &Flight, deliver: Deliver<'_>) -> Result<unit::Output> {
        let compute = || unit::compute(&self.cell, (self.layer, self.window), flight, deliver);
        let attempt = catch_unwind(AssertUnwindSafe(compute));
        let result = attempt.unwrap_or_else(|panic| {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_else(|| "a panic without a message".into());
            Err(EngineError::Panic { what }.into())
        });
        result.within(|c| {
            c.scene = Some(self.cell.plan.scene.id.clone());
            c.cell = Some(self.cell.cell().name.clone());
            c.window = Some(self.window.to_string());
        })
    }
}
