//! A capture that is read while it grows.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::lab::{PATIENCE, Site};

#[test]
fn tshark_shows_frames_while_the_lab_runs() {
    let site = Site::new();
    let mut guestnet = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    let guests = "[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n";
    guestnet.args(["run", "--capture", "-"]).arg(site.scenario(guests));
    let (reader, writer) = std::io::pipe().unwrap();
    let shown = File::create(site.path("stdout")).unwrap();
    let complaints = File::create(site.path("tshark")).unwrap();
    let mut tshark = Command::new("tshark")
        .args(["-n", "-l", "-r", "-"])
        .stdin(Stdio::from(reader))
        .stdout(shown)
        .stderr(complaints)
        .spawn()
        .unwrap();
    let mut lab = site.spawn_into(&mut guestnet, writer);
    lab.wait_for_ping();
    // `stdout` is what tshark says here; both run on.
    lab.wait_for("Echo (ping) reply");
    lab.namespace().run("nc -z 10.0.0.2 7");
    lab.wait_for("[SYN, ACK]");
    assert!(lab.is_running() && tshark.try_wait().unwrap().is_none());
    assert_eq!(lab.stop(Signal::SIGINT).status.code(), Some(130));

    // With the capture's end tshark has its own.
    let start = Instant::now();
    let status = loop {
        if let Some(status) = tshark.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < PATIENCE, "tshark does not end");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(status.success() && !lab.said("tshark").contains("cut short"), "{}", lab.said("tshark"));
}

#[test]
fn a_reader_that_leaves_does_not_end_the_lab() {
    let site = Site::new();
    let mut guestnet = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    guestnet
        .args(["run", "--capture", "-"])
        .arg(site.scenario("[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n"));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut lab = site.spawn_into(&mut guestnet, writer);
    lab.wait_for_ping();
    drop(reader);
    for _ in 0..3 {
        lab.wait_for_ping();
    }
    let ended = lab.stop(Signal::SIGINT);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("guestnet: error: capture to standard output: Broken pipe"), "{ended:?}");
}

#[test]
fn a_file_grows_with_the_lab_though_nothing_more_happens() {
    let mut lab = Site::new().ready("[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n");
    let capture = lab.capture();
    let replies = move || {
        let mut tshark = Command::new("tshark");
        let output = tshark.args(["-n", "-Y", "icmp.type == 0", "-r"]).arg(&capture).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    // Far less than fills a buffer, and no packet after it to push it out.
    lab.wait_until("the reply to the ping in the file", |_| replies() > 0);
    assert!(lab.is_running());
    lab.finish();
    // Linux has the name that the scenario gives the TAP.
    let mut tshark = Command::new("tshark");
    let names =
        tshark.args(["-N", "n", "-Y", "icmp", "-T", "fields", "-e", "ip.src_host", "-r"]).arg(lab.capture());
    let names = String::from_utf8(names.output().unwrap().stdout).unwrap();
    let known: std::collections::BTreeSet<_> = names.lines().collect();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["host", "idle"]);
}
