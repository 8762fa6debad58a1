//! Neighbours and echo, for IPv4 and IPv6.

use crate::common::capture::{OURS, count};
use crate::common::lab::Site;

const IDLE: &str = "[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n";

#[test]
fn ping_is_answered_over_both_families() {
    let mut lab = Site::new().ready(IDLE);
    for ping in [
        "ping -n -c 3 -i 0.1 10.0.0.2",
        "ping -n -6 -c 3 -i 0.1 fd00::2",
        "ping -n -c 2 -i 0.1 -s 1472 10.0.0.2",
    ] {
        let told = lab.namespace().run(ping);
        assert!(told.contains(" 0% packet loss"), "{told}");
    }
    // The link-local address, which is that of the guest's MAC.
    lab.namespace().run("ping -n -6 -c 1 -W 5 fe80::ff:fe00:1%gn0");
    lab.finish();
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(ours("arp.opcode == 2 && arp.src.proto_ipv4 == 10.0.0.2") >= 1);
    assert!(ours("icmpv6.type == 136 && icmpv6.nd.na.target_address == fd00::2") >= 1);
    // Each is seen at the guest's port, where it leaves, and at the TAP's, where it arrives.
    assert!(ours("icmp.type == 0") >= 5 * 2);
    assert!(ours("icmpv6.type == 129") >= 4 * 2);
    assert!(ours("icmp.type == 0 && frame.len == 1514") >= 2 * 2);
}

#[test]
fn a_lab_finds_its_linux_neighbour_by_itself() {
    // The guest speaks first, so it asks; nobody listens there.
    let mut lab = Site::new().start(
        "[guest.v4]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"10.0.0.1:7\"]\n\
         [guest.v6]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"[fd00::1]:7\"]\n",
    );
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(1));
    for (guest, address) in [("v4", "10.0.0.1:7"), ("v6", "[fd00::1]:7")] {
        let line = format!("{guest}: echo_client.wasm: {address}: Connection refused");
        assert!(ended.stderr.contains(&line), "{}", ended.stderr);
    }
    crate::common::capture::check(&lab.capture());
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(ours("arp.opcode == 1 && arp.dst.proto_ipv4 == 10.0.0.1") >= 1);
    assert!(ours("icmpv6.type == 135 && icmpv6.nd.ns.target_address == fd00::1") >= 1);
}
