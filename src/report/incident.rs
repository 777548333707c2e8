//! One incident as Markdown: what failed, what changed, what people said and were told meanwhile, what the target's own log
//! says, and the diagnosis. Pure. What a target said stands in code spans or is escaped.

use super::explained::{actions, finding, heading, whys};
use super::inert::{code, prose};
use crate::catalog::Priority;
use crate::clock::rfc3339_of;
use crate::history::Account;
use crate::incident::{Incident, Seen, TargetLog};
use std::fmt::Write as _;

/// Appends a line; writing into a String cannot fail.
macro_rules! put {
    ($out:expr, $($words:tt)*) => {{ let _ = writeln!($out, $($words)*); }};
}

/// The account of an incident, as it is at `now` (seconds since 1970).
pub fn incident_markdown(account: &Account, now: f64) -> String {
    let incident = &account.incident;
    let mut out = format!("# Incident {}: {}\n\n", code(&incident.id), prose(&incident.title));
    put!(out, "**Severity:** {}  ", incident.severity.as_str().to_uppercase());
    put!(out, "**Opened:** {}  ", rfc3339_of(incident.opened_at));
    let closed = incident.closed_at.map_or_else(|| "open".to_owned(), rfc3339_of);
    put!(out, "**Closed:** {closed}  ");
    put!(out, "**Duration:** {:.0} s  ", incident.duration_s(now));
    put!(out, "**First failure:** {}", code(&incident.failure.to_string()));
    members(incident, &mut out);
    changes(incident, &mut out);
    told(account, &mut out);
    if let Some(log) = &incident.target_log {
        target_log(log, &mut out);
    }
    for (place, cause) in incident.diagnosis.causes.iter().enumerate() {
        put!(out, "\n## Diagnosis {}: {}\n", place + 1, prose(&cause.title));
        finding(cause, &mut out);
    }
    if incident.diagnosis.causes.is_empty() {
        put!(out, "\n## Diagnosis\n\nNo rule names a cause.");
    }
    whys(&incident.diagnosis, &mut out);
    for priority in Priority::ALL {
        let texts = actions(&incident.diagnosis, *priority);
        if !texts.is_empty() {
            put!(out, "\n## {}\n", heading(*priority));
        }
        for (place, text) in texts.iter().enumerate() {
            put!(out, "{}. {}", place + 1, prose(text));
        }
    }
    out
}

fn members(incident: &Incident, out: &mut String) {
    put!(out, "\n## What failed\n");
    for member in &incident.members {
        let until = member
            .until
            .map_or_else(|| "fails".to_owned(), |until| format!("until {}", rfc3339_of(until)));
        put!(
            out,
            "- {} {} since {}, {until}: {}",
            member.kind,
            code(&member.name),
            rfc3339_of(member.since),
            code(&member.says)
        );
    }
    if !incident.blocked.is_empty() {
        let blocked: Vec<String> = incident.blocked.iter().map(|check| code(check)).collect();
        put!(out, "\nLeft unknown: {}", blocked.join(", "));
    }
}

fn changes(incident: &Incident, out: &mut String) {
    put!(out, "\n## What changed\n");
    let seen = |seen: &Option<Seen>| {
        seen.as_ref().map_or_else(
            || "none".to_owned(),
            |seen| {
                format!(
                    "{} at {}, run {}, trace {}",
                    code(&seen.scenario),
                    seen.at,
                    code(&seen.run),
                    code(&seen.trace_id)
                )
            },
        )
    };
    put!(out, "- Last good: {}", seen(&incident.last_good));
    put!(out, "- First bad: {}", seen(&incident.first_bad));
    if let Some(log) = incident.first_bad.as_ref().and_then(|bad| bad.log.as_ref()) {
        put!(out, "- Log of the first bad run: {}", code(log));
    }
    for change in &incident.changes {
        put!(
            out,
            "- {}: {} → {}",
            prose(&change.what),
            code(&change.from),
            code(&change.to)
        );
    }
}

/// What people said and what they were told.
fn told(account: &Account, out: &mut String) {
    if !account.marks.is_empty() {
        put!(out, "\n## Deploys and other marks\n");
    }
    for mark in &account.marks {
        let version = mark
            .version
            .as_ref()
            .map_or_else(String::new, |version| format!(" (version {})", code(version)));
        put!(out, "- {}: {}{version}", rfc3339_of(mark.at), code(&mark.text));
    }
    if !account.alerts.is_empty() {
        put!(out, "\n## Alerts\n");
    }
    for alert in &account.alerts {
        let ended = alert
            .ended
            .map_or_else(|| "fires".to_owned(), |ended| format!("until {}", rfc3339_of(ended)));
        let says = alert
            .annotations
            .get("description")
            .map_or_else(String::new, |says| format!(": {}", code(says)));
        put!(
            out,
            "- {} since {}, {ended}{says}",
            code(alert.id.name.as_str()),
            rfc3339_of(alert.started)
        );
    }
}

fn target_log(log: &TargetLog, out: &mut String) {
    put!(out, "\n## The target's own log\n");
    if let Some(unread) = &log.unread {
        put!(out, "It could not be read: {}", prose(unread));
    } else if log.entries.is_empty() {
        put!(out, "It has no errors of that time.");
    }
    for entry in &log.entries {
        put!(
            out,
            "- {} {}: {}",
            code(&entry.at),
            code(&entry.severity),
            code(&entry.text)
        );
    }
}
