//! The verdict table of the demonstration: redrawn in place on a terminal, one line for each change when piped. Pure but
//! for the writing.

use crate::record::live::{CheckStatus, Status};
use crate::verdict::Verdict;
use std::collections::BTreeMap;

/// Columns before the message: verdict, indent, id.
const BEFORE_MESSAGE: usize = 54;
/// Longest message on a line that is not on a terminal.
const MESSAGE_CHARS: usize = 160;

/// The room that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Lines.
    pub lines: usize,
    /// Columns.
    pub columns: usize,
}

impl Default for Screen {
    /// A terminal that does not say: everything is shown, and lines may wrap.
    fn default() -> Self {
        Self {
            lines: 200,
            columns: 160,
        }
    }
}

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
                    lines.push(
                        format!("{verdict:<8}{id:<58} {}", told(check, MESSAGE_CHARS))
                            .trim_end()
                            .to_owned(),
                    );
                }
            }
        }
        lines
    }
}

/// The whole table, with colours, as far as it fits: passing checks give way first.
pub fn whole(status: &Status, screen: Screen) -> String {
    let counts = status.summary.checks;
    let mut lines = vec![format!(
        "{}: {} pass, {} fail, {} unknown, {} off ({} not judged yet)",
        status.target, counts.pass, counts.fail, counts.unknown, counts.off, status.summary.pending
    )];
    let all = 1 + status.modules.len() + status.modules.iter().map(|module| module.checks.len()).sum::<usize>();
    let room = screen.columns.saturating_sub(BEFORE_MESSAGE);
    for module in &status.modules {
        lines.push(format!(
            "{} {:>2}. {}",
            coloured(Some(module.verdict)),
            module.number,
            module.title
        ));
        let fits = |check: &&CheckStatus| all <= screen.lines || check.verdict != Some(Verdict::Pass);
        lines.extend(module.checks.iter().filter(fits).map(|check| {
            let shown = format!("{}     {:<40} {}", coloured(check.verdict), check.id, told(check, room));
            shown.trim_end().to_owned()
        }));
    }
    if lines.len() > screen.lines {
        lines.truncate(screen.lines.saturating_sub(1));
        lines.push("…".to_owned());
    }
    lines.join("\n")
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
fn told(check: &CheckStatus, chars: usize) -> String {
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
        .take(chars)
        .collect();
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Severity;
    use crate::record::live::{ModuleStatus, Summary};

    fn status(verdicts: &[Option<Verdict>]) -> Status {
        let check = |(place, verdict): (usize, &Option<Verdict>)| CheckStatus {
            id: format!("c{place}"),
            title: String::new(),
            description: String::new(),
            severity: Severity::Info,
            verdict: *verdict,
            reason: None,
            since: None,
            last_pass_at: None,
            consecutive_failures: 0,
            judgement: None,
            sensitive: false,
        };
        Status {
            target: "t".to_owned(),
            environment: "e".to_owned(),
            started_at: String::new(),
            updated_at: String::new(),
            time_scale: 1.0,
            config_digest: String::new(),
            config_refused: None,
            summary: Summary::default(),
            modules: vec![ModuleStatus {
                number: 1,
                id: "m".to_owned(),
                title: "Module".to_owned(),
                verdict: Verdict::Fail,
                pass_ratio: None,
                coverage_ratio: None,
                checks: verdicts.iter().enumerate().map(check).collect(),
            }],
        }
    }

    #[test]
    fn only_changes_are_printed() {
        let mut changes = Changes::default();
        let lines = changes.lines(&status(&[Some(Verdict::Pass), None]));
        assert_eq!(lines, ["pass    m/c0"]);
        assert!(changes.lines(&status(&[Some(Verdict::Pass), None])).is_empty());
        let lines = changes.lines(&status(&[Some(Verdict::Fail), Some(Verdict::Off)]));
        assert_eq!(lines, ["fail    m/c0", "off     m/c1"]);
    }

    #[test]
    fn on_a_small_terminal_passing_checks_give_way() {
        let verdicts = [Some(Verdict::Pass), Some(Verdict::Fail), Some(Verdict::Pass), None];
        let table = |lines| whole(&status(&verdicts), Screen { lines, columns: 80 });
        assert_eq!(table(6).lines().count(), 6);
        let small = table(5);
        assert_eq!(small.lines().count(), 4);
        assert!(small.contains("c1") && small.contains("c3") && !small.contains("c0"));
        assert!(table(3).ends_with("…") && table(3).lines().count() == 3);
    }
}
