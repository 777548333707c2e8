//! What an HTTP exchange saw. Offsets of its chunks count from the start of the step.

use super::present;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long each phase took; absent phases did not happen (a pooled connection has no dns, connect, tls).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_ms: Option<f64>,
    /// TCP connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// From the request handed over on a ready connection to the first byte of the answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// From the head to the last byte of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_ms: Option<f64>,
}

/// One HTTP exchange.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpExchange {
    /// Request method.
    pub method: String,
    /// Request URL, redacted.
    pub url: String,
    /// Request headers worth showing, redacted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<String, String>,
    /// Request body, redacted, at most `EVIDENCE_EXCERPT_BYTES`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_body: String,
    /// Status; absent when no status line was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub http_version: String,
    /// Response headers, names in lower case, values redacted; several of one name joined by `, `.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Response body.
    #[serde(default)]
    pub body: Body,
    /// The body as JSON, if it is JSON.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Address of the peer, `ip:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Phase times.
    #[serde(default)]
    pub phases: Phases,
    /// From the first byte of the DNS query (or connect) to the last byte of the body.
    #[serde(default)]
    pub total_ms: f64,
    /// Whether the exchange used a connection that an earlier exchange of the run had made.
    #[serde(default)]
    pub connection: Connection,
    /// Every address of the host, tried on its own beside the request, if the step asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each_address: Vec<AddressFacts>,
    /// Redirects seen: followed ones, and the last one that was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// Certificate and protocol of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// When the pieces of the body arrived; at most `BODY_CHUNKS_MAX`. Offsets count from the start of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Names of the cookies set by the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies_set: Vec<String>,
    /// Who answered, by the target's fingerprints (`app`, `edge`, …); `unknown` if none fits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layer: String,
}

/// Whether a connection was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Opened for this exchange.
    #[default]
    New,
    /// Opened by an earlier exchange of the same run.
    Pooled,
}

/// One address of a host, tried on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AddressFacts {
    /// Address and port.
    pub address: String,
    /// Time of the TCP handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// Time of the TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// Why it cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A body, bounded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The text, redacted; invalid UTF-8 is replaced.
    pub text: String,
    /// Bytes received, also those beyond what is stored.
    pub bytes: u64,
    /// More was received, or was to come, than is stored.
    pub truncated: bool,
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redirect {
    /// Status of the redirecting answer.
    pub status: u16,
    /// Where to, redacted.
    pub location: String,
    /// Whether it was followed.
    pub followed: bool,
}

/// What the TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLSv1_2` or `TLSv1_3`.
    #[serde(default)]
    pub version: String,
    /// Earliest `notAfter` in the chain, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_unix: Option<i64>,
    /// Subject of the leaf, bounded, control characters removed.
    #[serde(default)]
    pub subject: String,
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Arrival, from the start of the step.
    pub offset_ms: f64,
    /// Size.
    pub bytes: u64,
}
