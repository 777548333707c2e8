//! Listeners that can really be closed and opened again on the same port, and the connections behind them.
//! It owns accepting and cutting; what a request is answered belongs to `front`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::front::Front;
use super::world::World;

/// Connections one listener serves at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 2048;
/// How long a connection may go without a request head, idle ones included: the load balancer's own idle timeout.
const HEAD_TIMEOUT: Duration = Duration::from_secs(610);
/// Pause before another try to bind or accept after an error.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long a caller waits for a gate to reach its position.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// One listener's position: where it should be, where it is, and what cuts its connections.
pub struct Gate {
    wanted: watch::Sender<bool>,
    open: watch::Sender<bool>,
    cut: Mutex<CancellationToken>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            wanted: watch::Sender::new(true),
            open: watch::Sender::new(true),
            cut: Mutex::new(CancellationToken::new()),
        }
    }
}

impl Gate {
    /// Says where the listener should be.
    pub fn want(&self, open: bool) {
        self.wanted.send_if_modified(|wanted| {
            let moved = *wanted != open;
            *wanted = open;
            moved
        });
    }

    /// Whether it accepts connections now.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until the listener is where it should be, at most a few seconds.
    pub async fn settled(&self) {
        let mut open = self.open.subscribe();
        let wanted = *self.wanted.borrow();
        // At the deadline the caller goes on: a listener that cannot be bound again is retried behind it.
        let _ = timeout(SETTLE_MAX, open.wait_for(|open| *open == wanted)).await;
    }

    /// Ends with the connections that are open now.
    pub fn cut_token(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cut_all(&self) {
        let fresh = CancellationToken::new();
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *cut, fresh).cancel();
    }
}

/// Serves one place until the rehearsal stops: accepts while its gate is open, and is really gone while not.
pub async fn serve(front: Front, first: TcpListener, at: SocketAddr) {
    let world = Arc::clone(front.world());
    let gate = front.gate();
    let mut listener = Some(first);
    let mut wanted = gate.wanted.subscribe();
    while !world.stop.is_cancelled() {
        if *wanted.borrow_and_update() {
            let Some(open) = take_or_bind(&mut listener, at, &world).await else {
                continue;
            };
            gate.open.send_replace(true);
            accept_until_moved(&front, &open, &mut wanted).await;
        } else {
            listener = None;
            gate.open.send_replace(false);
            gate.cut_all();
            tokio::select! {
                _ = wanted.changed() => {}
                () = world.stop.cancelled() => {}
            }
        }
    }
    gate.cut_all();
}

async fn take_or_bind(listener: &mut Option<TcpListener>, at: SocketAddr, world: &World) -> Option<TcpListener> {
    if let Some(first) = listener.take() {
        return Some(first);
    }
    match TcpListener::bind(at).await {
        Ok(bound) => Some(bound),
        Err(error) => {
            tracing::warn!(%at, %error, "the rehearsal cannot listen again yet");
            tokio::select! {
                () = tokio::time::sleep(RETRY_PAUSE) => {}
                () = world.stop.cancelled() => {}
            }
            None
        }
    }
}

async fn accept_until_moved(front: &Front, listener: &TcpListener, wanted: &mut watch::Receiver<bool>) {
    let world = front.world();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            _ = wanted.changed() => return,
            () = world.stop.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = wanted.changed() => return,
            () = world.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let connection = serve_connection(front.clone(), stream);
                world.tasks.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            // Out of descriptors, or the peer was gone before it was accepted.
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

async fn serve_connection(front: Front, stream: TcpStream) {
    // Small frames must not wait for each other; failing to say so only makes them late.
    let _ = stream.set_nodelay(true);
    let cut = front.gate().cut_token();
    let link = front.link(cut.clone());
    let answering = front.clone();
    let service = service_fn(move |request| answering.clone().answer(Arc::clone(&link), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::select! {
        // A connection that breaks off is the peer's business, or one of our faults.
        _ = connection => {}
        () = cut.cancelled() => {}
        () = front.world().stop.cancelled() => {}
    }
}
