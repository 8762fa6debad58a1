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

/// One that is reserved so that nobody takes the list for settled (RFC 9000, 15), and version 1: no drafts.
#[test]
fn who_asks_for_another_version_hears_of_version_1_alone() {
    let report = run(r#"[ca.test]
        [guest.server]
        module = "target/guests/echo_server.wasm"
        args = ["quic", "0.0.0.0:443"]
        background = true
        protocol = { ipv4 = { private = true }, quic = { over = "ipv4", certificate = [{ ca = "test" }] } }
        [guest.stranger]
        module = "target/guests/quic_noise.wasm"
        args = ["10.0.0.2:443", "100"]
        "#);
    assert!(report.guests[1].exit.is_success(), "{report}");
    let offers = shown(&report, "udp.srcport == 443 && quic.version == 0", "quic.supported_version");
    let offers: BTreeSet<_> = offers.iter().map(String::as_str).collect();
    assert_eq!(offers, BTreeSet::from(["0x0a1a2a3a,0x00000001"]));
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

/// What its guests have to wait for is raised by the peer on the wire (RFC 9000, 19.9 to 19.13).
#[test]
fn limits_that_were_met_are_raised() {
    let report = scenario::lab("quic_limits").run(1);
    assert!(report.is_success(), "{report}");
    let senders = |kind: u8| {
        let senders = shown(&report, &format!("quic.frame_type == {kind:#x}"), "ip.src");
        senders.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let [max_data, max_stream_data, max_streams] = [0x10, 0x11, 0x12].map(senders);
    assert!(max_data.contains("10.0.0.5"), "{max_data}");
    assert_eq!((&*max_stream_data, &*max_streams), ("10.0.0.5", "10.0.0.2"));
    // DATA_BLOCKED and STREAM_DATA_BLOCKED.
    assert_eq!([0x14, 0x15].map(senders), ["10.0.0.6", "10.0.0.6"]);
}

/// Of each record of a qlog: its time, its name, and the type of its packet.
fn events(qlog: &[u8]) -> Vec<(f64, String, String)> {
    let text = std::str::from_utf8(qlog).unwrap();
    // JSON text sequences (RFC 7464): a record separator before each.
    let mut records = text.split('\u{1e}');
    assert_eq!(records.next(), Some(""));
    assert!(records.next().is_some_and(|head| head.contains("\"qlog_format\":\"JSON-SEQ\"")), "{text}");
    let after = |record: &str, key: &str| {
        let (_, rest) = record.split_once(&format!("\"{key}\":"))?;
        Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
    };
    records
        .map(|record| {
            assert!(record.starts_with('{') && record.ends_with("}\n"), "{record}");
            let time = after(record, "time").expect("a time").parse().unwrap();
            (time, after(record, "name").expect("a name"), after(record, "packet_type").unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_qlog_has_what_happened_when_the_lab_s_clock_says_and_is_the_same_again() {
    let text = echo("", ", qlog = '.'", ", qlog = 'target'")
        .replace("\"plainly\"", "\"@40000\"")
        .replace("[guest.client]", "[guest.client]\nlink = { delay = '50ms', loss = '20%' }");
    let (first, second) = (run(&text), run(&text));
    assert!(first.is_success(), "{first}");
    assert_eq!(first.qlogs, second.qlogs);
    let names: Vec<_> = first.qlogs.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, ["./server.quic.sqlog", "target/client.quic.sqlog"]);
    let client = events(&first.qlogs[std::path::Path::new("target/client.quic.sqlog")]);
    let count = |what: &str| client.iter().filter(|(_, name, _)| name.contains(what)).count();
    assert!(
        count("packet_sent") > 5 && count("packet_received") > 5 && count("metrics_updated") > 2,
        "{client:?}"
    );
    assert!(count("packet_lost") > 0, "{client:?}");
    assert!(client.is_sorted_by(|a, b| a.0 <= b.0), "{client:?}");
    // The first packet leaves as soon as the guest has come to it, and the answer takes a round trip at the least: in milliseconds.
    let (time, name, kind) = &client[0];
    assert!(*time < 50.0 && name.ends_with("packet_sent") && kind == "initial", "{client:?}");
    let answer = client.iter().find(|(_, name, _)| name.ends_with("packet_received")).unwrap();
    assert!((100.0..10_000.0).contains(&answer.0), "{answer:?}");
}

#[test]
fn a_run_writes_qlogs_where_the_scenario_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/target/guests");
    let text = echo("", ", qlog = 'logs'", "").replace("target/guests", guests);
    let scenario = folder.path().join("lab.toml");
    fs::write(&scenario, text).unwrap();
    let mut guestnet = std::process::Command::new(env!("CARGO_BIN_EXE_guestnet"));
    let output = guestnet.args(["run", "--sim"]).arg(&scenario).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<_> =
        fs::read_dir(folder.path().join("logs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["server.quic.sqlog"]);
    assert!(events(&fs::read(folder.path().join("logs/server.quic.sqlog")).unwrap()).len() > 5);
}

#[test]
fn the_example_of_the_page_runs() {
    let page = fs::read_to_string("docs/protocols.md").unwrap();
    let section = page.split("\n## QUIC\n").nth(1).expect("a section on QUIC");
    let example = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let report = run(example);
    assert!(report.is_success(), "{report}");
}
