//! What waits for the rate.

use std::collections::VecDeque;
use std::time::Duration;

use super::codel::{Head, Queue};
use super::parameters::{QueueLimits, RedUnit};
use super::{DropReason, Outcome, ecn};
use crate::network::Frame;
use crate::time::Instant;

/// A queue. Of frames whose way was decided as they came in, it keeps when they begin to leave; the others, whose
/// turn decides, it keeps themselves.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    decided: VecDeque<(Instant, u32)>,
    held: VecDeque<Held>,
    bytes: u64,
}

/// A frame that waits for its turn, and what was drawn for it as it came in.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub frame: Frame,
    pub arrived: Instant,
    pub deviation: Deviation,
}

/// How a frame's delay differs from its link's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deviation {
    pub jitter_ns: i64,
    /// As the script has it.
    pub extra: Duration,
}

impl Backlog {
    pub fn frames(&self) -> usize {
        self.decided.len() + self.held.len()
    }

    pub fn in_unit(&self, unit: RedUnit) -> u64 {
        match unit {
            RedUnit::Frames => self.frames() as u64,
            RedUnit::Bytes => self.bytes,
        }
    }

    /// No room for another frame of `bytes`.
    pub fn is_full(&self, limits: &QueueLimits, bytes: usize) -> bool {
        self.frames() >= limits.frames_max
            || limits.bytes_max.is_some_and(|bytes_max| self.bytes + bytes as u64 > bytes_max)
    }

    /// A frame of `bytes` waits until `start`.
    pub fn push_decided(&mut self, start: Instant, bytes: usize) {
        self.decided.push_back((start, bytes as u32));
        self.bytes += bytes as u64;
    }

    /// Forgets the decided frames that have begun to leave by `now`.
    pub fn trim(&mut self, now: Instant) {
        while let Some(&(start, bytes)) = self.decided.front()
            && start <= now
        {
            self.decided.pop_front();
            self.bytes -= u64::from(bytes);
        }
    }

    pub fn push_held(&mut self, held: Held) {
        self.bytes += held.frame.len() as u64;
        self.held.push_back(held);
    }

    pub fn pop_held(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.bytes -= held.frame.len() as u64;
        Some(held)
    }

    /// Since when the frame at the head has waited, if one is held.
    pub fn head_arrived(&self) -> Option<Instant> {
        self.held.front().map(|held| held.arrived)
    }
}

/// A backlog at the instant when a frame may leave it, for CoDel.
pub(super) struct Leaving<'a> {
    pub backlog: &'a mut Backlog,
    pub now: Instant,
    pub ecn: bool,
    /// Where drops are told.
    pub out: &'a mut Vec<Outcome>,
}

impl Queue for Leaving<'_> {
    type Frame = Held;

    fn pop(&mut self) -> Option<(Held, Head)> {
        let held = self.backlog.pop_held()?;
        let head = Head {
            waited: self.now.since(held.arrived),
            bytes: held.frame.len(),
            backlog_bytes: self.backlog.bytes,
        };
        Some((held, head))
    }

    fn signal(&mut self, held: Held) -> Option<Held> {
        let marked = if self.ecn { ecn::mark(&held.frame) } else { None };
        if marked.is_none() {
            self.out.push(Outcome::Drop { frame: held.frame.clone(), reason: DropReason::CoDel });
        }
        marked.map(|frame| Held { frame, ..held })
    }
}
