//! Address resolution for IPv4 (RFC 826).

use smoltcp::wire::{ArpOperation, ArpRepr, EthernetAddress};

use super::is_one_host;
use crate::network::Frame;
use crate::network::ip::arp::{self, Heard};
use crate::node::stack::Stack;
use crate::time::Instant;

impl Stack {
    /// Answers requests for our addresses, and learns from them and from answers. An announcement changes what is
    /// known, and adds nobody.
    pub(super) fn receive_arp(&mut self, now: Instant, index: usize, message: &[u8]) -> Option<()> {
        let heard = arp::parse(message)?;
        let Heard { operation, sender_mac, sender, target } = heard;
        if !sender_mac.is_unicast() || self.has(index, sender.into()) {
            return Some(());
        }
        // RFC 5227, 2.1.1: somebody has it, or probes for it as we do.
        self.heard_claim(now, index, if sender.is_unspecified() { target } else { sender }, sender_mac);
        let is_ours = self.has(index, target.into());
        let is_neighbour = self.is_on_link(index, sender.into()) && is_one_host(self, index, sender);
        let is_announcement = sender == target;
        if operation == ArpOperation::Request && is_ours {
            let reply = arp::reply(self.interfaces[index].mac, &heard);
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

    pub(in super::super) fn transmit_arp(&mut self, index: usize, to: EthernetAddress, message: ArpRepr) {
        let frame = arp::frame(to, self.interfaces[index].mac, message);
        self.egress.push((index, Frame::new(frame.freeze())));
    }
}
