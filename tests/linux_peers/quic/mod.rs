//! QUIC with implementations that share nothing with ours: aioquic and ngtcp2, as clients of a guest's and as its servers.

mod aioquic_client;
mod aioquic_server;
mod ngtcp2;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::lab::{Lab, PATIENCE, Site};
use crate::common::namespace::Namespace;

/// A process that ends with the test; what it prints goes into a file.
struct Peer {
    child: Child,
    log: PathBuf,
}

impl Peer {
    fn start(command: &mut Command, log: PathBuf) -> Peer {
        let file = File::create(&log).unwrap();
        let child = command.stderr(file.try_clone().unwrap()).stdout(file).spawn().unwrap();
        Peer { child, log }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.said().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no `{text}` from the peer:\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// scripts/test has put it there.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/aioquic");

fn aioquic(namespace: &Namespace, arguments: &str) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/linux_peers/quic/aioquic_peer.py");
    let mut command = namespace.command(&format!("/usr/bin/python3 {script} {arguments}"));
    command.env("PYTHONPATH", PACKAGES);
    command
}

/// A certificate of peer.example.org's, which signs itself, and its key.
fn certificate(site: &Site) -> (PathBuf, PathBuf) {
    let (chain, key) = (site.path("chain.pem"), site.path("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=peer", "-addext", "subjectAltName=DNS:peer.example.org"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (chain, key)
}

/// A guest that serves QUIC at 10.0.0.2:443, with more keys for its protocol object and for itself.
fn serving(module: &str, arguments: &str, keys: &str, guest: &str) -> String {
    format!(
        "[ca.test]\nexport = \"FOLDER/ca.pem\"\n[guest.server]\nmodule = \"GUESTS/{module}.wasm\"\n\
         args = [\"quic\", \"0.0.0.0:443\"{arguments}]\n{guest}\n\
         protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", certificate = [{{ ca = \"test\" }}]{keys} }} }}\n"
    )
}

/// A guest that is a client of the peer's at 10.0.0.1:443, likewise.
fn calling(module: &str, arguments: &str, keys: &str, guest: &str) -> String {
    format!(
        "[guest.client]\nmodule = \"GUESTS/{module}.wasm\"\n\
         args = [\"quic\", \"10.0.0.1:443\"{arguments}]\n{guest}\n\
         protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", roots = {{ file = \"FOLDER/chain.pem\" }}, \
         server_name = \"peer.example.org\"{keys} }} }}\n"
    )
}

/// Waits until somebody has the UDP port.
fn wait_for_port(namespace: &Namespace, port: u16) {
    let (start, listens) = (Instant::now(), format!("ss -Hlun sport = :{port}"));
    while namespace.run(&listens).is_empty() {
        assert!(start.elapsed() < PATIENCE, "nobody listens at port {port}");
        sleep(Duration::from_millis(20));
    }
}

/// From now on what Linux sends to 10.0.0.2 goes to nobody's address on the switch.
fn black_hole(lab: &Lab) {
    lab.namespace().run("ip neighbour replace 10.0.0.2 lladdr 02:de:ad:00:00:01 dev gn0 nud permanent");
}

/// From now on what guests send to Linux goes to an address that it had before; what it sends arrives.
fn deafen(lab: &Lab) {
    let namespace = lab.namespace();
    let known = namespace.run("ip neighbour show 10.0.0.2 dev gn0");
    let address =
        known.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).expect("an address").to_owned();
    namespace.run("ip link set dev gn0 address 02:de:ad:00:00:02");
    // So that it asks nobody, who would learn the new one by that.
    namespace.run(&format!("ip neighbour replace 10.0.0.2 lladdr {address} dev gn0 nud permanent"));
}

/// The lab's authority, as a client has it.
fn roots(lab: &Lab) -> String {
    path(&lab.site.path("ca.pem"))
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
