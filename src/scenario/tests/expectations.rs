//! Expectations of counters, descriptors and golden captures: what they come to, and what is wrong with them.

use std::path::{Path, PathBuf};

use super::mistakes::mistakes;
use crate::network::drops::DeviceDrop;
use crate::network::link::DropReason;
use crate::scenario::expectation::{
    Compare, Counter, Expected, ExpectedContent, ExpectedCounter, ExpectedText, Place,
};
use crate::scenario::plan::DirectoryPlan;

const BASE: &str = "duration = '10s'\n[guest.a]\nmodule = 'a'\n";

/// Without a word of the lab.
const BASE_GUEST: &str = "[guest.a]\nmodule = 'a'\n";

fn expected(text: &str) -> Expected {
    let plan = crate::scenario::parse(&format!("{BASE}[[expect]]\n{text}"), Path::new("labs/lab.toml"));
    plan.unwrap_or_else(|error| panic!("{}", error.plain())).expectations.remove(0).expected
}

#[test]
fn what_is_counted() {
    let counter = |text: &str| match expected(text) {
        Expected::Counter(ExpectedCounter { counter, .. }) => counter,
        other => panic!("{other:?}"),
    };
    for (text, counted) in [
        ("counter = 'frames'\ncount = 1", Counter::Frames),
        ("counter = 'bytes'\ncount = 1", Counter::Bytes),
        ("counter = 'drops'\ncount = 1", Counter::LinkDrops(None)),
        ("counter = 'retransmissions'\ncount = 1", Counter::Retransmissions),
        ("counter = 'handshakes'\ncount = 1", Counter::Handshakes),
    ] {
        assert_eq!(counter(text), counted);
    }
    for reason in DropReason::ALL {
        let text = format!("counter = 'drops'\ncount = 1\nreason = \"{}\"", reason.as_str());
        assert_eq!(counter(&text), Counter::LinkDrops(Some(reason)));
    }
    for reason in DeviceDrop::ALL {
        let text = format!("counter = 'drops'\ncount = 1\nreason = \"{}\"", reason.as_str());
        assert_eq!(counter(&text), Counter::DeviceDrops(reason));
    }
}

#[test]
fn which_packets_of_a_golden_capture_matter() {
    let Expected::Golden { path, compare } =
        expected("golden = 'a.pcapng'\ncompare = 'packets'\namong = 'tcp'\nat = 'a'")
    else {
        panic!("it is golden")
    };
    assert_eq!(path, PathBuf::from("labs/a.pcapng"));
    let Compare::Packets { among: Some(among), at } = compare else { panic!("{compare:?}") };
    assert_eq!((among.as_str(), at), ("tcp", vec![Place::Port("a".to_owned())]));
}

#[test]
fn counters_descriptors_and_captures_that_are_wrong() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\ncounter = 'drop'\n[[expect]]\ncounter = 'drops'\n[[expect]]\ncounter = 'drops'\ncount = 1\nreason = 'full'\n[[expect]]\ncounter = 'bytes'\ncount = '1KiB'\nreason = 'queue full'")), @r#"
    labs/lab.toml:5:11: counter: `drop` is not counted; one of "frames", "bytes", "drops", "retransmissions" and "handshakes"
    labs/lab.toml:7:11: counter: how many is not said; `count = 3`, `count = "1..5"`, `count = "2.."` or `count = "..9"`
    labs/lab.toml:11:10: reason: `full` is no reason to drop a frame; one of "lost on the link", "listed in the scenario", "queue full", "waited too long (CoDel)", "queue too long on average (RED)", "longer than the link's MTU", "link down", "partition", "port not plugged in", "not taken by the TAP device", "malformed", "bad checksum", "unroutable", "too big for the next link", "hop limit used up", "next hop did not answer", "forged ICMP error", "SYN past a backlog", "datagram past a buffer", "datagram that is nothing to its protocol", "address that another has", "past the guest's buffers", "overlapping fragment", "packet short of fragments", "packet of a protocol that its host does not have", "loopback packet past the queue", "malformed DNS query", "DNS message that is no query", "DNS answer that could not be sent", "past a TAP's queue", "TAP device down", "refused by a TAP", "cut short by a TAP", "malformed question of Unix-domain sockets"
    labs/lab.toml:14:9: count: `1KiB` is no count; a number, or a range with both its ends, such as 3, "1..5", "2.." or "..9"
    labs/lab.toml:15:10: reason: without `counter = "drops"`; leave it out
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\ncounter = 'drops'\ncount = 0\nreason = 'malformed'\nat = 'a'\n[[expect]]\ncounter = 'frames'\ncount = 0\nat = 'b'\nfrom = '11s'\nuntil = '12s'\n[[expect]]\ncounter = 'frames'\npackets = 'tcp'\ncount = 0\n[[expect]]\ncounter = 'frames'\ncount = 0\nexit = 1")), @r"
    labs/lab.toml:7:10: reason: is a device's, which no place or time is known of; leave `at`, `from` and `until` out: devices count over the whole run
    labs/lab.toml:12:6: there is no port or link `b`; a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`, or a link, such as `client:lan`
    labs/lab.toml:13:8: from: packets are looked for after the lab's end; `from` is within the lab's `duration`
    labs/lab.toml:14:9: until: is after the lab's end, 10s; leave it out: nothing is looked for after the end
    labs/lab.toml:15:1: an expectation is about packets and counter at once; it has exactly one of guest, packets, eventually, never, always, counter, ending, golden
    labs/lab.toml:22:1: unknown key `exit` in an expectation; known here: sometimes, counter, reason, count, at, from, until
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\nguest = 'a'\nopen = -1\n[[expect]]\nguest = 'a'\n[[expect]]\ngolden = 'a.pcapng'\ncompare = 'all'\n[[expect]]\ngolden = 'a.pcapng'\namong = 'tcp'\n[[expect]]\ngolden = 'a.pcapng'\ncompare = 'packets'\namong = 'tpc'\nat = 'z'")), @r#"
    labs/lab.toml:6:8: open: `-1` is out of range; a whole number from 0 on
    labs/lab.toml:8:9: nothing is expected of guest `a`; add one of exit, stdout, stdout_has, stderr, stderr_has, within, open, file
    labs/lab.toml:11:11: compare: `all` is no way to compare; "bytes" for the whole file, "frames" for the frames alone, whenever they were, "packets" for what a person reads of them
    labs/lab.toml:14:1: unknown key `among` in an expectation; known here: sometimes, golden, compare
    labs/lab.toml:18:9: filter: `tpc` is no field; did you mean `tcp`?
    labs/lab.toml:19:6: there is no port or link `z`; a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`, or a link, such as `client:lan`
    "#);
}

#[test]
fn files_are_in_a_directory_of_the_guests() {
    const BOX: &str = "[guest.b]\nmodule = 'b'\ndirectories = { '/box' = { host = 'out', writable = true }, '/box/in' = 'in' }\n";
    let file = |text: &str| {
        let text = format!("{BOX}{BASE_GUEST}[[expect]]\nguest = 'b'\nfile = {text}");
        let plan = crate::scenario::parse(&text, Path::new("labs/lab.toml"));
        let plan = plan.unwrap_or_else(|error| panic!("{}", error.plain()));
        let Expected::Guest(expected) = &plan.expectations[0].expected else { panic!("it is of a guest") };
        let file = expected.file.clone().expect("it is of a file");
        let (directory, rest) =
            DirectoryPlan::of(&plan.guests[0].directories, &file.path).expect("it has one");
        (directory.host.clone(), rest, file.content)
    };
    let text = |text: &str| ExpectedContent::Text(ExpectedText::Whole(text.to_owned()));
    assert_eq!(file("'/box/a/b.txt'\nis = 'x'"), ("labs/out".into(), "a/b.txt".into(), text("x")));
    // The innermost directory is what a guest opens a file in.
    assert_eq!(file("'/box//in/./b'\nis = ''"), ("labs/in".into(), "b".into(), text("")));
    let other = ExpectedContent::SameAs("labs/golden.txt".into());
    assert_eq!(file("'/box/c'\nsame_as = 'golden.txt'").2, other);
    assert_eq!(file("'/box/c'\nabsent = true").2, ExpectedContent::Absent);

    insta::assert_snapshot!(mistakes(&format!("{BOX}{BASE_GUEST}{}", "[[expect]]\nguest = 'b'\nfile = '/box/a'\nis = ''\n[[expect]]\nguest = 'b'\nfile = '/box/../a'\nis = ''\n[[expect]]\nguest = 'a'\nfile = '/box/a'\nabsent = true\n[[expect]]\nguest = 'b'\nfile = '/box'\nhas = ''\n[[expect]]\nguest = 'b'\nfile = '/box/a'\n[[expect]]\nguest = 'b'\nfile = '/box/a'\nis = 'a'\nhas = 'b'\n[[expect]]\nguest = 'b'\nexit = 0\nhas = 'b'\n[[expect]]\nguest = 'b'\nfile = '/box/a'\nabsent = false")), @r#"
    labs/lab.toml:12:8: file: guest `b` has no directory with `/box/../a`; a file in one of its directories: `/box`, `/box/in`
    labs/lab.toml:16:8: file: guest `a` has no directory with `/box/a`; hand it one: `directories = { "/box" = { host = "box", writable = true } }`
    labs/lab.toml:20:8: file: guest `b` has no directory with `/box`; a file in one of its directories: `/box`, `/box/in`
    labs/lab.toml:24:8: file: what it is to be is not said; exactly one of is, has, same_as, absent
    labs/lab.toml:27:8: file: has both `is` and `has`; exactly one of is, has, same_as, absent
    labs/lab.toml:33:7: has: of which file is not said; `file = "/box/out.txt"`, as the guest names it
    labs/lab.toml:37:10: absent: is false; a file that is there is one that `is` or `has` something
    "#);
}

#[test]
fn what_cannot_end_in_time_is_told() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\nguest = 'a'\nwithin = '11s'\n[[expect]]\nending = 'over'\nwithin = '1min'\n[[expect]]\nguest = 'a'\nexit = 'stopped'\nwithin = '5s'")), @r#"
    labs/lab.toml:6:10: within: is longer than the lab, at whose end everything has ended; at most the lab's `duration`, 10s
    labs/lab.toml:9:10: within: is longer than the lab, at whose end everything has ended; at most the lab's `duration`, 10s
    labs/lab.toml:13:10: within: a guest that is there until the lab's end does not end before; leave it out, or the `exit`
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[[expect]]\nending = 'duration'"), @r#"labs/lab.toml:4:10: ending: the lab has no duration that could be over; give the lab a `duration`"#);
    insta::assert_snapshot!(mistakes("duration = '0s'\n[guest.a]\nmodule = 'a'"), @r#"labs/lab.toml:1:12: duration: ends the lab as it begins; longer than "0s""#);
    insta::assert_snapshot!(mistakes("duration = '1s'\n[guest.a]\nmodule = 'a'\nstart = '2s'\n[[at]]\nevery = '100ms'\nuntil = '3s'\nheal = true"), @r#"
    labs/lab.toml:4:9: start: is after the lab's end, 1s; make `duration` longer, or have it earlier
    labs/lab.toml:7:9: until: is after the lab's end, 1s; leave it out: nothing comes after the end
    "#);
}
