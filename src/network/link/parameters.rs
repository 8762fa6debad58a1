//! Knobs of one direction of a link. The default is the ideal link.

use std::sync::Arc;
use std::time::Duration;

use super::Trace;
use super::chance::Chance;
use super::jitter::Jitter;
use super::loss::Loss;

/// Bytes of an Ethernet header.
pub(super) const HEADER_BYTES: usize = 14;

/// Knobs of one direction. The default is the ideal link: no delay, no limit, no loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkParameters {
    /// A link that is down drops every frame.
    pub up: bool,
    /// Largest IP packet in bytes, without the Ethernet header; longer frames are dropped.
    pub mtu: Option<usize>,
    /// One-way propagation delay.
    pub delay: Duration,
    pub jitter: Jitter,
    pub rate: Rate,
    pub framing: Framing,
    pub queue: QueueLimits,
    pub discipline: Discipline,
    pub loss: Loss,
    /// A frame that would be lost goes on with ECN's mark instead, if its packet may be marked.
    pub loss_marks: bool,
    pub duplicate: Chance,
    pub corrupt: Chance,
    pub reorder: Reorder,
    pub script: Script,
}

impl Default for LinkParameters {
    fn default() -> Self {
        Self {
            up: true,
            mtu: None,
            delay: Duration::ZERO,
            jitter: Jitter::default(),
            rate: Rate::Unlimited,
            framing: Framing::default(),
            queue: QueueLimits::default(),
            discipline: Discipline::DropTail,
            loss: Loss::Never,
            loss_marks: false,
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            reorder: Reorder::default(),
            script: Script::default(),
        }
    }
}

impl LinkParameters {
    /// True if frames arrive at the instant they are sent, in order, every one, unaltered.
    pub fn is_ideal(&self) -> bool {
        self.up
            && self.mtu.is_none()
            && self.delay.is_zero()
            && self.jitter.is_none()
            && !self.jitter.in_order
            && self.rate == Rate::Unlimited
            && self.loss == Loss::Never
            && self.duplicate.is_never()
            && self.corrupt.is_never()
            && self.reorder.gap == 0
            && self.script.is_empty()
    }
}

/// How fast frames leave.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rate {
    #[default]
    Unlimited,
    /// Bytes a second, counted over the Ethernet frame and its [`Framing`].
    BytesPerSecond(u64),
    /// Delivery opportunities as measured, counted over the IP packet and its [`Framing`].
    Trace(Arc<Trace>),
}

/// What a frame takes on the wire beyond its bytes (netem's `packetoverhead`, `cellsize`, `celloverhead`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// Added to each frame; negative for a link whose own header is shorter than Ethernet's.
    pub overhead_bytes: i32,
    /// A frame fills whole cells of so many bytes; 0: it is not cut into cells.
    pub cell_bytes: u32,
    /// Added to each cell.
    pub cell_overhead_bytes: i32,
}

impl Framing {
    /// Bytes that a frame of `bytes` takes.
    pub fn wire_bytes(&self, bytes: usize) -> u64 {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_add(self.overhead_bytes.into());
        let bytes = u64::try_from(bytes).unwrap_or(0);
        match u64::from(self.cell_bytes) {
            0 => bytes,
            cell => {
                let whole = i64::try_from(cell).unwrap_or(i64::MAX) + i64::from(self.cell_overhead_bytes);
                bytes.div_ceil(cell) * u64::try_from(whole).unwrap_or(0)
            }
        }
    }
}

/// What may wait for the rate; what comes on top is dropped at the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// 1000, as Linux's txqueuelen.
    pub frames_max: usize,
    /// Over Ethernet frames.
    pub bytes_max: Option<u64>,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { frames_max: 1000, bytes_max: None }
    }
}

/// Who decides what leaves the queue and what is dropped before it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Discipline {
    #[default]
    DropTail,
    CoDel(CoDelParameters),
    Red(RedParameters),
}

/// RFC 8289.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoDelParameters {
    /// Acceptable standing delay in the queue.
    pub target: Duration,
    /// How long the delay may exceed it; about the round-trip time of the connections.
    pub interval: Duration,
    /// Mark packets that may be marked rather than drop them.
    pub ecn: bool,
}

impl Default for CoDelParameters {
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100), ecn: false }
    }
}

/// Floyd and Jacobson, "Random Early Detection Gateways for Congestion Avoidance" (1993).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RedParameters {
    /// Average queue, in `unit`, from which on frames are dropped at random.
    pub min: u64,
    /// Average queue from which on every frame is dropped.
    pub max: u64,
    pub unit: RedUnit,
    /// Probability of a drop as the average nears `max`.
    pub probability: f64,
    /// Weight of the present queue in the average.
    pub weight: f64,
    /// Mark packets that may be marked rather than drop them.
    pub ecn: bool,
}

impl Default for RedParameters {
    fn default() -> Self {
        Self { min: 5, max: 15, unit: RedUnit::Frames, probability: 0.02, weight: 0.002, ecn: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedUnit {
    Frames,
    Bytes,
}

/// Frames that overtake: they wait neither for the rate nor for the delay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reorder {
    pub chance: Chance,
    /// The first `gap - 1` frames after one that overtook never do; 0: none ever does.
    pub gap: u64,
}

/// What happens to single frames, numbered from 1 as they are offered to this direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Ascending.
    drop: Vec<u64>,
    /// Ascending by number.
    delayed: Vec<(u64, Duration)>,
    /// Ascending.
    duplicated: Vec<u64>,
}

impl Script {
    /// In any order; of a frame delayed twice, the last counts.
    pub fn new(mut drop: Vec<u64>, delayed: Vec<(u64, Duration)>, mut duplicated: Vec<u64>) -> Self {
        drop.sort_unstable();
        duplicated.sort_unstable();
        let delayed: std::collections::BTreeMap<_, _> = delayed.into_iter().collect();
        Self { drop, delayed: delayed.into_iter().collect(), duplicated }
    }

    /// Frames dropped, delayed and duplicated, each list ascending.
    pub fn lists(&self) -> (&[u64], &[(u64, Duration)], &[u64]) {
        (&self.drop, &self.delayed, &self.duplicated)
    }

    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.delayed.is_empty() && self.duplicated.is_empty()
    }

    pub fn drops(&self, frame: u64) -> bool {
        self.drop.binary_search(&frame).is_ok()
    }

    pub fn duplicates(&self, frame: u64) -> bool {
        self.duplicated.binary_search(&frame).is_ok()
    }

    /// How much later than the link's own delay a frame arrives.
    pub fn delay(&self, frame: u64) -> Duration {
        match self.delayed.binary_search_by_key(&frame, |&(number, _)| number) {
            Ok(at) => self.delayed[at].1,
            Err(_) => Duration::ZERO,
        }
    }
}
