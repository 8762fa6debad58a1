//! Delivery opportunities of a measured link, in Mahimahi's format.

use std::time::Duration;

use crate::time::Instant;

/// IP bytes that one opportunity carries.
pub(super) const OPPORTUNITY_BYTES: u32 = 1500;

const NANOS_PER_MS: u64 = 1_000_000;

/// Milliseconds later than this are a slip of the pen: a hundred years.
const MS_MAX: u64 = 100 * 365 * 86_400 * 1000;

/// A trace: each line the millisecond of one opportunity to deliver 1500 bytes, ascending; the last line ends a lap,
/// and the next begins there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Ascending, at least one, the last not 0.
    opportunities_ms: Vec<u64>,
}

/// Why a text is not a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    #[error("has no line")]
    Empty,
    #[error("line {line}: `{text}` is not a millisecond")]
    NotANumber { line: usize, text: String },
    #[error("line {line}: {ms} comes after {previous}")]
    NotSorted { line: usize, ms: u64, previous: u64 },
    #[error("ends at millisecond 0")]
    NoTime,
}

impl Trace {
    /// # Errors
    /// A line that is no whole number, or less than the one before; no line at all; a trace that takes no time.
    pub fn parse(text: &[u8]) -> Result<Trace, TraceError> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Err(TraceError::Empty);
        }
        let mut opportunities_ms: Vec<u64> = Vec::with_capacity(text.len() / 6);
        for (line, bytes) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            let digits = Some(bytes).filter(|bytes| bytes.iter().all(u8::is_ascii_digit));
            let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
            let Some(ms) = number.filter(|&ms| ms <= MS_MAX) else {
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
                return Err(TraceError::NotANumber { line, text: shown.escape_debug().to_string() });
            };
            match opportunities_ms.last() {
                Some(&previous) if ms < previous => {
                    return Err(TraceError::NotSorted { line, ms, previous });
                }
                Some(_) | None => opportunities_ms.push(ms),
            }
        }
        match opportunities_ms.last() {
            Some(0) | None => Err(TraceError::NoTime),
            Some(_) => Ok(Trace { opportunities_ms }),
        }
    }

    /// How long one lap takes.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period_ns())
    }

    fn period_ns(&self) -> u64 {
        self.opportunities_ms.last().map_or(NANOS_PER_MS, |&ms| ms * NANOS_PER_MS)
    }

    /// Mean over a lap.
    pub fn bytes_per_second(&self) -> u64 {
        let bytes = self.opportunities_ms.len() as u128 * u128::from(OPPORTUNITY_BYTES);
        u64::try_from(bytes * 1_000_000_000 / u128::from(self.period_ns())).unwrap_or(u64::MAX)
    }
}

/// A link's place in its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// When the trace began.
    base: Instant,
    /// The opportunity used last: when it is, and the bytes of it that nothing was sent in yet.
    at: Instant,
    left_bytes: u32,
    /// The one after it.
    next: Position,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    lap: u64,
    index: usize,
}

impl Cursor {
    pub fn new(base: Instant) -> Self {
        Self { base, at: base, left_bytes: 0, next: Position { lap: 0, index: 0 } }
    }

    /// When a frame that waits since `waiting` begins to leave. As in Mahimahi, an opportunity serves what waited
    /// before it, and what of it nobody waited for is lost.
    pub fn start(&self, trace: &Trace, waiting: Instant) -> Instant {
        if self.is_open(waiting) { self.at } else { self.time(trace, self.next_for(trace, waiting)) }
    }

    /// Sends `bytes` of a frame that waits since `waiting`; when the last of them leaves.
    pub fn send(&mut self, trace: &Trace, waiting: Instant, mut bytes: u64) -> Instant {
        if !self.is_open(waiting) {
            self.next = self.next_for(trace, waiting);
            self.advance(trace);
        }
        while bytes > u64::from(self.left_bytes) {
            bytes -= u64::from(self.left_bytes);
            self.advance(trace);
        }
        self.left_bytes -= bytes as u32;
        self.at
    }

    /// Something is left of the present opportunity for a frame that waits since `waiting`.
    fn is_open(&self, waiting: Instant) -> bool {
        self.left_bytes > 0 && self.at > waiting
    }

    fn next_for(&self, trace: &Trace, waiting: Instant) -> Position {
        if self.time(trace, self.next) > waiting {
            return self.next;
        }
        let since_ns = waiting.since(self.base).as_nanos() as u64;
        let (lap, rest_ns) = (since_ns / trace.period_ns(), since_ns % trace.period_ns());
        // There is one: the last is at the period's end, and the rest is less.
        let index = trace.opportunities_ms.partition_point(|&ms| ms * NANOS_PER_MS <= rest_ns);
        Position { lap, index }
    }

    fn advance(&mut self, trace: &Trace) {
        let Position { lap, index } = self.next;
        (self.at, self.left_bytes) = (self.time(trace, self.next), OPPORTUNITY_BYTES);
        self.next = match index + 1 {
            end if end == trace.opportunities_ms.len() => Position { lap: lap + 1, index: 0 },
            index => Position { lap, index },
        };
    }

    fn time(&self, trace: &Trace, Position { lap, index }: Position) -> Instant {
        let since = u128::from(lap) * u128::from(trace.period_ns())
            + u128::from(trace.opportunities_ms[index] * NANOS_PER_MS);
        self.base + Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }
}
