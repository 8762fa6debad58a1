//! Expectations that can fail: descriptors, counters, and golden captures of the packets that matter.

mod common;

use std::path::Path;
use std::time::Duration;

use common::scenario::cache;
use guestnet::capture;
use guestnet::lab::{At, Expect, Guest, Lab, LabBuilder, Link, Report, Unmet};
use guestnet::scenario::expectation::Expected;

const SEED: u64 = 1;

fn run(lab: LabBuilder) -> Report {
    let text = lab.to_toml();
    let lab = lab.build().unwrap_or_else(|error| panic!("{}\n{text}", error.plain()));
    lab.with_cache(cache()).run(SEED)
}

fn unmet(report: &Report) -> Vec<String> {
    report.verdicts.iter().filter(|verdict| !verdict.is_met()).map(ToString::to_string).collect()
}

fn echo() -> LabBuilder {
    let guest = |name: &str| Guest::new(name, format!("target/guests/echo_{name}.wasm")).network("lan");
    Lab::builder().switch("lan").guest(guest("server").args(["0.0.0.0:7"]).background()).guest(
        guest("client")
            .args(["10.0.0.2:7", "stream", "hello", "3"])
            .link(Link::new().delay(Duration::from_millis(5))),
    )
}

/// It accepts three connections and closes none of them.
fn leak(descriptors: i64) -> LabBuilder {
    Lab::builder()
        .guest(
            Guest::new("server", "target/guests/hold_server.wasm")
                .args(["0.0.0.0:7", "3"])
                .set("descriptors", descriptors)
                .background(),
        )
        .guest(Guest::new("client", "target/guests/holder.wasm").args(["10.0.0.2:7", "3", "5"]))
}

#[test]
fn descriptors_that_are_left_open_are_counted() {
    // The listener and three streams; what it was started with does not count.
    assert_eq!(unmet(&run(leak(64).expect(Expect::guest("server").set("open", 4)))), [""; 0]);
    let told = unmet(&run(leak(64).expect(Expect::guest("server").set("open", "..1"))));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("it leaves at most 1 descriptors open"), "{}", told[0]);
    assert!(told[0].contains("found: `server` left 4 open"), "{}", told[0]);
    // A client that closes is through with all.
    assert_eq!(unmet(&run(echo().expect(Expect::guest("client").set("open", 0)))), [""; 0]);
}

/// Three standard ones, two protocols, a listener, three streams, and a connection for the time of `accept`.
#[test]
fn a_guest_that_runs_out_of_descriptors_fails_whatever_it_makes_of_that() {
    assert_eq!(unmet(&run(leak(10))), [""; 0]);
    let ends =
        |lab: LabBuilder| lab.expect(Expect::guest("server").exit(1)).expect(Expect::guest("client").exit(1));
    let told = unmet(&run(ends(leak(9))));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("guest `server` has descriptors to spare"), "{}", told[0]);
    assert_eq!(unmet(&run(ends(leak(9)).expect(Expect::guest("server").set("open", "1..")))), [""; 0]);
}

#[test]
fn counters_count_what_the_capture_has() {
    let expected = [("handshakes", 1), ("retransmissions", 0), ("drops", 0)];
    let lab =
        expected.iter().fold(echo(), |lab, &(name, count)| lab.expect(Expect::counter(name, count..=count)));
    let report = run(lab
        .expect(Expect::counter("frames", 0..=0))
        .expect(Expect::counter("bytes", 0..=0).at("client")));
    let told = unmet(&report);
    let sent = report.packets("frame").unwrap().len();
    let at_client = report.packets_at("frame", &["client"]).unwrap();
    let bytes: usize = at_client.iter().map(|packet| packet.record().frame.len()).sum();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&format!("there are {sent},")), "{}", told[0]);
    assert!(told[1].contains(&format!("there are {bytes},")), "{}", told[1]);

    // A data segment of the client is lost: the frames before it are two of ARP and MLD each, SYN, ACK.
    let lossy = |frame| {
        let link = Link::new().delay(Duration::from_millis(5)).forward(Link::new().drop([frame]));
        let lab = Lab::builder().switch("lan").toml(
            "[guest.server]\nmodule = 'target/guests/echo_server.wasm'\nnetwork = 'lan'\nbackground = true",
        );
        let client = Guest::new("client", "target/guests/echo_client.wasm").network("lan").link(link);
        run(lab
            .guest(client.args(["10.0.0.2:7", "stream"]))
            .expect(Expect::counter("retransmissions", 1..=1).at("client"))
            .expect(Expect::counter("drops", 1..=1).set("reason", "listed in the scenario"))
            .expect(Expect::counter("drops", 0..=0).set("reason", "queue full")))
    };
    let data =
        (1..=12).find(|&frame| !lossy(frame).packets("guestnet.dropped && tcp.len > 0").unwrap().is_empty());
    assert_eq!(unmet(&lossy(data.expect("one of them has the data"))), [""; 0]);
}

/// What went wrong is told from where it did: the first that is one too many, or the last before those that did not come.
#[test]
fn what_is_found_is_told_with_its_time() {
    let report = run(echo()
        .expect(Expect::packets("tcp.len > 0", 2..=4))
        .expect(Expect::packets("tcp.len > 0", 9..))
        .expect(Expect::packets("udp.port == 9", 1..))
        .expect(Expect::counter("bytes", 0..=100)));
    let data = report.packets("tcp.len > 0").unwrap();
    let at = |index: usize| data[index].record().at;
    let (told, lines) = (unmet(&report), data.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(lines.len(), 6);
    let wanted = [
        format!("there are 6, from number 5 on, at {} s\n  {}\n  {}", at(4), lines[4], lines[5]),
        format!(
            "there are 6, the last of them, at {} s\n  {}\n  {}\n  {}",
            at(5),
            lines[3],
            lines[4],
            lines[5]
        ),
        format!("there is none, at {} s", report.at),
    ];
    for (told, wanted) in told.iter().zip(&wanted) {
        assert_eq!(told.split_once("found: ").unwrap().1, wanted);
    }
    // The first frames have 90 bytes each, and there are two at once.
    let second = report.packets("frame").unwrap()[1].record().at;
    assert!(told[3].ends_with(&format!(", at {second} s")), "{}", told[3]);
    let kinds: Vec<_> = report.verdicts.iter().filter_map(|v| Some(v.found.as_ref()?.unmet)).collect();
    assert_eq!(kinds, [Unmet::TooMany, Unmet::TooFew, Unmet::TooFew, Unmet::TooMany]);
}

/// What stands in a capture is what it was written from.
#[test]
fn a_capture_is_read_back_as_it_was() {
    let report = run(echo().at(At::packet("client", "tcp.len > 0").down("client:lan")).at(At::packet(
        "client",
        "tcp.len > 0",
    )
    .delay(Duration::from_secs(2))
    .up("client:lan")));
    let (session, records) = capture::records(&report.capture()).unwrap();
    let names = |ports: &[capture::PortInfo]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&session.ports), names(&report.session.ports));
    let told = |records: &[capture::Record]| {
        let of = |record: &capture::Record| {
            (record.at, record.port, record.way, record.frame.id, record.frame.bytes.clone(), record.dropped)
        };
        records.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(told(&records), told(&report.records));
    assert!(records.iter().any(|record| record.dropped.is_some()));
    for cut in [0, 10, 100] {
        assert!(capture::records(&report.capture()[..cut]).is_err());
    }
}

/// The golden capture is of a slower line: another file, other times, the same packets; and it differs where one is missing.
#[test]
fn a_golden_capture_may_be_compared_by_what_matters() {
    let folder = tempfile::tempdir().unwrap();
    let golden = folder.path().join("golden.pcapng");
    std::fs::write(&golden, run(echo()).capture()).unwrap();
    let against = |compare: &str, among: Option<&str>, delay: u64| {
        let expect = Expect::default().set("golden", golden.to_str().unwrap()).set("compare", compare);
        let expect =
            among.into_iter().fold(expect, |expect, filter| expect.set("among", filter).set("at", "client"));
        let lab =
            echo().expect(expect).at(At::time(Duration::ZERO)
                .change("client:lan", Link::new().delay(Duration::from_millis(delay))));
        let lab = lab.set("seed", SEED as i64).build().unwrap();
        assert!(matches!(lab.plan().expectations[0].expected, Expected::Golden { .. }));
        unmet(&lab.with_cache(cache()).run(SEED))
    };
    assert_eq!(against("packets", Some("tcp"), 5), [""; 0]);
    assert_eq!(against("packets", Some("tcp"), 25), [""; 0], "times do not matter");
    assert_eq!(against("frames", None, 25), [""; 0]);
    assert!(!against("bytes", None, 25).is_empty());

    let shorter = echo().toml("").build().unwrap();
    let mut lab = shorter.with_cache(cache());
    lab.plan_mut().guests[1].args[3] = "2".to_owned();
    let fewer = lab.run(SEED).capture();
    std::fs::write(&golden, fewer).unwrap();
    let told = against("packets", Some("tcp.len > 0"), 5);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("it has 6 such packets in place of 4; more, at 0.0")
            && told[0].contains(" s\n  client > 10.0.0.3:"),
        "{}",
        told[0]
    );
    assert!(Path::new(&golden).exists());
}

#[test]
fn what_is_built_is_a_scenario_and_its_mistakes_have_places() {
    let lab = echo().name("built").duration(Duration::from_secs(9));
    let plan = guestnet::scenario::parse(&lab.to_toml(), Path::new("lab.toml")).unwrap();
    assert_eq!((plan.name.as_str(), plan.duration), ("built", Some(Duration::from_secs(9))));
    let error = echo().at(At::exited("clint").heal()).build().map(|_| ()).unwrap_err();
    assert!(error.plain().contains("there is no guest `clint`; did you mean `client`?"), "{}", error.plain());
    let error = Lab::builder().guest(Guest::new("a", "nowhere.wasm")).build().map(|_| ()).unwrap_err();
    assert!(error.plain().contains("nowhere.wasm"), "{}", error.plain());
    // A module from memory is nowhere.
    let hello = std::fs::read("target/guests/hello.wat").unwrap();
    let report =
        run(Lab::builder().guest(Guest::from_bytes("hello", hello)).expect(Expect::guest("hello").exit(0)));
    assert!(report.is_success(), "{report}");
    assert!(report.guest("hello").stdout().contains("hello"), "{report}");
}

/// A guest that is stopped with the lab has not ended, in the background or not, though it is gone by then.
#[test]
fn a_guest_that_never_ends_does_not_end_within_anything() {
    let lab = |background: bool| {
        let sleeper = Guest::new("sleeper", "target/guests/clock.wasm").args(["9000"]);
        let sleeper = if background { sleeper.background() } else { sleeper };
        let short = Guest::new("short", "target/guests/clock.wasm").args(["100"]);
        let expect = |guest: &str| Expect::guest(guest).within(Duration::from_secs(5));
        let lab = Lab::builder().duration(Duration::from_secs(5)).guest(sleeper).guest(short);
        unmet(&run(lab.expect(expect("sleeper")).expect(expect("short"))))
    };
    for background in [false, true] {
        let told = lab(background);
        let last = told.last().map_or("", String::as_str);
        assert!(last.contains("found: `sleeper` had not ended when the lab did"), "{told:#?}");
        assert_eq!(told.len(), if background { 1 } else { 2 }, "{told:#?}");
    }
}

/// A guest that traps leaves another waiting: it is told of both, and of the one that failed first.
#[test]
fn what_failed_is_told_before_what_waits_for_it() {
    let lab = || {
        let toml = "[switch.lan]\n[router.r]\n[router.r.interface.lan]\nnetwork = 'lan'\n[dns.names]\nnetwork = 'lan'";
        let waits = Guest::new("waits", "target/guests/idle.wasm").args(["0.0.0.0:7"]).network("lan");
        Lab::builder()
            .toml(toml)
            .guest(Guest::new("traps", "target/guests/trap.wat").network("lan"))
            .guest(waits)
    };
    let told = unmet(&run(lab()));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("expected: guest `traps` exits with 0"), "{told:#?}");
    assert!(
        told[1].starts_with("expected: the lab ends by itself\nfound: nothing can happen any more"),
        "{told:#?}"
    );

    // Every node is told of, whoever asked how the lab ends, and whatever ends it.
    let table = |told: &str| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        told.lines().skip(2).map(words).collect()
    };
    let all = table(&told[1]);
    assert_eq!(
        &all[..3],
        ["waits waits", "proto recv-q send-q local remote state", "tcp 0 0 0.0.0.0:7 * LISTEN"],
        "{all:#?}"
    );
    assert!(all.iter().any(|line| line == "DNS server names serves"), "{all:#?}");
    let router = "router r has forwarded 0 packets, dropped 0, 0 wait for a neighbour's answer";
    assert!(all.iter().any(|line| line.starts_with(router)), "{all:#?}");
    let expected = Expect::default().set("ending", "over");
    let told = unmet(&run(lab().expect(expected).expect(Expect::guest("traps").set("exit", "trap"))));
    assert!(told[0].contains("found: it is stalled, at 0.000000000 s\n"), "{told:#?}");
    assert_eq!(table(&told[0])[..3], all[..3]);
    let told = unmet(&run(lab()
        .toml("[guest.ticks]\nmodule = 'target/guests/clock.wasm'\nargs = ['9000']\nnetwork = 'lan'")
        .duration(Duration::from_secs(1))
        .expect(Expect::guest("traps").set("exit", "trap"))));
    assert!(told[0].contains("found: its duration was over before, at 1.000000000 s\n"), "{told:#?}");
    assert!(told[0].contains("ticks waits"), "{told:#?}");
}

/// What the systems of guests send as they are stopped is nobody's doing.
#[test]
fn what_is_sent_once_the_lab_has_ended_counts_for_nothing() {
    let lab = || {
        let server = Guest::new("server", "target/guests/echo_server.wasm").args(["0.0.0.0:7"]).background();
        let client = Guest::new("client", "target/guests/ticker.wasm").args(["10.0.0.2:7", "8", "500"]);
        Lab::builder().duration(Duration::from_secs(1)).guest(server).guest(client)
    };
    let report = run(lab()
        .expect(Expect::default().set("ending", "duration"))
        .expect(Expect::never("tcp.flags.fin == 1 || tcp.flags.reset == 1"))
        .expect(Expect::eventually("tcp.flags.syn == 1")));
    assert_eq!(unmet(&report), [""; 0]);
    assert!(
        !report.packets("tcp.flags.fin == 1 || tcp.flags.reset == 1").unwrap().is_empty(),
        "the capture has them"
    );
}

/// A link is its two ports, and each frame on it counts once, whichever way it goes.
/// A packet's number is its place in the report's capture, wherever packets are looked at.
#[test]
fn packets_have_the_numbers_of_the_capture() {
    let report = run(echo());
    for packets in [report.packets("frame").unwrap(), report.packets_at("tcp", &["server"]).unwrap()] {
        assert!(packets.len() > 5);
        for packet in packets {
            let (record, own) = (&report.records[packet.number() as usize - 1], packet.record());
            assert_eq!(
                (record.at, record.port, record.frame.id),
                (own.at, own.port, own.frame.id),
                "{packet}"
            );
        }
    }
}

#[test]
fn packets_are_looked_at_by_ports_and_by_links() {
    let frames = |at: &str| {
        let report = run(echo().expect(Expect::counter("frames", 0..=0).at(at)));
        let told = unmet(&report).remove(0);
        let count = told.split("there are ").nth(1).and_then(|rest| rest.split(',').next());
        (count.unwrap().parse::<usize>().unwrap(), report)
    };
    let (at_server, _) = frames("server");
    let (on_link, report) = frames("client:lan");
    let sent = |port: &str| {
        let is_it = |record: &&capture::Record| {
            record.way == capture::Way::Outbound && report.session.ports[record.port as usize].name == port
        };
        report.records.iter().filter(is_it).count()
    };
    assert_eq!(on_link, sent("client") + sent("lan.1"));
    let is_at = |record: &&capture::Record| report.session.ports[record.port as usize].name == "server";
    assert_eq!(at_server, report.records.iter().filter(is_at).count());
    assert!(at_server > 10);
}
