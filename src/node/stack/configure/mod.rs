//! How an interface comes by its addresses, besides those that it is given: DHCPv4, router advertisements, and the
//! question whether somebody else has them already.
//!
//! ```text
//! given by the scenario --> duplicate.rs ------.
//! dhcp.rs       lease, with an ARP probe -------+--> apply: what the interface has now (rebind.rs), routes, DNS servers
//! slaac.rs      prefixes --> duplicate.rs ------'
//! ```
//!
//! Addresses that are given are used at once, while they are still asked about, and given up if somebody objects (in the
//! manner of RFC 4429); those that are made of prefixes are used once nobody did. Where RFC 4862 and RFC 4861 would have
//! a host wait for up to a second before its first question, lest all hosts of a link speak at once, none waits here.
//!
//! Sans-IO as all of the stack: frames of other hosts go in by `heard_*`, time by `configure_due`.

mod dhcp;
mod duplicate;
mod packet;
mod slaac;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use smoltcp::config::IFACE_MAX_ADDR_COUNT;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, ETHERNET_HEADER_LEN, EthernetFrame, EthernetProtocol, Icmpv6Packet,
    Icmpv6Repr, IpCidr, IpProtocol, Ipv6Cidr, Ipv6Packet, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use super::Stack;
use crate::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT};
use crate::network::{Automatic, Frame, Route};
use crate::time::Instant;
use duplicate::{Standing, Tests};

/// ff02::1
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// One interface's.
pub(super) struct Configuration {
    automatic: Automatic,
    given: Vec<IpCidr>,
    tests: Tests,
    dhcp: Option<dhcp::Client>,
    slaac: Option<slaac::Host>,
    begun: bool,
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
        let mac = self.interfaces[index].mac;
        let Some(configuration) = &mut self.configurations[index] else { return };
        configuration.begun = true;
        let mut out = Vec::new();
        let Configuration { given, tests, dhcp, slaac, automatic, .. } = &mut **configuration;
        tests.poll(now);
        if let Some(client) = dhcp {
            client.poll(now, &mut self.rng, &mut out);
        }
        if let Some(host) = slaac {
            let own = given.iter().filter_map(v6).find(|own| own.is_unicast_link_local());
            let own = own.filter(|&own| tests.standing(own) != Standing::Duplicate);
            host.poll(now, own, &mut out);
        }
        let made = slaac.iter().flat_map(|host| host.made()).map(|made| made.address);
        let asked: Vec<Ipv6Addr> = given.iter().filter_map(v6).chain(made).collect();
        tests.retain(|address| asked.contains(&address));
        if automatic.detect {
            out.extend(asked.into_iter().filter_map(|address| tests.begin(now, mac, address)));
        }
        self.egress.extend(out.into_iter().map(|bytes| (index, Frame::new(bytes))));
        self.apply(index);
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

    /// The addresses that the interface is given are others now.
    pub(super) fn regive(&mut self, now: Instant, index: usize, addresses: &[IpCidr]) {
        match self.configurations.get_mut(index) {
            Some(Some(configuration)) => {
                configuration.given = addresses.to_vec();
                self.configure_interface(now, index);
            }
            Some(None) | None => self.set_addresses(index, addresses),
        }
    }

    /// A datagram from port 67 to port 68: true if it was for the client of this interface.
    pub(super) fn heard_dhcp(
        &mut self,
        now: Instant,
        index: usize,
        ports: [u16; 2],
        frame: &[u8],
        payload: &[u8],
    ) -> bool {
        if ports != [SERVER_PORT, CLIENT_PORT] {
            return false;
        }
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
        let Some(client) = &mut configuration.dhcp else { return false };
        match Message::parse(payload) {
            Some(message) => {
                let mut out = Vec::new();
                let from = EthernetFrame::new_unchecked(frame).src_addr();
                client.ingest(now, &mut self.rng, from, &message, &mut out);
                self.egress.extend(out.into_iter().map(|bytes| (index, Frame::new(bytes))));
                self.configure_interface(now, index);
            }
            None => self.statistics.malformed += 1,
        }
        true
    }

    /// An ARP packet: true if it was a probe that was answered here. smoltcp answers nobody who has no address.
    pub(super) fn heard_arp(&mut self, now: Instant, index: usize, frame: &[u8]) -> bool {
        let Ok(packet) = ArpPacket::new_checked(&frame[ETHERNET_HEADER_LEN..]) else { return false };
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: mac,
            source_protocol_addr: source,
            target_protocol_addr: target,
            ..
        }) = ArpRepr::parse(&packet)
        else {
            return false;
        };
        let own = self.interfaces[index].mac;
        let probe = source.is_unspecified() && operation == ArpOperation::Request;
        if probe && mac.is_unicast() && mac != own && self.has_address(index, target.into()) {
            let reply = packet::arp_reply(own, target, mac);
            self.egress.push((index, Frame::new(reply)));
            return true;
        }
        // RFC 5227, section 2.1.1: somebody has it, or probes for it as we do.
        let claimed = if probe { target } else { source };
        if let Some(Some(configuration)) = self.configurations.get_mut(index)
            && let Some(client) = &mut configuration.dhcp
        {
            let mut out = Vec::new();
            if client.heard(now, claimed, mac, &mut out) {
                self.statistics.address_conflicts += 1;
                self.egress.extend(out.into_iter().map(|bytes| (index, Frame::new(bytes))));
                self.configure_interface(now, index);
            }
        }
        false
    }

    /// A neighbour discovery message: true if nobody else has to see it.
    pub(super) fn heard_icmpv6(&mut self, now: Instant, index: usize, frame: &[u8]) -> bool {
        let Some(heard) = Heard::parse(frame) else { return false };
        match heard.message[0] {
            NEIGHBOUR_SOLICITATION if heard.source.is_unspecified() => {
                let Some(target) = heard.target() else { return false };
                if !self.contested(now, index, target) && self.has_address(index, target.into()) {
                    let advert = self.advertise_address(index, target);
                    self.egress.push((index, Frame::new(advert)));
                }
                true
            }
            NEIGHBOUR_ADVERTISEMENT => {
                heard.target().is_some_and(|target| self.contested(now, index, target))
            }
            ROUTER_ADVERTISEMENT if heard.source.is_unicast_link_local() => {
                let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
                let Some(host) = &mut configuration.slaac else { return false };
                if host.ingest(now, heard.source, heard.message) {
                    self.configure_interface(now, index);
                } else {
                    self.statistics.malformed += 1;
                }
                true
            }
            _ => false,
        }
    }

    /// Somebody else wants, or has, an address that is tested here. True if that ends the test.
    fn contested(&mut self, now: Instant, index: usize, address: Ipv6Addr) -> bool {
        let Some(Some(configuration)) = self.configurations.get_mut(index) else { return false };
        let contested = configuration.tests.contested(address);
        if contested {
            self.statistics.address_conflicts += 1;
            self.configure_interface(now, index);
        }
        contested
    }

    fn has_address(&self, index: usize, address: IpAddr) -> bool {
        self.interfaces[index].addresses.iter().any(|cidr| IpAddr::from(cidr.address()) == address)
    }

    /// To all nodes, as the answer to somebody without an address (RFC 4861, section 7.2.4).
    fn advertise_address(&self, index: usize, address: Ipv6Addr) -> Bytes {
        let mac = self.interfaces[index].mac;
        let advert = NdiscRepr::NeighborAdvert {
            flags: NdiscNeighborFlags::OVERRIDE,
            target_addr: address,
            lladdr: Some(RawHardwareAddress::from(mac)),
        };
        packet::icmpv6(mac, address, ALL_NODES, &Icmpv6Repr::Ndisc(advert))
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

/// An ICMPv6 message that no router sent on.
struct Heard<'a> {
    source: Ipv6Addr,
    /// At least eight bytes.
    message: &'a [u8],
}

impl<'a> Heard<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return None;
        }
        let bytes = &frame[ETHERNET_HEADER_LEN..];
        let packet = Ipv6Packet::new_checked(bytes).ok()?;
        if packet.next_header() != IpProtocol::Icmpv6 || packet.hop_limit() != 255 {
            return None;
        }
        let message = bytes.get(packet.header_len()..packet.total_len())?;
        Icmpv6Packet::new_checked(message).ok()?;
        (message.len() >= 8).then_some(Heard { source: packet.src_addr(), message })
    }

    /// Of a neighbour solicitation or advertisement.
    fn target(&self) -> Option<Ipv6Addr> {
        let octets = <[u8; 16]>::try_from(self.message.get(8..24)?).ok()?;
        Some(Ipv6Addr::from(octets)).filter(|target| !target.is_multicast() && self.message[1] == 0)
    }
}
