//! The API token: compared in constant time, with a brake on guessing.

use crate::limits::SERVE_BAD_TOKENS_PER_MINUTE;
use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, StatusCode, header};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::problem::Problem;

/// Length of the guessing window.
const WINDOW: Duration = Duration::from_secs(60);

/// The configured token, if there is one.
pub(super) struct Token {
    secret: Option<Secret>,
    /// Start of the window and wrong tokens in it. One count for all callers: the listener sees few, and none may guess.
    wrong: Mutex<(Instant, u32)>,
}

impl Token {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self {
            secret,
            wrong: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Lets the caller through, or says why not.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(secret) = &self.secret else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "no API token is configured (`service.api_token`), so nothing can be changed from here",
            ));
        };
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.0.elapsed() >= WINDOW {
            *wrong = (Instant::now(), 0);
        }
        if wrong.1 >= SERVE_BAD_TOKENS_PER_MINUTE {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens; wait a minute",
            ));
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(given) if same(given, secret.expose()) => Ok(()),
            Some(_) => {
                wrong.1 += 1;
                Err(Problem::new(StatusCode::UNAUTHORIZED, "the API token is wrong"))
            }
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "send the API token as `Authorization: Bearer …`",
            )),
        }
    }

    /// Whether the caller has shown the token; guesses count here too.
    pub(super) fn shown(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(header::AUTHORIZATION) && self.check(headers).is_ok()
    }
}

/// Digests are compared, so that neither content nor length shows in the time taken.
fn same(given: &str, expected: &str) -> bool {
    let digests = [given, expected].map(|text| digest(&SHA256, text.as_bytes()));
    digests[0].as_ref().ct_eq(digests[1].as_ref()).into()
}
