//! `stagewatch report`: an iteration that the daemon stored, as a report. Reads the history only.

use super::{Ending, complain, say};
use crate::app::iterations;
use crate::history::{HistoryError, Reader};
use crate::report::{Colour, Format, Iteration, render};
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
    let iteration = match stored(args) {
        Ok(Some(iteration)) => iteration,
        Ok(None) => {
            return complain(&format!(
                "{} has no such iteration; the daemon stores one each hour (scaled)",
                args.data_dir.display()
            ));
        }
        Err(error) => return complain(&format!("{}: {error}", args.data_dir.display())),
    };
    let viewer = if args.sensitive {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    let text = render(&iteration.seen_by(viewer), args.format, Colour::Plain);
    match &args.output {
        None => say(&text),
        Some(file) => match std::fs::write(file, text) {
            Ok(()) => Ending::Well,
            Err(error) => complain(&format!("{}: {error}", file.display())),
        },
    }
}

/// The iteration asked for, compared with those before it.
fn stored(args: &ReportArgs) -> Result<Option<Iteration>, HistoryError> {
    let number = match args.iteration {
        Which::Latest => None,
        Which::Number(number) => Some(number),
    };
    iterations::stored(&Reader::open(&args.data_dir)?, number)
}
