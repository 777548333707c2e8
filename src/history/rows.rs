//! What of a run is stored: rows, made without touching the store.

use super::sampling::Sampling;
use crate::clock;
use crate::limits::HISTORY_TRANSCRIPT_BYTES_MAX;
use crate::run::{Judgement, Measured, Run};
use crate::transcript::{HttpExchange, Observation, Transcript};
use crate::verdict::Verdict;
use serde_json::Value;
use url::Url;

/// Named base URLs, so that an answer can be filed under the name of its base.
#[derive(Clone, Debug, Default)]
pub struct Bases(pub Vec<(String, Url)>);

impl Bases {
    /// Those of a target, its sockets included.
    pub fn of(target: &crate::catalog::Target) -> Self {
        let sockets = target
            .sockets
            .iter()
            .map(|(name, socket)| (name.clone(), socket.url.clone()));
        let bases = target.bases.iter().map(|(name, url)| (name.clone(), url.clone()));
        Self(bases.chain(sockets).collect())
    }

    /// Name of the base of `url`: the first on the same host and port; empty if there is none.
    fn name(&self, url: &Url) -> &str {
        let same = |base: &Url| {
            base.host_str() == url.host_str() && base.port_or_known_default() == url.port_or_known_default()
        };
        self.0
            .iter()
            .find(|(_, base)| same(base))
            .map_or("", |(name, _)| name.as_str())
    }
}

/// One row to write.
#[derive(Clone, Debug)]
pub(super) enum Row {
    AlertFires {
        id: String,
        started: f64,
        severity: &'static str,
        owner: String,
        annotations: String,
        kept: String,
    },
    AlertEnded {
        id: String,
        ended: f64,
    },
    Sample {
        series: String,
        at: f64,
        value: String,
    },
    Run {
        id: String,
        scenario: String,
        at: f64,
        duration_ms: f64,
        broke: Option<(String, &'static str)>,
        transcript: String,
        /// Whether the transcript stays when the next one of its scenario comes.
        kept: bool,
    },
    Verdict {
        check: String,
        at: f64,
        verdict: &'static str,
        reason: Option<&'static str>,
        kind: Option<&'static str>,
        judgement: String,
        inputs: String,
        /// Whether the texts stay when the next ones of the check come.
        kept: bool,
        /// The runs it was judged with; their transcripts stay with it.
        runs: Vec<String>,
        duration_ms: f64,
    },
    Status {
        at: f64,
        base: String,
        path: String,
        status: u16,
        retry_after: Option<String>,
    },
    Handshake {
        pool: String,
        user: String,
        at: f64,
    },
    Rest {
        pool: String,
        user: String,
        until: f64,
    },
    RunCount {
        scenario: String,
        day: String,
    },
    Annotation {
        at: f64,
        text: String,
        version: Option<String>,
    },
    Maintenance {
        id: String,
        reason: String,
        modules: String,
        begins: f64,
        ends: f64,
    },
    Incident {
        id: String,
        opened_at: f64,
        closed_at: Option<f64>,
        incident: String,
        /// What it was judged from, when there is more than was stored before.
        evidence: Option<String>,
    },
    Iteration {
        at: f64,
        snapshot: String,
    },
}

/// The rows of a run.
pub(super) fn of(run: &Run, bases: &Bases, sampling: &mut Sampling) -> Vec<Row> {
    let mut rows = Vec::new();
    // What a run allowed to be judged is kept together with what it saw.
    let mut together = false;
    if let Some(transcript) = &run.transcript {
        let broke = transcript.broke_off.as_ref();
        let state = broke.map_or("", |broke| broke.failure.kind.as_str());
        together = sampling.keeps(&transcript.scenario, (state, broke.is_some()), run.at);
        rows.push(run_row(transcript, together));
        statuses(transcript, bases, &mut rows);
        for measured in &run.measures {
            samples(measured, run.at, &mut rows);
        }
    }
    for (judgement, inputs) in run.judgements.iter().zip(&run.inputs) {
        let check = format!("check {}/{}", judgement.module, judgement.id);
        let reason = judgement.reason.map_or("", |reason| reason.as_str());
        let fails = judgement.verdict == Verdict::Fail;
        let state = format!("{} {reason}", judgement.verdict);
        let kept = sampling.keeps(&check, (&state, fails || together), run.at);
        rows.push(verdict_row(judgement, inputs, (kept, run.at)));
    }
    rows
}

/// A measurement that gave a list is one sample an item; null is none.
fn samples(measured: &Measured, at: f64, rows: &mut Vec<Row>) {
    let values: Vec<String> = match &measured.value {
        Value::Null => return,
        Value::Array(items) => items.iter().map(ToString::to_string).collect(),
        value => vec![value.to_string()],
    };
    rows.extend(values.into_iter().map(|value| Row::Sample {
        series: measured.series.clone(),
        at,
        value,
    }));
}

fn run_row(transcript: &Transcript, kept: bool) -> Row {
    // Plain data with string keys always serialises.
    let mut text = serde_json::to_string(transcript).unwrap_or_default();
    if text.len() > HISTORY_TRANSCRIPT_BYTES_MAX {
        tracing::warn!(scenario = %transcript.scenario, bytes = text.len(), "history.transcript_too_large: entries left out");
        let mut short = transcript.clone();
        short.entries.clear();
        text = serde_json::to_string(&short).unwrap_or_default();
    }
    Row::Run {
        id: transcript.run.clone(),
        scenario: transcript.scenario.clone(),
        at: transcript.started_unix,
        duration_ms: transcript.duration_ms,
        broke: transcript
            .broke_off
            .as_ref()
            .map(|broke| (broke.step.clone(), broke.failure.kind.as_str())),
        transcript: text,
        kept,
    }
}

fn verdict_row(judgement: &Judgement, inputs: &Value, (kept, at): (bool, f64)) -> Row {
    let evidence = inputs["evidence"].as_object();
    let runs = evidence.into_iter().flat_map(serde_json::Map::values);
    Row::Verdict {
        check: format!("{}/{}", judgement.module, judgement.id),
        at,
        verdict: judgement.verdict.as_str(),
        reason: judgement.reason.map(|reason| reason.as_str()),
        kind: judgement.failure.as_ref().map(|failure| failure.kind.as_str()),
        judgement: serde_json::to_string(judgement).unwrap_or_default(),
        inputs: inputs.to_string(),
        kept,
        runs: runs.filter_map(|seen| Some(seen["run"].as_str()?.to_owned())).collect(),
        duration_ms: judgement.duration_ms,
    }
}

/// Answers of 400 and above in our own traffic.
fn statuses(transcript: &Transcript, bases: &Bases, rows: &mut Vec<Row>) {
    for entry in &transcript.entries {
        let http: &HttpExchange = match &entry.seen {
            Observation::Http(http) => http,
            Observation::Upgrade(upgrade) => &upgrade.http,
            Observation::Sse(sse) => &sse.http,
            _ => continue,
        };
        let Some(status) = http.status.filter(|status| *status >= 400) else {
            continue;
        };
        let url = Url::parse(&http.url).ok();
        rows.push(Row::Status {
            at: transcript.started_unix + entry.offset_ms / 1000.0,
            base: url.as_ref().map(|url| bases.name(url).to_owned()).unwrap_or_default(),
            path: url
                .as_ref()
                .map_or_else(|| http.url.clone(), |url| url.path().to_owned()),
            status,
            retry_after: http.headers.get("retry-after").cloned(),
        });
    }
}

/// Today's date as the journal writes it.
pub(super) fn today() -> String {
    clock::now().format("%Y-%m-%d").to_string()
}
