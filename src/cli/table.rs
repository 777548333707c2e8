//! The verdict table of the demonstration: redrawn in place on a terminal, one line for each change when piped. Pure but
//! for the writing.

use crate::record::live::{CheckStatus, Status};
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest message shown on one line.
const MESSAGE_CHARS: usize = 110;

/// Keeps what was printed, so that only changes are.
#[derive(Default)]
pub struct Changes {
    printed: BTreeMap<String, (Verdict, Option<&'static str>)>,
}

impl Changes {
    /// One line for each check whose verdict or reason has changed since the last call.
    pub fn lines(&mut self, status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        for module in &status.modules {
            for check in &module.checks {
                let Some(verdict) = check.verdict else { continue };
                let now = (verdict, check.reason.map(|reason| reason.as_str()));
                let id = format!("{}/{}", module.id, check.id);
                if self.printed.insert(id.clone(), now) != Some(now) {
                    lines.push(format!("{verdict:<8}{id:<58} {}", told(check)));
                }
            }
        }
        lines
    }
}

/// The whole table, with colours, for a terminal of `height` lines.
pub fn whole(status: &Status, height: usize) -> String {
    let mut table = String::new();
    let counts = status.summary.checks;
    // Writing to a String cannot fail.
    let _ = writeln!(
        table,
        "{}: {} pass, {} fail, {} unknown, {} off ({} not judged yet), updated {}",
        status.target, counts.pass, counts.fail, counts.unknown, counts.off, status.summary.pending, status.updated_at
    );
    for module in &status.modules {
        let _ = writeln!(
            table,
            "{} {:>2}. {}",
            coloured(Some(module.verdict)),
            module.number,
            module.title
        );
        for check in &module.checks {
            let _ = writeln!(
                table,
                "{}     {:<40} {}",
                coloured(check.verdict),
                check.id,
                told(check)
            );
        }
    }
    fit(&table, height)
}

/// Leaves out passing checks when the terminal is too small for all, then whatever does not fit.
fn fit(table: &str, height: usize) -> String {
    let lines: Vec<&str> = table.lines().collect();
    if lines.len() <= height {
        return table.to_owned();
    }
    let passing = coloured(Some(Verdict::Pass));
    let important = lines
        .iter()
        .filter(|line| !(line.starts_with(&passing) && line.contains("\x1b[0m     ")));
    let mut shown: Vec<&str> = important.copied().take(height.saturating_sub(1)).collect();
    shown.push("(passing checks are left out: the terminal is too small)");
    shown.join("\n") + "\n"
}

fn coloured(verdict: Option<Verdict>) -> String {
    let (colour, word) = match verdict {
        Some(Verdict::Pass) => ("32", "pass"),
        Some(Verdict::Fail) => ("1;31", "FAIL"),
        Some(Verdict::Unknown) => ("35", "unknown"),
        Some(Verdict::Off) => ("2", "off"),
        None => ("2", "…"),
    };
    format!("\x1b[{colour}m{word:<8}\x1b[0m")
}

/// The reason and the first thing that a judgement says, on one line.
fn told(check: &CheckStatus) -> String {
    let message = check.judgement.as_ref().and_then(|judgement| {
        let said = judgement
            .expectations
            .iter()
            .find(|expectation| expectation.held != Some(true) && !expectation.message.is_empty());
        said.map(|expectation| expectation.message.clone())
            .or_else(|| judgement.blocked_by.clone())
    });
    let message = message
        .filter(|_| check.verdict != Some(Verdict::Pass))
        .unwrap_or_default();
    let reason = check.reason.map(|reason| format!("[{reason}] ")).unwrap_or_default();
    let line: String = format!("{reason}{message}")
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MESSAGE_CHARS)
        .collect();
    line
}
