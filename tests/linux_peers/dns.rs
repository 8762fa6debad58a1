//! Names both ways: dig against a lab's DNS server.

use crate::common::lab::{Lab, Site};

const SERVER: &str = "
[guest.web]
module = \"GUESTS/idle.wasm\"

[dns.ns]
addresses = [\"10.0.0.53/24\", \"fd00::53/64\"]
guests = \"lab.test\"
[dns.ns.zone.\"example.test\"]
www = { a = \"10.0.0.7\", aaaa = \"fd00::7\", ttl = \"42s\" }
alias = { cname = \"www\" }
\"*.apps\" = { a = \"10.0.0.8\" }
\"_http._tcp\" = { srv = { priority = 1, weight = 2, port = 80, target = \"www\" } }
note = { txt = \"a note\" }
long = { txt = [LONG] }
";

fn lab() -> Lab {
    // Some 1,900 bytes: past what a datagram may have.
    let long: Vec<String> = (0..30).map(|n| format!("\"{n:060}\"")).collect();
    Site::new().ready(&SERVER.replace("LONG", &long.join(", ")))
}

fn dig(lab: &Lab, arguments: &str) -> String {
    lab.namespace().run(&format!("dig +tries=2 +time=5 {arguments}"))
}

#[test]
fn dig_asks_over_both_transports_and_families() {
    let mut lab = lab();
    for server in ["@10.0.0.53", "@fd00::53"] {
        for transport in ["+notcp", "+tcp"] {
            let short = |what: &str| dig(&lab, &format!("{server} {transport} +short {what}"));
            assert_eq!(short("www.example.test A"), "10.0.0.7\n");
            assert_eq!(short("WWW.Example.test AAAA"), "fd00::7\n");
            assert_eq!(short("alias.example.test"), "www.example.test.\n10.0.0.7\n");
            assert_eq!(short("a.b.apps.example.test"), "10.0.0.8\n");
            assert_eq!(short("_http._tcp.example.test SRV"), "1 2 80 www.example.test.\n");
            assert_eq!(short("note.example.test TXT"), "\"a note\"\n");
            assert_eq!(short("web.lab.test"), "10.0.0.2\n");
            assert_eq!(short("nobody.lab.test"), "");
        }
    }
    let whole = dig(&lab, "@10.0.0.53 www.example.test");
    assert!(whole.contains("flags: qr aa rd;") && whole.contains("\t42\tIN\tA\t10.0.0.7"), "{whole}");
    let missing = dig(&lab, "@10.0.0.53 nobody.example.test");
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("\tIN\tSOA\t"), "{missing}");
    let elsewhere = dig(&lab, "@10.0.0.53 example.org");
    assert!(elsewhere.contains("status: REFUSED"), "{elsewhere}");
    lab.finish();
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    let mut lab = lab();
    let cut = dig(&lab, "@10.0.0.53 +ignore +noedns long.example.test TXT");
    assert!(cut.contains("flags: qr aa tc rd;") && cut.contains("ANSWER: 0,"), "{cut}");
    for options in ["+edns=0", "+noedns", "+bufsize=4096"] {
        let whole = dig(&lab, &format!("@10.0.0.53 {options} long.example.test TXT"));
        assert!(whole.contains("ANSWER: 30,") && whole.contains("(TCP)"), "{options}: {whole}");
    }
    lab.finish();
}

/// What no resolver sends: each is told so, or dropped, and the next question is answered.
#[test]
fn the_server_outlives_nonsense() {
    let mut lab = lab();
    lab.namespace().inside(|| {
        use std::io::Write;
        use std::net::{TcpStream, UdpSocket};
        let socket = UdpSocket::bind("10.0.0.1:0").unwrap();
        let mut rng = guestnet::rng::Seed(3).fork("nonsense");
        for length in 0..600 {
            let mut bytes = vec![0; length % 90];
            rng.fill(&mut bytes);
            socket.send_to(&bytes, "10.0.0.53:53").unwrap();
        }
        // Connections that say nothing, and more of them than are kept.
        let silent: Vec<_> = (0..150).map(|_| TcpStream::connect("10.0.0.53:53").unwrap()).collect();
        let mut half = TcpStream::connect("10.0.0.53:53").unwrap();
        half.write_all(&[0xff, 0xff, 1, 2, 3]).unwrap();
        drop((silent, half));
    });
    assert_eq!(dig(&lab, "@10.0.0.53 +short www.example.test"), "10.0.0.7\n");
    assert_eq!(dig(&lab, "@10.0.0.53 +tcp +short www.example.test"), "10.0.0.7\n");
    // Not as a capture that has nothing wrong in it.
    let ended = lab.stop(nix::sys::signal::Signal::SIGINT);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
}
