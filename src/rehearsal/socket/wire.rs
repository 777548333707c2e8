//! One accepted WebSocket as its server sees it: frames in and out, protocol keepalive, the platform's cut.
//! It owns RFC 6455 matters of a session; what the frames mean belongs to `session` and `echo`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::tap::{Fragmented, Tap};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::timing::Timing;
use crate::rehearsal::world::World;

/// Frames above this close the session with 1009 (contract §4.6).
const FRAME_MAX: usize = 16 * 1024 * 1024;
/// How long a peer may take to accept what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a close that is never answered is held open.
const UNANSWERED_FOR: Duration = Duration::from_secs(30);

/// What a session hears.
#[derive(Debug)]
pub enum Heard {
    /// A text frame.
    Text(String),
    /// A binary frame of so many bytes.
    Binary(usize),
    /// The session is over.
    Over(End),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a closing handshake, or by our own decision.
    Closed,
    /// The peer vanished.
    Lost,
    /// The peer closed, and a fault keeps it waiting for the answer: `linger` before dropping the wire.
    Unanswered,
}

/// An accepted WebSocket.
pub struct Wire {
    ws: WebSocketStream<Tap<TokioIo<Upgraded>>>,
    fragmented: Fragmented,
    timing: Timing,
    next_ping: Option<Instant>,
    pong_due: Option<Instant>,
    cut_at: Instant,
    close_unanswered: bool,
}

impl Wire {
    /// Takes over the stream behind a 101.
    pub async fn new(stream: TokioIo<Upgraded>, world: &World) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        let (stream, fragmented) = Tap::new(stream);
        let ws = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let (timing, now) = (world.timing, Instant::now());
        let keepalive = !world.faults.on(Fault::NoKeepalive);
        let whole_life = timing.socket_cut();
        let life = match world.faults.on(Fault::CutEarly) {
            true => whole_life / 10,
            false => whole_life,
        };
        Self {
            ws,
            fragmented,
            timing,
            next_ping: keepalive.then(|| now + timing.keepalive_interval()),
            pong_due: None,
            cut_at: now + life,
            close_unanswered: world.faults.on(Fault::CloseUnanswered),
        }
    }

    /// Waits for the next thing to answer. Protocol pings and pongs, dead peers and the platform's cut are
    /// dealt with here. Dropping the future loses nothing.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let timer = [self.next_ping, self.pong_due].into_iter().flatten().min();
            let timer = timer.map_or(self.cut_at, |at| at.min(self.cut_at));
            tokio::select! {
                frame = self.ws.next() => {
                    if let Some(heard) = self.frame(frame).await {
                        return heard;
                    }
                }
                () = sleep_until(timer) => {
                    if let Some(end) = self.tick().await {
                        return Heard::Over(end);
                    }
                }
            }
        }
    }

    async fn frame(&mut self, frame: Option<Result<Message, Error>>) -> Option<Heard> {
        Some(match frame {
            Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
            Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes.len()),
            Some(Ok(Message::Pong(_))) => {
                self.pong_due = None;
                return None;
            }
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => return None,
            Some(Ok(Message::Close(_))) => {
                if self.close_unanswered {
                    // The library's own answer leaves with the next read or write, which never comes.
                    return Some(Heard::Over(End::Unanswered));
                }
                self.drain().await;
                Heard::Over(End::Closed)
            }
            Some(Err(Error::Capacity(_))) => {
                self.close(1009, "message too big").await;
                Heard::Over(End::Closed)
            }
            Some(Err(Error::ConnectionClosed)) => Heard::Over(End::Closed),
            Some(Err(_)) | None => Heard::Over(End::Lost),
        })
    }

    async fn tick(&mut self) -> Option<End> {
        let now = Instant::now();
        if now >= self.cut_at {
            return Some(End::Closed);
        }
        if self.pong_due.is_some_and(|due| now >= due) {
            self.close(1011, "keepalive ping timeout").await;
            return Some(End::Lost);
        }
        if self.next_ping.is_some_and(|at| now >= at) {
            self.next_ping = Some(now + self.timing.keepalive_interval());
            if self.pong_due.is_none() {
                self.pong_due = Some(now + self.timing.keepalive_timeout());
                let payload: [u8; 4] = rand::random();
                let ping = Message::Ping(Bytes::copy_from_slice(&payload));
                return self.send(ping).await.err();
            }
        }
        None
    }

    /// Whether the message heard last came in fragments.
    pub fn was_fragmented(&self) -> bool {
        self.fragmented.take()
    }

    /// Sends a JSON frame.
    pub async fn say(&mut self, frame: &Value) -> Result<(), End> {
        self.say_text(frame.to_string()).await
    }

    /// Sends a text frame.
    pub async fn say_text(&mut self, text: String) -> Result<(), End> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_TIMEOUT, self.ws.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Lost),
        }
    }

    /// Closes with a code, and waits a moment for the answer.
    pub async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, self.ws.close(Some(frame))).await {
            self.drain().await;
        }
    }

    /// Reads until the closing handshake is over.
    async fn drain(&mut self) {
        let reading = async { while let Some(Ok(_)) = self.ws.next().await {} };
        // A peer that does not answer the close is dropped.
        let _ = timeout(CLOSE_TIMEOUT, reading).await;
    }

    /// Holds a wire whose close is not to be answered.
    pub async fn linger(self, end: End) {
        if end == End::Unanswered {
            tokio::time::sleep(UNANSWERED_FOR).await;
        }
    }

    /// Reads and answers nothing until the session ends by itself.
    pub async fn ignore(&mut self) {
        while !matches!(self.hear().await, Heard::Over(_)) {}
    }
}
