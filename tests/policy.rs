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
    tls: tls: connect server:7 as bad.example.org: refused: no rule of `connect` allows it
    quic: quic: connect 10.0.0.2:7 as bad.example.org: refused: the rule bad.example.org:* of `deny.connect` refuses it
    tunnel: tls: connect bad.example.org:443 as bad.example.org: refused: the rule bad.example.org:* of `deny.connect` refuses it
    local: no rule of the protocol's `connect` allows /run/echo.sock
    "#);
}
