//! The checksums of a frame from outside: the one place where they are verified.

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet,
    Ipv6Packet, TcpPacket, UdpPacket,
};

use super::ip::Upper;

/// True unless a checksum that can be verified is wrong: the IPv4 header's (RFC 791), and those of TCP, UDP
/// and ICMP in packets that are not fragments. Packets cut short and protocols unknown here pass: whoever
/// parses them judges them.
pub fn holds(frame: &[u8]) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return true };
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => ipv4(frame.payload()),
        EthernetProtocol::Ipv6 => ipv6(frame.payload()),
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => true,
    }
}

/// As [`holds`], of an IP packet: one that was put together from fragments, which have no sum of what they carry.
pub fn packet_holds(ip: &[u8]) -> bool {
    match ip.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(ip),
        Some(6) => ipv6(ip),
        Some(_) | None => true,
    }
}

fn ipv4(bytes: &[u8]) -> bool {
    let Ok(packet) = Ipv4Packet::new_checked(bytes) else { return true };
    if !packet.verify_checksum() {
        return false;
    }
    if packet.more_frags() || packet.frag_offset() != 0 {
        return true;
    }
    transport(packet.next_header(), packet.src_addr().into(), packet.dst_addr().into(), packet.payload())
}

fn ipv6(bytes: &[u8]) -> bool {
    let Ok(packet) = Ipv6Packet::new_checked(bytes) else { return true };
    let Some(upper) = bytes.get(..packet.total_len()).and_then(Upper::find) else { return true };
    // With stops left the sum is over an address that is not the destination yet (RFC 8200, 8.1).
    if upper.is_fragment || upper.has_stops_left {
        return true;
    }
    let payload = &bytes[upper.offset..packet.total_len()];
    transport(upper.protocol, packet.src_addr().into(), packet.dst_addr().into(), payload)
}

fn transport(protocol: IpProtocol, source: IpAddress, destination: IpAddress, bytes: &[u8]) -> bool {
    match protocol {
        IpProtocol::Tcp => {
            TcpPacket::new_checked(bytes).map_or(true, |tcp| tcp.verify_checksum(&source, &destination))
        }
        IpProtocol::Udp => {
            UdpPacket::new_checked(bytes).map_or(true, |udp| udp.verify_checksum(&source, &destination))
        }
        IpProtocol::Icmp => Icmpv4Packet::new_checked(bytes).map_or(true, |icmp| icmp.verify_checksum()),
        IpProtocol::Icmpv6 => match (source, destination) {
            (IpAddress::Ipv6(source), IpAddress::Ipv6(destination)) => Icmpv6Packet::new_checked(bytes)
                .map_or(true, |icmp| icmp.verify_checksum(&source, &destination)),
            _ => true,
        },
        _ => true,
    }
}
