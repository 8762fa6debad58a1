//! Golden captures: labs whose every byte on the wire is kept under captures/. A change that moves a packet, a time
//! or a checksum shows here. `GOLDEN=write cargo test --test golden` makes the new captures the golden ones, to be
//! looked at in tshark or Wireshark and committed.

mod common;

use std::path::Path;

use common::{scenario, tshark};

/// They are for people to open, and stay in the repository for ever.
const BYTES_MAX: usize = 24 * 1024;

fn check(name: &str, seed: u64) {
    let capture = scenario::lab(name).run(seed).capture();
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("fresh.pcapng");
    std::fs::write(&fresh, &capture).unwrap();
    let golden = Path::new("captures").join(format!("{name}.pcapng"));
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        assert!(capture.len() <= BYTES_MAX, "{name}: {} bytes are too many", capture.len());
        std::fs::write(&golden, &capture).unwrap();
        return;
    }
    let kept = std::fs::read(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
    if kept != capture {
        // What a person can read comes first.
        assert_eq!(packets(&golden), packets(&fresh), "{name} went another way");
        panic!("{name}: tshark sees the same packets, yet the files differ");
    }
}

/// One line a packet: where, when, what.
fn packets(path: &Path) -> String {
    let columns = [
        ("port", "%Cus:frame.interface_name"),
        ("time", "%Rt"),
        ("from", "%us"),
        ("to", "%ud"),
        ("protocol", "%p"),
        ("length", "%L"),
        ("info", "%i"),
        ("note", "%Cus:frame.comment"),
    ];
    let columns = columns.map(|(title, field)| format!("\"{title}\",\"{field}\"")).join(",");
    tshark::output(tshark::tshark(path).args(["-n", "-o", &format!("gui.column.format:{columns}")]))
}

#[test]
fn tcp_over_ipv4() {
    check("echo", 1);
}

#[test]
fn udp_over_ipv6() {
    check("udp6", 1);
}

/// A SYN is lost, and data after it.
#[test]
fn a_lossy_handshake() {
    check("handshake", 2);
    for lost in ["tcp.flags.syn == 1", "tcp.len > 0"] {
        let filter = format!("{lost} && frame.comment contains \"lost\"");
        let lost =
            tshark::output(tshark::tshark(Path::new("captures/handshake.pcapng")).args(["-Y", &filter]));
        assert!(!lost.is_empty(), "{filter}");
    }
}
