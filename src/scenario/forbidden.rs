//! What must never be sent, checked on what was computed; configuration has checked what was written out.
//! Must not: change a request.

use crate::catalog::Forbidden;
use crate::failure::{Blame, Failure, Kind};
use crate::secret::Redactor;
use serde_json::Value;

/// Refuses a path that the configuration forbids: a prefix, with or without a method before it.
///
/// # Errors
/// `step_invalid`, blamed on us, naming the rule.
pub(super) fn path(rules: &Forbidden, method: &str, path: &str) -> Result<(), Failure> {
    let hit = rules.paths.iter().find(|rule| match rule.split_once(' ') {
        Some((only, prefix)) => only.eq_ignore_ascii_case(method) && path.starts_with(prefix.trim()),
        None => path.starts_with(rule.as_str()),
    });
    hit.map_or(Ok(()), |rule| Err(refusal("path", rule)))
}

/// Refuses header names with forbidden words.
///
/// # Errors
/// As [`path`].
pub(super) fn header(rules: &Forbidden, name: &str) -> Result<(), Failure> {
    let name = name.to_ascii_lowercase();
    let hit = rules.header_words.iter().find(|word| name.contains(word.as_str()));
    hit.map_or(Ok(()), |word| Err(refusal("header word", word)))
}

/// Refuses texts with forbidden words. Secrets are left out: a token may contain any word by chance.
///
/// # Errors
/// As [`path`].
pub(super) fn text(rules: &Forbidden, text: &str, redactor: &Redactor) -> Result<(), Failure> {
    if rules.body_words.is_empty() {
        return Ok(());
    }
    let text = redactor.text(text).to_lowercase();
    let hit = rules.body_words.iter().find(|word| text.contains(word.as_str()));
    hit.map_or(Ok(()), |word| Err(refusal("word", word)))
}

/// Refuses JSON with forbidden words in one of its strings.
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

fn refusal(what: &str, rule: &str) -> Failure {
    let detail = format!("not sent: the forbidden {what} `{rule}` was computed");
    Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Forbidden {
        Forbidden {
            header_words: vec!["e2e".to_owned()],
            body_words: vec!["test".to_owned()],
            paths: vec!["/test/".to_owned(), "POST /auth/register".to_owned()],
            ..Forbidden::default()
        }
    }

    #[test]
    fn paths_are_prefixes_with_or_without_a_method() {
        assert!(path(&rules(), "GET", "/test/x").is_err());
        assert!(path(&rules(), "POST", "/auth/register?x").is_err());
        assert!(path(&rules(), "GET", "/auth/register").is_ok());
        assert!(path(&rules(), "GET", "/ws/test").is_ok());
    }

    #[test]
    fn words_are_found_in_any_string_but_not_in_secrets() {
        let redactor = Redactor::default();
        assert!(json(&rules(), &json!({ "a": [{ "b": "a TEST" }] }), &redactor).is_err());
        assert!(json(&rules(), &json!({ "test": 1, "b": "fine" }), &redactor).is_ok());
        redactor.learn(&crate::secret::Secret::new("abctestdef"));
        assert!(text(&rules(), "x abctestdef", &redactor).is_ok());
        assert!(header(&rules(), "X-E2E-Key").is_err());
    }
}
