//! What HTTP says about sockets and agents at work: `/ws/health`, `/ws/config`, `/health/agents`
//! (contract §3.1, §3.5, intended). The sockets themselves belong to `socket`.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::{Call, Routes, VERSION};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::instance::AgentCounter;
use crate::rehearsal::reply::{self, Outcome, Problem};
use crate::rehearsal::timing;

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/ws/beacon", &["get"], get(beacon))
        .add("/ws/health", &["get"], get(health))
        .add("/ws/config", &["get"], get(config))
        .add("/ws/stats", &["get"], get(stats))
        .add("/health/agents", &["get"], get(agents))
        .add("/api/health/agents", &["get"], get(agents))
        .add("/health/agents/metrics", &["get"], get(metrics))
}

async fn beacon(call: Call) -> Response {
    if call.on(Fault::WsBeaconMissing) {
        return reply::detail(StatusCode::NOT_FOUND, "Not Found");
    }
    reply::json(json!({
        "status": "healthy", "service": "websocket", "version": VERSION,
        "timestamp": timing::iso_now(),
    }))
}

fn limits(call: &Call) -> Value {
    json!({
        "max_connections_per_user": 3, "max_message_size": 8192,
        "max_messages_per_minute": 100,
        "heartbeat_interval": call.world.timing.heartbeat().as_secs_f64(),
    })
}

async fn health(call: Call) -> Response {
    let open = call.world.hub.open();
    let degraded = call.on(Fault::WsHealthDegraded);
    let errors = match degraded {
        true => vec!["object dict can't be used in 'await' expression"],
        false => Vec::new(),
    };
    reply::json(json!({
        "status": if degraded { "degraded" } else { "healthy" },
        "service": "websocket", "version": VERSION, "timestamp": timing::iso_now(),
        "metrics": {
            "websocket": { "active_connections": open },
            "authentication": { "success_rate": 1.0, "rate_limited_requests": 0 },
            "monitoring": { "monitored_connections": open, "healthy_connections": open },
        },
        "config": limits(&call),
        "errors": errors,
    }))
}

async fn config(call: Call) -> Outcome {
    unless_broken(&call)?;
    Ok(reply::json(json!({
        "limits": limits(&call),
        "features": { "heartbeat": true, "subprotocol_auth": true },
        "active_connections": call.world.hub.open(),
    })))
}

async fn stats(call: Call) -> Outcome {
    unless_broken(&call)?;
    Ok(reply::json(
        json!({ "active_connections": call.world.hub.open(), "timestamp": timing::iso_now() }),
    ))
}

/// 500 where the reference build has one (contract §3.1, §3.5).
pub fn unless_broken(call: &Call) -> Result<(), Problem> {
    match call.on(Fault::InfoEndpoints500) {
        true => Err(Problem::Unhandled),
        false => Ok(()),
    }
}

/// The overview of one instance's agents, with what faults make of it.
fn overview(call: &Call) -> (Value, usize) {
    let book = call.instance().agents();
    let sum = |take: fn(&AgentCounter) -> u64| book.agents.values().map(take).sum::<u64>();
    let (mut operations, mut failures) = (sum(|it| it.operations), sum(|it| it.failures));
    if call.on(Fault::AgentMetricsFrozen) {
        (operations, failures) = (7, 0);
    }
    if call.on(Fault::AgentOverviewInconsistent) {
        failures = operations + 3;
    }
    let rate = match operations {
        0 => 0.0,
        operations => failures as f64 / operations as f64,
    };
    let active = match call.on(Fault::AgentActiveFrozen) {
        true => 0,
        false => book.active,
    };
    let unhealthy = book
        .agents
        .values()
        .filter(|it| it.failures > 0 && it.failures == it.operations);
    let overview = json!({
        "total_operations": operations, "total_failures": failures, "system_error_rate": rate,
        "active_agents": book.agents.len(), "unhealthy_agents": unhealthy.count(),
        "active_operations": active, "buffer_utilization": 0.0,
    });
    (overview, book.agents.len())
}

async fn agents(call: Call) -> Response {
    let (overview, count) = overview(&call);
    reply::json(json!({
        "status": "healthy", "timestamp": timing::iso_now(), "system_overview": overview,
        "agents_count": count, "fallback_mode": false,
    }))
}

async fn metrics(call: Call) -> Response {
    let (overview, _) = overview(&call);
    let book = call.instance().agents();
    let shown = |(name, it): (&&'static str, &AgentCounter)| {
        let operations = it.operations.max(1) as f64;
        let entry = json!({
            "total_operations": it.operations,
            "success_rate": 1.0 - it.failures as f64 / operations,
            "error_rate": it.failures as f64 / operations,
            "avg_execution_time_ms": it.total_ms / operations,
            "timeout_count": 0, "validation_error_count": 0,
            "last_operation_time": it.last.map(timing::iso),
        });
        ((*name).to_owned(), entry)
    };
    let agents: Map<String, Value> = match call.on(Fault::AgentMetricsFrozen) {
        true => Map::new(),
        false => book.agents.iter().map(shown).collect(),
    };
    reply::json(json!({ "system_overview": overview, "agent_metrics": agents }))
}
