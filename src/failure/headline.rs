//! Failures in one line for people.

use super::{Class, Failure, Kind};

impl Failure {
    /// What is wrong, as a headline.
    pub fn headline(&self) -> String {
        let status = self.status.map_or_else(String::new, |status| format!(" HTTP {status}"));
        match (self.class, self.kind) {
            (Class::HttpStatus, _) if self.status.is_none() => "HTTP requests are answered with errors".to_owned(),
            (Class::UpgradeStatus, _) if self.status.is_none() => "WebSocket upgrades are refused".to_owned(),
            (Class::UpgradeStatus, _) => format!("WebSocket upgrade answered with{status}"),
            (Class::HttpStatus, _) => format!("HTTP request answered with{status}"),
            (Class::UpgradeProtocol, kind) => format!("WebSocket opening handshake is wrong ({kind})"),
            (Class::Dns, kind) => format!("Name resolution fails ({kind})"),
            (Class::Connect, kind) => format!("Connection fails ({kind})"),
            (Class::Tls, kind) => format!("TLS fails ({kind})"),
            (Class::Session, kind) => format!("WebSocket session is broken ({kind})"),
            (Class::Close, _) => {
                let code = self.close_code;
                let code = code.map_or_else(String::new, |code| format!(" with code {code}"));
                format!("Peer closes the WebSocket{code}")
            }
            (Class::Timeout, kind) => format!("No answer in time ({kind})"),
            (Class::Protocol, kind) => format!("Protocol violation ({kind})"),
            (Class::TooLarge, kind) => format!("Answer too large ({kind})"),
            (Class::Auth, Kind::AuthAccepted) => "A credential that must be refused is let in".to_owned(),
            (Class::Auth, Kind::LoginRefused) => "Login is refused".to_owned(),
            (Class::Auth, _) => "Authentication does not behave as it should".to_owned(),
            (Class::Expectation, _) => "Answers differ from what is expected".to_owned(),
            (Class::Latency, _) => "Latency is above its target".to_owned(),
            (Class::Fabricated, _) => "Evidence is canned or constant".to_owned(),
            (Class::Internal, kind) => format!("Fault of the monitor ({kind})"),
        }
    }
}
