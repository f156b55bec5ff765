//! A cell that is being made: what its units share.

use std::sync::Arc;

use super::locate::Located;
use super::plan::{Cell, CellPlace, ScenePlan};
use super::show;
use crate::cog::{Encoder, Spec};
use crate::error::Result;
use crate::grid::Window;
use crate::picture::Style;
use crate::pyramid::{Assembly, Spare};

/// An open cell. Units read it from many threads; only the assemblies change, each behind its own short lock.
pub struct OpenCell {
    /// Distinguishes cells of a run.
    pub serial: u64,
    /// The scene's plan.
    pub plan: Arc<ScenePlan>,
    /// Position in the plan.
    pub index: usize,
    /// Layer and window of every unit, in the order of admission.
    pub units: Vec<(usize, Window)>,
    located: Vec<Vec<Located>>,
    files: Vec<File>,
    first_file: Vec<usize>,
}

struct File {
    spec: Spec,
    encoder: Encoder,
    levels: usize,
    /// Rows and columns of the coarsest level.
    coarsest: (usize, usize),
    style: Option<Style>,
    assembly: Assembly,
}

impl OpenCell {
    /// Opens a cell: geometry of every input, and a specification for every file. `spare` is for all cells of a scene.
    ///
    /// # Errors
    /// When the geometry cannot be set up there.
    pub fn new(serial: u64, plan: Arc<ScenePlan>, index: usize, spare: &Arc<Spare>) -> Result<Self> {
        let cell = &plan.cells[index];
        let (mut located, mut files, mut first_file, mut units) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (l, layer) in plan.layers.iter().enumerate() {
            let lattice = &cell.lattices[l];
            let native = match &cell.place {
                CellPlace::Square(_) => None,
                CellPlace::Native(windows) => windows.get(l).copied(),
            };
            let inputs = layer.inputs.iter();
            located.push(
                inputs
                    .map(|i| Located::new(&plan, &plan.crs, i, layer.pixel_m, lattice, native))
                    .collect::<Result<Vec<_>>>()?,
            );
            first_file.push(files.len());
            for product in &layer.products {
                let spec = plan.spec(layer, product, lattice);
                let layout = spec.layout();
                let levels: Vec<_> = layout.levels.iter().map(|v| (v.rows, v.cols)).collect();
                files.push(File {
                    levels: levels.len(),
                    coarsest: levels.last().copied().unwrap_or_default(),
                    style: show::style(&plan, layer, product),
                    assembly: Assembly::new(layout.tile, levels, Arc::clone(spare)),
                    encoder: Encoder::new(&spec)?,
                    spec,
                });
            }
            units.extend(cell.units(l).into_iter().map(|w| (l, w)));
        }
        Ok(Self { serial, index, units, located, files, first_file, plan })
    }

    /// The cell of the plan.
    pub fn cell(&self) -> &Cell {
        &self.plan.cells[self.index]
    }

    /// Geometry of the inputs of a layer.
    pub fn located(&self, layer: usize) -> &[Located] {
        &self.located[layer]
    }

    /// The source pixels that an input of a layer may need for the cell; `None` when there are none.
    ///
    /// # Errors
    /// When the cell cannot be located.
    pub fn reach(&self, layer: usize, input: usize) -> Result<Option<Window>> {
        let (l, lattice) = (&self.plan.layers[layer], &self.cell().lattices[layer]);
        let whole = Window::new(0, 0, lattice.rows, lattice.cols);
        // PAN is read with what its filter reaches.
        let low = l.low_pass.as_ref().filter(|low| low.in_pass > 0 && low.pan.0 == input);
        let whole = low.map_or(whole, |low| low.located(whole));
        self.located[layer][input].reach(&self.plan, &l.inputs[input], l.pixel_m, whole)
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The first file of a layer; its products follow in order.
    pub fn first_file(&self, layer: usize) -> usize {
        self.first_file[layer]
    }

    /// What a file is to be.
    pub fn spec(&self, file: usize) -> &Spec {
        &self.files[file].spec
    }

    /// What makes the tiles of a file.
    pub fn encoder(&self, file: usize) -> &Encoder {
        &self.files[file].encoder
    }

    /// Levels of a file.
    pub fn levels(&self, file: usize) -> usize {
        self.files[file].levels
    }

    /// Rows and columns of the coarsest level of a file, and how it is shown.
    pub fn picture(&self, file: usize) -> Option<((usize, usize), &Style)> {
        self.files[file].style.as_ref().map(|style| (self.files[file].coarsest, style))
    }

    /// Tiles of a file that wait for more pixels.
    pub fn assembly(&self, file: usize) -> &Assembly {
        &self.files[file].assembly
    }
}
