//! Name resolution against a small DNS server on loopback, through hickory; and the words of the system's resolver.

use super::support::*;
use stagewatch::failure::{Kind, Phase};
use stagewatch::probe::{AddressPolicy, HttpRequest, Resolver, WireSettings};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Answers by the first label: `nx`, `servfail`, `refused`, `empty`, `drop`, `slow`, `rebind`, `mixed`, `two`, else 127.0.0.1.
async fn dns() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer).await {
            let query = &buffer[..length];
            let label = String::from_utf8_lossy(&query[13..13 + usize::from(query[12])]).into_owned();
            if label == "slow" {
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            if label != "drop" {
                socket.send_to(&answer(query, &label), asker).await.unwrap();
            }
        }
    });
    address
}

/// The answer to a query with one question (RFC 1035 section 4).
fn answer(query: &[u8], label: &str) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
    let question = &query[12..name_end + 4];
    let asks_a = query[name_end..name_end + 2] == [0, 1];
    let code = match label {
        "servfail" => 2,
        "nx" => 3,
        "refused" => 5,
        _ => 0,
    };
    let addresses: &[Ipv4Addr] = match label {
        "nx" | "servfail" | "refused" | "empty" => &[],
        _ if !asks_a => &[],
        "rebind" => &[Ipv4Addr::new(169, 254, 169, 254)],
        "two" => &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)],
        "mixed" => &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(169, 254, 169, 254)],
        _ => &[Ipv4Addr::LOCALHOST],
    };
    let mut bytes = query[..2].to_vec();
    bytes.extend_from_slice(&[
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(addresses.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    bytes.extend_from_slice(question);
    for address in addresses {
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        bytes.extend_from_slice(&address.octets());
    }
    bytes
}

async fn resolving() -> WireSettings {
    WireSettings {
        resolver: Resolver::HickoryAt(vec![dns().await]),
        ..settings(&[])
    }
}

#[tokio::test]
async fn f01_to_f04_are_told_apart() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = client_of(&resolving().await);
    for (label, kind) in [
        ("nx", Kind::DnsNxdomain),
        ("servfail", Kind::DnsServerError),
        ("refused", Kind::DnsServerError),
        ("empty", Kind::DnsNoAddress),
        ("drop", Kind::DnsTimeout),
    ] {
        for raw_path in [false, true] {
            let url = format!("http://{label}.probe.test:{}/", server.address.port());
            let started = Instant::now();
            let (exchange, failure) = client
                .http(HttpRequest {
                    raw_path,
                    ..get(url, 600)
                })
                .await;
            let failure = failure.unwrap();
            assert_eq!(what(&failure), (kind, Phase::Dns), "{label}: {failure}");
            assert!(started.elapsed() < Duration::from_millis(1000));
            assert!(
                exchange.phases.dns_ms.is_some() && exchange.phases.connect_ms.is_none(),
                "{label}: {:?}",
                exchange.phases
            );
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_resolved_name_is_dialled() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = client_of(&resolving().await);
    for raw_path in [false, true] {
        let url = format!("http://slow.probe.test:{}/", server.address.port());
        let (exchange, failure) = client
            .http(HttpRequest {
                raw_path,
                ..get(url, 2000)
            })
            .await;
        assert_eq!(
            (failure, exchange.status, exchange.peer),
            (None, Some(200), Some(server.address.to_string()))
        );
        assert!(exchange.phases.dns_ms.unwrap() > 55.0, "{:?}", exchange.phases);
    }
    assert!(
        server.heads()[0].contains(&format!("host: slow.probe.test:{}", server.address.port())),
        "{}",
        server.heads()[0]
    );
}

#[tokio::test]
async fn each_address_of_a_name_is_tried_on_its_own() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = client_of(&resolving().await);
    let request = HttpRequest {
        each_address: true,
        ..get(format!("http://two.probe.test:{}/", server.address.port()), 2000)
    };
    let (exchange, failure) = client.http(request).await;
    assert_eq!((failure, exchange.status), (None, Some(200)));
    let port = server.address.port();
    let each: Vec<_> = exchange
        .each_address
        .iter()
        .map(|one| {
            (
                one.address.as_str(),
                one.connect_ms.is_some(),
                one.failure.as_ref().map(what),
            )
        })
        .collect();
    let (first, second) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    assert_eq!(
        each,
        [
            (first.as_str(), true, None),
            (second.as_str(), false, Some((Kind::TcpRefused, Phase::Connect)))
        ]
    );
}

#[tokio::test]
async fn f06_names_that_lead_to_forbidden_places() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let settings = resolving().await;
    let strict = WireSettings {
        addresses: AddressPolicy::default(),
        ..settings.clone()
    };
    for (settings, label) in [(&settings, "rebind"), (&settings, "mixed"), (&strict, "ok")] {
        let client = client_of(settings);
        let url = |scheme: &str| format!("{scheme}://{label}.probe.test:{}/", server.address.port());
        let (exchange, failure) = client.http(get(url("http"), 2000)).await;
        let failure = failure.unwrap();
        assert_eq!(
            what(&failure),
            (Kind::AddressNotAllowed, Phase::Dns),
            "{label}: {failure}"
        );
        assert!(exchange.phases.connect_ms.is_none(), "{:?}", exchange.phases);
        let (_, session) = client
            .upgrade_raw(stagewatch::probe::UpgradeRequest::new("socket", url("ws")))
            .await;
        assert_eq!(session.err().map(|failure| failure.kind), Some(Kind::AddressNotAllowed));
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn no_forbidden_address_is_tried_on_its_own_either() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let strict = WireSettings {
        addresses: AddressPolicy::default(),
        ..resolving().await
    };
    for host in ["127.0.0.1", "two.probe.test"] {
        let request = HttpRequest {
            each_address: true,
            ..get(format!("http://{host}:{}/", server.address.port()), 2000)
        };
        let (exchange, failure) = client_of(&strict).http(request).await;
        assert_eq!(
            failure.map(|failure| failure.kind),
            Some(Kind::AddressNotAllowed),
            "{host}"
        );
        assert_eq!(exchange.each_address, [], "{host}");
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn the_systems_resolver_knows_a_missing_name() {
    // `.invalid` never exists (RFC 6761); without any name server the words may be those of a server failure.
    let (_, failure) = client_of(&settings(&[]))
        .http(get("http://missing.invalid/", 8000))
        .await;
    let failure = failure.unwrap();
    assert_eq!(failure.phase, Phase::Dns);
    assert!(
        matches!(
            failure.kind,
            Kind::DnsNxdomain | Kind::DnsServerError | Kind::DnsTimeout
        ),
        "{failure}"
    );
}
