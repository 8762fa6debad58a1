//! DHCP from strangers: to a server of leases, and to a guest's client, which is told what it waits for, or nearly.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use guestnet::network::dhcp::{CLIENT_PORT, Message, SERVER_PORT, Sender, Server, ServerConfig, datagram};
use guestnet::network::ip::{IPV4_HEADER_BYTES, ipv4, write_ethernet};
use guestnet::network::{Automatic, Frame, InterfaceConfig};
use guestnet::node::Stack;
use guestnet::rng::Seed;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{DhcpMessageType, EthernetAddress, EthernetProtocol, IpCidr, IpProtocol, Ipv4Cidr};

const CLIENT: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
const SERVER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Ethernet, IPv4 and UDP.
const HEADERS_BYTES: usize = 14 + IPV4_HEADER_BYTES + 8;

/// One of two: 10.0.0.1 and 10.0.0.2, each with a part of the subnet, and some of it in common.
fn server(own: Ipv4Addr) -> Server {
    let first = 100 + 5 * (own.octets()[3] - 1);
    Server::new(ServerConfig {
        own: Ipv4Cidr::new(own, 24),
        range: (Ipv4Addr::new(10, 0, 0, first), Ipv4Addr::new(10, 0, 0, first + 7)),
        lease: Duration::from_secs(60),
        routers: vec![OWN],
        dns: vec![OWN],
        reservations: BTreeMap::from([([2, 0, 0, 0, 0, 7], Ipv4Addr::new(10, 0, 0, 7))]),
        excluded: BTreeSet::from([Ipv4Addr::new(10, 0, 0, 101)]),
    })
}

fn client() -> Stack {
    let interface = InterfaceConfig { name: "eth0".into(), mac: CLIENT, addresses: vec![], mtu: 1500 };
    let mut stack = Stack::new(&[interface], &[], Seed(1).fork("stack"), Instant::START);
    stack.configure(0, Automatic { dhcp: true, ..Automatic::default() });
    stack
}

/// Polls until there is nothing to do, which has to come; what the client asked last.
fn settle(stack: &mut Stack, now: Instant, asked: Option<Message>) -> Option<Message> {
    for _ in 0..1000 {
        if !stack.poll(now) {
            let mut left = Vec::new();
            stack.take_egress(&mut left);
            let messages =
                left.iter().filter_map(|(_, frame)| Message::parse(frame.bytes.get(HEADERS_BYTES..)?));
            return messages.last().or(asked);
        }
    }
    panic!("the client keeps itself busy at {now}");
}

fn frame(message: &Message) -> Frame {
    let udp = datagram((OWN, SERVER_PORT), (Ipv4Addr::BROADCAST, CLIENT_PORT), message);
    let mut packet = ipv4(OWN, Ipv4Addr::BROADCAST, IpProtocol::Udp, 0, 1, &udp);
    write_ethernet(&mut packet, CLIENT, SERVER, EthernetProtocol::Ipv4);
    Frame::from_outside(packet.freeze())
}

/// What every message begins with, where the input need not guess it.
fn begin(payload: &mut [u8]) {
    if payload.len() >= 240 {
        (payload[1], payload[2]) = (1, 6);
        payload[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    }
}

// Each message: two bytes of length, one of how and of the time to pass, the payload of a datagram.
fuzz_target!(|data: &[u8]| {
    let (mut servers, mut client) = ([server(OWN), server(OTHER)], client());
    let (mut now, mut rest) = (Instant::START, data);
    let mut asked = settle(&mut client, now, None);
    while let [low, high, how, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()).min(1500 - HEADERS_BYTES);
        let (payload, tail) = tail.split_at(length);
        rest = tail;
        let mut payload = payload.to_vec();
        if how & 8 != 0 {
            begin(&mut payload);
        }
        now += Duration::from_millis(u64::from(how / 16) * 1000);
        asked = settle(&mut client, now, asked);
        let Some(mut message) = Message::parse(&payload) else { continue };
        // A datagram holds what was read of one.
        let again = Message::parse(&message.to_bytes());
        assert_eq!(again.as_ref().map(|it| (it.kind, &it.dns)), Some((message.kind, &message.dns)));

        let mac = if how % 2 == 0 { message.client_mac } else { CLIENT };
        let from = Sender { mac, to_all: how & 4 != 0 };
        for (own, server) in [OWN, OTHER].into_iter().zip(&mut servers) {
            let Some(reply) = server.ingest(now, from, &message) else { continue };
            let given = reply.message.your_address;
            assert!(
                given.is_unspecified() || Ipv4Cidr::new(OWN, 24).contains_addr(&given),
                "{given} is given"
            );
            let asked = message.kind == DhcpMessageType::Request;
            assert!(!asked || message.server.is_none_or(|server| server == own), "{own} answers for another");
            assert!(Message::parse(&reply.message.to_bytes()).is_some());
        }
        if let Some(asked) = asked.as_ref().filter(|_| how % 4 < 3) {
            (message.client_mac, message.transaction) = (CLIENT, asked.transaction);
            message.server = message.server.or(Some(OWN));
        }
        client.ingest(now, 0, frame(&message));
        asked = settle(&mut client, now, asked);
        for address in client.addresses() {
            if let IpCidr::Ipv4(cidr) = address {
                let ip = cidr.address();
                assert!(!ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(), "{ip} is taken");
            }
        }
        // What is no DHCP at all.
        client.ingest(now, 0, Frame::from_outside(Bytes::from(payload)));
        asked = settle(&mut client, now, asked);
    }
});
