//! What frames leave by, one after the other: nothing that limits them, a rate, or a trace.

use std::time::Duration;

use super::parameters::{Framing, HEADER_BYTES, Rate};
use super::trace::Cursor;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Wire {
    /// When the frame that is being sent has left.
    busy_until: Instant,
    /// Of a rate that is a trace.
    cursor: Cursor,
}

impl Default for Wire {
    fn default() -> Self {
        Self { busy_until: Instant::START, cursor: Cursor::new(Instant::START) }
    }
}

impl Wire {
    pub fn busy_until(&self) -> Instant {
        self.busy_until
    }

    /// Another rate from `now` on: the frame that is being sent leaves as if nothing had changed. A trace begins anew.
    pub fn change(&mut self, now: Instant) {
        self.cursor = Cursor::new(now.max(self.busy_until));
    }

    /// When a frame that waits since `waiting` begins to leave, if all before it have left.
    pub fn start(&self, rate: &Rate, waiting: Instant) -> Instant {
        match rate {
            Rate::Unlimited | Rate::BytesPerSecond(_) => waiting.max(self.busy_until),
            Rate::Trace(trace) => self.cursor.start(trace, waiting),
        }
    }

    /// Sends a frame of `bytes` that waits since `waiting`; when it has left.
    pub fn send(&mut self, rate: &Rate, framing: &Framing, waiting: Instant, bytes: usize) -> Instant {
        self.busy_until = match rate {
            Rate::Unlimited => waiting.max(self.busy_until),
            Rate::BytesPerSecond(rate) => {
                waiting.max(self.busy_until) + serialisation(framing.wire_bytes(bytes), *rate)
            }
            Rate::Trace(trace) => {
                let packet_bytes = bytes.saturating_sub(HEADER_BYTES);
                self.cursor.send(trace, waiting, framing.wire_bytes(packet_bytes))
            }
        };
        self.busy_until
    }
}

/// Time to put `bytes` on a wire of `rate` bytes a second, rounded up to the nanosecond.
pub(super) fn serialisation(bytes: u64, rate: u64) -> Duration {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
