//! Frames that an interface sends before it has an address to send from.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, UdpPacket, UdpRepr,
};

use super::super::rebind::ethernet;
use crate::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT};

/// Of neighbour discovery: one that passed a router is not believed (RFC 4861, section 7.1).
const NEIGHBOUR_HOP_LIMIT: u8 = 255;

/// A message of the DHCP client, to all unless `to` has the server's addresses.
pub fn dhcp(
    mac: EthernetAddress,
    source: Ipv4Addr,
    to: Option<(Ipv4Addr, EthernetAddress)>,
    message: &Message,
) -> Bytes {
    let (destination, to) = to.unwrap_or((Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST));
    let payload = message.to_bytes();
    let udp = UdpRepr { src_port: CLIENT_PORT, dst_port: SERVER_PORT };
    let ip = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    ethernet(mac, to, EthernetProtocol::Ipv4, ip.buffer_len() + ip.payload_len, |bytes| {
        let checksums = ChecksumCapabilities::default();
        let mut packet = Ipv4Packet::new_unchecked(bytes);
        ip.emit(&mut packet, &checksums);
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &source.into(),
            &destination.into(),
            payload.len(),
            |room| room.copy_from_slice(&payload),
            &checksums,
        );
    })
}

/// "Does anybody have this address?" (RFC 5227, section 2.1.1)
pub fn arp_probe(mac: EthernetAddress, target: Ipv4Addr) -> Bytes {
    arp(
        mac,
        EthernetAddress::BROADCAST,
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: mac,
            source_protocol_addr: Ipv4Addr::UNSPECIFIED,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        },
    )
}

/// "I have it", to whoever probed.
pub fn arp_reply(mac: EthernetAddress, own: Ipv4Addr, to: EthernetAddress) -> Bytes {
    arp(
        mac,
        to,
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: mac,
            source_protocol_addr: own,
            target_hardware_addr: to,
            target_protocol_addr: Ipv4Addr::UNSPECIFIED,
        },
    )
}

fn arp(mac: EthernetAddress, to: EthernetAddress, arp: ArpRepr) -> Bytes {
    ethernet(mac, to, EthernetProtocol::Arp, arp.buffer_len(), |payload| {
        arp.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

/// A message of neighbour discovery to a group.
pub fn icmpv6(mac: EthernetAddress, source: Ipv6Addr, group: Ipv6Addr, message: &Icmpv6Repr<'_>) -> Bytes {
    let ip = Ipv6Repr {
        src_addr: source,
        dst_addr: group,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: NEIGHBOUR_HOP_LIMIT,
    };
    ethernet(mac, group_mac(group), EthernetProtocol::Ipv6, ip.buffer_len() + ip.payload_len, |bytes| {
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        ip.emit(&mut packet);
        let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
        message.emit(&source, &group, &mut icmp, &ChecksumCapabilities::default());
    })
}

/// The Ethernet address of an IPv6 group (RFC 2464, section 7).
pub fn group_mac(group: Ipv6Addr) -> EthernetAddress {
    let [.., a, b, c, d] = group.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

/// The group that an address's neighbour questions go to (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let low = (address.to_bits() & 0xFF_FFFF) as u32;
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (low >> 16) as u16, low as u16)
}
