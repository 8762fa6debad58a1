//! Every scenario under tests/scenarios/, run in virtual time with the guests of target/guests (scripts/guests
//! builds them): twice with one seed, which must give the same run to the byte of its capture, and once with
//! another, which must go as well and look different on the wire. The run as a whole is a snapshot, and its
//! capture has nothing that tshark finds fault with.
//!
//! How often a guest is interrupted, and so when it sends, depends on its code: another compiler for the guests may
//! move the times and counts of the busier labs. `INSTA_UPDATE=always cargo test --test labs` renews the snapshots.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{scenario, tshark};
use guestnet::capture::Way;
use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::lab::{Lab, Report};
use guestnet::scenario::assets::Assets;
use guestnet::sim::{self, Ending};
use guestnet::world::{self, Settings, World};

/// The scenarios' own seed, if they name one, is for people: here it is these.
const SEED: u64 = 1;
const ANOTHER_SEED: u64 = 2;

fn check(name: &str) {
    check_lab(name, &scenario::lab(name));
}

fn check_lab(name: &str, lab: &Lab) {
    let [first, again, other] = [SEED, SEED, ANOTHER_SEED].map(|seed| lab.run(seed));
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "scenarios/snapshots", omit_expression => true }, {
        insta::assert_snapshot!(name, without_offsets(&first.to_string()));
    });
    assert_eq!(first.guests, again.guests, "the same seed, and another run");
    assert!(first.capture() == again.capture(), "the same seed, and other packets");
    assert_eq!(exits(&first), exits(&other), "with another seed:\n{other}");
    assert_eq!(first.ending, other.ending, "with another seed:\n{other}");
    for report in [&first, &other] {
        let unmet: Vec<_> = report.verdicts.iter().filter(|it| !it.is_met() && !it.sometimes).collect();
        assert!(unmet.is_empty(), "with seed {}: {unmet:#?}", report.seed);
    }
    if speaks_ip(&first) {
        assert!(sent(&first) != sent(&other), "ports and sequence numbers come from the seed");
    }
    // A frame that was corrupted on purpose is faulty on purpose.
    if !lab.plan().timeline.iter().any(|entry| format!("{:?}", entry.action).contains("corrupt")) {
        assert_eq!(faults(&first), "");
    }
}

/// Backtraces without the places in the code, which are the compiler's.
fn without_offsets(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("0x") {
        Some((head, tail)) => {
            format!("{}{}", head.trim_end(), tail.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn exits(report: &Report) -> Vec<&Exit> {
    report.guests.iter().map(|guest| &guest.exit).collect()
}

/// The frames, each where it left.
fn sent(report: &Report) -> Vec<&[u8]> {
    let outbound = report.records.iter().filter(|record| record.way == Way::Outbound);
    outbound.map(|record| &record.frame.bytes[..]).collect()
}

/// True if TCP segments or UDP datagrams were sent, behind Ethernet and a plain IP header.
fn speaks_ip(report: &Report) -> bool {
    sent(report).iter().any(|frame| match frame[12..14] {
        [0x08, 0x00] => [6, 17].contains(&frame[23]),
        [0x86, 0xDD] => [6, 17].contains(&frame[20]),
        _ => false,
    })
}

/// What tshark finds wrong with the capture.
fn faults(report: &Report) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{}.pcapng", report.lab));
    std::fs::write(&path, report.capture()).unwrap();
    let mut tshark = tshark::tshark(&path);
    if report.lab == "tls_lossy" {
        // Its records are seen at four ports each, out of order: more than tshark can put together again.
        tshark.args(["--disable-protocol", "tls"]);
    }
    tshark::output(tshark.args(["-Y", tshark::FAULTY]))
}

macro_rules! labs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        const LABS: &[&str] = &[$(stringify!($name)),*];
    };
}

labs! {
    abi_answers alpn associate associate_broken asymmetric backlog balanced black_hole broken bufferbloat bufferbloat_codel buffers cable cellular
    clock_exact clock_skew corrupted crashed crowded_groups day_long dhcp dhcp2 duplicates echo echo6 echo_rust
    ecn extension_headers eyeballs files fin_lost flap found_by_name fragments gratuitous_arp gratuitous_ndp half_closed handed_over handover handshake
    hostile http http_go http3 inherited injected keep_alive killed killed_midway last_ack_lost late_listener lease_server_dies linger
    link_down loopback loss_30 loss_later lossy many multicast multihomed name_policy name_server_dies name_servers names nostd
    partition partition_for_good path_mtu path_mtu_tcp paused ping policy policy_names proxies quic quic_black_hole
    quic_datagrams quic_early_lost quic_ends quic_limits quic_lossy quic_many quic_moved quic_mtu quic_noise quic_refused
    quic_resumed quic_retry quic_server_moved quic_streams quic_unmoved rebound red renumbered reordering
    replicas reset_midway restarts router_reboot satellite slaac slow_reader stalled stdio syn_ack_lost syn_backoff taken time tls tls12 tls_alpn tls_clients
    tls_lossy tls_many tls_refused tls_resumed tls_stalled trunk two_routers udp udp6 udp_duplicated udp_lossy
    udp_outage udp_reordered udp_truncated unix unix_answers unix_cut unix_handed_over unix_stacked unreachable unsnooped
    unwelcome ways_around yamux yamux_ends yamux_lossy yamux_tls zero_window
}

/// What scripts/demo shows.
#[test]
fn demo() {
    check_lab("demo", &scenario::lab("demo/lab"));
}

#[test]
fn every_scenario_is_run() {
    let files = std::fs::read_dir("tests/scenarios").unwrap().map(|entry| entry.unwrap().path());
    let scenarios: BTreeSet<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(scenarios, LABS.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn every_scenario_says_what_it_tests() {
    for name in LABS {
        let text = std::fs::read_to_string(scenario::path(name)).unwrap();
        assert!(text.starts_with("# "), "{name}.toml begins with no comment");
    }
}

/// A lab that troubles its guests expects something that does not come true without the trouble: with ideal links, and with
/// nothing happening on the way.
#[test]
fn expectations_of_trouble_fail_without_it() {
    let mut untroubled = Vec::new();
    for name in LABS {
        let lab = scenario::lab(name);
        let mut plan = lab.plan().clone();
        plan.timeline.clear();
        plan.links.iter_mut().for_each(|link| link.directions = Default::default());
        let troubled = plan.links != lab.plan().links || plan.timeline != lab.plan().timeline;
        if troubled && !plan.expectations.is_empty() && lab.run_variant(&plan, SEED).is_success() {
            untroubled.push(*name);
        }
    }
    // Delays tell the two interfaces of one apart, and have the handshakes of another overlap; the trouble of the others
    // is the MTU of interfaces or routers, and what links do to fragments comes on top. What stands over Unix-domain sockets is the same
    // with delays and losses below.
    assert_eq!(
        untroubled,
        ["fragments", "multihomed", "path_mtu_tcp", "quic_many", "quic_mtu", "unix_stacked"]
    );
}

/// Beside guests that trap, spin or cannot even be loaded, the others have what they have without them.
#[test]
fn guests_that_break_disturb_nobody() {
    let report = scenario::lab("broken").run(SEED);
    for name in ["server", "client", "grow"] {
        assert_eq!(report.guest(name).exit, Exit::Code(0));
    }
    let Exit::Trap { reason, backtrace } = &report.guest("trap").exit else { panic!("{report}") };
    assert!(reason.contains("unreachable"), "{reason}");
    let order = ["inner", "outer", "start"].map(|name| backtrace.find(name).expect("a function's name"));
    assert!(order.is_sorted(), "{backtrace}");
    assert!(matches!(report.guest("spin").exit, Exit::OutOfFuel { .. }));
    for name in ["nostart", "nomemory", "missing-import", "bad"] {
        assert!(matches!(report.guest(name).exit, Exit::Failed(_)), "{name}: {report}");
    }
}

/// A lab that is given less time than it needs is stopped then, and its capture is whole all the same.
#[test]
fn a_lab_that_is_cut_short_has_a_readable_capture() {
    let mut lab = scenario::lab("lossy");
    lab.plan_mut().duration = Some(Duration::from_millis(300));
    let report = lab.run(SEED);
    assert_eq!(report.ending, Ending::Duration);
    assert_eq!(exits(&report), [&Exit::Stopped; 2]);
    assert!(report.records.len() > 500, "{} records", report.records.len());
    assert_eq!(faults(&report), "");
}

/// A guest that waits with a long timeout for what comes soon, a thousand times, leaves nothing behind.
#[test]
fn waits_that_ended_early_are_not_kept() {
    let text = r#"
        [guest.server]
        module = "target/guests/echo_server.wasm"
        args = ["0.0.0.0:7", "dgram"]
        background = true
        [guest.client]
        module = "target/guests/echo_client.wasm"
        args = ["10.0.0.2:7", "dgram", "again", "1000"]
    "#;
    let plan = guestnet::scenario::parse(text, Path::new("waits.toml")).unwrap();
    let assets = Assets::read(&plan);
    let settings = EngineSettings { cache_folder: Some(scenario::cache()), guests: 2 };
    let engine = Engine::new(settings).unwrap();
    let mut world = World::new(&plan, &assets, Settings::sim(&plan, SEED), &engine, &mut |_| ());
    let mut pending_max = 0;
    let mut ends = Vec::new();
    sim::run(&mut world, None, |world, reports| {
        pending_max = pending_max.max(world.events_pending());
        ends.extend(reports.into_iter().filter(|report| matches!(report, world::Report::Exited { .. })));
        true
    });
    assert!(matches!(ends[0], world::Report::Exited { guest: 1, exit: Exit::Code(0), .. }));
    assert!(pending_max < 100, "{pending_max} events");
}

/// Go's file server tells when a file was changed; two copies of a lab were made at different times.
#[test]
fn the_times_of_files_do_not_show() {
    let captures = [1_000_000_000, 1_700_000_000].map(|seconds| {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("index.html");
        std::fs::write(&page, "the same page").unwrap();
        let file = std::fs::File::options().write(true).open(&page).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        let mut lab = scenario::lab("http_go");
        let plan = lab.plan_mut();
        plan.guests[0].directories[0].host = folder.path().to_owned();
        plan.guests[1].args[1] = "/".to_owned();
        let report = lab.run(SEED);
        assert!(report.guest("go").stdout().contains("the same page"), "{report}");
        report.capture()
    });
    assert!(captures[0] == captures[1]);
}
