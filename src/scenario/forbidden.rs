//! What must never be sent, asked of what was computed; configuration has asked for what was written out.
//! Must not: change a request.

use crate::catalog::Forbidden;
use crate::failure::{Blame, Failure, Kind};
use crate::secret::Redactor;
use serde_json::Value;

/// Refuses a forbidden path.
///
/// # Errors
/// `step_invalid`, blamed on us, naming the rule.
pub(super) fn path(rules: &Forbidden, method: &str, path: &str) -> Result<(), Failure> {
    refuse("path", rules.path(method, path))
}

/// Refuses a header name with a forbidden word.
///
/// # Errors
/// As [`path`].
pub(super) fn header(rules: &Forbidden, name: &str) -> Result<(), Failure> {
    refuse("header word", rules.header(name))
}

/// Refuses a text with a forbidden word. Secrets are left out: a token may hold any word by chance.
///
/// # Errors
/// As [`path`].
pub(super) fn text(rules: &Forbidden, text: &str, redactor: &Redactor) -> Result<(), Failure> {
    refuse("word", rules.body(&redactor.text(text)))
}

/// Refuses JSON with a forbidden word in one of its strings.
///
/// # Errors
/// As [`path`].
pub(super) fn json(rules: &Forbidden, value: &Value, redactor: &Redactor) -> Result<(), Failure> {
    match value {
        Value::String(string) => text(rules, string, redactor),
        Value::Array(items) => items.iter().try_for_each(|item| json(rules, item, redactor)),
        Value::Object(members) => members.values().try_for_each(|member| json(rules, member, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn refuse(what: &str, rule: Option<&str>) -> Result<(), Failure> {
    rule.map_or(Ok(()), |rule| {
        let detail = format!("not sent: the forbidden {what} `{rule}` was computed");
        Err(Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_found_in_any_string_but_not_in_secrets() {
        let rules = Forbidden {
            body_words: vec!["test".to_owned()],
            ..Forbidden::default()
        };
        let redactor = Redactor::default();
        let refused = json(&rules, &json!({ "a": [{ "b": "a TEST" }] }), &redactor).unwrap_err();
        assert_eq!((refused.kind, refused.blame), (Kind::StepInvalid, Blame::Monitor));
        assert!(json(&rules, &json!({ "test": 1, "b": "fine" }), &redactor).is_ok());
        redactor.learn(&crate::secret::Secret::new("abctestdef"));
        assert!(text(&rules, "x abctestdef", &redactor).is_ok());
    }
}
