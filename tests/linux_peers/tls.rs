//! TLS both ways against what others wrote: OpenSSL (`s_client`, `s_server`, and curl with it) and GnuTLS.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::capture::check;
use crate::common::lab::{Ended, Lab, PATIENCE, Site};
use crate::common::peer::Peer;

const SMALL: &str = "a small page\n";

/// An echo server and two web servers of the lab's own authority; one of them asks its clients who they are.
const SERVERS: &str = "
[ca.test]
export = \"FOLDER/root.pem\"

[guest.echo]
module = \"GUESTS/echo_server.wasm\"
args = [\"tls\", \"0.0.0.0:443\"]
protocol = { ipv4 = { private = true }, tls = { over = \"ipv4\", alpn = \"echo\", certificate = [{ ca = \"test\" }] } }

[guest.web]
module = \"GUESTS/http_server.wasm\"
args = [\"tls\", \"[::]:443\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER/www\" }
protocol = { ipv6 = { private = true }, tls = { over = \"ipv6\", alpn = \"http/1.1\", certificate = [{ ca = \"test\" }] } }

[guest.club]
module = \"GUESTS/http_server.wasm\"
args = [\"tls\", \"0.0.0.0:443\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER/www\" }
[guest.club.protocol.ipv4]
private = true
[guest.club.protocol.tls]
over = \"ipv4\"
clients = \"required\"
client_roots = { file = \"FOLDER/rsa.pem\" }
certificate = [{ ca = \"test\" }]
";

/// A site with a page, and with keys and certificates that sign themselves, made by OpenSSL.
fn site() -> Site {
    let site = Site::new();
    fs::create_dir(site.path("www")).unwrap();
    fs::write(site.path("www/small.txt"), SMALL).unwrap();
    fs::write(site.path("www/large.bin"), large()).unwrap();
    for (name, key) in [("rsa", "rsa:2048"), ("ec", "ec"), ("ed", "ed25519")] {
        let [certificate, private] = ["pem", "key"].map(|end| site.path(&format!("{name}.{end}")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", key]);
        openssl.args(["-subj", &format!("/CN=peer {name}")]);
        if key == "ec" {
            openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        }
        openssl.args(["-addext", "subjectAltName=DNS:peer.example.org,IP:10.0.0.1"]);
        // It is its own root, and a server's or a client's own at once.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-out").arg(certificate).arg("-keyout").arg(private);
        let output = openssl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    site
}

fn large() -> Vec<u8> {
    let mut bytes = vec![0; 4_000_003];
    guestnet::rng::Seed(6).fork("noise").fill(&mut bytes);
    bytes
}

fn show(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

/// curl's exit code, and what it printed.
fn curl(lab: &Lab, arguments: &str) -> (i32, String) {
    let line = format!("curl -sS -g --max-time 50 {arguments}");
    let output = lab.namespace().command(&line).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn curl_fetches_over_both_versions() {
    let mut lab = site().ready(SERVERS);
    let root = show(lab.site.path("root.pem"));
    let got = show(lab.site.path("got"));
    for (flags, version) in [("--tlsv1.3", "TLSv1.3"), ("--tls-max 1.2", "TLSv1.2")] {
        let trusting = format!("{flags} --cacert {root}");
        let (code, said) =
            curl(&lab, &format!("-v --stderr {got}.log {trusting} https://[fd00::3]/small.txt"));
        let log = fs::read_to_string(format!("{got}.log")).unwrap();
        assert_eq!((code, said.as_str()), (0, SMALL), "{log}");
        assert!(log.contains(&format!("SSL connection using {version}")), "{log}");
        assert!(log.contains("ALPN: server accepted http/1.1"), "{log}");
        let (code, _) = curl(&lab, &format!("{trusting} -o {got} https://[fd00::3]/large.bin"));
        assert_eq!(code, 0);
        assert!(fs::read(&got).unwrap() == large(), "not what the server has");
        // Who the server is: 60 is curl's word for a certificate that does not hold.
        assert_eq!(curl(&lab, &format!("{flags} https://[fd00::3]/small.txt")).0, 60);
        let elsewhere =
            format!("{trusting} --connect-to elsewhere:443:[fd00::3]:443 https://elsewhere/small.txt");
        assert_eq!(curl(&lab, &elsewhere).0, 60);
        // Who the client is.
        let club = |name: &str| {
            let [certificate, key] = ["pem", "key"].map(|end| show(lab.site.path(&format!("{name}.{end}"))));
            curl(&lab, &format!("{trusting} --cert {certificate} --key {key} https://10.0.0.4/small.txt"))
        };
        assert_eq!(club("rsa"), (0, SMALL.to_owned()));
        assert_ne!(club("ec").0, 0, "a stranger");
        assert_ne!(curl(&lab, &format!("{trusting} https://10.0.0.4/small.txt")).0, 0, "nobody");
    }
    lab.finish();
}

#[test]
fn a_hundred_curls_at_once_all_succeed() {
    let mut lab = site().ready(SERVERS);
    fs::create_dir(lab.site.path("got")).unwrap();
    let (root, got) = (show(lab.site.path("root.pem")), show(lab.site.path("got")));
    // By name, since brackets stand for numbers here.
    let line = format!(
        "curl -sS --max-time 50 --parallel --parallel-immediate --parallel-max 100 --cacert {root} \
         --resolve web:443:[fd00::3] -o {got}/#1 https://web/small.txt?[1-100]"
    );
    lab.namespace().run(&line);
    for number in 1..=100 {
        assert_eq!(fs::read_to_string(format!("{got}/{number}")).unwrap(), SMALL, "number {number}");
    }
    lab.finish();
}

/// Says `text` to a client of TLS in the namespace, and has what it printed once `until` was among it.
fn say(lab: &Lab, line: &str, text: &str, until: &str) -> String {
    let mut client = lab.namespace().command(line);
    let log = lab.site.path("client.log");
    let output = File::create(&log).unwrap();
    let client = client.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut client = Peer(client.spawn().unwrap());
    let mut input = client.0.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    let start = std::time::Instant::now();
    let said = || String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
    while !said().contains(until) {
        assert!(start.elapsed() < PATIENCE, "{line}: {}", said());
        if client.0.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(input);
    client.0.wait().unwrap();
    said()
}

#[test]
fn openssl_and_gnutls_have_their_echo_from_a_guest() {
    let mut lab = site().ready(SERVERS);
    let path = |name: &str| show(lab.site.path(name));
    let root = path("root.pem");
    for (flag, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let client = format!(
            "openssl s_client -connect 10.0.0.2:443 -CAfile {root} -verify_return_error -verify_ip 10.0.0.2 \
             -alpn echo {flag} -sess_out {}",
            path(version)
        );
        let said = say(&lab, &client, "an echo, please\n", "\nan echo, please\n");
        for wanted in [
            &format!("New, {version}"),
            "Verify return code: 0 (ok)",
            "ALPN protocol: echo",
            "\nan echo, please\n",
        ] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        let again = client.replace("-sess_out", "-sess_in");
        let said = say(&lab, &again, "once more\n", "\nonce more\n");
        assert!(said.contains(&format!("Reused, {version}")), "{said}");
    }
    // GnuTLS speaks whatever it likes best, then only the older of the two.
    for (priority, version) in [("NORMAL", "(TLS1.3-"), ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "(TLS1.2-")] {
        let client =
            format!("gnutls-cli --x509cafile {root} --priority {priority} --alpn echo -p 443 10.0.0.2");
        let said = say(&lab, &client, "an echo, please\n", "\nan echo, please\n");
        for wanted in [version, "- Handshake was completed", "\nan echo, please\n"] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
    // What has nothing in common with it is sent away.
    let said = say(
        &lab,
        &format!("openssl s_client -connect 10.0.0.2:443 -CAfile {root} -alpn smtp"),
        "hello\n",
        "alert",
    );
    assert!(said.contains("alert no application protocol"), "{said}");
    let said = say(
        &lab,
        "openssl s_client -connect 10.0.0.2:443 -tls1_1 -cipher DEFAULT@SECLEVEL=0",
        "x\n",
        "alert",
    );
    assert!(said.contains("alert handshake failure") || said.contains("alert protocol version"), "{said}");
    let ended = lab.finish();
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

/// A server in the namespace, ready once something listens at its port.
fn serve(site: &Site, line: &str, port: u16) -> Peer {
    let mut command = site.namespace.command(line);
    let log = File::create(site.path(&format!("server-{port}.log"))).unwrap();
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).current_dir(site.path("www"));
    let peer = Peer(command.spawn().unwrap());
    let start = std::time::Instant::now();
    while !site.namespace.run("ss -Hnlt").contains(&format!(":{port} ")) {
        assert!(start.elapsed() < PATIENCE, "{line}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    peer
}

fn s_server(site: &Site, port: u16, key: &str, flags: &str) -> Peer {
    let [certificate, private] = ["pem", "key"].map(|end| show(site.path(&format!("{key}.{end}"))));
    let line = format!("openssl s_server -accept {port} -cert {certificate} -key {private} {flags}");
    serve(site, line.trim_end(), port)
}

/// A guest that fetches a page with the given keys for its `tls`.
fn fetch(name: &str, port: u16, tls: &str) -> String {
    format!(
        "[guest.{name}]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"tls\", \"10.0.0.1:{port}\", \"/small.txt\"]\n\
         protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = \"ipv4\", {tls} }} }}\n"
    )
}

fn traced(site: Site, guests: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["run", "--trace", "--capture"]).arg(site.path("lab.pcapng")).arg(site.scenario(guests));
    let mut lab = site.spawn(&mut command);
    let ended = lab.end();
    check(&lab.capture());
    ended
}

#[test]
fn guests_fetch_from_openssl_whatever_its_keys() {
    let site = site();
    let root = show(site.path("rsa.pem"));
    let _servers = [
        s_server(&site, 4431, "rsa", "-WWW -tls1_2"),
        s_server(&site, 4432, "ec", "-WWW"),
        s_server(&site, 4433, "ed", "-WWW -tls1_3"),
        s_server(&site, 4434, "rsa", &format!("-WWW -Verify 1 -verify_return_error -CAfile {root}")),
    ];
    let trusting = |name: &str| format!("roots = {{ file = \"FOLDER/{name}.pem\" }}");
    let own = "certificate = [{ chain = \"FOLDER/rsa.pem\", key = \"FOLDER/rsa.key\" }]";
    let guests = [
        fetch("rsa", 4431, &trusting("rsa")),
        fetch("ec", 4432, &trusting("ec")),
        fetch("ed", 4433, &format!("{}, server_name = \"peer.example.org\"", trusting("ed"))),
        fetch("known", 4434, &format!("{}, {own}", trusting("rsa"))),
        fetch("nobody", 4434, &trusting("rsa")),
        fetch("misled", 4433, &format!("{}, server_name = \"other.example.org\"", trusting("ed"))),
        fetch("wary", 4433, &trusting("ec")),
    ];
    let ended = traced(site, &guests.concat());
    for name in ["rsa", "ec", "ed", "known"] {
        assert!(ended.stdout.contains(&format!("{name}: a small page")), "{name}: {ended:?}");
    }
    for refused in [
        "nobody exited with 1",
        "misled exited with 1",
        "wary exited with 1",
        "-- tls with 10.0.0.1:4433: the peer's certificate is refused: wrong name, `other.example.org`: it is for peer.example.org, 10.0.0.1",
        "-- tls with 10.0.0.1:4433: the peer's certificate is refused: unknown issuer",
        "-- tls with 10.0.0.1:4431: TLS 1.2, TLS_ECDHE_RSA_",
        "-- tls with 10.0.0.1:4434: the peer gave up: ",
    ] {
        assert!(ended.stderr.contains(refused), "{refused}: {}", ended.stderr);
    }
}

/// The server is the first to speak encrypted, and not of the lab: its secrets are in the capture before what it said all
/// the same.
#[test]
fn what_a_guest_had_from_outside_can_be_read() {
    let site = site();
    let _server = s_server(&site, 4433, "ec", "-WWW");
    let capture = site.path("lab.pcapng");
    let guests =
        fetch("client", 4433, "roots = { file = \"FOLDER/ec.pem\" }") + "link = { delay = \"20ms\" }\n";
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.args(["run", "--secrets", "--capture"]).arg(&capture).arg(site.scenario(&guests));
    let mut lab = site.spawn(&mut command);
    let ended = lab.end();
    assert!(ended.status.success(), "{ended:?}");
    check(&capture);
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&capture).args(["-d", "tcp.port==4433,tls", "-q", "-z", "follow,tls,ascii,0"]);
    let shown = String::from_utf8(tshark.output().unwrap().stdout).unwrap();
    for said in ["GET /small.txt HTTP/1.1", "200 ok", SMALL.trim_end()] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn guests_have_their_echo_from_gnutls() {
    let site = site();
    let [certificate, key] = ["ec.pem", "ec.key"].map(|name| show(site.path(name)));
    let line = format!("gnutls-serv --echo --x509certfile {certificate} --x509keyfile {key} -p 5556");
    let _server = serve(&site, &line, 5556);
    let guest = |name: &str, version: &str| {
        format!(
            "[guest.{name}]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"tls\", \"10.0.0.1:5556\", \"stream\", \"hello\\n\", \"20\"]\n\
             protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = \"ipv4\", versions = \"{version}\", roots = {{ file = \"FOLDER/ec.pem\" }} }} }}\n"
        )
    };
    let ended = traced(site, &[guest("older", "1.2"), guest("newer", "1.3")].concat());
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout.matches("echoed 170 bytes").count(), 2, "{ended:?}");
}

/// A server that is taken away in the middle of what it had to say. Those that said goodbye are in the tests above:
/// a page reads to its end.
#[test]
fn an_end_without_a_goodbye_is_no_end() {
    let site = site();
    let mut server = s_server(&site, 4433, "ec", "");
    let mut lab = site.start(
        "[guest.client]\nmodule = \"GUESTS/echo_client.wasm\"\nargs = [\"tls\", \"10.0.0.1:4433\", \"stream\", \"wait for it\"]\n\
             protocol = { ipv4 = { private = true }, tls = { over = \"ipv4\", roots = { file = \"FOLDER/ec.pem\" } } }\n",
    );
    let log = lab.site.path("server-4433.log");
    lab.wait_until("the guest's message", |_| fs::read_to_string(&log).unwrap().contains("wait for it"));
    server.0.kill().unwrap();
    let ended = lab.end();
    assert!(ended.stderr.contains("read: Connection reset by peer"), "{ended:?}");
    check(&lab.capture());
}

/// What a stranger may send in place of a handshake: noise, a record without end, nothing.
#[test]
fn noise_is_no_handshake() {
    let mut lab = site().ready(SERVERS);
    lab.namespace().inside(|| {
        let connect = || std::net::TcpStream::connect("10.0.0.2:443").unwrap();
        let mute = connect();
        for noise in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0x16, 3, 1, 0xff, 0xff],
            &[0x16, 3, 3, 0, 5, 1, 0, 0, 1, 0],
            &[0x80; 70_000],
        ] {
            let mut stream = connect();
            // It may be sent away before it is done.
            let _ = stream.write_all(noise);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.len() < 100, "{answer:?}");
        }
        drop(mute);
    });
    let root = show(lab.site.path("root.pem"));
    assert_eq!(curl(&lab, &format!("--cacert {root} https://[fd00::3]/small.txt")), (0, SMALL.to_owned()));
    lab.finish();
}
