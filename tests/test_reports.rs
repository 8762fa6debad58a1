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
        let failure = |told: &str| told.split(" run in").next().unwrap().to_owned();
        assert_eq!(failure(&told), failure(&again));
        let calls = line("calls and capture: ");
        assert!(calls.contains(" --scratch "), "{calls}");
        let (_, _, why) = site.sh(&calls);
        let kept = fs::read(site.path(&line("capture: "))).unwrap();
        assert!(kept == fs::read(site.path("again.pcapng")).expect(&why), "{why}");
    }
}

/// Among many, what one guest did is not lost in what all the others did, and how many more there are is said.
#[test]
fn of_many_guests_the_one_that_failed_is_told() {
    let text = "[guest.good]\nmodule = 'zero.wat'\ncount = 10\n[guest.worse]\nmodule = 'three.wat'\ncount = 3\n\
                [[expect]]\nguest = 'worse'\nexit = 0\n";
    let site = Site::new(&[("m.toml", text)]);
    for (name, code) in [("zero.wat", 0), ("three.wat", 3)] {
        let module = format!(
            "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32))) (memory (export \"memory\") 1)
             (func (export \"_start\") (call $exit (i32.const {code}))))"
        );
        fs::write(site.path(name), module).unwrap();
    }
    let (code, told, why) = site.test(&["m.toml"]);
    assert_eq!(code, Some(1), "{told}{why}");
    let end = "found: `worse-0` exited with 3, at 0.000000000 s\n2 more of these 3 are not as expected\n\
               calls of worse-0 around 0.000000000 s:\n  worse-0 0.000000000 proc_exit(3) = ?\ncapture: ";
    assert!(told.contains(end), "{told}");
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
    let (code, told, _) = site.test(&["--seeds", "1..6", "--shard", "1/3", "--junit", "r.xml", "."]);
    assert_eq!(code, Some(0), "{told}");
    let line = "ok   ./s.toml (2 of 6 seeds); not judged: line 3";
    assert!(told.contains(&format!("{line}\n")), "{told}");
    let xml = fs::read_to_string(site.path("r.xml")).unwrap();
    assert!(xml.contains(&format!("<system-out>{line}</system-out>")), "{xml}");
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
        let arguments =
            ["--seeds", "1..9", "--fail-fast", "-j", jobs, "--junit", "r.xml", "--digests", "d.txt", "."];
        let (code, told, _) = site.test(&arguments);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("FAIL ./b.toml: 1 of 1 seed failed: 1; 1 of 9 seeds were run\n"), "{told}");
        assert_eq!(told.matches("---- ").count(), 1, "{told}");
        assert!(told.contains("skip ./c.toml: not run, after another's failure"), "{told}");
        assert!(told.contains("10 runs in") && told.contains("1 passed, 1 failed, 1 skipped"), "{told}");
        let xml = fs::read_to_string(site.path("r.xml")).unwrap();
        assert!(xml.contains("after another's failure"), "{xml}");
        let digests = fs::read_to_string(site.path("d.txt")).unwrap();
        assert_eq!(digests.lines().count(), 10, "those that were told: {digests}");
        assert!(digests.lines().last().unwrap().starts_with("./b.toml 1 "), "{digests}");
    }
}

/// Golden captures are written of what there is, and what is no scenario is told by the exit code all the same.
#[test]
fn blessing_does_not_pass_over_mistakes() {
    let site = Site::new(&[("a.toml", GOOD), ("z.toml", "[guest.a]\nmodul = 'x'\n")]);
    let (code, told, why) = site.test(&["--bless", "."]);
    assert_eq!(code, Some(2), "{told}{why}");
    let (code, ..) = site.test(&["--bless", "a.toml"]);
    assert_eq!(code, Some(0));
    let (code, _, why) = site.test(&["--bless", "--junit", "r.xml", "a.toml"]);
    assert_eq!(code, Some(2), "{why}");
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

/// Read by a parser of XML: what follows its name are the cases, each with its folder, its name, and what became of it.
fn junit(path: &Path) -> Vec<String> {
    const READ: &str = "import sys, xml.etree.ElementTree as tree\n\
        suite = tree.parse(sys.argv[1]).getroot()\n\
        print(*(suite.tag + ' ' + ' '.join(k + '=' + v for k, v in suite.attrib.items() if k != 'time')).split('\\n'), sep='\\0', end='')\n\
        for case in suite:\n  \
        result = ' '.join(r.tag + ' ' + r.get('message') + '\\n' + (r.text or '') for r in case)\n  \
        print('\\0' + case.tag, case.get('classname'), case.get('name'), result, sep='|', end='')\n";
    let output = Command::new("python3").args(["-c", READ]).arg(path).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split('\0').map(str::to_owned).collect()
}

#[test]
fn junit_has_mistakes_and_failures_as_they_were_told() {
    // What a guest says, with all that XML has no room for.
    let says = "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func $w (param i32 i32 i32 i32) (result i32)))\
        (memory (export \"memory\") 1) (data (i32.const 0) \"\\10\\00\\00\\00\\0c\\00\\00\\00\")\
        (data (i32.const 16) \"<&]]>\\00\\1b\\ff\\22'é\")\
        (func (export \"_start\") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))";
    let odd = "[guest.a]\nmodule = 'says.wat'\n[[expect]]\nguest = 'a'\nstdout = ''\n";
    let site = Site::new(&[
        ("p <&\"> q/b.toml", BAD),
        ("z.toml", "[guest.a]\nmodule = 3\n"),
        ("g.toml", GOOD),
        ("o.toml", odd),
        ("t.toml", "[tap.t]\ndevice = 'tap0'\nnetwork = 'lan'\n[switch.lan]\n"),
    ]);
    fs::write(site.path("says.wat"), says).unwrap();
    let (code, told, _) = site.test(&["--seeds", "1..20", "--junit", "r.xml", "."]);
    assert_eq!(code, Some(2), "{told}");
    let report = junit(&site.path("r.xml"));
    assert_eq!(report[0], "testsuite name=guestnet tests=5 failures=2 errors=1 skipped=1");
    let [good, odd, bad, tap, mistakes] = &report[1..] else { panic!("{report:?}") };
    assert_eq!(good, "testcase|.|g.toml|");
    let said = "found: `a` has the output \"<&]]>\\0\\u{1b}\u{fffd}\\\"'é\", at 0.000000000 s\n";
    assert!(odd.contains(said), "{odd}");
    let head = "testcase|./p <&\"> q|b.toml|failure FAIL ./p <&\"> q/b.toml: 20 of 20 seeds failed: 1, 2,";
    assert!(bad.starts_with(head), "{bad}");
    // No more are written out than were told, and those as they were told.
    assert_eq!(bad.matches("---- ").count(), 3, "{bad}");
    let text = bad.split_once('\n').unwrap().1;
    for failure in text.split("\n\n") {
        assert!(told.contains(failure), "{failure}\n{told}");
        for line in
            ["expected: ", "found: ", "capture: guestnet-failures/b-", "again: guestnet test --seeds "]
        {
            assert_eq!(failure.lines().filter(|text| text.starts_with(line)).count(), 1, "{line}: {failure}");
        }
    }
    assert!(tap.starts_with("testcase|.|t.toml|skipped it has a TAP"), "{tap}");
    assert!(
        mistakes.starts_with("testcase|.|z.toml|error the scenario has mistakes\n./z.toml:2:10: "),
        "{mistakes}"
    );
}

/// A guest that is handed what differs each time it is read. `--verify` says so, with the call, and so does its line to run again.
#[test]
fn runs_that_are_not_repeatable_are_told_with_what_differs() {
    let reads = "(module (import \"wasi_snapshot_preview1\" \"path_open\" (func $open \
        (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))\
        (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))\
        (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))\
        (memory (export \"memory\") 1) (data (i32.const 0) \"\\20\\00\\00\\00\\24\\00\\00\\00\")\
        (data (i32.const 16) \"uuid\")\
        (func (export \"_start\")\
        (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)\
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 12)))\
        (drop (call $read (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)))\
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))";
    let text = "[guest.a]\nmodule = 'reads.wat'\ndirectories = { '/r' = '/proc/sys/kernel/random' }\n";
    let site = Site::new(&[("u.toml", text), ("g.toml", GOOD)]);
    fs::write(site.path("reads.wat"), reads).unwrap();
    let (code, told, why) = site.test(&["--seeds", "1..4", "."]);
    assert_eq!(code, Some(0), "without --verify nobody can know: {told}{why}");
    let (code, told, why) = site.test(&["--seeds", "1..4", "--verify=50", "."]);
    assert_eq!(code, Some(1), "{told}{why}");
    assert!(told.contains("FAIL ./u.toml: 2 of 4 seeds failed: 2, 4\n"), "{told}");
    assert!(told.contains("ok   ./g.toml (4 seeds)"), "{told}");
    let failure = told.split("---- ").nth(1).unwrap();
    assert!(failure.contains("expected: the same run again\nfound: call "), "{failure}");
    assert!(failure.contains("one run: ") && failure.contains("fd_read("), "{failure}");
    let again = failure.lines().find_map(|line| line.strip_prefix("again: ")).unwrap();
    assert_eq!(again, "guestnet test --seeds 2 --verify ./u.toml");
    let (code, again, why) = site.sh(again);
    assert_eq!(code, Some(1), "{again}{why}");
    assert!(again.contains("expected: the same run again"), "{again}");
}

/// All shards together have each run once, and fail where it fails.
#[test]
fn shards_have_their_part_of_all_runs() {
    let site = Site::new(&[("b.toml", BAD), ("g.toml", GOOD), ("h.toml", GOOD)]);
    let mut digests = Vec::new();
    for (shard, seeds, wanted) in [("1/4", "7", 1), ("2/4", "7", 0), ("3/4", "7", 0), ("4/4", "7", 0)] {
        let (code, told, why) = site.test(&["--seeds", seeds, "--shard", shard, "--digests", "d", "."]);
        assert_eq!(code, Some(wanted), "{shard}: {told}{why}");
        digests.extend(fs::read_to_string(site.path("d")).unwrap().lines().map(str::to_owned));
    }
    digests.sort();
    let (code, ..) = site.test(&["--seeds", "7", "--digests", "d", "."]);
    assert_eq!(code, Some(1));
    let whole = fs::read_to_string(site.path("d")).unwrap();
    assert_eq!(digests, whole.lines().collect::<Vec<_>>());
    assert_eq!(digests.len(), 3);
    let (code, told, _) = site.test(&["--shard", "5/4", "."]);
    assert_eq!(code, Some(2), "{told}");
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
    let (code, told, why) = site.test(&["--digests", "d.txt", "--junit", "/dev/full", "."]);
    assert_eq!(code, Some(1), "{told}{why}");
    assert!(why.contains("JUnit report /dev/full: No space left on device"), "{why}");
    assert!(told.contains("1 passed, 0 failed") && site.path("d.txt").is_file(), "{told}");
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
    // However often it is named.
    let (code, told, why) = site.test(&["d.toml", "./d.toml", ".", "p/.."]);
    assert_eq!(code, Some(0), "{told}{why}");
    assert!(told.contains("2 runs in"), "{told}");
    let (code, told, why) = site.test(&["--filter", "d.to", "."]);
    assert_eq!(code, Some(0), "{told}{why}");
    assert!(told.contains("1 run in") && told.contains("./d.toml") && !told.contains("./s.toml"), "{told}");
    let (code, _, why) = site.test(&["--filter", "nobody", "."]);
    assert_eq!(code, Some(2));
    assert!(why.contains("no scenario there has `nobody` in its path"), "{why}");
    // A head that is misspelt does not have a scenario passed over.
    for head in ["[guests.a]", "[[guest]]"] {
        let site = Site::new(&[("a.toml", GOOD), ("z.toml", &format!("{head}\nmodule = 'a.wat'\n"))]);
        let (code, told, why) = site.test(&["."]);
        assert_eq!(code, Some(2), "{told}{why}");
        assert!(why.contains("z.toml:1:"), "{why}");
    }
}
