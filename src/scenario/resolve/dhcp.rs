//! DHCP servers, what routers advertise, and how guests come by their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};
use toml::Spanned;

use super::super::address::{address_of, mac_text};
use super::super::mistake::{Mistakes, quote};
use super::super::spec::{AdvertiseSpec, DhcpSpec, InterfaceSpec};
use super::Gateways;
use super::addressing::{Addresses, MTU_MIN_V6};
use super::expand::Node;
use super::topology::Topology;
use crate::network::dhcp::ServerConfig;
use crate::network::ip::is_link_local;
use crate::network::router::Advertise;
use crate::network::{Automatic, InterfaceConfig};

/// An hour, as dnsmasq has it.
const LEASE: Duration = Duration::from_secs(3600);
/// Addresses of a range that is not named.
const RANGE_USUAL: u32 = 1024;

pub(super) struct Resolver<'a> {
    pub topology: &'a Topology<'a>,
    pub guests: &'a [Node<'a>],
    pub addresses: &'a [Addresses],
    pub gateways: &'a Gateways,
    pub mistakes: &'a Mistakes,
}

impl Resolver<'_> {
    /// How a guest's interfaces come by more addresses than they are given.
    pub fn automatic(&self, node: &Node<'_>) -> Vec<Automatic> {
        let specs = node.interfaces.iter().zip(self.topology.interfaces_of(node));
        specs.map(|(spec, at)| self.of_interface(node, spec, at)).collect()
    }

    fn of_interface(&self, node: &Node<'_>, spec: &InterfaceSpec, at: usize) -> Automatic {
        let mtu = self.addresses[at].mtu;
        if let Some(slaac) =
            spec.slaac.as_ref().filter(|_| mtu < MTU_MIN_V6 && node.replica.unwrap_or(0) == 0)
        {
            let message = format!("addresses: \"slaac\" needs an MTU of {MTU_MIN_V6}, and this is {mtu}");
            self.mistakes.add(
                slaac.clone(),
                message,
                "IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`",
            );
        }
        // The scenario's own addresses differ from one another: to ask for them is worth while where others may join.
        let strangers =
            self.topology.interfaces[at].domain.is_some_and(|domain| self.topology.has_tap(domain));
        let automatic = spec.dhcp.is_some() || spec.slaac.is_some();
        Automatic {
            dhcp: spec.dhcp.is_some(),
            slaac: spec.slaac.is_some(),
            detect: spec.detect.unwrap_or(strangers || automatic),
        }
    }

    pub fn server(&self, node: &Node<'_>, spec: &DhcpSpec) -> Option<ServerConfig> {
        let at = self.topology.interfaces_of(node).start;
        let v4 = |cidr: &IpCidr| match cidr {
            IpCidr::Ipv4(cidr) => Some(*cidr),
            IpCidr::Ipv6(_) => None,
        };
        let written = spec.range.as_ref();
        let own: Vec<Ipv4Cidr> = self.addresses[at].addresses.iter().filter_map(v4).collect();
        let fits = |own: &&Ipv4Cidr| written.is_none_or(|range| own.contains_addr(&range.get_ref().0));
        let Some(&own) = own.iter().find(fits) else {
            let (place, help) = match (written, own.first()) {
                (Some(range), Some(own)) => (range.span(), format!("it has {own}: a range of that subnet")),
                _ => (spec.name.span(), "give it `addresses = [\"10.0.0.1/24\"]`".to_owned()),
            };
            let message = format!("{} has no address to give leases with", node.what);
            self.mistakes.add(place, message, help);
            return None;
        };
        let range = match written {
            Some(range) => *range.get_ref(),
            None => self.usual_range(node, spec, own)?,
        };
        let inside = |address: &Ipv4Addr| own.contains_addr(address);
        if let Some(range) = written.filter(|range| !inside(&range.get_ref().1)) {
            let message = format!("range: ends outside of {}", own.network());
            self.mistakes.add(range.span(), message, "a range of the server's own subnet");
        }
        let routers = match &spec.routers {
            Some(routers) => routers.iter().map(|router| *router.get_ref()).collect(),
            None => self.gateways.v4_towards(self.topology.interfaces[at].domain, own, self.addresses),
        };
        if let Some(far) = spec.routers.iter().flatten().find(|router| !inside(router.get_ref())) {
            let message = format!("router: {} is outside of {}", far.get_ref(), own.network());
            self.mistakes.add(far.span(), message, "clients can reach what is on their subnet");
        }
        let network = own.network();
        let edges = [Some(network.address()), network.broadcast()].into_iter().flatten();
        let given =
            self.addresses.iter().flat_map(|got| &got.addresses).filter_map(v4).map(|cidr| cidr.address());
        let excluded: BTreeSet<Ipv4Addr> = given.chain(edges).filter(inside).collect();
        Some(ServerConfig {
            own,
            range,
            lease: spec.lease.unwrap_or(LEASE),
            routers,
            dns: spec.dns.clone(),
            reservations: self.reservations(at, spec, own),
            excluded,
        })
    }

    /// The upper half of the subnet, or the end of it.
    fn usual_range(&self, node: &Node<'_>, spec: &DhcpSpec, own: Ipv4Cidr) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let network = own.network().address().to_bits();
        let size = 1u32.checked_shl(32 - u32::from(own.prefix_len())).unwrap_or(u32::MAX);
        if size < 4 {
            let message = format!("{} has no range to give out of {}", node.what, own.network());
            self.mistakes.add(spec.name.span(), message, "a subnet of more addresses");
            return None;
        }
        let last = network + size - 2;
        let first = (network + size / 2).max(last.saturating_sub(RANGE_USUAL - 1));
        Some((Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last)))
    }

    fn reservations(&self, at: usize, spec: &DhcpSpec, own: Ipv4Cidr) -> BTreeMap<[u8; 6], Ipv4Addr> {
        let mut reservations = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (client, address) in &spec.reservations {
            if !own.contains_addr(address.get_ref()) || *address.get_ref() == own.address() {
                let message = format!("reservations: {} cannot be given to anybody", address.get_ref());
                self.mistakes.add(address.span(), message, format!("an address of {}", own.network()));
            }
            if !taken.insert(*address.get_ref()) {
                let message = format!("reservations: {} is reserved twice", address.get_ref());
                self.mistakes.add(address.span(), message, "each client has its own");
            }
            if let Some(mac) = self.client(at, client) {
                reservations.insert(mac.0, *address.get_ref());
            }
        }
        reservations
    }

    /// A MAC as it is written, or that of a guest's interface on the server's network.
    fn client(&self, server: usize, client: &Spanned<String>) -> Option<EthernetAddress> {
        let text = client.get_ref();
        if let Some(mac) = mac_text(text) {
            return Some(mac);
        }
        let domain = self.topology.interfaces[server].domain;
        let Some(guest) = self.guests.iter().find(|guest| guest.name == *text) else {
            let names = self.guests.iter().map(|guest| guest.name.as_str());
            let meant = self.mistakes.did_you_mean(text, names);
            let message = format!("reservations: there is no guest {}", quote(text));
            let help = if meant.is_empty() {
                "a guest, or an address such as \"02:00:00:00:00:01\"".to_owned()
            } else {
                meant
            };
            self.mistakes.add(client.span(), message, help);
            return None;
        };
        let near =
            self.topology.interfaces_of(guest).find(|&at| self.topology.interfaces[at].domain == domain);
        if near.is_none() {
            let message = format!("reservations: guest {} is on another network", quote(text));
            self.mistakes.add(client.span(), message, "a server hears its own network alone");
        }
        near.map(|at| self.addresses[at].mac)
    }

    /// What each interface of a router advertises.
    pub fn advertise(&self, node: &Node<'_>, interfaces: &[InterfaceConfig]) -> Vec<Option<Advertise>> {
        let specs = node.interfaces.iter().zip(interfaces);
        specs.map(|(spec, interface)| self.advertised(spec.advertise.as_ref()?, interface)).collect()
    }

    fn advertised(&self, spec: &AdvertiseSpec, interface: &InterfaceConfig) -> Option<Advertise> {
        let v6 = interface.addresses.iter().filter(|&&cidr| address_of(cidr).is_ipv6());
        let prefixes = v6.clone().filter(|&&cidr| !is_link_local(address_of(cidr)));
        if v6.count() == 0 || prefixes.clone().count() == 0 {
            let help = "add an address of IPv6 to the interface: its prefix is what is advertised";
            self.mistakes.add(spec.at.clone(), "advertise: there is no prefix to advertise", help);
        }
        for odd in prefixes.filter(|cidr| cidr.prefix_len() != 64) {
            let message = format!("advertise: hosts make no addresses of {odd}");
            self.mistakes.add(spec.at.clone(), message, "they need a prefix of 64 bits (RFC 4862)");
        }
        let AdvertiseSpec { lifetime, interval, valid, preferred, dns, .. } = spec.clone();
        Some(Advertise { lifetime, interval, valid, preferred, dns })
    }
}
