//! `stagewatch once`: one iteration now, with progress on a terminal.

use super::{ConfigArgs, Ending, complain, say, signals};
use crate::app::once::{self, Iterated, OnceOptions, Progress};
use crate::config::Overrides;
use crate::history::Place;
use crate::report::{self, Colour, Format, Iteration};
use crate::sensitive::Viewer;
use crate::serve::Wanted;
use clap::Args;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What `once` takes.
#[derive(Debug, Args)]
pub(super) struct OnceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only the checks of this module; may be given several times.
    #[arg(long = "module", value_name = "ID")]
    modules: Vec<String>,
    /// Only this check; may be given several times.
    #[arg(long = "check", value_name = "MODULE/CHECK")]
    checks: Vec<String>,
    /// How the result is written: text, json, junit, markdown or html.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Write the result there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Judge windows over this history and add to it, instead of forgetting everything.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Put transcripts and what each judgement was made from into the JSON, so that it can be judged again.
    #[arg(long)]
    with_transcripts: bool,
    /// Show the text of sensitive findings.
    #[arg(long)]
    sensitive: bool,
}

/// Runs one iteration and reports it.
pub(super) async fn once(args: OnceArgs) -> Ending {
    if args.with_transcripts && args.format != Format::Json {
        return complain("--with-transcripts needs --format json");
    }
    let catalog = match args.config.load(Overrides::default()) {
        Ok(catalog) => Arc::new(catalog),
        Err(errors) => return complain(&errors.to_string()),
    };
    let stop = CancellationToken::new();
    let modules = args.modules.iter().cloned().map(Wanted::Module);
    let options = OnceOptions {
        wanted: modules.chain(args.checks.iter().cloned().map(Wanted::Check)).collect(),
        place: args.data_dir.clone().map_or(Place::Memory, Place::Folder),
        progress: std::io::stderr().is_terminal().then(|| Box::new(show) as _),
        stop: stop.clone(),
    };
    let signals = tokio::spawn(async move {
        signals::asked_to_stop(None).await;
        stop.cancel();
    });
    let iterated = once::once(catalog, options).await;
    signals.abort();
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
    match iterated {
        Ok(iterated) => report(&args, &iterated),
        Err(error) => complain(&error.to_string()),
    }
}

fn show(progress: Progress) {
    eprint!(
        "\r\x1b[2K{}/{} scenarios, last {}",
        progress.done, progress.all, progress.scenario
    );
}

fn report(args: &OnceArgs, iterated: &Iterated) -> Ending {
    let colour = if args.output.is_none() && std::io::stdout().is_terminal() {
        Colour::Ansi
    } else {
        Colour::Plain
    };
    let viewer = if args.sensitive {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    let mut text = report::render(&iterated.iteration.seen_by(viewer), args.format, colour);
    if args.with_transcripts {
        text = with_evidence(&text, iterated);
    }
    match &args.output {
        None => {
            say(&text);
        }
        Some(path) => {
            if let Err(error) = std::fs::write(path, text) {
                return complain(&format!("{} cannot be written: {error}", path.display()));
            }
        }
    }
    ending(&iterated.iteration)
}

/// The report's JSON with everything that judging again needs.
fn with_evidence(text: &str, iterated: &Iterated) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    let transcripts: Vec<_> = iterated.transcripts.iter().map(AsRef::as_ref).collect();
    document["judgements"] = json!(iterated.judgements);
    document["evidence"] = json!(transcripts);
    format!("{document:#}\n")
}

/// What the process ends with.
pub(super) fn ending(iteration: &Iteration) -> Ending {
    match iteration.exit_code() {
        0 => Ending::Well,
        1 => Ending::Failed,
        _ => Ending::Unknown,
    }
}
