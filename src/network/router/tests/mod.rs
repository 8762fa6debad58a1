//! A router between two subnets, and the hosts on them by hand.
//!
//! ```text
//! host A 10.0.1.2, 2001:db8:1::2 -- port 0 [router] port 1 -- host B 10.0.2.2, 2001:db8:2::2
//! ```

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, IpProtocol, Ipv4Packet, Ipv6Packet, PrettyPrinter,
};

use super::*;
use crate::network::PacketId;
use crate::network::ip::{fill_ipv4_checksum, ipv4, ipv6, transport_sum};

mod addresses;
mod errors;
mod forwarding;
mod hostile;
mod neighbours;

const MAC_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xA]);
const MAC_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xB]);
const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 1, 0, 0, 0, 0, 2);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 2, 0, 0, 0, 0, 2);
const ROUTER4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 2, 1)];
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 1, 0, 0, 0, 0, 1);
const ID: PacketId = PacketId(77);

fn mac(port: usize) -> EthernetAddress {
    EthernetAddress([2, 0, 0, 0, 1, port as u8])
}

fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

fn interface(port: usize, mtu: usize, addresses: &[&str]) -> InterfaceConfig {
    InterfaceConfig {
        name: format!("eth{port}"),
        mac: mac(port),
        addresses: addresses.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        mtu,
    }
}

fn router() -> Router {
    let interfaces = [
        interface(0, 1500, &["10.0.1.1/24", "2001:db8:1::1/64"]),
        interface(1, 1280, &["10.0.2.1/24", "2001:db8:2::1/64"]),
    ];
    let routes = [Route { prefix: "192.168.0.0/16".parse().unwrap(), via: B4.into() }];
    Router::new(&interfaces, &routes)
}

/// A router whose neighbours have all asked it for its addresses, and are known by that.
fn router_with_neighbours() -> Router {
    let mut router = router();
    let mut out = Egress::new();
    for (port, mac, host) in [(0, MAC_A, A4), (1, MAC_B, B4)] {
        router.ingest(at(0), port, arp(ArpOperation::Request, mac, host, ROUTER4[port]), &mut out);
    }
    for (port, mac, host) in [(0, MAC_A, A6), (1, MAC_B, B6)] {
        let target = router.interfaces[port].ipv6[0].address();
        router.ingest(at(0), port, solicitation(port, mac, host, target), &mut out);
    }
    assert_eq!(out.len(), 4);
    router.statistics = Statistics::default();
    router
}

/// Feeds a frame and describes what comes out.
fn exchange(router: &mut Router, ms: u64, port: usize, frame: Frame) -> String {
    let mut out = Egress::new();
    router.ingest(at(ms), port, frame, &mut out);
    describe(&out)
}

fn poll(router: &mut Router, ms: u64) -> String {
    let mut out = Egress::new();
    router.poll(at(ms), &mut out);
    describe(&out)
}

/// One paragraph for each frame, with everything inside that smoltcp can parse.
fn describe(out: &Egress) -> String {
    let mut text = String::new();
    for (port, frame) in out {
        assert_well_formed(frame);
        let decoded = PrettyPrinter::<EthernetFrame<&'static [u8]>>::new("", &&frame.bytes[..]).to_string();
        writeln!(text, "port {port}, packet {}: {decoded}{}", frame.id.0, what_the_printer_omits(frame))
            .unwrap();
    }
    text
}

fn what_the_printer_omits(frame: &Frame) -> String {
    let ip = &frame.bytes[14..];
    match (frame.bytes[12], ip[0] >> 4) {
        (0x08, 4) => {
            let ip = Ipv4Packet::new_unchecked(ip);
            let fragment = if ip.more_frags() || ip.frag_offset() != 0 {
                format!(", fragment at {} of {}, more: {}", ip.frag_offset(), ip.ident(), ip.more_frags())
            } else {
                String::new()
            };
            format!("\n  (TTL {}, DSCP {}{fragment})", ip.hop_limit(), ip.dscp())
        }
        (0x86, 6) if ip[6] == 58 => {
            let hexadecimal =
                |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let rest: Vec<_> = ip[44..].chunks(16).map(hexadecimal).collect();
            format!("\n  (ICMPv6 type {}, code {}: {})", ip[40], ip[41], rest.join(" "))
        }
        _ => String::new(),
    }
}

/// What leaves must have right lengths and checksums, whatever came in with `Checksums::Valid`.
fn assert_well_formed(frame: &Frame) {
    let bytes = &frame.bytes[..];
    match u16::from_be_bytes([bytes[12], bytes[13]]) {
        0x0800 => {
            let ip = Ipv4Packet::new_checked(&bytes[14..]).unwrap();
            assert!(ip.verify_checksum());
            assert_eq!(usize::from(ip.total_len()), bytes.len() - 14, "no padding");
        }
        0x86DD => {
            let ip = Ipv6Packet::new_checked(&bytes[14..]).unwrap();
            assert_eq!(ip.total_len(), bytes.len() - 14, "no padding");
            if ip.next_header() == IpProtocol::Icmpv6 {
                let (source, destination) = (ip.src_addr().into(), ip.dst_addr().into());
                assert_eq!(transport_sum(source, destination, IpProtocol::Icmpv6, ip.payload()), 0xFFFF);
            }
        }
        0x0806 => assert!(ArpPacket::new_checked(&bytes[14..]).is_ok()),
        other => panic!("EtherType {other:#06x}"),
    }
}

fn ethernet(to: EthernetAddress, from: EthernetAddress, protocol: EthernetProtocol, ip: &[u8]) -> Frame {
    let mut bytes = vec![];
    bytes.extend_from_slice(to.as_bytes());
    bytes.extend_from_slice(from.as_bytes());
    bytes.extend_from_slice(&u16::from(protocol).to_be_bytes());
    bytes.extend_from_slice(ip);
    Frame { id: ID, ..Frame::new(Bytes::from(bytes)) }
}

fn arp(operation: ArpOperation, from: EthernetAddress, sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
    let arp = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: from,
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; arp.buffer_len()];
    arp.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    ethernet(EthernetAddress::BROADCAST, from, EthernetProtocol::Arp, &bytes)
}

fn udp(source: IpAddr, destination: IpAddr, data_bytes: usize) -> Vec<u8> {
    let mut datagram = vec![0x12, 0x34, 0, 53];
    datagram.extend_from_slice(&(8 + data_bytes as u16).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.resize(8 + data_bytes, 0x55);
    let sum = !transport_sum(source, destination, IpProtocol::Udp, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// From host A to the router's port 0.
fn udp4(destination: Ipv4Addr, ttl: u8, data_bytes: usize) -> Frame {
    let datagram = udp(A4.into(), destination.into(), data_bytes);
    ip4(A4, destination, IpProtocol::Udp, ttl, &datagram)
}

fn ip4(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol, ttl: u8, payload: &[u8]) -> Frame {
    let mut bytes = ipv4(source, destination, protocol, 0, 1, payload);
    bytes[14 + 8] = ttl;
    fill_ipv4_checksum(&mut bytes[14..]);
    ethernet(mac(0), MAC_A, EthernetProtocol::Ipv4, &bytes[14..])
}

fn udp6(destination: Ipv6Addr, hop_limit: u8, data_bytes: usize) -> Frame {
    let datagram = udp(A6.into(), destination.into(), data_bytes);
    ip6(A6, destination, IpProtocol::Udp, hop_limit, &datagram)
}

fn ip6(source: Ipv6Addr, destination: Ipv6Addr, next: IpProtocol, hop_limit: u8, payload: &[u8]) -> Frame {
    let ip = ipv6(source, destination, next, hop_limit, payload);
    ethernet(mac(0), MAC_A, EthernetProtocol::Ipv6, &ip)
}

/// An ICMPv6 message with its checksum filled in.
fn icmp6(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, mut message: Vec<u8>) -> Frame {
    let sum = !transport_sum(source.into(), destination.into(), IpProtocol::Icmpv6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip6(source, destination, IpProtocol::Icmpv6, hop_limit, &message)
}

fn neighbour_message(kind: u8, flags: u8, target: Ipv6Addr, mac: EthernetAddress) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[kind - 134, 1]);
    message.extend_from_slice(mac.as_bytes());
    message
}

fn solicitation(port: usize, from: EthernetAddress, source: Ipv6Addr, target: Ipv6Addr) -> Frame {
    let group = crate::network::ip::ndp::solicited_node(target);
    let frame = icmp6(source, group, 255, neighbour_message(135, 0, target, from));
    readdress(frame, mac(port), from)
}

fn advertisement(port: usize, from: EthernetAddress, target: Ipv6Addr, to: Ipv6Addr) -> Frame {
    let frame = icmp6(target, to, 255, neighbour_message(136, 0x60, target, from));
    readdress(frame, mac(port), from)
}

fn readdress(frame: Frame, to: EthernetAddress, from: EthernetAddress) -> Frame {
    change(frame, |bytes| {
        bytes[0..6].copy_from_slice(to.as_bytes());
        bytes[6..12].copy_from_slice(from.as_bytes());
    })
}

fn change(frame: Frame, change: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut bytes = frame.bytes.to_vec();
    change(&mut bytes);
    Frame { bytes: Bytes::from(bytes), ..frame }
}

fn unverified(frame: Frame) -> Frame {
    Frame { checksums: Checksums::Unverified, ..frame }
}
