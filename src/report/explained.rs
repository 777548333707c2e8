//! The diagnosis inside the iteration report and by itself: causes, whys, actions. What a target said stands in code spans
//! or is escaped.

use super::inert::{self, code, prose};
use crate::catalog::Priority;
use crate::diagnose::{Cause, Diagnosis, Quote};
use std::fmt::Write as _;

/// Appends a line; writing into a String cannot fail.
macro_rules! put {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($words:tt)*) => {{ let _ = writeln!($out, $($words)*); }};
}

/// The diagnosis alone, as Markdown.
pub fn diagnosis_markdown(diagnosis: &Diagnosis) -> String {
    let mut out = String::from("# Diagnosis\n");
    if diagnosis.causes.is_empty() {
        put!(out, "\nNo rule names a cause.");
        return out;
    }
    for (place, cause) in diagnosis.causes.iter().enumerate() {
        put!(out, "\n## {}. {}\n", place + 1, prose(&cause.title));
        finding(cause, &mut out);
    }
    whys(diagnosis, &mut out);
    put!(out, "\n## Recommended actions");
    for priority in Priority::ALL {
        let texts = actions(diagnosis, *priority);
        if !texts.is_empty() {
            put!(out, "\n### {}\n", heading(*priority));
        }
        for (place, text) in texts.iter().enumerate() {
            put!(out, "{}. {}", place + 1, prose(text));
        }
    }
    out
}

/// The diagnosis alone, for people at a terminal.
pub fn diagnosis_text(diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    if diagnosis.causes.is_empty() {
        put!(out, "Diagnosis: no rule names a cause");
    }
    for (place, cause) in diagnosis.causes.iter().enumerate() {
        put!(
            out,
            "{}Diagnosis {}: {} ({}, {})",
            if place == 0 { "" } else { "\n" },
            place + 1,
            inert::line(&cause.title),
            cause.severity,
            cause.rule
        );
        if let Some(impact) = &cause.impact {
            put!(out, "  impact: {}", inert::line(impact));
        }
        for indicator in &cause.indicators {
            put!(out, "  - {}", inert::line(indicator));
        }
        for quote in &cause.quotes {
            put!(out, "  evidence: {}{}", source(quote), inert::line(&quote.says));
            if let Some(log) = &quote.log {
                put!(out, "    log: {}", inert::line(log));
            }
        }
        for (number, why) in cause.whys.iter().enumerate() {
            put!(out, "  why {}: {}", number + 1, inert::line(&why.why));
            put!(out, "     answer: {}", inert::line(&why.answer));
            put!(out, "     evidence: {}", inert::line(&why.evidence));
        }
        put!(
            out,
            "  why {}: {}",
            cause.whys.len() + 1,
            inert::line(&cause.stops_at.why)
        );
        put!(
            out,
            "     not visible from outside; look here: {}",
            inert::line(&cause.stops_at.look)
        );
        for action in &cause.actions {
            put!(out, "  {}: {}", action.priority, inert::line(&action.text));
        }
    }
    out
}

fn source(quote: &Quote) -> String {
    if quote.of.is_empty() {
        return String::new();
    }
    format!("{} ", inert::line(&quote.of))
}

/// Severity, impact, indicators and evidence of one cause.
pub(super) fn finding(cause: &Cause, out: &mut String) {
    put!(out, "**Severity:** {}  ", cause.severity.as_str().to_uppercase());
    if let Some(impact) = &cause.impact {
        put!(out, "**Business impact:** {}  ", prose(impact));
    }
    put!(out, "**Diagnosis rule:** {}", code(&cause.rule));
    if !cause.indicators.is_empty() {
        put!(out, "\n**Root cause indicators:**\n");
    }
    for indicator in &cause.indicators {
        put!(out, "- {}", prose(indicator));
    }
    if !cause.quotes.is_empty() {
        put!(out, "\n**Evidence:**\n");
    }
    for quote in &cause.quotes {
        if quote.run.is_empty() {
            put!(out, "- {} {}", source_code(quote), code(&quote.says));
        } else {
            put!(
                out,
                "- {} (run {}, trace {}): {}",
                code(&quote.of),
                code(&quote.run),
                code(&quote.trace_id),
                code(&quote.says)
            );
        }
        if let Some(log) = &quote.log {
            put!(out, "  - Log: {}", code(log));
        }
    }
}

fn source_code(quote: &Quote) -> String {
    if quote.of.is_empty() {
        String::new()
    } else {
        format!("{}:", code(&quote.of))
    }
}

/// The chains of whys, one section a cause, each to where it leaves what can be seen.
pub(super) fn whys(diagnosis: &Diagnosis, out: &mut String) {
    for cause in diagnosis.causes.iter().filter(|cause| !cause.whys.is_empty()) {
        put!(out, "\n## Five whys: {}", prose(&cause.title));
        for (place, why) in cause.whys.iter().enumerate() {
            put!(out, "\n### Why {}: {}\n", place + 1, prose(&why.why));
            put!(out, "**Answer:** {}  ", prose(&why.answer));
            put!(out, "**Evidence:** {}", prose(&why.evidence));
        }
        let last = cause.whys.len() + 1;
        put!(out, "\n### Why {last}: {}\n", prose(&cause.stops_at.why));
        put!(out, "**Answer:** not visible from outside.  ");
        put!(out, "**Look here:** {}", prose(&cause.stops_at.look));
    }
}

/// What the causes recommend with `priority`, each text once, in order.
pub(super) fn actions(diagnosis: &Diagnosis, priority: Priority) -> Vec<&str> {
    let mut texts: Vec<&str> = Vec::new();
    let all = diagnosis.causes.iter().flat_map(|cause| &cause.actions);
    for action in all.filter(|action| action.priority == priority) {
        if !texts.contains(&action.text.as_str()) {
            texts.push(&action.text);
        }
    }
    texts
}

/// What a priority is called.
pub(super) fn heading(priority: Priority) -> &'static str {
    match priority {
        Priority::P0 => "Immediate (P0)",
        Priority::P1 => "Soon (P1)",
        Priority::P2 => "When there is time (P2)",
    }
}
