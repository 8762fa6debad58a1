//! QUIC with aioquic, an implementation that shares nothing with ours: as a client of a guest's, and as its server.

use std::fs;
use std::process::{Child, Command};

use crate::common::lab::{Lab, Site};

/// A process that ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// scripts/test has put it there.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/aioquic");

fn aioquic(lab: &Lab, arguments: &str) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/linux_peers/quic_peer.py");
    let mut command = lab.namespace().command(&format!("/usr/bin/python3 {script} {arguments}"));
    command.env("PYTHONPATH", PACKAGES);
    command
}

#[test]
fn aioquic_s_client_talks_to_a_guest() {
    for (server, link) in
        [("", ""), (", retry = true", ""), ("", "delay = \"3ms\", jitter = \"2ms\", loss = \"3%\"")]
    {
        let site = Site::new();
        let mut lab = site.ready(&format!(
            "link = {{ {link} }}\n[ca.test]\nexport = \"FOLDER/ca.pem\"\n[guest.server]\n\
             module = \"GUESTS/stream_server.wasm\"\nargs = [\"quic\", \"0.0.0.0:443\", \"9\"]\n\
             protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", certificate = [{{ ca = \"test\" }}]{server} }} }}\n"
        ));
        let roots = lab.site.path("ca.pem");
        let output =
            aioquic(&lab, &format!("client 10.0.0.2 443 {} server", roots.display())).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            said, "first echoed anew\nids changed\nagain echoed resumed\n",
            "{server} {link}: {wrong}"
        );
        lab.finish();
    }
}

#[test]
fn a_guest_talks_to_aioquic_s_server_over_a_path_that_loses_packets() {
    let site = Site::new();
    let (chain, key) = (site.path("chain.pem"), site.path("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=peer"])
        .args([
            "-addext",
            "subjectAltName=DNS:peer.example.org",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut lab = site.start(
        "link = { delay = \"5ms\", jitter = \"2ms\", loss = \"3%\", duplicate = \"2%\" }\n[guest.client]\n\
         module = \"GUESTS/stream_client.wasm\"\nargs = [\"quic\", \"10.0.0.1:443\", \"both\", \"8\", \"50000\"]\nstart = \"3s\"\n\
         protocol = { ipv4 = { private = true }, quic = { over = \"ipv4\", roots = { file = \"FOLDER/chain.pem\" }, \
         server_name = \"peer.example.org\" } }\n",
    );
    let serve = format!("server 10.0.0.1 443 {} {}", chain.display(), key.display());
    let log = fs::File::create(lab.site.path("server")).unwrap();
    let _peer = Peer(aioquic(&lab, &serve).stderr(log).spawn().unwrap());
    let ended = lab.end();
    let server = fs::read_to_string(lab.site.path("server")).unwrap_or_default();
    assert!(ended.stdout.contains("8 streams of 50000 bytes came back"), "{ended:?}\n{server}");
}
