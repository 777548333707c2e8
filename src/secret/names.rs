//! Which headers, members and parameters are secret by their name, and what is shown of them. Pure. Must not: know any
//! secret's value.

use super::redactor::REDACTED;
use serde_json::Value;

/// Headers whose whole value is a credential.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-goog-iap-jwt-assertion",
];
/// Members of JSON objects and query parameters whose text is a credential whatever it is.
const SECRET_NAMES: &[&str] = &[
    "access_token",
    "refresh_token",
    "id_token",
    "password",
    "passwd",
    "client_secret",
    "api_key",
    "apikey",
    "refreshToken",
    "accessToken",
    "idToken",
    "private_key",
];
/// Query parameters that carry credentials in URLs, beside [`SECRET_NAMES`].
const SECRET_PARAMETERS: &[&str] = &["token", "jwt", "auth", "key", "secret", "sig", "signature", "code"];
/// Longest subprotocol name that is shown: registered names are short words, tokens are not.
const SUBPROTOCOL_BYTES_MAX: usize = 32;

/// The parts of header `name` (lower case) that are credentials: they are secrets of the run from then on.
pub(super) fn secrets_in_header<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    match name {
        "cookie" => value.split(';').filter_map(cookie_value).collect(),
        "set-cookie" => value.split(';').take(1).filter_map(cookie_value).collect(),
        // The scheme before a blank is no secret.
        _ if SECRET_HEADERS.contains(&name) => vec![value.split_once(' ').map_or(value, |(_, credential)| credential)],
        _ => Vec::new(),
    }
}

fn cookie_value(pair: &str) -> Option<&str> {
    // A short cookie is a preference, not a session.
    const COOKIE_BYTES_MIN: usize = 16;
    pair.split_once('=')
        .map(|(_, value)| value.trim())
        .filter(|value| value.len() >= COOKIE_BYTES_MIN)
}

/// The values of credential-like parameters of a query string, as they are written there.
pub(super) fn secrets_in_query(query: &str) -> Vec<&str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| secret_parameter(name))
        .map(|(_, value)| value)
        .collect()
}

/// The texts of members named like credentials, wherever they are.
pub(super) fn secrets_in_json<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| secrets_in_json(item, found)),
        Value::Object(members) => members.iter().for_each(|(name, member)| match member.as_str() {
            Some(text) if SECRET_NAMES.contains(&name.as_str()) => found.push(text),
            Some(_) => {}
            None => secrets_in_json(member, found),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The value of header `name` (lower case) without what is secret by name; `None` if the name says nothing.
pub(super) fn redact_header(name: &str, value: &str) -> Option<String> {
    match name {
        "set-cookie" => Some(redact_set_cookie(value)),
        "cookie" => Some(redact_cookie(value)),
        "sec-websocket-protocol" => Some(redact_subprotocols(value)),
        _ if SECRET_HEADERS.contains(&name) => Some(REDACTED.to_owned()),
        _ => None,
    }
}

/// Replaces members named like credentials, wherever they are.
pub(super) fn redact_members(value: &mut Value) -> bool {
    match value {
        // Every item must be visited, so this is no `any`.
        Value::Array(items) => {
            items
                .iter_mut()
                .filter_map(|item| redact_members(item).then_some(()))
                .count()
                > 0
        }
        Value::Object(members) => members.iter_mut().fold(false, |changed, (name, member)| {
            redact_member(name, member) || redact_members(member) || changed
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

pub(super) fn redact_member(name: &str, member: &mut Value) -> bool {
    let secret =
        SECRET_NAMES.contains(&name) && member.as_str().is_some_and(|text| !text.is_empty() && text != REDACTED);
    if secret {
        *member = Value::from(REDACTED);
    }
    secret
}

/// Keeps the name and the attributes of a cookie, not its value (RFC 6265 section 4.1.1).
fn redact_set_cookie(value: &str) -> String {
    let (pair, attributes) = value.split_once(';').map_or((value, ""), |(pair, rest)| (pair, rest));
    match pair.split_once('=') {
        Some((name, _)) if attributes.is_empty() => format!("{name}={REDACTED}"),
        Some((name, _)) => format!("{name}={REDACTED};{attributes}"),
        None => REDACTED.to_owned(),
    }
}

/// Keeps the names of cookies.
fn redact_cookie(value: &str) -> String {
    let name = |pair: &str| match pair.trim().split_once('=') {
        Some((name, _)) => format!("{name}={REDACTED}"),
        None => REDACTED.to_owned(),
    };
    value.split(';').map(name).collect::<Vec<_>>().join("; ")
}

/// Keeps items that are plain short names; tokens travel in this header too.
fn redact_subprotocols(value: &str) -> String {
    let plain = |item: &str| {
        item.len() <= SUBPROTOCOL_BYTES_MAX
            && !item.starts_with("jwt.")
            && item
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._+/".contains(&byte))
    };
    let shown = |item: &str| {
        let item = item.trim();
        if plain(item) {
            item.to_owned()
        } else {
            REDACTED.to_owned()
        }
    };
    value.split(',').map(shown).collect::<Vec<_>>().join(", ")
}

/// A query string, the values of credential-like parameters replaced.
pub(super) fn redact_query(query: &str) -> String {
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && secret_parameter(name) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

fn secret_parameter(name: &str) -> bool {
    SECRET_NAMES
        .iter()
        .chain(SECRET_PARAMETERS)
        .any(|known| known.eq_ignore_ascii_case(name))
}
