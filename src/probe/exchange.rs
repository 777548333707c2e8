//! Opens an exchange: sends the request, follows redirects where allowed, and records everything up to the head of the
//! answer. HTTP, SSE and upgrades start here. Must not: read bodies.

use super::classify::{Stage, classify, timed_out};
use super::client::{Client, Engine};
use super::dial::BoxError;
use super::prepare::{Prepared, literal_address};
use super::request::{Cookies, HttpRequest};
use super::timing::{Marks, Moments, Progress, millis};
use crate::failure::{Failure, Kind};
use crate::limits::{COOKIE_NAMES_MAX, EVIDENCE_EXCERPT_BYTES, HEAD_BYTES_MAX, NAME_BYTES_MAX};
use crate::transcript::{HttpExchange, Phases};
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, SET_COOKIE};
use http::response::Parts;
use http::uri::PathAndQuery;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use reqwest::cookie::CookieStore;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// What an exchange is for: it decides how failures before the head are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Http,
    Upgrade,
}

/// How the request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through reqwest.
    Library,
    /// Over a connection that we dial.
    OwnDial,
}

/// An answer whose head has come.
pub(super) struct Opened {
    pub(super) exchange: HttpExchange,
    pub(super) parts: Parts,
    pub(super) body: AnswerBody,
    /// When the head was complete.
    pub(super) head_at: Instant,
    /// When the first step on the network was made.
    pub(super) started: Instant,
    pub(super) deadline: Instant,
}

/// The body of an answer, and what keeps its connection alive.
pub(super) struct AnswerBody {
    pub(super) frames: UnsyncBoxBody<Bytes, BoxError>,
    /// Drives a connection of our own; dropped with the body.
    pub(super) _driver: Option<AbortOnDropHandle<()>>,
}

/// An exchange that never came to a head: the record so far and why.
pub(super) type Broken = Box<(HttpExchange, Failure)>;

/// An answer as it comes from either way of sending.
pub(super) struct Answer {
    pub(super) parts: Parts,
    body: AnswerBody,
    peer: Option<SocketAddr>,
}

impl Client {
    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn open(&self, request: &HttpRequest, purpose: Purpose, way: Way) -> Result<Opened, Broken> {
        let started = Instant::now();
        let deadline = started + request.within;
        let prepared = self.prepare(request);
        let mut exchange = self.record_request(request, prepared.as_ref().ok());
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Err(Box::new((exchange, self.told(failure)))),
        };
        loop {
            let marks = Arc::<Marks>::default();
            let hop_started = Instant::now();
            let sent = timeout_at(deadline, marks.scope(self.send(&prepared, request, way))).await;
            let now = Instant::now();
            let moments = marks.moments();
            exchange.total_ms = millis(started, now);
            let answer = match sent {
                Ok(Ok(answer)) => answer,
                failed => {
                    exchange = HttpExchange {
                        total_ms: exchange.total_ms,
                        redirects: exchange.redirects,
                        ..self.record_request(request, Some(&prepared))
                    };
                    self.record_unanswered(&mut exchange, &moments, hop_started, now);
                    let stage = stage(purpose, moments.progress());
                    let failure = match failed {
                        Ok(Err(error)) => classify(error.as_ref(), stage),
                        _ => timed_out(stage, request.within.as_secs_f64() * 1e3),
                    };
                    return Err(Box::new((exchange, self.told(failure))));
                }
            };
            self.keep_cookies(request, &prepared, &answer);
            self.record_head(&mut exchange, &answer, &moments, (hop_started, now));
            exchange.tls = self.tls_facts(&prepared.url, &moments);
            if let Err(failure) = head_fits(&answer.parts.headers, purpose) {
                return Err(Box::new((exchange, failure)));
            }
            match self.next_hop(request, &prepared, &answer, &mut exchange) {
                Ok(Some(next)) => prepared = next,
                Ok(None) => {
                    let Answer { parts, body, .. } = answer;
                    return Ok(Opened {
                        exchange,
                        parts,
                        body,
                        head_at: now,
                        started,
                        deadline,
                    });
                }
                Err(failure) => return Err(Box::new((exchange, self.told(failure)))),
            }
        }
    }

    async fn send(&self, prepared: &Prepared, request: &HttpRequest, way: Way) -> Result<Answer, BoxError> {
        if way == Way::OwnDial || prepared.written.is_some() {
            return self.send_dialled(prepared).await;
        }
        let engine = Engine {
            connection: request.connection,
            version: request.version,
            accept_gzip: request.accept_gzip,
        };
        let client = self.engine(engine)?;
        let mut sending = client
            .request(prepared.method.clone(), prepared.url.clone())
            .headers(prepared.headers.clone());
        if !prepared.body.is_empty() {
            sending = sending.body(prepared.body.clone());
        }
        let response = sending.send().await?;
        let peer = response.remote_addr();
        let (parts, body) = http::Response::from(response).into_parts();
        let frames = body.map_err(BoxError::from).boxed_unsync();
        Ok(Answer {
            parts,
            body: AnswerBody { frames, _driver: None },
            peer,
        })
    }

    async fn send_dialled(&self, prepared: &Prepared) -> Result<Answer, BoxError> {
        let (stream, peer) = self.wire.dial(&prepared.url).await?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await?;
        // The connection reports its failure to the sender too, so nothing is lost with this result.
        let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.with_upgrades().await) }));
        let response = sender.send_request(dialled_request(prepared)?).await?;
        let (parts, body) = response.into_parts();
        let frames = body.map_err(BoxError::from).boxed_unsync();
        Ok(Answer {
            parts,
            body: AnswerBody {
                frames,
                _driver: Some(driver),
            },
            peer: Some(peer),
        })
    }

    fn record_head(
        &self,
        exchange: &mut HttpExchange,
        answer: &Answer,
        moments: &Moments,
        (sent, now): (Instant, Instant),
    ) {
        if moments.connected {
            exchange.phases = moments.phases(now);
        } else {
            exchange.phases = Phases::default();
        }
        exchange.phases.first_byte_ms = Some(millis(moments.ready(sent), now));
        exchange.connection = moments.connection();
        exchange.status = Some(answer.parts.status.as_u16());
        exchange.http_version = format!("{:?}", answer.parts.version);
        exchange.headers = self.shown_headers(&answer.parts.headers);
        exchange.cookies_set = self.cookie_names(&answer.parts.headers);
        exchange.peer = answer.peer.map(|peer| peer.to_string());
    }

    /// Learns the cookies that the answer sets, and keeps them unless told otherwise.
    fn keep_cookies(&self, request: &HttpRequest, prepared: &Prepared, answer: &Answer) {
        let set = || answer.parts.headers.get_all(SET_COOKIE).iter();
        let named = set().filter_map(|value| Some((SET_COOKIE.as_str(), value.to_str().ok()?)));
        self.run.redactor.learn_request(named, None, None);
        if request.cookies == Cookies::Keep {
            self.jar.set_cookies(&mut set(), &prepared.url);
        }
    }

    /// Headers for the record: redacted, bounded one by one; several of one name joined.
    fn shown_headers(&self, headers: &HeaderMap) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::<String, String>::new();
        let mut room = HEAD_BYTES_MAX;
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = self.run.redactor.header(name.as_str(), &value);
            let value = crate::secret::cut(&value, EVIDENCE_EXCERPT_BYTES);
            let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else {
                break;
            };
            room = left;
            shown
                .entry(name.as_str().to_owned())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert_with(|| value.to_owned());
        }
        shown
    }

    /// Bills the phase that failed, and says whom we were talking to if there is only one candidate.
    fn record_unanswered(&self, exchange: &mut HttpExchange, moments: &Moments, sent: Instant, now: Instant) {
        exchange.phases = moments.phases(now);
        exchange.tls = moments.tls.clone();
        if moments.progress() == Progress::Waiting {
            exchange.phases.first_byte_ms = Some(millis(moments.ready(sent), now));
            exchange.connection = moments.connection();
        }
        let Some(url) = Url::parse(&exchange.url).ok().filter(|_| self.wire.proxy.is_none()) else {
            return;
        };
        let only = match moments.addresses.as_slice() {
            [one] => Some(one.ip()),
            _ => literal_address(&url).map(|(_, address)| address),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        exchange.peer = only.map(|address| SocketAddr::new(address, port).to_string());
    }

    fn cookie_names(&self, headers: &HeaderMap) -> Vec<String> {
        let name = |value: &HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let name = text.split(['=', ';']).next().unwrap_or_default().trim();
            self.run.redactor.line(name, NAME_BYTES_MAX)
        };
        let set = headers.get_all(SET_COOKIE).iter().take(COOKIE_NAMES_MAX);
        set.map(name).collect()
    }
}

fn stage(purpose: Purpose, progress: Progress) -> Stage {
    match purpose {
        Purpose::Http => Stage::Http(progress),
        Purpose::Upgrade => Stage::Upgrade(progress),
    }
}

/// Refuses a head above the limit.
fn head_fits(headers: &HeaderMap, purpose: Purpose) -> Result<(), Failure> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes <= HEAD_BYTES_MAX {
        return Ok(());
    }
    let failure = Failure::new(
        Kind::HeaderTooLarge,
        format!("the head has {bytes} bytes, the limit is {HEAD_BYTES_MAX}"),
    );
    Err(match purpose {
        Purpose::Http => failure,
        Purpose::Upgrade => failure.in_phase(crate::failure::Phase::Upgrade),
    })
}

/// The request for a connection of our own: origin form (RFC 9112 section 3.2.1), the path as written if asked.
fn dialled_request(prepared: &Prepared) -> Result<http::Request<Full<Bytes>>, BoxError> {
    let path = match &prepared.written {
        Some(written) => written.clone(),
        None => PathAndQuery::try_from(&prepared.url[url::Position::BeforePath..url::Position::AfterQuery])?,
    };
    let mut request = http::Request::new(Full::new(prepared.body.clone()));
    *request.method_mut() = prepared.method.clone();
    *request.uri_mut() = path.into();
    *request.headers_mut() = prepared.headers.clone();
    let host = &prepared.url[url::Position::BeforeHost..url::Position::AfterPort];
    request
        .headers_mut()
        .entry(HOST)
        .or_insert(HeaderValue::try_from(host)?);
    // reqwest adds this one; both ways should look the same to the target.
    request
        .headers_mut()
        .entry(http::header::ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    Ok(request)
}
