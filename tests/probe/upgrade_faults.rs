//! Faults of the WebSocket opening handshake; each is tried through reqwest and over a connection of our own.

use super::support::server::pause;
use super::support::*;
use stagewatch::failure::{Failure, Kind, Phase, UpgradeOutcome};
use stagewatch::limits::REFUSED_BODY_BYTES_MAX;
use stagewatch::probe::{Client, Shown, UpgradeRequest, jwt};
use stagewatch::secret::Secret;
use stagewatch::transcript::UpgradeExchange;
use std::time::Duration;
use tokio::time::Instant;

/// Both ways of one handshake that must fail.
async fn refused(server: &Server, request: impl Fn() -> UpgradeRequest) -> [(UpgradeExchange, Failure); 2] {
    let client = client(server);
    let (library, failure) = client.upgrade(request()).await;
    let library = (library, failure.err().expect("no session"));
    let (own, failure) = client.upgrade_raw(request()).await;
    [library, (own, failure.err().expect("no session"))]
}

async fn expect(
    server: &Server,
    within_ms: u64,
    kind: Kind,
    outcome: UpgradeOutcome,
) -> [(UpgradeExchange, Failure); 2] {
    let started = Instant::now();
    let both = refused(server, || open(server, "/ws", within_ms)).await;
    assert!(
        started.elapsed() < Duration::from_millis(2 * within_ms + 2000),
        "deadline overshot: {:?}",
        started.elapsed()
    );
    for (exchange, failure) in &both {
        assert_eq!((failure.kind, exchange.outcome), (kind, outcome), "{failure}");
        assert!(!exchange.accepted);
    }
    both
}

#[tokio::test]
async fn f23_f24_f25_refused_with_a_body() {
    let same = Server::answering(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nboom",
    )
    .await;
    for (exchange, failure) in expect(&same, 2000, Kind::WsUpgradeRefused, UpgradeOutcome::Http500).await {
        assert_eq!((failure.status, failure.phase), (Some(500), Phase::Upgrade));
        assert_eq!(
            (exchange.http.body.text.as_str(), exchange.http.body.truncated),
            ("boom", false)
        );
        assert_eq!(exchange.http.headers["content-type"], "text/plain");
        assert_eq!(exchange.http.peer, Some(same.address.to_string()));
        assert!(exchange.http.phases.connect_ms.is_some() && exchange.http.phases.first_byte_ms.is_some());
    }
    let split = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        pause(80).await;
        peer.send("4\r\nboom\r\n").await;
        pause(80).await;
        peer.send("3\r\n!!!\r\n0\r\n\r\n").await;
    })
    .await;
    for (exchange, _) in expect(&split, 2000, Kind::WsUpgradeRefused, UpgradeOutcome::Http500).await {
        assert_eq!(
            (exchange.http.body.text.as_str(), exchange.http.body.truncated),
            ("boom!!!", false)
        );
    }
    let nothing = Server::answering("HTTP/1.1 500 Internal Server Error\r\n\r\n").await;
    for (exchange, _) in expect(&nothing, 2000, Kind::WsUpgradeRefused, UpgradeOutcome::Http500).await {
        assert_eq!(
            (exchange.http.status, exchange.http.body.text.as_str()),
            (Some(500), "")
        );
    }
}

#[tokio::test]
async fn f26_endless_bodies_of_refusals() {
    let endless = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        for _ in 0..1000 {
            peer.send(&chunk).await;
        }
    })
    .await;
    for (exchange, _) in expect(&endless, 4000, Kind::WsUpgradeRefused, UpgradeOutcome::Http500).await {
        assert_eq!(exchange.http.body.text.len(), REFUSED_BODY_BYTES_MAX);
        assert!(exchange.http.body.truncated);
    }
    let stalled = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\nRetry-After: 7\r\n\r\nstart")
            .await;
        peer.hang().await;
    })
    .await;
    let started = Instant::now();
    for (exchange, _) in expect(&stalled, 9000, Kind::WsUpgradeRefused, UpgradeOutcome::Http503).await {
        assert_eq!(
            (exchange.http.body.text.as_str(), exchange.http.body.truncated),
            ("start", true)
        );
        assert_eq!(exchange.http.headers["retry-after"], "7");
    }
    assert!(
        started.elapsed() < Duration::from_millis(2500),
        "500 ms each, not the deadline: {:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn f27_http_1_0_and_every_status() {
    let old = Server::answering("HTTP/1.0 503 Service Unavailable\r\nRetry-After: 3\r\n\r\nold proxy").await;
    for (exchange, failure) in expect(&old, 2000, Kind::WsUpgradeRefused, UpgradeOutcome::Http503).await {
        assert_eq!(
            (failure.status, exchange.http.http_version.as_str()),
            (Some(503), "HTTP/1.0")
        );
        assert_eq!(exchange.http.body.text, "old proxy");
    }
    for (status, outcome) in [
        (400, UpgradeOutcome::Http400),
        (401, UpgradeOutcome::Http401),
        (403, UpgradeOutcome::Http403),
        (404, UpgradeOutcome::Http404),
        (426, UpgradeOutcome::Http426),
        (429, UpgradeOutcome::Http429),
        (502, UpgradeOutcome::Http502),
        (504, UpgradeOutcome::Http504),
        (200, UpgradeOutcome::HttpOther),
        (418, UpgradeOutcome::HttpOther),
        (301, UpgradeOutcome::HttpOther),
    ] {
        let server = Server::answering(format!(
            "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let both = expect(&server, 2000, Kind::WsUpgradeRefused, outcome).await;
        assert_eq!(both[0].0.http.redirects.len(), usize::from(status == 301));
        assert_eq!(server.accepted(), 2, "a redirect is not followed");
    }
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let server = Server::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    expect(&server, 2000, Kind::WsUpgradeRefused, UpgradeOutcome::Http403).await;
}

#[tokio::test]
async fn f29_f30_no_answer() {
    let closes = Server::start(|_| async {}).await;
    expect(&closes, 2000, Kind::UpgradeClosed, UpgradeOutcome::Reset).await;
    let resets = Server::start(|peer| async move { peer.reset() }).await;
    for (_, failure) in expect(&resets, 2000, Kind::TcpReset, UpgradeOutcome::Reset).await {
        assert_eq!(failure.phase, Phase::Upgrade);
    }
    let silent = Server::start(Peer::hang).await;
    for (exchange, failure) in expect(&silent, 400, Kind::UpgradeTimeout, UpgradeOutcome::Timeout).await {
        assert_eq!((failure.phase, exchange.http.status), (Phase::Upgrade, None));
        assert!(
            exchange.http.phases.first_byte_ms.unwrap() > 150.0,
            "the wait is billed: {:?}",
            exchange.http.phases
        );
    }
}

#[tokio::test]
async fn f31_f32_f34_f55_wrong_101s() {
    async fn wrong(answer: impl Fn(&str) -> String + Send + Sync + 'static, kind: Kind) {
        let answer = std::sync::Arc::new(answer);
        let server = Server::start(move |mut peer| {
            let answer = std::sync::Arc::clone(&answer);
            async move {
                let head = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n", answer(&peer.accept()));
                peer.send(head).await;
                peer.hang().await;
            }
        })
        .await;
        for (exchange, failure) in expect(&server, 2000, kind, UpgradeOutcome::BadHandshake).await {
            assert_eq!(
                (exchange.http.status, failure.status, failure.phase),
                (Some(101), Some(101), Phase::Upgrade)
            );
        }
    }
    let up = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    wrong(
        move |_| format!("{up}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        Kind::WsBadAccept,
    )
    .await;
    wrong(move |_| up.to_owned(), Kind::WsBadAccept).await;
    wrong(
        |accept| format!("Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"),
        Kind::WsBadUpgrade,
    )
    .await;
    wrong(
        |accept| format!("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"),
        Kind::WsBadUpgrade,
    )
    .await;
    wrong(
        |accept| format!("Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n"),
        Kind::WsBadUpgrade,
    )
    .await;
    wrong(
        move |accept| format!("{up}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n"),
        Kind::WsBadSubprotocol,
    )
    .await;
    wrong(
        move |accept| format!("{up}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
        Kind::WsBadExtension,
    )
    .await;
}

#[tokio::test]
async fn f33_heads_that_never_end() {
    let unfinished = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
            .await;
        peer.hang().await;
    })
    .await;
    expect(&unfinished, 400, Kind::UpgradeTimeout, UpgradeOutcome::Timeout).await;
    let huge = format!(
        "HTTP/1.1 101 Switching Protocols\r\nX-Huge: {}\r\n\r\n",
        "h".repeat(2_000_000)
    );
    for (_, failure) in expect(
        &Server::answering(huge).await,
        4000,
        Kind::HeaderTooLarge,
        UpgradeOutcome::BadHandshake,
    )
    .await
    {
        assert_eq!(failure.phase, Phase::Upgrade);
    }
}

#[tokio::test]
async fn what_is_no_http() {
    expect(
        &Server::answering("SSH-2.0-OpenSSH_9.2p1\r\n\r\n").await,
        2000,
        Kind::HttpProtocol,
        UpgradeOutcome::BadHandshake,
    )
    .await;
}

#[tokio::test]
async fn credentials_are_shown_as_asked_and_hidden_in_the_record() {
    let server = Server::start(|mut peer| async move {
        let chosen = peer
            .header("sec-websocket-protocol")
            .map(|_| "Sec-WebSocket-Protocol: jwt-auth\r\n".to_owned());
        let seen = format!(
            "X-Seen: {} {}\r\n",
            peer.header("authorization").unwrap_or("-"),
            peer.header("sec-websocket-protocol").unwrap_or("-")
        );
        peer.switch(&format!("{}{seen}", chosen.unwrap_or_default())).await;
        peer.hang().await;
    })
    .await;
    let client: Client = client(&server);
    let token = Secret::new("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl");
    let by_header = UpgradeRequest {
        shown: Shown::Header(token.clone()),
        token: "valid".into(),
        ..open(&server, "/ws", 2000)
    };
    let (exchange, session) = client.upgrade(by_header).await;
    assert!(session.is_ok() && exchange.accepted && exchange.outcome == UpgradeOutcome::Ok);
    assert_eq!(
        (
            exchange.transport.as_str(),
            exchange.token.as_str(),
            exchange.subprotocol.as_str()
        ),
        ("header", "valid", "")
    );
    assert_eq!(exchange.http.headers["x-seen"], "Bearer [redacted] -");
    let by_item = UpgradeRequest {
        shown: Shown::Subprotocol(jwt::subprotocol_item("jwt.", &token)),
        subprotocols: vec!["jwt-auth".into()],
        ..open(&server, "/ws", 2000)
    };
    let (exchange, session) = client.upgrade(by_item).await;
    assert!(session.is_ok());
    assert_eq!(
        (exchange.transport.as_str(), exchange.subprotocol.as_str()),
        ("subprotocol", "jwt-auth")
    );
    assert_eq!(
        exchange.http.request_headers["sec-websocket-protocol"],
        "jwt-auth, [redacted]"
    );
    assert!(server.heads()[1].contains("sec-websocket-protocol: jwt-auth, jwt."));
    let stored = serde_json::to_string(&exchange).unwrap();
    assert!(!stored.contains("eyJ") && !stored.contains("ZXlK"), "{stored}");
}
