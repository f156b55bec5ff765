//! `fieldglow plan`

use fieldglow::engine::{self, ScenePlan};
use fieldglow::units::Bytes;
use serde_json::json;

use super::scenes::Input;
use super::{Failure, Outcome, print_json};

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
    let mut failed = 0;
    let deliveries = args.input.deliveries()?;
    let total = deliveries.len();
    for delivery in deliveries {
        match delivery.open().and_then(|s| engine::resolve(s, &pipeline)) {
            Ok(plan) => plans.push(plan),
            Err(e) => {
                failed += 1;
                eprintln!("failed: {}", fieldglow::error::chain(&e));
            }
        }
    }
    let budget = args.input.memory.0.saturating_sub(engine::cache_bytes(args.input.memory.0));
    if args.json {
        print_json(&plans.iter().map(|p| to_json(p, budget)).collect::<Vec<_>>())?;
    } else {
        plans.iter().for_each(|p| table(p, args.input.memory));
    }
    let cells = plans.iter().flat_map(|p| &p.cells);
    if let Some(cell) = args.input.cells.iter().find(|n| cells.clone().all(|c| c.name != **n)) {
        return Err(engine::EngineError::NoSuchCell { cell: cell.clone() }.into());
    }
    match failed {
        0 => Ok(()),
        n if n == total => Err(Failure::Code(3)),
        _ => Err(Failure::Code(2)),
    }
}

fn raw_bytes(plan: &ScenePlan) -> u64 {
    let of_cell = |c: &engine::plan::Cell| -> u64 {
        plan.layers.iter().zip(&c.lattices).map(|(l, g)| l.stored_bytes_per_pixel() * (g.rows * g.cols) as u64).sum()
    };
    plan.cells.iter().map(of_cell).sum()
}

fn to_json(plan: &ScenePlan, budget: u64) -> serde_json::Value {
    let products: Vec<_> = plan
        .layers
        .iter()
        .flat_map(|l| {
            l.products.iter().map(move |p| json!({ "name": p.name, "pixel_m": l.pixel_m, "bands": p.bands() }))
        })
        .collect();
    let cells: Vec<_> = plan.cells.iter().map(|c| json!({ "name": c.name, "pixels": plan.cell_pixels(c) })).collect();
    json!({
        "scene": plan.scene.id,
        "acquisition": plan.acquisition,
        "key": plan.key,
        "crs": plan.crs.to_string(),
        "products": products,
        "cells": cells,
        "uncompressed_bytes": raw_bytes(plan),
        "smallest_budget_bytes": plan.smallest_budget(),
        "fits": plan.smallest_budget() <= budget,
        "warnings": plan.warnings,
    })
}

fn table(plan: &ScenePlan, memory: Bytes) {
    println!("{}", plan.acquisition);
    println!("  key       {}", plan.key8());
    println!("  crs       {}", plan.crs);
    for layer in &plan.layers {
        let names: Vec<_> = layer.products.iter().map(|p| p.name.as_str()).collect();
        println!("  products  {} at {:.4} m", names.join(", "), layer.pixel_m);
    }
    let pixels: u64 = plan.cells.iter().map(|c| plan.cell_pixels(c)).sum();
    println!(
        "  cells     up to {}, {:.1} megapixels, {} uncompressed",
        plan.cells.len(),
        pixels as f64 / 1e6,
        Bytes(raw_bytes(plan))
    );
    let cache = engine::cache_bytes(memory.0);
    println!("  memory    at least {} (of {memory})", Bytes(plan.smallest_budget() + cache));
    for cell in &plan.cells {
        println!("    {}", cell.name);
    }
    for w in &plan.warnings {
        println!("  warning   {} [{}]", w.message, w.code);
    }
}
