//! The iteration report in Markdown. What a target said stands in code spans only.

use super::findings::{Finding, findings};
use super::inert::{code, prose};
use super::{Counts, Iteration, ModuleResult, count, first_message, milliseconds, why_unknown};
use super::{beside, explained};
use crate::catalog::{Priority, Severity};
use crate::run::Judgement;
use crate::verdict::{UnknownReason, Verdict};
use std::fmt::Write as _;

/// Checks that are named one by one; further ones are counted.
const NAMED_MAX: usize = 12;

/// The iteration report.
pub fn markdown(iteration: &Iteration) -> String {
    let findings = findings(iteration);
    let mut out = String::new();
    header(iteration, &mut out);
    executive_summary(iteration, &findings, &mut out);
    results(iteration, &mut out);
    critical_findings(iteration, &findings, &mut out);
    beside::unknowns(iteration, &mut out);
    working(iteration, &mut out);
    performance(iteration, &mut out);
    beside::since(iteration, &mut out);
    explained::whys(&iteration.diagnosis, &mut out);
    actions(iteration, &findings, &mut out);
    next_steps(iteration, &findings, &mut out);
    beside::evidence(iteration, &mut out);
    out
}

/// Appends a line; writing into a String cannot fail.
macro_rules! put {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($words:tt)*) => {{ let _ = writeln!($out, $($words)*); }};
}

fn header(iteration: &Iteration, out: &mut String) {
    put!(out, "# Iteration report: {}", prose(&iteration.target));
    put!(out);
    put!(out, "**Date:** {}  ", prose(&iteration.started_at));
    put!(out, "**Environment:** {}  ", prose(&iteration.environment));
    put!(out, "**Duration:** {} s", (iteration.duration_s * 10.0).round() / 10.0);
}

fn executive_summary(iteration: &Iteration, findings: &[Finding], out: &mut String) {
    let summary = iteration.summary();
    let (checks, modules) = (summary.checks, summary.modules);
    put!(out, "\n## Executive summary\n");
    put!(
        out,
        "- **Total checks:** {}: {} passed, {} failed, {} unknown, {} off",
        checks.total(),
        checks.pass,
        checks.fail,
        checks.unknown,
        checks.off
    );
    let lead = iteration.diagnosis.lead();
    let title = lead.map(|cause| &cause.title);
    match title.or(findings.first().map(|worst| &worst.title)) {
        Some(title) => put!(out, "- **Critical finding:** {}", prose(title)),
        None if checks.unknown == 0 => put!(out, "- **Critical finding:** none"),
        None => put!(
            out,
            "- **Critical finding:** none seen, but {} could not be judged",
            count(checks.unknown, "check")
        ),
    }
    let judged = modules.total() - modules.off;
    let rate = (modules.pass * 100).checked_div(judged);
    let rate = rate.map_or_else(|| "none judged".to_owned(), |rate| format!("{rate} %"));
    put!(
        out,
        "- **Success rate:** {rate} of modules passing ({}/{judged}; {} failed, {} unknown, {} off)",
        modules.pass,
        modules.fail,
        modules.unknown,
        modules.off
    );
    let affected = titles(iteration, Verdict::Fail);
    if !affected.is_empty() {
        put!(out, "- **Affected:** {}", affected.join(", "));
    }
    match lead.and_then(|cause| cause.impact.as_ref()) {
        Some(impact) => put!(out, "- **Business impact:** {}", prose(impact)),
        None if affected.is_empty() => put!(out, "- **Business impact:** none known"),
        None => put!(
            out,
            "- **Business impact:** not stated, because no diagnosis rule names the cause"
        ),
    }
}

fn titles(iteration: &Iteration, verdict: Verdict) -> Vec<String> {
    let modules = iteration.modules.iter().filter(|module| module.verdict == verdict);
    modules.map(|module| prose(&module.title)).collect()
}

fn results(iteration: &Iteration, out: &mut String) {
    put!(out, "\n## Test execution results");
    let total = iteration.modules.len();
    for (heading, verdict) in [
        ("Successful modules", Verdict::Pass),
        ("Failed modules", Verdict::Fail),
        ("Modules not fully judged", Verdict::Unknown),
        ("Modules off", Verdict::Off),
    ] {
        let modules: Vec<_> = iteration
            .modules
            .iter()
            .filter(|module| module.verdict == verdict)
            .collect();
        if modules.is_empty() && verdict != Verdict::Pass && verdict != Verdict::Fail {
            continue;
        }
        put!(out, "\n### {heading} ({}/{total})\n", modules.len());
        if modules.is_empty() {
            put!(out, "None.");
        }
        for (place, module) in modules.into_iter().enumerate() {
            module_result(place + 1, module, out);
        }
    }
}

fn module_result(place: usize, module: &ModuleResult, out: &mut String) {
    let counts = Counts::of(module.checks.iter().map(|check| check.verdict));
    let said = match module.verdict {
        Verdict::Pass if counts.off == 0 => format!("all {} passed", counts.pass),
        _ => [
            (counts.pass, "passed"),
            (counts.fail, "failed"),
            (counts.unknown, "unknown"),
            (counts.off, "off"),
        ]
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect::<Vec<_>>()
        .join(", "),
    };
    put!(
        out,
        "{place}. {} **{}. {}** ({}): {said}",
        module.verdict.as_str().to_uppercase(),
        module.number,
        prose(&module.title),
        code(&module.id)
    );
    for check in &module.checks {
        check_result(check, out);
    }
}

/// A check that did not pass, with why; of one that passed only its notes.
fn check_result(check: &Judgement, out: &mut String) {
    match check.verdict {
        Verdict::Pass if check.notes.is_empty() => return,
        Verdict::Pass => put!(out, "   - PASS {}: {}", code(&check.id), prose(&check.title)),
        Verdict::Fail => {
            put!(out, "   - FAIL {}: {}", code(&check.id), prose(&check.title));
            for judged in check.expectations.iter().filter(|judged| judged.held == Some(false)) {
                put!(out, "     - Error: {}", code(&judged.message));
            }
            evidence(check, out);
        }
        Verdict::Unknown => {
            put!(out, "   - UNKNOWN {}: {}", code(&check.id), code(&why_unknown(check)));
        }
        Verdict::Off => put!(out, "   - OFF {}: {}", code(&check.id), code(first_message(check))),
    }
    for note in &check.notes {
        put!(out, "     - Note: {}", code(note));
    }
}

fn evidence(check: &Judgement, out: &mut String) {
    for read in &check.transcripts {
        put!(
            out,
            "     - Evidence: run {} of {}, {}",
            code(&read.run),
            code(&read.scenario),
            code(&read.entries.join(", "))
        );
    }
}

fn critical_findings(iteration: &Iteration, findings: &[Finding], out: &mut String) {
    put!(out, "\n## Critical findings");
    let causes = &iteration.diagnosis.causes;
    if findings.is_empty() && causes.is_empty() {
        put!(out, "\nNone.");
    }
    for (place, cause) in causes.iter().enumerate() {
        put!(out, "\n### {}. {}\n", place + 1, prose(&cause.title));
        explained::finding(cause, out);
    }
    for (place, finding) in findings.iter().enumerate() {
        let place = causes.len() + place + 1;
        put!(out, "\n### {place}. {}\n", prose(&finding.title));
        put!(out, "**Severity:** {}  ", finding.severity.as_str().to_uppercase());
        put!(out, "**First error:** {}", code(finding.says()));
        put!(out, "\n**Root cause indicators:**\n");
        for fact in finding.indicators(iteration) {
            put!(out, "- {}", prose(&fact));
        }
        put!(out, "\n**Checks:** {}", names(&finding.failing));
        if !finding.blocked.is_empty() {
            put!(out, "\n**Blocked by it:** {}", names(&finding.blocked));
        }
    }
}

fn names(checks: &[(&ModuleResult, &Judgement)]) -> String {
    let mut names: Vec<String> = checks
        .iter()
        .take(NAMED_MAX)
        .map(|(module, check)| code(&format!("{}/{}", module.id, check.id)))
        .collect();
    if let Some(more) = checks.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

fn working(iteration: &Iteration, out: &mut String) {
    put!(out, "\n## Working components\n");
    let mut any = false;
    for module in &iteration.modules {
        let passing: Vec<_> = module
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Pass)
            .map(|check| (module, check))
            .collect();
        if passing.is_empty() {
            continue;
        }
        any = true;
        if module.verdict == Verdict::Pass {
            put!(out, "- {} ({})", prose(&module.title), count(passing.len(), "check"));
        } else {
            put!(out, "- {}, in part: {}", prose(&module.title), names(&passing));
        }
    }
    if !any {
        put!(out, "None was seen working.");
    }
}

fn performance(iteration: &Iteration, out: &mut String) {
    if iteration.latency_targets.is_empty() {
        return;
    }
    put!(out, "\n## Performance metrics (95th percentile)\n");
    for result in &iteration.latency_targets {
        let measured = result
            .measured_ms
            .map_or_else(|| "not measured".to_owned(), milliseconds);
        let floor = result
            .floor_ms
            .map_or_else(String::new, |floor| format!(", network floor {}", milliseconds(floor)));
        put!(
            out,
            "- {}: {measured} (target: {}; {}{floor}) {}",
            prose(&result.title),
            milliseconds(result.target_ms),
            count(usize::try_from(result.samples).unwrap_or(usize::MAX), "sample"),
            result.verdict().as_str().to_uppercase()
        );
    }
}

/// What the diagnosis recommends, then where to look first for each finding.
fn actions(iteration: &Iteration, findings: &[Finding], out: &mut String) {
    put!(out, "\n## Recommended actions");
    if findings.is_empty() && iteration.diagnosis.causes.is_empty() {
        put!(out, "\nNone.");
    }
    for (priority, severity) in [
        (Priority::P0, Severity::Critical),
        (Priority::P1, Severity::Warning),
        (Priority::P2, Severity::Info),
    ] {
        let recommended = explained::actions(&iteration.diagnosis, priority);
        let mut texts: Vec<String> = recommended.into_iter().map(prose).collect();
        let of_severity = findings.iter().filter(|finding| finding.severity == severity);
        texts.extend(of_severity.map(|finding| format!("{}: {}", prose(&finding.title), prose(&finding.action()))));
        if !texts.is_empty() {
            put!(out, "\n### {}\n", explained::heading(priority));
        }
        for (place, text) in texts.iter().enumerate() {
            put!(out, "{}. {text}", place + 1);
        }
    }
}

fn next_steps(iteration: &Iteration, findings: &[Finding], out: &mut String) {
    put!(out, "\n## Next steps\n");
    let summary = iteration.summary();
    let mut steps = Vec::new();
    if !findings.is_empty() {
        steps.push(format!(
            "Work through the {} above, the first one first",
            count(findings.len(), "finding")
        ));
    }
    if summary.checks.unknown > 0 {
        let reasons: Vec<String> = UnknownReason::ALL
            .iter()
            .map(|reason| {
                let with = iteration.checks().filter(|(_, check)| check.reason == Some(*reason));
                (with.count(), reason)
            })
            .filter(|(number, _)| *number > 0)
            .map(|(number, reason)| format!("{number} {reason}"))
            .collect();
        steps.push(format!(
            "Make the {} judgeable ({}); until then they are not green",
            count(summary.checks.unknown, "unknown check"),
            reasons.join(", ")
        ));
    }
    steps.push(format!(
        "Run all {} again and compare",
        count(summary.checks.total(), "check")
    ));
    for (place, step) in steps.iter().enumerate() {
        put!(out, "{}. {}", place + 1, prose(step));
    }
}
