//! An Alertmanager of the tests' own, which answers in any way and writes down what it was asked.

use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    /// `POST /api/v2/alerts`.
    pub line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Names and own labels of the alerts in it.
    pub fn names(&self) -> Vec<String> {
        let alerts = self.body.as_array().map_or(&[][..], Vec::as_slice);
        alerts
            .iter()
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, further header lines, body.
    Say(u16, &'static str, String),
    /// Never.
    Hang,
    /// Hangs up.
    Drop,
}

impl Reply {
    pub fn well() -> Self {
        Self::Say(200, "", String::new())
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::Say(status, "Content-Type: application/json\r\n", body.to_string())
    }
}

type Answer = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// The running server.
pub struct Fake {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(None, answer).await
    }

    pub async fn serve(tls: Option<TlsAcceptor>, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Arc::new(answer)));
        let (seen, replies) = (Arc::clone(&asked), Arc::clone(&answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, replies, tls) = (Arc::clone(&seen), Arc::clone(&replies), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, seen, replies).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, seen, replies).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            asked,
            answer,
            task,
        }
    }

    /// From now on it answers like this.
    pub fn answers(&self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn pushes(&self) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.line.starts_with("POST"));
        asked
    }

    pub fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    /// Waits until it was pushed to so often; panics after fifteen seconds.
    pub async fn pushed(&self, times: usize) -> Vec<Asked> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while self.pushes().len() < times {
            assert!(Instant::now() < deadline, "{} of {times} pushes", self.pushes().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.pushes()
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<Answer>>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some(asked) = read(&mut stream, &mut bytes).await else {
            return;
        };
        let answer = Arc::clone(&answer.lock().unwrap());
        let reply = answer(&asked);
        seen.lock().unwrap().push(asked);
        match reply {
            Reply::Drop => return,
            Reply::Hang => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            Reply::Say(status, headers, body) => {
                let text = format!(
                    "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// One request; none at the end of the connection.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> Option<Asked> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut lines = head.lines();
            let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length = length.map_or(0, |(_, length)| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
                bytes.drain(..end + 4 + length);
                return Some(Asked {
                    at: Instant::now(),
                    line,
                    headers,
                    body,
                });
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A port on which nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert!(TcpStream::connect(address).await.is_err());
    address
}
