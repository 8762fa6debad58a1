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

/// What somebody else has put where the guest's socket was is not the guest's to remove.
#[test]
fn only_what_was_made_is_removed() {
    for kind in ["stream", "dgram"] {
        for ours in [true, false] {
            let folder = lab("echo_server.wasm", &format!("\"/run/host/g.sock\", \"{kind}\""));
            let mut server = start(guestnet(&folder, &["--duration=2s"]));
            let path = folder.path().join("sockets/g.sock");
            wait_for(&path);
            if !ours {
                fs::rename(&path, folder.path().join("sockets/moved")).unwrap();
                drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            }
            server.0.wait().unwrap();
            assert_eq!(path.exists(), !ours, "{kind}");
        }
    }
}

#[test]
fn virtual_time_has_no_sockets_of_the_host() {
    let folder = lab("echo_client.wasm", "\"/run/host/x\", \"stream\"");
    let ran = guestnet(&folder, &["--sim"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran));
    assert!(text(&ran).contains("lab.toml:5:24: host: "), "{}", text(&ran));
}

/// Waits for what a guest prints first, so that it is there.
fn output_of(mut server: Process) -> String {
    let mut output = String::new();
    let stdout = server.0.stdout.take().unwrap();
    std::io::Read::read_to_string(&mut std::io::BufReader::new(stdout), &mut output).unwrap();
    let status = server.0.wait().unwrap();
    assert!(status.success(), "{status}: {output}");
    output
}

fn serve(folder: &TempDir, duration: &str) -> Process {
    let mut command = guestnet(folder, &["--duration", duration]);
    command.stdout(Stdio::piped());
    start(command)
}

#[test]
fn datagrams_go_to_a_socket_of_the_host_and_are_answered() {
    let folder = lab("echo_client.wasm", "\"/run/host/echo.sock\", \"dgram\", \"a datagram\", \"20\"");
    let _server = start(socat(&folder, &["UNIX-RECVFROM:sockets/echo.sock,fork", "EXEC:cat"]));
    let path = folder.path().join("sockets/echo.sock");
    wait_for(&path);
    let ran = guestnet(&folder, &["--duration", "60s"]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    assert!(text(&ran).contains("echoed 250 bytes"), "{}", text(&ran));
}

#[test]
fn datagrams_of_the_host_come_to_a_guest_and_are_answered() {
    let folder = lab("echo_server.wasm", "\"/run/host/guest.sock\", \"dgram\", \"6\"");
    let server = serve(&folder, "60s");
    let path = folder.path().join("sockets/guest.sock");
    wait_for(&path);
    // Each has a socket of its own in the folder, and hears what it said itself; one says so by a path that is relative.
    for (name, said) in [("one", "first"), ("two", "second"), ("one", "third")] {
        // By its whole path, as it calls itself: socat takes answers of nobody else.
        let to = format!("UNIX-SENDTO:{}", path.display());
        let own = folder.path().join("sockets").join(name);
        let own = if name == "one" { own.display().to_string() } else { format!("sockets/{name}") };
        let mut command = socat(&folder, &["-t", "3", "-", &format!("{to},bind={own}")]);
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        assert_eq!(text(&client.wait_with_output().unwrap()), said);
    }
    // Those without a name are heard, and cannot be answered.
    for said in ["fourth", "a fifth"] {
        let mut command = socat(&folder, &["-u", "-", "UNIX-SENDTO:sockets/guest.sock"]);
        let mut client = command.stdin(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        assert!(client.wait().unwrap().success());
    }
    // What socat reads nothing of it does not send.
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    socket.send_to(b"", &path).unwrap();
    let said = output_of(server);
    assert!(said.contains("echoed 29 bytes"), "{said}");
    assert!(!path.exists(), "the path is free once its control is closed");
}

/// Far more than all queues on the way hold: whoever sends waits, and nothing is lost, doubled or cut.
#[test]
fn no_datagram_is_lost() {
    let folder = lab("datagram_sink.wasm", "\"/run/host/guest.sock\"");
    let server = serve(&folder, "60s");
    let path = folder.path().join("sockets/guest.sock");
    wait_for(&path);
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    for number in 0..300_u32 {
        let mut datagram = format!("{number} ").into_bytes();
        let length = [16, 1000, 60_000, 65_535][number as usize % 4];
        let salt = u64::from(number) * 17;
        datagram.extend((datagram.len() as u64..length).map(|at| (at * 131 + (at >> 8) * 7 + salt) as u8));
        socket.send_to(&datagram, &path).unwrap();
    }
    let said = output_of(server);
    assert_eq!(said, "300 came: 0 again, 0 late, 0 cut; 0 of 300 never came\n");

    // The other way, to somebody who is slower than the guest.
    let folder = lab("datagram_source.wasm", "\"/run/host/sink.sock\", \"300\", \"60000\", \"0\"");
    let sink = std::os::unix::net::UnixDatagram::bind(folder.path().join("sockets/sink.sock")).unwrap();
    sink.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = serve(&folder, "60s");
    let mut buffer = vec![0; 70_000];
    for number in 0..300 {
        let count = sink.recv(&mut buffer).unwrap();
        assert_eq!(count, 60_000);
        assert!(buffer.starts_with(format!("{number} ").as_bytes()), "another than {number}");
        if number % 50 == 0 {
            thread::sleep(Duration::from_millis(50));
        }
    }
    output_of(server);
}

#[test]
fn kinds_of_sockets_are_told_apart() {
    let folder = lab("echo_client.wasm", "\"/run/host/stream\", \"dgram\"");
    let _server = start(socat(&folder, &["UNIX-LISTEN:sockets/stream,fork", "EXEC:cat"]));
    wait_for(&folder.path().join("sockets/stream"));
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(text(&ran).contains("wrong type"), "{}", text(&ran));

    let folder = lab("echo_client.wasm", "\"/run/host/gone\", \"dgram\"");
    drop(std::os::unix::net::UnixDatagram::bind(folder.path().join("sockets/gone")).unwrap());
    let ran = guestnet(&folder, &["--duration", "30s"]).output().unwrap();
    assert!(text(&ran).contains("Connection refused"), "{}", text(&ran));
}

/// A lab of one guest with protocol objects over the host's sockets.
fn stacked(guest: &str, args: &str, lab: &str, keys: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sockets")).unwrap();
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests").join(guest);
    let text = format!(
        "{lab}\n[guest.g]\nmodule = {module:?}\nargs = [{args}]\n[guest.g.protocol.unix]\nprivate = true\n\
         host = {{ \"/run/host\" = \"sockets\" }}\n{keys}\n"
    );
    fs::write(folder.path().join("lab.toml"), text).unwrap();
    folder
}

fn openssl(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn tls_goes_over_a_socket_of_the_host_either_way() {
    let folder = stacked(
        "echo_server.wasm",
        "\"tls\", \"/run/host/tls.sock\", \"stream\", \"1\"",
        "[ca.test]\nexport = \"ca.pem\"",
        "[guest.g.protocol.tls]\nover = \"unix\"\ncertificate = [{ ca = \"test\", names = [\"vault.test\"] }]",
    );
    let server = serve(&folder, "60s");
    wait_for(&folder.path().join("sockets/tls.sock"));
    let arguments =
        ["s_client", "-unix", "sockets/tls.sock", "-CAfile", "ca.pem", "-servername", "vault.test"];
    let checks = ["-verify_hostname", "vault.test", "-verify_return_error", "-quiet", "-no_ign_eof"];
    let mut command = openssl(&folder, &[&arguments[..], &checks].concat());
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"behind a path\n").unwrap();
    let mut line = [0; 14];
    std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(&line, b"behind a path\n");
    drop(input);
    assert!(client.wait().unwrap().success());
    assert!(output_of(server).contains("echoed 14 bytes"));

    let folder = stacked(
        "http_client.wasm",
        "\"tls\", \"/run/host/tls.sock\", \"/\"",
        "",
        "[guest.g.protocol.tls]\nover = \"unix\"\nserver_name = \"peer.test\"\nroots = { file = \"cert.pem\" }",
    );
    let arguments = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=peer.test"];
    let extensions =
        ["-addext", "subjectAltName=DNS:peer.test", "-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-keyout", "key.pem", "-out", "cert.pem"];
    assert!(openssl(&folder, &[&arguments[..], &extensions, &files].concat()).status().unwrap().success());
    let arguments = ["s_server", "-unix", "sockets/tls.sock", "-cert", "cert.pem", "-key", "key.pem", "-www"];
    let mut command = openssl(&folder, &arguments);
    command.stdout(Stdio::null());
    let _server = start(command);
    wait_for(&folder.path().join("sockets/tls.sock"));
    let ran = guestnet(&folder, &["--duration", "60s"]).output().unwrap();
    assert!(ran.status.success() && text(&ran).contains("200"), "{}", text(&ran));
}

/// A port of the loopback interface that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for_port(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at port {port}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The proxy is a program of the machine behind a path; the guest has no addresses at all.
#[test]
fn a_proxy_is_reached_by_a_path() {
    let (proxy, echo) = (free_port(), free_port());
    let guest = format!("\"socks\", \"127.0.0.1:{echo}\", \"stream\", \"by a path\", \"20\"");
    let keys = "[guest.g.protocol.socks]\nkind = \"socks5\"\nover = \"unix\"\nserver = \"/run/host/proxy.sock\"\n\
                user = \"me\"\npassword = \"secret\"\nconnect = \"127.0.0.1:*\"";
    let folder = stacked("echo_client.wasm", &guest, "", keys);
    let mut command = Command::new("microsocks");
    command.args(["-i", "127.0.0.1", "-p", &proxy.to_string(), "-u", "me", "-P", "secret"]);
    let _proxy = start(command);
    let _echo =
        start(socat(&folder, &[&format!("TCP-LISTEN:{echo},bind=127.0.0.1,fork,reuseaddr"), "EXEC:cat"]));
    wait_for_port(proxy);
    wait_for_port(echo);
    let _path =
        start(socat(&folder, &["UNIX-LISTEN:sockets/proxy.sock,fork", &format!("TCP:127.0.0.1:{proxy}")]));
    wait_for(&folder.path().join("sockets/proxy.sock"));
    let ran = guestnet(&folder, &["--duration", "60s"]).output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran));
    assert!(text(&ran).contains("echoed 230 bytes"), "{}", text(&ran));
}

/// A balancer of the machine comes by a path, and says for whom.
#[test]
fn a_balancer_comes_by_a_path() {
    let folder = stacked(
        "peer_server.wasm",
        "\"balanced\", \"/run/host/behind.sock\", \"1\"",
        "",
        "[guest.g.protocol.balanced]\nkind = \"proxy-protocol\"\nover = \"unix\"",
    );
    let server = serve(&folder, "60s");
    wait_for(&folder.path().join("sockets/behind.sock"));
    for (said, answer) in
        [("GET / HTTP/1.1\r\n\r\n", ""), ("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n", "192.0.2.7:4711\n")]
    {
        let mut command = socat(&folder, &["-t", "30", "-", "UNIX-CONNECT:sockets/behind.sock"]);
        command.stderr(Stdio::null());
        let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
        assert_eq!(String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout), answer);
    }
    assert_eq!(output_of(server).lines().next(), Some("192.0.2.7:4711"));
}
