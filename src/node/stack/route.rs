//! Where packets go: whose addresses are here, by which interface and next hop others are reached, and from which address
//! of ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::wire::IpCidr;

use super::nic::Nic;
use super::{Stack, group};
use crate::error::{Error, Result};
use crate::network::InterfaceConfig;
use crate::network::ip::is_link_local;
use crate::time::Instant;

impl Stack {
    /// The addresses of the node's own interfaces.
    pub fn addresses(&self) -> impl Iterator<Item = IpCidr> + '_ {
        self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied())
    }

    pub fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.addresses().any(|cidr| IpAddr::from(cidr.address()) == ip)
    }

    pub(super) fn has(&self, index: usize, address: IpAddr) -> bool {
        self.interfaces[index].addresses.iter().any(|cidr| IpAddr::from(cidr.address()) == address)
    }

    pub(super) fn is_on_link(&self, index: usize, address: IpAddr) -> bool {
        self.interfaces[index].addresses.iter().any(|cidr| cidr.contains_addr(&address.into()))
    }

    /// Checks that `address` may be bound here: a wildcard, or one of the node's own.
    pub(super) fn bindable(&self, address: SocketAddr) -> Result<()> {
        let ip = address.ip();
        if ip.is_unspecified() || self.is_own(ip) { Ok(()) } else { Err(Error::AddressNotAvailable) }
    }

    /// The interface and next hop towards `remote`: loopback, then the longest prefix on link or routed.
    pub(super) fn route(&mut self, now: Instant, remote: IpAddr) -> Result<usize> {
        if self.is_own(remote) {
            return Ok(self.loopback_interface(now));
        }
        let multicast = match remote {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        if multicast {
            return if self.interfaces.is_empty() { Err(Error::NetworkUnreachable) } else { Ok(0) };
        }
        let mut best: Option<(u8, usize)> = None;
        let mut offer = |prefix: u8, index: usize| {
            if best.is_none_or(|(longest, _)| prefix > longest) {
                best = Some((prefix, index));
            }
        };
        for (index, interface) in self.interfaces.iter().enumerate() {
            for cidr in &interface.addresses {
                if cidr.contains_addr(&remote.into()) {
                    offer(cidr.prefix_len(), index);
                }
            }
        }
        for route in self.routes.iter().filter(|route| route.prefix.contains_addr(&remote.into())) {
            let via = |interface: &InterfaceConfig| {
                interface.addresses.iter().any(|cidr| cidr.contains_addr(&route.via.into()))
            };
            if let Some(index) = self.interfaces.iter().position(via) {
                offer(route.prefix.prefix_len(), index);
            }
        }
        for (index, route) in
            self.learned.iter().filter(|(_, route)| route.prefix.contains_addr(&remote.into()))
        {
            offer(route.prefix.prefix_len(), *index);
        }
        best.map(|(_, index)| index).ok_or(Error::NetworkUnreachable)
    }

    /// The neighbour on the link of `index` that a packet goes to next.
    pub(super) fn next_hop(&self, index: usize, destination: IpAddr) -> Option<IpAddr> {
        if is_link_local(destination) || self.is_on_link(index, destination) {
            return Some(destination);
        }
        let learned =
            self.learned.iter().filter(|&&(interface, _)| interface == index).map(|(_, route)| route);
        let routes = self.routes.iter().chain(learned).filter(|route| {
            route.prefix.contains_addr(&destination.into()) && self.is_on_link(index, route.via)
        });
        // Of several as long, the first.
        routes
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .max_by_key(|route| route.prefix.prefix_len())
            .map(|route| route.via)
    }

    /// The local address that a flow to `remote` would have.
    ///
    /// # Errors
    /// No route, or no address of the family.
    pub fn source_towards(&mut self, now: Instant, remote: IpAddr) -> Result<IpAddr> {
        let index = self.route(now, remote)?;
        self.source_address(index, remote)
    }

    /// The local address for a flow to `remote` over interface `index` (RFC 6724).
    pub(super) fn source_address(&mut self, index: usize, remote: IpAddr) -> Result<IpAddr> {
        // A packet to one of our own addresses leaves from that address, as Linux does.
        if Some(index) == self.loopback {
            return Ok(remote);
        }
        let interface = self.nics[index].interface();
        match remote {
            IpAddr::V4(v4) => interface.get_source_address_ipv4(&v4).map(IpAddr::V4),
            IpAddr::V6(v6) => {
                let nearest = interface.get_source_address_ipv6(&v6);
                let source = match self.wide(index).filter(|_| v6.is_multicast() && !group::is_local(remote))
                {
                    // A group beyond the link hears from an address that means something there.
                    Some(wide) => wide,
                    None => nearest,
                };
                let usable = !source.is_loopback() && !source.is_unspecified();
                usable.then(|| IpAddr::V6(self.preferred(index, source)))
            }
        }
        .ok_or(Error::AddressNotAvailable)
    }

    /// An address of interface `index` that means something beyond its link.
    fn wide(&self, index: usize) -> Option<Ipv6Addr> {
        self.interfaces.get(index)?.addresses.iter().find_map(|cidr| match cidr {
            IpCidr::Ipv6(cidr) if !cidr.address().is_unicast_link_local() => Some(cidr.address()),
            IpCidr::Ipv6(_) | IpCidr::Ipv4(_) => None,
        })
    }

    fn loopback_interface(&mut self, now: Instant) -> usize {
        *self.loopback.get_or_insert_with(|| {
            let own: Vec<IpCidr> =
                self.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect();
            self.nics.push(Nic::loopback(&own, self.rng.next_u64(), now));
            self.nics.len() - 1
        })
    }
}

/// The peer that an address means: the unspecified one is this host, as Linux reads it.
pub(super) fn destination(remote: SocketAddr) -> SocketAddr {
    let ip = match remote.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, remote.port())
}
