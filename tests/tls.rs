//! TLS between guests, as a person meets it: plaintext in captures, reasons in the trace, and secrets where they were
//! asked for and nowhere else. What stands against real peers is in `linux_peers`.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::remarks::remarks;
use common::{scenario, tshark};
use guestnet::lab::{Lab, Report};
use guestnet::scenario::{self as scenarios};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, PKCS_ED25519, date_time_ymd,
};

/// HTTP over TLS, with more keys for both sides' protocol objects and for the lab.
fn http(lab: &str, server: &str, client: &str) -> String {
    format!(
        r#"{lab}
        [guest.server]
        module = "target/guests/http_server.wasm"
        args = ["tls", "0.0.0.0:443", "/srv", "1"]
        directories = {{ "/srv" = "tests/scenarios/www" }}
        protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = "ipv4", {server} }} }}

        [guest.client]
        module = "target/guests/http_client.wasm"
        args = ["tls", "10.0.0.2:443", "/"]
        protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = "ipv4", {client} }} }}
        "#
    )
}

const CA: &str = "[ca.test]";
const CERTIFICATE: &str = "certificate = [{ ca = 'test' }]";

fn run(text: &str) -> Report {
    let lab = Lab::from_toml(text, "tls.toml").unwrap_or_else(|error| panic!("{}", error.plain()));
    lab.with_cache(scenario::cache()).with_trace().run(1)
}

#[test]
fn tshark_shows_the_plaintext_of_a_captured_lab() {
    for version in ["1.2", "1.3"] {
        let text = http(CA, CERTIFICATE, &format!("versions = '{version}'"));
        let answers = |text: &str| {
            let report = run(text);
            assert!(report.is_success(), "{report}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lab.pcapng");
            fs::write(&path, report.capture()).unwrap();
            assert_eq!(tshark::faults(&path), "");
            // Of the copies at each port, one.
            let fields = ["-e", "http.response.code", "-e", "http.file_data"];
            let shown = tshark::output(
                tshark::tshark(&path).args(["-Y", "http.response", "-T", "fields"]).args(fields),
            );
            shown.lines().next().map(str::to_owned)
        };
        let shown = answers(&text).expect(version);
        assert!(
            shown.contains("200") && shown.contains("Served from a preopened directory"),
            "TLS {version}: {shown}"
        );
        assert_eq!(answers(&format!("secrets = false\n{text}")), None);
    }
}

#[test]
fn the_trace_tells_why_in_words_and_nothing_secret() {
    let mut told = BTreeSet::new();
    for name in ["tls_refused", "tls_clients", "tls_alpn", "tls_resumed", "tls_stalled"] {
        let report = scenario::lab(name).with_trace().run(1);
        told.extend(remarks(&report).into_iter().map(|remark| format!("{name}: {remark}")));
        let trace: String = report.calls.iter().map(|call| call.line.as_str()).collect();
        let mut secrets = 0;
        for (_, lines) in &report.secrets {
            for secret in lines.split_whitespace().filter(|word| word.len() >= 64) {
                assert!(!trace.contains(secret), "{name}: {secret}");
                secrets += 1;
            }
        }
        assert!(secrets > 0, "{name}");
    }
    insta::assert_snapshot!(told.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn both_ends_in_a_lab_tell_each_secret_once() {
    let report = run(&http(CA, CERTIFICATE, ""));
    let lines: Vec<&str> = report.secrets.iter().flat_map(|(_, lines)| lines.lines()).collect();
    let distinct: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(lines.len(), distinct.len());
    assert!(lines.iter().any(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")), "{lines:?}");
}

fn guestnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guestnet")).args(arguments).output().expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A scenario in a folder of its own; paths to guests lead out of it.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let text = text.replace("\"target/", &format!("\"{root}/target/"));
    let text = text.replace("\"tests/scenarios/", &format!("\"{root}/tests/scenarios/"));
    fs::write(folder.path().join("lab.toml"), text).unwrap();
    folder
}

/// Virtual time's provider is not offered in a live lab, whatever its seed.
#[test]
fn a_live_lab_s_secrets_do_not_come_from_its_seed() {
    let hello = |mode: &[&str]| {
        let folder = folder(&http(CA, CERTIFICATE, ""));
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (lab, capture) = (path("lab.toml"), path("lab.pcapng"));
        let output = guestnet(&[&["run", "--seed", "5", "--capture", &capture], mode, &[&lab]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let fields = ["-e", "tls.handshake.random", "-e", "tls.handshake.extensions_supported_group"];
        let shown = tshark::output(
            tshark::tshark(Path::new(&capture))
                .args(["-Y", "tls.handshake.type == 1", "-T", "fields"])
                .args(fields),
        );
        shown.lines().next().expect("a hello").to_owned()
    };
    let sim = hello(&["--sim"]);
    assert_eq!(sim, hello(&["--sim"]));
    assert!(sim.ends_with("\t0x001d"), "X25519 alone: {sim}");
    let live = [hello(&[]), hello(&[])];
    assert_ne!(live[0], live[1]);
    for live in live {
        assert_ne!(live.split('\t').next(), sim.split('\t').next());
        assert!(live.ends_with("\t0x001d,0x0017,0x0018"), "ring's own groups: {live}");
    }
}

#[test]
fn live_captures_have_secrets_only_when_they_were_asked_for() {
    let captured = |lab: &str, flags: &[&str]| {
        let folder = folder(&http(&format!("{lab}\n{CA}"), CERTIFICATE, ""));
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (lab, capture, log) = (path("lab.toml"), path("lab.pcapng"), path("keys.log"));
        let flags: Vec<&str> = flags.iter().map(|&flag| if flag == "LOG" { &log } else { flag }).collect();
        let output = guestnet(&[&["run", "--capture", &capture], &flags[..], &[&lab]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let bytes = fs::read(&capture).unwrap();
        let log = fs::metadata(&log).ok().map(|metadata| {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            fs::read_to_string(&log).unwrap()
        });
        let marked = bytes.windows(23).any(|window| window == b"SERVER_TRAFFIC_SECRET_0");
        (marked, log.is_some_and(|log| log.contains("\nSERVER_TRAFFIC_SECRET_0 ")))
    };
    assert_eq!(captured("", &[]), (false, false));
    assert_eq!(captured("", &["--secrets"]), (true, false));
    assert_eq!(captured("secrets = true", &[]), (true, false));
    assert_eq!(captured("", &["--sim"]), (true, false));
    assert_eq!(captured("secrets = false", &["--sim"]), (false, false));
    assert_eq!(captured("", &["--keylog", "LOG"]), (true, true));
}

/// A key and its certificate in PEM, and the same of another.
fn pem(name: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> [String; 2] {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    [certificate.pem(), key.serialize_pem()]
}

#[test]
fn certificates_come_from_files_too() {
    let text = http(
        "",
        "certificate = [{ chain = 'server.pem', key = 'server.key' }]",
        "server_name = 'www.example.org', roots = { file = 'server.pem' }",
    );
    let with = |algorithm| {
        let folder = folder(&text);
        let [chain, key] = pem("www.example.org", algorithm);
        fs::write(folder.path().join("server.pem"), chain).unwrap();
        fs::write(folder.path().join("server.key"), key).unwrap();
        folder
    };
    let run = |folder: &tempfile::TempDir, mode: &[&str]| {
        let lab = folder.path().join("lab.toml");
        guestnet(&[&["run", "--duration", "20s"], mode, &[lab.to_str().unwrap()]].concat())
    };
    for mode in [&["--sim"][..], &[]] {
        let output = run(&with(&rcgen::PKCS_ED25519), mode);
        assert!(output.status.success(), "{mode:?}: {}", stderr(&output));
    }
    let ecdsa = with(&rcgen::PKCS_ECDSA_P256_SHA256);
    let output = run(&ecdsa, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run(&ecdsa, &["--sim"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("protocol tls: certificate 1 has an unusable key"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn files_that_are_not_what_they_should_be_are_mistakes_of_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let [chain, key] = pem("one", &rcgen::PKCS_ED25519);
    let [_, other] = pem("two", &rcgen::PKCS_ED25519);
    for (name, text) in [
        ("one.pem", chain.as_str()),
        ("one.key", &key),
        ("two.key", &other),
        ("empty.pem", ""),
        ("cut.pem", &chain[..chain.len() / 2]),
        ("noise.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let told = |tls: &str| {
        let text = format!(
            "[guest.g]\nmodule = 'one.pem'\n[guest.g.protocol.ipv4]\n[guest.g.protocol.tls]\nover = 'ipv4'\n{tls}\n"
        );
        match scenarios::load_text(&text, &folder.path().join("lab.toml")) {
            Ok(_) => "no mistake\n".to_owned(),
            Err(error) => error.plain().replace(folder.path().to_str().unwrap(), "LAB"),
        }
    };
    let pair =
        |chain: &str, key: &str| told(&format!("certificate = [{{ chain = '{chain}', key = '{key}' }}]"));
    let all = [
        pair("one.pem", "one.key"),
        pair("none.pem", "none.key"),
        pair("one.pem", "two.key"),
        pair("empty.pem", "empty.pem"),
        pair("cut.pem", "one.key"),
        pair("noise.pem", "one.pem"),
        told("roots = [{ file = 'none.pem' }, { file = 'one.key' }, { file = '.' }]"),
    ];
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_ca_s_root_is_written_out_and_handed_to_guests() {
    let text = "[ca.test]\nexport = 'root.pem'\n[guest.g]\nmodule = \"target/guests/args_env.wasm\"\n\
                args = ['{ca:test}']\nenv = { ROOT = 'is {ca:test}' }";
    let folder = folder(text);
    let lab = folder.path().join("lab.toml");
    let output = guestnet(&["run", "--sim", lab.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let root = fs::read_to_string(folder.path().join("root.pem")).unwrap();
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----\n"), "{root}");
    let body = root.lines().nth(1).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches(body).count(), 2, "{output:?}");
    // The same seed, the same authority; live, another each time.
    let again = |mode: &[&str]| {
        let output = guestnet(&[&["run", "--seed", "0"], mode, &[lab.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read_to_string(folder.path().join("root.pem")).unwrap()
    };
    assert_eq!(again(&["--sim"]), root);
    let live = again(&[]);
    assert!(live != root && live != again(&[]));
}

#[test]
fn the_machine_s_roots_have_no_place_in_virtual_time() {
    let report = run(&http(CA, CERTIFICATE, "roots = 'system'"));
    let client = format!("{}", report.guest("client").exit);
    assert!(client.contains("virtual time knows nothing of the machine's own roots"), "{client}");
}

/// The page's example does what the page says.
#[test]
fn the_example_of_the_page_runs() {
    let page = fs::read_to_string("docs/protocols.md").unwrap();
    let section = page.split("\n## TLS\n").nth(1).expect("a section on TLS");
    let example = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let report = run(example);
    assert!(report.is_success(), "{report}");
    let agreed = "client: tls with 10.0.0.2:443: TLS 1.3, TLS13_AES_256_GCM_SHA384, ALPN http/1.1";
    assert!(remarks(&report).contains(agreed), "{:?}", remarks(&report));
}

/// Servers whose certificates are each broken in a way of their own, and the root that a client trusts, as PEM files.
fn broken_identities(folder: &Path) -> Vec<&'static str> {
    let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, key()).unwrap()
    };
    let (root, namesake) = (authority("root"), authority("root"));
    fs::write(folder.join("root.pem"), root.pem()).unwrap();
    let params = || {
        let mut params = CertificateParams::new(vec!["server".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    };
    let mut names = Vec::new();
    let mut write = |name: &'static str, chain: &[&[u8]], key: &KeyPair| {
        let pem = chain.iter().map(|der| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        });
        fs::write(folder.join(format!("{name}.pem")), pem.collect::<String>()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        names.push(name);
    };
    let own = key();
    let good = params().signed_by(&own, &root).unwrap();
    write("good", &[good.der()], &own);
    let mut tampered = good.der().to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    write("tampered", &[&tampered], &own);
    write("forged", &[params().signed_by(&own, &namesake).unwrap().der()], &own);
    let mut early = params();
    early.not_before = date_time_ymd(2300, 1, 1);
    early.not_after = date_time_ymd(2301, 1, 1);
    write("early", &[early.signed_by(&own, &root).unwrap().der()], &own);
    let mut client = params();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    write("client", &[client.signed_by(&own, &root).unwrap().der()], &own);
    let mut authority = params();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("authority", &[authority.signed_by(&own, &root).unwrap().der()], &own);
    // Issued by somebody who may not: by a certificate for servers.
    let mut parent = params();
    parent.is_ca = IsCa::ExplicitNoCa;
    parent.distinguished_name.push(DnType::CommonName, "parent");
    let parent_key = key();
    let parent_der = parent.signed_by(&parent_key, &root).unwrap();
    let issuer = Issuer::new(parent, parent_key);
    let child = params().signed_by(&own, &issuer).unwrap();
    write("child", &[child.der(), parent_der.der()], &own);
    write("orphan", &[child.der()], &own);
    names
}

#[test]
fn a_certificate_is_refused_for_whatever_is_broken_in_it() {
    let folder = folder("");
    let path = folder.path();
    let mut text = String::new();
    for name in broken_identities(path) {
        text += &format!(
            r#"
            [guest.{name}]
            module = "target/guests/echo_server.wasm"
            args = ["tls", "0.0.0.0:443", "stream"]
            background = true
            protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = "ipv4", certificate = [{{ chain = "{name}.pem", key = "{name}.key" }}] }} }}

            [guest.to-{name}]
            module = "target/guests/echo_client.wasm"
            args = ["tls", "{name}:443", "stream"]
            protocol = {{ ipv4 = {{ private = true }}, tls = {{ over = "ipv4", server_name = "server", roots = [{{ file = "root.pem" }}] }} }}
            "#
        );
    }
    let text = text.replace("\"target/", &format!("\"{}/target/", env!("CARGO_MANIFEST_DIR")));
    fs::write(path.join("lab.toml"), text).unwrap();
    let lab = Lab::from_file(path.join("lab.toml")).unwrap_or_else(|error| panic!("{}", error.plain()));
    let report = lab.with_cache(scenario::cache()).with_trace().run(1);
    let clients = report.guests.iter().filter(|guest| guest.name.starts_with("to-"));
    let said = clients.map(|guest| format!("{}: {}", guest.name, guest.stderr().trim()));
    let said: Vec<_> = said.chain(remarks(&report)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    to-good: 
    to-tampered: echo_client.wasm: tampered:443: Protocol error
    to-forged: echo_client.wasm: forged:443: Protocol error
    to-early: echo_client.wasm: early:443: Protocol error
    to-client: echo_client.wasm: client:443: Protocol error
    to-authority: echo_client.wasm: authority:443: Protocol error
    to-child: echo_client.wasm: child:443: Protocol error
    to-orphan: echo_client.wasm: orphan:443: Protocol error
    authority: tls with 10.0.0.13:PORT: the peer gave up: certificate unknown
    child: tls with 10.0.0.15:PORT: the peer gave up: certificate unknown
    client: tls with 10.0.0.11:PORT: the peer gave up: unsupported certificate
    early: tls with 10.0.0.9:PORT: the peer gave up: certificate expired
    forged: tls with 10.0.0.7:PORT: the peer gave up: decrypt error
    good: tls with 10.0.0.3:PORT: TLS 1.3, TLS13_AES_256_GCM_SHA384
    orphan: tls with 10.0.0.17:PORT: the peer gave up: unknown ca
    tampered: tls with 10.0.0.5:PORT: the peer gave up: decrypt error
    to-authority: tls with 10.0.0.12:443: the peer's certificate is refused: ca used as end entity
    to-child: tls with 10.0.0.14:443: the peer's certificate is refused: end entity used as ca
    to-client: tls with 10.0.0.10:443: the peer's certificate is refused: certificate does not allow extended key usage for server authentication, allows client authentication
    to-early: tls with 10.0.0.8:443: the peer's certificate is refused: not valid yet, but in 8835955200 s
    to-forged: tls with 10.0.0.6:443: the peer's certificate is refused: a bad signature
    to-good: tls with 10.0.0.2:443: TLS 1.3, TLS13_AES_256_GCM_SHA384
    to-orphan: tls with 10.0.0.16:443: the peer's certificate is refused: unknown issuer
    to-tampered: tls with 10.0.0.4:443: the peer's certificate is refused: a bad signature
    "#);
}
