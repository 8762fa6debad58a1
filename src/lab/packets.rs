//! A report's packets, chosen by display filters.

use std::collections::{BTreeSet, VecDeque};

use super::{Report, golden};
use crate::capture::{PortInfo, Record, Session, Way, is_port_of};
use crate::filter::{Dissector, Filter, FilterError, Packet};
use crate::scenario::expectation::Compare;
use crate::time::Instant;

/// Where and when packets are looked for.
pub(super) struct Selection<'a> {
    /// Names of ports or of what has them; empty: each packet where it was sent first.
    pub at: &'a [String],
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
        let ports: Vec<String> = ports.iter().map(|&port| port.to_owned()).collect();
        let seen = seen_at(&self.session, &self.records, &ports);
        Ok(seen.filter(|packet| filter.matches(packet)).collect())
    }

    /// Every packet in the window, at the ports that are looked at, to `take`. Those before it count for the analysis of TCP.
    pub(super) fn look_at(&self, selection: &Selection<'_>, mut take: impl FnMut(&Packet)) {
        let seen = seen_at(&self.session, &self.records, selection.at);
        let in_time = |packet: &Packet| (selection.from..=selection.until).contains(&packet.record().at);
        seen.filter(in_time).for_each(|packet| take(&packet));
    }

    /// True at one of these ports, or anywhere if none is named.
    pub(super) fn is_at(&self, record: &Record, ports: &[String]) -> bool {
        let port = self.session.ports.get(record.port as usize);
        ports.is_empty() || port.is_some_and(|port| ports.iter().any(|name| is_port_of(&port.name, name)))
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

    /// The last packets up to `at`, a line each, as they are sent.
    pub fn packets_before(&self, at: Instant, count: usize) -> Vec<String> {
        let mut lines = VecDeque::new();
        for packet in seen_at(&self.session, &self.records, &[]).take_while(|packet| packet.record().at <= at)
        {
            lines.push_back(packet.to_string());
            if lines.len() > count {
                lines.pop_front();
            }
        }
        lines.into()
    }
}

impl Report {
    /// What another run of the same lab and seed had otherwise, the first such thing; `None` if they are the same.
    pub fn difference(&self, other: &Report) -> Option<String> {
        if let Some(difference) = golden::compare(&other.capture(), self, &Compare::Bytes) {
            return Some(format!("the captures differ: {difference}"));
        }
        if let Some((ours, theirs)) =
            self.calls.iter().zip(&other.calls).find(|(ours, theirs)| ours != theirs)
        {
            return Some(format!("a call differs:\n  {}\n  {}", ours.line, theirs.line));
        }
        if let Some((ours, _)) = self.guests.iter().zip(&other.guests).find(|(ours, theirs)| ours != theirs) {
            return Some(format!("guest `{}` did something else", ours.name));
        }
        (self.verdicts != other.verdicts).then(|| "the verdicts differ".to_owned())
    }
}

/// Packets in order, at these ports; without any, each where it was sent first.
pub(super) fn seen_at(
    session: &Session,
    records: &[Record],
    ports: &[String],
) -> impl Iterator<Item = Packet> {
    let is_named = |port: &PortInfo| ports.iter().any(|name| is_port_of(&port.name, name));
    let mut looked_at: Vec<bool> = session.ports.iter().map(is_named).collect();
    let mut wanted = vec![true; records.len()];
    if ports.is_empty() {
        let mut known = BTreeSet::new();
        for (record, wanted) in records.iter().zip(&mut wanted) {
            *wanted = record.way == Way::Outbound && known.insert(record.frame.id);
            if let Some(looked_at) = looked_at.get_mut(record.port as usize) {
                *looked_at |= *wanted;
            }
        }
    }
    // What came in at a port counts for what its answers are.
    let mut dissector = Dissector::new(session);
    let seen = records.iter().zip(wanted);
    let seen = seen.filter(move |(record, _)| looked_at.get(record.port as usize).copied().unwrap_or(false));
    seen.map(move |(record, wanted)| (dissector.dissect(record), wanted))
        .filter_map(|(packet, wanted)| wanted.then_some(packet))
}
