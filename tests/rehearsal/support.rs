//! A small client of the rehearsal: HTTP by reqwest, sockets by tokio-tungstenite, each wait with a deadline.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stagewatch::rehearsal::{self, Options, Rehearsal};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Deadline of one exchange.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A rehearsal on free ports, with a client and, once prepared, users who logged in before any fault.
pub struct Stage {
    pub rehearsal: Rehearsal,
    pub client: reqwest::Client,
    known: OnceLock<HashMap<String, User>>,
}

/// What an HTTP answer was.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

fn builder() -> reqwest::ClientBuilder {
    let never = reqwest::redirect::Policy::none();
    reqwest::Client::builder().no_proxy().redirect(never).timeout(DEADLINE)
}

/// A client that keeps no cookie.
pub fn client() -> reqwest::Client {
    builder().build().unwrap()
}

/// A client that keeps the affinity cookie, and so one instance.
fn sticky() -> reqwest::Client {
    builder().cookie_store(true).build().unwrap()
}

impl Stage {
    pub async fn healthy() -> Self {
        Self::scaled(1.0).await
    }

    pub async fn scaled(time_scale: f64) -> Self {
        stagewatch::crypto::init_crypto();
        let any = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            backend: any,
            auth: any,
            control: any,
            faults: vec![],
            time_scale,
        };
        let rehearsal = rehearsal::start(options).await.unwrap();
        Self {
            rehearsal,
            client: sticky(),
            known: OnceLock::new(),
        }
    }

    /// Logs the known users in.
    pub async fn prepare(&self) {
        let mut known = HashMap::new();
        for name in [
            "a", "b", "c", "d", "e", "outage", "c0", "c1", "c2", "c3", "c4", "c5", "c6",
        ] {
            known.insert(name.to_owned(), self.login(name).await);
        }
        self.known.set(known).unwrap();
    }

    pub fn known_token(&self, name: &str) -> String {
        self.known.get().unwrap()[name].token.clone()
    }

    pub fn sub_of(&self, name: &str) -> String {
        self.known.get().unwrap()[name].sub.clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rehearsal.backend_addr())
    }

    pub fn auth_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rehearsal.auth_addr())
    }

    pub async fn control(&self, path: &str, body: Value) -> Answer {
        let url = format!("http://{}{path}", self.rehearsal.control_addr());
        answer(client().post(url).json(&body)).await.unwrap()
    }

    pub async fn fault(&self, name: &str, on: bool) {
        let body = if on {
            json!({ "on": [name] })
        } else {
            json!({ "off": [name] })
        };
        let answer = self.control("/rehearsal/faults", body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path))).await.unwrap()
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        answer(self.client.get(self.url(path)).bearer_auth(token))
            .await
            .unwrap()
    }

    pub async fn send_as(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let request = self.client.request(method, self.url(path));
        answer(request.bearer_auth(token).json(&body)).await.unwrap()
    }

    pub async fn auth_post(&self, path: &str, body: Value) -> Answer {
        answer(self.client.post(self.auth_url(path)).json(&body)).await.unwrap()
    }

    pub async fn login(&self, name: &str) -> User {
        let email = format!("{name}@rehearsal.invalid");
        let body = json!({ "email": email, "password": "rehearsal-only" });
        let pair = self.auth_post("/auth/login", body).await.json();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        User {
            token: text(&pair["access_token"]),
            refresh: text(&pair["refresh_token"]),
            sub: text(&pair["user"]["id"]),
        }
    }

    pub async fn open(&self, token: &str) -> Result<Socket, Refused> {
        Socket::open(self, "/ws", Some(token)).await
    }
}

#[derive(Clone, Debug)]
pub struct User {
    pub token: String,
    pub refresh: String,
    pub sub: String,
}

pub async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    Ok(Answer { status, headers, text })
}

/// Why there is no socket.
#[derive(Debug)]
pub enum Refused {
    Status(u16),
    Other(String),
}

/// An open WebSocket.
pub struct Socket {
    pub ws: WebSocketStream<TcpStream>,
    pub headers: Vec<(String, String)>,
}

/// How a session ended, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Close(u16, String),
    Eof,
}

impl Socket {
    pub async fn open(stage: &Stage, path: &str, token: Option<&str>) -> Result<Self, Refused> {
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        Self::open_with(stage, path, &headers).await
    }

    pub async fn open_with(stage: &Stage, path: &str, headers: &[(&'static str, String)]) -> Result<Self, Refused> {
        let other = |error: &dyn std::fmt::Display| Refused::Other(error.to_string());
        let at = stage.rehearsal.backend_addr();
        let mut request = format!("ws://{at}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(at).await.map_err(|error| other(&error))?;
        let shaking = tokio_tungstenite::client_async(request, stream);
        match timeout(DEADLINE, shaking).await {
            Err(_) => Err(Refused::Other("timeout".into())),
            Ok(Err(Error::Http(response))) => Err(Refused::Status(response.status().as_u16())),
            Ok(Err(error)) => Err(other(&error)),
            Ok(Ok((ws, response))) => {
                let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    (name.to_string(), value.to_str().unwrap_or("").to_owned())
                };
                Ok(Self {
                    ws,
                    headers: response.headers().iter().map(pair).collect(),
                })
            }
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        // A socket that is gone is noticed by whoever reads the answer.
        let _ = self.ws.send(Message::text(text)).await;
    }

    /// The next JSON frame within `wait`, heartbeats included.
    pub async fn next_within(&mut self, wait: Duration) -> Result<Value, Option<Ended>> {
        let until = Instant::now() + wait;
        loop {
            match timeout_at(until, self.ws.next()).await {
                Err(_) => return Err(None),
                Ok(Some(Ok(Message::Text(text)))) => {
                    return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
                }
                Ok(Some(Ok(Message::Close(Some(frame))))) => {
                    let reason = frame.reason.to_string();
                    return Err(Some(Ended::Close(frame.code.into(), reason)));
                }
                Ok(Some(Ok(Message::Close(None)))) => {
                    return Err(Some(Ended::Close(1005, String::new())));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) => return Err(Some(Ended::Eof)),
            }
        }
    }

    /// The next frame that is no heartbeat.
    pub async fn next(&mut self) -> Result<Value, Option<Ended>> {
        self.next_where(DEADLINE, |frame| frame["type"] != "ping").await
    }

    /// The next frame that `wanted` accepts; others are skipped.
    pub async fn next_where(
        &mut self,
        wait: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Option<Ended>> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let frame = self.next_within(left).await?;
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Every frame that comes within `wait`, heartbeats left out, and how it ended if it did.
    pub async fn gather(&mut self, wait: Duration) -> (Vec<Value>, Option<Ended>) {
        let until = Instant::now() + wait;
        let mut frames = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.next_within(left).await {
                Ok(frame) if frame["type"] == "ping" => {}
                Ok(frame) => frames.push(frame),
                Err(end) => return (frames, end),
            }
        }
    }

    pub async fn welcome(&mut self) -> Value {
        let welcome = self.next().await.unwrap();
        assert_eq!(welcome["data"]["event"], "connection_established", "{welcome}");
        welcome
    }

    /// Sends an echo and takes the next frame that is no heartbeat.
    pub async fn echo(&mut self, id: &str) -> Result<Value, Option<Ended>> {
        self.send(echo_frame(id)).await;
        self.next().await
    }

    /// Whether a protocol ping is answered.
    pub async fn protocol_ping(&mut self) -> bool {
        let payload = Bytes::from_static(b"protocol");
        if self.ws.send(Message::Ping(payload.clone())).await.is_err() {
            return false;
        }
        let answered = async {
            while let Some(Ok(frame)) = self.ws.next().await {
                if frame == Message::Pong(payload.clone()) {
                    return true;
                }
            }
            false
        };
        timeout(Duration::from_secs(1), answered).await.unwrap_or(false)
    }

    pub async fn close(mut self) -> Option<Ended> {
        let _ = self.ws.close(None).await;
        self.gather(Duration::from_secs(3)).await.1
    }
}

/// An echo request, and the answer it must get.
pub fn echo_frame(id: &str) -> Value {
    let call = json!({ "jsonrpc": "2.0", "method": "synthetic/probe", "id": id });
    json!({ "type": "jsonrpc_request", "payload": call })
}

pub fn echo_answer(id: &str) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id,
        "result": { "status": "processed", "method": "synthetic/probe" },
    })
}

/// A request to run an agent.
pub fn start_agent(message_id: &str, thread_id: &str, (a, b, c): (u32, u32, u32)) -> Value {
    let request = format!("Compute {a} times {b}, add {c}, and state the number.");
    json!({
        "type": "start_agent", "message_id": message_id, "thread_id": thread_id,
        "payload": { "user_request": request, "thread_id": thread_id },
    })
}

/// A token whose signature does not hold.
pub fn tampered(token: &str) -> String {
    let at = token.len() - 10;
    let old = token.as_bytes()[at];
    let new = if old == b'A' { 'B' } else { 'A' };
    format!("{}{new}{}", &token[..at], &token[at + 1..])
}

/// The claims of a token under a header that says alg none.
pub fn alg_none(token: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let payload = token.split('.').nth(1).unwrap();
    format!("{header}.{payload}.")
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap_or("");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}
