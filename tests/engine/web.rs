//! TLS and users of the listener: who is let in, what a rotation changes, what a broken file does not.

use crate::support::{API_TOKEN, catalog, eventually, rehearsal};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::StatusCode;
use reqwest::tls::TlsInfo;
use stagewatch::app::daemon::{self, Running};
use stagewatch::rehearsal::Rehearsal;
use stagewatch::serve::{Access, Method, ROUTES};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "a password of the tests";

/// Writes chain and key for this machine, moved into place.
fn certificate(folder: &Path, issuer: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let chain = params.signed_by(&key, issuer).unwrap().pem();
    for (name, text) in [("cert.pem", &chain), ("key.pem", &key.serialize_pem())] {
        std::fs::write(folder.join("new"), text).unwrap();
        std::fs::set_permissions(folder.join("new"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }
    (chain, key.serialize_pem())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn web_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("web.yml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn daemon(web: PathBuf) -> (Rehearsal, tempfile::TempDir, Result<Running, String>) {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let mut catalog = catalog(&rehearsal, folder.path());
    Arc::get_mut(&mut catalog).unwrap().service.web_config = Some(web);
    let running = daemon::start(catalog).await.map_err(|error| error.to_string());
    (rehearsal, folder, running)
}

/// A client that trusts the issuer, new for each question so that each has its own handshake.
fn client(issuer: &CertifiedIssuer<'static, KeyPair>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(issuer.pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([root])
        .tls_info(true)
        .build()
        .unwrap()
}

fn users() -> String {
    format!(
        "basic_auth_users:\n  prometheus: {}\n",
        bcrypt::hash(PASSWORD, 4).unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_say_who_they_are() {
    let files = tempfile::tempdir().unwrap();
    let (rehearsal, _folder, running) = daemon(web_config(files.path(), &users())).await;
    let running = running.unwrap();
    let ask = async |method: &str, path: &str, shown: Option<(&str, &str)>| {
        let url = format!("http://{}{path}", running.address());
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let request = match shown {
            Some(("", token)) => request.bearer_auth(token),
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        request.send().await.unwrap()
    };
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        let get = async |shown| ask(route.method.as_str(), &path, shown).await.status();
        let refused = |status: StatusCode| status == StatusCode::UNAUTHORIZED;
        assert_eq!(refused(get(None).await), route.access != Access::Open, "{path}");
        assert!(!refused(get(Some(("", API_TOKEN))).await), "{path}");
        // A reader may not change anything.
        let user = refused(get(Some(("prometheus", PASSWORD))).await);
        assert_eq!(user, route.access == Access::Operator, "{path}");
        assert!(user || route.method == Method::Get, "{path}");
    }
    let unknown = ask("GET", "/metrics", None).await;
    assert_eq!(
        unknown.headers()["www-authenticate"],
        "Basic realm=\"stagewatch\", charset=\"UTF-8\""
    );
    for (name, password) in [
        ("prometheus", "wrong"),
        ("nobody", PASSWORD),
        ("nobody", "nobody"),
        ("", ""),
    ] {
        assert_eq!(
            ask("GET", "/metrics", Some((name, password))).await.status(),
            401,
            "{name}"
        );
    }
    for _ in 0..200 {
        ask("GET", "/metrics", Some(("prometheus", "guess"))).await;
    }
    assert_eq!(
        ask("GET", "/metrics", Some(("prometheus", PASSWORD))).await.status(),
        429,
        "guessing is braked"
    );
    assert_eq!(ask("GET", "/-/healthy", None).await.status(), 200);
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_rotate_and_broken_ones_do_not() {
    stagewatch::crypto::init_crypto();
    let (files, issuer) = (tempfile::tempdir().unwrap(), authority());
    certificate(files.path(), &issuer);
    let text = "tls_server_config: { cert_file: cert.pem, key_file: key.pem, min_version: TLS13 }\n";
    let (rehearsal, _folder, running) = daemon(web_config(files.path(), text)).await;
    let running = running.unwrap();
    let port = running.address().port();
    let shown = async || {
        let answer = client(&issuer)
            .get(format!("https://localhost:{port}/-/healthy"))
            .send()
            .await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        let info = answer.extensions().get::<TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    };
    let first = shown().await;
    certificate(files.path(), &issuer);
    let second = eventually(Duration::from_secs(5), "the new certificate is shown", async || {
        let now = shown().await;
        (now != first).then_some(now)
    })
    .await;
    std::fs::write(files.path().join("cert.pem"), "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(shown().await, second);
    assert_eq!(shown().await, second);
    // Half-open handshakes by the hundred lock nobody out.
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(tokio::net::TcpStream::connect(running.address()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(shown().await, second);
    drop(idle);
    let plain = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await;
    assert!(plain.is_err(), "plain HTTP is answered on a TLS listener");
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_a_certificate_where_they_have_to() {
    stagewatch::crypto::init_crypto();
    let (files, issuer, foreign) = (tempfile::tempdir().unwrap(), authority(), authority());
    certificate(files.path(), &issuer);
    std::fs::write(files.path().join("ca.pem"), issuer.pem()).unwrap();
    let text = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";
    let web = web_config(files.path(), text);
    let (rehearsal, _folder, running) = daemon(web).await;
    let running = running.unwrap();
    let url = format!("https://localhost:{}/metrics", running.address().port());
    let with = |signer: &CertifiedIssuer<'static, KeyPair>| {
        let elsewhere = tempfile::tempdir().unwrap();
        let (chain, key) = certificate(elsewhere.path(), signer);
        let identity = reqwest::Identity::from_pem(format!("{chain}{key}").as_bytes()).unwrap();
        let root = reqwest::Certificate::from_pem(issuer.pem().as_bytes()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([root]).identity(identity);
        builder.build().unwrap()
    };
    assert_eq!(with(&issuer).get(&url).send().await.unwrap().status(), 200);
    assert!(
        client(&issuer).get(&url).send().await.is_err(),
        "nobody's certificate is accepted"
    );
    assert!(
        with(&foreign).get(&url).send().await.is_err(),
        "a foreign certificate is accepted"
    );
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_configuration_that_cannot_be_used_is_refused() {
    stagewatch::crypto::init_crypto();
    let (files, issuer) = (tempfile::tempdir().unwrap(), authority());
    certificate(files.path(), &issuer);
    let key = files.path().join("loose.pem");
    std::fs::copy(files.path().join("key.pem"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let tls = |rest: &str| format!("tls_server_config: {{ cert_file: cert.pem, {rest} }}\n");
    let cases = [
        (tls("key_file: gone.pem"), "gone.pem"),
        (tls("key_file: loose.pem"), "mode 0644"),
        (tls("key_file: key.pem, client_ca_file: cert.pem"), "belong together"),
        (tls("key_file: key.pem, ciphers: []"), "ciphers"),
        ("basic_auth_users: { a: secret }\n".to_owned(), "no bcrypt hash"),
        ("tls: {}\n".to_owned(), "tls"),
    ];
    for (text, expected) in cases {
        let (rehearsal, _folder, running) = daemon(web_config(files.path(), &text)).await;
        let error = running.err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert!(error.contains(expected) && error.contains("web.yml"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        rehearsal.shutdown().await;
    }
}
