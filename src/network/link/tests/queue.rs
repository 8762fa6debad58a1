//! Limits, CoDel and RED.

use std::collections::VecDeque;

use super::statistics::assert_classes;
use super::*;
use crate::network::link::codel::{CoDel, Head, Queue};
use crate::network::link::red::Red;

const MS: Duration = Duration::from_millis(1);

/// An IPv6 packet whose sender does ECN, in 1000 bytes.
fn ect() -> Frame {
    let mut bytes = vec![0; 1000];
    bytes[12..16].copy_from_slice(&[0x86, 0xdd, 0x60, 0x20]);
    Frame::new(Bytes::from(bytes))
}

fn is_marked(frame: &Frame) -> bool {
    frame.bytes[15] & 0x30 == 0x30
}

#[test]
fn a_full_queue_drops_at_the_tail() {
    let queue = QueueLimits { frames_max: 2, bytes_max: None };
    let result = run(&mut direction(LinkParameters { queue, ..rate(1_000_000) }), burst(5, 1000));
    assert_eq!(result.order(), [1, 2, 3], "one on the wire and two that wait");
    assert!(result.dropped.iter().all(|&(_, _, reason)| reason == DropReason::QueueFull));
}

#[test]
fn a_queue_without_room_still_lets_one_frame_onto_the_wire() {
    let queue = QueueLimits { frames_max: 0, bytes_max: None };
    let offers = [0, 500, 1000, 1500].map(|us| (at_us(us), frame(1000)));
    let result = run(&mut direction(LinkParameters { queue, ..rate(1_000_000) }), offers);
    assert_eq!(result.order(), [1, 3]);
}

#[test]
fn bytes_are_counted_too() {
    let queue = QueueLimits { frames_max: 1000, bytes_max: Some(2500) };
    let offers = [1000, 1000, 1000, 1000, 400, 200, 100].map(|bytes| (at_ms(0), frame(bytes)));
    let result = run(&mut direction(LinkParameters { queue, ..rate(1_000_000) }), offers);
    assert_eq!(result.order(), [1, 2, 3, 5, 7]);
}

/// Half the frames of an arrival rate twice the link's go, once the queue is full.
#[test]
fn an_overloaded_queue_stays_full() {
    let queue = QueueLimits { frames_max: 50, bytes_max: None };
    let offers = stream(10_000, 1000, MS / 2);
    let result = run(&mut direction(LinkParameters { queue, ..rate(1_000_000) }), offers);
    assert_eq!(result.dropped.len(), 10_000 - 5000 - 50);
    let last = result.delivered.last().unwrap();
    let waited = last.0.since(at_us(500 * (last.1 - 1)));
    assert!((50 * MS..=52 * MS).contains(&waited), "{waited:?}");
}

fn codel(ecn: bool) -> LinkParameters {
    let codel = CoDelParameters { target: 5 * MS, interval: 100 * MS, ecn };
    LinkParameters { discipline: Discipline::CoDel(codel), ..rate(1_000_000) }
}

/// Times of signals to a sender that does not listen: the n-th drop is due interval / sqrt(n) after the one before.
fn assert_control_law(signals: &[Instant]) {
    let mut due = signals[0].nanos() as f64;
    for (n, at) in (1..).zip(&signals[1..]) {
        due += 100e6 / f64::from(n).sqrt();
        let late = at.nanos() as f64 - due;
        assert!((-1e3..=1e6).contains(&late), "drop {n} comes {late} ns after it is due");
    }
}

#[test]
fn codel_drops_by_its_control_law() {
    // 2 % too much: the delay crosses the target after a quarter of a second.
    let result = run(&mut direction(codel(false)), stream(5000, 1000, Duration::from_micros(980)));
    assert!(result.dropped.len() > 30, "{}", result.dropped.len());
    assert!(result.dropped.iter().all(|&(_, _, reason)| reason == DropReason::CoDel));
    let times: Vec<_> = result.dropped.iter().map(|&(at, _, _)| at).collect();
    // Waiting grows by 20 us a frame, so that of frame 251 is 5 ms; an interval later the first drop.
    let first = times[0].since(at_us(980 * 250 + 5000));
    assert!((100 * MS..=102 * MS).contains(&first), "{first:?}");
    // As far as one dropping state lasts: enough drops end it.
    let state = times.windows(2).take_while(|pair| pair[1].since(pair[0]) < 101 * MS).count();
    assert_control_law(&times[..state.min(10)]);
    assert!(result.order().is_sorted());
}

#[test]
fn codel_marks_what_can_be_marked() {
    let overload = (0..3000).map(|n| (at_us(900 * n), ect()));
    let result = run(&mut direction(codel(true)), overload);
    assert!(result.dropped.is_empty());
    let marked = result.frames.iter().zip(&result.delivered).filter(|(frame, _)| is_marked(frame));
    let times: Vec<_> = marked.map(|(_, &(at, _))| at).collect();
    assert!(times.len() > 50);
    assert_control_law(&times);

    let result = run(&mut direction(codel(true)), stream(3000, 1000, MS * 9 / 10));
    assert!(!result.dropped.is_empty(), "what is not ECT is dropped");
}

#[test]
fn codel_leaves_short_queues_alone() {
    // Bursts of five each ten milliseconds never keep a standing queue.
    let bursts = (0..5000).map(|n| (at_ms(n / 5 * 10), frame(1000)));
    let result = run(&mut direction(codel(false)), bursts);
    assert!(result.dropped.is_empty());
    assert_eq!(result.delivered.len(), 5000);
}

/// The pseudo-code of RFC 8289, section 5, as it stands there, in nanoseconds.
#[derive(Default)]
struct Rfc8289 {
    queue: VecDeque<(u64, u64)>,
    first_above_time: u64,
    drop_next: u64,
    count: i64,
    lastcount: i64,
    dropping: bool,
    maxpacket: u64,
    dropped: Vec<u64>,
}

impl Rfc8289 {
    const TARGET: u64 = 5_000_000;
    const INTERVAL: u64 = 100_000_000;

    fn dodequeue(&mut self, now: u64) -> (Option<u64>, bool) {
        let Some((tstamp, number)) = self.queue.pop_front() else {
            self.first_above_time = 0;
            return (None, false);
        };
        self.maxpacket = 1000;
        let mut ok_to_drop = false;
        if now - tstamp < Self::TARGET || self.queue.len() as u64 * 1000 <= self.maxpacket {
            self.first_above_time = 0;
        } else if self.first_above_time == 0 {
            self.first_above_time = now + Self::INTERVAL;
        } else if now >= self.first_above_time {
            ok_to_drop = true;
        }
        (Some(number), ok_to_drop)
    }

    fn control_law(&self, t: u64) -> u64 {
        t + (Self::INTERVAL as f64 / (self.count as f64).sqrt()) as u64
    }

    fn deque(&mut self, now: u64) -> Option<u64> {
        let (mut p, mut ok_to_drop) = self.dodequeue(now);
        if self.dropping {
            if !ok_to_drop {
                self.dropping = false;
            }
            while now >= self.drop_next && self.dropping {
                self.dropped.extend(p);
                self.count += 1;
                (p, ok_to_drop) = self.dodequeue(now);
                if !ok_to_drop {
                    self.dropping = false;
                } else {
                    self.drop_next = self.control_law(self.drop_next);
                }
            }
        } else if ok_to_drop {
            self.dropped.extend(p);
            (p, _) = self.dodequeue(now);
            self.dropping = true;
            let delta = self.count - self.lastcount;
            self.count = 1;
            if delta > 1 && (now as i64 - self.drop_next as i64) < 16 * Self::INTERVAL as i64 {
                self.count = delta;
            }
            self.drop_next = self.control_law(now);
            self.lastcount = self.count;
        }
        p
    }
}

/// The same queue for the code under test.
#[derive(Default)]
struct Plain {
    now: u64,
    queue: VecDeque<(u64, u64)>,
    dropped: Vec<u64>,
}

impl Queue for Plain {
    type Frame = u64;

    fn pop(&mut self) -> Option<(u64, Head)> {
        let (arrived, number) = self.queue.pop_front()?;
        let waited = Duration::from_nanos(self.now - arrived);
        Some((number, Head { waited, bytes: 1000, backlog_bytes: 1000 * self.queue.len() as u64 }))
    }

    fn signal(&mut self, number: u64) -> Option<u64> {
        self.dropped.push(number);
        None
    }
}

#[test]
fn codel_does_what_the_rfc_says() {
    let mut rng = Seed(9).fork("load");
    let (mut codel, mut queue, mut rfc) = (CoDel::default(), Plain::default(), Rfc8289::default());
    let mut number = 0;
    for now in (1_000_000..60_000_000_000).step_by(1_000_000) {
        // Load that swells and ebbs about what leaves.
        let load = 0.7 + 0.6 * f64::from((now / 3_000_000_000 % 2) as u8);
        for _ in 0..3 {
            if rng.chance(load / 3.0) {
                number += 1;
                queue.queue.push_back((now - 1, number));
                rfc.queue.push_back((now - 1, number));
            }
        }
        queue.now = now;
        let got = codel.dequeue(&CoDelParameters::default(), Instant::from_nanos(now), &mut queue);
        assert_eq!(got, rfc.deque(now), "at {now}");
    }
    assert_eq!(queue.dropped, rfc.dropped);
    assert!(rfc.dropped.len() > 300, "{}", rfc.dropped.len());
}

fn red(ecn: bool) -> RedParameters {
    RedParameters { min: 10, max: 30, probability: 0.1, ecn, ..Default::default() }
}

#[test]
fn red_follows_the_queue_by_its_weight() {
    let mut red = Red::default();
    let mut rng = Seed(1).fork("red");
    let parameters = RedParameters { weight: 0.25, ..self::red(false) };
    let mut expected = 0.0;
    for queue in [4, 9, 2, 7, 7, 7, 1] {
        red.signals(&parameters, queue, 0, &mut rng);
        expected = 0.75 * expected + 0.25 * queue as f64;
        assert!((red.average() - expected).abs() < 1e-12);
    }
    red.signals(&parameters, 0, 3, &mut rng);
    assert!((red.average() - expected * 0.75 * 0.75 * 0.75).abs() < 1e-12, "three frames' time of nothing");
}

/// With the average in the middle, where pb is 1/20, the distance between signals is uniform (section 7 of the paper),
/// and by the algorithm of its figure 2, which counts the frame at hand, 1 to 19.
#[test]
fn red_spreads_its_signals_out() {
    let parameters = RedParameters { weight: 1.0, ..self::red(false) };
    let mut red = Red::default();
    let mut rng = Seed(1).fork("red");
    let signals: Vec<usize> = (0..200_000).filter(|_| red.signals(&parameters, 20, 0, &mut rng)).collect();
    let mut observed = [0; 19];
    signals.windows(2).for_each(|pair| observed[pair[1] - pair[0] - 1] += 1);
    assert_classes(&observed, &[1.0 / 19.0; 19]);
}

#[test]
fn red_signals_nothing_below_and_everything_above_its_thresholds() {
    let parameters = RedParameters { weight: 1.0, ..self::red(false) };
    let mut red = Red::default();
    let mut rng = Seed(1).fork("red");
    assert!((0..1000).all(|_| !red.signals(&parameters, 9, 0, &mut rng)));
    assert!((0..1000).all(|_| red.signals(&parameters, 30, 0, &mut rng)));
}

#[test]
fn red_keeps_an_overloaded_queue_between_its_thresholds() {
    let discipline = Discipline::Red(RedParameters { weight: 0.02, ..red(false) });
    let parameters = LinkParameters { discipline, ..rate(1_000_000) };
    let result = run(&mut direction(parameters), stream(20_000, 1000, MS * 19 / 20));
    assert!(result.dropped.iter().all(|&(_, _, reason)| reason == DropReason::Red));
    // 5 % too much goes; the queue settles where pb is about that.
    let share = result.dropped.len() as f64 / 20_000.0;
    assert!((0.04..0.06).contains(&share), "{share}");
    let settled = result.delivered.iter().filter(|&&(_, number)| number > 5000);
    let waits: Vec<f64> =
        settled.map(|&(at, number)| at.since(at_us(950 * (number - 1))).as_secs_f64() * 1e3).collect();
    let mean = super::statistics::mean(&waits);
    assert!((10.0..30.0).contains(&mean), "{mean} ms, which is frames");
}

#[test]
fn red_marks_what_can_be_marked() {
    let discipline = Discipline::Red(RedParameters { weight: 0.02, ..red(true) });
    let queue = QueueLimits { frames_max: 100, bytes_max: None };
    let parameters = LinkParameters { discipline, queue, ..rate(1_000_000) };
    let result = run(&mut direction(parameters), (0..2000).map(|n| (at_us(900 * n), ect())));
    assert!(result.frames.iter().filter(|frame| is_marked(frame)).count() > 100);
    assert!(result.dropped.iter().all(|&(_, _, reason)| reason == DropReason::QueueFull));
}

#[test]
fn red_counts_bytes_if_told_to() {
    let red = RedParameters {
        min: 10_000,
        max: 30_000,
        unit: RedUnit::Bytes,
        weight: 0.02,
        probability: 0.1,
        ecn: false,
    };
    let frames = Discipline::Red(RedParameters { weight: 0.02, ..self::red(false) });
    let dropped = |discipline| {
        let parameters = LinkParameters { discipline, ..rate(1_000_000) };
        run(&mut direction(parameters), stream(5000, 1000, MS * 19 / 20)).dropped()
    };
    let by_bytes = dropped(Discipline::Red(red));
    assert!(by_bytes.len() > 100);
    assert_eq!(by_bytes, dropped(frames), "frames of 1000 bytes");
}
