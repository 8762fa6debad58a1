//! Neighbour cache of one interface, a router's or a node's: ARP (RFC 826, RFC 1122 2.3.2) and neighbour
//! discovery (RFC 4861 7.3) share it, for the questions differ but not the waiting.
//!
//! An address that is confirmed is used for [`REACHABLE`]. After that it is still used, but the next packet
//! makes its owner ask again, so that a flow over a slow link never stalls; only when nobody answers is
//! the entry dropped. Entries that nobody uses just grow old: a quiet network has no timers.
//!
//! Everything is bounded, for the addresses come from guests: entries, unresolved entries, packets waiting
//! for each, and their bytes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::time::Instant;

/// How long an answer counts without asking again.
pub const REACHABLE: Duration = Duration::from_secs(60);
/// Time between questions for one address.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// Questions before giving up.
pub const TRIES_MAX: u8 = 3;

/// A packet that can wait for its neighbour.
pub trait Waiting {
    /// What it costs to keep.
    fn bytes(&self) -> usize;
}

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Packets and bytes that wait for one address; one more displaces the oldest (RFC 4861 7.2.2).
    pub queue_packets: usize,
    pub queue_bytes: usize,
    /// Entries; those learned from neighbours that asked us get half of them at most, as the rest is left to those that
    /// we look for.
    pub entries: usize,
    /// Addresses that are being asked for, and the bytes that wait for them together.
    pub unresolved: usize,
    pub unresolved_bytes: usize,
}

#[derive(Debug)]
enum Entry<P> {
    /// Asked for and not known yet.
    Incomplete { asked: Asked, queue: VecDeque<P> },
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
pub enum Lookup<P> {
    Send(EthernetAddress, P),
    /// Send it, and ask whether the address is still right.
    SendAndAsk(EthernetAddress, P),
    /// The packet waits; ask.
    Ask,
    /// The packet waits, the question was asked.
    Wait,
    /// Dropped: no room to wait.
    Full,
}

/// What a timer calls for.
#[derive(Debug)]
pub enum Due<P> {
    Ask(IpAddr),
    /// Nobody answered at that address; these packets waited.
    GaveUp(IpAddr, VecDeque<P>),
}

/// Who is at which Ethernet address, and what waits to be sent to whom.
#[derive(Debug)]
pub struct Neighbours<P> {
    limits: &'static Limits,
    entries: BTreeMap<IpAddr, Entry<P>>,
    /// Exactly the incomplete and probing entries, by the time of their next step.
    timers: BTreeSet<(Instant, IpAddr)>,
    incomplete: usize,
    queued_bytes: usize,
    /// No entry has grown old before then: until then there is nothing to sweep.
    sweep_at: Instant,
    dropped: u64,
}

impl<P: Waiting> Neighbours<P> {
    pub fn new(limits: &'static Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            timers: BTreeSet::new(),
            incomplete: 0,
            queued_bytes: 0,
            sweep_at: Instant::START,
            dropped: 0,
        }
    }

    /// Packets dropped because there was no room to wait.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// True if no packet waits.
    pub fn is_drained(&self) -> bool {
        self.queued_bytes == 0
    }

    /// Packets that wait, of which looking is not for every packet.
    pub fn waiting(&self) -> usize {
        let queued = self.entries.values().map(|entry| match entry {
            Entry::Incomplete { queue, .. } => queue.len(),
            Entry::Reachable { .. } | Entry::Probing { .. } => 0,
        });
        queued.sum()
    }

    /// Until when `address` counts without asking again, if it is known and nobody asks.
    pub fn reachable_until(&self, address: IpAddr) -> Option<Instant> {
        match self.entries.get(&address)? {
            Entry::Reachable { until, .. } => Some(*until),
            Entry::Incomplete { .. } | Entry::Probing { .. } => None,
        }
    }

    pub fn poll_at(&self) -> Option<Instant> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Finds the neighbour's Ethernet address for `packet`, or keeps the packet until it is known.
    pub fn lookup(&mut self, now: Instant, address: IpAddr, packet: P) -> Lookup<P> {
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
                let mut bytes: usize = queue.iter().map(Waiting::bytes).sum();
                while queue.len() >= self.limits.queue_packets
                    || bytes + packet.bytes() > self.limits.queue_bytes
                {
                    let Some(oldest) = queue.pop_front() else { break };
                    bytes -= oldest.bytes();
                    self.queued_bytes -= oldest.bytes();
                    self.dropped += 1;
                }
                if self.queued_bytes + packet.bytes() > self.limits.unresolved_bytes {
                    self.dropped += 1;
                    return Lookup::Full;
                }
                self.queued_bytes += packet.bytes();
                queue.push_back(packet);
                Lookup::Wait
            }
        }
    }

    fn start(&mut self, now: Instant, address: IpAddr, packet: P) -> Lookup<P> {
        let has_room = self.incomplete < self.limits.unresolved
            && self.queued_bytes + packet.bytes() <= self.limits.unresolved_bytes
            && self.has_room(now, self.limits.entries);
        if !has_room {
            self.dropped += 1;
            return Lookup::Full;
        }
        let asked = Asked::first(now);
        self.timers.insert((asked.next, address));
        self.incomplete += 1;
        self.queued_bytes += packet.bytes();
        self.entries.insert(address, Entry::Incomplete { asked, queue: VecDeque::from([packet]) });
        Lookup::Ask
    }

    /// Takes an answer; returns the packets that waited for it. An answer to no question is ignored.
    pub fn answered(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> Option<VecDeque<P>> {
        match self.entries.get(&address) {
            Some(Entry::Incomplete { .. } | Entry::Probing { .. }) => Some(self.set(now, address, mac)),
            Some(Entry::Reachable { .. }) | None => None,
        }
    }

    /// Learns from a neighbour that asked for us; returns the packets that waited for it.
    pub fn learn(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> VecDeque<P> {
        if self.entries.contains_key(&address) || self.has_room(now, self.limits.entries / 2) {
            self.set(now, address, mac)
        } else {
            VecDeque::new()
        }
    }

    /// A neighbour says, unasked, that it is elsewhere now: believed for an address that is known or asked for (RFC 826,
    /// "merge"; RFC 4861 7.2.5, override), so that nobody fills the cache.
    pub fn moved(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> VecDeque<P> {
        if self.entries.contains_key(&address) { self.set(now, address, mac) } else { VecDeque::new() }
    }

    /// Forgets whoever `keep` does not want; what waited for them.
    pub fn retain(&mut self, keep: impl Fn(IpAddr) -> bool) -> Vec<P> {
        let gone: Vec<IpAddr> = self.entries.keys().copied().filter(|&address| !keep(address)).collect();
        let entries = gone.into_iter().filter_map(|address| Some((address, self.entries.remove(&address)?)));
        entries
            .collect::<Vec<_>>()
            .into_iter()
            .flat_map(|(address, entry)| self.retire(address, entry))
            .collect()
    }

    /// The next thing that is due, if any; call until there is none.
    pub fn poll(&mut self, now: Instant) -> Option<Due<P>> {
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
                Some(Due::GaveUp(address, self.retire(address, entry)))
            }
        }
    }

    fn set(&mut self, now: Instant, address: IpAddr, mac: EthernetAddress) -> VecDeque<P> {
        let until = now + REACHABLE;
        self.sweep_at = self.sweep_at.min(until);
        match self.entries.insert(address, Entry::Reachable { mac, until }) {
            Some(before) => self.retire(address, before),
            None => VecDeque::new(),
        }
    }

    /// Cleans up after an entry that is gone from the map; returns what waited in it.
    fn retire(&mut self, address: IpAddr, entry: Entry<P>) -> VecDeque<P> {
        match entry {
            Entry::Incomplete { asked, queue } => {
                self.timers.remove(&(asked.next, address));
                self.incomplete -= 1;
                self.queued_bytes -= queue.iter().map(Waiting::bytes).sum::<usize>();
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
