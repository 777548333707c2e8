//! Event streams: healthy, silent, endless, and not event streams at all.

use super::support::server::pause;
use super::support::*;
use stagewatch::failure::{Failure, Kind, Phase};
use stagewatch::limits::SSE_LINE_BYTES_MAX;
use stagewatch::probe::{HttpRequest, SseUntil};
use stagewatch::transcript::SseRead;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";

/// Sends the head, then each piece after its pause; then closes, or hangs if the last piece is empty.
async fn stream(pieces: &'static [(u64, &'static str)]) -> Server {
    Server::start(move |mut peer| async move {
        peer.send(HEAD).await;
        for (ms, piece) in pieces {
            pause(*ms).await;
            if piece.is_empty() {
                return peer.hang().await;
            }
            peer.send(piece).await;
        }
    })
    .await
}

async fn read(server: &Server, within_ms: u64, until: SseUntil) -> (SseRead, Option<Failure>) {
    let started = Instant::now();
    let request = HttpRequest {
        incremental: true,
        ..get(server.url("/events"), within_ms)
    };
    let done = client(server).sse(request, until).await;
    assert!(
        started.elapsed() < Duration::from_millis(within_ms + 2000),
        "deadline overshot: {:?}",
        started.elapsed()
    );
    done
}

#[tokio::test]
async fn events_are_stamped() {
    let server = stream(&[
        (0, ": hello\n\n"),
        (40, "event: start\nid: 1\ndata: {\"run\":7}\n\n"),
        (80, "data: a\ndata: b\n\n"),
    ])
    .await;
    let (seen, failure) = read(&server, 3000, SseUntil::default()).await;
    assert_eq!(failure, None);
    assert!(seen.ended && seen.comments == 1 && seen.events.len() == 2);
    let [first, second] = seen.events.as_slice() else {
        panic!("{:?}", seen.events)
    };
    assert_eq!(
        (first.event.as_str(), first.id.as_str(), &first.json),
        ("start", "1", &Some(serde_json::json!({"run": 7})))
    );
    assert_eq!((second.event.as_str(), second.data.as_str()), ("message", "a\nb"));
    assert!(second.offset_ms - first.offset_ms > 70.0);
    assert!(seen.longest_gap_ms.unwrap() > 70.0 && seen.first_event_ms.unwrap() > 35.0);
    assert_eq!(seen.http.chunks.len(), 3);
    assert!(seen.http.body.text.starts_with(": hello") && !seen.http.body.truncated);
    assert!(server.heads()[0].contains("accept: text/event-stream"));
}

#[tokio::test]
async fn reading_stops_when_told() {
    let pieces = &[(0, "data: 1\n\ndata: 2\n\ndata: 3\n\n"), (0, "")];
    let server = stream(pieces).await;
    let matches = |text: &'static str| SseUntil {
        matches: Some(Arc::new(move |event| event.data == text)),
        ..SseUntil::default()
    };
    let (seen, failure) = read(&server, 3000, matches("2")).await;
    assert_eq!((failure, seen.events.len(), seen.ended), (None, 2, false));
    let (seen, failure) = read(
        &server,
        3000,
        SseUntil {
            events_max: 1,
            ..SseUntil::default()
        },
    )
    .await;
    assert_eq!((failure, seen.events.len()), (None, 1));
    let (seen, failure) = read(&server, 200, matches("9")).await;
    assert_eq!(
        (failure.map(|failure| what(&failure)), seen.events.len()),
        (Some((Kind::SseSilent, Phase::Body)), 3)
    );
    let (seen, failure) = read(&server, 200, SseUntil::default()).await;
    assert_eq!(
        (failure, seen.events.len(), seen.ended),
        (None, 3, false),
        "a stream may outlive the deadline"
    );
    let silence = SseUntil {
        silence: Some(Duration::from_millis(100)),
        ..SseUntil::default()
    };
    let started = Instant::now();
    assert_eq!(
        read(&server, 3000, silence).await.1.map(|failure| failure.kind),
        Some(Kind::SseSilent)
    );
    assert!(started.elapsed() < Duration::from_millis(2500));
}

#[tokio::test]
async fn f67_f68_lines_and_events_without_end() {
    async fn endless(piece: String) -> Server {
        let piece = Arc::new(piece);
        Server::start(move |mut peer| {
            let piece = Arc::clone(&piece);
            async move {
                peer.send(HEAD).await;
                for _ in 0..10_000 {
                    peer.send(piece.as_bytes()).await;
                }
            }
        })
        .await
    }
    let (seen, failure) = read(&endless("x".repeat(1000)).await, 4000, SseUntil::default()).await;
    assert_eq!(what(&failure.unwrap()), (Kind::SseLineTooLong, Phase::Body));
    assert!(seen.http.body.bytes < 4 * SSE_LINE_BYTES_MAX as u64 && seen.http.body.truncated);
    let (_, failure) = read(
        &endless(format!("data: {}\n", "x".repeat(1000))).await,
        4000,
        SseUntil::default(),
    )
    .await;
    assert_eq!(what(&failure.unwrap()), (Kind::SseEventTooLarge, Phase::Body));
    let (_, failure) = read(
        &endless(": keep-alive, and nothing else\n".repeat(50)).await,
        4000,
        SseUntil::default(),
    )
    .await;
    assert_eq!(
        what(&failure.unwrap()),
        (Kind::BodyTooLarge, Phase::Body),
        "comments are bounded by the body limit"
    );
}

#[tokio::test]
async fn f69_silence_and_comments_are_no_events() {
    for pieces in [&[(0, "")][..], &[(0, ": ping\n\n"), (50, ": ping\n\n"), (0, "")]] {
        let (seen, failure) = read(&stream(pieces).await, 800, SseUntil::default()).await;
        assert_eq!(what(&failure.unwrap()), (Kind::SseSilent, Phase::Body));
        assert_eq!(
            (seen.events.len(), seen.comments as usize, seen.ended),
            (0, pieces.len() - 1, false)
        );
    }
}

#[tokio::test]
async fn what_is_no_stream() {
    let html = Server::answering("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>").await;
    let (seen, failure) = read(&html, 2000, SseUntil::default()).await;
    assert_eq!(what(&failure.unwrap()), (Kind::SseContentType, Phase::FirstByte));
    assert_eq!(seen.http.body.text, "<html>");
    let refused = Server::answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").await;
    let (seen, failure) = read(&refused, 2000, SseUntil::default()).await;
    let failure = failure.unwrap();
    assert_eq!(
        (failure.kind, failure.status, seen.http.body.text.as_str()),
        (Kind::HttpStatus, Some(503), "busy")
    );
    let cut = Server::answering("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\nda").await;
    let (seen, failure) = read(&cut, 2000, SseUntil::default()).await;
    assert_eq!(
        (what(&failure.unwrap()), seen.events.len()),
        ((Kind::BodyCut, Phase::Body), 1)
    );
}
