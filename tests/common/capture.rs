//! Captures as tshark reads them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;

/// Frames that a guest sent: their MACs are 02:00:00:00:00:NN.
pub const OURS: &str = "eth.src[0:5] == 02:00:00:00:00";
/// What no sender may send. A status of 0 is a checksum that is wrong. Linux writes 0xffff for a TCP checksum of 0, which
/// is the same number in ones' complement; tshark would have it otherwise.
const WRONG: &str = "_ws.malformed || _ws.short || ip.checksum.status == 0 || \
                     (tcp.checksum.status == 0 && tcp.checksum != 0xffff) || udp.checksum.status == 0 || \
                     icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

/// The fields of all frames that `filter` lets through, a line each. Panics if tshark does not read the file to its
/// end.
pub fn fields(capture: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    read(capture, filter, fields, &[])
}

fn read(capture: &Path, filter: &str, fields: &[&str], options: &[&str]) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.args(options).args(["-n", "-r"]).arg(capture).args(["-Y", filter, "-T", "fields"]);
    for protocol in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    // A frame is there once for each port that it crosses, which is no retransmission.
    for analysis in ["tcp.analyze_sequence_numbers", "tcp.desegment_tcp_streams"] {
        tshark.args(["-o", &format!("{analysis}:FALSE")]);
    }
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("cut short"), "tshark: {stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

pub fn count(capture: &Path, filter: &str) -> usize {
    fields(capture, filter, &["frame.number"]).len()
}

/// Checks that a capture is whole, and that no frame in it, whoever sent it, is malformed or has a wrong checksum.
pub fn check(capture: &Path) {
    complete(capture);
    correct(capture, WRONG);
}

/// The same for a lab that was sent what is wrong: what its guests sent is right. An ICMP error quotes what it is about
/// as that came, and of such a frame tshark judges the quotation too: there only the outer checksums count.
pub fn check_ours(capture: &Path) {
    const QUOTES: &str = "icmp.type in {3, 4, 5, 11, 12} || icmpv6.type in {1, 2, 3, 4}";
    complete(capture);
    correct(capture, &format!("{OURS} && !({QUOTES}) && ({WRONG})"));
    correct(
        capture,
        &format!("{OURS} && ({QUOTES}) && (icmp.checksum.status == 0 || icmpv6.checksum.status == 0)"),
    );
}

fn correct(capture: &Path, wrong: &str) {
    let told = ["frame.number", "frame.interface_name", "_ws.col.Protocol", "_ws.col.Info"];
    // Segments are looked at one by one, and once in some millions what is encrypted begins as a record of TLS does.
    let found = read(capture, wrong, &told, &["--disable-protocol", "tls"]);
    assert!(
        found.is_empty(),
        "{} wrong frames in the capture:\n{}",
        found.len(),
        found[..found.len().min(10)].join("\n")
    );
}

/// Every interface has frames or not, and statistics at the end.
pub fn complete(capture: &Path) {
    let mut reader =
        PcapNgReader::with_capacity(BufReader::new(File::open(capture).unwrap()), 1 << 20).unwrap();
    let (mut interfaces, mut frames, mut statistics) = (0, 0, 0);
    while let Some(block) = reader.next_block() {
        match block.unwrap().0 {
            Block::InterfaceDescription(_) => interfaces += 1,
            Block::EnhancedPacket(_) => frames += 1,
            Block::InterfaceStatistics(_) => statistics += 1,
            _ => {}
        }
    }
    assert!(interfaces > 0 && frames > 0, "{interfaces} interfaces, {frames} frames");
    assert_eq!(statistics, interfaces, "interfaces without statistics at the end");
}
