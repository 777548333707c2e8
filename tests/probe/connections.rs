//! New and pooled connections, HTTP/2, redirects, cookies, paths as written.

use super::support::*;
use http::Method;
use hyper_util::rt::{TokioExecutor, TokioIo};
use stagewatch::failure::{Kind, Phase};
use stagewatch::probe::{ConnectionUse, Cookies, HttpRequest, HttpVersion, Redirects, RequestBody};
use stagewatch::secret::Secret;
use stagewatch::transcript::Connection;

/// Answers every request of a kept connection with its own number on that connection.
async fn keep_alive() -> Server {
    Server::start(|mut peer| async move {
        let mut number = 1;
        loop {
            let body = format!("{number} {}", peer.path());
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
            number += 1;
            if !peer.next_head().await {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn fresh_is_new_and_pooled_is_used_again() {
    let server = keep_alive().await;
    let client = client(&server);
    let fresh = || get(server.url("/f"), 2000);
    let pooled = || HttpRequest {
        connection: ConnectionUse::Pooled,
        ..get(server.url("/p"), 2000)
    };
    for (request, connection, body, accepted) in [
        (fresh(), Connection::New, "1 /f", 1),
        (fresh(), Connection::New, "1 /f", 2),
        (pooled(), Connection::New, "1 /p", 3),
        (pooled(), Connection::Pooled, "2 /p", 3),
        (fresh(), Connection::New, "1 /f", 4),
        (pooled(), Connection::Pooled, "3 /p", 4),
    ] {
        let (exchange, failure) = client.http(request).await;
        assert_eq!(failure, None);
        assert_eq!(
            (exchange.connection, exchange.body.text.as_str(), server.accepted()),
            (connection, body, accepted)
        );
        assert_eq!(exchange.phases.connect_ms.is_some(), connection == Connection::New);
        assert!(exchange.phases.first_byte_ms.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_run_may_overlap_and_keep_their_own_marks() {
    let server = keep_alive().await;
    let client = std::sync::Arc::new(client(&server));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..40 {
        let client = std::sync::Arc::clone(&client);
        let request = get(server.url(&format!("/{number}")), 5000);
        running.spawn(async move { (number, client.http(request).await) });
    }
    while let Some(done) = running.join_next().await {
        let (number, (exchange, failure)) = done.unwrap();
        assert_eq!((failure, exchange.body.text), (None, format!("1 /{number}")));
        assert!(exchange.connection == Connection::New && exchange.phases.connect_ms.is_some());
    }
    assert_eq!(server.accepted(), 40);
}

#[tokio::test]
async fn f14_a_pooled_connection_that_the_server_closed_is_no_failure() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = client(&server);
    for accepted in 1..=3 {
        let request = HttpRequest {
            connection: ConnectionUse::Pooled,
            ..get(server.url("/"), 2000)
        };
        let (exchange, failure) = client.http(request).await;
        assert_eq!(
            (failure, exchange.connection, server.accepted()),
            (None, Connection::New, accepted)
        );
        super::support::server::pause(50).await;
    }
}

#[tokio::test]
async fn two_runs_share_nothing() {
    let server = keep_alive().await;
    let wire = stagewatch::probe::Wire::new(&settings(&[server.origin()])).unwrap();
    for accepted in 1..=2 {
        let client = wire.client(run());
        let (exchange, _) = client
            .http(HttpRequest {
                connection: ConnectionUse::Pooled,
                ..get(server.url("/"), 2000)
            })
            .await;
        assert_eq!((exchange.connection, server.accepted()), (Connection::New, accepted));
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let server = Server::start_raw(|stream| async move {
        let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
            let body = format!("{:?} {}", request.version(), request.uri().path());
            Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from(body))))
        });
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await;
    let client = client(&server);
    let request = |connection| HttpRequest {
        version: HttpVersion::Http2,
        connection,
        ..get(server.url("/two"), 2000)
    };
    for (connection, accepted) in [
        (ConnectionUse::Fresh, 1),
        (ConnectionUse::Fresh, 2),
        (ConnectionUse::Pooled, 3),
        (ConnectionUse::Pooled, 3),
    ] {
        let (exchange, failure) = client.http(request(connection)).await;
        assert_eq!(failure, None);
        assert_eq!(
            (exchange.http_version.as_str(), exchange.body.text.as_str()),
            ("HTTP/2.0", "HTTP/2.0 /two")
        );
        assert_eq!(server.accepted(), accepted);
    }
    let old = Server::start(|mut peer| async move {
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        peer.hang().await;
    })
    .await;
    let request = HttpRequest {
        version: HttpVersion::Http2,
        ..get(old.url("/"), 2000)
    };
    let (_, failure) = client_of(&settings(&[])).http(request).await;
    assert_eq!(what(&failure.unwrap()), (Kind::HttpProtocol, Phase::FirstByte));
}

/// Answers by path: redirects, and `/end` with the body `end`.
async fn redirecting(elsewhere: String) -> Server {
    Server::start(move |mut peer| {
        let elsewhere = elsewhere.clone();
        async move {
            let to = |status: &str, location: &str| {
                format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nmoved")
            };
            let answer = match peer.path() {
                "/same" => to("302", "/end"),
                "/repeat" => to("307", "/end"),
                "/loop" => to("301", "/loop"),
                "/dead" => to("302", "/closes"),
                "/closes" => return,
                "/other" => to("301", &elsewhere),
                _ => format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Method: {}\r\n\r\nend",
                    peer.head.split(' ').next().unwrap()
                ),
            };
            peer.send(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn f35_redirects_are_recorded_not_followed() {
    let other = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let server = redirecting(other.url("/seen?token=abc")).await;
    let client = client(&server);
    let (exchange, failure) = client.http(get(server.url("/other"), 2000)).await;
    assert_eq!(
        (failure, exchange.status, exchange.body.text.as_str()),
        (None, Some(301), "moved")
    );
    assert_eq!(exchange.redirects.len(), 1);
    assert!(!exchange.redirects[0].followed);
    assert!(
        exchange.redirects[0].location.ends_with("/seen?token=[redacted]"),
        "{:?}",
        exchange.redirects
    );
    assert_eq!(other.accepted(), 0);
}

#[tokio::test]
async fn f35_followed_within_the_origin_only() {
    let other = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let server = redirecting(other.url("/seen")).await;
    let client = client(&server);
    let follow = |path: &str| HttpRequest {
        method: Method::POST,
        redirects: Redirects::FollowSameOrigin,
        authorization: Some(Secret::new("canary-token")),
        headers: vec![("X-Api-Key".into(), "canary-key".into())],
        body: RequestBody::Text("body".into()),
        ..get(server.url(path), 2000)
    };
    let (exchange, failure) = client.http(follow("/same")).await;
    assert_eq!(
        (failure, exchange.status, exchange.headers["x-method"].as_str()),
        (None, Some(200), "GET")
    );
    assert_eq!(
        (exchange.redirects[0].status, exchange.redirects[0].followed),
        (302, true)
    );
    let (exchange, _) = client.http(follow("/repeat")).await;
    assert_eq!(exchange.headers["x-method"], "POST");
    let (exchange, failure) = client.http(follow("/loop")).await;
    assert_eq!(what(&failure.unwrap()), (Kind::RedirectRefused, Phase::FirstByte));
    assert_eq!(
        exchange.redirects.iter().filter(|redirect| redirect.followed).count(),
        3
    );
    let (exchange, failure) = client.http(follow("/dead")).await;
    assert_eq!(what(&failure.unwrap()), (Kind::HttpClosed, Phase::FirstByte));
    assert_eq!(
        (exchange.status, exchange.redirects.len()),
        (None, 1),
        "the status of the redirect is not that of the answer"
    );
    let (_, failure) = client.http(follow("/other")).await;
    assert_eq!(failure.unwrap().kind, Kind::RedirectRefused);
    assert_eq!(
        other.accepted(),
        0,
        "neither Authorization nor X-Api-Key left for another origin"
    );
}

#[tokio::test]
async fn credentials_stay_with_the_configured_origins() {
    let own = keep_alive().await;
    let foreign = keep_alive().await;
    let mut wire = settings(&[own.origin()]);
    wire.headers = vec![("X-Edge-Key".into(), "fixed-canary".into())];
    wire.proxy_authorization = Some(Secret::new("Bearer iap-canary"));
    let client = client_of(&wire);
    let (exchange, failure) = client
        .http(HttpRequest {
            authorization: Some(Secret::new("user-canary")),
            ..get(own.url("/"), 2000)
        })
        .await;
    assert_eq!(failure, None);
    let head = &own.heads()[0].to_lowercase();
    for sent in [
        "authorization: bearer user-canary",
        "x-edge-key: fixed-canary",
        "proxy-authorization: bearer iap-canary",
    ] {
        assert!(head.contains(sent), "{sent} missing in {head}");
    }
    assert!(!serde_json::to_string(&exchange).unwrap().contains("user-canary"));
    let (_, failure) = client.http(get(foreign.url("/"), 2000)).await;
    assert_eq!(failure, None);
    let head = &foreign.heads()[0].to_lowercase();
    assert!(!head.contains("canary") && !head.contains("traceparent"), "{head}");
    let leaks = [
        HttpRequest {
            authorization: Some(Secret::new("user-canary")),
            ..get(foreign.url("/"), 2000)
        },
        HttpRequest {
            headers: vec![("Authorization".into(), "Basic abc".into())],
            ..get(foreign.url("/"), 2000)
        },
        HttpRequest {
            headers: vec![("X-Any".into(), "user-canary".into())],
            ..get(foreign.url("/"), 2000)
        },
        HttpRequest {
            body: RequestBody::Text("t=user-canary".into()),
            ..get(foreign.url("/"), 2000)
        },
    ];
    for leak in leaks {
        let (_, failure) = client.http(leak).await;
        assert_eq!(failure.unwrap().kind, Kind::StepInvalid);
    }
    assert_eq!(foreign.accepted(), 1);
}

#[tokio::test]
async fn cookies_live_in_the_run() {
    let server = Server::start(|mut peer| async move {
        let had = peer.header("cookie").unwrap_or("none").len();
        peer.send(format!("HTTP/1.1 200 OK\r\nSet-Cookie: sid=cookie-canary; Path=/; HttpOnly\r\nX-Had: {had}\r\nContent-Length: 0\r\n\r\n")).await;
    })
    .await;
    let client = client(&server);
    let (first, _) = client.http(get(server.url("/"), 2000)).await;
    assert_eq!(
        (first.headers["x-had"].as_str(), first.cookies_set.as_slice()),
        ("4", &["sid".to_owned()][..])
    );
    assert_eq!(first.headers["set-cookie"], "sid=[redacted]; Path=/; HttpOnly");
    let (second, _) = client.http(get(server.url("/"), 2000)).await;
    assert_eq!(second.headers["x-had"], "17", "sid=cookie-canary was sent");
    assert_eq!(second.request_headers["cookie"], "sid=[redacted]");
    let (third, _) = client
        .http(HttpRequest {
            cookies: Cookies::Drop,
            ..get(server.url("/"), 2000)
        })
        .await;
    assert_eq!(third.headers["x-had"], "4");
    assert!(
        !serde_json::to_string(&(first, second, third))
            .unwrap()
            .contains("cookie-canary")
    );
}

#[tokio::test]
async fn paths_go_out_as_written() {
    let server = keep_alive().await;
    let client = client(&server);
    for path in [
        "/api/..%2f..%2fetc/passwd",
        "/../../etc/passwd",
        "/a/./b//c?x=../y",
        "/%2e%2e/x",
    ] {
        let request = HttpRequest {
            raw_path: true,
            ..get(server.url(path), 2000)
        };
        let (exchange, failure) = client.http(request).await;
        assert_eq!(failure, None, "{path}");
        assert_eq!(exchange.body.text, format!("1 {path}"));
        assert_eq!((exchange.status, exchange.connection), (Some(200), Connection::New));
        assert!(exchange.phases.connect_ms.is_some() && exchange.peer == Some(server.address.to_string()));
    }
    let (exchange, _) = client.http(get(server.url("/a/../b"), 2000)).await;
    assert_eq!(exchange.body.text, "1 /b", "without raw_path the client normalises");
}
