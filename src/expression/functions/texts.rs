//! Functions on texts. Patterns run in linear time (the `regex` crate) and are compiled once.

use super::{Answer, Arguments, answer, items, refuse, take};
use crate::expression::shared;
use crate::limits::{REGEX_BYTES_MAX, REGEX_CACHE_MAX};
use cel::ExecutionError;
use cel::common::types::{CelInt, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

/// Compiled patterns. Only a cache: an answer never depends on what is in it.
static PATTERNS: LazyLock<RwLock<HashMap<String, Regex>>> = LazyLock::new(RwLock::default);

/// Digits in groups of three behind the separators people and locales use, or digits alone.
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let separators = "[,_'\u{2019}\u{a0}\u{202f}\u{2009} ]";
    Regex::new(&format!(r"[0-9]{{1,3}}(?:{separators}[0-9]{{3}})+|[0-9]+")).ok()
});

fn string<'a>(name: &str, value: &'a dyn Val) -> Result<&'a str, ExecutionError> {
    match value.downcast_ref::<CelString>() {
        Some(text) => Ok(text.inner()),
        None => refuse(name, "a text"),
    }
}

/// Compiles a pattern within its limit.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build()
}

/// `re(text, pattern)`: whether the pattern is found anywhere.
pub(super) fn re<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text, pattern] = take(arguments)?;
    let (text, pattern) = (string("re", text.as_ref())?, string("re", pattern.as_ref())?);
    let known = PATTERNS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = known.get(pattern) {
        return answer(&Value::from(compiled.is_match(text)));
    }
    drop(known);
    let Ok(compiled) = compile(pattern) else {
        return refuse("re", "a regular expression as its pattern");
    };
    let found = compiled.is_match(text);
    let mut known = PATTERNS.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() < REGEX_CACHE_MAX {
        known.insert(pattern.to_owned(), compiled);
    }
    answer(&Value::from(found))
}

/// The text itself, or the JSON of anything else.
fn as_text(value: &dyn Val) -> String {
    match value.downcast_ref::<CelString>() {
        Some(text) => text.inner().to_owned(),
        None => shared::json_of(value).to_string(),
    }
}

/// `contains_any(text, words)`: whether one of the words occurs, upper and lower case being equal; of a list or map its
/// JSON is searched.
pub(super) fn contains_any<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text, words] = take(arguments)?;
    let text = as_text(text.as_ref()).to_lowercase();
    for word in items("contains_any", words.as_ref())? {
        if text.contains(&string("contains_any", word)?.to_lowercase()) {
            return answer(&Value::from(true));
        }
    }
    answer(&Value::from(false))
}

/// `host(url)`: its host without port, null if it is no URL.
pub(super) fn host<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [url] = take(arguments)?;
    let host = url
        .downcast_ref::<CelString>()
        .and_then(|text| url::Url::parse(text.inner()).ok())
        .and_then(|url| url.host_str().map(str::to_owned));
    answer(&host.map_or(Value::Null, Value::from))
}

/// `parse(text)`: the JSON in a text, null if it is none.
pub(super) fn parse<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text] = take(arguments)?;
    let parsed = text
        .downcast_ref::<CelString>()
        .and_then(|text| serde_json::from_str(text.inner()).ok());
    answer(&parsed.unwrap_or(Value::Null))
}

/// `text(x)`: compact JSON, keys in order; a text as it is.
pub(super) fn text<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    answer(&Value::from(as_text(value.as_ref())))
}

/// `lower(text)`.
pub(super) fn lower<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text] = take(arguments)?;
    answer(&Value::from(string("lower", text.as_ref())?.to_lowercase()))
}

/// The whole numbers in a text. `1,234` counts as 1234 and also as 1 and 234: which was meant cannot be known.
fn whole_numbers(text: &str) -> Vec<i64> {
    let Some(pattern) = NUMBERS.as_ref() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for number in pattern.find_iter(text) {
        let groups: Vec<&str> = number.as_str().split(|c: char| !c.is_ascii_digit()).collect();
        found.extend(groups.concat().parse::<i64>());
        if groups.len() > 1 {
            found.extend(groups.iter().filter_map(|group| group.parse::<i64>().ok()));
        }
    }
    found
}

/// `digits(text)`: the whole numbers in it.
pub(super) fn digits<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text] = take(arguments)?;
    answer(
        &whole_numbers(&as_text(text.as_ref()))
            .into_iter()
            .map(Value::from)
            .collect(),
    )
}

/// `holds_number(text, n)`: whether the whole number stands in the text, with or without thousands separators.
pub(super) fn holds_number<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [text, number] = take(arguments)?;
    if text.downcast_ref::<CelNull>().is_some() {
        return answer(&Value::from(false));
    }
    match number.downcast_ref::<CelInt>() {
        Some(number) => {
            let found = whole_numbers(&as_text(text.as_ref())).contains(number.inner());
            Ok(CowVal::Owned(shared::boxed(&Value::from(found))))
        }
        None => refuse("holds_number", "a text and a whole number"),
    }
}
