//! Token bucket for ICMP errors (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).

use std::time::Duration;

use crate::time::Instant;

/// Errors that may be sent at once after a quiet time.
const BURST: u32 = 50;
/// Time that earns one more error: 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);

/// Kept as the time up to which tokens are spent: no division, no rounding, nothing to refill.
#[derive(Debug)]
pub(super) struct TokenBucket {
    spent_until: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new() -> Self {
        Self { spent_until: Instant::START }
    }

    /// Takes a token; false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let spent_until = self.spent_until.max(now) + INTERVAL;
        let allowed = spent_until.since(now) <= INTERVAL * BURST;
        if allowed {
            self.spent_until = spent_until;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new();
        let taken = |bucket: &mut TokenBucket, now| (0..1000).filter(|_| bucket.take(now)).count();
        let at = |ms| Instant::START + Duration::from_millis(ms);
        assert_eq!(taken(&mut bucket, at(0)), 50);
        assert_eq!(taken(&mut bucket, at(9)), 0);
        assert_eq!(taken(&mut bucket, at(10)), 1);
        assert_eq!(taken(&mut bucket, at(110)), 10);
        assert_eq!(taken(&mut bucket, at(1_000_000)), 50, "never more than a burst");
    }
}
