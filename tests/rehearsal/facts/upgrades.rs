//! Facts about WebSocket upgrades, read as raw bytes so that nothing a library would hide is missed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Facts;
use crate::support::Stage;

/// The sample key of RFC 6455 §1.3 and the accept value it must get.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long an answer is waited for; the slowest upgrade takes three seconds.
const PATIENCE: Duration = Duration::from_millis(3_800);

/// Silence after which an answer is taken to be complete.
const QUIET: Duration = Duration::from_millis(500);

/// One upgrade's answer.
pub struct Raw {
    pub text: String,
    pub pieces: usize,
    pub took: Duration,
    pub connected: bool,
}

pub async fn upgrade(stage: &Stage, path: &str, headers: &[String]) -> Raw {
    let began = Instant::now();
    let mut raw = Raw {
        text: String::new(),
        pieces: 0,
        took: Duration::ZERO,
        connected: false,
    };
    let Ok(mut stream) = TcpStream::connect(stage.rehearsal.backend_addr()).await else {
        return raw;
    };
    raw.connected = true;
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n",
        stage.rehearsal.backend_addr()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0_u8; 4096];
    loop {
        let patience = if raw.pieces == 0 { PATIENCE } else { QUIET };
        let Ok(Ok(count @ 1..)) = timeout(patience, stream.read(&mut buffer)).await else {
            break;
        };
        raw.pieces += 1;
        raw.text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        raw.took = began.elapsed();
        let status_known = raw.text.starts_with("HTTP/1.1 101");
        if status_known && raw.text.contains("\r\n\r\n") {
            break;
        }
    }
    raw
}

impl Raw {
    fn fact(&self) -> String {
        if !self.connected {
            return "no connection".into();
        }
        if self.text.is_empty() {
            return "no answer".into();
        }
        let (head, body) = self.text.split_once("\r\n\r\n").unwrap_or((&self.text, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap_or("");
        let wanted = [
            "sec-websocket-accept",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
            "upgrade",
        ];
        let kept = [
            &wanted[..],
            &[
                "server",
                "via",
                "content-type",
                "transfer-encoding",
                "retry-after",
                "location",
            ],
        ]
        .concat();
        let mut headers: Vec<&str> = lines
            .filter(|line| kept.contains(&line.split(':').next().unwrap_or("").to_ascii_lowercase().as_str()))
            .collect();
        headers.sort_unstable();
        let accepted = headers.iter().any(|line| line.contains(ACCEPT));
        let body = if status.contains("101") { "" } else { body };
        format!("{status} accepted {accepted} {headers:?} {body}")
    }

    fn status(&self) -> String {
        self.text.lines().next().unwrap_or("none").to_owned()
    }
}

/// Upgrades with and without credentials, on every path, one after the other and at once.
pub async fn upgrades(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let token = stage.known_token("a");
    let bearer = format!("authorization: Bearer {token}");
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&token);
    let protocol = format!("sec-websocket-protocol: jwt-auth, jwt.{encoded}");
    let rows: [(&str, &str, Vec<String>); 6] = [
        ("anonymous", "/ws", vec![]),
        ("header", "/ws", vec![bearer.clone()]),
        ("subprotocol", "/websocket", vec![protocol]),
        ("garbage", "/ws", vec!["authorization: Bearer garbage".into()]),
        ("nonesuch", "/ws-nonce", vec![]),
        ("control", "/ws/test", vec![]),
    ];
    let answers = rows.map(|(name, path, headers)| async move { (name, upgrade(stage, path, &headers).await) });
    for (name, raw) in join_all(answers).await {
        facts.note(name, raw.fact());
        facts.note(format!("{name} late"), raw.took > Duration::from_secs(2));
        if raw.status().contains(" 500") {
            facts.note(format!("{name} in pieces"), raw.pieces > 1);
        }
    }
    // One after the other, on both instances: an even number in a row reaches each.
    let mut alone = std::collections::BTreeSet::new();
    for name in ["d", "e"] {
        let bearer = format!("authorization: Bearer {}", stage.known_token(name));
        alone.insert(upgrade(stage, "/ws", &[bearer]).await.status());
    }
    facts.note("one by one", format!("{alone:?}"));
    let tokens: Vec<String> = (0..7).map(|n| stage.known_token(&format!("c{n}"))).collect();
    let at_once = tokens.iter().map(|token| async move {
        let bearer = format!("authorization: Bearer {token}");
        upgrade(stage, "/ws", &[bearer]).await.status()
    });
    let statuses: std::collections::BTreeSet<String> = join_all(at_once).await.into_iter().collect();
    facts.note("seven at once", format!("{statuses:?}"));
    facts
}
