//! Who is where on the link: what is learned sends what waited for it, what is not known is asked for, and whoever waited
//! in vain is told.

use std::net::IpAddr;

use smoltcp::wire::{ArpOperation, ArpRepr, EthernetAddress};

use super::Outgoing;
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::network::ip::ndp::{finish, group_mac, solicitation, solicited_node};
use crate::network::neighbours::{Due, Neighbours};
use crate::node::stack::Stack;
use crate::node::stack::demux::{self, Quoted, Unreachable};
use crate::node::stack::udp::Carried;
use crate::time::Instant;

impl Stack {
    /// Does what neighbours' timers call for.
    pub(in super::super) fn neighbours_due(&mut self, now: Instant) {
        for index in 0..self.nics.len() {
            while let Some(due) = self.nics[index].link.as_mut().and_then(|link| {
                let due = link.neighbours.poll(now)?;
                link.last = None;
                Some(due)
            }) {
                match due {
                    Due::Ask(address) => self.ask(index, address),
                    Due::GaveUp(address, waited) => {
                        self.router_is_silent(index, address);
                        for Outgoing(packet) in waited {
                            self.statistics.unresolved += 1;
                            self.give_up(now, &packet[ETHERNET_HEADER_BYTES..], Unreachable::Host);
                        }
                    }
                }
            }
        }
    }

    /// Whoever sent this packet learns that its next hop does not answer, or that there is none.
    pub(super) fn give_up(&mut self, now: Instant, ip: &[u8], reason: Unreachable) {
        match demux::sender(ip) {
            Some((Quoted::Tcp, tuple)) => self.tcp_unreachable(now, tuple, None, reason),
            Some((Quoted::Udp, tuple)) => self.udp_unreachable(Carried::Udp, tuple, reason),
            Some((Quoted::Echo, tuple)) => self.udp_unreachable(Carried::Echo, tuple, reason),
            Some((Quoted::EchoAnswer, _)) | None => {}
        }
    }

    /// Asks the link who has `address`.
    pub(super) fn ask(&mut self, index: usize, address: IpAddr) {
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
                let message = solicitation(target, mac);
                self.transmit_ndp(index, group_mac(group), &finish(source, group, message));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    pub(super) fn learn(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
        self.change(index, mac, |neighbours| neighbours.learn(now, address, mac).into());
    }

    pub(super) fn answered(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
        self.change(index, mac, |neighbours| {
            neighbours.answered(now, address, mac).map(Vec::from).unwrap_or_default()
        });
    }

    pub(super) fn moved(&mut self, now: Instant, index: usize, address: IpAddr, mac: EthernetAddress) {
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
}
