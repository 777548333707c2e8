//! Functions on extracts of the ledger.

use super::{Answer, Arguments, answer, refuse, take};
use crate::expression::shared;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Instance ids that are start times may differ by this many seconds and still mean the same instance: they are computed
/// from rounded uptimes.
const SAME_START_S: f64 = 2.0;

/// `incidents(verdicts)`: for each check the runs from a fail to the next pass; `unknown` and `off` neither start nor end
/// one. `[{"check", "from", "to" (null while open), "failures", "kind" (of the first)}]`, ordered by `from`.
pub(super) fn incidents<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [verdicts] = take(arguments)?;
    let Value::Array(verdicts) = shared::json_of(verdicts.as_ref()) else {
        return refuse("incidents", "an extract of verdicts");
    };
    let mut found: Vec<Value> = Vec::new();
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for verdict in &verdicts {
        let check = verdict["check"].as_str().unwrap_or_default();
        match (verdict["verdict"].as_str(), open.get(check)) {
            (Some("fail"), Some(place)) => {
                let failures = found[*place]["failures"].as_u64().unwrap_or_default();
                found[*place]["failures"] = Value::from(failures + 1);
            }
            (Some("fail"), None) => {
                open.insert(check.to_owned(), found.len());
                found.push(json!({
                    "check": check, "from": verdict["at"], "to": null, "failures": 1, "kind": verdict["kind"],
                }));
            }
            (Some("pass"), Some(place)) => {
                found[*place]["to"] = verdict["at"].clone();
                open.remove(check);
            }
            _ => {}
        }
    }
    let from = |incident: &Value| incident["from"].as_f64().unwrap_or_default();
    found.sort_by(|left, right| from(left).total_cmp(&from(right)));
    answer(&Value::Array(found))
}

/// `restarts(series)`: the samples `{"at", "value"}` at which an instance was seen that is newer than all before: numbers
/// (start times) by more than two seconds, texts never seen before. `[{"at", "value", "before", "previous",
/// "gap_s"}]`: `before` and `previous` are time and value of the last sample before it. The first sample starts nothing.
pub(super) fn restarts<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [series] = take(arguments)?;
    let Value::Array(samples) = shared::json_of(series.as_ref()) else {
        return refuse("restarts", "an extract of a series");
    };
    let mut newest = f64::NEG_INFINITY;
    let mut seen: Vec<&str> = Vec::new();
    let mut previous: Option<&Value> = None;
    let mut found = Vec::new();
    for sample in &samples {
        let is_new = match &sample["value"] {
            Value::Number(start) => {
                let start = start.as_f64().unwrap_or(f64::NEG_INFINITY);
                let is_new = start > newest + SAME_START_S;
                newest = newest.max(start);
                is_new
            }
            Value::String(instance) => {
                let is_new = !seen.contains(&instance.as_str());
                seen.push(instance);
                is_new
            }
            _ => continue,
        };
        if let (true, Some(previous)) = (is_new, previous) {
            let gap = sample["at"].as_f64().unwrap_or_default() - previous["at"].as_f64().unwrap_or_default();
            found.push(json!({
                "at": sample["at"], "value": sample["value"], "before": previous["at"],
                "previous": previous["value"], "gap_s": gap,
            }));
        }
        previous = Some(sample);
    }
    answer(&Value::Array(found))
}
