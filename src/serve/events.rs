//! `GET /events`: tells open pages that something was judged, as server-sent events. It says only that; the page then asks
//! for what it shows. A bounded number of listeners, each at most once a second.

use super::App;
use super::problem::Problem;
use crate::limits::{EVENT_LISTENERS_MAX, EVENTS_ALIVE_EVERY, EVENTS_EVERY};
use crate::record::live::Status;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// What follows from a judgement, an incident above all, is stored a moment later: after so many looks without a new one the
/// last is told once more.
const SETTLED: u32 = 2;

/// Places for listeners.
pub(super) struct Listeners {
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Listeners {
    /// All free, until `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(EVENT_LISTENERS_MAX)),
            stop,
        }
    }
}

struct Listener {
    app: Arc<App>,
    seen: Arc<Status>,
    /// Looks at the status that found nothing new since the last event.
    quiet: u32,
    _place: OwnedSemaphorePermit,
}

/// `GET /events`.
pub(super) async fn events(State(app): State<Arc<App>>) -> Response {
    let Ok(place) = Arc::clone(&app.listeners.places).try_acquire_owned() else {
        let full = "too many pages are listening; load this one again now and then";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    let listener = Listener {
        seen: app.served.live.status(),
        quiet: SETTLED,
        app,
        _place: place,
    };
    let stream = futures_util::stream::unfold(listener, next);
    let alive = KeepAlive::new().interval(EVENTS_ALIVE_EVERY);
    Sse::new(stream).keep_alive(alive).into_response()
}

/// Waits for the next judgement, or for the end of the daemon.
async fn next(mut listener: Listener) -> Option<(Result<Event, Infallible>, Listener)> {
    loop {
        tokio::select! {
            () = listener.app.listeners.stop.cancelled() => return None,
            () = tokio::time::sleep(EVENTS_EVERY) => {}
        }
        let status = listener.app.served.live.status();
        let judged = !Arc::ptr_eq(&status, &listener.seen);
        listener.quiet = if judged { 0 } else { listener.quiet.saturating_add(1) };
        if judged || listener.quiet == SETTLED {
            let event = Event::default().event("judged").data(&status.updated_at);
            listener.seen = status;
            return Some((Ok(event), listener));
        }
    }
}
