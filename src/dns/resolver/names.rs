//! Names that need no question: the lab's own, and those of its hosts table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

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

    /// Why an answer from outside may not lead to `address`, unless its domain is trusted to (RFC 6303 and RFC 6890 have
    /// the ranges): somebody else's name must not be a way to what only the lab should reach.
    pub fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        let private = match address {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
            }
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        match private {
            true => Some("a private address"),
            false if self.is_inside(address) => Some("an address of the lab"),
            false => None,
        }
    }
}

/// Why no answer at all may lead to `address`.
pub fn impossible(address: IpAddr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some("a loopback address");
    }
    let nobody = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.to_ipv4_mapped().is_some(),
    };
    (nobody || address.is_multicast()).then_some("no host's address")
}
