//! Golden captures: labs whose every byte on the wire is kept under captures/. A change that moves a packet, a time
//! or a checksum shows here. `GOLDEN=write cargo test --test golden` makes the new captures the golden ones, to be
//! looked at in tshark or Wireshark and committed.

mod common;

use std::path::Path;
use std::process::Command;

use common::{scenario, tshark};

/// They are for people to open, and stay in the repository for ever.
const BYTES_MAX: usize = 24 * 1024;

fn check(name: &str, seed: u64) {
    let capture = scenario::lab(name).run(seed).capture();
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("fresh.pcapng");
    std::fs::write(&fresh, &capture).unwrap();
    let golden = Path::new("captures").join(format!("{name}.pcapng"));
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        assert!(capture.len() <= BYTES_MAX, "{name}: {} bytes are too many", capture.len());
        std::fs::write(&golden, &capture).unwrap();
        return;
    }
    let kept = std::fs::read(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
    if kept != capture {
        // What a person can read comes first.
        assert_eq!(packets(&golden), packets(&fresh), "{name} went another way");
        panic!("{name}: tshark sees the same packets, yet the files differ");
    }
}

/// One line a packet: where, when, what.
fn packets(path: &Path) -> String {
    let columns = [
        ("port", "%Cus:frame.interface_name"),
        ("time", "%Rt"),
        ("from", "%us"),
        ("to", "%ud"),
        ("protocol", "%p"),
        ("length", "%L"),
        ("info", "%i"),
        ("note", "%Cus:frame.comment"),
    ];
    let columns = columns.map(|(title, field)| format!("\"{title}\",\"{field}\"")).join(",");
    tshark::output(tshark::tshark(path).args(["-n", "-o", &format!("gui.column.format:{columns}")]))
}

#[test]
fn tcp_over_ipv4() {
    check("echo", 1);
}

#[test]
fn udp_over_ipv6() {
    check("udp6", 1);
}

/// A SYN is lost, and data after it.
#[test]
fn a_lossy_handshake() {
    check("handshake", 2);
    for lost in ["tcp.flags.syn == 1", "tcp.len > 0"] {
        let filter = format!("{lost} && frame.comment contains \"lost\"");
        let lost =
            tshark::output(tshark::tshark(Path::new("captures/handshake.pcapng")).args(["-Y", &filter]));
        assert!(!lost.is_empty(), "{filter}");
    }
}

/// `guestnet test --bless` writes what is missing or differs, and leaves what is as it was; with another seed than the scenario's own,
/// nothing is compared.
#[test]
fn golden_captures_are_blessed() {
    let folder = tempfile::tempdir().unwrap();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
    std::os::unix::fs::symlink(modules, folder.path().join("guests")).unwrap();
    let write = |repeats: u32| {
        let text = format!(
            "seed = 3\n[guest.server]\nmodule = 'guests/echo_server.wasm'\nargs = ['0.0.0.0:7']\nbackground = true\n\
             [guest.client]\nmodule = 'guests/echo_client.wasm'\nargs = ['10.0.0.2:7', 'stream', 'hello', '{repeats}']\n\
             [[expect]]\ngolden = 'kept.pcapng'\ncompare = 'packets'\namong = 'tcp.len > 0'\n\
             [[expect]]\ngolden = 'whole.pcapng'\n"
        );
        std::fs::write(folder.path().join("lab.toml"), text).unwrap();
    };
    let test = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        command.arg("test").args(options).arg("lab.toml").current_dir(folder.path());
        let output = command.output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let kept = || std::fs::read(folder.path().join("kept.pcapng")).unwrap();

    write(2);
    let (code, told) = test(&[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("kept.pcapng: No such file") && told.contains("--bless` writes it"), "{told}");
    let (code, told) = test(&["--bless"]);
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "lab.toml: wrote kept.pcapng\nlab.toml: wrote whole.pcapng\n")
    );
    assert_eq!(test(&[]).0, Some(0));
    assert_eq!(test(&["--bless"]), (Some(0), String::new()), "they are as they were");
    let first = kept();

    write(3);
    let (code, told) = test(&[]);
    assert_eq!(code, Some(1), "{told}");
    let differing = told.split("found: frame ").nth(1).unwrap();
    assert!(differing.contains("\n  in place of\n") && differing.contains(" client > 10.0.0.3:"), "{told}");
    assert!(told.contains("it has 6 such packets in place of 4; more, at 0."), "{told}");
    assert_eq!(test(&["--seeds", "4"]).0, Some(0), "a golden capture is of one seed");
    assert_eq!(test(&["--bless"]).0, Some(0));
    assert_ne!(kept(), first);
    assert_eq!(test(&[]).0, Some(0));
}
