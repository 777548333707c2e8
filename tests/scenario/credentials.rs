//! Users and their tokens: who acts, who logs in, when tokens are renewed, and what becomes of old ones.

use crate::support::{Look, Room, Target};
use serde_json::json;
use stagewatch::failure::{Blame, Class, Kind};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

const ME: &str = r#"  s:
    schedule: { every: 5m }
    credential: { pool: single }
    steps:
      - http: { id: me, base: api, path: "/me?sub=${credential.sub}", auth: header }
"#;

#[tokio::test]
async fn runs_share_one_login() {
    let target = Target::start().await;
    let room = Room::new(&target, ME);
    let both = tokio::join!(room.run("s"), room.run("s"));
    for seen in [&both.0, &both.1] {
        assert_eq!(seen.broke(), None);
        assert_eq!(seen.view("me")["json"]["user"], "[redacted]");
        assert!(
            seen.view("me")["url"]
                .as_str()
                .unwrap()
                .ends_with("sub-of-single-1-at-rehearsal.invalid")
        );
        let facts = &seen.credentials["credential"];
        assert_eq!(
            (facts.user.as_str(), facts.sub.as_str()),
            ("single#1", "sub-of-single-1-at-rehearsal.invalid")
        );
        assert!(facts.claims.contains_key("jti") && !facts.claims.contains_key("email"));
    }
    room.run("s").await;
    assert_eq!(target.world.logins.load(Ordering::SeqCst), 1);
    // The login is evidence of the run that made it.
    let logins: usize = [&both.0, &both.1]
        .iter()
        .map(|seen| seen.all("login:credential").len())
        .sum();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn tokens_are_renewed_by_their_own_life_and_refused_ones_dropped() {
    let target = Target::start().await;
    target.world.life_ms.store(1000, Ordering::SeqCst);
    let room = Room::new(&target, ME);
    room.run("s").await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    let seen = room.run("s").await;
    assert_eq!((seen.broke(), seen.all("refresh:credential").len()), (None, 1));
    // A renewal that is refused falls back to the login.
    target.world.refresh_broken.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(650)).await;
    let seen = room.run("s").await;
    assert_eq!((seen.broke(), seen.all("login:credential").len()), (None, 1));
    // The target forgets its tokens: one run sees it, the next one logs in anew.
    target.world.life_ms.store(1_800_000, Ordering::SeqCst);
    target.world.refresh_broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(650)).await;
    room.run("s").await;
    target.world.forget_tokens();
    assert_eq!(room.run("s").await.view("me")["status"], 401);
    assert_eq!(room.run("s").await.view("me")["status"], 200);
}

#[tokio::test]
async fn a_refused_login_is_the_failure_of_the_step_that_needs_it() {
    let target = Target::start().await;
    target.world.login_broken.store(true, Ordering::SeqCst);
    let room = Room::new(&target, ME);
    let seen = room.run("s").await;
    let failure = seen.entry("me").failure.clone().unwrap();
    assert_eq!(
        (failure.kind, failure.class, failure.blame),
        (Kind::LoginRefused, Class::Auth, Blame::Target)
    );
    assert_eq!(failure.status, Some(401));
    assert_eq!(seen.broke(), Some(("me", Kind::LoginRefused)));
    assert_eq!(seen.view("login:credential")["json"]["detail"], "Invalid credentials");
    assert_eq!(target.requests("GET /me"), 0);
}

const TWO: &str = r#"  s:
    schedule: { every: 5m }
    credentials: { a: { pool: users }, a2: { same_as: a }, b: { pool: users }, many: { pool: users, count: 2 } }
    steps:
      - http: { id: by_a, base: api, path: /me, auth: { header: { credential: a } } }
      - http: { id: by_a2, base: api, path: /me, auth: { header: { credential: a2 } } }
      - http: { id: by_b, base: api, path: /me, auth: { header: { credential: b } } }
      - times: 2
        index: i
        steps:
          - http: { id: each, base: api, path: "/me?${many.sub}", auth: { header: { credential: many } } }
      - http: { id: list, base: api, path: "/echo?n=${size(many)}" }
"#;

#[tokio::test]
async fn several_credentials_of_a_pool_are_distinct_users() {
    let target = Target::start().await;
    let room = Room::new(&target, TWO);
    let seen = room.run("s").await;
    assert_eq!(seen.broke(), None);
    // The target says who it took each one for by its subject; names and e-mails are hidden.
    let sub = |name: &str| seen.credentials[name].sub.clone();
    assert_eq!(sub("a"), sub("a2"));
    let mut users = BTreeSet::from([sub("a"), sub("b")]);
    for entry in seen.all("each") {
        let view = stagewatch::transcript::entry_view(entry);
        let name = format!("many[{}]", entry.place[0]);
        assert_eq!(entry.credential.as_ref(), Some(&name));
        assert_eq!(view["status"], 200);
        assert!(view["url"].as_str().unwrap().ends_with(&sub(&name)), "{view}");
        users.insert(sub(&name));
    }
    assert_eq!(users.len(), 4);
    assert!(seen.view("list")["url"].as_str().unwrap().ends_with("n=2"));
}

const NEGATIVE: &str = r#"  s:
    schedule: { every: 5m }
    credential: { pool: single }
    steps:
      - http: { id: valid, base: api, path: /me, auth: { header: valid } }
      - http: { id: tampered, base: api, path: /me, auth: { header: tampered } }
      - http: { id: none, base: api, path: /me, auth: { header: alg_none } }
      - http: { id: aged, base: api, path: /me, auth: { header: aged } }
      - http: { id: basic, base: api, path: /me, auth: { raw: "Basic abc" } }
"#;

#[tokio::test]
async fn negative_tokens_need_no_secret_and_aged_ones_are_real() {
    let target = Target::start().await;
    target.world.life_ms.store(300, Ordering::SeqCst);
    // Scaled: a tenth of a millisecond stands for a second, so the margin of an aged token is 12 ms.
    let room = Room::with(&target, NEGATIVE, &[("time_scale: 1", "time_scale: 0.0001")]);
    let seen = room.run("s").await;
    assert_eq!(seen.broke(), None);
    let statuses = |seen: &stagewatch::transcript::Transcript, ids: &[&str]| {
        ids.iter().map(|id| seen.view(id)["status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        statuses(&seen, &["valid", "tampered", "none", "basic"]),
        [json!(200), json!(401), json!(401), json!(401)]
    );
    // There is no aged token yet: the step is skipped, the run goes on.
    let missing = seen.entry("aged").failure.clone().unwrap();
    assert_eq!((missing.kind, missing.blame), (Kind::CredentialMissing, Blame::Monitor));
    tokio::time::sleep(Duration::from_millis(350)).await;
    let seen = room.run("s").await;
    assert_eq!(statuses(&seen, &["valid", "aged"]), [json!(200), json!(401)]);
}

#[tokio::test]
async fn minted_tokens_come_from_the_configured_key() {
    let target = Target::start().await;
    let mint = "logins:";
    let with_mint = "  robot: { mint: { algorithm: HS256, key: { value: a-shared-secret-of-the-rehearsal }, key_id: k1, claims: { sub: robot, word: \"${target.word}\" }, lifetime: 5m } }\nlogins:";
    let scenario = r#"  s:
    schedule: { every: 5m }
    credential: { mint: robot }
    steps:
      - http: { id: me, base: api, path: /me, auth: header }
      - http: { id: aged, base: api, path: /me, auth: { header: aged } }
"#;
    let room = Room::with(&target, scenario, &[(mint, with_mint)]);
    let seen = room.run("s").await;
    assert_eq!(seen.view("me")["status"], 401);
    let facts = &seen.credentials["credential"];
    assert_eq!(
        (facts.sub.as_str(), facts.claims["word"].as_str()),
        ("robot", Some("hello"))
    );
    let life = facts.claims["exp"].as_i64().unwrap() - facts.claims["iat"].as_i64().unwrap();
    assert_eq!(life, 300);
    assert_eq!(seen.view("aged")["status"], 401);
}
