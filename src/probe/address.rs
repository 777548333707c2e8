//! Which resolved addresses may be dialled (faults.md F06, S15). Pure. Must not: resolve or connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP network in CIDR notation, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in the network. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, canonical(address)) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_prefix(
                network.to_bits().into(),
                address.to_bits().into(),
                32 - u32::from(self.prefix),
            ),
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), 128 - u32::from(self.prefix))
            }
            _ => false,
        }
    }
}

fn same_prefix(left: u128, right: u128, host_bits: u32) -> bool {
    left.checked_shr(host_bits).unwrap_or(0) == right.checked_shr(host_bits).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no IP network; write it like 10.0.0.0/8, fd00::/8 or 127.0.0.1");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| bad()))?;
        if prefix > bits {
            return Err(bad());
        }
        Ok(Self { address, prefix })
    }
}

/// Which addresses may be dialled: not loopback, link-local (cloud metadata lives there), private, multicast or reserved
/// ones, unless configured. `deny` wins over `allow`.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Networks that may be dialled although they are denied by default.
    pub allow: Vec<Network>,
    /// Networks that may not be dialled.
    pub deny: Vec<Network>,
}

impl AddressPolicy {
    /// Says why `address` may not be dialled, `None` if it may.
    pub fn denies(&self, address: IpAddr) -> Option<&'static str> {
        if self.deny.iter().any(|network| network.contains(address)) {
            return Some("denied by the configuration");
        }
        if self.allow.iter().any(|network| network.contains(address)) {
            return None;
        }
        match canonical(address) {
            IpAddr::V4(address) => denied_v4(address),
            IpAddr::V6(address) => denied_v6(address),
        }
    }
}

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, ..] = address.octets();
    match address {
        _ if address.is_loopback() => Some("loopback"),
        _ if a == 0 => Some("unspecified"),
        _ if address.is_link_local() => Some("link-local, where cloud metadata lives"),
        // RFC 6598: carrier-grade NAT, and the metadata service of one cloud (100.100.100.200).
        _ if a == 100 && (64..128).contains(&b) => Some("shared address space"),
        _ if address.is_private() => Some("private"),
        _ if address.is_multicast() || address.is_broadcast() || a >= 240 => Some("multicast or reserved"),
        _ => None,
    }
}

fn denied_v6(address: Ipv6Addr) -> Option<&'static str> {
    // RFC 6052: an IPv4 address inside the well-known NAT64 prefix is judged as that address.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() {
        return denied_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    match address {
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_unicast_link_local() => Some("link-local"),
        _ if address.is_unique_local() => Some("private"),
        _ if address.is_multicast() => Some("multicast or reserved"),
        _ => None,
    }
}

/// IPv4-mapped and IPv4-compatible addresses as IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 => v4,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn denies_what_is_not_public() {
        let policy = AddressPolicy::default();
        for denied in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.100.100.200",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
        ] {
            assert!(
                policy.denies(denied.parse().unwrap()).is_some(),
                "{denied} should be denied"
            );
        }
        for allowed in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert_eq!(
                policy.denies(allowed.parse().unwrap()),
                None,
                "{allowed} should be allowed"
            );
        }
    }

    #[test]
    fn configuration_decides_first() {
        let policy = AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            deny: vec!["127.0.0.2".parse().unwrap(), "1.1.1.0/24".parse().unwrap()],
        };
        assert_eq!(policy.denies("127.0.0.1".parse().unwrap()), None);
        assert_eq!(policy.denies("::ffff:127.0.0.1".parse().unwrap()), None);
        assert!(policy.denies("127.0.0.2".parse().unwrap()).is_some());
        assert!(policy.denies("1.1.1.1".parse().unwrap()).is_some());
        assert_eq!(policy.denies("fd12::1".parse().unwrap()), None);
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!(
            "0.0.0.0/0"
                .parse::<Network>()
                .unwrap()
                .contains("9.9.9.9".parse().unwrap())
        );
    }
}
