//! Certificates made for the test, and TLS servers that use them.

use super::server::Server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// A certificate authority of the test's own, in a directory that goes with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate chain and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub chain_pem: String,
    pub key_pem: String,
}

impl Authority {
    pub fn new() -> Self {
        stagewatch::crypto::init_crypto();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "probe test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// The authority's certificate in a file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Writes chain and key of `identity` into files.
    pub fn files_of(&self, identity: &Identity) -> (PathBuf, PathBuf) {
        let (chain, key) = (
            self.directory.path().join("chain.pem"),
            self.directory.path().join("key.pem"),
        );
        std::fs::write(&chain, &identity.chain_pem).unwrap();
        std::fs::write(&key, &identity.key_pem).unwrap();
        (chain, key)
    }

    /// A leaf for `names`, valid between two years.
    pub fn leaf(&self, names: &[&str], years: (i32, i32)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf_params(names, years).signed_by(&key, &self.issuer).unwrap();
        identity(&certificate, &key)
    }

    /// The DER of the authority.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.issuer.pem().as_bytes()).unwrap()
    }
}

/// A leaf that signs itself.
pub fn self_signed(names: &[&str]) -> Identity {
    stagewatch::crypto::init_crypto();
    let key = KeyPair::generate().unwrap();
    identity(&leaf_params(names, (2020, 2090)).self_signed(&key).unwrap(), &key)
}

fn leaf_params(names: &[&str], years: (i32, i32)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
        .distinguished_name
        .push(DnType::CommonName, "leaf\u{1b}[31m of the test");
    params
}

fn identity(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
    Identity {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        chain_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    }
}

/// A server configuration with `identity` and these ALPN protocols.
pub fn config(identity: Identity, alpn: &[&str]) -> rustls::ServerConfig {
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// An HTTPS server: waits `handshake_ms` before the TLS handshake, answers 200 with the kind of handshake as body.
pub async fn https(config: rustls::ServerConfig, handshake_ms: u64) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start_raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            super::server::pause(handshake_ms).await;
            let Ok(mut tls) = acceptor.accept(stream).await else {
                return;
            };
            let kind = format!("{:?}", tls.get_ref().1.handshake_kind().unwrap());
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if tls.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let _ = tls
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{kind}", kind.len()).as_bytes())
                .await;
            let _ = tls.shutdown().await;
        }
    })
    .await
}
