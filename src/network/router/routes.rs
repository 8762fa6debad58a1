//! The routing table: longest prefix first, over the router's own addresses, its subnets and its routes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use smoltcp::wire::{IpAddress, IpCidr};

use crate::network::{InterfaceConfig, Route};

/// Where a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One of the router's own addresses.
    Local,
    /// The broadcast address of a subnet, or its all-zeros form (RFC 1812 5.3.5).
    Broadcast,
    /// On the subnet of this port.
    Connected(usize),
    /// Behind a next hop, which is on the subnet of this port.
    Via(usize, IpAddr),
}

/// One table for each address family.
#[derive(Debug, Default)]
pub(super) struct RoutingTable {
    ipv4: Prefixes,
    ipv6: Prefixes,
}

impl RoutingTable {
    /// Of several entries for one prefix the first counts: own addresses, then subnets in the order of the
    /// interfaces, then routes. Link-local subnets are not in the table: they mean nothing off their link.
    pub(super) fn new(interfaces: &[InterfaceConfig], routes: &[Route]) -> Self {
        let mut table = Self::default();
        let addresses = || {
            let numbered = interfaces.iter().enumerate();
            numbered.flat_map(|(port, config)| config.addresses.iter().map(move |&cidr| (port, cidr)))
        };
        for (_, cidr) in addresses() {
            let address = IpAddr::from(cidr.address());
            if !is_link_local(address) {
                table.add(address, host_len(address), Target::Local);
            }
        }
        for (_, cidr) in addresses() {
            if let IpCidr::Ipv4(cidr) = cidr
                && cidr.prefix_len() < 31
            {
                table.add(cidr.network().address().into(), 32, Target::Broadcast);
                if let Some(broadcast) = cidr.broadcast() {
                    table.add(broadcast.into(), 32, Target::Broadcast);
                }
            }
        }
        for (port, cidr) in addresses() {
            let address = IpAddr::from(cidr.address());
            if !is_link_local(address) {
                table.add(address, cidr.prefix_len(), Target::Connected(port));
            }
        }
        let connected: Vec<_> = addresses().collect();
        for route in routes {
            let via = IpAddress::from(route.via);
            let own = connected.iter().any(|(_, cidr)| cidr.address() == via);
            let on_subnet = connected.iter().find(|(_, cidr)| cidr.contains_addr(&via));
            if let Some(&(port, _)) = on_subnet
                && !own
                && is_same_family(route.prefix.address().into(), route.via)
            {
                table.add(
                    route.prefix.address().into(),
                    route.prefix.prefix_len(),
                    Target::Via(port, route.via),
                );
            }
        }
        table
    }

    /// The entry with the longest prefix that `address` is in.
    pub(super) fn find(&self, address: IpAddr) -> Option<Target> {
        self.family(address).find(bits(address))
    }

    /// True if the address is one of the router's own or the broadcast address of one of its subnets.
    pub(super) fn is_ours(&self, address: IpAddr) -> bool {
        match self.family(address).host(bits(address), host_len(address)) {
            Some(Target::Local | Target::Broadcast) => true,
            Some(Target::Connected(_) | Target::Via(..)) | None => false,
        }
    }

    fn family(&self, address: IpAddr) -> &Prefixes {
        match address {
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        }
    }

    fn add(&mut self, address: IpAddr, prefix_len: u8, target: Target) {
        let family = match address {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        };
        family.add(bits(address), prefix_len.min(host_len(address)), target);
    }
}

/// The prefixes of one family: for each length in use, longest first, the prefixes of that length.
#[derive(Debug, Default)]
struct Prefixes(Vec<(u8, BTreeMap<u128, Target>)>);

impl Prefixes {
    fn add(&mut self, bits: u128, prefix_len: u8, target: Target) {
        let index = self.0.partition_point(|&(len, _)| len > prefix_len);
        if self.0.get(index).is_none_or(|&(len, _)| len != prefix_len) {
            self.0.insert(index, (prefix_len, BTreeMap::new()));
        }
        self.0[index].1.entry(bits & mask(prefix_len)).or_insert(target);
    }

    fn find(&self, bits: u128) -> Option<Target> {
        self.0.iter().find_map(|(len, prefixes)| prefixes.get(&(bits & mask(*len))).copied())
    }

    fn host(&self, bits: u128, host_len: u8) -> Option<Target> {
        self.0.first().filter(|(len, _)| *len == host_len)?.1.get(&bits).copied()
    }
}

/// The address at the top of 128 bits, so that a mask is the same for both families.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(prefix_len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0)
}

fn host_len(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::EthernetAddress;

    fn interface(addresses: &[&str]) -> InterfaceConfig {
        InterfaceConfig {
            name: String::new(),
            mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
            addresses: addresses.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            mtu: 1500,
        }
    }

    fn route(prefix: &str, via: &str) -> Route {
        Route { prefix: prefix.parse().unwrap(), via: via.parse().unwrap() }
    }

    #[test]
    fn the_longest_prefix_counts() {
        let interfaces =
            [interface(&["10.0.1.1/24", "2001:db8:1::1/64", "fe80::1/64"]), interface(&["10.0.2.1/30"])];
        let routes = [
            route("0.0.0.0/0", "10.0.2.2"),
            route("10.0.0.0/8", "10.0.1.9"),
            route("10.0.1.128/25", "10.0.2.2"),
            route("::/0", "2001:db8:1::2"),
            // Not usable: off every subnet, the router itself, the other family; and second for its prefix.
            route("172.16.0.0/12", "192.168.0.1"),
            route("172.16.0.0/12", "10.0.1.1"),
            route("172.16.0.0/12", "2001:db8:1::2"),
            route("10.0.0.0/8", "10.0.2.2"),
        ];
        let table = RoutingTable::new(&interfaces, &routes);
        let find = |address: &str| table.find(address.parse().unwrap());
        let via = |port, address: &str| Some(Target::Via(port, address.parse().unwrap()));
        assert_eq!(find("10.0.1.1"), Some(Target::Local));
        assert_eq!(find("10.0.1.2"), Some(Target::Connected(0)));
        assert_eq!(find("10.0.1.0"), Some(Target::Broadcast));
        assert_eq!(find("10.0.1.255"), Some(Target::Broadcast));
        assert_eq!(find("10.0.1.200"), via(1, "10.0.2.2"));
        assert_eq!(find("10.0.2.2"), Some(Target::Connected(1)));
        assert_eq!(find("10.0.2.3"), Some(Target::Broadcast));
        assert_eq!(find("10.9.9.9"), via(0, "10.0.1.9"));
        assert_eq!(find("172.16.0.1"), via(1, "10.0.2.2"));
        assert_eq!(find("2001:db8:1::1"), Some(Target::Local));
        assert_eq!(find("2001:db8:1::2"), Some(Target::Connected(0)));
        assert_eq!(find("2001:db8:2::2"), via(0, "2001:db8:1::2"));
        assert!(table.is_ours("10.0.1.255".parse().unwrap()));
        assert!(!table.is_ours("10.0.1.2".parse().unwrap()));
    }

    #[test]
    fn point_to_point_subnets_have_no_broadcast_address() {
        let table = RoutingTable::new(&[interface(&["10.0.0.0/31"]), interface(&["10.1.0.1/32"])], &[]);
        let find = |address: &str| table.find(address.parse().unwrap());
        assert_eq!(find("10.0.0.0"), Some(Target::Local));
        assert_eq!(find("10.0.0.1"), Some(Target::Connected(0)));
        assert_eq!(find("10.1.0.1"), Some(Target::Local));
        assert_eq!(find("10.1.0.2"), None);
    }
}
