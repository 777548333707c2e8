//! Name resolution behind one seam: the system's or hickory's, then the address policy. The addresses that passed are the
//! ones dialled. Owns: what a failed resolution is called. Must not: connect.

use super::address::AddressPolicy;
use super::settings::{Resolver, WireError};
use super::timing::mark;
use crate::failure::{Failure, Kind};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::time::Instant;

/// Resolves names and refuses addresses.
#[derive(Clone)]
pub(super) struct Names(Arc<Inner>);

struct Inner {
    engine: Engine,
    policy: AddressPolicy,
    /// The configured proxy's host, which the operator chose; the policy is about where the target's name may lead.
    proxy_host: Option<String>,
}

enum Engine {
    System,
    Hickory(Box<TokioResolver>),
}

impl Names {
    pub(super) fn new(
        resolver: &Resolver,
        policy: AddressPolicy,
        proxy_host: Option<String>,
    ) -> Result<Self, WireError> {
        let engine = match resolver {
            Resolver::System => Engine::System,
            Resolver::Hickory => Engine::Hickory(Box::new(hickory(None)?)),
            Resolver::HickoryAt(servers) => Engine::Hickory(Box::new(hickory(Some(servers))?)),
        };
        Ok(Self(Arc::new(Inner {
            engine,
            policy,
            proxy_host,
        })))
    }

    /// The addresses of `host`, which may be a literal; port 0. Fails if any of them may not be dialled: a name that leads
    /// to a forbidden place is not trusted with its other addresses either.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, Failure> {
        mark(|moments| moments.dns_start = Some(Instant::now()));
        let found = self.resolve(host).await.and_then(|found| {
            found.iter().try_for_each(|&address| self.allowed(host, address))?;
            Ok(found
                .into_iter()
                .map(|address| SocketAddr::new(address, 0))
                .collect::<Vec<_>>())
        });
        mark(|moments| {
            moments.dns_end = Some(Instant::now());
            moments.addresses = found.as_deref().unwrap_or_default().to_vec();
        });
        found
    }

    /// Whether `address` may be dialled for `host`.
    pub(super) fn allowed(&self, host: &str, address: IpAddr) -> Result<(), Failure> {
        if self.0.proxy_host.as_deref() == Some(host) {
            return Ok(());
        }
        match self.0.policy.denies(address) {
            None => Ok(()),
            Some(why) => Err(Failure::new(
                Kind::AddressNotAllowed,
                format!(
                    "{host} leads to {address} ({why}), which may not be dialled; allow its network in the target's addresses"
                ),
            )),
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let found = match &self.0.engine {
            Engine::System => {
                let found = tokio::net::lookup_host((host, 0))
                    .await
                    .map_err(|error| system_failure(host, &error))?;
                found.map(|address| address.ip()).collect()
            }
            Engine::Hickory(resolver) => {
                let found = resolver
                    .lookup_ip(host)
                    .await
                    .map_err(|error| hickory_failure(host, &error))?;
                found.iter().collect::<Vec<_>>()
            }
        };
        if found.is_empty() {
            return Err(Failure::new(Kind::DnsNoAddress, format!("{host} has no address")));
        }
        Ok(found)
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

fn hickory(servers: Option<&[SocketAddr]>) -> Result<TokioResolver, WireError> {
    let builder = match servers {
        None => TokioResolver::builder_tokio().map_err(|error| WireError::Resolver(error.to_string()))?,
        Some(servers) => {
            let server = |server: &SocketAddr| {
                let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
                (udp.port, tcp.port) = (server.port(), server.port());
                NameServerConfig::new(server.ip(), true, vec![udp, tcp])
            };
            let mut config = ResolverConfig::default();
            config.name_servers = servers.iter().map(server).collect();
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let mut builder = builder;
    // Each probe must see the name as it is now, and the time that the answer takes.
    builder.options_mut().cache_size = 0;
    builder.build().map_err(|error| WireError::Resolver(error.to_string()))
}

fn hickory_failure(host: &str, error: &NetError) -> Failure {
    let kind = match error {
        NetError::Timeout => Kind::DnsTimeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Kind::DnsNxdomain,
            ResponseCode::NoError => Kind::DnsNoAddress,
            _ => Kind::DnsServerError,
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => Kind::DnsNxdomain,
        NetError::Io(io) => return io_failure(host, io).unwrap_or_else(|| failure(Kind::DnsServerError, host, &io)),
        _ => Kind::DnsServerError,
    };
    failure(kind, host, error)
}

/// getaddrinfo's failures reach us as text only (glibc and musl words).
fn system_failure(host: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let kind = if says(&[
        "No address associated",
        "no address associated",
        "has no usable address",
    ]) {
        Kind::DnsNoAddress
    } else if says(&[
        "not known",
        "does not resolve",
        "nodename nor servname",
        "Name does not exist",
    ]) {
        Kind::DnsNxdomain
    } else {
        return io_failure(host, error).unwrap_or_else(|| failure(Kind::DnsServerError, host, error));
    };
    failure(kind, host, error)
}

/// Our own lack of descriptors is not the name server's fault.
fn io_failure(host: &str, error: &io::Error) -> Option<Failure> {
    super::classify::local_resource(error).map(|kind| failure(kind, host, error))
}

fn failure(kind: Kind, host: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(kind, format!("{host}: {why}")).in_phase(crate::failure::Phase::Dns)
}
