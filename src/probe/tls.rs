//! TLS for every way out: roots, client certificate, one configuration per ALPN, a full handshake each time, and the facts
//! of the certificate chain even when the handshake fails. Must not: accept what webpki refuses.

use super::settings::{Roots, WireError, WireSettings};
use super::timing::mark;
use crate::limits::NAME_BYTES_MAX;
use crate::secret::{cut, sanitise_line};
use crate::transcript::TlsFacts;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

/// One TLS configuration per protocol that may be negotiated.
#[derive(Clone)]
pub(super) struct TlsConfigs {
    /// HTTP/2 or HTTP/1.1.
    pub(super) any: ClientConfig,
    /// HTTP/1.1 only; WebSocket upgrades need it.
    pub(super) http1: ClientConfig,
    /// HTTP/2 only.
    pub(super) http2: ClientConfig,
}

impl TlsConfigs {
    /// Reads roots and client certificate. Blocking file reads, at load only.
    pub(super) fn new(settings: &WireSettings) -> Result<Self, WireError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier {
            inner: webpki(roots(&settings.roots)?, &provider)?,
            schemes: provider.signature_verification_algorithms.supported_schemes(),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| WireError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &settings.client_certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| pem("a private key", key, &error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| WireError::Tls(error.to_string()))?
            }
        };
        config.resumption = Resumption::store(Arc::new(FullHandshakes));
        let with_alpn = |protocols: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            config
        };
        Ok(Self {
            any: with_alpn(&["h2", "http/1.1"]),
            http1: with_alpn(&["http/1.1"]),
            http2: with_alpn(&["h2"]),
        })
    }
}

fn roots(roots: &Roots) -> Result<RootCertStore, WireError> {
    let (system, files) = match roots {
        Roots::System => (true, &[][..]),
        Roots::Files(files) => (false, files.as_slice()),
        Roots::SystemAnd(files) => (true, files.as_slice()),
    };
    let mut store = RootCertStore::empty();
    if system {
        // A system without roots trusts nobody; each https probe then says so.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for file in files {
        for certificate in certificates(file)? {
            store
                .add(certificate)
                .map_err(|error| pem("a CA certificate", file, &error))?;
        }
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, WireError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| pem("certificates", file, &error))?;
    if found.is_empty() {
        return Err(pem("certificates", file, &"it holds none"));
    }
    Ok(found)
}

fn pem(what: &'static str, path: &Path, why: &dyn std::fmt::Display) -> WireError {
    WireError::Pem {
        what,
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn webpki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, WireError> {
    if roots.is_empty() {
        return Ok(None);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map(Some)
        .map_err(|error| WireError::Tls(error.to_string()))
}

/// webpki's verdict, and a note of what the chain says before it is judged.
#[derive(Debug)]
struct Verifier {
    /// Absent when there is not one root to trust.
    inner: Option<Arc<WebPkiServerVerifier>>,
    schemes: Vec<SignatureScheme>,
}

impl Verifier {
    fn inner(&self) -> Result<&WebPkiServerVerifier, rustls::Error> {
        self.inner
            .as_deref()
            .ok_or_else(|| CertificateError::UnknownIssuer.into())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let facts = chain_facts(end_entity, intermediates);
        mark(|moments| moments.tls = Some(facts));
        self.inner()?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        mark_version("TLSv1_2");
        self.inner()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        mark_version("TLSv1_3");
        self.inner()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

fn mark_version(version: &str) {
    mark(|moments| moments.tls.get_or_insert_default().version = version.to_owned());
}

/// Earliest end of validity in the chain, and the leaf's subject. A certificate that cannot be parsed says nothing.
fn chain_facts(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> TlsFacts {
    let parse = |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
    let leaf = parse(end_entity.as_ref());
    let chain = leaf
        .iter()
        .cloned()
        .chain(intermediates.iter().filter_map(|der| parse(der.as_ref())));
    TlsFacts {
        version: String::new(),
        not_after_unix: chain
            .map(|certificate| certificate.validity().not_after.timestamp())
            .min(),
        subject: leaf
            .map(|leaf| cut(&sanitise_line(&leaf.subject().to_string()), NAME_BYTES_MAX).to_owned())
            .unwrap_or_default(),
    }
}

/// Remembers no session, so that every handshake is a full one, and marks its start: rustls asks for a key exchange hint when
/// it makes the ClientHello, right after TCP connect.
#[derive(Debug)]
struct FullHandshakes;

impl ClientSessionStore for FullHandshakes {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        mark(|moments| moments.tls_start = Some(Instant::now()));
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
