//! Evidence as rules read it: every entry of every transcript as a row that says where it comes from, by module, scenario and
//! step, and as lists; and every verdict. Pure.

use super::Evidence;
use crate::expression::{Scope, Shared};
use crate::run::Judgement;
use crate::transcript::{Entry, Observation, Transcript, entry_view};
use chrono::DateTime;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// The evidence, converted once.
pub(super) struct Rows {
    /// Variables by name.
    roots: BTreeMap<String, Shared>,
}

impl Rows {
    pub fn of(evidence: &Evidence) -> Self {
        let mut modules: BTreeMap<&str, Vec<(String, Shared)>> = BTreeMap::new();
        let mut lists: BTreeMap<&str, Vec<Shared>> = BTreeMap::new();
        for (transcript, is_newest) in in_order(evidence.transcripts) {
            let rows: Vec<(&Entry, Shared)> = transcript
                .entries
                .iter()
                .map(|entry| (entry, Shared::of(&row(transcript, entry))))
                .collect();
            for (entry, row) in &rows {
                let list = match entry.seen {
                    Observation::Upgrade(_) => Some("upgrades"),
                    Observation::Http(_) | Observation::Sse(_) => Some("requests"),
                    Observation::Received(_) => Some("sessions"),
                    _ => None,
                };
                for name in list.into_iter().chain(["rows"]) {
                    lists.entry(name).or_default().push(row.clone());
                }
            }
            if is_newest && let Some((module, name)) = transcript.scenario.split_once('/') {
                let seen = scenario(transcript, &rows);
                modules.entry(module).or_default().push((name.to_owned(), seen));
            }
        }
        let mut roots: BTreeMap<String, Shared> = modules
            .into_iter()
            .map(|(module, scenarios)| (module.to_owned(), Shared::map(scenarios)))
            .collect();
        for name in ["rows", "upgrades", "requests", "sessions"] {
            roots.insert(name.to_owned(), Shared::list(lists.remove(name).unwrap_or_default()));
        }
        let (verdicts, checks) = verdicts(evidence.judgements);
        roots.insert("verdicts".to_owned(), verdicts);
        roots.insert("checks".to_owned(), checks);
        Self { roots }
    }

    /// Sets every variable.
    pub fn bind(&self, scope: &mut Scope) {
        for (name, value) in &self.roots {
            scope.set_shared(name, value);
        }
    }
}

/// Every transcript by scenario and start, each with whether it is the newest of its scenario. Runs of one millisecond are told
/// apart by their ids, so that the order given does not count.
fn in_order(transcripts: &[Arc<Transcript>]) -> impl Iterator<Item = (&Transcript, bool)> {
    let mut ordered: Vec<&Transcript> = transcripts.iter().map(AsRef::as_ref).collect();
    ordered.sort_by_key(|one| (&one.scenario, &one.started_at, &one.run));
    let scenarios: Vec<&str> = ordered.iter().map(|one| one.scenario.as_str()).collect();
    let newest = move |place: usize| scenarios.get(place) != scenarios.get(place + 1);
    ordered
        .into_iter()
        .enumerate()
        .map(move |(place, one)| (one, newest(place)))
}

/// A scenario as a mapping: its steps, variables and captures, credentials, `run`, `nonce`, `started`.
fn scenario(transcript: &Transcript, rows: &[(&Entry, Shared)]) -> Shared {
    let mut members: BTreeMap<String, Shared> = BTreeMap::new();
    let mut set = |name: &str, value: &Value| {
        members.insert(name.to_owned(), Shared::of(value));
    };
    set("nonce", &Value::from(transcript.nonce.as_str()));
    set("started", &Value::from(transcript.started_unix));
    let broke_off = transcript.broke_off.as_ref();
    set(
        "run",
        &json!({
            "id": transcript.run,
            "trace_id": transcript.trace_id,
            "duration_ms": transcript.duration_ms,
            "broke_off": broke_off.map(|broke| json!({ "step": broke.step, "failure": broke.failure })),
        }),
    );
    for (name, value) in &transcript.vars {
        set(name, value);
    }
    for (name, facts) in &transcript.credentials {
        set(name, &serde_json::to_value(facts).unwrap_or_default());
    }
    let mut steps: BTreeMap<&str, Vec<(&Entry, &Shared)>> = BTreeMap::new();
    for (entry, row) in rows {
        steps.entry(&entry.id).or_default().push((entry, row));
    }
    for (step, mut seen) in steps {
        seen.sort_by(|(left, _), (right, _)| left.place.cmp(&right.place));
        let value = match seen.as_slice() {
            [(entry, row)] if entry.place.is_empty() => (*row).clone(),
            several => Shared::list(several.iter().map(|(_, row)| (*row).clone())),
        };
        members.insert(step.to_owned(), value);
    }
    Shared::map(members)
}

/// What an expression sees of an entry, and: `scenario` (`module/scenario`), `step`, `run`, `trace_id`, `request_id`,
/// `path` and `host` of the URL, `began` and `ended` (seconds since 1970) of the exchange, `skew_s` (the answer's `Date` before or after our clock); and where the entry has none,
/// `status` 0, `code` (of the close) 0, `layer`, `credential` and `problem` (kind of the failure) empty.
fn row(transcript: &Transcript, entry: &Entry) -> Value {
    let mut view = entry_view(entry);
    let Value::Object(fields) = &mut view else { return view };
    fields.insert("scenario".to_owned(), Value::from(transcript.scenario.as_str()));
    fields.insert("step".to_owned(), Value::from(entry.id.as_str()));
    fields.insert("run".to_owned(), Value::from(transcript.run.as_str()));
    fields.insert("trace_id".to_owned(), Value::from(transcript.trace_id.as_str()));
    let problem = entry.failure.as_ref().map_or("", |failure| failure.kind.as_str());
    fields.insert("problem".to_owned(), Value::from(problem));
    fields.insert("code".to_owned(), Value::from(close_code(entry)));
    for (name, empty) in [("status", json!(0)), ("layer", json!("")), ("credential", json!(""))] {
        fields.entry(name).or_insert(empty);
    }
    let exchange = match &entry.seen {
        Observation::Http(http) => Some(http),
        Observation::Sse(read) => Some(&read.http),
        Observation::Upgrade(upgrade) => Some(&upgrade.http),
        _ => None,
    };
    if let Some(exchange) = exchange {
        let url = Url::parse(&exchange.url).ok();
        let host = url.as_ref().and_then(|url| {
            Some(match url.port() {
                Some(port) => format!("{}:{port}", url.host_str()?),
                None => url.host_str()?.to_owned(),
            })
        });
        fields.insert("path".to_owned(), Value::from(url.as_ref().map_or("", Url::path)));
        fields.insert("host".to_owned(), Value::from(host.unwrap_or_default()));
        // The end of the step is the end of the exchange; what came before it (a login, a free place) is not.
        let ended = transcript.started_unix + (entry.offset_ms + entry.duration_ms) / 1000.0;
        fields.insert("began".to_owned(), Value::from(ended - exchange.total_ms / 1000.0));
        fields.insert("ended".to_owned(), Value::from(ended));
        let id = exchange.request_headers.get("x-request-id");
        fields.insert("request_id".to_owned(), Value::from(id.map_or("", String::as_str)));
        if let Some(date) = exchange.headers.get("date")
            && let Ok(date) = DateTime::parse_from_rfc2822(date)
        {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
            let skew = date.timestamp() as f64 - ended;
            fields.insert("skew_s".to_owned(), Value::from(skew));
        }
    }
    view
}

/// The close that ended the step's socket, 0 for none.
fn close_code(entry: &Entry) -> u16 {
    let close = match &entry.seen {
        Observation::Upgrade(upgrade) => upgrade.close.as_ref(),
        Observation::Received(received) => received.close.as_ref(),
        Observation::Closed(closed) => closed.answer.as_ref(),
        _ => None,
    };
    let failed = entry.failure.as_ref().and_then(|failure| failure.close_code);
    close.map(|close| close.code).or(failed).unwrap_or(0)
}

/// Verdicts as a list, and by module and check.
fn verdicts(judgements: &[&Judgement]) -> (Shared, Shared) {
    let mut list = Vec::new();
    let mut modules: BTreeMap<&str, Vec<(String, Shared)>> = BTreeMap::new();
    for judgement in judgements {
        let seen = Shared::of(&verdict(judgement));
        list.push(seen.clone());
        let of_module = modules.entry(&judgement.module).or_default();
        of_module.push((judgement.id.clone(), seen));
    }
    let modules = modules
        .into_iter()
        .map(|(module, checks)| (module.to_owned(), Shared::map(checks)));
    (Shared::list(list), Shared::map(modules))
}

/// A verdict: `check`, `module`, `verdict`, `reason`, `class`, `kind`, `phase`, `status`, `code`, `blames`, and `broken`, what
/// its false expectations say.
fn verdict(judgement: &Judgement) -> Value {
    let failure = judgement.failure.as_ref();
    let broken = judgement
        .expectations
        .iter()
        .filter(|judged| judged.held == Some(false));
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    set("check", json!(format!("{}/{}", judgement.module, judgement.id)));
    set("module", json!(judgement.module));
    set("verdict", json!(judgement.verdict));
    set("reason", json!(judgement.reason.map_or("", |reason| reason.as_str())));
    set("blames", json!(judgement.blames.map_or("", |blame| blame.as_str())));
    set("class", json!(failure.map_or("", |failure| failure.class.as_str())));
    set("kind", json!(failure.map_or("", |failure| failure.kind.as_str())));
    set("phase", json!(failure.map_or("", |failure| failure.phase.as_str())));
    set("status", json!(failure.and_then(|failure| failure.status).unwrap_or(0)));
    set(
        "code",
        json!(failure.and_then(|failure| failure.close_code).unwrap_or(0)),
    );
    set(
        "broken",
        broken.map(|judged| Value::from(judged.message.as_str())).collect(),
    );
    Value::Object(fields)
}
