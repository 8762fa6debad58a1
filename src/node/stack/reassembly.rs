//! Fragments put together (RFC 791, 3.2; RFC 8200, 4.5), in front of the demux: only whole packets have ports.
//!
//! Several packets are under way at a time, from anybody, in any order. Fragments that overlap are nobody's mistake: the
//! packet is dropped, and what still comes of it, for IPv6 (RFC 5722) and for IPv4 alike (RFC 1858, 8200's errata show
//! what they are for). The same fragment twice is a duplicate, and harmless. Everything is bounded: packets, their
//! bytes, and the time that they may take.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::network::ip::{IPV6_HEADER_BYTES, fill_ipv4_checksum};
use crate::time::Instant;

/// RFC 1122, 3.3.2 wants 60 to 120 s, and Linux takes 30: after that the identification may be in use again.
const TIMEOUT_IPV4: Duration = Duration::from_secs(30);
/// RFC 8200, 4.5.
const TIMEOUT_IPV6: Duration = Duration::from_secs(60);
/// Packets under way; one more displaces the oldest.
const PACKETS_MAX: usize = 64;
/// Bytes of all of them, with what it costs to keep a fragment; past it the oldest gives way, too.
const BYTES_MAX: usize = 1024 * 1024;
const FRAGMENT_OVERHEAD: usize = 64;
/// The longest IP packet: IPv4's header counts, IPv6's does not.
const LENGTH_MAX: usize = 65_535;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// IPv4 counts for each protocol; IPv6 does not look at it.
    protocol: u8,
}

/// A fragment of an IP packet.
struct Part<'a> {
    key: Key,
    /// What every fragment has in front: as it is in a whole packet, but for lengths and sums.
    header: Vec<u8>,
    start: usize,
    payload: &'a [u8],
    is_last: bool,
}

#[derive(Debug)]
struct Packet {
    /// Of the first fragment, once it is here.
    header: Option<Vec<u8>>,
    /// By where they start.
    fragments: BTreeMap<usize, Bytes>,
    bytes: usize,
    /// Where the payload ends, once the last fragment is here.
    end: Option<usize>,
    /// Fragments overlapped: nothing comes of it any more.
    spoilt: bool,
    until: Instant,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No fragment: as it came.
    Whole(Bytes),
    /// The last piece: the packet.
    Together(Bytes),
    /// More has to come.
    Waiting,
    /// Against the format, or past what a packet can be.
    Malformed,
    /// It overlaps, or belongs to a packet of which fragments did.
    Overlap,
}

/// A packet that was not completed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its first fragment, for the ICMP error, if it was received (RFC 792, RFC 8200).
    pub first: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct Reassembly {
    packets: BTreeMap<Key, Packet>,
    /// Oldest first, with entries of packets that are done.
    order: VecDeque<(Instant, Key)>,
    bytes: usize,
    /// Packets that gave way to others.
    displaced: u64,
}

impl Reassembly {
    /// Packets that gave way to others.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Bytes that it keeps.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.bytes
    }

    pub fn poll_at(&self) -> Option<Instant> {
        self.packets.values().map(|packet| packet.until).min()
    }

    /// A packet that was not completed in time, if there is any; call until there is none.
    pub fn expire(&mut self, now: Instant) -> Option<Expired> {
        let (&key, _) = self.packets.iter().find(|(_, packet)| packet.until <= now)?;
        let packet = self.remove(&key)?;
        let first = packet.fragments.get(&0).filter(|_| !packet.spoilt);
        Some(Expired {
            first: packet.header.zip(first).map(|(header, payload)| [&header[..], payload].concat()),
        })
    }

    /// An IP packet that arrived.
    pub fn take(&mut self, now: Instant, packet: Bytes) -> Outcome {
        if !is_fragment(&packet) {
            return Outcome::Whole(packet);
        }
        let Some(part) = parse(&packet) else { return Outcome::Malformed };
        let end = part.start + part.payload.len();
        let header_counts =
            if part.key.source.is_ipv4() { part.header.len() } else { part.header.len() - IPV6_HEADER_BYTES };
        let is_cut_short =
            !part.is_last && (part.payload.is_empty() || !part.payload.len().is_multiple_of(8));
        if is_cut_short || header_counts + end > LENGTH_MAX {
            return Outcome::Malformed;
        }
        if part.start == 0 && part.is_last {
            // RFC 6946: an atomic fragment is a whole packet, whatever else has its identification.
            return Outcome::Together(together(part.header, [part.payload]));
        }
        self.add(now, part, end)
    }

    fn add(&mut self, now: Instant, part: Part, end: usize) -> Outcome {
        let cost = part.payload.len() + FRAGMENT_OVERHEAD;
        self.make_room(&part.key, cost);
        let timeout = if part.key.source.is_ipv4() { TIMEOUT_IPV4 } else { TIMEOUT_IPV6 };
        let until = now + timeout;
        let packet = match self.packets.entry(part.key) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                self.order.push_back((until, part.key));
                entry.insert(Packet::new(until))
            }
        };
        if packet.spoilt {
            return Outcome::Overlap;
        }
        if packet.has(part.start, part.payload, part.is_last) {
            return Outcome::Waiting;
        }
        if packet.overlaps(part.start, end, part.is_last) {
            self.bytes -= packet.spoil();
            return Outcome::Overlap;
        }
        packet.fragments.insert(part.start, Bytes::copy_from_slice(part.payload));
        packet.bytes += cost;
        self.bytes += cost;
        if part.is_last {
            packet.end = Some(end);
        }
        if part.start == 0 {
            packet.header = Some(part.header);
        }
        if !packet.is_complete() {
            return Outcome::Waiting;
        }
        match self.remove(&part.key) {
            Some(Packet { header: Some(header), fragments, .. }) => {
                Outcome::Together(together(header, fragments.values().map(|fragment| &fragment[..])))
            }
            _ => Outcome::Waiting,
        }
    }

    /// Sees to it that `cost` bytes more fit, for `key`.
    fn make_room(&mut self, key: &Key, cost: usize) {
        let is_new = !self.packets.contains_key(key);
        while (is_new && self.packets.len() >= PACKETS_MAX) || self.bytes + cost > BYTES_MAX {
            let Some(&(until, oldest)) = self.order.front() else { return };
            if self.packets.get(&oldest).is_some_and(|packet| packet.until == until) {
                self.displaced += 1;
                self.remove(&oldest);
            } else {
                self.order.pop_front();
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Packet> {
        let packet = self.packets.remove(key)?;
        self.bytes -= packet.bytes;
        // Most often it is the first or the last.
        if let Some(at) = self.order.iter().position(|entry| *entry == (packet.until, *key)) {
            self.order.remove(at);
        }
        Some(packet)
    }
}

impl Packet {
    fn new(until: Instant) -> Self {
        Self { header: None, fragments: BTreeMap::new(), bytes: 0, end: None, spoilt: false, until }
    }

    /// True if this very fragment is here already.
    fn has(&self, start: usize, payload: &[u8], is_last: bool) -> bool {
        let end = start + payload.len();
        self.fragments.get(&start).is_some_and(|fragment| fragment[..] == *payload)
            && (self.end == Some(end)) == is_last
    }

    fn overlaps(&self, start: usize, end: usize, is_last: bool) -> bool {
        let before = self.fragments.range(..=start).next_back().map(|(start, bytes)| start + bytes.len());
        let after = self.fragments.range(start..).next().map(|(&start, _)| start);
        let furthest = self.fragments.last_key_value().map_or(0, |(start, bytes)| start + bytes.len());
        let past_the_end = self.end.is_some_and(|known| end > known || is_last);
        before.is_some_and(|before| before > start)
            || after.is_some_and(|after| after < end)
            || past_the_end
            || (is_last && furthest > start)
    }

    /// Remembers no more than that nothing comes of it; the bytes that are free again.
    fn spoil(&mut self) -> usize {
        self.spoilt = true;
        self.fragments.clear();
        self.header = None;
        std::mem::take(&mut self.bytes)
    }

    /// Without overlaps, nothing is missing if the lengths add up.
    fn is_complete(&self) -> bool {
        let bytes: usize = self.bytes - self.fragments.len() * FRAGMENT_OVERHEAD;
        self.header.is_some() && self.end == Some(bytes)
    }
}

/// The whole packet, its lengths and IPv4's sum made right.
fn together<'a>(mut header: Vec<u8>, payload: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let header_bytes = header.len();
    let is_ipv4 = header[0] >> 4 == 4;
    header.extend(payload.into_iter().flatten());
    let length = if is_ipv4 { header.len() } else { header.len() - IPV6_HEADER_BYTES } as u16;
    let at = if is_ipv4 { 2 } else { 4 };
    header[at..at + 2].copy_from_slice(&length.to_be_bytes());
    if is_ipv4 {
        fill_ipv4_checksum(&mut header[..header_bytes]);
    }
    header.into()
}

/// True for a part of a packet, and for what says so of itself.
fn is_fragment(ip: &[u8]) -> bool {
    match ip.first().map(|byte| byte >> 4) {
        Some(4) => ip.get(6..8).is_some_and(|word| u16::from_be_bytes([word[0], word[1]]) & 0x3FFF != 0),
        Some(6) => match ip.get(6) {
            Some(&FRAGMENT) => true,
            Some(&(HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS)) => fragment_header(ip).is_some(),
            _ => false,
        },
        _ => false,
    }
}

/// Where the fragment header is, and the byte that names it; `None` if there is none in front of the upper layer.
fn fragment_header(ip: &[u8]) -> Option<(usize, usize)> {
    let (mut offset, mut pointer) = (IPV6_HEADER_BYTES, 6);
    loop {
        match *ip.get(pointer)? {
            FRAGMENT => return Some((offset, pointer)),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                pointer = offset;
                offset += usize::from(*ip.get(offset + 1)?) * 8 + 8;
            }
            _ => return None,
        }
    }
}

fn parse(ip: &[u8]) -> Option<Part<'_>> {
    if ip[0] >> 4 == 4 { parse_ipv4(ip) } else { parse_ipv6(ip) }
}

fn parse_ipv4(ip: &[u8]) -> Option<Part<'_>> {
    let packet = smoltcp::wire::Ipv4Packet::new_checked(ip).ok()?;
    let header_bytes = usize::from(packet.header_len());
    let payload = ip.get(header_bytes..usize::from(packet.total_len()))?;
    let mut header = ip.get(..header_bytes)?.to_vec();
    header[6..8].fill(0);
    Some(Part {
        key: Key {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            identification: packet.ident().into(),
            protocol: packet.next_header().into(),
        },
        start: packet.frag_offset().into(),
        is_last: !packet.more_frags(),
        header,
        payload,
    })
}

fn parse_ipv6(ip: &[u8]) -> Option<Part<'_>> {
    let packet = smoltcp::wire::Ipv6Packet::new_checked(ip).ok()?;
    let ip = ip.get(..packet.total_len())?;
    let (offset, pointer) = fragment_header(ip)?;
    let fragment = ip.get(offset..offset + 8)?;
    let mut header = ip[..offset].to_vec();
    header[pointer] = fragment[0];
    let word = u16::from_be_bytes([fragment[2], fragment[3]]);
    Some(Part {
        key: Key {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            identification: u32::from_be_bytes(fragment[4..8].try_into().ok()?),
            protocol: 0,
        },
        start: usize::from(word & 0xFFF8),
        is_last: word & 1 == 0,
        header,
        payload: &ip[offset + 8..],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ip::fragment::{fragment, fragment_ipv6};
    use crate::network::ip::{ETHERNET_HEADER_BYTES, ipv4, ipv6, with_room};
    use proptest::prelude::*;
    use smoltcp::wire::IpProtocol;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn packet(v6: bool, number: u8, payload: &[u8]) -> Vec<u8> {
        let udp = IpProtocol::Udp;
        if v6 {
            let from = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into());
            return with_room(&ipv6(from, Ipv6Addr::LOCALHOST, udp, 64, payload)).to_vec();
        }
        ipv4(Ipv4Addr::new(10, 0, 0, number), Ipv4Addr::LOCALHOST, udp, 0, 9, payload).to_vec()
    }

    fn fragments(v6: bool, packet: &[u8], mtu: usize) -> Vec<Bytes> {
        let cut = if v6 { fragment_ipv6(packet, mtu, 9) } else { fragment(packet, mtu) };
        cut.unwrap().into_iter().map(|bytes| bytes.freeze().slice(ETHERNET_HEADER_BYTES..)).collect()
    }

    fn payload(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|number| (number * 31 / 7) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn packets_come_together_in_any_order_mixed_and_twice(
            sizes in prop::collection::vec(1usize..9000, 1..8), mtu in 100usize..1500, v6: bool, seed: u64,
        ) {
            let mtu = if v6 { mtu.max(120) } else { mtu };
            let packets: Vec<_> =
                sizes.iter().enumerate().map(|(number, &bytes)| packet(v6, number as u8, &payload(bytes))).collect();
            let mut under_way: Vec<_> = packets.iter().flat_map(|packet| fragments(v6, packet, mtu)).collect();
            under_way.extend(under_way.clone().into_iter().step_by(3));
            let mut rng = crate::rng::Seed(seed).fork("shuffle");
            for at in (1..under_way.len()).rev() {
                under_way.swap(at, rng.below(at as u64 + 1) as usize);
            }
            let mut reassembly = Reassembly::default();
            let mut done = Vec::new();
            for fragment in under_way {
                match reassembly.take(Instant::START, fragment) {
                    Outcome::Together(packet) | Outcome::Whole(packet) => done.push(packet.to_vec()),
                    Outcome::Waiting => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            for packet in &packets {
                prop_assert!(done.iter().any(|done| done[..] == packet[ETHERNET_HEADER_BYTES..]));
            }
        }

        /// Whatever comes, what is kept is bounded, and goes with time.
        #[test]
        fn nothing_piles_up(
            seed: u64, count in 1usize..1000,
        ) {
            let mut rng = crate::rng::Seed(seed).fork("flood");
            let mut reassembly = Reassembly::default();
            for _ in 0..count {
                let v6 = rng.chance(0.5);
                let whole = packet(v6, rng.below(200) as u8, &payload(3000));
                let mut fragment = fragments(v6, &whole, 1400).swap_remove(rng.below(3) as usize).to_vec();
                let at = if v6 { 42 } else { 6 };
                if rng.chance(0.7) {
                    fragment[at] = rng.next_u32() as u8;
                    fragment[at + 1] = rng.next_u32() as u8;
                }
                let id = if v6 { 44 } else { 4 };
                fragment[id] = rng.below(4) as u8;
                reassembly.take(Instant::START, fragment.into());
                prop_assert!(reassembly.kept() <= BYTES_MAX && reassembly.packets.len() <= PACKETS_MAX);
                prop_assert!(reassembly.order.len() <= 2 * PACKETS_MAX);
            }
            while reassembly.expire(Instant::START + TIMEOUT_IPV6).is_some() {}
            prop_assert_eq!((reassembly.kept(), reassembly.packets.len(), reassembly.order.len()), (0, 0, 0));
            prop_assert_eq!(reassembly.poll_at(), None);
        }
    }

    #[test]
    fn an_overlap_spoils_the_packet_and_what_comes_of_it_later() {
        for v6 in [false, true] {
            let parts = fragments(v6, &packet(v6, 1, &payload(3000)), 1000);
            let at = if v6 { 43 } else { 7 };
            let mut shifted = parts[1].to_vec();
            // Eight bytes earlier: IPv6 counts bytes there, IPv4 eights.
            shifted[at] -= if v6 { 8 } else { 1 };
            let mut reassembly = Reassembly::default();
            assert_eq!(reassembly.take(Instant::START, parts[0].clone()), Outcome::Waiting);
            assert_eq!(reassembly.take(Instant::START, shifted.into()), Outcome::Overlap);
            for part in &parts[1..] {
                assert_eq!(reassembly.take(Instant::START, part.clone()), Outcome::Overlap);
            }
            assert_eq!(reassembly.kept(), 0);
            // The same bytes with other contents are no duplicate.
            let mut other = parts[0].to_vec();
            *other.last_mut().unwrap() ^= 1;
            let mut reassembly = Reassembly::default();
            reassembly.take(Instant::START, parts[0].clone());
            assert_eq!(reassembly.take(Instant::START, parts[0].clone()), Outcome::Waiting);
            assert_eq!(reassembly.take(Instant::START, other.into()), Outcome::Overlap);
            let expired = reassembly.expire(Instant::START + TIMEOUT_IPV6).unwrap();
            assert_eq!(expired, Expired { first: None }, "nobody is told of what was spoilt");
        }
    }

    #[test]
    fn a_packet_with_a_hole_ends_with_its_time() {
        for (v6, timeout) in [(false, TIMEOUT_IPV4), (true, TIMEOUT_IPV6)] {
            let parts = fragments(v6, &packet(v6, 1, &payload(3000)), 1000);
            let mut reassembly = Reassembly::default();
            for part in [&parts[0], &parts[2]] {
                assert_eq!(reassembly.take(Instant::START, part.clone()), Outcome::Waiting);
            }
            assert_eq!(reassembly.poll_at(), Some(Instant::START + timeout));
            assert_eq!(reassembly.expire(Instant::START + (timeout - Duration::from_nanos(1))), None);
            let first = reassembly.expire(Instant::START + timeout).unwrap().first.unwrap();
            let header = if v6 { 40 } else { 20 };
            assert!(first.len() > 900 && first[header..] == payload(first.len() - header));
        }
    }

    #[test]
    fn a_flood_leaves_room_for_who_comes_next() {
        let mut reassembly = Reassembly::default();
        for number in 0..10_000u32 {
            let mut part = fragments(false, &packet(false, number as u8, &payload(60_000)), 60_000)
                .swap_remove(0)
                .to_vec();
            part[4..6].copy_from_slice(&(number as u16).to_be_bytes());
            assert_eq!(reassembly.take(Instant::START, part.into()), Outcome::Waiting);
        }
        let honest = packet(true, 1, &payload(60_000));
        let mut last = Outcome::Waiting;
        for part in fragments(true, &honest, 1500) {
            last = reassembly.take(Instant::START, part);
        }
        assert_eq!(last, Outcome::Together(Bytes::copy_from_slice(&honest[ETHERNET_HEADER_BYTES..])));
        assert!(reassembly.displaced() > 9_900);
    }

    #[test]
    fn past_the_longest_packet_there_is_nothing() {
        let mut part = fragments(false, &packet(false, 1, &payload(3000)), 1000)[1].to_vec();
        part[6..8].copy_from_slice(&0x1FFF_u16.to_be_bytes());
        assert_eq!(Reassembly::default().take(Instant::START, part.clone().into()), Outcome::Malformed);
        // Not the last, and no multiple of eight.
        part[6..8].copy_from_slice(&0x2010_u16.to_be_bytes());
        part[3] -= 1;
        assert_eq!(Reassembly::default().take(Instant::START, part.into()), Outcome::Malformed);
    }
}
