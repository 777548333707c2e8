//! Upgrades that get no 101: the application's own refusals, the edge's pages, and the transport faults.
//! It owns answers to the upgrade request; who deserves a refusal is decided by `socket`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::Endpoint;
use crate::rehearsal::edge;
use crate::rehearsal::faults::Fault;
use crate::rehearsal::front::{Gone, Seat, hang};
use crate::rehearsal::world::World;

/// The outermost middleware's body for an exception.
const INTERNAL: &str = r#"{"error":"Internal server error"}"#;
/// Pause before the second segment of a split body.
const SECOND_SEGMENT_AFTER: Duration = Duration::from_millis(150);
/// How long a slow upgrade takes.
const SLOW_UPGRADE: Duration = Duration::from_secs(3);
/// How long an upgrade takes while `ws-500-under-concurrency` is on, so that two can overlap.
const OVERLAP: Duration = Duration::from_millis(100);

/// The application's refusal before accepting (contract §1.1): empty, text/plain, connection: close.
pub fn empty(status: StatusCode) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::CONTENT_LENGTH, "0"),
        (header::CONNECTION, "close"),
        (header::SERVER, "uvicorn"),
    ];
    let mut response = (status, headers, Body::empty()).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("5");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// A 500 from an exception inside the upgrade.
pub fn internal() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONNECTION, "close"),
        (header::SERVER, "uvicorn"),
    ];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, INTERNAL).into_response()
}

/// What a fault makes of an upgrade before anybody looks at its token; `None` lets it go on.
pub async fn by_fault(world: &Arc<World>, seat: &Seat, endpoint: Endpoint) -> Option<Result<Response, Gone>> {
    if let Some(status) = at_the_edge(world) {
        return Some(Ok(edge::page(status)));
    }
    if endpoint != Endpoint::Main {
        return None;
    }
    let faults = &world.faults;
    if faults.on(Fault::UpgradeHang) {
        return Some(Err(hang().await));
    }
    if faults.on(Fault::UpgradeClose) {
        return Some(Err(Gone));
    }
    if faults.on(Fault::UpgradeSlow) {
        tokio::time::sleep(SLOW_UPGRADE).await;
    }
    if faults.on(Fault::Upgrade500Concurrent) {
        let _under_way = world.hub.handshake();
        if world.hub.handshakes() > 1 {
            return Some(Ok(internal()));
        }
        tokio::time::sleep(OVERLAP).await;
    }
    let first = world.fleet.is_first(&seat.instance);
    if faults.on(Fault::Upgrade500OneInstance) && first {
        return Some(Ok(internal()));
    }
    answer(world).map(Ok)
}

fn at_the_edge(world: &World) -> Option<StatusCode> {
    let pages = [
        (Fault::Edge403, StatusCode::FORBIDDEN),
        (Fault::Upgrade429, StatusCode::TOO_MANY_REQUESTS),
        (Fault::Upgrade502, StatusCode::BAD_GATEWAY),
        (Fault::Upgrade503, StatusCode::SERVICE_UNAVAILABLE),
        (Fault::Upgrade504, StatusCode::GATEWAY_TIMEOUT),
    ];
    let on = pages.iter().find(|(fault, _)| world.faults.on(*fault));
    on.map(|(_, status)| *status)
}

fn answer(world: &World) -> Option<Response> {
    let on = |fault| world.faults.on(fault);
    Some(match () {
        () if on(Fault::Upgrade500) => internal(),
        () if on(Fault::Upgrade401) => empty(StatusCode::UNAUTHORIZED),
        () if on(Fault::Upgrade403) => empty(StatusCode::FORBIDDEN),
        () if on(Fault::Upgrade404) => crate::rehearsal::reply::detail(StatusCode::NOT_FOUND, "Not Found"),
        () if on(Fault::Upgrade301) => {
            // Nobody listens there: port 9 is discard.
            let elsewhere = [(header::LOCATION, "http://127.0.0.1:9/ws")];
            (StatusCode::MOVED_PERMANENTLY, elsewhere).into_response()
        }
        () if on(Fault::Upgrade200) => axum::response::Html("<html>hello</html>").into_response(),
        () if on(Fault::Http10_503) => {
            let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
            *response.version_mut() = Version::HTTP_10;
            response
        }
        () if on(Fault::Split500) => in_two_segments(),
        () if on(Fault::Chunked500) => chunked(),
        () => return None,
    })
}

fn in_two_segments() -> Response {
    let later = stream::once(async {
        tokio::time::sleep(SECOND_SEGMENT_AFTER).await;
        Ok::<_, Infallible>(Bytes::from_static(INTERNAL.as_bytes()))
    });
    let mut response = internal();
    *response.body_mut() = Body::from_stream(later);
    let length = HeaderValue::from(INTERNAL.len());
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}

fn chunked() -> Response {
    let (first, second) = INTERNAL.as_bytes().split_at(9);
    let chunks = [Bytes::from_static(first), Bytes::from_static(second)];
    let mut response = internal();
    *response.body_mut() = Body::from_stream(stream::iter(chunks).map(Ok::<_, Infallible>));
    response
}
