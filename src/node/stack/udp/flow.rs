//! The datagrams exchanged with one peer.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::BytesMut;
use smoltcp::wire::IpAddress;

use super::super::Stack;
use super::super::demux::Unreachable;
use super::super::flows::Tuple;
use super::send::{SEND_BYTES, payload_max};
use super::{Carried, DATAGRAM_OVERHEAD, Flow};
use crate::error::{Error, Result};
use crate::node::slab::Id;
use crate::node::wake::{Interest, Readiness, Waiter};

impl Flow {
    /// Another datagram is taken, whatever its length, as long as this holds: so a flow keeps one datagram more than its
    /// bound at most, and what poll promises is so.
    pub(super) fn has_send_room(&self) -> bool {
        self.sending_bytes < SEND_BYTES
    }
}

impl Stack {
    pub fn flow_hold(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.holders += 1;
        }
    }

    pub fn flow_release(&mut self, id: Id<Flow>) {
        let Some(flow) = self.udp.flows.get_mut(id) else { return };
        flow.holders -= 1;
        if flow.holders == 0 {
            let bytes = self.udp.remove_flow(id);
            self.budget.give(bytes);
        }
    }

    /// Datagrams of this flow are lost from now on where they are too long, and not cut.
    pub fn flow_keep_whole(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.keeps_whole = true;
        }
    }

    pub fn flow_addresses(&self, id: Id<Flow>) -> Option<(SocketAddr, SocketAddr)> {
        self.udp.flows.get(id).map(|flow| (flow.tuple.local, flow.tuple.remote))
    }

    /// The next datagram, as much of it as `buffer` takes, and its full length.
    pub fn flow_read(&mut self, id: Id<Flow>, buffer: &mut [u8], peek: bool) -> Result<(usize, usize)> {
        let flow = self.udp.flows.get_mut(id).ok_or(Error::BadDescriptor)?;
        let Some(datagram) = flow.received.front() else {
            return match flow.error.take() {
                Some(error) => Err(error),
                None if flow.read_shut => Ok((0, 0)),
                None => Err(Error::WouldBlock),
            };
        };
        let count = datagram.len().min(buffer.len());
        buffer[..count].copy_from_slice(&datagram[..count]);
        let length = datagram.len();
        if !peek {
            let cost = length + DATAGRAM_OVERHEAD;
            flow.received_bytes -= cost;
            flow.received.pop_front();
            self.budget.give(cost);
        }
        Ok((count, length))
    }

    /// The next datagram whole, without a copy if nobody else has it, such as a capture.
    pub fn flow_take(&mut self, id: Id<Flow>) -> Result<BytesMut> {
        let flow = self.udp.flows.get_mut(id).ok_or(Error::BadDescriptor)?;
        let Some(datagram) = flow.received.pop_front() else {
            return match flow.error.take() {
                Some(error) => Err(error),
                None if flow.read_shut => Ok(BytesMut::new()),
                None => Err(Error::WouldBlock),
            };
        };
        let cost = datagram.len() + DATAGRAM_OVERHEAD;
        flow.received_bytes -= cost;
        self.budget.give(cost);
        Ok(datagram.into())
    }

    pub fn flow_shutdown(&mut self, id: Id<Flow>) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.read_shut = true;
        }
    }

    pub fn flow_readiness(&self, id: Id<Flow>) -> Readiness {
        let Some(flow) = self.udp.flows.get(id) else {
            return Readiness { read: true, write: true, hangup: true, ..Default::default() };
        };
        let error = flow.error.is_some();
        let room = flow.has_send_room();
        Readiness {
            read: !flow.received.is_empty() || error || flow.read_shut,
            write: error || room,
            read_bytes: flow.received.front().map_or(0, |datagram| datagram.len()),
            write_bytes: if room { payload_max(flow.carried, &flow.tuple) } else { 0 },
            hangup: flow.read_shut,
        }
    }

    pub fn flow_watch(&mut self, id: Id<Flow>, interest: Interest, waiter: Waiter) {
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.waiting.join(interest, waiter);
        }
    }

    pub(in super::super) fn has_flow(&self, carried: Carried, tuple: &Tuple) -> bool {
        self.udp.find(carried, tuple).is_some()
    }

    /// Addresses of this node are gone: flows from there are over, and told; what they wrote and nobody sent yet is lost.
    pub(in super::super) fn udp_addresses_gone(&mut self, is_gone: impl Fn(IpAddress) -> bool) {
        for id in self.udp.flows.ids().collect::<Vec<_>>() {
            let Some(flow) = self.udp.flows.get_mut(id).filter(|flow| is_gone(flow.tuple.local.ip().into()))
            else {
                continue;
            };
            flow.error = Some(Error::AddressNotAvailable);
            flow.waiting.fire(Readiness { read: true, write: true, ..Default::default() }, &mut self.wakes);
            if !std::mem::replace(&mut flow.uprooted, true) {
                let (carried, tuple) = (flow.carried, flow.tuple);
                self.udp.of_mut(carried).by_tuple.remove(&tuple);
            }
        }
        for id in self.udp.sockets.ids().collect::<Vec<_>>() {
            let Some(socket) = self.udp.sockets.get_mut(id) else { continue };
            let sending = std::mem::take(&mut socket.sending);
            let (lost, kept): (VecDeque<_>, VecDeque<_>) =
                sending.into_iter().partition(|sending| is_gone(sending.source().into()));
            socket.sending = kept;
            for sending in lost {
                self.budget.give(sending.cost());
                if let Some(flow) = self.udp.flows.get_mut(sending.flow) {
                    flow.sending_bytes -= sending.cost();
                }
            }
        }
    }

    /// A datagram of ours did not get through. Port unreachable is refused (RFC 1122, 4.1.3.3); one that was too big for
    /// its path is gone, and the next one will be cut to fit, unless its flow finds that out by itself; the rest says that the
    /// peer cannot be reached.
    pub(in super::super) fn udp_unreachable(&mut self, carried: Carried, tuple: Tuple, reason: Unreachable) {
        let Some(id) = self.udp.find(carried, &tuple) else { return };
        let Some(flow) = self.udp.flows.get_mut(id) else { return };
        if flow.keeps_whole && matches!(reason, Unreachable::TooBig { .. }) {
            return;
        }
        flow.error = Some(match reason {
            Unreachable::Port => Error::ConnectionRefused,
            Unreachable::Network => Error::NetworkUnreachable,
            Unreachable::Host | Unreachable::Prohibited | Unreachable::Expired => Error::HostUnreachable,
            Unreachable::TooBig { .. } => Error::MessageSize,
        });
        flow.waiting.fire(Readiness { read: true, write: true, ..Default::default() }, &mut self.wakes);
    }
}
