//! Records that wait a while, for secrets to overtake them.
//!
//! A server speaks encrypted before its client knows how to read it: where only the client is of the lab, its secrets
//! come after the packets that they decrypt, and whoever reads a capture once from its beginning needs them before.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::{Record, Sink};
use crate::time::Instant;

/// How long a record waits: longer than a flight is under way inside a lab.
const HOLD: Duration = Duration::from_secs(2);
/// Bytes of frames that may wait.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Hands secrets on at once, and records when they have waited. Flushing hands on everything: somebody reads along.
pub struct Overtake {
    sink: Box<dyn Sink>,
    held: VecDeque<Record>,
    bytes: usize,
}

impl Overtake {
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { sink, held: VecDeque::new(), bytes: 0 }
    }

    /// Hands on what has waited until `now`, and what there is no room for.
    fn release(&mut self, now: Instant) -> io::Result<()> {
        let mut first = Ok(());
        while self.held.front().is_some_and(|record| record.at + HOLD <= now) || self.bytes > HELD_BYTES_MAX {
            let Some(record) = self.held.pop_front() else { break };
            self.bytes -= record.frame.len();
            first = first.and(self.sink.record(&record));
        }
        first
    }
}

impl Sink for Overtake {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.bytes += record.frame.len();
        self.held.push_back(record.clone());
        self.release(record.at)
    }

    fn fills_in_checksums(&self) -> bool {
        self.sink.fills_in_checksums()
    }

    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        self.sink.secrets(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        let released = self.release(Instant::FAR_FUTURE);
        released.and(self.sink.flush())
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        let released = self.release(Instant::FAR_FUTURE);
        released.and(self.sink.close(at))
    }
}

/// One that is dropped unfinished still hands on what it has.
impl Drop for Overtake {
    fn drop(&mut self) {
        let _ = self.release(Instant::FAR_FUTURE);
    }
}
