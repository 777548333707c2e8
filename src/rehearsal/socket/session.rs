//! A session after its 101 (contract §4.4–§4.6, §4.9): welcome, heartbeats, answers, limits, the way it ends.
//! It owns one socket's life; the message table belongs to `answer`, agent runs to `agent`.

mod opening;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::Visitor;
use super::answer::{self, Action, AgentWish, Kind, UserMessage, error_frame};
use super::bucket::{BURST, Bucket, MESSAGES_PER_WINDOW};
use super::hub::{Audience, Membership};
use super::wire::{End, Heard, Wire};
use crate::rehearsal::agent::{self, Order, StartError};
use crate::rehearsal::auth::User;
use crate::rehearsal::faults::Fault;
use crate::rehearsal::front::Seat;
use crate::rehearsal::instance::Instance;
use crate::rehearsal::store::{Author, NewMessage, Repeated};
use crate::rehearsal::timing;
use crate::rehearsal::world::World;

pub use opening::refuse_inside;

/// Largest text frame in bytes (contract §4.9, as advertised in the welcome).
pub const MESSAGE_MAX: usize = 8192;
/// Size above which `size-limit-low` refuses.
const LOW_MESSAGE_MAX: usize = 4096;
/// Errors in a row after which `ws-zombie-after-errors` sets in.
const ZOMBIE_AFTER: u32 = 5;
/// Messages within one second above which `burst-closes` closes.
const BURST_CLOSES_ABOVE: u32 = 40;
/// How long `echo-reordered` holds an echo back for the next one.
const HELD_FOR: Duration = Duration::from_millis(40);

/// Whether a session answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answering,
    /// Open, but deaf to everything except protocol pings.
    Zombie,
}

/// One session.
pub struct Session {
    world: Arc<World>,
    instance: Arc<Instance>,
    user: User,
    connection_id: String,
    offered_subprotocol: bool,
    starved: bool,
    mood: Mood,
    bucket: Bucket,
    errors_in_row: u32,
    echoes: u64,
    second: (Instant, u32),
    held: Option<(String, Instant)>,
    run: Option<String>,
}

impl Session {
    /// A session of a visitor on the seat's instance.
    pub fn new(world: Arc<World>, seat: &Seat, visitor: Visitor) -> Self {
        let user = visitor.user;
        let now = Instant::now();
        let window = world.timing.rate_window();
        let connection_id = opening::connection_id(&world, &user.sub);
        Self {
            starved: false,
            instance: Arc::clone(&seat.instance),
            user,
            connection_id,
            offered_subprotocol: visitor.offered_subprotocol,
            mood: Mood::Answering,
            bucket: Bucket::full(window, now),
            errors_in_row: 0,
            echoes: 0,
            second: (now, 0),
            held: None,
            run: None,
            world,
        }
    }

    /// Serves the session to its end.
    pub async fn run(mut self, mut wire: Wire) {
        let Some(membership) = self.open(&mut wire).await else {
            return;
        };
        self.starved = membership.number.is_multiple_of(3) && self.on(Fault::SocketStarved);
        let end = self.serve(&mut wire, membership).await;
        if end == End::Lost && self.on(Fault::ReconnectRefused) {
            self.world.hub.lock_out(&self.user.sub);
        }
        wire.linger(end).await;
    }

    fn on(&self, fault: Fault) -> bool {
        self.world.faults.on(fault)
    }

    async fn serve(&mut self, wire: &mut Wire, mut membership: Membership) -> End {
        let mut interval = self.world.timing.heartbeat();
        if self.on(Fault::HeartbeatIrregular) {
            interval *= 2;
        }
        let mut next_beat = Instant::now();
        let retired = self.instance.retired.clone();
        loop {
            let held_until = self.held.as_ref().map_or(next_beat, |(_, until)| *until);
            let deaf = self.is_blocked();
            let step = tokio::select! {
                heard = wire.hear(), if !deaf => match heard {
                    Heard::Over(end) => return end,
                    heard => self.heard(wire, heard).await,
                },
                Some(text) = membership.inbox.recv() => wire.say_text(text).await,
                () = sleep_until(next_beat) => {
                    next_beat += interval;
                    self.beat(wire).await
                }
                () = sleep_until(held_until), if self.held.is_some() => self.release(wire).await,
                // Looks again whether the run that blocks this session has ended.
                () = tokio::time::sleep(Duration::from_millis(20)), if deaf => Ok(()),
                () = membership.overflow.cancelled() => {
                    wire.close(1013, "too slow").await;
                    return End::Closed;
                }
                () = retired.cancelled() => {
                    if !self.on(Fault::RestartAbrupt) {
                        wire.close(1012, "service restart").await;
                    }
                    return End::Closed;
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Under `agent-blocks-echo`, whether the session's own run is still going on.
    fn is_blocked(&self) -> bool {
        let run = self.run.as_ref().filter(|_| self.on(Fault::AgentBlocksEcho));
        run.and_then(|run_id| self.world.store.run(run_id))
            .is_some_and(|run| run.ended_at.is_none())
    }

    async fn beat(&mut self, wire: &mut Wire) -> Result<(), End> {
        if self.mood == Mood::Zombie || self.on(Fault::HeartbeatMissing) {
            return Ok(());
        }
        let data = json!({ "timestamp": timing::now_unix() });
        wire.say(&answer::framed("ping", data)).await
    }

    async fn heard(&mut self, wire: &mut Wire, heard: Heard) -> Result<(), End> {
        self.world.stats.message();
        let lost = wire.was_fragmented() && self.on(Fault::FragmentsLost);
        if self.mood == Mood::Zombie || lost {
            return Ok(());
        }
        let actions = match heard {
            Heard::Text(text) if text.len() > self.message_max() => {
                return self.too_large(wire, text.len()).await;
            }
            Heard::Text(text) => answer::to_text(&text, &self.user.sub),
            Heard::Binary(bytes) => {
                let details = json!({ "bytes": bytes });
                let message = "binary frames are not supported; send text";
                let frame = error_frame("FORMAT_ERROR", message, details);
                vec![Action::Reply(Kind::WrongShape, frame)]
            }
            Heard::Over(end) => return Err(end),
        };
        if actions.is_empty() {
            // Pongs and the like are answers to us; they cost nothing.
            return Ok(());
        }
        self.limit_burst(wire).await?;
        if let Err(wait) = self.bucket.take(Instant::now()) {
            return self.over_rate(wire, wait).await;
        }
        self.count_errors(&actions);
        for action in actions {
            self.act(wire, action).await?;
        }
        Ok(())
    }

    fn message_max(&self) -> usize {
        match self.on(Fault::SizeLimitLow) {
            true => LOW_MESSAGE_MAX,
            false => MESSAGE_MAX,
        }
    }

    async fn too_large(&mut self, wire: &mut Wire, bytes: usize) -> Result<(), End> {
        if self.on(Fault::OversizeSilent) {
            return Ok(());
        }
        let limit = self.message_max();
        let message = format!("message of {bytes} bytes exceeds the limit of {limit}");
        let details = json!({ "limit": limit, "size": bytes });
        wire.say(&error_frame("MESSAGE_TOO_LARGE", &message, details)).await
    }

    async fn over_rate(&mut self, wire: &mut Wire, wait: Duration) -> Result<(), End> {
        let details = json!({
            "limit": MESSAGES_PER_WINDOW, "window_seconds": self.world.timing.rate_window().as_secs_f64(),
            "burst": BURST, "retry_after_seconds": wait.as_secs_f64(),
        });
        let message = "too many messages on this connection";
        wire.say(&error_frame("RATE_LIMIT_EXCEEDED", message, details)).await
    }

    async fn limit_burst(&mut self, wire: &mut Wire) -> Result<(), End> {
        let now = Instant::now();
        if now.duration_since(self.second.0) > Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        if self.second.1 > BURST_CLOSES_ABOVE && self.on(Fault::BurstCloses) {
            wire.close(1011, "Internal error").await;
            return Err(End::Closed);
        }
        Ok(())
    }

    fn count_errors(&mut self, actions: &[Action]) {
        let is_error = |action: &Action| matches!(action, Action::Reply(Kind::WrongShape, _));
        self.errors_in_row = match actions.iter().any(is_error) {
            true => self.errors_in_row + 1,
            false => 0,
        };
        if self.errors_in_row >= ZOMBIE_AFTER && self.on(Fault::ZombieAfterErrors) {
            self.mood = Mood::Zombie;
        }
    }

    async fn act(&mut self, wire: &mut Wire, action: Action) -> Result<(), End> {
        match action {
            Action::Reply(kind, frame) => self.reply(wire, kind, frame).await,
            Action::Keep(message) => self.keep(wire, message).await,
            Action::Start(wish) => self.start(wire, wish).await,
        }
    }

    async fn reply(&mut self, wire: &mut Wire, kind: Kind, mut frame: Value) -> Result<(), End> {
        if self.starved {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let silent = match kind {
            Kind::Echo => return self.echo(wire, frame).await,
            Kind::Pong => self.on(Fault::PingUnanswered),
            Kind::Ack => self.on(Fault::AckMissing),
            Kind::UnknownAck => self.on(Fault::UnknownTypeSilent),
            Kind::NotJson => self.on(Fault::FormatSilent),
            Kind::WrongShape => self.on(Fault::SilentDrops) || self.on(Fault::ZombieAfterErrors),
            Kind::Other => false,
        };
        if silent {
            return Ok(());
        }
        if kind == Kind::Ack {
            if self.on(Fault::AckSlow) {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            if self.on(Fault::AckWrongId) {
                frame["data"]["original_message_id"] = json!("another-message");
            }
        }
        self.leak(&frame);
        wire.say(&frame).await
    }

    /// Sends a frame of this user to everybody else (fault `ws-cross-user-leak`).
    fn leak(&self, frame: &Value) {
        if self.on(Fault::CrossUserLeak) {
            let audience = Audience::Strangers(&self.user.sub);
            self.world.hub.send(audience, &frame.to_string());
        }
    }

    async fn echo(&mut self, wire: &mut Wire, mut frame: Value) -> Result<(), End> {
        self.echoes += 1;
        if self.on(Fault::EchoLost) && self.echoes.is_multiple_of(3) {
            return Ok(());
        }
        if self.on(Fault::EchoSlow) {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        if self.on(Fault::EchoWrongId) {
            frame["id"] = json!("another-id");
        }
        if self.on(Fault::EchoReordered) && self.held.is_none() {
            self.held = Some((frame.to_string(), Instant::now() + HELD_FOR));
            return Ok(());
        }
        self.leak(&frame);
        wire.say(&frame).await?;
        if self.on(Fault::EchoDuplicated) {
            wire.say(&frame).await?;
        }
        self.release(wire).await
    }

    async fn release(&mut self, wire: &mut Wire) -> Result<(), End> {
        match self.held.take() {
            Some((text, _)) => wire.say_text(text).await,
            None => Ok(()),
        }
    }

    /// Keeps a user's message in a thread of theirs; a thread that is not theirs keeps nothing.
    async fn keep(&mut self, wire: &mut Wire, message: UserMessage) -> Result<(), End> {
        let thread = self.world.store.thread(&message.thread_id);
        if thread.is_some_and(|thread| thread.user_id == self.user.sub) {
            let repeated = match self.on(Fault::MessageDuplicates) {
                true => Repeated::Store,
                false => Repeated::Ignore,
            };
            let row = NewMessage {
                thread_id: message.thread_id.clone(),
                user_id: self.user.sub.clone(),
                author: Author::User,
                content: message.content.clone(),
                client_id: message.message_id.clone(),
                metadata: serde_json::Map::new(),
            };
            self.world.store.add_message(row, repeated);
        }
        if !self.on(Fault::UserMessageRuns) {
            return Ok(());
        }
        let wish = AgentWish {
            thread_id: Some(message.thread_id),
            message_id: message.message_id,
            user_request: Some(message.content),
        };
        self.start(wire, wish).await
    }

    async fn start(&mut self, wire: &mut Wire, wish: AgentWish) -> Result<(), End> {
        let Some(user_request) = wish.user_request else {
            if self.on(Fault::StartAgentSilent) {
                return Ok(());
            }
            let message = "start_agent needs payload.user_request";
            let details = json!({ "missing": ["user_request"], "original_message_id": wish.message_id });
            return wire.say(&error_frame("VALIDATION_ERROR", message, details)).await;
        };
        let order = Order {
            user_id: self.user.sub.clone(),
            thread_id: wish.thread_id,
            message_id: wish.message_id.clone(),
            user_request,
            run_id: None,
            connection_id: Some(self.connection_id.clone()),
            watcher: None,
        };
        let refused = match agent::start(&self.world, &self.instance, order) {
            Ok(started) => {
                self.run = Some(started.run_id);
                if !self.on(Fault::AgentSilent) {
                    return Ok(());
                }
                let data = json!({ "status": "acknowledged", "original_message_id": wish.message_id });
                return wire.say(&answer::system_message(data)).await;
            }
            Err(StartError::Repeated { run_id }) => {
                let data = json!({ "status": "duplicate", "run_id": run_id,
                                   "original_message_id": wish.message_id });
                return wire.say(&answer::system_message(data)).await;
            }
            Err(refused) => refused,
        };
        let details = json!({ "original_message_id": wish.message_id });
        wire.say(&error_frame(refused.code(), &refused.to_string(), details))
            .await
    }
}
