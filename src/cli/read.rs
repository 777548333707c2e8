//! Commands that only read: `judge` judges stored evidence again, `history` prints what is stored.

use super::{ConfigArgs, Ending, complain, say};
use crate::app::rejudge::{Exported, StoredInputs, Transcripts, rejudge};
use crate::catalog::Catalog;
use crate::config::Overrides;
use crate::history::{HistoryError, IncidentFilter, Reader};
use crate::transcript::Transcript;
use crate::verdict::Verdict;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What `judge` takes.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What `once --format json --with-transcripts` wrote.
    #[arg(value_name = "FILE", required_unless_present = "data_dir")]
    file: Option<PathBuf>,
    /// Judge the newest stored verdicts of this history instead.
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    data_dir: Option<PathBuf>,
    /// Only this check, as MODULE/CHECK.
    #[arg(long, value_name = "MODULE/CHECK")]
    check: Option<String>,
    /// At most this many stored verdicts.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
}

/// What `history` takes.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The data directory of a daemon, which may be running.
    #[arg(long, value_name = "DIR", default_value = "data", env = "STAGEWATCH_DATA_DIR")]
    data_dir: PathBuf,
    /// What to print.
    #[arg(value_enum, default_value = "verdicts")]
    what: What,
    /// Only verdicts of this check, as MODULE/CHECK.
    #[arg(long, value_name = "MODULE/CHECK")]
    check: Option<String>,
    /// At most this many of the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    limit: u32,
    /// How: one JSON object a line.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: HistoryFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Verdicts with their judgements.
    Verdicts,
    /// Runs with their transcripts.
    Runs,
    /// Incidents with their diagnoses.
    Incidents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HistoryFormat {
    /// JSON lines.
    Jsonl,
}

/// What `once` exports, as far as judging again needs it.
#[derive(Deserialize)]
pub(super) struct Export {
    /// Every judgement with what it was made from.
    pub judgements: Vec<Exported>,
    /// From when on (seconds since 1970) the evidence explains what it was kept for; all of it, when left out.
    #[serde(default)]
    pub since: f64,
    /// What the scenarios saw.
    pub evidence: Vec<Transcript>,
}

/// Judges again and says of each check whether the verdict is the same.
pub(super) fn judge(args: &JudgeArgs) -> Ending {
    let catalog = match args.config.load(Overrides::default()) {
        Ok(catalog) => catalog,
        Err(errors) => return complain(&errors.to_string()),
    };
    let export = match (&args.file, &args.data_dir) {
        (Some(file), _) => from_file(file),
        (None, Some(folder)) => from_history(folder, args).map_err(|error| error.to_string()),
        (None, None) => Err("name a file or --data-dir".to_owned()),
    };
    match export.and_then(|export| judge_all(&catalog, args, export)) {
        Ok(ending) => ending,
        Err(error) => complain(&error),
    }
}

fn judge_all(catalog: &Catalog, args: &JudgeArgs, export: Export) -> Result<Ending, String> {
    let transcripts = Transcripts::new(export.evidence);
    let mut ending = Ending::Well;
    let mut lines = Vec::new();
    for stored in export.judgements {
        let id = format!("{}/{}", stored.judgement.module, stored.judgement.id);
        if args.check.as_ref().is_some_and(|wanted| *wanted != id) {
            continue;
        }
        let again = rejudge(catalog, &stored, &transcripts).map_err(|error| error.to_string())?;
        ending = worse(ending, again.verdict);
        let same = serde_json::to_string(&again).ok() == serde_json::to_string(&stored.judgement).ok();
        lines.push(json!({ "check": id, "verdict": again.verdict, "same": same, "judgement": again }).to_string());
    }
    if lines.is_empty() {
        return Err("nothing stored can be judged again".to_owned());
    }
    say(&lines.join("\n"));
    Ok(ending)
}

fn worse(ending: Ending, verdict: Verdict) -> Ending {
    match (ending, verdict) {
        (_, Verdict::Fail) | (Ending::Failed, _) => Ending::Failed,
        (_, Verdict::Unknown) => Ending::Unknown,
        (ending, Verdict::Pass | Verdict::Off) => ending,
    }
}

/// Reads what `once` exported.
pub(super) fn from_file(file: &Path) -> Result<Export, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| {
        format!(
            "{} is no iteration with transcripts ({error}); make one with `once --format json --with-transcripts`",
            file.display()
        )
    })
}

/// The newest stored verdicts whose evidence is still there.
fn from_history(folder: &Path, args: &JudgeArgs) -> Result<Export, HistoryError> {
    let reader = Reader::open(folder)?;
    let mut export = Export {
        since: 0.0,
        judgements: Vec::new(),
        evidence: Vec::new(),
    };
    for verdict in reader.verdicts(args.check.as_deref(), args.limit)? {
        let judgement = verdict.judgement.and_then(|text| serde_json::from_str(&text).ok());
        let Some(judgement) = judgement else { continue };
        let inputs: Option<StoredInputs> = verdict.inputs.and_then(|text| serde_json::from_str(&text).ok());
        let mut evidence: Vec<Option<Transcript>> = Vec::new();
        for run in inputs.iter().flat_map(StoredInputs::runs) {
            let stored = reader.run(run)?.and_then(|run| run.transcript);
            evidence.push(stored.and_then(|text| serde_json::from_str(&text).ok()));
        }
        // What went well is sampled: a verdict whose evidence was not kept cannot be judged again.
        if let Some(evidence) = evidence.into_iter().collect::<Option<Vec<_>>>() {
            export.evidence.extend(evidence);
            export.judgements.push(Exported { judgement, inputs });
        }
    }
    Ok(export)
}

/// Prints what is stored.
pub(super) fn history(args: &HistoryArgs) -> Ending {
    let HistoryFormat::Jsonl = args.format;
    match lines(args) {
        Ok(lines) => say(&lines.join("\n")),
        Err(error) => complain(&format!("{}: {error}", args.data_dir.display())),
    }
}

fn lines(args: &HistoryArgs) -> Result<Vec<String>, HistoryError> {
    let reader = Reader::open(&args.data_dir)?;
    let parsed = |text: Option<String>| text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    Ok(match args.what {
        What::Verdicts => reader
            .verdicts(args.check.as_deref(), args.limit)?
            .into_iter()
            .map(|stored| {
                json!({
                    "at": stored.at, "check": stored.check, "verdict": stored.verdict, "reason": stored.reason,
                    "judgement": parsed(stored.judgement),
                })
                .to_string()
            })
            .collect(),
        What::Incidents => {
            let filter = IncidentFilter {
                limit: args.limit,
                ..IncidentFilter::default()
            };
            let incidents = reader.incidents(&filter)?.into_iter().rev();
            let accounts = incidents.map(|incident| {
                let account = reader.account_of(incident)?;
                let mut line = json!(account.incident);
                line["marks"] = json!(account.marks);
                line["alerts"] = json!(account.alerts);
                Ok(line.to_string())
            });
            accounts.collect::<Result<_, HistoryError>>()?
        }
        What::Runs => reader
            .runs(args.limit)?
            .into_iter()
            .map(|stored| {
                json!({
                    "at": stored.at, "run": stored.id, "scenario": stored.scenario,
                    "transcript": parsed(stored.transcript),
                })
                .to_string()
            })
            .collect(),
    })
}
