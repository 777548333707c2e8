//! Sensitive findings: an authentication that lets anybody in, say. Callers without a token learn that there is one, how bad
//! it is and where to read it, and nothing else. This is the one place that decides what stays.

use crate::run::{Judged, Judgement};

/// Who looks at what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Anybody who can reach the listener: sensitive texts are left out.
    Anyone,
    /// Somebody with the API token.
    Operator,
}

/// What is said instead of a text.
pub const WITHHELD: &str =
    "sensitive: its text is shown only to callers with the API token, and by commands with --sensitive";

/// Whether `viewer` reads what a check or rule says that is `sensitive` or is not. Alerts, page, API, reports and bundles all
/// ask here; an alert is for [`Viewer::Anyone`], since whoever gets the notification reads it.
pub const fn shows(sensitive: bool, viewer: Viewer) -> bool {
    !sensitive || matches!(viewer, Viewer::Operator)
}

/// A judgement of a sensitive check without anything that was seen or said: the verdict stays, and the reason why it is unknown.
#[must_use]
pub fn withheld(judgement: &Judgement) -> Judgement {
    let mut shown = judgement.clone();
    shown.blocked_by = shown.blocked_by.map(|_| WITHHELD.to_owned());
    // Its kind alone would tell: "a credential that must be refused is let in".
    shown.failure = None;
    for judged in &mut shown.expectations {
        *judged = Judged {
            part: String::new(),
            that: String::new(),
            held: judged.held,
            message: if judged.message.is_empty() {
                String::new()
            } else {
                WITHHELD.to_owned()
            },
            values: Vec::new(),
        };
    }
    shown.notes.clear();
    shown.transcripts.clear();
    shown.extracts.clear();
    shown
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_was_seen_or_said_stays() {
        let secret = "anybody is let in";
        let judgement: Judgement = serde_json::from_value(json!({
            "module": "m", "id": "c", "title": "Who is let in", "at": "", "verdict": "fail", "blocked_by": secret,
            "failure": { "class": "auth", "kind": "auth_accepted", "phase": "judge", "blame": "target", "detail": secret },
            "expectations": [
                { "that": secret, "held": false, "message": secret, "values": [{ "expression": secret, "value": secret }] },
                { "that": secret, "held": true, "message": "" },
            ],
            "notes": [secret], "transcripts": [{ "scenario": secret, "run": "r", "entries": [] }],
            "extracts": [{ "part": 0, "name": "x", "value": secret }], "duration_ms": 1.0,
        }))
        .unwrap();
        let shown = withheld(&judgement);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.contains(secret) && !text.contains("auth_accepted"), "{text}");
        assert_eq!(
            (shown.verdict, shown.title.as_str()),
            (judgement.verdict, "Who is let in")
        );
        assert_eq!(shown.expectations[0].message, WITHHELD);
        assert_eq!(shown.expectations[1].held, Some(true));
    }
}
