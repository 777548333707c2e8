//! The addresses of a name that stands for several Alertmanagers: resolved anew every half minute, each its own courier.

use super::Shared;
use super::courier::Courier;
use super::door::Doors;
use crate::limits::{ADDRESSES_MAX, RESOLVE_AGAIN, RESOLVE_WITHIN};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// Keeps a courier for each address, until stopped. While the name does not resolve the known addresses stay.
pub(super) async fn keep(doors: Doors, shared: Shared) {
    let stop = shared.stop.clone();
    stop.run_until_cancelled(rounds(doors, shared)).await;
}

async fn rounds(doors: Doors, shared: Shared) {
    let mut couriers: BTreeMap<SocketAddr, CancellationToken> = BTreeMap::new();
    loop {
        let found = resolve(&doors).await;
        if !found.is_empty() {
            couriers.retain(|address, courier| {
                let stays = found.contains(address);
                if !stays {
                    courier.cancel();
                }
                stays
            });
            for address in found {
                couriers
                    .entry(address)
                    .or_insert_with(|| start(&doors, address, &shared));
            }
        }
        let pause = match couriers.is_empty() {
            true => shared.resend.min(RESOLVE_AGAIN),
            false => RESOLVE_AGAIN,
        };
        tokio::time::sleep(pause).await;
    }
}

fn start(doors: &Doors, address: SocketAddr, shared: &Shared) -> CancellationToken {
    let stop = shared.stop.child_token();
    match doors.at(address) {
        Ok(door) => {
            tracing::info!(alertmanager = doors.name(), %address, "push.address");
            let own = Shared {
                stop: stop.clone(),
                ..shared.clone()
            };
            shared.tasks.spawn(Courier::new(door, own).go());
        }
        Err(error) => tracing::error!(alertmanager = doors.name(), %address, error, "push.no_client"),
    }
    stop
}

/// The addresses now; none when the name does not resolve.
pub(super) async fn resolve(doors: &Doors) -> BTreeSet<SocketAddr> {
    let (host, port) = doors.host();
    match tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((host.as_str(), port))).await {
        Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => {
            tracing::warn!(alertmanager = doors.name(), %error, "push.no_address");
            BTreeSet::new()
        }
        Err(_) => {
            tracing::warn!(alertmanager = doors.name(), "push.no_address: the resolver is too slow");
            BTreeSet::new()
        }
    }
}
