//! Neighbour discovery for IPv6 (RFC 4861, 7.2).

use std::net::Ipv6Addr;

use smoltcp::wire::{EthernetAddress, Ipv6Packet};

use crate::network::ip::ndp::{
    ALL_NODES, FLAG_OVERRIDE, FLAG_SOLICITED, OPTION_SOURCE_ADDRESS, OPTION_TARGET_ADDRESS, advertisement,
    finish, group_mac, parse, solicited_node,
};
use crate::network::ip::{IPV6_HEADER_BYTES, with_room};
use crate::node::stack::Stack;
use crate::time::Instant;

impl Stack {
    /// A neighbour solicitation (RFC 4861, 7.2.3 and 7.2.4); `ip` is the packet that has it.
    pub(in super::super) fn receive_solicitation(
        &mut self,
        now: Instant,
        index: usize,
        ip: &[u8],
    ) -> Option<()> {
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
    pub(in super::super) fn receive_advertisement(
        &mut self,
        now: Instant,
        index: usize,
        ip: &[u8],
    ) -> Option<()> {
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

    fn advertisement(&self, index: usize, target: Ipv6Addr, flags: u8) -> Vec<u8> {
        advertisement(target, flags, self.interfaces[index].mac)
    }

    pub(in super::super) fn transmit_ndp(&mut self, index: usize, to: EthernetAddress, ip: &[u8]) {
        self.emit(index, to, with_room(ip));
    }
}

/// Source, destination, hop limit and message of an ICMPv6 packet without extension headers.
fn parts(ip: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, u8, &[u8])> {
    let packet = Ipv6Packet::new_checked(ip).ok()?;
    let message = ip.get(IPV6_HEADER_BYTES..packet.total_len())?;
    Some((packet.src_addr(), packet.dst_addr(), packet.hop_limit(), message))
}
