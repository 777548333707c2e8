//! Reads a body under limits and a deadline, and turns it into what a transcript holds. Must not: read beyond its limits.

use super::classify::{Stage, classify, timed_out};
use super::dial::BoxError;
use super::timing::millis;
use crate::failure::{Failure, Kind};
use crate::limits::{BODY_CHUNKS_MAX, JSON_DEPTH_MAX};
use crate::secret::{Redactor, sanitise_text};
use crate::transcript::{Body, Chunk};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// Limits of one reading.
pub(super) struct BodyLimits {
    /// Bytes that are kept; more is an overflow.
    pub(super) bytes_max: usize,
    /// When to stop waiting.
    pub(super) deadline: Instant,
    /// Chunk offsets count from here.
    pub(super) started: Instant,
    /// Whether the arrival of chunks is recorded.
    pub(super) incremental: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct BodyRead {
    pub(super) bytes: Vec<u8>,
    /// All bytes received, also those not kept.
    pub(super) received: u64,
    pub(super) chunks: Vec<Chunk>,
    /// Why reading stopped early.
    pub(super) stopped: Option<Failure>,
}

/// Reads `body` to its end, its limit or the deadline.
pub(super) async fn read(body: &mut UnsyncBoxBody<Bytes, BoxError>, limits: &BodyLimits) -> BodyRead {
    let mut read = BodyRead::default();
    loop {
        let frame = match timeout_at(limits.deadline, body.frame()).await {
            Ok(None) => return read,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                read.stopped = Some(classify(error.as_ref(), Stage::Body));
                return read;
            }
            Err(_) => {
                read.stopped = Some(late(limits));
                return read;
            }
        };
        // A body that is always ready never lets the timer have its turn.
        if Instant::now() > limits.deadline {
            read.stopped = Some(late(limits));
        }
        // Trailers are not evidence we use.
        let Ok(data) = frame.into_data() else { continue };
        read.received += data.len() as u64;
        if limits.incremental && read.chunks.len() < BODY_CHUNKS_MAX && !data.is_empty() {
            let offset_ms = millis(limits.started, Instant::now());
            read.chunks.push(Chunk {
                offset_ms,
                bytes: data.len() as u64,
            });
        }
        let room = limits.bytes_max - read.bytes.len();
        read.bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            let detail = format!("the body is above the limit of {} bytes", limits.bytes_max);
            read.stopped = Some(Failure::new(Kind::BodyTooLarge, detail));
        }
        if read.stopped.is_some() {
            return read;
        }
    }
}

fn late(limits: &BodyLimits) -> Failure {
    timed_out(Stage::Body, millis(limits.started, limits.deadline))
}

/// A body as it is stored, its JSON, and what is wrong with its content.
pub(super) struct Content {
    pub(super) body: Body,
    pub(super) json: Option<Value>,
    pub(super) wrong: Option<Failure>,
}

/// Redacts and decodes what was read. `head` is the answer's; content that contradicts its type is wrong.
pub(super) fn content(read: &BodyRead, head: &HeaderMap, redactor: &Redactor) -> Content {
    let text = String::from_utf8_lossy(&read.bytes);
    let complete = read.stopped.is_none();
    let kind = content_type(head);
    let parsed = if complete && looks_like_json(&text) {
        serde_json::from_str::<Value>(&text).ok()
    } else {
        None
    };
    let wrong = if complete && !read.bytes.is_empty() {
        mismatch(&read.bytes, &kind, parsed.as_ref(), &text)
    } else {
        None
    };
    let mut json = parsed;
    let changed = json.as_mut().is_some_and(|json| redactor.json_of(&text, json));
    let clean = match &json {
        // What was hidden in the value must not stay in the text, where escapes can disguise it.
        Some(json) if changed => json.to_string(),
        _ if complete => redactor.text(&text).into_owned(),
        _ => redactor.cut_text(&text),
    };
    let body = Body {
        text: sanitise_text(&clean),
        bytes: read.received,
        truncated: !complete,
    };
    Content { body, json, wrong }
}

/// What a `Content-Type` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentType {
    Json,
    DeclaredUtf8,
    Other,
}

fn content_type(head: &HeaderMap) -> ContentType {
    let value = head
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let value = value.unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || essence.ends_with("+json") {
        // RFC 8259 section 8.1: JSON between systems is UTF-8.
        return ContentType::Json;
    }
    let utf8 = value
        .split(';')
        .skip(1)
        .any(|parameter| matches!(parameter.trim(), "charset=utf-8" | "charset=\"utf-8\""));
    if utf8 {
        ContentType::DeclaredUtf8
    } else {
        ContentType::Other
    }
}

/// Whether parsing is worth a try, whatever the content type says: servers mislabel JSON.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && (text.starts_with(['{', '[', '"', '-'])
            || text.starts_with(|c: char| c.is_ascii_digit())
            || matches!(text, "true" | "false" | "null"))
}

fn mismatch(bytes: &[u8], kind: &ContentType, parsed: Option<&Value>, text: &str) -> Option<Failure> {
    if *kind == ContentType::Other {
        return None;
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let detail = format!("the body is not UTF-8 after byte {}", error.valid_up_to());
        return Some(Failure::new(Kind::BodyNotUtf8, detail));
    }
    if *kind != ContentType::Json || parsed.is_some() {
        return None;
    }
    if json_depth(text) > JSON_DEPTH_MAX {
        return Some(Failure::new(
            Kind::JsonTooDeep,
            format!("the JSON is nested deeper than {JSON_DEPTH_MAX}"),
        ));
    }
    let error = serde_json::from_str::<Value>(text)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    Some(Failure::new(
        Kind::BodyNotJson,
        format!("the body is called JSON but is not: {error}"),
    ))
}

/// Deepest nesting of brackets outside of strings. A loop, not a recursion: the text may be hostile.
pub(super) fn json_depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_ignores_strings() {
        assert_eq!(json_depth(r#"{"a":"[[[","b":[{}],"c":"\"[["}"#), 3);
        assert_eq!(json_depth(&"[".repeat(200_000)), 200_000);
        assert_eq!(json_depth(""), 0);
    }

    #[test]
    fn content_types() {
        let kind = |value: &str| {
            let mut head = HeaderMap::new();
            head.insert(CONTENT_TYPE, value.parse().expect("test header"));
            content_type(&head)
        };
        assert_eq!(kind("application/json"), ContentType::Json);
        assert_eq!(kind("application/problem+json; charset=utf-8"), ContentType::Json);
        assert_eq!(kind("text/html; charset=UTF-8"), ContentType::DeclaredUtf8);
        assert_eq!(kind("text/html"), ContentType::Other);
    }
}
