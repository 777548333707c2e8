//! Whose connection is being served: set by the accept loop around each connection, so that a brake on guessing can tell
//! one caller from another.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

tokio::task_local! {
    static PEER: IpAddr;
}

/// Serves a connection of `peer`.
pub(super) async fn serving<T>(peer: IpAddr, connection: impl Future<Output = T>) -> T {
    PEER.scope(peer.to_canonical(), connection).await
}

/// Whose request this is; the unspecified address outside a connection.
pub(super) fn current() -> IpAddr {
    PEER.try_with(|peer| *peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
