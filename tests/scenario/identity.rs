//! A target behind an identity-aware proxy: who we are is a token of the metadata server, fetched when it is needed and again
//! before it ends. Without one nothing is sent, and nothing is said against the target.

use crate::support::{Changes, Look, Room, Target};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use stagewatch::catalog::Access;
use stagewatch::clock;
use stagewatch::identity::{IdentityError, Tokens};
use stagewatch::scenario::Outcome;
use stagewatch::verdict::UnknownReason;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

const AUDIENCE: &str = "1234-abc.apps.googleusercontent.com";
const SCENARIO: &str = r#"  s:
    schedule: { every: 1h }
    steps: [ { http: { id: asked, base: api, path: /behind } } ]
"#;

/// How the metadata server answers.
#[derive(Clone, Copy)]
enum Mood {
    /// With a token of so many seconds.
    Gives(f64),
    Refuses,
    Rambles,
    Hangs,
}

/// The metadata server, and a target behind a proxy that wants its tokens.
struct Cloud {
    mood: Mutex<Mood>,
    given: Mutex<Vec<String>>,
    shown: Mutex<Vec<Option<String>>>,
}

impl Cloud {
    async fn start() -> (Arc<Self>, Url) {
        let cloud = Arc::new(Self {
            mood: Mutex::new(Mood::Gives(3600.0)),
            given: Mutex::default(),
            shown: Mutex::default(),
        });
        let account = "/computeMetadata/v1/instance/service-accounts/default";
        let router = Router::new()
            .route(&format!("{account}/identity"), get(identity))
            .route(&format!("{account}/token"), get(access))
            .route("/behind", get(behind))
            .with_state(Arc::clone(&cloud));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (cloud, base.parse().unwrap())
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn given(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    async fn answer(&self, headers: &HeaderMap, write: impl FnOnce(&str, f64) -> String) -> Response {
        assert_eq!(headers["metadata-flavor"], "Google");
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Gives(life) => {
                let number = self.given();
                let claims = json!({ "aud": AUDIENCE, "exp": clock::unix_seconds(clock::now()) + life, "n": number });
                let part = |text: String| URL_SAFE_NO_PAD.encode(text);
                let token = format!(
                    "{}.{}.{}",
                    part("{\"alg\":\"RS256\"}".to_owned()),
                    part(claims.to_string()),
                    part("signed".to_owned())
                );
                self.given.lock().unwrap().push(token.clone());
                write(&token, life).into_response()
            }
            Mood::Refuses => (StatusCode::NOT_FOUND, "no such account: a-secret-of-theirs").into_response(),
            Mood::Rambles => "x".repeat(64 * 1024).into_response(),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

async fn identity(
    State(cloud): State<Arc<Cloud>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    assert_eq!(query["audience"], AUDIENCE);
    // With a line end, as some proxies of the metadata server have it.
    cloud.answer(&headers, |token, _| format!("{token}\n")).await
}

async fn access(State(cloud): State<Arc<Cloud>>, headers: HeaderMap) -> Response {
    let answer = |token: &str, life: f64| json!({ "access_token": token, "expires_in": life as u64 }).to_string();
    cloud.answer(&headers, answer).await
}

/// Lets nobody through without the last token, and repeats what it was shown.
async fn behind(State(cloud): State<Arc<Cloud>>, headers: HeaderMap) -> Response {
    let shown = headers
        .get("proxy-authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    cloud.shown.lock().unwrap().push(shown.clone());
    let last = cloud
        .given
        .lock()
        .unwrap()
        .last()
        .map(|token| format!("Bearer {token}"));
    let status = if shown.is_some() && shown == last {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    (status, shown.unwrap_or_default()).into_response()
}

async fn room(base: &Url, source: &str) -> Room {
    let target = Target::start().await;
    let api = format!("api: \"{}\"", base.as_str().trim_end_matches('/'));
    let http = format!("allow_addresses: [loopback], proxy_authorization: {source} ");
    let changes: Changes<'_> = &[("api: \"http://ADDR\"", &api), ("allow_addresses: [loopback] ", &http)];
    Room::with(&target, SCENARIO, changes)
}

#[tokio::test]
async fn the_proxy_before_the_target_is_shown_an_identity_token_that_nothing_keeps() {
    let (cloud, base) = Cloud::start().await;
    let room = room(
        &base,
        &format!("{{ identity: {{ audience: {AUDIENCE}, metadata: \"{base}\" }} }}"),
    )
    .await;
    for _ in 0..2 {
        let seen = room.run("s").await;
        assert_eq!(seen.view("asked")["status"], 200);
        let stored = serde_json::to_string(&seen).unwrap();
        assert!(!stored.contains("eyJ") && stored.contains("[redacted]"), "{stored}");
    }
    assert_eq!(cloud.given(), 1, "one token for both");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_target_is_not_blamed() {
    let (cloud, base) = Cloud::start().await;
    cloud.is(Mood::Refuses);
    let room = room(&base, &format!("{{ identity: {{ metadata: \"{base}\" }} }}")).await;
    let Outcome::Refused { reason, note } = room.outcome("s").await else {
        panic!("it ran");
    };
    assert_eq!(reason, UnknownReason::CredentialMissing);
    assert_eq!(
        note,
        "there is no token for the proxy before the target: the metadata server answers 404: no token"
    );
    assert!(cloud.shown.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tokens_are_fetched_again_before_they_end_and_used_to_their_end_meanwhile() {
    let (cloud, base) = Cloud::start().await;
    let access = || Access::Identity {
        metadata: base.clone(),
        audience: AUDIENCE.to_owned(),
    };
    cloud.is(Mood::Gives(3.0));
    let tokens = Tokens::new(access()).unwrap();
    let first = tokens.get().await.unwrap();
    assert_eq!(tokens.get().await.unwrap().expose(), first.expose());
    // Before its end, and nobody answers: it is still good.
    tokio::time::sleep(Duration::from_millis(2750)).await;
    cloud.is(Mood::Refuses);
    assert_eq!(tokens.get().await.unwrap().expose(), first.expose());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(tokens.get().await.is_err(), "it has ended");
    // What was refused is not asked again at once; another one that asks is answered.
    cloud.is(Mood::Gives(600.0));
    assert!(tokens.get().await.is_err());
    assert_eq!(cloud.given(), 1);
    let others = Tokens::new(access()).unwrap();
    let both = tokio::join!(others.get(), others.get());
    assert_eq!(both.0.unwrap().expose(), both.1.unwrap().expose());
    assert_eq!(cloud.given(), 2);
    // One that was no good although it had not ended.
    let bad = others.get().await.unwrap();
    others.forget(&bad).await;
    assert_ne!(others.get().await.unwrap().expose(), bad.expose());
}

#[tokio::test]
async fn whatever_the_metadata_server_does_is_bounded_and_said_without_its_words() {
    let (cloud, base) = Cloud::start().await;
    let said = async |mood: Mood| {
        cloud.is(mood);
        let tokens = Tokens::new(Access::Metadata(base.clone())).unwrap();
        tokens.get().await.map(|_| ()).unwrap_err()
    };
    let who = "the metadata server";
    assert_eq!(said(Mood::Rambles).await, IdentityError::Unreadable(who));
    assert_eq!(said(Mood::Refuses).await, IdentityError::Refused { who, status: 404 });
    let begun = std::time::Instant::now();
    assert_eq!(said(Mood::Hangs).await, IdentityError::Unreachable(who));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    // One that has ended is none.
    cloud.is(Mood::Gives(-5.0));
    let ended = Tokens::new(Access::Identity {
        metadata: base.clone(),
        audience: AUDIENCE.to_owned(),
    });
    assert_eq!(
        ended.unwrap().get().await.map(|_| ()),
        Err(IdentityError::Unreadable(who))
    );
}
