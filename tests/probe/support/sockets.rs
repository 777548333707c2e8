//! WebSocket servers of the tests and sessions with them.

use super::{Peer, Server, client, open};
use stagewatch::probe::{RawSession, Session};
use std::future::Future;
use std::sync::Arc;

/// A server that switches and then runs `serve`.
pub async fn socket<F, Fut>(serve: F) -> Server
where
    F: Fn(Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let serve = Arc::new(serve);
    Server::start(move |mut peer| {
        let serve = Arc::clone(&serve);
        async move {
            peer.switch("").await;
            serve(peer).await;
        }
    })
    .await
}

pub async fn session(server: &Server) -> Session {
    client(server).upgrade(open(server, "/ws", 2000)).await.1.unwrap()
}

pub async fn raw(server: &Server) -> RawSession {
    client(server).upgrade_raw(open(server, "/ws", 2000)).await.1.unwrap()
}

/// Echoes text frames and whole fragmented messages, answers pings and closes.
pub async fn echo(mut peer: Peer) {
    let mut message = Vec::new();
    while let Some((first, payload)) = peer.next_frame().await {
        match first & 0x0f {
            0 | 1 => {
                message.extend_from_slice(&payload);
                if first & 0x80 != 0 {
                    let whole = std::mem::take(&mut message);
                    peer.frame(0x81, whole).await;
                }
            }
            2 => peer.frame(0x82, payload).await,
            8 => return peer.frame(0x88, payload).await,
            9 => peer.frame(0x8a, payload).await,
            _ => {}
        }
    }
}
