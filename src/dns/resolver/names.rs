//! Names that need no question: the lab's own, and those of its hosts table.

use std::collections::BTreeMap;
use std::net::IpAddr;

use smoltcp::wire::IpCidr;

use crate::dns::name::HostName;

/// What every resolver of a lab knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// Guests and services, with the addresses that the scenario gave them.
    pub lab: BTreeMap<HostName, Vec<IpAddr>>,
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
    /// The lab's own names come before the hosts table.
    pub fn find(&self, name: &HostName) -> Option<&[IpAddr]> {
        if name.is_localhost() {
            return Some(&LOCALHOST);
        }
        self.lab.get(name).or_else(|| self.hosts.get(name)).map(Vec::as_slice)
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
