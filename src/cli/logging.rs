//! Logs: readable text on a terminal, one JSON object a line with `--log-format json`; always on standard error.

use crate::record::metrics::LogCounter;
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the subscriber of the process. `level` is a filter such as `info` or `stagewatch=debug,warn`.
///
/// # Errors
/// When the filter cannot be parsed, or a subscriber is installed already.
pub fn install(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("the log level `{level}` is not understood: {error}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(LogCounter)
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())
}
