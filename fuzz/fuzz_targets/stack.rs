//! A node's stack under frames from outside: a listener, a UDP flow and whatever the frames make of them.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use guestnet::network::{Frame, InterfaceConfig};
use guestnet::node::{Node, ObjectId, SocketKind};
use guestnet::protocol::policy::Policy;
use guestnet::protocol::ip::{Family, Ip};
use guestnet::rng::Seed;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{EthernetAddress, IpCidr};

const FRAME_BYTES_MAX: usize = 1514;

fn node() -> Node {
    let cidr = |text: &str| text.parse::<IpCidr>().expect("an address");
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
        addresses: vec![cidr("10.0.0.2/24"), cidr("fd00::2/64"), cidr("fe80::ff:fe00:1/64")],
        mtu: 1500,
    };
    Node::new(&[interface], &[], Seed(1).fork("stack"), Seed(1).fork("guest"))
}

/// Takes what came, sends it back, and keeps no more than a guest could.
fn serve(node: &mut Node, controls: &[ObjectId], streams: &mut Vec<ObjectId>) {
    for &control in controls {
        while let Ok(connection) = node.accept(control) {
            if let Ok(stream) = node.stream_accept(connection) {
                streams.push(stream);
            }
            node.close(connection);
        }
    }
    let mut buffer = [0; 512];
    streams.retain(|&stream| match node.read(stream, &mut buffer, false) {
        Ok(read) if read.count > 0 => node.write(stream, &buffer[..read.count]).is_ok(),
        Err(guestnet::error::Error::WouldBlock) => true,
        Ok(_) | Err(_) => false,
    });
}

// Each frame: two bytes of length, a byte of time to pass in units of 40 ms, the bytes.
fuzz_target!(|data: &[u8]| {
    let mut node = node();
    let mut controls = Vec::new();
    for (family, any) in [(Family::V4, "0.0.0.0:7"), (Family::V6, "[::]:7")] {
        let protocol = node.grant(Box::new(Ip::new(family, Policy::default())));
        for socket in [SocketKind::Stream, SocketKind::Datagram] {
            let control = node.open(protocol, any, socket).expect("opens");
            node.listen(control, 8).expect("listens");
            controls.push(control);
        }
    }
    let (mut now, mut streams, mut egress, mut rest) = (Instant::START, Vec::new(), Vec::new(), data);
    while let [low, high, wait, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()).min(FRAME_BYTES_MAX);
        let (frame, tail) = tail.split_at(len);
        rest = tail;
        now += Duration::from_millis(u64::from(*wait) * 40);
        // Half of them with checksums taken as right: the parsers behind the check are what is looked for.
        let bytes = Bytes::copy_from_slice(frame);
        let frame = if wait % 2 == 0 { Frame::new(bytes) } else { Frame::from_outside(bytes) };
        node.ingest(now, 0, frame);
        for _ in 0..1000 {
            if !node.poll(now) {
                break;
            }
        }
        serve(&mut node, &controls, &mut streams);
        node.take_egress(&mut egress);
        egress.clear();
    }
});
