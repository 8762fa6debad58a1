//! A guest, and Linux as a router to a link that takes less than the guest's own: who is told learns, over both families.
//!
//! ```text
//! guest -- 1500 -- [Linux] -- 1280 -- [Linux in a namespace of its own, which could take 1500]
//! ```

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::common::capture::{OURS, check_ours, count};
use crate::common::lab::Site;
use crate::common::namespace::Namespace;

use super::bulk::pattern;

/// Whether somebody waits to be accepted.
fn readable(listener: &TcpListener) -> bool {
    let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn a_guest_learns_from_linux_what_its_path_takes() {
    let site = Site::new();
    let far = Namespace::new();
    // Its own TAP has the addresses of the guest's network.
    far.run("ip link del gn0");
    let router = &site.namespace;
    for command in [
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1".to_owned(),
        format!("ip link add veth0 mtu 1280 type veth peer name veth1 netns {}", far.name),
        "ip address add 10.77.0.1/24 dev veth0".to_owned(),
        "ip address add fd77::1/64 dev veth0 nodad".to_owned(),
        "ip link set veth0 up".to_owned(),
    ] {
        router.run(&command);
    }
    for command in [
        "ip link set veth1 mtu 1500 up",
        "ip address add 10.77.0.2/24 dev veth1",
        "ip address add fd77::2/64 dev veth1 nodad",
        "ip route add default via 10.77.0.1",
        "ip route add default via fd77::1",
    ] {
        far.run(command);
    }
    let listeners = far
        .inside(|| ["10.77.0.2:5001", "[fd77::2]:5001"].map(|address| TcpListener::bind(address).unwrap()));
    let guest = |name: &str, address: &str| {
        format!(
            "[guest.{name}]\nmodule = \"GUESTS/bulk_sender.wasm\"\nargs = [\"{address}\", \"1\", \"check\"]\n\
             gateway = [\"10.0.0.1\", \"fd00::1\"]\n\
             [guest.{name}.protocol]\nipv4 = {{ connect = \"*:*\" }}\nipv6 = {{ connect = \"*:*\" }}\n"
        )
    };
    let mut lab = site.start(&(guest("v4", "10.77.0.2:5001") + &guest("v6", "[fd77::2]:5001")));
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
        lab.wait_until("a connection", |_| readable(&listener));
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got == pattern(1_000_000), "{} bytes", got.len());
    }
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    // Of a segment that Linux quotes in part, tshark sums up what is there.
    check_ours(&lab.capture());
    let seen = |filter: &str| count(&lab.capture(), filter);
    assert!(seen("icmp.type == 3 && icmp.code == 4 && icmp.mtu == 1280") > 0);
    assert!(seen("icmpv6.type == 2 && icmpv6.mtu == 1280") > 0);
    let ours = |filter: &str| seen(&format!("{OURS} && {filter}"));
    assert!(ours("tcp.len > 0 && ip.len == 1280 && ip.src == 10.0.0.2") > 100);
    assert!(ours("tcp.len > 0 && ipv6.plen == 1240 && ipv6.src == fd00::3") > 100);
}
