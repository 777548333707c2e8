//! Proxies: the configured one is used for everything, those of the environment for nothing.

use super::support::tls::{Authority, config, https};
use super::support::*;
use stagewatch::failure::{Blame, Kind, Phase};
use stagewatch::probe::{HttpRequest, Proxy, Roots, WireSettings};
use stagewatch::secret::Secret;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_configured_proxy_is_used() {
    let proxy = Server::start(|mut peer| async move {
        let authorised = peer.header("proxy-authorization") == Some("Basic proxy-canary");
        let answer = if authorised {
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nvia"
        } else {
            "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
        };
        peer.send(answer).await;
    })
    .await;
    let settings = WireSettings {
        proxy: Some(Proxy {
            url: proxy.origin(),
            authorization: Some(Secret::new("Basic proxy-canary")),
        }),
        ..settings(&[])
    };
    let (exchange, failure) = client_of(&settings).http(get("http://target.invalid/x", 2000)).await;
    assert_eq!((failure, exchange.body.text.as_str()), (None, "via"));
    assert!(
        proxy.heads()[0].starts_with("GET http://target.invalid/x HTTP/1.1"),
        "{}",
        proxy.heads()[0]
    );
}

/// D32: the test runs itself again with proxies in the environment, which cannot be changed safely from within.
#[test]
fn a_proxy_in_the_environment_is_ignored() {
    const CHILD: &str = "PROBE_TEST_CHILD";
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if std::env::var_os(CHILD).is_some() {
        let (exchange, failure) = runtime.block_on(async {
            let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect").await;
            client(&server).http(get(server.url("/"), 2000)).await
        });
        assert_eq!((failure, exchange.body.text.as_str()), (None, "direct"));
        return;
    }
    let proxy = runtime.block_on(Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy"));
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "probe::proxies::a_proxy_in_the_environment_is_ignored"])
        .env(CHILD, "1");
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        child.env(name, proxy.origin());
    }
    let output = child.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    assert_eq!(proxy.accepted(), 0);
}

/// A proxy that tunnels every CONNECT to one place, if the password is right.
async fn tunnel(to: std::net::SocketAddr) -> Server {
    Server::start(move |mut peer| async move {
        if peer.header("proxy-authorization") != Some("Basic proxy-canary") {
            peer.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                .await;
            return peer.finish().await;
        }
        let mut target = TcpStream::connect(to).await.unwrap();
        peer.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let _ = copy_bidirectional(&mut peer.stream, &mut target).await;
    })
    .await
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let authority = Authority::new();
    let target = https(config(authority.leaf(&["target.invalid"], (2020, 2090)), &[]), 0).await;
    let proxy = tunnel(target.address).await;
    let with = |authorization: &str| WireSettings {
        roots: Roots::Files(vec![authority.file()]),
        proxy: Some(Proxy {
            url: proxy.origin(),
            authorization: Some(Secret::new(authorization)),
        }),
        ..settings(&[])
    };
    let client = client_of(&with("Basic proxy-canary"));
    for raw_path in [false, true] {
        let (exchange, failure) = client
            .http(HttpRequest {
                raw_path,
                ..get("https://target.invalid/x", 3000)
            })
            .await;
        assert_eq!((failure, exchange.body.text.as_str()), (None, "Full"));
        assert!(exchange.tls.is_some() && exchange.phases.tls_ms.is_some());
    }
    assert!(
        proxy
            .heads()
            .iter()
            .all(|head| head.starts_with("CONNECT target.invalid:443 HTTP/1.1")),
        "{:?}",
        proxy.heads()
    );
    let client = client_of(&with("Basic wrong"));
    for raw_path in [false, true] {
        let (_, failure) = client
            .http(HttpRequest {
                raw_path,
                ..get("https://target.invalid/x", 3000)
            })
            .await;
        let failure = failure.unwrap();
        assert_eq!(
            (what(&failure), failure.blame),
            ((Kind::TcpUnreachable, Phase::Connect), Blame::Path),
            "{failure}"
        );
    }
}
