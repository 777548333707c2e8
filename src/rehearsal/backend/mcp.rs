//! The MCP endpoints (contract §3.2, intended): server list, status, info and JSON-RPC agree with each other.
//! It owns the tool list; no tool can be called here.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, Routes, VERSION};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::reply::{self, Refusal};
use crate::rehearsal::timing;

/// The one server.
const SERVER: &str = "netra-mcp";
/// Its tools, with what they do.
const TOOLS: &[(&str, &str)] = &[
    ("run_agent", "Runs an agent on a request"),
    ("get_agent_status", "Tells how far a run is"),
    ("list_agents", "Lists the agents"),
    ("analyze_workload", "Analyses a workload"),
    ("optimize_prompt", "Rewrites a prompt"),
    ("query_corpus", "Searches the corpus"),
    ("generate_synthetic_data", "Makes synthetic data"),
    ("create_thread", "Creates a thread"),
    ("get_thread_history", "Reads a thread"),
    ("list_supply_options", "Lists supply options"),
    ("get_supply_catalog", "Reads the supply catalogue"),
];

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/mcp", &["post"], post(json_rpc))
        .add("/api/mcp/config", &["get"], get(config))
        .add("/api/mcp/servers", &["get"], get(servers))
        .add("/api/mcp/servers/{name}/status", &["get"], get(status))
        .add("/api/mcp/info", &["get"], get(info))
        .add("/api/mcp/status", &["get"], get(info))
        .add("/api/mcp/tools", &["get"], get(tools))
}

fn tool_list(call: &Call) -> Vec<Value> {
    let gone = |name: &str| name == "run_agent" && call.on(Fault::McpNoRunAgent);
    TOOLS
        .iter()
        .filter(|(name, _)| !gone(name))
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect()
}

fn tool_names(call: &Call) -> Vec<Value> {
    tool_list(call).into_iter().map(|tool| tool["name"].clone()).collect()
}

fn capabilities() -> Value {
    json!({ "tools": true, "resources": true, "prompts": true })
}

async fn config(call: Call) -> Response {
    let host = match call.on(Fault::McpConfigLocalhost) {
        true => "localhost:8000".to_owned(),
        false => call.world.at.backend.to_string(),
    };
    let endpoint = format!("http://{host}/api/mcp");
    let server = json!({ "mcpServers": { "netra": { "url": endpoint } } });
    reply::json(json!({
        "claude": server, "cursor": server,
        "mcp": { "name": SERVER, "version": VERSION },
        "http": { "endpoint": endpoint },
        "websocket": { "endpoint": format!("ws://{host}/ws") },
    }))
}

async fn servers(call: Call) -> Response {
    let server = json!({
        "name": SERVER, "status": "connected", "version": VERSION,
        "capabilities": capabilities(), "description": "Netra MCP server",
    });
    let data = match call.on(Fault::McpServersEmpty) {
        true => Vec::new(),
        false => vec![server],
    };
    reply::json(json!({ "data": data, "status": "success" }))
}

async fn status(call: Call, Path(name): Path<String>) -> Response {
    let known = name == SERVER || call.on(Fault::McpCanaryConnected);
    if !known {
        let message = format!("Server {name} not found");
        return reply::json(json!({ "data": null, "status": "not_found", "message": message }));
    }
    let version = match call.on(Fault::McpVersionDisagrees) {
        true => "2.0.0",
        false => VERSION,
    };
    reply::json(json!({
        "data": { "name": name, "status": "connected", "version": version,
                  "capabilities": capabilities(), "info": {} },
        "status": "success",
    }))
}

async fn info(call: Call) -> Response {
    let mut names = tool_names(&call);
    if call.on(Fault::McpInfoDisagrees) {
        names.pop();
    }
    reply::json(json!({
        "name": SERVER, "version": VERSION, "protocol": "MCP", "implementation": "netra",
        "capabilities": capabilities(), "active_sessions": call.world.hub.open(),
        "tools_available": names, "resources_available": [], "prompts_available": [],
        "authenticated": false, "timestamp": timing::iso_now(),
    }))
}

async fn tools(call: Call) -> Response {
    reply::json(json!({ "tools": tool_list(&call) }))
}

async fn json_rpc(call: Call, body: Bytes) -> Response {
    let envelope = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let method = envelope["method"].as_str().filter(|_| envelope["jsonrpc"] == "2.0");
    let Some(method) = method else {
        return Refusal::bad_request("Invalid JSON-RPC envelope").into_response();
    };
    let id = match call.on(Fault::McpWrongId) {
        true => json!("another-id"),
        false => envelope["id"].clone(),
    };
    let result = match method {
        "tools/list" if call.on(Fault::McpToolsEmpty) => json!({ "tools": [] }),
        "tools/list" => json!({ "tools": tool_list(&call) }),
        "initialize" => json!({
            "protocolVersion": "2025-03-26", "capabilities": capabilities(),
            "serverInfo": { "name": SERVER, "version": VERSION },
        }),
        "ping" => json!({}),
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            return reply::json(json!({ "jsonrpc": "2.0", "error": error, "id": id }));
        }
    };
    reply::json(json!({ "jsonrpc": "2.0", "result": result, "id": id }))
}
