//! How an interface comes by its addresses, besides those that it is given: DHCPv4, router advertisements, and the
//! question whether somebody else has them already.
//!
//! ```text
//! given by the scenario --> duplicate.rs ------.
//! dhcp/         lease, with an ARP probe -------+--> apply: what the interface has now (rebind.rs), routes, DNS servers
//! slaac.rs      prefixes --> duplicate.rs ------'
//! ```
//!
//! Addresses that are given are used at once, while they are still asked about, and given up if somebody objects (in the
//! manner of RFC 4429); those that are made of prefixes are used once nobody did. Where RFC 4862 and RFC 4861 would have
//! a host wait for up to a second before its first question, lest all hosts of a link speak at once, none waits here.
//!
//! Sans-IO as all of the stack: what others say goes in by `heard_*` and `contested`, time by `configure_due`.

mod dhcp;
mod duplicate;
mod slaac;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::config::IFACE_MAX_ADDR_COUNT;
use smoltcp::wire::{
    EthernetAddress, IpCidr, IpProtocol, Ipv4Packet, Ipv6Cidr, Ipv6Packet, UDP_HEADER_LEN, UdpPacket,
};

use super::Stack;
use crate::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT};
use crate::network::ip::arp;
use crate::network::ip::ndp::{HOP_LIMIT_OF_NEIGHBOURS, ROUTER_ADVERTISEMENT, group_mac};
use crate::network::{Automatic, Route};
use crate::time::Instant;
use duplicate::{Standing, Tests};

/// One interface's.
pub(super) struct Configuration {
    automatic: Automatic,
    given: Vec<IpCidr>,
    tests: Tests,
    dhcp: Option<dhcp::Client>,
    slaac: Option<slaac::Host>,
    begun: bool,
    /// New addresses that neighbours are told of once they have passed their test.
    unannounced: Vec<Ipv6Addr>,
    /// Addresses that are valid still, and no longer preferred.
    deprecated: Vec<Ipv6Addr>,
}

impl Stack {
    /// Has interface `index` configure itself; before the stack is first polled.
    pub fn configure(&mut self, index: usize, automatic: Automatic) {
        if automatic == Automatic::default() {
            return;
        }
        let interfaces = &self.interfaces;
        if self.configurations.is_empty() {
            self.configurations.resize_with(interfaces.len(), || None);
        }
        let mac = interfaces[index].mac;
        self.configurations[index] = Some(Box::new(Configuration {
            automatic,
            given: interfaces[index].addresses.clone(),
            tests: Tests::default(),
            dhcp: automatic.dhcp.then(|| dhcp::Client::new(mac)),
            slaac: automatic.slaac.then(|| slaac::Host::new(mac)),
            begun: false,
            unannounced: Vec::new(),
            deprecated: Vec::new(),
        }));
    }

    /// True once every interface has what it waits for: a lease, and an address of a prefix.
    pub fn is_configured(&self) -> bool {
        self.configurations.iter().flatten().all(|configuration| configuration.is_complete())
    }

    /// Servers of names that DHCP and router advertisements tell of, in the order of interfaces.
    pub fn dns_servers(&self) -> Vec<IpAddr> {
        let of = |configuration: &Configuration| -> Vec<IpAddr> {
            let lease = configuration.dhcp.as_ref().and_then(|client| client.lease());
            let v4 = lease.into_iter().flat_map(|lease| lease.dns.iter().copied().map(IpAddr::V4));
            let v6 = configuration.slaac.iter().flat_map(|host| host.dns().map(IpAddr::V6));
            v4.chain(v6).collect()
        };
        self.configurations.iter().flatten().flat_map(|configuration| of(configuration)).collect()
    }

    /// True if it has not had its first turn.
    pub(super) fn configuration_begins(&self) -> bool {
        self.configurations.iter().flatten().any(|configuration| !configuration.begun)
    }

    pub(super) fn configuration_poll_at(&self) -> Option<Instant> {
        self.configure_at
    }

    /// Does what is due of every interface.
    pub(super) fn configure_due(&mut self, now: Instant) {
        if self.configure_at.is_none_or(|at| at > now) && !self.configuration_begins() {
            return;
        }
        for index in 0..self.configurations.len() {
            self.configure_interface(now, index);
        }
    }

    fn configure_interface(&mut self, now: Instant, index: usize) {
        let Some(configuration) = &mut self.configurations[index] else { return };
        configuration.begun = true;
        let (mut leases, mut questions) = (Vec::new(), Vec::new());
        let Configuration { given, tests, dhcp, slaac, automatic, unannounced, deprecated, .. } =
            &mut **configuration;
        let mut unique = tests.poll(now);
        unique.retain(|address| unannounced.contains(address));
        unannounced.retain(|address| !unique.contains(address));
        if let Some(client) = dhcp {
            client.poll(now, &mut self.rng, &mut leases);
        }
        if let Some(host) = slaac {
            let own = given.iter().filter_map(v6).find(|own| own.is_unicast_link_local());
            let own = own.filter(|&own| tests.standing(own) != Standing::Duplicate);
            host.poll(now, own, &mut questions);
        }
        let made = || slaac.iter().flat_map(|host| host.made());
        *deprecated = made().filter(|made| made.preferred_until <= now).map(|made| made.address).collect();
        let made = made().map(|made| made.address);
        let asked: Vec<Ipv6Addr> = given.iter().filter_map(v6).chain(made).collect();
        tests.retain(|address| asked.contains(&address));
        if automatic.detect {
            questions.extend(asked.into_iter().filter_map(|address| tests.begin(now, address)));
        }
        self.send_dhcp(now, index, leases);
        for (group, packet) in questions {
            self.transmit_ndp(index, group_mac(group), &packet);
        }
        self.apply(index);
        unique.into_iter().for_each(|address| self.announce(index, address.into()));
        let polls = self.configurations.iter().flatten();
        self.configure_at = polls.filter_map(|configuration| configuration.poll_at(now)).min();
    }

    /// Gives the interface what it should have now, if that is not what it has.
    fn apply(&mut self, index: usize) {
        let Some(configuration) = &self.configurations[index] else { return };
        let addresses = configuration.addresses();
        let routes: Vec<_> = configuration.routes().into_iter().map(|route| (index, route)).collect();
        let learned = self.learned.iter().filter(|&&(interface, _)| interface == index);
        if addresses != self.interfaces[index].addresses || !learned.eq(&routes) {
            self.learned.retain(|&(interface, _)| interface != index);
            self.learned.extend(routes);
            self.set_addresses(index, &addresses);
        }
    }

    /// True if an address is not to be told of yet.
    pub(super) fn is_unannounced(&self, index: usize, address: IpAddr) -> bool {
        let unannounced = self.configurations.get(index).and_then(Option::as_ref).map(|it| &it.unannounced);
        unannounced.is_some_and(|list| list.iter().any(|&other| address == IpAddr::V6(other)))
    }

    /// Instead of an address that is not to be used for new flows while there are others, another of its scope
    /// (RFC 6724, rule 3).
    pub(super) fn preferred(&self, index: usize, address: Ipv6Addr) -> Ipv6Addr {
        let Some(Some(configuration)) = self.configurations.get(index) else { return address };
        let deprecated = &configuration.deprecated;
        let fits = |other: &Ipv6Addr| {
            !deprecated.contains(other) && other.is_unicast_link_local() == address.is_unicast_link_local()
        };
        if !deprecated.contains(&address) {
            return address;
        }
        self.interfaces[index].addresses.iter().filter_map(v6).find(fits).unwrap_or(address)
    }

    /// The addresses that the interface is given are others now.
    pub(super) fn regive(&mut self, now: Instant, index: usize, addresses: &[IpCidr]) {
        match self.configurations.get_mut(index) {
            Some(Some(configuration)) => {
                let before = std::mem::replace(&mut configuration.given, addresses.to_vec());
                let new = addresses.iter().filter(|cidr| !before.contains(cidr)).filter_map(v6);
                configuration.unannounced =
                    if configuration.automatic.detect { new.collect() } else { Vec::new() };
                self.configure_interface(now, index);
            }
            Some(None) | None => self.set_addresses(index, addresses),
        }
    }

    /// A packet that is for the DHCP client of this interface: true if it was.
    pub(super) fn heard_dhcp(&mut self, now: Instant, index: usize, ip: &[u8]) -> bool {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
        let Some(client) = &mut configuration.dhcp else { return false };
        let Some(payload) = to_client(ip) else { return false };
        match Message::parse(payload) {
            Some(message) => {
                let mut out = Vec::new();
                client.ingest(now, &mut self.rng, &message, &mut out);
                self.send_dhcp(now, index, out);
                self.configure_interface(now, index);
            }
            None => self.statistics.malformed += 1,
        }
        true
    }

    fn send_dhcp(&mut self, now: Instant, index: usize, out: Vec<dhcp::Send>) {
        for send in out {
            match send {
                dhcp::Send::Packet(packet) => self.send(now, index, packet),
                dhcp::Send::Probe(target) => {
                    let probe = arp::request(self.interfaces[index].mac, Ipv4Addr::UNSPECIFIED, target);
                    self.transmit_arp(index, EthernetAddress::BROADCAST, probe);
                }
            }
        }
    }

    /// Whoever is at `mac` has this address, or is about to take it.
    pub(super) fn heard_claim(
        &mut self,
        now: Instant,
        index: usize,
        address: Ipv4Addr,
        mac: EthernetAddress,
    ) {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return };
        let Some(client) = &mut configuration.dhcp else { return };
        let mut out = Vec::new();
        if client.heard(now, address, mac, &mut out) {
            self.statistics.address_conflicts += 1;
            self.send_dhcp(now, index, out);
            self.configure_interface(now, index);
        }
    }

    /// A router advertisement: true if it was one, and this interface listens to them.
    pub(super) fn heard_router(&mut self, now: Instant, index: usize, ip: &[u8]) -> bool {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
        let Some(host) = &mut configuration.slaac else { return false };
        let Some((router, message)) = advertisement(ip) else { return false };
        if host.ingest(now, router, message) {
            self.configure_interface(now, index);
        } else {
            self.statistics.malformed += 1;
        }
        true
    }

    /// Nobody answers at `address`: if that is the default router, another one is, if there is any (RFC 4861, section 6.3.6).
    pub(super) fn router_is_silent(&mut self, index: usize, address: IpAddr) {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return };
        if let (Some(host), IpAddr::V6(router)) = (&mut configuration.slaac, address)
            && host.is_silent(router)
        {
            self.apply(index);
        }
    }

    /// Somebody else wants, or has, an address that is tested here. True if that ends the test.
    pub(super) fn contested(&mut self, now: Instant, index: usize, address: Ipv6Addr) -> bool {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
        let contested = configuration.tests.contested(address);
        if contested {
            self.statistics.address_conflicts += 1;
            self.configure_interface(now, index);
        }
        contested
    }
}

impl Configuration {
    fn is_complete(&self) -> bool {
        let leased = self.dhcp.as_ref().is_none_or(|client| client.lease().is_some());
        let made = self
            .slaac
            .as_ref()
            .is_none_or(|host| host.made().iter().any(|made| self.is_usable(made.address)));
        leased && made
    }

    /// Made addresses have to pass their test first.
    fn is_usable(&self, address: Ipv6Addr) -> bool {
        match self.tests.standing(address) {
            Standing::Untested => !self.automatic.detect,
            Standing::Unique => true,
            Standing::Tentative | Standing::Duplicate => false,
        }
    }

    /// In the order in which they are preferred as sources (RFC 6724, rule 3): deprecated ones last.
    fn addresses(&self) -> Vec<IpCidr> {
        let free = |cidr: &&IpCidr| v6(cidr).is_none_or(|it| self.tests.standing(it) != Standing::Duplicate);
        let mut addresses: Vec<IpCidr> = self.given.iter().filter(free).copied().collect();
        let lease = self.dhcp.as_ref().and_then(|client| client.lease());
        addresses.extend(lease.map(|lease| IpCidr::Ipv4(lease.address)));
        let mut made: Vec<slaac::Made> = self
            .slaac
            .iter()
            .flat_map(|host| host.made())
            .filter(|made| self.is_usable(made.address))
            .copied()
            .collect();
        made.sort_by_key(|made| std::cmp::Reverse(made.preferred_until));
        for made in made {
            let cidr = IpCidr::Ipv6(Ipv6Cidr::new(made.address, made.prefix_len));
            if addresses.iter().all(|other| other.address() != cidr.address()) {
                addresses.push(cidr);
            }
        }
        addresses.truncate(IFACE_MAX_ADDR_COUNT);
        addresses
    }

    fn routes(&self) -> Vec<Route> {
        let everywhere = |via: IpAddr, all: IpAddr| Route { prefix: IpCidr::new(all.into(), 0), via };
        let lease = self.dhcp.as_ref().and_then(|client| client.lease());
        let v4 = lease.and_then(|lease| {
            // One that is off the subnet cannot be reached.
            let router = lease.routers.iter().find(|&router| lease.address.contains_addr(router))?;
            Some(everywhere((*router).into(), Ipv4Addr::UNSPECIFIED.into()))
        });
        let v6 = self.slaac.as_ref().and_then(|host| host.router());
        let v6 = v6.map(|router| everywhere(router.into(), Ipv6Addr::UNSPECIFIED.into()));
        v4.into_iter().chain(v6).collect()
    }

    fn poll_at(&self, now: Instant) -> Option<Instant> {
        let dhcp = self.dhcp.as_ref().map(|client| client.poll_at());
        let slaac = self.slaac.as_ref().and_then(|host| host.poll_at(now));
        [dhcp, slaac, self.tests.poll_at()].into_iter().flatten().filter(|&at| at < Instant::FAR_FUTURE).min()
    }
}

fn v6(cidr: &IpCidr) -> Option<Ipv6Addr> {
    match cidr {
        IpCidr::Ipv6(cidr) => Some(cidr.address()),
        IpCidr::Ipv4(_) => None,
    }
}

/// The payload of a whole datagram from a server to a client.
fn to_client(ip: &[u8]) -> Option<&[u8]> {
    let packet = Ipv4Packet::new_checked(ip).ok()?;
    let whole = packet.version() == 4 && !packet.more_frags() && packet.frag_offset() == 0;
    if !whole || packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let bytes = ip.get(usize::from(packet.header_len())..usize::from(packet.total_len()))?;
    let datagram = UdpPacket::new_checked(bytes).ok()?;
    let ports = datagram.src_port() == SERVER_PORT && datagram.dst_port() == CLIENT_PORT;
    ports.then(|| bytes.get(UDP_HEADER_LEN..usize::from(datagram.len()))).flatten()
}

/// The router and the message of an advertisement that no router sent on (RFC 4861, section 6.1.2).
fn advertisement(ip: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let packet = Ipv6Packet::new_checked(ip).ok()?;
    let router = packet.src_addr();
    if packet.version() != 6
        || packet.next_header() != IpProtocol::Icmpv6
        || packet.hop_limit() != HOP_LIMIT_OF_NEIGHBOURS
        || !router.is_unicast_link_local()
    {
        return None;
    }
    let message = ip.get(packet.header_len()..packet.total_len())?;
    (message.first() == Some(&ROUTER_ADVERTISEMENT)).then_some((router, message))
}
