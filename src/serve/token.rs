//! The API token and the names that we answer to: what a reload may change about who is let in.

use super::brake::Brake;
use super::problem::Problem;
use crate::catalog::Service;
use crate::record::metrics::Refused;
use crate::secret::Secret;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who is let in, as configured now.
pub(super) struct Token {
    rules: ArcSwap<Rules>,
    pub(super) brake: Brake,
}

struct Rules {
    secret: Option<Secret>,
    hosts: BTreeSet<String>,
}

impl Rules {
    fn of(service: &Service) -> Self {
        let own = service.external_url.as_ref().and_then(|url| url.host_str());
        let names = service.hosts.iter().map(String::as_str).chain(own);
        Self {
            secret: service.api_token.clone(),
            hosts: names.map(str::to_ascii_lowercase).collect(),
        }
    }
}

impl Token {
    pub(super) fn new(service: &Service) -> Self {
        Self {
            rules: ArcSwap::from_pointee(Rules::of(service)),
            brake: Brake::default(),
        }
    }

    /// From now on these rules hold.
    pub(super) fn reload(&self, service: &Service) {
        self.rules.store(Arc::new(Rules::of(service)));
    }

    /// Lets the caller through, or says why not.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let rules = self.rules.load();
        let Some(secret) = &rules.secret else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "no API token is configured (`service.api_token`), so nothing can be changed from here",
            )
            .refusing(Refused::Auth));
        };
        if self.brake.holds() {
            return Err(
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute")
                    .refusing(Refused::Brake),
            );
        }
        match bearer(headers) {
            Some(given) if same(given, secret.expose()) => Ok(()),
            Some(_) => {
                self.brake.wrong();
                Err(Problem::new(StatusCode::UNAUTHORIZED, "the API token is wrong").refusing(Refused::Auth))
            }
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "send the API token as `Authorization: Bearer …`",
            )
            .refusing(Refused::Auth)),
        }
    }

    /// Whether the caller has shown the token; guesses count here too.
    pub(super) fn shown(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some() && self.check(headers).is_ok()
    }

    /// Whether a request means us. A page of somebody else, whose name was made to lead here, sends that name (DNS rebinding);
    /// an address cannot be made to lead elsewhere.
    pub(super) fn means_us(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST) else {
            // Only HTTP/1.0 may leave it out, and no browser speaks that.
            return true;
        };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let Some(authority) = authority else {
            return false;
        };
        let name = authority.host().trim_matches(['[', ']']).trim_end_matches('.');
        let name = name.to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok() || name == "localhost" || self.rules.load().hosts.contains(&name)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

/// Digests are compared, so that neither content nor length shows in the time taken.
fn same(given: &str, expected: &str) -> bool {
    let digests = [given, expected].map(|text| digest(&SHA256, text.as_bytes()));
    digests[0].as_ref().ct_eq(digests[1].as_ref()).into()
}
