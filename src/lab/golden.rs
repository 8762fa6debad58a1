//! A report's capture beside a golden one.

use pcap_file::pcapng::{Block, PcapNgReader};

use super::{Report, packets};
use crate::capture::{self, Record, Session};
use crate::filter::{Dissector, Filter, Packet};
use crate::scenario::expectation::{Compare, Place};
use crate::time::Instant;

/// How a report's capture differs from a golden one, and when in the run.
pub(super) struct Differs {
    pub what: String,
    pub at: Instant,
}

/// How the report's capture differs from a golden one; `None` if it does not.
pub(super) fn compare(golden: &[u8], report: &Report, compare: &Compare) -> Option<Differs> {
    if let Compare::Packets { among, at } = compare {
        return packets_differ(golden, report, among.as_ref(), at);
    }
    let ours = report.capture();
    if ours == golden {
        return None;
    }
    let end = |what: String| Some(Differs { what, at: report.at });
    let (our_frames, their_frames) = match (frames(&ours), frames(golden)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (_, Err(why)) | (Err(why), _) => return end(format!("the golden capture cannot be read: {why}")),
    };
    let same = |ours: &Shown, theirs: &Shown| match compare {
        Compare::Bytes => ours == theirs,
        Compare::Frames | Compare::Packets { .. } => {
            Shown { stamp: 0, ..ours.clone() } == Shown { stamp: 0, ..theirs.clone() }
        }
    };
    let alike = our_frames.iter().zip(&their_frames).take_while(|(ours, theirs)| same(ours, theirs)).count();
    if alike == our_frames.len() && alike == their_frames.len() {
        return match compare {
            Compare::Bytes => end("its frames are the same, its head or statistics are not".to_owned()),
            Compare::Frames | Compare::Packets { .. } => None,
        };
    }
    let at = report.records.get(alike).or(report.records.last()).map_or(report.at, |record| record.at);
    let what = match (our_frames.get(alike), their_frames.get(alike)) {
        (Some(our_frame), Some(their_frame)) => {
            let (shown, should) = (line(&ours, alike), line(golden, alike));
            let unseen = if shown == should { our_frame.unseen(their_frame) } else { String::new() };
            format!("frame {} differs:\n  {shown}\n  in place of\n  {should}{unseen}", alike + 1)
        }
        (Some(_), None) => beyond(&our_frames, &their_frames, "more", &line(&ours, alike)),
        (None, _) => beyond(&our_frames, &their_frames, "missing", &line(golden, alike)),
    };
    Some(Differs { what, at })
}

fn beyond(ours: &[Shown], theirs: &[Shown], what: &str, first: &str) -> String {
    format!("it has {} frames in place of {}; {what}:\n  {first}", ours.len(), theirs.len())
}

/// A frame of a capture as a person reads it, after those before it.
fn line(file: &[u8], index: usize) -> String {
    let Ok((session, records)) = capture::records(file) else { return String::new() };
    let mut dissector = Dissector::new(&session);
    records.iter().take(index).for_each(|record| drop(dissector.dissect(record)));
    records.get(index).map(|record| dissector.dissect(record).to_string()).unwrap_or_default()
}

/// How the packets that matter differ, as a person reads them.
fn packets_differ(golden: &[u8], report: &Report, among: Option<&Filter>, at: &[Place]) -> Option<Differs> {
    let (session, records) = match capture::records(golden) {
        Ok(read) => read,
        Err(why) => return Some(Differs { what: format!("the golden capture {why}"), at: report.at }),
    };
    let (times, ours): (Vec<_>, Vec<_>) =
        told(&report.session, &report.records, among, at).into_iter().unzip();
    let (_, theirs): (Vec<_>, Vec<_>) = told(&session, &records, among, at).into_iter().unzip();
    let alike = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let what = match (ours.get(alike), theirs.get(alike)) {
        (None, None) => return None,
        (Some(shown), Some(should)) => {
            format!("packet {} of those differs:\n  {shown}\n  in place of\n  {should}", alike + 1)
        }
        (first, other) => {
            let what = if first.is_some() { "more" } else { "missing" };
            let first = first.or(other).map_or("", String::as_str);
            let (ours, theirs) = (ours.len(), theirs.len());
            format!("it has {ours} such packets in place of {theirs}; {what}:\n  {first}")
        }
    };
    Some(Differs { what, at: times.get(alike).or(times.last()).copied().unwrap_or(report.at) })
}

/// When each packet was, and a line for it without its number and its time.
fn told(
    session: &Session,
    records: &[Record],
    among: Option<&Filter>,
    at: &[Place],
) -> Vec<(Instant, String)> {
    let packets = packets::seen_at(session, records, at);
    let wanted = packets.filter(|packet| among.is_none_or(|among| among.matches(packet)));
    let line = |packet: Packet| {
        let line = packet.to_string().splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
        (packet.record().at, line)
    };
    wanted.map(line).collect()
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
    /// What differs of two frames that look the same.
    fn unseen(&self, other: &Shown) -> String {
        if self.bytes != other.bytes {
            let byte =
                self.bytes.iter().zip(&other.bytes).take_while(|(ours, theirs)| ours == theirs).count();
            return format!("\n  they differ from byte {byte} of the frame on");
        }
        if self.stamp != other.stamp {
            return format!("\n  {} ns since the epoch in place of {}", self.stamp, other.stamp);
        }
        "\n  they differ in their port or in what the capture notes of them".to_owned()
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
