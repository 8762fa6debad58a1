//! Datagrams and pings past the MTU: cut by one side, put together by the other, whichever is Linux.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use crate::common::capture::{OURS, check, count};
use crate::common::lab::Site;

const SERVERS: &str = "
[guest.udp]
module = \"GUESTS/echo_server.wasm\"
args = [\"0.0.0.0:7\", \"dgram\"]

[guest.udp6]
module = \"GUESTS/echo_server.wasm\"
args = [\"[::]:7\", \"dgram\"]
";
/// Fragments each, of the longest over Ethernet.
const FRAGMENTS: u32 = 40;

#[test]
fn long_pings_are_answered() {
    let mut lab = Site::new().ready(SERVERS);
    for ping in [
        "ping -n -c 3 -i 0.2 -s 5000 10.0.0.2",
        "ping -n -c 2 -i 0.2 -s 60000 10.0.0.2",
        "ping -n -6 -c 3 -i 0.2 -s 5000 fd00::2",
        "ping -n -6 -c 2 -i 0.2 -s 60000 fd00::2",
    ] {
        let told = lab.namespace().run(ping);
        assert!(told.contains(" 0% packet loss"), "{told}");
    }
    lab.finish();
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(ours("ip.flags.mf == 1 && ip.src == 10.0.0.2") >= 2 * FRAGMENTS as usize);
    assert!(ours("ipv6.fraghdr.more == 1 && ipv6.src == fd00::2") >= 2 * FRAGMENTS as usize);
}

#[test]
fn linux_has_long_datagrams_back() {
    let mut lab = Site::new().ready(SERVERS);
    lab.namespace().inside(|| {
        for (local, server) in [("0.0.0.0:0", "10.0.0.2:7"), ("[::]:0", "[fd00::3]:7")] {
            let socket = UdpSocket::bind(local).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket.connect(server).unwrap();
            for bytes in [1473, 2961, 60_000, 65_507] {
                let sent: Vec<u8> = (0..bytes).map(|number| (number / 7) as u8).collect();
                let mut got = vec![0; 65_536];
                socket.send(&sent).unwrap();
                assert_eq!(socket.recv(&mut got).unwrap(), bytes, "{server}");
                assert!(got[..bytes] == sent);
            }
        }
    });
    lab.finish();
}

#[test]
fn a_guest_has_long_datagrams_back_from_linux() {
    let site = Site::new();
    let sockets =
        site.namespace.inside(|| ["10.0.0.1:7", "[fd00::1]:7"].map(|at| UdpSocket::bind(at).unwrap()));
    let mut lab = site.start(
        "[guest.v4]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"10.0.0.1:7\", \"dgram\", \"@60000\", \"3\"]\n\
         [guest.v6]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"[fd00::1]:7\", \"dgram\", \"@60000\", \"3\"]\n",
    );
    for socket in &sockets {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        for _ in 0..3 {
            let mut got = vec![0; 65_536];
            let (bytes, from) = socket.recv_from(&mut got).unwrap();
            assert!(bytes > 60_000 && matches!(from.ip(), IpAddr::V4(_) | IpAddr::V6(_)));
            socket.send_to(&got[..bytes], from).unwrap();
        }
    }
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    check(&lab.capture());
}
