//! Directories that are handed over: what guests learn of them is the same whatever the machine's file system does, and
//! what is no file cannot keep a lab waiting.

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::scenario;
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// 2020-01-01T00:00:00Z, a scenario's epoch unless it says otherwise.
const EPOCH: Duration = Duration::from_secs(1_577_836_800);
/// More than fit one buffer of the guest's C library, which has 4 KiB.
const FILES: usize = 500;

/// The guest `file_facts` on this folder, as /box.
fn run(folder: &Path, args: &str) -> Report {
    let text = format!(
        "[guest.facts]\nmodule = \"target/guests/file_facts.wasm\"\nargs = [{args}]\n\
         directories = {{ \"/box\" = {{ host = \"{}\", writable = true }} }}\n",
        folder.display()
    );
    let lab = Lab::from_toml(&text, "facts.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
    let (send, report) = mpsc::channel();
    // A lab that waits for a file would wait for ever.
    thread::spawn(move || drop(send.send(lab.with_cache(scenario::cache()).run(1))));
    report.recv_timeout(Duration::from_secs(120)).expect("the lab ends")
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
    let report = run(folder.path(), "'/box'");
    assert_eq!(report.guest("facts").exit, Exit::Code(0), "{report}");
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
    let report = run(folder.path(), "'/box', 'remove'");
    assert_eq!(report.guest("facts").exit, Exit::Code(0), "{report}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
