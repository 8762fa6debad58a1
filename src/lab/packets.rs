//! A report's packets, chosen by display filters.

use std::collections::{BTreeSet, VecDeque};

use super::Report;
use crate::capture::{PortInfo, Record, Session, Way};
use crate::filter::{Dissector, Filter, FilterError, Packet};
use crate::scenario::expectation::Place;
use crate::time::Instant;

/// Where and when packets are looked for.
pub(super) struct Selection<'a> {
    /// Empty: each packet where it was sent first.
    pub at: &'a [Place],
    pub from: Instant,
    pub until: Instant,
}

/// A packet that matched.
pub(super) struct Matched {
    pub at: Instant,
    /// As a person reads it.
    pub line: String,
}

impl Report {
    /// The packets that match a display filter (docs/filters.md), each where it was sent first.
    ///
    /// # Errors
    ///
    /// What is wrong with the filter.
    pub fn packets(&self, filter: &str) -> Result<Vec<Packet>, FilterError> {
        self.packets_at(filter, &[])
    }

    /// The packets that match, as they are seen at these ports: `client`, `r1.wan`, or `r1` for all of its ports. A
    /// packet that crosses two of them is there twice.
    ///
    /// # Errors
    ///
    /// What is wrong with the filter.
    pub fn packets_at(&self, filter: &str, ports: &[&str]) -> Result<Vec<Packet>, FilterError> {
        let filter = Filter::parse(filter)?;
        let ports: Vec<_> = ports.iter().map(|&port| Place::Port(port.to_owned())).collect();
        let seen = seen_at(&self.session, &self.records, &ports);
        Ok(seen.filter(|packet| filter.matches(packet)).collect())
    }

    /// Every packet in the window, at the ports that are looked at, to `take`. Those before it count for the analysis of TCP.
    pub(super) fn look_at(&self, selection: &Selection<'_>, mut take: impl FnMut(&Packet)) {
        let seen = seen_at(&self.session, self.judged(), selection.at);
        let in_time = |packet: &Packet| (selection.from..=selection.until).contains(&packet.record().at);
        seen.filter(in_time).for_each(|packet| take(&packet));
    }

    /// What expectations look at: what was recorded until the lab ended. Guests that are stopped then close what they have open, which
    /// is nobody's doing.
    pub(super) fn judged(&self) -> &[Record] {
        &self.records[..self.records_judged.min(self.records.len())]
    }

    /// True where this is looked at, or anywhere if nothing is named.
    pub(super) fn is_at(&self, record: &Record, places: &[Place]) -> bool {
        let port = self.session.ports.get(record.port as usize);
        places.is_empty()
            || port.is_some_and(|port| places.iter().any(|place| place.sees(&port.name, record.way)))
    }

    /// The packets that are `wanted`. Those before the window count for the analysis of TCP.
    pub(super) fn select(&self, selection: &Selection<'_>, wanted: impl Fn(&Packet) -> bool) -> Vec<Matched> {
        let mut matched = Vec::new();
        self.look_at(selection, |packet| {
            if wanted(packet) {
                matched.push(Matched { at: packet.record().at, line: packet.to_string() });
            }
        });
        matched
    }

    /// The last packets up to `at` and the first after it, a line each; between them a line with the time. They are one guest's,
    /// as it sends and gets them, or all, as they are sent.
    pub fn packets_around(&self, of: Option<usize>, at: Instant, before: usize, after: usize) -> Vec<String> {
        let mut around = Around::new(at, before, after);
        let places: Vec<_> = of.iter().map(|&guest| Place::Port(self.guests[guest].name.clone())).collect();
        for packet in seen_at(&self.session, &self.records, &places) {
            if !around.add(packet.record().at, || packet.to_string()) {
                break;
            }
        }
        around.finish()
    }

    /// The last calls of a guest, or of all, up to `at` and the first after it, a line each, between them a line with the time. There are
    /// none in the report of a run whose calls were not traced.
    pub fn calls_around(&self, of: Option<usize>, at: Instant, before: usize, after: usize) -> Vec<String> {
        let mut around = Around::new(at, before, after);
        for call in self.calls.iter().filter(|call| of.is_none_or(|guest| guest == call.guest)) {
            if !around.add(call.at, || format!("{} {}", self.guests[call.guest].name, call.line)) {
                break;
            }
        }
        around.finish()
    }
}

/// What was last before a time, and first after it.
pub(super) struct Around {
    at: Instant,
    room: [usize; 2],
    before: VecDeque<String>,
    after: Vec<String>,
}

impl Around {
    pub fn new(at: Instant, before: usize, after: usize) -> Around {
        Around { at, room: [before, after], before: VecDeque::new(), after: Vec::new() }
    }

    /// In the order of their times. False if none is wanted any more.
    pub fn add(&mut self, at: Instant, line: impl FnOnce() -> String) -> bool {
        if at <= self.at {
            self.before.push_back(line());
            if self.before.len() > self.room[0] {
                self.before.pop_front();
            }
            return true;
        }
        if self.after.len() < self.room[1] {
            self.after.push(line());
        }
        self.after.len() < self.room[1]
    }

    pub fn finish(self) -> Vec<String> {
        let mark = (!self.after.is_empty()).then(|| format!("-- {} s --", self.at));
        self.before.into_iter().chain(mark).chain(self.after).collect()
    }
}

/// Packets in order, at these places; without any, each where it was sent first.
pub(super) fn seen_at(
    session: &Session,
    records: &[Record],
    places: &[Place],
) -> impl Iterator<Item = Packet> {
    // Both ways of each port: a place's other way counts for what its packets are answers to.
    let ways = |port: &PortInfo| {
        [Way::Inbound, Way::Outbound].map(|way| places.iter().any(|place| place.sees(&port.name, way)))
    };
    let seen_ways: Vec<[bool; 2]> = session.ports.iter().map(ways).collect();
    let mut looked_at: Vec<bool> = seen_ways.iter().map(|ways| ways.contains(&true)).collect();
    let mut known = BTreeSet::new();
    let mut wanted = Vec::with_capacity(records.len());
    for record in records {
        let port = record.port as usize;
        wanted.push(if places.is_empty() {
            let first = record.way == Way::Outbound && known.insert(record.frame.id);
            if let Some(looked_at) = looked_at.get_mut(port) {
                *looked_at |= first;
            }
            first
        } else {
            seen_ways.get(port).is_some_and(|[inbound, outbound]| match record.way {
                Way::Inbound => *inbound,
                Way::Outbound => *outbound,
            })
        });
    }
    // What came in at a port counts for what its answers are.
    let mut dissector = Dissector::new(session);
    records.iter().zip(wanted).filter_map(move |(record, wanted)| {
        if !looked_at.get(record.port as usize).copied().unwrap_or(false) {
            // Packets are numbered as the report's capture has them.
            dissector.pass_over(record);
            return None;
        }
        let packet = dissector.dissect(record);
        wanted.then_some(packet)
    })
}
