//! Commands. Standard output is data, everything else goes to standard error.
#![expect(clippy::print_stderr, reason = "this is the one place that talks to people")]

/// Adds a line to a text that goes to standard output when it is whole.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        // Writing to a `String` cannot fail.
        let _ = writeln!($out, $($text)*);
    }};
}

mod check;
mod collect;
mod csv;
mod describe;
mod indices;
mod inspect;
mod log;
mod plan;
mod progress;
mod run;
mod scenes;
mod signals;
mod simulate;
mod validate;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fieldglow::error::{Class, Error, chain};

/// Very-high-resolution satellite scenes to cloud-optimised, analysis-ready tiles with STAC metadata, in one pass.
///
/// Exit codes: 0 all done · 1 usage or configuration · 2 some scenes failed · 3 no scene succeeded · 70 internal fault ·
/// 75 only passing storage faults, try again · 130 interrupted · 143 terminated.
#[derive(Debug, Parser)]
#[command(name = "fieldglow", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the products of a pipeline from scenes.
    Run(run::Args),
    /// Say what `run` would do: cells, pixels, memory. Computes and stores nothing.
    Plan(plan::Args),
    /// Show what deliveries say of themselves, what is odd about them, and what may be made of them. Reads no pixels but with
    /// `--pixels`.
    Inspect(inspect::Args),
    /// Write a `scene.toml` for a product of Landsat 8 or 9, Pléiades or SPOT, from its metadata. Reads no pixels.
    Describe(describe::Args),
    /// Show the resolved pipeline, or every mistake in it at once.
    Check(check::Args),
    /// Check COGs, STAC documents and checksums of what stands in storage.
    Validate(validate::Args),
    /// Make the Items of scenes and the Collection again from the cells that stand in storage.
    Collect(collect::Args),
    /// List the spectral indices that products of kind `index` can be.
    Indices(indices::Args),
    /// Write a simulated Jilin-1 delivery with known truth, for demos and tests.
    Simulate(simulate::Args),
}

/// What a command ends with when it does not simply succeed.
enum Failure {
    /// An error to be printed, and its exit code.
    Error(Error),
    /// Everything was said already.
    Code(u8),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::Error(e.into())
    }
}

type Outcome = Result<(), Failure>;

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no mistakes; everything else is a usage error, 1 by contract.
            let code = u8::from(e.use_stderr());
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let outcome = catch_unwind(|| command(cli.command)).unwrap_or(Err(Failure::Code(70)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Code(code)) => ExitCode::from(code),
        Err(Failure::Error(e)) => {
            eprintln!("error: {}", chain(&e));
            ExitCode::from(exit_code(e.class()))
        }
    }
}

fn command(command: Command) -> Outcome {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Collect(args) => collect::run(&args),
        Command::Indices(args) => indices::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    }
}

/// The exit code of an error that ends a command.
fn exit_code(class: Class) -> u8 {
    match class {
        Class::Config => 1,
        Class::Transient => 75,
        Class::Bug => 70,
        Class::Interrupted => 130,
        Class::Input | Class::Unsupported | Class::Limit | Class::Storage => 3,
    }
}

/// How a command ends that looked at so many scenes, some of which failed.
fn ended(failed: &[Class], total: usize) -> Outcome {
    match failed.len() {
        0 => Ok(()),
        _ if failed.iter().all(|class| *class == Class::Transient) => Err(Failure::Code(75)),
        n if n == total => Err(Failure::Code(3)),
        _ => Err(Failure::Code(2)),
    }
}

/// Writes data to standard output.
fn print(text: &str) -> Outcome {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Ok(()) => Ok(()),
        // Whoever read it has seen enough.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(source) => {
            Err(fieldglow::store::StoreError::Io { action: "writing to", path: "standard output".into(), source }
                .into())
        }
    }
}

/// Writes a JSON document to standard output.
fn print_json(value: &impl serde::Serialize) -> Outcome {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(e) => Err(Error::bug(format!("writing JSON: {e}")).into()),
    }
}
