//! What an iteration shows, in words that can be compared: every check that does not pass, and how.

use stagewatch::app::once::Iterated;
use stagewatch::run::Judgement;
use stagewatch::verdict::Verdict;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The checks (full ids) that do not pass, each with its outcome in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// By full id: `fail CLASS PHASE STATUS BLAME` or `unknown REASON`.
    pub outcomes: BTreeMap<String, String>,
    /// By full id of a failing check: the message of its first false expectation, without what changes from run to run.
    pub messages: BTreeMap<String, String>,
}

impl Seen {
    /// What `iterated` shows.
    pub fn of(iterated: &Iterated) -> Self {
        let mut seen = Self::default();
        for (module, check) in iterated.iteration.checks() {
            let id = format!("{}/{}", module.id, check.id);
            if let Some(outcome) = outcome(check) {
                seen.outcomes.insert(id.clone(), outcome);
            }
            if let Some(message) = message(check) {
                seen.messages.insert(id, message);
            }
        }
        seen
    }
}

/// How it does not pass, in one line; none when it passes.
pub fn outcome(check: &Judgement) -> Option<String> {
    match check.verdict {
        Verdict::Pass => None,
        Verdict::Off => Some("off".to_owned()),
        Verdict::Unknown => {
            let reason = check.reason.map_or("without a reason", |reason| reason.as_str());
            Some(format!("unknown {reason}"))
        }
        Verdict::Fail => {
            let failure = check.failure.as_ref().unwrap();
            let code = failure.status.or(failure.close_code);
            let code = code.map_or_else(|| "-".to_owned(), |code| code.to_string());
            let blame = check.blames.unwrap_or(failure.blame);
            Some(format!("fail {} {} {code} {blame}", failure.class, failure.phase))
        }
    }
}

/// The message of its first false expectation.
pub fn message(check: &Judgement) -> Option<String> {
    let broken = check.expectations.iter().find(|judged| judged.held == Some(false))?;
    Some(settled(&broken.message))
}

/// What stands for a text that changes from run to run.
const CHANGING: [(&str, &str); 5] = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "UUID"),
    (r"-?\d+\.\d+(e-?\d+)?", "N"),
    (r"\b(run_)?[0-9a-f]{12,}(_b)?\b", "ID"),
    (r"\b\d{5,}\b", "N"),
];

/// Most characters of a message that are compared and shown.
const MESSAGE_CHARS: usize = 150;

static PATTERNS: LazyLock<Vec<(regex::Regex, &str)>> = LazyLock::new(|| {
    CHANGING
        .iter()
        .map(|(pattern, stand_in)| (regex::Regex::new(pattern).unwrap(), *stand_in))
        .collect()
});

/// `message` on one line, bounded, without what changes from run to run.
pub fn settled(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let settled = PATTERNS.iter().fold(line, |text, (pattern, stand_in)| {
        pattern.replace_all(&text, *stand_in).into_owned()
    });
    settled.chars().take(MESSAGE_CHARS).collect()
}
