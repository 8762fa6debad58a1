//! What hosts ask a router for their addresses: leases and advertisements.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use smoltcp::wire::{DhcpMessageType, EthernetAddress, IpProtocol, Ipv4Cidr};

use crate::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT, Server, ServerConfig, datagram};
use crate::network::ip::ndp::{ALL_NODES, ALL_ROUTERS, finish, group_mac};
use crate::network::ip::{ETHERNET_HEADER_BYTES, ipv4};
use crate::network::router::{Advertise, Router};
use crate::network::{Egress, Frame, InterfaceConfig};
use crate::rng::Seed;
use crate::time::Instant;

const HOST: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

fn at(seconds: u64) -> Instant {
    Instant::START + Duration::from_secs(seconds)
}

fn router() -> Router {
    let interface = InterfaceConfig {
        name: "lan".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        addresses: vec!["10.0.0.1/24".parse().unwrap(), "fd00:a::1/64".parse().unwrap()],
        mtu: 1500,
    };
    let mut router = Router::new(&[interface], &[]);
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    router.serve_dhcp(
        0,
        Server::new(ServerConfig {
            own: Ipv4Cidr::new(ip(1), 24),
            range: (ip(100), ip(109)),
            lease: Duration::from_secs(600),
            routers: vec![ip(1)],
            dns: vec![],
            reservations: BTreeMap::new(),
            excluded: BTreeSet::new(),
        }),
    );
    let seconds = Duration::from_secs;
    router.advertise(
        at(0),
        0,
        Advertise {
            lifetime: seconds(1800),
            interval: seconds(600),
            valid: seconds(86_400),
            preferred: seconds(14_400),
            dns: vec!["fd00:a::53".parse().unwrap()],
        },
    );
    router
}

fn frame(to: EthernetAddress, ethertype: [u8; 2], packet: &[u8]) -> Frame {
    let bytes = [to.as_bytes(), HOST.as_bytes(), &ethertype, packet].concat();
    Frame::from_outside(Bytes::from(bytes))
}

fn asks(message: &Message) -> Frame {
    let all = Ipv4Addr::BROADCAST;
    let datagram = datagram((Ipv4Addr::UNSPECIFIED, CLIENT_PORT), (all, SERVER_PORT), message);
    let packet = ipv4(Ipv4Addr::UNSPECIFIED, all, IpProtocol::Udp, 0, 0, &datagram);
    frame(EthernetAddress::BROADCAST, [0x08, 0x00], &packet[ETHERNET_HEADER_BYTES..])
}

/// A prefix, and how long its addresses are valid and preferred.
type Prefix = (String, u32, u32);

/// The prefixes of the advertisements that were sent, and who hears them.
fn advertised(out: &Egress) -> Vec<(EthernetAddress, Vec<Prefix>)> {
    let message = |frame: &Frame| {
        let icmp = &frame.bytes[ETHERNET_HEADER_BYTES + 40..];
        (frame.bytes[12..14] == [0x86, 0xDD] && icmp[0] == 134).then(|| icmp.to_vec())
    };
    let prefixes = |icmp: Vec<u8>| {
        let mut options = &icmp[16..];
        let mut prefixes = Vec::new();
        while let [kind, eights, ..] = options {
            let option = &options[..usize::from(*eights) * 8];
            if *kind == 3 {
                let word = |at: usize| u32::from_be_bytes(option[at..at + 4].try_into().unwrap());
                let prefix = Ipv6Addr::from(<[u8; 16]>::try_from(&option[16..32]).unwrap());
                prefixes.push((format!("{prefix}/{}", option[2]), word(4), word(8)));
            }
            options = &options[option.len()..];
        }
        prefixes
    };
    let to = |frame: &Frame| EthernetAddress::from_bytes(&frame.bytes[..6]);
    out.iter().filter_map(|(_, frame)| Some((to(frame), prefixes(message(frame)?)))).collect()
}

#[test]
fn advertises_often_at_first_and_tells_what_is_over() {
    let mut router = router();
    let mut out = Egress::new();
    let fresh = ("fd00:a::/64".to_owned(), 86_400, 14_400);
    for due in [0, 16, 32, 48, 648] {
        assert_eq!(router.poll_at(), Some(at(due)));
        router.poll(at(due), &mut out);
    }
    let to_all = group_mac(ALL_NODES);
    assert_eq!(advertised(&out), vec![(to_all, vec![fresh]); 5]);
    out.clear();
    router.rebind(at(700), 0, &["fd00:b::1/64".parse().unwrap()]);
    router.poll(at(700), &mut out);
    let both = vec![("fd00:b::/64".to_owned(), 86_400, 14_400), ("fd00:a::/64".to_owned(), 0, 0)];
    assert_eq!(advertised(&out), [(to_all, both)]);
    out.clear();
    router.poll(at(700 + 7300), &mut out);
    assert_eq!(advertised(&out)[0].1.len(), 1, "told for two hours");
}

#[test]
fn whoever_asks_is_answered_alone_and_whoever_has_no_address_with_all() {
    let mut router = router();
    let mut out = Egress::new();
    router.poll(at(0), &mut out);
    out.clear();
    let mut solicit = |now, source: Ipv6Addr, options: &[u8]| {
        let message = [&[133, 0, 0, 0, 0, 0, 0, 0], options].concat();
        let packet = finish(source, ALL_ROUTERS, message);
        out.clear();
        router.ingest(at(now), 0, frame(group_mac(ALL_ROUTERS), [0x86, 0xDD], &packet), &mut out);
        advertised(&out).into_iter().map(|(to, _)| to).collect::<Vec<_>>()
    };
    let own: Ipv6Addr = "fe80::9".parse().unwrap();
    let option = [&[1, 1][..], HOST.as_bytes()].concat();
    assert_eq!(solicit(1, own, &option), [HOST]);
    assert_eq!(solicit(1, Ipv6Addr::UNSPECIFIED, &[]), [], "not within three seconds");
    assert_eq!(solicit(3, Ipv6Addr::UNSPECIFIED, &[]), [group_mac(ALL_NODES)]);
    assert_eq!(solicit(9, Ipv6Addr::UNSPECIFIED, &option), [], "it says who it is, and has no address");
    assert_eq!(solicit(9, own, &[1, 0]), [], "an option of no length");
}

#[test]
fn a_lease_is_given_at_the_servers_port_and_nowhere_else() {
    let mut router = router();
    let mut out = Egress::new();
    router.ingest(at(0), 0, asks(&Message::new(DhcpMessageType::Discover, 7, HOST)), &mut out);
    let [(0, offer)] = &out[..] else { panic!("{out:?}") };
    assert!(crate::network::verify::holds(&offer.bytes));
    assert_eq!((&offer.bytes[..6], &offer.bytes[30..34]), (HOST.as_bytes(), &[10, 0, 0, 100][..]));
    // A checksum that is wrong, and what is no message.
    let good = asks(&Message::new(DhcpMessageType::Discover, 8, HOST)).bytes.to_vec();
    for change in [60, 42 + 236] {
        let mut bad = good.clone();
        bad[change] ^= 0xFF;
        out.clear();
        router.ingest(at(0), 0, Frame::from_outside(bad.into()), &mut out);
        assert!(out.is_empty());
    }
    assert_eq!(router.dhcp_statistics().offered, 1);
}

#[test]
fn nonsense_makes_it_neither_loud_nor_large() {
    let mut router = router();
    let mut rng = Seed(5).fork("nonsense");
    let mut out = Egress::new();
    for number in 0..20_000u32 {
        let mut message = Message::new(DhcpMessageType::from((number % 10) as u8), number, HOST);
        message.requested = (number % 3 == 0).then(|| Ipv4Addr::from_bits(rng.next_u32()));
        message.server = (number % 2 == 0).then_some(Ipv4Addr::new(10, 0, 0, 1));
        message.client_address = Ipv4Addr::from_bits(if number % 5 == 0 { rng.next_u32() } else { 0 });
        let mut bytes = asks(&message).bytes.to_vec();
        if number % 4 == 0 {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u32() as u8;
        }
        // Nobody but the sender of the frame is a client.
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        bytes[42 + 30..42 + 34].copy_from_slice(&number.to_be_bytes());
        router.ingest(
            at(0),
            0,
            Frame { checksums: crate::network::Checksums::Valid, ..Frame::from_outside(bytes.into()) },
            &mut out,
        );
        assert!(out.len() <= 1, "an answer to a question");
        out.clear();
    }
    // A client that was there all the time has its lease still, or is told that there is none.
    router.ingest(at(4000), 0, asks(&Message::new(DhcpMessageType::Discover, 1, HOST)), &mut out);
    assert_eq!(out.len(), 1);
}
