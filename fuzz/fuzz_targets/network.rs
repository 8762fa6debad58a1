//! A switch and a router under frames from outside: what leaves has a port that there is, and is no longer than it may be.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use guestnet::network::router::Router;
use guestnet::network::switch::Switch;
use guestnet::network::{Egress, Frame, InterfaceConfig, Route};
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;
use smoltcp::wire::{EthernetAddress, IpCidr};

const PORTS: usize = 2;
/// What a frame that comes in may have at most; the second interface takes less.
const FRAME_BYTES_MAX: usize = 9014;

fn interface(number: u8, mtu: usize) -> InterfaceConfig {
    let cidr = |text: String| text.parse::<IpCidr>().expect("an address");
    InterfaceConfig {
        name: format!("eth{number}"),
        mac: EthernetAddress([2, 0, 0, 0, 0, number + 1]),
        addresses: vec![
            cidr(format!("10.0.{number}.1/24")),
            cidr(format!("fd00:{number}::1/64")),
            cidr(format!("fe80::{}/64", number + 1)),
        ],
        mtu,
    }
}

// Each frame: two bytes of length, one of port and time, the bytes.
fuzz_target!(|data: &[u8]| {
    let interfaces = [interface(0, 9000), interface(1, 1500)];
    let default = Route {
        prefix: "0.0.0.0/0".parse().expect("a prefix"),
        via: "10.0.1.9".parse().expect("an address"),
    };
    let mut router = Router::new(&interfaces, &[default]);
    let mut switch = Switch::new(PORTS, Duration::from_secs(300));
    let (mut now, mut egress, mut rest) = (Instant::START, Egress::new(), data);
    while let [low, high, how, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()).min(FRAME_BYTES_MAX);
        let (frame, tail) = tail.split_at(len);
        rest = tail;
        now += Duration::from_millis(u64::from(how / 2) * 20);
        let port = usize::from(how % 2);
        let frame = Frame::from_outside(Bytes::copy_from_slice(frame));
        switch.ingest(now, port, frame.clone(), &mut egress);
        assert!(egress.drain(..).all(|(to, _)| to < PORTS && to != port));
        router.ingest(now, port, frame, &mut egress);
        router.poll(now, &mut egress);
        for (to, frame) in egress.drain(..) {
            assert!(frame.len() <= interfaces[to].mtu + 14, "{} bytes out of eth{to}", frame.len());
        }
    }
});
