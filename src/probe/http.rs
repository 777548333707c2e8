//! One HTTP request and its whole answer. Must not: judge the answer; a status is never a failure here.

use super::body::{BodyLimits, content, read};
use super::client::Client;
use super::exchange::{Opened, Purpose, Way};
use super::request::HttpRequest;
use super::timing::millis;
use crate::failure::Failure;
use crate::transcript::HttpExchange;
use http::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;

/// An answer before redaction, for captures into the credential store. It cannot be printed or serialised.
pub struct Unredacted {
    /// Headers.
    pub headers: HeaderMap,
    /// The body as text; invalid UTF-8 is replaced.
    pub text: String,
    /// The body as JSON, if it is.
    pub json: Option<Value>,
}

impl Client {
    /// Makes one exchange. The record holds what there was also when it failed.
    ///
    /// # Errors
    /// The failure says what kept the exchange from being complete and well-formed; any status is an answer.
    pub async fn http(&self, request: HttpRequest) -> (HttpExchange, Option<Failure>) {
        let (exchange, failure, _) = self.exchange(&request, false).await;
        (exchange, failure)
    }

    /// Like [`Client::http`], with the unredacted answer beside it. What is taken from it as a secret should be
    /// [learned](crate::secret::Redactor::learn), and the exchange passed through [`Client::redact_again`].
    pub async fn http_with_secrets(&self, request: HttpRequest) -> (HttpExchange, Option<Failure>, Option<Unredacted>) {
        self.exchange(&request, true).await
    }

    /// Takes what has been learned since out of `exchange`.
    pub fn redact_again(&self, exchange: &mut HttpExchange) {
        let redactor = &self.run.redactor;
        let again = |text: &mut String| *text = redactor.text(text).into_owned();
        exchange
            .headers
            .values_mut()
            .chain(exchange.request_headers.values_mut())
            .for_each(again);
        [&mut exchange.url, &mut exchange.request_body, &mut exchange.body.text]
            .into_iter()
            .for_each(again);
        exchange
            .redirects
            .iter_mut()
            .for_each(|redirect| again(&mut redirect.location));
        if exchange.json.as_mut().is_some_and(|json| redactor.json(json)) {
            exchange.body.text = exchange.json.as_ref().map(Value::to_string).unwrap_or_default();
        }
    }

    async fn exchange(&self, request: &HttpRequest, keep: bool) -> (HttpExchange, Option<Failure>, Option<Unredacted>) {
        let asked = async {
            match self.open(request, Purpose::Http, Way::Library).await {
                Ok(opened) => self.read_answer(opened, request, keep).await,
                Err(broken) => (broken.0, Some(broken.1), None),
            }
        };
        if !request.each_address {
            return asked.await;
        }
        let ((mut exchange, failure, answer), each) =
            tokio::join!(asked, self.each_address(&request.url, request.within));
        exchange.each_address = each;
        (exchange, failure, answer)
    }

    /// Reads the body of an opened exchange.
    pub(super) async fn finish(&self, opened: Opened, request: &HttpRequest) -> (HttpExchange, Option<Failure>) {
        let (exchange, failure, _) = self.read_answer(opened, request, false).await;
        (exchange, failure)
    }

    async fn read_answer(
        &self,
        opened: Opened,
        request: &HttpRequest,
        keep: bool,
    ) -> (HttpExchange, Option<Failure>, Option<Unredacted>) {
        let Opened {
            mut exchange,
            parts,
            mut body,
            head_at,
            started,
            deadline,
        } = opened;
        let limits = BodyLimits {
            bytes_max: request.body_max,
            deadline,
            started,
            incremental: request.incremental,
        };
        let read = read(&mut body.frames, &limits).await;
        let now = Instant::now();
        exchange.phases.body_ms = Some(millis(head_at, now));
        exchange.total_ms = millis(started, now);
        let content = content(&read, &parts.headers, &self.run.redactor);
        let unredacted = keep.then(|| {
            let text = String::from_utf8_lossy(&read.bytes).into_owned();
            Unredacted {
                json: serde_json::from_str(&text).ok(),
                headers: parts.headers,
                text,
            }
        });
        exchange.body = content.body;
        exchange.json = content.json;
        exchange.chunks = read.chunks;
        let failure = read.stopped.or(content.wrong).map(|failure| match exchange.status {
            Some(status) => self.told(failure).with_status(status),
            None => self.told(failure),
        });
        (exchange, failure, unredacted)
    }
}
