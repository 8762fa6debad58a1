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

use common::simulated::{self as lab, Outcome};
use common::tshark;
use guestnet::guest::Exit;
use guestnet::scenario::assets::Assets;
use guestnet::sim;
use guestnet::world::{Settings, World};

/// The scenarios' own seed, if they name one, is for people: here it is these.
const SEED: u64 = 1;
const ANOTHER_SEED: u64 = 2;

fn check(name: &str) {
    let [first, again, other] = lab::run_seeds(name, [SEED, SEED, ANOTHER_SEED]);
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "scenarios/snapshots", omit_expression => true }, {
        insta::assert_snapshot!(name, first);
    });
    assert!(first == again, "the same seed, and another run:\n{first}\n\n{again}");
    assert_eq!(first.exits(), other.exits(), "with another seed:\n{other}");
    assert_eq!(first.ending, other.ending, "with another seed:\n{other}");
    if speaks_ip(&first) {
        assert_ne!(first.frames, other.frames, "ports and sequence numbers come from the seed");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.pcapng"));
    std::fs::write(&path, &first.capture).unwrap();
    assert_eq!(tshark::faults(&path), "");
}

/// True if TCP segments or UDP datagrams were sent, behind Ethernet and a plain IP header.
fn speaks_ip(outcome: &Outcome) -> bool {
    outcome.frames.iter().any(|frame| match frame[12..14] {
        [0x08, 0x00] => [6, 17].contains(&frame[23]),
        [0x86, 0xDD] => [6, 17].contains(&frame[20]),
        _ => false,
    })
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
    abi_answers broken cable echo echo6 echo_rust handshake hostile http http_go inherited loopback lossy many multihomed
    nostd policy replicas stalled stdio time trunk udp udp6 unreachable
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
        let text = std::fs::read_to_string(lab::scenario(name)).unwrap();
        assert!(text.starts_with("# "), "{name}.toml begins with no comment");
    }
}

/// Beside guests that trap, spin or cannot even be loaded, the others have what they have without them.
#[test]
fn guests_that_break_disturb_nobody() {
    let [outcome] = lab::run_seeds("broken", [SEED]);
    for name in ["server", "client", "grow"] {
        assert_eq!(outcome.guest(name).exit, Some(Exit::Code(0)));
    }
    let Some(Exit::Trap { reason, backtrace }) = &outcome.guest("trap").exit else { panic!("{outcome}") };
    assert!(reason.contains("unreachable"), "{reason}");
    let order = ["inner", "outer", "start"].map(|name| backtrace.find(name).expect("a function's name"));
    assert!(order.is_sorted(), "{backtrace}");
    assert!(matches!(outcome.guest("spin").exit, Some(Exit::OutOfFuel { .. })));
    for name in ["nostart", "nomemory", "missing-import", "bad"] {
        assert!(matches!(outcome.guest(name).exit, Some(Exit::Failed(_))), "{name}: {outcome}");
    }
}

/// A lab that is given less time than it needs is stopped then, and its capture is whole all the same.
#[test]
fn a_lab_that_is_cut_short_has_a_readable_capture() {
    let mut plan = guestnet::scenario::load(&lab::scenario("lossy")).unwrap();
    plan.duration = Some(std::time::Duration::from_millis(300));
    let assets = Assets::read(&plan);
    let outcome = lab::run(&plan, &assets, &mut lab::engine(), SEED);
    assert_eq!(outcome.ending, sim::Ending::Duration);
    assert_eq!(outcome.exits(), [Some(&Exit::Stopped); 2]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcapng");
    std::fs::write(&path, &outcome.capture).unwrap();
    assert_eq!(tshark::faults(&path), "");
    assert!(Path::new(&path).metadata().unwrap().len() > 100_000);
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
    let mut world = World::new(&plan, &assets, Settings::sim(&plan, SEED), &mut lab::engine(), &mut |_| ());
    let mut pending_max = 0;
    let mut reports = Vec::new();
    sim::run(&mut world, None, |world, new| {
        pending_max = pending_max.max(world.events_pending());
        reports.extend(new);
        true
    });
    assert_eq!(lab::gather(&plan, reports)[1].exit, Some(Exit::Code(0)));
    assert!(pending_max < 100, "{pending_max} events");
}
