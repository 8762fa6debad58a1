//! Ethernet switch: learns which port an address lives behind, floods what it does not know.
//!
//! The address table is built like a hardware switch's: a fixed array of buckets with a few ways each,
//! picked by a hash of the address. A lookup reads one bucket, whatever a hostile guest has put into the
//! table; nothing ever grows, nothing iterates in hash order, and ageing costs nothing until a slot is
//! wanted again. The array starts as untouched zero pages, so a small lab pays for the few it uses.
//!
//! Groups go to the ports whose hosts reported them (snoop.rs), if the switch snoops.

use std::time::Duration;

mod snoop;

use smoltcp::wire::EthernetAddress;

use super::{Egress, Frame};
use crate::time::Instant;
use snoop::{Snooper, Towards};

/// Ethernet header: two addresses and the EtherType.
const FRAME_BYTES_MIN: usize = 14;
/// A VLAN-tagged Ethernet header and the largest IP packet.
const FRAME_BYTES_MAX: usize = 18 + 65_535;

/// Addresses that a table holds at least; a switch of very many ports gets eight for each port.
const ADDRESSES_MIN: usize = 8192;
const WAYS: usize = 8;
/// One port may take this many ways of a bucket, so that a guest which invents source addresses leaves
/// half of the table to everybody else.
const WAYS_PER_PORT: usize = WAYS / 2;

/// What a switch did so far, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Came in, whatever became of them.
    pub received: u64,
    /// Left by the one port where their destination was learned.
    pub forwarded: u64,
    /// Left by all other ports: multicast, broadcast, and unicast to an unknown address.
    pub flooded: u64,
    /// Came in by the port that their destination is behind.
    pub filtered: u64,
    /// Shorter than an Ethernet header.
    pub runts: u64,
    /// Longer than a tagged frame with the largest IP packet.
    pub oversize: u64,
    /// To a group, and sent to its members alone.
    pub pruned: u64,
    /// To a reserved address that bridges keep to themselves (IEEE 802.1Q table 8-1).
    pub reserved: u64,
    /// Came in by a port that this switch does not have.
    pub bad_port: u64,
    /// Forwarded, but no room was left to learn their source.
    pub not_learned: u64,
}

/// A learning switch. Ports are counted from 0.
#[derive(Debug)]
pub struct Switch {
    ports: usize,
    table: Table,
    snooper: Option<Snooper>,
    statistics: Statistics,
}

impl Switch {
    /// A switch that forgets an address `ageing` after its last frame (300 s in IEEE 802.1Q 8.8.3).
    /// Zero makes a hub: every address is forgotten at once.
    pub fn new(ports: usize, ageing: Duration) -> Self {
        Self { ports, table: Table::new(ports, ageing), snooper: None, statistics: Statistics::default() }
    }

    /// Sends groups to those that reported them alone, as far as it knows.
    pub fn snooping(mut self) -> Self {
        self.snooper = Some(Snooper::default());
        self
    }

    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Takes a frame that arrived at `port` and appends the frames that leave, in port order.
    pub fn ingest(&mut self, now: Instant, port: usize, frame: Frame, out: &mut Egress) {
        self.statistics.received += 1;
        if port >= self.ports {
            self.statistics.bad_port += 1;
            return;
        }
        let Some(header) = frame.bytes.first_chunk::<FRAME_BYTES_MIN>() else {
            self.statistics.runts += 1;
            return;
        };
        if frame.len() > FRAME_BYTES_MAX {
            self.statistics.oversize += 1;
            return;
        }
        let (destination, source) = (address(header, 0), address(header, 6));
        // A frame to a reserved address is still a sign of life of its sender (802.1Q 8.7).
        if is_unicast(source) && !self.table.learn(now, source, port) {
            self.statistics.not_learned += 1;
        }
        if is_reserved(destination) {
            self.statistics.reserved += 1;
            return;
        }
        let is_group = destination & 1 << 40 != 0 && destination != BROADCAST;
        if let Some(snooper) = self.snooper.as_mut().filter(|_| is_group)
            && let Towards::Ports(ports) = snooper.ingest(now, port, source, &frame.bytes)
        {
            self.statistics.pruned += 1;
            let ports = ports.into_iter().filter(|&there| there != port && there < self.ports);
            out.extend(ports.map(|there| (there, frame.clone())));
            return;
        }
        let known = if is_unicast(destination) { self.table.find(now, destination) } else { None };
        match known {
            Some(there) if there == port => self.statistics.filtered += 1,
            Some(there) => {
                self.statistics.forwarded += 1;
                out.push((there, frame));
            }
            None => {
                self.statistics.flooded += 1;
                self.flood(port, frame, out);
            }
        }
    }

    /// Where `mac` was learned, if it is still remembered.
    pub fn port_of(&self, now: Instant, mac: EthernetAddress) -> Option<usize> {
        let mut padded = [0; FRAME_BYTES_MIN];
        padded[..6].copy_from_slice(mac.as_bytes());
        self.table.find(now, address(&padded, 0))
    }

    fn flood(&self, from: usize, frame: Frame, out: &mut Egress) {
        out.reserve(self.ports - 1);
        for port in (0..self.ports).filter(|&port| port != from) {
            out.push((port, frame.clone()));
        }
    }
}

/// The Ethernet address at `offset`, as a number: its first octet is bits 40 to 47.
fn address(header: &[u8; FRAME_BYTES_MIN], offset: usize) -> u64 {
    header[offset..offset + 6].iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}

fn is_unicast(address: u64) -> bool {
    address != 0 && address & 1 << 40 == 0
}

const BROADCAST: u64 = 0xFFFF_FFFF_FFFF;

/// 01:80:C2:00:00:00 to ..0F.
fn is_reserved(address: u64) -> bool {
    address & !0xF == 0x0180_C200_0000
}

/// Parallel arrays of slots, so that the addresses of a bucket are one cache line and fresh zero pages
/// are a valid empty table. An address of 0 marks a slot that was never used.
#[derive(Debug)]
struct Table {
    addresses: Vec<u64>,
    ports: Vec<u32>,
    /// Nanoseconds, as in [`Instant::nanos`].
    seen: Vec<u64>,
    /// How far to shift a hash for the index of its bucket.
    shift: u32,
    /// Nanoseconds.
    ageing_ns: u64,
}

impl Table {
    fn new(ports: usize, ageing: Duration) -> Self {
        let slots = ports.saturating_mul(8).max(ADDRESSES_MIN).next_power_of_two();
        Self {
            addresses: vec![0; slots],
            ports: vec![0; slots],
            seen: vec![0; slots],
            shift: 64 - (slots / WAYS).trailing_zeros(),
            ageing_ns: u64::try_from(ageing.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    fn bucket(&self, address: u64) -> std::ops::Range<usize> {
        // Multiplicative hashing (Knuth 6.4): the top bits of the product depend on every bit of the address.
        let index = (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        index * WAYS..(index + 1) * WAYS
    }

    fn slot_of(&self, address: u64) -> Option<usize> {
        let bucket = self.bucket(address);
        let way = self.addresses[bucket.clone()].iter().position(|&known| known == address)?;
        Some(bucket.start + way)
    }

    fn is_live(&self, now: Instant, slot: usize) -> bool {
        self.addresses[slot] != 0 && now.nanos().saturating_sub(self.seen[slot]) < self.ageing_ns
    }

    fn find(&self, now: Instant, address: u64) -> Option<usize> {
        let slot = self.slot_of(address)?;
        self.is_live(now, slot).then_some(self.ports[slot] as usize)
    }

    /// Notes that `address` is behind `port`; false if its bucket is full of others still alive.
    fn learn(&mut self, now: Instant, address: u64, port: usize) -> bool {
        let port = port as u32;
        let Some(slot) = self.slot_of(address).or_else(|| self.free_slot(now, address, port)) else {
            return false;
        };
        self.addresses[slot] = address;
        self.ports[slot] = port;
        self.seen[slot] = now.nanos();
        true
    }

    /// Where an address new to the table may go.
    fn free_slot(&self, now: Instant, address: u64, port: u32) -> Option<usize> {
        let is_own = |&slot: &usize| self.ports[slot] == port && self.is_live(now, slot);
        if self.bucket(address).filter(is_own).count() >= WAYS_PER_PORT {
            // Past its share, a port displaces its own oldest address and nobody else's.
            self.bucket(address).filter(is_own).min_by_key(|&slot| self.seen[slot])
        } else {
            self.bucket(address).find(|&slot| !self.is_live(now, slot))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PacketId;
    use bytes::Bytes;
    use proptest::prelude::*;

    const AGEING: Duration = Duration::from_secs(300);
    const BROADCAST: [u8; 6] = [0xFF; 6];

    fn mac(number: u32) -> [u8; 6] {
        let [a, b, c, d] = number.to_be_bytes();
        [0x02, 0, a, b, c, d]
    }

    fn frame(destination: [u8; 6], source: [u8; 6]) -> Frame {
        let mut bytes = vec![0; 60];
        bytes[..6].copy_from_slice(&destination);
        bytes[6..12].copy_from_slice(&source);
        Frame { id: PacketId(7), ..Frame::new(Bytes::from(bytes)) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    /// The ports that the frame leaves by.
    fn ports(switch: &mut Switch, now: Instant, port: usize, frame: Frame) -> Vec<usize> {
        let mut out = Egress::new();
        switch.ingest(now, port, frame, &mut out);
        assert!(out.iter().all(|(_, frame)| frame.id == PacketId(7)), "copies keep the packet's identity");
        out.into_iter().map(|(port, _)| port).collect()
    }

    #[test]
    fn floods_what_it_does_not_know_and_forwards_what_it_learned() {
        let mut switch = Switch::new(4, AGEING);
        assert_eq!(ports(&mut switch, at(0), 1, frame(mac(9), mac(1))), [0, 2, 3]);
        assert_eq!(ports(&mut switch, at(1), 3, frame(mac(1), mac(9))), [1]);
        assert_eq!(ports(&mut switch, at(2), 1, frame(mac(9), mac(1))), [3]);
        assert_eq!(ports(&mut switch, at(2), 1, frame(BROADCAST, mac(1))), [0, 2, 3]);
        // Behind the same port: nothing leaves.
        assert_eq!(ports(&mut switch, at(3), 3, frame(mac(9), mac(8))), [0_usize; 0]);
        // A host that moved is found at its new port.
        assert_eq!(ports(&mut switch, at(4), 0, frame(mac(9), mac(1))), [3]);
        assert_eq!(ports(&mut switch, at(4), 3, frame(mac(1), mac(9))), [0]);
        let expected =
            Statistics { received: 7, forwarded: 4, flooded: 2, filtered: 1, ..Default::default() };
        assert_eq!(switch.statistics(), expected);
    }

    #[test]
    fn forgets_an_address_exactly_when_it_has_aged() {
        let mut switch = Switch::new(2, AGEING);
        ports(&mut switch, at(10), 0, frame(BROADCAST, mac(1)));
        let just_before = Instant::from_nanos(at(310).nanos() - 1);
        assert_eq!(switch.port_of(just_before, EthernetAddress(mac(1))), Some(0));
        assert_eq!(switch.port_of(at(310), EthernetAddress(mac(1))), None);
        let mut hub = Switch::new(3, Duration::ZERO);
        ports(&mut hub, at(0), 0, frame(BROADCAST, mac(1)));
        assert_eq!(ports(&mut hub, at(0), 1, frame(mac(1), mac(2))), [0, 2]);
    }

    #[test]
    fn group_and_zero_sources_are_not_learned() {
        let mut switch = Switch::new(3, AGEING);
        for source in [BROADCAST, [0x01, 0, 0x5E, 0, 0, 1], [0; 6]] {
            assert_eq!(ports(&mut switch, at(0), 0, frame(mac(5), source)), [1, 2]);
            assert_eq!(switch.port_of(at(0), EthernetAddress(source)), None);
            assert_eq!(ports(&mut switch, at(0), 1, frame(source, mac(2))), [0, 2]);
        }
    }

    #[test]
    fn runts_oversize_and_reserved_frames_go_nowhere() {
        let mut switch = Switch::new(2, AGEING);
        let mut out = Egress::new();
        for len in [0, 13] {
            switch.ingest(at(0), 0, Frame::new(Bytes::from(vec![0xFF; len])), &mut out);
        }
        switch.ingest(at(0), 0, Frame::new(Bytes::from(vec![0xFF; FRAME_BYTES_MAX + 1])), &mut out);
        switch.ingest(at(0), 2, frame(BROADCAST, mac(1)), &mut out);
        for last in [0x00, 0x0E, 0x0F] {
            switch.ingest(at(0), 0, frame([0x01, 0x80, 0xC2, 0, 0, last], mac(1)), &mut out);
        }
        assert!(out.is_empty());
        let expected =
            Statistics { received: 7, runts: 2, oversize: 1, bad_port: 1, reserved: 3, ..Default::default() };
        assert_eq!(switch.statistics(), expected);
        assert_eq!(ports(&mut switch, at(0), 0, frame([0x01, 0x80, 0xC2, 0, 0, 0x10], mac(1))), [1]);
    }

    #[test]
    fn a_guest_that_invents_addresses_neither_grows_the_table_nor_fills_it() {
        let mut switch = Switch::new(3, AGEING);
        let slots = switch.table.addresses.len();
        ports(&mut switch, at(0), 0, frame(BROADCAST, mac(1)));
        for number in 0..100_000 {
            ports(&mut switch, at(1), 1, frame(mac(1), mac(0x1000_0000 + number)));
        }
        assert_eq!(switch.table.addresses.len(), slots);
        assert_eq!(switch.port_of(at(2), EthernetAddress(mac(1))), Some(0), "known hosts stay known");
        for number in 0..500 {
            ports(&mut switch, at(2), 2, frame(BROADCAST, mac(number + 2)));
        }
        let found =
            (0..500).filter(|n| switch.port_of(at(3), EthernetAddress(mac(n + 2))) == Some(2)).count();
        assert_eq!(found, 500, "newcomers are still learned");
    }

    #[test]
    fn a_thousand_hosts_are_all_known() {
        let mut switch = Switch::new(1000, AGEING);
        for host in 0..1000 {
            ports(&mut switch, at(0), host as usize, frame(BROADCAST, mac(host)));
        }
        let found = (0..1000)
            .filter(|&host| switch.port_of(at(1), EthernetAddress(mac(host))) == Some(host as usize));
        assert_eq!(found.count(), 1000);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_never_goes_back_and_every_frame_is_counted(
            frames in proptest::collection::vec(
                (0usize..5, proptest::collection::vec(0u8..4, 0..20), 0u64..400), 0..200,
            ),
        ) {
            let mut switch = Switch::new(4, AGEING);
            let received = frames.len() as u64;
            let mut now = 0;
            for (port, bytes, later) in frames {
                now += later;
                let mut out = Egress::new();
                switch.ingest(at(now), port, Frame::new(Bytes::from(bytes)), &mut out);
                prop_assert!(out.is_sorted_by(|(one, _), (other, _)| one < other), "port order, each once");
                prop_assert!(out.iter().all(|&(to, _)| to != port && to < 4));
            }
            let Statistics { forwarded, flooded, filtered, runts, oversize, reserved, bad_port, .. } =
                switch.statistics();
            prop_assert_eq!(switch.statistics().received, received);
            prop_assert_eq!(forwarded + flooded + filtered + runts + oversize + reserved + bad_port, received);
        }
    }
}
