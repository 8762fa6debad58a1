//! Neighbour cache of one interface: ARP (RFC 826, RFC 1122 2.3.2) and neighbour discovery (RFC 4861 7.3)
//! share it, for the questions differ but not the waiting.
//!
//! An address that is confirmed is used for [`REACHABLE`]. After that it is still used, but the next packet
//! makes the router ask again, so that a flow over a slow link never stalls; only when nobody answers is
//! the entry dropped. Entries that nobody uses just grow old: a quiet network has no timers.
//!
//! Everything is bounded, for the addresses come from guests: entries, unresolved entries, packets waiting
//! for each, and their bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::packet::Packet;
use crate::time::Instant;

/// How long an answer counts without asking again.
pub(super) const REACHABLE: Duration = Duration::from_secs(60);
/// Time between questions for one address.
pub(super) const RETRANSMIT: Duration = Duration::from_secs(1);
/// Questions before giving up.
pub(super) const TRIES_MAX: u8 = 3;
/// Packets that wait for one address; one more displaces the oldest (RFC 4861 7.2.2).
const QUEUE_PACKETS_MAX: usize = 3;

const ENTRIES_MAX: usize = 16_384;
/// Entries learned from neighbours that asked us; the rest is left to those that we look for.
const ENTRIES_MAX_UNASKED: usize = ENTRIES_MAX / 2;
const UNRESOLVED_MAX: usize = 1024;
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug)]
enum Entry {
    /// Asked for and not known yet.
    Incomplete { asked: Asked, queue: VecDeque<Packet> },
    /// Known; good without a question until then.
    Reachable { mac: EthernetAddress, until: Instant },
    /// Known, asked for again, still used meanwhile.
    Probing { mac: EthernetAddress, asked: Asked },
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    tries: u8,
    /// When to ask again or give up.
    next: Instant,
}

/// What to do with a packet for a neighbour.
#[derive(Debug)]
pub(super) enum Lookup {
    Send(EthernetAddress, Packet),
    /// Send it, and ask whether the address is still right.
    SendAndAsk(EthernetAddress, Packet),
    /// The packet waits; ask.
    Ask,
    /// The packet waits, the question was asked.
    Wait,
    /// Dropped: no room to wait.
    Full,
}

/// What a timer calls for.
#[derive(Debug)]
pub(super) enum Due {
    Ask(IpAddr),
    /// Nobody answered; these packets waited.
    GaveUp(VecDeque<Packet>),
}

#[derive(Debug, Default)]
pub(super) struct Neighbours {
    entries: BTreeMap<IpAddr, Entry>,
    /// Exactly the incomplete and probing entries, by the time of their next step.
    timers: BTreeSet<(Instant, IpAddr)>,
    incomplete: usize,
    queued_bytes: usize,
    /// No entry has grown old before then: until then there is nothing to sweep.
    sweep_at: Instant,
    dropped: u64,
}

impl Neighbours {
    /// Packets dropped because there was no room to wait.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Finds the neighbour's Ethernet address for `packet`, or keeps the packet until it is known.
    pub(super) fn lookup(&mut self, now: Instant, address: IpAddr, packet: Packet) -> Lookup {
        let Some(entry) = self.entries.get_mut(&address) else {
            return self.start(now, address, packet);
        };
        match entry {
            Entry::Reachable { mac, until } if now < *until => Lookup::Send(*mac, packet),
            Entry::Reachable { mac, .. } => {
                let (mac, asked) = (*mac, Asked::first(now));
                *entry = Entry::Probing { mac, asked };
                self.timers.insert((asked.next, address));
                Lookup::SendAndAsk(mac, packet)
            }
            Entry::Probing { mac, .. } => Lookup::Send(*mac, packet),
            Entry::Incomplete { queue, .. } => {
                if queue.len() == QUEUE_PACKETS_MAX
                    && let Some(oldest) = queue.pop_front()
                {
                    self.queued_bytes -= oldest.bytes.len();
                    self.dropped += 1;
                }
                if self.queued_bytes + packet.bytes.len() > QUEUED_BYTES_MAX {
                    self.dropped += 1;
                    return Lookup::Full;
                }
                self.queued_bytes += packet.bytes.len();
                queue.push_back(packet);
                Lookup::Wait
            }
        }
    }

    fn start(&mut self, now: Instant, address: IpAddr, packet: Packet) -> Lookup {
        let has_room = self.incomplete < UNRESOLVED_MAX
            && self.queued_bytes + packet.bytes.len() <= QUEUED_BYTES_MAX
            && self.has_room(now, ENTRIES_MAX);
        if !has_room {
            self.dropped += 1;
            return Lookup::Full;
        }
        let asked = Asked::first(now);
        self.timers.insert((asked.next, address));
        self.incomplete += 1;
        self.queued_bytes += packet.bytes.len();
        self.entries.insert(address, Entry::Incomplete { asked, queue: VecDeque::from([packet]) });
        Lookup::Ask
    }

    /// Takes an answer; returns the packets that waited for it. An answer to no question is ignored.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: EthernetAddress,
    ) -> Option<VecDeque<Packet>> {
        match self.entries.get(&address) {
            Some(Entry::Incomplete { .. } | Entry::Probing { .. }) => Some(self.set(now, address, mac)),
            Some(Entry::Reachable { .. }) | None => None,
        }
    }

    /// Learns from a neighbour that asked for us; returns the packets that waited for it.
    pub(super) fn learn(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> VecDeque<Packet> {
        if self.entries.contains_key(&address) || self.has_room(now, ENTRIES_MAX_UNASKED) {
            self.set(now, address, mac)
        } else {
            VecDeque::new()
        }
    }

    /// The next thing that is due, if any; call until there is none.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Due> {
        let (at, address) = self.timers.first().copied().filter(|&(at, _)| at <= now)?;
        self.timers.remove(&(at, address));
        let entry = self.entries.get_mut(&address)?;
        match entry {
            Entry::Incomplete { asked, .. } | Entry::Probing { asked, .. } if asked.tries < TRIES_MAX => {
                *asked = Asked { tries: asked.tries + 1, next: now + RETRANSMIT };
                let next = asked.next;
                self.timers.insert((next, address));
                Some(Due::Ask(address))
            }
            Entry::Incomplete { .. } | Entry::Probing { .. } | Entry::Reachable { .. } => {
                let entry = self.entries.remove(&address)?;
                Some(Due::GaveUp(self.retire(address, entry)))
            }
        }
    }

    fn set(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> VecDeque<Packet> {
        let until = now + REACHABLE;
        self.sweep_at = self.sweep_at.min(until);
        match self.entries.insert(address, Entry::Reachable { mac, until }) {
            Some(before) => self.retire(address, before),
            None => VecDeque::new(),
        }
    }

    /// Cleans up after an entry that is gone from the map; returns what waited in it.
    fn retire(&mut self, address: IpAddr, entry: Entry) -> VecDeque<Packet> {
        match entry {
            Entry::Incomplete { asked, queue } => {
                self.timers.remove(&(asked.next, address));
                self.incomplete -= 1;
                self.queued_bytes -= queue.iter().map(|packet| packet.bytes.len()).sum::<usize>();
                queue
            }
            Entry::Probing { asked, .. } => {
                self.timers.remove(&(asked.next, address));
                VecDeque::new()
            }
            Entry::Reachable { .. } => VecDeque::new(),
        }
    }

    /// True if there are fewer than `max` entries, if need be once those grown old are thrown away.
    fn has_room(&mut self, now: Instant, max: usize) -> bool {
        if self.entries.len() >= max && self.sweep_at <= now {
            let mut sweep_at = Instant::FAR_FUTURE;
            self.entries.retain(|_, entry| match entry {
                Entry::Reachable { until, .. } if *until <= now => false,
                Entry::Reachable { until, .. } => {
                    sweep_at = sweep_at.min(*until);
                    true
                }
                Entry::Incomplete { .. } | Entry::Probing { .. } => true,
            });
            self.sweep_at = sweep_at;
        }
        self.entries.len() < max
    }
}

impl Asked {
    fn first(now: Instant) -> Self {
        Self { tries: 1, next: now + RETRANSMIT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

    fn at(ms: u64) -> Instant {
        Instant::START + Duration::from_millis(ms)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn packet(bytes: usize) -> Packet {
        Packet::made(BytesMut::zeroed(bytes))
    }

    #[test]
    fn asks_three_times_a_second_apart_then_gives_up() {
        let mut cache = Neighbours::default();
        assert!(matches!(cache.lookup(at(0), address(1), packet(1)), Lookup::Ask));
        for length in 2..=5 {
            assert!(matches!(cache.lookup(at(1), address(1), packet(length)), Lookup::Wait));
        }
        assert_eq!(cache.dropped(), 2);
        for due in [1000, 2000] {
            assert!(cache.poll(at(due - 1)).is_none());
            assert_eq!(cache.poll_at(), Some(at(due)));
            assert!(matches!(cache.poll(at(due)), Some(Due::Ask(asked)) if asked == address(1)));
            assert!(cache.poll(at(due)).is_none());
        }
        let Some(Due::GaveUp(waited)) = cache.poll(at(3000)) else { panic!("must give up") };
        assert_eq!(waited.iter().map(|packet| packet.bytes.len()).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!((cache.poll_at(), cache.queued_bytes, cache.incomplete), (None, 0, 0));
        assert!(cache.entries.is_empty());
    }

    #[test]
    fn an_old_entry_is_used_while_it_is_asked_for_again() {
        let mut cache = Neighbours::default();
        assert!(matches!(cache.lookup(at(0), address(1), packet(1)), Lookup::Ask));
        assert_eq!(cache.answered(at(10), address(1), MAC).unwrap().len(), 1);
        assert_eq!(cache.poll_at(), None, "no timer for an entry at rest");
        assert!(matches!(cache.lookup(at(60_009), address(1), packet(1)), Lookup::Send(MAC, _)));
        assert!(matches!(cache.lookup(at(60_010), address(1), packet(1)), Lookup::SendAndAsk(MAC, _)));
        assert!(matches!(cache.lookup(at(60_011), address(1), packet(1)), Lookup::Send(MAC, _)));
        let moved = EthernetAddress([2, 0, 0, 0, 0, 10]);
        assert!(cache.answered(at(60_012), address(1), moved).unwrap().is_empty());
        assert_eq!(cache.poll_at(), None);
        let Lookup::Send(mac, _) = cache.lookup(at(60_013), address(1), packet(1)) else { panic!() };
        assert_eq!(mac, moved);
        assert!(cache.answered(at(60_014), address(1), MAC).is_none(), "nobody asked");
        assert!(cache.answered(at(60_014), address(2), MAC).is_none(), "nobody asked");
    }

    #[test]
    fn neither_askers_nor_the_missing_fill_the_cache() {
        let mut cache = Neighbours::default();
        for number in 0..100_000 {
            cache.learn(at(0), address(number), MAC);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX_UNASKED);
        for number in 200_000..300_000 {
            cache.lookup(at(0), address(number), packet(5000));
        }
        assert!(cache.incomplete <= UNRESOLVED_MAX && cache.queued_bytes <= QUEUED_BYTES_MAX);
        assert_eq!(cache.dropped() as usize, 100_000 - cache.incomplete);
        // A minute later the old make room for the new.
        while cache.poll(at(60_000)).is_some() {}
        cache.learn(at(60_000), address(400_000), MAC);
        assert!(matches!(cache.lookup(at(60_000), address(400_000), packet(1)), Lookup::Send(MAC, _)));
    }
}
