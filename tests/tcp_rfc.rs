//! TCP as the RFCs have it, read from captures: what a lab's guests sent, and when. Where a guest's stack falls short of them,
//! the test says what it does, and docs/links.md what is missing.

mod common;

use std::path::Path;
use std::time::Duration;

use common::scenario::cache;
use guestnet::filter::{Field, Packet};
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use guestnet::scenario::plan::{Action, EntryPlan, FramesPlan, PortPlan, Span, When};

const SEED: u64 = 1;

/// A server at 10.0.0.2, and a client at 10.0.0.3 whose link is `link`; `timeline` comes on top.
fn run(server: &str, client: &str, link: &str, timeline: &str) -> Report {
    lab(server, client, link, timeline).run(SEED)
}

fn lab(server: &str, client: &str, link: &str, timeline: &str) -> Lab {
    let guest = |line: &str| {
        let mut words = line.split(' ');
        let module = words.next().unwrap_or_default();
        let args: Vec<String> = words.map(|word| format!("'{word}'")).collect();
        format!("module = 'target/guests/{module}.wasm'\nargs = [{}]\nnetwork = 'lan'\n", args.join(", "))
    };
    let text = format!(
        "duration = '1000s'\n[switch.lan]\n[guest.server]\nbackground = true\n{}[guest.client]\nlink = {{ {link} }}\n{}{timeline}",
        guest(server),
        guest(client),
    );
    let lab = Lab::from_toml(&text, Path::new("rfc.toml"));
    lab.unwrap_or_else(|error| panic!("{}\n{text}", error.plain())).with_cache(cache())
}

/// An entry of the timeline.
fn at(when: &str, what: &str) -> String {
    format!("\n[[at]]\n{when}\n{what}\n")
}

/// What the client sends between two events of its own port is lost.
fn lost(from: &str, until: &str) -> String {
    let set = |loss| format!("link = 'client:lan'\ndirection = 'forward'\nset = {{ loss = {loss} }}");
    at(from, &set(1)) + &at(until, &set(0))
}

fn sent(report: &Report, filter: &str) -> Vec<Packet> {
    report.packets_at(&format!("({filter}) && guestnet.direction == \"out\""), &["client"]).unwrap()
}

fn received(report: &Report, filter: &str) -> Vec<Packet> {
    report.packets_at(&format!("({filter}) && guestnet.direction == \"in\""), &["client"]).unwrap()
}

fn seconds(packet: &Packet) -> f64 {
    packet.record().at.elapsed().as_secs_f64()
}

/// Times between packets, in seconds, to the millisecond.
fn gaps(packets: &[Packet]) -> Vec<f64> {
    let times: Vec<f64> = packets.iter().map(seconds).collect();
    times.windows(2).map(|pair| ((pair[1] - pair[0]) * 1000.0).round() / 1000.0).collect()
}

const SYN: &str = "tcp.flags.syn == 1 && tcp.flags.ack == 0";

/// RFC 6298, 2.1: the first timeout is a second; 5.5: it doubles each time; 2.5: up to a bound of 60 seconds or more.
#[test]
fn a_timeout_is_a_second_at_first_and_doubles() {
    let down = at("after = { at = 'client', packet = 'arp.opcode == 2' }", "down = 'client:lan'");
    let report = run("echo_server", "echo_client 10.0.0.2:7 stream", "delay = '10ms'", &down);
    // The first waited for its neighbour's address, for one round trip, while its timer ran already.
    assert_eq!(gaps(&sent(&report, SYN)), [0.98, 2.0, 4.0, 8.0, 16.0, 32.0]);
    assert_eq!(report.guest("client").exit, Exit::Code(1));
}

/// The time from the first data segment, which is lost, to its retransmission.
fn data_timeout(delay: &str, before: &str) -> f64 {
    let lost = lost(
        "after = { at = 'client', packet = 'tcp.flags.syn == 1 && tcp.flags.ack == 1' }",
        "after = { at = 'client', packet = 'tcp.len > 0' }\ndelay = '100ms'",
    );
    let report = run(
        "echo_server",
        "echo_client 10.0.0.2:7 stream",
        &format!("delay = '{delay}'"),
        &(before.to_owned() + &lost),
    );
    assert_eq!(report.guest("client").exit, Exit::Code(0), "{report}");
    gaps(&sent(&report, "tcp.len > 0"))[0]
}

/// RFC 6298, 2.2: after the first measurement R the timeout is R + 4 * R/2; 2.4: no less than a second.
#[test]
fn a_timeout_follows_the_measured_round_trip() {
    // The SYN waits one round trip for its neighbour's address, so R is two of them; they are to be less than its second.
    assert_eq!(data_timeout("240ms", ""), 2.88);
    assert_eq!(data_timeout("200ms", ""), 2.4);
    assert_eq!(data_timeout("5ms", ""), 1.0);
}

/// RFC 6298, 3 (Karn's algorithm): what was sent twice measures nothing, so the timeout stays backed off.
///
/// 5.7 would have three seconds where it was the SYN that was sent twice; here it is the two that the SYN's timer came to.
#[test]
fn what_was_sent_twice_is_no_measurement() {
    let first_syn_lost = lost("time = '0s'", "time = '500ms'");
    // The address is asked for in the first half second too, and the SYN goes out at 1 s.
    let report = run("echo_server", "echo_client 10.0.0.2:7 stream", "delay = '10ms'", &first_syn_lost);
    assert_eq!(report.guest("client").exit, Exit::Code(0));
    // The answer with the neighbour's address is on its way by then.
    let syn_lost = lost("time = '15ms'", "time = '500ms'");
    assert_eq!(data_timeout("10ms", &syn_lost), 2.0);

    // The same of data: each of two messages is lost once, and the second has twice the first one's timeout.
    let lost_twice = lost(
        "after = { at = 'client', packet = 'tcp.flags.syn == 1 && tcp.flags.ack == 1' }",
        "after = { at = 'client', packet = 'tcp.len > 0' }\ndelay = '100ms'",
    ) + &lost(
        "after = { at = 'client', packet = 'tcp.srcport == 7 && tcp.len > 0' }",
        "after = { at = 'client', packet = 'tcp.srcport == 7 && tcp.len > 0' }\ndelay = '100ms'",
    );
    let report = run("echo_server", "echo_client 10.0.0.2:7 stream hello 2", "delay = '10ms'", &lost_twice);
    let data = sent(&report, "tcp.len > 0");
    assert_eq!(data.len(), 4, "{data:#?}");
    assert_eq!([gaps(&data)[0], gaps(&data)[2]], [1.0, 2.0]);
}

const BULK: [&str; 2] = ["bulk_receiver 0.0.0.0:5001 check", "bulk_sender 10.0.0.2:5001 1 check"];
const ROUND_TRIP: f64 = 0.2;

/// Data segments that were sent in each round trip, from the first one on.
fn rounds(report: &Report) -> Vec<usize> {
    let data = sent(report, "tcp.len > 0");
    let start = seconds(&data[0]);
    let mut rounds = Vec::new();
    for packet in &data {
        let round = ((seconds(packet) - start) / ROUND_TRIP + 0.01) as usize;
        rounds.resize(rounds.len().max(round + 1), 0);
        rounds[round] += 1;
    }
    rounds
}

/// RFC 5681, 3.1: the initial window is at most four segments, and each acknowledgement opens it by one at most.
#[test]
fn slow_start_doubles_each_round_trip() {
    let report = run(BULK[0], BULK[1], "delay = '100ms'", "");
    let rounds = rounds(&report);
    assert!((1..=4).contains(&rounds[0]), "{rounds:?}");
    let window_full = 65_535 / 1460;
    let growing: Vec<usize> = rounds.iter().copied().take_while(|&sent| sent < window_full).collect();
    assert!(growing.len() >= 4, "{rounds:?}");
    for pair in growing.windows(2) {
        assert!(pair[1] <= 2 * pair[0] && pair[1] > 3 * pair[0] / 2, "{rounds:?}");
    }
}

/// RFC 5681, 3.2: the third duplicate acknowledgement has the segment sent again at once, and the window shrinks.
#[test]
fn three_duplicate_acknowledgements_have_a_segment_sent_again() {
    // One frame of the direction in the midst of a full window; at this rate each arrives at a time of its own.
    let link = "delay = '100ms', rate = '20Mbit', forward = { drop = [150] }";
    let report = run(BULK[0], BULK[1], link, "");
    let lost = sent(&report, "guestnet.dropped && tcp.len > 0");
    assert_eq!(lost.len(), 1, "{report}");
    let sequence = lost[0].uint(Field::TcpSeq).unwrap();
    let again = sent(&report, &format!("tcp.seq == {sequence} && !guestnet.dropped"));
    assert_eq!(again.len(), 1, "once more, and once alone");
    assert!(again[0].has(Field::TcpAnalysisFastRetransmission));

    // With another window it is no duplicate (section 2).
    let asking = received(&report, &format!("tcp.ack == {sequence} && tcp.analysis.duplicate_ack"));
    let before: Vec<_> = asking.iter().filter(|ack| ack.record().at <= again[0].record().at).collect();
    assert_eq!(before.len(), 3, "{before:#?}");
    assert_eq!(before[2].record().at, again[0].record().at);
    // No timeout had a part in it.
    assert!(seconds(&again[0]) - seconds(&lost[0]) < 1.0);
}

/// RFC 5681, 3.1 (4): half of what is in flight is the threshold after a loss; RFC 9438, 4.6: CUBIC takes 0.7 of it.
#[test]
fn a_loss_shrinks_the_window() {
    let rounds = rounds(&run(BULK[0], BULK[1], "delay = '100ms', forward = { drop = [150] }", ""));
    let full = *rounds.iter().max().unwrap();
    let peak = rounds.iter().rposition(|&sent| sent == full).unwrap();
    // The round trip of the loss, that of the retransmission, and then what the new window allows.
    let after = &rounds[peak + 1..rounds.len() - 1];
    let lowest = *after.iter().min().unwrap();
    assert!(lowest <= full * 3 / 4, "{rounds:?}");
    let recovered = after.iter().rev().take(1).next().unwrap();
    assert!(*recovered > lowest && *recovered <= full, "{rounds:?}");
}

/// RFC 5681, 3.1 (5): after a timeout the window is one segment, and it doubles again.
#[test]
fn after_a_timeout_one_segment_is_sent() {
    let outage = at("after = { at = 'client', packet = 'tcp.seq > 200000' }", "down = 'client:lan'")
        + &at("after = { at = 'client', packet = 'tcp.seq > 200000' }\ndelay = '500ms'", "up = 'client:lan'");
    let report = run(BULK[0], BULK[1], "delay = '100ms'", &outage);
    let data = sent(&report, "tcp.len > 0");
    let gap = data.windows(2).position(|pair| seconds(&pair[1]) - seconds(&pair[0]) > 0.5).unwrap();
    let first = seconds(&data[gap + 1]);
    let in_round = |round: f64| {
        let within = |packet: &&Packet| {
            let since = (seconds(packet) - first) / ROUND_TRIP + 0.01;
            since >= round && since < round + 1.0
        };
        data[gap + 1..].iter().filter(within).count()
    };
    assert!(data[gap + 1].has(Field::TcpAnalysisRetransmission));
    assert_eq!(in_round(0.0), 1);
    assert!((2..=3).contains(&in_round(1.0)), "{}", in_round(1.0));
    assert_eq!(report.guest("client").exit, Exit::Code(0));
}

/// RFC 9293, 3.7.1: each end tells its largest segment, and neither is sent more than the other can take.
#[test]
fn segments_are_no_longer_than_the_peer_says() {
    let mut lab = lab(BULK[0], BULK[1], "delay = '1ms'", "");
    lab.plan_mut().guests[0].interfaces[0].mtu = 700;
    let report = lab.run(SEED);
    let told = received(&report, "tcp.flags.syn == 1")[0].uint(Field::TcpOptionsMssVal);
    assert_eq!((told, sent(&report, SYN)[0].uint(Field::TcpOptionsMssVal)), (Some(660), Some(1460)));
    assert!(sent(&report, "tcp.len > 660").is_empty());
    assert!(sent(&report, "tcp.len == 660").len() > 1000);
}

/// RFC 9293, 3.8.6.1: a closed window is probed after a timeout, then less and less often.
#[test]
fn a_closed_window_is_probed_with_backoff() {
    let stop = |what: &str, delay: &str| {
        at(&format!("after = {{ at = 'server', packet = 'tcp.seq > 100000' }}\ndelay = '{delay}'"), what)
    };
    let timeline = stop("pause = 'server'", "0s") + &stop("resume = 'server'", "40s");
    let report = run(BULK[0], BULK[1], "delay = '5ms'", &timeline);
    let probes = sent(&report, "tcp.analysis.zero_window_probe");
    assert!(probes.iter().all(|probe| probe.uint(Field::TcpLen) == Some(1)));
    assert_eq!(gaps(&probes), [2.0, 4.0, 8.0, 16.0]);
    // Each is answered, with the window that there is.
    assert_eq!(received(&report, "tcp.analysis.zero_window_probe_ack").len(), probes.len());
    assert_eq!(report.guest("client").exit, Exit::Code(0));
}

/// RFC 9293, 3.6, case 3: both ends close at once. Their FINs cross, each is acknowledged, and nobody is reset.
#[test]
fn a_simultaneous_close_ends_well_on_both_sides() {
    let report = run("both_close 0.0.0.0:7 1000 listen", "both_close 10.0.0.2:7 1000", "delay = '50ms'", "");
    for guest in ["server", "client"] {
        assert_eq!(report.guest(guest).stdout(), "both ends are closed\n", "{report}");
    }
    let fins = report.packets("tcp.flags.fin == 1").unwrap();
    assert_eq!(fins.len(), 2, "{fins:#?}");
    let crossed =
        |fin: &Packet| (seconds(fin) * 1000.0).round() == 1000.0 && fin.uint(Field::TcpAck) == Some(1);
    assert!(fins.iter().all(crossed), "{fins:#?}");
    // Each acknowledges the other's, half a round trip later.
    let acks = report.packets("tcp.ack == 2 && tcp.flags.fin == 0").unwrap();
    let at_ms: Vec<f64> = acks.iter().map(|ack| (seconds(ack) * 1000.0).round()).collect();
    assert_eq!(at_ms, [1050.0, 1050.0]);
    assert!(report.packets("tcp.flags.reset == 1").unwrap().is_empty());
}

/// RFC 9293, 3.6.1: TIME-WAIT acknowledges a FIN that comes again. It has that last for four minutes; here it is ten
/// seconds, and then the segment belongs to no connection.
#[test]
fn time_wait_lasts_for_ten_seconds() {
    let idle = "[guest.last]\nmodule = 'target/guests/clock.wasm'\nargs = ['60000']\nnetwork = 'lan'\n";
    let mut lab = lab("echo_server", "echo_client 10.0.0.2:7 stream", "delay = '10ms'", idle);
    let report = lab.run(SEED);
    let fin = received(&report, "tcp.flags.fin == 1").remove(0);
    let client = lab.plan().links.iter().position(|link| link.name == "client:lan").unwrap();
    for second in [5, 20] {
        let time = Duration::from_secs(second);
        lab.plan_mut().timeline.push(EntryPlan {
            when: When::Time(Span { least: time, most: time }),
            delay: Span::default(),
            every: None,
            until: None,
            times: None,
            action: Action::Inject {
                port: PortPlan { link: client, end: 0 },
                frames: FramesPlan::One(fin.record().frame.bytes.clone()),
            },
        });
    }
    let report = lab.run(SEED);
    let answers = sent(&report, "tcp && guestnet.time > 4");
    assert_eq!(answers.len(), 2, "{answers:#?}");
    let is = |answer: &Packet| {
        (seconds(answer).floor(), answer.bool(Field::TcpFlagsReset), answer.uint(Field::TcpAck))
    };
    assert_eq!(is(&answers[0]), (5.0, Some(false), fin.uint(Field::TcpSeq).map(|sequence| sequence + 1)));
    assert_eq!((is(&answers[1]).0, is(&answers[1]).1), (20.0, Some(true)));
}

/// RFC 9293, 3.5.2: a segment for no connection is answered by a reset; with the sequence number that it acknowledges, or
/// else with 0 and what it takes acknowledged.
#[test]
fn resets_have_the_numbers_that_their_cause_gives_them() {
    // Nobody listens.
    let report = run("idle", "echo_client 10.0.0.2:7 stream", "delay = '10ms'", "");
    let (syn, reset) = (&sent(&report, SYN)[0], &received(&report, "tcp.flags.reset == 1")[0]);
    let next = (syn.uint(Field::TcpSeqRaw).unwrap() + 1) & 0xffff_ffff;
    assert_eq!((reset.uint(Field::TcpSeqRaw), reset.uint(Field::TcpAckRaw)), (Some(0), Some(next)));
    assert_eq!(reset.bool(Field::TcpFlagsAck), Some(true));
    assert!(report.guest("client").stderr().contains("refused"), "{report}");

    // A server that has forgotten all: the data's acknowledgement is the reset's sequence number.
    let restart = at("time = '1200ms'", "restart = 'server'");
    let report = run("echo_server", "ticker 10.0.0.2:7 4 500", "delay = '10ms'", &restart);
    let reset = &received(&report, "tcp.flags.reset == 1")[0];
    let before = sent(&report, "tcp.len > 0").into_iter().filter(|data| data.record().at < reset.record().at);
    let cause = before.last().unwrap();
    assert_eq!(reset.uint(Field::TcpSeqRaw), cause.uint(Field::TcpAckRaw));
    assert_eq!(reset.bool(Field::TcpFlagsAck), Some(false));
}
