//! Names both ways: dig against a lab's DNS server, guests against dnsmasq and unbound.

use crate::common::lab::{Lab, Site};
use crate::common::peer::Peer;

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

/// A web server in the namespace, at addresses of the lab and outside of it, and two who answer for names.
fn peers(site: &Site) -> Vec<Peer> {
    std::fs::create_dir(site.path("www")).unwrap();
    std::fs::write(site.path("www/page"), "a page\n").unwrap();
    site.namespace.run("ip address add 192.0.2.1/32 dev lo");
    site.namespace.run("ip route add local 192.0.2.0/24 dev lo");
    let folder = site.path("www").to_str().unwrap().to_owned();
    let web = format!("/usr/bin/python3 -m http.server --bind 0.0.0.0 --directory {folder} 8000");
    let many: Vec<String> =
        (1..=40).map(|last| format!("--host-record=many.example.test,192.0.2.{last}")).collect();
    let dnsmasq = format!(
        "dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
         --bind-interfaces --listen-address=10.0.0.1,fd00::1 --local=/example.test/ \
         --host-record=www.example.test,192.0.2.1 --host-record=inside.example.test,10.0.0.1 \
         --cname=alias.example.test,www.example.test {}",
        many.join(" ")
    );
    let conf = site.path("unbound.conf");
    std::fs::write(
        &conf,
        "server:\n  interface: 10.0.0.1@5300\n  interface: fd00::1@5300\n  access-control: 0.0.0.0/0 allow\n  \
         access-control: ::0/0 allow\n  do-daemonize: no\n  chroot: \"\"\n  username: \"\"\n  directory: \"\"\n  \
         pidfile: \"\"\n  use-syslog: no\n  module-config: \"iterator\"\n  local-zone: \"unbound.test.\" static\n  \
         local-data: \"www.unbound.test. 30 IN A 192.0.2.1\"\n",
    )
    .unwrap();
    let unbound = format!("unbound -d -c {}", conf.to_str().unwrap());
    let peers = [web, dnsmasq, unbound].map(|line| Peer(site.namespace.start(&line)));
    for ready in [
        "curl -sS --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null http://192.0.2.1:8000/page",
        "dig +tries=20 +time=1 @10.0.0.1 www.example.test",
        "dig +tries=20 +time=1 @10.0.0.1 -p 5300 www.unbound.test",
    ] {
        site.namespace.run(ready);
    }
    peers.into()
}

fn client(name: &str, host: &str, keys: &str) -> String {
    format!(
        "[guest.{name}]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"{host}:8000\", \"/page\"]\n\
         gateway = \"10.0.0.1\"\n{keys}\n"
    )
}

#[test]
fn guests_ask_dnsmasq_and_unbound() {
    let site = Site::new();
    let _peers = peers(&site);
    const OUT: &str = "protocol.ipv4.connect = \"*:*\"";
    let dnsmasq = format!("resolver = {{ servers = [\"10.0.0.1\"] }}\n{OUT}");
    let dnsmasq6 = format!("resolver = {{ servers = [\"fd00::1\"] }}\n{OUT}");
    let unbound = format!("resolver = {{ servers = [\"10.0.0.1:5300\"] }}\n{OUT}");
    let trusting = format!("resolver = {{ servers = [\"10.0.0.1\"], private = [\"example.test\"] }}\n{OUT}");
    let mut lab = site.start(
        &[
            client("mask", "www.example.test", &dnsmasq),
            client("mask6", "www.example.test", &dnsmasq6),
            client("alias", "alias.example.test", &dnsmasq),
            // Forty addresses: over TCP.
            client("many", "many.example.test", &dnsmasq),
            client("missing", "nobody.example.test", &dnsmasq),
            client("unbound", "www.unbound.test", &unbound),
            client("inside", "inside.example.test", &dnsmasq),
            client("trusted", "inside.example.test", &trusting),
        ]
        .concat(),
    );
    let ended = lab.end();
    for name in ["mask", "mask6", "alias", "many", "unbound", "trusted"] {
        assert!(ended.stdout.lines().any(|line| line == format!("{name}: a page")), "{name}: {ended:?}");
    }
    for (name, why) in [("missing", "No such file or directory"), ("inside", "Permission denied")] {
        let prefix = format!("{name}: ");
        let told = ended.stderr.lines().any(|line| line.starts_with(&prefix) && line.ends_with(why));
        assert!(told, "{name}: {ended:?}");
    }
    crate::common::capture::check(&lab.capture());
}

/// What leads out of the lab is refused unless a rule lets it, and the trace says so.
#[test]
fn nothing_leaves_the_lab_that_no_rule_lets_out() {
    let site = Site::new();
    let _peers = peers(&site);
    let by_name = "resolver = { servers = [\"10.0.0.1\"] }\nprotocol.ipv4.connect = \"*.example.test:8000\"";
    let scenario = [
        client("kept", "192.0.2.1", ""),
        client("near", "10.0.0.1", ""),
        client("let", "192.0.2.1", "protocol.ipv4.connect = \"192.0.2.0/24:8000\""),
        client("named", "www.example.test", by_name),
        client("around", "192.0.2.1", by_name),
    ]
    .concat();
    let path = site.scenario(&scenario);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.arg("run").arg("--trace").arg(path);
    let ended = site.spawn(&mut command).end();
    for name in ["near", "let", "named"] {
        assert!(ended.stdout.lines().any(|line| line == format!("{name}: a page")), "{name}: {ended:?}");
    }
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for (name, why) in [
        (
            "kept",
            "connect 192.0.2.1:8000: refused: it leads out of the lab, and no rule of `connect` allows it",
        ),
        ("around", "connect 192.0.2.1:8000: refused: no rule of `connect` allows it"),
    ] {
        let told = said.lines().any(|line| line.starts_with(name) && line.ends_with(why));
        assert!(told, "{name}: {said}");
    }
}
