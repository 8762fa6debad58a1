//! Router: forwards IPv4 and IPv6 between the subnets of its interfaces.
//!
//! ```text
//! ingest --> ethernet --> arp.rs                      answers, learns
//!                     --> ipv4.rs, ipv6.rs            checks, TTL, route
//!                             |      \--> dhcp.rs     a DHCP server at an interface
//!                             |      \--> local.rs    echo, refusals: what the router itself answers
//!                             |       --> icmp.rs     errors back to the sender, rate limited
//!                             |       --> ndp.rs      neighbour solicitations and advertisements
//!                             |       --> advertise.rs   router advertisements
//!                             v
//!                          routes.rs                  longest prefix
//!                             v
//!                          output.rs --> ../neighbours.rs  who has the next hop? wait, ask, give up
//!                             v
//!                          ../ip/fragment.rs          IPv4 packets larger than the next link
//! poll ----> ../neighbours.rs                            asks again, gives up
//! ```
//!
//! Sans-IO like everything in the network: `now` goes in, frames come out, nothing here reads a clock
//! or draws a random number. A forwarded packet keeps its [`PacketId`](super::PacketId); a frame that the
//! router makes has none. Bytes of any kind may come in: what cannot be understood is counted and dropped.
//! This folder parses and builds with `smoltcp::wire` alone and knows nothing of links and stacks.
//!
//! Left out: reassembly (a fragmented echo request to the router itself goes
//! unanswered), multicast forwarding, redirects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, EthernetProtocol, IpCidr, Ipv4Cidr, Ipv6Cidr};

use super::dhcp::Server;
use super::ip::{ETHERNET_HEADER_BYTES, link_local};
use super::neighbours::{Limits, Neighbours, Waiting};
use super::{Checksums, Egress, Frame, InterfaceConfig, Route};
use crate::time::Instant;

mod advertise;
mod arp;
mod bucket;
mod dhcp;
mod icmp;
mod ipv4;
mod ipv6;
mod local;
mod ndp;
mod output;
mod packet;
mod routes;
#[cfg(test)]
mod tests;

pub use advertise::Advertise;

use advertise::Advertiser;
use bucket::TokenBucket;
use packet::Packet;
use routes::{RoutingTable, Target};

/// What one interface keeps of its neighbours.
const NEIGHBOURS: Limits = Limits {
    queue_packets: 3,
    queue_bytes: usize::MAX,
    entries: 16_384,
    unresolved: 1024,
    unresolved_bytes: 4 * 1024 * 1024,
};

impl Waiting for Packet {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What a router did so far, in frames coming in unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub received: u64,
    /// Packets sent on towards their destination. Fragments of one packet count once.
    pub forwarded: u64,
    /// Addressed to the router itself: echo requests, ARP, neighbour discovery and the like.
    pub delivered: u64,
    /// Frames that the router made: answers, errors, questions for neighbours.
    pub originated: u64,
    /// To another Ethernet address, or by a port that the router does not have.
    pub not_for_us: u64,
    /// Neither for the router nor to be forwarded: multicast, broadcast, unknown protocols.
    pub ignored: u64,
    /// Cut short, or against its protocol's format.
    pub malformed: u64,
    pub bad_checksum: u64,
    /// From or to an address that may not be routed (RFC 1812 5.3.7).
    pub martian: u64,
    pub no_route: u64,
    /// TTL or hop limit used up.
    pub expired: u64,
    /// Larger than the next link, and not to be fragmented.
    pub too_big: u64,
    /// Packets cut into fragments.
    pub fragmented: u64,
    /// Packets whose next hop did not answer.
    pub unresolved: u64,
    /// Packets dropped because too many waited for a neighbour's address.
    pub queue_full: u64,
    /// ICMP errors sent.
    pub errors_sent: u64,
    /// ICMP errors not sent because of the rate limit.
    pub errors_limited: u64,
}

/// Why a frame went no further. Each is a counter of [`Statistics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discard {
    NotForUs,
    Ignored,
    Malformed,
    BadChecksum,
    Martian,
    NoRoute,
    Expired,
    TooBig,
}

/// One of the router's interfaces; its index is its port.
#[derive(Debug)]
struct Interface {
    mac: EthernetAddress,
    mtu: usize,
    ipv4: Vec<Ipv4Cidr>,
    /// With a link-local address, configured or made from the MAC.
    ipv6: Vec<Ipv6Cidr>,
    neighbours: Neighbours<Packet>,
    /// Limits the ICMP errors caused by what comes in here, so that one guest cannot use up another's.
    errors: TokenBucket,
    advertiser: Option<Box<Advertiser>>,
    dhcp: Option<Box<Server>>,
}

/// A router with one port for each interface.
#[derive(Debug)]
pub struct Router {
    interfaces: Vec<Interface>,
    routes: RoutingTable,
    /// What the table is made of.
    configs: Vec<InterfaceConfig>,
    static_routes: Vec<Route>,
    statistics: Statistics,
    /// Identification of the next IPv4 packet that the router makes.
    next_identification: u16,
}

impl Router {
    /// A router for these interfaces and the subnets on them. A route whose next hop is on none of
    /// those subnets cannot be used and is left out.
    pub fn new(interfaces: &[InterfaceConfig], routes: &[Route]) -> Self {
        Self {
            interfaces: interfaces.iter().map(Interface::new).collect(),
            routes: RoutingTable::new(interfaces, routes),
            configs: interfaces.to_vec(),
            static_routes: routes.to_vec(),
            statistics: Statistics::default(),
            next_identification: 0,
        }
    }

    pub fn statistics(&self) -> Statistics {
        let queue_full: u64 = self.interfaces.iter().map(|interface| interface.neighbours.dropped()).sum();
        Statistics { queue_full, ..self.statistics }
    }

    /// Packets that wait for a neighbour's Ethernet address.
    pub fn waiting(&self) -> usize {
        self.interfaces.iter().map(|interface| interface.neighbours.waiting()).sum()
    }

    /// Takes a frame that arrived at `port` and appends what leaves because of it.
    pub fn ingest(&mut self, now: Instant, port: usize, frame: Frame, out: &mut Egress) {
        self.statistics.received += 1;
        if let Err(discard) = self.ingest_ethernet(now, port, frame, out) {
            self.count(discard);
        }
    }

    /// Asks again for neighbours that did not answer, gives up on those asked three times, and advertises.
    pub fn poll(&mut self, now: Instant, out: &mut Egress) {
        for port in 0..self.interfaces.len() {
            self.advertise_if_due(now, port, out);
            while let Some(due) = self.interfaces[port].neighbours.poll(now) {
                self.neighbour_due(now, port, due, out);
            }
        }
    }

    /// When [`Router::poll`] next has something to do; `None` while no neighbour is being asked and nothing advertised.
    pub fn poll_at(&self) -> Option<Instant> {
        let of = |interface: &Interface| {
            let advertisement = interface.advertiser.as_ref().map(|advertiser| advertiser.next());
            [interface.neighbours.poll_at(), advertisement].into_iter().flatten().min()
        };
        self.interfaces.iter().filter_map(of).min()
    }

    /// Gives the interface at `port` these addresses in place of those that it has. Of the router's routes those count
    /// whose next hop is on a subnet of it still.
    pub fn rebind(&mut self, now: Instant, port: usize, addresses: &[IpCidr]) {
        self.configs[port].addresses = addresses.to_vec();
        self.routes = RoutingTable::new(&self.configs, &self.static_routes);
        let fresh = Interface::new(&self.configs[port]);
        let interface = &mut self.interfaces[port];
        let before = std::mem::replace(&mut interface.ipv6, fresh.ipv6);
        interface.ipv4 = fresh.ipv4;
        // Whoever was known at an address may be somebody else at the next.
        interface.neighbours = Neighbours::new(&NEIGHBOURS);
        self.prefixes_changed(now, port, &before);
    }

    fn ingest_ethernet(
        &mut self,
        now: Instant,
        port: usize,
        frame: Frame,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let interface = self.interfaces.get(port).ok_or(Discard::NotForUs)?;
        let header = frame.bytes.first_chunk::<ETHERNET_HEADER_BYTES>().ok_or(Discard::Malformed)?;
        let to = EthernetAddress::from_bytes(&header[0..6]);
        let from = EthernetAddress::from_bytes(&header[6..12]);
        if to != interface.mac && !to.is_multicast() {
            return Err(Discard::NotForUs);
        }
        if !from.is_unicast() {
            return Err(Discard::Malformed);
        }
        match EthernetProtocol::from(u16::from_be_bytes([header[12], header[13]])) {
            EthernetProtocol::Arp => self.ingest_arp(now, port, &frame.bytes[ETHERNET_HEADER_BYTES..], out),
            EthernetProtocol::Ipv4 => self.ingest_ipv4(now, port, frame, out),
            EthernetProtocol::Ipv6 => self.ingest_ipv6(now, port, frame, out),
            EthernetProtocol::Unknown(_) => Err(Discard::Ignored),
        }
    }

    fn count(&mut self, discard: Discard) {
        let statistics = &mut self.statistics;
        *match discard {
            Discard::NotForUs => &mut statistics.not_for_us,
            Discard::Ignored => &mut statistics.ignored,
            Discard::Malformed => &mut statistics.malformed,
            Discard::BadChecksum => &mut statistics.bad_checksum,
            Discard::Martian => &mut statistics.martian,
            Discard::NoRoute => &mut statistics.no_route,
            Discard::Expired => &mut statistics.expired,
            Discard::TooBig => &mut statistics.too_big,
        } += 1;
    }
}

impl Interface {
    fn new(config: &InterfaceConfig) -> Self {
        let mut ipv4 = vec![];
        let mut ipv6 = vec![];
        for address in &config.addresses {
            match address {
                IpCidr::Ipv4(cidr) => ipv4.push(*cidr),
                IpCidr::Ipv6(cidr) => ipv6.push(*cidr),
            }
        }
        // Every IPv6 interface has a link-local address (RFC 4291 2.1).
        if !ipv6.is_empty() && !ipv6.iter().any(|cidr| cidr.address().is_unicast_link_local()) {
            ipv6.push(link_local(config.mac));
        }
        Self {
            mac: config.mac,
            mtu: config.mtu,
            ipv4,
            ipv6,
            neighbours: Neighbours::new(&NEIGHBOURS),
            errors: TokenBucket::new(),
            advertiser: None,
            dhcp: None,
        }
    }

    /// The address to speak to `peer` with: the one on its subnet, else the first that may be routed.
    fn ipv4_towards(&self, peer: Ipv4Addr) -> Option<Ipv4Addr> {
        let on_subnet = self.ipv4.iter().find(|cidr| cidr.contains_addr(&peer));
        on_subnet.or_else(|| self.ipv4.first()).map(|cidr| cidr.address())
    }

    /// Like [`Interface::ipv4_towards`]; a link-local peer gets the link-local address.
    fn ipv6_towards(&self, peer: Ipv6Addr) -> Option<Ipv6Addr> {
        let is_link_local = |cidr: &&Ipv6Cidr| cidr.address().is_unicast_link_local();
        let on_subnet = self.ipv6.iter().find(|cidr| cidr.contains_addr(&peer));
        on_subnet.or_else(|| self.ipv6.iter().find(|cidr| !is_link_local(cidr))).map(|cidr| cidr.address())
    }

    /// True if the address is this interface's own.
    fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4.iter().any(|cidr| cidr.address() == address),
            IpAddr::V6(address) => self.ipv6.iter().any(|cidr| cidr.address() == address),
        }
    }
}

/// True if checksums inside the frame have to be looked at.
fn must_verify(frame: &Frame) -> bool {
    match frame.checksums {
        Checksums::Valid => false,
        Checksums::Unverified => true,
    }
}
