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
