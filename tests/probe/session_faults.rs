//! WebSocket sessions after the 101 with servers that break the rules or fall silent.

use super::support::server::{close, frame, pause};
use super::support::sockets::{raw, session, socket};
use super::support::*;
use stagewatch::failure::{Class, Failure, Kind, Phase};
use stagewatch::limits::WS_MESSAGE_BYTES_MAX;
use stagewatch::probe::Outgoing;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What the session and the raw session end with after the server's bytes: the failure of waiting on.
async fn ends(bytes: Vec<u8>) -> [Failure; 2] {
    let bytes = Arc::new(bytes);
    let server = socket(move |mut peer| {
        let bytes = Arc::clone(&bytes);
        async move {
            peer.send(bytes.as_slice()).await;
            peer.hang().await;
        }
    })
    .await;
    let mut session = session(&server).await;
    let library = loop {
        match session.next(after(2000)).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the session goes on"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(
        session
            .send(Outgoing::Text("x".into()), after(500))
            .await
            .unwrap_err()
            .kind,
        library.kind
    );
    let mut raw = raw(&server).await;
    let own = loop {
        match raw.next(after(2000)).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the raw session goes on"),
            Err(failure) => break failure,
        }
    };
    [library, own]
}

async fn ends_with(case: &str, bytes: Vec<u8>, kind: Kind) {
    for failure in ends(bytes).await {
        assert_eq!(
            (failure.kind, failure.phase),
            (kind, Phase::Session),
            "{case}: {failure}"
        );
    }
}

#[tokio::test]
async fn f48_f50_closes_keep_their_code() {
    for code in [1000, 1001, 1008, 1011, 1012, 1013, 1014, 3000, 4001, 4401] {
        for failure in ends(close(code, "why\x1b[2J\n\u{202e}")).await {
            assert_eq!((failure.kind, failure.close_code), (Kind::WsClosed, Some(code)));
            let class = if matches!(code, 1008 | 4401) {
                Class::Auth
            } else {
                Class::Close
            };
            assert_eq!(failure.class, class);
            assert!(
                failure.detail.contains("why") && !failure.detail.contains(['\x1b', '\n', '\u{202e}']),
                "{}",
                failure.detail
            );
        }
    }
    for failure in ends(frame(0x88, b"")).await {
        assert_eq!((failure.kind, failure.close_code), (Kind::WsClosed, Some(1005)));
    }
}

#[tokio::test]
async fn f47_ends_without_a_close() {
    let server = socket(|_| async {}).await;
    let mut session = session(&server).await;
    let run = run();
    let seen = session.next(after(1000)).await.unwrap().unwrap();
    assert_eq!(seen.close(&run).unwrap().code, 1006);
    assert_eq!(
        session
            .next(after(1000))
            .await
            .err()
            .map(|failure| (failure.kind, failure.close_code)),
        Some((Kind::WsClosed, Some(1006)))
    );
    let mut raw = raw(&server).await;
    assert_eq!(
        raw.next(after(1000)).await.unwrap().unwrap().close(&run).unwrap().code,
        1006
    );
    let server = socket(|peer| async move {
        pause(50).await;
        peer.reset();
    })
    .await;
    let mut reset = super::support::sockets::session(&server).await;
    let failure = reset.next(after(1000)).await.err().unwrap();
    assert_eq!(
        (failure.kind, failure.phase, failure.close_code),
        (Kind::TcpReset, Phase::Session, Some(1006))
    );
}

#[tokio::test]
async fn f46_silence_is_no_frame() {
    let server = socket(Peer::hang).await;
    let mut session = session(&server).await;
    let started = Instant::now();
    assert!(session.next(after(150)).await.unwrap().is_none());
    assert!((150..400).contains(&started.elapsed().as_millis()));
    assert_eq!(
        session.ping(Duration::from_millis(150)).await.unwrap_err().kind,
        Kind::WsHalfOpen
    );
    let (closed, failure) = session.close(1000, "", Duration::from_millis(150)).await;
    assert_eq!((closed.answer, failure.unwrap().kind), (None, Kind::WsNoAnswer));
}

#[tokio::test]
async fn f52_f53_f60_frames_against_the_rules() {
    let mut masked = frame(0x81, b"\0\0\0\0abc");
    masked[1] = 0x80 | 3;
    ends_with("masked", masked, Kind::WsProtocol).await;
    ends_with("rsv1", frame(0xc1, b"abc"), Kind::WsProtocol).await;
    ends_with("reserved data opcode", frame(0x83, b"abc"), Kind::WsProtocol).await;
    ends_with("reserved control opcode", frame(0x8b, b"abc"), Kind::WsProtocol).await;
    ends_with("long ping", frame(0x89, &[0; 126]), Kind::WsProtocol).await;
    ends_with("fragmented ping", frame(0x09, b"x"), Kind::WsProtocol).await;
    ends_with("continuation first", frame(0x80, b"x"), Kind::WsProtocol).await;
    ends_with(
        "message in a message",
        [frame(0x01, b"x"), frame(0x81, b"y")].concat(),
        Kind::WsProtocol,
    )
    .await;
    ends_with("close of one byte", frame(0x88, b"x"), Kind::WsProtocol).await;
    ends_with("f61 invalid utf-8", frame(0x81, b"\xff\xfe"), Kind::WsNotUtf8).await;
}

#[tokio::test]
async fn f56_f57_messages_above_the_limit() {
    ends_with(
        "2^62",
        [vec![0x81, 127], (1_u64 << 62).to_be_bytes().to_vec()].concat(),
        Kind::WsMessageTooBig,
    )
    .await;
    ends_with(
        "one byte above",
        frame(0x81, &vec![b'x'; WS_MESSAGE_BYTES_MAX + 1]),
        Kind::WsMessageTooBig,
    )
    .await;
    let mut fragments = frame(0x01, &[b'x'; 60_000]);
    (0..20).for_each(|_| fragments.extend(frame(0x00, &[b'x'; 60_000])));
    ends_with("fragments for ever", fragments, Kind::WsMessageTooBig).await;
    let server = socket(|mut peer| async move {
        peer.frame(0x81, vec![b'x'; WS_MESSAGE_BYTES_MAX]).await;
        peer.send(&frame(0x81, b"half a frame")[..6]).await;
        peer.hang().await;
    })
    .await;
    let mut session = session(&server).await;
    assert_eq!(
        session.next(after(2000)).await.unwrap().unwrap().bytes(),
        WS_MESSAGE_BYTES_MAX as u64
    );
    assert!(
        session.next(after(100)).await.unwrap().is_none(),
        "F60: half a frame is no frame"
    );
}

#[tokio::test]
async fn f59_ping_flood() {
    let flood: Vec<u8> = std::iter::repeat_with(|| frame(0x89, b"flood"))
        .take(20_000)
        .flatten()
        .collect();
    ends_with("ping flood", flood, Kind::WsControlFlood).await;
    let (tell, mut told) = mpsc::channel(1);
    let server = socket(move |mut peer| {
        let tell = tell.clone();
        async move {
            for _ in 0..3 {
                peer.frame(0x89, "hello").await;
                assert_eq!(
                    peer.next_frame().await,
                    Some((0x8a, b"hello".to_vec())),
                    "a ping is answered"
                );
            }
            tell.send(()).await.unwrap();
            peer.hang().await;
        }
    })
    .await;
    let session = session(&server).await;
    told.recv().await.unwrap();
    assert_eq!(session.counts().pings, 3);
}
