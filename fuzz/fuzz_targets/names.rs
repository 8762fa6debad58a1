//! DNS from strangers: whatever a server is asked it answers with what parses, or not at all; whatever a resolver is
//! told has at most the addresses and the aliases that it may have. Behind lengths, over TCP, a server answers as many messages
//! as it takes for queries.
#![no_main]

mod cable;

use cable::{Machine, at_rest};
use guestnet::dns::answer::{DATAGRAM_BYTES_MAX, Outcome, Transport, answer};
use guestnet::dns::name::{HostName, fully_qualified};
use guestnet::dns::resolver::{Family, Question, Reply};
use guestnet::dns::server::{DnsServer, PORT};
use guestnet::dns::zone::{Zone, Zones};
use guestnet::network::InterfaceConfig;
use guestnet::node::stack::TcpOptions;
use guestnet::node::{Node, Stack};
use guestnet::rng::Seed;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::EthernetAddress;

fn zones() -> Zones {
    Zones::new(vec![Zone::new(&fully_qualified("test").expect("a name"), 60)])
}

fn interface(number: u8) -> InterfaceConfig {
    InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, number]),
        addresses: vec![format!("10.0.0.{number}/24").parse().expect("an address")],
        mtu: 1500,
    }
}

/// Says all of it to a server over TCP, and reads what comes back: whole messages, no more than it was asked.
fn stream(data: &[u8]) {
    let mut server = Node::new(&[interface(1)], &[], Seed(1).fork("stack"), Seed(1).fork("guest"));
    server.spawn(DnsServer::new(zones()));
    let mut client = Stack::new(&[interface(2)], &[], Seed(2).fork("stack"), Instant::START);
    let (local, remote) = ("0.0.0.0:9000".parse().expect("an address"), ([10, 0, 0, 1], PORT).into());
    let now = Instant::START;
    // Before anybody is connected to, it listens.
    at_rest(&mut [&mut server, &mut client as &mut dyn Machine], now);
    let tcp = client.tcp_connect(now, local, remote, &TcpOptions::default()).expect("connects");
    let (mut unsaid, mut heard) = (data, Vec::new());
    loop {
        at_rest(&mut [&mut server, &mut client as &mut dyn Machine], now);
        let said = client.tcp_write(tcp, unsaid).unwrap_or(0);
        unsaid = &unsaid[said..];
        let mut buffer = [0; 4096];
        let count = client.tcp_read(tcp, &mut buffer, false).unwrap_or(0);
        heard.extend_from_slice(&buffer[..count]);
        if said == 0 && count == 0 {
            break;
        }
    }
    let mut messages = [0; 2];
    for (bytes, count) in [data, &heard].into_iter().zip(&mut messages) {
        let mut rest = bytes;
        while let [high, low, tail @ ..] = rest {
            let Some(tail) = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..) else { break };
            (*count, rest) = (*count + 1, tail);
        }
        assert!(bytes.as_ptr() == data.as_ptr() || rest.is_empty(), "{rest:?} is no message");
    }
    assert!(messages[1] <= messages[0], "{messages:?}");
}

fuzz_target!(|data: &[u8]| {
    if let [high, low, rest @ ..] = data
        && rest.len() >= usize::from(u16::from_be_bytes([*high, *low]))
    {
        stream(data);
    }
    if let Some(name) = std::str::from_utf8(data).ok().and_then(HostName::parse) {
        assert_eq!(HostName::parse(name.as_str()), Some(name));
    }
    let zones = zones();
    for (transport, bytes_max) in
        [(Transport::Stream, usize::from(u16::MAX)), (Transport::Datagram(DATAGRAM_BYTES_MAX), 1232)]
    {
        match answer(&zones, data, transport) {
            Outcome::Answered(bytes) | Outcome::Malformed(bytes) => {
                assert!((12..=bytes_max).contains(&bytes.len()), "{} bytes", bytes.len());
                assert_eq!(bytes[..2], data[..2], "another id");
                assert!(bytes[2] & 0x80 != 0, "a question");
            }
            Outcome::Ignored => {}
        }
    }
    // The question that the bytes answer, if they answer any.
    let id = u16::from_be_bytes([data.first().copied().unwrap_or(0), data.get(1).copied().unwrap_or(0)]);
    for family in [Family::V4, Family::V6] {
        let question = Question { id, name: fully_qualified("a.test").expect("a name"), family };
        match question.judge(data) {
            Reply::Addresses { addresses, .. } => {
                assert!((1..=16).contains(&addresses.len()));
                assert!(addresses.iter().all(|&address| Family::of(address) == family));
            }
            Reply::Alias { aliases, .. } => assert!((1..=8).contains(&aliases.len())),
            Reply::Foreign | Reply::Truncated | Reply::Failed(_) | Reply::Nothing { .. } | Reply::Endless => {}
        }
    }
});
