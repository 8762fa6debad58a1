//! yamux with hashicorp's own, in Go: as a client of a guest's, and as its server.

use std::fs;
use std::process::Command;

use crate::common::lab::{Lab, Site};
use crate::common::peer::Peer;

/// scripts/test has put it there.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/yamux_peer");

fn hashicorp(lab: &Lab, arguments: &str) -> Command {
    lab.namespace().command(&format!("{PROGRAM} {arguments}"))
}

#[test]
fn hashicorp_s_client_talks_to_a_guest() {
    for (link, bytes) in [("", 300_000), ("delay = \"3ms\", jitter = \"2ms\", loss = \"2%\"", 20_000)] {
        let site = Site::new();
        let mut lab = site.ready(&format!(
            "link = {{ {link} }}\n[guest.server]\nmodule = \"GUESTS/stream_server.wasm\"\n\
             args = [\"yamux\", \"0.0.0.0:4001\", \"1\"]\n\
             protocol = {{ ipv4 = {{ private = true }}, yamux = {{ over = \"ipv4\" }} }}\n"
        ));
        let output = hashicorp(&lab, &format!("client 10.0.0.2:4001 20 {bytes}")).output().unwrap();
        let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, format!("20 streams of {bytes} bytes came back\n"), "{link}: {wrong}");
        let ended = lab.end();
        assert!(ended.stdout.contains("20 streams of 1 connections"), "{ended:?}");
    }
}

#[test]
fn a_guest_talks_to_hashicorp_s_server() {
    let site = Site::new();
    let mut lab = site.start(
        "[guest.client]\nmodule = \"GUESTS/stream_client.wasm\"\n\
         args = [\"yamux\", \"10.0.0.1:4001\", \"both\", \"20\", \"300000\"]\nstart = \"2s\"\n\
         protocol = { ipv4 = { private = true }, yamux = { over = \"ipv4\" } }\n",
    );
    let log = fs::File::create(lab.site.path("server")).unwrap();
    let said = fs::File::create(lab.site.path("said")).unwrap();
    let mut peer = Peer(hashicorp(&lab, "server 10.0.0.1:4001").stderr(log).stdout(said).spawn().unwrap());
    let ended = lab.end();
    let wrong = fs::read_to_string(lab.site.path("server")).unwrap_or_default();
    assert!(ended.stdout.contains("20 streams of 300000 bytes came back"), "{ended:?}\n{wrong}");
    assert!(peer.0.wait().unwrap().success(), "{wrong}");
    assert_eq!(fs::read_to_string(lab.site.path("said")).unwrap(), "20 streams\n");
}
