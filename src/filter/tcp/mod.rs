//! TCP across frames: which connection a segment belongs to, and what it is in that.
//!
//! ```text
//! Segment --> Connections   mod.rs       numbers of streams, initial sequence numbers
//!         --> View          analysis.rs  one connection as one port sees it: retransmissions, gaps, windows
//!                           seen.rs      which bytes of a direction were seen and are not acknowledged
//! ```
//!
//! Numbers belong to the capture, analysis to a port: a packet shows at each port that it crosses, and that is no
//! retransmission.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Field;
use crate::time::Instant;

mod analysis;
mod seen;
#[cfg(test)]
mod tests;

use analysis::View;

/// Flags of the TCP header (RFC 9293, section 3.1).
pub(super) mod flag {
    pub const FIN: u16 = 0x001;
    pub const SYN: u16 = 0x002;
    pub const RST: u16 = 0x004;
    pub const PSH: u16 = 0x008;
    pub const ACK: u16 = 0x010;
    pub const URG: u16 = 0x020;
    pub const ECE: u16 = 0x040;
    pub const CWR: u16 = 0x080;
}

pub(super) type Endpoint = (IpAddr, u16);

/// What connections are told apart by: both ends, the lower first.
type Pair = [Endpoint; 2];

/// A segment's header, and how much it carries.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub from: Endpoint,
    pub to: Endpoint,
    pub seq: u32,
    pub ack: u32,
    pub flags: u16,
    /// As on the wire.
    pub window: u16,
    /// The window scale option (RFC 7323).
    pub scale: Option<u8>,
    /// Bytes of payload.
    pub len: u32,
}

impl Segment {
    /// True if one of `flags` is set.
    fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// The sequence number after it: SYN and FIN take one.
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len).wrapping_add(u32::from(self.has(flag::SYN | flag::FIN)))
    }
}

/// What connections know of a segment.
pub(super) struct Placed {
    pub stream: u32,
    /// Relative to the initial sequence numbers.
    pub seq: u32,
    pub ack: u32,
    /// Words of `tcp.analysis`, without `tcp.analysis.flags`.
    pub analysis: Vec<Field>,
}

/// All connections of a capture.
#[derive(Debug, Default)]
pub(super) struct Connections {
    streams: BTreeMap<Pair, Stream>,
    count: u32,
    views: BTreeMap<(u32, u32), View>,
}

/// A connection, as far as it is the same at every port.
#[derive(Debug)]
struct Stream {
    number: u32,
    /// It took the ports of an earlier one.
    reused: bool,
    /// By end, in the order of its [`Pair`].
    initial: [Option<u32>; 2],
}

impl Connections {
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Takes the next segment, seen at `port`.
    pub fn place(&mut self, now: Instant, port: u32, segment: &Segment) -> Placed {
        let sender = usize::from(segment.from > segment.to);
        let pair = if sender == 0 { [segment.from, segment.to] } else { [segment.to, segment.from] };
        let count = &mut self.count;
        let mut number = || {
            *count += 1;
            *count - 1
        };
        let stream = self.streams.entry(pair).or_insert_with(|| Stream::new(number(), false));
        let first = segment.flags & (flag::SYN | flag::ACK) == flag::SYN;
        if first && stream.initial[sender].is_some_and(|initial| initial != segment.seq) {
            *stream = Stream::new(number(), true);
        }
        let (seq, ack) = stream.relative(sender, segment);
        let key = (port, stream.number);
        let fresh = !self.views.contains_key(&key);
        let mut analysis = self.views.entry(key).or_default().judge(now, sender, segment);
        if fresh && stream.reused {
            analysis.push(Field::TcpAnalysisReusedPorts);
        }
        Placed { stream: stream.number, seq, ack, analysis }
    }
}

impl Stream {
    fn new(number: u32, reused: bool) -> Self {
        Self { number, reused, initial: [None; 2] }
    }

    /// Sequence and acknowledgement number from the initial ones. Of a connection whose SYN was not seen the first
    /// segment counts as the first after it.
    fn relative(&mut self, sender: usize, segment: &Segment) -> (u32, u32) {
        let start = if segment.has(flag::SYN) { segment.seq } else { segment.seq.wrapping_sub(1) };
        let own = *self.initial[sender].get_or_insert(start);
        let ack = if segment.has(flag::ACK) {
            let peer = *self.initial[1 - sender].get_or_insert(segment.ack.wrapping_sub(1));
            segment.ack.wrapping_sub(peer)
        } else {
            segment.ack
        };
        (segment.seq.wrapping_sub(own), ack)
    }
}

/// How far `a` is past `b`, in the arithmetic of sequence numbers (RFC 9293, section 3.4).
fn past(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}
