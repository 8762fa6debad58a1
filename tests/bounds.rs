//! Two things that a lab or a neighbour could ask for and must not get: a frame's way that outgrows the host's stack, and
//! loopback addresses outside of a guest.

use std::fmt::Write;

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::lab::Lab;
use guestnet::network::{Frame, InterfaceConfig};
use guestnet::node::{Node, SocketKind};
use guestnet::protocol::ip::{Family, Ip};
use guestnet::protocol::policy::Policy;
use guestnet::rng::Seed;
use guestnet::time::Instant;
use smoltcp::wire::EthernetAddress;

/// Far more than the stack of a test's thread would bear, if each were crossed inside the one before.
const SWITCHES: usize = 5_000;

#[test]
fn a_frame_crosses_any_number_of_switches() {
    let mut text = String::new();
    for number in 0..SWITCHES {
        writeln!(text, "[switch.s{number}]").unwrap();
    }
    for number in 1..SWITCHES {
        writeln!(text, "[link.l{number}]\nends = [\"s{}\", \"s{number}\"]", number - 1).unwrap();
    }
    let last = SWITCHES - 1;
    writeln!(
        text,
        "[guest.server]\nmodule = \"target/guests/echo_server.wasm\"\nargs = [\"0.0.0.0:7\", \"stream\", \"1\"]\n\
         network = \"s0\"\n[guest.client]\nmodule = \"target/guests/echo_client.wasm\"\nargs = [\"10.0.0.2:7\"]\n\
         network = \"s{last}\""
    )
    .unwrap();
    let report = Lab::from_toml(&text, "chain.toml").unwrap().run(1);
    assert!(report.is_success(), "{report}");
}

fn node() -> Node {
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        addresses: vec!["10.0.0.2/24".parse().unwrap()],
        mtu: 1500,
    };
    Node::new(&[interface], &[], Seed(1).fork("stack"), Seed(1).fork("guest"))
}

/// A datagram of one byte to port 5353 of `to`, from a neighbour.
fn datagram(to: [u8; 4]) -> Frame {
    let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    let ip = [0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9];
    let udp = [0, 77, 0x14, 0xe9, 0, 9, 0, 0, b'x'];
    Frame::new(Bytes::from([&ethernet[..], &ip, &to, &udp].concat()))
}

#[test]
fn loopback_addresses_stay_inside_a_guest() {
    let mut node = node();
    let ipv4 = node.grant(Box::new(Ip::new(Family::V4, Policy::default())));
    let control = node.open(ipv4, "0.0.0.0:5353", SocketKind::Datagram).unwrap();
    node.listen(control, 8).unwrap();
    node.ingest(Instant::START, 0, datagram([127, 0, 0, 1]));
    assert_eq!(node.accept(control).err(), Some(Error::WouldBlock));
    assert_eq!(node.stack().statistics().malformed, 1);
    // The same datagram to an address that neighbours may use.
    node.ingest(Instant::START, 0, datagram([10, 0, 0, 2]));
    node.accept(control).unwrap();
    for kind in [SocketKind::Stream, SocketKind::Datagram] {
        let inside = node.open(ipv4, "127.0.0.1:0", kind).unwrap();
        assert_eq!(node.connect(inside, "10.0.0.3:7").err(), Some(Error::AddressNotAvailable), "{kind:?}");
    }
}
