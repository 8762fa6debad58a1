//! ARP's messages (RFC 826), of IPv4 over Ethernet.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use super::{ETHERNET_HEADER_BYTES, write_ethernet};

/// What a message says to whoever it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub operation: ArpOperation,
    pub sender_mac: EthernetAddress,
    pub sender: Ipv4Addr,
    pub target: Ipv4Addr,
}

/// `None` if it is cut short, or about other addresses than these.
pub fn parse(arp: &[u8]) -> Option<Heard> {
    let packet = ArpPacket::new_checked(arp).ok()?;
    if packet.hardware_len() != 6 || packet.protocol_len() != 4 {
        return None;
    }
    match ArpRepr::parse(&packet).ok()? {
        ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: sender_mac,
            source_protocol_addr: sender,
            target_protocol_addr: target,
            ..
        } => Some(Heard { operation, sender_mac, sender, target }),
        _ => None,
    }
}

/// "Who has `target`?", from `source` at `mac`. A probe (RFC 5227, 2.1.1) comes from the unspecified address, and who
/// announces an address (2.3) asks for it from there.
pub fn request(mac: EthernetAddress, source: Ipv4Addr, target: Ipv4Addr) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: source,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    }
}

/// "It is at `mac`", to the sender of a request.
pub fn reply(mac: EthernetAddress, request: &Heard) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: mac,
        source_protocol_addr: request.target,
        target_hardware_addr: request.sender_mac,
        target_protocol_addr: request.sender,
    }
}

/// The frame of a message.
pub fn frame(to: EthernetAddress, from: EthernetAddress, message: ArpRepr) -> BytesMut {
    let mut bytes = BytesMut::zeroed(ETHERNET_HEADER_BYTES + message.buffer_len());
    message.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_HEADER_BYTES..]));
    write_ethernet(&mut bytes, to, from, EthernetProtocol::Arp);
    bytes
}
