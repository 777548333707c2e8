//! The WebSocket upgrade, up to its status line (contract §4.1–§4.3): who gets a 101, who gets which refusal.
//! It owns the handshake; frames after the 101 belong to `session`, faulty answers to `refusal`.

mod answer;
mod bucket;
mod echo;
pub mod hub;
mod refusal;
mod session;
mod tap;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::auth::User;
use super::faults::Fault;
use super::front::{Gone, Seat};
use super::identity::{self, Nobody};
use super::stats::UpgradeOutcome;
use super::tokens::Side;
use super::world::World;
use session::Session;
use wire::Wire;

/// How long the 101 may take to leave before the upgrade is given up.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Subprotocol that is answered when it was offered.
const SUBPROTOCOL: &str = "jwt-auth";
/// Prefix of the subprotocol that carries a token.
const TOKEN_PREFIX: &str = "jwt.";

/// What a WebSocket path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws` and its alias: a token before the 101.
    Main,
    /// `/ws/test`: echo for whoever comes.
    Echo,
    /// No route.
    Unknown,
}

impl Endpoint {
    fn of(path: &str) -> Self {
        match path {
            "/ws" | "/websocket" => Self::Main,
            "/ws/test" => Self::Echo,
            _ => Self::Unknown,
        }
    }
}

/// Who is let in, and how they came.
pub struct Visitor {
    /// The token's user.
    pub user: User,
    /// Whether they offered any subprotocol.
    pub offered_subprotocol: bool,
}

/// What happens on the socket after its 101.
enum After {
    Session(Visitor),
    RefusedInside,
    Echo,
}

/// Whether a request asks for a WebSocket.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    let has = |name, token: &str| {
        let values = request.headers().get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// Answers an upgrade request: a 101 whose socket is then served, a refusal, or no answer at all.
pub async fn upgrade(world: &Arc<World>, seat: Seat, mut request: Request<Incoming>) -> Result<Response, Gone> {
    let endpoint = Endpoint::of(request.uri().path());
    if let Some(answer) = refusal::by_fault(world, &seat, endpoint).await {
        world.stats.upgrade(None, UpgradeOutcome::Refused);
        return answer;
    }
    let decided = decide(world, &seat, endpoint, request.headers());
    let after = match decided {
        Ok(after) => after,
        Err(status) => {
            world.stats.upgrade(None, UpgradeOutcome::Refused);
            return Ok(refusal::empty(status));
        }
    };
    let user = match &after {
        After::Session(visitor) => Some(visitor.user.sub.clone()),
        After::RefusedInside | After::Echo => None,
    };
    if endpoint == Endpoint::Main && world.faults.on(Fault::Upgrade500AfterAuth) {
        world.stats.upgrade(user.as_deref(), UpgradeOutcome::Refused);
        return Ok(refusal::internal());
    }
    let Some(response) = switching(world, request.headers()) else {
        world.stats.upgrade(user.as_deref(), UpgradeOutcome::Refused);
        return Ok(refusal::empty(StatusCode::BAD_REQUEST));
    };
    world.stats.upgrade(user.as_deref(), UpgradeOutcome::Accepted);
    let upgraded = hyper::upgrade::on(&mut request);
    world.tasks.spawn(serve(Arc::clone(world), seat, after, upgraded));
    Ok(response)
}

fn decide(world: &World, seat: &Seat, endpoint: Endpoint, headers: &HeaderMap) -> Result<After, StatusCode> {
    let faults = &world.faults;
    match endpoint {
        Endpoint::Echo if faults.on(Fault::WsTestMissing) => Err(StatusCode::FORBIDDEN),
        Endpoint::Echo => Ok(After::Echo),
        Endpoint::Unknown if faults.on(Fault::AnyPath) => Ok(After::Echo),
        Endpoint::Unknown => Err(StatusCode::FORBIDDEN),
        Endpoint::Main => match visitor(world, seat, headers) {
            Ok(user) => {
                let offered_subprotocol = !offered(world, headers).is_empty();
                Ok(After::Session(Visitor {
                    user,
                    offered_subprotocol,
                }))
            }
            Err(StatusCode::FORBIDDEN) if faults.on(Fault::RefusedAfter101) => Ok(After::RefusedInside),
            Err(status) => Err(status),
        },
    }
}

/// The user whose token the upgrade carries, by header or subprotocol (contract §4.2), or the refusal's status.
fn visitor(world: &World, seat: &Seat, headers: &HeaderMap) -> Result<User, StatusCode> {
    let faults = &world.faults;
    let Some(token) = token_of(world, headers) else {
        return match faults.on(Fault::AcceptsAnonymous) {
            true => Ok(anonymous()),
            false => Err(StatusCode::FORBIDDEN),
        };
    };
    let user = match identity::user_of(world, &seat.instance, Side::Socket, &token) {
        Ok(user) => user,
        Err(Nobody::AuthAway) if !faults.on(Fault::AuthOutageAs401) => {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        Err(Nobody::Invalid | Nobody::AuthAway) => return Err(StatusCode::FORBIDDEN),
    };
    let digits = user.sub.len() >= 18 && user.sub.bytes().all(|byte| byte.is_ascii_digit());
    let refused = faults.on(Fault::AudRefused) || digits && faults.on(Fault::NumericSubRefused);
    match refused {
        true => Err(StatusCode::FORBIDDEN),
        false => Ok(user),
    }
}

fn anonymous() -> User {
    User {
        sub: "anonymous".to_owned(),
        email: String::new(),
        jti: String::new(),
        exp: u64::MAX,
    }
}

fn token_of(world: &World, headers: &HeaderMap) -> Option<String> {
    if !world.faults.on(Fault::HeaderDropped)
        && let Some(token) = super::reply::bearer(headers)
    {
        return Some(token.to_owned());
    }
    let offered = offered(world, headers);
    let carried = offered.iter().find_map(|item| item.strip_prefix(TOKEN_PREFIX))?;
    let decoded = URL_SAFE_NO_PAD.decode(carried.trim_end_matches('=')).ok()?;
    String::from_utf8(decoded).ok()
}

fn offered(world: &World, headers: &HeaderMap) -> Vec<String> {
    if world.faults.on(Fault::SubprotocolDropped) {
        return Vec::new();
    }
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_owned())
        .collect()
}

/// The 101, or `None` for a request that is no WebSocket handshake after all (RFC 6455 §4.2.1).
fn switching(world: &World, headers: &HeaderMap) -> Option<Response> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    if version.as_bytes() != b"13" {
        return None;
    }
    let faults = &world.faults;
    let accept = match faults.on(Fault::WrongAccept) {
        true => derive_accept_key(b"another key altogether"),
        false => derive_accept_key(key.as_bytes()),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answered = response.headers_mut();
    answered.insert("server", HeaderValue::from_static("uvicorn"));
    if !faults.on(Fault::NoUpgradeHeader) {
        answered.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        answered.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    answered.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).ok()?);
    if faults.on(Fault::UnaskedExtension) {
        let extension = HeaderValue::from_static("permessage-deflate");
        answered.insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    let chosen = match faults.on(Fault::BadSubprotocol) {
        true => Some("graphql-ws"),
        false => offered(world, headers)
            .iter()
            .any(|item| item == SUBPROTOCOL)
            .then_some(SUBPROTOCOL),
    };
    if let Some(chosen) = chosen {
        let value = HeaderValue::from_static(chosen);
        answered.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    Some(response)
}

async fn serve(world: Arc<World>, seat: Seat, after: After, upgraded: OnUpgrade) {
    let Ok(Ok(upgraded)) = timeout(SWITCH_TIMEOUT, upgraded).await else {
        // The client was gone before it had its 101.
        return;
    };
    let wire = Wire::new(TokioIo::new(upgraded), &world).await;
    let stop = world.stop.clone();
    let cut = seat.cut.clone();
    let work = async move {
        match after {
            After::Session(visitor) => Session::new(world, &seat, visitor).run(wire).await,
            After::RefusedInside => session::refuse_inside(wire).await,
            After::Echo => echo::run(wire, world, &seat).await,
        }
    };
    tokio::select! {
        () = work => {}
        // The listener went away, or the rehearsal ends: the socket breaks without a close frame.
        () = cut.cancelled() => {}
        () = stop.cancelled() => {}
    }
}
