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

/// A judgement of a sensitive check without anything that was seen or said: verdict, reason, class and kind stay.
#[must_use]
pub fn withheld(judgement: &Judgement) -> Judgement {
    let mut shown = judgement.clone();
    shown.blocked_by = shown.blocked_by.map(|_| WITHHELD.to_owned());
    if let Some(failure) = &mut shown.failure {
        WITHHELD.clone_into(&mut failure.detail);
    }
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
