//! The first moments of a session: what may go wrong before the welcome, the limits, the welcome itself.
//! It owns everything up to the first heartbeat.

use std::time::Duration;

use serde_json::json;

use super::super::answer::{error_frame, system_message};
use super::super::hub::{CONNECTIONS_PER_USER, Membership};
use super::super::wire::Wire;
use super::{MESSAGE_MAX, Mood, Session};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::timing;
use crate::rehearsal::world::World;

/// Pause between the 101 and the welcome (contract §4.5).
const WELCOME_AFTER: Duration = Duration::from_millis(50);
/// The same under `ws-welcome-late`.
const LATE_WELCOME_AFTER: Duration = Duration::from_secs(7);
/// Pause between an error frame and the close that follows (contract §4.4).
const CLOSE_AFTER: Duration = Duration::from_millis(100);

/// A session's end before its welcome.
struct Refused {
    code: &'static str,
    message: String,
    close: u16,
    reason: &'static str,
}

/// The id of a new connection: user, time and chance.
pub fn connection_id(world: &World, sub: &str) -> String {
    let prefix: String = sub.chars().take(8).collect();
    if world.faults.on(Fault::ConnectionIdRepeats) {
        return format!("ws_{prefix}_0_00000000");
    }
    let seconds = timing::now_unix() as i64;
    format!("ws_{prefix}_{seconds}_{}", crate::rehearsal::new_hex(4))
}

/// Tells a client that was let in only to be refused (variant of later versions, contract §10).
pub async fn refuse_inside(mut wire: Wire) {
    let refused = Refused {
        code: "AUTH_FAILED",
        message: "Authentication failed: invalid or missing token".to_owned(),
        close: 1008,
        reason: "SSOT Auth failed",
    };
    tell(&mut wire, refused).await;
}

async fn tell(wire: &mut Wire, refused: Refused) {
    let details = json!({ "environment": "staging" });
    let frame = error_frame(refused.code, &refused.message, details);
    if wire.say(&frame).await.is_ok() {
        tokio::time::sleep(CLOSE_AFTER).await;
        wire.close(refused.close, refused.reason).await;
    }
}

impl Session {
    /// Opens the session; `None` if it ended before it could serve.
    pub(super) async fn open(&mut self, wire: &mut Wire) -> Option<Membership> {
        if self.on(Fault::NoWelcome) {
            wire.ignore().await;
            return None;
        }
        if let Some((code, reason)) = self.closed_at_once() {
            wire.close(code, reason).await;
            return None;
        }
        if let Some(refused) = self.refused_at_once() {
            tell(wire, refused).await;
            return None;
        }
        let Ok(membership) = self.world.hub.join(&self.user.sub, &self.connection_id) else {
            let refused = self.over_limit();
            tell(wire, refused).await;
            return None;
        };
        let pause = match self.on(Fault::WelcomeLate) {
            true => LATE_WELCOME_AFTER,
            false => WELCOME_AFTER,
        };
        tokio::time::sleep(pause).await;
        wire.say(&self.welcome()).await.ok()?;
        if self.on(Fault::CloseAfterWelcome) {
            wire.close(1011, "Internal error").await;
            return None;
        }
        if self.on(Fault::Zombie) {
            self.mood = Mood::Zombie;
        }
        Some(membership)
    }

    fn closed_at_once(&self) -> Option<(u16, &'static str)> {
        if self.on(Fault::Close1008) {
            return Some((1008, "Authentication failed"));
        }
        self.on(Fault::Close1011).then_some((1011, "Internal error"))
    }

    fn refused_at_once(&self) -> Option<Refused> {
        if self.on(Fault::AuthRequired) {
            return Some(Refused {
                code: "AUTH_REQUIRED",
                message: "Authentication failed: Valid JWT token required for WebSocket connection: \
                          user_context must be a UserExecutionContext instance"
                    .to_owned(),
                close: 1008,
                reason: "Authentication failed",
            });
        }
        if self.on(Fault::FactoryInitFailed) {
            return Some(Refused {
                code: "FACTORY_INIT_FAILED",
                message: "WebSocket manager initialization failed".to_owned(),
                close: 1011,
                reason: "Factory SSOT validation failed",
            });
        }
        if self.on(Fault::ProtocolMissing) && !self.offered_subprotocol {
            return Some(Refused {
                code: "AUTH_REQUIRED",
                message: "Authentication failed: websocket_protocol: [MISSING]".to_owned(),
                close: 1008,
                reason: "SSOT Auth failed",
            });
        }
        if self.on(Fault::StartupIncomplete) {
            return Some(Refused {
                code: "STARTUP_INCOMPLETE",
                message: "Service startup incomplete".to_owned(),
                close: 1011,
                reason: "Service startup incomplete",
            });
        }
        let leaks = self.on(Fault::ManagerLeak) && !self.world.hub.leak_manager(&self.instance.id, &self.user.sub);
        if leaks {
            return Some(Refused {
                code: "AUTH_REQUIRED",
                message: "Authentication failed: user has reached the maximum number of WebSocket managers (5)"
                    .to_owned(),
                close: 1008,
                reason: "Authentication failed",
            });
        }
        let locked = self.on(Fault::ReconnectRefused) && self.world.hub.is_locked_out(&self.user.sub);
        locked.then(|| self.over_limit())
    }

    fn over_limit(&self) -> Refused {
        if self.on(Fault::LimitAsAuth) {
            return Refused {
                code: "AUTH_REQUIRED",
                message: "Authentication failed".to_owned(),
                close: 1008,
                reason: "Authentication failed",
            };
        }
        Refused {
            code: "CONNECTION_LIMIT_EXCEEDED",
            message: format!("a user may hold {CONNECTIONS_PER_USER} connections; close one first"),
            close: 1008,
            reason: "connection limit exceeded",
        }
    }

    fn welcome(&self) -> serde_json::Value {
        let user_id = match self.on(Fault::WelcomeWrongUser) {
            true => "00000000-0000-4000-8000-000000000000",
            false => &self.user.sub,
        };
        let ready = !self.on(Fault::WelcomeNotReady);
        system_message(json!({
            "event": "connection_established",
            "connection_id": self.connection_id,
            "user_id": user_id,
            "server_time": timing::iso_now(),
            "connection_ready": ready,
            "environment": "staging",
            "startup_complete": ready,
            "config": {
                "heartbeat_interval": self.world.timing.heartbeat().as_secs_f64(),
                "max_message_size": MESSAGE_MAX,
                "max_connections_per_user": CONNECTIONS_PER_USER,
                "max_messages_per_minute": 100,
            },
            "factory_pattern_enabled": true,
        }))
    }
}
