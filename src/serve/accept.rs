//! The accept loop: ours, because a served connection needs a deadline for its head and for every write, and a cap with a
//! reserve for whoever watches us (faults.md section 0.3, D22, D23).

use crate::limits::{
    SERVE_CONNECTIONS_MAX, SERVE_CONNECTIONS_RESERVED, SERVE_HEAD_BYTES_MAX, SERVE_HEAD_WITHIN, SERVE_HEADERS_MAX,
    SERVE_WRITE_WITHIN,
};
use axum::Router;
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
}

/// Accepts until `stop`, then waits a moment for the open connections.
pub(super) async fn accept(listener: TcpListener, routers: Routers, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(SERVE_CONNECTIONS_MAX));
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "serve.accept_failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Above the cap the connection is closed at once; whoever waits for a place would only pile up.
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            continue;
        };
        let router = if connections.available_permits() < SERVE_CONNECTIONS_RESERVED {
            routers.reserved.clone()
        } else {
            routers.full.clone()
        };
        tracker.spawn(serve(stream, router, permit, stop.clone()));
    }
    drop(listener);
    tracker.close();
    // Whoever does not take the answer in time loses it.
    let _ = tokio::time::timeout(STOP_WITHIN, tracker.wait()).await;
}

async fn serve(stream: TcpStream, router: Router, _permit: OwnedSemaphorePermit, stop: CancellationToken) {
    // Only a small delay would be lost without it.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Timed { stream, stuck: None });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SERVE_HEAD_WITHIN)
        .max_buf_size(SERVE_HEAD_BYTES_MAX)
        .max_headers(SERVE_HEADERS_MAX)
        .serve_connection(io, TowerToHyperService::new(router));
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
