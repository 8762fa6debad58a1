//! From an IP packet to a flow's queue.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::super::Stack;
use super::super::flows::Tuple;
use super::super::group::is_many;
use super::{Carried, DATAGRAM_OVERHEAD, Flow, Sockets, Udp};
use crate::node::slab::Id;
use crate::node::wake::Readiness;
use crate::time::Instant;

/// Bytes that may wait to be read in one flow, each datagram counted with its overhead, as Linux does; and in all flows
/// of one port that nobody accepted.
const RECEIVE_BYTES: usize = 208 * 1024;
/// A shorter datagram from outside is copied: kept as it came, a byte would hold a whole chunk of frames.
const COPIED_BYTES: usize = 2048;

impl Stack {
    /// A datagram for this node; `payload` is its place in `packet`.
    pub(in super::super) fn receive_datagram(
        &mut self,
        now: Instant,
        nic: usize,
        tuple: Tuple,
        payload: Range<usize>,
        packet: Bytes,
    ) {
        if is_many(tuple.local.ip()) || self.is_broadcast(nic, tuple.local.ip()) {
            return self.receive_for_many(now, nic, tuple, payload, packet);
        }
        let id = match self.udp.find(Carried::Udp, &tuple) {
            Some(flow) => flow,
            None => {
                let own = self.is_own(tuple.local.ip());
                let Some(socket) = self.udp.listening_on(tuple.local).filter(|_| own) else {
                    return self.receive_for_nobody(now, nic, packet);
                };
                let Some(flow) = self.open_flow(now, socket, tuple, nic) else { return };
                flow
            }
        };
        let mut datagram = packet;
        datagram.truncate(payload.end);
        datagram.advance(payload.start);
        self.deliver_datagram(id, datagram);
    }

    /// A flow that waits to be accepted, if its peer may come in and there is room for one.
    pub(super) fn open_flow(
        &mut self,
        now: Instant,
        socket: Id<Udp>,
        tuple: Tuple,
        nic: usize,
    ) -> Option<Id<Flow>> {
        let admission = self.udp.sockets.get(socket).and_then(|socket| socket.admission.clone());
        if !self.admits(now, admission.as_ref(), tuple.remote) {
            self.statistics.datagrams_dropped += 1;
            return None;
        }
        if !self.udp.has_room(socket) {
            self.statistics.datagrams_dropped += 1;
            return None;
        }
        let flow = if is_many(tuple.local.ip()) || self.is_broadcast(nic, tuple.local.ip()) {
            let flow = self.udp.make_flow(socket, tuple, nic);
            self.udp.of_many.insert((socket, tuple), flow);
            flow
        } else {
            self.udp.insert_flow(socket, tuple, nic)
        };
        if let Some(socket) = self.udp.sockets.get_mut(socket) {
            socket.queue.push_back(flow);
            socket.waiting.fire(Readiness { read: true, ..Default::default() }, &mut self.wakes);
        }
        Some(flow)
    }

    pub(super) fn deliver_datagram(&mut self, id: Id<Flow>, payload: Bytes) {
        let Sockets { flows, sockets, .. } = &mut *self.udp;
        let Some(flow) = flows.get_mut(id) else { return };
        let cost = payload.len() + DATAGRAM_OVERHEAD;
        let socket = sockets.get_mut(flow.socket).filter(|_| flow.holders == 0);
        let has_room = flow.received_bytes + cost <= RECEIVE_BYTES
            && socket.as_ref().is_none_or(|socket| socket.unaccepted_bytes + cost <= RECEIVE_BYTES);
        if flow.read_shut || !has_room {
            self.statistics.datagrams_dropped += 1;
            return;
        }
        if !self.budget.take(cost) {
            self.statistics.no_buffers += 1;
            return;
        }
        if let Some(socket) = socket {
            socket.unaccepted_bytes += cost;
        }
        flow.received_bytes += cost;
        let is_copied = self.from_outside && payload.len() < COPIED_BYTES;
        flow.received.push_back(if is_copied { Bytes::copy_from_slice(&payload) } else { payload });
        flow.waiting.fire(Readiness { read: true, ..Default::default() }, &mut self.wakes);
    }
}
