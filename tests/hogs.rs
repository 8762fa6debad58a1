//! Guests whose calls are dear: each of their turns would keep the host busy for minutes, if calls cost no more than the
//! instruction that makes them. The others go on, time passes, limits hold, and Ctrl-C ends the lab.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::scenario;
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use guestnet::scenario::assets::Assets;
use guestnet::sim::Ending;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a guest does again and again, once it has said that it begins: a name, imports, and the call.
const HOGS: [(&str, &str, &str); 4] = [
    (
        "16 MiB of random bytes",
        r#"(import "wasi_snapshot_preview1" "random_get" (func $call (param i32 i32) (result i32)))"#,
        "(call $call (i32.const 4096) (i32.const 16777216))",
    ),
    (
        "65,536 clocks that have rung",
        r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $call (param i32 i32 i32 i32) (result i32)))"#,
        "(call $call (i32.const 4096) (i32.const 8000000) (i32.const 65536) (i32.const 0))",
    ),
    (
        "an output of a thousand empty pieces",
        "",
        "(call $write (i32.const 1) (i32.const 4096) (i32.const 1024) (i32.const 0))",
    ),
    (
        "an address of 16 MB",
        r#"(import "networking" "open" (func $call (param i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#,
        "(call $call (i32.const 3) (i32.const 4096) (i32.const 16000000) (i32.const 5) (i64.const 0) (i64.const 0) \
         (i32.const 4) (i32.const 0))",
    ),
];

fn module((_, imports, call): (&str, &str, &str)) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          {imports}
          (memory (export "memory") 300)
          (data (i32.const 64) "begun\n")
          (data (i32.const 16) "\40\00\00\00\06\00\00\00")
          (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
            (loop $again (drop {call}) (br $again))))"#
    )
}

/// In virtual time: the hog, and whatever else the scenario has.
fn run(hog: (&str, &str, &str), text: &str) -> Report {
    let plan = guestnet::scenario::parse(text, Path::new("lab.toml"));
    let plan = plan.unwrap_or_else(|error| panic!("{}", error.plain()));
    let mut assets = Assets::read(&plan);
    assets.insert(PathBuf::from("hog.wat"), module(hog).into_bytes());
    Lab::new(plan, assets).with_cache(scenario::cache()).run(1)
}

const PAIR: &str = r#"
[guest.server]
module = "target/guests/echo_server.wasm"
args = ["0.0.0.0:7", "stream", "1"]
[guest.client]
module = "target/guests/echo_client.wasm"
args = ["server:7", "stream", "hello", "3"]
"#;

#[test]
fn others_go_on_and_time_passes() {
    for hog in HOGS {
        let text = format!("duration = \"3ms\"\n[guest.hog]\nmodule = \"hog.wat\"\n{PAIR}");
        let report = run(hog, &text);
        assert_eq!(report.guest("client").exit, Exit::Code(0), "{}: {report}", hog.0);
        assert_eq!(report.guest("server").exit, Exit::Code(0), "{}: {report}", hog.0);
        assert_eq!(report.guest("hog").exit, Exit::Stopped, "{}: {report}", hog.0);
        assert_eq!(report.ending, Ending::Duration, "{}", hog.0);
    }
}

#[test]
fn what_the_host_does_for_a_guest_uses_its_fuel_up() {
    for hog in HOGS {
        let report = run(hog, "[guest.hog]\nmodule = \"hog.wat\"\nfuel = 100_000\n");
        let exit = &report.guest("hog").exit;
        assert!(matches!(exit, Exit::OutOfFuel { backtrace } if !backtrace.is_empty()), "{}: {exit}", hog.0);
    }
}

/// The program with the hog beside the pair.
fn spawn(folder: &Path, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_guestnet"))
        .args([&["run"], options].concat())
        .arg(folder.join("lab.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs")
}

#[test]
fn in_the_background_it_keeps_no_lab_from_its_end() {
    let pair = PAIR.replace("target/", concat!(env!("CARGO_MANIFEST_DIR"), "/target/"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hog.wat"), module(HOGS[0])).unwrap();
    let text = format!("[guest.hog]\nmodule = \"hog.wat\"\nbackground = true\n{pair}");
    fs::write(folder.path().join("lab.toml"), text).unwrap();
    for mode in [&[][..], &["--sim"]] {
        let ended = spawn(folder.path(), mode).wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{mode:?}: {ended:?}");
    }
}

#[test]
fn a_duration_and_an_interrupt_end_the_lab() {
    let pair = PAIR.replace("target/", concat!(env!("CARGO_MANIFEST_DIR"), "/target/"));
    for hog in HOGS {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hog.wat"), module(hog)).unwrap();
        fs::write(folder.path().join("lab.toml"), format!("[guest.hog]\nmodule = \"hog.wat\"\n{pair}"))
            .unwrap();
        let ended = spawn(folder.path(), &["--duration", "100ms"]).wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(124), "{}", hog.0);

        let capture = folder.path().join("lab.pcapng");
        for mode in [
            &["--capture", capture.to_str().unwrap()][..],
            &["--sim", "--capture", capture.to_str().unwrap()],
        ] {
            let mut lab = spawn(folder.path(), mode);
            let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert!(lines.any(|line| line.starts_with("client: echoed ")), "{}, {mode:?}", hog.0);
            kill(Pid::from_raw(lab.id() as i32), Signal::SIGINT).unwrap();
            lines.for_each(drop);
            assert_eq!(lab.wait().unwrap().code(), Some(130), "{}, {mode:?}", hog.0);
            let frames =
                guestnet::capture::frames(&fs::read(&capture).unwrap()).expect("the capture is whole");
            assert!(frames.len() > 10, "{}, {mode:?}", hog.0);
        }
    }
}
