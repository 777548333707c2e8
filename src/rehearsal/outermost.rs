//! The outermost middleware of the backend: path filter, CORS, error bodies, response headers
//! (contract §1.1, §2.2, §2.3). It owns what all HTTP answers share; endpoints decide the rest.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::faults::{Fault, Faults};
use super::front::Seat;
use super::reply::{self, Problem, Refusal, ValidationMark};
use super::timing;

/// The one origin whose pages may call the API.
const ORIGIN: &str = "https://app.staging.netrasystems.ai";
/// Parts of a path or query that the traversal filter refuses.
const TRAVERSAL: &[&str] = &["..", "./", "/etc/", "/proc/", "/sys/", ".env", ".git", "config.json"];
/// Slashes beyond which a path is refused.
const SLASHES_MAX: usize = 10;
/// Client request ids longer than this are not echoed.
const REQUEST_ID_MAX: usize = 128;

/// What the outermost layer needs to remember of a request.
pub struct Asked {
    path: String,
    origin: Option<HeaderValue>,
    preflight: bool,
    request_id: Option<HeaderValue>,
    internal_agent: bool,
}

impl Asked {
    /// Reads it off the request.
    pub fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let request_id = headers.get("x-request-id").filter(|id| id.len() <= REQUEST_ID_MAX);
        Self {
            path: request.uri().path().to_owned(),
            origin: headers.get(header::ORIGIN).cloned(),
            preflight: request.method() == Method::OPTIONS
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
            request_id: request_id.cloned(),
            internal_agent: is_internal_agent(headers),
        }
    }

    fn allowed_origin(&self, faults: &Faults) -> Option<&HeaderValue> {
        let anyone = self.internal_agent || faults.on(Fault::CorsReflects);
        self.origin.as_ref().filter(|origin| anyone || *origin == ORIGIN)
    }
}

/// User agents that the staging takes for its own services (contract §1).
fn is_internal_agent(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let names = ["httpx/", "aiohttp/", "requests/", "python-urllib3/"];
    agent.is_some_and(|agent| names.iter().any(|name| agent.contains(name)))
}

/// Answers given before any endpoint: refused paths, preflights, and everything under `api-500`.
pub fn early(asked: &Asked, uri: &Uri, faults: &Faults) -> Option<Response> {
    if asked.path.starts_with("/api") && faults.on(Fault::Api500) {
        return Some(Problem::Unhandled.into_response());
    }
    if looks_like_traversal(uri) {
        return Some(match faults.on(Fault::TraversalOpen) {
            true => "root:x:0:0:root:/root:/bin/sh\n".into_response(),
            false => reply::detail(StatusCode::FORBIDDEN, "Forbidden"),
        });
    }
    if !asked.preflight {
        return None;
    }
    asked.origin.as_ref()?;
    Some(match asked.allowed_origin(faults) {
        Some(_) => "OK".into_response(),
        None => (StatusCode::BAD_REQUEST, "Disallowed CORS origin").into_response(),
    })
}

fn looks_like_traversal(uri: &Uri) -> bool {
    let whole = uri.path_and_query().map_or("", |whole| whole.as_str());
    let decoded = whole.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/");
    let path = decoded.split('?').next().unwrap_or("");
    // "/etc" alone is as telling as "/etc/passwd"; a trailing slash makes both match the list.
    let spelled = format!("{decoded}/");
    TRAVERSAL.iter().any(|part| spelled.contains(part)) || path.matches('/').count() > SLASHES_MAX
}

/// Renders refusals and sets the headers that every answer of the application carries.
pub fn finish(response: Response, asked: &Asked, (seat, faults): (&Seat, &Faults)) -> Response {
    let mut response = render(response, asked, (seat, faults));
    if let Some(origin) = asked.allowed_origin(faults) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let yes = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if asked.preflight {
            let methods = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
    }
    stamp(&mut response, asked, (seat, faults));
    response
}

fn stamp(response: &mut Response, asked: &Asked, (seat, faults): (&Seat, &Faults)) {
    let headers = response.headers_mut();
    let environment = match faults.on(Fault::EnvironmentWrong) {
        true => "production",
        false => "staging",
    };
    for (name, value) in [
        ("server", "uvicorn"),
        ("x-environment", environment),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("content-security-policy", "default-src 'self'"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(trace) = HeaderValue::from_str(&seat.trace_id) {
        headers.insert("x-trace-id", trace);
    }
    headers.insert("x-request-start", HeaderValue::from(timing::now_ms()));
    if let Ok(print) = HeaderValue::from_str(&seat.instance.id) {
        headers.insert("x-security-fingerprint", print);
    }
    if let Some(id) = &asked.request_id {
        headers.insert("x-request-id", id.clone());
    }
}

fn render(response: Response, asked: &Asked, (seat, faults): (&Seat, &Faults)) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let validation = response.extensions().get::<ValidationMark>().is_some();
    if validation && faults.on(Fault::Validation500) {
        return Problem::Unhandled.into_response();
    }
    let Some(refusal) = response.extensions().get::<Refusal>().cloned() else {
        return misshapen(response, asked, (seat, faults));
    };
    let mut response = response;
    let mut shown = refusal.clone();
    if turned_into_500(refusal.status, faults) {
        shown.status = StatusCode::INTERNAL_SERVER_ERROR;
        *response.status_mut() = shown.status;
    }
    if faults.on(Fault::ErrorHtml) {
        let html = "<html><body><h1>Error</h1></body></html>";
        return (shown.status, axum::response::Html(html)).into_response();
    }
    *response.body_mut() = Body::from(error_body(&shown, refusal.status, asked, (seat, faults)));
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    // The router has announced the empty body that stood here.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// Errors that carry a body already; only faults change them.
fn misshapen(response: Response, asked: &Asked, (seat, faults): (&Seat, &Faults)) -> Response {
    let status = response.status();
    if faults.on(Fault::UnknownRoute200) && status == StatusCode::NOT_FOUND {
        return reply::json(json!({}));
    }
    if turned_into_500(status, faults) {
        let mut refusal = Refusal::internal(status.canonical_reason().unwrap_or("error"));
        refusal.retry_after_s = None;
        let body = error_body(&refusal, status, asked, (seat, faults));
        return (refusal.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    if faults.on(Fault::ErrorHtml) && status.is_client_error() {
        return (status, axum::response::Html("<html><body>Error</body></html>")).into_response();
    }
    response
}

fn turned_into_500(status: StatusCode, faults: &Faults) -> bool {
    [400, 404, 405, 408, 429, 501].contains(&status.as_u16()) && faults.on(Fault::ErrorsAs500)
}

fn error_body(refusal: &Refusal, true_status: StatusCode, asked: &Asked, (seat, faults): (&Seat, &Faults)) -> String {
    let mut message = refusal.message.clone();
    if faults.on(Fault::ErrorLeaks) {
        message.push_str(": 'SessionManager' object has no attribute 'validate' (/app/netra_backend/app/core.py)");
    }
    let request_id = asked.request_id.as_ref().and_then(|id| id.to_str().ok());
    let mut body = json!({
        "error": true,
        "error_code": refusal.code(),
        "message": message,
        "user_message": message,
        "details": { "status_code": true_status.as_u16() },
        "trace_id": seat.trace_id,
        "timestamp": timing::iso_now(),
        "request_id": request_id,
    });
    if let Some(object) = body.as_object_mut().filter(|_| faults.on(Fault::ErrorCodeMissing)) {
        object.remove("error_code");
        object.remove("message");
    }
    body.to_string()
}
