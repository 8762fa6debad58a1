//! Tests of one direction, seen from outside: frames in, arrivals and drops out.

mod change;
mod jitter;
mod loss;
mod netem;
mod properties;
mod queue;
mod statistics;
mod trace;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::network::PacketId;
use crate::rng::Seed;

/// What became of frames, by the numbers they were offered under.
#[derive(Debug, Default)]
struct Run {
    /// In the order in which they were decided.
    delivered: Vec<(Instant, u64)>,
    /// With the time at which the drop was told.
    dropped: Vec<(Instant, u64, DropReason)>,
    /// Every copy that arrived.
    frames: Vec<Frame>,
}

impl Run {
    /// Numbers in the order of arrival.
    fn order(&self) -> Vec<u64> {
        let mut arrivals = self.delivered.clone();
        arrivals.sort_by_key(|&(at, _)| at);
        arrivals.into_iter().map(|(_, number)| number).collect()
    }

    /// When each frame that was not dropped arrived, in the order of their numbers.
    fn arrivals(&self) -> Vec<Instant> {
        let mut arrivals = self.delivered.clone();
        arrivals.sort_by_key(|&(at, number)| (number, at));
        arrivals.into_iter().map(|(at, _)| at).collect()
    }

    fn dropped(&self) -> Vec<u64> {
        self.dropped.iter().map(|&(_, number, _)| number).collect()
    }

    fn take(&mut self, now: Instant, out: &mut Vec<Outcome>) {
        for outcome in out.drain(..) {
            match outcome {
                Outcome::Deliver { at, frame } => {
                    self.delivered.push((at, frame.id.0));
                    self.frames.push(frame);
                }
                Outcome::Drop { frame, reason } => self.dropped.push((now, frame.id.0, reason)),
            }
        }
    }
}

fn at_us(us: u64) -> Instant {
    Instant::from_micros(us)
}

fn at_ms(ms: u64) -> Instant {
    at_us(1000 * ms)
}

fn frame(bytes: usize) -> Frame {
    Frame::new(Bytes::from(vec![0; bytes]))
}

fn direction(parameters: LinkParameters) -> Direction {
    Direction::new(parameters, Seed(1).fork("link"))
}

/// Offers each frame at its time and polls in between, as a world does.
fn run(link: &mut Direction, offers: impl IntoIterator<Item = (Instant, Frame)>) -> Run {
    let (mut run, mut out) = (Run::default(), Vec::new());
    for (number, (now, frame)) in (1..).zip(offers) {
        advance(link, Some(now), &mut run);
        let frame = Frame { id: PacketId(number), ..frame };
        let verdict = link.offer(now, &frame, &mut out);
        run.take(now, &mut out);
        match verdict {
            Verdict::Deliver(at) => {
                run.delivered.push((at, number));
                run.frames.push(frame);
            }
            Verdict::Drop(reason) => run.dropped.push((now, number, reason)),
            Verdict::Taken => {}
        }
    }
    advance(link, None, &mut run);
    run
}

/// Polls the link whenever it is due, before `end`.
fn advance(link: &mut Direction, end: Option<Instant>, run: &mut Run) {
    let mut out = Vec::new();
    while let Some(at) = link.poll_at().filter(|&at| end.is_none_or(|end| at < end)) {
        link.poll(at, &mut out);
        run.take(at, &mut out);
        assert!(link.poll_at().is_none_or(|next| next >= at), "time does not go back");
    }
}

/// `count` frames of `bytes`, one every `gap`.
fn stream(count: u64, bytes: usize, gap: Duration) -> impl Iterator<Item = (Instant, Frame)> {
    let frame = frame(bytes);
    (0..count).map(move |n| (Instant::START + gap * n as u32, frame.clone()))
}

/// `count` frames of `bytes`, all at the beginning.
fn burst(count: u64, bytes: usize) -> impl Iterator<Item = (Instant, Frame)> {
    stream(count, bytes, Duration::ZERO)
}

fn rate(bytes_per_second: u64) -> LinkParameters {
    LinkParameters { rate: Rate::BytesPerSecond(bytes_per_second), ..Default::default() }
}

#[test]
fn an_ideal_link_passes_everything_at_once() {
    let mut link = direction(LinkParameters::default());
    assert!(link.is_ideal());
    let run = run(&mut link, stream(100, 1514, Duration::from_micros(3)));
    assert_eq!(run.arrivals(), (0..100).map(|n| at_us(3 * n)).collect::<Vec<_>>());
    assert!(link.model.is_none(), "nothing is kept for it");
}

#[test]
fn rate_serialises_one_after_the_other_and_delay_is_added() {
    let parameters = LinkParameters { delay: Duration::from_millis(1), ..rate(1_000_000) };
    let mut link = direction(parameters);
    let offers = [(at_ms(0), frame(1000)), (at_ms(0), frame(1000)), (at_ms(10), frame(500))];
    assert_eq!(run(&mut link, offers).arrivals(), [at_us(2000), at_us(3000), at_us(11_500)]);
}

#[test]
fn a_saturated_rate_carries_exactly_its_bytes() {
    let run = run(&mut direction(rate(1_250_000)), burst(1001, 1250));
    assert_eq!(run.delivered.last(), Some(&(at_ms(1001), 1001)), "1250 bytes a millisecond");
}

#[test]
fn framing_adds_its_bytes() {
    let last = |framing| {
        let parameters = LinkParameters { framing, ..rate(1_000_000) };
        run(&mut direction(parameters), burst(1, 100)).arrivals()[0]
    };
    let framing = |overhead_bytes, cell_bytes, cell_overhead_bytes| Framing {
        overhead_bytes,
        cell_bytes,
        cell_overhead_bytes,
    };
    assert_eq!(last(framing(24, 0, 0)), at_us(124), "preamble, FCS and gap");
    assert_eq!(last(framing(-14, 0, 0)), at_us(86));
    assert_eq!(last(framing(-200, 0, 0)), at_us(0), "never less than nothing");
    assert_eq!(last(framing(0, 48, 5)), at_us(3 * 53), "ATM: 100 bytes fill three cells");
    assert_eq!(last(framing(-4, 48, 5)), at_us(2 * 53), "and 96 two");
}

#[test]
fn longer_frames_than_the_mtu_are_dropped() {
    let parameters = LinkParameters { mtu: Some(1280), ..Default::default() };
    let mut link = direction(parameters);
    let result = run(&mut link, [(at_ms(0), frame(1294)), (at_ms(0), frame(1295))]);
    assert_eq!(result.dropped, [(at_ms(0), 2, DropReason::TooLong)], "the Ethernet header does not count");
    assert_eq!(result.order(), [1]);
}

#[test]
fn single_frames_are_dropped_delayed_and_duplicated_by_their_number() {
    let script = Script::new(vec![7, 3], vec![(5, Duration::from_millis(20))], vec![9]);
    let parameters = LinkParameters { script, delay: Duration::from_millis(1), ..Default::default() };
    let result = run(&mut direction(parameters), stream(10, 100, Duration::from_millis(10)));
    assert_eq!(result.order(), [1, 2, 4, 6, 5, 8, 9, 9, 10]);
    let reasons: Vec<_> = result.dropped.iter().map(|&(_, number, reason)| (number, reason)).collect();
    assert_eq!(reasons, [(3, DropReason::Listed), (7, DropReason::Listed)]);
    assert!(result.delivered.contains(&(at_ms(40 + 1 + 20), 5)));
}
