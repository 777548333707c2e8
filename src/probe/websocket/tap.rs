//! Watches the bytes of a session for the Close frame, because tungstenite reports codes that it does not know (1014, …) as
//! 1002. Must not: change or hold back a byte.

use super::codec::{CLOSE, Header, close_parts, header};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest frame header.
const HEADER_BYTES_MAX: usize = 14;

/// Code and reason of the Close frame, once it has passed.
#[derive(Clone, Default)]
pub(super) struct SeenClose(Arc<Mutex<Option<(u16, String)>>>);

impl SeenClose {
    pub(super) fn get(&self) -> Option<(u16, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, close: (u16, String)) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(close);
    }
}

/// A stream whose incoming frames are watched.
pub(super) struct Tapped<S> {
    inner: S,
    scanner: Scanner,
}

impl<S> Tapped<S> {
    pub(super) fn new(inner: S, seen: SeenClose) -> Self {
        Self {
            inner,
            scanner: Scanner {
                seen,
                state: State::Header(Vec::new()),
            },
        }
    }
}

/// Follows frame boundaries.
struct Scanner {
    seen: SeenClose,
    state: State,
}

enum State {
    /// Collecting a header.
    Header(Vec<u8>),
    /// Passing over a payload of which this many bytes are left.
    Payload(u64),
    /// Collecting a Close frame's payload of this size.
    Close(usize, Vec<u8>),
    /// After the Close, or after a frame that is against the rules.
    Done,
}

impl Scanner {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Header(start) => {
                    start.push(bytes[0]);
                    bytes = &bytes[1..];
                    match header(start).filter(|header| start.len() >= header.bytes) {
                        Some(header) => self.state = after_header(&header, &self.seen),
                        None if start.len() > HEADER_BYTES_MAX => self.state = State::Done,
                        None => {}
                    }
                }
                State::Payload(left) => {
                    let passed = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= passed as u64;
                    bytes = &bytes[passed..];
                    if *left == 0 {
                        self.state = State::Header(Vec::new());
                    }
                }
                State::Close(wanted, payload) => {
                    let taken = bytes.len().min(*wanted - payload.len());
                    payload.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if payload.len() == *wanted {
                        // A Close against the rules is reported by tungstenite.
                        if let Ok(close) = close_parts(payload) {
                            self.seen.set(close);
                        }
                        self.state = State::Done;
                    }
                }
                State::Done => return,
            }
        }
    }
}

fn after_header(header: &Header, seen: &SeenClose) -> State {
    match (header.opcode, usize::try_from(header.payload)) {
        _ if header.masked => State::Done,
        (CLOSE, Ok(0)) => {
            seen.set((super::NO_CODE, String::new()));
            State::Done
        }
        (CLOSE, Ok(payload @ ..=125)) => State::Close(payload, Vec::new()),
        (CLOSE, _) => State::Done,
        (_, Ok(0)) => State::Header(Vec::new()),
        _ => State::Payload(header.payload),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let done = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.scanner.feed(&buf.filled()[before..]);
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
