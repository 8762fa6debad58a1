//! Address resolution for IPv4 (RFC 826).

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpRepr, EthernetAddress};

use super::{Discard, Router};
use crate::network::ip::arp::{Heard, frame, parse, reply, request};
use crate::network::{Egress, Frame};
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
        let heard = parse(arp).ok_or(Discard::Malformed)?;
        let Heard { operation, sender_mac, sender, target } = heard;
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
                let reply = reply(self.interfaces[port].mac, &heard);
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
        let request = request(self.interfaces[port].mac, source, target);
        self.transmit_arp(port, EthernetAddress::BROADCAST, request, out);
    }

    fn transmit_arp(&mut self, port: usize, to: EthernetAddress, arp: ArpRepr, out: &mut Egress) {
        let frame = frame(to, self.interfaces[port].mac, arp);
        self.statistics.originated += 1;
        out.push((port, Frame::new(frame.freeze())));
    }
}
