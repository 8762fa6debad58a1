//! The machine's clock and entropy: read here alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Instant;

/// Monotonic time since the world began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub fn now(&self) -> Instant {
        Instant::START + self.start.elapsed()
    }
}

/// Wall-clock time since the Unix epoch.
pub fn epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A seed that nobody had before: with an old one, initial sequence numbers would repeat, and a Linux peer in
/// TIME-WAIT would not take the connection for a second.
///
/// # Errors
/// No /dev/urandom.
pub fn seed() -> std::io::Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Says when a line of progress may be drawn again: ten times a second.
#[derive(Debug, Default)]
pub struct Ticker {
    last: Option<std::time::Instant>,
}

impl Ticker {
    pub const PERIOD: Duration = Duration::from_millis(100);

    /// True if it is time; the next time counts from here.
    pub fn is_due(&mut self) -> bool {
        let now = std::time::Instant::now();
        let due = self.last.is_none_or(|last| now - last >= Self::PERIOD);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// How long something took, for a person to read.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The machine's cores, as far as this process may use them.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
