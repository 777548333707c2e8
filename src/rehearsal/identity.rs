//! Who is asking: token checks of the backend, through the breaker around the auth service.
//! It owns the path from a token to a user; signatures belong to `tokens`, accounts to `auth`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::User;
use super::breaker::{Admission, Outcome};
use super::faults::Fault;
use super::front::Seat;
use super::instance::Instance;
use super::reply::{self, Refusal};
use super::tokens::Side;
use super::world::{Dependency, World};

/// Faults that let bad tokens in; what they let in is not remembered, so that switching them off ends it.
const LOOSENING: &[Fault] = &[
    Fault::AcceptsTampered,
    Fault::HttpAcceptsTampered,
    Fault::WsAcceptsTampered,
    Fault::AlgNone,
    Fault::ExpiredAccepted,
];

/// Why a token names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// The token is bad, expired or revoked.
    Invalid,
    /// The auth service cannot be asked.
    AuthAway,
}

/// The user of `token` as `side` of `instance` sees it: from the instance's cache, else from the auth
/// service through the breaker.
pub fn user_of(world: &World, instance: &Arc<Instance>, side: Side, token: &str) -> Result<User, Nobody> {
    if world.faults.on(Fault::SecretMismatch) {
        return Err(Nobody::Invalid);
    }
    if let Some(user) = instance.cached(side, token) {
        return match world.auth.is_revoked(&user.jti, side, &world.faults) {
            true => Err(Nobody::Invalid),
            false => Ok(user),
        };
    }
    ask(world, instance, side, token)
}

fn ask(world: &World, instance: &Instance, side: Side, token: &str) -> Result<User, Nobody> {
    let now = Instant::now();
    let mut breaker = instance.breaker();
    if breaker.admit(now) == Admission::Refused {
        return Err(Nobody::AuthAway);
    }
    let reachable = world.auth_reachable();
    breaker.record(
        match reachable {
            Dependency::Up => Outcome::Answered,
            Dependency::Down => Outcome::Unreachable,
        },
        now,
    );
    drop(breaker);
    if reachable == Dependency::Down {
        return Err(Nobody::AuthAway);
    }
    let user = world.auth.validate(token, side, &world.faults);
    let user = user.ok_or(Nobody::Invalid)?;
    if !world.faults.any(LOOSENING) {
        instance.remember(side, token, &user);
    }
    Ok(user)
}

/// The authentication dependency of protected routes: 403 without a bearer token, 401 for a bad one,
/// 503 when the auth service cannot be asked (contract §2.1, intended).
pub struct Authenticated(pub User);

impl FromRequestParts<Arc<World>> for Authenticated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Self::Rejection> {
        let seat = Seat::of(&parts.extensions);
        if parts.headers.get(header::AUTHORIZATION).is_none() {
            return Err(Refusal::forbidden("Not authenticated").into_response());
        }
        let Some(token) = reply::bearer(&parts.headers) else {
            let text = "Invalid authentication credentials";
            return Err(Refusal::forbidden(text).into_response());
        };
        let refusal = match user_of(world, &seat.instance, Side::Http, token) {
            Ok(user) => return Ok(Self(user)),
            Err(Nobody::Invalid) if world.faults.on(Fault::TamperedToken500) => {
                let text = "'NoneType' object has no attribute 'get'";
                return Err(reply::json_status(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    serde_json::json!({ "error": text }),
                ));
            }
            Err(Nobody::AuthAway) if !world.faults.on(Fault::AuthOutageAs401) => {
                Refusal::unavailable("Authentication service unavailable")
            }
            Err(Nobody::Invalid | Nobody::AuthAway) => Refusal::unauthorized("Invalid or expired token"),
        };
        Err(refusal.into_response())
    }
}

/// The caller of a route that a fault may have opened to everybody.
pub struct MaybeOpen(pub Option<User>);

impl MaybeOpen {
    /// The caller's sub, or the one an open route falls back to.
    pub fn sub(&self) -> &str {
        self.0.as_ref().map_or("anonymous", |user| &user.sub)
    }
}

impl FromRequestParts<Arc<World>> for MaybeOpen {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Self::Rejection> {
        let path = parts.uri.path();
        let opened = match () {
            () if path.starts_with("/api/agents/") => Fault::ExecutePublic,
            () if path.starts_with("/api/messages") => Fault::MessagesPublic,
            () if path.starts_with("/api/threads") => Fault::ThreadsPublic,
            () => Fault::RunStatusPublic,
        };
        let anonymous = parts.headers.get(header::AUTHORIZATION).is_none();
        if anonymous && world.faults.on(opened) {
            return Ok(Self(None));
        }
        let Authenticated(user) = Authenticated::from_request_parts(parts, world).await?;
        Ok(Self(Some(user)))
    }
}
