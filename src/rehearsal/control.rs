//! The control listener: faults, restarts and counters. No fault touches it.
//! It owns `/rehearsal/*`; what a switch changes belongs to the file that the fault table names.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::faults::{self, Choice, Fault, UnknownFault};
use super::reply::{self, detail};
use super::world::World;

/// How long a restart keeps the listener away unless it is told otherwise.
const DOWN_MS: u64 = 400;
/// Longest absence a restart can be told.
const DOWN_MAX_MS: u64 = 60_000;
/// What `cold-start-slow` adds.
const SLOW_START_MS: u64 = 6_000;
/// Time that sockets get for their close frames before the listener goes.
const FAREWELL: Duration = Duration::from_millis(150);
/// Faults named in one request.
const NAMES_MAX: usize = 1_000;

type Shared = State<Arc<World>>;

/// The routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/rehearsal/faults", get(list).post(switch))
        .route("/rehearsal/restart", post(restart_route))
        .route("/rehearsal/stats", get(stats))
        .fallback(not_found)
        .with_state(world)
}

async fn not_found() -> Response {
    detail(
        StatusCode::NOT_FOUND,
        "not found; there is /rehearsal/faults, /rehearsal/restart, /rehearsal/stats",
    )
}

async fn list(State(world): Shared) -> Response {
    reply::json(json!({ "faults": world.faults.list() }))
}

/// Switches faults. All names are looked up before the first is switched.
async fn switch(State(world): Shared, body: Bytes) -> Response {
    let asked = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(asked)) => asked,
        Ok(_) | Err(_) => {
            return detail(StatusCode::BAD_REQUEST, "send {\"on\":[…],\"off\":[…]}");
        }
    };
    let stray = asked.keys().find(|key| !["on", "off"].contains(&key.as_str()));
    if let Some(key) = stray {
        return detail(
            StatusCode::BAD_REQUEST,
            &format!("unknown member {key:?}; there is on and off"),
        );
    }
    let choices = chosen(&asked, "off").and_then(|off| Ok((off, chosen(&asked, "on")?)));
    let (off, on) = match choices {
        Ok(choices) => choices,
        Err(text) => return detail(StatusCode::BAD_REQUEST, &text),
    };
    off.into_iter().for_each(|choice| apply(&world, choice, false));
    on.into_iter().for_each(|choice| apply(&world, choice, true));
    world.backend_gate.settled().await;
    world.auth_gate.settled().await;
    list(State(world)).await
}

fn chosen(asked: &serde_json::Map<String, Value>, member: &str) -> Result<Vec<Choice>, String> {
    let names = match asked.get(member) {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) if names.len() <= NAMES_MAX => names,
        Some(_) => return Err(format!("{member} must be a list of fault names")),
    };
    let choose = |name: &Value| {
        let name = name.as_str().ok_or_else(|| format!("{member} must hold strings"))?;
        faults::choose(name).map_err(|unknown| unknown.to_string())
    };
    names.iter().map(choose).collect()
}

/// Switches one fault by name.
pub fn switch_by_name(world: &World, name: &str, on: bool) -> Result<(), UnknownFault> {
    apply(world, faults::choose(name)?, on);
    Ok(())
}

fn apply(world: &World, choice: Choice, on: bool) {
    world.faults.set(choice, on);
    if !world.faults.any(&[Fault::ManagerLeak, Fault::ReconnectRefused]) {
        world.hub.forget_leaks();
    }
    world.apply_gates();
}

/// Starts a restart and answers at once with how long the listener will be away.
async fn restart_route(State(world): Shared, body: Bytes) -> Response {
    let asked = match body.is_empty() {
        true => json!({}),
        false => match serde_json::from_slice::<Value>(&body) {
            Ok(asked) => asked,
            Err(_) => return detail(StatusCode::BAD_REQUEST, "send {\"down_ms\":400} or nothing"),
        },
    };
    let down_ms = match &asked["down_ms"] {
        Value::Null => DOWN_MS,
        number => match number.as_u64() {
            Some(ms) => ms.min(DOWN_MAX_MS),
            None => return detail(StatusCode::BAD_REQUEST, "down_ms must be a whole number"),
        },
    };
    let slow = match world.faults.on(Fault::ColdStartSlow) {
        true => SLOW_START_MS,
        false => 0,
    };
    let down_ms = down_ms + slow;
    if !world.fleet.retire() {
        return detail(StatusCode::CONFLICT, "a restart is going on already");
    }
    let tasks = world.tasks.clone();
    tasks.spawn(restart(world, Duration::from_millis(down_ms)));
    reply::json_status(StatusCode::ACCEPTED, json!({ "restarting": true, "down_ms": down_ms }))
}

/// The restart itself: instances were told to end; the listener goes, new instances come.
async fn restart(world: Arc<World>, down: Duration) {
    let stop = world.stop.clone();
    let steps = async {
        tokio::time::sleep(FAREWELL).await;
        world.apply_gates();
        world.backend_gate.settled().await;
        if world.faults.on(Fault::RestartLosesData) {
            world.store.forget();
        }
        tokio::time::sleep(down).await;
        world.fleet.replace();
        world.apply_gates();
        world.backend_gate.settled().await;
        world.fleet.scale_out().await;
    };
    tokio::select! {
        () = steps => {}
        () = stop.cancelled() => {}
    }
}

async fn stats(State(world): Shared) -> Response {
    let mut stats = world.stats.publish();
    stats["sockets_open"] = json!(world.hub.open());
    stats["restarts"] = json!(world.fleet.since_start().1);
    let instances: Vec<Value> = world
        .fleet
        .all()
        .iter()
        .map(|one| json!({ "id": one.id, "uptime_seconds": one.uptime().as_secs_f64() }))
        .collect();
    stats["instances"] = json!(instances);
    reply::json(stats)
}
