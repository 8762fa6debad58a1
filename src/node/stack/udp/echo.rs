//! Echo requests and their answers (RFC 792; RFC 4443, 4), as Linux's unprivileged ICMP sockets have them.
//!
//! A message is the ICMP header of eight bytes and what follows. The stack fills in the checksum and the identifier, which is
//! the socket's own: an answer belongs to the flow of its identifier and its sender, and reaches nobody else.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use smoltcp::wire::{IpProtocol, checksum};

use super::super::Stack;
use super::super::demux::echo_request;
use super::super::flows::Tuple;
use super::send::ip_header;
use super::{Carried, Udp};
use crate::error::Result;
use crate::network::ip::transport_sum;
use crate::node::slab::Id;

const HEADER_BYTES: usize = 8;

impl Stack {
    /// Takes an identifier: the port of `address`, or any that is free if that is 0.
    pub fn echo_bind(&mut self, address: SocketAddr) -> Result<Id<Udp>> {
        self.bindable(address)?;
        self.datagrams_bind(Carried::Echo, address)
    }

    /// Whether it is an identifier of echo requests, and no port.
    pub fn udp_is_echo(&self, id: Id<Udp>) -> bool {
        self.udp.sockets.get(id).is_some_and(|socket| socket.carried == Carried::Echo)
    }

    /// An answer, `message` being all of it; what nobody asked for ends here.
    pub(in super::super) fn receive_echo(&mut self, tuple: Tuple, message: Bytes) {
        if let Some(flow) = self.udp.find(Carried::Echo, &tuple) {
            self.deliver_datagram(flow, message);
        }
    }
}

/// Whether a guest may send this: an echo request of the flow's family, whatever its identifier and checksum.
pub(super) fn is_request(tuple: &Tuple, message: &[u8]) -> bool {
    message.len() >= HEADER_BYTES && message[..2] == [echo_request(tuple.local.ip()), 0]
}

/// A request as an IP packet.
pub(super) fn packet(tuple: &Tuple, hop_limit: u8, message: &[u8]) -> BytesMut {
    let (local, remote) = (tuple.local.ip(), tuple.remote.ip());
    let protocol = if local.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 };
    let mut bytes = ip_header(tuple, hop_limit, protocol, message.len());
    let start = bytes.len();
    bytes.extend_from_slice(message);
    let message = &mut bytes[start..];
    message[2..4].fill(0);
    message[4..6].copy_from_slice(&tuple.local.port().to_be_bytes());
    // IPv6 sums up its addresses as well (RFC 4443, 2.3).
    let sum = match local.is_ipv4() {
        true => !checksum::data(message),
        false => !transport_sum(local, remote, protocol, message),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}
