//! When each phase of one exchange began and ended. reqwest offers no timing, so marks are set by its hooks (resolver,
//! connector layer, TLS session store, certificate verifier) through a task-local; with a fresh connection the connector runs
//! in the request's own task. Owns: the marks. Must not: decide or send anything.

use crate::transcript::{Connection, Phases, TlsFacts};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::time::Instant;
use tower::{Layer, Service};

tokio::task_local! {
    static MARKS: Arc<Marks>;
}

/// The moments of one exchange, and what the connection showed on the way.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Moments>);

/// A copy of the moments.
#[derive(Clone, Debug, Default)]
pub(super) struct Moments {
    pub(super) dns_start: Option<Instant>,
    pub(super) dns_end: Option<Instant>,
    pub(super) connect_start: Option<Instant>,
    pub(super) tls_start: Option<Instant>,
    pub(super) tls_end: Option<Instant>,
    /// The connection is ready, or could not be made.
    pub(super) connect_end: Option<Instant>,
    /// Whether the connection was made.
    pub(super) connected: bool,
    /// Addresses that the name resolved to.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tls: Option<TlsFacts>,
}

/// What the connection was doing when something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Resolving,
    Connecting,
    Handshaking,
    /// The connection is ready; the head of the answer has not come.
    Waiting,
}

impl Marks {
    /// Runs `future` with these marks set by the hooks.
    pub(super) async fn scope<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        MARKS.scope(Arc::clone(self), future).await
    }

    /// Changes the moments.
    pub(super) fn set(&self, change: impl FnOnce(&mut Moments)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The moments so far.
    pub(super) fn moments(&self) -> Moments {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Changes the moments of the exchange that the current task is making, if it is making one.
pub(super) fn mark(change: impl FnOnce(&mut Moments)) {
    // Outside of an exchange (a connection that is finished in the background) there is nobody to tell.
    let _ = MARKS.try_with(|marks| marks.set(change));
}

impl Moments {
    /// What was going on at the last mark.
    pub(super) fn progress(&self) -> Progress {
        match self {
            Moments { connected: true, .. }
            | Moments {
                connect_start: None, ..
            } => Progress::Waiting,
            Moments { tls_start: Some(_), .. } => Progress::Handshaking,
            Moments {
                dns_start: Some(_),
                dns_end: None,
                ..
            } => Progress::Resolving,
            _ => Progress::Connecting,
        }
    }

    /// When the connection was ready for a request that was begun at `sent`: a used one is ready at once.
    pub(super) fn ready(&self, sent: Instant) -> Instant {
        self.connect_end.filter(|_| self.connected).unwrap_or(sent)
    }

    /// Whether the connection was made for this exchange.
    pub(super) fn connection(&self) -> Connection {
        if self.connected {
            Connection::New
        } else {
            Connection::Pooled
        }
    }

    /// The connection's phases; the one that was going on is billed up to `now`, or up to the connection's failure.
    pub(super) fn phases(&self, now: Instant) -> Phases {
        let end = self.connect_end.unwrap_or(now);
        let dns_ms = self.dns_start.map(|start| millis(start, self.dns_end.unwrap_or(end)));
        let resolving = self.dns_start.is_some() && self.dns_end.is_none();
        let tcp_start = self
            .dns_end
            .or(self.connect_start)
            .filter(|_| !resolving && self.address_allowed());
        let connect_ms = tcp_start.map(|start| millis(start, self.tls_start.unwrap_or(end)));
        let tls_ms = self.tls_start.map(|start| millis(start, self.tls_end.unwrap_or(end)));
        Phases {
            dns_ms,
            connect_ms,
            tls_ms,
            first_byte_ms: None,
            body_ms: None,
        }
    }

    /// A name that gave no address was never connected to.
    fn address_allowed(&self) -> bool {
        self.dns_end.is_none() || !self.addresses.is_empty()
    }
}

/// Milliseconds from `start` to `end`, zero if they are the other way round.
pub(super) fn millis(start: Instant, end: Instant) -> f64 {
    end.saturating_duration_since(start).as_secs_f64() * 1e3
}

/// Marks the start and the end of the whole connection: resolution, TCP, TLS.
#[derive(Clone)]
pub(super) struct MarkConnect;

impl<S> Layer<S> for MarkConnect {
    type Service = MarkedConnect<S>;

    fn layer(&self, inner: S) -> MarkedConnect<S> {
        MarkedConnect(inner)
    }
}

/// The service that [`MarkConnect`] makes.
#[derive(Clone)]
pub(super) struct MarkedConnect<S>(S);

impl<S, R> Service<R> for MarkedConnect<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        mark(|moments| moments.connect_start = Some(Instant::now()));
        let connecting = self.0.call(request);
        Box::pin(async move {
            let done = connecting.await;
            mark(|moments| {
                let now = Instant::now();
                moments.connect_end = Some(now);
                moments.connected = done.is_ok();
                moments.tls_end = moments.tls_start.map(|_| now);
            });
            done
        })
    }
}
