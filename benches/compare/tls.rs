//! rustls alone: two sides joined by a buffer in memory, with the same certificate and cipher as guests have.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use guestnet::protocol::tls::authority::{Authority, Validity};
use guestnet::protocol::tls::config::{Clients, Config, Settings, Versions};
use guestnet::protocol::tls::provider::{Crypto, Entropy};
use guestnet::rng::Seed;
use rustls::{ClientConnection, Connection, RootCertStore, ServerConnection};

use crate::lab::Spent;

/// What guests read and write at a time.
const CHUNK: usize = 64 * 1024;

pub struct Pipe {
    config: Config,
}

/// Full handshakes of TLS 1.3, with ring as it is.
pub fn config() -> Config {
    let epoch = Duration::from_secs(1_577_836_800);
    let valid = Validity { from: epoch - Duration::from_secs(60), until: epoch + Duration::from_secs(3_600) };
    let secret = |name: &str| Entropy::Seed(Seed(1)).secret(name).expect("a seed always has more");
    let authority = Authority::new("bench", valid, secret("ca")).expect("a root");
    let names = ["server".parse().expect("a name")];
    let identity = authority.issue(&names, valid, secret("server")).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().clone()).expect("a root");
    let roots = Arc::new(roots);
    let settings = Settings {
        identities: vec![identity],
        roots: Arc::clone(&roots),
        client_roots: roots,
        clients: Clients::Anonymous,
        server_name: None,
        alpn: vec![],
        versions: Versions::Tls13,
        resumption: false,
        timeout: Duration::from_secs(10),
        log_secrets: false,
        early_data: false,
    };
    Config::new(settings, Crypto::system(epoch)).expect("a configuration")
}

impl Pipe {
    pub fn new() -> Pipe {
        Pipe { config: config() }
    }

    fn connect(&self) -> [Connection; 2] {
        let name = "server".try_into().expect("a name");
        let server = self.config.server.as_ref().expect("a server");
        let mut client =
            Connection::from(ClientConnection::new(Arc::clone(&self.config.client), name).expect("a client"));
        let mut server = Connection::from(ServerConnection::new(Arc::clone(server)).expect("a server"));
        let mut wire = Vec::new();
        while client.is_handshaking()
            || server.is_handshaking()
            || client.wants_write()
            || server.wants_write()
        {
            carry(&mut client, &mut server, &mut wire);
            carry(&mut server, &mut client, &mut wire);
        }
        [client, server]
    }

    /// CPU time for a handshake and a byte each way.
    pub fn handshake(&self, count: u64) -> f64 {
        let mut wire = Vec::new();
        let spent = Spent::begin();
        for _ in 0..count {
            let [mut client, mut server] = self.connect();
            let mut byte = [0];
            client.writer().write_all(b"x").expect("room");
            carry(&mut client, &mut server, &mut wire);
            server.reader().read_exact(&mut byte).expect("a byte");
            server.writer().write_all(&byte).expect("room");
            carry(&mut server, &mut client, &mut wire);
            client.reader().read_exact(&mut byte).expect("a byte");
        }
        spent.seconds() / count as f64
    }

    /// CPU time for so many bytes from one side to the other.
    pub fn bulk(&self, bytes: u64) -> f64 {
        let [mut client, mut server] = self.connect();
        let (sent, mut got, mut wire) = (vec![7; CHUNK], vec![0; CHUNK], Vec::with_capacity(2 * CHUNK));
        client.set_buffer_limit(None);
        let spent = Spent::begin();
        let mut left = bytes;
        while left > 0 {
            let count = left.min(CHUNK as u64);
            client.writer().write_all(&sent[..count as usize]).expect("no limit");
            while client.wants_write() {
                client.write_tls(&mut wire).expect("memory takes it");
            }
            let (mut rest, mut read) = (&wire[..], 0);
            while !rest.is_empty() || read < count as usize {
                if !rest.is_empty() {
                    server.read_tls(&mut rest).expect("memory gives it");
                    server.process_new_packets().expect("what the other side sent");
                }
                read += server.reader().read(&mut got[read..]).unwrap_or(0);
            }
            wire.clear();
            left -= count;
        }
        spent.seconds()
    }
}

/// Everything that one side has to say.
fn carry(from: &mut Connection, to: &mut Connection, wire: &mut Vec<u8>) {
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire).expect("memory takes it");
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory gives it");
        to.process_new_packets().expect("what the other side sent");
    }
}
