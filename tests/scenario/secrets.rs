//! Secrets that go out, come back, and must not be kept: tokens, passwords, captured values.

use crate::support::{Look, Target, WATCHED, run};
use std::sync::atomic::Ordering;

const SCENARIO: &str = r#"  s:
    schedule: { every: 1h }
    credential: { pool: single }
    steps:
      - http: { id: login, base: auth, path: /auth/login, method: POST, json: { email: "${credential.user.email}", password: "${credential.user.password}" } }
        capture: { fresh: { secret: "login.json.access_token" }, again: { secret: "login.json.refresh_token" } }
      - http: { id: captured, base: api, path: /me, auth: { header: { captured: fresh } } }
      - http: { id: body, base: api, path: /echo, method: POST, auth: header, json: { token: "${credential.token}", fresh: "x ${secret.fresh} y", again: "${secret.again}" } }
      - http: { id: query, base: api, path: "/echo?token=${secret.again}&a=1" }
      - http: { id: raw, base: api, path: /echo, auth: { raw: "Basic canary-value-42" } }
      - ws.open: { id: upgrade, socket: main, auth: subprotocol }
      - ws.send: { id: said, json: { token: "${credential.token}", again: "${secret.again}" } }
      - ws.receive: { id: echoed, until: "has(frame.json.said)", within: 2s }
"#;

#[tokio::test]
async fn no_secret_stays_in_a_transcript() {
    let target = Target::start().await;
    let seen = run(&target, SCENARIO).await;
    assert_eq!(seen.broke(), None, "{:?}", seen.broke_off);
    assert_eq!(seen.view("captured")["status"], 200);
    assert_eq!(target.world.logins.load(Ordering::SeqCst), 2);
    // The target did get them.
    let heard = target.world.heard.lock().unwrap().join("");
    assert!(heard.contains("eyJ") && heard.contains("refresh-single"));
    let stored = serde_json::to_string(&seen).unwrap();
    let shown = target.world.shown.lock().unwrap().clone();
    for token in &shown {
        for part in token.split('.') {
            assert!(!stored.contains(part), "a part of a token is in the transcript");
        }
    }
    for secret in [
        "refresh-single",
        "rehearsal-single",
        "single-1@rehearsal.invalid",
        WATCHED,
        "eyJ",
    ] {
        let at = stored
            .find(secret)
            .map(|at| &stored[at.saturating_sub(200)..(at + 80).min(stored.len())]);
        assert_eq!(at, None, "`{secret}`");
    }
    // What may be said of a captured token is said.
    assert_eq!(seen.vars["fresh"]["header"]["alg"], "HS256");
    assert!(
        seen.vars["fresh"]["digest"]
            .as_str()
            .is_some_and(|digest| digest.len() == 12)
    );
    assert!(seen.vars["again"]["digest"].is_string());
}
