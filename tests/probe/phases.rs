//! Planted delays come back in the right phase. The assertions are about order and plausibility; the accuracy of 5 ms is an
//! opt-in test for a quiet machine: `cargo test --test probe -- --ignored phases_within_5_ms`.

use super::support::server::pause;
use super::support::tls::{Authority, config};
use super::support::*;
use rustls::server::Acceptor;
use stagewatch::probe::{HttpRequest, Resolver, Roots, WireSettings};
use stagewatch::transcript::Phases;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio_rustls::LazyConfigAcceptor;

const DNS_MS: u64 = 50;
const TLS_MS: u64 = 80;
const FIRST_BYTE_MS: u64 = 120;
const BODY_MS: u64 = 60;

/// A name server that answers everything with 127.0.0.1 after a while.
async fn slow_dns() -> SocketAddr {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer).await {
            let (socket, query) = (Arc::clone(&socket), buffer[..length].to_vec());
            tokio::spawn(async move {
                pause(DNS_MS).await;
                let name_end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
                let is_a = u8::from(query[name_end + 1] == 1);
                let mut answer = query[..2].to_vec();
                answer.extend_from_slice(&[0x81, 0x80, 0, 1, 0, is_a, 0, 0, 0, 0]);
                answer.extend_from_slice(&query[12..name_end + 4]);
                if is_a == 1 {
                    answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
                }
                socket.send_to(&answer, asker).await.unwrap();
            });
        }
    });
    address
}

async fn slow_https(authority: &Authority) -> Server {
    let config = Arc::new(config(authority.leaf(&["slow.probe.test"], (2020, 2090)), &[]));
    Server::start_raw(move |stream| {
        let config = Arc::clone(&config);
        async move {
            // The delay is planted after the ClientHello has come, so that it lies inside the handshake for sure.
            let Ok(hello) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else {
                return;
            };
            pause(TLS_MS).await;
            let Ok(mut tls) = hello.into_stream(config).await else {
                return;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if tls.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            pause(FIRST_BYTE_MS).await;
            tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
                .await
                .unwrap();
            tls.flush().await.unwrap();
            pause(BODY_MS).await;
            tls.write_all(b"def").await.unwrap();
            tls.shutdown().await.unwrap();
        }
    })
    .await
}

/// Phases and total of one exchange by either way of connecting.
async fn measure(raw_path: bool) -> (Phases, f64) {
    let authority = Authority::new();
    let server = slow_https(&authority).await;
    let settings = WireSettings {
        roots: Roots::Files(vec![authority.file()]),
        resolver: Resolver::HickoryAt(vec![slow_dns().await]),
        ..settings(&[])
    };
    let url = format!("https://slow.probe.test:{}/", server.address.port());
    let (exchange, failure) = client_of(&settings)
        .http(HttpRequest {
            raw_path,
            ..get(url, 5000)
        })
        .await;
    assert_eq!((failure, exchange.body.text.as_str()), (None, "abcdef"));
    (exchange.phases, exchange.total_ms)
}

#[expect(clippy::cast_precision_loss, reason = "small constants")]
fn over(phase: Option<f64>, planted: u64) -> f64 {
    phase.unwrap() - planted as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_delays_show_in_their_phase() {
    for raw_path in [false, true] {
        let (phases, total) = measure(raw_path).await;
        for (phase, planted) in [
            (phases.dns_ms, DNS_MS),
            (phases.tls_ms, TLS_MS),
            (phases.first_byte_ms, FIRST_BYTE_MS),
            (phases.body_ms, BODY_MS),
        ] {
            // A busy client may see the head late, and then less of the body's delay is left.
            let seen = if planted == BODY_MS { planted / 4 } else { planted };
            assert!(over(phase, seen) > -2.0, "{planted} ms were planted: {phases:?}");
        }
        let all = [
            phases.dns_ms,
            phases.connect_ms,
            phases.tls_ms,
            phases.first_byte_ms,
            phases.body_ms,
        ];
        let sum: f64 = all.into_iter().flatten().sum();
        assert!(sum <= total + 1.0, "no time is billed twice: {phases:?}, total {total}");
        assert!(
            total - sum < total / 2.0,
            "little time is billed to nobody: {phases:?}, total {total}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a quiet machine"]
async fn phases_within_5_ms() {
    for raw_path in [false, true] {
        let (phases, _) = measure(raw_path).await;
        println!("{phases:?}");
        for (phase, planted) in [
            (phases.dns_ms, DNS_MS),
            (phases.connect_ms, 0),
            (phases.tls_ms, TLS_MS),
            (phases.first_byte_ms, FIRST_BYTE_MS),
            (phases.body_ms, BODY_MS),
        ] {
            assert!(
                over(phase, planted).abs() < 5.0,
                "{planted} ms were planted: {phases:?}"
            );
        }
    }
}
