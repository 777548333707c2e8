//! Errors of the API as `application/problem+json` (RFC 9457): a title, the status and one sentence for people.

use crate::record::metrics::Refused;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// Whether a name and a password would help.
    basic: bool,
    /// Why whoever asked was not let in, if that is what this says.
    refused: Option<Refused>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            basic: false,
            refused: None,
        }
    }

    /// Whoever asked is not let in: counted by `cause`.
    pub(super) fn refusing(self, cause: Refused) -> Self {
        Self {
            refused: Some(cause),
            ..self
        }
    }

    /// Readers have to say who they are.
    pub(super) fn who_are_you(detail: impl Into<String>) -> Self {
        Self {
            basic: true,
            ..Self::new(StatusCode::UNAUTHORIZED, detail).refusing(Refused::Auth)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        // Whoever passes the answer on counts it.
        self.refused.and_then(|cause| response.extensions_mut().insert(cause));
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = if self.basic {
                "Basic realm=\"stagewatch\", charset=\"UTF-8\""
            } else {
                "Bearer realm=\"stagewatch\""
            };
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(scheme));
        }
        response
    }
}
