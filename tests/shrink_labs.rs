//! Labs of tests/scenarios that are held to more than they bear, each shrunk: what is left is a scenario, fails in the same way
//! and is no larger, and where chance had a part in it, it names the frames.

mod common;

use common::scenario;
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report, Verdict};
use guestnet::network::link::{Discipline, Loss};
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::Plan;
use guestnet::shrink;

/// A scenario, what is changed of it, and what is expected of it in the place of what it expects itself.
struct Case<'a> {
    name: &'static str,
    changes: &'a [(&'a str, &'a str)],
    expect: &'static str,
    /// Frames that lists name in the end, at most; `None`: what fails is about chance itself, and so it stays.
    frames: Option<usize>,
    knobs: usize,
}

const RETRANSMISSION: &str = "never = 'tcp.analysis.retransmission'";

impl Case<'_> {
    fn text(&self) -> String {
        let mut text = std::fs::read_to_string(scenario::path(self.name)).unwrap();
        for (from, to) in self.changes {
            assert!(text.contains(from), "{}: {from}", self.name);
            text = text.replace(from, to);
        }
        let own = text.find("[[expect]]").expect("every scenario expects something");
        format!("{}[[expect]]\n{}\n", &text[..own], self.expect)
    }
}

fn plan(case: &Case<'_>, text: &str) -> Plan {
    let plan = guestnet::scenario::load_text(text, &scenario::path(case.name));
    plan.unwrap_or_else(|error| panic!("{}\n{text}", error.plain()))
}

fn unmet(report: &Report) -> Vec<&Verdict> {
    report.verdicts.iter().filter(|verdict| !verdict.is_met()).collect()
}

/// How a guest ended, without what it wrote.
fn exits(report: &Report) -> Vec<(&str, &Exit)> {
    report.guests.iter().map(|guest| (guest.name.as_str(), &guest.exit)).collect()
}

fn check_case(case: &Case<'_>) {
    let text = case.text();
    let whole = plan(case, &text);
    let lab = Lab::new(whole.clone(), Assets::read(&whole)).with_cache(scenario::cache());
    let seed = (1..=10).find(|&seed| !lab.run(seed).is_success()).expect("it bears too much");
    let before = lab.run(seed);
    let shrunk = shrink::shrink(&lab, &text, &scenario::path(case.name), seed, |_| true).unwrap();
    let told = format!("{} {}, seed {seed}:\n{}", case.name, case.expect, shrunk.text);
    assert!(shrunk.complete && shrunk.runs <= 150, "{} runs, {told}", shrunk.runs);

    // As whoever is handed the file runs it.
    let small_text = shrink::finish(&shrunk.text, seed, None);
    let small = plan(case, &small_text);
    let report = Lab::new(small.clone(), Assets::read(&small)).with_cache(scenario::cache()).run(seed);
    let (was, is) = (unmet(&before), unmet(&report));
    assert_eq!(is.len(), 1, "{report}\n{told}");
    assert!(was.iter().any(|was| was.expected == is[0].expected), "{report}\n{told}");
    assert_eq!(shrunk.failure[0], is[0].expected);
    let part = |verdicts: &[&Verdict]| {
        let same = verdicts.iter().find(|verdict| verdict.expected == shrunk.failure[0]);
        same.and_then(|verdict| verdict.found.as_ref()).map(|found| found.unmet)
    };
    assert_eq!(part(&was), part(&is), "{told}");
    assert!(exits(&report).iter().all(|exit| exits(&before).contains(exit)), "{told}");

    let sizes =
        |plan: &Plan| [plan.guests.len(), plan.links.len(), plan.routers.len(), plan.expectations.len()];
    assert!(sizes(&small).iter().zip(sizes(&whole)).all(|(small, whole)| *small <= whole), "{told}");
    // A list may have a few letters more than `loss`.
    assert!(shrunk.text.len() <= text.len() + 32, "{} of {} bytes, {told}", shrunk.text.len(), text.len());
    assert!(shrunk.left.entries <= whole.timeline.len(), "{told}");
    assert_eq!(shrunk.left.knobs, case.knobs, "{told}");

    let draws = small.links.iter().flat_map(|link| &link.directions).any(|direction| {
        direction.loss != Loss::Never
            || !direction.jitter.is_none()
            || !direction.duplicate.is_never()
            || direction.reorder.gap > 0
            || matches!(direction.discipline, Discipline::Red(_))
    });
    assert!(!draws, "{told}");
    match case.frames {
        Some(most) => assert!(shrunk.left.frames <= most, "{} frames, {told}", shrunk.left.frames),
        None => assert!(shrunk.text.contains("corrupt = "), "{told}"),
    }
}

/// Frames and knobs that are left, at most and exactly.
fn check(name: &'static str, expect: &'static str, frames: usize, knobs: usize) {
    check_case(&Case { name, changes: &[], expect, frames: Some(frames), knobs });
}

#[test]
fn losses_on_a_line_between_routers() {
    check("lossy", RETRANSMISSION, 2, 0);
}

#[test]
fn bursts_of_losses() {
    let loss = "loss = { model = 'gilbert-elliott', p = '2%', r = '30%' }";
    let expect = "guest = 'receiver'\nexit = 0\nwithin = '3s'";
    check_case(&Case {
        name: "lossy",
        changes: &[("loss = \"0.5%\"", loss)],
        expect,
        frames: Some(4),
        knobs: 0,
    });
}

#[test]
fn losses_that_a_timeline_sets() {
    check("loss_30", "guest = 'client'\nexit = 0\nwithin = '5s'", 3, 0);
    check("loss_later", "guest = 'receiver'\nexit = 0\nwithin = '1s'", 4, 0);
}

#[test]
fn losses_below_handshakes_tls_and_yamux() {
    check("handshake", RETRANSMISSION, 2, 0);
    check("tls_lossy", RETRANSMISSION, 2, 0);
    // The delay that the others have is a knob of their direction.
    check("yamux_lossy", RETRANSMISSION, 3, 1);
}

#[test]
fn datagrams_lost_duplicated_and_overtaken() {
    check("udp_lossy", "packets = 'udp'\nat = 'server'\ncount = '..89'", 8, 0);
    check("udp_duplicated", "guest = 'sink'\nstdout_has = ' 0 again'", 1, 0);
    check("udp_reordered", "guest = 'sink'\nstdout_has = ' 0 late'", 2, 0);
}

#[test]
fn segments_duplicated() {
    check(
        "duplicates",
        "packets = 'tcp.len > 0 && tcp.analysis.retransmission'\nat = 'receiver'\ncount = 0",
        2,
        0,
    );
}

#[test]
fn segments_late_by_jitter_on_a_line_with_a_rate() {
    let expect = "never = 'tcp.analysis.out_of_order'\nat = 'receiver'";
    let changes = &[("forward = { reorder = \"25%\" }", "jitter = '4ms'")];
    check_case(&Case { name: "reordering", changes, expect, frames: Some(2), knobs: 1 });
}

#[test]
fn segments_corrupted_count_as_lost() {
    check("corrupted", RETRANSMISSION, 2, 0);
}

#[test]
fn what_is_about_corruption_keeps_it() {
    let expect = "counter = 'drops'\nreason = 'bad checksum'\ncount = 0";
    check_case(&Case { name: "corrupted", changes: &[], expect, frames: None, knobs: 1 });
}

#[test]
fn drops_of_red() {
    check("red", RETRANSMISSION, 2, 0);
}

#[test]
fn a_link_that_flaps() {
    // A fifth of the transfer meets as much of it.
    let changes = &[("\"5\", \"check\"", "\"1\", \"check\"")];
    check_case(&Case { name: "flap", changes, expect: RETRANSMISSION, frames: Some(0), knobs: 1 });
}
