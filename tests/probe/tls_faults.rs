//! TLS: what a handshake shows, and every way in which it fails.

use super::support::tls::{Authority, Identity, config, https, self_signed};
use super::support::*;
use futures_util::{SinkExt, StreamExt};
use rustls::server::WebPkiClientVerifier;
use stagewatch::failure::{Failure, Kind, Phase};
use stagewatch::probe::{HttpRequest, HttpVersion, Outgoing, Roots, UpgradeRequest, Wire, WireError, WireSettings};
use stagewatch::transcript::HttpExchange;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NAMES: &[&str] = &["localhost", "127.0.0.1"];
const YEARS: (i32, i32) = (2020, 2090);

fn trusting(authority: &Authority) -> WireSettings {
    WireSettings {
        roots: Roots::Files(vec![authority.file()]),
        ..settings(&[])
    }
}

async fn fetch(settings: &WireSettings, server: &Server, within_ms: u64) -> (HttpExchange, Option<Failure>) {
    client_of(settings)
        .http(get(format!("https://{}/", server.address), within_ms))
        .await
}

/// The failure of a handshake, by both ways of connecting.
async fn failure_of(settings: &WireSettings, server: &Server, within_ms: u64) -> (HttpExchange, Failure) {
    let (exchange, failure) = fetch(settings, server, within_ms).await;
    let failure = failure.unwrap_or_else(|| panic!("no failure: {exchange:?}"));
    assert!(
        exchange.phases.tls_ms.is_some() && exchange.phases.first_byte_ms.is_none(),
        "{:?}",
        exchange.phases
    );
    let own = HttpRequest {
        raw_path: true,
        ..get(format!("https://{}/", server.address), within_ms)
    };
    let (dialled, same) = client_of(settings).http(own).await;
    assert_eq!(same.map(|same| what(&same)), Some(what(&failure)));
    assert!(dialled.phases.tls_ms.is_some() && dialled.phases.connect_ms.is_some());
    (exchange, failure)
}

#[tokio::test]
async fn a_handshake_is_recorded_and_always_full() {
    let authority = Authority::new();
    for (versions, name) in [
        (&rustls::version::TLS13, "TLSv1_3"),
        (&rustls::version::TLS12, "TLSv1_2"),
    ] {
        let identity = authority.leaf(NAMES, YEARS);
        let server = rustls::ServerConfig::builder_with_protocol_versions(&[versions]);
        let server = server
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        let server = https(server, 0).await;
        let client = client_of(&trusting(&authority));
        for raw_path in [false, false, true] {
            let request = HttpRequest {
                raw_path,
                ..get(format!("https://localhost:{}/", server.address.port()), 3000)
            };
            let (exchange, failure) = client.http(request).await;
            assert_eq!((failure, exchange.body.text.as_str()), (None, "Full"));
            let facts = exchange.tls.unwrap();
            assert_eq!(facts.version, name);
            assert_eq!(facts.not_after_unix, Some(3_786_912_000), "1 January 2090");
            assert!(
                facts.subject.contains("leaf") && !facts.subject.contains('\u{1b}'),
                "{}",
                facts.subject
            );
            let phases = exchange.phases;
            assert!(
                phases.dns_ms.is_some() && phases.connect_ms.is_some() && phases.tls_ms.is_some(),
                "{phases:?}"
            );
        }
    }
}

#[tokio::test]
async fn f15_f16_validity() {
    let authority = Authority::new();
    let expired = https(config(authority.leaf(NAMES, (2001, 2002)), &[]), 0).await;
    let (exchange, failure) = failure_of(&trusting(&authority), &expired, 3000).await;
    assert_eq!(what(&failure), (Kind::TlsExpired, Phase::Tls));
    assert_eq!(
        exchange.tls.unwrap().not_after_unix,
        Some(1_009_843_200),
        "also a failed handshake has its facts"
    );
    let early = https(config(authority.leaf(NAMES, (2080, 2090)), &[]), 0).await;
    let (_, failure) = failure_of(&trusting(&authority), &early, 3000).await;
    assert_eq!(what(&failure), (Kind::TlsNotYetValid, Phase::Tls));
}

#[tokio::test]
async fn f17_f18_names_and_authorities() {
    let authority = Authority::new();
    let elsewhere = https(config(authority.leaf(&["other.example"], YEARS), &[]), 0).await;
    let (_, failure) = failure_of(&trusting(&authority), &elsewhere, 3000).await;
    assert_eq!(what(&failure), (Kind::TlsWrongHost, Phase::Tls));
    assert!(failure.detail.contains("other.example"), "{}", failure.detail);
    let unknown = https(config(Authority::new().leaf(NAMES, YEARS), &[]), 0).await;
    assert_eq!(
        what(&failure_of(&trusting(&authority), &unknown, 3000).await.1),
        (Kind::TlsUnknownCa, Phase::Tls)
    );
    assert_eq!(
        what(&failure_of(&settings(&[]), &unknown, 3000).await.1),
        (Kind::TlsUnknownCa, Phase::Tls)
    );
    let own = https(config(self_signed(NAMES), &[]), 0).await;
    assert_eq!(
        what(&failure_of(&trusting(&authority), &own, 3000).await.1),
        (Kind::TlsUnknownCa, Phase::Tls)
    );
}

#[tokio::test]
async fn f20_stalled_handshakes() {
    let authority = Authority::new();
    let record = [&[0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76][..], &[3, 3], &[7; 40]].concat();
    for (case, bytes, every_ms) in [
        ("silence", vec![], 0),
        ("half a ServerHello", record.clone(), 0),
        ("drip", record, 50),
    ] {
        let bytes = Arc::new(bytes);
        let server = Server::start_raw(move |mut stream| {
            let bytes = Arc::clone(&bytes);
            async move {
                for byte in bytes.iter() {
                    let _ = stream.write_all(&[*byte]).await;
                    server::pause(every_ms).await;
                }
                let mut sink = [0; 1024];
                while matches!(stream.read(&mut sink).await, Ok(1..)) {}
            }
        })
        .await;
        let (exchange, failure) = failure_of(&trusting(&authority), &server, 600).await;
        assert_eq!(what(&failure), (Kind::TlsTimeout, Phase::Tls), "{case}");
        let phases = exchange.phases;
        assert!(
            phases.tls_ms.unwrap() > phases.connect_ms.unwrap(),
            "{case}: the tls phase is billed: {phases:?}"
        );
    }
}

/// A server that reads the ClientHello and answers these bytes, then closes or resets.
async fn answering_hello(bytes: &'static [u8], reset: bool) -> Server {
    Server::start_raw(move |mut stream| async move {
        let mut hello = [0; 16 * 1024];
        let _ = stream.read(&mut hello).await;
        let _ = stream.write_all(bytes).await;
        if reset {
            stream.set_zero_linger().unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn f10_f21_alerts_resets_and_garbage() {
    let authority = Authority::new();
    let trusting = trusting(&authority);
    let alert = answering_hello(&[0x15, 3, 3, 0, 2, 2, 40], false).await;
    let (_, failure) = failure_of(&trusting, &alert, 3000).await;
    assert_eq!(what(&failure), (Kind::TlsAlert, Phase::Tls));
    assert!(failure.detail.contains("handshake_failure"), "{}", failure.detail);
    let reset = answering_hello(b"", true).await;
    assert_eq!(
        what(&failure_of(&trusting, &reset, 3000).await.1),
        (Kind::TcpReset, Phase::Tls)
    );
    let closed = answering_hello(b"", false).await;
    assert_eq!(
        what(&failure_of(&trusting, &closed, 3000).await.1),
        (Kind::TlsProtocol, Phase::Tls)
    );
    let plain = answering_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
    assert_eq!(
        what(&failure_of(&trusting, &plain, 3000).await.1),
        (Kind::TlsProtocol, Phase::Tls)
    );
}

#[tokio::test]
async fn client_certificates() {
    let authority = Authority::new();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let Identity { chain, key, .. } = authority.leaf(NAMES, YEARS);
    let server = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let server = https(server, 0).await;
    let (_, failure) = fetch(&trusting(&authority), &server, 3000).await;
    assert_eq!(failure.unwrap().kind, Kind::TlsAlert, "the server wants a certificate");
    let identity = authority.leaf(&["client.example"], YEARS);
    let settings = WireSettings {
        client_certificate: Some(authority.files_of(&identity)),
        ..trusting(&authority)
    };
    let (exchange, failure) = fetch(&settings, &server, 3000).await;
    assert_eq!((failure, exchange.status), (None, Some(200)));
}

#[tokio::test]
async fn versions_by_alpn() {
    let authority = Authority::new();
    let server = https(config(authority.leaf(NAMES, YEARS), &["h2"]), 0).await;
    let request = HttpRequest {
        version: HttpVersion::Http1,
        ..get(format!("https://{}/", server.address), 3000)
    };
    let (_, failure) = client_of(&trusting(&authority)).http(request).await;
    let failure = failure.unwrap();
    assert_eq!(
        (failure.kind, failure.detail.contains("no_application_protocol")),
        (Kind::TlsAlert, true),
        "{failure}"
    );
    let server = https(config(authority.leaf(NAMES, YEARS), &["http/1.1"]), 0).await;
    let (exchange, failure) = fetch(&trusting(&authority), &server, 3000).await;
    assert_eq!((failure, exchange.http_version.as_str()), (None, "HTTP/1.1"));
}

#[test]
fn files_that_are_no_certificates_are_refused_at_load() {
    let authority = Authority::new();
    let missing = WireSettings {
        roots: Roots::Files(vec!["/does/not/exist.pem".into()]),
        ..settings(&[])
    };
    assert!(matches!(Wire::new(&missing), Err(WireError::Pem { .. })));
    let key = authority.files_of(&self_signed(NAMES)).1;
    let no_certificates = WireSettings {
        roots: Roots::SystemAnd(vec![key.clone()]),
        ..settings(&[])
    };
    let message = Wire::new(&no_certificates).err().unwrap().to_string();
    assert!(
        message.contains(key.to_str().unwrap()) && message.contains("give a PEM file"),
        "{message}"
    );
}

/// A wss server: switches, echoes one frame, then ends the connection with a Close or without a word.
async fn wss(identity: Identity, close: bool) -> Server {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config(identity, &["http/1.1"])));
    Server::start_raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let tls = acceptor.accept(stream).await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(tls).await.unwrap();
            let Some(Ok(message)) = socket.next().await else { return };
            socket.send(message).await.unwrap();
            if close {
                socket.close(None).await.unwrap();
                while socket.next().await.is_some() {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn sockets_over_tls() {
    let authority = Authority::new();
    for (close, code) in [(true, 1005), (false, 1006)] {
        let server = wss(authority.leaf(NAMES, YEARS), close).await;
        let client = client_of(&trusting(&authority));
        let request = || UpgradeRequest::new("socket", format!("wss://{}/ws", server.address));
        let (exchange, session) = client.upgrade(request()).await;
        assert!(exchange.http.phases.tls_ms.is_some() && exchange.http.tls.is_some());
        let mut session = session.unwrap();
        session
            .send(Outgoing::Text("over tls".into()), after(1000))
            .await
            .unwrap();
        assert_eq!(
            session.next(after(1000)).await.unwrap().unwrap().expose_text(),
            "over tls"
        );
        let end = session.next(after(1000)).await.unwrap().unwrap();
        assert_eq!(
            end.close(client.run()).map(|close| close.code),
            Some(code),
            "a missing close_notify is an end without a Close"
        );
        let (exchange, raw) = client.upgrade_raw(request()).await;
        assert!(exchange.accepted && exchange.http.tls.is_some());
        let mut raw = raw.unwrap();
        raw.send(Outgoing::Text("over tls".into()), after(1000)).await.unwrap();
        assert_eq!(raw.next(after(1000)).await.unwrap().unwrap().expose_text(), "over tls");
        let end = raw.next(after(1000)).await.unwrap().unwrap();
        assert_eq!(end.close(client.run()).map(|close| close.code), Some(code));
        raw.reset();
    }
}
