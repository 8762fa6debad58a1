//! Filters against tshark: the same frames of the same captures, for every word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use guestnet::capture::{Record, Session, Writer};
use guestnet::filter::{Dissector, Filter};
use guestnet::time::Instant;
use tempfile::TempDir;

mod labs;
mod reader;
mod synthetic;

/// What TCP segments are, with frames where Wireshark may say otherwise: src/filter/mod.rs tells why. No other frame
/// may differ, and no frame at all where there is no excuse.
const ANALYSIS: &[(&str, &str)] = &[
    ("tcp.analysis.flags", "tcp.analysis.ack_lost_segment"),
    ("tcp.analysis.ack_lost_segment", "tcp.analysis.ack_lost_segment"),
    ("tcp.analysis.out_of_order", "tcp.analysis.out_of_order"),
    ("tcp.analysis.retransmission", "tcp.analysis.out_of_order"),
    ("tcp.analysis.retransmission || tcp.analysis.out_of_order", NONE),
    ("tcp.analysis.fast_retransmission", NONE),
    ("tcp.analysis.spurious_retransmission", NONE),
    ("tcp.analysis.lost_segment", NONE),
    ("tcp.analysis.duplicate_ack", NONE),
    ("tcp.analysis.zero_window", NONE),
    ("tcp.analysis.zero_window_probe", NONE),
    ("tcp.analysis.zero_window_probe_ack", NONE),
    ("tcp.analysis.window_update", NONE),
    ("tcp.analysis.window_full", NONE),
    ("tcp.analysis.keep_alive", NONE),
    ("tcp.analysis.keep_alive_ack", NONE),
    ("tcp.analysis.reused_ports", NONE),
    ("tcp.seq == 1", NONE),
    ("tcp.ack > 1000", NONE),
    ("tcp.stream == 1", NONE),
    ("tcp.len in {1..1000}", NONE),
    ("tcp.window_size_value < 30000", NONE),
];

/// No frame.
const NONE: &str = "frame.number == 0";

/// Everything else.
const WORDS: &[&str] = &[
    "frame.number > 3 and frame.number <= 12",
    "frame.len == 54 or frame.len lt 43",
    "frame.time_relative >= 0.5 && frame.time_relative < 5",
    "frame.interface_name == \"server\" && frame.packet_id == 7",
    "frame contains \"hello\"",
    "frame contains 68:65:6c:6c:6f",
    "eth.addr == 02:00:00:00:00:02",
    "eth.src != 02:00:00:00:00:02",
    "eth.dst == ff-ff-ff-ff-ff-ff",
    "eth.type == 0x86dd",
    "eth && !ip && !ipv6",
    "arp",
    "arp.opcode == 1",
    "arp.src.proto_ipv4 == 10.0.0.2 || arp.dst.proto_ipv4 == 10.0.0.99",
    "ip",
    "ip.src == 10.0.0.2",
    "ip.dst != 10.0.0.2",
    "ip.addr == 10.0.0.0/30",
    "ip.addr != 10.0.0.2",
    "ip.addr !== 10.0.0.2",
    "ip.addr === 10.0.0.0/30",
    "not ip.addr == 10.0.0.3",
    "ip.ttl < 64",
    "ip.proto == 17",
    "ip.proto in {1, 6}",
    "ip.len > 1000",
    "ip.id != 0",
    "ip.flags.mf == 1",
    "ip.flags.df == TRUE",
    "ip.frag_offset == 185",
    "ip.dsfield.ecn == 0",
    "ipv6",
    "ipv6.dst == ff02::/16",
    "ipv6.src == fe80::/10 && ipv6.addr != ff02::16",
    "ipv6.hlim == 1",
    "ipv6.nxt == 0",
    "ipv6.plen >= 36",
    "icmp",
    "icmp.type == 3 && icmp.code == 3",
    "icmpv6.type == 143",
    "icmpv6.code == 0",
    "udp",
    "udp.port == 7",
    "udp.srcport == 7",
    "udp.dstport not in {7, 50000..65535}",
    "udp.port != 7",
    "udp.length > 100",
    "udp.stream == 1",
    "udp.payload contains \"1 hello\"",
    "tcp",
    "tcp.port == 80",
    "tcp.port in {1..79, 9000}",
    "tcp.srcport > 50000 && tcp.dstport eq 9000",
    "tcp.flags == 0x012",
    "tcp.flags & 0x12 == 0x12",
    "tcp.flags & 0x05",
    "tcp.flags.syn == 1 && tcp.flags.ack == 0",
    "tcp.flags.fin == 1 || tcp.flags.reset == 1",
    "tcp.flags.push == 1 && tcp.flags.urg == 0 && tcp.flags.ece == 0 && tcp.flags.cwr == 0",
    "tcp.flags.syn",
    "tcp.seq == 0",
    "tcp.seq_raw > 0x80000000",
    "tcp.ack_raw == 0",
    "tcp.ack == 0",
    "tcp.len > 0",
    "tcp.window_size_value == 0",
    "tcp.options.mss_val <= 1460",
    "tcp.payload contains 61:61",
    "tcp contains \"aaaa\"",
    "tcp && (tcp.stream == 2 || tcp.stream == 3) && !(tcp.len == 0)",
    "udp || tcp && frame.number < 20",
];

/// A capture, and what we read from it.
struct Capture {
    path: PathBuf,
    session: Session,
    records: Vec<Record>,
    _folder: TempDir,
}

impl Capture {
    /// Runs a lab and captures what crosses one port.
    fn of_lab(lab: &str, port: &str) -> Capture {
        let folder = tempfile::tempdir().unwrap();
        let (scenario, path) = (folder.path().join("lab.toml"), folder.path().join("lab.pcapng"));
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
        let text = lab.replace("GUESTS", modules.to_str().unwrap()).replace("LARGE", &"x".repeat(4000));
        fs::write(&scenario, text).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        run.args(["run", "--sim", "--quiet", "--capture-at", port, "--capture"]).arg(&path).arg(&scenario);
        // A guest that meets an error is what some labs are for.
        let output = run.stdin(Stdio::null()).output().unwrap();
        assert!(path.exists(), "no capture: {}", String::from_utf8_lossy(&output.stderr));
        let (session, records) = reader::read(&path);
        Capture { path, session, records, _folder: folder }
    }

    fn of_records(session: Session, records: Vec<Record>) -> Capture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.pcapng");
        let mut writer = Writer::new(vec![], &session).unwrap();
        records.iter().for_each(|record| writer.record(record).unwrap());
        let end = records.last().expect("a frame").at;
        fs::write(&path, writer.finish(end).unwrap()).unwrap();
        Capture { path, session, records, _folder: folder }
    }

    /// Numbers of the frames that we think `filter` describes.
    fn ours(&self, filter: &str) -> Vec<u64> {
        let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut dissector = Dissector::new(&self.session);
        let packets = self.records.iter().map(|record| dissector.dissect(record));
        packets.filter(|packet| filter.matches(packet)).map(|packet| packet.number()).collect()
    }

    fn tsharks(&self, filter: &str) -> Vec<u64> {
        let mut tshark = Command::new("tshark");
        tshark.args(["-n", "-r"]).arg(&self.path).args(["-Y", filter, "-T", "fields", "-e", "frame.number"]);
        for preference in
            ["ip.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE", "tcp.try_heuristic_first:FALSE"]
        {
            tshark.args(["-o", preference]);
        }
        let output = tshark.output().unwrap_or_else(|error| {
            panic!("tshark does not run ({error}); this test needs it: apt-get install tshark")
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{filter}: tshark: {stderr}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Holds a filter against tshark: in what frames they differ, and whether it tells some frames from others. What
    /// tshark finds by `excuse` may differ.
    fn compare(&self, filter: &str, excuse: &str) -> (Vec<u64>, bool) {
        let (ours, tsharks) = (self.ours(filter), self.tsharks(filter));
        let mut differing: Vec<_> = ours.iter().filter(|number| !tsharks.contains(number)).copied().collect();
        differing.extend(tsharks.iter().filter(|number| !ours.contains(number)));
        if !differing.is_empty() && excuse != NONE {
            let excused = self.tsharks(excuse);
            differing.retain(|number| !excused.contains(number));
        }
        (differing, !ours.is_empty() && ours.len() < self.records.len())
    }
}

/// Holds filters against tshark on all captures. A filter that lets through nothing, or everything, of each tells
/// nothing and has no place here.
fn check(captures: &[Capture], filters: &[(&str, &str)]) {
    let one = |(filter, excuse): &(&str, &str)| {
        let mut report = String::new();
        let mut telling = false;
        for capture in captures {
            let (differing, tells) = capture.compare(filter, excuse);
            telling |= tells;
            if !differing.is_empty() {
                let port = &capture.session.ports[0].name;
                report += &format!("{filter}: {differing:?} of {} at {port}\n", capture.records.len());
            }
        }
        if telling { report } else { report + &format!("{filter} tells nothing\n") }
    };
    let (first, second) = filters.split_at(filters.len() / 2);
    let report: String = thread::scope(|scope| {
        let other = scope.spawn(|| second.iter().map(one).collect::<String>());
        first.iter().map(one).collect::<String>() + &other.join().unwrap()
    });
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn what_tcp_segments_are() {
    let labs =
        [(labs::LOSSY, "sender"), (labs::LOSSY, "receiver"), (labs::MANY, "server"), (labs::MANY, "client")];
    let mut captures: Vec<_> = labs.iter().map(|(lab, port)| Capture::of_lab(lab, port)).collect();
    captures.push(Capture::of_records(synthetic::session(), synthetic::records(Instant::START)));
    check(&captures, ANALYSIS);
}

#[test]
fn fields_and_operators() {
    let Capture { session, mut records, .. } = Capture::of_lab(labs::MIXED, "server");
    let end = records.last().expect("a frame").at;
    records.extend(synthetic::records(end));
    let filters: Vec<_> = WORDS.iter().map(|filter| (*filter, NONE)).collect();
    check(&[Capture::of_records(session, records)], &filters);
}

#[test]
fn each_port_is_looked_at_for_itself() {
    let all = ["r1.wan", "r2.wan", "sender", "receiver"].map(|port| Capture::of_lab(labs::LOSSY, port));
    let mut ports = vec![];
    let mut records = vec![];
    for (port, capture) in (0..).zip(&all) {
        ports.extend(capture.session.ports.clone());
        records.extend(capture.records.iter().map(|record| Record { port, ..record.clone() }));
    }
    records.sort_by_key(|record| record.at);
    let together = Capture::of_records(Session { ports, ..all[0].session.clone() }, records);
    for (filter, _) in ANALYSIS.iter().filter(|(filter, _)| filter.starts_with("tcp.analysis")) {
        for alone in &all {
            let name = &alone.session.ports[0].name;
            let there = format!("frame.interface_name == {name} && ({filter})");
            assert_eq!(together.ours(&there).len(), alone.ours(filter).len(), "{there}");
        }
    }
    let packet = |number: u64| format!("frame.packet_id == {number} && tcp");
    assert!(
        (1..50).any(|number| together.ours(&packet(number)).len() == all.len()),
        "packets cross all ports"
    );
}
