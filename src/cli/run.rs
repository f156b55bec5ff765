//! `fieldglow run`

use std::io::Write as _;
use std::path::PathBuf;

use fieldglow::engine::{self, Options, RunReport, Stop, report::Outcome as SceneEnd};
use fieldglow::store;
use fieldglow::units::Bytes;

use super::progress::{Display, Style};
use super::scenes::Input;
use super::{Failure, Outcome, log, print_json, signals};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Make cells again that stand there already.
    #[arg(long)]
    force: bool,
    /// End the run with the first scene that fails.
    #[arg(long)]
    fail_fast: bool,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = Style::Auto)]
    progress: Style,
    /// Write a log to standard error, text or a JSON object a line, in place of progress. `FIELDGLOW_LOG` sets what is
    /// logged, such as `debug` or `fieldglow=debug,object_store=info`; default: `info`.
    #[arg(long, value_enum)]
    log: Option<log::Format>,
    /// Write the run report, JSON, to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the run report, JSON, to standard output instead of a summary.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    if let Some(log) = args.log {
        log::start(log);
    }
    let pipeline = args.input.pipeline()?;
    let Some(url) = pipeline.output.url.clone() else {
        eprintln!(
            "error: no output: give --output URL, or `url` in the `[output]` section of `{}`",
            args.input.pipeline.display()
        );
        return Err(Failure::Code(1));
    };
    let store = store::open(&url)?;
    let area = args.input.area()?;
    let stop = Stop::default();
    let signals = signals::listen(&stop)?;
    let (pipeline, _fetched) = args.input.fetched(pipeline, &stop)?;
    let scenes = args.input.scenes.given(&stop)?;
    // A report that cannot be written must not be found out after the work.
    let unwritable = |path: &PathBuf| {
        let path = path.clone();
        move |source| store::StoreError::NotWritable { path, source }
    };
    let mut report_file = match &args.report {
        Some(path) => Some((std::fs::File::create(path).map_err(unwritable(path))?, path)),
        None => None,
    };
    let options = Options {
        threads: args.input.threads(),
        memory: args.input.memory.0,
        force: args.force,
        fail_fast: args.fail_fast,
        cells: args.input.cells.clone(),
        area,
        shard: args.input.shard,
        shuffle: None,
        stop,
    };
    let style = args.log.as_ref().map_or(args.progress, |log| log::style(*log, args.progress));
    let display = Display::new(style);
    let mut report = engine::run(&pipeline, scenes, &*store, &options, &display)?;
    display.finish();
    if report.interrupted {
        report.exit_code = signals.exit_code();
    }
    if let Some((file, path)) = &mut report_file {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        file.write_all(text.as_bytes()).map_err(unwritable(path))?;
    }
    if args.json {
        failures(&report);
        print_json(&report)?;
    } else {
        summary(&report, args.input.shard.is_some() || !args.input.cells.is_empty());
    }
    match report.exit_code {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

/// Says what was done; `in_part` when the Collection was left to `collect`.
fn summary(report: &RunReport, in_part: bool) {
    let t = &report.totals;
    eprintln!(
        "{} of {} scenes done in {:.1} s: {} cells written ({}), {} already there; peak memory reserved {}",
        t.done,
        t.scenes,
        report.seconds,
        t.cells_written,
        Bytes(t.bytes_written),
        t.cells_unchanged,
        Bytes(report.peak_reserved_bytes),
    );
    failures(report);
    let place = format!("{}/{}", report.output, report.pipeline);
    match () {
        () if t.done == 0 || report.error.is_some() => {}
        () if in_part => eprintln!("when all parts are done: fieldglow collect {place}"),
        () => eprintln!("look at: {place}/collection.json"),
    }
}

/// Says why scenes failed, and why the run ended early.
fn failures(report: &RunReport) {
    for scene in report.scenes.iter().filter(|s| s.outcome == SceneEnd::Failed) {
        if let Some(e) = &scene.error {
            eprintln!("failed: {}", e.message);
        }
    }
    if let Some(e) = &report.error {
        eprintln!("failed: {}", e.message);
    }
}
