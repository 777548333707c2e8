//! Replaces every occurrence of a learned secret, and everything shaped like a JWT, before bytes enter a transcript.
//! Owns: what has been learned. Must not: store or print a secret, or do IO.

use super::forms::forms;
use super::names::{
    redact_header, redact_member, redact_members, redact_query, secrets_in_header, secrets_in_json, secrets_in_query,
};
use super::sanitise::{char_start, cut, sanitise_line, sanitise_text};
use super::{Secret, forms::FORM_BYTES_MIN};
use aho_corasick::{AhoCorasick, Input, MatchKind};
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};
use url::Url;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shortest value that is learned because of its name.
const NAMED_BYTES_MIN: usize = 8;

/// A JWT (three or more base64url parts, the first one an encoded `{"`), or base64 of one.
#[expect(clippy::expect_used, reason = "the pattern is a constant, compiled by the tests")]
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]{4,})+(?:\.[A-Za-z0-9_-]*)?|ZXlK[A-Za-z0-9+/_-]{40,}={0,2}")
        .expect("constant pattern")
});
/// The same, cut anywhere by the end of what was read.
#[expect(clippy::expect_used, reason = "the pattern is a constant, compiled by the tests")]
static SHAPE_CUT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:eyJ[A-Za-z0-9_.-]{4,}|ZXlK[A-Za-z0-9+/_-]{4,})$").expect("constant pattern"));

/// An e-mail address: personal data that no judgement needs (checks.md section 2).
#[expect(clippy::expect_used, reason = "the pattern is a constant, compiled by the tests")]
static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}").expect("constant pattern"));

/// Knows the secrets of the process (shared) and of one run, and takes them out of text. Clones of one redactor share what
/// they learn; [`Redactor::for_run`] makes one that learns apart.
#[derive(Clone, Default)]
pub struct Redactor {
    base: Arc<Needles>,
    run: Arc<RwLock<Arc<Needles>>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// A redactor that knows `secrets` for as long as it lives.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut base = Needles::default();
        secrets.into_iter().for_each(|secret| base.add(secret));
        Self {
            base: Arc::new(base),
            run: Arc::default(),
        }
    }

    /// A redactor with the same long-lived secrets, and nothing of what other runs have learned.
    #[must_use]
    pub fn for_run(&self) -> Self {
        Self {
            base: Arc::clone(&self.base),
            run: Arc::default(),
        }
    }

    /// Takes out `secret` from now on, in every clone of this redactor.
    pub fn learn(&self, secret: &Secret) {
        let mut run = self.run.write().unwrap_or_else(PoisonError::into_inner);
        if self.base.knows(secret) || run.knows(secret) {
            return;
        }
        let mut more = Needles {
            forms: run.forms.clone(),
            automaton: OnceLock::new(),
        };
        more.add(secret);
        *run = Arc::new(more);
    }

    /// Learns what our own request names as credentials (headers, query parameters, members of a JSON body), because a
    /// target may give them back anywhere. Values of less than 8 bytes are hidden by name only: they are too common.
    pub fn learn_request<'a>(
        &self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        query: Option<&str>,
        body: Option<&Value>,
    ) {
        let mut found: Vec<&str> = query.map(secrets_in_query).unwrap_or_default();
        for (name, value) in headers {
            found.extend(secrets_in_header(&name.to_ascii_lowercase(), value));
        }
        if let Some(body) = body {
            secrets_in_json(body, &mut found);
        }
        for value in found.into_iter().filter(|value| value.len() >= NAMED_BYTES_MIN) {
            self.learn(&Secret::new(value));
        }
    }

    /// `text` without secrets and e-mail addresses; borrowed when there were none.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut spans = self.secrets_in(text);
        if text.contains('@') {
            spans.extend(EMAIL.find_iter(text).map(|found| found.range()));
        }
        if spans.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(replace(text, spans))
        }
    }

    /// Whether `text` holds a learned secret or a JWT.
    pub fn holds_secret(&self, text: &str) -> bool {
        !self.secrets_in(text).is_empty()
    }

    fn secrets_in(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = SHAPE.find_iter(text).map(|found| found.range()).collect();
        let run = Arc::clone(&self.run.read().unwrap_or_else(PoisonError::into_inner));
        self.base.find(text, &mut spans);
        run.find(text, &mut spans);
        spans
    }

    /// Like [`Redactor::text`], for a text that ends where we stopped reading: a secret cut by the end is taken out too.
    pub fn cut_text(&self, text: &str) -> String {
        let mut clean = self.text(text).into_owned();
        if let Some(tail) = SHAPE_CUT.find(&clean) {
            clean.truncate(tail.start());
            clean.push_str(REDACTED);
        }
        let run = Arc::clone(&self.run.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(at) = self.base.cut_at(&clean).into_iter().chain(run.cut_at(&clean)).min() {
            clean.truncate(at);
            clean.push_str(REDACTED);
        }
        clean
    }

    /// One harmless line: redacted, control characters visible, at most `bytes_max` bytes.
    pub fn line(&self, text: &str, bytes_max: usize) -> String {
        let clean = sanitise_line(&self.text(text));
        cut(&clean, bytes_max).to_owned()
    }

    /// A harmless text of several lines: redacted, control characters but line breaks and tabs visible, at most `bytes_max` bytes.
    pub fn excerpt(&self, text: &str, bytes_max: usize) -> String {
        let clean = sanitise_text(&self.text(text));
        cut(&clean, bytes_max).to_owned()
    }

    /// Whether header `name` with `value` carries a credential, by its name or by its content.
    pub fn holds_secret_header(&self, name: &str, value: &str) -> bool {
        redact_header(&name.to_ascii_lowercase(), value).is_some_and(|shown| shown != value) || self.holds_secret(value)
    }

    /// The value of header `name` (any case), redacted by name and by content, as one line. `Set-Cookie` keeps the cookie's
    /// name and attributes, `Sec-WebSocket-Protocol` its plain items.
    pub fn header(&self, name: &str, value: &str) -> String {
        let name = name.to_ascii_lowercase();
        let by_name = match name.as_str() {
            "location" | "content-location" | "referer" => self.url(value),
            _ => redact_header(&name, value).unwrap_or_else(|| value.to_owned()),
        };
        sanitise_line(&self.text(&by_name))
    }

    /// A URL (or a relative reference) without user information, credentials in the query, and learned secrets.
    pub fn url(&self, text: &str) -> String {
        let Ok(mut url) = Url::parse(text) else {
            let (path, query) = text
                .split_once('?')
                .map_or((text, None), |(path, query)| (path, Some(query)));
            let query = query
                .map(|query| format!("?{}", redact_query(query)))
                .unwrap_or_default();
            return sanitise_line(&self.text(&format!("{path}{query}")));
        };
        // Both fail only for URLs that cannot have user information.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let query = url.query().map(redact_query);
        url.set_query(None);
        let fragment = url.fragment().map(str::to_owned);
        url.set_fragment(None);
        let mut plain = url.to_string();
        plain.extend(query.map(|query| format!("?{query}")));
        plain.extend(fragment.map(|fragment| format!("#{}", redact_query(&fragment))));
        sanitise_line(&self.text(&plain))
    }

    /// Like [`Redactor::json`] for the value that was parsed from `text`, but cheap when the text held no secret: then no
    /// string of the value can hold one, unless an escape hid it.
    pub fn json_of(&self, text: &str, value: &mut Value) -> bool {
        if text.contains('\\') || matches!(self.text(text), Cow::Owned(_)) {
            return self.json(value);
        }
        redact_members(value)
    }

    /// Redacts every text in `value`, member names included, and members named like credentials. Says whether anything changed.
    /// `value` comes from a parser with a depth limit, so the recursion is bounded.
    pub fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
            },
            // Every item must be visited, so this is no `any`.
            Value::Array(items) => {
                items
                    .iter_mut()
                    .filter_map(|item| self.json(item).then_some(()))
                    .count()
                    > 0
            }
            Value::Object(members) => {
                let mut changed = false;
                for (name, member) in members.iter_mut() {
                    changed |= redact_member(name, member) || self.json(member);
                }
                if members.keys().any(|name| matches!(self.text(name), Cow::Owned(_))) {
                    changed = true;
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(name, member)| (self.text(&name).into_owned(), member))
                        .collect();
                }
                changed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// The first bytes of a form.
type Stem = [u8; FORM_BYTES_MIN];
/// One form of a secret.
type Form = Arc<[u8]>;

/// Forms of secrets, grouped by their first four bytes, and the automaton that finds those.
#[derive(Default)]
struct Needles {
    forms: Vec<(Stem, Vec<Form>)>,
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl Needles {
    fn add(&mut self, secret: &Secret) {
        for form in forms(secret.expose()) {
            let Some(stem) = form.first_chunk::<FORM_BYTES_MIN>().copied() else {
                continue;
            };
            let form: Form = form.into();
            match self.forms.iter_mut().find(|(known, _)| *known == stem) {
                Some((_, all)) if all.contains(&form) => {}
                Some((_, all)) => all.push(form),
                None => self.forms.push((stem, vec![form])),
            }
        }
        // Longest first, so that the first one that fits hides the most.
        self.forms
            .iter_mut()
            .for_each(|(_, all)| all.sort_by_key(|form| std::cmp::Reverse(form.len())));
    }

    fn knows(&self, secret: &Secret) -> bool {
        let text = secret.expose().as_bytes();
        self.forms
            .iter()
            .any(|(stem, all)| text.starts_with(stem) && all.iter().any(|form| form.as_ref() == text))
    }

    /// Adds the places of every form in `text`. The automaton looks for stems of one length, so that no pattern shadows
    /// another; what follows a stem is compared here.
    fn find(&self, text: &str, spans: &mut Vec<Range<usize>>) {
        let build = || {
            let stems = self.forms.iter().map(|(stem, _)| stem);
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(stems)
                .ok()
        };
        if self.forms.is_empty() {
            return;
        }
        let Some(automaton) = self.automaton.get_or_init(build) else {
            // Too many secrets for an automaton: hide everything rather than miss one.
            spans.push(0..text.len());
            return;
        };
        let bytes = text.as_bytes();
        let mut from = 0;
        while let Some(found) = automaton.find(Input::new(bytes).range(from..)) {
            let rest = &bytes[found.start()..];
            let form = self.forms[found.pattern().as_usize()]
                .1
                .iter()
                .find(|form| rest.starts_with(form));
            spans.extend(form.map(|form| found.start()..found.start() + form.len()));
            // Another secret may begin inside this one.
            from = found.start() + 1;
        }
    }

    /// Where a form starts that the end of `text` cuts, at least [`FORM_BYTES_MIN`] bytes before the end.
    fn cut_at(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let cut_form = |form: &Form| {
            let longest = form.len().saturating_sub(1).min(bytes.len());
            (FORM_BYTES_MIN..=longest)
                .rev()
                .find(|&len| bytes.ends_with(&form[..len]))
                .map(|len| bytes.len() - len)
        };
        self.forms
            .iter()
            .flat_map(|(_, all)| all)
            .filter_map(cut_form)
            .filter(|&at| text.is_char_boundary(at))
            .min()
    }
}

/// `text` with every span replaced; spans may overlap. Ends inside a character are moved outwards.
fn replace(text: &str, mut spans: Vec<Range<usize>>) -> String {
    spans.sort_by_key(|span| span.start);
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for span in spans {
        if span.end <= done {
            continue;
        }
        let start = char_start(text, span.start);
        if start >= done {
            clean.push_str(&text[done..start]);
            clean.push_str(REDACTED);
        }
        done = (span.end..text.len())
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or(text.len());
    }
    clean.push_str(&text[done..]);
    clean
}
