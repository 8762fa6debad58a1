//! nc against the guests' echo, and guests against nc.

use std::fs::{self, File};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::common::capture::check;
use crate::common::lab::{Lab, Site};

const SERVERS: &str = "
[guest.tcp]
module = \"GUESTS/echo_server.wasm\"
args = [\"0.0.0.0:7\"]

[guest.udp]
module = \"GUESTS/echo_server.wasm\"
args = [\"0.0.0.0:7\", \"dgram\"]

[guest.tcp6]
module = \"GUESTS/echo_server.wasm\"
args = [\"[::]:7\"]

[guest.udp6]
module = \"GUESTS/echo_server.wasm\"
args = [\"[::]:7\", \"dgram\"]
";

/// What nc has back for `text`.
fn nc(lab: &Lab, arguments: &str, text: &str) -> String {
    let input = lab.site.path("input");
    fs::write(&input, text).unwrap();
    let mut nc = lab.namespace().command(&format!("nc {arguments}"));
    let output = nc.stdin(File::open(&input).unwrap()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nc_has_back_what_it_sends() {
    let mut lab = Site::new().ready(SERVERS);
    let long = "all of these words come back\n".repeat(20_000);
    for (server, text) in
        [("10.0.0.2", "short\n"), ("10.0.0.2", &long), ("fd00::4", "short\n"), ("fd00::4", &long)]
    {
        // -N: what follows the input is the end of the stream.
        assert!(nc(&lab, &format!("-N -w 20 {server} 7"), text) == text, "{server}, {} bytes", text.len());
    }
    for server in ["10.0.0.3", "fd00::5"] {
        // -W 1: one datagram back is enough.
        assert_eq!(nc(&lab, &format!("-u -W 1 -w 20 {server} 7"), "a datagram\n"), "a datagram\n");
        let full = "x".repeat(1452);
        assert_eq!(nc(&lab, &format!("-u -W 1 -w 20 {server} 7"), &full), full);
    }
    lab.finish();
}

/// nc as an echo server: what it reads from the network goes into a fifo, which is its input.
#[test]
fn a_guest_has_its_echo_from_nc() {
    let site = Site::new();
    let fifo = |name: &str| {
        let path = site.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open both ways: neither end waits for the other.
        File::options().read(true).write(true).open(path).unwrap()
    };
    let mut listeners = Vec::new();
    for (name, arguments) in [
        ("t4", "nc -l 10.0.0.1 7"),
        ("t6", "nc -l fd00::1 7"),
        ("u4", "nc -u -l 10.0.0.1 7"),
        ("u6", "nc -u -l fd00::1 7"),
    ] {
        let pipe = fifo(name);
        let output = pipe.try_clone().unwrap();
        listeners.push(
            site.namespace
                .command(arguments)
                .stdin(pipe)
                .stdout(output)
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
    }
    let listening = || site.namespace.run("ss -Hnltu").lines().filter(|line| line.contains(":7 ")).count();
    while listening() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let client = |name: &str, address: &str, kind: &str| {
        format!(
            "[guest.{name}]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"{address}\", \"{kind}\", \"hello\", \"5\"]\n"
        )
    };
    let mut lab = site.start(
        &[
            client("t4", "10.0.0.1:7", "stream"),
            client("t6", "[fd00::1]:7", "stream"),
            client("u4", "10.0.0.1:7", "dgram"),
            client("u6", "[fd00::1]:7", "dgram"),
        ]
        .concat(),
    );
    let ended = lab.end();
    for mut listener in listeners {
        listener.kill().unwrap();
        listener.wait().unwrap();
    }
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for name in ["t4", "t6", "u4", "u6"] {
        assert!(ended.stdout.contains(&format!("{name}: echoed 35 bytes")), "{ended:?}");
    }
    check(&lab.capture());
}

#[test]
fn one_guest_alone_has_a_tap_by_the_command_line() {
    let site = Site::new();
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/target/guests/echo_server.wasm");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["run", "--capture"]).arg(site.path("lab.pcapng"));
    command.arg("--tap").arg(format!("gn0@{}", site.namespace.name)).args([module, "0.0.0.0:7"]);
    let mut lab = site.spawn(&mut command);
    lab.wait_for_ping();
    assert_eq!(nc(&lab, "-N -w 20 10.0.0.2 7", "alone\n"), "alone\n");
    assert_eq!(lab.stop(Signal::SIGINT).status.code(), Some(130));
    check(&lab.capture());
}
