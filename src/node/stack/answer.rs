//! The little ICMP that this stack says itself, besides what smoltcp does: answers to long echo requests,
//! and that not all fragments came.

use std::net::IpAddr;

use bytes::BytesMut;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, checksum};

use super::{Stack, extension};
use crate::network::ip::{HOP_LIMIT, ipv4, ipv6, transport_sum, with_room};
use crate::time::Instant;

const ICMP_HEADER_BYTES: usize = 8;
/// Of the packet that an error is about: as much as makes 576 and 1280 bytes (RFC 1812, 4.3.2.3; RFC 4443, 2.4 (c)).
const QUOTED_BYTES_IPV4: usize = 576 - 20 - ICMP_HEADER_BYTES;
const QUOTED_BYTES_IPV6: usize = 1280 - 40 - ICMP_HEADER_BYTES;
/// Types of messages (RFC 792, RFC 4443).
const ECHO_REPLY_IPV4: u8 = 0;
const ECHO_REQUEST_IPV4: u8 = 8;
const TIME_EXCEEDED_IPV4: u8 = 11;
const TIME_EXCEEDED_IPV6: u8 = 3;
const ECHO_REQUEST_IPV6: u8 = 128;
const ECHO_REPLY_IPV6: u8 = 129;
/// Long answers to echo requests that are remembered, for what routers say of them.
const ANSWERS_MAX: usize = 8;
/// The code of both: not all fragments came.
const REASSEMBLY: u8 = 1;

impl Stack {
    /// Answers an echo request, in fragments if need be; false if it is none.
    pub(super) fn echo(&mut self, now: Instant, index: usize, ip: &[u8]) -> bool {
        let Some(Answer { to, number, packet }) = echo_answer(ip, |address| self.is_own(address)) else {
            return false;
        };
        if self.answered.len() == ANSWERS_MAX {
            self.answered.pop_front();
        }
        self.answered.push_back((to, number));
        self.send(now, index, packet);
        true
    }

    /// Whether a long echo request of `peer`'s was answered lately: what a router says of the answer may be true.
    /// `number`: identifier and sequence number of both.
    pub(super) fn has_answered(&self, peer: IpAddr, number: u32) -> bool {
        self.answered.contains(&(peer, number))
    }

    /// Tells the sender of `first`, the first fragment of a packet, that not all came in time (RFC 792; RFC 8200, 4.5).
    pub(super) fn report_expired(&mut self, now: Instant, first: &[u8]) {
        let Some((source, report)) = time_exceeded(first, |address| self.is_own(address)) else { return };
        if let Ok(index) = self.route(now, source) {
            self.send(now, index, report);
        }
    }
}

/// The answer to an echo request.
struct Answer {
    to: IpAddr,
    /// Identifier and sequence number.
    number: u32,
    /// With room for the Ethernet header in front.
    packet: BytesMut,
}

/// What there is to be said to an echo request in `ip`, to one address of ours.
fn echo_answer(ip: &[u8], is_own: impl Fn(IpAddr) -> bool) -> Option<Answer> {
    if ip.first()? >> 4 == 4 {
        let packet = Ipv4Packet::new_checked(ip).ok()?;
        let mut message = ip.get(usize::from(packet.header_len())..usize::from(packet.total_len()))?.to_vec();
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let is_request =
            packet.next_header() == IpProtocol::Icmp && message.first() == Some(&ECHO_REQUEST_IPV4);
        if !is_request
            || !is_own(to.into())
            || from.is_unspecified()
            || from.is_multicast()
            || from.is_broadcast()
        {
            return None;
        }
        message[0] = ECHO_REPLY_IPV4;
        message.get_mut(2..4)?.fill(0);
        let sum = !checksum::data(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let number = number(&message)?;
        return Some(Answer {
            to: from.into(),
            number,
            packet: ipv4(to, from, IpProtocol::Icmp, 0, 0, &message),
        });
    }
    let packet = Ipv6Packet::new_checked(ip).ok()?;
    let mut message = ip.get(packet.header_len()..packet.total_len())?.to_vec();
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let is_request =
        packet.next_header() == IpProtocol::Icmpv6 && message.first() == Some(&ECHO_REQUEST_IPV6);
    if !is_request || !is_own(to.into()) || from.is_unspecified() || from.is_multicast() {
        return None;
    }
    message[0] = ECHO_REPLY_IPV6;
    message.get_mut(2..4)?.fill(0);
    let sum = !transport_sum(to.into(), from.into(), IpProtocol::Icmpv6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let number = number(&message)?;
    let packet = with_room(&ipv6(to, from, IpProtocol::Icmpv6, HOP_LIMIT, &message));
    Some(Answer { to: from.into(), number, packet })
}

/// Identifier and sequence number of an echo message.
fn number(message: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(message.get(4..8)?.try_into().ok()?))
}

/// Where it goes, and the error about `first`; `None` where nothing may be said (RFC 1122, 3.2.2; RFC 4443, 2.4 (e)).
fn time_exceeded(first: &[u8], is_own: impl Fn(IpAddr) -> bool) -> Option<(IpAddr, BytesMut)> {
    if first.first()? >> 4 == 4 {
        let packet = Ipv4Packet::new_unchecked(first);
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let is_icmp = packet.next_header() == IpProtocol::Icmp;
        if is_icmp
            || !is_own(to.into())
            || from.is_unspecified()
            || from.is_multicast()
            || from.is_broadcast()
        {
            return None;
        }
        let mut message = vec![TIME_EXCEEDED_IPV4, REASSEMBLY, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&first[..first.len().min(QUOTED_BYTES_IPV4)]);
        let sum = !checksum::data(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        return Some((from.into(), ipv4(to, from, IpProtocol::Icmp, 0, 0, &message)));
    }
    error_ipv6(TIME_EXCEEDED_IPV6, REASSEMBLY, 0, first, is_own)
}

/// Where it goes, and an ICMPv6 error about `packet`; `None` where nothing may be said (RFC 4443, 2.4 (e)).
pub(super) fn error_ipv6(
    kind: u8,
    code: u8,
    word: u32,
    packet: &[u8],
    is_own: impl Fn(IpAddr) -> bool,
) -> Option<(IpAddr, BytesMut)> {
    let quoted = &packet[..packet.len().min(QUOTED_BYTES_IPV6)];
    let header = Ipv6Packet::new_unchecked(packet);
    let (from, to) = (header.src_addr(), header.dst_addr());
    let is_error = extension::carries_error(packet);
    if is_error || !is_own(to.into()) || from.is_unspecified() || from.is_multicast() {
        return None;
    }
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&word.to_be_bytes());
    message.extend_from_slice(quoted);
    let sum = !transport_sum(to.into(), from.into(), IpProtocol::Icmpv6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Some((from.into(), with_room(&ipv6(to, from, IpProtocol::Icmpv6, HOP_LIMIT, &message))))
}
