//! A stream that notices fragmented messages as they pass (RFC 6455 §5.4), for the fault `fragments-lost`.
//! The WebSocket library joins fragments before anybody sees them. It must not change a byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Tells whether a fragmented message has come in since it was last asked.
#[derive(Clone, Default)]
pub struct Fragmented(Arc<AtomicBool>);

impl Fragmented {
    /// Asks, and forgets.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Where the reader of frame heads is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    First,
    Length {
        unfinished: bool,
    },
    /// So many bytes of an extended length are to come, with the value so far.
    Extended {
        left: u8,
        value: u64,
        masked: bool,
    },
    /// So many bytes of mask and payload are to come.
    Payload(u64),
}

/// A stream with a reader of frame heads beside it.
pub struct Tap<S> {
    inner: S,
    at: At,
    fragmented: Fragmented,
}

impl<S> Tap<S> {
    /// Listens in on `inner`.
    pub fn new(inner: S) -> (Self, Fragmented) {
        let fragmented = Fragmented::default();
        (
            Self {
                inner,
                at: At::First,
                fragmented: fragmented.clone(),
            },
            fragmented,
        )
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if let At::Payload(left) = self.at {
                let skipped = left.min(bytes.len() as u64);
                bytes = &bytes[skipped as usize..];
                self.at = after(left - skipped);
                continue;
            }
            self.at = self.step(*byte);
            bytes = rest;
        }
    }

    fn step(&self, byte: u8) -> At {
        const MASK: u64 = 4;
        match self.at {
            At::First => {
                let control = byte & 0x08 != 0;
                At::Length {
                    unfinished: byte & 0x80 == 0 && !control,
                }
            }
            At::Length { unfinished } => {
                if unfinished {
                    self.fragmented.0.store(true, Ordering::Relaxed);
                }
                let masked = byte & 0x80 != 0;
                match byte & 0x7f {
                    126 => At::Extended {
                        left: 2,
                        value: 0,
                        masked,
                    },
                    127 => At::Extended {
                        left: 8,
                        value: 0,
                        masked,
                    },
                    length => after(u64::from(length) + if masked { MASK } else { 0 }),
                }
            }
            At::Extended { left, value, masked } => {
                let value = value << 8 | u64::from(byte);
                match left {
                    1 => after(value.saturating_add(if masked { MASK } else { 0 })),
                    left => At::Extended {
                        left: left - 1,
                        value,
                        masked,
                    },
                }
            }
            At::Payload(left) => At::Payload(left),
        }
    }
}

fn after(left: u64) -> At {
    match left {
        0 => At::First,
        left => At::Payload(left),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &polled {
            self.pass(&buf.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked client frame of so many payload bytes.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(0x80 | payload as u8),
            126..=65_535 => {
                frame.push(0x80 | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(vec![0; payload]);
        frame
    }

    #[test]
    fn only_fragments_are_noticed_however_the_bytes_arrive() {
        for piece in [1, 3, 70_000] {
            let (mut tap, fragmented) = Tap::new(());
            let whole = [frame(0x81, 5), frame(0x89, 0), frame(0x81, 300), frame(0x82, 70_000)].concat();
            whole.chunks(piece).for_each(|bytes| tap.pass(bytes));
            assert!(!fragmented.take(), "{piece}");
            let parts = [frame(0x01, 200), frame(0x89, 2), frame(0x00, 7), frame(0x80, 1)].concat();
            parts.chunks(piece).for_each(|bytes| tap.pass(bytes));
            assert!(fragmented.take() && !fragmented.take(), "{piece}");
            assert_eq!(tap.at, At::First);
        }
    }
}
