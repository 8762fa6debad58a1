//! Directories that are handed over: what guests learn of them is the same whatever the machine's file system does, and
//! what is no file cannot keep a lab waiting.

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::scenario::cache;
use guestnet::folders::Content;
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// 2020-01-01T00:00:00Z, a scenario's epoch unless it says otherwise.
const EPOCH: Duration = Duration::from_secs(1_577_836_800);
/// More than fit one buffer of the guest's C library, which has 4 KiB.
const FILES: usize = 500;

/// The guest `file_facts` on this folder, as /box.
fn scenario(folder: &Path, args: &str) -> String {
    format!(
        "[guest.facts]\nmodule = \"target/guests/file_facts.wasm\"\nargs = [{args}]\n\
         directories = {{ \"/box\" = {{ host = \"{}\", writable = true }} }}\n",
        folder.display()
    )
}

fn run(folder: &Path, args: &str) -> Report {
    let text = scenario(folder, args);
    let lab = Lab::from_toml(&text, "facts.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
    let (send, report) = mpsc::channel();
    // A lab that waits for a file would wait for ever.
    thread::spawn(move || drop(send.send(lab.with_cache(cache()).run(1))));
    report.recv_timeout(Duration::from_secs(120)).expect("the lab ends")
}

/// The same by hand, in virtual time: the folder itself is written to, unless an option says otherwise.
fn run_by_hand(folder: &Path, args: &[&str], options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    let handed = format!("{}=/box:rw", folder.display());
    command
        .args(["run", "--sim", "--dir", &handed])
        .args(options)
        .arg("target/guests/file_facts.wasm")
        .args(args);
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{output:?}");
}

/// Files and directories, made in that order.
fn fill(folder: &Path, order: impl Iterator<Item = usize>) {
    for number in order {
        fs::write(folder.join(format!("file{number}")), vec![b'x'; number]).unwrap();
    }
    fs::create_dir(folder.join("below")).unwrap();
    fs::write(folder.join("below/deep"), "deep").unwrap();
    fs::hard_link(folder.join("file1"), folder.join("another")).unwrap();
}

#[test]
fn two_machines_show_the_same() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    fill(one.path(), 0..FILES);
    thread::sleep(Duration::from_millis(1100)); // for times that differ by a second
    fs::write(other.path().join("gone"), "").unwrap();
    fill(other.path(), (0..FILES).rev());
    fs::remove_file(other.path().join("gone")).unwrap();
    let [first, second] = [one, other].map(|folder| run(folder.path(), "'/box'"));
    let facts = first.guest("facts");
    assert_eq!(facts.exit, Exit::Code(0), "{first}");
    assert_eq!(facts.stdout(), second.guest("facts").stdout());

    let told = facts.stdout();
    let names: Vec<_> = told.lines().filter(|line| line.contains(": type ")).collect();
    let names: Vec<_> = names.iter().map(|line| line.split(':').next().unwrap()).collect();
    let top: Vec<_> = names.iter().filter(|name| name.starts_with("file")).collect();
    assert_eq!(top.len(), FILES);
    assert!(top.is_sorted(), "{top:?}");
    assert_eq!(&names[..4], [".", "..", "another", "below"]);
    // An entry has the inode that the file has, and each another one.
    let inode = |line: &str| line.split("ino ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let mut inodes = std::collections::BTreeSet::new();
    for number in 0..FILES {
        let of = |what: &str| told.lines().find(|line| line.starts_with(&format!("file{number}: {what}")));
        assert_eq!(inode(of("type").unwrap()), inode(of("dev").unwrap()));
        assert!(inodes.insert(inode(of("dev").unwrap())));
    }
    let file7 = told.lines().find(|line| line.starts_with("file7: dev")).unwrap();
    assert!(file7.ends_with("nlink 1 size 7 times 1577836800 1577836800 1577836800"), "{file7}");
}

#[test]
fn now_is_the_guests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(
        fs::metadata(&path).unwrap().modified().unwrap() > UNIX_EPOCH + EPOCH + Duration::from_secs(86_400)
    );
    run_by_hand(folder.path(), &["/box"], &[]);
    let about = fs::metadata(&path).unwrap();
    for time in [about.modified().unwrap(), about.accessed().unwrap()] {
        let after = time.duration_since(UNIX_EPOCH + EPOCH).expect("not before the lab's beginning");
        assert!(after < Duration::from_secs(60), "{after:?}");
    }
    assert!(SystemTime::now() > about.modified().unwrap());
}

#[test]
fn a_directory_can_be_emptied_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 0..FILES);
    let entries = || fs::read_dir(folder.path()).unwrap().count();
    let (before, file) = (entries(), folder.path().join("file7"));
    // A run of a lab leaves the folder as it was, and has a copy for itself.
    let report = run(folder.path(), "'/box', 'remove'");
    assert_eq!(report.guest("facts").exit, Exit::Code(0), "{report}");
    assert_eq!(report.file("facts", "/box/file7").unwrap(), Content::Absent);
    assert_eq!((entries(), fs::read(&file).unwrap()), (before, b"xxxxxxx".to_vec()));
    run_by_hand(folder.path(), &["/box", "remove"], &["--scratch"]);
    assert_eq!((entries(), fs::read(&file).unwrap()), (before, b"xxxxxxx".to_vec()));
    run_by_hand(folder.path(), &["/box", "remove"], &[]);
    assert_eq!(entries(), 0);
}

/// A guest makes a file that must not be there yet: whoever ran before, and whoever runs beside it, in its run it is the first, and
/// the other guest of that run, which has the same folder, is the second.
#[test]
fn no_run_sees_what_another_wrote() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("box")).unwrap();
    // path_open with O_CREAT and O_EXCL; its error is the exit code.
    let once = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "once")
        (func (export "_start")
            (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 5)
                (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)))))"#;
    fs::write(folder.path().join("once.wat"), once).unwrap();
    let text = "[guest.a]\nmodule = 'once.wat'\ndirectories = { '/box' = { host = 'box', writable = true } }\n\
                [guest.b]\nmodule = 'once.wat'\nstart = '1ms'\n\
                directories = { '/other' = { host = 'box', writable = true } }\n\
                [[expect]]\nguest = 'b'\nexit = 20\n\
                [[expect]]\nguest = 'b'\nfile = '/other/once'\nis = ''\n";
    fs::write(folder.path().join("lab.toml"), text).unwrap();
    for jobs in ["1", "2"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        command
            .args(["test", "--verify", "--seeds", "1..60", "-j", jobs, "lab.toml"])
            .current_dir(folder.path());
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(fs::read_dir(folder.path().join("box")).unwrap().count(), 0);
}

#[test]
fn what_is_no_file_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    mkfifo(&folder.path().join("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let report = run(folder.path(), "'/box'");
    let told = report.guest("facts").stdout().into_owned();
    assert_eq!(report.guest("facts").exit, Exit::Code(0), "{report}");
    for name in ["fifo", "socket"] {
        for what in ["to read", "to write", "times"] {
            assert!(told.contains(&format!("/box/{name}: {what}: Not supported\n")), "{told}");
        }
    }
}
