//! What a scenario expects of its runs, resolved: part of the plan, judged when a run is over.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::capture::{Way, is_port_of};
use crate::filter::Filter;
use crate::network::drops::DeviceDrop;
use crate::network::link::DropReason;

/// One `[[expect]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Of the scenario file, counted from 1.
    pub line: usize,
    /// Of the seeds of a sweep, one that meets it is enough.
    pub sometimes: bool,
    pub expected: Expected,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Guest(ExpectedGuest),
    Packets(ExpectedPackets),
    Counter(ExpectedCounter),
    /// The lab ends so, and not later than that.
    Ending {
        ending: ExpectedEnding,
        within: Option<Duration>,
    },
    /// The capture is that file's.
    Golden {
        path: PathBuf,
        compare: Compare,
    },
}

/// So much is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedCounter {
    pub counter: Counter,
    pub count: RangeInclusive<u64>,
    /// As of [`ExpectedPackets`].
    pub at: Vec<Place>,
    pub from: Duration,
    pub until: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Frames, whatever became of them.
    Frames,
    /// Bytes of those frames, Ethernet headers included.
    Bytes,
    /// Frames that links dropped, for whatever reason or for this one.
    LinkDrops(Option<DropReason>),
    /// Frames that devices dropped for this reason, in the whole run.
    DeviceDrops(DeviceDrop),
    /// TCP segments that were sent before, or parts of them.
    Retransmissions,
    /// TCP connections whose SYN, its answer and the answer to that were seen.
    Handshakes,
}

/// What is said of a guest holds for each of these.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExpectedGuest {
    /// By their place in the plan.
    pub guests: Vec<usize>,
    pub exit: Option<ExpectedExit>,
    pub stdout: Option<ExpectedText>,
    pub stderr: Option<ExpectedText>,
    /// It has ended by then.
    pub within: Option<Duration>,
    /// So many descriptors that it had opened were not closed when it ended.
    pub open: Option<RangeInclusive<u64>>,
    /// So is a file when the lab is over.
    pub file: Option<ExpectedFile>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedFile {
    /// As the guest names it: in one of its directories.
    pub path: String,
    pub content: ExpectedContent,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedContent {
    Text(ExpectedText),
    /// As another file, which is the scenario's own.
    SameAs(PathBuf),
    /// There is nothing of that name.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedExit {
    Code(u32),
    Trap,
    OutOfFuel,
    /// It could not be started.
    Failed,
    /// It was there until the lab's end.
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedText {
    Whole(String),
    Part(String),
}

/// Where packets are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port, or all those of a guest, router or switch: either way.
    Port(String),
    /// A link: what either of its two ports sends.
    Link { name: String, ports: [String; 2] },
}

impl Place {
    /// Whether what crosses this port, this way, is seen there.
    pub fn sees(&self, port: &str, way: Way) -> bool {
        match self {
            Place::Port(name) => is_port_of(port, name),
            Place::Link { ports, .. } => way == Way::Outbound && ports.iter().any(|own| own == port),
        }
    }

    /// The ports, or the one name that stands for several.
    pub fn ports(&self) -> &[String] {
        match self {
            Place::Port(name) => std::slice::from_ref(name),
            Place::Link { ports, .. } => ports,
        }
    }

    /// As the scenario calls it.
    pub fn name(&self) -> &str {
        match self {
            Place::Port(name) | Place::Link { name, .. } => name,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedPackets {
    pub rule: PacketRule,
    /// What is looked at; nothing: where each packet was sent first.
    pub at: Vec<Place>,
    /// From when on, and until when.
    pub from: Duration,
    pub until: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PacketRule {
    /// So many packets match.
    Count { filter: Filter, count: RangeInclusive<u64> },
    /// Each packet that matches `among` matches `filter` too, and there is one.
    Always { filter: Filter, among: Option<Filter> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedEnding {
    /// Every guest that is not in the background ended.
    Over,
    /// Nothing could happen any more, and guests waited.
    Stalled,
    /// The lab's duration was over.
    Duration,
}

/// What of a capture is compared with a golden one.
#[derive(Clone, Debug, PartialEq)]
pub enum Compare {
    /// Every byte of the file.
    Bytes,
    /// Every frame at every port and its fate, whenever it was.
    Frames,
    /// What a person reads of these packets, in their order: addresses, ports, flags, lengths, relative numbers, what they are
    /// to their connection, and their fate; not when they were, and not what they carry.
    Packets {
        among: Option<Filter>,
        /// As of [`ExpectedPackets`].
        at: Vec<Place>,
    },
}
