//! Secrets never come out: the redactor alone, and a canary through every part of an exchange.

use super::support::server::{close, frame};
use super::support::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;
use stagewatch::probe::{HttpRequest, RequestBody, RunStart, Shown, SseUntil, UpgradeRequest, Wire, jwt};
use stagewatch::secret::{REDACTED, Redactor, Secret};

const CANARY: &str = "CANARY-0123456789abcdef/+?&\"é";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjYW5hcnkifQ.dGhlLXNpZ25hdHVyZS1vZi1pdA";

/// Every form in which a secret may come back.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let json = serde_json::to_string(secret).unwrap();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex.to_uppercase(),
        hex,
        percent,
        json[1..json.len() - 1].to_owned(),
        STANDARD.encode(format!("user:{secret}")),
        STANDARD.encode(format!("u:{secret}:x")),
        STANDARD.encode(format!("us:{secret}")),
    ]
}

/// The longest run of a form that is still to be seen in `text`: one form's ends may stay, they say nothing.
fn assert_hidden(text: &str, secret: &str) {
    for form in forms(secret) {
        let core = &form[form.len() / 4..form.len() / 2];
        let core = if form.is_char_boundary(form.len() / 4) && form.is_char_boundary(form.len() / 2) {
            core
        } else {
            &form
        };
        assert!(!text.contains(core), "{core} of {form} is in {text}");
    }
}

#[test]
fn every_form_is_hidden() {
    let redactor = Redactor::new([&Secret::new(CANARY)]);
    redactor.learn(&Secret::new(TOKEN));
    for secret in [CANARY, TOKEN] {
        for form in forms(secret) {
            let clean = redactor.text(&format!("before {form} after {form}")).into_owned();
            assert_hidden(&clean, secret);
            assert!(
                clean.starts_with("before ") && clean.contains(REDACTED),
                "{form}: {clean}"
            );
        }
    }
    for part in TOKEN.split('.') {
        assert_eq!(redactor.text(&format!("<{part}>")), "<[redacted]>");
    }
    assert!(matches!(
        redactor.text("nothing secret in here"),
        std::borrow::Cow::Borrowed(_)
    ));
}

#[test]
fn runs_learn_apart() {
    let base = Redactor::new([&Secret::new("long-lived")]);
    let (one, other) = (base.for_run(), base.for_run());
    one.clone().learn(&Secret::new("of one run"));
    assert_eq!(one.text("long-lived, of one run"), "[redacted], [redacted]");
    assert_eq!(other.text("long-lived, of one run"), "[redacted], of one run");
    assert_eq!(format!("{one:?}"), "Redactor");
    assert_eq!(format!("{:?}", Secret::new("x")), REDACTED);
}

#[test]
fn tokens_need_not_be_learned() {
    let redactor = Redactor::default();
    for shape in [
        TOKEN.to_owned(),
        TOKEN[..TOKEN.rfind('.').unwrap() + 1].to_owned(),
        format!("jwt.{}", URL_SAFE_NO_PAD.encode(TOKEN)),
    ] {
        let clean = redactor.text(&format!("a {shape} b")).into_owned();
        assert!(
            !clean.contains("eyJ") && !clean.contains("ZXlK") && clean.ends_with(" b"),
            "{clean}"
        );
    }
    assert_eq!(
        redactor.text("eyJust a word, and eyJ.x.y"),
        "eyJust a word, and eyJ.x.y"
    );
}

#[test]
fn e_mail_addresses_are_personal() {
    let redactor = Redactor::default();
    assert_eq!(
        redactor.text("to a.b+c@mail.example.org, x@y, @z, pkg@1.2.3"),
        "to [redacted], x@y, @z, pkg@1.2.3"
    );
    assert!(!redactor.holds_secret("a@b.example"));
}

#[test]
fn overlapping_secrets_leave_nothing() {
    let redactor = Redactor::new([&Secret::new("abcdef"), &Secret::new("defghi"), &Secret::new("abcd")]);
    assert_eq!(
        redactor.text("xabcdefghix abcd abcdef"),
        "x[redacted]x [redacted] [redacted]"
    );
}

#[test]
fn headers_are_hidden_by_name() {
    let redactor = Redactor::new([&Secret::new("canary")]);
    for (name, value, shown) in [
        ("Authorization", "Basic abc", "[redacted]"),
        ("proxy-authorization", "x", "[redacted]"),
        ("X-API-Key", "x", "[redacted]"),
        ("Cookie", "a=1; b=2; c", "a=[redacted]; b=[redacted]; [redacted]"),
        (
            "Set-Cookie",
            "sid=1=2; Path=/; HttpOnly",
            "sid=[redacted]; Path=/; HttpOnly",
        ),
        ("Set-Cookie", "sid=1", "sid=[redacted]"),
        (
            "Sec-WebSocket-Protocol",
            "jwt-auth, jwt.abc,chat.v1, Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTIz",
            "jwt-auth, [redacted], chat.v1, [redacted]",
        ),
        (
            "Location",
            "https://u:p@h.example/x?a=1&token=t#access_token=q",
            "https://h.example/x?a=1&token=[redacted]#access_token=[redacted]",
        ),
        ("Location", "/next?code=abc&state=s", "/next?code=[redacted]&state=s"),
        (
            "X-Any",
            "the canary\tis \x1b[31m here",
            r"the [redacted]\u{9}is \u{1b}[31m here",
        ),
        ("X-Plain", "plain", "plain"),
    ] {
        assert_eq!(redactor.header(name, value), shown, "{name}");
    }
}

#[test]
fn urls_keep_what_is_no_secret() {
    let redactor = Redactor::new([&Secret::new("canary")]);
    for (url, shown) in [
        (
            "https://user:pw@h.example:8443/a/b?x=1",
            "https://h.example:8443/a/b?x=1",
        ),
        (
            "https://h.example/canary/x?api_key=1&API_KEY=2&q=canary",
            "https://h.example/[redacted]/x?api_key=[redacted]&API_KEY=[redacted]&q=[redacted]",
        ),
        ("ws://h.example/ws?token=", "ws://h.example/ws?token="),
        ("not a url with canary", "not a url with [redacted]"),
    ] {
        assert_eq!(redactor.url(url), shown);
    }
}

#[test]
fn json_is_hidden_by_member_and_by_content() {
    let redactor = Redactor::new([&Secret::new("canary")]);
    let mut value = json!({"access_token": "opaque", "refresh_token": "", "token_type": "Bearer", "expires_in": 900,
        "list": ["a canary", {"password": "p"}], "canary-name": 1, "plain": "x"});
    assert!(redactor.json(&mut value));
    assert_eq!(
        value,
        json!({"access_token": REDACTED, "refresh_token": "", "token_type": "Bearer", "expires_in": 900,
        "list": ["a [redacted]", {"password": REDACTED}], "[redacted]-name": 1, "plain": "x"})
    );
    assert!(!redactor.json(&mut json!({"plain": ["x", 1, null]})));
}

proptest! {
    #[test]
    fn a_token_in_any_text_is_hidden(before in "\\PC{0,30}", after in "\\PC{0,30}", secret in "[!-~]{4,40}", form in 0..9_usize) {
        let redactor = Redactor::new([&Secret::new(secret.clone())]);
        let form = &forms(&secret)[form];
        let clean = redactor.text(&format!("{before}{form}{after}")).into_owned();
        prop_assert!(clean.contains(REDACTED));
        // The surroundings may happen to hold a very short secret themselves.
        let around = format!("{before}{REDACTED}{after}");
        prop_assume!(!around.contains(form.as_str()));
        prop_assert!(!clean.contains(form.as_str()));
    }

    #[test]
    fn a_body_cut_anywhere_shows_no_more_than_three_bytes(cut in 1..CANARY.len(), before in "[a-z ]{0,20}") {
        prop_assume!(CANARY.is_char_boundary(cut));
        let redactor = Redactor::new([&Secret::new(CANARY)]);
        let clean = redactor.cut_text(&format!("{before}{}", &CANARY[..cut]));
        prop_assert!(cut < 4 || clean == format!("{before}{REDACTED}"), "{}", clean);
        let clean = Redactor::default().cut_text(&format!("{before}{}", &TOKEN[..8 + cut]));
        prop_assert!(clean == format!("{before}{REDACTED}"), "{}", clean);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_chunking_of_the_body_is_joined_first(cuts in prop::collection::vec(1..TOKEN.len(), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let seen = runtime.block_on(async {
            let mut places = cuts.clone();
            places.extend([0, TOKEN.len()]);
            places.sort_unstable();
            let chunks: String = places.windows(2).map(|pair| &TOKEN[pair[0]..pair[1]]).filter(|chunk| !chunk.is_empty())
                .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
            let server = Server::answering(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")).await;
            client(&server).http(get(server.url("/"), 2000)).await
        });
        prop_assert_eq!((seen.0.body.text.as_str(), seen.1), (REDACTED, None));
    }
}

/// A server that gives back everything it got, in head and body, for HTTP, SSE and WebSocket alike.
async fn mirror() -> Server {
    Server::start(|mut peer| async move {
        let mut got: String = peer.head.lines().skip(1).collect::<Vec<_>>().join("; ").replace('\t', " ");
        got.push_str(peer.path());
        if peer.path().starts_with("/events") {
            let stream = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Echo: {got}\r\n\r\nevent: {got}\nid: {got}\ndata: {got}\n\n: {got}\n");
            peer.send(stream).await;
            return peer.finish().await;
        }
        if peer.header("upgrade").is_some() && !peer.path().starts_with("/ws/refuse") {
            peer.switch(&format!("X-Echo: {got}\r\n")).await;
            peer.send(frame(0x81, got.as_bytes())).await;
            let token = peer.header("authorization").unwrap_or_default().to_owned();
            return peer.send(close(1008, token.get(..100).unwrap_or(&token))).await;
        }
        let body = format!("{{\"echo\":{}}}", serde_json::to_string(&got).unwrap());
        let answer = format!("HTTP/1.1 403 No\r\nContent-Type: application/json\r\nX-Echo: {got}\r\nSet-Cookie: sid={got}\r\nLocation: /x?{got}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        peer.send(answer).await;
        peer.finish().await;
    })
    .await
}

#[tokio::test]
async fn f78_a_canary_comes_back_nowhere() {
    let server = mirror().await;
    let canary = "CANARY-0123456789abcdef";
    let run = RunStart {
        redactor: Redactor::new([&Secret::new(canary)]),
        ..run()
    };
    let client = Wire::new(&settings(&[server.origin()])).unwrap().client(run.clone());
    let mut record = String::new();
    let request = |path: &str| HttpRequest {
        authorization: Some(Secret::new(TOKEN)),
        headers: vec![
            ("X-Custom".into(), canary.into()),
            ("Cookie".into(), format!("a={canary}")),
        ],
        body: RequestBody::Json(json!({"password": "hunter2hunter2", "note": canary})),
        ..get(server.url(&format!("{path}?x={canary}&token=opaque-value")), 2000)
    };
    for raw_path in [false, true] {
        let (exchange, failure) = client
            .http(HttpRequest {
                raw_path,
                ..request("/http")
            })
            .await;
        assert_eq!((failure, exchange.status), (None, Some(403)));
        assert!(exchange.json.is_some() && exchange.body.text.contains(REDACTED));
        record.push_str(&serde_json::to_string(&exchange).unwrap());
    }
    let (events, failure) = client.sse(request("/events"), SseUntil::default()).await;
    assert_eq!((failure, events.events.len()), (None, 1));
    record.push_str(&serde_json::to_string(&events).unwrap());
    for (path, shown) in [
        ("/ws", Shown::Header(Secret::new(TOKEN))),
        ("/ws/refuse", Shown::Header(Secret::new(TOKEN))),
        (
            "/ws/refuse",
            Shown::Subprotocol(jwt::subprotocol_item("jwt.", &Secret::new(TOKEN))),
        ),
    ] {
        let url = format!("ws://{}{path}?t={canary}", server.address);
        let request = UpgradeRequest {
            shown,
            ..UpgradeRequest::new("socket", url)
        };
        let (exchange, session) = client.upgrade(request).await;
        record.push_str(&serde_json::to_string(&exchange).unwrap());
        match session {
            Err(failure) => record.push_str(&format!("{failure} {failure:?}")),
            Ok(mut session) => loop {
                match session.next(after(1000)).await {
                    Ok(Some(seen)) => {
                        record.push_str(&serde_json::to_string(&(seen.frame(&run), seen.close(&run))).unwrap());
                    }
                    Ok(None) => panic!("the server closes"),
                    Err(failure) => break record.push_str(&format!("{failure} {failure:?}")),
                }
            },
        }
    }
    for secret in [canary, TOKEN, "hunter2hunter2", "opaque-value"] {
        for form in forms(secret) {
            assert!(!record.contains(&form), "{form} is in {record}");
        }
    }
    for part in TOKEN.split('.') {
        assert!(!record.contains(part), "{part} is in {record}");
    }
    assert!(record.contains("1008"), "the close was seen");
}

#[tokio::test]
async fn f76_hostile_text_is_made_harmless() {
    let body = "<script>alert(1)</script>\x1b]0;title\x07\u{202e}\nnext line";
    let server = Server::answering(format!(
        "HTTP/1.1 401 No\r\nX-A: a\tb\u{9b}31m\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let (exchange, _) = client(&server).http(get(server.url("/"), 2000)).await;
    assert_eq!(
        exchange.body.text,
        "<script>alert(1)</script>\\u{1b}]0;title\\u{7}\\u{202e}\nnext line"
    );
    assert!(
        !exchange.headers["x-a"].chars().any(char::is_control),
        "{:?}",
        exchange.headers
    );
}

#[tokio::test]
async fn secrets_can_be_captured_before_redaction() {
    let body = r#"{"access_token":"opaque-one","hand":"opaque-two"}"#;
    let server = Server::answering(format!(
        "HTTP/1.1 200 OK\r\nX-H: opaque-two\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let client = client(&server);
    let (mut exchange, failure, raw) = client.http_with_secrets(get(server.url("/"), 2000)).await;
    assert_eq!(failure, None);
    let raw = raw.unwrap().json.unwrap();
    assert_eq!(exchange.json.as_ref().unwrap()["access_token"], REDACTED);
    client.run().redactor.learn(&Secret::new(raw["hand"].as_str().unwrap()));
    client.redact_again(&mut exchange);
    assert!(
        !serde_json::to_string(&exchange).unwrap().contains("opaque"),
        "{exchange:?}"
    );
}

#[tokio::test]
async fn a_body_that_stops_inside_a_secret_shows_none_of_it() {
    let half = &TOKEN[..TOKEN.len() / 2];
    for body in [format!("before {half}"), format!("before {}", &CANARY[..12])] {
        let head = "HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n";
        let server = Server::answering(format!("{head}{body}")).await;
        let client = client(&server);
        client.run().redactor.learn(&Secret::new(CANARY));
        let (cut, failure) = client.http(get(server.url("/"), 2000)).await;
        assert!(failure.is_some() && cut.body.truncated);
        let short = HttpRequest {
            body_max: body.len() - 1,
            ..get(server.url("/"), 2000)
        };
        let (full, _) = client.http(short).await;
        let (refused, _) = client.upgrade(open(&server, "/ws", 2000)).await;
        for shown in [cut.body.text, full.body.text, refused.http.body.text] {
            assert_eq!(shown, "before [redacted]");
        }
    }
}
