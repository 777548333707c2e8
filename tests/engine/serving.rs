//! The listener cannot be locked out or filled up, and what it exposes is well-formed.

use crate::support::{catalog, rehearsal};
use stagewatch::app::daemon::{self, Running};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

async fn daemon() -> (stagewatch::rehearsal::Rehearsal, tempfile::TempDir, Running) {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    (rehearsal, folder, running)
}

/// Sends raw bytes and reads until the peer closes.
async fn raw(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// How often the listener has refused somebody for this cause: waits until the exposition is drawn anew.
async fn refused(running: &Running, cause: &str) -> f64 {
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let text = raw(running, get).await;
    let series = format!("stagewatch_serve_refused_total{{cause=\"{cause}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("{series} is missing")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_do_not_block_scrapes() {
    let (rehearsal, _folder, running) = daemon().await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(running.address()).await.unwrap();
        // Those above the cap are closed at once.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n").await;
        idle.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Whoever is silent gives up its place at once, whether it is a scrape or health that comes.
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = raw(
            &running,
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "locked out: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    let answer = raw(
        &running,
        "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.ends_with("ok\n"), "{answer}");
    // 72 of the 200 found no free place, and 21 questions came on top: each took that of somebody silent.
    let silent = refused(&running, "silent").await;
    assert!(silent >= 72.0, "{silent}");
    drop(idle);
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_serves_only_whoever_watches_us() {
    let (rehearsal, _folder, running) = daemon().await;
    let mut idle = Vec::new();
    for _ in 0..115 {
        idle.push(TcpStream::connect(running.address()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(raw(&running, &get("/")).await.starts_with("HTTP/1.1 503"));
    assert!(raw(&running, &get("/metrics")).await.starts_with("HTTP/1.1 200"));
    assert!(refused(&running, "reserve").await >= 1.0);
    drop(idle);
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_bounded_and_carry_their_headers() {
    let (rehearsal, _folder, running) = daemon().await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "x".repeat(5000)
    );
    assert!(raw(&running, &long).await.starts_with("HTTP/1.1 414"));
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    assert!(raw(&running, &huge).await.starts_with("HTTP/1.1 431"));
    let body = "POST /api/v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n";
    assert!(raw(&running, body).await.starts_with("HTTP/1.1 413"));
    let page = raw(
        &running,
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    for header in [
        "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(page.contains(header), "{header} is missing in {page}");
    }
    let missing = raw(
        &running,
        "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(missing.contains("application/problem+json") && missing.contains("\"status\":404"));
    let wrong = raw(
        &running,
        "DELETE /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(wrong.starts_with("HTTP/1.1 405"));
    let foreign = "GET /metrics HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n";
    assert!(raw(&running, foreign).await.starts_with("HTTP/1.1 421"));
    assert_eq!(
        (refused(&running, "uri").await, refused(&running, "host").await),
        (1.0, 1.0)
    );
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exposition_is_what_prometheus_accepts() {
    let (rehearsal, _folder, running) = daemon().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let url = format!("http://{}/metrics", running.address());
    let client = reqwest::Client::new();
    let text = client.get(&url).send().await.unwrap().text().await.unwrap();
    let open = client
        .get(&url)
        .header("accept", "application/openmetrics-text;version=1.0.0")
        .send()
        .await
        .unwrap();
    assert_eq!(
        open.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text().await.unwrap().ends_with("# EOF\n"));
    running.shutdown().await;
    rehearsal.shutdown().await;
    promtool(&text);
}

/// Debian's promtool, when it is installed; the script that runs all tests installs it.
fn promtool(text: &str) {
    let spawned = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return eprintln!("not checked with promtool: {error}"),
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
}
