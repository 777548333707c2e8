//! `stagewatch bundle`: everything about one incident in one redacted file, which `judge` and `diagnose` read again. Reads
//! the history only.

use super::{Ending, complain, say};
use crate::history::Reader;
use crate::incident::Incident;
use crate::report::{inert_json, repeat};
use crate::sensitive::{Viewer, WITHHELD, shows};
use crate::transcript::Transcript;
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What `bundle` takes.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Id of the incident, as `stagewatch history incidents` prints it.
    incident: String,
    /// The data directory of a daemon, which may be running.
    #[arg(long, value_name = "DIR", default_value = "data", env = "STAGEWATCH_DATA_DIR")]
    data_dir: PathBuf,
    /// Where to write it instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take sensitive findings in.
    #[arg(long)]
    sensitive: bool,
}

/// Writes the bundle.
pub(super) fn bundle(args: &BundleArgs) -> Ending {
    let made = match made(args) {
        Ok(made) => inert_json(&made) + "\n",
        Err(error) => return complain(&format!("{}: {error}", args.data_dir.display())),
    };
    match &args.output {
        None => say(&made),
        Some(file) => match std::fs::write(file, made) {
            Ok(()) => Ending::Well,
            Err(error) => complain(&format!("{} cannot be written: {error}", file.display())),
        },
    }
}

fn made(args: &BundleArgs) -> Result<Value, String> {
    let reader = Reader::open(&args.data_dir).map_err(|error| error.to_string())?;
    let incident = reader.incident(&args.incident).map_err(|error| error.to_string())?;
    let incident = incident.ok_or_else(|| format!("there is no incident `{}`", args.incident))?;
    let viewer = if args.sensitive {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    if !shows(incident.sensitive, viewer) {
        return Err("the incident is sensitive; take it with --sensitive".to_owned());
    }
    let evidence = reader
        .incident_evidence(&args.incident)
        .map_err(|error| error.to_string())?;
    let evidence = evidence.ok_or("the evidence of this incident is not kept any more")?;
    let mut bundle: Value = serde_json::from_str(&evidence).map_err(|error| error.to_string())?;
    if viewer == Viewer::Anyone {
        without_sensitive(&mut bundle);
    }
    bundle["repeat"] = repeats(&incident, &bundle["evidence"]);
    let read = reader.account_of(incident);
    let account = read.map_err(|error| error.to_string())?.seen_by(viewer);
    bundle["incident"] = json!(account.incident);
    bundle["marks"] = json!(account.marks);
    bundle["alerts"] = json!(account.alerts);
    Ok(bundle)
}

/// Leaves out the judgements of sensitive checks and the runs that nobody else reads, and says so.
fn without_sensitive(bundle: &mut Value) {
    let texts = |name: &str| -> BTreeSet<String> {
        let texts = bundle[name].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (checks, scenarios) = (texts("sensitive"), texts("sensitive_scenarios"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |stored: &Value| {
        let judgement = &stored["judgement"];
        format!("{}/{}", text(&judgement["module"]), text(&judgement["id"]))
    };
    let mut left_out = BTreeMap::new();
    left_out.insert(
        "judgements",
        leave_out(&mut bundle["judgements"], |one| checks.contains(&of(one))),
    );
    left_out.insert(
        "evidence",
        leave_out(&mut bundle["evidence"], |seen| {
            scenarios.contains(&text(&seen["scenario"]))
        }),
    );
    bundle["left_out"] = json!({ "counts": left_out, "scenarios": scenarios, "checks": checks, "why": WITHHELD });
}

/// Takes the items out of a list for which `secret` holds; gives how many.
fn leave_out(list: &mut Value, secret: impl Fn(&Value) -> bool) -> usize {
    let Some(items) = list.as_array_mut() else { return 0 };
    let before = items.len();
    items.retain(|item| !secret(item));
    before - items.len()
}

/// How to repeat each step of the first bad run and of the last good one.
fn repeats(incident: &Incident, evidence: &Value) -> Value {
    let runs: Vec<&str> = [&incident.first_bad, &incident.last_good]
        .into_iter()
        .flatten()
        .map(|seen| seen.run.as_str())
        .collect();
    let transcripts: Vec<Transcript> = serde_json::from_value(evidence.clone()).unwrap_or_default();
    let of_runs = transcripts
        .iter()
        .filter(|transcript| runs.contains(&transcript.run.as_str()));
    let lines = of_runs.flat_map(|transcript| {
        transcript.entries.iter().filter_map(|entry| {
            Some(json!({
                "scenario": transcript.scenario, "run": transcript.run, "step": entry.id, "line": repeat(entry)?,
            }))
        })
    });
    lines.collect()
}
