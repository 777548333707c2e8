//! The file itself: its shape, and what it names.

use super::WebError;
use super::users::Users;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a key file's mode may not have: writable or executable by the group, anything for others.
const LOOSE_MODE: u32 = 0o037;
/// Every version that we speak, newest first.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tls_server_config: Option<Tls>,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    client_auth_type: ClientAuth,
    #[serde(default)]
    min_version: MinVersion,
}

/// Whether clients show a certificate; the two of the format's five that mean what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum MinVersion {
    #[default]
    TLS12,
    TLS13,
}

/// A file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) path: PathBuf,
    /// Inode, size and time of change; none while it is not there.
    seen: Option<(u64, u64, i64, i64)>,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let seen = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            seen: seen.map(|seen| (seen.ino(), seen.size(), seen.mtime(), seen.mtime_nsec())),
        }
    }
}

/// What was read.
pub(super) struct Read {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) users: Users,
    pub(super) stamps: Vec<Stamp>,
}

/// Reads the file at `path` and what it names, relative to its folder.
pub(super) fn read(path: &Path) -> Result<Read, WebError> {
    let wrong = |what: String| WebError {
        path: path.to_owned(),
        what,
    };
    // Before reading, so that a change in between is noticed at the next look.
    let mut stamps = vec![Stamp::of(path)];
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let file: File = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let tls = match file.tls_server_config {
        None => None,
        Some(mut tls) => {
            let named = [&mut tls.cert_file, &mut tls.key_file].into_iter();
            for name in named.chain(tls.client_ca_file.as_mut()) {
                *name = folder.join(&*name);
                stamps.push(Stamp::of(name));
            }
            Some(server(&tls).map_err(wrong)?)
        }
    };
    Ok(Read {
        tls,
        users: Users::new(file.basic_auth_users).map_err(wrong)?,
        stamps,
    })
}

fn server(tls: &Tls) -> Result<Arc<ServerConfig>, String> {
    let chain = certificates(&tls.cert_file)?;
    let key = key(&tls.key_file)?;
    let versions = match tls.min_version {
        MinVersion::TLS13 => &VERSIONS[..1],
        MinVersion::TLS12 => &VERSIONS[..],
    };
    let builder = ServerConfig::builder_with_protocol_versions(versions);
    let builder = match (tls.client_auth_type, &tls.client_ca_file) {
        (ClientAuth::NoClientCert, None) => builder.with_no_client_auth(),
        (ClientAuth::RequireAndVerifyClientCert, Some(path)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
        _ => {
            return Err(
                "client_ca_file and client_auth_type: RequireAndVerifyClientCert belong together: write both or neither"
                    .to_owned(),
            );
        }
    };
    let config = builder.with_single_cert(chain, key);
    config.map(Arc::new).map_err(|error| {
        let (cert, key) = (tls.cert_file.display(), tls.key_file.display());
        format!("{cert} and {key} do not go together: {error}")
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: String| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let wrong = |error: String| format!("{}: {error}", path.display());
    let seen = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if seen.mode() & LOOSE_MODE != 0 {
        let mode = seen.mode() & 0o777;
        return Err(wrong(format!(
            "mode {mode:04o}: others can read or change the key; chmod 0600, or 0640 at most"
        )));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(error.to_string()))
}
