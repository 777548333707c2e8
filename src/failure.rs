//! What can go wrong, as closed sets: class (the metric label `reason`), kind (fine), phase, blame, upgrade outcome.
//! One table maps each kind to its class; `docs/failures.md` is generated from it. No IO, no judgement.

mod headline;

use crate::closed_set;
use serde::{Deserialize, Serialize};

closed_set! {
    /// Coarse class of a failure: the metric label `reason`.
    pub enum Class {
        /// Name resolution.
        Dns => "dns",
        /// TCP connect, refused, reset, unreachable.
        Connect => "connect",
        /// TLS handshake or certificate.
        Tls => "tls",
        /// An HTTP status other than expected.
        HttpStatus => "http_status",
        /// The upgrade was answered with another status than 101.
        UpgradeStatus => "upgrade_status",
        /// The 101 answer breaks RFC 6455 section 4.1.
        UpgradeProtocol => "upgrade_protocol",
        /// The session after a 101 is not what it should be (no welcome, mute, zombie).
        Session => "session",
        /// The peer closed when it should not have.
        Close => "close",
        /// A deadline passed.
        Timeout => "timeout",
        /// HTTP, WebSocket or SSE protocol violation.
        Protocol => "protocol",
        /// Something was larger than its limit.
        TooLarge => "too_large",
        /// Authentication or authorisation.
        Auth => "auth",
        /// An expectation is false.
        Expectation => "expectation",
        /// A latency budget was missed.
        Latency => "latency",
        /// The evidence is canned or constant.
        Fabricated => "fabricated",
        /// Our own fault.
        Internal => "internal",
    }
}

closed_set! {
    /// Who is to blame for a failure.
    pub enum Blame {
        /// The target.
        Target => "target",
        /// Network or edge between us and the target.
        Path => "path",
        /// Ourselves.
        Monitor => "monitor",
    }
}

closed_set! {
    /// Where in the exchange a failure happened.
    pub enum Phase {
        /// Name resolution.
        Dns => "dns",
        /// TCP connect.
        Connect => "connect",
        /// TLS handshake.
        Tls => "tls",
        /// Writing the request.
        Request => "request",
        /// From the request written to the first byte of the answer.
        FirstByte => "first_byte",
        /// Reading the body.
        Body => "body",
        /// The WebSocket opening handshake after the status line.
        Upgrade => "upgrade",
        /// From 101 to the first application frame.
        Welcome => "welcome",
        /// The session after the welcome.
        Session => "session",
        /// Judging.
        Judge => "judge",
        /// Ourselves.
        Monitor => "monitor",
    }
}

closed_set! {
    /// Exactly one per upgrade attempt (observability.md C1), decided in the order resolve, connect, tls, status line, headers.
    pub enum UpgradeOutcome {
        /// What is right for the credential: 101 and valid, or the configured refusal for none.
        Ok => "ok",
        /// HTTP 400.
        Http400 => "http_400",
        /// HTTP 401.
        Http401 => "http_401",
        /// HTTP 403.
        Http403 => "http_403",
        /// HTTP 404.
        Http404 => "http_404",
        /// HTTP 426.
        Http426 => "http_426",
        /// HTTP 429.
        Http429 => "http_429",
        /// HTTP 500.
        Http500 => "http_500",
        /// HTTP 502.
        Http502 => "http_502",
        /// HTTP 503.
        Http503 => "http_503",
        /// HTTP 504.
        Http504 => "http_504",
        /// Any other status, redirects included.
        HttpOther => "http_other",
        /// 101 with wrong accept key, headers, subprotocol or extension.
        BadHandshake => "bad_handshake",
        /// The deadline passed in any phase.
        Timeout => "timeout",
        /// Connection refused or unreachable.
        Refused => "refused",
        /// Reset, or closed without an answer.
        Reset => "reset",
        /// Name resolution failed.
        Dns => "dns",
        /// TLS failed.
        Tls => "tls",
    }
}

impl UpgradeOutcome {
    /// The outcome of an upgrade that was answered with `status` other than 101.
    pub const fn of_status(status: u16) -> Self {
        match status {
            400 => Self::Http400,
            401 => Self::Http401,
            403 => Self::Http403,
            404 => Self::Http404,
            426 => Self::Http426,
            429 => Self::Http429,
            500 => Self::Http500,
            502 => Self::Http502,
            503 => Self::Http503,
            504 => Self::Http504,
            _ => Self::HttpOther,
        }
    }
}

/// Declares [`Kind`] with the class of each kind beside it, so that the table cannot miss one.
macro_rules! kinds {
    ($($(#[$meta:meta])* $variant:ident => $text:literal, $class:ident, $phase:ident;)+) => {
        closed_set! {
            /// Fine kind of a failure; the names of faults.md.
            pub enum Kind { $($(#[$meta])* $variant => $text,)+ }
        }

        impl Kind {
            /// The class it counts as.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)+ }
            }

            /// The phase it usually happens in; a probe that knows better says so in the [`Failure`].
            pub const fn usual_phase(self) -> Phase {
                match self { $(Self::$variant => Phase::$phase,)+ }
            }
        }
    };
}

kinds! {
    /// The name does not exist.
    DnsNxdomain => "dns_nxdomain", Dns, Dns;
    /// SERVFAIL, REFUSED or another server error.
    DnsServerError => "dns_server_error", Dns, Dns;
    /// The name has no address.
    DnsNoAddress => "dns_no_address", Dns, Dns;
    /// No answer within the deadline.
    DnsTimeout => "dns_timeout", Dns, Dns;
    /// The resolved address is on the deny list.
    AddressNotAllowed => "address_not_allowed", Dns, Dns;
    /// Connection refused.
    TcpRefused => "tcp_refused", Connect, Connect;
    /// No answer to SYN within the deadline.
    TcpTimeout => "tcp_timeout", Connect, Connect;
    /// Connection reset.
    TcpReset => "tcp_reset", Connect, Connect;
    /// No route, prohibited.
    TcpUnreachable => "tcp_unreachable", Connect, Connect;
    /// The certificate has expired.
    TlsExpired => "tls_expired", Tls, Tls;
    /// The certificate is not valid yet.
    TlsNotYetValid => "tls_not_yet_valid", Tls, Tls;
    /// The certificate is for another name.
    TlsWrongHost => "tls_wrong_host", Tls, Tls;
    /// Self-signed or an unknown authority.
    TlsUnknownCa => "tls_unknown_ca", Tls, Tls;
    /// The handshake did not end within the deadline.
    TlsTimeout => "tls_timeout", Tls, Tls;
    /// The peer sent an alert.
    TlsAlert => "tls_alert", Tls, Tls;
    /// Any other TLS failure.
    TlsProtocol => "tls_protocol", Tls, Tls;
    /// Another HTTP status than expected.
    HttpStatus => "http_status", HttpStatus, FirstByte;
    /// Closed without an HTTP answer.
    HttpClosed => "http_closed", Connect, FirstByte;
    /// No status line within the deadline.
    HeaderTimeout => "header_timeout", Timeout, FirstByte;
    /// The head is larger than the limit.
    HeaderTooLarge => "header_too_large", TooLarge, FirstByte;
    /// The body did not end within the deadline.
    BodyTimeout => "body_timeout", Timeout, Body;
    /// The body is larger than the limit.
    BodyTooLarge => "body_too_large", TooLarge, Body;
    /// The body was cut.
    BodyCut => "body_cut", Protocol, Body;
    /// The answer is not HTTP.
    HttpProtocol => "http_protocol", Protocol, FirstByte;
    /// The body is not UTF-8.
    BodyNotUtf8 => "body_not_utf8", Protocol, Body;
    /// The body is not JSON.
    BodyNotJson => "body_not_json", Protocol, Body;
    /// JSON nested too deep.
    JsonTooDeep => "json_too_deep", TooLarge, Body;
    /// A redirect that may not be followed.
    RedirectRefused => "redirect_refused", HttpStatus, FirstByte;
    /// The upgrade was answered with another status than 101.
    WsUpgradeRefused => "ws_upgrade_refused", UpgradeStatus, Upgrade;
    /// Closed without an answer to the upgrade.
    UpgradeClosed => "upgrade_closed", Connect, Upgrade;
    /// No answer to the upgrade within the deadline.
    UpgradeTimeout => "upgrade_timeout", Timeout, Upgrade;
    /// `Sec-WebSocket-Accept` is wrong or missing (RFC 6455 section 4.1).
    WsBadAccept => "ws_bad_accept", UpgradeProtocol, Upgrade;
    /// 101 without `Upgrade` or `Connection`.
    WsBadUpgrade => "ws_bad_upgrade", UpgradeProtocol, Upgrade;
    /// A subprotocol that was not offered.
    WsBadSubprotocol => "ws_bad_subprotocol", UpgradeProtocol, Upgrade;
    /// An extension that was not offered.
    WsBadExtension => "ws_bad_extension", UpgradeProtocol, Upgrade;
    /// 101, then no application frame within the deadline.
    WsSilent => "ws_silent", Session, Welcome;
    /// The frame that was waited for did not come within the deadline.
    WsNoAnswer => "ws_no_answer", Timeout, Session;
    /// The peer closed; the close code is in the failure (1005 without a code, 1006 without a Close frame).
    WsClosed => "ws_closed", Close, Session;
    /// An error frame instead of the session.
    WsErrorFrame => "ws_error_frame", Session, Welcome;
    /// Protocol pings are answered, application messages are not.
    WsZombie => "ws_zombie", Session, Session;
    /// No answer to our protocol ping.
    WsHalfOpen => "ws_half_open", Session, Session;
    /// Masked server frame, reserved bits or opcodes, bad fragments.
    WsProtocol => "ws_protocol", Protocol, Session;
    /// A message above the limit.
    WsMessageTooBig => "ws_message_too_big", TooLarge, Session;
    /// More control frames than the limit.
    WsControlFlood => "ws_control_flood", TooLarge, Session;
    /// A text frame that is not UTF-8.
    WsNotUtf8 => "ws_not_utf8", Protocol, Session;
    /// Answers in another order than the questions.
    OrderViolation => "order_violation", Expectation, Session;
    /// The same answer twice.
    Duplicate => "duplicate", Expectation, Session;
    /// An answer is missing in a sequence.
    Gap => "gap", Expectation, Session;
    /// An SSE line above the limit.
    SseLineTooLong => "sse_line_too_long", TooLarge, Body;
    /// An SSE event above the limit.
    SseEventTooLarge => "sse_event_too_large", TooLarge, Body;
    /// No SSE event within the deadline.
    SseSilent => "sse_silent", Timeout, Body;
    /// Not `text/event-stream`.
    SseContentType => "sse_content_type", Protocol, FirstByte;
    /// The login of a credential was refused.
    LoginRefused => "login_refused", Auth, Request;
    /// A valid credential was refused.
    AuthRefused => "auth_refused", Auth, Judge;
    /// A bad credential was let in.
    AuthAccepted => "auth_accepted", Auth, Judge;
    /// An expectation is false.
    Expectation => "expectation", Expectation, Judge;
    /// A latency budget was missed.
    LatencyTarget => "latency_target", Latency, Judge;
    /// Canned or constant evidence.
    Fabricated => "fabricated", Fabricated, Judge;
    /// The scenario's own deadline passed.
    ScenarioDeadline => "scenario_deadline", Timeout, Session;
    /// A credential is missing: no user free, no aged token yet, not provisioned.
    CredentialMissing => "credential_missing", Internal, Monitor;
    /// A budget of ours is used up.
    BudgetExhausted => "budget_exhausted", Internal, Monitor;
    /// Out of file descriptors.
    Fd => "fd", Internal, Monitor;
    /// We were too late ourselves.
    Overload => "overload", Internal, Monitor;
    /// Our clock jumped.
    ClockJump => "clock_jump", Internal, Monitor;
    /// A bug of ours: the run panicked.
    Panic => "panic", Internal, Monitor;
    /// The run was cancelled by shutdown.
    Cancelled => "cancelled", Internal, Monitor;
    /// A step of the configuration could not be carried out (a capture found nothing, a template has no value).
    StepInvalid => "step_invalid", Expectation, Session;
}

/// A failure as it is stored, shown and counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Coarse class.
    pub class: Class,
    /// Fine kind.
    pub kind: Kind,
    /// Where it happened.
    pub phase: Phase,
    /// HTTP status, where one was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// WebSocket close code (RFC 6455 section 7.4), where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_code: Option<u16>,
    /// Who is to blame.
    pub blame: Blame,
    /// One redacted, bounded sentence fragment for people.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`, in its usual phase. Blame is the monitor for the internal class, else the target.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let blame = match kind.class() {
            Class::Internal => Blame::Monitor,
            _ => Blame::Target,
        };
        Self {
            class: kind.class(),
            kind,
            phase: kind.usual_phase(),
            status: None,
            close_code: None,
            blame,
            detail: detail.into(),
        }
    }

    /// The outcome that an upgrade which failed like this counts as (observability.md C1): the status line decides before the
    /// headers, a passed deadline is `timeout` in any phase.
    pub fn upgrade_outcome(&self) -> UpgradeOutcome {
        match self.kind {
            Kind::WsUpgradeRefused => self.status.map_or(UpgradeOutcome::HttpOther, UpgradeOutcome::of_status),
            Kind::DnsTimeout | Kind::TcpTimeout | Kind::TlsTimeout | Kind::UpgradeTimeout => UpgradeOutcome::Timeout,
            Kind::DnsNxdomain | Kind::DnsServerError | Kind::DnsNoAddress | Kind::AddressNotAllowed => {
                UpgradeOutcome::Dns
            }
            Kind::TcpRefused | Kind::TcpUnreachable => UpgradeOutcome::Refused,
            Kind::TcpReset | Kind::UpgradeClosed => UpgradeOutcome::Reset,
            kind if kind.class() == Class::Tls => UpgradeOutcome::Tls,
            // An answer that is no HTTP, a head above the limit, a broken 101.
            _ => UpgradeOutcome::BadHandshake,
        }
    }

    /// The same failure in another phase.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// The same failure with an HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same failure with a close code.
    #[must_use]
    pub fn with_close_code(mut self, code: u16) -> Self {
        self.close_code = Some(code);
        self
    }

    /// The same failure with another blame.
    #[must_use]
    pub fn blamed_on(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}: {}", self.kind, self.phase, self.detail)
    }
}

impl std::error::Error for Failure {}
