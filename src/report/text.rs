//! A table for people. Verdicts are words; colour only when asked for.

use super::{Colour, Counts, Iteration, count, diagnosis_text, first_message, inert, milliseconds, why_unknown};
use crate::run::Judgement;
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// Columns of the longest verdict word.
const VERDICT_WIDTH: usize = 7;

/// The iteration as a table.
pub fn text(iteration: &Iteration, colour: Colour) -> String {
    let mut out = String::new();
    let width = iteration
        .checks()
        .map(|(_, check)| check.id.chars().count())
        .max()
        .unwrap_or_default();
    // Writing into a String cannot fail.
    let _ = writeln!(
        out,
        "{} ({})  {}  {} s",
        inert::line(&iteration.target),
        inert::line(&iteration.environment),
        iteration.started_at,
        (iteration.duration_s * 10.0).round() / 10.0
    );
    for module in &iteration.modules {
        let counts = Counts::of(module.checks.iter().map(|check| check.verdict));
        let _ = writeln!(
            out,
            "\n{} {:>2}  {}  ({})",
            word(module.verdict, colour),
            module.number,
            inert::line(&module.title),
            say(counts)
        );
        for check in &module.checks {
            let _ = writeln!(
                out,
                "{}     {:width$}  {}",
                word(check.verdict, colour),
                check.id,
                inert::line(&check.title)
            );
            details(check, &mut out);
        }
    }
    latency(iteration, colour, &mut out);
    if !iteration.diagnosis.causes.is_empty() {
        out.push('\n');
        out.push_str(&diagnosis_text(&iteration.diagnosis));
    }
    let summary = iteration.summary();
    let _ = writeln!(
        out,
        "\n{}: {}\n{}: {}",
        count(summary.modules.total(), "module"),
        say(summary.modules),
        count(summary.checks.total(), "check"),
        say(summary.checks)
    );
    out
}

fn word(verdict: Verdict, colour: Colour) -> String {
    let padded = format!("{:VERDICT_WIDTH$}", verdict.as_str().to_uppercase());
    let code = match (colour, verdict) {
        (Colour::Plain, _) => return padded,
        (Colour::Ansi, Verdict::Pass) => "32",
        (Colour::Ansi, Verdict::Fail) => "1;31",
        (Colour::Ansi, Verdict::Unknown) => "33",
        (Colour::Ansi, Verdict::Off) => "2",
    };
    format!("\u{1b}[{code}m{padded}\u{1b}[0m")
}

fn say(counts: Counts) -> String {
    format!(
        "{} pass, {} fail, {} unknown, {} off",
        counts.pass, counts.fail, counts.unknown, counts.off
    )
}

/// What does not hold, and the notes, one indented line each.
fn details(check: &Judgement, out: &mut String) {
    let indent = " ".repeat(VERDICT_WIDTH + 7);
    match check.verdict {
        Verdict::Fail => {
            for judged in check.expectations.iter().filter(|judged| judged.held == Some(false)) {
                let _ = writeln!(out, "{indent}{}", inert::line(&judged.message));
            }
        }
        Verdict::Unknown => {
            let _ = writeln!(out, "{indent}{}", inert::line(&why_unknown(check)));
        }
        Verdict::Off => {
            let _ = writeln!(out, "{indent}{}", inert::line(first_message(check)));
        }
        Verdict::Pass => {}
    }
    for note in &check.notes {
        let _ = writeln!(out, "{indent}note: {}", inert::line(note));
    }
}

fn latency(iteration: &Iteration, colour: Colour, out: &mut String) {
    let results = &iteration.latency_targets;
    if results.is_empty() {
        return;
    }
    let width = results
        .iter()
        .map(|result| result.title.chars().count())
        .max()
        .unwrap_or_default();
    let _ = writeln!(out, "\nLatency (95th percentile)");
    for result in results {
        let measured = result
            .measured_ms
            .map_or_else(|| "not measured".to_owned(), milliseconds);
        let floor = result
            .floor_ms
            .map_or_else(String::new, |floor| format!(", floor {}", milliseconds(floor)));
        let _ = writeln!(
            out,
            "{}     {:width$}  {measured} of {} ({}{floor})",
            word(result.verdict(), colour),
            inert::line(&result.title),
            milliseconds(result.target_ms),
            count(usize::try_from(result.samples).unwrap_or(usize::MAX), "sample")
        );
    }
}
