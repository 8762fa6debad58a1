//! The TAP itself: not there, not allowed, taken away.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::common::capture::check;
use crate::common::lab::Site;

const IDLE: &str = "[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n";
const NOBODY: u32 = 65_534;

fn guestnet() -> Command {
    Command::new(env!("CARGO_BIN_EXE_guestnet"))
}

fn told(command: &mut Command, scenario: &PathBuf) -> String {
    let Output { status, stderr, .. } = command.arg("run").arg(scenario).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn who_may_not_have_the_tap_is_told_what_would_help() {
    let site = Site::new();
    let scenario = site.scenario(IDLE);
    // Root in name only: no right to enter namespaces is left.
    let mut powerless = Command::new("setpriv");
    powerless.args(["--bounding-set", "-all", "--inh-caps", "-all", env!("CARGO_BIN_EXE_guestnet")]);
    let complaint = told(&mut powerless, &scenario);
    let first =
        format!("guestnet: error: no permission to enter the network namespace `{}`", site.namespace.name);
    assert!(complaint.starts_with(&first), "{complaint}");
    assert!(complaint.contains("guestnet: help: run guestnet as root, or with sudo"), "{complaint}");

    // A user who is nobody; everything on the way to the scenario is open to all.
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(scenario.parent().unwrap(), public).unwrap();
    let complaint = told(guestnet().uid(NOBODY).gid(NOBODY), &scenario);
    assert!(complaint.starts_with(&first), "{complaint}");
    // Without a namespace to enter it is the device that nobody may open.
    let text = fs::read_to_string(&scenario).unwrap();
    fs::write(
        &scenario,
        text.lines().filter(|line| !line.starts_with("netns")).collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    let complaint = told(guestnet().uid(NOBODY).gid(NOBODY), &scenario);
    assert!(complaint.starts_with("guestnet: error: no permission to "), "{complaint}");
    assert!(complaint.contains("/dev/net/tun"), "{complaint}");
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let site = Site::new();
    let scenario = site.scenario(IDLE);
    let text = fs::read_to_string(&scenario).unwrap();
    let name = &site.namespace.name;
    fs::write(&scenario, text.replace(name.as_str(), "gntest-none")).unwrap();
    let complaint = told(&mut guestnet(), &scenario);
    assert!(complaint.contains("error: there is no network namespace `gntest-none`"), "{complaint}");
    assert!(
        complaint.contains("help: make it together with its TAP: netns/up --netns gntest-none"),
        "{complaint}"
    );

    fs::write(&scenario, text.replace("\"gn0\"", "\"lo\"")).unwrap();
    let complaint = told(&mut guestnet(), &scenario);
    assert!(complaint.contains("error: the device `lo` is there, but it is no TAP"), "{complaint}");
}

#[test]
fn two_labs_cannot_have_one_tap() {
    let mut lab = Site::new().ready(IDLE);
    let scenario = lab.site.path("lab.toml");
    let complaint = told(&mut guestnet(), &scenario);
    assert!(complaint.contains("error: the TAP `gn0` is busy: another program has it open"), "{complaint}");
    // And the first goes on.
    lab.wait_for_ping();
    lab.finish();
}

#[test]
fn frames_that_the_device_does_not_take_are_told() {
    let mut lab = Site::new().ready(
        "[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n\
         [guest.ticker]\nmodule = \"GUESTS/ticker.wasm\"\nargs = [\"10.0.0.1:7\", \"100000\", \"20\"]\n",
    );
    lab.namespace().run("ip link set dev gn0 down");
    let comment = b"dropped: not taken by the TAP device";
    lab.wait_until("a frame that is not taken", |lab| {
        let capture = fs::read(lab.capture()).unwrap();
        capture.windows(comment.len()).any(|bytes| bytes == comment)
    });
    let ended = lab.finish();
    assert!(ended.stderr.contains(" TAP device down"), "{ended:?}");
}

#[test]
fn a_tap_that_is_taken_away_ends_the_lab_with_its_capture_whole() {
    let mut lab =
        Site::new().ready("[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n");
    let _open = lab.namespace().inside(|| TcpStream::connect("10.0.0.2:7").unwrap());
    lab.namespace().run("ip link del dev gn0");
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("guestnet: error: the TAP `gn0` went away"), "{ended:?}");
    assert!(ended.stderr.contains("guestnet: help: "), "{ended:?}");
    assert!(ended.stderr.contains("guestnet: lab: 0 of 1 guests exited with 0, 1 stopped; "), "{ended:?}");
    check(&lab.capture());
}
