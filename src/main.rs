//! The command line of Fieldglow.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
