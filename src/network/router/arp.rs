//! Address resolution for IPv4 (RFC 826).

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use super::{Discard, Router};
use crate::network::Egress;
use crate::time::Instant;

impl Router {
    /// Answers requests for this interface's addresses, and takes replies to its own.
    ///
    /// Learns from nothing else: a reply that nobody asked for, an announcement, a request for somebody
    /// else could each redirect another guest's traffic.
    pub(super) fn ingest_arp(
        &mut self,
        now: Instant,
        port: usize,
        arp: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let packet = ArpPacket::new_checked(arp).map_err(|_| Discard::Malformed)?;
        if packet.hardware_len() != 6 || packet.protocol_len() != 4 {
            return Err(Discard::Malformed);
        }
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: sender_mac,
            source_protocol_addr: sender,
            target_protocol_addr: target,
            ..
        } = ArpRepr::parse(&packet).map_err(|_| Discard::Malformed)?
        else {
            return Err(Discard::Malformed);
        };
        let interface = &self.interfaces[port];
        if !interface.has(target.into()) || interface.has(sender.into()) {
            return Err(Discard::Ignored);
        }
        if !sender_mac.is_unicast() {
            return Err(Discard::Malformed);
        }
        let is_neighbour = interface.ipv4.iter().any(|cidr| cidr.contains_addr(&sender))
            && !self.routes.is_ours(sender.into());
        self.statistics.delivered += 1;
        match operation {
            ArpOperation::Request => {
                let reply = ArpRepr::EthernetIpv4 {
                    operation: ArpOperation::Reply,
                    source_hardware_addr: self.interfaces[port].mac,
                    source_protocol_addr: target,
                    target_hardware_addr: sender_mac,
                    target_protocol_addr: sender,
                };
                self.transmit_arp(port, sender_mac, reply, out);
                // A probe (RFC 5227) has no sender yet.
                if is_neighbour {
                    let neighbours = &mut self.interfaces[port].neighbours;
                    let waited = neighbours.learn(now, IpAddr::V4(sender), sender_mac);
                    self.release(port, sender_mac, waited, out);
                }
            }
            ArpOperation::Reply if is_neighbour => {
                let neighbours = &mut self.interfaces[port].neighbours;
                let waited = neighbours.answered(now, IpAddr::V4(sender), sender_mac);
                self.release(port, sender_mac, waited.into_iter().flatten(), out);
            }
            ArpOperation::Reply | ArpOperation::Unknown(_) => {}
        }
        Ok(())
    }

    /// Asks everybody on the link who has `target`.
    pub(super) fn ask_arp(&mut self, port: usize, target: Ipv4Addr, out: &mut Egress) {
        let Some(source) = self.interfaces[port].ipv4_towards(target) else {
            return;
        };
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: self.interfaces[port].mac,
            source_protocol_addr: source,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        self.transmit_arp(port, EthernetAddress::BROADCAST, request, out);
    }

    fn transmit_arp(&mut self, port: usize, to: EthernetAddress, arp: ArpRepr, out: &mut Egress) {
        let mut bytes = vec![0; arp.buffer_len()];
        arp.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        self.transmit_made(port, to, EthernetProtocol::Arp, &bytes, out);
    }
}
