//! Bounds of a stack's tables, and answers that are easily forgotten.

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::network::InterfaceConfig;
use guestnet::node::stack::TcpOptions;
use guestnet::node::{Node, SocketKind};
use guestnet::protocol::ip::{Families, Family, Ip, Settings};
use guestnet::protocol::policy::Policy;
use guestnet::rng::Seed;
use smoltcp::wire::EthernetAddress;

use crate::cable::{address, at, connect, exchange, feed, settle, stack};

#[test]
fn connections_of_one_node_are_bounded() {
    let mut one = stack(1);
    one.set_buffers(usize::MAX);
    let options = TcpOptions { receive_buffer: 64, send_buffer: 64, ..TcpOptions::default() };
    let mut made = 0;
    let refused = loop {
        let local = address(&format!("10.0.0.1:{}", 1000 + made / 60_000));
        let remote = address(&format!("10.0.0.9:{}", 1 + made % 60_000));
        match one.tcp_connect(at(0), local, remote, &options) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 100_000, "it never ends");
    };
    assert_eq!((made, refused), (65_536, Error::NoBuffers));
}

fn is_reset(frame: &Bytes) -> bool {
    frame[12..14] == [8, 0] && frame[23] == 6 && frame[47] & 4 != 0
}

/// What came before or after the guest said that it reads no more: closing resets, so that the peer does not take it for
/// read (RFC 2525, 2.17).
#[test]
fn data_that_nobody_reads_resets_after_a_shutdown_too() {
    for shut_first in [true, false] {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = two.listen(address("0.0.0.0:7"), 8, TcpOptions::default());
        let tcp = connect(&mut one, at(0), "10.0.0.1:1000", "10.0.0.2:7");
        exchange(&mut one, &mut two, at(0));
        let back = two.accept(listener).unwrap();
        if shut_first {
            one.tcp_shutdown(tcp, true, false).unwrap();
            exchange(&mut one, &mut two, at(1));
        }
        two.tcp_write(back, b"listen!").unwrap();
        exchange(&mut one, &mut two, at(2));
        if !shut_first {
            one.tcp_shutdown(tcp, true, false).unwrap();
        }
        assert_eq!(one.tcp_read(tcp, &mut [0; 9], false), Ok(0));
        one.tcp_release(at(3), tcp, true);
        let crossed = exchange(&mut one, &mut two, at(3));
        assert!(crossed.iter().any(is_reset), "no reset: {crossed:?}");
        assert_eq!(two.tcp_read(back, &mut [0; 9], false), Err(Error::ConnectionReset));
    }
}

fn node() -> Node {
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        addresses: vec!["10.0.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
        mtu: 1500,
    };
    Node::new(&[interface], &[], Seed(1).fork("stack"), Seed(1).fork("guest"))
}

fn settle_node(node: &mut Node) {
    for _ in 0..1000 {
        if !node.poll(at(0)) {
            return;
        }
    }
    panic!("the node keeps itself busy");
}

/// The unspecified address means this host, also for the port that a second connection needs.
#[test]
fn a_control_connects_to_the_unspecified_address_again_and_again() {
    for (family, any, here) in [(Family::V4, "0.0.0.0", "127.0.0.1"), (Family::V6, "[::]", "[::1]")] {
        let mut node = node();
        let ip = node.grant(Box::new(Ip::new(Settings::new(Families::only(family), Policy::default()))));
        let server = node.open(ip, &format!("{any}:80"), SocketKind::Stream).unwrap();
        node.listen(server, 8).unwrap();
        let client = node.open(ip, &format!("{any}:0"), SocketKind::Stream).unwrap();
        let mut locals = Vec::new();
        for _ in 0..3 {
            assert_eq!(node.connect(client, &format!("{any}:80")), Err(Error::InProgress));
            settle_node(&mut node);
            let connection = node.connect(client, &format!("{any}:80")).unwrap();
            assert_eq!(node.peer_address(connection), Ok(format!("{here}:80")));
            locals.push(node.local_address(connection).unwrap());
        }
        let ports: Vec<u16> = locals.iter().map(|local| address(local).port()).collect();
        assert!(ports[1] == ports[0] + 1 && ports[2] == ports[1] + 1, "{locals:?}");
    }
}

/// A SYN from a neighbour that does not say where it is leaves nothing behind once it was asked three times.
#[test]
fn half_open_connections_end_with_their_neighbour() {
    let (mut one, mut two, mut other) = (stack(1), stack(2), stack(2));
    let tcp = connect(&mut one, at(0), "10.0.0.1:1000", "10.0.0.2:7");
    let crossed = exchange(&mut one, &mut other, at(0));
    assert_eq!(one.tcp_connected(tcp), Err(Error::ConnectionRefused));
    let syn = crossed.iter().find(|frame| frame[12..14] == [8, 0] && frame[47] == 2).unwrap();
    two.listen(address("0.0.0.0:7"), 8, TcpOptions::default());
    feed(&mut two, at(0), syn.clone());
    for (ms, half_open) in [(0, 1), (1000, 1), (2000, 1), (3000, 0)] {
        settle(&mut two, at(ms));
        let lines = two.netstat();
        assert_eq!(lines.iter().filter(|line| line.state == "SYN_RECV").count(), half_open, "{ms} ms");
    }
    assert_eq!((two.buffers_in_use(), two.poll_at()), (0, None));
}
