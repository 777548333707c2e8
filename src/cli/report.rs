//! `stagewatch report`: an iteration that the daemon stored, as a report. Reads the history only.

use super::{Ending, complain, say};
use crate::app::iterations;
use crate::clock;
use crate::history::{HistoryError, Reader};
use crate::report::{Colour, Format, incident_markdown, render};
use crate::sensitive::Viewer;
use clap::Args;
use std::path::PathBuf;

/// What `report` takes.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The data directory of a daemon, which may be running.
    #[arg(long, value_name = "DIR", default_value = "data", env = "STAGEWATCH_DATA_DIR")]
    data_dir: PathBuf,
    /// Which: its number, or `latest`.
    #[arg(long, value_name = "NUMBER", default_value = "latest", value_parser = number)]
    iteration: Which,
    /// An incident instead, as Markdown; `stagewatch history incidents` prints their ids.
    #[arg(long, value_name = "ID", conflicts_with_all = ["iteration", "format"])]
    incident: Option<String>,
    /// How it is written: text, json, junit, markdown or html.
    #[arg(long, value_name = "FORMAT", default_value = "markdown")]
    format: Format,
    /// Where to write it instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show the text of sensitive findings.
    #[arg(long)]
    sensitive: bool,
}

/// Which iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Latest,
    Number(i64),
}

fn number(text: &str) -> Result<Which, String> {
    match text {
        "latest" => Ok(Which::Latest),
        number => number
            .parse()
            .map(Which::Number)
            .map_err(|_| "write the number of an iteration, or `latest`".to_owned()),
    }
}

/// Writes the report.
pub(super) fn report(args: &ReportArgs) -> Ending {
    let viewer = if args.sensitive {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    let written = match &args.incident {
        Some(id) => incident(args, id, viewer),
        None => iteration(args, viewer),
    };
    let text = match written {
        Ok(Some(text)) => text,
        Ok(None) => {
            return complain(&format!(
                "{} has no such iteration or incident; the daemon stores an iteration each hour (scaled)",
                args.data_dir.display()
            ));
        }
        Err(error) => return complain(&format!("{}: {error}", args.data_dir.display())),
    };
    match &args.output {
        None => say(&text),
        Some(file) => match std::fs::write(file, text) {
            Ok(()) => Ending::Well,
            Err(error) => complain(&format!("{}: {error}", file.display())),
        },
    }
}

/// The report of an incident.
fn incident(args: &ReportArgs, id: &str, viewer: Viewer) -> Result<Option<String>, HistoryError> {
    let found = Reader::open(&args.data_dir)?.account(id)?;
    let now = clock::unix_seconds(clock::now());
    Ok(found.map(|account| incident_markdown(&account.seen_by(viewer), now)))
}

/// The report of the iteration asked for, compared with those before it.
fn iteration(args: &ReportArgs, viewer: Viewer) -> Result<Option<String>, HistoryError> {
    let number = match args.iteration {
        Which::Latest => None,
        Which::Number(number) => Some(number),
    };
    let found = iterations::stored(&Reader::open(&args.data_dir)?, number)?;
    Ok(found.map(|iteration| render(&iteration.seen_by(viewer), args.format, Colour::Plain)))
}
