//! Expectations of counters, descriptors and golden captures: what they come to, and what is wrong with them.

use std::path::{Path, PathBuf};

use super::mistakes::mistakes;
use crate::network::drops::DeviceDrop;
use crate::network::link::DropReason;
use crate::scenario::expectation::{Compare, Counter, Expected, ExpectedCounter};

const BASE: &str = "duration = '10s'\n[guest.a]\nmodule = 'a'\n";

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
    assert_eq!((among.as_str(), at), ("tcp", vec!["a".to_owned()]));
}

#[test]
fn counters_descriptors_and_captures_that_are_wrong() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\ncounter = 'drop'\n[[expect]]\ncounter = 'drops'\n[[expect]]\ncounter = 'drops'\ncount = 1\nreason = 'full'\n[[expect]]\ncounter = 'bytes'\ncount = '1KiB'\nreason = 'queue full'")), @r#"
    labs/lab.toml:5:11: counter: `drop` is not counted; one of "frames", "bytes", "drops", "retransmissions" and "handshakes"
    labs/lab.toml:7:11: counter: how many is not said; `count = 3`, `count = "1..5"`, `count = "2.."` or `count = "..9"`
    labs/lab.toml:11:10: reason: `full` is no reason to drop a frame; one of "lost on the link", "listed in the scenario", "queue full", "waited too long (CoDel)", "queue too long on average (RED)", "longer than the link's MTU", "link down", "partition", "port not plugged in", "not taken by the TAP device", "malformed", "bad checksum", "unroutable", "next hop did not answer", "forged ICMP error", "SYN past a backlog", "datagram past a buffer", "address that another has", "past the guest's buffers", "overlapping fragment", "packet short of fragments", "loopback packet past the queue", "malformed DNS query", "DNS message that is no query", "DNS answer that could not be sent", "past a TAP's queue", "TAP device down", "refused by a TAP", "cut short by a TAP", "malformed question of Unix-domain sockets"
    labs/lab.toml:14:9: count: `1KiB` is no count; a number, or a range with both its ends, such as 3, "1..5", "2.." or "..9"
    labs/lab.toml:15:10: reason: without `counter = "drops"`; leave it out
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\ncounter = 'drops'\ncount = 0\nreason = 'malformed'\nat = 'a'\n[[expect]]\ncounter = 'frames'\ncount = 0\nat = 'b'\nfrom = '11s'\n[[expect]]\ncounter = 'frames'\npackets = 'tcp'\ncount = 0\n[[expect]]\ncounter = 'frames'\ncount = 0\nexit = 1")), @r"
    labs/lab.toml:7:10: reason: is a device's, which no place or time is known of; leave `at`, `from` and `until` out: devices count over the whole run
    labs/lab.toml:12:6: there is no port of `b`; a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`
    labs/lab.toml:13:8: from: packets are looked for after the lab's end; `from` is within the lab's `duration`
    labs/lab.toml:14:1: an expectation is about packets and counter at once; it has exactly one of guest, packets, eventually, never, always, counter, ending, golden
    labs/lab.toml:21:1: unknown key `exit` in an expectation; known here: sometimes, counter, reason, count, at, from, until
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[expect]]\nguest = 'a'\nopen = -1\n[[expect]]\nguest = 'a'\n[[expect]]\ngolden = 'a.pcapng'\ncompare = 'all'\n[[expect]]\ngolden = 'a.pcapng'\namong = 'tcp'\n[[expect]]\ngolden = 'a.pcapng'\ncompare = 'packets'\namong = 'tpc'\nat = 'z'")), @r#"
    labs/lab.toml:6:8: open: `-1` is out of range; a whole number from 0 on
    labs/lab.toml:8:9: nothing is expected of guest `a`; add one of exit, stdout, stdout_has, stderr, stderr_has, within, open
    labs/lab.toml:11:11: compare: `all` is no way to compare; "bytes" for the whole file, "frames" for the frames alone, whenever they were, "packets" for what a person reads of them
    labs/lab.toml:14:1: unknown key `among` in an expectation; known here: sometimes, golden, compare
    labs/lab.toml:18:9: filter: `tpc` is no field; did you mean `tcp`?
    labs/lab.toml:19:6: there is no port of `z`; a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`
    "#);
}
