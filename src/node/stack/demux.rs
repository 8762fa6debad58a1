//! Which connection a frame belongs to, read from its headers without a scan of the sockets.
//!
//! smoltcp looks at every socket of a set for each packet. Here each connection has a set of its own,
//! and this file finds it: [`classify`] reads the addresses and ports, [`Table`] maps them to a key.
//! Nothing is trusted: what does not add up is [`Class::Malformed`] and goes no further.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

use smoltcp::wire::{
    ArpPacket, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet,
    IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

/// Both ends of a flow, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Tuple {
    /// True if either end is a loopback address.
    pub fn has_loopback(&self) -> bool {
        self.local.ip().is_loopback() || self.remote.ip().is_loopback()
    }
}

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
    /// A whole datagram; `payload` is its place in the frame.
    Udp(Tuple, std::ops::Range<usize>),
    /// An ICMP error about a packet that this node sent: the quoted flow and what it means.
    Unreachable(Quoted, Tuple, Unreachable),
    /// An ARP packet or neighbour advertisement: somebody's address may be known now.
    Neighbour,
    /// Anything else, for smoltcp's interface to answer or drop.
    Other,
    /// Cut short, or against its protocol's format.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    Network,
    Host,
    Port,
    Prohibited,
    TooBig,
}

/// Reads an Ethernet frame (`ethernet`) or a bare IP packet.
pub fn classify(bytes: &[u8], ethernet: bool) -> Class {
    classify_checked(bytes, ethernet).unwrap_or(Class::Malformed)
}

fn classify_checked(bytes: &[u8], ethernet: bool) -> Option<Class> {
    if !ethernet {
        return match bytes.first()? >> 4 {
            4 => ipv4(bytes, 0),
            6 => ipv6(bytes, 0),
            _ => None,
        };
    }
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => ipv4(frame.payload(), EthernetFrame::<&[u8]>::header_len()),
        EthernetProtocol::Ipv6 => ipv6(frame.payload(), EthernetFrame::<&[u8]>::header_len()),
        EthernetProtocol::Arp => ArpPacket::new_checked(frame.payload()).ok().map(|_| Class::Neighbour),
        EthernetProtocol::Unknown(_) => Some(Class::Other),
    }
}

fn ipv4(bytes: &[u8], offset: usize) -> Option<Class> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    if packet.version() != 4 {
        return None;
    }
    // Fragments carry no ports, and smoltcp is built without reassembly: it drops them.
    if packet.more_frags() || packet.frag_offset() != 0 {
        return Some(Class::Other);
    }
    let header = usize::from(packet.header_len());
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    let payload = bytes.get(header..usize::from(packet.total_len()))?;
    match packet.next_header() {
        IpProtocol::Icmp => icmpv4(payload),
        protocol => transport(protocol, source, destination, payload, offset + header),
    }
}

fn ipv6(bytes: &[u8], offset: usize) -> Option<Class> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    if packet.version() != 6 {
        return None;
    }
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    let header = packet.header_len();
    let payload = bytes.get(header..packet.total_len())?;
    match packet.next_header() {
        IpProtocol::Icmpv6 => icmpv6(payload),
        protocol => transport(protocol, source, destination, payload, offset + header),
    }
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

fn icmpv4(bytes: &[u8]) -> Option<Class> {
    let packet = Icmpv4Packet::new_checked(bytes).ok()?;
    if packet.msg_type() != Icmpv4Message::DstUnreachable {
        return Some(Class::Other);
    }
    // RFC 1122 3.2.2.1.
    let reason = match packet.msg_code() {
        0 | 5 | 6 | 11 => Unreachable::Network,
        2 | 3 => Unreachable::Port,
        4 => Unreachable::TooBig,
        9 | 10 | 13 => Unreachable::Prohibited,
        _ => Unreachable::Host,
    };
    let quoted = packet.data();
    let header = usize::from(quoted.first()? & 0x0f) * 4;
    let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(quoted.get(at..at + 4)?).ok()?));
    let protocol = IpProtocol::from(*quoted.get(9)?);
    quoted_flow(protocol, address(12)?, address(16)?, quoted.get(header..)?, reason)
}

fn icmpv6(bytes: &[u8]) -> Option<Class> {
    let packet = Icmpv6Packet::new_checked(bytes).ok()?;
    // RFC 4443 3.1 and 3.2.
    let reason = match (packet.msg_type(), packet.msg_code()) {
        (Icmpv6Message::NeighborAdvert, _) => return Some(Class::Neighbour),
        (Icmpv6Message::DstUnreachable, 0) => Unreachable::Network,
        (Icmpv6Message::DstUnreachable, 4) => Unreachable::Port,
        (Icmpv6Message::DstUnreachable, 1 | 5 | 6) => Unreachable::Prohibited,
        (Icmpv6Message::DstUnreachable, _) => Unreachable::Host,
        (Icmpv6Message::PktTooBig, _) => Unreachable::TooBig,
        _ => return Some(Class::Other),
    };
    let quoted = bytes.get(8..)?;
    let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(quoted.get(at..at + 16)?).ok()?));
    let protocol = IpProtocol::from(*quoted.get(6)?);
    quoted_flow(protocol, address(8)?, address(24)?, quoted.get(40..)?, reason)
}

/// The quoted packet was ours, so its source is local.
fn quoted_flow(
    protocol: IpProtocol,
    local: IpAddr,
    remote: IpAddr,
    transport: &[u8],
    reason: Unreachable,
) -> Option<Class> {
    let quoted = match protocol {
        IpProtocol::Tcp => Quoted::Tcp,
        IpProtocol::Udp => Quoted::Udp,
        _ => return Some(Class::Other),
    };
    let port = |at: usize| Some(u16::from_be_bytes(transport.get(at..at + 2)?.try_into().ok()?));
    let tuple = Tuple { local: SocketAddr::new(local, port(0)?), remote: SocketAddr::new(remote, port(2)?) };
    Some(Class::Unreachable(quoted, tuple, reason))
}

/// Flows by both ends. Looked up, never iterated: its order is nobody's business.
pub type Table<V> = HashMap<Tuple, V, Keyed>;

/// A multiply-and-fold hash keyed by the node's seed: cheap, and a peer who does not know the seed
/// cannot aim at one bucket.
#[derive(Clone, Debug)]
pub struct Keyed(pub u64);

pub struct Fold(u64);

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(self.0)
    }
}

impl Fold {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
        assert!(matches!(classify(&udp, false), Class::Udp(_, payload) if payload == (28..29)));
        for len in 0..udp.len() {
            assert_eq!(classify(&udp[..len], false), Class::Malformed, "{len} bytes");
        }
        assert_eq!(
            classify(&ipv4(17, 0, &[0, 1, 0, 2, 0, 99, 0, 0]), false),
            Class::Malformed,
            "length past the end"
        );
        assert_eq!(classify(&ipv4(6, 0, &[0; 20]), false), Class::Malformed, "a TCP header of no length");
        assert_eq!(classify(&ipv4(17, 0x20, &[1, 2, 3]), false), Class::Other, "a fragment");
        assert_eq!(classify(&ipv4(132, 0, &[]), false), Class::Other, "SCTP");
        assert_eq!(classify(&[2; 13], true), Class::Malformed, "a runt");
        assert_eq!(classify(&[0x88; 14], true), Class::Other, "an unknown EtherType");
    }
}
