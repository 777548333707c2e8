//! `http`: one request and its whole answer.

use super::request::Ready;
use crate::catalog::step::{CaptureKind, Http, OnFailure};
use crate::catalog::{Auth, Step, TokenKind};
use crate::failure::{Failure, Kind};
use crate::scenario::execution::{Branch, Done, Execution};
use crate::scenario::login::raw_answer;
use crate::transcript::{HttpExchange, Observation};
use serde_json::Value;

/// HTTP "Unauthorized": the token itself was refused, not what was asked for (RFC 9110 section 15.5.2).
const UNAUTHORIZED: u16 = 401;

impl Execution {
    pub(super) async fn http(&self, step: &Step, http: &Http, branch: &Branch) -> Done {
        let deadline = branch.deadline_in(step.within);
        let Ready { request, shown } = match self.ready(http, branch, deadline).await {
            Ok(ready) => ready,
            Err(failure) => return unsent(Observation::Http(planned(http)), failure, &http.auth),
        };
        let secrets = step.captures.iter().any(|capture| capture.kind == CaptureKind::Secret);
        let (mut exchange, failure, answer) = if secrets {
            self.client.http_with_secrets(request).await
        } else {
            let (exchange, failure) = self.client.http(request).await;
            (exchange, failure, None)
        };
        let failure = self.judge_answer(&mut exchange, failure);
        if let Some(shown) = shown.as_ref().filter(|shown| matches!(shown.kind, TokenKind::Valid))
            && exchange.status == Some(UNAUTHORIZED)
        {
            self.distrust(&shown.credential, &shown.token).await;
        }
        let raw: Option<Value> = answer.map(|answer| raw_answer(&exchange, &answer));
        Done {
            raw,
            credential: shown.map(|shown| shown.credential),
            ..Done::new(Observation::Http(exchange), failure)
        }
    }
}

/// The exchange of a request that was never sent.
pub(super) fn planned(http: &Http) -> HttpExchange {
    HttpExchange {
        method: http.method.clone(),
        ..HttpExchange::default()
    }
}

/// A step that sent nothing. Without an aged token it is skipped: the run goes on.
pub(super) fn unsent(seen: Observation, failure: Failure, auth: &Auth) -> Done {
    let (token, credential) = match auth {
        Auth::Header { credential, token } | Auth::Subprotocol { credential, token } => {
            (Some(token), Some(credential.clone()))
        }
        Auth::None | Auth::Raw(_) => (None, None),
    };
    let skipped = matches!(token, Some(TokenKind::Aged)) && failure.kind == Kind::CredentialMissing;
    Done {
        credential,
        on_failure: skipped.then_some(OnFailure::GoOn),
        ..Done::new(seen, Some(failure))
    }
}
