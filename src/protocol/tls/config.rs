//! What a `tls` protocol object was set to, and rustls's configurations made of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption, verify_server_name};
use rustls::pki_types::{DnsName, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, KeyLog, NoKeyLog, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use super::material::{Identity, Problem};
use super::provider::Crypto;
use crate::error::Error;
use crate::node::Journal;
use crate::node::object::Context;
use crate::protocol::policy::Policy;
use crate::protocol::target::Target;

/// Sessions that each side of a protocol object remembers, to be resumed: the oldest gives way.
const SESSIONS_MAX: usize = 256;

/// Whether a server asks who its clients are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clients {
    #[default]
    Anonymous,
    /// A certificate is asked for, and verified if there is one.
    Optional,
    Required,
}

/// The versions of the protocol that are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    Tls12,
    Tls13,
    #[default]
    Both,
}

impl Versions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Versions::Tls12 => &BOTH[1..],
            Versions::Tls13 => &BOTH[..1],
            Versions::Both => &BOTH,
        }
    }
}

/// Everything that a `tls` protocol object is set to, but for what it runs over.
#[derive(Clone)]
pub struct Settings {
    /// Of a server, by SNI; the first is for whoever names no name that another has. A client shows the first.
    pub identities: Vec<Identity>,
    /// Whom a client trusts.
    pub roots: Arc<RootCertStore>,
    /// Whom a server trusts, if it asks.
    pub client_roots: Arc<RootCertStore>,
    pub clients: Clients,
    /// The server's name, if it is not the one connected to.
    pub server_name: Option<String>,
    /// In order of preference (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    pub versions: Versions,
    pub resumption: bool,
    /// Data before the handshake's end, of a session that is resumed (RFC 8446, 2.3): QUIC's alone.
    pub early_data: bool,
    /// From the connection below to the end of the handshake.
    pub timeout: Duration,
    /// Tell the secrets of each connection to the journal.
    pub log_secrets: bool,
}

/// Why a protocol object cannot be as it was set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("certificate {number} {problem}")]
    Identity { number: usize, problem: Problem },
    #[error("clients are asked for certificates, but there are no roots to hold them against")]
    NoClientRoots,
    #[error("{0}")]
    Other(String),
}

/// Both sides' configurations. Connections share what they remember of sessions.
pub struct Config {
    pub client: Arc<ClientConfig>,
    /// `None` without a certificate: then nobody can listen.
    pub server: Option<Arc<ServerConfig>>,
    pub crypto: Crypto,
    pub server_name: Option<ServerName<'static>>,
    pub timeout: Duration,
    policy: Policy,
    secrets: Option<Arc<Secrets>>,
}

impl Config {
    /// # Errors
    /// A key that the provider does not take; a server without what it needs.
    pub fn new(settings: Settings, crypto: Crypto) -> Result<Config, ConfigError> {
        let other = |error: &dyn fmt::Display| ConfigError::Other(error.to_string());
        let Settings { alpn, versions, resumption, early_data, timeout, .. } = settings;
        let mut identities = Vec::new();
        for (number, identity) in (1..).zip(settings.identities) {
            let identity = identity.certified(&crypto);
            identities.push(identity.map_err(|problem| ConfigError::Identity { number, problem })?);
        }
        let identities = Arc::new(Identities(identities));
        let secrets = settings.log_secrets.then(|| Arc::new(Secrets::default()));
        let key_log = || -> Arc<dyn KeyLog> {
            match &secrets {
                Some(secrets) => Arc::clone(secrets) as _,
                None => Arc::new(NoKeyLog),
            }
        };
        let server_name = settings.server_name.map(ServerName::try_from).transpose();
        let mut client = ClientConfig::builder_with_details(crypto.provider.clone(), crypto.clock.clone())
            .with_protocol_versions(versions.list())
            .map_err(|error| other(&error))?
            .with_root_certificates(settings.roots)
            .with_client_cert_resolver(Arc::clone(&identities) as _);
        client.alpn_protocols.clone_from(&alpn);
        client.key_log = key_log();
        client.enable_early_data = early_data;
        client.resumption =
            if resumption { Resumption::in_memory_sessions(SESSIONS_MAX) } else { Resumption::disabled() };

        let server = if identities.0.is_empty() {
            None
        } else {
            let verifier = || {
                let (roots, provider) = (settings.client_roots, crypto.provider.clone());
                WebPkiClientVerifier::builder_with_provider(roots, provider)
            };
            let builder = ServerConfig::builder_with_details(crypto.provider.clone(), crypto.clock.clone())
                .with_protocol_versions(versions.list())
                .map_err(|error| other(&error))?;
            let verified = |verifier: Result<_, _>| verifier.map_err(|_| ConfigError::NoClientRoots);
            let builder = match settings.clients {
                Clients::Anonymous => builder.with_no_client_auth(),
                Clients::Optional => {
                    builder.with_client_cert_verifier(verified(verifier().allow_unauthenticated().build())?)
                }
                Clients::Required => builder.with_client_cert_verifier(verified(verifier().build())?),
            };
            let mut server = builder.with_cert_resolver(identities);
            server.alpn_protocols = alpn;
            server.key_log = key_log();
            // QUIC knows all or nothing (RFC 9001, 4.6.1).
            server.max_early_data_size = if early_data { u32::MAX } else { 0 };
            if resumption {
                // Kept here rather than sealed into tickets: a sealing key would have to be drawn, and turned over.
                server.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
            } else {
                server.session_storage = Arc::new(NoServerSessionStorage {});
                server.send_tls13_tickets = 0;
            }
            Some(Arc::new(server))
        };
        let server_name = server_name.map_err(|error| other(&error))?;
        Ok(Config {
            client: Arc::new(client),
            server,
            crypto,
            server_name,
            timeout,
            policy: Policy::default(),
            secrets,
        })
    }

    /// Under the policy of what it stands on: a name that may not be connected to is not asked for either.
    pub fn under(self, policy: Policy) -> Config {
        Config { policy, ..self }
    }

    /// Whom the peer at `address` (`name:port`, `10.0.0.2:443`, `[fd00::2]:443`) has to be.
    ///
    /// # Errors
    /// `Invalid` where no host has such a name.
    pub fn name_at(&self, address: &str) -> Result<ServerName<'static>, Error> {
        if let Some(name) = &self.server_name {
            return Ok(name.clone());
        }
        // A path names nobody.
        let (host, _port) =
            address.rsplit_once(':').filter(|_| !address.starts_with('/')).ok_or(Error::Invalid)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // A trailing dot makes a name absolute, and is no part of it (RFC 6066, 3).
        let host = host.strip_suffix('.').unwrap_or(host);
        // An IPv4 address in IPv6's form is connected to as that IPv4 address.
        let host = host
            .parse()
            .map_or_else(|_| host.to_owned(), |ip: std::net::IpAddr| ip.to_canonical().to_string());
        ServerName::try_from(host).map_err(|_| Error::Invalid)
    }

    /// The same, once the policy has been asked whether such a peer may be asked for. `kind`: of the protocol object that asks.
    ///
    /// # Errors
    /// `Access` if a rule refuses the name; `Invalid` if there is none.
    pub fn peer_name(
        &self,
        cx: &mut Context,
        kind: &str,
        address: &str,
    ) -> Result<ServerName<'static>, Error> {
        let name = self.name_at(address)?;
        // A path names no host and no port that a policy could be about.
        if address.starts_with('/') {
            return Ok(name);
        }
        let port = Target::parse(address)?.port;
        if let ServerName::DnsName(dns) = &name
            && let Err(refusal) = self.policy.may_name(dns.as_ref(), port)
        {
            let on = format_args!("{address} as {}", dns.as_ref());
            return Err(refusal.tell(cx.journal, Some(kind), "connect", on));
        }
        Ok(name)
    }

    /// Whether a client at `peer` may ask the server at `local` for `name`. `kind`: of the protocol object that is asked.
    ///
    /// # Errors
    /// `Access` if a rule refuses the name.
    pub fn check_asked(
        &self,
        cx: &mut Context,
        kind: &str,
        [local, peer]: [&str; 2],
        name: &str,
    ) -> Result<(), Error> {
        let port = Target::parse(local).map_or(0, |local| local.port);
        let on = format_args!("{peer}, who asks for {name}");
        self.policy.may_be(name, port).map_err(|refusal| refusal.tell(cx.journal, Some(kind), "accept", on))
    }

    /// Tells the journal the secrets that were agreed on since the last call.
    pub fn tell_secrets(&self, journal: &mut Journal) {
        self.take_secrets().into_iter().for_each(|line| journal.secret(line));
    }

    /// The secrets that were agreed on since the last call, as lines of a key log.
    pub fn take_secrets(&self) -> Vec<String> {
        self.secrets.as_ref().map(|secrets| secrets.take()).unwrap_or_default()
    }
}

/// Certificates to show.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| DnsName::try_from(name).ok()).map(ServerName::DnsName);
        let fits = |identity: &&Arc<CertifiedKey>| {
            let Some((name, first)) = name.as_ref().zip(identity.cert.first()) else { return false };
            ParsedCertificate::try_from(first).is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
        };
        // Most have one: it is not looked at.
        let chosen = if self.0.len() > 1 { self.0.iter().find(fits) } else { None };
        chosen.or(self.0.first()).cloned()
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.first().filter(|identity| identity.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Lines of a key log, until they are taken.
#[derive(Default)]
struct Secrets(Mutex<Vec<String>>);

impl Secrets {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}", hex(client_random), hex(secret));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Never what is in it.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("secrets")
    }
}
