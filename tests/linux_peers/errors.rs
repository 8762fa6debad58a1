//! What goes wrong, and what each side is told of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use crate::common::capture::{OURS, check, count};
use crate::common::lab::Site;

const IDLE: &str = "[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n";

fn client(name: &str, address: &str, kind: &str) -> String {
    format!(
        "[guest.{name}]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"{address}\", \"{kind}\"]\ngateway = [\"10.0.0.1\", \"fd00::1\"]\n"
    )
}

/// Closes with a reset, whatever is on its way.
fn reset(stream: TcpStream) {
    setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

#[test]
fn linux_is_refused_at_ports_where_nobody_listens() {
    let mut lab = Site::new().ready(IDLE);
    lab.namespace().inside(|| {
        for address in ["10.0.0.2:81", "[fd00::2]:81"] {
            assert_eq!(
                TcpStream::connect(address).unwrap_err().kind(),
                ErrorKind::ConnectionRefused,
                "{address}"
            );
            let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket.connect(address).unwrap();
            socket.send(b"anybody?").unwrap();
            assert_eq!(
                socket.recv(&mut [0; 9]).unwrap_err().kind(),
                ErrorKind::ConnectionRefused,
                "{address}"
            );
        }
        // Nobody has this address: Linux asks in vain.
        assert_eq!(TcpStream::connect("10.0.0.99:81").unwrap_err().kind(), ErrorKind::HostUnreachable);
    });
    lab.finish();
    assert!(count(&lab.capture(), &format!("{OURS} && icmp.type == 3 && icmp.code == 3")) > 0);
    assert!(count(&lab.capture(), &format!("{OURS} && icmpv6.type == 1 && icmpv6.code == 4")) > 0);
}

#[test]
fn guests_are_told_why_linux_cannot_be_reached() {
    let site = Site::new();
    // Linux as a router that knows of these networks only that nobody gets there.
    for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
        site.namespace.run(&format!("sysctl -qw {setting}"));
    }
    for route in [
        "unreachable 192.0.2.0/24",
        "prohibit 198.51.100.0/24",
        "unreachable 2001:db8::/64",
        "prohibit 2001:db8:1::/64",
    ] {
        site.namespace.run(&format!("ip route add {route}"));
    }
    let cases = [
        ("tcp4", "10.0.0.1:9", "stream", "10.0.0.1:9: Connection refused"),
        ("tcp6", "[fd00::1]:9", "stream", "[fd00::1]:9: Connection refused"),
        ("udp4", "10.0.0.1:9", "dgram", "Connection refused"),
        ("udp6", "[fd00::1]:9", "dgram", "Connection refused"),
        ("host4", "192.0.2.1:9", "stream", "192.0.2.1:9: Host is unreachable"),
        ("denied4", "198.51.100.1:9", "stream", "198.51.100.1:9: Host is unreachable"),
        ("host6", "[2001:db8::1]:9", "stream", "[2001:db8::1]:9: Network unreachable"),
        ("denied6", "[2001:db8:1::1]:9", "stream", "[2001:db8:1::1]:9: Host is unreachable"),
    ];
    // Out of the lab, which nobody is let without being told so.
    let out = |name: &str| {
        let everywhere = "{ connect = \"*:*\" }";
        format!("[guest.{name}.protocol]\nipv4 = {everywhere}\nipv6 = {everywhere}\n")
    };
    let nowhere =
        "[guest.nowhere]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"203.0.113.1:9\"]\ngateway = []\n";
    let guests: String =
        cases.iter().map(|(name, address, kind, _)| client(name, address, kind) + &out(name)).collect();
    let mut lab = site.start(&(guests + nowhere + &out("nowhere")));
    let ended = lab.end();
    let nowhere = ("nowhere", "", "", "203.0.113.1:9: Network unreachable");
    for (name, _, _, error) in cases.into_iter().chain([nowhere]) {
        let told =
            ended.stderr.lines().any(|line| line.starts_with(&format!("{name}: ")) && line.ends_with(error));
        assert!(told, "{name} is to end with `{error}`:\n{}", ended.stderr);
    }
    assert_eq!(ended.status.code(), Some(1));
    check(&lab.capture());
}

#[test]
fn a_half_closed_connection_goes_on_the_other_way() {
    let mut lab =
        Site::new().ready("[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n");
    let back = lab.namespace().inside(|| {
        let mut stream = TcpStream::connect("10.0.0.2:7").unwrap();
        stream.write_all(&[7; 300_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        back
    });
    assert!(back == [7; 300_000], "{} bytes came back", back.len());
    // What Linux sent before, its last acknowledgement above all, has arrived with this.
    lab.wait_for_ping();
    lab.finish();
    // Both ends said that they were done, and nobody reset anything.
    let host = "frame.interface_name == \"host\"";
    assert_eq!(count(&lab.capture(), &format!("{host} && tcp.flags.fin == 1")), 2);
    assert_eq!(count(&lab.capture(), "tcp.flags.reset == 1"), 0);
}

#[test]
fn a_guest_is_told_that_its_peer_reset_the_connection() {
    // One that reads. It has answered before: a connection that is reset while it waits for accept is none.
    let echo =
        "[guest.reader]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\", \"stream\", \"1\"]\n";
    let mut lab = Site::new().ready(echo);
    lab.namespace().inside(|| {
        let mut stream = TcpStream::connect("10.0.0.2:7").unwrap();
        stream.write_all(b"and back").unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        reset(stream);
    });
    let ended = lab.end();
    assert!(ended.stderr.contains("read: Connection reset by peer"), "{ended:?}");
    check(&lab.capture());

    // One that writes, and has to wait for that.
    let site = Site::new();
    let listener = site.namespace.inside(|| TcpListener::bind("10.0.0.1:5001").unwrap());
    let mut lab = site
        .start("[guest.writer]\nmodule = \"GUESTS/bulk_sender.wasm\"\nargs = [\"10.0.0.1:5001\", \"50\"]\n");
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    reset(stream);
    let ended = lab.end();
    assert!(ended.stderr.contains("write: Connection reset by peer"), "{ended:?}");
    check(&lab.capture());
}

#[test]
fn linux_is_told_that_a_guest_is_gone() {
    // It accepts one connection and ends; the next is refused, as nobody listens any more.
    let mut lab = Site::new().ready(
        "[guest.once]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\", \"stream\", \"1\"]\n\
         [guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n",
    );
    lab.namespace().inside(|| {
        let mut stream = TcpStream::connect("10.0.0.2:7").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let again = loop {
            match TcpStream::connect("10.0.0.2:7") {
                // It waits in the backlog until the guest is done.
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(again.kind(), ErrorKind::ConnectionRefused);
    });
    lab.finish();
}
