//! The client's side of RFC 6455 section 4.1: the key, the headers that ask, and whether a 101 answers them. Pure but for
//! the random key. Must not: talk to anybody.

use crate::failure::{Failure, Kind, Phase};
use crate::limits::NAME_BYTES_MAX;
use crate::secret::cut;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A handshake that was asked for.
pub(super) struct Asked {
    key: String,
    /// Subprotocols offered, a credential among them included.
    offered: Vec<String>,
}

impl Asked {
    /// A handshake with a random key.
    pub(super) fn new(offered: Vec<String>) -> Self {
        Self {
            key: generate_key(),
            offered,
        }
    }

    /// The headers that ask for it. No extension is offered.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let pair = |name: &HeaderName, value: &str| (name.to_string(), value.to_owned());
        let mut headers = vec![
            pair(&CONNECTION, "Upgrade"),
            pair(&UPGRADE, "websocket"),
            pair(&http::header::SEC_WEBSOCKET_VERSION, "13"),
            pair(&http::header::SEC_WEBSOCKET_KEY, &self.key),
        ];
        if !self.offered.is_empty() {
            headers.push(pair(&SEC_WEBSOCKET_PROTOCOL, &self.offered.join(", ")));
        }
        headers
    }

    /// Checks a 101 and returns the chosen subprotocol, empty if none. Anything but a 101 is `ws_upgrade_refused`.
    pub(super) fn verify(&self, status: StatusCode, version: Version, head: &HeaderMap) -> Result<String, Failure> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let detail = format!("the upgrade was answered with HTTP {}", status.as_u16());
            return Err(Failure::new(Kind::WsUpgradeRefused, detail).with_status(status.as_u16()));
        }
        self.verify_switch(version, head)
            .map_err(|failure| failure.in_phase(Phase::Upgrade).with_status(status.as_u16()))
    }

    fn verify_switch(&self, version: Version, head: &HeaderMap) -> Result<String, Failure> {
        if version < Version::HTTP_11 {
            return Err(Failure::new(Kind::WsBadUpgrade, format!("the 101 came as {version:?}")));
        }
        if !tokens(head, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
            return Err(Failure::new(
                Kind::WsBadUpgrade,
                format!("the 101 has Upgrade: {}", quoted(head, &UPGRADE)),
            ));
        }
        if !tokens(head, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return Err(Failure::new(
                Kind::WsBadUpgrade,
                format!("the 101 has Connection: {}", quoted(head, &CONNECTION)),
            ));
        }
        let wanted = derive_accept_key(self.key.as_bytes());
        let given: Vec<&[u8]> = head
            .get_all(SEC_WEBSOCKET_ACCEPT)
            .iter()
            .map(|value| value.as_bytes().trim_ascii())
            .collect();
        if given != [wanted.as_bytes()] {
            let given = quoted(head, &SEC_WEBSOCKET_ACCEPT);
            return Err(Failure::new(
                Kind::WsBadAccept,
                format!("Sec-WebSocket-Accept is {given}, not the digest of our key"),
            ));
        }
        if head.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            let given = quoted(head, &SEC_WEBSOCKET_EXTENSIONS);
            return Err(Failure::new(
                Kind::WsBadExtension,
                format!("the server chose {given}, none was offered"),
            ));
        }
        self.subprotocol(head)
    }

    fn subprotocol(&self, head: &HeaderMap) -> Result<String, Failure> {
        let chosen: Vec<&str> = head
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        match chosen.as_slice() {
            [] if !head.contains_key(SEC_WEBSOCKET_PROTOCOL) => Ok(String::new()),
            [one] if self.offered.iter().any(|offered| offered == one.trim()) => Ok(one.trim().to_owned()),
            _ => {
                let given = quoted(head, &SEC_WEBSOCKET_PROTOCOL);
                Err(Failure::new(
                    Kind::WsBadSubprotocol,
                    format!("the server chose the subprotocol {given}, which was not offered"),
                ))
            }
        }
    }
}

/// The comma-separated tokens of a header that may occur several times (RFC 9110 section 5.6.1).
fn tokens<'a>(head: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = head.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

fn quoted(head: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = head
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    if values.is_empty() {
        "missing".to_owned()
    } else {
        format!("`{}`", cut(&values.join("`, `"), NAME_BYTES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asked: &Asked, changes: &[(&str, Option<&str>)]) -> HeaderMap {
        let mut head = HeaderMap::new();
        let accept = derive_accept_key(asked.key.as_bytes());
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-accept", &accept),
        ] {
            head.insert(HeaderName::from_static(name), value.parse().expect("test header"));
        }
        for (name, value) in changes {
            let name = HeaderName::try_from(*name).expect("test header");
            match value {
                Some(value) => drop(head.insert(name, value.parse().expect("test header"))),
                None => drop(head.remove(name)),
            }
        }
        head
    }

    fn kind(changes: &[(&str, Option<&str>)]) -> Result<String, Kind> {
        let asked = Asked::new(vec!["chat".to_owned(), "jwt-auth".to_owned()]);
        let head = answer(&asked, changes);
        asked
            .verify(StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11, &head)
            .map_err(|failure| failure.kind)
    }

    #[test]
    fn a_101_must_answer_what_was_asked() {
        assert_eq!(kind(&[]), Ok(String::new()));
        assert_eq!(
            kind(&[("sec-websocket-protocol", Some("jwt-auth"))]),
            Ok("jwt-auth".to_owned())
        );
        assert_eq!(
            kind(&[("sec-websocket-protocol", Some("other"))]),
            Err(Kind::WsBadSubprotocol)
        );
        assert_eq!(
            kind(&[("sec-websocket-protocol", Some(""))]),
            Err(Kind::WsBadSubprotocol)
        );
        assert_eq!(
            kind(&[("sec-websocket-extensions", Some("permessage-deflate"))]),
            Err(Kind::WsBadExtension)
        );
        assert_eq!(kind(&[("sec-websocket-accept", Some("AAAA"))]), Err(Kind::WsBadAccept));
        assert_eq!(kind(&[("sec-websocket-accept", None)]), Err(Kind::WsBadAccept));
        assert_eq!(kind(&[("upgrade", None)]), Err(Kind::WsBadUpgrade));
        assert_eq!(kind(&[("connection", Some("keep-alive"))]), Err(Kind::WsBadUpgrade));
    }

    #[test]
    fn other_answers_are_refusals() {
        let asked = Asked::new(Vec::new());
        let failure = asked
            .verify(StatusCode::OK, Version::HTTP_11, &HeaderMap::new())
            .expect_err("no 101");
        assert_eq!((failure.kind, failure.status), (Kind::WsUpgradeRefused, Some(200)));
        let head = answer(&asked, &[]);
        let failure = asked
            .verify(StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_10, &head)
            .expect_err("HTTP/1.0");
        assert_eq!(failure.kind, Kind::WsBadUpgrade);
    }
}
