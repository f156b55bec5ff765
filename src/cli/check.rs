//! `fieldglow check`

use std::path::PathBuf;

use fieldglow::{config, engine};

use super::{Failure, Outcome, print_json};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline file.
    #[arg(required_unless_present = "schema")]
    pipeline: Option<PathBuf>,
    /// Override a key of the pipeline file, such as `geometry.resolution=6`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print a JSON Schema: of pipeline files, or with `=report` of the run report.
    #[arg(long, value_enum, value_name = "OF", num_args = 0..=1, require_equals = true, default_missing_value = "pipeline")]
    schema: Option<Schema>,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Schema {
    /// Pipeline files.
    Pipeline,
    /// The report of `run`.
    Report,
}

pub fn run(args: &Args) -> Outcome {
    match args.schema {
        Some(Schema::Pipeline) => return print_json(&config::schema()),
        Some(Schema::Report) => return print_json(&engine::report::schema()),
        None => {}
    }
    let Some(path) = &args.pipeline else { return Err(Failure::Code(1)) };
    fieldglow::read::prepare_gdal(16 << 20);
    let pipeline = config::load(path, &args.sets)?;
    print_json(&pipeline)
}
