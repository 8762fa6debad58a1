//! Linux's tools for paths, across two routers of the lab with a narrow line between them: ping, traceroute by UDP, ICMP
//! and TCP, tracepath. And guests that ping Linux.
//!
//! ```text
//! [Linux] -- 1500 -- r1 -- 1280 -- r2 -- 1500 -- guest
//! ```

use crate::common::capture::{OURS, check, count};
use crate::common::lab::{Lab, Site};

const PATH: &str = r#"
[guest.near]
module = "GUESTS/idle.wasm"
network = "lan"

[switch.far]
subnets = ["10.2.0.0/24", "fd00:2::/64"]

[guest.target]
module = "GUESTS/idle.wasm"
network = "far"
addresses = ["10.2.0.9/24", "fd00:2::9/64"]

[router.r1]
routes = [{ to = "10.2.0.0/24", via = "10.1.0.2" }, { to = "fd00:2::/64", via = "fd00:1::2" }]
[router.r1.interface.lan]
network = "lan"
addresses = ["10.0.0.250/24", "fd00::250/64"]
[router.r1.interface.mid]
addresses = ["10.1.0.1/24", "fd00:1::1/64"]
mtu = 1280

[router.r2]
routes = [{ to = "10.0.0.0/24", via = "10.1.0.1" }, { to = "fd00::/64", via = "fd00:1::1" }]
[router.r2.interface.mid]
addresses = ["10.1.0.2/24", "fd00:1::2/64"]
mtu = 1280
[router.r2.interface.far]
network = "far"

[link.mid]
ends = ["r1.mid", "r2.mid"]
"#;
const ADDRESSES: [&str; 2] = ["10.2.0.9", "fd00:2::9"];
/// Where each hop answers from.
const HOPS: [[&str; 3]; 2] =
    [["10.0.0.250", "10.1.0.2", "10.2.0.9"], ["fd00::250", "fd00:1::2", "fd00:2::9"]];

fn lab() -> Lab {
    let site = Site::new();
    site.namespace.run("ip route add 10.2.0.0/24 via 10.0.0.250");
    site.namespace.run("ip -6 route add fd00:2::/64 via fd00::250");
    site.ready(PATH)
}

#[test]
fn traceroute_finds_every_hop() {
    let mut lab = lab();
    for (address, hops) in ADDRESSES.into_iter().zip(HOPS) {
        for method in ["-U -p 33434", "-I", "-T -p 9"] {
            let line = format!("traceroute -n -q 1 -N 1 -w 10 {method} {address}");
            let told = lab.namespace().run(&line);
            let found: Vec<&str> =
                told.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
            assert_eq!(found, hops, "{line}:\n{told}");
            // `!H`, `!N` and the like would follow the time.
            assert!(!told.contains('!') && told.contains(" ms"), "{line}:\n{told}");
        }
    }
    lab.finish();
    check(&lab.capture());
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    // Two routers, three methods.
    assert!(ours("icmp.type == 11 && icmp.code == 0") >= 6);
    assert!(ours("icmpv6.type == 3 && icmpv6.code == 0") >= 6);
    assert!(ours("tcp.flags.reset == 1") >= 2);
}

#[test]
fn tracepath_finds_the_narrow_line() {
    let mut lab = lab();
    for (address, hops) in ADDRESSES.into_iter().zip(HOPS) {
        let told = lab.namespace().run(&format!("tracepath -n {address}"));
        assert!(told.contains("pmtu 1280"), "{told}");
        for hop in hops {
            assert!(told.contains(hop), "{hop}:\n{told}");
        }
        assert!(told.contains("Resume: pmtu 1280 hops 3 back 3"), "{told}");
    }
    lab.finish();
    check(&lab.capture());
}

#[test]
fn ping_is_told_what_a_path_does_not_take() {
    let mut lab = lab();
    let said = |line: &str| {
        let output = lab.namespace().command(line).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    for (address, [first, ..]) in ADDRESSES.into_iter().zip(HOPS) {
        // r2 asks for its neighbour, and keeps few packets until that answers: fewer than the fragments below.
        let short = said(&format!("ping -n -c 1 -W 10 {address}"));
        assert!(short.contains(" 0% packet loss"), "{short}");
        let expired = said(&format!("ping -n -c 1 -W 10 -t 1 {address}"));
        assert!(expired.contains(&format!("From {first} ")) && expired.contains("exceeded"), "{expired}");
        let narrow = said(&format!("ping -n -c 1 -W 10 -M do -s 1400 {address}"));
        assert!(narrow.contains(&format!("From {first} ")) && narrow.contains("1280"), "{narrow}");
        // Over IPv6 the first answer teaches the guest how narrow the path back is, and is lost.
        said(&format!("ping -n -c 1 -W 1 -M dont -s 4000 {address}"));
        // Cut by Linux, by r1 or by the guest, and put together again.
        let cut = said(&format!("ping -n -c 2 -i 0.2 -W 10 -M dont -s 4000 {address}"));
        assert!(cut.contains(" 0% packet loss"), "{cut}");
    }
    let nobody = said("ping -n -c 1 -W 10 10.2.0.77");
    assert!(nobody.contains("Destination Host Unreachable"), "{nobody}");
    lab.finish();
}

#[test]
fn guests_ping_linux() {
    let guest = |name: &str, args: &str| {
        format!("[guest.{name}]\nmodule = \"GUESTS/ping.wasm\"\nargs = [{args}]\nprotocol.icmp = {{}}\n")
    };
    let guests = guest("four", "\"10.0.0.1\", \"5\", \"50\"")
        + &guest("six", "\"fd00::1\", \"5\", \"50\", \"3000\"")
        + &guest("nobody", "\"10.0.0.99\", \"4\"");
    let mut lab = Site::new().start(&guests);
    let ended = lab.end();
    for guest in ["four", "six"] {
        let line =
            format!("{guest}: 5 packets transmitted, 5 received, 0 duplicates, 0 errors, 0% packet loss");
        assert!(ended.stdout.contains(&line), "{ended:?}");
    }
    assert!(ended.stdout.contains("nobody: Host is unreachable"), "{ended:?}");
    check(&lab.capture());
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    // Each at the guest's port and at the TAP's.
    assert!(ours("icmp.type == 8 && ip.src == 10.0.0.2") >= 5 * 2);
    assert!(ours("icmpv6.type == 128 && ipv6.src == fd00::3") >= 5 * 2);
}
