//! Controlled delay: frames are dropped by how long they waited (RFC 8289).

use std::time::Duration;

use super::parameters::CoDelParameters;
use crate::time::Instant;

/// The state that section 5.3 of the RFC names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoDel {
    /// When the delay will have been above the target for an interval.
    first_above: Option<Instant>,
    dropping: bool,
    drop_next: Instant,
    /// Signals since the dropping state was entered.
    count: u64,
    last_count: u64,
    /// The longest frame seen: a queue of no more than that is not a standing one.
    frame_bytes_max: usize,
}

/// A queue as CoDel sees it.
pub(super) trait Queue {
    type Frame;

    /// Takes the frame at the head.
    fn pop(&mut self) -> Option<(Self::Frame, Head)>;

    /// Tells a sender of congestion: gives the frame back, marked, or drops it.
    fn signal(&mut self, frame: Self::Frame) -> Option<Self::Frame>;
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub waited: Duration,
    pub bytes: usize,
    /// Of the queue without it.
    pub backlog_bytes: u64,
}

impl CoDel {
    /// The frame that leaves the queue at `now`: `deque` of section 5.5, with marks as section 3 allows them. One that
    /// is marked leaves, and the next signal is due after it.
    pub fn dequeue<Q: Queue>(
        &mut self,
        parameters: &CoDelParameters,
        now: Instant,
        queue: &mut Q,
    ) -> Option<Q::Frame> {
        let (mut frame, mut standing) = self.pop(parameters, now, queue);
        if self.dropping {
            self.dropping = standing;
            while self.dropping && now >= self.drop_next {
                self.count += 1;
                let marked = queue.signal(frame?);
                if marked.is_some() {
                    self.drop_next = self.control_law(parameters, self.drop_next);
                    return marked;
                }
                (frame, standing) = self.pop(parameters, now, queue);
                if standing {
                    self.drop_next = self.control_law(parameters, self.drop_next);
                }
                self.dropping = standing;
            }
        } else if standing {
            frame = match queue.signal(frame?) {
                None => self.pop(parameters, now, queue).0,
                marked => marked,
            };
            self.enter(parameters, now);
        }
        frame
    }

    /// `dodequeue` of section 5.6, and whether the delay has been above the target for an interval.
    fn pop<Q: Queue>(
        &mut self,
        parameters: &CoDelParameters,
        now: Instant,
        queue: &mut Q,
    ) -> (Option<Q::Frame>, bool) {
        let Some((frame, head)) = queue.pop() else {
            self.first_above = None;
            return (None, false);
        };
        self.frame_bytes_max = self.frame_bytes_max.max(head.bytes);
        if head.waited < parameters.target || head.backlog_bytes <= self.frame_bytes_max as u64 {
            self.first_above = None;
            return (Some(frame), false);
        }
        let first_above = *self.first_above.get_or_insert(now + parameters.interval);
        (Some(frame), now >= first_above)
    }

    fn enter(&mut self, parameters: &CoDelParameters, now: Instant) {
        self.dropping = true;
        // Where the last cycle ended is a good place to begin, if that was not long ago.
        let signals = self.count - self.last_count;
        let recent = now.since(self.drop_next) < parameters.interval * 16;
        self.count = if signals > 1 && recent { signals } else { 1 };
        self.last_count = self.count;
        self.drop_next = self.control_law(parameters, now);
    }

    /// IEEE square roots and divisions are the same on every machine.
    fn control_law(&self, parameters: &CoDelParameters, t: Instant) -> Instant {
        let nanos = parameters.interval.as_nanos() as f64 / (self.count as f64).sqrt();
        t + Duration::from_nanos(nanos as u64)
    }
}
