//! Logs for those who keep them.

use std::str::FromStr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::progress::Style;

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for people.
    Text,
    /// A JSON object.
    Json,
}

/// Starts the log. What is logged is named by `FIELDGLOW_LOG`; what cannot be read there is said and taken for `info`.
pub fn start(format: Format) {
    let wanted = std::env::var("FIELDGLOW_LOG").unwrap_or_else(|_| "info".into());
    let targets = Targets::from_str(&wanted).unwrap_or_else(|e| {
        eprintln!("warning: FIELDGLOW_LOG=`{wanted}`: {e}; logging `info`");
        Targets::new().with_default(tracing::Level::INFO)
    });
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        Format::Text => layer.with_ansi(false).boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    // A second start in one process keeps the first log.
    let _ = tracing_subscriber::registry().with(layer.with_filter(targets)).try_init();
}

/// The progress to show beside a log: what was asked for, but nothing by itself, as both go to standard error.
pub fn style(_: Format, progress: Style) -> Style {
    if progress == Style::Auto { Style::Off } else { progress }
}
