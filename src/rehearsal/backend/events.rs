//! Server-sent events: a run streamed while it goes on (contract §3.4, intended).
//! It owns the stream's frames and its faults; runs belong to `agent`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::runs::{ordered, started};
use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::Authenticated;
use crate::rehearsal::reply::{Outcome, Problem};
use crate::rehearsal::timing;
use crate::rehearsal::world::World;

/// Content type of a stream of events.
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Frames a slow reader may be behind.
const FRAMES_MAX: usize = 64;
/// How long a stream that should end is kept open under its faults.
const LINGER: Duration = Duration::from_secs(600);
/// Interval of the comments of a stream that never ends.
const COMMENT_EVERY: Duration = Duration::from_millis(500);

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/agent/stream", &["post"], post(stream_run))
        .add("/api/events/stream", &["get"], get(samples))
}

async fn stream_run(call: Call, Authenticated(user): Authenticated, body: Bytes) -> Outcome {
    if call.on(Fault::Sse500) {
        return Err(Problem::Unhandled);
    }
    let order = ordered(&call, &user, &body)?;
    let user_id = order.user_id.clone();
    let (started, events) = started(&call, order)?;
    let run_id = match call.on(Fault::SseWrongRun) {
        true => format!("run_{}", crate::rehearsal::new_hex(12)),
        false => started.run_id.clone(),
    };
    let (frames, body) = mpsc::channel(FRAMES_MAX);
    let streaming = Streaming {
        world: Arc::clone(&call.world),
        cut: call.seat.cut.clone(),
        stored_as: started.run_id,
        run_id,
        user_id,
        frames,
    };
    call.world.tasks.spawn(streaming.relay(events));
    let content_type = match call.on(Fault::SseWrongType) {
        true => "application/json",
        false => EVENT_STREAM,
    };
    Ok(response(body, content_type))
}

fn response(frames: mpsc::Receiver<Bytes>, content_type: &'static str) -> Response {
    let body = stream::unfold(frames, async |mut frames| {
        let frame = frames.recv().await?;
        Some((Ok::<_, Infallible>(frame), frames))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// One stream being written.
struct Streaming {
    world: Arc<World>,
    cut: CancellationToken,
    /// The run's id in the database.
    stored_as: String,
    /// The run's id as the stream names it.
    run_id: String,
    user_id: String,
    frames: mpsc::Sender<Bytes>,
}

/// Says that nobody reads the stream any more.
struct Unread;

impl Streaming {
    async fn relay(self, events: mpsc::Receiver<Value>) {
        let stop = self.world.stop.clone();
        let cut = self.cut.clone();
        tokio::select! {
            // A reader that went away ends the stream, not the run.
            _ = self.write(events) => {}
            () = cut.cancelled() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn send(&self, text: String) -> Result<(), Unread> {
        self.frames.send(Bytes::from(text)).await.map_err(|_| Unread)
    }

    async fn data(&self, frame: &Value) -> Result<(), Unread> {
        let text = match self.world.faults.on(Fault::SseBadJson) {
            true => format!("data: {{'type': {}}}\n\n", frame["type"]),
            false => format!("data: {frame}\n\n"),
        };
        self.send(text).await
    }

    async fn write(&self, mut events: mpsc::Receiver<Value>) -> Result<(), Unread> {
        let faults = &self.world.faults;
        if faults.on(Fault::SseSilent) {
            tokio::time::sleep(LINGER).await;
            return Ok(());
        }
        let fake = faults.on(Fault::SseFake);
        let first = json!({
            "type": "start", "run_id": self.run_id, "user_id": self.user_id,
            "request_scoped": true, "timestamp": timing::now_unix(),
        });
        if !fake {
            self.data(&first).await?;
        }
        while let Some(mut event) = events.recv().await {
            if faults.on(Fault::SseWrongRun) && event.get("run_id").is_some() {
                event["run_id"] = json!(self.run_id);
            }
            if !fake {
                self.data(&event).await?;
            }
        }
        if fake {
            self.data(&first).await?;
        }
        let run = self.world.store.run(&self.stored_as);
        let answer = run.as_ref().and_then(|run| run.answer.clone());
        let status = run.map_or("failed", |run| run.status.name());
        self.data(&json!({
            "type": "complete", "run_id": self.run_id, "message": answer, "status": status,
        }))
        .await?;
        if faults.on(Fault::SseNeverEnds) {
            self.comments().await?;
        }
        Ok(())
    }

    async fn comments(&self) -> Result<(), Unread> {
        let until = tokio::time::Instant::now() + LINGER;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(COMMENT_EVERY).await;
            self.send(": keep-alive\n\n".to_owned()).await?;
        }
        Ok(())
    }
}

/// Exists only as a fabrication: sample events that belong to nobody's run.
async fn samples(call: Call) -> Outcome {
    if !call.on(Fault::EventsStreamFabricated) {
        return Err(Problem::NoRoute);
    }
    let (frames, body) = mpsc::channel(FRAMES_MAX);
    let (stop, cut) = (call.world.stop.clone(), call.seat.cut.clone());
    call.world.tasks.spawn(async move {
        let sampling = async {
            for number in 0..600_u32 {
                let event = json!({
                    "type": "agent_started", "agent_id": format!("agent-{number}"),
                    "timestamp": timing::now_unix(),
                });
                let frame = Bytes::from(format!("event: agent\ndata: {event}\n\n"));
                if frames.send(frame).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = sampling => {}
            () = cut.cancelled() => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(response(body, EVENT_STREAM))
}
