//! The target: logins with real tokens, a few HTTP routes, and a WebSocket that does what it is told.

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use stagewatch::probe::jwt::MintKey;
use stagewatch::secret::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// What the target counts and can be told.
#[derive(Default)]
pub struct World {
    pub logins: AtomicU32,
    pub refreshes: AtomicU32,
    pub throttled: AtomicBool,
    /// Life of tokens, milliseconds.
    pub life_ms: AtomicU64,
    pub login_broken: AtomicBool,
    pub refresh_broken: AtomicBool,
    /// `METHOD path` of each request, in order.
    pub requests: Mutex<Vec<String>>,
    /// Tokens shown in handshakes that were let in.
    pub shown: Mutex<Vec<String>>,
    /// Close codes that clients sent; 1006 for none.
    pub closes: Mutex<Vec<u16>>,
    /// Texts that clients sent on sockets.
    pub heard: Mutex<Vec<String>>,
    /// Tokens by text: user and end of life.
    tokens: Mutex<BTreeMap<String, (String, SystemTime)>>,
    pub at_once: AtomicU32,
    pub at_once_max: AtomicU32,
}

/// The running target.
pub struct Target {
    pub address: SocketAddr,
    /// A port where nobody listens.
    pub gone: SocketAddr,
    pub world: Arc<World>,
    task: tokio::task::JoinHandle<()>,
}

/// What a secret canary is part of.
pub const WATCHED: &str = "canary-value-42";

impl Target {
    pub async fn start() -> Self {
        let world = Arc::new(World {
            life_ms: AtomicU64::new(1_800_000),
            ..World::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = closed.local_addr().unwrap();
        drop(closed);
        let app = Router::new()
            .route("/auth/login", post(login))
            .route("/auth/refresh", post(refresh))
            .route("/count", any(count))
            .route("/echo", any(echo))
            .route("/me", get(me))
            .route("/slow/{ms}", get(slow))
            .route("/status/{status}", any(status))
            .route("/events", any(events))
            .route("/ws", get(upgrade))
            .route("/free", get(upgrade))
            .with_state(Arc::clone(&world))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&world), note));
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        Self {
            address,
            gone,
            world,
            task,
        }
    }

    pub fn requests(&self, start: &str) -> usize {
        let requests = self.world.requests.lock().unwrap();
        requests.iter().filter(|request| request.starts_with(start)).count()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = State<Arc<World>>;

async fn note(State(world): Shared, request: Request, next: axum::middleware::Next) -> Response<Body> {
    let line = format!("{} {}", request.method(), request.uri());
    world.requests.lock().unwrap().push(line);
    if world.throttled.load(Ordering::SeqCst) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], "slow down").into_response();
    }
    let now = world.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    world.at_once_max.fetch_max(now, Ordering::SeqCst);
    let mut answer = next.run(request).await;
    world.at_once.fetch_sub(1, Ordering::SeqCst);
    answer.headers_mut().insert("x-app", "1".parse().unwrap());
    answer
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

impl World {
    fn issue(&self, user: &str) -> Value {
        let life = Duration::from_millis(self.life_ms.load(Ordering::SeqCst));
        let now = SystemTime::now();
        let claims = json!({
            "sub": format!("sub-of-{user}").replace('@', "-at-"), "email": user,
            "iat": unix(now), "exp": unix(now + life), "jti": format!("{:x}", rand::random::<u64>()),
        });
        let key = MintKey::hs256(&Secret::new("only-for-this-test")).unwrap();
        let access = key.mint(claims.as_object().unwrap(), None).unwrap().expose().to_owned();
        let refresh = format!("refresh-{user}-{:x}", rand::random::<u64>());
        let mut tokens = self.tokens.lock().unwrap();
        tokens.insert(access.clone(), (user.to_owned(), now + life));
        tokens.insert(refresh.clone(), (user.to_owned(), now + Duration::from_secs(3600)));
        json!({ "access_token": access, "refresh_token": refresh })
    }

    /// Forgets every token, as a restart with another key would.
    pub fn forget_tokens(&self) {
        self.tokens.lock().unwrap().clear();
    }

    fn user_of(&self, token: &str) -> Option<String> {
        let tokens = self.tokens.lock().unwrap();
        let (user, end) = tokens.get(token)?;
        (*end > SystemTime::now()).then(|| user.clone())
    }

    fn bearer(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        self.user_of(value.strip_prefix("Bearer ")?)
    }
}

async fn login(State(world): Shared, Json(body): Json<Value>) -> Response<Body> {
    world.logins.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    if world.login_broken.load(Ordering::SeqCst) {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "detail": "Invalid credentials" })),
        )
            .into_response();
    }
    let user = body["email"].as_str().unwrap();
    assert!(body["password"].as_str().unwrap().starts_with("rehearsal-"));
    Json(world.issue(user)).into_response()
}

async fn refresh(State(world): Shared, Json(body): Json<Value>) -> Response<Body> {
    world.refreshes.fetch_add(1, Ordering::SeqCst);
    let user = world.user_of(body["refresh_token"].as_str().unwrap());
    match user.filter(|_| !world.refresh_broken.load(Ordering::SeqCst)) {
        Some(user) => Json(world.issue(&user)).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn count(State(world): Shared) -> Json<Value> {
    let n = world.requests.lock().unwrap().len();
    Json(json!({ "n": n, "list": [1, 2, 3] }))
}

/// Says back everything it was told, also in a header.
async fn echo(headers: HeaderMap, method: Method, body: String) -> Response<Body> {
    let shown: BTreeMap<&str, &str> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let authorization = headers.get(header::AUTHORIZATION).cloned();
    let parsed: Option<Value> = serde_json::from_str(&body).ok();
    let mut answer =
        Json(json!({ "method": method.as_str(), "headers": shown, "body": body, "parsed": parsed })).into_response();
    if let Some(authorization) = authorization {
        answer.headers_mut().insert("x-echo", authorization);
    }
    answer
}

async fn me(State(world): Shared, headers: HeaderMap) -> Response<Body> {
    match world.bearer(&headers) {
        Some(user) => Json(json!({ "user": user })).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "late"
}

async fn status(Path(status): Path<u16>) -> Response<Body> {
    (StatusCode::from_u16(status).unwrap(), "as asked").into_response()
}

async fn events() -> Response<Body> {
    let text = "data: {\"type\":\"token\",\"n\":1}\n\ndata: {\"type\":\"complete\"}\n\n";
    ([(header::CONTENT_TYPE, "text/event-stream")], text).into_response()
}

async fn upgrade(State(world): Shared, mut request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let text = |name: header::HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL).to_owned();
    let by_protocol = offered
        .split(',')
        .find_map(|item| item.trim().strip_prefix("jwt."))
        .and_then(|item| {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(item).ok()?;
            String::from_utf8(bytes).ok()
        });
    let token = by_protocol.or_else(|| text(header::AUTHORIZATION).strip_prefix("Bearer ").map(str::to_owned));
    let user = token.as_deref().and_then(|token| world.user_of(token));
    if request.uri().path() == "/ws" && user.is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    world.shown.lock().unwrap().extend(token);
    let accept = derive_accept_key(headers[header::SEC_WEBSOCKET_KEY].as_bytes());
    let switching = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = TokioIo::new(switching.await.unwrap());
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        session(socket, world, user.unwrap_or_default()).await;
    });
    let mut answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    if offered.split(',').any(|item| item.trim() == "jwt-auth") {
        answer = answer.header(header::SEC_WEBSOCKET_PROTOCOL, "jwt-auth");
    }
    answer.body(Body::empty()).unwrap()
}

/// The dialogue. `{"do": …}` tells it what to do; everything else is said back.
async fn session(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, world: Arc<World>, user: String) {
    let welcome = json!({ "type": "welcome", "user": user, "connection": format!("{:x}", rand::random::<u64>()) });
    let _ = socket.send(Message::text(welcome.to_string())).await;
    let mut code = 1006;
    while let Some(Ok(message)) = socket.next().await {
        let text = match message {
            Message::Text(text) => text.to_string(),
            Message::Close(frame) => {
                code = frame.map_or(1005, |frame| frame.code.into());
                continue;
            }
            _ => continue,
        };
        world.heard.lock().unwrap().push(text.clone());
        let asked: Value = serde_json::from_str(&text).unwrap_or_default();
        match asked["do"].as_str() {
            Some("close") => {
                let code = u16::try_from(asked["code"].as_u64().unwrap()).unwrap();
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "as asked".into(),
                };
                let _ = socket.close(Some(frame)).await;
            }
            Some("ping") => {
                let _ = socket.send(Message::text(r#"{"type":"ping","at":7}"#)).await;
            }
            Some("flood") => {
                for n in 0..asked["n"].as_u64().unwrap() {
                    let _ = socket
                        .send(Message::text(json!({ "type": "flood", "n": n }).to_string()))
                        .await;
                }
            }
            Some("nothing") => {}
            _ if asked["type"] == "pong" => {
                let _ = socket
                    .send(Message::text(
                        json!({ "type": "thanks", "at": asked["at"] }).to_string(),
                    ))
                    .await;
            }
            _ => {
                let _ = socket
                    .send(Message::text(
                        json!({ "type": "echo", "said": asked, "bytes": text.len() }).to_string(),
                    ))
                    .await;
            }
        }
    }
    world.closes.lock().unwrap().push(code);
}
