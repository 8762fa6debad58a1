//! The link below IP: frames in, frames out, and who is at which Ethernet address.
//!
//! ```text
//! frame --> here --> arp.rs ------------> neighbours.rs: who is where, and the packets that wait to know
//!                '-> IP --> ndp.rs --------^      |
//! frame <-- here <------------------------'<------'
//! ```
//!
//! smoltcp sees IP packets alone. It would hold a socket back while its neighbour's address is asked for, and ask for
//! one address a second, whoever needs it: here a packet waits for its own neighbour and no other, and whoever sent
//! it learns that nobody answers.

mod arp;
mod ndp;
mod neighbours;

use std::net::{IpAddr, Ipv4Addr};

use bytes::{Buf, Bytes, BytesMut};
use smoltcp::wire::{EthernetAddress, EthernetProtocol, IpCidr};

use super::Stack;
use super::demux::Unreachable;
use crate::network::ip::ndp::group_mac;
use crate::network::ip::{ETHERNET_HEADER_BYTES, write_ethernet};
use crate::network::neighbours::{Limits, Lookup, Neighbours, Waiting};
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
            return self.give_up(now, &packet[ETHERNET_HEADER_BYTES..], Unreachable::Network);
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
