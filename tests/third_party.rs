//! The engine against servers that we did not write: nginx, Python `websockets`, Node `ws`.
//! `test.sh` installs them; where one is missing these tests fail and say so, they are never skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails where it stops")]

#[path = "third_party/servers.rs"]
mod servers;

use servers::Servers;
use stagewatch::app::once::{Iterated, OnceOptions, once};
use stagewatch::config::{self, ProcessEnvironment};
use stagewatch::failure::{Blame, Class, Kind, Phase};
use stagewatch::run::Judgement;
use stagewatch::transcript::{Observation, UpgradeExchange};
use stagewatch::verdict::Verdict;
use std::sync::Arc;

async fn iterate(servers: &Servers) -> Iterated {
    stagewatch::crypto::init_crypto();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("module.yaml"),
        include_str!("third_party/module.yaml"),
    )
    .unwrap();
    let main = folder.path().join("main.yaml");
    std::fs::write(&main, servers.main_file(folder.path())).unwrap();
    let catalog = config::load(&main, &ProcessEnvironment).unwrap_or_else(|errors| panic!("{errors}"));
    once(Arc::new(catalog), OnceOptions::default()).await.unwrap()
}

fn check<'a>(seen: &'a Iterated, id: &str) -> &'a Judgement {
    let found = seen.iteration.checks().find(|(_, judgement)| judgement.id == id);
    found.unwrap_or_else(|| panic!("no check {id}")).1
}

fn upgrade<'a>(seen: &'a Iterated, scenario: &str) -> &'a UpgradeExchange {
    let id = format!("strangers/{scenario}");
    let transcript = seen.transcripts.iter().find(|transcript| transcript.scenario == id);
    let transcript = transcript.unwrap_or_else(|| panic!("no transcript of {id}"));
    let entry = transcript.entries.iter().find(|entry| entry.id == "upgrade");
    match entry.map(|entry| &entry.seen) {
        Some(Observation::Upgrade(exchange)) => exchange,
        other => panic!("{id} has no upgrade but {other:?}"),
    }
}

fn assert_failed(judgement: &Judgement, class: Class, kind: Kind, status: Option<u16>) {
    let failure = judgement.failure.as_ref();
    let failure = failure.unwrap_or_else(|| panic!("{} did not fail: {judgement:?}", judgement.id));
    assert_eq!(judgement.verdict, Verdict::Fail, "{}", judgement.id);
    assert_eq!(
        (failure.class, failure.kind, failure.status),
        (class, kind, status),
        "{}",
        judgement.id
    );
    assert_eq!(judgement.blames, Some(Blame::Target), "{}", judgement.id);
}

fn assert_passed(judgement: &Judgement) {
    assert_eq!(
        judgement.verdict,
        Verdict::Pass,
        "{}: {:?}",
        judgement.id,
        judgement.expectations
    );
    assert!(
        judgement.transcripts.iter().all(|read| !read.entries.is_empty()),
        "{} names no entry",
        judgement.id
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn third_party_servers_get_the_right_verdicts() {
    let servers = Servers::start();
    let seen = iterate(&servers).await;

    assert_passed(check(&seen, "nginx_health"));
    assert_failed(
        check(&seen, "nginx_500"),
        Class::UpgradeStatus,
        Kind::WsUpgradeRefused,
        Some(500),
    );
    let refused = upgrade(&seen, "nginx_500");
    assert_eq!(
        refused.http.body.text,
        r#"{"error":"the chat is dead","trace":"nginx-planted"}"#
    );
    assert!(!refused.http.body.truncated);
    assert!(
        refused.http.headers["server"].starts_with("nginx"),
        "{:?}",
        refused.http.headers
    );
    assert!(
        refused
            .http
            .peer
            .as_deref()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
    assert!(refused.http.phases.connect_ms.is_some() && refused.http.phases.first_byte_ms.is_some());
    let message = &check(&seen, "nginx_500").expectations[0].message;
    assert!(
        message.contains("refused with 500") && message.contains("nginx-planted"),
        "{message}"
    );

    assert_failed(
        check(&seen, "nginx_502"),
        Class::UpgradeStatus,
        Kind::WsUpgradeRefused,
        Some(502),
    );
    assert!(upgrade(&seen, "nginx_502").http.body.text.contains("502 Bad Gateway"));
    assert_failed(check(&seen, "nginx_444"), Class::Connect, Kind::UpgradeClosed, None);
    assert_passed(check(&seen, "proxied"));

    assert_passed(check(&seen, "python"));
    assert_passed(check(&seen, "node"));
    assert_failed(
        check(&seen, "node_refuse"),
        Class::UpgradeStatus,
        Kind::WsUpgradeRefused,
        Some(401),
    );
    assert_eq!(
        upgrade(&seen, "node_refuse").http.body.text,
        r#"{"detail":"token expired"}"#
    );
    assert_failed(check(&seen, "node_destroy"), Class::Connect, Kind::UpgradeClosed, None);
    let bug = check(&seen, "node_bug");
    assert_failed(bug, Class::Close, Kind::WsClosed, None);
    let failure = bug.failure.as_ref().unwrap();
    assert_eq!((failure.close_code, failure.phase), (Some(1011), Phase::Welcome));
    assert_eq!(bug.expectations[0].held, Some(true), "the 101 itself was right");
}
