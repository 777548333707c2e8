//! A WebSocket over a connection of our own: half frames, RST, pings that nobody answers. Must not: answer anything by
//! itself.

use super::codec::{BINARY, CONTINUATION, Decoder, TEXT, encode};
use super::{FloodGuard, NO_CLOSE, Opcode, Outgoing, SeenFrame};
use crate::failure::{Failure, Kind, Phase};
use crate::limits::{DETAIL_BYTES_MAX, WS_READ_BUFFER_BYTES};
use crate::probe::classify;
use crate::probe::client::RunStart;
use crate::probe::dial::Dialled;
use crate::transcript::Closed;
use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Bytes that a half frame announces, and half of which it sends.
const HALF_FRAME_BYTES: usize = 64;

/// An open WebSocket without a background task: it reads only while it is asked to, never answers protocol pings (they are
/// reported as frames) and can break off.
pub struct RawSession {
    io: Dialled,
    buffer: BytesMut,
    decoder: Decoder,
    flood: FloodGuard,
    run: RunStart,
    switched_at: Instant,
    ended: Option<Failure>,
}

impl RawSession {
    pub(in crate::probe) fn start(upgraded: Upgraded, run: RunStart, switched_at: Instant) -> Result<Self, Failure> {
        let parts = upgraded.downcast::<TokioIo<Dialled>>();
        let parts = parts.map_err(|_| Failure::new(Kind::HttpProtocol, "the connection cannot be taken over"))?;
        Ok(Self {
            io: parts.io.into_inner(),
            buffer: BytesMut::from(parts.read_buf.as_ref()),
            decoder: Decoder::default(),
            flood: FloodGuard::default(),
            run,
            switched_at,
            ended: None,
        })
    }

    /// When the 101 was complete.
    pub fn switched_at(&self) -> Instant {
        self.switched_at
    }

    /// Sends a message and returns when its last byte was flushed.
    ///
    /// # Errors
    /// `tcp_reset` if the connection is gone, `ws_no_answer` if the peer does not read until the deadline.
    pub async fn send(&mut self, message: Outgoing, deadline: Instant) -> Result<Instant, Failure> {
        let bytes = match message {
            Outgoing::Text(text) => frame(TEXT, true, text.as_bytes()),
            Outgoing::Binary(data) => frame(BINARY, true, &data),
            Outgoing::Fragments(parts) => {
                let last = parts.len().saturating_sub(1);
                let fragment = |(place, part): (usize, &String)| {
                    frame(
                        if place == 0 { TEXT } else { CONTINUATION },
                        place == last,
                        part.as_bytes(),
                    )
                };
                parts.iter().enumerate().flat_map(fragment).collect()
            }
        };
        self.write(&bytes, deadline).await
    }

    /// Sends the first half of a text frame and leaves it there.
    ///
    /// # Errors
    /// As [`RawSession::send`].
    pub async fn half_frame(&mut self, deadline: Instant) -> Result<Instant, Failure> {
        let whole = frame(TEXT, true, &[b' '; HALF_FRAME_BYTES]);
        self.write(&whole[..whole.len() - HALF_FRAME_BYTES / 2], deadline).await
    }

    /// The next data or control frame; `None` at the deadline. After the close, its failure.
    ///
    /// # Errors
    /// How the session ended.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let next = self.read(deadline).await.map_err(|failure| self.told(failure));
        match &next {
            Err(failure) => self.ended = Some(failure.clone()),
            Ok(Some(frame)) if frame.opcode() == Opcode::Close => self.ended = Some(self.told(frame.close_failure())),
            Ok(_) => {}
        }
        next
    }

    /// Closes the connection with RST.
    pub fn reset(self) -> Closed {
        self.io.reset();
        Closed {
            on: String::new(),
            how: "reset".to_owned(),
            answer: None,
        }
    }

    async fn read(&mut self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer)? {
                if matches!(frame.opcode(), Opcode::Ping | Opcode::Pong) {
                    self.flood.count(frame.at())?;
                }
                return Ok(Some(frame));
            }
            self.buffer.reserve(WS_READ_BUFFER_BYTES);
            match timeout_at(deadline, self.io.read_buf(&mut self.buffer)).await {
                Err(_) => return Ok(None),
                Ok(Ok(0)) => return Ok(Some(SeenFrame::closed(Instant::now(), NO_CLOSE, ""))),
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Some(SeenFrame::closed(Instant::now(), NO_CLOSE, "")));
                }
                Ok(Err(error)) => return Err(broken(&error)),
            }
        }
    }

    async fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<Instant, Failure> {
        let written = timeout_at(deadline, async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(Instant::now()),
            Ok(Err(error)) => Err(self.told(broken(&error))),
            Err(_) => Err(Failure::new(
                Kind::WsNoAnswer,
                "the peer did not take what we sent in time",
            )),
        }
    }

    fn told(&self, mut failure: Failure) -> Failure {
        failure.detail = self.run.redactor.line(&failure.detail, DETAIL_BYTES_MAX);
        failure
    }
}

fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    encode(opcode, fin, payload, rand::random())
}

fn broken(error: &io::Error) -> Failure {
    let kind = classify::local_resource(error).unwrap_or(Kind::TcpReset);
    Failure::new(kind, error.to_string())
        .in_phase(Phase::Session)
        .with_close_code(NO_CLOSE)
}
