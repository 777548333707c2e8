//! What must never be sent: the rules, asked by the configuration for what is written out and by the runner for what is
//! computed. Pure.

use super::Forbidden;

impl Forbidden {
    /// The forbidden path that a request would meet. Queries count as part of the path; `*` in a rule is one segment.
    pub fn path(&self, method: &str, path: &str) -> Option<&str> {
        self.paths.iter().map(String::as_str).find(|rule| {
            let (rule_method, prefix) = rule
                .split_once(' ')
                .map_or((None, *rule), |(verb, rest)| (Some(verb), rest.trim()));
            rule_method.is_none_or(|verb| verb.eq_ignore_ascii_case(method)) && starts_with(path, prefix)
        })
    }

    /// The forbidden word that a header's name holds.
    pub fn header(&self, name: &str) -> Option<&str> {
        word_in(&self.header_words, name)
    }

    /// The forbidden word that a user agent holds.
    pub fn user_agent(&self, text: &str) -> Option<&str> {
        word_in(&self.user_agent_words, text)
    }

    /// The forbidden word that a string of a body holds.
    pub fn body(&self, text: &str) -> Option<&str> {
        word_in(&self.body_words, text)
    }
}

fn word_in<'words>(words: &'words [String], text: &str) -> Option<&'words str> {
    if words.is_empty() {
        return None;
    }
    let text = text.to_lowercase();
    words
        .iter()
        .map(String::as_str)
        .find(|word| text.contains(&word.to_lowercase()))
}

/// Whether `path` starts with `prefix`, segment by segment; the last segment of the prefix need not be whole.
fn starts_with(path: &str, prefix: &str) -> bool {
    let mut segments = path.split('/');
    let mut rules = prefix.split('/').peekable();
    while let Some(rule) = rules.next() {
        let Some(segment) = segments.next() else {
            return false;
        };
        let last = rules.peek().is_none();
        let fits = rule == "*" || segment == rule || (last && segment.starts_with(rule));
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden() -> Forbidden {
        Forbidden {
            header_words: vec!["test".into()],
            paths: ["/test/", "POST /auth/register", "/api/breakers/*/reset"]
                .map(str::to_owned)
                .to_vec(),
            ..Forbidden::default()
        }
    }

    #[test]
    fn paths_are_prefixes_with_an_optional_method() {
        let rules = forbidden();
        assert_eq!(rules.path("GET", "/test/gcp"), Some("/test/"));
        assert_eq!(rules.path("GET", "/testing"), None);
        assert_eq!(rules.path("post", "/auth/register?x"), Some("POST /auth/register"));
        assert_eq!(rules.path("GET", "/auth/register"), None);
        assert_eq!(
            rules.path("POST", "/api/breakers/llm/reset"),
            Some("/api/breakers/*/reset")
        );
        assert_eq!(rules.path("POST", "/api/breakers/llm"), None);
    }

    #[test]
    fn words_are_found_in_any_case() {
        assert_eq!(forbidden().header("X-E2E-Test"), Some("test"));
        assert_eq!(forbidden().header("X-Request-ID"), None);
    }
}
