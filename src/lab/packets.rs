//! A report's packets, chosen by display filters; and its capture beside a golden one.

use std::collections::BTreeSet;

use pcap_file::pcapng::{Block, PcapNgReader};

use super::Report;
use crate::capture::{Record, Way, is_port_of};
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
        let mut dissector = Dissector::new(&self.session);
        let seen = self.seen_at(&ports).map(|record| dissector.dissect(record));
        Ok(seen.filter(|packet| filter.matches(packet)).collect())
    }

    /// Records in order, at the ports that are looked at.
    fn seen_at<'a>(&'a self, ports: &'a [String]) -> impl Iterator<Item = &'a Record> {
        let wanted: Vec<bool> = self
            .session
            .ports
            .iter()
            .map(|port| ports.iter().any(|name| is_port_of(&port.name, name)))
            .collect();
        let mut known = BTreeSet::new();
        self.records.iter().filter(move |record| match ports {
            [] => record.way == Way::Outbound && known.insert(record.frame.id),
            _ => wanted.get(record.port as usize).copied().unwrap_or(false),
        })
    }

    /// The packets that are `wanted`. Those before the window count for the analysis of TCP.
    pub(super) fn select(&self, selection: &Selection<'_>, wanted: impl Fn(&Packet) -> bool) -> Vec<Matched> {
        let mut dissector = Dissector::new(&self.session);
        let mut matched = Vec::new();
        for record in self.seen_at(selection.at) {
            let packet = dissector.dissect(record);
            if (selection.from..=selection.until).contains(&record.at) && wanted(&packet) {
                matched.push(Matched { at: record.at, line: packet.to_string() });
            }
        }
        matched
    }

    /// The last packets up to `at`, a line each, as they are sent.
    pub fn packets_before(&self, at: Instant, count: usize) -> Vec<String> {
        let mut dissector = Dissector::new(&self.session);
        let before = self.seen_at(&[]).take_while(|record| record.at <= at);
        let lines: Vec<String> = before.map(|record| dissector.dissect(record).to_string()).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

impl Report {
    /// What another run of the same lab and seed had otherwise, the first such thing; `None` if they are the same.
    pub fn difference(&self, other: &Report) -> Option<String> {
        if let Some(difference) = compare(&other.capture(), self, Compare::Bytes) {
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

/// How the report's capture differs from a golden one; `None` if it does not.
pub(super) fn compare(golden: &[u8], report: &Report, compare: Compare) -> Option<String> {
    let ours = report.capture();
    if ours == golden {
        return None;
    }
    let (ours, theirs) = match (frames(&ours), frames(golden)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (_, Err(why)) | (Err(why), _) => return Some(format!("the golden capture cannot be read: {why}")),
    };
    let same = |ours: &Shown, theirs: &Shown| match compare {
        Compare::Bytes => ours == theirs,
        Compare::Frames => Shown { stamp: 0, ..ours.clone() } == Shown { stamp: 0, ..theirs.clone() },
    };
    let differing = ours.iter().zip(&theirs).position(|(ours, theirs)| !same(ours, theirs));
    match differing {
        Some(index) => Some(format!(
            "frame {} differs: {} in place of {}",
            index + 1,
            ours[index].describe(),
            theirs[index].describe()
        )),
        None if ours.len() != theirs.len() => {
            Some(format!("it has {} frames in place of {}", ours.len(), theirs.len()))
        }
        None => match compare {
            Compare::Bytes => Some("its frames are the same, its head or statistics are not".to_owned()),
            Compare::Frames => None,
        },
    }
}

/// A frame of a capture, as far as two captures are compared.
#[derive(Clone, PartialEq, Eq)]
struct Shown {
    stamp: u128,
    interface: u32,
    bytes: Vec<u8>,
    options: String,
}

impl Shown {
    fn describe(&self) -> String {
        let Shown { stamp, interface, bytes, .. } = self;
        format!("{} bytes at interface {interface}, {stamp} ns since the epoch", bytes.len())
    }
}

fn frames(file: &[u8]) -> Result<Vec<Shown>, String> {
    let mut reader = PcapNgReader::new(file).map_err(|error| error.to_string())?;
    let mut frames = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, _) = block.map_err(|error| error.to_string())?;
        if let Block::EnhancedPacket(packet) = block {
            frames.push(Shown {
                stamp: packet.timestamp.as_nanos(),
                interface: packet.interface_id,
                bytes: packet.data.to_vec(),
                options: format!("{:?}", packet.options),
            });
        }
    }
    Ok(frames)
}
