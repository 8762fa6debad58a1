//! Which bytes of one direction were seen and are not acknowledged.

use super::past;

/// Gaps that are remembered: far more than a window of segments has.
const RANGES_MAX: usize = 4096;

/// Ranges of sequence numbers, in order and apart. The first begins at what is acknowledged, and may be empty.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ranges: Vec<(u32, u32)>,
}

impl Seen {
    /// Up to where everything was seen.
    pub fn contiguous(&self) -> Option<u32> {
        self.ranges.first().map(|(_, end)| *end)
    }

    /// True if all of `start..end` was seen and none of it is acknowledged.
    pub fn covers(&self, start: u32, end: u32) -> bool {
        self.ranges.iter().any(|range| past(start, range.0) >= 0 && past(range.1, end) >= 0)
    }

    pub fn insert(&mut self, start: u32, end: u32) {
        let first = self.ranges.first().map_or(start, |range| range.0);
        if past(end, first) < 0 {
            return;
        }
        let start = if past(start, first) < 0 { first } else { start };
        // Those that it touches are one with it.
        let low = self.ranges.partition_point(|range| past(range.1, start) < 0);
        let high = self.ranges.partition_point(|range| past(range.0, end) <= 0);
        let mut merged = (start, end);
        for range in &self.ranges[low..high] {
            merged.0 = if past(range.0, merged.0) < 0 { range.0 } else { merged.0 };
            merged.1 = if past(range.1, merged.1) > 0 { range.1 } else { merged.1 };
        }
        self.ranges.splice(low..high, [merged]);
        self.ranges.truncate(RANGES_MAX);
    }

    /// Everything before `ack` is acknowledged, whether it was seen or not.
    pub fn acknowledge(&mut self, ack: u32) {
        if self.ranges.first().is_none_or(|range| past(ack, range.0) <= 0) {
            return;
        }
        self.ranges.retain(|range| past(range.1, ack) >= 0);
        match self.ranges.first_mut() {
            Some(range) if past(range.0, ack) <= 0 => range.0 = ack,
            Some(_) | None => self.ranges.insert(0, (ack, ack)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_open_and_close() {
        let mut seen = Seen::default();
        let start = u32::MAX - 10;
        let at = |offset: u32| start.wrapping_add(offset);
        seen.insert(at(0), at(10));
        seen.insert(at(20), at(30));
        seen.insert(at(40), at(50));
        assert_eq!(seen.contiguous(), Some(at(10)));
        assert!(seen.covers(at(22), at(30)) && !seen.covers(at(8), at(22)));
        seen.insert(at(10), at(20));
        assert_eq!(seen.contiguous(), Some(at(30)));
        seen.acknowledge(at(30));
        assert!(!seen.covers(at(0), at(10)));
        assert_eq!(seen.ranges, [(at(30), at(30)), (at(40), at(50))]);
        seen.acknowledge(at(45));
        seen.insert(at(0), at(46));
        assert_eq!(seen.ranges, [(at(45), at(50))]);
        seen.acknowledge(at(60));
        assert_eq!(seen.contiguous(), Some(at(60)));
    }
}
