//! `stagewatch diagnose`: the diagnosis rules over stored evidence. Reads one file; touches no target.

use super::read::from_file;
use super::{ConfigArgs, Ending, complain, say};
use crate::app::explain::explain;
use crate::config::Overrides;
use crate::diagnose::{Diagnosis, since};
use crate::report::{diagnosis_markdown, diagnosis_text};
use crate::run::Judgement;
use crate::sensitive::Viewer;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// What `diagnose` takes.
#[derive(Debug, Args)]
pub(super) struct DiagnoseArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What `once --format json --with-transcripts` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How the diagnosis is written.
    #[arg(long, value_enum, default_value = "text")]
    format: DiagnosisFormat,
    /// Show the text of sensitive findings.
    #[arg(long)]
    sensitive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiagnosisFormat {
    /// For people at a terminal.
    Text,
    /// For people elsewhere.
    Markdown,
    /// For programs.
    Json,
}

/// Says what the rules of the configuration make of the evidence.
pub(super) fn diagnose(args: &DiagnoseArgs) -> Ending {
    let catalog = match args.config.load(Overrides::default()) {
        Ok(catalog) => catalog,
        Err(errors) => return complain(&errors.to_string()),
    };
    let export = match from_file(&args.file) {
        Ok(export) => export,
        Err(error) => return complain(&error),
    };
    let evidence: Vec<_> = export.evidence.into_iter().map(Arc::new).collect();
    let transcripts = since(&evidence, export.since);
    let judgements: Vec<&Judgement> = export.judgements.iter().map(|stored| &stored.judgement).collect();
    let diagnosis = explain(&catalog, &transcripts, &judgements);
    let viewer = if args.sensitive {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    let shown = diagnosis.seen_by(viewer);
    say(&written(&shown, args.format))
}

fn written(diagnosis: &Diagnosis, format: DiagnosisFormat) -> String {
    match format {
        DiagnosisFormat::Text => diagnosis_text(diagnosis),
        DiagnosisFormat::Markdown => diagnosis_markdown(diagnosis),
        // Plain data with text keys always serialises.
        DiagnosisFormat::Json => serde_json::to_string_pretty(diagnosis).unwrap_or_default(),
    }
}
