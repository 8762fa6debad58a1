//! Which connection a packet belongs to, read from its headers without a scan of the sockets.
//!
//! smoltcp looks at every socket of a set for each packet. Here each connection has a set of its own,
//! and this file finds it: [`classify`] reads the addresses and ports, [`Table`] maps them to a key.
//! Nothing is trusted: what does not add up is [`Class::Malformed`] and goes no further.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use smoltcp::wire::{
    Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket,
    UdpPacket,
};

use super::flows::Tuple;
use crate::network::ip::{IPV6_HEADER_BYTES, Upper};

/// The part of a TCP header that decides before smoltcp sees the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub sequence: u32,
    pub acknowledgement: u32,
    /// Bytes of payload.
    pub payload_len: usize,
}

/// What a received packet is to this stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    Tcp(Tuple, Segment),
    /// A whole datagram; `payload` is its place in the packet.
    Udp(Tuple, Range<usize>),
    /// The answer to an echo request, the whole message: its identifier stands for the local port, and the peer has none.
    EchoReply(Tuple, Range<usize>),
    /// An ICMP error about a packet that this node sent.
    Unreachable(Quote, Unreachable),
    /// Neighbour discovery (RFC 4861), for link/.
    Solicitation,
    Advertisement,
    /// Anything else, for smoltcp's interface to answer or drop.
    Other,
    /// Cut short, or against its protocol's format.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    Tcp,
    Udp,
    /// A request, its identifier being the local port.
    Echo,
    /// An answer to somebody's request.
    EchoAnswer,
}

/// What an ICMP error says of the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    pub protocol: Quoted,
    /// The flow, as this node sees it: the packet was ours, so its source is local.
    pub tuple: Tuple,
    /// The sequence number of a TCP segment; identifier and sequence number of an echo message; of no meaning for others.
    pub sequence: u32,
    /// Length of the whole IP packet in bytes.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    Network,
    Host,
    Port,
    Prohibited,
    /// Its time to live was used up, or the time to put it together.
    Expired,
    /// The next link takes packets of at most so many bytes; 0 from a router that does not tell.
    TooBig {
        mtu: usize,
    },
}

/// Reads a whole IP packet.
pub fn classify(ip: &[u8]) -> Class {
    classify_checked(ip).unwrap_or(Class::Malformed)
}

fn classify_checked(ip: &[u8]) -> Option<Class> {
    match ip.first()? >> 4 {
        4 => ipv4(ip),
        6 => ipv6(ip),
        _ => None,
    }
}

fn ipv4(bytes: &[u8]) -> Option<Class> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    // Fragments carry no ports: they are put together before they come here, or never.
    if packet.more_frags() || packet.frag_offset() != 0 {
        return Some(Class::Other);
    }
    let header = usize::from(packet.header_len());
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    let payload = bytes.get(header..usize::from(packet.total_len()))?;
    match packet.next_header() {
        IpProtocol::Icmp => icmpv4(payload, source, destination, header),
        protocol => transport(protocol, source, destination, payload, header),
    }
}

fn ipv6(bytes: &[u8]) -> Option<Class> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    let header = packet.header_len();
    let payload = bytes.get(header..packet.total_len())?;
    match packet.next_header() {
        IpProtocol::Icmpv6 => icmpv6(payload, source, destination, header),
        protocol => transport(protocol, source, destination, payload, header),
    }
}

/// The flow of a packet that this node sent, if it can be told from the packet.
pub fn sender(ip: &[u8]) -> Option<(Quoted, Tuple)> {
    let quote = if ip.first()? >> 4 == 4 { quoted_ipv4(ip)? } else { quoted_ipv6(ip)? };
    Some((quote.protocol, quote.tuple))
}

/// The sequence number of a segment that this node sent.
pub fn sequence(ip: &[u8]) -> Option<u32> {
    let quote = if ip.first()? >> 4 == 4 { quoted_ipv4(ip)? } else { quoted_ipv6(ip)? };
    (quote.protocol == Quoted::Tcp).then_some(quote.sequence)
}

/// Whether it is a segment with bytes of the stream.
pub fn has_payload(ip: &[u8]) -> bool {
    matches!(classify(ip), Class::Tcp(_, segment) if segment.payload_len > 0)
}

fn transport(
    protocol: IpProtocol,
    source: IpAddr,
    destination: IpAddr,
    payload: &[u8],
    offset: usize,
) -> Option<Class> {
    match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            let segment = Segment {
                syn: tcp.syn(),
                ack: tcp.ack(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                sequence: tcp.seq_number().0 as u32,
                acknowledgement: tcp.ack_number().0 as u32,
                payload_len: tcp.payload().len(),
            };
            let local = SocketAddr::new(destination, tcp.dst_port());
            let remote = SocketAddr::new(source, tcp.src_port());
            Some(Class::Tcp(Tuple { local, remote }, segment))
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            let local = SocketAddr::new(destination, udp.dst_port());
            let remote = SocketAddr::new(source, udp.src_port());
            let start = offset + smoltcp::wire::UDP_HEADER_LEN;
            Some(Class::Udp(Tuple { local, remote }, start..offset + usize::from(udp.len())))
        }
        _ => Some(Class::Other),
    }
}

fn icmpv4(bytes: &[u8], source: IpAddr, destination: IpAddr, offset: usize) -> Option<Class> {
    let packet = Icmpv4Packet::new_checked(bytes).ok()?;
    // RFC 1122 3.2.2.1.
    let reason = match (packet.msg_type(), packet.msg_code()) {
        (Icmpv4Message::DstUnreachable, 0 | 5 | 6 | 11) => Unreachable::Network,
        (Icmpv4Message::DstUnreachable, 2 | 3) => Unreachable::Port,
        // RFC 1191 4: the MTU in the low 16 bits of what was unused before.
        (Icmpv4Message::DstUnreachable, 4) => {
            let mtu = u16::from_be_bytes(bytes.get(6..8)?.try_into().ok()?);
            Unreachable::TooBig { mtu: usize::from(mtu) }
        }
        (Icmpv4Message::DstUnreachable, 9 | 10 | 13) => Unreachable::Prohibited,
        (Icmpv4Message::DstUnreachable, _) => Unreachable::Host,
        (Icmpv4Message::TimeExceeded, _) => Unreachable::Expired,
        (Icmpv4Message::EchoReply, 0) => return echo_reply(bytes, source, destination, offset),
        _ => return Some(Class::Other),
    };
    Some(quoted_ipv4(bytes.get(8..)?).map_or(Class::Other, |quote| Class::Unreachable(quote, reason)))
}

fn icmpv6(bytes: &[u8], source: IpAddr, destination: IpAddr, offset: usize) -> Option<Class> {
    let packet = Icmpv6Packet::new_checked(bytes).ok()?;
    // RFC 4443 3.
    let reason = match (packet.msg_type(), packet.msg_code()) {
        (Icmpv6Message::NeighborSolicit, _) => return Some(Class::Solicitation),
        (Icmpv6Message::NeighborAdvert, _) => return Some(Class::Advertisement),
        (Icmpv6Message::DstUnreachable, 0) => Unreachable::Network,
        (Icmpv6Message::DstUnreachable, 4) => Unreachable::Port,
        (Icmpv6Message::DstUnreachable, 1 | 5 | 6) => Unreachable::Prohibited,
        (Icmpv6Message::DstUnreachable, _) => Unreachable::Host,
        (Icmpv6Message::PktTooBig, _) => {
            let mtu = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
            Unreachable::TooBig { mtu: mtu as usize }
        }
        (Icmpv6Message::TimeExceeded, _) => Unreachable::Expired,
        (Icmpv6Message::EchoReply, 0) => return echo_reply(bytes, source, destination, offset),
        _ => return Some(Class::Other),
    };
    Some(quoted_ipv6(bytes.get(8..)?).map_or(Class::Other, |quote| Class::Unreachable(quote, reason)))
}

fn echo_reply(message: &[u8], source: IpAddr, destination: IpAddr, offset: usize) -> Option<Class> {
    let tuple = echo_tuple(message, destination, source)?;
    Some(Class::EchoReply(tuple, offset..offset + message.len()))
}

/// The flow that an echo request or its answer belongs to.
fn echo_tuple(message: &[u8], local: IpAddr, remote: IpAddr) -> Option<Tuple> {
    let identifier = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    Some(Tuple { local: SocketAddr::new(local, identifier), remote: SocketAddr::new(remote, 0) })
}

/// What a packet that was cut short says of itself; `None` if that is not enough.
fn quoted_ipv4(ip: &[u8]) -> Option<Quote> {
    let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
    let (local, remote) = (address(12)?, address(16)?);
    if u16::from_be_bytes([ip[6], ip[7]]) & 0x1FFF != 0 {
        return None;
    }
    let header = usize::from(ip[0] & 0x0F) * 4;
    let bytes = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    quote(IpProtocol::from(ip[9]), local, remote, ip.get(header..)?, bytes)
}

fn quoted_ipv6(ip: &[u8]) -> Option<Quote> {
    let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
    let (local, remote) = (address(8)?, address(24)?);
    let upper = Upper::find(ip)?;
    if upper.is_later_fragment {
        return None;
    }
    let bytes = IPV6_HEADER_BYTES + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    quote(upper.protocol, local, remote, ip.get(upper.offset..)?, bytes)
}

fn quote(
    protocol: IpProtocol,
    local: IpAddr,
    remote: IpAddr,
    transport: &[u8],
    bytes: usize,
) -> Option<Quote> {
    let protocol = match protocol {
        IpProtocol::Tcp => Quoted::Tcp,
        IpProtocol::Udp => Quoted::Udp,
        IpProtocol::Icmp | IpProtocol::Icmpv6 => return quoted_echo(local, remote, transport, bytes),
        _ => return None,
    };
    let &[a, b, c, d, rest @ ..] = transport.first_chunk::<8>()?;
    let tuple = Tuple {
        local: SocketAddr::new(local, u16::from_be_bytes([a, b])),
        remote: SocketAddr::new(remote, u16::from_be_bytes([c, d])),
    };
    Some(Quote { protocol, tuple, sequence: u32::from_be_bytes(rest), bytes })
}

fn quoted_echo(local: IpAddr, remote: IpAddr, message: &[u8], bytes: usize) -> Option<Quote> {
    let tuple = echo_tuple(message, local, remote)?;
    let sequence = u32::from_be_bytes(message.get(4..8)?.try_into().ok()?);
    let protocol = match [message[0], message[1]] {
        [kind, 0] if kind == echo_request(local) => Quoted::Echo,
        [kind, 0] if kind == echo_answer(local) => Quoted::EchoAnswer,
        _ => return None,
    };
    Some(Quote { protocol, tuple, sequence, bytes })
}

/// The type of an echo request (RFC 792, RFC 4443), by the family of its addresses.
pub fn echo_request(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { Icmpv4Message::EchoRequest.into() } else { Icmpv6Message::EchoRequest.into() }
}

fn echo_answer(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { Icmpv4Message::EchoReply.into() } else { Icmpv6Message::EchoReply.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet with nothing in it but its header and `payload`.
    fn ipv4(protocol: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = (20 + payload.len()) as u8;
        let header = [0x45, 0, 0, len, 0, 1, flags, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        [&header, payload].concat()
    }

    #[test]
    fn what_is_cut_short_is_malformed_and_what_is_unknown_is_other() {
        let udp = ipv4(17, 0, &[0, 1, 0, 2, 0, 9, 0, 0, b'x']);
        assert!(matches!(classify(&udp), Class::Udp(_, payload) if payload == (28..29)));
        for len in 0..udp.len() {
            assert_eq!(classify(&udp[..len]), Class::Malformed, "{len} bytes");
        }
        assert_eq!(
            classify(&ipv4(17, 0, &[0, 1, 0, 2, 0, 99, 0, 0])),
            Class::Malformed,
            "length past the end"
        );
        assert_eq!(classify(&ipv4(6, 0, &[0; 20])), Class::Malformed, "a TCP header of no length");
        assert_eq!(classify(&ipv4(17, 0x20, &[1, 2, 3])), Class::Other, "a fragment");
        assert_eq!(classify(&ipv4(132, 0, &[])), Class::Other, "SCTP");
    }
}
