//! TIME-WAIT without a socket: what is left of a connection that this side closed first.
//!
//! smoltcp keeps a whole socket with both buffers for ten seconds. What TIME-WAIT needs is less
//! (RFC 9293, 3.10.7.4): know the pair of addresses, acknowledge the peer's repeated FIN, and give way to
//! a SYN that is newer than anything the old connection saw.

use std::collections::VecDeque;
use std::time::Duration;

use crate::node::stack::demux::Segment;
use crate::node::stack::flows::{Keyed, Table, Tuple};
use crate::time::Instant;

/// As smoltcp's own CLOSE_DELAY; Linux waits 60 s.
const TIME_WAIT: Duration = Duration::from_secs(10);
/// Sequence numbers before the last one that a repeated SYN of the old connection is taken to bear. A new connection by the
/// same ports begins with a random number, and waits out TIME-WAIT if that happens to lie there: one of a million, where
/// 64 MiB had it be one of 64, and a client that goes through all its ports met it each time. An old SYN from further
/// back, of a connection that carried more, is answered, and reset by a peer that knows nothing of it.
const OLD_WINDOW: u32 = 4 << 10;
/// The oldest gives way to one more.
const ENTRIES_MAX: usize = 16_384;

#[derive(Debug)]
pub struct TimeWait {
    hash: Keyed,
    /// `None` before there was any: most guests close no connection, or not first.
    kept: Option<Box<Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// The peer's sequence number after its FIN, and when the entry ends.
    entries: Table<(u32, Instant)>,
    order: VecDeque<(Instant, Tuple)>,
}

/// What to do with a segment for a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not in TIME-WAIT: judge the segment as any other.
    Unknown,
    /// A new connection may take the pair over.
    GiveWay,
    /// Acknowledge it again.
    Acknowledge,
    Ignore,
}

impl TimeWait {
    pub fn new(hash: Keyed) -> Self {
        Self { hash, kept: None }
    }

    /// `peer_next`: the peer's sequence number after its FIN, if it was seen.
    pub fn insert(&mut self, now: Instant, tuple: Tuple, peer_next: u32) {
        self.expire(now);
        let kept = self.kept.get_or_insert_with(|| {
            Box::new(Kept { entries: Table::with_hasher(self.hash.clone()), order: VecDeque::new() })
        });
        while kept.order.len() >= ENTRIES_MAX {
            kept.drop_first();
        }
        let until = now + TIME_WAIT;
        kept.entries.insert(tuple, (peer_next, until));
        kept.order.push_back((until, tuple));
    }

    pub fn contains(&mut self, now: Instant, tuple: &Tuple) -> bool {
        self.expire(now);
        self.holds(tuple)
    }

    /// As [`TimeWait::contains`], of what had not expired when that was last looked at.
    pub fn holds(&self, tuple: &Tuple) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.entries.contains_key(tuple))
    }

    pub fn segment(&mut self, now: Instant, tuple: &Tuple, segment: &Segment) -> Answer {
        self.expire(now);
        let Some(kept) = &mut self.kept else { return Answer::Unknown };
        let Some(&(peer_next, _)) = kept.entries.get(tuple) else { return Answer::Unknown };
        // RFC 1122, 4.2.2.13: a SYN past the old connection's last sequence number opens it anew.
        // Initial sequence numbers are random here, so half of all new ones are below it: those are old duplicates only
        // if they lie in the last window.
        let newer = !(1..=OLD_WINDOW).contains(&peer_next.wrapping_sub(segment.sequence));
        match segment {
            // RFC 1337: a reset must not cut TIME-WAIT short.
            Segment { rst: true, .. } => Answer::Ignore,
            Segment { syn: true, ack: false, .. } if newer => {
                kept.entries.remove(tuple);
                Answer::GiveWay
            }
            Segment { syn: true, .. } | Segment { fin: true, .. } => Answer::Acknowledge,
            Segment { payload_len, .. } if *payload_len > 0 => Answer::Acknowledge,
            _ => Answer::Ignore,
        }
    }

    pub fn expire(&mut self, now: Instant) {
        let Some(kept) = &mut self.kept else { return };
        while kept.order.front().is_some_and(|&(until, _)| until <= now) {
            kept.drop_first();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.entries.len())
    }
}

impl Kept {
    fn drop_first(&mut self) {
        if let Some((until, tuple)) = self.order.pop_front()
            && self.entries.get(&tuple).is_some_and(|&(_, at)| at == until)
        {
            self.entries.remove(&tuple);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32) -> Segment {
        Segment {
            syn: false,
            ack: true,
            fin: false,
            rst: false,
            sequence,
            acknowledgement: 0,
            payload_len: 0,
        }
    }

    #[test]
    fn a_repeated_fin_is_acknowledged_and_a_newer_syn_takes_over() {
        let tuple = Tuple { local: "10.0.0.1:80".parse().unwrap(), remote: "10.0.0.2:9".parse().unwrap() };
        let mut table = TimeWait::new(Keyed(1));
        table.insert(Instant::START, tuple, 1000);
        let now = Instant::START + Duration::from_secs(5);
        assert_eq!(table.segment(now, &tuple, &Segment { fin: true, ..segment(999) }), Answer::Acknowledge);
        assert_eq!(table.segment(now, &tuple, &Segment { rst: true, ..segment(1000) }), Answer::Ignore);
        let syn = |sequence| Segment { syn: true, ack: false, ..segment(sequence) };
        assert_eq!(table.segment(now, &tuple, &syn(900)), Answer::Acknowledge);
        assert_eq!(table.segment(now, &tuple, &syn(1001)), Answer::GiveWay);
        assert_eq!(table.segment(now, &tuple, &syn(1001)), Answer::Unknown);
    }

    #[test]
    fn only_a_syn_out_of_the_last_window_is_an_old_one() {
        let tuple = Tuple { local: "10.0.0.1:80".parse().unwrap(), remote: "10.0.0.2:9".parse().unwrap() };
        let answer = |peer_next: u32, sequence: u32| {
            let mut table = TimeWait::new(Keyed(1));
            table.insert(Instant::START, tuple, peer_next);
            table.segment(Instant::START, &tuple, &Segment { syn: true, ack: false, ..segment(sequence) })
        };
        // Also where the numbers begin anew.
        for peer_next in [0, 1000, OLD_WINDOW, u32::MAX] {
            for (behind, expected) in [
                (0, Answer::GiveWay),
                (1, Answer::Acknowledge),
                (OLD_WINDOW, Answer::Acknowledge),
                (OLD_WINDOW + 1, Answer::GiveWay),
                (1 << 31, Answer::GiveWay),
                (u32::MAX, Answer::GiveWay),
            ] {
                assert_eq!(
                    answer(peer_next, peer_next.wrapping_sub(behind)),
                    expected,
                    "{peer_next} - {behind}"
                );
            }
        }
    }

    #[test]
    fn entries_end_and_are_bounded() {
        let mut table = TimeWait::new(Keyed(1));
        for port in 0..20_000u16 {
            let remote = std::net::SocketAddr::new([10, 0, 0, 2].into(), port);
            table.insert(Instant::START, Tuple { local: "10.0.0.1:80".parse().unwrap(), remote }, 0);
        }
        assert_eq!(table.len(), ENTRIES_MAX);
        table.expire(Instant::START + TIME_WAIT);
        assert_eq!(table.len(), 0);
    }
}
