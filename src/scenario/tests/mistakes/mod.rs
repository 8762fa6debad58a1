//! Scenarios that are wrong, and what is said of them.

mod network;
mod protocols;

use std::path::Path;

use super::parse;
use crate::scenario::{ScenarioError, parse as parse_located};

/// The mistakes as text, one a line.
pub(super) fn mistakes(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn text_that_is_not_toml() {
    insta::assert_snapshot!(mistakes(r#"name = "x
seed = 1"#), @r#"labs/lab.toml:1:10: not TOML: invalid basic string, expected `"`"#);
    insta::assert_snapshot!(mistakes("seed = 1\nseed = 2\n[guest.a\nmodule = 1"), @r"
    labs/lab.toml:2:1: not TOML: duplicate key
    labs/lab.toml:3:9: not TOML: unclosed table, expected `]`
    ");
    insta::assert_snapshot!(mistakes(""), @r#"labs/lab.toml:1:1: the scenario has no guest; add [guest.NAME] with `module = "....wasm"`"#);
}

#[test]
fn unknown_and_missing_keys() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodul = 'a.wasm'"), @r#"
    labs/lab.toml:1:8: guest `a` has no `module`; name its WebAssembly file: `module = "....wasm"`
    labs/lab.toml:2:1: unknown key `modul` in guest `a`; did you mean `module`? known here: module, count, args, env, stdin, directories, network, link, addresses, mac, mtu, detect_duplicates, interface, gateway, routes, listen, connect, protocol, resolver, memory, cpu, fuel, descriptors, buffers, linger, start, address_wait, background
    "#);
    insta::assert_snapshot!(mistakes("[gest.a]\nmodule = 'a.wasm'"), @"labs/lab.toml:1:2: unknown key `gest` in the scenario; did you mean `guest`? known here: name, seed, duration, epoch, secrets, ca, switch, guest, router, dhcp, tap, dns, hosts, link, at, expect");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nlink = { dealy = '1ms' }\ncolour = 1"), @r"
    labs/lab.toml:3:10: unknown key `dealy` in `link`; did you mean `delay`? known here: up, mtu, delay, jitter, distribution, correlation, in_order, rate, queue, loss, duplicate, corrupt, reorder, drop, delayed, duplicated, forward, backward
    labs/lab.toml:4:1: unknown key `colour` in guest `a`; known here: module, count, args, env, stdin, directories, network, link, addresses, mac, mtu, detect_duplicates, interface, gateway, routes, listen, connect, protocol, resolver, memory, cpu, fuel, descriptors, buffers, linger, start, address_wait, background
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[[guest.a.listen]]\nport = 80"), @r#"
    labs/lab.toml:3:1: a listener of guest `a` has no `bind`; the address and port it listens on: `bind = "0.0.0.0:80"`
    labs/lab.toml:4:1: unknown key `port` in a listener of guest `a`; known here: name, bind, protocol, kind, backlog
    "#);
    insta::assert_snapshot!(mistakes("guest = 1\nswitch = []\n[guest2]"), @r"
    labs/lab.toml:1:9: guest: an integer where a table belongs; write `[guest.NAME]` with its keys below
    labs/lab.toml:2:10: switch: a list where a table belongs; write `[switch.NAME]` with its keys below
    labs/lab.toml:3:2: unknown key `guest2` in the scenario; did you mean `guest`? known here: name, seed, duration, epoch, secrets, ca, switch, guest, router, dhcp, tap, dns, hosts, link, at, expect
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nroutes = [{ to = '10.1.0.0/16' }, 1]\n\
         directories = { '/' = {} }"), @r#"
    labs/lab.toml:3:11: the route has no `via`; a route is `{ to = "10.1.0.0/16", via = "10.0.0.1" }`
    labs/lab.toml:3:35: routes: an integer where a table belongs; write `routes = [{ ... }]` or `[[...routes]]`
    labs/lab.toml:4:23: the directory has no `host`; `host` is the folder on the machine, relative to the scenario's
    "#);
}

#[test]
fn values_of_the_wrong_kind_or_size() {
    insta::assert_snapshot!(mistakes("seed = -1\nduration = 10\nepoch = '2020-01-01'\n[guest.a]\nmodule = 'a'"), @r#"
    labs/lab.toml:1:8: seed: `-1` is out of range; a whole number from 0 on
    labs/lab.toml:2:12: duration: an integer where a duration in quotes belongs; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:3:9: epoch: is not a date and time with an offset from UTC; a date and time in RFC 3339, such as "2020-01-01T00:00:00Z"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         link = { delay = '10', rate = '10MB', loss = '101%', queue = -1 }"), @r#"
    labs/lab.toml:3:18: delay: `10` has no unit; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:3:31: rate: `MB` is not a unit of a rate; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    labs/lab.toml:3:46: loss: `101%` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    labs/lab.toml:3:62: queue: `-1` is out of range; a whole number from 0 to 1000000
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         link = { delay = '0.1ns', rate = '1bit', loss = 2, forward = { loss = 'much' } }"), @r#"
    labs/lab.toml:3:18: delay: `0.1ns` is not a whole number of nanoseconds; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:3:34: rate: `1bit` is less than a byte a second; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    labs/lab.toml:3:49: loss: `2` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    labs/lab.toml:3:71: loss: `much` is not a share; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = ''\nmemory = '1KiB'\nfuel = 0\ndescriptors = 1.5\n\
         linger = '1 fortnight'\nstart = '101000000h'"), @r#"
    labs/lab.toml:2:10: module: is empty; a path, relative to the scenario's folder
    labs/lab.toml:3:10: memory: 1024 bytes is out of range; from "64KiB" (one page) to "4GiB"
    labs/lab.toml:4:8: fuel: `0` is out of range; a whole number from 1 on
    labs/lab.toml:5:15: descriptors: a float where an integer belongs; a whole number from 1 to 1048576
    labs/lab.toml:6:10: linger: `fortnight` is not a unit of a duration; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:7:9: start: is longer than a hundred years; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nargs = 'x'\n\
         env = { 'A=B' = 'x', NETWORKING_FDS = 'x', C = 1 }\nstdin = 1"), @r#"
    labs/lab.toml:3:8: args: a string where a list of strings belongs; write `args = ["one", "two"]`
    labs/lab.toml:4:9: env: `A=B` cannot name a variable; a name is not empty and has neither `=` nor NUL in it
    labs/lab.toml:4:22: env: `NETWORKING_FDS` cannot be set; guestnet sets it: it lists the guest's protocol objects, listeners and connections
    labs/lab.toml:4:48: env: an integer where a string belongs; put it in quotes
    labs/lab.toml:5:9: stdin: an integer where a string or table belongs; a string, `{ file = "..." }` or `{ inherit = true }`; leave it out for an empty one
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nstdin = { file = 'x', inherit = true }\n\
         directories = { '' = 'x', '/a' = 1 }"), @r#"
    labs/lab.toml:3:9: stdin: both a file and inherited; a string, `{ file = "..." }` or `{ inherit = true }`; leave it out for an empty one
    labs/lab.toml:4:17: directories: `` cannot name a directory; the guest's name for it, such as "/srv"
    labs/lab.toml:4:34: directories: an integer where a string belongs; a folder, or `{ host = "folder", writable = true }`
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmtu = 575\nmac = '01:00:00:00:00:01'\n[guest.b]\nmodule = 'b'\n\
         mtu = 65522\nmac = '2:0:0:0:0:1'"), @r#"
    labs/lab.toml:3:7: mtu: `575` is out of range; a whole number from 576 to 65521
    labs/lab.toml:4:7: mac: `01:00:00:00:00:01` cannot be an interface's address; an interface has an individual address: the first octet is even (02 for made-up ones)
    labs/lab.toml:7:7: mtu: `65522` is out of range; a whole number from 576 to 65521
    labs/lab.toml:8:7: mac: `2:0:0:0:0:1` is not an Ethernet address; six pairs of hexadecimal digits such as "02:00:00:00:00:01"
    "#);
}

#[test]
fn names() {
    insta::assert_snapshot!(mistakes("[guest.'a b']\nmodule = 'a'\n[switch.this-name-is-longer-than-32-characters]"), @r"
    labs/lab.toml:1:8: guest: `a b` cannot be a name; names are 1 to 32 of the letters A-Z and a-z, digits, `-` and `_`
    labs/lab.toml:3:9: switch: `this-name-is-longer-than-32-characters` cannot be a name; names are 1 to 32 of the letters A-Z and a-z, digits, `-` and `_`
    ");
    insta::assert_snapshot!(mistakes("[guest.lan]\nmodule = 'a'\n[switch.lan]"), @"labs/lab.toml:3:9: `lan` names a guest and a switch; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'lam'\n[switch.lan]\n[switch.wan]"), @"labs/lab.toml:3:11: network: there is no switch `lam`; did you mean `lan`?");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'r'\n[router.r.interface.i]\nnetwork = 'dmz'"), @r"
    labs/lab.toml:3:11: network: `r` is a router, not a switch; to join two ports without a switch, add [link.NAME] with `ends`
    labs/lab.toml:5:11: network: there is no switch `dmz`; add it: [switch.NAME]
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[router.r]\n"), @r#"
    labs/lab.toml:1:8: `a` is plugged in nowhere; add a [switch.NAME] and `network = "NAME"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:3:9: router `r` has no interface; add [router.r.interface.NAME] with `network` and `addresses`
    "#);
}

#[test]
fn many_guests() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nstdin = { inherit = true }\n[guest.b]\nmodule = 'b'\n\
         stdin = { inherit = true }\n[guest.c]\nmodule = 'c'\ncount = 2\nstdin.inherit = true"), @r"
    labs/lab.toml:6:9: guests `a` and `b` both inherit the standard input; there is one terminal: give the others a text, a file, or nothing
    labs/lab.toml:10:1: guests `a` and `c` both inherit the standard input; there is one terminal: give the others a text, a file, or nothing
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 2\naddresses = '10.0.0.2/24'\n\
         mac = '02:00:00:00:00:01'\n[guest.a-1]\nmodule = 'b'"), @r"
    labs/lab.toml:4:13: replicas of a guest cannot all have the same address; replicas get theirs automatically, out of the switch's `subnets`
    labs/lab.toml:5:7: replicas of a guest cannot all have the same MAC address; replicas get theirs automatically, out of the switch's `subnets`
    labs/lab.toml:6:8: `a-1` names two guests; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 60_000\n[guest.b]\nmodule = 'a'\ncount = 60_000"), @"labs/lab.toml:6:9: more than 100000 guests; a machine runs out of memory mappings before");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 100_001\n[guest.name-of-thirty-two-characters-xx]\n\
         module = 'a'\ncount = 2"), @r"
    labs/lab.toml:3:9: count: `100001` is out of range; a whole number from 1 to 100000
    labs/lab.toml:4:8: the last replica's name, `name-of-thirty-two-characters-xx-1`, is too long; names are at most 32 characters
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 50\ngateway = '10.7.0.1'\n[switch.s]"), @"labs/lab.toml:4:11: the next hop 10.7.0.1 is on no subnet of guest `a`; the next hop is a neighbour: its addresses are 10.0.0.2/24");
}

#[test]
fn descriptors_for_what_is_handed_over() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ndescriptors = 6\ndirectories = { '/a' = 'x' }\n\
         listen = [{ bind = '0.0.0.0:80' }]\n[guest.b]\nmodule = 'b'\ndescriptors = 5"), @"labs/lab.toml:3:15: descriptors: 6 are too few for what is handed over to guest `a`: 3 standard streams, directories: 1, listeners and protocols: 3; 7 or more, and one for each connection and stream that it opens");
}

#[test]
fn one_mistake_in_a_table_does_not_hide_the_next() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[[expect]]\nwithin = 3\nexit = 'x'\nguset = 'a'\n\
         [[expect]]\nguest = 1\nwithin = 3\nfoo = 1\n[[expect]]\nnever = 'tcp'\nguest = 'a'\nfrom = 'x'\n\
         [[expect]]\npackets = 'tcp'\nat = 'a'\nfrom = '5s'\nuntil = '1s'"), @r#"
    labs/lab.toml:3:1: an expectation is about nothing; did you mean `guest`? it has exactly one of guest, packets, eventually, never, always, counter, ending, golden
    labs/lab.toml:4:10: within: an integer where a duration in quotes belongs; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:5:8: exit: `x` is no way to end; an exit code, or "trap", "fuel", "failed" or "stopped"
    labs/lab.toml:6:1: unknown key `guset` in an expectation; did you mean `guest`? known here: guest, exit, stdout, stdout_has, stderr, stderr_has, within, open, file, is, has, same_as, absent, packets, count, at, from, until, eventually, never, always, among, counter, reason, ending, golden, compare, sometimes
    labs/lab.toml:8:9: guest: an integer where a string belongs; put it in quotes
    labs/lab.toml:9:10: within: an integer where a duration in quotes belongs; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:10:1: unknown key `foo` in an expectation; known here: sometimes, guest, exit, stdout, stdout_has, stderr, stderr_has, within, open, file, is, has, same_as, absent
    labs/lab.toml:11:1: an expectation is about guest and never at once; it has exactly one of guest, packets, eventually, never, always, counter, ending, golden
    labs/lab.toml:13:9: nothing is expected of guest `a`; add one of exit, stdout, stdout_has, stderr, stderr_has, within, open, file
    labs/lab.toml:14:8: from: `x` is not a duration; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    labs/lab.toml:16:11: packets: how many is not said; `count = 3` or `count = "1..5"`; for at least one, and for none, there are `eventually` and `never`
    labs/lab.toml:19:9: until: is before `from`; the later time is `until`
    "#);
}

#[test]
fn a_mistake_is_shown_in_its_text() {
    let error = parse_located("[guest.a]\nmodul = 'a.wasm'\n", Path::new("lab.toml")).unwrap_err();
    let mut shown = String::new();
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()).with_width(100);
    handler.render_report(&mut shown, &error).unwrap();
    insta::assert_snapshot!(shown, @r#"
      × lab.toml: 2 mistakes

    Error: 
      × guest `a` has no `module`
       ╭─[lab.toml:1:8]
     1 │ [guest.a]
       ·        ┬
       ·        ╰── here
     2 │ modul = 'a.wasm'
       ╰────
      help: name its WebAssembly file: `module = "....wasm"`

    Error: 
      × unknown key `modul` in guest `a`
       ╭─[lab.toml:2:1]
     1 │ [guest.a]
     2 │ modul = 'a.wasm'
       · ──┬──
       ·   ╰── here
       ╰────
      help: did you mean `module`? known here: module, count, args, env, stdin, directories, network,
            link, addresses, mac, mtu, detect_duplicates, interface, gateway, routes, listen, connect,
            protocol, resolver, memory, cpu, fuel, descriptors, buffers, linger, start, address_wait,
            background
    "#);
}

#[test]
fn mistakes_are_told_in_the_order_of_the_file() {
    let error = parse_located("[link.l]\nends = 1\n[guest.a]\n[switch.s]\nx = 1\n", Path::new("lab.toml"));
    let Err(ScenarioError::Mistaken { mistakes, .. }) = error else { panic!("{error:?}") };
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert!(lines.is_sorted() && lines.len() >= 3, "{lines:?}");
}

#[test]
fn braces_that_look_like_ours_and_name_nothing() {
    insta::assert_snapshot!(mistakes("[ca.test]\n[guest.a]\nmodule = 'a'\nargs = ['--root', '{ca:tset}', '{other} {}']\nenv = { A = '{ca}', B = '{index}', C = 'x{CA:test}' }\nstdin = '{ca:test} {ca:}'"), @r#"
    labs/lab.toml:4:19: args: `{ca:tset}` names no authority of the lab; did you mean `test`?
    labs/lab.toml:5:13: env: `{ca}` names no authority of the lab; the root of a [ca.NAME], such as `{ca:test}`
    labs/lab.toml:5:25: env: `{index}` names nothing; it is the number of one of several replicas: give the guest a `count`, or leave it out
    labs/lab.toml:5:40: env: `{CA:test}` names no authority of the lab; the root of a [ca.NAME], such as `{ca:test}`
    labs/lab.toml:6:9: stdin: `{ca:}` names no authority of the lab; the root of a [ca.NAME], such as `{ca:test}`
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 3\nargs = ['{INDEX}', '{ca:test}']"), @r#"
    labs/lab.toml:4:9: args: `{INDEX}` is written in small letters; `{index}`
    labs/lab.toml:4:20: args: `{ca:test}` names no authority of the lab; add [ca.NAME], whose root `{ca:NAME}` is
    "#);
}
