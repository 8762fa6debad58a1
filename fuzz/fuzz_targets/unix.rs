//! The network of Unix-domain sockets under somebody who is on it and says anything: to the directory, at the gate to the
//! host's sockets, and to a guest that listens. What is read is what would be written, and nothing keeps itself busy.
#![no_main]

mod cable;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use cable::{Machine, at_rest};
use guestnet::error::Error;
use guestnet::network::InterfaceConfig;
use guestnet::node::stack::TcpOptions;
use guestnet::node::{Namespace, Node, SocketKind, Stack};
use guestnet::protocol::unix::host::{ACCEPTED, HostCall, HostNews, datagram_cost};
use guestnet::protocol::unix::wire::{
    HELLO_BYTES, Hello, Op, REPLY_BYTES, REQUEST_BYTES, Request, decode_reply, encode_reply,
};
use guestnet::protocol::unix::{
    DATAGRAM_GATE_PORT, DIRECTORY, DIRECTORY_PORT, Directory, GATE_PORT, MTU, NETWORK, Settings, Unix,
};
use guestnet::rng::Seed;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{EthernetAddress, IpCidr};

const CONNECTIONS_MAX: usize = 16;

fn interface(number: u16) -> InterfaceConfig {
    let [a, b, c, ..] = NETWORK.segments();
    let address = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, number);
    InterfaceConfig {
        name: "unix0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, number as u8]),
        addresses: vec![
            IpCidr::new(address.into(), 64),
            IpCidr::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number).into(), 64),
        ],
        mtu: MTU,
    }
}

/// What is read is what would be written.
fn messages(bytes: &[u8]) {
    if let Some(hello) = bytes.first_chunk::<HELLO_BYTES>().and_then(Hello::decode) {
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
    }
    if let Some(request) = bytes.first_chunk::<REQUEST_BYTES>().and_then(Request::decode) {
        assert_eq!(Request::decode(&request.encode()), Some(request));
    }
    if let Some(reply) = bytes.first_chunk::<REPLY_BYTES>().and_then(decode_reply) {
        assert_eq!(decode_reply(&encode_reply(reply)), Some(reply));
    }
}

/// The port that a guest has told the directory of, as it went over the network.
fn told_port(frames: &[bytes::Bytes]) -> Option<u16> {
    frames.iter().find_map(|frame| {
        let request = frame.windows(REQUEST_BYTES).find_map(|it| Request::decode(it.try_into().ok()?))?;
        match request.op {
            Op::Bind { port } => Some(port),
            Op::Find => None,
        }
    })
}

/// The driver, which has every socket that it is asked for.
fn host(node: &mut Node, directory: guestnet::node::task::Handle<Directory>, accepted: &mut u64, word: u8) {
    let calls = node.with_task(directory, |directory, cx| directory.take_host_calls(cx)).unwrap_or_default();
    for call in calls {
        let news = match call {
            HostCall::Connect { id, .. } | HostCall::Listen { id, .. } if word % 4 == 0 => {
                HostNews::Failed { id, error: Error::NoEntry }
            }
            HostCall::Connect { id, .. } => HostNews::Ready { id },
            HostCall::Listen { id, .. } => {
                node.with_task(directory, |directory, cx| directory.hear(cx, HostNews::Ready { id }));
                *accepted += 1;
                HostNews::Accepted { listener: id, id: ACCEPTED | *accepted }
            }
            HostCall::Write { id, bytes } => {
                let (count, back) = (bytes.len(), HostNews::Received { id, bytes });
                node.with_task(directory, |directory, cx| directory.hear(cx, back));
                // More than bytes count, as datagrams do.
                HostNews::Written { id, bytes: datagram_cost(count) }
            }
            HostCall::Shutdown { id } => HostNews::Ended { id },
            HostCall::Read { .. } | HostCall::Close { .. } => continue,
        };
        node.with_task(directory, |directory, cx| directory.hear(cx, news));
    }
}

// Each step: a byte of what to do, one of how many bytes or how long, the bytes.
fuzz_target!(|data: &[u8]| {
    messages(data);
    let mut directory = Node::new(&[interface(1)], &[], Seed(1).fork("a"), Seed(1).fork("b"));
    let task = directory.spawn(Directory::default());
    let mut guest = Node::new(&[], &[], Seed(2).fork("a"), Seed(2).fork("b"));
    guest.join(Namespace::new(&interface(2), Seed(2).fork("c"), 1));
    let mut stranger = Stack::new(&[interface(3)], &[], Seed(3).fork("a"), Instant::START);
    let protocol = guest.grant(Box::new(Unix::new(Settings::default())));
    let kind = if data.len() % 2 == 0 { SocketKind::Stream } else { SocketKind::Datagram };
    let control = guest.open(protocol, "/a", kind).expect("opens");
    guest.listen(control, 4).expect("listens");

    let mut now = Instant::START;
    let crossed = at_rest(&mut [&mut directory, &mut guest, &mut stranger as &mut dyn Machine], now);
    let port = told_port(&crossed).expect("the directory is told of the path");
    let places = [
        (DIRECTORY, DIRECTORY_PORT),
        (DIRECTORY, GATE_PORT),
        (DIRECTORY, DATAGRAM_GATE_PORT),
        (guest_address(), port),
    ];
    let (mut connections, mut streams, mut accepted) = (Vec::new(), Vec::new(), 0);
    let mut rest = data;
    while let [what, length, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let mut bytes = bytes.to_vec();
        if let Some(magic) = bytes.first_chunk_mut().filter(|_| what & 8 != 0) {
            *magic = *b"unix";
        }
        match what % 8 {
            at @ 0..4 if connections.len() < CONNECTIONS_MAX => {
                let (ip, port) = places[usize::from(at)];
                let remote = SocketAddr::new(ip.into(), port);
                let local = stranger.tcp_ephemeral(now, Ipv6Addr::UNSPECIFIED.into(), remote);
                let tcp =
                    local.and_then(|local| stranger.tcp_connect(now, local, remote, &TcpOptions::default()));
                connections.extend(tcp);
            }
            6 => {
                if let Some(tcp) = connections.pop() {
                    stranger.tcp_release(now, tcp, true);
                }
            }
            7 => now += Duration::from_millis(u64::from(*length) * 250),
            _ => {}
        }
        let mut everybody = [&mut directory, &mut guest, &mut stranger as &mut dyn Machine];
        at_rest(&mut everybody, now);
        if let Some(&tcp) = connections.last() {
            // One that was reset takes no more.
            let _ = stranger.tcp_write(tcp, &bytes);
        }
        at_rest(&mut [&mut directory, &mut guest, &mut stranger as &mut dyn Machine], now);
        host(&mut directory, task, &mut accepted, *what);
        if let Ok(connection) = guest.accept(control) {
            streams.extend(guest.stream_accept(connection));
            guest.close(connection);
        }
        streams.retain(|&stream| {
            let more = match guest.read(stream, &mut [0; 64], false) {
                Ok(read) => {
                    read.count > 0 || kind == SocketKind::Datagram && !read.truncated && *what % 2 == 0
                }
                Err(error) => error == Error::WouldBlock,
            };
            if !more {
                guest.close(stream);
            }
            more
        });
        at_rest(&mut [&mut directory, &mut guest, &mut stranger as &mut dyn Machine], now);
    }
});

fn guest_address() -> Ipv6Addr {
    let [a, b, c, ..] = NETWORK.segments();
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 2)
}
