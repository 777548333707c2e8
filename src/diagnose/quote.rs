//! Rows of the evidence in one line each: what was asked, what came. No durations: the same event reads the same.

use super::Quote;
use crate::expression::{Expression, Scope};
use crate::limits::{QUOTED_CHARS_MAX, QUOTED_ROWS_MAX};
use serde_json::Value;

/// The rows that `expression` gives; one that cannot be had quotes nothing.
pub(super) fn quotes(expression: &Expression, scope: &Scope) -> Vec<Quote> {
    let rows = match expression.evaluate(scope) {
        Ok(Value::Array(rows)) => rows,
        Ok(row @ Value::Object(_)) => vec![row],
        _ => Vec::new(),
    };
    let mut quotes: Vec<Quote> = rows.iter().take(QUOTED_ROWS_MAX).map(quote).collect();
    let more = rows.len().saturating_sub(QUOTED_ROWS_MAX);
    if more > 0 {
        quotes.push(Quote {
            of: String::new(),
            run: String::new(),
            trace_id: String::new(),
            says: format!("and {more} more like these"),
            log: None,
        });
    }
    quotes
}

fn quote(row: &Value) -> Quote {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let of = match (text("scenario"), text("check")) {
        ("", check) => check.to_owned(),
        (scenario, _) => format!("{scenario}.{}", text("step")),
    };
    Quote {
        of,
        run: text("run").to_owned(),
        trace_id: text("trace_id").to_owned(),
        says: match text("kind") {
            "http" | "sse" => exchange(row),
            "upgrade" => upgrade(row),
            "received" => received(row),
            _ if row["verdict"].is_string() => verdict(row),
            _ => outcome(row).unwrap_or_else(|| "done".to_owned()),
        },
        log: None,
    }
}

fn verdict(row: &Value) -> String {
    let first = row["broken"].get(0).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", row["verdict"].as_str().unwrap_or_default(), bounded(first))
}

/// The failure of a row, if it has one.
fn outcome(row: &Value) -> Option<String> {
    let problem = row["problem"].as_str().filter(|problem| !problem.is_empty())?;
    let detail = row["failure"]["detail"].as_str().unwrap_or_default();
    Some(format!("{problem}: {}", bounded(detail)))
}

fn exchange(row: &Value) -> String {
    let with = match row["credential"].as_str() {
        None | Some("") => "without a credential".to_owned(),
        Some(credential) => format!("as {credential}"),
    };
    asked(row, &with)
}

fn upgrade(row: &Value) -> String {
    let with = match (row["token"].as_str(), row["transport"].as_str()) {
        (None | Some("none"), _) => "upgrade without a token".to_owned(),
        (Some(token), transport) => format!("upgrade with a token that is {token}, by {}", transport.unwrap_or("?")),
    };
    let mut said = asked(row, &with);
    if let Some(frame) = row["frames"].get(0).and_then(|frame| frame["text"].as_str()) {
        said.push_str(&format!("; first frame {}", bounded(frame)));
    }
    said.push_str(&closed(row));
    said
}

/// Method, path and status, with who answered and the beginning of an answer that is no success.
fn asked(row: &Value, with: &str) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let question = format!("{} {} ({with})", text("method"), text("path"));
    let status = row["status"].as_u64().unwrap_or_default();
    if status == 0 {
        let why = outcome(row).unwrap_or_else(|| "no status".to_owned());
        return format!("{question}: no answer, {why}");
    }
    let layer = match text("layer") {
        "" => String::new(),
        layer => format!(" by {layer}"),
    };
    let body = row["body"]["text"].as_str().unwrap_or_default();
    let body = match (status, body) {
        (101 | 200..=299, _) | (_, "") => String::new(),
        (_, body) => format!(": {}", bounded(body)),
    };
    format!("{question}: HTTP {status}{layer}{body}")
}

fn received(row: &Value) -> String {
    let frames = row["frames"].as_array().map_or(0, Vec::len);
    let came = match frames {
        1 => "1 frame".to_owned(),
        _ => format!("{frames} frames"),
    };
    let mut said = if row["matched"].as_bool() == Some(true) {
        format!("the frame waited for came, {came} in all")
    } else {
        format!("the frame waited for did not come, {came} in all")
    };
    if let Some(frame) = row["frames"].get(0).and_then(|frame| frame["text"].as_str()) {
        said.push_str(&format!(", first {}", bounded(frame)));
    }
    said.push_str(&closed(row));
    said
}

fn closed(row: &Value) -> String {
    match row["close"]["code"].as_u64() {
        Some(code) => format!(
            "; closed with {code} {}",
            bounded(row["close"]["reason"].as_str().unwrap_or_default())
        )
        .trim_end()
        .to_owned(),
        None => String::new(),
    }
}

/// One line of text, bounded.
fn bounded(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
