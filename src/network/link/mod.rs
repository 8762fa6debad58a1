//! One direction of a link: what happens to a frame between two ports.

use std::time::Duration;

use super::Frame;
use crate::rng::Rng;
use crate::time::Instant;

/// Knobs of one direction. The default is the ideal link: no delay, no limit, no loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkParameters {
    /// One-way propagation delay.
    pub delay: Duration,
    /// Serialisation rate in bytes a second, counted over the Ethernet frame; `None` is unlimited.
    pub rate_bytes_per_second: Option<u64>,
    /// Probability that a frame is lost, `0.0..=1.0`, independent for each frame.
    pub loss: f64,
    /// Frames that may wait for the rate; one more is dropped at the tail (1000, as Linux's txqueuelen).
    pub queue_frames_max: usize,
}

impl Default for LinkParameters {
    fn default() -> Self {
        Self { delay: Duration::ZERO, rate_bytes_per_second: None, loss: 0.0, queue_frames_max: 1000 }
    }
}

impl LinkParameters {
    /// True if frames arrive at the instant they are sent, in order, every one.
    pub fn is_ideal(&self) -> bool {
        self.delay.is_zero() && self.rate_bytes_per_second.is_none() && self.loss == 0.0
    }
}

/// Why a frame did not arrive. The words stand in captures and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Lost at random by the link.
    Loss,
    /// The link's queue was full.
    QueueFull,
    /// The port leads nowhere.
    Unplugged,
}

impl DropReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::Loss => "lost on the link",
            DropReason::QueueFull => "queue full",
            DropReason::Unplugged => "port not plugged in",
        }
    }
}

/// A link's answer to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Deliver(Instant),
    Drop(DropReason),
}

/// One direction at work: its parameters, its queue and its random stream.
#[derive(Debug)]
pub struct Direction {
    parameters: LinkParameters,
    ideal: bool,
    rng: Rng,
    /// When the last frame accepted will have left the queue; frames still in it, as their departure times.
    departures: std::collections::VecDeque<Instant>,
}

impl Direction {
    pub fn new(parameters: LinkParameters, rng: Rng) -> Self {
        let ideal = parameters.is_ideal();
        Self { parameters, ideal, rng, departures: Default::default() }
    }

    pub fn parameters(&self) -> &LinkParameters {
        &self.parameters
    }

    /// True if frames arrive at the instant they are sent.
    pub fn is_ideal(&self) -> bool {
        self.ideal
    }

    /// Decides a frame's fate. Order as in tc-netem(8): loss first, then the rate's queue, then delay.
    pub fn offer(&mut self, now: Instant, frame: &Frame) -> Verdict {
        if self.ideal {
            return Verdict::Deliver(now);
        }
        if self.parameters.loss > 0.0 && self.rng.chance(self.parameters.loss) {
            return Verdict::Drop(DropReason::Loss);
        }
        let sent = match self.parameters.rate_bytes_per_second {
            None => now,
            Some(rate) => {
                while self.departures.front().is_some_and(|&at| at <= now) {
                    self.departures.pop_front();
                }
                // The frame being sent does not stand in the queue any more.
                if self.departures.len() > self.parameters.queue_frames_max {
                    return Verdict::Drop(DropReason::QueueFull);
                }
                let start = self.departures.back().copied().unwrap_or(now);
                let sent = start + serialisation(frame.len(), rate);
                self.departures.push_back(sent);
                sent
            }
        };
        Verdict::Deliver(sent + self.parameters.delay)
    }
}

/// Time to put `bytes` on a wire of `rate` bytes a second, rounded up to the nanosecond.
fn serialisation(bytes: usize, rate: u64) -> Duration {
    let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use bytes::Bytes;

    fn frame(len: usize) -> Frame {
        Frame::new(Bytes::from(vec![0; len]))
    }

    #[test]
    fn rate_serialises_one_after_the_other_and_delay_is_added() {
        let parameters = LinkParameters {
            delay: Duration::from_millis(1),
            rate_bytes_per_second: Some(1_000_000),
            ..Default::default()
        };
        let mut link = Direction::new(parameters, Seed(1).fork("link"));
        let at = |ms| Verdict::Deliver(Instant::START + Duration::from_millis(ms));
        assert_eq!(link.offer(Instant::START, &frame(1000)), at(2));
        assert_eq!(link.offer(Instant::START, &frame(1000)), at(3));
        let later = Instant::START + Duration::from_millis(10);
        assert_eq!(link.offer(later, &frame(1000)), at(12));
    }

    #[test]
    fn a_full_queue_drops_at_the_tail() {
        let parameters =
            LinkParameters { rate_bytes_per_second: Some(1000), queue_frames_max: 2, ..Default::default() };
        let mut link = Direction::new(parameters, Seed(1).fork("link"));
        let dropped = Verdict::Drop(DropReason::QueueFull);
        let verdicts: Vec<_> = (0..4).map(|_| link.offer(Instant::START, &frame(1000))).collect();
        assert!(verdicts[..3].iter().all(|&v| v != dropped), "one in flight and two waiting");
        assert_eq!(verdicts[3], dropped);
    }

    #[test]
    fn loss_meets_its_probability() {
        let parameters = LinkParameters { loss: 0.25, ..Default::default() };
        let mut link = Direction::new(parameters, Seed(3).fork("link"));
        let lost = (0..40_000)
            .filter(|_| link.offer(Instant::START, &frame(100)) == Verdict::Drop(DropReason::Loss))
            .count();
        // Binomial(40000, 0.25): standard deviation 87; five of them.
        assert!((9_565..=10_435).contains(&lost), "{lost}");
    }
}
