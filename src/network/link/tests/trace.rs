//! Traces in Mahimahi's format.

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;

fn traced(text: &str) -> LinkParameters {
    let trace = Trace::parse(text.as_bytes()).unwrap();
    LinkParameters { rate: Rate::Trace(Arc::new(trace)), ..Default::default() }
}

#[test]
fn texts_that_are_not_traces() {
    let error = |text: &[u8]| Trace::parse(text).unwrap_err().to_string();
    assert_eq!(error(b""), "has no line");
    assert_eq!(error(b"\n"), "has no line");
    assert_eq!(error(b"1\n\n2\n"), "line 2: `` is not a millisecond");
    assert_eq!(error(b"1\n2.5\n"), "line 2: `2.5` is not a millisecond");
    assert_eq!(error(b"-1\n"), "line 1: `-1` is not a millisecond");
    assert_eq!(error(b"99999999999999999999"), "line 1: `99999999999999999999` is not a millisecond");
    assert_eq!(error(b"\xff"), "line 1: `\u{fffd}` is not a millisecond");
    assert_eq!(error(b"3\n5\n4\n"), "line 3: 4 comes after 5");
    assert_eq!(error(b"0\n0\n"), "ends at millisecond 0");
    assert!(Trace::parse(b"1\r\n2\r\n").is_ok());
}

#[test]
fn full_packets_leave_one_an_opportunity_lap_after_lap() {
    let mut link = direction(traced("2\n2\n5\n10\n"));
    let arrivals = run(&mut link, burst(9, 1514)).arrivals();
    assert_eq!(arrivals, [2, 2, 5, 10, 12, 12, 15, 20, 22].map(at_ms));
}

#[test]
fn opportunities_are_counted_by_the_byte() {
    // Three packets of 500 bytes share one; one of 2000 takes one and a third, and the rest serves the next.
    let offers = [514, 514, 514, 2014, 1014].map(|bytes| (at_ms(0), frame(bytes)));
    let arrivals = run(&mut direction(traced("1\n2\n3\n")), offers).arrivals();
    assert_eq!(arrivals, [1, 1, 1, 3, 3].map(at_ms));
}

#[test]
fn what_nobody_waits_for_is_lost() {
    let offers = [(at_ms(1), frame(114)), (at_ms(2), frame(1514)), (at_ms(7), frame(1514))];
    let arrivals = run(&mut direction(traced("1\n2\n3\n")), offers).arrivals();
    assert_eq!(arrivals, [2, 3, 8].map(at_ms), "an opportunity serves what came before it");
}

#[test]
fn framing_counts_on_top_of_the_packet() {
    let framing = Framing { overhead_bytes: 1, ..Default::default() };
    let parameters = LinkParameters { framing, ..traced("1\n2\n3\n") };
    assert_eq!(run(&mut direction(parameters), burst(1, 1514)).arrivals(), [at_ms(2)]);
}

#[test]
fn a_saturated_trace_carries_its_mean_rate() {
    let text = "3\n4\n4\n9\n17\n20\n";
    let parameters = traced(text);
    let Rate::Trace(trace) = &parameters.rate else { unreachable!() };
    assert_eq!(trace.bytes_per_second(), 6 * 1500 * 50);
    assert_eq!(trace.period(), Duration::from_millis(20));
    // Six opportunities a lap, nine thousand bytes: 90 packets of 100.
    let queue = QueueLimits { frames_max: 100_000, bytes_max: None };
    let arrivals =
        run(&mut direction(LinkParameters { queue, ..parameters }), burst(90 * 50, 114)).arrivals();
    for lap in 1..=50 {
        assert_eq!(arrivals[90 * lap as usize - 1], at_ms(20 * lap));
    }
}

/// Mahimahi's `LinkQueue`, opportunity by opportunity: arrival milliseconds and packet bytes in, departures out.
fn mahimahi(schedule: &[u64], packets: &[(u64, u64)]) -> Vec<u64> {
    let mut departures = Vec::new();
    let mut waiting = packets.iter().copied().collect::<VecDeque<_>>();
    let mut in_transit: Option<u64> = None;
    let opportunities =
        (0u64..).flat_map(|lap| schedule.iter().map(move |ms| lap * schedule.last().unwrap() + ms));
    for now in opportunities {
        let mut left = 1500;
        while left > 0 {
            if in_transit.is_none() {
                match waiting.front() {
                    Some(&(arrived, bytes)) if arrived < now => in_transit = Some(bytes),
                    Some(_) => break,
                    None => return departures,
                }
                waiting.pop_front();
            }
            let bytes = in_transit.unwrap();
            let sent = bytes.min(left);
            left -= sent;
            in_transit = Some(bytes - sent).filter(|&bytes| bytes > 0);
            if in_transit.is_none() {
                departures.push(now);
            }
        }
        if waiting.is_empty() && in_transit.is_none() {
            return departures;
        }
    }
    departures
}

#[test]
fn departures_are_mahimahis() {
    let mut rng = Seed(3).fork("packets");
    for _ in 0..200 {
        let mut schedule: Vec<u64> = (0..1 + rng.below(8)).map(|_| rng.below(30)).collect();
        schedule.push(30);
        schedule.sort_unstable();
        let mut now = 0;
        let mut packets = Vec::new();
        for _ in 0..200 {
            now += rng.below(4) * rng.below(8);
            packets.push((now, 1 + rng.below(3000)));
        }
        let text: String = schedule.iter().map(|ms| format!("{ms}\n")).collect();
        let offers = packets.iter().map(|&(ms, bytes)| (at_ms(ms), frame(bytes as usize + 14)));
        for holds in [false, true] {
            let mut link = direction(traced(&text));
            if holds {
                link.hold_queue();
            }
            let arrivals = run(&mut link, offers.clone()).arrivals();
            let expected: Vec<_> = mahimahi(&schedule, &packets).into_iter().map(at_ms).collect();
            assert_eq!(arrivals, expected, "{schedule:?} {packets:?}");
        }
    }
}
