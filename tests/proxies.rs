//! Proxies and balancers that are guests of a lab: why connections came to nothing, in words, and that nobody is told passwords
//! and keys. What stands against real peers is in `linux_peers` and `sockets`.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::remarks::remarks;
use common::scenario;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

#[test]
fn the_trace_tells_why_a_connection_came_to_nothing() {
    let mut told = Vec::new();
    for name in ["proxies", "unix_stacked"] {
        let report = scenario::lab(name).with_trace().run(1);
        told.extend(remarks(&report).into_iter().map(|remark| format!("{name}: {remark}")));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    proxies: balanced: 10.0.0.40:PORT: no PROXY header where one belongs: reset
    proxies: balanced: 10.0.0.9:PORT is none of those whose PROXY header counts: reset
    proxies: guessed: 10.0.0.16:1080: the SOCKS server refused the user or password
    proxies: mirrored-http: 10.0.0.2:1080: no HTTP proxy: invalid HTTP version in its answer
    proxies: mirrored: 10.0.0.2:1080: no SOCKS 5 server: it answered method 1, which it was not offered
    proxies: nobody: 10.0.0.16:1080: the SOCKS server wants a user and password
    proxies: refused: 10.0.0.16:1080: the SOCKS server could not reach guarded:9: connection refused
    proxies: stalled-datagrams: 10.0.0.3:1080: association given up after 30 s
    proxies: stalled-http: 10.0.0.3:1080: handshake given up after 30 s
    proxies: stalled: 10.0.0.3:1080: handshake given up after 30 s
    proxies: to-endless: 10.0.0.11:3128: a handshake without end
    proxies: to-gone-http: 10.0.0.13:1080: gone in the middle of the handshake
    proxies: to-gone: 10.0.0.13:1080: gone in the middle of the handshake
    unix_stacked: behind: a peer without an address: no PROXY header where one belongs: reset
    unix_stacked: chain: tls with /run/https.sock: TLS 1.3, TLS13_AES_256_GCM_SHA384
    unix_stacked: https: tls with a peer without an address: TLS 1.3, TLS13_AES_256_GCM_SHA384
    unix_stacked: second: /run/vault.sock cannot be bound: address in use
    unix_stacked: to_vault: tls with /run/vault.sock: TLS 1.3, TLS13_AES_256_GCM_SHA384, ALPN echo
    unix_stacked: tunnel: tls with /run/https.sock: TLS 1.3, TLS13_AES_256_GCM_SHA384
    unix_stacked: vault: tls with a peer without an address: TLS 1.3, TLS13_AES_256_GCM_SHA384, ALPN echo
    unix_stacked: wrong_password: /run/socks.sock: the SOCKS server refused the user or password
    "#);
}

const PASSWORD: &str = "open-sesame-4711";

/// Everything that a lab with these secrets must not tell, as text and as bytes.
struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    fn new(pem: &str, der: &[u8]) -> Self {
        // Behind what all keys of Ed25519 begin with (RFC 8410, 7) come the 32 bytes that are the secret.
        let secret = der[16..48].to_vec();
        let hexadecimal: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = pem.lines().nth(1).expect("a key in PEM").as_bytes().to_vec();
        let token = STANDARD.encode(format!("me:{PASSWORD}")).into_bytes();
        Self(vec![PASSWORD.into(), token, body, secret, hexadecimal.into()])
    }

    fn assert_not_in(&self, what: &str, bytes: &[u8]) {
        for secret in &self.0 {
            let told = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!told, "{what} tells `{}`", String::from_utf8_lossy(secret));
        }
    }

    fn assert_untold(&self, what: &str, output: &Output) {
        self.assert_not_in(&format!("the output of {what}"), &output.stdout);
        self.assert_not_in(&format!("the error output of {what}"), &output.stderr);
    }
}

fn guestnet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestnet"));
    command.current_dir(folder).args(arguments).output().expect("the program runs")
}

/// An HTTPS proxy whose key is in a file, and a SOCKS server behind a path: both want a password, which some clients do not
/// know and one does.
fn lab(password: &str) -> String {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
    let guest = |name: &str, module: &str, rest: &str| {
        format!("[guest.{name}]\nmodule = \"{}/{module}.wasm\"\n{rest}\n", guests.display())
    };
    let client = |name: &str, password: &str| {
        let https = "server = \"https:3128\"\nconnect = \"*:7\"\nuser = \"me\"";
        let rest = format!(
            "args = [\"http\", \"10.0.0.2:7\"]\nstart = \"10ms\"\n\
             [guest.{name}.protocol]\nipv4 = {{ private = true }}\n\
             tls = {{ private = true, over = \"ipv4\", roots = [{{ file = \"cert.pem\" }}] }}\n\
             [guest.{name}.protocol.http]\nkind = \"http-connect\"\nover = \"tls\"\n{https}\npassword = \"{password}\""
        );
        guest(name, "echo_client", &rest)
    };
    let token = STANDARD.encode(format!("me:{PASSWORD}"));
    [
        guest("echo", "echo_server", "args = [\"0.0.0.0:7\"]\nbackground = true"),
        guest(
            "https",
            "proxy_server",
            &format!(
                "args = [\"fd:proxy\", \"http\", \"2\", \"{token}\"]\n\
                 listen = [{{ name = \"proxy\", bind = \"0.0.0.0:3128\", protocol = \"tls\" }}]\n\
                 [guest.https.protocol]\nipv4 = {{}}\n\
                 tls = {{ over = \"ipv4\", certificate = [{{ chain = \"cert.pem\", key = \"key.pem\" }}] }}"
            ),
        ),
        client("right", password),
        client("wrong", "open-nothing-4711"),
    ]
    .concat()
}

fn write_identity(folder: &Path) -> Secrets {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(vec!["https".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    Secrets::new(&key.serialize_pem(), &key.serialize_der())
}

#[test]
fn nobody_is_told_passwords_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let secrets = write_identity(folder);
    fs::write(folder.join("lab.toml"), lab(PASSWORD)).unwrap();
    let each = guestnet(folder, &["run", "--sim", "--capture-guests", "each", "lab.toml"]);
    secrets.assert_untold("a run", &each);
    let ran = guestnet(folder, &["run", "--sim", "--trace=trace.txt", "--capture", "all.pcapng", "lab.toml"]);
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(error.contains("2 of"), "one client is let in: {error}");
    let trace = fs::read(folder.join("trace.txt")).unwrap();
    assert!(String::from_utf8_lossy(&trace).contains("407 Who?"), "the other is not");
    secrets.assert_untold("a run", &ran);
    secrets.assert_not_in("the trace", &trace);
    let mut captures = vec![folder.join("all.pcapng")];
    captures.extend(fs::read_dir(folder.join("each")).unwrap().map(|entry| entry.unwrap().path()));
    assert!(captures.len() >= 4, "{captures:?}");
    for capture in captures {
        secrets.assert_not_in(&capture.display().to_string(), &fs::read(&capture).unwrap());
    }
    for arguments in
        [&["run", "--sim", "--trace", "lab.toml"][..], &["check", "lab.toml"], &["test", "lab.toml"]]
    {
        secrets.assert_untold(&arguments.join(" "), &guestnet(folder, arguments));
    }
}

/// Mistakes are told with the lines around them, which may have passwords.
#[test]
fn mistakes_are_told_without_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let secrets = write_identity(folder);
    let right = lab(PASSWORD);
    for (what, wrong) in [
        ("a password without a user", right.replace("user = \"me\"\n", "")),
        ("a mistake in the line before", right.replace("user = \"me\"", "usr = \"me\"")),
        ("a mistake in the line after", right.replace("\"\n[guest.wrong]", "\"\nroots = 3\n[guest.wrong]")),
        ("a password that cannot be", right.replace(PASSWORD, &format!("{PASSWORD}\\u0000"))),
        ("a string without an end", right.replace(&format!("{PASSWORD}\""), PASSWORD)),
        ("a password in `server`", right.replace("\"https:3128\"", &format!("\"me:{PASSWORD}@https:3128\""))),
        (
            "the same as a URL",
            right.replace("\"https:3128\"", &format!("\"http://me:{PASSWORD}@https:3128/\"")),
        ),
        ("a key of another", right.replace("key = \"key.pem\"", "key = \"cert.pem\"")),
    ] {
        assert!(wrong != right, "{what}");
        fs::write(folder.join("lab.toml"), wrong).unwrap();
        let output = guestnet(folder, &["check", "lab.toml"]);
        assert!(!output.status.success(), "{what}: {output:?}");
        secrets.assert_untold(what, &output);
    }
}
