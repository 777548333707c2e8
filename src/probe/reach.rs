//! Every address that a host has, tried on its own: TCP, and TLS where the URL asks for it. Must not: send a request.

use super::classify::{Stage, classify, timed_out};
use super::client::Client;
use super::dial::Dialled;
use super::timing::{Progress, millis};
use crate::failure::Failure;
use crate::limits::{ADDRESSES_TRIED_MAX, CONNECT_WITHIN};
use crate::transcript::AddressFacts;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

impl Client {
    /// Connects once to each address of the host of `url`, all at once and at most [`ADDRESSES_TRIED_MAX`], within `within` for
    /// everything. Nothing through a proxy, which resolves the name itself, and nothing for a name that has no address: the
    /// request beside it says why.
    pub(super) async fn each_address(&self, url: &str, within: Duration) -> Vec<AddressFacts> {
        let Some(url) = Url::parse(url).ok().filter(|_| self.wire.proxy.is_none()) else {
            return Vec::new();
        };
        let deadline = Instant::now() + within.min(CONNECT_WITHIN);
        let found = timeout_at(deadline, self.wire.addresses(&url)).await;
        let addresses = found.ok().and_then(Result::ok).unwrap_or_default();
        let tried = addresses.into_iter().take(ADDRESSES_TRIED_MAX);
        join_all(tried.map(|address| self.reach(&url, address, deadline))).await
    }

    async fn reach(&self, url: &Url, address: SocketAddr, deadline: Instant) -> AddressFacts {
        let mut facts = AddressFacts {
            address: address.to_string(),
            ..AddressFacts::default()
        };
        let started = Instant::now();
        let over = |progress| timed_out(Stage::Http(progress), millis(started, deadline));
        let tcp = match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return self.failed(facts, classify(&error, Stage::Http(Progress::Connecting))),
            Err(_) => return self.failed(facts, over(Progress::Connecting)),
        };
        let connected = Instant::now();
        facts.connect_ms = Some(millis(started, connected));
        match timeout_at(deadline, self.wire.secure(url, tcp)).await {
            Ok(Ok(Dialled::Plain(_))) => {}
            Ok(Ok(Dialled::Tls(_))) => facts.tls_ms = Some(millis(connected, Instant::now())),
            Ok(Err(error)) => return self.failed(facts, classify(&*error, Stage::Http(Progress::Handshaking))),
            Err(_) => return self.failed(facts, over(Progress::Handshaking)),
        }
        facts
    }

    fn failed(&self, facts: AddressFacts, failure: Failure) -> AddressFacts {
        AddressFacts {
            failure: Some(self.told(failure)),
            ..facts
        }
    }
}
