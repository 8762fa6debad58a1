//! The program itself, with a lab whose TAP is in a namespace of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::namespace::{DEVICE, Namespace};

/// For what should come soon; long, as guests may have to be compiled first and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// A place for a lab: a namespace, and a folder for its scenario, its capture and what it prints.
pub struct Site {
    pub namespace: Namespace,
    folder: TempDir,
}

impl Site {
    pub fn new() -> Site {
        Site { namespace: Namespace::new(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the scenario: `guests`, in which `GUESTS` is the folder of the modules and `FOLDER` this site's, on a
    /// switch with the TAP.
    pub fn scenario(&self, guests: &str) -> PathBuf {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
        let guests = guests
            .replace("GUESTS", modules.to_str().unwrap())
            .replace("FOLDER", self.folder.path().to_str().unwrap());
        let path = self.path("lab.toml");
        let text = format!(
            "[switch.lan]\n[tap.host]\ndevice = \"{DEVICE}\"\nnetns = \"{}\"\nnetwork = \"lan\"\n{guests}",
            self.namespace.name
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// `guestnet run` with a capture. Its guests may not have begun when this returns.
    pub fn start(self, guests: &str) -> Lab {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
        command.arg("run").arg("--capture").arg(self.path("lab.pcapng")).arg(self.scenario(guests));
        self.spawn(&mut command)
    }

    /// Any other way to start it; what it prints goes into files.
    pub fn spawn(self, command: &mut Command) -> Lab {
        let stdout = File::create(self.path("stdout")).unwrap();
        self.spawn_into(command, stdout)
    }

    pub fn spawn_into(self, command: &mut Command, stdout: impl Into<Stdio>) -> Lab {
        let stderr = File::create(self.path("stderr")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap();
        // Its copy of the output's other end is the child's alone now.
        command.stdout(Stdio::null());
        Lab { child, site: self }
    }

    /// Starts a lab, and waits until its first guest answers to a ping, which none does before all have had a turn.
    pub fn ready(self, guests: &str) -> Lab {
        let mut lab = self.start(guests);
        lab.wait_for_ping();
        lab
    }
}

/// A lab that runs. Dropping it kills it.
pub struct Lab {
    child: Child,
    pub site: Site,
}

/// A lab that ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// How long it took from the signal, or from the call that waited.
    pub took: Duration,
}

impl Lab {
    pub fn namespace(&self) -> &Namespace {
        &self.site.namespace
    }

    pub fn capture(&self) -> PathBuf {
        self.site.path("lab.pcapng")
    }

    /// What it printed so far to `stdout` or `stderr`, if that goes into a file.
    pub fn said(&self, name: &str) -> String {
        let bytes = fs::read(self.site.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn wait_for_ping(&mut self) {
        // With a deadline ping goes on until one is answered, or an error says that nobody is there yet.
        let ping = "ping -n -q -i 0.05 -c 1 -w 5 10.0.0.2";
        self.wait_until("an answer to a ping", |lab| {
            lab.namespace().command(ping).output().unwrap().status.success()
        });
    }

    /// Waits until something listens at `port` of 10.0.0.2: for guests that take more than a turn to get there.
    pub fn wait_for_port(&mut self, port: u16) {
        let connect = format!("nc -z -w 1 10.0.0.2 {port}");
        self.wait_until("a listener", |lab| {
            lab.namespace().command(&connect).output().unwrap().status.success()
        });
    }

    /// Waits until the lab has printed `text`.
    pub fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |lab| lab.said("stdout").contains(text) || lab.said("stderr").contains(text));
    }

    pub fn wait_until(&mut self, what: &str, done: impl Fn(&Lab) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none(), "{what}: the lab ended with {over:?}\n{}", self.said("stderr"));
            assert!(Instant::now() < deadline, "{what}: it did not come\n{}", self.said("stderr"));
            sleep(STEP);
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn stop(&mut self, signal: Signal) -> Ended {
        self.signal(signal);
        self.end()
    }

    /// Ends a lab whose guests would go on, which is to go well: in order, with a capture that is whole and has nothing
    /// wrong in it.
    pub fn finish(&mut self) -> Ended {
        let ended = self.stop(Signal::SIGINT);
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        super::capture::check(&self.capture());
        ended
    }

    /// Waits for the end.
    pub fn end(&mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the lab does not end\n{}", self.said("stderr"));
            sleep(STEP / 5);
        };
        Ended { status, stdout: self.said("stdout"), stderr: self.said("stderr"), took: start.elapsed() }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the lab said:\n{}{}", self.said("stdout"), self.said("stderr"));
            self.site.folder.disable_cleanup(true);
            eprintln!("its files are left in {}", self.site.folder.path().display());
        }
    }
}
