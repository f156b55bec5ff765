//! `fieldglow plan`

use std::sync::Arc;

use fieldglow::engine::{self, Given, ScenePlan, Stop, Upon};
use fieldglow::error::ResultExt;
use fieldglow::grid::cell::Tiling;
use fieldglow::store;
use fieldglow::units::Bytes;
use serde_json::json;

use super::scenes::Input;
use super::{Failure, Outcome, ended, print, print_json, signals};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let pipeline = args.input.pipeline()?;
    let mut plans = Vec::new();
    let mut failed = Vec::new();
    let area = args.input.area()?;
    let stop = Stop::default();
    let signals = signals::listen(&stop)?;
    let (pipeline, _fetched) = args.input.fetched(pipeline, &stop)?;
    let mut scenes = args.input.scenes.given(&stop)?;
    if let Some(shard) = args.input.shard {
        scenes.retain(|given| shard.takes(given.id()));
    }
    let total = scenes.len();
    // Nothing else here needs the output.
    let is_upon = pipeline.coregistration.as_ref().is_some_and(|c| c.reference_scene.is_some());
    let store = pipeline.output.url.as_deref().filter(|_| is_upon).map(store::open).transpose()?;
    if is_upon && store.is_none() {
        eprintln!("error: no output, in which `coregistration.reference_scene` is looked for: give --output URL");
        return Err(Failure::Code(1));
    }
    let mut upon = match &store {
        Some(store) => Upon::of(&pipeline, &**store)?,
        None => None,
    };
    for given in scenes {
        if stop.is_asked() {
            return Err(Failure::Code(signals.exit_code()));
        }
        let plan = match given {
            // The key covers the images too.
            Given::Delivery(delivery) => delivery.unpack().and_then(|unpacked| {
                let own = upon.as_mut().map_or_else(|| Ok(Arc::clone(&pipeline)), |u| u.pipeline(delivery.id()))?;
                let plan = delivery.open().and_then(|scene| engine::resolve(scene, &own));
                unpacked.settle(plan).within(|c| c.scene = Some(delivery.id().to_owned()))
            }),
            Given::Unreadable { error, .. } => Err(error),
        };
        match plan {
            Ok(plan) => plans.push(plan),
            Err(e) => {
                failed.push(e.class());
                eprintln!("failed: {}", fieldglow::error::chain(&e));
            }
        }
    }
    let cells = plans.iter().flat_map(|p| &p.cells);
    if let Some(cell) = args.input.cells.iter().find(|n| cells.clone().all(|c| c.name != **n)) {
        return Err(engine::EngineError::NoSuchCell { cell: cell.clone() }.into());
    }
    if !args.input.cells.is_empty() {
        plans.iter_mut().for_each(|p| p.cells.retain(|c| args.input.cells.contains(&c.name)));
    }
    if let Some(area) = area {
        for plan in &mut plans {
            let mut touched = area.touches(plan)?.into_iter();
            plan.cells.retain(|_| touched.next().unwrap_or(false));
        }
    }
    if args.json {
        print_json(&plans.iter().map(|p| to_json(p, &args.input)).collect::<Vec<_>>())?;
    } else {
        let mut text = String::new();
        plans.iter().for_each(|p| table(&mut text, p, &args.input));
        print(&text)?;
    }
    ended(&failed, total)
}

/// Folder or URL that `run` would write to.
fn output(plan: &ScenePlan) -> Option<String> {
    let url = plan.pipeline.output.url.as_deref()?;
    Some(format!("{}/{}", url.trim_end_matches('/'), plan.pipeline.name))
}

fn raw_bytes(plan: &ScenePlan) -> u64 {
    let of_cell = |c: &engine::plan::Cell| -> u64 {
        plan.layers.iter().zip(&c.lattices).map(|(l, g)| l.stored_bytes_per_pixel() * (g.rows * g.cols) as u64).sum()
    };
    plan.cells.iter().map(of_cell).sum()
}

/// The zoom level of a layer, on grids that have levels.
fn level(plan: &ScenePlan, layer: &engine::plan::Layer) -> Option<u8> {
    match plan.pipeline.geometry.tiling() {
        Tiling::Metric => None,
        Tiling::Tiles(set) => set.level(layer.pixel),
    }
}

fn to_json(plan: &ScenePlan, input: &Input) -> serde_json::Value {
    let products: Vec<_> = plan
        .layers
        .iter()
        .flat_map(|l| {
            l.products.iter().map(move |p| {
                let mut product = json!({ "name": p.name, "pixel_m": l.pixel_m, "bands": p.bands() });
                if let (Some(level), Some(object)) = (level(plan, l), product.as_object_mut()) {
                    object.insert("pixel".into(), json!(l.pixel));
                    object.insert("zoom".into(), json!(level));
                }
                product
            })
        })
        .collect();
    let cells: Vec<_> = plan.cells.iter().map(|c| json!({ "name": c.name, "pixels": plan.cell_pixels(c) })).collect();
    let smallest = engine::smallest_memory(plan.smallest_budget());
    let (memory, threads) = (input.memory, input.threads());
    let grouping = engine::grouping(plan, memory.0, threads);
    json!({
        "scene": plan.scene.id,
        "acquisition": plan.acquisition,
        "output": output(plan),
        "key": plan.key,
        "crs": plan.crs.to_string(),
        "products": products,
        "cells": cells,
        "uncompressed_bytes": raw_bytes(plan),
        "smallest_memory_bytes": smallest,
        "fits": smallest <= memory.0,
        "peak_reserved_bytes": engine::most_reserved(plan, memory.0, threads),
        "cells_together": grouping.cells,
        "decodes": grouping.decodes,
        "warnings": plan.warnings,
    })
}

fn table(out: &mut String, plan: &ScenePlan, input: &Input) {
    line!(out, "{}", plan.acquisition);
    line!(out, "  key       {}", plan.key8());
    if let Some(output) = output(plan) {
        line!(out, "  output    {output}");
    }
    line!(out, "  crs       {}", plan.crs);
    for layer in &plan.layers {
        let names: Vec<_> = layer.products.iter().map(|p| p.name.as_str()).collect();
        let level = level(plan, layer).map_or(String::new(), |z| format!(" on the ground (zoom {z})"));
        line!(out, "  products  {} at {:.4} m{level}", names.join(", "), layer.pixel_m);
    }
    let pixels: u64 = plan.cells.iter().map(|c| plan.cell_pixels(c)).sum();
    line!(
        out,
        "  cells     up to {}, {:.1} megapixels, {} uncompressed",
        plan.cells.len(),
        pixels as f64 / 1e6,
        Bytes(raw_bytes(plan))
    );
    let smallest = engine::smallest_memory(plan.smallest_budget());
    let (memory, threads) = (input.memory, input.threads());
    let most = Bytes(engine::most_reserved(plan, memory.0, threads));
    line!(out, "  memory    at least {} MiB, at most {most} (of {memory})", smallest.div_ceil(1 << 20));
    let grouping = engine::grouping(plan, memory.0, threads);
    if grouping.decodes > 1 {
        let wide = "  reading   each strip is decoded up to";
        line!(out, "{wide} {} times; more memory would make it fewer", grouping.decodes);
    }
    for cell in &plan.cells {
        line!(out, "    {}", cell.name);
    }
    for w in &plan.warnings {
        line!(out, "  warning   {} [{}]", w.message, w.code);
    }
}
