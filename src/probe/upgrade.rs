//! WebSocket opening handshakes: through reqwest for sessions, over a connection of our own for raw ones. Keeps what a
//! refused upgrade said. Must not: read frames.

use super::body::{BodyLimits, content, read};
use super::client::Client;
use super::exchange::{Opened, Purpose, Way};
use super::handshake::Asked;
use super::request::{Cookies, HttpRequest, HttpVersion, Shown, UpgradeRequest};
use super::timing::millis;
use super::websocket::{RawSession, Session};
use crate::failure::{Failure, Kind, UpgradeOutcome};
use crate::limits::{REFUSED_BODY_BYTES_MAX, REFUSED_BODY_WITHIN};
use crate::transcript::{HttpExchange, UpgradeExchange};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

impl Client {
    /// Opens a WebSocket session. The record holds status, headers, body, peer and phases of a refused upgrade.
    ///
    /// # Errors
    /// Why there is no session: RFC 6455 section 4.1 or anything before it.
    pub async fn upgrade(&self, request: UpgradeRequest) -> (UpgradeExchange, Result<Session, Failure>) {
        let (exchange, switched) = self.switch(&request, Way::Library).await;
        let session = switched.map(|(upgraded, at)| Session::start(TokioIo::new(upgraded), self.run.clone(), at));
        (exchange, session)
    }

    /// Opens a WebSocket over a connection that we dial, for half frames, RST, and unanswered pings.
    ///
    /// # Errors
    /// As [`Client::upgrade`].
    pub async fn upgrade_raw(&self, request: UpgradeRequest) -> (UpgradeExchange, Result<RawSession, Failure>) {
        let (exchange, switched) = self.switch(&request, Way::OwnDial).await;
        let session = switched.and_then(|(upgraded, at)| RawSession::start(upgraded, self.run.clone(), at));
        (exchange, session)
    }

    async fn switch(&self, request: &UpgradeRequest, way: Way) -> (UpgradeExchange, Result<Switched, Failure>) {
        let asked = self.ask(request);
        let mut seen = UpgradeExchange {
            endpoint: request.endpoint.clone(),
            token: request.token.clone(),
            transport: request.shown.transport().to_owned(),
            http: HttpExchange::default(),
            accepted: false,
            outcome: UpgradeOutcome::BadHandshake,
            subprotocol: String::new(),
            frames: Vec::new(),
            close: None,
        };
        let opened = match self.open(&http_request(request, &asked), Purpose::Upgrade, way).await {
            Ok(opened) => opened,
            Err(broken) => {
                let (exchange, failure) = *broken;
                seen.http = exchange;
                seen.outcome = failure.upgrade_outcome();
                return (seen, Err(failure));
            }
        };
        match asked.verify(opened.parts.status, opened.parts.version, &opened.parts.headers) {
            Ok(subprotocol) => {
                let (exchange, upgraded) = take_over(opened).await;
                let upgraded = upgraded.map_err(|failure| self.told(failure));
                seen.http = exchange;
                seen.accepted = upgraded.is_ok();
                seen.outcome = upgraded
                    .as_ref()
                    .map_or_else(Failure::upgrade_outcome, |_| UpgradeOutcome::Ok);
                seen.subprotocol = self.run.redactor.header("sec-websocket-protocol", &subprotocol);
                (seen, upgraded)
            }
            Err(failure) => {
                let failure = self.told(failure);
                seen.outcome = failure.upgrade_outcome();
                seen.http = self.refused(opened).await;
                (seen, Err(failure))
            }
        }
    }

    /// What is offered; a credential among the subprotocols is learned before it can be seen anywhere.
    fn ask(&self, request: &UpgradeRequest) -> Asked {
        let mut offered = request.subprotocols.clone();
        if let Shown::Subprotocol(item) = &request.shown {
            self.run.redactor.learn(item);
            offered.push(item.expose().to_owned());
        }
        Asked::new(offered)
    }

    /// Reads what a refusal says, within limits that an endless body cannot stretch. Its end is no failure of its own.
    async fn refused(&self, opened: Opened) -> HttpExchange {
        let Opened {
            mut exchange,
            parts,
            mut body,
            head_at,
            started,
            deadline,
        } = opened;
        // A 101 that breaks the rules has no body: whatever follows are frames that nobody asked for.
        let within = if parts.status.as_u16() == 101 {
            Duration::ZERO
        } else {
            REFUSED_BODY_WITHIN
        };
        let limits = BodyLimits {
            bytes_max: REFUSED_BODY_BYTES_MAX,
            deadline: deadline.min(head_at + within),
            started,
            incremental: false,
        };
        let read = read(&mut body.frames, &limits).await;
        let now = Instant::now();
        exchange.phases.body_ms = Some(millis(head_at, now));
        exchange.total_ms = millis(started, now);
        let content = content(&read, &parts.headers, &self.run.redactor);
        exchange.body = content.body;
        exchange.json = content.json;
        exchange
    }
}

/// A connection that speaks WebSocket now, and when it began to.
type Switched = (Upgraded, Instant);

/// Takes the connection from HTTP.
async fn take_over(opened: Opened) -> (HttpExchange, Result<Switched, Failure>) {
    let Opened {
        exchange,
        mut parts,
        body,
        head_at,
        deadline,
        ..
    } = opened;
    let Some(switching) = parts.extensions.remove::<OnUpgrade>() else {
        return (
            exchange,
            Err(Failure::new(Kind::HttpProtocol, "the connection cannot be taken over")),
        );
    };
    let taken = match timeout_at(deadline, switching).await {
        Ok(Ok(upgraded)) => Ok((upgraded, head_at)),
        Ok(Err(error)) => Err(Failure::new(Kind::UpgradeClosed, error.to_string())),
        Err(_) => Err(Failure::new(
            Kind::UpgradeTimeout,
            "the connection was not handed over in time",
        )),
    };
    drop(body);
    (exchange, taken)
}

fn http_request(request: &UpgradeRequest, asked: &Asked) -> HttpRequest {
    let mut http = HttpRequest::get(&request.url);
    http.headers = asked.headers();
    http.headers.extend(request.headers.iter().cloned());
    http.version = HttpVersion::Http1;
    http.cookies = if request.cookies == Cookies::Drop {
        Cookies::Drop
    } else {
        Cookies::Keep
    };
    http.within = request.within;
    if let Shown::Header(token) = &request.shown {
        http.authorization = Some(token.clone());
    }
    http
}
