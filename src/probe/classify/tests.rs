//! The kinds that loopback cannot produce; the others have a server each in `tests/probe`.

use super::*;
use crate::failure::Blame;
use rustls::pki_types::{ServerName, UnixTime};
use std::time::Duration;

const CONNECTING: Stage = Stage::Http(Progress::Connecting);

/// An error inside an error inside an `io::Error`, the way libraries wrap them.
#[derive(Debug, thiserror::Error)]
#[error("client error (Connect)")]
struct Wrapped(#[source] io::Error);

fn check(error: io::Error, stage: Stage, kind: Kind, phase: Phase) {
    let wrapped = Wrapped(io::Error::other(Wrapped(error)));
    let failure = classify(&wrapped, stage);
    assert_eq!((failure.kind, failure.phase), (kind, phase), "{failure}");
}

#[test]
fn error_numbers() {
    for errno in UNREACHABLE_ERRNO {
        check(
            io::Error::from_raw_os_error(*errno),
            CONNECTING,
            Kind::TcpUnreachable,
            Phase::Connect,
        );
    }
    for errno in LOCAL_ERRNO {
        let failure = classify(&io::Error::from_raw_os_error(*errno), CONNECTING);
        assert_eq!(
            (failure.kind, failure.phase, failure.blame),
            (Kind::Fd, Phase::Monitor, Blame::Monitor)
        );
    }
    check(
        io::Error::from_raw_os_error(110),
        CONNECTING,
        Kind::TcpTimeout,
        Phase::Connect,
    );
    check(
        io::Error::from_raw_os_error(111),
        CONNECTING,
        Kind::TcpRefused,
        Phase::Connect,
    );
    check(
        io::Error::from_raw_os_error(104),
        Stage::Body,
        Kind::TcpReset,
        Phase::Body,
    );
    check(
        io::Error::from_raw_os_error(32),
        Stage::Upgrade(Progress::Waiting),
        Kind::TcpReset,
        Phase::Upgrade,
    );
}

#[test]
fn our_own_failures_come_through() {
    let inner = Failure::new(Kind::DnsNxdomain, "x");
    check(io::Error::other(inner), CONNECTING, Kind::DnsNxdomain, Phase::Dns);
}

#[test]
fn tls_errors() {
    let certificate = |error: CertificateError| rustls::Error::InvalidCertificate(error);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1000));
    let later = UnixTime::since_unix_epoch(Duration::from_secs(1600));
    let name = ServerName::try_from("a.example").expect("a name");
    for (error, kind, says) in [
        (
            certificate(CertificateError::ExpiredContext {
                time: later,
                not_after: now,
            }),
            Kind::TlsExpired,
            "expired 600 s ago",
        ),
        (
            certificate(CertificateError::NotValidYetContext {
                time: now,
                not_before: later,
            }),
            Kind::TlsNotYetValid,
            "valid in 600 s; is a clock wrong?",
        ),
        (
            certificate(CertificateError::NotValidForNameContext {
                expected: name,
                presented: vec!["b".to_owned(); 9],
            }),
            Kind::TlsWrongHost,
            "not for a.example but for b, b, b, b, b",
        ),
        (
            certificate(CertificateError::UnknownIssuer),
            Kind::TlsUnknownCa,
            "UnknownIssuer",
        ),
        (certificate(CertificateError::Revoked), Kind::TlsProtocol, "Revoked"),
        (
            rustls::Error::AlertReceived(AlertDescription::BadCertificate),
            Kind::TlsAlert,
            "bad_certificate",
        ),
    ] {
        let failure = classify(
            &io::Error::new(io::ErrorKind::InvalidData, error),
            Stage::Http(Progress::Handshaking),
        );
        assert_eq!((failure.kind, failure.phase), (kind, Phase::Tls));
        assert!(failure.detail.ends_with(says), "{}", failure.detail);
    }
}

#[test]
fn every_stage_has_its_timeout() {
    for (stage, kind, phase) in [
        (Stage::Http(Progress::Resolving), Kind::DnsTimeout, Phase::Dns),
        (Stage::Upgrade(Progress::Connecting), Kind::TcpTimeout, Phase::Connect),
        (Stage::Http(Progress::Handshaking), Kind::TlsTimeout, Phase::Tls),
        (Stage::Http(Progress::Waiting), Kind::HeaderTimeout, Phase::FirstByte),
        (Stage::Upgrade(Progress::Waiting), Kind::UpgradeTimeout, Phase::Upgrade),
        (Stage::Body, Kind::BodyTimeout, Phase::Body),
    ] {
        let failure = timed_out(stage, 100.0);
        assert_eq!((failure.kind, failure.phase), (kind, phase));
    }
}
