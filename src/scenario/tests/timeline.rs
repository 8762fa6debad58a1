//! Timelines that are wrong, and what is said of them.

use super::mistakes::mistakes;
use crate::scenario::plan::{Action, DeviceRef, Machines, When};

/// Two guests on a switch, to which entries are added.
const BASE: &str =
    "[switch.lan]\n[guest.a]\nmodule = 'a'\nnetwork = 'lan'\n[guest.b]\nmodule = 'b'\nnetwork = 'lan'\n";

#[test]
fn when_an_entry_is_taken() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nheal = true")), @r#"labs/lab.toml:8:1: an entry of the timeline has neither `time` nor `after`; an entry is a time and an action, such as `time = "2s"` and `down = "line"`"#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nafter = { guest = 'a', started = true }\nheal = true")), @r"labs/lab.toml:8:1: an entry of the timeline has both `time` and `after`; for so long after a trigger, add `delay`");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\ndelay = '1s'\nuntil = '2s'\ntimes = 0\nheal = true")), @r#"
    labs/lab.toml:8:1: an entry of the timeline has `delay` without `after`; `time` can be a range as well: "10ms..200ms"
    labs/lab.toml:8:1: an entry of the timeline has `until` without `every`; `every` says how often it happens again
    labs/lab.toml:8:1: an entry of the timeline has `times` without `every`; `every` says how often it happens again
    labs/lab.toml:12:9: times: `0` is out of range; a whole number from 1 on
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '2s..1s'\nheal = true\n[[at]]\ntime = '-1s'\nheal = true\n[[at]]\ntime = 5\nheal = true")), @r#"
    labs/lab.toml:9:8: time: `2s..1s` runs backwards; a duration such as "10ms", or a range of them such as "10ms..200ms"
    labs/lab.toml:12:8: time: `-1s` is not a duration; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:15:8: time: an integer where a duration in quotes belongs; a duration such as "10ms", or a range of them such as "10ms..200ms"
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nevery = '0s..1s'\ntimes = 1\nheal = true\n[[at]]\nevery = '1s'\nheal = true")), @r#"
    labs/lab.toml:9:9: every: may come again at the same instant; longer than "0s"
    labs/lab.toml:13:9: every: never ends, and would keep the lab going for ever; add `until` or `times`, or give the lab a `duration`
    "#);
    insta::assert_snapshot!(mistakes(&format!("duration = '10s'\n{BASE}{}", "[[at]]\ntime = '9s..11s'\nheal = true\n[[at]]\nafter = { guest = 'a', exited = true }\ndelay = '11s'\nheal = true\n[[at]]\ntime = '2s'\nevery = '1s'\nuntil = '1s'\nheal = true")), @r"
    labs/lab.toml:10:8: an entry of the timeline comes after the lab's end, 10s; make `duration` longer, or have it earlier
    labs/lab.toml:14:9: an entry of the timeline comes after the lab's end, 10s; make `duration` longer, or have it earlier
    labs/lab.toml:19:9: until: is before the first time; later than its beginning
    ");
}

#[test]
fn events_that_entries_wait_for() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nafter = {}\nheal = true\n[[at]]\nafter = { guest = 'a' }\nheal = true\n[[at]]\nafter = { guest = 'a', printed = 'x', exited = true }\nheal = true")), @r"
    labs/lab.toml:9:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    labs/lab.toml:12:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    labs/lab.toml:15:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nafter = { guest = 'x', printed = '' }\nheal = true\n[[at]]\nafter = { guest = 'ab', exited = false }\nheal = true")), @r"
    labs/lab.toml:9:34: printed: is empty; a text that the guest prints
    labs/lab.toml:12:34: exited: is false; write true, or leave it out
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nafter = { at = 'z', tcp = 'syn' }\nheal = true\n[[at]]\nafter = { at = 'a', tcp = 'SYN', port = 0 }\nheal = true\n[[at]]\nafter = { at = 'a', tcp = 'any', udp = true }\nheal = true")), @r#"
    labs/lab.toml:9:16: at: there is no port `z`; there are: a, b, lan.0, lan.1
    labs/lab.toml:12:27: tcp: `SYN` is no kind of segment; one of "syn", "syn-ack", "fin", "rst", "data" and "any"
    labs/lab.toml:12:41: port: `0` is out of range; a whole number from 1 to 65535
    labs/lab.toml:15:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nafter = { guest = 'a', printed = 'x', port = 80, of = 1 }\nheal = true")), @r"
    labs/lab.toml:9:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    labs/lab.toml:9:50: unknown key `of` in `after`; known here: guest, printed, started, exited, at, tcp, udp, port, packet
    ");
}

#[test]
fn what_an_entry_does() {
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\n[[at]]\ntime = '1s'\nkill = 'a'\nheal = true\nfoo = 1")), @r"
    labs/lab.toml:8:1: an entry of the timeline does nothing; exactly one of `set`, `down`, `up`, `partition`, `heal`, `kill`, `pause`, `resume`, `restart`, `rebind`, `dhcp`, `inject`, `clock`
    labs/lab.toml:10:1: an entry of the timeline does several things: heal, kill; an entry for each; they happen in file order
    labs/lab.toml:14:1: unknown key `foo` in an entry of the timeline; known here: time, after, delay, every, until, times, graceful, link, direction, set, down, up, partition, heal, kill, pause, resume, restart, rebind, dhcp, inject, clock
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nset = { loss = '1%' }\n[[at]]\ntime = '1s'\nlink = 'a:lan'\nheal = true\n[[at]]\ntime = '1s'\nlink = 'a:lam'\ndirection = 'up'\nset = {}")), @r#"
    labs/lab.toml:8:1: an entry with `set` has no `link`; the link to change: `link = "line"`
    labs/lab.toml:11:1: an entry of the timeline has `link` without `set`; `set` has the knobs to change: `set = { delay = "50ms" }`
    labs/lab.toml:18:13: direction: `up` is no direction; "forward" or "backward"; leave it out for both
    labs/lab.toml:19:7: set: changes nothing; the knobs to change: `set = { delay = "50ms" }`
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nlink = 'a:lan'\nset = { loss = '101%', dealy = '1ms', rate = '0bit' }\n[[at]]\ntime = '1s'\ndown = []\n[[at]]\ntime = '1s'\nup = ['b:lan', 'line']")), @r#"
    labs/lab.toml:11:16: loss: `101%` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    labs/lab.toml:11:24: unknown key `dealy` in `set`; did you mean `delay`? known here: up, mtu, delay, jitter, distribution, correlation, in_order, rate, queue, loss, duplicate, corrupt, reorder, drop, delayed, duplicated
    labs/lab.toml:11:46: rate: `0bit` is less than a byte a second; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    labs/lab.toml:14:8: down: is empty; one name or more
    labs/lab.toml:17:16: link: there is no link `line`; there are: a:lan, b:lan
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\npartition = [['a', 'b'], ['b', 'x']]\n[[at]]\ntime = '1s'\npartition = [['a']]\n[[at]]\ntime = '1s'\npartition = [['a'], [], 'b', [1]]\n[[at]]\ntime = '1s'\npartition = 'a'\n[[at]]\ntime = '1s'\npartition = [['a', 'a'], ['b']]")), @r#"
    labs/lab.toml:10:27: partition: `b` stands on two sides; each device is on one side, or on none
    labs/lab.toml:10:32: partition: there is no device `x`; there are: a, b, lan
    labs/lab.toml:13:13: partition: has fewer than two sides; two sides or more, such as `partition = [["a", "b"], ["c"]]`
    labs/lab.toml:16:21: partition: a side is empty; two sides or more, such as `partition = [["a", "b"], ["c"]]`
    labs/lab.toml:16:25: partition: a string where a list of names belongs; two sides or more, such as `partition = [["a", "b"], ["c"]]`
    labs/lab.toml:16:31: partition: an integer where a string belongs; two sides or more, such as `partition = [["a", "b"], ["c"]]`
    labs/lab.toml:19:13: partition: a string where a list of lists belongs; two sides or more, such as `partition = [["a", "b"], ["c"]]`
    labs/lab.toml:22:20: partition: `a` stands on its side twice; each device is on one side, or on none
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nheal = false\n[[at]]\ntime = '1s'\nkill = 'lan'\n[[at]]\ntime = '1s'\npause = ['a', 'c']\ngraceful = true\n[[at]]\ntime = '1s'\nrestart = 1")), @r"
    labs/lab.toml:10:8: heal: is false; write true, or leave it out
    labs/lab.toml:13:8: kill: there is no guest `lan`; there are: a, b
    labs/lab.toml:17:12: graceful: without `kill` or `restart`; leave it out
    labs/lab.toml:20:11: restart: an integer where a string belongs; put it in quotes
    ");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nrebind = { guest = 'a' }\n[[at]]\ntime = '1s'\nrebind = { guest = 'a', interface = 'eth1', addresses = '10.0.0.9/24' }\n[[at]]\ntime = '1s'\nrebind = { guest = 'a', addresses = ['10.0.0.9/24', '10.0.0.9/16', '10.0.0.256/24'] }")), @r#"
    labs/lab.toml:10:10: the action has no `addresses`; such as `rebind = { guest = "x", addresses = "10.0.0.9/24" }`
    labs/lab.toml:13:37: rebind: there is no interface `eth1`; did you mean `eth0`? there are: eth0
    labs/lab.toml:16:68: addresses: `10.0.0.256` is not an IP address; an address with its subnet's prefix length, such as "10.0.0.2/24" or "fd00::2/64"
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nrebind = { guest = 'a', addresses = ['10.0.0.1/24', '10.0.0.2/24', '10.0.0.3/24', '10.0.0.4/24', '10.0.0.5/24', '10.0.0.6/24', '10.0.0.7/24', '10.0.0.8/24'] }")), @r"labs/lab.toml:10:143: rebind: 9 addresses; at most 8, the IPv6 link-local address among them");
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\ninject = { port = 'a' }\n[[at]]\ntime = '1s'\ninject = { port = 'lan', frame = 'ff' }\n[[at]]\ntime = '1s'\ninject = { frame = 'xx', pcap = '' }")), @r#"
    labs/lab.toml:10:10: inject: not one of `frame` and `pcap`; `frame = "ffff..."`, one Ethernet frame in hexadecimal, or `pcap = "frames.pcapng"`
    labs/lab.toml:13:34: frame: 1 bytes are no frame; an Ethernet frame of 14 to 65535 bytes, two hexadecimal digits each, without its checksum
    labs/lab.toml:16:10: the action has no `port`; such as `inject = { port = "x", pcap = "frames.pcapng" }`
    labs/lab.toml:16:10: inject: not one of `frame` and `pcap`; `frame = "ffff..."`, one Ethernet frame in hexadecimal, or `pcap = "frames.pcapng"`
    labs/lab.toml:16:20: frame: is not bytes in hexadecimal; an Ethernet frame of 14 to 65535 bytes, two hexadecimal digits each, without its checksum
    labs/lab.toml:16:33: pcap: is empty; a path, relative to the scenario's folder
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\ntime = '1s'\nclock = { guest = 'a' }\n[[at]]\ntime = '1s'\nclock = { guest = 'd', skew = '--5s' }\n[guest.c]\nmodule = 'c'\ncpu = '1kbit'")), @r#"
    labs/lab.toml:10:9: the action has no `skew`; such as `clock = { guest = "x", skew = "-5s" }`
    labs/lab.toml:13:31: skew: `-5s` is not a duration; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:16:7: cpu: `kbit` is not a unit of a frequency; from "1kHz" to "1THz", in Hz, kHz, MHz, GHz or THz
    "#);
}

/// Three replicas behind a name that they share, on a router.
const REPLICAS: &str = "[switch.lan]\n[guest.c]\nmodule = 'c'\nnetwork = 'lan'\ncount = 3\n[router.r.interface.i]\nnetwork = 'lan'\n\
                        [guest.c-x]\nmodule = 'c'\nnetwork = 'lan'\n";

#[test]
fn the_name_that_replicas_share_stands_for_all_of_them() {
    let text = format!(
        "duration = '1s'\n{REPLICAS}{}",
        "[[at]]\nafter = { guest = 'c', exited = true }\nkill = ['c', 'r']\n[[at]]\ntime = '1s'\ndown = 'c:lan'\n\
         [[at]]\ntime = '1s'\npartition = [['c'], ['c-x']]\n[[at]]\ntime = '1s'\nclock = { guest = 'c', skew = '1s' }"
    );
    let plan = crate::scenario::parse(&text, std::path::Path::new("labs/lab.toml")).unwrap();
    assert_eq!(plan.timeline[0].when, When::Exited { guests: vec![0, 1, 2] });
    let machines = Machines { guests: vec![0, 1, 2], routers: vec![0], services: vec![] };
    let actions: Vec<_> = plan.timeline.iter().map(|entry| &entry.action).collect();
    assert_eq!(*actions[0], Action::Kill { machines, graceful: false });
    assert_eq!(actions[1].links(), [0, 1, 2]);
    let sides = [vec![0, 1, 2], vec![3]].map(|guests| guests.into_iter().map(DeviceRef::Guest).collect());
    assert_eq!(*actions[2], Action::Partition(sides.into()));
    assert_eq!(*actions[3], Action::Clock { guests: vec![0, 1, 2], skew_ns: 1_000_000_000 });
}

#[test]
fn replicas_and_filters_that_are_wrong() {
    insta::assert_snapshot!(mistakes(&format!("{REPLICAS}{}", "[[at]]\ntime = '1s'\nrebind = { guest = 'c', addresses = '10.0.0.9/24' }\n[[at]]\ntime = '1s'\ndown = 'd:lan'\n[[at]]\ntime = '1s'\npartition = [['c', 'c-1'], ['r']]\n[[at]]\ntime = '1s'\nrestart = ['r', 'c-0']\ngraceful = true")), @r#"
    labs/lab.toml:13:20: rebind: `c` stands for 3 replicas; name one of them, such as `c-0`
    labs/lab.toml:16:8: link: there is no link `d:lan`; there are: c-0:lan, c-1:lan, c-2:lan, c-x:lan, r.i:lan
    labs/lab.toml:19:20: partition: `c-1` stands on its side twice; each device is on one side, or on none
    labs/lab.toml:23:12: graceful: `r` is a router; a router has no process: leave it out
    "#);
    insta::assert_snapshot!(mistakes(&format!("{BASE}{}", "[[at]]\nafter = { at = 'a', packet = 'tcp.sek > 1' }\nheal = true\n[[at]]\nafter = { at = 'a', packet = 'tcp', port = 80 }\nheal = true\n[[at]]\nafter = { guest = 'a', packet = 'tcp' }\nheal = true")), @r"
    labs/lab.toml:9:30: filter: `tcp.sek` is no field; did you mean `tcp.seq`?
    labs/lab.toml:12:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    labs/lab.toml:15:9: after: is not one event; `guest` with one of `printed`, `started`, `exited`, or `at` with one of `tcp`, `udp` and `packet`
    ");
}

#[test]
fn times_that_cannot_all_come() {
    let with = |entry: &str| format!("duration = '5s'\n{BASE}[[at]]\n{entry}\nheal = true");
    for fine in [
        "every = '1s'\ntimes = 5",
        "time = '1s'\nevery = '1s..9s'\ntimes = 5",
        "after = { guest = 'a', started = true }\nevery = '1s'\ntimes = 6",
    ] {
        crate::scenario::parse(&with(fine), std::path::Path::new("lab.toml"))
            .unwrap_or_else(|e| panic!("{}", e.plain()));
    }
    for late in ["every = '1s'\ntimes = 6", "every = '2s'\ntimes = 18446744073709551615"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(mistakes(&with(late)), @"labs/lab.toml:11:9: times: the last of them come after the lab's end, 5s; leave it out: nothing comes after the end");
        }
    }
}

/// What a change sets is held against what its link has by then: its own delay, or one that it is given at any time.
#[test]
fn jitter_is_no_more_than_the_delay() {
    let with = |entries: &str| format!("{BASE}link = {{ delay = '5ms' }}\n{entries}");
    let set = |knobs: &str| format!("[[at]]\ntime = '1s'\nlink = 'b:lan'\nset = {{ {knobs} }}\n");
    for fine in ["jitter = '5ms'", "jitter = '9ms', delay = '9ms'", "jitter = '0s'"] {
        crate::scenario::parse(&with(&set(fine)), std::path::Path::new("lab.toml"))
            .unwrap_or_else(|e| panic!("{}", e.plain()));
    }
    let jittery = |entries: &str| format!("{BASE}link = {{ delay = '5ms', jitter = '4ms' }}\n{entries}");
    for fine in [
        set("delay = '4ms'"),
        set("delay = '1ms', jitter = '1ms'"),
        set("delay = '3ms'") + &set("jitter = '3ms'"),
    ] {
        crate::scenario::parse(&jittery(&fine), std::path::Path::new("lab.toml"))
            .unwrap_or_else(|e| panic!("{}", e.plain()));
    }
    insta::assert_snapshot!(mistakes(&jittery(&set("delay = '3ms'"))), @"labs/lab.toml:12:17: delay: 3ms is less than the link's jitter, 4ms; a frame cannot arrive before it was sent: set `jitter` too");
    let later = with(&(set("jitter = '9ms'") + &set("delay = '9ms'")));
    crate::scenario::parse(&later, std::path::Path::new("lab.toml"))
        .unwrap_or_else(|e| panic!("{}", e.plain()));
    insta::assert_snapshot!(mistakes(&with(&(set("jitter = '6ms'") + &set("jitter = '4ms', delay = '3ms'") + "[[at]]\ntime = '1s'\nlink = 'a:lan'\nset = { jitter = '1ms' }"))), @r#"
    labs/lab.toml:12:18: jitter: 6ms is more than the delay, 5ms; a frame cannot arrive before it was sent: set `delay` too
    labs/lab.toml:16:18: jitter: 4ms is more than the delay, 3ms; a frame cannot arrive before it was sent: set `delay` too
    labs/lab.toml:20:18: jitter: 1ms is more than the delay, 0ns; a frame cannot arrive before it was sent: set `delay` too
    "#);
}
