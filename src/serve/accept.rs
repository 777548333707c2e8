//! The accept loop: ours, because a served connection needs a deadline for its head and for every write, and a cap with a
//! reserve for whoever watches us (faults.md section 0.3, D22, D23).

use super::peer;
use super::seats::{Seats, Talk};
use super::web::Web;
use crate::limits::{SERVE_HEAD_BYTES_MAX, SERVE_HEAD_WITHIN, SERVE_HEADERS_MAX, SERVE_WRITE_WITHIN};
use crate::record::metrics::{Metrics, Refused};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Pause after an accept that failed: out of descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long open connections may end their answers when we stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What connections get to see.
pub(super) struct Routers {
    /// Normally.
    pub(super) full: Router,
    /// When only the reserve is left.
    pub(super) reserved: Router,
    /// How connections become TLS, if they do.
    pub(super) web: Option<Arc<Web>>,
    /// Where those are counted that are not let in.
    pub(super) metrics: Arc<Metrics>,
}

/// Accepts until `stop`, then waits a moment for the open connections.
pub(super) async fn accept(listener: TcpListener, routers: Routers, stop: CancellationToken) {
    let seats = Seats::new();
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "serve.accept_failed");
                routers.metrics.own().refused(Refused::Accept);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // When everybody is being answered the connection is closed at once; whoever waits for a place would only pile up.
        let Some(seat) = seats.take().await else {
            routers.metrics.own().refused(Refused::Full);
            continue;
        };
        let router = if seat.reserved {
            routers.reserved.clone()
        } else {
            routers.full.clone()
        };
        let connection = Connection {
            stream,
            router,
            talk: Arc::clone(&seat.talk),
            web: routers.web.clone(),
            metrics: Arc::clone(&routers.metrics),
            stop: stop.clone(),
        };
        tracker.spawn(peer::serving(from.ip(), async move {
            connection.serve().await;
            drop(seat);
        }));
    }
    drop(listener);
    tracker.close();
    // Whoever does not take the answer in time loses it.
    let _ = tokio::time::timeout(STOP_WITHIN, tracker.wait()).await;
}

/// One connection.
struct Connection {
    stream: TcpStream,
    router: Router,
    talk: Arc<Talk>,
    web: Option<Arc<Web>>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self) {
        let (talk, metrics) = (Arc::clone(&self.talk), Arc::clone(&self.metrics));
        tokio::select! {
            () = talk.evicted() => metrics.own().refused(Refused::Silent),
            () = self.secure_and_serve() => {}
        }
    }

    async fn secure_and_serve(self) {
        // Only a small delay would be lost without it.
        let _ = self.stream.set_nodelay(true);
        let acceptor = self.web.as_ref().and_then(|web| web.acceptor());
        let plain = Timed {
            stream: self.stream,
            stuck: None,
        };
        let Some(acceptor) = acceptor else {
            return http(plain, (self.router, self.talk), self.stop).await;
        };
        // Whoever does not finish the handshake is none of ours.
        match tokio::time::timeout(SERVE_HEAD_WITHIN, acceptor.accept(plain)).await {
            Ok(Ok(secured)) => http(secured, (self.router, self.talk), self.stop).await,
            Ok(Err(_)) | Err(_) => self.metrics.own().refused(Refused::Tls),
        }
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (router, talk): (Router, Arc<Talk>),
    stop: CancellationToken,
) {
    let answered = Arc::clone(&talk);
    let service = router
        .map_request(move |request: Request<Incoming>| {
            talk.asked();
            request.map(Body::new)
        })
        .map_response(move |response| {
            answered.answered();
            response
        });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SERVE_HEAD_WITHIN)
        .max_buf_size(SERVE_HEAD_BYTES_MAX)
        .max_headers(SERVE_HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    // How a client ends its connection is its own business.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A stream whose writes must make progress.
struct Timed {
    stream: TcpStream,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Passes a result on; while it is pending the deadline runs.
    fn watch<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck = None;
            return polled;
        }
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + SERVE_WRITE_WITHIN)));
        match stuck.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, polled)
    }
}
