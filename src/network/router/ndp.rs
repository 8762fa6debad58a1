//! Neighbour discovery for IPv6 (RFC 4861 7).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, EthernetProtocol};

use super::{Discard, Router};
use crate::network::Egress;
use crate::network::ip::ndp::{
    ALL_NODES, FLAG_OVERRIDE, FLAG_ROUTER, FLAG_SOLICITED, OPTION_SOURCE_ADDRESS, OPTION_TARGET_ADDRESS,
    advertisement, finish, group_mac, parse, solicitation, solicited_node,
};
use crate::time::Instant;

impl Router {
    /// Answers a solicitation for one of this interface's addresses (7.2.3, 7.2.4). The checksum was
    /// verified.
    pub(super) fn ingest_solicitation(
        &mut self,
        now: Instant,
        port: usize,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        hop_limit: u8,
        message: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let (target, sender_mac) =
            parse(hop_limit, message, OPTION_SOURCE_ADDRESS).ok_or(Discard::Malformed)?;
        let is_probe = source.is_unspecified();
        // 7.1.1: somebody who has no address yet asks a group, and cannot be answered directly.
        if is_probe && (sender_mac.is_some() || destination != solicited_node(target)) {
            return Err(Discard::Malformed);
        }
        if !self.interfaces[port].has(target.into()) {
            return Err(Discard::Ignored);
        }
        if is_probe {
            let reply = self.advertisement(port, target, FLAG_ROUTER | FLAG_OVERRIDE);
            self.transmit_ndp(port, target, ALL_NODES, group_mac(ALL_NODES), reply, out);
            return Ok(());
        }
        let is_neighbour = self.interfaces[port].ipv6.iter().any(|cidr| cidr.contains_addr(&source));
        let reply = self.advertisement(port, target, FLAG_ROUTER | FLAG_SOLICITED | FLAG_OVERRIDE);
        match sender_mac {
            Some(mac) => {
                self.transmit_ndp(port, target, source, mac, reply, out);
                if is_neighbour {
                    let neighbours = &mut self.interfaces[port].neighbours;
                    let waited = neighbours.learn(now, IpAddr::V6(source), mac);
                    self.release(port, mac, waited, out);
                }
            }
            // A unicast question need not say where it comes from.
            None if is_neighbour => self.advertise_by_cache(now, port, target, source, reply, out),
            None => return Err(Discard::Ignored),
        }
        Ok(())
    }

    /// Takes the answer to a solicitation of ours (7.2.5). Learns from no other: an advertisement that
    /// nobody asked for could redirect another guest's traffic.
    pub(super) fn ingest_advertisement(
        &mut self,
        now: Instant,
        port: usize,
        destination: Ipv6Addr,
        hop_limit: u8,
        message: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let (target, mac) = parse(hop_limit, message, OPTION_TARGET_ADDRESS).ok_or(Discard::Malformed)?;
        let is_solicited = message[4] & FLAG_SOLICITED != 0;
        if is_solicited && destination.is_multicast() {
            return Err(Discard::Malformed);
        }
        let (true, Some(mac)) = (is_solicited, mac) else {
            return Err(Discard::Ignored);
        };
        let waited = self.interfaces[port].neighbours.answered(now, IpAddr::V6(target), mac);
        self.release(port, mac, waited.into_iter().flatten(), out);
        Ok(())
    }

    /// Asks the link who has `target` (7.2.2).
    ///
    /// Also when an entry is only to be confirmed, where 7.3.3 sends the question to the neighbour alone: smoltcp and its like
    /// answer nothing but the solicited-node group.
    pub(super) fn solicit(&mut self, port: usize, target: Ipv6Addr, out: &mut Egress) {
        let interface = &self.interfaces[port];
        let Some(source) = interface.ipv6_towards(target) else {
            return;
        };
        let message = solicitation(target, interface.mac);
        let group = solicited_node(target);
        self.transmit_ndp(port, source, group, group_mac(group), message, out);
    }

    fn advertisement(&self, port: usize, target: Ipv6Addr, flags: u8) -> Vec<u8> {
        advertisement(target, flags, self.interfaces[port].mac)
    }

    /// Sends an advertisement to a neighbour whose Ethernet address has to be looked up.
    fn advertise_by_cache(
        &mut self,
        now: Instant,
        port: usize,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        message: Vec<u8>,
        out: &mut Egress,
    ) {
        let ip = finish(source, destination, message);
        let packet = super::packet::Packet::made(crate::network::ip::with_room(&ip));
        self.output(now, port, IpAddr::V6(destination), packet, out);
    }

    fn transmit_ndp(
        &mut self,
        port: usize,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        mac: EthernetAddress,
        message: Vec<u8>,
        out: &mut Egress,
    ) {
        let ip = finish(source, destination, message);
        self.transmit_made(port, mac, EthernetProtocol::Ipv6, &ip, out);
    }
}
