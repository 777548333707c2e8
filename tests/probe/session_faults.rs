//! WebSocket sessions after the 101: healthy ones, faulty servers, and the abrupt ways of the raw session.

use super::support::server::{close, frame, pause};
use super::support::*;
use stagewatch::failure::{Class, Failure, Kind, Phase};
use stagewatch::limits::{WS_MESSAGE_BYTES_MAX, WS_QUEUE_FRAMES_MAX};
use stagewatch::probe::{Opcode, Outgoing, RawSession, Session};
use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server that switches and then runs `serve`.
async fn socket<F, Fut>(serve: F) -> Server
where
    F: Fn(Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let serve = Arc::new(serve);
    Server::start(move |mut peer| {
        let serve = Arc::clone(&serve);
        async move {
            peer.switch("").await;
            serve(peer).await;
        }
    })
    .await
}

async fn session(server: &Server) -> Session {
    client(server).upgrade(open(server, "/ws", 2000)).await.1.unwrap()
}

async fn raw(server: &Server) -> RawSession {
    client(server).upgrade_raw(open(server, "/ws", 2000)).await.1.unwrap()
}

/// Echoes text frames and whole fragmented messages, answers pings and closes.
async fn echo(mut peer: Peer) {
    let mut message = Vec::new();
    while let Some((first, payload)) = peer.next_frame().await {
        match first & 0x0f {
            0 | 1 => {
                message.extend_from_slice(&payload);
                if first & 0x80 != 0 {
                    let whole = std::mem::take(&mut message);
                    peer.frame(0x81, whole).await;
                }
            }
            2 => peer.frame(0x82, payload).await,
            8 => return peer.frame(0x88, payload).await,
            9 => peer.frame(0x8a, payload).await,
            _ => {}
        }
    }
}

#[tokio::test]
async fn messages_come_back_and_are_stamped() {
    let server = socket(echo).await;
    let mut session = session(&server).await;
    for (message, text) in [
        (Outgoing::Text("{\"id\":1}".into()), "{\"id\":1}"),
        (Outgoing::Fragments(vec!["ab".into(), "cd".into(), "é".into()]), "abcdé"),
        (Outgoing::Fragments(vec!["one".into()]), "one"),
    ] {
        let flushed = session.send(message, after(1000)).await.unwrap();
        let seen = session.next(after(1000)).await.unwrap().unwrap();
        assert_eq!((seen.opcode(), seen.expose_text()), (Opcode::Text, text));
        assert!(seen.at() >= flushed);
    }
    session
        .send(Outgoing::Binary(vec![1, 2, 3]), after(1000))
        .await
        .unwrap();
    let seen = session.next(after(1000)).await.unwrap().unwrap();
    assert_eq!((seen.opcode(), seen.bytes()), (Opcode::Binary, 3));
    let rtt = session.ping(Duration::from_secs(1)).await.unwrap();
    assert!((0.0..1000.0).contains(&rtt));
    assert!(session.next(after(50)).await.unwrap().is_none(), "nothing more came");
    let (closed, failure) = session.close(1000, "done", Duration::from_secs(1)).await;
    assert_eq!(failure, None);
    let answer = closed.answer.unwrap();
    assert_eq!(
        (closed.how.as_str(), answer.code, answer.reason.as_str()),
        ("close", 1000, "done")
    );
}

#[tokio::test]
async fn the_first_frame_may_come_with_the_101() {
    let server = Server::start(|mut peer| async move {
        let mut glued = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            peer.accept()
        )
        .into_bytes();
        glued.extend(frame(0x81, b"welcome"));
        peer.send(glued).await;
        peer.hang().await;
    })
    .await;
    let mut session = session(&server).await;
    assert_eq!(
        session.next(after(1000)).await.unwrap().unwrap().expose_text(),
        "welcome"
    );
    let mut raw = raw(&server).await;
    assert_eq!(raw.next(after(1000)).await.unwrap().unwrap().expose_text(), "welcome");
}

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
async fn a_close_is_a_frame_first() {
    let server = socket(|mut peer| async move {
        peer.frame(0x81, "last words").await;
        peer.send(close(1011, "bye")).await;
        assert_eq!(
            peer.next_frame().await,
            Some((0x88, close(1011, "bye")[2..].to_vec())),
            "our Close answers theirs"
        );
    })
    .await;
    let client = client(&server);
    let mut session = client.upgrade(open(&server, "/ws", 2000)).await.1.unwrap();
    assert_eq!(
        session.next(after(1000)).await.unwrap().unwrap().expose_text(),
        "last words"
    );
    let seen = session
        .next(after(1000))
        .await
        .unwrap()
        .unwrap()
        .close(client.run())
        .unwrap();
    assert_eq!((seen.code, seen.reason.as_str()), (1011, "bye"));
    let (closed, failure) = session.close(1000, "", Duration::from_secs(1)).await;
    assert_eq!(
        (failure.unwrap().close_code, closed.answer.unwrap().code),
        (Some(1011), 1011)
    );
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
    let mut reset = super::session_faults::session(&server).await;
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

#[tokio::test]
async fn automatic_answers_and_lost_frames_are_counted() {
    let server = socket(|mut peer| async move {
        peer.frame(0x81, "{\"type\":\"ping\"}").await;
        let answer = peer.next_frame().await;
        assert_eq!(answer, Some((0x81, b"{\"type\":\"pong\"}".to_vec())));
        for number in 0..WS_QUEUE_FRAMES_MAX + 100 {
            peer.frame(0x81, number.to_string()).await;
        }
        peer.frame(0x89, "done").await;
        peer.next_frame().await;
        peer.frame(0x81, "end").await;
        peer.hang().await;
    })
    .await;
    let mut session = session(&server).await;
    session.answer(Arc::new(|frame| {
        let json = frame.expose_json()?;
        (json.get("type")? == "ping").then(|| "{\"type\":\"pong\"}".to_owned())
    }));
    let deadline = after(5000);
    while session.counts().frames_dropped < 102 {
        assert!(Instant::now() < deadline, "{:?}", session.counts());
        pause(5).await;
    }
    assert_eq!(session.counts().answers, 1);
    assert_eq!(
        session.next(deadline).await.unwrap().unwrap().expose_text(),
        "101",
        "the oldest were dropped"
    );
}

#[tokio::test]
async fn reading_can_be_held_while_sending_goes_on() {
    let server = socket(echo).await;
    let mut session = session(&server).await;
    session.hold_reading(true);
    for number in 0..200 {
        session
            .send(Outgoing::Text(format!("{number} {}", "x".repeat(300))), after(2000))
            .await
            .unwrap();
    }
    assert!(
        session.next(after(100)).await.unwrap().is_none(),
        "nothing is read while held"
    );
    session.hold_reading(false);
    for number in 0..200 {
        let seen = session.next(after(2000)).await.unwrap().unwrap();
        assert!(seen.expose_text().starts_with(&format!("{number} ")), "in order");
    }
    assert_eq!(session.counts().frames_dropped, 0);
}

#[tokio::test]
async fn raw_sessions_break_off() {
    let (tell, mut told) = mpsc::channel(1);
    let server = socket(move |mut peer| {
        let tell = tell.clone();
        async move {
            let first = peer.next_frame().await.unwrap();
            peer.frame(0x81, first.1).await;
            let mut rest = [0; 38];
            tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut rest)
                .await
                .unwrap();
            tell.send((rest[..2].to_vec(), peer.end().await)).await.unwrap();
        }
    })
    .await;
    let mut raw = raw(&server).await;
    raw.send(Outgoing::Text("hello".into()), after(1000)).await.unwrap();
    assert_eq!(raw.next(after(1000)).await.unwrap().unwrap().expose_text(), "hello");
    raw.half_frame(after(1000)).await.unwrap();
    pause(50).await;
    assert_eq!(raw.reset().how, "reset");
    assert_eq!(
        told.recv().await.unwrap(),
        (vec![0x81, 0x80 | 64], Err(ErrorKind::ConnectionReset))
    );
}

#[tokio::test]
async fn raw_sessions_never_answer_pings() {
    let server = socket(|mut peer| async move {
        peer.frame(0x89, "are you there").await;
        let answer = tokio::time::timeout(Duration::from_millis(150), peer.next_frame()).await;
        assert!(answer.is_err(), "nobody answered: {answer:?}");
        peer.send(close(1011, "keepalive ping timeout")).await;
        peer.hang().await;
    })
    .await;
    let client = client(&server);
    let mut raw = client.upgrade_raw(open(&server, "/ws", 2000)).await.1.unwrap();
    assert_eq!(raw.next(after(1000)).await.unwrap().unwrap().opcode(), Opcode::Ping);
    let seen = raw
        .next(after(2000))
        .await
        .unwrap()
        .unwrap()
        .close(client.run())
        .unwrap();
    assert_eq!((seen.code, seen.reason.as_str()), (1011, "keepalive ping timeout"));
}
