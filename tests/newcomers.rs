//! What somebody meets who is new to the program: slips on the command line, files that are no guests, and being
//! told what would have been right.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn guestnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guestnet")).args(arguments).output().expect("the program runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A slip on the command line: code 2, and what is said of it.
fn slip(arguments: &[&str]) -> String {
    let output = guestnet(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{arguments:?}");
    stderr(&output).to_owned()
}

const GUEST: &str = "target/guests/args_env.wasm";
const LAB: &str = "tests/scenarios/echo.toml";

#[test]
fn options_behind_the_path() {
    // A lab takes no arguments, so there they are guestnet's.
    let output = guestnet(&["run", LAB, "--sim", "--seed", "7"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains(" s of virtual time, seed 7; "), "{}", stderr(&output));
    for behind in [&["seven"][..], &["--sim", "seven"], &["--", "--sim"]] {
        let said = slip(&[&["run", LAB], behind].concat());
        assert!(said.contains("tests/scenarios/echo.toml is a lab, and takes no arguments\n"), "{said}");
        assert!(
            said.contains("guestnet: help: a guest's arguments stand in the scenario: `args = [...]`\n"),
            "{said}"
        );
    }
    // A guest may have options of the same name: it gets them, and the person is told.
    let output = guestnet(&["run", "--sim", GUEST, "--quiet", "--seed=7"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("argument 1: --quiet\nargument 2: --seed=7\n"), "{}", stdout(&output));
    insta::assert_snapshot!(stderr(&output), @"guestnet: hint: `--quiet` is the guest's own, as it stands behind it; guestnet's options stand before: guestnet run --quiet ... target/guests/args_env.wasm. If it is meant for the guest, write `--` before its arguments: guestnet run target/guests/args_env.wasm -- --quiet --seed=7");
    for quiet in [
        &["run", "--sim", GUEST, "--", "one", "--dir", "x"][..],
        &["run", "--sim", "-q", GUEST, "one", "--dir", "x"],
        &["run", "--sim", GUEST, "one", "--colour"],
    ] {
        let output = guestnet(quiet);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{quiet:?}");
        assert!(stdout(&output).contains("argument 1: one\n"), "{}", stdout(&output));
    }
}

#[test]
fn values_that_are_none() {
    insta::assert_snapshot!(slip(&["run", "--trace", "calls.txt", "--sim", LAB]), @"
    guestnet: error: calls.txt is not there
    guestnet: help: for the calls in a file, write `=`: guestnet run --trace=calls.txt tests/scenarios/echo.toml
    ");
    insta::assert_snapshot!(slip(&["run", "--seed", "abc", LAB]), @"
    error: invalid value 'abc' for '--seed <N>': `abc` is no seed: a whole number from 0 on

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(slip(&["run", "--dir", "nowhere=/srv", GUEST]), @"
    guestnet: error: `nowhere` is not a directory
    guestnet: help: write HOST, HOST=GUEST or HOST=GUEST:rw, such as --dir ./site=/srv
    ");
    insta::assert_snapshot!(slip(&["run", "--env", "COLOUR", GUEST]), @"
    guestnet: error: `COLOUR` sets no variable
    guestnet: help: write NAME=VALUE, such as --env RUST_LOG=debug
    ");
    insta::assert_snapshot!(slip(&["run", "--dir", ".", LAB]), @"
    guestnet: error: --dir, --env and --tap are for one guest
    guestnet: help: a lab's stand in the scenario: `directories`, `env`, `[tap.NAME]`
    ");
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let module = fs::read("target/guests/hello.wat").unwrap();
    fs::write(path("hello.wat"), &module).unwrap();
    fs::write(path("words"), "hello").unwrap();
    let scenario = "[guest.hello]\nmodule = 'hello.wat'\nstdin = { file = 'words' }\n";
    fs::write(path("lab.toml"), scenario).unwrap();
    fs::create_dir(path("out")).unwrap();
    fs::hard_link(path("hello.wat"), path("out/hello.pcapng")).unwrap();
    std::os::unix::fs::symlink("words", path("link")).unwrap();
    for (option, output, what) in [
        ("--capture", path("lab.toml"), "what is to be run"),
        ("--capture", path("out/../hello.wat"), "a guest's module"),
        ("--capture", path("link"), "a guest's standard input"),
        ("--capture-guests", path("out"), "a guest's module"),
    ] {
        let said = slip(&["run", "--sim", option, &output, &path("lab.toml")]);
        assert!(said.contains(&format!("{option} would overwrite {output}")), "{said}");
        assert!(said.contains(&format!(", which is {what}\n")), "{said}");
    }
    let said = slip(&["run", "--sim", &format!("--trace={}", path("hello.wat")), &path("hello.wat")]);
    assert!(said.contains("--trace would overwrite") && said.contains("what is to be run"), "{said}");
    assert_eq!(fs::read(path("hello.wat")).unwrap(), module);
    assert_eq!(fs::read_to_string(path("lab.toml")).unwrap(), scenario);
    let fine = guestnet(&["run", "--sim", "--capture", &path("lab.pcapng"), &path("lab.toml")]);
    assert_eq!(fine.status.code(), Some(0), "{}", stderr(&fine));
}

#[test]
fn a_capture_is_not_for_a_terminal() {
    let command = format!("{} run --sim --capture - {LAB}", env!("CARGO_BIN_EXE_guestnet"));
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output();
    let output = output.expect("script(1) is there, of Debian's package bsdutils");
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("standard output is a terminal"), "{}", stdout(&output));
    // The first bytes of any pcapng.
    let magic = [0x0a, 0x0d, 0x0d, 0x0a];
    assert!(!output.stdout.windows(magic.len()).any(|bytes| bytes == magic), "{}", stdout(&output));
}

#[test]
fn a_slip_leaves_an_older_capture_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("lab.pcapng");
    fs::write(&capture, "a capture of yesterday").unwrap();
    let said = slip(&["run", "--sim", "--capture", capture.to_str().unwrap(), "--capture-at", "clinet", LAB]);
    assert!(said.contains("--capture-at clinet: the lab has nothing of that name"), "{said}");
    assert_eq!(fs::read_to_string(&capture).unwrap(), "a capture of yesterday");
}

/// A pipe would keep whoever reads it waiting for ever, and a device has no end.
#[test]
fn pipes_and_devices_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/hello.wat");
    let guest = format!("[guest.one]\nmodule = {hello:?}\n");
    for (key, text) in [
        ("module", "[guest.one]\nmodule = \"FILE\"\n".to_owned()),
        ("pcap", format!("{guest}[[at]]\ntime = \"1s\"\ninject = {{ port = \"one\", pcap = \"FILE\" }}\n")),
    ] {
        for file in ["pipe", "/dev/zero"] {
            fs::write(path("lab.toml"), text.replace("FILE", file)).unwrap();
            let said = slip(&["check", &path("lab.toml")]);
            assert!(said.contains(&format!("{key}: `{file}`: is not a file")), "{said}");
        }
    }
    let golden = format!("seed = 1\n{guest}[[expect]]\ngolden = \"pipe\"\n");
    fs::write(path("lab.toml"), golden).unwrap();
    let tested = guestnet(&["test", &path("lab.toml")]);
    assert!(stdout(&tested).contains("is not a file"), "{}{}", stdout(&tested), stderr(&tested));
    // A scenario; and one that lies about in a folder of them.
    fs::rename(&pipe, path("lab.toml")).unwrap();
    let said = guestnet(&["check", &path("lab.toml")]);
    assert!(stderr(&said).contains("is not a file"), "{}", stderr(&said));
    fs::write(path("other.toml"), guest).unwrap();
    let tested = guestnet(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(tested.status.code(), Some(0), "{}{}", stdout(&tested), stderr(&tested));
    // A guest's standard input may be a pipe.
    let input = format!(
        "cat {GUEST_INPUT} > {0}/in & exec {1} run --sim {0}/third.toml",
        folder.path().display(),
        env!("CARGO_BIN_EXE_guestnet")
    );
    nix::unistd::mkfifo(&folder.path().join("in"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let cat = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/stdin_cat.wasm");
    fs::write(path("third.toml"), format!("[guest.one]\nmodule = {cat:?}\nstdin = {{ file = \"in\" }}\n"))
        .unwrap();
    let output = Command::new("sh").args(["-c", &input]).output().unwrap();
    assert!(stdout(&output).contains("[package]"), "{}{}", stdout(&output), stderr(&output));
}

const GUEST_INPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// In virtual time the standard input is read whole first. Whoever does not want to wait for it presses Ctrl-C once.
#[test]
fn a_wait_for_input_can_be_interrupted() {
    // Whoever started the tests may have had them ignore it, as shells have what runs in their background.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_guestnet")])
        .args(["run", "--sim", "target/guests/stdin_cat.wasm"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It is at `read` once it sleeps there.
    let syscall = format!("/proc/{}/wchan", child.id());
    while !fs::read_to_string(&syscall).is_ok_and(|place| place.contains("pipe_read")) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGINT as i32));
}

#[test]
fn a_guest_is_checked_like_a_lab() {
    let output = guestnet(&["check", "target/guests/hello.wat"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    assert!(stdout(&output).starts_with("hello: 1 guest, 1 switch, "), "{}", stdout(&output));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.wat");
    fs::write(&path, "(module\n  (func (export \"_start\") (nonsense)))\n").unwrap();
    for command in [&["check"][..], &["run", "--sim"]] {
        let output = guestnet(&[command, &[path.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(1));
        let place = format!("{}:2:", path.display());
        assert!(stderr(&output).contains(&place), "{}", stderr(&output));
    }
    let said = slip(&["check", "nowhere.wasm"]);
    assert!(said.contains("nowhere.wasm is not there"), "{said}");
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = guestnet(&["completions", shell]);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{shell}");
        // Subcommands, and options of one.
        for word in ["shrink", "packets", "capture-at"] {
            assert!(stdout(&output).contains(word), "{shell} is not told of {word}");
        }
    }
}

#[test]
fn a_terminal_sees_a_line_of_progress_and_no_other_place_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.toml");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/spin.wat");
    fs::write(&path, format!("[guest.one]\nmodule = {module:?}\n[guest.two]\nmodule = {module:?}\n"))
        .unwrap();
    let run = [env!("CARGO_BIN_EXE_guestnet"), "run", "--duration", "1s", path.to_str().unwrap()];
    let on_terminal = |command: &str| {
        let output =
            Command::new("script").args(["-qec", command, "/dev/null"]).stdin(Stdio::null()).output();
        output.expect("script(1) is there, of Debian's package bsdutils")
    };
    let output = on_terminal(&run.join(" "));
    assert_eq!(output.status.code(), Some(124));
    assert!(stdout(&output).contains(" s, 2 guests at work, 0 frames, 0 dropped"), "{}", stdout(&output));
    assert!(stdout(&output).contains("the lab's duration is over"), "{}", stdout(&output));
    let output = on_terminal(&format!("{} --quiet", run.join(" ")));
    assert!(!stdout(&output).contains("guests at work"), "{}", stdout(&output));
    let output = guestnet(&run[1..]);
    assert!(!stderr(&output).contains("guests at work"), "{}", stderr(&output));
}

#[test]
fn files_that_are_no_guests_are_told_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    let cases: [(&[u8], &str); 6] = [
        (
            b"\0asm\x0d\0\x01\0",
            "is a WebAssembly component, not a core module of WASI preview 1; guests are core modules",
        ),
        (b"(component)", "is a WebAssembly component"),
        (b"\x7fELF\x02\x01\x01", "is a native program or library (ELF), not a core module"),
        (b"", "is empty"),
        (
            b"(module (func (export \"_initialize\")))",
            "exports no function _start: it is a library (a reactor)",
        ),
        (
            b"(module (import \"wasi_unstable\" \"fd_close\" (func)) (func (export \"_start\")))",
            "it is of before preview 1",
        ),
    ];
    for (bytes, what) in cases {
        fs::write(&path, bytes).unwrap();
        let output = guestnet(&["run", "--sim", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(stderr(&output).contains(what), "{what}: {}", stderr(&output));
    }
}

#[test]
fn check_says_where_a_module_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("c.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    fs::write(path("n.wat"), "(module)").unwrap();
    let text = "[guest.one]\nmodule = 'c.wasm'\n\n[guest.two]\nargs = []\nmodule   =   'n.wat'\n[guest.three]\nmodule = 'c.wasm'\n";
    fs::write(path("lab.toml"), text).unwrap();
    let said = slip(&["check", "--quiet", &path("lab.toml")]);
    let said = said.replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(said, @"
    FOLDER/lab.toml:2:10: guest `one` could not run: FOLDER/c.wasm is a WebAssembly component, not a core module of WASI preview 1; guests are core modules: compile the program for WASI preview 1 (the target wasm32-wasip1, not wasm32-wasip2)
    FOLDER/lab.toml:6:14: guest `two` could not run: FOLDER/n.wat exports no function _start: it is a library, not a program
    ");
}

/// A lab that ends, and one that does not.
fn two_labs(folder: &Path) {
    let module = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests").join(name);
    for (lab, guest) in [("a.toml", "hello.wat"), ("b.toml", "spin.wat")] {
        let text = format!("[guest.one]\nmodule = {:?}\n", module(guest));
        fs::write(folder.join(lab), text).unwrap();
    }
}

#[test]
fn a_test_that_is_interrupted_says_how_it_went_until_then() {
    let folder = tempfile::tempdir().unwrap();
    two_labs(folder.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_guestnet"))
        .args(["test", "--jobs", "1", "--seeds", "1..2"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.starts_with("ok ") && first.ends_with("a.toml (2 seeds)"), "{first}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let rest: Vec<_> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert_eq!(rest[0], format!("cut  {}: seed 1 was under way", folder.path().join("b.toml").display()));
    assert!(rest[1].starts_with("2 of 4 runs in ") && rest[1].ends_with(" s, then interrupted"), "{rest:?}");
    assert_eq!(rest[2..], ["1 passed, 0 failed, 1 not run"]);
}

#[test]
fn what_is_to_come_sometimes_need_not_come_in_a_single_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.toml");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/hello.wat");
    let text = format!(
        "[guest.one]\nmodule = {guest:?}\n[[expect]]\nguest = 'one'\nexit = 7\nsometimes = true\n[[expect]]\nguest = 'one'\nexit = 0\n"
    );
    fs::write(&path, text).unwrap();
    let test = |seeds: &str| guestnet(&["test", "--seeds", seeds, path.to_str().unwrap()]);
    let one = test("5");
    assert_eq!(one.status.code(), Some(0), "{}", stdout(&one));
    let sweep = test("1..3");
    assert_eq!(sweep.status.code(), Some(1), "{}", stdout(&sweep));
    assert!(
        stdout(&sweep).contains("what line 3 expects came true with none of 3 seeds"),
        "{}",
        stdout(&sweep)
    );
}

#[test]
fn a_guest_alone_is_summed_up_when_that_is_asked_for() {
    let plain = guestnet(&["run", "--sim", "target/guests/hello.wat"]);
    assert_eq!(stderr(&plain), "");
    let asked = guestnet(&["run", "--sim", "--summary", "target/guests/hello.wat"]);
    assert_eq!(stdout(&plain), stdout(&asked));
    insta::assert_snapshot!(stderr(&asked), @"guestnet: hello: 1 of 1 guests exited with 0; 0.000000 s of virtual time, seed 0; 0 frames, 0 bytes, 0 dropped by links");
}

/// As strace does: data by its first bytes, flags and rights by their names.
#[test]
fn a_trace_has_words() {
    let trace = guestnet(&["run", "--sim", "--trace", LAB]);
    let lines: Vec<_> = stderr(&trace).lines().collect();
    for part in [
        ", socket_stream, fd_read|fd_fdstat_set_flags|fd_write|fd_filestat_get|poll_fd_readwrite|sock_shutdown, fd_read|",
        " connect(5, \"10.0.0.2:7\", [6]) = 0",
        " fd_write(5, \"0 hello\", [7]) = 0",
        " fd_read(7, \"0 hello\", [7]) = 0",
        " fd_write(1, \"echoed 21 bytes of 1 connections\"..., [33]) = 0",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part} is missing in\n{}", lines.join("\n"));
    }
}

#[test]
fn man_pages_say_how_each_command_is_written() {
    let synopsis = |command: &[&str]| {
        let page = guestnet(&[&["man"], command].concat());
        assert_eq!(page.status.code(), Some(0));
        let page = stdout(&page).replace("\\-", "-");
        let (_, rest) = page.split_once(".SH SYNOPSIS\n").expect("a synopsis");
        rest.split(".SH").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(synopsis(&["run"]), @"
    guestnet run [OPTIONS] LAB.toml
    .br
    guestnet run [OPTIONS] GUEST.wasm [ARGUMENTS]...
    ");
    insta::assert_snapshot!(synopsis(&["test"]), @"guestnet test [OPTIONS] <PATH>...");
    insta::assert_snapshot!(synopsis(&[]), @"guestnet <COMMAND>");
}
