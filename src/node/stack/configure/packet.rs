//! What is sent before there is an address to send it from.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use smoltcp::wire::{ArpOperation, ArpRepr, EthernetAddress, IpProtocol};

use crate::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT, datagram};
use crate::network::ip::ipv4;

/// A message of the DHCP client, with room for the Ethernet header in front.
pub fn dhcp(source: Ipv4Addr, destination: Ipv4Addr, message: &Message) -> BytesMut {
    let datagram = datagram((source, CLIENT_PORT), (destination, SERVER_PORT), message);
    ipv4(source, destination, IpProtocol::Udp, 0, 0, &datagram)
}

/// "Does anybody have this address?" (RFC 5227, section 2.1.1)
pub fn arp_probe(mac: EthernetAddress, target: Ipv4Addr) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: Ipv4Addr::UNSPECIFIED,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    }
}
