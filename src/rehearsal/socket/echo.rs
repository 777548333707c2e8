//! `/ws/test`: the echo endpoint without a token, a control for transport and edge (contract §4.8).
//! It must not touch sessions, users or runs.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::wire::{End, Heard, Wire};
use crate::rehearsal::front::Seat;
use crate::rehearsal::timing;
use crate::rehearsal::world::World;

/// Serves one echo socket to its end.
pub async fn run(mut wire: Wire, world: Arc<World>, seat: &Seat) {
    let first = json!({
        "type": "connection_established",
        "connection_id": format!("test_{}", timing::now_unix() as i64),
        "server_time": timing::iso_now(),
        "message": "WebSocket test connection established",
    });
    if wire.say(&first).await.is_err() {
        return;
    }
    let idle = world.timing.echo_idle();
    let mut quiet_until = Instant::now() + idle;
    loop {
        let heard = tokio::select! {
            heard = wire.hear() => heard,
            () = sleep_until(quiet_until) => {
                quiet_until = Instant::now() + idle;
                let beat = json!({ "type": "heartbeat", "timestamp": timing::now_unix() });
                if wire.say(&beat).await.is_err() {
                    return;
                }
                continue;
            }
            () = seat.instance.retired.cancelled() => {
                return wire.close(1012, "service restart").await;
            }
        };
        quiet_until = Instant::now() + idle;
        if let Err(end) = say_back(&mut wire, heard).await {
            return wire.linger(end).await;
        }
    }
}

async fn say_back(wire: &mut Wire, heard: Heard) -> Result<(), End> {
    let text = match heard {
        Heard::Text(text) => text,
        Heard::Binary(_) => return Ok(()),
        Heard::Over(end) => return Err(end),
    };
    let answer = match serde_json::from_str::<Value>(&text) {
        Err(error) => json!({ "type": "error", "message": format!("Invalid JSON: {error}") }),
        Ok(sent) => match sent["type"].as_str() {
            Some("ping") => json!({ "type": "pong", "timestamp": timing::now_unix() }),
            Some("echo") => {
                json!({ "type": "echo_response", "original": sent, "timestamp": timing::now_unix() })
            }
            _ => json!({ "type": "ack", "received": sent["type"], "timestamp": timing::now_unix() }),
        },
    };
    wire.say(&answer).await
}
