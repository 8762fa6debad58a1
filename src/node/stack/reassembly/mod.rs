//! Fragments put together (RFC 791, 3.2; RFC 8200, 4.5), in front of the demux: only whole packets have ports.
//!
//! Several packets are under way at a time, from anybody, in any order. Fragments that overlap are nobody's mistake: the
//! packet is dropped, and what still comes of it, for IPv6 (RFC 5722) and for IPv4 alike (RFC 1858, 8200's errata show
//! what they are for). The same fragment twice is a duplicate, and harmless. Everything is bounded: packets, their
//! bytes, and the time that they may take.

mod fragment;
mod packet;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::network::ip::IPV6_HEADER_BYTES;
use crate::time::Instant;
pub use fragment::is_fragment;
use fragment::{Key, Part, parse};
use packet::{FRAGMENT_OVERHEAD, Packet, together};

/// RFC 1122, 3.3.2 wants 60 to 120 s, and Linux takes 30: after that the identification may be in use again.
const TIMEOUT_IPV4: Duration = Duration::from_secs(30);
/// RFC 8200, 4.5.
const TIMEOUT_IPV6: Duration = Duration::from_secs(60);
/// Packets under way; one more displaces the oldest.
const PACKETS_MAX: usize = 64;
/// Bytes of all of them, with what it costs to keep a fragment; past it the oldest gives way, too.
const BYTES_MAX: usize = 1024 * 1024;
/// The longest IP packet: IPv4's header counts, IPv6's does not.
const LENGTH_MAX: usize = 65_535;

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
            return together(part.header, [part.payload]).map_or(Outcome::Malformed, Outcome::Together);
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
                let payload = fragments.values().map(|fragment| &fragment[..]);
                together(header, payload).map_or(Outcome::Malformed, Outcome::Together)
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
