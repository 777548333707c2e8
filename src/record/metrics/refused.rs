//! Who was not let in at the listener, by cause: a daemon that turns its scraper away should be able to say why.

use super::{Maker, MetricsError};
use crate::closed_set;
use prometheus::IntCounterVec;

closed_set! {
    /// Why the listener refused a connection or a request.
    pub enum Refused {
        /// The connection was closed at once: every place was taken by somebody who was being answered.
        Full => "full",
        /// A silent connection gave up its place to somebody else.
        Silent => "silent",
        /// Only the places for `/metrics` and `/-/` were left, and it asked for something else.
        Reserve => "reserve",
        /// The connection could not be accepted: out of descriptors, most likely.
        Accept => "accept",
        /// The TLS handshake failed, or was not finished in time.
        Tls => "tls",
        /// It asked for a name that is not ours.
        Host => "host",
        /// The address is too long.
        Uri => "uri",
        /// No token, user or password, or wrong ones.
        Auth => "auth",
        /// Too many wrong ones before: it has to wait.
        Brake => "brake",
    }
}

/// The counter.
pub(super) struct Refusals(IntCounterVec);

impl Refusals {
    pub(super) fn new(make: &Maker) -> Result<Self, MetricsError> {
        let counters = make.counters(
            "serve_refused_total",
            "Connections and requests that the listener refused.",
            &["cause"],
        )?;
        for cause in Refused::ALL {
            counters.with_label_values(&[cause.as_str()]);
        }
        Ok(Self(counters))
    }

    pub(super) fn count(&self, cause: Refused) {
        self.0.with_label_values(&[cause.as_str()]).inc();
    }
}
