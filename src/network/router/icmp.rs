//! ICMP errors: what the router tells a sender about its packet (RFC 792, RFC 1812 4.3, RFC 4443).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, checksum};

use super::{Router, Target, packet::Packet};
use crate::network::Egress;
use crate::network::ip::{
    HOP_LIMIT, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, Upper, ipv4, ipv6, transport_sum, with_room,
};
use crate::time::Instant;

/// Bytes in front of the quoted packet, in both versions.
const ICMP_HEADER_BYTES: usize = 8;
/// Largest error message (RFC 1812 4.3.2.3), and IPv6's minimum MTU (RFC 4443 2.4 (c)).
const IPV4_ERROR_BYTES_MAX: usize = 576;
const IPV6_ERROR_BYTES_MAX: usize = 1280;
/// Precedence "internetwork control" for errors (RFC 1812 4.3.2.5).
const ERROR_SERVICE: u8 = 0xC0;

/// What happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Its TTL or hop limit was used up.
    Expired,
    NoRoute,
    /// Its next hop does not answer.
    AddressUnreachable,
    /// Nobody listens at the router's port.
    PortUnreachable,
    /// The router does not speak the protocol; `pointer` is the offset of the field that names it.
    UnknownProtocol {
        pointer: usize,
    },
    /// The next link takes packets of at most `mtu` bytes.
    TooBig {
        mtu: usize,
    },
}

impl Problem {
    /// Type, code and the four bytes after the checksum.
    fn ipv4(self) -> (u8, u8, u32) {
        match self {
            Problem::Expired => (11, 0, 0),
            Problem::NoRoute => (3, 0, 0),
            Problem::AddressUnreachable => (3, 1, 0),
            Problem::UnknownProtocol { .. } => (3, 2, 0),
            Problem::PortUnreachable => (3, 3, 0),
            // RFC 1191 4: the next hop's MTU in the low 16 bits.
            Problem::TooBig { mtu } => (3, 4, mtu.min(0xFFFF) as u32),
        }
    }

    fn ipv6(self) -> (u8, u8, u32) {
        match self {
            Problem::NoRoute => (1, 0, 0),
            Problem::AddressUnreachable => (1, 3, 0),
            Problem::PortUnreachable => (1, 4, 0),
            Problem::TooBig { mtu } => (2, 0, u32::try_from(mtu).unwrap_or(u32::MAX)),
            Problem::Expired => (3, 0, 0),
            Problem::UnknownProtocol { pointer } => (4, 1, pointer as u32),
        }
    }
}

impl Router {
    /// Tells the sender of `original`, an IP packet that came in at `port`, what happened to it. Says
    /// nothing where nothing may be said, or too much was said already.
    ///
    /// `original` was checked when it came in, and went to one unicast address in a frame to the router
    /// alone: multicast and broadcast never come this far.
    pub(super) fn report(
        &mut self,
        now: Instant,
        port: usize,
        original: &[u8],
        problem: Problem,
        out: &mut Egress,
    ) {
        let is_ipv4 = original[0] >> 4 == 4;
        let may = if is_ipv4 { may_answer_ipv4(original) } else { may_answer_ipv6(original) };
        if !may {
            return;
        }
        if !self.interfaces[port].errors.take(now) {
            self.statistics.errors_limited += 1;
            return;
        }
        let sent = if is_ipv4 {
            self.report_ipv4(now, port, original, problem, out)
        } else {
            self.report_ipv6(now, port, original, problem, out)
        };
        self.statistics.errors_sent += u64::from(sent.is_some());
    }

    fn report_ipv4(
        &mut self,
        now: Instant,
        port: usize,
        original: &[u8],
        problem: Problem,
        out: &mut Egress,
    ) -> Option<()> {
        let sender = Ipv4Packet::new_unchecked(original).src_addr();
        // The interface it came in by (RFC 1812 4.3.2.4 allows any, traceroute likes this one).
        let mine = self.interfaces[port].ipv4_towards(sender);
        let source = mine.or_else(|| self.interfaces.iter().find_map(|other| other.ipv4_towards(sender)))?;
        let room = IPV4_ERROR_BYTES_MAX - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES;
        let mut message = message(problem.ipv4(), original, room);
        let sum = !checksum::data(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        self.originate_ipv4(now, source, sender, IpProtocol::Icmp, ERROR_SERVICE, &message, out)
    }

    fn report_ipv6(
        &mut self,
        now: Instant,
        port: usize,
        original: &[u8],
        problem: Problem,
        out: &mut Egress,
    ) -> Option<()> {
        let sender = Ipv6Packet::new_unchecked(original).src_addr();
        let mine = self.interfaces[port].ipv6_towards(sender);
        let source = mine.or_else(|| self.interfaces.iter().find_map(|other| other.ipv6_towards(sender)))?;
        let room = IPV6_ERROR_BYTES_MAX - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES;
        let message = message(problem.ipv6(), original, room);
        self.originate_icmpv6(now, port, source, sender, message, out)
    }

    /// Sends an IPv4 packet of the router's own; `None` if there is no way to `destination`.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one header")]
    pub(super) fn originate_ipv4(
        &mut self,
        now: Instant,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: IpProtocol,
        service: u8,
        payload: &[u8],
        out: &mut Egress,
    ) -> Option<()> {
        let (port, next_hop) = self.next_hop(destination.into())?;
        let identification = self.next_identification;
        self.next_identification = identification.wrapping_add(1);
        let packet = ipv4(source, destination, protocol, service, identification, payload);
        self.output(now, port, next_hop, Packet::made(packet), out);
        Some(())
    }

    /// Sends an ICMPv6 message of the router's own, its checksum filled in; `None` if there is no way to
    /// `destination`. A link-local destination is on the link of `port`.
    pub(super) fn originate_icmpv6(
        &mut self,
        now: Instant,
        port: usize,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        mut message: Vec<u8>,
        out: &mut Egress,
    ) -> Option<()> {
        message[2..4].fill(0);
        let sum = !transport_sum(source.into(), destination.into(), IpProtocol::Icmpv6, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        self.originate_ipv6(now, port, source, destination, IpProtocol::Icmpv6, &message, out)
    }

    /// Sends an IPv6 packet of the router's own. As [`Router::originate_icmpv6`].
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one header")]
    pub(super) fn originate_ipv6(
        &mut self,
        now: Instant,
        port: usize,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: IpProtocol,
        payload: &[u8],
        out: &mut Egress,
    ) -> Option<()> {
        let (port, next_hop) = if destination.is_unicast_link_local() {
            (port, IpAddr::V6(destination))
        } else {
            self.next_hop(destination.into())?
        };
        let ip = ipv6(source, destination, next_header, HOP_LIMIT, payload);
        self.output(now, port, next_hop, Packet::made(with_room(&ip)), out);
        Some(())
    }

    /// Port and neighbour that a packet to `destination` goes to next.
    fn next_hop(&self, destination: IpAddr) -> Option<(usize, IpAddr)> {
        match self.routes.find(destination)? {
            Target::Connected(port) => Some((port, destination)),
            Target::Via(port, next_hop) => Some((port, next_hop)),
            Target::Local | Target::Broadcast => None,
        }
    }
}

/// An error message with as much of `original` as has room, its checksum zero.
fn message((kind, code, word): (u8, u8, u32), original: &[u8], room: usize) -> Vec<u8> {
    let quoted = &original[..original.len().min(room)];
    let mut message = Vec::with_capacity(ICMP_HEADER_BYTES + quoted.len());
    message.extend_from_slice(&[kind, code, 0, 0]);
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(quoted);
    message
}

/// RFC 1122 3.2.2: never about an ICMP error, a fragment other than the first, or a sender that is not
/// one host.
fn may_answer_ipv4(original: &[u8]) -> bool {
    let ip = Ipv4Packet::new_unchecked(original);
    let source = ip.src_addr();
    let is_one_host = !(source.is_unspecified() || source.is_multicast() || source.is_broadcast());
    let is_error = ip.next_header() == IpProtocol::Icmp
        && original.get(usize::from(ip.header_len())).is_none_or(|&kind| !is_icmpv4_query(kind));
    is_one_host && ip.frag_offset() == 0 && !is_error
}

/// Echo, router discovery, timestamp, information and address mask messages; all other types are taken
/// for errors, to be on the safe side.
fn is_icmpv4_query(kind: u8) -> bool {
    matches!(kind, 0 | 8..=10 | 13..=18)
}

/// RFC 4443 2.4 (e): never about an ICMPv6 error or redirect, nor to a sender that is not one node. Later
/// fragments, whose protocol cannot be told, and headers that do not add up get no answer either.
fn may_answer_ipv6(original: &[u8]) -> bool {
    let source = Ipv6Packet::new_unchecked(original).src_addr();
    if source.is_unspecified() || source.is_multicast() {
        return false;
    }
    let Some(upper) = Upper::find(original) else {
        return false;
    };
    let is_error = upper.protocol == IpProtocol::Icmpv6
        && original.get(upper.offset).is_none_or(|&kind| kind < 128 || kind == 137);
    !upper.is_later_fragment && !is_error
}
