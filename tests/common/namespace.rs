//! A network namespace with a TAP in it, made by netns/up.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;

pub const DEVICE: &str = "gn0";

/// A namespace with a TAP in it, gone again at the end of the test however that ends.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            Uid::effective().is_root(),
            "a network namespace needs root; run through scripts/test, which takes sudo where it has to"
        );
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace { name: format!("gntest-{}-{number}", std::process::id()) };
        namespace.up(&[]);
        namespace
    }

    pub fn up(&self, options: &[&str]) -> String {
        let output = script("up", &[&["--netns", &self.name], options].concat());
        assert!(output.status.success(), "netns/up: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn down(&self) {
        let output = script("down", &["--netns", &self.name]);
        assert!(output.status.success(), "netns/down: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A command that runs inside the namespace; no argument has a space in it.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(line.split(' ')).stdin(Stdio::null());
        command
    }

    /// Runs a command inside the namespace, and has what it printed.
    pub fn run(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Does `work` on a thread that is inside the namespace: sockets belong to the one they are made in.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        let visit = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(visit).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        script("down", &["--netns", &self.name]);
    }
}

/// Runs one of the scripts of netns/.
pub fn script(name: &str, arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("netns").join(name);
    Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap()
}
