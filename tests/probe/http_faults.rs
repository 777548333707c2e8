//! Faults of plain HTTP exchanges before TLS and WebSocket come in.

use super::support::server::pause;
use super::support::*;
use http::Method;
use stagewatch::failure::{Blame, Class, Kind, Phase};
use stagewatch::limits::BODY_BYTES_MAX;
use stagewatch::probe::{AddressPolicy, HttpRequest, WireSettings};
use std::io::Write as _;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The failure of one GET, and that its deadline was kept.
async fn failure_of(server: &Server, within_ms: u64) -> (Kind, Phase) {
    let started = Instant::now();
    let (exchange, failure) = client(server).http(get(server.url("/"), within_ms)).await;
    assert!(
        started.elapsed() < Duration::from_millis(within_ms + 2000),
        "deadline overshot: {:?}",
        started.elapsed()
    );
    what(&failure.unwrap_or_else(|| panic!("no failure: {exchange:?}")))
}

#[tokio::test]
async fn a_plain_answer_is_recorded() {
    let server = Server::answering("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-Twice: a\r\nX-Twice: b\r\nContent-Length: 11\r\n\r\n{\"a\": [1] }").await;
    let (exchange, failure) = client(&server).http(get(server.url("/x?y=1"), 2000)).await;
    assert_eq!(failure, None, "a status is no failure");
    assert_eq!(
        (exchange.status, exchange.http_version.as_str()),
        (Some(404), "HTTP/1.1")
    );
    assert_eq!(exchange.headers["x-twice"], "a, b");
    assert_eq!(exchange.json, Some(serde_json::json!({"a": [1]})));
    assert_eq!(
        (
            exchange.body.text.as_str(),
            exchange.body.bytes,
            exchange.body.truncated
        ),
        ("{\"a\": [1] }", 11, false)
    );
    assert_eq!(exchange.peer, Some(server.address.to_string()));
    assert!(
        exchange.phases.connect_ms.is_some()
            && exchange.phases.first_byte_ms.is_some()
            && exchange.phases.body_ms.is_some()
    );
    assert!(
        exchange.phases.dns_ms.is_none() && exchange.phases.tls_ms.is_none(),
        "{:?}",
        exchange.phases
    );
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /x?y=1 HTTP/1.1"), "{head}");
    assert!(
        head.contains("traceparent: 00-") && head.contains("x-request-id: "),
        "{head}"
    );
    assert!(
        !head.to_lowercase().contains("accept-encoding"),
        "gzip was not asked for: {head}"
    );
}

#[tokio::test]
async fn f08_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client_of(&settings(&[]));
    let (exchange, failure) = client.http(get(format!("http://{address}/"), 2000)).await;
    assert_eq!(what(&failure.unwrap()), (Kind::TcpRefused, Phase::Connect));
    assert_eq!(exchange.peer, Some(address.to_string()));
    assert!(
        exchange.phases.connect_ms.is_some() && exchange.phases.first_byte_ms.is_none(),
        "{:?}",
        exchange.phases
    );
}

#[tokio::test]
async fn f09_no_answer_to_the_connection_request() {
    // A full backlog drops SYN packets, which looks like a black hole.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(1).unwrap();
    let fillers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(tokio::net::TcpStream::connect(address)))
        .collect();
    pause(100).await;
    let client = client_of(&settings(&[]));
    for raw_path in [false, true] {
        let request = HttpRequest {
            raw_path,
            ..get(format!("http://{address}/"), 300)
        };
        let (exchange, failure) = client.http(request).await;
        assert_eq!(what(&failure.unwrap()), (Kind::TcpTimeout, Phase::Connect));
        assert!(
            exchange.phases.connect_ms.unwrap() > 100.0,
            "the wait is billed: {:?}",
            exchange.phases
        );
    }
    fillers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn f10_reset_after_accept_and_after_the_request() {
    let server = Server::start_raw(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    let (kind, phase) = failure_of(&server, 2000).await;
    assert_eq!(kind, Kind::TcpReset);
    assert!(matches!(phase, Phase::FirstByte | Phase::Connect), "{phase:?}");
    let server = Server::start(|peer| async move { peer.reset() }).await;
    assert_eq!(failure_of(&server, 2000).await, (Kind::TcpReset, Phase::FirstByte));
}

#[tokio::test]
async fn closed_without_an_answer() {
    let server = Server::start(|_| async {}).await;
    assert_eq!(failure_of(&server, 2000).await, (Kind::HttpClosed, Phase::FirstByte));
}

#[tokio::test]
async fn f37_head_dripped_or_missing() {
    let server =
        Server::start(|mut peer| async move { peer.drip("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 50).await })
            .await;
    assert_eq!(failure_of(&server, 600).await, (Kind::HeaderTimeout, Phase::FirstByte));
    let server = Server::start(Peer::hang).await;
    assert_eq!(failure_of(&server, 500).await, (Kind::HeaderTimeout, Phase::FirstByte));
}

#[tokio::test]
async fn f38_body_dripped_or_stalled() {
    let server = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        peer.drip(vec![b'x'; 1000], 50).await;
    })
    .await;
    assert_eq!(failure_of(&server, 600).await, (Kind::BodyTimeout, Phase::Body));
    let (exchange, failure) = client(&server).http(get(server.url("/"), 600)).await;
    assert_eq!(failure.unwrap().status, Some(200));
    assert!(
        exchange.body.truncated && exchange.body.bytes > 0,
        "what came is kept: {:?}",
        exchange.body
    );
}

#[tokio::test]
async fn f39_endless_body() {
    let server = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        for _ in 0..1000 {
            peer.send(&chunk).await;
        }
    })
    .await;
    let (exchange, failure) = client(&server).http(get(server.url("/"), 5000)).await;
    assert_eq!(what(&failure.unwrap()), (Kind::BodyTooLarge, Phase::Body));
    assert!(exchange.body.truncated && exchange.body.text.len() == BODY_BYTES_MAX);
}

#[tokio::test]
async fn f40_gzip_counts_unpacked_bytes() {
    let mut packed = flate(&vec![0_u8; 4 * BODY_BYTES_MAX]);
    assert!(packed.len() < BODY_BYTES_MAX / 16);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    answer.append(&mut packed);
    let server = Server::answering(answer).await;
    let request = HttpRequest {
        accept_gzip: true,
        ..get(server.url("/"), 5000)
    };
    let (exchange, failure) = client(&server).http(request).await;
    assert_eq!(what(&failure.unwrap()), (Kind::BodyTooLarge, Phase::Body));
    assert!(exchange.body.truncated);
    assert!(server.heads()[0].contains("gzip"));
}

fn flate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn f41_heads_that_are_too_large() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\nX-Huge: {}\r\nContent-Length: 0\r\n\r\n",
        "h".repeat(600_000)
    );
    assert_eq!(
        failure_of(&Server::answering(huge).await, 3000).await,
        (Kind::HeaderTooLarge, Phase::FirstByte)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        "X-Many: 1\r\n".repeat(5000)
    );
    assert_eq!(
        failure_of(&Server::answering(many).await, 3000).await,
        (Kind::HeaderTooLarge, Phase::FirstByte)
    );
    let above = format!(
        "HTTP/1.1 200 OK\r\nX-Huge: {}\r\nContent-Length: 0\r\n\r\n",
        "h".repeat(40_000)
    );
    assert_eq!(
        failure_of(&Server::answering(above).await, 3000).await,
        (Kind::HeaderTooLarge, Phase::FirstByte)
    );
    let endless = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\n").await;
        for _ in 0..100_000 {
            peer.send("X-More: ").await;
            peer.send(vec![b'm'; 1000]).await;
            peer.send("\r\n").await;
        }
    })
    .await;
    assert_eq!(
        failure_of(&endless, 5000).await,
        (Kind::HeaderTooLarge, Phase::FirstByte)
    );
}

#[tokio::test]
async fn f42_bad_chunking() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (case, tail) in [
        ("no number", "zz\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("overflow", "fffffffffffffffff1\r\nhello\r\n0\r\n\r\n".to_owned()),
        (
            "extension flood",
            format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(100_000)),
        ),
        (
            "trailer flood",
            format!("5\r\nhello\r\n0\r\n{}\r\n", "X-T: 1\r\n".repeat(20_000)),
        ),
        ("no line end after the chunk", "5\r\nhelloXX0\r\n\r\n".to_owned()),
    ] {
        let server = Server::answering(format!("{chunked}{tail}")).await;
        assert_eq!(
            failure_of(&server, 2000).await,
            (Kind::HttpProtocol, Phase::Body),
            "{case}"
        );
    }
    for (case, answer) in [
        ("banner", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n"),
        ("bad status", "HTTP/1.1 abc OK\r\n\r\n"),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ] {
        let server = Server::answering(answer).await;
        assert_eq!(
            failure_of(&server, 2000).await,
            (Kind::HttpProtocol, Phase::FirstByte),
            "{case}"
        );
    }
}

#[tokio::test]
async fn cut_bodies() {
    let length = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    assert_eq!(failure_of(&length, 2000).await, (Kind::BodyCut, Phase::Body));
    let chunked = Server::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").await;
    assert_eq!(failure_of(&chunked, 2000).await, (Kind::BodyCut, Phase::Body));
    let reset = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
        pause(50).await;
        peer.reset();
    })
    .await;
    assert_eq!(failure_of(&reset, 2000).await, (Kind::TcpReset, Phase::Body));
}

#[tokio::test]
async fn f45_bodies_that_lie_about_their_content() {
    let json = |body: &[u8]| {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        answer
    };
    let not_utf8 = Server::answering(json(b"{\"a\":\"\xff\xfe\"}")).await;
    assert_eq!(failure_of(&not_utf8, 2000).await, (Kind::BodyNotUtf8, Phase::Body));
    let deep = Server::answering(json("[".repeat(200_000).as_bytes())).await;
    assert_eq!(failure_of(&deep, 3000).await, (Kind::JsonTooDeep, Phase::Body));
    let html = Server::answering(json(b"<html></html>")).await;
    assert_eq!(failure_of(&html, 2000).await, (Kind::BodyNotJson, Phase::Body));
    let declared = Server::answering(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec(),
    )
    .await;
    assert_eq!(failure_of(&declared, 2000).await, (Kind::BodyNotUtf8, Phase::Body));
    let unlabelled =
        Server::answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec())
            .await;
    let (exchange, failure) = client(&unlabelled).http(get(unlabelled.url("/"), 2000)).await;
    assert_eq!((failure, exchange.body.text.as_str()), (None, "\u{fffd}\u{fffd}"));
}

#[tokio::test]
async fn head_requests_and_empty_json_are_fine() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n").await;
    let request = HttpRequest {
        method: Method::HEAD,
        ..get(server.url("/"), 2000)
    };
    let (exchange, failure) = client(&server).http(request).await;
    assert_eq!((failure, exchange.status), (None, Some(200)));
}

#[tokio::test]
async fn f06_denied_addresses_are_not_dialled() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let port = server.address.port();
    let strict = WireSettings {
        addresses: AddressPolicy::default(),
        ..settings(&[])
    };
    let client = client_of(&strict);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let (_, failure) = client.http(get(format!("http://{host}:{port}/"), 2000)).await;
        let failure = failure.unwrap();
        assert_eq!(
            what(&failure),
            (Kind::AddressNotAllowed, Phase::Dns),
            "{host}: {failure}"
        );
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn bad_requests_are_our_own_fault() {
    let client = client_of(&settings(&[]));
    for url in [
        "/relative",
        "ftp://127.0.0.1/",
        "http://user:pw@127.0.0.1/",
        "http://",
        "not a url",
    ] {
        let (_, failure) = client.http(get(url, 1000)).await;
        let failure = failure.unwrap();
        assert_eq!(
            (failure.kind, failure.class, failure.blame),
            (Kind::StepInvalid, Class::Expectation, Blame::Monitor),
            "{url}"
        );
        assert!(!failure.detail.contains("pw@"), "{}", failure.detail);
    }
}
