//! Virtual time. The core never reads a clock: every `now` is handed down by a driver.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// A point in a world's time, in nanoseconds since the world began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// The instant at which a world begins.
    pub const START: Instant = Instant { nanos: 0 };
    /// Later than any event.
    pub const FAR_FUTURE: Instant = Instant { nanos: u64::MAX };

    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    pub const fn from_micros(micros: u64) -> Self {
        Self { nanos: micros.saturating_mul(1_000) }
    }

    /// Nanoseconds since the world began.
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// Time since the world began.
    pub const fn elapsed(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// How much later `self` is than `earlier`; zero if it is not later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

/// What stands for [`Instant::START`] where a library takes nothing but std's instants: the one that this process asked
/// for first. Only differences are ever looked at, so it does not matter which one it is; nothing else reads a clock here.
static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

impl Instant {
    /// For libraries that take std's instants.
    pub fn to_std(self) -> std::time::Instant {
        let origin = *ORIGIN;
        // Six centuries are more than some systems can count.
        origin.checked_add(self.elapsed()).unwrap_or(origin)
    }

    /// Of what such a library answers.
    pub fn from_std(instant: std::time::Instant) -> Self {
        Instant::START + instant.saturating_duration_since(*ORIGIN)
    }
}

/// Std's time of day, for libraries that take it.
pub type TimeOfDay = SystemTime;

/// The time of day so long after the Unix epoch.
pub fn time_of_day(since: Duration) -> TimeOfDay {
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::FAR_FUTURE`].
    fn add(self, rhs: Duration) -> Instant {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Instant { nanos: self.nanos.saturating_add(nanos) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, rhs: Instant) -> Duration {
        self.since(rhs)
    }
}

/// Seconds with nine decimals, as capture tools print it.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.nanos / 1_000_000_000, self.nanos % 1_000_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_and_back() {
        for nanos in [0, 1, 999_999_999, 86_400_000_000_000] {
            let instant = Instant::from_nanos(nanos);
            assert_eq!(Instant::from_std(instant.to_std()), instant);
        }
    }
}
