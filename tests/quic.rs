//! QUIC between guests, as a person meets it: what tshark shows of it, reasons in the trace, streams that are fair to one
//! another, and strangers that send nonsense.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{scenario, tshark};
use guestnet::lab::{Lab, Report};

fn run(text: &str) -> Report {
    let lab = Lab::from_toml(text, "quic.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
    lab.with_cache(scenario::cache()).with_trace().run(1)
}

/// What protocol objects had to say in the trace.
fn remarks(report: &Report) -> BTreeSet<String> {
    let remarks = report.calls.iter().filter_map(|call| {
        let (_, remark) = call.line.split_once(" -- ")?;
        Some(format!("{}: {remark}", report.guests[call.guest].name))
    });
    remarks.collect()
}

/// An echo of one stream, with more keys for both sides' protocol objects and for the lab.
fn echo(lab: &str, server: &str, client: &str) -> String {
    format!(
        r#"{lab}
        [ca.test]
        [guest.server]
        module = "target/guests/echo_server.wasm"
        args = ["quic", "0.0.0.0:443", "stream", "1"]
        protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = "ipv4", certificate = [{{ ca = "test" }}] {server} }} }}
        [guest.client]
        module = "target/guests/echo_client.wasm"
        args = ["quic", "10.0.0.2:443", "stream", "plainly"]
        protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = "ipv4" {client} }} }}
        "#
    )
}

/// Of each packet that passes the filter, a field.
fn shown(report: &Report, filter: &str, field: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.pcapng");
    fs::write(&path, report.capture()).unwrap();
    let output = tshark::output(tshark::tshark(&path).args(["-Y", filter, "-T", "fields", "-e", field]));
    output.lines().map(str::to_owned).collect()
}

#[test]
fn tshark_decrypts_a_captured_lab_if_it_has_the_secrets() {
    let data = |lab: &str| {
        let report = run(&echo(lab, "", ""));
        assert!(report.is_success(), "{report}");
        shown(&report, "quic.stream_data", "quic.stream_data")
    };
    let plainly = "706c61696e6c79";
    assert!(data("").iter().any(|hex| hex.contains(plainly)));
    assert_eq!(data("secrets = false"), Vec::<String>::new());
}

#[test]
fn a_retry_is_one_on_the_wire() {
    let retries = |server: &str| {
        let report = run(&echo("", server, ""));
        assert!(report.is_success(), "{report}");
        shown(&report, "quic.long.packet_type == 3", "quic.long.packet_type").len()
    };
    assert_eq!(retries(""), 0);
    // Where it left, where it went through the switch.
    assert!(retries(", retry = true") > 0);
}

#[test]
fn the_trace_tells_why_in_words() {
    let told = |server: &str, client: &str| {
        let report = run(&echo("duration = '60s'", server, client));
        assert!(!report.guests[1].exit.is_success(), "{report}");
        remarks(&report)
            .into_iter()
            .filter(|remark| remark.starts_with("client"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let name = told("", ", server_name = 'elsewhere.example.org'");
    assert!(name.contains("certificate") && name.contains("elsewhere.example.org"), "{name}");
    let alpn = told(", alpn = 'h3'", ", alpn = 'doq'");
    assert!(alpn.contains("the peer gave up"), "{alpn}");
    let clients = told(", clients = 'required'", "");
    assert!(clients.contains("the peer gave up"), "{clients}");
}

/// Sessions are resumed, and early data saves their connections a round trip.
#[test]
fn what_is_early_comes_a_round_trip_earlier() {
    let took = |early: &str| {
        let report = run(&format!(
            r#"[ca.test]
            [guest.server]
            module = "target/guests/conn_server.wasm"
            args = ["quic", "0.0.0.0:443", "5"]
            protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = "ipv4", certificate = [{{ ca = "test" }}] {early} }} }}
            [guest.client]
            module = "target/guests/conn_client.wasm"
            args = ["quic", "10.0.0.2:443", "5"]
            protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = "ipv4" {early} }} }}
            link = {{ delay = "50ms" }}
            "#
        ));
        assert!(report.is_success(), "{report}");
        assert!(!remarks(&report).iter().any(|remark| remark.contains("refused")));
        let last = report.calls.iter().rfind(|call| call.line.contains("fd_read"));
        last.expect("it read").line.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let (late, early) = (took(""), took(", early_data = true"));
    // Four of the five connections resume, and a round trip is 100 ms.
    assert!(early < late - 0.35, "{early} s instead of {late} s");
}

/// A thousand streams of one connection get the same, within a tenth. Nothing is lost on the way, since a hole would hold
/// up one stream and not the next.
#[test]
fn a_thousand_streams_are_fair_to_one_another() {
    let report = run(r#"[ca.test]
        [guest.server]
        module = "target/guests/stream_fair.wasm"
        args = ["quic", "0.0.0.0:443", "gauge", "1000", "24000000"]
        descriptors = 1100
        protocol = { ipv4 = { private = true }, quic = { over = "ipv4", certificate = [{ ca = "test" }], streams = 1000, window = "64MiB" } }
        [guest.client]
        module = "target/guests/stream_fair.wasm"
        args = ["quic", "10.0.0.2:443", "pour", "1000"]
        descriptors = 1100
        protocol = { ipv4 = { private = true }, quic = { over = "ipv4", window = "64MiB" } }
        link = { delay = "5ms", rate = "1Gbit", queue = 60000 }
        "#);
    assert!(report.is_success(), "{}", report.guests[0].stdout());
}

#[test]
fn the_example_of_the_page_runs() {
    let page = fs::read_to_string("docs/protocols.md").unwrap();
    let section = page.split("\n## QUIC\n").nth(1).expect("a section on QUIC");
    let example = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let report = run(example);
    assert!(report.is_success(), "{report}");
}
