//! Both sides in memory, without a stack between them.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, Connection, ProtocolVersion, RootCertStore, ServerConnection};

use super::authority::{Authority, Validity};
use super::config::{Clients, Config, ConfigError, Settings, Versions};
use super::material::{self, Identity, Problem};
use super::name::Name;
use super::provider::{Crypto, Entropy};
use super::words::words;
use crate::rng::Seed;
use crate::time::Instant;

const EPOCH: Duration = Duration::from_secs(1_577_836_800);
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

fn valid() -> Validity {
    Validity { from: EPOCH - DAY, until: EPOCH + DAY }
}

fn authority(name: &str) -> Authority {
    Authority::new(name, valid(), Entropy::Seed(Seed(1)).secret(name).unwrap()).unwrap()
}

fn issued(by: &Authority, names: &[&str], valid: Validity) -> Identity {
    let names: Vec<Name> = names.iter().map(|name| name.parse().unwrap()).collect();
    by.issue(&names, valid, Entropy::Seed(Seed(1)).secret(&format!("{names:?}")).unwrap()).unwrap()
}

/// A client that trusts `by`, and a server that it issued a certificate for `server` to.
fn settings(by: &Authority) -> Settings {
    let mut roots = RootCertStore::empty();
    roots.add(by.root().clone()).unwrap();
    let roots = Arc::new(roots);
    Settings {
        identities: vec![issued(by, &["server", "10.0.0.2"], valid())],
        roots: Arc::clone(&roots),
        client_roots: roots,
        clients: Clients::Anonymous,
        server_name: None,
        alpn: vec![],
        versions: Versions::Both,
        resumption: true,
        early_data: false,
        timeout: Duration::from_secs(10),
        log_secrets: true,
    }
}

/// Two sides, each with cryptography of its own, and every byte that they said to one another.
struct Pair {
    client: Config,
    server: Config,
}

/// How a handshake went, and the bytes of each side.
#[derive(Debug)]
struct Talk {
    client: Connection,
    error: Option<rustls::Error>,
    server_error: Option<rustls::Error>,
    said: Vec<Vec<u8>>,
}

impl Pair {
    fn new(client: Settings, server: Settings, crypto: impl Fn(&str) -> Crypto) -> Pair {
        Pair {
            client: Config::new(client, crypto("client")).unwrap(),
            server: Config::new(server, crypto("server")).unwrap(),
        }
    }

    fn seeded(client: Settings, server: Settings, seed: u64) -> Pair {
        Pair::new(client, server, |side| Entropy::Seed(Seed(seed)).crypto(side, EPOCH))
    }

    /// Shakes hands, says `hello`, and says goodbye.
    fn talk(&self, name: &str) -> Talk {
        let name = name.to_owned().try_into().unwrap();
        let mut client: Connection =
            ClientConnection::new(Arc::clone(&self.client.client), name).unwrap().into();
        let mut server: Connection =
            ServerConnection::new(Arc::clone(self.server.server.as_ref().unwrap())).unwrap().into();
        let (mut error, mut server_error, mut said) = (None, None, vec![]);
        client.writer().write_all(b"hello").unwrap();
        let mut goodbye = false;
        loop {
            let first = say(&mut client, &mut server, &mut server_error);
            let second = say(&mut server, &mut client, &mut error);
            let quiet = first.is_empty() && second.is_empty();
            said.extend([first, second]);
            if quiet && !goodbye && error.is_none() && server_error.is_none() {
                let mut heard = [0; 16];
                assert_eq!(server.reader().read(&mut heard).unwrap(), 5);
                assert_eq!(&heard[..5], b"hello");
                client.send_close_notify();
                server.send_close_notify();
                goodbye = true;
            } else if quiet {
                return Talk { client, error, server_error, said };
            }
        }
    }
}

/// What one side has to say is heard by the other, which may take offence.
fn say(from: &mut Connection, to: &mut Connection, wrong: &mut Option<rustls::Error>) -> Vec<u8> {
    let mut flight = vec![];
    while from.wants_write() {
        from.write_tls(&mut flight).unwrap();
    }
    let mut rest = &flight[..];
    while !rest.is_empty() && wrong.is_none() {
        to.read_tls(&mut rest).unwrap();
        *wrong = to.process_new_packets().err();
    }
    flight
}

/// The names of a key log's secrets.
fn labels(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

#[test]
fn every_byte_of_a_seeded_handshake_comes_from_the_seed() {
    let lab = authority("test");
    for (versions, version) in
        [(Versions::Tls12, ProtocolVersion::TLSv1_2), (Versions::Tls13, ProtocolVersion::TLSv1_3)]
    {
        let settings = Settings { versions, clients: Clients::Required, ..settings(&lab) };
        let talk = |seed| {
            let pair = Pair::seeded(settings.clone(), settings.clone(), seed);
            // The second one resumes the first.
            let talks = [pair.talk("server"), pair.talk("server")];
            for talk in &talks {
                assert_eq!((&talk.error, &talk.server_error), (&None, &None));
                assert_eq!(talk.client.protocol_version(), Some(version));
            }
            let resumed = [false, true].map(|resumed| resumed.then_some(rustls::HandshakeKind::Resumed));
            let kinds = talks.iter().map(|talk| talk.client.handshake_kind());
            for (kind, wanted) in kinds.zip(resumed) {
                assert_eq!(kind, wanted.or(Some(rustls::HandshakeKind::Full)), "{version:?}");
            }
            (talks.map(|talk| talk.said), pair.client.take_secrets(), pair.server.take_secrets())
        };
        let (said, client, server) = talk(7);
        assert_eq!((&said, &client, &server), (&talk(7).0, &talk(7).1, &talk(7).2), "{version:?}");
        let (other, ..) = talk(8);
        assert_ne!(said[0][0], other[0][0], "the clients' hellos");
        assert_ne!(said[0][1], other[0][1], "the servers' answers");
        assert!(client.iter().all(|line| server.contains(line)), "one connection has one set of secrets");
        match versions {
            Versions::Tls12 => assert_eq!(labels(&client), ["CLIENT_RANDOM"; 2]),
            Versions::Tls13 | Versions::Both => assert_eq!(labels(&client).len(), 2 * 5),
        }
    }
}

#[test]
fn the_system_s_handshakes_are_never_twice_the_same() {
    let lab = authority("test");
    let hello = || {
        let pair = Pair::new(settings(&lab), settings(&lab), |_| Crypto::system(EPOCH));
        let talk = pair.talk("server");
        assert_eq!(talk.error, None);
        talk.said.into_iter().next().unwrap()
    };
    assert_ne!(hello(), hello());
    let system = Entropy::System.crypto("client", EPOCH);
    assert!(system.provider.kx_groups.len() > 1, "ring's own groups");
    assert_ne!(Entropy::System.secret("a").unwrap(), Entropy::System.secret("a").unwrap());
}

#[test]
fn a_source_serves_one_world_at_a_time_and_is_lent_again() {
    let draw = |crypto: &Crypto| {
        let mut bytes = [0; 8];
        crypto.provider.secure_random.fill(&mut bytes).map(|()| bytes)
    };
    let crypto = |seed| Entropy::Seed(Seed(seed)).crypto("one", EPOCH);
    let first = crypto(1);
    let provider = Arc::clone(&first.provider);
    let drawn = draw(&first).unwrap();
    assert_eq!(draw(&crypto(1)).unwrap(), drawn);
    assert_ne!(draw(&crypto(2)).unwrap(), drawn);
    // A configuration keeps the clock, and with it the source, for as long as it may draw.
    let config = Config::new(settings(&authority("test")), first).unwrap();
    provider.secure_random.fill(&mut [0]).unwrap();
    let kept = Arc::clone(&config.client);
    drop(config);
    provider.secure_random.fill(&mut [0]).unwrap();
    drop(kept);
    // Another world may have it by now, in a test beside this one; nobody has this world's stream.
    let mut next = Seed(1).fork("one");
    let mut after = [0; 10];
    next.fill(&mut after);
    let mut got = [0; 8];
    if provider.secure_random.fill(&mut got).is_ok() {
        assert_ne!(got, after[2..]);
    }
}

#[test]
fn certificates_are_the_same_for_the_same_secrets_and_valid_in_the_world_s_time() {
    let make = || issued(&authority("test"), &["server", "*.example.org", "fd00::2"], valid());
    assert_eq!(make().chain, make().chain);
    assert_eq!(authority("test").root_pem(), authority("test").root_pem());
    assert_ne!(authority("test").root_pem(), authority("other").root_pem());

    let lab = authority("test");
    let pair = |valid| {
        let server = Settings { identities: vec![issued(&lab, &["server"], valid)], ..settings(&lab) };
        Pair::seeded(Settings { identities: vec![], ..settings(&lab) }, server, 1)
    };
    let told = |pair: &Pair| pair.talk("server").error.map(|error| words(&error));
    let refused = |why: &str| Some(format!("the peer's certificate is refused: {why}"));

    let pair_now = pair(valid());
    assert_eq!(told(&pair_now), None);
    pair_now.client.crypto.clock.set(Instant::START + 2 * DAY);
    assert_eq!(told(&pair_now), refused("expired 86400 s ago"));
    let expired = pair(Validity { from: EPOCH - 2 * HOUR, until: EPOCH - HOUR });
    assert_eq!(told(&expired), refused("expired 3600 s ago"));
    let early = pair(Validity { from: EPOCH + HOUR, until: EPOCH + 2 * HOUR });
    assert_eq!(told(&early), refused("not valid yet, but in 3600 s"));
}

#[test]
fn who_a_server_is_shows_in_its_certificate() {
    let lab = authority("test");
    let told = |client: &Settings, server: &Settings, name: &str| {
        let talk = Pair::seeded(client.clone(), server.clone(), 1).talk(name);
        talk.error.map(|error| words(&error))
    };
    let client = Settings { identities: vec![], ..settings(&lab) };
    let server = settings(&lab);
    assert_eq!(told(&client, &server, "server"), None);
    assert_eq!(told(&client, &server, "10.0.0.2"), None);
    assert_eq!(
        told(&client, &server, "www.example.org").unwrap(),
        "the peer's certificate is refused: wrong name, `www.example.org`: it is for server, 10.0.0.2"
    );
    let stranger = settings(&authority("other"));
    assert_eq!(
        told(&client, &stranger, "server").unwrap(),
        "the peer's certificate is refused: unknown issuer"
    );
    // Of several, the one for the name; else the first.
    let several = ["first", "*.example.org", "server"].map(|name| issued(&lab, &[name], valid()));
    let several = Settings { identities: several.to_vec(), ..settings(&lab) };
    for name in ["server", "www.example.org", "first"] {
        assert_eq!(told(&client, &several, name), None, "{name}");
    }
    assert!(told(&client, &several, "nobody").unwrap().contains("it is for first"));
}

#[test]
fn clients_show_who_they_are_if_asked() {
    let lab = authority("test");
    let told = |clients, identities: Vec<Identity>| {
        let client = Settings { identities, ..settings(&lab) };
        let server = Settings { clients, ..settings(&lab) };
        let talk = Pair::seeded(client, server, 1).talk("server");
        (talk.server_error.map(|error| words(&error)), talk.error.map(|error| words(&error)))
    };
    let known = || vec![issued(&lab, &["client"], valid())];
    let stranger = || vec![issued(&authority("other"), &["client"], valid())];
    let refused = "the peer's certificate is refused: unknown issuer".to_owned();
    let gave_up = |why: &str| Some(format!("the peer gave up: {why}"));
    for clients in [Clients::Anonymous, Clients::Optional] {
        assert_eq!(told(clients, vec![]), (None, None));
    }
    assert_eq!(told(Clients::Required, known()), (None, None));
    assert_eq!(told(Clients::Optional, stranger()), (Some(refused), gave_up("unknown ca")));
    let none = Some("the peer has shown no certificate".to_owned());
    assert_eq!(told(Clients::Required, vec![]), (none, gave_up("certificate required")));
}

#[test]
fn application_protocols_are_agreed_on() {
    let lab = authority("test");
    let told = |client: &[&str], server: &[&str]| {
        let with = |alpn: &[&str]| {
            let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            Settings { alpn, ..settings(&lab) }
        };
        let talk = Pair::seeded(with(client), with(server), 1).talk("server");
        let agreed = talk.client.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
        (agreed, talk.server_error.map(|error| words(&error)))
    };
    assert_eq!(told(&["http/1.1", "h2"], &["h2", "http/1.1"]), (Some("h2".to_owned()), None));
    assert_eq!(told(&[], &["h2"]), (None, None));
    let none = "no application protocol in common (ALPN)".to_owned();
    assert_eq!(told(&["http/1.1"], &["h2"]), (None, Some(none)));
}

#[test]
fn what_cannot_be_is_told_in_words() {
    let lab = authority("test");
    // A key whose signatures are never twice the same has no place in virtual time.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate =
        rcgen::CertificateParams::new(["server".to_owned()]).unwrap().self_signed(&key).unwrap();
    let ecdsa = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let with = |identities| Settings { identities, ..settings(&lab) };
    let config = |settings, crypto| Config::new(settings, crypto).map(|_| ());
    let seeded = || Entropy::Seed(Seed(1)).crypto("one", EPOCH);
    assert_eq!(config(with(vec![ecdsa.clone()]), Crypto::system(EPOCH)), Ok(()));
    let refused = config(with(vec![ecdsa]), seeded()).unwrap_err();
    assert!(matches!(refused, ConfigError::Identity { number: 1, problem: Problem::Key(_) }), "{refused}");

    let nobody = Arc::new(RootCertStore::empty());
    let unrooted = Settings { clients: Clients::Required, client_roots: nobody, ..settings(&lab) };
    assert_eq!(config(unrooted, seeded()), Err(ConfigError::NoClientRoots));
}

/// `rsaEncryption` (RFC 8017, A.1).
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

#[test]
fn pem_is_checked() {
    let lab = authority("test");
    let root = lab.root_pem();
    let identity = issued(&lab, &["server"], valid());
    let key =
        |secret| rcgen::KeyPair::try_from(&issued(&lab, &[secret], valid()).key).unwrap().serialize_pem();
    let pem = |label: &str, bytes: &[u8]| {
        use base64::Engine;
        let body = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let chain = pem("CERTIFICATE", &identity.chain[0]);
    let pair = |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).map(|_| ());
    assert_eq!(pair(&chain, &key("server")), Ok(()));
    assert_eq!(pair(&format!("{chain}{root}"), &key("server")), Ok(()));
    assert_eq!(pair(&chain, &key("other")), Err(Problem::Mismatch));
    assert_eq!(pair("", &key("server")), Err(Problem::Missing("certificate")));
    assert_eq!(pair(&chain, ""), Err(Problem::Missing("private key")));
    assert_eq!(pair(&chain, &chain), Err(Problem::Missing("private key")));
    assert_eq!(
        pair(&chain[..chain.len() - 30], &key("server")),
        Err(Problem::Broken("a section has no end".to_owned()))
    );
    assert!(matches!(pair(&pem("CERTIFICATE", b"none"), &key("server")), Err(Problem::Certificate(_))));
    assert!(matches!(pair(&chain, &pem("PRIVATE KEY", b"none")), Err(Problem::Key(_))));
    assert_eq!(pair(&"x".repeat(material::PEM_BYTES_MAX + 1), ""), Err(Problem::TooLong));
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"secret");
    assert_eq!(pair(&chain, &encrypted), Err(Problem::Encrypted));
    assert_eq!(
        pair(
            &chain,
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
        ),
        Err(Problem::Encrypted)
    );
    // Version, rsaEncryption, and a key that is far too short.
    let short = [&[0x30, 0x15, 2, 1, 0, 0x30, 13, 6, 9][..], &RSA, &[5, 0, 4, 1, 0]].concat();
    assert_eq!(
        pair(&chain, &pem("PRIVATE KEY", &short)),
        Err(Problem::Key("one of RSA is to have 2048 to 4096 bits".to_owned()))
    );
    // What is told of a broken key has nothing of the key in it.
    let broken = pair(&chain, &key("server").replace("\nM", "\n!!secret!!")).unwrap_err().to_string();
    assert!(!broken.contains("secret"), "{broken}");
}
