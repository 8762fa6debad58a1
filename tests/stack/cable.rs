//! Stacks on one cable, without delay; and what the test itself says on it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use guestnet::network::{Frame, InterfaceConfig, Route};
use guestnet::node::Stack;
use guestnet::node::slab::Id;
use guestnet::node::stack::{Flow, Tcp, TcpOptions, Udp};
use guestnet::rng::Seed;
use guestnet::time::Instant;
use smoltcp::wire::EthernetAddress;

/// A stack with addresses 10.0.0.`number`, fd00::`number` and fe80::`number`.
pub fn stack(number: u8) -> Stack {
    stack_with(number, 1500, &[])
}

pub fn stack_with(number: u8, mtu: usize, routes: &[Route]) -> Stack {
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress([2, 0, 0, 0, 0, number]),
        addresses: [
            format!("10.0.0.{number}/24"),
            format!("fd00::{number}/64"),
            format!("fe80::{number}/64"),
        ]
        .map(|cidr| cidr.parse().unwrap())
        .to_vec(),
        mtu,
    };
    Stack::new(&[interface], routes, Seed(u64::from(number)).fork("stack"), Instant::START)
}

pub fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Polls until there is nothing to do at this instant; the frames that left.
pub fn settle(stack: &mut Stack, now: Instant) -> Vec<Bytes> {
    let mut left = Vec::new();
    for _ in 0..10_000 {
        if !stack.poll(now) {
            stack.take_egress(&mut left);
            return left.into_iter().map(|(_, frame)| frame.bytes).collect();
        }
    }
    panic!("the stack keeps itself busy at {now}");
}

pub fn feed(stack: &mut Stack, now: Instant, frame: impl Into<Bytes>) -> Vec<Bytes> {
    stack.ingest(now, 0, Frame::from_outside(frame.into()));
    settle(stack, now)
}

/// Carries frames between two stacks until both are quiet; all that crossed.
pub fn exchange(one: &mut Stack, other: &mut Stack, now: Instant) -> Vec<Bytes> {
    let mut crossed = Vec::new();
    for _ in 0..10_000 {
        let from_one = settle(one, now);
        let from_other = settle(other, now);
        if from_one.is_empty() && from_other.is_empty() {
            return crossed;
        }
        for frame in from_one {
            crossed.push(frame.clone());
            other.ingest(now, 0, Frame::from_outside(frame));
        }
        for frame in from_other {
            crossed.push(frame.clone());
            one.ingest(now, 0, Frame::from_outside(frame));
        }
    }
    panic!("they never stop at {now}");
}

/// Lets time pass from event to event until `until`, frames crossing as they come.
pub fn run(one: &mut Stack, other: &mut Stack, mut now: Instant, until: Instant) -> Vec<Bytes> {
    let mut crossed = exchange(one, other, now);
    while let Some(next) = [one.poll_at(), other.poll_at()].into_iter().flatten().min() {
        now = next.max(now + Duration::from_micros(1));
        if now > until {
            break;
        }
        crossed.extend(exchange(one, other, now));
    }
    crossed
}

pub fn udp(stack: &mut Stack, local: &str) -> Id<Udp> {
    stack.udp_bind(address(local)).unwrap()
}

pub fn flow(stack: &mut Stack, udp: Id<Udp>, remote: &str) -> Id<Flow> {
    stack.udp_connect(Instant::START, udp, address(remote)).unwrap()
}

pub fn connect(stack: &mut Stack, now: Instant, local: &str, remote: &str) -> Id<Tcp> {
    stack.tcp_connect(now, address(local), address(remote), &TcpOptions::default()).unwrap()
}

/// ARP requests and neighbour solicitations.
pub fn is_question(frame: &Bytes) -> bool {
    frame[12..14] == [8, 6] && frame[21] == 1
        || frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 135
}
