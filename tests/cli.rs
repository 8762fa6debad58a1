//! The program as a person or a script meets it: exit codes, what stands on which output, and files.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::tshark;

fn guestnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guestnet")).args(arguments).output().expect("the program runs")
}

fn sim(arguments: &[&str]) -> Output {
    guestnet(&[&["run", "--sim"], arguments].concat())
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The lines, sorted: guests of a live run have no order between them.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_guest_alone_has_the_outputs_and_the_code_is_its_own() {
    for code in ["0", "1", "7", "255"] {
        for mode in [&["run", "--sim"][..], &["run"]] {
            let output = guestnet(&[mode, &["target/guests/exit.wasm", code]].concat());
            assert_eq!(output.status.code(), Some(code.parse().unwrap()), "{mode:?}");
            assert_eq!((stdout(&output), stderr(&output)), ("out\n", "err\n"), "{mode:?}");
        }
    }
    // 8 bits are all that a process has; 256 must not look like success.
    assert_eq!(sim(&["target/guests/exit.wasm", "256"]).status.code(), Some(255));
}

#[test]
fn a_trap_tells_the_guest_and_its_calls() {
    let output = sim(&["target/guests/trap.wat"]);
    assert_eq!(output.status.code(), Some(134));
    insta::assert_snapshot!(stderr(&output), @r"
    guestnet: trap trapped: wasm trap: wasm `unreachable` instruction executed
    error while executing at wasm backtrace:
        0:     0x33 - trap!inner
        1:     0x37 - trap!outer
        2:     0x3c - trap!start
    ");
}

#[test]
fn a_trace_tells_how_a_guest_ends_and_where_one_is_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("calls");
    let traced = |arguments: &[&str]| {
        let file = format!("--trace={}", trace.display());
        sim(&[&[file.as_str()], arguments].concat());
        fs::read_to_string(&trace).unwrap()
    };
    let calls = traced(&["target/guests/exit.wasm", "7"]);
    assert!(calls.lines().last().unwrap().ends_with(" proc_exit(7) = ?"), "{calls}");
    let calls = traced(&["--duration", "1s", "target/guests/echo_server.wasm", "0.0.0.0:7"]);
    assert!(calls.lines().last().unwrap().contains(" poll_oneoff("), "{calls}");
    assert!(calls.lines().last().unwrap().ends_with(" <unfinished ...>"), "{calls}");
    assert_eq!(calls.matches("unfinished").count(), 1, "{calls}");
}

#[test]
fn a_guest_that_cannot_run_says_why() {
    for (guest, why) in [
        ("nostart.wat", "exports no function _start"),
        ("missing_import.wat", "unknown import: `networking::teleport`"),
        ("bad.wat", "is not a core module"),
        ("nomemory.wat", "exports no memory called \"memory\""),
    ] {
        let output = sim(&[&format!("target/guests/{guest}")]);
        assert_eq!(output.status.code(), Some(1), "{guest}");
        assert!(stderr(&output).contains(why), "{guest}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
    let output = sim(&["target/guests/nowhere.wasm"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not there"), "{}", stderr(&output));
}

#[test]
fn a_lab_succeeds_only_if_all_its_guests_do() {
    let code = |scenario: &str| sim(&[&format!("tests/scenarios/{scenario}.toml")]).status.code();
    assert_eq!(code("echo"), Some(0));
    assert_eq!(code("nostd"), Some(0), "a guest in the background is stopped, and that is well");
    assert_eq!(code("http"), Some(1), "one has a 404");
    assert_eq!(code("stdio"), Some(1), "one exits with 7");
    assert_eq!(code("broken"), Some(1));
    assert_eq!(code("stalled"), Some(1));
    let short = sim(&["--duration", "100ms", "tests/scenarios/lossy.toml"]);
    assert_eq!(short.status.code(), Some(124));
    assert!(stderr(&short).contains("the lab's duration is over"));
}

#[test]
fn of_many_guests_each_line_bears_a_name_and_failures_are_told_at_the_end() {
    let output = sim(&["tests/scenarios/policy.toml"]);
    insta::assert_snapshot!(stdout(&output), @r"
    allowed: echoed 5 bytes
    server: echoed 5 bytes of 1 connections
    ");
    insta::assert_snapshot!(stderr(&output), @r"
    squatter: echo_server.wasm: 0.0.0.0:8: Permission denied
    refused: echo_client.wasm: 10.0.0.2:7: Permission denied
    sixless: echo_client.wasm: [fd00::2]:7: Address family not supported by protocol
    guestnet: squatter exited with 1
    guestnet: refused exited with 1
    guestnet: sixless exited with 1
    guestnet: policy: 2 of 5 guests exited with 0, 3 failed; 0.000000 s of virtual time, seed 0; 45 frames, 3134 bytes, 0 dropped by links
    ");
}

/// The others go on beside a guest that traps, and the capture is whole: the server's and the client's words are in it.
#[test]
fn beside_a_trap_the_capture_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.pcapng");
    let output = sim(&["--capture", path.to_str().unwrap(), "tests/scenarios/broken.toml"]);
    let trap =
        stderr(&output).split("guestnet: ").find(|text| text.starts_with("trap ")).expect("it is told");
    assert!(["trapped", "inner", "outer", "start"].iter().all(|word| trap.contains(word)), "{trap}");
    assert!(stdout(&output).contains("client: echoed 36 bytes"));
    assert_eq!(tshark::faults(&path), "");
    let ends = tshark::output(
        tshark::tshark(&path).args(["-Y", "tcp.flags.fin == 1 && frame.interface_name == \"server\""]),
    );
    assert_eq!(ends.lines().count(), 2, "both sides closed:\n{ends}");
}

#[test]
fn traces_and_captures_are_the_same_in_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    let run = |number: usize| {
        let path = |kind| folder.path().join(format!("{number}.{kind}"));
        let (capture, trace) = (path("pcapng"), path("trace"));
        let output = sim(&[
            "--seed",
            "11",
            "--capture",
            capture.to_str().unwrap(),
            &format!("--trace={}", trace.display()),
            "tests/scenarios/echo.toml",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        (stdout(&output).to_owned(), fs::read(capture).unwrap(), fs::read_to_string(trace).unwrap())
    };
    let (first, second) = (run(1), run(2));
    assert!(first == second);
    let (_, capture, trace) = first;
    assert!(capture.len() > 4_000, "{} bytes", capture.len());
    let calls =
        ["open(", "listen(", "accept(", "connect(", "stream_create(", "fd_read(", "fd_write(", "fd_close("];
    for call in calls {
        assert!(trace.contains(call), "{call} is missing in\n{trace}");
    }
    for name in ["server ", "client "] {
        assert!(trace.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

/// The two drivers share all but themselves: what guests say does not depend on which it is.
#[test]
fn guests_say_the_same_live() {
    for lab in ["echo", "udp6", "http", "inherited", "loopback", "abi_answers"] {
        let path = format!("tests/scenarios/{lab}.toml");
        let (virtual_time, live) = (sim(&[&path]), guestnet(&["run", &path]));
        assert_eq!(virtual_time.status.code(), live.status.code(), "{lab}: {}", stderr(&live));
        assert_eq!(lines(stdout(&virtual_time)), lines(stdout(&live)), "{lab}");
    }
}

#[test]
fn a_capture_for_each_guest_has_its_own_frames() {
    let folder = tempfile::tempdir().unwrap();
    let output = sim(&["--capture-guests", folder.path().to_str().unwrap(), "tests/scenarios/echo.toml"]);
    assert_eq!(output.status.code(), Some(0));
    for name in ["server", "client"] {
        let path = folder.path().join(format!("{name}.pcapng"));
        let ports =
            tshark::output(tshark::tshark(&path).args(["-T", "fields", "-e", "frame.interface_name"]));
        assert!(ports.lines().count() > 10 && ports.lines().all(|port| port == name), "{ports}");
        assert_eq!(tshark::faults(Path::new(&path)), "");
    }
}

/// What is left out would have told the same of the same instant; no packet is left out, and every checksum is there.
#[test]
fn what_a_capture_shows_of_each_packet() {
    let folder = tempfile::tempdir().unwrap();
    let capture = |lab: &str, each: &str| {
        let path = folder.path().join(format!("{each}.pcapng"));
        let lab = format!("tests/scenarios/{lab}.toml");
        sim(&["--quiet", "--capture", path.to_str().unwrap(), "--capture-each", each, &lab]);
        assert_eq!(tshark::faults(&path), "", "{lab}, each {each}");
        let fields = ["frame.packet_id", "frame.time_epoch", "frame.interface_name", "frame.comment"];
        let fields = fields.map(|field| ["-e", field]).concat();
        tshark::output(tshark::tshark(&path).args(["-T", "fields"]).args(fields))
    };
    let packets = |lines: &str| -> std::collections::BTreeSet<String> {
        lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    for lab in ["echo", "trunk", "injected", "lossy", "partition"] {
        let all = capture(lab, "port");
        let every: std::collections::BTreeSet<&str> = all.lines().collect();
        for each in ["link", "packet"] {
            let some = capture(lab, each);
            assert_eq!(packets(&some), packets(&all), "{lab}, each {each}");
            assert!(some.lines().all(|line| every.contains(line)), "{lab}, each {each}");
            assert_eq!(some.matches("dropped").count(), all.matches("dropped").count(), "{lab}, each {each}");
            if lab == "echo" {
                // Two guests at one switch: four ports, two links.
                let times = if each == "link" { 2 } else { 4 };
                assert_eq!(times * some.lines().count(), all.lines().count(), "each {each}");
            }
        }
    }
}

#[test]
fn a_capture_on_standard_output_is_alone_there() {
    let output = sim(&["--capture", "-", "tests/scenarios/echo.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
    assert!(stderr(&output).contains("client: echoed 21 bytes"));
}

#[test]
fn standard_input_arguments_directories_and_environment_reach_a_guest_alone() {
    use std::io::Write;
    use std::process::Stdio;
    let mut cat = Command::new(env!("CARGO_BIN_EXE_guestnet"))
        .args(["run", "--sim", "target/guests/stdin_cat.wasm"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    cat.stdin.take().unwrap().write_all(b"through a guest\n").unwrap();
    assert_eq!(cat.wait_with_output().unwrap().stdout, b"through a guest\n");

    let output = sim(&["--env", "COLOUR=green", "target/guests/args_env.wasm", "one", "--two"]);
    insta::assert_snapshot!(stdout(&output), @r"
    argument 0: args_env.wasm
    argument 1: one
    argument 2: --two
    environment: COLOUR=green
    environment: NETWORKING_FDS=ipv4=3,ipv6=4
    ");

    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().to_str().unwrap();
    let read_only = sim(&["--dir", &format!("{host}=/box"), "target/guests/files.wasm", "/box"]);
    assert_eq!(read_only.status.code(), Some(1), "a directory is read-only unless it is said to be writable");
    let writable = sim(&["--dir", &format!("{host}=/box:rw"), "target/guests/files.wasm", "/box"]);
    assert_eq!(writable.status.code(), Some(0), "{}", stderr(&writable));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
