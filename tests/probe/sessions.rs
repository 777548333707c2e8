//! WebSocket sessions that work, and the abrupt ways of the raw session.

use super::support::server::{close, frame, pause};
use super::support::sockets::{echo, raw, session, socket};
use super::support::*;
use stagewatch::limits::WS_QUEUE_FRAMES_MAX;
use stagewatch::probe::{Opcode, Outgoing};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

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

#[test]
fn sessions_may_move_between_tasks() {
    fn movable<T: Send + 'static>() {}
    movable::<stagewatch::probe::Session>();
    movable::<stagewatch::probe::RawSession>();
    movable::<stagewatch::probe::SeenFrame>();
}
