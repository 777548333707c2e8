//! Bodies in and out: JSON answers, the error shapes of contract §2.2, and the validation of request bodies.
//! It owns shapes; which error applies belongs to the endpoints, trace ids to `backend`.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// Seconds after which a client should ask again (503 and 429).
const RETRY_AFTER_S: u64 = 5;

/// A 200 with a JSON body.
pub fn json(body: Value) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], body.to_string()).into_response()
}

/// An answer of this status with a JSON body.
pub fn json_status(status: StatusCode, body: Value) -> Response {
    let mut response = json(body);
    *response.status_mut() = status;
    response
}

/// The short error shape `{"detail": …}`.
pub fn detail(status: StatusCode, text: &str) -> Response {
    json_status(status, json!({ "detail": text }))
}

/// The token of an `Authorization: Bearer …` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A refusal of the application. It is rendered by `backend`, which knows the trace id, from the marker
/// that `into_response` leaves in the extensions.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Status line.
    pub status: StatusCode,
    /// Text of `message`.
    pub message: String,
    /// Seconds for `Retry-After`, where the status calls for one.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let asks_again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        Self {
            status,
            message: message.into(),
            retry_after_s: asks_again.contains(&status).then_some(RETRY_AFTER_S),
        }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 501.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500, where a fault calls for one.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// `error_code` of contract §2.2 for this status.
    pub fn code(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "AUTH_FAILED",
            StatusCode::FORBIDDEN => "AUTH_UNAUTHORIZED",
            StatusCode::NOT_FOUND => "DB_RECORD_NOT_FOUND",
            StatusCode::UNPROCESSABLE_ENTITY => "VALIDATION_ERROR",
            StatusCode::SERVICE_UNAVAILABLE => "SERVICE_UNAVAILABLE",
            _ => "INTERNAL_ERROR",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Validation errors of a request, in the framework's shape: 422 `{"detail": […]}`.
#[derive(Debug, Default)]
pub struct FieldErrors {
    errors: Vec<Value>,
}

impl FieldErrors {
    fn push(&mut self, kind: &str, place: Value, message: &str, input: Value) {
        self.errors
            .push(json!({ "type": kind, "loc": place, "msg": message, "input": input }));
    }

    /// A string member of a length (in characters) within `length`; empty, and an error noted, otherwise.
    pub fn text(&mut self, body: &Map<String, Value>, name: &str, length: RangeInclusive<usize>) -> String {
        let place = json!(["body", name]);
        let Some(value) = body.get(name) else {
            self.push("missing", place, "Field required", json!(body));
            return String::new();
        };
        let Some(text) = value.as_str() else {
            let message = "Input should be a valid string";
            self.push("string_type", place, message, value.clone());
            return String::new();
        };
        let count = text.chars().count();
        if count < *length.start() {
            let message = format!("String should have at least {} character", length.start());
            self.push("string_too_short", place, &message, value.clone());
        } else if count > *length.end() {
            let message = format!("String should have at most {} characters", length.end());
            self.push("string_too_long", place, &message, json!(null));
        }
        text.to_owned()
    }

    /// A string member that may be missing or null.
    pub fn optional_text(&mut self, body: &Map<String, Value>, name: &str) -> Option<String> {
        match body.get(name) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.text(body, name, 0..=8192)),
        }
    }

    /// An array member.
    pub fn array(&mut self, body: &Map<String, Value>, name: &str) {
        let place = json!(["body", name]);
        match body.get(name) {
            Some(Value::Array(_)) => {}
            Some(other) => {
                let message = "Input should be a valid list";
                self.push("list_type", place, message, other.clone());
            }
            None => self.push("missing", place, "Field required", json!(body)),
        }
    }

    /// A required query parameter.
    pub fn query(&mut self, found: Option<&String>, name: &str) -> String {
        match found {
            Some(value) => value.clone(),
            None => {
                let place = json!(["query", name]);
                self.push("missing", place, "Field required", Value::Null);
                String::new()
            }
        }
    }

    /// A whole number in the query within `range`, or `default` when it is missing.
    pub fn query_number(
        &mut self,
        found: Option<&String>,
        name: &str,
        (range, default): (RangeInclusive<u64>, u64),
    ) -> u64 {
        let Some(text) = found else { return default };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let message = format!(
                    "Input should be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.push("int_parsing", json!(["query", name]), &message, json!(text));
                default
            }
        }
    }

    /// Ok if nothing was noted.
    pub fn finish(self) -> Result<(), Self> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }
}

/// Why an endpoint does not do what it was asked.
#[derive(Debug)]
pub enum Problem {
    /// The application refuses.
    Refusal(Refusal),
    /// The request does not validate.
    Fields(FieldErrors),
    /// There is no such route (under a fault that takes one away).
    NoRoute,
    /// An exception that nobody handled (under a fault).
    Unhandled,
}

/// What most endpoints return.
pub type Outcome = Result<Response, Problem>;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Refusal(refusal) => refusal.into_response(),
            Self::Fields(errors) => errors.into_response(),
            Self::NoRoute => detail(StatusCode::NOT_FOUND, "Not Found"),
            Self::Unhandled => {
                let body = json!({ "error": "Internal server error" });
                json_status(StatusCode::INTERNAL_SERVER_ERROR, body)
            }
        }
    }
}

/// Marks a 422 of request validation, so that the outermost layer can tell it from other answers.
#[derive(Clone, Copy, Debug)]
pub struct ValidationMark;

impl IntoResponse for FieldErrors {
    fn into_response(self) -> Response {
        let body = json!({ "detail": self.errors });
        let mut response = json_status(StatusCode::UNPROCESSABLE_ENTITY, body);
        response.extensions_mut().insert(ValidationMark);
        response
    }
}

/// The JSON object in a request body, or the framework's complaint about it.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, FieldErrors> {
    let mut errors = FieldErrors::default();
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => return Ok(object),
        Ok(other) => {
            let message = "Input should be a valid dictionary";
            errors.push("dict_type", json!(["body"]), message, other);
        }
        Err(_) if body.is_empty() => {
            errors.push("missing", json!(["body"]), "Field required", Value::Null);
        }
        Err(error) => {
            let place = json!(["body", error.column()]);
            errors.push("json_invalid", place, "JSON decode error", json!({}));
        }
    }
    Err(errors)
}
