//! The push: what is sent and when, and what an Alertmanager that answers badly costs (nobody else).

use crate::fake::{Asked, Fake, Reply, nobody};
use crate::support::{Watcher, alert, at, catalog, eventually, now, page, push};
use chrono::DateTime;
use serde_json::{Value, json};
use stagewatch::alert::push::{Fault, Push};
use stagewatch::alert::{AlertName, Deliver};
use stagewatch::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

fn unix(time: &Value) -> f64 {
    clock::unix_seconds(DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap().to_utc())
}

/// As Alertmanager would: an alert with the label `bad` is wrong, the others of the batch count all the same.
fn strict(asked: &Asked) -> Reply {
    let bad = asked
        .body
        .as_array()
        .is_some_and(|alerts| alerts.iter().any(|alert| alert["labels"]["bad"].is_string()));
    match bad {
        true => Reply::json(400, &json!("a label is wrong")),
        false => Reply::well(),
    }
}

/// The alert with this label in a push.
fn about(push: &Asked, label: &str, value: &str) -> Value {
    let alerts = push.body.as_array().unwrap();
    let found = alerts.iter().find(|alert| alert["labels"][label] == value);
    found
        .unwrap_or_else(|| panic!("{label}={value} is not in {}", push.body))
        .clone()
}

#[tokio::test]
async fn an_alert_is_pushed_at_once_whole_and_renewed_until_it_ends() {
    let fake = Fake::start(|_| Reply::well()).await;
    let (push, watcher) = push(&[(
        "main",
        format!(
            "{}, bearer: {{ value: a-token-of-ours }}, headers: {{ X-Scope-OrgID: 7 }}",
            at(fake.url())
        ),
    )]);
    let (page, beat) = (page("main"), alert(AlertName::PushHeartbeat, &[]));
    let delivered = now();
    push.deliver(&[page.clone(), beat]);
    let first = fake.pushed(1).await.remove(0);
    assert!(now() - delivered < 0.9, "at once");
    assert_eq!(first.line, "POST /api/v2/alerts");
    assert_eq!(first.header("authorization"), Some("Bearer a-token-of-ours"));
    assert_eq!(first.header("x-scope-orgid"), Some("7"));
    let sent = about(&first, "socket", "main");
    assert_eq!(
        sent["labels"],
        json!({
            "alertname": "StagewatchWebSocketUpgradeHTTP500", "severity": "critical", "environment": "rehearsal", "owner": "chat",
            "origin": "push", "socket": "main", "credential": "valid", "team": "chat",
        })
    );
    assert_eq!(
        sent["annotations"],
        json!({"summary": "WebSocket upgrades return HTTP 500."})
    );
    assert_eq!(sent["generatorURL"], "https://watch.example/stagewatch/#socket-main");
    assert!((unix(&sent["startsAt"]) - page.starts_at).abs() < 0.002);
    assert!((unix(&sent["endsAt"]) - delivered - 4.0).abs() < 0.9, "one lease ahead");
    let beat = about(&first, "severity", "none");
    assert!(
        (unix(&beat["endsAt"]) - delivered - 300.0).abs() < 0.9,
        "the heartbeat outlasts a restart"
    );
    // Renewed with the same start and a later end; then no longer, and never with an end that has passed.
    let start = sent["startsAt"].clone();
    let mut end = 0.0;
    for push in fake.pushed(3).await {
        let sent = about(&push, "socket", "main");
        assert_eq!(sent["startsAt"], start);
        assert!(unix(&sent["endsAt"]) > now() && unix(&sent["endsAt"]) > end);
        end = unix(&sent["endsAt"]);
    }
    push.deliver(&[]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fake.forget();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(fake.pushes().len(), 0, "what is no longer renewed ends by itself");
    assert!(watcher.faults("main").is_empty());
    assert_eq!(watcher.told(|told| told.accepted.len()), 1, "a page is accepted once");
    push.stop(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn another_text_waits_for_the_next_round_and_another_alert_does_not() {
    let fake = Fake::start(|_| Reply::well()).await;
    let (push, _) = push(&[("main", at(fake.url()))]);
    let first = page("main");
    push.deliver(std::slice::from_ref(&first));
    let began = fake.pushed(1).await[0].at;
    let mut told = first.clone();
    told.annotations
        .insert("description".to_owned(), "more is known".to_owned());
    push.deliver(&[told.clone()]);
    let second = fake.pushed(2).await[1].clone();
    assert!(second.at - began > Duration::from_millis(800), "with the next renewal");
    assert_eq!(second.body[0]["annotations"]["description"], "more is known");
    push.deliver(&[told, page("other")]);
    let third = fake.pushed(3).await[2].clone();
    assert!(third.at - second.at < Duration::from_millis(800), "at once");
    assert_eq!(third.names().len(), 2);
}

#[tokio::test]
async fn one_bad_alert_loses_no_other_and_is_not_tried_again_until_it_changes() {
    let fake = Fake::start(strict).await;
    let (push, watcher) = push(&[("main", at(fake.url()))]);
    let (good, mut bad) = (
        page("main"),
        alert(AlertName::CheckFailing, &[("check", "c"), ("bad", "yes")]),
    );
    push.deliver(&[bad.clone(), good.clone()]);
    // The batch, then one by one, then renewals without the bad one.
    let pushes = fake.pushed(5).await;
    let alone = |push: &Asked, alert: &str| push.names() == [alert];
    assert_eq!(pushes[0].names().len(), 2);
    assert!(pushes[1..3].iter().any(|push| alone(push, "StagewatchCheckFailing")));
    assert!(
        pushes[1..3]
            .iter()
            .any(|push| alone(push, "StagewatchWebSocketUpgradeHTTP500"))
    );
    assert!(
        pushes[3..5]
            .iter()
            .all(|push| alone(push, "StagewatchWebSocketUpgradeHTTP500"))
    );
    assert_eq!(watcher.told(|told| told.rejected), 1);
    bad.annotations
        .insert("description".to_owned(), "another text".to_owned());
    bad.owner = "another".to_owned();
    push.deliver(&[bad, good]);
    eventually("another try", || watcher.told(|told| told.rejected) == 2).await;
}

#[tokio::test]
async fn an_answer_that_is_none_of_alertmanagers_is_a_failure_and_the_state_comes_later() {
    let thief = Fake::start(|_| Reply::well()).await;
    let location: &'static str = format!("Location: {}/api/v2/alerts\r\n", thief.url()).leak();
    let html = "Content-Type: text/html\r\n";
    for (name, reply, fault) in [
        ("status", Reply::Say(503, "", "busy".to_owned()), Fault::Answer(503)),
        (
            "error",
            Reply::Say(500, html, "<h1>oops</h1>".to_owned()),
            Fault::Answer(500),
        ),
        (
            "login",
            Reply::Say(200, html, "<form>who are you</form>".to_owned()),
            Fault::Answer(200),
        ),
        (
            "proxy",
            Reply::Say(400, html, "<h1>Bad Request</h1>".to_owned()),
            Fault::Answer(400),
        ),
        (
            "elsewhere",
            Reply::Say(307, location, String::new()),
            Fault::Answer(307),
        ),
        ("forbidden", Reply::Say(403, "", String::new()), Fault::Answer(403)),
        ("hang", Reply::Hang, Fault::Timeout),
        ("drop", Reply::Drop, Fault::Broken),
    ] {
        let fake = Fake::start(move |_| reply.clone()).await;
        let (push, watcher) = push(&[(
            name,
            format!(
                "{}, within: 300ms, bearer: {{ value: a-token-of-ours }}",
                at(fake.url())
            ),
        )]);
        push.deliver(&[page("main")]);
        eventually(name, || watcher.faults(name).len() >= 2).await;
        assert_eq!(watcher.faults(name)[0], fault, "{name}");
        // What fires by now is what counts, once.
        push.deliver(&[page("other")]);
        fake.answers(|_| Reply::well());
        fake.forget();
        let pushes = fake.pushed(1).await;
        assert_eq!(pushes[0].body[0]["labels"]["socket"], "other", "{name}");
        assert_eq!(pushes[0].body.as_array().unwrap().len(), 1);
        push.stop(Duration::from_secs(1)).await;
    }
    assert_eq!(
        thief.asked().len(),
        0,
        "a redirect is not followed, and no token goes there"
    );
}

#[tokio::test]
async fn alertmanagers_do_not_wait_for_one_another() {
    let (hung, well) = (Fake::start(|_| Reply::Hang).await, Fake::start(|_| Reply::well()).await);
    let away = nobody().await;
    let (push, watcher) = push(&[
        ("hung", at(hung.url())),
        ("away", at(format!("http://{away}"))),
        ("well", at(well.url())),
    ]);
    let delivered = std::time::Instant::now();
    push.deliver(&[page("main")]);
    let first = well.pushed(1).await[0].at;
    assert!(first - delivered < Duration::from_millis(900));
    well.pushed(4).await;
    eventually("a refused connection", || !watcher.faults("away").is_empty()).await;
    assert_eq!(watcher.faults("away")[0], Fault::Connect);
    assert!(watcher.faults("well").is_empty());
    assert_eq!(
        watcher.told(|told| told.accepted.len()),
        1,
        "the first to take it counts"
    );
}

#[tokio::test]
async fn a_page_is_followed_until_it_shows() {
    let fake = Fake::start(|_| Reply::well()).await;
    let (push, watcher) = push(&[("main", at(fake.url()))]);
    let shown = page("main");
    fake.answers(|asked| match asked.line.starts_with("GET") {
        true => Reply::json(200, &json!([])),
        false => Reply::well(),
    });
    push.deliver(std::slice::from_ref(&shown));
    let sent = fake.pushed(1).await[0].body[0].clone();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(watcher.told(|told| told.visible.len()), 0, "not shown yet");
    fake.answers(move |asked| match asked.line.starts_with("GET") {
        true => Reply::json(200, &json!([sent])),
        false => Reply::well(),
    });
    eventually("the page", || watcher.told(|told| told.visible.len()) == 1).await;
    let (accepted, visible) = watcher.told(|told| (told.accepted[0], told.visible[0]));
    assert!(accepted < visible && visible < 5.0, "{accepted} {visible}");
}

#[tokio::test]
async fn a_token_of_the_workload_is_fetched_and_shown_and_without_it_nothing_is_sent() {
    let metadata = Fake::start(|_| Reply::Say(404, "", String::new())).await;
    let fake = Fake::start(|_| Reply::well()).await;
    let bearer = format!("bearer: {{ identity: {{ metadata: \"{}\" }} }}", metadata.url());
    let (push, watcher) = push(&[("main", format!("{}, {bearer}", at(fake.url())))]);
    push.deliver(&[page("main")]);
    eventually("a fault", || watcher.faults("main").first() == Some(&Fault::NoToken)).await;
    assert!(fake.pushes().is_empty(), "nobody is asked without a token");
    metadata.answers(|asked| {
        assert_eq!(asked.header("metadata-flavor"), Some("Google"));
        Reply::json(200, &json!({ "access_token": "a-token-of-ours", "expires_in": 3599 }))
    });
    let pushed = fake.pushed(1).await.remove(0);
    assert_eq!(pushed.header("authorization"), Some("Bearer a-token-of-ours"));
}

#[tokio::test]
async fn every_address_of_a_name_is_asked_under_that_name() {
    let fake = Fake::start(|_| Reply::well()).await;
    let url = format!("http://localhost:{}", fake.address.port());
    let (push, watcher) = push(&[("pair", format!("{}, every_address: true", at(url)))]);
    push.deliver(&[page("main")]);
    let host = fake.pushed(2).await[1].header("host").map(str::to_owned);
    assert_eq!(host, Some(format!("localhost:{}", fake.address.port())));
    assert!(watcher.told(|told| told.pushed.iter().all(|(name, _)| name == "pair")));
}

#[tokio::test]
async fn tls_trusts_the_configured_authority_and_no_other() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, signed.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    stagewatch::crypto::init_crypto();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .unwrap();
    let fake = Fake::serve(Some(TlsAcceptor::from(Arc::new(tls))), |_| Reply::well()).await;
    let url = at(format!("https://localhost:{}", fake.address.port()));
    for (trusted, faults) in [(true, 0), (false, 1)] {
        let lines = format!("  lease: 2s\n  resend: 300ms\n  alertmanagers: [ {{ name: main, {url} }} ]\n");
        let mut catalog = Arc::into_inner(catalog(&lines)).unwrap();
        // The configuration reads files through its environment; here the file is a real one.
        catalog.alerting.alertmanagers[0].ca_file = trusted.then(|| ca.clone());
        let watcher = Arc::new(Watcher::default());
        let push = Push::start(&catalog, Arc::clone(&watcher) as _).unwrap();
        push.deliver(&[page("main")]);
        eventually("a push", || watcher.told(|told| !told.pushed.is_empty())).await;
        assert_eq!(watcher.faults("main").len().min(1), faults, "trusted: {trusted}");
        push.stop(Duration::from_secs(1)).await;
    }
}
