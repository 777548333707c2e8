//! RFC 6455 section 5: frames to bytes and back, bounded. For the raw session and for the tap; tungstenite does it for
//! ordinary sessions. Pure. Must not: buffer more than one message.

use super::{NO_CODE, Opcode, SeenFrame};
use crate::failure::{Failure, Kind};
use crate::limits::WS_MESSAGE_BYTES_MAX;
use bytes::{Buf, BytesMut};
use tokio::time::Instant;

/// Bytes of a control frame's payload (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) reserved: u8,
    pub(super) opcode: u8,
    pub(super) masked: bool,
    pub(super) payload: u64,
    /// Bytes of the header itself, the masking key included.
    pub(super) bytes: usize,
}

/// Reads a header; `None` while it is incomplete.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (payload, extra) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    let masked = second & 0x80 != 0;
    let bytes = 2 + extra + if masked { 4 } else { 0 };
    Some(Header {
        fin: first & 0x80 != 0,
        reserved: first & 0x70,
        opcode: first & 0x0f,
        masked,
        payload,
        bytes,
    })
}

/// A client's frame: masked with `mask` (RFC 6455 section 5.3).
pub(super) fn encode(opcode: u8, fin: bool, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(if fin { 0x80 | opcode } else { opcode });
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap_or_default()),
        medium @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(medium).unwrap_or_default().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Splits the payload of a Close frame into code and reason.
pub(super) fn close_parts(payload: &[u8]) -> Result<(u16, String), Failure> {
    match payload {
        [] => Ok((NO_CODE, String::new())),
        [_] => Err(protocol("a Close frame with one byte")),
        [high, low, reason @ ..] => match std::str::from_utf8(reason) {
            Ok(reason) => Ok((u16::from_be_bytes([*high, *low]), reason.to_owned())),
            Err(_) => Err(protocol("a close reason that is not UTF-8")),
        },
    }
}

/// Puts a server's frames together.
#[derive(Default)]
pub(super) struct Decoder {
    /// Opcode and payload so far of a fragmented message.
    partial: Option<(u8, Vec<u8>)>,
}

impl Decoder {
    /// Takes the next whole message or control frame from the front of `buffer`; `None` while it is incomplete.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<SeenFrame>, Failure> {
        loop {
            let Some(header) = header(buffer) else { return Ok(None) };
            self.check(&header)?;
            // Checked against the limit above, so it fits.
            let payload_bytes = usize::try_from(header.payload).unwrap_or(usize::MAX);
            if buffer.len() < header.bytes + payload_bytes {
                return Ok(None);
            }
            buffer.advance(header.bytes);
            let payload = buffer.split_to(payload_bytes);
            if let Some(seen) = self.take(&header, &payload)? {
                return Ok(Some(seen));
            }
        }
    }

    fn check(&self, header: &Header) -> Result<(), Failure> {
        let so_far = self.partial.as_ref().map_or(0, |(_, payload)| payload.len() as u64);
        let is_control = header.opcode >= CLOSE;
        if header.masked {
            return Err(protocol("the server masked a frame"));
        }
        if header.reserved != 0 {
            return Err(protocol("a frame has reserved bits set"));
        }
        match header.opcode {
            CONTINUATION if self.partial.is_none() => return Err(protocol("a continuation of nothing")),
            TEXT | BINARY if self.partial.is_some() => return Err(protocol("a new message inside a fragmented one")),
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => {}
            other => return Err(protocol(&format!("the reserved opcode {other}"))),
        }
        if is_control && (!header.fin || header.payload > CONTROL_BYTES_MAX) {
            return Err(protocol("a control frame that is fragmented or too long"));
        }
        let bytes = header.payload.saturating_add(if is_control { 0 } else { so_far });
        if bytes > WS_MESSAGE_BYTES_MAX as u64 {
            let detail = format!("a message of {bytes} bytes is above the limit of {WS_MESSAGE_BYTES_MAX}");
            return Err(Failure::new(Kind::WsMessageTooBig, detail));
        }
        Ok(())
    }

    fn take(&mut self, header: &Header, payload: &[u8]) -> Result<Option<SeenFrame>, Failure> {
        let now = Instant::now();
        match header.opcode {
            CLOSE => {
                let (code, reason) = close_parts(payload)?;
                return Ok(Some(SeenFrame::closed(now, code, &reason)));
            }
            PING => return Ok(Some(SeenFrame::other(now, Opcode::Ping, payload.len()))),
            PONG => return Ok(Some(SeenFrame::other(now, Opcode::Pong, payload.len()))),
            _ => {}
        }
        let (opcode, message) = match self.partial.take() {
            Some((opcode, mut message)) => {
                message.extend_from_slice(payload);
                (opcode, message)
            }
            None => (header.opcode, payload.to_vec()),
        };
        if !header.fin {
            self.partial = Some((opcode, message));
            return Ok(None);
        }
        if opcode == BINARY {
            return Ok(Some(SeenFrame::other(now, Opcode::Binary, message.len())));
        }
        let text = String::from_utf8(message);
        text.map(|text| Some(SeenFrame::text(now, text)))
            .map_err(|_| Failure::new(Kind::WsNotUtf8, "a text message is not UTF-8"))
    }
}

fn protocol(what: &str) -> Failure {
    Failure::new(Kind::WsProtocol, what)
}
