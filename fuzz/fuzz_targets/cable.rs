//! Machines on one cable, without delay.

use bytes::Bytes;
use guestnet::network::Frame;
use guestnet::node::{Node, Stack};
use guestnet::time::Instant;

pub trait Machine {
    /// Does what is due; true if there is more to do at this instant.
    fn poll(&mut self, now: Instant) -> bool;
    fn ingest(&mut self, now: Instant, frame: Frame);
    fn take_egress(&mut self, into: &mut Vec<(usize, Frame)>);
}

impl Machine for Node {
    fn poll(&mut self, now: Instant) -> bool {
        Node::poll(self, now)
    }

    fn ingest(&mut self, now: Instant, frame: Frame) {
        Node::ingest(self, now, 0, frame);
    }

    fn take_egress(&mut self, into: &mut Vec<(usize, Frame)>) {
        Node::take_egress(self, into);
    }
}

impl Machine for Stack {
    fn poll(&mut self, now: Instant) -> bool {
        Stack::poll(self, now)
    }

    fn ingest(&mut self, now: Instant, frame: Frame) {
        Stack::ingest(self, now, 0, frame);
    }

    fn take_egress(&mut self, into: &mut Vec<(usize, Frame)>) {
        Stack::take_egress(self, into);
    }
}

/// Carries frames to all the others until everybody is quiet, which has to come; all that crossed.
pub fn at_rest(machines: &mut [&mut dyn Machine], now: Instant) -> Vec<Bytes> {
    let (mut crossed, mut left) = (Vec::new(), Vec::new());
    for _ in 0..10_000 {
        let mut busy = false;
        for from in 0..machines.len() {
            busy |= machines[from].poll(now);
            machines[from].take_egress(&mut left);
            for (_, frame) in left.drain(..) {
                busy = true;
                crossed.push(frame.bytes.clone());
                for (_, to) in machines.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                    to.ingest(now, frame.clone());
                }
            }
        }
        if !busy {
            return crossed;
        }
    }
    panic!("they never stop at {now}");
}
