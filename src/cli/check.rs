//! `fieldglow check`

use std::path::PathBuf;

use fieldglow::config;

use super::{Failure, Outcome, print_json};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline file.
    #[arg(required_unless_present = "schema")]
    pipeline: Option<PathBuf>,
    /// Override a key of the pipeline file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the JSON Schema of pipeline files.
    #[arg(long)]
    schema: bool,
}

pub fn run(args: &Args) -> Outcome {
    if args.schema {
        return print_json(&config::schema());
    }
    let Some(path) = &args.pipeline else { return Err(Failure::Code(1)) };
    fieldglow::read::prepare_gdal(16 << 20);
    let pipeline = config::load(path, &args.sets)?;
    print_json(&pipeline)
}
