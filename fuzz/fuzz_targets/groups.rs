//! IGMP and MLD from strangers, their checksums right: to a switch that snoops, and to a host that is in groups.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use guestnet::network::ip::group::{Message, parse};
use guestnet::network::ip::{ETHERNET_HEADER_BYTES, ipv4, ipv6, transport_sum, with_room, write_ethernet};
use guestnet::network::switch::Switch;
use guestnet::network::{Egress, Frame, InterfaceConfig};
use guestnet::node::{Node, SocketKind};
use guestnet::protocol::ip::{Families, Family, Ip, Settings};
use guestnet::protocol::policy::Policy;
use guestnet::rng::Seed;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{EthernetAddress, EthernetProtocol, IpCidr, IpProtocol, checksum};

const PORTS: usize = 4;
/// A hop-by-hop header with router alert (RFC 2711).
const HOP_BY_HOP: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

fn host() -> Node {
    let cidr = |text: &str| text.parse::<IpCidr>().expect("an address");
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        addresses: vec![cidr("10.0.0.2/24"), cidr("fe80::ff:fe00:1/64")],
        mtu: 1500,
    };
    let mut node = Node::new(&[interface], &[], Seed(1).fork("stack"), Seed(1).fork("guest"));
    for (family, any, group) in [(Family::V4, "0.0.0.0:7", "239.1.2.3"), (Family::V6, "[::]:7", "ff05::99")] {
        let ip = Ip::new(Settings::new(Families::only(family), Policy::default()));
        let protocol = node.grant(Box::new(ip));
        let control = node.open(protocol, any, SocketKind::Datagram).expect("opens");
        node.join_group(control, group).expect("joins");
    }
    node
}

/// The packet that carries `message`, with its checksum right.
fn packet(v6: bool, from: u8, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if message.len() >= 4 {
        message[2..4].fill(0);
    }
    if v6 {
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, from.into());
        let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
        if message.len() >= 4 {
            let sum = !transport_sum(source.into(), to.into(), IpProtocol::Icmpv6, &message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        ipv6(source, to, IpProtocol::HopByHop, 1, &[&HOP_BY_HOP[..], &message].concat())
    } else {
        if message.len() >= 4 {
            let sum = !checksum::data(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let source = Ipv4Addr::new(10, 0, 0, from);
        let packet = ipv4(source, Ipv4Addr::new(224, 0, 0, 22), IpProtocol::Igmp, 0, 0, &message);
        packet[ETHERNET_HEADER_BYTES..].to_vec()
    }
}

// Each: two bytes of length, one of port, family, time and whether it is wrapped; the bytes.
fuzz_target!(|data: &[u8]| {
    let (mut node, mut switch) = (host(), Switch::new(PORTS, Duration::from_secs(300)).snooping());
    let (mut now, mut egress, mut rest) = (Instant::START, Egress::new(), data);
    while let [low, high, how, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()).min(1400);
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let (port, v6, wrapped) = (usize::from(how % 4), how & 4 != 0, how & 8 != 0);
        now += Duration::from_secs(u64::from(how >> 4) * 8);
        let ip = if wrapped { packet(v6, *how, bytes) } else { bytes.to_vec() };
        if let Some(Message::Report(groups)) = parse(&ip) {
            assert!(groups.iter().all(|(group, _)| group.is_multicast()));
        }
        let mut frame = with_room(&ip);
        let (to, kind) = match v6 {
            true => ([0x33, 0x33, 0, 0, 0, 0x16], EthernetProtocol::Ipv6),
            false => ([1, 0, 0x5e, 0, 0, 0x16], EthernetProtocol::Ipv4),
        };
        write_ethernet(&mut frame, EthernetAddress(to), EthernetAddress([2, 0, 0, 0, 1, *how]), kind);
        let frame = Frame::from_outside(frame.freeze());
        switch.ingest(now, port, frame.clone(), &mut egress);
        let mut seen = [false; PORTS];
        for (there, _) in egress.drain(..) {
            assert!(
                there != port && !std::mem::replace(&mut seen[there], true),
                "twice, or back, at {there}"
            );
        }
        node.ingest(now, 0, frame);
        for turn in 0.. {
            assert!(turn < 1000, "the host keeps itself busy at {now}");
            if !node.poll(now) {
                break;
            }
        }
        let mut left = Vec::new();
        node.take_egress(&mut left);
        for (_, frame) in left {
            // What it reports is what it is in.
            if let Some(Message::Report(groups)) = parse(&frame.bytes[ETHERNET_HEADER_BYTES..]) {
                let own =
                    |group: &IpAddr| ["239.1.2.3", "ff05::99"].iter().any(|it| it.parse() == Ok(*group));
                let solicited = |group: &IpAddr| group.to_string().starts_with("ff02::1:ff");
                assert!(groups.iter().all(|(group, _)| own(group) || solicited(group)), "{groups:?}");
            }
        }
    }
});
