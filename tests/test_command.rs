//! `guestnet test` as a person or a script meets it: verdicts, files, a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the scenarios of a test, whose guests are in `guests`.
struct Site(tempfile::TempDir);

impl Site {
    fn new(scenarios: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
        std::os::unix::fs::symlink(modules, folder.path().join("guests")).unwrap();
        for (name, text) in scenarios {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Site(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn test(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        command
            .arg("test")
            .args(arguments)
            .arg("--captures")
            .arg(self.path("kept"))
            .current_dir(self.0.path());
        command.output().expect("the program runs")
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An exchange over a lossy line, of which nothing is expected that does not come true.
const GOOD: &str = "duration = \"10min\"\n[switch.lan]\n[guest.server]\nmodule = 'guests/echo_server.wasm'\nnetwork = 'lan'\nbackground = true\n\
    [guest.client]\nmodule = 'guests/echo_client.wasm'\nargs = ['10.0.0.2:7', 'stream', 'hello', '3']\nnetwork = 'lan'\n\
    link = { delay = '5ms', loss = { model = 'burst', probability = '20%', cap = 1 } }\n";

fn bad() -> String {
    format!("{GOOD}[[expect]]\nnever = 'tcp'\n")
}

/// Of three scenarios the capture of one's failure does not fit on the disk: it has failed, as has the other whose capture does,
/// and the third has passed.
#[test]
fn a_full_disk_fails_no_other_run() {
    let (first, second) = (bad(), bad());
    let site = Site::new(&[("a.toml", &first), ("b.toml", &second), ("c.toml", GOOD)]);
    fs::create_dir(site.path("kept")).unwrap();
    std::os::unix::fs::symlink("/dev/full", site.path("kept/a-1.pcapng")).unwrap();
    let output = site.test(&["--seeds", "1", "-j1", "."]);
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("a-1.pcapng could not be kept: No space left on device"), "{told}");
    assert!(told.contains("1 passed, 2 failed"), "{told}");
    assert!(
        told.contains("FAIL ./a.toml") && told.contains("FAIL ./b.toml") && told.contains("ok   ./c.toml"),
        "{told}"
    );
    assert!(fs::metadata(site.path("kept/b-1.pcapng")).unwrap().len() > 1000);
    assert!(!site.path("kept/a-1.pcapng").exists(), "what is not whole is not kept");
}

/// A folder in which nothing can be made is no reason to stop either.
#[test]
fn captures_that_have_no_place_are_told_with_their_failures() {
    let text = bad();
    let site = Site::new(&[("a.toml", &text), ("c.toml", GOOD)]);
    fs::write(site.path("kept"), "a file where the folder should be").unwrap();
    let output = site.test(&["--seeds", "1..4", "."]);
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("could not be kept"), "{told}");
    assert!(told.contains("ok   ./c.toml (4 seeds)"), "{told}");
    assert!(told.contains("1 passed, 1 failed"), "{told}");
}

/// A run whose own capture cannot be written has failed, and says so.
#[test]
fn a_run_that_cannot_be_captured_fails() {
    let site = Site::new(&[("c.toml", GOOD)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["run", "--sim", "--capture", "/dev/full", "c.toml"]).current_dir(site.0.path());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("capture /dev/full: No space left on device"), "{told}");
}

#[test]
fn runs_are_the_same_whoever_runs_them() {
    let text = bad();
    let site = Site::new(&[("a.toml", &text), ("c.toml", GOOD)]);
    let digests = |name: &str, jobs: &str| {
        site.test(&["--seeds", "1..20", "-q", "--digests", name, "-j", jobs, "."]);
        fs::read_to_string(site.path(name)).unwrap()
    };
    let one = digests("one", "1");
    assert_eq!(one.lines().count(), 40);
    assert!(one == digests("two", "2"), "two threads");
    // Each part tells runs apart.
    for part in ["capture ", "calls ", "verdicts "] {
        let of_seed = |line: &str| line.split(part).nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let distinct: std::collections::BTreeSet<_> = one.lines().take(20).map(of_seed).collect();
        assert!(distinct.len() > 10, "{part}: {distinct:?}");
    }
}

/// What a guest would read of the terminal is at its end at once: a run depends on nothing but its scenario and seed.
#[test]
fn an_inherited_input_is_empty() {
    let text = "[guest.cat]\nmodule = 'guests/stdin_cat.wasm'\nstdin = { inherit = true }\n[[expect]]\nguest = 'cat'\nstdout = ''\n";
    let site = Site::new(&[("cat.toml", text)]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    // Held open, and written to: the guest reads none of it.
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"not for it\n").unwrap();
    let output =
        command.args(["test", "cat.toml"]).current_dir(site.0.path()).stdin(reader).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    drop(writer);
    let report = guestnet::lab::Lab::from_file(site.path("cat.toml")).unwrap().run(1);
    assert!(report.is_success(), "{report}");
}

/// What `guestnet packets` has of a capture is what tshark has of it, by the same words.
#[test]
fn packets_are_listed_by_the_words_of_tshark() {
    let site = Site::new(&[("c.toml", GOOD)]);
    let guestnet = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        command.args(arguments).current_dir(site.0.path()).output().expect("the program runs")
    };
    guestnet(&["run", "--sim", "--seed", "3", "-q", "--capture", "c.pcapng", "c.toml"]);
    for filter in
        ["tcp.flags.syn == 1", "frame.comment", "arp || icmpv6", "tcp.len > 0 && ip.src == 10.0.0.3"]
    {
        let ours = stdout(&guestnet(&["packets", "c.pcapng", filter]));
        let numbers: Vec<_> = ours.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        let mut tshark = Command::new("tshark");
        tshark
            .args(["-r", "c.pcapng", "-Y", filter, "-T", "fields", "-e", "frame.number"])
            .current_dir(site.0.path());
        let theirs = stdout(&tshark.output().expect("tshark runs"));
        assert!(!numbers.is_empty(), "{filter}");
        assert_eq!(numbers, theirs.lines().collect::<Vec<_>>(), "{filter}:\n{ours}");
        let count = stdout(&guestnet(&["packets", "--count", "c.pcapng", filter]));
        assert_eq!(count.trim(), numbers.len().to_string());
    }
    let at_client = stdout(&guestnet(&["packets", "--at", "client", "c.pcapng"]));
    assert!(
        at_client.lines().count() > 10 && at_client.lines().all(|line| line.contains(" client ")),
        "{at_client}"
    );
    for (arguments, why) in [
        (&["packets", "c.pcapng", "tcp.sek"][..], "did you mean `tcp.seq`?"),
        (&["packets", "c.toml"], "c.toml is no capture"),
        (&["packets", "--at", "nobody", "c.pcapng"], "it has server, lan.0, client, lan.1"),
    ] {
        let refused = guestnet(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{arguments:?}: {refused:?}");
    }
}
