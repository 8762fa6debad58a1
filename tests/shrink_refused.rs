//! `guestnet shrink` with what cannot be shrunk, and where what it finds cannot be written.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Fails with every seed: the client's question is lost, as all are.
const FAILS: &str = "[guest.client]\nmodule = 'guests/echo_client.wasm'\nargs = ['10.0.0.9:7', 'dgram', 'x', '1']\n\
                     [guest.idle]\nmodule = 'guests/exit.wasm'\nargs = ['0']\n[[expect]]\nnever = 'arp'\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
    std::os::unix::fs::symlink(&modules, folder.path().join("guests")).unwrap();
    std::fs::write(folder.path().join("lab.toml"), FAILS).unwrap();
    folder
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["shrink"]).args(arguments).current_dir(folder).env("XDG_CACHE_HOME", folder.path());
    command
}

fn shrink(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

#[test]
fn what_is_no_scenario_that_fails_is_told_with_the_reason() {
    let folder = folder();
    let scenarios = [
        ("mistakes", "[guest.g]\nmodul = 'x'\n", "mistakes.toml:2:1: unknown key `modul` in guest `g`"),
        (
            "tap",
            "[switch.lan]\n[tap.t]\ndevice = 'gn0'\nnetwork = 'lan'\n[guest.g]\nmodule = 'guests/exit.wasm'\nnetwork = 'lan'\n",
            "TAP `t`: virtual time has no TAPs",
        ),
        ("well", "[guest.g]\nmodule = 'guests/exit.wasm'\nargs = ['0']\n", "seed 7 does not fail"),
        // One seed of a sweep is enough, and a single one need not.
        (
            "sometimes",
            "[guest.g]\nmodule = 'guests/exit.wasm'\nargs = ['0']\n[[expect]]\neventually = 'tcp'\nsometimes = true\n",
            "seed 7 does not fail",
        ),
        (
            "golden",
            "seed = 7\n[guest.g]\nmodule = 'guests/exit.wasm'\nargs = ['0']\n[[expect]]\ngolden = 'none.pcapng'\n",
            "the golden capture none.pcapng is what seed 7 differs from",
        ),
    ];
    for (name, text, why) in scenarios {
        let path = format!("{name}.toml");
        std::fs::write(folder.path().join(&path), text).unwrap();
        let (code, told) = told(&shrink(&folder, &[&path, "--seed", "7"]));
        assert_eq!(code, Some(2), "{name}: {told}");
        assert!(told.contains(why), "{name}: {told}");
    }
    let (code, told) = told(&shrink(&folder, &["absent.toml"]));
    assert!(code == Some(2) && told.contains("No such file"), "{told}");
    assert_eq!(files(&folder).len(), scenarios.len() + 1, "nothing was written");
}

/// A golden capture that differs beside something else is not what is followed.
#[test]
fn a_golden_capture_is_the_last_failure_that_is_followed() {
    let folder = folder();
    let text = FAILS.replace("[[expect]]", "[[expect]]\ngolden = 'none.pcapng'\n[[expect]]");
    std::fs::write(folder.path().join("lab.toml"), text).unwrap();
    let output = shrink(&folder, &["lab.toml", "-o", "-"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("expected: no packet is `arp`") && !text.contains("idle"), "{text}");
}

#[test]
fn the_scenario_itself_is_not_written_over() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("lab.toml", folder.path().join("link.toml")).unwrap();
    let outputs = [
        ("lab.toml", "is the scenario that is to be shrunk"),
        ("sub/../lab.toml", "is the scenario that is to be shrunk"),
        ("link.toml", "is the scenario that is to be shrunk"),
        ("sub", "is a folder"),
        ("none/small.toml", "none: there is no such folder"),
    ];
    for (output, why) in outputs {
        let (code, told) = told(&shrink(&folder, &["lab.toml", "-o", output]));
        assert!(code == Some(2) && told.contains(why), "{output}: {told}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("lab.toml")).unwrap(), FAILS);
}

/// A full disk: what was found is told all the same.
#[test]
fn what_cannot_be_written_goes_to_standard_output() {
    let folder = folder();
    let output = shrink(&folder, &["lab.toml", "-o", "/dev/full"]);
    let (code, why) = told(&output);
    assert!(
        code == Some(1) && why.contains("/dev/full (the scenario is on standard output): No space left"),
        "{why}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("# Shrunk from lab.toml, seed 0") && text.contains("[guest.client]"), "{text}");

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&folder, &["lab.toml", "-o", "-"]).stdout(Stdio::from(full)).output().unwrap();
    let (code, why) = told(&output);
    assert!(code == Some(1) && why.contains("standard output: No space left"), "{why}");
}

/// A guest that spins has no first run to begin from, and what limits the search limits that too.
#[test]
fn a_first_run_without_an_end_is_given_up() {
    let folder = folder();
    std::fs::write(folder.path().join("lab.toml"), "[guest.g]\nmodule = 'guests/spin.wat'\n").unwrap();
    let (code, why) = told(&shrink(&folder, &["lab.toml", "--time", "1s"]));
    assert!(code == Some(2) && why.contains("it was stopped before the first run was over"), "{why}");
    assert_eq!(files(&folder).len(), 1, "nothing was written");
}

/// However early it is stopped, what is written fails.
#[test]
fn one_run_is_enough_for_a_scenario() {
    let folder = folder();
    let (code, why) = told(&shrink(&folder, &["lab.toml", "--runs", "1", "-o", "small.toml"]));
    assert!(
        code == Some(0)
            && why.contains("2 guests, 0 timeline entries")
            && why.contains("after 1 run; stopped before"),
        "{why}"
    );
    let mut tested = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    tested.args(["test", "-q", "small.toml"]).current_dir(&folder);
    assert_eq!(tested.output().unwrap().status.code(), Some(1));
}
