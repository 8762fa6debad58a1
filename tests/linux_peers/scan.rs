//! nmap, who sends what no honest peer does: the lab answers as a host should, and lives on.

use crate::common::capture::check_ours;
use crate::common::lab::Site;

const LAB: &str = "
[guest.web]
module = \"GUESTS/http_server.wasm\"
args = [\"0.0.0.0:80\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER\" }
";

#[test]
fn nmap_finds_the_open_port_and_what_serves_there() {
    let mut lab = Site::new().ready(LAB);
    let told = lab.namespace().run("nmap -n -sV --version-intensity 1 -T4 -p 79-81 10.0.0.2");
    let has =
        |port: &str, state: &str| told.lines().any(|line| line.split_whitespace().take(2).eq([port, state]));
    assert!(has("79/tcp", "closed") && has("80/tcp", "open") && has("81/tcp", "closed"), "{told}");
    // What it has back from the server says what serves there.
    assert!(told.contains("HTTP/1"), "{told}");
    lab.finish();
}

#[test]
fn every_closed_port_answers_with_a_reset() {
    let mut lab = Site::new().ready(LAB);
    let told = lab.namespace().run("nmap -n -sS -T4 --min-rate 4000 --max-retries 10 -p- --reason 10.0.0.2");
    assert!(told.contains("Not shown: 65534 closed tcp ports (reset)"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("80/tcp open  http    syn-ack")), "{told}");
    lab.namespace().run("curl -sS -o /dev/null http://10.0.0.2/lab.toml");
    lab.finish();
}

#[test]
fn scans_with_odd_flags_and_datagrams_are_answered_by_the_book() {
    let mut lab = Site::new().ready(LAB);
    // RFC 9293, 3.10.7: a closed port resets whatever has no reset in it, an open one is silent without a SYN or ACK.
    for (scan, expected) in [
        ("-sF", "80/tcp open|filtered"),
        ("-sN", "80/tcp open|filtered"),
        ("-sX", "80/tcp open|filtered"),
        ("-sA", "80/tcp unfiltered"),
    ] {
        let told = lab.namespace().run(&format!("nmap -n {scan} -T4 -p 80,81 10.0.0.2"));
        assert!(told.contains(expected), "{scan}: {told}");
    }
    let told = lab.namespace().run("nmap -n -sU -T4 -p 53,67 10.0.0.2");
    assert!(told.contains("53/udp closed") && told.contains("67/udp closed"), "{told}");
    // The fingerprints of a whole system: about a hundred odd packets, answered or not.
    lab.namespace().run("nmap -n -O -T4 -p 80,81 10.0.0.2");
    lab.namespace().run("curl -sS -o /dev/null http://10.0.0.2/lab.toml");
    lab.stop(nix::sys::signal::Signal::SIGINT);
    check_ours(&lab.capture());
}
