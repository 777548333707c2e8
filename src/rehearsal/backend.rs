//! The backend's HTTP surface: which routes exist, and what every handler is given.
//! It owns the route list (from which `/openapi.json` is written); each file beside it owns one family.

mod breakers;
mod depth;
mod discovery;
mod events;
mod execute;
mod health;
mod mcp;
mod messages;
mod runs;
mod sockets;
mod threads;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use super::faults::Fault;
use super::front::Seat;
use super::instance::Instance;
use super::reply;
use super::world::World;

/// Version that every statement about the backend names.
pub const VERSION: &str = "1.0.0";
/// The service's name in health bodies.
pub const SERVICE: &str = "netra-ai-platform";
/// Request bodies above this are refused with 413.
const BODY_MAX: usize = 64 * 1024;

/// What a handler knows of its request.
pub struct Call {
    /// The staging.
    pub world: Arc<World>,
    /// Instance, connection, trace.
    pub seat: Seat,
    /// Query parameters; the last of a name counts.
    pub query: HashMap<String, String>,
    /// The method, where a handler serves several.
    pub method: Method,
    /// Request headers.
    pub headers: HeaderMap,
}

impl Call {
    /// Whether a fault is on.
    pub fn on(&self, fault: Fault) -> bool {
        self.world.faults.on(fault)
    }

    /// The instance that serves the request.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.seat.instance
    }
}

impl FromRequestParts<Arc<World>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or("");
        Ok(Self {
            world: Arc::clone(world),
            seat: Seat::of(&parts.extensions),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            method: parts.method.clone(),
            headers: parts.headers.clone(),
        })
    }
}

/// The router under construction, and the list of what it holds.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<World>>,
    listed: Vec<(&'static str, &'static [&'static str])>,
}

impl Routes {
    /// Adds a route with the methods that `/openapi.json` lists for it.
    pub fn add(
        mut self,
        path: &'static str,
        methods: &'static [&'static str],
        handler: MethodRouter<Arc<World>>,
    ) -> Self {
        self.router = self.router.route(path, handler);
        self.listed.push((path, methods));
        self
    }
}

/// The whole surface of contract §3.
pub fn router(world: Arc<World>) -> Router {
    let families = [
        health::routes,
        depth::routes,
        sockets::routes,
        discovery::routes,
        mcp::routes,
        threads::routes,
        messages::routes,
        execute::routes,
        runs::routes,
        events::routes,
        breakers::routes,
    ];
    let start = Routes::default().add("/openapi.json", &["get"], get(openapi));
    let routes = families.into_iter().fold(start, |routes, add| add(routes));
    let document = Arc::new(document(&routes.listed));
    routes
        .router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(Extension(document))
        .with_state(world)
}

async fn not_found() -> Response {
    reply::detail(StatusCode::NOT_FOUND, "Not Found")
}

/// The framework's 405.
pub async fn not_allowed() -> Response {
    reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

async fn openapi(call: Call, Extension(document): Extension<Arc<Value>>) -> Response {
    match call.on(Fault::OpenapiMissing) {
        true => not_found().await,
        false => reply::json(Value::clone(&document)),
    }
}

fn document(listed: &[(&'static str, &'static [&'static str])]) -> Value {
    let operations = |methods: &[&str]| -> Map<String, Value> {
        let ok = json!({ "responses": { "200": { "description": "Successful Response" } } });
        methods
            .iter()
            .map(|method| ((*method).to_owned(), ok.clone()))
            .collect()
    };
    let paths: Map<String, Value> = listed
        .iter()
        .map(|(path, methods)| ((*path).to_owned(), json!(operations(methods))))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Netra AI Platform", "version": VERSION },
        "paths": paths,
    })
}
