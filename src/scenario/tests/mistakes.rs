//! Scenarios that are wrong, and what is said of them.

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
fn cables() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[switch.y]"), @r#"labs/lab.toml:1:8: `a` is plugged in nowhere; add `network = "x"`, or a [link.NAME] with it among its `ends`"#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'x'\n[switch.x]\n[link.l]\nends = ['a', 'x']"), @"labs/lab.toml:6:9: `a` is plugged in twice; a port takes one cable: its `network`, or one link; a switch joins more");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[link.l]\nends = ['a.eth1', 'x.0']\n[link.m]\n\
         ends = ['b', 'x']"), @r"
    labs/lab.toml:5:9: ends: `a` has no interface `eth1`; did you mean `eth0`? it has eth0
    labs/lab.toml:5:19: ends: `x.0` names a port of a switch; write `x`: its ports are numbered as links come
    labs/lab.toml:7:9: ends: there is no `b` to plug into; ends are `GUEST`, `GUEST.INTERFACE`, `ROUTER.INTERFACE`, `SWITCH` or `TAP`
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[switch.x]\n[switch.y]\n[switch.z]\n[link.l]\n\
         ends = ['x', 'y']\n[link.m]\nends = ['y', 'z']\n[link.n]\nends = ['z', 'x']\n[link.o]\n\
         ends = ['z', 'z']"), @r#"
    labs/lab.toml:1:8: `a` is plugged in nowhere; add `network = "x"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:10:7: link `n` closes a loop of switches; a broadcast would go round it for ever: these switches are joined already, so leave it out
    labs/lab.toml:13:14: link `o` leads back to where it begins; join two different ports
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[link.l]\nends = 'a'\n[link.m]\n[link.n]\nends = ['a', 1]"), @r#"
    labs/lab.toml:1:8: `a` is plugged in nowhere; add a [switch.NAME] and `network = "NAME"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:4:8: ends: not a list of two ports; the two ports that it joins, such as `ends = ["r1.wan", "r2.wan"]`
    labs/lab.toml:5:7: link `m` has no `ends`; the two ports that it joins, such as `ends = ["r1.wan", "r2.wan"]`
    labs/lab.toml:7:14: ends: an integer where a string belongs; put it in quotes
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nlink = { delay = '1ms' }\naddresses = '10.0.0.1/24'\n\
         [guest.b]\nmodule = 'b'\n[link.l]\nends = ['a', 'b']"), @"labs/lab.toml:3:8: `a` is joined by a link of its own; move them to the [link.NAME] that joins it");
    insta::assert_snapshot!(mistakes("[tap.t]\n[tap.u]\ndevice = 'a-name-too-long-for-a-device'\nnetwork = 'x'\n[tap.v]\n\
         device = 't'\nnetns = 'a/b'\nnetwork = 'x'\n[switch.x]"), @r#"
    labs/lab.toml:1:6: `t` is plugged in nowhere; add `network`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:3:10: device: `a-name-too-long-for-a-device` cannot name an interface; 1 to 15 letters, digits and the like, such as "gn0"
    labs/lab.toml:7:9: netns: `a/b` cannot name a network namespace; a name that `ip netns list` shows; leave it out for the current one
    "#);
    insta::assert_snapshot!(mistakes("[tap.t]\ndevice = 'gn0'\nnetwork = 'x'\n[tap.u]\ndevice = 'gn0'\nnetwork = 'x'\n\
         [switch.x]"), @"labs/lab.toml:5:10: taps `t` and `u` open the same device, `gn0`; a device is opened once: name another, or another `netns`");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nnetwork = 'x'\n[guest.a.interface.eth0]\nnetwork = 'x'\n\
         [switch.x]"), @"labs/lab.toml:4:20: guest `a` describes its eth0 twice; the keys network, link, addresses, mac, mtu in [guest.a] itself describe eth0");
}

#[test]
fn addresses() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         addresses = ['10.0.0.1', '10.0.0.0/24', '10.0.0.255/24', '224.0.0.1/4', '0.0.0.0/8', '10.0.0.1/33', 'fd00::/64', '::1/128']"), @r#"
    labs/lab.toml:3:14: addresses: `10.0.0.1` has no prefix length; an address with its subnet's prefix length, such as "10.0.0.2/24" or "fd00::2/64"
    labs/lab.toml:3:26: addresses: `10.0.0.0/24` is the address of its subnet itself; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:41: addresses: `10.0.0.255/24` is the broadcast address of its subnet; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:58: addresses: `224.0.0.1/4` is a multicast address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:73: addresses: `0.0.0.0/8` is the unspecified address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:86: addresses: `33` is not a prefix length of IPv4; 0 to 32
    labs/lab.toml:3:101: addresses: `fd00::/64` is the address of its subnet itself; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    labs/lab.toml:3:114: addresses: `::1/128` is a loopback address; an interface has a unicast address of its subnet, such as "10.0.0.2/24"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\naddresses = '10.0.0.2/24'\n[guest.b]\nmodule = 'b'\n\
         addresses = '10.0.0.2/24'"), @"labs/lab.toml:6:13: the address 10.0.0.2 is taken already; every interface of a lab has addresses of its own; leave `addresses` out for automatic ones");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmac = '02:00:00:00:00:07'\n[guest.b]\nmodule = 'b'\n\
         mac = '02:00:00:00:00:07'"), @"labs/lab.toml:6:7: mac: `a` has this address already; every interface of a lab has a MAC address of its own; leave it out for one");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         addresses = ['10.0.0.1/24', '10.0.0.2/24', '10.0.0.3/24', '10.0.0.4/24', '10.0.0.5/24', '10.0.0.6/24', '10.0.0.7/24', '10.0.0.8/24']"), @"labs/lab.toml:3:119: `a` has 9 addresses; an interface has at most 8, its IPv6 link-local address among them");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmtu = 1000\naddresses = ['10.0.0.2/24', 'fd00::2/64']"), @"labs/lab.toml:4:29: fd00::2/64 needs an MTU of 1280, and `a` has 1000; IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`, or have IPv4 alone");
    insta::assert_snapshot!(mistakes("[switch.x]\nsubnets = ['10.0.0.1/24', '0.0.0.0/0', '10.0.0.0/30']\n[guest.a]\n\
         module = 'a'\n[guest.b]\nmodule = 'b'"), @r#"
    labs/lab.toml:2:12: subnets: `10.0.0.1/24` has bits set beyond its prefix; the subnet is "10.0.0.0/24"
    labs/lab.toml:2:27: subnets: `0.0.0.0/0` has no addresses to give out; a unicast subnet with a prefix length of 8 or more, such as "10.0.0.0/24" or "fd00::/64"
    labs/lab.toml:5:8: the subnet 10.0.0.0/30 has no address left for `b`; give its switch larger `subnets`
    "#);
    insta::assert_snapshot!(mistakes("[switch.x]\nsubnets = '10.0.0.0/30'\n[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'"), @"labs/lab.toml:5:8: the subnet 10.0.0.0/30 has no address left for `b`; give its switch larger `subnets`");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'\n[link.l]\nends = ['a', 'b']"), @r#"
    labs/lab.toml:1:8: `a` has no address; add `addresses = ["10.9.0.1/30"]`; they are automatic on switches alone, or where the other end has some. `addresses = []` leaves it with its IPv6 link-local address
    labs/lab.toml:3:8: `b` has no address; add `addresses = ["10.9.0.1/30"]`; they are automatic on switches alone, or where the other end has some. `addresses = []` leaves it with its IPv6 link-local address
    "#);
}

#[test]
fn no_addresses() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nmtu = 1000\naddresses = []"), @"labs/lab.toml:1:8: `a` has no address; with an MTU below 1280 it cannot have IPv6 addresses: add one of IPv4, or raise `mtu`");
    insta::assert_snapshot!(mistakes("[switch.s]\nsubnets = 'fd00::/64'\n[guest.a]\nmodule = 'a'\nmtu = 1000"), @"labs/lab.toml:3:8: `a` has no address; with an MTU below 1280 it cannot have IPv6 addresses: add one of IPv4, or raise `mtu`");
}

#[test]
fn routes() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ngateway = ['10.1.0.1', '10.0.0.2', 'x']"), @r#"
    labs/lab.toml:3:12: the next hop 10.1.0.1 is on no subnet of guest `a`; the next hop is a neighbour: its addresses are 10.0.0.2/24
    labs/lab.toml:3:24: guest `a` has two routes to 0.0.0.0/0; a destination has one next hop (`gateway` is the default route)
    labs/lab.toml:3:24: the next hop 10.0.0.2 is an address of guest `a` itself; name the router's address
    labs/lab.toml:3:36: gateway: `x` is not an IP address; such as "10.0.0.1" or "fd00::1"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ngateway = '10.0.0.1'\n\
         routes = [{ to = '0.0.0.0/0', via = '10.0.0.3' }, { to = '10.1.0.1/16', via = '10.0.0.1' }, { to = '::/0', via = '10.0.0.1' }]"), @r#"
    labs/lab.toml:4:11: guest `a` has two routes to 0.0.0.0/0; a destination has one next hop (`gateway` is the default route)
    labs/lab.toml:4:58: to: `10.1.0.1/16` has bits set beyond its prefix; the subnet is "10.1.0.0/16"
    labs/lab.toml:4:114: the route to ::/0 leads over 10.0.0.1, of another family; the next hop is of the destination's family
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\naddresses = '10.0.0.2/24'\ngateway = 'fd00::1'\n[router.r]\n\
         gateway = '10.9.9.9'\n[router.r.interface.i]\nnetwork = 'lan'\n[switch.lan]"), @r"
    labs/lab.toml:4:11: the next hop fd00::1 is on no subnet of guest `a`; guest `a` has no address of that family
    labs/lab.toml:6:11: the next hop 10.9.9.9 is on no subnet of router `r`; the next hop is a neighbour: its addresses are 10.0.0.1/24
    ");
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         routes = [{ to = '10.1.0.0/16', via = '10.0.0.1' }, { to = '10.2.0.0/16', via = '10.0.0.1' }, { to = '10.3.0.0/16', via = '10.0.0.1' }, { to = '10.4.0.0/16', via = '10.0.0.1' }, { to = '10.5.0.0/16', via = '10.0.0.1' }, { to = '10.6.0.0/16', via = '10.0.0.1' }, { to = '10.7.0.0/16', via = '10.0.0.1' }, { to = '10.8.0.0/16', via = '10.0.0.1' }, { to = '10.9.0.0/16', via = '10.0.0.1' }, { to = '10.10.0.0/16', via = '10.0.0.1' }, { to = '10.11.0.0/16', via = '10.0.0.1' }, { to = '10.12.0.0/16', via = '10.0.0.1' }, { to = '10.13.0.0/16', via = '10.0.0.1' }, { to = '10.14.0.0/16', via = '10.0.0.1' }, { to = '10.15.0.0/16', via = '10.0.0.1' }, { to = '10.16.0.0/16', via = '10.0.0.1' }, { to = '10.17.0.0/16', via = '10.0.0.1' }]"), @"labs/lab.toml:3:690: guest `a` has more than 16 routes; let a router do the routing, and keep a default route to it");
}

#[test]
fn protocols_over_others() {
    let lab = |tables: &str| mistakes(&format!("[guest.a]\nmodule = 'a'\n{tables}"));
    insta::assert_snapshot!(lab("[guest.a.protocol.p]\nkind = 'proxy-protocol'"), @r#"labs/lab.toml:3:19: protocol `p` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`"#);
    insta::assert_snapshot!(lab("[guest.a.protocol.proxy-protocol]\nover = 'ip4'\n[guest.a.protocol.ipv4]\nover = 'p'"), @r"
    labs/lab.toml:4:8: over: guest `a` has no protocol `ip4`; did you mean `ipv4`? it has ipv4
    labs/lab.toml:6:1: unknown key `over` in protocol `ipv4` of guest `a`; known here: kind, private, bind, connect, accept, deny
    ");
    insta::assert_snapshot!(lab("[guest.a.protocol.p]\nkind = 'proxy-protocol'\nover = 'q'\nbind = '*:1'\n\
         [guest.a.protocol.q]\nkind = 'proxy-protocol'\nover = 'p'\nfrom = '10.0.0.1'"), @r#"
    labs/lab.toml:5:8: over: q stands on itself: q -> p -> q; let one of them stand on a protocol of kind ipv4 or ipv6
    labs/lab.toml:6:1: unknown key `bind` in protocol `p` of guest `a`; did you mean `kind`? known here: kind, private, from, over
    labs/lab.toml:9:8: over: p stands on itself: p -> q -> p; let one of them stand on a protocol of kind ipv4 or ipv6
    labs/lab.toml:10:8: from: `10.0.0.1` has no prefix length; a subnet such as "10.0.0.0/24" or "fd00::/64"
    "#);
}

#[test]
fn protocols_stand_only_so_deep() {
    let lab = |layers: usize, base: &str| {
        let mut text = "[guest.a]\nmodule = 'a'\n[guest.a.protocol]\nipv4 = {}\n".to_owned();
        for number in 1..=layers {
            let below = if number == 1 { base.to_owned() } else { format!("p{}", number - 1) };
            text += &format!("p{number} = {{ kind = 'yamux', over = '{below}' }}\n");
        }
        text
    };
    assert!(parse(&lab(16, "ipv4")).is_ok());
    // Told once, and without recursion, however deep it goes on.
    for layers in [17, 3_000] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(mistakes(&lab(layers, "ipv4")), @"labs/lab.toml:21:32: over: p17 is the 17th protocol over one another; at most 16 may stand over ipv4, ipv6, ip or unix");
        }
    }
    assert_eq!(mistakes(&lab(3_000, "nothing")).lines().count(), 1);
    let round = mistakes(&lab(40, "p40"));
    assert_eq!(round.lines().count(), 40, "{round}");
    let first = round.lines().next().unwrap();
    assert!(first.contains("p40 -> p39 -> ") && first.contains("p24 -> ... -> p40"), "{first}");
}

/// What is missing does not hide what is misspelt.
#[test]
fn misspelt_keys_of_layers() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\nprotocol.ipv4 = {}\n\
         protocol.tls = { ovr = 'ipv4', certificat = [{ ca = 'test' }] }\nprotocol.socks5 = { over = 'ipv4', sever = 'a:1' }\n\
         protocol.quic = { ovr = 'ipv4' }\n[ca.test]"), @r#"
    labs/lab.toml:4:10: protocol `tls` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`
    labs/lab.toml:4:18: unknown key `ovr` in protocol `tls` of guest `a`; did you mean `over`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, versions, over
    labs/lab.toml:4:32: unknown key `certificat` in protocol `tls` of guest `a`; did you mean `certificate`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, versions, over
    labs/lab.toml:5:10: protocol `socks5` of guest `a` has no `server`; the proxy's host and port: `server = "10.0.0.9:1080"`
    labs/lab.toml:5:36: unknown key `sever` in protocol `socks5` of guest `a`; did you mean `server`? known here: kind, private, server, user, password, connect, deny, over
    labs/lab.toml:6:10: protocol `quic` of guest `a` has no `over`; name the guest's protocol that it stands on: `over = "ipv4"`
    labs/lab.toml:6:19: unknown key `ovr` in protocol `quic` of guest `a`; did you mean `over`? known here: kind, private, certificate, alpn, roots, client_roots, clients, server_name, resumption, timeout, early_data, streams, unidirectional_streams, stream_window, window, idle_timeout, keep_alive, retry, migration, congestion, qlog, over
    "#);
}

#[test]
fn proxies() {
    let lab = |keys: &str| {
        mistakes(&format!(
            "[guest.a]\nmodule = 'a'\nprotocol.ipv4.private = true\n[guest.a.protocol.p]\nover = 'ipv4'\n{keys}"
        ))
    };
    insta::assert_snapshot!(lab("kind = 'socks5'"), @r#"labs/lab.toml:4:19: protocol `p` of guest `a` has no `server`; the proxy's host and port: `server = "10.0.0.9:1080"`"#);
    insta::assert_snapshot!(lab("kind = 'http-connect'\nserver = 'proxy'\nuser = 'me'"), @r#"
    labs/lab.toml:7:10: server: `proxy` is not a host and port; such as "10.0.0.9:1080", "[fd00::9]:1080" or "proxy.example:1080"
    labs/lab.toml:8:8: a `user` without a `password`; add `password = "..."`
    "#);
    insta::assert_snapshot!(lab("kind = 'socks5'\nserver = '10.0.0.1:1080'\nuser = ''\npassword = \"a\\nb\"\nbind = '*:*'"), @r#"
    labs/lab.toml:8:8: user: is no user or password; 1 to 255 bytes, none of them control characters
    labs/lab.toml:9:12: password: is no user or password; 1 to 255 bytes, none of them control characters
    labs/lab.toml:10:1: unknown key `bind` in protocol `p` of guest `a`; did you mean `kind`? known here: kind, private, server, user, password, connect, deny, over
    "#);
}

#[test]
fn protocols_and_listeners() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.web]\n[guest.a.protocol.ipv5]\nkind = 'ipv5'"), @r#"
    labs/lab.toml:3:19: protocol `web` of guest `a` is of no known kind; add `kind = ...`: "ip", "ipv4", "ipv6", "icmp", "unix", "socks5", "http-connect", "tls", "quic", "yamux" or "proxy-protocol"
    labs/lab.toml:5:8: kind: `ipv5` is no kind of protocol; "ip", "ipv4", "ipv6", "icmp", "unix", "socks5", "http-connect", "tls", "quic", "yamux" or "proxy-protocol"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.ipv4]\n\
         bind = ['80', '*:99999', '*:9-1', 'fd00::1:80', '[fd00::]:80', '10.0.0.1/8:80']"), @r#"
    labs/lab.toml:4:9: bind: `80` names no ports; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:15: bind: `*:99999` has no ports in `99999`; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:26: bind: `*:9-1` has its ports the wrong way round: 9-1; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:35: bind: `fd00::1:80` needs brackets around its IPv6 addresses; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    labs/lab.toml:4:49: fd00::/128 is of another family than the protocol, ipv4; give it to the other protocol, or write `*` for any address
    labs/lab.toml:4:64: bind: `10.0.0.1/8:80` has bits set beyond its prefix: 10.0.0.0/8 is meant; addresses or a name, and ports, such as "*:80", "10.0.0.0/8:1024-65535", "[fd00::/64]:*" or "*.example.org:443"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '0.0.0.0' }, { bind = '[::]:80', protocol = 'ipv4' }, { bind = '[::]:80', protocol = 'ipv7' }]"), @r#"
    labs/lab.toml:3:20: bind: `0.0.0.0` is not an address and port; such as "0.0.0.0:80", "[::]:80" or "/run/web.sock"
    labs/lab.toml:3:42: bind: [::]:80 is of another family than protocol `ipv4`; name a protocol of kind ipv6, or leave `protocol` out
    labs/lab.toml:3:83: guest `a` listens on [::]:80 twice; one listener takes an address, port and kind
    labs/lab.toml:3:105: protocol: guest `a` has no protocol `ipv7`; did you mean `ipv4`? it has ipv4, ipv6
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '10.0.0.9:80' }, { bind = '0.0.0.0:80', name = 'ipv4' }, { bind = '0.0.0.0:80', kind = 'raw' }]"), @r#"
    labs/lab.toml:3:20: bind: 10.0.0.9 is no address of guest `a`; it has 10.0.0.2/24; `0.0.0.0` is any address
    labs/lab.toml:3:67: `ipv4` names two descriptors of guest `a`; listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:3:86: guest `a` listens on 0.0.0.0:80 twice; one listener takes an address, port and kind
    labs/lab.toml:3:107: kind: `raw` is no kind of socket; "stream" or "datagram"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '[::]:80' }, { bind = '0.0.0.0:81', backlog = 0 }]\n\
         protocol.ipv4.bind = '*:80'"), @r"
    labs/lab.toml:3:20: guest `a` has no ipv6 protocol to listen on [::]:80 with; add [guest.a.protocol.ipv6]
    labs/lab.toml:3:42: bind: the policy of protocol `ipv4` does not allow 0.0.0.0:81; add it to the `bind` of protocol `ipv4`
    labs/lab.toml:3:66: backlog: `0` is out of range; a whole number from 1 to 65535
    ");
}

#[test]
fn connections() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[[guest.a.connect]]\nport = 80"), @r#"
    labs/lab.toml:3:1: a connection of guest `a` has no `address`; the peer's address and port: `address = "10.0.0.2:80"`
    labs/lab.toml:4:1: unknown key `port` in a connection of guest `a`; known here: name, address, protocol, kind, bind, retry
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         connect = [{ address = '10.0.0.3:0' }, { address = '10.0.0.3:80', bind = '[::]:0', name = 'ipv6' }, { address = 'web:80', retry = 5 }]"), @r#"
    labs/lab.toml:3:24: address: 10.0.0.3:0 has port 0; name the port that the peer listens on
    labs/lab.toml:3:74: bind: [::]:0 is of another family than 10.0.0.3:80; leave `bind` out for any address of the right one
    labs/lab.toml:3:91: `ipv6` names two descriptors of guest `a`; connections, listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:3:131: retry: an integer where a duration in quotes belongs; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n\
         listen = [{ bind = '0.0.0.0:80', name = 'x' }]\n\
         connect = [{ address = '10.0.0.3:81', name = 'x' }, { address = '[fd00::3]:80' }, { address = '10.0.0.3:80', bind = '10.0.0.9:80' }]\n\
         protocol.ipv4 = { bind = '*:80', connect = '*:80' }"), @r"
    labs/lab.toml:4:24: address: the policy of protocol `ipv4` does not allow 10.0.0.3:81; add it to the `connect` of protocol `ipv4`
    labs/lab.toml:4:46: `x` names two descriptors of guest `a`; connections, listeners and protocols share one space of names: the guest tells them apart by nothing else
    labs/lab.toml:4:65: guest `a` has no ipv6 protocol to connect to [fd00::3]:80 with; add [guest.a.protocol.ipv6]
    labs/lab.toml:4:117: bind: 10.0.0.9 is no address of guest `a`; it has 10.0.0.2/24; `0.0.0.0` is any address
    ");
}

#[test]
fn unix_sockets() {
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\n[guest.a.protocol.unix]\n\
         bind = ['run/*', '/ok/**']\nconnect = 5\nhost = { 'run' = 'x', '/run' = 7, '/host' = 'y' }\n\
         deny = { connect = ['a', '/b'], accept = '/c' }\ncolour = 1"), @r#"
    labs/lab.toml:4:9: bind: `run/*` matches no path; it begins with `/` or `*` and has at most 256 bytes: "/run/echo.sock", "/run/*", "/run/**"
    labs/lab.toml:5:11: connect: an integer where a string belongs; put it in quotes
    labs/lab.toml:6:10: host: `run` is no path of a socket; at most 107 bytes that begin with `/`, without empty parts, `.` and `..`, such as "/run/echo.sock"
    labs/lab.toml:6:32: host: an integer where a string belongs; put it in quotes
    labs/lab.toml:7:21: connect: `a` matches no path; it begins with `/` or `*` and has at most 256 bytes: "/run/echo.sock", "/run/*", "/run/**"
    labs/lab.toml:7:33: unknown key `accept` in `deny`; known here: bind, connect
    labs/lab.toml:8:1: unknown key `colour` in protocol `unix` of guest `a`; known here: kind, private, bind, connect, deny, link, host
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ninterface.unix0 = {}\n\
         listen = [{ bind = '/run/../x' }, { bind = '/run/a' }, { bind = '/run/a', kind = 'datagram' }, { bind = '/etc/a' }]\n\
         connect = [{ address = '/run/b' }, { address = '/etc/b', bind = '0.0.0.0:0' }]\n\
         [guest.a.protocol.unix]\nbind = '/run/*'\nconnect = '/run/*'\nlink = { delay = '1ms' }\n\
         [guest.a.protocol.other]\nkind = 'unix'\nlink = {}"), @r#"
    labs/lab.toml:3:11: interface `unix0` is that of the protocols of kind unix; give it another name
    labs/lab.toml:3:11: `a.unix0` is plugged in nowhere; add `network = "lan"`, or a [link.NAME] with it among its `ends`
    labs/lab.toml:4:20: bind: `/run/../x` is no path of a socket; at most 107 bytes that begin with `/`, without empty parts, `.` and `..`, such as "/run/echo.sock"
    labs/lab.toml:4:65: guest `a` listens on /run/a twice; one listener takes an address, port and kind
    labs/lab.toml:4:105: bind: the policy of protocol `unix` does not allow /etc/a; add it to the `bind` of protocol `unix`
    labs/lab.toml:5:48: address: the policy of protocol `unix` does not allow /etc/b; add it to the `connect` of protocol `unix`
    labs/lab.toml:5:65: bind: 0.0.0.0:0 is of another family than /etc/b; leave `bind` out for any address of the right one
    labs/lab.toml:12:8: link: there is one already; all protocols of kind unix leave by one interface: give it its link once
    "#);
    insta::assert_snapshot!(mistakes("[guest.a]\nmodule = 'a'\ncount = 2\nlisten = [{ bind = '/run/a' }]\nprotocol.unix = {}\n\
         [guest.b]\nmodule = 'b'\nlisten = [{ bind = '/run/a' }]\n[switch.unix]"), @r"
    labs/lab.toml:4:20: all 2 of guest `a` listen on /run/a; a path is bound once in the lab
    labs/lab.toml:5:10: `unix` names two switches; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    labs/lab.toml:8:20: guest `b` has no unix protocol to listen on /run/a with; add [guest.b.protocol.unix]
    ");
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
fn address_configuration() {
    insta::assert_snapshot!(mistakes("[switch.lan]\n[router.r]\n[router.r.interface.lan]\nnetwork = 'lan'\naddresses = ['dhcp', '10.0.0.1/24']\nadvertise = 1\n\
         [guest.a]\nmodule = 'a'\nadvertise = true\naddresses = 'dchp'\nmtu = 1000\n[guest.b]\nmodule = 'b'\naddresses = 'slaac'\nmtu = 1000"), @r#"
    labs/lab.toml:5:14: addresses: "dhcp" is for guests, and this is a router; an address with its subnet's prefix length
    labs/lab.toml:6:13: advertise: an integer where a boolean or a table belongs; `advertise = true`, or `advertise = { lifetime = "30min" }`
    labs/lab.toml:9:1: unknown key `advertise` in guest `a`; known here: module, count, args, env, stdin, directories, network, link, addresses, mac, mtu, detect_duplicates, interface, gateway, routes, listen, connect, protocol, resolver, memory, cpu, fuel, descriptors, buffers, linger, start, address_wait, background
    labs/lab.toml:10:13: addresses: `dchp` is no source of addresses; "dhcp", "slaac", or an address with its subnet's prefix length
    labs/lab.toml:14:13: addresses: "slaac" needs an MTU of 1280, and this is 1000; IPv6 needs links of 1280 bytes (RFC 8200): raise `mtu`
    "#);
    insta::assert_snapshot!(mistakes("[switch.lan]\nsubnets = '10.0.0.0/24'\n[router.r]\n[router.r.interface.lan]\nnetwork = 'lan'\nadvertise = { interval = '1s', valid = '1h', preferred = '2h', dns = '10.0.0.1' }\n\
         [dhcp.d]\nrange = '10.0.0.9-10.0.0.1'\nlease = '1.5s'\nrouter = '10.1.0.1'\n[dhcp.e]\nrange = '10.0.1.1-10.0.1.2'\nreservations = { x = '10.0.0.9', lan = 1 }\n[dhcp.f]\naddresses = '10.0.0.77/32'\n\
         [guest.a]\nmodule = 'a'"), @r#"
    labs/lab.toml:6:13: advertise: addresses would be preferred for longer than they are valid; `preferred` is at most `valid`
    labs/lab.toml:6:13: advertise: there is no prefix to advertise; add an address of IPv6 to the interface: its prefix is what is advertised
    labs/lab.toml:6:26: interval: 1s is out of range; from 4s to 1800s
    labs/lab.toml:6:70: dns: 10.0.0.1 is not of IPv6; such as "fd00::1"
    labs/lab.toml:8:9: range: `10.0.0.9-10.0.0.1` runs backwards; the first and the last address, such as "10.0.0.100-10.0.0.199"
    labs/lab.toml:9:9: lease: 1.5s is no length of a lease; whole seconds, "4s" or more
    labs/lab.toml:10:10: router: 10.1.0.1 is outside of 10.0.0.0/24; clients can reach what is on their subnet
    labs/lab.toml:12:9: DHCP server `e` has no address to give leases with; it has 10.0.0.3/24: a range of that subnet
    labs/lab.toml:13:40: reservations: an integer where a string belongs; put it in quotes
    labs/lab.toml:14:7: DHCP server `f` has no range to give out of 10.0.0.77/32; a subnet of more addresses
    "#);
    insta::assert_snapshot!(mistakes("[switch.lan]\n[dhcp.d]\n[guest.d]\nmodule = 'a'\n[guest.a]\nmodule = 'a'\n[[at]]\ntime = '1s'\ndhcp = { server = 'x', revoke = 'a' }\n[[at]]\ntime = '1s'\ndhcp = { server = 'd', range = '10.9.0.1-10.9.0.9' }\n\
         [[at]]\ntime = '1s'\ndhcp = { server = 'd' }\n[[at]]\ntime = '1s'\nrebind = { router = 'd', interface = 'eth0', addresses = '10.0.0.9/24' }"), @r#"
    labs/lab.toml:2:7: `d` names a guest and a DHCP server; guests, switches, routers, services and TAPs share one space of names: links and captures tell them apart by nothing else
    labs/lab.toml:9:19: dhcp: there is no DHCP server `x`; there are: d
    labs/lab.toml:12:32: range: is not within 10.0.0.0/24; a range of the server's own subnet
    labs/lab.toml:15:8: dhcp: changes nothing; `range`, the addresses that it gives from now on, or `revoke`, guests whose leases end
    labs/lab.toml:18:21: rebind: there is no guest `d`; there are: d, a
    "#);
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

#[test]
fn rules_by_name_that_nobody_could_meet() {
    insta::assert_snapshot!(mistakes("[hosts]\n'www.example.org' = '10.0.0.9'\n[guest.a]\nmodule = 'a'\n[guest.a.protocol.ipv4]\nbind = ['a:80', 'b:80', 'www.example.org:*']\naccept = ['*.example.org:*', 'example.org:*', 'localhost:*']\ndeny = { accept = '*.a:1', connect = 'anything.example:*' }"), @r#"
    labs/lab.toml:6:17: bind: b:80 is about no name of the lab or of `hosts`; no other leads to addresses of the guest's own: write addresses, or add the name to `hosts`
    labs/lab.toml:7:30: accept: example.org:* is about no name of the lab or of `hosts`; nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`
    labs/lab.toml:8:19: accept: *.a:1 is about no name of the lab or of `hosts`; nobody is asked for the names of those who come in: write addresses, or add the name to `hosts`
    "#);
}
