//! A report's capture beside a golden one.

use pcap_file::pcapng::{Block, PcapNgReader};

use super::{Report, packets};
use crate::capture::{self, Record, Session};
use crate::filter::{Filter, Packet};
use crate::scenario::expectation::{Compare, Place};

/// How the report's capture differs from a golden one; `None` if it does not.
pub(super) fn compare(golden: &[u8], report: &Report, compare: &Compare) -> Option<String> {
    if let Compare::Packets { among, at } = compare {
        return packets_differ(golden, report, among.as_ref(), at);
    }
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
        Compare::Frames | Compare::Packets { .. } => {
            Shown { stamp: 0, ..ours.clone() } == Shown { stamp: 0, ..theirs.clone() }
        }
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
            Compare::Frames | Compare::Packets { .. } => None,
        },
    }
}

/// How the packets that matter differ, as a person reads them.
fn packets_differ(golden: &[u8], report: &Report, among: Option<&Filter>, at: &[Place]) -> Option<String> {
    let (session, records) = match capture::records(golden) {
        Ok(read) => read,
        Err(why) => return Some(format!("the golden capture {why}")),
    };
    let ours = told(&report.session, &report.records, among, at);
    let theirs = told(&session, &records, among, at);
    let differing = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    match differing {
        Some(index) => Some(format!(
            "packet {} of those differs:\n  {}\n  in place of\n  {}",
            index + 1,
            ours[index],
            theirs[index]
        )),
        None if ours.len() != theirs.len() => {
            let (longer, what) =
                if ours.len() > theirs.len() { (&ours, "more") } else { (&theirs, "missing") };
            let first = &longer[ours.len().min(theirs.len())];
            Some(format!(
                "it has {} such packets in place of {}; {what}:\n  {first}",
                ours.len(),
                theirs.len()
            ))
        }
        None => None,
    }
}

/// A line for each packet, without its number and its time.
fn told(session: &Session, records: &[Record], among: Option<&Filter>, at: &[Place]) -> Vec<String> {
    let packets = packets::seen_at(session, records, at);
    let wanted = packets.filter(|packet| among.is_none_or(|among| among.matches(packet)));
    let line = |packet: Packet| packet.to_string().splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
    wanted.map(line).collect()
}

/// Bytes of a frame that a difference shows: the headers.
const SHOWN_BYTES_MAX: usize = 74;

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
        let shown: String = bytes.iter().take(SHOWN_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect();
        let more = if bytes.len() > SHOWN_BYTES_MAX { "..." } else { "" };
        format!("{} bytes at interface {interface}, {stamp} ns since the epoch: {shown}{more}", bytes.len())
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
