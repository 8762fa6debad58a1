//! Guests and Unix-domain sockets of the host: socat at the other end, in a folder that each test makes for itself.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// For what should come at once; long, so that a busy machine does not fail the tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with the test, by its id.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with a lab of one guest, whose paths below /run/host are the sockets in `sockets`.
fn lab(guest: &str, args: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sockets")).unwrap();
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests").join(guest);
    let text = format!(
        "[guest.g]\nmodule = {:?}\nargs = [{args}]\n\
         [guest.g.protocol.unix]\nhost = {{ \"/run/host\" = \"sockets\" }}\nlink = {{ delay = \"1ms\" }}\n",
        module
    );
    fs::write(folder.path().join("lab.toml"), text).unwrap();
    folder
}

fn guestnet(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.current_dir(folder).arg("run").args(arguments).arg("lab.toml").stdin(Stdio::null());
    command
}

fn socat(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new("socat");
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn start(mut command: Command) -> Process {
    Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it")))
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not come to be", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_guest_connects_to_a_socket_of_the_host() {
    let folder = lab("echo_client.wasm", "\"/run/host/echo.sock\", \"stream\", \"out of the lab\", \"100\"");
    let server = start(socat(&folder, &["UNIX-LISTEN:sockets/echo.sock,fork", "EXEC:cat"]));
    wait_for(&folder.path().join("sockets/echo.sock"));
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    assert!(text(&ran).contains("echoed 1690 bytes"), "{}", text(&ran));
    drop(server);

    // It is there still, and nobody listens.
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(text(&ran).contains("Connection refused"), "{}", text(&ran));
    fs::remove_file(folder.path().join("sockets/echo.sock")).unwrap();
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(text(&ran).contains("No such file"), "{}", text(&ran));
}

#[test]
fn a_guest_listens_at_a_socket_of_the_host() {
    let folder = lab("echo_server.wasm", "\"/run/host/guest.sock\", \"stream\", \"2\"");
    let mut server = start(guestnet(&folder, &["--duration", "60s"]));
    let path = folder.path().join("sockets/guest.sock");
    wait_for(&path);
    // Less than all buffers on the way hold: socat writes all of it before it reads.
    let sent = noise(50_000);
    for _ in 0..2 {
        let mut command = socat(&folder, &["-t", "30", "-", "UNIX-CONNECT:sockets/guest.sock"]);
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = client.stdin.take().unwrap();
        input.write_all(&sent).unwrap();
        drop(input);
        let output = client.wait_with_output().unwrap();
        assert!(output.stdout == sent, "{} of {} bytes came back", output.stdout.len(), sent.len());
    }
    assert!(server.0.wait().unwrap().success());
    assert!(!path.exists(), "the path is free once its control is closed");
}

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 251) as u8).collect()
}

/// Far more than all buffers on the way hold, towards the guest and away from it: each side waits for the other.
#[test]
fn bulk_goes_either_way() {
    let folder = lab("bulk_receiver.wasm", "\"/run/host/guest.sock\"");
    let mut command = guestnet(&folder, &["--duration", "60s"]);
    let server = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_for(&folder.path().join("sockets/guest.sock"));
    fs::write(folder.path().join("sent"), noise(3_000_000)).unwrap();
    let sent = socat(&folder, &["-u", "OPEN:sent", "UNIX-CONNECT:sockets/guest.sock"]).status().unwrap();
    assert!(sent.success());
    let output = server.wait_with_output().unwrap();
    assert!(output.status.success() && text(&output).contains("3000000 bytes"), "{}", text(&output));

    let folder = lab("bulk_sender.wasm", "\"/run/host/sink.sock\", \"3\"");
    let receiver = start(socat(&folder, &["-u", "UNIX-LISTEN:sockets/sink.sock", "CREATE:got"]));
    wait_for(&folder.path().join("sockets/sink.sock"));
    let ran = guestnet(&folder, &["--duration", "60s"]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    let mut receiver = receiver;
    assert!(receiver.0.wait().unwrap().success());
    assert_eq!(fs::metadata(folder.path().join("got")).unwrap().len(), 3_000_000);
}

/// A symbolic link would lead out of the folder; what is no socket is none.
#[test]
fn only_sockets_of_the_folder_itself_are_reached() {
    let folder = lab("echo_client.wasm", "\"/run/host/link\", \"stream\"");
    let outside = start(socat(&folder, &["UNIX-LISTEN:outside.sock,fork", "EXEC:cat"]));
    wait_for(&folder.path().join("outside.sock"));
    std::os::unix::fs::symlink("../outside.sock", folder.path().join("sockets/link")).unwrap();
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(text(&ran).contains("Connection refused"), "{}", text(&ran));
    drop(outside);
}

#[test]
fn virtual_time_has_no_sockets_of_the_host() {
    let folder = lab("echo_client.wasm", "\"/run/host/x\", \"stream\"");
    let ran = guestnet(&folder, &["--sim"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran));
    assert!(text(&ran).contains("lab.toml:5:24: host: "), "{}", text(&ran));
}
