//! The link below IP: frames in, frames out, and who is at which Ethernet address.
//!
//! smoltcp sees IP packets alone. It would hold a socket back while its neighbour's address is asked for, and ask for
//! one address a second, whoever needs it: here a packet waits for its own neighbour and no other, and whoever sent
//! it learns that nobody answers. ARP is RFC 826, neighbour discovery RFC 4861.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{Buf, Bytes, BytesMut};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, IpCidr, Ipv6Packet,
};

use super::demux::{self, Quoted, Unreachable};
use super::udp::Carried;
use super::{Stack, Statistics};
use crate::network::ip::ndp::{
    ALL_NODES, FLAG_OVERRIDE, FLAG_SOLICITED, OPTION_SOURCE_ADDRESS, OPTION_TARGET_ADDRESS, finish,
    group_mac, message, parse, solicited_node,
};
use crate::network::ip::{ETHERNET_HEADER_BYTES, IPV6_HEADER_BYTES, with_room, write_ethernet};
use crate::network::neighbours::{Due, Limits, Lookup, Neighbours, Waiting};
use crate::network::{Frame, checksum};
use crate::time::Instant;

/// What one interface keeps. A datagram of 64 KiB has to fit in fragments of the smallest MTU.
const NEIGHBOURS: Limits = Limits {
    queue_packets: 256,
    queue_bytes: 256 * 1024,
    entries: 4096,
    unresolved: 256,
    unresolved_bytes: 1024 * 1024,
};
/// What it costs to keep a packet, besides its bytes.
const PACKET_OVERHEAD: usize = 128;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// An IP packet with room for the Ethernet header in front.
#[derive(Debug)]
pub(super) struct Outgoing(BytesMut);

impl Waiting for Outgoing {
    fn bytes(&self) -> usize {
        self.0.len() + PACKET_OVERHEAD
    }
}

/// An interface's side of its link.
#[derive(Debug)]
pub(super) struct Link {
    mac: EthernetAddress,
    neighbours: Neighbours<Outgoing>,
    /// Where the last packet went: a destination, its next hop's Ethernet address, and until when that holds.
    last: Option<(IpAddr, EthernetAddress, Instant)>,
}

impl Link {
    pub fn new(mac: EthernetAddress) -> Self {
        Self { mac, neighbours: Neighbours::new(&NEIGHBOURS), last: None }
    }

    pub fn poll_at(&self) -> Option<Instant> {
        self.neighbours.poll_at()
    }

    /// True if no packet waits for a neighbour.
    pub fn is_drained(&self) -> bool {
        self.neighbours.is_drained()
    }

    /// Packets dropped because there was no room to wait.
    pub fn dropped(&self) -> u64 {
        self.neighbours.dropped()
    }

    /// Forgets everybody: the interface has other addresses.
    pub fn forget(&mut self) {
        self.last = None;
        self.neighbours.retain(|_| false);
    }
}

impl Stack {
    /// A frame at interface `index`, of which the checksums hold.
    pub(super) fn receive_frame(&mut self, now: Instant, index: usize, frame: Bytes) {
        if self.try_receive_frame(now, index, frame).is_none() {
            self.statistics.malformed += 1;
        }
    }

    /// `None`: cut short, or against its protocol's format.
    fn try_receive_frame(&mut self, now: Instant, index: usize, frame: Bytes) -> Option<()> {
        let header = frame.first_chunk::<ETHERNET_HEADER_BYTES>()?;
        let to = EthernetAddress::from_bytes(&header[0..6]);
        if to != self.interfaces[index].mac && !to.is_multicast() {
            return Some(());
        }
        let protocol = EthernetProtocol::from(u16::from_be_bytes([header[12], header[13]]));
        // Not a slice of it: whoever is the only one to have it may have it without a copy.
        let mut payload = frame;
        payload.advance(ETHERNET_HEADER_BYTES);
        match protocol {
            EthernetProtocol::Arp => self.receive_arp(now, index, &payload),
            EthernetProtocol::Ipv4 if payload.first()? >> 4 != 4 => None,
            EthernetProtocol::Ipv6 if payload.first()? >> 4 != 6 => None,
            EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => {
                if !self.heard_dhcp(now, index, &payload) {
                    self.receive(now, index, payload);
                }
                Some(())
            }
            EthernetProtocol::Unknown(_) => Some(()),
        }
    }

    /// Answers requests for our addresses, and learns from them and from answers. An announcement changes what is
    /// known, and adds nobody.
    fn receive_arp(&mut self, now: Instant, index: usize, arp: &[u8]) -> Option<()> {
        let packet = ArpPacket::new_checked(arp).ok()?;
        if packet.hardware_len() != 6 || packet.protocol_len() != 4 {
            return None;
        }
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: sender_mac,
            source_protocol_addr: sender,
            target_protocol_addr: target,
            ..
        } = ArpRepr::parse(&packet).ok()?
        else {
            return None;
        };
        if !sender_mac.is_unicast() || self.has(index, sender.into()) {
            return Some(());
        }
        // RFC 5227, 2.1.1: somebody has it, or probes for it as we do.
        self.heard_claim(now, index, if sender.is_unspecified() { target } else { sender }, sender_mac);
        let is_ours = self.has(index, target.into());
        let is_neighbour = self.is_on_link(index, sender.into()) && is_one_host(self, index, sender);
        let is_announcement = sender == target;
        if operation == ArpOperation::Request && is_ours {
            let reply = ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Reply,
                source_hardware_addr: self.interfaces[index].mac,
                source_protocol_addr: target,
                target_hardware_addr: sender_mac,
                target_protocol_addr: sender,
            };
            self.transmit_arp(index, sender_mac, reply);
        }
        // A probe (RFC 5227) has no sender yet.
        if !is_neighbour {
            return Some(());
        }
        match operation {
            ArpOperation::Request if is_ours => self.learn(now, index, sender.into(), sender_mac),
            ArpOperation::Reply if is_ours => self.answered(now, index, sender.into(), sender_mac),
            ArpOperation::Request | ArpOperation::Reply if is_announcement => {
                self.moved(now, index, sender.into(), sender_mac);
            }
            ArpOperation::Request | ArpOperation::Reply | ArpOperation::Unknown(_) => {}
        }
        Some(())
    }

    /// A neighbour solicitation (RFC 4861, 7.2.3 and 7.2.4); `ip` is the packet that has it.
    pub(super) fn receive_solicitation(&mut self, now: Instant, index: usize, ip: &[u8]) -> Option<()> {
        let (source, destination, hop_limit, message) = parts(ip)?;
        let (target, sender_mac) = parse(hop_limit, message, OPTION_SOURCE_ADDRESS)?;
        let is_probe = source.is_unspecified();
        if is_probe && (sender_mac.is_some() || destination != solicited_node(target)) {
            return None;
        }
        if is_probe && self.contested(now, index, target) {
            return Some(());
        }
        if !self.has(index, target.into()) || self.has(index, source.into()) {
            return Some(());
        }
        if is_probe {
            let reply = self.advertisement(index, target, FLAG_OVERRIDE);
            self.transmit_ndp(index, group_mac(ALL_NODES), &finish(target, ALL_NODES, reply));
            return Some(());
        }
        let reply = finish(target, source, self.advertisement(index, target, FLAG_SOLICITED | FLAG_OVERRIDE));
        match sender_mac {
            Some(mac) => {
                self.transmit_ndp(index, mac, &reply);
                if self.is_on_link(index, source.into()) {
                    self.learn(now, index, source.into(), mac);
                }
            }
            // A question to us alone need not say where it comes from.
            None => self.send(now, index, with_room(&reply)),
        }
        Some(())
    }

    /// A neighbour advertisement (RFC 4861, 7.2.5).
    pub(super) fn receive_advertisement(&mut self, now: Instant, index: usize, ip: &[u8]) -> Option<()> {
        let (_, destination, hop_limit, message) = parts(ip)?;
        let (target, mac) = parse(hop_limit, message, OPTION_TARGET_ADDRESS)?;
        let flags = message[4];
        let is_solicited = flags & FLAG_SOLICITED != 0;
        if is_solicited && destination.is_multicast() {
            return None;
        }
        if self.contested(now, index, target) {
            return Some(());
        }
        let Some(mac) = mac.filter(|_| !self.has(index, target.into())) else { return Some(()) };
        if is_solicited {
            self.answered(now, index, target.into(), mac);
        }
        if flags & FLAG_OVERRIDE != 0 {
            self.moved(now, index, target.into(), mac);
        }
        Some(())
    }

    /// Does what neighbours' timers call for.
    pub(super) fn neighbours_due(&mut self, now: Instant) {
        for index in 0..self.nics.len() {
            while let Some(due) = self.nics[index].link.as_mut().and_then(|link| {
                let due = link.neighbours.poll(now)?;
                link.last = None;
                Some(due)
            }) {
                match due {
                    Due::Ask(address) => self.ask(index, address),
                    Due::GaveUp(waited) => {
                        for Outgoing(packet) in waited {
                            self.statistics.unresolved += 1;
                            self.give_up(now, &packet[ETHERNET_HEADER_BYTES..]);
                        }
                    }
                }
            }
        }
    }

    /// Whoever sent this packet learns that its next hop does not answer.
    fn give_up(&mut self, now: Instant, ip: &[u8]) {
        match demux::sender(ip) {
            Some((Quoted::Tcp, tuple)) => self.tcp_unreachable(now, tuple, None, Unreachable::Host),
            Some((Quoted::Udp, tuple)) => self.udp_unreachable(Carried::Udp, tuple, Unreachable::Host),
            Some((Quoted::Echo, tuple)) => self.udp_unreachable(Carried::Echo, tuple, Unreachable::Host),
            Some((Quoted::EchoAnswer, _)) | None => {}
        }
    }

    /// Sends a packet that the link of interface `index` takes whole, now or once its next hop is known.
    pub(super) fn transmit(&mut self, now: Instant, index: usize, destination: IpAddr, packet: BytesMut) {
        let Some(link) = &self.nics[index].link else { return };
        if let Some((to, mac, until)) = link.last
            && to == destination
            && now < until
        {
            return self.emit(index, mac, packet);
        }
        if let Some(mac) = self.group(index, destination) {
            return self.emit(index, mac, packet);
        }
        let Some(next_hop) = self.next_hop(index, destination) else {
            self.statistics.no_route += 1;
            return;
        };
        let Some(link) = &mut self.nics[index].link else { return };
        match link.neighbours.lookup(now, next_hop, Outgoing(packet)) {
            Lookup::Send(mac, Outgoing(packet)) => {
                link.last = link.neighbours.reachable_until(next_hop).map(|until| (destination, mac, until));
                self.emit(index, mac, packet);
            }
            Lookup::SendAndAsk(mac, Outgoing(packet)) => {
                self.emit(index, mac, packet);
                self.ask(index, next_hop);
            }
            Lookup::Ask => self.ask(index, next_hop),
            Lookup::Wait | Lookup::Full => {}
        }
    }

    /// The Ethernet address of a group or of everybody (RFC 1112, 6.4; RFC 2464, 7).
    fn group(&self, index: usize, destination: IpAddr) -> Option<EthernetAddress> {
        match destination {
            IpAddr::V4(group) if group.is_multicast() => {
                let [_, a, b, c] = group.octets();
                Some(EthernetAddress([0x01, 0x00, 0x5e, a & 0x7f, b, c]))
            }
            IpAddr::V4(address) => (!is_one_host(self, index, address)).then_some(EthernetAddress::BROADCAST),
            IpAddr::V6(group) => group.is_multicast().then(|| group_mac(group)),
        }
    }

    /// The neighbour on the link of `index` that a packet goes to next.
    fn next_hop(&self, index: usize, destination: IpAddr) -> Option<IpAddr> {
        let is_link_local = matches!(destination, IpAddr::V6(address) if address.is_unicast_link_local());
        if is_link_local || self.is_on_link(index, destination) {
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

    pub(super) fn has(&self, index: usize, address: IpAddr) -> bool {
        self.interfaces[index].addresses.iter().any(|cidr| IpAddr::from(cidr.address()) == address)
    }

    fn is_on_link(&self, index: usize, address: IpAddr) -> bool {
        self.interfaces[index].addresses.iter().any(|cidr| cidr.contains_addr(&address.into()))
    }

    fn learn(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
        self.change(index, mac, |neighbours| neighbours.learn(now, address, mac).into());
    }

    fn answered(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
        self.change(index, mac, |neighbours| {
            neighbours.answered(now, address, mac).map(Vec::from).unwrap_or_default()
        });
    }

    fn moved(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
        self.change(index, mac, |neighbours| neighbours.moved(now, address, mac).into());
    }

    /// Changes what is known, and sends what waited for it.
    fn change(
        &mut self,
        index: usize,
        mac: EthernetAddress,
        change: impl FnOnce(&mut Neighbours<Outgoing>) -> Vec<Outgoing>,
    ) {
        let Some(link) = &mut self.nics[index].link else { return };
        link.last = None;
        for Outgoing(packet) in change(&mut link.neighbours) {
            self.emit(index, mac, packet);
        }
    }

    /// Asks the link who has `address`.
    fn ask(&mut self, index: usize, address: IpAddr) {
        let mac = self.interfaces[index].mac;
        let Ok(source) = self.source_address(index, address) else { return };
        match (address, source) {
            (IpAddr::V4(target), IpAddr::V4(source)) => {
                let request = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Request,
                    source_hardware_addr: mac,
                    source_protocol_addr: source,
                    target_hardware_addr: EthernetAddress::BROADCAST,
                    target_protocol_addr: target,
                };
                self.transmit_arp(index, EthernetAddress::BROADCAST, request);
            }
            (IpAddr::V6(target), IpAddr::V6(source)) => {
                let group = solicited_node(target);
                let message = message(SOLICITATION, 0, target, OPTION_SOURCE_ADDRESS, mac);
                self.transmit_ndp(index, group_mac(group), &finish(source, group, message));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    fn advertisement(&self, index: usize, target: Ipv6Addr, flags: u8) -> Vec<u8> {
        message(ADVERTISEMENT, flags, target, OPTION_TARGET_ADDRESS, self.interfaces[index].mac)
    }

    pub(super) fn transmit_arp(&mut self, index: usize, to: EthernetAddress, arp: ArpRepr) {
        let mut bytes = BytesMut::zeroed(ETHERNET_HEADER_BYTES + arp.buffer_len());
        arp.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_HEADER_BYTES..]));
        write_ethernet(&mut bytes, to, self.interfaces[index].mac, EthernetProtocol::Arp);
        self.egress.push((index, Frame::new(bytes.freeze())));
    }

    pub(super) fn transmit_ndp(&mut self, index: usize, to: EthernetAddress, ip: &[u8]) {
        self.emit(index, to, with_room(ip));
    }

    /// A packet leaves by interface `index`.
    fn emit(&mut self, index: usize, to: EthernetAddress, mut packet: BytesMut) {
        let is_ipv4 = packet[ETHERNET_HEADER_BYTES] >> 4 == 4;
        let protocol = if is_ipv4 { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
        let nic = &self.nics[index];
        let Some(link) = &nic.link else { return };
        write_ethernet(&mut packet, to, link.mac, protocol);
        if nic.wire.checksums {
            // Of a datagram, and of whatever was written when nobody wanted them.
            checksum::complete(&mut packet, true);
        }
        self.egress.push((index, Frame::new(packet.freeze())));
    }

    /// Counters of the links are kept there.
    pub fn statistics(&self) -> Statistics {
        let links = self.nics.iter().filter_map(|nic| nic.link.as_ref());
        Statistics {
            queue_full: links.map(Link::dropped).sum(),
            reassembly_full: self.reassembly.displaced(),
            ..*self.statistics
        }
    }
}

/// False for everybody on the link, for nobody, and for groups.
fn is_one_host(stack: &Stack, index: usize, address: Ipv4Addr) -> bool {
    let is_subnet_broadcast = |cidr: &IpCidr| match cidr {
        IpCidr::Ipv4(cidr) => cidr.broadcast() == Some(address),
        IpCidr::Ipv6(_) => false,
    };
    let is_nobody = address.is_broadcast() || address.is_multicast() || address.is_unspecified();
    !is_nobody && !stack.interfaces[index].addresses.iter().any(is_subnet_broadcast)
}

/// Source, destination, hop limit and message of an ICMPv6 packet without extension headers.
fn parts(ip: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, u8, &[u8])> {
    let packet = Ipv6Packet::new_checked(ip).ok()?;
    let message = ip.get(IPV6_HEADER_BYTES..packet.total_len())?;
    Some((packet.src_addr(), packet.dst_addr(), packet.hop_limit(), message))
}
