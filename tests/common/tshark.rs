//! Captures as tshark reads them.

use std::path::Path;
use std::process::Command;

/// What is not as the protocols have it: packets that are malformed or too short, and checksums that do not hold.
/// Retransmissions and resets are worth a note to tshark too, and no mistake. Of a segment that an ICMP error quotes in
/// part, tshark sums up what is there, and finds it wrong: there it is ICMP's own checksum that counts.
pub const FAULTY: &str = "_ws.malformed || _ws.short || _ws.expert.group == \"Malformed\" \
    || _ws.expert.group == \"Checksum\" && !(tcp && (icmp || icmpv6)) \
    || icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

/// tshark on a capture, with the checksums looked at too.
pub fn tshark(path: &Path) -> Command {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(path);
    for protocol in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    tshark
}

/// What it printed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("tshark does not run ({error}); this test needs it: apt-get install tshark")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark failed: {complaint}");
    // "The file appears to have been cut short", and the like.
    assert!(!complaint.contains("appears"), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Packets that are faulty, one a line.
pub fn faults(path: &Path) -> String {
    output(tshark(path).args(["-Y", FAULTY]))
}
