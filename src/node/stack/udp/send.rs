//! From a flow's write to an IP packet.

use std::net::IpAddr;

use bytes::BytesMut;
use smoltcp::wire::IpProtocol;

use super::super::flows::Tuple;
use super::super::group::is_many;
use super::super::output::DO_NOT_FRAGMENT;
use super::super::{BURST_PACKETS_MAX, Stack, Work};
use super::{Carried, Flow, Sending, Udp, echo};
use crate::error::{Error, Result};
use crate::network::ip::{
    ETHERNET_HEADER_BYTES, HOP_LIMIT, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, fill_ipv4_checksum,
};
use crate::node::slab::Id;
use crate::node::wake::Readiness;
use crate::time::Instant;

/// Bytes of one flow that may wait to be sent, and one datagram more.
pub(super) const SEND_BYTES: usize = 64 * 1024;
const UDP_HEADER_BYTES: usize = 8;

/// The longest datagram that IP can carry, in bytes of payload: cut into fragments, if need be.
pub(super) fn payload_max(carried: Carried, tuple: &Tuple) -> usize {
    // IPv6 does not count its own header (RFC 8200, 3).
    let ip = if tuple.remote.is_ipv4() { IPV4_HEADER_BYTES } else { 0 };
    let header = match carried {
        Carried::Udp => UDP_HEADER_BYTES,
        // The guest writes it.
        Carried::Echo => 0,
    };
    usize::from(u16::MAX) - ip - header
}

impl Stack {
    /// Sends one datagram whole.
    pub fn flow_write(&mut self, id: Id<Flow>, datagram: &[u8]) -> Result<()> {
        self.flow_write_all(id, std::iter::once(datagram)).map(|_| ())
    }

    /// Sends datagrams of `segment` bytes each, of which the last may be shorter. Where one is taken all are, like a longer
    /// one, as far as there is memory: the bytes of those that were.
    pub fn flow_write_burst(&mut self, id: Id<Flow>, bytes: &[u8], segment: usize) -> Result<usize> {
        self.flow_write_all(id, bytes.chunks(segment.max(1)))
    }

    fn flow_write_all<'d>(
        &mut self,
        id: Id<Flow>,
        datagrams: impl Iterator<Item = &'d [u8]>,
    ) -> Result<usize> {
        let flow = self.udp.flows.get_mut(id).ok_or(Error::BadDescriptor)?;
        if let Some(error) = flow.error.take() {
            return Err(error);
        }
        if flow.uprooted {
            return Err(Error::AddressNotAvailable);
        }
        let (socket_id, nic, mut tuple, keeps_whole) = (flow.socket, flow.nic, flow.tuple, flow.keeps_whole);
        let (carried, longest, has_room) =
            (flow.carried, payload_max(flow.carried, &tuple), flow.has_send_room());
        if is_many(tuple.local.ip()) || self.is_broadcast(nic, tuple.local.ip()) {
            // Nobody speaks from a group: the answer to what came to one is the node's own.
            tuple.local.set_ip(self.source_address(nic, tuple.remote.ip())?);
        }
        let to = tuple.remote.ip();
        let is_for_many = to.is_multicast() || self.is_broadcast(nic, to);
        let socket = self.udp.sockets.get_mut(socket_id).ok_or(Error::BadDescriptor)?;
        let hop_limit = match to.is_multicast() {
            true => socket.group_hop_limit,
            false => socket.hop_limit.unwrap_or(HOP_LIMIT),
        };
        let (mut taken, mut cost, mut failed) = (0, 0, None);
        for datagram in datagrams {
            if carried == Carried::Echo && !echo::is_request(&tuple, datagram) {
                failed = Some(Error::Invalid);
            } else if datagram.len() > longest {
                failed = Some(Error::MessageSize);
            } else if !has_room {
                failed = Some(Error::WouldBlock);
            } else {
                let packet = match carried {
                    Carried::Udp => packet(&tuple, hop_limit, datagram),
                    Carried::Echo => echo::packet(&tuple, hop_limit, datagram),
                };
                let sending = Sending { flow: id, nic, is_for_many, keeps_whole, packet };
                if self.budget.take(sending.cost()) {
                    taken += datagram.len();
                    cost += sending.cost();
                    socket.sending.push_back(sending);
                } else {
                    failed = Some(Error::NoBuffers);
                }
            }
            if failed.is_some() {
                break;
            }
        }
        if let Some(flow) = self.udp.flows.get_mut(id) {
            flow.sending_bytes += cost;
        }
        if cost > 0 {
            self.udp_dirty(socket_id);
        }
        match failed {
            Some(error) if cost == 0 => Err(error),
            Some(_) | None => Ok(taken),
        }
    }

    fn udp_dirty(&mut self, id: Id<Udp>) {
        if let Some(socket) = self.udp.sockets.get_mut(id)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push_back(Work::Udp(id));
        }
    }

    /// Sends what a port's flows wrote, within its burst.
    pub(in super::super) fn pump_udp(&mut self, now: Instant, id: Id<Udp>) {
        let Some(socket) = self.udp.sockets.get_mut(id) else { return };
        socket.dirty = false;
        for _ in 0..BURST_PACKETS_MAX {
            let Some(socket) = self.udp.sockets.get_mut(id) else { return };
            let Some(sending) = socket.sending.pop_front() else { break };
            let cost = sending.cost();
            self.budget.give(cost);
            self.nics[sending.nic].report_groups(now);
            self.flush(now, sending.nic);
            if sending.is_for_many {
                self.hear_ourselves(now, id, sending.nic, &sending.packet);
            }
            match (is_kept(&sending.packet), sending.keeps_whole) {
                (true, _) => {}
                (false, true) => self.send_whole(now, sending.nic, sending.packet),
                (false, false) => self.send(now, sending.nic, sending.packet),
            }
            if let Some(flow) = self.udp.flows.get_mut(sending.flow) {
                flow.sending_bytes -= cost;
                if flow.has_send_room() {
                    flow.waiting.fire(Readiness { write: true, ..Default::default() }, &mut self.wakes);
                }
            }
        }
        let Some(socket) = self.udp.sockets.get(id) else { return };
        if !socket.sending.is_empty() {
            self.udp_dirty(id);
        } else if socket.holders == 0 {
            self.udp.sockets.remove(id);
        }
    }
}

/// True for what goes no further than this node: its hop limit is 0.
fn is_kept(packet: &[u8]) -> bool {
    let ip = &packet[ETHERNET_HEADER_BYTES..];
    let hop_limit = if ip[0] >> 4 == 4 { ip[8] } else { ip[7] };
    hop_limit == 0
}

/// A UDP datagram as an IP packet, without its checksum. A flow's addresses are of one family.
fn packet(tuple: &Tuple, hop_limit: u8, payload: &[u8]) -> BytesMut {
    let udp_bytes = UDP_HEADER_BYTES + payload.len();
    let mut bytes = ip_header(tuple, hop_limit, IpProtocol::Udp, udp_bytes);
    bytes.extend_from_slice(&tuple.local.port().to_be_bytes());
    bytes.extend_from_slice(&tuple.remote.port().to_be_bytes());
    bytes.extend_from_slice(&(udp_bytes as u16).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Room for the Ethernet header, and the header of an IP packet of `payload_bytes` more, which have room behind it.
pub(super) fn ip_header(
    tuple: &Tuple,
    hop_limit: u8,
    protocol: IpProtocol,
    payload_bytes: usize,
) -> BytesMut {
    let ip_bytes = if tuple.local.is_ipv4() { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
    // No byte more: where there is, sharing it takes a second allocation.
    let mut bytes = BytesMut::with_capacity(ETHERNET_HEADER_BYTES + ip_bytes + payload_bytes);
    bytes.resize(ETHERNET_HEADER_BYTES, 0);
    match (tuple.local.ip(), tuple.remote.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = ((IPV4_HEADER_BYTES + payload_bytes) as u16).to_be_bytes();
            bytes.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, DO_NOT_FRAGMENT, 0]);
            bytes.extend_from_slice(&[hop_limit, protocol.into(), 0, 0]);
            bytes.extend_from_slice(&source.octets());
            bytes.extend_from_slice(&destination.octets());
            fill_ipv4_checksum(&mut bytes[ETHERNET_HEADER_BYTES..]);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload_bytes as u16).to_be_bytes();
            bytes.extend_from_slice(&[0x60, 0, 0, 0, length[0], length[1], protocol.into(), hop_limit]);
            bytes.extend_from_slice(&source.octets());
            bytes.extend_from_slice(&destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    bytes
}
