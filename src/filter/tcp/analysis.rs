//! What a segment is to its connection, as the section "TCP Analysis" of the Wireshark User's Guide defines it.

use std::time::Duration;

use super::seen::Seen;
use super::{Segment, flag, past};
use crate::filter::Field;
use crate::time::Instant;

/// A retransmission that comes so soon after the last duplicate ACK is a fast one.
const FAST_RETRANSMISSION_MAX: Duration = Duration::from_millis(20);
/// A gap that is filled so soon was out of order, unless the handshake told the round trip time.
const OUT_OF_ORDER_MAX: Duration = Duration::from_millis(3);
/// Duplicate ACKs after which a retransmission is a fast one. RFC 5681 has three, Wireshark counts more than two
/// with the first ACK, which is none.
const DUPLICATE_ACKS_MIN: u32 = 2;

/// A connection as one port sees it.
#[derive(Debug, Default)]
pub(super) struct View {
    halves: [Half; 2],
    /// The last SYN.
    syn_at: Option<Instant>,
    /// From the SYN to the ACK that completes the handshake.
    initial_rtt: Option<Duration>,
}

/// What one end sent.
#[derive(Debug, Default)]
struct Half {
    /// Highest sequence number to come, and when it was last raised.
    next: Option<(u32, Instant)>,
    /// Of the last segment with an ACK, and when that was.
    ack: Option<(u32, Instant)>,
    /// Of the last segment.
    window: Option<u16>,
    /// Of the SYN; 0 if it had none.
    scale: Option<u8>,
    /// The last segment was a SYN, whose window is never scaled.
    window_of_syn: bool,
    duplicate_acks: u32,
    probe: Option<Probe>,
    seen: Seen,
}

/// What the last segment was, if it asks for an answer that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    KeepAlive,
    ZeroWindow,
}

impl View {
    /// Names a segment that `sender` sent, and remembers it.
    pub fn judge(&mut self, now: Instant, sender: usize, segment: &Segment) -> Vec<Field> {
        self.time_handshake(now, segment);
        let out_of_order_max = self.initial_rtt.unwrap_or(OUT_OF_ORDER_MAX);
        let [first, second] = &mut self.halves;
        let (own, peer) = if sender == 0 { (first, second) } else { (second, first) };

        let mut words = Vec::new();
        let probe = own.probe(segment, peer);
        match probe {
            Some(Probe::ZeroWindow) => words.push(Field::TcpAnalysisZeroWindowProbe),
            Some(Probe::KeepAlive) => words.push(Field::TcpAnalysisKeepAlive),
            None => {}
        }
        if probe != Some(Probe::ZeroWindow) {
            words.extend(own.window_words(segment, peer));
            words.extend(own.answer(segment, peer));
        }
        if segment.has(flag::ACK) && peer.seen.contiguous().is_some_and(|seen| past(segment.ack, seen) > 0) {
            words.push(Field::TcpAnalysisAckLostSegment);
        }
        if probe.is_none() {
            words.extend(own.repetition(now, segment, peer, out_of_order_max));
        }
        let duplicate = words.contains(&Field::TcpAnalysisDuplicateAck);
        own.sent(now, segment, probe, duplicate);
        peer.acknowledged(now, segment);
        words
    }

    fn time_handshake(&mut self, now: Instant, segment: &Segment) {
        match (segment.has(flag::SYN), segment.has(flag::ACK)) {
            (true, false) => self.syn_at = Some(now),
            (false, true) if self.initial_rtt.is_none() => {
                self.initial_rtt = self.syn_at.map(|syn_at| now.since(syn_at));
            }
            _ => {}
        }
    }
}

impl Half {
    fn probe(&self, segment: &Segment, peer: &Half) -> Option<Probe> {
        let (next, _) = self.next?;
        if segment.len == 1 && segment.seq == next && peer.window == Some(0) {
            return Some(Probe::ZeroWindow);
        }
        let alive = segment.len <= 1 && segment.seq.wrapping_add(1) == next && segment.is_plain();
        alive.then_some(Probe::KeepAlive)
    }

    /// Gaps before the segment, and what its window says.
    fn window_words(&self, segment: &Segment, peer: &Half) -> impl Iterator<Item = Field> + use<> {
        let plain = segment.is_plain();
        let lost = self.next.is_some_and(|(next, _)| past(segment.seq, next) > 0) && !segment.has(flag::RST);
        let full = segment.len > 0 && plain && peer.limit() == Some(segment.end());
        let update = self.is_repeated(segment) && segment.window != 0 && self.window != Some(segment.window);
        [
            (segment.window == 0 && plain, Field::TcpAnalysisZeroWindow),
            (lost, Field::TcpAnalysisLostSegment),
            (update, Field::TcpAnalysisWindowUpdate),
            (full, Field::TcpAnalysisWindowFull),
        ]
        .into_iter()
        .filter_map(|(holds, word)| holds.then_some(word))
    }

    /// What an ACK without news answers to.
    fn answer(&self, segment: &Segment, peer: &Half) -> Option<Field> {
        if !self.is_repeated(segment) || self.window != Some(segment.window) {
            return None;
        }
        match (peer.probe, segment.window) {
            (Some(Probe::ZeroWindow), 0) => Some(Field::TcpAnalysisZeroWindowProbeAck),
            (_, 0) => None,
            (Some(Probe::KeepAlive), _) => Some(Field::TcpAnalysisKeepAliveAck),
            _ => Some(Field::TcpAnalysisDuplicateAck),
        }
    }

    /// True of an empty segment where the last one ended, with the last one's acknowledgement.
    fn is_repeated(&self, segment: &Segment) -> bool {
        segment.len == 0
            && segment.is_plain()
            && self.next.is_some_and(|(next, _)| next == segment.seq)
            && self.ack.is_some_and(|(ack, _)| ack == segment.ack)
    }

    /// What a segment is that begins before the highest one seen.
    fn repetition(
        &self,
        now: Instant,
        segment: &Segment,
        peer: &Half,
        out_of_order_max: Duration,
    ) -> Vec<Field> {
        let Some((next, raised_at)) = self.next else { return Vec::new() };
        let end = segment.end();
        if end == segment.seq || past(segment.seq, next) >= 0 {
            return Vec::new();
        }
        let data_end = segment.seq.wrapping_add(segment.len);
        if segment.len > 0 && peer.ack.is_some_and(|(ack, _)| past(data_end, ack) <= 0) {
            return vec![Field::TcpAnalysisSpuriousRetransmission, Field::TcpAnalysisRetransmission];
        }
        if peer.asked_for(now, segment) {
            return vec![Field::TcpAnalysisFastRetransmission, Field::TcpAnalysisRetransmission];
        }
        let seen = self.seen.covers(segment.seq, end);
        if !seen && end != next && now.since(raised_at) < out_of_order_max {
            return vec![Field::TcpAnalysisOutOfOrder];
        }
        vec![Field::TcpAnalysisRetransmission]
    }

    /// True if this end's duplicate ACKs have just asked for `segment`.
    fn asked_for(&self, now: Instant, segment: &Segment) -> bool {
        let asked = |(ack, at): (u32, Instant)| ack == segment.seq && now.since(at) < FAST_RETRANSMISSION_MAX;
        self.duplicate_acks >= DUPLICATE_ACKS_MIN && self.ack.is_some_and(asked)
    }

    /// The sequence number up to which the peer may send.
    fn limit(&self) -> Option<u32> {
        let scale = if self.window_of_syn { 0 } else { self.scale? };
        let (ack, _) = self.ack?;
        Some(ack.wrapping_add(u32::from(self.window?) << scale.min(14)))
    }

    fn sent(&mut self, now: Instant, segment: &Segment, probe: Option<Probe>, duplicate: bool) {
        let end = segment.end();
        let higher = self.next.is_none_or(|(next, _)| past(end, next) > 0);
        // The byte of a probe counts once it is acknowledged.
        if higher && probe != Some(Probe::ZeroWindow) {
            self.next = Some((end, now));
        }
        if end != segment.seq {
            self.seen.insert(segment.seq, end);
        }
        if segment.has(flag::ACK) {
            let changed = self.ack.is_none_or(|(ack, _)| ack != segment.ack);
            self.duplicate_acks = if changed { 0 } else { self.duplicate_acks + u32::from(duplicate) };
            self.ack = Some((segment.ack, now));
        }
        if segment.has(flag::SYN) {
            self.scale = Some(segment.scale.unwrap_or(0));
        }
        self.window = Some(segment.window);
        self.window_of_syn = segment.has(flag::SYN);
        self.probe = probe;
    }

    /// The peer sent `segment`.
    fn acknowledged(&mut self, now: Instant, segment: &Segment) {
        if !segment.has(flag::ACK) {
            return;
        }
        self.seen.acknowledge(segment.ack);
        let probed = self.probe == Some(Probe::ZeroWindow);
        if probed && self.next.is_some_and(|(next, _)| past(segment.ack, next) == 1) {
            self.next = Some((segment.ack, now));
        }
    }
}

impl Segment {
    fn is_plain(&self) -> bool {
        !self.has(flag::SYN | flag::FIN | flag::RST)
    }
}
