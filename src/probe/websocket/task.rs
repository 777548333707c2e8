//! The background task that owns a session's stream: reads frames, stamps their arrival, answers pings, writes what it is
//! told. Reading and writing never wait for each other. Must not: outlive its session.

use super::queue::Queue;
use super::tap::{SeenClose, Tapped};
use super::{FloodGuard, NO_CLOSE, NO_CODE, Opcode, Outgoing, Rule, SeenFrame};
use crate::failure::{Failure, Kind};
use crate::limits::{WS_CLOSE_LINGER, WS_MESSAGE_BYTES_MAX, WS_READ_BUFFER_BYTES, WS_WRITE_BUFFER_BYTES_MAX};
use crate::probe::classify;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// What the owner of a session asks its task to write. The answer is the time of the flush.
pub(super) enum Command {
    Send(Outgoing, oneshot::Sender<Result<Instant, Failure>>),
    Ping(u64, oneshot::Sender<Result<Instant, Failure>>),
    Close(u16, String, oneshot::Sender<Result<Instant, Failure>>),
    /// An automatic answer; nobody waits for it.
    Answer(String),
}

/// What the task and the session share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) rule: Mutex<Option<Rule>>,
    /// Pings whose pong is awaited, by their payload.
    pub(super) pings: Mutex<Vec<(u64, oneshot::Sender<Instant>)>>,
    pub(super) hold: watch::Sender<bool>,
    /// For the rule's answers.
    pub(super) commands: mpsc::WeakSender<Command>,
}

/// Runs a session until its end.
pub(super) async fn drive<S>(stream: S, shared: Arc<Shared>, commands: mpsc::Receiver<Command>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let seen_close = SeenClose::default();
    let config = WebSocketConfig::default()
        .read_buffer_size(WS_READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WS_WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(WS_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(WS_MESSAGE_BYTES_MAX));
    let tapped = Tapped::new(stream, seen_close.clone());
    let socket = WebSocketStream::from_raw_socket(tapped, Role::Client, Some(config)).await;
    let (sink, stream) = socket.split();
    tokio::select! {
        () = read(stream, &shared, &seen_close) => {}
        () = write(sink, commands) => shared.queue.fail(Failure::new(Kind::Cancelled, "the session was dropped")),
    }
    // Whoever waits for a pong learns that none will come.
    shared.pings.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

async fn read<S>(mut stream: SplitStream<WebSocketStream<Tapped<S>>>, shared: &Shared, seen_close: &SeenClose)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut hold = shared.hold.subscribe();
    let mut flood = FloodGuard::default();
    loop {
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = hold.wait_for(|hold| !*hold).await;
        let item = tokio::select! {
            item = stream.next() => item,
            _ = hold.changed() => continue,
        };
        let now = Instant::now();
        let message = match item {
            Some(Ok(message)) => message,
            Some(Err(error)) => return end(&error, shared, seen_close, now),
            None => return shared.queue.close(SeenFrame::closed(now, NO_CLOSE, "")),
        };
        if matches!(message, Message::Ping(_) | Message::Pong(_))
            && let Err(failure) = flood.count(now)
        {
            return shared.queue.fail(failure);
        }
        match message {
            Message::Text(text) => deliver(SeenFrame::text(now, text.as_str().to_owned()), shared),
            Message::Binary(data) => deliver(SeenFrame::other(now, Opcode::Binary, data.len()), shared),
            Message::Ping(_) => shared.queue.count(|counts| counts.pings += 1),
            Message::Pong(payload) => pong(&payload, now, shared),
            Message::Close(close) => {
                let close = seen_close.get().unwrap_or_else(|| close_parts(close));
                shared.queue.close(SeenFrame::closed(now, close.0, &close.1));
                // Reading on sends our answer to the Close; what comes after it is of no interest.
                let drained = async { while let Some(Ok(_)) = stream.next().await {} };
                let _ = timeout(WS_CLOSE_LINGER, drained).await;
                return;
            }
            Message::Frame(_) => {}
        }
    }
}

fn deliver(frame: SeenFrame, shared: &Shared) {
    let rule = shared.rule.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(answer) = rule.and_then(|rule| rule(&frame)) {
        let queued = shared
            .commands
            .upgrade()
            .is_some_and(|commands| commands.try_send(Command::Answer(answer)).is_ok());
        shared.queue.count(|counts| {
            if queued {
                counts.answers += 1
            } else {
                counts.answers_lost += 1
            }
        });
    }
    shared.queue.push(frame);
}

fn pong(payload: &[u8], now: Instant, shared: &Shared) {
    let Some(number) = payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else {
        return;
    };
    let mut pings = shared.pings.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = pings.iter().position(|(awaited, _)| *awaited == number) {
        // The waiter may have given up at its deadline.
        let _ = pings.swap_remove(place).1.send(now);
    }
}

/// The end of a session other than by a readable Close.
fn end(error: &Error, shared: &Shared, seen_close: &SeenClose, now: Instant) {
    match (classify::session(error), seen_close.get()) {
        (Some(failure), None) if failure.kind == Kind::WsClosed => {
            shared.queue.close(SeenFrame::closed(now, NO_CLOSE, ""))
        }
        (Some(failure), _) => shared.queue.fail(failure),
        (None, close) => {
            let (code, reason) = close.unwrap_or((NO_CLOSE, String::new()));
            shared.queue.close(SeenFrame::closed(now, code, &reason));
        }
    }
}

fn close_parts(close: Option<CloseFrame>) -> (u16, String) {
    close.map_or((NO_CODE, String::new()), |close| {
        (close.code.into(), close.reason.as_str().to_owned())
    })
}

type Sink<S> = SplitSink<WebSocketStream<Tapped<S>>, Message>;

/// Writes one command after the other, until the session is dropped.
async fn write<S>(mut sink: Sink<S>, mut commands: mpsc::Receiver<Command>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(command) = commands.recv().await {
        let (messages, reply) = match command {
            Command::Send(outgoing, reply) => (messages(outgoing), Some(reply)),
            Command::Ping(number, reply) => (
                vec![Message::Ping(Bytes::copy_from_slice(&number.to_be_bytes()))],
                Some(reply),
            ),
            Command::Close(code, reason, reply) => {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: reason.into(),
                };
                (vec![Message::Close(Some(frame))], Some(reply))
            }
            Command::Answer(text) => (vec![Message::text(text)], None),
        };
        let written = write_all(&mut sink, messages).await;
        if let Some(reply) = reply {
            // The one who asked may have given up at its deadline.
            let _ = reply.send(written);
        }
    }
}

async fn write_all<S>(sink: &mut Sink<S>, messages: Vec<Message>) -> Result<Instant, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fail = |error: Error| {
        classify::session(&error).unwrap_or_else(|| Failure::new(Kind::WsClosed, "the session is closed"))
    };
    for message in messages {
        sink.feed(message).await.map_err(fail)?;
    }
    sink.flush().await.map_err(fail)?;
    Ok(Instant::now())
}

fn messages(outgoing: Outgoing) -> Vec<Message> {
    match outgoing {
        Outgoing::Text(text) => vec![Message::text(text)],
        Outgoing::Binary(data) => vec![Message::binary(data)],
        Outgoing::Fragments(parts) => {
            let last = parts.len().saturating_sub(1);
            let fragment = |(place, part): (usize, String)| {
                let opcode = if place == 0 { Data::Text } else { Data::Continue };
                Message::Frame(Frame::message(part, OpCode::Data(opcode), place == last))
            };
            parts.into_iter().enumerate().map(fragment).collect()
        }
    }
}
