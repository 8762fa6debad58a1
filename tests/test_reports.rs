//! What `guestnet test` reports of failures, whoever reads it and however it was cut short.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Passes with any seed.
const GOOD: &str = "[guest.a]\nmodule = 'a.wat'\n";
/// Fails with any seed.
const BAD: &str = "[guest.a]\nmodule = 'bad.wat'\n";
/// Expects what one seed is enough for, and none has.
const SOMETIMES: &str = "[guest.a]\nmodule = 'a.wat'\n[[expect]]\neventually = 'tcp'\nsometimes = true\n";

struct Site(tempfile::TempDir);

impl Site {
    fn new(scenarios: &[(&str, &str)]) -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        for (name, text) in scenarios {
            let path = site.path(name);
            let folder = path.parent().unwrap();
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("a.wat"), "(module (func (export \"_start\")))").unwrap();
            fs::write(folder.join("bad.wat"), "(module (func (export \"_start\") unreachable))").unwrap();
            fs::write(path, text).unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn test(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        split(&command.arg("test").args(arguments).current_dir(self.0.path()).output().unwrap())
    }

    fn sh(&self, line: &str) -> (Option<i32>, String, String) {
        let bin = Path::new(env!("CARGO_BIN_EXE_guestnet")).parent().unwrap().display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        split(&command.args(["-c", line]).env("PATH", path).current_dir(self.0.path()).output().unwrap())
    }
}

fn split(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Lines printed for a failure, as a shell runs them: the same verdict, and a capture that is the same to the byte.
#[test]
fn what_is_told_to_run_again_fails_again() {
    let text = format!(
        "[switch.lan]\n{BAD}network = 'lan'\ndirectories = {{ '/box' = {{ host = 'box', writable = true }} }}\n"
    );
    for name in ["one dir/x.toml", "it's.toml", "-x.toml", "one \"dir\"/$x.lab"] {
        let site = Site::new(&[(name, &text)]);
        fs::create_dir_all(site.path(name).with_file_name("box")).unwrap();
        let (code, told, why) = site.test(&["--seeds", "3", "--", name]);
        assert_eq!(code, Some(1), "{told}{why}");
        let line = |start: &str| told.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
        let (code, again, why) = site.sh(&line("again: "));
        assert_eq!(code, Some(1), "{again}{why}");
        let failure = |told: &str| told.split(" runs in").next().unwrap().to_owned();
        assert_eq!(failure(&told), failure(&again));
        let calls = line("calls and capture: ");
        assert!(calls.contains(" --scratch "), "{calls}");
        let (_, _, why) = site.sh(&calls);
        let kept = fs::read(site.path(&line("capture: "))).unwrap();
        assert!(kept == fs::read(site.path("again.pcapng")).expect(&why), "{why}");
    }
}

#[test]
fn captures_of_one_name_are_kept_both() {
    let site = Site::new(&[("p/x.toml", BAD), ("q/x.toml", BAD)]);
    site.test(&["."]);
    assert!(site.path("guestnet-failures/p-x-0.pcapng").is_file());
    assert!(site.path("guestnet-failures/q-x-0.pcapng").is_file());
}

/// What one seed is enough for is judged where all seeds ran, and nowhere else.
#[test]
fn a_part_of_a_sweep_does_not_judge_what_one_seed_is_enough_for() {
    let site = Site::new(&[("s.toml", SOMETIMES)]);
    let (code, told, _) = site.test(&["--seeds", "1..6", "."]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("FAIL ./s.toml: what line 3 expects came true with none of 6 seeds"), "{told}");
    let (code, told, _) = site.test(&["--seeds", "1..6", "--shard", "1/3", "."]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("not judged: line 3, with 2 of 6 seeds"), "{told}");
}

#[test]
fn a_shard_without_a_run_is_no_failure() {
    let site = Site::new(&[("g.toml", GOOD)]);
    let (code, told, _) = site.test(&["--seeds", "1", "--shard", "2/2", "."]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("skip ./g.toml: no seed of it is in this shard"), "{told}");
    let site = Site::new(&[("t.toml", "[tap.t]\ndevice = 'tap0'\nnetwork = 'lan'\n[switch.lan]\n")]);
    let (code, told, why) = site.test(&["."]);
    assert_eq!(code, Some(1), "{told}{why}");
    assert!(told.contains("it has a TAP"), "{told}");
}

/// The first failure in the order of the seeds, however many threads there are.
#[test]
fn the_first_failure_is_the_last() {
    let site = Site::new(&[("a.toml", GOOD), ("b.toml", BAD), ("c.toml", GOOD)]);
    for jobs in ["1", "4"] {
        let arguments = ["--seeds", "1..9", "--fail-fast", "-j", jobs, "--junit", "r.xml", "."];
        let (code, told, _) = site.test(&arguments);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("FAIL ./b.toml: 1 of 1 seed failed: 1\n"), "{told}");
        assert_eq!(told.matches("---- ").count(), 1, "{told}");
        assert!(told.contains("skip ./c.toml: not run, after another's failure"), "{told}");
        assert!(told.contains("10 runs in") && told.contains("1 passed, 1 failed, 1 skipped"), "{told}");
        let xml = fs::read_to_string(site.path("r.xml")).unwrap();
        assert!(xml.contains("after another's failure"), "{xml}");
    }
}

/// The smallest seeds, in order, are those that are told and kept.
#[test]
fn what_is_told_does_not_depend_on_threads() {
    let site = Site::new(&[("b.toml", BAD), ("c.toml", BAD)]);
    let told = |jobs: &str| {
        let (_, told, _) = site.test(&["--seeds", "1..40", "-j", jobs, "."]);
        told.split("80 runs in").next().unwrap().to_owned()
    };
    let one = told("1");
    assert_eq!(one, told("4"));
    let heads: Vec<_> = one.lines().filter(|line| line.starts_with("---- ")).collect();
    let wanted = [
        "b.toml, seed 1",
        "b.toml, seed 2",
        "b.toml, seed 3",
        "c.toml, seed 1",
        "c.toml, seed 2",
        "c.toml, seed 3",
    ];
    assert_eq!(heads, wanted.map(|head| format!("---- ./{head}")));
}

/// A guest without an end keeps nobody waiting longer than was said, and is named.
#[test]
fn a_sweep_ends_when_its_time_is_over() {
    let spin = "[guest.a]\nmodule = 'spin.wat'\n";
    let site = Site::new(&[("g.toml", GOOD), ("s.toml", spin), ("z.toml", GOOD)]);
    fs::write(site.path("spin.wat"), "(module (func (export \"_start\") (loop (br 0))))").unwrap();
    let arguments = ["-j1", "--seeds", "1..2", "--time", "3s", "--junit", "r.xml", "."];
    let (code, told, why) = site.test(&arguments);
    assert_eq!(code, Some(124), "{told}{why}");
    assert!(told.contains("ok   ./g.toml (2 seeds)\ncut  ./s.toml: seed 1 was under way\n"), "{told}");
    assert!(told.contains("skip ./z.toml: not run before --time was over"), "{told}");
    assert!(told.contains("2 of 6 runs in ") && told.contains("1 passed, 0 failed, 2 skipped"), "{told}");
    let xml = fs::read_to_string(site.path("r.xml")).unwrap();
    assert!(xml.contains("name=\"s.toml\"><skipped message=\"under way when all was stopped"), "{xml}");
    // What failed before is worth more.
    let site = Site::new(&[("b.toml", BAD), ("s.toml", spin)]);
    fs::write(site.path("spin.wat"), "(module (func (export \"_start\") (loop (br 0))))").unwrap();
    let (code, told, why) = site.test(&["-j1", "--time", "3s", "."]);
    assert_eq!(code, Some(1), "{told}{why}");
}

#[test]
fn junit_has_mistakes_and_failures_as_they_were_told() {
    let site = Site::new(&[("b.toml", BAD), ("z.toml", "[guest.a]\nmodule = 3\n"), ("g.toml", GOOD)]);
    let (code, told, _) = site.test(&["--seeds", "1..20", "--junit", "r.xml", "."]);
    assert_eq!(code, Some(2), "{told}");
    let xml = fs::read_to_string(site.path("r.xml")).unwrap();
    assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\""), "{xml}");
    assert!(xml.contains("name=\"z.toml\"><error ") && xml.contains("z.toml:2:"), "{xml}");
    assert!(xml.contains("again: guestnet test --seeds 1 ./b.toml"), "{xml}");
    assert_eq!(xml.matches("---- ./b.toml, seed ").count(), 3, "{xml}");
}

/// Nothing panics, and the exit code says how it went.
#[test]
fn standard_output_may_close_or_be_full() {
    let site = Site::new(&[("b.toml", BAD)]);
    let (_, told, why) = site.sh("{ guestnet test --seeds 1..50 .; echo code $? >&2; } | true");
    assert!(why.contains("code 1") && !why.contains("panicked"), "{told}{why}");
    let (code, _, why) = site.sh("guestnet test . > /dev/full");
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("standard output: No space left on device") && !why.contains("panicked"), "{why}");
    let (code, _, why) = site.sh("guestnet shrink -q -o - b.toml > /dev/full");
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("standard output: No space left on device") && !why.contains("panicked"), "{why}");
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_summary() {
    let site = Site::new(&[("g.toml", GOOD)]);
    let (code, told, why) = site.test(&["--digests", "/dev/full", "--junit", "r.xml", "."]);
    assert_eq!(code, Some(1), "{told}{why}");
    assert!(why.contains("digests /dev/full: No space left on device"), "{why}");
    assert!(told.contains("1 passed, 0 failed") && site.path("r.xml").is_file(), "{told}");
}

#[test]
fn scenarios_are_found_by_what_they_have() {
    let dotted = "guest.a.module = 'a.wat'\n";
    let site = Site::new(&[
        ("d.toml", dotted),
        ("s.toml", "[ guest.a ]\nmodule = 'a.wat'\n"),
        ("p/Cargo.toml", "[package]\n"),
    ]);
    std::os::unix::fs::symlink("..", site.path("p/up")).unwrap();
    std::os::unix::fs::symlink("nowhere", site.path("p/dangling.toml")).unwrap();
    let (code, told, why) = site.test(&["."]);
    assert_eq!(code, Some(0), "{told}{why}");
    assert!(told.contains("2 runs in") && told.contains("./d.toml") && told.contains("./s.toml"), "{told}");
    let (code, _, why) = site.test(&["--filter", "nobody", "."]);
    assert_eq!(code, Some(2));
    assert!(why.contains("no scenario there has `nobody` in its path"), "{why}");
}
