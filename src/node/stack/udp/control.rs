//! A port, or an identifier of echo requests: bound, listening, connecting.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::super::Stack;
use super::super::flows::Tuple;
use super::super::group::is_many;
use super::super::route::destination;
use super::{Carried, Flow, Sockets, Udp};
use crate::error::{Error, Result};
use crate::node::slab::Id;
use crate::node::wake::{Interest, Readiness, Waiter, Watch};
use crate::time::Instant;

/// Flows of one socket that may wait for `accept`.
const BACKLOG_MAX: usize = 4096;

impl Stack {
    pub fn udp_bind(&mut self, address: SocketAddr) -> Result<Id<Udp>> {
        // A group is bound to hear it alone, among others who may.
        if !address.ip().is_multicast() {
            self.bindable(address)?;
        }
        let id = self.datagrams_bind(Carried::Udp, address)?;
        if let Some(local) = self.udp_local(id) {
            self.udp.by_port.entry(local.port()).or_default().push(id);
        }
        Ok(id)
    }

    pub(super) fn datagrams_bind(&mut self, carried: Carried, address: SocketAddr) -> Result<Id<Udp>> {
        let local = self.udp.of_mut(carried).ports.bind(address, &mut self.rng)?;
        Ok(self.udp.sockets.insert(Udp {
            carried,
            local,
            backlog: None,
            queue: VecDeque::new(),
            unaccepted_bytes: 0,
            waiting: Watch::default(),
            admission: None,
            dirty: false,
            sending: VecDeque::new(),
            holders: 1,
            hop_limit: None,
            groups: Vec::new(),
            group_hop_limit: 1,
            group_loop: true,
        }))
    }

    pub fn udp_local(&self, id: Id<Udp>) -> Option<SocketAddr> {
        self.udp.sockets.get(id).map(|socket| socket.local)
    }

    pub fn udp_listen(&mut self, id: Id<Udp>, backlog: usize) -> Result<()> {
        let socket = self.udp.sockets.get_mut(id).ok_or(Error::BadDescriptor)?;
        socket.backlog = Some(backlog.clamp(1, BACKLOG_MAX));
        Ok(())
    }

    pub fn udp_set_hop_limit(&mut self, id: Id<Udp>, hop_limit: Option<u8>) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.hop_limit = hop_limit.filter(|&limit| limit > 0);
        }
    }

    pub fn udp_hop_limit(&self, id: Id<Udp>) -> Option<u8> {
        self.udp.sockets.get(id).and_then(|socket| socket.hop_limit)
    }

    pub fn udp_accept(&mut self, id: Id<Udp>) -> Result<Id<Flow>> {
        let Sockets { sockets, flows, .. } = &mut *self.udp;
        let socket = sockets.get_mut(id).ok_or(Error::BadDescriptor)?;
        if socket.backlog.is_none() {
            return Err(Error::Invalid);
        }
        let flow = socket.queue.pop_front().ok_or(Error::WouldBlock)?;
        socket.unaccepted_bytes -= flows.get(flow).map_or(0, |flow| flow.received_bytes);
        self.flow_hold(flow);
        Ok(flow)
    }

    pub fn udp_connect(&mut self, now: Instant, id: Id<Udp>, remote: SocketAddr) -> Result<Id<Flow>> {
        let carried = self.udp.sockets.get(id).ok_or(Error::BadDescriptor)?.carried;
        match carried {
            Carried::Udp if remote.port() == 0 => return Err(Error::AddressNotAvailable),
            // Answers would come from others than were asked.
            Carried::Echo if is_many(remote.ip()) => return Err(Error::NetworkUnreachable),
            Carried::Udp | Carried::Echo => {}
        }
        let remote = destination(remote);
        let socket = self.udp.sockets.get(id).ok_or(Error::BadDescriptor)?;
        let local = socket.local;
        // Who listens to a group speaks to it where he does.
        let joined = socket.groups.iter().find(|&&(group, _)| group == remote.ip()).map(|&(_, nic)| nic);
        let nic = match joined {
            Some(nic) => nic,
            None => self.route(now, remote.ip())?,
        };
        if carried == Carried::Echo && self.is_broadcast(nic, remote.ip()) {
            return Err(Error::NetworkUnreachable);
        }
        let any = local.ip().is_unspecified() || local.ip().is_multicast();
        let ip = if any { self.source_address(nic, remote.ip())? } else { local.ip() };
        let tuple = Tuple::new(ip, local.port(), remote);
        if Some(nic) != self.loopback && tuple.has_loopback() {
            return Err(Error::AddressNotAvailable);
        }
        if self.udp.find(carried, &tuple).is_some() {
            return Err(Error::IsConnected);
        }
        let flow = self.udp.insert_flow(id, tuple, nic);
        self.flow_hold(flow);
        Ok(flow)
    }

    pub fn udp_readiness(&self, id: Id<Udp>) -> Readiness {
        let waiting = self.udp.sockets.get(id).map_or(0, |socket| socket.queue.len());
        Readiness { read: waiting > 0, write: true, read_bytes: waiting, ..Default::default() }
    }

    pub fn udp_watch(&mut self, id: Id<Udp>, interest: Interest, waiter: Waiter) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.waiting.join(interest, waiter);
        }
    }

    /// The control lets go of the port. Flows that nobody accepted end.
    pub fn udp_release(&mut self, id: Id<Udp>) {
        self.udp_leave_all(id);
        let Some(socket) = self.udp.sockets.get_mut(id) else { return };
        socket.backlog = None;
        socket.unaccepted_bytes = 0;
        for flow in std::mem::take(&mut socket.queue) {
            let bytes = self.udp.remove_flow(flow);
            self.budget.give(bytes);
        }
        self.udp.let_go(id);
    }
}
