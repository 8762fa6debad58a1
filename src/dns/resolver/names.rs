//! Names that need no question: the lab's own, and those of its hosts table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::IpCidr;

use crate::dns::name::HostName;
use crate::node::Whereabouts;

/// A guest or a service.
#[derive(Clone, Debug, PartialEq)]
pub struct LabHost {
    /// Its number in the world.
    pub node: usize,
    /// The addresses that the scenario gave it.
    pub given: Vec<IpAddr>,
}

/// What every resolver of a lab knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    pub lab: BTreeMap<HostName, LabHost>,
    pub hosts: BTreeMap<HostName, Vec<IpAddr>>,
    /// Subnets that the lab's interfaces are on.
    pub subnets: Vec<IpCidr>,
    /// The lab is plugged in somewhere, so that what is in none of its subnets leads out of it.
    pub leads_out: bool,
    /// The lab's own name servers, whose answers are as good as the lab's.
    pub servers: Vec<IpAddr>,
}

/// Loopback, IPv6 first as everywhere (RFC 6761, 6.3).
const LOCALHOST: [IpAddr; 2] =
    [IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];

impl Names {
    /// The lab's own names, wherever they are by now, come before the hosts table.
    pub fn find(&self, name: &HostName, whereabouts: &Whereabouts) -> Option<Cow<'_, [IpAddr]>> {
        if name.is_localhost() {
            return Some(Cow::Borrowed(&LOCALHOST[..]));
        }
        if let Some(host) = self.lab.get(name) {
            let moved = whereabouts.of(host.node);
            return Some(moved.map_or(Cow::Borrowed(host.given.as_slice()), |now| Cow::Owned(now.to_vec())));
        }
        self.hosts.get(name).map(|addresses| Cow::Borrowed(addresses.as_slice()))
    }

    /// Whether a name, or with `below` one below it, leads to `address`: by the lab or the hosts table, as nobody is asked.
    pub fn leads(&self, name: &HostName, below: bool, address: IpAddr, whereabouts: &Whereabouts) -> bool {
        if !below {
            return self.find(name, whereabouts).is_some_and(|known| known.contains(&address));
        }
        // Names of the lab have no dots.
        self.hosts_below(name).any(|(_, known)| known.contains(&address))
    }

    /// Names of the hosts table that are below `domain`.
    pub fn hosts_below<'a>(
        &'a self,
        domain: &'a HostName,
    ) -> impl Iterator<Item = (&'a HostName, &'a Vec<IpAddr>)> {
        self.hosts.iter().filter(move |(name, _)| domain.has(name) && *name != domain)
    }

    /// Whether an address is of one of the lab's subnets.
    pub fn is_inside(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|subnet| subnet.contains_addr(&address.into()))
    }

    /// Why an answer from outside may not lead to `address`, unless its domain is trusted to: somebody else's name must not be
    /// a way to what only the lab should reach. An IPv4 address within an IPv6 one is looked at, too.
    pub fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        if let Some(why) = embedded(address).and_then(|v4| self.refuses(v4.into())) {
            return Some(why);
        }
        let private = match address {
            IpAddr::V4(v4) => is_not_global(v4),
            IpAddr::V6(v6) => {
                // RFC 8215: translated by whoever is near; where in it the IPv4 address is, is for him to know.
                let translated = v6.segments()[..3] == [0x64, 0xff9b, 1];
                // fec0::/10 was what fc00::/7 is now (RFC 3879).
                let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
                v6.is_unique_local() || v6.is_unicast_link_local() || translated || site_local
            }
        };
        match private {
            true => Some("a private address"),
            false if self.is_inside(address) => Some("an address of the lab"),
            false => None,
        }
    }
}

/// Ranges of RFC 6890 that no host has who is reached over the public network: private, shared (RFC 6598) and link-local
/// ones, those of protocols (192.0.0.0/24) and of benchmarks (198.18.0.0/15).
fn is_not_global(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || [a, b, c] == [192, 0, 0]
        || (a == 198 && (18..20).contains(&b))
}

/// The IPv4 address that an IPv6 one leads to, by translation or through a tunnel.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let last = Ipv4Addr::from_bits(v6.to_bits() as u32);
    match v6.segments() {
        // NAT64 (RFC 6052), IPv4-translated (RFC 2765), IPv4-compatible (RFC 4291, 2.5.5.1; not :: and ::1).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(last),
        [0, 0, 0, 0, 0, 0, ..] if last.to_bits() > 1 => Some(last),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        // Teredo, all bits turned (RFC 4380, 4).
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!last.to_bits())),
        _ => None,
    }
}

/// Why no answer at all may lead to `address`.
pub fn impossible(address: IpAddr) -> Option<&'static str> {
    if let Some(why) = embedded(address).and_then(|v4| impossible(v4.into())) {
        return Some(why);
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    let nobody = match address {
        // 0.0.0.0/8, and 240.0.0.0/4 with 255.255.255.255 in it.
        IpAddr::V4(v4) => matches!(v4.octets()[0], 0 | 240..),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped().is_some(),
    };
    (nobody || address.is_multicast()).then_some("no host's address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_from_outside_do_not_lead_inside_however_they_are_written() {
        let lab = Names {
            subnets: vec![IpCidr::new(IpAddr::from([203, 0, 113, 0]).into(), 24)],
            ..Default::default()
        };
        let (loopback, nobody) = (Some("a loopback address"), Some("no host's address"));
        let (private, own) = (Some("a private address"), Some("an address of the lab"));
        for (address, why) in [
            ("192.0.2.1", None),
            ("2001:db8::1", None),
            ("172.32.0.1", None),
            ("100.128.0.1", None),
            ("198.20.0.1", None),
            ("10.0.0.1", private),
            ("172.16.0.1", private),
            ("192.168.0.1", private),
            ("100.64.0.1", private),
            ("169.254.0.1", private),
            ("192.0.0.8", private),
            ("198.18.0.1", private),
            ("198.19.255.255", private),
            ("203.0.113.9", own),
            ("127.1.2.3", loopback),
            ("0.0.0.1", nobody),
            ("224.0.0.1", nobody),
            ("240.0.0.1", nobody),
            ("255.255.255.255", nobody),
            ("fd00::1", private),
            ("fe80::1", private),
            ("fec0::1", private),
            ("feff::1", private),
            ("::", nobody),
            ("::1", loopback),
            ("::ffff:10.0.0.1", nobody),
            ("::ffff:192.0.2.1", nobody),
            ("ff0e::1", nobody),
            // NAT64
            ("64:ff9b::192.0.2.1", None),
            ("64:ff9b::10.0.0.1", private),
            ("64:ff9b::203.0.113.1", own),
            ("64:ff9b::127.0.0.1", loopback),
            ("64:ff9b::240.0.0.1", nobody),
            ("64:ff9b:1::192.0.2.1", private),
            // 6to4 and Teredo
            ("2002:c000:0201::1", None),
            ("2002:0a00:0001::1", private),
            ("2002:7f00:0001::1", loopback),
            ("2001::fdff:fdfe", None),
            ("2001::f5ff:fffe", private),
            // IPv4-compatible and IPv4-translated
            ("::192.0.2.1", None),
            ("::10.0.0.1", private),
            ("::127.0.0.1", loopback),
            ("::ffff:0:192.168.0.1", private),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(impossible(parsed).or_else(|| lab.refuses(parsed)), why, "{address}");
        }
    }
}
