//! IP packets as bytes, for routers and nodes' stacks alike: headers, sums, fragments, ARP, neighbour discovery.
//!
//! A packet that is to leave has [`ETHERNET_HEADER_BYTES`] of room in front, so that whoever knows the neighbour writes
//! the Ethernet header in place.

pub mod arp;
pub mod fragment;
pub mod group;
pub mod ndp;
mod upper;

pub use upper::Upper;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use smoltcp::wire::{EthernetAddress, EthernetProtocol, IpProtocol, Ipv6Cidr, checksum};

use super::checksum::data;

pub const ETHERNET_HEADER_BYTES: usize = 14;
pub const IPV4_HEADER_BYTES: usize = 20;
pub const IPV6_HEADER_BYTES: usize = 40;
/// TTL and hop limit of what routers and stacks send of their own.
pub const HOP_LIMIT: u8 = 64;

/// An IPv4 packet with room for the Ethernet header in front, without options. At most 65,515 bytes of
/// payload.
pub fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: IpProtocol,
    service: u8,
    identification: u16,
    payload: &[u8],
) -> BytesMut {
    let total = IPV4_HEADER_BYTES + payload.len();
    let mut bytes = BytesMut::with_capacity(ETHERNET_HEADER_BYTES + total);
    bytes.resize(ETHERNET_HEADER_BYTES, 0);
    bytes.extend_from_slice(&[0x45, service]);
    bytes.extend_from_slice(&(total as u16).to_be_bytes());
    bytes.extend_from_slice(&identification.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, HOP_LIMIT, protocol.into(), 0, 0]);
    bytes.extend_from_slice(&source.octets());
    bytes.extend_from_slice(&destination.octets());
    fill_ipv4_checksum(&mut bytes[ETHERNET_HEADER_BYTES..]);
    bytes.extend_from_slice(payload);
    bytes
}

/// An IPv6 packet without the Ethernet header. At most 65,535 bytes of payload.
pub fn ipv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: IpProtocol,
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(IPV6_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&[0x60, 0, 0, 0]);
    bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[next_header.into(), hop_limit]);
    bytes.extend_from_slice(&source.octets());
    bytes.extend_from_slice(&destination.octets());
    bytes.extend_from_slice(payload);
    bytes
}

/// Sum over `payload` and the pseudo-header: 0xFFFF if the checksum inside is right, and the complement of
/// the checksum to write if that field is zero.
pub fn transport_sum(source: IpAddr, destination: IpAddr, protocol: IpProtocol, payload: &[u8]) -> u16 {
    let length = payload.len() as u32;
    let pseudo = checksum::pseudo_header(&source.into(), &destination.into(), protocol, length);
    checksum::combine(&[pseudo, data(payload)])
}

/// Writes the header checksum of an IPv4 packet.
pub fn fill_ipv4_checksum(ip: &mut [u8]) {
    let header = usize::from(ip[0] & 0xF) * 4;
    ip[10..12].fill(0);
    let sum = !data(&ip[..header]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Writes the header in front of a packet.
pub fn write_ethernet(
    bytes: &mut [u8],
    to: EthernetAddress,
    from: EthernetAddress,
    protocol: EthernetProtocol,
) {
    bytes[0..6].copy_from_slice(to.as_bytes());
    bytes[6..12].copy_from_slice(from.as_bytes());
    bytes[12..14].copy_from_slice(&u16::from(protocol).to_be_bytes());
}

/// fe80::/10 (RFC 4291, 2.5.6): of use on its link alone.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The address of a prefix of 64 bits that is made of a MAC: its modified EUI-64 (RFC 4291, appendix A).
pub fn address_of_mac(prefix: Ipv6Addr, mac: EthernetAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let mut octets = prefix.octets();
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    octets.into()
}

/// The link-local address that is made of a MAC (RFC 4862, 5.3).
pub fn link_local(mac: EthernetAddress) -> Ipv6Cidr {
    Ipv6Cidr::new(address_of_mac(Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 0), mac), 64)
}

/// An IP packet with room for the Ethernet header in front.
pub fn with_room(ip: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(ETHERNET_HEADER_BYTES + ip.len());
    bytes.resize(ETHERNET_HEADER_BYTES, 0);
    bytes.extend_from_slice(ip);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_carry_the_mac() {
        let mac = EthernetAddress([2, 0, 0, 1, 2, 0xFF]);
        assert_eq!(link_local(mac).to_string(), "fe80::ff:fe01:2ff/64");
    }
}
