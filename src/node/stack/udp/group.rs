//! What is for many: groups joined and left, datagrams to groups and to everybody on a link.
//!
//! Every listening port that asked for a group hears it, in flows of its own: one for each peer, whose local address is
//! the group's. Datagrams to everybody are heard by the ports of the wildcard address. As such flows are a port's own,
//! they are found by it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use bytes::Bytes;

use super::super::Stack;
use super::super::demux::{Class, classify};
use super::super::flows::Tuple;
use super::Udp;
use crate::error::{Error, Result};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::node::slab::Id;
use crate::time::Instant;

/// Groups of one port.
const GROUPS_MAX: usize = 32;

impl Stack {
    /// Has a port listen to `group` at the interface of that name, or the first.
    ///
    /// # Errors
    /// `AddressInUse` where it does already; no such interface, no address of the family there; too many groups.
    pub fn udp_join(&mut self, id: Id<Udp>, group: IpAddr, interface: Option<&str>) -> Result<()> {
        let nic = self.interface_named(interface)?;
        let socket = self.udp.sockets.get(id).ok_or(Error::BadDescriptor)?;
        if !group.is_multicast() || group.is_ipv4() != socket.local.is_ipv4() {
            return Err(Error::Invalid);
        }
        if socket.groups.contains(&(group, nic)) {
            return Err(Error::AddressInUse);
        }
        if socket.groups.len() >= GROUPS_MAX {
            return Err(Error::NoBuffers);
        }
        self.group_join(nic, group)?;
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.groups.push((group, nic));
        }
        Ok(())
    }

    /// # Errors
    /// `AddressNotAvailable` where it does not listen to the group.
    pub fn udp_leave(&mut self, id: Id<Udp>, group: IpAddr, interface: Option<&str>) -> Result<()> {
        let nic = self.interface_named(interface)?;
        let socket = self.udp.sockets.get_mut(id).ok_or(Error::BadDescriptor)?;
        let at = socket.groups.iter().position(|&joined| joined == (group, nic));
        socket.groups.remove(at.ok_or(Error::AddressNotAvailable)?);
        self.group_leave(nic, group);
        Ok(())
    }

    pub(super) fn udp_leave_all(&mut self, id: Id<Udp>) {
        let Some(socket) = self.udp.sockets.get_mut(id) else { return };
        for (group, nic) in std::mem::take(&mut socket.groups) {
            self.group_leave(nic, group);
        }
    }

    pub fn udp_group_hop_limit(&self, id: Id<Udp>) -> u8 {
        self.udp.sockets.get(id).map_or(1, |socket| socket.group_hop_limit)
    }

    /// 0 keeps datagrams to groups within this node.
    pub fn udp_set_group_hop_limit(&mut self, id: Id<Udp>, hop_limit: u8) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.group_hop_limit = hop_limit;
        }
    }

    pub fn udp_group_loop(&self, id: Id<Udp>) -> bool {
        self.udp.sockets.get(id).is_none_or(|socket| socket.group_loop)
    }

    pub fn udp_set_group_loop(&mut self, id: Id<Udp>, on: bool) {
        if let Some(socket) = self.udp.sockets.get_mut(id) {
            socket.group_loop = on;
        }
    }

    /// A datagram to a group, or to everybody: to each port that listens, in the order in which they were bound.
    pub(super) fn receive_for_many(
        &mut self,
        now: Instant,
        nic: usize,
        tuple: Tuple,
        payload: Range<usize>,
        packet: Bytes,
    ) {
        let to = tuple.local;
        let ports = self.udp.by_port.get(&to.port()).cloned().unwrap_or_default();
        for id in ports {
            if !self.udp.sockets.get(id).is_some_and(|socket| socket.hears(to, nic)) {
                continue;
            }
            let flow = match self.udp.of_many.get(&(id, tuple)) {
                Some(&flow) => Some(flow),
                None => self.open_flow(now, id, tuple, nic),
            };
            if let Some(flow) = flow {
                self.deliver_datagram(flow, packet.slice(payload.clone()));
            }
        }
    }

    /// What a port sends to many is heard by this node's own listeners, too.
    pub(super) fn hear_ourselves(&mut self, now: Instant, id: Id<Udp>, nic: usize, packet: &[u8]) {
        let ip = &packet[ETHERNET_HEADER_BYTES..];
        let Class::Udp(tuple, payload) = classify(ip) else { return };
        // As it arrives at the other end: the local address is where it goes.
        let to = tuple.local.ip();
        let looped = match to.is_multicast() {
            true => self.udp_group_loop(id) && self.is_listening(nic, to),
            false => self.is_broadcast(nic, to),
        };
        if looped {
            self.receive_datagram(now, nic, tuple, payload, Bytes::copy_from_slice(ip));
        }
    }
}

impl Udp {
    fn hears(&self, to: SocketAddr, nic: usize) -> bool {
        let own = self.local.ip();
        let bound = own == to.ip() || (own.is_unspecified() && own.is_ipv4() == to.is_ipv4());
        let joined = !to.ip().is_multicast() || self.groups.contains(&(to.ip(), nic));
        self.backlog.is_some() && bound && joined
    }
}
