//! From an error chain to a [`Failure`]: one place that knows what the libraries call things. Pure. Must not: judge who is
//! to blame beyond ourselves, or put a URL into a detail (the libraries' texts may hold them; only the root cause is used).

use super::timing::Progress;
use crate::failure::{Blame, Failure, Kind, Phase};
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::io;
use tokio_tungstenite::tungstenite;

/// Names of a certificate that are quoted: they are the target's text.
const PRESENTED_NAMES_MAX: usize = 5;
/// Linux error numbers that mean that our side is out of something: ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM.
const LOCAL_ERRNO: &[i32] = &[23, 24, 99, 105, 12];
/// Linux error numbers of a destination that cannot be reached: EPERM, EACCES, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH.
const UNREACHABLE_ERRNO: &[i32] = &[1, 13, 100, 101, 112, 113];

/// Which part of which exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until the connection is ready, or until the head of an HTTP answer.
    Http(Progress),
    /// The same for an upgrade.
    Upgrade(Progress),
    /// Reading a body.
    Body,
}

impl Stage {
    /// Where a failure at this stage is billed.
    fn phase(self) -> Phase {
        match self {
            Self::Http(Progress::Resolving) | Self::Upgrade(Progress::Resolving) => Phase::Dns,
            Self::Http(Progress::Connecting) | Self::Upgrade(Progress::Connecting) => Phase::Connect,
            Self::Http(Progress::Handshaking) | Self::Upgrade(Progress::Handshaking) => Phase::Tls,
            Self::Http(Progress::Waiting) => Phase::FirstByte,
            Self::Upgrade(Progress::Waiting) => Phase::Upgrade,
            Self::Body => Phase::Body,
        }
    }

    /// What a passed deadline is called at this stage.
    fn timeout(self) -> Kind {
        match self {
            Self::Http(Progress::Waiting) => Kind::HeaderTimeout,
            Self::Upgrade(Progress::Waiting) => Kind::UpgradeTimeout,
            Self::Http(progress) | Self::Upgrade(progress) => match progress {
                Progress::Resolving => Kind::DnsTimeout,
                Progress::Handshaking => Kind::TlsTimeout,
                Progress::Connecting | Progress::Waiting => Kind::TcpTimeout,
            },
            Self::Body => Kind::BodyTimeout,
        }
    }

    /// What an end of the connection is called at this stage.
    fn closed(self) -> Kind {
        match self {
            Self::Body => Kind::BodyCut,
            Self::Upgrade(Progress::Waiting) => Kind::UpgradeClosed,
            Self::Http(Progress::Handshaking) | Self::Upgrade(Progress::Handshaking) => Kind::TlsProtocol,
            Self::Http(_) | Self::Upgrade(_) => Kind::HttpClosed,
        }
    }
}

/// The failure for a deadline that passed at `stage`.
pub(super) fn timed_out(stage: Stage, within_ms: f64) -> Failure {
    let what = match stage {
        Stage::Http(Progress::Resolving) | Stage::Upgrade(Progress::Resolving) => "no answer from the name server",
        Stage::Http(Progress::Connecting) | Stage::Upgrade(Progress::Connecting) => {
            "no answer to the connection request"
        }
        Stage::Http(Progress::Handshaking) | Stage::Upgrade(Progress::Handshaking) => "the tls handshake did not end",
        Stage::Http(Progress::Waiting) => "no complete head of an answer",
        Stage::Upgrade(Progress::Waiting) => "no complete answer to the upgrade",
        Stage::Body => "the body did not end",
    };
    failure(stage.timeout(), stage, format!("{what} within {within_ms:.0} ms"))
}

/// The failure that `error` stands for at `stage`.
pub(super) fn classify(error: &(dyn Error + 'static), stage: Stage) -> Failure {
    let mut chain = Vec::new();
    collect(error, &mut chain);
    let first = |pick: &dyn Fn(&(dyn Error + 'static)) -> Option<Failure>| chain.iter().find_map(|cause| pick(*cause));
    let root = chain.last().map(ToString::to_string).unwrap_or_default();
    let named = first(&|cause| cause.downcast_ref::<Failure>().cloned())
        .or_else(|| first(&|cause| cause.downcast_ref::<rustls::Error>().map(|error| tls(error, stage))))
        .or_else(|| {
            first(&|cause| {
                cause
                    .downcast_ref::<hyper::Error>()
                    .and_then(|error| http_head(error, stage))
            })
        })
        .or_else(|| first(&|cause| cause.downcast_ref::<io::Error>().and_then(|error| of_io(error, stage))))
        .or_else(|| {
            first(&|cause| {
                cause
                    .downcast_ref::<hyper::Error>()
                    .and_then(|error| http_end(error, stage))
            })
        });
    // The library keeps the type of this error to itself. A proxy is part of the path, not of the target.
    let in_tunnel = chain.iter().any(|cause| cause.to_string().starts_with("tunnel error"));
    let failure = named.unwrap_or_else(|| failure(unnamed(&chain, stage, in_tunnel), stage, root));
    if in_tunnel {
        failure.blamed_on(Blame::Path)
    } else {
        failure
    }
}

/// The kind of an error that only its text tells apart.
fn unnamed(chain: &[&(dyn Error + 'static)], stage: Stage, in_tunnel: bool) -> Kind {
    let timeout = chain
        .iter()
        .any(|cause| cause.is::<tower::timeout::error::Elapsed>() || cause.to_string().contains("timed out"));
    match (timeout, in_tunnel) {
        (true, _) => stage.timeout(),
        (false, true) => Kind::TcpUnreachable,
        (false, false) => Kind::HttpProtocol,
    }
}

/// Every cause, outermost first. `io::Error::source` skips the error it wraps, so that one is visited by hand.
fn collect<'a>(error: &'a (dyn Error + 'static), chain: &mut Vec<&'a (dyn Error + 'static)>) {
    const CAUSES_MAX: usize = 32;
    if chain.len() >= CAUSES_MAX {
        return;
    }
    chain.push(error);
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        collect(inner, chain);
    } else if let Some(inner) = error.source() {
        collect(inner, chain);
    }
}

/// Our own lack of something, if `error` says so.
pub(super) fn local_resource(error: &io::Error) -> Option<Kind> {
    error
        .raw_os_error()
        .filter(|errno| LOCAL_ERRNO.contains(errno))
        .map(|_| Kind::Fd)
}

fn of_io(error: &io::Error, stage: Stage) -> Option<Failure> {
    let kind = match error.kind() {
        _ if local_resource(error).is_some() => Kind::Fd,
        _ if error
            .raw_os_error()
            .is_some_and(|errno| UNREACHABLE_ERRNO.contains(&errno)) =>
        {
            Kind::TcpUnreachable
        }
        io::ErrorKind::ConnectionRefused => Kind::TcpRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => Kind::TcpReset,
        io::ErrorKind::TimedOut => stage.timeout(),
        io::ErrorKind::UnexpectedEof => stage.closed(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Kind::HttpProtocol,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Kind::TcpUnreachable,
        // hyper-util says so when there was no address left to try.
        io::ErrorKind::NotConnected => Kind::TcpUnreachable,
        _ => return None,
    };
    Some(match kind {
        Kind::Fd => Failure::new(kind, error.to_string()),
        _ => failure(kind, stage, error.to_string()),
    })
}

/// What hyper says of a head that it could not read.
fn http_head(error: &hyper::Error, stage: Stage) -> Option<Failure> {
    if error.is_parse_too_large() {
        return Some(failure(
            Kind::HeaderTooLarge,
            stage,
            "the head of the answer is larger than the limit",
        ));
    }
    error
        .is_parse()
        .then(|| failure(Kind::HttpProtocol, stage, error.to_string()))
}

/// What hyper says of a connection that ended, when no IO error says more.
fn http_end(error: &hyper::Error, stage: Stage) -> Option<Failure> {
    if error.is_timeout() {
        return Some(failure(stage.timeout(), stage, error.to_string()));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        let what = match stage {
            Stage::Body => "the connection was closed before the body ended",
            Stage::Http(_) | Stage::Upgrade(_) => "the connection was closed without an answer",
        };
        return Some(failure(stage.closed(), stage, what));
    }
    None
}

fn tls(error: &rustls::Error, stage: Stage) -> Failure {
    let kind = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Kind::TlsExpired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Kind::TlsNotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Kind::TlsWrongHost,
            // A leaf that is its own CA is how most self-signed certificates fail; webpki names the misuse, not the issuer.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Kind::TlsUnknownCa,
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Kind::TlsUnknownCa,
            _ => Kind::TlsProtocol,
        },
        rustls::Error::AlertReceived(_) => Kind::TlsAlert,
        _ => Kind::TlsProtocol,
    };
    let stage = match stage {
        // TLS 1.3 lets a server refuse our certificate after we believe the handshake to be over.
        Stage::Body => stage,
        Stage::Http(_) => Stage::Http(Progress::Handshaking),
        Stage::Upgrade(_) => Stage::Upgrade(Progress::Handshaking),
    };
    failure(kind, stage, tls_detail(error))
}

fn tls_detail(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => format!("the peer sent the alert {}", alert_name(*alert)),
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            format!(
                "the certificate expired {} s ago",
                time.as_secs().saturating_sub(not_after.as_secs())
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            let seconds = not_before.as_secs().saturating_sub(time.as_secs());
            format!("the certificate becomes valid in {seconds} s; is a clock wrong?")
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let names: Vec<_> = presented.iter().take(PRESENTED_NAMES_MAX).map(String::as_str).collect();
            format!(
                "the certificate is not for {} but for {}",
                expected.to_str(),
                names.join(", ")
            )
        }
        other => other.to_string(),
    }
}

fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn failure(kind: Kind, stage: Stage, detail: impl Into<String>) -> Failure {
    let phase = match kind {
        // A name's failure may come out of any stage's chain; a head belongs to the answer whatever was marked.
        Kind::HeaderTooLarge | Kind::HttpClosed => match stage {
            Stage::Upgrade(_) => Phase::Upgrade,
            Stage::Http(_) | Stage::Body => Phase::FirstByte,
        },
        _ => stage.phase(),
    };
    Failure::new(kind, detail).in_phase(phase)
}

/// What tungstenite says when a session ends other than by a Close frame. `None`: it ended in order.
pub(super) fn session(error: &tungstenite::Error) -> Option<Failure> {
    use tungstenite::Error as Ws;
    use tungstenite::error::{CapacityError, ProtocolError};
    const NO_CLOSE: u16 = 1006;
    Some(match error {
        Ws::ConnectionClosed | Ws::AlreadyClosed => return None,
        Ws::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::new(Kind::WsClosed, "the connection ended without a Close frame").with_close_code(NO_CLOSE)
        }
        Ws::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Failure::new(Kind::WsClosed, "the connection ended without a Close frame").with_close_code(NO_CLOSE)
        }
        Ws::Io(io) => {
            let kind = local_resource(io).unwrap_or(Kind::TcpReset);
            Failure::new(kind, io.to_string())
                .in_phase(Phase::Session)
                .with_close_code(NO_CLOSE)
        }
        Ws::Capacity(CapacityError::MessageTooLong { size, max_size }) => Failure::new(
            Kind::WsMessageTooBig,
            format!("a message of {size} bytes is above the limit of {max_size}"),
        ),
        Ws::Utf8(_) => Failure::new(Kind::WsNotUtf8, "a text message is not UTF-8"),
        Ws::WriteBufferFull(_) => Failure::new(Kind::WsNoAnswer, "the peer does not read what we send"),
        other => Failure::new(Kind::WsProtocol, protocol_detail(other)),
    })
}

fn protocol_detail(error: &tungstenite::Error) -> String {
    use tungstenite::error::ProtocolError as P;
    match error {
        tungstenite::Error::Protocol(P::MaskedFrameFromServer) => "the server masked a frame".to_owned(),
        tungstenite::Error::Protocol(P::NonZeroReservedBits) => "a frame has reserved bits set".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
