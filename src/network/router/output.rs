//! The way out: next hop, Ethernet address, frame.

use std::net::IpAddr;

use bytes::BytesMut;
use smoltcp::wire::{EthernetAddress, EthernetProtocol};

use super::Router;
use super::icmp::Problem;
use super::packet::Packet;
use crate::network::ip::{ETHERNET_HEADER_BYTES, fragment, write_ethernet};
use crate::network::neighbours::{Due, Lookup};
use crate::network::{Egress, Frame};
use crate::time::Instant;

impl Router {
    /// Sends a packet to `next_hop`, which is on the subnet of `port`; now, or once its address is known.
    pub(super) fn output(
        &mut self,
        now: Instant,
        port: usize,
        next_hop: IpAddr,
        packet: Packet,
        out: &mut Egress,
    ) {
        match self.interfaces[port].neighbours.lookup(now, next_hop, packet) {
            Lookup::Send(mac, packet) => self.transmit(port, mac, packet, out),
            Lookup::SendAndAsk(mac, packet) => {
                self.transmit(port, mac, packet, out);
                self.ask(port, next_hop, out);
            }
            Lookup::Ask => self.ask(port, next_hop, out),
            Lookup::Wait | Lookup::Full => {}
        }
    }

    /// Sends a packet that waited for this neighbour.
    pub(super) fn release(
        &mut self,
        port: usize,
        mac: EthernetAddress,
        waited: impl IntoIterator<Item = Packet>,
        out: &mut Egress,
    ) {
        for packet in waited {
            self.transmit(port, mac, packet, out);
        }
    }

    /// Does what a neighbour's timer calls for.
    pub(super) fn neighbour_due(&mut self, now: Instant, port: usize, due: Due<Packet>, out: &mut Egress) {
        match due {
            Due::Ask(address) => self.ask(port, address, out),
            Due::GaveUp(_, waited) => {
                for packet in waited {
                    self.statistics.unresolved += 1;
                    if let Some(from) = packet.from {
                        self.report(now, from, &packet.as_received(), Problem::AddressUnreachable, out);
                    }
                }
            }
        }
    }

    fn ask(&mut self, port: usize, address: IpAddr, out: &mut Egress) {
        match address {
            IpAddr::V4(address) => self.ask_arp(port, address, out),
            IpAddr::V6(address) => self.solicit(port, address, out),
        }
    }

    fn transmit(&mut self, port: usize, to: EthernetAddress, packet: Packet, out: &mut Egress) {
        let interface = &self.interfaces[port];
        let Packet { mut bytes, id, checksums, side, from } = packet;
        let frame = |bytes: BytesMut| (port, Frame { id, bytes: bytes.freeze(), checksums, side });
        let is_ipv4 = bytes[ETHERNET_HEADER_BYTES] >> 4 == 4;
        let protocol = if is_ipv4 { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
        write_ethernet(&mut bytes, to, interface.mac, protocol);

        let is_larger = bytes.len() - ETHERNET_HEADER_BYTES > interface.mtu;
        if !is_larger {
            self.statistics.forwarded += u64::from(from.is_some());
            self.statistics.originated += u64::from(from.is_none());
            out.push(frame(bytes));
            return;
        }
        // A forwarded packet that must not be cut was refused before it came here.
        let fragments = if is_ipv4 { fragment::fragment(&bytes, interface.mtu) } else { None };
        let Some(fragments) = fragments else {
            self.statistics.too_big += 1;
            return;
        };
        self.statistics.forwarded += u64::from(from.is_some());
        self.statistics.originated += u64::from(from.is_none());
        self.statistics.fragmented += 1;
        out.extend(fragments.into_iter().map(frame));
    }

    /// Sends a frame that the router made and that needs no neighbour: `payload` follows the header.
    pub(super) fn transmit_made(
        &mut self,
        port: usize,
        to: EthernetAddress,
        protocol: EthernetProtocol,
        payload: &[u8],
        out: &mut Egress,
    ) {
        let mut bytes = BytesMut::with_capacity(ETHERNET_HEADER_BYTES + payload.len());
        bytes.resize(ETHERNET_HEADER_BYTES, 0);
        bytes.extend_from_slice(payload);
        write_ethernet(&mut bytes, to, self.interfaces[port].mac, protocol);
        self.statistics.originated += 1;
        out.push((port, Frame::new(bytes.freeze())));
    }
}
